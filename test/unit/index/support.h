/*
 * What the index tests share: rows in memory made from a seed, exact answers in float64, recall.
 */
#ifndef JADE_TEST_INDEX_SUPPORT_H
#define JADE_TEST_INDEX_SUPPORT_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/random.h"
#include "index/index.h"

static const uint64_t SEED = 20261123;

/* ThreadSanitizer makes everything some twenty times slower: tests without threads then take a fraction of their rows. */
#if defined(__SANITIZE_THREAD__)
enum { SLOWER = 8 };
#else
enum { SLOWER = 1 };
#endif

enum shape { SHAPE_CLUSTERED, SHAPE_UNIFORM, SHAPE_SMALL_INTEGERS, SHAPE_ALL_EQUAL };

struct dataset {
    struct jade_rows rows;
    float *inv_norm;
    float *queries; /* n_queries of dim */
    uint32_t n, n_queries;
};

static inline void check_ok(jade_code rc, const struct jade_err *err)
{
    if (rc != JADE_OK) {
        fail_msg("%s: %s: %s", jade_code_name(rc), err->field, err->message);
    }
}

/* One vector: 64 clusters of spread 0.15 around centres of spread 1 (the same for rows and queries). */
static inline void make_vector(struct jade_random *r, enum shape shape, uint32_t dim, float *out)
{
    enum { CLUSTERS = 64 };
    struct jade_random centre;
    jade_random_init(&centre, SEED * 31 + jade_random_below(r, CLUSTERS));
    for (uint32_t i = 0; i < dim; i++) {
        if (shape == SHAPE_CLUSTERED) {
            out[i] = (float)(jade_random_normal(&centre) + 0.15 * jade_random_normal(r));
        } else if (shape == SHAPE_UNIFORM) {
            out[i] = (float)(jade_random_unit(r) * 2 - 1);
        } else if (shape == SHAPE_SMALL_INTEGERS) { /* sums are exact in f32, ties are many */
            out[i] = (float)jade_random_below(r, 4);
        } else {
            out[i] = 0.5f;
        }
    }
}

static inline void dataset_norms(struct dataset *d)
{
    for (uint32_t row = 0; row < d->n; row++) {
        const float *v = (const float *)(const void *)(d->rows.base + (size_t)row * d->rows.stride);
        double sum = 0;
        for (uint32_t i = 0; i < d->rows.dim; i++) {
            sum += (double)v[i] * (double)v[i];
        }
        d->inv_norm[row] = sum > 0 ? (float)(1 / sqrt(sum)) : 0;
    }
}

static inline struct dataset dataset_make(uint32_t n, uint32_t dim, enum jade_metric metric,
                                          enum shape shape, uint32_t n_queries)
{
    struct dataset d = {.n = n, .n_queries = n_queries};
    uint32_t padded = (uint32_t)jade_simd_padded(dim);
    size_t stride = padded * sizeof(float);
    float *base = aligned_alloc(64, (size_t)(n ? n : 1) * stride);
    d.inv_norm = malloc((n ? n : 1) * sizeof(float));
    d.queries = malloc((n_queries ? n_queries : 1) * dim * sizeof(float));
    assert_true(base && d.inv_norm && d.queries);
    memset(base, 0, (size_t)(n ? n : 1) * stride);
    struct jade_random r;
    jade_random_init(&r, SEED + dim);
    for (uint32_t row = 0; row < n; row++) {
        make_vector(&r, shape, dim, base + (size_t)row * padded);
    }
    for (uint32_t q = 0; q < n_queries; q++) {
        make_vector(&r, shape, dim, d.queries + (size_t)q * dim);
    }
    d.rows = (struct jade_rows){.base = (const uint8_t *)base,
                                .stride = stride,
                                .dim = dim,
                                .dim_padded = padded,
                                .metric = metric,
                                .inv_norm = d.inv_norm};
    dataset_norms(&d);
    return d;
}

static inline void dataset_free(struct dataset *d)
{
    free((void *)d->rows.base);
    free(d->inv_norm);
    free(d->queries);
}

static inline const float *dataset_row(const struct dataset *d, uint32_t row)
{
    return (const float *)(const void *)(d->rows.base + (size_t)row * d->rows.stride);
}

static inline float *dataset_row_mutable(struct dataset *d, uint32_t row)
{
    return (float *)(uintptr_t)dataset_row(d, row);
}

