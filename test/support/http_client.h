/*
 * A tiny HTTP/1.1 client for tests: one request at a time on one connection that is kept alive. Include after cmocka.h.
 *
 *     struct http_client c;  http_client_open(&c, port);
 *     http_client_ask(&c, "POST", "/api/v1/databases", "X-API-Key: k\r\n", body, n);   // c.status, c.head, c.body
 *     http_client_close(&c);
 */
#ifndef JADE_TEST_HTTP_CLIENT_H
#define JADE_TEST_HTTP_CLIENT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HTTP_HEAD_MAX = 32 * 1024 };

struct http_client {
    int fd; /* -1: closed */
    uint16_t port;
    int status;
    char head[HTTP_HEAD_MAX]; /* status line and headers of the last answer, NUL-terminated */
    char *body;               /* of the last answer, NUL-terminated; freed by the next one */
    size_t body_len;
};

static inline void http_client_connect(struct http_client *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(c->port)};
    int yes = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(c->fd >= 0);
    assert_int_equal(setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes), 0);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&to, sizeof to), 0);
}

static inline void http_client_open(struct http_client *c, uint16_t port)
{
    memset(c, 0, sizeof *c);
    c->port = port;
    http_client_connect(c);
}

static inline void http_client_close(struct http_client *c)
{
    if (c->fd >= 0) {
        close(c->fd);
    }
    free(c->body);
    c->fd = -1;
    c->body = NULL;
}

/** False when the peer closed before all was sent; then an answer may wait all the same (413). */
static inline bool http_client_send(struct http_client *c, const void *p, size_t n)
{
    const char *at = p;
    while (n > 0) {
        ssize_t sent = send(c->fd, at, n, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        at += sent;
        n -= (size_t)sent;
    }
    return true;
}

/** Value of a header of the last answer into out; "" when it is absent. */
static inline void http_client_header(const struct http_client *c, const char *name, char *out,
                                      size_t size)
{
    size_t len = strlen(name);
    out[0] = '\0';
    for (const char *p = strstr(c->head, "\r\n"); p && p[2]; p = strstr(p + 2, "\r\n")) {
        if (strncasecmp(p + 2, name, len) == 0 && p[2 + len] == ':') {
            const char *value = p + 2 + len + 1;
            value += strspn(value, " ");
            snprintf(out, size, "%.*s", (int)strcspn(value, "\r\n"), value);
            return;
        }
    }
}

static inline void http_client_read_body(struct http_client *c, size_t have, char *rest)
{
    char length[32];
    http_client_header(c, "Content-Length", length, sizeof length);
    assert_true(length[0] != '\0');
    c->body_len = strtoul(length, NULL, 10);
    c->body = malloc(c->body_len + 1);
    assert_non_null(c->body);
    assert_true(have <= c->body_len);
    memcpy(c->body, rest, have);
    while (have < c->body_len) {
        ssize_t n = recv(c->fd, c->body + have, c->body_len - have, 0);
        assert_true(n > 0);
        have += (size_t)n;
    }
    c->body[c->body_len] = '\0';
}

/** Reads one answer; that of a HEAD has no body, whatever its Content-Length says. */
static inline void http_client_receive(struct http_client *c, bool with_body)
{
    char bytes[HTTP_HEAD_MAX];
    size_t n = 0;
    char *end = NULL;
    while (!end) {
        assert_true(n + 1 < sizeof bytes);
        ssize_t got = recv(c->fd, bytes + n, sizeof bytes - 1 - n, 0);
        assert_true(got > 0);
        n += (size_t)got;
        bytes[n] = '\0';
        end = strstr(bytes, "\r\n\r\n");
    }
    size_t head = (size_t)(end - bytes) + 2;
    memcpy(c->head, bytes, head);
    c->head[head] = '\0';
    assert_int_equal(sscanf(c->head, "HTTP/1.1 %d", &c->status), 1);
    free(c->body);
    c->body = NULL;
    c->body_len = 0;
    if (with_body) {
        http_client_read_body(c, n - head - 2, bytes + head + 2);
    } else {
        assert_int_equal(n, head + 2);
    }
}

/** headers: lines that end with \r\n, or "". */
static inline void http_client_ask(struct http_client *c, const char *method, const char *path,
                                   const char *headers, const void *body, size_t n)
{
    char head[8192];
    int len = snprintf(head, sizeof head,
                       "%s %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %zu\r\n\r\n", method,
                       path, headers, n);
    assert_in_range(len, 1, sizeof head - 1);
    if (http_client_send(c, head, (size_t)len) && n > 0) {
        (void)http_client_send(c, body, n);
    }
    http_client_receive(c, strcmp(method, "HEAD") != 0);
    char connection[32];
    http_client_header(c, "Connection", connection, sizeof connection);
    if (strcasecmp(connection, "close") == 0) {
        close(c->fd);
        http_client_connect(c);
    }
}

#endif
