/*
 * Tables: aligned by what a terminal shows, not by bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "cli/output.h"

static void expect(const struct jade_table *t, unsigned width, const char *want)
{
    struct jade_buf out;
    jade_buf_init(&out, JADE_TAG_TEST);
    assert_int_equal(jade_table_write(t, width, &out, NULL), JADE_OK);
    jade_buf_append_byte(&out, 0);
    assert_string_equal((const char *)out.data, want);
    jade_buf_release(&out);
}

static void table_columns_are_as_wide_as_their_widest_cell(void **state)
{
    (void)state;
    static const char *const titles[] = {"ID", ">N", "TEXT"};
    struct jade_table t;
    jade_table_init(&t, titles, 3);
    jade_table_cell_str(&t, "\xE6\x97\xA5\xE6\x9C\xAC"); /* two wide characters */
    jade_table_cell_str(&t, "5");
    jade_table_cell_str(&t, "e\xCC\x81"); /* one column: a combining accent */
    jade_table_cell_str(&t, "abc");
    jade_table_cell_str(&t, "1234");
    jade_table_cell_str(&t, "");
    expect(&t, 0, "ID       N  TEXT\n\xE6\x97\xA5\xE6\x9C\xAC     5  e\xCC\x81\nabc   1234  \n");
    jade_table_release(&t);
}

static void table_control_characters_cannot_reach_the_terminal(void **state)
{
    (void)state;
    static const char *const titles[] = {"A"};
    struct jade_table t;
    jade_table_init(&t, titles, 1);
    jade_table_cell(&t, "\x1b[2J\0\n\xC2\x9B\xFF\xE2\x80\xAE", 12);
    expect(&t, 0, "A\n?[2J?????\n");
    jade_table_release(&t);
}

static void table_last_column_is_cut_to_the_terminal(void **state)
{
    (void)state;
    static const char *const titles[] = {"A", "B"};
    struct jade_table t;
    jade_table_init(&t, titles, 2);
    jade_table_cell_str(&t, "12345");
    jade_table_cell_str(&t, "abcdefghijklmnopqrstuvwxyz");
    expect(&t, 20, "A      B\n12345  abcdefghijkl\xE2\x80\xA6\n");
    expect(&t, 5, "A      B\n12345  abcdefghijk\xE2\x80\xA6\n");
    expect(&t, 33, "A      B\n12345  abcdefghijklmnopqrstuvwxyz\n");
    jade_table_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_columns_are_as_wide_as_their_widest_cell),
        cmocka_unit_test(table_control_characters_cannot_reach_the_terminal),
        cmocka_unit_test(table_last_column_is_cut_to_the_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
