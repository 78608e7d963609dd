/*
 * .npy headers and rows: what is taken, and what is refused by name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "cli/npy.h"

/* A file's beginning as NumPy writes it; returns its size. */
static size_t make(uint8_t *out, int version, const char *dict)
{
    size_t prefix = version == 1 ? 10 : 12, n = strlen(dict);
    memcpy(out, "\x93NUMPY", 6);
    out[6] = (uint8_t)version;
    out[7] = 0;
    for (size_t i = 8; i < prefix; i++) {
        out[i] = (uint8_t)(n >> (8 * (i - 8)));
    }
    memcpy(out + prefix, dict, n);
    return prefix + n;
}

static jade_code header(const char *dict, struct jade_npy *npy, struct jade_err *err)
{
    uint8_t file[512];
    size_t n = make(file, 1, dict);
    return jade_npy_header(file, n, npy, err);
}

static void npy_header_of_every_version_is_read(void **state)
{
    (void)state;
    for (int version = 1; version <= 3; version++) {
        uint8_t file[512];
        struct jade_npy npy;
        size_t size = 0;
        size_t n = make(file, version,
                        "{'descr': '<f4', 'fortran_order': False, 'shape': (7, 3), }      \n");
        assert_int_equal(jade_npy_header_size(file, JADE_NPY_PREFIX, &size, NULL), JADE_OK);
        assert_int_equal(size, n);
        assert_int_equal(jade_npy_header(file, n, &npy, NULL), JADE_OK);
        assert_int_equal(npy.n_rows, 7);
        assert_int_equal(npy.n_columns, 3);
        assert_int_equal(npy.item_bytes, 4);
        assert_false(npy.big_endian);
    }
}

static void npy_members_in_any_order_are_read(void **state)
{
    (void)state;
    struct jade_npy npy;
    assert_int_equal(
        header("{\"shape\": (2,5), \"fortran_order\": False, \"descr\": \">f8\"}", &npy, NULL),
        JADE_OK);
    assert_int_equal(npy.n_rows, 2);
    assert_int_equal(npy.n_columns, 5);
    assert_int_equal(npy.item_bytes, 8);
    assert_true(npy.big_endian);
}

static void npy_arrays_of_another_kind_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *dict, *field;
        jade_code code;
    } cases[] = {
        {"{'descr': '<i8', 'fortran_order': False, 'shape': (2, 3)}", "descr",
         JADE_E_INVALID_ARGUMENT},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (2, 3)}", "descr",
         JADE_E_INVALID_ARGUMENT},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3)}", "fortran_order",
         JADE_E_INVALID_ARGUMENT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", "shape",
         JADE_E_INVALID_ARGUMENT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 4)}", "shape",
         JADE_E_INVALID_ARGUMENT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 16385)}", "shape",
         JADE_E_INVALID_ARGUMENT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 0)}", "shape",
         JADE_E_INVALID_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct jade_npy npy;
        struct jade_err err = {0};
        assert_int_equal(header(cases[i].dict, &npy, &err), cases[i].code);
        assert_string_equal(err.field, cases[i].field);
    }
}

static void npy_damaged_header_is_corrupt_at_every_length(void **state)
{
    (void)state;
    uint8_t file[512];
    struct jade_npy npy;
    size_t n = make(file, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (7, 3)}");
    for (size_t cut = 0; cut < n; cut++) {
        assert_int_equal(jade_npy_header(file, cut, &npy, NULL), JADE_E_CORRUPT);
    }
    static const char *const dicts[] = {
        "",
        "{}",
        "{'descr': '<f4'}",
        "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (7, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (7, 3}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-7, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1)}",
        "{'what': '<f4', 'fortran_order': False, 'shape': (7, 3)}",
        "{'descr': '<f4",
    };
    for (size_t i = 0; i < sizeof dicts / sizeof dicts[0]; i++) {
        assert_int_equal(header(dicts[i], &npy, NULL), JADE_E_CORRUPT);
    }
}

static void npy_unknown_version_and_huge_header_are_refused(void **state)
{
    (void)state;
    uint8_t file[JADE_NPY_PREFIX] = {0x93, 'N', 'U', 'M', 'P', 'Y', 4};
    size_t size;
    assert_int_equal(jade_npy_header_size(file, sizeof file, &size, NULL), JADE_E_VERSION);
    file[6] = 2;
    memset(file + 8, 0xFF, 4);
    assert_int_equal(jade_npy_header_size(file, sizeof file, &size, NULL), JADE_E_TOO_LARGE);
    assert_false(jade_npy_is("{\"id\"", 5));
}

static void npy_rows_of_all_four_types_give_the_same_numbers(void **state)
{
    (void)state;
    const float want[3] = {1.5f, -0.25f, 3e30f};
    for (int kind = 0; kind < 4; kind++) {
        struct jade_npy npy = {.n_rows = 1, .n_columns = 3};
        uint8_t row[24];
        float got[3];
        npy.item_bytes = kind & 1 ? 8 : 4;
        npy.big_endian = (kind & 2) != 0;
        for (size_t i = 0; i < 3; i++) {
            double wide = (double)want[i];
            uint8_t bytes[8];
            memcpy(bytes, npy.item_bytes == 8 ? (const void *)&wide : (const void *)&want[i],
                   npy.item_bytes);
            for (unsigned b = 0; b < npy.item_bytes; b++) {
                row[i * npy.item_bytes + b] = bytes[npy.big_endian ? npy.item_bytes - 1 - b : b];
            }
        }
        assert_int_equal(jade_npy_row(&npy, row, got, NULL), JADE_OK);
        assert_memory_equal(got, want, sizeof want);
    }
}

static void npy_row_that_is_not_finite_is_refused_with_its_column(void **state)
{
    (void)state;
    struct jade_npy npy = {.n_rows = 1, .n_columns = 3, .item_bytes = 8};
    const double bad[] = {NAN, INFINITY, -INFINITY, 1e39};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        double row[3] = {1, 2, bad[i]};
        float got[3];
        struct jade_err err = {0};
        assert_int_equal(jade_npy_row(&npy, row, got, &err), JADE_E_INVALID_ARGUMENT);
        assert_string_equal(err.field, "values");
        assert_non_null(strstr(err.message, "column 2"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(npy_header_of_every_version_is_read),
        cmocka_unit_test(npy_members_in_any_order_are_read),
        cmocka_unit_test(npy_arrays_of_another_kind_are_refused_by_name),
        cmocka_unit_test(npy_damaged_header_is_corrupt_at_every_length),
        cmocka_unit_test(npy_unknown_version_and_huge_header_are_refused),
        cmocka_unit_test(npy_rows_of_all_four_types_give_the_same_numbers),
        cmocka_unit_test(npy_row_that_is_not_finite_is_refused_with_its_column),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
