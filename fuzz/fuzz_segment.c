/*
 * Block files, segment folders and tombstones of any content. The first byte chooses: a block file as it is; a block file whose
 * header, table and footer are made sound around the given fields; a descriptor (checksum made right) over sound files;
 * tombstones of any bytes. Invariants: nothing is read outside; what verifies can be read whole; tombstones that are taken
 * are in order and within the rows.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "format/codec.h"
#include "os/sim.h"
#include "store/segment_dir.h"

enum { SEGMENT = 1, HEADER = 4096, FOOTER = 64, BODY_MAX = 1 << 18 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void place(struct jade_os *os, const char *path, const uint8_t *p, size_t n)
{
    struct jade_file *f = NULL;
    JADE_ASSERT(jade_file_open(os, path, JADE_OPEN_CREATE, &f, NULL) == JADE_OK);
    JADE_ASSERT(jade_file_write(f, 0, p, n, NULL) == JADE_OK);
    jade_file_close(f);
}

static void read_whole(struct jade_blockfile *f)
{
    volatile uint8_t sum = 0;
    uint64_t n = jade_blockfile_size(f);
    for (uint64_t i = 0; i < n; i++) {
        sum = (uint8_t)(sum + jade_blockfile_data(f)[i]);
    }
}

static void open_block_file(struct jade_os *os, const char *path)
{
    struct jade_blockfile *f = NULL;
    struct jade_err err = {0};
    jade_code rc = jade_blockfile_open(os, path, JADE_BF_IDS, SEGMENT, 0, &f, &err);
    JADE_ASSERT(rc == JADE_OK || rc == JADE_E_CORRUPT || rc == JADE_E_VERSION);
    if (rc != JADE_OK) {
        JADE_ASSERT(f == NULL && err.code == rc);
        return;
    }
    uint64_t n = jade_blockfile_size(f);
    (void)jade_blockfile_check(f, n / 2, n - n / 2, NULL);
    JADE_ASSERT(jade_blockfile_check(f, n, 1, NULL) == JADE_E_CORRUPT);
    if (jade_blockfile_verify_all(f, NULL) == JADE_OK) {
        read_whole(f);
    }
    jade_blockfile_close(f);
}

/* header fields | footer fields | body: payload, padding and table, wherever the footer puts the border */
static void shaped_block_file(struct jade_os *os, struct jade_reader *r)
{
    static uint8_t image[HEADER + BODY_MAX + FOOTER];
    const uint8_t *head = jade_get_bytes(r, 20), *foot = jade_get_bytes(r, 32);
    if (r->bad) {
        return;
    }
    size_t n = jade_reader_left(r);
    n = n > BODY_MAX ? BODY_MAX : n;
    memset(image, 0, HEADER + n + FOOTER);
    memcpy(image, "JADEBLK1", 8);
    memcpy(image + 8, head, 20);
    jade_store_u32(image + 4092, jade_crc32c(0, image, 4092));
    memcpy(image + HEADER, jade_get_bytes(r, n), n);
    uint8_t *end = image + HEADER + n;
    memcpy(end, "JADEBEND", 8);
    memcpy(end + 8, foot, 32);
    uint64_t table = 4 * (uint64_t)jade_load_u32(end + 36);
    if (table <= n) {
        jade_store_u32(end + 32, jade_crc32c(0, end - table, table));
    }
    jade_store_u32(end + 60, jade_crc32c(0, end, 60));
    place(os, "f", image, HEADER + n + FOOTER);
    open_block_file(os, "f");
}

static void write_sound(struct jade_os *os, const char *path, uint32_t kind, const uint8_t *p,
                        size_t n, uint32_t *crc_out)
{
    struct jade_blockfile_writer *w = NULL;
    uint64_t size;
    JADE_ASSERT(jade_blockfile_writer_new(os, path, kind, SEGMENT, &w, NULL) == JADE_OK);
    JADE_ASSERT(jade_blockfile_append(w, p, n, NULL) == JADE_OK);
    JADE_ASSERT(jade_blockfile_finish(w, crc_out, &size, NULL) == JADE_OK);
}

