/*
 * One library under measurement: ours and its peers look the same to the driver, which times them in turn.
 */
#ifndef JADE_BENCH_ANN_LIBRARY_H
#define JADE_BENCH_ANN_LIBRARY_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ann_setup {
    const float *base; /* n rows of dim, row-major; outlives the index */
    uint32_t n, dim;
    uint32_t m, ef_construction, threads;
};

struct ann_library {
    const char *name;
    /** Squared Euclidean index; NULL after a message on standard error. */
    void *(*build)(const struct ann_setup *setup);
    /** k nearest ids; any number of threads at once. Returns how many. */
    uint32_t (*search)(void *index, const float *query, uint32_t k, uint32_t ef, uint32_t *ids_out);
    /** Bytes held, vectors included. */
    double (*bytes)(void *index);
    void (*free)(void *index);
};

extern const struct ann_library ann_jade;
extern const struct ann_library ann_hnswlib;

/** Exact k nearest ids and squared distances of each query, by our flat index. 0 when it worked. */
int ann_exact(const struct ann_setup *setup, const float *queries, uint32_t n_queries, uint32_t k,
              uint32_t *ids_out, float *distances_out);

#ifdef __cplusplus
}
#endif
#endif
