/*
 * One copy of one shard: a write-ahead log, a growing segment in memory, sealed segments on disk, and what turns the one into the other.
 *
 * Promises
 * 1. A write that returned JADE_OK at durability `sync` is on stable storage; whatever the durability, it is visible to every read
 *    that begins afterwards. A write that returned an error other than JADE_E_IO/JADE_E_POISONED changed nothing; after these two it is
 *    unknown until the shard is opened again.
 * 2. One write is one WAL record: all of its rows or none, at every moment and after every crash.
 * 3. A read sees one LSN: every write up to it, nothing after it (and nothing that is not yet acknowledged at its durability).
 * 4. A failed WAL write or sync stops writes on this shard (JADE_E_POISONED) until it is opened again; reads go on.
 *
 * Write path: queue -> the first waiter becomes leader and commits the whole queue as one group: checks, WAL append, sync, apply to the
 * growing segment in LSN order, publish the visible LSN, wake. No thread belongs to a shard.
 * Background: rows are added to the graph of the growing segment in chunks; at seal_bytes of WAL it is frozen, its graph finished, written as a
 * sealed segment, and the manifest moves the checkpoint; small or dead-heavy segments are merged. Reads hold an epoch, never a lock (the
 * id and metadata tables of the growing segment have a reader-writer lock).
 * Threads: every function but open and close from any thread.
 */
#ifndef JADE_SHARD_SHARD_H
#define JADE_SHARD_SHARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/ids.h"
#include "filter/filter.h"
#include "format/record.h"
#include "index/index.h"
#include "shard/engine.h"

struct jade_shard;

enum jade_durability {
    JADE_DURABILITY_SYNC = 0,
    JADE_DURABILITY_PERIODIC = 1,
    JADE_DURABILITY_ASYNC = 2,
    JADE_DURABILITY_DEFAULT = 3
};
/** "sync", "periodic", "async" in any case. */
jade_code jade_durability_parse(const char *word, size_t n, enum jade_durability *out,
                                struct jade_err *err);
const char *jade_durability_name(enum jade_durability d);

struct jade_shard_config {
    uint32_t dim;
    enum jade_metric metric;
    struct jade_index_params index;
    enum jade_durability durability; /* of writes that name none; never DEFAULT */
    uint32_t
        sync_interval_ms; /* periodic: bytes reach stable storage at most this much later; async: also the OS. default 1000 */
    uint64_t seal_bytes; /* WAL bytes after which the growing segment is frozen. default 128 MiB */
    uint64_t
        tail_soft_bytes; /* vector bytes not yet in a graph from which on writers are slowed. default 64 MiB */
    uint64_t tail_hard_bytes; /* where they are slowed to the speed of the index. default 256 MiB */
    uint32_t metadata_bytes_max; /* of one row's JSON. default 64 KiB */
    uint32_t
        graph_rows_min; /* a segment with fewer rows has no graph: a scan is as fast, and exact. default 2048 */
    uint32_t merge_rows_max; /* merges make no segment larger than this. default 8,388,608 */
};
struct jade_shard_config jade_shard_config_default(uint32_t dim, enum jade_metric metric);
/** Ranges; the error names the field. */
jade_code jade_shard_config_check(const struct jade_shard_config *c, struct jade_err *err);

/** Makes a new, empty shard in `dir` (created; must not hold a finished shard: JADE_E_ALREADY_EXISTS). CURRENT is written last. */
jade_code jade_shard_create(struct jade_engine *e, const char *dir,
                            const struct jade_shard_config *config, struct jade_err *err);

struct jade_shard_open_info {
    uint64_t replayed_records, replayed_bytes, tail_bytes_cut, open_us;
    bool clean; /* the last close was in order */
};
/** Opens and recovers. Errors: JADE_E_NOT_FOUND, JADE_E_CORRUPT (nothing was changed), JADE_E_LOCKED, JADE_E_IO, ... */
jade_code jade_shard_open(struct jade_engine *e, const char *dir,
                          const struct jade_shard_config *config, struct jade_shard **out,
                          struct jade_shard_open_info *info_out, struct jade_err *err);
