/*
 * Byte layout of a block file, shared by its writer and its reader. All numbers little-endian.
 *
 *   offset 0     header page, 4096 bytes:
 *                0 "JADEBLK1"  8 u32 version  12 u32 kind  16 u64 segment  24 u32 block bytes
 *                28 zero ...   4092 u32 CRC-32C of bytes 0..4091
 *   offset 4096  payload, then zero bytes up to a multiple of 64
 *   then         checksum table: one u32 CRC-32C for each 65536 bytes of the padded payload
 *   then         footer, 64 bytes:
 *                0 "JADEBEND"  8 u32 kind  12 u32 zero  16 u64 segment  24 u64 payload size
 *                32 u32 CRC-32C of the table  36 u32 number of blocks  40 zero ...
 *                60 u32 CRC-32C of bytes 0..59 (this is the "crc of the file" in a descriptor)
 *
 * The last block's checksum covers the padding too, so that every byte of the file is under one.
 */
#ifndef JADE_STORE_BLOCKFILE_PRIVATE_H
#define JADE_STORE_BLOCKFILE_PRIVATE_H

#include <stdint.h>

#include "base/limits.h"

#define JADEI_BF_MAGIC     "JADEBLK1"
#define JADEI_BF_END_MAGIC "JADEBEND"

enum {
    JADEI_BF_MAGIC_BYTES = 8,
    JADEI_BF_VERSION = 1,
    JADEI_BF_HEADER_BYTES = 4096,
    JADEI_BF_HEADER_CRC_AT = 4092,
    JADEI_BF_FOOTER_BYTES = 64,
    JADEI_BF_FOOTER_CRC_AT = 60,
    JADEI_BF_ALIGN = 64,
};

/** What header and footer tell about a file. */
struct jadei_bf_ident {
    uint32_t kind;
    uint64_t segment;
};
struct jadei_bf_footer {
    struct jadei_bf_ident ident;
    uint64_t payload;
    uint32_t table_crc;
    uint32_t n_blocks;
};

/** Payload with its padding. */
static inline uint64_t jadei_bf_padded(uint64_t payload)
{
    return (payload + (JADEI_BF_ALIGN - 1)) & ~(uint64_t)(JADEI_BF_ALIGN - 1);
}

/** Blocks of a payload: the last one may be short. */
static inline uint64_t jadei_bf_blocks(uint64_t payload)
{
    return (payload + (JADE_BLOCK_BYTES - 1)) / JADE_BLOCK_BYTES;
}

/** Size of the whole file. */
static inline uint64_t jadei_bf_file_size(uint64_t payload)
{
    return JADEI_BF_HEADER_BYTES + jadei_bf_padded(payload) + 4 * jadei_bf_blocks(payload) +
           JADEI_BF_FOOTER_BYTES;
}

/** Bytes under the checksum of block b (b < blocks). */
static inline uint64_t jadei_bf_block_bytes(uint64_t payload, uint64_t b)
{
    uint64_t left = jadei_bf_padded(payload) - b * JADE_BLOCK_BYTES;
    return left < JADE_BLOCK_BYTES ? left : JADE_BLOCK_BYTES;
}

#endif
