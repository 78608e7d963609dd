/*
 * A node as a whole: its data folder, opening and closing, idle and damaged databases, status.
 */
#include "node_test.h"

#include <unistd.h>

#include <errno.h>

#include "node/node_private.h"
#include "os/posix/posix_private.h"

static void everything_is_there_after_reopening(void **state)
{
    (void)state;
    static const char config[] =
        "{ \"name\" : \"one\", \"tags\":[1, 2.50,\"x\"], \"nested\":{\"a\":null} }";
    struct jade_database_spec spec = spec_of("one", 4);
    struct jade_arena arena;
    spec.description = "first \"database\" \xc3\xa4";
    spec.index.m = 8;
    spec.index.ef_search = 77;
    spec.durability = JADE_DURABILITY_PERIODIC;
    spec.config_json = (struct jade_str){.p = config, .n = sizeof config - 1};
    struct jade_database *db;
    OK(jade_node_create(node, &spec, &db, &err));
    put_one(db, "a", 1.5f);
    jade_arena_init(&arena, JADE_TAG_TEST);
    struct jade_database_info before = info_of(db, &arena);
    jade_database_unref(db);
    node_restart();
    db = find("one");
    struct jade_database_info after = info_of(db, &arena);
    assert_int_equal(after.state, JADE_DATABASE_IDLE);
    assert_string_equal(after.id, before.id);
    assert_string_equal(after.description, spec.description);
    assert_string_equal(after.config_json.p,
                        "{\"name\":\"one\",\"tags\":[1,2.5,\"x\"],\"nested\":{\"a\":null}}");
    assert_int_equal(after.config_json.n, strlen(after.config_json.p));
    assert_int_equal(after.dimension, 4);
    assert_int_equal(after.metric, JADE_METRIC_EUCLIDEAN);
    assert_int_equal(after.index.m, 8);
    assert_int_equal(after.index.ef_search, 77);
    assert_int_equal(after.durability, JADE_DURABILITY_PERIODIC);
    assert_int_equal(after.created_us, before.created_us);
    assert_int_equal(after.revision, before.revision);
    assert_true(get_one(db, "a") == 1.5f);
    struct jade_database *by_id;
    OK(jade_node_find(node, after.id, strlen(after.id), &by_id, &err));
    assert_ptr_equal(by_id, db);
    jade_database_unref(by_id);
    jade_database_unref(db);
    jade_arena_release(&arena);
}

static void a_second_node_on_the_folder_is_told_so(void **state)
{
    (void)state;
    struct jade_node *second = NULL;
    assert_int_equal(jade_node_open(&node_opts, &second, &err), JADE_E_LOCKED);
    assert_null(second);
    assert_non_null(strstr(err.message, folder));
    node_restart(); /* the refused one has not taken the lock along */
}

static void a_folder_that_cannot_be_made_is_named(void **state)
{
    (void)state;
    char path[JADE_PATH_MAX];
    OK(jade_path_join(path, folder, "file", &err));
    OK(jade_os_replace(jade_os_posix(), path, "x", 1, &err));
    OK(jade_path_join(path, path, "data", &err));
    node_opts.data = path;
    assert_int_equal(jade_node_open(&node_opts, &node, &err), JADE_E_IO);
    assert_non_null(strstr(err.message, path));
    node_opts.data = "";
    REFUSED(jade_node_open(&node_opts, &node, &err), JADE_E_INVALID_ARGUMENT, "data");
}

static void a_lost_catalog_over_full_folders_is_refused(void **state)
{
    (void)state;
    char path[JADE_PATH_MAX], aside[JADE_PATH_MAX];
    jade_database_unref(create("one", 2));
    node_end();
    OK(jade_path_join(path, folder, "catalog.db", &err));
    OK(jade_path_join(aside, folder, "aside", &err));
    OK(jade_os_link(jade_os_posix(), path, aside, &err));
    OK(jade_os_unlink(jade_os_posix(), path, &err));
    for (int i = 0; i < 2;
         i++) { /* the refusal leaves no empty catalog that would pass the second time */
        assert_int_equal(jade_node_open(&node_opts, &node, &err), JADE_E_CORRUPT);
        assert_non_null(strstr(err.message, "catalog.db is missing"));
        assert_int_equal(database_folders(), 1);
    }
    OK(jade_os_link(jade_os_posix(), aside, path, &err));
    node_start();
    jade_database_unref(find("one"));
}

