/*
 * Opening sealed segments as a manifest names them, and removing what no manifest names.
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/hash.h"
#include "store/segment_dir.h"
#include "store/segment_dir_private.h"
#include "store/store_private.h"

/* JADE_SEGMENT_FILES_MAX entries of 48 bytes and a head, with room for later versions. */
#define DESC_BYTES_MAX 65536u

struct jade_segment_dir {
    struct jade_segment_desc desc;
    struct jade_blockfile *files[JADE_SEGMENT_FILES_MAX];
};

static jade_code read_desc(struct jade_os *os, const char *dir,
                           const struct jade_manifest_segment *ms, struct jade_segment_desc *out,
                           struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char path[JADE_PATH_MAX];
    uint8_t *raw = NULL;
    size_t n = 0;
    JADE_TRY(jade_path_join(path, dir, JADEI_SEGMENT_DESC_NAME, err));
    rc = jade_os_read_file(os, path, DESC_BYTES_MAX, &raw, &n, err);
    if (rc == JADE_E_NOT_FOUND || rc == JADE_E_TOO_LARGE) {
        rc = jade_fail(err, JADE_E_CORRUPT, "%s: named by the manifest, but %s", path,
                       rc == JADE_E_NOT_FOUND ? "missing" : "too large");
    }
    JADE_TRY(rc);
    uint32_t crc = jade_crc32c(0, raw, n);
    if (crc != ms->desc_crc) {
        rc = jade_fail(err, JADE_E_CORRUPT, "%s: checksum is %08x, the manifest says %08x", path,
                       crc, ms->desc_crc);
        goto out;
    }
    rc = jade_segment_desc_decode(raw, n, out, err);
    if (rc != JADE_OK) {
        rc = jade_err_wrap(err, rc, "%s", path);
        goto out;
    }
    if (out->number != ms->number || out->n_rows != ms->n_rows) {
        rc = jade_fail(err, JADE_E_CORRUPT,
                       "%s: segment %" PRIu64 " of %u rows; the manifest says %" PRIu64 " of %u",
                       path, out->number, out->n_rows, ms->number, ms->n_rows);
    }
out:
    jade_free(raw);
    return rc;
}

static jade_code open_file(struct jade_os *os, const char *dir,
                           const struct jade_segment_desc *desc, uint32_t i,
                           struct jade_blockfile **out, struct jade_err *err)
{
    const struct jade_segment_file *f = &desc->files[i];
    jade_code rc = JADE_OK;
    char path[JADE_PATH_MAX];
    JADE_TRY(jade_path_join(path, dir, f->name, err));
    /* The footer's checksum covers the payload size, which fixes the file's size: f->size needs no check of its own. */
    rc = jade_blockfile_open(os, path, f->kind, desc->number, f->crc, out, err);
    if (rc == JADE_E_NOT_FOUND) {
        rc = jade_fail(err, JADE_E_CORRUPT, "%s: named by its segment, but missing", path);
    }
out:
    return rc;
}

jade_code jade_segment_dir_open(struct jade_os *os, const char *shard_dir,
                                const struct jade_manifest_segment *ms,
                                struct jade_segment_dir **out, struct jade_err *err)
{
    *out = NULL;
    jade_code rc = JADE_OK;
    char dir[JADE_PATH_MAX];
    struct jade_segment_dir *s = jade_calloc(JADE_TAG_SEGMENT, 1, sizeof *s);
    if (s == NULL) {
        return jade_fail(err, JADE_E_NOMEM, "opening segment %" PRIu64, ms->number);
    }
    JADE_TRY(jadei_segment_path(dir, shard_dir, ms->number, err));
    JADE_TRY(read_desc(os, dir, ms, &s->desc, err));
    for (uint32_t i = 0; i < s->desc.n_files; i++) {
        JADE_TRY(open_file(os, dir, &s->desc, i, &s->files[i], err));
    }
    *out = s;
    return JADE_OK;
out:
    jade_segment_dir_close(s);
    return rc;
}

void jade_segment_dir_close(struct jade_segment_dir *s)
{
    if (s == NULL) {
        return;
    }
    for (uint32_t i = 0; i < s->desc.n_files; i++) {
        jade_blockfile_close(s->files[i]);
    }
    jade_free(s);
}

const struct jade_segment_desc *jade_segment_dir_desc(const struct jade_segment_dir *s)
{
    return &s->desc;
}

