/*
 * Databases come, change and go. Each of these is one change of one catalog row; the files stand before the row is there and
 * until it is gone (folders.c), so that a stop at any step leaves either the whole database or nothing that counts.
 */
#include <stdio.h>
#include <string.h>

#include "node/node_private.h"

/* ---- rows ---- */

/** Stores a row at the revision that memory knows. `change` is held. */
static jade_code write_row(struct jade_database *db, const struct jadei_row *row,
                           struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_buf value;
    char key[JADE_DB_NAME_MAX + 16];
    uint64_t revision;
    jade_buf_init(&value, JADE_TAG_REQUEST);
    jadei_row_key(db->name, key);
    jadei_row_encode(db, row, &value);
    JADE_TRY(jade_buf_status(&value, err));
    JADE_TRY(jade_catalog_cas(db->node->catalog, key, db->revision, value.data, value.len,
                              &revision, err));
    jade_mutex_lock(&db->mutex);
    db->revision = revision;
    jade_mutex_unlock(&db->mutex);
out:
    jade_buf_release(&value);
    return rc;
}

jade_code jadei_row_store(struct jade_database *db, struct jadei_row *row, struct jade_err *err)
{
    row->updated_us = jade_os_wall_us(db->node->os);
    jade_code rc = write_row(db, row, err);
    if (rc == JADE_OK) {
        jade_mutex_lock(&db->mutex);
        struct jadei_row old = db->row;
        db->row = *row;
        jade_mutex_unlock(&db->mutex);
        *row = old;
    }
    jadei_row_release(row);
    return rc;
}

static jade_code check_here(const struct jade_database *db, struct jade_err *err)
{
    if (db->gone) {
        return jade_fail_field(err, JADE_E_NOT_FOUND, "databaseId",
                               "the database \"%s\" was deleted", db->name);
    }
    return JADE_OK;
}

/* ---- create ---- */

static jade_code new_database(struct jade_node *n, const struct jade_database_spec *spec,
                              struct jade_database **out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_row row;
    uint32_t dimension;
    char id[JADE_DATABASE_ID_SIZE] = "db_";
    *out = NULL;
    JADE_TRY(jadei_spec_check(n, spec, &dimension, &row, err));
    JADE_TRY(jade_node_unique(n, id + 3, err));
    JADE_TRY(jadei_database_new(n, id, spec->name, dimension, spec->metric, out, err));
    row.created_us = row.updated_us = jade_os_wall_us(n->os);
    (*out)->row = row;
    return JADE_OK;
out:
    jadei_row_release(&row);
    return rc;
}

static jade_code make_shard(struct jade_node *n, const struct jade_database *db,
                            struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char dir[JADE_PATH_MAX];
    struct jade_shard_config config = n->opts.shard;
    config.dim = db->dimension;
    config.metric = db->metric;
    config.index = db->row.index;
    config.durability = db->row.durability;
    JADE_TRY(jadei_folder_shard(n, db->id, dir, err));
    JADE_TRY(jade_shard_create(n->engine, dir, &config, err));
out:
    return rc;
}

/** Takes away the files of a creation that failed, unless its row may have been stored all the same: then the next start decides. */
static void undo_create(struct jade_node *n, const struct jade_database *db, bool row_unknown)
{
    struct jade_err own = {0};
    if (!row_unknown && jadei_folder_remove(n, db->id, &own) != JADE_OK) {
        jade_log_err(JADE_LOG_WARN, JADEI_ROOM, "a failed creation is swept at the next start",
                     &own);
    }
}

/** Files, row, list. `change` is held. */
static jade_code establish(struct jade_node *n, struct jade_database *db, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    bool folder = false, row_unknown = false;
    struct jade_err own = {0};
    struct jade_database *same = jadei_list_find(n, db->name, strlen(db->name));
    if (same) {
        jade_database_unref(same);
        return jade_fail_field(err, JADE_E_ALREADY_EXISTS, "name", "a database \"%s\" exists",
                               db->name);
    }
    JADE_TRY(jadei_list_reserve(n, err));
    folder = true;
    JADE_TRY(jadei_folder_make(n, db->id, err));
    JADE_TRY(make_shard(n, db, err));
    rc = write_row(db, &db->row, err);
    row_unknown = rc == JADE_E_IO;
    if (rc != JADE_OK) {
        goto out;
    }
    if (jadei_folder_unmark(n, db->id, &own) != JADE_OK) {
        jade_log_err(JADE_LOG_WARN, JADEI_ROOM, "the mark is taken off at the next start", &own);
    }
    jadei_list_insert(n, jadei_database_ref(db));
out:
    if (rc != JADE_OK && folder) {
        undo_create(n, db, row_unknown);
    }
    return rc;
}

