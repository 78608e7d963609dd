/*
 * From memory to disk: sealing frozen segments in order, publishing manifests, trimming the log; and explicit checkpoints.
 *
 * Order (P6, I14): log durable up to the checkpoint -> segment files synced -> tombstone files synced -> manifest published -> view
 * switched -> log trimmed. Tombstones at or below the checkpoint cannot change any more, so they are written without stopping writers.
 */
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "shard/shard_private.h"

/* ---- manifest ---- */

static jade_code store_tombs(struct jade_shard *s, struct jadei_segment *seg, struct jade_lsn c,
                             struct jade_manifest_segment *ms, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_tomb *tombs = NULL;
    uint32_t n = 0;
    uint32_t n_rows = atomic_load(&seg->n_rows);
    uint32_t room = atomic_load(&seg->n_dead);
    ms->tombs_lsn = seg->tombs_stored;
    ms->tombs_crc = seg->tombs_crc;
    ms->n_dead = seg->tombs_stored_count;
    if (room == 0) {
        return JADE_OK;
    }
    tombs = jade_alloc(JADE_TAG_SEGMENT, room * sizeof *tombs);
    if (!tombs) {
        return jade_fail(err, JADE_E_NOMEM, "%u tombstones", room);
    }
    for (uint32_t r = 0; r < n_rows; r++) {
        uint64_t lsn = jadei_segment_tomb(seg, r);
        if (lsn != 0 && lsn <= c.v && n < room) {
            tombs[n++] = (struct jade_tomb){.row = r, .lsn = JADE_LSN(lsn)};
        }
    }
    if (n == seg->tombs_stored_count) {
        goto out; /* nothing new at or below the checkpoint */
    }
    JADE_TRY(
        jade_tombs_write(s->engine->os, s->dir, seg->number, c, tombs, n, &ms->tombs_crc, err));
    ms->tombs_lsn = c;
    ms->n_dead = n;
out:
    jade_free(tombs);
    return rc;
}

/* After a failed sync or rename nobody knows which manifest a crash would leave: writes stop, nothing is removed (P1). Want of space is
 * met before anything is renamed, and may pass. */
static void publish_failed(struct jade_shard *s, jade_code rc, struct jade_err *err)
{
    struct jade_err local = {0};
    if (rc == JADE_E_NOSPACE || rc == JADE_E_NOMEM) {
        return;
    }
    (void)jade_fail(&local, rc, "a manifest could not be published%s%s", err ? ": " : "",
                    err ? err->message : "");
    jade_mutex_lock(&s->commit);
    jadei_poison(s, &local);
    jade_mutex_unlock(&s->commit);
}

/*
 * When nothing came after the checkpoint the log's file holds only what the files have: a new one is begun, so that this one can go. Want of
 * space for it costs only that. Commit lock held.
 */
static jade_code end_log_file(struct jade_shard *s, struct jade_lsn c, struct jade_err *err)
{
    uint64_t generation;
    struct jade_err local = {0};
    if (atomic_load(&s->poisoned) || jade_wal_last(s->wal).v != c.v ||
        jade_wal_bytes(s->wal) == 0) {
        return JADE_OK;
    }
    jade_code rc = jade_wal_roll(s->wal, &generation, &local);
    if (rc == JADE_OK || rc == JADE_E_NOSPACE || rc == JADE_E_NOMEM) {
        return JADE_OK;
    }
    jadei_poison(s, &local);
    if (err) {
        *err = local;
    }
    return rc;
}

