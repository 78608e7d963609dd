/* The log in use: round trips, rolling, trimming, full disk, failed syncs. Recovery from damage is in test_wal_recover.c. */
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "wal_test.h"

static void wal_new_log_is_empty(void **state)
{
    (void)state;
    struct jade_sim *s = wal_disk();
    struct jade_wal_opts opts = opts_of(jade_sim_os(s));
    struct jade_wal_recovery rec;
    struct jade_wal *w = NULL;
    must(try_open(&opts, &w, &rec, &e));
    assert_int_equal(rec.records, 0);
    assert_int_equal(rec.tail_bytes_cut, 0);
    assert_int_equal(rec.files, 1);
    assert_int_equal(jade_wal_last(w).v, 0);
    assert_int_equal(jade_wal_generation(w), 1);
    assert_int_equal(jade_wal_bytes(w), 0);
    must(jade_wal_close(w, &e));
    must(jade_wal_close(NULL, &e));
    assert_true(there(jade_sim_os(s), "wal/1.wal"));
    jade_sim_free(s);
}

static void check_round_trip(struct jade_os *os, const char *dir)
{
    struct jade_wal_opts opts = opts_of(os);
    opts.dir = dir;
    for (unsigned round = 0; round < 8; round++) {
        struct jade_wal_recovery rec;
        struct jade_wal *w = NULL;
        must(try_open(&opts, &w, &rec, &e));
        assert_int_equal(jade_wal_last(w).v, round * 25);
        assert_int_equal(rec.records, round * 25);
        assert_int_equal(rec.tail_bytes_cut, 0);
        append(w, 20);
        must(jade_wal_sync(w, &e));
        assert_int_equal(jade_wal_durable(w).v, round * 25 + 20);
        append(w, 5); /* closing syncs them */
        must(jade_wal_close(w, &e));
    }
}

static void wal_round_trip(void **state)
{
    (void)state;
    struct jade_sim *s = wal_disk();
    check_round_trip(jade_sim_os(s), "wal");
    jade_sim_free(s);
}

static void wal_round_trip_on_the_real_disk(void **state)
{
    (void)state;
    char dir[] = "/tmp/jade-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    check_round_trip(jade_os_posix(), dir);
    must(jade_os_remove_tree(jade_os_posix(), dir, &e));
}

static void wal_replays_only_after_the_checkpoint(void **state)
{
    (void)state;
    struct jade_sim *s = wal_disk();
    struct jade_wal_opts opts = opts_of(jade_sim_os(s));
    struct jade_wal *w = wal_opened(&opts);
    append(w, 100);
    must(jade_wal_close(w, &e));
    for (uint64_t after = 0; after <= 100; after++) {
        struct jade_wal_recovery rec;
        opts.after = JADE_LSN(after);
        must(try_open(&opts, &w, &rec, &e));
        assert_int_equal(rec.records, 100 - after);
        must(jade_wal_close(w, &e));
    }
    jade_sim_free(s);
}

static void wal_records_never_span_files(void **state)
{
    (void)state;
    struct jade_sim *s = wal_disk();
    struct jade_wal_opts opts = opts_of(jade_sim_os(s));
    struct jade_wal *w = wal_opened(&opts);
    uint64_t used = 4096, generation = 1;
    for (uint64_t lsn = 1; lsn <= 300; lsn++) {
        if (used + record_bytes(lsn) > FILE_BYTES) {
            generation++;
            used = 4096;
        }
        used += record_bytes(lsn);
        append(w, 1);
        assert_int_equal(jade_wal_generation(w), generation);
    }
    assert_true(generation > 10);
    must(jade_wal_close(w, &e));
    assert_int_equal(entries(jade_sim_os(s), "wal"), generation);
    w = wal_opened(&opts);
    assert_int_equal(jade_wal_last(w).v, 300);
    must(jade_wal_close(w, &e));
    jade_sim_free(s);
}

static jade_code count_bytes(void *ctx, const struct jade_wal_header *h, const uint8_t *payload,
                             struct jade_err *err)
{
    (void)err;
    for (uint32_t i = 0; i < h->size; i++) {
        assert_int_equal(payload[i], (uint8_t)(h->lsn.v + i / 256));
    }
    *(uint64_t *)ctx += h->size;
    return JADE_OK;
}

