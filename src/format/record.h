/*
 * Logical records: what a WAL record's payload says. Room for several named vector fields a row, of several element types, and for sparse
 * and multi-vectors, is in the format from version 1; this build writes one unnamed dense f32 field (docs/formats/record.md).
 *
 * Types: UPSERT (a batch of rows: atomic), DELETE (ids), EPOCH_START (no payload; cluster), NOOP.
 * Decoding borrows from the payload: nothing is copied.
 */
#ifndef JADE_FORMAT_RECORD_H
#define JADE_FORMAT_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/ids.h"
#include "base/limits.h"
#include "format/codec.h"

enum jade_record_type {
    JADE_RECORD_NOOP = 0,
    JADE_RECORD_UPSERT = 1,
    JADE_RECORD_DELETE = 2,
    JADE_RECORD_EPOCH_START = 3
};
enum jade_field_kind {
    JADE_FIELD_DENSE = 0,
    JADE_FIELD_SPARSE = 1,
    JADE_FIELD_MULTI = 2
}; /* 1, 2 reserved: refused by this build */
enum jade_elem {
    JADE_ELEM_F32 = 0,
    JADE_ELEM_F16 = 1,
    JADE_ELEM_BF16 = 2,
    JADE_ELEM_I8 = 3,
    JADE_ELEM_BIT = 4
}; /* only f32 today */

/** One row of an UPSERT. Pointers are borrowed. */
struct jade_row {
    const char *id;
    uint32_t id_len;
    const float *
        values; /* dim floats; from a payload: maybe unaligned by 4 only (payload fields are 4-byte aligned) */
    uint32_t dim;
    const char *metadata; /* minified JSON object, or NULL */
    uint32_t metadata_len;
    int64_t time_us; /* wall clock of the write */
};

/** Starts an UPSERT payload for n_rows rows. */
void jade_record_upsert_begin(struct jade_buf *b, uint32_t n_rows);
void jade_record_upsert_row(struct jade_buf *b, const struct jade_row *row);
/** Bytes that jade_record_upsert_row will append. */
size_t jade_record_upsert_row_bytes(const struct jade_row *row);

struct jade_record_reader {
    struct jade_reader r;
    uint32_t n_rows, next;
};
/** Checks the head; rows then come one by one. */
jade_code jade_record_upsert_open(struct jade_record_reader *rr, const void *payload, size_t n,
                                  struct jade_err *err);
/** JADE_OK with *more_out true and a row, or false at the (exact) end; JADE_E_CORRUPT for anything malformed or of a reserved kind: JADE_E_VERSION. */
jade_code jade_record_upsert_next(struct jade_record_reader *rr, struct jade_row *row_out,
                                  bool *more_out, struct jade_err *err);

/** DELETE payload: ids and the wall clock. */
void jade_record_delete_begin(struct jade_buf *b, uint32_t n_ids, int64_t time_us);
void jade_record_delete_id(struct jade_buf *b, const char *id, uint32_t id_len);
struct jade_delete_reader {
    struct jade_reader r;
    uint32_t n_ids, next;
    int64_t time_us;
};
jade_code jade_record_delete_open(struct jade_delete_reader *dr, const void *payload, size_t n,
                                  struct jade_err *err);
jade_code jade_record_delete_next(struct jade_delete_reader *dr, const char **id_out,
                                  uint32_t *id_len_out, bool *more_out, struct jade_err *err);

/* ---- WAL record header: 64 bytes before each payload; docs/formats/wal.md ---- */
enum { JADE_WAL_HEADER_BYTES = 64, JADE_WAL_ALIGN = 8 };

struct jade_wal_header {
    uint32_t size; /* payload bytes, <= JADE_WAL_RECORD_MAX */
    struct jade_lsn lsn;
    struct jade_epoch epoch; /* 0 when standalone */
    uint64_t generation;     /* of the WAL file */
    struct jade_lsn
        durable; /* highest LSN known durable when this record was written: tells a torn tail from damage (ADR) */
    struct jade_uuid request; /* request id, zero = none */
    uint16_t type;            /* enum jade_record_type */
    uint32_t prev_crc;        /* crc of the record before, chained over files */
    uint32_t crc;             /* CRC-32C over the header (without this field) and the payload */
};
/** Encodes header into 64 bytes and computes crc (stored in h->crc). */
void jade_wal_header_encode(struct jade_wal_header *h, const void *payload,
                            uint8_t out[JADE_WAL_HEADER_BYTES]);
/** False when the 64 bytes cannot be a header (size, type, reserved bytes); the crc is checked by jade_wal_header_valid. */
bool jade_wal_header_decode(const uint8_t in[JADE_WAL_HEADER_BYTES], struct jade_wal_header *h);
/** Whether the payload that follows belongs to the header. */
bool jade_wal_header_valid(const uint8_t in[JADE_WAL_HEADER_BYTES], const void *payload);
/** Header plus payload, padded to JADE_WAL_ALIGN. */
size_t jade_wal_record_bytes(uint32_t payload_size);

#endif
