/*
 * The IDF table and its file form (docs/formats/model.md describes every byte).
 *
 * A content has one encoding: keys ascend strictly, reserved bytes are zero, nothing follows the end. The decoder refuses anything
 * else, so that a version name, which is made of the content's hash, stands for one file.
 */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "embed/embed_private.h"
#include "format/codec.h"

enum {
    FORMAT_VERSION = 1,
    MAGIC_BYTES = 8,
    HASH_AT = 16,
    HASH_BYTES = 16,
    HASHED_FROM = 32,
    CORPUS_BYTES = 32,
    HEADER_BYTES = 96,
    ENTRY_BYTES = 10,
    CRC_BYTES = 4,
    VERSION_HEX = 8,
};
_Static_assert(CORPUS_BYTES > (int)JADE_EMBED_CORPUS_CHARS, "the name and its NUL fit");
_Static_assert(JADE_EMBED_NAME_SIZE > JADE_EMBED_CORPUS_CHARS + 1 + (int)VERSION_HEX,
               "a version name fits");

static const uint8_t magic[MAGIC_BYTES] = {'J', 'A', 'D', 'E', 'I', 'D', 'F', 0};

bool jadei_corpus_name_ok(const char *corpus)
{
    size_t n = strnlen(corpus, JADE_EMBED_CORPUS_CHARS + 1);
    if (n == 0 || n > JADE_EMBED_CORPUS_CHARS || corpus[0] < 'a' || corpus[0] > 'z') {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        char c = corpus[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) {
            return false;
        }
    }
    return true;
}

jade_code jadei_idf_encode(const struct jadei_idf *head, const struct jadei_idf_entry *entries,
                           uint32_t n, struct jade_buf *out, struct jade_err *err)
{
    static const uint8_t zeros[CORPUS_BYTES] = {0};
    size_t from = out->len;
    jade_buf_append(out, magic, MAGIC_BYTES);
    jade_put_u32(out, FORMAT_VERSION);
    jade_put_u32(out, 0);
    jade_buf_append(out, zeros, HASH_BYTES); /* filled in below */
    jade_put_u32(out, JADEI_ALGORITHM);
    jade_put_u32(out, JADE_EMBED_HASH_384_DIM);
    jade_put_u64(out, head->n_documents);
    jade_put_u32(out, n);
    jade_put_u16(out, head->unseen);
    jade_put_u16(out, 0);
    jade_buf_append(out, head->corpus, strlen(head->corpus));
    jade_buf_append(out, zeros, CORPUS_BYTES - strlen(head->corpus));
    jade_put_u64(out, 0);
    for (uint32_t i = 0; i < n; i++) {
        jade_put_u64(out, entries[i].key);
    }
    for (uint32_t i = 0; i < n; i++) {
        jade_put_u16(out, entries[i].weight);
    }
    jade_code rc = jade_buf_status(out, err);
    if (rc == JADE_OK) {
        uint8_t *p = out->data + from;
        jade_hash128(p + HASHED_FROM, out->len - from - HASHED_FROM, p + HASH_AT);
        jade_put_u32(out, jade_crc32c(0, p, out->len - from));
        rc = jade_buf_status(out, err);
    }
    return rc;
}

static jade_code damaged(struct jade_err *err, const char *what)
{
    return jade_fail(err, JADE_E_CORRUPT, "embedding model file: %s", what);
}

/* Magic, version, checksum: what can be said before any field is believed. */
static jade_code check_envelope(const uint8_t *p, size_t n, struct jade_err *err)
{
    if (n < HEADER_BYTES + CRC_BYTES || memcmp(p, magic, MAGIC_BYTES) != 0) {
        return damaged(err, "not a model file, or cut off");
    }
    bool crc_ok = jade_load_u32(p + n - CRC_BYTES) == jade_crc32c(0, p, n - CRC_BYTES);
    uint32_t format = jade_load_u32(p + MAGIC_BYTES);
    if (crc_ok && format > FORMAT_VERSION) {
        return jade_fail(err, JADE_E_VERSION,
                         "embedding model file: format %u, this program reads up to %u", format,
                         FORMAT_VERSION);
    }
    if (!crc_ok || format == 0) {
        return damaged(err, "checksum does not match");
    }
    uint8_t hash[HASH_BYTES];
    jade_hash128(p + HASHED_FROM, n - HASHED_FROM - CRC_BYTES, hash);
    return memcmp(hash, p + HASH_AT, HASH_BYTES) == 0 ? JADE_OK
                                                      : damaged(err, "content hash does not match");
}

static bool all_zero(const uint8_t *p, size_t n)
{
    uint8_t bits = 0;
    for (size_t i = 0; i < n; i++) {
        bits |= p[i];
    }
    return bits == 0;
}

