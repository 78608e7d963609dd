/*
 * Reading records: one at a known place, and the search behind the end of the log that tells a torn tail from damage.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "format/codec.h"
#include "store/wal_private.h"

/* Read at least this much at once; a larger record gets a larger window. */
#define WINDOW_BYTES (256u * 1024u)
/* scan_rest looks at zeros in pieces of this size. */
#define PIECE_BYTES 4096u
/*
 * Bytes that scan_rest may checksum, in file sizes. An honest tail needs none at all (no record can claim a mark that was never
 * reached); only stored content that imitates records could ask for more.
 */
#define SCAN_CRC_FILES_MAX 8u

jade_code jadei_wal_reader_open(struct jadei_wal_reader *r, const struct jade_wal *w,
                                uint64_t generation, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char path[JADE_PATH_MAX];
    JADE_ASSERT(r->file == NULL);
    r->len = 0;
    JADE_TRY(jadei_wal_path(path, w->dir, generation, err));
    JADE_TRY(jade_file_open(w->os, path, JADE_OPEN_READ, &r->file, err));
    JADE_TRY(jade_file_size(r->file, &r->size, err));
out:
    return rc;
}

void jadei_wal_reader_close(struct jadei_wal_reader *r)
{
    jade_file_close(r->file);
    r->file = NULL;
    r->len = 0;
}

void jadei_wal_reader_release(struct jadei_wal_reader *r)
{
    jadei_wal_reader_close(r);
    jade_free(r->buf);
    r->buf = NULL;
    r->cap = 0;
}

/* *out = bytes [offset, offset + n) of the file, or NULL when the file ends before. */
static jade_code window(struct jadei_wal_reader *r, uint64_t offset, size_t n, const uint8_t **out,
                        struct jade_err *err)
{
    *out = NULL;
    if (offset > r->size || n > r->size - offset) {
        return JADE_OK;
    }
    if (offset < r->start || r->len == 0 || offset + n > r->start + r->len) {
        size_t cap = n < WINDOW_BYTES ? WINDOW_BYTES : n;
        if (cap > r->cap) {
            jade_free(r->buf);
            r->cap = 0;
            r->len = 0;
            r->buf = jade_alloc(JADE_TAG_WAL, cap);
            if (r->buf == NULL) {
                return jade_fail(err, JADE_E_NOMEM, "%zu bytes to read the log", cap);
            }
            r->cap = cap;
        }
        r->len = 0;
        size_t got = 0;
        jade_code rc = jade_file_read_some(r->file, offset, r->buf, r->cap, &got, err);
        if (rc != JADE_OK) {
            return rc;
        }
        r->start = offset;
        r->len = got;
        if (got < n) {
            return JADE_OK; /* shorter than its size said: as if it ended here */
        }
    }
    *out = r->buf + (offset - r->start);
    return JADE_OK;
}

jade_code jadei_wal_read_record(struct jadei_wal_reader *r, uint64_t offset,
                                const struct jadei_wal_expect *expect, struct jade_wal_header *h,
                                const uint8_t **payload_out, const char **why_out,
                                struct jade_err *err)
{
    const uint8_t *p;
    *payload_out = NULL;
    *why_out = NULL;
    jade_code rc = window(r, offset, JADE_WAL_HEADER_BYTES, &p, err);
    if (rc != JADE_OK) {
        return rc;
    }
    if (p == NULL || !jade_wal_header_decode(p, h)) {
        *why_out = p == NULL ? "the file ends" : "no record header";
        return JADE_OK;
    }
    if (h->generation != expect->generation || h->lsn.v != expect->lsn) {
        *why_out = "a record of another place";
        return JADE_OK;
    }
    rc = window(r, offset, jade_wal_record_bytes(h->size), &p, err);
    if (rc != JADE_OK) {
        return rc;
    }
    if (p == NULL || !jade_wal_header_valid(p, p + JADE_WAL_HEADER_BYTES)) {
        *why_out = p == NULL ? "the record is longer than the file" : "wrong checksum";
        return JADE_OK;
    }
    if (h->prev_crc != expect->prev_crc) {
        *why_out = "does not continue the record before";
        return JADE_OK;
    }
    *payload_out = p + JADE_WAL_HEADER_BYTES;
    return JADE_OK;
}

