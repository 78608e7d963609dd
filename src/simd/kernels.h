/*
 * The tables of the instruction sets, one a file; simd.c alone reads them. On a processor family without a set its table is
 * not built and the dispatch answers that the machine lacks it.
 *
 * What each file keeps: for one level the single, rows and x4 forms add in the same order, so that the distance of a
 * pair does not depend on the batch it was met in. Two levels may differ in the last bits.
 */
#ifndef JADE_SIMD_KERNELS_H
#define JADE_SIMD_KERNELS_H

#include "simd/simd.h"

#if defined(__x86_64__)
#define JADEI_SIMD_X86 1
#else
#define JADEI_SIMD_X86 0
#endif

extern const struct jade_simd jadei_simd_scalar;
#if JADEI_SIMD_X86
extern const struct jade_simd jadei_simd_avx2;
extern const struct jade_simd jadei_simd_avx512;
#endif

/* Row i of a batch whose rows lie `stride` bytes apart. */
static inline const float *jadei_simd_row(const void *rows, size_t stride, size_t i)
{
    return (const float *)(const void *)((const unsigned char *)rows + i * stride);
}

#endif
