/*
 * The place of the first fault in a JSON text (RFC 8259). simdjson says only that a text is bad, and which kind of bad; a user needs
 * the byte. This reader runs after a refusal, never on the way of a good document, so it is written to be plain, not fast.
 */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "format/json.h"
#include "format/json_private.h"

struct scan {
    const unsigned char *p;
    size_t n, at;
    size_t max_depth, depth;
    uint8_t object[JADE_JSON_DEPTH_MAX / 8 + 1]; /* one bit a level: object or array */
    const char *what;                            /* set once: the fault */
};

static bool fault(struct scan *s, const char *what)
{
    s->what = what;
    return false;
}

/* The byte at the place, -1 at the end. */
static int peek(const struct scan *s)
{
    return s->at < s->n ? s->p[s->at] : -1;
}

static void skip_space(struct scan *s)
{
    while (s->at < s->n && strchr(" \t\r\n", s->p[s->at]) != NULL && s->p[s->at] != '\0') {
        s->at++;
    }
}

static bool in_object(const struct scan *s)
{
    return s->depth > 0 && (s->object[s->depth / 8] >> s->depth % 8 & 1) != 0;
}

static bool push(struct scan *s, bool object)
{
    if (s->depth == s->max_depth) {
        return fault(s, "nested too deep");
    }
    s->depth++;
    uint8_t bit = (uint8_t)(1u << s->depth % 8);
    uint8_t *byte = &s->object[s->depth / 8];
    *byte = object ? (uint8_t)(*byte | bit) : (uint8_t)(*byte & ~bit);
    s->at++;
    return true;
}

/* Value of the four hex digits at p, -1 when they are not. */
static int hex4(const struct scan *s, size_t at)
{
    int v = 0;
    for (size_t i = at; i < at + 4; i++) {
        int c = i < s->n ? s->p[i] : -1;
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) {
            return -1;
        }
        v = v * 16 + digit;
    }
    return v;
}

/* At the backslash of \uXXXX. */
static bool unicode_escape(struct scan *s)
{
    int unit = hex4(s, s->at + 2);
    if (unit < 0) {
        return fault(s, "\\u without four hex digits");
    }
    if (unit >= 0xDC00 && unit <= 0xDFFF) {
        return fault(s, "second half of a surrogate pair alone");
    }
    if (unit >= 0xD800 && unit <= 0xDBFF) {
        bool escape = s->n - s->at >= 12 && s->p[s->at + 6] == '\\' && s->p[s->at + 7] == 'u';
        int low = escape ? hex4(s, s->at + 8) : -1;
        if (low < 0xDC00 || low > 0xDFFF) {
            return fault(s, "first half of a surrogate pair alone");
        }
        s->at += 6;
    }
    s->at += 6;
    return true;
}

/* At the opening quote. */
static bool string(struct scan *s)
{
    size_t start = s->at++;
    while (s->at < s->n) {
        unsigned char c = s->p[s->at];
        if (c == '"') {
            s->at++;
            return true;
        }
        if (c < 0x20) {
            return fault(s, "control character in a string (write it as an escape)");
        }
        if (c == '\\') {
            int next = s->at + 1 < s->n ? s->p[s->at + 1] : 0;
            if (next == 'u') {
                if (!unicode_escape(s)) {
                    return false;
                }
            } else if (next != 0 && strchr("\"\\/bfnrt", next) != NULL) {
                s->at += 2;
            } else {
                return fault(s, "unknown escape");
            }
            continue;
        }
        uint32_t point = 0;
        size_t len = c < 0x80 ? 1 : jade_utf8_decode(s->p + s->at, s->n - s->at, &point);
        if (len == 0) {
            return fault(s, "invalid UTF-8");
        }
        s->at += len;
    }
    s->at = start;
    return fault(s, "a string that is never closed begins");
}

static bool digits(struct scan *s)
{
    size_t start = s->at;
    while (peek(s) >= '0' && peek(s) <= '9') {
        s->at++;
    }
    return s->at > start;
}

/* Whether the number text [start, at) is one that 64 bits can hold. */
static bool number_fits(const struct scan *s, size_t start, bool integer)
{
    char text[64];
    size_t len = s->at - start;
    if (integer) {
        if (len >= sizeof text) {
            return false;
        }
        memcpy(text, s->p + start, len);
        text[len] = '\0';
        errno = 0;
        if (text[0] == '-') {
            (void)strtoll(text, NULL, 10);
        } else {
            (void)strtoull(text, NULL, 10);
        }
        return errno == 0;
    }
    /* s->p is a copy that blanks follow (json_shim.cc): strtod stops there. */
    return isfinite(strtod((const char *)s->p + start, NULL));
}

