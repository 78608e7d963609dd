/*
 * The path of a request when memory is short: the n-th allocation fails, for every n, and each time there is an answer that says so.
 */
#include "api_test.h"

#include <stdatomic.h>

#include "base/alloc.h"

static _Atomic uint64_t fail_at;     /* allocation of the next request that fails; 0: none */
static _Atomic uint64_t allocations; /* made by the last request */

/* Arms the failure inside the handler only: the server's own allocations are tested where it lives. */
static void failing_handler(void *ctx, const struct jade_http_request *req,
                            struct jade_http_reply *reply)
{
    jade_alloc_fail_at(atomic_load(&fail_at));
    jade_api_handle(ctx, req, reply);
    atomic_store(&allocations, jade_alloc_count());
    jade_alloc_fail_at(0);
}

static int setup(void **state)
{
    api_setup(state);
    atomic_store(&fail_at, 0);
    http_client_close(&client);
    jade_http_server_stop(server, 5000);
    struct jade_http_server_opts http = {.host = "127.0.0.1",
                                         .workers = 1,
                                         .body_max = TEST_BODY_MAX,
                                         .handler = failing_handler,
                                         .ctx = api};
    OK(jade_http_server_start(&http, &server, &err));
    jade_api_set_server(api, server);
    http_client_open(&client, jade_http_server_port(server));
    must(201, "POST", "/api/v1/databases",
         "{\"name\":\"d\",\"vectorDimension\":2,\"metadataSchema\":{\"n\":\"int\"}}");
    must(201, "POST", "/api/v1/databases/d/vectors",
         "{\"id\":\"a\",\"values\":[1,2],\"metadata\":{\"n\":1}}");
    return 0;
}

static void every_allocation_that_fails_is_answered(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *body;
    } calls[] = {
        {"GET", "/api/v1/databases", NULL},
        {"GET", "/api/v1/databases/d", NULL},
        {"PUT", "/api/v1/databases/d",
         "{\"description\":\"x\",\"metadataSchema\":{\"n\":\"int\"}}"},
        {"GET", "/api/v1/databases/d/status", NULL},
        {"GET", "/api/v1/databases/d/vectors/a", NULL},
        {"PUT", "/api/v1/databases/d/vectors/a", "{\"values\":[1,2],\"metadata\":{\"n\":1}}"},
        {"POST", "/api/v1/databases/d/vectors/batch",
         "{\"vectors\":[{\"id\":1,\"values\":[1,2],\"metadata\":{\"n\":1}},{\"id\":\"b\",\"values\":[2,1]}]}"},
        {"POST", "/api/v1/databases/d/search",
         "{\"queryVector\":[1,2],\"filter\":{\"n\":{\"$gte\":1}},\"explain\":true,\"includeValues\":true}"},
        {"GET", "/api/v1/databases/d/indexes", NULL},
        {"GET", "/api/v1/operations", NULL},
        {"GET", "/api/v1/models", NULL},
        {"POST", "/api/v1/embeddings", "{\"input\":[\"one\",\"two words\"]}"},
        {"GET", "/api/v1/keys", NULL},
        {"GET", "/api/v1/status", NULL},
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        unsigned n_failed = 0;
        uint64_t n = 1;
        for (;; n++) {
            atomic_store(&fail_at, n);
            int status = ask(calls[i].method, calls[i].path, calls[i].body);
            atomic_store(&fail_at, 0);
            check_envelope();
            if (status != 200) {
                assert_string_equal(text_at("error.code"), "OUT_OF_MEMORY");
                n_failed++;
            }
            if (atomic_load(&allocations) < n) {
                assert_int_equal(status, 200);
                break;
            }
            assert_true(n < 2000);
        }
        assert_true(n_failed > 0 || n == 1);
    }
    must(200, "GET", "/api/v1/databases/d/vectors/a", NULL);
    assert_int_equal(int_at("data.metadata.n"), 1);
}

static void what_could_not_be_created_is_not_there(void **state)
{
    (void)state;
    int status = 503;
    for (uint64_t n = 1; status == 503; n++) {
        must(200, "GET", "/api/v1/databases", NULL);
        assert_int_equal(int_at("data.count"), 1);
        atomic_store(&fail_at, n);
        status = ask("POST", "/api/v1/databases", "{\"name\":\"e\",\"vectorDimension\":2}");
        atomic_store(&fail_at, 0);
        assert_true(n < 2000);
    }
    assert_int_equal(status, 201);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, api_teardown)
    const struct CMUnitTest tests[] = {
        T(every_allocation_that_fails_is_answered),
        T(what_could_not_be_created_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
