/*
 * The table of routes, walked: keys, scopes, methods, headers, parameters.
 */
#include "api_test.h"

#include "api/api_private.h"

/* A path that fits the route, with ids that exist nowhere. */
static void path_of(const struct jadei_route *r, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "/api/v1");
    for (const char *p = r->path; *p && n + 2 < size; p++) {
        if (*p == '{') {
            out[n++] = 'x';
            p = strchr(p, '}');
        } else {
            out[n++] = *p;
        }
    }
    out[n] = '\0';
}

static void every_route_but_health_needs_a_key(void **state)
{
    (void)state;
    unsigned n_open = 0;
    for (size_t i = 0; i < jadei_n_routes; i++) {
        char path[256];
        path_of(&jadei_routes[i], path, sizeof path);
        key = NULL;
        int status = ask(jadei_method_name(jadei_routes[i].method), path, NULL);
        if (jadei_routes[i].access == JADEI_OPEN) {
            assert_int_equal(status, 200);
            n_open++;
            continue;
        }
        expect_error(path, 401, "UNAUTHORIZED", "Authorization");
        char ask_for[64];
        http_client_header(&client, "WWW-Authenticate", ask_for, sizeof ask_for);
        assert_non_null(strstr(ask_for, "Bearer"));
        key = "jade_0000000000000000000000000000000000000000000";
        assert_int_equal(ask(jadei_method_name(jadei_routes[i].method), path, NULL), 401);
    }
    assert_int_equal(n_open, 1);
}

static void scopes_are_asked_for(void **state)
{
    (void)state;
    for (size_t i = 0; i < jadei_n_routes; i++) {
        const struct jadei_route *r = &jadei_routes[i];
        const char *keys[] = {read_key, write_key, ADMIN_KEY};
        enum jadei_access has_access[] = {JADEI_READ, JADEI_WRITE, JADEI_ADMIN};
        char path[256];
        path_of(r, path, sizeof path);
        for (unsigned k = 0; k < 3; k++) {
            key = keys[k];
            int status = ask(jadei_method_name(r->method), path, NULL);
            if (has_access[k] >= r->access) {
                assert_int_not_equal(status, 403);
            } else {
                check_envelope();
                assert_int_equal(status, 403);
                assert_string_equal(text_at("error.code"), "FORBIDDEN");
            }
        }
    }
}

static void wrong_methods_are_405_and_name_the_right_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < jadei_n_routes; i++) {
        char path[256], allow[128];
        path_of(&jadei_routes[i], path, sizeof path);
        ask("PATCH", path, NULL);
        expect_error(path, 405, "METHOD_NOT_ALLOWED", "method");
        http_client_header(&client, "Allow", allow, sizeof allow);
        assert_non_null(strstr(allow, jadei_method_name(jadei_routes[i].method)));
    }
}

static void unknown_paths_are_404(void **state)
{
    (void)state;
    static const char *const paths[] = {"/",
                                        "/api",
                                        "/api/v1",
                                        "/api/v1/",
                                        "/api/v2/status",
                                        "/status",
                                        "/api/v1/databases/",
                                        "/api/v1/databases/x/vectors/",
                                        "/api/v1//status",
                                        "/api/v1/status/",
                                        "/api/v1/nothing",
                                        "/api/v1/databases/x/vectors/y/z"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        ask("GET", paths[i], NULL);
        expect_error(paths[i], 404, "NOT_FOUND", "path");
    }
}

static void keys_come_in_either_header(void **state)
{
    (void)state;
    key = NULL;
    assert_int_equal(ask_bytes("GET", "/api/v1/status", "X-API-Key: " ADMIN_KEY "\r\n", NULL, 0),
                     200);
    assert_int_equal(
        ask_bytes("GET", "/api/v1/status", "authorization: bearer " ADMIN_KEY "\r\n", NULL, 0),
        200);
    assert_int_equal(ask_bytes("GET", "/api/v1/status", "Authorization: Basic YTpi\r\n", NULL, 0),
                     401);
    assert_int_equal(
        ask_bytes("GET", "/api/v1/status", "Authorization: " ADMIN_KEY "\r\n", NULL, 0), 401);
}

static void every_answer_has_security_headers_and_a_request_id(void **state)
{
    (void)state;
    static const char *const names[] = {"X-Content-Type-Options", "Cache-Control",
                                        "X-Frame-Options",        "Content-Security-Policy",
                                        "Referrer-Policy",        "X-Request-Id"};
    static const char *const paths[] = {"/health", "/api/v1/status", "/metrics", "/nowhere"};
    char before[128] = "", value[128];
    for (size_t p = 0; p < 4; p++) {
        ask("GET", paths[p], NULL);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            http_client_header(&client, names[i], value, sizeof value);
            assert_true(value[0] != '\0');
        }
        assert_string_not_equal(value, before); /* the request id, which is the last one read */
        snprintf(before, sizeof before, "%s", value);
    }
}

