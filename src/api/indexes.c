/*
 * /databases/{databaseId}/indexes: the one index of a database (example 3 of the specification). Its id is that of the database with
 * "idx_" in front; it comes and goes with the database.
 */
#include <stdio.h>
#include <string.h>

#include "api/api_private.h"

enum field { F_ID, F_DATABASE, F_TYPE, F_PARAMETERS, F_STATUS, F_CREATED, F_UPDATED, F_END };
static const struct jadei_field fields[F_END] = {
    [F_ID] = JADEI_FIELD("indexId"),        [F_DATABASE] = JADEI_FIELD("databaseId"),
    [F_TYPE] = JADEI_FIELD("type"),         [F_PARAMETERS] = JADEI_FIELD("parameters"),
    [F_STATUS] = JADEI_FIELD("status"),     [F_CREATED] = JADEI_FIELD("createdAt"),
    [F_UPDATED] = JADEI_FIELD("updatedAt"),
};

/* ---- shared with other nouns ---- */

const char *jadei_index_type_name(enum jade_index_kind kind)
{
    return kind == JADE_INDEX_FLAT ? "FLAT" : "HNSW";
}

void jadei_index_id(const char *database_id, char out[JADEI_INDEX_ID_SIZE])
{
    const char *bar = strchr(database_id, '_');
    snprintf(out, JADEI_INDEX_ID_SIZE, "idx_%.*s", JADEI_INDEX_ID_SIZE - 5,
             bar ? bar + 1 : database_id);
}

void jadei_out_index_parameters(struct jade_json_out *o, const struct jade_index_params *p)
{
    jade_out_object(o);
    if (p->kind == JADE_INDEX_HNSW) {
        jade_out_key_u64(o, "M", p->m);
        jade_out_key_u64(o, "efConstruction", p->ef_construction);
        jade_out_key_u64(o, "efSearch", p->ef_search);
    }
    jade_out_object_end(o);
}

void jadei_out_index(struct jade_json_out *o, const struct jade_database_info *info)
{
    char id[JADEI_INDEX_ID_SIZE];
    jadei_index_id(info->id, id);
    jade_out_object(o);
    jade_out_key_str(o, "indexId", id);
    jade_out_key_str(o, "databaseId", info->id);
    jade_out_key_str(o, "type", jadei_index_type_name(info->index.kind));
    jade_out_key(o, "parameters");
    jadei_out_index_parameters(o, &info->index);
    jade_out_key_str(o, "status",
                     info->state == JADE_DATABASE_DAMAGED ? "damaged"
                     : info->rebuild_pending              ? "rebuilding"
                                                          : "ready");
    jade_out_key(o, "created_at");
    jade_out_time(o, info->created_us);
    jade_out_key(o, "updated_at");
    jade_out_time(o, info->updated_us);
    jade_out_object_end(o);
}

jade_code jadei_read_index_parameters(struct jade_json v, struct jade_index_params *p,
                                      struct jade_err *err)
{
    static const struct jadei_field members[] = {
        JADEI_FIELD("M"), JADEI_FIELD("efConstruction"), JADEI_FIELD("efSearch"),
        JADEI_FIELD_YET("nlist", "this build has hnsw and flat"),
        JADEI_FIELD_YET("nprobe", "this build has hnsw and flat")};
    struct jadei_value at[JADEI_FIELDS_COUNT(members)];
    jade_code rc = JADE_OK;
    JADE_TRY(jadei_read_fields(v, members, JADEI_FIELDS_COUNT(members), at, err));
    for (unsigned i = 0; i < 3 && p->kind == JADE_INDEX_FLAT; i++) {
        if (at[i].given) {
            rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, members[i].name,
                                 "given, but a flat index has no parameters");
            goto out;
        }
    }
    if (at[0].given) {
        JADE_TRY(jadei_read_u32(at[0].v, "M", JADE_M_MIN, JADE_M_MAX, &p->m, err));
    }
    if (at[1].given) {
        JADE_TRY(jadei_read_u32(at[1].v, "efConstruction", 1, JADE_EF_CONSTRUCTION_MAX,
                                &p->ef_construction, err));
    }
    if (at[2].given) {
        JADE_TRY(jadei_read_u32(at[2].v, "efSearch", 1, JADE_EF_MAX, &p->ef_search, err));
    }
