/*
 * Between the files of src/format that read and write JSON.
 */
#ifndef JADE_FORMAT_JSON_PRIVATE_H
#define JADE_FORMAT_JSON_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A string with its quotes: escaped as json_out.h says, malformed UTF-8 replaced by U+FFFD. */
void jadei_json_quote(struct jade_buf *out, const char *s, size_t n);

/** What is wrong with a text that the parser refused. */
struct jade_json_fault {
    size_t at;        /* byte, from 0 */
    const char *what; /* static text, e.g. "expected ',' or ']'" */
};
/**
 * Reads a refused text again, slowly, for the place of its first fault; false when it finds none.
 * No recursion: nesting is kept in a bit each.
 */
bool jadei_json_find_fault(const char *p, size_t n, size_t max_depth, struct jade_json_fault *out);

#ifdef __cplusplus
}
#endif
#endif
