/*
 * The command line: what is understood, and what is refused before anything is sent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "cli/args.h"

static const struct jade_option options[] = {
    {"vector", 'v', "V", "a vector"},
    {"top-k", 'k', "N", "how many"},
    {"yes", 'y', NULL, "a flag"},
    {NULL, 0, NULL, NULL},
};
static const struct jade_command commands[] = {
    {"search", "DB", 1, 1, "finds", options, NULL, NULL},
    {"thing make", "A [B]", 1, 2, "makes", NULL, NULL, NULL},
    {"thing list", "", 0, 0, "lists", NULL, NULL, NULL},
    {NULL, NULL, 0, 0, NULL, NULL, NULL, NULL},
};
static const struct jade_command *const tables[] = {commands};

enum { WORDS_MAX = 12 };

static jade_code parse(struct jade_args *a, struct jade_err *err, ...)
{
    static char program[] = "jade-db";
    char *argv[WORDS_MAX] = {program};
    int argc = 1;
    va_list words;
    va_start(words, err);
    for (char *word; (word = va_arg(words, char *)) != NULL;) {
        assert_true(argc < WORDS_MAX);
        argv[argc++] = word;
    }
    va_end(words);
    return jade_args_parse(a, tables, 1, argc, argv, err);
}

static void args_options_stand_anywhere_and_values_may_begin_with_a_dash(void **state)
{
    (void)state;
    struct jade_args a;
    assert_int_equal(parse(&a, NULL, "-o", "json", "search", "--vector", "-1", "db", "-k=3", NULL),
                     JADE_E_INVALID_ARGUMENT); /* a letter takes no '=' */
    jade_args_release(&a);
    assert_int_equal(parse(&a, NULL, "-o", "json", "search", "--vector", "-1", "db", "--top-k=3",
                           "--url", "u", "-y", NULL),
                     JADE_OK);
    assert_string_equal(a.command->name, "search");
    assert_string_equal(a.global[JADE_GLOBAL_OUTPUT], "json");
    assert_string_equal(a.global[JADE_GLOBAL_URL], "u");
    assert_string_equal(jade_args_get(&a, "vector"), "-1");
    assert_true(jade_args_flag(&a, "yes"));
    assert_int_equal(a.n_operands, 1);
    assert_string_equal(a.operand[0], "db");
    uint64_t k = 0;
    assert_int_equal(jade_args_u64(&a, "top-k", 1, 10, &k, NULL), JADE_OK);
    assert_int_equal(k, 3);
    jade_args_release(&a);
}

static void args_two_dashes_end_the_options(void **state)
{
    (void)state;
    struct jade_args a;
    assert_int_equal(parse(&a, NULL, "thing", "make", "--", "--yes", "-", NULL), JADE_OK);
    assert_int_equal(a.n_operands, 2);
    assert_string_equal(a.operand[0], "--yes");
    assert_string_equal(a.operand[1], "-");
    jade_args_release(&a);
}

static void args_mistakes_name_the_word(void **state)
{
    (void)state;
    static const struct {
        char *words[4];
        const char *field;
    } cases[] = {
        {{"nothing"}, "nothing"},
        {{"thing"}, "thing"},
        {{"thing", "eat"}, "eat"},
        {{"search"}, "search"},
        {{"search", "a", "b"}, "b"},
        {{"search", "a", "--color"}, "--color"},
        {{"search", "a", "--vector"}, "--vector"},
        {{"search", "a", "--yes=1"}, "--yes=1"},
        {{"--yes", "search", "a"}, "--yes"},
        {{NULL}, "command"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct jade_args a;
        struct jade_err err = {0};
        char *const *w = cases[i].words;
        assert_int_equal(parse(&a, &err, w[0], w[1], w[2], w[3], NULL), JADE_E_INVALID_ARGUMENT);
        assert_string_equal(err.field, cases[i].field);
        jade_args_release(&a);
    }
}

static void args_an_option_given_twice_is_refused(void **state)
{
    (void)state;
    struct jade_args a;
    struct jade_err err = {0};
    assert_int_equal(parse(&a, &err, "search", "a", "-k", "1", "--top-k", "2", NULL),
                     JADE_E_INVALID_ARGUMENT);
    assert_string_equal(err.message, "given twice");
    jade_args_release(&a);
}

static void args_numbers_out_of_range_or_shape_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "0", "11", "-1", "+1", " 1", "1x", "", "1.0", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct jade_args a;
        struct jade_err err = {0};
        uint64_t k = 7;
        assert_int_equal(parse(&a, NULL, "search", "a", "-k", bad[i], NULL), JADE_OK);
        assert_int_equal(jade_args_u64(&a, "top-k", 1, 10, &k, &err), JADE_E_INVALID_ARGUMENT);
        assert_string_equal(err.field, "top-k");
        assert_int_equal(k, 7);
        jade_args_release(&a);
    }
    static const char *const no_number[] = {"nan", "inf", "x", "", "1e999", " 1", "0.5 "};
    for (size_t i = 0; i < sizeof no_number / sizeof no_number[0]; i++) {
        struct jade_args a;
        double v = 0;
        bool given = false;
        assert_int_equal(parse(&a, NULL, "search", "a", "-k", no_number[i], NULL), JADE_OK);
        assert_int_equal(jade_args_f64(&a, "top-k", &v, &given, NULL), JADE_E_INVALID_ARGUMENT);
        jade_args_release(&a);
    }
}

static void args_help_needs_no_operands(void **state)
{
    (void)state;
    struct jade_args a;
    assert_int_equal(parse(&a, NULL, "search", "--help", NULL), JADE_OK);
    assert_string_equal(a.command->name, "search");
    jade_args_release(&a);
    assert_int_equal(parse(&a, NULL, "help", "thing", NULL), JADE_OK);
    assert_string_equal(a.group, "thing");
    assert_non_null(a.global[JADE_GLOBAL_HELP]);
    jade_args_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(args_options_stand_anywhere_and_values_may_begin_with_a_dash),
        cmocka_unit_test(args_two_dashes_end_the_options),
        cmocka_unit_test(args_mistakes_name_the_word),
        cmocka_unit_test(args_an_option_given_twice_is_refused),
        cmocka_unit_test(args_numbers_out_of_range_or_shape_are_refused),
        cmocka_unit_test(args_help_needs_no_operands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
