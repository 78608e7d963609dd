/*
 * A growing index into a block file (layout in metaindex_private.h). Reads the index only: searches
 * may go on meanwhile.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "filter/metaindex_private.h"
#include "format/codec.h"

enum { FLUSH_BYTES = 1 << 18 };

struct saver {
    struct jade_blockfile_writer *w;
    struct jade_buf buf; /* not yet appended */
    struct jade_err *err;
};

/* Payload offset of the next byte. */
static uint64_t offset(const struct saver *s)
{
    return jade_blockfile_offset(s->w) + s->buf.len;
}

static jade_code flush(struct saver *s, size_t above)
{
    jade_code rc = JADE_OK;
    JADE_TRY(jade_buf_status(&s->buf, s->err));
    if (s->buf.len > above) {
        JADE_TRY(jade_blockfile_append(s->w, s->buf.data, s->buf.len, s->err));
        jade_buf_clear(&s->buf);
    }
out:
    return rc;
}

static jade_code save_rows(struct saver *s, const struct jadei_rows *r, struct jadei_ref *ref_out)
{
    jade_code rc = JADE_OK;
    JADE_TRY(jadei_rows_save(r, &s->buf, jade_blockfile_offset(s->w), ref_out, s->err));
    rc = flush(s, FLUSH_BYTES);
out:
    return rc;
}

static void put_ref(struct jade_buf *b, struct jadei_ref ref)
{
    jade_put_u64(b, ref.at);
    jade_put_u32(b, ref.n);
    jade_put_u32(b, 0);
}

static void put_column(struct jade_buf *b, const struct jadei_saved_column *c)
{
    jade_put_u64(b, c->at);
    jade_put_u64(b, c->n);
    jade_put_u64(b, c->has_rest);
}

/* ---- terms ---- */

struct saved_term {
    const char *key;
    uint32_t len;
    uint32_t id;
    uint64_t key_at;
    struct jadei_ref ref;
};

static int compare_terms(const void *a, const void *b)
{
    const struct saved_term *x = a;
    const struct saved_term *y = b;
    return jadei_text_compare(x->key, x->len, y->key, y->len);
}

static void collect_terms(const struct jadei_path *p, struct saved_term *terms)
{
    size_t pos = 0;
    size_t n = 0;
    const char *key = NULL;
    size_t len = 0;
    uint64_t id = 0;
    while (jade_map_next(&p->terms, &pos, &key, &len, &id)) {
        JADE_ASSERT(n < p->n_terms && id < p->n_terms);
        terms[n++] = (struct saved_term){.key = key, .len = (uint32_t)len, .id = (uint32_t)id};
    }
    JADE_ASSERT(n == p->n_terms);
    qsort(terms, n, sizeof *terms, compare_terms);
}

static jade_code save_terms(struct saver *s, const struct jadei_path *p,
                            struct jadei_saved_path *out)
{
    jade_code rc = JADE_OK;
    struct saved_term *terms = NULL;
    out->n_terms = p->n_terms;
    if (p->n_terms == 0) {
        return JADE_OK;
    }
    terms = jade_calloc(JADE_TAG_METADATA, p->n_terms, sizeof *terms);
    if (terms == NULL) {
        return jade_fail(s->err, JADE_E_NOMEM, "no memory to sort %u strings", p->n_terms);
    }
    collect_terms(p, terms);
    for (uint32_t i = 0; i < p->n_terms; i++) {
        JADE_TRY(save_rows(s, &p->term_rows[terms[i].id], &terms[i].ref));
    }
    for (uint32_t i = 0; i < p->n_terms; i++) {
        terms[i].key_at = offset(s);
        jade_buf_append(&s->buf, terms[i].key, terms[i].len);
        JADE_TRY(flush(s, FLUSH_BYTES));
    }
    out->terms_at = offset(s);
    for (uint32_t i = 0; i < p->n_terms; i++) {
        jade_put_u64(&s->buf, terms[i].key_at);
        jade_put_u32(&s->buf, terms[i].len);
        jade_put_u32(&s->buf, terms[i].ref.n);
        jade_put_u64(&s->buf, terms[i].ref.at);
        JADE_TRY(flush(s, FLUSH_BYTES));
    }
out:
    jade_free(terms);
    return rc;
}

/* ---- columns ---- */

static jade_code write_column(struct saver *s, const struct jadei_entry *entries, size_t n,
                              bool has_rest)
{
    jade_code rc = JADE_OK;
    for (size_t i = 0; i < n; i++) {
        jade_put_u64(&s->buf, entries[i].key);
        JADE_TRY(flush(s, FLUSH_BYTES));
    }
    for (size_t i = 0; i < n; i++) {
        jade_put_u32(&s->buf, entries[i].row);
        JADE_TRY(flush(s, FLUSH_BYTES));
    }
    for (size_t i = 0; has_rest && i < n; i++) {
        jade_put_u16(&s->buf, (uint16_t)entries[i].rest);
        JADE_TRY(flush(s, FLUSH_BYTES));
    }
out:
    return rc;
}

