/*
 * One database in memory: references, the opening and closing of its shard, what can be told about it.
 *
 * State machine (under the mutex; only the thread that moves to OPENING or CLOSING touches the shard until it moves on):
 *     IDLE -> OPENING -> OPEN -> CLOSING -> IDLE
 *                     -> DAMAGED -> OPENING
 */
#include <stdio.h>
#include <string.h>

#include "node/node_private.h"

static const char *const STATES[] = {
    [JADE_DATABASE_IDLE] = "idle",       [JADE_DATABASE_OPENING] = "opening",
    [JADE_DATABASE_OPEN] = "open",       [JADE_DATABASE_CLOSING] = "closing",
    [JADE_DATABASE_DAMAGED] = "damaged", [JADE_DATABASE_DELETED] = "deleted",
};

const char *jade_database_state_name(enum jade_database_state s)
{
    return (unsigned)s < sizeof STATES / sizeof *STATES ? STATES[s] : "unknown";
}

/* ---- life ---- */

jade_code jadei_database_new(struct jade_node *n, const char *id, const char *name,
                             uint32_t dimension, enum jade_metric metric,
                             struct jade_database **out, struct jade_err *err)
{
    struct jade_database *db = jade_calloc(JADE_TAG_CATALOG, 1, sizeof *db);
    *out = db;
    if (!db) {
        return jade_fail(err, JADE_E_NOMEM, "out of memory for a database");
    }
    db->node = n;
    atomic_init(&db->refs, 1);
    JADE_ASSERT(strlen(id) < sizeof db->id && strlen(name) < sizeof db->name);
    memcpy(db->id, id, strlen(id) + 1);
    memcpy(db->name, name, strlen(name) + 1);
    db->dimension = dimension;
    db->metric = metric;
    db->state = JADE_DATABASE_IDLE;
    jade_mutex_init(&db->mutex);
    jade_cond_init(&db->cond);
    return JADE_OK;
}

struct jade_database *jadei_database_ref(struct jade_database *db)
{
    atomic_fetch_add_explicit(&db->refs, 1, memory_order_relaxed);
    return db;
}

void jade_database_unref(struct jade_database *db)
{
    if (!db || atomic_fetch_sub_explicit(&db->refs, 1, memory_order_acq_rel) > 1) {
        return;
    }
    JADE_ASSERT(!db->shard);
    jadei_row_release(&db->row);
    jade_cond_release(&db->cond);
    jade_mutex_release(&db->mutex);
    jade_free(db);
}

const char *jade_database_id(const struct jade_database *db)
{
    return db->id;
}

uint32_t jade_database_dimension(const struct jade_database *db)
{
    return db->dimension;
}

/* ---- opening ---- */

static jade_code gone(const struct jade_database *db, struct jade_err *err)
{
    return jade_fail_field(err, JADE_E_NOT_FOUND, "databaseId", "the database \"%s\" was deleted",
                           db->name);
}

static struct jade_shard_config shard_config(const struct jade_database *db)
{
    struct jade_shard_config c = db->node->opts.shard;
    c.dim = db->dimension;
    c.metric = db->metric;
    c.index = db->row.index;
    c.durability = db->row.durability;
    return c;
}

/** Why the shard could not be opened stays with the database. The mutex is held. */
static void keep_error(struct jade_database *db, jade_code rc, const struct jade_err *e)
{
    bool lasting = rc == JADE_E_CORRUPT || rc == JADE_E_VERSION || rc == JADE_E_NOT_FOUND;
    db->open_error = *e;
    if (rc ==
        JADE_E_NOT_FOUND) { /* the row is there, the files are not: no "not found" of the caller's */
        db->open_error.code = JADE_E_CORRUPT;
        db->open_error.field[0] = '\0';
    }
    db->reopen_at_us = lasting ? UINT64_MAX : jade_os_mono_us(db->node->os) + JADEI_REOPEN_US;
    jade_log_err(JADE_LOG_ERROR, JADEI_ROOM, "a database could not be opened", &db->open_error);
}

/** IDLE or DAMAGED -> OPEN or DAMAGED. The mutex is held on entry and return, not in between. */
static void open_shard(struct jade_database *db)
{
    struct jade_shard_config config = shard_config(db);
    struct jade_shard *shard = NULL;
    struct jade_shard_open_info info = {0};
    struct jade_err e = {0};
    char dir[JADE_PATH_MAX];
    db->state = JADE_DATABASE_OPENING;
    jade_mutex_unlock(&db->mutex);
    jade_code rc = jadei_folder_shard(db->node, db->id, dir, &e);
    if (rc == JADE_OK) {
        rc = jade_shard_open(db->node->engine, dir, &config, &shard, &info, &e);
    }
    if (rc != JADE_OK) {
        (void)jade_err_wrap(&e, rc, "database %s", db->name);
    }
    jade_mutex_lock(&db->mutex);
    if (rc == JADE_OK) {
        db->shard = shard;
        db->opened = info;
        db->stats_known = true;
        db->open_error = (struct jade_err){.code = JADE_OK};
        db->last_used_us = jade_os_mono_us(db->node->os);
        db->state = JADE_DATABASE_OPEN;
    } else {
        keep_error(db, rc, &e);
        db->state = JADE_DATABASE_DAMAGED;
    }
    jade_cond_broadcast(&db->cond);
}

