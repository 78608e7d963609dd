#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

enum { BUF_BYTES_MIN = 64 };

void jade_buf_init(struct jade_buf *b, enum jade_tag tag)
{
    *b = (struct jade_buf){.tag = tag};
}

void jade_buf_release(struct jade_buf *b)
{
    jade_free(b->data);
    jade_buf_init(b, b->tag);
}

void jade_buf_clear(struct jade_buf *b)
{
    b->len = 0;
    b->failed = false;
}

/* The capacity to grow to: double, at least what is needed; 0 when that cannot be counted. */
static size_t grown_cap(size_t cap, size_t needed)
{
    size_t doubled = 0;
    if (__builtin_mul_overflow(cap, (size_t)2, &doubled)) {
        doubled = needed;
    }
    if (doubled < BUF_BYTES_MIN) {
        doubled = BUF_BYTES_MIN;
    }
    return doubled < needed ? needed : doubled;
}

bool jade_buf_reserve(struct jade_buf *b, size_t n)
{
    if (b->failed) {
        return false;
    }
    if (b->data != NULL && n <= b->cap - b->len) {
        return true;
    }
    size_t needed = 0;
    uint8_t *data = NULL;
    size_t cap = 0;
    if (!__builtin_add_overflow(b->len, n, &needed)) {
        cap = grown_cap(b->cap, needed);
        data = jade_realloc(b->tag, b->data, cap);
    }
    if (data == NULL) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

void *jade_buf_extend(struct jade_buf *b, size_t n)
{
    if (!jade_buf_reserve(b, n)) {
        return NULL;
    }
    uint8_t *at = b->data + b->len;
    b->len += n;
    return at;
}

void jade_buf_append(struct jade_buf *b, const void *p, size_t n)
{
    void *at = jade_buf_extend(b, n);
    if (at != NULL && n > 0) {
        memcpy(at, p, n);
    }
}

void jade_buf_append_str(struct jade_buf *b, const char *s)
{
    jade_buf_append(b, s, strlen(s));
}

void jade_buf_append_byte(struct jade_buf *b, uint8_t c)
{
    jade_buf_append(b, &c, 1);
}

/* Formats into the room there is; returns the length of the whole text. */
static size_t format_into_room(struct jade_buf *b, const char *format, va_list args)
{
    int n = vsnprintf((char *)b->data + b->len, b->cap - b->len, format, args);
    /* Negative only for wide-character conversions or a text beyond INT_MAX: we write neither. */
    JADE_ASSERT(n >= 0);
    return (size_t)n;
}

void jade_buf_printf(struct jade_buf *b, const char *format, ...)
{
    if (!jade_buf_reserve(b, 1)) {
        return;
    }
    va_list args;
    va_start(args, format);
    size_t n = format_into_room(b, format, args);
    va_end(args);
    if (n >= b->cap - b->len) {
        if (!jade_buf_reserve(b, n + 1)) { /* vsnprintf wants room for its NUL */
            return;
        }
        va_start(args, format);
        format_into_room(b, format, args);
        va_end(args);
    }
    b->len += n;
}

jade_code jade_buf_status(const struct jade_buf *b, struct jade_err *err)
{
    if (b->failed) {
        return jade_fail(err, JADE_E_NOMEM, "no memory to grow a buffer of %zu bytes (%s)", b->len,
                         jade_tag_name(b->tag));
    }
    return JADE_OK;
}

uint8_t *jade_buf_take(struct jade_buf *b, size_t *len_out)
{
    *len_out = 0;
    if (b->failed) {
        jade_buf_release(b); /* half a text must not pass for a whole one */
        return NULL;
    }
    uint8_t *data = b->data;
    *len_out = b->len;
    jade_buf_init(b, b->tag);
    return data;
}
