/*
 * Databases come, change and go: what is refused, what may change, what waits for what.
 */
#include "node_test.h"

#include "node/node_private.h"

static void a_created_database_can_be_found_and_has_its_parts(void **state)
{
    (void)state;
    struct jade_arena arena;
    struct jade_database_spec spec = jade_database_spec_default();
    struct jade_database *db;
    spec.name = "Fin_ance.v-2";
    spec.dimension = 768;
    OK(jade_node_create(node, &spec, &db, &err));
    jade_arena_init(&arena, JADE_TAG_TEST);
    struct jade_database_info info = info_of(db, &arena);
    assert_true(jadei_is_database_id(info.id, strlen(info.id)));
    assert_string_equal(info.name, spec.name);
    assert_string_equal(info.description, "");
    assert_string_equal(info.config_json.p, "{}");
    assert_int_equal(info.metric, JADE_METRIC_COSINE);
    assert_int_equal(info.durability, JADE_DURABILITY_SYNC);
    assert_string_equal(info.model_name, "");
    assert_true(info.revision > 0 && info.created_us > 0);
    assert_int_equal(info.updated_us, info.created_us);
    assert_int_equal(jade_database_dimension(db), 768);
    assert_int_equal(count_all(db), 0);
    struct jade_database *other = NULL;
    REFUSED(jade_node_find(node, "Fin_ance.v-", 11, &other, &err), JADE_E_NOT_FOUND, "databaseId");
    REFUSED(jade_node_find(node, "", 0, &other, &err), JADE_E_NOT_FOUND, "databaseId");
    assert_null(other);
    jade_database_unref(db);
    jade_arena_release(&arena);
}

static void the_list_is_in_the_order_of_names(void **state)
{
    (void)state;
    static const char *const names[] = {"b", "a", "C", "ab", "a.b"};
    static const char *const sorted[] = {"C", "a", "a.b", "ab", "b"};
    struct jade_database **list;
    struct jade_arena arena;
    size_t n;
    jade_arena_init(&arena, JADE_TAG_TEST);
    for (int i = 0; i < 5; i++) {
        jade_database_unref(create(names[i], 2));
    }
    OK(jade_node_list(node, &list, &n, &err));
    assert_int_equal(n, 5);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(info_of(list[i], &arena).name, sorted[i]);
        jade_database_unref(list[i]);
    }
    jade_free(list);
    jade_arena_release(&arena);
}

