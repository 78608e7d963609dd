/*
 * A key as the catalog holds it, under "key/<id>": {"formatVersion":1,"id","name","scope","last4","createdUs","sha256"}.
 */
#include <string.h>

#include "auth/auth_private.h"
#include "format/json.h"
#include "format/json_out.h"

enum { FORMAT_VERSION = 1, ROW_BYTES_MAX = 4096 };

static void hex(const uint8_t *bytes, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * n] = '\0';
}

static bool unhex(struct jade_str text, uint8_t *out, size_t n)
{
    if (text.n != 2 * n) {
        return false;
    }
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                                                : 16;
        if (digit > 15) {
            return false;
        }
        out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | digit : digit << 4);
    }
    return true;
}

void jadei_key_encode(const struct jadei_stored_key *k, struct jade_buf *out)
{
    struct jade_json_out o;
    char digest[2 * JADEI_DIGEST_BYTES + 1];
    hex(k->digest, JADEI_DIGEST_BYTES, digest);
    jade_json_out_init(&o, out);
    jade_out_object(&o);
    jade_out_key_u64(&o, "formatVersion", FORMAT_VERSION);
    jade_out_key_str(&o, "id", k->key.id);
    jade_out_key_str(&o, "name", k->key.name);
    jade_out_key_str(&o, "scope", jade_scope_name(k->key.scope));
    jade_out_key_str(&o, "last4", k->key.last4);
    jade_out_key_i64(&o, "createdUs", k->key.created_us);
    jade_out_key_str(&o, "sha256", digest);
    jade_out_object_end(&o);
}

static bool member(struct jade_json root, const char *key, enum jade_json_type type,
                   struct jade_json *out)
{
    return jade_json_get(root, key, out) && jade_json_type(*out) == type;
}

/** Copies a string member into a field of `size` bytes. */
static bool text_member(struct jade_json root, const char *key, char *out, size_t size)
{
    struct jade_json v;
    if (!member(root, key, JADE_JSON_STRING, &v)) {
        return false;
    }
    struct jade_str s = jade_json_string(v);
    if (s.n >= size || memchr(s.p, 0, s.n)) {
        return false;
    }
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return true;
}

static jade_code decode(struct jade_json root, struct jadei_stored_key *out, struct jade_err *err)
{
    struct jade_json v;
    if (jade_json_type(root) != JADE_JSON_OBJECT ||
        !member(root, "formatVersion", JADE_JSON_INT, &v)) {
        return jade_fail(err, JADE_E_CORRUPT, "an API key in the catalog is no key");
    }
    if (jade_json_int(v) != FORMAT_VERSION) {
        return jade_fail(err, JADE_E_VERSION, "an API key of format %lld, this build knows %d",
                         (long long)jade_json_int(v), FORMAT_VERSION);
    }
    char scope[16];
    bool ok = text_member(root, "id", out->key.id, sizeof out->key.id) &&
              text_member(root, "name", out->key.name, sizeof out->key.name) &&
              text_member(root, "last4", out->key.last4, sizeof out->key.last4) &&
              text_member(root, "scope", scope, sizeof scope) &&
              jade_scope_parse(scope, strlen(scope), &out->key.scope, NULL) == JADE_OK &&
              member(root, "sha256", JADE_JSON_STRING, &v) &&
              unhex(jade_json_string(v), out->digest, JADEI_DIGEST_BYTES) &&
              member(root, "createdUs", JADE_JSON_INT, &v);
    if (!ok) {
        return jade_fail(err, JADE_E_CORRUPT, "an API key in the catalog lacks a part");
    }
    out->key.created_us = jade_json_int(v);
    return JADE_OK;
}

jade_code jadei_key_decode(const void *json, size_t n, struct jadei_stored_key *out,
                           struct jade_err *err)
{
    struct jade_json_parser *parser = NULL;
    struct jade_json root;
    jade_code rc = JADE_OK;
    memset(out, 0, sizeof *out);
    JADE_TRY(jade_json_parser_new(ROW_BYTES_MAX, 4, &parser, err));
    rc = jade_json_parse(parser, json, n, &root, err);
    if (rc == JADE_E_INVALID_JSON || rc == JADE_E_TOO_LARGE) {
        rc = jade_fail(err, JADE_E_CORRUPT, "an API key in the catalog is no JSON");
    }
    if (rc == JADE_OK) {
        rc = decode(root, out, err);
    }
out:
    jade_json_parser_free(parser);
    return rc;
}
