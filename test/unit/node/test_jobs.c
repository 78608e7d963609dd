/*
 * Jobs: order, progress, cancelling, bounds, and rebuilds that a restart goes on with.
 */
#include "node_test.h"

#include "base/random.h"

enum { SOON_US = 60 * 1000000 };

static struct jade_job wait_for(const char *id)
{
    struct jade_job job;
    OK(jade_node_job_wait(node, id, strlen(id), SOON_US, &job, &err));
    return job;
}

/** Stores n vectors of 16 random dimensions. */
static void fill(struct jade_database *db, uint32_t n)
{
    struct jade_arena arena;
    struct jade_random random;
    struct jade_put_result *results;
    struct jade_write_result written;
    const struct jade_put_opts opts = {.durability = JADE_DURABILITY_DEFAULT};
    jade_arena_init(&arena, JADE_TAG_TEST);
    jade_random_init(&random, 7);
    float *values = jade_arena_alloc(&arena, n * 16 * sizeof *values);
    struct jade_put *puts = jade_arena_calloc(&arena, n, sizeof *puts);
    for (uint32_t i = 0; i < n * 16; i++) {
        values[i] = (float)jade_random_normal(&random);
    }
    for (uint32_t i = 0; i < n; i++) {
        puts[i].values = values + (size_t)i * 16;
        puts[i].dim = 16;
    }
    OK(jade_database_put(db, puts, n, &opts, &arena, &results, &written, &err));
    jade_arena_release(&arena);
}

static void a_changed_m_rebuilds_the_index_behind_the_answers(void **state)
{
    (void)state;
    struct jade_arena arena;
    struct jade_database *db = create("one", 16);
    struct jade_database_spec spec = spec_of("one", 16);
    struct jade_database_update update;
    jade_arena_init(&arena, JADE_TAG_TEST);
    fill(db, 2500);
    spec.index.m = 24;
    OK(jade_database_update(db, &spec, 0, &update, &err));
    assert_true(update.changed);
    struct jade_job job = wait_for(update.job_id);
    if (job.state != JADE_JOB_SUCCEEDED) {
        fail_msg("%s: %s", jade_job_state_name(job.state), job.error.message);
    }
    assert_int_equal(job.kind, JADE_JOB_REBUILD);
    assert_true(job.progress == 1.0);
    assert_true(job.created_us <= job.started_us && job.started_us <= job.finished_us);
    assert_string_equal(job.database_id, jade_database_id(db));
    assert_string_equal(job.database_name, "one");
    struct jade_database_info info = info_of(db, &arena);
    assert_int_equal(info.index.m, 24);
    assert_false(info.rebuild_pending);
    assert_true(info.revision > update.revision); /* the end of the rebuild is a change */
    assert_int_equal(count_all(db), 2500);
    OK(jade_database_update(db, &spec, 0, &update, &err));
    assert_false(update.changed);
    assert_string_equal(update.job_id, "");
    struct jade_job found;
    OK(jade_node_job(node, job.id, strlen(job.id), &found, &err));
    assert_int_equal(found.state, JADE_JOB_SUCCEEDED);
    REFUSED(jade_node_job_cancel(node, job.id, strlen(job.id), &found, &err), JADE_E_CONFLICT, "");
    REFUSED(jade_node_job(node, "job_x", 5, &found, &err), JADE_E_NOT_FOUND, "operationId");
    jade_database_unref(db);
    jade_arena_release(&arena);
}

static void a_pending_rebuild_is_queued_again_by_the_next_start(void **state)
{
    (void)state;
    struct jade_arena arena;
    struct jade_database_update update;
    node_opts.manual = true; /* its jobs run when we say so: never */
    node_start();
    struct jade_database *db = create("one", 16);
    struct jade_database_spec spec = spec_of("one", 16);
    fill(db, 100);
    spec.index.ef_construction = 300;
    OK(jade_database_update(db, &spec, 0, &update, &err));
    assert_true(strlen(update.job_id) > 0);
    jade_database_unref(db);
    node_end();
    node_start();
    jade_arena_init(&arena, JADE_TAG_TEST);
    db = find("one");
    assert_true(info_of(db, &arena).rebuild_pending);
    struct jade_job *jobs;
    size_t n;
    OK(jade_node_jobs(node, &jobs, &n, &err));
    assert_int_equal(n, 1);
    assert_int_equal(jobs[0].state, JADE_JOB_QUEUED);
    jade_node_run(node);
    struct jade_job job = wait_for(jobs[0].id);
    assert_int_equal(job.state, JADE_JOB_SUCCEEDED);
    assert_false(info_of(db, &arena).rebuild_pending);
    jade_free(jobs);
    jade_database_unref(db);
    jade_arena_release(&arena);
}

