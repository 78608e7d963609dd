#include "base/log.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/utf8.h"

/*
 * PIPE_BUF on Linux: a write of up to this many bytes to a pipe is never mixed with another's (pipe(7)), and standard error is a
 * pipe under most supervisors.
 */
enum { LINE_BYTES_MAX = 4096 };

static const char tail_whole[] = "}\n";
static const char tail_cut[] = ",\"truncated\":true}\n";

/* One line being built. `len` never passes `limit`, which leaves room for the longer tail. */
struct line {
    char bytes[LINE_BYTES_MAX];
    size_t len;
    bool cut; /* something did not fit: nothing is added any more */
};
enum { LINE_LIMIT = LINE_BYTES_MAX - (int)sizeof tail_cut };

static _Atomic int level_min = JADE_LOG_INFO;
static _Atomic int target_fd = -1;
static _Atomic uint64_t lost;

void jade_log_set_level(enum jade_log_level level)
{
    atomic_store_explicit(&level_min, (int)level, memory_order_relaxed);
}

bool jade_log_enabled(enum jade_log_level level)
{
    return level < JADE_LOG_OFF &&
           (int)level >= atomic_load_explicit(&level_min, memory_order_relaxed);
}

void jade_log_set_fd(int fd)
{
    atomic_store_explicit(&target_fd, fd, memory_order_relaxed);
}

uint64_t jade_log_lost(void)
{
    return atomic_load_explicit(&lost, memory_order_relaxed);
}

static const char *level_name(enum jade_log_level level)
{
    static const char *const names[] = {"DEBUG", "INFO", "WARN", "ERROR", "OFF"};
    JADE_ASSERT((size_t)level < sizeof names / sizeof names[0]);
    return names[level];
}

bool jade_log_level_parse(const char *word, enum jade_log_level *level_out)
{
    *level_out = JADE_LOG_INFO;
    for (int level = JADE_LOG_DEBUG; level <= JADE_LOG_OFF; level++) {
        if (strcasecmp(word, level_name((enum jade_log_level)level)) == 0) {
            *level_out = (enum jade_log_level)level;
            return true;
        }
    }
    return false;
}

/* Adds n bytes unless they would leave less than `spare` of the line; false then. */
static bool add(struct line *l, const char *s, size_t n, size_t spare)
{
    if (l->len + n + spare > LINE_LIMIT) {
        return false;
    }
    memcpy(l->bytes + l->len, s, n);
    l->len += n;
    return true;
}

/* The JSON form of the code point at s; returns the bytes of s that it stands for. */
static size_t escape_one(const char *s, size_t left, char out[8], size_t *n_out)
{
    static const char shorts[32] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    unsigned char c = (unsigned char)*s;
    if (c == '"' || c == '\\' || (c < 32 && shorts[c] != 0)) {
        out[0] = '\\';
        out[1] = c < 32 ? shorts[c] : (char)c;
        *n_out = 2;
        return 1;
    }
    if (c < 32 || c == 127) {
        *n_out = (size_t)snprintf(out, 8, "\\u%04x", c);
        return 1;
    }
    uint32_t point = 0;
    size_t used = jade_utf8_decode(s, left, &point);
    if (used == 0) {
        memcpy(out, "\\ufffd", 6);
        *n_out = 6;
        return 1;
    }
    memcpy(out, s, used);
    *n_out = used;
    return used;
}

/* Adds a JSON string; one that is too long ends at the last code point that fits, with `cut` set. */
static bool add_string(struct line *l, const char *s)
{
    if (!add(l, "\"", 1, 1)) {
        return false;
    }
    size_t left = strlen(s);
    while (left > 0) {
        char out[8];
        size_t n = 0;
        size_t used = escape_one(s, left, out, &n);
        if (!add(l, out, n, 1)) {
            l->cut = true;
            break;
        }
        s += used;
        left -= used;
    }
    return add(l, "\"", 1, 0);
}

