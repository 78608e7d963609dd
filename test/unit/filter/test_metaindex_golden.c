/*
 * The saved form of version 1: the kept file is read with every answer right, and the same
 * documents give the same bytes. `test_metaindex_golden --write` writes a file that is not there
 * yet (a new version), and never replaces one.
 */
#include "golden/golden_metaindex_v1.h"
#include "metaindex_test.h"

enum { FILE_MAX = 1 << 20 };

static const char *golden_path(void)
{
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/golden/v1/metaindex.bin", JADE_TEST_DIR);
    return path;
}

/* The golden documents with both forms of their index; the saved file is "index" on c->disk. */
static void build(struct corpus *c)
{
    struct jade_json_parser *p = new_parser();
    struct jade_buf doc;
    jade_buf_init(&doc, JADE_TAG_TEST);
    corpus_init(c);
    for (unsigned i = 0; i < GOLDEN_METAINDEX_ROWS; i++) {
        golden_metaindex_document(i, &doc);
        must(jade_buf_status(&doc, &err));
        corpus_add(c, p, (const char *)doc.data, doc.len);
    }
    corpus_save(c);
    jade_buf_release(&doc);
    jade_json_parser_free(p);
}

static uint8_t *load(size_t *n_out)
{
    uint8_t *p = jade_alloc(JADE_TAG_TEST, FILE_MAX);
    FILE *f = fopen(golden_path(), "rb");
    assert_non_null(p);
    if (f == NULL) {
        fail_msg("%s cannot be opened", golden_path());
    }
    *n_out = fread(p, 1, FILE_MAX, f);
    assert_int_equal(fclose(f), 0);
    assert_true(*n_out > 0 && *n_out < FILE_MAX);
    return p;
}

static void the_same_documents_give_the_same_bytes(void **state)
{
    (void)state;
    struct corpus c;
    size_t n = 0;
    size_t n_built = 0;
    uint8_t *built = NULL;
    build(&c);
    uint8_t *golden = load(&n);
    must(jade_os_read_file(jade_sim_os(c.disk), "index", FILE_MAX, &built, &n_built, &err));
    assert_int_equal(n, n_built);
    assert_memory_equal(golden, built, n);
    jade_free(golden);
    jade_free(built);
    corpus_release(&c);
}

static const char *const FILTERS[] = {
    "{\"k\":\"v3\"}",
    "{\"k\":{\"$gte\":\"v2\",\"$lt\":\"v5\"}}",
    "{\"n\":{\"$gt\":20,\"$lte\":50.5}}",
    "{\"big\":9007199254741001}",
    "{\"big\":{\"$gt\":9007199254741000}}",
    "{\"d\":{\"$gte\":\"2024-03-01\",\"$lt\":\"2024-04-01\"}}",
    "{\"b\":true,\"x\":null}",
    "{\"tags\":[\"t4\",\"t17\",2]}",
    "{\"x\":{\"$exists\":true}}",
    "{\"long\":{\"$gt\":\"0\"}}",
    "{\"o.deep.in\":{\"$not\":{\"$lt\":100}}}",
};

static void the_golden_file_is_read_with_every_answer_right(void **state)
{
    (void)state;
    struct corpus c;
    struct jade_blockfile *file = NULL;
    struct jade_metaindex *ix = NULL;
    struct jade_json_parser *p = new_parser();
    size_t n = 0;
    build(&c);
    uint8_t *golden = load(&n);
    struct jade_os *os = jade_sim_os(c.disk);
    must(jade_os_replace(os, "golden", golden, n, &err));
    must(jade_blockfile_open(os, "golden", JADE_BF_METAINDEX, GOLDEN_METAINDEX_SEGMENT, 0, &file,
                             &err));
    must(jade_metaindex_map(file, c.n_rows, &ix, &err));
    for (size_t i = 0; i < sizeof FILTERS / sizeof FILTERS[0]; i++) {
        struct jade_filter *f = parse_filter(FILTERS[i]);
        roaring_bitmap_t *rows = NULL;
        must(jade_metaindex_eval(ix, f, c.n_rows, corpus_row, &c, &rows, &err));
        assert_false(roaring_bitmap_is_empty(rows));
        for (uint32_t row = 0; row < c.n_rows; row++) {
            struct jade_json root = {0};
            const char *json = NULL;
            size_t len = 0;
            corpus_text(&c, row, &json, &len);
            if (len > 0) {
                must(jade_json_parse(p, json, len, &root, &err));
            }
            assert_int_equal(roaring_bitmap_contains(rows, row), jade_filter_match(f, root));
        }
        roaring_bitmap_free(rows);
        jade_filter_free(f);
    }
    jade_metaindex_free(ix);
    jade_blockfile_close(file);
    jade_free(golden);
    jade_json_parser_free(p);
    corpus_release(&c);
}

static int write_golden(void)
{
    struct corpus c;
    uint8_t *built = NULL;
    size_t n = 0;
    build(&c);
    must(jade_os_read_file(jade_sim_os(c.disk), "index", FILE_MAX, &built, &n, &err));
    FILE *f = fopen(golden_path(), "wbx");
    bool written = f != NULL && fwrite(built, 1, n, f) == n;
    if (f == NULL || fclose(f) != 0 || !written) {
        perror(golden_path());
        return 1;
    }
    jade_free(built);
    corpus_release(&c);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_documents_give_the_same_bytes),
        cmocka_unit_test(the_golden_file_is_read_with_every_answer_right),
    };
    if (argc == 2 && strcmp(argv[1], "--write") == 0) {
        return write_golden();
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
