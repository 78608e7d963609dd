/*
 * Merging sealed segments: dead rows are dropped, many small segments become one, index parameters change.
 *
 * Policy (size tiers, as in log-structured stores: O'Neil 1996; tiers of a factor 4): a segment with more than a quarter of its rows dead
 * is rewritten; four or more segments of one tier become one. Merges wait while fresh rows wait for their graph.
 * A row is dropped when its tombstone is at or below the drop horizon: the checkpoint (a replay of the log must still find the old version
 * that an upsert replaced) and every pin.
 */
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "shard/shard_private.h"

enum { TIER_FACTOR = 4, TIER_MEMBERS = 4, MERGE_MAX = 16, TIER_ROWS_FIRST = 4096 };

static unsigned tier_of(uint32_t rows)
{
    unsigned tier = 0;
    for (uint64_t top = TIER_ROWS_FIRST; rows > top; top *= TIER_FACTOR) {
        tier++;
    }
    return tier;
}

/* Numbers of the kept rows in the new segment; returns how many are kept. */
static uint32_t number_rows(const struct jadei_segment *seg, uint32_t *new_row, uint32_t first,
                            uint64_t horizon)
{
    uint32_t n = atomic_load(&seg->n_rows);
    uint32_t next = first;
    for (uint32_t r = 0; r < n; r++) {
        uint64_t tomb = jadei_segment_tomb(seg, r);
        new_row[r] = tomb != 0 && tomb <= horizon ? JADEI_NO_ROW : next++;
    }
    return next - first;
}

static void switch_in(struct jade_shard *s, struct jadei_segment *const *segs,
                      const struct jadei_source *src, uint32_t n, struct jadei_segment *merged,
                      jade_code *rc, struct jade_err *err)
{
    jade_mutex_lock(&s->commit);
    for (uint32_t i = 0; merged && i < n; i++) {
        jadei_copy_tombs(segs[i], merged, src[i].new_row, JADE_LSN_MAX);
    }
    *rc = jadei_view_change(s, segs, n, merged, false, err);
    jade_mutex_unlock(&s->commit);
}

static jade_code write_merged(struct jade_shard *s, struct jadei_source *src, uint32_t n,
                              uint32_t n_rows, const struct jade_index_params *params,
                              jade_progress_fn progress, void *ctx, struct jadei_segment **out,
                              struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_manifest_segment ms;
    struct jadei_write_segment w = {.shard = s,
                                    .number = s->manifest.next_segment,
                                    .sources = src,
                                    .n_sources = n,
                                    .n_rows = n_rows,
                                    .params = params,
                                    .progress = progress,
                                    .progress_ctx = ctx};
    JADE_TRY(jadei_segment_write(&w, &ms, err));
    s->manifest.next_segment++;
    JADE_TRY(jadei_sealed_open(s->engine->os, s->dir, &s->config, &ms, out, err));
    JADE_TRY(jadei_segment_tomb_reserve(*out, err));
    for (uint32_t i = 0; i < n; i++) {
        jadei_copy_tombs(src[i].seg, *out, src[i].new_row, s->manifest.checkpoint);
    }
out:
    return rc;
}

