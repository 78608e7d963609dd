/*
 * Parts of the write-ahead log that only this folder sees: the open log, file headers, and the reader used by recovery.
 *
 * File header page (4096 bytes, little-endian):
 *   0 "JADEWAL1"  8 u32 version  12 zero  16 shard uuid (16)  32 u64 generation  40 u64 first LSN  48 u32 prev_crc
 *   52 zero ...   4092 u32 CRC-32C of bytes 0..4091
 *
 * Which bytes belong to the log. A file with a valid header holds the log from its first LSN up to (not including) the smallest
 * first LSN of all later files with a valid header; the newest one is open-ended. So a new file both continues the log (a roll)
 * and cuts it (a tail): whatever the older files hold from its first LSN on is no part of the log any more, for ever.
 *
 * Order of making a file: allocate -> older file synced -> header written and synced -> folder synced -> first record. Hence
 * (a) a valid header of generation h says that every record below its first LSN is durable, (b) a file whose header is not
 * valid never held an acknowledged record, unless the header was damaged later, and then its records betray it.
 */
#ifndef JADE_STORE_WAL_PRIVATE_H
#define JADE_STORE_WAL_PRIVATE_H

#include <stdatomic.h>

#include "base/buf.h"
#include "store/wal.h"

enum {
    JADEI_WAL_PAGE_BYTES = 4096,
    JADEI_WAL_VERSION = 1,
    JADEI_WAL_PAGE_CRC_AT = 4092,
    JADEI_WAL_FILES_MAX = 1 << 16, /* a listing longer than this is not ours */
};

/** No log gets this far; what claims to is damaged, and sums of LSNs and generations never overflow. */
#define JADEI_WAL_NUMBER_MAX ((uint64_t)1 << 62)

/** One file of the log. */
struct jadei_wal_file {
    uint64_t generation;
    uint64_t first; /* LSN */
    uint32_t prev_crc;
    bool valid;     /* its header is; else first and prev_crc are 0 */
    uint64_t bytes; /* of records that were read or appended */
};

enum {
    /* The first file of a log, and the one begun after a cut: a database of a few rows should not cost 64 MiB of disk. Each next one is
     * twice as large, up to file_bytes. */
    JADEI_WAL_FIRST_BYTES = 1 << 20
};

struct jade_wal {
    struct jade_os *os;
    char *dir;
    struct jade_uuid shard;
    uint64_t file_bytes;
    bool read_only;
    bool poisoned;
    struct jadei_wal_file *files; /* ascending by generation, no gap; the last is appended to */
    size_t n_files, cap_files;
    struct jade_file *file; /* the last of files, NULL when read-only */
    uint64_t size;          /* of it */
    uint64_t at;            /* offset in it where buf will be written */
    struct jade_buf buf;    /* records not yet handed to the os */
    uint64_t last;          /* LSN */
    uint32_t last_crc;
    uint64_t written; /* LSN: handed to the os */
    _Atomic uint64_t durable;
    uint64_t checkpoint; /* the newest that open or trim was told */
};

/* ---- wal_file.c: one file ---- */

/** dir/<generation>.wal */
jade_code jadei_wal_path(char out[JADE_PATH_MAX], const char *dir, uint64_t generation,
                         struct jade_err *err);
/** Reads the header page. *f gets generation and, when valid, the rest. JADE_E_CORRUPT for a sound header of another file or shard. */
jade_code jadei_wal_read_header(const struct jade_wal *w, uint64_t generation,
                                struct jadei_wal_file *f, struct jade_err *err);
/** Creates and preallocates a file of that generation; nothing stays behind on failure. */
jade_code jadei_wal_create(const struct jade_wal *w, uint64_t generation, uint64_t size,
                           struct jade_file **out, struct jade_err *err);
/** Writes the header page; JADE_E_NOMEM: nothing was written. */
jade_code jadei_wal_write_page(const struct jade_wal *w, struct jade_file *file,
                               const struct jadei_wal_file *f, struct jade_err *err);
/** Syncs the written header and the folder: from here on the file is part of the log. */
jade_code jadei_wal_begin(const struct jade_wal *w, struct jade_file *file, struct jade_err *err);
/** Room for one more in w->files, so that a file once begun can be noted without fail. */
jade_code jadei_wal_reserve(struct jade_wal *w, struct jade_err *err);
/** First LSN that files[i] does not hold; UINT64_MAX for the last one. */
uint64_t jadei_wal_end(const struct jade_wal *w, size_t i);

/* ---- wal_scan.c: reading records ---- */

/** A window over one file; offsets asked for need not be in order. */
struct jadei_wal_reader {
    struct jade_file *file;
    uint64_t size;
    uint8_t *buf;
    size_t cap;
    uint64_t start; /* file offset of buf[0] */
    size_t len;
};
jade_code jadei_wal_reader_open(struct jadei_wal_reader *r, const struct jade_wal *w,
                                uint64_t generation, struct jade_err *err);
/** Closes the file, keeps the buffer for the next one. */
void jadei_wal_reader_close(struct jadei_wal_reader *r);
void jadei_wal_reader_release(struct jadei_wal_reader *r);

/** What the next record must be. */
struct jadei_wal_expect {
    uint64_t generation;
    uint64_t lsn;
    uint32_t prev_crc;
};
/** Reads the record at offset; *why_out is NULL when it is the expected one, else what is wrong with it. The payload lies in the window. */
jade_code jadei_wal_read_record(struct jadei_wal_reader *r, uint64_t offset,
                                const struct jadei_wal_expect *expect, struct jade_wal_header *h,
                                const uint8_t **payload_out, const char **why_out,
                                struct jade_err *err);

/** Payload size of the (sound) record at offset. */
jade_code jadei_wal_read_size(struct jadei_wal_reader *r, uint64_t offset, uint32_t *size_out,
                              struct jade_err *err);
/** The bytes from offset on, up to `end` or as many as the window holds: *n_out > 0. */
jade_code jadei_wal_read_piece(struct jadei_wal_reader *r, uint64_t offset, uint64_t end,
                               const uint8_t **out, size_t *n_out, struct jade_err *err);

/** What lies behind the end of the log. */
struct jadei_wal_rest {
    uint64_t nonzero_end; /* offset behind the last byte that is not zero; 0 = all zero */
    bool proof;           /* a valid record was found that proves `lsn` to have been durable */
    uint64_t proof_at, proof_lsn, proof_durable;
};
/** Looks for valid records of `generation` with LSN > lsn and a durable mark >= lsn from offset to the end of the file. */
jade_code jadei_wal_scan_rest(struct jadei_wal_reader *r, uint64_t offset, uint64_t generation,
                              uint64_t lsn, struct jadei_wal_rest *out, struct jade_err *err);

/* ---- wal_recover.c ---- */

/** Fills w from the files in its folder; see jade_wal_open. */
jade_code jadei_wal_recover(struct jade_wal *w, const struct jade_wal_opts *opts,
                            jade_wal_replay_fn fn, void *ctx, struct jade_wal_recovery *rec,
                            struct jade_err *err);

#endif
