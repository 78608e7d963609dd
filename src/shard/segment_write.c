/*
 * Writing a sealed segment: the rows of one frozen segment as they are, or the kept rows of several (merge).
 *
 * Columns are copied file by file; blocks of mapped sources are verified before they are copied, so that damage is never sealed under a
 * fresh checksum (P18). Layout: sealed_layout.h.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "shard/sealed_layout.h"
#include "shard/shard_private.h"

enum { CHECK_ROWS = 1024 /* rows between looks at `stopping`, and per verification */ };

struct writer {
    const struct jadei_write_segment *w;
    struct jade_segment_writer *dir;
    struct jade_blockfile_writer *file; /* in work */
    struct jade_lsn lsn_min, lsn_max;
    uint64_t id_bytes, meta_bytes;
    struct jade_metaindex *metaindex; /* being built */
    struct jade_json_parser *parser;
    uint32_t next_row;
};

typedef jade_code (*row_fn)(struct writer *x, struct jadei_segment *seg, uint32_t row,
                            struct jade_err *err);

static jade_code each_row(struct writer *x, row_fn fn, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    for (uint32_t i = 0; i < x->w->n_sources; i++) {
        const struct jadei_source *src = &x->w->sources[i];
        for (uint32_t r = 0; r < src->n_rows; r++) {
            if (r % CHECK_ROWS == 0 && atomic_load(&x->w->shard->stopping)) {
                return jade_fail(err, JADE_E_CANCELLED, "the database is closing");
            }
            if (!src->new_row || src->new_row[r] != JADEI_NO_ROW) {
                JADE_TRY(fn(x, src->seg, r, err));
            }
        }
    }
out:
    return rc;
}

struct guarded {
    struct writer *x;
    row_fn fn;
};

static jade_code each_row_guarded(void *arg, struct jade_err *err)
{
    struct guarded *g = arg;
    return each_row(g->x, g->fn, err);
}

static jade_code copy_rows(struct writer *x, row_fn fn, struct jade_err *err)
{
    struct guarded g = {.x = x, .fn = fn};
    return jade_guard_run(each_row_guarded, &g, "a segment that is being merged", err);
}

static jade_code begin(struct writer *x, const char *name, uint32_t kind, struct jade_err *err)
{
    return jade_segment_writer_file(x->dir, name, kind, &x->file, err);
}

static jade_code put_u64s(struct writer *x, const uint64_t *v, size_t n, struct jade_err *err)
{
    return jade_blockfile_append(x->file, v, n * sizeof *v,
                                 err); /* little-endian machine: sealed_layout.h */
}

/* ---- vectors, norms ---- */

static jade_code put_vector(struct writer *x, struct jadei_segment *seg, uint32_t row,
                            struct jade_err *err)
{
    jade_code rc = JADE_OK;
    JADE_TRY(jade_rows_check(&seg->rows, row, 1, err));
    JADE_TRY(jade_blockfile_append(x->file, seg->rows.base + (size_t)row * seg->rows.stride,
                                   seg->rows.stride, err));
out:
    return rc;
}

static jade_code put_norm(struct writer *x, struct jadei_segment *seg, uint32_t row,
                          struct jade_err *err)
{
    return jade_blockfile_append(x->file, &seg->rows.inv_norm[row], sizeof(float), err);
}

static jade_code write_vectors(struct writer *x, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    JADE_TRY(begin(x, "vectors.0", JADE_BF_VECTORS, err));
    JADE_TRY(copy_rows(x, put_vector, err));
    JADE_TRY(jade_segment_writer_file_done(x->dir, err));
    if (x->w->shard->config.metric == JADE_METRIC_COSINE) {
        JADE_TRY(begin(x, "norms.0", JADE_BF_NORMS, err));
        JADE_TRY(copy_rows(x, put_norm, err));
        JADE_TRY(jade_segment_writer_file_done(x->dir, err));
    }
out:
    return rc;
}

/* ---- rows ---- */

static jade_code note_lsn(struct writer *x, struct jadei_segment *seg, uint32_t row,
                          struct jade_err *err)
{
    jade_code rc = JADE_OK;
    JADE_TRY(jadei_segment_check_row(seg, row, err));
    uint64_t lsn = seg->lsn[row];
    x->lsn_min = JADE_LSN(x->lsn_min.v == 0 || lsn < x->lsn_min.v ? lsn : x->lsn_min.v);
    x->lsn_max = JADE_LSN(lsn > x->lsn_max.v ? lsn : x->lsn_max.v);
    rc = put_u64s(x, &lsn, 1, err);
out:
    return rc;
}

