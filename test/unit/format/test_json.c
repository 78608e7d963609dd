/* json_shim.cc: values, arrays of float32, keys, and minified text. Bad documents are in test_json_fault.c. */
#include "format_test.h"

#include <float.h>
#include <math.h>

#include "format/json.h"

enum { BYTES_MAX = 1 << 20, DEPTH_MAX = 16 };

static struct jade_json_parser *parser;

static int make_parser(void **state)
{
    (void)state;
    return jade_json_parser_new(BYTES_MAX, DEPTH_MAX, &parser, NULL) == JADE_OK ? 0 : -1;
}

static int free_parser(void **state)
{
    (void)state;
    jade_json_parser_free(parser);
    parser = NULL;
    return jade_alloc_bytes_total() == 0
               ? 0
               : -1; /* what simdjson held is given back in the books too */
}

static struct jade_json parse(const char *text)
{
    struct jade_json root;
    struct jade_err err = {0};
    if (jade_json_parse(parser, text, strlen(text), &root, &err) != JADE_OK) {
        fail_msg("%s: %s", text, err.message);
    }
    return root;
}

static struct jade_json member(struct jade_json object, const char *key)
{
    struct jade_json v = {0};
    if (!jade_json_get(object, key, &v)) {
        fail_msg("no member %s", key);
    }
    return v;
}

static void json_values_of_every_type(void **state)
{
    (void)state;
    struct jade_json root = parse(
        " {\"n\": null, \"t\":true, \"f\":false, \"i\":-7, \"u\":18446744073709551615,"
        "\"d\":0.1, \"s\":\"a\\u0000b\\u00e9\\ud83d\\ude00\\/\", \"a\":[1,[2]], \"o\":{\"x\":1}} ");
    assert_int_equal(jade_json_type(root), JADE_JSON_OBJECT);
    assert_int_equal(jade_json_count(root), 9);
    assert_int_equal(jade_json_type(member(root, "n")), JADE_JSON_NULL);
    assert_true(jade_json_bool(member(root, "t")));
    assert_false(jade_json_bool(member(root, "f")));
    assert_int_equal(jade_json_type(member(root, "i")), JADE_JSON_INT);
    assert_int_equal(jade_json_int(member(root, "i")), -7);
    assert_int_equal(jade_json_type(member(root, "u")), JADE_JSON_UINT);
    assert_true(jade_json_uint(member(root, "u")) == UINT64_MAX);
    assert_true(jade_json_double(member(root, "d")) == 0.1);
    assert_true(jade_json_double(member(root, "i")) == -7.0);
    assert_true(jade_json_double(member(root, "u")) == 18446744073709551616.0);
    struct jade_str s = jade_json_string(member(root, "s"));
    assert_int_equal(s.n, 10);
    assert_memory_equal(s.p, "a\0b\xC3\xA9\xF0\x9F\x98\x80/", 10);
    assert_int_equal(s.p[s.n], '\0');
    assert_int_equal(jade_json_count(member(root, "a")), 2);
    struct jade_json none;
    assert_false(jade_json_get(root, "N", &none));
    assert_false(jade_json_get(root, "", &none));
}

static void json_type_names_are_those_of_json(void **state)
{
    (void)state;
    static const char *const texts[][2] = {{"null", "null"},
                                           {"true", "boolean"},
                                           {"1", "number"},
                                           {"1.5", "number"},
                                           {"\"\"", "string"},
                                           {"[]", "array"},
                                           {"9223372036854775808", "number"},
                                           {"{}", "object"}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct jade_json v = parse(texts[i][0]);
        assert_string_equal(jade_json_type_name(jade_json_type(v)), texts[i][1]);
        assert_int_equal(jade_json_is_number(v), strcmp(texts[i][1], "number") == 0);
    }
}

