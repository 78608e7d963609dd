/* Search through the graph: recall, filters, deletes, degenerate data. */
#include "unit/index/support.h"

enum { K = 10, EF = 100 };

static struct jade_index_params params_for(uint32_t m, uint32_t ef_construction)
{
    struct jade_index_params p = jade_index_params_default();
    p.m = m;
    p.ef_construction = ef_construction;
    return p;
}

static void recall_on_clusters_is_at_least_098(void **state)
{
    (void)state;
    struct jade_index_params p = params_for(16, 200);
    struct dataset d =
        dataset_make(20000 / SLOWER, 32, JADE_METRIC_EUCLIDEAN, SHAPE_CLUSTERED, 200);
    struct jade_index *ix = index_build(&p, &d);
    struct jade_row_filter f = filter_all(d.n);
    check_verified(ix);
    double low = recall_of(ix, &d, K, K, &f), high = recall_of(ix, &d, K, EF, &f);
    printf("seed %llu, recall@10: %.4f at ef 10, %.4f at ef 100\n", (unsigned long long)SEED, low,
           high);
    assert_true(high >= 0.98);
    assert_true(high >= low && low >= 0.6);
    jade_index_free(ix);
    dataset_free(&d);
}

static void every_metric_and_dimension_is_found(void **state)
{
    (void)state;
    static const uint32_t dims[] = {1, 2, 3, 17, 128, 784};
    for (int metric = 0; metric < 3; metric++) {
        for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++) {
            struct jade_index_params p = params_for(8, 60);
            struct dataset d =
                dataset_make(1000, dims[i], (enum jade_metric)metric, SHAPE_UNIFORM, 20);
            struct jade_index *ix = index_build(&p, &d);
            struct jade_row_filter f = filter_all(d.n);
            check_verified(ix);
            double recall = recall_of(ix, &d, K, 400, &f);
            if (recall < 0.95) {
                fail_msg("metric %d, dim %u: recall %.3f", metric, dims[i], recall);
            }
            jade_index_free(ix);
            dataset_free(&d);
        }
    }
}

static void filters_of_every_selectivity_keep_recall(void **state)
{
    (void)state;
    struct jade_index_params p = params_for(16, 100);
    struct dataset d = dataset_make(10000 / SLOWER, 16, JADE_METRIC_EUCLIDEAN, SHAPE_CLUSTERED, 30);
    struct jade_index *ix = index_build(&p, &d);
    static const struct {
        double part, recall;
    } cases[] = {{1, 0.97},   {0.9, 0.97}, {0.5, 0.97}, {0.2, 0.97},
                 {0.1, 0.97}, {0.01, 0.9}, {0.001, 0.0}};
    uint64_t *bits = malloc((d.n + 63) / 64 * sizeof *bits);
    assert_non_null(bits);
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct jade_random r;
        jade_random_init(&r, SEED + c);
        memset(bits, 0, (d.n + 63) / 64 * sizeof *bits);
        for (uint32_t row = 0; row < d.n; row++) {
            if (jade_random_unit(&r) < cases[c].part) {
                bits[row >> 6] |= 1ull << (row & 63);
            }
        }
        struct jade_row_filter f = {.bits = bits, .n_bits = d.n, .n_rows = d.n};
        double recall = recall_of(ix, &d, K, EF, &f);
        printf("selectivity %5.1f %%: recall %.4f\n", cases[c].part * 100, recall);
        assert_true(recall >= cases[c].recall);
    }
    memset(bits, 0, (d.n + 63) / 64 * sizeof *bits);
    struct jade_row_filter none = {.bits = bits, .n_bits = d.n, .n_rows = d.n};
    assert_true(recall_of(ix, &d, K, EF, &none) ==
                1); /* nothing to find, nothing found, and it ends */
    free(bits);
    jade_index_free(ix);
    dataset_free(&d);
}