struct jade_blockfile *jade_segment_dir_file(const struct jade_segment_dir *s, uint32_t kind)
{
    for (uint32_t i = 0; i < s->desc.n_files; i++) {
        if (s->desc.files[i].kind == kind) {
            return s->files[i];
        }
    }
    return NULL;
}

jade_code jade_segment_dir_verify_all(struct jade_segment_dir *s, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    for (uint32_t i = 0; i < s->desc.n_files; i++) {
        JADE_TRY(jade_blockfile_verify_all(s->files[i], err));
    }
out:
    return rc;
}

/* ---- removal ---- */

jade_code jade_segment_dir_remove(struct jade_os *os, const char *shard_dir, uint64_t number,
                                  struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char dir[JADE_PATH_MAX];
    JADE_TRY(jadei_segment_path(dir, shard_dir, number, err));
    /* No sync: a folder that comes back after a power cut is swept at open. */
    JADE_TRY(jade_os_remove_tree(os, dir, err));
out:
    return rc;
}

/* Numbers of one listing: folders named by a number, or files tombs-<number>. */
struct numbers {
    bool dirs;
    const char *prefix;
    struct jade_buf found;
};

static jade_code note_number(void *ctx, const char *name, bool is_dir, struct jade_err *err)
{
    struct numbers *n = ctx;
    uint64_t number;
    (void)err;
    size_t skip = strlen(n->prefix);
    if (is_dir == n->dirs && strncmp(name, n->prefix, skip) == 0 &&
        jadei_parse_decimal(name + skip, "", &number)) {
        jade_buf_append(&n->found, &number, sizeof number);
    }
    return JADE_OK;
}

static jade_code list_numbers(struct jade_os *os, const char *dir, struct numbers *n,
                              struct jade_err *err)
{
    jade_buf_clear(&n->found);
    jade_code rc = jade_os_list(os, dir, note_number, n, err);
    return rc != JADE_OK ? rc : jade_buf_status(&n->found, err);
}

static uint64_t number_at(const struct numbers *n, size_t i)
{
    uint64_t number;
    memcpy(&number, n->found.data + i * sizeof number, sizeof number);
    return number;
}

static const struct jade_manifest_segment *find_named(const struct jade_manifest *m,
                                                      uint64_t number)
{
    for (uint32_t i = 0; i < m->n_segments; i++) {
        if (m->segments[i].number == number) {
            return &m->segments[i];
        }
    }
    return NULL;
}

static jade_code sweep_tombs(struct jade_os *os, const char *shard_dir,
                             const struct jade_manifest_segment *ms, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char path[JADE_PATH_MAX];
    struct numbers n = {.dirs = false, .prefix = JADEI_TOMBS_PREFIX};
    jade_buf_init(&n.found, JADE_TAG_SEGMENT);
    JADE_TRY(jadei_segment_path(path, shard_dir, ms->number, err));
    JADE_TRY(list_numbers(os, path, &n, err));
    for (size_t i = 0; i < n.found.len / sizeof(uint64_t); i++) {
        if (number_at(&n, i) != ms->tombs_lsn.v) {
            JADE_TRY(jadei_tombs_path(path, shard_dir, ms->number, number_at(&n, i), err));
            JADE_TRY(jade_os_unlink(os, path, err));
        }
    }
out:
    jade_buf_release(&n.found);
    return rc;
}

jade_code jade_segment_dir_sweep(struct jade_os *os, const char *shard_dir,
                                 const struct jade_manifest *m, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char path[JADE_PATH_MAX];
    bool exists = false;
    struct numbers n = {.dirs = true, .prefix = ""};
    jade_buf_init(&n.found, JADE_TAG_SEGMENT);
    JADE_TRY(jadei_segments_path(path, shard_dir, err));
    JADE_TRY(jade_os_exists(os, path, &exists, err));
    if (!exists) {
        goto out;
    }
    JADE_TRY(list_numbers(os, path, &n, err));
    for (size_t i = 0; i < n.found.len / sizeof(uint64_t); i++) {
        uint64_t number = number_at(&n, i);
        const struct jade_manifest_segment *ms = find_named(m, number);
        if (ms == NULL) {
            JADE_TRY(jade_segment_dir_remove(os, shard_dir, number, err));
        } else {
            JADE_TRY(sweep_tombs(os, shard_dir, ms, err));
        }
    }
out:
    jade_buf_release(&n.found);
    return rc;
}
