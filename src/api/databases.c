/*
 * /databases: the database object (example 2 of the specification) in and out.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api/api_private.h"
#include "base/alloc.h"

static const char *const metric_names[] = {"cosine", "euclidean", "dot"};

enum field {
    F_ID,
    F_NAME,
    F_DESCRIPTION,
    F_DIMENSION,
    F_METRIC,
    F_INDEX_TYPE,
    F_INDEX_PARAMETERS,
    F_DURABILITY,
    F_IF_VERSION,
    F_CREATED,
    F_UPDATED,
    F_VERSION,
    F_STATUS,
    F_COUNT,
    F_CONFIG, /* and the parts after it */
    F_ALIAS = F_CONFIG + JADEI_CONFIG_PARTS,
    F_END
};
static const struct jadei_field fields[F_END] = {
    [F_ID] = JADEI_FIELD("databaseId"),
    [F_NAME] = JADEI_FIELD("name"),
    [F_DESCRIPTION] = JADEI_FIELD("description"),
    [F_DIMENSION] = JADEI_FIELD("vectorDimension"),
    [F_METRIC] = JADEI_FIELD("metric"),
    [F_INDEX_TYPE] = JADEI_FIELD("indexType"),
    [F_INDEX_PARAMETERS] = JADEI_FIELD("indexParameters"),
    [F_DURABILITY] = JADEI_FIELD("durability"),
    [F_IF_VERSION] = JADEI_FIELD("ifVersion"),
    [F_CREATED] = JADEI_FIELD("createdAt"),
    [F_UPDATED] = JADEI_FIELD("updatedAt"),
    [F_VERSION] = JADEI_FIELD("version"),
    [F_STATUS] = JADEI_FIELD("status"),
    [F_COUNT] = JADEI_FIELD("vectorCount"),
    [F_CONFIG + JADEI_CONFIG_SHARDING] = JADEI_FIELD("sharding"),
    [F_CONFIG + JADEI_CONFIG_REPLICATION] = JADEI_FIELD("replication"),
    [F_CONFIG + JADEI_CONFIG_MODELS] = JADEI_FIELD("embeddingModels"),
    [F_CONFIG + JADEI_CONFIG_SCHEMA] = JADEI_FIELD("metadataSchema"),
    [F_CONFIG + JADEI_CONFIG_RETENTION] = JADEI_FIELD("retentionPolicy"),
    [F_CONFIG + JADEI_CONFIG_ACCESS] = JADEI_FIELD("accessControl"),
    [F_ALIAS] = JADEI_FIELD_YET("alias", "this build has no aliases"),
};

/* ---- in ---- */

static jade_code read_metric(struct jade_json v, enum jade_metric *out, struct jade_err *err)
{
    const char *word;
    jade_code rc = jadei_read_text(v, "metric", &word, err);
    for (unsigned i = 0; rc == JADE_OK && i < 3; i++) {
        if (strcasecmp(word, metric_names[i]) == 0) {
            *out = (enum jade_metric)i;
            return JADE_OK;
        }
    }
    return rc != JADE_OK ? rc
                         : jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "metric",
                                           "\"%.64s\", expected cosine, euclidean or dot", word);
}

/* What the server keeps by itself may come back to it, since it stands in what it answers; it has no effect, and the answer says so. */
static void warn_of_own_fields(struct jadei_call *c, const struct jadei_value *at, bool create)
{
    static const enum field own[] = {F_CREATED, F_UPDATED, F_VERSION, F_STATUS, F_COUNT};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (at[own[i]].given) {
            jadei_reply_warn(c, "%s: kept by the server; the value sent was not used",
                             fields[own[i]].name);
        }
    }
    if (create && at[F_ID].given) {
        jadei_reply_warn(c, "databaseId: given by the server; the value sent was not used");
    }
}

static jade_code read_index(const struct jadei_value *at, struct jade_index_params *index,
                            struct jade_err *err)
{
    jade_code rc = JADE_OK;
    if (at[F_INDEX_TYPE].given) {
        JADE_TRY(jadei_read_index_type(at[F_INDEX_TYPE].v, "indexType", index, err));
    }
    if (at[F_INDEX_PARAMETERS].given) {
        rc = jadei_read_index_parameters(at[F_INDEX_PARAMETERS].v, index, err);
        if (rc != JADE_OK) {
            jade_err_prefix_field(err, "indexParameters");
        }
    }
out:
    return rc;
}

