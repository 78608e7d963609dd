/*
 * Vectors of a database through the node: stored, read, searched by vector, text and id; models that may not be mixed.
 */
#include "node_test.h"

static struct jade_arena arena;
static struct jade_database *db;

static int setup(void **state)
{
    setup_node(state);
    jade_arena_init(&arena, JADE_TAG_TEST);
    return 0;
}

static int teardown(void **state)
{
    jade_database_unref(db);
    db = NULL;
    jade_arena_release(&arena);
    return teardown_node(state);
}

static const struct jade_put_opts UPSERT = {.durability = JADE_DURABILITY_DEFAULT};
static struct jade_put_result *results;
static struct jade_write_result written;

static struct jade_put put_of(const char *id, const float *values, uint32_t dim)
{
    return (struct jade_put){
        .id = id, .id_len = id ? (uint32_t)strlen(id) : 0, .values = values, .dim = dim};
}

static struct jade_put text_of(const char *id, const char *text)
{
    struct jade_put put = put_of(id, NULL, 0);
    put.text = (struct jade_str){.p = text, .n = strlen(text)};
    return put;
}

static void vectors_without_an_id_get_different_ones(void **state)
{
    (void)state;
    enum { N = 200 };
    static float values[N][2];
    struct jade_put puts[N];
    db = create("one", 2);
    for (int i = 0; i < N; i++) {
        values[i][0] = (float)i;
        puts[i] = put_of(i == 7 ? "given" : NULL, values[i], 2);
    }
    OK(jade_database_put(db, puts, N, &UPSERT, &arena, &results, &written, &err));
    assert_int_equal(written.n_created, N);
    assert_string_equal(results[7].id, "given");
    for (int i = 0; i < N; i++) {
        assert_true(results[i].created);
        assert_int_equal(results[i].version, 1);
        assert_int_equal(results[i].id_len, strlen(results[i].id));
        assert_true(get_one(db, results[i].id) == (float)i);
        if (i != 7) {
            assert_int_equal(results[i].id_len, JADE_VECTOR_ID_CHARS);
            assert_memory_equal(results[i].id, "vec_", 4);
        }
    }
    assert_int_equal(count_all(db), N);
}

static void bad_vectors_are_refused_by_field_and_nothing_is_stored(void **state)
{
    (void)state;
    const float good[] = {1, 2}, nan_in[] = {1, (float)(0.0 / 0.0)};
    db = create("one", 2);
    struct jade_put puts[2] = {put_of("a", good, 2), put_of("b", good, 2)};
#define BAD(change, code, field)                                                                 \
    do {                                                                                         \
        puts[1] = put_of("b", good, 2);                                                          \
        change;                                                                                  \
        REFUSED(jade_database_put(db, puts, 2, &UPSERT, &arena, &results, &written, &err), code, \
                field);                                                                          \
        assert_null(results);                                                                    \
    } while (0)
    BAD(puts[1].dim = 1, JADE_E_DIMENSION_MISMATCH, "vectors[1].values");
    BAD(puts[1].values = nan_in, JADE_E_INVALID_ARGUMENT, "vectors[1].values");
    BAD(puts[1].values = NULL, JADE_E_INVALID_ARGUMENT, "vectors[1].values");
    BAD(puts[1].id = "a", JADE_E_DUPLICATE_ID, "vectors[1].id");
    BAD(puts[1].id_len = 0, JADE_E_INVALID_ARGUMENT, "vectors[1].id");
    BAD(puts[1] = text_of("b", "text"), JADE_E_UNPROCESSABLE, "embeddingModel");
    REFUSED(jade_database_put(db, puts, 0, &UPSERT, &arena, &results, &written, &err),
            JADE_E_INVALID_ARGUMENT, "vectors");
    assert_int_equal(count_all(db), 0);
    struct jade_record record;
    REFUSED(jade_database_get(db, "a", 1, 0, &arena, &record, &err), JADE_E_NOT_FOUND, "vectorId");
    struct jade_put_opts only_new = UPSERT, only_old = UPSERT;
    only_new.mode = JADE_WRITE_INSERT;
    only_old.mode = JADE_WRITE_UPDATE;
    puts[1] = put_of("b", good, 2);
    REFUSED(jade_database_put(db, puts, 1, &only_old, &arena, &results, &written, &err),
            JADE_E_NOT_FOUND, "vectors[0].id");
    OK(jade_database_put(db, puts, 1, &only_new, &arena, &results, &written, &err));
    REFUSED(jade_database_put(db, puts, 2, &only_new, &arena, &results, &written, &err),
            JADE_E_ALREADY_EXISTS, "vectors[0].id");
    OK(jade_database_put(db, puts, 1, &only_old, &arena, &results, &written, &err));
    assert_int_equal(results[0].version, 2);
    assert_false(results[0].created);
    assert_int_equal(count_all(db), 1);
}

