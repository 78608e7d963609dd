/*
 * JSON to tree. One loop over a stack of open containers: filter objects, lists of $and and $or,
 * conditions of a field.
 */
#include <string.h>

#include "base/assert.h"
#include "filter/filter_private.h"

enum frame_kind { FRAME_OBJECT, FRAME_LIST, FRAME_CONDITIONS };
enum {
    FRAMES_MAX = 2 * (int)JADE_FILTER_DEPTH_MAX + 2, /* an object and a list a level */
    SHOWN_MAX = 48,                                  /* bytes of a bad key in a message */
};
#define NO_NODE UINT32_MAX

struct frame {
    enum frame_kind kind;
    struct jade_json container;
    struct jade_json_iter it;
    uint32_t group;          /* node that holds the children */
    uint32_t negation;       /* NOT before it, or NO_NODE */
    uint32_t n_seen;         /* members so far */
    uint32_t path, path_len; /* FRAME_CONDITIONS: the field */
    size_t where_len;        /* length of `where` for the container itself */
};

struct parse {
    struct frame frames[FRAMES_MAX];
    unsigned n_frames;
    unsigned depth; /* objects open */
    uint32_t n_terms;
    struct jade_buf nodes, values, bytes;
    struct jade_buf where; /* place of the member at hand, for errors */
    struct jade_err *err;
};

/* What opens a container. */
struct opening {
    enum frame_kind kind;
    enum jadei_op op;
    bool negated;
    uint32_t path, path_len;
};

static const char *where_text(struct parse *p)
{
    jade_buf_append_byte(&p->where, 0);
    if (p->where.failed) {
        return "filter";
    }
    p->where.len--;
    return (const char *)p->where.data;
}

#define FAIL_HERE(p, code, ...) jade_fail_field((p)->err, (code), where_text(p), __VA_ARGS__)
#define REFUSE(p, ...)          FAIL_HERE(p, JADE_E_INVALID_FILTER, __VA_ARGS__)

/* Bytes of a key to show, cut between code points. */
static int shown(struct jade_str s)
{
    size_t n = s.n;
    if (n > SHOWN_MAX) {
        n = SHOWN_MAX;
        while (n > 0 && ((uint8_t)s.p[n] & 0xC0u) == 0x80u) {
            n--;
        }
    }
    return (int)n;
}

static struct jadei_node *node_at(struct parse *p, uint32_t i)
{
    return (struct jadei_node *)(void *)p->nodes.data + i;
}

static uint32_t n_nodes(const struct parse *p)
{
    return (uint32_t)(p->nodes.len / sizeof(struct jadei_node));
}

static uint32_t n_values(const struct parse *p)
{
    return (uint32_t)(p->values.len / sizeof(struct jadei_value));
}

static jade_code add_node(struct parse *p, enum jadei_op op, uint32_t *index_out)
{
    *index_out = n_nodes(p);
    struct jadei_node *node = jade_buf_extend(&p->nodes, sizeof *node);
    if (node == NULL) {
        return jade_buf_status(&p->nodes, p->err);
    }
    *node = (struct jadei_node){.op = op, .end = *index_out + 1, .value = n_values(p)};
    return JADE_OK;
}

static jade_code add_bytes(struct parse *p, const char *s, size_t n, uint32_t *offset_out)
{
    *offset_out = (uint32_t)p->bytes.len;
    if (n > JADE_FILTER_BYTES_MAX || p->bytes.len + n > JADE_FILTER_BYTES_MAX) {
        return FAIL_HERE(p, JADE_E_TOO_LARGE, "the filter's names and values exceed %u bytes",
                         JADE_FILTER_BYTES_MAX);
    }
    jade_buf_append(&p->bytes, s, n);
    return jade_buf_status(&p->bytes, p->err);
}

static jade_code add_term(struct parse *p)
{
    if (++p->n_terms > JADE_FILTER_TERMS_MAX) {
        return REFUSE(p, "more than %u terms", JADE_FILTER_TERMS_MAX);
    }
    return JADE_OK;
}

