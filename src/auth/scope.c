/*
 * Scopes: three, each including the ones before it.
 */
#include <string.h>
#include <strings.h>

#include "auth/auth.h"

static const char *const NAMES[] = {
    [JADE_SCOPE_READ_ONLY] = "read-only",
    [JADE_SCOPE_READ_WRITE] = "read-write",
    [JADE_SCOPE_ADMIN] = "admin",
};

jade_code jade_scope_parse(const char *word, size_t n, enum jade_scope *out, struct jade_err *err)
{
    for (unsigned i = JADE_SCOPE_READ_ONLY; i <= JADE_SCOPE_ADMIN; i++) {
        if (strlen(NAMES[i]) == n && strncasecmp(word, NAMES[i], n) == 0) {
            *out = (enum jade_scope)i;
            return JADE_OK;
        }
    }
    return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "scope",
                           "\"%.*s\", expected read-only, read-write or admin",
                           (int)(n < 32 ? n : 32), word);
}

const char *jade_scope_name(enum jade_scope scope)
{
    return scope >= JADE_SCOPE_READ_ONLY && scope <= JADE_SCOPE_ADMIN ? NAMES[scope] : "unknown";
}

bool jade_scope_allows(enum jade_scope have, enum jade_scope need)
{
    return have >= need;
}

jade_code jade_auth_require(const struct jade_key *key, enum jade_scope need, struct jade_err *err)
{
    if (jade_scope_allows(key->scope, need)) {
        return JADE_OK;
    }
    return jade_fail(err, JADE_E_FORBIDDEN, "this needs scope %s, the key \"%s\" has %s",
                     jade_scope_name(need), key->name, jade_scope_name(key->scope));
}
