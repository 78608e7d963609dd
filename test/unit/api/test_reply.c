/*
 * The envelope: that it says what the documentation promises, and carries nothing that a browser would run.
 */
#include "api_test.h"

static void every_code_has_a_row_in_the_documentation(void **state)
{
    (void)state;
    static char doc[64 * 1024];
    FILE *f = fopen(JADE_TEST_DIR "/../docs/errors.md", "r");
    assert_non_null(f);
    size_t n = fread(doc, 1, sizeof doc - 1, f);
    fclose(f);
    doc[n] = '\0';
    unsigned n_rows = 0;
    for (int code = -1; strcmp(jade_code_name((jade_code)code), "UNKNOWN") != 0; code--, n_rows++) {
        char row[128];
        snprintf(row, sizeof row, "<a id=\"%s\"></a>`%s`", jade_code_name((jade_code)code),
                 jade_code_name((jade_code)code));
        const char *at_row = strstr(doc, row);
        if (!at_row) {
            fail_msg("%s is not in docs/errors.md", row);
        }
        snprintf(row, sizeof row, "| %d |", jade_code_http((jade_code)code));
        const char *status = strstr(at_row, row);
        const char *end = strchr(at_row, '\n');
        assert_true(status && status < end);
    }
    assert_true(n_rows >= 30);
}

static void errors_have_the_whole_form(void **state)
{
    (void)state;
    refused(404, "NOT_FOUND", "databaseId", "GET", "/api/v1/databases/none", NULL);
    assert_string_equal(text_at("error.category"), "permanent");
    assert_string_equal(text_at("error.docs"), "/docs/errors#NOT_FOUND");
    assert_int_equal(jade_json_type(at("error.retryAfterMs")), JADE_JSON_NULL);
    assert_int_equal(strncmp(text_at("message"), "databaseId: ", 12), 0);
    assert_int_equal(jade_json_count(answer), 6);
    char id[64];
    http_client_header(&client, "X-Request-Id", id, sizeof id);
    assert_string_equal(text_at("meta.requestId"), id);
}

static void input_in_messages_is_escaped(void **state)
{
    (void)state;
    const char *body = "{\"</script><script>alert(1)</script>\":1,\"name\":\"x\"}";
    refused(400, "UNKNOWN_FIELD", "</script><script>alert(1)</script>", "POST", "/api/v1/databases",
            body);
    assert_null(strstr(client.body, "</script>"));
    ask("POST", "/api/v1/databases", "{\"name\":\"\\u0001\\\"\\n\",\"vectorDimension\":1}");
    expect_error("control characters", 400, "INVALID_ARGUMENT", "name");
    ask("GET", "/api/v1/databases/%ff%fe%22", NULL); /* no UTF-8: the answer is JSON all the same */
    expect_error("bytes", 404, "NOT_FOUND", "databaseId");
}

static void warnings_say_each_thing_once(void **state)
{
    (void)state;
    must(201, "POST", "/api/v1/databases", "{\"name\":\"w\",\"vectorDimension\":1}");
    must(
        200, "POST", "/api/v1/databases/w/vectors/batch",
        "{\"vectors\":[{\"values\":[1],\"version\":1},{\"values\":[2],\"version\":2,\"createdAt\":\"x\"}]}");
    assert_int_equal(jade_json_count(at("meta.warnings")), 2);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, api_setup, api_teardown)
    const struct CMUnitTest tests[] = {
        T(every_code_has_a_row_in_the_documentation),
        T(errors_have_the_whole_form),
        T(input_in_messages_is_escaped),
        T(warnings_say_each_thing_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
