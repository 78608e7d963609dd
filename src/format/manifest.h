/*
 * Encodings of the small files that name others: superblock slots, manifest, CURRENT, segment descriptor, and the golden versions of each.
 * docs/formats/ has every byte. Decoders check magic, version, checksum, ranges; unknown versions are JADE_E_VERSION.
 */
#ifndef JADE_FORMAT_MANIFEST_H
#define JADE_FORMAT_MANIFEST_H

#include <stdint.h>

#include "base/buf.h"
#include "base/ids.h"
#include "base/limits.h"
#include "format/codec.h"

enum { JADE_SUPER_SLOT_BYTES = 512, JADE_SUPER_SLOT_SPACING = 4096 };

/** One of the two alternating slots of SUPER (P3, P17): the newest valid one counts. */
struct jade_superblock {
    uint64_t sequence;     /* grows with each write; slot = sequence % 2 */
    struct jade_uuid copy; /* identity of this copy; made at format, dies with the disk */
    struct jade_uuid lineage;
    uint64_t boot_count;
    struct jade_epoch adopted_epoch;
    struct jade_lsn durable; /* every record up to here was durable when this was written (P4) */
    uint32_t clean;          /* 1 = closed in order */
};
void jade_superblock_encode(const struct jade_superblock *s, uint8_t out[JADE_SUPER_SLOT_BYTES]);
/** JADE_E_CORRUPT for a torn or foreign slot. */
jade_code jade_superblock_decode(const uint8_t in[JADE_SUPER_SLOT_BYTES], struct jade_superblock *s,
                                 struct jade_err *err);

enum { JADE_SEGMENT_FILES_MAX = 64, JADE_FILE_NAME_MAX = 32 };

/** A file of a segment folder. */
struct jade_segment_file {
    char name[JADE_FILE_NAME_MAX]; /* e.g. "vectors.0" */
    uint32_t kind;                 /* JADE_BF_* */
    uint32_t crc;                  /* of its footer */
    uint64_t size;
};

/** Descriptor file SEGMENT of a sealed segment: written last in its folder. */
struct jade_segment_desc {
    uint64_t number;
    uint32_t n_rows;
    uint32_t dim;    /* of field 0 */
    uint32_t metric; /* enum jade_metric */
    struct jade_lsn lsn_min, lsn_max;
    uint32_t n_files;
    struct jade_segment_file files[JADE_SEGMENT_FILES_MAX];
};
jade_code jade_segment_desc_encode(const struct jade_segment_desc *d, struct jade_buf *out,
                                   struct jade_err *err);
jade_code jade_segment_desc_decode(const void *p, size_t n, struct jade_segment_desc *d,
                                   struct jade_err *err);

/** A segment as the manifest names it: its folder is segments/<number>/, its tombstones file tombs-<tombs_lsn> there (0 = none). */
struct jade_manifest_segment {
    uint64_t number;
    uint32_t n_rows;
    uint32_t desc_crc;         /* CRC-32C of the SEGMENT file */
    struct jade_lsn tombs_lsn; /* 0 = no tombstones stored yet */
    uint32_t tombs_crc;
    uint32_t n_dead;
};
struct jade_manifest {
    uint64_t number;
    struct jade_lsn
        checkpoint; /* segments and tombstones hold all effects up to here; WAL is replayed from the next */
    struct jade_epoch checkpoint_epoch;
    uint64_t next_segment;       /* number for the next segment folder */
    uint64_t wal_generation_min; /* oldest WAL file still needed */
    uint32_t n_segments;
    struct jade_manifest_segment *segments; /* owned; jade_manifest_release */
};
void jade_manifest_release(struct jade_manifest *m);
jade_code jade_manifest_encode(const struct jade_manifest *m, struct jade_buf *out,
                               struct jade_err *err);
jade_code jade_manifest_decode(const void *p, size_t n, struct jade_manifest *m,
                               struct jade_err *err);

/** CURRENT: which manifest counts, with the CRC of its file. */
struct jade_current {
    uint64_t manifest;
    uint32_t manifest_crc;
};
enum { JADE_CURRENT_BYTES = 32 };
void jade_current_encode(const struct jade_current *c, uint8_t out[JADE_CURRENT_BYTES]);
jade_code jade_current_decode(const uint8_t *in, size_t n, struct jade_current *c,
                              struct jade_err *err);

#endif
