/*
 * Who calls: the key of a request, and whether its scope is enough.
 */
#include <string.h>
#include <strings.h>

#include "api/api_private.h"

/* Text of the key that came, or NULL. `Authorization` goes first, as the standard header. */
static jade_code key_text(const struct jadei_call *c, const char **out, struct jade_err *err)
{
    static const char bearer[] = "Bearer ";
    const char *header = jade_http_header(c->req, "Authorization");
    *out = NULL;
    if (!header) {
        *out = jade_http_header(c->req, "X-API-Key");
        return JADE_OK;
    }
    if (strncasecmp(header, bearer, sizeof bearer - 1) != 0) {
        return jade_fail_field(err, JADE_E_UNAUTHORIZED, "Authorization",
                               "another scheme; expected Bearer and an API key");
    }
    *out = header + sizeof bearer - 1;
    *out += strspn(*out, " ");
    return JADE_OK;
}

static enum jade_scope scope_of(enum jadei_access need)
{
    switch (need) {
    case JADEI_ADMIN:
        return JADE_SCOPE_ADMIN;
    case JADEI_WRITE:
        return JADE_SCOPE_READ_WRITE;
    case JADEI_OPEN:
    case JADEI_METRICS:
    case JADEI_READ:
        break;
    }
    return JADE_SCOPE_READ_ONLY;
}

jade_code jadei_call_authorize(struct jadei_call *c, enum jadei_access need, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const char *text;
    if (need == JADEI_OPEN || !c->api->require_auth) {
        c->key.scope = need == JADEI_OPEN ? c->key.scope : JADE_SCOPE_ADMIN;
        return JADE_OK;
    }
    JADE_TRY(key_text(c, &text, err));
    if (!text || text[0] == '\0') {
        rc = jade_fail_field(err, JADE_E_UNAUTHORIZED, "Authorization",
                             "no API key; expected `Authorization: Bearer <key>` or `X-API-Key: "
                             "<key>`");
        goto out;
    }
    JADE_TRY(jade_auth_verify(jade_node_auth(c->api->node), text, strlen(text), &c->key, err));
    JADE_TRY(jade_auth_require(&c->key, scope_of(need), err));
out:
    return rc;
}