static jade_code put_version(struct writer *x, struct jadei_segment *seg, uint32_t row,
                             struct jade_err *err)
{
    return put_u64s(x, &seg->version[row], 1, err);
}

static jade_code put_created(struct writer *x, struct jadei_segment *seg, uint32_t row,
                             struct jade_err *err)
{
    return jade_blockfile_append(x->file, &seg->created[row], 8, err);
}

static jade_code put_updated(struct writer *x, struct jadei_segment *seg, uint32_t row,
                             struct jade_err *err)
{
    return jade_blockfile_append(x->file, &seg->updated[row], 8, err);
}

static jade_code write_rows(struct writer *x, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    static const row_fn columns[] = {note_lsn, put_version, put_created, put_updated};
    uint64_t n = x->w->n_rows;
    JADE_TRY(begin(x, "rows.0", JADE_BF_ROWS, err));
    JADE_TRY(put_u64s(x, &n, 1, err));
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        JADE_TRY(jade_blockfile_align(x->file, JADEI_SECTION_ALIGN, err));
        JADE_TRY(copy_rows(x, columns[i], err));
    }
    JADE_ASSERT(jade_blockfile_offset(x->file) == jadei_rows_layout(n).end);
    JADE_TRY(jade_segment_writer_file_done(x->dir, err));
out:
    return rc;
}

/* ---- ids ---- */

struct id_table {
    uint64_t *slots;
    uint32_t n_slots;
    uint32_t *prev;
    uint64_t *offsets;
    struct {
        struct jadei_segment *seg;
        uint32_t row;
    } * origin; /* of each new row */
};

static jade_code link_id(struct id_table *t, uint32_t row, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const char *id;
    const char *other_id;
    uint32_t len;
    uint32_t other_len;
    JADE_TRY(jadei_segment_id(t->origin[row].seg, t->origin[row].row, &id, &len, err));
    t->offsets[row + 1] = t->offsets[row] + len;
    uint32_t tag = (uint32_t)(jadei_id_hash(id, len) >> 32);
    uint32_t mask = t->n_slots - 1;
    uint32_t at = tag & mask;
    for (; t->slots[at] != 0; at = (at + 1) & mask) {
        if ((uint32_t)(t->slots[at] >> 32) != tag) {
            continue;
        }
        uint32_t other = (uint32_t)t->slots[at] - 1;
        JADE_TRY(jadei_segment_id(t->origin[other].seg, t->origin[other].row, &other_id, &other_len,
                                  err));
        if (other_len == len && memcmp(other_id, id, len) == 0) {
            t->prev[row] = other + 1;
            break;
        }
    }
    t->slots[at] = (uint64_t)tag << 32 | (row + 1);
out:
    return rc;
}

struct link_arg {
    struct id_table *t;
    uint32_t n;
};

static jade_code link_all(void *arg, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct link_arg *a = arg;
    for (uint32_t r = 0; r < a->n; r++) {
        JADE_TRY(link_id(a->t, r, err));
    }
out:
    return rc;
}

static jade_code id_table_init(struct id_table *t, const struct jadei_write_segment *w,
                               struct jade_err *err)
{
    uint32_t n = w->n_rows;
    t->n_slots = jadei_id_slots_for(n);
    t->slots = jade_calloc(JADE_TAG_IDS, t->n_slots, sizeof *t->slots);
    t->prev = jade_calloc(JADE_TAG_IDS, n, sizeof *t->prev);
    t->offsets = jade_calloc(JADE_TAG_IDS, (size_t)n + 1, sizeof *t->offsets);
    t->origin = jade_calloc(JADE_TAG_IDS, n, sizeof *t->origin);
    if (!t->slots || !t->prev || !t->offsets || !t->origin) {
        return jade_fail(err, JADE_E_NOMEM, "the id table of %u rows", n);
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i < w->n_sources; i++) {
        const struct jadei_source *src = &w->sources[i];
        for (uint32_t r = 0; r < src->n_rows; r++) {
            if (!src->new_row || src->new_row[r] != JADEI_NO_ROW) {
                t->origin[at].seg = src->seg;
                t->origin[at++].row = r;
            }
        }
    }
    JADE_ASSERT(at == n);
    return JADE_OK;
}

static jade_code put_id(struct writer *x, struct jadei_segment *seg, uint32_t row,
                        struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const char *id;
    uint32_t len;
    JADE_TRY(jadei_segment_id(seg, row, &id, &len, err));
    JADE_TRY(jade_blockfile_append(x->file, id, len, err));
out:
    return rc;
}

