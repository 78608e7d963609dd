/* Superblock, CURRENT and manifest, and the prefix that they share (seal.c). */
#include "format_test.h"

#include "base/hash.h"
#include "format/manifest.h"

static struct jade_manifest_segment segments[3] = {
    {.number = 1, .n_rows = 10, .desc_crc = 0xAAAA},
    {.number = 2, .n_rows = 20, .desc_crc = 0xBBBB, .tombs_lsn = {9}, .tombs_crc = 7, .n_dead = 20},
    {.number = 5, .n_rows = 30, .desc_crc = 0xCCCC},
};

static struct jade_manifest sample(void)
{
    return (struct jade_manifest){
        .number = 4,
        .checkpoint = {100},
        .checkpoint_epoch = {2},
        .next_segment = 6,
        .wal_generation_min = 3,
        .n_segments = 3,
        .segments = segments,
    };
}

static void encode(const struct jade_manifest *m, struct jade_buf *out)
{
    jade_buf_init(out, JADE_TAG_TEST);
    assert_int_equal(jade_manifest_encode(m, out, NULL), JADE_OK);
}

/* Puts the right checksum over changed bytes, so that the checks behind it are reached. */
static void reseal(uint8_t *p, size_t n)
{
    memset(p + 12, 0, 4);
    jade_store_u32(p + 12, jade_crc32c(0, p, n));
}

static void manifest_every_damaged_bit_is_corrupt(void **state)
{
    (void)state;
    struct jade_manifest m = sample();
    struct jade_manifest got;
    struct jade_buf b;
    encode(&m, &b);
    for (size_t at = 0; at < b.len; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            b.data[at] = (uint8_t)(b.data[at] ^ 1u << bit);
            assert_int_equal(jade_manifest_decode(b.data, b.len, &got, NULL), JADE_E_CORRUPT);
            assert_null(got.segments);
            b.data[at] = (uint8_t)(b.data[at] ^ 1u << bit);
        }
    }
    assert_int_equal(jade_manifest_decode(b.data, b.len, &got, NULL), JADE_OK);
    jade_manifest_release(&got);
    jade_buf_release(&b);
}

static void manifest_every_truncation_is_corrupt(void **state)
{
    (void)state;
    struct jade_manifest m = sample();
    struct jade_manifest got;
    struct jade_buf b;
    encode(&m, &b);
    for (size_t n = 0; n < b.len; n++) {
        assert_int_equal(jade_manifest_decode(b.data, n, &got, NULL), JADE_E_CORRUPT);
        if (n >= 16) { /* also when whoever cut it had the checksum right */
            uint8_t copy[256];
            memcpy(copy, b.data, n);
            reseal(copy, n);
            assert_int_equal(jade_manifest_decode(copy, n, &got, NULL), JADE_E_CORRUPT);
        }
    }
    jade_buf_append(&b, "\0\0\0\0\0\0\0\0", 8);
    reseal(b.data, b.len);
    assert_int_equal(jade_manifest_decode(b.data, b.len, &got, NULL), JADE_E_CORRUPT);
    jade_buf_release(&b);
}

/* The one that names a file keeps the CRC of the whole file; it must tell two manifests apart. */
static void manifest_whole_file_crc_differs_between_contents(void **state)
{
    (void)state;
    uint32_t crcs[64];
    for (uint32_t i = 0; i < 64; i++) {
        struct jade_manifest m = sample();
        struct jade_buf b;
        m.number = i + 1;
        encode(&m, &b);
        crcs[i] = jade_crc32c(0, b.data, b.len);
        for (uint32_t j = 0; j < i; j++) {
            assert_int_not_equal(crcs[i], crcs[j]);
        }
        jade_buf_release(&b);
    }
}

static void manifest_newer_version_is_told_from_damage(void **state)
{
    (void)state;
    struct jade_manifest m = sample();
    struct jade_manifest got;
    struct jade_err err = {0};
    struct jade_buf b;
    encode(&m, &b);
    b.data[8] = 2;
    reseal(b.data, b.len);
    assert_int_equal(jade_manifest_decode(b.data, b.len, &got, &err), JADE_E_VERSION);
    assert_non_null(strstr(err.message, "version 2"));
    jade_buf_release(&b);
}

