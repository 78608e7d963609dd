/*
 * jade-db profile set | use | list | show | delete
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/profile.h"
#include "format/json_out.h"

static jade_code load(struct jade_profiles *p, struct jade_err *err)
{
    char path[JADE_PATH_MAX];
    memset(p, 0, sizeof *p);
    jade_code rc = jade_profiles_path(path, err);
    return rc == JADE_OK ? jade_profiles_load(p, path, err) : rc;
}

static struct jade_profile *must_find(const struct jade_profiles *p, const char *name,
                                      struct jade_err *err)
{
    struct jade_profile *one = jade_profiles_find(p, name);
    if (!one) {
        (void)jade_fail_field(err, JADE_E_NOT_FOUND, "profile",
                              "'%.60s' is none of `jade-db profile list`", name);
    }
    return one;
}

/* One line from the terminal, without echo; false when there is no terminal or nothing was typed. */
static bool ask_key(struct jade_cli *cli, char *out, size_t size)
{
    struct termios before, quiet;
    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &before) != 0) {
        return false;
    }
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    fprintf(cli->errors, "API key (not shown; empty for none): ");
    fflush(cli->errors);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    bool got = fgets(out, (int)size, stdin) != NULL;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fputc('\n', cli->errors);
    out[got ? strcspn(out, "\r\n") : 0] = '\0';
    return got && out[0] != '\0';
}

static jade_code set(struct jade_cli *cli, const struct jade_args *a, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_profiles p;
    char typed[JADE_PROFILE_KEY_SIZE] = "";
    const char *name = a->operand[0];
    const char *key = a->global[JADE_GLOBAL_KEY];
    JADE_TRY(load(&p, err));
    if (!key) {
        key = getenv("JADE_API_KEY");
    }
    if (!key && ask_key(cli, typed, sizeof typed)) {
        key = typed;
    }
    const struct jade_profile *old = jade_profiles_find(&p, name);
    const char *url = a->global[JADE_GLOBAL_URL];
    if (old && url && !key && old->key[0] != '\0') {
        char normal[JADE_PROFILE_URL_SIZE];
        JADE_TRY(jade_url_normal(url, normal, sizeof normal, err));
        if (strcmp(normal, old->url) != 0) { /* the old key was given for another server */
            key = "";
        }
    }
    JADE_TRY(jade_profiles_set(&p, name, url, key, err));
    if (p.current[0] == '\0') {
        snprintf(p.current, sizeof p.current, "%s", name);
    }
    JADE_TRY(jade_profiles_save(&p, err));
    if (cli->output == JADE_OUTPUT_TABLE) {
        const struct jade_profile *now = jade_profiles_find(&p, name);
        fprintf(cli->out, "profile %s: %s, %s, in %s\n", name, now->url,
                now->key[0] ? "with a key" : "without a key", p.path);
    }
out:
    explicit_bzero(typed, sizeof typed);
    jade_profiles_release(&p);
    return rc;
}

static jade_code use(struct jade_cli *cli, const struct jade_args *a, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_profiles p;
    JADE_TRY(load(&p, err));
    if (!must_find(&p, a->operand[0], err)) {
        rc = JADE_E_NOT_FOUND;
        goto out;
    }
    snprintf(p.current, sizeof p.current, "%s", a->operand[0]);
    JADE_TRY(jade_profiles_save(&p, err));
    fprintf(cli->out, "using %s\n", p.current);
out:
    jade_profiles_release(&p);
    return rc;
}

static jade_code delete (struct jade_cli *cli, const struct jade_args *a, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_profiles p;
    JADE_TRY(load(&p, err));
    struct jade_profile *one = must_find(&p, a->operand[0], err);
    if (!one) {
        rc = JADE_E_NOT_FOUND;
        goto out;
    }
    if (strcmp(p.current, one->name) == 0) {
        p.current[0] = '\0';
    }
    *one = p.list[--p.n];
    JADE_TRY(jade_profiles_save(&p, err));
    fprintf(cli->out, "deleted %s\n", a->operand[0]);
out:
    jade_profiles_release(&p);
    return rc;
}