static void json_iterates_in_order_over_nested_values(void **state)
{
    (void)state;
    struct jade_json root = parse("[10, {\"a\":[1,2,{\"b\":3}],\"c\":4}, [], \"x\", [[5]]]");
    static const enum jade_json_type types[] = {JADE_JSON_INT, JADE_JSON_OBJECT, JADE_JSON_ARRAY,
                                                JADE_JSON_STRING, JADE_JSON_ARRAY};
    struct jade_json_iter it = {0};
    struct jade_json v;
    size_t n = 0;
    while (jade_json_array_next(root, &it, &v)) {
        assert_true(n < 5);
        assert_int_equal(jade_json_type(v), types[n]);
        n++;
    }
    assert_int_equal(n, 5);
    assert_false(jade_json_array_next(root, &it, &v)); /* the end stays the end */

    struct jade_json_iter first = {0};
    assert_true(jade_json_array_next(root, &first, &v) && jade_json_array_next(root, &first, &v));
    struct jade_json_iter members = {0};
    struct jade_str key;
    struct jade_json value;
    assert_true(jade_json_object_next(v, &members, &key, &value));
    assert_string_equal(key.p, "a");
    assert_int_equal(jade_json_count(value), 3);
    assert_true(jade_json_object_next(v, &members, &key, &value));
    assert_string_equal(key.p, "c");
    assert_int_equal(jade_json_int(value), 4);
    assert_false(jade_json_object_next(v, &members, &key, &value));
}

static void json_depth_counts_nesting(void **state)
{
    (void)state;
    assert_int_equal(jade_json_depth(parse("1")), 0);
    assert_int_equal(jade_json_depth(parse("[]")), 1);
    assert_int_equal(jade_json_depth(parse("{\"a\":1}")), 1);
    struct jade_json root = parse("{\"a\":{\"b\":[1,{\"c\":[]}]},\"d\":[1.5]}");
    assert_int_equal(jade_json_depth(root), 5);
    assert_int_equal(jade_json_depth(member(root, "d")), 1);
    assert_int_equal(jade_json_depth(member(root, "a")), 4);
}

static void json_depth_limit_is_exact(void **state)
{
    (void)state;
    char text[64];
    for (size_t depth = 1; depth <= DEPTH_MAX + 2; depth++) {
        struct jade_json root;
        struct jade_err err = {0};
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        jade_code rc = jade_json_parse(parser, text, 2 * depth, &root, &err);
        assert_int_equal(rc, depth <= DEPTH_MAX ? JADE_OK : JADE_E_INVALID_JSON);
        if (rc != JADE_OK) {
            assert_non_null(strstr(err.message, "nested too deep at byte 16"));
        }
    }
}

static void json_depth_limit_of_one_takes_flat_containers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        jade_code code;
    } cases[] = {
        {"1", JADE_OK},
        {"[]", JADE_OK},
        {"[1,2]", JADE_OK},
        {"{\"a\":1}", JADE_OK},
        {"[[]]", JADE_E_INVALID_JSON},
        {"{\"a\":{}}", JADE_E_INVALID_JSON},
        {"[1]", JADE_OK},
    };
    struct jade_json_parser *flat = NULL;
    struct jade_json root;
    assert_int_equal(jade_json_parser_new(100, 1, &flat, NULL), JADE_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(jade_json_parse(flat, cases[i].text, strlen(cases[i].text), &root, NULL),
                         cases[i].code);
    }
    jade_json_parser_free(flat);
}

static void json_numbers_are_exact(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } cases[] = {
        {"0.1", 0.1},
        {"-0.0", -0.0},
        {"1e23", 1e23},
        {"9007199254740993", 9007199254740992.0},
        {"2.2250738585072011e-308", 2.2250738585072011e-308},
        {"5e-324", 5e-324},
        {"1e-400", 0.0},
        {"1.7976931348623157e308", DBL_MAX},
        {"0.1000000000000000055511151231257827021181583404541015625", 0.1},
        {"123456789012345678901234567890.0", 123456789012345678901234567890.0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double got = jade_json_double(parse(cases[i].text));
        assert_memory_equal(&got, &cases[i].value, sizeof got);
    }
    assert_true(jade_json_int(parse("-9223372036854775808")) == INT64_MIN);
    assert_true(jade_json_int(parse("9223372036854775807")) == INT64_MAX);
    assert_true(jade_json_uint(parse("9223372036854775808")) == (uint64_t)INT64_MAX + 1);
    assert_true(jade_json_uint(parse("5")) == 5);
}

