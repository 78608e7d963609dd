/* Save and map: the same answers in place, and files that lie are refused. */
#include <unistd.h>

#include "base/limits.h"
#include "format/codec.h"
#include "index/hnsw_private.h"
#include "os/os.h"
#include "os/thread.h"
#include "unit/index/support.h"

enum { K = 10, SEGMENT = 7 };

struct folder {
    char path[64];
    char index[96], vectors[96];
};

static struct folder folder_make(void)
{
    struct folder f = {.path = "/tmp/jade-index-XXXXXX"};
    assert_non_null(mkdtemp(f.path));
    snprintf(f.index, sizeof f.index, "%s/index", f.path);
    snprintf(f.vectors, sizeof f.vectors, "%s/vectors", f.path);
    return f;
}

static void folder_remove(struct folder *f)
{
    struct jade_err err = {0};
    check_ok(jade_os_remove_tree(jade_os_posix(), f->path, &err), &err);
}

static jade_code save_to(struct jade_index *ix, const char *path, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_blockfile_writer *w = NULL;
    uint32_t crc;
    uint64_t size;
    JADE_TRY(jade_blockfile_writer_new(jade_os_posix(), path, JADE_BF_INDEX, SEGMENT, &w, err));
    rc = jade_index_save(ix, w, err);
    if (rc != JADE_OK) {
        jade_blockfile_abort(w);
        goto out;
    }
    rc = jade_blockfile_finish(w, &crc, &size, err);
out:
    return rc;
}

static void write_payload(const char *path, uint32_t kind, const void *p, size_t n)
{
    struct jade_err err = {0};
    struct jade_blockfile_writer *w;
    uint32_t crc;
    uint64_t size;
    check_ok(jade_blockfile_writer_new(jade_os_posix(), path, kind, SEGMENT, &w, &err), &err);
    check_ok(jade_blockfile_append(w, p, n, &err), &err);
    check_ok(jade_blockfile_finish(w, &crc, &size, &err), &err);
}

static struct jade_blockfile *open_file(const char *path, uint32_t kind)
{
    struct jade_err err = {0};
    struct jade_blockfile *f;
    check_ok(jade_blockfile_open(jade_os_posix(), path, kind, SEGMENT, 0, &f, &err), &err);
    return f;
}

static uint8_t *read_all(const char *path, size_t *n)
{
    struct jade_err err = {0};
    uint8_t *data;
    check_ok(jade_os_read_file(jade_os_posix(), path, 64u << 20, &data, n, &err), &err);
    return data;
}

static struct jade_index_params small_params(enum jade_index_kind kind)
{
    struct jade_index_params p = jade_index_params_default();
    p.kind = kind;
    p.m = 8;
    p.ef_construction = 40;
    return p;
}

static void same_answers(struct jade_index *a, struct jade_index *b, const struct dataset *d)
{
    struct jade_row_filter f = filter_all(d->n);
    for (uint32_t q = 0; q < d->n_queries; q++) {
        struct jade_topk x, y;
        assert_int_equal(jade_topk_init(&x, K, INFINITY, NULL), JADE_OK);
        assert_int_equal(jade_topk_init(&y, K, INFINITY, NULL), JADE_OK);
        search_into(a, d, d->queries + (size_t)q * d->rows.dim, 50, &f, &x);
        search_into(b, d, d->queries + (size_t)q * d->rows.dim, 50, &f, &y);
        assert_int_equal(x.n, y.n);
        assert_memory_equal(x.items, y.items, x.n * sizeof *x.items);
        jade_topk_release(&x);
        jade_topk_release(&y);
    }
}

