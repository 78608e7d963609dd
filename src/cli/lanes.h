/*
 * Sending rows in batches over several connections at once.
 *
 * Each connection is a lane with a thread and a short queue. A row's id decides its lane, and a lane sends in order, so that of two rows
 * with one id the later one in the file stands at the end, as if the file had been sent row by row. Two such rows never share a batch.
 *
 * A batch is stored whole or not at all. When the server blames a row of it (field "vectors[i]..."), that row is reported and left out and the rest
 * is sent again; a batch that is too large is halved; a server that is busy is asked again, later and later; any other error ends the import.
 *
 * Ownership: lanes copy the rows. Threads: jade_lanes_put and _finish from one thread.
 */
#ifndef JADE_CLI_LANES_H
#define JADE_CLI_LANES_H

#include "cli/progress.h"
#include "cli/source.h"

enum {
    JADE_LANES_MAX = 16,
    JADE_LANE_ROWS_MAX = 10000,
    JADE_LANE_BATCH_BYTES = 4 * 1024 * 1024,
};

struct jade_lanes;

struct jade_lanes_opts {
    const char *url, *key, *path; /* path of the batch call; borrowed */
    unsigned n;                   /* connections */
    unsigned batch_rows;
    struct jade_progress *progress;
    void (*bad)(void *ctx, uint64_t number, const struct jade_err *why); /* from any lane */
    void *ctx;
};

jade_code jade_lanes_new(const struct jade_lanes_opts *opts, struct jade_lanes **out,
                         struct jade_err *err);
/** Waits while the row's lane is full. Errors: the one that ended the import. */
jade_code jade_lanes_put(struct jade_lanes *l, const struct jade_row *row, struct jade_err *err);
/** Sends what is left and waits for it. Errors: the one that ended the import; *refused_out: the server's own. */
jade_code jade_lanes_finish(struct jade_lanes *l, bool *refused_out, struct jade_err *err);
/** Ends the lanes without sending what waits. NULL is allowed. */
void jade_lanes_free(struct jade_lanes *l);

/** The i of a field "vectors[i]..."; false when it names no row. */
bool jade_lanes_blamed(const char *field, uint32_t *i_out);

#endif
