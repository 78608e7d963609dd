/*
 * Vectors over HTTP: stored, read, replaced, deleted, in batches, from text.
 */
#include "api_test.h"

#define DB "/api/v1/databases/d"

static void make_database(void)
{
    must(201, "POST", "/api/v1/databases",
         "{\"name\":\"d\",\"vector_dimension\":3,\"metric\":\"euclidean\"}");
}

static void a_vector_lives_through_its_calls(void **state)
{
    (void)state;
    key = write_key;
    char location[256];
    must(201, "POST", DB "/vectors",
         "{\"id\":\"a b/ü\",\"values\":[1,2.5,-3e-2],\"metadata\":{\"n\":1.0,\"t\":\"x\"}}");
    assert_true(jade_json_bool(at("data.created")));
    assert_int_equal(int_at("data.version"), 1);
    http_client_header(&client, "Location", location, sizeof location);
    assert_non_null(strstr(location, "/vectors/a%20b%2F%C3%BC"));
    must(200, "GET", location, NULL);
    assert_string_equal(text_at("data.id"), "a b/ü");
    assert_true(jade_json_double(at("data.values.1")) == 2.5);
    assert_int_equal(jade_json_type(at("data.metadata.n")), JADE_JSON_DOUBLE);
    must(200, "PUT", location, "{\"values\":[4,5,6]}");
    assert_int_equal(int_at("data.version"), 2);
    assert_false(jade_json_bool(at("data.created")));
    must(200, "GET", location, NULL);
    assert_false(has("data.metadata")); /* PUT replaces the whole */
    must(200, "DELETE", location, NULL);
    assert_int_equal(ask("GET", location, NULL), 404);
    assert_int_equal(ask("DELETE", location, NULL), 404);
}

static void ids_are_made_when_absent_and_numbers_are_their_text(void **state)
{
    (void)state;
    char made[64], path[256];
    must(201, "POST", DB "/vectors", "{\"values\":[1,2,3]}");
    snprintf(made, sizeof made, "%s", text_at("data.id"));
    assert_int_equal(strncmp(made, "vec_", 4), 0);
    snprintf(path, sizeof path, DB "/vectors/%s", made);
    must(200, "GET", path, NULL);
    must(201, "POST", DB "/vectors", "{\"id\":18446744073709551615,\"values\":[1,2,3]}");
    assert_string_equal(text_at("data.id"), "18446744073709551615");
    must(201, "POST", DB "/vectors", "{\"id\":-7,\"values\":[1,2,3]}");
    must(200, "GET", DB "/vectors/-7", NULL);
}

static void put_creates_only_when_asked(void **state)
{
    (void)state;
    assert_int_equal(ask("PUT", DB "/vectors/p", "{\"values\":[1,2,3]}"), 404);
    must(201, "PUT", DB "/vectors/p?upsert=true", "{\"id\":\"p\",\"values\":[1,2,3]}");
    must(200, "PUT", DB "/vectors/p?upsert=true", "{\"values\":[1,2,3]}");
    assert_int_equal(int_at("data.version"), 2);
}

static void on_conflict_decides(void **state)
{
    (void)state;
    must(201, "POST", DB "/vectors", "{\"id\":\"c\",\"values\":[1,2,3]}");
    assert_int_equal(ask("POST", DB "/vectors", "{\"id\":\"c\",\"values\":[1,2,3]}"), 409);
    must(200, "POST", DB "/vectors",
         "{\"id\":\"c\",\"values\":[1,2,3],\"on_conflict\":\"upsert\"}");
    must(200, "POST", DB "/vectors", "{\"id\":\"c\",\"values\":[1,2,3],\"onConflict\":\"update\"}");
    assert_int_equal(int_at("data.version"), 3);
    assert_int_equal(
        ask("POST", DB "/vectors", "{\"id\":\"x\",\"values\":[1,2,3],\"onConflict\":\"update\"}"),
        404);
}

static void a_batch_is_stored_whole_with_a_result_for_each(void **state)
{
    (void)state;
    must(
        200, "POST", DB "/vectors/batch?durability=periodic",
        "{\"vectors\":[{\"id\":\"b1\",\"values\":[1,0,0],\"metadata\":{\"i\":1}},{\"values\":[0,1,0]},"
        "{\"id\":3,\"values\":[0,0,1],\"metadata\":{\"i\":3,\"deep\":{\"a\":[1,{\"b\":null}]}}}]}");
    assert_int_equal(int_at("data.count"), 3);
    assert_int_equal(int_at("data.created"), 3);
    assert_string_equal(text_at("data.results.2.id"), "3");
    must(
        200, "POST", DB "/vectors/batch?wait=durable",
        "{\"vectors\":[{\"id\":\"b1\",\"values\":[1,1,1]},{\"id\":\"b4\",\"values\":[2,2,2]}],\"atomic\":true}");
    assert_int_equal(int_at("data.created"), 1);
    assert_int_equal(int_at("data.updated"), 1);
    assert_int_equal(int_at("data.results.0.version"), 2);
    must(200, "GET", DB "/vectors/3", NULL);
    assert_int_equal(int_at("data.metadata.i"), 3);
    assert_int_equal(jade_json_type(at("data.metadata.deep.a.1.b")), JADE_JSON_NULL);
    must(200, "GET", DB "/vectors/b1?includeValues=false&includeMetadata=false", NULL);
    assert_false(has("data.values"));
    must(200, "GET", DB "/status", NULL);
    assert_int_equal(int_at("data.vectorCount"), 4);
}

