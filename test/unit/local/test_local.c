/*
 * libjade as its user sees it: include/jade/jade.h alone, on the real disk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "jade/jade.h"
#include "support/temp_folder.h"

enum { DIM = 4, MANY = 2000 };

static char folder[JADE_PATH_MAX];
static jade_env *env;
static jade_db *db;
static jade_error err;

static void ok(jade_code rc)
{
    if (rc != JADE_OK) {
        fail_msg("%s: %s: %s", jade_code_name(rc), err.field, err.message);
    }
}

static void refused(jade_code rc, jade_code expected, const char *field)
{
    assert_int_equal(rc, expected);
    assert_string_equal(err.field, field);
    assert_true(strlen(err.message) > 0);
}

static jade_code open_env(jade_env **out)
{
    memset(&err, 0, sizeof err);
    return jade_env_open(folder, &(jade_env_options){.background_threads = 1}, out, &err);
}

static int begin(void **state)
{
    (void)state;
    temp_folder_make(folder);
    db = NULL;
    ok(open_env(&env));
    return 0;
}

static int end(void **state)
{
    (void)state;
    ok(jade_db_close(db, &err));
    ok(jade_env_close(env, &err));
    temp_folder_remove(folder);
    return 0;
}

static void create(const char *name, const char *metric)
{
    jade_db_config config = jade_db_config_default(DIM);
    config.metric = metric;
    ok(jade_db_create(env, name, &config, &db, &err));
}

static void close_db(void)
{
    jade_db *closing = db;
    db = NULL;
    ok(jade_db_close(closing, &err));
}

static void reopen(const char *name)
{
    close_db();
    ok(jade_env_close(env, &err));
    ok(open_env(&env));
    ok(jade_db_open(env, name, &db, &err));
}

static void put(const char *id, float x, const char *metadata)
{
    const float v[DIM] = {x, 1, 0, 0};
    ok(jade_db_upsert(db, &(jade_record){.id = id, .values = v, .metadata = metadata}, 1, NULL,
                      NULL, &err));
}

static uint64_t count(const char *filter)
{
    uint64_t n = 99;
    ok(jade_db_count(db, filter, &n, &err));
    return n;
}

static void path_of(char out[JADE_PATH_MAX], const char *rest)
{
    assert_in_range(snprintf(out, JADE_PATH_MAX, "%s/%s", folder, rest), 1, JADE_PATH_MAX - 1);
}

/* ---- environments and databases ---- */

static int note_name(void *ctx, const char *name)
{
    char *all = ctx;
    strcat(strcat(all, name), " ");
    return strcmp(name, "stop") == 0;
}

static const char *names(void)
{
    static char all[1024];
    all[0] = '\0';
    ok(jade_env_list(env, note_name, all, &err));
    return all;
}

static void databases_are_listed_in_order_of_names(void **state)
{
    static const char *const made[] = {"b", "a-1", "Zed", "0.9_x", "a"};
    (void)state;
    assert_string_equal(names(), "");
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        create(made[i], "dot");
        close_db();
    }
    assert_string_equal(names(), "0.9_x Zed a a-1 b ");
    create("stop", "dot");
    close_db();
    create("tail", "dot");
    assert_string_equal(names(), "0.9_x Zed a a-1 b stop "); /* a non-zero return stops */
}

static void configuration_is_kept_over_reopening(void **state)
{
    (void)state;
    jade_db_config c = {.dimension = 7,
                        .metric = "EUCLIDEAN",
                        .index = "Flat",
                        .m = 5,
                        .ef_construction = 77,
                        .ef_search = 33,
                        .durability = "periodic"};
    ok(jade_db_create(env, "kept", &c, &db, &err));
    for (int i = 0; i < 2; i++) {
        c = jade_db_config_of(db);
        assert_int_equal(c.dimension, 7);
        assert_string_equal(c.metric, "euclidean");
        assert_string_equal(c.index, "flat");
        assert_int_equal(c.m, 5);
        assert_int_equal(c.ef_construction, 77);
        assert_int_equal(c.ef_search, 33);
        assert_string_equal(c.durability, "periodic");
        reopen("kept");
    }
}