static jade_code read_columns(const struct jadei_value *at, struct jade_database_spec *spec,
                              struct jade_err *err)
{
    jade_code rc = JADE_OK;
    if (at[F_NAME].given) {
        JADE_TRY(jadei_read_text(at[F_NAME].v, "name", &spec->name, err));
    }
    if (at[F_DESCRIPTION].given) {
        JADE_TRY(jadei_read_text(at[F_DESCRIPTION].v, "description", &spec->description, err));
    } else if (at[F_DESCRIPTION].null) {
        spec->description = "";
    }
    if (at[F_DIMENSION].given) {
        JADE_TRY(jadei_read_u32(at[F_DIMENSION].v, "vectorDimension", 1, JADE_DIM_MAX,
                                &spec->dimension, err));
    }
    if (at[F_METRIC].given) {
        JADE_TRY(read_metric(at[F_METRIC].v, &spec->metric, err));
    }
    JADE_TRY(read_index(at, &spec->index, err));
    if (at[F_DURABILITY].given) {
        struct jade_str word;
        JADE_TRY(jadei_read_string(at[F_DURABILITY].v, "durability", &word, err));
        JADE_TRY(jade_durability_parse(word.p, word.n, &spec->durability, err));
    }
out:
    return rc;
}

/* Config to store: parts of the body, and of the present config (JSON null when there is none) those that the body does not name. */
static jade_code merge_config(struct jadei_call *c, const struct jadei_value *at,
                              const struct jade_json *now, struct jade_database_spec *spec,
                              struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_buf buf;
    struct jade_json_out o;
    struct jade_json kept;
    jade_buf_init(&buf, JADE_TAG_REQUEST);
    jade_json_out_init(&o, &buf);
    jade_out_object(&o);
    for (unsigned i = 0; i < JADEI_CONFIG_PARTS; i++) {
        const struct jadei_value *v = &at[F_CONFIG + i];
        bool from_now =
            !v->given && !v->null && now && jade_json_get(*now, jadei_config_names[i], &kept);
        if (v->given || from_now) {
            jade_out_key(&o, jadei_config_names[i]);
            jadei_out_json(&o, v->given ? v->v : kept);
        }
    }
    jade_out_object_end(&o);
    JADE_TRY(jade_buf_status(&buf, err));
    spec->config_json.p = jade_arena_strndup(&c->arena, (const char *)buf.data, buf.len);
    spec->config_json.n = buf.len;
    if (!spec->config_json.p) {
        rc = jade_fail(err, JADE_E_NOMEM, "out of memory for a database's config");
    }
out:
    jade_buf_release(&buf);
    return rc;
}

/* Fills spec, which holds what is so without the body. */
static jade_code read_body(struct jadei_call *c, const struct jadei_value *at,
                           const struct jade_json *now, struct jade_database_spec *spec,
                           struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_model model = {.name = NULL};
    JADE_TRY(read_columns(at, spec, err));
    for (unsigned i = 0; i < JADEI_CONFIG_PARTS; i++) {
        if (at[F_CONFIG + i].given) {
            JADE_TRY(
                jadei_config_check(c, (enum jadei_config_part)i, at[F_CONFIG + i].v, &model, err));
            JADE_TRY(jade_json_check_keys(at[F_CONFIG + i].v, jadei_config_names[i], err));
        }
    }
    if (model.name) {
        spec->model_name = model.name;
        spec->model_version = model.version;
    }
    JADE_TRY(merge_config(c, at, now, spec, err));
out:
    return rc;
}

/* ---- out ---- */

static void out_models(struct jade_json_out *o, const struct jade_database_info *info)
{
    jade_out_array(o);
    if (info->model_name[0] != '\0') {
        jade_out_object(o);
        jade_out_key_str(o, "name", info->model_name);
        if (info->model_version[0] != '\0') {
            jade_out_key_str(o, "version", info->model_version);
        }
        jade_out_key_str(o, "provider", "jadevectordb");
        jade_out_key_str(o, "inputType", "text");
        jade_out_object_end(o);
    }
    jade_out_array_end(o);
}