static jade_code fill_value(struct parse *p, struct jade_json v, struct jadei_value *out)
{
    jade_code rc = JADE_OK;
    *out = (struct jadei_value){.type = jade_json_type(v)};
    switch (out->type) {
    case JADE_JSON_NULL:
        break;
    case JADE_JSON_BOOL:
        out->as.boolean = jade_json_bool(v);
        break;
    case JADE_JSON_INT:
        out->as.i = jade_json_int(v);
        out->number = jadei_number_of(v);
        break;
    case JADE_JSON_UINT:
        out->as.u = jade_json_uint(v);
        out->number = jadei_number_of(v);
        break;
    case JADE_JSON_DOUBLE:
        out->as.d = jade_json_double(v);
        out->as.d = out->as.d == 0.0 ? 0.0 : out->as.d; /* one spelling of zero */
        out->number = jadei_number_of(v);
        break;
    case JADE_JSON_STRING: {
        struct jade_str s = jade_json_string(v);
        out->text_len = (uint32_t)s.n;
        out->is_time = jadei_time_of(s.p, s.n, &out->time_us);
        JADE_TRY(add_bytes(p, s.p, s.n, &out->text));
        break;
    }
    default:
        rc = REFUSE(p, "expected a string, number, boolean or null, got an %s",
                    jade_json_type_name(out->type));
    }
out:
    return rc;
}

static jade_code add_value(struct parse *p, struct jade_json v)
{
    jade_code rc = JADE_OK;
    struct jadei_value value;
    JADE_TRY(add_term(p));
    JADE_TRY(fill_value(p, v, &value));
    jade_buf_append(&p->values, &value, sizeof value);
    rc = jade_buf_status(&p->values, p->err);
out:
    return rc;
}

/* A leaf on a path, with the scalars of v (a scalar, or a list of them) as values; v NULL for
 * none. */
static jade_code add_leaf(struct parse *p, enum jadei_op op, const struct frame *field,
                          const struct jade_json *v)
{
    jade_code rc = JADE_OK;
    uint32_t index = 0;
    JADE_TRY(add_node(p, op, &index));
    struct jadei_node *node = node_at(p, index);
    node->path = field->path;
    node->path_len = field->path_len;
    if (v != NULL && jade_json_type(*v) == JADE_JSON_ARRAY) {
        struct jade_json_iter it = {0};
        struct jade_json element;
        size_t where_len = p->where.len;
        for (uint32_t i = 0; jade_json_array_next(*v, &it, &element); i++) {
            p->where.len = where_len;
            jade_buf_printf(&p->where, "[%u]", i);
            JADE_TRY(add_value(p, element));
        }
    } else if (v != NULL) {
        JADE_TRY(add_value(p, *v));
    }
    node = node_at(p, index);
    node->n_values = n_values(p) - node->value;
    if (node->n_values == 0) {
        JADE_TRY(add_term(p));
    }
out:
    return rc;
}

static jade_code add_negated_leaf(struct parse *p, enum jadei_op op, const struct frame *field,
                                  const struct jade_json *v)
{
    jade_code rc = JADE_OK;
    uint32_t negation = 0;
    JADE_TRY(add_node(p, JADEI_NOT, &negation));
    JADE_TRY(add_leaf(p, op, field, v));
    node_at(p, negation)->end = n_nodes(p);
out:
    return rc;
}

static jade_code open_container(struct parse *p, struct jade_json v, const struct opening *o)
{
    jade_code rc = JADE_OK;
    struct frame f = {.kind = o->kind,
                      .container = v,
                      .negation = NO_NODE,
                      .path = o->path,
                      .path_len = o->path_len,
                      .where_len = p->where.len};
    if (o->kind != FRAME_LIST && ++p->depth > JADE_FILTER_DEPTH_MAX) {
        rc = REFUSE(p, "nested deeper than %u objects", JADE_FILTER_DEPTH_MAX);
        goto out;
    }
    JADE_ASSERT(p->n_frames < FRAMES_MAX);
    if (o->negated) {
        JADE_TRY(add_node(p, JADEI_NOT, &f.negation));
    }
    JADE_TRY(add_node(p, o->op, &f.group));
    p->frames[p->n_frames++] = f;
out:
    return rc;
}

/* Takes node i out: its single child takes its place. */
static void remove_node(struct parse *p, uint32_t i)
{
    uint32_t n = n_nodes(p);
    memmove(node_at(p, i), node_at(p, i + 1), (size_t)(n - i - 1) * sizeof(struct jadei_node));
    p->nodes.len -= sizeof(struct jadei_node);
    for (uint32_t k = i; k + 1 < n; k++) {
        node_at(p, k)->end--;
    }
}

static void close_container(struct parse *p)
{
    const struct frame *f = &p->frames[--p->n_frames];
    struct jadei_node *group = node_at(p, f->group);
    group->end = n_nodes(p);
    if (group->end == f->group + 1) {
        JADE_ASSERT(f->kind == FRAME_OBJECT);
        group->op = JADEI_ALL;
    } else if (node_at(p, f->group + 1)->end == group->end) {
        remove_node(p, f->group);
    }
    if (f->negation != NO_NODE) {
        node_at(p, f->negation)->end = n_nodes(p);
    }
    if (f->kind != FRAME_LIST) {
        p->depth--;
    }
}

