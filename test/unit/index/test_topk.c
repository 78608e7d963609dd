/* The k nearest so far, against sorting everything. */
#include "unit/index/support.h"

static void keeps_the_k_nearest_with_ties_by_row(void **state)
{
    (void)state;
    struct jade_random r;
    jade_random_init(&r, SEED);
    printf("seed %llu\n", (unsigned long long)SEED);
    for (int round = 0; round < 300; round++) {
        struct exact all[200];
        struct jade_topk t;
        uint32_t n = (uint32_t)jade_random_below(&r, 200),
                 k = 1 + (uint32_t)jade_random_below(&r, 30);
        assert_int_equal(jade_topk_init(&t, k, INFINITY, NULL), JADE_OK);
        for (uint32_t i = 0; i < n; i++) { /* rows in mixed order, many equal distances */
            uint32_t row = (i * 77) % 199;
            float distance = (float)jade_random_below(&r, 8);
            all[i] = (struct exact){(double)distance, row};
            jade_topk_push(&t, distance, row);
        }
        qsort(all, n, sizeof all[0], exact_order);
        jade_topk_sort(&t);
        assert_int_equal(t.n, n < k ? n : k);
        for (uint32_t i = 0; i < t.n; i++) {
            assert_int_equal(t.items[i].row, all[i].row);
            assert_true((double)t.items[i].distance == all[i].distance);
        }
        jade_topk_release(&t);
    }
}

static void the_bound_is_the_threshold_until_full(void **state)
{
    (void)state;
    struct jade_topk t;
    assert_int_equal(jade_topk_init(&t, 2, 5.0f, NULL), JADE_OK);
    assert_true(jade_topk_bound(&t) == 5.0f);
    jade_topk_push(&t, 5.0f, 1); /* the threshold itself is in */
    jade_topk_push(&t, 5.1f, 2);
    assert_int_equal(t.n, 1);
    assert_true(jade_topk_bound(&t) == 5.0f);
    jade_topk_push(&t, 3.0f, 3);
    jade_topk_push(&t, 4.0f, 4);
    assert_true(jade_topk_bound(&t) == 4.0f);
    jade_topk_release(&t);
}

static void not_a_number_never_enters(void **state)
{
    (void)state;
    struct jade_topk t;
    assert_int_equal(jade_topk_init(&t, 2, NAN, NULL), JADE_OK); /* no threshold */
    jade_topk_push(&t, NAN, 1);
    jade_topk_push(&t, INFINITY, 2);
    jade_topk_push(&t, -INFINITY, 3);
    jade_topk_sort(&t);
    assert_int_equal(t.n, 2);
    assert_int_equal(t.items[0].row, 3);
    assert_int_equal(t.items[1].row, 2);
    jade_topk_release(&t);
}

static void short_memory_is_an_error(void **state)
{
    (void)state;
    struct jade_topk t;
    jade_alloc_fail_at(1);
    assert_int_equal(jade_topk_init(&t, 10, INFINITY, NULL), JADE_E_NOMEM);
    jade_alloc_fail_at(0);
    jade_topk_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_k_nearest_with_ties_by_row),
        cmocka_unit_test(the_bound_is_the_threshold_until_full),
        cmocka_unit_test(not_a_number_never_enters),
        cmocka_unit_test(short_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
