/*
 * The table of bad input: for each request the status, the code, the field; a reason is asserted by expect_error. Afterwards the
 * database holds what it held before.
 */
#include "api_test.h"

#define DB "/api/v1/databases/d"

struct bad {
    const char *what;
    int status;
    const char *code, *field, *method, *path, *body;
};

/* One request a row. */
/* clang-format off */
static const struct bad bad_vectors[] = {
    {"dimension", 400, "DIMENSION_MISMATCH", "values", "POST", DB "/vectors", "{\"values\":[1,2]}"},
    {"too long", 400, "DIMENSION_MISMATCH", "values", "POST", DB "/vectors", "{\"values\":[1,2,3,4]}"},
    {"empty values", 400, "DIMENSION_MISMATCH", "values", "POST", DB "/vectors", "{\"values\":[]}"},
    {"NaN", 400, "INVALID_JSON", "body", "POST", DB "/vectors", "{\"values\":[NaN,2,3]}"},
    {"Infinity", 400, "INVALID_JSON", "body", "POST", DB "/vectors", "{\"values\":[1,-Infinity,3]}"},
    {"1e999", 400, "INVALID_JSON", "body", "POST", DB "/vectors", "{\"values\":[1,1e999,3]}"},
    {"above float32", 400, "INVALID_ARGUMENT", "values[1]", "POST", DB "/vectors", "{\"values\":[1,1e300,3]}"},
    {"string in values", 400, "INVALID_ARGUMENT", "values[1]", "POST", DB "/vectors", "{\"values\":[1,\"2\",3]}"},
    {"null in values", 400, "INVALID_ARGUMENT", "values[2]", "POST", DB "/vectors", "{\"values\":[1,2,null]}"},
    {"list in values", 400, "INVALID_ARGUMENT", "values[0]", "POST", DB "/vectors", "{\"values\":[[1],2,3]}"},
    {"values no list", 400, "INVALID_ARGUMENT", "values", "POST", DB "/vectors", "{\"values\":\"1,2,3\"}"},
    {"values absent", 400, "INVALID_ARGUMENT", "values", "POST", DB "/vectors", "{\"id\":\"a\"}"},
    {"values null", 400, "INVALID_ARGUMENT", "values", "POST", DB "/vectors", "{\"values\":null}"},
    {"zero under cosine", 400, "INVALID_ARGUMENT", "values", "POST", DB "/vectors", "{\"values\":[0,0,0]}"},
    {"values and text", 400, "INVALID_ARGUMENT", "text", "POST", DB "/vectors", "{\"values\":[1,2,3],\"text\":\"a\"}"},
    {"unknown field", 400, "UNKNOWN_FIELD", "vaules", "POST", DB "/vectors", "{\"vaules\":[1,2,3]}"},
    {"broken JSON", 400, "INVALID_JSON", "body", "POST", DB "/vectors", "{\"values\":[1,2,3}"},
    {"cut JSON", 400, "INVALID_JSON", "body", "POST", DB "/vectors", "{\"values\":[1,2"},
    {"two values", 400, "INVALID_JSON", "body", "POST", DB "/vectors", "{\"values\":[1,2,3]} {}"},
    {"a field twice", 400, "INVALID_ARGUMENT", "values", "POST", DB "/vectors", "{\"values\":[1,2,3],\"values\":[1,2,3]}"},
    {"id empty", 400, "INVALID_ARGUMENT", "id", "POST", DB "/vectors", "{\"id\":\"\",\"values\":[1,2,3]}"},
    {"id boolean", 400, "INVALID_ARGUMENT", "id", "POST", DB "/vectors", "{\"id\":true,\"values\":[1,2,3]}"},
    {"id fraction", 400, "INVALID_ARGUMENT", "id", "POST", DB "/vectors", "{\"id\":1.5,\"values\":[1,2,3]}"},
    {"id with NUL", 400, "INVALID_ARGUMENT", "id", "POST", DB "/vectors", "{\"id\":\"a\\u0000b\",\"values\":[1,2,3]}"},
    {"metadata no object", 400, "INVALID_ARGUMENT", "metadata", "POST", DB "/vectors", "{\"values\":[1,2,3],\"metadata\":[1]}"},
    {"metadata key twice", 400, "INVALID_ARGUMENT", "metadata", "POST", DB "/vectors", "{\"values\":[1,2,3],\"metadata\":{\"a\":1,\"a\":2}}"},
    {"deleted", 400, "INVALID_ARGUMENT", "deleted", "POST", DB "/vectors", "{\"values\":[1,2,3],\"deleted\":true}"},
    {"onConflict", 400, "INVALID_ARGUMENT", "onConflict", "POST", DB "/vectors", "{\"values\":[1,2,3],\"onConflict\":\"replace\"}"},
    {"sparse", 501, "NOT_SUPPORTED_YET", "sparse", "POST", DB "/vectors", "{\"values\":[1,2,3],\"sparse\":{}}"},
    {"shard", 501, "NOT_SUPPORTED_YET", "shard", "POST", DB "/vectors", "{\"values\":[1,2,3],\"shard\":\"shard_03\"}"},
    {"replicas", 501, "NOT_SUPPORTED_YET", "replicas", "POST", DB "/vectors", "{\"values\":[1,2,3],\"replicas\":[\"node_01\"]}"},
    {"model", 501, "NOT_SUPPORTED_YET", "embeddingModel.name", "POST", DB "/vectors", "{\"values\":[1,2,3],\"embedding_model\":{\"name\":\"BERT\"}}"},
    {"other index", 422, "UNPROCESSABLE", "index", "POST", DB "/vectors", "{\"values\":[1,2,3],\"index\":{\"type\":\"flat\"}}"},
    {"id exists", 409, "ALREADY_EXISTS", "id", "POST", DB "/vectors", "{\"id\":\"there\",\"values\":[1,2,3]}"},
    {"PUT of a missing id", 404, "NOT_FOUND", "vectorId", "PUT", DB "/vectors/nope", "{\"values\":[1,2,3]}"},
    {"PUT with another id", 400, "INVALID_ARGUMENT", "id", "PUT", DB "/vectors/there", "{\"id\":\"else\",\"values\":[1,2,3]}"},
    {"PUT with onConflict", 400, "UNKNOWN_FIELD", "onConflict", "PUT", DB "/vectors/there", "{\"values\":[1,2,3],\"onConflict\":\"upsert\"}"},
    {"GET of a missing id", 404, "NOT_FOUND", "vectorId", "GET", DB "/vectors/nope", NULL},
    {"DELETE of a missing id", 404, "NOT_FOUND", "vectorId", "DELETE", DB "/vectors/nope", NULL},
    {"missing database", 404, "NOT_FOUND", "databaseId", "POST", "/api/v1/databases/none/vectors", "{\"values\":[1,2,3]}"},
};

