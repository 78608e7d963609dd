/*
 * Recovery: the log's records after the checkpoint, applied as their writes were.
 */
#include <string.h>

#include "shard/write_private.h"

static jade_code replay_request(struct jade_shard *s, struct jadei_request *r, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_places_arg a = {.view = atomic_load(&s->view), .r = r};
    JADE_TRY(jade_guard_run(jadei_find_places, &a, "a segment's id table", err));
    JADE_TRY(jadei_reserve_tombs(r, err));
    if (r->type == JADE_RECORD_UPSERT) {
        struct jadei_segment *g;
        JADE_TRY(jadei_ensure_growing(s, &g, err));
        jadei_growing_plan(g);
        if (!jadei_growing_fits(g, r->n, r->id_bytes, r->meta_bytes)) {
            jadei_freeze(s);
            JADE_TRY(jadei_ensure_growing(s, &g, err));
        }
        JADE_TRY(jadei_growing_reserve(g, r->n, r->id_bytes, r->meta_bytes, err));
    } else {
        for (uint32_t i = 0; i < r->n; i++) {
            r->result.n_deleted += r->places[i].seg != NULL;
        }
    }
    jadei_apply(s, r);
out:
    return rc;
}

static jade_code replay_upsert(struct jade_shard *s, struct jadei_request *r,
                               const uint8_t *payload, size_t n, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_record_reader rr;
    struct jade_row *rows = NULL;
    JADE_TRY(jade_record_upsert_open(&rr, payload, n, err));
    JADE_TRY(jadei_request_init(s, r, JADE_RECORD_UPSERT, rr.n_rows, NULL, err));
    rows = jade_calloc(JADE_TAG_REQUEST, rr.n_rows, sizeof *rows);
    if (!rows) {
        rc = jade_fail(err, JADE_E_NOMEM, "replay of %u rows", rr.n_rows);
        goto out;
    }
    bool more = true;
    for (uint32_t i = 0;; i++) {
        struct jade_row row;
        JADE_TRY(jade_record_upsert_next(&rr, &row, &more, err));
        if (!more) {
            break;
        }
        if (row.dim != s->config.dim) {
            rc =
                jade_fail(err, JADE_E_CORRUPT, "a logged row has dimension %u; the database has %u",
                          row.dim, s->config.dim);
            goto out;
        }
        rows[i] = row;
        r->hashes[i] = jadei_id_hash(row.id, row.id_len);
        r->id_bytes += row.id_len;
        r->meta_bytes += row.metadata_len;
    }
    r->rows = rows;
    JADE_TRY(replay_request(s, r, err));
out:
    jade_free(rows);
    r->rows = NULL;
    return rc;
}

static jade_code replay_delete(struct jade_shard *s, struct jadei_request *r,
                               const uint8_t *payload, size_t n, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_delete_reader dr;
    const char **ids = NULL;
    uint32_t *lens = NULL;
    JADE_TRY(jade_record_delete_open(&dr, payload, n, err));
    JADE_TRY(jadei_request_init(s, r, JADE_RECORD_DELETE, dr.n_ids, NULL, err));
    ids = jade_alloc(JADE_TAG_REQUEST, dr.n_ids * sizeof *ids);
    lens = jade_alloc(JADE_TAG_REQUEST, dr.n_ids * sizeof *lens);
    if (!ids || !lens) {
        rc = jade_fail(err, JADE_E_NOMEM, "replay of %u deletes", dr.n_ids);
        goto out;
    }
    bool more = true;
    for (uint32_t i = 0;; i++) {
        const char *id;
        uint32_t len;
        JADE_TRY(jade_record_delete_next(&dr, &id, &len, &more, err));
        if (!more) {
            break;
        }
        ids[i] = id;
        lens[i] = len;
        r->hashes[i] = jadei_id_hash(id, len);
    }
    r->ids = ids;
    r->id_lens = lens;
    JADE_TRY(replay_request(s, r, err));
out:
    jade_free(lens);
    jade_free(ids);
    return rc;
}

jade_code jadei_apply_logged(struct jade_shard *s, const struct jade_wal_header *h,
                             const uint8_t *payload, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_request r = {0};
    r.result.lsn = h->lsn;
    r.log_bytes = jade_wal_record_bytes(h->size);
    switch (h->type) {
    case JADE_RECORD_UPSERT:
        rc = replay_upsert(s, &r, payload, h->size, err);
        break;
    case JADE_RECORD_DELETE:
        rc = replay_delete(s, &r, payload, h->size, err);
        break;
    case JADE_RECORD_NOOP:
    case JADE_RECORD_EPOCH_START:
        atomic_store(&s->visible, h->lsn.v);
        break;
    default:
        rc = jade_fail(err, JADE_E_VERSION, "log record %llu is of the unknown type %u",
                       (unsigned long long)h->lsn.v, h->type);
    }
    jadei_request_release(&r);
    return rc == JADE_OK
               ? JADE_OK
               : jade_err_wrap(err, rc, "replaying record %llu", (unsigned long long)h->lsn.v);
}
