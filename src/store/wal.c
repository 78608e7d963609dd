/*
 * The open log: life cycle, and what it tells about itself. Recovery is in wal_recover.c, writing in wal_append.c.
 */
#include "store/wal.h"

#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/limits.h"
#include "store/wal_private.h"

static void wal_free(struct jade_wal *w)
{
    if (w == NULL) {
        return;
    }
    jade_file_close(w->file);
    jade_buf_release(&w->buf);
    jade_free(w->files);
    jade_free(w->dir);
    jade_free(w);
}

jade_code jade_wal_open(const struct jade_wal_opts *opts, jade_wal_replay_fn fn, void *ctx,
                        struct jade_wal **out, struct jade_wal_recovery *rec_out,
                        struct jade_err *err)
{
    *out = NULL;
    jade_code rc = JADE_OK;
    struct jade_wal_recovery rec = {0};
    JADE_ASSERT(opts->file_bytes == 0 ||
                opts->file_bytes >= JADEI_WAL_PAGE_BYTES + JADE_WAL_HEADER_BYTES);
    struct jade_wal *w = jade_calloc(JADE_TAG_WAL, 1, sizeof *w);
    if (w == NULL) {
        return jade_fail(err, JADE_E_NOMEM, "opening the log in %s", opts->dir);
    }
    w->os = opts->os;
    w->shard = opts->shard;
    w->file_bytes = opts->file_bytes == 0 ? JADE_WAL_FILE_BYTES : opts->file_bytes;
    w->read_only = opts->read_only;
    w->checkpoint = opts->after.v;
    jade_buf_init(&w->buf, JADE_TAG_WAL);
    w->dir = jade_strndup(JADE_TAG_WAL, opts->dir, strlen(opts->dir));
    if (w->dir == NULL) {
        rc = jade_fail(err, JADE_E_NOMEM, "opening the log in %s", opts->dir);
        goto out;
    }
    JADE_TRY(jadei_wal_recover(w, opts, fn, ctx, &rec, err));
    *out = w;
    w = NULL;
out:
    if (rec_out != NULL) {
        *rec_out = rec;
    }
    wal_free(w);
    return rc;
}

jade_code jade_wal_close(struct jade_wal *w, struct jade_err *err)
{
    if (w == NULL) {
        return JADE_OK;
    }
    jade_code rc = w->read_only ? JADE_OK : jade_wal_sync(w, err);
    wal_free(w);
    return rc;
}

struct jade_lsn jade_wal_last(const struct jade_wal *w)
{
    return JADE_LSN(w->last);
}

struct jade_lsn jade_wal_durable(const struct jade_wal *w)
{
    return JADE_LSN(atomic_load_explicit(&w->durable, memory_order_acquire));
}

uint64_t jade_wal_generation(const struct jade_wal *w)
{
    return w->n_files == 0 ? 0 : w->files[w->n_files - 1].generation;
}

/* Index of the oldest file that holds, or will hold, a record above the checkpoint. */
static size_t first_needed(const struct jade_wal *w, uint64_t checkpoint)
{
    size_t i = 0;
    while (i + 1 < w->n_files && jadei_wal_end(w, i) - 1 <= checkpoint) {
        i++;
    }
    return i;
}

uint64_t jade_wal_generation_for(const struct jade_wal *w, struct jade_lsn checkpoint)
{
    return w->n_files == 0 ? 0 : w->files[first_needed(w, checkpoint.v)].generation;
}

uint64_t jade_wal_bytes(const struct jade_wal *w)
{
    uint64_t bytes = 0;
    for (size_t i = first_needed(w, w->checkpoint); i < w->n_files; i++) {
        bytes += w->files[i].bytes;
    }
    return bytes;
}

jade_code jade_wal_trim(struct jade_wal *w, struct jade_lsn checkpoint, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    JADE_ASSERT(!w->read_only);
    JADE_ASSERT(checkpoint.v <= w->last);
    w->checkpoint = checkpoint.v > w->checkpoint ? checkpoint.v : w->checkpoint;
    size_t needed = first_needed(w, checkpoint.v);
    size_t removed = 0;
    /* Oldest first, so that what is left never has a gap. The manifest ignores what a power cut brings back. */
    for (; removed < needed; removed++) {
        char path[JADE_PATH_MAX];
        JADE_TRY(jadei_wal_path(path, w->dir, w->files[removed].generation, err));
        rc = jade_os_unlink(w->os, path, err);
        rc = rc == JADE_E_NOT_FOUND ? JADE_OK : rc;
        JADE_TRY(rc);
    }
out:
    memmove(w->files, w->files + removed, (w->n_files - removed) * sizeof *w->files);
    w->n_files -= removed;
    return rc;
}
