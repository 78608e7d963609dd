/*
 * A shard under threads on the real disk: writers, searchers, sealing, merging and graph building at once. Meant for the thread sanitizer
 * as much as for its assertions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/thread.h"
#include "support/shard_model.h"

enum { DIM = 16, WRITERS = 3, READERS = 2, ROUNDS = 60, IDS_EACH = 2000, BATCH = 64 };

struct fixture {
    char dir[64];
    struct jade_engine *engine;
    struct jade_shard *shard;
    struct jade_shard_config config;
    _Atomic bool stop;
    _Atomic uint64_t acknowledged[WRITERS]; /* rounds whose writes returned */
    _Atomic uint64_t answers;
};

struct worker {
    struct fixture *f;
    unsigned number;
    struct jade_thread thread;
    bool failed;
};

static void check(jade_code rc, const struct jade_err *err)
{
    if (rc != JADE_OK) {
        print_error("%s: %s (%s:%d)\n", jade_code_name(rc), err->message, err->file, err->line);
    }
    assert_int_equal(rc, JADE_OK);
}

static void begin(struct fixture *f, uint64_t seal_bytes)
{
    struct jade_err err = {0};
    memset(f, 0, sizeof *f);
    const char *tmp = getenv("TMPDIR");
    snprintf(f->dir, sizeof f->dir, "%.40s/jade-test-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    struct jade_engine_opts opts = {.os = jade_os_posix(), .background_threads = 2};
    check(jade_engine_new(&opts, &f->engine, &err), &err);
    f->config = jade_shard_config_default(DIM, JADE_METRIC_EUCLIDEAN);
    f->config.seal_bytes = seal_bytes;
    f->config.index.ef_construction = 40;
    f->config.index.m = 8;
    char path[96];
    snprintf(path, sizeof path, "%s/0", f->dir);
    check(jade_shard_create(f->engine, path, &f->config, &err), &err);
    check(jade_shard_open(f->engine, path, &f->config, &f->shard, NULL, &err), &err);
}

static void end(struct fixture *f)
{
    struct jade_err err = {0};
    check(jade_shard_close(f->shard, &err), &err);
    jade_engine_free(f->engine);
    check(jade_os_remove_tree(jade_os_posix(), f->dir, &err), &err);
}

/* Round r of writer w upserts a batch whose every row says r; then deletes the first row of it when r is odd. */
static void *write_main(void *arg)
{
    struct worker *w = arg;
    struct jade_random random;
    jade_random_init(&random, w->number);
    for (uint64_t r = 1; r <= ROUNDS && !w->failed; r++) {
        struct jade_row rows[BATCH];
        char ids[BATCH][32];
        char meta[BATCH][64];
        float values[BATCH][DIM];
        struct jade_write_result result;
        struct jade_err err = {0};
        uint32_t first = (uint32_t)jade_random_below(&random, IDS_EACH - BATCH);
        for (uint32_t i = 0; i < BATCH; i++) {
            snprintf(ids[i], sizeof ids[i], "w%u-%u", w->number, first + i);
            int n = snprintf(meta[i], sizeof meta[i], "{\"writer\":%u,\"round\":%llu}", w->number,
                             (unsigned long long)r);
            model_values(first + i, r, DIM, values[i]);
            rows[i] = (struct jade_row){.id = ids[i],
                                        .id_len = (uint32_t)strlen(ids[i]),
                                        .values = values[i],
                                        .dim = DIM,
                                        .metadata = meta[i],
                                        .metadata_len = (uint32_t)n};
        }
        w->failed |=
            jade_shard_upsert(w->f->shard, rows, BATCH, NULL, &result, NULL, &err) != JADE_OK;
        if (r % 2 == 1) {
            const char *id = ids[0];
            uint32_t len = (uint32_t)strlen(id);
            w->failed |=
                jade_shard_delete(w->f->shard, &id, &len, 1, NULL, &result, &err) != JADE_OK ||
                result.n_deleted != 1;
        }
        atomic_store(&w->f->acknowledged[w->number], r);
        if (w->failed) {
            print_error("writer %u: %s\n", w->number, err.message);
        }
    }
    return NULL;
}

static bool check_hits(const struct jade_hit *hits, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0 && hits[i].score > hits[i - 1].score) {
            return false;
        }
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(hits[i].record.id, hits[j].record.id) == 0) {
                print_error("%s twice in one answer\n", hits[i].record.id);
                return false; /* two versions of one id were seen at one LSN */
            }
        }
    }
    return true;
}

