/* A planted fault of each kind is found; the sound graph passes. */
#include "index/hnsw_private.h"
#include "unit/index/support.h"

struct fixture {
    struct dataset d;
    struct jadei_hnsw *h;
};

static int setup(void **state)
{
    struct fixture *x = malloc(sizeof *x);
    struct jade_index_params p = jade_index_params_default();
    assert_non_null(x);
    p.m = 4;
    p.ef_construction = 30;
    x->d = dataset_make(500, 6, JADE_METRIC_EUCLIDEAN, SHAPE_UNIFORM, 0);
    x->h = (struct jadei_hnsw *)index_build(&p, &x->d);
    check_verified(&x->h->base);
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *x = *state;
    jade_index_free(&x->h->base);
    dataset_free(&x->d);
    free(x);
    return 0;
}

static void expect_fault(struct fixture *x, const char *part)
{
    struct jade_err err = {0};
    assert_int_equal(jade_index_verify(&x->h->base, &err), JADE_E_CORRUPT);
    if (!strstr(err.message, part)) {
        fail_msg("'%s' does not say '%s'", err.message, part);
    }
}

static const jadei_link *slot(struct fixture *x, uint32_t row, uint32_t level, uint32_t at)
{
    return &jadei_hnsw_list(x->h, row, level)[at];
}

/* First slot of the row's level-0 list that is not a tie. */
static uint32_t plain_slot(struct fixture *x, uint32_t row)
{
    uint32_t at = 0;
    while (jadei_link_load(slot(x, row, 0, at)) & JADEI_HNSW_TIE) {
        at++;
        assert_true(at < x->h->words0 && jadei_link_load(slot(x, row, 0, at)) != JADEI_HNSW_END);
    }
    return at;
}

static uint32_t row_of_level(struct fixture *x, uint32_t level)
{
    uint32_t row = 0;
    while (atomic_load(&x->h->levels[row]) != level + 1) {
        row++;
        assert_true(row < x->d.n);
    }
    return row;
}

static void a_link_past_the_rows_is_found(void **state)
{
    struct fixture *x = *state;
    jadei_link_store(slot(x, 77, 0, plain_slot(x, 77)), x->d.n);
    expect_fault(x, "row 77 has link");
}

static void a_link_to_itself_is_found(void **state)
{
    struct fixture *x = *state;
    jadei_link_store(slot(x, 77, 0, plain_slot(x, 77)), 77);
    expect_fault(x, "row 77 has link");
}

static void a_double_link_is_found(void **state)
{
    struct fixture *x = *state;
    uint32_t at = plain_slot(x, 77);
    jadei_link_store(slot(x, 77, 0, at + 1), jadei_link_load(slot(x, 77, 0, at)));
    expect_fault(x, "links twice");
}

static void a_link_after_the_end_is_found(void **state)
{
    struct fixture *x = *state;
    uint32_t row = 0;
    while (jadei_link_load(slot(x, row, 0, x->h->words0 - 2)) != JADEI_HNSW_END) {
        row++;
    }
    jadei_link_store(slot(x, row, 0, x->h->words0 - 1), row == 3 ? 4 : 3);
    expect_fault(x, "after the end");
}

static void a_tie_without_its_pair_is_found(void **state)
{
    struct fixture *x = *state;
    uint32_t parent = jadei_link_load(slot(x, 77, 0, 0));
    assert_true(parent & JADEI_HNSW_TIE);
    jadei_link_store(slot(x, 77, 0, 0), jadei_link_row(parent));
    expect_fault(x, "tie");
}

static void a_tie_behind_other_links_is_found(void **state)
{
    struct fixture *x = *state;
    uint32_t at = plain_slot(x, 77), tie = jadei_link_load(slot(x, 77, 0, at - 1));
    jadei_link_store(slot(x, 77, 0, at - 1), jadei_link_load(slot(x, 77, 0, at)));
    jadei_link_store(slot(x, 77, 0, at), tie);
    expect_fault(x, "behind other links");
}

static void a_link_above_its_row_is_found(void **state)
{
    struct fixture *x = *state;
    uint32_t high = row_of_level(x, 1), low = row_of_level(x, 0);
    jadei_link_store(slot(x, high, 1, 0), low);
    expect_fault(x, "links on level 1");
}

static void an_unknown_mark_is_found(void **state)
{
    struct fixture *x = *state;
    uint32_t at = plain_slot(x, 77);
    jadei_link_store(slot(x, 77, 0, at), jadei_link_load(slot(x, 77, 0, at)) | 1u << 30);
    expect_fault(x, "row 77 has link");
}

/* All links to one row are taken away, ties with them. */
static void an_unreachable_row_is_found(void **state)
{
    struct fixture *x = *state;
    uint32_t lost = row_of_level(x, 0);
    uint32_t entry = (uint32_t)atomic_load(&x->h->entry);
    assert_int_not_equal(lost, entry);
    for (uint32_t row = 0; row < x->d.n; row++) {
        uint32_t kept = 0, links[2 * JADE_M_MAX];
        for (uint32_t i = 0; i < x->h->words0; i++) {
            uint32_t link = jadei_link_load(slot(x, row, 0, i));
            if (link != JADEI_HNSW_END && jadei_link_row(link) != lost && row != lost) {
                links[kept++] = jadei_link_row(
                    link); /* without marks: ties of the lost row would not be paired */
            }
        }
        for (uint32_t i = 0; i < x->h->words0; i++) {
            jadei_link_store(slot(x, row, 0, i), i < kept ? links[i] : JADEI_HNSW_END);
        }
    }
    expect_fault(x, "cannot be reached");
}

static void a_row_that_was_never_added_is_found(void **state)
{
    (void)state;
    struct jade_index_params p = jade_index_params_default();
    struct dataset d = dataset_make(10, 2, JADE_METRIC_DOT, SHAPE_UNIFORM, 0);
    struct jade_index *ix = index_make(&p, &d);
    struct jade_err err = {0};
    for (uint32_t row = 0; row < d.n; row++) {
        if (row != 4) {
            check_ok(jade_index_add(ix, row, &err), &err);
        }
    }
    assert_int_equal(jade_index_verify(ix, &err), JADE_E_CORRUPT);
    check_ok(jade_index_add(ix, 4, &err), &err);
    check_verified(ix);
    jade_index_free(ix);
    dataset_free(&d);
}

static void a_wrong_entry_is_found(void **state)
{
    struct fixture *x = *state;
    atomic_store(&x->h->entry, jadei_entry_of(1, row_of_level(x, 0)));
    expect_fault(x, "entry row");
    atomic_store(&x->h->entry, jadei_entry_of(0, x->d.n));
    expect_fault(x, "no entry");
}

static void short_memory_is_an_error(void **state)
{
    struct fixture *x = *state;
    for (uint64_t n = 1; n <= 2; n++) {
        jade_alloc_fail_at(n);
        assert_int_equal(jade_index_verify(&x->h->base, NULL), JADE_E_NOMEM);
    }
    jade_alloc_fail_at(0);
    check_verified(&x->h->base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_link_past_the_rows_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(a_link_to_itself_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(a_double_link_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(a_link_after_the_end_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tie_without_its_pair_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tie_behind_other_links_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(a_link_above_its_row_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unknown_mark_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unreachable_row_is_found, setup, teardown),
        cmocka_unit_test(a_row_that_was_never_added_is_found),
        cmocka_unit_test_setup_teardown(a_wrong_entry_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(short_memory_is_an_error, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
