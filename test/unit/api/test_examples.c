/*
 * The five examples of the specification, as they stand there but for their "..." (vectors are written out): what they ask that this
 * build cannot do is refused field by field; once that is taken out they are accepted, stored and come back.
 */
#include "api_test.h"

enum { DIM = 768 };
static char buf[64 * 1024];

static const char database_head[] =
    "{\"databaseId\":\"db_001\",\"name\":\"finance_vectors\","
    "\"description\":\"Embeddings for financial documents and reports\",\"vectorDimension\":768,"
    "\"indexType\":\"HNSW\",\"indexParameters\":{\"M\":16,\"efConstruction\":200,\"efSearch\":64}";
static const char sharding_8[] = ",\"sharding\":{\"strategy\":\"hash\",\"numShards\":8}";
static const char sharding_1[] = ",\"sharding\":{\"strategy\":\"hash\",\"numShards\":1}";
static const char replication_2[] = ",\"replication\":{\"factor\":2,\"sync\":true}";
static const char replication_1[] = ",\"replication\":{\"factor\":1,\"sync\":true}";
static const char models[] =
    ",\"embeddingModels\":[{\"name\":\"BERT\",\"version\":\"base-uncased\",\"provider\":\"huggingface\","
    "\"inputType\":\"text\"},{\"name\":\"ResNet50\",\"version\":\"v2\",\"provider\":\"torchvision\","
    "\"inputType\":\"image\"}]";
static const char no_models[] = ",\"embeddingModels\":[]";
static const char schema[] =
    ",\"metadataSchema\":{\"owner\":\"string\",\"tags\":\"array<string>\",\"category\":\"string\","
    "\"score\":\"float\",\"status\":\"enum:active|archived|deleted\",\"custom\":\"object\"}";
static const char retention[] =
    ",\"retentionPolicy\":{\"maxAgeDays\":365,\"archiveOnExpire\":true}";
static const char no_retention[] =
    ",\"retentionPolicy\":{\"maxAgeDays\":null,\"archiveOnExpire\":false}";
static const char access_control[] =
    ",\"accessControl\":{\"roles\":[\"admin\",\"user\",\"auditor\"],\"defaultPermissions\":[\"read\",\"search\"]}";
static const char no_access_control[] =
    ",\"accessControl\":{\"roles\":[],\"defaultPermissions\":[]}";
static const char database_times[] =
    ",\"created_at\":\"2025-10-08T12:00:00Z\",\"updated_at\":\"2025-10-08T12:05:00Z\"}";

static const char *database(const char *s, const char *r, const char *m, const char *t,
                            const char *a)
{
    snprintf(buf, sizeof buf, "%s%s%s%s%s%s%s%s", database_head, s, r, m, schema, t, a,
             database_times);
    return buf;
}

/* Appends 768 numbers that are not zero. */
static size_t add_values(size_t n)
{
    for (unsigned i = 0; i < DIM; i++) {
        n += (size_t)snprintf(buf + n, sizeof buf - n, "%s%.2f", i ? "," : "",
                              (double)(i % 100) / 100.0 - 0.34);
    }
    return n;
}

static void create_example_database(void)
{
    must(201, "POST", "/api/v1/databases",
         database(sharding_1, replication_1, no_models, no_retention, no_access_control));
}