static void wal_record_larger_than_a_file_gets_its_own(void **state)
{
    (void)state;
    struct jade_sim *s = wal_disk();
    struct jade_wal_opts opts = opts_of(jade_sim_os(s));
    static const uint32_t sizes[] = {10, 300000, 0, 20, 4096, 5000, 262144, 1};
    uint64_t total = 0, seen = 0;
    struct jade_wal *w = NULL;
    must(jade_wal_open(&opts, NULL, NULL, &w, NULL, &e));
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *p = jade_alloc(JADE_TAG_TEST, sizes[i] + 1);
        struct jade_lsn lsn;
        for (uint32_t b = 0; b < sizes[i]; b++) {
            p[b] = (uint8_t)(i + 1 + b / 256);
        }
        must(jade_wal_append(w, JADE_RECORD_NOOP, (struct jade_epoch){0}, SHARD, p, sizes[i], &lsn,
                             &e));
        assert_int_equal(lsn.v, i + 1);
        total += sizes[i];
        jade_free(p);
    }
    must(jade_wal_close(w, &e));
    must(jade_wal_open(&opts, count_bytes, &seen, &w, NULL, &e));
    assert_int_equal(seen, total);
    must(jade_wal_close(w, &e));
    jade_sim_free(s);
}

static void wal_too_large_record_is_refused(void **state)
{
    (void)state;
    struct jade_sim *s = wal_disk();
    struct jade_wal_opts opts = opts_of(jade_sim_os(s));
    struct jade_wal *w = wal_opened(&opts);
    struct jade_lsn lsn;
    must_fail(JADE_E_TOO_LARGE, jade_wal_append(w, JADE_RECORD_UPSERT, (struct jade_epoch){0},
                                                SHARD, "", JADE_WAL_RECORD_MAX + 1ull, &lsn, &e));
    assert_int_equal(lsn.v, 0);
    append(w, 1);
    assert_int_equal(jade_wal_last(w).v, 1);
    must(jade_wal_close(w, &e));
    jade_sim_free(s);
}

static void wal_group_is_one_write_and_one_sync(void **state)
{
    (void)state;
    struct jade_sim *s = wal_disk();
    struct jade_wal_opts opts = opts_of(jade_sim_os(s));
    opts.file_bytes = 1 << 20;
    struct jade_wal *w = wal_opened(&opts);
    jade_sim_fail_at(s, JADE_SIM_ANY, 0, JADE_OK, false);
    jade_sim_fail_at(s, JADE_SIM_WRITE, 0, JADE_OK, false);
    jade_sim_fail_at(s, JADE_SIM_SYNC, 0, JADE_OK, false);
    append(w, 1000);
    assert_int_equal(jade_sim_calls(s, JADE_SIM_WRITE), 0);
    assert_int_equal(jade_wal_durable(w).v, 0);
    must(jade_wal_flush(w, &e));
    assert_int_equal(jade_sim_calls(s, JADE_SIM_WRITE), 1);
    assert_int_equal(jade_wal_durable(w).v, 0);
    must(jade_wal_sync(w, &e));
    must(jade_wal_sync(w, &e)); /* nothing new: no call */
    assert_int_equal(jade_sim_calls(s, JADE_SIM_WRITE), 1);
    assert_int_equal(jade_sim_calls(s, JADE_SIM_SYNC), 1);
    assert_int_equal(jade_wal_durable(w).v, 1000);
    must(jade_wal_close(w, &e));
    jade_sim_free(s);
}

