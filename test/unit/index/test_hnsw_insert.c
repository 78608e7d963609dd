/* Insertion: several threads, searches meanwhile, the same graph for the same seed, levels, ties. */
#include "index/hnsw_private.h"
#include "os/thread.h"
#include "unit/index/support.h"

enum { K = 10, THREADS = 4 };

struct crew {
    struct jade_index *ix;
    const struct dataset *d;
    _Atomic uint32_t next;  /* next place in the order of adding */
    _Atomic uint32_t added; /* adds that returned */
    _Atomic bool done;
    _Atomic uint32_t searches, wrong;
};

/* Rows are added in a mixed order: 7919 is prime to the number of rows. */
static void *add_some(void *arg)
{
    struct crew *c = arg;
    for (uint32_t i; (i = atomic_fetch_add(&c->next, 1)) < c->d->n;) {
        if (jade_index_add(c->ix, (uint32_t)((uint64_t)i * 7919 % c->d->n), NULL) != JADE_OK) {
            atomic_fetch_add(&c->wrong, 1);
        }
        atomic_fetch_add(&c->added, 1);
    }
    return NULL;
}

static bool search_once(struct crew *c, const float *query)
{
    struct jade_topk top = {0};
    struct jade_query_vector q = {0};
    struct jade_row_filter f = filter_all(c->d->n);
    struct jade_search_opts opts = {.ef = 32, .filter = &f};
    uint32_t before = atomic_load(&c->added);
    bool good =
        jade_topk_init(&top, K, INFINITY, NULL) == JADE_OK &&
        jade_query_vector_init(&q, query, c->d->rows.dim, c->d->rows.metric, NULL) == JADE_OK &&
        jade_index_search(c->ix, &q, &opts, &top, NULL, NULL) == JADE_OK;
    jade_topk_sort(&top);
    /* connected at every moment: a search finds k as soon as k rows are in */
    good = good && (before < K || top.n == K);
    for (uint32_t i = 1; good && i < top.n; i++) {
        good = top.items[i].row != top.items[i - 1].row &&
               top.items[i].distance >= top.items[i - 1].distance;
    }
    jade_query_vector_release(&q);
    jade_topk_release(&top);
    return good;
}

static void *search_meanwhile(void *arg)
{
    struct crew *c = arg;
    uint32_t i = 0;
    do {
        if (!search_once(c, c->d->queries + (size_t)(i++ % c->d->n_queries) * c->d->rows.dim)) {
            atomic_fetch_add(&c->wrong, 1);
        }
        atomic_fetch_add(&c->searches, 1);
    } while (!atomic_load(&c->done));
    return NULL;
}

static void run_crew(struct crew *c, uint32_t adders, uint32_t searchers)
{
    struct jade_err err = {0};
    struct jade_thread threads[2 * THREADS] = {0};
    for (uint32_t i = 0; i < adders + searchers; i++) {
        check_ok(jade_thread_start(&threads[i], "crew", 0, i < adders ? add_some : search_meanwhile,
                                   c, &err),
                 &err);
    }
    for (uint32_t i = 0; i < adders; i++) {
        jade_thread_join(&threads[i]);
    }
    atomic_store(&c->done, true);
    for (uint32_t i = adders; i < adders + searchers; i++) {
        jade_thread_join(&threads[i]);
    }
    assert_int_equal(atomic_load(&c->wrong), 0);
    assert_int_equal(atomic_load(&c->added), c->d->n);
}

static void many_threads_build_as_good_a_graph_as_one(void **state)
{
    (void)state;
    struct jade_index_params p = jade_index_params_default();
    p.m = 8;
    p.ef_construction = 60;
    struct dataset d = dataset_make(5000, 24, JADE_METRIC_EUCLIDEAN, SHAPE_UNIFORM, 50);
    struct jade_row_filter f = filter_all(d.n);
    struct jade_index *alone = index_build(&p, &d);
    struct crew c = {.ix = index_make(&p, &d), .d = &d};
    run_crew(&c, THREADS, 0);
    check_verified(c.ix);
    double one = recall_of(alone, &d, K, 100, &f), many = recall_of(c.ix, &d, K, 100, &f);
    printf("seed %llu, recall@10: %.4f by one thread, %.4f by %d\n", (unsigned long long)SEED, one,
           many, THREADS);
    assert_true(one > 0.8 && one < 1); /* hard enough to tell graphs apart */
    assert_true(fabs(one - many) <= 0.02);
    jade_index_free(alone);
    jade_index_free(c.ix);
    dataset_free(&d);
}

static void searches_while_rows_are_added_are_well_formed(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        struct jade_index_params p = jade_index_params_default();
        p.m = round == 0 ? 2 : 6;
        p.ef_construction = 20;
        p.seed += (uint64_t)round;
        struct dataset d = dataset_make(1500, 8, JADE_METRIC_COSINE,
                                        round == 2 ? SHAPE_ALL_EQUAL : SHAPE_CLUSTERED, 20);
        struct crew c = {.ix = index_make(&p, &d), .d = &d};
        run_crew(&c, 2, 2);
        assert_true(atomic_load(&c.searches) > 0);
        check_verified(c.ix);
        jade_index_free(c.ix);
        dataset_free(&d);
    }
}

