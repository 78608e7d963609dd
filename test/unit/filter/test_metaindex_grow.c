/* Growing: memory is counted, a failed add loses nothing, rows beyond the path table are still
 * found. */
#include "metaindex_test.h"

static void memory_is_counted_and_freed(void **state)
{
    (void)state;
    struct jade_random r;
    struct corpus c;
    int64_t before = jade_alloc_bytes(JADE_TAG_METADATA);
    jade_random_init(&r, 21);
    corpus_init(&c);
    uint64_t empty = jade_metaindex_memory_bytes(c.growing);
    assert_true(empty < 1024);
    corpus_fill(&c, &r, 3000, false);
    int64_t held = jade_alloc_bytes(JADE_TAG_METADATA) - before;
    uint64_t told = jade_metaindex_memory_bytes(c.growing);
    print_message("3000 rows: %llu bytes told, %lld held\n", (unsigned long long)told,
                  (long long)held);
    /* Untold: the unused ends of the chunks that hold keys. */
    assert_true(told > (uint64_t)held * 3 / 4 && told <= (uint64_t)held);
    assert_int_equal(jade_metaindex_rows(c.growing), 3000);
    corpus_release(&c);
    assert_int_equal(jade_alloc_bytes(JADE_TAG_METADATA), before);
}

static void check_every_row(struct corpus *c, struct jade_metaindex *ix, const char *text)
{
    struct jade_filter *f = parse_filter(text);
    struct jade_json_parser *p = new_parser();
    roaring_bitmap_t *rows = NULL;
    must(jade_metaindex_eval(ix, f, c->n_rows, corpus_row, c, &rows, &err));
    for (uint32_t row = 0; row < c->n_rows; row++) {
        struct jade_json root = {0};
        const char *json = NULL;
        size_t n = 0;
        corpus_text(c, row, &json, &n);
        must(jade_json_parse(p, json, n, &root, &err));
        if (roaring_bitmap_contains(rows, row) != jade_filter_match(f, root)) {
            fail_msg("%s: row %u: %.*s", text, row, (int)n, json);
        }
    }
    roaring_bitmap_free(rows);
    jade_filter_free(f);
    jade_json_parser_free(p);
}

static const char *const FILTERS[] = {
    "{\"a\":1}",
    "{\"a\":{\"$ne\":1}}",
    "{\"s\":{\"$gt\":\"m\"}}",
    "{\"o.k\":null}",
    "{\"t\":[true,\"x\"]}",
    "{\"$not\":{\"s\":\"zz\"}}",
    "{\"d\":{\"$gte\":\"2024-01-01\"}}",
};

/* A row whose add failed at any allocation is found by every filter that it matches, before and
 * after saving. */
static void a_row_whose_add_failed_is_still_answered_exactly(void **state)
{
    (void)state;
    static const char *const docs[] = {
        "{\"a\":1,\"s\":\"zz\"}",
        "{\"a\":[1,2,3],\"s\":\"abc\",\"o\":{\"k\":[{\"z\":1}]},\"t\":[true,\"x\",null],\"d\":\"2024-05-05\"}",
        "{\"a\":2,\"new\":{\"path\":\"y\"},\"s\":\"zz\"}",
    };
    bool passed = false;
    uint64_t n = 0;
    while (!passed) {
        n++;
        struct corpus c;
        struct jade_json_parser *p = new_parser();
        struct jade_json root;
        struct jade_err e = {0};
        corpus_init(&c);
        corpus_add(&c, p, docs[0], strlen(docs[0]));
        corpus_note(&c, docs[1], strlen(docs[1]));
        must(jade_json_parse(p, docs[1], strlen(docs[1]), &root, &err));
        jade_alloc_fail_at(n);
        jade_code rc = jade_metaindex_add(c.growing, 1, root, &e);
        passed = jade_alloc_count() < n;
        jade_alloc_fail_at(0);
        assert_int_equal(rc, passed ? JADE_OK : JADE_E_NOMEM);
        corpus_add(&c, p, docs[2], strlen(docs[2]));
        corpus_save(&c);
        for (size_t i = 0; i < sizeof FILTERS / sizeof FILTERS[0]; i++) {
            check_every_row(&c, c.growing, FILTERS[i]);
            check_every_row(&c, c.mapped, FILTERS[i]);
        }
        jade_json_parser_free(p);
        corpus_release(&c);
    }
    print_message("%llu allocations failed in turn\n", (unsigned long long)n - 1);
    assert_true(n > 20);
}

