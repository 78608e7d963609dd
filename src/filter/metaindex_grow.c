/*
 * The growing form: add rows, answer selections from memory.
 */
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "filter/metaindex_private.h"
#include "format/codec.h"

size_t jadei_term_key(const char *s, size_t n, bool is_time, uint8_t *key)
{
    if (n > JADE_METAINDEX_STRING_MAX) {
        key[0] = JADEI_TAG_LONG;
        jade_store_u64(key + 1, jade_hash64(s, n, 0));
        return 1 + sizeof(uint64_t);
    }
    key[0] = is_time ? JADEI_TAG_DATE : JADEI_TAG_PLAIN;
    if (n > 0) {
        memcpy(key + 1, s, n);
    }
    return 1 + n;
}

jade_code jade_metaindex_new(struct jade_metaindex **out, struct jade_err *err)
{
    *out = NULL;
    struct jade_metaindex *ix = jade_calloc(JADE_TAG_METADATA, 1, sizeof *ix);
    if (ix == NULL) {
        return jade_fail(err, JADE_E_NOMEM, "no memory for a metadata index");
    }
    jade_map_init(&ix->path_ids, JADE_TAG_METADATA);
    *out = ix;
    return JADE_OK;
}

static void free_path(struct jadei_path *p)
{
    if (p == NULL) {
        return;
    }
    for (uint32_t i = 0; i < p->n_terms; i++) {
        jadei_rows_release(&p->term_rows[i]);
    }
    jade_free(p->term_rows);
    jade_map_release(&p->terms);
    jadei_rows_release(&p->exists);
    jadei_rows_release(&p->null);
    jadei_rows_release(&p->yes);
    jadei_rows_release(&p->no);
    jadei_column_release(&p->numbers);
    jadei_column_release(&p->times);
    jade_free(p->name);
    jade_free(p);
}

void jadei_grow_release(struct jade_metaindex *ix)
{
    for (uint32_t i = 0; i < ix->n_paths; i++) {
        free_path(ix->paths[i]);
    }
    jade_free(ix->paths);
    jade_map_release(&ix->path_ids);
    jadei_rows_release(&ix->overflow);
}

/* ---- add ---- */

static jade_code grow_paths(struct jade_metaindex *ix, struct jade_err *err)
{
    if (ix->n_paths < ix->paths_cap) {
        return JADE_OK;
    }
    uint32_t cap = ix->paths_cap == 0 ? 8 : ix->paths_cap * 2;
    struct jadei_path **paths = jade_realloc(JADE_TAG_METADATA, ix->paths, cap * sizeof *paths);
    if (paths == NULL) {
        return jade_fail(err, JADE_E_NOMEM, "no memory for %u metadata paths", cap);
    }
    ix->bytes += (cap - ix->paths_cap) * sizeof *paths;
    ix->paths = paths;
    ix->paths_cap = cap;
    return JADE_OK;
}

static jade_code new_path(struct jade_metaindex *ix, const char *name, size_t len,
                          struct jadei_path **out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_path *p = NULL;
    JADE_TRY(grow_paths(ix, err));
    p = jade_calloc(JADE_TAG_METADATA, 1, sizeof *p);
    if (p != NULL) {
        jade_map_init(&p->terms, JADE_TAG_METADATA);
        p->name = jade_strndup(JADE_TAG_METADATA, name, len);
        p->name_len = (uint32_t)len;
    }
    if (p == NULL || p->name == NULL) {
        rc = jade_fail(err, JADE_E_NOMEM, "no memory for a metadata path");
        goto out;
    }
    JADE_TRY(jade_map_put(&ix->path_ids, name, len, ix->n_paths, NULL, err));
    ix->bytes += sizeof *p + len + 1;
    ix->paths[ix->n_paths++] = p;
    *out = p;
    p = NULL;
out:
    free_path(p);
    return rc;
}

/* The path of that name, made when missing; NULL when the table is full or the name too long. */
static jade_code get_path(struct jade_metaindex *ix, const char *name, size_t len,
                          struct jadei_path **out, struct jade_err *err)
{
    uint64_t id = 0;
    *out = NULL;
    if (jade_map_get(&ix->path_ids, name, len, &id)) {
        *out = ix->paths[id];
        return JADE_OK;
    }
    return ix->n_paths >= JADE_METAINDEX_PATHS_MAX ? JADE_OK : new_path(ix, name, len, out, err);
}

static jade_code new_term(struct jade_metaindex *ix, struct jadei_path *p, const uint8_t *key,
                          size_t len, struct jade_err *err)
{
    if (p->n_terms == p->terms_cap) {
        uint32_t cap = p->terms_cap == 0 ? 4 : p->terms_cap + p->terms_cap / 2;
        struct jadei_rows *grown =
            jade_realloc(JADE_TAG_METADATA, p->term_rows, cap * sizeof *grown);
        if (grown == NULL) {
            return jade_fail(err, JADE_E_NOMEM, "no memory for %u distinct strings", cap);
        }
        ix->bytes += (cap - p->terms_cap) * sizeof *grown;
        p->term_rows = grown;
        p->terms_cap = cap;
    }
    jade_code rc = jade_map_put(&p->terms, key, len, p->n_terms, NULL, err);
    if (rc == JADE_OK) {
        p->term_rows[p->n_terms++] = (struct jadei_rows){0};
        p->n_dates += key[0] == JADEI_TAG_DATE;
        p->n_longs += key[0] == JADEI_TAG_LONG;
        p->n_plains += key[0] == JADEI_TAG_PLAIN;
    }
    return rc;
}

