/* Segment folders and tombstones: written whole or not named, opened as the manifest says, swept when unnamed. */
#include <stdlib.h>

#include "store/segment_dir.h"
#include "store_test.h"

enum { ROWS = 100 };

static struct jade_segment_desc desc_of(void)
{
    return (struct jade_segment_desc){
        .n_rows = ROWS, .dim = 4, .metric = 1, .lsn_min = {1}, .lsn_max = {50}};
}

static jade_code write_one(struct jade_segment_writer *w, const char *name, uint32_t kind,
                           uint8_t fill, size_t n, struct jade_err *err)
{
    struct jade_blockfile_writer *f = NULL;
    uint8_t bytes[1000];
    memset(bytes, fill, sizeof bytes);
    jade_code rc = jade_segment_writer_file(w, name, kind, &f, err);
    for (; rc == JADE_OK && n > 0; n -= n < sizeof bytes ? n : sizeof bytes) {
        rc = jade_blockfile_append(f, bytes, n < sizeof bytes ? n : sizeof bytes, err);
    }
    return rc != JADE_OK ? rc : jade_segment_writer_file_done(w, err);
}

static jade_code write_segment(struct jade_os *os, const char *dir, uint64_t number,
                               struct jade_manifest_segment *ms, struct jade_err *err)
{
    struct jade_segment_writer *w = NULL;
    struct jade_segment_desc desc = desc_of();
    *ms = (struct jade_manifest_segment){.number = number, .n_rows = ROWS};
    jade_code rc = jade_segment_writer_begin(os, dir, number, &w, err);
    if (rc == JADE_OK) {
        rc = write_one(w, "vectors.0", JADE_BF_VECTORS, 0x11, 100000, err);
    }
    if (rc == JADE_OK) {
        rc = write_one(w, "ids", JADE_BF_IDS, 0x22, 500, err);
    }
    if (rc != JADE_OK) {
        jade_segment_writer_abort(w);
        return rc;
    }
    return jade_segment_writer_finish(w, &desc, &ms->desc_crc, err);
}

static void check_segment(struct jade_os *os, const char *dir,
                          const struct jade_manifest_segment *ms)
{
    struct jade_segment_dir *s = NULL;
    must(jade_segment_dir_open(os, dir, ms, &s, &e));
    const struct jade_segment_desc *d = jade_segment_dir_desc(s);
    assert_int_equal(d->number, ms->number);
    assert_int_equal(d->n_files, 2);
    assert_string_equal(d->files[0].name, "vectors.0");
    assert_int_equal(d->files[1].kind, JADE_BF_IDS);
    must(jade_segment_dir_verify_all(s, &e));
    struct jade_blockfile *f = jade_segment_dir_file(s, JADE_BF_IDS);
    assert_int_equal(jade_blockfile_size(f), 500);
    assert_int_equal(jade_blockfile_data(f)[499], 0x22);
    assert_int_equal(jade_blockfile_size(jade_segment_dir_file(s, JADE_BF_VECTORS)), 100000);
    assert_null(jade_segment_dir_file(s, JADE_BF_INDEX));
    jade_segment_dir_close(s);
}

static void segment_round_trip(void **state)
{
    (void)state;
    struct jade_sim *s = disk_new();
    struct jade_os *os = jade_sim_os(s);
    struct jade_manifest_segment a, b;
    must(jade_os_mkdirs(os, "shard", &e));
    must(write_segment(os, "shard", 0, &a, &e));
    must(write_segment(os, "shard", 17, &b, &e));
    jade_sim_reboot(s, JADE_SIM_LOSE_ALL, 1); /* finish made all of it durable */
    check_segment(os, "shard", &a);
    check_segment(os, "shard", &b);
    jade_segment_dir_close(NULL);
    jade_segment_writer_abort(NULL);
    jade_sim_free(s);
}

static void segment_round_trip_on_the_real_disk(void **state)
{
    (void)state;
    char dir[] = "/tmp/jade-test-XXXXXX";
    struct jade_manifest_segment ms;
    assert_non_null(mkdtemp(dir));
    must(write_segment(jade_os_posix(), dir, 3, &ms, &e));
    check_segment(jade_os_posix(), dir, &ms);
    must(jade_segment_dir_remove(jade_os_posix(), dir, 3, &e));
    must(jade_os_remove_tree(jade_os_posix(), dir, &e));
}

