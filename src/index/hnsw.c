/*
 * Life of the graph: making and freeing it, the memory of its lists, and the scratches that walks borrow.
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"
#include "index/hnsw_private.h"

uint32_t jadei_hnsw_level(uint64_t seed, uint32_t row, uint32_t m)
{
    /* The paper's floor(-ln(unif) * mL) with mL = 1 / ln M (section 4.1); unif in (0, 1] from 53 bits of the hash. */
    uint64_t hash = jade_hash64(&row, sizeof row, seed);
    double unif = (double)((hash >> 11) + 1) * 0x1p-53;
    double level = -log(unif) / log((double)m);
    return level < JADEI_HNSW_LEVEL_MAX ? (uint32_t)level : JADEI_HNSW_LEVEL_MAX;
}

static uint64_t hnsw_memory_bytes(const struct jade_index *ix)
{
    const struct jadei_hnsw *h = (const struct jadei_hnsw *)ix;
    uint64_t stripes = h->stripes ? JADEI_HNSW_STRIPES * sizeof *h->stripes : 0;
    struct jade_mutex *lock = (struct jade_mutex *)&h->grow_lock;
    jade_mutex_lock(lock);
    uint64_t bytes = sizeof *h + stripes + h->mem_links0.committed + h->mem_upper.committed +
                     h->mem_upper_start.committed + h->mem_levels.committed;
    jade_mutex_unlock(lock);
    return bytes;
}

static void free_scratch(struct jadei_hnsw_scratch *s)
{
    if (s) {
        jade_free(s->pool.items);
        jade_free(s->visited);
        jade_free(s->candidates);
        jade_free(s->chosen);
        jade_free(s);
    }
}

static void hnsw_free(struct jade_index *ix)
{
    struct jadei_hnsw *h = (struct jadei_hnsw *)ix;
    while (h->scratches) {
        struct jadei_hnsw_scratch *s = h->scratches;
        h->scratches = s->next;
        free_scratch(s);
    }
    for (uint32_t i = 0; h->stripes && i < JADEI_HNSW_STRIPES; i++) {
        jade_mutex_release(&h->stripes[i]);
    }
    jade_free(h->stripes);
    jade_vmem_release(&h->mem_links0);
    jade_vmem_release(&h->mem_upper);
    jade_vmem_release(&h->mem_upper_start);
    jade_vmem_release(&h->mem_levels);
    jade_mutex_release(&h->grow_lock);
    jade_mutex_release(&h->entry_lock);
    jade_mutex_release(&h->scratch_lock);
    jade_free(h);
}

static const struct jade_index_ops HNSW_OPS = {
    .name = "hnsw",
    .add = jadei_hnsw_add,
    .search = jadei_hnsw_search,
    .save = jadei_hnsw_save,
    .verify = jadei_hnsw_verify,
    .memory_bytes = hnsw_memory_bytes,
    .free = hnsw_free,
};

jade_code jadei_hnsw_alloc(const struct jade_index_params *params, const struct jade_rows *rows,
                           uint32_t max_rows, struct jadei_hnsw **out, struct jade_err *err)
{
    struct jadei_hnsw *h = jade_calloc(JADE_TAG_GRAPH, 1, sizeof *h);
    *out = NULL;
    if (!h) {
        return jade_fail(err, JADE_E_NOMEM, "hnsw index");
    }
    h->base = (struct jade_index){.ops = &HNSW_OPS, .params = *params, .rows = *rows};
    h->words0 = 2 * params->m;
    h->words_upper = params->m;
    h->max_rows = max_rows;
    atomic_init(&h->entry, JADEI_HNSW_NO_ENTRY);
    jade_mutex_init(&h->grow_lock);
    jade_mutex_init(&h->entry_lock);
    jade_mutex_init(&h->scratch_lock);
    *out = h;
    return JADE_OK;
}

/* Addresses for the upper lists: a row has 1 / (m - 1) of them on average; twice that and a margin is out of reach. */
static size_t upper_lists_max(uint32_t max_rows, uint32_t m)
{
    return (size_t)max_rows * 2 / (m - 1) + 4096;
}

