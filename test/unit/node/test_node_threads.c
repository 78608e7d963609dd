/*
 * Many threads on one node: they create, use, change and delete the same few databases while idle ones are closed under them. What each call
 * answers must be one of the answers that some order of the calls allows; meant to run under ThreadSanitizer too.
 */
#include "node_test.h"

#include <stdatomic.h>

#include "base/random.h"
#include "os/thread.h"

enum { THREADS = 4, STEPS = 150, NAMES = 3, STEADY_WRITES = 150 };

struct worker {
    struct jade_thread thread;
    uint64_t seed;
    unsigned created, deleted, used, refused;
    char wrong[512]; /* the first answer that cannot be */
};

static atomic_bool stop;

static void expect_code(struct worker *w, const char *what, jade_code rc, const struct jade_err *e,
                        jade_code also_a, jade_code also_b)
{
    w->refused += rc != JADE_OK;
    if (rc != JADE_OK && rc != also_a && rc != also_b && !w->wrong[0]) {
        snprintf(w->wrong, sizeof w->wrong, "%s: %s: %s", what, jade_code_name(rc), e->message);
    }
}

static void use(struct worker *w, struct jade_database *db, struct jade_random *random)
{
    struct jade_arena arena;
    struct jade_err e = {0};
    struct jade_put_result *results;
    struct jade_write_result written;
    struct jade_find_result found;
    const struct jade_put_opts opts = {.durability = JADE_DURABILITY_ASYNC};
    const float values[2] = {(float)jade_random_unit(random), 1};
    struct jade_put put = {.values = values, .dim = 2};
    jade_arena_init(&arena, JADE_TAG_TEST);
    jade_code rc = jade_database_put(db, &put, 1, &opts, &arena, &results, &written, &e);
    expect_code(w, "put", rc, &e, JADE_E_NOT_FOUND, JADE_OK);
    if (rc == JADE_OK) {
        struct jade_find q = {.by = JADE_FIND_ID,
                              .id = results[0].id,
                              .id_len = results[0].id_len,
                              .include_self = true,
                              .k = 1};
        rc = jade_database_search(db, &q, &arena, &found, &e);
        expect_code(w, "search", rc, &e, JADE_E_NOT_FOUND, JADE_OK);
        if (rc == JADE_OK && found.n != 1 && !w->wrong[0]) {
            snprintf(w->wrong, sizeof w->wrong, "a stored vector was not found");
        }
        w->used += rc == JADE_OK;
    }
    jade_arena_release(&arena);
}

static void change(struct worker *w, struct jade_database *db, const char *name,
                   struct jade_random *random)
{
    struct jade_err e = {0};
    struct jade_database_update update;
    struct jade_database_spec spec = spec_of(name, 2);
    spec.index.ef_search = 10 + (uint32_t)jade_random_below(random, 100);
    jade_code rc = jade_database_update(db, &spec, 0, &update, &e);
    expect_code(w, "update", rc, &e, JADE_E_NOT_FOUND, JADE_OK);
}

static void one_step(struct worker *w, struct jade_random *random)
{
    char name[16];
    struct jade_err e = {0};
    struct jade_database *db = NULL;
    struct jade_job job;
    struct jade_node_status status;
    snprintf(name, sizeof name, "db-%u", (unsigned)jade_random_below(random, NAMES));
    uint64_t what = jade_random_below(random, 12);
    struct jade_database_spec spec = spec_of(name, 2);
    jade_code rc = jade_node_find(node, name, strlen(name), &db, &e);
    expect_code(w, "find", rc, &e, JADE_E_NOT_FOUND, JADE_OK);
    if (rc != JADE_OK) {
        rc = jade_node_create(node, &spec, &db, &e);
        expect_code(w, "create", rc, &e, JADE_E_ALREADY_EXISTS, JADE_OK);
        w->created += rc == JADE_OK;
    } else if (what == 0) {
        rc = jade_node_delete(node, db, &e);
        expect_code(w, "delete", rc, &e, JADE_E_NOT_FOUND, JADE_OK);
        w->deleted += rc == JADE_OK;
    } else if (what == 1) {
        change(w, db, name, random);
    } else if (what == 2) {
        jade_node_close_idle(node);
    } else if (what == 3) {
        jade_node_status(node, &status);
    } else if (what == 4) {
        rc = jade_database_start_job(db, JADE_JOB_REBUILD, &job, &e);
        expect_code(w, "job", rc, &e, JADE_E_NOT_FOUND, JADE_E_CONFLICT);
    } else {
        use(w, db, random);
    }
    jade_database_unref(db);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct jade_random random;
    jade_random_init(&random, w->seed);
    for (int i = 0; i < STEPS; i++) {
        one_step(w, &random);
    }
    return NULL;
}

