/*
 * Recovery of the log over files of any content. The input is a list of files, each a few header fields (the page around them is
 * made sound when asked, since no fuzzer guesses a checksum) and the bytes of the record area (their checksums are made right
 * when asked). Invariants: recovery never reads outside; looking only changes nothing and judges the same; a refused log keeps
 * every byte; an opened one opens again with the same end, and goes on.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "format/codec.h"
#include "os/sim.h"
#include "store/wal.h"

enum {
    FILES_MAX = 4,
    AREA_MAX = 4096,
    PAGE = 4096,
    FILE_BYTES = 8192,
    PAGE_SOUND = 1,
    RECORDS_SOUND = 2,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct jade_uuid SHARD = {.b = {7}};

/* Gives every record that fits in the area its magic and its right checksum, and the chain when prev_crc says 0. */
static void make_records_sound(uint8_t *p, size_t n, uint64_t generation)
{
    uint32_t prev = 0;
    for (size_t at = 0; at + JADE_WAL_HEADER_BYTES <= n;) {
        uint32_t size = jade_load_u32(p + at + 4) % 200;
        size_t bytes = jade_wal_record_bytes(size);
        if (bytes > n - at) {
            return;
        }
        jade_store_u16(p + at, 0x524A);
        p[at + 2] = 1;
        p[at + 3] %= 5;
        jade_store_u32(p + at + 4, size);
        if (p[at + 24] != 0xff) {
            jade_store_u64(p + at + 24, generation);
        }
        if (jade_load_u32(p + at + 56) == 0) {
            jade_store_u32(p + at + 56, prev);
        }
        prev = jade_crc32c(jade_crc32c(0, p + at, 60), p + at + JADE_WAL_HEADER_BYTES, size);
        jade_store_u32(p + at + 60, prev);
        at += bytes;
    }
}

/* Writes one file from the input; false when the input is used up. */
static bool place_file(struct jade_os *os, struct jade_reader *r)
{
    static uint8_t image[PAGE + AREA_MAX];
    char path[32];
    struct jade_file *f = NULL;
    uint8_t flags = jade_get_u8(r), number = jade_get_u8(r), first = jade_get_u8(r);
    uint32_t prev_crc = jade_get_u32(r);
    size_t n = jade_get_u16(r) % (AREA_MAX + 1);
    const uint8_t *area = jade_get_bytes(r, n < jade_reader_left(r) ? n : jade_reader_left(r));
    if (r->bad) {
        return false;
    }
    n = (size_t)(r->p + r->pos - area);
    memset(image, 0, sizeof image);
    memcpy(image + PAGE, area, n);
    memcpy(image, "JADEWAL1", 8);
    jade_store_u32(image + 8, 1);
    memcpy(image + 16, SHARD.b, sizeof SHARD.b);
    jade_store_u64(image + 32, number);
    jade_store_u64(image + 40, first);
    jade_store_u32(image + 48, prev_crc);
    jade_store_u32(image + 4092, jade_crc32c(0, image, 4092) ^ !(flags & PAGE_SOUND));
    if ((flags & RECORDS_SOUND) != 0) {
        make_records_sound(image + PAGE, n, number);
    }
    (void)snprintf(path, sizeof path, "wal/%u.wal", number);
    if (jade_file_open(os, path, JADE_OPEN_CREATE, &f, NULL) == JADE_OK) {
        JADE_ASSERT(jade_file_write(f, 0, image, (flags & 4) != 0 ? sizeof image : PAGE + n,
                                    NULL) == JADE_OK);
        jade_file_close(f);
    }
    return true;
}

static jade_code sum_file(void *ctx, const char *name, bool is_dir, struct jade_err *err)
{
    struct {
        struct jade_os *os;
        uint64_t sum;
    } *state = ctx;
    char path[64];
    uint8_t *p = NULL;
    size_t n;
    (void)is_dir;
    (void)snprintf(path, sizeof path, "wal/%s", name);
    jade_code rc = jade_os_read_file(state->os, path, 1 << 24, &p, &n, err);
    if (rc == JADE_OK) {
        state->sum += jade_hash64(p, n, jade_hash64(name, strlen(name), 0));
    }
    jade_free(p);
    return rc;
}