static jade_code refuse_operator(struct parse *p, enum jadei_name name, struct jade_str key,
                                 bool in_field)
{
    if (name == JADEI_NAME_LATER) {
        return FAIL_HERE(p, JADE_E_NOT_SUPPORTED_YET, "the operator %.*s is not supported yet",
                         shown(key), key.p);
    }
    if (name == JADEI_NAME_UNKNOWN) {
        return REFUSE(p, "unknown operator \"%.*s\"; did you mean %s?", shown(key), key.p,
                      jadei_name_nearest(key));
    }
    if (in_field) {
        return REFUSE(p, "%.*s stands beside fields, not inside one", shown(key), key.p);
    }
    return REFUSE(p, "%.*s needs a field: {\"field\": {\"%.*s\": ...}}", shown(key), key.p,
                  shown(key), key.p);
}

static jade_code open_list(struct parse *p, struct jade_json v, enum jadei_op op, bool negated)
{
    if (jade_json_type(v) != JADE_JSON_ARRAY || jade_json_count(v) == 0) {
        return REFUSE(p, "expected a list of filters with at least one, got %s",
                      jade_json_type(v) == JADE_JSON_ARRAY
                          ? "an empty one"
                          : jade_json_type_name(jade_json_type(v)));
    }
    return open_container(p, v,
                          &(struct opening){.kind = FRAME_LIST, .op = op, .negated = negated});
}

static jade_code open_filter(struct parse *p, struct jade_json v, bool negated)
{
    if (jade_json_type(v) != JADE_JSON_OBJECT) {
        return REFUSE(p, "expected a filter object, got %s",
                      jade_json_type_name(jade_json_type(v)));
    }
    return open_container(
        p, v, &(struct opening){.kind = FRAME_OBJECT, .op = JADEI_AND, .negated = negated});
}

static jade_code open_conditions(struct parse *p, struct jade_json v, const struct frame *field,
                                 bool negated)
{
    if (jade_json_type(v) != JADE_JSON_OBJECT || jade_json_count(v) == 0) {
        return REFUSE(p, "expected an object with at least one operator, got %s",
                      jade_json_type(v) == JADE_JSON_OBJECT
                          ? "an empty one"
                          : jade_json_type_name(jade_json_type(v)));
    }
    return open_container(p, v,
                          &(struct opening){.kind = FRAME_CONDITIONS,
                                            .op = JADEI_AND,
                                            .negated = negated,
                                            .path = field->path,
                                            .path_len = field->path_len});
}

static jade_code parse_logical(struct parse *p, struct jade_str key, struct jade_json v)
{
    enum jadei_name name = jadei_name_of(key);
    switch (name) {
    case JADEI_NAME_AND:
        return open_list(p, v, JADEI_AND, false);
    case JADEI_NAME_OR:
        return open_list(p, v, JADEI_OR, false);
    case JADEI_NAME_NOR:
        return open_list(p, v, JADEI_OR, true);
    case JADEI_NAME_NOT:
        return open_filter(p, v, true);
    default:
        return refuse_operator(p, name, key, false);
    }
}

static bool is_list_of_objects(struct jade_json v)
{
    struct jade_json_iter it = {0};
    struct jade_json element;
    if (jade_json_type(v) != JADE_JSON_ARRAY || jade_json_count(v) == 0) {
        return false;
    }
    while (jade_json_array_next(v, &it, &element)) {
        if (jade_json_type(element) != JADE_JSON_OBJECT) {
            return false;
        }
    }
    return true;
}

static bool key_is(struct jade_str key, const char *text)
{
    return key.n == strlen(text) && memcmp(key.p, text, key.n) == 0;
}

/* must, should, must_not at the top with a list of filters: Qdrant's names. With anything else they
 * are fields. */
static jade_code parse_alias(struct parse *p, struct jade_str key, struct jade_json v,
                             bool *taken_out)
{
    bool should = key_is(key, "should");
    bool must_not = key_is(key, "must_not");
    *taken_out =
        p->n_frames == 1 && (key_is(key, "must") || should || must_not) && is_list_of_objects(v);
    if (!*taken_out) {
        return JADE_OK;
    }
    return open_list(p, v, should || must_not ? JADEI_OR : JADEI_AND, must_not);
}

