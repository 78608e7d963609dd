/* What each operator means for each type of value. */
#include "filter_test.h"

struct semantics {
    const char *filter;
    const char *metadata;
    bool matches;
};

static const struct semantics TABLE[] = {
    /* equality by type */
    {"{\"a\":1}", "{\"a\":1}", true},
    {"{\"a\":1}", "{\"a\":1.0}", true},
    {"{\"a\":1}", "{\"a\":2}", false},
    {"{\"a\":1}", "{\"a\":\"1\"}", false},
    {"{\"a\":1}", "{\"a\":true}", false},
    {"{\"a\":0}", "{\"a\":false}", false},
    {"{\"a\":0}", "{\"a\":-0.0}", true},
    {"{\"a\":0}", "{\"a\":null}", false},
    {"{\"a\":0}", "{}", false},
    {"{\"a\":\"x\"}", "{\"a\":\"x\"}", true},
    {"{\"a\":\"x\"}", "{\"a\":\"X\"}", false},
    {"{\"a\":\"\"}", "{\"a\":\"\"}", true},
    {"{\"a\":\"\"}", "{}", false},
    {"{\"a\":\"a\\u0000b\"}", "{\"a\":\"a\\u0000b\"}", true},
    {"{\"a\":\"a\"}", "{\"a\":\"a\\u0000b\"}", false},
    {"{\"a\":true}", "{\"a\":true}", true},
    {"{\"a\":true}", "{\"a\":false}", false},
    {"{\"a\":true}", "{\"a\":\"true\"}", false},
    {"{\"a\":null}", "{\"a\":null}", true},
    {"{\"a\":null}", "{}", true},
    {"{\"a\":null}", "{\"a\":0}", false},
    {"{\"a\":null}", "{\"a\":[]}", false},
    {"{\"a\":null}", "{\"a\":[1,null]}", true},
    {"{\"a\":null}", "{\"a\":{}}", false},
    {"{\"a\":\"x\"}", "{\"a\":{\"x\":\"x\"}}", false},
    {"{\"a\":{\"$eq\":\"x\"}}", "{\"a\":\"x\"}", true},
    /* integers are exact past 2^53, across types */
    {"{\"a\":9007199254740993}", "{\"a\":9007199254740993}", true},
    {"{\"a\":9007199254740993}", "{\"a\":9007199254740992}", false},
    {"{\"a\":9007199254740993}", "{\"a\":9007199254740992.0}", false},
    {"{\"a\":9007199254740992}", "{\"a\":9007199254740992.0}", true},
    {"{\"a\":{\"$gt\":9007199254740992.0}}", "{\"a\":9007199254740993}", true},
    {"{\"a\":{\"$gt\":9007199254740993}}", "{\"a\":9007199254740993}", false},
    {"{\"a\":{\"$lt\":-9007199254740992}}", "{\"a\":-9007199254740993}", true},
    {"{\"a\":18446744073709551615}", "{\"a\":18446744073709551615}", true},
    {"{\"a\":18446744073709551615}", "{\"a\":18446744073709551616.0}", false},
    {"{\"a\":{\"$lt\":18446744073709551616.0}}", "{\"a\":18446744073709551615}", true},
    {"{\"a\":9223372036854775807}", "{\"a\":9223372036854775808}", false},
    {"{\"a\":{\"$gt\":9223372036854775807}}", "{\"a\":9223372036854775808}", true},
    {"{\"a\":-9223372036854775808}", "{\"a\":-9223372036854775808.0}", true},
    {"{\"a\":{\"$lt\":-1}}", "{\"a\":9223372036854775808}", false},
    /* order */
    {"{\"a\":{\"$gt\":1}}", "{\"a\":1}", false},
    {"{\"a\":{\"$gt\":1}}", "{\"a\":1.5}", true},
    {"{\"a\":{\"$gte\":1}}", "{\"a\":1}", true},
    {"{\"a\":{\"$lt\":1}}", "{\"a\":1}", false},
    {"{\"a\":{\"$lt\":1}}", "{\"a\":-1e300}", true},
    {"{\"a\":{\"$lte\":1}}", "{\"a\":1.0}", true},
    {"{\"a\":{\"$gt\":1}}", "{\"a\":\"2\"}", false},
    {"{\"a\":{\"$lt\":\"2\"}}", "{\"a\":1}", false},
    {"{\"a\":{\"$gt\":0}}", "{\"a\":true}", false},
    {"{\"a\":{\"$gte\":0}}", "{\"a\":null}", false},
    {"{\"a\":{\"$gte\":0}}", "{}", false},
    {"{\"a\":{\"$gt\":\"abc\"}}", "{\"a\":\"abd\"}", true},
    {"{\"a\":{\"$gt\":\"abc\"}}", "{\"a\":\"abcd\"}", true},
    {"{\"a\":{\"$gt\":\"abc\"}}", "{\"a\":\"abc\"}", false},
    {"{\"a\":{\"$lt\":\"b\"}}", "{\"a\":\"B\"}", true},
    {"{\"a\":{\"$gte\":1,\"$lt\":3}}", "{\"a\":2}", true},
    {"{\"a\":{\"$gte\":1,\"$lt\":3}}", "{\"a\":3}", false},
    /* dates: order as times, equality as strings */
    {"{\"a\":{\"$gte\":\"2024-02-29\"}}", "{\"a\":\"2024-02-29T00:00:00Z\"}", true},
    {"{\"a\":{\"$gt\":\"2024-02-29\"}}", "{\"a\":\"2024-02-29T00:00:00Z\"}", false},
    {"{\"a\":{\"$lt\":\"2024-02-29T01:00:00Z\"}}", "{\"a\":\"2024-02-29T01:30:00+01:00\"}", true},
    {"{\"a\":{\"$lt\":\"2024-02-29T01:00:00Z\"}}", "{\"a\":\"2024-02-29T01:30:00-01:00\"}", false},
    {"{\"a\":\"2024-02-29\"}", "{\"a\":\"2024-02-29T00:00:00Z\"}", false},
    {"{\"a\":{\"$lt\":\"2024-02-29\"}}", "{\"a\":\"1969-12-31T23:59:59.5Z\"}", true},
    {"{\"a\":{\"$gt\":\"2024-02-29\"}}", "{\"a\":\"zebra\"}", true}, /* not both dates: by bytes */
    {"{\"a\":{\"$gt\":\"2024-02-30\"}}", "{\"a\":\"2024-02-29\"}", false},
    {"{\"a\":{\"$gt\":0}}", "{\"a\":\"2024-02-29\"}", false},
    /* negations hold without the field */
    {"{\"a\":{\"$ne\":1}}", "{\"a\":1}", false},
    {"{\"a\":{\"$ne\":1}}", "{\"a\":2}", true},
    {"{\"a\":{\"$ne\":1}}", "{\"a\":\"1\"}", true},
    {"{\"a\":{\"$ne\":1}}", "{}", true},
    {"{\"a\":{\"$ne\":1}}", "{\"a\":[2,1]}", false},
    {"{\"a\":{\"$ne\":null}}", "{}", false},
    {"{\"a\":{\"$ne\":null}}", "{\"a\":0}", true},
    {"{\"a\":{\"$nin\":[1,2]}}", "{\"a\":3}", true},
    {"{\"a\":{\"$nin\":[1,2]}}", "{\"a\":2}", false},
    {"{\"a\":{\"$nin\":[1,2]}}", "{}", true},
    {"{\"a\":{\"$nin\":[1,null]}}", "{}", false},
    {"{\"a\":{\"$nin\":[]}}", "{\"a\":2}", true},
    {"{\"a\":{\"$not\":{\"$gt\":1}}}", "{\"a\":0}", true},
    {"{\"a\":{\"$not\":{\"$gt\":1}}}", "{\"a\":2}", false},
    {"{\"a\":{\"$not\":{\"$gt\":1}}}", "{}", true},
    {"{\"a\":{\"$not\":{\"$gt\":1,\"$lt\":5}}}", "{\"a\":9}", true},
    {"{\"$not\":{\"a\":1,\"b\":2}}", "{\"a\":1,\"b\":3}", true},
    {"{\"$not\":{\"a\":1,\"b\":2}}", "{\"a\":1,\"b\":2}", false},
    {"{\"$not\":{}}", "{\"a\":1}", false},
    {"{\"$nor\":[{\"a\":1},{\"b\":2}]}", "{\"a\":2,\"b\":1}", true},
    {"{\"$nor\":[{\"a\":1},{\"b\":2}]}", "{\"a\":2,\"b\":2}", false},
    /* lists */
    {"{\"a\":{\"$in\":[1,\"x\",true,null]}}", "{\"a\":\"x\"}", true},
    {"{\"a\":{\"$in\":[1,\"x\",true,null]}}", "{\"a\":true}", true},
    {"{\"a\":{\"$in\":[1,\"x\",true,null]}}", "{}", true},
    {"{\"a\":{\"$in\":[1,\"x\",true]}}", "{\"a\":false}", false},
    {"{\"a\":{\"$in\":[]}}", "{\"a\":1}", false},
    {"{\"tags\":[\"finance\",\"tax\"]}", "{\"tags\":[\"law\",\"tax\"]}", true},
    {"{\"tags\":[\"finance\",\"tax\"]}", "{\"tags\":\"finance\"}", true},
    {"{\"tags\":[\"finance\"]}", "{\"tags\":[]}", false},
    {"{\"tags\":\"tax\"}", "{\"tags\":[\"law\",\"tax\"]}", true},
    {"{\"a\":{\"$gt\":5}}", "{\"a\":[1,9]}", true},
    {"{\"a\":{\"$gt\":5,\"$lt\":2}}", "{\"a\":[1,9]}", true}, /* each by some element */
    /* presence */
    {"{\"a\":{\"$exists\":true}}", "{\"a\":null}", true},
    {"{\"a\":{\"$exists\":true}}", "{\"a\":[]}", true},
    {"{\"a\":{\"$exists\":true}}", "{\"a\":{}}", true},
    {"{\"a\":{\"$exists\":true}}", "{\"b\":1}", false},
    {"{\"a\":{\"$exists\":false}}", "{}", true},
    {"{\"a\":{\"$exists\":false}}", "{\"a\":null}", false},
    /* paths */
    {"{\"metadata.a\":1}", "{\"a\":1}", true},
    {"{\"metadata.a\":1}", "{\"metadata\":{\"a\":1}}", false},
    {"{\"metadata.metadata.a\":1}", "{\"metadata\":{\"a\":1}}", true},
    {"{\"custom.region\":\"EU\"}", "{\"custom\":{\"region\":\"EU\"}}", true},
    {"{\"custom.region\":\"EU\"}", "{\"custom.region\":\"EU\"}", true},
    {"{\"a.b.c\":1}", "{\"a\":{\"b.c\":1}}", true},
    {"{\"a.b.c\":1}", "{\"a.b\":{\"c\":1},\"a\":{\"b\":{\"c\":2}}}", true},
    {"{\"a.b\":{\"$exists\":true}}", "{\"a\":1}", false},
    {"{\"items.price\":{\"$lt\":3}}", "{\"items\":[{\"price\":5},{\"price\":2}]}", true},
    {"{\"items.price\":{\"$lt\":2}}", "{\"items\":[{\"price\":5},{\"price\":2}]}", false},
    {"{\"items.in.n\":1}", "{\"items\":[{\"in\":[{\"n\":0},{\"n\":[2,1]}]}]}", true},
    {"{\"items.0\":1}", "{\"items\":[1]}", false}, /* positions are no path */
    {"{\"a\":1}", "{\"a\":[[1]]}", false},         /* one level */
    {"{\"a.b\":1}", "{\"a\":[[{\"b\":1}]]}", false},
    {"{\"\":1}", "{\"\":1}", true},
    {"{\"a.\":1}", "{\"a\":{\"\":1}}", true},
    {"{\".\":1}", "{\"\":{\"\":1}}", true},
    /* logic */
    {"{}", "{}", true},
    {"{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":2}", true},
    {"{\"a\":1,\"b\":2}", "{\"a\":1}", false},
    {"{\"$or\":[{\"a\":1},{\"b\":2}]}", "{\"b\":2}", true},
    {"{\"$or\":[{\"a\":1},{\"b\":2}]}", "{\"a\":2,\"b\":1}", false},
    {"{\"$and\":[{\"a\":1},{\"$or\":[{\"b\":1},{\"c\":1}]}]}", "{\"a\":1,\"c\":1}", true},
    {"{\"$and\":[{\"a\":1},{\"$or\":[{\"b\":1},{\"c\":1}]}]}", "{\"a\":2,\"c\":1}", false},
    {"{\"$or\":[{\"$not\":{\"$or\":[{\"a\":1},{\"b\":1}]}},{\"c\":1}]}", "{\"a\":1,\"c\":1}", true},
    {"{\"must\":[{\"a\":1}],\"must_not\":[{\"b\":1}],\"should\":[{\"c\":1},{\"d\":1}]}",
     "{\"a\":1,\"d\":1}", true},
    {"{\"must\":[{\"a\":1}],\"must_not\":[{\"b\":1}],\"should\":[{\"c\":1},{\"d\":1}]}",
     "{\"a\":1,\"b\":1,\"d\":1}", false},
    {"{\"must\":[{\"a\":1}],\"must_not\":[{\"b\":1}],\"should\":[{\"c\":1},{\"d\":1}]}",
     "{\"a\":1}", false},
};

