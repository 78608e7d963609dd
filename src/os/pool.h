/*
 * Background workers: a fixed number of threads that take tasks from one bounded queue. For index building, sealing, compaction;
 * never for requests. A pool with 0 threads runs tasks only inside jade_pool_run_one (deterministic tests on the simulated disk).
 */
#ifndef JADE_OS_POOL_H
#define JADE_OS_POOL_H

#include <stdbool.h>

#include "base/err.h"

struct jade_pool;

typedef void (*jade_task_fn)(void *arg);

/** nice: as in jade_thread_start. Errors: JADE_E_NOMEM, JADE_E_UNAVAILABLE (no thread could be made). */
jade_code jade_pool_new(unsigned n_threads, int nice, struct jade_pool **out, struct jade_err *err);
/**
 * Stops taking new tasks and waits for running ones. Tasks still queued are dropped, so owners must have drained theirs before.
 * NULL is allowed.
 */
void jade_pool_free(struct jade_pool *p);
/**
 * Queues fn(arg); the queue grows without blocking (owners bound their own tasks).
 * Errors: JADE_E_NOMEM, JADE_E_UNAVAILABLE when stopping.
 */
jade_code jade_pool_submit(struct jade_pool *p, jade_task_fn fn, void *arg, struct jade_err *err);
/** Runs one queued task on this thread; false when the queue is empty. */
bool jade_pool_run_one(struct jade_pool *p);
unsigned jade_pool_threads(const struct jade_pool *p);

#endif
