/*
 * A database as the catalog holds it, under "database/<name>": one JSON object.
 * The name is the key, so that the catalog itself keeps names unique.
 */
#include <string.h>

#include "format/json_out.h"
#include "node/node_private.h"

enum { FORMAT_VERSION = 1 };

void jadei_row_key(const char *name, char out[JADE_DB_NAME_MAX + 16])
{
    size_t prefix = sizeof JADEI_ROW_PREFIX - 1, n = strlen(name);
    JADE_ASSERT(n <= JADE_DB_NAME_MAX);
    memcpy(out, JADEI_ROW_PREFIX, prefix);
    memcpy(out + prefix, name, n + 1);
}

void jadei_row_release(struct jadei_row *row)
{
    jade_free(row->description);
    jade_free(row->config);
    *row = (struct jadei_row){.description = NULL};
}

jade_code jadei_row_copy(const struct jadei_row *from, struct jadei_row *to, struct jade_err *err)
{
    *to = *from;
    to->description = jade_strndup(JADE_TAG_CATALOG, from->description, strlen(from->description));
    to->config = jade_strndup(JADE_TAG_CATALOG, from->config, from->config_len);
    if (!to->description || !to->config) {
        jadei_row_release(to);
        return jade_fail(err, JADE_E_NOMEM, "out of memory for a database's description");
    }
    return JADE_OK;
}

/* ---- out ---- */

void jadei_row_encode(const struct jade_database *db, const struct jadei_row *row,
                      struct jade_buf *out)
{
    struct jade_json_out o;
    jade_json_out_init(&o, out);
    jade_out_object(&o);
    jade_out_key_u64(&o, "formatVersion", FORMAT_VERSION);
    jade_out_key_str(&o, "id", db->id);
    jade_out_key_str(&o, "name", db->name);
    jade_out_key_u64(&o, "dimension", db->dimension);
    jade_out_key_u64(&o, "metric", (uint64_t)db->metric);
    jade_out_key_str(&o, "description", row->description);
    jade_out_key(&o, "index");
    jade_out_object(&o);
    jade_out_key_str(&o, "kind", jade_index_kind_name(row->index.kind));
    jade_out_key_u64(&o, "m", row->index.m);
    jade_out_key_u64(&o, "efConstruction", row->index.ef_construction);
    jade_out_key_u64(&o, "efSearch", row->index.ef_search);
    jade_out_key_u64(&o, "seed", row->index.seed);
    jade_out_object_end(&o);
    jade_out_key_str(&o, "durability", jade_durability_name(row->durability));
    jade_out_key_str(&o, "modelName", row->model_name);
    jade_out_key_str(&o, "modelVersion", row->model_version);
    jade_out_key_bool(&o, "rebuildPending", row->rebuild_pending);
    jade_out_key_i64(&o, "createdUs", row->created_us);
    jade_out_key_i64(&o, "updatedUs", row->updated_us);
    jade_out_key(&o, "config");
    jade_out_raw(&o, row->config, row->config_len);
    jade_out_object_end(&o);
}

/* ---- in ---- */

static bool member(struct jade_json root, const char *key, enum jade_json_type type,
                   struct jade_json *out)
{
    return jade_json_get(root, key, out) && jade_json_type(*out) == type;
}

static bool text_member(struct jade_json root, const char *key, char *out, size_t size)
{
    struct jade_json v;
    if (!member(root, key, JADE_JSON_STRING, &v)) {
        return false;
    }
    struct jade_str s = jade_json_string(v);
    if (s.n >= size || memchr(s.p, 0, s.n)) {
        return false;
    }
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return true;
}

static bool u64_member(struct jade_json root, const char *key, uint64_t max, uint64_t *out)
{
    struct jade_json v;
    if (!jade_json_get(root, key, &v) ||
        (jade_json_type(v) != JADE_JSON_UINT &&
         (jade_json_type(v) != JADE_JSON_INT || jade_json_int(v) < 0))) {
        return false;
    }
    *out = jade_json_uint(v);
    return *out <= max;
}

static bool u32_member(struct jade_json root, const char *key, uint32_t *out)
{
    uint64_t v = 0;
    bool ok = u64_member(root, key, UINT32_MAX, &v);
    *out = (uint32_t)v;
    return ok;
}

static bool time_member(struct jade_json root, const char *key, int64_t *out)
{
    struct jade_json v;
    if (!member(root, key, JADE_JSON_INT, &v)) {
        return false;
    }
    *out = jade_json_int(v);
    return true;
}

