/*
 * Inside src/embed: text -> words (words.c) -> counted features (features.c) -> vector (project.c), with weights from an
 * IDF table (idf.c). trainer.c makes such tables, registry.c keeps them on disk.
 *
 * Everything that decides a vector's bits (folding, features, hashes, shares, projection) is JADEI_ALGORITHM 1. A change of any of
 * it is a new algorithm number beside this one, never an edit: stored vectors were made with it.
 */
#ifndef JADE_EMBED_PRIVATE_H
#define JADE_EMBED_PRIVATE_H

#include "base/limits.h"
#include "embed/embed.h"

enum {
    JADEI_ALGORITHM = 1,
    JADEI_WEIGHT_ONE = 1024, /* feature weights are fixed point with 10 fraction bits */
    JADEI_BLOCKS = 6,        /* the projection sets one of 64 numbers in each of 6 blocks */
    JADEI_BLOCK_BITS = 6,
    JADEI_BLOCK_DIM = 1 << JADEI_BLOCK_BITS,
};
_Static_assert(JADEI_BLOCKS *JADEI_BLOCK_DIM == JADE_EMBED_HASH_384_DIM,
               "the blocks fill the vector");
_Static_assert(JADEI_BLOCKS *(JADEI_BLOCK_BITS + 1) <= 64,
               "place and sign of each block come from one 64-bit hash");

/* ---- words.c ---- */

/** A folded word between two boundary marks, as UTF-8 with the start of each code point. */
struct jadei_word {
    uint8_t bytes[JADE_EMBED_WORD_POINTS_MAX * 4 + 2];
    uint16_t start[JADE_EMBED_WORD_POINTS_MAX + 3]; /* start[n_points] is the end */
    uint16_t n_points;                              /* marks included: a word of one letter has 3 */
    bool ideographic;                               /* one character of a script without spaces */
    bool joined; /* ideographic, and directly after the one before */
};

typedef jade_code (*jadei_word_fn)(void *ctx, const struct jadei_word *word, struct jade_err *err);

/**
 * Folds text (NFKC, case, width; default-ignorable code points go) and calls fn for each word: a run of letters, marks and
 * digits; one Han, Hiragana, Katakana or Bopomofo character; one other symbol (emoji). `text` must be valid UTF-8.
 */
jade_code jadei_words_each(struct jade_str text, jadei_word_fn fn, void *ctx, struct jade_err *err);

/* ---- features.c ---- */

enum jadei_kind {
    JADEI_KIND_WORD, /* words; pairs of ideographs */
    JADEI_KIND_PAIR, /* pairs of neighbouring words; triples of ideographs */
    JADEI_KIND_CHAR, /* 3 or 4 characters of a marked word; single ideographs */
    JADEI_KIND_COUNT
};

struct jadei_feature {
    uint64_t hash;  /* never 0; the kind is part of what was hashed */
    uint32_t count; /* occurrences in the text; 0 = an empty slot */
    uint32_t kind;
};

/** The distinct features of one text: an open-addressed set that is kept and emptied from text to text. */
struct jadei_features {
    struct jadei_feature *slots;
    uint32_t *used; /* slots in use, in the order of first occurrence */
    size_t n_slots; /* power of two */
    size_t n_used;
    uint64_t word_before;         /* hash of the word before, 0 = none */
    uint32_t ideograph_before[2]; /* code points before in the same run, 0 = none */
};

jade_code jadei_features_init(struct jadei_features *f, struct jade_err *err);
void jadei_features_release(struct jadei_features *f);
/** Replaces the contents by the features of `text`. Errors: as jade_embed_texts, with `field` as the field. */
jade_code jadei_features_of(struct jadei_features *f, struct jade_str text, const char *field,
                            struct jade_err *err);

static inline const struct jadei_feature *jadei_features_at(const struct jadei_features *f,
                                                            size_t i)
{
    return &f->slots[f->used[i]];
}

/* ---- idf.c ---- */

/** Feature weights: read-only once made. A zeroed one (n = 0) with unseen = JADEI_WEIGHT_ONE weighs all the same. */
struct jadei_idf {
    char corpus[JADE_EMBED_CORPUS_CHARS + 1];
    uint64_t n_documents;
    uint16_t unseen; /* weight of a feature that is not in the table */
    uint32_t n;
    uint64_t *keys;    /* [n_slots] open-addressed, 0 = empty */
    uint16_t *weights; /* [n_slots] */
    size_t n_slots;    /* power of two, at least 2 * n; 0 when n = 0 */
    char hash[33];     /* XXH3-128 of the content, hex */
};

struct jadei_idf_entry {
    uint64_t key;
    uint16_t weight;
};

/** Encodes entries (ascending keys, none 0) as a model file. Uses corpus, n_documents and unseen of `head`. */
jade_code jadei_idf_encode(const struct jadei_idf *head, const struct jadei_idf_entry *entries,
                           uint32_t n, struct jade_buf *out, struct jade_err *err);
/** Checks every byte and makes the table. Errors: JADE_E_CORRUPT, JADE_E_VERSION (a newer format), JADE_E_NOMEM. */
jade_code jadei_idf_decode(const void *bytes, size_t n, struct jadei_idf *out,
                           struct jade_err *err);
void jadei_idf_release(struct jadei_idf *idf);
uint16_t jadei_idf_weight(const struct jadei_idf *idf, uint64_t key);
/** "<corpus>-<8 hex>" of a decoded table. */
void jadei_idf_version(const struct jadei_idf *idf, char out[static JADE_EMBED_NAME_SIZE]);
bool jadei_corpus_name_ok(const char *corpus);

/* ---- project.c ---- */

struct jade_embed_model {
    struct jade_embed_model *next; /* in the registry's list */
    char version[JADE_EMBED_NAME_SIZE];
    struct jadei_idf idf;
};

/* ---- registry.c, for the trainer ---- */

/** Stores a model file under its version when it is new, loads it, makes it the default. */
jade_code jadei_registry_adopt(struct jade_embed *e, const void *bytes, size_t n,
                               const struct jade_embed_model **out, struct jade_err *err);

#endif
