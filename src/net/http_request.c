/*
 * Reading parts of a request, adding headers to a reply.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "net/http_private.h"

const char *jade_http_header(const struct jade_http_request *r, const char *name)
{
    const struct jadei_job *job = r->priv;
    const char *p = (const char *)job->headers.data;
    const char *end = p + job->headers.len;
    while (p < end) {
        const char *value = p + strlen(p) + 1;
        if (strcasecmp(p, name) == 0) {
            return value;
        }
        p = value + strlen(value) + 1;
    }
    return NULL;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool decode(const char *s, size_t n, bool plus_is_space, char *out, size_t size,
                   size_t *len_out)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        if (c == '%') {
            int hi = n - i > 2 ? hex_digit(s[i + 1]) : -1;
            int lo = n - i > 2 ? hex_digit(s[i + 2]) : -1;
            if (hi < 0 || lo < 0) {
                return false;
            }
            c = (char)(hi * 16 + lo);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (len + 1 >= size) {
            return false;
        }
        out[len++] = c;
    }
    out[len] = '\0';
    *len_out = len;
    return true;
}

bool jade_http_decode(const char *s, size_t n, char *out, size_t size, size_t *len_out)
{
    return decode(s, n, false, out, size, len_out);
}

bool jade_http_param(const struct jade_http_request *r, const char *name, char *out, size_t size)
{
    size_t name_len = strlen(name);
    for (const char *p = r->query; *p != '\0';) {
        size_t n = strcspn(p, "&");
        const char *eq = memchr(p, '=', n);
        size_t key = eq ? (size_t)(eq - p) : n;
        size_t len;
        if (key == name_len && memcmp(p, name, key) == 0) {
            return eq ? decode(eq + 1, n - key - 1, true, out, size, &len)
                      : decode("", 0, true, out, size, &len);
        }
        p += n + (p[n] == '&');
    }
    return false;
}

void jade_http_reply_header(struct jade_http_reply *r, const char *name, const char *value)
{
    JADE_ASSERT(r->n_headers < sizeof r->headers / sizeof *r->headers);
    JADE_ASSERT(strlen(value) < sizeof r->headers[0].value && strpbrk(value, "\r\n") == NULL);
    r->headers[r->n_headers].name = name;
    snprintf(r->headers[r->n_headers].value, sizeof r->headers[0].value, "%s", value);
    r->n_headers++;
}
