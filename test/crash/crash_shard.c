/*
 * Crash-state sweep over a whole shard (src/shard on src/store): batches, deletes, checkpoints, merges, rebuilds and reopenings, cut at
 * every I/O point. Whatever crash state is left behind, the shard opens and holds exactly the acknowledged writes, with the one in flight
 * wholly or not at all; versions and values belong together; and it takes new writes that survive the next opening.
 * --canary runs the same over disks that drop syncs and must see violations.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "lossy_os.h"
#include "support/shard_model.h"
#include "sweep.h"

enum { OPS = 60, DIM = 4, IDS = 40, SEAL_BYTES = 6000 };

#define SHARD "db/0"

enum flight { NOTHING, UPSERT, DELETE };

struct context {
    struct model acked;
    enum flight flight; /* what was tried and not acknowledged */
    struct model_batch batch;
    uint32_t deleted[4];
    bool created; /* jade_shard_create returned */
    const struct lossy_opts *lossy;
};

static struct jade_shard_config config(void)
{
    struct jade_shard_config c = jade_shard_config_default(DIM, JADE_METRIC_EUCLIDEAN);
    c.seal_bytes = SEAL_BYTES;
    c.graph_rows_min = 4; /* so that graphs are written and read too */
    c.index.m = 4;
    c.index.ef_construction = 8;
    return c;
}

static jade_code engine_new(struct jade_os *os, struct jade_engine **out, struct jade_err *err)
{
    struct jade_engine_opts opts = {.os = os, .manual = true};
    return jade_engine_new(&opts, out, err);
}

/* ---- script ---- */

static void apply_deletes(struct model *m, const uint32_t *ids)
{
    for (uint32_t i = 0; i < 4; i++) {
        m->rows[ids[i]].alive = false;
    }
}

static jade_code upsert(struct context *c, struct jade_shard *s, struct jade_random *r,
                        struct jade_err *err)
{
    struct jade_write_result result;
    model_batch_begin(&c->acked, &c->batch);
    uint32_t n = 1 + (uint32_t)jade_random_below(r, 12);
    for (uint32_t i = 0; i < n; i++) {
        (void)model_batch_add(&c->acked, &c->batch, (uint32_t)jade_random_below(r, IDS));
    }
    c->flight = UPSERT;
    jade_code rc = jade_shard_upsert(s, c->batch.rows, c->batch.n, NULL, &result, NULL, err);
    if (rc == JADE_OK) {
        model_apply(&c->acked, &c->batch);
        c->flight = NOTHING;
    }
    return rc;
}

static jade_code delete_some(struct context *c, struct jade_shard *s, struct jade_random *r,
                             struct jade_err *err)
{
    struct jade_write_result result;
    char ids[4][32];
    const char *list[4];
    uint32_t lens[4];
    for (uint32_t i = 0; i < 4; i++) {
        c->deleted[i] = (uint32_t)jade_random_below(r, IDS);
        model_id(c->deleted[i], ids[i]);
        list[i] = ids[i];
        lens[i] = (uint32_t)strlen(ids[i]);
    }
    c->flight = DELETE;
    jade_code rc = jade_shard_delete(s, list, lens, 4, NULL, &result, err);
    if (rc == JADE_OK) {
        apply_deletes(&c->acked, c->deleted);
        c->flight = NOTHING;
    }
    return rc;
}

static jade_code step(struct context *c, struct jade_engine *e, struct jade_shard **s,
                      struct jade_random *r, struct jade_err *err)
{
    struct jade_shard_config conf = config();
    uint64_t dice = jade_random_below(r, 20);
    if (dice < 10) {
        return upsert(c, *s, r, err);
    }
    if (dice < 14) {
        return delete_some(c, *s, r, err);
    }
    if (dice < 17) {
        jade_engine_run(
            e); /* seals and merges what is due; its failures are logged and show at the next write or opening */
        return JADE_OK;
    }
    if (dice == 17) {
        return jade_shard_checkpoint(*s, err);
    }
    if (dice == 18) {
        return jade_shard_rebuild(*s, NULL, NULL, NULL, err);
    }
    struct jade_shard *closing = *s;
    *s = NULL;
    jade_code rc = jade_shard_close(closing, err);
    return rc != JADE_OK ? rc : jade_shard_open(e, SHARD, &conf, s, NULL, err);
}

static void reset(void *ctx)
{
    struct context *c = ctx;
    const struct lossy_opts *lossy = c->lossy;
    memset(c, 0, sizeof *c);
    c->lossy = lossy;
    c->acked.dim = DIM;
    c->acked.n_ids = IDS;
}

static jade_code run(void *ctx, struct jade_os *os, uint64_t seed, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct context *c = ctx;
    struct jade_engine *e = NULL;
    struct jade_shard *s = NULL;
    struct jade_random r;
    struct jade_shard_config conf = config();
    jade_random_init(&r, seed);
    JADE_TRY(engine_new(os, &e, err));
    JADE_TRY(jade_shard_create(e, SHARD, &conf, err));
    c->created = true;
    JADE_TRY(jade_shard_open(e, SHARD, &conf, &s, NULL, err));
    for (int i = 0; i < OPS; i++) {
        JADE_TRY(step(c, e, &s, &r, err));
    }
out:
    if (s) {
        jade_code closed = jade_shard_close(s, NULL);
        rc = rc != JADE_OK ? rc : closed;
    }
    jade_engine_free(e);
    return rc;
}

