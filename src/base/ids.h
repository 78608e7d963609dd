/*
 * Numbers that must not be mixed up are one-field structs: the compiler stops a swap (style 3.3).
 */
#ifndef JADE_BASE_IDS_H
#define JADE_BASE_IDS_H

#include <stdint.h>

/** Log sequence number: position of a WAL record in a shard's history; the first record is 1, 0 means "none". */
struct jade_lsn {
    uint64_t v;
};
/** Leadership epoch of a shard; 0 when standalone. */
struct jade_epoch {
    uint64_t v;
};
/** 128-bit identity (copy of a shard, database, request); all zero means "none". */
struct jade_uuid {
    uint8_t b[16];
};

#define JADE_LSN(x)   ((struct jade_lsn){.v = (x)})
#define JADE_LSN_NONE JADE_LSN(0)
#define JADE_LSN_MAX  JADE_LSN(UINT64_MAX)

#endif