static void *close_idle_all_the_time(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        jade_node_close_idle(node);
    }
    return NULL;
}

static void threads_that_create_use_change_and_delete_agree(void **state)
{
    (void)state;
    struct worker workers[THREADS] = {{.seed = 0}};
    unsigned created = 0, deleted = 0, used = 0, refused = 0;
    node_opts.idle_close_us = 1;
    node_start();
    for (int i = 0; i < THREADS; i++) {
        workers[i].seed = 100 + (uint64_t)i;
        OK(jade_thread_start(&workers[i].thread, "worker", 0, work, &workers[i], &err));
    }
    for (int i = 0; i < THREADS; i++) {
        jade_thread_join(&workers[i].thread);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_string_equal(workers[i].wrong, "");
        created += workers[i].created;
        deleted += workers[i].deleted;
        used += workers[i].used;
        refused += workers[i].refused;
    }
    print_message("seeds 100..%d: %u created, %u deleted, %u used, %u refused\n", 99 + THREADS,
                  created, deleted, used, refused);
    assert_true(created > NAMES && deleted > 0 && used > THREADS * 10);
    struct jade_node_status status;
    jade_node_status(node, &status);
    assert_int_equal(status.n_databases, created - deleted);
    assert_int_equal(status.n_damaged, 0);
    assert_int_equal(database_folders(), created - deleted);
    node_restart();
    jade_node_status(node, &status);
    assert_int_equal(status.n_databases, created - deleted);
    assert_int_equal(status.n_orphans, 0);
}

static void a_shard_that_is_closed_all_the_time_loses_nothing(void **state)
{
    (void)state;
    struct jade_thread closer = {.started = false};
    node_opts.idle_close_us = 1;
    node_start();
    struct jade_database *db = create("one", 2);
    atomic_store(&stop, false);
    OK(jade_thread_start(&closer, "closer", 0, close_idle_all_the_time, NULL, &err));
    for (int i = 0; i < STEADY_WRITES; i++) {
        char id[16];
        snprintf(id, sizeof id, "v%d", i);
        put_one(db, id, (float)i);
        assert_true(get_one(db, id) == (float)i);
    }
    atomic_store(&stop, true);
    jade_thread_join(&closer);
    assert_int_equal(count_all(db), STEADY_WRITES);
    jade_database_unref(db);
    node_restart();
    db = find("one");
    assert_int_equal(count_all(db), STEADY_WRITES);
    assert_true(get_one(db, "v77") == 77.0f);
    jade_database_unref(db);
}

struct first_write {
    struct jade_thread thread;
    struct jade_database *db;
    const char *version;
    jade_code rc;
};

static void *claim(void *arg)
{
    struct first_write *f = arg;
    static const float values[2] = {1, 2};
    struct jade_put put = {.values = values, .dim = 2};
    const struct jade_put_opts opts = {.durability = JADE_DURABILITY_DEFAULT,
                                       .model_name = "foreign",
                                       .model_version = f->version};
    struct jade_put_result *results;
    struct jade_write_result written;
    struct jade_arena arena;
    jade_arena_init(&arena, JADE_TAG_TEST);
    f->rc = jade_database_put(f->db, &put, 1, &opts, &arena, &results, &written, NULL);
    jade_arena_release(&arena);
    return NULL;
}

static void of_two_first_writes_with_different_models_one_wins(void **state)
{
    (void)state;
    node_start();
    for (int round = 0; round < 10; round++) {
        char name[16];
        snprintf(name, sizeof name, "db-%d", round);
        struct jade_database *db = create(name, 2);
        struct first_write f[2] = {{.db = db, .version = "a"}, {.db = db, .version = "b"}};
        for (int i = 0; i < 2; i++) {
            OK(jade_thread_start(&f[i].thread, "claim", 0, claim, &f[i], &err));
        }
        for (int i = 0; i < 2; i++) {
            jade_thread_join(&f[i].thread);
        }
        assert_true((f[0].rc == JADE_OK && f[1].rc == JADE_E_UNPROCESSABLE) ||
                    (f[1].rc == JADE_OK && f[0].rc == JADE_E_UNPROCESSABLE));
        assert_int_equal(count_all(db), 1);
        struct jade_arena arena;
        jade_arena_init(&arena, JADE_TAG_TEST);
        assert_string_equal(info_of(db, &arena).model_version, f[0].rc == JADE_OK ? "a" : "b");
        jade_arena_release(&arena);
        jade_database_unref(db);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(threads_that_create_use_change_and_delete_agree),
        FOLDER_TEST(a_shard_that_is_closed_all_the_time_loses_nothing),
        FOLDER_TEST(of_two_first_writes_with_different_models_one_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
