/*
 * What the golden files of format version 1 hold. make_golden.c wrote them from here once; test_golden.c reads them for ever and
 * compares with the same values. A value or a file here never changes: a new version of a format gets a new folder.
 */
#ifndef JADE_TEST_GOLDEN_V1_H
#define JADE_TEST_GOLDEN_V1_H

#include <string.h>

#include "format/manifest.h"
#include "format/record.h"

static const struct jade_superblock golden_superblock = {
    .sequence = 0x0102030405060708,
    .copy = {{0x10, 0x21, 0x32, 0x43, 0x54, 0x65, 0x46, 0x87, 0x98, 0xa9, 0xba, 0xcb, 0xdc, 0xed,
              0xfe, 0x0f}},
    .lineage = {{1, 2, 3, 4, 5, 6, 0x47, 8, 0x89, 10, 11, 12, 13, 14, 15, 16}},
    .boot_count = 42,
    .adopted_epoch = {7},
    .durable = {0x1122334455667788},
    .clean = 1,
};

static const struct jade_current golden_current = {.manifest = 987654321012345678,
                                                   .manifest_crc = 0xcafebabe};

/* Not static const: struct jade_manifest owns its list. */
static inline struct jade_manifest golden_manifest(void)
{
    static struct jade_manifest_segment segments[3] = {
        {.number = 3, .n_rows = 100000, .desc_crc = 0x01234567, .tombs_lsn = {0}},
        {.number = 9,
         .n_rows = 1u << 30,
         .desc_crc = 0x89abcdef,
         .tombs_lsn = {0x0fedcba987654321},
         .tombs_crc = 0xdeadbeef,
         .n_dead = 65537},
        {.number = 4,
         .n_rows = 1,
         .desc_crc = 0xffffffff,
         .tombs_lsn = {12},
         .tombs_crc = 0,
         .n_dead = 1},
    };
    return (struct jade_manifest){
        .number = 17,
        .checkpoint = {0x0fedcba987654322},
        .checkpoint_epoch = {5},
        .next_segment = 10,
        .wal_generation_min = 8,
        .n_segments = 3,
        .segments = segments,
    };
}

static inline struct jade_manifest golden_manifest_empty(void)
{
    return (struct jade_manifest){.number = 1, .next_segment = 1, .wal_generation_min = 1};
}

static const struct jade_segment_desc golden_segment = {
    .number = 9,
    .n_rows = 1u << 30,
    .dim = 16384,
    .metric = 2,
    .lsn_min = {1000},
    .lsn_max = {0x0fedcba987654321},
    .n_files = 3,
    .files =
        {
            {.name = "vectors.0", .kind = 0x30434556, .crc = 0x11223344, .size = 0x4000001000},
            {.name = "ids", .kind = 0x30534449, .crc = 0x55667788, .size = 4160},
            {.name = "a-name-of-31-characters_0123456", .kind = 1, .crc = 2, .size = 3},
        },
};

/* Small, negative, subnormal, largest, smallest, and one that needs nine digits. */
static const float golden_values[8] = {
    0.0f, -0.0f, 1.0f, -1.5f, 1e-45f, 3.40282347e38f, -1.17549435e-38f, 0.123456791f};

enum { GOLDEN_ROWS = 3, GOLDEN_IDS = 2 };

#define GOLDEN_ID       "vect\xC3\xB6r-\xE5\x90\x91\xE9\x87\x8F-\xF0\x9F\x92\x8E-e\xCC\x81"
#define GOLDEN_METADATA "{\"tag\":[1,2.5,null],\"text\":\"\xE5\x90\x91\"}"