jade_code jadei_use_begin(struct jade_database *db, struct jade_shard **shard_out,
                          struct jade_err *err)
{
    jade_code rc = JADE_OK;
    bool tried = false;
    jade_mutex_lock(&db->mutex);
    for (;;) {
        if (db->gone) {
            rc = gone(db, err);
            break;
        }
        if (atomic_load(&db->node->stopping)) {
            rc = jadei_stopping(err);
            break;
        }
        if (db->state == JADE_DATABASE_OPEN) {
            db->n_running++;
            *shard_out = db->shard;
            break;
        }
        if (db->state == JADE_DATABASE_OPENING || db->state == JADE_DATABASE_CLOSING) {
            jade_cond_wait(&db->cond, &db->mutex);
            continue;
        }
        if (db->state == JADE_DATABASE_DAMAGED &&
            (tried || jade_os_mono_us(db->node->os) < db->reopen_at_us)) {
            rc = db->open_error.code;
            if (err) {
                *err = db->open_error;
            }
            break;
        }
        tried = true;
        open_shard(db);
    }
    jade_mutex_unlock(&db->mutex);
    if (rc != JADE_OK) {
        atomic_fetch_add_explicit(&db->n_errors, 1, memory_order_relaxed);
    }
    return rc;
}

/** One call less; touch: it counts as use. */
static void leave(struct jade_database *db, bool touch)
{
    jade_mutex_lock(&db->mutex);
    JADE_ASSERT(db->n_running > 0);
    if (touch) {
        db->last_used_us = jade_os_mono_us(db->node->os);
    }
    if (--db->n_running == 0) {
        jade_cond_broadcast(&db->cond);
    }
    jade_mutex_unlock(&db->mutex);
}

jade_code jadei_use_end(struct jade_database *db, jade_code rc)
{
    if (rc != JADE_OK) {
        atomic_fetch_add_explicit(&db->n_errors, 1, memory_order_relaxed);
    }
    leave(db, true);
    return rc;
}

/* ---- closing ---- */

/**
 * OPEN -> CLOSING -> IDLE; with keep_poisoned back to OPEN when its writes stopped, which closing would hide. The mutex is held on entry
 * and return, not in between.
 */
static jade_code close_shard(struct jade_database *db, bool keep_poisoned, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_shard *shard = db->shard;
    struct jade_shard_stats stats;
    db->state = JADE_DATABASE_CLOSING;
    jade_mutex_unlock(&db->mutex);
    jade_shard_stats(shard, &stats);
    bool keep = keep_poisoned && stats.poisoned;
    if (!keep) {
        rc = jade_shard_close(shard, err);
    }
    if (rc != JADE_OK) {
        rc = jade_err_wrap(err, rc, "closing database %s", db->name);
    }
    stats.memory_bytes = 0;
    jade_mutex_lock(&db->mutex);
    if (!keep) {
        db->shard = NULL;
        db->last_stats = stats;
    }
    db->state = keep ? JADE_DATABASE_OPEN : JADE_DATABASE_IDLE;
    jade_cond_broadcast(&db->cond);
    return rc;
}

/** Nobody has used it for so long. The mutex is held. */
static bool is_idle(const struct jade_database *db, uint64_t idle_us)
{
    return db->state == JADE_DATABASE_OPEN && db->n_running == 0 &&
           jade_os_mono_us(db->node->os) >= db->last_used_us + idle_us;
}

/** Waits until no call runs and nobody opens or closes; false when the deadline came first. The mutex is held. */
static bool wait_quiet(struct jade_database *db, uint64_t deadline_us)
{
    while (db->n_running > 0 || db->state == JADE_DATABASE_OPENING ||
           db->state == JADE_DATABASE_CLOSING) {
        uint64_t now = jade_os_mono_us(db->node->os);
        if (now >= deadline_us) {
            return false;
        }
        (void)jade_cond_wait_for(&db->cond, &db->mutex, deadline_us - now);
    }
    return true;
}

