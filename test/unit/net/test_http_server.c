/*
 * The HTTP server over real sockets: what reaches the handler, what comes back, and what a bad client can not do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/resource.h>

#include "http_test.h"

static struct answer a; /* too large for the stack of a test */

/* ---- routing ---- */

static void request_reaches_the_handler_as_sent(void **state)
{
    struct http_test t;
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){0});
    ask(&t,
        "POST /echo/a%20b?a=1%2B1&b=2 HTTP/1.1\r\nHost: x\r\nX-TEST: Yes\r\nContent-Length: 5\r\n\r\nhello",
        &a);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "POST path=/echo/a%20b query=a=1%2B1&b=2 a=1+1 header=Yes "
                                "peer=127.0.0.1 large=0 body=5:hello");
    assert_non_null(strstr(a.head, "Content-Type: text/plain\r\n"));
    assert_non_null(strstr(a.head, "X-Reply: yes\r\n"));
    http_test_stop(&t);
}

static void every_method_has_its_name(void **state)
{
    static const char *const methods[][2] = {
        {"GET", "GET"},     {"POST", "POST"},   {"PUT", "PUT"},    {"DELETE", "DELETE"},
        {"PATCH", "PATCH"}, {"TRACE", "OTHER"}, {"BREW", "OTHER"}, {"OPTIONS", "OPTIONS"},
        {"get", "OTHER"},   {"POSTS", "OTHER"}};
    struct http_test t;
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){0});
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        char request[128];
        snprintf(request, sizeof request, "%s /echo HTTP/1.1\r\nHost: x\r\n\r\n", methods[i][0]);
        ask(&t, request, &a);
        if (a.status != 200 || strncmp(a.body, methods[i][1], strlen(methods[i][1])) != 0) {
            fail_msg("%s: %d %s", methods[i][0], a.status, a.body);
        }
    }
    http_test_stop(&t);
}

static void absolute_uri_is_its_path(void **state)
{
    static const char *const uris[][2] = {{"http://h:1/echo?q=1", "path=/echo query=q=1 "},
                                          {"http://h", "path=/ query= "},
                                          {"http://h?q=1", "path=/ query=q=1 "},
                                          {"//x/y", "path=//x/y query= "},
                                          {"/a://b", "path=/a://b query= "},
                                          {"/e#f", "path=/e query= "},
                                          {"/e?#f", "path=/e query= "},
                                          {"*", "path=* query= "}};
    struct http_test t;
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){0});
    for (size_t i = 0; i < sizeof uris / sizeof *uris; i++) {
        char request[128];
        snprintf(request, sizeof request, "OPTIONS %s HTTP/1.1\r\nHost: x\r\n\r\n", uris[i][0]);
        ask(&t, request, &a);
        assert_int_equal(a.status, 200);
        if (!strstr(a.body, uris[i][1])) {
            fail_msg("%s: %s", uris[i][0], a.body);
        }
    }
    http_test_stop(&t);
}

