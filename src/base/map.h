/*
 * Hash map from byte strings to u64 (open addressing, linear probing, load <= 3/4). Keys are copied into the map's own arena.
 * Deletion leaves no tombstone (backward shift). Threads: one writer at a time, readers excluded while it writes.
 */
#ifndef JADE_BASE_MAP_H
#define JADE_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

struct jade_map_slot;
struct jade_map {
    struct jade_map_slot *slots;
    size_t n_slots; /* power of two, or 0 */
    size_t count;
    struct jade_arena keys;
    enum jade_tag tag;
};

void jade_map_init(struct jade_map *m, enum jade_tag tag);
void jade_map_release(struct jade_map *m);
/** Stores value under key, replacing what was there. *had_out (nullable) tells whether a value was replaced. */
jade_code jade_map_put(struct jade_map *m, const void *key, size_t key_len, uint64_t value,
                       bool *had_out, struct jade_err *err);
bool jade_map_get(const struct jade_map *m, const void *key, size_t key_len, uint64_t *value_out);
/** True when the key was there. The key's bytes stay in the arena until release. */
bool jade_map_remove(struct jade_map *m, const void *key, size_t key_len);
/** Iteration: start with *pos = 0; false at the end. Order is unspecified; no writes meanwhile. */
bool jade_map_next(const struct jade_map *m, size_t *pos, const char **key_out, size_t *key_len_out,
                   uint64_t *value_out);

#endif
