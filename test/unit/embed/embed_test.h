/*
 * Shared by the tests of src/embed: cmocka with what it needs, texts, a registry on the simulated disk, a small corpus.
 */
#ifndef JADE_TEST_EMBED_H
#define JADE_TEST_EMBED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "embed/embed_private.h"
#include "os/sim.h"

enum { DIM = JADE_EMBED_HASH_384_DIM };
#define FOLDER       "data/models"
#define MODEL_FOLDER FOLDER "/" JADE_EMBED_HASH_384

/** The call must answer `want`; shows code and message otherwise. `err` must be in scope. */
#define EXPECT(want, call)                                                              \
    do {                                                                                \
        memset(&err, 0, sizeof err);                                                    \
        jade_code got_ = (call);                                                        \
        if (got_ != (want)) {                                                           \
            print_error("%s: got %s (%s)\n", #call, jade_code_name(got_), err.message); \
        }                                                                               \
        assert_int_equal(got_, (want));                                                 \
    } while (0)
#define MUST(call) EXPECT(JADE_OK, call)

static inline struct jade_str str(const char *s)
{
    return (struct jade_str){.p = s, .n = strlen(s)};
}

/* Ten glosses in the manner of a dictionary. */
static const char *const corpus[] = {
    "an elephant native to Africa having enormous flapping ears and ivory tusks",
    "massive herbivorous mammals having tusks and a long trunk",
    "a heavier-than-air craft that flies through the air",
    "someone who plays a musical instrument",
    "a feeling of great sadness and grief",
    "the branch of mathematics that treats of numbers",
    "a large African antelope with curved horns",
    "the ground beneath the trunk of a tree",
    "a mammal of the cat family that lives in Africa",
    "an instrument that measures the weight of a body",
};
enum { CORPUS_TEXTS = sizeof corpus / sizeof corpus[0] };

/** Counts the corpus `times` over, so that its features pass the trainer's smallest document count. */
static inline jade_code add_corpus(struct jade_embed_trainer *t, unsigned times,
                                   struct jade_err *err)
{
    for (unsigned i = 0; i < times * CORPUS_TEXTS; i++) {
        jade_code rc = jade_embed_trainer_add(t, str(corpus[i % CORPUS_TEXTS]), err);
        if (rc != JADE_OK) {
            return rc;
        }
    }
    return JADE_OK;
}

/** Trains on the corpus, into e. */
static inline jade_code train(struct jade_embed *e, const char *name, unsigned times,
                              const struct jade_embed_model **out, struct jade_err *err)
{
    struct jade_embed_trainer *t = NULL;
    *out = NULL;
    jade_code rc = jade_embed_trainer_new(&t, err);
    if (rc == JADE_OK) {
        rc = add_corpus(t, times, err);
    }
    if (rc == JADE_OK) {
        rc = jade_embed_trainer_finish(t, e, name, out, err);
    }
    jade_embed_trainer_free(t);
    return rc;
}

static inline double cosine(const float *a, const float *b)
{
    double sum = 0;
    for (unsigned i = 0; i < DIM; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

#endif
