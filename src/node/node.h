/*
 * One server's worth of databases: data folder, engine, catalog, keys, embedding models, jobs. src/api decodes a request, asks a scope
 * (auth/auth.h), calls here, encodes what comes back.
 *
 * Data folder
 *     LOCK                    held while the node is open; another process gets JADE_E_LOCKED naming the folder
 *     catalog.db              databases and API keys
 *     models/                 trained embedding models
 *     <databaseId>/0/         shard 0 of a database;  <databaseId>/UNLISTED: its row is being made or removed
 *
 * Invariants
 * 1. A database exists from the moment its catalog row is stored until the moment that row is removed. Its folder is made before and
 *    removed after; what a crash leaves in between carries UNLISTED and is swept at the next start. A folder without row and without
 *    UNLISTED is never touched: it is logged and counted in status (jade_node_status.n_orphans).
 * 2. A shard is opened by the first call that needs it and closed after idle_close_us without one; a database that is not in use costs a
 *    few KB and no file descriptor.
 * 3. A damaged database fails its own calls, with the error that opening it met; all others serve. JADE_E_CORRUPT and JADE_E_VERSION stay
 *    until restart; other errors of opening are tried again by a later call, at most once a second. A shard whose writes stopped
 *    (JADE_E_POISONED) stays open, and stopped, until restart.
 * 4. Delete and close wait for the calls that run; calls that come later get JADE_E_NOT_FOUND (deleted) or JADE_E_UNAVAILABLE (node stops).
 * 5. A database holds text embedded by one model version only: the one it was created with or the first that wrote to it.
 *
 * Ownership: jade_node_find gives a reference that the caller returns with jade_database_unref; it holds the description, not the
 * shard, and may outlive a delete. All other results are copies, in the caller's arena where they have no fixed size.
 * Threads: all functions but open and close from any thread. They block (disk, group commit): never on an event loop.
 *
 * Calling sequence:
 *     struct jade_node_opts opts = jade_node_opts_default();  opts.os = jade_os_posix();  opts.data = "data";
 *     jade_node_open(&opts, &node, err);
 *     jade_auth_bootstrap(jade_node_auth(node), getenv("JADE_ADMIN_KEY"), ...);
 *     per request:  jade_node_find(node, ref, n, &db, err);  jade_database_search(db, &find, &arena, &result, err);  jade_database_unref(db);
 *     jade_node_stop(node);  (the server drains its connections)  jade_node_close(node, 5000000, err);
 */
#ifndef JADE_NODE_NODE_H
#define JADE_NODE_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/limits.h"
#include "catalog/catalog.h"
#include "embed/embed.h"
#include "filter/filter.h"
#include "format/json.h"
#include "os/os.h"
#include "shard/shard.h"

struct jade_node;
struct jade_database; /* a reference-counted description, with the shard behind it */

enum {
    JADE_DATABASE_ID_SIZE = 32,         /* "db_" and 26 characters, NUL */
    JADE_JOB_ID_SIZE = 32,              /* "job_" and 26 characters, NUL */
    JADE_VECTOR_ID_CHARS = 30,          /* a generated vector id: "vec_" and 26 characters */
    JADE_DESCRIPTION_MAX = 4096,        /* bytes */
    JADE_CONFIG_BYTES_MAX = 256 * 1024, /* of config_json */
    JADE_DATABASES_MAX = 10000,         /* of a node */
    JADE_JOBS_QUEUED_MAX = 256,         /* waiting jobs; past it JADE_E_BUSY */
    JADE_JOBS_KEPT_MAX = 1000,          /* finished jobs that are remembered */
};

/* ---- node ---- */

struct jade_node_opts {
    struct jade_os *os;
    const char *data;            /* made when missing */
    unsigned background_threads; /* of the engine; 0 = one a processor */
    uint64_t idle_close_us;      /* default 5 min */
    bool manual; /* no thread at all: jade_node_run does what threads would (tests) */
    /* What databases get that do not say otherwise. dim, metric and index of it are not used. */
    struct jade_shard_config shard;
    struct jade_catalog *catalog; /* NULL: catalog.db of the data folder; else borrowed (tests) */
};
struct jade_node_opts jade_node_opts_default(void);

