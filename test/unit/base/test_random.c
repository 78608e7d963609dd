#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"

static const uint64_t seed = 77;

/* First outputs of xoshiro256** for the state 1, 2, 3, 4, worked out by hand from its definition. */
static void random_follows_xoshiro256_starstar(void **state)
{
    (void)state;
    struct jade_random r = {.s = {1, 2, 3, 4}};
    assert_int_equal(jade_random_u64(&r), 11520);
    assert_int_equal(jade_random_u64(&r), 0);
    assert_int_equal(jade_random_u64(&r), 1509978240);
}

static void random_seed_is_spread_by_splitmix(void **state)
{
    (void)state;
    struct jade_random r;
    jade_random_init(&r, 0);
    /* The published first outputs of splitmix64 for seed 0. */
    assert_int_equal(r.s[0], 0xE220A8397B1DCDAFu);
    assert_int_equal(r.s[1], 0x6E789E6AA1B965F4u);
    assert_int_equal(r.s[2], 0x06C45D188009454Fu);
    assert_int_equal(r.s[3], 0xF88BB8A8724C81ECu);
}

static void random_same_seed_same_numbers(void **state)
{
    (void)state;
    struct jade_random a;
    struct jade_random b;
    struct jade_random c;
    jade_random_init(&a, seed);
    jade_random_init(&b, seed);
    jade_random_init(&c, seed + 1);
    int same_as_other_seed = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t x = jade_random_u64(&a);
        assert_int_equal(x, jade_random_u64(&b));
        same_as_other_seed += x == jade_random_u64(&c);
    }
    assert_int_equal(same_as_other_seed, 0);
}

static void random_below_is_even_within_its_bound(void **state)
{
    (void)state;
    struct jade_random r;
    jade_random_init(&r, seed);
    int seen[7] = {0};
    for (int i = 0; i < 70000; i++) {
        uint64_t x = jade_random_below(&r, 7);
        assert_true(x < 7);
        seen[x]++;
    }
    for (int i = 0; i < 7; i++) {
        assert_in_range(seen[i], 9500, 10500); /* 5 sigma */
    }
    assert_int_equal(jade_random_below(&r, 1), 0);
    /* Two thirds of 2^64: with a plain modulo the lower half would come twice as often. */
    uint64_t bound = UINT64_MAX / 3 * 2;
    int low = 0;
    for (int i = 0; i < 10000; i++) {
        uint64_t x = jade_random_below(&r, bound);
        assert_true(x < bound);
        low += x < bound / 2;
    }
    assert_in_range(low, 4750, 5250);
}

static void random_unit_and_normal_have_their_moments(void **state)
{
    (void)state;
    struct jade_random r;
    jade_random_init(&r, seed);
    const int n = 100000;
    double sum = 0;
    double normal_sum = 0;
    double normal_squares = 0;
    int within_one = 0;
    for (int i = 0; i < n; i++) {
        double u = jade_random_unit(&r);
        assert_true(u >= 0 && u < 1);
        sum += u;
        double z = jade_random_normal(&r);
        assert_true(isfinite(z));
        normal_sum += z;
        normal_squares += z * z;
        within_one += fabs(z) < 1;
    }
    assert_true(fabs(sum / n - 0.5) < 0.005);
    assert_true(fabs(normal_sum / n) < 0.016);
    assert_true(fabs(normal_squares / n - 1) < 0.023);
    assert_true(fabs((double)within_one / n - 0.6827) < 0.0075);
}

int main(void)
{
    printf("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_follows_xoshiro256_starstar),
        cmocka_unit_test(random_seed_is_spread_by_splitmix),
        cmocka_unit_test(random_same_seed_same_numbers),
        cmocka_unit_test(random_below_is_even_within_its_bound),
        cmocka_unit_test(random_unit_and_normal_have_their_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
