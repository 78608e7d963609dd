/*
 * Features to a vector: weigh, project to 384 numbers, scale to length 1.
 *
 * Projection: a sparse sign matrix in block form, one entry in each of 6 blocks of 64 (Kane and Nelson 2014, "Sparser
 * Johnson-Lindenstrauss transforms", the block construction). A feature's column is read from its own hash, so that no matrix is
 * stored; each column has exactly 6 entries, so that single features keep their length.
 *
 * Balance: words, word pairs and character n-grams are brought to fixed shares of the squared length before they are added. The
 * cosine of two texts is then share-weighted: a long word's many n-grams do not drown the words.
 *
 * Bit-equal everywhere: weights and sums are integers, exact in any order. Floats appear in the last step only, as products,
 * sums in a fixed order, divisions and square roots of IEEE doubles. x86-64's baseline has no fused multiply-add; a port to a
 * machine that fuses by default needs -ffp-contract=off to keep the last bit (without it: within 1e-7).
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "embed/embed_private.h"

/* Shares of the squared length, in the order of enum jadei_kind; see README.md for how they were found. */
static const double shares[JADEI_KIND_COUNT] = {0.30, 0.05, 0.65};

/* 1 + ln(count) with 8 fraction bits: a word that comes 10 times says more than once, but not 10 times as much. */
static const uint16_t count_weight[] = {0,   256, 433, 537, 611, 668, 715, 754, 788,
                                        818, 845, 870, 892, 913, 932, 949, 966};
enum { COUNT_WEIGHT_MAX = sizeof count_weight / sizeof count_weight[0] - 1 };

struct sums {
    int64_t at[JADEI_KIND_COUNT][JADE_EMBED_HASH_384_DIM];
    double energy[JADEI_KIND_COUNT]; /* sums of squared weights */
};

static void add_feature(struct sums *s, const struct jadei_feature *f, uint16_t idf)
{
    int64_t weight =
        (int64_t)idf * count_weight[f->count < COUNT_WEIGHT_MAX ? f->count : COUNT_WEIGHT_MAX];
    int64_t *block = s->at[f->kind];
    uint64_t bits = f->hash;
    for (unsigned b = 0; b < JADEI_BLOCKS; b++) {
        size_t place = bits & (JADEI_BLOCK_DIM - 1);
        int64_t sign = 1 - 2 * (int64_t)((bits >> JADEI_BLOCK_BITS) & 1);
        block[place] += sign * weight;
        bits >>= JADEI_BLOCK_BITS + 1;
        block += JADEI_BLOCK_DIM;
    }
    s->energy[f->kind] += (double)(weight * weight); /* a weight is below 2^26: exact */
}

/* False when nothing is left: no feature at all, or features that cancel to the last bit. */
static bool finish(const struct sums *s, float *out)
{
    double scale[JADEI_KIND_COUNT];
    double x[JADE_EMBED_HASH_384_DIM];
    double squares = 0;
    for (unsigned k = 0; k < JADEI_KIND_COUNT; k++) {
        scale[k] = s->energy[k] > 0 ? sqrt(shares[k] / s->energy[k]) : 0;
    }
    for (unsigned i = 0; i < JADE_EMBED_HASH_384_DIM; i++) {
        x[i] = 0;
        for (unsigned k = 0; k < JADEI_KIND_COUNT; k++) {
            x[i] += scale[k] * (double)s->at[k][i];
        }
        squares += x[i] * x[i];
    }
    if (!(squares > 0)) {
        return false;
    }
    double length = sqrt(squares);
    for (unsigned i = 0; i < JADE_EMBED_HASH_384_DIM; i++) {
        out[i] = (float)(x[i] / length);
    }
    return true;
}

static jade_code embed_one(const struct jade_embed_model *m, struct jadei_features *f,
                           struct jade_str text, size_t i, float *out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct sums s;
    char field[32];
    (void)snprintf(field, sizeof field, "texts[%zu]", i);
    JADE_TRY(jadei_features_of(f, text, field, err));
    memset(&s, 0, sizeof s);
    for (size_t j = 0; j < f->n_used; j++) {
        const struct jadei_feature *feature = jadei_features_at(f, j);
        add_feature(&s, feature, jadei_idf_weight(&m->idf, feature->hash));
    }
    if (!finish(&s, out)) {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, field,
                             "nothing to embed: no letter, digit or symbol in %zu bytes of text",
                             text.n);
    }
out:
    return rc;
}

jade_code jade_embed_texts(const struct jade_embed_model *m, const struct jade_str *texts, size_t n,
                           float *out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_features f;
    JADE_TRY(jadei_features_init(&f, err));
    for (size_t i = 0; i < n; i++) {
        JADE_TRY(embed_one(m, &f, texts[i], i, out + i * JADE_EMBED_HASH_384_DIM, err));
    }
out:
    jadei_features_release(&f);
    return rc;
}