static void percent_decoding_follows_its_table(void **state)
{
    static const struct {
        const char *in, *out; /* out NULL: refused */
    } table[] = {{"", ""},
                 {"abc", "abc"},
                 {"a%20b", "a b"},
                 {"a+b", "a+b"},
                 {"%41%6a", "Aj"},
                 {"%4A", "J"},
                 {"%", NULL},
                 {"%4", NULL},
                 {"%4g", NULL},
                 {"%g4", NULL},
                 {"x%", NULL},
                 {"%2541", "%41"},
                 {"%c3%a4", "\xc3\xa4"},
                 {"1234567", "1234567"},
                 {"12345678", NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char out[8];
        size_t n = 99;
        bool ok = jade_http_decode(table[i].in, strlen(table[i].in), out, sizeof out, &n);
        assert_int_equal(ok, table[i].out != NULL);
        if (ok) {
            assert_string_equal(out, table[i].out);
            assert_int_equal(n, strlen(table[i].out));
        }
    }
    char out[8];
    size_t n;
    assert_true(
        jade_http_decode("%00x", 4, out, sizeof out, &n)); /* the caller sees it by the length */
    assert_int_equal(n, 2);
}

static void query_parameters_are_found_and_decoded(void **state)
{
    static const struct {
        const char *query, *out; /* of a; NULL: absent or malformed */
    } table[] = {{"a=1", "1"},
                 {"b=2&a=1", "1"},
                 {"ab=2", NULL},
                 {"", NULL},
                 {"a", ""},
                 {"a=", ""},
                 {"&&a=x&", "x"},
                 {"a=1&a=2", "1"},
                 {"a=x+y", "x y"},
                 {"a=%2", NULL},
                 {"a=1=2", "1=2"},
                 {"A=1", NULL},
                 {"a=1234567", "1234567"},
                 {"a=12345678", NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct jade_http_request q = {.query = table[i].query};
        char out[8];
        assert_int_equal(jade_http_param(&q, "a", out, sizeof out), table[i].out != NULL);
        if (table[i].out) {
            assert_string_equal(out, table[i].out);
        }
    }
}

/* ---- connections ---- */

static void connection_serves_several_requests(void **state)
{
    struct http_test t;
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){0});
    int fd = dial(&t);
    for (int i = 0; i < 20; i++) {
        char request[128], expected[32];
        snprintf(request, sizeof request,
                 "PUT /echo?a=%d HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n%02d", i, i);
        snprintf(expected, sizeof expected, "body=2:%02d", i);
        say(fd, request);
        assert_true(hear(fd, &a, false));
        assert_non_null(strstr(a.body, expected));
    }
    say(fd, "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_true(hear(fd, &a, false));
    assert_true(ended(fd));
    close(fd);
    fd = dial(&t);
    say(fd, "GET /echo HTTP/1.0\r\n\r\n");
    assert_true(hear(fd, &a, false));
    assert_true(ended(fd));
    close(fd);
    struct jade_http_counters c;
    jade_http_server_counters(t.server, &c);
    assert_int_equal(c.requests, 22);
    assert_int_equal(c.bytes_in, 40);
    assert_int_equal(c.refused, 0);
    assert_true(c.bytes_out > 22 * 10);
    http_test_stop(&t);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct http_test t;
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){.workers = 4});
    int fd = dial(&t);
    say(fd, "GET /echo?a=0 HTTP/1.1\r\nHost: x\r\n\r\n"
            "POST /echo?a=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\none"
            "DELETE /echo?a=2 HTTP/1.1\r\nHost: x\r\n\r\n"
            "GET /echo?a=3 HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 4; i++) {
        char expected[16];
        snprintf(expected, sizeof expected, " a=%d ", i);
        assert_true(hear(fd, &a, false));
        assert_non_null(strstr(a.body, expected));
    }
    close(fd);
    http_test_stop(&t);
}

/* Early releases of libevent 2.1 end the process here: bytes for a connection whose request, without a body, is still worked on. */
static void bytes_that_come_while_a_handler_runs_wait(void **state)
{
    struct http_test t;
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){.loops = 1, .workers = 2});
    int fd = dial(&t);
    say(fd, "GET /block HTTP/1.1\r\nHost: x\r\n\r\n");
    http_test_wait_waiting(&t, 1);
    say(fd, "GET /echo?a=next HTTP/1.1\r\nHost: x\r\n\r\n");
    ask(&t, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n", &a); /* the loop has been round since */
    http_test_open_gate(&t);
    assert_true(hear(fd, &a, false));
    assert_string_equal(a.body, "unblocked");
    assert_true(hear(fd, &a, false));
    assert_non_null(strstr(a.body, " a=next "));
    close(fd);
    http_test_stop(&t);
}

