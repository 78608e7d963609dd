#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"

/* RFC 3720, appendix B.4, and the check value of the CRC catalogue. */
static void crc32c_gives_the_published_values(void **state)
{
    (void)state;
    uint8_t bytes[32];
    assert_int_equal(jade_crc32c(0, "123456789", 9), 0xE3069283u);
    assert_int_equal(jade_crc32c(0, NULL, 0), 0);
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(jade_crc32c(0, bytes, 32), 0x8A9136AAu);
    memset(bytes, 0xFF, sizeof bytes);
    assert_int_equal(jade_crc32c(0, bytes, 32), 0x62A8AB43u);
    for (int i = 0; i < 32; i++) {
        bytes[i] = (uint8_t)i;
    }
    assert_int_equal(jade_crc32c(0, bytes, 32), 0x46DD794Eu);
    for (int i = 0; i < 32; i++) {
        bytes[i] = (uint8_t)(31 - i);
    }
    assert_int_equal(jade_crc32c(0, bytes, 32), 0x113FDB5Cu);
}

static uint32_t crc_bit_by_bit(const uint8_t *p, size_t n)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78u : 0);
        }
    }
    return ~crc;
}

static void crc32c_agrees_with_the_definition_at_every_length(void **state)
{
    (void)state;
    uint8_t bytes[700];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 131 + i / 7);
    }
    for (size_t n = 0; n <= 680; n++) {
        size_t from = n % 17;
        assert_int_equal(jade_crc32c(0, bytes + from, n), crc_bit_by_bit(bytes + from, n));
    }
}

static void crc32c_pieces_chain(void **state)
{
    (void)state;
    uint8_t bytes[256];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i ^ 0x3C);
    }
    uint32_t whole = jade_crc32c(0, bytes, sizeof bytes);
    for (size_t cut = 0; cut <= sizeof bytes; cut++) {
        uint32_t crc = jade_crc32c(0, bytes, cut);
        assert_int_equal(jade_crc32c(crc, bytes + cut, sizeof bytes - cut), whole);
    }
}

/* XXH3_64bits_withSeed of libxxhash 0.8.1, one length for each of its code paths: the values are part of the segment format. */
static void hash64_values_stay_for_ever(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        uint64_t seed_0;
        uint64_t seed_1;
    } rows[] = {
        {1, 0x4C5CCA45D0F4811Fu, 0x0A187BF012ECA100u},
        {8, 0xF9FD4DD0B04D78F5u, 0xD1129F0BF6E39A1Du},
        {16, 0x86ABF6BACCEA0858u, 0x216FE4CA42FEF4FFu},
        {100, 0x5DA67EAC6D4093D5u, 0x23706BCE6A3BEFC4u},
        {200, 0xC0FBC0F4E181C826u, 0x1E34E73A080AA89Cu},
        {1000, 0x571D5CBFEF44331Bu, 0x4B18EBD5BD6FE6ABu},
    };
    uint8_t bytes[1000];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 131 + 7);
    }
    assert_int_equal(jade_hash64(NULL, 0, 0), 0x2D06800538D394C2u);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(jade_hash64(bytes, rows[i].n, 0), rows[i].seed_0);
        assert_int_equal(jade_hash64(bytes, rows[i].n, 1), rows[i].seed_1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_gives_the_published_values),
        cmocka_unit_test(crc32c_agrees_with_the_definition_at_every_length),
        cmocka_unit_test(crc32c_pieces_chain),
        cmocka_unit_test(hash64_values_stay_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
