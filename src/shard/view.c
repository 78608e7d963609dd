/*
 * Views (the list of segments), reads, and pins.
 */
#include "base/assert.h"
#include "shard/shard_private.h"

struct jadei_segment *jadei_view_growing(const struct jadei_view *v)
{
    if (v->n == 0) {
        return NULL;
    }
    struct jadei_segment *last = v->segs[v->n - 1];
    return !last->sealed && !atomic_load_explicit(&last->frozen, memory_order_acquire) ? last
                                                                                       : NULL;
}

static bool listed(struct jadei_segment *const *list, uint32_t n, const struct jadei_segment *s)
{
    for (uint32_t i = 0; i < n; i++) {
        if (list[i] == s) {
            return true;
        }
    }
    return false;
}

jade_code jadei_view_change(struct jade_shard *s, struct jadei_segment *const *remove,
                            uint32_t n_remove, struct jadei_segment *add, bool add_last,
                            struct jade_err *err)
{
    struct jadei_view *old = atomic_load(&s->view);
    uint32_t room = (old ? old->n : 0) + 1;
    struct jadei_view *v = jade_alloc(JADE_TAG_SEGMENT, sizeof *v + room * sizeof *v->segs);
    if (!v) {
        return jade_fail(err, JADE_E_NOMEM, "a view of %u segments", room);
    }
    v->n = 0;
    bool added = add == NULL || add_last;
    for (uint32_t i = 0; old && i < old->n; i++) {
        if (!listed(remove, n_remove, old->segs[i])) {
            v->segs[v->n++] = old->segs[i];
        } else if (!added) {
            v->segs[v->n++] =
                add; /* in the place of the first one it replaces: the order by age stays */
            added = true;
        }
    }
    if (add && add_last) {
        v->segs[v->n++] = add;
    }
    JADE_ASSERT(added);
    atomic_store(&s->view, v);
    for (uint32_t i = 0; i < n_remove; i++) {
        jade_epoch_retire(s->engine->epoch, remove[i], jadei_segment_free);
    }
    if (old) {
        jade_epoch_retire(s->engine->epoch, old, jade_free);
    }
    return JADE_OK;
}

jade_code jadei_read_begin(struct jade_shard *s, struct jade_lsn at, struct jadei_read *r,
                           struct jade_err *err)
{
    r->shard = s;
    r->token = jade_epoch_pin(s->engine->epoch);
    /* The LSN must be one for which this view is complete: rows up to it may lie in a segment that a newer view added, and a merge may
     * have dropped rows that were dead before it. A view that is still current after the LSN was read has both. */
    struct jadei_view *v = atomic_load(&s->view);
    for (;;) {
        r->lsn = JADE_LSN(atomic_load(&s->visible));
        struct jadei_view *again = atomic_load(&s->view);
        if (again == v) {
            break;
        }
        v = again;
    }
    r->view = v;
    if (at.v != 0) {
        r->lsn = at;
        if (!jadei_pin_valid(s, at)) {
            jade_epoch_unpin(s->engine->epoch, r->token);
            return jade_fail(err, JADE_E_SNAPSHOT_TOO_OLD,
                             "the snapshot at LSN %llu is not held any more",
                             (unsigned long long)at.v);
        }
    }
    return JADE_OK;
}

void jadei_read_end(struct jadei_read *r)
{
    jade_epoch_unpin(r->shard->engine->epoch, r->token);
}

/* ---- pins ---- */

jade_code jade_shard_pin(struct jade_shard *s, struct jade_pin *pin_out, struct jade_err *err)
{
    *pin_out = (struct jade_pin){0};
    /* A new pin is at or above the visible LSN, so at or above every horizon a running merge has chosen: none can drop its rows. */
    jade_mutex_lock(&s->pin_mutex);
    if (s->n_pins == JADE_PIN_MAX) {
        jade_mutex_unlock(&s->pin_mutex);
        return jade_fail(err, JADE_E_BUSY, "%u snapshots are held; at most %u", s->n_pins,
                         JADE_PIN_MAX);
    }
    struct jadei_pin *p = &s->pins[s->n_pins++];
    p->id = ++s->pin_next;
    p->since_us = jade_os_mono_us(s->engine->os);
    p->dead_bytes_at = atomic_load(&s->dead_bytes);
    p->lsn = JADE_LSN(atomic_load(&s->visible));
    *pin_out = (struct jade_pin){.id = p->id, .lsn = p->lsn};
    jade_mutex_unlock(&s->pin_mutex);
    jadei_engine_kick(s->engine);
    return JADE_OK;
}

static void remove_at(struct jade_shard *s, unsigned i)
{
    s->pins[i] = s->pins[--s->n_pins];
}

void jade_shard_unpin(struct jade_shard *s, const struct jade_pin *pin)
{
    jade_mutex_lock(&s->pin_mutex);
    for (unsigned i = 0; i < s->n_pins; i++) {
        if (s->pins[i].id == pin->id) {
            remove_at(s, i);
            break;
        }
    }
    jade_mutex_unlock(&s->pin_mutex);
}

bool jadei_pin_valid(struct jade_shard *s, struct jade_lsn lsn)
{
    bool valid = false;
    jade_mutex_lock(&s->pin_mutex);
    for (unsigned i = 0; i < s->n_pins && !valid; i++) {
        valid = s->pins[i].lsn.v == lsn.v;
    }
    jade_mutex_unlock(&s->pin_mutex);
    return valid;
}

void jadei_pins_expire(struct jade_shard *s, uint64_t now_us)
{
    jade_mutex_lock(&s->pin_mutex);
    uint64_t dead = atomic_load(&s->dead_bytes);
    for (unsigned i = 0; i < s->n_pins;) {
        const struct jadei_pin *p = &s->pins[i];
        if (jadei_since(now_us, p->since_us) > JADE_PIN_AGE_US_MAX ||
            dead - p->dead_bytes_at > JADE_PIN_BYTES_MAX) {
            remove_at(s, i);
        } else {
            i++;
        }
    }
    jade_mutex_unlock(&s->pin_mutex);
}

uint64_t jadei_drop_horizon(struct jade_shard *s)
{
    uint64_t horizon = atomic_load(&s->checkpoint);
    jade_mutex_lock(&s->pin_mutex);
    for (unsigned i = 0; i < s->n_pins; i++) {
        if (s->pins[i].lsn.v < horizon) {
            horizon = s->pins[i].lsn.v;
        }
    }
    jade_mutex_unlock(&s->pin_mutex);
    return horizon;
}
