/* Filter text: what is accepted, and with what code and field the rest is refused. */
#include "base/utf8.h"
#include "filter_test.h"

struct bad_filter {
    const char *json;
    jade_code code;
    const char *field;
    const char *says; /* part of the message */
};

static const struct bad_filter BAD[] = {
    {"{\"price\":{\"$gtt\":1}}", JADE_E_INVALID_FILTER, "filter.price.$gtt", "did you mean $gt?"},
    {"{\"price\":{\"$grater\":1}}", JADE_E_INVALID_FILTER, "filter.price.$grater", "did you mean"},
    {"{\"price\":{\"$GTE\":1}}", JADE_E_INVALID_FILTER, "filter.price.$GTE", "did you mean $gte?"},
    {"{\"a\":{\"$notin\":[1]}}", JADE_E_INVALID_FILTER, "filter.a.$notin", "did you mean $nin?"},
    {"{\"$adn\":[{\"a\":1}]}", JADE_E_INVALID_FILTER, "filter.$adn", "did you mean $and?"},
    {"{\"$gt\":1}", JADE_E_INVALID_FILTER, "filter.$gt", "needs a field"},
    {"{\"a\":{\"$and\":[{\"b\":1}]}}", JADE_E_INVALID_FILTER, "filter.a.$and", "beside fields"},
    {"{\"a\":{\"city\":\"Oslo\"}}", JADE_E_INVALID_FILTER, "filter.a.city", "with a dot"},
    {"{\"a\":{}}", JADE_E_INVALID_FILTER, "filter.a", "an empty one"},
    {"{\"a\":{\"$not\":5}}", JADE_E_INVALID_FILTER, "filter.a.$not", "got number"},
    {"{\"a\":{\"$not\":{}}}", JADE_E_INVALID_FILTER, "filter.a.$not", "an empty one"},
    {"{\"$not\":[{\"a\":1}]}", JADE_E_INVALID_FILTER, "filter.$not", "got array"},
    {"{\"$and\":{\"a\":1}}", JADE_E_INVALID_FILTER, "filter.$and", "got object"},
    {"{\"$or\":[]}", JADE_E_INVALID_FILTER, "filter.$or", "an empty one"},
    {"{\"$or\":[{\"a\":1},7]}", JADE_E_INVALID_FILTER, "filter.$or[1]", "got number"},
    {"{\"$or\":[{\"a\":1},{\"b\":{\"$lt\":null}}]}", JADE_E_INVALID_FILTER, "filter.$or[1].b.$lt",
     "got null"},
    {"{\"a\":{\"$gt\":true}}", JADE_E_INVALID_FILTER, "filter.a.$gt", "got boolean"},
    {"{\"a\":{\"$lte\":[1]}}", JADE_E_INVALID_FILTER, "filter.a.$lte", "got array"},
    {"{\"a\":{\"$eq\":[1]}}", JADE_E_INVALID_FILTER, "filter.a.$eq", "use $in"},
    {"{\"a\":{\"$ne\":{\"b\":1}}}", JADE_E_INVALID_FILTER, "filter.a.$ne", "got an object"},
    {"{\"a\":{\"$in\":\"x\"}}", JADE_E_INVALID_FILTER, "filter.a.$in", "takes a list"},
    {"{\"a\":{\"$nin\":{\"x\":1}}}", JADE_E_INVALID_FILTER, "filter.a.$nin", "takes a list"},
    {"{\"a\":{\"$in\":[1,[2]]}}", JADE_E_INVALID_FILTER, "filter.a.$in[1]", "got an array"},
    {"{\"a\":[1,2,{\"b\":1}]}", JADE_E_INVALID_FILTER, "filter.a[2]", "got an object"},
    {"{\"a\":{\"$exists\":1}}", JADE_E_INVALID_FILTER, "filter.a.$exists", "true or false"},
    {"{\"a\":{\"$regex\":\"x\"}}", JADE_E_NOT_SUPPORTED_YET, "filter.a.$regex", "$regex"},
    {"{\"a\":{\"$geoRadius\":{}}}", JADE_E_NOT_SUPPORTED_YET, "filter.a.$geoRadius", "$geoRadius"},
    {"{\"$text\":\"x\"}", JADE_E_NOT_SUPPORTED_YET, "filter.$text", "$text"},
    {"{\"$and\":[{\"a\":{\"$all\":[1]}}]}", JADE_E_NOT_SUPPORTED_YET, "filter.$and[0].a.$all",
     "$all"},
    {"{\"must\":[{\"a\":{\"$foo\":1}}]}", JADE_E_INVALID_FILTER, "filter.must[0].a.$foo",
     "unknown operator"},
    {"{\"a\":1,\"a\":2}", JADE_E_INVALID_ARGUMENT, "filter", "\"a\""},
    {"[]", JADE_E_INVALID_FILTER, "filter", "got array"},
    {"null", JADE_E_INVALID_FILTER, "filter", "got null"},
    {"{\"a\":", JADE_E_INVALID_JSON, "", ""},
    {"", JADE_E_INVALID_JSON, "", ""},
};

