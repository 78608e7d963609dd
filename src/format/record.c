#include "format/record.h"

#include <limits.h>
#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"

/* docs/formats/record.md has these layouts as tables. */
enum {
    RECORD_VERSION = 1,
    UPSERT_HEAD_BYTES = 8,
    ROW_HEAD_BYTES = 24,
    FIELD_HEAD_BYTES = 8,
    ROW_ALIGN = 8,
    /* head + field head + one float + one byte of id, rounded up: bounds a row count by the bytes there are */
    ROW_BYTES_MIN = 40,
    DELETE_HEAD_BYTES = 16,
    DELETE_ID_BYTES_MIN = 3,
};

static_assert(sizeof(float) == 4, "float32 is stored as it lies in memory");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "vectors are used in place: little-endian only");

static size_t round_up(size_t n, size_t align)
{
    return (n + align - 1) & ~(align - 1);
}

/* ---- UPSERT ---- */

void jade_record_upsert_begin(struct jade_buf *b, uint32_t n_rows)
{
    JADE_ASSERT(n_rows >= 1 && n_rows <= JADE_BATCH_ROWS_MAX);
    jade_put_u16(b, RECORD_VERSION);
    jade_put_u16(b, 0);
    jade_put_u32(b, n_rows);
}

size_t jade_record_upsert_row_bytes(const struct jade_row *row)
{
    size_t n = ROW_HEAD_BYTES + FIELD_HEAD_BYTES + (size_t)row->dim * sizeof(float);
    return round_up(n + row->metadata_len + row->id_len, ROW_ALIGN);
}

void jade_record_upsert_row(struct jade_buf *b, const struct jade_row *row)
{
    JADE_ASSERT(row->id_len >= 1 && row->id_len <= JADE_ID_BYTES_MAX);
    JADE_ASSERT(row->dim >= 1 && row->dim <= JADE_DIM_MAX);
    JADE_ASSERT(row->metadata_len <= JADE_METADATA_BYTES_MAX);
    JADE_ASSERT((row->metadata != NULL) == (row->metadata_len > 0));
    size_t n = jade_record_upsert_row_bytes(row);
    uint8_t *p = jade_buf_extend(b, n);
    if (p == NULL) {
        return; /* jade_buf_status tells */
    }
    jade_store_u32(p, (uint32_t)n);
    jade_store_u16(p + 4, (uint16_t)row->id_len);
    p[6] = 1; /* fields */
    p[7] = 0;
    jade_store_u64(p + 8, (uint64_t)row->time_us);
    jade_store_u32(p + 16, row->metadata_len);
    jade_store_u32(p + 20, 0);
    uint8_t *field = p + ROW_HEAD_BYTES;
    memset(field, 0, 4); /* unnamed, dense, f32 */
    jade_store_u32(field + 4, row->dim);
    uint8_t *at = field + FIELD_HEAD_BYTES;
    memcpy(at, row->values, (size_t)row->dim * sizeof(float));
    at += (size_t)row->dim * sizeof(float);
    if (row->metadata_len > 0) {
        memcpy(at, row->metadata, row->metadata_len);
    }
    at += row->metadata_len;
    memcpy(at, row->id, row->id_len);
    at += row->id_len;
    memset(at, 0, (size_t)(p + n - at));
}

/* Version and flags that begin every payload. */
static jade_code check_head(struct jade_reader *r, const char *what, struct jade_err *err)
{
    uint16_t version = jade_get_u16(r);
    uint16_t flags = jade_get_u16(r);
    if (r->bad) {
        return jade_reader_status(r, what, err);
    }
    if (version == 0) {
        return jade_fail(err, JADE_E_CORRUPT, "%s has version 0", what);
    }
    if (version != RECORD_VERSION || flags != 0) {
        return jade_fail(err, JADE_E_VERSION,
                         "%s has version %u flags 0x%x; this build reads version %d", what, version,
                         flags, RECORD_VERSION);
    }
    return JADE_OK;
}

jade_code jade_record_upsert_open(struct jade_record_reader *rr, const void *payload, size_t n,
                                  struct jade_err *err)
{
    JADE_ASSERT(((uintptr_t)payload & (sizeof(float) - 1)) == 0);
    *rr = (struct jade_record_reader){.r = jade_reader_of(payload, n)};
    jade_code rc = check_head(&rr->r, "upsert record", err);
    if (rc != JADE_OK) {
        return rc;
    }
    uint32_t n_rows = jade_get_u32(&rr->r);
    if (rr->r.bad) {
        return jade_reader_status(&rr->r, "upsert record", err);
    }
    if (n_rows == 0 || n_rows > JADE_BATCH_ROWS_MAX ||
        n_rows > jade_reader_left(&rr->r) / ROW_BYTES_MIN) {
        return jade_fail(err, JADE_E_CORRUPT, "upsert record says %u rows in %zu bytes", n_rows, n);
    }
    rr->n_rows = n_rows;
    return JADE_OK;
}

