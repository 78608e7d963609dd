/* The flat index, and both kinds at every level of the kernels. */
#include <sys/wait.h>
#include <unistd.h>

#include "unit/index/support.h"

enum { K = 10 };

static struct jade_index_params flat_params(void)
{
    struct jade_index_params p = jade_index_params_default();
    p.kind = JADE_INDEX_FLAT;
    return p;
}

static void flat_answers_are_exact(void **state)
{
    (void)state;
    struct jade_index_params p = flat_params();
    for (int metric = 0; metric < 3; metric++) {
        struct dataset d = dataset_make(2000, 24, (enum jade_metric)metric, SHAPE_CLUSTERED, 20);
        struct jade_index *ix = index_build(&p, &d);
        struct jade_row_filter f = filter_all(d.n);
        check_verified(ix);
        assert_string_equal(ix->ops->name, "flat");
        assert_true(recall_of(ix, &d, K, 0, &f) >=
                    0.999); /* rounding may swap two rows at the end of the ten */
        assert_true(jade_index_memory_bytes(ix) > 0);
        jade_index_free(ix);
        dataset_free(&d);
    }
}

static void flat_finds_added_rows_only(void **state)
{
    (void)state;
    struct jade_index_params p = flat_params();
    struct dataset d = dataset_make(100, 4, JADE_METRIC_EUCLIDEAN, SHAPE_UNIFORM, 1);
    struct jade_index *ix = index_make(&p, &d);
    struct jade_row_filter f = filter_all(d.n);
    struct jade_topk top;
    for (uint32_t n = 0; n <= 50; n += 50) {
        for (uint32_t row = 0; row < n; row++) {
            assert_int_equal(jade_index_add(ix, n - 1 - row, NULL), JADE_OK);
        }
        assert_int_equal(jade_topk_init(&top, 100, INFINITY, NULL), JADE_OK);
        search_into(ix, &d, d.queries, 0, &f, &top);
        assert_int_equal(top.n, n);
        jade_topk_release(&top);
    }
    jade_index_free(ix);
    dataset_free(&d);
}

/* In a child, where JADE_SIMD has been set and no kernel has run: 0 when the level serves both kinds well. */
static int run_level(const char *name)
{
    enum jade_index_kind kinds[] = {JADE_INDEX_FLAT, JADE_INDEX_HNSW};
    if (jade_simd_init(NULL) != JADE_OK || strcmp(jade_simd()->name, name) != 0) {
        return 1;
    }
    for (int i = 0; i < 2; i++) {
        for (int metric = 0; metric < 3; metric++) {
            struct jade_index_params p = jade_index_params_default();
            p.kind = kinds[i];
            struct dataset d =
                dataset_make(1500 / SLOWER, 50, (enum jade_metric)metric, SHAPE_CLUSTERED, 20);
            struct jade_index *ix = index_build(&p, &d);
            struct jade_row_filter f = filter_all(d.n);
            check_verified(ix);
            if (recall_of(ix, &d, K, 200, &f) < 0.99) {
                return 2;
            }
            jade_index_free(ix);
            dataset_free(&d);
        }
    }
    return 0;
}

static void every_kernel_level_serves_both_kinds(void **state)
{
    (void)state;
    static const char *const names[JADE_SIMD_LEVEL_COUNT] = {"scalar", "avx2", "avx512"};
    int ran = 0;
    for (int level = 0; level < JADE_SIMD_LEVEL_COUNT; level++) {
        if (!jade_simd_level((enum jade_simd_level)level)) {
            printf("%s: not on this machine\n", names[level]);
            continue;
        }
        fflush(NULL);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            _exit(setenv("JADE_SIMD", names[level], 1) != 0 ? 3 : run_level(names[level]));
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        ran++;
    }
    assert_true(ran >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            every_kernel_level_serves_both_kinds), /* first: before any kernel was chosen */
        cmocka_unit_test(flat_answers_are_exact),
        cmocka_unit_test(flat_finds_added_rows_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
