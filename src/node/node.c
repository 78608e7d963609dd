/*
 * The node: opening in an order in which nothing can be lost (lock, catalog, list, sweep), closing in the reverse one, and one thread
 * that closes idle shards.
 */
#include "node/node.h"

#include <stdio.h>
#include <string.h>

#include "node/node_private.h"

enum { SWEEPS_AN_IDLE_TIME = 4, SWEEP_US_MAX = 15 * 1000000, SWEEP_US_MIN = 10000 };

struct jade_node_opts jade_node_opts_default(void)
{
    return (struct jade_node_opts){
        .data = "data",
        .idle_close_us = UINT64_C(5) * 60 * 1000000,
        .shard = jade_shard_config_default(1, JADE_METRIC_COSINE),
    };
}

struct jade_os *jade_node_os(struct jade_node *n)
{
    return n->os;
}

struct jade_auth *jade_node_auth(struct jade_node *n)
{
    return n->auth;
}

struct jade_embed *jade_node_embed_registry(struct jade_node *n)
{
    return n->embed;
}

const char *jade_node_data(const struct jade_node *n)
{
    return n->data;
}

/* ---- calls that are not a database's ---- */

jade_code jadei_stopping(struct jade_err *err)
{
    return jade_fail(err, JADE_E_UNAVAILABLE, "the server is shutting down");
}

jade_code jadei_node_enter(struct jade_node *n, struct jade_err *err)
{
    jade_mutex_lock(&n->calls);
    bool stopping = atomic_load(&n->stopping);
    n->n_calls += !stopping;
    jade_mutex_unlock(&n->calls);
    return stopping ? jadei_stopping(err) : JADE_OK;
}

void jadei_node_leave(struct jade_node *n)
{
    jade_mutex_lock(&n->calls);
    JADE_ASSERT(n->n_calls > 0);
    if (--n->n_calls == 0) {
        jade_cond_broadcast(&n->calls_cond);
    }
    jade_mutex_unlock(&n->calls);
}

/** Waits until no such call runs and the sweeper has ended; false when the deadline came first. */
static bool wait_calls(struct jade_node *n, uint64_t deadline_us)
{
    jade_mutex_lock(&n->calls);
    while (n->n_calls > 0 || !n->sweeper_ended) {
        uint64_t now = jade_os_mono_us(n->os);
        if (now >= deadline_us) {
            break;
        }
        (void)jade_cond_wait_for(&n->calls_cond, &n->calls, deadline_us - now);
    }
    bool quiet = n->n_calls == 0 && n->sweeper_ended;
    jade_mutex_unlock(&n->calls);
    return quiet;
}

/* ---- idle shards ---- */

/** Closes one that is idle; or has it sealed first, and closes it another time. */
static bool rest(struct jade_node *n, struct jade_database *db)
{
    struct jade_err own = {0};
    struct jade_job job;
    bool closed = false;
    if (atomic_load(&n->stopping) ||
        (jadei_database_wants_seal(db, n->opts.idle_close_us) &&
         jade_database_start_job(db, JADE_JOB_CHECKPOINT, &job, NULL) == JADE_OK)) {
        return false;
    }
    if (jadei_database_close(db, n->opts.idle_close_us, 0, &closed, &own) != JADE_OK) {
        jade_log_err(JADE_LOG_ERROR, JADEI_ROOM, "closing an idle database", &own);
    }
    return closed;
}

unsigned jade_node_close_idle(struct jade_node *n)
{
    struct jade_database **list;
    struct jade_err own = {0};
    size_t count;
    unsigned closed = 0;
    if (jade_node_list(n, &list, &count, &own) != JADE_OK) {
        jade_log_err(JADE_LOG_WARN, JADEI_ROOM, "looking for idle databases", &own);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        closed += rest(n, list[i]);
        jade_database_unref(list[i]);
    }
    jade_free(list);
    return closed;
}

