/*
 * /models and /embeddings: the built-in embedding model, its versions (example 4 of the specification), and text to vectors.
 */
#include <stdio.h>
#include <string.h>

#include "api/api_private.h"

static jade_code out_model(void *ctx, const struct jade_embed_info *info, struct jade_err *err)
{
    struct jade_json_out *o = ctx;
    char id[2 * JADE_EMBED_NAME_SIZE + 8];
    (void)err;
    snprintf(id, sizeof id, "emb_%s_%s", info->name, info->version);
    jade_out_object(o);
    jade_out_key_str(o, "modelId", id);
    jade_out_key_str(o, "name", info->name);
    jade_out_key_str(o, "version", info->version);
    jade_out_key_str(o, "provider", "jadevectordb");
    jade_out_key_str(o, "inputType", "text");
    jade_out_key_u64(o, "outputDimension", info->dimension);
    jade_out_key(o, "parameters");
    jade_out_object(o);
    jade_out_key_u64(o, "maxBytes", info->text_bytes_max);
    jade_out_key_bool(o, "normalize", true);
    jade_out_object_end(o);
    jade_out_key_str(o, "status", "active");
    jade_out_key_str(o, "description", info->description);
    jade_out_key_bool(o, "trained", info->trained);
    jade_out_key_bool(o, "default", info->is_default);
    jade_out_object_end(o);
    return JADE_OK;
}

jade_code jadei_models_list(struct jadei_call *c, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    jadei_reply_begin(c, 200, "models");
    jade_out_object(&c->out);
    jade_out_key(&c->out, "models");
    jade_out_array(&c->out);
    JADE_TRY(jade_embed_list(jade_node_embed_registry(c->api->node), out_model, &c->out, err));
    jade_out_array_end(&c->out);
    jade_out_object_end(&c->out);
out:
    return rc;
}

/* A model definition is understood, and refused: nothing here runs a model from outside. */
jade_code jadei_models_create(struct jadei_call *c, struct jade_err *err)
{
    enum { ID, NAME, VERSION, PROVIDER, INPUT_TYPE, DIMENSION, PARAMETERS, STATUS, N };
    static const struct jadei_field fields[N] = {
        JADEI_FIELD("modelId"),    JADEI_FIELD("name"),      JADEI_FIELD("version"),
        JADEI_FIELD("provider"),   JADEI_FIELD("inputType"), JADEI_FIELD("outputDimension"),
        JADEI_FIELD("parameters"), JADEI_FIELD("status")};
    struct jadei_value at[N];
    const char *name;
    jade_code rc = jadei_read_fields(c->body, fields, N, at, err);
    if (rc == JADE_OK && !at[NAME].given) {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "name", "missing; expected a string");
    }
    if (rc == JADE_OK) {
        rc = jadei_read_text(at[NAME].v, "name", &name, err);
    }
    if (rc == JADE_OK) {
        rc =
            jade_fail_field(err, JADE_E_NOT_SUPPORTED_YET, "name",
                            "\"%.64s\"; this build embeds with %s only", name, JADE_EMBED_HASH_384);
    }
    return rc;
}

/* One text or a list of them. */
static jade_code read_texts(struct jadei_call *c, struct jade_json v, struct jade_str **texts_out,
                            size_t *n_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    bool list = jade_json_type(v) == JADE_JSON_ARRAY;
    size_t n = list ? jade_json_count(v) : 1;
    if (n < 1 || n > JADEI_EMBED_TEXTS_MAX) {
        return jade_fail_field(err, n ? JADE_E_TOO_LARGE : JADE_E_INVALID_ARGUMENT, "input",
                               "%zu texts, expected 1 to %d", n, JADEI_EMBED_TEXTS_MAX);
    }
    struct jade_str *texts = jade_arena_calloc(&c->arena, n, sizeof *texts);
    if (!texts) {
        return jade_fail(err, JADE_E_NOMEM, "out of memory for %zu texts", n);
    }
    *texts_out = texts;
    *n_out = n;
    if (!list) {
        return jadei_read_string(v, "input", &texts[0], err);
    }
    struct jade_json_iter it = {0};
    struct jade_json element;
    for (size_t i = 0; rc == JADE_OK && jade_json_array_next(v, &it, &element); i++) {
        char field[32];
        snprintf(field, sizeof field, "input[%zu]", i);
        rc = jadei_read_string(element, field, &texts[i], err);
    }
    return rc;
}

/* The embedder calls its texts "texts[3]"; here they are "input[3]", or "input". */
static void name_input(struct jade_err *err, bool list)
{
    static const char theirs[] = "texts";
    if (strncmp(err->field, theirs, sizeof theirs - 1) == 0) {
        char index[32];
        snprintf(index, sizeof index, "%.31s", list ? err->field + sizeof theirs - 1 : "");
        snprintf(err->field, sizeof err->field, "input%s", index);
    }
}

jade_code jadei_models_embed(struct jadei_call *c, struct jade_err *err)
{
    enum { MODEL, VERSION, INPUT, N };
    static const struct jadei_field fields[N] = {JADEI_FIELD("model"), JADEI_FIELD("version"),
                                                 JADEI_FIELD("input")};
    jade_code rc = JADE_OK;
    struct jadei_value at[N];
    struct jadei_model model = {.name = NULL};
    struct jade_str *texts = NULL;
    size_t n = 0;
    struct jade_embedding e;
    JADE_TRY(jadei_read_fields(c->body, fields, N, at, err));
    if (at[MODEL].given) {
        JADE_TRY(jadei_read_model(c, at[MODEL].v, "model", &model, err));
    }
    if (at[VERSION].given) {
        JADE_TRY(jadei_read_text(at[VERSION].v, "version", &model.version, err));
    }
    if (!at[INPUT].given) {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "input",
                             "missing, expected a text or an array of texts");
        goto out;
    }
    JADE_TRY(read_texts(c, at[INPUT].v, &texts, &n, err));
    rc = jade_node_embed(c->api->node, model.name, model.version, texts, n, &c->arena, &e, err);
    if (rc != JADE_OK) {
        name_input(err, jade_json_type(at[INPUT].v) == JADE_JSON_ARRAY);
        goto out;
    }
    jadei_reply_begin(c, 200, "embeddings");
    jade_out_object(&c->out);
    jade_out_key_str(&c->out, "model", e.model_name);
    jade_out_key_str(&c->out, "version", e.model_version);
    jade_out_key_u64(&c->out, "dimension", e.dimension);
    jade_out_key_u64(&c->out, "count", n);
    jade_out_key(&c->out, "embeddings");
    jade_out_array(&c->out);
    for (size_t i = 0; i < n; i++) {
        jade_out_f32_array(&c->out, e.vectors + i * e.dimension, e.dimension);
    }
    jade_out_array_end(&c->out);
    jade_out_object_end(&c->out);
out:
    return rc;
}
