/*
 * Epoch-based reclamation: readers pin, writers retire, memory is freed when no reader can still see it.
 *
 * Invariants: 1. what a reader loaded (acquire) inside a pin stays valid until its unpin. 2. A retired object is freed by the
 * thread that calls jade_epoch_retire or jade_epoch_reclaim, never by a reader. 3. Pins nest on a thread.
 * Threads: pin/unpin from any thread, wait-free after the thread's first pin (a slot is claimed and kept until the thread ends);
 * retire from any thread. Built on C11 atomics, so that ThreadSanitizer sees the ordering.
 * Source: Fraser 2004, Practical lock-freedom, section 5.2.3 (epochs); ours counts in one global clock and scans slots.
 */
#ifndef JADE_BASE_EPOCH_H
#define JADE_BASE_EPOCH_H

#include <stdbool.h>

#include "base/err.h"

struct jade_epoch_domain;

jade_code jade_epoch_new(struct jade_epoch_domain **out, struct jade_err *err);
/** No reader may be pinned; frees everything retired. */
void jade_epoch_free(struct jade_epoch_domain *d);
/** Begins a read-side section of this thread; returns a token for unpin. */
unsigned jade_epoch_pin(struct jade_epoch_domain *d);
void jade_epoch_unpin(struct jade_epoch_domain *d, unsigned token);
/**
 * Hands `object` over: free_fn(object) runs once no reader pinned before this call is left. Falls back to waiting for the
 * readers when the list node cannot be allocated, so it never fails. Inside a pin of this thread it cannot wait: when memory is
 * short and the reserve of 32 nodes is spent, the object is given up (leaked, logged). free_fn may retire, but not drain.
 */
void jade_epoch_retire(struct jade_epoch_domain *d, void *object, void (*free_fn)(void *));
/** Frees what can be freed now; returns true when nothing retired is left. */
bool jade_epoch_reclaim(struct jade_epoch_domain *d);
/** Waits until everything retired before the call is freed. Not inside a pin. */
void jade_epoch_drain(struct jade_epoch_domain *d);

#endif