static void defaults_are_those_of_the_header(void **state)
{
    (void)state;
    jade_db_config zero = {.dimension = 3};
    ok(jade_db_create(env, "zero", &zero, &db, &err));
    jade_db_config made = jade_db_config_of(db), said = jade_db_config_default(3);
    assert_int_equal(made.dimension, 3);
    assert_string_equal(made.metric, said.metric);
    assert_string_equal(said.metric, "cosine");
    assert_string_equal(said.index, "hnsw");
    assert_string_equal(made.index, "hnsw");
    assert_int_equal(made.m, 16);
    assert_int_equal(said.m, 16);
    assert_int_equal(said.ef_construction, 200);
    assert_int_equal(said.ef_search, 64);
    assert_string_equal(said.durability, "sync");
    assert_int_equal(strncmp(jade_version(), "0.", 2), 0);
}

static void names_outside_of_the_rule_are_refused(void **state)
{
    static char longest[129], longer[130];
    static const char *const bad[] = {"",   ".",   "..",  "a/b",      "../a", "-a",  "_a",
                                      " a", "a b", "a\n", "\xc3\xa4", NULL,   longer};
    (void)state;
    memset(longest, 'n', 128);
    memset(longer, 'n', 129);
    jade_db_config c = jade_db_config_default(DIM);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        jade_db *none;
        refused(jade_db_create(env, bad[i], &c, &none, &err), JADE_E_INVALID_ARGUMENT, "name");
        refused(jade_db_open(env, bad[i], &none, &err), JADE_E_INVALID_ARGUMENT, "name");
        refused(jade_db_drop(env, bad[i], &err), JADE_E_INVALID_ARGUMENT, "name");
        assert_null(none);
    }
    assert_string_equal(names(), "");
    create(longest, "dot");
    close_db();
    ok(jade_db_drop(env, longest, &err));
}

static void configurations_out_of_range_are_refused(void **state)
{
    static const struct {
        jade_db_config config;
        const char *field;
    } table[] = {{{.dimension = 0}, "dimension"},
                 {{.dimension = 16385}, "dimension"},
                 {{.dimension = 4, .metric = "manhattan"}, "metric"},
                 {{.dimension = 4, .metric = ""}, "metric"},
                 {{.dimension = 4, .index = "ivf"}, "index"},
                 {{.dimension = 4, .m = 1}, "m"},
                 {{.dimension = 4, .m = 129}, "m"},
                 {{.dimension = 4, .ef_construction = 10001}, "ef_construction"},
                 {{.dimension = 4, .ef_search = 100001}, "ef_search"},
                 {{.dimension = 4, .durability = "never"}, "durability"}};
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        memset(&err, 0, sizeof err);
        jade_code rc = jade_db_create(env, "bad", &table[i].config, &db, &err);
        if (rc == JADE_OK || strcmp(err.field, table[i].field) != 0) {
            fail_msg("%zu: %s '%s' %s", i, jade_code_name(rc), err.field, err.message);
        }
        assert_null(db);
    }
    assert_string_equal(names(), "");
}

static void existing_and_missing_databases_are_told_apart(void **state)
{
    jade_db *other;
    jade_db_config c = jade_db_config_default(DIM);
    (void)state;
    refused(jade_db_open(env, "none", &other, &err), JADE_E_NOT_FOUND, "name");
    refused(jade_db_drop(env, "none", &err), JADE_E_NOT_FOUND, "name");
    create("one", "dot");
    put("a", 1, NULL);
    refused(jade_db_create(env, "one", &c, &other, &err), JADE_E_ALREADY_EXISTS, "name");
    assert_int_equal(count(NULL), 1);
}

