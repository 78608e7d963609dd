/* Row sets hold what was added in every size; saved bitmaps are believed only when they are well
 * formed. */
#include "filter/metaindex_private.h"
#include "filter_test.h"

static void check_set(struct jade_random *r, uint32_t n, uint32_t gap_max)
{
    struct jadei_rows rows = {0};
    uint64_t bytes = 0;
    uint32_t row = 0;
    int64_t before = jade_alloc_bytes(JADE_TAG_METADATA);
    roaring_bitmap_t *expected = roaring_bitmap_create();
    roaring_bitmap_t *got = roaring_bitmap_create();
    for (uint32_t i = 0; i < n; i++) {
        row += (i > 0) + (uint32_t)jade_random_below(r, gap_max);
        must(jadei_rows_add(&rows, row, &bytes, &err));
        must(jadei_rows_add(&rows, row, &bytes, &err)); /* the same again */
        roaring_bitmap_add(expected, row);
    }
    assert_int_equal(rows.n, n);
    assert_int_equal(jade_alloc_bytes(JADE_TAG_METADATA) - before, bytes);
    assert_true(n > 1 || bytes == 0);
    jadei_rows_or(&rows, got);
    assert_true(roaring_bitmap_equals(expected, got));
    roaring_bitmap_free(expected);
    roaring_bitmap_free(got);
    jadei_rows_release(&rows);
    assert_int_equal(jade_alloc_bytes(JADE_TAG_METADATA), before);
}

static void sets_of_every_size_hold_what_was_added(void **state)
{
    (void)state;
    struct jade_random r;
    jade_random_init(&r, 3);
    for (uint32_t n = 0; n <= 40; n++) {
        check_set(&r, n, 1);
        check_set(&r, n, 10000);
    }
    check_set(&r, 5000, 3);
    check_set(&r, 200000, 2);
}

static roaring_bitmap_t *random_set(struct jade_random *r)
{
    roaring_bitmap_t *b = roaring_bitmap_create();
    for (uint32_t container = 0; container < 6; container++) {
        uint32_t base = container * 65536;
        switch (jade_random_below(r, 4)) {
        case 0:
            break;
        case 1:
            roaring_bitmap_add_range(b, base + jade_random_below(r, 1000),
                                     base + 2000 + jade_random_below(r, 60000));
            break;
        default: {
            uint32_t n = (uint32_t)jade_random_below(r, 2) == 0 ? 50 : 9000;
            for (uint32_t i = 0; i < n; i++) {
                roaring_bitmap_add(b, base + (uint32_t)jade_random_below(r, 65536));
            }
        }
        }
    }
    roaring_bitmap_add(b, (uint32_t)jade_random_below(r, 6 * 65536));
    if (jade_random_below(r, 2) == 0) {
        roaring_bitmap_run_optimize(b);
    }
    return b;
}

static void portable_bitmaps_pass_and_damaged_ones_are_refused_or_sound(void **state)
{
    (void)state;
    struct jade_random r;
    unsigned refused = 0;
    jade_random_init(&r, 12);
    print_message("seed 12\n");
    for (unsigned i = 0; i < 300; i++) {
        roaring_bitmap_t *b = random_set(&r);
        size_t n = roaring_bitmap_portable_size_in_bytes(b);
        uint64_t count = roaring_bitmap_get_cardinality(b);
        uint32_t n_rows = roaring_bitmap_maximum(b) + 1;
        uint8_t *p = jade_alloc(JADE_TAG_TEST, n);
        assert_non_null(p);
        roaring_bitmap_portable_serialize(b, (char *)p);
        roaring_bitmap_free(b);
        assert_true(jadei_bitmap_valid(p, n, count, n_rows));
        assert_false(jadei_bitmap_valid(p, n, count, n_rows - 1));
        assert_false(jadei_bitmap_valid(p, n, count + 1, n_rows));
        assert_false(jadei_bitmap_valid(p, n - 1, count, n_rows));
        for (unsigned k = 0; k < 60; k++) {
            size_t at = jade_random_below(&r, 2) == 0 ? jade_random_below(&r, n < 64 ? n : 64)
                                                      : jade_random_below(&r, n);
            uint8_t old = p[at];
            p[at] ^= (uint8_t)(1u << jade_random_below(&r, 8));
            if (!jadei_bitmap_valid(p, n, count, n_rows)) {
                refused++;
            } else { /* another set of as many rows below n_rows, or only the unused offsets changed
                      */
                roaring_bitmap_t *other =
                    roaring_bitmap_portable_deserialize_safe((const char *)p, n);
                assert_non_null(other);
                assert_int_equal(roaring_bitmap_get_cardinality(other), count);
                assert_true(roaring_bitmap_maximum(other) < n_rows);
                roaring_bitmap_free(other);
            }
            p[at] = old;
        }
        jade_free(p);
    }
    assert_true(refused > 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_of_every_size_hold_what_was_added),
        cmocka_unit_test(portable_bitmaps_pass_and_damaged_ones_are_refused_or_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
