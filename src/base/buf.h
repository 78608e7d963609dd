/*
 * Growable byte buffer; embedded by callers. Grows by doubling; after a failed growth `failed` is set and later appends are
 * no-ops, so that a writer checks once at its end (jade_buf_status).
 * Threads: one at a time. Ownership: jade_buf_release frees; jade_buf_take hands the bytes over.
 */
#ifndef JADE_BASE_BUF_H
#define JADE_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/err.h"

struct jade_buf {
    uint8_t *data; /* NULL until the first append */
    size_t len;
    size_t cap;
    enum jade_tag tag;
    bool failed; /* an allocation failed: contents are incomplete */
};

void jade_buf_init(struct jade_buf *b, enum jade_tag tag);
void jade_buf_release(struct jade_buf *b);
/** Empties, keeps the memory, forgets a failure. */
void jade_buf_clear(struct jade_buf *b);
/** Room for n more bytes; false when memory is short. */
bool jade_buf_reserve(struct jade_buf *b, size_t n);
void jade_buf_append(struct jade_buf *b, const void *p, size_t n);
void jade_buf_append_str(struct jade_buf *b, const char *s);
void jade_buf_append_byte(struct jade_buf *b, uint8_t c);
/** n uninitialised bytes at the end for the caller to fill; NULL when memory is short. Valid until the next append. */
void *jade_buf_extend(struct jade_buf *b, size_t n);
void jade_buf_printf(struct jade_buf *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/** JADE_OK, or JADE_E_NOMEM when an append failed. */
jade_code jade_buf_status(const struct jade_buf *b, struct jade_err *err);
/** Hands the bytes over (free with jade_free); the buffer is empty afterwards. NULL when nothing was appended or an append failed. */
uint8_t *jade_buf_take(struct jade_buf *b, size_t *len_out);

#endif
