/*
 * Vectors of a database: what a call asks, turned into calls of its shard. Texts become vectors here.
 */
#include <stdio.h>
#include <string.h>

#include "node/node_private.h"

static void add(atomic_uint_fast64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* ---- put ---- */

static const char VECTOR_ID[] = "vec_";
_Static_assert(sizeof VECTOR_ID - 1 + JADEI_UNIQUE_CHARS == JADE_VECTOR_ID_CHARS,
               "length of generated ids");

/** Ids for the rows that have none; randomness for all of them is fetched at once. */
static jade_code make_ids(struct jade_node *n, struct jade_row *rows, uint32_t n_rows,
                          struct jade_arena *arena, struct jade_err *err)
{
    size_t missing = 0;
    for (uint32_t i = 0; i < n_rows; i++) {
        missing += rows[i].id == NULL;
    }
    if (missing == 0) {
        return JADE_OK;
    }
    uint8_t *random = jade_arena_calloc(arena, missing, JADEI_UNIQUE_RANDOM);
    char *text = jade_arena_calloc(arena, missing, JADE_VECTOR_ID_CHARS + 1);
    if (!random || !text) {
        return jade_fail(err, JADE_E_NOMEM, "out of memory for %zu ids", missing);
    }
    jade_code rc = jade_os_random(n->os, random, missing * JADEI_UNIQUE_RANDOM, err);
    if (rc != JADE_OK) {
        return rc;
    }
    int64_t now = jade_os_wall_us(n->os);
    for (uint32_t i = 0; i < n_rows; i++) {
        if (!rows[i].id) {
            memcpy(text, VECTOR_ID, sizeof VECTOR_ID - 1);
            jadei_unique_text(now, random, text + sizeof VECTOR_ID - 1);
            rows[i].id = text;
            rows[i].id_len = JADE_VECTOR_ID_CHARS;
            text += JADE_VECTOR_ID_CHARS + 1;
            random += JADEI_UNIQUE_RANDOM;
        }
    }
    return JADE_OK;
}

/** Vectors for the rows that come as text. */
static jade_code embed_rows(struct jade_database *db, const struct jade_put *puts,
                            struct jade_row *rows, uint32_t n, const struct jade_put_opts *opts,
                            struct jade_arena *arena, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const struct jade_embed_model *model;
    size_t n_texts = 0;
    for (uint32_t i = 0; i < n; i++) {
        n_texts += !puts[i].values && puts[i].text.p;
    }
    if (n_texts == 0) {
        return JADE_OK;
    }
    JADE_TRY(jadei_model_for(db, opts->model_name, opts->model_version, &model, err));
    float *vectors = jade_arena_alloc(arena, n_texts * db->dimension * sizeof *vectors);
    if (!vectors) {
        return jade_fail(err, JADE_E_NOMEM, "out of memory for the vectors of %zu texts", n_texts);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!puts[i].values && puts[i].text.p) {
            char field[40];
            (void)snprintf(field, sizeof field, "vectors[%u].text", i);
            JADE_TRY(jadei_embed_one(model, puts[i].text, vectors, field, err));
            rows[i].values = vectors;
            rows[i].dim = db->dimension;
            vectors += db->dimension;
        }
    }
    add(&db->n_texts, n_texts);
    add(&db->node->n_texts, n_texts);
    JADE_TRY(
        jadei_model_claim(db, jade_embed_model_name(model), jade_embed_model_version(model), err));
out:
    return rc;
}

/** The rows as the shard takes them. */
static jade_code make_rows(struct jade_database *db, const struct jade_put *puts, uint32_t n,
                           const struct jade_put_opts *opts, struct jade_arena *arena,
                           struct jade_row **rows_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_row *rows = jade_arena_calloc(arena, n, sizeof *rows);
    *rows_out = rows;
    if (!rows) {
        return jade_fail(err, JADE_E_NOMEM, "out of memory for %u vectors", n);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!puts[i].values && !puts[i].text.p) {
            char field[40];
            (void)snprintf(field, sizeof field, "vectors[%u].values", i);
            return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, field,
                                   "missing; expected %u numbers", db->dimension);
        }
        rows[i] = (struct jade_row){.id = puts[i].id,
                                    .id_len = puts[i].id_len,
                                    .values = puts[i].values,
                                    .dim = puts[i].dim,
                                    .metadata = puts[i].metadata,
                                    .metadata_len = puts[i].metadata_len};
    }
    JADE_TRY(make_ids(db->node, rows, n, arena, err));
    JADE_TRY(embed_rows(db, puts, rows, n, opts, arena, err));
    if (opts->model_name && opts->model_name[0]) {
        JADE_TRY(jadei_model_claim(db, opts->model_name, opts->model_version, err));
    }
out:
    return rc;
}

