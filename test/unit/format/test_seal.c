/* The prefix of small files by itself; what is built on it is in test_manifest.c and test_segment_desc.c. */
#include "format_test.h"

#include "base/hash.h"
#include "format/seal_private.h"

static const char magic[8] = "JADETEST";

enum { SAMPLE_BYTES = JADE_SEAL_BYTES + 8 };

static void sample(uint8_t out[SAMPLE_BYTES])
{
    memset(out, 0xEE, JADE_SEAL_BYTES);
    memcpy(out + JADE_SEAL_BYTES, "content!", 8);
    jadei_seal(out, SAMPLE_BYTES, magic);
}

static void seal_has_magic_version_and_crc_in_front(void **state)
{
    (void)state;
    uint8_t raw[SAMPLE_BYTES];
    sample(raw);
    assert_memory_equal(raw, "JADETEST", 8);
    assert_int_equal(jade_load_u32(raw + 8), JADE_SEAL_VERSION);
    uint32_t stored = jade_load_u32(raw + 12);
    memset(raw + 12, 0, 4);
    assert_int_equal(stored, jade_crc32c(0, raw, sizeof raw));
    assert_memory_equal(raw + JADE_SEAL_BYTES, "content!", 8);
}

static void unseal_leaves_the_reader_behind_the_prefix(void **state)
{
    (void)state;
    uint8_t raw[SAMPLE_BYTES];
    sample(raw);
    struct jade_reader r = jade_reader_of(raw, sizeof raw);
    assert_int_equal(jadei_unseal(&r, magic, "sample", NULL), JADE_OK);
    assert_int_equal(jade_reader_left(&r), 8);
    assert_memory_equal(jade_get_bytes(&r, 8), "content!", 8);
}

static void unseal_says_what_is_wrong(void **state)
{
    (void)state;
    uint8_t raw[SAMPLE_BYTES];
    struct jade_err err = {0};
    sample(raw);
    struct jade_reader r = jade_reader_of(raw, JADE_SEAL_BYTES - 1);
    assert_int_equal(jadei_unseal(&r, magic, "sample", &err), JADE_E_CORRUPT);
    assert_string_equal(err.message, "sample has 15 bytes, too few");

    r = jade_reader_of(raw, sizeof raw);
    assert_int_equal(jadei_unseal(&r, "JADEELSE", "sample", &err), JADE_E_CORRUPT);
    assert_string_equal(err.message, "sample does not begin with JADEELSE");

    raw[20] ^= 1;
    r = jade_reader_of(raw, sizeof raw);
    assert_int_equal(jadei_unseal(&r, magic, "sample", &err), JADE_E_CORRUPT);
    assert_non_null(strstr(err.message, "sample has checksum"));
}

static void unseal_tells_a_newer_version_from_a_damaged_one(void **state)
{
    (void)state;
    uint8_t raw[SAMPLE_BYTES];
    sample(raw);
    raw[8] = 7; /* damaged: the checksum is of version 1 */
    struct jade_reader r = jade_reader_of(raw, sizeof raw);
    assert_int_equal(jadei_unseal(&r, magic, "sample", NULL), JADE_E_CORRUPT);
    memset(raw + 12, 0, 4);
    jade_store_u32(raw + 12, jade_crc32c(0, raw, sizeof raw));
    struct jade_err err = {0};
    r = jade_reader_of(raw, sizeof raw);
    assert_int_equal(jadei_unseal(&r, magic, "sample", &err), JADE_E_VERSION);
    assert_string_equal(err.message, "sample has format version 7; this build reads 1");
}

static void reserved_bytes_must_be_zero_and_there(void **state)
{
    (void)state;
    uint8_t raw[6] = {1, 0, 0, 0, 0, 0};
    struct jade_err err = {0};
    struct jade_reader r = jade_reader_of(raw, sizeof raw);
    assert_int_equal(jade_get_u8(&r), 1);
    assert_int_equal(jadei_get_reserved(&r, 5, "sample", &err), JADE_OK);
    assert_int_equal(jade_reader_left(&r), 0);
    r = jade_reader_of(raw, sizeof raw);
    assert_int_equal(jadei_get_reserved(&r, 7, "sample", &err), JADE_E_CORRUPT);
    raw[4] = 0x20;
    r = jade_reader_of(raw, sizeof raw);
    (void)jade_get_u8(&r);
    assert_int_equal(jadei_get_reserved(&r, 5, "sample", &err), JADE_E_CORRUPT);
    assert_string_equal(err.message, "sample: reserved byte 4 is 0x20, not 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seal_has_magic_version_and_crc_in_front),
        cmocka_unit_test(unseal_leaves_the_reader_behind_the_prefix),
        cmocka_unit_test(unseal_says_what_is_wrong),
        cmocka_unit_test(unseal_tells_a_newer_version_from_a_damaged_one),
        cmocka_unit_test(reserved_bytes_must_be_zero_and_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
