#include "cli/source.h"

#include <ctype.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "cli/cli.h"
#include "format/json_out.h"

/* ---- opening ---- */

static jade_code open_npy(struct jade_source *s, const char *ids, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const char *p;
    size_t got, size;
    JADE_TRY(jade_input_peek(&s->in, JADE_NPY_PREFIX, &p, &got, err));
    JADE_TRY(jade_npy_header_size(p, got, &size, err));
    JADE_TRY(jade_input_take(&s->in, size, &p, &got, err));
    JADE_TRY(jade_npy_header(p, got, &s->npy, err));
    if (ids) {
        JADE_TRY(jade_input_open(&s->ids, ids, err));
    }
out:
    if (rc != JADE_OK) {
        (void)jade_err_wrap(err, rc, "%s", s->in.name);
    }
    return rc;
}

jade_code jade_source_open(struct jade_source *s, const char *path, const char *ids,
                           struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const char *p;
    size_t got;
    memset(s, 0, sizeof *s);
    jade_buf_init(&s->text, JADE_TAG_OTHER);
    jade_buf_init(&s->id, JADE_TAG_OTHER);
    JADE_TRY(jade_input_open(&s->in, path, err));
    s->values = jade_alloc(JADE_TAG_OTHER, JADE_DIM_MAX * sizeof *s->values);
    if (!s->values) {
        rc = jade_fail(err, JADE_E_NOMEM, "room for a row");
        goto out;
    }
    JADE_TRY(jade_json_parser_new(JADE_INPUT_LINE_MAX, JADE_CLI_JSON_DEPTH, &s->parser, err));
    JADE_TRY(jade_input_peek(&s->in, JADE_NPY_PREFIX, &p, &got, err));
    s->is_npy = jade_npy_is(p, got);
    if (s->is_npy) {
        JADE_TRY(open_npy(s, ids, err));
    } else if (ids) {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "--ids",
                             "is for .npy arrays; JSON lines hold their ids");
    } else if (got >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0) { /* a byte order mark */
        JADE_TRY(jade_input_take(&s->in, 3, &p, &got, err));
    }
out:
    return rc;
}

void jade_source_close(struct jade_source *s)
{
    jade_input_close(&s->in);
    jade_input_close(&s->ids);
    jade_json_parser_free(s->parser);
    jade_free(s->values);
    jade_buf_release(&s->text);
    jade_buf_release(&s->id);
}

/* ---- JSON lines ---- */

static jade_code check_id(size_t n, struct jade_err *why)
{
    if (n < 1 || n > JADE_ID_BYTES_MAX) {
        return jade_fail_field(why, JADE_E_INVALID_ARGUMENT, "id", "%zu bytes, expected 1 to %u", n,
                               JADE_ID_BYTES_MAX);
    }
    return JADE_OK;
}

/* A string, or an integer, which the API takes as its decimal text. */
static jade_code read_id(struct jade_source *s, struct jade_json id, struct jade_row *row,
                         struct jade_err *why)
{
    jade_code rc = JADE_OK;
    jade_buf_clear(&s->id);
    switch (jade_json_type(id)) {
    case JADE_JSON_STRING:
        row->id = jade_json_string(id).p;
        row->id_len = jade_json_string(id).n;
        return check_id(row->id_len, why);
    case JADE_JSON_INT:
        jade_buf_printf(&s->id, "%lld", (long long)jade_json_int(id));
        break;
    case JADE_JSON_UINT:
        jade_buf_printf(&s->id, "%llu", (unsigned long long)jade_json_uint(id));
        break;
    default:
        return jade_fail_field(why, JADE_E_INVALID_ARGUMENT, "id",
                               "%s, expected a string or an integer",
                               jade_json_type_name(jade_json_type(id)));
    }
    JADE_TRY(jade_buf_status(&s->id, why));
    row->id = (const char *)s->id.data;
    row->id_len = s->id.len;
out:
    return rc;
}

static jade_code read_values(struct jade_source *s, struct jade_json v, struct jade_row *row,
                             struct jade_err *why)
{
    size_t n = s->dimension;
    if (n == 0) { /* the first row of a database that is still to be made */
        n = jade_json_type(v) == JADE_JSON_ARRAY ? jade_json_count(v) : 1;
        if (n < 1 || n > JADE_DIM_MAX) {
            return jade_fail_field(why, JADE_E_INVALID_ARGUMENT, "values",
                                   "%zu numbers, expected 1 to %u", n, JADE_DIM_MAX);
        }
    }
    row->dimension = (uint32_t)n;
    return jade_json_f32(v, s->values, n, "values", why);
}

static jade_code read_object(struct jade_source *s, struct jade_json root, struct jade_row *row,
                             struct jade_err *why)
{
    jade_code rc = JADE_OK;
    struct jade_json values, text, id, metadata;
    if (jade_json_type(root) != JADE_JSON_OBJECT) {
        return jade_fail(why, JADE_E_INVALID_ARGUMENT, "%s, expected an object",
                         jade_json_type_name(jade_json_type(root)));
    }
    if (jade_json_get(root, "values", &values)) {
        JADE_TRY(read_values(s, values, row, why));
    } else if (!jade_json_get(root, "text", &text) || jade_json_type(text) != JADE_JSON_STRING) {
        rc = jade_fail_field(why, JADE_E_INVALID_ARGUMENT, "values",
                             "missing; expected values, or text");
        goto out;
    }
    if (jade_json_get(root, "id", &id)) {
        JADE_TRY(read_id(s, id, row, why));
    }
    if (jade_json_get(root, "metadata", &metadata) &&
        jade_json_type(metadata) != JADE_JSON_OBJECT &&
        jade_json_type(metadata) != JADE_JSON_NULL) {
        rc = jade_fail_field(why, JADE_E_INVALID_ARGUMENT, "metadata", "%s, expected an object",
                             jade_json_type_name(jade_json_type(metadata)));
    }
out:
    return rc;
}

