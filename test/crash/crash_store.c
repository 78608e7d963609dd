/*
 * Crash-state sweep over src/store: a small shard made of superblock, log, segments, tombstones and manifest lives through a
 * seeded script (appends, syncs, rolls, checkpoints, merges, trims, reopening). Whatever crash state is left behind:
 *   - every synced record is there, in order, whole; nothing that was never appended is;
 *   - the manifest is the last published one, or the one whose publish was under way;
 *   - every segment and tombstone file it names is there and verifies;
 *   - the superblock opens, and is the copy's own;
 *   - the shard goes on: new records and a new checkpoint survive the next opening.
 * --canary runs the same over disks that drop syncs and must see violations for each.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/random.h"
#include "lossy_os.h"
#include "store/manifest_file.h"
#include "store/segment_dir.h"
#include "store/super.h"
#include "store/wal.h"
#include "sweep.h"

enum {
    OPS = 130,
    WAL_FILE_BYTES = 8192,
    PAYLOAD_MAX = 320,
    SEGMENTS_MAX = 64,
    MANIFESTS_MAX = 128,
    ROW_BYTES = 40,
};

#define SHARD "db/shard"
static const struct jade_uuid WAL_ID = {.b = {0x5a}};

/* ---- what the script was promised ---- */

struct named_segment {
    struct jade_manifest_segment ms;
    uint64_t lsn_min, lsn_max;
};
struct snapshot {
    uint64_t checkpoint;
    uint32_t n_segments;
    struct named_segment segments[SEGMENTS_MAX];
};
struct model {
    uint64_t acked;      /* LSN: synced */
    uint64_t tried;      /* LSN: appended */
    uint64_t published;  /* manifest number, 0 = none yet */
    uint64_t publishing; /* the one under way, or the same */
    bool has_copy;
    struct jade_uuid copy;
    uint64_t durable_marked; /* the greatest mark that was ever written to the superblock */
    struct snapshot snapshots[MANIFESTS_MAX];
};

/* ---- the shard ---- */

struct store {
    struct jade_os *os;
    struct model *model; /* NULL: nothing is promised (checks) */
    struct jade_super *super;
    struct jade_wal *wal;
    uint64_t manifest; /* number */
    uint64_t next_segment;
    struct snapshot now;
    uint64_t first_of_second_life; /* records from here on were appended after the crash */
};

struct context {
    struct model model;
    const struct lossy_opts *lossy; /* NULL: an honest disk */
};

/** Bytes of record lsn; `life` tells a record of before the crash from one that took its number later. */
static uint32_t payload_of(uint64_t lsn, unsigned life, uint8_t out[PAYLOAD_MAX])
{
    struct jade_random r;
    jade_random_init(&r, lsn * 2 + life);
    uint32_t n = (uint32_t)jade_random_below(&r, PAYLOAD_MAX + 1);
    for (uint32_t i = 0; i < n; i++) {
        out[i] = (uint8_t)jade_random_u64(&r);
    }
    return n;
}

struct replay {
    const struct store *store;
    uint64_t next;
};

static jade_code replay_record(void *ctx, const struct jade_wal_header *h, const uint8_t *payload,
                               struct jade_err *err)
{
    struct replay *r = ctx;
    uint8_t wanted[PAYLOAD_MAX];
    if (h->lsn.v != r->next) {
        return jade_fail(err, JADE_E_INTERNAL, "record %" PRIu64 " is replayed, expected %" PRIu64,
                         h->lsn.v, r->next);
    }
    uint32_t n = payload_of(h->lsn.v, h->lsn.v >= r->store->first_of_second_life, wanted);
    if (h->size != n || memcmp(payload, wanted, n) != 0) {
        return jade_fail(err, JADE_E_INTERNAL, "record %" PRIu64 " is not what was appended",
                         h->lsn.v);
    }
    r->next++;
    return JADE_OK;
}

static jade_code open_wal(struct store *s, uint64_t generation_min, struct jade_err *err)
{
    struct jade_wal_opts opts = {
        .os = s->os,
        .dir = SHARD "/wal",
        .shard = WAL_ID,
        .after = JADE_LSN(s->now.checkpoint),
        .durable_mark = jade_super_get(s->super)->durable,
        .generation_min = generation_min,
        .file_bytes = WAL_FILE_BYTES,
    };
    struct replay r = {.store = s, .next = s->now.checkpoint + 1};
    return jade_wal_open(&opts, replay_record, &r, &s->wal, NULL, err);
}