/* Index and vectors both mapped, as in a sealed segment. */
static void a_mapped_index_answers_as_the_saved_one(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        for (int metric = 0; metric < 3; metric++) {
            struct jade_err err = {0};
            struct folder folder = folder_make();
            struct jade_index_params p = small_params((enum jade_index_kind)kind);
            struct dataset d =
                dataset_make(3000, 20, (enum jade_metric)metric, SHAPE_CLUSTERED, 30);
            struct jade_index *ix = index_build(&p, &d), *mapped;
            check_ok(save_to(ix, folder.index, &err), &err);
            write_payload(folder.vectors, JADE_BF_VECTORS, d.rows.base, d.n * d.rows.stride);
            struct jade_blockfile *index_file = open_file(folder.index, JADE_BF_INDEX);
            struct jade_blockfile *vector_file = open_file(folder.vectors, JADE_BF_VECTORS);
            struct jade_rows rows = d.rows;
            rows.base = jade_blockfile_data(vector_file);
            rows.file = vector_file;
            check_ok(jade_index_map(index_file, &rows, d.n, &mapped, &err), &err);
            same_answers(ix, mapped, &d);
            check_verified(mapped);
            assert_true(jade_index_memory_bytes(mapped) < 16384);
            check_ok(jade_rows_check(&rows, 0, d.n, &err), &err);
            assert_int_equal(jade_rows_check(&rows, d.n, 1, &err), JADE_E_CORRUPT);
            jade_index_free(mapped);
            jade_blockfile_close(index_file);
            jade_blockfile_close(vector_file);
            jade_index_free(ix);
            dataset_free(&d);
            folder_remove(&folder);
        }
    }
}

struct reader {
    struct jade_index *ix;
    const struct dataset *d;
    const struct jade_topk *expected; /* one a query */
    uint32_t first;
    _Atomic uint32_t *wrong;
};

static void *read_some(void *arg)
{
    struct reader *r = arg;
    for (uint32_t i = 0; i < r->d->n_queries; i++) {
        uint32_t at = (r->first + i) % r->d->n_queries;
        struct jade_row_filter f = filter_all(r->d->n);
        struct jade_search_opts opts = {.ef = 50, .filter = &f};
        struct jade_query_vector q = {0};
        struct jade_topk top = {0};
        const float *query = r->d->queries + (size_t)at * r->d->rows.dim;
        bool good =
            jade_topk_init(&top, K, INFINITY, NULL) == JADE_OK &&
            jade_query_vector_init(&q, query, r->d->rows.dim, r->d->rows.metric, NULL) == JADE_OK &&
            jade_index_search(r->ix, &q, &opts, &top, NULL, NULL) == JADE_OK;
        jade_topk_sort(&top);
        good = good && top.n == r->expected[at].n &&
               memcmp(top.items, r->expected[at].items, top.n * sizeof *top.items) == 0;
        if (!good) {
            atomic_fetch_add(r->wrong, 1);
        }
        jade_query_vector_release(&q);
        jade_topk_release(&top);
    }
    return NULL;
}