static inline double exact_dot(const float *a, const float *b, uint32_t dim)
{
    double sum = 0;
    for (uint32_t i = 0; i < dim; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

/* Distance in float64 from the values as they are. */
static inline double exact_distance(const struct dataset *d, const float *q, uint32_t row)
{
    const float *v = dataset_row(d, row);
    uint32_t dim = d->rows.dim;
    if (d->rows.metric == JADE_METRIC_EUCLIDEAN) {
        double sum = 0;
        for (uint32_t i = 0; i < dim; i++) {
            double diff = (double)q[i] - (double)v[i];
            sum += diff * diff;
        }
        return sum;
    }
    if (d->rows.metric == JADE_METRIC_DOT) {
        return -exact_dot(q, v, dim);
    }
    double norms = exact_dot(q, q, dim) * exact_dot(v, v, dim);
    return norms > 0 ? 1 - exact_dot(q, v, dim) / sqrt(norms) : 1;
}

struct exact {
    double distance;
    uint32_t row;
};

static inline int exact_order(const void *a, const void *b)
{
    const struct exact *x = a, *y = b;
    if (x->distance != y->distance) {
        return x->distance < y->distance ? -1 : 1;
    }
    return x->row < y->row ? -1 : x->row > y->row;
}

static inline struct jade_row_filter filter_all(uint32_t n)
{
    return (struct jade_row_filter){.n_rows = n};
}

/* The allowed rows in exact order; the caller frees. */
static inline struct exact *exact_answer(const struct dataset *d, const float *q,
                                         const struct jade_row_filter *f, uint32_t *n_out)
{
    struct exact *all = malloc((d->n ? d->n : 1) * sizeof *all);
    assert_non_null(all);
    *n_out = 0;
    for (uint32_t row = 0; row < d->n; row++) {
        if (jade_row_allowed(f, row)) {
            all[(*n_out)++] = (struct exact){exact_distance(d, q, row), row};
        }
    }
    qsort(all, *n_out, sizeof *all, exact_order);
    return all;
}

/* Fails unless the answer is ascending by (distance, row), without doubles, and all allowed. */
static inline void check_answer_form(const struct jade_topk *t, const struct jade_row_filter *f)
{
    for (uint32_t i = 0; i < t->n; i++) {
        assert_true(jade_row_allowed(f, t->items[i].row));
        for (uint32_t j = i + 1; j < t->n; j++) {
            assert_int_not_equal(t->items[i].row, t->items[j].row);
        }
        if (i > 0) {
            assert_true(t->items[i - 1].distance < t->items[i].distance ||
                        (t->items[i - 1].distance == t->items[i].distance &&
                         t->items[i - 1].row < t->items[i].row));
        }
    }
}

static inline void search_into(struct jade_index *ix, const struct dataset *d, const float *query,
                               uint32_t ef, const struct jade_row_filter *f, struct jade_topk *top)
{
    struct jade_err err = {0};
    struct jade_query_vector q;
    struct jade_search_opts opts = {.ef = ef, .filter = f};
    check_ok(jade_query_vector_init(&q, query, d->rows.dim, d->rows.metric, &err), &err);
    check_ok(jade_index_search(ix, &q, &opts, top, NULL, &err), &err);
    jade_topk_sort(top);
    check_answer_form(top, f);
    jade_query_vector_release(&q);
}

/* Part of the min(k, matches) exact nearest that were found; a row as near as the last of them counts. */
static inline double recall_of(struct jade_index *ix, const struct dataset *d, uint32_t k,
                               uint32_t ef, const struct jade_row_filter *f)
{
    uint64_t found = 0, wanted = 0;
    for (uint32_t i = 0; i < d->n_queries; i++) {
        struct jade_err err = {0};
        struct jade_topk top;
        uint32_t n;
        const float *query = d->queries + (size_t)i * d->rows.dim;
        struct exact *truth = exact_answer(d, query, f, &n);
        uint32_t want = n < k ? n : k;
        check_ok(jade_topk_init(&top, k, INFINITY, &err), &err);
        search_into(ix, d, query, ef, f, &top);
        for (uint32_t j = 0; j < top.n && want > 0; j++) {
            double last = truth[want - 1].distance;
            found += exact_distance(d, query, top.items[j].row) <= last + 1e-9 * fabs(last) ? 1 : 0;
        }
        wanted += want;
        jade_topk_release(&top);
        free(truth);
    }
    return wanted ? (double)found / (double)wanted : 1;
}

static inline struct jade_index *index_make(const struct jade_index_params *params,
                                            const struct dataset *d)
{
    struct jade_err err = {0};
    struct jade_index *ix;
    check_ok(jade_index_new(params, &d->rows, d->n ? d->n : 1, &ix, &err), &err);
    return ix;
}

static inline struct jade_index *index_build(const struct jade_index_params *params,
                                             const struct dataset *d)
{
    struct jade_err err = {0};
    struct jade_index *ix = index_make(params, d);
    for (uint32_t row = 0; row < d->n; row++) {
        check_ok(jade_index_add(ix, row, &err), &err);
    }
    return ix;
}

static inline void check_verified(struct jade_index *ix)
{
    struct jade_err err = {0};
    check_ok(jade_index_verify(ix, &err), &err);
}

#endif
