/*
 * Point reads, counting, statistics.
 */
#include <string.h>

#include "shard/shard_private.h"

static bool visible_at(struct jadei_segment *seg, uint32_t row, struct jade_lsn lsn)
{
    uint64_t tomb = jadei_segment_tomb(seg, row);
    return seg->lsn[row] <= lsn.v && (tomb == 0 || tomb > lsn.v);
}

struct get_arg {
    const struct jadei_read *read;
    const char *id;
    uint32_t id_len;
    unsigned with;
    struct jade_arena *arena;
    struct jade_record *out;
    bool found;
};

static jade_code get_in(struct jadei_segment *seg, struct get_arg *a, uint64_t hash,
                        struct jade_err *err)
{
    jade_code rc = JADE_OK;
    uint32_t row;
    JADE_TRY(jadei_segment_find(seg, a->id, a->id_len, hash, &row, err));
    while (row != JADEI_NO_ROW) {
        JADE_TRY(jadei_segment_check_row(seg, row, err));
        if (visible_at(seg, row, a->read->lsn)) {
            a->found = true;
            return jadei_segment_record(seg, row, a->with, a->arena, a->out, err);
        }
        JADE_TRY(jadei_segment_older(seg, row, &row, err));
    }
out:
    return rc;
}

static jade_code get_guarded(void *arg, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct get_arg *a = arg;
    uint64_t hash = jadei_id_hash(a->id, a->id_len);
    for (uint32_t i = a->read->view->n; i-- > 0 && !a->found;) {
        JADE_TRY(get_in(a->read->view->segs[i], a, hash, err));
    }
out:
    return rc;
}

jade_code jade_shard_get(struct jade_shard *s, const char *id, uint32_t id_len, unsigned with,
                         struct jade_lsn at, struct jade_arena *arena, struct jade_record *out,
                         struct jade_err *err)
{
    struct jadei_read read;
    *out = (struct jade_record){0};
    jade_code rc = jadei_read_begin(s, at, &read, err);
    if (rc != JADE_OK) {
        return rc;
    }
    struct get_arg a = {
        .read = &read, .id = id, .id_len = id_len, .with = with, .arena = arena, .out = out};
    rc = jade_guard_run(get_guarded, &a, "a segment", err);
    jadei_read_end(&read);
    if (rc == JADE_OK && !a.found) {
        return jade_fail_field(err, JADE_E_NOT_FOUND, "id", "'%.*s' does not exist", (int)id_len,
                               id);
    }
    return rc;
}

void jade_shard_stats(struct jade_shard *s, struct jade_shard_stats *out)
{
    *out = (struct jade_shard_stats){0};
    jadei_tail(s, &out->tail_rows, &out->tail_bytes);
    unsigned token = jade_epoch_pin(s->engine->epoch);
    const struct jadei_view *v = atomic_load(&s->view);
    for (uint32_t i = 0; i < v->n; i++) {
        const struct jadei_segment *seg = v->segs[i];
        out->n_rows += atomic_load(&seg->n_rows);
        out->n_dead += atomic_load(&seg->n_dead);
        out->n_sealed += seg->sealed;
        out->disk_bytes += seg->disk_bytes;
    }
    out->n_segments = v->n;
    jade_epoch_unpin(s->engine->epoch, token);
    /* Columns of the growing segment and the log change under the commit lock. */
    jade_mutex_lock(&s->commit);
    v = atomic_load(&s->view);
    for (uint32_t i = 0; i < v->n; i++) {
        out->memory_bytes += jadei_segment_memory(v->segs[i]);
    }
    out->wal_bytes = jade_wal_bytes(s->wal);
    jade_mutex_unlock(&s->commit);
    out->disk_bytes += out->wal_bytes;
    out->n_live = atomic_load(&s->n_live);
    out->visible = JADE_LSN(atomic_load(&s->visible));
    out->durable = JADE_LSN(atomic_load(&s->wal_durable));
    out->checkpoint = JADE_LSN(atomic_load(&s->checkpoint));
    out->n_searches = atomic_load(&s->n_searches);
    out->n_writes = atomic_load(&s->n_writes);
    out->poisoned = atomic_load(&s->poisoned);
    if (out->poisoned) {
        memcpy(out->poison_reason, s->poison.message, sizeof out->poison_reason);
    }
}
