/*
 * Group commit: the queue, the leader, logging, making durable, applying.
 *
 * The first waiter of the queue leads: it takes requests until the group is full or a request touches an id that the group already
 * touches (its checks would have to see the group's effects), logs them with one write and one sync, applies them in order.
 * Everything that can fail for want of memory happens before the log is written, so that a logged record is always applied.
 */
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "shard/write_private.h"

enum { GROUP_SLOTS_FIRST = 1024 };

void jadei_poison(struct jade_shard *s, const struct jade_err *err)
{
    if (!atomic_load(&s->poisoned)) {
        s->poison = *err;
        atomic_store(&s->poisoned, true);
        jade_log_err(JADE_LOG_ERROR, "shard", "writes stopped until the database is opened again",
                     err);
    }
}

static void note_log(struct jade_shard *s)
{
    atomic_store_explicit(&s->wal_last, jade_wal_last(s->wal).v, memory_order_relaxed);
    atomic_store_explicit(&s->wal_durable, jade_wal_durable(s->wal).v, memory_order_relaxed);
}

jade_code jadei_sync_log(struct jade_shard *s, struct jade_err *err)
{
    struct jade_err local = {0};
    if (jade_wal_durable(s->wal).v == jade_wal_last(s->wal).v) {
        return JADE_OK;
    }
    jade_code rc = jade_wal_sync(s->wal, &local);
    if (rc != JADE_OK) {
        jadei_poison(s, &local);
        if (err) {
            *err = local;
        }
    }
    note_log(s);
    atomic_store(&s->last_sync_us, jade_os_mono_us(s->engine->os));
    return rc;
}

/*
 * The live row of an id in one segment. In memory it can only be the newest. Merges take segments that need not be neighbours, so in a
 * sealed one a newer version may stand before an older, dead one that a snapshot keeps; it was then written at or after that one's end.
 */
static jade_code find_live_in(struct jadei_segment *seg, const char *id, uint32_t id_len,
                              uint64_t hash, uint32_t *row_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    uint32_t row;
    *row_out = JADEI_NO_ROW;
    JADE_TRY(jadei_segment_find(seg, id, id_len, hash, &row, err));
    while (row != JADEI_NO_ROW) {
        uint64_t tomb = jadei_segment_tomb(seg, row);
        if (tomb == 0) {
            *row_out = row;
            break;
        }
        if (!seg->sealed || seg->lsn_max.v < tomb) {
            break;
        }
        JADE_TRY(jadei_segment_older(seg, row, &row, err));
    }
out:
    return rc;
}

/* The live version of an id, or seg = NULL: at most one row of an id is alive. */
static jade_code find_live(const struct jadei_view *view, const char *id, uint32_t id_len,
                           uint64_t hash, struct jadei_place *out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    *out = (struct jadei_place){0};
    for (uint32_t i = view->n; i-- > 0;) {
        uint32_t row;
        JADE_TRY(find_live_in(view->segs[i], id, id_len, hash, &row, err));
        if (row != JADEI_NO_ROW) {
            struct jadei_segment *seg = view->segs[i];
            JADE_TRY(jadei_segment_check_row(seg, row, err));
            *out = (struct jadei_place){.seg = seg,
                                        .row = row,
                                        .version = seg->version[row],
                                        .created_us = seg->created[row]};
            return JADE_OK;
        }
    }
out:
    return rc;
}

jade_code jadei_find_places(void *arg, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_places_arg *a = arg;
    struct jadei_request *r = a->r;
    for (uint32_t i = 0; i < r->n; i++) {
        const char *id = r->rows ? r->rows[i].id : r->ids[i];
        uint32_t len = r->rows ? r->rows[i].id_len : r->id_lens[i];
        JADE_TRY(find_live(a->view, id, len, r->hashes[i], &r->places[i], err));
    }
out:
    return rc;
}

static jade_code check_mode(const struct jadei_request *r, struct jade_err *err)
{
    for (uint32_t i = 0; i < r->n; i++) {
        bool there = r->places[i].seg != NULL;
        if (r->mode == JADE_WRITE_INSERT && there) {
            jade_code rc = jade_fail_field(err, JADE_E_ALREADY_EXISTS, "id", "'%.*s' exists",
                                           (int)r->rows[i].id_len, r->rows[i].id);
            return jadei_field_error(err, i, rc);
        }
        if (r->mode == JADE_WRITE_UPDATE && !there) {
            jade_code rc = jade_fail_field(err, JADE_E_NOT_FOUND, "id", "'%.*s' does not exist",
                                           (int)r->rows[i].id_len, r->rows[i].id);
            return jadei_field_error(err, i, rc);
        }
    }
    return JADE_OK;
}

