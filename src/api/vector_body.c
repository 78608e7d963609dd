/*
 * A vector object (example 1 of the specification) in and out. This is the path of ingest: numbers go from the parsed text into the
 * request's arena in one pass, metadata into one buffer, and field names of errors are made only when there is one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/api_private.h"

enum field {
    F_ID,
    F_VALUES,
    F_METADATA,
    F_TEXT,
    F_MODEL,
    F_INDEX,
    F_SHARD,
    F_REPLICAS,
    F_DELETED,
    F_VERSION,
    F_CREATED,
    F_UPDATED,
    F_VALUES_B64,
    F_SPARSE,
    F_NAMED,
    F_IF_VERSION,
    F_ON_CONFLICT, /* of a single vector only: last, so that a batch can leave it out */
    F_END
};
static const struct jadei_field fields[F_END] = {
    [F_ID] = JADEI_FIELD("id"),
    [F_VALUES] = JADEI_FIELD("values"),
    [F_METADATA] = JADEI_FIELD("metadata"),
    [F_TEXT] = JADEI_FIELD("text"),
    [F_MODEL] = JADEI_FIELD("embeddingModel"),
    [F_INDEX] = JADEI_FIELD("index"),
    [F_SHARD] = JADEI_FIELD("shard"),
    [F_REPLICAS] = JADEI_FIELD("replicas"),
    [F_DELETED] = JADEI_FIELD("deleted"),
    [F_VERSION] = JADEI_FIELD("version"),
    [F_CREATED] = JADEI_FIELD("createdAt"),
    [F_UPDATED] = JADEI_FIELD("updatedAt"),
    [F_VALUES_B64] = JADEI_FIELD_YET("valuesB64", "this build reads numbers as JSON"),
    [F_SPARSE] = JADEI_FIELD_YET("sparse", "this build stores dense vectors"),
    [F_NAMED] = JADEI_FIELD_YET("vectors", "this build stores one vector a record"),
    [F_IF_VERSION] = JADEI_FIELD_YET("ifVersion", "this build compares versions of databases only"),
    [F_ON_CONFLICT] = JADEI_FIELD("onConflict"),
};
#define SHARD "shard_00"

/* What every vector of a body is read against. */
struct context {
    struct jadei_call *c;
    uint32_t dim;
    const struct jadei_schema *schema;
    size_t n_fields;
    struct jadei_model model;
    bool has_info;
    struct jade_database_info info; /* when has_info */
};

/* ---- rare members: what they say must be so already ---- */

static jade_code check_index(struct context *x, struct jade_json v, struct jade_err *err)
{
    static const struct jadei_field members[] = {JADEI_FIELD("type"), JADEI_FIELD("parameters"),
                                                 JADEI_FIELD("version")};
    struct jadei_value at[3];
    jade_code rc = JADE_OK;
    if (!x->has_info) {
        JADE_TRY(jade_database_info(x->c->db, &x->c->arena, &x->info, err));
        x->has_info = true;
    }
    struct jade_index_params params = x->info.index;
    JADE_TRY(jadei_read_fields(v, members, 3, at, err));
    if (at[0].given) {
        JADE_TRY(jadei_read_index_type(at[0].v, "type", &params, err));
    }
    if (at[1].given) {
        rc = jadei_read_index_parameters(at[1].v, &params, err);
        if (rc != JADE_OK) {
            jade_err_prefix_field(err, "parameters");
            goto out;
        }
    }
    if (params.kind != x->info.index.kind || params.m != x->info.index.m ||
        params.ef_construction != x->info.index.ef_construction ||
        params.ef_search != x->info.index.ef_search) {
        rc = jade_fail_field(err, JADE_E_UNPROCESSABLE, "",
                             "another index than the database's, which is set by PUT "
                             "…/indexes/{indexId}");
        goto out;
    }
    if (at[2].given) {
        jadei_reply_warn(x->c, "index.version: kept by the server; the value sent was not used");
    }
out:
    if (rc != JADE_OK) {
        jade_err_prefix_field(err, "index");
    }
    return rc;
}

static jade_code check_place(const struct jadei_value *at, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    if (at[F_SHARD].given) {
        const char *shard;
        JADE_TRY(jadei_read_text(at[F_SHARD].v, "shard", &shard, err));
        if (strcmp(shard, SHARD) != 0) {
            rc = jade_fail_field(err, JADE_E_NOT_SUPPORTED_YET, "shard",
                                 "\"%.64s\"; this build keeps a database in " SHARD, shard);
            goto out;
        }
    }
    if (at[F_REPLICAS].given) {
        JADE_TRY(jadei_read_type(at[F_REPLICAS].v, JADE_JSON_ARRAY, "replicas", err));
        if (jade_json_count(at[F_REPLICAS].v) > 0) {
            rc = jade_fail_field(err, JADE_E_NOT_SUPPORTED_YET, "replicas",
                                 "%zu; this build keeps one copy",
                                 jade_json_count(at[F_REPLICAS].v));
            goto out;
        }
    }
    if (at[F_DELETED].given) {
        bool deleted;
        JADE_TRY(jadei_read_bool(at[F_DELETED].v, "deleted", &deleted, err));
        if (deleted) {
            rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "deleted",
                                 "true, expected false; DELETE removes a vector");
        }
    }