static void wal_trim_removes_only_what_the_checkpoint_covers(void **state)
{
    (void)state;
    struct jade_sim *s = wal_disk();
    struct jade_wal_opts opts = opts_of(jade_sim_os(s));
    struct jade_wal *w = wal_opened(&opts);
    uint64_t first[64] = {0}; /* first LSN of each generation */
    for (uint64_t lsn = 1; lsn <= 200; lsn++) {
        append(w, 1);
        uint64_t g = jade_wal_generation(w);
        first[g] = first[g] == 0 ? lsn : first[g];
    }
    must(jade_wal_sync(w, &e));
    uint64_t newest = jade_wal_generation(w);
    for (uint64_t checkpoint = 0; checkpoint <= 200; checkpoint++) {
        uint64_t g = 1;
        while (g < newest && first[g + 1] <= checkpoint + 1) {
            g++;
        }
        assert_int_equal(jade_wal_generation_for(w, JADE_LSN(checkpoint)), g);
        must(jade_wal_trim(w, JADE_LSN(checkpoint), &e));
        assert_int_equal(entries(jade_sim_os(s), "wal"), newest - g + 1);
        assert_int_equal(jade_wal_generation_for(w, JADE_LSN(checkpoint)), g);
    }
    must(jade_wal_close(w, &e));
    opts.after = JADE_LSN(200);
    opts.generation_min = newest;
    w = wal_opened(&opts);
    append_synced(w, 3);
    must(jade_wal_close(w, &e));
    jade_sim_free(s);
}

static void wal_roll_lets_everything_before_be_trimmed(void **state)
{
    (void)state;
    struct jade_sim *s = wal_disk();
    struct jade_wal_opts opts = opts_of(jade_sim_os(s));
    struct jade_wal *w = wal_opened(&opts);
    uint64_t g = 0;
    must(jade_wal_roll(w, &g, &e));
    assert_int_equal(g, 1); /* nothing in it yet: it is new enough */
    append(w, 7);
    assert_true(jade_wal_bytes(w) > 7 * 64);
    must(jade_wal_roll(w, &g, &e));
    assert_int_equal(g, 2);
    assert_int_equal(jade_wal_durable(w).v, 7);
    assert_int_equal(jade_wal_generation_for(w, JADE_LSN(7)), 2);
    assert_int_equal(jade_wal_generation_for(w, JADE_LSN(6)), 1);
    must(jade_wal_trim(w, JADE_LSN(7), &e));
    assert_int_equal(jade_wal_bytes(w), 0);
    assert_int_equal(entries(jade_sim_os(s), "wal"), 1);
    append(w, 1);
    assert_int_equal(jade_wal_bytes(w), record_bytes(8));
    must(jade_wal_close(w, &e));
    opts.after = JADE_LSN(7);
    opts.generation_min = 2;
    w = wal_opened(&opts);
    assert_int_equal(jade_wal_last(w).v, 8);
    must(jade_wal_close(w, &e));
    jade_sim_free(s);
}

static void wal_files_older_than_the_manifest_needs_are_removed(void **state)
{
    (void)state;
    struct jade_sim *s = wal_disk();
    struct jade_wal_opts opts = opts_of(jade_sim_os(s));
    struct jade_wal *w = wal_opened(&opts);
    append(w, 100);
    uint64_t g = 0;
    must(jade_wal_roll(w, &g, &e));
    must(jade_wal_close(w, &e));
    flip(jade_sim_os(s), "wal/1.wal", 5000, 1); /* nobody reads it any more */
    opts.after = JADE_LSN(100);
    opts.generation_min = g;
    w = wal_opened(&opts);
    assert_int_equal(entries(jade_sim_os(s), "wal"), 1);
    must(jade_wal_close(w, &e));
    jade_sim_free(s);
}

static void wal_full_disk_refuses_before_an_lsn_is_used(void **state)
{
    (void)state;
    struct jade_sim *s = wal_disk();
    struct jade_wal_opts opts = opts_of(jade_sim_os(s));
    jade_sim_set_capacity(s, 2 * FILE_BYTES + 512);
    struct jade_wal *w = wal_opened(&opts);
    jade_code rc = JADE_OK;
    while ((rc = try_append(w, &e)) == JADE_OK) {
    }
    assert_int_equal(rc, JADE_E_NOSPACE);
    uint64_t last = jade_wal_last(w).v;
    must_fail(JADE_E_NOSPACE, try_append(w, &e)); /* again, and again nothing is used */
    must(jade_wal_sync(w, &e));
    assert_int_equal(jade_wal_durable(w).v, last);
    assert_int_equal(entries(jade_sim_os(s), "wal"), 2); /* the refused file left nothing */
    jade_sim_set_capacity(s, 0);
    append_synced(w, 30);
    must(jade_wal_close(w, &e));
    w = wal_opened(&opts);
    assert_int_equal(jade_wal_last(w).v, last + 30);
    must(jade_wal_close(w, &e));
    jade_sim_free(s);
}