static const struct bad bad_batches[] = {
    {"no list", 400, "INVALID_ARGUMENT", "vectors", "POST", DB "/vectors/batch", "{}"},
    {"empty list", 400, "INVALID_ARGUMENT", "vectors", "POST", DB "/vectors/batch", "{\"vectors\":[]}"},
    {"element no object", 400, "INVALID_ARGUMENT", "vectors[1]", "POST", DB "/vectors/batch", "{\"vectors\":[{\"values\":[1,2,3]},7]}"},
    {"dimension", 400, "DIMENSION_MISMATCH", "vectors[1].values", "POST", DB "/vectors/batch", "{\"vectors\":[{\"id\":\"n1\",\"values\":[1,2,3]},{\"id\":\"n2\",\"values\":[1,2]}]}"},
    {"string in values", 400, "INVALID_ARGUMENT", "vectors[0].values[0]", "POST", DB "/vectors/batch", "{\"vectors\":[{\"values\":[\"1\",2,3]}]}"},
    {"duplicate id", 400, "DUPLICATE_ID", "vectors[2].id", "POST", DB "/vectors/batch", "{\"vectors\":[{\"id\":\"n1\",\"values\":[1,2,3]},{\"id\":\"n2\",\"values\":[1,2,3]},{\"id\":\"n1\",\"values\":[1,2,3]}]}"},
    {"number and string are one id", 400, "DUPLICATE_ID", "vectors[1].id", "POST", DB "/vectors/batch", "{\"vectors\":[{\"id\":7,\"values\":[1,2,3]},{\"id\":\"7\",\"values\":[1,2,3]}]}"},
    {"unknown field", 400, "UNKNOWN_FIELD", "vectors[0].value", "POST", DB "/vectors/batch", "{\"vectors\":[{\"value\":[1,2,3]}]}"},
    {"onConflict inside", 400, "UNKNOWN_FIELD", "vectors[0].onConflict", "POST", DB "/vectors/batch", "{\"vectors\":[{\"values\":[1,2,3],\"onConflict\":\"update\"}]}"},
    {"not atomic", 501, "NOT_SUPPORTED_YET", "atomic", "POST", DB "/vectors/batch", "{\"atomic\":false,\"vectors\":[{\"values\":[1,2,3]}]}"},
    {"insert of an existing id", 409, "ALREADY_EXISTS", "vectors[1].id", "POST", DB "/vectors/batch", "{\"onConflict\":\"error\",\"vectors\":[{\"id\":\"n1\",\"values\":[1,2,3]},{\"id\":\"there\",\"values\":[1,2,3]}]}"},
    {"update of a missing id", 404, "NOT_FOUND", "vectors[1].id", "POST", DB "/vectors/batch", "{\"onConflict\":\"update\",\"vectors\":[{\"id\":\"there\",\"values\":[1,2,3]},{\"id\":\"n1\",\"values\":[1,2,3]}]}"},
    {"another database", 404, "NOT_FOUND", "databaseId", "POST", DB "/vectors/batch", "{\"databaseId\":\"e\",\"vectors\":[{\"values\":[1,2,3]}]}"},
};

