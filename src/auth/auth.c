/*
 * API keys: the catalog keeps them, memory answers. A change is written to the catalog first; readers then see the new array.
 */
#include "auth/auth.h"

#include <stdlib.h>
#include <string.h>

#include "auth/auth_private.h"
#include "base/alloc.h"
#include "base/utf8.h"

#define ROW_PREFIX "key/"

static void row_key(const char *id, char out[JADE_KEY_ID_SIZE + 8])
{
    memcpy(out, ROW_PREFIX, sizeof ROW_PREFIX - 1);
    memcpy(out + sizeof ROW_PREFIX - 1, id, strlen(id) + 1);
}

/** Room for one more key; the array may move (only under the write lock, or alone). */
static jade_code reserve(struct jade_auth *a, struct jade_err *err)
{
    if (a->n < a->cap) {
        return JADE_OK;
    }
    size_t cap = a->cap ? a->cap * 2 : 8;
    struct jadei_stored_key *keys = jade_realloc(JADE_TAG_CATALOG, a->keys, cap * sizeof *a->keys);
    if (!keys) {
        return jade_fail(err, JADE_E_NOMEM, "out of memory for an API key");
    }
    a->keys = keys;
    a->cap = cap;
    return JADE_OK;
}

static int by_age(const void *x, const void *y)
{
    const struct jadei_stored_key *a = x, *b = y;
    if (a->key.created_us != b->key.created_us) {
        return a->key.created_us < b->key.created_us ? -1 : 1;
    }
    return strcmp(a->key.id, b->key.id);
}

static jade_code load_key(void *ctx, const struct jade_catalog_item *item, struct jade_err *err)
{
    struct jade_auth *a = ctx;
    jade_code rc = JADE_OK;
    if (a->n >= JADE_KEYS_MAX) {
        return jade_fail(err, JADE_E_TOO_LARGE, "more than %d API keys in the catalog",
                         JADE_KEYS_MAX);
    }
    JADE_TRY(reserve(a, err));
    rc = jadei_key_decode(item->value, item->value_len, &a->keys[a->n], err);
    if (rc != JADE_OK) {
        return jade_err_wrap(err, rc, "%s", item->key);
    }
    if (strcmp(item->key + sizeof ROW_PREFIX - 1, a->keys[a->n].key.id) != 0) {
        return jade_fail(err, JADE_E_CORRUPT, "%s holds the key of another id", item->key);
    }
    a->n++;
out:
    return rc;
}

jade_code jade_auth_open(struct jade_catalog *catalog, struct jade_os *os, struct jade_auth **out,
                         struct jade_err *err)
{
    *out = NULL;
    struct jade_auth *a = jade_calloc(JADE_TAG_CATALOG, 1, sizeof *a);
    if (!a) {
        return jade_fail(err, JADE_E_NOMEM, "out of memory for the API keys");
    }
    a->catalog = catalog;
    a->os = os;
    jade_mutex_init(&a->change);
    jade_rwlock_init(&a->lock);
    jade_code rc = jade_catalog_list(catalog, ROW_PREFIX, load_key, a, err);
    if (rc != JADE_OK) {
        jade_auth_close(a);
        return jade_err_wrap(err, rc, "reading the API keys");
    }
    if (a->n > 1) {
        qsort(a->keys, a->n, sizeof *a->keys, by_age);
    }
    *out = a;
    return JADE_OK;
}

void jade_auth_close(struct jade_auth *a)
{
    if (!a) {
        return;
    }
    jade_rwlock_release(&a->lock);
    jade_mutex_release(&a->change);
    if (a->keys) {
        jadei_wipe(a->keys, a->cap * sizeof *a->keys);
    }
    jade_free(a->keys);
    jade_free(a);
}

/** Position of the key with this digest; a->n when there is none. Looks at every key, so that the time tells nothing. */
static size_t find_digest(const struct jade_auth *a, const uint8_t digest[JADEI_DIGEST_BYTES])
{
    size_t found = a->n;
    for (size_t i = 0; i < a->n; i++) {
        if (jadei_digest_equal(a->keys[i].digest, digest)) {
            found = i;
        }
    }
    return found;
}

