/*
 * The walk through the graph: algorithm 2 of the paper with one sorted array and a cursor in the place of its two heaps, rows
 * computed four at once, and the next lists and rows prefetched.
 *
 * A filter does not steer the walk: every row is a way-point, allowed ones go to the result. The beam keeps the nearest rows up to
 * ef allowed ones, so it grows where the filter hides many, up to JADEI_HNSW_WIDEN * ef rows; a walk ends when every row of
 * the beam is expanded, however few were allowed.
 *
 * In a mapped index each list and row is checked before its first use, and each link against the number of rows at every use.
 */
#include <math.h>

#include "base/assert.h"
#include "index/hnsw_private.h"
#include "os/guard.h"

static bool range_verified(const struct jadei_hnsw *h, uint64_t at, uint64_t n)
{
    return jadei_block_verified(h->verified, at / JADE_BLOCK_BYTES) &&
           jadei_block_verified(h->verified, (at + n - 1) / JADE_BLOCK_BYTES);
}

jade_code jadei_hnsw_checked_list(const struct jadei_hnsw *h, uint32_t row, uint32_t level,
                                  const jadei_link **out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    uint64_t bytes = (uint64_t)jadei_hnsw_words(h, level) * sizeof(jadei_link);
    uint64_t at = h->header.at_links0 + row * bytes;
    *out = NULL;
    if (h->file && level > 0) {
        uint64_t start_at = h->header.at_upper_start + (uint64_t)row * sizeof(jadei_link);
        if (!range_verified(h, start_at, sizeof(jadei_link))) {
            JADE_TRY(jade_blockfile_check(h->file, start_at, sizeof(jadei_link), err));
        }
        uint64_t list = (uint64_t)jadei_link_load(&h->upper_start[row]) + level - 1;
        if (list >= h->header.n_upper) {
            return jade_fail(err, JADE_E_CORRUPT, "%s: row %u has upper list %llu of %llu",
                             jade_blockfile_path(h->file), row, (unsigned long long)list,
                             (unsigned long long)h->header.n_upper);
        }
        at = h->header.at_upper + list * bytes;
    }
    if (h->file && !range_verified(h, at, bytes)) {
        JADE_TRY(jade_blockfile_check(h->file, at, bytes, err));
    }
    *out = jadei_hnsw_list(h, row, level);
out:
    return rc;
}

static jade_code bad_link(const struct jadei_hnsw *h, uint32_t row, uint32_t level, uint32_t link,
                          struct jade_err *err)
{
    return jade_fail(err, JADE_E_CORRUPT,
                     "%s: row %u links to row %u on level %u, the index has %u rows",
                     jade_blockfile_path(h->file), row, jadei_link_row(link), level, h->max_rows);
}

/* Rows of a list that were not met before, into s->batch; their count in *n_out. Mapped rows are checked. */
static jade_code gather(const struct jadei_hnsw *h, struct jadei_hnsw_scratch *s,
                        const struct jadei_measure *m, uint32_t row, uint32_t level, bool revisit,
                        uint32_t *n_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const jadei_link *list;
    uint32_t n = 0, words = jadei_hnsw_words(h, level);
    *n_out = 0;
    JADE_TRY(jadei_hnsw_checked_list(h, row, level, &list, err));
    for (uint32_t i = 0; i < words; i++) {
        uint32_t link = jadei_link_load(&list[i]);
        if (link == JADEI_HNSW_END) {
            break;
        }
        uint32_t next = jadei_link_row(link);
        if (h->file && next >= h->max_rows) {
            return bad_link(h, row, level, link, err);
        }
        if (!revisit && !jadei_hnsw_visit(s, next)) {
            continue;
        }
        if (!jadei_measure_ready(m, next)) {
            JADE_TRY(jadei_measure_verify(m, next, err));
        }
        s->batch[n++] = next;
    }
    *n_out = n;
out:
    return rc;
}

/* Distance that a new row must be below to enter the beam. */
static inline float pool_bound(const struct jadei_hnsw_pool *p)
{
    return p->n_allowed >= p->ef || p->n == p->cap ? p->items[p->n - 1].distance : INFINITY;
}