static void wal_failed_sync_poisons(void **state)
{
    (void)state;
    struct jade_sim *s = wal_disk();
    struct jade_wal_opts opts = opts_of(jade_sim_os(s));
    struct jade_wal *w = wal_opened(&opts);
    append_synced(w, 3);
    append(w, 2);
    jade_sim_fail_at(s, JADE_SIM_SYNC, 1, JADE_E_IO, false);
    must_fail(JADE_E_IO, jade_wal_sync(w, &e));
    uint64_t g;
    must_fail(JADE_E_POISONED, jade_wal_sync(w, &e));
    must_fail(JADE_E_POISONED, jade_wal_flush(w, &e));
    must_fail(JADE_E_POISONED, try_append(w, &e));
    must_fail(JADE_E_POISONED, jade_wal_roll(w, &g, &e));
    assert_int_equal(jade_wal_durable(w).v, 3);
    must_fail(JADE_E_POISONED, jade_wal_close(w, &e));
    jade_sim_reboot(s, JADE_SIM_LOSE_ALL, 1);
    w = wal_opened(&opts);
    assert_int_equal(jade_wal_last(w).v, 3);
    must(jade_wal_close(w, &e));
    jade_sim_free(s);
}

static void wal_failed_write_poisons(void **state)
{
    (void)state;
    struct jade_sim *s = wal_disk();
    struct jade_wal_opts opts = opts_of(jade_sim_os(s));
    struct jade_wal *w = wal_opened(&opts);
    append(w, 2);
    jade_sim_fail_at(s, JADE_SIM_WRITE, 1, JADE_E_IO, false);
    must_fail(JADE_E_IO, jade_wal_flush(w, &e));
    must_fail(JADE_E_POISONED, jade_wal_sync(w, &e));
    must_fail(JADE_E_POISONED, jade_wal_close(w, &e));
    jade_sim_free(s);
}

/* A fixed life of a log; *acked_out is the LSN that was acknowledged last. */
static jade_code live(struct jade_os *os, uint64_t *acked_out, struct jade_err *err)
{
    struct jade_wal_opts opts = opts_of(os);
    jade_code rc = JADE_OK;
    *acked_out = 0;
    for (unsigned round = 0; round < 3; round++) {
        struct jade_wal *w = NULL;
        opts.durable_mark = JADE_LSN(*acked_out);
        rc = try_open(&opts, &w, NULL, err);
        for (unsigned i = 0; rc == JADE_OK && i < 30; i++) {
            rc = try_append(w, err);
            if (rc == JADE_OK && i % 4 == 3) {
                rc = jade_wal_sync(w, err);
                *acked_out = rc == JADE_OK ? jade_wal_durable(w).v : *acked_out;
            }
        }
        uint64_t g;
        if (rc == JADE_OK && round == 1) {
            rc = jade_wal_roll(w, &g, err);
        }
        uint64_t last = w == NULL ? 0 : jade_wal_last(w).v;
        jade_code close_rc = jade_wal_close(w, rc == JADE_OK ? err : NULL);
        rc = rc == JADE_OK ? close_rc : rc;
        if (rc != JADE_OK) {
            return rc;
        }
        *acked_out = last;
    }
    return rc;
}

/* After any trouble: everything acknowledged is there, and the log goes on. */
static void check_after(struct jade_sim *s, uint64_t acked)
{
    struct jade_wal_opts opts = opts_of(jade_sim_os(s));
    opts.durable_mark = JADE_LSN(acked);
    struct jade_wal *w = wal_opened(&opts);
    assert_true(jade_wal_last(w).v >= acked);
    append_synced(w, 2);
    uint64_t last = jade_wal_last(w).v;
    must(jade_wal_close(w, &e));
    w = wal_opened(&opts);
    assert_int_equal(jade_wal_last(w).v, last);
    must(jade_wal_close(w, &e));
}

