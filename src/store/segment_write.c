/*
 * Writing a segment folder: block files one after another, then the descriptor, then the folder entries. Nothing here makes the
 * segment count; the manifest does that afterwards.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/hash.h"
#include "store/segment_dir.h"
#include "store/segment_dir_private.h"
#include "store/store_private.h"

struct jade_segment_writer {
    struct jade_os *os;
    char *parent; /* shard_dir/segments */
    char *dir;    /* shard_dir/segments/<number> */
    uint64_t number;
    struct jade_blockfile_writer *open; /* file being written, or NULL */
    uint32_t n_files;
    struct jade_segment_file files[JADE_SEGMENT_FILES_MAX];
    jade_code failed; /* a file was given up: the segment cannot be finished */
};

jade_code jadei_segments_path(char out[JADE_PATH_MAX], const char *shard_dir, struct jade_err *err)
{
    return jade_path_join(out, shard_dir, "segments", err);
}

jade_code jadei_segment_path(char out[JADE_PATH_MAX], const char *shard_dir, uint64_t number,
                             struct jade_err *err)
{
    char name[sizeof "segments/" + JADEI_DECIMAL_MAX];
    (void)snprintf(name, sizeof name, "segments/%" PRIu64, number);
    return jade_path_join(out, shard_dir, name, err);
}

jade_code jadei_tombs_path(char out[JADE_PATH_MAX], const char *shard_dir, uint64_t number,
                           uint64_t lsn, struct jade_err *err)
{
    char name[sizeof "segments//" JADEI_TOMBS_PREFIX + 2 * JADEI_DECIMAL_MAX];
    (void)snprintf(name, sizeof name, "segments/%" PRIu64 "/" JADEI_TOMBS_PREFIX "%" PRIu64, number,
                   lsn);
    return jade_path_join(out, shard_dir, name, err);
}

static void writer_free(struct jade_segment_writer *w)
{
    jade_blockfile_abort(w->open);
    jade_free(w->parent);
    jade_free(w->dir);
    jade_free(w);
}

jade_code jade_segment_writer_begin(struct jade_os *os, const char *shard_dir, uint64_t number,
                                    struct jade_segment_writer **out, struct jade_err *err)
{
    *out = NULL;
    jade_code rc = JADE_OK;
    char path[JADE_PATH_MAX];
    struct jade_segment_writer *w = jade_calloc(JADE_TAG_SEGMENT, 1, sizeof *w);
    if (w == NULL) {
        return jade_fail(err, JADE_E_NOMEM, "writer of segment %" PRIu64, number);
    }
    w->os = os;
    w->number = number;
    JADE_TRY(jadei_segments_path(path, shard_dir, err));
    w->parent = jade_strndup(JADE_TAG_SEGMENT, path, strlen(path));
    JADE_TRY(jadei_segment_path(path, shard_dir, number, err));
    w->dir = jade_strndup(JADE_TAG_SEGMENT, path, strlen(path));
    if (w->parent == NULL || w->dir == NULL) {
        rc = jade_fail(err, JADE_E_NOMEM, "writer of segment %" PRIu64, number);
        goto out;
    }
    JADE_TRY(jade_os_mkdirs(os, w->parent, err));
    JADE_TRY(jade_os_remove_tree(os, w->dir, err));
    JADE_TRY(jade_os_mkdir(os, w->dir, err));
    *out = w;
    return JADE_OK;
out:
    writer_free(w);
    return rc;
}

jade_code jade_segment_writer_file(struct jade_segment_writer *w, const char *name, uint32_t kind,
                                   struct jade_blockfile_writer **out, struct jade_err *err)
{
    JADE_ASSERT(w->open == NULL);
    JADE_ASSERT(w->n_files < JADE_SEGMENT_FILES_MAX);
    JADE_ASSERT(strlen(name) < JADE_FILE_NAME_MAX);
    *out = NULL;
    jade_code rc = JADE_OK;
    char path[JADE_PATH_MAX];
    struct jade_segment_file *f = &w->files[w->n_files];
    memset(f, 0, sizeof *f);
    memcpy(f->name, name, strlen(name));
    f->kind = kind;
    JADE_TRY(jade_path_join(path, w->dir, name, err));
    JADE_TRY(jade_blockfile_writer_new(w->os, path, kind, w->number, &w->open, err));
    *out = w->open;
out:
    return rc;
}

jade_code jade_segment_writer_file_done(struct jade_segment_writer *w, struct jade_err *err)
{
    JADE_ASSERT(w->open != NULL);
    struct jade_segment_file *f = &w->files[w->n_files];
    struct jade_blockfile_writer *open = w->open;
    w->open = NULL; /* freed in every case */
    jade_code rc = jade_blockfile_finish(open, &f->crc, &f->size, err);
    if (rc != JADE_OK) {
        w->failed = rc;
        return rc;
    }
    w->n_files++;
    return JADE_OK;
}

static jade_code write_descriptor(struct jade_segment_writer *w,
                                  const struct jade_segment_desc *desc, uint32_t *crc_out,
                                  struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char path[JADE_PATH_MAX];
    struct jade_buf raw;
    jade_buf_init(&raw, JADE_TAG_SEGMENT);
    JADE_TRY(jade_path_join(path, w->dir, JADEI_SEGMENT_DESC_NAME, err));
    JADE_TRY(jade_segment_desc_encode(desc, &raw, err));
    JADE_TRY(jade_buf_status(&raw, err));
    /* syncs the folder as well, and with it the names of the block files */
    JADE_TRY(jade_os_replace(w->os, path, raw.data, raw.len, err));
    *crc_out = jade_crc32c(0, raw.data, raw.len);
out:
    jade_buf_release(&raw);
    return rc;
}

jade_code jade_segment_writer_finish(struct jade_segment_writer *w, struct jade_segment_desc *desc,
                                     uint32_t *desc_crc_out, struct jade_err *err)
{
    JADE_ASSERT(w->open == NULL);
    *desc_crc_out = 0;
    jade_code rc = w->failed;
    if (rc != JADE_OK) {
        (void)jade_fail(err, rc, "segment %" PRIu64 ": one of its files was given up", w->number);
        goto out;
    }
    desc->number = w->number;
    desc->n_files = w->n_files;
    memcpy(desc->files, w->files, w->n_files * sizeof w->files[0]);
    JADE_TRY(write_descriptor(w, desc, desc_crc_out, err));
    JADE_TRY(jade_os_sync_dir(w->os, w->parent, err));
    writer_free(w);
    return JADE_OK;
out:
    jade_segment_writer_abort(w);
    return rc;
}

void jade_segment_writer_abort(struct jade_segment_writer *w)
{
    if (w == NULL) {
        return;
    }
    jade_blockfile_abort(w->open);
    w->open = NULL;
    /* What stays behind is named by no manifest: the sweep at the next open removes it. */
    (void)jade_os_remove_tree(w->os, w->dir, NULL);
    writer_free(w);
}
