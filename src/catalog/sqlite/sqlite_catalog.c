/*
 * The catalog of a standalone server: one table in one SQLite file.
 *
 * Schema 1 (PRAGMA user_version; PRAGMA application_id is "JADE"):
 *     item(key BLOB PRIMARY KEY, value BLOB, revision INTEGER, crc INTEGER) WITHOUT ROWID
 *     counter(id INTEGER PRIMARY KEY, revision INTEGER)   one row: the last revision given, so that deletions do not lower it
 * crc is CRC-32C over key, value and revision: SQLite finds a broken page structure, not a flipped bit inside a value.
 *
 * One connection, one mutex: a list is one moment because nobody else can write. Statements are prepared once.
 * A failed write or sync (SQLITE_IOERR) stops writes until the file is opened again: what the kernel still shows of it need not be on
 * the disk (reliability rule P1).
 */
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"
#include "catalog/catalog.h"
#include "catalog/sqlite/sqlite_private.h"
#include "os/thread.h"

enum { SCHEMA_VERSION = 1, APPLICATION_ID = 0x4A414445 };

enum statement { GET, LIST, PUT, DELETE_, NEXT, BEGIN, COMMIT, N_STATEMENTS };
static const char *const STATEMENTS[N_STATEMENTS] = {
    [GET] = "SELECT value, revision, crc FROM item WHERE key = ?1",
    [LIST] = "SELECT value, revision, crc, key FROM item WHERE key >= ?1 AND (?2 IS NULL OR key < "
             "?2) ORDER BY key",
    [PUT] = "INSERT INTO item(key, value, revision, crc) VALUES(?1, ?2, ?3, ?4) ON CONFLICT(key) "
            "DO UPDATE SET value = ?2, revision = ?3, crc = ?4",
    [DELETE_] = "DELETE FROM item WHERE key = ?1",
    [NEXT] = "UPDATE counter SET revision = revision + 1 WHERE id = 1 RETURNING revision",
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
};

static const char SCHEMA[] = "BEGIN IMMEDIATE;"
                             "CREATE TABLE item(key BLOB PRIMARY KEY, value BLOB NOT NULL,"
                             " revision INTEGER NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;"
                             "CREATE TABLE counter(id INTEGER PRIMARY KEY, revision INTEGER NOT "
                             "NULL);"
                             "INSERT INTO counter VALUES(1, 0);"
                             "PRAGMA application_id = 1245791301;"
                             "PRAGMA user_version = 1;"
                             "COMMIT;";
_Static_assert(APPLICATION_ID == 1245791301, "the schema names the application in decimal");

struct sqlite_catalog {
    struct jade_catalog base;
    sqlite3 *db;
    sqlite3_stmt *statements[N_STATEMENTS];
    struct jade_mutex mutex;
    bool poisoned;
};

static struct sqlite_catalog *self(struct jade_catalog *c)
{
    return (struct sqlite_catalog *)c;
}

static jade_code fail(struct sqlite_catalog *c, int result, const char *what, struct jade_err *err)
{
    jade_code code = jadei_sqlite_code(result);
    JADE_ASSERT(code != JADE_OK);
    return jade_fail(err, code, "catalog: %s: %s (SQLite code %d)", what,
                     c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(result), result);
}

/* ---- items ---- */

static uint32_t item_crc(const char *key, const void *value, size_t n, uint64_t revision)
{
    uint8_t tail[8];
    for (unsigned i = 0; i < 8; i++) {
        tail[i] = (uint8_t)(revision >> (8 * i));
    }
    uint32_t crc = jade_crc32c(0, key, strlen(key) + 1);
    crc = jade_crc32c(crc, value, n);
    return jade_crc32c(crc, tail, sizeof tail);
}