static bool is_blank(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!isspace((unsigned char)p[i])) {
            return false;
        }
    }
    return true;
}

static jade_code next_line(struct jade_source *s, struct jade_row *row, struct jade_err *err)
{
    enum jade_line what;
    struct jade_json root;
    do {
        jade_code rc = jade_input_line(&s->in, &row->json, &row->n, &what, err);
        if (rc != JADE_OK) {
            return rc;
        }
    } while (what == JADE_LINE_OK && is_blank(row->json, row->n));
    row->number = s->in.line;
    row->bytes = s->in.taken;
    if (what == JADE_LINE_END) {
        row->kind = JADE_ROW_END;
        return JADE_OK;
    }
    row->kind = JADE_ROW_BAD;
    if (what == JADE_LINE_TOO_LONG) {
        (void)jade_fail(&row->why, JADE_E_TOO_LARGE, "longer than %d bytes", JADE_INPUT_LINE_MAX);
        return JADE_OK;
    }
    jade_code rc = jade_json_parse(s->parser, row->json, row->n, &root, &row->why);
    if (rc == JADE_OK) {
        rc = read_object(s, root, row, &row->why);
    }
    if (rc == JADE_E_NOMEM) {
        return jade_fail(err, rc, "line %llu", (unsigned long long)row->number);
    }
    row->kind = rc == JADE_OK ? JADE_ROW_GOOD : JADE_ROW_BAD;
    return JADE_OK;
}

/* ---- arrays ---- */

/* The id of the row into s->id: the next line of --ids, or its number from 0. */
static jade_code next_id(struct jade_source *s, bool *there, struct jade_err *err)
{
    enum jade_line what = JADE_LINE_OK;
    const char *line;
    size_t n;
    *there = true;
    jade_buf_clear(&s->id);
    if (!s->ids.file) {
        jade_buf_printf(&s->id, "%llu", (unsigned long long)s->n_rows);
        return jade_buf_status(&s->id, err);
    }
    jade_code rc = jade_input_line(&s->ids, &line, &n, &what, err);
    if (rc == JADE_OK) {
        *there = what == JADE_LINE_OK;
        jade_buf_append(&s->id, line, *there ? n : 0);
        rc = jade_buf_status(&s->id, err);
    }
    return rc;
}

static jade_code write_row(struct jade_source *s, struct jade_row *row, struct jade_err *err)
{
    struct jade_json_out o;
    jade_buf_clear(&s->text);
    jade_json_out_init(&o, &s->text);
    jade_out_object(&o);
    jade_out_key(&o, "id");
    jade_out_strn(&o, (const char *)s->id.data, s->id.len);
    jade_out_key(&o, "values");
    jade_out_f32_array(&o, s->values, s->npy.n_columns);
    jade_out_object_end(&o);
    row->json = (const char *)s->text.data;
    row->n = s->text.len;
    row->id = (const char *)s->id.data;
    row->id_len = s->id.len;
    return jade_buf_status(&s->text, err);
}

static jade_code next_array_row(struct jade_source *s, struct jade_row *row, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const char *p;
    size_t got, want = (size_t)s->npy.n_columns * s->npy.item_bytes;
    bool has_id;
    if (s->n_rows == s->npy.n_rows) {
        row->kind = JADE_ROW_END;
        return JADE_OK;
    }
    JADE_TRY(jade_input_take(&s->in, want, &p, &got, err));
    if (got < want) {
        rc = jade_fail(err, JADE_E_CORRUPT, "%s ends in row %llu of %llu", s->in.name,
                       (unsigned long long)s->n_rows + 1, (unsigned long long)s->npy.n_rows);
        goto out;
    }
    JADE_TRY(next_id(s, &has_id, err));
    row->number = ++s->n_rows;
    row->bytes = s->in.taken;
    row->dimension = (uint32_t)s->npy.n_columns;
    row->kind = JADE_ROW_BAD;
    if (!has_id) {
        (void)jade_fail_field(&row->why, JADE_E_INVALID_ARGUMENT, "id", "%s has no line for it",
                              s->ids.name);
    } else if (check_id(s->id.len, &row->why) == JADE_OK &&
               jade_npy_row(&s->npy, p, s->values, &row->why) == JADE_OK) {
        row->kind = JADE_ROW_GOOD;
        JADE_TRY(write_row(s, row, err));
    }
out:
    return rc;
}

jade_code jade_source_next(struct jade_source *s, struct jade_row *row, struct jade_err *err)
{
    memset(row, 0, sizeof *row);
    row->id = "";
    if (s->is_npy && s->dimension > 0 && s->npy.n_columns != s->dimension) {
        return jade_fail_field(err, JADE_E_DIMENSION_MISMATCH, "shape",
                               "%s has %llu columns, the database %u dimensions", s->in.name,
                               (unsigned long long)s->npy.n_columns, s->dimension);
    }
    return s->is_npy ? next_array_row(s, row, err) : next_line(s, row, err);
}