static void second_environment_on_the_folder_is_locked_out(void **state)
{
    jade_env *second;
    (void)state;
    assert_int_equal(open_env(&second), JADE_E_LOCKED);
    assert_null(second);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) { /* and in another process */
        jade_error e = {0};
        _exit(jade_env_open(folder, NULL, &second, &e) == JADE_E_LOCKED ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    create("still", "dot");
}

static void folders_that_cannot_be_are_refused(void **state)
{
    jade_env *none;
    char path[JADE_PATH_MAX];
    (void)state;
    refused(jade_env_open(NULL, NULL, &none, &err), JADE_E_INVALID_ARGUMENT, "folder");
    refused(jade_env_open("", NULL, &none, &err), JADE_E_INVALID_ARGUMENT, "folder");
    path_of(path, "file");
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(jade_env_open(path, NULL, &none, &err) < 0, 1);
    assert_null(none);
    path_of(path, "deep/er/folder");
    ok(jade_env_open(path, NULL, &none, &err));
    ok(jade_env_close(none, &err));
    ok(jade_env_close(NULL, &err));
    ok(jade_db_close(NULL, &err));
}

static void open_database_is_not_opened_or_dropped(void **state)
{
    jade_db *second;
    (void)state;
    create("one", "dot");
    put("a", 1, NULL);
    assert_int_equal(jade_db_open(env, "one", &second, &err), JADE_E_LOCKED);
    assert_null(second);
    assert_int_equal(jade_db_drop(env, "one", &err), JADE_E_LOCKED);
    assert_int_equal(count(NULL), 1);
    put("b", 2, NULL);
    close_db();
    ok(jade_db_drop(env, "one", &err));
    assert_string_equal(names(), "");
    create("one", "dot"); /* the name is free, the data is gone */
    assert_int_equal(count(NULL), 0);
}

static void unfinished_creation_is_no_database(void **state)
{
    char path[JADE_PATH_MAX];
    jade_db *none;
    (void)state;
    create("one", "dot");
    put("a", 1, NULL);
    close_db();
    path_of(path, "one/config.json"); /* published last: as if the power had gone before */
    assert_int_equal(unlink(path), 0);
    assert_string_equal(names(), "");
    refused(jade_db_open(env, "one", &none, &err), JADE_E_NOT_FOUND, "name");
    refused(jade_db_drop(env, "one", &err), JADE_E_NOT_FOUND, "name");
    create("one", "cosine");
    assert_int_equal(count(NULL), 0);
    path_of(path, "empty");
    assert_int_equal(mkdir(path, 0700), 0);
    assert_string_equal(names(), "one ");
}

static void interrupted_drop_is_finished_by_the_next(void **state)
{
    char path[JADE_PATH_MAX];
    (void)state;
    create("one", "dot");
    put("a", 1, NULL);
    close_db();
    path_of(path, "one/0/LOCK"); /* removal of the tree may have begun with any file */
    assert_int_equal(unlink(path), 0);
    path_of(path, "one/config.json");
    assert_int_equal(unlink(path), 0);
    create("one", "dot");
    assert_int_equal(count(NULL), 0);
}

static void damaged_configuration_is_refused_with_its_path(void **state)
{
    static const struct {
        const char *text;
        jade_code code;
    } table[] = {
        {"", JADE_E_CORRUPT},
        {"{", JADE_E_CORRUPT},
        {"[]", JADE_E_CORRUPT},
        {"{\"dimension\":4}", JADE_E_CORRUPT},
        {"{\"version\":2}", JADE_E_VERSION},
        {"{\"version\":1}", JADE_E_CORRUPT},
        {"{\"version\":1,\"dimension\":-4,\"metric\":\"dot\",\"index\":\"hnsw\",\"M\":16,"
         "\"efConstruction\":200,\"efSearch\":64,\"durability\":\"sync\"}",
         JADE_E_CORRUPT},
        {"{\"version\":1,\"dimension\":4,\"metric\":\"dot\",\"index\":\"hnsw\",\"efConstruction\":"
         "200,\"efSearch\":64,\"durability\":\"sync\"}",
         JADE_E_CORRUPT}, /* M is missing: a default would not be what was created */
    };
    char path[JADE_PATH_MAX];
    jade_db *none;
    (void)state;
    create("one", "dot");
    close_db();
    path_of(path, "one/config.json");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        assert_true(fputs(table[i].text, f) >= 0);
        assert_int_equal(fclose(f), 0);
        memset(&err, 0, sizeof err);
        jade_code rc = jade_db_open(env, "one", &none, &err);
        if (rc != table[i].code || !strstr(err.message, "config.json")) {
            fail_msg("%s: %s %s", table[i].text, jade_code_name(rc), err.message);
        }
        assert_null(none);
    }
}

/* ---- writes ---- */

