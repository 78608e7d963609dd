/*
 * Inside of src/node.
 *
 * Locks, in order: `change` (one change of catalog rows at a time) -> list -> database mutex -> shard; `change` or a lock of a shard -> jobs.mutex, inside which
 * no other is taken; calls alone.
 * A database's shard pointer belongs to its state: only the thread that moved the state to OPENING or CLOSING touches it, and calls use it
 * between jadei_use_begin and jadei_use_end only.
 */
#ifndef JADE_NODE_PRIVATE_H
#define JADE_NODE_PRIVATE_H

#include <stdatomic.h>

#include "base/assert.h"
#include "base/log.h"
#include "node/node.h"
#include "os/thread.h"

#define JADEI_ROOM "node" /* in log lines */

enum {
    JADEI_UNIQUE_CHARS = 26,
    JADEI_UNIQUE_RANDOM = 10, /* random bytes in a unique text */
    JADEI_CONFIG_DEPTH = 64,
    JADEI_REST_LOG_BYTES =
        8
        << 20, /* an idle shard with a longer log is sealed before it is closed: replaying this takes some 50 ms */
    JADEI_REOPEN_US =
        1000000, /* an opening that failed for want of something is tried again after this */
};

/* ---- databases ---- */

/** What the catalog row says, and may change. Strings are owned. */
struct jadei_row {
    char *description;
    char *config; /* minified JSON object */
    size_t config_len;
    struct jade_index_params index;
    enum jade_durability durability;
    char model_name[JADE_EMBED_NAME_SIZE];
    char model_version[JADE_EMBED_NAME_SIZE];
    int64_t created_us, updated_us;
    bool rebuild_pending;
};

struct jade_database {
    struct jade_node *node;
    atomic_uint refs;
    /* never change */
    char id[JADE_DATABASE_ID_SIZE];
    char name[JADE_DB_NAME_MAX + 1];
    uint32_t dimension;
    enum jade_metric metric;

    struct jade_mutex mutex; /* everything below but the counters */
    struct jade_cond cond;   /* state or n_running changed */
    struct jadei_row row;
    uint64_t revision;
    enum jade_database_state state;
    bool gone; /* the row is removed: no new call */
    uint32_t n_running;
    uint64_t last_used_us;
    struct jade_shard *shard;
    struct jade_lsn
        sealed_for_rest; /* last LSN when a checkpoint was asked for before closing: asked once */
    struct jade_err open_error;
    uint64_t reopen_at_us; /* DAMAGED: not before; UINT64_MAX = not until restart */
    bool stats_known;
    struct jade_shard_stats last_stats; /* of the last close */
    struct jade_shard_open_info opened;

    atomic_uint_fast64_t n_searches, n_writes, n_rows_written, n_rows_deleted, n_gets, n_texts,
        n_errors;
};

/* database.c */
jade_code jadei_database_new(struct jade_node *n, const char *id, const char *name,
                             uint32_t dimension, enum jade_metric metric,
                             struct jade_database **out, struct jade_err *err);
struct jade_database *jadei_database_ref(struct jade_database *db);
/** Opens the shard if need be and counts a call as running. Then jadei_use_end. */
jade_code jadei_use_begin(struct jade_database *db, struct jade_shard **shard_out,
                          struct jade_err *err);
/** rc of the call: errors are counted. Returns rc. */
jade_code jadei_use_end(struct jade_database *db, jade_code rc);
/**
 * Closes the shard: idle_us 0 = waits for running calls until the deadline (monotonic); else only when no call ran for idle_us. `closed_out`
 * tells whether it is closed now. The error is that of the shard's last sync.
 */
jade_code jadei_database_close(struct jade_database *db, uint64_t idle_us, uint64_t deadline_us,
                               bool *closed_out, struct jade_err *err);
/**
 * Whether the shard is idle and has so much in its log that closing it now would make the next opening build that part's graph again. True once
 * for a state of the data.
 */
bool jadei_database_wants_seal(struct jade_database *db, uint64_t idle_us);
/** Its long maintenance calls end soon: it is about to be closed for good. */
void jadei_database_hurry(struct jade_database *db);
/** No new call from now on. */
void jadei_database_forbid(struct jade_database *db);

