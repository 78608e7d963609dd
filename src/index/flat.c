/*
 * Flat index: no structure, a search is an exact scan of the rows added so far.
 */
#include "base/alloc.h"
#include "base/assert.h"
#include "index/index_private.h"

struct flat {
    struct jade_index base;  /* first: the vtable's pointer is ours */
    _Atomic uint32_t n_rows; /* highest row added + 1 */
    bool mapped;
};

static jade_code flat_add(struct jade_index *ix, uint32_t row, struct jade_err *err)
{
    struct flat *f = (struct flat *)ix;
    (void)err;
    JADE_ASSERT(!f->mapped);
    uint32_t seen = atomic_load_explicit(&f->n_rows, memory_order_relaxed);
    while (seen <= row &&
           !atomic_compare_exchange_weak_explicit(&f->n_rows, &seen, row + 1, memory_order_release,
                                                  memory_order_relaxed)) {
    }
    return JADE_OK;
}

static jade_code flat_search(struct jade_index *ix, const struct jade_query_vector *q,
                             const struct jade_search_opts *opts, struct jade_topk *top,
                             struct jade_search_stats *stats, struct jade_err *err)
{
    struct flat *f = (struct flat *)ix;
    uint32_t n_rows = atomic_load_explicit(&f->n_rows, memory_order_acquire);
    return jade_scan_rows(&ix->rows, q, 0, n_rows, opts->filter, top, stats, err);
}

static jade_code flat_save(struct jade_index *ix, struct jade_blockfile_writer *w,
                           struct jade_err *err)
{
    struct flat *f = (struct flat *)ix;
    struct jadei_index_header h = {
        .params = ix->params,
        .n_rows = atomic_load_explicit(&f->n_rows, memory_order_acquire),
        .dim = ix->rows.dim,
        .metric = (uint32_t)ix->rows.metric,
    };
    return jadei_index_header_write(&h, w, err);
}

static jade_code flat_verify(struct jade_index *ix, struct jade_err *err)
{
    struct flat *f = (struct flat *)ix;
    return jade_rows_check(&ix->rows, 0, atomic_load_explicit(&f->n_rows, memory_order_acquire),
                           err);
}

static uint64_t flat_memory_bytes(const struct jade_index *ix)
{
    (void)ix;
    return sizeof(struct flat);
}

static void flat_free(struct jade_index *ix)
{
    jade_free(ix);
}

static const struct jade_index_ops FLAT_OPS = {
    .name = "flat",
    .add = flat_add,
    .search = flat_search,
    .save = flat_save,
    .verify = flat_verify,
    .memory_bytes = flat_memory_bytes,
    .free = flat_free,
};

static jade_code make(const struct jade_index_params *params, const struct jade_rows *rows,
                      uint32_t n_rows, bool mapped, struct jade_index **out, struct jade_err *err)
{
    struct flat *f = jade_calloc(JADE_TAG_GRAPH, 1, sizeof *f);
    *out = NULL;
    if (!f) {
        return jade_fail(err, JADE_E_NOMEM, "flat index");
    }
    f->base = (struct jade_index){.ops = &FLAT_OPS, .params = *params, .rows = *rows};
    f->mapped = mapped;
    atomic_init(&f->n_rows, n_rows);
    *out = &f->base;
    return JADE_OK;
}

jade_code jadei_flat_new(const struct jade_index_params *params, const struct jade_rows *rows,
                         struct jade_index **out, struct jade_err *err)
{
    return make(params, rows, 0, false, out, err);
}

jade_code jadei_flat_map(const struct jadei_index_header *h, const struct jade_rows *rows,
                         struct jade_index **out, struct jade_err *err)
{
    return make(&h->params, rows, h->n_rows, true, out, err);
}