/** The item of the row at which `s` stands; its columns are value, revision, crc. */
static jade_code read_item(struct sqlite_catalog *c, sqlite3_stmt *s, const char *key,
                           struct jade_catalog_item *out, struct jade_err *err)
{
    out->key = key;
    out->value = sqlite3_column_blob(s, 0);
    out->value_len = (size_t)sqlite3_column_bytes(s, 0);
    if (!out->value && out->value_len > 0) {
        return fail(c, SQLITE_NOMEM, "reading a value", err);
    }
    if (!out->value) {
        out->value = "";
    }
    out->revision = (uint64_t)sqlite3_column_int64(s, 1);
    uint32_t crc = (uint32_t)sqlite3_column_int64(s, 2);
    if (sqlite3_errcode(c->db) ==
        SQLITE_NOMEM) { /* a value on overflow pages is loaded by column_blob */
        return fail(c, SQLITE_NOMEM, "reading a value", err);
    }
    if (out->revision == 0 || item_crc(key, out->value, out->value_len, out->revision) != crc) {
        return jade_fail(err, JADE_E_CORRUPT, "catalog: item \"%s\" fails its checksum", key);
    }
    return JADE_OK;
}

static jade_code bind_blob(struct sqlite_catalog *c, sqlite3_stmt *s, int at, const void *p,
                           size_t n, struct jade_err *err)
{
    int result = sqlite3_bind_blob64(s, at, n > 0 ? p : "", n, SQLITE_STATIC);
    return result == SQLITE_OK ? JADE_OK : fail(c, result, "binding a value", err);
}

static void rewind_statement(sqlite3_stmt *s)
{
    (void)sqlite3_reset(s); /* repeats the error of the last step, which was reported then */
    (void)sqlite3_clear_bindings(s);
}

/** Finds a key. *revision_out 0 when it is not there. */
static jade_code find(struct sqlite_catalog *c, const char *key, struct jade_buf *value_out,
                      uint64_t *revision_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    sqlite3_stmt *s = c->statements[GET];
    struct jade_catalog_item item;
    *revision_out = JADE_REVISION_NONE;
    JADE_TRY(bind_blob(c, s, 1, key, strlen(key), err));
    int result = sqlite3_step(s);
    if (result == SQLITE_DONE) {
        goto out;
    }
    if (result != SQLITE_ROW) {
        rc = fail(c, result, "reading", err);
        goto out;
    }
    JADE_TRY(read_item(c, s, key, &item, err));
    if (value_out) {
        jade_buf_append(value_out, item.value, item.value_len);
        JADE_TRY(jade_buf_status(value_out, err));
    }
    *revision_out = item.revision;
out:
    rewind_statement(s);
    return rc;
}

static jade_code catalog_get(struct jade_catalog *base, const char *key, struct jade_buf *value_out,
                             uint64_t *revision_out, struct jade_err *err)
{
    struct sqlite_catalog *c = self(base);
    jade_mutex_lock(&c->mutex);
    jade_code rc = find(c, key, value_out, revision_out, err);
    jade_mutex_unlock(&c->mutex);
    if (rc == JADE_OK && *revision_out == JADE_REVISION_NONE) {
        rc = jade_fail(err, JADE_E_NOT_FOUND, "catalog has no \"%s\"", key);
    }
    return rc;
}

/** First key beyond all that begin with prefix; 0 = there is none (no bound). */
static size_t prefix_end(const char *prefix, char out[JADE_CATALOG_KEY_MAX])
{
    size_t n = strlen(prefix);
    memcpy(out, prefix, n);
    while (n > 0 && (unsigned char)out[n - 1] == 0xff) {
        n--;
    }
    if (n > 0) {
        out[n - 1] = (char)((unsigned char)out[n - 1] + 1);
    }
    return n;
}

static jade_code list_rows(struct sqlite_catalog *c, sqlite3_stmt *s, jade_catalog_fn fn, void *ctx,
                           struct jade_err *err)
{
    for (;;) {
        int result = sqlite3_step(s);
        if (result == SQLITE_DONE) {
            return JADE_OK;
        }
        if (result != SQLITE_ROW) {
            return fail(c, result, "listing", err);
        }
        char key[JADE_CATALOG_KEY_MAX + 1];
        const void *bytes = sqlite3_column_blob(s, 3);
        size_t n = (size_t)sqlite3_column_bytes(s, 3);
        if (!bytes || n == 0 || n > JADE_CATALOG_KEY_MAX || memchr(bytes, 0, n)) {
            return jade_fail(err, JADE_E_CORRUPT, "catalog: a key of %zu bytes", n);
        }
        memcpy(key, bytes, n);
        key[n] = '\0';
        struct jade_catalog_item item;
        jade_code rc = read_item(c, s, key, &item, err);
        if (rc == JADE_OK) {
            rc = fn(ctx, &item, err);
        }
        if (rc != JADE_OK) {
            return rc;
        }
    }
}

