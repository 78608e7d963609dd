/*
 * Counting document frequencies, and making an IDF table of them.
 *
 * The count table has a bound. When it is full, features seen fewest times go and the rest stay (the pruning step of lossy counting:
 * Manku and Motwani 2002, section 4.2); what goes was going to be "unseen" in all likelihood. WordNet's glosses stay below the bound, so that
 * their table does not depend on the order of texts.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "embed/embed_private.h"

enum {
    SLOTS_FIRST = 1 << 16,
    SLOTS_MAX = 1 << 22,
    /* Rarer features all get one weight: below this the estimate is noise, and they are nine tenths of the table. */
    DOCUMENTS_MIN = 4,
    /*
     * What was hardly ever seen is mostly misspelt, and its energy is noise in every product. With half the weight that its rarity
     * would give, texts are found by misspelt words among the first ten in 60 % of cases instead of 47 % (bench/embed_eval, seed 7).
     */
    UNSEEN_DIVISOR = 2,
};
_Static_assert(JADE_EMBED_TRAIN_FEATURES_MAX <= SLOTS_MAX / 4 * 3,
               "the fullest table is three quarters full");

struct jade_embed_trainer {
    struct jadei_features features;
    uint64_t *keys;      /* 0 = empty */
    uint32_t *documents; /* texts that have the feature */
    size_t n_slots;      /* power of two */
    size_t n_used;
    uint64_t n_documents;
    bool finished;
};

jade_code jade_embed_trainer_new(struct jade_embed_trainer **out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    *out = NULL;
    struct jade_embed_trainer *t = jade_calloc(JADE_TAG_MODEL, 1, sizeof *t);
    if (t == NULL) {
        return jade_fail(err, JADE_E_NOMEM, "no memory for training an embedding model");
    }
    JADE_TRY(jadei_features_init(&t->features, err));
    t->n_slots = SLOTS_FIRST;
    t->keys = jade_calloc(JADE_TAG_MODEL, t->n_slots, sizeof *t->keys);
    t->documents = jade_calloc(JADE_TAG_MODEL, t->n_slots, sizeof *t->documents);
    if (t->keys == NULL || t->documents == NULL) {
        rc = jade_fail(err, JADE_E_NOMEM, "no memory for training an embedding model");
        goto out;
    }
    *out = t;
    t = NULL;
out:
    jade_embed_trainer_free(t);
    return rc;
}

void jade_embed_trainer_free(struct jade_embed_trainer *t)
{
    if (t != NULL) {
        jadei_features_release(&t->features);
        jade_free(t->keys);
        jade_free(t->documents);
        jade_free(t);
    }
}

static size_t slot_of(const uint64_t *keys, size_t n_slots, uint64_t key)
{
    size_t i = key & (n_slots - 1);
    while (keys[i] != 0 && keys[i] != key) {
        i = (i + 1) & (n_slots - 1);
    }
    return i;
}

static size_t count_at_least(const struct jade_embed_trainer *t, uint64_t documents)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n_slots; i++) {
        n += t->keys[i] != 0 && t->documents[i] >= documents;
    }
    return n;
}

/* Moves what occurs in at least documents_min texts to a table of n_slots. */
static jade_code rebuild(struct jade_embed_trainer *t, size_t n_slots, uint64_t documents_min,
                         struct jade_err *err)
{
    uint64_t *keys = jade_calloc(JADE_TAG_MODEL, n_slots, sizeof *keys);
    uint32_t *documents = jade_calloc(JADE_TAG_MODEL, n_slots, sizeof *documents);
    if (keys == NULL || documents == NULL) {
        jade_free(keys);
        jade_free(documents);
        return jade_fail(err, JADE_E_NOMEM, "no memory to count more than %zu features", t->n_used);
    }
    size_t n_used = 0;
    for (size_t i = 0; i < t->n_slots; i++) {
        if (t->keys[i] != 0 && t->documents[i] >= documents_min) {
            size_t slot = slot_of(keys, n_slots, t->keys[i]);
            keys[slot] = t->keys[i];
            documents[slot] = t->documents[i];
            n_used++;
        }
    }
    jade_free(t->keys);
    jade_free(t->documents);
    t->keys = keys;
    t->documents = documents;
    t->n_slots = n_slots;
    t->n_used = n_used;
    return JADE_OK;
}

/* Room for n more features: a larger table, or at its bound a thinner one. */
static jade_code make_room(struct jade_embed_trainer *t, size_t n, struct jade_err *err)
{
    while (t->n_used + n > t->n_slots / 4 * 3) {
        uint64_t documents_min = 0;
        size_t n_slots = t->n_slots * 2;
        if (t->n_slots == SLOTS_MAX) {
            n_slots = SLOTS_MAX;
            documents_min = 2;
            while (count_at_least(t, documents_min) > JADE_EMBED_TRAIN_FEATURES_MAX / 2) {
                documents_min++;
            }
        }
        jade_code rc = rebuild(t, n_slots, documents_min, err);
        if (rc != JADE_OK) {
            return rc;
        }
    }
    return JADE_OK;
}

