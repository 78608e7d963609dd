/*
 * A server with a known handler, and a client that speaks raw bytes. Include after cmocka.h.
 *
 * Paths of the handler: /echo says what came; /block waits for the gate; /big?n=N answers N bytes; /none answers 204;
 * /broken hands over a body whose memory ran out.
 */
#ifndef JADE_TEST_HTTP_TEST_H
#define JADE_TEST_HTTP_TEST_H

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/http_server.h"
#include "os/thread.h"

enum { PATIENCE_MS = 30000, ANSWER_MAX = 1 << 16 };

struct http_test {
    struct jade_http_server *server;
    struct jade_mutex mutex;
    struct jade_cond changed;
    unsigned waiting; /* handlers inside /block */
    bool open;        /* the gate */
};

static inline void http_test_echo(const struct jade_http_request *q, struct jade_http_reply *r)
{
    static const char *const names[] = {"GET",   "POST", "PUT",     "DELETE",
                                        "PATCH", "HEAD", "OPTIONS", "OTHER"};
    const char *header = jade_http_header(q, "x-test");
    char param[32];
    bool has = jade_http_param(q, "a", param, sizeof param);
    jade_buf_printf(&r->body, "%s path=%s query=%s a=%s header=%s peer=%s large=%d body=%zu:",
                    names[q->method], q->path, q->query, has ? param : "(none)",
                    header ? header : "(none)", q->peer, q->body_too_large, q->body_len);
    jade_buf_append(&r->body, q->body, q->body_len);
    r->content_type = "text/plain";
    jade_http_reply_header(r, "X-Reply", "yes");
}

static inline void http_test_handler(void *ctx, const struct jade_http_request *q,
                                     struct jade_http_reply *r)
{
    struct http_test *t = ctx;
    char n[16] = "0";
    if (strcmp(q->path, "/block") == 0) {
        jade_mutex_lock(&t->mutex);
        t->waiting++;
        jade_cond_broadcast(&t->changed);
        while (!t->open) {
            jade_cond_wait(&t->changed, &t->mutex);
        }
        t->waiting--;
        jade_cond_broadcast(&t->changed);
        jade_mutex_unlock(&t->mutex);
        jade_buf_append_str(&r->body, "unblocked");
    } else if (strcmp(q->path, "/big") == 0 && jade_http_param(q, "n", n, sizeof n)) {
        size_t size = strtoul(n, NULL, 10);
        void *p = jade_buf_extend(&r->body, size);
        assert_non_null(p);
        memset(p, 'x', size);
    } else if (strcmp(q->path, "/none") == 0) {
        r->status = 204;
    } else if (strcmp(q->path, "/broken") == 0) {
        jade_buf_append_str(&r->body, "half of an answ");
        r->body.failed = true;
    } else {
        http_test_echo(q, r);
    }
}

static inline void http_test_start(struct http_test *t, struct jade_http_server_opts opts)
{
    struct jade_err err = {0};
    memset(t, 0, sizeof *t);
    jade_mutex_init(&t->mutex);
    jade_cond_init(&t->changed);
    opts.host = opts.host ? opts.host : "127.0.0.1";
    opts.handler = http_test_handler;
    opts.ctx = t;
    if (jade_http_server_start(&opts, &t->server, &err) != JADE_OK) {
        fail_msg("%s", err.message);
    }
}

static inline void http_test_open_gate(struct http_test *t)
{
    jade_mutex_lock(&t->mutex);
    t->open = true;
    jade_cond_broadcast(&t->changed);
    jade_mutex_unlock(&t->mutex);
}

static inline void http_test_wait_waiting(struct http_test *t, unsigned n)
{
    jade_mutex_lock(&t->mutex);
    while (t->waiting < n) {
        assert_true(jade_cond_wait_for(&t->changed, &t->mutex, (uint64_t)PATIENCE_MS * 1000));
    }
    jade_mutex_unlock(&t->mutex);
}

static inline void http_test_stop(struct http_test *t)
{
    http_test_open_gate(t);
    jade_http_server_stop(t->server, PATIENCE_MS);
    jade_cond_release(&t->changed);
    jade_mutex_release(&t->mutex);
}

/* ---- client ---- */

static inline int dial(const struct http_test *t)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(jade_http_server_port(t->server)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

/** Sends all; false when the server closed. */
static inline bool say_bytes(int fd, const void *p, size_t n)
{
    const char *at = p;
    while (n > 0) {
        ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent <= 0) {
            return false;
        }
        at += sent;
        n -= (size_t)sent;
    }
    return true;
}

static inline void say(int fd, const char *text)
{
    assert_true(say_bytes(fd, text, strlen(text)));
}

/** Some bytes: their number, 0 at the end or when the connection broke; a silence of PATIENCE_MS fails the test. */
static inline size_t hear_some(int fd, void *p, size_t n)
{
    struct pollfd pf = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&pf, 1, PATIENCE_MS), 1);
    ssize_t got = recv(fd, p, n, 0);
    return got > 0 ? (size_t)got : 0;
}

struct answer {
    int status;
    bool has_length;
    size_t length; /* Content-Length */
    char head[4096];
    char body[ANSWER_MAX]; /* its beginning, NUL at the end */
    size_t body_len;
};

/** Reads one answer; false when the connection ended before one was complete. no_body: of a HEAD. */
static inline bool hear(int fd, struct answer *a, bool no_body)
{
    size_t n = 0;
    memset(a, 0, sizeof *a);
    while (n < 4 || memcmp(a->head + n - 4, "\r\n\r\n", 4) != 0) {
        assert_true(n + 1 < sizeof a->head);
        if (hear_some(fd, a->head + n, 1) == 0) {
            return false;
        }
        n++;
    }
    assert_int_equal(sscanf(a->head, "HTTP/1.%*d %d", &a->status), 1);
    const char *length = strcasestr(a->head, "\r\nContent-Length:");
    a->has_length = length != NULL;
    a->length = length ? strtoul(length + 17, NULL, 10) : 0;
    char chunk[16384];
    while (!no_body && a->body_len < a->length) {
        size_t want = a->length - a->body_len;
        size_t got = hear_some(fd, chunk, want < sizeof chunk ? want : sizeof chunk);
        if (got == 0) {
            return false;
        }
        if (a->body_len + got < sizeof a->body) {
            memcpy(a->body + a->body_len, chunk, got);
        }
        a->body_len += got;
    }
    return true;
}

static inline bool ended(int fd)
{
    char c;
    return hear_some(fd, &c, 1) == 0;
}

/** One request on a connection of its own. */
static inline void ask(const struct http_test *t, const char *request, struct answer *a)
{
    int fd = dial(t);
    say(fd, request);
    assert_true(hear(fd, a, false));
    close(fd);
}

#endif
