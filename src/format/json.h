/*
 * JSON in, by simdjson through the one C++ file of the product (json_shim.cc; ADR 0002).
 *
 * A parser owns one document at a time; values point into it and are valid until the next parse or the parser's end. Objects keep
 * their order; a duplicate key in one object is refused by jade_json_check_keys and by jade_json_check. Depth is bounded by the caller.
 * Threads: a parser belongs to one thread at a time.
 */
#ifndef JADE_FORMAT_JSON_H
#define JADE_FORMAT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { JADE_JSON_DEPTH_MAX = 512 }; /* most that a parser may be asked for */

struct jade_json_parser;

enum jade_json_type {
    JADE_JSON_NULL,
    JADE_JSON_BOOL,
    JADE_JSON_INT,  /* fits int64 */
    JADE_JSON_UINT, /* above INT64_MAX, fits uint64 */
    JADE_JSON_DOUBLE,
    JADE_JSON_STRING,
    JADE_JSON_ARRAY,
    JADE_JSON_OBJECT
};

/** A place in the parsed document; small, passed by value. */
struct jade_json {
    const void *doc;
    size_t index;
};
/** Position in an array or object. Start zeroed. */
struct jade_json_iter {
    size_t index, end;
    bool started;
};
struct jade_str {
    const char *p; /* NUL-terminated in the document's buffer, may hold NULs inside */
    size_t n;
};

/**
 * max_bytes bounds the documents it takes (JADE_E_TOO_LARGE), max_depth (1..JADE_JSON_DEPTH_MAX) their nesting.
 * A parser keeps its memory from document to document, about 14 bytes for each byte of the largest; what a document past 4 MiB took is
 * given back by the next small one, or by jade_json_parser_trim.
 */
jade_code jade_json_parser_new(size_t max_bytes, size_t max_depth, struct jade_json_parser **out,
                               struct jade_err *err);
void jade_json_parser_free(struct jade_json_parser *p);
/** Ends the document and gives its memory back: for a parser that waits. */
void jade_json_parser_trim(struct jade_json_parser *p);
/** Parses n bytes (any memory; copied where padding is needed). Errors: JADE_E_INVALID_JSON with what and, where known, the byte; JADE_E_NOMEM. */
jade_code jade_json_parse(struct jade_json_parser *p, const void *bytes, size_t n,
                          struct jade_json *root_out, struct jade_err *err);

enum jade_json_type jade_json_type(struct jade_json v);
const char *jade_json_type_name(
    enum jade_json_type t); /* "null", "boolean", "number", "string", "array", "object" */
bool jade_json_is_number(struct jade_json v);
bool jade_json_bool(struct jade_json v);              /* of BOOL */
int64_t jade_json_int(struct jade_json v);            /* of INT */
uint64_t jade_json_uint(struct jade_json v);          /* of INT >= 0 and UINT */
double jade_json_double(struct jade_json v);          /* of any number */
struct jade_str jade_json_string(struct jade_json v); /* of STRING, valid UTF-8, escapes resolved */
/** Elements of an array, or members of an object. O(1), except above 16 million (counted). */
size_t jade_json_count(struct jade_json v);
/** Levels of nesting: 0 for a scalar, 1 for [] or {"a": 1}. */
size_t jade_json_depth(struct jade_json v);
bool jade_json_array_next(struct jade_json array, struct jade_json_iter *it,
                          struct jade_json *value_out);
bool jade_json_object_next(struct jade_json object, struct jade_json_iter *it,
                           struct jade_str *key_out, struct jade_json *value_out);
/** First member of that name. */
bool jade_json_get(struct jade_json object, const char *key, struct jade_json *value_out);
/**
 * Numbers of an array as float32 into out[0..n). Refuses: not an array, another length (JADE_E_DIMENSION_MISMATCH "expected 768, got 3"),
 * an element that is no number, or not finite as float32. field names the array in the error.
 */
jade_code jade_json_f32(struct jade_json array, float *out, size_t n, const char *field,
                        struct jade_err *err);
/** JADE_E_INVALID_ARGUMENT when an object anywhere inside v holds a key twice. */
jade_code jade_json_check_keys(struct jade_json v, const char *field, struct jade_err *err);
/** Minified text of a value, numbers as precise as they came (integers exact, doubles shortest round-trip, and with a point so that they stay doubles). */
void jade_json_write(struct jade_json v, struct jade_buf *out);

#ifdef __cplusplus
}
#endif
#endif