static void a_folder_without_row_and_mark_is_left_alone_and_counted(void **state)
{
    (void)state;
    struct jade_node_status status;
    char path[JADE_PATH_MAX];
    node_end();
    OK(jade_path_join(path, folder, "db_00000000000000000000000000/0", &err));
    OK(jade_os_mkdirs(jade_os_posix(), path, &err));
    OK(jade_path_join(path, folder, "something-else", &err));
    OK(jade_os_mkdirs(jade_os_posix(), path, &err));
    node_start();
    jade_node_status(node, &status);
    assert_int_equal(status.n_orphans, 1);
    assert_int_equal(status.n_databases, 0);
    assert_int_equal(database_folders(), 1);
}

static unsigned descriptors(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 4096; fd++) {
        char path[64], target[8];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        n += readlink(path, target, sizeof target) >= 0;
    }
    return n;
}

/* 200 databases, some of them used and then at rest: no descriptor, and far below 100 KB each. */
static void an_idle_database_costs_no_descriptor_and_little_memory(void **state)
{
    (void)state;
    enum { N = 200, USED = 20 }; /* each that is used has a log file of 64 MiB on the disk */
    struct jade_node_status status;
    char name[32];
    node_opts.idle_close_us = 1;
    node_opts.manual = true;
    node_start();
    struct jade_database *db = create("first", 8);
    put_one(db, "a", 1); /* what a node needs once is there now */
    jade_database_unref(db);
    jade_node_run(node);
    unsigned fds = descriptors();
    int64_t bytes = jade_alloc_bytes_total();
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "db-%d", i);
        jade_database_unref(create(name, 8));
    }
    int64_t created = jade_alloc_bytes_total();
    for (int i = 0; i < USED; i++) {
        snprintf(name, sizeof name, "db-%d", i);
        db = find(name);
        put_one(db, "a", (float)i);
        jade_database_unref(db);
    }
    jade_node_status(node, &status);
    assert_int_equal(status.n_open, USED);
    assert_true(descriptors() > fds);
    jade_node_run(node);
    jade_node_status(node, &status);
    assert_int_equal(status.n_databases, N + 1);
    assert_int_equal(status.n_open, 0);
    assert_int_equal(status.n_vectors, USED + 1);
    assert_int_equal(descriptors(), fds);
    int64_t each = (created - bytes) / N, used = (jade_alloc_bytes_total() - created) / USED;
    print_message("an idle database: %lld bytes, after use %lld more\n", (long long)each,
                  (long long)used);
    assert_in_range(each + used, 0, 100 * 1024 - 1);
    db = find("db-12");
    assert_true(get_one(db, "a") == 12.0f);
    jade_database_unref(db);
    node_restart();
    jade_node_status(node, &status);
    assert_int_equal(status.n_databases, N + 1);
    db = find("db-7");
    assert_true(get_one(db, "a") == 7.0f);
    jade_database_unref(db);
}

static enum jade_database_state state_of(struct jade_database *db)
{
    struct jade_database_stats stats;
    OK(jade_database_stats(db, false, &stats, &err));
    return stats.state;
}

static void the_node_itself_closes_what_is_idle_and_looking_does_not_keep_it_open(void **state)
{
    (void)state;
    node_opts.idle_close_us = 200000;
    node_start();
    struct jade_database *db = create("one", 2);
    struct jade_os *os = jade_os_posix();
    put_one(db, "a", 1);
    assert_int_equal(state_of(db), JADE_DATABASE_OPEN);
    uint64_t begun = jade_os_mono_us(os), deadline = begun + 20 * 1000000;
    while (state_of(db) != JADE_DATABASE_IDLE && jade_os_mono_us(os) < deadline) {
    }
    assert_int_equal(state_of(db), JADE_DATABASE_IDLE);
    assert_true(jade_os_mono_us(os) - begun >= 100000);
    struct jade_database_stats stats;
    OK(jade_database_stats(db, false, &stats, &err));
    assert_true(stats.known);
    assert_int_equal(stats.shard.n_live, 1);
    OK(jade_database_stats(db, true, &stats, &err));
    assert_int_equal(stats.state, JADE_DATABASE_OPEN);
    assert_int_equal(stats.n_running, 0);
    jade_database_unref(db);
}

/** Overwrites a file of a closed database. */
static void damage(struct jade_database *db, const char *file)
{
    char path[JADE_PATH_MAX];
    OK(jade_path_join(path, folder, jade_database_id(db), &err));
    OK(jade_path_join(path, path, file, &err));
    OK(jade_os_replace(jade_os_posix(), path, "damaged", 7, &err));
}

