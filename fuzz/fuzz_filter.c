/*
 * Filters: the input is a filter, a zero byte, and a document, both JSON. Invariants: a filter that
 * is taken is written, taken again and written the same; its $not says the opposite; a refusal has
 * a code and a message; the metadata index answers as the reference does, for rows with and without
 * the document.
 */
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "filter/filter.h"
#include "filter/metaindex.h"

enum { N_ROWS = 4 }; /* rows 1 and 3 have the document */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct document {
    const char *text;
    size_t n;
};

static jade_code row_text(void *ctx, uint32_t row, const char **json_out, size_t *n_out,
                          struct jade_err *err)
{
    const struct document *d = ctx;
    (void)err;
    *json_out = d->text;
    *n_out = row % 2 == 1 ? d->n : 0;
    return JADE_OK;
}

/* Written, read again, written the same; false when the written text is deeper than a filter may
 * be. */
static bool check_round_trip(const struct jade_filter *f, struct jade_json metadata)
{
    struct jade_buf first, second;
    struct jade_filter *again = NULL;
    bool taken = false;
    jade_buf_init(&first, JADE_TAG_TEST);
    jade_buf_init(&second, JADE_TAG_TEST);
    jade_filter_write(f, &first);
    if (jade_filter_parse_text((const char *)first.data, first.len, "f", &again, NULL) == JADE_OK) {
        taken = true;
        jade_filter_write(again, &second);
        JADE_ASSERT(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
        JADE_ASSERT(jade_filter_match(f, metadata) == jade_filter_match(again, metadata));
        jade_filter_free(again);
    }
    jade_buf_release(&first);
    jade_buf_release(&second);
    return taken;
}

static void check_negation(const struct jade_filter *f, struct jade_json metadata)
{
    struct jade_buf b;
    struct jade_filter *negated = NULL;
    jade_buf_init(&b, JADE_TAG_TEST);
    jade_buf_append_str(&b, "{\"$not\":");
    jade_filter_write(f, &b);
    jade_buf_append_byte(&b, '}');
    if (jade_filter_parse_text((const char *)b.data, b.len, "f", &negated, NULL) == JADE_OK) {
        JADE_ASSERT(jade_filter_match(f, metadata) != jade_filter_match(negated, metadata));
        jade_filter_free(negated);
    }
    jade_buf_release(&b);
}

static void check_index(const struct jade_filter *f, struct jade_json metadata, struct document *d)
{
    struct jade_metaindex *ix = NULL;
    roaring_bitmap_t *rows = NULL;
    const struct jade_json nothing = {0};
    JADE_ASSERT(jade_metaindex_new(&ix, NULL) == JADE_OK);
    for (uint32_t row = 0; row < N_ROWS; row++) {
        jade_code rc = jade_metaindex_add(ix, row, row % 2 == 1 ? metadata : nothing, NULL);
        JADE_ASSERT(rc == JADE_OK);
    }
    JADE_ASSERT(jade_metaindex_eval(ix, f, N_ROWS, row_text, d, &rows, NULL) == JADE_OK);
    for (uint32_t row = 0; row < N_ROWS; row++) {
        bool expected = jade_filter_match(f, row % 2 == 1 ? metadata : nothing);
        JADE_ASSERT(roaring_bitmap_contains(rows, row) == expected);
    }
    JADE_ASSERT(roaring_bitmap_is_empty(rows) || roaring_bitmap_maximum(rows) < N_ROWS);
    roaring_bitmap_free(rows);
    jade_metaindex_free(ix);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size == 0 ? NULL : memchr(data, 0, size);
    size_t n = zero == NULL ? size : (size_t)(zero - data);
    struct document d = {.text = "{}", .n = 2};
    struct jade_filter *f = NULL;
    struct jade_json_parser *parser = NULL;
    struct jade_json metadata;
    struct jade_err err = {0};
    if (zero != NULL) {
        d = (struct document){.text = (const char *)zero + 1, .n = size - n - 1};
    }
    if (jade_filter_parse_text((const char *)data, n, "filter", &f, &err) != JADE_OK) {
        JADE_ASSERT(f == NULL && err.code != JADE_OK && err.message[0] != '\0');
        return 0;
    }
    JADE_ASSERT(jade_json_parser_new(JADE_METADATA_BYTES_MAX, JADE_METADATA_DEPTH_MAX, &parser,
                                     NULL) == JADE_OK);
    if (d.n > 0 && jade_json_parse(parser, d.text, d.n, &metadata, NULL) == JADE_OK) {
        if (check_round_trip(f, metadata)) {
            check_negation(f, metadata);
        }
        check_index(f, metadata, &d);
    }
    jade_json_parser_free(parser);
    jade_filter_free(f);
    return 0;
}
