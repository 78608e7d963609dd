/* Our index behind the benchmark's interface: the calls a segment makes, kernels chosen at run time. */
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "ann_library.h"
#include "base/alloc.h"
#include "index/index.h"
#include "os/thread.h"
#include "os/vmem.h"

enum { THREADS_MAX = 64 };

struct jade_bench {
    struct jade_vmem vectors;
    struct jade_rows rows;
    struct jade_index *index;
    uint32_t n;
    _Atomic uint32_t next; /* next row to add */
    _Atomic int failed;
};

static void bench_free(void *p)
{
    struct jade_bench *b = p;
    if (b) {
        jade_index_free(b->index);
        jade_vmem_release(&b->vectors);
        jade_free(b);
    }
}

static void *add_rows(void *arg)
{
    struct jade_bench *b = arg;
    struct jade_err err = {0};
    for (;;) {
        uint32_t row = atomic_fetch_add(&b->next, 1);
        if (row >= b->n || atomic_load(&b->failed)) {
            return NULL;
        }
        if (jade_index_add(b->index, row, &err) != JADE_OK) {
            fprintf(stderr, "jade: row %u: %s\n", row, err.message);
            atomic_store(&b->failed, 1);
            return NULL;
        }
    }
}

static jade_code load(struct jade_bench *b, const struct ann_setup *s, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    uint32_t padded = (uint32_t)jade_simd_padded(s->dim);
    size_t stride = padded * sizeof(float);
    b->n = s->n;
    JADE_TRY(jade_vmem_init(&b->vectors, JADE_TAG_VECTORS, s->n * stride, err));
    JADE_TRY(jade_vmem_grow(&b->vectors, s->n * stride, err));
    for (uint32_t row = 0; row < s->n; row++) {
        memcpy(b->vectors.base + row * stride, s->base + (size_t)row * s->dim,
               s->dim * sizeof(float));
    }
    b->rows = (struct jade_rows){.base = b->vectors.base,
                                 .stride = stride,
                                 .dim = s->dim,
                                 .dim_padded = padded,
                                 .metric = JADE_METRIC_EUCLIDEAN};
out:
    return rc;
}

static void *build_kind(const struct ann_setup *s, enum jade_index_kind kind)
{
    jade_code rc = JADE_OK;
    struct jade_err err = {0};
    struct jade_thread threads[THREADS_MAX] = {0};
    struct jade_index_params params = jade_index_params_default();
    struct jade_bench *b = jade_calloc(JADE_TAG_TEST, 1, sizeof *b);
    uint32_t n_threads = s->threads < THREADS_MAX ? s->threads : THREADS_MAX;
    if (!b) {
        return NULL;
    }
    params.kind = kind;
    params.m = s->m;
    params.ef_construction = s->ef_construction;
    JADE_TRY(load(b, s, &err));
    JADE_TRY(jade_index_new(&params, &b->rows, s->n, &b->index, &err));
    for (uint32_t i = 1; rc == JADE_OK && i < n_threads; i++) {
        rc = jade_thread_start(&threads[i], "build", 0, add_rows, b, &err);
    }
    add_rows(b);
    for (uint32_t i = 1; i < n_threads; i++) {
        jade_thread_join(&threads[i]);
    }
out:
    if (rc != JADE_OK || atomic_load(&b->failed)) {
        fprintf(stderr, "jade: %s\n", err.message);
        bench_free(b);
        return NULL;
    }
    return b;
}

static void *bench_build(const struct ann_setup *s)
{
    return build_kind(s, JADE_INDEX_HNSW);
}

static uint32_t run_search(struct jade_bench *b, const float *query, uint32_t k, uint32_t ef,
                           struct jade_topk *top)
{
    jade_code rc = JADE_OK;
    struct jade_err err = {0};
    struct jade_query_vector q = {0};
    struct jade_row_filter all = {.n_rows = b->n};
    struct jade_search_opts opts = {.ef = ef, .filter = &all};
    JADE_TRY(jade_query_vector_init(&q, query, b->rows.dim, b->rows.metric, &err));
    JADE_TRY(jade_topk_init(top, k, INFINITY, &err));
    JADE_TRY(jade_index_search(b->index, &q, &opts, top, NULL, &err));
    jade_topk_sort(top);
out:
    jade_query_vector_release(&q);
    if (rc != JADE_OK) {
        fprintf(stderr, "jade: %s\n", err.message);
        return 0;
    }
    return top->n;
}

static uint32_t bench_search(void *p, const float *query, uint32_t k, uint32_t ef,
                             uint32_t *ids_out)
{
    struct jade_topk top = {0};
    uint32_t n = run_search(p, query, k, ef, &top);
    for (uint32_t i = 0; i < n; i++) {
        ids_out[i] = top.items[i].row;
    }
    jade_topk_release(&top);
    return n;
}

static double bench_bytes(void *p)
{
    struct jade_bench *b = p;
    return (double)b->vectors.committed + (double)jade_index_memory_bytes(b->index);
}

int ann_exact(const struct ann_setup *s, const float *queries, uint32_t n_queries, uint32_t k,
              uint32_t *ids_out, float *distances_out)
{
    struct jade_bench *b = build_kind(s, JADE_INDEX_FLAT);
    int failed = b ? 0 : 1;
    for (uint32_t i = 0; i < n_queries && !failed; i++) {
        struct jade_topk top = {0};
        failed = run_search(b, queries + (size_t)i * s->dim, k, 0, &top) != k;
        for (uint32_t j = 0; j < k && !failed; j++) {
            ids_out[(size_t)i * k + j] = top.items[j].row;
            distances_out[(size_t)i * k + j] = top.items[j].distance;
        }
        jade_topk_release(&top);
    }
    bench_free(b);
    return failed;
}

const struct ann_library ann_jade = {
    .name = "jade",
    .build = bench_build,
    .search = bench_search,
    .bytes = bench_bytes,
    .free = bench_free,
};
