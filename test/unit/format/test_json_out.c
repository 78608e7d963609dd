#include "format_test.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "format/json.h"
#include "format/json_out.h"

static struct jade_buf buf;
static struct jade_json_out out;

static int begin(void **state)
{
    (void)state;
    jade_buf_init(&buf, JADE_TAG_TEST);
    jade_json_out_init(&out, &buf);
    return 0;
}

static int end(void **state)
{
    (void)state;
    jade_buf_release(&buf);
    return jade_alloc_bytes_total() == 0 ? 0 : -1;
}

/* What was written so far, and a fresh start. */
static void expect(const char *text)
{
    assert_int_equal(jade_buf_status(&buf, NULL), JADE_OK);
    assert_int_equal(out.depth, 0);
    jade_buf_append_byte(&buf, '\0');
    assert_string_equal(buf.data, text);
    jade_buf_clear(&buf);
    jade_json_out_init(&out, &buf);
}

static void out_places_commas_by_itself(void **state)
{
    (void)state;
    jade_out_object(&out);
    jade_out_key_str(&out, "s", "text");
    jade_out_key_u64(&out, "u", UINT64_MAX);
    jade_out_key_i64(&out, "i", INT64_MIN);
    jade_out_key_f64(&out, "d", 0.25);
    jade_out_key_bool(&out, "t", true);
    jade_out_key(&out, "a");
    jade_out_array(&out);
    jade_out_i64(&out, -1);
    jade_out_i64(&out, 0);
    jade_out_array(&out);
    jade_out_array_end(&out);
    jade_out_object(&out);
    jade_out_object_end(&out);
    jade_out_null(&out);
    jade_out_bool(&out, false);
    jade_out_raw(&out, "{\"x\":1}", 7);
    jade_out_array_end(&out);
    jade_out_key(&out, "o");
    jade_out_object(&out);
    jade_out_object_end(&out);
    jade_out_object_end(&out);
    expect(
        "{\"s\":\"text\",\"u\":18446744073709551615,\"i\":-9223372036854775808,\"d\":0.25,\"t\":true,"
        "\"a\":[-1,0,[],{},null,false,{\"x\":1}],\"o\":{}}");
    jade_out_u64(&out, 7);
    expect("7");
}

static void out_nests_to_its_limit(void **state)
{
    (void)state;
    for (int i = 1; i < JADE_JSON_OUT_DEPTH_MAX; i++) {
        jade_out_array(&out);
    }
    for (int i = 1; i < JADE_JSON_OUT_DEPTH_MAX; i++) {
        jade_out_array_end(&out);
    }
    assert_int_equal(buf.len, 2 * (JADE_JSON_OUT_DEPTH_MAX - 1));
}

static void out_escapes_strings(void **state)
{
    (void)state;
    jade_out_strn(&out, "\"\\/\b\f\n\r\t\x01\x1f\x7f\0z", 13);
    expect("\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f\\u0000z\"");
    jade_out_str(&out, "</script><b/>a/b");
    expect("\"<\\/script><b/>a/b\"");
    jade_out_str(&out, "\xC3\xA9\xE5\x90\x91\xF0\x9F\x98\x80");
    expect("\"\xC3\xA9\xE5\x90\x91\xF0\x9F\x98\x80\"");
    jade_out_str(&out, "");
    expect("\"\"");
    jade_out_object(&out);
    jade_out_key_str(&out, "a\"\n", "");
    jade_out_object_end(&out);
    expect("{\"a\\\"\\n\":\"\"}");
}

static void out_replaces_malformed_utf8(void **state)
{
    (void)state;
    jade_out_str(&out, "a\xFF"
                       "b\xC3");
    expect("\"a\xEF\xBF\xBD"
           "b\xEF\xBF\xBD\"");
    jade_out_str(&out, "\xED\xA0\x80");
    assert_true(jade_utf8_valid(buf.data, buf.len));
}