out:
    return rc;
}

/* One model a request: it decides about the whole batch. */
static jade_code take_model(struct context *x, struct jade_json v, struct jade_err *err)
{
    struct jadei_model m;
    jade_code rc = jadei_read_model(x->c, v, "embeddingModel", &m, err);
    if (rc != JADE_OK) {
        return rc;
    }
    bool other = x->model.name &&
                 (strcmp(x->model.name, m.name) != 0 ||
                  (x->model.version && m.version && strcmp(x->model.version, m.version) != 0));
    if (other) {
        return jade_fail_field(err, JADE_E_UNPROCESSABLE, "embeddingModel",
                               "another model than that of a vector before it");
    }
    x->model.name = m.name;
    x->model.version = m.version ? m.version : x->model.version;
    return JADE_OK;
}

static jade_code read_rare(struct context *x, const struct jadei_value *at, struct jade_err *err)
{
    static const enum field own[] = {F_VERSION, F_CREATED, F_UPDATED};
    jade_code rc = JADE_OK;
    if (at[F_INDEX].given) {
        JADE_TRY(check_index(x, at[F_INDEX].v, err));
    }
    if (at[F_MODEL].given) {
        JADE_TRY(take_model(x, at[F_MODEL].v, err));
    }
    JADE_TRY(check_place(at, err));
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (at[own[i]].given) {
            jadei_reply_warn(x->c, "%s: kept by the server; the value sent was not used",
                             fields[own[i]].name);
        }
    }
out:
    return rc;
}

/* ---- one vector ---- */

static jade_code read_values(struct context *x, struct jade_json v, struct jade_put *put,
                             struct jade_err *err)
{
    float *values = NULL; /* of another length: refused before anything is written */
    if (jade_json_type(v) == JADE_JSON_ARRAY && jade_json_count(v) == x->dim) {
        values = jade_arena_alloc(&x->c->arena, x->dim * sizeof *values);
        if (!values) {
            return jade_fail(err, JADE_E_NOMEM, "out of memory for a vector");
        }
    }
    put->values = values;
    put->dim = x->dim;
    return jade_json_f32(v, values, x->dim, "values", err);
}

/* Appends the minified text to c->scratch; put->metadata is set when all are there, since the buffer moves while it grows. */
static jade_code read_metadata(struct context *x, struct jade_json v, struct jade_put *put,
                               struct jade_err *err)
{
    jade_code rc = jadei_read_type(v, JADE_JSON_OBJECT, "metadata", err);
    if (rc != JADE_OK) {
        return rc;
    }
    size_t depth = jade_json_depth(v);
    if (depth > JADE_METADATA_DEPTH_MAX) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "metadata",
                               "%zu levels deep, expected at most %u", depth,
                               JADE_METADATA_DEPTH_MAX);
    }
    size_t before = x->c->scratch.len;
    jade_json_write(v, &x->c->scratch);
    size_t n = x->c->scratch.len - before;
    if (n > JADE_METADATA_BYTES_DEFAULT) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "metadata",
                               "%zu bytes, expected at most %u", n, JADE_METADATA_BYTES_DEFAULT);
    }
    put->metadata_len = (uint32_t)n;
    return jade_buf_status(&x->c->scratch, err);
}

static jade_code read_one(struct context *x, struct jade_json v, struct jade_put *put,
                          struct jadei_value *on_conflict_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_value at[F_END];
    JADE_TRY(jadei_read_fields(v, fields, x->n_fields, at, err));
    if (on_conflict_out) {
        *on_conflict_out = at[F_ON_CONFLICT];
    }
    if (at[F_ID].given) {
        JADE_TRY(jadei_read_id(at[F_ID].v, "id", &x->c->arena, &put->id, &put->id_len, err));
    }
    if (at[F_VALUES].given && at[F_TEXT].given) {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "text",
                             "given beside values, expected one of them");
        goto out;
    }
    if (at[F_VALUES].given) {
        JADE_TRY(read_values(x, at[F_VALUES].v, put, err));
    } else if (at[F_TEXT].given) {
        JADE_TRY(jadei_read_string(at[F_TEXT].v, "text", &put->text, err));
    } else {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "values",
                             "missing, expected an array of %u numbers (or text)", x->dim);
        goto out;
    }
    JADE_TRY(read_rare(x, at, err));
    if (at[F_METADATA].given) {
        JADE_TRY(read_metadata(x, at[F_METADATA].v, put, err));
        JADE_TRY(jadei_schema_accepts(x->schema, at[F_METADATA], err));
    }