static const struct bad bad_searches[] = {
    {"no query", 400, "INVALID_ARGUMENT", "queryVector", "POST", DB "/search", "{}"},
    {"two queries", 400, "INVALID_ARGUMENT", "queryVector", "POST", DB "/search", "{\"queryVector\":[1,2,3],\"id\":\"there\"}"},
    {"dimension", 400, "DIMENSION_MISMATCH", "queryVector", "POST", DB "/search", "{\"queryVector\":[1,2]}"},
    {"zero under cosine", 400, "INVALID_ARGUMENT", "queryVector", "POST", DB "/search", "{\"queryVector\":[0,0,0]}"},
    {"topK 0", 400, "INVALID_ARGUMENT", "topK", "POST", DB "/search", "{\"queryVector\":[1,2,3],\"topK\":0}"},
    {"topK 10^9", 400, "INVALID_ARGUMENT", "topK", "POST", DB "/search", "{\"queryVector\":[1,2,3],\"topK\":1000000000}"},
    {"topK 1e9", 400, "INVALID_ARGUMENT", "topK", "POST", DB "/search", "{\"queryVector\":[1,2,3],\"topK\":1e9}"},
    {"topK -1", 400, "INVALID_ARGUMENT", "topK", "POST", DB "/search", "{\"queryVector\":[1,2,3],\"topK\":-1}"},
    {"topK 2^64-1", 400, "INVALID_ARGUMENT", "topK", "POST", DB "/search", "{\"queryVector\":[1,2,3],\"topK\":18446744073709551615}"},
    {"topK text", 400, "INVALID_ARGUMENT", "topK", "POST", DB "/search", "{\"queryVector\":[1,2,3],\"topK\":\"10\"}"},
    {"threshold", 400, "INVALID_ARGUMENT", "threshold", "POST", DB "/search", "{\"queryVector\":[1,2,3],\"threshold\":\"high\"}"},
    {"filter operator", 400, "INVALID_FILTER", "filter.a.$gtt", "POST", DB "/search", "{\"queryVector\":[1,2,3],\"filter\":{\"a\":{\"$gtt\":1}}}"},
    {"filter no object", 400, "INVALID_FILTER", "filters", "POST", DB "/search", "{\"queryVector\":[1,2,3],\"filters\":[1]}"},
    {"two filters", 400, "INVALID_ARGUMENT", "filter", "POST", DB "/search", "{\"queryVector\":[1,2,3],\"filter\":{},\"filters\":{}}"},
    {"unknown field", 400, "UNKNOWN_FIELD", "topk", "POST", DB "/search", "{\"queryVector\":[1,2,3],\"topk\":3}"},
    {"efSearch", 400, "INVALID_ARGUMENT", "efSearch", "POST", DB "/search", "{\"queryVector\":[1,2,3],\"efSearch\":0}"},
    {"params.efSearch", 400, "INVALID_ARGUMENT", "params.efSearch", "POST", DB "/search", "{\"queryVector\":[1,2,3],\"params\":{\"efSearch\":100000000}}"},
    {"params.exact", 400, "INVALID_ARGUMENT", "params.exact", "POST", DB "/search", "{\"queryVector\":[1,2,3],\"params\":{\"exact\":1}}"},
    {"efSearch twice", 400, "INVALID_ARGUMENT", "params.efSearch", "POST", DB "/search", "{\"queryVector\":[1,2,3],\"efSearch\":9,\"params\":{\"efSearch\":9}}"},
    {"params.nprobe", 501, "NOT_SUPPORTED_YET", "params.nprobe", "POST", DB "/search", "{\"queryVector\":[1,2,3],\"params\":{\"nprobe\":8}}"},
    {"index of another kind", 422, "UNPROCESSABLE", "index", "POST", DB "/search", "{\"queryVector\":[1,2,3],\"index\":\"flat\"}"},
    {"index of no kind", 400, "INVALID_ARGUMENT", "index", "POST", DB "/search", "{\"queryVector\":[1,2,3],\"index\":\"btree\"}"},
    {"index to come", 501, "NOT_SUPPORTED_YET", "index", "POST", DB "/search", "{\"queryVector\":[1,2,3],\"index\":\"IVF\"}"},
    {"model", 501, "NOT_SUPPORTED_YET", "embeddingModel", "POST", DB "/search", "{\"queryVector\":[1,2,3],\"embeddingModel\":\"BERT\"}"},
    {"model of another dimension", 422, "UNPROCESSABLE", "embeddingModel", "POST", DB "/search", "{\"queryVector\":[1,2,3],\"embeddingModel\":\"jade-hash-384\"}"},
    {"rerank", 501, "NOT_SUPPORTED_YET", "rerank", "POST", DB "/search/advanced", "{\"queryVector\":[1,2,3],\"rerank\":{}}"},
    {"id that is not there", 404, "NOT_FOUND", "id", "POST", DB "/search", "{\"id\":\"nope\"}"},
    {"includeSelf without id", 400, "INVALID_ARGUMENT", "includeSelf", "POST", DB "/search", "{\"queryVector\":[1,2,3],\"includeSelf\":true}"},
    {"includeValues", 400, "INVALID_ARGUMENT", "includeValues", "POST", DB "/search", "{\"queryVector\":[1,2,3],\"includeValues\":\"yes\"}"},
};

