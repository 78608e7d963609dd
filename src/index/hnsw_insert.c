/*
 * Insertion: algorithm 1 of the paper in two halves. First everything is looked up and the node's own lists are written, which no other
 * thread sees; only then is the node linked from its neighbours. A failure can only happen in the first half, so the graph
 * never holds half a node.
 *
 * The first link to a node comes from its parent, and both directions of that pair are ties (hnsw.h, invariant 2): the tree of
 * ties spans level 0. A parent is the nearest chosen neighbour with room for one more tie.
 */
#include "base/assert.h"
#include "index/hnsw_private.h"

/* What one insertion knows. */
struct insertion {
    struct jadei_hnsw *h;
    struct jadei_hnsw_scratch *s;
    struct jadei_measure m;
    uint32_t row, level;
    uint32_t n_chosen[JADEI_HNSW_LEVEL_MAX + 1];
    uint32_t n_candidates; /* of level 0, in s->candidates */
};

/* Ties a node may have on level 0: half its links, so that the other half is chosen for search. */
static uint32_t ties_max(const struct jadei_hnsw *h)
{
    return h->base.params.m > 3 ? h->base.params.m : 3;
}

static uint32_t *chosen(const struct insertion *in, uint32_t level)
{
    return in->s->chosen + (size_t)level * in->h->words_upper;
}

/*
 * On a plateau, all candidates being equally far, the beam saw only part of the copies of one vector and no way out of them. The
 * neighbours of the first M candidates are added (the paper's extendCandidates), among them rows outside.
 */
static uint32_t extend_plateau(struct insertion *in, uint32_t level, uint32_t n)
{
    struct jadei_hnsw *h = in->h;
    struct jadei_hnsw_near *candidates = in->s->candidates;
    uint32_t n_first = n, m = h->base.params.m;
    if (n < h->base.params.ef_construction || candidates[0].distance < candidates[n - 1].distance) {
        return n;
    }
    /* The walk marked what it computed, nearer or not: forget, then mark what is in already. */
    jadei_hnsw_scratch_clear(in->s);
    for (uint32_t i = 0; i < n; i++) {
        (void)jadei_hnsw_visit(in->s, candidates[i].row);
    }
    for (uint32_t i = 0; i < n_first && i < m; i++) {
        const jadei_link *list = jadei_hnsw_list(h, candidates[i].row, level);
        for (uint32_t j = 0; j < jadei_hnsw_words(h, level); j++) {
            uint32_t link = jadei_link_load(&list[j]);
            if (link == JADEI_HNSW_END || n == n_first + JADEI_HNSW_EXTRA_MAX) {
                break;
            }
            uint32_t next = jadei_link_row(link);
            if (next != in->row && jadei_hnsw_visit(in->s, next)) {
                candidates[n++] = (struct jadei_hnsw_near){jadei_measure_row(&in->m, next), next};
            }
        }
    }
    jadei_hnsw_sort(candidates, n);
    return n;
}

/* Finds and chooses the neighbours of one level; *at becomes the nearest of them. */
static jade_code choose_level(struct insertion *in, uint32_t level, struct jadei_hnsw_near *at,
                              struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_hnsw_scratch *s = in->s;
    uint32_t ef = in->h->base.params.ef_construction, m = in->h->base.params.m;
    struct jadei_hnsw_walk walk = {.level = level, .ef = ef, .room = ef, .start = *at};
    JADE_TRY(jadei_hnsw_walk(in->h, s, &in->m, &walk, NULL, err));
    uint32_t n = s->pool.n;
    for (uint32_t i = 0; i < n; i++) {
        s->candidates[i] = (struct jadei_hnsw_near){s->pool.items[i].distance,
                                                    s->pool.items[i].row & JADEI_HNSW_ROW_MASK};
    }
    *at = s->candidates[0];
    n = extend_plateau(in, level, n);
    jadei_hnsw_scratch_clear(s);
    in->n_chosen[level] = jadei_hnsw_select(in->h, s->candidates, n, m, m, chosen(in, level));
    in->n_candidates = n;
out:
    return rc;
}

