/*
 * What every implementation of the catalog has in common: limits of keys and values are checked here, once.
 */
#include "catalog/catalog.h"

#include <string.h>

#include "base/assert.h"

static jade_code check_key(const char *key, struct jade_err *err)
{
    size_t n = strlen(key);
    if (n == 0 || n > JADE_CATALOG_KEY_MAX) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "key",
                               "catalog key of %zu bytes, expected 1 to %d", n,
                               JADE_CATALOG_KEY_MAX);
    }
    return JADE_OK;
}

static jade_code check_value(size_t n, struct jade_err *err)
{
    if (n > JADE_CATALOG_VALUE_MAX) {
        return jade_fail_field(err, JADE_E_TOO_LARGE, "value",
                               "catalog value of %zu bytes, at most %d", n, JADE_CATALOG_VALUE_MAX);
    }
    return JADE_OK;
}

static jade_code store(struct jade_catalog *c, const char *key, uint64_t expected,
                       const void *value, size_t n, uint64_t *revision_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    uint64_t revision = JADE_REVISION_NONE;
    JADE_TRY(check_key(key, err));
    JADE_TRY(check_value(n, err));
    JADE_TRY(c->ops->put(c, key, expected, value, n, &revision, err));
out:
    if (revision_out) {
        *revision_out = rc == JADE_OK ? revision : JADE_REVISION_NONE;
    }
    return rc;
}

jade_code jade_catalog_get(struct jade_catalog *c, const char *key, struct jade_buf *value_out,
                           uint64_t *revision_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    uint64_t revision = JADE_REVISION_NONE;
    JADE_TRY(check_key(key, err));
    JADE_TRY(c->ops->get(c, key, value_out, &revision, err));
out:
    if (revision_out) {
        *revision_out = rc == JADE_OK ? revision : JADE_REVISION_NONE;
    }
    return rc;
}

jade_code jade_catalog_list(struct jade_catalog *c, const char *prefix, jade_catalog_fn fn,
                            void *ctx, struct jade_err *err)
{
    if (prefix[0] != '\0') {
        jade_code rc = check_key(prefix, err);
        if (rc != JADE_OK) {
            return rc;
        }
    }
    return c->ops->list(c, prefix, fn, ctx, err);
}

jade_code jade_catalog_put(struct jade_catalog *c, const char *key, const void *value, size_t n,
                           uint64_t *revision_out, struct jade_err *err)
{
    return store(c, key, JADE_REVISION_ANY, value, n, revision_out, err);
}

jade_code jade_catalog_cas(struct jade_catalog *c, const char *key, uint64_t expected,
                           const void *value, size_t n, uint64_t *revision_out,
                           struct jade_err *err)
{
    JADE_ASSERT(expected != JADE_REVISION_ANY);
    return store(c, key, expected, value, n, revision_out, err);
}

jade_code jade_catalog_delete(struct jade_catalog *c, const char *key, uint64_t expected,
                              struct jade_err *err)
{
    JADE_ASSERT(expected != JADE_REVISION_NONE);
    jade_code rc = check_key(key, err);
    return rc == JADE_OK ? c->ops->delete_(c, key, expected, err) : rc;
}

void jade_catalog_close(struct jade_catalog *c)
{
    if (c) {
        c->ops->close(c);
    }
}
