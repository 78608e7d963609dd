/*
 * Batches over several connections, against a small server in this process that blames, is busy, or takes no large batch.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/map.h"
#include "cli/http.h"
#include "cli/lanes.h"
#include "os/os.h"

enum { CONNECTIONS = 3, ROWS = 500, BODY_MAX = 1 << 20 };

/* What the server does; its state is guarded by the mutex. */
struct stub {
    int listener;
    uint16_t port;
    struct jade_mutex mutex;
    struct jade_map stored; /* id -> number of the row that was stored last */
    uint32_t n_stored, n_requests, n_blamed, n_busy, n_large, largest;
    uint32_t busy_first; /* so many requests are answered 503 */
    uint32_t batch_max;  /* larger ones get 413; 0 = any */
    const char *final;   /* when set: every request gets this answer */
    struct jade_thread acceptor, handler[16];
    unsigned n_handlers;
    int sockets[16];
};

static void reply(int fd, const char *status, const char *json)
{
    char text[1024];
    int n = snprintf(text, sizeof text, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", status,
                     strlen(json), json);
    size_t sent = 0;
    while (sent < (size_t)n) {
        ssize_t now = send(fd, text + sent, (size_t)n - sent, MSG_NOSIGNAL);
        if (now <= 0) {
            return;
        }
        sent += (size_t)now;
    }
}

static void refuse(int fd, const char *status, const char *code, const char *field)
{
    char json[512];
    snprintf(
        json, sizeof json,
        "{\"status\":\"error\",\"message\":\"no\",\"error\":{\"code\":\"%s\",\"retryAfterMs\":1,"
        "\"details\":[{\"field\":\"%s\",\"reason\":\"why\"}]},\"data\":null}",
        code, field);
    reply(fd, status, json);
}

/* All or nothing: a row with "bogus" spoils the batch. */
static void store(struct stub *s, int fd, struct jade_json root)
{
    struct jade_json vectors, row, v;
    struct jade_json_iter it = {0};
    uint32_t i = 0;
    char field[48];
    if (!jade_json_get(root, "vectors", &vectors)) {
        refuse(fd, "400 Bad Request", "INVALID_ARGUMENT", "vectors");
        return;
    }
    uint32_t n = (uint32_t)jade_json_count(vectors);
    if (s->batch_max && n > s->batch_max) {
        s->n_large++;
        refuse(fd, "413 Payload Too Large", "PAYLOAD_TOO_LARGE", "");
        return;
    }
    s->largest = n > s->largest ? n : s->largest;
    for (; jade_json_array_next(vectors, &it, &row); i++) {
        if (jade_json_get(row, "bogus", &v)) {
            s->n_blamed++;
            snprintf(field, sizeof field, "vectors[%u].bogus", i);
            refuse(fd, "400 Bad Request", "UNKNOWN_FIELD", field);
            return;
        }
    }
    it = (struct jade_json_iter){0};
    while (jade_json_array_next(vectors, &it, &row)) {
        bool had = false;
        s->n_stored++;
        if (jade_json_get(row, "id", &v)) {
            struct jade_str id = jade_json_string(v);
            uint64_t number = jade_json_get(row, "n", &v) ? jade_json_uint(v) : 0;
            if (jade_map_put(&s->stored, id.p, id.n, number, &had, NULL) != JADE_OK) {
                abort();
            }
        }
    }
    reply(fd, "200 OK", "{\"status\":\"success\",\"data\":{}}");
}

static void answer(struct stub *s, int fd, struct jade_json root)
{
    jade_mutex_lock(&s->mutex);
    s->n_requests++;
    if (s->final) {
        refuse(fd, s->final, "FORBIDDEN", "");
    } else if (s->n_busy < s->busy_first) {
        s->n_busy++;
        refuse(fd, "503 Service Unavailable", "BUSY", "");
    } else {
        store(s, fd, root);
    }
    jade_mutex_unlock(&s->mutex);
}

