#include "cli/args.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"

const struct jade_option jade_options_global[JADE_GLOBAL_COUNT + 1] = {
    {"url", 0, "URL", "server (JADE_URL; default that of the profile, or http://127.0.0.1:7433)"},
    {"key", 0, "KEY", "API key (better: JADE_API_KEY or a profile, which other users cannot see)"},
    {"profile", 0, "NAME", "profile to use (JADE_PROFILE; default the one of `profile use`)"},
    {"output", 'o', "FORMAT", "table, json or yaml"},
    {"help", 'h', NULL, "this text, or that of a command"},
    {"version", 0, NULL, "print the version"},
    {NULL, 0, NULL, NULL},
};

/* ---- finding ---- */

/* The part of a command's name before (0) or after (1) its blank; length in *n. */
static const char *word_of(const struct jade_command *c, unsigned which, size_t *n)
{
    const char *blank = strchr(c->name, ' ');
    size_t first = blank ? (size_t)(blank - c->name) : strlen(c->name);
    if (which == 0) {
        *n = first;
        return c->name;
    }
    *n = blank ? strlen(blank + 1) : 0;
    return blank ? blank + 1 : NULL;
}

static bool word_is(const struct jade_command *c, unsigned which, const char *word)
{
    size_t n;
    const char *s = word_of(c, which, &n);
    return s && strlen(word) == n && memcmp(s, word, n) == 0;
}

/* The command of two words, or of one; *group_out is set when the first word begins commands of two. */
static const struct jade_command *find(const struct jade_command *const *tables, size_t n,
                                       const char *first, const char *second,
                                       const char **group_out)
{
    *group_out = NULL;
    for (size_t t = 0; t < n; t++) {
        for (const struct jade_command *c = tables[t]; c->name; c++) {
            if (!word_is(c, 0, first)) {
                continue;
            }
            if (!strchr(c->name, ' ')) {
                return c;
            }
            *group_out = first;
            if (second && word_is(c, 1, second)) {
                return c;
            }
        }
    }
    return NULL;
}

/* Position of an option of `n` characters (or of one letter) in a table, or -1. */
static int option_at(const struct jade_option *options, const char *name, size_t n, bool is_letter)
{
    for (int i = 0; options && options[i].name; i++) {
        if (is_letter ? options[i].letter == name[0] && n == 1
                      : strlen(options[i].name) == n && memcmp(options[i].name, name, n) == 0) {
            return i;
        }
    }
    return -1;
}

/* ---- parsing ---- */

struct words {
    int argc;
    char **argv;
    int at;
};

/* Takes the option at w->at, with its value, into its slot. */
static jade_code take_option(struct jade_args *a, struct words *w, struct jade_err *err)
{
    const char *word = w->argv[w->at];
    bool is_letter = word[1] != '-';
    const char *name = word + (is_letter ? 1 : 2);
    const char *eq = is_letter ? NULL : strchr(name, '=');
    size_t n = eq ? (size_t)(eq - name) : strlen(name);
    const struct jade_option *options = jade_options_global;
    const char **slots = a->global;
    int i = option_at(options, name, n, is_letter);
    if (i < 0 && a->command) {
        options = a->command->options;
        slots = a->value;
        i = option_at(options, name, n, is_letter);
    }
    if (i < 0) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, word, "no such option%s%s; see %s",
                               a->command ? " of " : "", a->command ? a->command->name : "",
                               "--help");
    }
    if (slots[i] && options[i].value) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, word, "given twice");
    }
    if (!options[i].value) {
        slots[i] = "";
        return eq ? jade_fail_field(err, JADE_E_INVALID_ARGUMENT, word, "takes no value") : JADE_OK;
    }
    if (!eq && w->at + 1 >= w->argc) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, word, "needs a value: %s %s", word,
                               options[i].value);
    }
    slots[i] = eq ? eq + 1 : w->argv[++w->at];
    return JADE_OK;
}

static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0';
}

/* A word that is no option: the command's name, or an operand. */
static jade_code take_word(struct jade_args *a, const struct jade_command *const *tables, size_t n,
                           struct words *w, struct jade_err *err)
{
    const char *word = w->argv[w->at];
    if (a->command) {
        a->operand[a->n_operands++] = word;
        return JADE_OK;
    }
    if (!a->group && strcmp(word, "help") == 0) {
        a->global[JADE_GLOBAL_HELP] = "";
        return JADE_OK;
    }
    const char *group = a->group;
    a->command = group ? find(tables, n, group, word, &group) : find(tables, n, word, NULL, &group);
    if (a->command) {
        return JADE_OK;
    }
    if (a->group || !group) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, word, "no such command%s%s; see %s",
                               a->group ? " of " : "", a->group ? a->group : "", "--help");
    }
    a->group = group;
    return JADE_OK;
}

static jade_code check_operands(const struct jade_args *a, struct jade_err *err)
{
    const struct jade_command *c = a->command;
    if (a->n_operands < c->n_min) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, c->name, "expected: jade-db %s %s",
                               c->name, c->operands);
    }
    if (a->n_operands > c->n_max) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, a->operand[c->n_max],
                               "one word too many; expected: jade-db %s %s", c->name, c->operands);
    }
    return JADE_OK;
}