/** Ten points on a line: "p0" at 0 to "p9" at 9, with their parity as metadata. */
static void make_line(void)
{
    static const char *const ids[] = {"p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9"};
    float values[10][2];
    struct jade_put puts[10];
    db = create("line", 2);
    for (int i = 0; i < 10; i++) {
        values[i][0] = (float)i;
        values[i][1] = 0;
        puts[i] = put_of(ids[i], values[i], 2);
        puts[i].metadata = i % 2 ? "{\"odd\":true}" : "{\"odd\":false}";
        puts[i].metadata_len = (uint32_t)strlen(puts[i].metadata);
    }
    OK(jade_database_put(db, puts, 10, &UPSERT, &arena, &results, &written, &err));
}

static void expect_hits(const struct jade_find *q, const char *expected)
{
    struct jade_find_result found;
    char got[256] = "";
    OK(jade_database_search(db, q, &arena, &found, &err));
    for (uint32_t i = 0; i < found.n; i++) {
        size_t n = strlen(got);
        snprintf(got + n, sizeof got - n, "%s%.*s", i ? " " : "", (int)found.hits[i].record.id_len,
                 found.hits[i].record.id);
    }
    assert_string_equal(got, expected);
}

static void a_search_by_vector_honours_k_filter_and_threshold(void **state)
{
    (void)state;
    const float at[] = {3.1f, 0};
    struct jade_filter *odd;
    make_line();
    struct jade_find q = {.by = JADE_FIND_VECTOR, .vector = at, .dim = 2, .k = 3};
    expect_hits(&q, "p3 p4 p2");
    OK(jade_filter_parse_text("{\"odd\":true}", 12, "filter", &odd, &err));
    q.filter = odd;
    expect_hits(&q, "p3 p5 p1");
    uint64_t n;
    OK(jade_database_count(db, odd, &n, &err));
    assert_int_equal(n, 5);
    q.filter = NULL;
    q.k = 10;
    q.has_threshold = true;
    q.threshold = 0.5; /* 1 / (1 + distance): within 1 */
    expect_hits(&q, "p3 p4");
    q.k = 0;
    struct jade_find_result found;
    REFUSED(jade_database_search(db, &q, &arena, &found, &err), JADE_E_INVALID_ARGUMENT, "topK");
    q.k = 1;
    q.dim = 1;
    REFUSED(jade_database_search(db, &q, &arena, &found, &err), JADE_E_DIMENSION_MISMATCH,
            "queryVector");
    jade_filter_free(odd);
}