/**
 * Opens the data folder: locks it, opens catalog, keys and models, sweeps what crashes left, lists the databases. No shard is opened.
 * Errors: JADE_E_LOCKED and JADE_E_IO (not writable), both naming the folder; JADE_E_CORRUPT (catalog or default model damaged, or catalog.db is missing
 * although databases are there); JADE_E_VERSION; JADE_E_NOSPACE; JADE_E_NOMEM.
 */
jade_code jade_node_open(const struct jade_node_opts *opts, struct jade_node **out,
                         struct jade_err *err);
/** Refuses new calls (JADE_E_UNAVAILABLE) and cancels every job; returns at once. Signal handlers: no. */
void jade_node_stop(struct jade_node *n);
/**
 * Stops, waits up to timeout_us for running calls and jobs, closes every shard, lets the folder go and frees n. References must have been returned.
 * Errors: JADE_E_TIMEOUT: calls are still running, n lives on, call again or exit the process (all acknowledged writes are safe);
 * else n is freed and the error is that of the first shard whose last sync failed. NULL is allowed.
 */
jade_code jade_node_close(struct jade_node *n, uint64_t timeout_us, struct jade_err *err);

struct jade_os *jade_node_os(struct jade_node *n);
struct jade_auth *jade_node_auth(struct jade_node *n);
/** The registry of models, for listing and training (embed/embed.h). */
struct jade_embed *jade_node_embed_registry(struct jade_node *n);
const char *jade_node_data(const struct jade_node *n);

/** One look; totals count the databases that are open and, for idle ones, what they had when they were closed (0 if never opened yet). */
struct jade_node_status {
    bool stopping;
    uint64_t uptime_us;
    int64_t started_us;
    uint32_t n_databases, n_open, n_damaged;
    uint32_t n_orphans; /* folders without catalog row that were found at start and left alone */
    uint32_t n_jobs_queued, n_jobs_running;
    uint64_t n_vectors, n_tail_rows, wal_bytes, disk_bytes, shard_memory_bytes;
    uint64_t n_searches, n_writes; /* by the calls below, since the node opened */
    uint64_t n_texts_embedded;
    int64_t memory_bytes; /* jade_alloc_bytes_total; by tag: jade_alloc_bytes(tag) */
    uint64_t disk_free_bytes, disk_total_bytes; /* 0 when the system would not tell */
};
void jade_node_status(struct jade_node *n, struct jade_node_status *out);
/** Closes shards that were idle for idle_close_us (one with a long log gets a checkpoint job first, and is closed later); returns how many. The node's own thread does it too. */
unsigned jade_node_close_idle(struct jade_node *n);
/** Manual nodes: runs background work and queued jobs until none is left, and closes idle shards. */
void jade_node_run(struct jade_node *n);

/* ---- databases ---- */

/** What a database is to be; strings are borrowed. Start from jade_database_spec_default. */
struct jade_database_spec {
    const char *
        name; /* 1..128 of A-Z a-z 0-9 _ . - , beginning with a letter or digit; not of the form of an id */
    const char *description; /* UTF-8, may be "" */
    uint32_t dimension;      /* 1..16384; 0 with a model: the model's */
    enum jade_metric metric;
    struct jade_index_params index;
    enum jade_durability durability; /* DEFAULT = the node's */
    const char *model_name;          /* NULL or "" = the first text write decides */
    const char *model_version; /* NULL or "" = the default version, fixed by the first text write */
    struct jade_str
        config_json; /* the accepted database object, kept and given back as it is (minified); p NULL = {} */
};
struct jade_database_spec jade_database_spec_default(void);

/**
 * Field names in errors are those of the REST body: "name", "description", "vectorDimension", "metric", "indexParameters.M", "indexParameters.efConstruction",
 * "indexParameters.efSearch", "embeddingModels", "config".
 * Errors: JADE_E_INVALID_ARGUMENT, JADE_E_ALREADY_EXISTS (name), JADE_E_UNPROCESSABLE (dimension is not the model's), JADE_E_TOO_LARGE (JADE_DATABASES_MAX, config),
 * JADE_E_NOSPACE, JADE_E_IO, JADE_E_NOMEM, JADE_E_UNAVAILABLE. On an error nothing exists. *out is a reference.
 */