jade_code jadei_reserve_tombs(struct jadei_request *r, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    for (uint32_t i = 0; i < r->n; i++) {
        if (r->places[i].seg) {
            JADE_TRY(jadei_segment_tomb_reserve(r->places[i].seg, err));
        }
    }
out:
    return rc;
}

jade_code jadei_ensure_growing(struct jade_shard *s, struct jadei_segment **out,
                               struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_segment *g = jadei_view_growing(atomic_load(&s->view));
    if (!g) {
        JADE_TRY(jadei_growing_new(&s->config, &g, err));
        rc = jadei_view_change(s, NULL, 0, g, true, err);
        if (rc != JADE_OK) {
            jadei_segment_free(g);
            return rc;
        }
    }
    *out = g;
out:
    return rc;
}

void jadei_freeze(struct jade_shard *s)
{
    struct jadei_segment *g = jadei_view_growing(atomic_load(&s->view));
    if (g && atomic_load(&g->n_rows) > 0) {
        atomic_store_explicit(&g->frozen, true, memory_order_release);
    } else {
        atomic_store(&s->checkpoint_due, true);
    }
    s->bytes_since_freeze = 0;
}

static void delete_payload(struct jadei_request *r, int64_t now_us)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < r->n; i++) {
        found += r->places[i].seg != NULL;
    }
    r->result.n_deleted = found;
    if (found == 0) {
        return;
    }
    jade_record_delete_begin(&r->payload, found, now_us);
    for (uint32_t i = 0; i < r->n; i++) {
        if (r->places[i].seg) {
            jade_record_delete_id(&r->payload, r->ids[i], r->id_lens[i]);
        }
    }
}

/* Checks and reserves one request and puts its record into the log's buffer. *full_out: the growing segment must be frozen first. */
static jade_code log_request(struct jade_shard *s, struct jadei_request *r, bool *full_out,
                             struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_segment *g = NULL;
    bool reserved = false;
    struct jadei_places_arg a = {.view = atomic_load(&s->view), .r = r};
    JADE_TRY(jade_guard_run(jadei_find_places, &a, "a segment's id table", err));
    if (r->type == JADE_RECORD_UPSERT) {
        JADE_TRY(check_mode(r, err));
        JADE_TRY(jadei_ensure_growing(s, &g, err));
        if (!jadei_growing_fits(g, r->n, r->id_bytes, r->meta_bytes)) {
            *full_out = true;
            return JADE_OK;
        }
        JADE_TRY(jadei_growing_reserve(g, r->n, r->id_bytes, r->meta_bytes, err));
        reserved = true;
    } else {
        delete_payload(r, jade_os_wall_us(s->engine->os));
        if (r->result.n_deleted == 0) {
            return JADE_OK; /* nothing to log */
        }
        JADE_TRY(jade_buf_status(&r->payload, err));
    }
    JADE_TRY(jadei_reserve_tombs(r, err));
    rc = jade_wal_append(s->wal, r->type, (struct jade_epoch){0}, (struct jade_uuid){{0}},
                         r->payload.data, r->payload.len, &r->result.lsn, err);
    if (rc == JADE_E_POISONED) {
        jadei_poison(s, err); /* the log takes nothing any more */
    }
    JADE_TRY(rc);
    r->logged = true;
    r->log_bytes = jade_wal_record_bytes((uint32_t)r->payload.len);
out:
    if (rc != JADE_OK && reserved) {
        jadei_growing_unreserve(g, r->n, r->id_bytes, r->meta_bytes);
    }
    return rc;
}

static void bury_place(struct jade_shard *s, const struct jadei_place *p, struct jade_lsn lsn)
{
    jadei_segment_bury(p->seg, p->row, lsn);
    atomic_fetch_add_explicit(&s->dead_bytes, p->seg->rows.stride, memory_order_relaxed);
}

static void apply_upsert(struct jade_shard *s, struct jadei_request *r)
{
    struct jadei_segment *g = jadei_view_growing(atomic_load(&s->view));
    for (uint32_t i = 0; i < r->n; i++) {
        const struct jadei_place *p = &r->places[i];
        uint64_t version = 1;
        int64_t created = r->rows[i].time_us;
        if (p->seg) {
            version = p->version + 1;
            created = p->created_us;
            bury_place(s, p, r->result.lsn);
            r->result.n_updated++;
        } else {
            r->result.n_created++;
        }
        jadei_growing_append(g, &r->rows[i], r->result.lsn, version, created);
        if (r->row_results) {
            r->row_results[i] =
                (struct jade_row_result){.version = version, .created = p->seg == NULL};
        }
    }
    atomic_fetch_add(&s->n_live, r->result.n_created);
    jadei_growing_publish(g, g->c.n_used, s->parser);
}

