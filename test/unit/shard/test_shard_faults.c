/*
 * Faults, one at a time, at every place (style 3.8): the n-th call of the disk fails, the n-th allocation fails, n = 1, 2, 3, ... until a run passes
 * without meeting it. What was acknowledged is there, what failed is there wholly or not at all (allocation: not at all), nothing leaks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "os/sim.h"
#include "support/shard_model.h"

enum { DIM = 4, IDS = 30, STEPS = 14 };

struct fixture {
    struct jade_sim *sim;
    struct jade_engine *engine;
    struct jade_shard *shard;
    struct model acked, tried; /* tried: with the write that failed */
    uint64_t met;              /* faults that a call reported */
};

static struct jade_shard_config config(void)
{
    struct jade_shard_config c = jade_shard_config_default(DIM, JADE_METRIC_COSINE);
    c.seal_bytes = 4096;
    c.graph_rows_min = 4;
    c.index.m = 4;
    c.index.ef_construction = 8;
    return c;
}

static void begin(struct fixture *f)
{
    *f = (struct fixture){0};
    assert_int_equal(jade_sim_new(7, &f->sim, NULL), JADE_OK);
    f->acked.dim = DIM;
    f->acked.n_ids = IDS;
    f->tried = f->acked;
}

/* One write of the script; false when it failed. `again` repeats it after a failure (allocation sweeps). */
static jade_code write_step(struct fixture *f, int step, struct jade_err *err)
{
    struct jade_write_result result;
    if (step % 4 == 3) {
        char id[32];
        const char *list = id;
        model_id((uint32_t)step, id);
        uint32_t len = (uint32_t)strlen(id);
        f->tried = f->acked;
        f->tried.rows[step].alive = false;
        jade_code rc = jade_shard_delete(f->shard, &list, &len, 1, NULL, &result, err);
        f->acked = rc == JADE_OK ? f->tried : f->acked;
        return rc;
    }
    struct model_batch b;
    model_batch_begin(&f->acked, &b);
    for (uint32_t i = 0; i < 9; i++) {
        (void)model_batch_add(&f->acked, &b, ((uint32_t)step * 5 + i * 3) % IDS);
    }
    f->tried = f->acked;
    model_apply(&f->tried, &b);
    jade_code rc = jade_shard_upsert(f->shard, b.rows, b.n, NULL, &result, NULL, err);
    f->acked = rc == JADE_OK ? f->tried : f->acked;
    return rc;
}

static jade_code search_step(struct fixture *f, struct jade_err *err)
{
    struct jade_arena arena;
    struct jade_hit *hits;
    uint32_t n;
    float query[DIM] = {1, 2, 3, 4};
    struct jade_filter *filter = NULL;
    static const char text[] = "{\"even\":true}";
    jade_arena_init(&arena, JADE_TAG_TEST);
    jade_code rc = jade_filter_parse_text(text, sizeof text - 1, "filter", &filter, err);
    if (rc == JADE_OK) {
        struct jade_search s = {.vector = query,
                                .dim = DIM,
                                .k = 5,
                                .filter = filter,
                                .with = JADE_WITH_METADATA | JADE_WITH_VALUES};
        rc = jade_shard_search(f->shard, &s, &arena, &hits, &n, NULL, err);
    }
    jade_filter_free(filter);
    jade_arena_release(&arena);
    return rc;
}

static jade_code open_shard(struct fixture *f, bool create, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_shard_config c = config();
    struct jade_engine_opts opts = {.os = jade_sim_os(f->sim), .manual = true};
    JADE_TRY(jade_engine_new(&opts, &f->engine, err));
    if (create) {
        JADE_TRY(jade_shard_create(f->engine, "db/0", &c, err));
    }
    JADE_TRY(jade_shard_open(f->engine, "db/0", &c, &f->shard, NULL, err));
out:
    return rc;
}

static void close_all(struct fixture *f)
{
    if (f->shard) {
        (void)jade_shard_close(f->shard, NULL);
        f->shard = NULL;
    }
    jade_engine_free(f->engine);
    f->engine = NULL;
}

