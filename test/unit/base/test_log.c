#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/utf8.h"

enum { CAPTURE_BYTES = 4 << 20, MEMBERS_MAX = 64 };

static int capture_fd = -1;
static char *captured; /* NUL-terminated after take() */

static int start(void **state)
{
    (void)state;
    capture_fd = memfd_create("log", 0);
    if (capture_fd < 0 ||
        fcntl(capture_fd, F_SETFL, O_APPEND) != 0) { /* or writes share no file position */
        return -1;
    }
    captured = malloc(CAPTURE_BYTES);
    jade_log_set_fd(capture_fd);
    jade_log_set_level(JADE_LOG_DEBUG);
    return captured == NULL ? -1 : 0;
}

static int stop(void **state)
{
    (void)state;
    jade_log_set_fd(-1);
    free(captured);
    return close(capture_fd);
}

/* What was logged since the last call. */
static const char *take(void)
{
    ssize_t n = pread(capture_fd, captured, CAPTURE_BYTES - 1, 0);
    assert_true(n >= 0);
    captured[n] = '\0';
    assert_int_equal(ftruncate(capture_fd, 0), 0);
    assert_int_equal(lseek(capture_fd, 0, SEEK_SET), 0);
    return captured;
}

/* ---- A strict reader of the one shape that a line has: a flat object of strings, numbers, true and null. ---- */

struct member {
    char key[256];
    char value[4200]; /* strings decoded, others as written */
};
static struct member members[MEMBERS_MAX];
static size_t n_members;

static const char *read_string(const char *s, char *out, size_t size)
{
    size_t n = 0;
    assert_int_equal(*s++, '"');
    while (*s != '"') {
        uint32_t point = 0;
        size_t used = jade_utf8_decode(s, strlen(s), &point);
        assert_true(used > 0); /* well-formed */
        assert_true(point >=
                    32); /* control characters are escaped; a missing end quote ends here */
        assert_true(n + 4 < size);
        if (*s != '\\') {
            memcpy(out + n, s, used);
            n += used;
            s += used;
            continue;
        }
        static const char names[] = "\"\\/bfnrt";
        static const char meant[] = "\"\\/\b\f\n\r\t";
        const char *at = strchr(names, s[1]);
        if (s[1] == 'u') {
            char digits[5] = {s[2], s[3], s[4], s[5], 0};
            assert_int_equal(strspn(digits, "0123456789abcdef"), 4);
            unsigned long code = strtoul(digits, NULL, 16);
            assert_true(code < 128 || code == 0xFFFD);
            out[n++] = code < 128 ? (char)code : '?';
            s += 6;
        } else {
            assert_true(s[1] != '\0' && at != NULL);
            out[n++] = meant[at - names];
            s += 2;
        }
    }
    out[n] = '\0';
    return s + 1;
}

static const char *read_plain(const char *s, char *out)
{
    size_t n = strcspn(s, ",}");
    assert_in_range(n, 1, 40);
    memcpy(out, s, n);
    out[n] = '\0';
    if (strcmp(out, "true") != 0 && strcmp(out, "null") != 0) {
        char *end = NULL;
        strtod(out, &end);
        assert_true(*end == '\0' && (isdigit((unsigned char)out[0]) ||
                                     (out[0] == '-' && isdigit((unsigned char)out[1]))));
    }
    return s + n;
}

/* Reads one line into members; returns the start of the next. */
static const char *read_line(const char *s)
{
    const char *begin = s;
    n_members = 0;
    assert_int_equal(*s, '{');
    do {
        assert_true(n_members < MEMBERS_MAX);
        struct member *m = &members[n_members++];
        s = read_string(s + 1, m->key, sizeof m->key);
        assert_int_equal(*s++, ':');
        s = *s == '"' ? read_string(s, m->value, sizeof m->value) : read_plain(s, m->value);
    } while (*s == ',');
    assert_memory_equal(s, "}\n", 2);
    assert_true(s + 2 - begin <= 4096);
    return s + 2;
}

static const char *value_of(const char *key)
{
    for (size_t i = 0; i < n_members; i++) {
        if (strcmp(members[i].key, key) == 0) {
            return members[i].value;
        }
    }
    return "(absent)";
}

static void read_only_line(void)
{
    assert_string_equal(read_line(take()), "");
}

/* ---- Tests ---- */

