/*
 * Searches and the index behind them, over HTTP.
 */
#include "api_test.h"

#define DB "/api/v1/databases/d"

static int setup(void **state)
{
    api_setup(state);
    must(201, "POST", "/api/v1/databases",
         "{\"name\":\"d\",\"vectorDimension\":2,\"metric\":\"euclidean\"}");
    must(200, "POST", DB "/vectors/batch",
         "{\"vectors\":[{\"id\":\"a\",\"values\":[0,0],\"metadata\":{\"c\":\"x\",\"n\":1}},"
         "{\"id\":\"b\",\"values\":[3,4],\"metadata\":{\"c\":\"y\",\"n\":2}},"
         "{\"id\":\"c\",\"values\":[6,8],\"metadata\":{\"c\":\"x\",\"n\":3}}]}");
    key = read_key;
    return 0;
}

static void hits_come_best_first_with_score_and_distance(void **state)
{
    (void)state;
    must(200, "POST", DB "/search", "{\"queryVector\":[0,0],\"topK\":3}");
    assert_int_equal(int_at("data.count"), 3);
    assert_string_equal(text_at("data.results.0.id"), "a");
    assert_true(jade_json_double(at("data.results.0.score")) == 1.0);
    assert_string_equal(text_at("data.results.1.id"), "b");
    assert_true(jade_json_double(at("data.results.1.distance")) == 5.0);
    assert_int_equal(int_at("data.results.1.version"), 1);
    assert_string_equal(text_at("data.results.1.metadata.c"), "y");
    assert_false(has("data.results.0.values"));
    must(200, "POST", DB "/search",
         "{\"query_vector\":[0,0],\"top_k\":1,\"include_values\":true,\"include_metadata\":false}");
    assert_int_equal(int_at("data.count"), 1);
    assert_int_equal(jade_json_count(at("data.results.0.values")), 2);
    assert_false(has("data.results.0.metadata"));
}

static void filters_and_thresholds_cut(void **state)
{
    (void)state;
    must(200, "POST", DB "/search/advanced",
         "{\"queryVector\":[0,0],\"filters\":{\"metadata.c\":\"x\",\"n\":{\"$gt\":1}}}");
    assert_int_equal(int_at("data.count"), 1);
    assert_string_equal(text_at("data.results.0.id"), "c");
    must(200, "POST", DB "/search",
         "{\"queryVector\":[0,0],\"filter\":{\"$or\":[{\"n\":1},{\"n\":2}]},\"threshold\":0.5}");
    assert_int_equal(int_at("data.count"), 1);
    must(200, "POST", DB "/search", "{\"queryVector\":[0,0],\"filter\":{\"n\":9}}");
    assert_int_equal(int_at("data.count"), 0);
    assert_int_equal(jade_json_count(at("data.results")), 0);
}

static void a_stored_vector_can_be_the_query(void **state)
{
    (void)state;
    must(200, "POST", DB "/search", "{\"id\":\"b\",\"topK\":2}");
    assert_int_equal(int_at("data.count"), 2);
    assert_string_not_equal(text_at("data.results.0.id"), "b");
    must(200, "POST", DB "/search", "{\"id\":\"b\",\"topK\":1,\"includeSelf\":true}");
    assert_string_equal(text_at("data.results.0.id"), "b");
}

static void explain_tells_plan_and_counters(void **state)
{
    (void)state;
    must(
        200, "POST", DB "/search",
        "{\"queryVector\":[0,0],\"explain\":true,\"params\":{\"exact\":true,\"efSearch\":50},\"filter\":{\"c\":\"x\"}}");
    assert_true(strlen(text_at("data.explain.plan")) > 0);
    assert_true(int_at("data.explain.distances") >= 2);
    assert_true(jade_json_double(at("data.explain.searchMs")) >= 0);
    assert_string_equal(text_at("data.explain.filter.c.$eq"), "x");
    must(200, "POST", DB "/search", "{\"queryVector\":[0,0],\"index\":\"hnsw\",\"exact\":false}");
    assert_false(has("data.explain"));
}