static jade_code read_header(const uint8_t *p, size_t n, struct jadei_idf *out,
                             struct jade_err *err)
{
    struct jade_reader r = jade_reader_of(p, n);
    (void)jade_get_bytes(&r, MAGIC_BYTES + 4);
    uint32_t reserved = jade_get_u32(&r);
    const uint8_t *hash = jade_get_bytes(&r, HASH_BYTES);
    uint32_t algorithm = jade_get_u32(&r);
    uint32_t dimension = jade_get_u32(&r);
    out->n_documents = jade_get_u64(&r);
    out->n = jade_get_u32(&r);
    out->unseen = jade_get_u16(&r);
    reserved |= jade_get_u16(&r);
    const uint8_t *corpus = jade_get_bytes(&r, CORPUS_BYTES);
    reserved |= jade_get_u64(&r) != 0;
    jade_code rc = jade_reader_status(&r, "embedding model file", err);
    if (rc != JADE_OK) {
        return rc;
    }
    if (algorithm != JADEI_ALGORITHM || dimension != JADE_EMBED_HASH_384_DIM) {
        return jade_fail(
            err, JADE_E_VERSION,
            "embedding model file: algorithm %u with %u dimensions, this program knows %u with %u",
            algorithm, dimension, JADEI_ALGORITHM, JADE_EMBED_HASH_384_DIM);
    }
    if (out->n > JADE_EMBED_MODEL_FEATURES_MAX ||
        n - HEADER_BYTES - CRC_BYTES != (size_t)out->n * ENTRY_BYTES) {
        return damaged(err, "size and number of features disagree");
    }
    size_t name = strnlen((const char *)corpus, CORPUS_BYTES);
    if (name > JADE_EMBED_CORPUS_CHARS || !all_zero(corpus + name, CORPUS_BYTES - name) ||
        reserved != 0) {
        return damaged(err, "a reserved byte is set");
    }
    memcpy(out->corpus, corpus, name + 1);
    if (!jadei_corpus_name_ok(out->corpus) || out->unseen == 0 || out->n_documents == 0) {
        return damaged(err, "a header field is out of its range");
    }
    for (unsigned i = 0; i < HASH_BYTES; i++) {
        (void)snprintf(out->hash + (size_t)2 * i, 3, "%02x", hash[i]);
    }
    return JADE_OK;
}

static size_t slot_of(const struct jadei_idf *idf, uint64_t key)
{
    size_t i = key & (idf->n_slots - 1);
    while (idf->keys[i] != 0 && idf->keys[i] != key) {
        i = (i + 1) & (idf->n_slots - 1);
    }
    return i;
}

static jade_code read_entries(const uint8_t *keys, struct jadei_idf *out, struct jade_err *err)
{
    const uint8_t *weights = keys + (size_t)out->n * 8;
    uint64_t before = 0;
    for (uint32_t i = 0; i < out->n; i++) {
        uint64_t key = jade_load_u64(keys + (size_t)i * 8);
        uint16_t weight = jade_load_u16(weights + (size_t)i * 2);
        if (key <= before || weight == 0) {
            return damaged(err, "features are out of order, or one weighs nothing");
        }
        before = key;
        size_t slot = slot_of(out, key);
        out->keys[slot] = key;
        out->weights[slot] = weight;
    }
    return JADE_OK;
}

jade_code jadei_idf_decode(const void *bytes, size_t n, struct jadei_idf *out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const uint8_t *p = bytes;
    *out = (struct jadei_idf){0};
    JADE_TRY(check_envelope(p, n, err));
    JADE_TRY(read_header(p, n, out, err));
    out->n_slots = 2;
    while (out->n_slots < (size_t)out->n * 2) {
        out->n_slots *= 2;
    }
    out->keys = jade_calloc(JADE_TAG_MODEL, out->n_slots, sizeof *out->keys);
    out->weights = jade_calloc(JADE_TAG_MODEL, out->n_slots, sizeof *out->weights);
    if (out->keys == NULL || out->weights == NULL) {
        rc = jade_fail(err, JADE_E_NOMEM, "no memory for a model of %u features", out->n);
        goto out;
    }
    JADE_TRY(read_entries(p + HEADER_BYTES, out, err));
out:
    if (rc != JADE_OK) {
        jadei_idf_release(out);
    }
    return rc;
}

void jadei_idf_release(struct jadei_idf *idf)
{
    jade_free(idf->keys);
    jade_free(idf->weights);
    *idf = (struct jadei_idf){0};
}

uint16_t jadei_idf_weight(const struct jadei_idf *idf, uint64_t key)
{
    if (idf->n == 0) {
        return idf->unseen;
    }
    size_t slot = slot_of(idf, key);
    return idf->keys[slot] == 0 ? idf->unseen : idf->weights[slot];
}

void jadei_idf_version(const struct jadei_idf *idf, char out[static JADE_EMBED_NAME_SIZE])
{
    (void)snprintf(out, JADE_EMBED_NAME_SIZE, "%s-%.*s", idf->corpus, VERSION_HEX, idf->hash);
}