static void log_line_has_its_members_in_order(void **state)
{
    (void)state;
    jade_log(JADE_LOG_INFO, "store", "segment sealed", JADE_LOG_U64("rows", 18446744073709551615u),
             JADE_LOG_STR("db", "films"), JADE_LOG_I64("delta", INT64_MIN), JADE_LOG_F64("ms", 1.5),
             JADE_LOG_STR("none", NULL));
    read_only_line();
    static const char *const keys[] = {"ts", "level", "room", "msg", "rows",
                                       "db", "delta", "ms",   "none"};
    assert_int_equal(n_members, 9);
    for (size_t i = 0; i < n_members; i++) {
        assert_string_equal(members[i].key, keys[i]);
    }
    assert_string_equal(value_of("level"), "INFO");
    assert_string_equal(value_of("room"), "store");
    assert_string_equal(value_of("msg"), "segment sealed");
    assert_string_equal(value_of("rows"), "18446744073709551615");
    assert_string_equal(value_of("db"), "films");
    assert_string_equal(value_of("delta"), "-9223372036854775808");
    assert_string_equal(value_of("ms"), "1.5");
    assert_string_equal(value_of("none"), "null");
}

static void log_time_is_rfc3339_with_microseconds(void **state)
{
    (void)state;
    jade_log(JADE_LOG_WARN, "base", "plain");
    read_only_line();
    assert_int_equal(n_members, 4);
    const char *form = "dddd-dd-ddTdd:dd:dd.ddddddZ";
    const char *ts = value_of("ts");
    assert_int_equal(strlen(ts), strlen(form));
    for (size_t i = 0; form[i] != '\0'; i++) {
        assert_true(form[i] == 'd' ? isdigit((unsigned char)ts[i]) != 0 : ts[i] == form[i]);
    }
    assert_true(strncmp(ts, "2024", 4) >= 0);
}

static void log_strings_are_escaped(void **state)
{
    (void)state;
    char every[128];
    for (int i = 1; i < 128; i++) {
        every[i - 1] = (char)i;
    }
    every[127] = '\0';
    jade_log(JADE_LOG_INFO, "base", "x\"y\\z", JADE_LOG_STR("every", every),
             JADE_LOG_STR("gem", "\xF0\x9F\x92\x8E"), JADE_LOG_STR("bad", "a\xC3z\xED\xA0\x80\xFF"),
             JADE_LOG_STR("k\"ey\n", "v"));
    read_only_line();
    assert_string_equal(value_of("msg"), "x\"y\\z");
    assert_string_equal(value_of("every"), every);
    assert_string_equal(value_of("gem"), "\xF0\x9F\x92\x8E");
    assert_string_equal(value_of("bad"), "a?z????"); /* U+FFFD for each bad byte */
    assert_string_equal(value_of("k\"ey\n"), "v");
}

static void log_numbers_read_back_exactly(void **state)
{
    (void)state;
    const double numbers[] = {0.0, -0.0, 0.1, 1e300, DBL_MIN, DBL_MAX, -1.0 / 3, 123456789.125};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        jade_log(JADE_LOG_INFO, "base", "n", JADE_LOG_F64("f", numbers[i]));
        read_only_line();
        assert_true(strtod(value_of("f"), NULL) == numbers[i]);
    }
    jade_log(JADE_LOG_INFO, "base", "n", JADE_LOG_F64("a", NAN), JADE_LOG_F64("b", INFINITY),
             JADE_LOG_F64("c", -INFINITY), JADE_LOG_F64("d", 0.1));
    read_only_line();
    assert_string_equal(value_of("a"), "NaN");
    assert_string_equal(value_of("b"), "Infinity");
    assert_string_equal(value_of("c"), "-Infinity");
    assert_string_equal(value_of("d"), "0.1");
}

/* At every length around the limit: valid JSON, at most 4096 bytes, and marked exactly when something is missing. */
static void log_long_line_is_cut_and_says_so(void **state)
{
    (void)state;
    static char text[6000];
    int cut_lines = 0;
    for (size_t n = 3200; n < 3500; n++) {
        for (size_t i = 0; i < n; i++) {
            text[i] = i % 5 == 0 ? '\n' : 'a'; /* an escape is shown whole or not at all */
        }
        text[n] = '\0';
        jade_log(JADE_LOG_INFO, "base", "m", JADE_LOG_STR("text", text),
                 JADE_LOG_U64("last", 1234567));
        read_only_line();
        bool whole =
            strcmp(value_of("text"), text) == 0 && strcmp(value_of("last"), "1234567") == 0;
        assert_string_equal(value_of("truncated"), whole ? "(absent)" : "true");
        assert_int_equal(strncmp(value_of("text"), text, strlen(value_of("text"))), 0);
        cut_lines += !whole;
    }
    assert_in_range(cut_lines, 1, 299);
    for (size_t i = 0; i + 4 < sizeof text; i += 4) {
        memcpy(text + i, "\xF0\x9F\x92\x8E", 5);
    }
    jade_log(JADE_LOG_INFO, "base", text, JADE_LOG_STR("lost", "x"));
    read_only_line();
    assert_string_equal(value_of("truncated"), "true");
    assert_int_equal(strlen(value_of("msg")) % 4, 0);
    assert_true(strlen(value_of("msg")) > 3900);
    assert_string_equal(value_of("lost"), "(absent)");
}