static jade_code check_name(const char *name, struct jade_err *err)
{
    size_t n = strlen(name);
    if (n == 0 || n > JADE_KEY_NAME_MAX) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "name", "%zu bytes, expected 1 to %d",
                               n, JADE_KEY_NAME_MAX);
    }
    if (!jade_utf8_valid(name, n)) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "name", "not valid UTF-8");
    }
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f) {
            return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "name",
                                   "a control character at byte %zu", i);
        }
    }
    return JADE_OK;
}

/** Stores a key whose text is `secret`. The caller holds `change`. */
static jade_code add(struct jade_auth *a, const char *name, enum jade_scope scope,
                     const char *secret, struct jade_key *out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_stored_key k = {.key.scope = scope, .key.created_us = jade_os_wall_us(a->os)};
    struct jade_buf row;
    char key[JADE_KEY_ID_SIZE + 8];
    jade_buf_init(&row, JADE_TAG_CATALOG);
    size_t n = strlen(secret);
    memcpy(k.key.last4, secret + n - 4, 5);
    memcpy(k.key.name, name, strlen(name) + 1);
    if (a->n >= JADE_KEYS_MAX) {
        rc = jade_fail(err, JADE_E_TOO_LARGE, "%d API keys exist; delete one first", JADE_KEYS_MAX);
        goto out;
    }
    JADE_TRY(jadei_key_id_make(a->os, k.key.id, err));
    JADE_TRY(jadei_digest(secret, n, k.digest, err));
    jadei_key_encode(&k, &row);
    JADE_TRY(jade_buf_status(&row, err));
    jade_rwlock_write(&a->lock);
    rc = reserve(a, err);
    jade_rwlock_write_end(&a->lock);
    if (rc != JADE_OK) {
        goto out;
    }
    row_key(k.key.id, key);
    JADE_TRY(jade_catalog_cas(a->catalog, key, JADE_REVISION_NONE, row.data, row.len, NULL, err));
    jade_rwlock_write(&a->lock);
    a->keys[a->n++] = k;
    jade_rwlock_write_end(&a->lock);
    if (out) {
        *out = k.key;
    }
out:
    jadei_wipe(&k, sizeof k);
    jade_buf_release(&row);
    return rc;
}

jade_code jade_auth_create(struct jade_auth *a, const char *name, enum jade_scope scope,
                           struct jade_key *out, char secret_out[JADE_KEY_SECRET_SIZE],
                           struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char secret[JADE_KEY_SECRET_SIZE];
    secret_out[0] = '\0';
    JADE_TRY(check_name(name, err));
    if (scope < JADE_SCOPE_READ_ONLY || scope > JADE_SCOPE_ADMIN) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "scope", "%d is no scope", (int)scope);
    }
    JADE_TRY(jadei_secret_make(a->os, secret, err));
    jade_mutex_lock(&a->change);
    rc = add(a, name, scope, secret, out, err);
    jade_mutex_unlock(&a->change);
    if (rc == JADE_OK) {
        memcpy(secret_out, secret, sizeof secret);
    }
    jadei_wipe(secret, sizeof secret);
out:
    return rc;
}

static jade_code check_given(const char *given, struct jade_err *err)
{
    size_t n = strlen(given);
    if (n < JADE_KEY_GIVEN_MIN || n > JADE_KEY_TEXT_MAX) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "JADE_ADMIN_KEY",
                               "JADE_ADMIN_KEY has %zu characters, expected %d to %d", n,
                               JADE_KEY_GIVEN_MIN, JADE_KEY_TEXT_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        if (given[i] <= ' ' || given[i] > '~') {
            return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "JADE_ADMIN_KEY",
                                   "JADE_ADMIN_KEY has a character at position %zu that is not "
                                   "printable ASCII, or a space",
                                   i + 1);
        }
    }
    return JADE_OK;
}

