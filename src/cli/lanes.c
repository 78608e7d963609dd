#include "cli/lanes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/map.h"
#include "cli/http.h"
#include "os/os.h"

enum {
    SLOTS = 3, /* batches of a lane: one being filled, one waiting, one on its way */
    ROWS_AFTER_BLAME_MIN = 16,
    WAIT_FIRST_US = 100000,
    WAIT_MAX_US = 5000000,
    PATIENCE_US = 120000000, /* a server that is busy for longer than this ends the import */
};

struct place {
    size_t at;
    uint32_t n;
    uint64_t number;
    uint64_t bytes; /* of the source */
};
struct batch {
    struct jade_buf text; /* rows one after the other */
    struct place *rows;
    uint32_t n;
    struct jade_map ids;
};
struct lane {
    struct jade_lanes *all;
    struct jade_client *client;
    struct jade_buf body;
    struct batch slot[SLOTS];
    uint64_t n_queued, n_sent; /* batches; slot = number % SLOTS */
    struct jade_thread thread;
};
struct jade_lanes {
    struct jade_lanes_opts opts;
    struct jade_mutex mutex;
    struct jade_cond cond; /* queued, sent, failed or ended */
    bool ending, failed, refused;
    struct jade_err error;
    uint64_t n_without_id, last_bytes;
    struct lane lane[JADE_LANES_MAX];
};

bool jade_lanes_blamed(const char *field, uint32_t *i_out)
{
    char *end = NULL;
    if (strncmp(field, "vectors[", 8) != 0 || field[8] < '0' || field[8] > '9') {
        return false;
    }
    errno = 0;
    unsigned long i = strtoul(field + 8, &end, 10);
    *i_out = (uint32_t)i;
    return errno == 0 && *end == ']' && i < UINT32_MAX;
}

/* ---- sending ---- */

static void fail(struct jade_lanes *l, const struct jade_err *why, bool refused)
{
    jade_mutex_lock(&l->mutex);
    if (!l->failed) { /* the first one is told */
        l->failed = true;
        l->refused = refused;
        l->error = *why;
    }
    jade_cond_broadcast(&l->cond);
    jade_mutex_unlock(&l->mutex);
}

static jade_code write_body(struct lane *lane, const struct batch *b, uint32_t from, uint32_t n,
                            struct jade_err *err)
{
    jade_buf_clear(&lane->body);
    jade_buf_append_str(&lane->body, "{\"vectors\":[");
    for (uint32_t i = from; i < from + n; i++) {
        if (i > from) {
            jade_buf_append_byte(&lane->body, ',');
        }
        jade_buf_append(&lane->body, b->text.data + b->rows[i].at, b->rows[i].n);
    }
    jade_buf_append_str(&lane->body, "]}");
    return jade_buf_status(&lane->body, err);
}

/* Waits before the same batch goes again; false when patience or the import is over. */
static bool wait_for_server(struct jade_lanes *l, const struct jade_reply *reply, uint64_t *next_us,
                            uint64_t *waited_us)
{
    uint64_t us = reply->retry_after_ms > 0 ? reply->retry_after_ms * 1000 : *next_us;
    us = us < WAIT_MAX_US ? us : WAIT_MAX_US;
    *waited_us += us;
    *next_us = *next_us * 2 < WAIT_MAX_US ? *next_us * 2 : WAIT_MAX_US;
    if (*waited_us > PATIENCE_US) {
        return false;
    }
    uint64_t until = jade_os_mono_us(jade_os_posix()) + us;
    jade_mutex_lock(&l->mutex);
    for (uint64_t now = 0; !l->failed && (now = jade_os_mono_us(jade_os_posix())) < until;) {
        (void)jade_cond_wait_for(&l->cond, &l->mutex, until - now);
    }
    bool go_on = !l->failed;
    jade_mutex_unlock(&l->mutex);
    return go_on;
}

static void drop(struct lane *lane, struct batch *b, uint32_t i, const struct jade_err *why)
{
    struct jade_lanes *l = lane->all;
    l->opts.bad(l->opts.ctx, b->rows[i].number, why);
    atomic_fetch_add(&l->opts.progress->bytes_done, b->rows[i].bytes);
    memmove(b->rows + i, b->rows + i + 1, (b->n - i - 1) * sizeof *b->rows);
    b->n--;
}

/* Whether the whole import is to blame, not a row of it. */
static bool is_final(const struct jade_reply *reply, jade_code rc)
{
    return reply->status < 400 || rc == JADE_E_UNAUTHORIZED || rc == JADE_E_FORBIDDEN ||
           rc == JADE_E_NOT_FOUND;
}