/* row.c */
void jadei_row_release(struct jadei_row *row);
jade_code jadei_row_copy(const struct jadei_row *from, struct jadei_row *to, struct jade_err *err);
/** The catalog's value. */
void jadei_row_encode(const struct jade_database *db, const struct jadei_row *row,
                      struct jade_buf *out);
/** Makes a database from a catalog value. Errors: JADE_E_CORRUPT, JADE_E_VERSION, JADE_E_NOMEM. */
jade_code jadei_row_decode(struct jade_node *n, const void *json, size_t len,
                           struct jade_database **out, struct jade_err *err);
/** Key of a database's row: its name makes it unique. */
void jadei_row_key(const char *name, char out[JADE_DB_NAME_MAX + 16]);
#define JADEI_ROW_PREFIX "database/"

/* spec.c */
/** Checks everything of a spec but the name's uniqueness, and fills row (released by the caller also on error). *dimension_out: model's when the spec has none. */
jade_code jadei_spec_check(struct jade_node *n, const struct jade_database_spec *spec,
                           uint32_t *dimension_out, struct jadei_row *row, struct jade_err *err);
/** Description, index, durability, config and model names; the parts that create and update share. */
jade_code jadei_spec_row(struct jade_node *n, const struct jade_database_spec *spec,
                         struct jadei_row *row, struct jade_err *err);

/** The model that a row names exists, and its dimension is *dimension (0: is set). */
jade_code jadei_spec_model(struct jade_node *n, const struct jadei_row *row, uint32_t *dimension,
                           struct jade_err *err);

/* change.c */
/** Stores a changed row and puts it in place of the old one, which it frees; `change` is held. row is taken in any case. */
jade_code jadei_row_store(struct jade_database *db, struct jadei_row *row, struct jade_err *err);
/** Stores the model's name and version in the row; JADE_E_UNPROCESSABLE when another was stored meanwhile. */
jade_code jadei_model_bind(struct jade_database *db, const char *name, const char *version,
                           struct jade_err *err);
/** A rebuild with these parameters is done: the row no longer waits for it. */
void jadei_rebuild_done(struct jade_database *db, const struct jade_index_params *index);

/* ---- folders ---- */

/** Whether a name has the form of a database id. */
bool jadei_is_database_id(const char *name, size_t len);
/** Makes <data>/<id> with its mark, synced. */
jade_code jadei_folder_make(struct jade_node *n, const char *id, struct jade_err *err);
jade_code jadei_folder_mark(struct jade_node *n, const char *id, struct jade_err *err);
jade_code jadei_folder_unmark(struct jade_node *n, const char *id, struct jade_err *err);
/** Removes a marked folder: the mark last, so that a stop on the way leaves a marked one. */
jade_code jadei_folder_remove(struct jade_node *n, const char *id, struct jade_err *err);
/** "<data>/<id>/0" */
jade_code jadei_folder_shard(struct jade_node *n, const char *id, char out[JADE_PATH_MAX],
                             struct jade_err *err);
/** JADE_E_CORRUPT when databases are there. For a node that finds no catalog. */
jade_code jadei_folders_expect_none(struct jade_node *n, struct jade_err *err);
/** Removes what crashes left of creations and deletions; the list of databases is complete. */
jade_code jadei_folders_sweep(struct jade_node *n, struct jade_err *err);

/* ---- jobs ---- */

struct jadei_job {
    struct jadei_job *next; /* older to newer */
    struct jade_job pub;
    struct jade_database *db; /* a reference, until it has finished */
    uint64_t started_mono_us;
};
struct jadei_jobs {
    struct jade_node *node;
    struct jade_mutex mutex;
    struct jade_cond cond; /* something queued, or finished, or stopping */
    struct jadei_job *oldest, *newest;
    uint32_t n_queued, n_running, n_finished;
    bool stopping, ended;
    struct jade_thread thread;
};
jade_code jadei_jobs_start(struct jade_node *n, bool manual, struct jade_err *err);
/** Cancels all; the thread ends when the running one has. */
void jadei_jobs_stop(struct jade_node *n);
/** False when the deadline came first. */
bool jadei_jobs_wait_ended(struct jade_node *n, uint64_t deadline_us);
void jadei_jobs_release(struct jade_node *n);
/** Runs the oldest queued job on this thread; false when none waits. */
bool jadei_jobs_run_one(struct jade_node *n);
/** A job that is not queued yet; id and time are set. */
jade_code jadei_node_job_new(struct jade_database *db, enum jade_job_kind kind,
                             struct jadei_job **out, struct jade_err *err);
