/*
 * Words to counted features. A feature is known by its 64-bit hash alone (feature hashing: Weinberger et al. 2009, section 2);
 * the kind is the seed, so that a word and the same letters as an n-gram are two features.
 */
#include "base/assert.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "embed/embed_private.h"
#include "format/codec.h"

enum {
    SLOTS_FIRST =
        1024, /* a sentence has about 150 features: the whole set stays in the first cache */
    NGRAM_MIN = 3,
    NGRAM_MAX =
        4, /* 5 finds less: a typo spoils five of them, and they crowd out the shorter (bench/embed_eval) */
};

jade_code jadei_features_init(struct jadei_features *f, struct jade_err *err)
{
    *f = (struct jadei_features){.n_slots = SLOTS_FIRST};
    f->slots = jade_calloc(JADE_TAG_MODEL, SLOTS_FIRST, sizeof *f->slots);
    f->used = jade_alloc(JADE_TAG_MODEL, SLOTS_FIRST / 2 * sizeof *f->used);
    if (f->slots == NULL || f->used == NULL) {
        jadei_features_release(f);
        return jade_fail(err, JADE_E_NOMEM, "no memory for the features of a text");
    }
    return JADE_OK;
}

void jadei_features_release(struct jadei_features *f)
{
    jade_free(f->slots);
    jade_free(f->used);
    *f = (struct jadei_features){0};
}

static size_t slot_of(const struct jadei_feature *slots, size_t n_slots, uint64_t hash)
{
    size_t i = hash & (n_slots - 1);
    while (slots[i].count != 0 && slots[i].hash != hash) {
        i = (i + 1) & (n_slots - 1);
    }
    return i;
}

static jade_code grow(struct jadei_features *f, struct jade_err *err)
{
    size_t n_slots = f->n_slots * 2;
    struct jadei_feature *slots = jade_calloc(JADE_TAG_MODEL, n_slots, sizeof *slots);
    uint32_t *used = jade_alloc(JADE_TAG_MODEL, n_slots / 2 * sizeof *used);
    if (slots == NULL || used == NULL) {
        jade_free(slots);
        jade_free(used);
        return jade_fail(err, JADE_E_NOMEM, "no memory for more than %zu features of a text",
                         f->n_used);
    }
    for (size_t i = 0; i < f->n_used; i++) {
        const struct jadei_feature *from = jadei_features_at(f, i);
        used[i] = (uint32_t)slot_of(slots, n_slots, from->hash);
        slots[used[i]] = *from;
    }
    jade_free(f->slots);
    jade_free(f->used);
    f->slots = slots;
    f->used = used;
    f->n_slots = n_slots;
    return JADE_OK;
}

static jade_code count(struct jadei_features *f, enum jadei_kind kind, const void *p, size_t n,
                       uint64_t *hash_out, struct jade_err *err)
{
    uint64_t hash = jade_hash64(p, n, (uint64_t)kind);
    hash = hash == 0 ? 1 : hash; /* 0 is the empty slot of an IDF table */
    *hash_out = hash;
    size_t i = slot_of(f->slots, f->n_slots, hash);
    if (f->slots[i].count == 0) {
        if (f->n_used == f->n_slots / 2) {
            jade_code rc = grow(f, err);
            if (rc != JADE_OK) {
                return rc;
            }
            i = slot_of(f->slots, f->n_slots, hash);
        }
        f->slots[i] = (struct jadei_feature){.hash = hash, .kind = kind};
        f->used[f->n_used] = (uint32_t)i;
        f->n_used++;
    }
    f->slots[i].count++; /* cannot wrap: a text has at most 64 Ki words */
    return JADE_OK;
}

static jade_code count_pair(struct jadei_features *f, uint64_t before, uint64_t now,
                            struct jade_err *err)
{
    uint8_t both[16];
    uint64_t hash = 0;
    jade_store_u64(both, before);
    jade_store_u64(both + 8, now);
    return count(f, JADEI_KIND_PAIR, both, sizeof both, &hash, err);
}

static jade_code spaced_word(struct jadei_features *f, const struct jadei_word *w,
                             struct jade_err *err)
{
    jade_code rc = JADE_OK;
    uint64_t hash = 0;
    unsigned n = w->n_points;
    JADE_TRY(count(f, JADEI_KIND_WORD, w->bytes, w->start[n], &hash, err));
    if (f->word_before != 0) {
        JADE_TRY(count_pair(f, f->word_before, hash, err));
    }
    f->word_before = hash;
    for (unsigned length = NGRAM_MIN; length <= NGRAM_MAX; length++) {
        for (unsigned i = 0; i + length <= n; i++) {
            uint16_t from = w->start[i];
            JADE_TRY(count(f, JADEI_KIND_CHAR, w->bytes + from,
                           (size_t)(w->start[i + length] - from), &hash, err));
        }
    }
out:
    return rc;
}

/* Runs of ideographs have no spaces: singles stand for characters, pairs for words, triples for word pairs. */
static jade_code ideograph(struct jadei_features *f, const struct jadei_word *w,
                           struct jade_err *err)
{
    jade_code rc = JADE_OK;
    uint64_t hash = 0;
    uint8_t run[3][4] = {{0}};
    uint32_t now = 0;
    size_t used = jade_utf8_decode(w->bytes + 1, (size_t)(w->start[2] - 1), &now);
    JADE_ASSERT(used > 0);
    if (!w->joined) {
        f->ideograph_before[0] = f->ideograph_before[1] = 0;
    }
    jade_store_u32(run[0], f->ideograph_before[0]);
    jade_store_u32(run[1], f->ideograph_before[1]);
    jade_store_u32(run[2], now);
    JADE_TRY(count(f, JADEI_KIND_CHAR, run[2], 4, &hash, err));
    if (f->ideograph_before[1] != 0) {
        JADE_TRY(count(f, JADEI_KIND_WORD, run[1], 8, &hash, err));
    } else {
        /* The first of a run as a word as well: a query of one character has something to meet. */
        JADE_TRY(count(f, JADEI_KIND_WORD, run[2], 4, &hash, err));
    }
    if (f->ideograph_before[0] != 0) {
        JADE_TRY(count(f, JADEI_KIND_PAIR, run[0], 12, &hash, err));
    }
    f->ideograph_before[0] = f->ideograph_before[1];
    f->ideograph_before[1] = now;
    f->word_before = 0;
out:
    return rc;
}

static jade_code on_word(void *ctx, const struct jadei_word *w, struct jade_err *err)
{
    return w->ideographic ? ideograph(ctx, w, err) : spaced_word(ctx, w, err);
}

static void empty(struct jadei_features *f)
{
    for (size_t i = 0; i < f->n_used; i++) {
        f->slots[f->used[i]].count = 0;
    }
    f->n_used = 0;
    f->word_before = 0;
    f->ideograph_before[0] = f->ideograph_before[1] = 0;
}

jade_code jadei_features_of(struct jadei_features *f, struct jade_str text, const char *field,
                            struct jade_err *err)
{
    empty(f);
    if (text.n > JADE_EMBED_TEXT_BYTES_MAX) {
        return jade_fail_field(err, JADE_E_TOO_LARGE, field,
                               "a text of %zu bytes; at most %u are taken", text.n,
                               JADE_EMBED_TEXT_BYTES_MAX);
    }
    if (!jade_utf8_valid(text.p, text.n)) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, field, "the text is not valid UTF-8");
    }
    return jadei_words_each(text, on_word, f, err);
}