static jade_code add_string(struct jade_metaindex *ix, struct jadei_path *p, uint32_t row,
                            struct jade_str s, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    uint8_t key[JADEI_TERM_KEY_MAX];
    int64_t time_us = 0;
    bool is_time = jadei_time_of(s.p, s.n, &time_us);
    size_t len = jadei_term_key(s.p, s.n, is_time, key);
    uint64_t id = p->n_terms;
    if (!jade_map_get(&p->terms, key, len, &id)) {
        id = p->n_terms;
        JADE_TRY(new_term(ix, p, key, len, err));
    }
    JADE_TRY(jadei_rows_add(&p->term_rows[id], row, &ix->bytes, err));
    if (is_time) {
        struct jadei_entry e = {.key = jadei_number_of_time(time_us).key, .row = row};
        rc = jadei_column_add(&p->times, e, &ix->bytes, err);
    }
out:
    return rc;
}

static jade_code add_value(struct jade_metaindex *ix, struct jadei_path *p, uint32_t row,
                           struct jade_json v, struct jade_err *err)
{
    /* Containers count as a value too: so "one value a row" stays easy to see. */
    p->several = p->several || p->value_row == row + 1;
    p->value_row = row + 1;
    switch (jade_json_type(v)) {
    case JADE_JSON_NULL:
        return jadei_rows_add(&p->null, row, &ix->bytes, err);
    case JADE_JSON_BOOL:
        return jadei_rows_add(jade_json_bool(v) ? &p->yes : &p->no, row, &ix->bytes, err);
    case JADE_JSON_INT:
    case JADE_JSON_UINT:
    case JADE_JSON_DOUBLE: {
        struct jadei_number n = jadei_number_of(v);
        struct jadei_entry e = {.key = n.key, .row = row, .rest = n.rest};
        return jadei_column_add(&p->numbers, e, &ix->bytes, err);
    }
    case JADE_JSON_STRING:
        return add_string(ix, p, row, jade_json_string(v), err);
    default:
        return JADE_OK; /* containers are there, but equal nothing */
    }
}

struct add_frame {
    struct jade_json container;
    struct jade_json_iter it;
    struct jadei_path *path; /* array: of its elements; NULL when not in the table */
    size_t name_len;         /* of the container */
};

struct add {
    struct jade_metaindex *ix;
    uint32_t row;
    struct add_frame frames[JADEI_WALK_DEPTH_MAX];
    unsigned depth;
    char name[JADEI_PATH_MAX]; /* dotted path of the member at hand */
    struct jade_err *err;
};

/* name = the container's path and the key; false when that is too long. */
static bool append_key(struct add *a, size_t base, struct jade_str key, size_t *len_out)
{
    size_t dot = a->depth > 1 ? 1 : 0; /* none before the first key */
    *len_out = base + dot + key.n;
    if (*len_out > JADEI_PATH_MAX) {
        return false;
    }
    if (dot == 1) {
        a->name[base] = '.';
    }
    if (key.n > 0) {
        memcpy(a->name + base + dot, key.p, key.n);
    }
    return true;
}

static void push(struct add *a, struct jade_json v, struct jadei_path *path, size_t name_len)
{
    if (a->depth < JADEI_WALK_DEPTH_MAX) {
        a->frames[a->depth++] =
            (struct add_frame){.container = v, .path = path, .name_len = name_len};
    }
}

static jade_code add_member(struct add *a, struct jade_str key, struct jade_json v)
{
    jade_code rc = JADE_OK;
    struct jadei_path *p = NULL;
    size_t len = 0;
    enum jade_json_type type = jade_json_type(v);
    bool fits = append_key(a, a->frames[a->depth - 1].name_len, key, &len);
    if (fits) {
        JADE_TRY(get_path(a->ix, a->name, len, &p, a->err));
    }
    if (p != NULL) {
        JADE_TRY(jadei_rows_add(&p->exists, a->row, &a->ix->bytes, a->err));
        JADE_TRY(add_value(a->ix, p, a->row, v, a->err));
    } else {
        JADE_TRY(jadei_rows_add(&a->ix->overflow, a->row, &a->ix->bytes, a->err));
    }
    if (fits && (type == JADE_JSON_OBJECT || type == JADE_JSON_ARRAY)) {
        push(a, v, p, len);
    }
out:
    return rc;
}

static jade_code add_element(struct add *a, struct jade_json v)
{
    const struct add_frame *top = &a->frames[a->depth - 1];
    enum jade_json_type type = jade_json_type(v);
    if (type == JADE_JSON_OBJECT) {
        push(a, v, NULL, top->name_len);
        return JADE_OK;
    }
    return top->path == NULL ? JADE_OK : add_value(a->ix, top->path, a->row, v, a->err);
}

