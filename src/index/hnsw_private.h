/*
 * Inside hnsw: the graph in memory or mapped, the links, and the scratch of a walk.
 *
 * A link is a row number with two marks in its top bits: JADEI_HNSW_TIE says that the link is part of the backbone, the other bit is
 * clear. JADEI_HNSW_END (all ones) has it set and so is no link. A list of level 0 is 2M words at a fixed stride: with the default
 * M = 16 it is two cache lines. A node of level L >= 1 has L lists of M words, one after the other; its first is
 * number upper_start[row].
 *
 * Ties stand at the front of a list in the order they were made, and never move: a search that reads a list while it is pruned
 * may miss another link for a moment, but no tie.
 *
 * Order of memory: links are stored with release and loaded with acquire, so that who sees a link sees the lists and the vector of
 * its node. A list is changed under the mutex of its node's stripe; one at a time is held, so there is no order among them.
 */
#ifndef JADE_INDEX_HNSW_PRIVATE_H
#define JADE_INDEX_HNSW_PRIVATE_H

#include <stdatomic.h>

#include "base/limits.h"
#include "index/hnsw.h"
#include "index/index_private.h"
#include "index/measure.h"
#include "os/thread.h"
#include "os/vmem.h"

#define JADEI_HNSW_END      UINT32_MAX
#define JADEI_HNSW_TIE      (1u << 31)
#define JADEI_HNSW_ROW_MASK (JADE_SEGMENT_ROWS_MAX - 1)

enum {
    JADEI_HNSW_LEVEL_MAX = 24,   /* with M = 2 a row in 2^24 would be higher */
    JADEI_HNSW_STRIPES = 256,    /* mutexes of the lists: 10 KB an index */
    JADEI_HNSW_SCRATCH_KEPT = 8, /* idle scratches an index keeps */
    JADEI_HNSW_TOUCHED_MAX = 8192,
    JADEI_HNSW_WORDS_MAX = 2 * JADE_M_MAX,
    /* A filtered walk may hold this many times ef rows in all to have ef allowed ones among them. */
    JADEI_HNSW_WIDEN = 16,
    /* On a plateau (all candidates equally far) the neighbours of candidates are added, up to this many. */
    JADEI_HNSW_EXTRA_MAX = 1024,
};

typedef _Atomic uint32_t jadei_link;

/* A row of the pool: marks in the top bits of `row`. */
struct jadei_hnsw_near {
    float distance;
    uint32_t row;
};
#define JADEI_NEAR_EXPANDED (1u << 31)
#define JADEI_NEAR_ALLOWED  (1u << 30)

/*
 * The beam: rows seen, ascending by distance, with a cursor at the first that is not expanded. It holds the nearest rows up to `ef`
 * allowed ones; without a filter that is ef rows, as in the paper.
 */
struct jadei_hnsw_pool {
    struct jadei_hnsw_near *items;
    uint32_t cap, n, n_allowed, ef, cursor;
};

struct jadei_hnsw_scratch {
    struct jadei_hnsw_scratch *next;
    struct jadei_hnsw_pool pool;
    uint32_t items_cap; /* room behind pool.items */
    uint64_t *visited;  /* a bit a row */
    uint32_t n_bits;    /* multiple of 64; rows at and beyond are newer than the walk */
    uint32_t n_touched; /* words to clear; past JADEI_HNSW_TOUCHED_MAX all are */
    uint32_t touched[JADEI_HNSW_TOUCHED_MAX];
    uint32_t batch[JADEI_HNSW_WORDS_MAX];
    float distances[JADEI_HNSW_WORDS_MAX];
    /* insertion only, NULL in a scratch that has only searched */
    struct jadei_hnsw_near *candidates; /* ef_construction + JADEI_HNSW_EXTRA_MAX */
    uint32_t *chosen;                   /* JADEI_HNSW_LEVEL_MAX + 1 groups of M rows */
};

struct jadei_hnsw {
    struct jade_index base; /* first: the vtable's pointer is ours */
    const jadei_link *links0;
    const jadei_link *upper;
    const jadei_link *upper_start;
    const _Atomic uint8_t *levels; /* level + 1; 0 = not in the graph */
    uint32_t words0, words_upper;
    uint32_t max_rows;
    _Atomic uint64_t entry;   /* level << 32 | row, JADEI_HNSW_NO_ENTRY when empty */
    _Atomic uint32_t n_rows;  /* highest row whose add began + 1 */
    _Atomic uint32_t n_added; /* adds that returned */

    /* growing: memory behind the pointers above */
    struct jade_vmem mem_links0, mem_upper, mem_upper_start, mem_levels;
    _Atomic uint32_t rows_ready; /* rows with committed memory */
    uint32_t upper_used;         /* lists given out, under grow_lock */
    struct jade_mutex grow_lock;
    struct jade_mutex entry_lock; /* held while a node above the top level is added */
    struct jade_mutex *stripes;

    /* mapped: file, its verified bits, places of the sections */
    struct jade_blockfile *file;
    const _Atomic uint64_t *verified;
    struct jadei_index_header header;

    struct jade_mutex scratch_lock;
    struct jadei_hnsw_scratch *scratches;
    uint32_t n_scratches;
};

#define JADEI_HNSW_NO_ENTRY UINT64_MAX

