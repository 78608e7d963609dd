/*
 * The growing segment: columns in memory at fixed addresses, appended by the committer, read by everybody.
 *
 * A row is complete before n_rows passes it (release), so that readers need no lock for columns. The id table and the metadata index
 * change under their locks.
 */
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "format/json.h"
#include "shard/shard_private.h"

enum { ID_SLOTS_FIRST = 64 };

static uint64_t row_bytes_min(uint32_t dim)
{
    return 4ull * dim +
           24; /* a row in a WAL record is at least this long (docs/formats/record.md) */
}

static jade_code columns_init(struct jadei_columns *c, const struct jade_shard_config *config,
                              size_t stride, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    /* The segment is frozen once seal_bytes of log are in it; the record that crosses the line may have JADE_WAL_RECORD_MAX more. */
    uint64_t bytes = config->seal_bytes + 2ull * JADE_WAL_RECORD_MAX;
    uint64_t rows = bytes / row_bytes_min(config->dim) + 1;
    c->rows_max = rows < JADE_SEGMENT_ROWS_MAX ? (uint32_t)rows : JADE_SEGMENT_ROWS_MAX;
    c->bytes_max = bytes;
    size_t n = c->rows_max;
    JADE_TRY(jade_vmem_init(&c->vectors, JADE_TAG_VECTORS, n * stride, err));
    JADE_TRY(jade_vmem_init(&c->norms, JADE_TAG_VECTORS, n * sizeof(float), err));
    JADE_TRY(jade_vmem_init(&c->lsn, JADE_TAG_SEGMENT, n * sizeof(uint64_t), err));
    JADE_TRY(jade_vmem_init(&c->version, JADE_TAG_SEGMENT, n * sizeof(uint64_t), err));
    JADE_TRY(jade_vmem_init(&c->created, JADE_TAG_SEGMENT, n * sizeof(int64_t), err));
    JADE_TRY(jade_vmem_init(&c->updated, JADE_TAG_SEGMENT, n * sizeof(int64_t), err));
    JADE_TRY(jade_vmem_init(&c->id_off, JADE_TAG_IDS, (n + 1) * sizeof(uint64_t), err));
    JADE_TRY(jade_vmem_init(&c->meta_off, JADE_TAG_METADATA, (n + 1) * sizeof(uint64_t), err));
    JADE_TRY(jade_vmem_init(&c->id_bytes, JADE_TAG_IDS, c->bytes_max, err));
    JADE_TRY(jade_vmem_init(&c->meta_bytes, JADE_TAG_METADATA, c->bytes_max, err));
    JADE_TRY(jade_vmem_init(&c->prev, JADE_TAG_IDS, n * sizeof(uint32_t), err));
    /* The first offset is 0; one page each. */
    JADE_TRY(jade_vmem_grow(&c->id_off, sizeof(uint64_t), err));
    JADE_TRY(jade_vmem_grow(&c->meta_off, sizeof(uint64_t), err));
out:
    return rc;
}

static void columns_release(struct jadei_columns *c)
{
    struct jade_vmem *all[] = {&c->vectors,  &c->norms,      &c->lsn,    &c->version,
                               &c->created,  &c->updated,    &c->id_off, &c->meta_off,
                               &c->id_bytes, &c->meta_bytes, &c->prev};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        jade_vmem_release(all[i]);
    }
    jade_free(c->slots);
}

jade_code jadei_growing_new(const struct jade_shard_config *config, struct jadei_segment **out,
                            struct jade_err *err)
{
    jade_code rc = JADE_OK;
    *out = NULL;
    struct jadei_segment *g = jade_calloc(JADE_TAG_SEGMENT, 1, sizeof *g);
    if (!g) {
        return jade_fail(err, JADE_E_NOMEM, "growing segment");
    }
    g->dim = config->dim;
    g->graph_rows_min = config->graph_rows_min;
    jade_rwlock_init(&g->ids_lock);
    jade_rwlock_init(&g->meta_lock);
    jade_mutex_init(&g->index_mutex);
    uint32_t padded = (uint32_t)jade_simd_padded(config->dim);
    JADE_TRY(columns_init(&g->c, config, padded * sizeof(float), err));
    g->rows = (struct jade_rows){
        .base = g->c.vectors.base,
        .stride = padded * sizeof(float),
        .dim = config->dim,
        .dim_padded = padded,
        .metric = config->metric,
        .inv_norm = config->metric == JADE_METRIC_COSINE ? (const float *)g->c.norms.base : NULL};
    g->lsn = (const uint64_t *)g->c.lsn.base;
    g->version = (const uint64_t *)g->c.version.base;
    g->created = (const int64_t *)g->c.created.base;
    g->updated = (const int64_t *)g->c.updated.base;
    g->id_off = (const uint64_t *)g->c.id_off.base;
    g->meta_off = (const uint64_t *)g->c.meta_off.base;
    g->id_bytes = g->c.id_bytes.base;
    g->meta_bytes = g->c.meta_bytes.base;
    g->prev = (const uint32_t *)g->c.prev.base;
    JADE_TRY(jade_vmem_init(&g->tomb_mem, JADE_TAG_SEGMENT,
                            (size_t)g->c.rows_max * sizeof(uint64_t), err));
    JADE_TRY(jade_metaindex_new(&g->metaindex, err));
    if (config->index.kind != JADE_INDEX_FLAT) {
        JADE_TRY(jade_index_new(&config->index, &g->rows, g->c.rows_max, &g->index, err));
    }
    *out = g;
    return JADE_OK;
out:
    jadei_segment_free(g);
    return rc;
}

