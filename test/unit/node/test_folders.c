/*
 * Creation and deletion are killed, and fail, at every step: at the next start each database is whole or gone, and no folder is left over.
 *
 * The child process runs on an os that ends the process before its n-th change of a folder, over a catalog that ends it before or after its n-th
 * change: together these are all the steps, since a new shard counts only through names and rows.
 */
#include "node_test.h"

#include <sys/wait.h>
#include <unistd.h>

enum { KILLED = 9 };

/* ---- an os and a catalog that stop ---- */

static int steps_left = -1; /* -1 = never stops */

static void step(void)
{
    if (steps_left >= 0 && steps_left-- == 0) {
        _exit(KILLED);
    }
}

static const struct jade_os_ops *real;
static struct jade_os_ops stopping_ops;
static struct jade_os stopping_os = {.ops = &stopping_ops};

static jade_code stop_open(struct jade_os *os, const char *path, enum jade_open_mode mode,
                           struct jade_file **out, struct jade_err *e)
{
    if (mode == JADE_OPEN_CREATE) {
        step();
    }
    return real->open(os, path, mode, out, e);
}

static jade_code stop_rename(struct jade_os *os, const char *from, const char *to,
                             struct jade_err *e)
{
    step();
    return real->rename(os, from, to, e);
}

static jade_code stop_unlink(struct jade_os *os, const char *path, struct jade_err *e)
{
    step();
    return real->unlink(os, path, e);
}

static jade_code stop_mkdir(struct jade_os *os, const char *path, struct jade_err *e)
{
    step();
    return real->mkdir(os, path, e);
}

static jade_code stop_rmdir(struct jade_os *os, const char *path, struct jade_err *e)
{
    step();
    return real->rmdir(os, path, e);
}

static struct jade_os *make_stopping_os(void)
{
    real = jade_os_posix()->ops;
    stopping_ops = *real;
    stopping_ops.open = stop_open;
    stopping_ops.rename = stop_rename;
    stopping_ops.unlink = stop_unlink;
    stopping_ops.mkdir = stop_mkdir;
    stopping_ops.rmdir = stop_rmdir;
    return &stopping_os;
}

struct wrapped {
    struct jade_catalog base;
    struct jade_catalog *inner;
    jade_code fail; /* of the next put of a database, instead of or (after) doing it */
    bool after;
};
static struct wrapped wrapped;

static jade_code wrap_get(struct jade_catalog *c, const char *key, struct jade_buf *value_out,
                          uint64_t *revision_out, struct jade_err *e)
{
    (void)c;
    return wrapped.inner->ops->get(wrapped.inner, key, value_out, revision_out, e);
}

static jade_code wrap_list(struct jade_catalog *c, const char *prefix, jade_catalog_fn fn,
                           void *ctx, struct jade_err *e)
{
    (void)c;
    return wrapped.inner->ops->list(wrapped.inner, prefix, fn, ctx, e);
}

static jade_code wrap_put(struct jade_catalog *c, const char *key, uint64_t expected,
                          const void *value, size_t n, uint64_t *revision_out, struct jade_err *e)
{
    (void)c;
    step();
    jade_code fail = wrapped.fail;
    wrapped.fail = JADE_OK;
    if (fail == JADE_OK || wrapped.after) {
        jade_code rc =
            wrapped.inner->ops->put(wrapped.inner, key, expected, value, n, revision_out, e);
        if (rc != JADE_OK) {
            return rc;
        }
    }
    step();
    return fail == JADE_OK ? JADE_OK : jade_fail(e, fail, "injected");
}

static jade_code wrap_delete(struct jade_catalog *c, const char *key, uint64_t expected,
                             struct jade_err *e)
{
    (void)c;
    step();
    jade_code fail = wrapped.fail;
    wrapped.fail = JADE_OK;
    jade_code rc = fail == JADE_OK || wrapped.after
                       ? wrapped.inner->ops->delete_(wrapped.inner, key, expected, e)
                       : JADE_OK;
    step();
    return fail == JADE_OK ? rc : jade_fail(e, fail, "injected");
}

static void wrap_close(struct jade_catalog *c)
{
    (void)c;
}