#define C "POST", "/api/v1/databases"
static const struct bad bad_databases[] = {
    {"no name", 400, "INVALID_ARGUMENT", "name", C, "{\"vectorDimension\":3}"},
    {"name", 400, "INVALID_ARGUMENT", "name", C, "{\"name\":\"a/b\",\"vectorDimension\":3}"},
    {"name with NUL", 400, "INVALID_ARGUMENT", "name", C, "{\"name\":\"a\\u0000b\",\"vectorDimension\":3}"},
    {"name taken", 409, "ALREADY_EXISTS", "name", C, "{\"name\":\"d\",\"vectorDimension\":3}"},
    {"no dimension", 400, "INVALID_ARGUMENT", "vectorDimension", C, "{\"name\":\"e\"}"},
    {"dimension 0", 400, "INVALID_ARGUMENT", "vectorDimension", C, "{\"name\":\"e\",\"vectorDimension\":0}"},
    {"dimension 16385", 400, "INVALID_ARGUMENT", "vectorDimension", C, "{\"name\":\"e\",\"vectorDimension\":16385}"},
    {"metric", 400, "INVALID_ARGUMENT", "metric", C, "{\"name\":\"e\",\"vectorDimension\":3,\"metric\":\"l2\"}"},
    {"index type", 400, "INVALID_ARGUMENT", "indexType", C, "{\"name\":\"e\",\"vectorDimension\":3,\"indexType\":\"tree\"}"},
    {"IVF", 501, "NOT_SUPPORTED_YET", "indexType", C, "{\"name\":\"e\",\"vectorDimension\":3,\"indexType\":\"IVF\"}"},
    {"M", 400, "INVALID_ARGUMENT", "indexParameters.M", C, "{\"name\":\"e\",\"vectorDimension\":3,\"indexParameters\":{\"M\":1}}"},
    {"M of flat", 400, "INVALID_ARGUMENT", "indexParameters.M", C, "{\"name\":\"e\",\"vectorDimension\":3,\"indexType\":\"flat\",\"indexParameters\":{\"M\":8}}"},
    {"parameter", 400, "UNKNOWN_FIELD", "indexParameters.efSerch", C, "{\"name\":\"e\",\"vectorDimension\":3,\"indexParameters\":{\"efSerch\":8}}"},
    {"field", 400, "UNKNOWN_FIELD", "vectorDimensions", C, "{\"name\":\"e\",\"vectorDimensions\":3}"},
    {"numShards", 501, "NOT_SUPPORTED_YET", "sharding.numShards", C, "{\"name\":\"e\",\"vectorDimension\":3,\"sharding\":{\"numShards\":2}}"},
    {"numShards 0", 400, "INVALID_ARGUMENT", "sharding.numShards", C, "{\"name\":\"e\",\"vectorDimension\":3,\"sharding\":{\"numShards\":0}}"},
    {"strategy", 501, "NOT_SUPPORTED_YET", "sharding.strategy", C, "{\"name\":\"e\",\"vectorDimension\":3,\"sharding\":{\"strategy\":\"range\"}}"},
    {"factor", 501, "NOT_SUPPORTED_YET", "replication.factor", C, "{\"name\":\"e\",\"vectorDimension\":3,\"replication\":{\"factor\":3}}"},
    {"model", 501, "NOT_SUPPORTED_YET", "embeddingModels[0].name", C, "{\"name\":\"e\",\"vectorDimension\":3,\"embeddingModels\":[{\"name\":\"BERT\"}]}"},
    {"model version", 501, "NOT_SUPPORTED_YET", "embeddingModels[0].version", C, "{\"name\":\"e\",\"vectorDimension\":384,\"embeddingModels\":[{\"name\":\"jade-hash-384\",\"version\":\"v9\"}]}"},
    {"model input", 501, "NOT_SUPPORTED_YET", "embeddingModels[0].inputType", C, "{\"name\":\"e\",\"vectorDimension\":384,\"embeddingModels\":[{\"name\":\"jade-hash-384\",\"inputType\":\"image\"}]}"},
    {"model dimension", 422, "UNPROCESSABLE", "vectorDimension", C, "{\"name\":\"e\",\"vectorDimension\":3,\"embeddingModels\":[{\"name\":\"jade-hash-384\"}]}"},
    {"two models", 501, "NOT_SUPPORTED_YET", "embeddingModels[1]", C, "{\"name\":\"e\",\"embeddingModels\":[{\"name\":\"jade-hash-384\"},{\"name\":\"jade-hash-384\"}]}"},
    {"schema type", 400, "INVALID_ARGUMENT", "metadataSchema.a", C, "{\"name\":\"e\",\"vectorDimension\":3,\"metadataSchema\":{\"a\":\"strong\"}}"},
    {"retention", 501, "NOT_SUPPORTED_YET", "retentionPolicy.maxAgeDays", C, "{\"name\":\"e\",\"vectorDimension\":3,\"retentionPolicy\":{\"maxAgeDays\":1}}"},
    {"archive", 501, "NOT_SUPPORTED_YET", "retentionPolicy.archiveOnExpire", C, "{\"name\":\"e\",\"vectorDimension\":3,\"retentionPolicy\":{\"archiveOnExpire\":true}}"},
    {"roles", 501, "NOT_SUPPORTED_YET", "accessControl.roles", C, "{\"name\":\"e\",\"vectorDimension\":3,\"accessControl\":{\"roles\":[\"admin\"]}}"},
    {"PUT of the name", 422, "UNPROCESSABLE", "name", "PUT", DB, "{\"name\":\"e\"}"},
    {"PUT of the dimension", 422, "UNPROCESSABLE", "vectorDimension", "PUT", DB, "{\"vectorDimension\":4}"},
    {"PUT of the metric", 422, "UNPROCESSABLE", "metric", "PUT", DB, "{\"metric\":\"dot\"}"},
    {"PUT of an old version", 409, "CONFLICT", "ifVersion", "PUT", DB, "{\"description\":\"x\",\"ifVersion\":999999}"},
    {"key scope", 400, "INVALID_ARGUMENT", "scope", "POST", "/api/v1/keys", "{\"name\":\"k\",\"scope\":\"root\"}"},
    {"key name", 400, "INVALID_ARGUMENT", "name", "POST", "/api/v1/keys", "{\"scope\":\"admin\"}"},
    {"key id", 404, "NOT_FOUND", "id", "DELETE", "/api/v1/keys/key_none", NULL},
    {"operation", 404, "NOT_FOUND", "operationId", "GET", "/api/v1/operations/job_none", NULL},
    {"input", 400, "INVALID_ARGUMENT", "input", "POST", "/api/v1/embeddings", "{}"},
    {"input 7", 400, "INVALID_ARGUMENT", "input", "POST", "/api/v1/embeddings", "{\"input\":7}"},
    {"input[1]", 400, "INVALID_ARGUMENT", "input[1]", "POST", "/api/v1/embeddings", "{\"input\":[\"a\",7]}"},
    {"input without words", 400, "INVALID_ARGUMENT", "input[1]", "POST", "/api/v1/embeddings", "{\"input\":[\"a\",\"  \"]}"},
    {"no input", 400, "INVALID_ARGUMENT", "input", "POST", "/api/v1/embeddings", "{\"input\":[]}"},
    {"model", 501, "NOT_SUPPORTED_YET", "model", "POST", "/api/v1/embeddings", "{\"model\":\"BERT\",\"input\":\"a\"}"},
};