static void segment_leftover_of_the_same_number_is_replaced(void **state)
{
    (void)state;
    struct jade_sim *s = disk_new();
    struct jade_os *os = jade_sim_os(s);
    struct jade_manifest_segment ms;
    struct jade_segment_writer *w = NULL;
    must(jade_segment_writer_begin(os, "shard", 4, &w, &e));
    must(write_one(w, "rows", JADE_BF_ROWS, 1, 10, &e));
    /* the process dies here: the folder stays */
    struct jade_segment_writer *dead = w;
    must(write_segment(os, "shard", 4, &ms, &e));
    check_segment(os, "shard", &ms);
    assert_int_equal(entries(os, "shard/segments/4"), 3);
    jade_segment_writer_abort(dead); /* frees it, and removes the folder as an abort does */
    assert_false(there(os, "shard/segments/4"));
    jade_sim_free(s);
}

static void segment_abort_leaves_nothing(void **state)
{
    (void)state;
    struct jade_sim *s = disk_new();
    struct jade_os *os = jade_sim_os(s);
    struct jade_segment_writer *w = NULL;
    struct jade_blockfile_writer *f = NULL;
    must(jade_segment_writer_begin(os, "shard", 4, &w, &e));
    must(write_one(w, "rows", JADE_BF_ROWS, 1, 10, &e));
    must(jade_segment_writer_file(w, "ids", JADE_BF_IDS, &f, &e));
    must(jade_blockfile_append(f, "x", 1, &e));
    jade_segment_writer_abort(w);
    assert_int_equal(entries(os, "shard/segments"), 0);
    jade_sim_free(s);
}

static void segment_flip_of_any_byte_is_refused(void **state)
{
    (void)state;
    static const char *const paths[] = {"shard/segments/4/SEGMENT", "shard/segments/4/vectors.0",
                                        "shard/segments/4/ids"};
    struct jade_sim *s = disk_new();
    struct jade_os *os = jade_sim_os(s);
    struct jade_manifest_segment ms;
    must(write_segment(os, "shard", 4, &ms, &e));
    for (unsigned i = 0; i < 3; i++) {
        size_t n;
        jade_free(slurp(os, paths[i], &n));
        for (size_t at = 0; at < n; at += n < 1000 || at < 64 ? 1 : 101) {
            struct jade_segment_dir *dir = NULL;
            flip(os, paths[i], at, 2);
            jade_code rc = jade_segment_dir_open(os, "shard", &ms, &dir, &e);
            if (rc == JADE_OK) {
                rc = jade_segment_dir_verify_all(dir, &e);
            }
            assert_int_equal(rc, JADE_E_CORRUPT);
            jade_segment_dir_close(dir);
            flip(os, paths[i], at, 2);
        }
    }
    check_segment(os, "shard", &ms);
    jade_sim_free(s);
}

static void segment_missing_or_swapped_file_is_corrupt(void **state)
{
    (void)state;
    static const char *const names[] = {"SEGMENT", "ids"};
    struct jade_sim *s = disk_new();
    struct jade_os *os = jade_sim_os(s);
    struct jade_manifest_segment a, b;
    struct jade_segment_dir *dir = NULL;
    must(write_segment(os, "shard", 1, &a, &e));
    must(write_segment(os, "shard", 2, &b, &e));
    struct jade_manifest_segment wrong = a;
    wrong.n_rows++;
    must_fail(JADE_E_CORRUPT, jade_segment_dir_open(os, "shard", &wrong, &dir, &e));
    wrong = a;
    wrong.desc_crc ^= 1;
    must_fail(JADE_E_CORRUPT, jade_segment_dir_open(os, "shard", &wrong, &dir, &e));
    wrong = a;
    wrong.number = 3;
    must_fail(JADE_E_CORRUPT, jade_segment_dir_open(os, "shard", &wrong, &dir, &e));
    for (unsigned i = 0; i < 2; i++) {
        char from[64], to[64];
        size_t n;
        (void)snprintf(from, sizeof from, "shard/segments/1/%s", names[i]);
        (void)snprintf(to, sizeof to, "shard/segments/2/%s", names[i]);
        uint8_t *own = slurp(os, to, &n);
        uint8_t *other = slurp(os, from, &n);
        must(jade_os_replace(os, to, other, n, &e)); /* the same kind of another segment */
        must_fail(JADE_E_CORRUPT, jade_segment_dir_open(os, "shard", &b, &dir, &e));
        must(jade_os_unlink(os, to, &e));
        must_fail(JADE_E_CORRUPT, jade_segment_dir_open(os, "shard", &b, &dir, &e));
        assert_null(dir);
        must(jade_os_replace(os, to, own, n, &e));
        jade_free(own);
        jade_free(other);
    }
    check_segment(os, "shard", &b);
    jade_sim_free(s);
}

