/*
 * Publishing and loading the manifest: two replaced files, MANIFEST-<n> first, CURRENT (which names it with its checksum) second.
 * The second rename is the moment at which the new state becomes the truth.
 */
#include "store/manifest_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "store/store_private.h"

/* JADE_SEGMENTS_MAX segments of well under 200 bytes each. */
#define MANIFEST_BYTES_MAX (1024u * 1024u)
#define CURRENT_NAME       "CURRENT"
#define MANIFEST_PREFIX    "MANIFEST-"

static jade_code manifest_path(char out[JADE_PATH_MAX], const char *shard_dir, uint64_t number,
                               struct jade_err *err)
{
    char name[sizeof MANIFEST_PREFIX + JADEI_DECIMAL_MAX];
    (void)snprintf(name, sizeof name, MANIFEST_PREFIX "%" PRIu64, number);
    return jade_path_join(out, shard_dir, name, err);
}

static jade_code current_load(struct jade_os *os, const char *shard_dir, struct jade_current *out,
                              struct jade_err *err)
{
    jade_code rc = JADE_OK;
    uint8_t *raw = NULL;
    size_t n = 0;
    char path[JADE_PATH_MAX];
    JADE_TRY(jade_path_join(path, shard_dir, CURRENT_NAME, err));
    rc = jade_os_read_file(os, path, JADE_CURRENT_BYTES, &raw, &n, err);
    if (rc == JADE_E_TOO_LARGE) {
        rc = jade_fail(err, JADE_E_CORRUPT, "%s: more than %d bytes", path, JADE_CURRENT_BYTES);
    }
    if (rc != JADE_OK) {
        goto out;
    }
    rc = jade_current_decode(raw, n, out, err);
    if (rc != JADE_OK) {
        rc = jade_err_wrap(err, rc, "%s", path);
    }
out:
    jade_free(raw);
    return rc;
}

static jade_code check_against_current(const struct jade_current *current, const char *path,
                                       const uint8_t *raw, size_t n, struct jade_err *err)
{
    uint32_t crc = jade_crc32c(0, raw, n);
    if (crc != current->manifest_crc) {
        return jade_fail(err, JADE_E_CORRUPT, "%s: checksum is %08x, CURRENT says %08x", path, crc,
                         current->manifest_crc);
    }
    return JADE_OK;
}

jade_code jade_manifest_load(struct jade_os *os, const char *shard_dir, struct jade_manifest *out,
                             struct jade_err *err)
{
    memset(out, 0, sizeof *out);
    jade_code rc = JADE_OK;
    struct jade_current current;
    uint8_t *raw = NULL;
    size_t n = 0;
    char path[JADE_PATH_MAX];
    JADE_TRY(current_load(os, shard_dir, &current, err));
    /*
     * A process that was killed between the rename of CURRENT and the sync of the folder leaves a name in the page cache only.
     * Whoever loads it will remove what it does not name, so it has to be stable first.
     */
    JADE_TRY(jade_os_sync_dir(os, shard_dir, err));
    JADE_TRY(manifest_path(path, shard_dir, current.manifest, err));
    rc = jade_os_read_file(os, path, MANIFEST_BYTES_MAX, &raw, &n, err);
    if (rc == JADE_E_NOT_FOUND || rc == JADE_E_TOO_LARGE) {
        /* CURRENT names it, so it was there: NOT_FOUND would read as "never finished" */
        rc = jade_fail(err, JADE_E_CORRUPT, "%s: named by CURRENT, but %s", path,
                       rc == JADE_E_NOT_FOUND ? "missing" : "too large");
    }
    if (rc != JADE_OK) {
        goto out;
    }
    JADE_TRY(check_against_current(&current, path, raw, n, err));
    rc = jade_manifest_decode(raw, n, out, err);
    if (rc != JADE_OK) {
        rc = jade_err_wrap(err, rc, "%s", path);
        goto out;
    }
    if (out->number != current.manifest) {
        rc = jade_fail(err, JADE_E_CORRUPT, "%s: says it is number %" PRIu64, path, out->number);
        jade_manifest_release(out);
        memset(out, 0, sizeof *out);
    }
out:
    jade_free(raw);
    return rc;
}

