/*
 * Rows to import: good ones as they stand, bad ones with line and reason, whatever stands between.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cli/source.h"
#include "support/temp_folder.h"

static char folder[JADE_PATH_MAX];
static char path[JADE_PATH_MAX];

static int setup(void **state)
{
    (void)state;
    temp_folder_make(folder);
    assert_int_equal(jade_path_join(path, folder, "rows", NULL), JADE_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    temp_folder_remove(folder);
    return 0;
}

static void write_file(const char *name, const void *bytes, size_t n)
{
    assert_int_equal(jade_os_replace(jade_os_posix(), name, bytes, n, NULL), JADE_OK);
}

static struct jade_row next(struct jade_source *s)
{
    struct jade_row row;
    assert_int_equal(jade_source_next(s, &row, NULL), JADE_OK);
    return row;
}

static void source_bad_lines_are_told_with_number_and_reason(void **state)
{
    (void)state;
    static const struct {
        const char *line, *field;
        jade_code code; /* JADE_OK: a good one */
    } lines[] = {
        {"{\"id\":\"a\",\"values\":[1,2]}", "", JADE_OK},
        {"{\"id\":\"b\",\"values\":[1,2,3]}", "values", JADE_E_DIMENSION_MISMATCH},
        {"{\"id\":\"c\",\"values\":[1,\"x\"]}", "values[1]", JADE_E_INVALID_ARGUMENT},
        {"{\"id\":\"d\",\"values\":[1,1e39]}", "values[1]", JADE_E_INVALID_ARGUMENT},
        {"{\"id\":\"e\"}", "values", JADE_E_INVALID_ARGUMENT},
        {"{\"id\":\"f\",\"values\":[1,2]", "", JADE_E_INVALID_JSON},
        {"[1,2]", "", JADE_E_INVALID_ARGUMENT},
        {"{\"id\":1.5,\"values\":[1,2]}", "id", JADE_E_INVALID_ARGUMENT},
        {"{\"id\":\"\",\"values\":[1,2]}", "id", JADE_E_INVALID_ARGUMENT},
        {"{\"id\":\"g\",\"values\":[1,2],\"metadata\":[]}", "metadata", JADE_E_INVALID_ARGUMENT},
        {"{\"text\":\"words\",\"metadata\":{\"k\":1}}", "", JADE_OK},
    };
    struct jade_buf file;
    struct jade_source s;
    jade_buf_init(&file, JADE_TAG_TEST);
    jade_buf_append_str(&file, "\xEF\xBB\xBF");
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        jade_buf_append_str(&file, lines[i].line);
        jade_buf_append_str(&file, i % 2 ? "\r\n\n" : "\n  \n"); /* blank lines count as lines */
    }
    write_file(path, file.data, file.len);
    assert_int_equal(jade_source_open(&s, path, NULL, NULL), JADE_OK);
    s.dimension = 2;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct jade_row row = next(&s);
        assert_int_equal(row.number, 2 * i + 1);
        assert_int_equal(row.why.code, lines[i].code);
        assert_string_equal(row.why.field, lines[i].field);
        assert_int_equal(row.kind, lines[i].code == JADE_OK ? JADE_ROW_GOOD : JADE_ROW_BAD);
        if (row.kind == JADE_ROW_GOOD) {
            assert_int_equal(row.n, strlen(lines[i].line));
            assert_memory_equal(row.json, lines[i].line, row.n);
        }
    }
    assert_int_equal(next(&s).kind, JADE_ROW_END);
    assert_int_equal(next(&s).kind, JADE_ROW_END);
    assert_int_equal(s.in.taken, file.len);
    jade_source_close(&s);
    jade_buf_release(&file);
}

static void source_first_row_tells_the_dimension_when_none_is_given(void **state)
{
    (void)state;
    static const char text[] =
        "{\"values\":[1,2,3]}\n{\"values\":[]}\n{\"values\":5}\n{\"text\":\"t\"}";
    struct jade_source s;
    write_file(path, text, sizeof text - 1);
    assert_int_equal(jade_source_open(&s, path, NULL, NULL), JADE_OK);
    struct jade_row row = next(&s);
    assert_int_equal(row.dimension, 3);
    assert_string_equal(row.id, "");
    assert_int_equal(next(&s).kind, JADE_ROW_BAD);
    assert_int_equal(next(&s).kind, JADE_ROW_BAD);
    row = next(&s); /* the last line needs no end */
    assert_int_equal(row.kind, JADE_ROW_GOOD);
    assert_int_equal(row.dimension, 0);
    jade_source_close(&s);
}

static void source_integer_ids_are_their_decimal_text(void **state)
{
    (void)state;
    static const char file[] = "{\"id\":7,\"values\":[1]}\n{\"id\":-3,\"values\":[1]}\n"
                               "{\"id\":18446744073709551615,\"values\":[1]}\n";
    static const char *const ids[] = {"7", "-3", "18446744073709551615"};
    struct jade_source s;
    write_file(path, file, sizeof file - 1);
    assert_int_equal(jade_source_open(&s, path, NULL, NULL), JADE_OK);
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        struct jade_row row = next(&s);
        assert_int_equal(row.kind, JADE_ROW_GOOD);
        assert_int_equal(row.id_len, strlen(ids[i]));
        assert_memory_equal(row.id, ids[i], row.id_len);
    }
    jade_source_close(&s);
}