/* Sorts a copy: readers may be looking at the column itself. */
static jade_code save_column(struct saver *s, const struct jadei_column *c,
                             struct jadei_saved_column *out)
{
    jade_code rc = JADE_OK;
    struct jadei_entry *sorted = NULL;
    if (c->n == 0) {
        return JADE_OK;
    }
    sorted = jade_calloc(JADE_TAG_METADATA, c->n, sizeof *sorted);
    if (sorted == NULL) {
        return jade_fail(s->err, JADE_E_NOMEM, "no memory to sort a column of %zu numbers", c->n);
    }
    memcpy(sorted, c->entries, c->n * sizeof *sorted);
    jadei_entries_sort(sorted, c->n);
    for (size_t i = 0; i < c->n; i++) {
        JADE_ASSERT(sorted[i].rest >= INT16_MIN && sorted[i].rest <= INT16_MAX);
        out->has_rest = out->has_rest || sorted[i].rest != 0;
    }
    out->n = c->n;
    out->at = offset(s);
    rc = write_column(s, sorted, c->n, out->has_rest);
    jade_free(sorted);
    return rc;
}

/* ---- paths ---- */

static int compare_paths(const void *a, const void *b)
{
    const struct jadei_path *x = *(struct jadei_path *const *)a;
    const struct jadei_path *y = *(struct jadei_path *const *)b;
    return jadei_text_compare(x->name, x->name_len, y->name, y->name_len);
}

static jade_code save_path(struct saver *s, const struct jadei_path *p,
                           struct jadei_saved_path *out)
{
    jade_code rc = JADE_OK;
    *out =
        (struct jadei_saved_path){.name = p->name, .name_len = p->name_len, .several = p->several};
    JADE_TRY(save_terms(s, p, out));
    JADE_TRY(save_column(s, &p->numbers, &out->numbers));
    JADE_TRY(save_column(s, &p->times, &out->times));
    JADE_TRY(save_rows(s, &p->exists, &out->exists));
    JADE_TRY(save_rows(s, &p->null, &out->null));
    JADE_TRY(save_rows(s, &p->yes, &out->yes));
    JADE_TRY(save_rows(s, &p->no, &out->no));
out:
    return rc;
}

static void put_directory(struct saver *s, const struct jadei_saved_path *saved, uint32_t n,
                          uint64_t names_at)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct jadei_saved_path *p = &saved[i];
        jade_put_u64(&s->buf, names_at);
        jade_put_u32(&s->buf, p->name_len);
        jade_put_u32(&s->buf, p->several);
        jade_put_u64(&s->buf, p->terms_at);
        jade_put_u64(&s->buf, p->n_terms);
        put_column(&s->buf, &p->numbers);
        put_column(&s->buf, &p->times);
        put_ref(&s->buf, p->exists);
        put_ref(&s->buf, p->null);
        put_ref(&s->buf, p->yes);
        put_ref(&s->buf, p->no);
        names_at += p->name_len;
    }
}

static void put_ends(struct saver *s, const struct jade_metaindex *ix,
                     const struct jadei_saved_path *saved, struct jadei_ref overflow)
{
    uint64_t names_at = offset(s);
    for (uint32_t i = 0; i < ix->n_paths; i++) {
        jade_buf_append(&s->buf, saved[i].name, saved[i].name_len);
    }
    uint64_t directory_at = offset(s);
    put_directory(s, saved, ix->n_paths, names_at);
    jade_put_u32(&s->buf, JADEI_MIX_MAGIC);
    jade_put_u32(&s->buf, JADEI_MIX_VERSION);
    jade_put_u32(&s->buf, ix->n_rows);
    jade_put_u32(&s->buf, ix->n_paths);
    jade_put_u32(&s->buf, ix->unknown_from);
    jade_put_u32(&s->buf, ix->unknown_to);
    jade_put_u64(&s->buf, directory_at);
    put_ref(&s->buf, overflow);
    jade_put_u64(&s->buf, names_at);
    jade_put_u64(&s->buf, directory_at - names_at);
}

jade_code jade_metaindex_save(struct jade_metaindex *ix, struct jade_blockfile_writer *w,
                              struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct saver s = {.w = w, .err = err};
    size_t n = ix->n_paths == 0 ? 1 : ix->n_paths;
    struct jadei_ref overflow = {0};
    JADE_ASSERT(ix->file == NULL && jade_blockfile_offset(w) == 0);
    jade_buf_init(&s.buf, JADE_TAG_METADATA);
    struct jadei_path **sorted = jade_calloc(JADE_TAG_METADATA, n, sizeof(*sorted));
    struct jadei_saved_path *saved = jade_calloc(JADE_TAG_METADATA, n, sizeof *saved);
    if (sorted == NULL || saved == NULL) {
        rc = jade_fail(err, JADE_E_NOMEM, "no memory to save %u metadata paths", ix->n_paths);
        goto out;
    }
    if (ix->n_paths > 0) {
        memcpy(sorted, ix->paths, ix->n_paths * sizeof(*sorted));
        qsort(sorted, ix->n_paths, sizeof(*sorted), compare_paths);
    }
    for (uint32_t i = 0; i < ix->n_paths; i++) {
        JADE_TRY(save_path(&s, sorted[i], &saved[i]));
    }
    JADE_TRY(save_rows(&s, &ix->overflow, &overflow));
    put_ends(&s, ix, saved, overflow);
    rc = flush(&s, 0);
out:
    jade_buf_release(&s.buf);
    jade_free(saved);
    jade_free(sorted);
    return rc;
}
