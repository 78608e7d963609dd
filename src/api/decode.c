/*
 * Reading a body: known members only, each of the type that is expected, errors that name the field, what came and what was expected.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/api_private.h"

/* ---- members ---- */

/* Whether `key` is `name` or its snake_case twin (topK, top_k). */
static bool is_twin(const char *name, size_t name_len, const char *key, size_t key_len)
{
    size_t k = 0;
    for (size_t i = 0; i < name_len; i++) {
        char c = name[i];
        if (c >= 'A' && c <= 'Z') {
            if (k >= key_len || key[k++] != '_') {
                return false;
            }
            c = (char)(c | 0x20);
        }
        if (k >= key_len || key[k++] != c) {
            return false;
        }
    }
    return k == key_len;
}

static size_t find_field(const struct jadei_field *fields, size_t n, struct jade_str key)
{
    for (size_t i = 0; i < n; i++) {
        if (fields[i].n == key.n && memcmp(fields[i].name, key.p, key.n) == 0) {
            return i;
        }
    }
    if (memchr(key.p, '_', key.n)) {
        for (size_t i = 0; i < n; i++) {
            if (is_twin(fields[i].name, fields[i].n, key.p, key.n)) {
                return i;
            }
        }
    }
    return n;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Edits between two short words, upper and lower case alike (Wagner and Fischer 1974, one row at a time). */
static unsigned distance(const char *a, size_t n, const char *b, size_t m)
{
    unsigned row[33];
    for (unsigned j = 0; j <= m; j++) {
        row[j] = j;
    }
    for (unsigned i = 1; i <= n; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            unsigned best = diagonal + (lower(a[i - 1]) != lower(b[j - 1]));
            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return row[m];
}

const char *jadei_nearest(const struct jadei_field *fields, size_t n, const char *word,
                          size_t word_len)
{
    const char *nearest = NULL;
    unsigned least =
        (unsigned)word_len / 3 + 2; /* one edit in a short word, a third of a long one */
    for (size_t i = 0; word_len <= 32 && i < n; i++) {
        if (fields[i].n <= 32 && !fields[i].not_yet) {
            unsigned d = distance(word, word_len, fields[i].name, fields[i].n);
            if (d < least) {
                least = d;
                nearest = fields[i].name;
            }
        }
    }
    return nearest;
}

static jade_code unknown_field(const struct jadei_field *fields, size_t n, struct jade_str key,
                               struct jade_err *err)
{
    char name[JADE_ERR_FIELD_SIZE];
    char known[160] = "";
    size_t len = 0;
    snprintf(name, sizeof name, "%.*s", (int)(key.n < 64 ? key.n : 64), key.p);
    const char *nearest = jadei_nearest(fields, n, key.p, key.n);
    if (nearest) {
        return jade_fail_field(err, JADE_E_UNKNOWN_FIELD, name,
                               "unknown field; did you mean \"%s\"?", nearest);
    }
    for (size_t i = 0; i < n && len + 24 < sizeof known; i++) {
        if (!fields[i].not_yet) {
            len += (size_t)snprintf(known + len, sizeof known - len, "%s%s", len ? ", " : "",
                                    fields[i].name);
        }
    }
    return jade_fail_field(err, JADE_E_UNKNOWN_FIELD, name, "unknown field; known are %s",
                           len ? known : "none");
}

jade_code jadei_read_type(struct jade_json v, enum jade_json_type type, const char *field,
                          struct jade_err *err)
{
    enum jade_json_type came = jade_json_type(v);
    if (came == type) {
        return JADE_OK;
    }
    return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, field, "%s, expected %s%s",
                           jade_json_type_name(came),
                           type == JADE_JSON_ARRAY || type == JADE_JSON_OBJECT ? "an " : "a ",
                           jade_json_type_name(type));
}

jade_code jadei_read_fields(struct jade_json object, const struct jadei_field *fields, size_t n,
                            struct jadei_value *values_out, struct jade_err *err)
{
    struct jade_json_iter it = {0};
    struct jade_str key;
    struct jade_json v;
    memset(values_out, 0, n * sizeof *values_out);
    jade_code rc = jadei_read_type(object, JADE_JSON_OBJECT, "", err);
    if (rc != JADE_OK) {
        return rc;
    }
    while (jade_json_object_next(object, &it, &key, &v)) {
        size_t i = find_field(fields, n, key);
        if (i == n) {
            return unknown_field(fields, n, key, err);
        }
        if (values_out[i].given || values_out[i].null) {
            return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, fields[i].name, "given twice");
        }
        values_out[i].null = jade_json_type(v) == JADE_JSON_NULL;
        values_out[i].given = !values_out[i].null;
        values_out[i].v = v;
        if (values_out[i].given && fields[i].not_yet) {
            return jade_fail_field(err, JADE_E_NOT_SUPPORTED_YET, fields[i].name, "%s",
                                   fields[i].not_yet);
        }
    }
    return JADE_OK;
}

