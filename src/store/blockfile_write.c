/*
 * Block file, the writing half: payload goes through a buffer of whole blocks, each block's checksum is taken as it is written,
 * and the finished file is read back through the checksums before anyone may name it.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/hash.h"
#include "format/codec.h"
#include "store/blockfile.h"
#include "store/blockfile_private.h"

/* Whole blocks; large enough that a write call costs little beside its copy. */
#define BUFFER_BYTES (4u * JADE_BLOCK_BYTES)
#define PAYLOAD_MAX  ((uint64_t)1 << 47) /* block numbers fit 32 bits */

struct jade_blockfile_writer {
    struct jade_os *os;
    struct jade_file *file;
    char *path;
    struct jadei_bf_ident ident;
    uint8_t *buffer;
    size_t used;           /* bytes in buffer */
    uint64_t written;      /* payload bytes handed to the file */
    struct jade_buf table; /* checksums, encoded */
    jade_code failed;      /* first error of an append: finish answers it */
};

static jade_code write_header(struct jade_blockfile_writer *w, struct jade_err *err)
{
    uint8_t *page = w->buffer; /* nothing is in it yet */
    memset(page, 0, JADEI_BF_HEADER_BYTES);
    memcpy(page, JADEI_BF_MAGIC, JADEI_BF_MAGIC_BYTES);
    jade_store_u32(page + 8, JADEI_BF_VERSION);
    jade_store_u32(page + 12, w->ident.kind);
    jade_store_u64(page + 16, w->ident.segment);
    jade_store_u32(page + 24, JADE_BLOCK_BYTES);
    jade_store_u32(page + JADEI_BF_HEADER_CRC_AT, jade_crc32c(0, page, JADEI_BF_HEADER_CRC_AT));
    return jade_file_write(w->file, 0, page, JADEI_BF_HEADER_BYTES, err);
}

static void writer_free(struct jade_blockfile_writer *w)
{
    if (w == NULL) {
        return;
    }
    jade_file_close(w->file);
    jade_buf_release(&w->table);
    jade_free(w->buffer);
    jade_free(w->path);
    jade_free(w);
}

void jade_blockfile_abort(struct jade_blockfile_writer *w)
{
    if (w == NULL) {
        return;
    }
    jade_file_close(w->file);
    w->file = NULL;
    /* A file that stays behind is in a folder that no manifest names: the next open removes it. */
    (void)jade_os_unlink(w->os, w->path, NULL);
    writer_free(w);
}

jade_code jade_blockfile_writer_new(struct jade_os *os, const char *path, uint32_t kind,
                                    uint64_t segment, struct jade_blockfile_writer **out,
                                    struct jade_err *err)
{
    *out = NULL;
    jade_code rc = JADE_OK;
    struct jade_blockfile_writer *w = jade_calloc(JADE_TAG_SEGMENT, 1, sizeof *w);
    if (w == NULL) {
        return jade_fail(err, JADE_E_NOMEM, "writer of %s", path);
    }
    w->os = os;
    w->ident = (struct jadei_bf_ident){.kind = kind, .segment = segment};
    jade_buf_init(&w->table, JADE_TAG_SEGMENT);
    w->path = jade_strndup(JADE_TAG_SEGMENT, path, strlen(path));
    w->buffer = jade_alloc(JADE_TAG_SEGMENT, BUFFER_BYTES);
    if (w->path == NULL || w->buffer == NULL) {
        rc = jade_fail(err, JADE_E_NOMEM, "writer of %s", path);
        goto out;
    }
    JADE_TRY(jade_file_open(os, path, JADE_OPEN_CREATE, &w->file, err));
    rc = write_header(w, err);
    if (rc != JADE_OK) {
        jade_blockfile_abort(w);
        return rc;
    }
    *out = w;
    return JADE_OK;
out:
    writer_free(w); /* the file is not ours yet: nothing to remove */
    return rc;
}

/* Checksums and writes what the buffer holds: whole blocks, except at the very end. */
static jade_code flush_blocks(struct jade_blockfile_writer *w, struct jade_err *err)
{
    for (size_t at = 0; at < w->used; at += JADE_BLOCK_BYTES) {
        size_t n = w->used - at < JADE_BLOCK_BYTES ? w->used - at : JADE_BLOCK_BYTES;
        jade_put_u32(&w->table, jade_crc32c(0, w->buffer + at, n));
    }
    jade_code rc = jade_buf_status(&w->table, err);
    if (rc == JADE_OK) {
        rc = jade_file_write(w->file, JADEI_BF_HEADER_BYTES + w->written, w->buffer, w->used, err);
    }
    if (rc == JADE_OK) {
        w->written += w->used;
        w->used = 0;
    }
    return rc;
}

jade_code jade_blockfile_append(struct jade_blockfile_writer *w, const void *p, size_t n,
                                struct jade_err *err)
{
    if (w->failed != JADE_OK) {
        return jade_fail(err, w->failed, "%s: an earlier write failed", w->path);
    }
    if (n > PAYLOAD_MAX - jade_blockfile_offset(w)) {
        return jade_fail(err, JADE_E_TOO_LARGE, "%s: payload above %llu bytes", w->path,
                         (unsigned long long)PAYLOAD_MAX);
    }
    const uint8_t *at = p;
    while (n > 0) {
        if (w->used == BUFFER_BYTES) {
            w->failed = flush_blocks(w, err);
            if (w->failed != JADE_OK) {
                return w->failed;
            }
        }
        size_t room = BUFFER_BYTES - w->used;
        size_t piece = n < room ? n : room;
        memcpy(w->buffer + w->used, at, piece);
        w->used += piece;
        at += piece;
        n -= piece;
    }
    return JADE_OK;
}

