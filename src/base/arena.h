/*
 * Arena: many small allocations of one request, freed together. Chunks double from 4 KiB to 1 MiB.
 * Threads: one at a time. Pointers stay valid until release, which leaves the arena empty and usable.
 */
#ifndef JADE_BASE_ARENA_H
#define JADE_BASE_ARENA_H

#include <stddef.h>

#include "base/alloc.h"

struct jade_arena_chunk;
struct jade_arena {
    struct jade_arena_chunk *head; /* newest chunk, NULL when empty */
    size_t used, cap;              /* of the newest chunk */
    size_t total;                  /* bytes handed out */
    enum jade_tag tag;
};

void jade_arena_init(struct jade_arena *a, enum jade_tag tag);
void jade_arena_release(struct jade_arena *a);
/** 16-byte aligned, uninitialised; NULL when memory is short. */
void *jade_arena_alloc(struct jade_arena *a, size_t size);
/** Zeroed, n * size checked for overflow. */
void *jade_arena_calloc(struct jade_arena *a, size_t n, size_t size);
/** NUL-terminated copy. */
char *jade_arena_strndup(struct jade_arena *a, const char *s, size_t n);

#endif