static void example_2_is_refused_field_by_field_then_stored_and_returned(void **state)
{
    (void)state;
    const char *path = "/api/v1/databases";
    refused(501, "NOT_SUPPORTED_YET", "sharding.numShards", "POST", path,
            database(sharding_8, replication_2, models, retention, access_control));
    refused(501, "NOT_SUPPORTED_YET", "replication.factor", "POST", path,
            database(sharding_1, replication_2, models, retention, access_control));
    refused(501, "NOT_SUPPORTED_YET", "embeddingModels[0].name", "POST", path,
            database(sharding_1, replication_1, models, retention, access_control));
    refused(501, "NOT_SUPPORTED_YET", "retentionPolicy.maxAgeDays", "POST", path,
            database(sharding_1, replication_1, no_models, retention, access_control));
    refused(501, "NOT_SUPPORTED_YET", "accessControl.roles", "POST", path,
            database(sharding_1, replication_1, no_models, no_retention, access_control));
    must(200, "GET", path, NULL);
    assert_int_equal(int_at("data.count"), 0);

    create_example_database();
    assert_int_equal(jade_json_count(at("meta.warnings")), 3); /* databaseId and the two times */
    char location[256];
    http_client_header(&client, "Location", location, sizeof location);
    must(200, "GET", location, NULL);
    assert_string_equal(text_at("data.name"), "finance_vectors");
    assert_string_equal(text_at("data.description"),
                        "Embeddings for financial documents and reports");
    assert_int_equal(int_at("data.vectorDimension"), 768);
    assert_string_equal(text_at("data.indexType"), "HNSW");
    assert_int_equal(int_at("data.indexParameters.M"), 16);
    assert_int_equal(int_at("data.indexParameters.efConstruction"), 200);
    assert_int_equal(int_at("data.indexParameters.efSearch"), 64);
    assert_string_equal(text_at("data.sharding.strategy"), "hash");
    assert_int_equal(int_at("data.sharding.numShards"), 1);
    assert_int_equal(int_at("data.replication.factor"), 1);
    assert_true(jade_json_bool(at("data.replication.sync")));
    assert_int_equal(jade_json_count(at("data.embeddingModels")), 0);
    assert_string_equal(text_at("data.metadataSchema.status"), "enum:active|archived|deleted");
    assert_int_equal(jade_json_type(at("data.retentionPolicy.maxAgeDays")), JADE_JSON_NULL);
    assert_int_equal(jade_json_count(at("data.accessControl.roles")), 0);
    assert_true(has("data.created_at") && has("data.updated_at"));
    assert_int_equal(strncmp(text_at("data.databaseId"), "db_", 3), 0);
}

static const char vector_metadata[] =
    "\"metadata\":{\"source\":\"document\",\"created_at\":\"2025-10-08T12:00:00Z\","
    "\"updated_at\":\"2025-10-08T12:05:00Z\",\"tags\":[\"finance\",\"report\",\"confidential\"],"
    "\"owner\":\"user_001\",\"permissions\":[\"read\",\"search\"],\"category\":\"annual_report\","
    "\"score\":0.87,\"status\":\"active\",\"custom\":{\"region\":\"EU\",\"language\":\"en\","
    "\"doc_id\":\"doc_987654\"}}";
static const char vector_index[] =
    ",\"index\":{\"type\":\"HNSW\",\"version\":\"v1.2.0\",\"parameters\":{\"M\":16,\"efConstruction\":200}}";
static const char vector_model[] =
    ",\"embedding_model\":{\"name\":\"BERT\",\"version\":\"base-uncased\",\"provider\":\"huggingface\","
    "\"input_type\":\"text\"}";

static const char *vector(const char *model, const char *place)
{
    size_t n = (size_t)snprintf(buf, sizeof buf, "{\"id\":\"vec_1234567890abcdef\",\"values\":[");
    n = add_values(n);
    snprintf(buf + n, sizeof buf - n, "],%s%s%s%s,\"version\":3,\"deleted\":false}",
             vector_metadata, vector_index, model, place);
    return buf;
}

static void example_1_is_refused_field_by_field_then_stored_and_returned(void **state)
{
    (void)state;
    const char *path = "/api/v1/databases/finance_vectors/vectors";
    create_example_database();
    refused(501, "NOT_SUPPORTED_YET", "embeddingModel.name", "POST", path,
            vector(vector_model, ",\"shard\":\"shard_03\",\"replicas\":[\"node_01\",\"node_07\"]"));
    refused(501, "NOT_SUPPORTED_YET", "shard", "POST", path,
            vector("", ",\"shard\":\"shard_03\",\"replicas\":[\"node_01\",\"node_07\"]"));
    refused(501, "NOT_SUPPORTED_YET", "replicas", "POST", path,
            vector("", ",\"shard\":\"shard_00\",\"replicas\":[\"node_01\",\"node_07\"]"));
    must(201, "POST", path, vector("", ",\"shard\":\"shard_00\",\"replicas\":[]"));
    assert_int_equal(jade_json_count(at("meta.warnings")), 2); /* version, index.version */
    char location[256];
    http_client_header(&client, "Location", location, sizeof location);
    must(200, "GET", location, NULL);
    assert_string_equal(text_at("data.id"), "vec_1234567890abcdef");
    assert_int_equal(jade_json_count(at("data.values")), DIM);
    assert_string_equal(text_at("data.metadata.custom.region"), "EU");
    assert_string_equal(text_at("data.metadata.tags.2"), "confidential");
    assert_true(jade_json_double(at("data.metadata.score")) == 0.87);
    assert_string_equal(text_at("data.index.type"), "HNSW");
    assert_int_equal(int_at("data.index.parameters.M"), 16);
    assert_string_equal(text_at("data.shard"), "shard_00");
    assert_int_equal(jade_json_count(at("data.replicas")), 0);
    assert_int_equal(int_at("data.version"), 1);
    assert_false(jade_json_bool(at("data.deleted")));
}

