/*
 * Health, status, metrics, keys, models, embeddings; and many callers at once.
 */
#include "api_test.h"

#include "os/thread.h"

static void health_is_open_and_says_little(void **state)
{
    (void)state;
    key = NULL;
    must(200, "GET", "/health", NULL);
    must(200, "GET", "/api/v1/health", NULL);
    assert_string_equal(text_at("data.state"), "ok");
    assert_int_equal(jade_json_count(at("data")), 2);
}

static void a_stopping_node_is_not_healthy(void **state)
{
    (void)state;
    jade_node_stop(node);
    refused(503, "UNAVAILABLE", "", "GET", "/health", NULL);
    char after[16];
    http_client_header(&client, "Retry-After", after, sizeof after);
    assert_string_equal(after, "1");
    assert_int_equal(int_at("error.retryAfterMs"), 1000);
    assert_true(jade_json_bool(at("error.retryable")));
    refused(503, "UNAVAILABLE", "", "GET", "/api/v1/databases/x", NULL);
}

static void status_counts(void **state)
{
    (void)state;
    must(201, "POST", "/api/v1/databases", "{\"name\":\"d\",\"vectorDimension\":2}");
    must(201, "POST", "/api/v1/databases/d/vectors", "{\"values\":[1,2]}");
    must(200, "GET", "/api/v1/status", NULL);
    assert_string_equal(text_at("data.state"), "ok");
    assert_string_equal(text_at("data.version"), "test");
    assert_int_equal(int_at("data.databases"), 1);
    assert_int_equal(int_at("data.vectors"), 1);
    assert_int_equal(int_at("data.writes"), 1);
    assert_true(int_at("data.http.requests") >= 3);
    assert_true(has("data.memoryByPurpose.vectors"));
    must(200, "GET", "/api/v1/databases/d/status", NULL);
    assert_string_equal(text_at("data.status"), "open");
    assert_int_equal(int_at("data.rowsWritten"), 1);
    assert_false(jade_json_bool(at("data.writesStopped")));
}

/* A sample line is a name, maybe labels in braces, a space and a number; its family was announced before. */
static void check_line(const char *line, const char *family)
{
    size_t name = strspn(line, "abcdefghijklmnopqrstuvwxyz_");
    if (name < strlen(family) || strncmp(line, family, strlen(family)) != 0) {
        fail_msg("%s is not of the family %s", line, family);
    }
    const char *p = line + name;
    if (*p == '{') {
        p = strstr(p, "\"} ");
        assert_non_null(p);
        p += 2;
    }
    assert_int_equal(*p, ' ');
    char *end;
    (void)strtod(p + 1, &end);
    assert_int_equal(*end, '\0');
}

static void metrics_are_prometheus_text(void **state)
{
    (void)state;
    char type[64], family[128] = "";
    unsigned n = 0;
    must(201, "POST", "/api/v1/databases", "{\"name\":\"d\",\"vectorDimension\":2}");
    must(201, "POST", "/api/v1/databases/d/vectors", "{\"values\":[1,2]}");
    refused(404, "NOT_FOUND", "databaseId", "GET", "/api/v1/databases/e", NULL);
    assert_int_equal(ask("GET", "/metrics", NULL), 200);
    http_client_header(&client, "Content-Type", type, sizeof type);
    assert_string_equal(type, "text/plain; version=0.0.4; charset=utf-8");
    assert_non_null(strstr(
        client.body,
        "jade_http_requests_total{method=\"GET\",route=\"/databases/{databaseId}\",status=\"4xx\"} 1\n"));
    assert_non_null(strstr(
        client.body, "jade_http_request_seconds_count{method=\"POST\",route=\"/databases\"} 1\n"));
    assert_non_null(strstr(client.body, "jade_database_vectors{database=\"db_"));
    assert_int_equal(client.body[client.body_len - 1], '\n');
    for (char *line = strtok(client.body, "\n"); line; line = strtok(NULL, "\n")) {
        if (strncmp(line, "# TYPE ", 7) == 0) {
            snprintf(family, sizeof family, "%.*s", (int)strcspn(line + 7, " "), line + 7);
        } else if (line[0] != '#') {
            check_line(line, family);
            n++;
        }
    }
    assert_true(n > 30);
}

