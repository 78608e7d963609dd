/* What the metadata index tests share: a set of documents with both forms of its index. */
#ifndef JADE_TEST_METAINDEX_TEST_H
#define JADE_TEST_METAINDEX_TEST_H

#include "filter_test.h"

enum { SEGMENT = 3 };

struct corpus {
    struct jade_buf text; /* all documents */
    struct jade_buf
        starts; /* size_t of each, and of the end; empty text = a row without metadata */
    uint32_t n_rows;
    unsigned n_row_calls;
    struct jade_metaindex *growing, *mapped;
    struct jade_sim *disk;
    struct jade_blockfile *file;
};

static inline void corpus_init(struct corpus *c)
{
    memset(c, 0, sizeof *c);
    jade_buf_init(&c->text, JADE_TAG_TEST);
    jade_buf_init(&c->starts, JADE_TAG_TEST);
    must(jade_metaindex_new(&c->growing, &err));
}

static inline void corpus_release(struct corpus *c)
{
    jade_metaindex_free(c->growing);
    jade_metaindex_free(c->mapped);
    jade_blockfile_close(c->file);
    jade_sim_free(c->disk);
    jade_buf_release(&c->text);
    jade_buf_release(&c->starts);
}

static inline void corpus_text(const struct corpus *c, uint32_t row, const char **json_out,
                               size_t *n_out)
{
    const size_t *starts = (const size_t *)(const void *)c->starts.data;
    size_t end = row + 1 < c->n_rows ? starts[row + 1] : c->text.len;
    *json_out = (const char *)c->text.data + starts[row];
    *n_out = end - starts[row];
}

static inline void corpus_note(struct corpus *c, const char *json, size_t n)
{
    size_t start = c->text.len;
    jade_buf_append(&c->starts, &start, sizeof start);
    jade_buf_append(&c->text, json, n);
    must(jade_buf_status(&c->text, &err));
    c->n_rows++;
}

/* One more row; n = 0 for none. */
static inline void corpus_add(struct corpus *c, struct jade_json_parser *p, const char *json,
                              size_t n)
{
    struct jade_json root = {0};
    corpus_note(c, json, n);
    if (n > 0) {
        must(jade_json_parse(p, json, n, &root, &err));
    }
    must(jade_metaindex_add(c->growing, c->n_rows - 1, root, &err));
}

static inline jade_code corpus_row(void *ctx, uint32_t row, const char **json_out, size_t *n_out,
                                   struct jade_err *e)
{
    struct corpus *c = ctx;
    (void)e;
    assert_true(row < c->n_rows);
    c->n_row_calls++;
    corpus_text(c, row, json_out, n_out);
    return JADE_OK;
}

static inline jade_code corpus_try_save(struct corpus *c, const char *path, uint32_t *crc_out,
                                        struct jade_err *e)
{
    struct jade_blockfile_writer *w = NULL;
    uint64_t size = 0;
    jade_code rc =
        jade_blockfile_writer_new(jade_sim_os(c->disk), path, JADE_BF_METAINDEX, SEGMENT, &w, e);
    if (rc == JADE_OK) {
        rc = jade_metaindex_save(c->growing, w, e);
        if (rc != JADE_OK) {
            jade_blockfile_abort(w);
            return rc;
        }
        rc = jade_blockfile_finish(w, crc_out, &size, e);
    }
    return rc;
}

static inline void corpus_save(struct corpus *c)
{
    uint32_t crc = 0;
    must(jade_sim_new(5, &c->disk, &err));
    must(corpus_try_save(c, "index", &crc, &err));
    must(jade_blockfile_open(jade_sim_os(c->disk), "index", JADE_BF_METAINDEX, SEGMENT, crc,
                             &c->file, &err));
    must(jade_metaindex_map(c->file, c->n_rows, &c->mapped, &err));
    assert_int_equal(jade_metaindex_paths(c->mapped), jade_metaindex_paths(c->growing));
    assert_int_equal(jade_metaindex_rows(c->mapped), jade_metaindex_rows(c->growing));
}

/* Random documents; some rows have none. */
static inline void corpus_fill(struct corpus *c, struct jade_random *r, uint32_t n_rows,
                               bool many_keys)
{
    struct jade_json_parser *p = new_parser();
    struct jade_buf doc;
    jade_buf_init(&doc, JADE_TAG_TEST);
    for (uint32_t i = 0; i < n_rows; i++) {
        random_document(r, &doc, many_keys);
        corpus_add(c, p, (char *)doc.data, jade_random_below(r, 20) == 0 ? 0 : doc.len);
    }
    jade_buf_release(&doc);
    jade_json_parser_free(p);
}

#endif
