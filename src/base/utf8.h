/*
 * UTF-8 checks of outside bytes.
 */
#ifndef JADE_BASE_UTF8_H
#define JADE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** True when the n bytes are well-formed UTF-8 (no overlongs, no surrogates, at most U+10FFFF). */
bool jade_utf8_valid(const void *p, size_t n);
/** Decodes the code point at p (n > 0 bytes left); returns its length in bytes, 0 when malformed. */
size_t jade_utf8_decode(const void *p, size_t n, uint32_t *point_out);
/** Columns that a code point takes on a terminal: 0 (combining, control), 1 or 2 (East Asian wide). */
unsigned jade_utf8_width(uint32_t point);

#endif