static void count(struct lane *lane, const struct batch *b, uint32_t from, uint32_t n)
{
    uint64_t bytes = 0;
    for (uint32_t i = from; i < from + n; i++) {
        bytes += b->rows[i].bytes;
    }
    atomic_fetch_add(&lane->all->opts.progress->n_done, n);
    atomic_fetch_add(&lane->all->opts.progress->bytes_done, bytes);
}

/* The error's place within a row: "vectors[3].values" -> "values". */
static void strip_prefix(struct jade_err *why)
{
    const char *rest = strchr(why->field, ']');
    if (rest) {
        rest += rest[1] == '.' ? 2 : 1;
        memmove(why->field, rest, strlen(rest) + 1);
    }
}

/* Stores all rows of a batch that the server takes; false when the import is over. */
static bool send_batch(struct lane *lane, struct batch *b)
{
    struct jade_lanes *l = lane->all;
    uint32_t at = 0, size = b->n;
    uint64_t next_us = WAIT_FIRST_US, waited_us = 0;
    while (at < b->n) {
        struct jade_err why = {0};
        struct jade_reply reply = {.status = 0};
        uint32_t n = size < b->n - at ? size : b->n - at, i = 0;
        jade_code rc = write_body(lane, b, at, n, &why);
        if (rc == JADE_OK) {
            rc = jade_client_call(lane->client, "POST", l->opts.path, lane->body.data,
                                  lane->body.len, &reply, &why);
        }
        if (rc == JADE_OK) {
            count(lane, b, at, n);
            at += n;
            size = size < b->n / 2 ? size * 2 : b->n;
            next_us = WAIT_FIRST_US;
            waited_us = 0;
        } else if (is_final(&reply, rc)) {
            fail(l, &why, reply.status >= 400);
            return false;
        } else if (jade_code_retryable(rc) && rc != JADE_E_CONFLICT && rc != JADE_E_NOSPACE) {
            if (!wait_for_server(l, &reply, &next_us, &waited_us)) {
                fail(l, &why, true);
                return false;
            }
        } else if (jade_lanes_blamed(why.field, &i) && i < n) {
            strip_prefix(&why);
            drop(lane, b, at + i, &why);
            size = n / 2 > ROWS_AFTER_BLAME_MIN ? n / 2 : ROWS_AFTER_BLAME_MIN;
        } else if (rc == JADE_E_TOO_LARGE && n > 1) {
            size = n / 2;
        } else if (rc == JADE_E_TOO_LARGE) {
            drop(lane, b, at, &why);
        } else {
            fail(l, &why, true);
            return false;
        }
    }
    return true;
}

static void clear_batch(struct batch *b)
{
    b->n = 0;
    jade_buf_clear(&b->text);
    jade_map_release(&b->ids);
    jade_map_init(&b->ids, JADE_TAG_OTHER);
}

static void *run(void *arg)
{
    struct lane *lane = arg;
    struct jade_lanes *l = lane->all;
    jade_mutex_lock(&l->mutex);
    while (!l->failed) {
        if (lane->n_sent == lane->n_queued) {
            if (l->ending) {
                break;
            }
            jade_cond_wait(&l->cond, &l->mutex);
            continue;
        }
        struct batch *b = &lane->slot[lane->n_sent % SLOTS];
        jade_mutex_unlock(&l->mutex);
        bool ok = send_batch(lane, b);
        clear_batch(b);
        jade_mutex_lock(&l->mutex);
        lane->n_sent += ok;
        jade_cond_broadcast(&l->cond);
    }
    jade_mutex_unlock(&l->mutex);
    return NULL;
}

/* ---- making, ending ---- */

static jade_code start_lane(struct jade_lanes *l, struct lane *lane, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    lane->all = l;
    for (unsigned s = 0; s < SLOTS; s++) {
        lane->slot[s].rows = jade_calloc(JADE_TAG_OTHER, l->opts.batch_rows, sizeof(struct place));
        if (!lane->slot[s].rows) {
            rc = jade_fail(err, JADE_E_NOMEM, "the list of a batch");
            goto out;
        }
    }
    JADE_TRY(jade_client_new(l->opts.url, l->opts.key, &lane->client, err));
    JADE_TRY(jade_thread_start(&lane->thread, "import", 0, run, lane, err));
out:
    return rc;
}