static void source_line_that_is_too_long_is_skipped_whole(void **state)
{
    (void)state;
    static const char good[] = "{\"id\":\"a\",\"text\":\"t\"}\n";
    size_t lengths[] = {JADE_INPUT_LINE_MAX + 1, 3u * JADE_INPUT_LINE_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct jade_source s;
        size_t n = lengths[i] + 1 + sizeof good - 1;
        char *file = malloc(n);
        assert_non_null(file);
        memset(file, 'x', lengths[i]);
        file[lengths[i]] = '\n';
        memcpy(file + lengths[i] + 1, good, sizeof good - 1);
        write_file(path, file, n);
        free(file);
        assert_int_equal(jade_source_open(&s, path, NULL, NULL), JADE_OK);
        struct jade_row row = next(&s);
        assert_int_equal(row.kind, JADE_ROW_BAD);
        assert_int_equal(row.why.code, JADE_E_TOO_LARGE);
        row = next(&s);
        assert_int_equal(row.kind, JADE_ROW_GOOD);
        assert_int_equal(row.number, 2);
        assert_int_equal(next(&s).kind, JADE_ROW_END);
        jade_source_close(&s);
    }
}

static void write_array(const float *rows, size_t n, size_t columns)
{
    struct jade_buf file;
    char dict[119];
    memset(dict, ' ', sizeof dict);
    int len =
        snprintf(dict, sizeof dict,
                 "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", n, columns);
    dict[len] = ' ';
    dict[sizeof dict - 1] = '\n';
    jade_buf_init(&file, JADE_TAG_TEST);
    jade_buf_append(&file, "\x93NUMPY\x01\x00\x77\x00", 10); /* 0x77 = 119 */
    jade_buf_append(&file, dict, sizeof dict);
    jade_buf_append(&file, rows, n * columns * sizeof *rows);
    write_file(path, file.data, file.len);
    jade_buf_release(&file);
}

static void source_array_rows_become_vectors_with_ids(void **state)
{
    (void)state;
    const float rows[] = {1, 2, 0.5f, -3, 0, 0};
    char ids[JADE_PATH_MAX];
    struct jade_source s;
    write_array(rows, 3, 2);
    assert_int_equal(jade_source_open(&s, path, NULL, NULL), JADE_OK);
    s.dimension = 2;
    struct jade_row row = next(&s);
    assert_memory_equal(row.json, "{\"id\":\"0\",\"values\":[1,2]}", row.n);
    row = next(&s);
    assert_memory_equal(row.json, "{\"id\":\"1\",\"values\":[0.5,-3]}", row.n);
    jade_source_close(&s);

    assert_int_equal(jade_path_join(ids, folder, "ids", NULL), JADE_OK);
    write_file(ids, "a\"b\n\n", 5); /* the second is empty, the third is missing */
    assert_int_equal(jade_source_open(&s, path, ids, NULL), JADE_OK);
    row = next(&s);
    assert_memory_equal(row.json, "{\"id\":\"a\\\"b\",\"values\":[1,2]}", row.n);
    assert_memory_equal(row.id, "a\"b", 3);
    for (unsigned i = 2; i <= 3; i++) {
        row = next(&s);
        assert_int_equal(row.kind, JADE_ROW_BAD);
        assert_int_equal(row.number, i);
        assert_string_equal(row.why.field, "id");
    }
    assert_int_equal(next(&s).kind, JADE_ROW_END);
    jade_source_close(&s);
}

static void source_array_that_ends_early_is_an_error_after_its_rows(void **state)
{
    (void)state;
    const float rows[] = {1, 2, 3, 4};
    struct jade_source s;
    struct jade_row row;
    uint8_t *file = NULL;
    size_t size = 0;
    write_array(rows, 2, 2);
    assert_int_equal(jade_os_read_file(jade_os_posix(), path, 1 << 20, &file, &size, NULL),
                     JADE_OK);
    write_file(path, file, size - 1);
    jade_free(file);
    assert_int_equal(jade_source_open(&s, path, NULL, NULL), JADE_OK);
    assert_int_equal(next(&s).kind, JADE_ROW_GOOD);
    assert_int_equal(jade_source_next(&s, &row, NULL), JADE_E_CORRUPT);
    jade_source_close(&s);
}

static void source_array_of_another_dimension_is_an_error(void **state)
{
    (void)state;
    const float rows[] = {1, 2};
    struct jade_source s;
    struct jade_row row;
    write_array(rows, 1, 2);
    assert_int_equal(jade_source_open(&s, path, NULL, NULL), JADE_OK);
    s.dimension = 3;
    assert_int_equal(jade_source_next(&s, &row, NULL), JADE_E_DIMENSION_MISMATCH);
    jade_source_close(&s);
}

static void source_files_that_cannot_be_read_are_named(void **state)
{
    (void)state;
    struct jade_source s;
    struct jade_err err = {0};
    assert_int_equal(jade_source_open(&s, path, NULL, &err), JADE_E_IO);
    assert_non_null(strstr(err.message, "rows"));
    jade_source_close(&s);
    assert_int_equal(jade_source_open(&s, folder, NULL, &err), JADE_E_IO);
    jade_source_close(&s);
    write_file(path, "{}", 2);
    assert_int_equal(jade_source_open(&s, path, path, &err), JADE_E_INVALID_ARGUMENT);
    assert_string_equal(err.field, "--ids");
    jade_source_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(source_bad_lines_are_told_with_number_and_reason, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(source_first_row_tells_the_dimension_when_none_is_given,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(source_integer_ids_are_their_decimal_text, setup, teardown),
        cmocka_unit_test_setup_teardown(source_line_that_is_too_long_is_skipped_whole, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(source_array_rows_become_vectors_with_ids, setup, teardown),
        cmocka_unit_test_setup_teardown(source_array_that_ends_early_is_an_error_after_its_rows,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(source_array_of_another_dimension_is_an_error, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(source_files_that_cannot_be_read_are_named, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