/* A descriptor of any content beside two sound files. Footer checksums in it are set right for files it names rightly. */
static void descriptor(struct jade_os *os, const uint8_t *data, size_t n)
{
    static uint8_t raw[65536];
    uint32_t ids_crc, rows_crc;
    struct jade_segment_dir *dir = NULL;
    write_sound(os, "shard/segments/1/ids", JADE_BF_IDS, (const uint8_t *)"abc", 3, &ids_crc);
    write_sound(os, "shard/segments/1/rows", JADE_BF_ROWS, (const uint8_t *)"defg", 4, &rows_crc);
    n = n > sizeof raw ? sizeof raw : n;
    memcpy(raw, data, n);
    for (size_t at = 64; at + 48 <= n; at += 48) {
        uint32_t crc = memcmp(raw + at + 16, "ids", 4) == 0    ? ids_crc
                       : memcmp(raw + at + 16, "rows", 5) == 0 ? rows_crc
                                                               : jade_load_u32(raw + at + 4);
        jade_store_u32(raw + at + 4, crc);
    }
    if (n >= 16) {
        memset(raw + 12, 0, 4);
        jade_store_u32(raw + 12, jade_crc32c(0, raw, n));
    }
    place(os, "shard/segments/1/SEGMENT", raw, n);
    struct jade_manifest_segment ms = {.number = SEGMENT,
                                       .desc_crc = jade_crc32c(0, raw, n),
                                       .n_rows = n >= 44 ? jade_load_u32(raw + 40) : 0};
    struct jade_err err = {0};
    jade_code rc = jade_segment_dir_open(os, "shard", &ms, &dir, &err);
    JADE_ASSERT(rc == JADE_OK || rc == JADE_E_CORRUPT || rc == JADE_E_VERSION);
    if (rc == JADE_OK) {
        JADE_ASSERT(jade_segment_dir_verify_all(dir, NULL) == JADE_OK);
        jade_segment_dir_close(dir);
    }
}

static void tombstones(struct jade_os *os, const uint8_t *p, size_t n)
{
    struct jade_manifest_segment ms = {
        .number = SEGMENT, .n_rows = 1000, .tombs_lsn = {5}, .n_dead = (uint32_t)(n / 12)};
    struct jade_tomb *tombs = NULL;
    uint32_t n_tombs = 0;
    write_sound(os, "shard/segments/1/tombs-5", JADE_BF_TOMBS, p, n, &ms.tombs_crc);
    jade_code rc = jade_tombs_read(os, "shard", &ms, &tombs, &n_tombs, NULL);
    JADE_ASSERT(rc == JADE_OK || rc == JADE_E_CORRUPT);
    JADE_ASSERT(rc == JADE_OK || tombs == NULL);
    JADE_ASSERT(rc != JADE_OK || n_tombs * 12 == n);
    for (uint32_t i = 0; rc == JADE_OK && i < n_tombs; i++) {
        JADE_ASSERT(tombs[i].row < 1000 && (i == 0 || tombs[i - 1].row < tombs[i].row));
    }
    jade_free(tombs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jade_sim *disk = NULL;
    if (size == 0) {
        return 0;
    }
    JADE_ASSERT(jade_sim_new(1, &disk, NULL) == JADE_OK);
    struct jade_os *os = jade_sim_os(disk);
    JADE_ASSERT(jade_os_mkdirs(os, "shard/segments/1", NULL) == JADE_OK);
    struct jade_reader r = jade_reader_of(data + 1, size - 1);
    switch (data[0] % 4) {
    case 0:
        place(os, "f", data + 1, size - 1);
        open_block_file(os, "f");
        break;
    case 1:
        shaped_block_file(os, &r);
        break;
    case 2:
        descriptor(os, data + 1, size - 1);
        break;
    default:
        tombstones(os, data + 1, size - 1);
        break;
    }
    jade_sim_free(disk);
    return 0;
}