static void ids_are_generated_where_none_is_given(void **state)
{
    static const float v[DIM] = {1, 2, 3, 4};
    const jade_record records[] = {
        {.values = v}, {.id = "mine", .values = v}, {.values = v, .metadata = "{\"n\":1}"}};
    jade_written w[3];
    jade_results *r;
    (void)state;
    create("ids", "dot");
    ok(jade_db_upsert(db, records, 3, NULL, w, &err));
    assert_int_equal(strncmp(w[0].id, "vec_", 4), 0);
    assert_int_equal(strlen(w[0].id), 36);
    assert_string_equal(w[1].id, "");
    assert_string_not_equal(w[0].id, w[2].id);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(w[i].version, 1);
        assert_int_equal(w[i].created, 1);
    }
    ok(jade_db_get(db, w[2].id, JADE_INCLUDE_METADATA, &r, &err));
    assert_string_equal(jade_results_at(r, 0)->metadata, "{\"n\":1}");
    jade_results_free(r);
    ok(jade_db_upsert(db, &records[1], 1, NULL, w, &err));
    assert_int_equal(w[0].version, 2);
    assert_int_equal(w[0].created, 0);
    assert_int_equal(count(NULL), 3);
}

static void batch_with_one_bad_record_changes_nothing(void **state)
{
    static const float v[DIM] = {1, 0, 0, 0}, nan_v[DIM] = {1, NAN, 0, 0}, inf_v[DIM] = {INFINITY};
    static const float zero[DIM] = {0};
    static char long_id[514];
    memset(long_id, 'i', 513);
    const struct {
        jade_record bad;
        const char *field;
    } table[] = {{{.id = "x"}, "values"},
                 {{.id = "x", .values = nan_v}, "values"},
                 {{.id = "x", .values = inf_v}, "values"},
                 {{.id = "x", .values = zero}, "values"}, /* a zero vector has no direction */
                 {{.id = "", .values = v}, "id"},
                 {{.id = long_id, .values = v}, "id"},
                 {{.id = "\xff", .values = v}, "id"},
                 {{.id = "x", .values = v, .metadata = "[1]"}, "metadata"},
                 {{.id = "x", .values = v, .metadata = "{"}, "metadata"},
                 {{.id = "old", .values = v}, "id"}}; /* twice in one batch */
    (void)state;
    create("atomic", "cosine");
    put("old", 5, "{\"v\":1}");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const jade_record batch[] = {{.id = "old", .values = v, .metadata = "{\"v\":2}"},
                                     {.id = "new", .values = v},
                                     table[i].bad};
        memset(&err, 0, sizeof err);
        jade_code rc = jade_db_upsert(db, batch, 3, NULL, NULL, &err);
        if (rc == JADE_OK || !strstr(err.field, table[i].field)) {
            fail_msg("%zu: %s '%s' %s", i, jade_code_name(rc), err.field, err.message);
        }
        assert_int_equal(count(NULL), 1);
        assert_int_equal(count("{\"v\":1}"), 1);
    }
    refused(jade_db_upsert(db, NULL, 0, NULL, NULL, &err), JADE_E_INVALID_ARGUMENT, "n");
    refused(jade_db_upsert(db, NULL, 100001, NULL, NULL, &err), JADE_E_INVALID_ARGUMENT, "n");
    reopen("atomic");
    assert_int_equal(count(NULL), 1);
    assert_int_equal(count("{\"v\":1}"), 1);
}

static void modes_refuse_the_whole_batch(void **state)
{
    static const float v[DIM] = {1, 0, 0, 0};
    const jade_record batch[] = {{.id = "new", .values = v}, {.id = "old", .values = v}};
    const jade_write_options insert = {.insert_only = 1}, update = {.update_only = 1};
    jade_written w[2];
    (void)state;
    create("modes", "dot");
    put("old", 5, NULL);
    assert_int_equal(jade_db_upsert(db, batch, 2, &insert, NULL, &err), JADE_E_ALREADY_EXISTS);
    assert_int_equal(jade_db_upsert(db, batch, 2, &update, NULL, &err), JADE_E_NOT_FOUND);
    assert_int_equal(count(NULL), 1);
    ok(jade_db_upsert(db, &batch[0], 1, &insert, w, &err));
    assert_int_equal(w[0].created, 1);
    ok(jade_db_upsert(db, batch, 2, &update, w, &err));
    assert_int_equal(w[0].version, 2);
    assert_int_equal(w[1].version, 2);
    refused(jade_db_upsert(db, batch, 2, &(jade_write_options){.insert_only = 1, .update_only = 1},
                           NULL, &err),
            JADE_E_INVALID_ARGUMENT, "insert_only");
    refused(jade_db_upsert(db, batch, 2, &(jade_write_options){.durability = "maybe"}, NULL, &err),
            JADE_E_INVALID_ARGUMENT, "durability");
    ok(jade_db_upsert(db, batch, 2, &(jade_write_options){.durability = "async"}, NULL, &err));
}