static void one_rebuild_serves_all_updates_before_it(void **state)
{
    (void)state;
    struct jade_arena arena;
    struct jade_database_update first, second;
    struct jade_job *jobs;
    size_t n;
    node_opts.manual = true;
    node_start();
    struct jade_database *db = create("one", 16);
    struct jade_database_spec spec = spec_of("one", 16);
    fill(db, 100);
    spec.index.m = 8;
    OK(jade_database_update(db, &spec, 0, &first, &err));
    spec.index.m = 12;
    OK(jade_database_update(db, &spec, 0, &second, &err));
    assert_string_equal(first.job_id, second.job_id);
    jade_node_run(node);
    OK(jade_node_jobs(node, &jobs, &n, &err));
    assert_int_equal(n, 1);
    assert_int_equal(jobs[0].state, JADE_JOB_SUCCEEDED);
    jade_free(jobs);
    jade_arena_init(&arena, JADE_TAG_TEST);
    struct jade_database_info info = info_of(db, &arena);
    assert_int_equal(info.index.m, 12);
    assert_false(info.rebuild_pending);
    jade_arena_release(&arena);
    jade_database_unref(db);
}

static void an_update_cancels_the_rebuild_that_it_makes_pointless(void **state)
{
    (void)state;
    struct jade_arena arena;
    struct jade_job first, last;
    struct jade_database_update update;
    struct jade_database *db = create("one", 16);
    struct jade_database_spec spec = spec_of("one", 16);
    fill(db, 3000);
    OK(jade_database_start_job(db, JADE_JOB_REBUILD, &first, &err));
    do {
        OK(jade_node_job(node, first.id, strlen(first.id), &first, &err));
    } while (first.state == JADE_JOB_QUEUED);
    spec.index.kind = JADE_INDEX_FLAT;
    OK(jade_database_update(db, &spec, 0, &update, &err));
    assert_string_not_equal(update.job_id, first.id);
    last = wait_for(update.job_id);
    assert_int_equal(last.state, JADE_JOB_SUCCEEDED);
    first = wait_for(first.id);
    assert_true(first.state == JADE_JOB_CANCELLED || first.state == JADE_JOB_SUCCEEDED);
    jade_arena_init(&arena, JADE_TAG_TEST);
    struct jade_database_info info = info_of(db, &arena);
    assert_int_equal(info.index.kind, JADE_INDEX_FLAT);
    assert_false(info.rebuild_pending);
    jade_arena_release(&arena);
    assert_int_equal(count_all(db), 3000);
    jade_database_unref(db);
}

static void one_job_of_a_kind_waits_for_a_database_and_a_queued_one_can_be_cancelled(void **state)
{
    (void)state;
    struct jade_job first, second, other, job;
    node_opts.manual = true;
    node_start();
    struct jade_database *db = create("one", 16);
    OK(jade_database_start_job(db, JADE_JOB_REBUILD, &first, &err));
    assert_int_equal(first.state, JADE_JOB_QUEUED);
    assert_int_equal(first.eta_s, -1);
    REFUSED(jade_database_start_job(db, JADE_JOB_REBUILD, &second, &err), JADE_E_CONFLICT, "");
    assert_non_null(strstr(err.message, first.id));
    OK(jade_database_start_job(db, JADE_JOB_CHECKPOINT, &other, &err));
    REFUSED(jade_node_job_wait(node, first.id, strlen(first.id), 1000, &job, &err), JADE_E_TIMEOUT,
            "");
    assert_string_equal(job.id, first.id);
    OK(jade_node_job_cancel(node, first.id, strlen(first.id), &job, &err));
    assert_int_equal(job.state, JADE_JOB_CANCELLED);
    assert_true(job.finished_us > 0);
    OK(jade_database_start_job(db, JADE_JOB_REBUILD, &second, &err));
    jade_node_run(node);
    struct jade_job *jobs;
    size_t n;
    OK(jade_node_jobs(node, &jobs, &n, &err));
    assert_int_equal(n, 3);
    assert_string_equal(jobs[0].id, second.id); /* newest first */
    assert_int_equal(jobs[0].state, JADE_JOB_SUCCEEDED);
    assert_string_equal(jobs[1].id, other.id);
    assert_int_equal(jobs[1].state, JADE_JOB_SUCCEEDED);
    assert_int_equal(jobs[2].state, JADE_JOB_CANCELLED);
    jade_free(jobs);
    jade_database_unref(db);
}

