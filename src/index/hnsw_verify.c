/*
 * Proof of the invariants on a quiet index: lists are well formed, links lead to rows that exist on that level, ties come in
 * pairs, and every row is reached from the entry.
 */
#include <string.h>

#include "base/alloc.h"
#include "index/hnsw_private.h"
#include "os/guard.h"

struct proof {
    struct jadei_hnsw *h;
    uint32_t n_rows;
    uint64_t *reached; /* a bit a row */
    uint32_t *queue;   /* n_rows: each row is queued once */
};

static const char *name_of(const struct jadei_hnsw *h)
{
    return h->file ? jade_blockfile_path(h->file) : "graph in memory";
}

static jade_code level_of(const struct proof *p, uint32_t row, uint32_t *level_out,
                          struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const struct jadei_hnsw *h = p->h;
    *level_out = 0;
    if (h->file) {
        JADE_TRY(jade_blockfile_check(h->file, h->header.at_levels + row, 1, err));
    }
    uint8_t level_plus_1 = atomic_load_explicit(&h->levels[row], memory_order_acquire);
    if (level_plus_1 == 0 || level_plus_1 > JADEI_HNSW_LEVEL_MAX + 1) {
        return jade_fail(err, JADE_E_CORRUPT, "%s: row %u of %u is not in the graph", name_of(h),
                         row, p->n_rows);
    }
    *level_out = level_plus_1 - 1u;
out:
    return rc;
}

/* Whether `row` has a tie to `to` on level 0. */
static jade_code has_tie(const struct proof *p, uint32_t row, uint32_t to, bool *has_out,
                         struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const jadei_link *list;
    *has_out = false;
    JADE_TRY(jadei_hnsw_checked_list(p->h, row, 0, &list, err));
    for (uint32_t i = 0; i < p->h->words0 && !*has_out; i++) {
        *has_out = jadei_link_load(&list[i]) == (to | JADEI_HNSW_TIE);
    }
out:
    return rc;
}

static jade_code check_link(const struct proof *p, uint32_t row, uint32_t level, uint32_t link,
                            struct jade_err *err)
{
    jade_code rc = JADE_OK;
    uint32_t to = jadei_link_row(link), to_level;
    bool tied = true;
    if ((link & ~(JADEI_HNSW_TIE | JADEI_HNSW_ROW_MASK)) != 0 || to >= p->n_rows || to == row ||
        (level > 0 && (link & JADEI_HNSW_TIE))) {
        return jade_fail(err, JADE_E_CORRUPT,
                         "%s: row %u has link %08x on level %u of a graph of %u rows",
                         name_of(p->h), row, link, level, p->n_rows);
    }
    JADE_TRY(level_of(p, to, &to_level, err));
    if (to_level < level) {
        return jade_fail(err, JADE_E_CORRUPT, "%s: row %u links on level %u to row %u of level %u",
                         name_of(p->h), row, level, to, to_level);
    }
    if (link & JADEI_HNSW_TIE) {
        JADE_TRY(has_tie(p, to, row, &tied, err));
    }
    if (!tied) {
        return jade_fail(err, JADE_E_CORRUPT,
                         "%s: row %u is tied to row %u, which is not tied back", name_of(p->h), row,
                         to);
    }
out:
    return rc;
}