static void a_damaged_database_fails_alone_and_says_why(void **state)
{
    (void)state;
    struct jade_arena arena;
    struct jade_node_status status;
    struct jade_database *bad = create("bad", 2), *gone = create("gone", 2),
                         *good = create("good", 2);
    put_one(good, "a", 3);
    damage(bad, "0/CURRENT");
    char path[JADE_PATH_MAX];
    OK(jade_path_join(path, folder, jade_database_id(gone), &err));
    OK(jade_os_remove_tree(jade_os_posix(), path, &err));
    jade_arena_init(&arena, JADE_TAG_TEST);
    for (int i = 0; i < 2; i++) {
        uint64_t n;
        assert_int_equal(jade_database_count(bad, NULL, &n, &err), JADE_E_CORRUPT);
        assert_non_null(strstr(err.message, "bad"));
        assert_int_equal(jade_database_count(gone, NULL, &n, &err), JADE_E_CORRUPT);
        struct jade_database_info info = info_of(bad, &arena);
        assert_int_equal(info.state, JADE_DATABASE_DAMAGED);
        assert_int_equal(info.error.code, JADE_E_CORRUPT);
        assert_true(info.error.message[0] != '\0');
        assert_true(get_one(good, "a") == 3.0f);
    }
    jade_node_status(node, &status);
    assert_int_equal(status.n_damaged, 2);
    assert_int_equal(status.n_open, 1);
    OK(jade_node_delete(node, bad, &err)); /* it can still be deleted */
    jade_database_unref(bad);
    jade_database_unref(gone);
    jade_database_unref(good);
    jade_arena_release(&arena);
}

static int no_sync(int fd)
{
    (void)fd;
    errno = EIO;
    return -1;
}

static jade_code try_put(struct jade_database *db, const char *id)
{
    const float values[2] = {1, 2};
    struct jade_put put = {.id = id, .id_len = (uint32_t)strlen(id), .values = values, .dim = 2};
    const struct jade_put_opts opts = {.durability = JADE_DURABILITY_SYNC};
    struct jade_put_result *results;
    struct jade_write_result written;
    struct jade_arena arena;
    jade_arena_init(&arena, JADE_TAG_TEST);
    jade_code rc = jade_database_put(db, &put, 1, &opts, &arena, &results, &written, &err);
    jade_arena_release(&arena);
    return rc;
}

/* Closing and opening again would make writes go on by themselves, and hide that the disk failed. */
static void a_database_whose_writes_stopped_is_not_closed_by_idleness(void **state)
{
    (void)state;
    struct jadei_sys failing = jadei_sys_real;
    struct jade_database_stats stats;
    failing.fdatasync = no_sync;
    node_opts.manual = true; /* no thread uses the table of system calls meanwhile */
    node_opts.idle_close_us = 1;
    node_start();
    struct jade_database *db = create("one", 2), *other = create("other", 2);
    put_one(db, "a", 1);
    jadei_sys = &failing;
    jade_code rc = try_put(db, "b");
    jadei_sys = &jadei_sys_real;
    assert_int_equal(rc, JADE_E_IO);
    put_one(other, "a", 1);
    assert_int_equal(try_put(db, "c"), JADE_E_POISONED);
    assert_int_equal(jade_node_close_idle(node), 1); /* the other */
    OK(jade_database_stats(db, false, &stats, &err));
    assert_int_equal(stats.state, JADE_DATABASE_OPEN);
    assert_true(stats.shard.poisoned);
    assert_true(get_one(db, "a") == 1.0f);
    assert_int_equal(try_put(db, "c"), JADE_E_POISONED);
    jade_database_unref(db);
    jade_database_unref(other);
    assert_int_equal(jade_node_close(node, 1000000, &err), JADE_E_POISONED);
    node = NULL;
    node_start();
    db = find("one");
    assert_true(get_one(db, "a") == 1.0f);
    assert_int_equal(try_put(db, "c"), JADE_OK);
    jade_database_unref(db);
}