static void the_queue_and_the_memory_of_jobs_are_bounded(void **state)
{
    (void)state;
    struct jade_job first, job;
    struct jade_database *dbs[JADE_JOBS_QUEUED_MAX / 2 + 1];
    char name[32];
    node_opts.manual = true;
    node_start();
    struct jade_database *db = create("one", 16);
    OK(jade_database_start_job(db, JADE_JOB_REBUILD, &first, &err));
    for (int i = 0; i < JADE_JOBS_KEPT_MAX + 5; i++) { /* newer ones end before the first does */
        OK(jade_database_start_job(db, JADE_JOB_CHECKPOINT, &job, &err));
        OK(jade_node_job_cancel(node, job.id, strlen(job.id), &job, &err));
    }
    struct jade_job *jobs;
    size_t n;
    OK(jade_node_jobs(node, &jobs, &n, &err));
    assert_int_equal(n, JADE_JOBS_KEPT_MAX + 1);
    assert_string_equal(jobs[0].id, job.id);
    assert_string_equal(jobs[n - 1].id, first.id);
    jade_free(jobs);
    OK(jade_node_job_cancel(node, first.id, strlen(first.id), &job, &err)); /* forgotten at once */
    assert_int_equal(job.state, JADE_JOB_CANCELLED);
    REFUSED(jade_node_job(node, first.id, strlen(first.id), &job, &err), JADE_E_NOT_FOUND,
            "operationId");
    int made = 0;
    for (; made < JADE_JOBS_QUEUED_MAX / 2; made++) {
        snprintf(name, sizeof name, "db-%d", made);
        dbs[made] = create(name, 16);
        OK(jade_database_start_job(dbs[made], JADE_JOB_REBUILD, &job, &err));
        OK(jade_database_start_job(dbs[made], JADE_JOB_CHECKPOINT, &job, &err));
    }
    REFUSED(jade_database_start_job(db, JADE_JOB_REBUILD, &job, &err), JADE_E_BUSY, "");
    struct jade_node_status status;
    jade_node_status(node, &status);
    assert_int_equal(status.n_jobs_queued, JADE_JOBS_QUEUED_MAX);
    jade_node_stop(node);
    jade_node_status(node, &status);
    assert_int_equal(status.n_jobs_queued, 0);
    while (made > 0) {
        jade_database_unref(dbs[--made]);
    }
    jade_database_unref(db);
}

static void a_job_that_cannot_open_its_database_fails_with_the_reason(void **state)
{
    (void)state;
    struct jade_job job;
    char path[JADE_PATH_MAX];
    struct jade_database *db = create("one", 16);
    OK(jade_path_join(path, folder, jade_database_id(db), &err));
    OK(jade_path_join(path, path, "0/CURRENT", &err));
    OK(jade_os_replace(jade_os_posix(), path, "damaged", 7, &err));
    OK(jade_database_start_job(db, JADE_JOB_REBUILD, &job, &err));
    job = wait_for(job.id);
    assert_int_equal(job.state, JADE_JOB_FAILED);
    assert_int_equal(job.error.code, JADE_E_CORRUPT);
    jade_database_unref(db);
}

static void deleting_a_database_cancels_its_running_rebuild(void **state)
{
    (void)state;
    struct jade_job job;
    struct jade_database *db = create("one", 16);
    fill(db, 3000);
    OK(jade_database_start_job(db, JADE_JOB_REBUILD, &job, &err));
    do {
        OK(jade_node_job(node, job.id, strlen(job.id), &job, &err));
    } while (job.state == JADE_JOB_QUEUED);
    OK(jade_node_delete(node, db, &err));
    job = wait_for(job.id);
    assert_true(job.state == JADE_JOB_CANCELLED || job.state == JADE_JOB_SUCCEEDED);
    assert_int_equal(database_folders(), 0);
    jade_database_unref(db);
}

static void a_running_rebuild_can_be_cancelled_and_the_node_stops_in_time(void **state)
{
    (void)state;
    struct jade_job job;
    struct jade_database *db = create("one", 16);
    fill(db, 4000);
    OK(jade_database_start_job(db, JADE_JOB_CHECKPOINT, &job, &err));
    job = wait_for(job.id);
    assert_int_equal(job.state, JADE_JOB_SUCCEEDED);
    OK(jade_database_start_job(db, JADE_JOB_REBUILD, &job, &err));
    do {
        OK(jade_node_job(node, job.id, strlen(job.id), &job, &err));
    } while (job.state == JADE_JOB_QUEUED);
    struct jade_job cancelled;
    jade_code rc = jade_node_job_cancel(node, job.id, strlen(job.id), &cancelled, &err);
    job = wait_for(job.id);
    if (rc == JADE_OK) {
        assert_true(cancelled.cancel_requested);
        assert_true(job.state == JADE_JOB_CANCELLED || job.state == JADE_JOB_SUCCEEDED);
    }
    print_message("the rebuild was %s\n", jade_job_state_name(job.state));
    OK(jade_database_start_job(db, JADE_JOB_REBUILD, &job, &err));
    jade_database_unref(db);
    uint64_t begun = jade_os_mono_us(jade_os_posix());
    OK(jade_node_close(node, 5 * 1000000, &err));
    print_message("closed in %llu ms\n",
                  (unsigned long long)(jade_os_mono_us(jade_os_posix()) - begun) / 1000);
    node_start();
    db = find("one");
    assert_int_equal(count_all(db), 4000);
    jade_database_unref(db);
}

