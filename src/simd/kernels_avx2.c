/*
 * Kernels for AVX2 with FMA. Built with this set's flags and entered only after the processor and the
 * operating system were found to have it (simd.c).
 *
 * Two running sums a row hide the latency of FMA; with four rows at once that is eight chains, as many as two FMA units of
 * latency four can use, and 8 sums + 2 of the query stay within the 16 registers. n is a multiple of 16, so nothing is left over.
 */
#include "simd/kernels.h"

#if JADEI_SIMD_X86
#include <immintrin.h>

enum { STEP = 8 }; /* floats in one register */

/* Adds the lanes of both running sums, always in the same order. */
static inline float fold(__m256 even, __m256 odd)
{
    __m256 sum = _mm256_add_ps(even, odd);
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    half = _mm_add_ss(half, _mm_shuffle_ps(half, half, 1));
    return _mm_cvtss_f32(half);
}

static inline __m256 l2sq_step(__m256 sum, __m256 q, const float *row)
{
    __m256 diff = _mm256_sub_ps(q, _mm256_loadu_ps(row));
    return _mm256_fmadd_ps(diff, diff, sum);
}

static inline __m256 dot_step(__m256 sum, __m256 q, const float *row)
{
    return _mm256_fmadd_ps(q, _mm256_loadu_ps(row), sum);
}

static float l2sq(const float *a, const float *b, size_t n)
{
    __m256 even = _mm256_setzero_ps();
    __m256 odd = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 2 * STEP <= n; i += 2 * STEP) {
        even = l2sq_step(even, _mm256_loadu_ps(a + i), b + i);
        odd = l2sq_step(odd, _mm256_loadu_ps(a + i + STEP), b + i + STEP);
    }
    return fold(even, odd);
}

static void l2sq_x4(const float *q, const float *const rows[4], size_t n, float out[4])
{
    const float *r0 = rows[0], *r1 = rows[1], *r2 = rows[2], *r3 = rows[3];
    __m256 even0 = _mm256_setzero_ps(), odd0 = even0;
    __m256 even1 = even0, odd1 = even0;
    __m256 even2 = even0, odd2 = even0;
    __m256 even3 = even0, odd3 = even0;
    size_t i = 0;
    for (; i + 2 * STEP <= n; i += 2 * STEP) {
        __m256 q0 = _mm256_loadu_ps(q + i);
        __m256 q1 = _mm256_loadu_ps(q + i + STEP);
        even0 = l2sq_step(even0, q0, r0 + i);
        odd0 = l2sq_step(odd0, q1, r0 + i + STEP);
        even1 = l2sq_step(even1, q0, r1 + i);
        odd1 = l2sq_step(odd1, q1, r1 + i + STEP);
        even2 = l2sq_step(even2, q0, r2 + i);
        odd2 = l2sq_step(odd2, q1, r2 + i + STEP);
        even3 = l2sq_step(even3, q0, r3 + i);
        odd3 = l2sq_step(odd3, q1, r3 + i + STEP);
    }
    out[0] = fold(even0, odd0);
    out[1] = fold(even1, odd1);
    out[2] = fold(even2, odd2);
    out[3] = fold(even3, odd3);
}

static void l2sq_rows(const float *q, const void *rows, size_t stride, size_t count, size_t n,
                      float *out)
{
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const float *const four[4] = {
            jadei_simd_row(rows, stride, i), jadei_simd_row(rows, stride, i + 1),
            jadei_simd_row(rows, stride, i + 2), jadei_simd_row(rows, stride, i + 3)};
        l2sq_x4(q, four, n, out + i);
    }
    for (; i < count; i++) {
        out[i] = l2sq(q, jadei_simd_row(rows, stride, i), n);
    }
}

static float dot(const float *a, const float *b, size_t n)
{
    __m256 even = _mm256_setzero_ps();
    __m256 odd = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 2 * STEP <= n; i += 2 * STEP) {
        even = dot_step(even, _mm256_loadu_ps(a + i), b + i);
        odd = dot_step(odd, _mm256_loadu_ps(a + i + STEP), b + i + STEP);
    }
    return fold(even, odd);
}

static void dot_x4(const float *q, const float *const rows[4], size_t n, float out[4])
{
    const float *r0 = rows[0], *r1 = rows[1], *r2 = rows[2], *r3 = rows[3];
    __m256 even0 = _mm256_setzero_ps(), odd0 = even0;
    __m256 even1 = even0, odd1 = even0;
    __m256 even2 = even0, odd2 = even0;
    __m256 even3 = even0, odd3 = even0;
    size_t i = 0;
    for (; i + 2 * STEP <= n; i += 2 * STEP) {
        __m256 q0 = _mm256_loadu_ps(q + i);
        __m256 q1 = _mm256_loadu_ps(q + i + STEP);
        even0 = dot_step(even0, q0, r0 + i);
        odd0 = dot_step(odd0, q1, r0 + i + STEP);
        even1 = dot_step(even1, q0, r1 + i);
        odd1 = dot_step(odd1, q1, r1 + i + STEP);
        even2 = dot_step(even2, q0, r2 + i);
        odd2 = dot_step(odd2, q1, r2 + i + STEP);
        even3 = dot_step(even3, q0, r3 + i);
        odd3 = dot_step(odd3, q1, r3 + i + STEP);
    }
    out[0] = fold(even0, odd0);
    out[1] = fold(even1, odd1);
    out[2] = fold(even2, odd2);
    out[3] = fold(even3, odd3);
}

static void dot_rows(const float *q, const void *rows, size_t stride, size_t count, size_t n,
                     float *out)
{
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const float *const four[4] = {
            jadei_simd_row(rows, stride, i), jadei_simd_row(rows, stride, i + 1),
            jadei_simd_row(rows, stride, i + 2), jadei_simd_row(rows, stride, i + 3)};
        dot_x4(q, four, n, out + i);
    }
    for (; i < count; i++) {
        out[i] = dot(q, jadei_simd_row(rows, stride, i), n);
    }
}

const struct jade_simd jadei_simd_avx2 = {
    .level = JADE_SIMD_AVX2,
    .name = "avx2",
    .l2sq_f32 = l2sq,
    .dot_f32 = dot,
    .l2sq_f32_rows = l2sq_rows,
    .dot_f32_rows = dot_rows,
    .l2sq_f32_x4 = l2sq_x4,
    .dot_f32_x4 = dot_x4,
};
#endif
