/*
 * Where the sections of a sealed segment's files lie, for the writer and the reader alike (docs/formats/segment.md).
 * The columns are used in place, so the machine must be little-endian; another one refuses to compile here.
 */
#ifndef JADE_SHARD_SEALED_LAYOUT_H
#define JADE_SHARD_SEALED_LAYOUT_H

#include <stdint.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "sealed segments are mapped in place as little-endian columns");

enum { JADEI_SECTION_ALIGN = 64 };

static inline uint64_t jadei_section(uint64_t at)
{
    return (at + JADEI_SECTION_ALIGN - 1) & ~(uint64_t)(JADEI_SECTION_ALIGN - 1);
}

struct jadei_ids_layout {
    uint64_t slots, prev, offsets, bytes, end;
};
static inline struct jadei_ids_layout jadei_ids_layout(uint64_t n_rows, uint64_t n_slots,
                                                       uint64_t n_bytes)
{
    struct jadei_ids_layout l;
    l.slots = JADEI_SECTION_ALIGN;
    l.prev = jadei_section(l.slots + n_slots * 8);
    l.offsets = jadei_section(l.prev + n_rows * 4);
    l.bytes = jadei_section(l.offsets + (n_rows + 1) * 8);
    l.end = l.bytes + n_bytes;
    return l;
}

struct jadei_rows_layout {
    uint64_t lsn, version, created, updated, end;
};
static inline struct jadei_rows_layout jadei_rows_layout(uint64_t n_rows)
{
    struct jadei_rows_layout l;
    l.lsn = JADEI_SECTION_ALIGN;
    l.version = jadei_section(l.lsn + n_rows * 8);
    l.created = jadei_section(l.version + n_rows * 8);
    l.updated = jadei_section(l.created + n_rows * 8);
    l.end = l.updated + n_rows * 8;
    return l;
}

struct jadei_meta_layout {
    uint64_t offsets, bytes, end;
};
static inline struct jadei_meta_layout jadei_meta_layout(uint64_t n_rows, uint64_t n_bytes)
{
    struct jadei_meta_layout l;
    l.offsets = JADEI_SECTION_ALIGN;
    l.bytes = jadei_section(l.offsets + (n_rows + 1) * 8);
    l.end = l.bytes + n_bytes;
    return l;
}

#endif
