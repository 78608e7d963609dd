/*
 * API keys: who may call, and what (API-009..012).
 *
 * A key is "jade_" and 43 base62 digits of 32 random bytes (or the JADE_ADMIN_KEY that the operator chose). Its text is shown once;
 * stored is its SHA-256 with id, name, scope, time and the last 4 characters. A fast hash is enough: 256 random bits cannot be guessed
 * from it; an operator's own key must have JADE_KEY_GIVEN_MIN characters.
 *
 * Invariants: 1. neither the text of a key nor its hash is logged or listed. 2. A deleted key fails from the moment jade_auth_delete returns.
 * 3. There is always an admin key: the last one cannot be deleted. 4. Verifying takes the same time whichever key, if any, matches.
 *
 * Ownership: jade_auth borrows catalog and os. Threads: all functions but open and close from any thread; verify takes a shared lock only.
 *
 * Calling sequence:
 *     jade_auth_open(catalog, os, &a, err);
 *     jade_auth_bootstrap(a, getenv("JADE_ADMIN_KEY"), &outcome, secret, err);   // prints `secret` when outcome says so
 *     each request: jade_auth_verify(a, text, n, &key, err), then jade_auth_require(&key, JADE_SCOPE_READ_WRITE, err)
 */
#ifndef JADE_AUTH_AUTH_H
#define JADE_AUTH_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "catalog/catalog.h"
#include "os/os.h"

enum {
    JADE_KEY_SECRET_SIZE = 64, /* room for the text of a made key with its NUL (48 characters) */
    JADE_KEY_GIVEN_MIN = 16,   /* shortest JADE_ADMIN_KEY */
    JADE_KEY_TEXT_MAX = 256,   /* longest text that is looked at */
    JADE_KEY_ID_SIZE = 32,     /* "key_" and 22 base62 characters, NUL */
    JADE_KEY_NAME_MAX = 128,   /* bytes of a key's name */
    JADE_KEYS_MAX = 1024,      /* verifying looks at each one: 1024 take about 20 µs */
};

/** Each scope includes the ones before it. */
enum jade_scope { JADE_SCOPE_READ_ONLY = 1, JADE_SCOPE_READ_WRITE = 2, JADE_SCOPE_ADMIN = 3 };
/** "read-only", "read-write", "admin" in any case; else JADE_E_INVALID_ARGUMENT with field "scope". */
jade_code jade_scope_parse(const char *word, size_t n, enum jade_scope *out, struct jade_err *err);
const char *jade_scope_name(enum jade_scope scope);

/** What may be shown of a key. */
struct jade_key {
    char id[JADE_KEY_ID_SIZE];
    char name[JADE_KEY_NAME_MAX + 1];
    char last4[5];
    enum jade_scope scope;
    int64_t created_us;
};

struct jade_auth;

/** Loads every key into memory. Errors: JADE_E_CORRUPT, JADE_E_VERSION, JADE_E_IO, JADE_E_NOMEM. */
jade_code jade_auth_open(struct jade_catalog *catalog, struct jade_os *os, struct jade_auth **out,
                         struct jade_err *err);
/** NULL is allowed. No call may be running. */
void jade_auth_close(struct jade_auth *a);

enum jade_bootstrap {
    JADE_BOOTSTRAP_PRESENT, /* keys exist; the given one, if any, is among them */
    JADE_BOOTSTRAP_CREATED, /* first start: a key was made, its text is in secret_out: show it once */
    JADE_BOOTSTRAP_GIVEN,   /* first start: the given text is the admin key now */
    JADE_BOOTSTRAP_IGNORED, /* keys exist and the given text is none of them: it stays without effect (it may have been deleted); say so */
};
/**
 * Makes sure that there is an admin key. `given` is JADE_ADMIN_KEY or NULL (not set). Call once, before the first request.
 * Errors: JADE_E_INVALID_ARGUMENT with field "JADE_ADMIN_KEY" (fewer than 16 or more than 256 characters, or not printable ASCII
 * without spaces), whether or not keys exist; errors of jade_auth_create.
 */
jade_code jade_auth_bootstrap(struct jade_auth *a, const char *given,
                              enum jade_bootstrap *outcome_out,
                              char secret_out[JADE_KEY_SECRET_SIZE], struct jade_err *err);
/**
 * Makes a key; secret_out is its text, which cannot be had again. name: 1..128 bytes of UTF-8 without control characters (field "name").
 * Errors: JADE_E_INVALID_ARGUMENT, JADE_E_TOO_LARGE (JADE_KEYS_MAX keys exist), JADE_E_IO, JADE_E_NOSPACE, JADE_E_NOMEM.
 */
jade_code jade_auth_create(struct jade_auth *a, const char *name, enum jade_scope scope,
                           struct jade_key *out, char secret_out[JADE_KEY_SECRET_SIZE],
                           struct jade_err *err);
/** All keys, oldest first, in fresh memory (jade_free). */
jade_code jade_auth_list(struct jade_auth *a, struct jade_key **keys_out, size_t *n_out,
                         struct jade_err *err);
/** Errors: JADE_E_NOT_FOUND (field "id"), JADE_E_CONFLICT (the last admin key). */
jade_code jade_auth_delete(struct jade_auth *a, const char *id, struct jade_err *err);
/** The key whose text this is. Errors: JADE_E_UNAUTHORIZED, whose message tells nothing about the keys that exist; JADE_E_NOMEM. */
jade_code jade_auth_verify(struct jade_auth *a, const char *text, size_t n, struct jade_key *out,
                           struct jade_err *err);

bool jade_scope_allows(enum jade_scope have, enum jade_scope need);
/** JADE_OK, or JADE_E_FORBIDDEN naming the scope that is missing and the one that the key has. */
jade_code jade_auth_require(const struct jade_key *key, enum jade_scope need, struct jade_err *err);

#endif