static void apply_delete(struct jade_shard *s, struct jadei_request *r)
{
    for (uint32_t i = 0; i < r->n; i++) {
        if (r->places[i].seg) {
            bury_place(s, &r->places[i], r->result.lsn);
        }
    }
    atomic_fetch_sub(&s->n_live, r->result.n_deleted);
}

void jadei_apply(struct jade_shard *s, struct jadei_request *r)
{
    if (r->type == JADE_RECORD_UPSERT) {
        apply_upsert(s, r);
    } else {
        apply_delete(s, r);
    }
    s->bytes_since_freeze += r->log_bytes;
    atomic_store_explicit(&s->visible, r->result.lsn.v, memory_order_seq_cst);
}

static jade_code group_room(struct jade_shard *s, uint32_t n, struct jade_err *err)
{
    uint32_t want = jadei_id_slots_for((uint64_t)s->group_used + n);
    want = want < GROUP_SLOTS_FIRST ? GROUP_SLOTS_FIRST : want;
    if (want <= s->group_slots) {
        return JADE_OK;
    }
    uint64_t *slots = jade_calloc(JADE_TAG_REQUEST, want, sizeof *slots);
    if (!slots) {
        return jade_fail(err, JADE_E_NOMEM, "a commit group of %u rows", n);
    }
    for (uint32_t i = 0; i < s->group_slots; i++) {
        if (s->group_ids[i] != 0) {
            (void)jadei_hash_set_add(slots, want, s->group_ids[i]);
        }
    }
    jade_free(s->group_ids);
    s->group_ids = slots;
    s->group_slots = want;
    return JADE_OK;
}

static bool group_has(const struct jade_shard *s, const struct jadei_request *r)
{
    if (s->group_used == 0) {
        return false;
    }
    for (uint32_t i = 0; i < r->n; i++) {
        uint64_t hash = r->hashes[i] ? r->hashes[i] : 1;
        for (uint32_t at = (uint32_t)(hash >> 16) & (s->group_slots - 1); s->group_ids[at] != 0;
             at = (at + 1) & (s->group_slots - 1)) {
            if (s->group_ids[at] == hash) {
                return true;
            }
        }
    }
    return false;
}

static void group_clear(struct jade_shard *s)
{
    if (s->group_used > 0) {
        memset(s->group_ids, 0, s->group_slots * sizeof *s->group_ids);
        s->group_used = 0;
    }
    if (s->group_slots > 64 * GROUP_SLOTS_FIRST) {
        jade_free(
            s->group_ids); /* after a huge batch the usual small groups should not clear a huge table */
        s->group_ids = NULL;
        s->group_slots = 0;
    }
}

/* Logs as many requests from `list` as fit one group; returns the first one left over. */
static struct jadei_request *log_group(struct jade_shard *s, struct jadei_request *list)
{
    size_t bytes = 0;
    uint32_t logged = 0;
    struct jadei_request *r = list;
    struct jadei_segment *growing = jadei_view_growing(atomic_load(&s->view));
    if (growing) {
        jadei_growing_plan(growing);
    }
    while (r && bytes < JADE_WAL_GROUP_BYTES && !group_has(s, r)) {
        bool full = false;
        struct jade_err *err = &r->err;
        r->rc = group_room(s, r->n, err);
        if (r->rc == JADE_OK) {
            r->rc = log_request(s, r, &full, err);
        }
        if (full) {
            if (logged > 0) {
                break; /* those are applied to the present segment first */
            }
            jadei_freeze(s);
            continue;
        }
        if (r->logged) {
            for (uint32_t i = 0; i < r->n; i++) {
                s->group_used += !jadei_hash_set_add(s->group_ids, s->group_slots, r->hashes[i]);
            }
            logged += r->n;
            bytes += r->payload.len;
        }
        r = r->next;
    }
    return r;
}

static jade_code make_durable(struct jade_shard *s, const struct jadei_request *first,
                              const struct jadei_request *end, struct jade_err *err)
{
    bool sync = false;
    bool flush = false;
    for (const struct jadei_request *r = first; r != end; r = r->next) {
        sync |= r->logged && r->durability == JADE_DURABILITY_SYNC;
        flush |= r->logged && r->durability == JADE_DURABILITY_PERIODIC;
    }
    if (sync) {
        return jadei_sync_log(s, err);
    }
    jade_code rc = JADE_OK;
    if (flush) {
        rc = jade_wal_flush(s->wal, err);
        if (rc != JADE_OK && err) {
            jadei_poison(s, err);
        }
    }
    note_log(s);
    return rc;
}