/* clang-format on */

static void make_database(void)
{
    must(201, "POST", "/api/v1/databases", "{\"name\":\"d\",\"vectorDimension\":3}");
    must(201, "POST", DB "/vectors",
         "{\"id\":\"there\",\"values\":[1,2,3],\"metadata\":{\"a\":1}}");
}

/* The one vector is as it was, and there is one database. */
static void check_nothing_changed(void)
{
    must(200, "GET", DB "/status", NULL);
    assert_int_equal(int_at("data.vectorCount"), 1);
    must(200, "GET", DB "/vectors/there", NULL);
    assert_int_equal(int_at("data.version"), 1);
    assert_int_equal(int_at("data.metadata.a"), 1);
    must(200, "GET", "/api/v1/databases", NULL);
    assert_int_equal(int_at("data.count"), 1);
    assert_string_equal(text_at("data.databases.0.description"), "");
    must(200, "GET", "/api/v1/keys", NULL);
    assert_int_equal(int_at("data.count"), 3);
}

static void run_table(const struct bad *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ask(rows[i].method, rows[i].path, rows[i].body);
        expect_error(rows[i].what, rows[i].status, rows[i].code, rows[i].field);
        check_nothing_changed();
    }
}

static void bad_vectors_are_refused(void **state)
{
    (void)state;
    make_database();
    run_table(bad_vectors, sizeof bad_vectors / sizeof *bad_vectors);
}

