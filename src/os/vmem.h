/*
 * Growable array with a fixed address: a range of addresses is reserved at once, memory is committed as the array grows, in 2 MB
 * steps with huge pages asked for (performance.md: 1.5 times more random rows a second). Readers keep their pointers while a
 * writer appends. Reserving costs addresses only: an idle database has none.
 * Threads: one grower at a time; the committed part may be read by others (publish the length with release order).
 */
#ifndef JADE_OS_VMEM_H
#define JADE_OS_VMEM_H

#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/err.h"

struct jade_vmem {
    uint8_t *base;   /* NULL when not reserved; page aligned (2 MB aligned when reserved >= 2 MB) */
    size_t reserved; /* bytes of addresses */
    size_t committed; /* bytes usable from base on; zero-filled when fresh; accounted under tag */
    enum jade_tag tag;
};

/** Reserves `max_bytes` of addresses, commits nothing. Errors: JADE_E_NOMEM. */
jade_code jade_vmem_init(struct jade_vmem *v, enum jade_tag tag, size_t max_bytes,
                         struct jade_err *err);
/**
 * Makes at least `bytes` usable. Small arrays commit in pages first (4 KiB doubling up to 2 MB), then in 2 MB steps.
 * Errors: JADE_E_NOMEM (also past reserved); nothing changed then.
 */
jade_code jade_vmem_grow(struct jade_vmem *v, size_t bytes, struct jade_err *err);
/** Gives everything back; fine on a zeroed struct. */
void jade_vmem_release(struct jade_vmem *v);
/** Test hook, as jade_alloc_fail_at: the n-th growth from now that would commit memory fails, once; 0 switches it off. */
void jade_vmem_fail_at(uint64_t n);

#endif