static const struct jade_catalog_ops WRAPPED = {.name = "wrapped",
                                                .get = wrap_get,
                                                .list = wrap_list,
                                                .put = wrap_put,
                                                .delete_ = wrap_delete,
                                                .close = wrap_close};

/** A node over the wrapped catalog of the folder. */
static void start_wrapped(struct jade_os *os)
{
    char path[JADE_PATH_MAX];
    OK(jade_path_join(path, folder, "catalog.db", &err));
    OK(jade_catalog_open_sqlite(path, &wrapped.inner, NULL, &err));
    wrapped.base.ops = &WRAPPED;
    node_opts.catalog = &wrapped.base;
    node_opts.os = os;
    node_opts.manual = true;
    node_start();
}

static void end_wrapped(void)
{
    node_end();
    jade_catalog_close(wrapped.inner);
    node_opts.catalog = NULL;
    node_opts.os = jade_os_posix();
}

/* ---- killed at every step ---- */

/** In the child: creates "made" and deletes "doomed", to be killed before step n; says how it ended by its exit code. */
static void child_work(int n)
{
    struct jade_database_spec spec = spec_of("made", 3);
    struct jade_database *made = NULL, *doomed = NULL;
    start_wrapped(make_stopping_os());
    steps_left = n;
    if (jade_node_create(node, &spec, &made, NULL) != JADE_OK ||
        jade_node_find(node, "doomed", 6, &doomed, NULL) != JADE_OK ||
        jade_node_delete(node, doomed, NULL) != JADE_OK) {
        _exit(1);
    }
    _exit(0);
}

/** Each of the two is whole or gone; "keep" is whole; every folder belongs to one of them. Removes "made", and leaves "doomed" there. */
static void expect_whole(void)
{
    struct jade_node_status status;
    struct jade_database *db = NULL;
    node_start();
    db = find("keep");
    assert_true(get_one(db, "a") == 1.0f);
    jade_database_unref(db);
    if (jade_node_find(node, "made", 4, &db, NULL) == JADE_OK) {
        assert_int_equal(count_all(db), 0);
        put_one(db, "b", 2);
        assert_true(get_one(db, "b") == 2.0f);
        OK(jade_node_delete(node, db, &err));
        jade_database_unref(db);
    }
    if (jade_node_find(node, "doomed", 6, &db, NULL) == JADE_OK) {
        assert_true(get_one(db, "a") == 5.0f);
    } else {
        db = create("doomed", 2);
        put_one(db, "a", 5);
    }
    jade_database_unref(db);
    jade_node_status(node, &status);
    assert_int_equal(status.n_databases, 2);
    assert_int_equal(database_folders(), 2);
    assert_int_equal(status.n_orphans, 0);
    assert_int_equal(status.n_damaged, 0);
    node_end();
}

static void a_kill_at_any_step_leaves_databases_whole_or_gone(void **state)
{
    (void)state;
    struct jade_database *db;
    node_start();
    db = create("keep", 2);
    put_one(db, "a", 1);
    jade_database_unref(db);
    node_end();
    int n = 0, status = 0;
    for (expect_whole();; n++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            child_work(n);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        expect_whole();
        if (WEXITSTATUS(status) == 0) {
            break;
        }
        assert_int_equal(WEXITSTATUS(status), KILLED);
    }
    print_message("killed at %d steps\n", n);
    assert_true(n > 20);
}

/* ---- the catalog fails ---- */

static void a_creation_whose_row_is_refused_leaves_nothing(void **state)
{
    (void)state;
    struct jade_database_spec spec = spec_of("one", 2);
    struct jade_database *db = NULL;
    start_wrapped(jade_os_posix());
    wrapped.fail = JADE_E_NOSPACE;
    wrapped.after = false;
    REFUSED(jade_node_create(node, &spec, &db, &err), JADE_E_NOSPACE, "");
    assert_null(db);
    assert_int_equal(database_folders(), 0);
    jade_database_unref(create("one", 2));
    end_wrapped();
}