/* The stored parts as they came; sharding, replication and the bound model also when nothing was said about them. */
static void out_config(struct jade_json_out *o, const struct jade_database_info *info,
                       struct jade_json config)
{
    struct jade_json v;
    for (unsigned i = 0; i < JADEI_CONFIG_PARTS; i++) {
        const char *name = jadei_config_names[i];
        bool stored = jade_json_get(config, name, &v);
        bool bound = i == JADEI_CONFIG_MODELS && info->model_name[0] != '\0';
        if (stored && !(bound && jade_json_count(v) == 0)) {
            jade_out_key(o, name);
            jadei_out_json(o, v);
        } else if (i == JADEI_CONFIG_SHARDING) {
            jade_out_key(o, name);
            jade_out_object(o);
            jade_out_key_str(o, "strategy", "hash");
            jade_out_key_u64(o, "numShards", 1);
            jade_out_object_end(o);
        } else if (i == JADEI_CONFIG_REPLICATION) {
            jade_out_key(o, name);
            jade_out_object(o);
            jade_out_key_u64(o, "factor", 1);
            jade_out_object_end(o);
        } else if (i == JADEI_CONFIG_MODELS) {
            jade_out_key(o, name);
            out_models(o, info);
        }
    }
}

static void out_columns(struct jade_json_out *o, const struct jade_database_info *info)
{
    jade_out_key_str(o, "databaseId", info->id);
    jade_out_key_str(o, "name", info->name);
    jade_out_key_str(o, "description", info->description);
    jade_out_key_u64(o, "vectorDimension", info->dimension);
    jade_out_key_str(o, "metric", metric_names[info->metric]);
    jade_out_key_str(o, "indexType", jadei_index_type_name(info->index.kind));
    jade_out_key(o, "indexParameters");
    jadei_out_index_parameters(o, &info->index);
    jade_out_key_str(o, "durability", jade_durability_name(info->durability));
}

/* Status that can be told without opening the database; vectorCount is null until it was open once. */
static void out_state(struct jade_json_out *o, struct jade_database *db,
                      const struct jade_database_info *info)
{
    struct jade_database_stats stats;
    jade_out_key_str(o, "status", jade_database_state_name(info->state));
    jade_out_key(o, "vectorCount");
    if (jade_database_stats(db, false, &stats, NULL) == JADE_OK && stats.known) {
        jade_out_u64(o, stats.shard.n_live);
    } else {
        jade_out_null(o);
    }
}

/* Parses the stored config of info into c->config_parser. */
static jade_code parse_config(struct jadei_call *c, const struct jade_database_info *info,
                              struct jade_json *out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    if (!c->config_parser) {
        JADE_TRY(jadei_parser_take(c->api, &c->config_parser, err));
    }
    JADE_TRY(jade_json_parse(c->config_parser, info->config_json.p, info->config_json.n, out, err));
out:
    return rc;
}

static jade_code out_database(struct jadei_call *c, struct jade_database *db,
                              const struct jade_database_info *info, struct jade_err *err)
{
    struct jade_json_out *o = &c->out;
    struct jade_json config;
    jade_code rc = parse_config(c, info, &config, err);
    if (rc != JADE_OK) {
        return rc;
    }
    jade_out_object(o);
    out_columns(o, info);
    out_config(o, info, config);
    jade_out_key(o, "created_at");
    jade_out_time(o, info->created_us);
    jade_out_key(o, "updated_at");
    jade_out_time(o, info->updated_us);
    jade_out_key_u64(o, "version", info->revision);
    out_state(o, db, info);
    jade_out_object_end(o);
    return JADE_OK;
}

static jade_code reply_database(struct jadei_call *c, int status, const char *message,
                                struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_database_info info;
    JADE_TRY(jade_database_info(c->db, &c->arena, &info, err));
    jadei_reply_begin(c, status, message);
    JADE_TRY(out_database(c, c->db, &info, err));
out:
    return rc;
}

/* ---- handlers ---- */

jade_code jadei_databases_create(struct jadei_call *c, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_value at[F_END];
    struct jade_database_spec spec = jade_database_spec_default();
    JADE_TRY(jadei_read_fields(c->body, fields, F_END, at, err));
    if (!at[F_NAME].given) {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "name", "missing; expected a string");
        goto out;
    }
    if (at[F_IF_VERSION].given) {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "ifVersion",
                             "a new database has no version to compare");
        goto out;
    }
    JADE_TRY(read_body(c, at, NULL, &spec, err));
    if (spec.dimension == 0 && !spec.model_name) {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "vectorDimension",
                             "missing; expected an integer from 1 to %u", JADE_DIM_MAX);
        goto out;
    }
    JADE_TRY(jade_node_create(c->api->node, &spec, &c->db, err));
    warn_of_own_fields(c, at, true);
    jadei_reply_location(c, (const char *[]){"databases", jade_database_id(c->db), NULL});
    JADE_TRY(reply_database(c, 201, "database created", err));
