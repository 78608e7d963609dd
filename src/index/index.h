/*
 * Vector indexes behind one vtable and one factory (AD-016). An index orders the rows of ONE segment; it holds no vectors: it
 * borrows them from the segment as struct jade_rows. Row numbers are node numbers.
 *
 * Life of an index:
 *   growing segment: jade_index_new -> add (rows in any order, from several threads, while searches run) -> save
 *   sealed segment:  jade_index_map (from a verified file of the segment) -> search
 *   both:            jade_index_free
 *
 * Invariants: 1. search returns only rows that its filter allows, sorted by (distance, row), without doubles. 2. A row is found
 * by search only after its add returned (the tail that is not added yet is scanned by the shard with jade_scan_rows). 3. With one
 * thread and one seed the result of a build is the same each time. 4. Deleted rows stay in the graph as way-points; the filter hides them.
 * Distances: lower is nearer. euclidean: squared L2. dot: -dot. cosine: 1 - cos.
 * Threads: add and search from any number of threads at once; save and free alone.
 */
#ifndef JADE_INDEX_INDEX_H
#define JADE_INDEX_INDEX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ids.h"
#include "simd/simd.h"
#include "store/blockfile.h"

enum jade_metric { JADE_METRIC_COSINE = 0, JADE_METRIC_EUCLIDEAN = 1, JADE_METRIC_DOT = 2 };
enum jade_index_kind { JADE_INDEX_FLAT = 0, JADE_INDEX_HNSW = 1 };

/**
 * The vectors of a segment. `base` never moves while rows are appended (os/vmem.h), or points into a mapped file.
 * For cosine inv_norm[row] = 1 / |row|; the vectors themselves are as the user gave them.
 * In a mapped segment `file` is its block file: a block is verified at its first use (jade_rows_check before reading rows).
 */
struct jade_rows {
    const uint8_t *base; /* row r at base + r * stride, 64-byte aligned, zero padded */
    size_t stride;       /* bytes, multiple of 64 */
    uint32_t dim;
    uint32_t dim_padded; /* floats */
    enum jade_metric metric;
    const float *inv_norm;       /* cosine only */
    struct jade_blockfile *file; /* NULL in memory */
};

/**
 * Which rows may be answered. All parts are optional (NULL = no restriction of that kind).
 * A row is visible when row_lsn[row] <= lsn and not (0 < tomb_lsn[row] <= lsn).
 */
struct jade_row_filter {
    const uint64_t *bits; /* one bit a row, n_bits of them; rows beyond are not allowed */
    uint64_t n_bits;
    const _Atomic uint64_t *tomb_lsn; /* per row, 0 = alive */
    const uint64_t *row_lsn;          /* per row */
    uint64_t lsn;                     /* visible LSN */
    uint32_t n_rows;                  /* rows at and beyond are not allowed */
};

static inline bool jade_row_allowed(const struct jade_row_filter *f, uint32_t row)
{
    if (row >= f->n_rows) {
        return false;
    }
    if (f->bits && (row >= f->n_bits || !(f->bits[row >> 6] >> (row & 63) & 1))) {
        return false;
    }
    if (f->row_lsn && f->row_lsn[row] > f->lsn) {
        return false;
    }
    if (f->tomb_lsn) {
        uint64_t tomb = atomic_load_explicit(&f->tomb_lsn[row], memory_order_acquire);
        if (tomb != 0 && tomb <= f->lsn) {
            return false;
        }
    }
    return true;
}

struct jade_candidate {
    float distance;
    uint32_t row;
};

/** k nearest so far, as a bounded max-heap on (distance, row); several sources may push into one. */
struct jade_topk {
    struct jade_candidate *items; /* room for k */
    uint32_t k, n;
    float
        max_distance; /* only candidates with distance <= this enter (threshold); INFINITY = none */
};
jade_code jade_topk_init(struct jade_topk *t, uint32_t k, float max_distance, struct jade_err *err);
void jade_topk_release(struct jade_topk *t);
/** Keeps the candidate when it belongs to the k nearest; ties are broken by the lower row. */
void jade_topk_push(struct jade_topk *t, float distance, uint32_t row);
/** Sorts ascending by (distance, row); no push afterwards. */
void jade_topk_sort(struct jade_topk *t);
/** Distance a new candidate must beat, INFINITY while fewer than k are there (never above max_distance). */
float jade_topk_bound(const struct jade_topk *t);

/** A prepared query: padded, aligned copy; for cosine with its inverse norm. Made once a search, used for all segments. */
struct jade_query_vector {
    float *values; /* dim_padded floats, 64-byte aligned, owned */
    uint32_t dim, dim_padded;
    enum jade_metric metric;
    float inv_norm;
};
jade_code jade_query_vector_init(struct jade_query_vector *q, const float *values, uint32_t dim,
                                 enum jade_metric metric, struct jade_err *err);