struct connection {
    struct stub *stub;
    int fd;
};

static void *handle(void *arg)
{
    struct connection c = *(struct connection *)arg;
    struct jade_json_parser *parser = NULL;
    char *text = malloc(BODY_MAX);
    size_t have = 0;
    free(arg);
    if (!text || jade_json_parser_new(BODY_MAX, 16, &parser, NULL) != JADE_OK) {
        abort();
    }
    for (;;) {
        ssize_t got = recv(c.fd, text + have, BODY_MAX - 1 - have, 0);
        if (got <= 0) {
            break;
        }
        have += (size_t)got;
        text[have] = '\0';
        const char *end = strstr(text, "\r\n\r\n");
        const char *length = strstr(text, "Content-Length: ");
        if (!end || !length) {
            continue;
        }
        size_t body = (size_t)(end + 4 - text), n = strtoul(length + 16, NULL, 10);
        if (have >= body + n) {
            struct jade_json root;
            if (jade_json_parse(parser, text + body, n, &root, NULL) != JADE_OK) {
                abort();
            }
            answer(c.stub, c.fd, root);
            have = 0; /* a client sends one request at a time */
        }
    }
    jade_json_parser_free(parser);
    free(text);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct stub *s = arg;
    for (;;) {
        int fd = accept(s->listener, NULL, NULL);
        if (fd < 0) {
            return NULL; /* the listener was shut down */
        }
        struct connection *c = malloc(sizeof *c);
        if (!c || s->n_handlers == 16) {
            abort();
        }
        *c = (struct connection){s, fd};
        s->sockets[s->n_handlers] = fd;
        if (jade_thread_start(&s->handler[s->n_handlers++], "stub", 0, handle, c, NULL) !=
            JADE_OK) {
            abort();
        }
    }
}

static void stub_start(struct stub *s)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(s->listener >= 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(s->listener, 16), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&at, &n), 0);
    s->port = ntohs(at.sin_port);
    jade_mutex_init(&s->mutex);
    jade_map_init(&s->stored, JADE_TAG_TEST);
    assert_int_equal(jade_thread_start(&s->acceptor, "accept", 0, accept_all, s, NULL), JADE_OK);
}

static void stub_stop(struct stub *s)
{
    shutdown(s->listener, SHUT_RDWR);
    jade_thread_join(&s->acceptor);
    for (unsigned i = 0; i < s->n_handlers; i++) {
        shutdown(s->sockets[i], SHUT_RDWR);
        jade_thread_join(&s->handler[i]);
        close(s->sockets[i]);
    }
    close(s->listener);
    jade_map_release(&s->stored);
    jade_mutex_release(&s->mutex);
}

/* ---- the client's side ---- */

struct bad {
    struct jade_mutex mutex;
    uint32_t n;
    uint64_t sum; /* of the numbers */
    struct jade_err last;
};

static void on_bad(void *ctx, uint64_t number, const struct jade_err *why)
{
    struct bad *b = ctx;
    jade_mutex_lock(&b->mutex);
    b->n++;
    b->sum += number;
    b->last = *why;
    jade_mutex_unlock(&b->mutex);
}

struct outcome {
    jade_code rc;
    bool refused;
    struct jade_err err;
    uint64_t n_done, bytes_done;
    struct bad bad;
};

