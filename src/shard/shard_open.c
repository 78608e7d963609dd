/*
 * Life of a shard: create, open with recovery, close.
 *
 * Folder: LOCK, SUPER, CURRENT, MANIFEST-<n>, wal/, segments/<n>/. CURRENT is written last at creation: a folder without it never was a shard.
 * Recovery: manifest -> segments and their tombstones -> log records after the checkpoint. Nothing is changed before everything was read.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/log.h"
#include "shard/shard_private.h"

static const char *const durability_names[] = {"sync", "periodic", "async"};

jade_code jade_durability_parse(const char *word, size_t n, enum jade_durability *out,
                                struct jade_err *err)
{
    for (size_t i = 0; i < 3; i++) {
        if (strlen(durability_names[i]) == n && strncasecmp(word, durability_names[i], n) == 0) {
            *out = (enum jade_durability)i;
            return JADE_OK;
        }
    }
    return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "durability",
                           "'%.*s'; expected sync, periodic or async", (int)(n > 40 ? 40 : n),
                           word);
}

const char *jade_durability_name(enum jade_durability d)
{
    return (unsigned)d < 3 ? durability_names[d] : "default";
}

struct jade_shard_config jade_shard_config_default(uint32_t dim, enum jade_metric metric)
{
    return (struct jade_shard_config){.dim = dim,
                                      .metric = metric,
                                      .index = jade_index_params_default(),
                                      .durability = JADE_DURABILITY_SYNC,
                                      .sync_interval_ms = 1000,
                                      .seal_bytes = 128ull << 20,
                                      .tail_soft_bytes = 64ull << 20,
                                      .tail_hard_bytes = 256ull << 20,
                                      .metadata_bytes_max = JADE_METADATA_BYTES_DEFAULT,
                                      .graph_rows_min = 2048,
                                      .merge_rows_max = 8u << 20};
}

jade_code jade_shard_config_check(const struct jade_shard_config *c, struct jade_err *err)
{
    if (c->dim < 1 || c->dim > JADE_DIM_MAX) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "vectorDimension",
                               "%u; expected 1..%u", c->dim, JADE_DIM_MAX);
    }
    if ((unsigned)c->metric > JADE_METRIC_DOT) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "metric", "%u is no metric",
                               (unsigned)c->metric);
    }
    if ((unsigned)c->durability >= JADE_DURABILITY_DEFAULT) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "durability", "%u is no level",
                               (unsigned)c->durability);
    }
    if (c->sync_interval_ms < 1 || c->sync_interval_ms > 3600000) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "syncIntervalMs",
                               "%u; expected 1..3600000", c->sync_interval_ms);
    }
    if (c->seal_bytes < 4096 || c->seal_bytes > 4ull << 30) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "sealBytes",
                               "%llu; expected 4096..4294967296",
                               (unsigned long long)c->seal_bytes);
    }
    if (c->metadata_bytes_max < 2 || c->metadata_bytes_max > JADE_METADATA_BYTES_MAX) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "metadataBytesMax",
                               "%u; expected 2..%u", c->metadata_bytes_max,
                               JADE_METADATA_BYTES_MAX);
    }
    if (c->tail_soft_bytes >= c->tail_hard_bytes || c->merge_rows_max < 1 ||
        c->merge_rows_max > JADE_SEGMENT_ROWS_MAX) {
        return jade_fail_field(
            err, JADE_E_INVALID_ARGUMENT, "tailSoftBytes",
            "the soft bound of the tail must be below the hard one, merges at least one row");
    }
    return jade_index_params_check(&c->index, err);
}

/* ---- create ---- */

jade_code jade_shard_create(struct jade_engine *e, const char *dir,
                            const struct jade_shard_config *config, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_os *os = e->os;
    char path[JADE_PATH_MAX];
    struct jade_manifest m = {.number = 1, .next_segment = 1}; /* no log file yet: generation 0 */
    bool there = false;
    JADE_TRY(jade_shard_config_check(config, err));
    JADE_TRY(jade_os_mkdirs(os, dir, err));
    JADE_TRY(jade_path_join(path, dir, "CURRENT", err));
    JADE_TRY(jade_os_exists(os, path, &there, err));
    if (there) {
        return jade_fail(err, JADE_E_ALREADY_EXISTS, "%s already holds a shard", dir);
    }
    /* What an unfinished creation left behind is begun anew. */
    static const char *const folders[] = {"wal", "segments"};
    for (size_t i = 0; i < 2; i++) {
        JADE_TRY(jade_path_join(path, dir, folders[i], err));
        JADE_TRY(jade_os_remove_tree(os, path, err));
        JADE_TRY(jade_os_mkdirs(os, path, err));
    }
    JADE_TRY(jade_path_join(path, dir, "SUPER", err));
    JADE_TRY(jade_os_exists(os, path, &there, err));
    if (there) {
        JADE_TRY(jade_os_unlink(os, path, err));
    }
    JADE_TRY(jade_super_create(os, path, err));
    JADE_TRY(jade_manifest_publish(os, dir, &m, err));
out:
    return rc == JADE_OK ? JADE_OK : jade_err_wrap(err, rc, "creating shard %s", dir);
}