static bool number(struct scan *s)
{
    size_t start = s->at;
    bool integer = true;
    if (peek(s) == '-') {
        s->at++;
    }
    bool zero = peek(s) == '0';
    if (zero) {
        s->at++;
    } else if (!digits(s)) {
        return fault(s, "expected a digit");
    }
    if (zero && digits(s)) {
        s->at = start;
        return fault(s, "number with a leading zero");
    }
    if (peek(s) == '.') {
        integer = false;
        s->at++;
        if (!digits(s)) {
            return fault(s, "expected a digit after the point");
        }
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        integer = false;
        s->at++;
        if (peek(s) == '+' || peek(s) == '-') {
            s->at++;
        }
        if (!digits(s)) {
            return fault(s, "expected a digit in the exponent");
        }
    }
    if (!number_fits(s, start, integer)) {
        s->at = start;
        return fault(s, "number out of range");
    }
    return true;
}

static bool word(struct scan *s, const char *text)
{
    size_t len = strlen(text);
    if (s->n - s->at < len || memcmp(s->p + s->at, text, len) != 0) {
        return fault(s, "expected a value (there is no NaN or Infinity in JSON)");
    }
    s->at += len;
    return true;
}

static bool scalar(struct scan *s)
{
    int c = peek(s);
    switch (c) {
    case '"':
        return string(s);
    case 't':
        return word(s, "true");
    case 'f':
        return word(s, "false");
    case 'n':
        return word(s, "null");
    case -1:
        return fault(s, "the text ends too early");
    default:
        if (c == '-' || (c >= '0' && c <= '9')) {
            return number(s);
        }
        return fault(s, c >= 'A' && c <= 'Z'
                            ? "expected a value (there is no NaN or Infinity in JSON)"
                            : "expected a value");
    }
}

/* Key and colon, when the place is inside an object. */
static bool key(struct scan *s)
{
    if (!in_object(s)) {
        return true;
    }
    skip_space(s);
    if (peek(s) != '"') {
        return fault(s,
                     peek(s) < 0 ? "the text ends too early" : "expected a key in double quotes");
    }
    if (!string(s)) {
        return false;
    }
    skip_space(s);
    if (peek(s) != ':') {
        return fault(s, peek(s) < 0 ? "the text ends too early" : "expected ':'");
    }
    s->at++;
    return true;
}

/* After a value: closes what ends here; true with *more when another value must follow, false with no fault at the end. */
static bool after_value(struct scan *s, bool *more)
{
    *more = false;
    while (s->depth > 0) {
        skip_space(s);
        int c = peek(s);
        if (c == ',') {
            s->at++;
            *more = true;
            return true;
        }
        if (c != (in_object(s) ? '}' : ']')) {
            return fault(s, c < 0          ? "the text ends too early"
                            : in_object(s) ? "expected ',' or '}'"
                                           : "expected ',' or ']'");
        }
        s->at++;
        s->depth--;
    }
    skip_space(s);
    return s->at == s->n ? true : fault(s, "more text after the document");
}

/* One value with all inside it; no recursion: the brackets open are the bits in s->object. */
static bool document(struct scan *s)
{
    for (bool more = true; more;) {
        if (!key(s)) {
            return false;
        }
        skip_space(s);
        int c = peek(s);
        if (c == '{' || c == '[') {
            if (!push(s, c == '{')) {
                return false;
            }
            skip_space(s);
            if (peek(s) != (c == '{' ? '}' : ']')) {
                continue; /* its first member */
            }
        } else if (!scalar(s)) {
            return false;
        }
        if (!after_value(s, &more)) {
            return false;
        }
    }
    return true;
}

bool jadei_json_find_fault(const char *p, size_t n, size_t max_depth, struct jade_json_fault *out)
{
    JADE_ASSERT(max_depth <= JADE_JSON_DEPTH_MAX);
    struct scan s = {.p = (const unsigned char *)p, .n = n, .max_depth = max_depth};
    if (document(&s)) {
        return false;
    }
    *out = (struct jade_json_fault){.at = s.at, .what = s.what};
    return true;
}
