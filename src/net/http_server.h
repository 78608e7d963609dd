/*
 * HTTP/1.1 server on libevent: one event loop a thread, each with its own listening socket (SO_REUSEPORT); requests are handed to a
 * pool of worker threads, so that a handler may block (disk, group commit) without holding up a loop.
 *
 * Life of a request: loop thread parses -> body complete -> queued (bounded; past it 503 at once) -> worker calls the handler, which fills the
 * reply -> back to the loop thread (eventfd), which sends it. A connection that closes meanwhile only drops the reply.
 *
 * Threads: start, stop, free by one thread; the handler runs on any worker. Ownership: request and reply belong to the server and are valid
 * inside the handler only; the reply's buffer is handed over.
 */
#ifndef JADE_NET_HTTP_SERVER_H
#define JADE_NET_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum jade_http_method {
    JADE_HTTP_GET,
    JADE_HTTP_POST,
    JADE_HTTP_PUT,
    JADE_HTTP_DELETE,
    JADE_HTTP_PATCH,
    JADE_HTTP_HEAD,
    JADE_HTTP_OPTIONS,
    JADE_HTTP_OTHER
};

struct jade_http_request {
    enum jade_http_method method;
    const char *path;    /* as sent (percent-encoded), without query string */
    const char *query;   /* after '?', or "" */
    const uint8_t *body; /* contiguous, followed by 64 readable bytes */
    size_t body_len;
    const char *peer;    /* address of the client */
    bool body_too_large; /* longer than body_max: the body was dropped, answer 413 */
    void *priv;          /* jade_http_header */
};
/** Value of a request header (name in any case), or NULL. */
const char *jade_http_header(const struct jade_http_request *r, const char *name);
/** Percent-decoded value of a query parameter into out; false when absent or too long. */
bool jade_http_param(const struct jade_http_request *r, const char *name, char *out, size_t size);
/** Percent-decodes n bytes of a path segment into out (NUL-terminated); false when malformed or too long. */
bool jade_http_decode(const char *s, size_t n, char *out, size_t size, size_t *len_out);

struct jade_http_reply {
    int status;
    const char *content_type; /* static string; default "application/json" */
    struct jade_buf body;
    struct {
        const char *name;
        char value[256];
    } headers[16];
    unsigned n_headers;
};
/** Adds a header; too many or too long ones are an assertion (they are ours). */
void jade_http_reply_header(struct jade_http_reply *r, const char *name, const char *value);

typedef void (*jade_http_handler)(void *ctx, const struct jade_http_request *req,
                                  struct jade_http_reply *reply);

struct jade_http_server_opts {
    const char *host;        /* numeric address or name */
    uint16_t port;           /* 0 = any free one (see jade_http_server_port) */
    unsigned loops;          /* event loop threads, 0 = 1 */
    unsigned workers;        /* handler threads, 0 = 16 */
    unsigned queue_max;      /* waiting requests, 0 = 1024 */
    size_t body_max;         /* 0 = JADE_HTTP_BODY_MAX */
    unsigned idle_timeout_s; /* 0 = 60 */
    jade_http_handler handler;
    void *ctx;
};
struct jade_http_server;

/** Binds and begins to serve. Errors: JADE_E_NETWORK ("port 7433 on 127.0.0.1 is taken", or what the system says), JADE_E_NOMEM. */
jade_code jade_http_server_start(const struct jade_http_server_opts *opts,
                                 struct jade_http_server **out, struct jade_err *err);
uint16_t jade_http_server_port(const struct jade_http_server *s);
/**
 * Refuses new requests (503), lets those that were taken finish for up to timeout_ms, their replies written to the last byte, then closes
 * everything and frees. A handler that runs longer is waited for, its reply may be lost. NULL allowed.
 */
void jade_http_server_stop(struct jade_http_server *s, unsigned timeout_ms);

struct jade_http_counters {
    uint64_t requests, refused, bytes_in, bytes_out;
};
void jade_http_server_counters(const struct jade_http_server *s, struct jade_http_counters *out);

#endif