/* Sends rows i = 0..n-1; id "k<i % n_ids>", "" when n_ids is 0; row i is bogus when bogus_every divides i + 1. */
static void send_rows(struct stub *s, unsigned n, unsigned n_ids, unsigned bogus_every,
                      struct outcome *o)
{
    char url[64];
    struct jade_progress progress;
    struct jade_lanes *lanes = NULL;
    memset(o, 0, sizeof *o);
    jade_mutex_init(&o->bad.mutex);
    snprintf(url, sizeof url, "http://127.0.0.1:%u", s->port);
    assert_int_equal(jade_progress_start(&progress, stderr, true, NULL), JADE_OK);
    struct jade_lanes_opts opts = {.url = url,
                                   .key = "k",
                                   .path = "/batch",
                                   .n = CONNECTIONS,
                                   .batch_rows = 40,
                                   .progress = &progress,
                                   .bad = on_bad,
                                   .ctx = &o->bad};
    assert_int_equal(jade_lanes_new(&opts, &lanes, NULL), JADE_OK);
    for (unsigned i = 0; i < n && o->rc == JADE_OK; i++) {
        char json[96], id[16];
        bool bogus = bogus_every && (i + 1) % bogus_every == 0;
        snprintf(id, sizeof id, "k%u", n_ids ? i % n_ids : 0);
        int len = n_ids ? snprintf(json, sizeof json, "{\"id\":\"%s\",\"n\":%u%s}", id, i,
                                   bogus ? ",\"bogus\":1" : "")
                        : snprintf(json, sizeof json, "{\"n\":%u}", i);
        struct jade_row row = {.kind = JADE_ROW_GOOD,
                               .number = i + 1,
                               .json = json,
                               .n = (size_t)len,
                               .id = n_ids ? id : "",
                               .id_len = n_ids ? strlen(id) : 0,
                               .bytes = (i + 1) * 10};
        o->rc = jade_lanes_put(lanes, &row, &o->err);
    }
    if (o->rc == JADE_OK) {
        o->rc = jade_lanes_finish(lanes, &o->refused, &o->err);
    }
    jade_lanes_free(lanes);
    o->n_done = atomic_load(&progress.n_done);
    o->bytes_done = atomic_load(&progress.bytes_done);
    jade_progress_stop(&progress);
    jade_mutex_release(&o->bad.mutex);
}

static void lanes_every_row_is_stored_once(void **state)
{
    (void)state;
    struct stub s = {.largest = 0};
    struct outcome o;
    stub_start(&s);
    send_rows(&s, ROWS, ROWS, 0, &o);
    stub_stop(&s);
    assert_int_equal(o.rc, JADE_OK);
    assert_int_equal(o.n_done, ROWS);
    assert_int_equal(o.bytes_done, ROWS * 10);
    assert_int_equal(s.n_stored, ROWS);
    assert_in_range(s.largest, 1, 40);
    assert_in_range(s.n_requests, ROWS / 40, ROWS / 40 + 2 * CONNECTIONS);
}

static void lanes_of_rows_with_one_id_the_last_wins(void **state)
{
    (void)state;
    struct stub s = {.largest = 0};
    struct outcome o;
    stub_start(&s);
    send_rows(&s, ROWS, 7, 0, &o);
    assert_int_equal(o.rc, JADE_OK);
    assert_int_equal(s.n_stored, ROWS);
    for (unsigned k = 0; k < 7; k++) {
        char id[8];
        uint64_t number = 0;
        int n = snprintf(id, sizeof id, "k%u", k);
        assert_true(jade_map_get(&s.stored, id, (size_t)n, &number));
        assert_int_equal(number, (ROWS - 1 - k) / 7 * 7 + k);
    }
    stub_stop(&s);
}

static void lanes_blamed_rows_are_left_out_and_the_others_stored(void **state)
{
    (void)state;
    static const unsigned every[] = {1, 2, 50, ROWS};
    for (size_t i = 0; i < sizeof every / sizeof every[0]; i++) {
        struct stub s = {.largest = 0};
        struct outcome o;
        uint32_t n_bad = ROWS / every[i];
        stub_start(&s);
        send_rows(&s, ROWS, ROWS, every[i], &o);
        stub_stop(&s);
        assert_int_equal(o.rc, JADE_OK);
        assert_int_equal(o.bad.n, n_bad);
        assert_int_equal(o.bad.sum, (uint64_t)every[i] * n_bad * (n_bad + 1) / 2);
        assert_int_equal(o.bad.last.code, JADE_E_UNKNOWN_FIELD);
        assert_string_equal(o.bad.last.field, "bogus");
        assert_string_equal(o.bad.last.message, "why");
        assert_int_equal(o.n_done, ROWS - n_bad);
        assert_int_equal(s.n_stored, ROWS - n_bad);
        assert_int_equal(o.bytes_done, ROWS * 10);
        assert_int_equal(s.n_blamed, n_bad);
    }
}

