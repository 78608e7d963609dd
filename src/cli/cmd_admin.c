/*
 * jade-db key create | list | delete, jade-db model list
 */
#include <string.h>

#include "cli/cli.h"
#include "cli/cmd.h"
#include "format/json_out.h"

static const struct jade_option create_options[] = {
    {"name", 'n', "NAME", "what it is for (required)"},
    {"scope", 's', "SCOPE", "read-only (default), read-write or admin"},
    {NULL, 0, NULL, NULL},
};

static jade_code key_create(struct jade_cli *cli, const struct jade_args *a, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_buf body;
    struct jade_json_out o;
    struct jade_reply reply;
    const char *name = jade_args_get(a, "name"), *scope = jade_args_get(a, "scope");
    if (!name) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "--name", "is required");
    }
    jade_buf_init(&body, JADE_TAG_OTHER);
    jade_json_out_init(&o, &body);
    jade_out_object(&o);
    jade_out_key_str(&o, "name", name);
    jade_out_key_str(&o, "scope", scope ? scope : "read-only");
    jade_out_object_end(&o);
    JADE_TRY(jade_buf_status(&body, err));
    JADE_TRY(
        jade_cli_call(cli, "POST", "/api/v1/keys", (const char *)body.data, body.len, &reply, err));
    JADE_TRY(jade_cli_print_object(cli, reply.data, err));
    fprintf(cli->errors, "The key is shown this once: keep it.\n");
out:
    jade_buf_release(&body);
    return rc;
}

static jade_code key_list(struct jade_cli *cli, const struct jade_args *a, struct jade_err *err)
{
    static const char *const titles[] = {"ID", "NAME", "SCOPE", "LAST4", "CREATED"};
    static const char *const keys[] = {"keyId", "name", "scope", "last4", "created_at"};
    struct jade_reply reply;
    (void)a;
    jade_code rc = jade_cli_call(cli, "GET", "/api/v1/keys", NULL, 0, &reply, err);
    if (rc != JADE_OK || jade_cli_print(cli, reply.data)) {
        return rc;
    }
    return jade_cli_print_list(cli, reply.data, "keys", titles, keys, 5, "no keys", err);
}

static jade_code key_delete(struct jade_cli *cli, const struct jade_args *a, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_buf path;
    struct jade_reply reply;
    jade_buf_init(&path, JADE_TAG_OTHER);
    jade_buf_append_str(&path, "/api/v1/keys/");
    jade_url_segment(&path, a->operand[0]);
    jade_buf_append_byte(&path, 0);
    JADE_TRY(jade_buf_status(&path, err));
    JADE_TRY(jade_cli_call(cli, "DELETE", (const char *)path.data, NULL, 0, &reply, err));
    if (!reply.has_data || !jade_cli_print(cli, reply.data)) {
        fprintf(cli->out, "deleted %s\n", a->operand[0]);
    }
out:
    jade_buf_release(&path);
    return rc;
}

static jade_code model_list(struct jade_cli *cli, const struct jade_args *a, struct jade_err *err)
{
    static const char *const titles[] = {"NAME", "VERSION", ">DIMENSION", "DEFAULT", "DESCRIPTION"};
    static const char *const keys[] = {"name", "version", "outputDimension", "default",
                                       "description"};
    struct jade_reply reply;
    (void)a;
    jade_code rc = jade_cli_call(cli, "GET", "/api/v1/models", NULL, 0, &reply, err);
    if (rc != JADE_OK || jade_cli_print(cli, reply.data)) {
        return rc;
    }
    return jade_cli_print_list(cli, reply.data, "models", titles, keys, 5, "no models", err);
}

const struct jade_command jade_commands_admin[] = {
    {"key create", "", 0, 0, "Makes an API key and shows it once.", create_options,
     "example\n  jade-db key create --name dashboard --scope read-only\n", key_create},
    {"key list", "", 0, 0, "Lists the API keys (never their texts).", NULL,
     "example\n  jade-db key list\n", key_list},
    {"key delete", "KEY_ID", 1, 1, "Ends an API key at once.", NULL,
     "example\n  jade-db key delete key_0123456789abcdefghijkl\n", key_delete},
    {"model list", "", 0, 0, "Lists the embedding models.", NULL, "example\n  jade-db model list\n",
     model_list},
    {NULL, NULL, 0, 0, NULL, NULL, NULL, NULL},
};
