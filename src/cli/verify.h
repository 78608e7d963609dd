/*
 * Whether an import is there (DM-004): a sample of the rows that were sent is read back, compared and searched for.
 *
 * Invariants: 1. every row with an id has the same chance to be in the sample, whatever the length of the file (reservoir, Vitter 1985,
 * algorithm R). 2. of rows with one id the sample holds the last one. 3. a row that the server refused is not in it.
 * A row that an index misses is asked for again with an exact search: only what that misses too is a fault. With the dot product, and
 * among many equal vectors, others may rightly stand before the row itself; what counts is then that none of them is worse than it.
 *
 * Calling sequence: init, put for each row that is sent, drop for each that is refused, run, release.
 * Ownership: rows are copied. Threads: put and run from one thread, drop from any, while run does not.
 */
#ifndef JADE_CLI_VERIFY_H
#define JADE_CLI_VERIFY_H

#include "base/random.h"
#include "cli/cli.h"
#include "cli/source.h"
#include "os/thread.h"

enum {
    JADE_VERIFY_ROWS_MAX = 20,
    JADE_VERIFY_TOP_K = 10,
};

struct jade_verify_row {
    struct jade_buf id;     /* NUL-terminated */
    struct jade_buf values; /* float32; empty: the row was a text */
    uint64_t number;        /* line of the file, or row of the array, from 1 */
    bool used;
};

struct jade_verify {
    struct jade_mutex mutex; /* sample, n_distinct */
    struct jade_verify_row row[JADE_VERIFY_ROWS_MAX];
    uint64_t n_seen;     /* rows with an id */
    uint64_t n_distinct; /* rows that certainly have an id of their own */
    struct jade_random random;
    unsigned n_checked; /* rows that run found as they were sent */
};

void jade_verify_init(struct jade_verify *v);
void jade_verify_release(struct jade_verify *v);
/** values: row->dimension numbers, NULL for a text. is_distinct: no other row has this one's id. Errors: JADE_E_NOMEM. */
jade_code jade_verify_put(struct jade_verify *v, const struct jade_row *row, const float *values,
                          bool is_distinct, struct jade_err *err);
/** The server refused the row of that number. */
void jade_verify_drop(struct jade_verify *v, uint64_t number);
/**
 * Asks the server for the count and for each row of the sample. metric: "cosine", "euclidean" or "dot". Errors: JADE_E_CORRUPT with the row that
 * is not as it was sent, those of the calls.
 */
jade_code jade_verify_run(struct jade_verify *v, struct jade_cli *cli, const char *db,
                          const char *metric, struct jade_err *err);

#endif