jade_code jade_node_create(struct jade_node *n, const struct jade_database_spec *spec,
                           struct jade_database **out, struct jade_err *err);
/** By id or name. Errors: JADE_E_NOT_FOUND (field "databaseId"), JADE_E_UNAVAILABLE. */
jade_code jade_node_find(struct jade_node *n, const char *id_or_name, size_t len,
                         struct jade_database **out, struct jade_err *err);
/** References to all databases, by name, in fresh memory: unref each, then jade_free(list). */
jade_code jade_node_list(struct jade_node *n, struct jade_database ***list_out, size_t *n_out,
                         struct jade_err *err);
/** Removes row, waits for running calls, removes the folder. The caller's reference stays valid (unref it). Errors: JADE_E_NOT_FOUND (someone else was first),
 * JADE_E_IO (catalog), JADE_E_UNAVAILABLE. A folder that could not be removed is logged and swept at the next start. */
jade_code jade_node_delete(struct jade_node *n, struct jade_database *db, struct jade_err *err);
/** NULL is allowed. */
void jade_database_unref(struct jade_database *db);

enum jade_database_state {
    JADE_DATABASE_IDLE,    /* closed: no file descriptor */
    JADE_DATABASE_OPENING, /* also: recovering */
    JADE_DATABASE_OPEN,
    JADE_DATABASE_CLOSING,
    JADE_DATABASE_DAMAGED, /* the last opening failed: see error */
    JADE_DATABASE_DELETED,
};
/** "idle", "opening", "open", "closing", "damaged", "deleted". */
const char *jade_database_state_name(enum jade_database_state s);

struct jade_database_info {
    char id[JADE_DATABASE_ID_SIZE];
    char name[JADE_DB_NAME_MAX + 1];
    const char *description; /* in the arena */
    uint32_t dimension;
    enum jade_metric metric;
    struct jade_index_params index;
    enum jade_durability durability;
    char model_name[JADE_EMBED_NAME_SIZE]; /* "" = none yet */
    char model_version[JADE_EMBED_NAME_SIZE];
    int64_t created_us, updated_us;
    uint64_t revision;    /* of the description: grows with each change */
    bool rebuild_pending; /* index parameters were changed and rows are still to be rebuilt */
    struct jade_str config_json; /* in the arena */
    enum jade_database_state state;
    struct jade_err error; /* of the last failed opening; code JADE_OK when there is none */
};
/** Never opens the shard. Works on deleted databases too. Errors: JADE_E_NOMEM. */
jade_code jade_database_info(struct jade_database *db, struct jade_arena *arena,
                             struct jade_database_info *out, struct jade_err *err);
/** These two never change. */
const char *jade_database_id(const struct jade_database *db);
uint32_t jade_database_dimension(const struct jade_database *db);

struct jade_database_update {
    uint64_t revision; /* after the change */
    bool changed;      /* false: spec says what is already so */
    char job_id
        [JADE_JOB_ID_SIZE]; /* of the rebuild that M, efConstruction or the index type made necessary; "" = none */
};
/**
 * Replaces what may change: description, efSearch, durability and config at once; index type, M, efConstruction by a rebuild job (searches go on with
 * the old graph meanwhile; a restart queues it again). expected_revision 0 = any, else JADE_E_CONFLICT when it is not the present one.
 * Refused with JADE_E_UNPROCESSABLE naming the field: name, vectorDimension, metric, embeddingModels (once bound) that differ. dimension 0, model_name NULL:
 * unchanged. Errors also: as jade_node_create; JADE_E_BUSY (too many jobs).
 */
jade_code jade_database_update(struct jade_database *db, const struct jade_database_spec *spec,
                               uint64_t expected_revision, struct jade_database_update *out,
                               struct jade_err *err);

