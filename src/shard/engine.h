/*
 * What the shards of a process share: the os, background workers, the reclamation epoch, and one ticker thread that does everything
 * periodic (interval syncs, durable marks, expiry of pins, scheduling of background work).
 *
 * A manual engine has no threads at all: background work happens inside jade_engine_run (deterministic tests on the simulated disk).
 * Ownership: the engine outlives its shards. Threads: all functions from any thread.
 */
#ifndef JADE_SHARD_ENGINE_H
#define JADE_SHARD_ENGINE_H

#include <stdbool.h>

#include "base/err.h"
#include "os/os.h"

struct jade_engine;

struct jade_engine_opts {
    struct jade_os *os;
    unsigned background_threads; /* 0 = one a processor */
    bool manual;                 /* no threads; see above */
};

jade_code jade_engine_new(const struct jade_engine_opts *opts, struct jade_engine **out,
                          struct jade_err *err);
/** Every shard must be closed. NULL allowed. */
void jade_engine_free(struct jade_engine *e);
struct jade_os *jade_engine_os(const struct jade_engine *e);
/** Manual engines: runs periodic work and queued background tasks until nothing is left to do. */
void jade_engine_run(struct jade_engine *e);

#endif