static void head_has_the_length_and_no_body(void **state)
{
    struct http_test t;
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){0});
    int fd = dial(&t);
    say(fd, "HEAD /big?n=1234 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(hear(fd, &a, true));
    assert_int_equal(a.status, 200);
    assert_int_equal(a.length, 1234);
    say(fd, "GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(hear(fd, &a, false));
    assert_int_equal(a.status, 204);
    assert_false(a.has_length && a.length > 0);
    say(fd, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"); /* and the connection is in step */
    assert_true(hear(fd, &a, false));
    assert_int_equal(strncmp(a.body, "GET ", 4), 0);
    close(fd);
    http_test_stop(&t);
}

static void long_replies_arrive_whole(void **state)
{
    struct http_test t;
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){0});
    ask(&t, "GET /big?n=20000000 HTTP/1.1\r\nHost: x\r\n\r\n", &a);
    assert_int_equal(a.body_len, 20000000);
    http_test_stop(&t);
}

static void reply_without_memory_is_an_error_not_half_a_body(void **state)
{
    struct http_test t;
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){0});
    ask(&t, "GET /broken HTTP/1.1\r\nHost: x\r\n\r\n", &a);
    assert_int_equal(a.status, 503);
    assert_non_null(strstr(a.body, "\"code\":\"OUT_OF_MEMORY\""));
    http_test_stop(&t);
}

/* ---- bodies ---- */

static void chunked_body_arrives_joined(void **state)
{
    struct http_test t;
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){0});
    int fd = dial(&t);
    say(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    say(fd, "7\r\n, world\r\n0\r\n\r\n");
    assert_true(hear(fd, &a, false));
    assert_non_null(strstr(a.body, "body=12:hello, world"));
    say(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n");
    assert_true(hear(fd, &a, false));
    assert_in_range(a.status, 400, 413);
    assert_true(ended(fd));
    close(fd);
    http_test_stop(&t);
}

static void expect_continue_is_answered_before_the_body(void **state)
{
    struct http_test t;
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){0});
    int fd = dial(&t);
    say(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert_true(hear(fd, &a, true));
    assert_int_equal(a.status, 100);
    say(fd, "body");
    assert_true(hear(fd, &a, false));
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.body, "body=4:body"));
    close(fd);
    http_test_stop(&t);
}

/* Sends a body of n bytes, as far as the server takes it; whether an answer came. */
static bool post_bytes(const struct http_test *t, size_t n)
{
    static char block[4096];
    char head[128];
    int fd = dial(t);
    snprintf(head, sizeof head, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", n);
    say(fd, head);
    bool open = true;
    for (size_t sent = 0; open && sent < n; sent += sizeof block) {
        open = say_bytes(fd, block, n - sent < sizeof block ? n - sent : sizeof block);
    }
    bool answered = hear(fd, &a, false);
    close(fd);
    return answered;
}

static void body_over_the_limit_is_flagged_and_dropped(void **state)
{
    struct http_test t;
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){.body_max = 10000});
    assert_true(post_bytes(&t, 10000));
    assert_non_null(strstr(a.body, "large=0 body=10000:"));
    assert_true(post_bytes(&t, 10001));
    assert_non_null(strstr(a.body, "large=1 body=0:"));
    assert_true(post_bytes(&t, 40000));
    assert_non_null(strstr(a.body, "large=1 body=0:"));
    http_test_stop(&t);
}

