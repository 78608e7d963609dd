/*
 * What commands print: JSON as the server sent it, YAML of the same values, or tables for people.
 *
 * Tables: cells are copied; columns are as wide as their widest cell, counted in terminal columns (UTF-8, wide and combining
 * characters); control characters are shown as '?', so that stored text cannot move the cursor. On a terminal the last column is cut to the
 * line, elsewhere nothing is cut.
 * Threads: one.
 */
#ifndef JADE_CLI_OUTPUT_H
#define JADE_CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "format/json.h"

enum jade_output { JADE_OUTPUT_TABLE, JADE_OUTPUT_JSON, JADE_OUTPUT_YAML };

bool jade_output_parse(const char *name, enum jade_output *out);

/** v as one line of JSON. */
void jade_print_json(FILE *out, struct jade_json v);
/** v as a YAML 1.1 and 1.2 document: blocks, arrays of numbers in one line, every string that could be read as something else quoted. */
void jade_yaml_write(struct jade_json v, struct jade_buf *out);
void jade_print_yaml(FILE *out, struct jade_json v);

enum { JADE_TABLE_COLUMNS_MAX = 16 };

struct jade_table {
    unsigned n_columns;
    const char *title[JADE_TABLE_COLUMNS_MAX]; /* borrowed */
    bool right[JADE_TABLE_COLUMNS_MAX];        /* numbers */
    struct jade_buf text;                      /* cells, NUL-terminated, row by row */
    size_t n_cells;
};

/** A title that begins with ">" is of a column aligned to the right. Borrowed. n at most JADE_TABLE_COLUMNS_MAX. */
void jade_table_init(struct jade_table *t, const char *const *titles, unsigned n);
void jade_table_release(struct jade_table *t);
void jade_table_cell(struct jade_table *t, const char *text, size_t n);
void jade_table_cell_str(struct jade_table *t, const char *text);
/** width: columns of the terminal, 0 = do not cut. Errors: JADE_E_NOMEM. */
jade_code jade_table_write(const struct jade_table *t, unsigned width, struct jade_buf *out,
                           struct jade_err *err);
/** To a stream, cut to its terminal when it is one; without rows: `empty` instead. */
jade_code jade_table_print(const struct jade_table *t, FILE *out, const char *empty,
                           struct jade_err *err);
/** Columns of the terminal that a stream is, or 0. */
unsigned jade_terminal_width(FILE *stream);
/** Columns that text takes; control characters count 1 (they are shown as '?'). */
unsigned jade_text_width(const char *s, size_t n);

#endif