/* Frees all; what is buffered in the log is synced by its closing when the disk still works. */
static jade_code store_close(struct store *s, struct jade_err *err)
{
    jade_code rc = jade_wal_close(s->wal, err);
    jade_super_close(s->super);
    s->wal = NULL;
    s->super = NULL;
    return rc;
}

/* Publishes s->now with the next number; the oldest log file it needs is named in it. */
static jade_code publish(struct store *s, struct jade_err *err)
{
    struct jade_manifest_segment segments[SEGMENTS_MAX];
    struct jade_manifest m = {
        .number = s->manifest + 1,
        .checkpoint = JADE_LSN(s->now.checkpoint),
        .next_segment = s->next_segment,
        .wal_generation_min = jade_wal_generation_for(s->wal, JADE_LSN(s->now.checkpoint)),
        .n_segments = s->now.n_segments,
        .segments = segments,
    };
    for (uint32_t i = 0; i < s->now.n_segments; i++) {
        segments[i] = s->now.segments[i].ms;
    }
    if (s->model != NULL) {
        JADE_ASSERT(m.number < MANIFESTS_MAX);
        s->model->snapshots[m.number] = s->now;
        s->model->publishing = m.number;
    }
    jade_code rc = jade_manifest_publish(s->os, SHARD, &m, err);
    if (rc == JADE_OK) {
        s->manifest = m.number;
        if (s->model != NULL) {
            s->model->published = m.number;
        }
    }
    return rc;
}

static jade_code store_create(struct store *s, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    JADE_TRY(jade_os_remove_tree(s->os, SHARD, err)); /* of a creation that was never finished */
    JADE_TRY(jade_os_mkdirs(s->os, SHARD "/wal", err));
    JADE_TRY(jade_super_create(s->os, SHARD "/SUPER", err));
    JADE_TRY(jade_super_open(s->os, SHARD "/SUPER", &s->super, err));
    JADE_TRY(open_wal(s, 0, err));
    JADE_TRY(publish(s, err));
out:
    return rc;
}

static jade_code take_manifest(struct store *s, const struct jade_manifest *m, struct jade_err *err)
{
    if (m->n_segments > SEGMENTS_MAX) {
        return jade_fail(err, JADE_E_INTERNAL, "manifest names %u segments", m->n_segments);
    }
    s->manifest = m->number;
    s->next_segment = m->next_segment;
    s->now.checkpoint = m->checkpoint.v;
    s->now.n_segments = m->n_segments;
    for (uint32_t i = 0; i < m->n_segments; i++) {
        s->now.segments[i].ms = m->segments[i];
    }
    return JADE_OK;
}

/* As a program's start: what CURRENT names is opened; without it the shard was never finished and is made anew. */
static jade_code store_open(struct store *s, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_manifest m = {0};
    rc = jade_manifest_load(s->os, SHARD, &m, err);
    if (rc == JADE_E_NOT_FOUND) {
        return store_create(s, err);
    }
    JADE_TRY(rc);
    JADE_TRY(take_manifest(s, &m, err));
    JADE_TRY(jade_super_open(s->os, SHARD "/SUPER", &s->super, err));
    JADE_TRY(jade_segment_dir_sweep(s->os, SHARD, &m, err));
    JADE_TRY(open_wal(s, m.wal_generation_min, err));
out:
    jade_manifest_release(&m);
    return rc;
}

/* ---- segments ---- */

static uint8_t row_byte(uint64_t segment, uint64_t i)
{
    return (uint8_t)(segment * 31 + i * 7 + i / 251);
}

static jade_code write_rows(struct jade_segment_writer *w, const char *name, uint32_t kind,
                            uint64_t segment, uint64_t n, struct jade_err *err)
{
    struct jade_blockfile_writer *f = NULL;
    jade_code rc = jade_segment_writer_file(w, name, kind, &f, err);
    for (uint64_t i = 0; rc == JADE_OK && i < n; i++) {
        uint8_t b = row_byte(segment, i);
        rc = jade_blockfile_append(f, &b, 1, err);
    }
    return rc != JADE_OK ? rc : jade_segment_writer_file_done(w, err);
}