/* Many threads meet blocks that nobody has verified yet. */
static void first_searches_of_a_mapped_index_may_come_together(void **state)
{
    (void)state;
    enum { READERS = 4 };
    struct jade_err err = {0};
    struct folder folder = folder_make();
    struct jade_index_params p = small_params(JADE_INDEX_HNSW);
    struct dataset d = dataset_make(3000, 40, JADE_METRIC_EUCLIDEAN, SHAPE_CLUSTERED, 20);
    struct jade_index *ix = index_build(&p, &d), *mapped;
    struct jade_row_filter f = filter_all(d.n);
    struct jade_topk expected[20];
    struct reader readers[READERS];
    struct jade_thread threads[READERS] = {0};
    _Atomic uint32_t wrong;
    atomic_init(&wrong, 0);
    for (uint32_t q = 0; q < d.n_queries; q++) {
        check_ok(jade_topk_init(&expected[q], K, INFINITY, &err), &err);
        search_into(ix, &d, d.queries + (size_t)q * d.rows.dim, 50, &f, &expected[q]);
    }
    check_ok(save_to(ix, folder.index, &err), &err);
    write_payload(folder.vectors, JADE_BF_VECTORS, d.rows.base, d.n * d.rows.stride);
    struct jade_blockfile *index_file = open_file(folder.index, JADE_BF_INDEX);
    struct jade_rows rows = d.rows;
    rows.file = open_file(folder.vectors, JADE_BF_VECTORS);
    rows.base = jade_blockfile_data(rows.file);
    check_ok(jade_index_map(index_file, &rows, d.n, &mapped, &err), &err);
    for (uint32_t i = 0; i < READERS; i++) {
        readers[i] = (struct reader){mapped, &d, expected, i * 5, &wrong};
        check_ok(jade_thread_start(&threads[i], "reader", 0, read_some, &readers[i], &err), &err);
    }
    for (uint32_t i = 0; i < READERS; i++) {
        jade_thread_join(&threads[i]);
    }
    assert_int_equal(atomic_load(&wrong), 0);
    for (uint32_t q = 0; q < d.n_queries; q++) {
        jade_topk_release(&expected[q]);
    }
    jade_index_free(mapped);
    jade_blockfile_close(index_file);
    jade_blockfile_close(rows.file);
    jade_index_free(ix);
    dataset_free(&d);
    folder_remove(&folder);
}

static void one_thread_and_one_seed_save_the_same_bytes(void **state)
{
    (void)state;
    struct jade_err err = {0};
    struct folder folder = folder_make();
    struct jade_index_params p = small_params(JADE_INDEX_HNSW);
    struct dataset d = dataset_make(2000, 10, JADE_METRIC_COSINE, SHAPE_CLUSTERED, 0);
    uint8_t *data[2];
    size_t n[2];
    for (int i = 0; i < 2; i++) {
        struct jade_index *ix = index_build(&p, &d);
        check_ok(save_to(ix, i == 0 ? folder.index : folder.vectors, &err), &err);
        jade_index_free(ix);
        data[i] = read_all(i == 0 ? folder.index : folder.vectors, &n[i]);
    }
    assert_true(n[0] == n[1]);
    assert_memory_equal(data[0], data[1], n[0]);
    jade_free(data[0]);
    jade_free(data[1]);
    dataset_free(&d);
    folder_remove(&folder);
}

static void an_empty_index_is_saved_and_mapped(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct jade_err err = {0};
        struct folder folder = folder_make();
        struct jade_index_params p = small_params((enum jade_index_kind)kind);
        struct dataset d = dataset_make(0, 3, JADE_METRIC_DOT, SHAPE_UNIFORM, 1);
        struct jade_index *ix = index_make(&p, &d), *mapped;
        check_ok(save_to(ix, folder.index, &err), &err);
        struct jade_blockfile *file = open_file(folder.index, JADE_BF_INDEX);
        check_ok(jade_index_map(file, &d.rows, 0, &mapped, &err), &err);
        same_answers(ix, mapped, &d);
        check_verified(mapped);
        jade_index_free(mapped);
        jade_blockfile_close(file);
        jade_index_free(ix);
        dataset_free(&d);
        folder_remove(&folder);
    }
}

static void an_index_with_a_hole_is_not_saved(void **state)
{
    (void)state;
    struct jade_err err = {0};
    struct folder folder = folder_make();
    struct jade_index_params p = small_params(JADE_INDEX_HNSW);
    struct dataset d = dataset_make(10, 3, JADE_METRIC_DOT, SHAPE_UNIFORM, 0);
    struct jade_index *ix = index_make(&p, &d);
    check_ok(jade_index_add(ix, 5, &err), &err);
    assert_int_equal(save_to(ix, folder.index, &err), JADE_E_INTERNAL);
    jade_index_free(ix);
    dataset_free(&d);
    folder_remove(&folder);
}