static void write_own_lists(const struct insertion *in)
{
    for (uint32_t level = 0; level <= in->level; level++) {
        const jadei_link *list = jadei_hnsw_list(in->h, in->row, level);
        for (uint32_t i = 0; i < jadei_hnsw_words(in->h, level); i++) {
            jadei_link_store(&list[i],
                             i < in->n_chosen[level] ? chosen(in, level)[i] : JADEI_HNSW_END);
        }
    }
}

/* From here on the row may be a parent. Under the lock of its own parent, so who finds that one full sees this mark. */
static void mark_added(const struct insertion *in)
{
    _Atomic uint8_t *levels = (_Atomic uint8_t *)in->h->levels;
    atomic_store_explicit(&levels[in->row], (uint8_t)(in->level + 1), memory_order_release);
}

/* Ties of a row on level 0. The caller holds its stripe. */
static uint32_t count_ties(const struct jadei_hnsw *h, uint32_t row)
{
    const jadei_link *list = jadei_hnsw_list(h, row, 0);
    uint32_t n = 0;
    for (uint32_t i = 0; i < h->words0; i++) {
        uint32_t link = jadei_link_load(&list[i]);
        if (link == JADEI_HNSW_END) {
            break;
        }
        n += link & JADEI_HNSW_TIE ? 1 : 0;
    }
    return n;
}

/* Puts the tie to the parent at the front of the own list; where the parent was not chosen the list grows by it. */
static void tie_own_list(const struct insertion *in, uint32_t parent)
{
    const jadei_link *list = jadei_hnsw_list(in->h, in->row, 0);
    uint32_t at = 0;
    while (jadei_link_load(&list[at]) != JADEI_HNSW_END &&
           jadei_link_row(jadei_link_load(&list[at])) != parent) {
        at++; /* at most M were chosen, so the list of 2M has an end */
    }
    if (at > 0) {
        jadei_link_store(&list[at], jadei_link_load(&list[0]));
    }
    jadei_link_store(&list[0], parent | JADEI_HNSW_TIE);
}

/* Ties the node to this parent if it has room; the node is visible afterwards. */
static bool try_parent(const struct insertion *in, uint32_t parent)
{
    struct jade_mutex *lock = jadei_hnsw_stripe(in->h, parent);
    jade_mutex_lock(lock);
    bool room = count_ties(in->h, parent) < ties_max(in->h);
    if (room) {
        tie_own_list(in, parent);
        jadei_hnsw_link(in->h, parent, 0, in->row | JADEI_HNSW_TIE);
        mark_added(in);
    }
    jade_mutex_unlock(lock);
    return room;
}

/* Any row in the graph with room for a tie; false when threads took all the room that this pass could see. */
static bool tie_to_any(const struct insertion *in, uint32_t *parent_out)
{
    const struct jadei_hnsw *h = in->h;
    uint32_t n = atomic_load_explicit(&h->n_rows, memory_order_acquire);
    for (uint32_t i = 1; i < n; i++) {
        uint32_t row = (uint32_t)(((uint64_t)in->row + i) % n);
        if (atomic_load_explicit(&h->levels[row], memory_order_acquire) != 0 &&
            try_parent(in, row)) {
            *parent_out = row;
            return true;
        }
    }
    return false;
}

/*
 * Ties the node into the backbone: to a chosen neighbour, else to a candidate, else to any row. A tree of n nodes has n - 1 ties, so at
 * least a third of its nodes have fewer than three and room for one more; a pass over all rows misses them only when other
 * threads filled them meanwhile, and those threads brought nodes with room. So the last loop ends.
 */
static uint32_t tie_to_parent(const struct insertion *in)
{
    uint32_t parent = 0;
    for (uint32_t i = 0; i < in->n_chosen[0]; i++) {
        if (try_parent(in, chosen(in, 0)[i])) {
            return chosen(in, 0)[i];
        }
    }
    for (uint32_t i = 0; i < in->n_candidates; i++) {
        if (try_parent(in, in->s->candidates[i].row)) {
            return in->s->candidates[i].row;
        }
    }
    while (!tie_to_any(in, &parent)) {
    }
    return parent;
}