static void body_far_over_the_limit_is_refused(void **state)
{
    struct http_test t;
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){.body_max = 10000});
    if (post_bytes(
            &t, 50000000)) { /* a client that still sends may lose the answer with the connection */
        assert_int_equal(a.status, 413);
    }
    int fd = dial(&t);
    say(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n"); /* and waits */
    assert_true(hear(fd, &a, false));
    assert_int_equal(a.status, 413);
    assert_true(ended(fd));
    close(fd);
    ask(&t, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n", &a);
    assert_int_equal(a.status, 200);
    http_test_stop(&t);
}

static void ambiguous_length_is_refused_and_the_connection_closed(void **state)
{
    static const char *const heads[] = {
        "POST /echo HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "BREW /echo HTTP/1.1\r\nContent-Length: 26\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
        "TRACE /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"};
    struct http_test t;
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){0});
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        int fd = dial(&t);
        say(fd, heads[i]);
        assert_true(hear(fd, &a, false));
        /* libevent has words of its own for some */
        if (a.status != 400 ||
            (i != 0 && i != 3 && !strstr(a.body, "\"code\":\"INVALID_ARGUMENT\""))) {
            fail_msg("head %zu: %d %s", i, a.status, a.body);
        }
        assert_true(ended(fd));
        close(fd);
    }
    ask(&t, "BREW /echo HTTP/1.1\r\nContent-Length: 0\r\n\r\n", &a);
    assert_int_equal(a.status, 200);
    ask(&t, "DELETE /echo HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody", &a); /* the handler decides */
    assert_non_null(strstr(a.body, "body=4:body"));
    http_test_stop(&t);
}

/* ---- bad clients ---- */

static void broken_request_line_is_refused(void **state)
{
    static const char *const lines[] = {"GARBAGE\r\n\r\n",
                                        "GET /echo\r\n\r\n",
                                        "GET /echo HTTP/9.9\r\n\r\n",
                                        "GET /a b c HTTP/1.1\r\n\r\n",
                                        "GET /echo HTTP/1.1\r\nno colon here\r\n\r\n",
                                        "POST /echo HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                                        "POST /echo HTTP/1.1\r\nContent-Length: 1x\r\n\r\n",
                                        "\x16\x03\x01\x02\r\n\r\n"};
    struct http_test t;
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){0});
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        int fd = dial(&t);
        say(fd, lines[i]);
        if (!hear(fd, &a, false) || a.status != 400) {
            fail_msg("line %zu: %d %s", i, a.status, a.head);
        }
        assert_true(ended(fd));
        close(fd);
    }
    ask(&t, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n", &a);
    assert_int_equal(a.status, 200);
    http_test_stop(&t);
}

static void huge_headers_are_refused(void **state)
{
    static char junk[8192];
    struct http_test t;
    (void)state;
    memset(junk, 'h', sizeof junk);
    http_test_start(&t, (struct jade_http_server_opts){0});
    for (int line = 0; line < 2; line++) { /* in a header, in the request line */
        int fd = dial(&t);
        say(fd, line ? "GET /" : "GET /echo HTTP/1.1\r\nX-Huge: ");
        for (size_t sent = 0; sent < 1 << 20; sent += sizeof junk) {
            if (!say_bytes(fd, junk, sizeof junk)) {
                break;
            }
        }
        if (hear(fd, &a, false)) { /* lost with the connection when the client still sends */
            assert_int_equal(a.status, 400);
        }
        close(fd);
    }
    ask(&t, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n", &a);
    assert_int_equal(a.status, 200);
    http_test_stop(&t);
}

static void client_that_leaves_while_the_handler_runs_is_no_harm(void **state)
{
    static const char *const requests[] = {
        "GET /block HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /block HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody",
        "POST /block HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody",
        "POST /block HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"};
    enum { N = sizeof requests / sizeof *requests };
    struct http_test t;
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){.workers = 2 * N + 1});
    for (unsigned i = 0; i < 2 * N; i++) {
        int fd = dial(&t);
        say(fd, requests[i % N]);
        http_test_wait_waiting(&t, i + 1);
        if (i >= N) { /* with a reset instead of an orderly end */
            struct linger l = {.l_onoff = 1};
            assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l), 0);
        }
        close(fd);
    }
    ask(&t, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n", &a);
    assert_int_equal(a.status, 200);
    http_test_open_gate(&t);
    ask(&t, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n", &a);
    assert_int_equal(a.status, 200);
    http_test_stop(&t);
}

static void client_that_leaves_in_a_long_reply_is_no_harm(void **state)
{
    struct http_test t;
    char c[1000];
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){0});
    for (int i = 0; i < 8; i++) {
        int fd = dial(&t);
        say(fd, "GET /big?n=20000000 HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_true(hear_some(fd, c, sizeof c) > 0);
        close(fd);
    }
    ask(&t, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n", &a);
    assert_int_equal(a.status, 200);
    http_test_stop(&t);
}

static void half_a_request_holds_up_nobody_and_times_out(void **state)
{
    static const char *const halves[] = {"GET /ec", "GET /echo HTTP/1.1\r\nHos",
                                         "POST /echo HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf"};
    enum { N = sizeof halves / sizeof *halves };
    struct http_test t;
    int fds[N];
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){.workers = 1, .idle_timeout_s = 1});
    for (int i = 0; i < N; i++) {
        fds[i] = dial(&t);
        say(fds[i], halves[i]);
    }
    for (int i = 0; i < 50; i++) {
        ask(&t, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n", &a);
        assert_int_equal(a.status, 200);
    }
    for (int i = 0; i < N; i++) {
        assert_true(ended(fds[i]));
        close(fds[i]);
    }
    http_test_stop(&t);
}