static inline void pool_pop(struct jadei_hnsw_pool *p)
{
    p->n--;
    p->n_allowed -= p->items[p->n].row & JADEI_NEAR_ALLOWED ? 1 : 0;
}

/* Puts the row in order, then drops what the ef allowed rows do not need. */
static inline void pool_insert(struct jadei_hnsw_pool *p, float distance, uint32_t row,
                               bool allowed)
{
    uint32_t low = 0, high = p->n;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (p->items[mid].distance <= distance) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (p->n == p->cap) {
        pool_pop(p); /* bound: low is at most its place */
    }
    for (uint32_t i = p->n; i > low; i--) {
        p->items[i] = p->items[i - 1];
    }
    p->items[low] = (struct jadei_hnsw_near){distance, row | (allowed ? JADEI_NEAR_ALLOWED : 0)};
    p->n++;
    p->n_allowed += allowed ? 1 : 0;
    while (p->n_allowed > p->ef ||
           (p->n_allowed == p->ef && !(p->items[p->n - 1].row & JADEI_NEAR_ALLOWED))) {
        pool_pop(p);
    }
    if (low < p->cursor) {
        p->cursor = low;
    }
}

/* A computed row: into the result when allowed, into the beam when near. */
static inline void offer(struct jadei_hnsw_pool *p, const struct jadei_hnsw_walk *w, float distance,
                         uint32_t row)
{
    bool enters = distance < pool_bound(p) || (p->n < p->cap && p->n_allowed < p->ef);
    if (!w->filter) {
        if (enters) {
            pool_insert(p, distance, row, true);
        }
        return;
    }
    bool answers = distance <= jade_topk_bound(w->top);
    if (!enters && !answers) {
        return;
    }
    bool allowed = jade_row_allowed(w->filter, row);
    if (allowed && answers) {
        jade_topk_push(w->top, distance, row);
    }
    if (enters) {
        pool_insert(p, distance, row, allowed);
    }
}

/* Asks for what the filter will read of the rows that may enter, so that the reads overlap. */
static inline void prefetch_filter(const struct jadei_hnsw_walk *w,
                                   const struct jadei_hnsw_scratch *s, uint32_t n, float bound)
{
    const struct jade_row_filter *f = w->filter;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t row = s->batch[i];
        if (!(s->distances[i] < bound) || row >= f->n_rows) {
            continue;
        }
        if (f->row_lsn) {
            __builtin_prefetch(&f->row_lsn[row]);
        }
        if (f->tomb_lsn) {
            __builtin_prefetch((const void *)&f->tomb_lsn[row]);
        }
    }
}

jade_code jadei_hnsw_walk(const struct jadei_hnsw *h, struct jadei_hnsw_scratch *s,
                          const struct jadei_measure *m, const struct jadei_hnsw_walk *w,
                          struct jade_search_stats *stats, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_hnsw_pool *p = &s->pool;
    uint64_t distances = 0, expanded = 0;
    JADE_ASSERT(w->ef >= 1 && w->room >= w->ef && s->items_cap >= w->room);
    p->cap = w->room;
    p->n = p->n_allowed = p->cursor = 0;
    p->ef = w->ef;
    (void)jadei_hnsw_visit(s, w->start.row);
    offer(p, w, w->start.distance, w->start.row);
    while (p->cursor < p->n) {
        uint32_t n, row = p->items[p->cursor].row & JADEI_HNSW_ROW_MASK;
        p->items[p->cursor].row |= JADEI_NEAR_EXPANDED;
        p->cursor++;
        JADE_TRY(gather(h, s, m, row, w->level, false, &n, err));
        jadei_measure_list(m, s->batch, n, s->distances);
        if (w->filter) {
            prefetch_filter(w, s, n, pool_bound(p));
        }
        for (uint32_t i = 0; i < n; i++) {
            offer(p, w, s->distances[i], s->batch[i]);
        }
        distances += n;
        expanded++;
        while (p->cursor < p->n && (p->items[p->cursor].row & JADEI_NEAR_EXPANDED)) {
            p->cursor++;
        }
        if (p->cursor < p->n && w->level == 0) {
            __builtin_prefetch(h->links0 +
                               (size_t)(p->items[p->cursor].row & JADEI_HNSW_ROW_MASK) * h->words0);
        }
    }
out:
    if (stats) {
        stats->distances += distances;
        stats->expanded += expanded;
    }
    return rc;
}

