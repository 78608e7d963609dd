/*
 * Block file: one immutable file of a segment. Contiguous payload (so that it can be mapped and used in place), a checksum for
 * each 64 KiB block of it, header and footer pages. docs/formats/blockfile.md has every byte.
 *
 *   [header 4096][payload, padded to 64][crc table: u32 a block][footer 64]
 *
 * Invariants: 1. a file is written once, verified, synced, then published with its segment; never changed. 2. A block is verified
 * at its first use after opening (one bit a block), so opening costs two small reads. 3. A wrong checksum is JADE_E_CORRUPT with file and
 * offset, at every later use too. 4. header and footer carry kind, segment number and payload size; a swapped or cut file is refused.
 * Threads: a writer belongs to one thread; a reader may be used from many (verification is idempotent, bits are atomics).
 * Calling sequence: writer: new, append..., finish (syncs), then the segment publishes its folder. reader: open, check + at, close.
 */
#ifndef JADE_STORE_BLOCKFILE_H
#define JADE_STORE_BLOCKFILE_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/err.h"
#include "base/limits.h"
#include "os/os.h"

/** Kinds of block files (four ASCII letters, little-endian); the number is part of the format. */
#define JADE_FOURCC(a, b, c, d) \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)
#define JADE_BF_VECTORS   JADE_FOURCC('V', 'E', 'C', '0')
#define JADE_BF_NORMS     JADE_FOURCC('N', 'R', 'M', '0')
#define JADE_BF_IDS       JADE_FOURCC('I', 'D', 'S', '0')
#define JADE_BF_ROWS      JADE_FOURCC('R', 'O', 'W', '0')
#define JADE_BF_METADATA  JADE_FOURCC('M', 'E', 'T', '0')
#define JADE_BF_METAINDEX JADE_FOURCC('M', 'I', 'X', '0')
#define JADE_BF_INDEX     JADE_FOURCC('I', 'D', 'X', '0')
#define JADE_BF_TOMBS     JADE_FOURCC('T', 'M', 'B', '0')

struct jade_blockfile_writer;
struct jade_blockfile;

/** Creates the file (must not exist). */
jade_code jade_blockfile_writer_new(struct jade_os *os, const char *path, uint32_t kind,
                                    uint64_t segment, struct jade_blockfile_writer **out,
                                    struct jade_err *err);
jade_code jade_blockfile_append(struct jade_blockfile_writer *w, const void *p, size_t n,
                                struct jade_err *err);
/** Zero bytes up to the next multiple of `align` (<= 4096) of the payload offset. */
jade_code jade_blockfile_align(struct jade_blockfile_writer *w, size_t align, struct jade_err *err);
/** Payload bytes so far. */
uint64_t jade_blockfile_offset(const struct jade_blockfile_writer *w);
/** Writes table and footer, syncs, reads everything back through the checksums (publishing verifies everything), closes; *crc_out = CRC of the footer page, which the segment descriptor keeps. w is freed in every case. */
jade_code jade_blockfile_finish(struct jade_blockfile_writer *w, uint32_t *crc_out,
                                uint64_t *file_size_out, struct jade_err *err);
/** Gives up: closes and removes the unfinished file. NULL allowed. */
void jade_blockfile_abort(struct jade_blockfile_writer *w);

/** Maps the file; verifies header, footer, table. `crc` from the descriptor (0 = do not compare). */
jade_code jade_blockfile_open(struct jade_os *os, const char *path, uint32_t kind, uint64_t segment,
                              uint32_t crc, struct jade_blockfile **out, struct jade_err *err);
void jade_blockfile_close(struct jade_blockfile *f);
/** Payload (64-byte aligned at least) and its size in bytes. Check a range before its first use. */
const uint8_t *jade_blockfile_data(const struct jade_blockfile *f);
uint64_t jade_blockfile_size(const struct jade_blockfile *f);
const char *jade_blockfile_path(const struct jade_blockfile *f);
/** Slow path of jade_blockfile_check. */
jade_code jade_blockfile_verify(struct jade_blockfile *f, uint64_t offset, uint64_t n,
                                struct jade_err *err);
/** Verifies every block now (scrub, `check`). */
jade_code jade_blockfile_verify_all(struct jade_blockfile *f, struct jade_err *err);
/** The verified bits, one a block (bit b & 63 of word b >> 6); set bits never become clear. */
const _Atomic uint64_t *jade_blockfile_verified(const struct jade_blockfile *f);

/** Ensures payload bytes [offset, offset + n) lie in the file and in verified blocks. Cheap once verified. */
jade_code jade_blockfile_check(struct jade_blockfile *f, uint64_t offset, uint64_t n,
                               struct jade_err *err);

#endif
