/*
 * Embedding models: text in, vectors out, and the registry that knows which models and versions there are.
 *
 * One model today: `jade-hash-384`, lexical (README.md). A version is an IDF table: "u1" is built in and weighs every feature the
 * same; "<corpus>-<8 hex digits>" was trained on a corpus and lies in <models folder>/jade-hash-384/<version>.model
 * (docs/formats/model.md). The file DEFAULT beside it names the version that new databases get.
 *
 * Invariants
 * 1. A model never changes: one name and version give bit-equal vectors for equal text for ever. Whoever stores vectors stores
 *    jade_embed_model_name and jade_embed_model_version with them, and asks for that very version later.
 * 2. A vector that is handed out has length 1; text without anything to embed is an error, never a zero vector.
 * 3. A damaged model file is an error (JADE_E_CORRUPT), never a silent fall-back to another version.
 *
 * Ownership: models belong to the registry and live until jade_embed_close. Threads: the registry locks inside; a model is read-only
 * and may embed in any number of threads at once.
 *
 * Calling sequence:
 *     jade_embed_open(os, "<data>/models", &e, err);
 *     jade_embed_get(e, "jade-hash-384", NULL, &model, err);         // NULL: the default version
 *     jade_embed_texts(model, texts, n, vectors, err);               // vectors [n, jade_embed_model_dimension(model)]
 *     jade_embed_close(e);
 * Training, once over a corpus:
 *     jade_embed_trainer_new(&t, err);
 *     for each text: jade_embed_trainer_add(t, text, err);
 *     jade_embed_trainer_finish(t, e, "wordnet", &model, err);       // written, verified, the default from now on
 *     jade_embed_trainer_free(t);
 */
#ifndef JADE_EMBED_EMBED_H
#define JADE_EMBED_EMBED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "format/json.h"
#include "os/os.h"

#define JADE_EMBED_HASH_384 "jade-hash-384"

enum {
    JADE_EMBED_HASH_384_DIM = 384,
    JADE_EMBED_NAME_SIZE = 48, /* bytes of a model name or version with its NUL */
    JADE_EMBED_CORPUS_CHARS =
        24, /* longest corpus name: a-z, 0-9 and '-', beginning with a letter */
};

struct jade_embed;         /* the registry */
struct jade_embed_model;   /* one version of one model */
struct jade_embed_trainer; /* counts in how many texts of a corpus each feature occurs */

/** What there is to say about a version without loading it. */
struct jade_embed_info {
    char name[JADE_EMBED_NAME_SIZE];
    char version[JADE_EMBED_NAME_SIZE];
    const char *description; /* one honest sentence; static */
    uint32_t dimension;
    uint32_t text_bytes_max;
    bool trained;    /* has IDF weights from a corpus */
    bool is_default; /* what jade_embed_get gives without a version */
};

typedef jade_code (*jade_embed_list_fn)(void *ctx, const struct jade_embed_info *info,
                                        struct jade_err *err);

/**
 * Opens the registry over a models folder, which need not exist yet; NULL: built-in versions only, training is refused.
 * The default version is loaded here, so that damage shows at start. `os` must outlive the registry.
 * Errors: JADE_E_CORRUPT, JADE_E_VERSION, JADE_E_IO, JADE_E_NOMEM.
 */
jade_code jade_embed_open(struct jade_os *os, const char *models_folder, struct jade_embed **out,
                          struct jade_err *err);
/** NULL is allowed. No model of it may be in use any more. */
void jade_embed_close(struct jade_embed *e);

/** Calls fn for every version of every model, the default version first; a non-OK code of fn stops and is returned. */
jade_code jade_embed_list(struct jade_embed *e, jade_embed_list_fn fn, void *ctx,
                          struct jade_err *err);
/**
 * The model of this name and version (NULL: the default version), loaded on first use.
 * Errors: JADE_E_NOT_FOUND with field "model" or "version"; JADE_E_CORRUPT, JADE_E_VERSION, JADE_E_IO, JADE_E_NOMEM.
 */
jade_code jade_embed_get(struct jade_embed *e, const char *name, const char *version,
                         const struct jade_embed_model **out, struct jade_err *err);

const char *jade_embed_model_name(const struct jade_embed_model *m);
/** "u1", or "<corpus>-<first 8 hex digits of the content hash>". */
const char *jade_embed_model_version(const struct jade_embed_model *m);
/** XXH3-128 of the trained content, 32 hex digits; "" for built-in versions. Finds damage and mix-ups, not forgery. */
const char *jade_embed_model_hash(const struct jade_embed_model *m);
uint32_t jade_embed_model_dimension(const struct jade_embed_model *m);

/**
 * Embeds n texts. All or nothing: on an error `out` holds no usable vectors.
 * Shapes: texts [n], out [n, dimension] f32 row-major, each row of length 1 (within 1e-6).
 * Errors, with field "texts[i]": JADE_E_INVALID_ARGUMENT (no letter, digit or symbol in it; not UTF-8), JADE_E_TOO_LARGE (above
 * JADE_EMBED_TEXT_BYTES_MAX); JADE_E_NOMEM. Threads: any number at once. Complexity: linear in the bytes.
 */
jade_code jade_embed_texts(const struct jade_embed_model *m, const struct jade_str *texts, size_t n,
                           float *out, struct jade_err *err);

/** A trainer of jade-hash-384. Threads: one at a time. */
jade_code jade_embed_trainer_new(struct jade_embed_trainer **out, struct jade_err *err);
/** NULL is allowed. */
void jade_embed_trainer_free(struct jade_embed_trainer *t);
/** Counts one text; text without words counts as a document without features. Errors: as jade_embed_texts, field "text". */
jade_code jade_embed_trainer_add(struct jade_embed_trainer *t, struct jade_str text,
                                 struct jade_err *err);
/**
 * Makes a version of what was counted, stores it, reads it back, and makes it the default. Equal corpora give the same version;
 * one that exists already is kept as it is. Afterwards the trainer can only be freed.
 * Errors: JADE_E_INVALID_ARGUMENT (field "corpus": not a name; or no text was added; or the registry has no folder), JADE_E_TOO_LARGE
 * (JADE_EMBED_VERSIONS_MAX reached), JADE_E_IO, JADE_E_NOSPACE, JADE_E_NOMEM. Until DEFAULT is replaced nothing has changed for anybody.
 */
jade_code jade_embed_trainer_finish(struct jade_embed_trainer *t, struct jade_embed *e,
                                    const char *corpus, const struct jade_embed_model **out,
                                    struct jade_err *err);

#endif