/* Whatever the bytes, the text parses and gives them back (malformed ones as U+FFFD). */
static void out_strings_of_random_bytes_parse_back(void **state)
{
    (void)state;
    struct jade_random r = seeded();
    struct jade_json_parser *p = NULL;
    assert_int_equal(jade_json_parser_new(10000, 4, &p, NULL), JADE_OK);
    for (int round = 0; round < 20000; round++) {
        char bytes[40];
        size_t n = jade_random_below(&r, sizeof bytes);
        bool ascii = round % 2 == 0;
        for (size_t i = 0; i < n; i++) {
            bytes[i] = (char)jade_random_below(&r, ascii ? 128 : 256);
        }
        jade_out_strn(&out, bytes, n);
        struct jade_json v;
        assert_int_equal(jade_json_parse(p, buf.data, buf.len, &v, NULL), JADE_OK);
        if (jade_utf8_valid(bytes, n)) {
            struct jade_str s = jade_json_string(v);
            assert_int_equal(s.n, n);
            assert_memory_equal(s.p, bytes, n);
        } else {
            assert_false(ascii);
        }
        jade_buf_clear(&buf);
        jade_json_out_init(&out, &buf);
    }
    jade_json_parser_free(p);
}

static void out_numbers_read_well(void **state)
{
    (void)state;
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {-1.5, "-1.5"},
        {0.1, "0.1"},
        {100000, "100000"},
        {1e14, "100000000000000"},
        {1e15, "1e+15"},
        {0.00001, "0.00001"},
        {0.000001, "1e-06"},
        {1.0 / 3.0, "0.3333333333333333"},
        {DBL_MAX, "1.7976931348623157e+308"},
        {-DBL_MIN, "-2.2250738585072014e-308"},
        {5e-324, "5e-324"},
        {1234567.891, "1234567.891"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        jade_out_f64(&out, cases[i].v);
        expect(cases[i].text);
    }
    const float floats[] = {0.1f, 16777215.0f, 3.4028235e38f, 1e-45f, 0.33333334f};
    jade_out_f32_array(&out, floats, 5);
    expect("[0.1,16777215,3.4028235e+38,1e-45,0.33333334]");
    jade_out_f32_array(&out, floats, 0);
    expect("[]");
}

static void out_not_finite_is_null(void **state)
{
    (void)state;
    jade_out_array(&out);
    jade_out_f64(&out, (double)NAN);
    jade_out_f64(&out, (double)INFINITY);
    jade_out_f32(&out, -INFINITY);
    jade_out_f32(&out, NAN);
    jade_out_array_end(&out);
    expect("[null,null,null,null]");
}

/* Digits before the exponent, without leading zeros: what "shortest" counts. */
static size_t significant(const char *text, size_t n)
{
    size_t count = 0;
    size_t zeros = 0; /* at the end so far: they may only hold the point's place */
    for (size_t i = 0; i < n && text[i] != 'e'; i++) {
        if (text[i] >= '1' && text[i] <= '9') {
            count += 1 + (count > 0 ? zeros : 0);
            zeros = 0;
        } else if (text[i] == '0') {
            zeros++;
        }
    }
    return count;
}

static float random_float(struct jade_random *r)
{
    float v = NAN;
    while (!isfinite(v)) {
        uint32_t bits = (uint32_t)jade_random_u64(r);
        memcpy(&v, &bits, sizeof v);
    }
    return v;
}

static void f32_text_is_shortest_and_reads_back(void **state)
{
    (void)state;
    struct jade_random r = seeded();
    for (int round = 0; round < 300000; round++) {
        char text[33];
        char other[40];
        float v = round % 2 == 0 ? random_float(&r) : (float)jade_random_normal(&r);
        size_t n = jade_f32_text(v, text);
        assert_true(n <= 32);
        text[n] = '\0';
        float direct = strtof(text, NULL);
        float through_double = (float)strtod(text, NULL); /* as a JSON reader does */
        assert_memory_equal(&direct, &v, sizeof v);
        assert_memory_equal(&through_double, &v, sizeof v);
        size_t digits = significant(text, n);
        assert_true(digits <= 9);
        if (digits > 1) { /* one digit fewer does not do */
            (void)snprintf(other, sizeof other, "%.*e", (int)digits - 2, (double)v);
            assert_true(strtof(other, NULL) != v);
        }
    }
}