/* ---- values ---- */

jade_code jadei_read_string(struct jade_json v, const char *field, struct jade_str *out,
                            struct jade_err *err)
{
    jade_code rc = jadei_read_type(v, JADE_JSON_STRING, field, err);
    if (rc == JADE_OK) {
        *out = jade_json_string(v);
    }
    return rc;
}

jade_code jadei_read_text(struct jade_json v, const char *field, const char **out,
                          struct jade_err *err)
{
    struct jade_str s;
    jade_code rc = jadei_read_string(v, field, &s, err);
    if (rc == JADE_OK && strlen(s.p) != s.n) {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, field, "holds the character U+0000");
    }
    if (rc == JADE_OK) {
        *out = s.p;
    }
    return rc;
}

jade_code jadei_read_bool(struct jade_json v, const char *field, bool *out, struct jade_err *err)
{
    jade_code rc = jadei_read_type(v, JADE_JSON_BOOL, field, err);
    if (rc == JADE_OK) {
        *out = jade_json_bool(v);
    }
    return rc;
}

jade_code jadei_read_u32(struct jade_json v, const char *field, uint32_t min, uint32_t max,
                         uint32_t *out, struct jade_err *err)
{
    enum jade_json_type type = jade_json_type(v);
    if (type == JADE_JSON_INT && jade_json_int(v) >= min && jade_json_int(v) <= max) {
        *out = (uint32_t)jade_json_int(v);
        return JADE_OK;
    }
    if (!jade_json_is_number(v)) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, field,
                               "%s, expected an integer from %" PRIu32 " to %" PRIu32,
                               jade_json_type_name(type), min, max);
    }
    char came[40];
    if (type == JADE_JSON_INT) {
        snprintf(came, sizeof came, "%" PRId64, jade_json_int(v));
    } else if (type == JADE_JSON_UINT) {
        snprintf(came, sizeof came, "%" PRIu64, jade_json_uint(v));
    } else {
        snprintf(came, sizeof came, "%.9g", jade_json_double(v));
    }
    return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, field,
                           "%s, expected an integer from %" PRIu32 " to %" PRIu32, came, min, max);
}

jade_code jadei_read_u64(struct jade_json v, const char *field, uint64_t *out, struct jade_err *err)
{
    enum jade_json_type type = jade_json_type(v);
    if (type == JADE_JSON_UINT || (type == JADE_JSON_INT && jade_json_int(v) >= 0)) {
        *out = jade_json_uint(v);
        return JADE_OK;
    }
    return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, field,
                           "%s, expected an integer of at least 0",
                           jade_json_is_number(v) ? "another number" : jade_json_type_name(type));
}

jade_code jadei_read_f64(struct jade_json v, const char *field, double *out, struct jade_err *err)
{
    if (!jade_json_is_number(v)) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, field, "%s, expected a number",
                               jade_json_type_name(jade_json_type(v)));
    }
    *out = jade_json_double(v);
    return JADE_OK;
}

