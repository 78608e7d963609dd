/*
 * Inside of src/shard. Lock order (docs/LOCKS.md): maintenance -> commit -> {indexing, pins, segment ids, segment metadata} -> queue.
 *
 * A segment is one struct in three states: growing (rows are appended by the committer), frozen (no more rows; its graph is being
 * finished), sealed (mapped files). Readers see all three through the same column pointers. The list of segments is an immutable
 * view, replaced under the commit lock and read inside an epoch.
 */
#ifndef JADE_SHARD_PRIVATE_H
#define JADE_SHARD_PRIVATE_H

#include "base/epoch.h"
#include "filter/metaindex.h"
#include "os/guard.h"
#include "os/pool.h"
#include "os/thread.h"
#include "os/vmem.h"
#include "shard/shard.h"
#include "store/manifest_file.h"
#include "store/segment_dir.h"
#include "store/super.h"
#include "store/wal.h"

enum {
    JADEI_INDEX_CHUNK_ROWS = 64, /* rows one claim of graph building covers */
    JADEI_INDEX_TASK_CHUNKS =
        8, /* claims a task works off before it queues itself again, so that shards share the workers */
    JADEI_CLAIMS_MAX = 64, /* claims open at a time in one segment */
    JADEI_NO_ROW = UINT32_MAX
};

/* ---- engine ---- */

struct jade_engine {
    struct jade_os *os;
    struct jade_pool *pool;
    struct jade_epoch_domain *epoch;
    unsigned index_tasks_max; /* tasks one shard may have in the pool for graph building */
    bool manual;

    struct jade_mutex mutex; /* the list of shards, the ticker's state */
    struct jade_cond wake;
    struct jade_shard *shards;
    struct jade_shard *ticking; /* the ticker looks at it, without the mutex */
    struct jade_cond ticked;
    struct jade_mutex parser_mutex;
    struct jade_json_parser *parsers[16];
    unsigned n_parsers;
    bool stopping, kicked;
    _Atomic bool asleep; /* the ticker waits without a time */
    struct jade_thread ticker;
};

/** A parser for metadata from the engine's small stock. */
jade_code jadei_metadata_parser_take(struct jade_engine *e, struct jade_json_parser **out,
                                     struct jade_err *err);
void jadei_metadata_parser_give(struct jade_engine *e, struct jade_json_parser *p);
/** Puts a shard under the ticker's eyes; takes it away, once the ticker is done with it. */
void jadei_engine_add(struct jade_engine *e, struct jade_shard *s);
void jadei_engine_remove(struct jade_engine *e, struct jade_shard *s);
/** Makes the ticker look now. */
void jadei_engine_kick(struct jade_engine *e);

/* ---- segments ---- */

/** A range of rows one worker is adding to the graph; a failed one is left for the next worker with first moved to the failed row. */
struct jadei_claim {
    uint32_t first, last;
    bool busy;
};

/** Memory of a growing segment: one fixed-address array a column. */
struct jadei_columns {
    struct jade_vmem vectors, norms, lsn, version, created, updated, id_off, meta_off, id_bytes,
        meta_bytes, prev;
    uint32_t rows_max;
    uint64_t bytes_max; /* of id_bytes and of meta_bytes */
    uint64_t *slots;    /* own copy of segment.slots, writable */
    uint32_t n_used;
    /* What is used once every logged request of the running group is applied; begins at what is used. */
    uint64_t planned_rows, planned_ids, planned_meta;
};

struct jadei_segment {
    uint64_t number;     /* folder number; 0 until sealed */
    bool sealed;         /* mapped files; fixed for the life of the object */
    _Atomic bool frozen; /* growing: takes no more rows */
    uint32_t dim;
    struct jade_lsn lsn_min,
        lsn_max; /* of its rows; growing: moved by the committer, read under the commit lock */
    _Atomic uint32_t n_rows; /* rows below are complete */
    _Atomic uint32_t n_dead; /* rows with a tombstone */

    struct jade_rows rows;
    const uint64_t *lsn, *version;
    const int64_t *created, *updated;
    const uint64_t *id_off, *meta_off; /* n_rows + 1 offsets */
    const uint8_t *id_bytes, *meta_bytes;
    const uint32_t *prev; /* older row of the same id in this segment + 1, 0 = none */
    const uint64_t *
        slots; /* id table: high 32 bits of the hash << 32 | newest row of that id + 1; 0 = empty */
    uint32_t n_slots;             /* power of two, or 0 */
    struct jade_rwlock ids_lock;  /* slots, n_slots, prev while growing */
    struct jade_rwlock meta_lock; /* metaindex while growing */

    struct jade_vmem tomb_mem;
    _Atomic(_Atomic uint64_t *)
        tomb; /* LSN of the tombstone per row, 0 = alive; NULL until the first one */
    struct jade_lsn tombs_stored; /* manifest: tombs-<lsn> file, 0 = none */
    uint32_t tombs_crc, tombs_stored_count;