/* Profiles as the value that JSON and YAML print and tables show; a key is told by its last characters only. */
static void write_one(struct jade_json_out *o, const struct jade_profiles *p,
                      const struct jade_profile *one)
{
    size_t n = strlen(one->key);
    char shown[16] = "";
    if (n > 0) {
        snprintf(shown, sizeof shown, "...%s", n > 12 ? one->key + n - 4 : "");
    }
    jade_out_object(o);
    jade_out_key_str(o, "name", one->name);
    jade_out_key_str(o, "url", one->url);
    jade_out_key_str(o, "key", shown);
    jade_out_key_bool(o, "current", strcmp(one->name, p->current) == 0);
    jade_out_object_end(o);
}

static jade_code print(struct jade_cli *cli, const struct jade_profiles *p,
                       const struct jade_profile *only, struct jade_err *err)
{
    static const char *const titles[] = {"NAME", "URL", "KEY", "CURRENT"};
    static const char *const keys[] = {"name", "url", "key", "current"};
    jade_code rc = JADE_OK;
    struct jade_buf text;
    struct jade_json_out o;
    struct jade_json_parser *parser = NULL;
    struct jade_json v;
    jade_buf_init(&text, JADE_TAG_OTHER);
    jade_json_out_init(&o, &text);
    if (!only) {
        jade_out_object(&o);
        jade_out_key(&o, "profiles");
    }
    jade_out_array(&o);
    for (unsigned i = 0; i < p->n; i++) {
        if (!only || only == &p->list[i]) {
            write_one(&o, p, &p->list[i]);
        }
    }
    jade_out_array_end(&o);
    if (!only) {
        jade_out_object_end(&o);
    }
    JADE_TRY(jade_buf_status(&text, err));
    JADE_TRY(jade_json_parser_new(text.len + 1, 8, &parser, err));
    JADE_TRY(jade_json_parse(parser, text.data, text.len, &v, err));
    if (cli->output != JADE_OUTPUT_TABLE && only) {
        struct jade_json_iter it = {0};
        (void)jade_json_array_next(v, &it, &v);
    }
    if (!jade_cli_print(cli, v)) {
        JADE_TRY(jade_cli_print_list(cli, v, "profiles", titles, keys, 4,
                                     "no profiles; `jade-db profile set NAME --url URL` makes one",
                                     err));
    }
out:
    jade_json_parser_free(parser);
    jade_buf_release(&text);
    return rc;
}

static jade_code list(struct jade_cli *cli, const struct jade_args *a, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_profiles p;
    (void)a;
    JADE_TRY(load(&p, err));
    JADE_TRY(print(cli, &p, NULL, err));
out:
    jade_profiles_release(&p);
    return rc;
}

static jade_code show(struct jade_cli *cli, const struct jade_args *a, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_profiles p;
    JADE_TRY(load(&p, err));
    const struct jade_profile *one = must_find(&p, a->n_operands ? a->operand[0] : p.current, err);
    if (!one) {
        rc = JADE_E_NOT_FOUND;
        goto out;
    }
    JADE_TRY(print(cli, &p, one, err));
out:
    jade_profiles_release(&p);
    return rc;
}

const struct jade_command jade_commands_profile[] = {
    {"profile set", "NAME", 1, 1, "Stores a server and its key under a name.", NULL,
     "The URL is that of --url. The key is that of --key or JADE_API_KEY; on a terminal it is asked for otherwise. The first profile becomes the current one.\n"
     "They are kept in $XDG_CONFIG_HOME/jade-db/profiles.json (else ~/.config), which only you can read.\n\n"
     "example\n  jade-db profile set local --url http://127.0.0.1:7433\n",
     set},
    {"profile use", "NAME", 1, 1, "Makes a profile the current one.", NULL,
     "example\n  jade-db profile use local\n", use},
    {"profile list", "", 0, 0, "Lists the profiles.", NULL, "example\n  jade-db profile list\n",
     list},
    {"profile show", "[NAME]", 0, 1, "Shows a profile, or the current one.", NULL,
     "Of the key only the last characters are shown.\n\nexample\n  jade-db profile show\n", show},
    {"profile delete", "NAME", 1, 1, "Forgets a profile.", NULL,
     "The key itself stays valid: `jade-db key delete` ends it.\n\nexample\n  jade-db profile delete local\n",
     delete},
    {NULL, NULL, 0, 0, NULL, NULL, NULL, NULL},
};