static void *sweep(void *arg)
{
    struct jade_node *n = arg;
    uint64_t pause = n->opts.idle_close_us / SWEEPS_AN_IDLE_TIME;
    pause = pause < SWEEP_US_MAX ? pause : SWEEP_US_MAX;
    pause = pause > SWEEP_US_MIN ? pause : SWEEP_US_MIN;
    jade_mutex_lock(&n->calls);
    while (!atomic_load(&n->stopping)) {
        if (!jade_cond_wait_for(&n->calls_cond, &n->calls, pause)) {
            jade_mutex_unlock(&n->calls);
            (void)jade_node_close_idle(n);
            jade_mutex_lock(&n->calls);
        }
    }
    n->sweeper_ended = true;
    jade_cond_broadcast(&n->calls_cond);
    jade_mutex_unlock(&n->calls);
    return NULL;
}

void jade_node_run(struct jade_node *n)
{
    JADE_ASSERT(n->opts.manual);
    do {
        jade_engine_run(n->engine);
    } while (jadei_jobs_run_one(n));
    (void)jade_node_close_idle(n);
}

/* ---- opening ---- */

static jade_code lock_folder(struct jade_node *n, struct jade_err *err)
{
    char path[JADE_PATH_MAX];
    jade_code rc = JADE_OK;
    JADE_TRY(jade_os_mkdirs(n->os, n->data, err));
    JADE_TRY(jade_path_join(path, n->data, "LOCK", err));
    rc = jade_os_lock(n->os, path, &n->lock, err);
    if (rc == JADE_E_LOCKED) {
        rc = jade_fail(err, JADE_E_LOCKED, "the data folder %s is in use by another process",
                       n->data);
    }
out:
    return rc;
}

static jade_code open_catalog(struct jade_node *n, struct jade_err *err)
{
    char path[JADE_PATH_MAX];
    jade_code rc = JADE_OK;
    bool there = false;
    if (n->opts.catalog) {
        n->catalog = n->opts.catalog;
        return JADE_OK;
    }
    JADE_TRY(jade_path_join(path, n->data, "catalog.db", err));
    JADE_TRY(jade_os_exists(n->os, path, &there, err));
    if (!there) { /* an empty catalog over full folders would hide every database */
        JADE_TRY(jadei_folders_expect_none(n, err));
    }
    JADE_TRY(jade_catalog_open_sqlite(path, &n->catalog, NULL, err));
    n->own_catalog = true;
    JADE_TRY(jade_os_sync_dir(n->os, n->data, err));
out:
    return rc;
}

static jade_code load_database(void *ctx, const struct jade_catalog_item *item,
                               struct jade_err *err)
{
    struct jade_node *n = ctx;
    struct jade_database *db = NULL;
    jade_code rc = jadei_list_reserve(n, err);
    if (rc != JADE_OK) {
        return rc;
    }
    rc = jadei_row_decode(n, item->value, item->value_len, &db, err);
    if (rc == JADE_OK && strcmp(item->key + sizeof JADEI_ROW_PREFIX - 1, db->name) != 0) {
        rc = jade_fail(err, JADE_E_CORRUPT, "holds the database \"%s\"", db->name);
    }
    if (rc != JADE_OK) {
        jade_database_unref(db);
        return jade_err_wrap(err, rc, "catalog: \"%s\"", item->key);
    }
    db->revision = item->revision;
    jadei_list_insert(n, db);
    return JADE_OK;
}

/** Rebuilds that a stop interrupted are queued again. */
static jade_code queue_rebuilds(struct jade_node *n, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    for (size_t i = 0; i < n->n && rc == JADE_OK; i++) {
        struct jadei_job *job;
        struct jade_job queued;
        if (!n->by_name[i]->row.rebuild_pending) {
            continue;
        }
        rc = jadei_node_job_new(n->by_name[i], JADE_JOB_REBUILD, &job, err);
        if (rc == JADE_OK) {
            rc = jadei_node_job_queue(job, true, &queued, err);
        }
    }
    return rc;
}

