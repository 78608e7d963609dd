/*
 * Rows to import, from JSON lines or an .npy array: each as the JSON of one vector, or as a bad row with its reason.
 *
 * What is checked here is what would spoil a whole batch or is cheap to tell exactly (JSON, type and length of values, id); the server
 * checks everything again. Rows without anything (blank lines) are skipped.
 * Ownership: a row's bytes live until the next call. Threads: one.
 */
#ifndef JADE_CLI_SOURCE_H
#define JADE_CLI_SOURCE_H

#include "base/buf.h"
#include "cli/input.h"
#include "cli/npy.h"
#include "format/json.h"

enum jade_row_kind { JADE_ROW_GOOD, JADE_ROW_BAD, JADE_ROW_END };

struct jade_row {
    enum jade_row_kind kind;
    uint64_t number; /* line of the file, or row of the array, from 1 */
    const char *json;
    size_t n;
    const char *id; /* "" = none: the server makes one */
    size_t id_len;
    uint32_t dimension;  /* numbers in values; 0 = it is a text */
    uint64_t bytes;      /* of the file up to here */
    struct jade_err why; /* of a bad one */
};

struct jade_source {
    struct jade_input in;
    bool is_npy;
    struct jade_npy npy;
    struct jade_input ids; /* of --ids; file NULL = none */
    uint64_t n_rows;       /* read of an array */
    uint32_t dimension;    /* rows of another length are bad; 0 = any */
    float *values;         /* room for a row */
    struct jade_buf text, id;
    struct jade_json_parser *parser;
};

/** ids: file with an id a line for an .npy array, or NULL (rows are then called "0", "1", ...). Errors: JADE_E_IO, JADE_E_INVALID_ARGUMENT, JADE_E_NOMEM. */
jade_code jade_source_open(struct jade_source *s, const char *path, const char *ids,
                           struct jade_err *err);
void jade_source_close(struct jade_source *s);
/** Errors: of reading only; a bad row is no error. */
jade_code jade_source_next(struct jade_source *s, struct jade_row *row, struct jade_err *err);

#endif