out:
    return rc;
}

static jade_code begin(struct jadei_call *c, uint32_t n, bool single, struct context *x,
                       struct jadei_vectors *out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    *x = (struct context){.c = c,
                          .dim = jade_database_dimension(c->db),
                          .n_fields = single ? F_END : F_ON_CONFLICT,
                          .model = out->model};
    out->n = n;
    out->puts = jade_arena_calloc(&c->arena, n, sizeof *out->puts);
    if (!out->puts) {
        return jade_fail(err, JADE_E_NOMEM, "out of memory for %u vectors", n);
    }
    JADE_TRY(jadei_schema_of(c, &x->schema, err));
out:
    return rc;
}

static void end(const struct context *x, struct jadei_vectors *out)
{
    const char *metadata = (const char *)x->c->scratch.data;
    out->model = x->model;
    for (uint32_t i = 0; i < out->n; i++) {
        if (out->puts[i].metadata_len > 0) {
            out->puts[i].metadata = metadata;
            metadata += out->puts[i].metadata_len;
        }
    }
}

jade_code jadei_read_vector(struct jadei_call *c, struct jade_json v,
                            struct jadei_value *on_conflict_out, struct jadei_vectors *out,
                            struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct context x;
    *out = (struct jadei_vectors){.n = 0};
    JADE_TRY(begin(c, 1, on_conflict_out != NULL, &x, out, err));
    JADE_TRY(read_one(&x, v, &out->puts[0], on_conflict_out, err));
    end(&x, out);
out:
    return rc;
}

jade_code jadei_read_vectors(struct jadei_call *c, struct jade_json list, struct jadei_vectors *out,
                             struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct context x;
    struct jade_json_iter it = {0};
    struct jade_json v;
    JADE_TRY(jadei_read_type(list, JADE_JSON_ARRAY, "vectors", err));
    size_t n = jade_json_count(list);
    if (n < 1) {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "vectors", "empty, expected at least 1");
        goto out;
    }
    if (n > JADE_BATCH_ROWS_MAX) {
        rc = jade_fail_field(err, JADE_E_TOO_LARGE, "vectors", "%zu vectors, expected at most %u",
                             n, JADE_BATCH_ROWS_MAX);
        goto out;
    }
    JADE_TRY(begin(c, (uint32_t)n, false, &x, out, err));
    for (uint32_t i = 0; jade_json_array_next(list, &it, &v); i++) {
        rc = read_one(&x, v, &out->puts[i], NULL, err);
        if (rc != JADE_OK) {
            char prefix[32];
            snprintf(prefix, sizeof prefix, "vectors[%" PRIu32 "]", i);
            jade_err_prefix_field(err, prefix);
            goto out;
        }
    }
    end(&x, out);
out:
    return rc;
}

/* ---- out ---- */

void jadei_out_vector(struct jade_json_out *o, const struct jade_record *r,
                      const struct jade_database_info *info)
{
    jade_out_object(o);
    jade_out_key(o, "id");
    jade_out_strn(o, r->id, r->id_len);
    if (r->values) {
        jade_out_key(o, "values");
        jade_out_f32_array(o, r->values, info->dimension);
    }
    if (r->metadata) {
        jade_out_key(o, "metadata");
        jade_out_raw(o, r->metadata, r->metadata_len);
    }
    jade_out_key(o, "index");
    jade_out_object(o);
    jade_out_key_str(o, "type", jadei_index_type_name(info->index.kind));
    jade_out_key(o, "parameters");
    jadei_out_index_parameters(o, &info->index);
    jade_out_object_end(o);
    if (info->model_name[0] != '\0') {
        jade_out_key(o, "embedding_model");
        jade_out_object(o);
        jade_out_key_str(o, "name", info->model_name);
        if (info->model_version[0] != '\0') {
            jade_out_key_str(o, "version", info->model_version);
        }
        jade_out_key_str(o, "provider", "jadevectordb");
        jade_out_key_str(o, "input_type", "text");
        jade_out_object_end(o);
    }
    jade_out_key_str(o, "shard", SHARD);
    jade_out_key(o, "replicas");
    jade_out_array(o);
    jade_out_array_end(o);
    jade_out_key_u64(o, "version", r->version);
    jade_out_key_bool(o, "deleted", false);
    jade_out_key(o, "created_at");
    jade_out_time(o, r->created_us);
    jade_out_key(o, "updated_at");
    jade_out_time(o, r->updated_us);
    jade_out_object_end(o);
}
