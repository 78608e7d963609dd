#include "base/alloc.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/*
 * Before each block: how large it is, whose it is, and how far back malloc's pointer lies. The mark in `owner` catches a pointer
 * that is not ours, and a second free of a block whose memory was not reused yet.
 */
struct header {
    uint64_t size;
    uint32_t owner;  /* OWNER_MARK | OWNER_ALIGNED? | tag */
    uint32_t offset; /* from malloc's pointer to the block */
};
static_assert(sizeof(struct header) == 16, "the header keeps blocks 16-byte aligned");

#define OWNER_MARK      0x4A440000u
#define OWNER_MARK_MASK 0xFFFF0000u
#define OWNER_ALIGNED   0x00000100u
#define OWNER_TAG_MASK  0x000000FFu
#define OWNER_FREED     0xDEAD0000u
#define ALIGN_MAX       4096u
#define SIZE_LIMIT      ((size_t)PTRDIFF_MAX - sizeof(struct header) - ALIGN_MAX)

static_assert(JADE_TAG_COUNT <= OWNER_TAG_MASK, "a tag fits its byte");
static_assert(alignof(max_align_t) >= 16, "malloc aligns to 16 bytes");

/* One cache line a tag, so that threads which allocate for different purposes do not slow each other. */
static struct {
    alignas(64) _Atomic int64_t bytes;
} held[JADE_TAG_COUNT];

/* Counting starts with the first jade_alloc_fail_at: a server that never injects faults shares no counter. */
static _Atomic bool counting;
static _Atomic uint64_t count;
static _Atomic uint64_t fail_at;

static bool injected_failure(void)
{
    if (!atomic_load_explicit(&counting, memory_order_relaxed)) {
        return false;
    }
    uint64_t mine = atomic_fetch_add_explicit(&count, 1, memory_order_relaxed) + 1;
    return mine == atomic_load_explicit(&fail_at, memory_order_relaxed);
}

static struct header *header_of(void *p)
{
    struct header *h = (struct header *)p - 1;
    JADE_ASSERT((h->owner & OWNER_MARK_MASK) == OWNER_MARK);
    JADE_ASSERT((h->owner & OWNER_TAG_MASK) < JADE_TAG_COUNT);
    return h;
}

static void *finish(void *base, size_t offset, uint32_t owner, size_t size)
{
    void *block = (char *)base + offset;
    struct header *h = (struct header *)block - 1;
    *h = (struct header){.size = size, .owner = owner, .offset = (uint32_t)offset};
    jade_alloc_account((enum jade_tag)(owner & OWNER_TAG_MASK), (int64_t)size);
    return block;
}

static uint32_t owner_of(enum jade_tag tag)
{
    JADE_ASSERT((unsigned)tag < JADE_TAG_COUNT);
    return OWNER_MARK | (uint32_t)tag;
}

void *jade_alloc(enum jade_tag tag, size_t size)
{
    uint32_t owner = owner_of(tag);
    if (size > SIZE_LIMIT || injected_failure()) {
        return NULL;
    }
    void *base = malloc(sizeof(struct header) + size);
    return base == NULL ? NULL : finish(base, sizeof(struct header), owner, size);
}

void *jade_calloc(enum jade_tag tag, size_t n, size_t size)
{
    uint32_t owner = owner_of(tag);
    size_t bytes = 0;
    if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_LIMIT || injected_failure()) {
        return NULL;
    }
    void *base = calloc(1, sizeof(struct header) + bytes);
    return base == NULL ? NULL : finish(base, sizeof(struct header), owner, bytes);
}

void *jade_alloc_aligned(enum jade_tag tag, size_t size, size_t align)
{
    uint32_t owner = owner_of(tag) | OWNER_ALIGNED;
    JADE_ASSERT(align >= sizeof(struct header) && align <= ALIGN_MAX && (align & (align - 1)) == 0);
    if (size > SIZE_LIMIT || injected_failure()) {
        return NULL;
    }
    /* malloc gives 16-byte alignment, so at most align bytes pass before a place with room for the header. */
    void *base = malloc(size + align + sizeof(struct header));
    if (base == NULL) {
        return NULL;
    }
    uintptr_t first = (uintptr_t)base + sizeof(struct header);
    uintptr_t block = (first + align - 1) & ~(uintptr_t)(align - 1);
    return finish(base, block - (uintptr_t)base, owner, size);
}

void *jade_realloc(enum jade_tag tag, void *p, size_t size)
{
    if (p == NULL) {
        return jade_alloc(tag, size);
    }
    uint32_t owner = owner_of(tag);
    struct header *h = header_of(p);
    JADE_ASSERT((h->owner & OWNER_ALIGNED) == 0);
    enum jade_tag old_tag = (enum jade_tag)(h->owner & OWNER_TAG_MASK);
    int64_t old_size = (int64_t)h->size;
    if (size > SIZE_LIMIT || injected_failure()) {
        return NULL;
    }
    void *base = realloc(h, sizeof(struct header) + size);
    if (base == NULL) {
        return NULL;
    }
    jade_alloc_account(old_tag, -old_size);
    return finish(base, sizeof(struct header), owner, size);
}

void jade_free(void *p)
{
    if (p == NULL) {
        return;
    }
    struct header *h = header_of(p);
    jade_alloc_account((enum jade_tag)(h->owner & OWNER_TAG_MASK), -(int64_t)h->size);
    char *base = (char *)p - h->offset;
    h->owner = OWNER_FREED;
    free(base);
}

char *jade_strndup(enum jade_tag tag, const char *s, size_t n)
{
    char *copy = n < SIZE_LIMIT ? jade_alloc(tag, n + 1) : NULL;
    if (copy != NULL) {
        if (n > 0) {
            memcpy(copy, s, n);
        }
        copy[n] = '\0';
    }
    return copy;
}

void jade_alloc_account(enum jade_tag tag, int64_t delta_bytes)
{
    JADE_ASSERT((unsigned)tag < JADE_TAG_COUNT);
    atomic_fetch_add_explicit(&held[tag].bytes, delta_bytes, memory_order_relaxed);
}

int64_t jade_alloc_bytes(enum jade_tag tag)
{
    JADE_ASSERT((unsigned)tag < JADE_TAG_COUNT);
    return atomic_load_explicit(&held[tag].bytes, memory_order_relaxed);
}

int64_t jade_alloc_bytes_total(void)
{
    int64_t total = 0;
    for (unsigned tag = 0; tag < JADE_TAG_COUNT; tag++) {
        total += jade_alloc_bytes((enum jade_tag)tag);
    }
    return total;
}

const char *jade_tag_name(enum jade_tag tag)
{
    static const char *const names[JADE_TAG_COUNT] = {
#define TAG_NAME(symbol, name) [symbol] = (name),
        JADE_TAGS(TAG_NAME)
#undef TAG_NAME
    };
    JADE_ASSERT((unsigned)tag < JADE_TAG_COUNT);
    return names[tag];
}

void jade_alloc_fail_at(uint64_t n)
{
    /* Off while the count restarts, so that another thread's allocation cannot meet the old number. */
    atomic_store_explicit(&fail_at, 0, memory_order_relaxed);
    atomic_store_explicit(&count, 0, memory_order_relaxed);
    atomic_store_explicit(&fail_at, n, memory_order_relaxed);
    atomic_store_explicit(&counting, true, memory_order_relaxed);
}

uint64_t jade_alloc_count(void)
{
    return atomic_load_explicit(&count, memory_order_relaxed);
}
