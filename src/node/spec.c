/*
 * What a caller may ask a database to be: every part is checked here, before anything is made or changed.
 */
#include <string.h>

#include "base/utf8.h"
#include "node/node_private.h"

struct jade_database_spec jade_database_spec_default(void)
{
    return (struct jade_database_spec){
        .name = "",
        .description = "",
        .metric = JADE_METRIC_COSINE,
        .index = jade_index_params_default(),
        .durability = JADE_DURABILITY_DEFAULT,
    };
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static jade_code check_name(const char *name, struct jade_err *err)
{
    size_t n = strlen(name);
    if (n < 1 || n > JADE_DB_NAME_MAX) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "name", "%zu bytes, expected 1 to %u",
                               n, JADE_DB_NAME_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        bool mark = name[i] == '_' || name[i] == '.' || name[i] == '-';
        if (!is_alnum(name[i]) && !(mark && i > 0)) {
            return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "name",
                                   "byte %zu is not allowed; expected letters, digits, '_', '.', "
                                   "'-', a letter or digit first",
                                   i + 1);
        }
    }
    if (jadei_is_database_id(name, n)) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "name",
                               "\"%s\" has the form of a database id", name);
    }
    return JADE_OK;
}

static jade_code check_description(const char *text, struct jade_err *err)
{
    size_t n = strlen(text);
    if (n > JADE_DESCRIPTION_MAX) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "description", "%zu bytes, at most %d",
                               n, JADE_DESCRIPTION_MAX);
    }
    if (!jade_utf8_valid(text, n)) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "description", "not valid UTF-8");
    }
    return JADE_OK;
}

/** Minified copy of the config object; {} when none is given. */
static jade_code take_config(struct jade_str given, struct jadei_row *row, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_json_parser *parser = NULL;
    struct jade_json root;
    struct jade_buf buf;
    struct jade_str text = given.p ? given : (struct jade_str){.p = "{}", .n = 2};
    jade_buf_init(&buf, JADE_TAG_REQUEST);
    JADE_TRY(jade_json_parser_new(JADE_CONFIG_BYTES_MAX, JADEI_CONFIG_DEPTH, &parser, err));
    rc = jade_json_parse(parser, text.p, text.n, &root, err);
    if (rc == JADE_OK && jade_json_type(root) != JADE_JSON_OBJECT) {
        rc = jade_fail(err, JADE_E_INVALID_ARGUMENT, "%s, expected an object",
                       jade_json_type_name(jade_json_type(root)));
    }
    if (rc != JADE_OK) {
        jade_err_prefix_field(err, "config");
        goto out;
    }
    JADE_TRY(jade_json_check_keys(root, "config", err));
    jade_json_write(root, &buf);
    JADE_TRY(jade_buf_status(&buf, err));
    if (buf.len > JADE_CONFIG_BYTES_MAX) { /* numbers may be written longer than they came */
        rc = jade_fail_field(err, JADE_E_TOO_LARGE, "config", "%zu bytes, at most %d", buf.len,
                             JADE_CONFIG_BYTES_MAX);
        goto out;
    }
    row->config = jade_strndup(JADE_TAG_CATALOG, (const char *)buf.data, buf.len);
    row->config_len = buf.len;
    if (!row->config) {
        rc = jade_fail(err, JADE_E_NOMEM, "out of memory for a database's config");
    }
out:
    jade_buf_release(&buf);
    jade_json_parser_free(parser);
    return rc;
}

static bool given(const char *text)
{
    return text && text[0] != '\0';
}

static jade_code take_model(const struct jade_database_spec *spec, struct jadei_row *row,
                            struct jade_err *err)
{
    if (!given(spec->model_name)) {
        if (given(spec->model_version)) {
            return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "embeddingModels",
                                   "a version without the name of a model");
        }
        return JADE_OK;
    }
    size_t n_name = strlen(spec->model_name);
    size_t n_version = spec->model_version ? strlen(spec->model_version) : 0;
    if (n_name >= JADE_EMBED_NAME_SIZE || n_version >= JADE_EMBED_NAME_SIZE) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "embeddingModels",
                               "a name or version of more than %d bytes", JADE_EMBED_NAME_SIZE - 1);
    }
    memcpy(row->model_name, spec->model_name, n_name + 1);
    if (n_version > 0) {
        memcpy(row->model_version, spec->model_version, n_version + 1);
    }
    return JADE_OK;
}

jade_code jadei_spec_row(struct jade_node *n, const struct jade_database_spec *spec,
                         struct jadei_row *row, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const char *description = spec->description ? spec->description : "";
    *row = (struct jadei_row){.index = spec->index, .durability = spec->durability};
    JADE_TRY(check_description(description, err));
    rc = jade_index_params_check(&spec->index, err);
    if (rc != JADE_OK) {
        jade_err_prefix_field(err, "indexParameters");
        goto out;
    }
    if (row->durability == JADE_DURABILITY_DEFAULT) {
        row->durability = n->opts.shard.durability;
    }
    JADE_TRY(take_model(spec, row, err));
    JADE_TRY(take_config(spec->config_json, row, err));
    row->description = jade_strndup(JADE_TAG_CATALOG, description, strlen(description));
    if (!row->description) {
        rc = jade_fail(err, JADE_E_NOMEM, "out of memory for a database's description");
    }
out:
    return rc;
}

jade_code jadei_spec_model(struct jade_node *n, const struct jadei_row *row, uint32_t *dimension,
                           struct jade_err *err)
{
    if (row->model_name[0] == '\0') {
        return JADE_OK;
    }
    const struct jade_embed_model *model;
    struct jade_err own = {0};
    jade_code rc = jade_embed_get(n->embed, row->model_name,
                                  row->model_version[0] ? row->model_version : NULL, &model, &own);
    if (rc == JADE_E_NOT_FOUND) {
        return jade_fail_field(err, JADE_E_NOT_SUPPORTED_YET, "embeddingModels", "%s", own.message);
    }
    if (rc != JADE_OK) {
        if (err) {
            *err = own;
        }
        return rc;
    }
    uint32_t of_model = jade_embed_model_dimension(model);
    *dimension = *dimension ? *dimension : of_model;
    if (*dimension != of_model) {
        return jade_fail_field(err, JADE_E_UNPROCESSABLE, "vectorDimension",
                               "%u, but the model %s makes vectors of %u", *dimension,
                               row->model_name, of_model);
    }
    return JADE_OK;
}

jade_code jadei_spec_check(struct jade_node *n, const struct jade_database_spec *spec,
                           uint32_t *dimension_out, struct jadei_row *row, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    *row = (struct jadei_row){.description = NULL};
    *dimension_out = spec->dimension;
    JADE_TRY(check_name(spec->name, err));
    JADE_TRY(jadei_spec_row(n, spec, row, err));
    JADE_TRY(jadei_spec_model(n, row, dimension_out, err));
    struct jade_shard_config config = n->opts.shard;
    config.dim = *dimension_out;
    config.metric = spec->metric;
    config.index = row->index;
    config.durability = row->durability;
    JADE_TRY(jade_shard_config_check(&config, err));
out:
    return rc;
}
