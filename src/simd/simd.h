/*
 * Distance kernels behind one dispatch table, chosen once at start: scalar reference, AVX2+FMA, AVX-512 (NEON comes with issue 2 of 4).
 *
 * Vector layout: 64-byte aligned, padded with zeros to a multiple of JADE_SIMD_LANES floats. Kernels get the padded length, so
 * they have no tails. `n` below is that padded length: a multiple of 16, at least 16.
 * JADE_SIMD=scalar|avx2|avx512 in the environment forces a path (an instruction set the machine lacks is refused).
 * Threads: the table is written once before any use; kernels are pure.
 */
#ifndef JADE_SIMD_SIMD_H
#define JADE_SIMD_SIMD_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { JADE_SIMD_LANES = 16, JADE_SIMD_ALIGN = 64 };

enum jade_simd_level { JADE_SIMD_SCALAR, JADE_SIMD_AVX2, JADE_SIMD_AVX512, JADE_SIMD_LEVEL_COUNT };

struct jade_simd {
    enum jade_simd_level level;
    const char *name; /* "scalar", "avx2", "avx512" */
    /* sum (a_i - b_i)^2 */
    float (*l2sq_f32)(const float *a, const float *b, size_t n);
    /* sum a_i * b_i */
    float (*dot_f32)(const float *a, const float *b, size_t n);
    /* One query against `count` rows that lie `stride` bytes apart from `rows` on: out[i]. Same sums as the single forms, bit for bit. */
    void (*l2sq_f32_rows)(const float *q, const void *rows, size_t stride, size_t count, size_t n,
                          float *out);
    void (*dot_f32_rows)(const float *q, const void *rows, size_t stride, size_t count, size_t n,
                         float *out);
    /* One query against four rows anywhere (graph candidates): out[0..3]; same bits as the single forms. */
    void (*l2sq_f32_x4)(const float *q, const float *const rows[4], size_t n, float out[4]);
    void (*dot_f32_x4)(const float *q, const float *const rows[4], size_t n, float out[4]);
};

/** Chooses the path (once; later calls do nothing). Errors: JADE_E_INVALID_ARGUMENT for a bad or unavailable JADE_SIMD. */
jade_code jade_simd_init(struct jade_err *err);
/** The chosen table; the best available one when jade_simd_init was not called. */
const struct jade_simd *jade_simd(void);
/** The table of one level, or NULL when the machine lacks it (tests run each). */
const struct jade_simd *jade_simd_level(enum jade_simd_level level);
/** Floats a vector of `dim` occupies: dim rounded up to a multiple of JADE_SIMD_LANES. */
static inline size_t jade_simd_padded(size_t dim)
{
    return (dim + JADE_SIMD_LANES - 1) & ~(size_t)(JADE_SIMD_LANES - 1);
}

#endif