static void a_search_by_id_leaves_the_vector_itself_out_unless_asked(void **state)
{
    (void)state;
    make_line();
    struct jade_find q = {.by = JADE_FIND_ID, .id = "p0", .id_len = 2, .k = 3};
    expect_hits(&q, "p1 p2 p3");
    q.include_self = true;
    expect_hits(&q, "p0 p1 p2");
    q.include_self = false;
    q.k = 100;
    expect_hits(&q, "p1 p2 p3 p4 p5 p6 p7 p8 p9");
    struct jade_filter *odd; /* itself is no hit anyway: none may be lost for it */
    OK(jade_filter_parse_text("{\"odd\":true}", 12, "filter", &odd, &err));
    q.filter = odd;
    q.k = 2;
    expect_hits(&q, "p1 p3");
    jade_filter_free(odd);
    q.filter = NULL;
    struct jade_find_result found;
    q.id = "px";
    REFUSED(jade_database_search(db, &q, &arena, &found, &err), JADE_E_NOT_FOUND, "id");
    q.k = JADE_TOPK_MAX;
    REFUSED(jade_database_search(db, &q, &arena, &found, &err), JADE_E_INVALID_ARGUMENT, "topK");
}

static void texts_are_stored_and_found_by_text(void **state)
{
    (void)state;
    struct jade_database_info info;
    const struct jade_put puts[] = {
        text_of("cat", "a small furry animal that purrs"),
        text_of("ship", "a large vessel that sails the ocean"),
        text_of("bread", "food made from flour, water and yeast"),
    };
    db = create("texts", JADE_EMBED_HASH_384_DIM);
    assert_string_equal(info_of(db, &arena).model_name, "");
    OK(jade_database_put(db, puts, 3, &UPSERT, &arena, &results, &written, &err));
    for (int i = 0; i < 2; i++) {
        info = info_of(db, &arena);
        assert_string_equal(info.model_name, JADE_EMBED_HASH_384);
        assert_string_equal(info.model_version, "u1");
        struct jade_find q = {.by = JADE_FIND_TEXT, .text = {"sails on the ocean", 18}, .k = 1};
        expect_hits(&q, "ship");
        q.text = (struct jade_str){"animals with fur purr", 21};
        expect_hits(&q, "cat");
        jade_database_unref(db);
        node_restart();
        db = find("texts");
    }
    struct jade_database_stats stats;
    OK(jade_database_stats(db, true, &stats, &err));
    assert_int_equal(stats.shard.n_live, 3);
    struct jade_find q = {.by = JADE_FIND_TEXT, .text = {"", 0}, .k = 1};
    struct jade_find_result found;
    REFUSED(jade_database_search(db, &q, &arena, &found, &err), JADE_E_INVALID_ARGUMENT, "text");
    struct jade_put bad[] = {text_of("x", "fine"), text_of("y", " ")};
    REFUSED(jade_database_put(db, bad, 2, &UPSERT, &arena, &results, &written, &err),
            JADE_E_INVALID_ARGUMENT, "vectors[1].text");
    assert_int_equal(count_all(db), 3);
}

/** A trained version, the default from then on. */
static const char *train(void)
{
    static const char *const corpus[] = {"the cat sat", "the dog sat", "the bird flew"};
    struct jade_embed_trainer *t;
    const struct jade_embed_model *m;
    OK(jade_embed_trainer_new(&t, &err));
    for (int i = 0; i < 3; i++) {
        OK(jade_embed_trainer_add(t, (struct jade_str){corpus[i], strlen(corpus[i])}, &err));
    }
    OK(jade_embed_trainer_finish(t, jade_node_embed_registry(node), "animals", &m, &err));
    jade_embed_trainer_free(t);
    return jade_embed_model_version(m);
}

