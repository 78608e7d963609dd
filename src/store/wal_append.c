/*
 * Writing the log: records gather in a buffer, a group goes out in one write, one sync makes it durable. Files are rolled here.
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/limits.h"
#include "format/codec.h"
#include "store/wal_private.h"

/* An empty buffer keeps at most this much memory between groups. */
#define BUFFER_KEEP_BYTES ((size_t)1024 * 1024)

static jade_code check_writable(const struct jade_wal *w, struct jade_err *err)
{
    if (w->read_only) {
        return jade_fail(err, JADE_E_INVALID_ARGUMENT, "the log in %s was opened read-only",
                         w->dir);
    }
    if (w->poisoned) {
        return jade_fail(err, JADE_E_POISONED,
                         "an earlier write or sync of the log in %s failed; restart verifies it",
                         w->dir);
    }
    return JADE_OK;
}

/* What reached the disk is unknown now, and a second sync could claim success for pages that were dropped (P1). */
static jade_code poison(struct jade_wal *w, jade_code rc)
{
    if (rc != JADE_OK) {
        w->poisoned = true;
    }
    return rc;
}

static jade_code write_buffer(struct jade_wal *w, struct jade_err *err)
{
    jade_code rc = jade_file_write(w->file, w->at, w->buf.data, w->buf.len, err);
    if (rc != JADE_OK) {
        return poison(w, rc);
    }
    w->at += w->buf.len;
    w->written = w->last;
    jade_buf_clear(&w->buf);
    if (w->buf.cap > BUFFER_KEEP_BYTES) {
        jade_buf_release(&w->buf);
        jade_buf_init(&w->buf, JADE_TAG_WAL);
    }
    return JADE_OK;
}

jade_code jade_wal_flush(struct jade_wal *w, struct jade_err *err)
{
    jade_code rc = check_writable(w, err);
    return rc != JADE_OK || w->buf.len == 0 ? rc : write_buffer(w, err);
}

jade_code jade_wal_sync(struct jade_wal *w, struct jade_err *err)
{
    jade_code rc = jade_wal_flush(w, err);
    if (rc != JADE_OK || w->written == atomic_load_explicit(&w->durable, memory_order_relaxed)) {
        return rc;
    }
    rc = jade_file_sync(w->file, err);
    if (rc != JADE_OK) {
        return poison(w, rc);
    }
    /* release: who reads this number may act on the records below it */
    atomic_store_explicit(&w->durable, w->written, memory_order_release);
    return JADE_OK;
}

/*
 * Begins the next file, with room for a record of `record` bytes. Until the old file is touched a failure changes nothing (a full
 * disk is met here, before an LSN is used); after that it poisons.
 */
static jade_code begin_next(struct jade_wal *w, size_t record, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_file *file = NULL;
    uint64_t needed = JADEI_WAL_PAGE_BYTES + (uint64_t)record;
    uint64_t grown =
        record > 0 ? 2 * w->size : w->size; /* a roll asked for says nothing about the traffic */
    uint64_t size = grown < w->file_bytes ? grown : w->file_bytes;
    size = needed > size ? needed : size;
    struct jadei_wal_file f = {.generation = jade_wal_generation(w) + 1,
                               .first = w->last + 1,
                               .prev_crc = w->last_crc,
                               .valid = true};
    JADE_TRY(jadei_wal_reserve(w, err));
    JADE_TRY(jadei_wal_create(w, f.generation, size, &file, err));
    JADE_TRY(jade_wal_sync(w, err));
    rc = jadei_wal_write_page(w, file, &f, err);
    if (rc == JADE_E_NOMEM) {
        goto out; /* nothing was written: an empty file, which the next try or a recovery removes */
    }
    JADE_TRY(poison(w, rc));
    JADE_TRY(poison(w, jadei_wal_begin(w, file, err)));
    w->files[w->n_files++] = f;
    jade_file_close(w->file);
    w->file = file;
    w->size = size;
    w->at = JADEI_WAL_PAGE_BYTES;
    return JADE_OK;
out:
    jade_file_close(file);
    return rc;
}

static jade_code make_room(struct jade_wal *w, size_t record, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    if (w->at + w->buf.len + record > w->size) {
        JADE_TRY(begin_next(w, record, err));
    }
    if (w->buf.len > 0 && w->buf.len + record > JADE_WAL_GROUP_BYTES) {
        JADE_TRY(write_buffer(w, err));
    }
    if (!jade_buf_reserve(&w->buf, record)) {
        w->buf.failed = false; /* the records in it are whole: a later append may fit again */
        rc = jade_fail(err, JADE_E_NOMEM, "%zu bytes for a record", record);
    }
out:
    return rc;
}

jade_code jade_wal_append(struct jade_wal *w, enum jade_record_type type, struct jade_epoch epoch,
                          struct jade_uuid request, const void *payload, size_t n,
                          struct jade_lsn *lsn_out, struct jade_err *err)
{
    *lsn_out = JADE_LSN_NONE;
    if (n > JADE_WAL_RECORD_MAX) {
        return jade_fail(err, JADE_E_TOO_LARGE, "a record of %zu bytes, at most %u", n,
                         JADE_WAL_RECORD_MAX);
    }
    jade_code rc = JADE_OK;
    size_t record = jade_wal_record_bytes((uint32_t)n);
    JADE_TRY(check_writable(w, err));
    JADE_TRY(make_room(w, record, err));
    struct jade_wal_header h = {
        .size = (uint32_t)n,
        .lsn = JADE_LSN(w->last + 1),
        .epoch = epoch,
        .generation = jade_wal_generation(w),
        .durable = jade_wal_durable(w),
        .request = request,
        .type = (uint16_t)type,
        .prev_crc = w->last_crc,
    };
    uint8_t *p = jade_buf_extend(&w->buf, record);
    JADE_ASSERT(p != NULL); /* reserved above */
    jade_wal_header_encode(&h, payload, p);
    if (n > 0) {
        memcpy(p + JADE_WAL_HEADER_BYTES, payload, n);
    }
    memset(p + JADE_WAL_HEADER_BYTES + n, 0, record - JADE_WAL_HEADER_BYTES - n);
    w->last++;
    w->last_crc = h.crc;
    w->files[w->n_files - 1].bytes += record;
    *lsn_out = h.lsn;
out:
    return rc;
}

jade_code jade_wal_roll(struct jade_wal *w, uint64_t *generation_out, struct jade_err *err)
{
    *generation_out = 0;
    jade_code rc = JADE_OK;
    JADE_TRY(check_writable(w, err));
    if (w->files[w->n_files - 1].first <= w->last) {
        JADE_TRY(begin_next(w, 0, err));
    }
    *generation_out = jade_wal_generation(w);
out:
    return rc;
}