static jade_code add_document(struct add *a, struct jade_json root)
{
    jade_code rc = JADE_OK;
    push(a, root, NULL, 0);
    while (a->depth > 0) {
        struct add_frame *top = &a->frames[a->depth - 1];
        struct jade_str key = {0};
        struct jade_json v;
        if (jade_json_type(top->container) == JADE_JSON_ARRAY) {
            if (jade_json_array_next(top->container, &top->it, &v)) {
                JADE_TRY(add_element(a, v));
                continue;
            }
        } else if (jade_json_object_next(top->container, &top->it, &key, &v)) {
            JADE_TRY(add_member(a, key, v));
            continue;
        }
        a->depth--;
    }
out:
    return rc;
}

static void note_unknown(struct jade_metaindex *ix, uint32_t row)
{
    if (ix->unknown_from == ix->unknown_to) {
        ix->unknown_from = row;
    }
    ix->unknown_to = row + 1;
}

jade_code jade_metaindex_add(struct jade_metaindex *ix, uint32_t row, struct jade_json metadata,
                             struct jade_err *err)
{
    jade_code rc = JADE_OK;
    JADE_ASSERT(ix->file == NULL && row >= ix->n_rows && row < JADE_SEGMENT_ROWS_MAX);
    ix->n_rows = row + 1;
    if (metadata.doc == NULL || jade_json_type(metadata) != JADE_JSON_OBJECT) {
        return JADE_OK;
    }
    struct add a; /* 4 KiB of frames and name that need no zeroing */
    a.ix = ix;
    a.row = row;
    a.depth = 0;
    a.err = err;
    rc = add_document(&a, metadata);
    if (rc != JADE_OK) {
        note_unknown(ix, row);
    }
    return rc;
}

void jade_metaindex_add_unknown(struct jade_metaindex *ix, uint32_t row)
{
    JADE_ASSERT(ix->file == NULL && row >= ix->n_rows && row < JADE_SEGMENT_ROWS_MAX);
    ix->n_rows = row + 1;
    note_unknown(ix, row);
}

/* ---- select ---- */

static uint32_t terms_of_tag(const struct jadei_path *p, char tag)
{
    return tag == JADEI_TAG_DATE ? p->n_dates : tag == JADEI_TAG_LONG ? p->n_longs : p->n_plains;
}

static bool inside(const struct jadei_interval *in, const char *s, size_t n)
{
    const struct jadei_end *low = &in->low;
    const struct jadei_end *high = &in->high;
    int above = low->set ? jadei_text_compare(s, n, low->text, low->text_len) : 1;
    int below = high->set ? jadei_text_compare(s, n, high->text, high->text_len) : -1;
    return (above > 0 || (above == 0 && !low->open)) && (below < 0 || (below == 0 && !high->open));
}

static jade_code select_terms(const struct jade_metaindex *ix, const struct jadei_path *p,
                              const struct jadei_select *s, roaring_bitmap_t *into,
                              struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_sink sink;
    size_t pos = 0;
    const char *key = NULL;
    size_t len = 0;
    uint64_t id = 0;
    uint32_t n_terms = terms_of_tag(p, s->tag);
    if (n_terms == 0) {
        return JADE_OK;
    }
    JADE_TRY(jadei_sink_init(&sink, n_terms, ix->n_rows, into, err));
    while (jade_map_next(&p->terms, &pos, &key, &len, &id)) {
        if (key[0] != s->tag) {
            continue;
        }
        if (inside(&s->in, key + 1, len - 1)) {
            jadei_rows_into(&p->term_rows[id], &sink);
        }
    }
    jadei_sink_finish(&sink);
out:
    return rc;
}

jade_code jadei_grow_select(const struct jade_metaindex *ix, uint32_t path,
                            const struct jadei_select *s, roaring_bitmap_t *into,
                            struct jade_err *err)
{
    const struct jadei_path *p = ix->paths[path];
    uint64_t id = 0;
    switch (s->kind) {
    case JADEI_SELECT_EXISTS:
        jadei_rows_or(&p->exists, into);
        break;
    case JADEI_SELECT_NULL:
        jadei_rows_or(&p->null, into);
        break;
    case JADEI_SELECT_TRUE:
        jadei_rows_or(&p->yes, into);
        break;
    case JADEI_SELECT_FALSE:
        jadei_rows_or(&p->no, into);
        break;
    case JADEI_SELECT_TERM:
        if (jade_map_get(&p->terms, s->key, s->key_len, &id)) {
            jadei_rows_or(&p->term_rows[id], into);
        }
        break;
    case JADEI_SELECT_TERMS:
        return select_terms(ix, p, s, into, err);
    case JADEI_SELECT_NUMBERS:
        return jadei_column_select(&p->numbers, &s->in, into, err);
    case JADEI_SELECT_TIMES:
        return jadei_column_select(&p->times, &s->in, into, err);
    }
    return JADE_OK;
}