static void json_f32_takes_numbers_of_all_spellings(void **state)
{
    (void)state;
    float v[7];
    struct jade_json a = parse("[1, -2, 0.5, 3.4028235e38, 18446744073709551615, 1e-46, 16777217]");
    assert_int_equal(jade_json_f32(a, v, 7, "values", NULL), JADE_OK);
    static const float expected[] = {1, -2, 0.5f, FLT_MAX, 18446744073709551616.0f, 0, 16777216};
    assert_memory_equal(v, expected, sizeof v);
    assert_int_equal(jade_json_f32(parse("[]"), v, 0, "values", NULL), JADE_OK);
}

static void json_f32_names_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        jade_code code;
        const char *field;
        const char *message;
    } cases[] = {
        {"[1,2,3,4]", JADE_E_DIMENSION_MISMATCH, "values", "expected 3 numbers, got 4"},
        {"[]", JADE_E_DIMENSION_MISMATCH, "values", "expected 3 numbers, got 0"},
        {"\"abc\"", JADE_E_INVALID_ARGUMENT, "values", "expected an array of numbers, got string"},
        {"{\"0\":1}", JADE_E_INVALID_ARGUMENT, "values", "got object"},
        {"null", JADE_E_INVALID_ARGUMENT, "values", "got null"},
        {"[1,\"2\",3]", JADE_E_INVALID_ARGUMENT, "values[1]", "expected a number, got string"},
        {"[1,2,null]", JADE_E_INVALID_ARGUMENT, "values[2]", "got null"},
        {"[true,2,3]", JADE_E_INVALID_ARGUMENT, "values[0]", "got boolean"},
        {"[1,[2],3]", JADE_E_INVALID_ARGUMENT, "values[1]", "got array"},
        {"[1,{},3]", JADE_E_INVALID_ARGUMENT, "values[1]", "got object"},
        {"[1,1e39,3]", JADE_E_INVALID_ARGUMENT, "values[1]", "1e+39 does not fit a 32-bit float"},
        {"[1,2,-3.5e38]", JADE_E_INVALID_ARGUMENT, "values[2]", "-3.5e+38 does not fit"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        float v[3];
        struct jade_err err = {0};
        assert_int_equal(jade_json_f32(parse(cases[i].text), v, 3, "values", &err), cases[i].code);
        assert_string_equal(err.field, cases[i].field);
        if (strstr(err.message, cases[i].message) == NULL) {
            fail_msg("%s: %s", cases[i].text, err.message);
        }
    }
}

static void json_keys_twice_are_found_at_any_depth(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *key; /* NULL: fine */
    } cases[] = {
        {"{\"a\":1,\"b\":2}", NULL},
        {"{\"a\":1,\"A\":2,\"\":3}", NULL},
        {"[{\"a\":1},{\"a\":1}]", NULL},
        {"{\"a\":{\"a\":{\"a\":1}}}", NULL},
        {"{\"a\":\"a\",\"b\":\"a\"}", NULL},
        {"5", NULL},
        {"{\"a\":1,\"b\":2,\"a\":3}", "\"a\""},
        {"{\"x\":[1,2.5,{\"y\":{\"b\":1,\"b\":1}}]}", "\"b\""},
        {"{\"\":1,\"\":1}", "\"\""},
        {"{\"a\":1,\"\\u0061\":1}", "\"a\""}, /* the same key, spelt differently */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct jade_err err = {0};
        jade_code rc = jade_json_check_keys(parse(cases[i].text), "metadata", &err);
        assert_int_equal(rc, cases[i].key == NULL ? JADE_OK : JADE_E_INVALID_ARGUMENT);
        if (cases[i].key != NULL) {
            assert_string_equal(err.field, "metadata");
            assert_non_null(strstr(err.message, cases[i].key));
        }
    }
}

