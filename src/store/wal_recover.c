/*
 * Recovery: list the files, read the log in order, and at its end decide between a torn tail and damage (docs/adr/0006).
 *
 * Nothing is changed before that decision. Afterwards, in this order, each step safe to be cut and repeated: what was read is
 * made durable, files whose header was never finished are removed, then a tail is cut by beginning a new file at its LSN
 * (wal_private.h tells why that is enough).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "store/store_private.h"
#include "store/wal_private.h"

struct recovery {
    struct jade_wal *w;
    const struct jade_wal_opts *opts;
    jade_wal_replay_fn fn;
    void *ctx;
    struct jade_wal_recovery *rec;
    struct jadei_wal_reader r;
    struct jade_buf stale; /* generations below generation_min */
    size_t newest;         /* index of the newest file with a valid header; n_files = none */
    uint64_t next;         /* LSN expected next */
    uint32_t crc;          /* of the record before it */
    uint64_t at;           /* offset in the newest file where it would be */
    uint64_t nonzero_end;  /* behind `at` in the newest file */
    uint64_t mark;         /* LSN: every record up to here is known to have been synced */
};

/* The highest durable LSN that is known without reading the log. */
static uint64_t known_mark(const struct jade_wal_opts *opts)
{
    return opts->durable_mark.v > opts->after.v ? opts->durable_mark.v : opts->after.v;
}

/* ---- listing ---- */