static jade_code write_segment(struct store *s, uint64_t lsn_min, uint64_t lsn_max,
                               struct named_segment *out, struct jade_err *err)
{
    struct jade_segment_writer *w = NULL;
    struct jade_segment_desc desc = {.n_rows = (uint32_t)(lsn_max - lsn_min + 1),
                                     .dim = 8,
                                     .lsn_min = JADE_LSN(lsn_min),
                                     .lsn_max = JADE_LSN(lsn_max)};
    *out = (struct named_segment){.ms = {.number = s->next_segment++, .n_rows = desc.n_rows},
                                  .lsn_min = lsn_min,
                                  .lsn_max = lsn_max};
    jade_code rc = jade_segment_writer_begin(s->os, SHARD, out->ms.number, &w, err);
    if (rc == JADE_OK) {
        rc = write_rows(w, "vectors.0", JADE_BF_VECTORS, out->ms.number,
                        (uint64_t)desc.n_rows * ROW_BYTES, err);
    }
    if (rc == JADE_OK) {
        rc = write_rows(w, "ids", JADE_BF_IDS, out->ms.number + 1, desc.n_rows, err);
    }
    if (rc != JADE_OK) {
        jade_segment_writer_abort(w);
        return rc;
    }
    return jade_segment_writer_finish(w, &desc, &out->ms.desc_crc, err);
}

static uint32_t tombs_of(const struct jade_manifest_segment *ms, uint64_t lsn,
                         struct jade_tomb *out)
{
    uint32_t n = 0;
    for (uint32_t row = 0; row < ms->n_rows; row++) {
        if ((row * 7 + lsn) % 3 == 0) {
            out[n++] = (struct jade_tomb){.row = row, .lsn = JADE_LSN(lsn)};
        }
    }
    return n;
}

static jade_code write_tombs(struct store *s, struct jade_manifest_segment *ms, uint64_t lsn,
                             struct jade_err *err)
{
    struct jade_tomb *tombs = jade_alloc(JADE_TAG_TEST, (ms->n_rows + 1) * sizeof *tombs);
    if (tombs == NULL) {
        return jade_fail(err, JADE_E_NOMEM, "tombstones");
    }
    uint32_t n = tombs_of(ms, lsn, tombs);
    jade_code rc =
        jade_tombs_write(s->os, SHARD, ms->number, JADE_LSN(lsn), tombs, n, &ms->tombs_crc, err);
    ms->tombs_lsn = JADE_LSN(lsn);
    ms->n_dead = n;
    jade_free(tombs);
    return rc;
}

/* ---- operations ---- */

static jade_code append(struct store *s, struct jade_err *err)
{
    uint8_t payload[PAYLOAD_MAX];
    struct jade_lsn lsn;
    uint64_t next = jade_wal_last(s->wal).v + 1;
    uint32_t n = payload_of(next, next >= s->first_of_second_life, payload);
    if (s->model != NULL) {
        s->model->tried = next;
    }
    return jade_wal_append(s->wal, JADE_RECORD_UPSERT, (struct jade_epoch){0}, WAL_ID, payload, n,
                           &lsn, err);
}

static void note_durable(struct store *s)
{
    if (s->model != NULL) {
        s->model->acked = jade_wal_durable(s->wal).v;
    }
}

static jade_code sync_log(struct store *s, struct jade_err *err)
{
    jade_code rc = jade_wal_sync(s->wal, err);
    if (rc == JADE_OK) {
        note_durable(s);
    }
    return rc;
}

static jade_code roll(struct store *s, struct jade_err *err)
{
    uint64_t generation;
    jade_code rc = jade_wal_roll(s->wal, &generation, err);
    if (rc == JADE_OK) {
        note_durable(s);
    }
    return rc;
}

/* Log -> segment -> manifest -> trim, in the only safe order (I14). `pick` chooses who gets tombstones. */
static jade_code checkpoint(struct store *s, uint64_t pick, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct snapshot old = s->now;
    uint64_t last = jade_wal_last(s->wal).v;
    if (last == s->now.checkpoint || s->now.n_segments == SEGMENTS_MAX) {
        return JADE_OK;
    }
    JADE_TRY(roll(s, err));
    struct snapshot *now = &s->now;
    if (now->n_segments > 0) {
        JADE_TRY(write_tombs(s, &now->segments[pick % now->n_segments].ms, last, err));
    }
    JADE_TRY(write_segment(s, now->checkpoint + 1, last, &now->segments[now->n_segments], err));
    now->n_segments++;
    now->checkpoint = last;
    JADE_TRY(publish(s, err));
    JADE_TRY(jade_wal_trim(s->wal, JADE_LSN(last), err));
    return JADE_OK;
out:
    s->now = old;
    return rc;
}