static bool decode_index(struct jade_json root, struct jade_index_params *out)
{
    struct jade_json index;
    char kind[16];
    return member(root, "index", JADE_JSON_OBJECT, &index) &&
           text_member(index, "kind", kind, sizeof kind) &&
           jade_index_kind_parse(kind, strlen(kind), &out->kind, NULL) == JADE_OK &&
           u32_member(index, "m", &out->m) &&
           u32_member(index, "efConstruction", &out->ef_construction) &&
           u32_member(index, "efSearch", &out->ef_search) &&
           u64_member(index, "seed", UINT64_MAX, &out->seed) &&
           jade_index_params_check(out, NULL) == JADE_OK;
}

/** The members of fixed size. */
static bool decode_fixed(struct jade_json root, struct jadei_row *row)
{
    struct jade_json v;
    char durability[16];
    if (!decode_index(root, &row->index) ||
        !text_member(root, "durability", durability, sizeof durability) ||
        jade_durability_parse(durability, strlen(durability), &row->durability, NULL) != JADE_OK ||
        !text_member(root, "modelName", row->model_name, sizeof row->model_name) ||
        !text_member(root, "modelVersion", row->model_version, sizeof row->model_version) ||
        !member(root, "rebuildPending", JADE_JSON_BOOL, &v) ||
        !time_member(root, "createdUs", &row->created_us) ||
        !time_member(root, "updatedUs", &row->updated_us)) {
        return false;
    }
    row->rebuild_pending = jade_json_bool(v);
    return true;
}

static jade_code decode_texts(struct jade_json root, struct jadei_row *row, struct jade_err *err)
{
    struct jade_json description, config;
    if (!member(root, "description", JADE_JSON_STRING, &description) ||
        !member(root, "config", JADE_JSON_OBJECT, &config)) {
        return jade_fail(err, JADE_E_CORRUPT, "description or config is missing");
    }
    struct jade_str text = jade_json_string(description);
    struct jade_buf buf;
    jade_buf_init(&buf, JADE_TAG_CATALOG);
    jade_json_write(config, &buf);
    jade_buf_append_byte(&buf, 0);
    row->description = jade_strndup(JADE_TAG_CATALOG, text.p, text.n);
    if (!buf.failed) {
        row->config_len = buf.len - 1;
        row->config = jade_strndup(JADE_TAG_CATALOG, (const char *)buf.data, row->config_len);
    }
    jade_buf_release(&buf);
    if (!row->description || !row->config) {
        return jade_fail(err, JADE_E_NOMEM, "out of memory for a database's description");
    }
    return JADE_OK;
}

static jade_code decode(struct jade_node *n, struct jade_json root, struct jade_database **out,
                        struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_row row = {.description = NULL};
    char id[JADE_DATABASE_ID_SIZE], name[JADE_DB_NAME_MAX + 1];
    uint32_t dimension;
    uint64_t version, metric;
    if (jade_json_type(root) != JADE_JSON_OBJECT ||
        !u64_member(root, "formatVersion", UINT32_MAX, &version)) {
        return jade_fail(err, JADE_E_CORRUPT, "no description of a database");
    }
    if (version != FORMAT_VERSION) {
        return jade_fail(err, JADE_E_VERSION, "a description of format %llu, this build knows %d",
                         (unsigned long long)version, FORMAT_VERSION);
    }
    if (!text_member(root, "id", id, sizeof id) || !jadei_is_database_id(id, strlen(id)) ||
        !text_member(root, "name", name, sizeof name) ||
        !u32_member(root, "dimension", &dimension) || dimension < 1 || dimension > JADE_DIM_MAX ||
        !u64_member(root, "metric", JADE_METRIC_DOT, &metric) || !decode_fixed(root, &row)) {
        return jade_fail(err, JADE_E_CORRUPT, "a description that lacks a part");
    }
    JADE_TRY(decode_texts(root, &row, err));
    JADE_TRY(jadei_database_new(n, id, name, dimension, (enum jade_metric)metric, out, err));
    (*out)->row = row;
    row = (struct jadei_row){.description = NULL};
out:
    jadei_row_release(&row);
    return rc;
}

jade_code jadei_row_decode(struct jade_node *n, const void *json, size_t len,
                           struct jade_database **out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_json_parser *parser = NULL;
    struct jade_json root;
    *out = NULL;
    JADE_TRY(jade_json_parser_new(JADE_CATALOG_VALUE_MAX, JADEI_CONFIG_DEPTH + 2, &parser, err));
    rc = jade_json_parse(parser, json, len, &root, err);
    if (rc == JADE_E_INVALID_JSON || rc == JADE_E_TOO_LARGE) {
        rc = jade_fail(err, JADE_E_CORRUPT, "a description that is no JSON");
    }
    if (rc == JADE_OK) {
        rc = decode(n, root, out, err);
    }
out:
    jade_json_parser_free(parser);
    return rc;
}
