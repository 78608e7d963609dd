#include <string.h>

#include "format/manifest.h"
#include "format/seal_private.h"

/* docs/formats/segment.md has this layout as tables. */
enum {
    HEAD_BYTES = 64,
    FILE_BYTES = 48,
    METRIC_MAX = 2, /* cosine, euclidean, dot */
};

static const char MAGIC[8] = "JADESEG1";
static const char WHAT[] = "segment descriptor";

/* A plain name that cannot leave its folder. */
static bool good_name(const char name[JADE_FILE_NAME_MAX])
{
    size_t n = strnlen(name, JADE_FILE_NAME_MAX);
    if (n == 0 || n == JADE_FILE_NAME_MAX || name[0] == '.') {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        bool plain =
            (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
        if (!plain) {
            return false;
        }
    }
    return true;
}

static jade_code check_files(const struct jade_segment_desc *d, jade_code code,
                             struct jade_err *err)
{
    for (uint32_t i = 0; i < d->n_files; i++) {
        if (!good_name(d->files[i].name)) {
            return jade_fail(err, code,
                             "%s: name of file %u is not of a-z 0-9 . - _, or over %d long", WHAT,
                             i, JADE_FILE_NAME_MAX - 1);
        }
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(d->files[i].name, d->files[j].name) == 0) {
                return jade_fail(err, code, "%s names file %s twice", WHAT, d->files[i].name);
            }
        }
    }
    return JADE_OK;
}

/* The rules that writer and reader share; code is what a breach is for the one who asks. */
static jade_code check_desc(const struct jade_segment_desc *d, jade_code code, struct jade_err *err)
{
    if (d->n_rows > JADE_SEGMENT_ROWS_MAX) {
        return jade_fail(err, code, "%s says %u rows, at most %u", WHAT, d->n_rows,
                         JADE_SEGMENT_ROWS_MAX);
    }
    if (d->dim == 0 || d->dim > JADE_DIM_MAX || d->metric > METRIC_MAX) {
        return jade_fail(err, code, "%s says dimension %u, metric %u", WHAT, d->dim, d->metric);
    }
    if (d->lsn_min.v > d->lsn_max.v) {
        return jade_fail(err, code, "%s covers LSN %llu to %llu", WHAT,
                         (unsigned long long)d->lsn_min.v, (unsigned long long)d->lsn_max.v);
    }
    if (d->n_files == 0 || d->n_files > JADE_SEGMENT_FILES_MAX) {
        return jade_fail(err, code, "%s names %u files, expected 1 to %d", WHAT, d->n_files,
                         JADE_SEGMENT_FILES_MAX);
    }
    return check_files(d, code, err);
}

jade_code jade_segment_desc_encode(const struct jade_segment_desc *d, struct jade_buf *out,
                                   struct jade_err *err)
{
    jade_code rc = check_desc(d, JADE_E_INTERNAL, err);
    if (rc != JADE_OK) {
        return rc;
    }
    size_t n = HEAD_BYTES + (size_t)d->n_files * FILE_BYTES;
    uint8_t *p = jade_buf_extend(out, n);
    if (p == NULL) {
        return jade_buf_status(out, err);
    }
    memset(p, 0, n);
    uint8_t *at = p + JADE_SEAL_BYTES;
    jade_store_u64(at, d->number);
    jade_store_u64(at + 8, d->lsn_min.v);
    jade_store_u64(at + 16, d->lsn_max.v);
    jade_store_u32(at + 24, d->n_rows);
    jade_store_u32(at + 28, d->dim);
    jade_store_u32(at + 32, d->metric);
    jade_store_u32(at + 36, d->n_files);
    at = p + HEAD_BYTES;
    for (uint32_t i = 0; i < d->n_files; i++, at += FILE_BYTES) {
        const struct jade_segment_file *f = &d->files[i];
        jade_store_u32(at, f->kind);
        jade_store_u32(at + 4, f->crc);
        jade_store_u64(at + 8, f->size);
        memcpy(at + 16, f->name, strlen(f->name)); /* the rest stays zero */
    }
    jadei_seal(p, n, MAGIC);
    return JADE_OK;
}

static jade_code read_files(struct jade_reader *r, struct jade_segment_desc *d,
                            struct jade_err *err)
{
    size_t left = jade_reader_left(r);
    if (d->n_files > JADE_SEGMENT_FILES_MAX || left != (size_t)d->n_files * FILE_BYTES) {
        return jade_fail(err, JADE_E_CORRUPT, "%s says %u files in %zu bytes", WHAT, d->n_files,
                         left);
    }
    for (uint32_t i = 0; i < d->n_files; i++) {
        struct jade_segment_file *f = &d->files[i];
        f->kind = jade_get_u32(r);
        f->crc = jade_get_u32(r);
        f->size = jade_get_u64(r);
        const uint8_t *name = jade_get_bytes(r, JADE_FILE_NAME_MAX);
        if (name == NULL) {
            break;
        }
        size_t len = strnlen((const char *)name, JADE_FILE_NAME_MAX);
        memcpy(f->name, name, len);
        if (memcmp(f->name, name, JADE_FILE_NAME_MAX) != 0) {
            return jade_fail(err, JADE_E_CORRUPT, "%s: bytes follow the name of file %u", WHAT, i);
        }
    }
    return jade_reader_status(r, WHAT, err);
}

jade_code jade_segment_desc_decode(const void *p, size_t n, struct jade_segment_desc *d,
                                   struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_reader r = jade_reader_of(p, n);
    memset(d, 0, sizeof *d); /* large: filled in place, emptied again on error */
    JADE_TRY(jadei_unseal(&r, MAGIC, WHAT, err));
    d->number = jade_get_u64(&r);
    d->lsn_min.v = jade_get_u64(&r);
    d->lsn_max.v = jade_get_u64(&r);
    d->n_rows = jade_get_u32(&r);
    d->dim = jade_get_u32(&r);
    d->metric = jade_get_u32(&r);
    d->n_files = jade_get_u32(&r);
    JADE_TRY(jadei_get_reserved(&r, HEAD_BYTES - JADE_SEAL_BYTES - 40, WHAT, err));
    JADE_TRY(read_files(&r, d, err));
    JADE_TRY(check_desc(d, JADE_E_CORRUPT, err));
out:
    if (rc != JADE_OK) {
        memset(d, 0, sizeof *d);
    }
    return rc;
}
