/*
 * Embedding model files (checksums made right when the first byte says so, so that the checks behind them are reached), and
 * text of any bytes through folding and features. Invariants: nothing is read outside; a model file that is taken is written again with
 * the same bytes; every feature has a hash, a count and a kind.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "embed/embed_private.h"
#include "format/codec.h"

enum { HEADER = 96, CRC = 4, MAKE_SUMS_RIGHT = 1, FILE_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int by_key(const void *a, const void *b)
{
    uint64_t x = ((const struct jadei_idf_entry *)a)->key;
    uint64_t y = ((const struct jadei_idf_entry *)b)->key;
    return (x > y) - (x < y);
}

static void check_round_trip(const struct jadei_idf *idf, const uint8_t *file, size_t n)
{
    struct jade_buf again;
    struct jadei_idf_entry *entries = jade_alloc(JADE_TAG_TEST, (idf->n + 1) * sizeof *entries);
    uint32_t found = 0;
    JADE_ASSERT(entries != NULL);
    for (size_t i = 0; i < idf->n_slots; i++) {
        if (idf->keys[i] != 0) {
            JADE_ASSERT(jadei_idf_weight(idf, idf->keys[i]) == idf->weights[i]);
            JADE_ASSERT(found < idf->n);
            entries[found++] = (struct jadei_idf_entry){idf->keys[i], idf->weights[i]};
        }
    }
    JADE_ASSERT(found == idf->n);
    qsort(entries, found, sizeof *entries, by_key);
    jade_buf_init(&again, JADE_TAG_TEST);
    JADE_ASSERT(jadei_idf_encode(idf, entries, found, &again, NULL) == JADE_OK);
    JADE_ASSERT(again.len == n && memcmp(again.data, file, n) == 0);
    jade_buf_release(&again);
    jade_free(entries);
}

static void model_file(const uint8_t *data, size_t size, bool make_right)
{
    struct jadei_idf idf;
    uint8_t *file = jade_alloc(JADE_TAG_TEST, size); /* just this size: a read past it is seen */
    JADE_ASSERT(file != NULL);
    memcpy(file, data, size);
    if (make_right && size >= HEADER + CRC) {
        jade_hash128(file + 32, size - 32 - CRC, file + 16);
        jade_store_u32(file + size - CRC, jade_crc32c(0, file, size - CRC));
    }
    if (jadei_idf_decode(file, size, &idf, NULL) == JADE_OK) {
        check_round_trip(&idf, file, size);
        jadei_idf_release(&idf);
    }
    jade_free(file);
}

static void text(const uint8_t *data, size_t size)
{
    struct jadei_features f;
    JADE_ASSERT(jadei_features_init(&f, NULL) == JADE_OK);
    if (jadei_features_of(&f, (struct jade_str){.p = (const char *)data, .n = size}, "text",
                          NULL) == JADE_OK) {
        for (size_t i = 0; i < f.n_used; i++) {
            const struct jadei_feature *x = jadei_features_at(&f, i);
            JADE_ASSERT(x->hash != 0 && x->count > 0 && x->kind < JADEI_KIND_COUNT);
        }
    }
    jadei_features_release(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0 && size <= FILE_MAX) {
        model_file(data + 1, size - 1, (data[0] & MAKE_SUMS_RIGHT) != 0);
        text(data + 1, size - 1);
    }
    return 0;
}