/* A checkpoint waits until its rows are in a graph; a stop does not wait for that, and what was not sealed is in the log. */
static void a_stop_ends_a_long_checkpoint_and_nothing_is_lost(void **state)
{
    (void)state;
    enum { N = 8000 };
    struct jade_job job;
    struct jade_database *db = create("one", 16);
    fill(db, N);
    OK(jade_database_start_job(db, JADE_JOB_CHECKPOINT, &job, &err));
    do {
        OK(jade_node_job(node, job.id, strlen(job.id), &job, &err));
    } while (job.state == JADE_JOB_QUEUED);
    jade_database_unref(db);
    OK(jade_node_close(node, 5 * 1000000, &err));
    node_start();
    db = find("one");
    assert_int_equal(count_all(db), N);
    fill(db, 10);
    OK(jade_database_start_job(db, JADE_JOB_CHECKPOINT, &job, &err));
    do {
        OK(jade_node_job(node, job.id, strlen(job.id), &job, &err));
    } while (job.state == JADE_JOB_QUEUED);
    OK(jade_node_delete(node, db, &err)); /* does not wait for it either */
    job = wait_for(job.id);
    assert_true(job.state == JADE_JOB_CANCELLED || job.state == JADE_JOB_SUCCEEDED);
    jade_database_unref(db);
}

/* Closing a shard with a long log would throw its newest graph away. */
static void an_idle_database_with_a_long_log_is_sealed_before_it_is_closed(void **state)
{
    (void)state;
    enum { DIM = 1024, N = 2500 };
    struct jade_arena arena;
    struct jade_database_stats stats;
    struct jade_node_status status;
    node_opts.manual = true;
    node_opts.idle_close_us = 1;
    node_start();
    struct jade_database *db = create("one", DIM);
    jade_arena_init(&arena, JADE_TAG_TEST);
    float *values = jade_arena_calloc(&arena, DIM, sizeof *values);
    struct jade_put *puts = jade_arena_calloc(&arena, N, sizeof *puts);
    for (int i = 0; i < N; i++) {
        puts[i] = (struct jade_put){.values = values, .dim = DIM};
    }
    struct jade_database_spec spec =
        spec_of("one", DIM); /* equal vectors make a slow graph: none is needed here */
    struct jade_database_update update;
    spec.index.kind = JADE_INDEX_FLAT;
    OK(jade_database_update(db, &spec, 0, &update, &err));
    jade_node_run(node);
    struct jade_put_result *results;
    struct jade_write_result written;
    const struct jade_put_opts opts = {.durability = JADE_DURABILITY_DEFAULT};
    OK(jade_database_put(db, puts, N, &opts, &arena, &results, &written, &err));
    assert_int_equal(jade_node_close_idle(node), 0);
    jade_node_status(node, &status);
    assert_int_equal(status.n_jobs_queued, 1);
    assert_int_equal(status.n_open, 1);
    jade_node_run(node);
    OK(jade_database_stats(db, false, &stats, &err));
    assert_int_equal(stats.state, JADE_DATABASE_IDLE);
    assert_int_equal(stats.shard.checkpoint.v, stats.shard.visible.v);
    assert_int_equal(stats.shard.n_sealed, 1);
    assert_int_equal(count_all(db), N);
    OK(jade_database_stats(db, false, &stats, &err));
    assert_int_equal(stats.opened.replayed_records, 0);
    jade_arena_release(&arena);
    jade_database_unref(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(a_changed_m_rebuilds_the_index_behind_the_answers),
        FOLDER_TEST(a_pending_rebuild_is_queued_again_by_the_next_start),
        FOLDER_TEST(one_rebuild_serves_all_updates_before_it),
        NODE_TEST(an_update_cancels_the_rebuild_that_it_makes_pointless),
        FOLDER_TEST(one_job_of_a_kind_waits_for_a_database_and_a_queued_one_can_be_cancelled),
        FOLDER_TEST(the_queue_and_the_memory_of_jobs_are_bounded),
        NODE_TEST(a_job_that_cannot_open_its_database_fails_with_the_reason),
        NODE_TEST(deleting_a_database_cancels_its_running_rebuild),
        FOLDER_TEST(an_idle_database_with_a_long_log_is_sealed_before_it_is_closed),
        NODE_TEST(a_stop_ends_a_long_checkpoint_and_nothing_is_lost),
        NODE_TEST(a_running_rebuild_can_be_cancelled_and_the_node_stops_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