static jade_code open_parts(struct jade_node *n, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char models[JADE_PATH_MAX];
    struct jade_engine_opts engine = {
        .os = n->os, .background_threads = n->opts.background_threads, .manual = n->opts.manual};
    JADE_TRY(jade_shard_config_check(&n->opts.shard, err));
    JADE_TRY(lock_folder(n, err));
    JADE_TRY(open_catalog(n, err));
    JADE_TRY(jade_auth_open(n->catalog, n->os, &n->auth, err));
    JADE_TRY(jade_path_join(models, n->data, "models", err));
    JADE_TRY(jade_embed_open(n->os, models, &n->embed, err));
    JADE_TRY(jade_catalog_list(n->catalog, JADEI_ROW_PREFIX, load_database, n, err));
    JADE_TRY(jadei_folders_sweep(n, err));
    JADE_TRY(jade_engine_new(&engine, &n->engine, err));
    JADE_TRY(queue_rebuilds(n, err));
    JADE_TRY(jadei_jobs_start(n, n->opts.manual, err));
    if (!n->opts.manual) {
        n->sweeper_ended = false;
        rc = jade_thread_start(&n->sweeper, "jade-idle", 5, sweep, n, err);
        if (rc != JADE_OK) {
            n->sweeper_ended = true; /* nobody else looks yet */
        }
    }
out:
    return rc;
}

/** Everything but waiting; every database is closed. */
static void release(struct jade_node *n)
{
    jade_thread_join(&n->sweeper);
    jadei_jobs_release(n);
    for (size_t i = 0; i < n->n; i++) {
        jade_database_unref(n->by_name[i]);
    }
    jade_free(n->by_name);
    jade_free(n->by_id);
    jade_engine_free(n->engine);
    jade_embed_close(n->embed);
    jade_auth_close(n->auth);
    if (n->own_catalog) {
        jade_catalog_close(n->catalog);
    }
    if (n->lock) {
        jade_os_unlock(n->lock);
    }
    jade_cond_release(&n->jobs.cond);
    jade_mutex_release(&n->jobs.mutex);
    jade_cond_release(&n->calls_cond);
    jade_mutex_release(&n->calls);
    jade_rwlock_release(&n->list);
    jade_mutex_release(&n->change);
    jade_free(n);
}

/* ---- closing ---- */

void jade_node_stop(struct jade_node *n)
{
    jade_mutex_lock(&n->calls);
    atomic_store(&n->stopping, true);
    jade_cond_broadcast(&n->calls_cond);
    jade_mutex_unlock(&n->calls);
    jadei_jobs_stop(n);
}

/** Maintenance that takes long ends now: seals, merges, rebuilds. */
static void hurry(struct jade_node *n)
{
    jade_rwlock_read(&n->list);
    for (size_t i = 0; i < n->n; i++) {
        jadei_database_hurry(n->by_name[i]);
    }
    jade_rwlock_read_end(&n->list);
}

/** Closes every shard; *first keeps the first error. False when the deadline came first. */
static bool close_databases(struct jade_node *n, uint64_t deadline_us, struct jade_err *first)
{
    for (size_t i = 0; i < n->n; i++) {
        struct jade_err own = {0};
        bool closed = false;
        if (jadei_database_close(n->by_name[i], 0, deadline_us, &closed, &own) != JADE_OK) {
            jade_log_err(JADE_LOG_ERROR, JADEI_ROOM, "closing a database", &own);
            if (first->code == JADE_OK) {
                *first = own;
            }
        }
        if (!closed) {
            return false;
        }
    }
    return true;
}

jade_code jade_node_close(struct jade_node *n, uint64_t timeout_us, struct jade_err *err)
{
    if (!n) {
        return JADE_OK;
    }
    struct jade_err first = {0};
    uint64_t deadline = jade_os_mono_us(n->os) + timeout_us;
    jade_node_stop(n);
    hurry(n);
    if (!wait_calls(n, deadline) || !jadei_jobs_wait_ended(n, deadline) ||
        !close_databases(n, deadline, &first)) {
        return jade_fail(err, JADE_E_TIMEOUT, "calls are still running after %llu ms",
                         (unsigned long long)(timeout_us / 1000));
    }
    release(n);
    if (first.code != JADE_OK && err) {
        *err = first;
    }
    return first.code;
}