static jade_code catalog_list(struct jade_catalog *base, const char *prefix, jade_catalog_fn fn,
                              void *ctx, struct jade_err *err)
{
    struct sqlite_catalog *c = self(base);
    jade_code rc = JADE_OK;
    char end[JADE_CATALOG_KEY_MAX];
    size_t n_end = prefix_end(prefix, end);
    sqlite3_stmt *s = c->statements[LIST];
    jade_mutex_lock(&c->mutex);
    JADE_TRY(bind_blob(c, s, 1, prefix, strlen(prefix), err));
    if (n_end > 0) {
        JADE_TRY(bind_blob(c, s, 2, end, n_end, err));
    }
    JADE_TRY(list_rows(c, s, fn, ctx, err));
out:
    rewind_statement(s);
    jade_mutex_unlock(&c->mutex);
    return rc;
}

/* ---- changes ---- */

static jade_code run(struct sqlite_catalog *c, enum statement which, const char *what,
                     struct jade_err *err)
{
    int result = sqlite3_step(c->statements[which]);
    jade_code rc = result == SQLITE_DONE ? JADE_OK : fail(c, result, what, err);
    rewind_statement(c->statements[which]);
    return rc;
}

static jade_code begin(struct sqlite_catalog *c, struct jade_err *err)
{
    if (c->poisoned) {
        return jade_fail(err, JADE_E_POISONED,
                         "catalog: an earlier write failed; changes stopped until restart");
    }
    return run(c, BEGIN, "beginning a change", err);
}

/** Commits when rc is OK, else undoes; returns the first error. */
static jade_code end(struct sqlite_catalog *c, jade_code rc, struct jade_err *err)
{
    if (rc == JADE_OK) {
        rc = run(c, COMMIT, "committing", err);
    }
    if (rc != JADE_OK && !sqlite3_get_autocommit(c->db)) {
        int result = sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
        if (result != SQLITE_OK && !sqlite3_get_autocommit(c->db)) {
            c->poisoned =
                true; /* a change that cannot be undone must not be committed by the next */
        }
    }
    if (rc == JADE_E_IO) {
        c->poisoned = true;
    }
    return rc;
}

static jade_code check_revision(const char *key, uint64_t have, uint64_t expected,
                                struct jade_err *err)
{
    if (expected == JADE_REVISION_ANY || have == expected) {
        return JADE_OK;
    }
    if (expected == JADE_REVISION_NONE) {
        return jade_fail(err, JADE_E_CONFLICT, "catalog: \"%s\" exists", key);
    }
    return jade_fail(err, JADE_E_CONFLICT, "catalog: \"%s\" is at revision %llu, expected %llu",
                     key, (unsigned long long)have, (unsigned long long)expected);
}

static jade_code next_revision(struct sqlite_catalog *c, uint64_t *out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    sqlite3_stmt *s = c->statements[NEXT];
    int result = sqlite3_step(s);
    if (result == SQLITE_ROW) {
        *out = (uint64_t)sqlite3_column_int64(s, 0);
        result = sqlite3_step(s);
        if (result != SQLITE_DONE) {
            rc = fail(c, result, "counting a change", err);
        }
    } else if (result == SQLITE_DONE) {
        rc = jade_fail(err, JADE_E_CORRUPT, "catalog: the counter of revisions is missing");
    } else {
        rc = fail(c, result, "counting a change", err);
    }
    rewind_statement(s);
    return rc;
}

static jade_code write_item(struct sqlite_catalog *c, const char *key, const void *value, size_t n,
                            uint64_t revision, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    sqlite3_stmt *s = c->statements[PUT];
    JADE_TRY(bind_blob(c, s, 1, key, strlen(key), err));
    JADE_TRY(bind_blob(c, s, 2, value, n, err));
    (void)sqlite3_bind_int64(s, 3, (sqlite3_int64)revision); /* cannot fail: the index is right */
    (void)sqlite3_bind_int64(s, 4, (sqlite3_int64)item_crc(key, value, n, revision));
    rc = run(c, PUT, "writing", err);
out:
    rewind_statement(s);
    return rc;
}