/* After JADE_E_IO nobody knows whether the row is there: the files stay until the next start has looked. */
static void a_creation_of_unknown_outcome_is_decided_by_the_next_start(void **state)
{
    (void)state;
    struct jade_database_spec spec = spec_of("one", 2);
    struct jade_database *db = NULL;
    for (int stored = 0; stored < 2; stored++) {
        start_wrapped(jade_os_posix());
        wrapped.fail = JADE_E_IO;
        wrapped.after = stored;
        REFUSED(jade_node_create(node, &spec, &db, &err), JADE_E_IO, "");
        assert_int_equal(database_folders(), 1);
        end_wrapped();
        node_opts.manual = false;
        node_start();
        if (stored) {
            db = find("one");
            put_one(db, "a", 1);
            jade_database_unref(db);
        } else {
            REFUSED(jade_node_find(node, "one", 3, &db, &err), JADE_E_NOT_FOUND, "databaseId");
        }
        assert_int_equal(database_folders(), (unsigned)stored);
        node_end();
    }
}

static void a_deletion_that_the_catalog_refuses_keeps_the_database(void **state)
{
    (void)state;
    start_wrapped(jade_os_posix());
    struct jade_database *db = create("one", 2);
    put_one(db, "a", 1);
    for (int i = 0; i < 2; i++) { /* the second time the folder is marked already */
        wrapped.fail = JADE_E_NOSPACE;
        wrapped.after = false;
        REFUSED(jade_node_delete(node, db, &err), JADE_E_NOSPACE, "");
        assert_true(get_one(db, "a") == 1.0f);
    }
    jade_database_unref(db);
    end_wrapped();
    node_opts.manual = false;
    node_start();
    db = find("one");
    assert_true(get_one(db, "a") == 1.0f);
    OK(jade_node_delete(node, db, &err));
    jade_database_unref(db);
    assert_int_equal(database_folders(), 0);
}

/* Every allocation of opening a node over a few databases fails in turn: it does not open, and the next time it does. */
static void an_opening_without_memory_leaves_everything_as_it_was(void **state)
{
    (void)state;
    struct jade_database *db;
    unsigned failed = 0;
    start_wrapped(jade_os_posix());
    db = create("one", 2);
    put_one(db, "a", 1);
    jade_database_unref(db);
    jade_database_unref(create("two", 2));
    node_end();
    for (uint64_t at = 1;; at++) {
        jade_alloc_fail_at(at);
        jade_code rc = jade_node_open(&node_opts, &node, NULL);
        bool over = jade_alloc_count() < at;
        jade_alloc_fail_at(0);
        if (rc != JADE_OK) {
            assert_int_equal(rc, JADE_E_NOMEM);
            assert_null(node);
            failed++;
            node_start();
        }
        db = find("one");
        assert_true(get_one(db, "a") == 1.0f);
        jade_database_unref(db);
        node_end();
        if (over) {
            break;
        }
    }
    print_message("%u allocations failed in turn\n", failed);
    assert_true(failed > 20);
    node_start();
    end_wrapped();
}

static void a_row_that_is_no_description_stops_the_opening(void **state)
{
    (void)state;
    static const struct {
        const char *row;
        jade_code code;
    } cases[] = {{"{}", JADE_E_CORRUPT},
                 {"x", JADE_E_CORRUPT},
                 {"{\"formatVersion\":2}", JADE_E_VERSION},
                 {"{\"formatVersion\":1,\"id\":\"db_x\"}", JADE_E_CORRUPT}};
    struct jade_catalog *c;
    char path[JADE_PATH_MAX];
    OK(jade_path_join(path, folder, "catalog.db", &err));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        OK(jade_catalog_open_sqlite(path, &c, NULL, &err));
        OK(jade_catalog_put(c, "database/one", cases[i].row, strlen(cases[i].row), NULL, &err));
        jade_catalog_close(c);
        assert_int_equal(jade_node_open(&node_opts, &node, &err), cases[i].code);
        assert_non_null(strstr(err.message, "database/one"));
        assert_null(node);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(a_kill_at_any_step_leaves_databases_whole_or_gone),
        FOLDER_TEST(a_creation_whose_row_is_refused_leaves_nothing),
        FOLDER_TEST(a_creation_of_unknown_outcome_is_decided_by_the_next_start),
        FOLDER_TEST(a_deletion_that_the_catalog_refuses_keeps_the_database),
        FOLDER_TEST(an_opening_without_memory_leaves_everything_as_it_was),
        FOLDER_TEST(a_row_that_is_no_description_stops_the_opening),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
