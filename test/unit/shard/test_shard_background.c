/*
 * Life of background tasks: a lone worker is never blocked by a caller that waits for it, what failed is tried again, what cannot be done keeps nobody
 * busy, times that were taken before an event do not count as long after it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "os/sim.h"
#include "shard/shard_private.h"

enum { DIM = 8, BATCH = 50, HANGS_AFTER_S = 120 };

struct fixture {
    struct jade_sim *sim;
    char dir[64];
    struct jade_engine *engine;
    struct jade_shard *shard;
    uint32_t written;
};

static void check(jade_code rc, const struct jade_err *err)
{
    if (rc != JADE_OK) {
        print_error("%s: %s (%s:%d)\n", jade_code_name(rc), err->message, err->file, err->line);
    }
    assert_int_equal(rc, JADE_OK);
}

static struct jade_shard_config config(void)
{
    struct jade_shard_config c = jade_shard_config_default(DIM, JADE_METRIC_EUCLIDEAN);
    c.sync_interval_ms = 1;
    c.graph_rows_min = 4;
    c.index.m = 4;
    c.index.ef_construction = 8;
    return c;
}

static void open_shard(struct fixture *f, const char *path)
{
    struct jade_err err = {0};
    struct jade_shard_config c = config();
    check(jade_shard_create(f->engine, path, &c, &err), &err);
    check(jade_shard_open(f->engine, path, &c, &f->shard, NULL, &err), &err);
}

static void begin_manual(struct fixture *f)
{
    struct jade_err err = {0};
    *f = (struct fixture){0};
    check(jade_sim_new(1, &f->sim, &err), &err);
    struct jade_engine_opts opts = {.os = jade_sim_os(f->sim), .manual = true};
    check(jade_engine_new(&opts, &f->engine, &err), &err);
    open_shard(f, "db/0");
}

/* On the real disk with one worker. */
static void begin_one_worker(struct fixture *f)
{
    struct jade_err err = {0};
    char path[96];
    *f = (struct fixture){0};
    const char *tmp = getenv("TMPDIR");
    snprintf(f->dir, sizeof f->dir, "%.40s/jade-test-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    struct jade_engine_opts opts = {.os = jade_os_posix(), .background_threads = 1};
    check(jade_engine_new(&opts, &f->engine, &err), &err);
    snprintf(path, sizeof path, "%s/0", f->dir);
    open_shard(f, path);
    alarm(HANGS_AFTER_S);
}

static void end(struct fixture *f)
{
    struct jade_err err = {0};
    check(jade_shard_close(f->shard, &err), &err);
    jade_engine_free(f->engine);
    if (f->sim) {
        jade_sim_free(f->sim);
    } else {
        check(jade_os_remove_tree(jade_os_posix(), f->dir, &err), &err);
    }
    alarm(0);
}

static void write_batch(struct fixture *f, enum jade_durability durability)
{
    struct jade_err err = {0};
    struct jade_write_result result;
    struct jade_row rows[BATCH];
    char ids[BATCH][16];
    float values[BATCH][DIM];
    for (uint32_t i = 0; i < BATCH; i++) {
        uint32_t k = f->written++;
        int n = snprintf(ids[i], sizeof ids[i], "row-%u", k);
        for (uint32_t d = 0; d < DIM; d++) {
            values[i][d] = (float)(k * 31 % (97 + d));
        }
        rows[i] =
            (struct jade_row){.id = ids[i], .id_len = (uint32_t)n, .values = values[i], .dim = DIM};
    }
    struct jade_write_opts opts = {.durability = durability};
    check(jade_shard_upsert(f->shard, rows, BATCH, &opts, &result, NULL, &err), &err);
}

static void freeze(struct fixture *f)
{
    jade_mutex_lock(&f->shard->commit);
    jadei_freeze(f->shard);
    jade_mutex_unlock(&f->shard->commit);
}

static void a_pin_taken_during_a_tick_is_kept(void **state)
{
    (void)state;
    struct fixture f;
    struct jade_err err = {0};
    struct jade_pin pin;
    uint64_t n;
    begin_manual(&f);
    write_batch(&f, JADE_DURABILITY_SYNC);
    uint64_t tick_began = jade_os_mono_us(f.engine->os);
    jade_sim_advance(f.sim, 1000); /* the tick looks at another shard first */
    check(jade_shard_pin(f.shard, &pin, &err), &err);
    (void)jadei_shard_tick(f.shard, tick_began);
    check(jade_shard_count(f.shard, NULL, pin.lsn, &n, &err), &err);
    assert_int_equal(n, BATCH);
    jade_shard_unpin(f.shard, &pin);
    end(&f);
}

static void a_write_during_a_tick_keeps_the_ticker_awake(void **state)
{
    (void)state;
    struct fixture f;
    begin_manual(&f);
    uint64_t tick_began = jade_os_mono_us(f.engine->os);
    jade_sim_advance(f.sim, 1000);
    write_batch(&f, JADE_DURABILITY_SYNC);
    assert_true(
        jadei_shard_tick(f.shard, tick_began)); /* not idle: its durable mark is still due */
    end(&f);
}

static void a_poisoned_shard_does_not_keep_a_worker_busy(void **state)
{
    (void)state;
    struct fixture f;
    struct jade_err err = {0};
    begin_manual(&f);
    write_batch(&f, JADE_DURABILITY_SYNC);
    freeze(&f);
    (void)jade_fail(&err, JADE_E_IO, "by the test");
    jade_mutex_lock(&f.shard->commit);
    jadei_poison(f.shard, &err);
    jade_mutex_unlock(&f.shard->commit);
    jadei_background_kick(f.shard);
    unsigned tasks = 0;
    while (tasks < 1000 && jade_pool_run_one(f.engine->pool)) {
        tasks++;
    }
    assert_true(tasks < 1000);
    assert_int_equal(jade_shard_close(f.shard, &err), JADE_E_POISONED);
    jade_engine_free(f.engine);
    jade_sim_free(f.sim);
}

static void a_checkpoint_ends_with_one_worker(void **state)
{
    (void)state;
    struct fixture f;
    struct jade_err err = {0};
    struct jade_shard_stats st;
    begin_one_worker(&f);
    struct jade_shard *s = f.shard;
    for (int round = 0; round < 3; round++) {
        jade_mutex_lock(&s->maintenance);
        write_batch(&f, JADE_DURABILITY_SYNC);
        freeze(&f);
        jadei_background_kick(s);
        /* The first segment's graph is done, its sealing waits for the lock that a checkpoint would hold. */
        for (bool waits = false; !waits;) {
            usleep(1000);
            jade_mutex_lock(&s->task_mutex);
            waits = s->index_tasks == 0;
            jade_mutex_unlock(&s->task_mutex);
        }
        usleep(20000); /* gives the worker time to reach the lock; the test passes either way */
        for (int i = 0; i < 20; i++) {
            write_batch(&f, JADE_DURABILITY_SYNC);
        }
        freeze(&f);
        jade_code rc = jadei_seal_frozen(s, true, &err); /* waits for the second graph */
        jade_mutex_unlock(&s->maintenance);
        check(rc, &err);
    }
    check(jade_shard_checkpoint(s, &err), &err);
    jade_shard_stats(s, &st);
    assert_int_equal(st.checkpoint.v, st.visible.v);
    end(&f);
}

static void a_failed_merge_is_tried_again_without_a_write(void **state)
{
    (void)state;
    struct fixture f;
    struct jade_shard_stats st;
    struct jade_err err = {0};
    begin_manual(&f);
    for (int i = 0; i < 4; i++) {
        write_batch(&f, JADE_DURABILITY_SYNC);
        if (i < 3) {
            check(jade_shard_checkpoint(f.shard, &err), &err);
        }
    }
    freeze(&f);
    jadei_background_kick(f.shard);
    while (f.shard->index_tasks > 0) {
        assert_true(jade_pool_run_one(f.engine->pool));
    }
    jade_mutex_lock(&f.shard->maintenance);
    check(jadei_seal_frozen(f.shard, true, &err), &err);
    jade_mutex_unlock(&f.shard->maintenance);
    /* The task that was to seal finds four segments to merge, and no room for the new one. */
    jade_sim_fail_at(f.sim, JADE_SIM_OPEN, 1, JADE_E_NOSPACE, true);
    while (jade_pool_run_one(f.engine->pool)) {
    }
    jade_sim_fail_at(f.sim, JADE_SIM_OPEN, 0, JADE_OK, false);
    jade_shard_stats(f.shard, &st);
    assert_int_equal(st.n_sealed, 4);
    jade_sim_advance(f.sim, 6000000);
    jade_engine_run(f.engine);
    jade_shard_stats(f.shard, &st);
    assert_int_equal(st.n_sealed, 1);
    end(&f);
}

static void a_checkpoint_of_deletes_that_failed_is_tried_again(void **state)
{
    (void)state;
    struct fixture f;
    struct jade_shard_stats st;
    struct jade_err err = {0};
    struct jade_write_result result;
    begin_manual(&f);
    write_batch(&f, JADE_DURABILITY_SYNC);
    check(jade_shard_checkpoint(f.shard, &err), &err);
    const char *id = "row-3";
    uint32_t len = 5;
    check(jade_shard_delete(f.shard, &id, &len, 1, NULL, &result, &err), &err);
    freeze(&f); /* as after seal_bytes of deletes */
    jadei_background_kick(f.shard);
    jade_sim_fail_at(f.sim, JADE_SIM_OPEN, 1, JADE_E_NOSPACE, true);
    while (jade_pool_run_one(f.engine->pool)) {
    }
    jade_sim_fail_at(f.sim, JADE_SIM_OPEN, 0, JADE_OK, false);
    jade_shard_stats(f.shard, &st);
    assert_false(st.poisoned);
    assert_true(st.checkpoint.v < st.visible.v);
    jade_sim_advance(f.sim, 6000000);
    jade_engine_run(f.engine);
    jade_shard_stats(f.shard, &st);
    assert_int_equal(st.checkpoint.v, st.visible.v);
    end(&f);
}

static void rows_that_get_no_graph_hold_up_nothing(void **state)
{
    (void)state;
    struct fixture f;
    struct jade_shard_stats st;
    struct jade_err err = {0};
    begin_manual(&f);
    f.shard->config.graph_rows_min = 1000;
    f.shard->config.tail_soft_bytes = 64; /* less than the rows in memory */
    for (int i = 0; i < 4; i++) {
        write_batch(&f, JADE_DURABILITY_SYNC);
        check(jade_shard_checkpoint(f.shard, &err), &err);
    }
    write_batch(&f, JADE_DURABILITY_SYNC); /* stays in memory */
    jade_shard_stats(f.shard, &st);
    assert_int_equal(st.tail_rows, 0); /* writers are not slowed for work that nobody will do */
    atomic_store(&f.shard->merge_due, true);
    jadei_background_kick(f.shard);
    jade_engine_run(f.engine);
    jade_shard_stats(f.shard, &st);
    assert_int_equal(st.n_sealed, 1);
    end(&f);
}

static void a_sleeping_ticker_is_woken_for_each_periodic_write(void **state)
{
    (void)state;
    struct fixture f;
    struct jade_shard_stats st;
    begin_one_worker(&f);
    for (int i = 0; i < 20; i++) {
        write_batch(&f, JADE_DURABILITY_PERIODIC);
        do {
            usleep(1000);
            jade_shard_stats(f.shard, &st);
        } while (st.durable.v < st.visible.v);
        while (i % 4 == 0 && !atomic_load(&f.engine->asleep)) {
            usleep(1000);
        }
    }
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pin_taken_during_a_tick_is_kept),
        cmocka_unit_test(a_write_during_a_tick_keeps_the_ticker_awake),
        cmocka_unit_test(a_poisoned_shard_does_not_keep_a_worker_busy),
        cmocka_unit_test(a_checkpoint_ends_with_one_worker),
        cmocka_unit_test(a_failed_merge_is_tried_again_without_a_write),
        cmocka_unit_test(a_checkpoint_of_deletes_that_failed_is_tried_again),
        cmocka_unit_test(rows_that_get_no_graph_hold_up_nothing),
        cmocka_unit_test(a_sleeping_ticker_is_woken_for_each_periodic_write),
    };
    jade_log_set_level(JADE_LOG_OFF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