/* The index over a single row must say the same as the reference. */
static bool index_says(const struct jade_filter *f, struct jade_json metadata)
{
    struct jade_metaindex *ix = NULL;
    roaring_bitmap_t *rows = NULL;
    must(jade_metaindex_new(&ix, &err));
    must(jade_metaindex_add(ix, 0, metadata, &err));
    must(jade_metaindex_eval(ix, f, 1, NULL, NULL, &rows, &err));
    bool found = roaring_bitmap_contains(rows, 0);
    assert_int_equal(roaring_bitmap_get_cardinality(rows), found);
    roaring_bitmap_free(rows);
    jade_metaindex_free(ix);
    return found;
}

static void operators_mean_what_the_table_says(void **state)
{
    (void)state;
    struct jade_json_parser *p = new_parser();
    for (size_t i = 0; i < sizeof TABLE / sizeof TABLE[0]; i++) {
        struct jade_filter *f = parse_filter(TABLE[i].filter);
        struct jade_json root;
        must(jade_json_parse(p, TABLE[i].metadata, strlen(TABLE[i].metadata), &root, &err));
        bool matches = jade_filter_match(f, root);
        bool indexed = index_says(f, root);
        if (matches != TABLE[i].matches || indexed != matches) {
            fail_msg("%s on %s: match says %d, index %d, expected %d", TABLE[i].filter,
                     TABLE[i].metadata, matches, indexed, TABLE[i].matches);
        }
        jade_filter_free(f);
    }
    jade_json_parser_free(p);
}

