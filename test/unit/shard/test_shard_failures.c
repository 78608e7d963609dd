/*
 * Failures that sweeps over one fault do not meet: a mapped file that is cut under the process, a shard that was poisoned and is told to go on, what a
 * failed seal leaves behind, too many segments.
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

enum { DIM = 4, ROWS = 1000, MOST = 40 };

struct fixture {
    struct jade_sim *sim;
    char dir[64];
    struct jade_engine *engine;
    struct jade_shard *shard;
};

static void check(jade_code rc, const struct jade_err *err)
{
    if (rc != JADE_OK) {
        print_error("%s: %s (%s:%d)\n", jade_code_name(rc), err->message, err->file, err->line);
    }
    assert_int_equal(rc, JADE_OK);
}

static void begin(struct fixture *f, bool real_disk)
{
    struct jade_err err = {0};
    char path[96] = "db/0";
    *f = (struct fixture){0};
    struct jade_engine_opts opts = {.os = jade_os_posix(), .manual = true};
    if (real_disk) {
        const char *tmp = getenv("TMPDIR");
        snprintf(f->dir, sizeof f->dir, "%.40s/jade-test-XXXXXX", tmp ? tmp : "/tmp");
        assert_non_null(mkdtemp(f->dir));
        snprintf(path, sizeof path, "%s/0", f->dir);
    } else {
        check(jade_sim_new(1, &f->sim, &err), &err);
        opts.os = jade_sim_os(f->sim);
    }
    check(jade_engine_new(&opts, &f->engine, &err), &err);
    struct jade_shard_config c = jade_shard_config_default(DIM, JADE_METRIC_EUCLIDEAN);
    c.index.kind = JADE_INDEX_FLAT;
    check(jade_shard_create(f->engine, path, &c, &err), &err);
    check(jade_shard_open(f->engine, path, &c, &f->shard, NULL, &err), &err);
}

static void end(struct fixture *f, jade_code expected)
{
    struct jade_err err = {0};
    assert_int_equal(jade_shard_close(f->shard, &err), expected);
    jade_engine_free(f->engine);
    if (f->sim) {
        jade_sim_free(f->sim);
    } else {
        check(jade_os_remove_tree(jade_os_posix(), f->dir, &err), &err);
    }
}

static jade_code upsert(struct fixture *f, uint32_t first, uint32_t n, struct jade_err *err)
{
    static struct jade_row rows[ROWS];
    static char ids[ROWS][16];
    static const float v[DIM] = {1, 2, 3, 4};
    struct jade_write_result result;
    for (uint32_t i = 0; i < n; i++) {
        int len = snprintf(ids[i], sizeof ids[i], "row-%u", first + i);
        rows[i] = (struct jade_row){.id = ids[i], .id_len = (uint32_t)len, .values = v, .dim = DIM};
    }
    return jade_shard_upsert(f->shard, rows, n, NULL, &result, NULL, err);
}

static void write_and_seal(struct fixture *f, uint32_t first, uint32_t n)
{
    struct jade_err err = {0};
    check(upsert(f, first, n, &err), &err);
    check(jade_shard_checkpoint(f->shard, &err), &err);
}

static jade_code count_folder(void *ctx, const char *name, bool is_dir, struct jade_err *err)
{
    (void)name;
    (void)err;
    *(uint32_t *)ctx += is_dir;
    return JADE_OK;
}

static uint32_t folders(struct fixture *f)
{
    struct jade_err err = {0};
    uint32_t n = 0;
    char path[JADE_PATH_MAX];
    check(jade_path_join(path, f->shard->dir, "segments", &err), &err);
    check(jade_os_list(f->engine->os, path, count_folder, &n, &err), &err);
    return n;
}

static void a_row_that_cannot_be_read_refuses_its_update(void **state)
{
    (void)state;
    struct fixture f;
    struct jade_err err = {0};
    struct jade_arena arena;
    struct jade_record rec;
    char path[JADE_PATH_MAX];
    begin(&f, true);
    write_and_seal(&f, 0, ROWS);
    jade_arena_init(&arena, JADE_TAG_TEST);
    check(jade_shard_get(f.shard, "row-900", 7, 0, JADE_LSN_NONE, &arena, &rec, &err), &err);
    jade_arena_release(&arena);
    /* The block is verified; now another process cuts the file (a bad disk does the same once the page was dropped). */
    check(jade_path_join(path, f.shard->dir, "segments/1/rows.0", &err), &err);
    assert_int_equal(truncate(path, 4096), 0);
    assert_int_equal(upsert(&f, 900, 1, &err), JADE_E_IO);
    check(upsert(&f, ROWS, 1, &err), &err); /* nothing was logged, others go on */
    struct jade_shard_stats st;
    jade_shard_stats(f.shard, &st);
    assert_false(st.poisoned);
    assert_int_equal(st.n_live, ROWS + 1);
    end(&f, JADE_OK);
}