/* The whole life; stops at the first error unless `stubborn`: then a failed call is made once more and must succeed. */
static jade_code life(struct fixture *f, bool stubborn)
{
    jade_code rc = JADE_OK;
    struct jade_err err = {0};
    JADE_TRY(open_shard(f, true, &err));
    for (int step = 0; step < STEPS; step++) {
        rc = write_step(f, step, &err);
        if (rc != JADE_OK && stubborn) {
            f->met++;
            assert_int_equal(rc, JADE_E_NOMEM);
            assert_true(model_check(&f->acked, f->shard, JADE_LSN_NONE));
            rc = write_step(f, step, &err);
        }
        JADE_TRY(rc);
        rc = search_step(f, &err);
        if (rc != JADE_OK && stubborn) {
            f->met++;
            assert_int_equal(rc, JADE_E_NOMEM);
            rc = search_step(f, &err);
        }
        JADE_TRY(rc);
        jade_engine_run(f->engine);
    }
    JADE_TRY(jade_shard_checkpoint(f->shard, &err));
    JADE_TRY(jade_shard_rebuild(f->shard, NULL, NULL, NULL, &err));
out:
    return rc;
}

static void check_after(struct fixture *f, bool either)
{
    struct jade_err err = {0};
    jade_code rc = open_shard(f, false, &err);
    if (rc == JADE_E_NOT_FOUND && f->acked.stamp == 0) {
        close_all(f);
        return; /* the creation failed, and left no shard */
    }
    if (rc != JADE_OK) {
        print_error("%s: %s\n", jade_code_name(rc), err.message);
    }
    assert_int_equal(rc, JADE_OK);
    char why[512];
    bool with = true;
    for (uint32_t i = 0; i < IDS && with; i++) {
        with = model_row_holds(&f->tried, f->shard, i, JADE_LSN_NONE, why, sizeof why);
    }
    assert_true((either && with) || model_check(&f->acked, f->shard, JADE_LSN_NONE));
    close_all(f);
}

static void every_failing_call_of_the_disk_is_survived(void **state)
{
    (void)state;
    uint64_t faults = 0;
    bool clean = false;
    for (uint64_t n = 1; !clean; n++) {
        struct fixture f;
        begin(&f);
        jade_sim_fail_at(f.sim, JADE_SIM_ANY, n, JADE_E_IO, false);
        (void)life(&f, false);
        clean = jade_sim_calls(f.sim, JADE_SIM_ANY) < n;
        faults += !clean;
        jade_sim_fail_at(f.sim, JADE_SIM_ANY, 0, JADE_OK, false);
        close_all(&f);
        check_after(&f, true);
        jade_sim_free(f.sim);
    }
    print_message("%llu faults\n", (unsigned long long)faults);
    assert_true(faults > 300);
}

static void a_full_disk_refuses_writes_and_loses_nothing(void **state)
{
    (void)state;
    uint64_t refused = 0;
    for (uint64_t n = 1; n < 400; n += 3) {
        struct fixture f;
        begin(&f);
        jade_sim_fail_at(f.sim, JADE_SIM_ANY, n, JADE_E_NOSPACE, true);
        refused += life(&f, false) != JADE_OK;
        jade_sim_fail_at(f.sim, JADE_SIM_ANY, 0, JADE_OK, false);
        close_all(&f);
        check_after(&f, true);
        jade_sim_free(f.sim);
    }
    assert_true(refused > 50);
}

static void every_failing_allocation_changes_nothing(void **state)
{
    (void)state;
    uint64_t met = 0;
    bool clean = false;
    for (uint64_t n = 1; !clean; n++) {
        struct fixture f;
        begin(&f);
        jade_alloc_fail_at(n);
        (void)life(&f, true);
        clean = jade_alloc_count() < n;
        jade_alloc_fail_at(0);
        met += f.met;
        close_all(&f);
        check_after(&f, false);
        jade_sim_free(f.sim);
        assert_int_equal(jade_alloc_bytes(JADE_TAG_SEGMENT), 0);
        assert_int_equal(jade_alloc_bytes(JADE_TAG_VECTORS), 0);
        assert_int_equal(jade_alloc_bytes(JADE_TAG_SEARCH), 0);
    }
    print_message("%llu failures reported by writes and searches\n", (unsigned long long)met);
    assert_true(met > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_call_of_the_disk_is_survived),
        cmocka_unit_test(a_full_disk_refuses_writes_and_loses_nothing),
        cmocka_unit_test(every_failing_allocation_changes_nothing),
    };
    jade_log_set_level(JADE_LOG_OFF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
