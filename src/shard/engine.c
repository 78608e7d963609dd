/*
 * The engine: what shards of a process share, and the ticker thread.
 */
#include "shard/engine.h"

#include "base/assert.h"
#include "os/guard.h"
#include "shard/shard_private.h"
#include "simd/simd.h"

enum {
    TICK_US = 50000,
    ASLEEP_US = 5000000, /* a background failure wakes nobody: it is met here */
    BACKGROUND_NICE = 10
};

static bool tick_all(struct jade_engine *e)
{
    /* The mutex is held but while a shard is looked at, which may sync its log: nobody waits for another one's disk. A shard in work
     * stays in the list (jadei_engine_remove waits), so its `next` is good afterwards. */
    uint64_t now = jade_os_mono_us(e->os);
    bool again = false;
    for (struct jade_shard *s = e->shards; s; s = s->next) {
        e->ticking = s;
        jade_mutex_unlock(&e->mutex);
        bool more = jadei_shard_tick(s, now);
        jade_mutex_lock(&e->mutex);
        again |= more;
        e->ticking = NULL;
        jade_cond_broadcast(&e->ticked);
    }
    again |= !jade_epoch_reclaim(e->epoch);
    return again;
}

static void *ticker_main(void *arg)
{
    struct jade_engine *e = arg;
    jade_mutex_lock(&e->mutex);
    while (!e->stopping) {
        bool again = tick_all(e) || e->kicked;
        if (!again) {
            /* A write that the first look missed is seen by the second, or it sees that we sleep and kicks. */
            atomic_store(&e->asleep, true);
            again = tick_all(e);
        }
        again |= e->kicked;
        e->kicked = false;
        if (!e->stopping) {
            (void)jade_cond_wait_for(&e->wake, &e->mutex, again ? TICK_US : ASLEEP_US);
        }
        atomic_store(&e->asleep, false);
    }
    jade_mutex_unlock(&e->mutex);
    return NULL;
}

jade_code jade_engine_new(const struct jade_engine_opts *opts, struct jade_engine **out,
                          struct jade_err *err)
{
    jade_code rc = JADE_OK;
    *out = NULL;
    struct jade_engine *e = jade_calloc(JADE_TAG_OTHER, 1, sizeof *e);
    if (!e) {
        return jade_fail(err, JADE_E_NOMEM, "engine");
    }
    e->os = opts->os;
    e->manual = opts->manual;
    jade_mutex_init(&e->mutex);
    jade_mutex_init(&e->parser_mutex);
    jade_cond_init(&e->wake);
    jade_cond_init(&e->ticked);
    unsigned threads = opts->background_threads ? opts->background_threads : jade_cpu_count();
    e->index_tasks_max = opts->manual ? 1 : threads;
    jade_guard_install();
    JADE_TRY(jade_simd_init(err));
    JADE_TRY(jade_epoch_new(&e->epoch, err));
    JADE_TRY(jade_pool_new(opts->manual ? 0 : threads, BACKGROUND_NICE, &e->pool, err));
    if (!opts->manual) {
        JADE_TRY(jade_thread_start(&e->ticker, "jade-ticker", 0, ticker_main, e, err));
    }
    *out = e;
    return JADE_OK;
out:
    jade_engine_free(e);
    return rc;
}

void jade_engine_free(struct jade_engine *e)
{
    if (!e) {
        return;
    }
    JADE_ASSERT(e->shards == NULL);
    jade_mutex_lock(&e->mutex);
    e->stopping = true;
    jade_cond_broadcast(&e->wake);
    jade_mutex_unlock(&e->mutex);
    jade_thread_join(&e->ticker);
    jade_pool_free(e->pool);
    if (e->epoch) {
        jade_epoch_free(e->epoch);
    }
    for (unsigned i = 0; i < e->n_parsers; i++) {
        jade_json_parser_free(e->parsers[i]);
    }
    jade_cond_release(&e->ticked);
    jade_cond_release(&e->wake);
    jade_mutex_release(&e->parser_mutex);
    jade_mutex_release(&e->mutex);
    jade_free(e);
}

struct jade_os *jade_engine_os(const struct jade_engine *e)
{
    return e->os;
}

void jade_engine_run(struct jade_engine *e)
{
    JADE_ASSERT(e->manual);
    bool more = true;
    while (more) {
        jade_mutex_lock(&e->mutex);
        (void)tick_all(e);
        jade_mutex_unlock(&e->mutex);
        more = false;
        while (jade_pool_run_one(e->pool)) {
            more = true;
        }
    }
}

void jadei_engine_add(struct jade_engine *e, struct jade_shard *s)
{
    jade_mutex_lock(&e->mutex);
    s->next = e->shards;
    e->shards = s;
    jade_mutex_unlock(&e->mutex);
}

void jadei_engine_remove(struct jade_engine *e, struct jade_shard *s)
{
    jade_mutex_lock(&e->mutex);
    while (e->ticking == s) {
        jade_cond_wait(&e->ticked, &e->mutex);
    }
    for (struct jade_shard **p = &e->shards; *p; p = &(*p)->next) {
        if (*p == s) {
            *p = s->next;
            break;
        }
    }
    jade_mutex_unlock(&e->mutex);
}

void jadei_engine_kick(struct jade_engine *e)
{
    if (e->manual) {
        return;
    }
    jade_mutex_lock(&e->mutex);
    if (!e->kicked) {
        e->kicked = true;
        jade_cond_signal(&e->wake);
    }
    jade_mutex_unlock(&e->mutex);
}

jade_code jadei_metadata_parser_take(struct jade_engine *e, struct jade_json_parser **out,
                                     struct jade_err *err)
{
    *out = NULL;
    jade_mutex_lock(&e->parser_mutex);
    if (e->n_parsers > 0) {
        *out = e->parsers[--e->n_parsers];
    }
    jade_mutex_unlock(&e->parser_mutex);
    if (*out) {
        return JADE_OK;
    }
    return jade_json_parser_new(JADE_METADATA_BYTES_MAX, JADE_METADATA_DEPTH_MAX, out, err);
}

void jadei_metadata_parser_give(struct jade_engine *e, struct jade_json_parser *p)
{
    if (!p) {
        return;
    }
    jade_mutex_lock(&e->parser_mutex);
    if (e->n_parsers < sizeof e->parsers / sizeof *e->parsers) {
        e->parsers[e->n_parsers++] = p;
        p = NULL;
    }
    jade_mutex_unlock(&e->parser_mutex);
    jade_json_parser_free(p);
}
