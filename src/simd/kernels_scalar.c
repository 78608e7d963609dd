/*
 * Portable kernels: the reference that the other levels are checked against, and the path of machines without AVX2.
 *
 * Sixteen running sums, one a lane, then a pairwise fold: a lane adds n / 16 terms, so the rounding error grows with n / 16
 * and not with n, and a compiler may keep the lanes in whatever registers the baseline has.
 */
#include "simd/kernels.h"

static float fold(const float lane[JADE_SIMD_LANES])
{
    float part[JADE_SIMD_LANES];
    for (size_t i = 0; i < JADE_SIMD_LANES; i++) {
        part[i] = lane[i];
    }
    for (size_t half = JADE_SIMD_LANES / 2; half > 0; half /= 2) {
        for (size_t i = 0; i < half; i++) {
            part[i] += part[i + half];
        }
    }
    return part[0];
}

static float l2sq(const float *a, const float *b, size_t n)
{
    float lane[JADE_SIMD_LANES] = {0};
    for (size_t i = 0; i < n; i += JADE_SIMD_LANES) {
        for (size_t j = 0; j < JADE_SIMD_LANES; j++) {
            float diff = a[i + j] - b[i + j];
            lane[j] += diff * diff;
        }
    }
    return fold(lane);
}

static float dot(const float *a, const float *b, size_t n)
{
    float lane[JADE_SIMD_LANES] = {0};
    for (size_t i = 0; i < n; i += JADE_SIMD_LANES) {
        for (size_t j = 0; j < JADE_SIMD_LANES; j++) {
            lane[j] += a[i + j] * b[i + j];
        }
    }
    return fold(lane);
}

static void l2sq_rows(const float *q, const void *rows, size_t stride, size_t count, size_t n,
                      float *out)
{
    for (size_t i = 0; i < count; i++) {
        out[i] = l2sq(q, jadei_simd_row(rows, stride, i), n);
    }
}

static void dot_rows(const float *q, const void *rows, size_t stride, size_t count, size_t n,
                     float *out)
{
    for (size_t i = 0; i < count; i++) {
        out[i] = dot(q, jadei_simd_row(rows, stride, i), n);
    }
}

static void l2sq_x4(const float *q, const float *const rows[4], size_t n, float out[4])
{
    for (size_t i = 0; i < 4; i++) {
        out[i] = l2sq(q, rows[i], n);
    }
}

static void dot_x4(const float *q, const float *const rows[4], size_t n, float out[4])
{
    for (size_t i = 0; i < 4; i++) {
        out[i] = dot(q, rows[i], n);
    }
}

const struct jade_simd jadei_simd_scalar = {
    .level = JADE_SIMD_SCALAR,
    .name = "scalar",
    .l2sq_f32 = l2sq,
    .dot_f32 = dot,
    .l2sq_f32_rows = l2sq_rows,
    .dot_f32_rows = dot_rows,
    .l2sq_f32_x4 = l2sq_x4,
    .dot_f32_x4 = dot_x4,
};
