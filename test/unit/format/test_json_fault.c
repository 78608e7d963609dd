/* Documents that must be refused, and what is said about each. */
#include "format_test.h"

#include "format/json.h"
#include "format/json_private.h"

struct bad {
    const char *text;
    size_t n; /* 0: up to the NUL */
    size_t at;
    const char *what;
};

static const struct bad cases[] = {
    {" \n\t", 0, 3, "the text ends too early"},
    {"[1,2", 0, 4, "the text ends too early"},
    {"{\"a\":1", 0, 6, "the text ends too early"},
    {"{\"a\"", 0, 4, "the text ends too early"},
    {"{\"a\":", 0, 5, "the text ends too early"},
    {"{", 0, 1, "the text ends too early"},
    {"[", 0, 1, "the text ends too early"},
    {"NaN", 0, 0, "no NaN or Infinity"},
    {"[1,NaN]", 0, 3, "no NaN or Infinity"},
    {"[Infinity]", 0, 1, "no NaN or Infinity"},
    {"[-Infinity]", 0, 2, "expected a digit"},
    {"[nan]", 0, 1, "no NaN or Infinity"},
    {"[inf]", 0, 1, "expected a value"},
    {"[undefined]", 0, 1, "expected a value"},
    {"[1,]", 0, 3, "expected a value"},
    {"[,1]", 0, 1, "expected a value"},
    {"[1 2]", 0, 3, "expected ',' or ']'"},
    {"{\"a\":1 \"b\":2}", 0, 7, "expected ',' or '}'"},
    {"[1}", 0, 2, "expected ',' or ']'"},
    {"{\"a\":1]", 0, 6, "expected ',' or '}'"},
    {"{\"a\" 1}", 0, 5, "expected ':'"},
    {"{a:1}", 0, 1, "expected a key in double quotes"},
    {"{'a':1}", 0, 1, "expected a key in double quotes"},
    {"{\"a\":1,}", 0, 7, "expected a key in double quotes"},
    {"{1:1}", 0, 1, "expected a key in double quotes"},
    {"['a']", 0, 1, "expected a value"},
    {"[1] 2", 0, 4, "more text after the document"},
    {"{}{}", 0, 2, "more text after the document"},
    {"1 1", 0, 2, "more text after the document"},
    {"[1]x", 0, 3, "more text after the document"},
    {"[]\0", 3, 2, "more text after the document"},
    {"[1,\0 2]", 7, 3, "expected a value"},
    {"\xEF\xBB\xBF[]", 0, 0, "expected a value"}, /* a byte order mark */
    {"[01]", 0, 1, "number with a leading zero"},
    {"[-01]", 0, 1, "number with a leading zero"},
    {"[1.]", 0, 3, "expected a digit after the point"},
    {"[.5]", 0, 1, "expected a value"},
    {"[+1]", 0, 1, "expected a value"},
    {"[-]", 0, 2, "expected a digit"},
    {"[1e]", 0, 3, "expected a digit in the exponent"},
    {"[1e+]", 0, 4, "expected a digit in the exponent"},
    {"[0x10]", 0, 2, "expected ',' or ']'"},
    {"[1e400]", 0, 1, "number out of range"},
    {"[-1e400]", 0, 1, "number out of range"},
    {"[18446744073709551616]", 0, 1, "number out of range"},
    {"[-9223372036854775809]", 0, 1, "number out of range"},
    {"[tru]", 0, 1, "expected a value"},
    {"[True]", 0, 1, "expected a value"},
    {"[nulls]", 0, 5, "expected ',' or ']'"},
    {"\"abc", 0, 0, "a string that is never closed"},
    {"[\"abc]", 0, 1, "a string that is never closed"},
    {"[\"a\nb\"]", 0, 3, "control character"},
    {"[\"a\0b\"]", 7, 3, "control character"},
    {"[\"\\x41\"]", 0, 2, "unknown escape"},
    {"[\"\\u12g4\"]", 0, 2, "\\u without four hex digits"},
    {"[\"\\ud800\"]", 0, 2, "first half of a surrogate pair alone"},
    {"[\"\\ud800\\u0041\"]", 0, 2, "first half of a surrogate pair alone"},
    {"[\"\\udc00\"]", 0, 2, "second half of a surrogate pair alone"},
    {"[\"\xFF\"]", 0, 2, "invalid UTF-8"},
    {"[\"\xC0\x80\"]", 0, 2, "invalid UTF-8"},
    {"[\"\xED\xA0\x80\"]", 0, 2, "invalid UTF-8"},
    {"[\"\xF4\x90\x80\x80\"]", 0, 2, "invalid UTF-8"},
    {"[\"ok\xC3\"]", 0, 4, "invalid UTF-8"},
    {"[[[[[1]]]]]", 0, 4, "nested too deep"},
    {"{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}", 0, 20, "nested too deep"},
    {"[1,// comment\n2]", 0, 3, "expected a value"},
};

