/*
 * The SQLite catalog: the contract of all catalogs, and what is its own: files, damage, failing memory, kill -9.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include "contract.h"
#include "support/temp_folder.h"

static char folder[JADE_PATH_MAX];
static char path[JADE_PATH_MAX];

static struct jade_catalog *open_path(bool *created)
{
    struct jade_catalog *c = NULL;
    struct jade_err err = {0};
    if (jade_catalog_open_sqlite(path, &c, created, &err) != JADE_OK) {
        fail_msg("%s", err.message);
    }
    return c;
}

static struct jade_catalog *contract_open(void)
{
    bool created = false;
    temp_folder_make(folder);
    assert_int_equal(jade_path_join(path, folder, "catalog.db", NULL), JADE_OK);
    struct jade_catalog *c = open_path(&created);
    assert_true(created);
    return c;
}

static struct jade_catalog *contract_reopen(struct jade_catalog *c)
{
    bool created = true;
    jade_catalog_close(c);
    c = open_path(&created);
    assert_false(created);
    return c;
}

static void contract_drop(struct jade_catalog *c)
{
    jade_catalog_close(c);
    temp_folder_remove(folder);
}

static void expect_refused(jade_code code)
{
    struct jade_catalog *c = (void *)1;
    struct jade_err err = {0};
    assert_int_equal(jade_catalog_open_sqlite(path, &c, NULL, &err), code);
    assert_null(c);
    assert_non_null(strstr(err.message, "catalog.db"));
}

/** Runs SQL on the closed catalog, past our code. */
static void alter(const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void a_changed_value_fails_its_checksum(void **state)
{
    (void)state;
    struct jade_catalog *c = contract_open();
    put_text(c, "k", "value", NULL);
    struct jade_buf buf;
    jade_buf_init(&buf, JADE_TAG_TEST);
    alter("UPDATE item SET value = x'76616c7566'");
    assert_int_equal(jade_catalog_get(c, "k", &buf, NULL, NULL), JADE_E_CORRUPT);
    assert_int_equal(buf.len, 0);
    jade_buf_release(&buf);
    jade_catalog_close(c);
    expect_refused(JADE_E_CORRUPT);
    temp_folder_remove(folder);
}

static void a_file_that_is_no_catalog_is_refused_and_left_alone(void **state)
{
    (void)state;
    temp_folder_make(folder);
    assert_int_equal(jade_path_join(path, folder, "catalog.db", NULL), JADE_OK);
    static const char text[] =
        "this is a letter, not a database, and it is longer than a header of "
        "one hundred bytes, so that nobody takes it for an empty file.";
    struct jade_os *os = jade_os_posix();
    assert_int_equal(jade_os_replace(os, path, text, sizeof text, NULL), JADE_OK);
    expect_refused(JADE_E_CORRUPT);
    uint8_t *data;
    size_t n;
    assert_int_equal(jade_os_read_file(os, path, 4096, &data, &n, NULL), JADE_OK);
    assert_int_equal(n, sizeof text);
    assert_memory_equal(data, text, n);
    jade_free(data);

    assert_int_equal(jade_os_unlink(os, path, NULL), JADE_OK);
    alter("CREATE TABLE someone_elses(x)");
    expect_refused(JADE_E_CORRUPT);
    temp_folder_remove(folder);
}

static void a_newer_schema_is_refused(void **state)
{
    (void)state;
    jade_catalog_close(contract_open());
    alter("PRAGMA user_version = 2");
    expect_refused(JADE_E_VERSION);
    temp_folder_remove(folder);
}

/** Each page of a file with many items is overwritten in turn: never a wrong value, never a crash. */
static void damage_to_any_page_is_found(void **state)
{
    (void)state;
    struct jade_catalog *c = contract_open();
    for (int i = 0; i < 60; i++) {
        char key[32], value[600];
        snprintf(key, sizeof key, "item/%d", i);
        memset(value, 'a' + i % 26, sizeof value);
        assert_int_equal(jade_catalog_put(c, key, value, sizeof value, NULL, NULL), JADE_OK);
    }
    jade_catalog_close(c);
    struct jade_os *os = jade_os_posix();
    uint8_t *good;
    size_t n;
    assert_int_equal(jade_os_read_file(os, path, 1 << 24, &good, &n, NULL), JADE_OK);
    assert_true(n >= 8 * 4096);
    for (size_t page = 0; page < n / 4096; page++) {
        uint8_t *bad = jade_alloc(JADE_TAG_TEST, n);
        memcpy(bad, good, n);
        memset(bad + page * 4096 + 8, 0xA5, 2000);
        assert_int_equal(jade_os_replace(os, path, bad, n, NULL), JADE_OK);
        jade_free(bad);
        expect_refused(JADE_E_CORRUPT);
    }
    assert_int_equal(jade_os_replace(os, path, good, n, NULL), JADE_OK);
    jade_free(good);
    c = open_path(NULL);
    contract_drop(c);
}

static void a_folder_that_is_not_there_is_an_io_error(void **state)
{
    (void)state;
    temp_folder_make(folder);
    assert_int_equal(jade_path_join(path, folder, "missing/catalog.db", NULL), JADE_OK);
    expect_refused(JADE_E_IO);
    temp_folder_remove(folder);
}

/** Every allocation of opening and of each call fails in turn: JADE_E_NOMEM, nothing changed, nothing leaked. */
static void a_failed_allocation_changes_nothing(void **state)
{
    (void)state;
    jade_catalog_close(contract_open());
    unsigned failed = 0;
    for (uint64_t at = 1;; at++) {
        struct jade_catalog *c = NULL;
        jade_alloc_fail_at(at);
        jade_code rc = jade_catalog_open_sqlite(path, &c, NULL, NULL);
        if (rc == JADE_OK) {
            rc = jade_catalog_put(c, "k", "v", 1, NULL, NULL);
        }
        if (rc == JADE_OK) {
            rc = jade_catalog_delete(c, "k", JADE_REVISION_ANY, NULL);
        }
        bool over = jade_alloc_count() < at;
        jade_alloc_fail_at(0);
        if (rc != JADE_OK) {
            assert_int_equal(rc, JADE_E_NOMEM);
            failed++;
        }
        if (c) { /* whole again as soon as there is memory */
            assert_int_equal(jade_catalog_put(c, "k", "w", 1, NULL, NULL), JADE_OK);
            assert_int_equal(jade_catalog_delete(c, "k", JADE_REVISION_ANY, NULL), JADE_OK);
        }
        jade_catalog_close(c);
        if (over) {
            break;
        }
    }
    assert_true(failed > 20);
    print_message("%u allocations failed in turn\n", failed);
    temp_folder_remove(folder);
}

/* ---- a disk that fails: SQLite's own file layer, with the n-th write or sync made to fail ---- */

static int io_left = -1; /* -1 = never fails */
/* SQLite has a table of functions for files with locks and one for files without: each gets its failing copy. */
static struct failing {
    sqlite3_io_methods methods; /* first, so that a file's table leads here */
    const sqlite3_io_methods *real;
} failing[4];
static sqlite3_vfs *real_vfs;
static sqlite3_vfs failing_vfs;

static bool io_fails(void)
{
    return io_left >= 0 && io_left-- == 0;
}

static const sqlite3_io_methods *real_of(sqlite3_file *f)
{
    return ((const struct failing *)f->pMethods)->real;
}

static int failing_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    return io_fails() ? SQLITE_IOERR_WRITE : real_of(f)->xWrite(f, p, n, at);
}