static jade_code sweep_unnamed(struct store *s, struct jade_err *err)
{
    struct jade_manifest_segment segments[SEGMENTS_MAX];
    struct jade_manifest m = {.n_segments = s->now.n_segments, .segments = segments};
    for (uint32_t i = 0; i < s->now.n_segments; i++) {
        segments[i] = s->now.segments[i].ms;
    }
    return jade_segment_dir_sweep(s->os, SHARD, &m, err);
}

/* Two neighbouring segments become one; their folders go once no manifest names them. */
static jade_code merge(struct store *s, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct snapshot old = s->now;
    struct snapshot *now = &s->now;
    struct named_segment merged;
    if (now->n_segments < 2) {
        return JADE_OK;
    }
    JADE_TRY(write_segment(s, now->segments[0].lsn_min, now->segments[1].lsn_max, &merged, err));
    now->segments[0] = merged;
    now->n_segments--;
    memmove(&now->segments[1], &now->segments[2], (now->n_segments - 1) * sizeof now->segments[0]);
    JADE_TRY(publish(s, err));
    JADE_TRY(sweep_unnamed(s, err));
    return JADE_OK;
out:
    s->now = old;
    return rc;
}

static jade_code mark(struct store *s, uint32_t clean, struct jade_err *err)
{
    struct jade_superblock next = *jade_super_get(s->super);
    next.durable = jade_wal_durable(s->wal);
    next.clean = clean;
    if (s->model != NULL) {
        s->model->durable_marked = next.durable.v;
    }
    return jade_super_update(s->super, &next, err);
}

static jade_code reopen(struct store *s, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    uint64_t last = jade_wal_last(s->wal).v;
    struct snapshot now = s->now; /* with the ranges, which a manifest does not hold */
    JADE_TRY(sync_log(s, err));
    JADE_TRY(mark(s, 1, err));
    JADE_TRY(store_close(s, err));
    JADE_TRY(store_open(s, err));
    if (jade_wal_last(s->wal).v != last || s->now.checkpoint != now.checkpoint) {
        rc = jade_fail(err, JADE_E_INTERNAL, "reopened at record %" PRIu64 ", was %" PRIu64,
                       jade_wal_last(s->wal).v, last);
    }
    s->now = now;
out:
    return rc;
}

static jade_code step(struct store *s, struct jade_random *random, struct jade_err *err)
{
    uint64_t dice = jade_random_below(random, 100);
    if (dice < 50) {
        return append(s, err);
    }
    if (dice < 72) {
        return sync_log(s, err);
    }
    if (dice < 77) {
        return jade_wal_flush(s->wal, err);
    }
    if (dice < 84) {
        return checkpoint(s, jade_random_u64(random), err);
    }
    if (dice < 87) {
        return roll(s, err);
    }
    if (dice < 92) {
        return mark(s, 0, err);
    }
    return dice < 96 ? merge(s, err) : reopen(s, err);
}

/* ---- the subject of the sweep ---- */

static void reset(void *ctx)
{
    struct context *c = ctx;
    memset(&c->model, 0, sizeof c->model);
}

static jade_code run(void *ctx, struct jade_os *os, uint64_t seed, struct jade_err *err)
{
    struct context *c = ctx;
    struct store s = {.os = os, .model = &c->model, .first_of_second_life = UINT64_MAX};
    struct jade_random random;
    jade_random_init(&random, seed);
    jade_code rc = store_open(&s, err);
    if (rc == JADE_OK) {
        c->model.copy = jade_super_get(s.super)->copy;
        c->model.has_copy = true;
    }
    for (unsigned i = 0; rc == JADE_OK && i < OPS; i++) {
        rc = step(&s, &random, err);
    }
    /* not an orderly close: a buffered record that the closing writes was never promised, but may be found */
    (void)store_close(&s, NULL);
    return rc;
}