/** NULL is allowed; never a queued one. */
void jadei_node_job_free(struct jadei_job *job);
/**
 * Queues a job and takes it over, unless it fails. replace: one of the same kind on the same database that waits serves as well (out is that one), one
 * that runs is cancelled, and the queue may grow past its bound; else these are JADE_E_CONFLICT and JADE_E_BUSY.
 */
jade_code jadei_node_job_queue(struct jadei_job *job, bool replace, struct jade_job *out,
                               struct jade_err *err);
void jadei_jobs_cancel_of(struct jade_database *db);

/* ---- node ---- */

struct jade_node {
    struct jade_os *os;
    struct jade_node_opts opts;
    char data[JADE_PATH_MAX];
    struct jade_lock *lock;
    struct jade_engine *engine;
    struct jade_catalog *catalog;
    bool own_catalog;
    struct jade_auth *auth;
    struct jade_embed *embed;
    uint64_t opened_us; /* monotonic */
    int64_t started_us;
    atomic_bool stopping;
    uint32_t n_orphans;

    struct jade_mutex change;
    struct jade_rwlock list;
    struct jade_database **by_name, **by_id; /* sorted; one reference for both */
    size_t n, cap;

    struct jade_mutex calls; /* create, delete, update and their like: close waits for them */
    struct jade_cond calls_cond;
    uint32_t n_calls;
    bool sweeper_ended;
    struct jade_thread sweeper; /* closes idle shards */

    struct jadei_jobs jobs;
    atomic_uint_fast64_t n_searches, n_writes, n_texts;
};

/** A call that changes the node begins; JADE_E_UNAVAILABLE when it stops. */
jade_code jadei_node_enter(struct jade_node *n, struct jade_err *err);
void jadei_node_leave(struct jade_node *n);
jade_code jadei_stopping(struct jade_err *err);

/* list.c: `list` is locked inside */
/** Makes room, so that a later insert cannot fail; `change` is held from here to the insert. */
jade_code jadei_list_reserve(struct jade_node *n, struct jade_err *err);
/** Takes over the caller's reference. */
void jadei_list_insert(struct jade_node *n, struct jade_database *db);
/** Hands the list's reference back to the caller. False when it is not in the list. */
bool jadei_list_remove(struct jade_node *n, struct jade_database *db);
/** A new reference, or NULL. */
struct jade_database *jadei_list_find(struct jade_node *n, const char *id_or_name, size_t len);

/* models.c */
/** Embeds one text; field names it in errors. */
jade_code jadei_embed_one(const struct jade_embed_model *m, struct jade_str text, float *out,
                          const char *field, struct jade_err *err);
/** Model whose vectors the database holds or will hold; JADE_E_UNPROCESSABLE when another was asked for. name and version may be NULL. */
jade_code jadei_model_for(struct jade_database *db, const char *name, const char *version,
                          const struct jade_embed_model **out, struct jade_err *err);
/** What is written next is of this model (version may be NULL): the database holds its vectors from now on. Errors: JADE_E_UNPROCESSABLE, those of the catalog. */
jade_code jadei_model_claim(struct jade_database *db, const char *name, const char *version,
                            struct jade_err *err);

/* unique.c */
/** UUID version 7 (RFC 9562) as 26 characters: wall clock and 10 random bytes. */
void jadei_unique_text(int64_t wall_us, const uint8_t random[JADEI_UNIQUE_RANDOM],
                       char out[JADEI_UNIQUE_CHARS + 1]);

#endif