jade_code jade_embed_trainer_add(struct jade_embed_trainer *t, struct jade_str text,
                                 struct jade_err *err)
{
    jade_code rc = JADE_OK;
    JADE_ASSERT(!t->finished);
    JADE_TRY(jadei_features_of(&t->features, text, "text", err));
    JADE_TRY(make_room(t, t->features.n_used, err));
    for (size_t i = 0; i < t->features.n_used; i++) {
        uint64_t key = jadei_features_at(&t->features, i)->hash;
        size_t slot = slot_of(t->keys, t->n_slots, key);
        t->n_used += t->keys[slot] == 0;
        t->keys[slot] = key;
        t->documents[slot] += t->documents[slot] < UINT32_MAX;
    }
    t->n_documents++;
out:
    return rc;
}

/*
 * The square root of BM25's inverse document frequency in its form that stays positive (Robertson and Zaragoza 2009, section 3.3,
 * with 1 added). A feature that two texts share then counts once by its IDF in their product, as in BM25, and not by its square:
 * bench/embed_eval found what it looks for at rank 19 instead of 73 (mean, a third of a gloss's words as query).
 */
static uint16_t weight_of(double documents, double n_documents)
{
    double weight =
        sqrt(log(1 + (n_documents - documents + 0.5) / (documents + 0.5))) * JADEI_WEIGHT_ONE;
    return weight < 1 ? 1 : (uint16_t)lround(weight); /* sqrt(ln(2^64)) * 1024 < 2^13 */
}

static uint64_t smallest_kept(const struct jade_embed_trainer *t)
{
    uint64_t low = DOCUMENTS_MIN;
    uint64_t high = (uint64_t)UINT32_MAX + 1; /* nothing has that many */
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (count_at_least(t, middle) > JADE_EMBED_MODEL_FEATURES_MAX) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static int by_key(const void *a, const void *b)
{
    uint64_t x = ((const struct jadei_idf_entry *)a)->key;
    uint64_t y = ((const struct jadei_idf_entry *)b)->key;
    return (x > y) - (x < y);
}

static jade_code encode(const struct jade_embed_trainer *t, const char *corpus,
                        struct jade_buf *out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    uint64_t documents_min = smallest_kept(t);
    uint32_t n = (uint32_t)count_at_least(t, documents_min);
    double total = (double)t->n_documents;
    struct jadei_idf head = {.n_documents = t->n_documents};
    head.unseen = (uint16_t)(weight_of((double)(documents_min - 1) / 2, total) / UNSEEN_DIVISOR);
    memcpy(head.corpus, corpus, strlen(corpus) + 1);
    struct jadei_idf_entry *entries = jade_alloc(JADE_TAG_MODEL, n * sizeof *entries);
    if (entries == NULL) {
        return jade_fail(err, JADE_E_NOMEM, "no memory for a model of %u features", n);
    }
    uint32_t at = 0;
    for (size_t i = 0; i < t->n_slots; i++) {
        if (t->keys[i] != 0 && t->documents[i] >= documents_min) {
            entries[at++] = (struct jadei_idf_entry){t->keys[i], weight_of(t->documents[i], total)};
        }
    }
    qsort(entries, n, sizeof *entries, by_key);
    rc = jadei_idf_encode(&head, entries, n, out, err);
    jade_free(entries);
    return rc;
}

jade_code jade_embed_trainer_finish(struct jade_embed_trainer *t, struct jade_embed *e,
                                    const char *corpus, const struct jade_embed_model **out,
                                    struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_buf file;
    *out = NULL;
    jade_buf_init(&file, JADE_TAG_MODEL);
    if (!jadei_corpus_name_ok(corpus)) {
        rc = jade_fail_field(
            err, JADE_E_INVALID_ARGUMENT, "corpus",
            "a corpus name is 1 to %u of a-z, 0-9 and '-', a letter first; got \"%.64s\"",
            JADE_EMBED_CORPUS_CHARS, corpus);
        goto out;
    }
    if (t->n_documents == 0) {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "corpus",
                             "no text was added: there is nothing to learn from");
        goto out;
    }
    t->finished = true;
    JADE_TRY(encode(t, corpus, &file, err));
    JADE_TRY(jadei_registry_adopt(e, file.data, file.len, out, err));
out:
    jade_buf_release(&file);
    return rc;
}
