/*
 * The filter on one row's JSON: the definition of what a filter means. The index must
 * agree with it.
 */
#include <string.h>

#include "base/assert.h"
#include "filter/filter_private.h"

/* What a leaf learns about the values that its path reaches in one row. */
struct leaf_state {
    const struct jade_filter *f;
    const struct jadei_node *node;
    bool reached; /* the path is there */
    bool holds;   /* a value made the comparison true */
};

static bool equals(const struct jade_filter *f, const struct jadei_value *want, struct jade_json v)
{
    switch (jade_json_type(v)) {
    case JADE_JSON_NULL:
        return want->type == JADE_JSON_NULL;
    case JADE_JSON_BOOL:
        return want->type == JADE_JSON_BOOL && want->as.boolean == jade_json_bool(v);
    case JADE_JSON_INT:
    case JADE_JSON_UINT:
    case JADE_JSON_DOUBLE:
        return (want->type == JADE_JSON_INT || want->type == JADE_JSON_UINT ||
                want->type == JADE_JSON_DOUBLE) &&
               jadei_number_compare(want->number, jadei_number_of(v)) == 0;
    case JADE_JSON_STRING: {
        struct jade_str s = jade_json_string(v);
        return want->type == JADE_JSON_STRING && want->text_len == s.n &&
               (s.n == 0 || memcmp(f->bytes + want->text, s.p, s.n) == 0);
    }
    default:
        return false;
    }
}

static bool in_order(const struct jade_filter *f, enum jadei_op op, const struct jadei_value *want,
                     struct jade_json v)
{
    if (jade_json_is_number(v)) {
        return want->type != JADE_JSON_STRING &&
               jadei_order_holds(op, jadei_number_compare(jadei_number_of(v), want->number));
    }
    if (jade_json_type(v) != JADE_JSON_STRING || want->type != JADE_JSON_STRING) {
        return false;
    }
    struct jade_str s = jade_json_string(v);
    int64_t time_us = 0;
    if (want->is_time && jadei_time_of(s.p, s.n, &time_us)) {
        return jadei_order_holds(op, (time_us > want->time_us) - (time_us < want->time_us));
    }
    return jadei_order_holds(op,
                             jadei_text_compare(s.p, s.n, f->bytes + want->text, want->text_len));
}

static bool value_holds(const struct leaf_state *s, struct jade_json v)
{
    const struct jadei_value *values = s->f->values + s->node->value;
    if (s->node->op == JADEI_EXISTS) {
        return true;
    }
    if (s->node->op != JADEI_ANY) {
        return in_order(s->f, s->node->op, &values[0], v);
    }
    for (uint32_t i = 0; i < s->node->n_values; i++) {
        if (equals(s->f, &values[i], v)) {
            return true;
        }
    }
    return false;
}

/* The path ends at v: v itself, or each element of it, is compared. */
static void path_ends(struct leaf_state *s, struct jade_json v)
{
    s->reached = true;
    if (s->node->op == JADEI_EXISTS || jade_json_type(v) != JADE_JSON_ARRAY) {
        s->holds = value_holds(s, v);
        return;
    }
    struct jade_json_iter it = {0};
    struct jade_json element;
    while (!s->holds && jade_json_array_next(v, &it, &element)) {
        s->holds = value_holds(s, element);
    }
}

struct walk_frame {
    struct jade_json container;
    struct jade_json_iter it;
    size_t at; /* what is left of the path begins here */
};

/* An object is entered, and an array whose objects are; an array directly inside an array is
   not. */
static bool enters(struct jade_json parent, struct jade_json v)
{
    enum jade_json_type type = jade_json_type(v);
    return type == JADE_JSON_OBJECT ||
           (type == JADE_JSON_ARRAY && jade_json_type(parent) == JADE_JSON_OBJECT);
}

/*
 * A member leads on when its key is the whole rest of the path, or the part of it before a dot. A
 * key may hold dots itself, so each member is tried, and {"a.b": 1} and {"a": {"b": 1}} are the
 * same path. Returns where the rest begins, 0 when it does not lead on.
 */
static size_t follow(const char *path, size_t path_len, size_t at, struct jade_str key,
                     bool *ends_out)
{
    size_t left = path_len - at;
    *ends_out = false;
    if (key.n > left || (key.n > 0 && memcmp(path + at, key.p, key.n) != 0)) {
        return 0;
    }
    *ends_out = key.n == left;
    if (*ends_out || path[at + key.n] != '.') {
        return 0;
    }
    return at + key.n + 1;
}

static void walk_path(struct leaf_state *s, struct jade_json root)
{
    const char *path = (const char *)s->f->bytes + s->node->path;
    size_t path_len = s->node->path_len;
    struct walk_frame frames[JADEI_WALK_DEPTH_MAX];
    unsigned depth = 1;
    frames[0] = (struct walk_frame){.container = root};
    while (depth > 0 && !s->holds) {
        struct walk_frame *top = &frames[depth - 1];
        struct jade_json v;
        size_t at = top->at;
        if (jade_json_type(top->container) == JADE_JSON_ARRAY) {
            if (!jade_json_array_next(top->container, &top->it, &v)) {
                depth--;
                continue;
            }
        } else {
            struct jade_str key;
            bool ends = false;
            if (!jade_json_object_next(top->container, &top->it, &key, &v)) {
                depth--;
                continue;
            }
            at = follow(path, path_len, at, key, &ends);
            if (ends) {
                path_ends(s, v);
            }
            if (at == 0) {
                continue;
            }
        }
        if (depth < JADEI_WALK_DEPTH_MAX && enters(top->container, v)) {
            frames[depth++] = (struct walk_frame){.container = v, .at = at};
        }
    }
}

static bool match_leaf(const struct jade_filter *f, const struct jadei_node *node,
                       struct jade_json root)
{
    struct leaf_state s = {.f = f, .node = node};
    if (node->op == JADEI_ALL) {
        return true;
    }
    if (root.doc != NULL && jade_json_type(root) == JADE_JSON_OBJECT) {
        walk_path(&s, root);
    }
    if (node->op == JADEI_ANY && !s.reached) {
        for (uint32_t i = 0; i < node->n_values; i++) {
            if (f->values[node->value + i].type == JADE_JSON_NULL) {
                return true; /* absent counts as null */
            }
        }
    }
    return s.holds;
}

bool jade_filter_match(const struct jade_filter *f, struct jade_json metadata)
{
    uint32_t open[JADEI_NODE_DEPTH_MAX];
    unsigned depth = 0;
    uint32_t i = 0;
    for (;;) {
        bool result = false;
        if (f->nodes[i].op <= JADEI_NOT) {
            JADE_ASSERT(depth < JADEI_NODE_DEPTH_MAX && i + 1 < f->nodes[i].end);
            open[depth++] = i++;
            continue;
        }
        result = match_leaf(f, &f->nodes[i], metadata);
        uint32_t next = i + 1;
        /* Close every node that this result decides, or that has no child left. */
        while (depth > 0) {
            const struct jadei_node *parent = &f->nodes[open[depth - 1]];
            bool decided = parent->op == JADEI_OR ? result : !result;
            if (parent->op == JADEI_NOT) {
                result = !result;
            } else if (!decided && next < parent->end) {
                break;
            }
            next = parent->end;
            depth--;
        }
        if (depth == 0) {
            return result;
        }
        i = next;
    }
}