static void deletes_count_what_was_there(void **state)
{
    const char *const ids[] = {"a", "missing", "b"};
    size_t n = 77;
    jade_results *r;
    (void)state;
    create("del", "dot");
    put("a", 1, NULL);
    put("b", 2, NULL);
    put("c", 3, NULL);
    ok(jade_db_delete(db, ids, 3, &n, &err));
    assert_int_equal(n, 2);
    assert_int_equal(count(NULL), 1);
    ok(jade_db_delete(db, ids, 3, NULL, &err));
    assert_int_equal(jade_db_get(db, "a", 0, &r, &err), JADE_E_NOT_FOUND);
    assert_null(r);
    refused(jade_db_delete(db, ids, 0, &n, &err), JADE_E_INVALID_ARGUMENT, "n");
    assert_int_equal(n, 0);
    const char *const null_id[] = {NULL};
    refused(jade_db_delete(db, null_id, 1, &n, &err), JADE_E_INVALID_ARGUMENT, "ids");
    reopen("del");
    assert_int_equal(count(NULL), 1);
}

/* ---- reads ---- */

static void get_gives_what_was_put(void **state)
{
    static const float v[DIM] = {0.25f, -1, 3, 1e-3f};
    jade_results *r;
    (void)state;
    create("get", "euclidean");
    ok(jade_db_upsert(db,
                      &(jade_record){.id = "\xc3\xa4 id", .values = v, .metadata = "{\"k\":[1]}"},
                      1, NULL, NULL, &err));
    for (int i = 0; i < 2; i++) {
        ok(jade_db_get(db, "\xc3\xa4 id", JADE_INCLUDE_VALUES | JADE_INCLUDE_METADATA, &r, &err));
        assert_int_equal(jade_results_count(r), 1);
        const jade_result *hit = jade_results_at(r, 0);
        assert_string_equal(hit->id, "\xc3\xa4 id");
        assert_memory_equal(hit->values, v, sizeof v);
        assert_string_equal(hit->metadata, "{\"k\":[1]}");
        assert_int_equal(hit->version, 1);
        assert_true(hit->created_us > 1600000000000000 && hit->updated_us == hit->created_us);
        jade_results_free(r);
        ok(jade_db_get(db, "\xc3\xa4 id", 0, &r, &err));
        assert_null(jade_results_at(r, 0)->values);
        assert_null(jade_results_at(r, 0)->metadata);
        jade_results_free(r);
        reopen("get");
    }
    refused(jade_db_get(db, NULL, 0, &r, &err), JADE_E_INVALID_ARGUMENT, "id");
    jade_results_free(NULL);
}

