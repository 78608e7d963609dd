#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "jade/code.h"

#define CODE_VALUE(symbol, number, name, http, category, retryable, text) symbol,
static const jade_code codes[] = {JADE_CODES(CODE_VALUE)};
enum { N_CODES = sizeof codes / sizeof codes[0] };

static void code_gives_the_words_of_its_row(void **state)
{
    (void)state;
    assert_string_equal(jade_code_name(JADE_E_DIMENSION_MISMATCH), "DIMENSION_MISMATCH");
    assert_string_equal(jade_code_category(JADE_E_BUSY), "transient");
    assert_string_equal(jade_code_text(JADE_E_LOCKED), "another process holds the data folder");
    assert_int_equal(jade_code_http(JADE_E_NOSPACE), 507);
    assert_true(jade_code_retryable(JADE_E_NOMEM));
    assert_false(jade_code_retryable(JADE_E_CORRUPT));
    assert_string_equal(jade_code_name(JADE_OK), "OK");
    assert_int_equal(jade_code_http(JADE_OK), 200);
}

static void code_numbers_and_names_are_unique(void **state)
{
    (void)state;
    for (int i = 0; i < N_CODES; i++) {
        assert_true(i == 0 ? codes[i] == JADE_OK : codes[i] < 0);
        for (int j = 0; j < i; j++) {
            assert_int_not_equal(codes[i], codes[j]);
            assert_string_not_equal(jade_code_name(codes[i]), jade_code_name(codes[j]));
        }
    }
}

static void code_rows_agree_with_themselves(void **state)
{
    (void)state;
    for (int i = 1; i < N_CODES; i++) {
        int http = jade_code_http(codes[i]);
        const char *category = jade_code_category(codes[i]);
        assert_in_range(http, 400, 599);
        /* A caller's mistake is a 4xx and sending it again changes nothing; a transient fault is a 5xx. */
        if (strcmp(category, "permanent") == 0) {
            assert_false(jade_code_retryable(codes[i]));
            assert_true(http < 500 || codes[i] == JADE_E_NOT_SUPPORTED_YET);
        } else if (strcmp(category, "transient") == 0) {
            assert_true(jade_code_retryable(codes[i]));
            assert_true(http >= 500);
        } else {
            assert_true(strcmp(category, "system") == 0 || strcmp(category, "application") == 0);
        }
    }
}

static void code_of_no_row_is_unknown(void **state)
{
    (void)state;
    jade_code stranger = (jade_code)-9999;
    assert_string_equal(jade_code_name(stranger), "UNKNOWN");
    assert_int_equal(jade_code_http(stranger), 500);
    assert_false(jade_code_retryable(stranger));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(code_gives_the_words_of_its_row),
        cmocka_unit_test(code_numbers_and_names_are_unique),
        cmocka_unit_test(code_rows_agree_with_themselves),
        cmocka_unit_test(code_of_no_row_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
