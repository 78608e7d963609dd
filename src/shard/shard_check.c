/*
 * What a write must be: ids, values, metadata, no id twice. All of it is checked before anything is queued.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "shard/write_private.h"

jade_code jadei_field_error(struct jade_err *err, uint32_t i, jade_code rc)
{
    char prefix[32];
    snprintf(prefix, sizeof prefix, "vectors[%u]", i);
    jade_err_prefix_field(err, prefix);
    return rc;
}

jade_code jadei_check_id(const char *id, uint32_t len, struct jade_err *err)
{
    if (len < 1 || len > JADE_ID_BYTES_MAX) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "id",
                               "%u bytes; expected 1..%u bytes of UTF-8", len, JADE_ID_BYTES_MAX);
    }
    if (!jade_utf8_valid(id, len)) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "id", "not valid UTF-8");
    }
    return JADE_OK;
}

static jade_code check_values(const struct jade_shard_config *c, const float *v, uint32_t dim,
                              struct jade_err *err)
{
    if (dim != c->dim) {
        return jade_fail_field(err, JADE_E_DIMENSION_MISMATCH, "values",
                               "expected %u numbers, got %u", c->dim, dim);
    }
    double sum = 0;
    for (uint32_t i = 0; i < dim; i++) {
        if (!isfinite(v[i])) {
            return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "values",
                                   "element %u is not a finite float32", i);
        }
        sum += (double)v[i] * (double)v[i];
    }
    if (c->metric == JADE_METRIC_COSINE && !(sum > 0)) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "values",
                               "all zeros has no direction; the metric cosine needs one");
    }
    return JADE_OK;
}

static jade_code check_metadata(const struct jade_shard_config *c, struct jade_json_parser *parser,
                                const struct jade_row *row, struct jade_err *err)
{
    struct jade_json doc;
    if (row->metadata_len == 0) {
        return JADE_OK;
    }
    if (row->metadata_len > c->metadata_bytes_max) {
        return jade_fail_field(err, JADE_E_TOO_LARGE, "metadata", "%u bytes; at most %u",
                               row->metadata_len, c->metadata_bytes_max);
    }
    jade_code rc = jade_json_parse(parser, row->metadata, row->metadata_len, &doc, err);
    if (rc != JADE_OK) {
        jade_err_prefix_field(err, "metadata");
        return rc;
    }
    if (jade_json_type(doc) != JADE_JSON_OBJECT) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "metadata", "%s; expected an object",
                               jade_json_type_name(jade_json_type(doc)));
    }
    return jade_json_check_keys(doc, "metadata", err);
}

/* Set of 64-bit hashes, 0 = free (a hash of 0 is stored as 1: only costs an early group end). True when it was there. */
bool jadei_hash_set_add(uint64_t *slots, uint32_t n_slots, uint64_t hash)
{
    hash = hash ? hash : 1;
    uint32_t at = (uint32_t)(hash >> 16) & (n_slots - 1);
    while (slots[at] != 0) {
        if (slots[at] == hash) {
            return true;
        }
        at = (at + 1) & (n_slots - 1);
    }
    slots[at] = hash;
    return false;
}

static jade_code find_equal(const struct jade_row *rows, const uint64_t *hashes, uint32_t i,
                            struct jade_err *err)
{
    for (uint32_t j = 0; j < i; j++) {
        if (hashes[j] == hashes[i] && rows[j].id_len == rows[i].id_len &&
            memcmp(rows[j].id, rows[i].id, rows[i].id_len) == 0) {
            return jade_fail_field(err, JADE_E_DUPLICATE_ID, "id",
                                   "'%.*s' is also vectors[%u] of this batch", (int)rows[i].id_len,
                                   rows[i].id, j);
        }
    }
    return JADE_OK; /* two ids with one hash */
}

jade_code jadei_check_unique(const struct jade_row *rows, const uint64_t *hashes, uint32_t n,
                             struct jade_err *err)
{
    jade_code rc = JADE_OK;
    if (n < 2) {
        return JADE_OK;
    }
    uint32_t n_slots = jadei_id_slots_for(n);
    uint64_t *slots = jade_calloc(JADE_TAG_REQUEST, n_slots, sizeof *slots);
    if (!slots) {
        return jade_fail(err, JADE_E_NOMEM, "checking a batch of %u rows", n);
    }
    for (uint32_t i = 0; i < n && rc == JADE_OK; i++) {
        if (jadei_hash_set_add(slots, n_slots, hashes[i]) &&
            (rc = find_equal(rows, hashes, i, err)) != JADE_OK) {
            rc = jadei_field_error(err, i, rc);
        }
    }
    jade_free(slots);
    return rc;
}

jade_code jadei_check_rows(struct jade_shard *s, const struct jade_row *rows, uint32_t n,
                           struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_json_parser *parser = NULL;
    if (n < 1 || n > JADE_BATCH_ROWS_MAX) {
        return jade_fail_field(err, n ? JADE_E_TOO_LARGE : JADE_E_INVALID_ARGUMENT, "vectors",
                               "%u rows; expected 1..%u", n, JADE_BATCH_ROWS_MAX);
    }
    JADE_TRY(jadei_metadata_parser_take(s->engine, &parser, err));
    for (uint32_t i = 0; i < n; i++) {
        if ((rc = jadei_check_id(rows[i].id, rows[i].id_len, err)) != JADE_OK ||
            (rc = check_values(&s->config, rows[i].values, rows[i].dim, err)) != JADE_OK ||
            (rc = check_metadata(&s->config, parser, &rows[i], err)) != JADE_OK) {
            rc = jadei_field_error(err, i, rc);
            goto out;
        }
    }
out:
    jadei_metadata_parser_give(s->engine, parser);
    return rc;
}