out:
    return rc;
}

jade_code jadei_read_index_type(struct jade_json v, const char *field, struct jade_index_params *p,
                                struct jade_err *err)
{
    struct jade_str word;
    enum jade_index_kind kind;
    jade_code rc = jadei_read_string(v, field, &word, err);
    if (rc != JADE_OK) {
        return rc;
    }
    rc = jade_index_kind_parse(word.p, word.n, &kind, err);
    if (rc != JADE_OK) {
        snprintf(err->field, sizeof err->field, "%s", field);
        return rc;
    }
    p->kind = kind; /* the other parameters stay: a flat index keeps them for a later graph */
    return JADE_OK;
}

jade_code jadei_check_database_id(struct jadei_call *c, struct jade_json v, struct jade_err *err)
{
    struct jade_str word;
    struct jade_database *named = NULL;
    jade_code rc = jadei_read_string(v, "databaseId", &word, err);
    if (rc != JADE_OK) {
        return rc;
    }
    rc = jade_node_find(c->api->node, word.p, word.n, &named, err);
    bool other = rc == JADE_OK && strcmp(jade_database_id(named), jade_database_id(c->db)) != 0;
    jade_database_unref(named);
    if (other) {
        return jade_fail_field(err, JADE_E_UNPROCESSABLE, "databaseId",
                               "\"%.128s\" is another database than that of the path", word.p);
    }
    return rc;
}

/* ---- handlers ---- */

/* Info of the path's database; the path's index, if it names one, must be its own. */
static jade_code find(struct jadei_call *c, bool named, struct jade_database_info *info,
                      struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char id[JADEI_INDEX_ID_SIZE];
    JADE_TRY(jadei_call_database(c, err));
    JADE_TRY(jade_database_info(c->db, &c->arena, info, err));
    jadei_index_id(info->id, id);
    if (named && strcmp(c->path[1].p, id) != 0) {
        rc = jade_fail_field(err, JADE_E_NOT_FOUND, "indexId",
                             "no index of this id; the database's is %s", id);
    }
out:
    return rc;
}

jade_code jadei_indexes_list(struct jadei_call *c, struct jade_err *err)
{
    struct jade_database_info info;
    jade_code rc = find(c, false, &info, err);
    if (rc != JADE_OK) {
        return rc;
    }
    jadei_reply_begin(c, 200, "indexes");
    jade_out_object(&c->out);
    jade_out_key(&c->out, "indexes");
    jade_out_array(&c->out);
    jadei_out_index(&c->out, &info);
    jade_out_array_end(&c->out);
    jade_out_key_u64(&c->out, "count", 1);
    jade_out_object_end(&c->out);
    return JADE_OK;
}

jade_code jadei_indexes_get(struct jadei_call *c, struct jade_err *err)
{
    struct jade_database_info info;
    jade_code rc = find(c, true, &info, err);
    if (rc == JADE_OK) {
        jadei_reply_begin(c, 200, "index");
        jadei_out_index(&c->out, &info);
    }
    return rc;
}