/* A search of everything on a file: the code, with the file's name in the message when it is refused. */
static jade_code search_file(const char *path, const struct dataset *d, uint32_t n_rows,
                             bool verify, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_blockfile *file = NULL;
    struct jade_index *ix = NULL;
    struct jade_query_vector q = {0};
    struct jade_topk top = {0};
    struct jade_row_filter f = filter_all(n_rows);
    struct jade_search_opts opts = {.ef = 1000, .filter = &f};
    JADE_TRY(jade_blockfile_open(jade_os_posix(), path, JADE_BF_INDEX, SEGMENT, 0, &file, err));
    JADE_TRY(jade_index_map(file, &d->rows, n_rows, &ix, err));
    JADE_TRY(jade_topk_init(&top, n_rows, INFINITY, err));
    JADE_TRY(jade_query_vector_init(&q, d->queries, d->rows.dim, d->rows.metric, err));
    JADE_TRY(jade_index_search(ix, &q, &opts, &top, NULL, err));
    if (verify) {
        rc = jade_index_verify(ix, err);
    }
out:
    jade_query_vector_release(&q);
    jade_topk_release(&top);
    jade_index_free(ix);
    jade_blockfile_close(file);
    if (rc == JADE_E_CORRUPT || rc == JADE_E_VERSION) {
        assert_non_null(strstr(err->message, path));
    }
    return rc;
}

/* A byte of each kind of place is turned over on disk, under the checksums. */
static void a_damaged_byte_is_refused_with_the_name_of_the_file(void **state)
{
    (void)state;
    struct jade_err err = {0};
    struct folder folder = folder_make();
    struct jade_index_params p = small_params(JADE_INDEX_HNSW);
    struct dataset d = dataset_make(3000, 4, JADE_METRIC_EUCLIDEAN, SHAPE_UNIFORM, 1);
    struct jade_index *ix = index_build(&p, &d);
    size_t n;
    check_ok(save_to(ix, folder.index, &err), &err);
    uint8_t *data = read_all(folder.index, &n);
    uint32_t refused = 0, tried = 0;
    for (size_t at = 10; at < n; at += 4001) {
        data[at] ^= 0x10;
        check_ok(jade_os_replace(jade_os_posix(), folder.vectors, data, n, &err), &err);
        jade_code rc = search_file(folder.vectors, &d, d.n, true, &err);
        data[at] ^= 0x10;
        tried++;
        refused += rc != JADE_OK ? 1 : 0;
        assert_true(rc == JADE_OK || rc == JADE_E_CORRUPT || rc == JADE_E_VERSION);
    }
    assert_true(tried > 50 && refused == tried); /* verify reads every block */
    jade_free(data);
    jade_index_free(ix);
    dataset_free(&d);
    folder_remove(&folder);
}

/* Payloads with right checksums and wrong content: refused, or searched without harm; verify finds every one. */
static void a_lying_payload_never_crashes_a_search(void **state)
{
    (void)state;
    struct jade_err err = {0};
    struct folder folder = folder_make();
    struct jade_index_params p = small_params(JADE_INDEX_HNSW);
    struct dataset d = dataset_make(400, 4, JADE_METRIC_EUCLIDEAN, SHAPE_UNIFORM, 1);
    struct jade_index *ix = index_build(&p, &d);
    check_ok(save_to(ix, folder.index, &err), &err);
    struct jade_blockfile *file = open_file(folder.index, JADE_BF_INDEX);
    check_ok(jade_blockfile_verify_all(file, &err), &err);
    size_t n = (size_t)jade_blockfile_size(file);
    uint8_t *payload = malloc(n);
    assert_non_null(payload);
    memcpy(payload, jade_blockfile_data(file), n);
    jade_blockfile_close(file);
    struct jade_random r;
    jade_random_init(&r, SEED);
    printf("seed %llu\n", (unsigned long long)SEED);
    uint32_t found = 0, changed = 0;
    for (int round = 0; round < 400; round++) {
        size_t at = round < 32 ? (size_t)round * 4 : (size_t)jade_random_below(&r, n / 4) * 4;
        uint32_t kept = jade_load_u32(payload + at);
        static const uint32_t values[] = {UINT32_MAX, UINT32_MAX - 1, 400,         399,
                                          0,          0x80000000u,    0x40000000u, 1u << 29};
        uint32_t value = values[jade_random_below(&r, 8)];
        jade_store_u32(payload + at, value);
        write_payload(folder.vectors, JADE_BF_INDEX, payload, n);
        jade_code rc = search_file(folder.vectors, &d, d.n, true, &err);
        assert_true(rc == JADE_OK || rc == JADE_E_CORRUPT || rc == JADE_E_VERSION);
        changed += value != kept ? 1 : 0;
        found += rc != JADE_OK ? 1 : 0;
        jade_store_u32(payload + at, kept);
        check_ok(jade_os_unlink(jade_os_posix(), folder.vectors, &err), &err);
    }
    printf("%u of %u changed payloads were refused\n", found, changed);
    assert_true(
        found >
        changed /
            2); /* the rest are other, valid graphs: a plain link dropped or moved, an effort changed */
    free(payload);
    jade_index_free(ix);
    dataset_free(&d);
    folder_remove(&folder);
}

