/*
 * One file of the log: its name, its header page, its making.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "format/codec.h"
#include "store/store_private.h"
#include "store/wal_private.h"

static const char MAGIC[8] = "JADEWAL1";

jade_code jadei_wal_path(char out[JADE_PATH_MAX], const char *dir, uint64_t generation,
                         struct jade_err *err)
{
    char name[JADEI_DECIMAL_MAX + sizeof ".wal"];
    (void)snprintf(name, sizeof name, "%" PRIu64 ".wal", generation);
    return jade_path_join(out, dir, name, err);
}

static void encode_page(const struct jade_wal *w, const struct jadei_wal_file *f,
                        uint8_t page[JADEI_WAL_PAGE_BYTES])
{
    memset(page, 0, JADEI_WAL_PAGE_BYTES);
    memcpy(page, MAGIC, sizeof MAGIC);
    jade_store_u32(page + 8, JADEI_WAL_VERSION);
    memcpy(page + 16, w->shard.b, sizeof w->shard.b);
    jade_store_u64(page + 32, f->generation);
    jade_store_u64(page + 40, f->first);
    jade_store_u32(page + 48, f->prev_crc);
    jade_store_u32(page + JADEI_WAL_PAGE_CRC_AT, jade_crc32c(0, page, JADEI_WAL_PAGE_CRC_AT));
}

/* Only for a page whose checksum is right: what it says was meant, so a wrong value is no torn write. */
static jade_code check_page(const struct jade_wal *w, const uint8_t *page, uint64_t generation,
                            struct jade_err *err)
{
    if (jade_load_u32(page + 8) != JADEI_WAL_VERSION) {
        return jade_fail(err, JADE_E_VERSION,
                         "wal file %" PRIu64 ": version %u, this build reads %d", generation,
                         jade_load_u32(page + 8), JADEI_WAL_VERSION);
    }
    if (memcmp(page + 16, w->shard.b, sizeof w->shard.b) != 0) {
        return jade_fail(err, JADE_E_CORRUPT,
                         "wal file %" PRIu64 ": offset 16: belongs to another shard (in %s)",
                         generation, w->dir);
    }
    uint64_t first = jade_load_u64(page + 40);
    if (jade_load_u64(page + 32) != generation || first == 0 || first > JADEI_WAL_NUMBER_MAX ||
        generation > JADEI_WAL_NUMBER_MAX) {
        return jade_fail(err, JADE_E_CORRUPT,
                         "wal file %" PRIu64 ": offset 32: says generation %" PRIu64
                         ", first LSN %" PRIu64 " (in %s)",
                         generation, jade_load_u64(page + 32), first, w->dir);
    }
    return JADE_OK;
}

jade_code jadei_wal_read_header(const struct jade_wal *w, uint64_t generation,
                                struct jadei_wal_file *f, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_file *file = NULL;
    char path[JADE_PATH_MAX];
    uint8_t page[JADEI_WAL_PAGE_BYTES];
    size_t n = 0;
    *f = (struct jadei_wal_file){.generation = generation};
    JADE_TRY(jadei_wal_path(path, w->dir, generation, err));
    JADE_TRY(jade_file_open(w->os, path, JADE_OPEN_READ, &file, err));
    JADE_TRY(jade_file_read_some(file, 0, page, sizeof page, &n, err));
    if (n < sizeof page || memcmp(page, MAGIC, sizeof MAGIC) != 0 ||
        jade_crc32c(0, page, JADEI_WAL_PAGE_CRC_AT) !=
            jade_load_u32(page + JADEI_WAL_PAGE_CRC_AT)) {
        goto out; /* not valid: whether that is a torn roll or damage, recovery decides */
    }
    JADE_TRY(check_page(w, page, generation, err));
    f->valid = true;
    f->first = jade_load_u64(page + 40);
    f->prev_crc = jade_load_u32(page + 48);
out:
    jade_file_close(file);
    return rc;
}

jade_code jadei_wal_create(const struct jade_wal *w, uint64_t generation, uint64_t size,
                           struct jade_file **out, struct jade_err *err)
{
    *out = NULL;
    jade_code rc = JADE_OK;
    struct jade_file *file = NULL;
    char path[JADE_PATH_MAX];
    JADE_TRY(jadei_wal_path(path, w->dir, generation, err));
    rc = jade_file_open(w->os, path, JADE_OPEN_CREATE, &file, err);
    if (rc == JADE_E_ALREADY_EXISTS) {
        /* Left by a roll that failed in this process and could not clean up: its header was never written. */
        JADE_TRY(jade_os_unlink(w->os, path, err));
        rc = jade_file_open(w->os, path, JADE_OPEN_CREATE, &file, err);
    }
    JADE_TRY(rc);
    rc = jade_file_allocate(file, size, err);
    if (rc != JADE_OK) {
        jade_file_close(file);
        (void)jade_os_unlink(w->os, path, NULL);
        return rc;
    }
    *out = file;
out:
    return rc;
}

jade_code jadei_wal_write_page(const struct jade_wal *w, struct jade_file *file,
                               const struct jadei_wal_file *f, struct jade_err *err)
{
    uint8_t page[JADEI_WAL_PAGE_BYTES];
    encode_page(w, f, page);
    return jade_file_write(file, 0, page, sizeof page, err);
}

jade_code jadei_wal_begin(const struct jade_wal *w, struct jade_file *file, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    JADE_TRY(jade_file_sync(file, err));
    JADE_TRY(jade_os_sync_dir(w->os, w->dir, err));
out:
    return rc;
}

jade_code jadei_wal_reserve(struct jade_wal *w, struct jade_err *err)
{
    if (w->n_files == w->cap_files) {
        size_t cap = w->cap_files == 0 ? 8 : 2 * w->cap_files;
        struct jadei_wal_file *grown = jade_realloc(JADE_TAG_WAL, w->files, cap * sizeof *grown);
        if (grown == NULL) {
            return jade_fail(err, JADE_E_NOMEM, "list of %zu wal files", cap);
        }
        w->files = grown;
        w->cap_files = cap;
    }
    return JADE_OK;
}

uint64_t jadei_wal_end(const struct jade_wal *w, size_t i)
{
    uint64_t end = UINT64_MAX;
    for (size_t later = i + 1; later < w->n_files; later++) {
        if (w->files[later].valid && w->files[later].first < end) {
            end = w->files[later].first;
        }
    }
    return end;
}