jade_code jade_node_create(struct jade_node *n, const struct jade_database_spec *spec,
                           struct jade_database **out, struct jade_err *err)
{
    struct jade_database *db = NULL;
    *out = NULL;
    jade_code rc = jadei_node_enter(n, err);
    if (rc != JADE_OK) {
        return rc;
    }
    JADE_TRY(new_database(n, spec, &db, err));
    jade_mutex_lock(&n->change);
    rc = establish(n, db, err);
    jade_mutex_unlock(&n->change);
    if (rc == JADE_OK) {
        jade_log(JADE_LOG_INFO, JADEI_ROOM, "database created", JADE_LOG_STR("id", db->id),
                 JADE_LOG_STR("name", db->name), JADE_LOG_U64("dimension", db->dimension));
        *out = db;
        db = NULL;
    }
out:
    jade_database_unref(db);
    jadei_node_leave(n);
    return rc;
}

/* ---- delete ---- */

/** The row goes, and with it the database. `change` is held. */
static jade_code unlist(struct jade_node *n, struct jade_database *db, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char key[JADE_DB_NAME_MAX + 16];
    jadei_row_key(db->name, key);
    JADE_TRY(check_here(db, err));
    /* After an error below the mark stays: with the row there, the next start takes it off. */
    JADE_TRY(jadei_folder_mark(n, db->id, err));
    JADE_TRY(jade_catalog_delete(n->catalog, key, JADE_REVISION_ANY, err));
    jadei_database_forbid(db);
    bool listed = jadei_list_remove(n, db);
    JADE_ASSERT(listed);
out:
    return rc;
}

/** Waits for the calls that run, closes the shard, removes the files. What fails here is logged: the database is deleted already. */
static void clear_away(struct jade_node *n, struct jade_database *db)
{
    struct jade_err own = {0};
    bool closed = false;
    jadei_jobs_cancel_of(db);
    jadei_database_hurry(db);
    if (jadei_database_close(db, 0, UINT64_MAX, &closed, &own) != JADE_OK) {
        jade_log_err(JADE_LOG_WARN, JADEI_ROOM, "closing a deleted database", &own);
    }
    JADE_ASSERT(closed); /* there is no deadline */
    if (jadei_folder_remove(n, db->id, &own) != JADE_OK) {
        jade_log_err(JADE_LOG_WARN, JADEI_ROOM, "a deleted database is swept at the next start",
                     &own);
    }
}

jade_code jade_node_delete(struct jade_node *n, struct jade_database *db, struct jade_err *err)
{
    jade_code rc = jadei_node_enter(n, err);
    if (rc != JADE_OK) {
        return rc;
    }
    jade_mutex_lock(&n->change);
    rc = unlist(n, db, err);
    jade_mutex_unlock(&n->change);
    if (rc == JADE_OK) {
        clear_away(n, db);
        jade_log(JADE_LOG_INFO, JADEI_ROOM, "database deleted", JADE_LOG_STR("id", db->id),
                 JADE_LOG_STR("name", db->name));
        jade_database_unref(db); /* the list's */
    }
    jadei_node_leave(n);
    return rc;
}

/* ---- update ---- */

static jade_code refuse(const char *field, struct jade_err *err)
{
    return jade_fail_field(err, JADE_E_UNPROCESSABLE, field,
                           "cannot be changed; make a new database and copy the vectors");
}

/** What stays as it was created. */
static jade_code check_fixed(const struct jade_database *db, const struct jade_database_spec *spec,
                             struct jade_err *err)
{
    if (spec->name && spec->name[0] && strcmp(spec->name, db->name) != 0) {
        return refuse("name", err);
    }
    if (spec->dimension != 0 && spec->dimension != db->dimension) {
        return refuse("vectorDimension", err);
    }
    if (spec->metric != db->metric) {
        return refuse("metric", err);
    }
    return JADE_OK;
}

/** Carries over what an update does not name; the model may be named once. */
static jade_code merge_row(struct jade_database *db, struct jadei_row *row, struct jade_err *err)
{
    const struct jadei_row *old = &db->row;
    bool differs = (row->model_name[0] && old->model_name[0] &&
                    strcmp(row->model_name, old->model_name) != 0) ||
                   (row->model_version[0] && old->model_version[0] &&
                    strcmp(row->model_version, old->model_version) != 0);
    if (differs) {
        return jade_fail_field(err, JADE_E_UNPROCESSABLE, "embeddingModels",
                               "the database is of the model %s %s", old->model_name,
                               old->model_version);
    }
    if (!row->model_name[0]) {
        memcpy(row->model_name, old->model_name, sizeof row->model_name);
    }
    if (!row->model_version[0]) {
        memcpy(row->model_version, old->model_version, sizeof row->model_version);
    }
    row->created_us = old->created_us;
    row->updated_us = old->updated_us;
    row->rebuild_pending = old->rebuild_pending;
    row->index.seed = old->index.seed;
    return JADE_OK;
}

static bool same_graph(const struct jade_index_params *a, const struct jade_index_params *b)
{
    return a->kind == b->kind && (a->kind == JADE_INDEX_FLAT ||
                                  (a->m == b->m && a->ef_construction == b->ef_construction));
}