static jade_code recover(void *ctx, struct jade_os *os, struct jade_err *err)
{
    (void)ctx;
    struct store s = {.os = os, .first_of_second_life = UINT64_MAX};
    jade_code rc = store_open(&s, err);
    (void)store_close(&s, NULL);
    return rc;
}

static jade_code check_bytes(struct jade_blockfile *f, uint64_t segment, uint64_t n,
                             struct jade_err *err)
{
    if (f == NULL || jade_blockfile_size(f) != n) {
        return jade_fail(err, JADE_E_INTERNAL, "segment %" PRIu64 ": file missing or of wrong size",
                         segment);
    }
    for (uint64_t i = 0; i < n; i++) {
        if (jade_blockfile_data(f)[i] != row_byte(segment, i)) {
            return jade_fail(err, JADE_E_INTERNAL, "%s: byte %" PRIu64 " differs",
                             jade_blockfile_path(f), i);
        }
    }
    return JADE_OK;
}

static jade_code check_tombs(struct jade_os *os, const struct jade_manifest_segment *ms,
                             struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_tomb *got = NULL;
    struct jade_tomb *wanted = jade_alloc(JADE_TAG_TEST, (ms->n_rows + 1) * sizeof *wanted);
    uint32_t n;
    JADE_TRY(jade_tombs_read(os, SHARD, ms, &got, &n, err));
    uint32_t n_wanted = ms->tombs_lsn.v == 0 ? 0 : tombs_of(ms, ms->tombs_lsn.v, wanted);
    bool same = n == n_wanted;
    for (uint32_t i = 0; same && i < n; i++) {
        same = got[i].row == wanted[i].row && got[i].lsn.v == wanted[i].lsn.v;
    }
    if (!same) {
        rc = jade_fail(err, JADE_E_INTERNAL, "segment %" PRIu64 ": other tombstones", ms->number);
    }
out:
    jade_free(wanted);
    jade_free(got);
    return rc;
}

static jade_code check_segment(struct jade_os *os, const struct named_segment *named,
                               struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_segment_dir *dir = NULL;
    uint64_t number = named->ms.number, n = named->ms.n_rows;
    JADE_TRY(jade_segment_dir_open(os, SHARD, &named->ms, &dir, err));
    JADE_TRY(jade_segment_dir_verify_all(dir, err));
    const struct jade_segment_desc *d = jade_segment_dir_desc(dir);
    if (d->lsn_min.v != named->lsn_min || d->lsn_max.v != named->lsn_max) {
        rc = jade_fail(err, JADE_E_INTERNAL, "segment %" PRIu64 " covers other records", number);
        goto out;
    }
    JADE_TRY(check_bytes(jade_segment_dir_file(dir, JADE_BF_VECTORS), number, n * ROW_BYTES, err));
    JADE_TRY(check_bytes(jade_segment_dir_file(dir, JADE_BF_IDS), number + 1, n, err));
    JADE_TRY(check_tombs(os, &named->ms, err));
out:
    jade_segment_dir_close(dir);
    return rc;
}

/* The manifest that was found is one of the two possible ones, byte for byte in what it names. */
static jade_code check_manifest(const struct model *m, const struct store *s, struct jade_err *err)
{
    /* a creation that was cut may have been finished by a recovery that was cut itself */
    bool created_later = m->published == 0 && s->manifest == 1;
    if (s->manifest != m->published && s->manifest != m->publishing && !created_later) {
        return jade_fail(err, JADE_E_INTERNAL,
                         "manifest %" PRIu64 " is found; published was %" PRIu64
                         ", under way %" PRIu64,
                         s->manifest, m->published, m->publishing);
    }
    const struct snapshot *wanted = &m->snapshots[s->manifest];
    bool same = wanted->checkpoint == s->now.checkpoint && wanted->n_segments == s->now.n_segments;
    for (uint32_t i = 0; same && i < wanted->n_segments; i++) {
        const struct jade_manifest_segment *a = &wanted->segments[i].ms,
                                           *b = &s->now.segments[i].ms;
        same = a->number == b->number && a->n_rows == b->n_rows && a->desc_crc == b->desc_crc &&
               a->tombs_lsn.v == b->tombs_lsn.v && a->tombs_crc == b->tombs_crc &&
               a->n_dead == b->n_dead;
    }
    return same ? JADE_OK
                : jade_fail(err, JADE_E_INTERNAL, "manifest %" PRIu64 " holds something else",
                            s->manifest);
}