jade_code jade_blockfile_align(struct jade_blockfile_writer *w, size_t align, struct jade_err *err)
{
    static const uint8_t zeros[JADEI_BF_HEADER_BYTES];
    JADE_ASSERT(align > 0 && align <= sizeof zeros);
    size_t over = (size_t)(jade_blockfile_offset(w) % align);
    return over == 0 ? JADE_OK : jade_blockfile_append(w, zeros, align - over, err);
}

uint64_t jade_blockfile_offset(const struct jade_blockfile_writer *w)
{
    return w->written + w->used;
}

static void footer_encode(const struct jade_blockfile_writer *w, uint64_t payload,
                          uint8_t out[JADEI_BF_FOOTER_BYTES])
{
    memset(out, 0, JADEI_BF_FOOTER_BYTES);
    memcpy(out, JADEI_BF_END_MAGIC, JADEI_BF_MAGIC_BYTES);
    jade_store_u32(out + 8, w->ident.kind);
    jade_store_u64(out + 16, w->ident.segment);
    jade_store_u64(out + 24, payload);
    jade_store_u32(out + 32, jade_crc32c(0, w->table.data, w->table.len));
    jade_store_u32(out + 36, (uint32_t)(w->table.len / 4));
    jade_store_u32(out + JADEI_BF_FOOTER_CRC_AT, jade_crc32c(0, out, JADEI_BF_FOOTER_CRC_AT));
}

/* Reads n bytes at `offset` back and compares them with what was meant. Uses the (empty) buffer. */
static jade_code read_back_equal(struct jade_blockfile_writer *w, uint64_t offset,
                                 const uint8_t *meant, size_t n, struct jade_err *err)
{
    while (n > 0) {
        size_t piece = n < BUFFER_BYTES ? n : BUFFER_BYTES;
        jade_code rc = jade_file_read(w->file, offset, w->buffer, piece, err);
        if (rc != JADE_OK) {
            return rc;
        }
        if (memcmp(w->buffer, meant, piece) != 0) {
            return jade_fail(err, JADE_E_CORRUPT,
                             "%s: read back differs from what was written near offset %llu",
                             w->path, (unsigned long long)offset);
        }
        offset += piece;
        meant += piece;
        n -= piece;
    }
    return JADE_OK;
}

static jade_code read_back(struct jade_blockfile_writer *w, uint64_t payload,
                           const uint8_t footer[JADEI_BF_FOOTER_BYTES], struct jade_err *err)
{
    jade_code rc = JADE_OK;
    uint64_t n_blocks = jadei_bf_blocks(payload);
    for (uint64_t b = 0; b < n_blocks; b++) {
        uint64_t offset = JADEI_BF_HEADER_BYTES + b * JADE_BLOCK_BYTES;
        size_t n = (size_t)jadei_bf_block_bytes(payload, b);
        JADE_TRY(jade_file_read(w->file, offset, w->buffer, n, err));
        if (jade_crc32c(0, w->buffer, n) != jade_load_u32(w->table.data + 4 * b)) {
            rc = jade_fail(err, JADE_E_CORRUPT,
                           "%s: block at offset %llu read back wrong after writing", w->path,
                           (unsigned long long)offset);
            goto out;
        }
    }
    uint64_t table_at = JADEI_BF_HEADER_BYTES + jadei_bf_padded(payload);
    JADE_TRY(read_back_equal(w, table_at, w->table.data, w->table.len, err));
    JADE_TRY(read_back_equal(w, table_at + w->table.len, footer, JADEI_BF_FOOTER_BYTES, err));
    JADE_TRY(jade_file_read(w->file, 0, w->buffer, JADEI_BF_HEADER_BYTES, err));
    if (jade_crc32c(0, w->buffer, JADEI_BF_HEADER_CRC_AT) !=
        jade_load_u32(w->buffer + JADEI_BF_HEADER_CRC_AT)) {
        rc = jade_fail(err, JADE_E_CORRUPT, "%s: header read back wrong after writing", w->path);
    }
out:
    return rc;
}

jade_code jade_blockfile_finish(struct jade_blockfile_writer *w, uint32_t *crc_out,
                                uint64_t *file_size_out, struct jade_err *err)
{
    *crc_out = 0;
    *file_size_out = 0;
    jade_code rc = w->failed;
    if (rc != JADE_OK) {
        (void)jade_fail(err, rc, "%s: an earlier write failed", w->path);
        goto out;
    }
    uint8_t footer[JADEI_BF_FOOTER_BYTES];
    uint64_t payload = jade_blockfile_offset(w);
    JADE_TRY(jade_blockfile_align(w, JADEI_BF_ALIGN, err));
    JADE_TRY(flush_blocks(w, err));
    JADE_ASSERT(w->written == jadei_bf_padded(payload));
    JADE_ASSERT(w->table.len == 4 * jadei_bf_blocks(payload));
    footer_encode(w, payload, footer);
    uint64_t table_at = JADEI_BF_HEADER_BYTES + w->written;
    if (w->table.len > 0) {
        JADE_TRY(jade_file_write(w->file, table_at, w->table.data, w->table.len, err));
    }
    JADE_TRY(jade_file_write(w->file, table_at + w->table.len, footer, sizeof footer, err));
    JADE_TRY(jade_file_sync(w->file, err));
    JADE_TRY(read_back(w, payload, footer, err));
    *crc_out = jade_load_u32(footer + JADEI_BF_FOOTER_CRC_AT);
    *file_size_out = jadei_bf_file_size(payload);
    writer_free(w);
    return JADE_OK;
out:
    jade_blockfile_abort(w);
    return rc;
}
