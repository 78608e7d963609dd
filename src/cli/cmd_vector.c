/*
 * jade-db vector put | get | delete
 */
#include <string.h>

#include "cli/cli.h"
#include "cli/cmd.h"
#include "format/json_out.h"

enum { IDS_MAX = 100000 };

static const struct jade_option put_options[] = {
    {"id", 0, "ID", "its id; without one the server makes one and prints it"},
    {"vector", 'v', "\"[...]\"", "its numbers"},
    {"text", 't', "TEXT", "or text, embedded by the database's model"},
    {"metadata", 'm', "JSON", "an object"},
    {NULL, 0, NULL, NULL},
};
static const struct jade_option get_options[] = {
    {"no-values", 0, NULL, "leave the numbers out"},
    {NULL, 0, NULL, NULL},
};

jade_code jade_cli_option_json(const char *option, const char *text, enum jade_json_type type,
                               struct jade_json_out *o, struct jade_err *err)
{
    struct jade_json_parser *parser = NULL;
    struct jade_json v;
    struct jade_buf value;
    struct jade_err why = {0};
    jade_code rc = jade_json_parser_new(strlen(text) + 1, JADE_CLI_JSON_DEPTH, &parser, err);
    if (rc != JADE_OK) {
        return rc;
    }
    if (jade_json_parse(parser, text, strlen(text), &v, &why) != JADE_OK) {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, option, "%s", why.message);
    } else if (jade_json_type(v) != type) {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, option, "%s, expected %s",
                             jade_json_type_name(jade_json_type(v)), jade_json_type_name(type));
    } else {
        jade_buf_init(&value, JADE_TAG_OTHER);
        jade_json_write(v, &value);
        rc = jade_buf_status(&value, err);
        if (rc == JADE_OK) {
            jade_out_raw(o, value.data, value.len);
        }
        jade_buf_release(&value);
    }
    jade_json_parser_free(parser);
    return rc;
}

static jade_code write_body(const struct jade_args *a, struct jade_buf *body, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_json_out o;
    const char *vector = jade_args_get(a, "vector"), *text = jade_args_get(a, "text");
    const char *metadata = jade_args_get(a, "metadata");
    if (!vector == !text) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "--vector",
                               "give either --vector or --text");
    }
    jade_json_out_init(&o, body);
    jade_out_object(&o);
    jade_out_key_str(&o, "onConflict", "upsert");
    if (jade_args_flag(a, "id")) {
        jade_out_key_str(&o, "id", jade_args_get(a, "id"));
    }
    if (vector) {
        jade_out_key(&o, "values");
        JADE_TRY(jade_cli_option_json("--vector", vector, JADE_JSON_ARRAY, &o, err));
    } else {
        jade_out_key_str(&o, "text", text);
    }
    if (metadata) {
        jade_out_key(&o, "metadata");
        JADE_TRY(jade_cli_option_json("--metadata", metadata, JADE_JSON_OBJECT, &o, err));
    }
    jade_out_object_end(&o);
    JADE_TRY(jade_buf_status(body, err));
out:
    return rc;
}

static jade_code vector_path(struct jade_buf *path, const char *db, const char *id,
                             const char *query, struct jade_err *err)
{
    jade_code rc = jade_cli_database_path(path, db, "/vectors", err);
    if (rc != JADE_OK) {
        return rc;
    }
    path->len--; /* the NUL */
    if (id) {
        jade_buf_append_byte(path, '/');
        jade_url_segment(path, id);
    }
    jade_buf_append_str(path, query);
    jade_buf_append_byte(path, 0);
    return jade_buf_status(path, err);
}

static jade_code put(struct jade_cli *cli, const struct jade_args *a, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_buf path, body;
    struct jade_reply reply;
    jade_buf_init(&path, JADE_TAG_OTHER);
    jade_buf_init(&body, JADE_TAG_OTHER);
    JADE_TRY(write_body(a, &body, err));
    JADE_TRY(vector_path(&path, a->operand[0], NULL, "", err));
    JADE_TRY(jade_cli_call(cli, "POST", (const char *)path.data, (const char *)body.data, body.len,
                           &reply, err));
    JADE_TRY(jade_cli_print_object(cli, reply.data, err));
out:
    jade_buf_release(&path);
    jade_buf_release(&body);
    return rc;
}

static jade_code get(struct jade_cli *cli, const struct jade_args *a, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_buf path;
    struct jade_reply reply;
    jade_buf_init(&path, JADE_TAG_OTHER);
    JADE_TRY(vector_path(&path, a->operand[0], a->operand[1],
                         jade_args_flag(a, "no-values") ? "?includeValues=false" : "", err));
    JADE_TRY(jade_cli_call(cli, "GET", (const char *)path.data, NULL, 0, &reply, err));
    JADE_TRY(jade_cli_print_object(cli, reply.data, err));
out:
    jade_buf_release(&path);
    return rc;
}

static jade_code delete (struct jade_cli *cli, const struct jade_args *a, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_buf path;
    struct jade_reply reply;
    unsigned n_deleted = 0, n_missing = 0;
    jade_buf_init(&path, JADE_TAG_OTHER);
    for (unsigned i = 1; i < a->n_operands; i++) {
        JADE_TRY(vector_path(&path, a->operand[0], a->operand[i], "", err));
        rc = jade_cli_call(cli, "DELETE", (const char *)path.data, NULL, 0, &reply, err);
        /* A missing vector is told and the others still go; a missing database ends it. */
        if (rc == JADE_E_NOT_FOUND && err && strcmp(err->field, "vectorId") == 0) {
            jade_cli_complain(cli, err);
            n_missing++;
            rc = JADE_OK;
        } else {
            JADE_TRY(rc);
            n_deleted++;
        }
    }
    cli->exit = n_missing ? JADE_EXIT_NOT_FOUND : JADE_EXIT_OK;
out:
    if (cli->output == JADE_OUTPUT_JSON) {
        fprintf(cli->out, "{\"deleted\":%u,\"missing\":%u}\n", n_deleted, n_missing);
    } else if (cli->output == JADE_OUTPUT_YAML) {
        fprintf(cli->out, "deleted: %u\nmissing: %u\n", n_deleted, n_missing);
    } else {
        fprintf(cli->out, "%u deleted, %u not found\n", n_deleted, n_missing);
    }
    jade_buf_release(&path);
    return rc;
}

const struct jade_command jade_commands_vector[] = {
    {"vector put", "DB", 1, 1, "Stores a vector, or replaces it.", put_options,
     "examples\n"
     "  jade-db vector put products --id p1 --vector \"[0.1, 0.2, 0.3]\" --metadata '{\"color\":\"red\"}'\n"
     "  jade-db vector put glosses --id g1 --text \"a warm coat\"\n",
     put},
    {"vector get", "DB ID", 2, 2, "Shows a vector.", get_options,
     "example\n  jade-db -o json vector get products p1\n", get},
    {"vector delete", "DB ID...", 2, IDS_MAX, "Deletes vectors.", NULL,
     "Exit code 4 when one of them does not exist; the others are deleted.\n\n"
     "example\n  jade-db vector delete products p1 p2\n",
     delete},
    {NULL, NULL, 0, 0, NULL, NULL, NULL, NULL},
};
