/*
 * The crash-state sweep (reliability.md T3): runs a seeded script on the simulated disk, cuts power before every I/O point of
 * it, draws several crash states from each cut, recovers each, and compares it with what the script had been promised.
 *
 * A subject brings three callbacks and its model:
 *   reset    forgets the model; the script starts from an empty disk.
 *   run      carries out the script of `seed` on os, noting in the model what was promised and what was only tried. It stops at
 *            the first error and returns it (after a cut every call fails); it releases all it holds.
 *   recover  opens the disk as a start of the program does and closes it again; may fail (power goes a second time in it).
 *   check    recovers and compares with the model; JADE_OK when every promise holds, else an error that says which is broken.
 *            Called several times for one run, on different disks: it must not change the model.
 * Half of the random states are reached through a recovery that is cut itself. Besides, the process is killed before every call: the
 * next one recovers over the living page cache, and only then power goes.
 *
 * A violation prints the arguments that reproduce it. Threads: one.
 */
#ifndef JADE_TEST_CRASH_SWEEP_H
#define JADE_TEST_CRASH_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "lossy_os.h"
#include "os/os.h"

struct sweep_subject {
    const char *name;
    void (*reset)(void *ctx);
    jade_code (*run)(void *ctx, struct jade_os *os, uint64_t seed, struct jade_err *err);
    jade_code (*recover)(void *ctx, struct jade_os *os, struct jade_err *err);
    jade_code (*check)(void *ctx, struct jade_os *os, struct jade_err *err);
    void *ctx;
    /* Optional: what the script and the check see instead of the disk itself (canaries). Freed by unwrap. */
    struct jade_os *(*wrap)(void *ctx, struct jade_os *os);
    void (*unwrap)(void *ctx, struct jade_os *os);
};

struct sweep_opts {
    uint64_t first_seed, n_seeds; /* scripts */
    uint64_t random_states;       /* of each cut, beside the three fixed policies */
    uint64_t only_point;          /* power cut at this I/O point only; 0 = all */
    uint64_t only_call;           /* killed at this call only; 0 = all */
    uint64_t violations_max;      /* stop after so many; 0 = at the end only */
};

struct sweep_result {
    uint64_t points;     /* I/O points cut, and calls killed at */
    uint64_t states;     /* crash states checked */
    uint64_t violations; /* 0 is the promise */
};

/** Defaults, changed by --seed N, --seeds N, --states N, --point N, --call N. False (with a line on standard error) for anything else but --canary. */
bool sweep_parse(int argc, char **argv, struct sweep_opts *opts, bool *canary_out);
/** Runs the sweep. False when the harness itself failed (no memory; a script that fails without a cut). */
bool sweep_run(const struct sweep_subject *subject, const struct sweep_opts *opts,
               struct sweep_result *result);
/** The line that make test-crash shows: "crash points: N, violations: V" (N = states). */
void sweep_print(const struct sweep_subject *subject, const struct sweep_opts *opts,
                 const struct sweep_result *result);

/** A lie that the sweep must notice; `opts` of it are put where the subject's wrap looks. */
struct sweep_canary {
    const char *what;
    struct lossy_opts lossy;
};
/**
 * main() of a sweep: parses the arguments, runs the sweep or, with --canary, each canary (*lossy_slot points to its disk meanwhile).
 * Returns the exit status: 0 no violation (canaries: all caught), 1 else, 2 the harness failed.
 */
int sweep_main(const struct sweep_subject *subject, const struct sweep_canary *canaries,
               size_t n_canaries, const struct lossy_opts **lossy_slot, int argc, char **argv);

#endif