static jade_code parse_field(struct parse *p, struct jade_str key, struct jade_json v)
{
    static const char prefix[] = "metadata.";
    enum { PREFIX_LEN = sizeof prefix - 1 };
    jade_code rc = JADE_OK;
    struct frame field = {.kind = FRAME_CONDITIONS};
    if (key.n > PREFIX_LEN && memcmp(key.p, prefix, PREFIX_LEN) == 0) {
        key = (struct jade_str){.p = key.p + PREFIX_LEN, .n = key.n - PREFIX_LEN};
    }
    JADE_TRY(add_bytes(p, key.p, key.n, &field.path));
    field.path_len = (uint32_t)key.n;
    if (jade_json_type(v) == JADE_JSON_OBJECT) {
        rc = open_conditions(p, v, &field, false);
    } else {
        rc = add_leaf(p, JADEI_ANY, &field, &v);
    }
out:
    return rc;
}

static jade_code parse_member(struct parse *p, struct jade_str key, struct jade_json v)
{
    bool taken = false;
    if (key.n > 0 && key.p[0] == '$') {
        return parse_logical(p, key, v);
    }
    jade_code rc = parse_alias(p, key, v, &taken);
    return taken || rc != JADE_OK ? rc : parse_field(p, key, v);
}

static jade_code parse_comparison(struct parse *p, enum jadei_op op, const struct frame *field,
                                  struct jade_str key, struct jade_json v)
{
    if (!jade_json_is_number(v) && jade_json_type(v) != JADE_JSON_STRING) {
        return REFUSE(p, "%.*s takes a number, string or date, got %s", shown(key), key.p,
                      jade_json_type_name(jade_json_type(v)));
    }
    return add_leaf(p, op, field, &v);
}

static jade_code parse_equality(struct parse *p, bool negated, const struct frame *field,
                                struct jade_str key, struct jade_json v)
{
    if (jade_json_type(v) == JADE_JSON_ARRAY || jade_json_type(v) == JADE_JSON_OBJECT) {
        return REFUSE(
            p,
            "%.*s takes a string, number, boolean or null, got an %s; for a list use $in or $nin",
            shown(key), key.p, jade_json_type_name(jade_json_type(v)));
    }
    return (negated ? add_negated_leaf : add_leaf)(p, JADEI_ANY, field, &v);
}

static jade_code parse_list(struct parse *p, bool negated, const struct frame *field,
                            struct jade_str key, struct jade_json v)
{
    if (jade_json_type(v) != JADE_JSON_ARRAY) {
        return REFUSE(p, "%.*s takes a list, got %s", shown(key), key.p,
                      jade_json_type_name(jade_json_type(v)));
    }
    return (negated ? add_negated_leaf : add_leaf)(p, JADEI_ANY, field, &v);
}

static jade_code parse_exists(struct parse *p, const struct frame *field, struct jade_json v)
{
    if (jade_json_type(v) != JADE_JSON_BOOL) {
        return REFUSE(p, "$exists takes true or false, got %s",
                      jade_json_type_name(jade_json_type(v)));
    }
    return (jade_json_bool(v) ? add_leaf : add_negated_leaf)(p, JADEI_EXISTS, field, NULL);
}

static jade_code parse_condition(struct parse *p, const struct frame *field, struct jade_str key,
                                 struct jade_json v)
{
    enum jadei_name name = jadei_name_of(key);
    switch (name) {
    case JADEI_NAME_EQ:
    case JADEI_NAME_NE:
        return parse_equality(p, name == JADEI_NAME_NE, field, key, v);
    case JADEI_NAME_IN:
    case JADEI_NAME_NIN:
        return parse_list(p, name == JADEI_NAME_NIN, field, key, v);
    case JADEI_NAME_GT:
        return parse_comparison(p, JADEI_GT, field, key, v);
    case JADEI_NAME_GTE:
        return parse_comparison(p, JADEI_GTE, field, key, v);
    case JADEI_NAME_LT:
        return parse_comparison(p, JADEI_LT, field, key, v);
    case JADEI_NAME_LTE:
        return parse_comparison(p, JADEI_LTE, field, key, v);
    case JADEI_NAME_EXISTS:
        return parse_exists(p, field, v);
    case JADEI_NAME_NOT:
        return open_conditions(p, v, field, true);
    default:
        break;
    }
    if (key.n == 0 || key.p[0] != '$') {
        return REFUSE(p,
                      "\"%.*s\" is no operator; a nested field is written with a dot, as in "
                      "\"address.city\"",
                      shown(key), key.p);
    }
    return refuse_operator(p, name, key, true);
}

