/*
 * A whole shard of format version 1 (test/golden/v1/shard: superblock, manifest, sealed segment with graph, tombstones, log) is read for ever.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden/golden_shard_v1.h"
#include "support/temp_folder.h"

enum { FILE_MAX = 4 << 20, DEPTH_MAX = 4 };

struct copy {
    const char *from, *to;
    unsigned depth;
};

static jade_code copy_entry(void *ctx, const char *name, bool is_dir, struct jade_err *err);

/* Opening changes the folder (a boot is counted), so it works on a copy. The depth is that of a shard's folder. */
static jade_code copy_folder(const char *from, const char *to, unsigned depth, struct jade_err *err)
{
    struct copy c = {.from = from, .to = to, .depth = depth};
    assert_true(depth < DEPTH_MAX);
    jade_code rc = jade_os_mkdirs(jade_os_posix(), to, err);
    return rc == JADE_OK ? jade_os_list(jade_os_posix(), from, copy_entry, &c, err) : rc;
}

static jade_code copy_entry(void *ctx, const char *name, bool is_dir, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const struct copy *c = ctx;
    char from[JADE_PATH_MAX];
    char to[JADE_PATH_MAX];
    uint8_t *data = NULL;
    size_t n = 0;
    JADE_TRY(jade_path_join(from, c->from, name, err));
    JADE_TRY(jade_path_join(to, c->to, name, err));
    if (is_dir) {
        return copy_folder(from, to, c->depth + 1, err);
    }
    JADE_TRY(jade_os_read_file(jade_os_posix(), from, FILE_MAX, &data, &n, err));
    JADE_TRY(jade_os_replace(jade_os_posix(), to, data, n, err));
out:
    jade_free(data);
    return rc;
}

static void check(jade_code rc, const struct jade_err *err)
{
    if (rc != JADE_OK) {
        print_error("%s: %s\n", jade_code_name(rc), err->message);
    }
    assert_int_equal(rc, JADE_OK);
}

static void shard_of_version_1_holds_what_was_written(void **state)
{
    (void)state;
    struct jade_err err = {0};
    struct jade_engine *engine;
    struct jade_shard *shard;
    struct jade_shard_open_info info;
    char folder[JADE_PATH_MAX];
    struct jade_engine_opts opts = {.os = jade_os_posix(), .manual = true};
    struct jade_shard_config config = golden_shard_config();
    struct model m = {.dim = GOLDEN_SHARD_DIM, .n_ids = GOLDEN_SHARD_IDS};
    temp_folder_make(folder);
    check(copy_folder(JADE_TEST_DIR "/golden/v1/shard", folder, 0, &err), &err);
    golden_shard_life(&m, 0, NULL, NULL, NULL);
    golden_shard_life(&m, 1, NULL, NULL, NULL);
    check(jade_engine_new(&opts, &engine, &err), &err);
    check(jade_shard_open(engine, folder, &config, &shard, &info, &err), &err);
    assert_true(info.clean);
    assert_true(info.replayed_records > 0); /* what came after the checkpoint */
    check(jade_shard_verify(shard, &err), &err);
    assert_true(model_check(&m, shard, JADE_LSN_NONE));
    struct jade_shard_stats st;
    jade_shard_stats(shard, &st);
    assert_int_equal(st.n_sealed, 1);
    assert_true(st.n_dead > 0);
    check(jade_shard_rebuild(shard, NULL, NULL, NULL, &err), &err); /* and it can be carried on */
    assert_true(model_check(&m, shard, JADE_LSN_NONE));
    check(jade_shard_close(shard, &err), &err);
    jade_engine_free(engine);
    temp_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shard_of_version_1_holds_what_was_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
