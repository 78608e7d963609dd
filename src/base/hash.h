/*
 * Hashes and checksums, from libraries: xxHash (XXH3) for tables, ISA-L's CRC-32C for everything on disk.
 */
#ifndef JADE_BASE_HASH_H
#define JADE_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/** 64-bit hash for in-memory tables and stored id tables (the value is part of the segment format). */
uint64_t jade_hash64(const void *p, size_t n, uint64_t seed);
/** 128-bit hash (XXH3) in its canonical byte order: names stored content. Finds damage and mix-ups, not forgery. */
void jade_hash128(const void *p, size_t n, uint8_t out[16]);
/** CRC-32C (Castagnoli) of n bytes; `crc` is 0 or the result so far, so that pieces can be chained. */
uint32_t jade_crc32c(uint32_t crc, const void *p, size_t n);

#endif
