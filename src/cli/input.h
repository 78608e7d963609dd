/*
 * Bytes of a file or of standard input, in order: lines or exact amounts, through one bounded buffer.
 * Ownership: returned bytes live until the next call. Threads: one.
 */
#ifndef JADE_CLI_INPUT_H
#define JADE_CLI_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

enum {
    JADE_INPUT_LINE_MAX = 8 * 1024 * 1024
}; /* 16384 numbers of 20 characters and 1 MiB of metadata fit */

struct jade_input {
    FILE *file;
    bool is_stdin;
    const char *name; /* borrowed */
    char *data;
    size_t cap, begin, end;
    bool at_end;         /* the file has no more bytes than those in the buffer */
    uint64_t line;       /* number of the line that was read last, from 1 */
    uint64_t taken;      /* bytes handed out or skipped */
    uint64_t size_bytes; /* of the file; 0 = not known */
};

/** path "-": standard input. Errors: JADE_E_IO naming the file, JADE_E_NOMEM. */
jade_code jade_input_open(struct jade_input *in, const char *path, struct jade_err *err);
void jade_input_close(struct jade_input *in);
/** Up to n <= 4096 bytes without taking them; *got is smaller only at the end. */
jade_code jade_input_peek(struct jade_input *in, size_t n, const char **out, size_t *got,
                          struct jade_err *err);
/** n <= JADE_INPUT_LINE_MAX bytes; *got is smaller only at the end. */
jade_code jade_input_take(struct jade_input *in, size_t n, const char **out, size_t *got,
                          struct jade_err *err);
enum jade_line { JADE_LINE_OK, JADE_LINE_TOO_LONG, JADE_LINE_END };
/** Next line without its end (\n or \r\n). One longer than JADE_INPUT_LINE_MAX is skipped whole and told. */
jade_code jade_input_line(struct jade_input *in, const char **out, size_t *n, enum jade_line *what,
                          struct jade_err *err);

#endif
