/*
 * /keys: API keys. The text of a key stands in the answer that made it, and nowhere else.
 */
#include <string.h>

#include "api/api_private.h"
#include "base/alloc.h"

static void out_key(struct jade_json_out *o, const struct jade_key *key, const char *secret)
{
    jade_out_object(o);
    jade_out_key_str(o, "keyId", key->id);
    jade_out_key_str(o, "name", key->name);
    jade_out_key_str(o, "scope", jade_scope_name(key->scope));
    jade_out_key_str(o, "last4", key->last4);
    jade_out_key(o, "created_at");
    jade_out_time(o, key->created_us);
    if (secret) {
        jade_out_key_str(o, "key", secret);
    }
    jade_out_object_end(o);
}

jade_code jadei_keys_create(struct jadei_call *c, struct jade_err *err)
{
    static const struct jadei_field fields[] = {
        JADEI_FIELD("name"), JADEI_FIELD("scope"),
        JADEI_FIELD_YET("expiresAt", "keys of this build do not expire")};
    jade_code rc = JADE_OK;
    struct jadei_value at[3];
    const char *name;
    struct jade_str word;
    enum jade_scope scope;
    struct jade_key key;
    char secret[JADE_KEY_SECRET_SIZE];
    JADE_TRY(jadei_read_fields(c->body, fields, 3, at, err));
    for (unsigned i = 0; i < 2; i++) {
        if (!at[i].given) {
            rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, fields[i].name,
                                 "missing; expected a string");
            goto out;
        }
    }
    JADE_TRY(jadei_read_text(at[0].v, "name", &name, err));
    JADE_TRY(jadei_read_string(at[1].v, "scope", &word, err));
    JADE_TRY(jade_scope_parse(word.p, word.n, &scope, err));
    JADE_TRY(jade_auth_create(jade_node_auth(c->api->node), name, scope, &key, secret, err));
    jadei_reply_begin(c, 201, "key created; its text is shown this once");
    out_key(&c->out, &key, secret);
    explicit_bzero(secret, sizeof secret);
out:
    return rc;
}

jade_code jadei_keys_list(struct jadei_call *c, struct jade_err *err)
{
    struct jade_key *keys = NULL;
    size_t n = 0;
    jade_code rc = jade_auth_list(jade_node_auth(c->api->node), &keys, &n, err);
    if (rc != JADE_OK) {
        return rc;
    }
    jadei_reply_begin(c, 200, "keys");
    jade_out_object(&c->out);
    jade_out_key(&c->out, "keys");
    jade_out_array(&c->out);
    for (size_t i = 0; i < n; i++) {
        out_key(&c->out, &keys[i], NULL);
    }
    jade_out_array_end(&c->out);
    jade_out_key_u64(&c->out, "count", n);
    jade_out_object_end(&c->out);
    jade_free(keys);
    return JADE_OK;
}

jade_code jadei_keys_delete(struct jadei_call *c, struct jade_err *err)
{
    jade_code rc = jade_auth_delete(jade_node_auth(c->api->node), c->path[0].p, err);
    if (rc != JADE_OK) {
        return rc;
    }
    jadei_reply_begin(c, 200, "key deleted");
    jade_out_object(&c->out);
    jade_out_key_str(&c->out, "keyId", c->path[0].p);
    jade_out_key_bool(&c->out, "deleted", true);
    jade_out_object_end(&c->out);
    return JADE_OK;
}
