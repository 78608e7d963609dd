/*
 * Superblock slot, CURRENT, manifest, segment descriptor. The first byte chooses, and whether the checksum is made right first, so that
 * the checks behind it are reached. Invariants: nothing is read outside; what is taken is written again with the same bytes.
 */
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "format/manifest.h"

enum { CRC_AT = 12, MAKE_CRC_RIGHT = 0x80 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void make_crc_right(uint8_t *p, size_t n)
{
    if (n >= CRC_AT + 4) {
        memset(p + CRC_AT, 0, 4);
        jade_store_u32(p + CRC_AT, jade_crc32c(0, p, n));
    }
}

static void superblock(const uint8_t *p, size_t n)
{
    struct jade_superblock s;
    uint8_t again[JADE_SUPER_SLOT_BYTES];
    if (n == JADE_SUPER_SLOT_BYTES && jade_superblock_decode(p, &s, NULL) == JADE_OK) {
        jade_superblock_encode(&s, again);
        JADE_ASSERT(memcmp(p, again, sizeof again) == 0);
    }
}

static void current(const uint8_t *p, size_t n)
{
    struct jade_current c;
    uint8_t again[JADE_CURRENT_BYTES];
    if (jade_current_decode(p, n, &c, NULL) == JADE_OK) {
        jade_current_encode(&c, again);
        JADE_ASSERT(n == sizeof again && memcmp(p, again, sizeof again) == 0);
    }
}

static void manifest(const uint8_t *p, size_t n, struct jade_buf *again)
{
    struct jade_manifest m;
    if (jade_manifest_decode(p, n, &m, NULL) == JADE_OK) {
        JADE_ASSERT(jade_manifest_encode(&m, again, NULL) == JADE_OK);
        JADE_ASSERT(again->len == n && memcmp(again->data, p, n) == 0);
        jade_manifest_release(&m);
    } else {
        JADE_ASSERT(m.segments == NULL);
    }
}

static void segment(const uint8_t *p, size_t n, struct jade_buf *again)
{
    static struct jade_segment_desc d;
    if (jade_segment_desc_decode(p, n, &d, NULL) == JADE_OK) {
        JADE_ASSERT(jade_segment_desc_encode(&d, again, NULL) == JADE_OK);
        JADE_ASSERT(again->len == n && memcmp(again->data, p, n) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    size_t n = size - 1;
    uint8_t *p =
        jade_alloc(JADE_TAG_TEST, n); /* of the exact size: the sanitizer sees a read outside */
    struct jade_buf again;
    JADE_ASSERT(p != NULL);
    memcpy(p, data + 1, n);
    jade_buf_init(&again, JADE_TAG_TEST);
    if ((data[0] & MAKE_CRC_RIGHT) != 0) {
        make_crc_right(p, n);
    }
    switch (data[0] % 4) {
    case 0:
        superblock(p, n);
        break;
    case 1:
        current(p, n);
        break;
    case 2:
        manifest(p, n, &again);
        break;
    default:
        segment(p, n, &again);
        break;
    }
    jade_buf_release(&again);
    jade_free(p);
    return 0;
}
