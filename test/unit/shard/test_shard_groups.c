/*
 * Commit groups of several requests, made on purpose: the test holds the commit lock until all writers wait.
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

enum { DIM = 16384, ROWS = 100, WRITERS = 24, HANGS_AFTER_S = 120 };

struct fixture {
    struct jade_sim *sim;
    struct jade_engine *engine;
    struct jade_shard *shard;
    float *values;
};

struct writer {
    struct fixture *f;
    unsigned number;
    bool one_id; /* all writers write the same row, and nothing else */
    struct jade_thread thread;
    jade_code rc;
    struct jade_row_result first;
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
    struct jade_shard_config c = jade_shard_config_default(DIM, JADE_METRIC_DOT);
    c.seal_bytes = 4096;
    check(jade_shard_create(f->engine, "db/0", &c, &err), &err);
    check(jade_shard_open(f->engine, "db/0", &c, &f->shard, NULL, &err), &err);
    f->values = calloc(DIM, sizeof *f->values);
    assert_non_null(f->values);
}

static void end(struct fixture *f)
{
    struct jade_err err = {0};
    check(jade_shard_close(f->shard, &err), &err);
    jade_engine_free(f->engine);
    jade_sim_free(f->sim);
    free(f->values);
}

static void *write_main(void *arg)
{
    struct writer *w = arg;
    struct jade_row rows[ROWS];
    char ids[ROWS][24];
    struct jade_row_result results[ROWS];
    struct jade_write_result result;
    for (uint32_t i = 0; i < ROWS; i++) {
        int n = w->one_id ? snprintf(ids[i], sizeof ids[i], "one")
                          : snprintf(ids[i], sizeof ids[i], "w%u-%u", w->number, i);
        rows[i] = (struct jade_row){
            .id = ids[i], .id_len = (uint32_t)n, .values = w->f->values, .dim = DIM};
    }
    w->rc =
        jade_shard_upsert(w->f->shard, rows, w->one_id ? 1 : ROWS, NULL, &result, results, NULL);
    w->first = w->rc == JADE_OK ? results[0] : w->first;
    return NULL;
}

/* All writers in one or two groups. */
static void write_together(struct fixture *f, struct writer *w, bool one_id)
{
    struct jade_err err = {0};
    struct jade_shard *s = f->shard;
    jade_mutex_lock(&s->commit);
    for (unsigned i = 0; i < WRITERS; i++) {
        w[i] = (struct writer){.f = f, .number = i, .one_id = one_id};
        check(jade_thread_start(&w[i].thread, "writer", 0, write_main, &w[i], &err), &err);
    }
    for (bool queued = false; !queued;) {
        jade_mutex_lock(&s->queue_mutex);
        queued = s->leader && s->queue_n >= WRITERS - 1;
        jade_mutex_unlock(&s->queue_mutex);
        usleep(1000);
    }
    jade_mutex_unlock(&s->commit);
    for (unsigned i = 0; i < WRITERS; i++) {
        jade_thread_join(&w[i].thread);
    }
}

static void a_full_disk_refuses_a_whole_group_and_returns(void **state)
{
    (void)state;
    struct fixture f;
    struct writer w[WRITERS];
    struct jade_shard_stats st;
    begin(&f);
    alarm(HANGS_AFTER_S); /* a group that never ends would hold the commit lock for ever */
    jade_sim_fail_at(f.sim, JADE_SIM_ALLOCATE, 1, JADE_E_NOSPACE, true);
    for (unsigned i = 0; i < 12; i++) { /* until the log's first file is full */
        struct writer one = {.f = &f, .number = 300 + i};
        (void)write_main(&one);
    }
    jade_mutex_lock(&f.shard->commit);
    jadei_freeze(f.shard); /* the next segment is empty when the group comes */
    jade_mutex_unlock(&f.shard->commit);
    write_together(&f, w, false);
    for (unsigned i = 0; i < WRITERS; i++) {
        assert_int_equal(w[i].rc, JADE_E_NOSPACE);
    }
    jade_shard_stats(f.shard, &st);
    assert_int_equal(st.n_live, st.n_rows);
    jade_sim_fail_at(f.sim, JADE_SIM_ALLOCATE, 0, JADE_OK, false);
    struct writer again = {.f = &f, .number = 200};
    (void)write_main(&again);
    assert_int_equal(again.rc, JADE_OK);
    alarm(0);
    end(&f);
}

static void writers_of_one_id_each_see_the_one_before(void **state)
{
    (void)state;
    struct fixture f;
    struct writer w[WRITERS];
    uint64_t seen = 0;
    begin(&f);
    alarm(HANGS_AFTER_S);
    write_together(&f, w, true);
    for (unsigned i = 0; i < WRITERS; i++) {
        assert_int_equal(w[i].rc, JADE_OK);
        assert_in_range(w[i].first.version, 1, WRITERS);
        assert_true(w[i].first.created == (w[i].first.version == 1));
        seen |= 1ull << w[i].first.version;
    }
    assert_int_equal(seen, (1ull << (WRITERS + 1)) - 2); /* each version once */
    struct jade_shard_stats st;
    jade_shard_stats(f.shard, &st);
    assert_int_equal(st.n_live, 1);
    assert_int_equal(st.n_dead, WRITERS - 1);
    alarm(0);
    end(&f);
}

static void a_group_larger_than_a_segment_goes_into_two(void **state)
{
    (void)state;
    struct fixture f;
    struct jade_err err = {0};
    struct writer w[WRITERS];
    struct jade_shard_stats st;
    begin(&f);
    alarm(HANGS_AFTER_S);
    struct jade_shard_config c = *jade_shard_config(f.shard);
    struct jadei_segment *g;
    check(jadei_growing_new(&c, &g, &err), &err);
    check(jadei_view_change(f.shard, NULL, 0, g, true, &err), &err);
    f.shard->config.seal_bytes = 4ull << 30; /* the room of the segment alone ends it */
    write_together(&f, w, false);
    for (unsigned i = 0; i < WRITERS; i++) {
        assert_int_equal(w[i].rc, JADE_OK);
    }
    jade_shard_stats(f.shard, &st);
    assert_int_equal(st.n_live, WRITERS * ROWS);
    assert_int_equal(st.n_segments, 2);
    check(jade_shard_close(f.shard, &err), &err); /* replay meets the same bound */
    check(jade_shard_open(f.engine, "db/0", &c, &f.shard, NULL, &err), &err);
    jade_shard_stats(f.shard, &st);
    assert_int_equal(st.n_live, WRITERS * ROWS);
    assert_int_equal(st.n_segments, 2);
    alarm(0);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_refuses_a_whole_group_and_returns),
        cmocka_unit_test(writers_of_one_id_each_see_the_one_before),
        cmocka_unit_test(a_group_larger_than_a_segment_goes_into_two),
    };
    jade_log_set_level(JADE_LOG_OFF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