/* ---- tombstones ---- */

static const struct jade_tomb TOMBS[] = {{0, {5}}, {3, {9}}, {99, {7}}};

static jade_code write_tombs(struct jade_os *os, struct jade_manifest_segment *ms, uint64_t lsn,
                             uint32_t n, struct jade_err *err)
{
    jade_code rc =
        jade_tombs_write(os, "shard", ms->number, JADE_LSN(lsn), TOMBS, n, &ms->tombs_crc, err);
    ms->tombs_lsn = JADE_LSN(lsn);
    ms->n_dead = n;
    return rc;
}

static void check_tombs(struct jade_os *os, const struct jade_manifest_segment *ms)
{
    struct jade_tomb *tombs = NULL;
    uint32_t n;
    must(jade_tombs_read(os, "shard", ms, &tombs, &n, &e));
    assert_int_equal(n, ms->n_dead);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(tombs[i].row, TOMBS[i].row);
        assert_int_equal(tombs[i].lsn.v, TOMBS[i].lsn.v);
    }
    jade_free(tombs);
}

static void tombs_round_trip(void **state)
{
    (void)state;
    struct jade_sim *s = disk_new();
    struct jade_os *os = jade_sim_os(s);
    struct jade_manifest_segment ms;
    must(write_segment(os, "shard", 4, &ms, &e));
    check_tombs(os, &ms); /* none named: none read */
    must(write_tombs(os, &ms, 60, 2, &e));
    must(write_tombs(os, &ms, 70, 3, &e));
    jade_sim_reboot(s, JADE_SIM_LOSE_ALL, 1);
    check_tombs(os, &ms);
    must(write_tombs(os, &ms, 80, 0, &e));
    check_tombs(os, &ms);
    jade_sim_free(s);
}

static void tombs_written_again_serve_when_equal_and_are_never_replaced(void **state)
{
    (void)state;
    struct jade_sim *s = disk_new();
    struct jade_os *os = jade_sim_os(s);
    struct jade_manifest_segment ms;
    must(write_segment(os, "shard", 4, &ms, &e));
    must(write_tombs(os, &ms, 60, 2, &e));
    uint32_t crc = ms.tombs_crc;
    struct jade_manifest_segment again = ms;
    again.tombs_crc = 0;
    must(write_tombs(os, &again, 60, 2, &e));
    assert_int_equal(again.tombs_crc, crc);
    must_fail(JADE_E_ALREADY_EXISTS, write_tombs(os, &again, 60, 3, &e));
    check_tombs(os, &ms);
    jade_sim_free(s);
}

static void tombs_damage_is_refused(void **state)
{
    (void)state;
    struct jade_sim *s = disk_new();
    struct jade_os *os = jade_sim_os(s);
    struct jade_manifest_segment ms;
    struct jade_tomb *tombs = NULL;
    uint32_t n;
    size_t size;
    must(write_segment(os, "shard", 4, &ms, &e));
    must(write_tombs(os, &ms, 60, 3, &e));
    jade_free(slurp(os, "shard/segments/4/tombs-60", &size));
    for (size_t at = 0; at < size; at += at < 40 || at > 4000 ? 1 : 37) {
        flip(os, "shard/segments/4/tombs-60", at, 8);
        must_fail(JADE_E_CORRUPT, jade_tombs_read(os, "shard", &ms, &tombs, &n, &e));
        assert_null(tombs);
        flip(os, "shard/segments/4/tombs-60", at, 8);
    }
    check_tombs(os, &ms);
    ms.n_rows = 99; /* row 99 does not exist then */
    must_fail(JADE_E_CORRUPT, jade_tombs_read(os, "shard", &ms, &tombs, &n, &e));
    ms.n_rows = ROWS;
    ms.n_dead = 2; /* the file has three */
    must_fail(JADE_E_CORRUPT, jade_tombs_read(os, "shard", &ms, &tombs, &n, &e));
    ms.tombs_lsn = JADE_LSN(61);
    must_fail(JADE_E_CORRUPT, jade_tombs_read(os, "shard", &ms, &tombs, &n, &e));
    jade_sim_free(s);
}

/* ---- sweeping ---- */