static jade_code catalog_put(struct jade_catalog *base, const char *key, uint64_t expected,
                             const void *value, size_t n, uint64_t *revision_out,
                             struct jade_err *err)
{
    struct sqlite_catalog *c = self(base);
    jade_code rc = JADE_OK;
    uint64_t have;
    jade_mutex_lock(&c->mutex);
    JADE_TRY(begin(c, err));
    if (expected != JADE_REVISION_ANY) {
        JADE_TRY(find(c, key, NULL, &have, err));
        JADE_TRY(check_revision(key, have, expected, err));
    }
    JADE_TRY(next_revision(c, revision_out, err));
    JADE_TRY(write_item(c, key, value, n, *revision_out, err));
out:
    rc = end(c, rc, err);
    jade_mutex_unlock(&c->mutex);
    return rc;
}

static jade_code catalog_delete(struct jade_catalog *base, const char *key, uint64_t expected,
                                struct jade_err *err)
{
    struct sqlite_catalog *c = self(base);
    jade_code rc = JADE_OK;
    uint64_t have, revision;
    jade_mutex_lock(&c->mutex);
    JADE_TRY(begin(c, err));
    JADE_TRY(find(c, key, NULL, &have, err));
    if (have == JADE_REVISION_NONE) {
        rc = jade_fail(err, JADE_E_NOT_FOUND, "catalog has no \"%s\"", key);
        goto out;
    }
    JADE_TRY(check_revision(key, have, expected, err));
    JADE_TRY(next_revision(c, &revision, err));
    JADE_TRY(bind_blob(c, c->statements[DELETE_], 1, key, strlen(key), err));
    JADE_TRY(run(c, DELETE_, "deleting", err));
out:
    rc = end(c, rc, err);
    jade_mutex_unlock(&c->mutex);
    return rc;
}

/* ---- opening ---- */

static void catalog_close(struct jade_catalog *base)
{
    struct sqlite_catalog *c = self(base);
    for (unsigned i = 0; i < N_STATEMENTS; i++) {
        (void)sqlite3_finalize(c->statements[i]);
    }
    /* The last close moves the log into the file; a failure of that leaves the log, which the next opening reads. */
    (void)sqlite3_close(c->db);
    jade_mutex_release(&c->mutex);
    jade_free(c);
}

static const struct jade_catalog_ops OPS = {
    .name = "sqlite",
    .get = catalog_get,
    .list = catalog_list,
    .put = catalog_put,
    .delete_ = catalog_delete,
    .close = catalog_close,
};

static jade_code execute(struct sqlite_catalog *c, const char *sql, struct jade_err *err)
{
    int result = sqlite3_exec(c->db, sql, NULL, NULL, NULL);
    return result == SQLITE_OK ? JADE_OK : fail(c, result, "opening", err);
}

/** The first column of the first row, as text of at most 63 bytes. */
static jade_code ask(struct sqlite_catalog *c, const char *sql, char out[64], struct jade_err *err)
{
    sqlite3_stmt *s = NULL;
    jade_code rc = JADE_OK;
    int result = sqlite3_prepare_v2(c->db, sql, -1, &s, NULL);
    if (result == SQLITE_OK) {
        result = sqlite3_step(s);
    }
    const char *text = NULL;
    if (result == SQLITE_ROW) {
        text = (const char *)sqlite3_column_text(s, 0);
        result = text ? SQLITE_OK : SQLITE_NOMEM;
    }
    if (!text) {
        rc = fail(c, result == SQLITE_DONE ? SQLITE_CORRUPT : result, sql, err);
        goto out;
    }
    size_t n = strnlen(text, 63);
    memcpy(out, text, n);
    out[n] = '\0';
out:
    (void)sqlite3_finalize(s);
    return rc;
}

