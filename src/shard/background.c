/*
 * Background work of a shard: adding rows to graphs in chunks, sealing, merging, periodic syncs.
 *
 * Tasks run on the engine's pool. A shard has at most index_tasks_max graph tasks and one maintenance task at a time; each does a bounded
 * piece and queues itself again, so that shards share the workers. A task counts as inflight from its queueing to its end; close
 * waits for them.
 */
#include "base/assert.h"
#include "base/log.h"
#include "shard/shard_private.h"

enum { RETRY_US = 5000000, MARK_IDLE_US = 200000 };

/* ---- claims: which rows of a growing or frozen segment are being added by whom ---- */

static bool wants_graph(const struct jadei_segment *seg)
{
    return !seg->sealed && seg->index && seg->index->params.kind != JADE_INDEX_FLAT;
}

static uint32_t unclaimed(struct jadei_segment *seg)
{
    /* index_mutex is held */
    uint32_t n = atomic_load_explicit(&seg->n_rows, memory_order_acquire);
    if (n < seg->graph_rows_min) {
        return 0;
    }
    uint32_t failed = 0;
    for (unsigned i = 0; i < seg->n_claims; i++) {
        failed += seg->claims[i].busy ? 0 : seg->claims[i].last - seg->claims[i].first;
    }
    /* With all claims open, more workers would find nothing to take. */
    return failed + (seg->n_claims < JADEI_CLAIMS_MAX ? n - seg->index_next : 0);
}

static bool claim(struct jadei_segment *seg, struct jadei_claim *out)
{
    bool got = false;
    jade_mutex_lock(&seg->index_mutex);
    for (unsigned i = 0; i < seg->n_claims && !got; i++) {
        if (!seg->claims[i].busy) {
            seg->claims[i].busy = true;
            *out = seg->claims[i];
            got = true;
        }
    }
    uint32_t n = atomic_load_explicit(&seg->n_rows, memory_order_acquire);
    if (!got && n >= seg->graph_rows_min && seg->index_next < n &&
        seg->n_claims < JADEI_CLAIMS_MAX) {
        uint32_t last = n - seg->index_next > JADEI_INDEX_CHUNK_ROWS
                            ? seg->index_next + JADEI_INDEX_CHUNK_ROWS
                            : n;
        *out = (struct jadei_claim){.first = seg->index_next, .last = last, .busy = true};
        seg->claims[seg->n_claims++] = *out;
        seg->index_next = last;
        got = true;
    }
    jade_mutex_unlock(&seg->index_mutex);
    return got;
}

/* Rows [first, done) of the claim are in the graph; the rest is left for another try. */
static void claim_end(struct jadei_segment *seg, const struct jadei_claim *c, uint32_t done)
{
    jade_mutex_lock(&seg->index_mutex);
    uint32_t low = seg->index_next;
    for (unsigned i = 0; i < seg->n_claims;) {
        struct jadei_claim *x = &seg->claims[i];
        if (x->last == c->last) {
            x->first = done;
            x->busy = false;
            if (done == x->last) {
                *x = seg->claims[--seg->n_claims];
                continue;
            }
        }
        low = x->first < low ? x->first : low;
        i++;
    }
    atomic_store_explicit(&seg->n_indexed, low, memory_order_release);
    jade_mutex_unlock(&seg->index_mutex);
}

static bool graph_finished(struct jadei_segment *seg)
{
    uint32_t n = atomic_load_explicit(&seg->n_rows, memory_order_acquire);
    return !wants_graph(seg) || n < seg->graph_rows_min ||
           atomic_load_explicit(&seg->n_indexed, memory_order_acquire) == n;
}

static void smooth(struct jade_shard *s, uint64_t us, uint32_t rows)
{
    uint64_t now = us * 16 / (rows ? rows : 1);
    uint64_t old = atomic_load(&s->index_us_per_row_x16);
    atomic_store(&s->index_us_per_row_x16, (old * 7 + now) / 8);
}