/* Many threads on the first rows: nobody's node may be lost while the graph is tiny. */
static void the_first_rows_survive_a_stampede(void **state)
{
    (void)state;
    struct dataset d = dataset_make(24, 4, JADE_METRIC_EUCLIDEAN, SHAPE_UNIFORM, 1);
    for (int round = 0; round < 40; round++) {
        struct jade_index_params p = jade_index_params_default();
        p.m = 2;
        p.ef_construction = 4;
        p.seed += (uint64_t)round;
        struct crew c = {.ix = index_make(&p, &d), .d = &d};
        run_crew(&c, THREADS, 0);
        check_verified(c.ix);
        jade_index_free(c.ix);
    }
    dataset_free(&d);
}

static void levels_depend_on_seed_and_row_alone(void **state)
{
    (void)state;
    enum { N = 100000, M = 16 };
    uint32_t at_least[4] = {0}, moved = 0;
    for (uint32_t row = 0; row < N; row++) {
        uint32_t level = jadei_hnsw_level(1, row, M);
        assert_int_equal(level, jadei_hnsw_level(1, row, M));
        assert_true(level <= JADEI_HNSW_LEVEL_MAX);
        for (uint32_t l = 0; l < 4 && l <= level; l++) {
            at_least[l]++;
        }
        moved += level != jadei_hnsw_level(2, row, M) ? 1 : 0;
    }
    /* 1 / 16 of a level are on the next: 6250 and 391 expected, five standard deviations allowed */
    assert_true(abs((int)at_least[1] - 6250) < 400);
    assert_true(abs((int)at_least[2] - 391) < 100);
    assert_true(moved > 5000);
}

static void a_build_is_the_same_each_time(void **state)
{
    (void)state;
    struct jade_index_params p = jade_index_params_default();
    p.m = 6;
    p.ef_construction = 40;
    struct dataset d = dataset_make(3000, 12, JADE_METRIC_EUCLIDEAN, SHAPE_CLUSTERED, 0);
    struct jadei_hnsw *a = (struct jadei_hnsw *)index_build(&p, &d),
                      *b = (struct jadei_hnsw *)index_build(&p, &d);
    assert_memory_equal((const void *)a->links0, (const void *)b->links0,
                        (size_t)d.n * a->words0 * sizeof(uint32_t));
    assert_int_equal(a->upper_used, b->upper_used);
    assert_memory_equal((const void *)a->upper, (const void *)b->upper,
                        (size_t)a->upper_used * a->words_upper * sizeof(uint32_t));
    assert_true(atomic_load(&a->entry) == atomic_load(&b->entry));
    p.seed++;
    struct jadei_hnsw *c = (struct jadei_hnsw *)index_build(&p, &d);
    assert_true(memcmp((const void *)a->links0, (const void *)c->links0,
                       (size_t)d.n * a->words0 * sizeof(uint32_t)) != 0);
    jade_index_free(&a->base);
    jade_index_free(&b->base);
    jade_index_free(&c->base);
    dataset_free(&d);
}

/* n nodes, n - 1 ties, each in both lists; verify finds all nodes through them and others. */
static void the_backbone_is_a_tree(void **state)
{
    (void)state;
    static const uint32_t ms[] = {2, 3, 16};
    for (size_t i = 0; i < 3; i++) {
        struct jade_index_params p = jade_index_params_default();
        p.m = ms[i];
        p.ef_construction = 30;
        struct dataset d = dataset_make(2000, 6, JADE_METRIC_EUCLIDEAN, SHAPE_CLUSTERED, 0);
        struct jadei_hnsw *h = (struct jadei_hnsw *)index_build(&p, &d);
        uint64_t ties = 0, most = 0;
        for (uint32_t row = 0; row < d.n; row++) {
            uint64_t own = 0;
            for (uint32_t j = 0; j < h->words0; j++) {
                uint32_t link = jadei_link_load(&jadei_hnsw_list(h, row, 0)[j]);
                own += link != JADEI_HNSW_END && (link & JADEI_HNSW_TIE) ? 1 : 0;
            }
            ties += own;
            most = own > most ? own : most;
        }
        assert_int_equal(ties, 2 * (d.n - 1));
        assert_true(most <= (ms[i] > 3 ? ms[i] : 3));
        check_verified(&h->base);
        jade_index_free(&h->base);
        dataset_free(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_threads_build_as_good_a_graph_as_one),
        cmocka_unit_test(searches_while_rows_are_added_are_well_formed),
        cmocka_unit_test(the_first_rows_survive_a_stampede),
        cmocka_unit_test(levels_depend_on_seed_and_row_alone),
        cmocka_unit_test(a_build_is_the_same_each_time),
        cmocka_unit_test(the_backbone_is_a_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