static enum jade_durability durability_of(struct jade_database *db, enum jade_durability asked)
{
    if (asked != JADE_DURABILITY_DEFAULT) {
        return asked;
    }
    jade_mutex_lock(&db->mutex);
    enum jade_durability own = db->row.durability; /* the shard's may be an older one */
    jade_mutex_unlock(&db->mutex);
    return own;
}

static jade_code copy_results(const struct jade_row *rows, const struct jade_row_result *from,
                              uint32_t n, struct jade_arena *arena, struct jade_put_result *to,
                              struct jade_err *err)
{
    for (uint32_t i = 0; i < n; i++) {
        to[i] =
            (struct jade_put_result){.id = jade_arena_strndup(arena, rows[i].id, rows[i].id_len),
                                     .id_len = rows[i].id_len,
                                     .version = from[i].version,
                                     .created = from[i].created};
        if (!to[i].id) {
            return jade_fail(err, JADE_E_NOMEM, "out of memory for %u ids", n);
        }
    }
    return JADE_OK;
}

jade_code jade_database_put(struct jade_database *db, const struct jade_put *puts, uint32_t n,
                            const struct jade_put_opts *opts, struct jade_arena *arena,
                            struct jade_put_result **results_out,
                            struct jade_write_result *write_out, struct jade_err *err)
{
    struct jade_shard *shard;
    struct jade_row *rows;
    struct jade_row_result *row_results;
    struct jade_put_result *results;
    *results_out = NULL;
    *write_out = (struct jade_write_result){.n_created = 0};
    if (n < 1 || n > JADE_BATCH_ROWS_MAX) {
        return jade_fail_field(err, n ? JADE_E_TOO_LARGE : JADE_E_INVALID_ARGUMENT, "vectors",
                               "%u vectors, expected 1 to %u", n, JADE_BATCH_ROWS_MAX);
    }
    jade_code rc = jadei_use_begin(db, &shard, err);
    if (rc != JADE_OK) {
        return rc;
    }
    JADE_TRY(make_rows(db, puts, n, opts, arena, &rows, err));
    row_results = jade_arena_calloc(arena, n, sizeof *row_results);
    results = jade_arena_calloc(arena, n, sizeof *results);
    if (!row_results || !results) { /* after the write it would be too late to fail */
        rc = jade_fail(err, JADE_E_NOMEM, "out of memory for %u results", n);
        goto out;
    }
    JADE_TRY(copy_results(rows, row_results, n, arena, results, err));
    struct jade_write_opts write = {.mode = opts->mode,
                                    .durability = durability_of(db, opts->durability)};
    JADE_TRY(jade_shard_upsert(shard, rows, n, &write, write_out, row_results, err));
    for (uint32_t i = 0; i < n; i++) {
        results[i].version = row_results[i].version;
        results[i].created = row_results[i].created;
    }
    add(&db->n_writes, 1);
    add(&db->n_rows_written, n);
    add(&db->node->n_writes, 1);
    *results_out = results;
out:
    return jadei_use_end(db, rc);
}

/* ---- delete, get, count ---- */

jade_code jade_database_delete_ids(struct jade_database *db, const char *const *ids,
                                   const uint32_t *id_lens, uint32_t n,
                                   enum jade_durability durability,
                                   struct jade_write_result *write_out, struct jade_err *err)
{
    struct jade_shard *shard;
    *write_out = (struct jade_write_result){.n_deleted = 0};
    jade_code rc = jadei_use_begin(db, &shard, err);
    if (rc != JADE_OK) {
        return rc;
    }
    struct jade_write_opts write = {.durability = durability_of(db, durability)};
    rc = jade_shard_delete(shard, ids, id_lens, n, &write, write_out, err);
    if (rc == JADE_OK) {
        add(&db->n_writes, 1);
        add(&db->n_rows_deleted, write_out->n_deleted);
        add(&db->node->n_writes, 1);
    }
    return jadei_use_end(db, rc);
}

jade_code jade_database_get(struct jade_database *db, const char *id, uint32_t id_len,
                            unsigned with, struct jade_arena *arena, struct jade_record *out,
                            struct jade_err *err)
{
    struct jade_shard *shard;
    jade_code rc = jadei_use_begin(db, &shard, err);
    if (rc != JADE_OK) {
        return rc;
    }
    rc = jade_shard_get(shard, id, id_len, with, JADE_LSN_NONE, arena, out, err);
    if (rc == JADE_E_NOT_FOUND) {
        rc = jade_fail_field(err, JADE_E_NOT_FOUND, "vectorId", "no vector has the id \"%.*s\"",
                             (int)(id_len < 128 ? id_len : 128), id);
    }
    add(&db->n_gets, 1);
    (void)jadei_use_end(db, rc == JADE_E_NOT_FOUND ? JADE_OK : rc); /* an answer, not a fault */
    return rc;
}

jade_code jade_database_count(struct jade_database *db, const struct jade_filter *filter,
                              uint64_t *n_out, struct jade_err *err)
{
    struct jade_shard *shard;
    *n_out = 0;
    jade_code rc = jadei_use_begin(db, &shard, err);
    if (rc != JADE_OK) {
        return rc;
    }
    return jadei_use_end(db, jade_shard_count(shard, filter, JADE_LSN_NONE, n_out, err));
}

