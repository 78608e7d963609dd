#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/utf8.h"

static void err_carries_code_field_place_and_message(void **state)
{
    (void)state;
    struct jade_err err = {0};
    int line = __LINE__;
    jade_code rc =
        jade_fail_field(&err, JADE_E_TOO_LARGE, "values", "%d numbers, at most %d", 9, 4);
    assert_int_equal(rc, JADE_E_TOO_LARGE);
    assert_int_equal(err.code, JADE_E_TOO_LARGE);
    assert_string_equal(err.field, "values");
    assert_string_equal(err.message, "9 numbers, at most 4");
    assert_in_range(err.line, line + 1, line + 2); /* the call may take two lines */
    assert_non_null(strstr(err.file, "test_err.c"));
    assert_int_equal(err.os_errno, 0);
}

static void err_struct_may_be_absent(void **state)
{
    (void)state;
    assert_int_equal(jade_fail(NULL, JADE_E_IO, "x"), JADE_E_IO);
    assert_int_equal(jade_err_wrap(NULL, JADE_E_IO, "x"), JADE_E_IO);
    jade_err_prefix_field(NULL, "x");
}

static void err_errno_text_is_appended_and_errno_kept(void **state)
{
    (void)state;
    struct jade_err err = {0};
    errno = EAGAIN;
    jade_fail_errno(&err, JADE_E_IO, ENOSPC, "writing %s", "wal");
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(err.os_errno, ENOSPC);
    assert_string_equal(err.message, "writing wal: No space left on device");
}

static void err_place_leaves_out_the_build_folder(void **state)
{
    (void)state;
    struct jade_err err = {0};
    jade_err_set(&err, JADE_E_IO, 0, NULL, "/home/src/tree/src/store/wal.c", 7, "x");
    assert_string_equal(err.file, "store/wal.c");
}

static void err_wrap_puts_outer_context_first(void **state)
{
    (void)state;
    struct jade_err err = {0};
    jade_fail(&err, JADE_E_CORRUPT, "bad checksum");
    assert_int_equal(jade_err_wrap(&err, JADE_E_IO, "block %d", 3), JADE_E_CORRUPT);
    assert_int_equal(jade_err_wrap(&err, JADE_E_IO, "opening segment %d", 7), JADE_E_CORRUPT);
    assert_string_equal(err.message, "opening segment 7: block 3: bad checksum");
}

static void err_wrap_of_an_empty_struct_sets_the_code(void **state)
{
    (void)state;
    struct jade_err err = {0};
    assert_int_equal(jade_err_wrap(&err, JADE_E_IO, "alone"), JADE_E_IO);
    assert_int_equal(err.code, JADE_E_IO);
    assert_string_equal(err.message, "alone");
}

/* Whatever the lengths are: terminated, within the array, whole code points, and dots where it was cut. */
static void err_long_texts_are_cut_at_a_code_point(void **state)
{
    (void)state;
    char text[400];
    for (size_t shift = 0; shift < 4; shift++) {
        struct jade_err err = {0};
        memset(text, 'a', sizeof text);
        for (size_t i = shift; i + 4 < sizeof text; i += 4) {
            memcpy(text + i, "\xF0\x9F\x92\x8E", 4); /* a gem */
        }
        text[sizeof text - 1] = '\0';
        jade_fail_field(&err, JADE_E_INTERNAL, text, "%s", text);
        size_t n = strlen(err.message);
        assert_in_range(n, JADE_ERR_MESSAGE_SIZE - 8, JADE_ERR_MESSAGE_SIZE - 1);
        assert_true(jade_utf8_valid(err.message, n));
        assert_string_equal(err.message + n - 3, "...");
        n = strlen(err.field);
        assert_in_range(n, JADE_ERR_FIELD_SIZE - 8, JADE_ERR_FIELD_SIZE - 1);
        assert_true(jade_utf8_valid(err.field, n));
        assert_string_equal(err.field + n - 3, "...");
    }
}

static void err_wrap_never_loses_the_cause(void **state)
{
    (void)state;
    char context[300];
    memset(context, 'c', sizeof context - 1);
    context[sizeof context - 1] = '\0';
    for (int cause_len = 0; cause_len < JADE_ERR_MESSAGE_SIZE; cause_len++) {
        struct jade_err err = {0};
        jade_fail(&err, JADE_E_IO, "%.*s", cause_len, "CAUSE and more of it");
        jade_err_wrap(&err, JADE_E_IO, "%s", context);
        assert_true(strlen(err.message) < JADE_ERR_MESSAGE_SIZE);
        if (cause_len >= 5) {
            assert_non_null(strstr(err.message, "...: CAUSE"));
        }
    }
    struct jade_err err = {0};
    memset(context, 'x', JADE_ERR_MESSAGE_SIZE - 1);
    context[JADE_ERR_MESSAGE_SIZE - 1] = '\0';
    jade_fail(&err, JADE_E_IO, "%s", context);
    jade_err_wrap(&err, JADE_E_IO, "%s", "opening");
    assert_int_equal(strncmp(err.message, "opening: xxx", 12), 0);
    assert_int_equal(strlen(err.message), JADE_ERR_MESSAGE_SIZE - 1);
    assert_string_equal(err.message + JADE_ERR_MESSAGE_SIZE - 4, "...");
}

static void err_field_prefixes_join_by_kind(void **state)
{
    (void)state;
    struct jade_err err = {0};
    jade_fail_field(&err, JADE_E_INVALID_ARGUMENT, "values", "x");
    jade_err_prefix_field(&err, "vectors[3]");
    assert_string_equal(err.field, "vectors[3].values");
    jade_fail_field(&err, JADE_E_INVALID_ARGUMENT, "[3]", "x");
    jade_err_prefix_field(&err, "vectors");
    assert_string_equal(err.field, "vectors[3]");
    jade_fail(&err, JADE_E_INVALID_ARGUMENT, "x");
    jade_err_prefix_field(&err, "vectors");
    assert_string_equal(err.field, "vectors");
    jade_err_prefix_field(&err, "");
    assert_string_equal(err.field, "vectors");
}

static jade_code fails_at(int at, int *reached, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    for (*reached = 0; *reached < 5; ++*reached) {
        JADE_TRY(*reached == at ? jade_fail(err, JADE_E_BUSY, "at %d", at) : JADE_OK);
    }
out:
    return rc;
}

static void try_leaves_at_the_first_error(void **state)
{
    (void)state;
    struct jade_err err = {0};
    int reached = 0;
    assert_int_equal(fails_at(3, &reached, &err), JADE_E_BUSY);
    assert_int_equal(reached, 3);
    assert_string_equal(err.message, "at 3");
    assert_int_equal(fails_at(-1, &reached, &err), JADE_OK);
    assert_int_equal(reached, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(err_carries_code_field_place_and_message),
        cmocka_unit_test(err_struct_may_be_absent),
        cmocka_unit_test(err_errno_text_is_appended_and_errno_kept),
        cmocka_unit_test(err_place_leaves_out_the_build_folder),
        cmocka_unit_test(err_wrap_puts_outer_context_first),
        cmocka_unit_test(err_wrap_of_an_empty_struct_sets_the_code),
        cmocka_unit_test(err_long_texts_are_cut_at_a_code_point),
        cmocka_unit_test(err_wrap_never_loses_the_cause),
        cmocka_unit_test(err_field_prefixes_join_by_kind),
        cmocka_unit_test(try_leaves_at_the_first_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