jade_code jadei_publish(struct jade_shard *s, struct jadei_segment *const *segs, uint32_t n,
                        struct jade_lsn c, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_manifest m = s->manifest;
    m.number++;
    m.checkpoint = c;
    m.n_segments = n;
    jade_mutex_lock(&s->commit);
    rc = end_log_file(s, c, err);
    m.wal_generation_min = jade_wal_generation_for(s->wal, c);
    /* Poisoned perhaps by a manifest of this very number, which may count or not. */
    if (atomic_load(&s->poisoned)) {
        rc = jade_fail(err, JADE_E_POISONED, "writes are stopped: %s", s->poison.message);
    }
    jade_mutex_unlock(&s->commit);
    if (rc != JADE_OK) {
        return rc;
    }
    m.segments = jade_calloc(JADE_TAG_SEGMENT, n ? n : 1, sizeof *m.segments);
    if (!m.segments) {
        return jade_fail(err, JADE_E_NOMEM, "a manifest of %u segments", n);
    }
    if (n > s->segments_max) {
        rc = jade_fail(err, JADE_E_BUSY, "%u segments; at most %u", n, s->segments_max);
        goto out;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct jade_manifest_segment *ms = &m.segments[i];
        *ms = (struct jade_manifest_segment){.number = segs[i]->number,
                                             .n_rows = atomic_load(&segs[i]->n_rows),
                                             .desc_crc = segs[i]->desc_crc};
        JADE_TRY(store_tombs(s, segs[i], c, ms, err));
    }
    rc = jade_manifest_publish(s->engine->os, s->dir, &m, err);
    if (rc != JADE_OK) {
        publish_failed(s, rc, err);
        goto out;
    }
    for (uint32_t i = 0; i < n; i++) {
        segs[i]->tombs_stored = m.segments[i].tombs_lsn;
        segs[i]->tombs_crc = m.segments[i].tombs_crc;
        segs[i]->tombs_stored_count = m.segments[i].n_dead;
    }
    jade_manifest_release(&s->manifest);
    s->manifest = m;
    atomic_store(&s->checkpoint, c.v);
    return JADE_OK;
out:
    jade_free(m.segments);
    return rc;
}

void jadei_clean_up(struct jade_shard *s, const uint64_t *gone, uint32_t n_gone)
{
    /* Failure costs space only, and is tried again at the next seal or open. */
    struct jade_err err = {0};
    jade_mutex_lock(&s->commit);
    jade_code rc = jade_wal_trim(s->wal, s->manifest.checkpoint, &err);
    jade_mutex_unlock(&s->commit);
    if (rc != JADE_OK) {
        jade_log_err(JADE_LOG_WARN, "shard", "old log files could not be removed", &err);
    }
    for (uint32_t i = 0; i < n_gone; i++) {
        if (jade_segment_dir_remove(s->engine->os, s->dir, gone[i], &err) != JADE_OK) {
            jade_log_err(JADE_LOG_WARN, "shard",
                         "the folder of a merged segment could not be removed", &err);
        }
    }
}

void jadei_forget_folder(struct jade_shard *s, uint64_t number)
{
    struct jade_err err = {0};
    if (!atomic_load(&s->poisoned) &&
        jade_segment_dir_remove(s->engine->os, s->dir, number, &err) != JADE_OK) {
        jade_log_err(JADE_LOG_WARN, "shard", "the folder of a failed seal or merge stays", &err);
    }
}

/* ---- sealing ---- */

static jade_code durable_up_to(struct jade_shard *s, struct jade_lsn lsn, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    jade_mutex_lock(&s->commit);
    if (atomic_load(&s->poisoned)) {
        rc = jade_fail(err, JADE_E_POISONED, "writes are stopped: %s", s->poison.message);
    } else if (jade_wal_durable(s->wal).v < lsn.v) {
        rc = jadei_sync_log(s, err);
    }
    jade_mutex_unlock(&s->commit);
    return rc;
}

void jadei_copy_tombs(struct jadei_segment *from, struct jadei_segment *to, const uint32_t *new_row,
                      struct jade_lsn up_to)
{
    uint32_t n = atomic_load(&from->n_rows);
    for (uint32_t r = 0; r < n; r++) {
        uint64_t lsn = jadei_segment_tomb(from, r);
        uint32_t row = new_row ? new_row[r] : r;
        if (lsn != 0 && lsn <= up_to.v && row != JADEI_NO_ROW) {
            jadei_segment_bury(to, row, JADE_LSN(lsn));
        }
    }
}