static void bad_documents_are_refused_with_place_and_reason(void **state)
{
    (void)state;
    struct jade_json_parser *p = NULL;
    assert_int_equal(jade_json_parser_new(1000, 4, &p, NULL), JADE_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct bad *c = &cases[i];
        struct jade_json root;
        struct jade_err err = {0};
        char place[32];
        size_t n = c->n != 0 ? c->n : strlen(c->text);
        (void)snprintf(place, sizeof place, " at byte %zu of %zu", c->at, n);
        jade_code rc = jade_json_parse(p, c->text, n, &root, &err);
        if (rc != JADE_E_INVALID_JSON || strstr(err.message, c->what) == NULL ||
            strstr(err.message, place) == NULL) {
            fail_msg("%s: got %s \"%s\", expected %s%s", c->text, jade_code_name(rc), err.message,
                     c->what, place);
        }
    }
    jade_json_parser_free(p);
}

static void empty_document_is_refused(void **state)
{
    (void)state;
    struct jade_json_parser *p = NULL;
    struct jade_json root;
    struct jade_err err = {0};
    assert_int_equal(jade_json_parser_new(1000, 4, &p, NULL), JADE_OK);
    assert_int_equal(jade_json_parse(p, "", 0, &root, &err), JADE_E_INVALID_JSON);
    assert_non_null(strstr(err.message, "empty"));
    assert_int_equal(jade_json_parse(p, NULL, 0, &root, NULL), JADE_E_INVALID_JSON);
    jade_json_parser_free(p);
}

static void a_refusal_leaves_the_parser_usable(void **state)
{
    (void)state;
    struct jade_json_parser *p = NULL;
    struct jade_json root;
    assert_int_equal(jade_json_parser_new(1000, 4, &p, NULL), JADE_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n = cases[i].n != 0 ? cases[i].n : strlen(cases[i].text);
        assert_int_equal(jade_json_parse(p, cases[i].text, n, &root, NULL), JADE_E_INVALID_JSON);
        assert_int_equal(jade_json_parse(p, "[1,2]", 5, &root, NULL), JADE_OK);
        assert_int_equal(jade_json_count(root), 2);
    }
    jade_json_parser_free(p);
}

/*
 * Two readers of one language: what simdjson takes, the fault finder must find no fault in, and the other way round. Texts are good
 * ones with a few bytes changed, so that both answers come often.
 */
static void fault_finder_agrees_with_the_parser(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{\"id\":\"a\\u00e9\\ud83d\\ude00\",\"values\":[1,-2.5,3e-7,0.0],\"metadata\":{\"x\":[true,null,{}]}}",
        "[[],{},[{\"a\":[[1]]}],\"\xE5\x90\x91\",18446744073709551615,-0.1e+2]",
        "\"just a string \\n\\t\\\"\"",
        "-12.5e10",
    };
    static const char letters[] = "[]{},:\"\\0123456789.eE+-tfnu \n\xC3\xA9\xFF";
    struct jade_random r = seeded();
    struct jade_json_parser *p = NULL;
    size_t taken = 0;
    size_t refused = 0;
    assert_int_equal(jade_json_parser_new(1000, 4, &p, NULL), JADE_OK);
    for (int round = 0; round < 200000; round++) {
        char text[256];
        const char *from = good[jade_random_below(&r, 4)];
        size_t n = strlen(from);
        memcpy(text, from, n);
        for (uint64_t changes = jade_random_below(&r, 3); changes > 0; changes--) {
            text[jade_random_below(&r, n)] = letters[jade_random_below(&r, sizeof letters - 1)];
        }
        n -= jade_random_below(&r, 8) == 0 ? jade_random_below(&r, n) : 0;
        memset(text + n, ' ', 64); /* blanks after the end, as json_shim.cc puts them */
        struct jade_json root;
        struct jade_json_fault fault;
        bool ok = jade_json_parse(p, text, n, &root, NULL) == JADE_OK;
        bool no_fault = n > 0 && !jadei_json_find_fault(text, n, 4, &fault);
        if (ok != no_fault) {
            fail_msg("round %d: parser says %d, fault finder %d: %.*s", round, ok, no_fault, (int)n,
                     text);
        }
        taken += ok;
        refused += !ok;
    }
    assert_true(taken > 10000 && refused > 10000);
    jade_json_parser_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_documents_are_refused_with_place_and_reason),
        cmocka_unit_test(empty_document_is_refused),
        cmocka_unit_test(a_refusal_leaves_the_parser_usable),
        cmocka_unit_test(fault_finder_agrees_with_the_parser),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