static void deleted_and_invisible_rows_are_hidden(void **state)
{
    (void)state;
    struct jade_index_params p = params_for(16, 100);
    struct dataset d = dataset_make(5000, 16, JADE_METRIC_COSINE, SHAPE_CLUSTERED, 30);
    struct jade_index *ix = index_build(&p, &d);
    _Atomic uint64_t *tombs = calloc(d.n, sizeof *tombs);
    uint64_t *born = malloc(d.n * sizeof *born);
    assert_true(tombs && born);
    for (uint32_t row = 0; row < d.n; row++) {
        born[row] = row + 1;
        atomic_init(&tombs[row], row % 2 == 0 ? row + 100 : 0);
    }
    struct jade_row_filter f = {.tomb_lsn = tombs, .row_lsn = born, .lsn = 4000, .n_rows = 4500};
    assert_false(jade_row_allowed(&f, 0));    /* deleted at 100 */
    assert_true(jade_row_allowed(&f, 3998));  /* deleted after the read's LSN */
    assert_false(jade_row_allowed(&f, 4001)); /* written after it */
    assert_true(recall_of(ix, &d, K, EF, &f) >= 0.97);
    free((void *)tombs);
    free(born);
    jade_index_free(ix);
    dataset_free(&d);
}

static void equal_vectors_do_not_break_the_graph(void **state)
{
    (void)state;
    struct jade_index_params p = params_for(8, 50);
    struct dataset d = dataset_make(3000, 8, JADE_METRIC_EUCLIDEAN, SHAPE_ALL_EQUAL, 2);
    struct jade_index *ix = index_build(&p, &d);
    struct jade_row_filter f = filter_all(d.n);
    struct jade_topk top;
    check_verified(ix);
    assert_int_equal(jade_topk_init(&top, K, INFINITY, NULL), JADE_OK);
    search_into(ix, &d, d.queries, EF, &f, &top);
    assert_int_equal(top.n, K);
    assert_true(top.items[K - 1].distance == 0);
    jade_topk_release(&top);
    jade_index_free(ix);
    dataset_free(&d);
}

/* A fifth of the rows are copies of one vector: they come first, last, or in between, and the others are found as before. */
static void many_copies_among_others_leave_recall_alone(void **state)
{
    (void)state;
    for (int place = 0; place < 3; place++) {
        for (int metric = 0; metric < 2; metric++) {
            struct jade_index_params p = params_for(16, 100);
            struct dataset d =
                dataset_make(10000 / SLOWER, 16, (enum jade_metric)metric, SHAPE_CLUSTERED, 100);
            for (uint32_t row = 0; row < d.n; row++) {
                bool copy = place == 0   ? row < d.n / 5
                            : place == 1 ? row >= d.n - d.n / 5
                                         : row % 5 == 0;
                if (copy) {
                    memcpy(dataset_row_mutable(&d, row), dataset_row(&d, d.n / 2),
                           16 * sizeof(float));
                }
            }
            dataset_norms(&d);
            struct jade_index *ix = index_build(&p, &d);
            struct jade_row_filter f = filter_all(d.n);
            check_verified(ix);
            double recall = recall_of(ix, &d, K, EF, &f);
            printf("copies in place %d, metric %d: recall %.4f\n", place, metric, recall);
            assert_true(recall >= 0.98);
            jade_index_free(ix);
            dataset_free(&d);
        }
    }
}

static void empty_index_answers_nothing(void **state)
{
    (void)state;
    struct jade_index_params p = jade_index_params_default();
    struct dataset d = dataset_make(0, 4, JADE_METRIC_DOT, SHAPE_UNIFORM, 1);
    struct jade_index *ix = index_make(&p, &d);
    struct jade_row_filter f = filter_all(0);
    struct jade_topk top;
    check_verified(ix);
    assert_int_equal(jade_topk_init(&top, K, INFINITY, NULL), JADE_OK);
    search_into(ix, &d, d.queries, 0, &f, &top);
    assert_int_equal(top.n, 0);
    jade_topk_release(&top);
    jade_index_free(ix);
    dataset_free(&d);
}