static int failing_sync(sqlite3_file *f, int flags)
{
    return io_fails() ? SQLITE_IOERR_FSYNC : real_of(f)->xSync(f, flags);
}

static int failing_open(sqlite3_vfs *v, sqlite3_filename name, sqlite3_file *f, int flags, int *out)
{
    (void)v;
    int result = real_vfs->xOpen(real_vfs, name, f, flags, out);
    if (result == SQLITE_OK && f->pMethods) {
        unsigned i = 0;
        while (failing[i].real && failing[i].real != f->pMethods) {
            assert_true(++i < sizeof failing / sizeof *failing);
        }
        failing[i].real = f->pMethods;
        failing[i].methods = *f->pMethods;
        failing[i].methods.xWrite = failing_write;
        failing[i].methods.xSync = failing_sync;
        f->pMethods = &failing[i].methods;
    }
    return result;
}

static void a_failed_write_or_sync_stops_changes_until_reopening(void **state)
{
    (void)state;
    real_vfs = sqlite3_vfs_find(NULL);
    failing_vfs = *real_vfs;
    failing_vfs.zName = "failing";
    failing_vfs.xOpen = failing_open;
    assert_int_equal(sqlite3_vfs_register(&failing_vfs, 1), SQLITE_OK);
    struct jade_catalog *c = contract_open();
    unsigned failed = 0;
    for (int at = 0;; at++) {
        uint64_t revision;
        put_text(c, "k", "old", NULL);
        io_left = at;
        jade_code rc = jade_catalog_put(c, "k", "new", 3, NULL, NULL);
        bool over = io_left >= 0;
        io_left = -1;
        if (rc != JADE_OK) {
            failed++;
            assert_int_equal(rc, JADE_E_IO);
            assert_int_equal(jade_catalog_put(c, "k", "x", 1, NULL, NULL), JADE_E_POISONED);
            assert_int_equal(jade_catalog_delete(c, "k", JADE_REVISION_ANY, NULL), JADE_E_POISONED);
            assert_int_equal(jade_catalog_get(c, "k", NULL, &revision, NULL), JADE_OK);
        }
        c = contract_reopen(c);
        struct jade_buf buf;
        jade_buf_init(&buf, JADE_TAG_TEST);
        assert_int_equal(jade_catalog_get(c, "k", &buf, NULL, NULL), JADE_OK);
        assert_int_equal(buf.len, 3);
        assert_true(memcmp(buf.data, "new", 3) == 0 ||
                    (rc != JADE_OK && memcmp(buf.data, "old", 3) == 0));
        jade_buf_release(&buf);
        if (over) {
            break;
        }
    }
    print_message("%u writes and syncs failed in turn\n", failed);
    assert_true(failed >= 2);
    contract_drop(c);
    assert_int_equal(sqlite3_vfs_unregister(&failing_vfs), SQLITE_OK);
    assert_int_equal(sqlite3_vfs_register(real_vfs, 1), SQLITE_OK);
}