/* Adds one claim of the oldest segment that has work; false when there is none or it failed. */
static bool add_some(struct jade_shard *s)
{
    struct jadei_claim c;
    struct jade_err err = {0};
    bool worked = false;
    unsigned token = jade_epoch_pin(s->engine->epoch);
    const struct jadei_view *v = atomic_load(&s->view);
    for (uint32_t i = 0; i < v->n && !worked; i++) {
        struct jadei_segment *seg = v->segs[i];
        if (!wants_graph(seg) || !claim(seg, &c)) {
            continue;
        }
        uint64_t start = jade_os_mono_us(s->engine->os);
        uint32_t row = c.first;
        jade_code rc = JADE_OK;
        while (row < c.last && rc == JADE_OK) {
            rc = jade_index_add(seg->index, row, &err);
            row += rc == JADE_OK;
        }
        claim_end(seg, &c, row);
        if (rc != JADE_OK) {
            jade_log_err(JADE_LOG_WARN, "shard",
                         "a row could not be added to the graph; it is scanned until a later try",
                         &err);
            atomic_store(&s->retry_at_us, jade_os_mono_us(s->engine->os) + RETRY_US);
            break;
        }
        smooth(s, jade_os_mono_us(s->engine->os) - start, c.last - c.first);
        worked = true;
    }
    jade_epoch_unpin(s->engine->epoch, token);
    return worked;
}

void jadei_tail(struct jade_shard *s, uint64_t *rows_out, uint64_t *bytes_out)
{
    uint64_t rows = 0;
    uint64_t bytes = 0;
    unsigned token = jade_epoch_pin(s->engine->epoch);
    const struct jadei_view *v = atomic_load(&s->view);
    for (uint32_t i = 0; i < v->n; i++) {
        struct jadei_segment *seg = v->segs[i];
        uint32_t indexed = atomic_load_explicit(&seg->n_indexed, memory_order_acquire);
        uint32_t n = atomic_load_explicit(&seg->n_rows, memory_order_acquire);
        if (wants_graph(seg) && n >= seg->graph_rows_min) { /* fewer stay without a graph */
            rows += n - indexed;
            bytes += (uint64_t)(n - indexed) * seg->rows.stride;
        }
    }
    jade_epoch_unpin(s->engine->epoch, token);
    *rows_out = rows;
    *bytes_out = bytes;
}

static uint64_t graph_work(struct jade_shard *s)
{
    uint64_t rows = 0;
    unsigned token = jade_epoch_pin(s->engine->epoch);
    const struct jadei_view *v = atomic_load(&s->view);
    for (uint32_t i = 0; i < v->n; i++) {
        if (wants_graph(v->segs[i])) {
            jade_mutex_lock(&v->segs[i]->index_mutex);
            rows += unclaimed(v->segs[i]);
            jade_mutex_unlock(&v->segs[i]->index_mutex);
        }
    }
    jade_epoch_unpin(s->engine->epoch, token);
    return rows;
}

static bool frozen_waits(struct jade_shard *s)
{
    bool found = false;
    unsigned token = jade_epoch_pin(s->engine->epoch);
    const struct jadei_view *v = atomic_load(&s->view);
    for (uint32_t i = 0; i < v->n && !found; i++) {
        struct jadei_segment *seg = v->segs[i];
        if (!seg->sealed) {
            found = atomic_load(&seg->frozen) && graph_finished(seg);
            break; /* segments are sealed in order: only the oldest counts */
        }
    }
    jade_epoch_unpin(s->engine->epoch, token);
    return found || atomic_load(&s->checkpoint_due);
}

static bool merge_waits(struct jade_shard *s)
{
    uint64_t rows;
    uint64_t bytes;
    if (!atomic_load(&s->merge_due)) {
        return false;
    }
    jadei_tail(s, &rows, &bytes);
    return bytes <= s->config.tail_soft_bytes / 2;
}

/* ---- tasks ---- */

static bool resting(const struct jade_shard *s)
{
    return jade_os_mono_us(s->engine->os) < atomic_load(&s->retry_at_us);
}

/* A task holds two counts: its kind's, which bounds how many there are, and `inflight`, which keeps the shard alive. Giving the first back
 * before the last look for work means that work which came meanwhile is seen by this look or by the task that its finder could queue. */
static void release(struct jade_shard *s, unsigned *counter)
{
    jade_mutex_lock(&s->task_mutex);
    JADE_ASSERT(*counter > 0);
    --*counter;
    jade_cond_broadcast(&s->task_cond);
    jade_mutex_unlock(&s->task_mutex);
}

static void task_end(struct jade_shard *s, unsigned *counter)
{
    release(s, counter);
    if (!atomic_load(&s->stopping)) {
        jadei_background_kick(s);
    }
    release(s, &s->inflight); /* from here on a close may free the shard */
}

