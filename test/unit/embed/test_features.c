#include "embed_test.h"

struct counts {
    size_t distinct[JADEI_KIND_COUNT];
    size_t all[JADEI_KIND_COUNT];
};

static struct counts counts_of(struct jadei_features *f, const char *text)
{
    struct jade_err err;
    struct counts c = {0};
    MUST(jadei_features_of(f, str(text), "text", &err));
    for (size_t i = 0; i < f->n_used; i++) {
        const struct jadei_feature *x = jadei_features_at(f, i);
        assert_true(x->hash != 0 && x->count > 0 && x->kind < JADEI_KIND_COUNT);
        c.distinct[x->kind]++;
        c.all[x->kind] += x->count;
    }
    return c;
}

static void words_pairs_and_ngrams_are_counted(void **state)
{
    (void)state;
    struct jade_err err;
    struct jadei_features f;
    MUST(jadei_features_init(&f, &err));
    struct counts c = counts_of(&f, "cat cat dog");
    assert_int_equal(c.distinct[JADEI_KIND_WORD], 2);
    assert_int_equal(c.all[JADEI_KIND_WORD], 3);
    assert_int_equal(c.distinct[JADEI_KIND_PAIR], 2); /* cat cat, cat dog */
    /* ^cat$: three of 3 and two of 4 characters. */
    assert_int_equal(c.distinct[JADEI_KIND_CHAR], 10);
    assert_int_equal(c.all[JADEI_KIND_CHAR], 15);
    jadei_features_release(&f);
}

static void ideographs_give_singles_pairs_and_triples(void **state)
{
    (void)state;
    struct jade_err err;
    struct jadei_features f;
    MUST(jadei_features_init(&f, &err));
    struct counts c = counts_of(&f, "\xE6\x9D\xB1\xE4\xBA\xAC\xE5\xA4\xA7"); /* three */
    assert_int_equal(c.all[JADEI_KIND_CHAR], 3);
    assert_int_equal(c.all[JADEI_KIND_WORD], 3); /* the first alone, two pairs */
    assert_int_equal(c.all[JADEI_KIND_PAIR], 1);
    c = counts_of(&f, "\xE6\x9D\xB1 \xE4\xBA\xAC"); /* apart: no pair */
    assert_int_equal(c.all[JADEI_KIND_WORD], 2);
    assert_int_equal(c.all[JADEI_KIND_PAIR], 0);
    jadei_features_release(&f);
}

static void nothing_of_the_text_before_is_left(void **state)
{
    (void)state;
    struct jade_err err;
    struct jadei_features f;
    MUST(jadei_features_init(&f, &err));
    (void)counts_of(&f, "the quick brown fox jumps over the lazy dog");
    struct counts c = counts_of(&f, "cat");
    assert_int_equal(f.n_used, 1 + 5);
    assert_int_equal(c.all[JADEI_KIND_WORD], 1);
    assert_int_equal(c.all[JADEI_KIND_PAIR], 0); /* dog cat is no pair */
    c = counts_of(&f, "");
    assert_int_equal(f.n_used, 0);
    jadei_features_release(&f);
}

static void set_grows_and_loses_nothing(void **state)
{
    (void)state;
    enum { WORDS = 5000 };
    static char text[JADE_EMBED_TEXT_BYTES_MAX];
    struct jade_err err;
    struct jadei_features f;
    size_t n = 0;
    for (unsigned i = 0; i < WORDS; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "w%u ", i);
    }
    MUST(jadei_features_init(&f, &err));
    struct counts c = counts_of(&f, text);
    assert_int_equal(c.distinct[JADEI_KIND_WORD], WORDS);
    assert_int_equal(c.distinct[JADEI_KIND_PAIR], WORDS - 1);
    c = counts_of(&f, text); /* again, in the grown set */
    assert_int_equal(c.all[JADEI_KIND_WORD], WORDS);
    jadei_features_release(&f);
}

static void text_that_cannot_be_taken_is_refused_by_field(void **state)
{
    (void)state;
    static char text[JADE_EMBED_TEXT_BYTES_MAX + 1];
    struct jade_err err;
    struct jadei_features f;
    memset(text, 'a', sizeof text);
    MUST(jadei_features_init(&f, &err));
    MUST(jadei_features_of(&f, (struct jade_str){text, sizeof text - 1}, "text", &err));
    EXPECT(JADE_E_TOO_LARGE,
           jadei_features_of(&f, (struct jade_str){text, sizeof text}, "body", &err));
    assert_string_equal(err.field, "body");
    EXPECT(JADE_E_INVALID_ARGUMENT, jadei_features_of(&f, str("a\xFF"), "body", &err));
    assert_string_equal(err.field, "body");
    EXPECT(JADE_E_INVALID_ARGUMENT,
           jadei_features_of(&f, str("\xED\xA0\x80"), "body", &err)); /* a surrogate */
    jadei_features_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_pairs_and_ngrams_are_counted),
        cmocka_unit_test(ideographs_give_singles_pairs_and_triples),
        cmocka_unit_test(nothing_of_the_text_before_is_left),
        cmocka_unit_test(set_grows_and_loses_nothing),
        cmocka_unit_test(text_that_cannot_be_taken_is_refused_by_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