static void unknown_query_parameters_are_refused(void **state)
{
    (void)state;
    must(201, "POST", "/api/v1/databases", "{\"name\":\"q\",\"vectorDimension\":2}");
    refused(400, "UNKNOWN_FIELD", "verbose", "GET", "/api/v1/status?verbose=true", NULL);
    refused(400, "UNKNOWN_FIELD", "upsrt", "PUT", "/api/v1/databases/q/vectors/a?upsrt=true",
            "{\"values\":[1,2]}");
    refused(400, "INVALID_ARGUMENT", "upsert", "PUT",
            "/api/v1/databases/q/vectors/a?upsert=true&upsert=false", "{\"values\":[1,2]}");
    refused(400, "INVALID_ARGUMENT", "upsert", "PUT", "/api/v1/databases/q/vectors/a?upsert=yes",
            "{\"values\":[1,2]}");
    refused(400, "INVALID_ARGUMENT", "durability", "DELETE",
            "/api/v1/databases/q/vectors/a?durability=never", NULL);
    refused(501, "NOT_SUPPORTED_YET", "wait", "DELETE", "/api/v1/databases/q/vectors/a?wait=none",
            NULL);
    refused(400, "INVALID_ARGUMENT", "wait", "DELETE",
            "/api/v1/databases/q/vectors/a?wait=durable&durability=async", NULL);
    refused(400, "INVALID_ARGUMENT", "vectorId", "GET", "/api/v1/databases/q/vectors/%zz", NULL);
}

static void headers_that_would_be_ignored_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"Idempotency-Key", "X-Transaction-Id",
                                        "X-Consistency-Token", "If-Match"};
    for (size_t i = 0; i < 4; i++) {
        char header[64];
        snprintf(header, sizeof header, "%s: 7\r\n", names[i]);
        ask_bytes("GET", "/api/v1/status", header, NULL, 0);
        expect_error(names[i], 501, "NOT_SUPPORTED_YET", names[i]);
    }
}

static void bodies_must_be_json_objects(void **state)
{
    (void)state;
    const char *path = "/api/v1/databases";
    ask_bytes("POST", path, "Content-Type: text/plain\r\n", "{}", 2);
    expect_error("text", 415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type");
    ask_bytes("POST", path, "Content-Type: application/jsonlines\r\n", "{}", 2);
    expect_error("jsonlines", 415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type");
    ask_bytes("POST", path, "Content-Type: application/json\r\nContent-Encoding: gzip\r\n", "{}",
              2);
    expect_error("gzip", 415, "UNSUPPORTED_MEDIA_TYPE", "Content-Encoding");
    ask_bytes("POST", path, "Content-Type: application/json; charset=utf-8\r\n", "{}", 2);
    expect_error("charset", 400, "INVALID_ARGUMENT", "name");
    ask_bytes("POST", path, "", "{}", 2);
    expect_error("no type", 400, "INVALID_ARGUMENT", "name");
    refused(400, "INVALID_ARGUMENT", "body", "POST", path, "[]");
    refused(400, "INVALID_ARGUMENT", "body", "POST", path, "7");
    refused(400, "INVALID_ARGUMENT", "body", "POST", path, NULL);
    refused(400, "INVALID_ARGUMENT", "body", "GET", path, "{}");
}

static void head_is_get_without_a_body(void **state)
{
    (void)state;
    key = NULL;
    http_client_ask(&client, "HEAD", "/health", "", "", 0);
    assert_int_equal(client.status, 200);
    http_client_ask(&client, "HEAD", "/api/v1/status", "", "", 0);
    assert_int_equal(client.status, 401);
    key = ADMIN_KEY;
    must(200, "GET", "/health", NULL); /* the connection is still in step */
}

static void without_required_keys_everybody_is_admin(void **state)
{
    api_teardown(state);
    temp_folder_make(folder);
    api_start(false);
    key = NULL;
    must(201, "POST", "/api/v1/databases", "{\"name\":\"open\",\"vectorDimension\":2}");
    assert_int_equal(ask("GET", "/metrics", NULL), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_route_but_health_needs_a_key, api_setup,
                                        api_teardown),
        cmocka_unit_test_setup_teardown(scopes_are_asked_for, api_setup, api_teardown),
        cmocka_unit_test_setup_teardown(wrong_methods_are_405_and_name_the_right_ones, api_setup,
                                        api_teardown),
        cmocka_unit_test_setup_teardown(unknown_paths_are_404, api_setup, api_teardown),
        cmocka_unit_test_setup_teardown(keys_come_in_either_header, api_setup, api_teardown),
        cmocka_unit_test_setup_teardown(every_answer_has_security_headers_and_a_request_id,
                                        api_setup, api_teardown),
        cmocka_unit_test_setup_teardown(unknown_query_parameters_are_refused, api_setup,
                                        api_teardown),
        cmocka_unit_test_setup_teardown(headers_that_would_be_ignored_are_refused, api_setup,
                                        api_teardown),
        cmocka_unit_test_setup_teardown(bodies_must_be_json_objects, api_setup, api_teardown),
        cmocka_unit_test_setup_teardown(head_is_get_without_a_body, api_setup, api_teardown),
        cmocka_unit_test_setup_teardown(without_required_keys_everybody_is_admin, api_setup,
                                        api_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