    struct jade_index *index; /* NULL: flat, or too few rows */
    struct jade_metaindex *metaindex;

    /* growing and frozen */
    struct jadei_columns c;
    struct jade_mutex index_mutex; /* claims, index_next */
    struct jadei_claim claims[JADEI_CLAIMS_MAX];
    unsigned n_claims;
    uint32_t graph_rows_min;
    uint32_t index_next;        /* first row no claim covers */
    _Atomic uint32_t n_indexed; /* rows below are in the graph */

    /* sealed */
    struct jade_segment_dir *dir;
    struct jade_blockfile *f_ids, *f_rows, *f_meta;
    uint32_t desc_crc;
    uint64_t disk_bytes;
    uint64_t ids_slots_at, ids_prev_at, ids_off_at, ids_bytes_at; /* payload offsets in f_ids */
    uint64_t meta_off_at, meta_bytes_at;
};

struct jadei_view {
    uint32_t n;
    struct jadei_segment *segs[];
};

/** A row in a segment. */
struct jadei_place {
    struct jadei_segment *seg; /* NULL = nowhere */
    uint32_t row;
    uint64_t version; /* copied while the read was guarded */
    int64_t created_us;
};

jade_code jadei_growing_new(const struct jade_shard_config *config, struct jadei_segment **out,
                            struct jade_err *err);
/** Begins the planning of a group: nothing is reserved beyond the rows that are there. */
void jadei_growing_plan(struct jadei_segment *g);
/** True when n more rows with that many id and metadata bytes fit. */
bool jadei_growing_fits(const struct jadei_segment *g, uint32_t n, uint64_t id_bytes,
                        uint64_t meta_bytes);
/** Commits the memory for them, and the id table, so that the appends that follow cannot fail. */
jade_code jadei_growing_reserve(struct jadei_segment *g, uint32_t n, uint64_t id_bytes,
                                uint64_t meta_bytes, struct jade_err *err);
/** The rows last reserved will not come after all; their memory stays for the next ones. */
void jadei_growing_unreserve(struct jadei_segment *g, uint32_t n, uint64_t id_bytes,
                             uint64_t meta_bytes);
/** Appends one reserved row; not visible to readers before jadei_growing_publish. */
uint32_t jadei_growing_append(struct jadei_segment *g, const struct jade_row *row,
                              struct jade_lsn lsn, uint64_t version, int64_t created_us);
/** Makes rows below n visible, after indexing their metadata (parser: the committer's). */
void jadei_growing_publish(struct jadei_segment *g, uint32_t n, struct jade_json_parser *parser);

/** Opens a sealed segment named by the manifest, with its tombstones. */
jade_code jadei_sealed_open(struct jade_os *os, const char *dir,
                            const struct jade_shard_config *config,
                            const struct jade_manifest_segment *ms, struct jadei_segment **out,
                            struct jade_err *err);
void jadei_segment_free(void *segment);
/** Newest row of an id in this segment, JADEI_NO_ROW when it has none. */
jade_code jadei_segment_find(struct jadei_segment *s, const char *id, uint32_t id_len,
                             uint64_t hash, uint32_t *row_out, struct jade_err *err);
/** Next older row of the same id. */
jade_code jadei_segment_older(struct jadei_segment *s, uint32_t row, uint32_t *row_out,
                              struct jade_err *err);
jade_code jadei_segment_id(struct jadei_segment *s, uint32_t row, const char **id_out,
                           uint32_t *len_out, struct jade_err *err);
jade_code jadei_segment_metadata(struct jadei_segment *s, uint32_t row, const char **json_out,
                                 size_t *len_out, struct jade_err *err);
/** Verifies the row's entries of the lsn, version and time columns. */
jade_code jadei_segment_check_row(struct jadei_segment *s, uint32_t row, struct jade_err *err);
jade_code jadei_segment_check_lsns(struct jadei_segment *s, struct jade_err *err);
/** Tombstone LSN of a row, 0 = alive. */
uint64_t jadei_segment_tomb(const struct jadei_segment *s, uint32_t row);
/** Makes room for tombstones, so that jadei_segment_bury cannot fail. */
jade_code jadei_segment_tomb_reserve(struct jadei_segment *s, struct jade_err *err);
void jadei_segment_bury(struct jadei_segment *s, uint32_t row, struct jade_lsn lsn);
/** Copies the row out. */
jade_code jadei_segment_record(struct jadei_segment *s, uint32_t row, unsigned with,
                               struct jade_arena *arena, struct jade_record *out,
                               struct jade_err *err);
uint64_t jadei_segment_memory(const struct jadei_segment *s);