/* ---- open ---- */

static void shard_free(struct jade_shard *s)
{
    struct jadei_view *v = atomic_load(&s->view);
    for (uint32_t i = 0; v && i < v->n; i++) {
        jadei_segment_free(v->segs[i]);
    }
    jade_free(v);
    jade_manifest_release(&s->manifest);
    jade_json_parser_free(s->parser);
    jade_free(s->group_ids);
    jade_super_close(s->super);
    jade_os_unlock(s->lock);
    jade_mutex_release(&s->queue_mutex);
    jade_cond_release(&s->queue_cond);
    jade_mutex_release(&s->commit);
    jade_mutex_release(&s->maintenance);
    jade_mutex_release(&s->task_mutex);
    jade_cond_release(&s->task_cond);
    jade_mutex_release(&s->pin_mutex);
    jade_free(s);
}

static jade_code shard_alloc(struct jade_engine *e, const char *dir,
                             const struct jade_shard_config *config, struct jade_shard **out,
                             struct jade_err *err)
{
    struct jade_shard *s = jade_calloc(JADE_TAG_SEGMENT, 1, sizeof *s);
    if (!s) {
        return jade_fail(err, JADE_E_NOMEM, "shard");
    }
    s->engine = e;
    s->config = *config;
    s->segments_max = JADE_SEGMENTS_MAX;
    atomic_store(&s->flat, config->index.kind == JADE_INDEX_FLAT);
    jade_mutex_init(&s->queue_mutex);
    jade_cond_init(&s->queue_cond);
    jade_mutex_init(&s->commit);
    jade_mutex_init(&s->maintenance);
    jade_mutex_init(&s->task_mutex);
    jade_cond_init(&s->task_cond);
    jade_mutex_init(&s->pin_mutex);
    atomic_store(&s->index_us_per_row_x16, 100 * 16);
    int n = snprintf(s->dir, sizeof s->dir, "%s", dir);
    *out = s;
    return n > 0 && (size_t)n < sizeof s->dir - 64
               ? JADE_OK
               : jade_fail(err, JADE_E_INVALID_ARGUMENT, "the path of the shard is too long");
}

static jade_code open_segments(struct jade_shard *s, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_view *v = jade_calloc(JADE_TAG_SEGMENT, 1,
                                       sizeof *v + (s->manifest.n_segments + 1) * sizeof *v->segs);
    if (!v) {
        return jade_fail(err, JADE_E_NOMEM, "a view of %u segments", s->manifest.n_segments);
    }
    atomic_store(&s->view, v);
    for (uint32_t i = 0; i < s->manifest.n_segments; i++) {
        struct jadei_segment *seg;
        JADE_TRY(jadei_sealed_open(s->engine->os, s->dir, &s->config, &s->manifest.segments[i],
                                   &seg, err));
        v->segs[v->n++] = seg;
        uint32_t n = atomic_load(&seg->n_rows);
        atomic_fetch_add(&s->n_live, n - atomic_load(&seg->n_dead));
    }
out:
    return rc;
}

static jade_code replay_one(void *ctx, const struct jade_wal_header *h, const uint8_t *payload,
                            struct jade_err *err)
{
    return jadei_apply_logged(ctx, h, payload, err);
}

