/*
 * Embedding models in the node: which one a database's texts are embedded by, and embedding for anybody.
 */
#include <string.h>

#include "node/node_private.h"

static const char *text_or_null(const char *s)
{
    return s && s[0] ? s : NULL;
}

jade_code jadei_embed_one(const struct jade_embed_model *m, struct jade_str text, float *out,
                          const char *field, struct jade_err *err)
{
    struct jade_err own = {0};
    jade_code rc = jade_embed_texts(m, &text, 1, out, &own);
    if (rc != JADE_OK && err) {
        *err = own;
        size_t n = strlen(field);
        if (own.field[0] && n < sizeof err->field) { /* "texts[0]" means nothing to the caller */
            memcpy(err->field, field, n + 1);
        }
    }
    return rc;
}

jade_code jade_node_embed(struct jade_node *n, const char *model, const char *version,
                          const struct jade_str *texts, size_t n_texts, struct jade_arena *arena,
                          struct jade_embedding *out, struct jade_err *err)
{
    const struct jade_embed_model *m;
    *out = (struct jade_embedding){.model_name = NULL};
    jade_code rc = jadei_node_enter(n, err);
    if (rc != JADE_OK) {
        return rc;
    }
    JADE_TRY(jade_embed_get(n->embed, text_or_null(model) ? model : JADE_EMBED_HASH_384,
                            text_or_null(version), &m, err));
    out->model_name = jade_embed_model_name(m);
    out->model_version = jade_embed_model_version(m);
    out->dimension = jade_embed_model_dimension(m);
    out->vectors = jade_arena_calloc(arena, n_texts, out->dimension * sizeof(float));
    if (!out->vectors) {
        rc = jade_fail(err, JADE_E_NOMEM, "out of memory for the vectors of %zu texts", n_texts);
        goto out;
    }
    JADE_TRY(jade_embed_texts(m, texts, n_texts, out->vectors, err));
    atomic_fetch_add_explicit(&n->n_texts, n_texts, memory_order_relaxed);
out:
    jadei_node_leave(n);
    return rc;
}

static jade_code other_model(const char *name, const char *version, const char *asked_name,
                             const char *asked_version, struct jade_err *err)
{
    return jade_fail_field(err, JADE_E_UNPROCESSABLE, "embeddingModel",
                           "the database is of the model %s %s, not of %s %s: their vectors cannot "
                           "be compared",
                           name, version, asked_name, asked_version ? asked_version : "");
}

/** The model that the database's row names, with "" for what it does not say. */
static void bound_model(struct jade_database *db, char name[JADE_EMBED_NAME_SIZE],
                        char version[JADE_EMBED_NAME_SIZE])
{
    jade_mutex_lock(&db->mutex);
    memcpy(name, db->row.model_name, JADE_EMBED_NAME_SIZE);
    memcpy(version, db->row.model_version, JADE_EMBED_NAME_SIZE);
    jade_mutex_unlock(&db->mutex);
}

jade_code jadei_model_for(struct jade_database *db, const char *name, const char *version,
                          const struct jade_embed_model **out, struct jade_err *err)
{
    char bound_name[JADE_EMBED_NAME_SIZE], bound_version[JADE_EMBED_NAME_SIZE];
    struct jade_err own = {0};
    bound_model(db, bound_name, bound_version);
    name = text_or_null(name);
    version = text_or_null(version);
    if ((name && bound_name[0] && strcmp(name, bound_name) != 0) ||
        (version && bound_version[0] && strcmp(version, bound_version) != 0)) {
        return other_model(bound_name, bound_version, name ? name : bound_name, version, err);
    }
    const char *use_name = bound_name[0] ? bound_name : name ? name : JADE_EMBED_HASH_384;
    const char *use_version = bound_version[0] ? bound_version : version;
    jade_code rc = jade_embed_get(db->node->embed, use_name, use_version, out, &own);
    if (rc == JADE_E_NOT_FOUND) {
        return jade_fail_field(err, JADE_E_UNPROCESSABLE, "embeddingModel",
                               "this server cannot compute the model of the database: %s",
                               own.message);
    }
    if (rc != JADE_OK) {
        if (err) {
            *err = own;
        }
        return rc;
    }
    if (jade_embed_model_dimension(*out) != db->dimension) {
        return jade_fail_field(err, JADE_E_UNPROCESSABLE, "embeddingModel",
                               "the model %s makes vectors of %u numbers, the database has %u",
                               use_name, jade_embed_model_dimension(*out), db->dimension);
    }
    return JADE_OK;
}

jade_code jadei_model_claim(struct jade_database *db, const char *name, const char *version,
                            struct jade_err *err)
{
    char bound_name[JADE_EMBED_NAME_SIZE], bound_version[JADE_EMBED_NAME_SIZE];
    version = version ? version : "";
    if (strlen(name) >= JADE_EMBED_NAME_SIZE || strlen(version) >= JADE_EMBED_NAME_SIZE) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "embeddingModel",
                               "a name or version of more than %d bytes", JADE_EMBED_NAME_SIZE - 1);
    }
    bound_model(db, bound_name, bound_version);
    if ((bound_name[0] && strcmp(name, bound_name) != 0) ||
        (bound_version[0] && version[0] && strcmp(version, bound_version) != 0)) {
        return other_model(bound_name, bound_version, name, version, err);
    }
    bool says_nothing_new = bound_name[0] && (bound_version[0] || !version[0]);
    return says_nothing_new ? JADE_OK : jadei_model_bind(db, name, version, err);
}