static jade_code write_ids(struct writer *x, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct id_table t = {0};
    uint32_t n = x->w->n_rows;
    JADE_TRY(id_table_init(&t, x->w, err));
    struct link_arg a = {.t = &t, .n = n};
    JADE_TRY(jade_guard_run(link_all, &a, "a segment that is being merged", err));
    const uint64_t head[] = {n, t.n_slots, t.offsets[n]};
    JADE_TRY(begin(x, "ids.0", JADE_BF_IDS, err));
    JADE_TRY(put_u64s(x, head, 3, err));
    JADE_TRY(jade_blockfile_align(x->file, JADEI_SECTION_ALIGN, err));
    JADE_TRY(put_u64s(x, t.slots, t.n_slots, err));
    JADE_TRY(jade_blockfile_align(x->file, JADEI_SECTION_ALIGN, err));
    JADE_TRY(jade_blockfile_append(x->file, t.prev, n * sizeof *t.prev, err));
    JADE_TRY(jade_blockfile_align(x->file, JADEI_SECTION_ALIGN, err));
    JADE_TRY(put_u64s(x, t.offsets, (size_t)n + 1, err));
    JADE_TRY(jade_blockfile_align(x->file, JADEI_SECTION_ALIGN, err));
    JADE_ASSERT(jade_blockfile_offset(x->file) ==
                jadei_ids_layout(n, t.n_slots, t.offsets[n]).bytes);
    JADE_TRY(copy_rows(x, put_id, err));
    JADE_TRY(jade_segment_writer_file_done(x->dir, err));
out:
    jade_free(t.slots);
    jade_free(t.prev);
    jade_free(t.offsets);
    jade_free(t.origin);
    return rc;
}

/* ---- metadata ---- */

static jade_code put_meta_end(struct writer *x, struct jadei_segment *seg, uint32_t row,
                              struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const char *json;
    size_t len;
    JADE_TRY(jadei_segment_metadata(seg, row, &json, &len, err));
    x->meta_bytes += len;
    rc = put_u64s(x, &x->meta_bytes, 1, err);
out:
    return rc;
}

static jade_code count_meta(struct writer *x, struct jadei_segment *seg, uint32_t row,
                            struct jade_err *err)
{
    const char *json;
    size_t len = 0;
    jade_code rc = jadei_segment_metadata(seg, row, &json, &len, err);
    x->meta_bytes += len;
    return rc;
}

static jade_code put_meta(struct writer *x, struct jadei_segment *seg, uint32_t row,
                          struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const char *json;
    size_t len;
    JADE_TRY(jadei_segment_metadata(seg, row, &json, &len, err));
    JADE_TRY(jade_blockfile_append(x->file, json, len, err));
out:
    return rc;
}

static jade_code write_meta(struct writer *x, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    JADE_TRY(copy_rows(x, count_meta, err));
    const uint64_t head[] = {x->w->n_rows, x->meta_bytes};
    const uint64_t zero = 0;
    JADE_TRY(begin(x, "meta.0", JADE_BF_METADATA, err));
    JADE_TRY(put_u64s(x, head, 2, err));
    JADE_TRY(jade_blockfile_align(x->file, JADEI_SECTION_ALIGN, err));
    JADE_TRY(put_u64s(x, &zero, 1, err));
    x->meta_bytes = 0;
    JADE_TRY(copy_rows(x, put_meta_end, err));
    JADE_TRY(jade_blockfile_align(x->file, JADEI_SECTION_ALIGN, err));
    JADE_ASSERT(jade_blockfile_offset(x->file) ==
                jadei_meta_layout(x->w->n_rows, x->meta_bytes).bytes);
    JADE_TRY(copy_rows(x, put_meta, err));
    JADE_TRY(jade_segment_writer_file_done(x->dir, err));
out:
    return rc;
}

static jade_code add_meta(struct writer *x, struct jadei_segment *seg, uint32_t row,
                          struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_json doc;
    const char *json;
    size_t len;
    JADE_TRY(jadei_segment_metadata(seg, row, &json, &len, err));
    JADE_TRY(jade_json_parse(x->parser, len ? json : "null", len ? len : 4, &doc, err));
    JADE_TRY(jade_metaindex_add(x->metaindex, x->next_row++, doc, err));
out:
    return rc;
}

static jade_code build_metaindex(struct writer *x, struct jade_metaindex *ix, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    JADE_TRY(jadei_metadata_parser_take(x->w->shard->engine, &x->parser, err));
    x->metaindex = ix;
    x->next_row = 0;
    rc = copy_rows(x, add_meta, err);
    if (rc == JADE_OK) {
        jadei_metadata_parser_give(x->w->shard->engine, x->parser);
    } else {
        jade_json_parser_free(
            x->parser); /* a faulted read may have left it in the middle of something */
    }
    x->parser = NULL;
out:
    return rc;
}

