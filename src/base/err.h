/*
 * Errors: how they are raised, given context, and passed on.
 *
 * Calling sequence, inside a function that can fail:
 *     jade_code rc = JADE_OK;
 *     JADE_TRY(jade_file_read(f, buf, n, err));                 // on error: rc is set, jumps to out
 *     if (n > max) { rc = jade_fail_field(err, JADE_E_TOO_LARGE, "values", "%u numbers, at most %u", n, max); goto out; }
 *     out: release in reverse; return rc;
 *
 * Invariants: 1. an error is formatted once, where it is found; callers only prefix it (jade_err_wrap).
 * 2. The first error wins: cleanup passes NULL or a second struct. 3. err may be NULL everywhere.
 * Threads: a struct jade_err belongs to one thread at a time.
 */
#ifndef JADE_BASE_ERR_H
#define JADE_BASE_ERR_H

#include <stdarg.h>

#include "jade/code.h"

/** Raises `code`: fills err (when not NULL) and returns code, so that it can be the operand of return. */
#define jade_fail(err, code, ...) \
    jade_err_set((err), (code), 0, NULL, __FILE__, __LINE__, __VA_ARGS__)
/** As jade_fail, naming the input field that is to blame. */
#define jade_fail_field(err, code, field, ...) \
    jade_err_set((err), (code), 0, (field), __FILE__, __LINE__, __VA_ARGS__)
/** As jade_fail for a failed system call; `errnum` is its errno, whose text is appended. */
#define jade_fail_errno(err, code, errnum, ...) \
    jade_err_set((err), (code), (errnum), NULL, __FILE__, __LINE__, __VA_ARGS__)

jade_code jade_err_set(struct jade_err *err, jade_code code, int errnum, const char *field,
                       const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 7, 8)));

/** Puts context before the message ("opening segment 7: ..."). Returns err's code, or `code` when err is NULL. */
jade_code jade_err_wrap(struct jade_err *err, jade_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Puts a prefix before the field ("vectors[3]" + "values" = "vectors[3].values"). No effect when err is NULL. */
void jade_err_prefix_field(struct jade_err *err, const char *prefix);

#ifdef __clang_analyzer__
/* The static analyzer does not look into err.c and would take a raised error for a possible success. */
#define jade_err_set(err, code, ...)  ((void)jade_err_set((err), (code), __VA_ARGS__), (code))
#define jade_err_wrap(err, code, ...) ((void)jade_err_wrap((err), (code), __VA_ARGS__), (code))
#endif

/** Runs a call; on error keeps its code in `rc` and jumps to `out`. */
#define JADE_TRY(call)       \
    do {                     \
        rc = (call);         \
        if (rc != JADE_OK) { \
            goto out;        \
        }                    \
    } while (0)

#endif