jade_code jadei_hnsw_new(const struct jade_index_params *params, const struct jade_rows *rows,
                         uint32_t max_rows, struct jade_index **out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_hnsw *h = NULL;
    *out = NULL;
    JADE_TRY(jadei_hnsw_alloc(params, rows, max_rows, &h, err));
    h->stripes = jade_alloc(JADE_TAG_GRAPH, JADEI_HNSW_STRIPES * sizeof *h->stripes);
    if (!h->stripes) {
        rc = jade_fail(err, JADE_E_NOMEM, "hnsw index");
        goto out;
    }
    for (uint32_t i = 0; i < JADEI_HNSW_STRIPES; i++) {
        jade_mutex_init(&h->stripes[i]);
    }
    JADE_TRY(jade_vmem_init(&h->mem_links0, JADE_TAG_GRAPH,
                            (size_t)max_rows * h->words0 * sizeof(jadei_link), err));
    JADE_TRY(jade_vmem_init(&h->mem_upper_start, JADE_TAG_GRAPH,
                            (size_t)max_rows * sizeof(jadei_link), err));
    JADE_TRY(jade_vmem_init(&h->mem_levels, JADE_TAG_GRAPH, max_rows, err));
    JADE_TRY(jade_vmem_init(
        &h->mem_upper, JADE_TAG_GRAPH,
        upper_lists_max(max_rows, params->m) * h->words_upper * sizeof(jadei_link), err));
    h->links0 = (const jadei_link *)(const void *)h->mem_links0.base;
    h->upper_start = (const jadei_link *)(const void *)h->mem_upper_start.base;
    h->levels = (const _Atomic uint8_t *)h->mem_levels.base;
    h->upper = (const jadei_link *)(const void *)h->mem_upper.base;
    *out = &h->base;
    h = NULL;
out:
    if (h) {
        hnsw_free(&h->base);
    }
    return rc;
}

static jade_code grow_rows(struct jadei_hnsw *h, uint32_t n, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    if (n <= atomic_load_explicit(&h->rows_ready, memory_order_relaxed)) {
        goto out; /* another thread was faster */
    }
    JADE_TRY(jade_vmem_grow(&h->mem_links0, (size_t)n * h->words0 * sizeof(jadei_link), err));
    JADE_TRY(jade_vmem_grow(&h->mem_upper_start, (size_t)n * sizeof(jadei_link), err));
    JADE_TRY(jade_vmem_grow(&h->mem_levels, n, err));
    /* What fits in the pages of the widest array is ready at once, so that most rows never come here. */
    size_t ready = h->mem_links0.committed / (h->words0 * sizeof(jadei_link));
    ready = ready < h->mem_upper_start.committed / sizeof(jadei_link)
                ? ready
                : h->mem_upper_start.committed / sizeof(jadei_link);
    ready = ready < h->mem_levels.committed ? ready : h->mem_levels.committed;
    ready = ready < h->max_rows ? ready : h->max_rows;
    atomic_store_explicit(&h->rows_ready, (uint32_t)ready, memory_order_release);
out:
    return rc;
}

jade_code jadei_hnsw_reserve(struct jadei_hnsw *h, uint32_t row, uint32_t level,
                             struct jade_err *err)
{
    jade_code rc = JADE_OK;
    if (level == 0 && row < atomic_load_explicit(&h->rows_ready, memory_order_acquire)) {
        return JADE_OK;
    }
    jade_mutex_lock(&h->grow_lock);
    JADE_TRY(grow_rows(h, row + 1, err));
    if (level > 0) {
        size_t lists = (size_t)h->upper_used + level;
        JADE_TRY(jade_vmem_grow(&h->mem_upper, lists * h->words_upper * sizeof(jadei_link), err));
        jadei_link_store(&h->upper_start[row], h->upper_used);
        h->upper_used += level;
    }
out:
    jade_mutex_unlock(&h->grow_lock);
    return rc;
}