static jade_code write_metaindex(struct writer *x, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_metaindex *built = NULL;
    struct jade_metaindex *ix = x->w->ready_meta;
    if (!ix) {
        JADE_TRY(jade_metaindex_new(&built, err));
        JADE_TRY(build_metaindex(x, built, err));
        ix = built;
    }
    JADE_TRY(begin(x, "metaindex.0", JADE_BF_METAINDEX, err));
    JADE_TRY(jade_metaindex_save(ix, x->file, err));
    JADE_TRY(jade_segment_writer_file_done(x->dir, err));
out:
    jade_metaindex_free(built);
    return rc;
}

/* ---- graph ---- */

struct build_rows {
    struct jade_blockfile *vectors, *norms;
    struct jade_rows rows;
};

static jade_code open_written(struct writer *x, const char *name, uint32_t kind,
                              struct jade_blockfile **out, struct jade_err *err)
{
    char path[JADE_PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/segments/%llu/%s", x->w->shard->dir,
                     (unsigned long long)x->w->number, name);
    if (n < 0 || (size_t)n >= sizeof path) {
        return jade_fail(err, JADE_E_INVALID_ARGUMENT, "the path of a segment is too long");
    }
    return jade_blockfile_open(x->w->shard->engine->os, path, kind, x->w->number, 0, out, err);
}

static jade_code open_build_rows(struct writer *x, struct build_rows *b, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const struct jade_shard_config *c = &x->w->shard->config;
    uint32_t padded = (uint32_t)jade_simd_padded(c->dim);
    JADE_TRY(open_written(x, "vectors.0", JADE_BF_VECTORS, &b->vectors, err));
    JADE_TRY(jade_blockfile_verify_all(b->vectors, err));
    b->rows = (struct jade_rows){.base = jade_blockfile_data(b->vectors),
                                 .stride = padded * sizeof(float),
                                 .dim = c->dim,
                                 .dim_padded = padded,
                                 .metric = c->metric};
    if (c->metric == JADE_METRIC_COSINE) {
        JADE_TRY(open_written(x, "norms.0", JADE_BF_NORMS, &b->norms, err));
        JADE_TRY(jade_blockfile_verify_all(b->norms, err));
        b->rows.inv_norm = (const float *)(const void *)jade_blockfile_data(b->norms);
    }
out:
    return rc;
}

static jade_code write_graph(struct writer *x, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct build_rows b = {0};
    struct jade_index *built = NULL;
    struct jade_index *ix = x->w->ready;
    if (x->w->params->kind == JADE_INDEX_FLAT ||
        x->w->n_rows < x->w->shard->config.graph_rows_min) {
        return JADE_OK;
    }
    if (!ix) {
        JADE_TRY(open_build_rows(x, &b, err));
        JADE_TRY(jade_index_new(x->w->params, &b.rows, x->w->n_rows, &built, err));
        JADE_TRY(jadei_parallel_build(x->w->shard, built, x->w->n_rows, x->w->progress,
                                      x->w->progress_ctx, err));
        ix = built;
    }
    JADE_TRY(begin(x, "index.0", JADE_BF_INDEX, err));
    JADE_TRY(jade_index_save(ix, x->file, err));
    JADE_TRY(jade_segment_writer_file_done(x->dir, err));
out:
    jade_index_free(built);
    jade_blockfile_close(b.norms);
    jade_blockfile_close(b.vectors);
    return rc;
}

jade_code jadei_segment_write(const struct jadei_write_segment *w,
                              struct jade_manifest_segment *ms_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct writer x = {.w = w};
    const struct jade_shard_config *c = &w->shard->config;
    *ms_out = (struct jade_manifest_segment){.number = w->number, .n_rows = w->n_rows};
    JADE_TRY(
        jade_segment_writer_begin(w->shard->engine->os, w->shard->dir, w->number, &x.dir, err));
    JADE_TRY(write_vectors(&x, err));
    JADE_TRY(write_rows(&x, err));
    JADE_TRY(write_ids(&x, err));
    JADE_TRY(write_meta(&x, err));
    JADE_TRY(write_metaindex(&x, err));
    JADE_TRY(write_graph(&x, err));
    struct jade_segment_desc desc = {.number = w->number,
                                     .n_rows = w->n_rows,
                                     .dim = c->dim,
                                     .metric = (uint32_t)c->metric,
                                     .lsn_min = x.lsn_min,
                                     .lsn_max = x.lsn_max};
    struct jade_segment_writer *dir = x.dir;
    x.dir = NULL;
    JADE_TRY(jade_segment_writer_finish(dir, &desc, &ms_out->desc_crc, err));
out:
    jade_segment_writer_abort(x.dir);
    return rc;
}