/* What the body asks the index to be. */
static jade_code read_body(struct jadei_call *c, const struct jade_database_info *info, bool create,
                           struct jade_index_params *params, struct jade_err *err)
{
    static const enum field own[] = {F_STATUS, F_CREATED, F_UPDATED};
    jade_code rc = JADE_OK;
    struct jadei_value at[F_END];
    char id[JADEI_INDEX_ID_SIZE];
    const char *given;
    JADE_TRY(jadei_read_fields(c->body, fields, F_END, at, err));
    jadei_index_id(info->id, id);
    if (at[F_DATABASE].given) {
        JADE_TRY(jadei_check_database_id(c, at[F_DATABASE].v, err));
    }
    if (at[F_ID].given) {
        JADE_TRY(jadei_read_text(at[F_ID].v, "indexId", &given, err));
        if (strcmp(given, id) != 0) {
            rc = jade_fail_field(err, create ? JADE_E_NOT_SUPPORTED_YET : JADE_E_INVALID_ARGUMENT,
                                 "indexId", "\"%.64s\"; this build keeps one index, which is %s",
                                 given, id);
            goto out;
        }
    }
    if (create && !at[F_TYPE].given) {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "type", "missing; expected hnsw");
        goto out;
    }
    if (at[F_TYPE].given) {
        JADE_TRY(jadei_read_index_type(at[F_TYPE].v, "type", params, err));
    }
    if (at[F_PARAMETERS].given) {
        rc = jadei_read_index_parameters(at[F_PARAMETERS].v, params, err);
        if (rc != JADE_OK) {
            jade_err_prefix_field(err, "parameters");
            goto out;
        }
    }
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (at[own[i]].given) {
            jadei_reply_warn(c, "%s: kept by the server; the value sent was not used",
                             fields[own[i]].name);
        }
    }
out:
    return rc;
}

/* 202 with the job that makes it so, or 200 when nothing has to be built. */
static jade_code change(struct jadei_call *c, const struct jade_database_info *info,
                        const struct jade_index_params *params, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_database_update update;
    struct jade_database_info after;
    struct jade_database_spec spec = jade_database_spec_default();
    spec.name = info->name;
    spec.description = info->description;
    spec.metric = info->metric;
    spec.index = *params;
    spec.durability = info->durability;
    spec.config_json = info->config_json;
    JADE_TRY(jade_database_update(c->db, &spec, info->revision, &update, err));
    if (update.job_id[0] != '\0') {
        rc = jadei_reply_job(c, update.job_id, "the index is being rebuilt", err);
        goto out;
    }
    JADE_TRY(jade_database_info(c->db, &c->arena, &after, err));
    jadei_reply_begin(c, 200, update.changed ? "index updated" : "nothing to change");
    jadei_out_index(&c->out, &after);
out:
    return rc;
}

jade_code jadei_indexes_create(struct jadei_call *c, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_database_info info;
    JADE_TRY(find(c, false, &info, err));
    struct jade_index_params params = info.index;
    JADE_TRY(read_body(c, &info, true, &params, err));
    if (info.index.kind == JADE_INDEX_HNSW && params.kind != info.index.kind) {
        rc = jade_fail_field(err, JADE_E_NOT_SUPPORTED_YET, "type",
                             "a second index; PUT changes the type of the one there is");
        goto out;
    }
    JADE_TRY(change(c, &info, &params, err));
out:
    return rc;
}

jade_code jadei_indexes_update(struct jadei_call *c, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_database_info info;
    JADE_TRY(find(c, true, &info, err));
    struct jade_index_params params = info.index;
    JADE_TRY(read_body(c, &info, false, &params, err));
    JADE_TRY(change(c, &info, &params, err));
out:
    return rc;
}

jade_code jadei_indexes_delete(struct jadei_call *c, struct jade_err *err)
{
    struct jade_database_info info;
    jade_code rc = find(c, true, &info, err);
    if (rc == JADE_OK) {
        rc = jade_fail_field(err, JADE_E_UNPROCESSABLE, "indexId",
                             "the one index of a database cannot be dropped; PUT {\"type\": "
                             "\"flat\"} does without a graph");
    }
    return rc;
}

jade_code jadei_indexes_rebuild(struct jadei_call *c, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_database_info info;
    struct jade_job job;
    struct jadei_value none;
    JADE_TRY(find(c, true, &info, err));
    if (c->has_body) {
        JADE_TRY(jadei_read_fields(c->body, NULL, 0, &none, err));
    }
    JADE_TRY(jade_database_start_job(c->db, JADE_JOB_REBUILD, &job, err));
    JADE_TRY(jadei_reply_job(c, job.id, "rebuild queued", err));
out:
    return rc;
}
