/*
 * Result codes of JadeVectorDB: one list from which the enum, the names, the HTTP status and the category come.
 *
 * 0 is success; every error is negative and keeps its number for ever. The name (without JADE_E_) is the stable `code`
 * of the REST API's error envelope, so that a C program and a curl user read the same word.
 */
#ifndef JADE_CODE_H
#define JADE_CODE_H

#include <stdbool.h>

/* Symbols of the shared library; everything else is built hidden. */
#ifndef JADE_API
#define JADE_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* X(symbol, number, "NAME", HTTP status, category, retryable, "what it means") */
#define JADE_CODES(X)                                                                              \
    X(JADE_OK, 0, "OK", 200, "none", false, "success")                                             \
    X(JADE_E_INVALID_ARGUMENT, -1, "INVALID_ARGUMENT", 400, "permanent", false,                    \
      "a field has a value out of its range")                                                      \
    X(JADE_E_INVALID_JSON, -2, "INVALID_JSON", 400, "permanent", false,                            \
      "the body is not valid JSON")                                                                \
    X(JADE_E_UNKNOWN_FIELD, -3, "UNKNOWN_FIELD", 400, "permanent", false,                          \
      "the body has a field that nobody reads")                                                    \
    X(JADE_E_DIMENSION_MISMATCH, -4, "DIMENSION_MISMATCH", 400, "permanent", false,                \
      "a vector has the wrong length")                                                             \
    X(JADE_E_INVALID_FILTER, -5, "INVALID_FILTER", 400, "permanent", false,                        \
      "the filter cannot be parsed")                                                               \
    X(JADE_E_DUPLICATE_ID, -6, "DUPLICATE_ID", 400, "permanent", false,                            \
      "one batch names an id twice")                                                               \
    X(JADE_E_UNAUTHORIZED, -7, "UNAUTHORIZED", 401, "permanent", false,                            \
      "no valid API key came with the request")                                                    \
    X(JADE_E_FORBIDDEN, -8, "FORBIDDEN", 403, "permanent", false,                                  \
      "the key's scope does not allow this")                                                       \
    X(JADE_E_NOT_FOUND, -9, "NOT_FOUND", 404, "permanent", false,                                  \
      "the named thing does not exist")                                                            \
    X(JADE_E_METHOD_NOT_ALLOWED, -10, "METHOD_NOT_ALLOWED", 405, "permanent", false,               \
      "the path has no such method")                                                               \
    X(JADE_E_ALREADY_EXISTS, -11, "ALREADY_EXISTS", 409, "application", false,                     \
      "a thing of that name exists")                                                               \
    X(JADE_E_CONFLICT, -12, "CONFLICT", 409, "application", true,                                  \
      "another change came in between")                                                            \
    X(JADE_E_SNAPSHOT_TOO_OLD, -13, "SNAPSHOT_TOO_OLD", 410, "application", false,                 \
      "the snapshot was given up")                                                                 \
    X(JADE_E_TOO_LARGE, -14, "PAYLOAD_TOO_LARGE", 413, "permanent", false,                         \
      "the body or batch is over its limit")                                                       \
    X(JADE_E_UNSUPPORTED_MEDIA, -15, "UNSUPPORTED_MEDIA_TYPE", 415, "permanent", false,            \
      "the body is of another type")                                                               \
    X(JADE_E_NOT_SUPPORTED_YET, -16, "NOT_SUPPORTED_YET", 501, "permanent", false,                 \
      "this build cannot do that yet")                                                             \
    X(JADE_E_BUSY, -17, "BUSY", 503, "transient", true,                                            \
      "too much work is waiting; try again later")                                                 \
    X(JADE_E_UNAVAILABLE, -18, "UNAVAILABLE", 503, "transient", true,                              \
      "not ready, or shutting down")                                                               \
    X(JADE_E_TIMEOUT, -19, "TIMEOUT", 504, "transient", true, "the time limit ran out")            \
    X(JADE_E_NOSPACE, -20, "STORAGE_FULL", 507, "system", true, "no space left for writes")        \
    X(JADE_E_IO, -21, "IO_ERROR", 500, "system", false, "a read, write or sync failed")            \
    X(JADE_E_CORRUPT, -22, "DATA_CORRUPT", 500, "system", false,                                   \
      "stored data failed verification")                                                           \
    X(JADE_E_POISONED, -23, "WRITES_STOPPED", 503, "system", false,                                \
      "writes stopped after a failed sync; restart")                                               \
    X(JADE_E_NOMEM, -24, "OUT_OF_MEMORY", 503, "system", true,                                     \
      "an allocation failed or the budget is spent")                                               \
    X(JADE_E_LOCKED, -25, "LOCKED", 409, "system", false, "another process holds the data folder") \
    X(JADE_E_CANCELLED, -26, "CANCELLED", 409, "application", false, "the job was cancelled")      \
    X(JADE_E_NETWORK, -27, "NETWORK_ERROR", 502, "transient", true,                                \
      "a connection could not be made or broke")                                                   \
    X(JADE_E_VERSION, -28, "FORMAT_VERSION", 500, "system", false,                                 \
      "the file was written by a newer format")                                                    \
    X(JADE_E_INTERNAL, -29, "INTERNAL", 500, "system", false, "a fault of ours")                   \
    X(JADE_E_UNPROCESSABLE, -30, "UNPROCESSABLE", 422, "permanent", false,                         \
      "well formed, but cannot be carried out")

typedef enum jade_code {
#define JADE_CODE_ENUM(symbol, number, name, http, category, retryable, text) symbol = number,
    JADE_CODES(JADE_CODE_ENUM)
#undef JADE_CODE_ENUM
} jade_code;

/** Stable upper-case name of a code, e.g. "DIMENSION_MISMATCH"; "UNKNOWN" for a number that is no code. */
JADE_API const char *jade_code_name(jade_code code);
/** One-line meaning of a code in English. */
JADE_API const char *jade_code_text(jade_code code);
/** HTTP status that the REST API answers for this code. */
JADE_API int jade_code_http(jade_code code);
/** EHR-002 category: "permanent", "transient", "system", "application" ("none" for JADE_OK). */
JADE_API const char *jade_code_category(jade_code code);
/** Whether the same request may succeed when sent again unchanged. */
JADE_API bool jade_code_retryable(jade_code code);

enum { JADE_ERR_MESSAGE_SIZE = 256, JADE_ERR_FIELD_SIZE = 96 };

/**
 * What went wrong, filled by a function that returned an error. Visible, since callers embed it; every `struct jade_err *`
 * parameter may be NULL. A zeroed struct is "no error".
 */
struct jade_err {
    jade_code code;
    int os_errno;     /* errno behind it, or 0 */
    int line;         /* where it was raised */
    const char *file; /* static string */
    char field
        [JADE_ERR_FIELD_SIZE]; /* input field that is to blame, e.g. "vectors[3].values"; "" when none */
    char message
        [JADE_ERR_MESSAGE_SIZE]; /* what came and what was expected, outermost context first */
};

#ifdef __cplusplus
}
#endif
#endif