static struct jadei_request *commit_group(struct jade_shard *s, struct jadei_request *list)
{
    struct jade_err err = {0};
    jade_mutex_lock(&s->commit);
    if (atomic_load(&s->poisoned)) {
        for (struct jadei_request *r = list; r; r = r->next) {
            r->rc = jade_fail(&r->err, JADE_E_POISONED,
                              "writes are stopped until the database is opened again: %s",
                              s->poison.message);
        }
        jade_mutex_unlock(&s->commit);
        return NULL;
    }
    struct jadei_request *end = log_group(s, list);
    jade_code rc = make_durable(s, list, end, &err);
    for (struct jadei_request *r = list; r != end; r = r->next) {
        if (!r->logged) {
            continue;
        }
        if (rc != JADE_OK) {
            r->rc = rc;
            r->err = err;
        } else {
            jadei_apply(s, r);
        }
    }
    group_clear(s);
    uint64_t now = jade_os_mono_us(s->engine->os);
    atomic_store(&s->last_write_us, now);
    if (s->bytes_since_freeze >= s->config.seal_bytes) {
        jadei_freeze(s);
    }
    jade_mutex_unlock(&s->commit);
    jadei_background_kick(s);
    if (atomic_load(&s->engine->asleep)) {
        jadei_engine_kick(s->engine);
    }
    return end;
}

static void lead(struct jade_shard *s)
{
    /* queue_mutex is held on entry and exit. One group is led; a later waiter leads the next, so that nobody leads for ever. */
    struct jadei_request *list = s->queue_head;
    s->queue_head = NULL;
    s->queue_tail = NULL;
    s->queue_n = 0;
    jade_mutex_unlock(&s->queue_mutex);
    struct jadei_request *rest = commit_group(s, list);
    jade_mutex_lock(&s->queue_mutex);
    for (struct jadei_request *r = list; r != rest;) {
        struct jadei_request *next = r->next; /* r may be gone once done is seen */
        r->done = true;
        r = next;
    }
    if (rest) {
        struct jadei_request *last = rest;
        uint32_t n = 1;
        while (last->next) {
            last = last->next;
            n++;
        }
        last->next = s->queue_head;
        if (!s->queue_tail) {
            s->queue_tail = last;
        }
        s->queue_head = rest;
        s->queue_n += n;
    }
}

jade_code jadei_submit(struct jade_shard *s, struct jadei_request *r, struct jade_err *err)
{
    jade_mutex_lock(&s->queue_mutex);
    if (s->queue_n >= JADE_WAL_GROUP_REQUESTS) {
        jade_mutex_unlock(&s->queue_mutex);
        return jade_fail(err, JADE_E_BUSY, "%u writes are waiting; at most %u", s->queue_n,
                         JADE_WAL_GROUP_REQUESTS);
    }
    r->next = NULL;
    if (s->queue_tail) {
        s->queue_tail->next = r;
    } else {
        s->queue_head = r;
    }
    s->queue_tail = r;
    s->queue_n++;
    while (!r->done) {
        if (s->leader) {
            jade_cond_wait(&s->queue_cond, &s->queue_mutex);
            continue;
        }
        s->leader = true;
        lead(s);
        s->leader = false;
        jade_cond_broadcast(&s->queue_cond);
    }
    jade_mutex_unlock(&s->queue_mutex);
    if (r->rc != JADE_OK && err) {
        *err = r->err;
    }
    return r->rc;
}

void jadei_request_release(struct jadei_request *r)
{
    jade_buf_release(&r->payload);
    jade_free(r->hashes);
    jade_free(r->places);
}

jade_code jadei_request_init(struct jade_shard *s, struct jadei_request *r,
                             enum jade_record_type type, uint32_t n,
                             const struct jade_write_opts *opts, struct jade_err *err)
{
    *r = (struct jadei_request){.type = type,
                                .n = n,
                                .mode = opts ? opts->mode : JADE_WRITE_UPSERT,
                                .result.lsn = r->result.lsn,
                                .log_bytes = r->log_bytes};
    r->durability = opts && opts->durability != JADE_DURABILITY_DEFAULT ? opts->durability
                                                                        : s->config.durability;
    jade_buf_init(&r->payload, JADE_TAG_REQUEST);
    r->hashes = jade_alloc(JADE_TAG_REQUEST, n * sizeof *r->hashes);
    r->places = jade_calloc(JADE_TAG_REQUEST, n, sizeof *r->places);
    return r->hashes && r->places ? JADE_OK : jade_fail(err, JADE_E_NOMEM, "a write of %u rows", n);
}
