/*
 * Structured logs (DO-011): one JSON object a line on standard error, levels DEBUG, INFO, WARN, ERROR.
 *
 * A line is formatted into a stack buffer and written with one write, so that lines of threads never mix. Values are strings or
 * numbers; secrets are never passed in. Calling sequence:
 *     jade_log(JADE_LOG_INFO, "store", "segment sealed", JADE_LOG_U64("rows", n), JADE_LOG_STR("db", name));
 * Threads: safe. The level is one atomic.
 */
#ifndef JADE_BASE_LOG_H
#define JADE_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum jade_log_level { JADE_LOG_DEBUG, JADE_LOG_INFO, JADE_LOG_WARN, JADE_LOG_ERROR, JADE_LOG_OFF };
enum jade_log_kind { JADE_LOG_KIND_STR, JADE_LOG_KIND_U64, JADE_LOG_KIND_I64, JADE_LOG_KIND_F64 };

struct jade_log_field {
    const char *key;
    enum jade_log_kind kind;
    union {
        const char *s;
        uint64_t u;
        int64_t i;
        double f;
    } v;
};

#define JADE_LOG_STR(k, x) \
    ((struct jade_log_field){.key = (k), .kind = JADE_LOG_KIND_STR, .v.s = (x)})
#define JADE_LOG_U64(k, x) \
    ((struct jade_log_field){.key = (k), .kind = JADE_LOG_KIND_U64, .v.u = (x)})
#define JADE_LOG_I64(k, x) \
    ((struct jade_log_field){.key = (k), .kind = JADE_LOG_KIND_I64, .v.i = (x)})
#define JADE_LOG_F64(k, x) \
    ((struct jade_log_field){.key = (k), .kind = JADE_LOG_KIND_F64, .v.f = (x)})

/* The argument list always holds at least the terminating field, so that a call without fields compiles too. */
#define jade_log(level, room, message, ...)                               \
    do {                                                                  \
        if (jade_log_enabled(level)) {                                    \
            const struct jade_log_field jade_log_fields_[] = {            \
                __VA_ARGS__ __VA_OPT__(, ){.key = NULL}};                 \
            jade_log_write((level), (room), (message), jade_log_fields_); \
        }                                                                 \
    } while (0)

void jade_log_set_level(enum jade_log_level level);
bool jade_log_enabled(enum jade_log_level level);
/** "debug", "info", "warn", "error", "off" in any case; false when the word is none of them. */
bool jade_log_level_parse(const char *word, enum jade_log_level *level_out);
/** Writes one line; fields end with a NULL key. */
void jade_log_write(enum jade_log_level level, const char *room, const char *message,
                    const struct jade_log_field *fields);
/** Logs an error struct with its code, field, message, place. */
void jade_log_err(enum jade_log_level level, const char *room, const char *message,
                  const struct jade_err *err);
/** Lines that could not be written since the start (descriptor closed, pipe full). */
uint64_t jade_log_lost(void);
/** Sends lines to another descriptor (tests); -1 = standard error again. */
void jade_log_set_fd(int fd);

#endif