static void k_past_the_rows_gives_all_rows(void **state)
{
    (void)state;
    struct jade_index_params p = params_for(2, 4); /* the smallest graph there is */
    for (uint32_t n = 1; n <= 300; n = n * 3 + 1) {
        struct dataset d = dataset_make(n, 3, JADE_METRIC_EUCLIDEAN, SHAPE_UNIFORM, 5);
        struct jade_index *ix = index_build(&p, &d);
        struct jade_row_filter f = filter_all(d.n);
        check_verified(ix);
        assert_true(recall_of(ix, &d, 1000, 1, &f) == 1);
        jade_index_free(ix);
        dataset_free(&d);
    }
}

static void distances_past_all_floats_end_in_an_answer(void **state)
{
    (void)state;
    struct jade_index_params p = params_for(4, 20);
    for (int metric = 0; metric < 3; metric++) {
        struct dataset d = dataset_make(300, 64, (enum jade_metric)metric, SHAPE_UNIFORM, 3);
        for (uint32_t row = 0; row < d.n; row++) {
            for (uint32_t i = 0; i < d.rows.dim; i++) {
                dataset_row_mutable(&d, row)[i] *= 1e30f;
            }
        }
        for (uint32_t i = 0; i < d.n_queries * d.rows.dim; i++) {
            d.queries[i] *= 1e30f;
        }
        dataset_norms(&d);
        struct jade_index *ix = index_build(&p, &d);
        struct jade_row_filter f = filter_all(d.n);
        struct jade_topk top;
        check_verified(ix);
        assert_int_equal(jade_topk_init(&top, K, INFINITY, NULL), JADE_OK);
        search_into(ix, &d, d.queries, EF, &f, &top);
        assert_int_equal(top.n, K);
        jade_topk_release(&top);
        jade_index_free(ix);
        dataset_free(&d);
    }
}

static void a_threshold_and_earlier_candidates_are_kept(void **state)
{
    (void)state;
    struct jade_index_params p = params_for(8, 50);
    struct dataset d = dataset_make(500, 2, JADE_METRIC_EUCLIDEAN, SHAPE_UNIFORM, 1);
    struct jade_index *ix = index_build(&p, &d);
    struct jade_row_filter f = filter_all(d.n);
    struct jade_topk top;
    assert_int_equal(jade_topk_init(&top, 400, 0.05f, NULL), JADE_OK);
    jade_topk_push(&top, 0.0f, 100000); /* of another range of rows */
    struct jade_err err = {0};
    struct jade_query_vector q;
    struct jade_search_opts opts = {.filter = &f};
    struct jade_search_stats stats = {0};
    check_ok(jade_query_vector_init(&q, d.queries, 2, JADE_METRIC_EUCLIDEAN, &err), &err);
    check_ok(jade_index_search(ix, &q, &opts, &top, &stats, &err), &err);
    jade_topk_sort(&top);
    uint32_t n;
    struct exact *truth = exact_answer(&d, d.queries, &f, &n);
    uint32_t within = 0;
    while (within < n && truth[within].distance <= 0.05) {
        within++;
    }
    assert_true(within > 0 && within < 400);
    assert_int_equal(top.n, within + 1);
    assert_int_equal(top.items[0].row, 100000);
    assert_true(stats.distances > within && stats.expanded > 0 && stats.distances <= 2 * d.n);
    free(truth);
    jade_query_vector_release(&q);
    jade_topk_release(&top);
    jade_index_free(ix);
    dataset_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recall_on_clusters_is_at_least_098),
        cmocka_unit_test(every_metric_and_dimension_is_found),
        cmocka_unit_test(filters_of_every_selectivity_keep_recall),
        cmocka_unit_test(deleted_and_invisible_rows_are_hidden),
        cmocka_unit_test(equal_vectors_do_not_break_the_graph),
        cmocka_unit_test(many_copies_among_others_leave_recall_alone),
        cmocka_unit_test(empty_index_answers_nothing),
        cmocka_unit_test(k_past_the_rows_gives_all_rows),
        cmocka_unit_test(distances_past_all_floats_end_in_an_answer),
        cmocka_unit_test(a_threshold_and_earlier_candidates_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
