#include "base/hash.h"

#include <isa-l/crc.h>
#include <string.h>
#include <xxhash.h>

/* ISA-L counts bytes in an int. */
#define CRC_PIECE_BYTES ((size_t)1 << 30)

uint64_t jade_hash64(const void *p, size_t n, uint64_t seed)
{
    return XXH3_64bits_withSeed(p, n, seed);
}

void jade_hash128(const void *p, size_t n, uint8_t out[16])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(p, n));
    memcpy(out, canonical.digest, sizeof canonical.digest);
}

uint32_t jade_crc32c(uint32_t crc, const void *p, size_t n)
{
    /* ISA-L leaves out the inversion before and after; it takes a pointer without const but only reads. */
    unsigned char *at = (unsigned char *)(uintptr_t)p;
    crc = ~crc;
    while (n > 0) {
        size_t piece = n < CRC_PIECE_BYTES ? n : CRC_PIECE_BYTES;
        crc = crc32_iscsi(at, (int)piece, crc);
        at += piece;
        n -= piece;
    }
    return ~crc;
}