static void search_ranks_filters_and_cuts(void **state)
{
    static const float q[DIM] = {10, 1, 0, 0};
    char id[16], metadata[64];
    jade_results *r;
    (void)state;
    create("search", "euclidean");
    for (int i = 0; i < 20; i++) {
        snprintf(id, sizeof id, "r%02d", i);
        snprintf(metadata, sizeof metadata, "{\"even\":%s,\"n\":%d}", i % 2 ? "false" : "true", i);
        put(id, (float)i, metadata);
    }
    for (int exact = 0; exact < 2; exact++) {
        jade_query query = {.vector = q, .top_k = 3, .exact = exact};
        ok(jade_db_search(db, &query, &r, &err));
        assert_int_equal(jade_results_count(r), 3);
        assert_string_equal(jade_results_at(r, 0)->id, "r10");
        assert_true(jade_results_at(r, 0)->score >= jade_results_at(r, 1)->score);
        assert_true(jade_results_at(r, 0)->distance == 0);
        assert_true(fabs(jade_results_at(r, 1)->distance) <= fabs(jade_results_at(r, 2)->distance));
        double second = jade_results_at(r, 1)->score;
        assert_null(jade_results_at(r, 0)->values);
        jade_results_free(r);

        query.filter = "{\"even\":false}";
        query.include = JADE_INCLUDE_METADATA | JADE_INCLUDE_VALUES;
        query.top_k = 100;
        ok(jade_db_search(db, &query, &r, &err));
        assert_int_equal(jade_results_count(r), 10);
        assert_non_null(strstr(jade_results_at(r, 0)->metadata, "\"even\":false"));
        assert_true(jade_results_at(r, 0)->values[1] == 1);
        jade_results_free(r);

        query.filter = NULL;
        query.has_threshold = 1;
        query.threshold = second; /* its own score is still in */
        ok(jade_db_search(db, &query, &r, &err));
        assert_int_equal(jade_results_count(r), 3);
        jade_results_free(r);
    }
    assert_int_equal(count("{\"n\":{\"$gte\":15}}"), 5);
    assert_int_equal(count(NULL), 20);
}

static void bad_queries_are_refused(void **state)
{
    static const float q[DIM] = {1, 0, 0, 0}, bad[DIM] = {NAN, 0, 0, 0};
    const struct {
        jade_query query;
        jade_code code;
        const char *field;
    } table[] = {
        {{.top_k = 1}, JADE_E_INVALID_ARGUMENT, "vector"},
        {{.vector = bad, .top_k = 1}, JADE_E_INVALID_ARGUMENT, "vector"},
        {{.vector = q, .top_k = 0}, JADE_E_INVALID_ARGUMENT, "top_k"},
        {{.vector = q, .top_k = 10001}, JADE_E_INVALID_ARGUMENT, "top_k"},
        {{.vector = q, .top_k = 1, .ef_search = 100001}, JADE_E_INVALID_ARGUMENT, "ef_search"},
        {{.vector = q, .top_k = 1, .has_threshold = 1, .threshold = NAN},
         JADE_E_INVALID_ARGUMENT,
         "threshold"},
        {{.vector = q, .top_k = 1, .filter = "{\"a\":{\"$near\":1}}"}, JADE_E_INVALID_FILTER, ""},
        {{.vector = q, .top_k = 1, .filter = ""}, JADE_E_INVALID_JSON, ""}};
    jade_results *r;
    (void)state;
    create("bad", "dot");
    put("a", 1, NULL);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        memset(&err, 0, sizeof err);
        jade_code rc = jade_db_search(db, &table[i].query, &r, &err);
        if (rc != table[i].code || !strstr(err.field, table[i].field)) {
            fail_msg("%zu: %s '%s' %s", i, jade_code_name(rc), err.field, err.message);
        }
        assert_null(r);
    }
    uint64_t n = 5;
    assert_int_equal(jade_db_count(db, "{\"a\":{\"$near\":1}}", &n, &err), JADE_E_INVALID_FILTER);
    assert_int_equal(n, 0);
}

/* ---- maintenance ---- */

static void maintenance_keeps_the_records_and_frees_room(void **state)
{
    static float values[MANY][DIM];
    static char ids[MANY][16];
    static const char *list[MANY];
    static jade_record records[MANY];
    jade_db_stats s;
    size_t deleted;
    (void)state;
    for (int i = 0; i < MANY; i++) {
        values[i][0] = (float)i;
        values[i][1] = 1;
        snprintf(ids[i], sizeof ids[i], "r%05d", i);
        list[i] = ids[i];
        records[i] = (jade_record){.id = ids[i], .values = values[i]};
    }
    create("care", "euclidean");
    ok(jade_db_upsert(db, records, MANY, NULL, NULL, &err));
    jade_db_get_stats(db, &s);
    assert_int_equal(s.records, MANY);
    assert_true(s.wal_bytes > MANY * DIM * sizeof(float) && s.memory_bytes > 0);
    ok(jade_db_checkpoint(db, &err));
    jade_db_get_stats(db, &s);
    assert_true(s.segments >= 1 && s.disk_bytes > 0);
    ok(jade_db_wait_indexed(db, 60000000, &err));
    jade_db_get_stats(db, &s);
    assert_int_equal(s.unindexed_rows, 0);
    ok(jade_db_delete(db, list, MANY / 2, &deleted, &err));
    assert_int_equal(deleted, MANY / 2);
    jade_db_get_stats(db, &s);
    assert_int_equal(s.records, MANY / 2);
    assert_int_equal(s.deleted_rows, MANY / 2);
    ok(jade_db_compact(db, &err));
    jade_db_get_stats(db, &s);
    assert_int_equal(s.records, MANY / 2);
    assert_int_equal(s.deleted_rows, 0);
    for (int i = 0; i < 2; i++) {
        jade_results *r;
        ok(jade_db_search(db, &(jade_query){.vector = values[3], .top_k = 1}, &r, &err));
        assert_string_equal(jade_results_at(r, 0)->id,
                            ids[MANY / 2]); /* the nearest that is left */
        jade_results_free(r);
        reopen("care");
    }
}