jade_code jadei_merge(struct jade_shard *s, struct jadei_segment *const *segs, uint32_t n,
                      const struct jade_index_params *params, jade_progress_fn progress, void *ctx,
                      struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_source src[MERGE_MAX] = {0};
    uint64_t gone[MERGE_MAX];
    struct jadei_segment *merged = NULL;
    struct jadei_segment **list = NULL;
    uint32_t n_list = 0;
    uint32_t n_rows = 0;
    uint64_t start = jade_os_mono_us(s->engine->os);
    uint64_t horizon = jadei_drop_horizon(s);
    uint64_t number = s->manifest.next_segment;
    bool published = false;
    JADE_ASSERT(n <= MERGE_MAX);
    for (uint32_t i = 0; i < n; i++) {
        src[i] = (struct jadei_source){.seg = segs[i], .n_rows = atomic_load(&segs[i]->n_rows)};
        gone[i] = segs[i]->number;
        src[i].new_row = jade_alloc(JADE_TAG_SEGMENT, (src[i].n_rows + 1) * sizeof(uint32_t));
        if (!src[i].new_row) {
            rc = jade_fail(err, JADE_E_NOMEM, "merging %u rows", src[i].n_rows);
            goto out;
        }
        n_rows += number_rows(segs[i], src[i].new_row, n_rows, horizon);
    }
    if (n_rows > 0) {
        JADE_TRY(write_merged(s, src, n, n_rows, params, progress, ctx, &merged, err));
    }
    JADE_TRY(jadei_sealed_list(s, segs, n, merged, &list, &n_list, err));
    JADE_TRY(jadei_publish(s, list, n_list, s->manifest.checkpoint, err));
    published = true;
    switch_in(s, segs, src, n, merged, &rc, err);
    if (rc != JADE_OK) {
        /* The manifest names the merged segment already: the folders of its sources stay for the readers of this process. */
        jade_log(JADE_LOG_WARN, "shard", "a merged segment could not be switched in");
        goto out;
    }
    merged = NULL;
    jadei_clean_up(s, gone, n);
    jade_log(JADE_LOG_INFO, "shard", "segments merged", JADE_LOG_STR("shard", s->dir),
             JADE_LOG_U64("segments", n), JADE_LOG_U64("rows", n_rows),
             JADE_LOG_U64("ms", (jade_os_mono_us(s->engine->os) - start) / 1000));
out:
    for (uint32_t i = 0; i < n; i++) {
        jade_free(src[i].new_row);
    }
    jade_free(list);
    jadei_segment_free(merged);
    if (rc != JADE_OK && !published && s->manifest.next_segment > number) {
        jadei_forget_folder(s, number);
    }
    return rc;
}

/* ---- policy ---- */

static uint32_t droppable(const struct jadei_segment *seg, uint64_t horizon)
{
    uint32_t n = atomic_load(&seg->n_rows);
    uint32_t dead = 0;
    for (uint32_t r = 0; r < n; r++) {
        uint64_t tomb = jadei_segment_tomb(seg, r);
        dead += tomb != 0 && tomb <= horizon;
    }
    return dead;
}

static bool rotten(struct jadei_segment *seg, uint64_t horizon)
{
    uint32_t n = atomic_load(&seg->n_rows);
    return (uint64_t)atomic_load(&seg->n_dead) * 4 > n && (uint64_t)droppable(seg, horizon) * 4 > n;
}

/* Chooses what to merge into picked[]; 0 = nothing. */
static uint32_t pick(struct jade_shard *s, struct jadei_segment *const *list, uint32_t n,
                     struct jadei_segment **picked)
{
    uint64_t horizon = jadei_drop_horizon(s);
    for (uint32_t i = 0; i < n; i++) {
        if (rotten(list[i], horizon)) {
            picked[0] = list[i];
            return 1;
        }
    }
    for (unsigned tier = 0; tier < 16; tier++) {
        uint32_t count = 0;
        uint64_t rows = 0;
        for (uint32_t i = 0; i < n && count < MERGE_MAX; i++) {
            uint32_t r = atomic_load(&list[i]->n_rows);
            if (tier_of(r) == tier && rows + r <= s->config.merge_rows_max) {
                picked[count++] = list[i];
                rows += r;
            }
        }
        if (count >= TIER_MEMBERS) {
            return count;
        }
    }
    return 0;
}

