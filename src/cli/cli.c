/*
 * What all commands use: calls, paths, answers, complaints, exit codes.
 */
#include "cli/cli.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/utf8.h"

jade_code jade_cli_call(struct jade_cli *cli, const char *method, const char *path,
                        const char *body, size_t body_len, struct jade_reply *reply,
                        struct jade_err *err)
{
    jade_code rc = JADE_OK;
    memset(reply, 0, sizeof *reply);
    if (!cli->client) {
        JADE_TRY(jade_client_new(cli->url, cli->key, &cli->client, err));
    }
    rc = jade_client_call(cli->client, method, path, body, body_len, reply, err);
    cli->refused = reply->status >= 400;
    if (rc == JADE_OK && !reply->has_data && reply->status != 204) {
        rc = jade_fail(err, JADE_E_NETWORK, "HTTP %d from %s is no answer of JadeVectorDB",
                       reply->status, cli->url);
    }
out:
    return rc;
}

void jade_url_segment(struct jade_buf *out, const char *s)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (isalnum(c) || strchr("-._~", c)) {
            jade_buf_append_byte(out, c);
        } else {
            jade_buf_printf(out, "%%%02X", c);
        }
    }
}

jade_code jade_cli_database_path(struct jade_buf *path, const char *name, const char *rest,
                                 struct jade_err *err)
{
    jade_buf_clear(path);
    jade_buf_append_str(path, "/api/v1/databases/");
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "DB", "'%s' is no name of a database",
                               name);
    }
    jade_url_segment(path, name);
    jade_buf_append_str(path, rest);
    jade_buf_append_byte(path, 0);
    return jade_buf_status(path, err);
}

bool jade_cli_print(struct jade_cli *cli, struct jade_json v)
{
    switch (cli->output) {
    case JADE_OUTPUT_JSON:
        jade_print_json(cli->out, v);
        return true;
    case JADE_OUTPUT_YAML:
        jade_print_yaml(cli->out, v);
        return true;
    case JADE_OUTPUT_TABLE:
        break;
    }
    return false;
}

void jade_cli_member_text(struct jade_json object, const char *key, struct jade_buf *out)
{
    struct jade_json v;
    if (jade_json_type(object) != JADE_JSON_OBJECT || !jade_json_get(object, key, &v) ||
        jade_json_type(v) == JADE_JSON_NULL) {
        return;
    }
    if (jade_json_type(v) == JADE_JSON_STRING) {
        struct jade_str s = jade_json_string(v);
        jade_buf_append(out, s.p, s.n);
    } else {
        jade_json_write(v, out);
    }
}

enum jade_exit jade_cli_exit_code(const struct jade_cli *cli, jade_code code)
{
    switch (code) {
    case JADE_OK:
        return cli->exit;
    case JADE_E_UNAUTHORIZED:
    case JADE_E_FORBIDDEN:
        return JADE_EXIT_DENIED;
    case JADE_E_NOT_FOUND:
        return JADE_EXIT_NOT_FOUND;
    case JADE_E_NETWORK:
        return JADE_EXIT_NO_CONNECTION;
    case JADE_E_INVALID_ARGUMENT:
    case JADE_E_INVALID_JSON:
        return cli->refused ? JADE_EXIT_FAILED : JADE_EXIT_USAGE;
    default:
        return JADE_EXIT_FAILED;
    }
}

static void print_safely(FILE *out, const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n;) {
        uint32_t point = 0;
        size_t len = jade_utf8_decode(text + i, n - i, &point);
        if (len == 0 || point < 0x20 || (point >= 0x7F && point < 0xA0)) {
            fputc('?', out);
            len = len ? len : 1;
        } else {
            fwrite(text + i, 1, len, out);
        }
        i += len;
    }
}

static const char *hint(const struct jade_cli *cli, jade_code code)
{
    switch (code) {
    case JADE_E_NETWORK:
        return "is the server running there? `make run` or `jadevectordb --data DIR` starts one; --url, JADE_URL or a profile names another";
    case JADE_E_UNAUTHORIZED:
        return cli->key[0]
                   ? "the server does not know this key; `jade-db profile set` stores another"
                   : "give a key with JADE_API_KEY, --key, or `jade-db profile set`";
    default:
        return NULL;
    }
}

void jade_cli_complain(struct jade_cli *cli, const struct jade_err *err)
{
    const char *more = hint(cli, err->code);
    fprintf(cli->errors, "jade-db: %s: ", jade_code_name(err->code));
    if (err->field[0]) {
        print_safely(cli->errors, err->field);
        fputs(": ", cli->errors);
    }
    print_safely(cli->errors, err->message[0] ? err->message : jade_code_text(err->code));
    fputc('\n', cli->errors);
    if (more) {
        fprintf(cli->errors, "hint: %s\n", more);
    }
}

bool jade_cli_confirm(struct jade_cli *cli, const char *question)
{
    char line[16];
    if (!isatty(STDIN_FILENO)) {
        return false;
    }
    fprintf(cli->errors, "%s [y/N] ", question);
    fflush(cli->errors);
    if (!fgets(line, sizeof line, stdin)) {
        return false;
    }
    line[strcspn(line, "\n")] = '\0';
    return strcasecmp(line, "y") == 0 || strcasecmp(line, "yes") == 0;
}