/** A child counts up under "n" and tells each number once it is stored; killed at any moment, none it told is lost. */
static void an_acknowledged_change_survives_kill(void **state)
{
    (void)state;
    struct jade_catalog *c = contract_open();
    uint64_t told = 0;
    assert_int_equal(jade_catalog_put(c, "n", &told, sizeof told, NULL, NULL), JADE_OK);
    jade_catalog_close(c);
    for (int round = 0; round < 5; round++) {
        int pipe_fd[2];
        assert_int_equal(pipe(pipe_fd), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            c = NULL;
            if (jade_catalog_open_sqlite(path, &c, NULL, NULL) != JADE_OK) {
                _exit(1);
            }
            for (uint64_t i = told + 1;; i++) {
                if (jade_catalog_put(c, "n", &i, sizeof i, NULL, NULL) != JADE_OK ||
                    write(pipe_fd[1], &i, sizeof i) != sizeof i) {
                    _exit(1);
                }
            }
        }
        close(pipe_fd[1]);
        uint64_t stop = told + 20 + (uint64_t)round * 7;
        while (told < stop) {
            assert_int_equal(read(pipe_fd[0], &told, sizeof told), sizeof told);
        }
        assert_int_equal(kill(child, SIGKILL), 0);
        while (read(pipe_fd[0], &told, sizeof told) == sizeof told) {
        }
        close(pipe_fd[0]);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));

        c = open_path(NULL);
        struct jade_buf buf;
        jade_buf_init(&buf, JADE_TAG_TEST);
        assert_int_equal(jade_catalog_get(c, "n", &buf, NULL, NULL), JADE_OK);
        uint64_t stored;
        assert_int_equal(buf.len, sizeof stored);
        memcpy(&stored, buf.data, sizeof stored);
        assert_true(stored == told || stored == told + 1);
        told = stored;
        jade_buf_release(&buf);
        jade_catalog_close(c);
    }
    temp_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CATALOG_CONTRACT,
        cmocka_unit_test(a_changed_value_fails_its_checksum),
        cmocka_unit_test(a_file_that_is_no_catalog_is_refused_and_left_alone),
        cmocka_unit_test(a_newer_schema_is_refused),
        cmocka_unit_test(damage_to_any_page_is_found),
        cmocka_unit_test(a_folder_that_is_not_there_is_an_io_error),
        cmocka_unit_test(a_failed_allocation_changes_nothing),
        cmocka_unit_test(a_failed_write_or_sync_stops_changes_until_reopening),
        cmocka_unit_test(an_acknowledged_change_survives_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
