/*
 * metadataSchema of a database: {"field": "type"}. A field that is there must be of its type; fields that are absent, null or not
 * named in the schema are free. It is checked for each write from the moment it is stored; rows that were stored before stay.
 *
 * Types: string, int (integer), float (number, double), bool (boolean), date (RFC 3339), object, array, array<T> of a simple T,
 * enum:a|b|c.
 */
#include <stdio.h>
#include <string.h>

#include "api/api_private.h"

struct jadei_schema {
    struct jade_json fields; /* of the stored config; lives as long as the call's config_parser */
};

enum kind {
    KIND_STRING,
    KIND_INT,
    KIND_FLOAT,
    KIND_BOOL,
    KIND_DATE,
    KIND_OBJECT,
    KIND_ARRAY,
    KIND_ENUM,
    KIND_UNKNOWN
};
struct type {
    enum kind kind;
    enum kind element;     /* of array<T>; KIND_UNKNOWN: any */
    struct jade_str words; /* of an enum: "a|b|c" */
};

static enum kind simple_kind(const char *word, size_t n)
{
    static const struct {
        const char *word;
        enum kind kind;
    } words[] = {{"string", KIND_STRING}, {"int", KIND_INT},      {"integer", KIND_INT},
                 {"float", KIND_FLOAT},   {"number", KIND_FLOAT}, {"double", KIND_FLOAT},
                 {"bool", KIND_BOOL},     {"boolean", KIND_BOOL}, {"date", KIND_DATE},
                 {"object", KIND_OBJECT}, {"array", KIND_ARRAY}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strlen(words[i].word) == n && memcmp(words[i].word, word, n) == 0) {
            return words[i].kind;
        }
    }
    return KIND_UNKNOWN;
}

/* False when the text is no type. */
static bool read_type(struct jade_str text, struct type *out)
{
    static const char array[] = "array<", words[] = "enum:";
    *out = (struct type){.kind = simple_kind(text.p, text.n), .element = KIND_UNKNOWN};
    if (out->kind != KIND_UNKNOWN) {
        return true;
    }
    size_t n_array = sizeof array - 1, n_words = sizeof words - 1;
    if (text.n > n_array && memcmp(text.p, array, n_array) == 0 && text.p[text.n - 1] == '>') {
        out->kind = KIND_ARRAY;
        out->element = simple_kind(text.p + n_array, text.n - n_array - 1);
        return out->element != KIND_UNKNOWN;
    }
    if (text.n > n_words && memcmp(text.p, words, n_words) == 0) {
        out->kind = KIND_ENUM;
        out->words = (struct jade_str){.p = text.p + n_words, .n = text.n - n_words};
        return true;
    }
    return false;
}

jade_code jadei_schema_check(struct jade_json v, struct jade_err *err)
{
    struct jade_json_iter it = {0};
    struct jade_str key;
    struct jade_json member;
    struct type type;
    jade_code rc = jadei_read_type(v, JADE_JSON_OBJECT, "", err);
    while (rc == JADE_OK && jade_json_object_next(v, &it, &key, &member)) {
        char name[JADE_ERR_FIELD_SIZE];
        snprintf(name, sizeof name, "%.*s", (int)(key.n < 64 ? key.n : 64), key.p);
        rc = jadei_read_type(member, JADE_JSON_STRING, name, err);
        if (rc == JADE_OK && !read_type(jade_json_string(member), &type)) {
            rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, name,
                                 "\"%.64s\", expected string, int, float, bool, date, object, "
                                 "array, array<type> or enum:a|b",
                                 jade_json_string(member).p);
        }
    }
    return rc;
}