struct jade_database_stats {
    enum jade_database_state state;
    bool known; /* shard is filled: open now, or was open since the node started */
    struct jade_shard_stats shard;      /* as of now, or of the last close */
    struct jade_shard_open_info opened; /* of the last opening */
    uint64_t n_searches, n_writes, n_rows_written, n_rows_deleted, n_gets, n_texts,
        n_errors;       /* calls since the node opened */
    uint32_t n_running; /* calls in this moment */
};
/** open: opens the shard if it is idle, so that `known` is true on success; else never fails and never opens. Errors: those of opening. */
jade_code jade_database_stats(struct jade_database *db, bool open, struct jade_database_stats *out,
                              struct jade_err *err);

/* ---- vectors: every function may open the shard, and then has its errors; all fail with JADE_E_NOT_FOUND, field "databaseId", once it is deleted ---- */

/** One vector to store; borrowed. Either values or text. */
struct jade_put {
    const char *id; /* NULL: generated */
    uint32_t id_len;
    const float *values;
    uint32_t dim;
    struct jade_str text; /* used when values is NULL: embedded by the database's model */
    const char *metadata; /* minified JSON object, or NULL */
    uint32_t metadata_len;
};
struct jade_put_result {
    const char *id; /* in the arena; NUL-terminated */
    uint32_t id_len;
    uint64_t version;
    bool created;
};
struct jade_put_opts {
    enum jade_write_mode mode;
    enum jade_durability durability; /* DEFAULT = the database's */
    const char *
        model_name; /* NULL = do not say; else the values or texts are of this model (and version): binds or is refused */
    const char *model_version;
};
/**
 * Stores puts as one atomic record (shard.h). results_out: n of them, in the arena. The first text write (or one that names its model) binds the model.
 * Errors: jade_shard_upsert's, with fields "vectors[i].values", "vectors[i].id", "vectors[i].metadata"; jade_embed_texts', with field "vectors[i].text";
 * JADE_E_UNPROCESSABLE, field "embeddingModel" (another model or version, or one whose dimension is not the database's).
 */
jade_code jade_database_put(struct jade_database *db, const struct jade_put *puts, uint32_t n,
                            const struct jade_put_opts *opts, struct jade_arena *arena,
                            struct jade_put_result **results_out,
                            struct jade_write_result *write_out, struct jade_err *err);
/** Missing ids are not an error: write_out->n_deleted counts those found. */
jade_code jade_database_delete_ids(struct jade_database *db, const char *const *ids,
                                   const uint32_t *id_lens, uint32_t n,
                                   enum jade_durability durability,
                                   struct jade_write_result *write_out, struct jade_err *err);
/** with: JADE_WITH_VALUES | JADE_WITH_METADATA. Errors: JADE_E_NOT_FOUND with field "vectorId". */
jade_code jade_database_get(struct jade_database *db, const char *id, uint32_t id_len,
                            unsigned with, struct jade_arena *arena, struct jade_record *out,
                            struct jade_err *err);
jade_code jade_database_count(struct jade_database *db, const struct jade_filter *filter,
                              uint64_t *n_out, struct jade_err *err);

enum jade_find_by { JADE_FIND_VECTOR, JADE_FIND_TEXT, JADE_FIND_ID };
struct jade_find {
    enum jade_find_by by;
    const float *vector; /* by vector */
    uint32_t dim;
    struct jade_str
        text; /* by text: embedded by the bound model; if none is bound yet, by model_name or the default one of that dimension */
    const char *model_name; /* NULL = the database's */
    const char *model_version;
    const char *id; /* by id: near this stored vector */
    uint32_t id_len;
    bool
        include_self; /* by id: else the vector itself is left out, and k is at most JADE_TOPK_MAX - 1 */
    uint32_t k;
    uint32_t ef; /* 0 = the database's efSearch */
    bool exact;
    bool has_threshold;
    double threshold;
    const struct jade_filter *filter;
    unsigned with;
};
struct jade_find_result {
    struct jade_hit *hits; /* best first, in the arena */
    uint32_t n;
    struct jade_search_info info;
    uint64_t embed_us, search_us; /* time of the two parts */
};
/**
 * k nearest records. Errors: jade_shard_search's, with fields "queryVector", "topK", "efSearch", "threshold"; jade_embed_texts' with field "text";
 * JADE_E_NOT_FOUND, field "id"; JADE_E_UNPROCESSABLE, field "embeddingModel".
 */
