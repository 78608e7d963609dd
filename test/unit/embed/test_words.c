#include "embed_test.h"

/* Words joined by '|'; '~' before an ideograph that directly follows another. */
struct seen {
    char text[8192];
    size_t n;
    unsigned fail_at; /* the call that answers JADE_E_NOMEM, 0 = none */
    unsigned calls;
};

static jade_code on_word(void *ctx, const struct jadei_word *w, struct jade_err *err)
{
    struct seen *s = ctx;
    s->calls++;
    if (s->calls == s->fail_at) {
        return jade_fail(err, JADE_E_NOMEM, "stop");
    }
    assert_in_range(w->n_points, 3, JADE_EMBED_WORD_POINTS_MAX + 2);
    assert_int_equal(w->bytes[0], 0x02);
    assert_int_equal(w->bytes[w->start[w->n_points] - 1], 0x03);
    assert_true(!w->joined || w->ideographic);
    size_t n = (size_t)w->start[w->n_points] - 2;
    if (s->n + n + 3 < sizeof s->text) {
        s->n +=
            (size_t)snprintf(s->text + s->n, sizeof s->text - s->n, "%s%s%.*s", s->n > 0 ? "|" : "",
                             w->joined ? "~" : "", (int)n, (const char *)w->bytes + 1);
    }
    return JADE_OK;
}

static struct seen split_n(const char *text, size_t n)
{
    struct jade_err err;
    struct seen s = {.n = 0};
    MUST(jadei_words_each((struct jade_str){.p = text, .n = n}, on_word, &s, &err));
    return s;
}

static void expect_words(const char *text, const char *want)
{
    struct seen s = split_n(text, strlen(text));
    assert_string_equal(s.text, want);
}

static void words_are_runs_of_letters_and_digits(void **state)
{
    (void)state;
    expect_words("Hello, World-42!", "hello|world|42");
    expect_words("  x  ", "x");
    expect_words("", "");
    expect_words(" \t\n.,;:!?()", "");
    expect_words("don't", "don|t");
}

static void words_fold_case_width_and_compatibility(void **state)
{
    (void)state;
    expect_words("\xEF\xBC\xA1\xEF\xBC\xA2\xEF\xBC\xA3", "abc"); /* fullwidth ABC */
    expect_words("\xEF\xAC\x81ne", "fine");                      /* ligature fi */
    expect_words("STRASSE Stra\xC3\x9F"
                 "e",
                 "strasse|strasse");
    expect_words("\xCE\xA3\xCE\x91\xCE\xA3 \xCF\x83\xCE\xB1\xCF\x82",
                 "\xCF\x83\xCE\xB1\xCF\x83|\xCF\x83\xCE\xB1\xCF\x83");
    expect_words("x\xC2\xB2", "x2");                                      /* superscript two */
    expect_words("\xEF\xBD\xB6", "\xE3\x82\xAB");                         /* halfwidth KA */
    expect_words("co\xC2\xADop", "coop");                                 /* soft hyphen */
    expect_words("\xD0\x9C\xD0\x98\xD0\xA0", "\xD0\xBC\xD0\xB8\xD1\x80"); /* MIR in Cyrillic */
}

static void words_are_equal_composed_and_decomposed(void **state)
{
    (void)state;
    expect_words("caf\xC3\xA9", "caf\xC3\xA9");
    expect_words("cafe\xCC\x81", "caf\xC3\xA9");
    expect_words("\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB", "\xED\x95\x9C"); /* Hangul jamo: HAN */
}

static void ideographs_stand_alone_and_know_their_run(void **state)
{
    (void)state;
    expect_words("\xE6\x9D\xB1\xE4\xBA\xAC \xE3\x82\xBF\xE3\x83\xAF",
                 "\xE6\x9D\xB1|~\xE4\xBA\xAC|\xE3\x82\xBF|~\xE3\x83\xAF");
    expect_words("AI\xE6\x9D\xB1x\xE4\xBA\xAC", "ai|\xE6\x9D\xB1|x|\xE4\xBA\xAC");
    expect_words("\xE6\x9D\xB1\xE3\x80\x82\xE4\xBA\xAC",
                 "\xE6\x9D\xB1|\xE4\xBA\xAC");            /* ideographic full stop between */
    expect_words("\xF0\xA0\x80\x80", "\xF0\xA0\x80\x80"); /* beyond the first plane */
}