static bool same_row(const struct jadei_row *a, const struct jadei_row *b)
{
    return a->index.kind == b->index.kind && a->index.m == b->index.m &&
           a->index.ef_construction == b->index.ef_construction &&
           a->index.ef_search == b->index.ef_search && a->durability == b->durability &&
           strcmp(a->model_name, b->model_name) == 0 &&
           strcmp(a->model_version, b->model_version) == 0 &&
           strcmp(a->description, b->description) == 0 && a->config_len == b->config_len &&
           memcmp(a->config, b->config, a->config_len) == 0;
}

/** `change` is held, so that db->row does not change. row is taken. */
static jade_code apply(struct jade_database *db, struct jadei_row *row,
                       struct jade_database_update *out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_job *job = NULL;
    struct jade_job queued;
    JADE_TRY(merge_row(db, row, err));
    if (same_row(row, &db->row)) {
        goto out;
    }
    bool rebuild = !same_graph(&row->index, &db->row.index);
    if (rebuild) {
        JADE_TRY(jadei_node_job_new(db, JADE_JOB_REBUILD, &job, err));
        row->rebuild_pending = true;
    }
    rc = jadei_row_store(db, row, err);
    *row = (struct jadei_row){.description = NULL};
    if (rc != JADE_OK) {
        goto out;
    }
    out->changed = true;
    if (rebuild) {
        rc = jadei_node_job_queue(job, true, &queued, err);
        job = rc == JADE_OK ? NULL : job;
        if (rc == JADE_E_UNAVAILABLE) { /* stopping: the next start queues it, the row says so */
            rc = JADE_OK;
            goto out;
        }
        memcpy(out->job_id, queued.id, sizeof out->job_id);
    }
out:
    out->revision = db->revision;
    jadei_node_job_free(job);
    jadei_row_release(row);
    return rc;
}

jade_code jade_database_update(struct jade_database *db, const struct jade_database_spec *spec,
                               uint64_t expected_revision, struct jade_database_update *out,
                               struct jade_err *err)
{
    struct jade_node *n = db->node;
    struct jadei_row row = {.description = NULL};
    *out = (struct jade_database_update){.changed = false};
    jade_code rc = jadei_node_enter(n, err);
    if (rc != JADE_OK) {
        return rc;
    }
    jade_mutex_lock(&n->change);
    JADE_TRY(check_here(db, err));
    if (expected_revision != 0 && expected_revision != db->revision) {
        rc = jade_fail(err, JADE_E_CONFLICT,
                       "the database is at revision %llu, expected %llu: somebody changed it",
                       (unsigned long long)db->revision, (unsigned long long)expected_revision);
        goto out;
    }
    JADE_TRY(check_fixed(db, spec, err));
    JADE_TRY(jadei_spec_row(n, spec, &row, err));
    uint32_t dimension = db->dimension;
    JADE_TRY(jadei_spec_model(n, &row, &dimension, err));
    rc = apply(db, &row, out, err);
    row = (struct jadei_row){.description = NULL};
out:
    jade_mutex_unlock(&n->change);
    jadei_row_release(&row);
    jadei_node_leave(n);
    return rc;
}

/* ---- small changes that the node makes itself ---- */

void jadei_rebuild_done(struct jade_database *db, const struct jade_index_params *index)
{
    struct jade_node *n = db->node;
    struct jadei_row row;
    struct jade_err own = {0};
    jade_mutex_lock(&n->change);
    if (!db->gone && db->row.rebuild_pending && same_graph(index, &db->row.index)) {
        jade_code rc = jadei_row_copy(&db->row, &row, &own);
        if (rc == JADE_OK) {
            row.rebuild_pending = false;
            rc = jadei_row_store(db, &row, &own);
        }
        if (rc != JADE_OK) { /* the next start rebuilds once more: work, no harm */
            jade_log_err(JADE_LOG_WARN, JADEI_ROOM, "noting that a rebuild is done", &own);
        }
    }
    jade_mutex_unlock(&n->change);
}

jade_code jadei_model_bind(struct jade_database *db, const char *name, const char *version,
                           struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_node *n = db->node;
    struct jadei_row row = {.description = NULL};
    jade_mutex_lock(&n->change);
    JADE_TRY(check_here(db, err));
    JADE_TRY(jadei_row_copy(&db->row, &row, err));
    memcpy(row.model_name, name, strlen(name) + 1);
    memcpy(row.model_version, version, strlen(version) + 1);
    JADE_TRY(merge_row(db, &row, err)); /* another write may have been first */
    if (!same_row(&row, &db->row)) {
        rc = jadei_row_store(db, &row, err);
        row = (struct jadei_row){.description = NULL};
    }
out:
    jade_mutex_unlock(&n->change);
    jadei_row_release(&row);
    return rc;
}
