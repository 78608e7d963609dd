#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"

/* The encoding by its definition (RFC 3629, section 3), as an oracle. */
static size_t encode(uint32_t point, uint8_t out[4])
{
    if (point < 0x80) {
        out[0] = (uint8_t)point;
        return 1;
    }
    size_t n = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const uint8_t lead[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n - 1; i > 0; i--) {
        out[i] = (uint8_t)(0x80 | (point & 0x3F));
        point >>= 6;
    }
    out[0] = (uint8_t)(lead[n] | point);
    return n;
}

static bool is_surrogate(uint32_t point)
{
    return point >= 0xD800 && point <= 0xDFFF;
}

static void utf8_every_code_point_decodes_to_itself(void **state)
{
    (void)state;
    for (uint32_t point = 0; point <= 0x10FFFF; point++) {
        uint8_t bytes[4];
        uint32_t got = 0;
        size_t n = encode(point, bytes);
        size_t used = jade_utf8_decode(bytes, n, &got);
        if (is_surrogate(point)) {
            assert_int_equal(used, 0);
            assert_false(jade_utf8_valid(bytes, n));
        } else if (used != n || got != point || !jade_utf8_valid(bytes, n)) {
            fail_msg("code point U+%04X: %zu bytes used of %zu, got U+%04X", point, used, n, got);
        }
        if (n > 1 && jade_utf8_valid(bytes, n - 1)) {
            fail_msg("code point U+%04X is accepted without its last byte", point);
        }
    }
}

/* Of all three-byte strings, exactly those that the encoder can make are valid: no overlong, no stray byte. */
static void utf8_three_byte_strings_match_the_encoder(void **state)
{
    (void)state;
    static uint8_t valid_pair[65536]; /* two-byte code points */
    static uint8_t valid_triple[1 << 21];
    uint8_t b[4];
    for (uint32_t point = 0x80; point <= 0xFFFF; point++) {
        if (encode(point, b) == 2) {
            valid_pair[b[0] << 8 | b[1]] = 1;
        } else if (!is_surrogate(point)) {
            uint32_t index = (uint32_t)(b[0] << 16 | b[1] << 8 | b[2]);
            valid_triple[index >> 3] |= (uint8_t)(1 << (index & 7));
        }
    }
    for (uint32_t i = 0; i < 1 << 24; i++) {
        uint8_t s[3] = {(uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        bool a0 = s[0] < 0x80;
        bool a1 = s[1] < 0x80;
        bool a2 = s[2] < 0x80;
        bool expected = (a0 && a1 && a2) || (a0 && valid_pair[s[1] << 8 | s[2]]) ||
                        (valid_pair[s[0] << 8 | s[1]] && a2) ||
                        ((valid_triple[i >> 3] >> (i & 7)) & 1) != 0;
        if (jade_utf8_valid(s, 3) != expected) {
            fail_msg("bytes %02x %02x %02x: expected %d", s[0], s[1], s[2], expected);
        }
    }
}

static void utf8_malformed_four_byte_forms_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\xF0\x80\x80\x80",
        "\xF0\x8F\xBF\xBF", /* overlong */
        "\xF4\x90\x80\x80",
        "\xF5\x80\x80\x80", /* past U+10FFFF */
        "\xF8\x88\x80\x80\x80",
        "\xFE",
        "\xFF",
        "\xF0\x9F\x92",
        "\xF0\x9F\x92x",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint32_t point = 1;
        assert_false(jade_utf8_valid(bad[i], strlen(bad[i])));
        assert_int_equal(jade_utf8_decode(bad[i], strlen(bad[i]), &point), 0);
    }
}

/* A bad byte is found wherever it stands to the eight-byte steps, and nothing behind the end is read (sanitizers watch). */
static void utf8_bad_byte_is_found_at_every_place(void **state)
{
    (void)state;
    assert_true(jade_utf8_valid(NULL, 0));
    for (size_t n = 1; n <= 40; n++) {
        char *s = malloc(n);
        assert_non_null(s);
        memset(s, 'a', n);
        assert_true(jade_utf8_valid(s, n));
        for (size_t at = 0; at < n; at++) {
            s[at] = (char)0xC3;
            assert_false(jade_utf8_valid(s, n));
            if (at + 1 < n) {
                s[at + 1] = (char)0xA9;
                assert_true(jade_utf8_valid(s, n));
                s[at + 1] = 'a';
            }
            s[at] = 'a';
        }
        free(s);
    }
}

static void utf8_width_is_what_a_terminal_shows(void **state)
{
    (void)state;
    static const struct {
        uint32_t point;
        unsigned width;
    } cases[] = {
        {'a', 1},    {0xFC, 1},   {0x301, 0} /* combining accent */, {0x200B, 0},
        {0x65E5, 2}, {0xFF21, 2}, {0x1F600, 2} /* emoji */,          {0x1B, 0},
        {0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(jade_utf8_width(cases[i].point), cases[i].width);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_every_code_point_decodes_to_itself),
        cmocka_unit_test(utf8_three_byte_strings_match_the_encoder),
        cmocka_unit_test(utf8_malformed_four_byte_forms_are_refused),
        cmocka_unit_test(utf8_bad_byte_is_found_at_every_place),
        cmocka_unit_test(utf8_width_is_what_a_terminal_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
