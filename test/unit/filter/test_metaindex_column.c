/* Numbers compare exactly, and a column selects what a plain loop over its numbers selects. */
#include <stdlib.h>

#include "filter/metaindex_private.h"
#include "filter_test.h"

static int sign(int x)
{
    return (x > 0) - (x < 0);
}

struct ordered {
    enum jade_json_type type;
    int64_t i;
    uint64_t u;
    double d;
};

/* Strictly ascending, over all three types. */
static const struct ordered ASCENDING[] = {
    {JADE_JSON_DOUBLE, 0, 0, -1.7976931348623157e308},
    {JADE_JSON_DOUBLE, 0, 0, -9223372036854777856.0},
    {JADE_JSON_INT, INT64_MIN, 0, 0},
    {JADE_JSON_INT, INT64_MIN + 1, 0, 0},
    {JADE_JSON_INT, INT64_MIN + 1023, 0, 0},
    {JADE_JSON_DOUBLE, 0, 0, -9223372036854774784.0},
    {JADE_JSON_INT, -9007199254740993, 0, 0},
    {JADE_JSON_DOUBLE, 0, 0, -9007199254740992.0},
    {JADE_JSON_INT, -1, 0, 0},
    {JADE_JSON_DOUBLE, 0, 0, -0.5},
    {JADE_JSON_DOUBLE, 0, 0, -5e-324},
    {JADE_JSON_INT, 0, 0, 0},
    {JADE_JSON_DOUBLE, 0, 0, 5e-324},
    {JADE_JSON_DOUBLE, 0, 0, 0.5},
    {JADE_JSON_INT, 1, 0, 0},
    {JADE_JSON_INT, 9007199254740991, 0, 0},
    {JADE_JSON_DOUBLE, 0, 0, 9007199254740992.0},
    {JADE_JSON_INT, 9007199254740993, 0, 0},
    {JADE_JSON_INT, 9007199254740994, 0, 0},
    {JADE_JSON_INT, 9007199254740995, 0, 0},
    {JADE_JSON_INT, INT64_MAX - 1, 0, 0},
    {JADE_JSON_INT, INT64_MAX, 0, 0},
    {JADE_JSON_DOUBLE, 0, 0, 9223372036854775808.0},
    {JADE_JSON_UINT, 0, (uint64_t)INT64_MAX + 2, 0},
    {JADE_JSON_UINT, 0, UINT64_MAX - 1, 0},
    {JADE_JSON_UINT, 0, UINT64_MAX, 0},
    {JADE_JSON_DOUBLE, 0, 0, 18446744073709551616.0},
    {JADE_JSON_DOUBLE, 0, 0, 1.7976931348623157e308},
};
enum { N_ASCENDING = sizeof ASCENDING / sizeof ASCENDING[0] };

static struct jadei_number number_of(const struct ordered *o)
{
    switch (o->type) {
    case JADE_JSON_INT:
        return jadei_number_of_int(o->i);
    case JADE_JSON_UINT:
        return jadei_number_of_uint(o->u);
    default:
        return jadei_number_of_double(o->d);
    }
}

static void numbers_of_all_types_stand_in_one_order(void **state)
{
    (void)state;
    for (int a = 0; a < N_ASCENDING; a++) {
        for (int b = 0; b < N_ASCENDING; b++) {
            int c = jadei_number_compare(number_of(&ASCENDING[a]), number_of(&ASCENDING[b]));
            if (sign(c) != sign(a - b)) {
                fail_msg("numbers %d and %d compare as %d", a, b, c);
            }
        }
    }
    assert_int_equal(jadei_number_compare(jadei_number_of_double(-0.0), jadei_number_of_int(0)), 0);
    assert_int_equal(jadei_number_compare(jadei_number_of_double(9223372036854775808.0),
                                          jadei_number_of_uint((uint64_t)1 << 63)),
                     0);
    assert_int_equal(jadei_number_compare(jadei_number_of_double(-9223372036854775808.0),
                                          jadei_number_of_int(INT64_MIN)),
                     0);
}

static void random_integers_keep_their_order(void **state)
{
    (void)state;
    struct jade_random r;
    jade_random_init(&r, 31);
    for (unsigned i = 0; i < 100000; i++) {
        int64_t a = (int64_t)jade_random_u64(&r) >> jade_random_below(&r, 64);
        int64_t b = jade_random_below(&r, 2) == 0
                        ? a
                        : (int64_t)jade_random_u64(&r) >> jade_random_below(&r, 64);
        int64_t near = (int64_t)((uint64_t)b + jade_random_below(&r, 5));
        int c = jadei_number_compare(jadei_number_of_int(a), jadei_number_of_int(near));
        assert_int_equal(sign(c), (a > near) - (a < near));
        c = jadei_number_compare(jadei_number_of_uint((uint64_t)a),
                                 jadei_number_of_uint((uint64_t)near));
        assert_int_equal(sign(c), ((uint64_t)a > (uint64_t)near) - ((uint64_t)a < (uint64_t)near));
    }
}

static bool holds(enum jadei_op op, int c)
{
    return op == JADEI_ANY ? c == 0 : jadei_order_holds(op, c);
}

static struct jadei_interval interval(enum jadei_op op, int want)
{
    struct jadei_end end = {
        .set = true, .open = op == JADEI_GT || op == JADEI_LT, .number = jadei_number_of_int(want)};
    struct jadei_interval in = {0};
    if (op != JADEI_LT && op != JADEI_LTE) {
        in.low = end;
    }
    if (op != JADEI_GT && op != JADEI_GTE) {
        in.high = end;
    }
    return in;
}

static void a_column_selects_what_a_loop_selects(void **state)
{
    (void)state;
    enum { N_ROWS = 9000 };
    static const enum jadei_op ops[] = {JADEI_ANY, JADEI_GT, JADEI_GTE, JADEI_LT, JADEI_LTE};
    struct jade_random r;
    struct jadei_column c = {0};
    uint64_t bytes = 0;
    int *values = jade_alloc(JADE_TAG_TEST, (size_t)N_ROWS * 2 * sizeof(int));
    assert_non_null(values);
    jade_random_init(&r, 8);
    for (uint32_t i = 0; i < N_ROWS * 2; i++) { /* two of each row */
        values[i] = (int)jade_random_below(&r, 500);
        struct jadei_number n = jadei_number_of_int(values[i]);
        must(jadei_column_add(&c, (struct jadei_entry){.key = n.key, .row = i / 2, .rest = n.rest},
                              &bytes, &err));
    }
    assert_true(bytes >= c.n * sizeof(struct jadei_entry));
    for (int want = -1; want <= 500; want += want == -1 || want == 498 ? 1 : 71) {
        for (size_t o = 0; o < 5; o++) {
            roaring_bitmap_t *rows = roaring_bitmap_create();
            struct jadei_interval in = interval(ops[o], want);
            must(jadei_column_select(&c, &in, rows, &err));
            for (uint32_t row = 0; row < N_ROWS; row++) {
                int x = values[row * 2];
                int y = values[row * 2 + 1];
                bool expected = holds(ops[o], (x > want) - (x < want)) ||
                                holds(ops[o], (y > want) - (y < want));
                if (roaring_bitmap_contains(rows, row) != expected) {
                    fail_msg("op %d, number %d, row %u (%d, %d)", (int)ops[o], want, row, x, y);
                }
            }
            roaring_bitmap_free(rows);
        }
    }
    jade_free(values);
    jadei_column_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_of_all_types_stand_in_one_order),
        cmocka_unit_test(random_integers_keep_their_order),
        cmocka_unit_test(a_column_selects_what_a_loop_selects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
