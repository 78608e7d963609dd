#include <math.h>

#include "embed_test.h"
#include "os/thread.h"

static struct jade_embed *registry;
static struct jade_sim *sim;
static const struct jade_embed_model *uniform, *trained;

static int set_up(void **state)
{
    (void)state;
    struct jade_err err;
    MUST(jade_sim_new(1, &sim, &err));
    MUST(jade_embed_open(jade_sim_os(sim), FOLDER, &registry, &err));
    MUST(jade_embed_get(registry, JADE_EMBED_HASH_384, "u1", &uniform, &err));
    MUST(train(registry, "test", 8, &trained, &err));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    jade_embed_close(registry);
    jade_sim_free(sim);
    return 0;
}

static void embed(const struct jade_embed_model *m, const char *text, float out[DIM])
{
    struct jade_err err;
    struct jade_str s = str(text);
    MUST(jade_embed_texts(m, &s, 1, out, &err));
}

static double similarity(const struct jade_embed_model *m, const char *a, const char *b)
{
    float x[DIM], y[DIM];
    embed(m, a, x);
    embed(m, b, y);
    return cosine(x, y);
}

static void expect_equal(const char *a, const char *b)
{
    float x[DIM], y[DIM];
    embed(trained, a, x);
    embed(trained, b, y);
    assert_memory_equal(x, y, sizeof x);
}

static uint64_t digest(const struct jade_embed_model *m)
{
    static const char *const texts[] = {
        "a large African mammal with a trunk",
        "Stra\xC3\x9F"
        "e und Caf\xC3\xA9",
        "\xE6\x9D\xB1\xE4\xBA\xAC\xE3\x82\xBF\xE3\x83\xAF\xE3\x83\xBC",
        "\xF0\x9F\x90\x98",
        "the the the the the the the the the the the the the the the the the the",
        "x",
    };
    enum { N = sizeof texts / sizeof texts[0] };
    static float out[N * DIM];
    struct jade_str s[N];
    struct jade_err err;
    for (unsigned i = 0; i < N; i++) {
        s[i] = str(texts[i]);
    }
    MUST(jade_embed_texts(m, s, N, out, &err));
    return jade_hash64(out, sizeof out, 0);
}

/* Vectors are stored for years: a change of these numbers is a new algorithm number, not a new constant here. */
static void vectors_are_the_same_for_ever(void **state)
{
    (void)state;
    print_message("digests: u1 %016llx, trained %016llx, version %s\n",
                  (unsigned long long)digest(uniform), (unsigned long long)digest(trained),
                  jade_embed_model_version(trained));
    assert_true(digest(uniform) == 0x9354293197c68369u);
    assert_true(digest(trained) == 0xe763b230c8acc219u);
    assert_string_equal(jade_embed_model_version(trained), "test-e582383d");
}

static void vectors_have_length_one(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "x", "one two", "\xE6\x9D\xB1", "\xF0\x9F\x90\x98", "the quick brown fox", "42"};
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        float v[DIM];
        embed(trained, texts[i], v);
        assert_true(fabs(cosine(v, v) - 1) < 1e-6);
        embed(uniform, texts[i], v);
        assert_true(fabs(cosine(v, v) - 1) < 1e-6);
    }
}

static void batch_gives_what_single_texts_give(void **state)
{
    (void)state;
    static float all[CORPUS_TEXTS * DIM];
    struct jade_str s[CORPUS_TEXTS];
    struct jade_err err;
    for (unsigned i = 0; i < CORPUS_TEXTS; i++) {
        s[i] = str(corpus[i]);
    }
    MUST(jade_embed_texts(trained, s, CORPUS_TEXTS, all, &err));
    for (unsigned i = 0; i < CORPUS_TEXTS; i++) {
        float one[DIM];
        embed(trained, corpus[i], one);
        assert_memory_equal(one, all + (size_t)i * DIM, sizeof one);
    }
    MUST(jade_embed_texts(trained, s, 0, all, &err));
}

static void folded_forms_are_bit_equal(void **state)
{
    (void)state;
    expect_equal("Elephants of AFRICA", "elephants of africa");
    expect_equal("caf\xC3\xA9", "CAFE\xCC\x81");
    expect_equal("\xEF\xBC\xA1\xEF\xBC\xA2\xEF\xBC\xA3", "abc");
    expect_equal("one, two!", "  One -- TWO ");
}