/* ---- recovery ---- */

/* As a program start does: an unfinished creation is begun anew. */
static jade_code open_or_create(const struct context *c, struct jade_engine *e,
                                struct jade_shard **s, struct jade_err *err)
{
    struct jade_shard_config conf = config();
    jade_code rc = jade_shard_open(e, SHARD, &conf, s, NULL, err);
    if (rc == JADE_E_NOT_FOUND && !c->created) {
        rc = jade_shard_create(e, SHARD, &conf, err);
        if (rc == JADE_OK) {
            rc = jade_shard_open(e, SHARD, &conf, s, NULL, err);
        }
    }
    return rc;
}

static jade_code recover(void *ctx, struct jade_os *os, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_engine *e = NULL;
    struct jade_shard *s = NULL;
    JADE_TRY(engine_new(os, &e, err));
    JADE_TRY(open_or_create(ctx, e, &s, err));
    rc = jade_shard_close(s, err);
out:
    jade_engine_free(e);
    return rc;
}

/* True when every row, and the count, is what the model says; silent. */
static bool holds(const struct model *m, struct jade_shard *s, char *why, size_t size)
{
    uint64_t alive = 0;
    uint64_t count = 0;
    for (uint32_t i = 0; i < m->n_ids; i++) {
        if (!model_row_holds(m, s, i, JADE_LSN_NONE, why, size)) {
            return false;
        }
        alive += m->rows[i].alive;
    }
    if (jade_shard_count(s, NULL, JADE_LSN_NONE, &count, NULL) != JADE_OK || count != alive) {
        snprintf(why, size, "count %llu, expected %llu", (unsigned long long)count,
                 (unsigned long long)alive);
        return false;
    }
    return true;
}

static jade_code goes_on(struct jade_engine *e, struct jade_shard **s, struct model *m,
                         struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct model_batch b;
    struct jade_write_result result;
    struct jade_shard_config conf = config();
    char why[512];
    m->stamp += 1000;
    model_batch_begin(m, &b);
    for (uint32_t i = 0; i < 5; i++) {
        (void)model_batch_add(m, &b, i * 7);
    }
    JADE_TRY(jade_shard_upsert(*s, b.rows, b.n, NULL, &result, NULL, err));
    model_apply(m, &b);
    JADE_TRY(jade_shard_checkpoint(*s, err));
    JADE_TRY(jade_shard_verify(*s, err));
    struct jade_shard *closing = *s;
    *s = NULL;
    JADE_TRY(jade_shard_close(closing, err));
    JADE_TRY(jade_shard_open(e, SHARD, &conf, s, NULL, err));
    if (!holds(m, *s, why, sizeof why)) {
        rc = jade_fail(err, JADE_E_INTERNAL, "after going on: %s", why);
    }
out:
    return rc;
}

static jade_code check(void *ctx, struct jade_os *os, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const struct context *c = ctx;
    struct jade_engine *e = NULL;
    struct jade_shard *s = NULL;
    char why_not[512] = "";
    char why[512] = "";
    static struct model before;
    static struct model after;
    before = c->acked;
    after = c->acked;
    if (c->flight == UPSERT) {
        model_apply(&after, &c->batch);
    } else if (c->flight == DELETE) {
        apply_deletes(&after, c->deleted);
    }
    JADE_TRY(engine_new(os, &e, err));
    JADE_TRY(open_or_create(c, e, &s, err));
    if (holds(&after, s, why, sizeof why)) {
        rc = goes_on(e, &s, &after, err);
    } else if (holds(&before, s, why_not, sizeof why_not)) {
        rc = goes_on(e, &s, &before, err);
    } else {
        rc = jade_fail(err, JADE_E_INTERNAL,
                       "neither with the write in flight (%s) nor without it (%s)", why, why_not);
    }
out:
    if (s) {
        jade_code closed = jade_shard_close(s, NULL);
        rc = rc != JADE_OK ? rc : closed;
    }
    jade_engine_free(e);
    return rc;
}

/* ---- canaries ---- */

static struct jade_os *wrap(void *ctx, struct jade_os *os)
{
    const struct context *c = ctx;
    return c->lossy ? lossy_os_new(os, c->lossy) : os;
}

static void unwrap(void *ctx, struct jade_os *os)
{
    const struct context *c = ctx;
    if (c->lossy) {
        lossy_os_free(os);
    }
}

int main(int argc, char **argv)
{
    static struct context c;
    const struct sweep_subject subject = {.name = "shard",
                                          .reset = reset,
                                          .run = run,
                                          .recover = recover,
                                          .check = check,
                                          .ctx = &c,
                                          .wrap = wrap,
                                          .unwrap = unwrap};
    static const struct sweep_canary canaries[] = {
        {"files of segments are not synced", {.file_part = "/segments/"}},
        {"the log is not synced", {.file_part = ".wal"}},
        {"CURRENT is not synced", {.file_part = "CURRENT"}},
        {"folders are not synced", {.folders = true}},
    };
    jade_log_set_level(JADE_LOG_OFF); /* every cut would be told otherwise */
    return sweep_main(&subject, canaries, sizeof canaries / sizeof canaries[0], &c.lossy, argc,
                      argv);
}
