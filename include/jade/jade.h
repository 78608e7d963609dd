/*
 * libjade: JadeVectorDB as a C library. The engine of the server without the server: no network, no threads but its own background
 * workers, all state in handles.
 *
 * Calling sequence
 *     jade_env *env;  jade_db *db;  jade_error err = {0};
 *     jade_env_open("data", NULL, &env, &err);                          (a folder; locked while open)
 *     jade_db_config config = jade_db_config_default(384);
 *     jade_db_create(env, "articles", &config, &db, &err);        (or jade_db_open)
 *     jade_record r = {.id = "a1", .values = v, .metadata = "{\"lang\":\"en\"}"};
 *     jade_db_upsert(db, &r, 1, NULL, NULL, &err);                 (durable and searchable when it returns)
 *     jade_query q = {.vector = v, .top_k = 10, .filter = "{\"lang\":\"en\"}", .include = JADE_INCLUDE_METADATA};
 *     jade_results *res;  jade_db_search(db, &q, &res, &err);
 *     for (size_t i = 0; i < jade_results_count(res); i++) { const jade_result *hit = jade_results_at(res, i); ... }
 *     jade_results_free(res);  jade_db_close(db, &err);  jade_env_close(env, &err);
 *
 * Invariants
 * 1. A call that returned an error other than JADE_E_IO and JADE_E_POISONED changed nothing; after these two a write is unknown until the
 *    database is opened again. 2. A batch is atomic: all of its records or none, also after a crash. 3. A write at durability `sync` (the
 *    default) is on stable storage when it returns. 4. Reads see every write that returned before they began.
 * Ownership: inputs are borrowed for the call; results are freed with jade_results_free. Strings are NUL-terminated UTF-8.
 * Threads: a jade_env and a jade_db may be used from any threads at once; open and close of one handle by one thread.
 * Errors: a negative jade_code; `err` (may be NULL) says which field is to blame and what was expected.
 */
#ifndef JADE_JADE_H
#define JADE_JADE_H

#include <stddef.h>
#include <stdint.h>

#include "jade/code.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct jade_err jade_error;
typedef struct jade_env jade_env;         /* a data folder with its databases */
typedef struct jade_db jade_db;           /* an open database */
typedef struct jade_results jade_results; /* what a search or get returned */

/** Version of the library, e.g. "0.1.0". */
JADE_API const char *jade_version(void);

/* ---- environment ---- */

typedef struct {
    unsigned background_threads; /* index building, sealing, merging; 0 = one a processor */
} jade_env_options;

/** Opens (makes when missing) a data folder. Errors: JADE_E_LOCKED (another process has it), JADE_E_IO, JADE_E_NOMEM. */
JADE_API jade_code jade_env_open(const char *folder, const jade_env_options *options,
                                 jade_env **env_out, jade_error *err);
/** Every database must be closed. NULL is allowed. */
JADE_API jade_code jade_env_close(jade_env *env, jade_error *err);
/** Calls fn for each database's name, in order of names; a non-zero return stops. */
JADE_API jade_code jade_env_list(jade_env *env, int (*fn)(void *ctx, const char *name), void *ctx,
                                 jade_error *err);

/* ---- databases ---- */

typedef struct {
    uint32_t dimension;       /* 1..16384 */
    const char *metric;       /* "cosine" (default), "euclidean", "dot" */
    const char *index;        /* "hnsw" (default), "flat" */
    uint32_t m;               /* HNSW M, default 16 */
    uint32_t ef_construction; /* default 200 */
    uint32_t ef_search;       /* default effort of a search, default 64 */
    const char *durability;   /* "sync" (default), "periodic", "async" */
} jade_db_config;

/** The defaults above with this dimension. */
JADE_API jade_db_config jade_db_config_default(uint32_t dimension);
/** Makes a database and opens it. name: 1..128 of A-Z a-z 0-9 _ . -, beginning with a letter or digit. Errors: JADE_E_ALREADY_EXISTS, JADE_E_INVALID_ARGUMENT (field named), ... */
JADE_API jade_code jade_db_create(jade_env *env, const char *name, const jade_db_config *config,
                                  jade_db **db_out, jade_error *err);