/**
 * For a shard that is about to be closed: maintenance calls that run (checkpoint, rebuild) soon end with JADE_E_CANCELLED, and so do later ones that find work; no
 * background work begins any more. Reads and writes go on. Returns at once; from any thread.
 */
void jade_shard_stop(struct jade_shard *s);
/** Waits for running calls' background work, syncs, marks clean, closes. Frees s in every case; the error tells that the last sync failed. */
jade_code jade_shard_close(struct jade_shard *s, struct jade_err *err);

/* ---- writes ---- */

enum jade_write_mode {
    JADE_WRITE_UPSERT, /* insert or replace */
    JADE_WRITE_INSERT, /* JADE_E_ALREADY_EXISTS when any id is there */
    JADE_WRITE_UPDATE, /* JADE_E_NOT_FOUND when any id is not */
};
struct jade_row_result {
    uint64_t version; /* of the row now: 1 when created */
    bool created;
};
struct jade_write_opts {
    enum jade_write_mode mode;
    enum jade_durability durability; /* DEFAULT = the shard's */
};
struct jade_write_result {
    struct jade_lsn lsn; /* 0 when nothing was written (delete of missing ids) */
    uint32_t n_created, n_updated, n_deleted;
};
/**
 * Writes rows as one atomic record. Checks dimension, finite values, no zero vector under cosine, id length and UTF-8, metadata size, ids unique in the
 * batch: field "vectors[i].<part>" in the error (callers re-prefix). row.time_us 0 = now. row_results (nullable): n of them.
 * Metadata must be a valid minified JSON object (checked). Errors besides: JADE_E_TOO_LARGE (record over 64 MiB), JADE_E_BUSY, JADE_E_NOSPACE, JADE_E_POISONED, JADE_E_IO.
 */
jade_code jade_shard_upsert(struct jade_shard *s, const struct jade_row *rows, uint32_t n,
                            const struct jade_write_opts *opts,
                            struct jade_write_result *result_out,
                            struct jade_row_result *row_results, struct jade_err *err);
/** Deletes ids; missing ones are not an error (n_deleted counts those found). */
jade_code jade_shard_delete(struct jade_shard *s, const char *const *ids, const uint32_t *id_lens,
                            uint32_t n, const struct jade_write_opts *opts,
                            struct jade_write_result *result_out, struct jade_err *err);

/* ---- reads ---- */

/** A row as a read returns it; everything copied into the caller's arena. */
struct jade_record {
    const char *id;
    uint32_t id_len;
    const float *values;  /* dim floats, or NULL when not asked for */
    const char *metadata; /* JSON text, NULL when the row has none or it was not asked for */
    uint32_t metadata_len;
    uint64_t version;
    int64_t created_us, updated_us;
    struct jade_lsn lsn;
};
enum { JADE_WITH_VALUES = 1, JADE_WITH_METADATA = 2 };

/** Newest visible version of an id at `at` (JADE_LSN_NONE = now; else a pinned LSN). Errors: JADE_E_NOT_FOUND, JADE_E_SNAPSHOT_TOO_OLD, JADE_E_CORRUPT. */
jade_code jade_shard_get(struct jade_shard *s, const char *id, uint32_t id_len, unsigned with,
                         struct jade_lsn at, struct jade_arena *arena, struct jade_record *out,
                         struct jade_err *err);