static void sweep_faults(enum jade_sim_op op, jade_code code, bool forever)
{
    for (uint64_t n = 1;; n++) {
        struct jade_sim *s = wal_disk();
        uint64_t acked;
        jade_sim_fail_at(s, op, n, code, forever);
        jade_code rc = live(jade_sim_os(s), &acked, &e);
        bool reached = jade_sim_calls(s, op) >= n;
        assert_true(rc == JADE_OK || rc == code);
        if (!reached) {
            assert_int_equal(rc, JADE_OK);
            assert_true(n > 1);
            jade_sim_free(s);
            return;
        }
        for (enum jade_sim_policy p = JADE_SIM_LOSE_ALL; p <= JADE_SIM_LAST_ONLY; p++) {
            struct jade_sim *after = disk_clone(s);
            jade_sim_reboot(after, p, n);
            check_after(after, acked);
            jade_sim_free(after);
        }
        jade_sim_free(s);
    }
}

static void wal_each_failing_call_loses_nothing_acknowledged(void **state)
{
    (void)state;
    sweep_faults(JADE_SIM_ANY, JADE_E_IO, false);
    sweep_faults(JADE_SIM_ANY, JADE_E_IO, true);
    sweep_faults(JADE_SIM_ALLOCATE, JADE_E_NOSPACE, false);
    sweep_faults(JADE_SIM_WRITE, JADE_E_NOSPACE, true);
}

static void wal_each_failing_allocation_loses_nothing_acknowledged(void **state)
{
    (void)state;
    unsigned failed = 0;
    for (uint64_t n = 1;; n++) {
        struct jade_sim *s = wal_disk();
        uint64_t acked;
        jade_alloc_fail_at(n);
        jade_code rc = live(jade_sim_os(s), &acked, &e);
        bool reached = jade_alloc_count() >= n;
        jade_alloc_fail_at(0);
        assert_true(rc == JADE_OK || rc == JADE_E_NOMEM || rc == JADE_E_IO);
        jade_sim_reboot(s, JADE_SIM_RANDOM, n);
        check_after(s, acked);
        jade_sim_free(s);
        failed += rc != JADE_OK;
        if (!reached) {
            assert_int_equal(rc, JADE_OK);
            break;
        }
    }
    assert_true(failed > 20);
}

static jade_code refuse_third(void *ctx, const struct jade_wal_header *h, const uint8_t *payload,
                              struct jade_err *err)
{
    (void)ctx;
    (void)payload;
    return h->lsn.v == 3 ? jade_fail(err, JADE_E_CANCELLED, "enough") : JADE_OK;
}

static void wal_replay_error_is_passed_on(void **state)
{
    (void)state;
    struct jade_sim *s = wal_disk();
    struct jade_wal_opts opts = opts_of(jade_sim_os(s));
    struct jade_wal *w = wal_opened(&opts);
    append(w, 4);
    must(jade_wal_close(w, &e));
    must_fail(JADE_E_CANCELLED, jade_wal_open(&opts, refuse_third, NULL, &w, NULL, &e));
    assert_null(w);
    w = wal_opened(&opts);
    must(jade_wal_close(w, &e));
    jade_sim_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wal_new_log_is_empty),
        cmocka_unit_test(wal_round_trip),
        cmocka_unit_test(wal_round_trip_on_the_real_disk),
        cmocka_unit_test(wal_replays_only_after_the_checkpoint),
        cmocka_unit_test(wal_records_never_span_files),
        cmocka_unit_test(wal_record_larger_than_a_file_gets_its_own),
        cmocka_unit_test(wal_too_large_record_is_refused),
        cmocka_unit_test(wal_group_is_one_write_and_one_sync),
        cmocka_unit_test(wal_trim_removes_only_what_the_checkpoint_covers),
        cmocka_unit_test(wal_roll_lets_everything_before_be_trimmed),
        cmocka_unit_test(wal_files_older_than_the_manifest_needs_are_removed),
        cmocka_unit_test(wal_full_disk_refuses_before_an_lsn_is_used),
        cmocka_unit_test(wal_failed_sync_poisons),
        cmocka_unit_test(wal_failed_write_poisons),
        cmocka_unit_test(wal_each_failing_call_loses_nothing_acknowledged),
        cmocka_unit_test(wal_each_failing_allocation_loses_nothing_acknowledged),
        cmocka_unit_test(wal_replay_error_is_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