/* Checks one list and queues the rows it reaches. */
static jade_code check_list(struct proof *p, uint32_t row, uint32_t level, uint32_t *queued,
                            struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const jadei_link *list;
    uint32_t words = jadei_hnsw_words(p->h, level), n = 0;
    JADE_TRY(jadei_hnsw_checked_list(p->h, row, level, &list, err));
    while (n < words && jadei_link_load(&list[n]) != JADEI_HNSW_END) {
        n++;
    }
    for (uint32_t i = 0; i < words; i++) {
        uint32_t link = jadei_link_load(&list[i]), to = jadei_link_row(link);
        if (i >= n) {
            if (link != JADEI_HNSW_END) {
                return jade_fail(err, JADE_E_CORRUPT,
                                 "%s: row %u has a link after the end of its list on level %u",
                                 name_of(p->h), row, level);
            }
            continue;
        }
        JADE_TRY(check_link(p, row, level, link, err));
        if (i > 0 && (link & JADEI_HNSW_TIE) && !(jadei_link_load(&list[i - 1]) & JADEI_HNSW_TIE)) {
            return jade_fail(err, JADE_E_CORRUPT,
                             "%s: row %u has a tie to row %u behind other links", name_of(p->h),
                             row, to);
        }
        for (uint32_t j = 0; j < i; j++) {
            if (jadei_link_row(jadei_link_load(&list[j])) == to) {
                return jade_fail(err, JADE_E_CORRUPT,
                                 "%s: row %u links twice to row %u on level %u", name_of(p->h), row,
                                 to, level);
            }
        }
        if (!(p->reached[to >> 6] >> (to & 63) & 1)) {
            p->reached[to >> 6] |= 1ull << (to & 63);
            p->queue[(*queued)++] = to;
        }
    }
out:
    return rc;
}

/* Breadth first over all levels from the entry. */
static jade_code walk_all(void *arg, struct jade_err *err)
{
    struct proof *p = arg;
    jade_code rc = JADE_OK;
    uint64_t entry = atomic_load_explicit(&p->h->entry, memory_order_acquire);
    uint32_t level, queued = 0, entry_row = (uint32_t)entry;
    if (entry == JADEI_HNSW_NO_ENTRY || entry_row >= p->n_rows) {
        return jade_fail(err, JADE_E_CORRUPT, "%s: %u rows and no entry", name_of(p->h), p->n_rows);
    }
    JADE_TRY(level_of(p, entry_row, &level, err));
    if (level != (uint32_t)(entry >> 32)) {
        return jade_fail(err, JADE_E_CORRUPT, "%s: entry row %u is of level %u, expected %u",
                         name_of(p->h), entry_row, level, (unsigned)(entry >> 32));
    }
    p->reached[entry_row >> 6] |= 1ull << (entry_row & 63);
    p->queue[queued++] = entry_row;
    for (uint32_t i = 0; i < queued; i++) {
        uint32_t row = p->queue[i];
        JADE_TRY(level_of(p, row, &level, err));
        for (uint32_t l = 0; l <= level; l++) {
            JADE_TRY(check_list(p, row, l, &queued, err));
        }
    }
    if (queued != p->n_rows) {
        uint32_t lost = 0;
        while (p->reached[lost >> 6] >> (lost & 63) & 1) {
            lost++;
        }
        return jade_fail(err, JADE_E_CORRUPT,
                         "%s: %u of %u rows cannot be reached, row %u is the first", name_of(p->h),
                         p->n_rows - queued, p->n_rows, lost);
    }
out:
    return rc;
}

jade_code jadei_hnsw_verify(struct jade_index *ix, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_hnsw *h = (struct jadei_hnsw *)ix;
    struct proof p = {.h = h, .n_rows = atomic_load_explicit(&h->n_rows, memory_order_acquire)};
    if (p.n_rows == 0) {
        return JADE_OK;
    }
    p.reached = jade_calloc(JADE_TAG_GRAPH, ((size_t)p.n_rows + 63) / 64, sizeof *p.reached);
    p.queue = jade_alloc(JADE_TAG_GRAPH, (size_t)p.n_rows * sizeof *p.queue);
    if (!p.reached || !p.queue) {
        rc = jade_fail(err, JADE_E_NOMEM, "verifying %u rows", p.n_rows);
        goto out;
    }
    rc = h->file ? jade_guard_run(walk_all, &p, name_of(h), err) : walk_all(&p, err);
out:
    jade_free(p.queue);
    jade_free(p.reached);
    return rc;
}