static bool task_begin(struct jade_shard *s, unsigned *counter, unsigned max)
{
    bool ok = false;
    jade_mutex_lock(&s->task_mutex);
    if (*counter < max && !atomic_load(&s->stopping)) {
        ++*counter;
        ++s->inflight;
        ok = true;
    }
    jade_mutex_unlock(&s->task_mutex);
    return ok;
}

static void queue(struct jade_shard *s, jade_task_fn fn, unsigned *counter)
{
    struct jade_err err = {0};
    if (jade_pool_submit(s->engine->pool, fn, s, &err) != JADE_OK) {
        jade_log_err(JADE_LOG_WARN, "shard", "background work is put off", &err);
        atomic_store(&s->retry_at_us, jade_os_mono_us(s->engine->os) + RETRY_US);
        release(s, counter);
        release(s, &s->inflight);
    }
}

static void kick_maintenance(struct jade_shard *s);

static void index_task(void *arg)
{
    struct jade_shard *s = arg;
    unsigned chunks = 0;
    while (chunks < JADEI_INDEX_TASK_CHUNKS && !atomic_load(&s->stopping) && add_some(s)) {
        chunks++;
    }
    if (chunks == JADEI_INDEX_TASK_CHUNKS && !atomic_load(&s->stopping)) {
        jade_mutex_lock(&s->task_mutex);
        jade_cond_broadcast(&s->task_cond); /* slowed writers look at the tail */
        jade_mutex_unlock(&s->task_mutex);
        kick_maintenance(s); /* a frozen segment may be finished long before the last row is */
        queue(s, index_task, &s->index_tasks);
        return;
    }
    task_end(s, &s->index_tasks);
}

/* Seals, checkpoints deletes, merges once; *again_out tells whether there may be more to do. maintenance is held. */
static jade_code maintain(struct jade_shard *s, bool *again_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    *again_out = false;
    if (atomic_load(&s->poisoned)) {
        return JADE_E_CANCELLED;
    }
    rc = jadei_seal_frozen(s, false, err);
    if (rc == JADE_E_BUSY) { /* too many segments: a merge makes room */
        JADE_TRY(jadei_merge_some(s, again_out, err));
        return *again_out ? JADE_OK : JADE_E_BUSY;
    }
    JADE_TRY(rc);
    if (atomic_load(&s->checkpoint_due)) {
        JADE_TRY(jadei_checkpoint_deletes(s, err));
    }
    if (!atomic_load(&s->stopping)) {
        JADE_TRY(jadei_merge_some(s, again_out, err));
    }
out:
    return rc;
}

/*
 * A caller (checkpoint, rebuild, verify) has the maintenance lock. A worker must not wait for it: the holder may be waiting for the workers to
 * finish a graph. The holder kicks when it is done; if that was before our count went back, the second try finds the lock free.
 */
static void maintain_later(struct jade_shard *s)
{
    atomic_store(&s->merge_due, true);
    release(s, &s->maintenance_tasks);
    if (jade_mutex_try(&s->maintenance)) {
        jade_mutex_unlock(&s->maintenance);
        jadei_background_kick(s);
    }
    release(s, &s->inflight);
}

static void maintenance_task(void *arg)
{
    struct jade_shard *s = arg;
    struct jade_err err = {0};
    bool again = false;
    if (!jade_mutex_try(&s->maintenance)) {
        maintain_later(s);
        return;
    }
    jade_code rc = maintain(s, &again, &err);
    jade_mutex_unlock(&s->maintenance);
    if (rc != JADE_OK && rc != JADE_E_CANCELLED) {
        jade_log_err(JADE_LOG_WARN, "shard", "sealing or merging failed; it is tried again later",
                     &err);
        atomic_store(&s->retry_at_us, jade_os_mono_us(s->engine->os) + RETRY_US);
    }
    if ((again || frozen_waits(s)) && rc == JADE_OK && !atomic_load(&s->stopping)) {
        queue(s, maintenance_task, &s->maintenance_tasks);
        return;
    }
    task_end(s, &s->maintenance_tasks);
}

static void kick_maintenance(struct jade_shard *s)
{
    /* Poisoned: the task could do nothing, and would come back here when it ends. */
    if (!resting(s) && !atomic_load(&s->poisoned) && (frozen_waits(s) || merge_waits(s)) &&
        task_begin(s, &s->maintenance_tasks, 1)) {
        queue(s, maintenance_task, &s->maintenance_tasks);
    }
}