static void bad_batches_are_refused_whole(void **state)
{
    (void)state;
    make_database();
    run_table(bad_batches, sizeof bad_batches / sizeof *bad_batches);
}

static void bad_searches_are_refused(void **state)
{
    (void)state;
    make_database();
    run_table(bad_searches, sizeof bad_searches / sizeof *bad_searches);
}

static void bad_databases_keys_and_texts_are_refused(void **state)
{
    (void)state;
    make_database();
    run_table(bad_databases, sizeof bad_databases / sizeof *bad_databases);
}

/* text repeated n times between head and tail */
static char *repeat(const char *head, const char *text, size_t n, const char *tail)
{
    size_t len = strlen(text);
    char *out = malloc(strlen(head) + n * len + strlen(tail) + 1);
    assert_non_null(out);
    char *p = stpcpy(out, head);
    for (size_t i = 0; i < n; i++) {
        p = stpcpy(p, text);
    }
    stpcpy(p, tail);
    return out;
}

static void too_much_is_refused(void **state)
{
    (void)state;
    make_database();
    char *body = repeat("{\"values\":[1,2,3],\"id\":\"", "x", 513, "\"}");
    refused(400, "INVALID_ARGUMENT", "id", "POST", DB "/vectors", body);
    free(body);
    body = repeat("{\"values\":[1,2,3],\"metadata\":{\"s\":\"", "x", 65 * 1024, "\"}}");
    refused(400, "INVALID_ARGUMENT", "metadata", "POST", DB "/vectors", body);
    free(body);
    body = repeat("{\"values\":[1,2,3],\"metadata\":{\"a\":", "[", 32, "");
    char *deep = repeat(body, "]", 32, "}}");
    refused(400, "INVALID_ARGUMENT", "metadata", "POST", DB "/vectors", deep);
    free(body);
    free(deep);
    body = repeat("{\"a\":", "[", 600, "");
    refused(400, "INVALID_JSON", "body", "POST", DB "/vectors", body);
    free(body);
    body = repeat("{\"values\":[1,2,3],\"metadata\":{\"s\":\"", "x", TEST_BODY_MAX, "\"}}");
    refused(413, "PAYLOAD_TOO_LARGE", "body", "POST", DB "/vectors", body);
    free(body);
    body = repeat("{\"queryVector\":[1,2,3],\"filter\":", "{\"$not\":", 17, "{}");
    deep = repeat(body, "}", 17, "}");
    char *nots = repeat("filter", ".$not", 16, "");
    refused(400, "INVALID_FILTER", nots, "POST", DB "/search", deep);
    free(nots);
    free(body);
    free(deep);
    char *path = repeat(DB "/vectors/", "x", 513, "");
    refused(400, "INVALID_ARGUMENT", "vectorId", "GET", path, NULL);
    free(path);
    check_nothing_changed();
}

