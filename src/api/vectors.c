/*
 * /databases/{databaseId}/vectors: store, read, replace, delete; and the batch.
 */
#include <stdio.h>
#include <string.h>

#include "api/api_private.h"

/* A single vector's errors come back as those of a batch of one. */
static void strip_batch_prefix(struct jade_err *err)
{
    static const char prefix[] = "vectors[0].";
    if (strncmp(err->field, prefix, sizeof prefix - 1) == 0) {
        memmove(err->field, err->field + sizeof prefix - 1,
                strlen(err->field + sizeof prefix - 1) + 1);
    }
}

static jade_code read_conflict(struct jadei_value v, enum jade_write_mode *mode,
                               struct jade_err *err)
{
    const char *word;
    if (!v.given) {
        return JADE_OK;
    }
    jade_code rc = jadei_read_text(v.v, "onConflict", &word, err);
    if (rc != JADE_OK) {
        return rc;
    }
    if (strcmp(word, "upsert") == 0) {
        *mode = JADE_WRITE_UPSERT;
    } else if (strcmp(word, "update") == 0) {
        *mode = JADE_WRITE_UPDATE;
    } else if (strcmp(word, "insert") == 0 || strcmp(word, "error") == 0) {
        *mode = JADE_WRITE_INSERT;
    } else {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "onConflict",
                               "\"%.64s\", expected upsert, insert, update or error", word);
    }
    return JADE_OK;
}

static jade_code put(struct jadei_call *c, const struct jadei_vectors *vectors,
                     enum jade_write_mode mode, struct jade_put_result **results_out,
                     struct jade_write_result *write_out, struct jade_err *err)
{
    struct jade_put_opts opts = {
        .mode = mode, .model_name = vectors->model.name, .model_version = vectors->model.version};
    jade_code rc = jadei_param_durability(c, &opts.durability, err);
    return rc != JADE_OK ? rc
                         : jade_database_put(c->db, vectors->puts, vectors->n, &opts, &c->arena,
                                             results_out, write_out, err);
}

static void out_result(struct jade_json_out *o, const struct jade_put_result *r)
{
    jade_out_object(o);
    jade_out_key(o, "id");
    jade_out_strn(o, r->id, r->id_len);
    jade_out_key_u64(o, "version", r->version);
    jade_out_key_bool(o, "created", r->created);
    jade_out_object_end(o);
}

static void reply_one(struct jadei_call *c, const struct jade_put_result *r)
{
    if (r->created) {
        jadei_reply_location(
            c, (const char *[]){"databases", jade_database_id(c->db), "vectors", r->id, NULL});
    }
    jadei_reply_begin(c, r->created ? 201 : 200, r->created ? "vector stored" : "vector replaced");
    out_result(&c->out, r);
}

jade_code jadei_vectors_create(struct jadei_call *c, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_value on_conflict;
    struct jadei_vectors vectors;
    struct jade_put_result *results;
    struct jade_write_result written;
    enum jade_write_mode mode = JADE_WRITE_INSERT;
    JADE_TRY(jadei_call_database(c, err));
    JADE_TRY(jadei_read_vector(c, c->body, &on_conflict, &vectors, err));
    JADE_TRY(read_conflict(on_conflict, &mode, err));
    rc = put(c, &vectors, mode, &results, &written, err);
    if (rc != JADE_OK) {
        strip_batch_prefix(err);
        goto out;
    }
    reply_one(c, &results[0]);
out:
    return rc;
}

jade_code jadei_vectors_put(struct jadei_call *c, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_vectors vectors;
    struct jade_put_result *results;
    struct jade_write_result written;
    bool upsert = false;
    JADE_TRY(jadei_call_database(c, err));
    JADE_TRY(jadei_param_bool(c, "upsert", &upsert, err));
    JADE_TRY(jadei_read_vector(c, c->body, NULL, &vectors, err));
    struct jade_put *one = &vectors.puts[0];
    const struct jadei_text *id = &c->path[1];
    if (one->id && (one->id_len != id->n || memcmp(one->id, id->p, id->n) != 0)) {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "id",
                             "another id than that of the path, which is \"%.128s\"", id->p);
        goto out;
    }
    if (memchr(id->p, '\0', id->n)) {
        rc =
            jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "vectorId", "holds the character U+0000");
        goto out;
    }
    one->id = id->p;
    one->id_len = (uint32_t)id->n;
    rc = put(c, &vectors, upsert ? JADE_WRITE_UPSERT : JADE_WRITE_UPDATE, &results, &written, err);
    if (rc != JADE_OK) {
        strip_batch_prefix(err);
        if (strcmp(err->field, "id") == 0) { /* the one of the path */
            snprintf(err->field, sizeof err->field, "vectorId");
        }
        goto out;
    }
    reply_one(c, &results[0]);
