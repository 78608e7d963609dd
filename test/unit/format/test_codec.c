#include "format_test.h"

#include "format/codec.h"

static void codec_numbers_are_little_endian(void **state)
{
    (void)state;
    struct jade_buf b;
    jade_buf_init(&b, JADE_TAG_TEST);
    jade_put_u8(&b, 0xA1);
    jade_put_u16(&b, 0xB1B2);
    jade_put_u32(&b, 0xC1C2C3C4);
    jade_put_u64(&b, 0xD1D2D3D4D5D6D7D8);
    jade_put_i64(&b, -2);
    static const uint8_t expected[] = {0xA1, 0xB2, 0xB1, 0xC4, 0xC3, 0xC2, 0xC1, 0xD8,
                                       0xD7, 0xD6, 0xD5, 0xD4, 0xD3, 0xD2, 0xD1, 0xFE,
                                       0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    assert_int_equal(b.len, sizeof expected);
    assert_memory_equal(b.data, expected, sizeof expected);

    struct jade_reader r = jade_reader_of(b.data, b.len);
    assert_int_equal(jade_get_u8(&r), 0xA1);
    assert_int_equal(jade_get_u16(&r), 0xB1B2);
    assert_int_equal(jade_get_u32(&r), 0xC1C2C3C4);
    assert_true(jade_get_u64(&r) == 0xD1D2D3D4D5D6D7D8);
    assert_true(jade_get_i64(&r) == -2);
    assert_int_equal(jade_reader_left(&r), 0);
    assert_int_equal(jade_reader_status(&r, "test", NULL), JADE_OK);
    jade_buf_release(&b);
}

static void codec_loads_and_stores_at_any_alignment(void **state)
{
    (void)state;
    uint8_t raw[16];
    for (size_t at = 0; at < 8; at++) {
        memset(raw, 0xEE, sizeof raw);
        jade_store_u64(raw + at, 0x0123456789ABCDEF);
        assert_true(jade_load_u64(raw + at) == 0x0123456789ABCDEF);
        assert_int_equal(jade_load_u32(raw + at), 0x89ABCDEF);
        assert_int_equal(jade_load_u16(raw + at), 0xCDEF);
        jade_store_u32(raw + at, 0xFFFFFFFF);
        jade_store_u16(raw + at, 0x8001);
        assert_true(jade_load_u64(raw + at) == 0x01234567FFFF8001);
        assert_true(at == 0 || raw[at - 1] == 0xEE);
        assert_int_equal(raw[at + 8], 0xEE);
    }
}

static void codec_read_past_end_gives_zero_and_stays_bad(void **state)
{
    (void)state;
    static const uint8_t raw[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    for (size_t n = 0; n < 8; n++) {
        struct jade_reader r = jade_reader_of(raw, n);
        assert_true(jade_get_u64(&r) == 0);
        assert_true(r.bad);
        assert_int_equal(jade_reader_left(&r), 0);
        assert_int_equal(jade_get_u8(&r), 0); /* also where one byte would be there */
        assert_null(jade_get_bytes(&r, 0));
        struct jade_err err = {0};
        assert_int_equal(jade_reader_status(&r, "little thing", &err), JADE_E_CORRUPT);
        assert_non_null(strstr(err.message, "little thing"));
    }
    struct jade_reader r = jade_reader_of(raw, sizeof raw);
    assert_null(jade_get_bytes(&r, SIZE_MAX)); /* no overflow in the check */
    assert_true(r.bad);
}

static void codec_puts_stop_when_memory_is_short(void **state)
{
    (void)state;
    struct jade_buf b;
    jade_buf_init(&b, JADE_TAG_TEST);
    jade_alloc_fail_at(1);
    jade_put_u64(&b, 1);
    jade_put_u32(&b, 1);
    jade_put_u16(&b, 1);
    jade_put_u8(&b, 1);
    jade_alloc_fail_at(0);
    assert_int_equal(b.len, 0);
    assert_int_equal(jade_buf_status(&b, NULL), JADE_E_NOMEM);
    jade_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codec_numbers_are_little_endian),
        cmocka_unit_test(codec_loads_and_stores_at_any_alignment),
        cmocka_unit_test(codec_read_past_end_gives_zero_and_stays_bad),
        cmocka_unit_test(codec_puts_stop_when_memory_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
