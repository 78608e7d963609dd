/*
 * What commands share among themselves: options of a new database (create, import --create), lists and objects as tables.
 */
#ifndef JADE_CLI_CMD_H
#define JADE_CLI_CMD_H

#include "cli/cli.h"
#include "format/json_out.h"

/* clang-format off */
#define JADE_OPTIONS_INDEX                                                                         \
    {"metric", 0, "METRIC", "cosine (default), euclidean or dot"},                                 \
    {"index", 0, "TYPE", "hnsw (default) or flat"},                                                \
    {"m", 0, "N", "neighbours of a node in the graph"},                                            \
    {"ef-construction", 0, "N", "candidates while building the graph"},                            \
    {"ef-search", 0, "N", "candidates while searching, unless a search says otherwise"},           \
    {"durability", 0, "LEVEL", "sync, periodic or async (default: the server's)"},                 \
    {"model", 0, "NAME", "embedding model for text, e.g. jade-hash-384"}
/* clang-format on */

/** Body of POST /databases from those options and --description. dimension 0: not said. */
jade_code jade_database_body(const struct jade_args *a, const char *name, uint64_t dimension,
                             struct jade_buf *body, struct jade_err *err);
/** The objects of data[member] (or of data itself) as a table of n columns. */
jade_code jade_cli_print_list(struct jade_cli *cli, struct jade_json data, const char *member,
                              const char *const *titles, const char *const *keys, unsigned n,
                              const char *empty, struct jade_err *err);
/** JSON, YAML, or a table of two columns. */
jade_code jade_cli_print_object(struct jade_cli *cli, struct jade_json v, struct jade_err *err);
/**
 * Checks that text is one JSON value of a type, for an option; writes it minified. Errors: JADE_E_INVALID_ARGUMENT with
 * the option as field.
 */
jade_code jade_cli_option_json(const char *option, const char *text, enum jade_json_type type,
                               struct jade_json_out *o, struct jade_err *err);

#endif
