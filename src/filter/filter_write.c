/*
 * The tree as a filter in JSON: one spelling for each tree, which parses to the same tree again.
 */
#include <string.h>

#include "base/assert.h"
#include "filter/filter_private.h"
#include "format/json_out.h"

static void write_value(const struct jade_filter *f, const struct jadei_value *v,
                        struct jade_buf *out)
{
    struct jade_json_out o;
    jade_json_out_init(&o, out);
    switch (v->type) {
    case JADE_JSON_NULL:
        jade_out_null(&o);
        break;
    case JADE_JSON_BOOL:
        jade_out_bool(&o, v->as.boolean);
        break;
    case JADE_JSON_INT:
        jade_out_i64(&o, v->as.i);
        break;
    case JADE_JSON_UINT:
        jade_out_u64(&o, v->as.u);
        break;
    case JADE_JSON_DOUBLE:
        jade_out_f64(&o, v->as.d);
        break;
    default:
        JADE_ASSERT(v->type == JADE_JSON_STRING);
        jade_out_strn(&o, (const char *)f->bytes + v->text, v->text_len);
    }
}

/* A path that would read as something else alone gets the optional prefix. */
static bool needs_prefix(const char *path, size_t n)
{
    static const char *const others[] = {"must", "should", "must_not"};
    static const char prefix[] = "metadata.";
    if (n > 0 && path[0] == '$') {
        return true;
    }
    if (n > sizeof prefix - 1 && memcmp(path, prefix, sizeof prefix - 1) == 0) {
        return true;
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (strlen(others[i]) == n && memcmp(others[i], path, n) == 0) {
            return true;
        }
    }
    return false;
}

static void write_path(const struct jade_filter *f, const struct jadei_node *node,
                       struct jade_buf *out)
{
    const char *path = (const char *)f->bytes + node->path;
    struct jade_buf text;
    struct jade_json_out o;
    jade_buf_init(&text, JADE_TAG_FILTER);
    jade_buf_reserve(&text, node->path_len + 1u);
    if (needs_prefix(path, node->path_len)) {
        jade_buf_append_str(&text, "metadata.");
    }
    jade_buf_append(&text, path, node->path_len);
    jade_json_out_init(&o, out);
    jade_out_strn(&o, text.failed ? "" : (const char *)text.data, text.len);
    out->failed = out->failed || text.failed;
    jade_buf_release(&text);
}

static const char *operator_of(const struct jadei_node *node)
{
    switch (node->op) {
    case JADEI_GT:
        return "$gt";
    case JADEI_GTE:
        return "$gte";
    case JADEI_LT:
        return "$lt";
    case JADEI_LTE:
        return "$lte";
    case JADEI_EXISTS:
        return "$exists";
    default:
        JADE_ASSERT(node->op == JADEI_ANY);
        return node->n_values == 1 ? "$eq" : "$in";
    }
}

static void write_leaf(const struct jade_filter *f, const struct jadei_node *node,
                       struct jade_buf *out)
{
    if (node->op == JADEI_ALL) {
        jade_buf_append_str(out, "{}");
        return;
    }
    bool is_list = node->op == JADEI_ANY && node->n_values != 1;
    jade_buf_append_byte(out, '{');
    write_path(f, node, out);
    jade_buf_printf(out, ":{\"%s\":%s", operator_of(node), is_list ? "[" : "");
    if (node->op == JADEI_EXISTS) {
        jade_buf_append_str(out, "true");
    }
    for (uint32_t i = 0; i < node->n_values; i++) {
        if (i > 0) {
            jade_buf_append_byte(out, ',');
        }
        write_value(f, &f->values[node->value + i], out);
    }
    jade_buf_append_str(out, is_list ? "]}}" : "}}");
}

void jade_filter_write(const struct jade_filter *f, struct jade_buf *out)
{
    static const char *const opening[] = {
        [JADEI_AND] = "{\"$and\":[", [JADEI_OR] = "{\"$or\":[", [JADEI_NOT] = "{\"$not\":"};
    uint32_t open[JADEI_NODE_DEPTH_MAX];
    unsigned depth = 0;
    for (uint32_t i = 0; i < f->n_nodes; i++) {
        const struct jadei_node *node = &f->nodes[i];
        if (node->op <= JADEI_NOT) {
            JADE_ASSERT(depth < JADEI_NODE_DEPTH_MAX);
            open[depth++] = i;
            jade_buf_append_str(out, opening[node->op]);
            continue;
        }
        write_leaf(f, node, out);
        while (depth > 0 && f->nodes[open[depth - 1]].end == i + 1) {
            jade_buf_append_str(out, f->nodes[open[--depth]].op == JADEI_NOT ? "}" : "]}");
        }
        if (depth > 0) {
            jade_buf_append_byte(out, ',');
        }
    }
}