jade_code jade_lanes_new(const struct jade_lanes_opts *opts, struct jade_lanes **out,
                         struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_lanes *l = jade_calloc(JADE_TAG_OTHER, 1, sizeof *l);
    *out = NULL;
    JADE_ASSERT(opts->n > 0 && opts->n <= JADE_LANES_MAX && opts->batch_rows > 0);
    if (!l) {
        return jade_fail(err, JADE_E_NOMEM, "the connections");
    }
    l->opts = *opts;
    jade_mutex_init(&l->mutex);
    jade_cond_init(&l->cond);
    for (unsigned i = 0; i < opts->n; i++) {
        jade_buf_init(&l->lane[i].body, JADE_TAG_OTHER);
        for (unsigned s = 0; s < SLOTS; s++) {
            jade_buf_init(&l->lane[i].slot[s].text, JADE_TAG_OTHER);
            jade_map_init(&l->lane[i].slot[s].ids, JADE_TAG_OTHER);
        }
    }
    for (unsigned i = 0; i < opts->n; i++) {
        JADE_TRY(start_lane(l, &l->lane[i], err));
    }
    *out = l;
    l = NULL;
out:
    jade_lanes_free(l);
    return rc;
}

static void end(struct jade_lanes *l)
{
    jade_mutex_lock(&l->mutex);
    l->ending = true;
    jade_cond_broadcast(&l->cond);
    jade_mutex_unlock(&l->mutex);
    for (unsigned i = 0; i < l->opts.n; i++) {
        jade_thread_join(&l->lane[i].thread);
        l->lane[i].thread.started = false;
    }
}

void jade_lanes_free(struct jade_lanes *l)
{
    if (!l) {
        return;
    }
    jade_mutex_lock(&l->mutex);
    l->failed = true; /* what waits is not sent */
    jade_mutex_unlock(&l->mutex);
    end(l);
    for (unsigned i = 0; i < l->opts.n; i++) {
        jade_client_free(l->lane[i].client);
        jade_buf_release(&l->lane[i].body);
        for (unsigned s = 0; s < SLOTS; s++) {
            jade_buf_release(&l->lane[i].slot[s].text);
            jade_map_release(&l->lane[i].slot[s].ids);
            jade_free(l->lane[i].slot[s].rows);
        }
    }
    jade_cond_release(&l->cond);
    jade_mutex_release(&l->mutex);
    jade_free(l);
}

/* ---- filling ---- */

static jade_code stopped(struct jade_lanes *l, struct jade_err *err)
{
    if (err) {
        *err = l->error;
    }
    return l->error.code;
}

/* Hands the batch being filled over and waits for a free slot. */
static jade_code queue(struct jade_lanes *l, struct lane *lane, struct jade_err *err)
{
    jade_mutex_lock(&l->mutex);
    lane->n_queued++;
    jade_cond_broadcast(&l->cond);
    while (!l->failed && lane->n_queued - lane->n_sent == SLOTS) {
        jade_cond_wait(&l->cond, &l->mutex);
    }
    jade_code rc = l->failed ? stopped(l, err) : JADE_OK;
    jade_mutex_unlock(&l->mutex);
    return rc;
}

jade_code jade_lanes_put(struct jade_lanes *l, const struct jade_row *row, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    uint64_t which = row->id_len > 0 ? jade_hash64(row->id, row->id_len, 0) : l->n_without_id++;
    struct lane *lane = &l->lane[which % l->opts.n];
    struct batch *b = &lane->slot[lane->n_queued % SLOTS];
    bool is_full =
        b->n == l->opts.batch_rows || (b->n > 0 && b->text.len + row->n > JADE_LANE_BATCH_BYTES);
    uint64_t line;
    if (is_full || (row->id_len > 0 && jade_map_get(&b->ids, row->id, row->id_len, &line))) {
        JADE_TRY(queue(l, lane, err));
        b = &lane->slot[lane->n_queued % SLOTS];
    }
    if (row->id_len > 0) {
        JADE_TRY(jade_map_put(&b->ids, row->id, row->id_len, row->number, NULL, err));
    }
    b->rows[b->n] = (struct place){.at = b->text.len,
                                   .n = (uint32_t)row->n,
                                   .number = row->number,
                                   .bytes = row->bytes - l->last_bytes};
    jade_buf_append(&b->text, row->json, row->n);
    JADE_TRY(jade_buf_status(&b->text, err));
    b->n++;
    l->last_bytes = row->bytes;
out:
    return rc;
}

jade_code jade_lanes_finish(struct jade_lanes *l, bool *refused_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    for (unsigned i = 0; i < l->opts.n && rc == JADE_OK; i++) {
        if (l->lane[i].slot[l->lane[i].n_queued % SLOTS].n > 0) {
            rc = queue(l, &l->lane[i], err);
        }
    }
    end(l);
    *refused_out = l->refused;
    return l->failed ? stopped(l, err) : rc;
}
