/*
 * The header of a saved index: encoded field by field, and compared with the segment that opens it.
 */
#include <string.h>

#include "format/codec.h"
#include "index/index_private.h"

jade_code jadei_index_header_write(const struct jadei_index_header *h,
                                   struct jade_blockfile_writer *w, struct jade_err *err)
{
    uint8_t p[JADEI_INDEX_HEADER_BYTES] = {0};
    jade_store_u32(p, JADEI_INDEX_VERSION);
    jade_store_u32(p + 4, h->params.kind);
    jade_store_u32(p + 8, h->n_rows);
    jade_store_u32(p + 12, h->dim);
    jade_store_u32(p + 16, h->metric);
    jade_store_u32(p + 20, h->params.m);
    jade_store_u32(p + 24, h->params.ef_construction);
    jade_store_u32(p + 28, h->params.ef_search);
    jade_store_u64(p + 32, h->params.seed);
    jade_store_u32(p + 40, h->entry_row);
    jade_store_u32(p + 44, h->entry_level);
    jade_store_u32(p + 48, h->words0);
    jade_store_u32(p + 52, h->words_upper);
    jade_store_u64(p + 56, h->n_upper);
    jade_store_u64(p + 64, h->at_links0);
    jade_store_u64(p + 72, h->at_upper_start);
    jade_store_u64(p + 80, h->at_levels);
    jade_store_u64(p + 88, h->at_upper);
    return jade_blockfile_append(w, p, sizeof p, err);
}

static void decode(const uint8_t *p, struct jadei_index_header *h)
{
    h->version = jade_load_u32(p);
    h->params.kind = (enum jade_index_kind)jade_load_u32(p + 4);
    h->n_rows = jade_load_u32(p + 8);
    h->dim = jade_load_u32(p + 12);
    h->metric = jade_load_u32(p + 16);
    h->params.m = jade_load_u32(p + 20);
    h->params.ef_construction = jade_load_u32(p + 24);
    h->params.ef_search = jade_load_u32(p + 28);
    h->params.seed = jade_load_u64(p + 32);
    h->entry_row = jade_load_u32(p + 40);
    h->entry_level = jade_load_u32(p + 44);
    h->words0 = jade_load_u32(p + 48);
    h->words_upper = jade_load_u32(p + 52);
    h->n_upper = jade_load_u64(p + 56);
    h->at_links0 = jade_load_u64(p + 64);
    h->at_upper_start = jade_load_u64(p + 72);
    h->at_levels = jade_load_u64(p + 80);
    h->at_upper = jade_load_u64(p + 88);
}

jade_code jadei_index_header_read(struct jade_blockfile *file, const struct jade_rows *rows,
                                  uint32_t n_rows, struct jadei_index_header *out,
                                  struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const char *path = jade_blockfile_path(file);
    memset(out, 0, sizeof *out);
    JADE_TRY(jade_blockfile_check(file, 0, JADEI_INDEX_HEADER_BYTES, err));
    decode(jade_blockfile_data(file), out);
    if (out->version != JADEI_INDEX_VERSION) {
        return jade_fail(err, JADE_E_VERSION, "%s: index format %u, this build reads %d", path,
                         out->version, JADEI_INDEX_VERSION);
    }
    if (out->n_rows != n_rows || out->dim != rows->dim || out->metric != (uint32_t)rows->metric) {
        return jade_fail(
            err, JADE_E_CORRUPT,
            "%s: index of %u rows of %u numbers, metric %u; the segment has %u, %u, %u", path,
            out->n_rows, out->dim, out->metric, n_rows, rows->dim, (unsigned)rows->metric);
    }
    rc = jade_index_params_check(&out->params, err);
    if (rc != JADE_OK) {
        return jade_fail(
            err, JADE_E_CORRUPT,
            "%s: index parameters out of range (kind %u, M %u, efConstruction %u, efSearch %u)",
            path, (unsigned)out->params.kind, out->params.m, out->params.ef_construction,
            out->params.ef_search);
    }
out:
    return rc;
}