jade_code jadei_wal_read_size(struct jadei_wal_reader *r, uint64_t offset, uint32_t *size_out,
                              struct jade_err *err)
{
    struct jade_wal_header h;
    const uint8_t *p;
    jade_code rc = window(r, offset, JADE_WAL_HEADER_BYTES, &p, err);
    if (rc == JADE_OK && (p == NULL || !jade_wal_header_decode(p, &h))) {
        rc = jade_fail(err, JADE_E_IO, "the log changed while it was read, at offset %llu",
                       (unsigned long long)offset);
    }
    *size_out = rc == JADE_OK ? h.size : 0;
    return rc;
}

jade_code jadei_wal_read_piece(struct jadei_wal_reader *r, uint64_t offset, uint64_t end,
                               const uint8_t **out, size_t *n_out, struct jade_err *err)
{
    *n_out = end - offset < WINDOW_BYTES ? (size_t)(end - offset) : WINDOW_BYTES;
    jade_code rc = window(r, offset, *n_out, out, err);
    if (rc == JADE_OK && *out == NULL) {
        rc = jade_fail(err, JADE_E_IO, "the log became shorter while it was read, at offset %llu",
                       (unsigned long long)offset);
    }
    return rc;
}

static bool all_zero(const uint8_t *p, size_t n)
{
    return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* Whether the header at p, if it is one, could prove that `lsn` was durable. */
static bool could_prove(const uint8_t *p, uint64_t generation, uint64_t lsn,
                        struct jade_wal_header *h)
{
    return jade_wal_header_decode(p, h) && h->generation == generation && h->lsn.v > lsn &&
           h->durable.v >= lsn;
}

/* Checks the record at offset; sets out->proof. *budget is what may still be checksummed. */
static jade_code try_proof(struct jadei_wal_reader *r, uint64_t offset,
                           const struct jade_wal_header *h, uint64_t *budget,
                           struct jadei_wal_rest *out, struct jade_err *err)
{
    const uint8_t *p;
    size_t n = jade_wal_record_bytes(h->size);
    if (n > *budget) {
        return jade_fail(err, JADE_E_CORRUPT,
                         "too many possible records behind the end of the log, at offset %llu",
                         (unsigned long long)offset);
    }
    *budget -= n;
    jade_code rc = window(r, offset, n, &p, err);
    if (rc == JADE_OK && p != NULL && jade_wal_header_valid(p, p + JADE_WAL_HEADER_BYTES)) {
        out->proof = true;
        out->proof_at = offset;
        out->proof_lsn = h->lsn.v;
        out->proof_durable = h->durable.v;
    }
    return rc;
}

/* One piece: notes the last byte that is not zero and tries each place where a record could begin. */
static jade_code scan_piece(struct jadei_wal_reader *r, uint64_t offset, size_t n,
                            uint64_t generation, uint64_t lsn, uint64_t *budget,
                            struct jadei_wal_rest *out, struct jade_err *err)
{
    for (size_t i = 0; i < n; i += JADE_WAL_ALIGN) {
        const uint8_t *p;
        struct jade_wal_header h;
        size_t step = n - i < JADE_WAL_ALIGN ? n - i : JADE_WAL_ALIGN;
        jade_code rc = window(r, offset + i, step, &p, err);
        if (rc != JADE_OK || p == NULL) {
            return rc;
        }
        for (size_t b = 0; b < step; b++) {
            out->nonzero_end = p[b] != 0 ? offset + i + b + 1 : out->nonzero_end;
        }
        rc = window(r, offset + i, JADE_WAL_HEADER_BYTES, &p, err);
        if (rc == JADE_OK && p != NULL && could_prove(p, generation, lsn, &h)) {
            rc = try_proof(r, offset + i, &h, budget, out, err);
        }
        if (rc != JADE_OK || out->proof) {
            return rc;
        }
    }
    return JADE_OK;
}

jade_code jadei_wal_scan_rest(struct jadei_wal_reader *r, uint64_t offset, uint64_t generation,
                              uint64_t lsn, struct jadei_wal_rest *out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    uint64_t budget = SCAN_CRC_FILES_MAX * r->size;
    *out = (struct jadei_wal_rest){0};
    while (offset < r->size && !out->proof) {
        const uint8_t *p;
        uint64_t left = r->size - offset;
        size_t n = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
        JADE_TRY(window(r, offset, n, &p, err));
        if (p == NULL) {
            break;
        }
        /* A header begins with its magic, so none begins in zeros. */
        if (!all_zero(p, n)) {
            JADE_TRY(scan_piece(r, offset, n, generation, lsn, &budget, out, err));
        }
        offset += n;
    }
out:
    return rc;
}