jade_code jadei_read_id(struct jade_json v, const char *field, struct jade_arena *arena,
                        const char **id_out, uint32_t *n_out, struct jade_err *err)
{
    enum jade_json_type type = jade_json_type(v);
    if (type == JADE_JSON_STRING) {
        struct jade_str s = jade_json_string(v);
        if (s.n < 1 || s.n > JADE_ID_BYTES_MAX) {
            return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, field,
                                   "%zu bytes, expected 1 to %u", s.n, JADE_ID_BYTES_MAX);
        }
        if (memchr(s.p, '\0', s.n)) {
            return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, field,
                                   "holds the character U+0000");
        }
        *id_out = s.p;
        *n_out = (uint32_t)s.n;
        return JADE_OK;
    }
    if (type != JADE_JSON_INT && type != JADE_JSON_UINT) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, field,
                               "%s, expected a string or an integer", jade_json_type_name(type));
    }
    char *text = jade_arena_alloc(arena, 24);
    if (!text) {
        return jade_fail(err, JADE_E_NOMEM, "out of memory for an id");
    }
    int n = type == JADE_JSON_INT ? snprintf(text, 24, "%" PRId64, jade_json_int(v))
                                  : snprintf(text, 24, "%" PRIu64, jade_json_uint(v));
    *id_out = text;
    *n_out = (uint32_t)n;
    return JADE_OK;
}

/* ---- models ---- */

static jade_code check_model(struct jadei_call *c, const struct jadei_model *m,
                             struct jade_err *err)
{
    const struct jade_embed_model *model;
    struct jade_err own = {0};
    jade_code rc =
        jade_embed_get(jade_node_embed_registry(c->api->node), m->name, m->version, &model, &own);
    if (rc == JADE_E_NOT_FOUND) {
        return jade_fail_field(
            err, JADE_E_NOT_SUPPORTED_YET, strcmp(own.field, "version") == 0 ? "version" : "name",
            "%s; this build embeds with %s only", own.message, JADE_EMBED_HASH_384);
    }
    if (rc != JADE_OK) {
        *err = own;
    }
    return rc;
}

static jade_code expect_word(struct jadei_value v, const char *field, const char *word,
                             struct jade_err *err)
{
    const char *text;
    jade_code rc = JADE_OK;
    if (v.given) {
        rc = jadei_read_text(v.v, field, &text, err);
        if (rc == JADE_OK && strcmp(text, word) != 0) {
            rc = jade_fail_field(err, JADE_E_NOT_SUPPORTED_YET, field,
                                 "\"%.64s\"; this build has \"%s\" only", text, word);
        }
    }
    return rc;
}

jade_code jadei_read_model(struct jadei_call *c, struct jade_json v, const char *field,
                           struct jadei_model *out, struct jade_err *err)
{
    enum { NAME, VERSION, PROVIDER, INPUT_TYPE, N };
    static const struct jadei_field fields[N] = {JADEI_FIELD("name"), JADEI_FIELD("version"),
                                                 JADEI_FIELD("provider"), JADEI_FIELD("inputType")};
    struct jadei_value at[N];
    jade_code rc = JADE_OK;
    *out = (struct jadei_model){.name = NULL};
    if (jade_json_type(v) == JADE_JSON_STRING) {
        JADE_TRY(jadei_read_text(v, "", &out->name, err));
        rc = check_model(c, out, err);
        if (rc != JADE_OK) { /* the field is the word itself, not a member of it */
            err->field[0] = '\0';
        }
        goto out;
    }
    JADE_TRY(jadei_read_fields(v, fields, N, at, err));
    if (!at[NAME].given) {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "name", "missing; expected a model");
        goto out;
    }
    JADE_TRY(jadei_read_text(at[NAME].v, "name", &out->name, err));
    if (at[VERSION].given) {
        JADE_TRY(jadei_read_text(at[VERSION].v, "version", &out->version, err));
    }
    JADE_TRY(check_model(c, out, err));
    JADE_TRY(expect_word(at[PROVIDER], "provider", "jadevectordb", err));
    JADE_TRY(expect_word(at[INPUT_TYPE], "inputType", "text", err));
