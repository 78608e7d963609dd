/*
 * jade-db: the command line of JadeVectorDB. Finds the command, the server and its key, runs, tells the outcome by its exit code (cli.h).
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/cli.h"
#include "cli/profile.h"

static const struct jade_command *const tables[] = {
    jade_commands_database, jade_commands_vector,  jade_commands_import, jade_commands_search,
    jade_commands_status,   jade_commands_profile, jade_commands_admin,
};
enum { N_TABLES = sizeof tables / sizeof tables[0] };

static const char *first_of(const char *a, const char *b)
{
    return a && a[0] ? a : b && b[0] ? b : NULL;
}

/* Whether a URL leads out of this machine without encryption. */
static bool goes_in_clear(const char *url)
{
    return strncasecmp(url, "http://", 7) == 0 && strncmp(url + 7, "127.", 4) != 0 &&
           strncasecmp(url + 7, "localhost", 9) != 0 && strncmp(url + 7, "[::1]", 5) != 0;
}

static jade_code take_key(struct jade_cli *cli, const char *key, struct jade_err *err)
{
    if (strlen(key) >= sizeof cli->key || strcspn(key, " \t\r\n") != strlen(key)) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "key",
                               "expected one word of up to %d characters", JADE_CLI_KEY_SIZE - 1);
    }
    snprintf(cli->key, sizeof cli->key, "%s", key);
    return JADE_OK;
}

/* URL and key: flag, then environment, then profile; a profile's key goes to that profile's URL only. */
static jade_code find_server(struct jade_cli *cli, const struct jade_args *a, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_profiles profiles = {.n = 0};
    char path[JADE_PATH_MAX];
    const char *url = first_of(a->global[JADE_GLOBAL_URL], getenv("JADE_URL"));
    const char *key = first_of(a->global[JADE_GLOBAL_KEY], getenv("JADE_API_KEY"));
    const char *name = first_of(a->global[JADE_GLOBAL_PROFILE], getenv("JADE_PROFILE"));
    const struct jade_profile *p = NULL;
    snprintf(cli->url, sizeof cli->url, "http://127.0.0.1:7433");
    if (name || !url || !key) {
        if (jade_profiles_path(path, NULL) == JADE_OK) {
            rc = jade_profiles_load(&profiles, path, err);
        }
        if (rc == JADE_E_FORBIDDEN && !name) { /* nobody asked for it by name */
            fprintf(cli->errors, "jade-db: warning: %s\n", err->message);
            profiles.n = 0;
            rc = JADE_OK;
        }
        JADE_TRY(rc);
        name = name ? name : profiles.current;
        p = jade_profiles_find(&profiles, name);
        if (name[0] && !p) {
            rc = jade_fail_field(err, JADE_E_NOT_FOUND, "profile",
                                 "'%.60s' is none of `jade-db profile list`", name);
            goto out;
        }
    }
    if (p) {
        snprintf(cli->url, sizeof cli->url, "%s", p->url);
        snprintf(cli->profile, sizeof cli->profile, "%s", p->name);
    }
    if (url) {
        JADE_TRY(jade_url_normal(url, cli->url, sizeof cli->url, err));
    }
    if (!key && p && strcmp(cli->url, p->url) == 0) {
        key = p->key;
    }
    if (key) {
        JADE_TRY(take_key(cli, key, err));
    }
    if (cli->key[0] && goes_in_clear(cli->url)) {
        fprintf(cli->errors, "jade-db: warning: the key goes to %s in clear; use https\n",
                cli->url);
    }
out:
    jade_profiles_release(&profiles);
    return rc;
}

static jade_code run(struct jade_cli *cli, const struct jade_args *a, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const char *format = a->global[JADE_GLOBAL_OUTPUT];
    if (format && !jade_output_parse(format, &cli->output)) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "output",
                               "'%.40s'; expected table, json or yaml", format);
    }
    /* Commands about profiles must work when the file is in a bad state, so they read it themselves. */
    if (strncmp(a->command->name, "profile ", 8) != 0) {
        JADE_TRY(find_server(cli, a, err));
    }
    JADE_TRY(a->command->run(cli, a, err));
    if (fflush(cli->out) != 0 || ferror(cli->out)) {
        rc = jade_fail(err, JADE_E_IO, "the output could not be written");
    }
out:
    return rc;
}

int main(int argc, char **argv)
{
    struct jade_cli cli = {.out = stdout, .errors = stderr};
    struct jade_args args;
    struct jade_err err = {0};
    jade_code rc = JADE_OK;
    signal(SIGPIPE, SIG_IGN);
    JADE_TRY(jade_args_parse(&args, tables, N_TABLES, argc, argv, &err));
    if (args.global[JADE_GLOBAL_VERSION]) {
        printf("jade-db %s\n", JADE_VERSION);
    } else if (args.global[JADE_GLOBAL_HELP]) {
        jade_args_help(tables, N_TABLES, &args, stdout);
    } else {
        JADE_TRY(jade_http_global_init(&err));
        rc = run(&cli, &args, &err);
        jade_client_free(cli.client);
        jade_http_global_release();
    }
out:
    if (rc != JADE_OK) {
        fflush(stdout);
        jade_cli_complain(&cli, &err);
    }
    jade_args_release(&args);
    explicit_bzero(cli.key, sizeof cli.key);
    return (int)jade_cli_exit_code(&cli, rc);
}
