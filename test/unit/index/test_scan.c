/* Exact scans and the flat index against float64 brute force. */
#include "unit/index/support.h"

enum { K = 10 };
static const uint32_t DIMS[] = {1, 2, 3, 17, 128, 784};
enum { N_DIMS = sizeof DIMS / sizeof DIMS[0] };

static struct jade_topk scan(const struct dataset *d, const float *query, uint32_t k,
                             const struct jade_row_filter *f)
{
    struct jade_err err = {0};
    struct jade_topk top;
    struct jade_query_vector q;
    struct jade_search_stats stats = {0};
    check_ok(jade_topk_init(&top, k, INFINITY, &err), &err);
    check_ok(jade_query_vector_init(&q, query, d->rows.dim, d->rows.metric, &err), &err);
    check_ok(jade_scan_rows(&d->rows, &q, 0, d->n, f, &top, &stats, &err), &err);
    assert_true(stats.distances <= d->n && stats.distances >= top.n);
    jade_topk_sort(&top);
    check_answer_form(&top, f);
    jade_query_vector_release(&q);
    return top;
}

/* Small integers have exact sums, so ids must match even where distances tie. */
static void ids_equal_float64_brute_force_with_ties_by_row(void **state)
{
    (void)state;
    printf("seed %llu\n", (unsigned long long)SEED);
    for (int metric = JADE_METRIC_EUCLIDEAN; metric <= JADE_METRIC_DOT; metric++) {
        for (size_t i = 0; i < N_DIMS; i++) {
            struct dataset d =
                dataset_make(1000, DIMS[i], (enum jade_metric)metric, SHAPE_SMALL_INTEGERS, 10);
            struct jade_row_filter f = filter_all(d.n);
            for (uint32_t q = 0; q < d.n_queries; q++) {
                uint32_t n;
                const float *query = d.queries + (size_t)q * d.rows.dim;
                struct exact *truth = exact_answer(&d, query, &f, &n);
                struct jade_topk top = scan(&d, query, K, &f);
                assert_int_equal(top.n, K);
                for (uint32_t j = 0; j < K; j++) {
                    assert_int_equal(top.items[j].row, truth[j].row);
                    assert_true((double)top.items[j].distance == truth[j].distance);
                }
                jade_topk_release(&top);
                free(truth);
            }
            dataset_free(&d);
        }
    }
}

/* On real-valued data rows may swap where they are closer than rounding; the distances may not. */
static void distances_are_within_1e5_of_float64(void **state)
{
    (void)state;
    for (int metric = 0; metric < 3; metric++) {
        for (size_t i = 0; i < N_DIMS; i++) {
            struct dataset d =
                dataset_make(700, DIMS[i], (enum jade_metric)metric, SHAPE_UNIFORM, 10);
            struct jade_row_filter f = filter_all(d.n);
            for (uint32_t q = 0; q < d.n_queries; q++) {
                uint32_t n;
                const float *query = d.queries + (size_t)q * d.rows.dim;
                struct exact *truth = exact_answer(&d, query, &f, &n);
                struct jade_topk top = scan(&d, query, K, &f);
                for (uint32_t j = 0; j < K; j++) {
                    /* relative to the score's scale: 1 for a cosine, sums of `dim` products else */
                    double scale = metric == JADE_METRIC_COSINE ? 1 : (double)d.rows.dim;
                    double own = exact_distance(&d, query, top.items[j].row);
                    assert_true(fabs((double)top.items[j].distance - own) <=
                                1e-5 * (fabs(own) < scale ? scale : fabs(own)));
                    assert_true(fabs(own - truth[j].distance) <= 2e-6 * scale);
                }
                jade_topk_release(&top);
                free(truth);
            }
            dataset_free(&d);
        }
    }
}

