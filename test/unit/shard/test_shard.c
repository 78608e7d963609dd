/*
 * One shard end to end on the simulated disk, without threads: writes, reads, snapshots, sealing, merging, recovery, against a model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "os/sim.h"
#include "support/shard_model.h"

enum { DIM = 8 };

struct fixture {
    struct jade_sim *sim;
    struct jade_engine *engine;
    struct jade_shard *shard;
    struct jade_shard_config config;
    struct model model;
    struct jade_random random;
};

static void check(jade_code rc, const struct jade_err *err)
{
    if (rc != JADE_OK) {
        print_error("%s: %s (%s:%d)\n", jade_code_name(rc), err->message, err->file, err->line);
    }
    assert_int_equal(rc, JADE_OK);
}

static void begin(struct fixture *f, enum jade_metric metric, uint64_t seed)
{
    struct jade_err err = {0};
    *f = (struct fixture){0};
    print_message("seed %llu\n", (unsigned long long)seed);
    jade_random_init(&f->random, seed);
    check(jade_sim_new(seed, &f->sim, &err), &err);
    struct jade_engine_opts opts = {.os = jade_sim_os(f->sim), .manual = true};
    check(jade_engine_new(&opts, &f->engine, &err), &err);
    f->config = jade_shard_config_default(DIM, metric);
    f->config.seal_bytes = 64 * 1024;
    f->model.dim = DIM;
    f->model.n_ids = MODEL_IDS;
    check(jade_shard_create(f->engine, "db/0", &f->config, &err), &err);
    check(jade_shard_open(f->engine, "db/0", &f->config, &f->shard, NULL, &err), &err);
}

static void reopen(struct fixture *f)
{
    struct jade_err err = {0};
    check(jade_shard_close(f->shard, &err), &err);
    check(jade_shard_open(f->engine, "db/0", &f->config, &f->shard, NULL, &err), &err);
}

static void end(struct fixture *f)
{
    struct jade_err err = {0};
    check(jade_shard_close(f->shard, &err), &err);
    jade_engine_free(f->engine);
    jade_sim_free(f->sim);
    assert_int_equal(jade_alloc_bytes(JADE_TAG_SEGMENT), 0);
    assert_int_equal(jade_alloc_bytes(JADE_TAG_VECTORS), 0);
}

static void write_batch(struct fixture *f, const struct model_batch *b)
{
    struct jade_err err = {0};
    struct jade_write_result result;
    check(jade_shard_upsert(f->shard, b->rows, b->n, NULL, &result, NULL, &err), &err);
    assert_int_equal(result.n_created + result.n_updated, b->n);
    model_apply(&f->model, b);
}

static void write_random(struct fixture *f)
{
    struct model_batch b;
    model_batch_begin(&f->model, &b);
    uint32_t n = 1 + (uint32_t)jade_random_below(&f->random, 40);
    for (uint32_t i = 0; i < n; i++) {
        (void)model_batch_add(&f->model, &b,
                              (uint32_t)jade_random_below(&f->random, f->model.n_ids));
    }
    write_batch(f, &b);
}

static void delete_random(struct fixture *f)
{
    struct jade_err err = {0};
    struct jade_write_result result;
    char ids[8][32];
    const char *list[8];
    uint32_t lens[8];
    uint32_t alive = 0;
    for (uint32_t i = 0; i < 8; i++) {
        uint32_t k = (uint32_t)jade_random_below(&f->random, f->model.n_ids);
        model_id(k, ids[i]);
        list[i] = ids[i];
        lens[i] = (uint32_t)strlen(ids[i]);
        alive += f->model.rows[k].alive;
        f->model.rows[k].alive = false;
    }
    check(jade_shard_delete(f->shard, list, lens, 8, NULL, &result, &err), &err);
    assert_int_equal(result.n_deleted, alive);
}

static void reads_see_writes_and_deletes(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, JADE_METRIC_COSINE, 1);
    for (int i = 0; i < 60; i++) {
        write_random(&f);
        delete_random(&f);
        assert_true(model_check(&f.model, f.shard, JADE_LSN_NONE));
    }
    end(&f);
}

static void everything_survives_reopening_sealing_and_merging(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, JADE_METRIC_EUCLIDEAN, 2);
    for (int i = 0; i < 400; i++) {
        write_random(&f);
        if (i % 3 == 0) {
            delete_random(&f);
        }
        if (i % 50 == 49) {
            jade_engine_run(f.engine);
            assert_true(model_check(&f.model, f.shard, JADE_LSN_NONE));
        }
        if (i % 77 == 76) {
            reopen(&f);
            assert_true(model_check(&f.model, f.shard, JADE_LSN_NONE));
        }
    }
    struct jade_shard_stats st;
    jade_engine_run(f.engine);
    jade_shard_stats(f.shard, &st);
    assert_true(st.checkpoint.v > 0);
    assert_true(st.n_sealed > 0);
    struct jade_err err = {0};
    check(jade_shard_rebuild(f.shard, NULL, NULL, NULL, &err), &err);
    assert_true(model_check(&f.model, f.shard, JADE_LSN_NONE));
    check(jade_shard_verify(f.shard, &err), &err);
    jade_shard_stats(f.shard, &st);
    assert_int_equal(st.n_sealed, 1);
    assert_int_equal(st.n_dead, 0);
    reopen(&f);
    assert_true(model_check(&f.model, f.shard, JADE_LSN_NONE));
    end(&f);
}

static void a_pinned_snapshot_sees_one_moment_through_merges(void **state)
{
    (void)state;
    struct fixture f;
    struct jade_err err = {0};
    struct jade_pin pin;
    begin(&f, JADE_METRIC_DOT, 3);
    for (int i = 0; i < 50; i++) {
        write_random(&f);
    }
    check(jade_shard_pin(f.shard, &pin, &err), &err);
    struct model then = f.model;
    for (int i = 0; i < 200; i++) {
        write_random(&f);
        delete_random(&f);
    }
    assert_true(model_check(&then, f.shard, pin.lsn));
    check(jade_shard_rebuild(f.shard, NULL, NULL, NULL, &err), &err);
    assert_true(model_check(&then, f.shard, pin.lsn));
    assert_true(model_check(&f.model, f.shard, JADE_LSN_NONE));
    jade_shard_unpin(f.shard, &pin);
    uint64_t n;
    assert_int_equal(jade_shard_count(f.shard, NULL, pin.lsn, &n, &err), JADE_E_SNAPSHOT_TOO_OLD);
    check(jade_shard_rebuild(f.shard, NULL, NULL, NULL, &err), &err);
    struct jade_shard_stats st;
    jade_shard_stats(f.shard, &st);
    assert_int_equal(st.n_dead, 0);
    end(&f);
}

static void a_pin_is_given_up_after_its_time(void **state)
{
    (void)state;
    struct fixture f;
    struct jade_err err = {0};
    struct jade_pin pin;
    uint64_t n;
    begin(&f, JADE_METRIC_DOT, 4);
    write_random(&f);
    check(jade_shard_pin(f.shard, &pin, &err), &err);
    check(jade_shard_count(f.shard, NULL, pin.lsn, &n, &err), &err);
    jade_sim_advance(f.sim, JADE_PIN_AGE_US_MAX + 1);
    jade_engine_run(f.engine);
    assert_int_equal(jade_shard_count(f.shard, NULL, pin.lsn, &n, &err), JADE_E_SNAPSHOT_TOO_OLD);
    end(&f);
}

static int nearer(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;
    return x[0] < y[0] ? -1 : x[0] > y[0];
}

static void search_equals_brute_force(void **state)
{
    (void)state;
    static const enum jade_metric metrics[] = {JADE_METRIC_COSINE, JADE_METRIC_EUCLIDEAN,
                                               JADE_METRIC_DOT};
    for (size_t mi = 0; mi < 3; mi++) {
        struct fixture f;
        struct jade_err err = {0};
        struct jade_filter *filter = NULL;
        begin(&f, metrics[mi], 5 + mi);
        for (int i = 0; i < 300; i++) {
            write_random(&f);
            if (i % 4 == 0) {
                delete_random(&f);
            }
        }
        static const char text[] = "{\"even\":true,\"i\":{\"$lt\":300}}";
        check(jade_filter_parse_text(text, sizeof text - 1, "filter", &filter, &err), &err);
        for (uint32_t q = 0; q < 20; q++) {
            float query[DIM];
            model_values(100000 + q, 7, DIM, query);
            for (int filtered = 0; filtered < 2; filtered++) {
                double best[MODEL_IDS][2];
                uint32_t n = 0;
                for (uint32_t i = 0; i < f.model.n_ids; i++) {
                    float v[DIM];
                    if (!f.model.rows[i].alive || (filtered && (i % 2 != 0 || i >= 300))) {
                        continue;
                    }
                    model_values(i, f.model.rows[i].stamp, DIM, v);
                    double dot = 0;
                    double aa = 0;
                    double bb = 0;
                    double l2 = 0;
                    for (int d = 0; d < DIM; d++) {
                        dot += (double)v[d] * (double)query[d];
                        aa += (double)v[d] * (double)v[d];
                        bb += (double)query[d] * (double)query[d];
                        l2 += ((double)v[d] - (double)query[d]) * ((double)v[d] - (double)query[d]);
                    }
                    double dist = metrics[mi] == JADE_METRIC_DOT ? -dot
                                  : metrics[mi] == JADE_METRIC_EUCLIDEAN
                                      ? l2
                                      : 1 - dot / (__builtin_sqrt(aa) * __builtin_sqrt(bb));
                    best[n][0] = dist;
                    best[n++][1] = i;
                }
                qsort(best, n, sizeof best[0], nearer);
                struct jade_arena arena;
                struct jade_hit *hits;
                uint32_t n_hits;
                struct jade_search_info info;
                jade_arena_init(&arena, JADE_TAG_TEST);
                struct jade_search search = {.vector = query,
                                             .dim = DIM,
                                             .k = 10,
                                             .filter = filtered ? filter : NULL,
                                             .with = JADE_WITH_METADATA};
                check(jade_shard_search(f.shard, &search, &arena, &hits, &n_hits, &info, &err),
                      &err);
                assert_int_equal(n_hits, n < 10 ? n : 10);
                for (uint32_t h = 0; h < n_hits; h++) {
                    char id[32];
                    model_id((uint32_t)best[h][1], id);
                    assert_string_equal(hits[h].record.id, id);
                    assert_true(h == 0 || hits[h].score <= hits[h - 1].score);
                }
                jade_arena_release(&arena);
            }
        }
        jade_filter_free(filter);
        end(&f);
    }
}

static void bad_rows_are_refused_and_change_nothing(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, JADE_METRIC_COSINE, 9);
    float good[DIM] = {1};
    float zero[DIM] = {0};
    float nan[DIM] = {1, __builtin_nanf("")};
    float inf[DIM] = {1, __builtin_inff()};
    char long_id[600];
    memset(long_id, 'x', sizeof long_id);
    static char long_meta[JADE_METADATA_BYTES_DEFAULT + 1];
    memset(long_meta, ' ', sizeof long_meta);
    long_meta[0] = '{';
    long_meta[sizeof long_meta - 1] = '}';
    const struct {
        struct jade_row row;
        jade_code code;
        const char *field;
    } table[] = {
        {{.id = "a", .id_len = 1, .values = good, .dim = DIM - 1},
         JADE_E_DIMENSION_MISMATCH,
         "vectors[0].values"},
        {{.id = "a", .id_len = 1, .values = zero, .dim = DIM},
         JADE_E_INVALID_ARGUMENT,
         "vectors[0].values"},
        {{.id = "a", .id_len = 1, .values = nan, .dim = DIM},
         JADE_E_INVALID_ARGUMENT,
         "vectors[0].values"},
        {{.id = "a", .id_len = 1, .values = inf, .dim = DIM},
         JADE_E_INVALID_ARGUMENT,
         "vectors[0].values"},
        {{.id = "", .id_len = 0, .values = good, .dim = DIM},
         JADE_E_INVALID_ARGUMENT,
         "vectors[0].id"},
        {{.id = long_id, .id_len = 513, .values = good, .dim = DIM},
         JADE_E_INVALID_ARGUMENT,
         "vectors[0].id"},
        {{.id = "\xff\xfe", .id_len = 2, .values = good, .dim = DIM},
         JADE_E_INVALID_ARGUMENT,
         "vectors[0].id"},
        {{.id = "a",
          .id_len = 1,
          .values = good,
          .dim = DIM,
          .metadata = long_meta,
          .metadata_len = sizeof long_meta},
         JADE_E_TOO_LARGE,
         "vectors[0].metadata"},
        {{.id = "a", .id_len = 1, .values = good, .dim = DIM, .metadata = "[1]", .metadata_len = 3},
         JADE_E_INVALID_ARGUMENT,
         "vectors[0].metadata"},
        {{.id = "a",
          .id_len = 1,
          .values = good,
          .dim = DIM,
          .metadata = "{\"a\":1,\"a\":2}",
          .metadata_len = 13},
         JADE_E_INVALID_ARGUMENT,
         NULL},
        {{.id = "a", .id_len = 1, .values = good, .dim = DIM, .metadata = "{", .metadata_len = 1},
         JADE_E_INVALID_JSON,
         NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct jade_err err = {0};
        struct jade_write_result result;
        assert_int_equal(jade_shard_upsert(f.shard, &table[i].row, 1, NULL, &result, NULL, &err),
                         table[i].code);
        if (table[i].field) {
            assert_string_equal(err.field, table[i].field);
        }
        assert_true(err.message[0] != '\0');
    }
    struct jade_row twice[2] = {{.id = "a", .id_len = 1, .values = good, .dim = DIM},
                                {.id = "a", .id_len = 1, .values = good, .dim = DIM}};
    struct jade_err err = {0};
    struct jade_write_result result;
    assert_int_equal(jade_shard_upsert(f.shard, twice, 2, NULL, &result, NULL, &err),
                     JADE_E_DUPLICATE_ID);
    assert_string_equal(err.field, "vectors[1].id");
    struct jade_shard_stats st;
    jade_shard_stats(f.shard, &st);
    assert_int_equal(st.n_rows, 0);
    assert_int_equal(st.visible.v, 0);
    end(&f);
}

static void insert_and_update_modes_check_before_they_write(void **state)
{
    (void)state;
    struct fixture f;
    struct jade_err err = {0};
    struct jade_write_result result;
    struct jade_row_result rr[2];
    begin(&f, JADE_METRIC_DOT, 10);
    float v[DIM] = {1};
    struct jade_row a = {.id = "a", .id_len = 1, .values = v, .dim = DIM};
    struct jade_row both[2] = {a, {.id = "b", .id_len = 1, .values = v, .dim = DIM}};
    struct jade_write_opts insert = {.mode = JADE_WRITE_INSERT,
                                     .durability = JADE_DURABILITY_DEFAULT};
    struct jade_write_opts update = {.mode = JADE_WRITE_UPDATE,
                                     .durability = JADE_DURABILITY_DEFAULT};
    assert_int_equal(jade_shard_upsert(f.shard, &a, 1, &update, &result, rr, &err),
                     JADE_E_NOT_FOUND);
    check(jade_shard_upsert(f.shard, &a, 1, &insert, &result, rr, &err), &err);
    assert_true(rr[0].created);
    assert_int_equal(rr[0].version, 1);
    assert_int_equal(jade_shard_upsert(f.shard, both, 2, &insert, &result, rr, &err),
                     JADE_E_ALREADY_EXISTS);
    uint64_t n;
    check(jade_shard_count(f.shard, NULL, JADE_LSN_NONE, &n, &err), &err);
    assert_int_equal(n, 1); /* the batch was refused whole */
    check(jade_shard_upsert(f.shard, &a, 1, &update, &result, rr, &err), &err);
    assert_int_equal(rr[0].version, 2);
    end(&f);
}

