/*
 * Writes as callers see them: validate, encode, slow down when the index is behind, hand over to the group commit (shard_commit.c).
 */
#include <string.h>

#include "shard/write_private.h"

enum { SLOW_STEP_US = 20000, SLOW_MAX_US = 500000 };

/* ---- slowing of writers ---- */

static void slow_down(struct jade_shard *s, uint32_t n_rows)
{
    uint64_t rows;
    uint64_t bytes;
    if (s->engine->manual || atomic_load(&s->flat)) {
        return;
    }
    jadei_tail(s, &rows, &bytes);
    if (bytes <= s->config.tail_soft_bytes) {
        return;
    }
    /* At the hard bound a writer takes as long per row as the workers need to add one; below it, a growing part of that. */
    double over = (double)(bytes - s->config.tail_soft_bytes) /
                  (double)(s->config.tail_hard_bytes - s->config.tail_soft_bytes);
    over = over > 2 ? 2 : over;
    double per_row =
        (double)atomic_load(&s->index_us_per_row_x16) / 16.0 / (double)s->engine->index_tasks_max;
    uint64_t wait = (uint64_t)((double)n_rows * per_row * over);
    uint64_t start = jade_os_mono_us(s->engine->os);
    jade_mutex_lock(&s->task_mutex);
    /* One clock for all writers: with ten of them each waits for the other nine too, or the bound would move with their number. */
    uint64_t until = (s->slow_until > start ? s->slow_until : start) + wait;
    until = until < start + SLOW_MAX_US ? until : start + SLOW_MAX_US;
    s->slow_until = until;
    for (uint64_t now;
         bytes > s->config.tail_soft_bytes && (now = jade_os_mono_us(s->engine->os)) < until;) {
        uint64_t left = until - now;
        (void)jade_cond_wait_for(&s->task_cond, &s->task_mutex,
                                 left < SLOW_STEP_US ? left : SLOW_STEP_US);
        jade_mutex_unlock(&s->task_mutex);
        jadei_tail(s, &rows, &bytes);
        jade_mutex_lock(&s->task_mutex);
    }
    jade_mutex_unlock(&s->task_mutex);
}

/* ---- public ---- */

static jade_code encode_rows(struct jade_shard *s, struct jadei_request *r, struct jade_err *err)
{
    size_t bytes = 64;
    for (uint32_t i = 0; i < r->n; i++) {
        bytes += jade_record_upsert_row_bytes(&r->rows[i]);
    }
    if (bytes > JADE_WAL_RECORD_MAX) {
        return jade_fail_field(err, JADE_E_TOO_LARGE, "vectors",
                               "the batch takes %zu bytes in the log; at most %u: send it in parts",
                               bytes, JADE_WAL_RECORD_MAX);
    }
    if (!jade_buf_reserve(&r->payload, bytes)) {
        return jade_fail(err, JADE_E_NOMEM, "a batch of %zu bytes", bytes);
    }
    int64_t now = jade_os_wall_us(s->engine->os);
    jade_record_upsert_begin(&r->payload, r->n);
    for (uint32_t i = 0; i < r->n; i++) {
        struct jade_row *row = (struct jade_row *)(uintptr_t)&r
                                   ->rows[i]; /* the request's own copy, see jade_shard_upsert */
        row->time_us = row->time_us ? row->time_us : now;
        jade_record_upsert_row(&r->payload, row);
        r->id_bytes += row->id_len;
        r->meta_bytes += row->metadata_len;
    }
    return jade_buf_status(&r->payload, err);
}

jade_code jade_shard_upsert(struct jade_shard *s, const struct jade_row *rows, uint32_t n,
                            const struct jade_write_opts *opts,
                            struct jade_write_result *result_out,
                            struct jade_row_result *row_results, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_request r = {0};
    struct jade_row *own = NULL;
    *result_out = (struct jade_write_result){0};
    JADE_TRY(jadei_check_rows(s, rows, n, err));
    JADE_TRY(jadei_request_init(s, &r, JADE_RECORD_UPSERT, n, opts, err));
    own = jade_alloc(JADE_TAG_REQUEST, n * sizeof *own);
    if (!own) {
        rc = jade_fail(err, JADE_E_NOMEM, "a write of %u rows", n);
        goto out;
    }
    memcpy(own, rows, n * sizeof *own);
    for (uint32_t i = 0; i < n; i++) {
        r.hashes[i] = jadei_id_hash(rows[i].id, rows[i].id_len);
    }
    JADE_TRY(jadei_check_unique(rows, r.hashes, n, err));
    r.rows = own;
    r.row_results = row_results;
    JADE_TRY(encode_rows(s, &r, err));
    slow_down(s, n);
    JADE_TRY(jadei_submit(s, &r, err));
    atomic_fetch_add(&s->n_writes, 1);
    *result_out = r.result;
out:
    jade_free(own);
    jadei_request_release(&r);
    return rc;
}

/* A batch of deletes may name an id twice; the second naming is dropped. */
static void drop_repeats(struct jadei_request *r, const char **ids, uint32_t *lens, uint64_t *slots,
                         uint32_t n_slots)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < r->n; i++) {
        bool repeat = false;
        if (jadei_hash_set_add(slots, n_slots, r->hashes[i])) {
            for (uint32_t j = 0; j < kept && !repeat; j++) {
                repeat = r->hashes[j] == r->hashes[i] && lens[j] == lens[i] &&
                         memcmp(ids[j], ids[i], lens[i]) == 0;
            }
        }
        if (!repeat) {
            ids[kept] = ids[i];
            lens[kept] = lens[i];
            r->hashes[kept++] = r->hashes[i];
        }
    }
    r->n = kept;
}

jade_code jade_shard_delete(struct jade_shard *s, const char *const *ids, const uint32_t *id_lens,
                            uint32_t n, const struct jade_write_opts *opts,
                            struct jade_write_result *result_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_request r = {0};
    const char **own_ids = NULL;
    uint32_t *own_lens = NULL;
    uint64_t *slots = NULL;
    *result_out = (struct jade_write_result){0};
    if (n < 1 || n > JADE_BATCH_ROWS_MAX) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "ids", "%u ids; expected 1..%u", n,
                               JADE_BATCH_ROWS_MAX);
    }
    for (uint32_t i = 0; i < n; i++) {
        JADE_TRY(jadei_check_id(ids[i], id_lens[i], err));
    }
    JADE_TRY(jadei_request_init(s, &r, JADE_RECORD_DELETE, n, opts, err));
    own_ids = jade_alloc(JADE_TAG_REQUEST, n * sizeof *own_ids);
    own_lens = jade_alloc(JADE_TAG_REQUEST, n * sizeof *own_lens);
    uint32_t n_slots = jadei_id_slots_for(n);
    slots = jade_calloc(JADE_TAG_REQUEST, n_slots, sizeof *slots);
    if (!own_ids || !own_lens || !slots) {
        rc = jade_fail(err, JADE_E_NOMEM, "a delete of %u ids", n);
        goto out;
    }
    for (uint32_t i = 0; i < n; i++) {
        own_ids[i] = ids[i];
        own_lens[i] = id_lens[i];
        r.hashes[i] = jadei_id_hash(ids[i], id_lens[i]);
    }
    drop_repeats(&r, own_ids, own_lens, slots, n_slots);
    r.ids = own_ids;
    r.id_lens = own_lens;
    JADE_TRY(jadei_submit(s, &r, err));
    atomic_fetch_add(&s->n_writes, 1);
    *result_out = r.result;
out:
    jade_free(slots);
    jade_free(own_lens);
    jade_free(own_ids);
    jadei_request_release(&r);
    return rc;
}
