/*
 * YAML of JSON values: every reader of YAML 1.1 and 1.2 gets the same values back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "cli/output.h"

static void expect(const char *json, const char *yaml)
{
    struct jade_json_parser *parser = NULL;
    struct jade_json v;
    struct jade_buf out;
    jade_buf_init(&out, JADE_TAG_TEST);
    assert_int_equal(jade_json_parser_new(1 << 20, JADE_JSON_DEPTH_MAX, &parser, NULL), JADE_OK);
    assert_int_equal(jade_json_parse(parser, json, strlen(json), &v, NULL), JADE_OK);
    jade_yaml_write(v, &out);
    jade_buf_append_byte(&out, 0);
    assert_int_equal(jade_buf_status(&out, NULL), JADE_OK);
    assert_string_equal((const char *)out.data, yaml);
    jade_json_parser_free(parser);
    jade_buf_release(&out);
}

static void yaml_scalars_keep_their_type(void **state)
{
    (void)state;
    expect("null", "null\n");
    expect("true", "true\n");
    expect("-5", "-5\n");
    expect("18446744073709551615", "18446744073709551615\n");
    expect("0.5", "0.5\n");
    expect("1e-7", "1.0e-07\n");
    expect("1.5e300", "1.5e+300\n");
    expect("[]", "[]\n");
    expect("{}", "{}\n");
}

static void yaml_strings_that_look_like_something_else_are_quoted(void **state)
{
    (void)state;
    static const char *const words[] = {
        "null", "True",       "NO",   "on",   "y",   "~",   "1",     "-1", "1e3", ".5",
        "0x10", "2025-10-08", "a: b", "a #b", "- a", "[a]", "{a}",   "*a", "&a",  "!a",
        "%a",   "@a",         " a",   "a ",   "",    "?",   "12:30", "=",  "<<",  ".inf"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        char text[64];
        char want[64];
        snprintf(text, sizeof text, "\"%s\"", words[i]);
        snprintf(want, sizeof want, "\"%s\"\n", words[i]);
        expect(text, want);
    }
    expect("\"plain-word_1\"", "plain-word_1\n");
}

static void yaml_characters_that_break_lines_are_escaped(void **state)
{
    (void)state;
    expect("\"a\\nb\\t\\\"c\\\\\"", "\"a\\nb\\t\\\"c\\\\\"\n");
    expect("\"\\u0000\\u001b\\u0085\\u2028\\ufeff\"", "\"\\u0000\\u001b\\u0085\\u2028\\ufeff\"\n");
    expect("\"\xC3\xBC \xF0\x9F\x98\x80\"", "\"\xC3\xBC \xF0\x9F\x98\x80\"\n");
}

static void yaml_containers_are_blocks_and_vectors_are_lines(void **state)
{
    (void)state;
    expect("{\"a\":1,\"v\":[0.5,1,-2],\"e\":[],\"o\":{},\"n\":{\"b\":{\"c\":null}}}",
           "a: 1\nv: [0.5, 1, -2]\ne: []\no: {}\n\"n\":\n  b:\n    c: null\n");
    expect("[{\"a\":1,\"b\":[\"x\",\"y\"]},[1,\"z\"],[[1,2],[3]]]",
           "- a: 1\n  b:\n    - x\n    - \"y\"\n- - 1\n  - z\n- - [1, 2]\n  - [3]\n");
    expect("[1,2]", "[1, 2]\n");
    expect("{\"true\":1,\"a b\":2,\"\":3}", "\"true\": 1\n\"a b\": 2\n\"\": 3\n");
}

static void yaml_deepest_document_is_written(void **state)
{
    (void)state;
    char json[2 * JADE_JSON_DEPTH_MAX + 1];
    struct jade_json_parser *parser = NULL;
    struct jade_json v;
    struct jade_buf out;
    size_t depth = JADE_JSON_DEPTH_MAX - 1;
    memset(json, '[', depth);
    memset(json + depth, ']', depth);
    jade_buf_init(&out, JADE_TAG_TEST);
    assert_int_equal(jade_json_parser_new(1 << 20, JADE_JSON_DEPTH_MAX, &parser, NULL), JADE_OK);
    assert_int_equal(jade_json_parse(parser, json, 2 * depth, &v, NULL), JADE_OK);
    jade_yaml_write(v, &out);
    assert_int_equal(jade_buf_status(&out, NULL), JADE_OK);
    assert_int_equal(out.len, 2 * (depth - 1) + 3); /* "- " for each level but the last, "[]\n" */
    jade_json_parser_free(parser);
    jade_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yaml_scalars_keep_their_type),
        cmocka_unit_test(yaml_strings_that_look_like_something_else_are_quoted),
        cmocka_unit_test(yaml_characters_that_break_lines_are_escaped),
        cmocka_unit_test(yaml_containers_are_blocks_and_vectors_are_lines),
        cmocka_unit_test(yaml_deepest_document_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