out:
    if (rc != JADE_OK) {
        jade_err_prefix_field(err, field);
    }
    return rc;
}

/* ---- query and headers ---- */

static bool param_given(const struct jadei_call *c, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = c->req->query; *p != '\0'; p += strcspn(p, "&"), p += *p == '&') {
        if (strcspn(p, "=&") == n && memcmp(p, name, n) == 0) {
            return true;
        }
    }
    return false;
}

/* Value of a parameter; "" when absent. */
static jade_code param_word(const struct jadei_call *c, const char *name,
                            char out[JADEI_PARAM_SIZE], bool *given_out, struct jade_err *err)
{
    out[0] = '\0';
    *given_out = param_given(c, name);
    if (*given_out && !jade_http_param(c->req, name, out, JADEI_PARAM_SIZE)) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, name,
                               "too long, or not percent-encoded correctly");
    }
    return JADE_OK;
}

jade_code jadei_param_bool(const struct jadei_call *c, const char *name, bool *out,
                           struct jade_err *err)
{
    char word[JADEI_PARAM_SIZE];
    bool given;
    jade_code rc = param_word(c, name, word, &given, err);
    if (rc != JADE_OK || !given) {
        return rc;
    }
    if (strcmp(word, "true") != 0 && strcmp(word, "false") != 0) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, name, "\"%s\", expected true or false",
                               word);
    }
    *out = word[0] == 't';
    return JADE_OK;
}

/* wait=applied is what every write does; durable is durability sync; the others are jobs to come. */
static jade_code read_wait(const struct jadei_call *c, bool *durable_out, struct jade_err *err)
{
    char word[JADEI_PARAM_SIZE];
    bool given;
    *durable_out = false;
    jade_code rc = param_word(c, "wait", word, &given, err);
    if (rc != JADE_OK || !given || strcmp(word, "applied") == 0 || strcmp(word, "true") == 0) {
        return rc;
    }
    if (strcmp(word, "durable") == 0) {
        *durable_out = true;
        return JADE_OK;
    }
    if (strcmp(word, "none") == 0 || strcmp(word, "indexed") == 0 || strcmp(word, "false") == 0) {
        return jade_fail_field(err, JADE_E_NOT_SUPPORTED_YET, "wait",
                               "\"%s\"; this build knows applied and durable", word);
    }
    return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "wait",
                           "\"%s\", expected applied or durable", word);
}

jade_code jadei_param_durability(const struct jadei_call *c, enum jade_durability *out,
                                 struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char word[JADEI_PARAM_SIZE];
    bool given, durable;
    *out = JADE_DURABILITY_DEFAULT;
    JADE_TRY(param_word(c, "durability", word, &given, err));
    if (given) {
        rc = jade_durability_parse(word, strlen(word), out, err);
        if (rc != JADE_OK) {
            snprintf(err->field, sizeof err->field, "durability");
            goto out;
        }
    }
    JADE_TRY(read_wait(c, &durable, err));
    if (durable && given && *out != JADE_DURABILITY_SYNC) {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "wait",
                             "durable, but durability is %s; expected sync", word);
        goto out;
    }
    if (durable) {
        *out = JADE_DURABILITY_SYNC;
    }
out:
    return rc;
}

jade_code jadei_header_revision(const struct jadei_call *c, uint64_t *out, struct jade_err *err)
{
    const char *header = jade_http_header(c->req, "If-Match");
    *out = 0;
    if (!header || strcmp(header, "*") == 0) {
        return JADE_OK;
    }
    const char *p = header + (header[0] == '"');
    uint64_t v = 0;
    unsigned digits = 0;
    for (; *p >= '0' && *p <= '9' && digits < 19; p++, digits++) {
        v = v * 10 + (uint64_t)(*p - '0');
    }
    p += header[0] == '"' && *p == '"';
    if (*p != '\0' || v == 0) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "If-Match",
                               "\"%.64s\", expected a version", header);
    }
    *out = v;
    return JADE_OK;
}