/* Handles the next member of the container on top, or closes it. */
static jade_code step(struct parse *p)
{
    struct frame *top = &p->frames[p->n_frames - 1];
    struct jade_str key = {0};
    struct jade_json v;
    p->where.len = top->where_len;
    if (top->kind == FRAME_LIST) {
        if (!jade_json_array_next(top->container, &top->it, &v)) {
            close_container(p);
            return JADE_OK;
        }
        jade_buf_printf(&p->where, "[%u]", top->n_seen++);
        return open_filter(p, v, false);
    }
    if (!jade_json_object_next(top->container, &top->it, &key, &v)) {
        close_container(p);
        return JADE_OK;
    }
    jade_buf_append_byte(&p->where, '.');
    jade_buf_append(&p->where, key.p, key.n);
    if (top->kind == FRAME_OBJECT) {
        return parse_member(p, key, v);
    }
    return parse_condition(p, top, key, v);
}

/* Moves the finished tree into a filter. */
static jade_code finish(struct parse *p, struct jade_filter **out)
{
    struct jade_filter *f = jade_calloc(JADE_TAG_FILTER, 1, sizeof *f);
    if (f == NULL) {
        return jade_fail(p->err, JADE_E_NOMEM, "no memory for a filter");
    }
    size_t len = 0;
    f->n_nodes = n_nodes(p);
    f->n_values = n_values(p);
    f->nodes = (struct jadei_node *)(void *)jade_buf_take(&p->nodes, &len);
    f->values = (struct jadei_value *)(void *)jade_buf_take(&p->values, &len);
    f->bytes = jade_buf_take(&p->bytes, &len);
    f->n_bytes = (uint32_t)len;
    *out = f;
    return JADE_OK;
}

jade_code jade_filter_parse(struct jade_json v, const char *field, struct jade_filter **out,
                            struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct parse p = {.err = err};
    *out = NULL;
    jade_buf_init(&p.nodes, JADE_TAG_FILTER);
    jade_buf_init(&p.values, JADE_TAG_FILTER);
    jade_buf_init(&p.bytes, JADE_TAG_FILTER);
    jade_buf_init(&p.where, JADE_TAG_FILTER);
    /* Room for one each, so that no pointer into them is ever NULL. */
    if (!jade_buf_reserve(&p.values, sizeof(struct jadei_value)) ||
        !jade_buf_reserve(&p.bytes, 1)) {
        rc = jade_fail(err, JADE_E_NOMEM, "no memory for a filter");
        goto out;
    }
    jade_buf_append_str(&p.where, field);
    JADE_TRY(jade_json_check_keys(v, field, err));
    JADE_TRY(open_filter(&p, v, false));
    while (p.n_frames > 0) {
        JADE_TRY(step(&p));
        JADE_TRY(jade_buf_status(&p.where, err));
    }
    rc = finish(&p, out);
out:
    jade_buf_release(&p.nodes);
    jade_buf_release(&p.values);
    jade_buf_release(&p.bytes);
    jade_buf_release(&p.where);
    return rc;
}

jade_code jade_filter_parse_text(const char *json, size_t n, const char *field,
                                 struct jade_filter **out, struct jade_err *err)
{
    /* Lists are a JSON level beside each object, and one more holds the values. */
    enum { JSON_DEPTH_MAX = 2 * (int)JADE_FILTER_DEPTH_MAX + 8 };
    jade_code rc = JADE_OK;
    struct jade_json_parser *parser = NULL;
    struct jade_json root;
    *out = NULL;
    if (n > JADE_FILTER_BYTES_MAX) {
        rc = jade_fail_field(err, JADE_E_TOO_LARGE, field, "%zu bytes, at most %u", n,
                             JADE_FILTER_BYTES_MAX);
        goto out;
    }
    JADE_TRY(jade_json_parser_new(JADE_FILTER_BYTES_MAX, JSON_DEPTH_MAX, &parser, err));
    JADE_TRY(jade_json_parse(parser, json, n, &root, err));
    rc = jade_filter_parse(root, field, out, err);
out:
    jade_json_parser_free(parser);
    return rc;
}

void jade_filter_free(struct jade_filter *f)
{
    if (f == NULL) {
        return;
    }
    jade_free(f->nodes);
    jade_free(f->values);
    jade_free(f->bytes);
    jade_free(f);
}

bool jade_filter_is_empty(const struct jade_filter *f)
{
    return f->nodes[0].op == JADEI_ALL;
}
