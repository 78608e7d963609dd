/*
 * SUPER: two alternating slots with sequence and CRC (P3). Tells who this copy is (P15, P17) and up to where the log was durable (P4).
 * Threads: one at a time.
 */
#ifndef JADE_STORE_SUPER_H
#define JADE_STORE_SUPER_H

#include "format/manifest.h"
#include "os/os.h"

struct jade_super;

/** Writes a fresh SUPER for a new copy (uuid from the os), synced together with its folder entry. */
jade_code jade_super_create(struct jade_os *os, const char *path, struct jade_err *err);
/** Opens and takes the newest valid slot, which is durable then (it is written and synced once more); both bad is JADE_E_CORRUPT. */
jade_code jade_super_open(struct jade_os *os, const char *path, struct jade_super **out,
                          struct jade_err *err);
void jade_super_close(struct jade_super *s);
const struct jade_superblock *jade_super_get(const struct jade_super *s);
/** Writes `next` (sequence is set here) to the older slot and syncs. */
jade_code jade_super_update(struct jade_super *s, const struct jade_superblock *next,
                            struct jade_err *err);

#endif
