/* The index answers as the reference does, growing and mapped, whatever documents and filters come.
 */
#include "metaindex_test.h"
#include "os/thread.h"

/* Compares an index with the reference on every row below n_rows; prints the filter of a
 * difference. */
static void compare(struct corpus *c, struct jade_metaindex *ix, const struct jade_filter *f,
                    const uint8_t *expected, uint32_t n_rows, const char *what)
{
    roaring_bitmap_t *rows = NULL;
    must(jade_metaindex_eval(ix, f, n_rows, corpus_row, c, &rows, &err));
    uint64_t n = 0;
    for (uint32_t row = 0; row < n_rows; row++) {
        bool found = roaring_bitmap_contains(rows, row);
        n += found;
        if (found != (expected[row] != 0)) {
            struct jade_buf b;
            const char *json = NULL;
            size_t len = 0;
            jade_buf_init(&b, JADE_TAG_TEST);
            jade_filter_write(f, &b);
            corpus_text(c, row, &json, &len);
            fail_msg("%s: filter %.*s\nrow %u: %.*s\nindex says %d", what, (int)b.len,
                     (char *)b.data, row, (int)len, json, found);
        }
    }
    assert_int_equal(roaring_bitmap_get_cardinality(rows), n);
    roaring_bitmap_free(rows);
}

/* All documents of a corpus, parsed once each. */
struct parsed {
    struct jade_json_parser **parsers;
    struct jade_json *roots;
    uint32_t n;
};

static struct parsed parse_all(const struct corpus *c)
{
    struct parsed p = {.n = c->n_rows};
    p.parsers = jade_calloc(JADE_TAG_TEST, c->n_rows, sizeof(*p.parsers));
    p.roots = jade_calloc(JADE_TAG_TEST, c->n_rows, sizeof *p.roots);
    assert_non_null(p.parsers);
    assert_non_null(p.roots);
    for (uint32_t row = 0; row < c->n_rows; row++) {
        const char *json = NULL;
        size_t n = 0;
        corpus_text(c, row, &json, &n);
        p.parsers[row] = new_parser();
        if (n > 0) {
            must(jade_json_parse(p.parsers[row], json, n, &p.roots[row], &err));
        }
    }
    return p;
}

static void parsed_release(struct parsed *p)
{
    for (uint32_t i = 0; i < p->n; i++) {
        jade_json_parser_free(p->parsers[i]);
    }
    jade_free(p->parsers);
    jade_free(p->roots);
}

/* One corpus against n_filters; returns how often the answer was neither nothing nor everything. */
static unsigned run_corpus(uint64_t seed, uint32_t n_rows, unsigned n_filters, bool many_keys)
{
    struct jade_random r;
    struct corpus c;
    struct jade_buf text;
    unsigned telling = 0;
    jade_random_init(&r, seed);
    corpus_init(&c);
    corpus_fill(&c, &r, n_rows, many_keys);
    corpus_save(&c);
    struct parsed docs = parse_all(&c);
    uint8_t *expected = jade_alloc(JADE_TAG_TEST, n_rows);
    assert_non_null(expected);
    jade_buf_init(&text, JADE_TAG_TEST);
    for (unsigned i = 0; i < n_filters; i++) {
        struct jade_filter *f = NULL;
        uint32_t n = 0;
        random_filter(&r, &text, many_keys);
        must(jade_filter_parse_text((char *)text.data, text.len, "filter", &f, &err));
        for (uint32_t row = 0; row < n_rows; row++) {
            expected[row] = jade_filter_match(f, docs.roots[row]);
            n += expected[row];
        }
        telling += n > 0 && n < n_rows;
        compare(&c, c.growing, f, expected, n_rows, "growing");
        compare(&c, c.mapped, f, expected, n_rows, "mapped");
        if (i % 16 == 0) {
            compare(&c, c.growing, f, expected, n_rows / 2, "growing, the first half");
        }
        jade_filter_free(f);
    }
    jade_buf_release(&text);
    jade_free(expected);
    parsed_release(&docs);
    corpus_release(&c);
    return telling;
}

static void growing_and_mapped_agree_with_the_reference(void **state)
{
    (void)state;
    unsigned telling = 0;
    unsigned pairs = 0;
    print_message("seeds 1..220\n");
    for (uint64_t seed = 1; seed <= 220; seed++) {
        telling += run_corpus(seed, 1 + (uint32_t)(seed * 7 % 60), 100, false);
        pairs += 100;
    }
    print_message("%u pairs, %u of them neither empty nor full\n", pairs, telling);
    assert_true(pairs >= 20000 && telling * 5 > pairs);
}