/** Takes an opening back. A rebuild that was queued may have opened its database already. */
static void give_up(struct jade_node *n)
{
    struct jade_err own = {0};
    jade_node_stop(n);
    bool quiet = wait_calls(n, UINT64_MAX) && jadei_jobs_wait_ended(n, UINT64_MAX) &&
                 close_databases(n, UINT64_MAX, &own);
    JADE_ASSERT(quiet); /* there is no deadline */
    release(n);
}

jade_code jade_node_open(const struct jade_node_opts *opts, struct jade_node **out,
                         struct jade_err *err)
{
    *out = NULL;
    size_t length = strlen(opts->data);
    if (length == 0 || length >= JADE_PATH_MAX) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "data",
                               "a path of %zu bytes, expected 1 to %d", length, JADE_PATH_MAX - 1);
    }
    struct jade_node *n = jade_calloc(JADE_TAG_OTHER, 1, sizeof *n);
    if (!n) {
        return jade_fail(err, JADE_E_NOMEM, "out of memory for the node");
    }
    n->os = opts->os;
    n->opts = *opts;
    memcpy(n->data, opts->data, length + 1);
    n->opts.data = n->data;
    n->opened_us = jade_os_mono_us(n->os);
    n->started_us = jade_os_wall_us(n->os);
    n->sweeper_ended = true;
    n->jobs.node = n;
    n->jobs.ended = true;
    jade_mutex_init(&n->change);
    jade_rwlock_init(&n->list);
    jade_mutex_init(&n->calls);
    jade_cond_init(&n->calls_cond);
    jade_mutex_init(&n->jobs.mutex);
    jade_cond_init(&n->jobs.cond);
    jade_code rc = open_parts(n, err);
    if (rc != JADE_OK) {
        give_up(n);
        return rc;
    }
    *out = n;
    return JADE_OK;
}

/* ---- status ---- */

static void add_database(struct jade_database *db, struct jade_node_status *out)
{
    struct jade_database_stats s;
    (void)jade_database_stats(db, false, &s, NULL); /* without opening it cannot fail */
    out->n_databases++;
    out->n_open += s.state == JADE_DATABASE_OPEN;
    out->n_damaged += s.state == JADE_DATABASE_DAMAGED;
    out->n_vectors += s.shard.n_live;
    out->n_tail_rows += s.shard.tail_rows;
    out->wal_bytes += s.shard.wal_bytes;
    out->disk_bytes += s.shard.disk_bytes;
    out->shard_memory_bytes += s.shard.memory_bytes;
}

/** One after the other by name, so that it needs no memory; databases that come or go meanwhile may be missed. */
static struct jade_database *next_database(struct jade_node *n, size_t at)
{
    jade_rwlock_read(&n->list);
    struct jade_database *db = at < n->n ? jadei_database_ref(n->by_name[at]) : NULL;
    jade_rwlock_read_end(&n->list);
    return db;
}

void jade_node_status(struct jade_node *n, struct jade_node_status *out)
{
    *out = (struct jade_node_status){
        .stopping = atomic_load(&n->stopping),
        .uptime_us = jade_os_mono_us(n->os) - n->opened_us,
        .started_us = n->started_us,
        .n_orphans = n->n_orphans,
        .n_searches = atomic_load_explicit(&n->n_searches, memory_order_relaxed),
        .n_writes = atomic_load_explicit(&n->n_writes, memory_order_relaxed),
        .n_texts_embedded = atomic_load_explicit(&n->n_texts, memory_order_relaxed),
        .memory_bytes = jade_alloc_bytes_total(),
    };
    struct jade_database *db;
    for (size_t at = 0; (db = next_database(n, at)) != NULL; at++) {
        add_database(db, out);
        jade_database_unref(db);
    }
    jade_mutex_lock(&n->jobs.mutex);
    out->n_jobs_queued = n->jobs.n_queued;
    out->n_jobs_running = n->jobs.n_running;
    jade_mutex_unlock(&n->jobs.mutex);
    if (jade_os_space(n->os, n->data, &out->disk_free_bytes, &out->disk_total_bytes, NULL) !=
        JADE_OK) {
        out->disk_free_bytes = out->disk_total_bytes = 0;
    }
}