static uint64_t fingerprint(struct jade_os *os)
{
    struct {
        struct jade_os *os;
        uint64_t sum;
    } state = {.os = os};
    JADE_ASSERT(jade_os_list(os, "wal", sum_file, &state, NULL) == JADE_OK);
    return state.sum;
}

/* Touches every byte of what is replayed, in order. */
struct replay {
    uint64_t next;
    uint64_t sum;
};

static jade_code replay(void *ctx, const struct jade_wal_header *h, const uint8_t *payload,
                        struct jade_err *err)
{
    struct replay *r = ctx;
    (void)err;
    JADE_ASSERT(h->lsn.v == r->next);
    r->sum = jade_hash64(payload, h->size, r->sum);
    r->next++;
    return JADE_OK;
}

static jade_code open_log(struct jade_wal_opts *opts, bool read_only, struct replay *r,
                          struct jade_wal **out)
{
    struct jade_err err = {0};
    struct jade_wal_recovery rec;
    *r = (struct replay){.next = opts->after.v + 1};
    opts->read_only = read_only;
    jade_code rc = jade_wal_open(opts, replay, r, out, &rec, &err);
    JADE_ASSERT(rc == JADE_OK || rc == JADE_E_CORRUPT || rc == JADE_E_VERSION);
    JADE_ASSERT((rc == JADE_OK) == (*out != NULL) && err.code == rc);
    return rc;
}

static void check_log(struct jade_os *os, struct jade_wal_opts *opts)
{
    struct jade_wal *w = NULL;
    struct replay seen, again;
    struct jade_lsn lsn;
    uint64_t before = fingerprint(os);
    jade_code looked = open_log(opts, true, &seen, &w);
    JADE_ASSERT(jade_wal_close(w, NULL) == JADE_OK);
    JADE_ASSERT(fingerprint(os) == before);
    jade_code rc = open_log(opts, false, &again, &w);
    JADE_ASSERT(rc == looked);
    if (rc != JADE_OK) {
        JADE_ASSERT(fingerprint(os) == before);
        return;
    }
    JADE_ASSERT(again.next == seen.next && again.sum == seen.sum);
    JADE_ASSERT(jade_wal_last(w).v == seen.next - 1);
    JADE_ASSERT(jade_wal_append(w, JADE_RECORD_NOOP, (struct jade_epoch){0}, SHARD, "x", 1, &lsn,
                                NULL) == JADE_OK);
    JADE_ASSERT(jade_wal_close(w, NULL) == JADE_OK);
    opts->durable_mark = lsn;
    JADE_ASSERT(open_log(opts, false, &again, &w) == JADE_OK);
    JADE_ASSERT(again.next == seen.next + 1);
    JADE_ASSERT(jade_wal_close(w, NULL) == JADE_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jade_sim *disk = NULL;
    struct jade_reader r = jade_reader_of(data, size);
    JADE_ASSERT(jade_sim_new(1, &disk, NULL) == JADE_OK);
    struct jade_os *os = jade_sim_os(disk);
    JADE_ASSERT(jade_os_mkdirs(os, "wal", NULL) == JADE_OK);
    struct jade_wal_opts opts = {
        .os = os,
        .dir = "wal",
        .shard = SHARD,
        .after = JADE_LSN(jade_get_u8(&r)),
        .durable_mark = JADE_LSN(jade_get_u8(&r)),
        .generation_min = jade_get_u8(&r),
        .file_bytes = FILE_BYTES,
    };
    for (unsigned i = 0; i < FILES_MAX && place_file(os, &r); i++) {
    }
    check_log(os, &opts);
    jade_sim_free(disk);
    return 0;
}