/* One word of a good manifest changed, with the right checksum over it. */
static void manifest_wrong_content_is_corrupt(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint32_t value;
        const char *why;
    } cases[] = {
        {56, 4, "count above the segments there are"},
        {56, 2, "count below the segments there are"},
        {56, 0xFFFFFFFF, "count above the limit"},
        {60, 1, "reserved word"},
        {40, 5, "segment 5 is not below next_segment 5"},
        {96, 1, "segment 1 twice"},
        {112, (1u << 30) + 1, "rows above the limit"},
        {124, 21, "more dead than rows"},
        {92, 1, "dead rows without tombstones"},
        {88, 1, "checksum of no tombstones"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct jade_manifest m = sample();
        struct jade_manifest got;
        struct jade_buf b;
        encode(&m, &b);
        jade_store_u32(b.data + cases[i].at, cases[i].value);
        reseal(b.data, b.len);
        jade_code rc = jade_manifest_decode(b.data, b.len, &got, NULL);
        if (rc != JADE_E_CORRUPT) {
            fail_msg("%s: got %s", cases[i].why, jade_code_name(rc));
        }
        jade_buf_release(&b);
    }
}

static void manifest_encoder_refuses_what_could_not_be_read(void **state)
{
    (void)state;
    struct jade_buf b;
    jade_buf_init(&b, JADE_TAG_TEST);
    struct jade_manifest m = sample();
    m.next_segment = 5;
    assert_int_equal(jade_manifest_encode(&m, &b, NULL), JADE_E_INTERNAL);
    m = sample();
    m.n_segments = JADE_SEGMENTS_MAX + 1;
    assert_int_equal(jade_manifest_encode(&m, &b, NULL), JADE_E_INTERNAL);
    assert_int_equal(b.len, 0);
    jade_buf_release(&b);
}

static void manifest_holds_the_most_segments(void **state)
{
    (void)state;
    struct jade_manifest m = sample();
    struct jade_manifest got;
    struct jade_buf b;
    m.n_segments = JADE_SEGMENTS_MAX;
    m.next_segment = JADE_SEGMENTS_MAX;
    m.segments = jade_calloc(JADE_TAG_TEST, m.n_segments, sizeof *m.segments);
    assert_non_null(m.segments);
    for (uint32_t i = 0; i < m.n_segments; i++) {
        m.segments[i].number = m.n_segments - 1 - i; /* any order */
    }
    encode(&m, &b);
    assert_int_equal(jade_manifest_decode(b.data, b.len, &got, NULL), JADE_OK);
    assert_int_equal(got.n_segments, JADE_SEGMENTS_MAX);
    assert_true(got.segments[0].number == JADE_SEGMENTS_MAX - 1);
    jade_manifest_release(&got);
    jade_free(m.segments);
    jade_buf_release(&b);
}

static void manifest_tells_when_memory_is_short(void **state)
{
    (void)state;
    struct jade_manifest m = sample();
    struct jade_manifest got;
    struct jade_buf b;
    jade_buf_init(&b, JADE_TAG_TEST);
    jade_alloc_fail_at(1);
    assert_int_equal(jade_manifest_encode(&m, &b, NULL), JADE_E_NOMEM);
    jade_buf_clear(&b);
    assert_int_equal(jade_manifest_encode(&m, &b, NULL), JADE_OK);
    jade_alloc_fail_at(1);
    assert_int_equal(jade_manifest_decode(b.data, b.len, &got, NULL), JADE_E_NOMEM);
    jade_alloc_fail_at(0);
    assert_null(got.segments);
    jade_buf_release(&b);
    assert_int_equal(jade_alloc_bytes_total(), 0);
}

/* ---- superblock ---- */

static void superblock_every_damaged_bit_is_corrupt(void **state)
{
    (void)state;
    struct jade_superblock s = {.sequence = 3, .boot_count = 9, .durable = {77}, .clean = 1};
    struct jade_superblock got;
    uint8_t raw[JADE_SUPER_SLOT_BYTES];
    jade_superblock_encode(&s, raw);
    assert_int_equal(jade_superblock_decode(raw, &got, NULL), JADE_OK);
    assert_true(got.durable.v == 77);
    for (size_t at = 0; at < sizeof raw; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            raw[at] = (uint8_t)(raw[at] ^ 1u << bit);
            assert_int_equal(jade_superblock_decode(raw, &got, NULL), JADE_E_CORRUPT);
            raw[at] = (uint8_t)(raw[at] ^ 1u << bit);
        }
    }
}

