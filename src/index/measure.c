/*
 * Distances of one vector to rows, prepared queries, and the checks of mapped rows.
 */
#include "index/measure.h"

#include <string.h>

#include "base/alloc.h"

/* Rows asked for ahead of the four being computed. */
enum { AHEAD = 4 };

void jadei_measure_init(struct jadei_measure *m, const struct jade_rows *rows, const float *values,
                        float scale)
{
    const struct jade_simd *simd = jade_simd();
    bool l2 = rows->metric == JADE_METRIC_EUCLIDEAN;
    *m = (struct jadei_measure){
        .rows = rows,
        .values = values,
        .scale = scale,
        .single = l2 ? simd->l2sq_f32 : simd->dot_f32,
        .four = l2 ? simd->l2sq_f32_x4 : simd->dot_f32_x4,
    };
    if (rows->file) {
        m->verified = jade_blockfile_verified(rows->file);
        m->payload_at = (uint64_t)(rows->base - jade_blockfile_data(rows->file));
    }
}

void jadei_measure_init_row(struct jadei_measure *m, const struct jade_rows *rows, uint32_t row)
{
    float scale = rows->metric == JADE_METRIC_COSINE ? rows->inv_norm[row] : 1.0f;
    jadei_measure_init(m, rows, jadei_row(rows, row), scale);
}

void jadei_measure_init_query(struct jadei_measure *m, const struct jade_rows *rows,
                              const struct jade_query_vector *q)
{
    JADE_ASSERT(q->dim == rows->dim && q->dim_padded == rows->dim_padded &&
                q->metric == rows->metric);
    jadei_measure_init(m, rows, q->values, 1.0f); /* a cosine query is of length 1 already */
}

jade_code jadei_measure_verify(const struct jadei_measure *m, uint32_t row, struct jade_err *err)
{
    return jade_blockfile_check(m->rows->file, m->payload_at + (uint64_t)row * m->rows->stride,
                                m->rows->stride, err);
}

void jadei_measure_list(const struct jadei_measure *m, const uint32_t *list, uint32_t n, float *out)
{
    const struct jade_rows *rows = m->rows;
    for (uint32_t i = 0; i < n && i < AHEAD; i++) {
        jadei_prefetch_row(rows, list[i]);
    }
    uint32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const float *const four[4] = {jadei_row(rows, list[i]), jadei_row(rows, list[i + 1]),
                                      jadei_row(rows, list[i + 2]), jadei_row(rows, list[i + 3])};
        for (uint32_t j = i + 4; j < n && j < i + 4 + AHEAD; j++) {
            jadei_prefetch_row(rows, list[j]);
        }
        m->four(m->values, four, rows->dim_padded, out + i);
        for (uint32_t j = i; j < i + 4; j++) {
            out[j] = jadei_measure_finish(m, out[j], list[j]);
        }
    }
    for (; i < n; i++) {
        out[i] = jadei_measure_row(m, list[i]);
    }
}

float jade_row_distance(const struct jade_rows *rows, const struct jade_query_vector *q,
                        uint32_t row)
{
    struct jadei_measure m;
    jadei_measure_init_query(&m, rows, q);
    return jadei_measure_row(&m, row);
}

jade_code jade_rows_check(const struct jade_rows *rows, uint32_t first, uint32_t n,
                          struct jade_err *err)
{
    if (!rows->file || n == 0) {
        return JADE_OK;
    }
    uint64_t payload_at = (uint64_t)(rows->base - jade_blockfile_data(rows->file));
    return jade_blockfile_check(rows->file, payload_at + (uint64_t)first * rows->stride,
                                (uint64_t)n * rows->stride, err);
}

jade_code jade_query_vector_init(struct jade_query_vector *q, const float *values, uint32_t dim,
                                 enum jade_metric metric, struct jade_err *err)
{
    JADE_ASSERT(dim >= 1 && dim <= JADE_DIM_MAX);
    size_t padded = jade_simd_padded(dim);
    *q = (struct jade_query_vector){
        .dim = dim, .dim_padded = (uint32_t)padded, .metric = metric, .inv_norm = 1.0f};
    q->values = jade_alloc_aligned(JADE_TAG_SEARCH, padded * sizeof(float), JADE_SIMD_ALIGN);
    if (!q->values) {
        return jade_fail(err, JADE_E_NOMEM, "query vector of %u numbers", dim);
    }
    memset(q->values, 0, padded * sizeof(float));
    memcpy(q->values, values, dim * sizeof(float));
    if (metric != JADE_METRIC_COSINE) {
        return JADE_OK;
    }
    /* The copy is scaled to length 1 in float64, so that neither its norm nor a dot product over- or underflows. */
    double sum = 0;
    for (uint32_t i = 0; i < dim; i++) {
        sum += (double)values[i] * (double)values[i];
    }
    double inv_norm = sum > 0 ? 1.0 / sqrt(sum) : 0;
    for (uint32_t i = 0; i < dim; i++) {
        q->values[i] = (float)((double)values[i] * inv_norm);
    }
    q->inv_norm = (float)inv_norm;
    return JADE_OK;
}

void jade_query_vector_release(struct jade_query_vector *q)
{
    jade_free(q->values);
    q->values = NULL;
}