static void handler_may_take_longer_than_the_idle_timeout(void **state)
{
    struct http_test t;
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){.idle_timeout_s = 1});
    int idle = dial(&t);
    int fds[2] = {dial(&t), dial(&t)};
    say(fds[0], "GET /block HTTP/1.1\r\nHost: x\r\n\r\n");
    say(fds[1], "POST /block HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx");
    http_test_wait_waiting(&t, 2);
    for (int i = 0; i < 2; i++) { /* two times the time-out, by a connection that has it */
        assert_true(ended(idle));
        close(idle);
        idle = dial(&t);
    }
    close(idle);
    http_test_open_gate(&t);
    for (int i = 0; i < 2; i++) {
        assert_true(hear(fds[i], &a, false));
        assert_string_equal(a.body, "unblocked");
        close(fds[i]);
    }
    http_test_stop(&t);
}

static void reply_may_take_longer_than_the_idle_timeout(void **state)
{
    enum { STEP = 512 * 1024, PACE_MS = 80, TOTAL = 20000000 };
    static char chunk[STEP];
    struct http_test t;
    size_t n = 0, got;
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){.idle_timeout_s = 1});
    int idle = dial(&t), fd = dial(&t);
    say(fd, "GET /big?n=20000000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    do { /* a slow reader that never stops */
        size_t step = 0;
        do {
            got = hear_some(fd, chunk, STEP - step);
            step += got;
        } while (got > 0 && step < STEP);
        n += step;
        poll(NULL, 0, PACE_MS);
    } while (got > 0);
    assert_true(n > TOTAL);
    struct pollfd pf = {.fd = idle, .events = POLLIN};
    assert_int_equal(poll(&pf, 1, 0), 1); /* and the time-out has passed meanwhile */
    close(idle);
    close(fd);
    http_test_stop(&t);
}

/* ---- load ---- */

