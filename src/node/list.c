/*
 * The list of databases: two sorted arrays, by name and by id. Changes are rare, look-ups are each request's first step.
 */
#include <string.h>

#include "node/node_private.h"

/** Compares the text of len bytes with a NUL-terminated one, as strcmp would. */
static int compare(const char *text, size_t len, const char *with)
{
    size_t n = strlen(with);
    int order = memcmp(text, with, len < n ? len : n);
    return order != 0 ? order : (len > n) - (len < n);
}

typedef const char *(*key_fn)(const struct jade_database *db);

static const char *name_of(const struct jade_database *db)
{
    return db->name;
}

static const char *id_of(const struct jade_database *db)
{
    return db->id;
}

/** First position whose key is not below the text. */
static size_t lower_bound(struct jade_database *const *list, size_t n, key_fn key, const char *text,
                          size_t len)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(text, len, key(list[middle])) > 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct jade_database *look_up(struct jade_database *const *list, size_t n, key_fn key,
                                     const char *text, size_t len)
{
    size_t at = lower_bound(list, n, key, text, len);
    return at < n && compare(text, len, key(list[at])) == 0 ? list[at] : NULL;
}

jade_code jadei_list_reserve(struct jade_node *n, struct jade_err *err)
{
    if (n->n < n->cap) {
        return JADE_OK;
    }
    if (n->n >= JADE_DATABASES_MAX) {
        return jade_fail(err, JADE_E_TOO_LARGE, "%d databases exist, which is the most",
                         JADE_DATABASES_MAX);
    }
    size_t cap = n->cap ? 2 * n->cap : 16;
    jade_code rc = JADE_OK;
    jade_rwlock_write(&n->list);
    struct jade_database ***arrays[2] = {&n->by_name, &n->by_id};
    for (unsigned i = 0; i < 2 && rc == JADE_OK; i++) {
        struct jade_database **grown =
            jade_realloc(JADE_TAG_CATALOG, *arrays[i], cap * sizeof *grown);
        if (grown) {
            *arrays[i] = grown;
        } else {
            rc = jade_fail(err, JADE_E_NOMEM, "out of memory for %zu databases", cap);
        }
    }
    if (rc == JADE_OK) {
        n->cap = cap;
    }
    jade_rwlock_write_end(&n->list);
    return rc;
}

static void insert_at(struct jade_database **list, size_t n, size_t at, struct jade_database *db)
{
    memmove(list + at + 1, list + at, (n - at) * sizeof *list);
    list[at] = db;
}

void jadei_list_insert(struct jade_node *n, struct jade_database *db)
{
    JADE_ASSERT(n->n < n->cap);
    jade_rwlock_write(&n->list);
    insert_at(n->by_name, n->n, lower_bound(n->by_name, n->n, name_of, db->name, strlen(db->name)),
              db);
    insert_at(n->by_id, n->n, lower_bound(n->by_id, n->n, id_of, db->id, strlen(db->id)), db);
    n->n++;
    jade_rwlock_write_end(&n->list);
}

static bool remove_from(struct jade_database **list, size_t n, struct jade_database *db)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i] == db) {
            memmove(list + i, list + i + 1, (n - i - 1) * sizeof *list);
            return true;
        }
    }
    return false;
}

bool jadei_list_remove(struct jade_node *n, struct jade_database *db)
{
    jade_rwlock_write(&n->list);
    bool found = remove_from(n->by_name, n->n, db);
    if (found) {
        bool both = remove_from(n->by_id, n->n, db);
        JADE_ASSERT(both);
        n->n--;
    }
    jade_rwlock_write_end(&n->list);
    return found;
}

struct jade_database *jadei_list_find(struct jade_node *n, const char *id_or_name, size_t len)
{
    jade_rwlock_read(&n->list);
    struct jade_database *db = look_up(n->by_id, n->n, id_of, id_or_name, len);
    if (!db) {
        db = look_up(n->by_name, n->n, name_of, id_or_name, len);
    }
    if (db) {
        jadei_database_ref(db);
    }
    jade_rwlock_read_end(&n->list);
    return db;
}

jade_code jade_node_find(struct jade_node *n, const char *id_or_name, size_t len,
                         struct jade_database **out, struct jade_err *err)
{
    *out = NULL;
    if (atomic_load(&n->stopping)) {
        return jadei_stopping(err);
    }
    *out = jadei_list_find(n, id_or_name, len);
    if (!*out) {
        return jade_fail_field(err, JADE_E_NOT_FOUND, "databaseId",
                               "no database has the id or name \"%.*s\"",
                               (int)(len < 128 ? len : 128), id_or_name);
    }
    return JADE_OK;
}

jade_code jade_node_list(struct jade_node *n, struct jade_database ***list_out, size_t *n_out,
                         struct jade_err *err)
{
    *n_out = 0;
    jade_rwlock_read(&n->list);
    struct jade_database **list = jade_alloc(JADE_TAG_REQUEST, n->n * sizeof *list);
    for (size_t i = 0; list && i < n->n; i++) {
        list[i] = jadei_database_ref(n->by_name[i]);
        *n_out = i + 1;
    }
    jade_rwlock_read_end(&n->list);
    *list_out = list;
    return list ? JADE_OK : jade_fail(err, JADE_E_NOMEM, "out of memory for the list of databases");
}
