/*
 * The command line: tables of commands and options in, checked values out. Help is printed from the same tables, so that the two
 * cannot differ.
 *
 * Options may stand anywhere after the command, the global ones before it too; `--name value`, `--name=value`, `-o value`; `--` ends
 * them. The word after an option that wants a value is its value, whatever it looks like ("-1", "[0.1, -2]").
 *
 * Ownership: values and operands point into argv; jade_args_release frees the list. Threads: one.
 */
#ifndef JADE_CLI_ARGS_H
#define JADE_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

enum { JADE_ARGS_OPTIONS_MAX = 24 };

struct jade_cli;
struct jade_args;

struct jade_option {
    const char *name;  /* without the dashes */
    char letter;       /* short form, or 0 */
    const char *value; /* what the help calls its value; NULL: a flag */
    const char *help;
};
struct jade_command {
    const char *name;     /* "database create" */
    const char *operands; /* for the help: "DB ID" */
    unsigned n_min, n_max;
    const char *summary;
    const struct jade_option *options; /* ends with a row without name; NULL = none */
    const char *more;                  /* text after the options: details and examples */
    jade_code (*run)(struct jade_cli *cli, const struct jade_args *args, struct jade_err *err);
};

/* Global options, by position in jade_options_global. */
enum jade_global {
    JADE_GLOBAL_URL,
    JADE_GLOBAL_KEY,
    JADE_GLOBAL_PROFILE,
    JADE_GLOBAL_OUTPUT,
    JADE_GLOBAL_HELP,
    JADE_GLOBAL_VERSION,
    JADE_GLOBAL_COUNT
};
extern const struct jade_option jade_options_global[JADE_GLOBAL_COUNT + 1];

struct jade_args {
    const struct jade_command *command; /* NULL: none was named (help, version) */
    const char *group; /* first word of a command whose second is missing, for its help; or NULL */
    const char *global[JADE_GLOBAL_COUNT];
    const char
        *value[JADE_ARGS_OPTIONS_MAX]; /* by position in command->options; "" for a given flag */
    const char **operand;
    unsigned n_operands;
};

/**
 * Reads the command line. tables: n of them, each ended by a row without name. Errors: JADE_E_INVALID_ARGUMENT with the word as field.
 * When --help or --version was given, missing operands are not an error. Also on an error: jade_args_release.
 */
jade_code jade_args_parse(struct jade_args *a, const struct jade_command *const *tables, size_t n,
                          int argc, char **argv, struct jade_err *err);
void jade_args_release(struct jade_args *a);

/** Value of an option, NULL when it was not given; a flag gives "". The command must have it. */
const char *jade_args_get(const struct jade_args *a, const char *name);
bool jade_args_flag(const struct jade_args *a, const char *name);
/** Whole number within [min, max] into *out, left alone when the option was not given. */
jade_code jade_args_u64(const struct jade_args *a, const char *name, uint64_t min, uint64_t max,
                        uint64_t *out, struct jade_err *err);
/** Finite number; *given_out tells whether there was one. */
jade_code jade_args_f64(const struct jade_args *a, const char *name, double *out, bool *given_out,
                        struct jade_err *err);

/** Help of everything, of a group ("database"), or of one command. */
void jade_args_help(const struct jade_command *const *tables, size_t n, const struct jade_args *a,
                    FILE *out);

#endif