jade_code jade_database_search(struct jade_database *db, const struct jade_find *q,
                               struct jade_arena *arena, struct jade_find_result *out,
                               struct jade_err *err);

/* ---- models ---- */

struct jade_embedding {
    const char *model_name, *model_version; /* live as long as the node */
    uint32_t dimension;
    float *vectors; /* [n, dimension], in the arena */
};
/** Embeds texts by a model (NULL, "" = jade-hash-384) and version (NULL, "" = its default). Errors: JADE_E_NOT_FOUND with field "model" or "version"; jade_embed_texts'. */
jade_code jade_node_embed(struct jade_node *n, const char *model, const char *version,
                          const struct jade_str *texts, size_t n_texts, struct jade_arena *arena,
                          struct jade_embedding *out, struct jade_err *err);

/** 26 characters (and NUL) that sort by time: UUID version 7 in lower-case Crockford base32, RFC 9562. */
jade_code jade_node_unique(struct jade_node *n, char out[27], struct jade_err *err);

/* ---- jobs: one runs at a time, in the order of coming ---- */

enum jade_job_kind { JADE_JOB_REBUILD, JADE_JOB_CHECKPOINT };
enum jade_job_state {
    JADE_JOB_QUEUED,
    JADE_JOB_RUNNING,
    JADE_JOB_SUCCEEDED,
    JADE_JOB_FAILED,
    JADE_JOB_CANCELLED
};
const char *jade_job_kind_name(enum jade_job_kind k); /* "rebuild", "checkpoint" */
const char *jade_job_state_name(
    enum jade_job_state s); /* "queued", "running", "succeeded", "failed", "cancelled" */

struct jade_job {
    char id[JADE_JOB_ID_SIZE];
    enum jade_job_kind kind;
    enum jade_job_state state;
    char database_id[JADE_DATABASE_ID_SIZE];
    char database_name[JADE_DB_NAME_MAX + 1];
    bool cancel_requested;
    double progress;                             /* 0..1 */
    int64_t eta_s;                               /* -1 = cannot be told */
    struct jade_err error;                       /* of FAILED */
    int64_t created_us, started_us, finished_us; /* 0 = not yet */
};
/**
 * Queues a job on a database; rebuild: with its present index parameters. At most one waiting or running job of a kind on a database.
 * Errors: JADE_E_CONFLICT (there is one, named in the message), JADE_E_BUSY (JADE_JOBS_QUEUED_MAX), JADE_E_NOT_FOUND, JADE_E_UNAVAILABLE, JADE_E_NOMEM.
 */
jade_code jade_database_start_job(struct jade_database *db, enum jade_job_kind kind,
                                  struct jade_job *out, struct jade_err *err);
/** Errors: JADE_E_NOT_FOUND (field "operationId"): never was, or is forgotten. */
jade_code jade_node_job(struct jade_node *n, const char *id, size_t len, struct jade_job *out,
                        struct jade_err *err);
/** All that are known, newest first, in fresh memory (jade_free). */
jade_code jade_node_jobs(struct jade_node *n, struct jade_job **list_out, size_t *n_out,
                         struct jade_err *err);
/** Asks a job to end; a queued one ends now, a running one soon (out shows which). Errors: JADE_E_NOT_FOUND, JADE_E_CONFLICT (finished already). */
jade_code jade_node_job_cancel(struct jade_node *n, const char *id, size_t len,
                               struct jade_job *out, struct jade_err *err);
/** Waits until the job has finished. Errors: JADE_E_TIMEOUT (out is filled all the same), JADE_E_NOT_FOUND. */
jade_code jade_node_job_wait(struct jade_node *n, const char *id, size_t len, uint64_t timeout_us,
                             struct jade_job *out, struct jade_err *err);

#endif