static void bad_filters_name_code_and_field(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct jade_filter *f = (struct jade_filter *)&err;
        struct jade_err e = {0};
        jade_code rc = jade_filter_parse_text(BAD[i].json, strlen(BAD[i].json), "filter", &f, &e);
        if (rc != BAD[i].code || (BAD[i].field[0] != '\0' && strcmp(e.field, BAD[i].field) != 0) ||
            strstr(e.message, BAD[i].says) == NULL) {
            fail_msg("%s: got %s, field \"%s\", \"%s\"", BAD[i].json, jade_code_name(rc), e.field,
                     e.message);
        }
        assert_null(f);
        /* The error struct is optional. */
        assert_int_equal(
            jade_filter_parse_text(BAD[i].json, strlen(BAD[i].json), "filter", &f, NULL), rc);
    }
}

static void long_names_are_shown_cut_between_code_points(void **state)
{
    (void)state;
    for (unsigned shift = 0; shift < 4; shift++) {
        struct jade_buf b;
        struct jade_filter *f = NULL;
        struct jade_err e = {0};
        jade_buf_init(&b, JADE_TAG_TEST);
        jade_buf_printf(&b, "{\"price\":{\"$%.*s", (int)shift, "aaa");
        for (unsigned i = 0; i < 60; i++) {
            jade_buf_append_str(&b, "\xe6\x97\xa5");
        }
        jade_buf_append_str(&b, "\":1}}");
        assert_int_equal(jade_filter_parse_text((char *)b.data, b.len, "filter", &f, &e),
                         JADE_E_INVALID_FILTER);
        assert_true(jade_utf8_valid(e.message, strlen(e.message)));
        assert_true(jade_utf8_valid(e.field, strlen(e.field)));
        assert_non_null(strstr(e.message, "did you mean"));
        jade_buf_release(&b);
    }
}

struct good_filter {
    const char *json;
    const char *canonical;
};

static const struct good_filter GOOD[] = {
    {"{}", "{}"},
    {"{\"$and\":[{}]}", "{}"},
    {"{\"a\":1}", "{\"a\":{\"$eq\":1}}"},
    {"{\"metadata.a\":\"x\"}", "{\"a\":{\"$eq\":\"x\"}}"},
    {"{\"metadata.metadata.a\":1}", "{\"metadata.metadata.a\":{\"$eq\":1}}"},
    {"{\"metadata\":null}", "{\"metadata\":{\"$eq\":null}}"},
    {"{\"metadata.$a\":1}", "{\"metadata.$a\":{\"$eq\":1}}"},
    {"{\"a\":[\"x\",2,null,true,2.5]}", "{\"a\":{\"$in\":[\"x\",2,null,true,2.5]}}"},
    {"{\"a\":[]}", "{\"a\":{\"$in\":[]}}"},
    {"{\"a\":{\"$ne\":1}}", "{\"$not\":{\"a\":{\"$eq\":1}}}"},
    {"{\"a\":{\"$nin\":[1,2]}}", "{\"$not\":{\"a\":{\"$in\":[1,2]}}}"},
    {"{\"a\":{\"$exists\":false}}", "{\"$not\":{\"a\":{\"$exists\":true}}}"},
    {"{\"a\":{\"$gte\":1,\"$lt\":2}}", "{\"$and\":[{\"a\":{\"$gte\":1}},{\"a\":{\"$lt\":2}}]}"},
    {"{\"a\":{\"$not\":{\"$gt\":1,\"$lt\":0}}}",
     "{\"$not\":{\"$and\":[{\"a\":{\"$gt\":1}},{\"a\":{\"$lt\":0}}]}}"},
    {"{\"$nor\":[{\"a\":1},{\"b\":2}]}",
     "{\"$not\":{\"$or\":[{\"a\":{\"$eq\":1}},{\"b\":{\"$eq\":2}}]}}"},
    {"{\"$not\":{}}", "{\"$not\":{}}"},
    {"{\"$or\":[{\"a\":1}]}", "{\"a\":{\"$eq\":1}}"},
    {"{\"a\":18446744073709551615}", "{\"a\":{\"$eq\":18446744073709551615}}"},
    {"{\"must\":[{\"a\":1}],\"must_not\":[{\"b\":1},{\"c\":1}]}",
     "{\"$and\":[{\"a\":{\"$eq\":1}},{\"$not\":{\"$or\":[{\"b\":{\"$eq\":1}},{\"c\":{\"$eq\":1}}]}}]}"},
    {"{\"should\":[{\"a\":1},{\"b\":1}]}", "{\"$or\":[{\"a\":{\"$eq\":1}},{\"b\":{\"$eq\":1}}]}"},
    {"{\"must\":\"pay\"}", "{\"metadata.must\":{\"$eq\":\"pay\"}}"},
    {"{\"must\":[\"pay\"]}", "{\"metadata.must\":{\"$eq\":\"pay\"}}"},
    {"{\"$or\":[{\"must\":[1]},{\"a\":1}]}",
     "{\"$or\":[{\"metadata.must\":{\"$eq\":1}},{\"a\":{\"$eq\":1}}]}"},
    {"{\"metadata.category\":\"annual_report\",\"metadata.tags\":[\"finance\"],\"metadata.score\":{\"$gte\":0.8}}",
     "{\"$and\":[{\"category\":{\"$eq\":\"annual_report\"}},{\"tags\":{\"$eq\":\"finance\"}},{\"score\":{\"$gte\":0.8}}]}"},
};

