/*
 * A sealed segment from its files. Only headers are read here; blocks are verified when they are first used.
 *
 * Payloads (docs/formats/segment.md), all sections 64-byte aligned, little-endian:
 *   ids.0   u64 n_rows, u64 n_slots, u64 n_bytes, pad | slots u64[n_slots] | prev u32[n_rows] | offsets u64[n_rows + 1] | bytes
 *   rows.0  u64 n_rows, pad | lsn u64[] | version u64[] | created i64[] | updated i64[]
 *   meta.0  u64 n_rows, u64 n_bytes, pad | offsets u64[n_rows + 1] | bytes
 *   vectors.0  rows of `stride` bytes; norms.0  f32[n_rows] (cosine)
 */
#include <string.h>

#include "base/assert.h"
#include "shard/sealed_layout.h"
#include "shard/shard_private.h"

static jade_code bad(const struct jade_blockfile *f, const char *what, struct jade_err *err)
{
    return jade_fail(err, JADE_E_CORRUPT, "%s: %s", jade_blockfile_path(f), what);
}

static jade_code need(const struct jadei_segment *s, uint32_t kind, const char *name,
                      struct jade_blockfile **out, struct jade_err *err)
{
    *out = jade_segment_dir_file(s->dir, kind);
    if (!*out) {
        return jade_fail(err, JADE_E_CORRUPT, "segment %llu has no file %s",
                         (unsigned long long)s->number, name);
    }
    return JADE_OK;
}

static jade_code open_ids(struct jadei_segment *s, uint32_t n, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    JADE_TRY(need(s, JADE_BF_IDS, "ids.0", &s->f_ids, err));
    JADE_TRY(jade_blockfile_check(s->f_ids, 0, JADEI_SECTION_ALIGN, err));
    const uint8_t *p = jade_blockfile_data(s->f_ids);
    uint64_t slots = jade_load_u64(p + 8);
    uint64_t bytes = jade_load_u64(p + 16);
    if (jade_load_u64(p) != n || slots == 0 || (slots & (slots - 1)) != 0 || slots > 1ull << 31 ||
        bytes > (uint64_t)n * JADE_ID_BYTES_MAX) {
        return bad(s->f_ids, "the head does not fit the segment", err);
    }
    struct jadei_ids_layout l = jadei_ids_layout(n, slots, bytes);
    if (jade_blockfile_size(s->f_ids) != l.end) {
        return bad(s->f_ids, "the payload has another size than its head says", err);
    }
    s->n_slots = (uint32_t)slots;
    s->ids_slots_at = l.slots;
    s->ids_prev_at = l.prev;
    s->ids_off_at = l.offsets;
    s->ids_bytes_at = l.bytes;
    s->slots = (const uint64_t *)(const void *)(p + l.slots);
    s->prev = (const uint32_t *)(const void *)(p + l.prev);
    s->id_off = (const uint64_t *)(const void *)(p + l.offsets);
    s->id_bytes = p + l.bytes;
out:
    return rc;
}

static jade_code open_rows(struct jadei_segment *s, uint32_t n, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    JADE_TRY(need(s, JADE_BF_ROWS, "rows.0", &s->f_rows, err));
    JADE_TRY(jade_blockfile_check(s->f_rows, 0, JADEI_SECTION_ALIGN, err));
    const uint8_t *p = jade_blockfile_data(s->f_rows);
    struct jadei_rows_layout l = jadei_rows_layout(n);
    if (jade_load_u64(p) != n || jade_blockfile_size(s->f_rows) != l.end) {
        return bad(s->f_rows, "the head does not fit the segment", err);
    }
    s->lsn = (const uint64_t *)(const void *)(p + l.lsn);
    s->version = (const uint64_t *)(const void *)(p + l.version);
    s->created = (const int64_t *)(const void *)(p + l.created);
    s->updated = (const int64_t *)(const void *)(p + l.updated);
out:
    return rc;
}

static jade_code open_meta(struct jadei_segment *s, uint32_t n, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    JADE_TRY(need(s, JADE_BF_METADATA, "meta.0", &s->f_meta, err));
    JADE_TRY(jade_blockfile_check(s->f_meta, 0, JADEI_SECTION_ALIGN, err));
    const uint8_t *p = jade_blockfile_data(s->f_meta);
    uint64_t bytes = jade_load_u64(p + 8);
    struct jadei_meta_layout l = jadei_meta_layout(n, bytes);
    if (jade_load_u64(p) != n || bytes > (uint64_t)n * JADE_METADATA_BYTES_MAX ||
        jade_blockfile_size(s->f_meta) != l.end) {
        return bad(s->f_meta, "the head does not fit the segment", err);
    }
    s->meta_off_at = l.offsets;
    s->meta_bytes_at = l.bytes;
    s->meta_off = (const uint64_t *)(const void *)(p + l.offsets);
    s->meta_bytes = p + l.bytes;
    struct jade_blockfile *mix;
    JADE_TRY(need(s, JADE_BF_METAINDEX, "metaindex.0", &mix, err));
    JADE_TRY(jade_metaindex_map(mix, n, &s->metaindex, err));
out:
    return rc;
}

