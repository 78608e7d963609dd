/*
 * The shard of test/golden/v1/shard: what was written into it, for its writer and its reader. Three segments' worth of life: rows 0..39, an
 * upsert of the even ones, a delete of every fifth, a checkpoint (a sealed segment with graph, metadata index and tombstones), then more
 * upserts and deletes that only the log has.
 */
#ifndef JADE_TEST_GOLDEN_SHARD_V1_H
#define JADE_TEST_GOLDEN_SHARD_V1_H

#include "support/shard_model.h"

enum { GOLDEN_SHARD_DIM = 6, GOLDEN_SHARD_IDS = 48 };

static inline struct jade_shard_config golden_shard_config(void)
{
    struct jade_shard_config c = jade_shard_config_default(GOLDEN_SHARD_DIM, JADE_METRIC_COSINE);
    c.graph_rows_min = 8;
    c.index.m = 4;
    c.index.ef_construction = 16;
    return c;
}

/** Before and after the checkpoint; `write` gets each batch, `drop` each id to delete; both NULL: the model alone. */
static inline void golden_shard_life(struct model *m, int part,
                                     void (*write)(void *ctx, const struct model_batch *b),
                                     void (*drop)(void *ctx, uint32_t id), void *ctx)
{
    static const struct {
        uint32_t first, last, step;
    } upserts[2][2] = {{{0, 40, 1}, {0, 40, 2}}, {{1, 30, 3}, {40, 48, 1}}};
    for (int u = 0; u < 2; u++) {
        struct model_batch b;
        model_batch_begin(m, &b);
        for (uint32_t i = upserts[part][u].first; i < upserts[part][u].last;
             i += upserts[part][u].step) {
            (void)model_batch_add(m, &b, i);
        }
        if (write) {
            write(ctx, &b);
        }
        model_apply(m, &b);
    }
    for (uint32_t i = part == 0 ? 0 : 3; i < GOLDEN_SHARD_IDS; i += part == 0 ? 5 : 7) {
        if (drop && m->rows[i].alive) {
            drop(ctx, i);
        }
        m->rows[i].alive = false;
    }
}

#endif
