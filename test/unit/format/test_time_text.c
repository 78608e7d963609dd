#include "format_test.h"

#include <time.h>

#include "format/json_out.h"

static bool parse(const char *text, int64_t *us)
{
    *us = -12345;
    return jade_time_parse(text, strlen(text), us);
}

static void time_parses_what_rfc3339_allows(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01", 0},
        {"2025-10-08T12:00:00Z", 1759924800000000},
        {"2025-10-08t12:00:00z", 1759924800000000},
        {"2025-10-08 12:00:00Z", 1759924800000000},
        {"2025-10-08T12:00:00.5Z", 1759924800500000},
        {"2025-10-08T12:00:00.123456Z", 1759924800123456},
        {"2025-10-08T12:00:00.1234569999Z", 1759924800123456},
        {"2025-10-08T12:00:00.0000001Z", 1759924800000000},
        {"2025-10-08T14:30:00+02:30", 1759924800000000},
        {"2025-10-08T00:00:00-12:00", 1759924800000000},
        {"2025-10-08T12:00:00-00:00", 1759924800000000},
        {"1969-12-31T23:59:59.999999Z", -1},
        {"2024-02-29T00:00:00Z", 1709164800000000},
        {"2000-02-29", 951782400000000},
        {"0000-01-01T00:00:00Z", -62167219200000000},
        {"9999-12-31T23:59:59.999999Z", 253402300799999999},
        {"2016-12-31T23:59:60Z", 1483228800000000},
        {"2017-01-01T00:59:60+01:00", 1483228800000000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t us;
        if (!parse(cases[i].text, &us) || us != cases[i].us) {
            fail_msg("%s: got %lld, expected %lld", cases[i].text, (long long)us,
                     (long long)cases[i].us);
        }
    }
}

static void time_refuses_everything_else(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "2",
        "2025",
        "2025-10",
        "2025-10-",
        "2025-1-08",
        "25-10-08",
        "2025/10/08",
        "20251008",
        "2025-00-08",
        "2025-13-08",
        "2025-10-00",
        "2025-10-32",
        "2025-04-31",
        "2025-02-29",
        "1900-02-29",
        "2100-02-29",
        "2025-10-08T",
        "2025-10-08T12",
        "2025-10-08T12:00",
        "2025-10-08T12:00Z",
        "2025-10-08T12:00:00",
        "2025-10-08T12:00:00.",
        "2025-10-08T12:00:00.Z",
        "2025-10-08T12:00:00,5Z",
        "2025-10-08T24:00:00Z",
        "2025-10-08T12:60:00Z",
        "2025-10-08T12:00:61Z",
        "2025-10-08T12:00:60Z",
        "2016-12-31T23:58:60Z",
        "2025-10-08T12:00:00+2:00",
        "2025-10-08T12:00:00+02",
        "2025-10-08T12:00:00+0200",
        "2025-10-08T12:00:00+24:00",
        "2025-10-08T12:00:00+02:60",
        "2025-10-08T12:00:00Z ",
        " 2025-10-08",
        "2025-10-08Z",
        "2025-10-08T12:00:00ZZ",
        "2025-10-08T12:00:00 Z",
        "-2025-10-08",
        "+2025-10-08",
        "2025-10-08T1\xC3\xB2:00:00Z",
        "2025-1O-08",
        "2025-10-08X12:00:00Z",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t us;
        if (parse(cases[i], &us)) {
            fail_msg("\"%s\" was taken", cases[i]);
        }
        assert_true(us == -12345);
    }
}

static void time_reads_no_further_than_told(void **state)
{
    (void)state;
    static const char text[] = "2025-10-08T12:00:00.123456+01:00";
    int64_t us;
    for (size_t n = 0; n < sizeof text - 1; n++) {
        assert_int_equal(jade_time_parse(text, n, &us), n == 10); /* the date alone */
    }
}

static void write_time(int64_t us, char text[64])
{
    struct jade_buf b;
    struct jade_json_out o;
    jade_buf_init(&b, JADE_TAG_TEST);
    jade_json_out_init(&o, &b);
    jade_out_time(&o, us);
    jade_buf_append_byte(&b, '\0');
    (void)snprintf(text, 64, "%s", (const char *)b.data);
    jade_buf_release(&b);
}

static void time_writes_utc_with_microseconds(void **state)
{
    (void)state;
    char text[64];
    write_time(1759924800000001, text);
    assert_string_equal(text, "\"2025-10-08T12:00:00.000001Z\"");
    write_time(-1, text);
    assert_string_equal(text, "\"1969-12-31T23:59:59.999999Z\"");
    write_time(-62167219200000000, text);
    assert_string_equal(text, "\"0000-01-01T00:00:00.000000Z\"");
    write_time(253402300799999999, text);
    assert_string_equal(text, "\"9999-12-31T23:59:59.999999Z\"");
}

static void time_beyond_four_digit_years_is_null(void **state)
{
    (void)state;
    char text[64];
    static const int64_t cases[] = {253402300800000000, -62167219200000001, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < 4; i++) {
        write_time(cases[i], text);
        assert_string_equal(text, "null");
    }
}

/* The C library's calendar is the oracle, for every day of 1600 to 2400 and random moments of each. */
static void time_agrees_with_the_c_library_and_comes_back(void **state)
{
    (void)state;
    struct jade_random r = seeded();
    for (int64_t day = -135140; day < 157054; day++) {
        char text[64];
        char expected[64];
        int64_t us = day * 86400000000 + (int64_t)jade_random_below(&r, 86400000000);
        time_t seconds = (time_t)((us - (us % 1000000 + 1000000) % 1000000) / 1000000);
        struct tm tm;
        assert_non_null(gmtime_r(&seconds, &tm));
        (void)snprintf(expected, sizeof expected, "\"%04d-%02d-%02dT%02d:%02d:%02d.%06dZ\"",
                       tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                       tm.tm_sec, (int)(us - (int64_t)seconds * 1000000));
        write_time(us, text);
        assert_string_equal(text, expected);
        int64_t back = 0;
        assert_true(jade_time_parse(text + 1, strlen(text) - 2, &back));
        assert_true(back == us);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_parses_what_rfc3339_allows),
        cmocka_unit_test(time_refuses_everything_else),
        cmocka_unit_test(time_reads_no_further_than_told),
        cmocka_unit_test(time_writes_utc_with_microseconds),
        cmocka_unit_test(time_beyond_four_digit_years_is_null),
        cmocka_unit_test(time_agrees_with_the_c_library_and_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