jade_code jadei_database_close(struct jade_database *db, uint64_t idle_us, uint64_t deadline_us,
                               bool *closed_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    *closed_out = false;
    jade_mutex_lock(&db->mutex);
    bool may = idle_us > 0 ? is_idle(db, idle_us) : wait_quiet(db, deadline_us);
    if (may && db->state == JADE_DATABASE_OPEN) {
        rc = close_shard(db, idle_us > 0, err);
    }
    *closed_out = may && db->state != JADE_DATABASE_OPEN;
    jade_mutex_unlock(&db->mutex);
    return rc;
}

bool jadei_database_wants_seal(struct jade_database *db, uint64_t idle_us)
{
    struct jade_shard *shard = NULL;
    struct jade_shard_stats stats;
    jade_mutex_lock(&db->mutex);
    if (is_idle(db, idle_us) && !db->gone) {
        shard = db->shard;
        db->n_running++;
    }
    jade_mutex_unlock(&db->mutex);
    if (!shard) {
        return false;
    }
    jade_shard_stats(shard, &stats);
    jade_mutex_lock(&db->mutex);
    bool wants = stats.wal_bytes >= JADEI_REST_LOG_BYTES && !stats.poisoned &&
                 stats.visible.v > stats.checkpoint.v && stats.visible.v != db->sealed_for_rest.v;
    if (wants) {
        db->sealed_for_rest = stats.visible;
    }
    jade_mutex_unlock(&db->mutex);
    leave(db, false);
    return wants;
}

void jadei_database_hurry(struct jade_database *db)
{
    jade_mutex_lock(&db->mutex);
    if (db->state == JADE_DATABASE_OPEN) {
        jade_shard_stop(db->shard);
    }
    jade_mutex_unlock(&db->mutex);
}

void jadei_database_forbid(struct jade_database *db)
{
    jade_mutex_lock(&db->mutex);
    db->gone = true;
    jade_cond_broadcast(&db->cond);
    jade_mutex_unlock(&db->mutex);
}

/* ---- what can be told ---- */

jade_code jade_database_info(struct jade_database *db, struct jade_arena *arena,
                             struct jade_database_info *out, struct jade_err *err)
{
    *out = (struct jade_database_info){.dimension = db->dimension, .metric = db->metric};
    memcpy(out->id, db->id, sizeof out->id);
    memcpy(out->name, db->name, sizeof out->name);
    jade_mutex_lock(&db->mutex);
    const struct jadei_row *row = &db->row;
    char *description = jade_arena_strndup(arena, row->description, strlen(row->description));
    char *config = jade_arena_strndup(arena, row->config, row->config_len);
    out->description = description;
    out->config_json = (struct jade_str){.p = config, .n = row->config_len};
    out->index = row->index;
    out->durability = row->durability;
    memcpy(out->model_name, row->model_name, sizeof out->model_name);
    memcpy(out->model_version, row->model_version, sizeof out->model_version);
    out->created_us = row->created_us;
    out->updated_us = row->updated_us;
    out->rebuild_pending = row->rebuild_pending;
    out->revision = db->revision;
    out->state = db->gone ? JADE_DATABASE_DELETED : db->state;
    out->error = db->open_error;
    jade_mutex_unlock(&db->mutex);
    if (!description || !config) {
        return jade_fail(err, JADE_E_NOMEM, "out of memory for a database's description");
    }
    return JADE_OK;
}

static uint64_t count(atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/** What is known without opening; the mutex is held. */
static void fill_stats(struct jade_database *db, struct jade_database_stats *out)
{
    *out = (struct jade_database_stats){
        .state = db->gone ? JADE_DATABASE_DELETED : db->state,
        .known = db->stats_known,
        .shard = db->last_stats,
        .opened = db->opened,
        .n_searches = count(&db->n_searches),
        .n_writes = count(&db->n_writes),
        .n_rows_written = count(&db->n_rows_written),
        .n_rows_deleted = count(&db->n_rows_deleted),
        .n_gets = count(&db->n_gets),
        .n_texts = count(&db->n_texts),
        .n_errors = count(&db->n_errors),
        .n_running = db->n_running,
    };
}

jade_code jade_database_stats(struct jade_database *db, bool open, struct jade_database_stats *out,
                              struct jade_err *err)
{
    struct jade_shard *shard = NULL;
    jade_code rc = open ? jadei_use_begin(db, &shard, err) : JADE_OK;
    jade_mutex_lock(&db->mutex);
    fill_stats(db, out);
    if (shard) {
        out->n_running--; /* this one */
    } else if (db->state == JADE_DATABASE_OPEN && !db->gone) {
        shard = db->shard; /* looking is no use: whoever scrapes metrics must not keep it open */
        db->n_running++;
    }
    jade_mutex_unlock(&db->mutex);
    if (shard) {
        jade_shard_stats(shard, &out->shard);
        leave(db, open);
    }
    return rc;
}