static void *read_main(void *arg)
{
    struct worker *w = arg;
    struct jade_filter *filter = NULL;
    struct jade_err err = {0};
    static const char text[] = "{\"writer\":1}";
    w->failed |= jade_filter_parse_text(text, sizeof text - 1, "filter", &filter, &err) != JADE_OK;
    for (uint32_t q = 0; !atomic_load(&w->f->stop) && !w->failed; q++) {
        float query[DIM];
        struct jade_arena arena;
        struct jade_hit *hits;
        uint32_t n;
        model_values(q, 12345, DIM, query);
        jade_arena_init(&arena, JADE_TAG_TEST);
        struct jade_search s = {.vector = query,
                                .dim = DIM,
                                .k = 20,
                                .filter = q % 2 ? filter : NULL,
                                .with = JADE_WITH_METADATA | JADE_WITH_VALUES};
        jade_code rc = jade_shard_search(w->f->shard, &s, &arena, &hits, &n, NULL, &err);
        if (rc != JADE_OK || !check_hits(hits, n)) {
            print_error("reader: %s\n", err.message);
            w->failed = true;
        }
        atomic_fetch_add(&w->f->answers, n);
        jade_arena_release(&arena);
    }
    jade_filter_free(filter);
    return NULL;
}

static void writers_readers_and_background_work_agree(void **state)
{
    (void)state;
    struct fixture f;
    struct jade_err err = {0};
    struct worker writers[WRITERS] = {0};
    struct worker readers[READERS] = {0};
    begin(&f, 512 * 1024);
    for (unsigned i = 0; i < READERS; i++) {
        readers[i] = (struct worker){.f = &f, .number = i};
        check(jade_thread_start(&readers[i].thread, "reader", 0, read_main, &readers[i], &err),
              &err);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct worker){.f = &f, .number = i};
        check(jade_thread_start(&writers[i].thread, "writer", 0, write_main, &writers[i], &err),
              &err);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        jade_thread_join(&writers[i].thread);
        assert_false(writers[i].failed);
    }
    check(jade_shard_checkpoint(f.shard, &err), &err);
    atomic_store(&f.stop, true);
    for (unsigned i = 0; i < READERS; i++) {
        jade_thread_join(&readers[i].thread);
        assert_false(readers[i].failed);
    }
    assert_true(atomic_load(&f.answers) > 0);
    check(jade_shard_rebuild(f.shard, NULL, NULL, NULL, &err), &err);
    check(jade_shard_verify(f.shard, &err), &err);
    struct jade_shard_stats st;
    jade_shard_stats(f.shard, &st);
    uint64_t count;
    check(jade_shard_count(f.shard, NULL, JADE_LSN_NONE, &count, &err), &err);
    assert_int_equal(count, st.n_live);
    assert_int_equal(st.tail_rows, 0);
    end(&f);
}

static void the_graph_follows_and_finds_what_a_scan_finds(void **state)
{
    (void)state;
    struct fixture f;
    struct jade_err err = {0};
    begin(&f, 64ull << 20);
    enum { N = 6000 };
    for (uint32_t i = 0; i < N; i += BATCH) {
        struct jade_row rows[BATCH];
        char ids[BATCH][32];
        float values[BATCH][DIM];
        struct jade_write_result result;
        for (uint32_t k = 0; k < BATCH; k++) {
            snprintf(ids[k], sizeof ids[k], "n%u", i + k);
            model_values(i + k, 1, DIM, values[k]);
            rows[k] = (struct jade_row){
                .id = ids[k], .id_len = (uint32_t)strlen(ids[k]), .values = values[k], .dim = DIM};
        }
        check(jade_shard_upsert(f.shard, rows, BATCH, NULL, &result, NULL, &err), &err);
    }
    check(jade_shard_wait_indexed(f.shard, 60000000, &err), &err);
    struct jade_shard_stats st;
    jade_shard_stats(f.shard, &st);
    assert_int_equal(st.tail_rows, 0);
    uint32_t same = 0;
    for (uint32_t q = 0; q < 50; q++) {
        float query[DIM];
        struct jade_arena arena;
        struct jade_hit *exact;
        struct jade_hit *hits;
        uint32_t n_exact;
        uint32_t n;
        struct jade_search_info info;
        model_values(q, 999, DIM, query);
        jade_arena_init(&arena, JADE_TAG_TEST);
        struct jade_search s = {.vector = query, .dim = DIM, .k = 10, .exact = true};
        check(jade_shard_search(f.shard, &s, &arena, &exact, &n_exact, &info, &err), &err);
        assert_int_equal(info.plan, JADE_PLAN_SCAN);
        s.exact = false;
        s.ef = 200;
        check(jade_shard_search(f.shard, &s, &arena, &hits, &n, &info, &err), &err);
        assert_int_equal(info.plan, JADE_PLAN_GRAPH);
        assert_true(info.stats.distances < N);
        assert_int_equal(n, n_exact);
        for (uint32_t i = 0; i < n; i++) {
            for (uint32_t j = 0; j < n; j++) {
                same += strcmp(hits[i].record.id, exact[j].record.id) == 0;
            }
        }
        jade_arena_release(&arena);
    }
    print_message("recall %u of 500\n", same);
    assert_true(same >= 475);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writers_readers_and_background_work_agree),
        cmocka_unit_test(the_graph_follows_and_finds_what_a_scan_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