static void log_level_filters(void **state)
{
    (void)state;
    jade_log_set_level(JADE_LOG_WARN);
    jade_log(JADE_LOG_DEBUG, "base", "no");
    jade_log(JADE_LOG_INFO, "base", "no");
    assert_string_equal(take(), "");
    jade_log(JADE_LOG_WARN, "base", "yes");
    jade_log(JADE_LOG_ERROR, "base", "yes");
    assert_string_equal(read_line(read_line(take())), "");
    jade_log_set_level(JADE_LOG_OFF);
    jade_log(JADE_LOG_ERROR, "base", "no");
    assert_string_equal(take(), "");
}

static void log_level_words_are_parsed(void **state)
{
    (void)state;
    enum jade_log_level level = JADE_LOG_OFF;
    assert_true(jade_log_level_parse("debug", &level) && level == JADE_LOG_DEBUG);
    assert_true(jade_log_level_parse("Info", &level) && level == JADE_LOG_INFO);
    assert_true(jade_log_level_parse("WARN", &level) && level == JADE_LOG_WARN);
    assert_true(jade_log_level_parse("error", &level) && level == JADE_LOG_ERROR);
    assert_true(jade_log_level_parse("oFF", &level) && level == JADE_LOG_OFF);
    assert_false(jade_log_level_parse("verbose", &level));
    assert_false(jade_log_level_parse("", &level));
}

static void log_err_tells_code_cause_and_place(void **state)
{
    (void)state;
    struct jade_err err = {0};
    jade_fail_errno(&err, JADE_E_IO, EIO, "reading block %d", 9);
    jade_log_err(JADE_LOG_ERROR, "store", "scrub failed", &err);
    read_only_line();
    assert_string_equal(value_of("msg"), "scrub failed");
    assert_string_equal(value_of("code"), "IO_ERROR");
    assert_string_equal(value_of("error"), "reading block 9: Input/output error");
    assert_int_equal(atoi(value_of("errno")), EIO);
    assert_non_null(strstr(value_of("file"), "test_log.c"));
    assert_int_equal(atoi(value_of("line")), err.line);
    jade_log_err(JADE_LOG_ERROR, "store", "nothing", NULL);
    read_only_line();
    assert_int_equal(n_members, 4);
}

static void log_line_that_cannot_be_written_is_counted(void **state)
{
    (void)state;
    int closed = dup(capture_fd);
    close(closed);
    uint64_t before = jade_log_lost();
    jade_log_set_fd(closed);
    errno = ENOENT;
    jade_log(JADE_LOG_INFO, "base", "into the void");
    assert_int_equal(errno, ENOENT);
    assert_int_equal(jade_log_lost(), before + 1);
}

enum { WRITERS = 4, LINES_EACH = 1000 };

static void *write_lines(void *arg)
{
    for (int i = 0; i < LINES_EACH; i++) {
        jade_log(JADE_LOG_INFO, "base", "many", JADE_LOG_I64("writer", *(int *)arg),
                 JADE_LOG_I64("line", i));
    }
    return NULL;
}

static void log_lines_of_threads_do_not_mix(void **state)
{
    (void)state;
    pthread_t threads[WRITERS];
    int numbers[WRITERS];
    int next[WRITERS] = {0};
    for (int i = 0; i < WRITERS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &numbers[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    const char *s = take();
    for (int i = 0; i < WRITERS * LINES_EACH; i++) {
        s = read_line(s);
        int writer = atoi(value_of("writer"));
        assert_in_range(writer, 0, WRITERS - 1);
        assert_int_equal(atoi(value_of("line")), next[writer]++);
    }
    assert_string_equal(s, "");
}

int main(void)
{
#define LOG_TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)
    const struct CMUnitTest tests[] = {
        LOG_TEST(log_line_has_its_members_in_order),
        LOG_TEST(log_time_is_rfc3339_with_microseconds),
        LOG_TEST(log_strings_are_escaped),
        LOG_TEST(log_numbers_read_back_exactly),
        LOG_TEST(log_long_line_is_cut_and_says_so),
        LOG_TEST(log_level_filters),
        LOG_TEST(log_level_words_are_parsed),
        LOG_TEST(log_err_tells_code_cause_and_place),
        LOG_TEST(log_line_that_cannot_be_written_is_counted),
        LOG_TEST(log_lines_of_threads_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