static void check_canonical(const char *json, const char *canonical)
{
    struct jade_buf b;
    struct jade_filter *f = parse_filter(json);
    jade_buf_init(&b, JADE_TAG_TEST);
    jade_filter_write(f, &b);
    jade_buf_append_byte(&b, 0);
    must(jade_buf_status(&b, &err));
    assert_string_equal((const char *)b.data, canonical);
    assert_int_equal(jade_filter_is_empty(f), strcmp(canonical, "{}") == 0);
    jade_buf_release(&b);
    jade_filter_free(f);
}

static void good_filters_have_one_canonical_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        check_canonical(GOOD[i].json, GOOD[i].canonical);
        check_canonical(GOOD[i].canonical, GOOD[i].canonical);
    }
}

static void random_filters_survive_writing_and_parsing(void **state)
{
    (void)state;
    struct jade_random r;
    struct jade_buf text, first, second;
    jade_random_init(&r, 4711);
    print_message("seed 4711\n");
    jade_buf_init(&text, JADE_TAG_TEST);
    jade_buf_init(&first, JADE_TAG_TEST);
    jade_buf_init(&second, JADE_TAG_TEST);
    for (unsigned i = 0; i < 3000; i++) {
        struct jade_filter *f = NULL;
        random_filter(&r, &text, false);
        must(jade_filter_parse_text((char *)text.data, text.len, "filter", &f, &err));
        jade_buf_clear(&first);
        jade_filter_write(f, &first);
        jade_filter_free(f);
        must(jade_filter_parse_text((char *)first.data, first.len, "filter", &f, &err));
        jade_buf_clear(&second);
        jade_filter_write(f, &second);
        jade_filter_free(f);
        assert_int_equal(first.len, second.len);
        assert_memory_equal(first.data, second.data, first.len);
    }
    jade_buf_release(&text);
    jade_buf_release(&first);
    jade_buf_release(&second);
}

/* `levels` objects inside each other by the given opening, around {"a":1}. */
static jade_code parse_nested(const char *open, const char *close, unsigned levels,
                              struct jade_err *e)
{
    struct jade_buf b;
    struct jade_filter *f = NULL;
    jade_buf_init(&b, JADE_TAG_TEST);
    for (unsigned i = 1; i < levels; i++) {
        jade_buf_append_str(&b, open);
    }
    jade_buf_append_str(&b, "{\"a\":1}");
    for (unsigned i = 1; i < levels; i++) {
        jade_buf_append_str(&b, close);
    }
    jade_code rc = jade_filter_parse_text((char *)b.data, b.len, "filter", &f, e);
    jade_filter_free(f);
    jade_buf_release(&b);
    return rc;
}

static void depth_is_limited_to_16_objects(void **state)
{
    (void)state;
    static const char *const openings[] = {"{\"$and\":[", "{\"$not\":", "{\"$nor\":[{\"b\":1},"};
    static const char *const closings[] = {"]}", "}", "]}"};
    for (size_t i = 0; i < 3; i++) {
        struct jade_err e = {0};
        assert_int_equal(parse_nested(openings[i], closings[i], JADE_FILTER_DEPTH_MAX, &e),
                         JADE_OK);
        assert_int_equal(parse_nested(openings[i], closings[i], JADE_FILTER_DEPTH_MAX + 1, &e),
                         JADE_E_INVALID_FILTER);
        assert_non_null(strstr(e.message, "deeper than 16"));
    }
}