jade_code jadei_schema_of(struct jadei_call *c, const struct jadei_schema **out,
                          struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_database_info info;
    struct jade_json root;
    const char *name = jadei_config_names[JADEI_CONFIG_SCHEMA];
    *out = NULL;
    JADE_TRY(jade_database_info(c->db, &c->arena, &info, err));
    if (info.config_json.n <= 2) { /* {} */
        goto out;
    }
    JADE_TRY(jadei_parser_take(c->api, &c->config_parser, err));
    JADE_TRY(jade_json_parse(c->config_parser, info.config_json.p, info.config_json.n, &root, err));
    struct jade_json fields;
    if (!jade_json_get(root, name, &fields) || jade_json_count(fields) == 0) {
        goto out;
    }
    struct jadei_schema *schema = jade_arena_alloc(&c->arena, sizeof *schema);
    if (!schema) {
        rc = jade_fail(err, JADE_E_NOMEM, "out of memory for a schema");
        goto out;
    }
    schema->fields = fields;
    *out = schema;
out:
    return rc;
}

static bool in_words(struct jade_str words, struct jade_json v)
{
    if (words.p == NULL || jade_json_type(v) != JADE_JSON_STRING) {
        return false;
    }
    struct jade_str s = jade_json_string(v);
    for (size_t at = 0; at <= words.n;) {
        const char *bar = memchr(words.p + at, '|', words.n - at);
        size_t n = bar ? (size_t)(bar - words.p) - at : words.n - at;
        if (n == s.n && memcmp(words.p + at, s.p, n) == 0) {
            return true;
        }
        at += n + 1;
    }
    return false;
}

static bool is_kind(enum kind kind, struct jade_json v)
{
    enum jade_json_type t = jade_json_type(v);
    int64_t us;
    switch (kind) {
    case KIND_STRING:
        return t == JADE_JSON_STRING;
    case KIND_INT:
        return t == JADE_JSON_INT || t == JADE_JSON_UINT;
    case KIND_FLOAT:
        return jade_json_is_number(v);
    case KIND_BOOL:
        return t == JADE_JSON_BOOL;
    case KIND_DATE:
        return t == JADE_JSON_STRING &&
               jade_time_parse(jade_json_string(v).p, jade_json_string(v).n, &us);
    case KIND_OBJECT:
        return t == JADE_JSON_OBJECT;
    case KIND_ARRAY:
        return t == JADE_JSON_ARRAY;
    case KIND_ENUM:
    case KIND_UNKNOWN:
        break;
    }
    return false;
}

static bool fits(const struct type *type, struct jade_json v)
{
    if (type->kind == KIND_ENUM) {
        return in_words(type->words, v);
    }
    if (!is_kind(type->kind, v)) {
        return false;
    }
    struct jade_json_iter it = {0};
    struct jade_json element;
    while (type->kind == KIND_ARRAY && type->element != KIND_UNKNOWN &&
           jade_json_array_next(v, &it, &element)) {
        if (!is_kind(type->element, element)) {
            return false;
        }
    }
    return true;
}

jade_code jadei_schema_accepts(const struct jadei_schema *schema, struct jadei_value metadata,
                               struct jade_err *err)
{
    struct jade_json_iter it = {0};
    struct jade_str key;
    struct jade_json want, v;
    struct type type;
    if (!schema || !metadata.given) {
        return JADE_OK;
    }
    while (jade_json_object_next(schema->fields, &it, &key, &want)) {
        if (!jade_json_get(metadata.v, key.p, &v) || jade_json_type(v) == JADE_JSON_NULL) {
            continue;
        }
        struct jade_str text = jade_json_string(want);
        if (read_type(text, &type) && !fits(&type, v)) {
            char name[JADE_ERR_FIELD_SIZE];
            snprintf(name, sizeof name, "metadata.%.*s", (int)(key.n < 64 ? key.n : 64), key.p);
            return jade_fail_field(err, JADE_E_UNPROCESSABLE, name,
                                   "%s, but the database's metadataSchema says %.64s",
                                   jade_json_type_name(jade_json_type(v)), text.p);
        }
    }
    return JADE_OK;
}