static void large_sets_agree_with_the_reference(void **state)
{
    (void)state;
    /* More rows than a column chunk and a small list hold; then more paths than the table takes. */
    assert_true(run_corpus(1001, 6000, 40, false) > 10);
    assert_true(run_corpus(1002, 300, 100, true) > 20);
}

static void rows_past_the_end_are_absent_and_missing_rows_have_no_metadata(void **state)
{
    (void)state;
    struct corpus c;
    struct jade_json_parser *p = new_parser();
    struct jade_filter *f = parse_filter("{\"a\":null}");
    struct jade_filter *all = parse_filter("{}");
    roaring_bitmap_t *rows = NULL;
    corpus_init(&c);
    corpus_add(&c, p, "{\"a\":1}", 7);
    corpus_add(&c, p, "{\"b\":1}", 7);
    must(jade_metaindex_eval(c.growing, f, 4, NULL, NULL, &rows, &err));
    assert_int_equal(roaring_bitmap_get_cardinality(rows),
                     3); /* 1, and 2 and 3, which were never added */
    assert_false(roaring_bitmap_contains(rows, 0));
    roaring_bitmap_free(rows);
    must(jade_metaindex_eval(c.growing, all, 1, NULL, NULL, &rows, &err));
    assert_int_equal(roaring_bitmap_get_cardinality(rows), 1);
    roaring_bitmap_free(rows);
    must(jade_metaindex_eval(c.growing, all, 0, NULL, NULL, &rows, &err));
    assert_true(roaring_bitmap_is_empty(rows));
    roaring_bitmap_free(rows);
    jade_filter_free(f);
    jade_filter_free(all);
    jade_json_parser_free(p);
    corpus_release(&c);
}

/* Only what an index cannot know makes it look at a row. */
static void rows_are_read_only_when_the_index_cannot_decide(void **state)
{
    (void)state;
    struct jade_random r;
    struct corpus c;
    struct jade_filter *f = parse_filter("{\"n\":{\"$gte\":2},\"$not\":{\"s\":\"red\"}}");
    roaring_bitmap_t *rows = NULL;
    jade_random_init(&r, 77);
    corpus_init(&c);
    corpus_fill(&c, &r, 500, false);
    corpus_save(&c);
    must(jade_metaindex_eval(c.growing, f, c.n_rows, NULL, NULL, &rows, &err));
    roaring_bitmap_free(rows);
    must(jade_metaindex_eval(c.mapped, f, c.n_rows, NULL, NULL, &rows, &err));
    roaring_bitmap_free(rows);
    jade_filter_free(f);

    struct jade_buf b;
    jade_buf_init(&b, JADE_TAG_TEST);
    jade_buf_append_str(&b, "{\"s\":\"");
    for (unsigned i = 0; i < JADE_METAINDEX_STRING_MAX + 1; i++) {
        jade_buf_append_byte(&b, 'a');
    }
    jade_buf_append_str(&b, "\"}");
    must(jade_filter_parse_text((char *)b.data, b.len, "filter", &f, &err));
    must(jade_metaindex_eval(c.mapped, f, c.n_rows, corpus_row, &c, &rows, &err));
    assert_true(c.n_row_calls > 0);
    assert_int_equal(c.n_row_calls,
                     roaring_bitmap_get_cardinality(rows)); /* the hash leaves the true ones */
    roaring_bitmap_free(rows);
    jade_filter_free(f);
    jade_buf_release(&b);
    corpus_release(&c);
}

static jade_code failing_row(void *ctx, uint32_t row, const char **json_out, size_t *n_out,
                             struct jade_err *e)
{
    (void)ctx;
    (void)row;
    (void)json_out;
    (void)n_out;
    return jade_fail(e, JADE_E_IO, "the disk is gone");
}

static jade_code broken_row(void *ctx, uint32_t row, const char **json_out, size_t *n_out,
                            struct jade_err *e)
{
    (void)ctx;
    (void)row;
    (void)e;
    *json_out = "{\"s\":";
    *n_out = 5;
    return JADE_OK;
}

static void an_unreadable_row_fails_the_evaluation(void **state)
{
    (void)state;
    struct corpus c;
    struct jade_json_parser *p = new_parser();
    struct jade_filter *f = parse_filter("{\"s\":{\"$gt\":\"b\"}}");
    struct jade_err e = {0};
    roaring_bitmap_t *rows = NULL;
    struct jade_buf b;
    jade_buf_init(&b, JADE_TAG_TEST);
    jade_buf_printf(&b, "{\"s\":\"%0*d\"}", (int)JADE_METAINDEX_STRING_MAX + 1, 0);
    corpus_init(&c);
    corpus_add(&c, p, (char *)b.data, b.len);
    assert_int_equal(jade_metaindex_eval(c.growing, f, 1, failing_row, NULL, &rows, &e), JADE_E_IO);
    assert_null(rows);
    assert_int_equal(jade_metaindex_eval(c.growing, f, 1, broken_row, NULL, &rows, &e),
                     JADE_E_INVALID_JSON);
    assert_non_null(strstr(e.message, "row 0"));
    jade_filter_free(f);
    jade_json_parser_free(p);
    jade_buf_release(&b);
    corpus_release(&c);
}

