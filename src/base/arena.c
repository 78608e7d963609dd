#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"

enum { ARENA_ALIGN = 16, CHUNK_BYTES_MIN = 4096, CHUNK_BYTES_MAX = 1 << 20 };

struct jade_arena_chunk {
    alignas(ARENA_ALIGN) struct jade_arena_chunk *next; /* older */
};
static_assert(sizeof(struct jade_arena_chunk) % ARENA_ALIGN == 0,
              "the first block of a chunk is aligned");

static char *chunk_bytes(struct jade_arena_chunk *chunk)
{
    return (char *)(chunk + 1);
}

void jade_arena_init(struct jade_arena *a, enum jade_tag tag)
{
    *a = (struct jade_arena){.tag = tag};
}

void jade_arena_release(struct jade_arena *a)
{
    struct jade_arena_chunk *chunk = a->head;
    while (chunk != NULL) {
        struct jade_arena_chunk *next = chunk->next;
        jade_free(chunk);
        chunk = next;
    }
    jade_arena_init(a, a->tag);
}

static struct jade_arena_chunk *new_chunk(struct jade_arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX - sizeof(struct jade_arena_chunk)) {
        return NULL;
    }
    return jade_alloc(a->tag, sizeof(struct jade_arena_chunk) + bytes);
}

static size_t next_chunk_bytes(const struct jade_arena *a)
{
    size_t doubled = a->cap >= CHUNK_BYTES_MAX / 2 ? CHUNK_BYTES_MAX : a->cap * 2;
    return doubled < CHUNK_BYTES_MIN ? CHUNK_BYTES_MIN : doubled;
}

/* A large block gets a chunk of its own behind the newest one, whose room stays in use. */
static void *alloc_alone(struct jade_arena *a, size_t size)
{
    struct jade_arena_chunk *chunk = new_chunk(a, size);
    if (chunk == NULL) {
        return NULL;
    }
    if (a->head == NULL) {
        chunk->next = NULL;
        a->head = chunk;
        a->used = a->cap = size;
    } else {
        chunk->next = a->head->next;
        a->head->next = chunk;
    }
    a->total += size;
    return chunk_bytes(chunk);
}

void *jade_arena_alloc(struct jade_arena *a, size_t size)
{
    if (size > SIZE_MAX - ARENA_ALIGN) {
        return NULL;
    }
    /* An empty block takes room too, so that each pointer is a distinct one. */
    size = size == 0 ? ARENA_ALIGN : (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (size > a->cap - a->used) {
        size_t bytes = next_chunk_bytes(a);
        if (size > bytes / 2) {
            return alloc_alone(a, size);
        }
        struct jade_arena_chunk *chunk = new_chunk(a, bytes);
        if (chunk == NULL) {
            return NULL;
        }
        chunk->next = a->head;
        a->head = chunk;
        a->used = 0;
        a->cap = bytes;
    }
    void *block = chunk_bytes(a->head) + a->used;
    a->used += size;
    a->total += size;
    return block;
}

void *jade_arena_calloc(struct jade_arena *a, size_t n, size_t size)
{
    size_t bytes = 0;
    if (__builtin_mul_overflow(n, size, &bytes)) {
        return NULL;
    }
    void *block = jade_arena_alloc(a, bytes);
    if (block != NULL) {
        memset(block, 0, bytes);
    }
    return block;
}

char *jade_arena_strndup(struct jade_arena *a, const char *s, size_t n)
{
    char *copy = n < SIZE_MAX ? jade_arena_alloc(a, n + 1) : NULL;
    if (copy != NULL) {
        if (n > 0) {
            memcpy(copy, s, n);
        }
        copy[n] = '\0';
    }
    return copy;
}
