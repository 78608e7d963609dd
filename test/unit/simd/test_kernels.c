/* Every level the machine has, against a float64 reference and against each other. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "simd/simd.h"

enum { ROWS = 7, LENGTH_MAX = 16384 };
static const uint64_t SEED = 20261123;
static const size_t LENGTHS[] = {16,  32,   48,   64,   112,   128,
                                 784, 1024, 1536, 4096, 16368, LENGTH_MAX};
enum { N_LENGTHS = sizeof LENGTHS / sizeof LENGTHS[0] };

enum pattern { RANDOM, DENORMAL, HUGE_1E18, ALTERNATING, MIXED_SCALES, EQUAL, N_PATTERNS };
static const char *const PATTERN_NAMES[] = {"random",      "denormal",     "1e18",
                                            "alternating", "mixed scales", "equal"};

struct arena {
    float *q;
    float *rows; /* ROWS of LENGTH_MAX */
};

static float make_value(struct jade_random *r, enum pattern pattern, size_t i)
{
    double u = jade_random_unit(r) * 2 - 1;
    switch (pattern) {
    case DENORMAL: /* products underflow, squares too */
        return (float)(u * 1e-40);
    case HUGE_1E18: /* a few hundred squares of 1e18 pass FLT_MAX */
        return (float)(u * 1e18);
    case ALTERNATING: /* sums cancel to almost nothing beside their terms */
        return (float)((i % 2 ? -1.0 : 1.0) * (1.0 + u * 1e-6));
    case MIXED_SCALES:
        return (float)(u * pow(10, (double)(i % 13) - 6));
    case EQUAL:
        return 0.1f;
    case RANDOM:
    case N_PATTERNS:
        break;
    }
    return (float)u;
}

static void fill(struct arena *a, enum pattern pattern, size_t n)
{
    struct jade_random r;
    jade_random_init(&r, SEED + (uint64_t)pattern * 1000 + n);
    for (size_t i = 0; i < n; i++) {
        a->q[i] = make_value(&r, pattern, i);
    }
    for (size_t row = 0; row < ROWS; row++) {
        for (size_t i = 0; i < n; i++) {
            a->rows[row * LENGTH_MAX + i] = make_value(&r, pattern, i);
        }
    }
}

static int setup(void **state)
{
    struct arena *a = malloc(sizeof *a);
    assert_non_null(a);
    a->q = aligned_alloc(JADE_SIMD_ALIGN, LENGTH_MAX * sizeof(float));
    a->rows = aligned_alloc(JADE_SIMD_ALIGN, (size_t)ROWS * LENGTH_MAX * sizeof(float));
    assert_non_null(a->q);
    assert_non_null(a->rows);
    *state = a;
    printf("seed %llu\n", (unsigned long long)SEED);
    return 0;
}

static int teardown(void **state)
{
    struct arena *a = *state;
    free(a->q);
    free(a->rows);
    free(a);
    return 0;
}

/* The exact sum in float64 (its own error is 2^-29 of ours) and the sum of the terms' magnitudes. */
struct reference {
    double sum, magnitude;
};

static struct reference reference_l2sq(const float *a, const float *b, size_t n)
{
    struct reference ref = {0, 0};
    for (size_t i = 0; i < n; i++) {
        double diff = (double)a[i] - (double)b[i];
        ref.sum += diff * diff;
    }
    ref.magnitude = ref.sum;
    return ref;
}

static struct reference reference_dot(const float *a, const float *b, size_t n)
{
    struct reference ref = {0, 0};
    for (size_t i = 0; i < n; i++) {
        double product = (double)a[i] * (double)b[i];
        ref.sum += product;
        ref.magnitude += fabs(product);
    }
    return ref;
}

/*
 * Bound on |computed - exact|. Each level keeps at least 16 running sums, so a term passes at most n / 16 additions and a fold of
 * five; a difference and a product add at most three roundings more. Each rounding is a factor of 1 +- u with u = 2^-24, and
 * (1 + u)^d - 1 <= 1.01 d u for our d <= 1032 (Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.1). Products
 * below FLT_MIN lose up to half the smallest denormal each.
 */
static double bound_on_error(double magnitude, size_t n)
{
    double depth = (double)n / 16 + 8;
    return 1.01 * depth * ldexp(1, -24) * magnitude + (double)n * ldexp(1, -149);
}

/* A sum whose terms pass FLT_MAX is infinite, or NaN where lanes of both signs overflow; below that it must be near. */
static void check_sum(float got, struct reference ref, size_t n, const char *what)
{
    double bound = bound_on_error(ref.magnitude, n);
    if (ref.magnitude + bound > FLT_MAX) {
        if (isfinite(got)) {
            assert_true(fabs((double)got - ref.sum) <= bound);
        }
        return;
    }
    if (!(fabs((double)got - ref.sum) <= bound)) {
        fail_msg("%s, length %zu: %.9g, exact %.17g, bound %.3g", what, n, (double)got, ref.sum,
                 bound);
    }
}

