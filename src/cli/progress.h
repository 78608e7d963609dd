/*
 * Progress of a long command: on a terminal a bar that renews itself with rate and time left, elsewhere a plain line now and then.
 *
 * Threads: a thread of its own draws; counters are atomics that any thread adds to; jade_progress_say prints a line between two drawings.
 */
#ifndef JADE_CLI_PROGRESS_H
#define JADE_CLI_PROGRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "os/thread.h"

struct jade_progress {
    FILE *out;
    bool live; /* a terminal */
    uint64_t began_us;
    atomic_uint_fast64_t n_done, n_bad;
    atomic_uint_fast64_t bytes_done, bytes_all; /* of the file; all 0 = not known */
    struct jade_mutex mutex;
    struct jade_cond cond;
    bool ended;
    struct jade_thread thread;
};

/** quiet: no thread, no lines but those of jade_progress_say. */
jade_code jade_progress_start(struct jade_progress *p, FILE *out, bool quiet, struct jade_err *err);
/** Ends the drawing; the bar is taken away. */
void jade_progress_stop(struct jade_progress *p);
void jade_progress_say(struct jade_progress *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/** The line for a moment: seconds since the start; bar: with a bar of that many characters. */
void jade_progress_line(const struct jade_progress *p, double seconds, unsigned bar,
                        struct jade_buf *out);
/** 1234567 as "1,234,567". */
void jade_grouped(uint64_t v, struct jade_buf *out);

#endif