/** Opens an existing one; after a crash it recovers here. Errors: JADE_E_NOT_FOUND, JADE_E_CORRUPT (nothing was changed), ... */
JADE_API jade_code jade_db_open(jade_env *env, const char *name, jade_db **db_out, jade_error *err);
/** Waits for background work, makes everything durable. The handle is gone in every case. NULL is allowed. */
JADE_API jade_code jade_db_close(jade_db *db, jade_error *err);
/** Removes a database with all its data. It must not be open. Errors: JADE_E_NOT_FOUND, JADE_E_LOCKED. */
JADE_API jade_code jade_db_drop(jade_env *env, const char *name, jade_error *err);
/** Dimension, metric, index as created; strings are static. */
JADE_API jade_db_config jade_db_config_of(const jade_db *db);

/* ---- writes ---- */

typedef struct {
    const char *id;       /* 1..512 bytes, or NULL: one is generated */
    const float *values;  /* `dimension` finite numbers */
    const char *metadata; /* JSON object, or NULL */
} jade_record;

typedef struct {
    const char *durability; /* NULL = the database's */
    int insert_only; /* non-zero: JADE_E_ALREADY_EXISTS when an id is there, nothing is written */
    int update_only; /* non-zero: JADE_E_NOT_FOUND when an id is not there, nothing is written */
} jade_write_options;

enum { JADE_GENERATED_ID_SIZE = 40 };
typedef struct {
    uint64_t version;                /* of the record now, 1 when created */
    int created;                     /* 1 = new, 0 = replaced */
    char id[JADE_GENERATED_ID_SIZE]; /* the generated id; "" when the caller gave one */
} jade_written;

/** Inserts or replaces n records as one atomic batch. written: NULL or n of them. */
JADE_API jade_code jade_db_upsert(jade_db *db, const jade_record *records, size_t n,
                                  const jade_write_options *options, jade_written *written,
                                  jade_error *err);
/** Deletes ids; *deleted_out (nullable) counts those that existed. */
JADE_API jade_code jade_db_delete(jade_db *db, const char *const *ids, size_t n,
                                  size_t *deleted_out, jade_error *err);

/* ---- reads ---- */

enum { JADE_INCLUDE_VALUES = 1, JADE_INCLUDE_METADATA = 2 };

typedef struct {
    const float *vector; /* `dimension` finite numbers */
    uint32_t top_k;      /* 1..10000 */
    uint32_t ef_search;  /* effort; 0 = the database's */
    int exact;           /* non-zero: exact scan */
    int has_threshold;
    double threshold;   /* only results with score >= it */
    const char *filter; /* JSON filter (docs/guides/filters.md), or NULL */
    unsigned include;   /* JADE_INCLUDE_* */
} jade_query;

typedef struct {
    const char *id;
    double score;         /* higher is better; 0 from jade_db_get */
    double distance;      /* raw, lower is better */
    const float *values;  /* NULL unless included */
    const char *metadata; /* JSON, NULL unless included and present */
    uint64_t version;
    int64_t created_us, updated_us; /* since 1970-01-01 UTC */
} jade_result;

/** k nearest, best first; never fewer than top_k while that many match. */
JADE_API jade_code jade_db_search(jade_db *db, const jade_query *query, jade_results **results_out,
                                  jade_error *err);
/** One record by id, as the only result. Errors: JADE_E_NOT_FOUND. */
JADE_API jade_code jade_db_get(jade_db *db, const char *id, unsigned include,
                               jade_results **results_out, jade_error *err);
/** Records that match the filter (NULL = all). */
JADE_API jade_code jade_db_count(jade_db *db, const char *filter, uint64_t *count_out,
                                 jade_error *err);
JADE_API size_t jade_results_count(const jade_results *results);
/** i < count. Valid until jade_results_free. */
JADE_API const jade_result *jade_results_at(const jade_results *results, size_t i);
JADE_API void jade_results_free(jade_results *results);

/* ---- maintenance ---- */

typedef struct {
    uint64_t records, deleted_rows, segments, unindexed_rows, wal_bytes, disk_bytes, memory_bytes;
} jade_db_stats;
JADE_API void jade_db_get_stats(jade_db *db, jade_db_stats *stats_out);
/** Waits until every record is in the index (searches are right before, too). JADE_E_TIMEOUT. */
JADE_API jade_code jade_db_wait_indexed(jade_db *db, uint64_t timeout_us, jade_error *err);
/** Writes what is in memory as segments and trims the log: the next open replays nothing. */
JADE_API jade_code jade_db_checkpoint(jade_db *db, jade_error *err);
/** Rewrites segments without deleted rows into as few as possible. */
JADE_API jade_code jade_db_compact(jade_db *db, jade_error *err);

#ifdef __cplusplus
}
#endif
#endif