/* The shorter of two forms that reads back as the same number; JSON has none for the non-finite, which go as strings. */
static bool add_double(struct line *l, double f)
{
    if (!isfinite(f)) {
        return add_string(l, isnan(f) ? "NaN" : f > 0 ? "Infinity" : "-Infinity");
    }
    char text[64];
    snprintf(text, sizeof text, "%.15g", f);
    if (strtod(text, NULL) != f) {
        snprintf(text, sizeof text, "%.17g", f);
    }
    /* A program that embeds us may have set a locale with another decimal point, of one byte or more. */
    size_t n = 0;
    bool in_point = false;
    for (const char *c = text; *c != '\0'; c++) {
        bool plain = strchr("0123456789+-e", *c) != NULL;
        if (plain || !in_point) {
            text[n++] = plain ? *c : '.';
        }
        in_point = !plain;
    }
    return add(l, text, n, 0);
}

static bool add_value(struct line *l, const struct jade_log_field *field)
{
    char text[24];
    int n = 0;
    switch (field->kind) {
    case JADE_LOG_KIND_STR:
        return field->v.s == NULL ? add(l, "null", 4, 0) : add_string(l, field->v.s);
    case JADE_LOG_KIND_U64:
        n = snprintf(text, sizeof text, "%llu", (unsigned long long)field->v.u);
        break;
    case JADE_LOG_KIND_I64:
        n = snprintf(text, sizeof text, "%lld", (long long)field->v.i);
        break;
    case JADE_LOG_KIND_F64:
        return add_double(l, field->v.f);
    }
    return n > 0 && add(l, text, (size_t)n, 0);
}

/* Adds `"key":value`, or nothing of it and marks the line cut. A cut key would be a wrong name: it goes with its value. */
static void add_member(struct line *l, const struct jade_log_field *field)
{
    size_t before = l->len;
    if (l->cut) {
        return;
    }
    if (!add(l, before == 0 ? "{" : ",", 1, 0) || !add_string(l, field->key) || l->cut ||
        !add(l, ":", 1, 0) || !add_value(l, field)) {
        l->len = before;
        l->cut = true;
    }
}

/* RFC 3339 in UTC with microseconds. */
static void format_time(char *text, size_t size)
{
    struct timespec now = {0};
    struct tm utc = {0};
    clock_gettime(CLOCK_REALTIME, &now); /* cannot fail with this clock and a valid pointer */
    gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(text, size, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + n, size - n, ".%06ldZ", now.tv_nsec / 1000);
}

/* One write; what a signal or a short write left over is sent after it. A line nobody takes is counted. */
static void send_line(const char *bytes, size_t n)
{
    int fd = atomic_load_explicit(&target_fd, memory_order_relaxed);
    fd = fd < 0 ? STDERR_FILENO : fd;
    while (n > 0) {
        ssize_t done = write(fd, bytes, n);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            atomic_fetch_add_explicit(&lost, 1, memory_order_relaxed);
            return;
        }
        bytes += done;
        n -= (size_t)done;
    }
}

void jade_log_write(enum jade_log_level level, const char *room, const char *message,
                    const struct jade_log_field *fields)
{
    int saved =
        errno; /* logging between a failed call and the look at its errno must not change it */
    char when[64];
    format_time(when, sizeof when);
    struct line l;
    l.len = 0;
    l.cut = false;
    add_member(&l, &JADE_LOG_STR("ts", when));
    add_member(&l, &JADE_LOG_STR("level", level_name(level)));
    add_member(&l, &JADE_LOG_STR("room", room));
    add_member(&l, &JADE_LOG_STR("msg", message));
    for (const struct jade_log_field *field = fields; field->key != NULL; field++) {
        add_member(&l, field);
    }
    const char *tail = l.cut ? tail_cut : tail_whole;
    size_t n = strlen(tail);
    memcpy(l.bytes + l.len, tail, n);
    send_line(l.bytes, l.len + n);
    errno = saved;
}

void jade_log_err(enum jade_log_level level, const char *room, const char *message,
                  const struct jade_err *err)
{
    static const struct jade_err none;
    const struct jade_err *e = err == NULL ? &none : err;
    if (e->code == JADE_OK) {
        jade_log(level, room, message);
        return;
    }
    jade_log(level, room, message, JADE_LOG_STR("code", jade_code_name(e->code)),
             JADE_LOG_STR("error", e->message), JADE_LOG_STR("field", e->field),
             JADE_LOG_I64("errno", e->os_errno), JADE_LOG_STR("file", e->file),
             JADE_LOG_I64("line", e->line));
}