static void symbols_are_words_and_lone_marks_are_not(void **state)
{
    (void)state;
    expect_words("\xF0\x9F\x90\x98\xF0\x9F\x90\x98",
                 "\xF0\x9F\x90\x98|\xF0\x9F\x90\x98");        /* two elephants */
    expect_words("\xE2\x9D\xA4\xEF\xB8\x8F", "\xE2\x9D\xA4"); /* heart, variation selector */
    expect_words("\xCC\x81 \xCC\x81", "");
    expect_words("\xE2\x82\xAC 5", "5"); /* a currency sign is punctuation here */
}

static void bytes_that_end_a_word_include_nul(void **state)
{
    (void)state;
    assert_string_equal(split_n("a\0b", 3).text, "a|b");
}

static void long_word_goes_on_as_the_next(void **state)
{
    (void)state;
    char text[JADE_EMBED_WORD_POINTS_MAX * 2 + 6];
    memset(text, 'a', sizeof text);
    struct seen s = split_n(text, sizeof text - 1);
    assert_int_equal(s.calls, 3);
    assert_string_equal(strrchr(s.text, '|'), "|aaaaa");
}

/* Longer than one piece of folding, with a decomposed letter wherever the cut may fall. */
static void folding_does_not_depend_on_where_a_piece_ends(void **state)
{
    (void)state;
    static char composed[8192], decomposed[8192];
    for (unsigned shift = 0; shift < 5; shift++) {
        size_t n = 0, m = 0;
        for (unsigned i = 0; i < shift; i++) {
            composed[n++] = decomposed[m++] = 'x';
        }
        for (unsigned i = 0; i < 1000; i++) {
            memcpy(composed + n, "\xC3\xA9", 2);
            memcpy(decomposed + m, "e\xCC\x81", 3);
            n += 2;
            m += 3;
        }
        struct seen a = split_n(composed, n);
        struct seen b = split_n(decomposed, m);
        assert_string_equal(a.text, b.text);
        assert_true(a.calls >= 1000 / JADE_EMBED_WORD_POINTS_MAX);
    }
}

static void ascii_piece_leaves_a_letter_to_its_mark(void **state)
{
    (void)state;
    char text[1027];
    memset(text, 'a', 1024);
    memcpy(text + 1024, "\xCC\x81", 3);
    struct seen s = split_n(text, 1026);
    assert_string_equal(s.text + s.n - 2, "\xC3\xA1");
}

/* Alternating classes are what canonical reordering likes least; unbounded it would swap a hundred million times. */
static void text_of_marks_alone_is_cut_in_pieces(void **state)
{
    (void)state;
    static char text[JADE_EMBED_TEXT_BYTES_MAX];
    text[0] = text[1] = 'a';
    for (size_t i = 2; i < sizeof text; i += 4) {
        memcpy(text + i, "\xCC\x81\xCC\x96", i + 4 <= sizeof text ? 4 : 2);
    }
    assert_true(split_n(text, sizeof text).calls > 100);
}

static void most_expanding_code_point_fits_a_piece(void **state)
{
    (void)state;
    static char text[3 * 400];
    for (size_t i = 0; i < sizeof text; i += 3) {
        memcpy(text + i, "\xEF\xB7\xBA", 3); /* U+FDFA: 18 code points */
    }
    assert_true(split_n(text, sizeof text).calls >= 400 * 3);
}

static void error_of_the_receiver_stops(void **state)
{
    (void)state;
    static const char *const texts[] = {"one two three", "\xE6\x9D\xB1\xE4\xBA\xAC\xE6\x9D\xB1",
                                        "\xC3\xA9 \xC3\xA9 \xC3\xA9",
                                        "\xC3\xA9\xE6\x9D\xB1\xE4\xBA\xAC"};
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        for (unsigned at = 1; at <= 3; at++) {
            struct jade_err err;
            struct seen s = {.fail_at = at};
            EXPECT(JADE_E_NOMEM, jadei_words_each(str(texts[i]), on_word, &s, &err));
            assert_int_equal(s.calls, at);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_runs_of_letters_and_digits),
        cmocka_unit_test(words_fold_case_width_and_compatibility),
        cmocka_unit_test(words_are_equal_composed_and_decomposed),
        cmocka_unit_test(ideographs_stand_alone_and_know_their_run),
        cmocka_unit_test(symbols_are_words_and_lone_marks_are_not),
        cmocka_unit_test(bytes_that_end_a_word_include_nul),
        cmocka_unit_test(long_word_goes_on_as_the_next),
        cmocka_unit_test(folding_does_not_depend_on_where_a_piece_ends),
        cmocka_unit_test(ascii_piece_leaves_a_letter_to_its_mark),
        cmocka_unit_test(text_of_marks_alone_is_cut_in_pieces),
        cmocka_unit_test(most_expanding_code_point_fits_a_piece),
        cmocka_unit_test(error_of_the_receiver_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
