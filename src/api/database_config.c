/*
 * Parts of a database object that are kept as JSON: what of them this build honours, and what it refuses by name.
 * The table with reasons is in README.md.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api/api_private.h"

const char *const jadei_config_names[JADEI_CONFIG_PARTS] = {"sharding",        "replication",
                                                            "embeddingModels", "metadataSchema",
                                                            "retentionPolicy", "accessControl"};

enum { COUNT_MAX = 65536 }; /* of shards and copies that a request may name at all */

static jade_code check_one(struct jadei_value v, const char *field, const char *what,
                           struct jade_err *err)
{
    uint32_t n = 1;
    jade_code rc = JADE_OK;
    if (v.given) {
        rc = jadei_read_u32(v.v, field, 1, COUNT_MAX, &n, err);
    }
    if (rc == JADE_OK && n > 1) {
        rc = jade_fail_field(err, JADE_E_NOT_SUPPORTED_YET, field,
                             "%" PRIu32 "; this build keeps a database in 1 %s", n, what);
    }
    return rc;
}

static jade_code check_sharding(struct jade_json v, struct jade_err *err)
{
    static const struct jadei_field fields[] = {JADEI_FIELD("strategy"), JADEI_FIELD("numShards")};
    struct jadei_value at[2];
    jade_code rc = JADE_OK;
    JADE_TRY(jadei_read_fields(v, fields, 2, at, err));
    if (at[0].given) {
        const char *word;
        JADE_TRY(jadei_read_text(at[0].v, "strategy", &word, err));
        if (strcasecmp(word, "range") == 0 || strcasecmp(word, "vector") == 0) {
            rc = jade_fail_field(err, JADE_E_NOT_SUPPORTED_YET, "strategy",
                                 "\"%s\"; this build knows hash", word);
            goto out;
        }
        if (strcasecmp(word, "hash") != 0) {
            rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "strategy",
                                 "\"%.64s\", expected hash, range or vector", word);
            goto out;
        }
    }
    JADE_TRY(check_one(at[1], "numShards", "shard", err));
out:
    return rc;
}

static jade_code check_replication(struct jade_json v, struct jade_err *err)
{
    static const struct jadei_field fields[] = {JADEI_FIELD("factor"), JADEI_FIELD("sync")};
    struct jadei_value at[2];
    jade_code rc = JADE_OK;
    bool sync; /* with one copy there is nothing to wait for, either way */
    JADE_TRY(jadei_read_fields(v, fields, 2, at, err));
    JADE_TRY(check_one(at[0], "factor", "copy", err));
    if (at[1].given) {
        JADE_TRY(jadei_read_bool(at[1].v, "sync", &sync, err));
    }
out:
    return rc;
}

static jade_code check_models(struct jadei_call *c, struct jade_json v, struct jadei_model *model,
                              struct jade_err *err)
{
    struct jade_json_iter it = {0};
    struct jade_json entry;
    unsigned i = 0;
    jade_code rc = jadei_read_type(v, JADE_JSON_ARRAY, "", err);
    for (; rc == JADE_OK && jade_json_array_next(v, &it, &entry); i++) {
        char field[32];
        struct jadei_model named;
        snprintf(field, sizeof field, "[%u]", i);
        rc = jadei_read_model(c, entry, field, &named, err);
        if (rc == JADE_OK && i > 0) {
            rc = jade_fail_field(err, JADE_E_NOT_SUPPORTED_YET, field,
                                 "a second model; this build embeds a database by one");
        }
        if (rc == JADE_OK) {
            *model = named;
        }
    }
    return rc;
}

static jade_code check_retention(struct jade_json v, struct jade_err *err)
{
    static const struct jadei_field fields[] = {
        JADEI_FIELD_YET("maxAgeDays", "this build does not expire records"),
        JADEI_FIELD("archiveOnExpire")};
    struct jadei_value at[2];
    bool archive = false;
    jade_code rc = jadei_read_fields(v, fields, 2, at, err);
    if (rc == JADE_OK && at[1].given) {
        rc = jadei_read_bool(at[1].v, "archiveOnExpire", &archive, err);
    }
    if (rc == JADE_OK && archive) {
        rc = jade_fail_field(err, JADE_E_NOT_SUPPORTED_YET, "archiveOnExpire",
                             "true; this build has no archive");
    }
    return rc;
}

/* Roles that are listed and not enforced would look like protection. */
static jade_code check_access(struct jade_json v, struct jade_err *err)
{
    static const struct jadei_field fields[] = {JADEI_FIELD("roles"),
                                                JADEI_FIELD("defaultPermissions")};
    struct jadei_value at[2];
    jade_code rc = jadei_read_fields(v, fields, 2, at, err);
    for (unsigned i = 0; rc == JADE_OK && i < 2; i++) {
        if (at[i].given) {
            rc = jadei_read_type(at[i].v, JADE_JSON_ARRAY, fields[i].name, err);
        }
        if (rc == JADE_OK && at[i].given && jade_json_count(at[i].v) > 0) {
            rc = jade_fail_field(err, JADE_E_NOT_SUPPORTED_YET, fields[i].name,
                                 "this build grants rights by the scopes of API keys only");
        }
    }
    return rc;
}

jade_code jadei_config_check(struct jadei_call *c, enum jadei_config_part part, struct jade_json v,
                             struct jadei_model *model_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    switch (part) {
    case JADEI_CONFIG_SHARDING:
        rc = check_sharding(v, err);
        break;
    case JADEI_CONFIG_REPLICATION:
        rc = check_replication(v, err);
        break;
    case JADEI_CONFIG_MODELS:
        rc = check_models(c, v, model_out, err);
        break;
    case JADEI_CONFIG_SCHEMA:
        rc = jadei_schema_check(v, err);
        break;
    case JADEI_CONFIG_RETENTION:
        rc = check_retention(v, err);
        break;
    case JADEI_CONFIG_ACCESS:
        rc = check_access(v, err);
        break;
    case JADEI_CONFIG_PARTS:
        break;
    }
    if (rc != JADE_OK) {
        jade_err_prefix_field(err, jadei_config_names[part]);
    }
    return rc;
}
