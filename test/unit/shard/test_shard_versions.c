/*
 * Versions of an id that lie in one merged segment in another order than they were written: merges take segments of one size that need not be
 * neighbours, and a snapshot keeps dead rows alive.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "os/sim.h"
#include "shard/shard_private.h"

enum { DIM = 4, BIG = 4200 /* more rows than the first tier of segments holds */, BATCH = 700 };

struct fixture {
    struct jade_sim *sim;
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

static void begin(struct fixture *f)
{
    struct jade_err err = {0};
    *f = (struct fixture){0};
    check(jade_sim_new(1, &f->sim, &err), &err);
    struct jade_engine_opts opts = {.os = jade_sim_os(f->sim), .manual = true};
    check(jade_engine_new(&opts, &f->engine, &err), &err);
    struct jade_shard_config c = jade_shard_config_default(DIM, JADE_METRIC_EUCLIDEAN);
    c.index.kind = JADE_INDEX_FLAT;
    check(jade_shard_create(f->engine, "db/0", &c, &err), &err);
    check(jade_shard_open(f->engine, "db/0", &c, &f->shard, NULL, &err), &err);
}

static void end(struct fixture *f)
{
    struct jade_err err = {0};
    check(jade_shard_close(f->shard, &err), &err);
    jade_engine_free(f->engine);
    jade_sim_free(f->sim);
}

static struct jade_row_result write_one(struct fixture *f, const char *id)
{
    struct jade_err err = {0};
    struct jade_write_result result;
    struct jade_row_result rr;
    float v[DIM] = {1, 2, 3, 4};
    struct jade_row row = {.id = id, .id_len = (uint32_t)strlen(id), .values = v, .dim = DIM};
    check(jade_shard_upsert(f->shard, &row, 1, NULL, &result, &rr, &err), &err);
    return rr;
}

static void write_many(struct fixture *f, uint32_t n)
{
    static struct jade_row rows[BATCH];
    static char ids[BATCH][16];
    struct jade_err err = {0};
    struct jade_write_result result;
    float v[DIM] = {4, 3, 2, 1};
    for (uint32_t first = 0; first < n; first += BATCH) {
        for (uint32_t i = 0; i < BATCH; i++) {
            int len = snprintf(ids[i], sizeof ids[i], "many-%u", first + i);
            rows[i] =
                (struct jade_row){.id = ids[i], .id_len = (uint32_t)len, .values = v, .dim = DIM};
        }
        check(jade_shard_upsert(f->shard, rows, BATCH, NULL, &result, NULL, &err), &err);
    }
}

static void seal(struct fixture *f)
{
    struct jade_err err = {0};
    check(jade_shard_checkpoint(f->shard, &err), &err);
}

static uint64_t count(struct fixture *f, struct jade_lsn at)
{
    struct jade_err err = {0};
    uint64_t n;
    check(jade_shard_count(f->shard, NULL, at, &n, &err), &err);
    return n;
}

/* Segments by age: small, BIG with version 1 of "x", then small ones, the first with version 2. Those of one size become one, in the place of the oldest. */
static void build_out_of_order(struct fixture *f, struct jade_pin *pin)
{
    struct jade_err err = {0};
    bool did = false;
    write_one(f, "first");
    seal(f);
    write_many(f, BIG);
    assert_int_equal(write_one(f, "x").version, 1);
    seal(f);
    check(jade_shard_pin(f->shard, pin, &err), &err); /* keeps version 1 */
    assert_int_equal(write_one(f, "x").version, 2);
    seal(f);
    write_one(f, "third");
    seal(f);
    write_one(f, "fourth");
    seal(f);
    jade_mutex_lock(&f->shard->maintenance);
    check(jadei_merge_some(f->shard, &did, &err), &err);
    jade_mutex_unlock(&f->shard->maintenance);
    assert_true(did);
    struct jade_shard_stats st;
    jade_shard_stats(f->shard, &st);
    assert_int_equal(st.n_sealed, 2);
    check(jade_shard_rebuild(f->shard, NULL, NULL, NULL, &err), &err);
    jade_shard_stats(f->shard, &st);
    assert_int_equal(st.n_sealed, 1);
    assert_int_equal(st.n_dead, 1);
}

static void a_live_version_stored_before_a_dead_one_is_found_by_writes(void **state)
{
    (void)state;
    struct fixture f;
    struct jade_err err = {0};
    struct jade_pin pin;
    begin(&f);
    build_out_of_order(&f, &pin);
    uint64_t before = count(&f, JADE_LSN_NONE);
    struct jade_row_result rr = write_one(&f, "x");
    assert_int_equal(rr.version, 3);
    assert_false(rr.created);
    assert_int_equal(count(&f, JADE_LSN_NONE), before);
    struct jade_shard_stats st;
    jade_shard_stats(f.shard, &st);
    assert_int_equal(st.n_live, before);
    struct jade_write_result result;
    const char *x = "x";
    uint32_t len = 1;
    check(jade_shard_delete(f.shard, &x, &len, 1, NULL, &result, &err), &err);
    assert_int_equal(result.n_deleted, 1);
    assert_int_equal(count(&f, JADE_LSN_NONE), before - 1);
    jade_shard_unpin(f.shard, &pin);
    end(&f);
}

static void replay_finds_a_live_version_stored_before_a_dead_one(void **state)
{
    (void)state;
    struct fixture f;
    struct jade_err err = {0};
    struct jade_pin pin;
    begin(&f);
    build_out_of_order(&f, &pin);
    uint64_t before = count(&f, JADE_LSN_NONE);
    struct jade_shard_config c = *jade_shard_config(f.shard);
    write_one(&f, "x");
    check(jade_shard_close(f.shard, &err), &err); /* the write is in the log alone */
    check(jade_shard_open(f.engine, "db/0", &c, &f.shard, NULL, &err), &err);
    assert_int_equal(count(&f, JADE_LSN_NONE), before);
    assert_int_equal(write_one(&f, "x").version, 4);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_live_version_stored_before_a_dead_one_is_found_by_writes),
        cmocka_unit_test(replay_finds_a_live_version_stored_before_a_dead_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
