/*
 * The envelope of every answer, written straight into the reply's buffer.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/api_private.h"
#include "base/assert.h"

enum { RETRY_AFTER_MS = 1000 }; /* what a client is told when the server is busy or not ready */

void jadei_reply_headers(struct jadei_call *c)
{
    struct jade_http_reply *r = c->reply;
    jade_http_reply_header(r, "X-Content-Type-Options", "nosniff");
    jade_http_reply_header(r, "X-Frame-Options", "DENY");
    jade_http_reply_header(r, "Content-Security-Policy",
                           "default-src 'none'; frame-ancestors 'none'");
    jade_http_reply_header(r, "Referrer-Policy", "no-referrer");
    jade_http_reply_header(r, "Cache-Control", "no-store");
    jade_http_reply_header(r, "X-Request-Id", c->request_id);
}

void jadei_reply_begin(struct jadei_call *c, int status, const char *message)
{
    JADE_ASSERT(!c->began && status < 400);
    c->began = true;
    c->reply->status = status;
    jade_json_out_init(&c->out, &c->reply->body);
    jade_out_object(&c->out);
    jade_out_key_str(&c->out, "status", "success");
    jade_out_key_str(&c->out, "message", message);
    jade_out_key(&c->out, "data");
}

void jadei_reply_end(struct jadei_call *c)
{
    struct jade_json_out *o = &c->out;
    struct jade_os *os = jade_node_os(c->api->node);
    JADE_ASSERT(o->depth == 1 && !o->after_key);
    jade_out_key(o, "timestamp");
    jade_out_time(o, jade_os_wall_us(os));
    jade_out_key(o, "meta");
    jade_out_object(o);
    jade_out_key_f64(o, "tookMs", (double)(jade_os_mono_us(os) - c->start_us) / 1000.0);
    jade_out_key_str(o, "requestId", c->request_id);
    jade_out_key(o, "warnings");
    jade_out_array(o);
    for (unsigned i = 0; i < c->n_warnings; i++) {
        jade_out_str(o, c->warnings[i]);
    }
    jade_out_array_end(o);
    jade_out_object_end(o);
    jade_out_object_end(o);
}

static void out_details(struct jade_json_out *o, const struct jade_err *err)
{
    jade_out_key(o, "details");
    jade_out_array(o);
    if (err->field[0] != '\0') {
        jade_out_object(o);
        jade_out_key_str(o, "field", err->field);
        jade_out_key_str(o, "reason", err->message);
        jade_out_object_end(o);
    }
    jade_out_array_end(o);
}

static bool says_when(jade_code code)
{
    return code == JADE_E_BUSY || code == JADE_E_UNAVAILABLE;
}

static void out_error(struct jade_json_out *o, const struct jade_err *err)
{
    char docs[64];
    snprintf(docs, sizeof docs, "/docs/errors#%s", jade_code_name(err->code));
    jade_out_key(o, "error");
    jade_out_object(o);
    jade_out_key_str(o, "code", jade_code_name(err->code));
    jade_out_key_str(o, "category", jade_code_category(err->code));
    out_details(o, err);
    jade_out_key_bool(o, "retryable", jade_code_retryable(err->code));
    jade_out_key(o, "retryAfterMs");
    if (says_when(err->code)) {
        jade_out_u64(o, RETRY_AFTER_MS);
    } else {
        jade_out_null(o);
    }
    jade_out_key_str(o, "docs", docs);
    jade_out_object_end(o);
}

void jadei_reply_error(struct jadei_call *c, const struct jade_err *err)
{
    char message[JADE_ERR_FIELD_SIZE + JADE_ERR_MESSAGE_SIZE + 2];
    struct jade_json_out *o = &c->out;
    snprintf(message, sizeof message, "%s%s%s", err->field, err->field[0] ? ": " : "",
             err->message);
    jade_buf_clear(&c->reply->body);
    c->reply->status = jade_code_http(err->code);
    c->reply->content_type = "application/json";
    if (err->code == JADE_E_UNAUTHORIZED) {
        jade_http_reply_header(c->reply, "WWW-Authenticate", "Bearer realm=\"jadevectordb\"");
    }
    if (says_when(err->code)) {
        jade_http_reply_header(c->reply, "Retry-After", "1");
    }
    jade_json_out_init(o, &c->reply->body);
    jade_out_object(o);
    jade_out_key_str(o, "status", "error");
    jade_out_key_str(o, "message", message);
    out_error(o, err);
    jade_out_key(o, "data");
    jade_out_null(o);
    jadei_reply_end(c);
}

void jadei_out_json(struct jade_json_out *o, struct jade_json v)
{
    JADE_ASSERT(o->after_key);
    o->after_key =
        false; /* the writer of values does not know about commas: a key has set them already */
    jade_json_write(v, o->buf);
}

void jadei_reply_warn(struct jadei_call *c, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0 || c->n_warnings == JADEI_WARNINGS_MAX) {
        return;
    }
    for (unsigned i = 0; i < c->n_warnings; i++) {
        if (strcmp(c->warnings[i], text) == 0) {
            return;
        }
    }
    const char *kept = jade_arena_strndup(&c->arena, text, strlen(text));
    if (kept) { /* short of memory: the answer goes without its warning */
        c->warnings[c->n_warnings++] = kept;
    }
}

/* Appends a path segment; false when it does not fit. */
static bool add_segment(char *out, size_t size, const char *segment)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = strlen(out);
    if (n + 1 >= size) {
        return false;
    }
    out[n++] = '/';
    for (const unsigned char *p = (const unsigned char *)segment; *p; p++) {
        bool plain = (*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= 'a' && *p <= 'z') || strchr("-._~", *p) != NULL;
        if (n + 4 > size) {
            return false;
        }
        if (plain) {
            out[n++] = (char)*p;
        } else {
            out[n++] = '%';
            out[n++] = hex[*p >> 4];
            out[n++] = hex[*p & 15];
        }
    }
    out[n] = '\0';
    return true;
}

void jadei_reply_location(struct jadei_call *c, const char *const *segments)
{
    char value[256] = "/api/v1";
    for (size_t i = 0; segments[i]; i++) {
        if (!add_segment(value, sizeof value, segments[i])) {
            return;
        }
    }
    jade_http_reply_header(c->reply, "Location", value);
}