static void a_poisoned_shard_publishes_no_manifest(void **state)
{
    (void)state;
    struct fixture f;
    struct jade_err err = {0};
    begin(&f, false);
    write_and_seal(&f, 0, 3);
    write_and_seal(&f, 3, 3);
    /* Names: the folder of the segment, the manifest, CURRENT. */
    jade_sim_fail_at(f.sim, JADE_SIM_RENAME, 3, JADE_E_IO, false);
    assert_int_equal(jade_shard_rebuild(f.shard, NULL, NULL, NULL, &err), JADE_E_IO);
    assert_int_equal(upsert(&f, 6, 1, &err), JADE_E_POISONED);
    uint64_t number = f.shard->manifest.number;
    assert_int_equal(jade_shard_rebuild(f.shard, NULL, NULL, NULL, &err), JADE_E_POISONED);
    assert_int_equal(f.shard->manifest.number, number);
    end(&f, JADE_E_POISONED);
}

static void a_log_that_refuses_appends_is_told_as_poisoned(void **state)
{
    (void)state;
    struct fixture f;
    struct jade_err err = {0};
    struct jade_shard_stats st;
    begin(&f, false);
    check(upsert(&f, 0, 1, &err), &err);
    /* As after a failed roll of its file: the log is poisoned, everything before is durable. */
    uint64_t generation;
    jade_sim_fail_at(f.sim, JADE_SIM_WRITE, 1, JADE_E_IO, true);
    assert_int_not_equal(jade_wal_roll(f.shard->wal, &generation, &err), JADE_OK);
    jade_sim_fail_at(f.sim, JADE_SIM_WRITE, 0, JADE_OK, false);
    assert_int_equal(upsert(&f, 1, 1, &err), JADE_E_POISONED);
    jade_shard_stats(f.shard, &st);
    assert_true(st.poisoned);
    end(&f, JADE_E_POISONED);
}

static void a_seal_that_fails_leaves_no_folder(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 40; n++) {
        struct fixture f;
        struct jade_err err = {0};
        struct jade_shard_stats st;
        begin(&f, false);
        write_and_seal(&f, 0, 3);
        check(upsert(&f, 1, 3, &err), &err);
        jade_sim_fail_at(f.sim, JADE_SIM_OPEN, n, JADE_E_NOSPACE, false);
        jade_code rc = jade_shard_checkpoint(f.shard, &err);
        jade_sim_fail_at(f.sim, JADE_SIM_OPEN, 0, JADE_OK, false);
        jade_shard_stats(f.shard, &st);
        if (rc != JADE_OK && !st.poisoned) {
            assert_int_equal(folders(&f), st.n_sealed);
            check(jade_shard_checkpoint(f.shard, &err), &err);
            assert_int_equal(folders(&f), 2);
        }
        end(&f, st.poisoned ? JADE_E_POISONED : JADE_OK);
    }
}

static void a_merge_that_fails_leaves_no_folder(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 40; n++) {
        struct fixture f;
        struct jade_err err = {0};
        struct jade_shard_stats st;
        begin(&f, false);
        write_and_seal(&f, 0, 3);
        write_and_seal(&f, 1, 3);
        jade_sim_fail_at(f.sim, JADE_SIM_OPEN, n, JADE_E_NOSPACE, false);
        jade_code rc = jade_shard_rebuild(f.shard, NULL, NULL, NULL, &err);
        jade_sim_fail_at(f.sim, JADE_SIM_OPEN, 0, JADE_OK, false);
        jade_shard_stats(f.shard, &st);
        if (rc != JADE_OK && !st.poisoned) {
            assert_int_equal(folders(&f), st.n_sealed);
            check(jade_shard_rebuild(f.shard, NULL, NULL, NULL, &err), &err);
            assert_int_equal(folders(&f), 1);
        }
        end(&f, st.poisoned ? JADE_E_POISONED : JADE_OK);
    }
}

static void at_the_most_segments_a_merge_makes_room(void **state)
{
    (void)state;
    struct fixture f;
    struct jade_err err = {0};
    struct jade_shard_stats st;
    begin(&f, false);
    f.shard->segments_max = MOST;
    f.shard->config.merge_rows_max = 1; /* no merges until there are too many */
    for (uint32_t i = 0; i < MOST; i++) {
        write_and_seal(&f, i, 1);
    }
    check(upsert(&f, MOST, 1, &err), &err);
    assert_int_equal(jade_shard_checkpoint(f.shard, &err), JADE_E_BUSY);
    assert_int_equal(folders(&f), MOST);
    f.shard->config.merge_rows_max = 1u << 20;
    jade_engine_run(f.engine);
    jade_sim_advance(f.sim, 6000000);
    jade_engine_run(f.engine);
    jade_shard_stats(f.shard, &st);
    assert_int_equal(st.checkpoint.v, st.visible.v);
    assert_true(st.n_segments < 8);
    assert_int_equal(st.n_live, MOST + 1);
    end(&f, JADE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_that_cannot_be_read_refuses_its_update),
        cmocka_unit_test(a_poisoned_shard_publishes_no_manifest),
        cmocka_unit_test(a_log_that_refuses_appends_is_told_as_poisoned),
        cmocka_unit_test(a_seal_that_fails_leaves_no_folder),
        cmocka_unit_test(a_merge_that_fails_leaves_no_folder),
        cmocka_unit_test(at_the_most_segments_a_merge_makes_room),
    };
    jade_log_set_level(JADE_LOG_OFF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