/* Head of a row, as stored. */
struct row_head {
    uint32_t bytes;
    uint16_t id_len;
    uint8_t n_fields, flags;
    int64_t time_us;
    uint32_t metadata_len;
    uint32_t reserved;
};

static jade_code read_row_head(struct jade_reader *r, uint32_t number, struct row_head *h,
                               struct jade_err *err)
{
    size_t left = jade_reader_left(r);
    h->bytes = jade_get_u32(r);
    h->id_len = jade_get_u16(r);
    h->n_fields = jade_get_u8(r);
    h->flags = jade_get_u8(r);
    h->time_us = jade_get_i64(r);
    h->metadata_len = jade_get_u32(r);
    h->reserved = jade_get_u32(r);
    if (r->bad) {
        return jade_reader_status(r, "upsert record", err);
    }
    if (h->bytes < ROW_BYTES_MIN || h->bytes % ROW_ALIGN != 0 || h->bytes > left) {
        return jade_fail(err, JADE_E_CORRUPT, "row %u of an upsert says %u bytes; %zu are left",
                         number, h->bytes, left);
    }
    if (h->id_len == 0 || h->id_len > JADE_ID_BYTES_MAX ||
        h->metadata_len > JADE_METADATA_BYTES_MAX || h->n_fields == 0 ||
        h->n_fields > JADE_FIELDS_MAX) {
        return jade_fail(err, JADE_E_CORRUPT,
                         "row %u of an upsert: id of %u bytes, metadata of %u bytes, %u fields",
                         number, h->id_len, h->metadata_len, h->n_fields);
    }
    if (h->flags != 0 || h->reserved != 0 || h->n_fields != 1) {
        return jade_fail(err, JADE_E_VERSION,
                         "row %u of an upsert has %u fields, flags 0x%x, reserved 0x%x; this build "
                         "reads one field, no flags",
                         number, h->n_fields, h->flags, h->reserved);
    }
    return JADE_OK;
}

static jade_code read_field(struct jade_reader *r, uint32_t number, struct jade_row *row,
                            struct jade_err *err)
{
    uint8_t name_len = jade_get_u8(r);
    uint8_t kind = jade_get_u8(r);
    uint8_t elem = jade_get_u8(r);
    uint8_t reserved = jade_get_u8(r);
    row->dim = jade_get_u32(r);
    if (r->bad) {
        return jade_reader_status(r, "upsert record", err);
    }
    if (name_len > JADE_FIELD_NAME_MAX || row->dim == 0 || row->dim > JADE_DIM_MAX) {
        return jade_fail(err, JADE_E_CORRUPT,
                         "row %u of an upsert: field name of %u bytes, dimension %u", number,
                         name_len, row->dim);
    }
    if (name_len != 0 || kind != JADE_FIELD_DENSE || elem != JADE_ELEM_F32 || reserved != 0) {
        return jade_fail(
            err, JADE_E_VERSION,
            "row %u of an upsert: field kind %u, element %u, name of %u bytes; this build "
            "reads one unnamed dense float32 field",
            number, kind, elem, name_len);
    }
    row->values = (const float *)(const void *)jade_get_bytes(r, (size_t)row->dim * sizeof(float));
    return jade_reader_status(r, "upsert record", err);
}

static bool all_zero(const uint8_t *p, size_t n)
{
    uint8_t any = 0;
    for (size_t i = 0; i < n; i++) {
        any |= p[i];
    }
    return any == 0;
}