static jade_code note_generation(void *ctx, const char *name, bool is_dir, struct jade_err *err)
{
    struct jade_buf *found = ctx;
    uint64_t generation;
    if (!is_dir && jadei_parse_decimal(name, ".wal", &generation)) {
        if (found->len / sizeof generation >= JADEI_WAL_FILES_MAX) {
            return jade_fail(err, JADE_E_CORRUPT, "more than %d wal files", JADEI_WAL_FILES_MAX);
        }
        jade_buf_append(found, &generation, sizeof generation);
    }
    return JADE_OK;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

/* Puts the files from generation_min on into w->files, with their headers; older ones into v->stale. */
static jade_code list_files(struct recovery *v, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_wal *w = v->w;
    struct jade_buf found;
    jade_buf_init(&found, JADE_TAG_WAL);
    JADE_TRY(jade_os_list(w->os, w->dir, note_generation, &found, err));
    JADE_TRY(jade_buf_status(&found, err));
    size_t n = found.len / sizeof(uint64_t);
    if (n > 0) {
        qsort(found.data, n, sizeof(uint64_t), compare_u64);
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t generation;
        struct jadei_wal_file f;
        memcpy(&generation, found.data + i * sizeof generation, sizeof generation);
        if (generation < v->opts->generation_min) {
            jade_buf_append(&v->stale, &generation, sizeof generation);
            continue;
        }
        if (w->n_files > 0 && generation != w->files[w->n_files - 1].generation + 1) {
            rc = jade_fail(err, JADE_E_CORRUPT,
                           "wal file %" PRIu64 " is missing: the next one is %" PRIu64 " (in %s)",
                           w->files[w->n_files - 1].generation + 1, generation, w->dir);
            goto out;
        }
        JADE_TRY(jadei_wal_read_header(w, generation, &f, err));
        JADE_TRY(jadei_wal_reserve(w, err));
        w->files[w->n_files++] = f;
    }
    JADE_TRY(jade_buf_status(&v->stale, err));
out:
    jade_buf_release(&found);
    return rc;
}

/* Only the newest files may have an unfinished header: each older one was complete before the next was made. */
static jade_code find_newest(struct recovery *v, struct jade_err *err)
{
    const struct jade_wal *w = v->w;
    v->newest = w->n_files;
    for (size_t i = 0; i < w->n_files; i++) {
        if (!w->files[i].valid) {
            continue;
        }
        if (i > 0 && !w->files[i - 1].valid) {
            return jade_fail(err, JADE_E_CORRUPT,
                             "wal file %" PRIu64 ": offset 0: damaged header (in %s)",
                             w->files[i - 1].generation, w->dir);
        }
        v->newest = i;
    }
    if (v->newest == w->n_files && v->opts->generation_min > 0) {
        return jade_fail(err, JADE_E_CORRUPT,
                         "no wal file with a sound header from %" PRIu64
                         " on, which the manifest names (in %s)",
                         v->opts->generation_min, w->dir);
    }
    return JADE_OK;
}

/* ---- reading ---- */

static jade_code corrupt_record(const struct recovery *v, size_t i, uint64_t offset,
                                const char *why, uint64_t mark, struct jade_err *err)
{
    return jade_fail(err, JADE_E_CORRUPT,
                     "wal file %" PRIu64 ": offset %" PRIu64 ": record %" PRIu64
                     " is damaged (%s) although records up to %" PRIu64 " were durable (in %s)",
                     v->w->files[i].generation, offset, v->next, why, mark, v->w->dir);
}

/* The first file that must be read: older ones hold only what the checkpoint covers. */
static jade_code find_start(struct recovery *v, size_t *start_out, struct jade_err *err)
{
    const struct jade_wal *w = v->w;
    size_t i = 0;
    while (i < v->newest && jadei_wal_end(w, i) - 1 <= v->opts->after.v) {
        i++;
    }
    *start_out = i;
    if (w->files[i].first > v->opts->after.v + 1) {
        return jade_fail(err, JADE_E_CORRUPT,
                         "wal file %" PRIu64 " begins at record %" PRIu64
                         ", but the checkpoint ends at %" PRIu64
                         ": the records between are missing (in %s)",
                         w->files[i].generation, w->files[i].first, v->opts->after.v, w->dir);
    }
    v->next = w->files[i].first;
    v->crc = w->files[i].prev_crc;
    return JADE_OK;
}

static jade_code deliver(struct recovery *v, const struct jade_wal_header *h,
                         const uint8_t *payload, struct jade_err *err)
{
    if (h->lsn.v <= v->opts->after.v) {
        return JADE_OK;
    }
    v->rec->records++;
    v->rec->bytes += jade_wal_record_bytes(h->size);
    return v->fn == NULL ? JADE_OK : v->fn(v->ctx, h, payload, err);
}

/* Reads the records of files[i] up to LSN `end`; leaves v->at behind the last sound one. *why_out: why it stopped early. */
static jade_code read_file(struct recovery *v, size_t i, uint64_t end, const char **why_out,
                           struct jade_err *err)
{
    struct jadei_wal_file *f = &v->w->files[i];
    jade_code rc = JADE_OK;
    v->at = JADEI_WAL_PAGE_BYTES;
    *why_out = NULL;
    while (v->next < end) {
        struct jade_wal_header h;
        const uint8_t *payload;
        struct jadei_wal_expect expect = {
            .generation = f->generation, .lsn = v->next, .prev_crc = v->crc};
        JADE_TRY(jadei_wal_read_record(&v->r, v->at, &expect, &h, &payload, why_out, err));
        if (*why_out != NULL) {
            break;
        }
        JADE_TRY(deliver(v, &h, payload, err));
        v->next++;
        v->crc = h.crc;
        v->mark = h.durable.v > v->mark ? h.durable.v : v->mark;
        v->at += jade_wal_record_bytes(h.size);
        f->bytes += jade_wal_record_bytes(h.size);
    }
out:
    return rc;
}

/* Behind the last record of the newest file: is what stands there a tail? */
static jade_code judge_newest(struct recovery *v, const char *why, struct jade_err *err)
{
    struct jadei_wal_rest rest;
    uint64_t mark = known_mark(v->opts);
    if (v->next <= mark) {
        return corrupt_record(v, v->newest, v->at, why, mark, err);
    }
    jade_code rc =
        jadei_wal_scan_rest(&v->r, v->at, v->w->files[v->newest].generation, v->next, &rest, err);
    if (rc != JADE_OK) {
        return rc;
    }
    if (rest.proof) {
        return corrupt_record(v, v->newest, v->at, why, rest.proof_durable, err);
    }
    v->nonzero_end = rest.nonzero_end;
    return JADE_OK;
}

static jade_code read_records(struct recovery *v, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const struct jade_wal *w = v->w;
    size_t start;
    JADE_TRY(find_start(v, &start, err));
    for (size_t i = start; i <= v->newest; i++) {
        const struct jadei_wal_file *f = &w->files[i];
        const char *why;
        uint64_t end = jadei_wal_end(w, i);
        if (end <= f->first) {
            continue; /* cut away as a whole by a later file */
        }
        if (f->first != v->next || f->prev_crc != v->crc) {
            rc = jade_fail(err, JADE_E_CORRUPT,
                           "wal file %" PRIu64 ": offset 40: begins at record %" PRIu64
                           " and does not continue the log, which ends at %" PRIu64 " (in %s)",
                           f->generation, f->first, v->next - 1, w->dir);
            goto out;
        }
        JADE_TRY(jadei_wal_reader_open(&v->r, w, f->generation, err));
        JADE_TRY(read_file(v, i, end, &why, err));
        if (i == v->newest) {
            JADE_TRY(judge_newest(v, why, err));
        } else if (why != NULL) {
            /* a later file begins behind this record, so it was durable (invariant a of wal_private.h) */
            rc = corrupt_record(v, i, v->at, why, end - 1, err);
            goto out;
        }
        jadei_wal_reader_close(&v->r);
    }
out:
    jadei_wal_reader_close(&v->r);
    return rc;
}

/* A file without a sound header never had records. One that has some was damaged. */
static jade_code judge_unfinished(struct recovery *v, size_t i, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const struct jadei_wal_file *f = &v->w->files[i];
    struct jadei_wal_rest rest;
    JADE_TRY(jadei_wal_reader_open(&v->r, v->w, f->generation, err));
    JADE_TRY(jadei_wal_scan_rest(&v->r, JADEI_WAL_PAGE_BYTES, f->generation, 0, &rest, err));
    if (rest.proof) {
        rc = jade_fail(err, JADE_E_CORRUPT,
                       "wal file %" PRIu64 ": offset 0: damaged header, but record %" PRIu64
                       " at offset %" PRIu64 " is sound (in %s)",
                       f->generation, rest.proof_lsn, rest.proof_at, v->w->dir);
    }
out:
    jadei_wal_reader_close(&v->r);
    return rc;
}

/* ---- settling: from here on the disk is changed ---- */

static jade_code begin_file(struct recovery *v, uint64_t generation, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_wal *w = v->w;
    struct jade_file *file = NULL;
    struct jadei_wal_file f = {
        .generation = generation, .first = v->next, .prev_crc = v->crc, .valid = true};
    JADE_TRY(jadei_wal_reserve(w, err));
    uint64_t size = w->file_bytes < JADEI_WAL_FIRST_BYTES ? w->file_bytes : JADEI_WAL_FIRST_BYTES;
    JADE_TRY(jadei_wal_create(w, generation, size, &file, err));
    JADE_TRY(jadei_wal_write_page(w, file, &f, err));
    JADE_TRY(jadei_wal_begin(w, file, err));
    w->files[w->n_files++] = f;
    jade_file_close(w->file);
    w->file = file;
    w->size = size;
    w->at = JADEI_WAL_PAGE_BYTES;
    return JADE_OK;
out:
    /* With a valid header it may stay: it begins where the log ends, so the next recovery takes it as it is. */
    jade_file_close(file);
    return rc;
}

/* No sync of the folder: a file that a power cut brings back is judged and removed again. */
static jade_code remove_unfinished(struct recovery *v, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_wal *w = v->w;
    size_t keep = v->newest < w->n_files ? v->newest + 1 : 0;
    while (w->n_files > keep) {
        char path[JADE_PATH_MAX];
        JADE_TRY(jadei_wal_path(path, w->dir, w->files[w->n_files - 1].generation, err));
        JADE_TRY(jade_os_unlink(w->os, path, err));
        w->n_files--;
    }
out:
    return rc;
}

/* Where the first record stands in the newest file that is not known to be on the disk; 0 = not even the header is. */
static jade_code find_untrusted(struct recovery *v, uint64_t *offset_out, struct jade_err *err)
{
    const struct jadei_wal_file *f = &v->w->files[v->newest];
    jade_code rc = JADE_OK;
    uint64_t lsn = f->first;
    *offset_out = v->mark < f->first ? 0 : JADEI_WAL_PAGE_BYTES;
    while (*offset_out > 0 && lsn < v->next && lsn <= v->mark) {
        uint32_t size;
        JADE_TRY(jadei_wal_read_size(&v->r, *offset_out, &size, err));
        *offset_out += jade_wal_record_bytes(size);
        lsn++;
    }
out:
    return rc;
}

/*
 * What was read may be in the page cache only: of a process that was killed, or, worse, of one whose sync failed; then the
 * pages count as clean, and another sync would do nothing and claim success (P1). So the bytes that no mark vouches for are
 * written once more, unchanged, and synced, before anything is built on them.
 */
static jade_code make_durable(struct recovery *v, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_wal *w = v->w;
    uint64_t offset;
    JADE_TRY(jadei_wal_reader_open(&v->r, w, w->files[v->newest].generation, err));
    JADE_TRY(find_untrusted(v, &offset, err));
    while (offset < v->at) {
        const uint8_t *p;
        size_t n;
        JADE_TRY(jadei_wal_read_piece(&v->r, offset, v->at, &p, &n, err));
        JADE_TRY(jade_file_write(w->file, offset, p, n, err));
        offset += n;
    }
    JADE_TRY(jade_file_sync(w->file, err));
    JADE_TRY(jade_os_sync_dir(w->os, w->dir, err));
out:
    jadei_wal_reader_close(&v->r);
    return rc;
}

static jade_code settle(struct recovery *v, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_wal *w = v->w;
    char path[JADE_PATH_MAX];
    if (v->newest == w->n_files) {
        JADE_TRY(remove_unfinished(v, err));
        JADE_TRY(begin_file(v, 1, err));
        return JADE_OK;
    }
    uint64_t generation = w->files[v->newest].generation;
    JADE_TRY(jadei_wal_path(path, w->dir, generation, err));
    JADE_TRY(jade_file_open(w->os, path, JADE_OPEN_WRITE, &w->file, err));
    JADE_TRY(jade_file_size(w->file, &w->size, err));
    w->at = v->at;
    JADE_TRY(make_durable(v, err));
    JADE_TRY(remove_unfinished(v, err));
    if (v->nonzero_end > v->at) {
        JADE_TRY(begin_file(v, generation + 1, err));
    }
out:
    return rc;
}

/* Best effort: what stays is ignored by number, and tried again at the next opening. */
static void remove_stale(struct recovery *v)
{
    for (size_t at = 0; at < v->stale.len; at += sizeof(uint64_t)) {
        uint64_t generation;
        char path[JADE_PATH_MAX];
        memcpy(&generation, v->stale.data + at, sizeof generation);
        if (jadei_wal_path(path, v->w->dir, generation, NULL) == JADE_OK) {
            (void)jade_os_unlink(v->w->os, path, NULL);
        }
    }
}

static jade_code judge_empty(const struct recovery *v, struct jade_err *err)
{
    if (v->opts->durable_mark.v > v->opts->after.v) {
        return jade_fail(err, JADE_E_CORRUPT,
                         "no wal file holds a record, but records up to %" PRIu64
                         " were durable and the checkpoint ends at %" PRIu64 " (in %s)",
                         v->opts->durable_mark.v, v->opts->after.v, v->w->dir);
    }
    return JADE_OK;
}

jade_code jadei_wal_recover(struct jade_wal *w, const struct jade_wal_opts *opts,
                            jade_wal_replay_fn fn, void *ctx, struct jade_wal_recovery *rec,
                            struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct recovery v = {.w = w,
                         .opts = opts,
                         .fn = fn,
                         .ctx = ctx,
                         .rec = rec,
                         .next = opts->after.v + 1,
                         .mark = known_mark(opts)};
    jade_buf_init(&v.stale, JADE_TAG_WAL);
    JADE_TRY(list_files(&v, err));
    JADE_TRY(find_newest(&v, err));
    if (v.newest < w->n_files) {
        JADE_TRY(read_records(&v, err));
    } else {
        JADE_TRY(judge_empty(&v, err));
    }
    for (size_t i = v.newest < w->n_files ? v.newest + 1 : 0; i < w->n_files; i++) {
        JADE_TRY(judge_unfinished(&v, i, err));
    }
    rec->tail_bytes_cut = v.nonzero_end > v.at ? v.nonzero_end - v.at : 0;
    if (!opts->read_only) {
        JADE_TRY(settle(&v, err));
        remove_stale(&v);
    }
    rec->files = w->n_files;
    w->last = v.next - 1;
    w->last_crc = v.crc;
    w->written = w->last;
    atomic_store(&w->durable, w->last);
out:
    jadei_wal_reader_release(&v.r);
    jade_buf_release(&v.stale);
    return rc;
}