/* A torn slot: the first part new, the rest old. */
static void superblock_every_tear_is_corrupt(void **state)
{
    (void)state;
    struct jade_superblock a = {.sequence = 3, .boot_count = 9, .durable = {77}, .clean = 1};
    struct jade_superblock b = {.sequence = 5, .boot_count = 10, .durable = {99}, .clean = 0};
    struct jade_superblock got;
    uint8_t old[JADE_SUPER_SLOT_BYTES];
    uint8_t new[JADE_SUPER_SLOT_BYTES];
    jade_superblock_encode(&a, old);
    jade_superblock_encode(&b, new);
    for (size_t cut = 1; cut < sizeof old; cut++) {
        uint8_t torn[JADE_SUPER_SLOT_BYTES];
        memcpy(torn, new, cut);
        memcpy(torn + cut, old + cut, sizeof torn - cut);
        if (memcmp(torn, old, sizeof torn) != 0 && memcmp(torn, new, sizeof torn) != 0) {
            assert_int_equal(jade_superblock_decode(torn, &got, NULL), JADE_E_CORRUPT);
        }
    }
}

static void superblock_refuses_zeros_and_later_meanings(void **state)
{
    (void)state;
    struct jade_superblock s = {.sequence = 1};
    struct jade_superblock got;
    uint8_t raw[JADE_SUPER_SLOT_BYTES] = {0};
    assert_int_equal(jade_superblock_decode(raw, &got, NULL), JADE_E_CORRUPT);
    static const struct {
        size_t at;
        uint8_t value;
        jade_code code;
    } cases[] = {{8, 9, JADE_E_VERSION},
                 {80, 2, JADE_E_CORRUPT},
                 {84, 1, JADE_E_CORRUPT},
                 {511, 1, JADE_E_CORRUPT}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        jade_superblock_encode(&s, raw);
        raw[cases[i].at] = cases[i].value;
        reseal(raw, sizeof raw);
        assert_int_equal(jade_superblock_decode(raw, &got, NULL), cases[i].code);
    }
}

/* ---- CURRENT ---- */

static void current_every_damaged_bit_and_size_is_corrupt(void **state)
{
    (void)state;
    struct jade_current c = {.manifest = 12, .manifest_crc = 34};
    struct jade_current got;
    uint8_t raw[JADE_CURRENT_BYTES + 1] = {0};
    jade_current_encode(&c, raw);
    assert_int_equal(jade_current_decode(raw, JADE_CURRENT_BYTES, &got, NULL), JADE_OK);
    assert_true(got.manifest == 12 && got.manifest_crc == 34);
    for (size_t n = 0; n <= sizeof raw; n++) {
        if (n != JADE_CURRENT_BYTES) {
            assert_int_equal(jade_current_decode(raw, n, &got, NULL), JADE_E_CORRUPT);
        }
    }
    for (size_t at = 0; at < JADE_CURRENT_BYTES; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            raw[at] = (uint8_t)(raw[at] ^ 1u << bit);
            assert_int_equal(jade_current_decode(raw, JADE_CURRENT_BYTES, &got, NULL),
                             JADE_E_CORRUPT);
            raw[at] = (uint8_t)(raw[at] ^ 1u << bit);
        }
    }
    raw[28] = 1; /* reserved */
    reseal(raw, JADE_CURRENT_BYTES);
    assert_int_equal(jade_current_decode(raw, JADE_CURRENT_BYTES, &got, NULL), JADE_E_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manifest_every_damaged_bit_is_corrupt),
        cmocka_unit_test(manifest_every_truncation_is_corrupt),
        cmocka_unit_test(manifest_whole_file_crc_differs_between_contents),
        cmocka_unit_test(manifest_newer_version_is_told_from_damage),
        cmocka_unit_test(manifest_wrong_content_is_corrupt),
        cmocka_unit_test(manifest_encoder_refuses_what_could_not_be_read),
        cmocka_unit_test(manifest_holds_the_most_segments),
        cmocka_unit_test(manifest_tells_when_memory_is_short),
        cmocka_unit_test(superblock_every_damaged_bit_is_corrupt),
        cmocka_unit_test(superblock_every_tear_is_corrupt),
        cmocka_unit_test(superblock_refuses_zeros_and_later_meanings),
        cmocka_unit_test(current_every_damaged_bit_and_size_is_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