static void a_database_keeps_its_model_and_refuses_another(void **state)
{
    (void)state;
    struct jade_put put = text_of("a", "the cat");
    struct jade_put_opts opts = UPSERT;
    db = create("texts", JADE_EMBED_HASH_384_DIM);
    OK(jade_database_put(db, &put, 1, &UPSERT, &arena, &results, &written, &err)); /* u1 */
    const char *trained = train();
    put = text_of("b", "the dog");
    OK(jade_database_put(db, &put, 1, &UPSERT, &arena, &results, &written, &err)); /* still u1 */
    assert_string_equal(info_of(db, &arena).model_version, "u1");
    opts.model_name = JADE_EMBED_HASH_384;
    opts.model_version = trained;
    REFUSED(jade_database_put(db, &put, 1, &opts, &arena, &results, &written, &err),
            JADE_E_UNPROCESSABLE, "embeddingModel");
    static const float values[JADE_EMBED_HASH_384_DIM] = {1};
    struct jade_put foreign = put_of("c", values, JADE_EMBED_HASH_384_DIM);
    opts.model_name = "BERT";
    opts.model_version = NULL;
    REFUSED(jade_database_put(db, &foreign, 1, &opts, &arena, &results, &written, &err),
            JADE_E_UNPROCESSABLE, "embeddingModel");
    struct jade_find q = {.by = JADE_FIND_TEXT,
                          .text = {"dog", 3},
                          .k = 1,
                          .model_name = JADE_EMBED_HASH_384,
                          .model_version = trained};
    struct jade_find_result found;
    REFUSED(jade_database_search(db, &q, &arena, &found, &err), JADE_E_UNPROCESSABLE,
            "embeddingModel");
    q.model_version = NULL;
    expect_hits(&q, "b");
    assert_int_equal(count_all(db), 2);
    jade_database_unref(db);
    db = create("new", JADE_EMBED_HASH_384_DIM); /* gets the default of now */
    OK(jade_database_put(db, &put, 1, &UPSERT, &arena, &results, &written, &err));
    assert_string_equal(info_of(db, &arena).model_version, trained);
}

/* Vectors that another model made elsewhere: kept apart, but not computed here. */
static void vectors_of_a_foreign_model_are_stored_and_text_is_refused(void **state)
{
    (void)state;
    static const float values[JADE_EMBED_HASH_384_DIM] = {1};
    struct jade_put put = put_of("a", values, JADE_EMBED_HASH_384_DIM);
    struct jade_put_opts opts = UPSERT;
    db = create("bert", JADE_EMBED_HASH_384_DIM);
    opts.model_name = "BERT";
    OK(jade_database_put(db, &put, 1, &opts, &arena, &results, &written, &err));
    opts.model_version = "base-uncased";
    OK(jade_database_put(db, &put, 1, &opts, &arena, &results, &written, &err));
    struct jade_database_info info = info_of(db, &arena);
    assert_string_equal(info.model_name, "BERT");
    assert_string_equal(info.model_version, "base-uncased");
    opts.model_version = "large";
    REFUSED(jade_database_put(db, &put, 1, &opts, &arena, &results, &written, &err),
            JADE_E_UNPROCESSABLE, "embeddingModel");
    put = text_of("b", "text");
    REFUSED(jade_database_put(db, &put, 1, &UPSERT, &arena, &results, &written, &err),
            JADE_E_UNPROCESSABLE, "embeddingModel");
    struct jade_find q = {.by = JADE_FIND_TEXT, .text = {"text", 4}, .k = 1};
    struct jade_find_result found;
    REFUSED(jade_database_search(db, &q, &arena, &found, &err), JADE_E_UNPROCESSABLE,
            "embeddingModel");
}

static void anybody_may_embed_texts(void **state)
{
    (void)state;
    const struct jade_str texts[] = {{"one text", 8}, {"another", 7}};
    struct jade_embedding e;
    OK(jade_node_embed(node, NULL, NULL, texts, 2, &arena, &e, &err));
    assert_string_equal(e.model_name, JADE_EMBED_HASH_384);
    assert_string_equal(e.model_version, "u1");
    assert_int_equal(e.dimension, JADE_EMBED_HASH_384_DIM);
    for (int t = 0; t < 2; t++) {
        double sum = 0;
        for (uint32_t i = 0; i < e.dimension; i++) {
            double v = (double)e.vectors[(uint32_t)t * e.dimension + i];
            sum += v * v;
        }
        assert_true(sum > 0.999 && sum < 1.001);
    }
    REFUSED(jade_node_embed(node, "BERT", NULL, texts, 2, &arena, &e, &err), JADE_E_NOT_FOUND,
            "model");
    REFUSED(jade_node_embed(node, "", "x9", texts, 2, &arena, &e, &err), JADE_E_NOT_FOUND,
            "version");
    struct jade_node_status status;
    jade_node_status(node, &status);
    assert_int_equal(status.n_texts_embedded, 2);
}

