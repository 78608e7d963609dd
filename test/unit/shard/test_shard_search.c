/*
 * Never fewer than k answers while k rows match, also where the graph finds only rows that may not be answered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "os/sim.h"
#include "shard/shard.h"

enum { DIM = 4, NEAR = 4000, FAR = 50, BATCH = 500, K = 10, EVERY = 10 };

struct fixture {
    struct jade_sim *sim;
    struct jade_engine *engine;
    struct jade_shard *shard;
    struct jade_arena arena;
};

static void check(jade_code rc, const struct jade_err *err)
{
    if (rc != JADE_OK) {
        print_error("%s: %s (%s:%d)\n", jade_code_name(rc), err->message, err->file, err->line);
    }
    assert_int_equal(rc, JADE_OK);
}

/* Rows first..first + n of one batch, around `at` on the first axis, distinct on the others. */
static void write_around(struct fixture *f, uint32_t first, uint32_t n, float at)
{
    static struct jade_row rows[BATCH];
    static char ids[BATCH][16];
    static float values[BATCH][DIM];
    struct jade_err err = {0};
    struct jade_write_result result;
    assert_true(n <= BATCH);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = first + i;
        int len = snprintf(ids[i], sizeof ids[i], "row-%u", k);
        values[i][0] = at;
        for (uint32_t d = 1; d < DIM; d++) {
            values[i][d] = (float)(k * 7919u % (101u + 6 * d)) / 100.0f;
        }
        rows[i] = (struct jade_row){
            .id = ids[i], .id_len = (uint32_t)len, .values = values[i], .dim = DIM};
        rows[i].metadata = k % EVERY == 0 ? "{\"odd\":true}" : "{\"odd\":false}";
        rows[i].metadata_len = (uint32_t)strlen(rows[i].metadata);
    }
    check(jade_shard_upsert(f->shard, rows, n, NULL, &result, NULL, &err), &err);
}

static void delete_rows(struct fixture *f, uint32_t n)
{
    struct jade_err err = {0};
    struct jade_write_result result;
    for (uint32_t i = 0; i < n; i++) {
        char id[16];
        const char *list = id;
        uint32_t len = (uint32_t)snprintf(id, sizeof id, "row-%u", i);
        check(jade_shard_delete(f->shard, &list, &len, 1, NULL, &result, &err), &err);
    }
}

static void begin(struct fixture *f)
{
    struct jade_err err = {0};
    *f = (struct fixture){0};
    check(jade_sim_new(1, &f->sim, &err), &err);
    struct jade_engine_opts opts = {.os = jade_sim_os(f->sim), .manual = true};
    check(jade_engine_new(&opts, &f->engine, &err), &err);
    struct jade_shard_config c = jade_shard_config_default(DIM, JADE_METRIC_EUCLIDEAN);
    c.index.m = 8;
    c.index.ef_construction = 40;
    check(jade_shard_create(f->engine, "db/0", &c, &err), &err);
    check(jade_shard_open(f->engine, "db/0", &c, &f->shard, NULL, &err), &err);
    jade_arena_init(&f->arena, JADE_TAG_TEST);
}

static void end(struct fixture *f)
{
    struct jade_err err = {0};
    jade_arena_release(&f->arena);
    check(jade_shard_close(f->shard, &err), &err);
    jade_engine_free(f->engine);
    jade_sim_free(f->sim);
}

static void a_threshold_hides_no_row_that_reaches_it(void **state)
{
    (void)state;
    struct fixture f;
    struct jade_err err = {0};
    struct jade_hit *hits;
    uint32_t n;
    struct jade_search_info info;
    begin(&f);
    for (uint32_t i = 0; i < NEAR; i += BATCH) {
        write_around(&f, i, BATCH, 0);
    }
    write_around(&f, NEAR, FAR, 9);
    check(jade_shard_checkpoint(f.shard, &err), &err);
    delete_rows(&f, NEAR); /* what the graph finds first is dead now */
    const float query[DIM] = {0};
    struct jade_search q = {.vector = query, .dim = DIM, .k = K, .ef = K};
    check(jade_shard_search(f.shard, &q, &f.arena, &hits, &n, &info, &err), &err);
    assert_int_equal(info.plan, JADE_PLAN_GRAPH);
    assert_int_equal(n, K);
    q.has_threshold = true;
    q.threshold = hits[K - 1].score;
    struct jade_hit *at_threshold;
    check(jade_shard_search(f.shard, &q, &f.arena, &at_threshold, &n, NULL, &err), &err);
    assert_int_equal(n, K);
    for (uint32_t i = 0; i < K; i++) {
        assert_string_equal(at_threshold[i].record.id, hits[i].record.id);
    }
    q.threshold = 0.9; /* none is that near */
    check(jade_shard_search(f.shard, &q, &f.arena, &hits, &n, NULL, &err), &err);
    assert_int_equal(n, 0);
    end(&f);
}

