#include <math.h>

#include "embed_test.h"

struct fixture {
    struct jade_sim *sim;
    struct jade_embed *e;
};

static int set_up(void **state)
{
    static struct fixture f;
    struct jade_err err;
    MUST(jade_sim_new(7, &f.sim, &err));
    MUST(jade_embed_open(jade_sim_os(f.sim), FOLDER, &f.e, &err));
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    jade_embed_close(f->e);
    assert_int_equal(jade_sim_handles(f->sim), 0);
    jade_sim_free(f->sim);
    return 0;
}

/* The weight that a model gives to the word (as a feature) of a text of one word. */
static unsigned weight_of_word(const struct jade_embed_model *m, const char *word)
{
    struct jade_err err;
    struct jadei_features f;
    unsigned weight = 0;
    MUST(jadei_features_init(&f, &err));
    MUST(jadei_features_of(&f, str(word), "text", &err));
    for (size_t i = 0; i < f.n_used; i++) {
        if (jadei_features_at(&f, i)->kind == JADEI_KIND_WORD) {
            weight = jadei_idf_weight(&m->idf, jadei_features_at(&f, i)->hash);
        }
    }
    jadei_features_release(&f);
    return weight;
}

static unsigned expected_weight(double documents, double n)
{
    return (unsigned)lround(sqrt(log(1 + (n - documents + 0.5) / (documents + 0.5))) * 1024);
}

static void weights_are_roots_of_inverse_document_frequencies(void **state)
{
    struct fixture *f = *state;
    struct jade_err err;
    const struct jade_embed_model *m = NULL;
    MUST(train(f->e, "test", 8, &m, &err));
    assert_true(m->idf.n_documents == 80);
    assert_int_equal(weight_of_word(m, "elephant"), expected_weight(8, 80));
    assert_int_equal(weight_of_word(m, "trunk"), expected_weight(16, 80));
    assert_int_equal(weight_of_word(m, "OF"), expected_weight(40, 80));
    /* Between 0 and 3 documents, and half of that. */
    assert_int_equal(weight_of_word(m, "nowhere"), expected_weight(1.5, 80) / 2);
}

static void word_that_repeats_in_a_text_counts_once(void **state)
{
    struct fixture *f = *state;
    struct jade_err err;
    struct jade_embed_trainer *t = NULL;
    const struct jade_embed_model *m = NULL;
    MUST(jade_embed_trainer_new(&t, &err));
    for (unsigned i = 0; i < 5; i++) {
        MUST(jade_embed_trainer_add(t, str("row row row your boat"), &err));
        MUST(jade_embed_trainer_add(t, str("?"),
                                    &err)); /* a document without words is one all the same */
    }
    MUST(jade_embed_trainer_finish(t, f->e, "song", &m, &err));
    assert_int_equal(weight_of_word(m, "row"), expected_weight(5, 10));
    jade_embed_trainer_free(t);
}

static void equal_corpora_give_equal_versions_in_any_order(void **state)
{
    struct fixture *f = *state;
    struct jade_err err;
    const struct jade_embed_model *a = NULL, *b = NULL, *c = NULL;
    struct jade_embed_trainer *t = NULL;
    MUST(train(f->e, "test", 8, &a, &err));
    MUST(jade_embed_trainer_new(&t, &err));
    for (unsigned i = 8 * CORPUS_TEXTS; i > 0; i--) {
        MUST(jade_embed_trainer_add(t, str(corpus[i % CORPUS_TEXTS]), &err));
    }
    MUST(jade_embed_trainer_finish(t, f->e, "test", &b, &err));
    jade_embed_trainer_free(t);
    assert_ptr_equal(a, b);
    MUST(train(f->e, "test", 9, &c, &err));
    assert_string_not_equal(jade_embed_model_version(a), jade_embed_model_version(c));
}