static jade_code check_found(const struct model *m, const struct store *s, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const struct jade_superblock *super = jade_super_get(s->super);
    uint64_t last = jade_wal_last(s->wal).v;
    JADE_TRY(check_manifest(m, s, err));
    for (uint32_t i = 0; i < m->snapshots[s->manifest].n_segments; i++) {
        JADE_TRY(check_segment(s->os, &m->snapshots[s->manifest].segments[i], err));
    }
    if (last < m->acked || last > m->tried) {
        rc = jade_fail(err, JADE_E_INTERNAL,
                       "the log ends at record %" PRIu64 "; synced were %" PRIu64
                       ", appended %" PRIu64,
                       last, m->acked, m->tried);
        goto out;
    }
    if (m->has_copy && memcmp(super->copy.b, m->copy.b, sizeof m->copy.b) != 0) {
        rc = jade_fail(err, JADE_E_INTERNAL, "the superblock is of another copy");
        goto out;
    }
    if (super->durable.v > m->durable_marked) {
        rc = jade_fail(err, JADE_E_INTERNAL, "the superblock's mark was never written");
    }
out:
    return rc;
}

/* Life after the crash: three records and a checkpoint, then one more opening that must find them. */
static jade_code check_goes_on(const struct model *m, struct store *s, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    uint64_t last = jade_wal_last(s->wal).v;
    if (s->manifest > 0 && m->published > 0) {
        s->now = m->snapshots[s->manifest]; /* with the ranges */
    }
    s->first_of_second_life = last + 1;
    for (unsigned i = 0; i < 3; i++) {
        JADE_TRY(append(s, err));
    }
    JADE_TRY(sync_log(s, err));
    JADE_TRY(reopen(s, err));
    JADE_TRY(checkpoint(s, 0, err));
    JADE_TRY(append(s, err));
    JADE_TRY(reopen(s, err));
    if (jade_wal_last(s->wal).v != last + 4) {
        rc = jade_fail(err, JADE_E_INTERNAL,
                       "after going on the log ends at %" PRIu64 ", expected %" PRIu64,
                       jade_wal_last(s->wal).v, last + 4);
    }
out:
    return rc;
}

static jade_code check(void *ctx, struct jade_os *os, struct jade_err *err)
{
    const struct context *c = ctx;
    const struct model *m = &c->model;
    struct store s = {.os = os, .first_of_second_life = UINT64_MAX};
    jade_code rc = JADE_OK;
    bool finished = false;
    JADE_TRY(jade_os_exists(os, SHARD "/CURRENT", &finished, err));
    if (!finished && m->published > 0) {
        rc = jade_fail(err, JADE_E_INTERNAL,
                       "the shard is gone, manifest %" PRIu64 " was published", m->published);
        goto out;
    }
    JADE_TRY(store_open(&s, err));
    if (finished) {
        JADE_TRY(check_found(m, &s, err));
    }
    JADE_TRY(check_goes_on(m, &s, err));
out:
    (void)store_close(&s, NULL);
    return rc;
}

static struct jade_os *wrap(void *ctx, struct jade_os *os)
{
    const struct context *c = ctx;
    return c->lossy == NULL ? os : lossy_os_new(os, c->lossy);
}

static void unwrap(void *ctx, struct jade_os *os)
{
    const struct context *c = ctx;
    if (c->lossy != NULL) {
        lossy_os_free(os);
    }
}

int main(int argc, char **argv)
{
    static struct context c;
    const struct sweep_subject subject = {
        .name = "store",
        .reset = reset,
        .run = run,
        .recover = recover,
        .check = check,
        .ctx = &c,
        .wrap = wrap,
        .unwrap = unwrap,
    };
    static const struct sweep_canary canaries[] = {
        {"files of segments are not synced", {.file_part = "/segments/"}},
        {"the log is not synced", {.file_part = ".wal"}},
        {"manifests are not synced", {.file_part = "MANIFEST"}},
        {"CURRENT is not synced", {.file_part = "CURRENT"}},
        {"folders are not synced", {.folders = true}},
    };
    return sweep_main(&subject, canaries, sizeof canaries / sizeof canaries[0], &c.lossy, argc,
                      argv);
}