/* Every row's metadata is its own, also where some rows have none. */
static void a_large_batch_keeps_rows_apart(void **state)
{
    (void)state;
    enum { N = 1500 };
    char *body = malloc(N * 96);
    size_t n = (size_t)sprintf(body, "{\"vectors\":[");
    for (unsigned i = 0; i < N; i++) {
        n += (size_t)sprintf(body + n, "%s{\"id\":\"r%u\",\"values\":[%u,%u,1]", i ? "," : "", i, i,
                             i + 1);
        n += (size_t)sprintf(body + n, i % 3 ? ",\"metadata\":{\"i\":%u}}" : "}", i);
    }
    sprintf(body + n, "]}");
    must(200, "POST", DB "/vectors/batch", body);
    free(body);
    assert_int_equal(int_at("data.created"), N);
    for (unsigned i = 0; i < N; i += 7) {
        char path[64];
        snprintf(path, sizeof path, DB "/vectors/r%u", i);
        must(200, "GET", path, NULL);
        assert_true(jade_json_double(at("data.values.0")) == (double)i);
        assert_int_equal(has("data.metadata"), i % 3 != 0);
        if (i % 3) {
            assert_int_equal(int_at("data.metadata.i"), i);
        }
    }
}

static void text_is_embedded_by_the_model_of_the_database(void **state)
{
    (void)state;
    const char *path = "/api/v1/databases/t/vectors";
    must(201, "POST", "/api/v1/databases",
         "{\"name\":\"t\",\"embeddingModels\":[{\"name\":\"jade-hash-384\"}]}");
    assert_int_equal(int_at("data.vectorDimension"), 384);
    must(201, "POST", path, "{\"id\":\"cat\",\"text\":\"a small domesticated feline\"}");
    must(
        200, "POST", "/api/v1/databases/t/vectors/batch",
        "{\"embeddingModel\":\"jade-hash-384\",\"vectors\":[{\"id\":\"ship\",\"text\":\"a large vessel that sails the sea\"}]}");
    must(200, "GET", "/api/v1/databases/t/vectors/cat", NULL);
    assert_int_equal(jade_json_count(at("data.values")), 384);
    assert_string_equal(text_at("data.embedding_model.name"), "jade-hash-384");
    must(200, "POST", "/api/v1/databases/t/search",
         "{\"text\":\"domesticated feline\",\"topK\":2}");
    assert_string_equal(text_at("data.results.0.id"), "cat");
    refused(400, "INVALID_ARGUMENT", "text", "POST", path, "{\"text\":\" \"}");
    refused(400, "INVALID_ARGUMENT", "vectors[1].text", "POST", "/api/v1/databases/t/vectors/batch",
            "{\"vectors\":[{\"text\":\"a\"},{\"text\":\"\"}]}");
    refused(422, "UNPROCESSABLE", "embeddingModel", "POST", DB "/vectors", "{\"text\":\"a\"}");
}

static void databases_live_through_their_calls(void **state)
{
    (void)state;
    char path[128], id[64];
    must(200, "GET", DB, NULL);
    snprintf(id, sizeof id, "%s", text_at("data.databaseId"));
    assert_string_equal(text_at("data.metric"), "euclidean");
    assert_string_equal(text_at("data.indexType"), "HNSW");
    assert_string_equal(text_at("data.durability"), "sync");
    int64_t version = int_at("data.version");
    must(
        200, "PUT", DB,
        "{\"description\":\"new\",\"indexParameters\":{\"efSearch\":99},\"durability\":\"async\"}");
    assert_true(int_at("data.version") > version);
    assert_int_equal(int_at("data.indexParameters.efSearch"), 99);
    must(200, "PUT", DB, "{\"metadataSchema\":{\"a\":\"int\"}}"); /* what is not named stays */
    assert_string_equal(text_at("data.description"), "new");
    assert_string_equal(text_at("data.durability"), "async");
    must(200, "PUT", DB, "{\"replication\":{\"factor\":1}}");
    assert_string_equal(text_at("data.metadataSchema.a"), "int");
    version = int_at("data.version");
    ask_bytes("PUT", DB, "If-Match: \"1\"\r\n", "{\"description\":\"x\"}", 19);
    expect_error("If-Match", 409, "CONFLICT", "If-Match");
    char header[64];
    snprintf(header, sizeof header, "If-Match: \"%lld\"\r\n", (long long)version);
    assert_int_equal(ask_bytes("PUT", DB, header, "{\"description\":\"x\"}", 19), 200);
    snprintf(path, sizeof path, "/api/v1/databases/%s", id);
    must(200, "GET", path, NULL);
    must(200, "GET", "/api/v1/databases", NULL);
    assert_string_equal(text_at("data.databases.0.databaseId"), id);
    must(200, "DELETE", path, NULL);
    assert_int_equal(ask("GET", path, NULL), 404);
    assert_int_equal(ask("POST", DB "/search", "{\"queryVector\":[1,2,3]}"), 404);
    must(200, "GET", "/api/v1/databases", NULL);
    assert_int_equal(int_at("data.count"), 0);
}

static int setup(void **state)
{
    api_setup(state);
    make_database();
    return 0;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, api_teardown)
    const struct CMUnitTest tests[] = {
        T(a_vector_lives_through_its_calls),
        T(ids_are_made_when_absent_and_numbers_are_their_text),
        T(put_creates_only_when_asked),
        T(on_conflict_decides),
        T(a_batch_is_stored_whole_with_a_result_for_each),
        T(a_large_batch_keeps_rows_apart),
        T(text_is_embedded_by_the_model_of_the_database),
        T(databases_live_through_their_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