static void lanes_busy_server_is_asked_again(void **state)
{
    (void)state;
    struct stub s = {.busy_first = 9};
    struct outcome o;
    stub_start(&s);
    send_rows(&s, ROWS, ROWS, 0, &o);
    stub_stop(&s);
    assert_int_equal(o.rc, JADE_OK);
    assert_int_equal(s.n_busy, 9);
    assert_int_equal(s.n_stored, ROWS);
}

static void lanes_batch_that_is_too_large_is_halved(void **state)
{
    (void)state;
    struct stub s = {.batch_max = 3};
    struct outcome o;
    stub_start(&s);
    send_rows(&s, ROWS, 0, 0, &o);
    stub_stop(&s);
    assert_int_equal(o.rc, JADE_OK);
    assert_int_equal(o.bad.n, 0);
    assert_int_equal(s.n_stored, ROWS);
    assert_in_range(s.largest, 1, 3);
    assert_true(s.n_large > 0);
}

static void lanes_refusal_that_blames_no_row_ends_the_import(void **state)
{
    (void)state;
    struct stub s = {.final = "403 Forbidden"};
    struct outcome o;
    stub_start(&s);
    send_rows(&s, ROWS, ROWS, 0, &o);
    stub_stop(&s);
    assert_int_equal(o.rc, JADE_E_FORBIDDEN);
    assert_int_equal(o.err.code, JADE_E_FORBIDDEN);
    assert_int_equal(o.n_done, 0);
    assert_in_range(s.n_requests, 1, CONNECTIONS);
}

static void lanes_missing_server_ends_the_import(void **state)
{
    (void)state;
    struct stub s = {.largest = 0};
    struct outcome o;
    stub_start(&s);
    stub_stop(&s); /* its port is free again */
    send_rows(&s, ROWS, ROWS, 0, &o);
    assert_int_equal(o.rc, JADE_E_NETWORK);
    assert_int_equal(o.n_done, 0);
    assert_false(o.refused);
}

static void lanes_field_that_names_a_row_is_understood(void **state)
{
    (void)state;
    uint32_t i = 0;
    assert_true(jade_lanes_blamed("vectors[0]", &i));
    assert_int_equal(i, 0);
    assert_true(jade_lanes_blamed("vectors[99999].metadata.a[3]", &i));
    assert_int_equal(i, 99999);
    static const char *const others[] = {"",
                                         "vectors",
                                         "vectors[]",
                                         "vectors[-1]",
                                         "vectors[1",
                                         "vectors[ 1]",
                                         "xvectors[1]",
                                         "vectors[1x]",
                                         "vectors[99999999999999999999]"};
    for (size_t k = 0; k < sizeof others / sizeof others[0]; k++) {
        assert_false(jade_lanes_blamed(others[k], &i));
    }
}

static int group_setup(void **state)
{
    (void)state;
    return jade_http_global_init(NULL);
}

static int group_teardown(void **state)
{
    (void)state;
    jade_http_global_release();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_every_row_is_stored_once),
        cmocka_unit_test(lanes_of_rows_with_one_id_the_last_wins),
        cmocka_unit_test(lanes_blamed_rows_are_left_out_and_the_others_stored),
        cmocka_unit_test(lanes_busy_server_is_asked_again),
        cmocka_unit_test(lanes_batch_that_is_too_large_is_halved),
        cmocka_unit_test(lanes_refusal_that_blames_no_row_ends_the_import),
        cmocka_unit_test(lanes_missing_server_ends_the_import),
        cmocka_unit_test(lanes_field_that_names_a_row_is_understood),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
