/*
 * A plain model of what a shard should hold, and helpers to write to both and to compare: the oracle of the shard's tests and of the
 * crash sweep. Values of an id's version are derived from (id, version), so that a mixture of two versions is always seen.
 */
#ifndef JADE_TEST_SHARD_MODEL_H
#define JADE_TEST_SHARD_MODEL_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "shard/shard.h"

enum { MODEL_IDS = 512, MODEL_DIM_MAX = 32 };

struct model_row {
    bool alive;
    uint64_t version; /* as the shard counts it */
    uint64_t stamp;   /* which write made it: values and metadata follow from it */
};
struct model {
    uint32_t dim;
    uint32_t n_ids;
    struct model_row rows[MODEL_IDS];
    uint64_t stamp;
};

static inline void model_id(uint32_t i, char out[32])
{
    snprintf(out, 32, "id-%05u", i);
}

static inline void model_values(uint32_t i, uint64_t stamp, uint32_t dim, float *out)
{
    struct jade_random r;
    jade_random_init(&r, (uint64_t)i * 1000003u + stamp);
    for (uint32_t d = 0; d < dim; d++) {
        out[d] = (float)jade_random_normal(&r);
    }
}

static inline int model_metadata(uint32_t i, uint64_t stamp, char out[128])
{
    return snprintf(out, 128, "{\"i\":%u,\"stamp\":%llu,\"even\":%s,\"group\":\"g%u\"}", i,
                    (unsigned long long)stamp, i % 2 == 0 ? "true" : "false", i % 7);
}

struct model_batch {
    struct jade_row rows[64];
    uint32_t index[64];
    char ids[64][32], meta[64][128];
    float values[64][MODEL_DIM_MAX];
    uint32_t n;
    uint64_t stamp;
};

static inline void model_batch_begin(struct model *m, struct model_batch *b)
{
    b->n = 0;
    b->stamp = ++m->stamp;
}

/** Adds row i to the batch; false when it is in it already or the batch is full. */
static inline bool model_batch_add(const struct model *m, struct model_batch *b, uint32_t i)
{
    for (uint32_t j = 0; j < b->n; j++) {
        if (b->index[j] == i) {
            return false;
        }
    }
    if (b->n == 64) {
        return false;
    }
    uint32_t k = b->n++;
    b->index[k] = i;
    model_id(i, b->ids[k]);
    model_values(i, b->stamp, m->dim, b->values[k]);
    int n = model_metadata(i, b->stamp, b->meta[k]);
    b->rows[k] = (struct jade_row){.id = b->ids[k],
                                   .id_len = (uint32_t)strlen(b->ids[k]),
                                   .values = b->values[k],
                                   .dim = m->dim,
                                   .metadata = b->meta[k],
                                   .metadata_len = (uint32_t)n};
    return true;
}

/** What the shard holds after the batch was acknowledged. */
static inline void model_apply(struct model *m, const struct model_batch *b)
{
    for (uint32_t k = 0; k < b->n; k++) {
        struct model_row *r = &m->rows[b->index[k]];
        r->version = r->alive ? r->version + 1 : 1;
        r->alive = true;
        r->stamp = b->stamp;
    }
}

/** True when the shard's answer for id i at `at` is what the model says; else `why` tells the difference. */
static inline bool model_row_holds(const struct model *m, struct jade_shard *s, uint32_t i,
                                   struct jade_lsn at, char *why, size_t size)
{
    struct jade_err err = {0};
    struct jade_arena arena;
    struct jade_record rec;
    char id[32];
    char meta[128];
    float values[MODEL_DIM_MAX];
    const struct model_row *r = &m->rows[i];
    bool ok = false;
    jade_arena_init(&arena, JADE_TAG_TEST);
    model_id(i, id);
    jade_code rc = jade_shard_get(s, id, (uint32_t)strlen(id),
                                  JADE_WITH_VALUES | JADE_WITH_METADATA, at, &arena, &rec, &err);
    if (!r->alive) {
        ok = rc == JADE_E_NOT_FOUND;
    } else if (rc == JADE_OK) {
        model_values(i, r->stamp, m->dim, values);
        int n = model_metadata(i, r->stamp, meta);
        ok = rec.version == r->version && memcmp(rec.values, values, m->dim * sizeof(float)) == 0 &&
             rec.metadata_len == (uint32_t)n && memcmp(rec.metadata, meta, (size_t)n) == 0;
    }
    if (!ok) {
        snprintf(
            why, size,
            "%s: shard answers %s (%.120s) version %llu %.40s; model says alive %d version %llu stamp %llu",
            id, jade_code_name(rc), err.message,
            rc == JADE_OK ? (unsigned long long)rec.version : 0ull,
            rc == JADE_OK ? rec.metadata : "", r->alive, (unsigned long long)r->version,
            (unsigned long long)r->stamp);
    }
    jade_arena_release(&arena);
    return ok;
}

/** All rows and the count; prints what differs. */
static inline bool model_check(const struct model *m, struct jade_shard *s, struct jade_lsn at)
{
    bool ok = true;
    uint64_t alive = 0;
    uint64_t count = 0;
    for (uint32_t i = 0; i < m->n_ids; i++) {
        char why[512];
        if (!model_row_holds(m, s, i, at, why, sizeof why)) {
            fprintf(stderr, "%s\n", why);
            ok = false;
        }
        alive += m->rows[i].alive;
    }
    if (jade_shard_count(s, NULL, at, &count, NULL) != JADE_OK || count != alive) {
        fprintf(stderr, "count: shard says %llu, model %llu\n", (unsigned long long)count,
                (unsigned long long)alive);
        ok = false;
    }
    return ok;
}

#endif