static jade_code open_vectors(struct jadei_segment *s, const struct jade_shard_config *config,
                              uint32_t n, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_blockfile *f;
    JADE_TRY(need(s, JADE_BF_VECTORS, "vectors.0", &f, err));
    uint32_t padded = (uint32_t)jade_simd_padded(config->dim);
    s->rows = (struct jade_rows){.base = jade_blockfile_data(f),
                                 .stride = padded * sizeof(float),
                                 .dim = config->dim,
                                 .dim_padded = padded,
                                 .metric = config->metric,
                                 .file = f};
    if (jade_blockfile_size(f) != (uint64_t)n * s->rows.stride) {
        return bad(f, "the payload has another size than the rows need", err);
    }
    if (config->metric == JADE_METRIC_COSINE) {
        struct jade_blockfile *norms;
        JADE_TRY(need(s, JADE_BF_NORMS, "norms.0", &norms, err));
        if (jade_blockfile_size(norms) != n * sizeof(float)) {
            return bad(norms, "the payload has another size than the rows need", err);
        }
        /* Four bytes a row: verified whole, so that searches need no second test per row. */
        JADE_TRY(jade_blockfile_verify_all(norms, err));
        s->rows.inv_norm = (const float *)(const void *)jade_blockfile_data(norms);
    }
    struct jade_blockfile *index = jade_segment_dir_file(s->dir, JADE_BF_INDEX);
    if (index) {
        JADE_TRY(jade_index_map(index, &s->rows, n, &s->index, err));
    }
out:
    return rc;
}

static jade_code load_tombs(struct jade_os *os, const char *dir, struct jadei_segment *s,
                            const struct jade_manifest_segment *ms, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_tomb *tombs = NULL;
    uint32_t n = 0;
    if (ms->tombs_lsn.v == 0) {
        return JADE_OK;
    }
    JADE_TRY(jade_tombs_read(os, dir, ms, &tombs, &n, err));
    JADE_TRY(jadei_segment_tomb_reserve(s, err));
    for (uint32_t i = 0; i < n; i++) {
        if (tombs[i].row >= ms->n_rows || tombs[i].lsn.v == 0 || tombs[i].lsn.v > ms->tombs_lsn.v) {
            rc = jade_fail(err, JADE_E_CORRUPT, "segment %llu: tombstone %u is out of range",
                           (unsigned long long)ms->number, i);
            goto out;
        }
        jadei_segment_bury(s, tombs[i].row, tombs[i].lsn);
    }
    s->tombs_stored = ms->tombs_lsn;
    s->tombs_crc = ms->tombs_crc;
    s->tombs_stored_count = n;
out:
    jade_free(tombs);
    return rc;
}

jade_code jadei_sealed_open(struct jade_os *os, const char *dir,
                            const struct jade_shard_config *config,
                            const struct jade_manifest_segment *ms, struct jadei_segment **out,
                            struct jade_err *err)
{
    jade_code rc = JADE_OK;
    *out = NULL;
    struct jadei_segment *s = jade_calloc(JADE_TAG_SEGMENT, 1, sizeof *s);
    if (!s) {
        return jade_fail(err, JADE_E_NOMEM, "segment");
    }
    jade_rwlock_init(&s->ids_lock);
    jade_rwlock_init(&s->meta_lock);
    jade_mutex_init(&s->index_mutex);
    s->sealed = true;
    s->number = ms->number;
    s->dim = config->dim;
    s->desc_crc = ms->desc_crc;
    JADE_TRY(jade_segment_dir_open(os, dir, ms, &s->dir, err));
    const struct jade_segment_desc *d = jade_segment_dir_desc(s->dir);
    if (d->n_rows != ms->n_rows || d->dim != config->dim || d->metric != (uint32_t)config->metric) {
        rc = jade_fail(err, JADE_E_CORRUPT,
                       "segment %llu: %u rows of dimension %u, metric %u; expected %u, %u, %u",
                       (unsigned long long)ms->number, d->n_rows, d->dim, d->metric, ms->n_rows,
                       config->dim, (uint32_t)config->metric);
        goto out;
    }
    for (uint32_t i = 0; i < d->n_files; i++) {
        s->disk_bytes += d->files[i].size;
    }
    s->lsn_min = d->lsn_min;
    s->lsn_max = d->lsn_max;
    atomic_store_explicit(&s->n_rows, d->n_rows, memory_order_relaxed);
    atomic_store_explicit(&s->n_indexed, d->n_rows, memory_order_relaxed);
    JADE_TRY(open_ids(s, d->n_rows, err));
    JADE_TRY(open_rows(s, d->n_rows, err));
    JADE_TRY(open_meta(s, d->n_rows, err));
    JADE_TRY(open_vectors(s, config, d->n_rows, err));
    if (!s->index) {
        atomic_store_explicit(&s->n_indexed, 0, memory_order_relaxed);
    }
    JADE_TRY(load_tombs(os, dir, s, ms, err));
    *out = s;
    return JADE_OK;
out:
    jadei_segment_free(s);
    return rc;
}
