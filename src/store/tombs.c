/*
 * Tombstones of a sealed segment: a block file of pairs, 12 bytes each: u32 row, u64 LSN of the delete; ascending by row.
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "format/codec.h"
#include "os/guard.h"
#include "store/segment_dir.h"
#include "store/segment_dir_private.h"

enum { TOMB_BYTES = 12 };

static jade_code append_tombs(struct jade_blockfile_writer *w, const struct jade_tomb *tombs,
                              uint32_t n, struct jade_err *err)
{
    for (uint32_t i = 0; i < n; i++) {
        uint8_t raw[TOMB_BYTES];
        JADE_ASSERT(i == 0 || tombs[i - 1].row < tombs[i].row);
        jade_store_u32(raw, tombs[i].row);
        jade_store_u64(raw + 4, tombs[i].lsn.v);
        jade_code rc = jade_blockfile_append(w, raw, sizeof raw, err);
        if (rc != JADE_OK) {
            return rc;
        }
    }
    return JADE_OK;
}

static bool tomb_equal(const uint8_t *raw, const struct jade_tomb *t)
{
    return jade_load_u32(raw) == t->row && jade_load_u64(raw + 4) == t->lsn.v;
}

/*
 * A file of this name is there already. It may be the one that the manifest names, so it is never replaced; but when it holds
 * exactly these tombstones (a publish was tried before and failed later on) it serves.
 */
static jade_code reuse_equal(struct jade_os *os, const char *path, uint64_t segment,
                             const struct jade_tomb *tombs, uint32_t n, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_blockfile *f = NULL;
    JADE_TRY(jade_blockfile_open(os, path, JADE_BF_TOMBS, segment, 0, &f, err));
    JADE_TRY(jade_blockfile_verify_all(f, err));
    bool equal = jade_blockfile_size(f) == (uint64_t)n * TOMB_BYTES;
    for (uint32_t i = 0; equal && i < n; i++) {
        equal = tomb_equal(jade_blockfile_data(f) + (size_t)i * TOMB_BYTES, &tombs[i]);
    }
    if (!equal) {
        rc = jade_fail(err, JADE_E_ALREADY_EXISTS, "%s: exists with other tombstones", path);
    }
out:
    jade_blockfile_close(f);
    return rc;
}

static jade_code existing_crc(struct jade_os *os, const char *path, uint32_t *crc_out,
                              struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_file *f = NULL;
    uint64_t size = 0;
    uint8_t raw[4];
    JADE_TRY(jade_file_open(os, path, JADE_OPEN_READ, &f, err));
    JADE_TRY(jade_file_size(f, &size, err));
    JADE_TRY(jade_file_read(f, size - sizeof raw, raw, sizeof raw, err));
    *crc_out = jade_load_u32(raw);
out:
    jade_file_close(f);
    return rc;
}

jade_code jade_tombs_write(struct jade_os *os, const char *shard_dir, uint64_t segment,
                           struct jade_lsn lsn, const struct jade_tomb *tombs, uint32_t n,
                           uint32_t *crc_out, struct jade_err *err)
{
    *crc_out = 0;
    jade_code rc = JADE_OK;
    char path[JADE_PATH_MAX];
    char dir[JADE_PATH_MAX];
    struct jade_blockfile_writer *w = NULL;
    uint64_t size;
    JADE_ASSERT(lsn.v != 0);
    JADE_TRY(jadei_tombs_path(path, shard_dir, segment, lsn.v, err));
    JADE_TRY(jadei_segment_path(dir, shard_dir, segment, err));
    rc = jade_blockfile_writer_new(os, path, JADE_BF_TOMBS, segment, &w, err);
    if (rc == JADE_E_ALREADY_EXISTS) {
        JADE_TRY(reuse_equal(os, path, segment, tombs, n, err));
        JADE_TRY(existing_crc(os, path, crc_out, err));
    } else {
        JADE_TRY(rc);
        rc = append_tombs(w, tombs, n, err);
        if (rc != JADE_OK) {
            jade_blockfile_abort(w);
            goto out;
        }
        JADE_TRY(jade_blockfile_finish(w, crc_out, &size, err));
    }
    JADE_TRY(jade_os_sync_dir(os, dir, err));
out:
    return rc;
}

struct decode {
    const struct jade_blockfile *file;
    const struct jade_manifest_segment *ms;
    struct jade_tomb *out;
    uint32_t n;
};

/* Runs under a guard: it reads the mapping. */
static jade_code decode_tombs(void *arg, struct jade_err *err)
{
    const struct decode *d = arg;
    const struct jade_manifest_segment *ms = d->ms;
    struct jade_tomb *out = d->out;
    const uint8_t *p = jade_blockfile_data(d->file);
    for (uint32_t i = 0; i < d->n; i++, p += TOMB_BYTES) {
        out[i] = (struct jade_tomb){.row = jade_load_u32(p), .lsn = JADE_LSN(jade_load_u64(p + 4))};
        if (out[i].row >= ms->n_rows || (i > 0 && out[i].row <= out[i - 1].row)) {
            return jade_fail(err, JADE_E_CORRUPT,
                             "%s: tombstone %u names row %u of %u, out of order",
                             jade_blockfile_path(d->file), i, out[i].row, ms->n_rows);
        }
    }
    return JADE_OK;
}

jade_code jade_tombs_read(struct jade_os *os, const char *shard_dir,
                          const struct jade_manifest_segment *ms, struct jade_tomb **tombs_out,
                          uint32_t *n_out, struct jade_err *err)
{
    *tombs_out = NULL;
    *n_out = 0;
    if (ms->tombs_lsn.v == 0) {
        return JADE_OK;
    }
    jade_code rc = JADE_OK;
    char path[JADE_PATH_MAX];
    struct jade_blockfile *f = NULL;
    struct jade_tomb *tombs = NULL;
    JADE_TRY(jadei_tombs_path(path, shard_dir, ms->number, ms->tombs_lsn.v, err));
    rc = jade_blockfile_open(os, path, JADE_BF_TOMBS, ms->number, ms->tombs_crc, &f, err);
    if (rc == JADE_E_NOT_FOUND) {
        rc = jade_fail(err, JADE_E_CORRUPT, "%s: named by the manifest, but missing", path);
    }
    JADE_TRY(rc);
    JADE_TRY(jade_blockfile_verify_all(f, err));
    uint64_t n = jade_blockfile_size(f) / TOMB_BYTES;
    if (jade_blockfile_size(f) % TOMB_BYTES != 0 || n != ms->n_dead) {
        rc = jade_fail(err, JADE_E_CORRUPT, "%s: %" PRIu64 " bytes, the manifest says %u dead rows",
                       path, jade_blockfile_size(f), ms->n_dead);
        goto out;
    }
    tombs = jade_alloc(JADE_TAG_SEGMENT, (size_t)n * sizeof *tombs);
    if (tombs == NULL) {
        rc = jade_fail(err, JADE_E_NOMEM, "%s: %" PRIu64 " tombstones", path, n);
        goto out;
    }
    struct decode d = {.file = f, .ms = ms, .out = tombs, .n = (uint32_t)n};
    JADE_TRY(jade_guard_run(decode_tombs, &d, path, err));
    *tombs_out = tombs;
    *n_out = (uint32_t)n;
    tombs = NULL;
out:
    jade_free(tombs);
    jade_blockfile_close(f);
    return rc;
}