static void unknown_rows_are_matched_by_their_text(void **state)
{
    (void)state;
    struct corpus c;
    struct jade_json_parser *p = new_parser();
    static const char doc[] = "{\"a\":1,\"s\":\"zz\",\"t\":\"x\"}";
    corpus_init(&c);
    corpus_add(&c, p, doc, sizeof doc - 1);
    for (unsigned i = 0; i < 2; i++) {
        corpus_note(&c, doc, sizeof doc - 1);
        jade_metaindex_add_unknown(c.growing, c.n_rows - 1);
        corpus_add(&c, p, "{\"a\":2}", 7);
    }
    corpus_save(&c);
    for (size_t i = 0; i < sizeof FILTERS / sizeof FILTERS[0]; i++) {
        check_every_row(&c, c.growing, FILTERS[i]);
        check_every_row(&c, c.mapped, FILTERS[i]);
    }
    assert_true(c.n_row_calls > 0);
    jade_json_parser_free(p);
    corpus_release(&c);
}

static void paths_stop_at_their_limit_and_later_ones_are_matched_by_row(void **state)
{
    (void)state;
    struct corpus c;
    struct jade_json_parser *p = new_parser();
    struct jade_buf doc;
    jade_buf_init(&doc, JADE_TAG_TEST);
    corpus_init(&c);
    for (unsigned i = 0; i < JADE_METAINDEX_PATHS_MAX + 50; i++) {
        jade_buf_clear(&doc);
        jade_buf_printf(&doc, "{\"p%u\":{\"a\":%u}}", i, i);
        corpus_add(&c, p, (char *)doc.data, doc.len);
    }
    assert_int_equal(jade_metaindex_paths(c.growing), JADE_METAINDEX_PATHS_MAX);
    corpus_save(&c);
    check_every_row(&c, c.growing, "{\"p3.a\":3}");
    assert_int_equal(c.n_row_calls, 0);
    check_every_row(&c, c.growing, "{\"p1060.a\":1060}");
    assert_true(c.n_row_calls > 0 && c.n_row_calls < 700);
    check_every_row(&c, c.mapped, "{\"p1060.a\":{\"$gte\":1060}}");
    check_every_row(&c, c.mapped, "{\"$nor\":[{\"p1060.a\":{\"$exists\":true}},{\"p9\":null}]}");
    check_every_row(&c, c.mapped, "{\"nowhere\":null}");
    jade_buf_release(&doc);
    jade_json_parser_free(p);
    corpus_release(&c);
}

static void overlong_paths_are_matched_by_row(void **state)
{
    (void)state;
    struct corpus c;
    struct jade_json_parser *p = new_parser();
    struct jade_buf doc, filter;
    jade_buf_init(&doc, JADE_TAG_TEST);
    jade_buf_init(&filter, JADE_TAG_TEST);
    corpus_init(&c);
    for (unsigned n = 1019; n < 1028; n++) { /* JADEI_PATH_MAX is 1024, ".ab" included */
        jade_buf_clear(&doc);
        jade_buf_printf(&doc, "{\"%0*d\":[{\"ab\":1}],\"s\":\"x\"}", (int)n, 0);
        corpus_add(&c, p, (char *)doc.data, doc.len);
    }
    corpus_save(&c);
    for (unsigned n = 1019; n < 1028; n++) {
        jade_buf_clear(&filter);
        jade_buf_printf(&filter, "{\"%0*d.ab\":1}", (int)n, 0);
        jade_buf_append_byte(&filter, 0);
        check_every_row(&c, c.growing, (char *)filter.data);
        check_every_row(&c, c.mapped, (char *)filter.data);
    }
    jade_buf_release(&doc);
    jade_buf_release(&filter);
    jade_json_parser_free(p);
    corpus_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_counted_and_freed),
        cmocka_unit_test(a_row_whose_add_failed_is_still_answered_exactly),
        cmocka_unit_test(unknown_rows_are_matched_by_their_text),
        cmocka_unit_test(paths_stop_at_their_limit_and_later_ones_are_matched_by_row),
        cmocka_unit_test(overlong_paths_are_matched_by_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