void jadei_segment_free(void *segment)
{
    struct jadei_segment *s = segment;
    if (!s) {
        return;
    }
    jade_index_free(s->index);
    jade_metaindex_free(s->metaindex);
    columns_release(&s->c);
    jade_vmem_release(&s->tomb_mem);
    jade_segment_dir_close(s->dir);
    jade_rwlock_release(&s->ids_lock);
    jade_rwlock_release(&s->meta_lock);
    jade_mutex_release(&s->index_mutex);
    jade_free(s);
}

void jadei_growing_plan(struct jadei_segment *g)
{
    g->c.planned_rows = g->c.n_used;
    g->c.planned_ids = g->id_off[g->c.n_used];
    g->c.planned_meta = g->meta_off[g->c.n_used];
}

bool jadei_growing_fits(const struct jadei_segment *g, uint32_t n, uint64_t id_bytes,
                        uint64_t meta_bytes)
{
    const struct jadei_columns *c = &g->c;
    return c->planned_rows + n <= c->rows_max && c->planned_ids + id_bytes <= c->bytes_max &&
           c->planned_meta + meta_bytes <= c->bytes_max;
}

static void table_put(uint64_t *slots, uint32_t n_slots, uint32_t tag, uint32_t row)
{
    uint32_t at = tag & (n_slots - 1);
    while (slots[at] != 0) {
        at = (at + 1) & (n_slots - 1);
    }
    slots[at] = (uint64_t)tag << 32 | (row + 1);
}

static jade_code table_grow(struct jadei_segment *g, uint64_t n_ids, struct jade_err *err)
{
    uint32_t want = jadei_id_slots_for(n_ids);
    if (want <= g->n_slots) {
        return JADE_OK;
    }
    want = want < ID_SLOTS_FIRST ? ID_SLOTS_FIRST : want;
    uint64_t *slots = jade_calloc(JADE_TAG_IDS, want, sizeof *slots);
    if (!slots) {
        return jade_fail(err, JADE_E_NOMEM, "id table of %u slots", want);
    }
    uint64_t *old = g->c.slots;
    for (uint32_t i = 0; i < g->n_slots; i++) {
        if (old[i] != 0) {
            table_put(slots, want, (uint32_t)(old[i] >> 32), (uint32_t)old[i] - 1);
        }
    }
    jade_rwlock_write(&g->ids_lock);
    g->c.slots = slots;
    g->slots = slots;
    g->n_slots = want;
    jade_rwlock_write_end(&g->ids_lock);
    jade_free(old);
    return JADE_OK;
}

jade_code jadei_growing_reserve(struct jadei_segment *g, uint32_t n, uint64_t id_bytes,
                                uint64_t meta_bytes, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    size_t rows = g->c.planned_rows + n;
    JADE_ASSERT(rows <= g->c.rows_max);
    JADE_TRY(jade_vmem_grow(&g->c.vectors, rows * g->rows.stride, err));
    if (g->rows.inv_norm) {
        JADE_TRY(jade_vmem_grow(&g->c.norms, rows * sizeof(float), err));
    }
    JADE_TRY(jade_vmem_grow(&g->c.lsn, rows * sizeof(uint64_t), err));
    JADE_TRY(jade_vmem_grow(&g->c.version, rows * sizeof(uint64_t), err));
    JADE_TRY(jade_vmem_grow(&g->c.created, rows * sizeof(int64_t), err));
    JADE_TRY(jade_vmem_grow(&g->c.updated, rows * sizeof(int64_t), err));
    JADE_TRY(jade_vmem_grow(&g->c.id_off, (rows + 1) * sizeof(uint64_t), err));
    JADE_TRY(jade_vmem_grow(&g->c.meta_off, (rows + 1) * sizeof(uint64_t), err));
    JADE_TRY(jade_vmem_grow(&g->c.id_bytes, g->c.planned_ids + id_bytes, err));
    JADE_TRY(jade_vmem_grow(&g->c.meta_bytes, g->c.planned_meta + meta_bytes, err));
    JADE_TRY(jade_vmem_grow(&g->c.prev, rows * sizeof(uint32_t), err));
    if (atomic_load_explicit(&g->tomb, memory_order_relaxed)) {
        JADE_TRY(jade_vmem_grow(&g->tomb_mem, rows * sizeof(uint64_t), err));
    }
    JADE_TRY(table_grow(g, rows, err));
    g->c.planned_rows = rows;
    g->c.planned_ids += id_bytes;
    g->c.planned_meta += meta_bytes;
out:
    return rc;
}