static const struct jade_row golden_rows[GOLDEN_ROWS] = {
    {.id = "a", .id_len = 1, .values = golden_values, .dim = 1, .time_us = 0},
    /* Latin, CJK, an emoji beyond the first plane, a combining accent */
    {.id = GOLDEN_ID,
     .id_len = sizeof GOLDEN_ID - 1,
     .values = golden_values,
     .dim = 8,
     .metadata = GOLDEN_METADATA,
     .metadata_len = sizeof GOLDEN_METADATA - 1,
     .time_us = 1759924800123456},
    {.id = "third",
     .id_len = 5,
     .values = golden_values + 1,
     .dim = 7,
     .metadata = "{}",
     .metadata_len = 2,
     .time_us = -62135596800000000},
};

static const char *const golden_deleted[GOLDEN_IDS] = {"a", "\xF0\x9F\x92\x8E"};
static const int64_t golden_delete_time_us = 1759924800999999;

/* Of the WAL records; size and crc are made by the encoder. */
static const struct jade_wal_header golden_upsert_header = {
    .lsn = {0x0102030405060708},
    .epoch = {0x1112131415161718},
    .generation = 0x2122232425262728,
    .durable = {0x0102030405060700},
    .request = {{0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd,
                 0xfe, 0xff}},
    .type = JADE_RECORD_UPSERT,
    .prev_crc = 0x31323334,
};
static const struct jade_wal_header golden_delete_header = {
    .lsn = {2},
    .generation = 1,
    .durable = {1},
    .type = JADE_RECORD_DELETE,
    .prev_crc = 0x41424344,
};

/* Payload of golden_rows. */
static inline void golden_upsert_payload(struct jade_buf *b)
{
    jade_record_upsert_begin(b, GOLDEN_ROWS);
    for (int i = 0; i < GOLDEN_ROWS; i++) {
        jade_record_upsert_row(b, &golden_rows[i]);
    }
}

static inline void golden_delete_payload(struct jade_buf *b)
{
    jade_record_delete_begin(b, GOLDEN_IDS, golden_delete_time_us);
    for (int i = 0; i < GOLDEN_IDS; i++) {
        jade_record_delete_id(b, golden_deleted[i], (uint32_t)strlen(golden_deleted[i]));
    }
}

/* A record as it lies in a WAL file: header, payload, zeros up to JADE_WAL_ALIGN. */
static inline void golden_wal_record(struct jade_buf *out, const struct jade_wal_header *from,
                                     const struct jade_buf *payload)
{
    struct jade_wal_header h = *from;
    uint8_t head[JADE_WAL_HEADER_BYTES];
    h.size = (uint32_t)payload->len;
    jade_wal_header_encode(&h, payload->data, head);
    jade_buf_append(out, head, sizeof head);
    jade_buf_append(out, payload->data, payload->len);
    while (out->len < jade_wal_record_bytes(h.size)) {
        jade_buf_append_byte(out, 0);
    }
}

/* One row with two named fields, "title" and "image": the format has room for it, version 1 of the program refuses it. */
static inline void golden_named_fields_payload(struct jade_buf *b)
{
    jade_put_u16(b, 1); /* version */
    jade_put_u16(b, 0);
    jade_put_u32(b, 1);  /* rows */
    jade_put_u32(b, 72); /* bytes of this one: 24 + 24 + 20 + 2, rounded up */
    jade_put_u16(b, 2);  /* id */
    jade_put_u8(b, 2);   /* fields */
    jade_put_u8(b, 0);
    jade_put_i64(b, 1);
    jade_put_u32(b, 0); /* metadata */
    jade_put_u32(b, 0);
    const char *names[2] = {"title\0\0\0", "image\0\0\0"};
    for (uint32_t f = 0; f < 2; f++) {
        jade_put_u8(b, 5); /* name */
        jade_put_u8(b, JADE_FIELD_DENSE);
        jade_put_u8(b, JADE_ELEM_F32);
        jade_put_u8(b, 0);
        jade_put_u32(b, 2 - f);
        jade_buf_append(b, names[f], 8);
        jade_buf_append(b, golden_values + 2, (2 - f) * sizeof(float));
    }
    jade_buf_append(b, "ab", 2);
    while ((b->len - 8) % 8 != 0) {
        jade_buf_append_byte(b, 0);
    }
}

#endif
