/* The choice of the level. It is made once in a process, so each case runs in a child of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "simd/simd.h"

enum { CHILD_SURPRISED = 100, CHILD_REFUSED = 50 };

/* In the child: the chosen level, CHILD_REFUSED when init refused with a message that names JADE_SIMD. */
static int run_init(void)
{
    struct jade_err err = {0};
    jade_code rc = jade_simd_init(&err);
    if (rc == JADE_E_INVALID_ARGUMENT) {
        return strcmp(err.field, "JADE_SIMD") == 0 && err.message[0] ? CHILD_REFUSED
                                                                     : CHILD_SURPRISED;
    }
    if (rc != JADE_OK || jade_simd_init(NULL) != JADE_OK) {
        return CHILD_SURPRISED;
    }
    return (int)jade_simd()->level;
}

static int run_without_init(void)
{
    return (int)jade_simd()->level;
}

static int in_child(const char *value, int (*fn)(void))
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int rc = value ? setenv("JADE_SIMD", value, 1) : unsetenv("JADE_SIMD");
        _exit(rc != 0 ? CHILD_SURPRISED : fn());
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int best_level(void)
{
    int best = JADE_SIMD_SCALAR;
    for (int level = 0; level < JADE_SIMD_LEVEL_COUNT; level++) {
        if (jade_simd_level((enum jade_simd_level)level)) {
            best = level;
        }
    }
    return best;
}

static void unset_or_empty_chooses_the_best_level(void **state)
{
    (void)state;
    assert_int_equal(in_child(NULL, run_init), best_level());
    assert_int_equal(in_child("", run_init), best_level());
    assert_int_equal(in_child(NULL, run_without_init), best_level());
}

static void each_level_can_be_forced_or_is_refused_where_missing(void **state)
{
    static const char *const words[JADE_SIMD_LEVEL_COUNT] = {"scalar", "avx2", "avx512"};
    (void)state;
    for (int level = 0; level < JADE_SIMD_LEVEL_COUNT; level++) {
        const struct jade_simd *table = jade_simd_level((enum jade_simd_level)level);
        int expected = table ? level : CHILD_REFUSED;
        assert_int_equal(in_child(words[level], run_init), expected);
        if (table) {
            assert_int_equal(table->level, level);
            assert_string_equal(table->name, words[level]);
            assert_int_equal(in_child(words[level], run_without_init), level);
        }
    }
}

static void a_bad_word_is_refused_by_name(void **state)
{
    (void)state;
    assert_int_equal(in_child("neon", run_init), CHILD_REFUSED);
    assert_int_equal(in_child("AVX2", run_init), CHILD_REFUSED);
    assert_int_equal(in_child("avx2 ", run_init), CHILD_REFUSED);
    assert_int_equal(in_child("neon", run_without_init), best_level());
}

static void a_level_outside_the_list_has_no_table(void **state)
{
    (void)state;
    assert_null(jade_simd_level(JADE_SIMD_LEVEL_COUNT));
    assert_non_null(jade_simd_level(JADE_SIMD_SCALAR));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unset_or_empty_chooses_the_best_level),
        cmocka_unit_test(each_level_can_be_forced_or_is_refused_where_missing),
        cmocka_unit_test(a_bad_word_is_refused_by_name),
        cmocka_unit_test(a_level_outside_the_list_has_no_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