/* {"k0":0,...}, with the last key equal to the first when `twice`. */
static void many_keys(struct jade_buf *b, int n, bool twice)
{
    jade_buf_append_str(b, "{");
    for (int i = 0; i < n; i++) {
        jade_buf_printf(b, "%s\"k%d\":%d", i == 0 ? "" : ",", twice && i == n - 1 ? 0 : i, i);
    }
    jade_buf_append_str(b, "}");
}

static void json_keys_twice_are_found_among_many(void **state)
{
    (void)state;
    for (int n = 2; n <= 40; n++) {
        for (int twice = 0; twice <= 1; twice++) {
            struct jade_buf b;
            struct jade_json root;
            jade_buf_init(&b, JADE_TAG_TEST);
            many_keys(&b, n, twice != 0);
            assert_int_equal(jade_json_parse(parser, b.data, b.len, &root, NULL), JADE_OK);
            assert_int_equal(jade_json_check_keys(root, "m", NULL),
                             twice ? JADE_E_INVALID_ARGUMENT : JADE_OK);
            jade_buf_release(&b);
        }
    }
}

static void json_keys_check_tells_when_memory_is_short(void **state)
{
    (void)state;
    struct jade_buf b;
    struct jade_json root;
    jade_buf_init(&b, JADE_TAG_TEST);
    many_keys(&b, 40, false);
    assert_int_equal(jade_json_parse(parser, b.data, b.len, &root, NULL), JADE_OK);
    jade_alloc_fail_at(1);
    assert_int_equal(jade_json_check_keys(root, "m", NULL), JADE_E_NOMEM);
    assert_int_equal(jade_json_check_keys(root, "m", NULL), JADE_OK);
    jade_alloc_fail_at(0);
    jade_buf_release(&b);
}

static void check_written(const char *text, const char *expected)
{
    struct jade_buf b;
    jade_buf_init(&b, JADE_TAG_TEST);
    jade_json_write(parse(text), &b);
    jade_buf_append_byte(&b, '\0');
    assert_string_equal(b.data, expected);
    /* What was written reads back and is written the same again. */
    struct jade_buf again;
    jade_buf_init(&again, JADE_TAG_TEST);
    jade_json_write(parse((const char *)b.data), &again);
    jade_buf_append_byte(&again, '\0');
    assert_string_equal(again.data, b.data);
    jade_buf_release(&again);
    jade_buf_release(&b);
}

static void json_write_minifies_and_keeps_precision(void **state)
{
    (void)state;
    check_written(" { \"b\" : [ 1 , 2.50 , -0.0 , 1.0 , [ ] , { } ] , \"a\" : { \"x\" : null } } ",
                  "{\"b\":[1,2.5,-0.0,1.0,[],{}],\"a\":{\"x\":null}}");
    check_written("[true,false,null,\"\"]", "[true,false,null,\"\"]");
    check_written("18446744073709551615", "18446744073709551615");
    check_written("-9223372036854775808", "-9223372036854775808");
    check_written("[0.1,1e300,123456789.125,1e-7,5e-324]",
                  "[0.1,1e+300,123456789.125,1e-07,5e-324]");
    check_written("\"\\u00e9\\ud83d\\ude00\\n\\u0001\\\"\\\\</x\"",
                  "\"\xC3\xA9\xF0\x9F\x98\x80\\n\\u0001\\\"\\\\<\\/x\"");
    check_written("[[[[]],[]],{\"a\":{\"b\":{}}},[1,[2,[3]],4]]",
                  "[[[[]],[]],{\"a\":{\"b\":{}}},[1,[2,[3]],4]]");
    check_written("{\"k\\n\":{\"\":[{}]}}", "{\"k\\n\":{\"\":[{}]}}");
}