static inline uint32_t jadei_link_load(const jadei_link *p)
{
    return atomic_load_explicit((jadei_link *)p, memory_order_acquire);
}
static inline void jadei_link_store(const jadei_link *p, uint32_t v)
{
    atomic_store_explicit((jadei_link *)p, v, memory_order_release);
}
static inline uint32_t jadei_link_row(uint32_t link)
{
    return link & JADEI_HNSW_ROW_MASK;
}
static inline uint64_t jadei_entry_of(uint32_t level, uint32_t row)
{
    return (uint64_t)level << 32 | row;
}
static inline uint32_t jadei_hnsw_words(const struct jadei_hnsw *h, uint32_t level)
{
    return level == 0 ? h->words0 : h->words_upper;
}
/** The mutex of a row's lists. */
static inline struct jade_mutex *jadei_hnsw_stripe(struct jadei_hnsw *h, uint32_t row)
{
    return &h->stripes[row % JADEI_HNSW_STRIPES];
}
/** List of a row in a growing index. */
static inline const jadei_link *jadei_hnsw_list(const struct jadei_hnsw *h, uint32_t row,
                                                uint32_t level)
{
    if (level == 0) {
        return h->links0 + (size_t)row * h->words0;
    }
    return h->upper + ((size_t)jadei_link_load(&h->upper_start[row]) + level - 1) * h->words_upper;
}

/** Whether the row is met for the first time; it is marked. Rows newer than the walk count as seen. */
static inline bool jadei_hnsw_visit(struct jadei_hnsw_scratch *s, uint32_t row)
{
    if (row >= s->n_bits) {
        return false;
    }
    uint64_t *word = &s->visited[row >> 6];
    uint64_t bit = 1ull << (row & 63);
    if (*word & bit) {
        return false;
    }
    if (*word == 0 && s->n_touched < JADEI_HNSW_TOUCHED_MAX) {
        s->touched[s->n_touched++] = row >> 6;
    }
    *word |= bit;
    return true;
}

/* ---- hnsw_search.c ---- */

struct jadei_hnsw_walk {
    uint32_t level, ef;
    uint32_t room; /* rows the beam may hold in all, at least ef */
    struct jadei_hnsw_near start;
    const struct jade_row_filter *filter; /* NULL: all rows count */
    struct jade_topk *top;                /* with a filter: takes every allowed row met */
};
/** List of a row, checked first in a mapped index. Errors: JADE_E_CORRUPT. */
jade_code jadei_hnsw_checked_list(const struct jadei_hnsw *h, uint32_t row, uint32_t level,
                                  const jadei_link **out, struct jade_err *err);
/** Algorithm 2: leaves the nearest rows of the level in scratch->pool. */
jade_code jadei_hnsw_walk(const struct jadei_hnsw *h, struct jadei_hnsw_scratch *s,
                          const struct jadei_measure *m, const struct jadei_hnsw_walk *w,
                          struct jade_search_stats *stats, struct jade_err *err);
/** Greedy steps from *at on the levels top..bottom; *at becomes the nearest row found. */
jade_code jadei_hnsw_descend(const struct jadei_hnsw *h, struct jadei_hnsw_scratch *s,
                             const struct jadei_measure *m, uint32_t top, uint32_t bottom,
                             struct jadei_hnsw_near *at, struct jade_search_stats *stats,
                             struct jade_err *err);
jade_code jadei_hnsw_search(struct jade_index *ix, const struct jade_query_vector *q,
                            const struct jade_search_opts *opts, struct jade_topk *top,
                            struct jade_search_stats *stats, struct jade_err *err);

/* ---- hnsw_insert.c, hnsw_select.c ---- */

jade_code jadei_hnsw_add(struct jade_index *ix, uint32_t row, struct jade_err *err);
/**
 * Algorithm 4: of n candidates ascending by distance takes up to `want` rows that no taken one is nearer to; what was passed over
 * fills up to `fill`. Candidates marked JADEI_HNSW_TIE are always taken. The links go to `out`; returns how many.
 */
uint32_t jadei_hnsw_select(const struct jadei_hnsw *h, const struct jadei_hnsw_near *candidates,
                           uint32_t n, uint32_t want, uint32_t fill, uint32_t *out);
/** Puts link `to` into the list of `row`; prunes it when full. The caller holds the row's stripe. */
void jadei_hnsw_link(struct jadei_hnsw *h, uint32_t row, uint32_t level, uint32_t to);
/** Sorts ascending by (distance, row without marks). */
void jadei_hnsw_sort(struct jadei_hnsw_near *items, uint32_t n);

/* ---- hnsw.c ---- */

/** A cleared scratch with room for ef (and for insertion when asked). */
jade_code jadei_hnsw_scratch_take(struct jadei_hnsw *h, uint32_t ef_room, bool insertion,
                                  struct jadei_hnsw_scratch **out, struct jade_err *err);
void jadei_hnsw_scratch_give(struct jadei_hnsw *h, struct jadei_hnsw_scratch *s);
/** Forgets the rows visited. */
void jadei_hnsw_scratch_clear(struct jadei_hnsw_scratch *s);
/** Commits memory for the lists of a row. */
jade_code jadei_hnsw_reserve(struct jadei_hnsw *h, uint32_t row, uint32_t level,
                             struct jade_err *err);

/* ---- hnsw_io.c, hnsw_verify.c ---- */

jade_code jadei_hnsw_save(struct jade_index *ix, struct jade_blockfile_writer *w,
                          struct jade_err *err);
jade_code jadei_hnsw_verify(struct jade_index *ix, struct jade_err *err);
/** An object without memory or map behind it. */
jade_code jadei_hnsw_alloc(const struct jade_index_params *params, const struct jade_rows *rows,
                           uint32_t max_rows, struct jadei_hnsw **out, struct jade_err *err);

#endif
