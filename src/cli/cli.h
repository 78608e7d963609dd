/*
 * jade-db: what all commands share. The program speaks the public REST API only (UI-003); nothing of the engine is linked.
 *
 * A command is a row in a table (args.h) and one function. It gets a struct jade_cli, asks jade_cli_call for a part of the API, and
 * prints what came: as JSON or YAML the `data` of the answer as it is, as a table what a person wants to see of it.
 *
 * Ownership: main owns the struct; commands borrow it. Threads: one; import's lanes have connections of their own (http.h).
 */
#ifndef JADE_CLI_CLI_H
#define JADE_CLI_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/args.h"
#include "cli/http.h"
#include "cli/output.h"
#include "format/json.h"

/* What scripts can rely on; told by --help. */
enum jade_exit {
    JADE_EXIT_OK = 0,
    JADE_EXIT_FAILED = 1,        /* the server refused, or anything that has no number of its own */
    JADE_EXIT_USAGE = 2,         /* the command line is wrong; nothing was sent */
    JADE_EXIT_PARTIAL = 3,       /* an import left out bad rows */
    JADE_EXIT_NOT_FOUND = 4,     /* no such database, vector, key */
    JADE_EXIT_DENIED = 5,        /* no key, a wrong one, or one whose scope is too small */
    JADE_EXIT_NO_CONNECTION = 6, /* no server answers there */
};

enum {
    JADE_CLI_URL_SIZE = 1024,
    JADE_CLI_KEY_SIZE = 512,
    JADE_CLI_JSON_DEPTH = 64, /* metadata (JADE_METADATA_DEPTH_MAX) and the envelope around it */
};

struct jade_cli {
    FILE *out, *errors;
    enum jade_output output;
    char url[JADE_CLI_URL_SIZE]; /* without a slash at its end */
    char key[JADE_CLI_KEY_SIZE]; /* "" = none */
    char profile[64];            /* that url and key came from; "" = none */
    struct jade_client *client;  /* made by the first call */
    bool refused;                /* the error came from the server: exit codes differ */
    enum jade_exit exit;         /* of a command that succeeded */
};

/** Calls the API; on an error status err holds the server's code, field and text. Path begins with /api/v1. body "" = none. */
jade_code jade_cli_call(struct jade_cli *cli, const char *method, const char *path,
                        const char *body, size_t body_len, struct jade_reply *reply,
                        struct jade_err *err);
/** Appends a path segment with everything but letters, digits and -._~ percent-encoded. */
void jade_url_segment(struct jade_buf *out, const char *s);
/** "/api/v1/databases/<name>" and `rest` into path, NUL-terminated. */
jade_code jade_cli_database_path(struct jade_buf *path, const char *name, const char *rest,
                                 struct jade_err *err);
/** Prints v as JSON or YAML when that was asked for; false: the caller prints its table. */
bool jade_cli_print(struct jade_cli *cli, struct jade_json v);
/** The exit code of an outcome. */
enum jade_exit jade_cli_exit_code(const struct jade_cli *cli, jade_code code);
/** Text of a member for people: strings as they are, other values as JSON; "" when missing or null. Appends to out. */
void jade_cli_member_text(struct jade_json object, const char *key, struct jade_buf *out);
/** One line on `errors`: jade-db: CODE: field: message; then a hint where there is one. */
void jade_cli_complain(struct jade_cli *cli, const struct jade_err *err);
/** Asks on the terminal; true for y or yes. False when standard input is no terminal. */
bool jade_cli_confirm(struct jade_cli *cli, const char *question);

/* The tables of commands, each in its cmd_*.c, end with a row without name. */
extern const struct jade_command jade_commands_database[];
extern const struct jade_command jade_commands_vector[];
extern const struct jade_command jade_commands_import[];
extern const struct jade_command jade_commands_search[];
extern const struct jade_command jade_commands_status[];
extern const struct jade_command jade_commands_profile[];
extern const struct jade_command jade_commands_admin[];

#endif