static void json_write_of_a_part_stops_at_its_end(void **state)
{
    (void)state;
    struct jade_json root = parse("{\"a\":[1,{\"b\":2}],\"c\":\"tail\",\"d\":7}");
    static const char *const expected[][2] = {
        {"a", "[1,{\"b\":2}]"}, {"c", "\"tail\""}, {"d", "7"}};
    for (size_t i = 0; i < 3; i++) {
        struct jade_buf b;
        jade_buf_init(&b, JADE_TAG_TEST);
        jade_json_write(member(root, expected[i][0]), &b);
        assert_int_equal(b.len, strlen(expected[i][1]));
        assert_memory_equal(b.data, expected[i][1], b.len);
        jade_buf_release(&b);
    }
}

static void json_write_reaches_the_deepest_nesting(void **state)
{
    (void)state;
    struct jade_json_parser *deep = NULL;
    char text[2 * JADE_JSON_DEPTH_MAX];
    struct jade_json root;
    struct jade_buf b;
    memset(text, '[', JADE_JSON_DEPTH_MAX);
    memset(text + JADE_JSON_DEPTH_MAX, ']', JADE_JSON_DEPTH_MAX);
    assert_int_equal(jade_json_parser_new(BYTES_MAX, JADE_JSON_DEPTH_MAX, &deep, NULL), JADE_OK);
    assert_int_equal(jade_json_parse(deep, text, sizeof text, &root, NULL), JADE_OK);
    assert_int_equal(jade_json_depth(root), JADE_JSON_DEPTH_MAX);
    jade_buf_init(&b, JADE_TAG_TEST);
    jade_json_write(root, &b);
    assert_int_equal(b.len, sizeof text);
    assert_memory_equal(b.data, text, sizeof text);
    jade_buf_release(&b);
    jade_json_parser_free(deep);
}

static void json_parser_serves_documents_of_any_order_of_sizes(void **state)
{
    (void)state;
    struct jade_random r = seeded();
    for (int round = 0; round < 60; round++) {
        size_t n = (size_t)jade_random_below(&r, 40000) + 1;
        struct jade_buf b;
        struct jade_json root;
        jade_buf_init(&b, JADE_TAG_TEST);
        jade_buf_append_str(&b, "[0");
        for (size_t i = 1; i < n; i++) {
            jade_buf_append_str(&b, ",7"); /* the densest array there is */
        }
        jade_buf_append_str(&b, "]");
        assert_int_equal(jade_json_parse(parser, b.data, b.len, &root, NULL), JADE_OK);
        assert_int_equal(jade_json_count(root), n);
        jade_buf_release(&b);
    }
}

static void json_parser_gives_memory_of_a_large_document_back(void **state)
{
    (void)state;
    struct jade_json_parser *big = NULL;
    size_t n = (size_t)6 << 20;
    char *text = jade_alloc(JADE_TAG_TEST, n);
    struct jade_json root;
    assert_non_null(text);
    memset(text, ' ', n);
    text[0] = '1';
    assert_int_equal(jade_json_parser_new(n, 4, &big, NULL), JADE_OK);
    assert_int_equal(jade_json_parse(big, text, n, &root, NULL), JADE_OK);
    assert_true(jade_alloc_bytes(JADE_TAG_REQUEST) > (int64_t)n * 13);
    assert_int_equal(jade_json_parse(big, "[2]", 3, &root, NULL), JADE_OK);
    assert_int_equal(jade_json_count(root), 1);
    assert_true(jade_alloc_bytes(JADE_TAG_REQUEST) < 1 << 20);
    jade_json_parser_trim(big);
    assert_true(jade_alloc_bytes(JADE_TAG_REQUEST) < 1 << 12);
    assert_int_equal(jade_json_parse(big, "[3,4]", 5, &root, NULL), JADE_OK);
    assert_int_equal(jade_json_count(root), 2);
    jade_json_parser_free(big);
    jade_free(text);
}

