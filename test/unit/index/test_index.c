/* The factory: words, parameters, short memory. */
#include "base/limits.h"
#include "unit/index/support.h"

static jade_code parse(const char *word, enum jade_index_kind *kind, struct jade_err *err)
{
    return jade_index_kind_parse(word, strlen(word), kind, err);
}

static void kinds_are_parsed_in_any_case(void **state)
{
    (void)state;
    enum jade_index_kind kind;
    struct jade_err err = {0};
    assert_int_equal(parse("hnsw", &kind, &err), JADE_OK);
    assert_int_equal(kind, JADE_INDEX_HNSW);
    assert_int_equal(parse("HNSW", &kind, &err), JADE_OK);
    assert_int_equal(kind, JADE_INDEX_HNSW);
    assert_int_equal(parse("Flat", &kind, &err), JADE_OK);
    assert_int_equal(kind, JADE_INDEX_FLAT);
    assert_string_equal(jade_index_kind_name(JADE_INDEX_FLAT), "flat");
    assert_string_equal(jade_index_kind_name(JADE_INDEX_HNSW), "hnsw");
}

static void kinds_of_later_are_told_from_unknown_ones(void **state)
{
    (void)state;
    enum jade_index_kind kind;
    struct jade_err err = {0};
    assert_int_equal(parse("IVF", &kind, &err), JADE_E_NOT_SUPPORTED_YET);
    assert_string_equal(err.field, "type");
    assert_int_equal(parse("lsh", &kind, &err), JADE_E_NOT_SUPPORTED_YET);
    assert_int_equal(parse("hnsw2", &kind, &err), JADE_E_INVALID_ARGUMENT);
    assert_int_equal(parse("hns", &kind, &err), JADE_E_INVALID_ARGUMENT);
    assert_int_equal(parse("", &kind, &err), JADE_E_INVALID_ARGUMENT);
    assert_int_equal(jade_index_kind_parse("flatter", 4, &kind, &err), JADE_OK);
}

static void parameters_out_of_range_are_refused_by_name(void **state)
{
    (void)state;
    struct jade_err err = {0};
    struct jade_index_params p = jade_index_params_default();
    check_ok(jade_index_params_check(&p, &err), &err);
    assert_int_equal(p.m, 16);
    assert_int_equal(p.ef_construction, 200);
    assert_int_equal(p.ef_search, 64);
    uint32_t *fields[] = {&p.m, &p.ef_construction, &p.ef_search};
    const char *names[] = {"M", "efConstruction", "efSearch"};
    const uint32_t low[] = {JADE_M_MIN, 1, 1},
                   high[] = {JADE_M_MAX, JADE_EF_CONSTRUCTION_MAX, JADE_EF_MAX};
    for (int i = 0; i < 3; i++) {
        uint32_t kept = *fields[i];
        *fields[i] = low[i] - 1;
        assert_int_equal(jade_index_params_check(&p, &err), JADE_E_INVALID_ARGUMENT);
        assert_string_equal(err.field, names[i]);
        *fields[i] = high[i] + 1;
        assert_int_equal(jade_index_params_check(&p, &err), JADE_E_INVALID_ARGUMENT);
        *fields[i] = high[i];
        assert_int_equal(jade_index_params_check(&p, &err), JADE_OK);
        *fields[i] = kept;
    }
    p.kind = (enum jade_index_kind)7;
    assert_int_equal(jade_index_params_check(&p, &err), JADE_E_INVALID_ARGUMENT);
}

static void new_refuses_what_cannot_be(void **state)
{
    (void)state;
    struct jade_err err = {0};
    struct jade_index *ix;
    struct jade_index_params p = jade_index_params_default();
    struct dataset d = dataset_make(1, 4, JADE_METRIC_DOT, SHAPE_UNIFORM, 0);
    assert_int_equal(jade_index_new(&p, &d.rows, 0, &ix, &err), JADE_E_INVALID_ARGUMENT);
    assert_null(ix);
    assert_int_equal(jade_index_new(&p, &d.rows, JADE_SEGMENT_ROWS_MAX + 1, &ix, &err),
                     JADE_E_INVALID_ARGUMENT);
    p.m = 1;
    assert_int_equal(jade_index_new(&p, &d.rows, 1, &ix, &err), JADE_E_INVALID_ARGUMENT);
    assert_null(ix);
    jade_index_free(NULL);
    dataset_free(&d);
}

/* One life of an index; the code of the first step that failed. What was refused can be asked for again. */
static jade_code live(const struct dataset *d, enum jade_index_kind kind)
{
    jade_code rc = JADE_OK;
    struct jade_index_params p = jade_index_params_default();
    struct jade_index *ix = NULL;
    struct jade_topk top = {0};
    struct jade_query_vector q = {0};
    struct jade_row_filter f = filter_all(d->n);
    struct jade_search_opts opts = {.ef = 50, .filter = &f};
    p.kind = kind;
    p.m = 4;
    JADE_TRY(jade_index_new(&p, &d->rows, d->n, &ix, NULL));
    for (uint32_t row = 0; row < d->n; row++) {
        jade_code first = jade_index_add(ix, row, NULL);
        if (first != JADE_OK) {
            JADE_TRY(jade_index_add(ix, row,
                                    NULL)); /* the failing allocation is past: the same add works */
            rc = first;
        }
    }
    if (rc != JADE_OK) { /* nothing was half added */
        assert_int_equal(jade_index_verify(ix, NULL), JADE_OK);
        goto out;
    }
    JADE_TRY(jade_topk_init(&top, 10, INFINITY, NULL));
    JADE_TRY(jade_query_vector_init(&q, d->queries, d->rows.dim, d->rows.metric, NULL));
    JADE_TRY(jade_index_search(ix, &q, &opts, &top, NULL, NULL));
    assert_int_equal(top.n, 10);
    JADE_TRY(jade_index_verify(ix, NULL));
out:
    jade_query_vector_release(&q);
    jade_topk_release(&top);
    jade_index_free(ix);
    return rc;
}

static void every_failing_allocation_is_an_error_without_leak(void **state)
{
    (void)state;
    struct dataset d = dataset_make(300, 8, JADE_METRIC_EUCLIDEAN, SHAPE_UNIFORM, 1);
    for (int kind = 0; kind < 2; kind++) {
        int64_t before = jade_alloc_bytes_total();
        uint64_t failures = 0;
        for (uint64_t n = 1;; n++) {
            jade_alloc_fail_at(n);
            jade_code rc = live(&d, (enum jade_index_kind)kind);
            jade_alloc_fail_at(0);
            assert_true(jade_alloc_bytes_total() == before);
            if (rc == JADE_OK) {
                break;
            }
            assert_int_equal(rc, JADE_E_NOMEM);
            failures++;
        }
        printf("%s: %llu allocations failed one by one\n",
               jade_index_kind_name((enum jade_index_kind)kind), (unsigned long long)failures);
        assert_true(failures >= (kind == JADE_INDEX_FLAT ? 3 : 8));
    }
    dataset_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_are_parsed_in_any_case),
        cmocka_unit_test(kinds_of_later_are_told_from_unknown_ones),
        cmocka_unit_test(parameters_out_of_range_are_refused_by_name),
        cmocka_unit_test(new_refuses_what_cannot_be),
        cmocka_unit_test(every_failing_allocation_is_an_error_without_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