/* What a read gives can be written back as it is. */
static void a_vector_and_a_database_can_be_put_back_as_they_came(void **state)
{
    (void)state;
    create_example_database();
    must(201, "POST", "/api/v1/databases/finance_vectors/vectors", vector("", ""));
    const char *paths[] = {"/api/v1/databases/finance_vectors/vectors/vec_1234567890abcdef",
                           "/api/v1/databases/finance_vectors"};
    for (unsigned i = 0; i < 2; i++) {
        must(200, "GET", paths[i], NULL);
        struct jade_buf text;
        jade_buf_init(&text, JADE_TAG_TEST);
        jade_json_write(at("data"), &text);
        jade_buf_append_byte(&text, '\0');
        must(200, "PUT", paths[i], (const char *)text.data);
        jade_buf_release(&text);
    }
    must(200, "GET", paths[0], NULL);
    assert_int_equal(int_at("data.version"), 2);
}

static void metadata_must_fit_the_schema_of_the_database(void **state)
{
    (void)state;
    const char *path = "/api/v1/databases/s/vectors";
    must(
        201, "POST", "/api/v1/databases",
        "{\"name\":\"s\",\"vectorDimension\":1,\"metadataSchema\":{\"owner\":\"string\",\"tags\":\"array<string>\","
        "\"score\":\"float\",\"n\":\"int\",\"ok\":\"bool\",\"day\":\"date\",\"any\":\"array\",\"status\":\"enum:active|archived\",\"custom\":\"object\"}}");
    static const char *const bad[][2] = {{"owner", "7"},
                                         {"tags", "\"a\""},
                                         {"tags", "[\"a\",1]"},
                                         {"score", "\"high\""},
                                         {"n", "1.5"},
                                         {"ok", "1"},
                                         {"day", "\"tomorrow\""},
                                         {"any", "{}"},
                                         {"status", "\"act\""},
                                         {"status", "\"active|archived\""},
                                         {"custom", "[]"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char body[256], field[64];
        snprintf(body, sizeof body, "{\"values\":[1],\"metadata\":{\"%s\":%s}}", bad[i][0],
                 bad[i][1]);
        snprintf(field, sizeof field, "metadata.%s", bad[i][0]);
        refused(422, "UNPROCESSABLE", field, "POST", path, body);
    }
    refused(
        422, "UNPROCESSABLE", "vectors[1].metadata.n", "POST", "/api/v1/databases/s/vectors/batch",
        "{\"vectors\":[{\"values\":[1],\"metadata\":{\"n\":1}},{\"values\":[1],\"metadata\":{\"n\":\"1\"}}]}");
    must(
        201, "POST", path,
        "{\"values\":[1],\"metadata\":{\"owner\":null,\"tags\":[\"a\"],\"score\":1,\"n\":1,\"ok\":true,\"day\":\"2025-10-08\","
        "\"any\":[1,\"a\"],\"status\":\"archived\",\"custom\":{},\"else\":[7]}}");
    must(200, "PUT", "/api/v1/databases/s", "{\"metadataSchema\":null}");
    must(201, "POST", path, "{\"values\":[1],\"metadata\":{\"owner\":7}}");
}

static void example_3_is_what_the_list_of_indexes_holds(void **state)
{
    (void)state;
    static const char *const names[] = {"indexId", "databaseId", "type",      "parameters",
                                        "status",  "created_at", "updated_at"};
    create_example_database();
    must(200, "GET", "/api/v1/databases/finance_vectors/indexes", NULL);
    assert_int_equal(jade_json_count(at("data.indexes")), 1);
    assert_int_equal(jade_json_count(at("data.indexes.0")), 7);
    for (unsigned i = 0; i < 7; i++) {
        char path[64];
        snprintf(path, sizeof path, "data.indexes.0.%s", names[i]);
        assert_true(has(path));
    }
    assert_string_equal(text_at("data.indexes.0.type"), "HNSW");
    assert_int_equal(int_at("data.indexes.0.parameters.efSearch"), 64);
    assert_string_equal(text_at("data.indexes.0.status"), "ready");
}

static void example_4_is_refused_and_is_what_the_list_of_models_holds(void **state)
{
    (void)state;
    refused(501, "NOT_SUPPORTED_YET", "name", "POST", "/api/v1/models",
            "{\"modelId\":\"emb_bert_base_uncased\",\"name\":\"BERT\",\"version\":\"base-uncased\","
            "\"provider\":\"huggingface\",\"inputType\":\"text\",\"outputDimension\":768,"
            "\"parameters\":{\"maxTokens\":512,\"normalize\":true},\"status\":\"active\"}");
    must(200, "GET", "/api/v1/models", NULL);
    static const char *const texts[] = {"modelId",  "name",      "version",
                                        "provider", "inputType", "status"};
    for (unsigned i = 0; i < 6; i++) {
        char path[64];
        snprintf(path, sizeof path, "data.models.0.%s", texts[i]);
        assert_true(strlen(text_at(path)) > 0);
    }
    assert_int_equal(int_at("data.models.0.outputDimension"), 384);
    assert_true(jade_json_bool(at("data.models.0.parameters.normalize")));
}

static const char *search(const char *database_id, const char *model)
{
    size_t n =
        (size_t)snprintf(buf, sizeof buf, "{\"databaseId\":\"%s\",\"queryVector\":[", database_id);
    n = add_values(n);
    snprintf(
        buf + n, sizeof buf - n,
        "],\"topK\":10,\"filters\":{\"metadata.category\":\"annual_report\",\"metadata.tags\":[\"finance\"],"
        "\"metadata.score\":{\"$gte\":0.8}},\"index\":\"HNSW\"%s,\"includeMetadata\":true}",
        model);
    return buf;
}

static void example_5_is_refused_for_its_model_then_answered(void **state)
{
    (void)state;
    const char *path = "/api/v1/databases/db_001/search/advanced";
    size_t n =
        strlen(database(sharding_1, replication_1, no_models, no_retention, no_access_control));
    char *name = strstr(buf, "finance_vectors");
    memmove(name + 6, name + 15, n - (size_t)(name + 15 - buf) + 1);
    memcpy(name, "db_001", 6);
    must(201, "POST", "/api/v1/databases", buf);
    must(201, "POST", "/api/v1/databases/db_001/vectors", vector("", ""));
    refused(501, "NOT_SUPPORTED_YET", "embeddingModel", "POST", path,
            search("db_001", ",\"embeddingModel\":\"BERT\""));
    refused(404, "NOT_FOUND", "databaseId", "POST", path, search("db_002", ""));
    must(200, "POST", path, search("db_001", ""));
    assert_int_equal(int_at("data.count"), 1);
    assert_string_equal(text_at("data.results.0.id"), "vec_1234567890abcdef");
    assert_true(jade_json_double(at("data.results.0.score")) > 0.999);
    assert_true(jade_json_double(at("data.results.0.distance")) < 0.001);
    assert_string_equal(text_at("data.results.0.metadata.category"), "annual_report");
    assert_false(has("data.results.0.values"));
    must(200, "POST", "/api/v1/databases/db_001/search",
         search("db_001", ",\"includeValues\":true"));
    assert_int_equal(jade_json_count(at("data.results.0.values")), DIM);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, api_setup, api_teardown)
    const struct CMUnitTest tests[] = {
        T(example_2_is_refused_field_by_field_then_stored_and_returned),
        T(example_1_is_refused_field_by_field_then_stored_and_returned),
        T(a_vector_and_a_database_can_be_put_back_as_they_came),
        T(metadata_must_fit_the_schema_of_the_database),
        T(example_3_is_what_the_list_of_indexes_holds),
        T(example_4_is_refused_and_is_what_the_list_of_models_holds),
        T(example_5_is_refused_for_its_model_then_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
