#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/assert.h"

/* Runs a condition through JADE_IMPLIES in a child; returns its wait status, its standard error in text. */
static int run_child(bool a, bool b, char *text, size_t size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        dup2(ends[1], STDERR_FILENO);
        JADE_IMPLIES(a, b);
        _exit(0);
    }
    close(ends[1]);
    size_t n = 0;
    ssize_t got = 0;
    while (n + 1 < size && (got = read(ends[0], text + n, size - 1 - n)) > 0) {
        n += (size_t)got;
    }
    text[n] = '\0';
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void assert_failure_names_the_condition_and_aborts(void **state)
{
    (void)state;
    char text[512];
    int status = run_child(true, false, text, sizeof text);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(text, "assertion failed: !(a) || (b) at "));
    assert_non_null(strstr(text, "test_assert.c:"));
}

static void assert_of_a_true_condition_is_silent(void **state)
{
    (void)state;
    char text[512];
    const bool cases[][2] = {{true, true}, {false, true}, {false, false}};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(run_child(cases[i][0], cases[i][1], text, sizeof text), 0);
        assert_string_equal(text, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(assert_failure_names_the_condition_and_aborts),
        cmocka_unit_test(assert_of_a_true_condition_is_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