static void full_queue_is_answered_503_at_once(void **state)
{
    struct http_test t;
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){.workers = 1, .queue_max = 1});
    int busy = dial(&t), queued = dial(&t), refused = dial(&t);
    say(busy, "GET /block HTTP/1.1\r\nHost: x\r\n\r\n");
    http_test_wait_waiting(&t, 1);
    say(queued, "GET /block HTTP/1.1\r\nHost: x\r\n\r\n");
    struct jade_http_counters c;
    do { /* until the loop has put it into the queue */
        jade_http_server_counters(t.server, &c);
    } while (c.requests < 2);
    say(refused, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(hear(refused, &a, false));
    assert_int_equal(a.status, 503);
    assert_non_null(strstr(a.head, "Retry-After: 1\r\n"));
    assert_non_null(strstr(a.head, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(a.body, "\"code\":\"BUSY\""));
    http_test_open_gate(&t);
    assert_true(hear(busy, &a, false));
    assert_true(hear(queued, &a, false));
    say(refused, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"); /* the connection is still good */
    assert_true(hear(refused, &a, false));
    assert_int_equal(a.status, 200);
    jade_http_server_counters(t.server, &c);
    assert_int_equal(c.refused, 1);
    close(busy);
    close(queued);
    close(refused);
    http_test_stop(&t);
}

enum { CLIENTS = 64, ROUNDS = 20 };

struct client {
    const struct http_test *t;
    struct jade_thread thread;
    struct answer a;
    int number, good;
};

static void *client_main(void *arg)
{
    struct client *c = arg;
    char request[256], expected[64];
    int fd = dial(c->t);
    for (int i = 0; i < ROUNDS; i++) {
        int n = snprintf(expected, sizeof expected, "client %d round %d", c->number, i);
        snprintf(request, sizeof request,
                 "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", n, expected);
        c->good += say_bytes(fd, request, strlen(request)) && hear(fd, &c->a, false) &&
                   c->a.status == 200 && strstr(c->a.body, expected) != NULL;
    }
    close(fd);
    return NULL;
}

static void many_clients_at_once_get_their_own_answers(void **state)
{
    struct http_test t;
    struct client *clients = calloc(CLIENTS, sizeof *clients);
    (void)state;
    assert_non_null(clients);
    http_test_start(&t, (struct jade_http_server_opts){.loops = 3, .workers = 4});
    for (int i = 0; i < CLIENTS; i++) {
        clients[i].t = &t;
        clients[i].number = i;
        assert_int_equal(
            jade_thread_start(&clients[i].thread, "client", 0, client_main, &clients[i], NULL),
            JADE_OK);
    }
    for (int i = 0; i < CLIENTS; i++) {
        jade_thread_join(&clients[i].thread);
        assert_int_equal(clients[i].good, ROUNDS);
    }
    http_test_stop(&t);
    free(clients);
}

static void clients_wait_while_no_descriptor_is_free(void **state)
{
    struct http_test t;
    struct rlimit before, few;
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){0});
    int free_ones[3]; /* both ends of the first connection, one of the second */
    for (int i = 0; i < 3; i++) {
        free_ones[i] = dup(STDOUT_FILENO);
        assert_true(free_ones[i] >= 0);
    }
    for (int i = 0; i < 3; i++) {
        close(free_ones[i]);
    }
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = (rlim_t)free_ones[2] + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    int first = dial(&t);
    say(first, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(hear(first, &a, false));
    int second = dial(&t);
    say(second, "GET /echo?a=second HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 3; i++) { /* those inside are served */
        say(first, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_true(hear(first, &a, false));
    }
    close(first);
    assert_true(hear(second, &a, false));
    assert_non_null(strstr(a.body, " a=second "));
    close(second);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    http_test_stop(&t);
}

/* ---- start and stop ---- */

static void taken_port_is_named(void **state)
{
    struct jade_err err = {0};
    struct jade_http_server *second;
    struct http_test t;
    char expected[16];
    (void)state;
    http_test_start(&t,
                    (struct jade_http_server_opts){0}); /* one of ours: SO_REUSEPORT is set on it */
    uint16_t port = jade_http_server_port(t.server);
    struct jade_http_server_opts opts = {
        .host = "127.0.0.1", .port = port, .handler = http_test_handler, .ctx = &t};
    snprintf(expected, sizeof expected, "port %u", port);
    assert_int_equal(jade_http_server_start(&opts, &second, &err), JADE_E_NETWORK);
    assert_null(second);
    assert_non_null(strstr(err.message, expected));
    assert_int_equal(err.os_errno, EADDRINUSE);
    http_test_stop(&t);

    int fd = socket(AF_INET, SOCK_STREAM, 0); /* and a foreign one */
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    assert_int_equal(bind(fd, (struct sockaddr *)&at, n), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    opts.port = ntohs(at.sin_port);
    snprintf(expected, sizeof expected, "port %u", opts.port);
    assert_int_equal(jade_http_server_start(&opts, &second, &err), JADE_E_NETWORK);
    assert_non_null(strstr(err.message, expected));
    close(fd);
}

static void unknown_host_is_an_error(void **state)
{
    struct jade_err err = {0};
    struct jade_http_server *server;
    struct jade_http_server_opts opts = {.host = "256.1.1.1.invalid", .handler = http_test_handler};
    (void)state;
    assert_int_equal(jade_http_server_start(&opts, &server, &err), JADE_E_NETWORK);
    assert_non_null(strstr(err.message, "256.1.1.1.invalid"));
}

static void name_with_several_addresses_is_served(void **state)
{
    struct http_test t;
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){.host = "localhost"});
    assert_true(jade_http_server_port(t.server) > 0);
    http_test_stop(&t);
}

struct stopper {
    struct http_test *t;
    struct jade_thread thread;
};

static void *stop_main(void *arg)
{
    struct stopper *s = arg;
    jade_http_server_stop(s->t->server, PATIENCE_MS);
    return NULL;
}

static void stop_lets_running_requests_have_their_answers(void **state)
{
    enum { N = 6, IDLE = 3 };
    struct http_test t;
    int fds[N], idle[IDLE];
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){.loops = 2, .workers = N + 1});
    for (int i = 0; i < IDLE; i++) {
        idle[i] = dial(&t);
        say(idle[i], "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_true(hear(idle[i], &a, false));
    }
    for (int i = 0; i < N; i++) {
        fds[i] = dial(&t);
        say(fds[i], "GET /block HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    http_test_wait_waiting(&t, N);
    struct stopper s = {.t = &t};
    assert_int_equal(jade_thread_start(&s.thread, "stop", 0, stop_main, &s, NULL), JADE_OK);
    do { /* a request that comes now is refused: so stop has begun */
        say(idle[0], "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_true(hear(idle[0], &a, false));
    } while (a.status == 200);
    assert_int_equal(a.status, 503);
    assert_non_null(strstr(a.body, "\"code\":\"UNAVAILABLE\""));
    http_test_open_gate(&t);
    for (int i = 0; i < N; i++) {
        assert_true(hear(fds[i], &a, false));
        assert_int_equal(a.status, 200);
        assert_string_equal(a.body, "unblocked");
        close(fds[i]);
    }
    jade_thread_join(&s.thread);
    for (int i = 0; i < IDLE; i++) {
        assert_true(ended(idle[i]));
        close(idle[i]);
    }
    jade_cond_release(&t.changed);
    jade_mutex_release(&t.mutex);
}

static void stop_writes_long_replies_to_the_end(void **state)
{
    struct http_test t;
    char c;
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){0});
    int fd = dial(&t);
    say(fd, "GET /big?n=20000000 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(recv(fd, &c, 1, MSG_PEEK),
                     1); /* it is being written, far more than the socket holds */
    struct stopper s = {.t = &t};
    assert_int_equal(jade_thread_start(&s.thread, "stop", 0, stop_main, &s, NULL), JADE_OK);
    assert_true(hear(fd, &a, false));
    assert_int_equal(a.body_len, 20000000);
    jade_thread_join(&s.thread);
    close(fd);
    jade_cond_release(&t.changed);
    jade_mutex_release(&t.mutex);
}

static void stop_gives_up_on_a_client_that_does_not_read(void **state)
{
    struct http_test t;
    char c;
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){0});
    int fd = dial(&t);
    say(fd, "GET /big?n=20000000 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(recv(fd, &c, 1, MSG_PEEK), 1);
    jade_http_server_stop(t.server, 50);
    assert_false(hear(fd, &a, false)); /* cut short */
    close(fd);
    jade_cond_release(&t.changed);
    jade_mutex_release(&t.mutex);
}

