/* Block files: what is written is read, what is damaged is refused, what fails leaves nothing. */
#include <stdlib.h>
#include <unistd.h>

#include "format/codec.h"
#include "os/thread.h"
#include "store/blockfile.h"
#include "store_test.h"

enum { SEGMENT = 9 };

static uint8_t *pattern(size_t n)
{
    uint8_t *p = jade_alloc(JADE_TAG_TEST, n);
    struct jade_random r;
    assert_non_null(p);
    jade_random_init(&r, n);
    for (size_t i = 0; i < n; i++) {
        p[i] = (uint8_t)(1 + jade_random_below(&r, 255));
    }
    return p;
}

static jade_code try_write(struct jade_os *os, const char *path, const uint8_t *p, size_t n,
                           size_t piece, uint32_t *crc_out, struct jade_err *err)
{
    struct jade_blockfile_writer *w = NULL;
    uint64_t size;
    jade_code rc = jade_blockfile_writer_new(os, path, JADE_BF_VECTORS, SEGMENT, &w, err);
    for (size_t at = 0; rc == JADE_OK && at < n; at += piece) {
        rc = jade_blockfile_append(w, p + at, n - at < piece ? n - at : piece, err);
    }
    if (rc != JADE_OK) {
        jade_blockfile_abort(w);
        return rc;
    }
    return jade_blockfile_finish(w, crc_out, &size, err);
}

static uint32_t write_file(struct jade_os *os, const char *path, const uint8_t *p, size_t n,
                           size_t piece)
{
    uint32_t crc = 0;
    must(try_write(os, path, p, n, piece, &crc, &e));
    return crc;
}

static jade_code open_it(struct jade_os *os, const char *path, uint32_t crc,
                         struct jade_blockfile **out, struct jade_err *err)
{
    return jade_blockfile_open(os, path, JADE_BF_VECTORS, SEGMENT, crc, out, err);
}

static void check_round_trip(struct jade_os *os, const char *path, size_t n, size_t piece)
{
    uint8_t *p = pattern(n);
    struct jade_blockfile *f = NULL;
    uint32_t crc = write_file(os, path, p, n, piece);
    must(open_it(os, path, crc, &f, &e));
    assert_int_equal(jade_blockfile_size(f), n);
    assert_int_equal((uintptr_t)jade_blockfile_data(f) % 64, 0);
    assert_string_equal(jade_blockfile_path(f), path);
    must(jade_blockfile_check(f, 0, n, &e));
    must(jade_blockfile_check(f, 0, n, &e)); /* the fast path */
    must(jade_blockfile_verify_all(f, &e));
    assert_memory_equal(jade_blockfile_data(f), p, n);
    jade_blockfile_close(f);
    must(jade_os_unlink(os, path, &e));
    jade_free(p);
}

static const size_t SIZES[] = {1, 63, 64, 65, 65535, 65536, 65537, 131072, 262144, 262145, 700001};

static void blockfile_round_trip_at_each_boundary(void **state)
{
    (void)state;
    struct jade_sim *s = disk_new();
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        check_round_trip(jade_sim_os(s), "f", SIZES[i], 7919);
        check_round_trip(jade_sim_os(s), "f", SIZES[i], SIZES[i]);
    }
    jade_sim_free(s);
}

static void blockfile_round_trip_on_the_real_disk(void **state)
{
    (void)state;
    char dir[] = "/tmp/jade-test-XXXXXX";
    char path[64];
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/f", dir);
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        check_round_trip(jade_os_posix(), path, SIZES[i], 4096);
    }
    assert_int_equal(rmdir(dir), 0);
}