void jadei_hnsw_scratch_clear(struct jadei_hnsw_scratch *s)
{
    if (s->n_touched >= JADEI_HNSW_TOUCHED_MAX) {
        memset(s->visited, 0, s->n_bits / 8);
    } else {
        for (uint32_t i = 0; i < s->n_touched; i++) {
            s->visited[s->touched[i]] = 0;
        }
    }
    s->n_touched = 0;
}

/* Makes the parts large enough; a part that cannot grow leaves the others usable. */
static jade_code size_scratch(struct jadei_hnsw *h, struct jadei_hnsw_scratch *s, uint32_t ef_room,
                              bool insertion, struct jade_err *err)
{
    uint32_t n_rows = atomic_load_explicit(&h->n_rows, memory_order_acquire);
    if (s->items_cap < ef_room) {
        void *items = jade_realloc(JADE_TAG_SEARCH, s->pool.items, ef_room * sizeof *s->pool.items);
        if (!items) {
            return jade_fail(err, JADE_E_NOMEM, "search pool of %u rows", ef_room);
        }
        s->pool.items = items;
        s->items_cap = ef_room;
    }
    if (s->n_bits < n_rows) {
        uint64_t bits = ((uint64_t)n_rows + n_rows / 2 + 4095) & ~4095ull;
        uint64_t *visited = jade_calloc(JADE_TAG_SEARCH, bits / 64, sizeof *visited);
        if (!visited) {
            return jade_fail(err, JADE_E_NOMEM, "visited set of %u rows", n_rows);
        }
        jade_free(s->visited);
        s->visited = visited;
        s->n_bits = (uint32_t)bits;
        s->n_touched = 0;
    }
    if (insertion && !s->candidates) {
        size_t n = h->base.params.ef_construction + JADEI_HNSW_EXTRA_MAX;
        s->candidates = jade_alloc(JADE_TAG_GRAPH, n * sizeof *s->candidates);
        if (!s->candidates) {
            return jade_fail(err, JADE_E_NOMEM, "candidates of an insertion");
        }
    }
    if (insertion && !s->chosen) {
        s->chosen = jade_alloc(JADE_TAG_GRAPH, (JADEI_HNSW_LEVEL_MAX + 1) * (size_t)h->words_upper *
                                                   sizeof *s->chosen);
        if (!s->chosen) {
            return jade_fail(err, JADE_E_NOMEM, "links of an insertion");
        }
    }
    return JADE_OK;
}

jade_code jadei_hnsw_scratch_take(struct jadei_hnsw *h, uint32_t ef_room, bool insertion,
                                  struct jadei_hnsw_scratch **out, struct jade_err *err)
{
    *out = NULL;
    jade_mutex_lock(&h->scratch_lock);
    struct jadei_hnsw_scratch *s = h->scratches;
    if (s) {
        h->scratches = s->next;
        h->n_scratches--;
    }
    jade_mutex_unlock(&h->scratch_lock);
    if (!s) {
        s = jade_calloc(JADE_TAG_SEARCH, 1, sizeof *s);
        if (!s) {
            return jade_fail(err, JADE_E_NOMEM, "search scratch");
        }
    }
    jade_code rc = size_scratch(h, s, ef_room, insertion, err);
    if (rc != JADE_OK) {
        jadei_hnsw_scratch_give(h, s);
        return rc;
    }
    *out = s;
    return JADE_OK;
}

void jadei_hnsw_scratch_give(struct jadei_hnsw *h, struct jadei_hnsw_scratch *s)
{
    if (!s) {
        return;
    }
    if (s->visited) {
        jadei_hnsw_scratch_clear(s);
    }
    jade_mutex_lock(&h->scratch_lock);
    bool keep = h->n_scratches < JADEI_HNSW_SCRATCH_KEPT;
    if (keep) {
        s->next = h->scratches;
        h->scratches = s;
        h->n_scratches++;
    }
    jade_mutex_unlock(&h->scratch_lock);
    if (!keep) {
        free_scratch(s);
    }
}