static void the_nearest_name_is_told(void **state)
{
    (void)state;
    make_database();
    refused(400, "UNKNOWN_FIELD", "topk", "POST", DB "/search", "{\"topk\":1}");
    assert_non_null(strstr(text_at("error.details.0.reason"), "\"topK\""));
    refused(400, "UNKNOWN_FIELD", "vaules", "POST", DB "/vectors", "{\"vaules\":1}");
    assert_non_null(strstr(text_at("error.details.0.reason"), "\"values\""));
    refused(400, "UNKNOWN_FIELD", "zzzzzzzz", "POST", DB "/vectors", "{\"zzzzzzzz\":1}");
    assert_non_null(strstr(text_at("error.details.0.reason"), "known are id, values"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bad_vectors_are_refused, api_setup, api_teardown),
        cmocka_unit_test_setup_teardown(bad_batches_are_refused_whole, api_setup, api_teardown),
        cmocka_unit_test_setup_teardown(bad_searches_are_refused, api_setup, api_teardown),
        cmocka_unit_test_setup_teardown(bad_databases_keys_and_texts_are_refused, api_setup,
                                        api_teardown),
        cmocka_unit_test_setup_teardown(too_much_is_refused, api_setup, api_teardown),
        cmocka_unit_test_setup_teardown(the_nearest_name_is_told, api_setup, api_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