jade_code jade_auth_bootstrap(struct jade_auth *a, const char *given,
                              enum jade_bootstrap *outcome_out,
                              char secret_out[JADE_KEY_SECRET_SIZE], struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char secret[JADE_KEY_SECRET_SIZE];
    uint8_t digest[JADEI_DIGEST_BYTES];
    secret_out[0] = '\0';
    *outcome_out = JADE_BOOTSTRAP_PRESENT;
    jade_mutex_lock(&a->change);
    if (given) {
        JADE_TRY(check_given(given, err));
        JADE_TRY(jadei_digest(given, strlen(given), digest, err));
    }
    if (a->n > 0) {
        bool known = !given || find_digest(a, digest) < a->n;
        *outcome_out = known ? JADE_BOOTSTRAP_PRESENT : JADE_BOOTSTRAP_IGNORED;
    } else if (given) {
        JADE_TRY(add(a, "first admin key", JADE_SCOPE_ADMIN, given, NULL, err));
        *outcome_out = JADE_BOOTSTRAP_GIVEN;
    } else {
        JADE_TRY(jadei_secret_make(a->os, secret, err));
        JADE_TRY(add(a, "first admin key", JADE_SCOPE_ADMIN, secret, NULL, err));
        memcpy(secret_out, secret, sizeof secret);
        *outcome_out = JADE_BOOTSTRAP_CREATED;
    }
out:
    jade_mutex_unlock(&a->change);
    jadei_wipe(secret, sizeof secret);
    return rc;
}

jade_code jade_auth_list(struct jade_auth *a, struct jade_key **keys_out, size_t *n_out,
                         struct jade_err *err)
{
    *n_out = 0;
    jade_rwlock_read(&a->lock);
    struct jade_key *keys = jade_alloc(JADE_TAG_REQUEST, a->n * sizeof *keys);
    for (size_t i = 0; keys && i < a->n; i++) {
        keys[i] = a->keys[i].key;
        *n_out = i + 1;
    }
    jade_rwlock_read_end(&a->lock);
    *keys_out = keys;
    return keys ? JADE_OK : jade_fail(err, JADE_E_NOMEM, "out of memory for the list of API keys");
}

/** Position of an id; a->n when there is none. *n_admin_out: admin keys in all. The caller holds `change`. */
static size_t find_id(const struct jade_auth *a, const char *id, size_t *n_admin_out)
{
    size_t found = a->n;
    *n_admin_out = 0;
    for (size_t i = 0; i < a->n; i++) {
        found = strcmp(a->keys[i].key.id, id) == 0 ? i : found;
        *n_admin_out += a->keys[i].key.scope == JADE_SCOPE_ADMIN;
    }
    return found;
}

jade_code jade_auth_delete(struct jade_auth *a, const char *id, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char key[JADE_KEY_ID_SIZE + 8];
    size_t n_admin;
    jade_mutex_lock(&a->change);
    size_t at = find_id(a, id, &n_admin);
    if (at == a->n) {
        rc = jade_fail_field(err, JADE_E_NOT_FOUND, "id", "no API key has the id \"%.64s\"", id);
        goto out;
    }
    if (a->keys[at].key.scope == JADE_SCOPE_ADMIN && n_admin == 1) {
        rc = jade_fail_field(err, JADE_E_CONFLICT, "id",
                             "the last admin key cannot be deleted: create another one first");
        goto out;
    }
    row_key(a->keys[at].key.id, key);
    JADE_TRY(jade_catalog_delete(a->catalog, key, JADE_REVISION_ANY, err));
    jade_rwlock_write(&a->lock);
    memmove(&a->keys[at], &a->keys[at + 1], (a->n - at - 1) * sizeof *a->keys);
    a->n--;
    jadei_wipe(&a->keys[a->n], sizeof *a->keys);
    jade_rwlock_write_end(&a->lock);
out:
    jade_mutex_unlock(&a->change);
    return rc;
}

jade_code jade_auth_verify(struct jade_auth *a, const char *text, size_t n, struct jade_key *out,
                           struct jade_err *err)
{
    uint8_t digest[JADEI_DIGEST_BYTES];
    if (n == 0 || n > JADE_KEY_TEXT_MAX) {
        return jade_fail(err, JADE_E_UNAUTHORIZED, "the API key is not valid");
    }
    jade_code rc = jadei_digest(text, n, digest, err);
    if (rc != JADE_OK) {
        return rc;
    }
    jade_rwlock_read(&a->lock);
    size_t at = find_digest(a, digest);
    bool found = at < a->n;
    if (found) {
        *out = a->keys[at].key;
    }
    jade_rwlock_read_end(&a->lock);
    return found ? JADE_OK : jade_fail(err, JADE_E_UNAUTHORIZED, "the API key is not valid");
}