void jadei_background_kick(struct jade_shard *s)
{
    if (resting(s) || atomic_load(&s->stopping)) {
        return;
    }
    uint64_t rows = graph_work(s);
    unsigned want = rows == 0                                     ? 0
                    : rows < (uint64_t)JADEI_INDEX_CHUNK_ROWS * 2 ? 1
                                                                  : s->engine->index_tasks_max;
    for (unsigned i = 0; i < want && task_begin(s, &s->index_tasks, want); i++) {
        queue(s, index_task, &s->index_tasks);
    }
    kick_maintenance(s);
}

void jadei_background_stop(struct jade_shard *s)
{
    for (;;) {
        jade_mutex_lock(&s->task_mutex);
        bool idle = s->inflight == 0;
        if (!idle && !s->engine->manual) {
            jade_cond_wait(&s->task_cond, &s->task_mutex);
        }
        jade_mutex_unlock(&s->task_mutex);
        if (idle) {
            return;
        }
        if (s->engine->manual) {
            (void)jade_pool_run_one(s->engine->pool);
        }
    }
}

/* ---- building a graph with the help of idle workers ---- */

struct build {
    struct jade_shard *shard;
    struct jade_index *ix;
    uint32_t n;
    _Atomic uint32_t next, done;
    _Atomic bool failed;
    _Atomic unsigned refs;
    struct jade_mutex mutex;
    struct jade_cond cond;
    unsigned running;
    jade_code rc;
    struct jade_err err;
};

static void build_unref(struct build *b)
{
    if (atomic_fetch_sub(&b->refs, 1) == 1) {
        jade_cond_release(&b->cond);
        jade_mutex_release(&b->mutex);
        jade_free(b);
    }
}

/* One chunk; false when nothing is left or the build is over. */
static bool build_chunk(struct build *b)
{
    struct jade_err err = {0};
    if (atomic_load(&b->failed) || atomic_load(&b->shard->stopping)) {
        return false;
    }
    uint32_t first = atomic_fetch_add(&b->next, JADEI_INDEX_CHUNK_ROWS);
    if (first >= b->n) {
        return false;
    }
    uint32_t last = b->n - first > JADEI_INDEX_CHUNK_ROWS ? first + JADEI_INDEX_CHUNK_ROWS : b->n;
    jade_code rc = JADE_OK;
    for (uint32_t r = first; r < last && rc == JADE_OK; r++) {
        rc = jade_index_add(b->ix, r, &err);
    }
    if (rc != JADE_OK) {
        jade_mutex_lock(&b->mutex);
        if (b->rc == JADE_OK) {
            b->rc = rc;
            b->err = err;
        }
        jade_mutex_unlock(&b->mutex);
        atomic_store(&b->failed, true);
        return false;
    }
    atomic_fetch_add(&b->done, last - first);
    return true;
}

static void build_task(void *arg)
{
    struct build *b = arg;
    struct jade_shard *s = b->shard;
    jade_mutex_lock(&b->mutex);
    bool over =
        atomic_load(&b->next) >= b->n || atomic_load(&b->failed) || atomic_load(&s->stopping);
    b->running += !over;
    jade_mutex_unlock(&b->mutex);
    if (!over) {
        unsigned chunks = 0;
        while (chunks < JADEI_INDEX_TASK_CHUNKS && build_chunk(b)) {
            chunks++;
        }
        jade_mutex_lock(&b->mutex);
        b->running--;
        jade_cond_broadcast(&b->cond);
        jade_mutex_unlock(&b->mutex);
        if (chunks == JADEI_INDEX_TASK_CHUNKS &&
            jade_pool_submit(s->engine->pool, build_task, b, NULL) == JADE_OK) {
            return; /* keeps its reference and its place in helper_tasks */
        }
    }
    build_unref(b);
    task_end(s, &s->helper_tasks);
}

static void build_help(struct build *b, unsigned n)
{
    struct jade_shard *s = b->shard;
    for (unsigned i = 0; i < n && task_begin(s, &s->helper_tasks, n); i++) {
        atomic_fetch_add(&b->refs, 1);
        if (jade_pool_submit(s->engine->pool, build_task, b, NULL) != JADE_OK) {
            build_unref(b); /* the caller builds alone */
            task_end(s, &s->helper_tasks);
        }
    }
}

