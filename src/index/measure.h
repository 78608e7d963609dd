/*
 * Inside index: distances of one fixed vector to rows, and the check of a mapped row before it is read.
 *
 * A measure is made once a search or insertion: it holds the kernels of the metric, so that the inner loops do not branch on
 * it. All exact and approximate searches compute through it, hence the same pair has the same bits everywhere.
 * NaN (both signs overflow in a dot product) becomes the farthest distance, so that orders stay total.
 * Ownership: borrows rows and values. Threads: read only after init.
 */
#ifndef JADE_INDEX_MEASURE_H
#define JADE_INDEX_MEASURE_H

#include <math.h>

#include "base/assert.h"
#include "base/limits.h"
#include "index/index.h"

/* A block of a mapped file is at least as long as the longest row, so a row touches two blocks at most. */
_Static_assert(JADE_DIM_MAX * sizeof(float) <= JADE_BLOCK_BYTES,
               "a row may span more than two blocks");

struct jadei_measure {
    const struct jade_rows *rows;
    const float *values; /* dim_padded floats */
    float scale;         /* cosine: factor that makes |values| 1 */
    float (*single)(const float *a, const float *b, size_t n);
    void (*four)(const float *q, const float *const rows[4], size_t n, float out[4]);
    const _Atomic uint64_t *verified; /* bits of rows->file, NULL in memory */
    uint64_t payload_at;              /* offset of row 0 in the payload */
};

void jadei_measure_init(struct jadei_measure *m, const struct jade_rows *rows, const float *values,
                        float scale);
/** A measure whose fixed vector is a row (for building). */
void jadei_measure_init_row(struct jadei_measure *m, const struct jade_rows *rows, uint32_t row);
/** The measure of a prepared query. */
void jadei_measure_init_query(struct jadei_measure *m, const struct jade_rows *rows,
                              const struct jade_query_vector *q);
/** Distances to the n rows listed, with the next rows prefetched. Their blocks have been checked. */
void jadei_measure_list(const struct jadei_measure *m, const uint32_t *list, uint32_t n,
                        float *out);
/** Slow path of jadei_measure_ready: verifies the blocks under the row. */
jade_code jadei_measure_verify(const struct jadei_measure *m, uint32_t row, struct jade_err *err);

static inline const float *jadei_row(const struct jade_rows *rows, uint32_t row)
{
    return (const float *)(const void *)(rows->base + (size_t)row * rows->stride);
}

/** Whether bit `block` of a mapped file says verified. */
static inline bool jadei_block_verified(const _Atomic uint64_t *bits, uint64_t block)
{
    return atomic_load_explicit(&bits[block >> 6], memory_order_acquire) >> (block & 63) & 1;
}

/** Whether the row may be read now; a mapped one whose blocks were not used yet may not. */
static inline bool jadei_measure_ready(const struct jadei_measure *m, uint32_t row)
{
    if (!m->verified) {
        return true;
    }
    uint64_t first = m->payload_at + (uint64_t)row * m->rows->stride;
    uint64_t last = first + m->rows->stride - 1;
    return jadei_block_verified(m->verified, first / JADE_BLOCK_BYTES) &&
           jadei_block_verified(m->verified, last / JADE_BLOCK_BYTES);
}

/** What the kernel summed, as the metric's distance. */
static inline float jadei_measure_finish(const struct jadei_measure *m, float sum, uint32_t row)
{
    float d = sum;
    if (m->rows->metric == JADE_METRIC_DOT) {
        d = -sum;
    } else if (m->rows->metric == JADE_METRIC_COSINE) {
        /* In float64: the same both ways round, and small norms do not overflow. */
        d = (float)(1.0 - (double)sum * ((double)m->scale * (double)m->rows->inv_norm[row]));
        d = d < 0 ? 0 : d; /* rounding may take the cosine past 1 */
    }
    return isnan(d) ? INFINITY : d;
}

static inline float jadei_measure_row(const struct jadei_measure *m, uint32_t row)
{
    return jadei_measure_finish(
        m, m->single(m->values, jadei_row(m->rows, row), m->rows->dim_padded), row);
}

/** Brings the beginning of a row near; the processor's own prefetch follows a row once it is being read. */
static inline void jadei_prefetch_row(const struct jade_rows *rows, uint32_t row)
{
    const uint8_t *p = rows->base + (size_t)row * rows->stride;
    size_t bytes = rows->stride < 512 ? rows->stride : 512;
    for (size_t at = 0; at < bytes; at += 64) {
        __builtin_prefetch(p + at);
    }
}

#endif
