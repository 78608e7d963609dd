/*
 * Tagged heap: every allocation names its purpose, so that status can show bytes by purpose and a test can fail the n-th one.
 *
 * Each block carries a 16-byte header with its size and tag; jade_free needs the pointer only. Alignment is 16, or what
 * jade_alloc_aligned was asked for. Failure returns NULL: callers raise JADE_E_NOMEM.
 * Threads: all functions are thread-safe; the counters are relaxed atomics.
 */
#ifndef JADE_BASE_ALLOC_H
#define JADE_BASE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

/* X(symbol, "name in status") */
#define JADE_TAGS(X)                 \
    X(JADE_TAG_OTHER, "other")       \
    X(JADE_TAG_REQUEST, "request")   \
    X(JADE_TAG_WAL, "wal")           \
    X(JADE_TAG_VECTORS, "vectors")   \
    X(JADE_TAG_GRAPH, "graph")       \
    X(JADE_TAG_IDS, "ids")           \
    X(JADE_TAG_METADATA, "metadata") \
    X(JADE_TAG_FILTER, "filter")     \
    X(JADE_TAG_SEGMENT, "segment")   \
    X(JADE_TAG_SEARCH, "search")     \
    X(JADE_TAG_CATALOG, "catalog")   \
    X(JADE_TAG_NET, "net")           \
    X(JADE_TAG_MODEL, "model")       \
    X(JADE_TAG_TEST, "test")

enum jade_tag {
#define JADE_TAG_ENUM(symbol, name) symbol,
    JADE_TAGS(JADE_TAG_ENUM)
#undef JADE_TAG_ENUM
        JADE_TAG_COUNT
};

/** size bytes, uninitialised, 16-byte aligned; NULL when memory is short. size 0 gives a valid pointer. */
void *jade_alloc(enum jade_tag tag, size_t size);
/** As jade_alloc, zeroed; n * size is checked for overflow. */
void *jade_calloc(enum jade_tag tag, size_t n, size_t size);
/** Aligned to `align` (a power of two, 16..4096), uninitialised. */
void *jade_alloc_aligned(enum jade_tag tag, size_t size, size_t align);
/** Grows or shrinks (p may be NULL: then as jade_alloc); on failure returns NULL and p stays valid. Not for aligned blocks. */
void *jade_realloc(enum jade_tag tag, void *p, size_t size);
/** Frees a block of any of the above; NULL is allowed. */
void jade_free(void *p);
/** Copy of n bytes with a terminating NUL. */
char *jade_strndup(enum jade_tag tag, const char *s, size_t n);

/** Accounts memory that came from elsewhere (mapped pages, a library's heap) under a tag; delta may be negative. */
void jade_alloc_account(enum jade_tag tag, int64_t delta_bytes);
/** Bytes now held under a tag. */
int64_t jade_alloc_bytes(enum jade_tag tag);
/** Bytes now held under all tags. */
int64_t jade_alloc_bytes_total(void);
/** Name of a tag as status shows it. */
const char *jade_tag_name(enum jade_tag tag);

/** Test hook: the n-th allocation from now on (1 = the next) fails, once; 0 switches it off. Counts over all threads. */
void jade_alloc_fail_at(uint64_t n);
/** Test hook: allocations made since the last jade_alloc_fail_at. */
uint64_t jade_alloc_count(void);

#endif