static void blockfile_without_payload_is_fine(void **state)
{
    (void)state;
    struct jade_sim *s = disk_new();
    struct jade_blockfile *f = NULL;
    uint32_t crc = write_file(jade_sim_os(s), "f", (const uint8_t *)"", 0, 1);
    must(open_it(jade_sim_os(s), "f", crc, &f, &e));
    assert_int_equal(jade_blockfile_size(f), 0);
    must(jade_blockfile_check(f, 0, 0, &e));
    must_fail(JADE_E_CORRUPT, jade_blockfile_check(f, 0, 1, &e));
    must(jade_blockfile_verify_all(f, &e));
    jade_blockfile_close(f);
    jade_sim_free(s);
}

static void blockfile_align_pads_with_zeros(void **state)
{
    (void)state;
    struct jade_sim *s = disk_new();
    struct jade_blockfile_writer *w = NULL;
    struct jade_blockfile *f = NULL;
    uint32_t crc;
    uint64_t size;
    must(jade_blockfile_writer_new(jade_sim_os(s), "f", JADE_BF_VECTORS, SEGMENT, &w, &e));
    must(jade_blockfile_align(w, 64, &e));
    assert_int_equal(jade_blockfile_offset(w), 0);
    must(jade_blockfile_append(w, "abc", 3, &e));
    must(jade_blockfile_align(w, 4096, &e));
    assert_int_equal(jade_blockfile_offset(w), 4096);
    must(jade_blockfile_append(w, "d", 1, &e));
    must(jade_blockfile_finish(w, &crc, &size, &e));
    must(open_it(jade_sim_os(s), "f", crc, &f, &e));
    assert_int_equal(jade_blockfile_size(f), 4097);
    assert_int_equal(size, 4096 + 4160 + 4 + 64);
    must(jade_blockfile_verify_all(f, &e));
    assert_memory_equal(jade_blockfile_data(f), "abc\0", 4);
    assert_int_equal(jade_blockfile_data(f)[4096], 'd');
    jade_blockfile_close(f);
    jade_sim_free(s);
}

static void blockfile_bytes_are_as_documented(void **state)
{
    (void)state;
    struct jade_sim *s = disk_new();
    uint8_t *p = pattern(100000);
    size_t n;
    (void)write_file(jade_sim_os(s), "f", p, 100000, 100000);
    uint8_t *raw = slurp(jade_sim_os(s), "f", &n);
    assert_int_equal(n, 4096 + 100032 + 2 * 4 + 64);
    assert_memory_equal(raw, "JADEBLK1", 8);
    assert_int_equal(jade_load_u32(raw + 8), 1);
    assert_memory_equal(raw + 12, "VEC0", 4);
    assert_int_equal(jade_load_u64(raw + 16), SEGMENT);
    assert_int_equal(jade_load_u32(raw + 24), 65536);
    assert_memory_equal(raw + 4096, p, 100000);
    const uint8_t *end = raw + n - 64;
    assert_memory_equal(end, "JADEBEND", 8);
    assert_memory_equal(end + 8, "VEC0", 4);
    assert_int_equal(jade_load_u64(end + 16), SEGMENT);
    assert_int_equal(jade_load_u64(end + 24), 100000);
    assert_int_equal(jade_load_u32(end + 36), 2);
    jade_free(raw);
    jade_free(p);
    jade_sim_free(s);
}

/* Opening and verifying must notice a flip of any byte. */
static jade_code open_and_verify(struct jade_os *os, const char *path, uint32_t crc)
{
    struct jade_blockfile *f = NULL;
    jade_code rc = open_it(os, path, crc, &f, &e);
    if (rc == JADE_OK) {
        rc = jade_blockfile_verify_all(f, &e);
    }
    if (rc != JADE_OK) {
        assert_non_null(strstr(e.message, path));
    }
    jade_blockfile_close(f);
    return rc;
}