void jadei_growing_unreserve(struct jadei_segment *g, uint32_t n, uint64_t id_bytes,
                             uint64_t meta_bytes)
{
    JADE_ASSERT(g->c.planned_rows >= g->c.n_used + (uint64_t)n);
    g->c.planned_rows -= n;
    g->c.planned_ids -= id_bytes;
    g->c.planned_meta -= meta_bytes;
}

/* Newest row of the id wins its slot; the row it displaces is linked behind it. Only the committer writes. */
static void table_link(struct jadei_segment *g, const char *id, uint32_t id_len, uint32_t row)
{
    uint32_t tag = (uint32_t)(jadei_id_hash(id, id_len) >> 32);
    uint32_t *prev = (uint32_t *)(void *)g->c.prev.base;
    jade_rwlock_write(&g->ids_lock);
    uint32_t at = tag & (g->n_slots - 1);
    while (g->c.slots[at] != 0) {
        uint32_t other = (uint32_t)g->c.slots[at] - 1;
        uint64_t off = g->id_off[other];
        if ((uint32_t)(g->c.slots[at] >> 32) == tag && g->id_off[other + 1] - off == id_len &&
            memcmp(g->id_bytes + off, id, id_len) == 0) {
            prev[row] = other + 1;
            g->c.slots[at] = (uint64_t)tag << 32 | (row + 1);
            jade_rwlock_write_end(&g->ids_lock);
            return;
        }
        at = (at + 1) & (g->n_slots - 1);
    }
    prev[row] = 0;
    g->c.slots[at] = (uint64_t)tag << 32 | (row + 1);
    jade_rwlock_write_end(&g->ids_lock);
}

static float inverse_norm(const float *v, uint32_t padded)
{
    double sum = 0;
    for (uint32_t i = 0; i < padded; i++) {
        sum += (double)v[i] * (double)v[i];
    }
    return sum > 0 ? (float)(1.0 / sqrt(sum)) : 0.0f;
}

uint32_t jadei_growing_append(struct jadei_segment *g, const struct jade_row *row,
                              struct jade_lsn lsn, uint64_t version, int64_t created_us)
{
    uint32_t r = g->c.n_used++;
    JADE_ASSERT(g->c.n_used <= g->c.planned_rows);
    float *v = (float *)(void *)(g->c.vectors.base + (size_t)r * g->rows.stride);
    memcpy(v, row->values, row->dim * sizeof(float));
    memset(v + row->dim, 0, (g->rows.dim_padded - row->dim) * sizeof(float));
    if (g->rows.inv_norm) {
        ((float *)(void *)g->c.norms.base)[r] = inverse_norm(v, g->rows.dim_padded);
    }
    ((uint64_t *)(void *)g->c.lsn.base)[r] = lsn.v;
    ((uint64_t *)(void *)g->c.version.base)[r] = version;
    ((int64_t *)(void *)g->c.created.base)[r] = created_us;
    ((int64_t *)(void *)g->c.updated.base)[r] = row->time_us;
    uint64_t id_at = g->id_off[r];
    memcpy(g->c.id_bytes.base + id_at, row->id, row->id_len);
    ((uint64_t *)(void *)g->c.id_off.base)[r + 1] = id_at + row->id_len;
    uint64_t meta_at = g->meta_off[r];
    if (row->metadata_len > 0) {
        memcpy(g->c.meta_bytes.base + meta_at, row->metadata, row->metadata_len);
    }
    ((uint64_t *)(void *)g->c.meta_off.base)[r + 1] = meta_at + row->metadata_len;
    table_link(g, row->id, row->id_len, r);
    if (g->lsn_min.v == 0) {
        g->lsn_min = lsn;
    }
    g->lsn_max = lsn;
    return r;
}

static void index_metadata(struct jadei_segment *g, uint32_t row, struct jade_json_parser *parser)
{
    static const char none[] = "null";
    struct jade_err err = {0};
    struct jade_json doc;
    uint64_t off = g->meta_off[row];
    size_t n = (size_t)(g->meta_off[row + 1] - off);
    jade_code rc = n ? jade_json_parse(parser, g->meta_bytes + off, n, &doc, &err)
                     : jade_json_parse(parser, none, 4, &doc, &err);
    if (rc == JADE_OK) {
        rc = jade_metaindex_add(g->metaindex, row, doc, &err);
    } else {
        jade_metaindex_add_unknown(g->metaindex, row);
    }
    if (rc != JADE_OK) {
        /* The row is matched by its text from now on: slower, never wrong. */
        jade_log_err(JADE_LOG_WARN, "shard", "metadata of a row is not indexed", &err);
    }
}

void jadei_growing_publish(struct jadei_segment *g, uint32_t n, struct jade_json_parser *parser)
{
    uint32_t first = atomic_load_explicit(&g->n_rows, memory_order_relaxed);
    jade_rwlock_write(&g->meta_lock);
    for (uint32_t r = first; r < n; r++) {
        index_metadata(g, r, parser);
    }
    jade_rwlock_write_end(&g->meta_lock);
    atomic_store_explicit(&g->n_rows, n, memory_order_release);
}