static void start_without_memory_fails_cleanly(void **state)
{
    int64_t before = jade_alloc_bytes_total();
    struct http_test t = {0};
    struct jade_http_server_opts opts = {
        .host = "127.0.0.1", .loops = 2, .workers = 3, .handler = http_test_handler, .ctx = &t};
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct jade_err err = {0};
        struct jade_http_server *server = NULL;
        jade_alloc_fail_at(n);
        jade_code rc = jade_http_server_start(&opts, &server, &err);
        bool failed = jade_alloc_count() >= n;
        jade_alloc_fail_at(0);
        assert_int_equal(rc, failed ? JADE_E_NOMEM : JADE_OK);
        jade_http_server_stop(server, 1000);
        assert_int_equal(jade_alloc_bytes_total(), before);
        if (!failed) {
            assert_true(n > 3);
            return;
        }
    }
}

static void request_without_memory_is_answered_503(void **state)
{
    struct http_test t;
    unsigned failures = 0;
    (void)state;
    http_test_start(&t, (struct jade_http_server_opts){.workers = 1});
    for (uint64_t n = 1;; n++) {
        int fd = dial(&t);
        jade_alloc_fail_at(n);
        say(fd, "POST /big?n=100 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody");
        assert_true(hear(fd, &a, false));
        bool failed = jade_alloc_count() >= n;
        jade_alloc_fail_at(0);
        close(fd);
        if (!failed) {
            assert_int_equal(a.status, 200);
            break;
        }
        assert_int_equal(a.status, 503);
        assert_non_null(strstr(a.body, "OUT_OF_MEMORY"));
        failures++;
        if (failures == 4) { /* the fifth is the handler's own */
            break;
        }
    }
    assert_true(failures >= 3);
    http_test_stop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_reaches_the_handler_as_sent),
        cmocka_unit_test(every_method_has_its_name),
        cmocka_unit_test(absolute_uri_is_its_path),
        cmocka_unit_test(percent_decoding_follows_its_table),
        cmocka_unit_test(query_parameters_are_found_and_decoded),
        cmocka_unit_test(connection_serves_several_requests),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(bytes_that_come_while_a_handler_runs_wait),
        cmocka_unit_test(head_has_the_length_and_no_body),
        cmocka_unit_test(long_replies_arrive_whole),
        cmocka_unit_test(reply_without_memory_is_an_error_not_half_a_body),
        cmocka_unit_test(chunked_body_arrives_joined),
        cmocka_unit_test(expect_continue_is_answered_before_the_body),
        cmocka_unit_test(body_over_the_limit_is_flagged_and_dropped),
        cmocka_unit_test(body_far_over_the_limit_is_refused),
        cmocka_unit_test(ambiguous_length_is_refused_and_the_connection_closed),
        cmocka_unit_test(broken_request_line_is_refused),
        cmocka_unit_test(huge_headers_are_refused),
        cmocka_unit_test(client_that_leaves_while_the_handler_runs_is_no_harm),
        cmocka_unit_test(client_that_leaves_in_a_long_reply_is_no_harm),
        cmocka_unit_test(half_a_request_holds_up_nobody_and_times_out),
        cmocka_unit_test(handler_may_take_longer_than_the_idle_timeout),
        cmocka_unit_test(reply_may_take_longer_than_the_idle_timeout),
        cmocka_unit_test(full_queue_is_answered_503_at_once),
        cmocka_unit_test(many_clients_at_once_get_their_own_answers),
        cmocka_unit_test(clients_wait_while_no_descriptor_is_free),
        cmocka_unit_test(taken_port_is_named),
        cmocka_unit_test(unknown_host_is_an_error),
        cmocka_unit_test(name_with_several_addresses_is_served),
        cmocka_unit_test(stop_lets_running_requests_have_their_answers),
        cmocka_unit_test(stop_writes_long_replies_to_the_end),
        cmocka_unit_test(stop_gives_up_on_a_client_that_does_not_read),
        cmocka_unit_test(start_without_memory_fails_cleanly),
        cmocka_unit_test(request_without_memory_is_answered_503),
    };
    return cmocka_run_group_tests_name("http_server", tests, NULL, NULL);
}