struct jade_search {
    const float *vector;
    uint32_t dim;
    uint32_t k;
    uint32_t ef; /* 0 = of the index */
    bool exact;  /* scan everything */
    bool has_threshold;
    double threshold;                 /* on score: only hits with score >= it */
    const struct jade_filter *filter; /* NULL = all */
    unsigned with;
    struct jade_lsn at; /* JADE_LSN_NONE = now */
};
struct jade_hit {
    struct jade_record record;
    double score;    /* higher is better: cosine; dot product; 1 / (1 + L2 distance) */
    double distance; /* raw, lower is better: 1 - cosine; -dot; L2 */
};
enum jade_plan { JADE_PLAN_SCAN, JADE_PLAN_GRAPH, JADE_PLAN_FILTER_SCAN, JADE_PLAN_FILTER_GRAPH };
const char *jade_plan_name(enum jade_plan p);
struct jade_search_info {
    struct jade_lsn lsn;
    struct jade_search_stats stats;
    uint32_t n_segments;
    uint64_t
        filter_matches; /* rows that match the filter (deleted ones included); all rows when there is none */
    uint64_t tail_rows;  /* scanned because they are not in a graph yet */
    enum jade_plan plan; /* of the largest segment */
};
/** k nearest visible rows, best first; never fewer than k while k match. *hits_out lies in the arena. Errors: JADE_E_DIMENSION_MISMATCH, JADE_E_INVALID_ARGUMENT (field named), JADE_E_CORRUPT, JADE_E_IO, JADE_E_SNAPSHOT_TOO_OLD, JADE_E_NOMEM. */
jade_code jade_shard_search(struct jade_shard *s, const struct jade_search *q,
                            struct jade_arena *arena, struct jade_hit **hits_out, uint32_t *n_out,
                            struct jade_search_info *info_out, struct jade_err *err);
/** Visible rows that match (NULL = all). */
jade_code jade_shard_count(struct jade_shard *s, const struct jade_filter *filter,
                           struct jade_lsn at, uint64_t *n_out, struct jade_err *err);

/* ---- snapshots ---- */

struct jade_pin {
    struct jade_lsn lsn;
    uint64_t id;
};
/** Keeps everything visible at the present LSN until unpin; bounded in time and bytes (limits.h), past which reads at it fail with JADE_E_SNAPSHOT_TOO_OLD. */
jade_code jade_shard_pin(struct jade_shard *s, struct jade_pin *pin_out, struct jade_err *err);
void jade_shard_unpin(struct jade_shard *s, const struct jade_pin *pin);

/* ---- maintenance ---- */

/** Progress of a long call; return false to cancel it (JADE_E_CANCELLED). */
typedef bool (*jade_progress_fn)(void *ctx, uint64_t done, uint64_t total);
/** Seals what is in memory, moves the checkpoint to the last write, trims the log. */
jade_code jade_shard_checkpoint(struct jade_shard *s, struct jade_err *err);
/** Rewrites every segment without dead rows into as few as merge_rows_max allows, with the given index parameters (NULL = unchanged), beside live traffic. */
jade_code jade_shard_rebuild(struct jade_shard *s, const struct jade_index_params *params,
                             jade_progress_fn progress, void *ctx, struct jade_err *err);
/** Waits until every row is in a graph and nothing waits to be sealed (tests, benchmarks, wait=indexed); JADE_E_TIMEOUT. */
jade_code jade_shard_wait_indexed(struct jade_shard *s, uint64_t timeout_us, struct jade_err *err);
/** Verifies every block of every segment and the graph's invariants. */
jade_code jade_shard_verify(struct jade_shard *s, struct jade_err *err);

struct jade_shard_stats {
    uint64_t n_live, n_rows, n_dead;
    uint64_t n_segments, n_sealed;
    uint64_t tail_rows, tail_bytes; /* still to be added to a graph */
    uint64_t wal_bytes;             /* to be replayed after a crash */
    uint64_t disk_bytes, memory_bytes;
    struct jade_lsn visible, durable, checkpoint;
    uint64_t n_searches, n_writes; /* since open */
    bool poisoned;
    char poison_reason[JADE_ERR_MESSAGE_SIZE];
};
void jade_shard_stats(struct jade_shard *s, struct jade_shard_stats *out);
const struct jade_shard_config *jade_shard_config(const struct jade_shard *s);

#endif