static void a_filtered_walk_answers_only_rows_that_match(void **state)
{
    (void)state;
    struct fixture f;
    struct jade_err err = {0};
    struct jade_hit *hits;
    struct jade_hit *exact;
    uint32_t n;
    uint64_t count;
    struct jade_search_info info;
    struct jade_filter *filter = NULL;
    static const char text[] = "{\"odd\":false}";
    begin(&f);
    for (uint32_t i = 0; i < NEAR; i += BATCH) {
        write_around(&f, i, BATCH, (float)i / NEAR);
    }
    check(jade_shard_checkpoint(f.shard, &err), &err);
    delete_rows(&f, BATCH);
    check(jade_filter_parse_text(text, sizeof text - 1, "filter", &filter, &err), &err);
    check(jade_shard_count(f.shard, filter, JADE_LSN_NONE, &count, &err), &err);
    assert_int_equal(count, (NEAR - BATCH) - (NEAR - BATCH) / EVERY);
    uint32_t equal = 0;
    for (uint32_t round = 0; round < 20; round++) {
        const float query[DIM] = {(float)round / 20, 0.5f, (float)(round % 7) / 7, 0.25f};
        struct jade_search q = {.vector = query, .dim = DIM, .k = K, .filter = filter};
        q.with = JADE_WITH_METADATA;
        check(jade_shard_search(f.shard, &q, &f.arena, &hits, &n, &info, &err), &err);
        assert_int_equal(info.plan, JADE_PLAN_FILTER_GRAPH);
        assert_int_equal(n, K);
        q.exact = true;
        check(jade_shard_search(f.shard, &q, &f.arena, &exact, &n, &info, &err), &err);
        assert_int_equal(info.plan, JADE_PLAN_FILTER_SCAN);
        assert_int_equal(n, K);
        for (uint32_t i = 0; i < K; i++) {
            assert_string_equal(hits[i].record.metadata, text);
            equal += hits[i].distance <= exact[i].distance;
        }
    }
    assert_true(equal >= 20 * K * 9 / 10);
    jade_filter_free(filter);
    end(&f);
}

static void a_bad_query_names_its_field(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    const float good[DIM] = {1};
    const float nan[DIM] = {1, __builtin_nanf("")};
    const struct {
        struct jade_search q;
        const char *field;
    } table[] = {
        {{.vector = good, .dim = DIM, .k = 0}, "topK"},
        {{.vector = good, .dim = DIM, .k = JADE_TOPK_MAX + 1}, "topK"},
        {{.vector = good, .dim = DIM, .k = 1, .ef = JADE_EF_MAX + 1}, "efSearch"},
        {{.vector = good, .dim = DIM - 1, .k = 1}, "queryVector"},
        {{.vector = nan, .dim = DIM, .k = 1}, "queryVector"},
        {{.vector = good, .dim = DIM, .k = 1, .has_threshold = true, .threshold = (double)nan[1]},
         "threshold"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct jade_err err = {0};
        struct jade_hit *hits;
        uint32_t n;
        assert_int_not_equal(
            jade_shard_search(f.shard, &table[i].q, &f.arena, &hits, &n, NULL, &err), JADE_OK);
        assert_string_equal(err.field, table[i].field);
        assert_int_equal(n, 0);
    }
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_threshold_hides_no_row_that_reaches_it),
        cmocka_unit_test(a_filtered_walk_answers_only_rows_that_match),
        cmocka_unit_test(a_bad_query_names_its_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
