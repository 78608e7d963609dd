/*
 * What growing and sealed segments have in common: finding ids, reading a row, tombstones.
 *
 * In a sealed segment every touched range is verified first (jade_blockfile_check costs a bit test once a block was seen).
 */
#include "base/assert.h"
#include "base/hash.h"
#include "shard/shard_private.h"

#include <string.h>

enum { ID_HASH_SEED = 0 /* part of the segment format */ };

uint64_t jadei_id_hash(const char *id, uint32_t id_len)
{
    return jade_hash64(id, id_len, ID_HASH_SEED);
}

uint32_t jadei_id_slots_for(uint64_t n)
{
    uint64_t slots = 2;
    while (slots < 2 * n) {
        slots *= 2;
    }
    JADE_ASSERT(slots <= 1u << 31);
    return (uint32_t)slots;
}

static jade_code check(struct jade_blockfile *f, uint64_t at, uint64_t n, struct jade_err *err)
{
    return f ? jade_blockfile_check(f, at, n, err) : JADE_OK;
}

static uint32_t rows_stored(const struct jadei_segment *s)
{
    return s->sealed ? atomic_load_explicit(&s->n_rows, memory_order_relaxed) : s->c.rows_max;
}

static jade_code corrupt(const struct jadei_segment *s, const char *what, uint32_t row,
                         struct jade_err *err)
{
    return jade_fail(err, JADE_E_CORRUPT, "segment %llu: %s of row %u is out of range",
                     (unsigned long long)s->number, what, row);
}

jade_code jadei_segment_id(struct jadei_segment *s, uint32_t row, const char **id_out,
                           uint32_t *len_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    JADE_TRY(check(s->f_ids, s->ids_off_at + row * 8ull, 16, err));
    uint64_t from = s->id_off[row];
    uint64_t to = s->id_off[row + 1];
    if (to < from || to - from > JADE_ID_BYTES_MAX) {
        return corrupt(s, "id", row, err);
    }
    JADE_TRY(check(s->f_ids, s->ids_bytes_at + from, to - from, err));
    *id_out = (const char *)s->id_bytes + from;
    *len_out = (uint32_t)(to - from);
out:
    return rc;
}

jade_code jadei_segment_metadata(struct jadei_segment *s, uint32_t row, const char **json_out,
                                 size_t *len_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    JADE_TRY(check(s->f_meta, s->meta_off_at + row * 8ull, 16, err));
    uint64_t from = s->meta_off[row];
    uint64_t to = s->meta_off[row + 1];
    if (to < from || to - from > JADE_METADATA_BYTES_MAX) {
        return corrupt(s, "metadata", row, err);
    }
    JADE_TRY(check(s->f_meta, s->meta_bytes_at + from, to - from, err));
    *json_out = (const char *)s->meta_bytes + from;
    *len_out = (size_t)(to - from);
out:
    return rc;
}

static jade_code find_locked(struct jadei_segment *s, const char *id, uint32_t id_len,
                             uint64_t hash, uint32_t *row_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    if (s->n_slots == 0) {
        return JADE_OK;
    }
    uint32_t tag = (uint32_t)(hash >> 32);
    uint32_t mask = s->n_slots - 1;
    uint32_t at = tag & mask;
    for (uint32_t probes = 0; probes <= mask; probes++, at = (at + 1) & mask) {
        JADE_TRY(check(s->f_ids, s->ids_slots_at + at * 8ull, 8, err));
        uint64_t slot = s->slots[at];
        if (slot == 0) {
            return JADE_OK;
        }
        if ((uint32_t)(slot >> 32) != tag) {
            continue;
        }
        uint32_t row = (uint32_t)slot - 1;
        if (row >= rows_stored(s)) {
            return corrupt(s, "id table", row, err);
        }
        const char *other = NULL;
        uint32_t other_len = 0;
        JADE_TRY(jadei_segment_id(s, row, &other, &other_len, err));
        if (other_len == id_len && memcmp(other, id, id_len) == 0) {
            *row_out = row;
            return JADE_OK;
        }
    }
out:
    return rc;
}

jade_code jadei_segment_find(struct jadei_segment *s, const char *id, uint32_t id_len,
                             uint64_t hash, uint32_t *row_out, struct jade_err *err)
{
    *row_out = JADEI_NO_ROW;
    if (s->sealed) {
        return find_locked(s, id, id_len, hash, row_out, err);
    }
    jade_rwlock_read(&s->ids_lock);
    jade_code rc = find_locked(s, id, id_len, hash, row_out, err);
    jade_rwlock_read_end(&s->ids_lock);
    return rc;
}

jade_code jadei_segment_older(struct jadei_segment *s, uint32_t row, uint32_t *row_out,
                              struct jade_err *err)
{
    jade_code rc = JADE_OK;
    *row_out = JADEI_NO_ROW;
    JADE_TRY(check(s->f_ids, s->ids_prev_at + row * 4ull, 4, err));
    uint32_t prev = s->prev[row];
    if (prev > row) {
        return corrupt(s, "link to an older version", row,
                       err); /* older rows come first, so chains end */
    }
    *row_out = prev == 0 ? JADEI_NO_ROW : prev - 1;
out:
    return rc;
}