static void a_failed_sync_stops_writes_until_reopened(void **state)
{
    (void)state;
    struct fixture f;
    struct jade_err err = {0};
    struct jade_write_result result;
    begin(&f, JADE_METRIC_DOT, 11);
    write_random(&f);
    struct model before = f.model;
    float v[DIM] = {1};
    struct jade_row a = {.id = "a", .id_len = 1, .values = v, .dim = DIM};
    jade_sim_fail_at(f.sim, JADE_SIM_SYNC, 1, JADE_E_IO, false);
    assert_int_equal(jade_shard_upsert(f.shard, &a, 1, NULL, &result, NULL, &err), JADE_E_IO);
    assert_int_equal(jade_shard_upsert(f.shard, &a, 1, NULL, &result, NULL, &err), JADE_E_POISONED);
    assert_true(model_check(&before, f.shard, JADE_LSN_NONE)); /* reads go on */
    assert_int_equal(jade_shard_close(f.shard, &err), JADE_E_POISONED);
    check(jade_shard_open(f.engine, "db/0", &f.config, &f.shard, NULL, &err), &err);
    check(jade_shard_upsert(f.shard, &a, 1, NULL, &result, NULL, &err), &err);
    end(&f);
}

static void a_log_of_deletes_alone_is_trimmed(void **state)
{
    (void)state;
    struct fixture f;
    struct jade_err err = {0};
    begin(&f, JADE_METRIC_DOT, 12);
    for (int i = 0; i < 100; i++) {
        write_random(&f);
    }
    check(jade_shard_checkpoint(f.shard, &err), &err);
    struct jade_shard_stats st;
    for (int i = 0; i < 40; i++) {
        delete_random(&f);
    }
    check(jade_shard_checkpoint(f.shard, &err), &err);
    jade_shard_stats(f.shard, &st);
    assert_int_equal(st.checkpoint.v, st.visible.v);
    assert_int_equal(st.wal_bytes,
                     0); /* the file of the log that ended with the checkpoint is gone */
    reopen(&f);
    assert_true(model_check(&f.model, f.shard, JADE_LSN_NONE));
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_see_writes_and_deletes),
        cmocka_unit_test(everything_survives_reopening_sealing_and_merging),
        cmocka_unit_test(a_pinned_snapshot_sees_one_moment_through_merges),
        cmocka_unit_test(a_pin_is_given_up_after_its_time),
        cmocka_unit_test(search_equals_brute_force),
        cmocka_unit_test(bad_rows_are_refused_and_change_nothing),
        cmocka_unit_test(insert_and_update_modes_check_before_they_write),
        cmocka_unit_test(a_failed_sync_stops_writes_until_reopened),
        cmocka_unit_test(a_log_of_deletes_alone_is_trimmed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