out:
    return rc;
}

jade_code jadei_vectors_batch(struct jadei_call *c, struct jade_err *err)
{
    enum { VECTORS, ON_CONFLICT, ATOMIC, MODEL, DATABASE, N };
    static const struct jadei_field fields[N] = {
        JADEI_FIELD("vectors"), JADEI_FIELD("onConflict"), JADEI_FIELD("atomic"),
        JADEI_FIELD("embeddingModel"), JADEI_FIELD("databaseId")};
    jade_code rc = JADE_OK;
    struct jadei_value at[N];
    struct jadei_vectors vectors = {.n = 0};
    struct jade_put_result *results;
    struct jade_write_result written;
    enum jade_write_mode mode = JADE_WRITE_UPSERT;
    bool atomic = true;
    JADE_TRY(jadei_call_database(c, err));
    JADE_TRY(jadei_read_fields(c->body, fields, N, at, err));
    JADE_TRY(read_conflict(at[ON_CONFLICT], &mode, err));
    if (at[ATOMIC].given) {
        JADE_TRY(jadei_read_bool(at[ATOMIC].v, "atomic", &atomic, err));
    }
    if (!atomic) {
        rc = jade_fail_field(err, JADE_E_NOT_SUPPORTED_YET, "atomic",
                             "false; in this build a batch is stored whole or not at all");
        goto out;
    }
    if (at[DATABASE].given) {
        JADE_TRY(jadei_check_database_id(c, at[DATABASE].v, err));
    }
    if (at[MODEL].given) {
        JADE_TRY(jadei_read_model(c, at[MODEL].v, "embeddingModel", &vectors.model, err));
    }
    if (!at[VECTORS].given) {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "vectors",
                             "missing, expected an array of vectors");
        goto out;
    }
    JADE_TRY(jadei_read_vectors(c, at[VECTORS].v, &vectors, err));
    JADE_TRY(put(c, &vectors, mode, &results, &written, err));
    jadei_reply_begin(c, 200, "batch stored");
    jade_out_object(&c->out);
    jade_out_key_u64(&c->out, "count", vectors.n);
    jade_out_key_u64(&c->out, "created", written.n_created);
    jade_out_key_u64(&c->out, "updated", written.n_updated);
    jade_out_key(&c->out, "results");
    jade_out_array(&c->out);
    for (uint32_t i = 0; i < vectors.n; i++) {
        out_result(&c->out, &results[i]);
    }
    jade_out_array_end(&c->out);
    jade_out_object_end(&c->out);
out:
    return rc;
}

jade_code jadei_vectors_get(struct jadei_call *c, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    bool values = true, metadata = true;
    struct jade_record record;
    struct jade_database_info info;
    const struct jadei_text *id = &c->path[1];
    JADE_TRY(jadei_call_database(c, err));
    JADE_TRY(jadei_param_bool(c, "includeValues", &values, err));
    JADE_TRY(jadei_param_bool(c, "includeMetadata", &metadata, err));
    unsigned with =
        (values ? (unsigned)JADE_WITH_VALUES : 0u) | (metadata ? (unsigned)JADE_WITH_METADATA : 0u);
    JADE_TRY(jade_database_get(c->db, id->p, (uint32_t)id->n, with, &c->arena, &record, err));
    JADE_TRY(jade_database_info(c->db, &c->arena, &info, err));
    jadei_reply_begin(c, 200, "vector");
    jadei_out_vector(&c->out, &record, &info);
out:
    return rc;
}

jade_code jadei_vectors_delete(struct jadei_call *c, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    enum jade_durability durability;
    struct jade_write_result written;
    const char *id = c->path[1].p;
    uint32_t n = (uint32_t)c->path[1].n;
    JADE_TRY(jadei_call_database(c, err));
    JADE_TRY(jadei_param_durability(c, &durability, err));
    JADE_TRY(jade_database_delete_ids(c->db, &id, &n, 1, durability, &written, err));
    if (written.n_deleted == 0) {
        rc = jade_fail_field(err, JADE_E_NOT_FOUND, "vectorId", "no vector of this id");
        goto out;
    }
    jadei_reply_begin(c, 200, "vector deleted");
    jade_out_object(&c->out);
    jade_out_key(&c->out, "id");
    jade_out_strn(&c->out, id, n);
    jade_out_key_bool(&c->out, "deleted", true);
    jade_out_object_end(&c->out);
out:
    return rc;
}
