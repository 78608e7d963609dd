/*
 * Writes the golden shard of a format version: make_golden_shard FOLDER (which must not exist). Never run by a test.
 */
#include <stdlib.h>

#include "golden_shard_v1.h"

static void must(jade_code rc, const struct jade_err *err)
{
    if (rc != JADE_OK) {
        fprintf(stderr, "%s: %s\n", jade_code_name(rc), err->message);
        exit(1);
    }
}

static void write_batch(void *ctx, const struct model_batch *b)
{
    struct jade_err err = {0};
    struct jade_write_result result;
    must(jade_shard_upsert(ctx, b->rows, b->n, NULL, &result, NULL, &err), &err);
}

static void drop(void *ctx, uint32_t i)
{
    struct jade_err err = {0};
    struct jade_write_result result;
    char id[32];
    const char *list = id;
    model_id(i, id);
    uint32_t len = (uint32_t)strlen(id);
    must(jade_shard_delete(ctx, &list, &len, 1, NULL, &result, &err), &err);
}

int main(int argc, char **argv)
{
    struct jade_err err = {0};
    struct jade_engine *engine;
    struct jade_shard *shard;
    struct jade_engine_opts opts = {.os = jade_os_posix(), .manual = true};
    struct jade_shard_config config = golden_shard_config();
    struct model m = {.dim = GOLDEN_SHARD_DIM, .n_ids = GOLDEN_SHARD_IDS};
    if (argc != 2) {
        fprintf(stderr, "usage: make_golden_shard FOLDER\n");
        return 2;
    }
    must(jade_engine_new(&opts, &engine, &err), &err);
    must(jade_shard_create(engine, argv[1], &config, &err), &err);
    must(jade_shard_open(engine, argv[1], &config, &shard, NULL, &err), &err);
    golden_shard_life(&m, 0, write_batch, drop, shard);
    must(jade_shard_checkpoint(shard, &err), &err);
    golden_shard_life(&m, 1, write_batch, drop, shard);
    must(jade_shard_close(shard, &err), &err);
    jade_engine_free(engine);
    return 0;
}