static void zero_vectors_are_at_cosine_distance_one(void **state)
{
    (void)state;
    struct dataset d = dataset_make(5, 3, JADE_METRIC_COSINE, SHAPE_UNIFORM, 1);
    struct jade_row_filter f = filter_all(d.n);
    memset(dataset_row_mutable(&d, 2), 0, 3 * sizeof(float));
    dataset_norms(&d);
    struct jade_topk top = scan(&d, d.queries, 5, &f);
    for (uint32_t i = 0; i < top.n; i++) {
        if (top.items[i].row == 2) {
            assert_true(top.items[i].distance == 1);
        }
    }
    assert_int_equal(top.n, 5);
    jade_topk_release(&top);
    const float zero[3] = {0, 0, 0};
    top = scan(&d, zero, 5, &f);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(top.items[i].row, i);
        assert_true(top.items[i].distance == 1);
    }
    jade_topk_release(&top);
    dataset_free(&d);
}

static void bitmaps_lists_and_ranges_give_the_same_rows(void **state)
{
    (void)state;
    struct dataset d = dataset_make(3001, 5, JADE_METRIC_EUCLIDEAN, SHAPE_UNIFORM, 1);
    uint64_t bits[(3001 + 63) / 64];
    uint32_t list[3001];
    struct jade_random r;
    jade_random_init(&r, SEED);
    for (int part = 0; part <= 100; part += 10) {
        uint64_t n = 0;
        memset(bits, 0, sizeof bits);
        for (uint32_t row = 0; row < d.n; row++) {
            if (jade_random_below(&r, 100) < (uint64_t)part) {
                bits[row >> 6] |= 1ull << (row & 63);
                list[n++] = row;
            }
        }
        /* bits past n_bits and rows past n_rows do not count */
        struct jade_row_filter f = {.bits = bits, .n_bits = 2990, .n_rows = 2950};
        struct jade_topk by_bits = scan(&d, d.queries, 3001, &f), by_list;
        uint32_t allowed;
        struct exact *truth = exact_answer(&d, d.queries, &f, &allowed);
        free(truth);
        assert_int_equal(by_bits.n, allowed);
        struct jade_err err = {0};
        struct jade_query_vector q;
        check_ok(jade_topk_init(&by_list, 3001, INFINITY, &err), &err);
        check_ok(jade_query_vector_init(&q, d.queries, 5, JADE_METRIC_EUCLIDEAN, &err), &err);
        check_ok(jade_scan_list(&d.rows, &q, list, n, &f, &by_list, NULL, &err), &err);
        jade_topk_sort(&by_list);
        assert_int_equal(by_list.n, by_bits.n);
        assert_memory_equal(by_list.items, by_bits.items, by_bits.n * sizeof *by_bits.items);
        for (uint32_t i = 0; i < by_bits.n; i++) { /* the one-row form has the same bits */
            assert_true(jade_row_distance(&d.rows, &q, by_bits.items[i].row) ==
                        by_bits.items[i].distance);
        }
        jade_query_vector_release(&q);
        jade_topk_release(&by_bits);
        jade_topk_release(&by_list);
    }
    dataset_free(&d);
}

static void rows_in_memory_need_no_check(void **state)
{
    (void)state;
    struct dataset d = dataset_make(3, 4, JADE_METRIC_DOT, SHAPE_UNIFORM, 1);
    assert_int_equal(jade_rows_check(&d.rows, 0, 3, NULL), JADE_OK);
    dataset_free(&d);
}

static void short_memory_for_a_query_is_an_error(void **state)
{
    (void)state;
    const float v[4] = {1, 2, 3, 4};
    struct jade_query_vector q;
    jade_alloc_fail_at(1);
    assert_int_equal(jade_query_vector_init(&q, v, 4, JADE_METRIC_DOT, NULL), JADE_E_NOMEM);
    jade_alloc_fail_at(0);
    jade_query_vector_release(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_equal_float64_brute_force_with_ties_by_row),
        cmocka_unit_test(distances_are_within_1e5_of_float64),
        cmocka_unit_test(zero_vectors_are_at_cosine_distance_one),
        cmocka_unit_test(bitmaps_lists_and_ranges_give_the_same_rows),
        cmocka_unit_test(rows_in_memory_need_no_check),
        cmocka_unit_test(short_memory_for_a_query_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