static jade_code recover(struct jade_shard *s, struct jade_shard_open_info *info,
                         struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char path[JADE_PATH_MAX];
    struct jade_wal_recovery rec = {0};
    JADE_TRY(jade_manifest_load(s->engine->os, s->dir, &s->manifest, err));
    JADE_TRY(jade_path_join(path, s->dir, "SUPER", err));
    JADE_TRY(jade_super_open(s->engine->os, path, &s->super, err));
    const struct jade_superblock super = *jade_super_get(s->super);
    JADE_TRY(open_segments(s, err));
    atomic_store(&s->visible, s->manifest.checkpoint.v);
    atomic_store(&s->checkpoint, s->manifest.checkpoint.v);
    JADE_TRY(
        jade_json_parser_new(JADE_METADATA_BYTES_MAX, JADE_METADATA_DEPTH_MAX, &s->parser, err));
    JADE_TRY(jade_path_join(path, s->dir, "wal", err));
    struct jade_wal_opts opts = {.os = s->engine->os,
                                 .dir = path,
                                 .shard = super.copy,
                                 .after = s->manifest.checkpoint,
                                 .durable_mark = super.durable,
                                 .generation_min = s->manifest.wal_generation_min};
    JADE_TRY(jade_wal_open(&opts, replay_one, s, &s->wal, &rec, err));
    /* From here on the copy is changed: a new boot is noted, leftovers of unfinished seals go. */
    struct jade_superblock next = super;
    next.boot_count++;
    next.clean = 0;
    if (jade_wal_durable(s->wal).v > next.durable.v) {
        next.durable = jade_wal_durable(s->wal);
    }
    JADE_TRY(jade_super_update(s->super, &next, err));
    JADE_TRY(jade_segment_dir_sweep(s->engine->os, s->dir, &s->manifest, err));
    *info = (struct jade_shard_open_info){.replayed_records = rec.records,
                                          .replayed_bytes = rec.bytes,
                                          .tail_bytes_cut = rec.tail_bytes_cut,
                                          .clean = super.clean == 1};
    atomic_store(&s->wal_last, jade_wal_last(s->wal).v);
    atomic_store(&s->wal_durable, jade_wal_durable(s->wal).v);
out:
    return rc;
}

jade_code jade_shard_open(struct jade_engine *e, const char *dir,
                          const struct jade_shard_config *config, struct jade_shard **out,
                          struct jade_shard_open_info *info_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_shard *s = NULL;
    struct jade_shard_open_info info = {0};
    char path[JADE_PATH_MAX];
    uint64_t start = jade_os_mono_us(e->os);
    *out = NULL;
    JADE_TRY(jade_shard_config_check(config, err));
    JADE_TRY(shard_alloc(e, dir, config, &s, err));
    JADE_TRY(jade_path_join(path, dir, "CURRENT", err));
    bool there = false;
    JADE_TRY(jade_os_exists(e->os, path, &there, err));
    if (!there) {
        rc = jade_fail(err, JADE_E_NOT_FOUND, "%s holds no shard", dir);
        goto out;
    }
    JADE_TRY(jade_path_join(path, dir, "LOCK", err));
    JADE_TRY(jade_os_lock(e->os, path, &s->lock, err));
    JADE_TRY(recover(s, &info, err));
    info.open_us = jade_os_mono_us(e->os) - start;
    if (info_out) {
        *info_out = info;
    }
    jadei_engine_add(e, s);
    jadei_background_kick(s);
    jadei_engine_kick(e);
    *out = s;
    return JADE_OK;
out:
    if (s) {
        if (s->wal) {
            (void)jade_wal_close(s->wal, NULL);
        }
        shard_free(s);
    }
    return jade_err_wrap(err, rc, "opening shard %s", dir);
}

jade_code jadei_mark_durable(struct jade_shard *s, bool clean, struct jade_err *err)
{
    struct jade_superblock next = *jade_super_get(s->super);
    next.durable = jade_wal_durable(s->wal);
    next.clean = clean;
    return jade_super_update(s->super, &next, err);
}

/* ---- close ---- */

void jade_shard_stop(struct jade_shard *s)
{
    jade_mutex_lock(&s->task_mutex);
    atomic_store(&s->stopping, true);
    jade_cond_broadcast(&s->task_cond);
    jade_mutex_unlock(&s->task_mutex);
}

jade_code jade_shard_close(struct jade_shard *s, struct jade_err *err)
{
    if (!s) {
        return JADE_OK;
    }
    jade_code rc = JADE_OK;
    jadei_engine_remove(s->engine, s);
    atomic_store(&s->stopping, true);
    jadei_background_stop(s);
    jade_epoch_drain(s->engine->epoch);
    jade_mutex_lock(&s->commit);
    if (atomic_load(&s->poisoned)) {
        rc = jade_fail(err, JADE_E_POISONED, "writes were stopped: %s", s->poison.message);
    } else {
        rc = jadei_sync_log(s, err);
        if (rc == JADE_OK) {
            rc = jadei_mark_durable(s, true, err);
        }
    }
    jade_code closed = jade_wal_close(s->wal, rc == JADE_OK ? err : NULL);
    rc = rc != JADE_OK ? rc : closed;
    jade_mutex_unlock(&s->commit);
    shard_free(s);
    return rc;
}

const struct jade_shard_config *jade_shard_config(const struct jade_shard *s)
{
    return &s->config;
}