static void blockfile_flip_of_any_byte_is_found(void **state)
{
    (void)state;
    struct jade_sim *s = disk_new();
    struct jade_os *os = jade_sim_os(s);
    uint8_t *p = pattern(70000);
    size_t n;
    uint32_t crc = write_file(os, "f", p, 70000, 70000);
    uint8_t *raw = slurp(os, "f", &n);
    assert_int_equal(open_and_verify(os, "f", crc), JADE_OK);
    /* every byte of header, table and footer; a prime step through the payload */
    for (size_t at = 0; at < n; at += at < 4096 || at + 200 > n ? 1 : 331) {
        flip(os, "f", at, 0x10);
        jade_code rc = open_and_verify(os, "f", crc);
        if (rc != JADE_E_CORRUPT) {
            fail_msg("flip at %zu: %s", at, jade_code_name(rc));
        }
        flip(os, "f", at, 0x10);
    }
    jade_free(raw);
    jade_free(p);
    jade_sim_free(s);
}

static void blockfile_damage_is_found_at_first_use_and_stays_refused(void **state)
{
    (void)state;
    struct jade_sim *s = disk_new();
    struct jade_os *os = jade_sim_os(s);
    uint8_t *p = pattern(200000);
    struct jade_blockfile *f = NULL;
    uint32_t crc = write_file(os, "f", p, 200000, 200000);
    flip(os, "f", 4096 + 70000, 1);
    must(open_it(os, "f", crc, &f, &e)); /* opening reads no payload */
    must(jade_blockfile_check(f, 0, 65536, &e));
    assert_int_equal(atomic_load(&jade_blockfile_verified(f)[0]), 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(jade_blockfile_check(f, 65536, 1, &e), JADE_E_CORRUPT);
        assert_non_null(strstr(e.message, "offset 69632"));
    }
    must_fail(JADE_E_CORRUPT, jade_blockfile_check(f, 0, 200000, &e));
    must(jade_blockfile_check(f, 131072, 1, &e));
    jade_blockfile_close(f);
    jade_free(p);
    jade_sim_free(s);
}

static void blockfile_range_outside_the_payload_is_refused(void **state)
{
    (void)state;
    struct jade_sim *s = disk_new();
    struct jade_blockfile *f = NULL;
    uint8_t *p = pattern(1000);
    uint32_t crc = write_file(jade_sim_os(s), "f", p, 1000, 1000);
    must(open_it(jade_sim_os(s), "f", crc, &f, &e));
    must(jade_blockfile_check(f, 1000, 0, &e));
    must_fail(JADE_E_CORRUPT, jade_blockfile_check(f, 1000, 1, &e));
    must_fail(JADE_E_CORRUPT, jade_blockfile_check(f, 1001, 0, &e));
    must_fail(JADE_E_CORRUPT, jade_blockfile_check(f, 999, 2, &e));
    must_fail(JADE_E_CORRUPT, jade_blockfile_check(f, 1, UINT64_MAX, &e));
    must_fail(JADE_E_CORRUPT, jade_blockfile_check(f, UINT64_MAX, 2, &e));
    jade_blockfile_close(f);
    jade_free(p);
    jade_sim_free(s);
}

static void blockfile_swapped_or_cut_file_is_refused(void **state)
{
    (void)state;
    struct jade_sim *s = disk_new();
    struct jade_os *os = jade_sim_os(s);
    struct jade_blockfile *f = NULL;
    uint8_t *p = pattern(1000);
    uint32_t crc = write_file(os, "f", p, 1000, 1000);
    must_fail(JADE_E_CORRUPT, jade_blockfile_open(os, "f", JADE_BF_NORMS, SEGMENT, crc, &f, &e));
    must_fail(JADE_E_CORRUPT,
              jade_blockfile_open(os, "f", JADE_BF_VECTORS, SEGMENT + 1, crc, &f, &e));
    must_fail(JADE_E_CORRUPT, open_it(os, "f", crc ^ 1, &f, &e));
    must_fail(JADE_E_NOT_FOUND, open_it(os, "g", crc, &f, &e));
    assert_null(f);
    size_t n;
    uint8_t *raw = slurp(os, "f", &n);
    for (size_t cut = 0; cut < n; cut += cut < 100 || cut + 200 > n ? 1 : 97) {
        struct jade_file *file = NULL;
        must(jade_file_open(os, "g", JADE_OPEN_CREATE, &file, &e));
        must(jade_file_write(file, 0, raw, cut, &e));
        jade_file_close(file);
        must_fail(JADE_E_CORRUPT, open_it(os, "g", crc, &f, &e));
        must(jade_os_unlink(os, "g", &e));
    }
    jade_free(raw);
    jade_free(p);
    jade_sim_free(s);
}