/* ---- id tables (growing and stored have the same form) ---- */

uint64_t jadei_id_hash(const char *id, uint32_t id_len);
/** Slots for n ids at load <= 1/2, a power of two. */
uint32_t jadei_id_slots_for(uint64_t n);

/* ---- writing a segment (seal, merge) ---- */

/** What is written: rows of one or several segments in order, those with keep (NULL = all). */
struct jadei_source {
    struct jadei_segment *seg;
    uint32_t n_rows;
    uint32_t *
        new_row; /* per row: number in the new segment, JADEI_NO_ROW = dropped; owned by the caller */
};
struct jadei_write_segment {
    struct jade_shard *shard;
    uint64_t number;
    struct jadei_source *sources;
    uint32_t n_sources;
    uint32_t n_rows; /* kept in all */
    const struct jade_index_params *params;
    struct jade_index
        *ready; /* seal: the finished graph (row numbers unchanged), else NULL: built here */
    struct jade_metaindex *ready_meta;
    jade_progress_fn progress;
    void *progress_ctx;
};
/** Writes folder segments/<number>; fills the manifest entry. Errors: JADE_E_CANCELLED when the shard is closing. */
jade_code jadei_segment_write(const struct jadei_write_segment *w,
                              struct jade_manifest_segment *ms_out, struct jade_err *err);
/** Adds rows [0, n) to an index with the help of idle workers. */
jade_code jadei_parallel_build(struct jade_shard *s, struct jade_index *ix, uint32_t n,
                               jade_progress_fn progress, void *ctx, struct jade_err *err);

/* ---- shard ---- */

/** A write waiting for its group. */
struct jadei_request {
    enum jade_record_type type;
    enum jade_write_mode mode;
    enum jade_durability durability;
    const struct jade_row *rows; /* UPSERT */
    const char *const *ids;      /* DELETE */
    const uint32_t *id_lens;
    uint32_t n;
    uint64_t *hashes;           /* n */
    struct jadei_place *places; /* n: where the live version is */
    struct jade_buf payload;
    uint64_t id_bytes, meta_bytes, log_bytes;
    struct jade_row_result *row_results;
    struct jade_write_result result;
    jade_code rc;
    struct jade_err err;
    bool done, logged;
    struct jadei_request *next;
};

struct jadei_pin {
    uint64_t id, since_us, dead_bytes_at;
    struct jade_lsn lsn;
};

struct jade_shard {
    struct jade_engine *engine;
    struct jade_shard *next; /* in the engine's list */
    char dir[JADE_PATH_MAX];
    struct jade_shard_config config; /* index changes under maintenance and commit (rebuild) */
    _Atomic bool flat;               /* config.index.kind, for writers that hold neither */
    struct jade_lock *lock;

    _Atomic(struct jadei_view *) view;
    _Atomic uint64_t visible; /* LSN up to which reads see */

    struct jade_mutex queue_mutex;
    struct jade_cond queue_cond;
    struct jadei_request *queue_head, *queue_tail;
    uint32_t queue_n;
    bool leader;

    struct jade_mutex commit; /* everything below to `maintenance` */
    struct jade_wal *wal;
    struct jade_super *super;
    struct jade_json_parser *parser;
    uint64_t *group_ids; /* set of id hashes in the current group, open addressing */
    uint32_t group_slots, group_used;
    _Atomic bool poisoned;
    struct jade_err poison;
    _Atomic uint64_t last_write_us, last_sync_us;
    _Atomic uint64_t wal_last, wal_durable;
    uint64_t bytes_since_freeze; /* of log records whose rows are in the growing segment */

    struct jade_mutex maintenance; /* one seal, merge or manifest change at a time */
    struct jade_manifest manifest;
    uint32_t segments_max; /* JADE_SEGMENTS_MAX; a test lowers it */
    _Atomic uint64_t checkpoint;
    _Atomic uint64_t retry_at_us; /* after a background failure */
    _Atomic bool checkpoint_due;  /* a log of deletes alone has grown to seal_bytes */
    _Atomic bool merge_due;       /* merging was put off or failed: to be looked at again */

    struct jade_mutex task_mutex; /* background bookkeeping */
    struct jade_cond task_cond;
    unsigned index_tasks, maintenance_tasks, helper_tasks; /* queued or running, by kind */
    uint64_t slow_until; /* when the writes that were let in so far are paid for (slow_down) */
    unsigned inflight;   /* of any kind: close waits for 0 */
    _Atomic bool stopping;

    struct jade_mutex pin_mutex;
    struct jadei_pin pins[JADE_PIN_MAX];
    unsigned n_pins;
    uint64_t pin_next;
    _Atomic uint64_t dead_bytes; /* ever buried, for the byte bound of pins */

