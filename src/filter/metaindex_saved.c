/*
 * Reading the saved parts: bytes, row sets, columns. Nothing of a file is believed before it was
 * checked: checksums are the block file's part, here every offset, count, order and row number is.
 */
#include <string.h>

#include "base/assert.h"
#include "filter/metaindex_private.h"
#include "format/codec.h"
#include "os/guard.h"

jade_code jadei_saved_corrupt(const struct jade_metaindex *ix, const char *what,
                              struct jade_err *err)
{
    return jade_fail(err, JADE_E_CORRUPT, "%s: metadata index: %s", jade_blockfile_path(ix->file),
                     what);
}

struct copy {
    void *to;
    const uint8_t *from;
    size_t n;
};

static jade_code copy_out(void *arg, struct jade_err *err)
{
    const struct copy *c = arg;
    (void)err;
    memcpy(c->to, c->from, c->n);
    return JADE_OK;
}

jade_code jadei_saved_copy(const struct jade_metaindex *ix, uint64_t at, uint64_t n, void *to,
                           struct jade_err *err)
{
    if (n == 0) {
        return JADE_OK;
    }
    jade_code rc = jade_blockfile_check(ix->file, at, n, err);
    if (rc != JADE_OK) {
        return rc;
    }
    struct copy c = {.to = to, .from = jade_blockfile_data(ix->file) + at, .n = (size_t)n};
    return jade_guard_run(copy_out, &c, jade_blockfile_path(ix->file), err);
}

/* ---- sets ---- */

static jade_code sink_list(const struct jade_metaindex *ix, struct jadei_ref ref,
                           struct jadei_sink *sink, struct jade_err *err)
{
    uint8_t raw[JADEI_ROWS_SMALL_MAX * sizeof(uint32_t)];
    jade_code rc = jadei_saved_copy(ix, ref.at, ref.n * sizeof(uint32_t), raw, err);
    if (rc != JADE_OK) {
        return rc;
    }
    int64_t last = -1;
    for (uint32_t i = 0; i < ref.n; i++) {
        uint32_t row = jade_load_u32(raw + i * sizeof(uint32_t));
        if (row >= ix->n_rows || row <= last) {
            return jadei_saved_corrupt(ix, "a row list is out of order", err);
        }
        jadei_sink_add(sink, row);
        last = row;
    }
    return JADE_OK;
}

static jade_code or_bitmap(const struct jade_metaindex *ix, struct jadei_ref ref,
                           roaring_bitmap_t *into, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    uint8_t raw[4];
    uint8_t *bytes = NULL;
    roaring_bitmap_t *set = NULL;
    JADE_TRY(jadei_saved_copy(ix, ref.at, sizeof raw, raw, err));
    uint32_t size = jade_load_u32(raw);
    if (size > jade_blockfile_size(ix->file)) {
        rc = jadei_saved_corrupt(ix, "a row bitmap is larger than the file", err);
        goto out;
    }
    bytes = jade_alloc(JADE_TAG_SEARCH, size);
    if (bytes == NULL) {
        rc = jade_fail(err, JADE_E_NOMEM, "no memory for a row bitmap of %u bytes", size);
        goto out;
    }
    JADE_TRY(jadei_saved_copy(ix, ref.at + sizeof raw, size, bytes, err));
    if (!jadei_bitmap_valid(bytes, size, ref.n, ix->n_rows)) {
        rc = jadei_saved_corrupt(ix, "a row bitmap is malformed", err);
        goto out;
    }
    set = roaring_bitmap_portable_deserialize_safe((const char *)bytes, size);
    if (set == NULL) {
        rc = jade_fail(err, JADE_E_NOMEM, "no memory for a row bitmap of %u bytes", size);
        goto out;
    }
    roaring_bitmap_or_inplace(into, set);
out:
    if (set != NULL) {
        roaring_bitmap_free(set);
    }
    jade_free(bytes);
    return rc;
}