void jade_query_vector_release(struct jade_query_vector *q);

/** Work done, for explain and metrics; counters are added to. */
struct jade_search_stats {
    uint64_t distances; /* distances computed */
    uint64_t expanded;  /* graph nodes expanded */
};

/** Exact distance of one row (same kernel and bits as every search). The caller has checked the row's block. */
float jade_row_distance(const struct jade_rows *rows, const struct jade_query_vector *q,
                        uint32_t row);
/** Verifies the blocks under rows [first, first + n) of a mapped segment; JADE_OK at once for rows in memory. */
jade_code jade_rows_check(const struct jade_rows *rows, uint32_t first, uint32_t n,
                          struct jade_err *err);
/** Exact scan of rows [first, last) that the filter allows, into `top`. */
jade_code jade_scan_rows(const struct jade_rows *rows, const struct jade_query_vector *q,
                         uint32_t first, uint32_t last, const struct jade_row_filter *filter,
                         struct jade_topk *top, struct jade_search_stats *stats,
                         struct jade_err *err);
/** Exact scan of the listed rows (ascending), e.g. of a small filter bitmap. */
jade_code jade_scan_list(const struct jade_rows *rows, const struct jade_query_vector *q,
                         const uint32_t *list, uint64_t n, const struct jade_row_filter *filter,
                         struct jade_topk *top, struct jade_search_stats *stats,
                         struct jade_err *err);

struct jade_index_params {
    enum jade_index_kind kind;
    uint32_t m; /* HNSW M: links a node per upper level, 2M on level 0 */
    uint32_t ef_construction;
    uint32_t ef_search; /* default effort of a search that names none */
    uint64_t seed;
};
/** Defaults: hnsw, M 16, efConstruction 200, efSearch 64, seed fixed. */
struct jade_index_params jade_index_params_default(void);
/** "hnsw", "flat" in any case (FR-011); JADE_E_NOT_SUPPORTED_YET for ivf, lsh, ...; JADE_E_INVALID_ARGUMENT for other words. */
jade_code jade_index_kind_parse(const char *word, size_t n, enum jade_index_kind *kind_out,
                                struct jade_err *err);
const char *jade_index_kind_name(enum jade_index_kind kind);
/** Ranges of limits.h; the error names the parameter. */
jade_code jade_index_params_check(const struct jade_index_params *p, struct jade_err *err);

struct jade_search_opts {
    uint32_t ef;                          /* 0 = the index's ef_search; at least topk.k is used */
    const struct jade_row_filter *filter; /* never NULL */
};

struct jade_index;
struct jade_index_ops {
    const char *name;
    jade_code (*add)(struct jade_index *ix, uint32_t row, struct jade_err *err);
    jade_code (*search)(struct jade_index *ix, const struct jade_query_vector *q,
                        const struct jade_search_opts *opts, struct jade_topk *top,
                        struct jade_search_stats *stats, struct jade_err *err);
    jade_code (*save)(struct jade_index *ix, struct jade_blockfile_writer *w, struct jade_err *err);
    /* every row below n is reachable, links are in range, degrees within bounds: for tests and `check` */
    jade_code (*verify)(struct jade_index *ix, struct jade_err *err);
    uint64_t (*memory_bytes)(const struct jade_index *ix);
    void (*free)(struct jade_index *ix);
};
struct jade_index {
    const struct jade_index_ops *ops;
    struct jade_index_params params;
    struct jade_rows rows; /* borrowed */
};

/** Empty index for up to max_rows rows that `rows` describes (they are appended by the owner). */
jade_code jade_index_new(const struct jade_index_params *params, const struct jade_rows *rows,
                         uint32_t max_rows, struct jade_index **out, struct jade_err *err);
/** Opens a saved index; `file` is borrowed and must outlive it. Links are range-checked as blocks are first used. Errors: JADE_E_CORRUPT, JADE_E_VERSION. */
jade_code jade_index_map(struct jade_blockfile *file, const struct jade_rows *rows, uint32_t n_rows,
                         struct jade_index **out, struct jade_err *err);

/** Adds a row whose vector is already in place. Any thread; each row once. */
jade_code jade_index_add(struct jade_index *ix, uint32_t row, struct jade_err *err);
/** Approximate k nearest into `top` (which may already hold candidates of other row ranges of the same segment). */
jade_code jade_index_search(struct jade_index *ix, const struct jade_query_vector *q,
                            const struct jade_search_opts *opts, struct jade_topk *top,
                            struct jade_search_stats *stats, struct jade_err *err);
jade_code jade_index_save(struct jade_index *ix, struct jade_blockfile_writer *w,
                          struct jade_err *err);
jade_code jade_index_verify(struct jade_index *ix, struct jade_err *err);
uint64_t jade_index_memory_bytes(const struct jade_index *ix);
void jade_index_free(struct jade_index *ix);

#endif