/* The number must grow: a lower one would let a crash choose between two manifests of one number. */
static jade_code check_number(struct jade_os *os, const char *shard_dir, uint64_t number,
                              struct jade_err *err)
{
    struct jade_current current;
    struct jade_err why = {0};
    jade_code rc = current_load(os, shard_dir, &current, &why);
    if (rc == JADE_E_NOT_FOUND) {
        return JADE_OK;
    }
    if (rc != JADE_OK) {
        if (err != NULL) {
            *err = why;
        }
        return rc;
    }
    if (number <= current.manifest) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "number",
                               "manifest %" PRIu64 " is not above the current one, %" PRIu64,
                               number, current.manifest);
    }
    return JADE_OK;
}

/* Names of manifests that are not number `keep`, each with its NUL; a publish that was cut leaves MANIFEST-<n>.tmp. */
struct others {
    uint64_t keep;
    struct jade_buf names;
};

static jade_code note_manifest(void *ctx, const char *name, bool is_dir, struct jade_err *err)
{
    struct others *others = ctx;
    size_t skip = strlen(MANIFEST_PREFIX);
    uint64_t number;
    (void)err;
    if (is_dir || strncmp(name, MANIFEST_PREFIX, skip) != 0) {
        return JADE_OK;
    }
    bool whole = jadei_parse_decimal(name + skip, "", &number);
    if ((whole && number != others->keep) || jadei_parse_decimal(name + skip, ".tmp", &number)) {
        jade_buf_append(&others->names, name, strlen(name) + 1);
    }
    return JADE_OK;
}

/* Best effort: a manifest that stays is only garbage, the next publish removes it. */
static void remove_others(struct jade_os *os, const char *shard_dir, uint64_t keep)
{
    struct others others = {.keep = keep};
    jade_buf_init(&others.names, JADE_TAG_OTHER);
    if (jade_os_list(os, shard_dir, note_manifest, &others, NULL) == JADE_OK &&
        !others.names.failed) {
        for (size_t at = 0; at < others.names.len;) {
            const char *name = (const char *)others.names.data + at;
            char path[JADE_PATH_MAX];
            if (jade_path_join(path, shard_dir, name, NULL) == JADE_OK) {
                (void)jade_os_unlink(os, path, NULL);
            }
            at += strlen(name) + 1;
        }
    }
    jade_buf_release(&others.names);
}

/*
 * CURRENT could not be replaced. A full disk or a lack of memory tells the caller that nothing changed, so these codes are
 * kept only when CURRENT still is the old one; when the new name may be there already, the state is unknown: JADE_E_IO.
 */
static jade_code judge_failure(struct jade_os *os, const char *shard_dir, uint64_t number,
                               jade_code rc, struct jade_err *err)
{
    struct jade_current current;
    if (rc != JADE_E_NOSPACE && rc != JADE_E_NOMEM) {
        return rc;
    }
    jade_code now = current_load(os, shard_dir, &current, NULL);
    if (now == JADE_E_NOT_FOUND || (now == JADE_OK && current.manifest != number)) {
        return rc;
    }
    return jade_fail(err, JADE_E_IO, "%s: manifest %" PRIu64 " may count or not: %s", shard_dir,
                     number, jade_code_name(rc));
}

jade_code jade_manifest_publish(struct jade_os *os, const char *shard_dir,
                                const struct jade_manifest *m, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_buf raw;
    uint8_t current_raw[JADE_CURRENT_BYTES];
    char path[JADE_PATH_MAX];
    jade_buf_init(&raw, JADE_TAG_OTHER);
    JADE_TRY(check_number(os, shard_dir, m->number, err));
    JADE_TRY(jade_manifest_encode(m, &raw, err));
    JADE_TRY(jade_buf_status(&raw, err));
    JADE_TRY(manifest_path(path, shard_dir, m->number, err));
    JADE_TRY(jade_os_replace(os, path, raw.data, raw.len, err));
    struct jade_current current = {.manifest = m->number,
                                   .manifest_crc = jade_crc32c(0, raw.data, raw.len)};
    jade_current_encode(&current, current_raw);
    JADE_TRY(jade_path_join(path, shard_dir, CURRENT_NAME, err));
    rc = jade_os_replace(os, path, current_raw, sizeof current_raw, err);
    if (rc != JADE_OK) {
        rc = judge_failure(os, shard_dir, m->number, rc, err);
        goto out;
    }
    remove_others(os, shard_dir, m->number);
out:
    jade_buf_release(&raw);
    return rc;
}