static void an_index_of_another_segment_is_refused(void **state)
{
    (void)state;
    struct jade_err err = {0};
    struct folder folder = folder_make();
    struct jade_index_params p = small_params(JADE_INDEX_HNSW);
    struct dataset d = dataset_make(50, 4, JADE_METRIC_EUCLIDEAN, SHAPE_UNIFORM, 1);
    struct jade_index *ix = index_build(&p, &d);
    check_ok(save_to(ix, folder.index, &err), &err);
    assert_int_equal(search_file(folder.index, &d, d.n, true, &err), JADE_OK);
    assert_int_equal(search_file(folder.index, &d, d.n - 1, true, &err), JADE_E_CORRUPT);
    d.rows.metric = JADE_METRIC_DOT;
    assert_int_equal(search_file(folder.index, &d, d.n, true, &err), JADE_E_CORRUPT);
    jade_index_free(ix);
    dataset_free(&d);
    folder_remove(&folder);
}

static void every_failing_allocation_of_a_mapped_search_is_an_error(void **state)
{
    (void)state;
    struct jade_err err = {0};
    struct folder folder = folder_make();
    struct jade_index_params p = small_params(JADE_INDEX_HNSW);
    struct dataset d = dataset_make(200, 4, JADE_METRIC_EUCLIDEAN, SHAPE_UNIFORM, 1);
    struct jade_index *ix = index_build(&p, &d);
    check_ok(save_to(ix, folder.index, &err), &err);
    int64_t before = jade_alloc_bytes_total();
    uint64_t failures = 0;
    for (jade_code rc = JADE_E_NOMEM; rc != JADE_OK;) {
        jade_alloc_fail_at(failures + 1);
        rc = search_file(folder.index, &d, d.n, true, &err);
        jade_alloc_fail_at(0);
        assert_true(jade_alloc_bytes_total() == before);
        assert_true(rc == JADE_OK || rc == JADE_E_NOMEM);
        failures += rc != JADE_OK ? 1 : 0;
    }
    assert_true(failures >= 6);
    jade_index_free(ix);
    dataset_free(&d);
    folder_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mapped_index_answers_as_the_saved_one),
        cmocka_unit_test(first_searches_of_a_mapped_index_may_come_together),
        cmocka_unit_test(one_thread_and_one_seed_save_the_same_bytes),
        cmocka_unit_test(an_empty_index_is_saved_and_mapped),
        cmocka_unit_test(an_index_with_a_hole_is_not_saved),
        cmocka_unit_test(a_damaged_byte_is_refused_with_the_name_of_the_file),
        cmocka_unit_test(a_lying_payload_never_crashes_a_search),
        cmocka_unit_test(an_index_of_another_segment_is_refused),
        cmocka_unit_test(every_failing_allocation_of_a_mapped_search_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