static jade_code check_pragma(struct sqlite_catalog *c, const char *sql, const char *expected,
                              struct jade_err *err)
{
    char answer[64];
    jade_code rc = ask(c, sql, answer, err);
    if (rc == JADE_OK && strcmp(answer, expected) != 0) {
        rc = jade_fail(err, JADE_E_IO, "catalog: %s answered \"%s\", expected \"%s\"", sql, answer,
                       expected);
    }
    return rc;
}

/** Makes the tables in an empty file; otherwise sees whose file this is and whether it is whole. */
static jade_code check_schema(struct sqlite_catalog *c, bool *created_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char version[64], application[64], verdict[64], tables[64];
    JADE_TRY(ask(c, "PRAGMA user_version", version, err));
    JADE_TRY(ask(c, "PRAGMA application_id", application, err));
    JADE_TRY(ask(c, "SELECT count(*) FROM sqlite_schema", tables, err));
    if (strcmp(version, "0") == 0 && strcmp(application, "0") == 0 && strcmp(tables, "0") == 0) {
        *created_out = true;
        rc = execute(c, SCHEMA, err);
        goto out;
    }
    if (strcmp(application, "1245791301") != 0) {
        rc = jade_fail(err, JADE_E_CORRUPT, "catalog: an SQLite file of another program");
        goto out;
    }
    if (strcmp(version, "1") != 0) {
        rc = jade_fail(err, JADE_E_VERSION, "catalog: schema version %s, this build knows %d",
                       version, SCHEMA_VERSION);
        goto out;
    }
    JADE_TRY(ask(c, "PRAGMA integrity_check(1)", verdict, err));
    if (strcmp(verdict, "ok") != 0) {
        rc = jade_fail(err, JADE_E_CORRUPT, "catalog: %s", verdict);
    }
out:
    return rc;
}

static jade_code check_item(void *ctx, const struct jade_catalog_item *item, struct jade_err *err)
{
    (void)ctx;
    (void)item;
    (void)err;
    return JADE_OK; /* read_item has compared the checksum */
}

static jade_code prepare(struct sqlite_catalog *c, struct jade_err *err)
{
    for (unsigned i = 0; i < N_STATEMENTS; i++) {
        int result = sqlite3_prepare_v3(c->db, STATEMENTS[i], -1, SQLITE_PREPARE_PERSISTENT,
                                        &c->statements[i], NULL);
        if (result != SQLITE_OK) {
            /* A table that is not as schema 1 makes it: the file was altered. */
            return fail(c, result == SQLITE_ERROR ? SQLITE_CORRUPT : result, "preparing", err);
        }
    }
    return JADE_OK;
}

jade_code jade_catalog_open_sqlite(const char *path, struct jade_catalog **out, bool *created_out,
                                   struct jade_err *err)
{
    jade_code rc = JADE_OK;
    bool created = false;
    *out = NULL;
    struct sqlite_catalog *c = jade_calloc(JADE_TAG_CATALOG, 1, sizeof *c);
    if (!c) {
        return jade_fail(err, JADE_E_NOMEM, "catalog: out of memory");
    }
    c->base.ops = &OPS;
    jade_mutex_init(&c->mutex);
    JADE_TRY(jadei_sqlite_start(err));
    int result = sqlite3_open_v2(path, &c->db,
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                                     SQLITE_OPEN_EXRESCODE,
                                 NULL);
    if (result != SQLITE_OK) {
        rc = fail(c, result, "opening", err);
        goto out;
    }
    (void)sqlite3_limit(c->db, SQLITE_LIMIT_LENGTH, JADE_CATALOG_VALUE_MAX + 65536);
    JADE_TRY(check_pragma(c, "PRAGMA journal_mode = WAL", "wal", err));
    JADE_TRY(execute(c, "PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF", err));
    JADE_TRY(check_schema(c, &created, err));
    JADE_TRY(prepare(c, err));
    JADE_TRY(catalog_list(&c->base, "", check_item, NULL, err));
out:
    if (rc != JADE_OK) {
        catalog_close(&c->base);
        return jade_err_wrap(err, rc, "%s", path);
    }
    if (created_out) {
        *created_out = created;
    }
    *out = &c->base;
    return JADE_OK;
}