static void failed_allocations_in_eval_are_errors_and_leak_nothing(void **state)
{
    (void)state;
    struct jade_random r;
    struct corpus c;
    static const char text[] =
        "{\"$or\":[{\"s\":{\"$gt\":\"a\"}},{\"n\":{\"$lt\":20}},{\"x\":null},{\"zz\":{\"$ne\":1}}]}";
    jade_random_init(&r, 5);
    corpus_init(&c);
    corpus_fill(&c, &r, 5000, false);
    corpus_save(&c);
    struct jade_filter *f = parse_filter(text);
    for (unsigned form = 0; form < 2; form++) {
        bool passed = false;
        int64_t before = jade_alloc_bytes_total();
        for (uint64_t n = 1; !passed; n += n < 40 ? 1 : 97) {
            roaring_bitmap_t *rows = NULL;
            struct jade_err e = {0};
            jade_alloc_fail_at(n);
            jade_code rc = jade_metaindex_eval(form == 0 ? c.growing : c.mapped, f, c.n_rows,
                                               corpus_row, &c, &rows, &e);
            passed = jade_alloc_count() < n;
            jade_alloc_fail_at(0);
            assert_int_equal(rc, passed ? JADE_OK : JADE_E_NOMEM);
            if (rows != NULL) {
                roaring_bitmap_free(rows);
            }
            assert_int_equal(jade_alloc_bytes_total(), before);
        }
    }
    jade_filter_free(f);
    corpus_release(&c);
}

enum { N_THREADS = 4, N_ROUNDS = 30 };

struct reader {
    struct jade_thread thread;
    struct corpus *corpus;
    struct jade_metaindex *ix;
    const struct jade_filter *filter;
    uint64_t expected;
    unsigned wrong;
};

static void *read_on(void *arg)
{
    struct reader *r = arg;
    for (unsigned i = 0; i < N_ROUNDS; i++) {
        roaring_bitmap_t *rows = NULL;
        if (jade_metaindex_eval(r->ix, r->filter, r->corpus->n_rows, NULL, NULL, &rows, NULL) !=
            JADE_OK) {
            r->wrong++;
            continue;
        }
        r->wrong += roaring_bitmap_get_cardinality(rows) != r->expected;
        roaring_bitmap_free(rows);
    }
    return NULL;
}

static void many_threads_read_both_forms_at_once(void **state)
{
    (void)state;
    struct jade_random r;
    struct corpus c;
    struct reader readers[2 * N_THREADS];
    roaring_bitmap_t *rows = NULL;
    struct jade_filter *f = parse_filter("{\"$or\":[{\"n\":{\"$gte\":2,\"$lt\":9}},"
                                         "{\"s\":\"red\"},{\"x\":{\"$ne\":true}}]}");
    jade_random_init(&r, 41);
    corpus_init(&c);
    corpus_fill(&c, &r, 3000, false);
    corpus_save(&c);
    must(jade_metaindex_eval(c.growing, f, c.n_rows, NULL, NULL, &rows, &err));
    for (unsigned i = 0; i < 2 * N_THREADS; i++) {
        readers[i] = (struct reader){.corpus = &c,
                                     .ix = i % 2 == 0 ? c.growing : c.mapped,
                                     .filter = f,
                                     .expected = roaring_bitmap_get_cardinality(rows)};
        must(jade_thread_start(&readers[i].thread, "reader", 0, read_on, &readers[i], &err));
    }
    for (unsigned i = 0; i < 2 * N_THREADS; i++) {
        jade_thread_join(&readers[i].thread);
        assert_int_equal(readers[i].wrong, 0);
    }
    roaring_bitmap_free(rows);
    jade_filter_free(f);
    corpus_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(growing_and_mapped_agree_with_the_reference),
        cmocka_unit_test(large_sets_agree_with_the_reference),
        cmocka_unit_test(rows_past_the_end_are_absent_and_missing_rows_have_no_metadata),
        cmocka_unit_test(rows_are_read_only_when_the_index_cannot_decide),
        cmocka_unit_test(an_unreadable_row_fails_the_evaluation),
        cmocka_unit_test(failed_allocations_in_eval_are_errors_and_leak_nothing),
        cmocka_unit_test(many_threads_read_both_forms_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