static void f64_text_is_shortest_and_reads_back(void **state)
{
    (void)state;
    struct jade_random r = seeded();
    for (int round = 0; round < 300000; round++) {
        char text[33];
        char other[40];
        uint64_t bits = jade_random_u64(&r);
        double v = jade_random_normal(&r);
        if (round % 2 == 0) {
            memcpy(&v, &bits, sizeof v);
        }
        if (!isfinite(v)) {
            continue;
        }
        size_t n = jade_f64_text(v, text);
        assert_true(n <= 32);
        text[n] = '\0';
        double back = strtod(text, NULL);
        assert_memory_equal(&back, &v, sizeof v);
        size_t digits = significant(text, n);
        assert_true(digits <= 17);
        if (digits > 1) {
            (void)snprintf(other, sizeof other, "%.*e", (int)digits - 2, v);
            assert_true(strtod(other, NULL) != v);
        }
    }
}

static void out_vector_survives_write_and_parse(void **state)
{
    (void)state;
    struct jade_random r = seeded();
    struct jade_json_parser *p = NULL;
    struct jade_json v;
    float values[128];
    float back[128];
    assert_int_equal(jade_json_parser_new(10000, 4, &p, NULL), JADE_OK);
    for (int round = 0; round < 500; round++) {
        for (int i = 0; i < 128; i++) {
            values[i] = random_float(&r);
        }
        jade_out_f32_array(&out, values, 128);
        assert_int_equal(jade_json_parse(p, buf.data, buf.len, &v, NULL), JADE_OK);
        assert_int_equal(jade_json_f32(v, back, 128, "values", NULL), JADE_OK);
        for (int i = 0; i < 128; i++) {
            assert_true(back[i] == values[i]); /* -0 may come back as 0 */
        }
        jade_buf_clear(&buf);
        jade_json_out_init(&out, &buf);
    }
    jade_json_parser_free(p);
}

static void out_tells_when_memory_is_short(void **state)
{
    (void)state;
    static const float values[40] = {0.5f};
    jade_code rc = JADE_E_NOMEM;
    uint64_t n = 0;
    while (rc != JADE_OK) {
        struct jade_buf b;
        struct jade_json_out o;
        jade_buf_init(&b, JADE_TAG_TEST);
        jade_json_out_init(&o, &b);
        jade_alloc_fail_at(++n);
        jade_out_object(&o);
        jade_out_key_str(&o, "key",
                         "a string long enough to make the buffer grow at least once more");
        jade_out_key(&o, "values");
        jade_out_f32_array(&o, values, 40);
        jade_out_key(&o, "time");
        jade_out_time(&o, 0);
        jade_out_object_end(&o);
        jade_alloc_fail_at(0);
        rc = jade_buf_status(&b, NULL);
        jade_buf_release(&b);
        assert_true(n < 100);
    }
    assert_true(n > 2);
}

int main(void)
{
#define WITH_OUT(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        WITH_OUT(out_places_commas_by_itself),
        WITH_OUT(out_nests_to_its_limit),
        WITH_OUT(out_escapes_strings),
        WITH_OUT(out_replaces_malformed_utf8),
        WITH_OUT(out_strings_of_random_bytes_parse_back),
        WITH_OUT(out_numbers_read_well),
        WITH_OUT(out_not_finite_is_null),
        WITH_OUT(f32_text_is_shortest_and_reads_back),
        WITH_OUT(f64_text_is_shortest_and_reads_back),
        WITH_OUT(out_vector_survives_write_and_parse),
        WITH_OUT(out_tells_when_memory_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