jade_code jadei_sealed_list(struct jade_shard *s, struct jadei_segment *const *without,
                            uint32_t n_without, struct jadei_segment *extra,
                            struct jadei_segment ***out, uint32_t *n_out, struct jade_err *err)
{
    unsigned token = jade_epoch_pin(s->engine->epoch);
    const struct jadei_view *v = atomic_load(&s->view);
    struct jadei_segment **list = jade_alloc(JADE_TAG_SEGMENT, (v->n + 1) * sizeof *list);
    uint32_t n = 0;
    for (uint32_t i = 0; list && i < v->n; i++) {
        bool out_of_it = !v->segs[i]->sealed;
        for (uint32_t j = 0; j < n_without && !out_of_it; j++) {
            out_of_it = without[j] == v->segs[i];
        }
        if (!out_of_it) {
            list[n++] = v->segs[i];
        }
    }
    jade_epoch_unpin(s->engine->epoch, token);
    if (!list) {
        return jade_fail(err, JADE_E_NOMEM, "a list of segments");
    }
    if (extra) {
        list[n++] = extra;
    }
    *out = list;
    *n_out = n;
    return JADE_OK;
}

static jade_code seal_one(struct jade_shard *s, struct jadei_segment *g, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_segment *sealed = NULL;
    struct jadei_segment **list = NULL;
    uint32_t n_list = 0;
    struct jade_manifest_segment ms;
    bool published = false;
    uint32_t n = atomic_load(&g->n_rows);
    uint64_t number = s->manifest.next_segment;
    struct jade_lsn c = g->lsn_max;
    if (s->manifest.n_segments >= s->segments_max) { /* before anything is written */
        return jade_fail(err, JADE_E_BUSY, "%u segments; at most %u", s->manifest.n_segments,
                         s->segments_max);
    }
    JADE_TRY(durable_up_to(s, c, err));
    struct jadei_source src = {.seg = g, .n_rows = n};
    struct jadei_write_segment w = {.shard = s,
                                    .number = number,
                                    .sources = &src,
                                    .n_sources = 1,
                                    .n_rows = n,
                                    .params = &s->config.index,
                                    .ready = g->index,
                                    .ready_meta = g->metaindex};
    if (g->index) {
        w.params = &g->index->params;
    }
    JADE_TRY(jadei_segment_write(&w, &ms, err));
    s->manifest.next_segment++;
    JADE_TRY(jadei_sealed_open(s->engine->os, s->dir, &s->config, &ms, &sealed, err));
    JADE_TRY(jadei_segment_tomb_reserve(sealed, err));
    JADE_TRY(jadei_sealed_list(s, NULL, 0, sealed, &list, &n_list, err));
    /* Tombstones at or below the checkpoint go into the manifest; they are final. Later ones follow at the switch. */
    jadei_copy_tombs(g, sealed, NULL, c);
    JADE_TRY(jadei_publish(s, list, n_list, c, err));
    published = true;
    jade_mutex_lock(&s->commit);
    jadei_copy_tombs(g, sealed, NULL, JADE_LSN_MAX);
    rc = jadei_view_change(s, &g, 1, sealed, false, err);
    jade_mutex_unlock(&s->commit);
    if (rc == JADE_OK) {
        sealed = NULL;
        jadei_clean_up(s, NULL, 0);
    }
out:
    jade_free(list);
    if (rc != JADE_OK && published) {
        /* The manifest names the segment but memory was short for the view: reading goes on from memory; the next open takes the files. */
        jade_log(JADE_LOG_WARN, "shard", "a sealed segment could not be switched in");
    }
    jadei_segment_free(sealed);
    if (rc != JADE_OK && !published && s->manifest.next_segment > number) {
        jadei_forget_folder(s, number);
    }
    return rc;
}

/* Graph of a frozen segment finished here and now (checkpoint), or by waiting for the workers. */
static jade_code finish_graph(struct jade_shard *s, struct jadei_segment *g, struct jade_err *err)
{
    uint32_t n = atomic_load(&g->n_rows);
    while (g->index && g->index->params.kind != JADE_INDEX_FLAT && n >= g->graph_rows_min &&
           atomic_load(&g->n_indexed) < n) {
        if (atomic_load(&s->stopping)) {
            return jade_fail(err, JADE_E_CANCELLED, "the database is closing");
        }
        if (atomic_load(&s->retry_at_us) > jade_os_mono_us(s->engine->os)) {
            return jade_fail(err, JADE_E_NOMEM,
                             "the graph of the newest rows could not be finished");
        }
        if (s->engine->manual) {
            (void)jade_pool_run_one(s->engine->pool);
            continue;
        }
        jade_mutex_lock(&s->task_mutex);
        (void)jade_cond_wait_for(&s->task_cond, &s->task_mutex, 50000);
        jade_mutex_unlock(&s->task_mutex);
        jadei_background_kick(s);
    }
    return JADE_OK;
}