static void a_stopped_node_refuses_and_close_waits_for_what_runs(void **state)
{
    (void)state;
    struct jade_database *db = create("one", 2), *other = NULL;
    struct jade_database_spec spec = spec_of("two", 2);
    struct jade_shard *shard;
    put_one(db, "a", 1);
    OK(jadei_use_begin(db, &shard, &err)); /* a call that does not end yet */
    jade_node_stop(node);
    uint64_t n;
    REFUSED(jade_database_count(db, NULL, &n, &err), JADE_E_UNAVAILABLE, "");
    REFUSED(jade_node_create(node, &spec, &other, &err), JADE_E_UNAVAILABLE, "");
    REFUSED(jade_node_find(node, "one", 3, &other, &err), JADE_E_UNAVAILABLE, "");
    REFUSED(jade_node_delete(node, db, &err), JADE_E_UNAVAILABLE, "");
    assert_null(other);
    uint64_t begun = jade_os_mono_us(jade_os_posix());
    REFUSED(jade_node_close(node, 50000, &err), JADE_E_TIMEOUT, "");
    assert_in_range(jade_os_mono_us(jade_os_posix()) - begun, 50000, 5000000);
    (void)jadei_use_end(db, JADE_OK);
    jade_database_unref(db);
    node_restart();
    db = find("one");
    assert_true(get_one(db, "a") == 1.0f);
    jade_database_unref(db);
}

static void status_counts_calls_and_space(void **state)
{
    (void)state;
    struct jade_node_status status;
    struct jade_database_stats stats;
    struct jade_database *db = create("one", 2);
    put_one(db, "a", 1);
    put_one(db, "b", 2);
    get_one(db, "a");
    const char *ids[] = {"a", "nobody"};
    const uint32_t lens[] = {1, 6};
    struct jade_write_result written;
    OK(jade_database_delete_ids(db, ids, lens, 2, JADE_DURABILITY_DEFAULT, &written, &err));
    assert_int_equal(written.n_deleted, 1);
    OK(jade_database_stats(db, false, &stats, &err));
    assert_int_equal(stats.n_writes, 3);
    assert_int_equal(stats.n_rows_written, 2);
    assert_int_equal(stats.n_rows_deleted, 1);
    assert_int_equal(stats.n_gets, 1);
    assert_int_equal(stats.shard.n_live, 1);
    jade_node_status(node, &status);
    assert_int_equal(status.n_vectors, 1);
    assert_int_equal(status.n_writes, 3);
    assert_int_equal(status.n_open, 1);
    assert_true(status.disk_total_bytes >= status.disk_free_bytes && status.disk_total_bytes > 0);
    assert_true(status.memory_bytes > 0 && status.started_us > 0);
    assert_false(status.stopping);
    jade_database_unref(db);
}

static void unique_texts_are_uuids_of_version_7_that_sort_by_time(void **state)
{
    (void)state;
    uint8_t random[JADEI_UNIQUE_RANDOM];
    char text[JADEI_UNIQUE_CHARS + 1], later[JADEI_UNIQUE_CHARS + 1];
    /* The UUID of RFC 9562 appendix A.6: 017F22E2-79B0-7CC3-98C4-DC0C0C07398F, at 2022-02-22T19:22:22Z. */
    static const uint8_t rest[] = {0x7c, 0xc3, 0x98, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f};
    jadei_unique_text(INT64_C(1645557742000) * 1000, rest, text);
    assert_string_equal(text, "01fwhe4ydgfk1shh6w1g60eecf");
    memset(random, 0xff, sizeof random);
    jadei_unique_text(1000000, random, text);
    memset(random, 0, sizeof random);
    jadei_unique_text(1001000, random, later);
    assert_true(strcmp(text, later) < 0);
    assert_true(jadei_is_database_id("db_01fwhe4ydgfk1shh6w1g60eecf", 29));
    assert_false(jadei_is_database_id("db_01fwhe4ydgfk1shh6w1g60eec", 28));
    assert_false(jadei_is_database_id("db_01fwhe4ydgfk1shh6w1g60eecu", 29));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(everything_is_there_after_reopening),
        NODE_TEST(a_second_node_on_the_folder_is_told_so),
        FOLDER_TEST(a_folder_that_cannot_be_made_is_named),
        NODE_TEST(a_lost_catalog_over_full_folders_is_refused),
        NODE_TEST(a_folder_without_row_and_mark_is_left_alone_and_counted),
        FOLDER_TEST(an_idle_database_costs_no_descriptor_and_little_memory),
        FOLDER_TEST(the_node_itself_closes_what_is_idle_and_looking_does_not_keep_it_open),
        NODE_TEST(a_damaged_database_fails_alone_and_says_why),
        FOLDER_TEST(a_database_whose_writes_stopped_is_not_closed_by_idleness),
        NODE_TEST(a_stopped_node_refuses_and_close_waits_for_what_runs),
        NODE_TEST(status_counts_calls_and_space),
        cmocka_unit_test(unique_texts_are_uuids_of_version_7_that_sort_by_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