/* Order only: how much nearer depends on the corpus, and that of this test is ten sentences. */
static void alike_texts_are_nearer_than_others(void **state)
{
    (void)state;
    static const struct {
        const char *text, *near, *far;
    } cases[] = {
        {"a large African mammal with a trunk",
         "massive herbivorous mammals having tusks and a long trunk", "the state of being sad"},
        {"a large African mammal with a trunk", "a large African antelope with curved horns",
         "a person who plays an instrument"},
        {"elephnat", "elephant", "telephone"}, /* letters swapped */
        {"mathematical", "mathematics", "thematic"},
        {"colour", "color", "collar"},
        {"flying machines", "a machine that flies", "a singing voice"},
        {"\xE6\x9D\xB1\xE4\xBA\xAC\xE5\xA4\xA7\xE5\xAD\xA6", "\xE6\x9D\xB1\xE4\xBA\xAC",
         "\xE5\xA4\xA7\xE9\x98\xAA"},
        {"\xF0\x9F\x90\x98 in the room", "\xF0\x9F\x90\x98", "\xF0\x9F\x90\x95"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double near = similarity(trained, cases[i].text, cases[i].near);
        double far = similarity(trained, cases[i].text, cases[i].far);
        if (near <= far) {
            print_error("\"%s\": %.3f to \"%s\", %.3f to \"%s\"\n", cases[i].text, near,
                        cases[i].near, far, cases[i].far);
        }
        assert_true(near > far);
    }
}

static void unrelated_texts_are_about_orthogonal(void **state)
{
    (void)state;
    assert_true(fabs(similarity(uniform, "zebra crossing", "quilt museum")) < 0.2);
}

static void training_takes_weight_from_common_words(void **state)
{
    (void)state;
    double before = similarity(uniform, "a trunk of the", "a horn of the");
    double after = similarity(trained, "a trunk of the", "a horn of the");
    assert_true(after < before - 0.05);
}

static void text_without_words_is_refused_by_its_place(void **state)
{
    (void)state;
    static const char *const nothing[] = {"", "   ", "...!?", "\xCC\x81", "\xE2\x80\x8B"};
    for (unsigned i = 0; i < sizeof nothing / sizeof nothing[0]; i++) {
        float out[2 * DIM];
        struct jade_err err;
        struct jade_str s[2] = {str("word"), str(nothing[i])};
        EXPECT(JADE_E_INVALID_ARGUMENT, jade_embed_texts(trained, s, 2, out, &err));
        assert_string_equal(err.field, "texts[1]");
        assert_non_null(strstr(err.message, "nothing to embed"));
    }
}

static void huge_text_is_taken_to_the_limit_and_no_further(void **state)
{
    (void)state;
    static char text[JADE_EMBED_TEXT_BYTES_MAX + 1];
    float out[DIM];
    struct jade_err err;
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (char)(i % 5 == 4 ? ' ' : 'a' + (int)(i * i / 7 % 26)); /* many features */
    }
    struct jade_str s = {text, JADE_EMBED_TEXT_BYTES_MAX};
    MUST(jade_embed_texts(trained, &s, 1, out, &err));
    assert_true(fabs(cosine(out, out) - 1) < 1e-6);
    s.n++;
    EXPECT(JADE_E_TOO_LARGE, jade_embed_texts(trained, &s, 1, out, &err));
    assert_string_equal(err.field, "texts[0]");
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    static char text[20000];
    static float out[DIM];
    struct jade_err err;
    size_t n = 0;
    while (n < sizeof text - 10) {
        n += (size_t)snprintf(text + n, sizeof text - n, "w%zu ", n);
    }
    struct jade_str s = {text, n};
    int64_t before = jade_alloc_bytes_total();
    jade_code rc = JADE_E_NOMEM;
    uint64_t at = 0;
    while (rc != JADE_OK) {
        at++;
        jade_alloc_fail_at(at);
        rc = jade_embed_texts(trained, &s, 1, out, &err);
        jade_alloc_fail_at(0);
        assert_true(rc == JADE_OK || rc == JADE_E_NOMEM);
        assert_true(jade_alloc_bytes_total() == before);
    }
    assert_true(at > 6); /* two at the start, two each time the set grew */
}

enum { THREADS = 4, ROUNDS = 50 };
static float expected[CORPUS_TEXTS * DIM];

static void *embed_often(void *arg)
{
    size_t *wrong = arg;
    for (unsigned i = 0; i < ROUNDS * CORPUS_TEXTS; i++) {
        float v[DIM];
        struct jade_str s = str(corpus[i % CORPUS_TEXTS]);
        *wrong += jade_embed_texts(trained, &s, 1, v, NULL) != JADE_OK ||
                  memcmp(v, expected + (size_t)(i % CORPUS_TEXTS) * DIM, sizeof v) != 0;
    }
    return NULL;
}

static void threads_share_a_model(void **state)
{
    (void)state;
    struct jade_err err;
    struct jade_thread threads[THREADS] = {{.started = false}};
    size_t wrong[THREADS] = {0};
    for (unsigned i = 0; i < CORPUS_TEXTS; i++) {
        embed(trained, corpus[i], expected + (size_t)i * DIM);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        MUST(jade_thread_start(&threads[i], "embed", 0, embed_often, &wrong[i], &err));
    }
    for (unsigned i = 0; i < THREADS; i++) {
        jade_thread_join(&threads[i]);
        assert_int_equal(wrong[i], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_are_the_same_for_ever),
        cmocka_unit_test(vectors_have_length_one),
        cmocka_unit_test(batch_gives_what_single_texts_give),
        cmocka_unit_test(folded_forms_are_bit_equal),
        cmocka_unit_test(alike_texts_are_nearer_than_others),
        cmocka_unit_test(unrelated_texts_are_about_orthogonal),
        cmocka_unit_test(training_takes_weight_from_common_words),
        cmocka_unit_test(text_without_words_is_refused_by_its_place),
        cmocka_unit_test(huge_text_is_taken_to_the_limit_and_no_further),
        cmocka_unit_test(every_failed_allocation_is_reported),
        cmocka_unit_test(threads_share_a_model),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