static jade_code parse_in(unsigned n_values, struct jade_err *e)
{
    struct jade_buf b;
    struct jade_filter *f = NULL;
    jade_buf_init(&b, JADE_TAG_TEST);
    jade_buf_append_str(&b, "{\"a\":{\"$in\":[");
    for (unsigned i = 0; i < n_values; i++) {
        jade_buf_printf(&b, "%s%u", i > 0 ? "," : "", i);
    }
    jade_buf_append_str(&b, "]}}");
    jade_code rc = jade_filter_parse_text((char *)b.data, b.len, "filter", &f, e);
    jade_filter_free(f);
    jade_buf_release(&b);
    return rc;
}

static void terms_are_limited_to_1000(void **state)
{
    (void)state;
    struct jade_err e = {0};
    assert_int_equal(parse_in(JADE_FILTER_TERMS_MAX, &e), JADE_OK);
    assert_int_equal(parse_in(JADE_FILTER_TERMS_MAX + 1, &e), JADE_E_INVALID_FILTER);
    assert_string_equal(e.field, "filter.a.$in[1000]");
    assert_non_null(strstr(e.message, "1000 terms"));
}

static void bytes_are_limited_to_64_kib(void **state)
{
    (void)state;
    struct jade_buf b;
    struct jade_filter *f = NULL;
    struct jade_err e = {0};
    jade_buf_init(&b, JADE_TAG_TEST);
    jade_buf_append_str(&b, "{\"a\":\"");
    while (b.len < JADE_FILTER_BYTES_MAX - 2) {
        jade_buf_append_byte(&b, 'x');
    }
    jade_buf_append_str(&b, "\"}");
    must(jade_filter_parse_text((char *)b.data, b.len, "filter", &f, &err));
    jade_filter_free(f);
    jade_buf_append_byte(&b, ' ');
    assert_int_equal(jade_filter_parse_text((char *)b.data, b.len, "filter", &f, &e),
                     JADE_E_TOO_LARGE);
    assert_string_equal(e.field, "filter");
    /* A filter inside a larger body is bounded by what it would have to copy. */
    struct jade_json_parser *p = new_parser();
    struct jade_json root;
    jade_buf_clear(&b);
    jade_buf_append_str(&b, "{\"a\":\"");
    for (unsigned i = 0; i < JADE_FILTER_BYTES_MAX; i++) {
        jade_buf_append_byte(&b, 'x');
    }
    jade_buf_append_str(&b, "\"}");
    must(jade_json_parse(p, b.data, b.len, &root, &err));
    assert_int_equal(jade_filter_parse(root, "query.filter", &f, &e), JADE_E_TOO_LARGE);
    assert_string_equal(e.field, "query.filter.a");
    jade_json_parser_free(p);
    jade_buf_release(&b);
}

static void every_failed_allocation_is_an_error_and_leaks_nothing(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\":{\"$gte\":1,\"$lt\":\"2024-01-01\"},\"$nor\":[{\"b\":[1,\"x\"]},{\"c\":{\"$not\":"
        "{\"$exists\":true}}}],\"d.e\":null}";
    int64_t before = jade_alloc_bytes(JADE_TAG_FILTER);
    bool passed = false;
    for (uint64_t n = 1; !passed; n++) {
        struct jade_filter *f = NULL;
        struct jade_err e = {0};
        jade_alloc_fail_at(n);
        jade_code rc = jade_filter_parse_text(text, sizeof text - 1, "filter", &f, &e);
        passed = jade_alloc_count() < n;
        jade_alloc_fail_at(0);
        assert_int_equal(rc, passed ? JADE_OK : JADE_E_NOMEM);
        assert_true((f != NULL) == passed);
        jade_filter_free(f);
        assert_int_equal(jade_alloc_bytes(JADE_TAG_FILTER), before);
        assert_true(n < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_filters_name_code_and_field),
        cmocka_unit_test(long_names_are_shown_cut_between_code_points),
        cmocka_unit_test(good_filters_have_one_canonical_text),
        cmocka_unit_test(random_filters_survive_writing_and_parsing),
        cmocka_unit_test(depth_is_limited_to_16_objects),
        cmocka_unit_test(terms_are_limited_to_1000),
        cmocka_unit_test(bytes_are_limited_to_64_kib),
        cmocka_unit_test(every_failed_allocation_is_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
