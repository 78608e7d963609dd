/*
 * Unique texts: UUID version 7 (RFC 9562 section 5.7) in lower-case Crockford base32, 26 characters that sort by their millisecond.
 * Crockford's alphabet leaves out i, l, o and u, so that nobody misreads one.
 */
#include <string.h>

#include "node/node_private.h"

static const char DIGITS[] = "0123456789abcdefghjkmnpqrstvwxyz";

/** 128 bits, big-endian, as 26 digits of 5 bits; the first digit holds the 3 that are left over. */
static void base32(const uint8_t b[16], char out[JADEI_UNIQUE_CHARS + 1])
{
    unsigned bits = 2, value = 0; /* two zero bits in front make 130 */
    size_t at = 0;
    for (size_t i = 0; i < 16; i++) {
        value = value << 8 | b[i];
        bits += 8;
        while (bits >= 5) {
            bits -= 5;
            out[at++] = DIGITS[value >> bits & 31];
        }
    }
    JADE_ASSERT(at == JADEI_UNIQUE_CHARS && bits == 0);
    out[at] = '\0';
}

void jadei_unique_text(int64_t wall_us, const uint8_t random[JADEI_UNIQUE_RANDOM],
                       char out[JADEI_UNIQUE_CHARS + 1])
{
    uint8_t b[16];
    uint64_t ms = wall_us > 0 ? (uint64_t)wall_us / 1000 : 0;
    for (unsigned i = 0; i < 6; i++) {
        b[i] = (uint8_t)(ms >> (40 - 8 * i));
    }
    memcpy(b + 6, random, JADEI_UNIQUE_RANDOM);
    b[6] = (uint8_t)(0x70 | (b[6] & 0x0f)); /* version 7 */
    b[8] = (uint8_t)(0x80 | (b[8] & 0x3f)); /* variant of RFC 9562 */
    base32(b, out);
}

jade_code jade_node_unique(struct jade_node *n, char out[JADEI_UNIQUE_CHARS + 1],
                           struct jade_err *err)
{
    uint8_t random[JADEI_UNIQUE_RANDOM];
    jade_code rc = jade_os_random(n->os, random, sizeof random, err);
    if (rc == JADE_OK) {
        jadei_unique_text(jade_os_wall_us(n->os), random, out);
    }
    return rc;
}

bool jadei_is_database_id(const char *name, size_t len)
{
    if (len != 3 + JADEI_UNIQUE_CHARS || memcmp(name, "db_", 3) != 0) {
        return false;
    }
    for (size_t i = 3; i < len; i++) {
        if (name[i] == '\0' || !strchr(DIGITS, name[i])) {
            return false;
        }
    }
    return true;
}
