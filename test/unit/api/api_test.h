/*
 * What the tests of src/api share: a node in a fresh folder, the API over it behind a real server on a free port, a client with a key
 * of each scope, and readers of the envelope.
 */
#ifndef JADE_TEST_API_TEST_H
#define JADE_TEST_API_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/api.h"
#include "base/log.h"
#include "format/json_out.h"
#include "support/http_client.h"
#include "support/temp_folder.h"

#define ADMIN_KEY "admin-key-of-the-tests"
enum { TEST_BODY_MAX = 256 * 1024 };

static char folder[JADE_PATH_MAX];
static struct jade_node *node;
static struct jade_api *api;
static struct jade_http_server *server;
static struct http_client client;
static char read_key[JADE_KEY_SECRET_SIZE], write_key[JADE_KEY_SECRET_SIZE];
static const char *key = ADMIN_KEY; /* of the next requests; NULL: none */
static struct jade_json_parser *answer_parser;
static struct jade_json answer; /* of the last request */
static struct jade_err err;

#define OK(call)                                                                \
    do {                                                                        \
        err = (struct jade_err){.code = JADE_OK};                               \
        jade_code ok_rc = (call);                                               \
        if (ok_rc != JADE_OK) {                                                 \
            fail_msg("%s: %s (%s)", #call, err.message, jade_code_name(ok_rc)); \
        }                                                                       \
    } while (0)

static inline void api_start(bool require_auth)
{
    struct jade_node_opts opts = jade_node_opts_default();
    enum jade_bootstrap outcome;
    char secret[JADE_KEY_SECRET_SIZE];
    struct jade_key made;
    opts.os = jade_os_posix();
    opts.data = folder;
    opts.background_threads = 1;
    OK(jade_node_open(&opts, &node, &err));
    OK(jade_auth_bootstrap(jade_node_auth(node), ADMIN_KEY, &outcome, secret, &err));
    OK(jade_auth_create(jade_node_auth(node), "reader", JADE_SCOPE_READ_ONLY, &made, read_key,
                        &err));
    OK(jade_auth_create(jade_node_auth(node), "writer", JADE_SCOPE_READ_WRITE, &made, write_key,
                        &err));
    OK(jade_api_new(&(struct jade_api_opts){.node = node,
                                            .require_auth = require_auth,
                                            .version = "test",
                                            .body_max = TEST_BODY_MAX},
                    &api, &err));
    struct jade_http_server_opts http = {.host = "127.0.0.1",
                                         .workers = 2,
                                         .body_max = TEST_BODY_MAX,
                                         .handler = jade_api_handle,
                                         .ctx = api};
    OK(jade_http_server_start(&http, &server, &err));
    jade_api_set_server(api, server);
    http_client_open(&client, jade_http_server_port(server));
    OK(jade_json_parser_new(64u << 20, JADE_JSON_DEPTH_MAX, &answer_parser, &err));
    key = ADMIN_KEY;
}

static inline int api_setup(void **state)
{
    (void)state;
    jade_log_set_level(JADE_LOG_OFF);
    temp_folder_make(folder);
    api_start(true);
    return 0;
}

static inline int api_teardown(void **state)
{
    (void)state;
    http_client_close(&client);
    jade_api_set_server(api, NULL);
    jade_http_server_stop(server, 5000);
    jade_api_free(api);
    OK(jade_node_close(node, 10 * 1000000, &err));
    jade_json_parser_free(answer_parser);
    temp_folder_remove(folder);
    return 0;
}

/** Sends a request with the current key; `answer` is the parsed body, unless it is no JSON. */
static inline int ask_bytes(const char *method, const char *path, const char *more_headers,
                            const void *body, size_t n)
{
    char headers[2048];
    snprintf(headers, sizeof headers, "%s%s%s%s", key ? "Authorization: Bearer " : "",
             key ? key : "", key ? "\r\n" : "", more_headers);
    http_client_ask(&client, method, path, headers, body, n);
    char type[64];
    http_client_header(&client, "Content-Type", type, sizeof type);
    if (strcmp(type, "application/json") == 0) {
        if (jade_json_parse(answer_parser, client.body, client.body_len, &answer, &err) !=
            JADE_OK) {
            fail_msg("%s %s: %s: %s", method, path, err.message, client.body);
        }
    }
    return client.status;
}

static inline int ask(const char *method, const char *path, const char *body)
{
    return ask_bytes(method, path, body ? "Content-Type: application/json\r\n" : "", body,
                     body ? strlen(body) : 0);
}

/** The value at a path such as "data.results.0.id". */
static inline bool find_at(const char *path, struct jade_json *out)
{
    struct jade_json v = answer;
    char name[128];
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, ".");
        snprintf(name, sizeof name, "%.*s", (int)n, p);
        p += n + (p[n] == '.');
        if (jade_json_type(v) == JADE_JSON_ARRAY) {
            struct jade_json_iter it = {0};
            long left = strtol(name, NULL, 10);
            bool more = jade_json_array_next(v, &it, out);
            while (more && left-- > 0) {
                more = jade_json_array_next(v, &it, out);
            }
            if (!more) {
                return false;
            }
            v = *out;
        } else if (jade_json_type(v) != JADE_JSON_OBJECT || !jade_json_get(v, name, &v)) {
            return false;
        }
    }
    *out = v;
    return true;
}