jade_code jadei_saved_into(const struct jade_metaindex *ix, struct jadei_ref ref,
                           struct jadei_sink *sink, struct jade_err *err)
{
    if (ref.n == 0) {
        return JADE_OK;
    }
    if (ref.n == 1) {
        if (ref.at >= ix->n_rows) {
            return jadei_saved_corrupt(ix, "a row is beyond the segment", err);
        }
        jadei_sink_add(sink, (uint32_t)ref.at);
        return JADE_OK;
    }
    return ref.n <= JADEI_ROWS_SMALL_MAX ? sink_list(ix, ref, sink, err)
                                         : or_bitmap(ix, ref, sink->into, err);
}

jade_code jadei_saved_or(const struct jade_metaindex *ix, struct jadei_ref ref,
                         roaring_bitmap_t *into, struct jade_err *err)
{
    struct jadei_sink direct = {.into = into};
    return jadei_saved_into(ix, ref, &direct, err);
}

/* ---- columns ---- */

static jade_code column_number(const struct jade_metaindex *ix, const struct jadei_saved_column *c,
                               uint64_t i, struct jadei_number *out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    uint8_t raw[8];
    *out = (struct jadei_number){0};
    JADE_TRY(jadei_saved_copy(ix, c->at + 8 * i, 8, raw, err));
    out->key = jade_load_u64(raw);
    if (c->has_rest) {
        JADE_TRY(jadei_saved_copy(ix, c->at + 12 * c->n + 2 * i, 2, raw, err));
        out->rest = (int16_t)jade_load_u16(raw);
    }
out:
    return rc;
}

/* First entry that is >= number, or with `after` > number. */
static jade_code column_bound(const struct jade_metaindex *ix, const struct jadei_saved_column *c,
                              struct jadei_number number, bool after, uint64_t *at_out,
                              struct jade_err *err)
{
    jade_code rc = JADE_OK;
    uint64_t n = c->n;
    *at_out = 0;
    while (n > 0) {
        uint64_t half = n / 2;
        struct jadei_number there;
        JADE_TRY(column_number(ix, c, *at_out + half, &there, err));
        int compared = jadei_number_compare(there, number);
        if (compared < 0 || (after && compared == 0)) {
            *at_out += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
out:
    return rc;
}

static jade_code sink_rows(const struct jade_metaindex *ix, uint64_t rows_at, uint64_t n,
                           struct jadei_sink *sink, struct jade_err *err)
{
    enum { BLOCK = 2048 };
    jade_code rc = JADE_OK;
    uint8_t raw[BLOCK * sizeof(uint32_t)];
    for (uint64_t i = 0; i < n; i += BLOCK) {
        uint64_t some = n - i < BLOCK ? n - i : BLOCK;
        JADE_TRY(jadei_saved_copy(ix, rows_at + i * sizeof(uint32_t), some * sizeof(uint32_t), raw,
                                  err));
        for (uint64_t k = 0; k < some; k++) {
            uint32_t row = jade_load_u32(raw + k * sizeof(uint32_t));
            if (row >= ix->n_rows) {
                rc = jadei_saved_corrupt(ix, "a column names a row beyond the segment", err);
                goto out;
            }
            jadei_sink_add(sink, row);
        }
    }
out:
    return rc;
}

jade_code jadei_saved_column_select(const struct jade_metaindex *ix,
                                    const struct jadei_saved_column *c,
                                    const struct jadei_interval *in, roaring_bitmap_t *into,
                                    struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_sink sink;
    uint64_t from = 0;
    uint64_t to = c->n;
    if (in->low.set) {
        JADE_TRY(column_bound(ix, c, in->low.number, in->low.open, &from, err));
    }
    if (in->high.set) {
        JADE_TRY(column_bound(ix, c, in->high.number, !in->high.open, &to, err));
    }
    if (from >= to) {
        goto out;
    }
    JADE_TRY(jadei_sink_init(&sink, to - from, ix->n_rows, into, err));
    rc = sink_rows(ix, c->at + 8 * c->n + from * sizeof(uint32_t), to - from, &sink, err);
    jadei_sink_finish(&sink);
out:
    return rc;
}
