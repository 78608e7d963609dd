/*
 * Reserved ranges of addresses that become memory as they grow.
 */
#include "os/vmem.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"

#define HUGE_PAGE  ((size_t)2 << 20)
#define FIRST_STEP ((size_t)4096)

static _Atomic uint64_t grow_fail_at; /* counts down to the growth that fails; 0 = off */

void jade_vmem_fail_at(uint64_t n)
{
    atomic_store_explicit(&grow_fail_at, n, memory_order_relaxed);
}

static bool must_fail(void)
{
    uint64_t n = atomic_load_explicit(&grow_fail_at, memory_order_relaxed);
    while (n != 0) {
        if (atomic_compare_exchange_weak_explicit(&grow_fail_at, &n, n - 1, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            return n == 1;
        }
    }
    return false;
}

static size_t round_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

/** munmap of a range that is ours can only fail by misuse. */
static void unmap(uint8_t *p, size_t n)
{
    int rc = munmap(p, n);
    JADE_ASSERT(rc == 0);
}

/** `size` bytes of addresses at a multiple of align (a power of two); NULL with errno set. */
static uint8_t *reserve_aligned(size_t size, size_t align, size_t page)
{
    size_t slack = align > page ? align : 0;
    uint8_t *p =
        mmap(NULL, size + slack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        return NULL;
    }
    if (slack > 0) {
        size_t head = (align - (uintptr_t)p % align) % align;
        if (head > 0) {
            unmap(p, head);
        }
        if (slack > head) {
            unmap(p + head + size, slack - head);
        }
        p += head;
    }
    return p;
}

jade_code jade_vmem_init(struct jade_vmem *v, enum jade_tag tag, size_t max_bytes,
                         struct jade_err *err)
{
    memset(v, 0, sizeof *v);
    v->tag = tag;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (max_bytes > SIZE_MAX / 4) {
        return jade_fail(err, JADE_E_NOMEM, "reserving %zu bytes of addresses", max_bytes);
    }
    size_t unit = max_bytes >= HUGE_PAGE ? HUGE_PAGE : page;
    size_t size = round_up(max_bytes > 0 ? max_bytes : 1, unit);
    v->base = reserve_aligned(size, unit, page);
    if (v->base == NULL) {
        return jade_fail_errno(err, JADE_E_NOMEM, errno, "reserving %zu bytes of addresses", size);
    }
    v->reserved = size;
    if (size >= HUGE_PAGE) {
        /* Asked for once over the whole range, so that committing does not split it. A kernel without huge pages says no. */
        (void)madvise(v->base, size, MADV_HUGEPAGE);
    }
    return JADE_OK;
}

/** Pages double up to 2 MB, so that a small array stays small; then 2 MB at a time, whole huge pages. */
static size_t step_up(size_t bytes)
{
    if (bytes > HUGE_PAGE) {
        return round_up(bytes, HUGE_PAGE);
    }
    size_t step = FIRST_STEP;
    while (step < bytes) {
        step *= 2;
    }
    return step;
}

jade_code jade_vmem_grow(struct jade_vmem *v, size_t bytes, struct jade_err *err)
{
    JADE_ASSERT(v->base != NULL);
    if (bytes <= v->committed) {
        return JADE_OK;
    }
    if (bytes > v->reserved) {
        return jade_fail(err, JADE_E_NOMEM, "%zu bytes asked of an array that may hold %zu", bytes,
                         v->reserved);
    }
    size_t target = round_up(step_up(bytes), (size_t)sysconf(_SC_PAGESIZE));
    target = target < v->reserved ? target : v->reserved;
    if (must_fail()) {
        return jade_fail_errno(err, JADE_E_NOMEM, ENOMEM, "growing an array to %zu bytes", target);
    }
    if (mprotect(v->base + v->committed, target - v->committed, PROT_READ | PROT_WRITE) != 0) {
        return jade_fail_errno(err, JADE_E_NOMEM, errno, "growing an array to %zu bytes", target);
    }
    jade_alloc_account(v->tag, (int64_t)(target - v->committed));
    v->committed = target;
    return JADE_OK;
}

void jade_vmem_release(struct jade_vmem *v)
{
    if (v->base != NULL) {
        unmap(v->base, v->reserved);
        jade_alloc_account(v->tag, -(int64_t)v->committed);
    }
    memset(v, 0, sizeof *v);
}