static void every_level_is_near_the_float64_reference(void **state)
{
    struct arena *a = *state;
    unsigned checked = 0;
    for (int level = 0; level < JADE_SIMD_LEVEL_COUNT; level++) {
        const struct jade_simd *simd = jade_simd_level((enum jade_simd_level)level);
        for (int pattern = 0; simd && pattern < N_PATTERNS; pattern++) {
            for (size_t l = 0; l < N_LENGTHS; l++) {
                size_t n = LENGTHS[l];
                char what[64];
                snprintf(what, sizeof what, "%s %s", simd->name, PATTERN_NAMES[pattern]);
                fill(a, (enum pattern)pattern, n);
                for (size_t row = 0; row < ROWS; row++) {
                    const float *b = a->rows + row * LENGTH_MAX;
                    check_sum(simd->l2sq_f32(a->q, b, n), reference_l2sq(a->q, b, n), n, what);
                    check_sum(simd->dot_f32(a->q, b, n), reference_dot(a->q, b, n), n, what);
                    checked += 2;
                }
            }
        }
    }
    assert_true(checked >= 2u * ROWS * N_LENGTHS * N_PATTERNS);
}

static void l2sq_that_overflows_is_infinite(void **state)
{
    struct arena *a = *state;
    for (size_t i = 0; i < LENGTH_MAX; i++) {
        a->q[i] = 1e18f;
        a->rows[i] = -1e18f;
    }
    for (int level = 0; level < JADE_SIMD_LEVEL_COUNT; level++) {
        const struct jade_simd *simd = jade_simd_level((enum jade_simd_level)level);
        if (simd) {
            assert_true(isinf(simd->l2sq_f32(a->q, a->rows, LENGTH_MAX)));
            assert_true(isinf(simd->dot_f32(a->q, a->rows, LENGTH_MAX)));
            assert_true(isfinite(simd->l2sq_f32(a->q, a->rows, 64)));
        }
    }
}

static void same_bits(const float *got, const float *expected, size_t n)
{
    assert_memory_equal(got, expected, n * sizeof *got);
}

static void batch_forms_give_the_bits_of_the_single_form(void **state)
{
    struct arena *a = *state;
    for (int level = 0; level < JADE_SIMD_LEVEL_COUNT; level++) {
        const struct jade_simd *simd = jade_simd_level((enum jade_simd_level)level);
        for (size_t l = 0; simd && l < N_LENGTHS; l++) {
            size_t n = LENGTHS[l];
            const float *four[4];
            float l2[ROWS], dot[ROWS], out[ROWS];
            fill(a, MIXED_SCALES, n);
            for (size_t row = 0; row < ROWS; row++) {
                l2[row] = simd->l2sq_f32(a->q, a->rows + row * LENGTH_MAX, n);
                dot[row] = simd->dot_f32(a->q, a->rows + row * LENGTH_MAX, n);
            }
            for (size_t count = 0; count <= ROWS; count++) {
                simd->l2sq_f32_rows(a->q, a->rows, LENGTH_MAX * sizeof(float), count, n, out);
                same_bits(out, l2, count);
                simd->dot_f32_rows(a->q, a->rows, LENGTH_MAX * sizeof(float), count, n, out);
                same_bits(out, dot, count);
            }
            for (size_t row = 0; row < 4; row++) {
                four[row] = a->rows + (row + 2) * LENGTH_MAX;
            }
            simd->l2sq_f32_x4(a->q, four, n, out);
            same_bits(out, l2 + 2, 4);
            simd->dot_f32_x4(a->q, four, n, out);
            same_bits(out, dot + 2, 4);
        }
    }
}

static void levels_agree_with_each_other(void **state)
{
    struct arena *a = *state;
    const struct jade_simd *scalar = jade_simd_level(JADE_SIMD_SCALAR);
    for (int level = JADE_SIMD_SCALAR + 1; level < JADE_SIMD_LEVEL_COUNT; level++) {
        const struct jade_simd *simd = jade_simd_level((enum jade_simd_level)level);
        for (size_t l = 0; simd && l < N_LENGTHS; l++) {
            size_t n = LENGTHS[l];
            fill(a, RANDOM, n);
            double bound = 2 * bound_on_error(reference_l2sq(a->q, a->rows, n).magnitude, n);
            assert_true(fabs((double)scalar->l2sq_f32(a->q, a->rows, n) -
                             (double)simd->l2sq_f32(a->q, a->rows, n)) <= bound);
            bound = 2 * bound_on_error(reference_dot(a->q, a->rows, n).magnitude, n);
            assert_true(fabs((double)scalar->dot_f32(a->q, a->rows, n) -
                             (double)simd->dot_f32(a->q, a->rows, n)) <= bound);
        }
    }
}

static void zero_padding_adds_nothing(void **state)
{
    struct arena *a = *state;
    for (int level = 0; level < JADE_SIMD_LEVEL_COUNT; level++) {
        const struct jade_simd *simd = jade_simd_level((enum jade_simd_level)level);
        if (!simd) {
            continue;
        }
        fill(a, RANDOM, 64);
        memset(a->q + 48, 0, 80 * sizeof(float));
        memset(a->rows + 48, 0, 80 * sizeof(float));
        double exact = reference_l2sq(a->q, a->rows, 48).sum;
        assert_true(fabs((double)simd->l2sq_f32(a->q, a->rows, 48) - exact) <=
                    bound_on_error(exact, 48));
        assert_true(fabs((double)simd->l2sq_f32(a->q, a->rows, 128) - exact) <=
                    bound_on_error(exact, 128));
    }
    assert_int_equal(jade_simd_padded(1), 16);
    assert_int_equal(jade_simd_padded(16), 16);
    assert_int_equal(jade_simd_padded(17), 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_level_is_near_the_float64_reference),
        cmocka_unit_test(l2sq_that_overflows_is_infinite),
        cmocka_unit_test(batch_forms_give_the_bits_of_the_single_form),
        cmocka_unit_test(levels_agree_with_each_other),
        cmocka_unit_test(zero_padding_adds_nothing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