static void json_count_is_right_past_what_the_tape_can_hold(void **state)
{
    (void)state;
    enum { N = 0xFFFFFF + 5 };
    struct jade_json_parser *big = NULL;
    char *text = jade_alloc(JADE_TAG_TEST, 2 * (size_t)N + 1);
    struct jade_json root;
    assert_non_null(text);
    for (size_t i = 0; i < N; i++) {
        text[2 * i] = i == 0 ? '[' : ',';
        text[2 * i + 1] = '1';
    }
    text[2 * (size_t)N] = ']';
    assert_int_equal(jade_json_parser_new(2 * (size_t)N + 1, 4, &big, NULL), JADE_OK);
    assert_int_equal(jade_json_parse(big, text, 2 * (size_t)N + 1, &root, NULL), JADE_OK);
    assert_int_equal(jade_json_count(root), N);
    jade_json_parser_free(big);
    jade_free(text);
}

static void json_size_limit_is_exact(void **state)
{
    (void)state;
    for (size_t max = 1; max < 80; max++) {
        struct jade_json_parser *small = NULL;
        struct jade_json root;
        char text[81];
        memset(text, ' ', sizeof text);
        text[0] = '1';
        assert_int_equal(jade_json_parser_new(max, 4, &small, NULL), JADE_OK);
        assert_int_equal(jade_json_parse(small, text, max, &root, NULL), JADE_OK);
        assert_int_equal(jade_json_parse(small, text, max + 1, &root, NULL), JADE_E_TOO_LARGE);
        jade_json_parser_free(small);
    }
}

static void json_tells_when_memory_is_short(void **state)
{
    (void)state;
    static const char text[] = "{\"values\":[1,2,3]}";
    jade_code rc = JADE_E_NOMEM;
    uint64_t n = 0;
    while (rc != JADE_OK) {
        struct jade_json_parser *p = NULL;
        struct jade_json root;
        jade_alloc_fail_at(++n);
        rc = jade_json_parser_new(BYTES_MAX, 4, &p, NULL);
        if (rc == JADE_OK) {
            rc = jade_json_parse(p, text, sizeof text - 1, &root, NULL);
            if (rc == JADE_E_NOMEM) { /* the next try on the same parser goes well */
                assert_int_equal(jade_json_parse(p, text, sizeof text - 1, &root, NULL), JADE_OK);
            }
        }
        jade_alloc_fail_at(0);
        jade_json_parser_free(p);
        assert_true(n < 100);
    }
    assert_true(n > 2);
}

int main(void)
{
#define WITH_PARSER(test) cmocka_unit_test_setup_teardown(test, make_parser, free_parser)
    const struct CMUnitTest tests[] = {
        WITH_PARSER(json_values_of_every_type),
        WITH_PARSER(json_type_names_are_those_of_json),
        WITH_PARSER(json_iterates_in_order_over_nested_values),
        WITH_PARSER(json_depth_counts_nesting),
        WITH_PARSER(json_depth_limit_is_exact),
        WITH_PARSER(json_depth_limit_of_one_takes_flat_containers),
        WITH_PARSER(json_numbers_are_exact),
        WITH_PARSER(json_f32_takes_numbers_of_all_spellings),
        WITH_PARSER(json_f32_names_what_is_wrong),
        WITH_PARSER(json_keys_twice_are_found_at_any_depth),
        WITH_PARSER(json_keys_twice_are_found_among_many),
        WITH_PARSER(json_keys_check_tells_when_memory_is_short),
        WITH_PARSER(json_write_minifies_and_keeps_precision),
        WITH_PARSER(json_write_of_a_part_stops_at_its_end),
        WITH_PARSER(json_write_reaches_the_deepest_nesting),
        WITH_PARSER(json_parser_serves_documents_of_any_order_of_sizes),
        WITH_PARSER(json_parser_gives_memory_of_a_large_document_back),
        WITH_PARSER(json_count_is_right_past_what_the_tape_can_hold),
        WITH_PARSER(json_size_limit_is_exact),
        WITH_PARSER(json_tells_when_memory_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