out:
    return rc;
}

jade_code jadei_databases_list(struct jadei_call *c, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_database **list = NULL;
    size_t n = 0;
    JADE_TRY(jade_node_list(c->api->node, &list, &n, err));
    jadei_reply_begin(c, 200, "databases");
    jade_out_object(&c->out);
    jade_out_key(&c->out, "databases");
    jade_out_array(&c->out);
    uint64_t n_alive = 0;
    for (size_t i = 0; i < n; i++) {
        struct jade_database_info info;
        JADE_TRY(jade_database_info(list[i], &c->arena, &info, err));
        if (info.state != JADE_DATABASE_DELETED) {
            JADE_TRY(out_database(c, list[i], &info, err));
            n_alive++;
        }
    }
    jade_out_array_end(&c->out);
    jade_out_key_u64(&c->out, "count", n_alive);
    jade_out_object_end(&c->out);
out:
    for (size_t i = 0; i < n; i++) {
        jade_database_unref(list[i]);
    }
    jade_free(list);
    return rc;
}

jade_code jadei_databases_get(struct jadei_call *c, struct jade_err *err)
{
    jade_code rc = jadei_call_database(c, err);
    return rc == JADE_OK ? reply_database(c, 200, "database", err) : rc;
}

static struct jade_database_spec spec_of(const struct jade_database_info *info)
{
    struct jade_database_spec spec = jade_database_spec_default();
    spec.name = info->name;
    spec.description = info->description;
    spec.dimension = info->dimension;
    spec.metric = info->metric;
    spec.index = info->index;
    spec.durability = info->durability;
    return spec;
}

jade_code jadei_databases_update(struct jadei_call *c, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_value at[F_END];
    struct jade_database_info info;
    struct jade_database_update update;
    struct jade_json now;
    uint64_t revision = 0;
    JADE_TRY(jadei_call_database(c, err));
    JADE_TRY(jadei_read_fields(c->body, fields, F_END, at, err));
    if (at[F_ID].given) {
        JADE_TRY(jadei_check_database_id(c, at[F_ID].v, err));
    }
    JADE_TRY(jadei_header_revision(c, &revision, err));
    if (at[F_IF_VERSION].given) {
        JADE_TRY(jadei_read_u64(at[F_IF_VERSION].v, "ifVersion", &revision, err));
    }
    JADE_TRY(jade_database_info(c->db, &c->arena, &info, err));
    JADE_TRY(parse_config(c, &info, &now, err));
    struct jade_database_spec spec = spec_of(&info);
    JADE_TRY(read_body(c, at, &now, &spec, err));
    /* Parts that the body does not name were taken from info: nobody may have changed them since. */
    rc = jade_database_update(c->db, &spec, revision ? revision : info.revision, &update, err);
    if (rc != JADE_OK) {
        if (rc == JADE_E_CONFLICT && revision != 0 && err->field[0] == '\0') {
            jade_err_prefix_field(err, at[F_IF_VERSION].given ? "ifVersion" : "If-Match");
        }
        goto out;
    }
    warn_of_own_fields(c, at, false);
    if (update.job_id[0] != '\0') {
        jadei_reply_location(c, (const char *[]){"operations", update.job_id, NULL});
        jadei_reply_warn(c,
                         "the index is being rebuilt by operation %s; searches use the old one "
                         "until it has finished",
                         update.job_id);
    }
    JADE_TRY(reply_database(c, update.job_id[0] ? 202 : 200,
                            update.changed ? "database updated" : "nothing to change", err));
out:
    return rc;
}

jade_code jadei_databases_delete(struct jadei_call *c, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    JADE_TRY(jadei_call_database(c, err));
    JADE_TRY(jade_node_delete(c->api->node, c->db, err));
    jadei_reply_begin(c, 200, "database deleted");
    jade_out_object(&c->out);
    jade_out_key_str(&c->out, "databaseId", jade_database_id(c->db));
    jade_out_key_bool(&c->out, "deleted", true);
    jade_out_object_end(&c->out);
out:
    return rc;
}