    _Atomic uint64_t n_live, n_searches, n_writes;
    _Atomic uint64_t
        index_us_per_row_x16; /* smoothed cost of adding a row, for the slowing of writers */
};

/** Snapshot for one read: pinned epoch, view, and the LSN that belongs to it. */
struct jadei_read {
    struct jade_shard *shard;
    unsigned token;
    const struct jadei_view *view;
    struct jade_lsn lsn;
};
jade_code jadei_read_begin(struct jade_shard *s, struct jade_lsn at, struct jadei_read *r,
                           struct jade_err *err);
void jadei_read_end(struct jadei_read *r);

/** Replaces the view (commit lock held, or before the shard is shared); the old one is retired. remove[i] segments go, add (nullable) comes at the end. */
jade_code jadei_view_change(struct jade_shard *s, struct jadei_segment *const *remove,
                            uint32_t n_remove, struct jadei_segment *add, bool add_last,
                            struct jade_err *err);
struct jadei_segment *jadei_view_growing(const struct jadei_view *v);

/** Applies one logged record (commit lock held): reserves, buries, appends, publishes. Used by replay. */
jade_code jadei_apply_logged(struct jade_shard *s, const struct jade_wal_header *h,
                             const uint8_t *payload, struct jade_err *err);
/** Stops the present growing segment (commit lock held). */
void jadei_freeze(struct jade_shard *s);
void jadei_poison(struct jade_shard *s, const struct jade_err *err);
/** Everything appended so far durable (commit lock held); poisons on failure. */
jade_code jadei_sync_log(struct jade_shard *s, struct jade_err *err);
/** Keeps the durable mark in SUPER (commit lock held). */
jade_code jadei_mark_durable(struct jade_shard *s, bool clean, struct jade_err *err);

/** Time from `then` to `now`; 0 when `now` was read before `then`. */
static inline uint64_t jadei_since(uint64_t now_us, uint64_t then_us)
{
    return now_us > then_us ? now_us - then_us : 0;
}

/** Looks what background work there is and queues tasks for it. */
void jadei_background_kick(struct jade_shard *s);
/** Vector bytes and rows not yet in a graph. */
void jadei_tail(struct jade_shard *s, uint64_t *rows_out, uint64_t *bytes_out);
/** Waits until no task of this shard is queued or running (stopping is set). */
void jadei_background_stop(struct jade_shard *s);
/** Periodic work of one shard; true when it needs another look soon. */
bool jadei_shard_tick(struct jade_shard *s, uint64_t now_us);
/** Lowest LSN a pin or the checkpoint still needs dead rows for. */
uint64_t jadei_drop_horizon(struct jade_shard *s);
void jadei_pins_expire(struct jade_shard *s, uint64_t now_us);
bool jadei_pin_valid(struct jade_shard *s, struct jade_lsn lsn);

/** Seals frozen segments in order, oldest first (maintenance lock held); waits for their graphs when `finish`. */
jade_code jadei_seal_frozen(struct jade_shard *s, bool finish, struct jade_err *err);
/** Merges what the policy asks for; *did_out tells whether something was done (maintenance lock held). */
jade_code jadei_merge_some(struct jade_shard *s, bool *did_out, struct jade_err *err);
/** Merges the listed sealed segments into one with `params` (maintenance lock held). */
jade_code jadei_merge(struct jade_shard *s, struct jadei_segment *const *segs, uint32_t n,
                      const struct jade_index_params *params, jade_progress_fn progress, void *ctx,
                      struct jade_err *err);
/** The sealed segments of the view (maintenance lock held) without `without`, and `extra` (nullable) at the end; freed by the caller. */
jade_code jadei_sealed_list(struct jade_shard *s, struct jadei_segment *const *without,
                            uint32_t n_without, struct jadei_segment *extra,
                            struct jadei_segment ***out, uint32_t *n_out, struct jade_err *err);
void jadei_copy_tombs(struct jadei_segment *from, struct jadei_segment *to, const uint32_t *new_row,
                      struct jade_lsn up_to);
/** Moves the checkpoint past deletes when nothing is in memory (maintenance lock held). */
jade_code jadei_checkpoint_deletes(struct jade_shard *s, struct jade_err *err);
/** Removes log files and merged segments' folders that no manifest names (maintenance lock held); failures are logged. */
void jadei_clean_up(struct jade_shard *s, const uint64_t *gone, uint32_t n_gone);
/** Removes a folder that was written but not published: each try writes another. Not when a manifest that names it may count after all (poisoned). */
void jadei_forget_folder(struct jade_shard *s, uint64_t number);
/** Publishes shard->manifest's successor made of the sealed segments `segs` at checkpoint `c` (maintenance lock held). */
jade_code jadei_publish(struct jade_shard *s, struct jadei_segment *const *segs, uint32_t n,
                        struct jade_lsn c, struct jade_err *err);

#endif