static void what_cannot_be_trained_is_refused(void **state)
{
    struct fixture *f = *state;
    struct jade_err err;
    struct jade_embed *nowhere = NULL;
    struct jade_embed_trainer *t = NULL;
    const struct jade_embed_model *m = NULL;
    MUST(jade_embed_trainer_new(&t, &err));
    EXPECT(JADE_E_INVALID_ARGUMENT, jade_embed_trainer_finish(t, f->e, "test", &m, &err));
    assert_string_equal(err.field, "corpus");
    EXPECT(JADE_E_INVALID_ARGUMENT, jade_embed_trainer_add(t, str("\xFF"), &err));
    assert_string_equal(err.field, "text");
    MUST(jade_embed_trainer_add(t, str("one"), &err));
    EXPECT(JADE_E_INVALID_ARGUMENT, jade_embed_trainer_finish(t, f->e, "../up", &m, &err));
    assert_string_equal(err.field, "corpus");
    assert_null(m);
    jade_embed_trainer_free(t);
    MUST(jade_embed_open(jade_sim_os(f->sim), NULL, &nowhere, &err));
    EXPECT(JADE_E_INVALID_ARGUMENT, train(nowhere, "test", 1, &m, &err));
    jade_embed_close(nowhere);
}

/* Three million features and more: the rare ones go, what is common stays counted in full. */
static void count_table_keeps_to_its_bound(void **state)
{
    enum { TEXTS = 130, WORDS = 9000 };
    struct fixture *f = *state;
    static char text[JADE_EMBED_TEXT_BYTES_MAX];
    struct jade_err err;
    struct jade_embed_trainer *t = NULL;
    const struct jade_embed_model *m = NULL;
    int64_t before = jade_alloc_bytes(JADE_TAG_MODEL);
    int64_t most = 0;
    MUST(jade_embed_trainer_new(&t, &err));
    for (uint32_t i = 0; i < TEXTS; i++) {
        size_t n = (size_t)snprintf(text, sizeof text, "common ");
        for (uint32_t w = 0; w < WORDS; w++) {
            n += (size_t)snprintf(text + n, sizeof text - n, "%x ", (i * WORDS + w) * 2654435761u);
            if (n + 12 > sizeof text) {
                break;
            }
        }
        MUST(jade_embed_trainer_add(t, (struct jade_str){text, n}, &err));
        int64_t now = jade_alloc_bytes(JADE_TAG_MODEL) - before;
        most = now > most ? now : most;
    }
    assert_in_range(most, 40 << 20, 64 << 20);
    MUST(jade_embed_trainer_finish(t, f->e, "large", &m, &err));
    assert_int_equal(weight_of_word(m, "common"), expected_weight(TEXTS, TEXTS));
    assert_true(m->idf.n <= JADE_EMBED_MODEL_FEATURES_MAX);
    jade_embed_trainer_free(t);
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    int64_t before = jade_alloc_bytes(JADE_TAG_MODEL);
    jade_code rc = JADE_E_NOMEM;
    uint64_t at = 0;
    while (rc != JADE_OK) {
        struct jade_err err;
        struct jade_sim *sim = NULL;
        struct jade_embed *e = NULL;
        const struct jade_embed_model *m = NULL;
        MUST(jade_sim_new(1, &sim, &err));
        at++;
        jade_alloc_fail_at(at);
        rc = jade_embed_open(jade_sim_os(sim), FOLDER, &e, &err);
        if (rc == JADE_OK) {
            rc = train(e, "test", 1, &m, &err);
        }
        jade_alloc_fail_at(0);
        assert_true(rc == JADE_OK || rc == JADE_E_NOMEM);
        assert_true((rc == JADE_OK) == (m != NULL));
        jade_embed_close(e);
        jade_sim_free(sim);
        assert_true(jade_alloc_bytes(JADE_TAG_MODEL) == before);
    }
    assert_true(at > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(weights_are_roots_of_inverse_document_frequencies, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(word_that_repeats_in_a_text_counts_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(equal_corpora_give_equal_versions_in_any_order, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_trained_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(count_table_keeps_to_its_bound, set_up, tear_down),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