static void blockfile_does_not_overwrite(void **state)
{
    (void)state;
    struct jade_sim *s = disk_new();
    struct jade_blockfile_writer *w = NULL;
    uint32_t crc = write_file(jade_sim_os(s), "f", (const uint8_t *)"x", 1, 1);
    must_fail(JADE_E_ALREADY_EXISTS,
              jade_blockfile_writer_new(jade_sim_os(s), "f", JADE_BF_VECTORS, SEGMENT, &w, &e));
    assert_null(w);
    assert_int_equal(open_and_verify(jade_sim_os(s), "f", crc), JADE_OK);
    jade_sim_free(s);
}

static void blockfile_abort_leaves_nothing(void **state)
{
    (void)state;
    struct jade_sim *s = disk_new();
    struct jade_blockfile_writer *w = NULL;
    must(jade_blockfile_writer_new(jade_sim_os(s), "f", JADE_BF_VECTORS, SEGMENT, &w, &e));
    must(jade_blockfile_append(w, "abc", 3, &e));
    jade_blockfile_abort(w);
    jade_blockfile_abort(NULL);
    jade_blockfile_close(NULL);
    assert_false(there(jade_sim_os(s), "f"));
    jade_sim_free(s);
}

/* Disk that stores something else than what was written: seen before the file may be named. */
static void blockfile_write_error_in_the_middle_is_reported_by_finish_too(void **state)
{
    (void)state;
    struct jade_sim *s = disk_new();
    struct jade_blockfile_writer *w = NULL;
    uint8_t *p = pattern(600000);
    uint32_t crc;
    uint64_t size;
    must(jade_blockfile_writer_new(jade_sim_os(s), "f", JADE_BF_VECTORS, SEGMENT, &w, &e));
    jade_sim_fail_at(s, JADE_SIM_WRITE, 1, JADE_E_NOSPACE, false);
    must_fail(JADE_E_NOSPACE, jade_blockfile_append(w, p, 600000, &e));
    must_fail(JADE_E_NOSPACE, jade_blockfile_append(w, p, 1, &e));
    must_fail(JADE_E_NOSPACE, jade_blockfile_finish(w, &crc, &size, &e));
    assert_false(there(jade_sim_os(s), "f"));
    jade_free(p);
    jade_sim_free(s);
}

static void blockfile_each_failing_call_is_clean(void **state)
{
    (void)state;
    uint8_t *p = pattern(300000);
    unsigned failed = 0;
    for (uint64_t n = 1;; n++) {
        struct jade_sim *s = disk_new();
        struct jade_blockfile *f = NULL;
        uint32_t crc = 0;
        jade_sim_fail_at(s, JADE_SIM_ANY, n, JADE_E_IO, false);
        jade_code rc = try_write(jade_sim_os(s), "f", p, 300000, 100000, &crc, &e);
        bool written = rc == JADE_OK;
        if (rc == JADE_OK) {
            rc = open_it(jade_sim_os(s), "f", crc, &f, &e);
        }
        if (rc == JADE_OK) {
            rc = jade_blockfile_verify_all(f, &e);
        }
        jade_blockfile_close(f);
        bool clean = rc == JADE_OK && jade_sim_calls(s, JADE_SIM_ANY) < n;
        if (!written) {
            assert_int_equal(rc, JADE_E_IO);
            assert_false(there(jade_sim_os(s), "f"));
        }
        failed += rc != JADE_OK;
        jade_sim_free(s);
        if (clean) {
            break;
        }
    }
    assert_true(failed > 8);
    jade_free(p);
}