static void a_row_without_metadata_has_no_field(void **state)
{
    (void)state;
    struct jade_filter *none = parse_filter("{\"a\":{\"$exists\":false}}");
    struct jade_filter *some = parse_filter("{\"a\":{\"$exists\":true}}");
    struct jade_filter *null = parse_filter("{\"a\":null}");
    struct jade_json nothing = {0};
    assert_true(jade_filter_match(none, nothing));
    assert_false(jade_filter_match(some, nothing));
    assert_true(jade_filter_match(null, nothing));
    jade_filter_free(none);
    jade_filter_free(some);
    jade_filter_free(null);
}

static void documents_as_deep_as_allowed_are_walked(void **state)
{
    (void)state;
    struct jade_json_parser *p = new_parser();
    struct jade_buf doc, filter;
    struct jade_json root;
    jade_buf_init(&doc, JADE_TAG_TEST);
    jade_buf_init(&filter, JADE_TAG_TEST);
    jade_buf_append_str(&filter, "{\"");
    for (unsigned i = 0; i < JADE_METADATA_DEPTH_MAX / 2; i++) {
        jade_buf_append_str(&doc, i > 0 ? "[{\"k\":" : "{\"k\":");
        jade_buf_append_str(&filter, i > 0 ? ".k" : "k");
    }
    jade_buf_append_str(&doc, "[5]");
    for (unsigned i = 0; i < JADE_METADATA_DEPTH_MAX / 2; i++) {
        jade_buf_append_str(&doc, i + 1 < JADE_METADATA_DEPTH_MAX / 2 ? "}]" : "}");
    }
    jade_buf_append_str(&filter, "\":5}");
    jade_buf_append_byte(&filter, 0);
    struct jade_filter *f = parse_filter((char *)filter.data);
    must(jade_json_parse(p, doc.data, doc.len, &root, &err));
    assert_true(jade_filter_match(f, root));
    assert_true(index_says(f, root));
    jade_filter_free(f);
    jade_json_parser_free(p);
    jade_buf_release(&doc);
    jade_buf_release(&filter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operators_mean_what_the_table_says),
        cmocka_unit_test(a_row_without_metadata_has_no_field),
        cmocka_unit_test(documents_as_deep_as_allowed_are_walked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