static void keys_are_made_shown_once_and_deleted(void **state)
{
    (void)state;
    char made[JADE_KEY_SECRET_SIZE], path[128];
    must(201, "POST", "/api/v1/keys", "{\"name\":\"app\",\"scope\":\"Read-Only\"}");
    snprintf(made, sizeof made, "%s", text_at("data.key"));
    snprintf(path, sizeof path, "/api/v1/keys/%s", text_at("data.keyId"));
    key = made;
    must(200, "GET", "/api/v1/status", NULL);
    assert_int_equal(ask("GET", "/api/v1/keys", NULL), 403);
    assert_non_null(strstr(text_at("message"), "admin")); /* names what is missing */
    key = ADMIN_KEY;
    must(200, "GET", "/api/v1/keys", NULL);
    assert_null(strstr(client.body, made));
    assert_int_equal(int_at("data.count"), 4);
    must(200, "DELETE", path, NULL);
    key = made;
    assert_int_equal(ask("GET", "/api/v1/status", NULL), 401);
    key = ADMIN_KEY;
    must(200, "GET", "/api/v1/keys", NULL);
    snprintf(path, sizeof path, "/api/v1/keys/%s", text_at("data.keys.0.keyId"));
    assert_string_equal(text_at("data.keys.0.scope"), "admin");
    assert_int_equal(ask("DELETE", path, NULL), 409); /* the last admin key */
}

static void embeddings_are_unit_vectors(void **state)
{
    (void)state;
    must(200, "POST", "/api/v1/embeddings", "{\"input\":\"one text\"}");
    assert_int_equal(int_at("data.count"), 1);
    must(200, "POST", "/api/v1/embeddings",
         "{\"model\":\"jade-hash-384\",\"input\":[\"one text\",\"other\"]}");
    assert_int_equal(int_at("data.count"), 2);
    assert_int_equal(int_at("data.dimension"), 384);
    assert_int_equal(jade_json_count(at("data.embeddings.1")), 384);
    struct jade_json_iter it = {0};
    struct jade_json v;
    double sum = 0;
    while (jade_json_array_next(at("data.embeddings.0"), &it, &v)) {
        sum += jade_json_double(v) * jade_json_double(v);
    }
    assert_true(sum > 0.9999 && sum < 1.0001);
}

enum { CALLERS = 4, ROUNDS = 60 };

struct caller {
    unsigned number;
    unsigned n_bad;
    struct jade_thread thread;
};

static void *call(void *arg)
{
    struct caller *me = arg;
    struct http_client *mine = calloc(1, sizeof *mine);
    http_client_open(mine, jade_http_server_port(server));
    for (unsigned i = 0; i < ROUNDS; i++) {
        char body[256];
        const char *auth = "X-API-Key: " ADMIN_KEY "\r\n";
        snprintf(body, sizeof body,
                 "{\"vectors\":[{\"id\":\"%u-%u\",\"values\":[%u,%u],\"metadata\":{\"n\":%u}}]}",
                 me->number, i, me->number + 1, i, i);
        http_client_ask(mine, "POST", "/api/v1/databases/d/vectors/batch?durability=async", auth,
                        body, strlen(body));
        me->n_bad += mine->status != 200;
        snprintf(body, sizeof body, "{\"queryVector\":[%u,%u],\"topK\":1,\"filter\":{\"n\":%u}}",
                 me->number + 1, i, i);
        http_client_ask(mine, "POST", "/api/v1/databases/d/search", auth, body, strlen(body));
        me->n_bad += mine->status != 200 || strstr(mine->body, "\"count\":1") == NULL;
        http_client_ask(mine, "GET", i % 2 ? "/metrics" : "/api/v1/status", auth, "", 0);
        me->n_bad += mine->status != 200;
    }
    http_client_close(mine);
    free(mine);
    return NULL;
}

static void many_callers_are_answered_at_once(void **state)
{
    (void)state;
    struct caller callers[CALLERS] = {{.number = 0}};
    must(201, "POST", "/api/v1/databases",
         "{\"name\":\"d\",\"vectorDimension\":2,\"metric\":\"dot\"}");
    for (unsigned i = 0; i < CALLERS; i++) {
        callers[i].number = i;
        OK(jade_thread_start(&callers[i].thread, "caller", 0, call, &callers[i], &err));
    }
    for (unsigned i = 0; i < CALLERS; i++) {
        jade_thread_join(&callers[i].thread);
        assert_int_equal(callers[i].n_bad, 0);
    }
    must(200, "GET", "/api/v1/databases/d/status", NULL);
    assert_int_equal(int_at("data.vectorCount"), CALLERS * ROUNDS);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, api_setup, api_teardown)
    const struct CMUnitTest tests[] = {
        T(health_is_open_and_says_little),
        T(a_stopping_node_is_not_healthy),
        T(status_counts),
        T(metrics_are_prometheus_text),
        T(keys_are_made_shown_once_and_deleted),
        T(embeddings_are_unit_vectors),
        T(many_callers_are_answered_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