static void an_update_of_ef_search_reaches_the_open_shard(void **state)
{
    (void)state;
    struct jade_database_update update;
    make_line();
    struct jade_database_spec spec = spec_of("line", 2);
    spec.index.ef_search = 500;
    OK(jade_database_update(db, &spec, 0, &update, &err));
    assert_true(update.changed);
    const float at[] = {0, 0};
    struct jade_find q = {.by = JADE_FIND_VECTOR, .vector = at, .dim = 2, .k = 2};
    expect_hits(&q, "p0 p1");
    q.ef = JADE_EF_MAX + 1;
    struct jade_find_result found;
    REFUSED(jade_database_search(db, &q, &arena, &found, &err), JADE_E_INVALID_ARGUMENT,
            "efSearch");
}

/* Every allocation of a first text write (with opening and binding) and of a search by text fails in turn. */
static void a_failed_allocation_stores_nothing_and_spoils_nothing(void **state)
{
    (void)state;
    node_end();
    node_opts.manual = true;
    node_start();
    const struct jade_put put = text_of("a", "the cat sat on the mat");
    struct jade_find q = {.by = JADE_FIND_TEXT, .text = {"cat", 3}, .k = 1};
    unsigned failed = 0;
    for (uint64_t at = 1;; at++) {
        struct jade_find_result found;
        db = create("texts", JADE_EMBED_HASH_384_DIM);
        jade_alloc_fail_at(at);
        jade_code rc = jade_database_put(db, &put, 1, &UPSERT, &arena, &results, &written, NULL);
        bool stored = rc == JADE_OK;
        if (stored) {
            rc = jade_database_search(db, &q, &arena, &found, NULL);
        }
        bool over = jade_alloc_count() < at;
        jade_alloc_fail_at(0);
        failed += rc != JADE_OK;
        if (rc != JADE_OK && rc != JADE_E_NOMEM) {
            fail_msg("allocation %llu: %s", (unsigned long long)at, jade_code_name(rc));
        }
        if (rc == JADE_E_NOMEM &&
            !stored) { /* an opening that failed is tried again after a second */
            jade_database_unref(db);
            node_restart();
            db = find("texts");
        }
        assert_int_equal(count_all(db), stored);
        OK(jade_database_put(db, &put, 1, &UPSERT, &arena, &results, &written, &err));
        expect_hits(&q, "a");
        OK(jade_node_delete(node, db, &err));
        jade_database_unref(db);
        db = NULL;
        jade_arena_release(&arena);
        if (over) {
            break;
        }
    }
    print_message("%u allocations failed in turn\n", failed);
    assert_true(failed > 30);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(vectors_without_an_id_get_different_ones),
        TEST(bad_vectors_are_refused_by_field_and_nothing_is_stored),
        TEST(a_search_by_vector_honours_k_filter_and_threshold),
        TEST(a_search_by_id_leaves_the_vector_itself_out_unless_asked),
        TEST(texts_are_stored_and_found_by_text),
        TEST(a_database_keeps_its_model_and_refuses_another),
        TEST(vectors_of_a_foreign_model_are_stored_and_text_is_refused),
        TEST(anybody_may_embed_texts),
        TEST(an_update_of_ef_search_reaches_the_open_shard),
        TEST(a_failed_allocation_stores_nothing_and_spoils_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