jade_code jadei_segment_check_row(struct jadei_segment *s, uint32_t row, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    if (s->sealed) {
        const uint8_t *data = jade_blockfile_data(s->f_rows);
        const void *columns[] = {s->lsn + row, s->version + row, s->created + row,
                                 s->updated + row};
        for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
            JADE_TRY(check(s->f_rows, (uint64_t)((const uint8_t *)columns[i] - data), 8, err));
        }
    }
out:
    return rc;
}

jade_code jadei_segment_check_lsns(struct jadei_segment *s, struct jade_err *err)
{
    if (!s->sealed) {
        return JADE_OK;
    }
    uint64_t at = (uint64_t)((const uint8_t *)s->lsn - jade_blockfile_data(s->f_rows));
    return check(s->f_rows, at, atomic_load_explicit(&s->n_rows, memory_order_relaxed) * 8ull, err);
}

uint64_t jadei_segment_tomb(const struct jadei_segment *s, uint32_t row)
{
    _Atomic uint64_t *tomb = atomic_load_explicit(&s->tomb, memory_order_acquire);
    return tomb ? atomic_load_explicit(&tomb[row], memory_order_acquire) : 0;
}

jade_code jadei_segment_tomb_reserve(struct jadei_segment *s, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    if (atomic_load_explicit(&s->tomb, memory_order_relaxed)) {
        return JADE_OK;
    }
    uint32_t n = s->sealed ? atomic_load_explicit(&s->n_rows, memory_order_relaxed)
                           : (uint32_t)(s->c.lsn.committed / sizeof(uint64_t));
    if (!s->tomb_mem.base) {
        JADE_TRY(jade_vmem_init(&s->tomb_mem, JADE_TAG_SEGMENT, (size_t)n * sizeof(uint64_t), err));
    }
    JADE_TRY(jade_vmem_grow(&s->tomb_mem, (size_t)n * sizeof(uint64_t), err));
    atomic_store_explicit(&s->tomb, (_Atomic uint64_t *)(void *)s->tomb_mem.base,
                          memory_order_release);
out:
    return rc;
}

void jadei_segment_bury(struct jadei_segment *s, uint32_t row, struct jade_lsn lsn)
{
    _Atomic uint64_t *tomb = atomic_load_explicit(&s->tomb, memory_order_relaxed);
    JADE_ASSERT(tomb != NULL);
    if (atomic_load_explicit(&tomb[row], memory_order_relaxed) == 0) {
        atomic_store_explicit(&tomb[row], lsn.v, memory_order_release);
        atomic_fetch_add_explicit(&s->n_dead, 1, memory_order_relaxed);
    }
}

jade_code jadei_segment_record(struct jadei_segment *s, uint32_t row, unsigned with,
                               struct jade_arena *arena, struct jade_record *out,
                               struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const char *id;
    *out = (struct jade_record){0};
    JADE_TRY(jadei_segment_check_row(s, row, err));
    JADE_TRY(jadei_segment_id(s, row, &id, &out->id_len, err));
    out->id = jade_arena_strndup(arena, id, out->id_len);
    if (!out->id) {
        return jade_fail(err, JADE_E_NOMEM, "a record's id");
    }
    if (with & JADE_WITH_METADATA) {
        const char *json;
        size_t n;
        JADE_TRY(jadei_segment_metadata(s, row, &json, &n, err));
        if (n > 0) {
            out->metadata = jade_arena_strndup(arena, json, n);
            out->metadata_len = (uint32_t)n;
            if (!out->metadata) {
                return jade_fail(err, JADE_E_NOMEM, "a record's metadata");
            }
        }
    }
    if (with & JADE_WITH_VALUES) {
        JADE_TRY(jade_rows_check(&s->rows, row, 1, err));
        float *values = jade_arena_alloc(arena, s->dim * sizeof(float));
        if (!values) {
            return jade_fail(err, JADE_E_NOMEM, "a record's values");
        }
        memcpy(values, s->rows.base + (size_t)row * s->rows.stride, s->dim * sizeof(float));
        out->values = values;
    }
    out->lsn = JADE_LSN(s->lsn[row]);
    out->version = s->version[row];
    out->created_us = s->created[row];
    out->updated_us = s->updated[row];
out:
    return rc;
}

uint64_t jadei_segment_memory(const struct jadei_segment *s)
{
    const struct jadei_columns *c = &s->c;
    uint64_t n = c->vectors.committed + c->norms.committed + c->lsn.committed +
                 c->version.committed + c->created.committed + c->updated.committed +
                 c->id_off.committed + c->meta_off.committed + c->id_bytes.committed +
                 c->meta_bytes.committed + c->prev.committed + s->tomb_mem.committed +
                 (c->slots ? s->n_slots * 8ull : 0);
    return n + (s->index ? jade_index_memory_bytes(s->index) : 0) +
           jade_metaindex_memory_bytes(s->metaindex);
}
