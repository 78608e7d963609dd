/*
 * jade-db database create | list | show | delete
 */
#include <inttypes.h>
#include <string.h>

#include "base/limits.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "format/json_out.h"

static const struct jade_option create_options[] = {
    {"name", 'n', "NAME", "its name (required)"},
    {"dimension", 'd', "N", "numbers in a vector, 1 to 16384; with --model: the model's"},
    JADE_OPTIONS_INDEX,
    {"description", 0, "TEXT", "what it holds"},
    {NULL, 0, NULL, NULL},
};
static const struct jade_option delete_options[] = {
    {"yes", 'y', NULL, "do not ask"},
    {NULL, 0, NULL, NULL},
};

static bool any_index_parameter(const struct jade_args *a)
{
    return jade_args_flag(a, "m") || jade_args_flag(a, "ef-construction") ||
           jade_args_flag(a, "ef-search");
}

static jade_code add_u64(struct jade_json_out *o, const struct jade_args *a, const char *option,
                         const char *key, uint64_t max, struct jade_err *err)
{
    uint64_t v = 0;
    jade_code rc = jade_args_u64(a, option, 1, max, &v, err);
    if (rc == JADE_OK && v > 0) {
        jade_out_key_u64(o, key, v);
    }
    return rc;
}

static void add_text(struct jade_json_out *o, const char *key, const char *value)
{
    if (value) {
        jade_out_key_str(o, key, value);
    }
}

jade_code jade_database_body(const struct jade_args *a, const char *name, uint64_t dimension,
                             struct jade_buf *body, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_json_out o;
    const char *model = jade_args_get(a, "model");
    jade_json_out_init(&o, body);
    jade_out_object(&o);
    jade_out_key_str(&o, "name", name);
    if (dimension > 0) {
        jade_out_key_u64(&o, "vectorDimension", dimension);
    }
    add_text(&o, "description", jade_args_get(a, "description"));
    add_text(&o, "metric", jade_args_get(a, "metric"));
    add_text(&o, "indexType", jade_args_get(a, "index"));
    add_text(&o, "durability", jade_args_get(a, "durability"));
    if (any_index_parameter(a)) {
        jade_out_key(&o, "indexParameters");
        jade_out_object(&o);
        JADE_TRY(add_u64(&o, a, "m", "M", JADE_M_MAX, err));
        JADE_TRY(
            add_u64(&o, a, "ef-construction", "efConstruction", JADE_EF_CONSTRUCTION_MAX, err));
        JADE_TRY(add_u64(&o, a, "ef-search", "efSearch", JADE_EF_MAX, err));
        jade_out_object_end(&o);
    }
    if (model) {
        jade_out_key(&o, "embeddingModels");
        jade_out_array(&o);
        jade_out_object(&o);
        jade_out_key_str(&o, "name", model);
        jade_out_object_end(&o);
        jade_out_array_end(&o);
    }
    jade_out_object_end(&o);
    JADE_TRY(jade_buf_status(body, err));
out:
    return rc;
}

/* One object as two columns. */
static jade_code print_object(struct jade_cli *cli, struct jade_json object, struct jade_err *err)
{
    static const char *const titles[] = {"field", "value"};
    struct jade_table t;
    struct jade_buf text;
    struct jade_json_iter it = {0};
    struct jade_str key;
    struct jade_json v;
    jade_table_init(&t, titles, 2);
    jade_buf_init(&text, JADE_TAG_OTHER);
    while (jade_json_type(object) == JADE_JSON_OBJECT &&
           jade_json_object_next(object, &it, &key, &v)) {
        jade_buf_clear(&text);
        jade_cli_member_text(object, key.p, &text);
        jade_table_cell(&t, key.p, key.n);
        jade_table_cell(&t, (const char *)text.data, text.len);
    }
    jade_code rc = jade_table_print(&t, cli->out, NULL, err);
    jade_buf_release(&text);
    jade_table_release(&t);
    return rc;
}

jade_code jade_cli_print_object(struct jade_cli *cli, struct jade_json v, struct jade_err *err)
{
    return jade_cli_print(cli, v) ? JADE_OK : print_object(cli, v, err);
}

static jade_code create(struct jade_cli *cli, const struct jade_args *a, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_buf body;
    struct jade_reply reply;
    uint64_t dimension = 0;
    const char *name = jade_args_get(a, "name");
    jade_buf_init(&body, JADE_TAG_OTHER);
    if (!name) {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "--name", "is required");
        goto out;
    }
    JADE_TRY(jade_args_u64(a, "dimension", 1, JADE_DIM_MAX, &dimension, err));
    if (dimension == 0 && !jade_args_flag(a, "model")) {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "--dimension",
                             "is required (or --model, which has one)");
        goto out;
    }
    JADE_TRY(jade_database_body(a, name, dimension, &body, err));
    JADE_TRY(jade_cli_call(cli, "POST", "/api/v1/databases", (const char *)body.data, body.len,
                           &reply, err));
    if (!jade_cli_print(cli, reply.data)) {
        jade_buf_clear(&body);
        jade_cli_member_text(reply.data, "databaseId", &body);
        jade_buf_append_byte(&body, 0);
        JADE_TRY(jade_buf_status(&body, err));
        fprintf(cli->out, "created %s (%s)\n", name, (const char *)body.data);
    }
