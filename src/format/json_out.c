#include "format/json_out.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "format/json_private.h"

enum { NUMBER_BYTES = 32 };

/* ---- strings ---- */

/* What an ASCII byte is written as: 0 as itself, 'u' as \u00XX, else a backslash and that letter. '/' depends on what stands before. */
static char escape_of(unsigned char c)
{
    switch (c) {
    case '"':
        return '"';
    case '\\':
        return '\\';
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return c < 0x20 || c == 0x7F ? 'u' : '\0';
    }
}

static void append_escaped(struct jade_buf *out, unsigned char c, char escape)
{
    static const char hex[] = "0123456789abcdef";
    if (escape == 'u') {
        char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        jade_buf_append(out, text, sizeof text);
    } else {
        char text[2] = {'\\', escape};
        jade_buf_append(out, text, sizeof text);
    }
}

void jadei_json_quote(struct jade_buf *out, const char *s, size_t n)
{
    size_t plain = 0; /* where the run of bytes that stand for themselves begins */
    jade_buf_append_byte(out, '"');
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)s[i];
        size_t len = 1;
        char escape = '\0';
        if (c >= 0x80) {
            uint32_t point = 0;
            len = jade_utf8_decode(s + i, n - i, &point);
        } else {
            escape = c == '/' && i > 0 && s[i - 1] == '<' ? '/' : escape_of(c);
        }
        if (len > 0 && escape == '\0') {
            i += len;
            continue;
        }
        jade_buf_append(out, s + plain, i - plain);
        if (len == 0) {
            jade_buf_append_str(out, "\xEF\xBF\xBD"); /* U+FFFD */
        } else {
            append_escaped(out, c, escape);
        }
        plain = ++i;
    }
    jade_buf_append(out, s + plain, n - plain);
    jade_buf_append_byte(out, '"');
}

/* ---- structure ---- */

void jade_json_out_init(struct jade_json_out *o, struct jade_buf *buf)
{
    *o = (struct jade_json_out){.buf = buf};
    o->first[0] = true;
}

/* Before a value: its comma, unless a key stands before it. */
static void begin_value(struct jade_json_out *o)
{
    if (!o->after_key && !o->first[o->depth]) {
        jade_buf_append_byte(o->buf, ',');
    }
    o->first[o->depth] = false;
    o->after_key = false;
}

static void open_container(struct jade_json_out *o, uint8_t bracket)
{
    begin_value(o);
    JADE_ASSERT(o->depth + 1 < JADE_JSON_OUT_DEPTH_MAX);
    o->depth++;
    o->first[o->depth] = true;
    jade_buf_append_byte(o->buf, bracket);
}

static void close_container(struct jade_json_out *o, uint8_t bracket)
{
    JADE_ASSERT(o->depth > 0 && !o->after_key);
    o->depth--;
    jade_buf_append_byte(o->buf, bracket);
}

void jade_out_object(struct jade_json_out *o)
{
    open_container(o, '{');
}

void jade_out_object_end(struct jade_json_out *o)
{
    close_container(o, '}');
}

void jade_out_array(struct jade_json_out *o)
{
    open_container(o, '[');
}

void jade_out_array_end(struct jade_json_out *o)
{
    close_container(o, ']');
}

void jade_out_key(struct jade_json_out *o, const char *key)
{
    JADE_ASSERT(o->depth > 0 && !o->after_key);
    begin_value(o);
    jadei_json_quote(o->buf, key, strlen(key));
    jade_buf_append_byte(o->buf, ':');
    o->after_key = true;
}

/* ---- values ---- */

void jade_out_str(struct jade_json_out *o, const char *s)
{
    jade_out_strn(o, s, strlen(s));
}

void jade_out_strn(struct jade_json_out *o, const char *s, size_t n)
{
    begin_value(o);
    jadei_json_quote(o->buf, s, n);
}

void jade_out_u64(struct jade_json_out *o, uint64_t v)
{
    char text[NUMBER_BYTES];
    size_t at = sizeof text;
    do {
        text[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    begin_value(o);
    jade_buf_append(o->buf, text + at, sizeof text - at);
}

void jade_out_i64(struct jade_json_out *o, int64_t v)
{
    if (v >= 0) {
        jade_out_u64(o, (uint64_t)v);
        return;
    }
    begin_value(o);
    jade_buf_append_byte(o->buf, '-');
    o->after_key = true; /* no comma between the sign and the digits */
    jade_out_u64(o, 0 - (uint64_t)v);
}

void jade_out_f64(struct jade_json_out *o, double v)
{
    if (!isfinite(v)) {
        jade_out_null(o);
        return;
    }
    char text[NUMBER_BYTES];
    size_t n = jade_f64_text(v, text);
    begin_value(o);
    jade_buf_append(o->buf, text, n);
}

void jade_out_f32(struct jade_json_out *o, float v)
{
    if (!isfinite(v)) {
        jade_out_null(o);
        return;
    }
    char text[NUMBER_BYTES];
    size_t n = jade_f32_text(v, text);
    begin_value(o);
    jade_buf_append(o->buf, text, n);
}

void jade_out_f32_array(struct jade_json_out *o, const float *v, size_t n)
{
    jade_out_array(o);
    /* About 12 bytes a number: one growth instead of many; a failure is kept in the buffer. */
    (void)jade_buf_reserve(o->buf, n * 12 + 1);
    for (size_t i = 0; i < n; i++) {
        jade_out_f32(o, v[i]);
    }
    jade_out_array_end(o);
}

void jade_out_bool(struct jade_json_out *o, bool v)
{
    begin_value(o);
    jade_buf_append_str(o->buf, v ? "true" : "false");
}

void jade_out_null(struct jade_json_out *o)
{
    begin_value(o);
    jade_buf_append_str(o->buf, "null");
}

void jade_out_raw(struct jade_json_out *o, const void *json, size_t n)
{
    JADE_ASSERT(n > 0);
    begin_value(o);
    jade_buf_append(o->buf, json, n);
}

/* ---- key and value ---- */

void jade_out_key_str(struct jade_json_out *o, const char *key, const char *v)
{
    jade_out_key(o, key);
    jade_out_str(o, v);
}

void jade_out_key_u64(struct jade_json_out *o, const char *key, uint64_t v)
{
    jade_out_key(o, key);
    jade_out_u64(o, v);
}

void jade_out_key_i64(struct jade_json_out *o, const char *key, int64_t v)
{
    jade_out_key(o, key);
    jade_out_i64(o, v);
}

void jade_out_key_f64(struct jade_json_out *o, const char *key, double v)
{
    jade_out_key(o, key);
    jade_out_f64(o, v);
}

void jade_out_key_bool(struct jade_json_out *o, const char *key, bool v)
{
    jade_out_key(o, key);
    jade_out_bool(o, v);
}
