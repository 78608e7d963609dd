/*
 * Secrets of keys: made from the system's randomness, shown in base62, kept as SHA-256 (OpenSSL's libcrypto).
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "auth/auth_private.h"
#include "base/assert.h"

static const char DIGITS[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static const char PREFIX[] = "jade_";

/** Digits that n bytes need: the least d with 62^d >= 256^n, for the two lengths in use. */
static size_t base62_length(size_t n)
{
    JADE_ASSERT(n == JADEI_SECRET_BYTES || n == JADEI_KEY_ID_BYTES);
    return n == JADEI_SECRET_BYTES ? 43 : 22;
}

void jadei_base62(const uint8_t *bytes, size_t n, char *out)
{
    uint8_t number[JADEI_SECRET_BYTES]; /* big-endian, divided by 62 once a digit */
    size_t length = base62_length(n);
    memcpy(number, bytes, n);
    for (size_t i = length; i-- > 0;) {
        unsigned rest = 0;
        for (size_t j = 0; j < n; j++) {
            unsigned value = rest * 256 + number[j];
            number[j] = (uint8_t)(value / 62);
            rest = value % 62;
        }
        out[i] = DIGITS[rest];
    }
    out[length] = '\0';
    jadei_wipe(number, sizeof number);
}

jade_code jadei_secret_make(struct jade_os *os, char secret_out[JADE_KEY_SECRET_SIZE],
                            struct jade_err *err)
{
    uint8_t bytes[JADEI_SECRET_BYTES];
    _Static_assert(sizeof PREFIX - 1 + 43 < JADE_KEY_SECRET_SIZE, "a secret fits");
    jade_code rc = jade_os_random(os, bytes, sizeof bytes, err);
    if (rc == JADE_OK) {
        memcpy(secret_out, PREFIX, sizeof PREFIX - 1);
        jadei_base62(bytes, sizeof bytes, secret_out + sizeof PREFIX - 1);
    }
    jadei_wipe(bytes, sizeof bytes);
    return rc;
}

jade_code jadei_key_id_make(struct jade_os *os, char id_out[JADE_KEY_ID_SIZE], struct jade_err *err)
{
    uint8_t bytes[JADEI_KEY_ID_BYTES];
    jade_code rc = jade_os_random(os, bytes, sizeof bytes, err);
    if (rc == JADE_OK) {
        memcpy(id_out, "key_", 4);
        jadei_base62(bytes, sizeof bytes, id_out + 4);
    }
    return rc;
}

jade_code jadei_digest(const void *p, size_t n, uint8_t out[JADEI_DIGEST_BYTES],
                       struct jade_err *err)
{
    unsigned length = 0;
    if (EVP_Digest(p, n, out, &length, EVP_sha256(), NULL) != 1 || length != JADEI_DIGEST_BYTES) {
        return jade_fail(err, JADE_E_NOMEM, "SHA-256 could not be computed");
    }
    return JADE_OK;
}

bool jadei_digest_equal(const uint8_t a[JADEI_DIGEST_BYTES], const uint8_t b[JADEI_DIGEST_BYTES])
{
    return CRYPTO_memcmp(a, b, JADEI_DIGEST_BYTES) == 0;
}

void jadei_wipe(void *p, size_t n)
{
    OPENSSL_cleanse(p, n);
}