jade_code jadei_merge_some(struct jade_shard *s, bool *did_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_segment **list = NULL;
    struct jadei_segment *picked[MERGE_MAX];
    uint32_t n = 0;
    uint64_t tail_rows;
    uint64_t tail_bytes;
    *did_out = false;
    jadei_tail(s, &tail_rows, &tail_bytes);
    if (tail_bytes > s->config.tail_soft_bytes / 2 &&
        s->manifest.n_segments < s->segments_max / 2) {
        atomic_store(&s->merge_due, true); /* looked at again when the tail is short */
        return JADE_OK;
    }
    atomic_store(&s->merge_due, false);
    JADE_TRY(jadei_sealed_list(s, NULL, 0, NULL, &list, &n, err));
    uint32_t count = pick(s, list, n, picked);
    if (count > 0) {
        JADE_TRY(jadei_merge(s, picked, count, &s->config.index, NULL, NULL, err));
        *did_out = true;
    }
out:
    if (rc != JADE_OK) {
        atomic_store(&s->merge_due, true);
    }
    jade_free(list);
    return rc;
}

/* ---- rebuild ---- */

struct rebuild_progress {
    jade_progress_fn fn;
    void *ctx;
    uint64_t base, total;
};

static bool relay(void *ctx, uint64_t done, uint64_t total)
{
    struct rebuild_progress *p = ctx;
    (void)total;
    return !p->fn || p->fn(p->ctx, p->base + done, p->total);
}

static jade_code merge_all(struct jade_shard *s, struct jadei_segment *const *list, uint32_t n,
                           struct rebuild_progress *p, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    for (uint32_t i = 0; i < n;) {
        uint64_t rows = 0;
        uint32_t count = 0;
        while (i + count < n && count < MERGE_MAX) {
            uint32_t r = atomic_load(&list[i + count]->n_rows);
            if (count > 0 && rows + r > s->config.merge_rows_max) {
                break;
            }
            rows += r;
            count++;
        }
        JADE_TRY(jadei_merge(s, list + i, count, &s->config.index, relay, p, err));
        p->base += rows;
        i += count;
        if (!relay(p, 0, 0)) {
            rc = jade_fail(err, JADE_E_CANCELLED, "cancelled");
            goto out;
        }
    }
out:
    return rc;
}

jade_code jade_shard_rebuild(struct jade_shard *s, const struct jade_index_params *params,
                             jade_progress_fn progress, void *ctx, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_segment **list = NULL;
    uint32_t n = 0;
    struct rebuild_progress p = {.fn = progress, .ctx = ctx};
    if (params) {
        JADE_TRY(jade_index_params_check(params, err));
    }
    JADE_TRY(jade_shard_checkpoint(s, err));
    jade_mutex_lock(&s->maintenance);
    if (params) {
        jade_mutex_lock(&s->commit); /* the next growing segment takes the new parameters */
        s->config.index = *params;
        atomic_store(&s->flat, params->kind == JADE_INDEX_FLAT);
        jadei_freeze(s);
        jade_mutex_unlock(&s->commit);
        rc = jadei_seal_frozen(s, true, err);
    }
    if (rc == JADE_OK) {
        rc = jadei_sealed_list(s, NULL, 0, NULL, &list, &n, err);
    }
    for (uint32_t i = 0; i < n; i++) {
        p.total += atomic_load(&list[i]->n_rows);
    }
    if (rc == JADE_OK) {
        rc = merge_all(s, list, n, &p, err);
    }
    jade_mutex_unlock(&s->maintenance);
    jadei_background_kick(s); /* a task that met the lock taken has gone away */
    jade_free(list);
out:
    return rc;
}

/* ---- verify ---- */

jade_code jade_shard_verify(struct jade_shard *s, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_segment **list = NULL;
    uint32_t n = 0;
    jade_mutex_lock(&s->maintenance); /* sealed segments stay */
    JADE_TRY(jadei_sealed_list(s, NULL, 0, NULL, &list, &n, err));
    for (uint32_t i = 0; i < n; i++) {
        JADE_TRY(jade_segment_dir_verify_all(list[i]->dir, err));
        if (list[i]->index) {
            JADE_TRY(jade_index_verify(list[i]->index, err));
        }
    }
out:
    jade_mutex_unlock(&s->maintenance);
    jadei_background_kick(s);
    jade_free(list);
    return rc;
}