out:
    jade_buf_release(&body);
    return rc;
}

static jade_code list(struct jade_cli *cli, const struct jade_args *a, struct jade_err *err)
{
    static const char *const titles[] = {"NAME",   ">DIMENSION", "METRIC", "INDEX",
                                         "STATUS", ">VECTORS",   "ID"};
    static const char *const keys[] = {"name",   "vectorDimension", "metric",    "indexType",
                                       "status", "vectorCount",     "databaseId"};
    struct jade_reply reply;
    (void)a;
    jade_code rc = jade_cli_call(cli, "GET", "/api/v1/databases", NULL, 0, &reply, err);
    if (rc != JADE_OK || jade_cli_print(cli, reply.data)) {
        return rc;
    }
    return jade_cli_print_list(cli, reply.data, "databases", titles, keys, 7, "no databases", err);
}

jade_code jade_cli_print_list(struct jade_cli *cli, struct jade_json data, const char *member,
                              const char *const *titles, const char *const *keys, unsigned n,
                              const char *empty, struct jade_err *err)
{
    struct jade_table t;
    struct jade_buf text;
    struct jade_json array = data, one;
    struct jade_json_iter it = {0};
    jade_table_init(&t, titles, n);
    jade_buf_init(&text, JADE_TAG_OTHER);
    if (jade_json_type(data) == JADE_JSON_OBJECT && !jade_json_get(data, member, &array)) {
        array = data;
    }
    while (jade_json_type(array) == JADE_JSON_ARRAY && jade_json_array_next(array, &it, &one)) {
        for (unsigned i = 0; i < n; i++) {
            jade_buf_clear(&text);
            jade_cli_member_text(one, keys[i], &text);
            jade_table_cell(&t, (const char *)text.data, text.len);
        }
    }
    jade_code rc = jade_table_print(&t, cli->out, empty, err);
    jade_buf_release(&text);
    jade_table_release(&t);
    return rc;
}

static jade_code show(struct jade_cli *cli, const struct jade_args *a, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_buf path;
    struct jade_reply reply;
    jade_buf_init(&path, JADE_TAG_OTHER);
    JADE_TRY(jade_cli_database_path(&path, a->operand[0], "", err));
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
    char question[256];
    jade_buf_init(&path, JADE_TAG_OTHER);
    JADE_TRY(jade_cli_database_path(&path, a->operand[0], "", err));
    /* First whether it is there: nobody is asked about a name that does not exist. */
    JADE_TRY(jade_cli_call(cli, "GET", (const char *)path.data, NULL, 0, &reply, err));
    snprintf(question, sizeof question, "Delete database %.128s and all its vectors?",
             a->operand[0]);
    if (!jade_args_flag(a, "yes") && !jade_cli_confirm(cli, question)) {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "--yes",
                             "not deleted; say yes to the question, or give --yes");
        goto out;
    }
    JADE_TRY(jade_cli_call(cli, "DELETE", (const char *)path.data, NULL, 0, &reply, err));
    if (!reply.has_data || !jade_cli_print(cli, reply.data)) {
        fprintf(cli->out, "deleted %s\n", a->operand[0]);
    }
out:
    jade_buf_release(&path);
    return rc;
}

const struct jade_command jade_commands_database[] = {
    {"database create", "", 0, 0, "Creates a database.", create_options,
     "examples\n"
     "  jade-db database create --name products --dimension 768 --metric cosine\n"
     "  jade-db database create --name glosses --model jade-hash-384\n"
     "  jade-db database create --name faces --dimension 512 --metric euclidean --m 32 --ef-construction 400\n",
     create},
    {"database list", "", 0, 0, "Lists all databases.", NULL,
     "VECTORS is empty until a database was used for the first time since the server started.\n\n"
     "examples\n"
     "  jade-db database list\n"
     "  jade-db -o json database list | jq -r '.databases[].name'\n",
     list},
    {"database show", "DB", 1, 1, "Shows everything about a database.", NULL,
     "DB is a name or an id.\n\nexample\n  jade-db -o yaml database show products\n", show},
    {"database delete", "DB", 1, 1, "Deletes a database and all its vectors.", delete_options,
     "Asks first on a terminal; a script says --yes.\n\nexample\n  jade-db database delete products --yes\n",
     delete},
    {NULL, NULL, 0, 0, NULL, NULL, NULL, NULL},
};