static inline struct jade_json at(const char *path)
{
    struct jade_json v = {0};
    if (!find_at(path, &v)) {
        fail_msg("no %s in %s", path, client.body);
    }
    return v;
}

static inline bool has(const char *path)
{
    struct jade_json v;
    return find_at(path, &v);
}

static inline const char *text_at(const char *path)
{
    struct jade_json v = at(path);
    assert_int_equal(jade_json_type(v), JADE_JSON_STRING);
    return jade_json_string(v).p;
}

static inline int64_t int_at(const char *path)
{
    struct jade_json v = at(path);
    assert_int_equal(jade_json_type(v), JADE_JSON_INT);
    return jade_json_int(v);
}

static inline void check_envelope(void)
{
    if (strcmp(text_at("status"), client.status < 400 ? "success" : "error") != 0) {
        fail_msg("%d: %s", client.status, client.body);
    }
    assert_int_equal(jade_json_type(at("message")), JADE_JSON_STRING);
    assert_true(has("data") && has("meta.warnings") && has("meta.requestId"));
    assert_true(jade_json_double(at("meta.tookMs")) >= 0);
    int64_t us;
    struct jade_str time = jade_json_string(at("timestamp"));
    assert_true(jade_time_parse(time.p, time.n, &us));
}

/** Sends a request that must be answered with this status below 400. */
static inline void must(int status, const char *method, const char *path, const char *body)
{
    if (ask(method, path, body) != status) {
        fail_msg("%s %s: %d, expected %d: %s", method, path, client.status, status, client.body);
    }
    check_envelope();
}

/** The last answer must be this error, with a reason that says something. */
static inline void expect_error(const char *what, int status, const char *code, const char *field)
{
    check_envelope();
    const char *came = has("error.details.0.field") ? text_at("error.details.0.field") : "";
    if (client.status != status || strcmp(text_at("error.code"), code) != 0 ||
        strcmp(came, field) != 0) {
        fail_msg("%.200s: expected %d %s in \"%s\", got %s", what, status, code, field,
                 client.body);
    }
    assert_int_equal(jade_json_type(at("data")), JADE_JSON_NULL);
    assert_int_equal(jade_json_type(at("error.retryable")), JADE_JSON_BOOL);
    if (field[0] != '\0') {
        assert_true(strlen(text_at("error.details.0.reason")) > 3);
    }
}

/** Sends a request that must be refused so. */
static inline void refused(int status, const char *code, const char *field, const char *method,
                           const char *path, const char *body)
{
    ask(method, path, body);
    expect_error(body ? body : path, status, code, field);
}

#endif