static void blockfile_each_failing_allocation_is_clean(void **state)
{
    (void)state;
    uint8_t *p = pattern(300000);
    struct jade_sim *s = disk_new();
    for (uint64_t n = 1;; n++) {
        struct jade_blockfile *f = NULL;
        uint32_t crc = 0;
        jade_alloc_fail_at(n);
        jade_code rc = try_write(jade_sim_os(s), "f", p, 300000, 100000, &crc, &e);
        bool written = rc == JADE_OK;
        if (rc == JADE_OK) {
            rc = open_it(jade_sim_os(s), "f", crc, &f, &e);
        }
        bool clean = jade_alloc_count() < n;
        jade_alloc_fail_at(0);
        jade_blockfile_close(f);
        assert_true(rc == JADE_OK || rc == JADE_E_NOMEM);
        if (written) {
            must(jade_os_unlink(jade_sim_os(s), "f", &e));
        }
        if (clean) {
            assert_int_equal(rc, JADE_OK);
            break;
        }
        if (there(jade_sim_os(s), "f")) {
            must(jade_os_unlink(jade_sim_os(s), "f",
                                &e)); /* the unlink of abort lacked memory itself */
        }
    }
    jade_sim_free(s);
    jade_free(p);
}

/* ---- many readers ---- */

struct reader {
    struct jade_blockfile *file;
    uint64_t step;
    unsigned failed;
};

static void *read_blocks(void *arg)
{
    struct reader *r = arg;
    uint64_t n = jade_blockfile_size(r->file);
    for (uint64_t i = 0; i < 400; i++) {
        uint64_t at = i * r->step % n;
        if (jade_blockfile_check(r->file, at, 1, NULL) != JADE_OK ||
            jade_blockfile_data(r->file)[at] == 0) {
            r->failed++;
        }
    }
    return NULL;
}

static void blockfile_is_verified_by_many_threads_at_once(void **state)
{
    (void)state;
    enum { THREADS = 4, BYTES = 3000000 };
    struct jade_sim *s = disk_new();
    uint8_t *p = pattern(BYTES);
    struct jade_blockfile *f = NULL;
    uint32_t crc = write_file(jade_sim_os(s), "f", p, BYTES, BYTES);
    must(open_it(jade_sim_os(s), "f", crc, &f, &e));
    struct jade_thread threads[THREADS] = {{0}};
    struct reader readers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        readers[i] = (struct reader){.file = f, .step = 65521 + 2 * i};
        must(jade_thread_start(&threads[i], "reader", 0, read_blocks, &readers[i], &e));
    }
    for (unsigned i = 0; i < THREADS; i++) {
        jade_thread_join(&threads[i]);
        assert_int_equal(readers[i].failed, 0);
    }
    jade_blockfile_close(f);
    jade_free(p);
    jade_sim_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blockfile_round_trip_at_each_boundary),
        cmocka_unit_test(blockfile_round_trip_on_the_real_disk),
        cmocka_unit_test(blockfile_without_payload_is_fine),
        cmocka_unit_test(blockfile_align_pads_with_zeros),
        cmocka_unit_test(blockfile_bytes_are_as_documented),
        cmocka_unit_test(blockfile_flip_of_any_byte_is_found),
        cmocka_unit_test(blockfile_damage_is_found_at_first_use_and_stays_refused),
        cmocka_unit_test(blockfile_range_outside_the_payload_is_refused),
        cmocka_unit_test(blockfile_swapped_or_cut_file_is_refused),
        cmocka_unit_test(blockfile_does_not_overwrite),
        cmocka_unit_test(blockfile_abort_leaves_nothing),
        cmocka_unit_test(blockfile_write_error_in_the_middle_is_reported_by_finish_too),
        cmocka_unit_test(blockfile_each_failing_call_is_clean),
        cmocka_unit_test(blockfile_each_failing_allocation_is_clean),
        cmocka_unit_test(blockfile_is_verified_by_many_threads_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