jade_code jadei_parallel_build(struct jade_shard *s, struct jade_index *ix, uint32_t n,
                               jade_progress_fn progress, void *ctx, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct build *b = jade_calloc(JADE_TAG_GRAPH, 1, sizeof *b);
    if (!b) {
        return jade_fail(err, JADE_E_NOMEM, "building a graph");
    }
    b->shard = s;
    b->ix = ix;
    b->n = n;
    atomic_store(&b->refs, 1);
    jade_mutex_init(&b->mutex);
    jade_cond_init(&b->cond);
    if (!s->engine->manual) {
        build_help(b, s->engine->index_tasks_max - 1);
    }
    while (build_chunk(b)) {
        if (progress && !progress(ctx, atomic_load(&b->done), n)) {
            rc = jade_fail(err, JADE_E_CANCELLED, "cancelled");
            break;
        }
        if (graph_work(s) > 0) {
            (void)add_some(s); /* fresh rows go first: the unindexed tail costs every search */
        }
    }
    if (rc != JADE_OK) {
        atomic_store(&b->failed, true);
    }
    jade_mutex_lock(&b->mutex);
    while (b->running > 0) {
        jade_cond_wait(&b->cond, &b->mutex);
    }
    if (rc == JADE_OK && b->rc != JADE_OK) {
        rc = b->rc;
        if (err) {
            *err = b->err;
        }
    }
    jade_mutex_unlock(&b->mutex);
    if (rc == JADE_OK && atomic_load(&b->done) < n) {
        rc = jade_fail(err, JADE_E_CANCELLED, "the database is closing");
    }
    atomic_store(&b->next, n); /* a helper that starts late finds nothing to do */
    build_unref(b);
    return rc;
}

/* ---- periodic ---- */

bool jadei_shard_tick(struct jade_shard *s, uint64_t now_us)
{
    bool again = false;
    jadei_pins_expire(s, now_us);
    jade_mutex_lock(&s->pin_mutex);
    again |= s->n_pins > 0;
    jade_mutex_unlock(&s->pin_mutex);
    uint64_t last = atomic_load(&s->wal_last);
    uint64_t durable = atomic_load(&s->wal_durable);
    bool due = last > durable && jadei_since(now_us, atomic_load(&s->last_sync_us)) >=
                                     s->config.sync_interval_ms * 1000ull;
    bool idle = jadei_since(now_us, atomic_load(&s->last_write_us)) >= MARK_IDLE_US;
    again |= last > durable || !idle;
    if ((due || (idle && last > 0)) && !atomic_load(&s->poisoned)) {
        jade_mutex_lock(&s->commit);
        jade_code rc = due ? jadei_sync_log(s, NULL) : JADE_OK;
        /* An idle log gets its durable mark, so that damage to its last records is told from a torn tail (P4). */
        if (rc == JADE_OK && idle &&
            jade_super_get(s->super)->durable.v < jade_wal_durable(s->wal).v) {
            struct jade_err err = {0};
            if (jadei_mark_durable(s, false, &err) != JADE_OK) {
                jadei_poison(s, &err);
            }
        }
        jade_mutex_unlock(&s->commit);
    }
    uint64_t retry = atomic_load(&s->retry_at_us);
    if (retry != 0) {
        again = true;
        if (now_us >= retry) {
            atomic_store(&s->retry_at_us, 0);
            jadei_background_kick(s);
        }
    }
    return again;
}

/* ---- waiting ---- */

jade_code jade_shard_wait_indexed(struct jade_shard *s, uint64_t timeout_us, struct jade_err *err)
{
    uint64_t until = jade_os_mono_us(s->engine->os) + timeout_us;
    for (;;) {
        bool busy = graph_work(s) > 0 || frozen_waits(s);
        jade_mutex_lock(&s->task_mutex);
        busy |= s->index_tasks > 0 || s->maintenance_tasks > 0;
        uint64_t now = jade_os_mono_us(s->engine->os);
        if (!busy || now >= until) {
            jade_mutex_unlock(&s->task_mutex);
            return busy ? jade_fail(err, JADE_E_TIMEOUT, "rows are still being added to the graph")
                        : JADE_OK;
        }
        if (!s->engine->manual) {
            (void)jade_cond_wait_for(&s->task_cond, &s->task_mutex,
                                     until - now < 100000 ? until - now : 100000);
        }
        jade_mutex_unlock(&s->task_mutex);
        jadei_background_kick(s);
        if (s->engine->manual) {
            (void)jade_pool_run_one(s->engine->pool);
        }
    }
}