jade_code jade_args_parse(struct jade_args *a, const struct jade_command *const *tables, size_t n,
                          int argc, char **argv, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    bool options_ended = false;
    struct words w = {.argc = argc, .argv = argv, .at = 1};
    memset(a, 0, sizeof *a);
    a->operand = jade_calloc(JADE_TAG_OTHER, (size_t)argc + 1, sizeof *a->operand);
    if (!a->operand) {
        return jade_fail(err, JADE_E_NOMEM, "the list of %d words", argc);
    }
    for (; w.at < argc; w.at++) {
        if (!options_ended && strcmp(argv[w.at], "--") == 0) {
            options_ended = true;
        } else if (!options_ended && is_option(argv[w.at])) {
            JADE_TRY(take_option(a, &w, err));
        } else {
            JADE_TRY(take_word(a, tables, n, &w, err));
        }
    }
    if (!a->global[JADE_GLOBAL_HELP] && !a->global[JADE_GLOBAL_VERSION]) {
        if (!a->command) {
            rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, a->group ? a->group : "command",
                                 "names no command; see --help");
            goto out;
        }
        JADE_TRY(check_operands(a, err));
    }
out:
    return rc;
}

void jade_args_release(struct jade_args *a)
{
    jade_free(a->operand);
    a->operand = NULL;
}

/* ---- values ---- */

const char *jade_args_get(const struct jade_args *a, const char *name)
{
    int i = option_at(a->command->options, name, strlen(name), false);
    JADE_ASSERT(i >= 0 && i < JADE_ARGS_OPTIONS_MAX);
    return a->value[i];
}

bool jade_args_flag(const struct jade_args *a, const char *name)
{
    return jade_args_get(a, name) != NULL;
}

jade_code jade_args_u64(const struct jade_args *a, const char *name, uint64_t min, uint64_t max,
                        uint64_t *out, struct jade_err *err)
{
    const char *text = jade_args_get(a, name);
    if (!text) {
        return JADE_OK;
    }
    char *end = NULL;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno != 0 || v < min || v > max) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, name,
                               "'%.60s'; expected a whole number from %llu to %llu", text,
                               (unsigned long long)min, (unsigned long long)max);
    }
    *out = v;
    return JADE_OK;
}

jade_code jade_args_f64(const struct jade_args *a, const char *name, double *out, bool *given_out,
                        struct jade_err *err)
{
    const char *text = jade_args_get(a, name);
    *given_out = text != NULL;
    if (!text) {
        return JADE_OK;
    }
    char *end = NULL;
    double v = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(v) || isspace((unsigned char)text[0])) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, name, "'%.60s'; expected a number",
                               text);
    }
    *out = v;
    return JADE_OK;
}

/* ---- help ---- */

static void print_options(const struct jade_option *options, FILE *out)
{
    for (const struct jade_option *o = options; o && o->name; o++) {
        char left[64];
        char letter[6] = "";
        if (o->letter) {
            snprintf(letter, sizeof letter, "-%c, ", o->letter);
        }
        snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->value ? " " : "",
                 o->value ? o->value : "");
        fprintf(out, "  %-24s %s\n", left, o->help);
    }
}

static void help_command(const struct jade_command *c, FILE *out)
{
    fprintf(out, "usage: jade-db [GLOBAL OPTION]... %s %s%s\n\n%s\n", c->name, c->operands,
            c->options ? " [OPTION]..." : "", c->summary);
    if (c->options) {
        fprintf(out, "\noptions\n");
        print_options(c->options, out);
    }
    fprintf(out, "\nglobal options\n");
    print_options(jade_options_global, out);
    if (c->more) {
        fprintf(out, "\n%s", c->more);
    }
}

static void help_list(const struct jade_command *const *tables, size_t n, const char *group,
                      FILE *out)
{
    for (size_t t = 0; t < n; t++) {
        for (const struct jade_command *c = tables[t]; c->name; c++) {
            if (!group || word_is(c, 0, group)) {
                char left[80];
                snprintf(left, sizeof left, "%s %s", c->name, c->operands);
                fprintf(out, "  %-32s %s\n", left, c->summary);
            }
        }
    }
}

static const char general[] =
    "exit codes\n"
    "  0  done\n"
    "  1  the server refused, or another error\n"
    "  2  the command line is wrong; nothing was sent\n"
    "  3  an import left out bad rows (the good ones are stored)\n"
    "  4  no such database, vector, key or profile\n"
    "  5  no key, a wrong one, or one whose scope is too small\n"
    "  6  no server answers there\n\n"
    "The key is that of --key, else of JADE_API_KEY, else of the profile (and that one only for the profile's own URL).\n\n"
    "examples\n"
    "  jade-db profile set local --url http://127.0.0.1:7433     (key from JADE_API_KEY, or asked for)\n"
    "  jade-db database create --name products --dimension 384\n"
    "  jade-db import products --file products.jsonl\n"
    "  jade-db search products --vector \"[0.1, 0.2, ...]\" --top-k 5\n"
    "  jade-db -o json search products --text \"a warm coat\" | jq '.results[].id'\n\n"
    "`jade-db COMMAND --help` tells more of a command.\n";

void jade_args_help(const struct jade_command *const *tables, size_t n, const struct jade_args *a,
                    FILE *out)
{
    if (a->command) {
        help_command(a->command, out);
        return;
    }
    fprintf(out, "usage: jade-db [GLOBAL OPTION]... COMMAND [OPTION]...\n\n%s\n\ncommands\n",
            "The command line of JadeVectorDB.");
    help_list(tables, n, a->group, out);
    fprintf(out, "\nglobal options\n");
    print_options(jade_options_global, out);
    if (!a->group) {
        fprintf(out, "\n%s", general);
    }
}