static void segment_sweep_removes_what_no_manifest_names(void **state)
{
    (void)state;
    struct jade_sim *s = disk_new();
    struct jade_os *os = jade_sim_os(s);
    struct jade_manifest_segment kept[2], gone;
    struct jade_manifest m = {.n_segments = 2, .segments = kept};
    must(jade_segment_dir_sweep(os, "nothing", &m, &e)); /* no folder yet is fine */
    must(write_segment(os, "shard", 1, &kept[0], &e));
    must(write_segment(os, "shard", 2, &gone, &e));
    must(write_segment(os, "shard", 3, &kept[1], &e));
    must(write_tombs(os, &kept[0], 60, 2, &e));
    must(write_tombs(os, &kept[0], 70, 3, &e));
    must(write_tombs(os, &kept[1], 70, 3, &e));
    kept[1].tombs_lsn = JADE_LSN_NONE; /* the publish that would have named them never came */
    kept[1].n_dead = 0;
    must(jade_os_mkdir(os, "shard/segments/lost+found", &e)); /* not ours: left alone */
    for (unsigned again = 0; again < 2; again++) {
        must(jade_segment_dir_sweep(os, "shard", &m, &e));
        assert_int_equal(entries(os, "shard/segments"), 3);
        assert_int_equal(entries(os, "shard/segments/1"), 4);
        assert_int_equal(entries(os, "shard/segments/3"), 3);
        check_segment(os, "shard", &kept[0]);
        check_segment(os, "shard", &kept[1]);
        check_tombs(os, &kept[0]);
    }
    jade_sim_free(s);
}

static jade_code whole_life(struct jade_os *os, bool *finished_out,
                            struct jade_manifest_segment *ms, struct jade_err *err)
{
    struct jade_manifest m = {.n_segments = 1, .segments = ms};
    struct jade_segment_dir *dir = NULL;
    struct jade_tomb *tombs = NULL;
    uint32_t n;
    jade_code rc = write_segment(os, "shard", 4, ms, err);
    *finished_out = rc == JADE_OK;
    if (rc == JADE_OK) {
        struct jade_manifest_segment with = *ms;
        rc = write_tombs(os, &with, 60, 3, err);
        *ms = rc == JADE_OK ? with : *ms;
    }
    if (rc == JADE_OK) {
        rc = jade_tombs_read(os, "shard", ms, &tombs, &n, err);
    }
    if (rc == JADE_OK) {
        rc = jade_segment_dir_open(os, "shard", ms, &dir, err);
    }
    if (rc == JADE_OK) {
        rc = jade_segment_dir_verify_all(dir, err);
    }
    if (rc == JADE_OK) {
        rc = jade_segment_dir_sweep(os, "shard", &m, err);
    }
    jade_segment_dir_close(dir);
    jade_free(tombs);
    return rc;
}

static void segment_each_failing_call_and_allocation_is_clean(void **state)
{
    (void)state;
    for (unsigned memory = 0; memory < 2; memory++) {
        unsigned failed = 0;
        for (uint64_t n = 1;; n++) {
            struct jade_sim *s = disk_new();
            struct jade_os *os = jade_sim_os(s);
            struct jade_manifest_segment ms;
            bool finished = false;
            if (memory) {
                jade_alloc_fail_at(n);
            } else {
                jade_sim_fail_at(s, JADE_SIM_ANY, n, JADE_E_IO, false);
            }
            jade_code rc = whole_life(os, &finished, &ms, &e);
            bool reached = memory ? jade_alloc_count() >= n : jade_sim_calls(s, JADE_SIM_ANY) >= n;
            jade_alloc_fail_at(0);
            jade_sim_reboot(s, JADE_SIM_LOSE_ALL, n);
            if (finished) { /* only then would a manifest name it */
                check_segment(os, "shard", &ms);
                check_tombs(os, &ms);
            }
            failed += rc != JADE_OK;
            jade_sim_free(s);
            if (!reached) {
                assert_int_equal(rc, JADE_OK);
                break;
            }
        }
        assert_true(failed > 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segment_round_trip),
        cmocka_unit_test(segment_round_trip_on_the_real_disk),
        cmocka_unit_test(segment_leftover_of_the_same_number_is_replaced),
        cmocka_unit_test(segment_abort_leaves_nothing),
        cmocka_unit_test(segment_flip_of_any_byte_is_refused),
        cmocka_unit_test(segment_missing_or_swapped_file_is_corrupt),
        cmocka_unit_test(tombs_round_trip),
        cmocka_unit_test(tombs_written_again_serve_when_equal_and_are_never_replaced),
        cmocka_unit_test(tombs_damage_is_refused),
        cmocka_unit_test(segment_sweep_removes_what_no_manifest_names),
        cmocka_unit_test(segment_each_failing_call_and_allocation_is_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
