/*
 * Which rows of an import are read back. That a server which loses or bends rows is found out is shown by test/e2e/test_cli.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "cli/verify.h"

static void put(struct jade_verify *v, uint64_t number, const char *id, float value)
{
    struct jade_row row = {
        .kind = JADE_ROW_GOOD, .number = number, .id = id, .id_len = strlen(id), .dimension = 1};
    assert_int_equal(jade_verify_put(v, &row, &value, id[0] == '\0', NULL), JADE_OK);
}

static unsigned n_used(const struct jade_verify *v)
{
    unsigned n = 0;
    for (unsigned i = 0; i < JADE_VERIFY_ROWS_MAX; i++) {
        n += v->row[i].used;
    }
    return n;
}

static void verify_sample_is_spread_over_the_whole_file(void **state)
{
    (void)state;
    enum { ROWS = 20000, PARTS = 4, RUNS = 25 };
    unsigned in_part[PARTS] = {0};
    for (unsigned run = 0; run < RUNS; run++) {
        struct jade_verify v;
        jade_verify_init(&v);
        jade_random_init(&v.random, run + 1); /* seeds 1 to 25 */
        for (unsigned i = 0; i < ROWS; i++) {
            char id[16];
            snprintf(id, sizeof id, "r%u", i);
            put(&v, i + 1, id, (float)i);
        }
        assert_int_equal(n_used(&v), JADE_VERIFY_ROWS_MAX);
        for (unsigned i = 0; i < JADE_VERIFY_ROWS_MAX; i++) {
            char id[16];
            float value;
            snprintf(id, sizeof id, "r%u", (unsigned)v.row[i].number - 1);
            assert_string_equal((const char *)v.row[i].id.data, id);
            memcpy(&value, v.row[i].values.data, sizeof value);
            assert_true(value == (float)(v.row[i].number - 1));
            in_part[(v.row[i].number - 1) / (ROWS / PARTS)]++;
        }
        jade_verify_release(&v);
    }
    for (unsigned p = 0; p < PARTS; p++) { /* 125 expected, standard deviation 9.7 */
        assert_in_range(in_part[p], 80, 170);
    }
}

static void verify_of_rows_with_one_id_the_last_is_expected(void **state)
{
    (void)state;
    struct jade_verify v;
    float value;
    jade_verify_init(&v);
    put(&v, 1, "a", 1);
    put(&v, 2, "b", 2);
    put(&v, 3, "a", 3);
    assert_int_equal(n_used(&v), 2);
    memcpy(&value, v.row[0].values.data, sizeof value);
    assert_true(value == 3.0f);
    assert_int_equal(v.row[0].number, 3);
    jade_verify_release(&v);
}

static void verify_refused_rows_are_not_expected(void **state)
{
    (void)state;
    struct jade_verify v;
    jade_verify_init(&v);
    put(&v, 1, "a", 1);
    put(&v, 2, "b", 2);
    jade_verify_drop(&v, 1);
    jade_verify_drop(&v, 77); /* a bad line, never sent */
    assert_int_equal(n_used(&v), 1);
    assert_false(v.row[0].used);
    jade_verify_release(&v);
}

static void verify_rows_without_id_are_counted_only(void **state)
{
    (void)state;
    struct jade_verify v;
    jade_verify_init(&v);
    put(&v, 1, "", 1);
    put(&v, 2, "", 2);
    assert_int_equal(n_used(&v), 0);
    assert_int_equal(v.n_distinct, 2);
    jade_verify_drop(&v, 2);
    assert_int_equal(v.n_distinct, 1);
    jade_verify_release(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verify_sample_is_spread_over_the_whole_file),
        cmocka_unit_test(verify_of_rows_with_one_id_the_last_is_expected),
        cmocka_unit_test(verify_refused_rows_are_not_expected),
        cmocka_unit_test(verify_rows_without_id_are_counted_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
