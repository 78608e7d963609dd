/*
 * The line of progress.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "cli/progress.h"

static void expect(uint64_t done, uint64_t bad, uint64_t bytes, uint64_t all, double seconds,
                   unsigned bar, const char *want)
{
    struct jade_progress p;
    struct jade_buf line;
    memset(&p, 0, sizeof p);
    atomic_store(&p.n_done, done);
    atomic_store(&p.n_bad, bad);
    atomic_store(&p.bytes_done, bytes);
    atomic_store(&p.bytes_all, all);
    jade_buf_init(&line, JADE_TAG_TEST);
    jade_progress_line(&p, seconds, bar, &line);
    jade_buf_append_byte(&line, 0);
    assert_int_equal(jade_buf_status(&line, NULL), JADE_OK);
    assert_string_equal((const char *)line.data, want);
    jade_buf_release(&line);
}

static void progress_line_tells_part_rate_and_time_left(void **state)
{
    (void)state;
    expect(1000000, 0, 50, 200, 10, 8,
           "[##......]  25 %  1,000,000 rows  100,000 rows/s  ETA 0:30");
    expect(10, 2, 1, 4000, 4, 0, "  0 %  10 rows  2 rows/s  ETA 4:26:36  2 bad");
    expect(999, 0, 200, 200, 2, 4, "[####] 100 %  999 rows  499 rows/s");
}

static void progress_line_without_a_size_tells_no_part(void **state)
{
    (void)state;
    expect(12, 0, 99, 0, 0, 8, "12 rows  0 rows/s");
}

static void progress_line_survives_a_file_that_grew(void **state)
{
    (void)state;
    expect(1, 0, 500, 200, 1, 4, "[####] 100 %  1 rows  1 rows/s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(progress_line_tells_part_rate_and_time_left),
        cmocka_unit_test(progress_line_without_a_size_tells_no_part),
        cmocka_unit_test(progress_line_survives_a_file_that_grew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