/* ---- search ---- */

/** The query vector of a search by text. */
static jade_code vector_of_text(struct jade_database *db, const struct jade_find *q,
                                struct jade_arena *arena, struct jade_search *s,
                                struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const struct jade_embed_model *model;
    JADE_TRY(jadei_model_for(db, q->model_name, q->model_version, &model, err));
    float *vector = jade_arena_alloc(arena, db->dimension * sizeof *vector);
    if (!vector) {
        return jade_fail(err, JADE_E_NOMEM, "out of memory for a query vector");
    }
    JADE_TRY(jadei_embed_one(model, q->text, vector, "text", err));
    add(&db->n_texts, 1);
    add(&db->node->n_texts, 1);
    s->vector = vector;
    s->dim = db->dimension;
out:
    return rc;
}

/** The query vector of a search by id, and room for the vector itself among the hits. */
static jade_code vector_of_id(struct jade_shard *shard, const struct jade_find *q,
                              struct jade_arena *arena, struct jade_search *s, struct jade_err *err)
{
    struct jade_record record;
    if (!q->include_self && q->k >= JADE_TOPK_MAX) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "topK",
                               "%u; expected 1..%u when searching by id", q->k, JADE_TOPK_MAX - 1);
    }
    jade_code rc = jade_shard_get(shard, q->id, q->id_len, JADE_WITH_VALUES, JADE_LSN_NONE, arena,
                                  &record, err);
    if (rc == JADE_E_NOT_FOUND) {
        return jade_fail_field(err, JADE_E_NOT_FOUND, "id", "no vector has the id \"%.*s\"",
                               (int)(q->id_len < 128 ? q->id_len : 128), q->id);
    }
    if (rc == JADE_OK) {
        s->vector = record.values;
        s->dim = jade_shard_config(shard)->dim;
        s->k = q->include_self || q->k == 0 ? q->k : q->k + 1;
    }
    return rc;
}

/** Takes the vector that was searched by out of the hits, and what is too many. */
static void leave_out_self(const struct jade_find *q, struct jade_find_result *out)
{
    for (uint32_t i = 0; i < out->n; i++) {
        const struct jade_record *r = &out->hits[i].record;
        if (r->id_len == q->id_len && memcmp(r->id, q->id, q->id_len) == 0) {
            memmove(&out->hits[i], &out->hits[i + 1], (out->n - i - 1) * sizeof *out->hits);
            out->n--;
            break;
        }
    }
    out->n = out->n < q->k ? out->n : q->k;
}

static jade_code find_vector(struct jade_database *db, struct jade_shard *shard,
                             const struct jade_find *q, struct jade_arena *arena,
                             struct jade_search *s, struct jade_err *err)
{
    switch (q->by) {
    case JADE_FIND_TEXT:
        return vector_of_text(db, q, arena, s, err);
    case JADE_FIND_ID:
        return vector_of_id(shard, q, arena, s, err);
    case JADE_FIND_VECTOR:
        break;
    }
    s->vector = q->vector;
    s->dim = q->dim;
    return JADE_OK;
}

static uint32_t effort_of(struct jade_database *db, uint32_t asked)
{
    if (asked != 0) {
        return asked;
    }
    jade_mutex_lock(&db->mutex);
    uint32_t own = db->row.index.ef_search; /* the shard's may be an older one */
    jade_mutex_unlock(&db->mutex);
    return own;
}

jade_code jade_database_search(struct jade_database *db, const struct jade_find *q,
                               struct jade_arena *arena, struct jade_find_result *out,
                               struct jade_err *err)
{
    struct jade_shard *shard;
    struct jade_os *os = db->node->os;
    *out = (struct jade_find_result){.n = 0};
    jade_code rc = jadei_use_begin(db, &shard, err);
    if (rc != JADE_OK) {
        return rc;
    }
    struct jade_search s = {.k = q->k,
                            .ef = effort_of(db, q->ef),
                            .exact = q->exact,
                            .has_threshold = q->has_threshold,
                            .threshold = q->threshold,
                            .filter = q->filter,
                            .with = q->with,
                            .at = JADE_LSN_NONE};
    uint64_t begun = jade_os_mono_us(os);
    JADE_TRY(find_vector(db, shard, q, arena, &s, err));
    uint64_t embedded = jade_os_mono_us(os);
    JADE_TRY(jade_shard_search(shard, &s, arena, &out->hits, &out->n, &out->info, err));
    out->embed_us = embedded - begun;
    out->search_us = jade_os_mono_us(os) - embedded;
    if (q->by == JADE_FIND_ID && !q->include_self) {
        leave_out_self(q, out);
    }
    add(&db->n_searches, 1);
    add(&db->node->n_searches, 1);
out:
    return jadei_use_end(db, rc);
}