/* Metadata, id, padding: must end exactly where the row says. */
static jade_code read_row_tail(struct jade_reader *r, uint32_t number, const struct row_head *h,
                               size_t row_end, struct jade_row *row, struct jade_err *err)
{
    const uint8_t *metadata = jade_get_bytes(r, h->metadata_len);
    const uint8_t *id = jade_get_bytes(r, h->id_len);
    if (r->bad || r->pos > row_end || round_up(r->pos, ROW_ALIGN) != row_end) {
        return jade_fail(err, JADE_E_CORRUPT, "row %u of an upsert does not fill its %u bytes",
                         number, h->bytes);
    }
    const uint8_t *padding = jade_get_bytes(r, row_end - r->pos);
    if (padding == NULL || !all_zero(padding, (size_t)(r->p + row_end - padding))) {
        return jade_fail(err, JADE_E_CORRUPT, "row %u of an upsert has bytes in its padding",
                         number);
    }
    if (!jade_utf8_valid(id, h->id_len)) {
        return jade_fail(err, JADE_E_CORRUPT, "row %u of an upsert has an id that is not UTF-8",
                         number);
    }
    row->id = (const char *)id;
    row->id_len = h->id_len;
    row->metadata = h->metadata_len == 0 ? NULL : (const char *)metadata;
    row->metadata_len = h->metadata_len;
    row->time_us = h->time_us;
    return JADE_OK;
}

jade_code jade_record_upsert_next(struct jade_record_reader *rr, struct jade_row *row_out,
                                  bool *more_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_row row = {0};
    struct row_head head = {0};
    *more_out = false;
    if (rr->next == rr->n_rows) {
        size_t left = jade_reader_left(&rr->r);
        if (left != 0) {
            rc = jade_fail(err, JADE_E_CORRUPT, "%zu bytes follow the last row of an upsert", left);
        }
        goto out;
    }
    size_t start = rr->r.pos;
    JADE_TRY(read_row_head(&rr->r, rr->next, &head, err));
    JADE_TRY(read_field(&rr->r, rr->next, &row, err));
    JADE_TRY(read_row_tail(&rr->r, rr->next, &head, start + head.bytes, &row, err));
    rr->next++;
    *row_out = row;
    *more_out = true;
out:
    return rc;
}

/* ---- DELETE ---- */

void jade_record_delete_begin(struct jade_buf *b, uint32_t n_ids, int64_t time_us)
{
    JADE_ASSERT(n_ids >= 1 && n_ids <= JADE_BATCH_ROWS_MAX);
    jade_put_u16(b, RECORD_VERSION);
    jade_put_u16(b, 0);
    jade_put_u32(b, n_ids);
    jade_put_i64(b, time_us);
}

void jade_record_delete_id(struct jade_buf *b, const char *id, uint32_t id_len)
{
    JADE_ASSERT(id_len >= 1 && id_len <= JADE_ID_BYTES_MAX);
    jade_put_u16(b, (uint16_t)id_len);
    jade_buf_append(b, id, id_len);
}

jade_code jade_record_delete_open(struct jade_delete_reader *dr, const void *payload, size_t n,
                                  struct jade_err *err)
{
    *dr = (struct jade_delete_reader){.r = jade_reader_of(payload, n)};
    jade_code rc = check_head(&dr->r, "delete record", err);
    if (rc != JADE_OK) {
        return rc;
    }
    uint32_t n_ids = jade_get_u32(&dr->r);
    dr->time_us = jade_get_i64(&dr->r);
    if (dr->r.bad) {
        return jade_reader_status(&dr->r, "delete record", err);
    }
    if (n_ids == 0 || n_ids > JADE_BATCH_ROWS_MAX ||
        n_ids > jade_reader_left(&dr->r) / DELETE_ID_BYTES_MIN) {
        return jade_fail(err, JADE_E_CORRUPT, "delete record says %u ids in %zu bytes", n_ids, n);
    }
    dr->n_ids = n_ids;
    return JADE_OK;
}

jade_code jade_record_delete_next(struct jade_delete_reader *dr, const char **id_out,
                                  uint32_t *id_len_out, bool *more_out, struct jade_err *err)
{
    *more_out = false;
    if (dr->next == dr->n_ids) {
        size_t left = jade_reader_left(&dr->r);
        if (left != 0) {
            return jade_fail(err, JADE_E_CORRUPT, "%zu bytes follow the last id of a delete", left);
        }
        return JADE_OK;
    }
    uint16_t id_len = jade_get_u16(&dr->r);
    const uint8_t *id = jade_get_bytes(&dr->r, id_len);
    if (id == NULL) {
        return jade_reader_status(&dr->r, "delete record", err);
    }
    if (id_len == 0 || id_len > JADE_ID_BYTES_MAX || !jade_utf8_valid(id, id_len)) {
        return jade_fail(err, JADE_E_CORRUPT, "id %u of a delete has %u bytes or is not UTF-8",
                         dr->next, id_len);
    }
    dr->next++;
    *id_out = (const char *)id;
    *id_len_out = id_len;
    *more_out = true;
    return JADE_OK;
}
