/*
 * Write-ahead log of one shard: files wal/<generation>.wal, preallocated, records chained by CRC over all files.
 *
 * File: [header page 4096: magic, version, shard uuid, generation, first LSN, prev_crc, crc] then records (format/record.h), 8-byte aligned.
 * Invariants
 * 1. Records are appended in LSN order without gaps; LSN of the next = last + 1.
 * 2. durable <= written <= last. A failed write or sync poisons the log: every later append and sync answers JADE_E_POISONED (P1).
 * 3. Every record carries the durable LSN known when it was written. At recovery an invalid record at LSN x is a torn tail, and cut,
 *    only if x > every durable mark known (superblock, valid later records, caller's checkpoint); else the log is JADE_E_CORRUPT and
 *    nothing is changed (P4, docs/adr/0006).
 *    So a checkpoint must not pass what is durable: sync or roll before the manifest is published.
 * 4. A file is removed only by jade_wal_trim, after the manifest that makes it unneeded is durable (P6).
 * 5. After recovery cut a tail, the bytes of that tail can never be taken for records again (a new generation is begun; P5).
 * Threads: append and sync by one thread (the shard's committer); durable LSN may be read from any.
 * Calling sequence: open(recover) -> replay callbacks -> append*, sync ... -> trim -> close.
 */
#ifndef JADE_STORE_WAL_H
#define JADE_STORE_WAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ids.h"
#include "format/record.h"
#include "os/os.h"

struct jade_wal;

struct jade_wal_opts {
    struct jade_os *os;
    const char *dir;        /* existing folder wal/ */
    struct jade_uuid shard; /* in every file header */
    struct jade_lsn
        after; /* checkpoint: records <= this are not replayed; the first record needed is after + 1 */
    struct jade_lsn durable_mark; /* from the superblock */
    uint64_t
        generation_min; /* oldest file the manifest needs; older ones are leftovers. 0 = no manifest has named one yet: only then may the folder be empty */
    uint64_t
        file_bytes; /* largest preallocation (the first file takes 1 MiB, each next one twice as much); 0 = JADE_WAL_FILE_BYTES */
    bool read_only; /* dump: change nothing, cut nothing */
};

/** Called in LSN order for each record > after. */
typedef jade_code (*jade_wal_replay_fn)(void *ctx, const struct jade_wal_header *h,
                                        const uint8_t *payload, struct jade_err *err);

struct jade_wal_recovery {
    uint64_t records, bytes; /* replayed */
    uint64_t tail_bytes_cut; /* of a torn tail; 0 = none */
    uint64_t files;
};

/** Opens an existing or empty log, replays, cuts a torn tail, leaves it ready to append. Errors: JADE_E_CORRUPT (with file and offset), JADE_E_IO, ... */
jade_code jade_wal_open(const struct jade_wal_opts *opts, jade_wal_replay_fn fn, void *ctx,
                        struct jade_wal **out, struct jade_wal_recovery *rec_out,
                        struct jade_err *err);
/** Syncs what is written, closes. */
jade_code jade_wal_close(struct jade_wal *w, struct jade_err *err);

/** Appends one record into the write buffer; *lsn_out is its number. payload may be freed afterwards. Errors: JADE_E_TOO_LARGE, JADE_E_POISONED, JADE_E_NOSPACE (checked before an LSN is used: nothing changed), JADE_E_NOMEM. */
jade_code jade_wal_append(struct jade_wal *w, enum jade_record_type type, struct jade_epoch epoch,
                          struct jade_uuid request, const void *payload, size_t n,
                          struct jade_lsn *lsn_out, struct jade_err *err);
/** Hands buffered records to the operating system (they survive kill -9). */
jade_code jade_wal_flush(struct jade_wal *w, struct jade_err *err);
/** Flush, then sync: everything appended so far is durable. */
jade_code jade_wal_sync(struct jade_wal *w, struct jade_err *err);
struct jade_lsn jade_wal_last(const struct jade_wal *w);
struct jade_lsn jade_wal_durable(const struct jade_wal *w);
/** Bytes of records in the files that hold one above the last checkpoint told to open or trim (for the decision to seal). */
uint64_t jade_wal_bytes(const struct jade_wal *w);
uint64_t jade_wal_generation(const struct jade_wal *w);
/** Begins a new file so that older ones can be trimmed up to the last LSN so far; returns the new generation. Everything so far is durable afterwards. */
jade_code jade_wal_roll(struct jade_wal *w, uint64_t *generation_out, struct jade_err *err);
/** Removes files whose records are all <= checkpoint. Call it when a manifest with that checkpoint and jade_wal_generation_for it is durable. */
jade_code jade_wal_trim(struct jade_wal *w, struct jade_lsn checkpoint, struct jade_err *err);
/** Oldest generation that holds a record > checkpoint (what the manifest must name before a trim). */
uint64_t jade_wal_generation_for(const struct jade_wal *w, struct jade_lsn checkpoint);

#endif
