/*
 * Little-endian encoding with bounds: every number on disk or wire goes through these. A struct is never written as memory.
 *
 * Reader: a failed read sets `bad` and returns 0 or NULL; later reads do the same, so that a decoder checks once at its end
 * (jade_reader_status). Nothing is read past the end. Writer: struct jade_buf.
 */
#ifndef JADE_FORMAT_CODEC_H
#define JADE_FORMAT_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"

struct jade_reader {
    const uint8_t *p;
    size_t n;   /* bytes in all */
    size_t pos; /* next byte */
    bool bad;
};

static inline struct jade_reader jade_reader_of(const void *p, size_t n)
{
    return (struct jade_reader){.p = (const uint8_t *)p, .n = n};
}
uint8_t jade_get_u8(struct jade_reader *r);
uint16_t jade_get_u16(struct jade_reader *r);
uint32_t jade_get_u32(struct jade_reader *r);
uint64_t jade_get_u64(struct jade_reader *r);
int64_t jade_get_i64(struct jade_reader *r);
/** n bytes in place (no copy); NULL when fewer are left. */
const uint8_t *jade_get_bytes(struct jade_reader *r, size_t n);
size_t jade_reader_left(const struct jade_reader *r);
/** JADE_OK, or JADE_E_CORRUPT naming `what` when a read went past the end. */
jade_code jade_reader_status(const struct jade_reader *r, const char *what, struct jade_err *err);

void jade_put_u8(struct jade_buf *b, uint8_t v);
void jade_put_u16(struct jade_buf *b, uint16_t v);
void jade_put_u32(struct jade_buf *b, uint32_t v);
void jade_put_u64(struct jade_buf *b, uint64_t v);
void jade_put_i64(struct jade_buf *b, int64_t v);

/* In place, unaligned. */
uint16_t jade_load_u16(const uint8_t *p);
uint32_t jade_load_u32(const uint8_t *p);
uint64_t jade_load_u64(const uint8_t *p);
void jade_store_u16(uint8_t *p, uint16_t v);
void jade_store_u32(uint8_t *p, uint32_t v);
void jade_store_u64(uint8_t *p, uint64_t v);

#endif