static void bad_specs_are_refused_by_field_and_leave_nothing(void **state)
{
    (void)state;
    char name[JADE_DB_NAME_MAX + 2], text[JADE_DESCRIPTION_MAX + 2];
    static char config[JADE_CONFIG_BYTES_MAX + 16];
    struct jade_database *db = NULL;
    struct jade_database_spec good = spec_of("x", 4), s;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    memset(text, 't', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    const char *const names[] = {
        "",    name,     ".a",          "-a",  "_a",
        "a b", "a/../b", "caf\xc3\xa9", "a\n", "db_01fwhe4ydgfk1shh6w1g60eecf"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        s = good;
        s.name = names[i];
        REFUSED(jade_node_create(node, &s, &db, &err), JADE_E_INVALID_ARGUMENT, "name");
    }
#define WITH(change, code, field)                                    \
    do {                                                             \
        s = good;                                                    \
        change;                                                      \
        REFUSED(jade_node_create(node, &s, &db, &err), code, field); \
        assert_null(db);                                             \
    } while (0)
    WITH(s.description = text, JADE_E_INVALID_ARGUMENT, "description");
    WITH(s.description = "\xff", JADE_E_INVALID_ARGUMENT, "description");
    WITH(s.dimension = 0, JADE_E_INVALID_ARGUMENT, "vectorDimension");
    WITH(s.dimension = JADE_DIM_MAX + 1, JADE_E_INVALID_ARGUMENT, "vectorDimension");
    WITH(s.metric = (enum jade_metric)7, JADE_E_INVALID_ARGUMENT, "metric");
    WITH(s.index.m = 1, JADE_E_INVALID_ARGUMENT, "indexParameters.M");
    WITH(s.index.ef_construction = 0, JADE_E_INVALID_ARGUMENT, "indexParameters.efConstruction");
    WITH(s.index.ef_search = JADE_EF_MAX + 1, JADE_E_INVALID_ARGUMENT, "indexParameters.efSearch");
    WITH(s.durability = (enum jade_durability)9, JADE_E_INVALID_ARGUMENT, "durability");
    WITH(s.model_name = "BERT", JADE_E_NOT_SUPPORTED_YET, "embeddingModels");
    WITH(s.model_version = "u1", JADE_E_INVALID_ARGUMENT, "embeddingModels");
    WITH(s.model_name = text, JADE_E_INVALID_ARGUMENT, "embeddingModels");
    WITH(s.model_name = JADE_EMBED_HASH_384, JADE_E_UNPROCESSABLE, "vectorDimension");
    WITH((s.config_json = (struct jade_str){"[1]", 3}), JADE_E_INVALID_ARGUMENT, "config");
    WITH((s.config_json = (struct jade_str){"{", 1}), JADE_E_INVALID_JSON, "config");
    WITH((s.config_json = (struct jade_str){"{\"a\":1,\"a\":2}", 13}), JADE_E_INVALID_ARGUMENT,
         "config");
    memset(config, ' ', sizeof config);
    WITH((s.config_json = (struct jade_str){config, sizeof config}), JADE_E_TOO_LARGE, "config");
    assert_int_equal(database_folders(), 0);

    s = good; /* the model gives the dimension */
    s.dimension = 0;
    s.model_name = JADE_EMBED_HASH_384;
    OK(jade_node_create(node, &s, &db, &err));
    assert_int_equal(jade_database_dimension(db), 384);
    jade_database_unref(db);
}

static void a_name_is_taken_once_until_its_database_is_deleted(void **state)
{
    (void)state;
    struct jade_database_spec spec = spec_of("one", 2);
    struct jade_database *db = create("one", 2), *again = NULL;
    char id[JADE_DATABASE_ID_SIZE];
    put_one(db, "a", 1);
    memcpy(id, jade_database_id(db), sizeof id);
    REFUSED(jade_node_create(node, &spec, &again, &err), JADE_E_ALREADY_EXISTS, "name");
    assert_int_equal(database_folders(), 1);
    OK(jade_node_delete(node, db, &err));
    assert_int_equal(database_folders(), 0);
    uint64_t n;
    REFUSED(jade_node_delete(node, db, &err), JADE_E_NOT_FOUND, "databaseId");
    REFUSED(jade_database_count(db, NULL, &n, &err), JADE_E_NOT_FOUND, "databaseId");
    REFUSED(jade_node_find(node, id, strlen(id), &again, &err), JADE_E_NOT_FOUND, "databaseId");
    struct jade_database_update update;
    REFUSED(jade_database_update(db, &spec, 0, &update, &err), JADE_E_NOT_FOUND, "databaseId");
    struct jade_job job;
    REFUSED(jade_database_start_job(db, JADE_JOB_REBUILD, &job, &err), JADE_E_NOT_FOUND,
            "databaseId");
    struct jade_arena arena;
    jade_arena_init(&arena, JADE_TAG_TEST);
    assert_int_equal(info_of(db, &arena).state, JADE_DATABASE_DELETED);
    jade_arena_release(&arena);
    jade_database_unref(db);
    again = create("one", 3);
    assert_string_not_equal(jade_database_id(again), id);
    assert_int_equal(count_all(again), 0);
    jade_database_unref(again);
}

static void an_update_changes_what_needs_no_rebuild_at_once(void **state)
{
    (void)state;
    struct jade_arena arena;
    struct jade_database_update update;
    struct jade_database *db = create("one", 2);
    struct jade_database_spec spec = spec_of("one", 0);
    jade_arena_init(&arena, JADE_TAG_TEST);
    struct jade_database_info before = info_of(db, &arena);
    OK(jade_database_update(db, &spec, 0, &update, &err));
    assert_false(update.changed);
    assert_int_equal(update.revision, before.revision);
    spec.description = "new";
    spec.index.ef_search = 200;
    spec.durability = JADE_DURABILITY_ASYNC;
    spec.config_json = (struct jade_str){"{\"retentionPolicy\":{\"maxAgeDays\":3}}", 36};
    REFUSED(jade_database_update(db, &spec, before.revision + 1, &update, &err), JADE_E_CONFLICT,
            "");
    OK(jade_database_update(db, &spec, before.revision, &update, &err));
    assert_true(update.changed && update.revision > before.revision);
    assert_string_equal(update.job_id, "");
    for (int i = 0; i < 2; i++) {
        struct jade_database_info info = info_of(db, &arena);
        assert_string_equal(info.description, "new");
        assert_int_equal(info.index.ef_search, 200);
        assert_int_equal(info.durability, JADE_DURABILITY_ASYNC);
        assert_string_equal(info.config_json.p, spec.config_json.p);
        assert_int_equal(info.revision, update.revision);
        assert_int_equal(info.created_us, before.created_us);
        assert_true(info.updated_us >= info.created_us);
        assert_false(info.rebuild_pending);
        jade_database_unref(db);
        node_restart();
        db = find("one");
    }
    jade_database_unref(db);
    jade_arena_release(&arena);
}

static void an_update_refuses_what_cannot_change(void **state)
{
    (void)state;
    struct jade_database_update update;
    struct jade_database_spec spec = spec_of("one", 2), s;
    struct jade_database *db = create("one", 2);
#define CHANGE(change, code, field)                                           \
    do {                                                                      \
        s = spec;                                                             \
        s.description = "must not be stored";                                 \
        change;                                                               \
        REFUSED(jade_database_update(db, &s, 0, &update, &err), code, field); \
    } while (0)
    CHANGE(s.name = "two", JADE_E_UNPROCESSABLE, "name");
    CHANGE(s.dimension = 3, JADE_E_UNPROCESSABLE, "vectorDimension");
    CHANGE(s.metric = JADE_METRIC_DOT, JADE_E_UNPROCESSABLE, "metric");
    CHANGE(s.model_name = JADE_EMBED_HASH_384, JADE_E_UNPROCESSABLE, "vectorDimension");
    CHANGE(s.index.ef_search = 0, JADE_E_INVALID_ARGUMENT, "indexParameters.efSearch");
    struct jade_arena arena;
    jade_arena_init(&arena, JADE_TAG_TEST);
    assert_string_equal(info_of(db, &arena).description, "");
    jade_arena_release(&arena);
    jade_database_unref(db);
}

struct deleter {
    struct jade_thread thread;
    struct jade_database *db;
    atomic_bool done;
    jade_code rc;
};

static void *delete_it(void *arg)
{
    struct deleter *d = arg;
    d->rc = jade_node_delete(node, d->db, NULL);
    atomic_store(&d->done, true);
    return NULL;
}

static void a_delete_waits_for_the_calls_that_run(void **state)
{
    (void)state;
    struct deleter d = {.db = create("one", 2)};
    struct jade_shard *shard;
    struct jade_database *other = NULL;
    put_one(d.db, "a", 1);
    OK(jadei_use_begin(d.db, &shard, &err)); /* a call that does not end yet */
    OK(jade_thread_start(&d.thread, "delete", 0, delete_it, &d, &err));
    while (jade_node_find(node, "one", 3, &other, NULL) == JADE_OK) { /* until its row is gone */
        jade_database_unref(other);
    }
    uint64_t n;
    REFUSED(jade_database_count(d.db, NULL, &n, &err), JADE_E_NOT_FOUND, "databaseId");
    assert_false(atomic_load(&d.done));
    assert_int_equal(jade_shard_count(shard, NULL, JADE_LSN_NONE, &n, NULL), JADE_OK);
    assert_int_equal(n, 1);
    (void)jadei_use_end(d.db, JADE_OK);
    jade_thread_join(&d.thread);
    assert_int_equal(d.rc, JADE_OK);
    assert_int_equal(database_folders(), 0);
    jade_database_unref(d.db);
}

/* Every allocation of a creation fails in turn: the database is there or it is not, and nothing else is. */
static void a_creation_without_memory_leaves_nothing(void **state)
{
    (void)state;
    node_opts.manual = true;
    node_start();
    static const char config[] = "{\"a\":[1,2,3]}";
    struct jade_database_spec spec = spec_of("one", 4);
    spec.description = "text";
    spec.config_json = (struct jade_str){.p = config, .n = sizeof config - 1};
    unsigned failed = 0;
    for (uint64_t at = 1;; at++) {
        struct jade_database *db = NULL;
        jade_alloc_fail_at(at);
        jade_code rc = jade_node_create(node, &spec, &db, NULL);
        bool over = jade_alloc_count() < at;
        jade_alloc_fail_at(0);
        if (rc == JADE_OK) {
            assert_int_equal(count_all(db), 0);
            OK(jade_node_delete(node, db, &err));
            jade_database_unref(db);
        } else {
            assert_int_equal(rc, JADE_E_NOMEM);
            assert_null(db);
            failed++;
        }
        if (database_folders() != 0) { /* what could not be undone is swept at the next start */
            node_restart();
        }
        assert_int_equal(database_folders(), 0);
        if (over) {
            break;
        }
    }
    print_message("%u allocations failed in turn\n", failed);
    assert_true(failed > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(a_created_database_can_be_found_and_has_its_parts),
        NODE_TEST(the_list_is_in_the_order_of_names),
        NODE_TEST(bad_specs_are_refused_by_field_and_leave_nothing),
        NODE_TEST(a_name_is_taken_once_until_its_database_is_deleted),
        NODE_TEST(an_update_changes_what_needs_no_rebuild_at_once),
        NODE_TEST(an_update_refuses_what_cannot_change),
        NODE_TEST(a_delete_waits_for_the_calls_that_run),
        FOLDER_TEST(a_creation_without_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
