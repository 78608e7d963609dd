/*
 * jade-db status, jade-db cluster status
 */
#include <string.h>

#include "cli/cli.h"
#include "cli/cmd.h"

static jade_code status(struct jade_cli *cli, const struct jade_args *a, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_buf path;
    struct jade_reply reply;
    jade_buf_init(&path, JADE_TAG_OTHER);
    if (a->n_operands == 1) {
        JADE_TRY(jade_cli_database_path(&path, a->operand[0], "/status", err));
    } else {
        jade_buf_append(&path, "/api/v1/status", sizeof "/api/v1/status");
        JADE_TRY(jade_buf_status(&path, err));
    }
    JADE_TRY(jade_cli_call(cli, "GET", (const char *)path.data, NULL, 0, &reply, err));
    JADE_TRY(jade_cli_print_object(cli, reply.data, err));
out:
    jade_buf_release(&path);
    return rc;
}

/* This build has no cluster: what answers is one node, and its status says how it is. */
static jade_code cluster_status(struct jade_cli *cli, const struct jade_args *a,
                                struct jade_err *err)
{
    struct jade_reply reply;
    struct jade_buf state;
    (void)a;
    jade_code rc = jade_cli_call(cli, "GET", "/api/v1/status", NULL, 0, &reply, err);
    if (rc != JADE_OK) {
        return rc;
    }
    jade_buf_init(&state, JADE_TAG_OTHER);
    jade_cli_member_text(reply.data, "state", &state);
    jade_buf_append_byte(&state, 0);
    rc = jade_buf_status(&state, err);
    if (rc == JADE_OK) {
        const char *text = state.len > 1 ? (const char *)state.data : "ok";
        if (cli->output == JADE_OUTPUT_JSON) {
            fprintf(cli->out,
                    "{\"mode\":\"standalone\",\"nodes\":1,\"url\":\"%s\",\"state\":\"%s\"}\n",
                    cli->url, text);
        } else if (cli->output == JADE_OUTPUT_YAML) {
            fprintf(cli->out, "mode: standalone\nnodes: 1\nurl: \"%s\"\nstate: \"%s\"\n", cli->url,
                    text);
        } else {
            fprintf(cli->out, "standalone: one node, %s, state %s\n", cli->url, text);
        }
    }
    jade_buf_release(&state);
    return rc;
}

const struct jade_command jade_commands_status[] = {
    {"status", "[DB]", 0, 1, "Shows the state of the server, or of a database.", NULL,
     "examples\n  jade-db status\n  jade-db -o yaml status products\n", status},
    {"cluster status", "", 0, 0, "Shows the state of the cluster.", NULL,
     "example\n  jade-db cluster status\n", cluster_status},
    {NULL, NULL, 0, 0, NULL, NULL, NULL, NULL},
};