static struct jadei_segment *oldest_frozen(struct jade_shard *s)
{
    const struct jadei_view *v = atomic_load(&s->view);
    for (uint32_t i = 0; i < v->n; i++) {
        if (!v->segs[i]->sealed) {
            return atomic_load(&v->segs[i]->frozen) ? v->segs[i] : NULL;
        }
    }
    return NULL;
}

jade_code jadei_seal_frozen(struct jade_shard *s, bool finish, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    for (;;) {
        /* A frozen segment leaves the view only under the maintenance lock, which is held: the pointer stays good outside an epoch. */
        unsigned token = jade_epoch_pin(s->engine->epoch);
        struct jadei_segment *g = oldest_frozen(s);
        jade_epoch_unpin(s->engine->epoch, token);
        if (!g) {
            return JADE_OK;
        }
        if (atomic_load(&s->stopping)) { /* a checkpoint must not pass over what is not sealed */
            return jade_fail(err, JADE_E_CANCELLED, "the database is closing");
        }
        uint32_t n = atomic_load(&g->n_rows);
        if (finish) {
            JADE_TRY(finish_graph(s, g, err));
        } else if (g->index && g->index->params.kind != JADE_INDEX_FLAT && n >= g->graph_rows_min &&
                   atomic_load(&g->n_indexed) < n) {
            return JADE_OK;
        }
        JADE_TRY(seal_one(s, g, err));
    }
out:
    return rc;
}

/* A log of deletes alone grows too: with nothing in memory a manifest with the tombstones moves the checkpoint. */
static jade_code checkpoint_tombs(struct jade_shard *s, struct jade_lsn c, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_segment **list = NULL;
    uint32_t n = 0;
    if (c.v <= s->manifest.checkpoint.v) {
        return JADE_OK;
    }
    JADE_TRY(durable_up_to(s, c, err));
    JADE_TRY(jadei_sealed_list(s, NULL, 0, NULL, &list, &n, err));
    JADE_TRY(jadei_publish(s, list, n, c, err));
    jadei_clean_up(s, NULL, 0);
out:
    jade_free(list);
    return rc;
}

jade_code jadei_checkpoint_deletes(struct jade_shard *s, struct jade_err *err)
{
    bool in_memory = false;
    jade_mutex_lock(&s->commit);
    const struct jadei_view *v = atomic_load(&s->view);
    struct jade_lsn c = JADE_LSN(atomic_load(&s->visible));
    for (uint32_t i = 0; i < v->n; i++) {
        in_memory |= !v->segs[i]->sealed && atomic_load(&v->segs[i]->n_rows) > 0;
    }
    atomic_store(&s->checkpoint_due, false);
    jade_mutex_unlock(&s->commit);
    jade_code rc = in_memory ? JADE_OK : checkpoint_tombs(s, c, err);
    if (rc != JADE_OK) {
        atomic_store(&s->checkpoint_due, true); /* for the next try */
    }
    return rc;
}

jade_code jade_shard_checkpoint(struct jade_shard *s, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    jade_mutex_lock(&s->maintenance);
    jade_mutex_lock(&s->commit);
    struct jade_lsn c = JADE_LSN(atomic_load(&s->visible));
    jadei_freeze(s);
    jade_mutex_unlock(&s->commit);
    jadei_background_kick(s);
    JADE_TRY(jadei_seal_frozen(s, true, err));
    /* Rows up to c are sealed now; records after the last row (deletes) are covered by the tombstones. */
    JADE_TRY(checkpoint_tombs(s, c, err));
out:
    jade_mutex_unlock(&s->maintenance);
    jadei_background_kick(s); /* a task that met the lock taken has gone away */
    return rc;
}
