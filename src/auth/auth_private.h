/*
 * Inside src/auth: secrets as text and as hashes, and keys as catalog values.
 */
#ifndef JADE_AUTH_PRIVATE_H
#define JADE_AUTH_PRIVATE_H

#include "auth/auth.h"
#include "base/buf.h"
#include "os/thread.h"

enum { JADEI_DIGEST_BYTES = 32, JADEI_SECRET_BYTES = 32, JADEI_KEY_ID_BYTES = 16 };

/** A key as memory and catalog hold it. */
struct jadei_stored_key {
    struct jade_key key;
    uint8_t digest[JADEI_DIGEST_BYTES]; /* SHA-256 of its text */
};

struct jade_auth {
    struct jade_catalog *catalog;
    struct jade_os *os;
    struct jade_mutex change;      /* one change at a time; taken before `lock` */
    struct jade_rwlock lock;       /* the array below */
    struct jadei_stored_key *keys; /* oldest first */
    size_t n, cap;
};

/* ---- secret.c ---- */

/** n bytes (at most 32) as base62 digits of fixed length, NUL-terminated: 43 for 32 bytes, 22 for 16. */
void jadei_base62(const uint8_t *bytes, size_t n, char *out);
/** Text of a new key. Errors: JADE_E_IO. */
jade_code jadei_secret_make(struct jade_os *os, char secret_out[JADE_KEY_SECRET_SIZE],
                            struct jade_err *err);
/** "key_" and 22 digits. */
jade_code jadei_key_id_make(struct jade_os *os, char id_out[JADE_KEY_ID_SIZE],
                            struct jade_err *err);
/** SHA-256. Errors: JADE_E_NOMEM. */
jade_code jadei_digest(const void *p, size_t n, uint8_t out[JADEI_DIGEST_BYTES],
                       struct jade_err *err);
/** Whether two digests are equal, in a time that does not depend on them. */
bool jadei_digest_equal(const uint8_t a[JADEI_DIGEST_BYTES], const uint8_t b[JADEI_DIGEST_BYTES]);
/** Overwrites a secret so that the compiler may not leave it out. */
void jadei_wipe(void *p, size_t n);

/* ---- key_row.c ---- */

void jadei_key_encode(const struct jadei_stored_key *k, struct jade_buf *out);
/** Errors: JADE_E_CORRUPT, JADE_E_VERSION, JADE_E_NOMEM. */
jade_code jadei_key_decode(const void *json, size_t n, struct jadei_stored_key *out,
                           struct jade_err *err);

#endif