static void link_back(const struct insertion *in)
{
    uint32_t parent = tie_to_parent(in);
    for (uint32_t level = 0; level <= in->level; level++) {
        for (uint32_t i = 0; i < in->n_chosen[level]; i++) {
            uint32_t neighbour = chosen(in, level)[i];
            if (level == 0 && neighbour == parent) {
                continue;
            }
            struct jade_mutex *lock = jadei_hnsw_stripe(in->h, neighbour);
            jade_mutex_lock(lock);
            jadei_hnsw_link(in->h, neighbour, level, in->row);
            jade_mutex_unlock(lock);
        }
    }
}

static jade_code connect(struct insertion *in, uint64_t entry, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_hnsw_near at = {.row = (uint32_t)entry};
    uint32_t top = (uint32_t)(entry >> 32);
    uint32_t from = in->level < top ? in->level : top;
    at.distance = jadei_measure_row(&in->m, at.row);
    JADE_TRY(jadei_hnsw_descend(in->h, in->s, &in->m, top, from + 1, &at, NULL, err));
    for (uint32_t level = from + 1; level-- > 0;) {
        JADE_TRY(choose_level(in, level, &at, err));
    }
    write_own_lists(in);
    link_back(in);
out:
    return rc;
}

static void raise_n_rows(struct jadei_hnsw *h, uint32_t row)
{
    uint32_t seen = atomic_load_explicit(&h->n_rows, memory_order_relaxed);
    while (seen <= row &&
           !atomic_compare_exchange_weak_explicit(&h->n_rows, &seen, row + 1, memory_order_acq_rel,
                                                  memory_order_relaxed)) {
    }
}

static bool above(const struct insertion *in, uint64_t entry)
{
    return entry == JADEI_HNSW_NO_ENTRY || in->level > (uint32_t)(entry >> 32);
}

/* A node above the top level (or the first one) is added alone among its like, and then becomes the entry. */
static jade_code insert(struct insertion *in, struct jade_err *err)
{
    struct jadei_hnsw *h = in->h;
    jade_code rc = JADE_OK;
    uint64_t entry = atomic_load_explicit(&h->entry, memory_order_acquire);
    if (!above(in, entry)) {
        return connect(in, entry, err);
    }
    jade_mutex_lock(&h->entry_lock);
    entry = atomic_load_explicit(&h->entry, memory_order_acquire);
    if (entry == JADEI_HNSW_NO_ENTRY) {
        write_own_lists(in);
        mark_added(in);
    } else {
        JADE_TRY(connect(in, entry, err));
    }
    if (above(in, entry)) {
        atomic_store_explicit(&h->entry, jadei_entry_of(in->level, in->row), memory_order_release);
    }
out:
    jade_mutex_unlock(&h->entry_lock);
    return rc;
}

jade_code jadei_hnsw_add(struct jade_index *ix, uint32_t row, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_hnsw *h = (struct jadei_hnsw *)ix;
    JADE_ASSERT(!h->file && row < h->max_rows);
    struct insertion in = {.h = h, .row = row};
    in.level = jadei_hnsw_level(ix->params.seed, row, ix->params.m);
    JADE_TRY(jade_rows_check(&ix->rows, row, 1, err));
    JADE_TRY(jadei_hnsw_reserve(h, row, in.level, err));
    JADE_ASSERT(atomic_load_explicit(&h->levels[row], memory_order_relaxed) == 0);
    raise_n_rows(h, row);
    JADE_TRY(jadei_hnsw_scratch_take(h, ix->params.ef_construction, true, &in.s, err));
    jadei_measure_init_row(&in.m, &ix->rows, row);
    JADE_TRY(insert(&in, err));
    atomic_fetch_add_explicit(&h->n_added, 1, memory_order_release);
out:
    jadei_hnsw_scratch_give(h, in.s);
    return rc;
}