/* Waits for a job by the API alone. */
static void wait_for(const char *location, const char *state_name)
{
    for (unsigned i = 0; i < 2000; i++) {
        must(200, "GET", location, NULL);
        const char *now = text_at("data.state");
        if (strcmp(now, state_name) == 0) {
            return;
        }
        if (strcmp(now, "queued") != 0 && strcmp(now, "running") != 0) {
            fail_msg("%s", client.body);
        }
        usleep(5000);
    }
    fail_msg("%s is not %s after 10 s", location, state_name);
}

static void the_one_index_is_set_rebuilt_and_kept(void **state)
{
    (void)state;
    char location[256], path[256], id[64];
    key = ADMIN_KEY;
    must(200, "GET", DB "/indexes", NULL);
    snprintf(id, sizeof id, "%s", text_at("data.indexes.0.indexId"));
    snprintf(path, sizeof path, DB "/indexes/%s", id);
    must(200, "GET", path, NULL);
    must(200, "POST", DB "/indexes", "{\"type\":\"HNSW\"}"); /* is so already */
    must(202, "POST", DB "/indexes",
         "{\"type\":\"HNSW\",\"parameters\":{\"M\":8,\"efConstruction\":100}}");
    http_client_header(&client, "Location", location, sizeof location);
    assert_non_null(strstr(location, "/operations/job_"));
    wait_for(location, "succeeded");
    assert_string_equal(text_at("data.kind"), "rebuild");
    assert_true(jade_json_double(at("data.progress")) == 1.0);
    assert_int_equal(ask("DELETE", location, NULL), 409);
    must(200, "GET", path, NULL);
    assert_int_equal(int_at("data.parameters.M"), 8);
    assert_string_equal(text_at("data.status"), "ready");
    must(200, "PUT", path, "{\"parameters\":{\"efSearch\":77}}");
    assert_int_equal(int_at("data.parameters.efSearch"), 77);
    char rebuild[300];
    snprintf(rebuild, sizeof rebuild, "%s/rebuild", path);
    must(202, "POST", rebuild, NULL);
    http_client_header(&client, "Location", location, sizeof location);
    wait_for(location, "succeeded");
    must(200, "GET", "/api/v1/operations", NULL);
    assert_int_equal(int_at("data.count"), 2);
    refused(422, "UNPROCESSABLE", "indexId", "DELETE", path, NULL);
    refused(501, "NOT_SUPPORTED_YET", "type", "POST", DB "/indexes", "{\"type\":\"flat\"}");
    refused(501, "NOT_SUPPORTED_YET", "type", "POST", DB "/indexes", "{\"type\":\"LSH\"}");
    refused(501, "NOT_SUPPORTED_YET", "indexId", "POST", DB "/indexes",
            "{\"type\":\"HNSW\",\"indexId\":\"idx_002\"}");
    refused(400, "INVALID_ARGUMENT", "parameters.M", "PUT", path, "{\"parameters\":{\"M\":999}}");
    refused(404, "NOT_FOUND", "indexId", "PUT", DB "/indexes/idx_none",
            "{\"parameters\":{\"M\":9}}");
    refused(400, "UNKNOWN_FIELD", "force", "POST", rebuild, "{\"force\":true}");
    must(202, "PUT", path, "{\"type\":\"flat\"}");
    http_client_header(&client, "Location", location, sizeof location);
    wait_for(location, "succeeded");
    must(200, "POST", DB "/search", "{\"queryVector\":[0,0],\"index\":\"FLAT\"}");
    assert_int_equal(int_at("data.count"), 3);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, api_teardown)
    const struct CMUnitTest tests[] = {
        T(hits_come_best_first_with_score_and_distance),
        T(filters_and_thresholds_cut),
        T(a_stored_vector_can_be_the_query),
        T(explain_tells_plan_and_counters),
        T(the_one_index_is_set_rebuilt_and_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