jade_code jadei_hnsw_descend(const struct jadei_hnsw *h, struct jadei_hnsw_scratch *s,
                             const struct jadei_measure *m, uint32_t top, uint32_t bottom,
                             struct jadei_hnsw_near *at, struct jade_search_stats *stats,
                             struct jade_err *err)
{
    jade_code rc = JADE_OK;
    for (uint32_t level = top + 1; level-- > bottom;) {
        for (bool nearer = true; nearer;) {
            uint32_t n;
            nearer = false;
            JADE_TRY(gather(h, s, m, at->row, level, true, &n, err));
            jadei_measure_list(m, s->batch, n, s->distances);
            for (uint32_t i = 0; i < n; i++) {
                if (s->distances[i] < at->distance) {
                    *at = (struct jadei_hnsw_near){s->distances[i], s->batch[i]};
                    nearer = true;
                }
            }
            if (stats) {
                stats->distances += n;
                stats->expanded++;
            }
        }
    }
out:
    return rc;
}

/* One search, as data: it runs under a guard when files are mapped, and then owns nothing that a fault could lose. */
struct request {
    struct jadei_hnsw *h;
    struct jadei_hnsw_scratch *scratch;
    const struct jade_query_vector *q;
    const struct jade_search_opts *opts;
    struct jade_topk *top;
    struct jade_search_stats *stats;
    uint64_t entry;
    uint32_t ef, room;
};

static jade_code run(void *arg, struct jade_err *err)
{
    struct request *r = arg;
    jade_code rc = JADE_OK;
    struct jadei_measure m;
    struct jadei_hnsw_near at = {.row = (uint32_t)r->entry};
    uint32_t top_level = (uint32_t)(r->entry >> 32);
    jadei_measure_init_query(&m, &r->h->base.rows, r->q);
    if (!jadei_measure_ready(&m, at.row)) {
        JADE_TRY(jadei_measure_verify(&m, at.row, err));
    }
    at.distance = jadei_measure_row(&m, at.row);
    if (top_level > 0) {
        JADE_TRY(jadei_hnsw_descend(r->h, r->scratch, &m, top_level, 1, &at, r->stats, err));
    }
    struct jadei_hnsw_walk walk = {
        .ef = r->ef, .room = r->room, .start = at, .filter = r->opts->filter, .top = r->top};
    rc = jadei_hnsw_walk(r->h, r->scratch, &m, &walk, r->stats, err);
out:
    return rc;
}

jade_code jadei_hnsw_search(struct jade_index *ix, const struct jade_query_vector *q,
                            const struct jade_search_opts *opts, struct jade_topk *top,
                            struct jade_search_stats *stats, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_hnsw *h = (struct jadei_hnsw *)ix;
    struct request r = {.h = h, .q = q, .opts = opts, .top = top, .stats = stats};
    r.entry = atomic_load_explicit(&h->entry, memory_order_acquire);
    if (r.entry == JADEI_HNSW_NO_ENTRY) {
        return JADE_OK;
    }
    uint32_t n_rows = atomic_load_explicit(&h->n_rows, memory_order_acquire);
    r.ef = opts->ef ? opts->ef : ix->params.ef_search;
    r.ef = r.ef > top->k ? r.ef : top->k;
    r.ef = r.ef < n_rows ? r.ef : n_rows;
    /* No beam holds more rows than there are. */
    uint64_t room = (uint64_t)r.ef * JADEI_HNSW_WIDEN;
    r.room = (uint32_t)(room < n_rows ? room : n_rows);
    JADE_TRY(jadei_hnsw_scratch_take(h, r.room, false, &r.scratch, err));
    if (h->file || ix->rows.file) {
        rc = jade_guard_run(run, &r, h->file ? jade_blockfile_path(h->file) : "vectors", err);
    } else {
        rc = run(&r, err);
    }
out:
    jadei_hnsw_scratch_give(h, r.scratch);
    return rc;
}