/* ---- memory ---- */

static void failing_allocations_change_nothing(void **state)
{
    static const float v[DIM] = {1, 2, 3, 4};
    const jade_record record = {.id = "a", .values = v, .metadata = "{\"k\":1}"};
    const jade_query query = {.vector = v, .top_k = 1, .filter = "{\"k\":1}", .include = 3};
    const jade_db_config config = jade_db_config_default(DIM);
    unsigned failed = 0;
    (void)state;
    for (uint64_t at = 1;; at++) {
        jade_results *r = NULL;
        uint64_t n = 99;
        jade_alloc_fail_at(at);
        jade_code created = jade_db_create(env, "oom", &config, &db, NULL), put_rc = created,
                  rc = created;
        if (created == JADE_OK) {
            put_rc = rc = jade_db_upsert(db, &record, 1, NULL, NULL, NULL);
        }
        if (rc == JADE_OK) {
            rc = jade_db_search(db, &query, &r, NULL);
        }
        bool over = jade_alloc_count() < at;
        jade_alloc_fail_at(0);
        if (rc != JADE_OK && rc != JADE_E_NOMEM) {
            fail_msg("allocation %llu: %s", (unsigned long long)at, jade_code_name(rc));
        }
        failed += rc != JADE_OK;
        if (created != JADE_OK) {
            assert_null(db);
            jade_code again = jade_db_open(env, "oom", &db, &err); /* there or not, never half */
            if (again == JADE_E_NOT_FOUND) {
                again = jade_db_create(env, "oom", &config, &db, &err);
            }
            ok(again);
        }
        ok(jade_db_count(db, NULL, &n, &err));
        assert_int_equal(n, put_rc == JADE_OK);
        assert_int_equal(rc == JADE_OK ? jade_results_count(r) : 1, 1);
        jade_results_free(r);
        close_db();
        ok(jade_db_drop(env, "oom", &err));
        if (over) {
            break;
        }
    }
    print_message("allocations that failed a call: %u\n", failed);
    assert_true(failed > 20);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(databases_are_listed_in_order_of_names),
        CASE(configuration_is_kept_over_reopening),
        CASE(defaults_are_those_of_the_header),
        CASE(names_outside_of_the_rule_are_refused),
        CASE(configurations_out_of_range_are_refused),
        CASE(existing_and_missing_databases_are_told_apart),
        CASE(second_environment_on_the_folder_is_locked_out),
        CASE(folders_that_cannot_be_are_refused),
        CASE(open_database_is_not_opened_or_dropped),
        CASE(unfinished_creation_is_no_database),
        CASE(interrupted_drop_is_finished_by_the_next),
        CASE(damaged_configuration_is_refused_with_its_path),
        CASE(ids_are_generated_where_none_is_given),
        CASE(batch_with_one_bad_record_changes_nothing),
        CASE(modes_refuse_the_whole_batch),
        CASE(deletes_count_what_was_there),
        CASE(get_gives_what_was_put),
        CASE(search_ranks_filters_and_cuts),
        CASE(bad_queries_are_refused),
        CASE(maintenance_keeps_the_records_and_frees_room),
        CASE(failing_allocations_change_nothing),
    };
    return cmocka_run_group_tests_name("local", tests, NULL, NULL);
}
