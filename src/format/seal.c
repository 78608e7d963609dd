#include <string.h>

#include "base/hash.h"
#include "format/seal_private.h"

enum { AT_VERSION = 8, AT_CRC = 12 };

static uint32_t whole_crc(const uint8_t *p, size_t n)
{
    static const uint8_t zero[4] = {0};
    uint32_t crc = jade_crc32c(0, p, AT_CRC);
    crc = jade_crc32c(crc, zero, sizeof zero);
    return jade_crc32c(crc, p + JADE_SEAL_BYTES, n - JADE_SEAL_BYTES);
}

void jadei_seal(uint8_t *p, size_t n, const char magic[8])
{
    memcpy(p, magic, 8);
    jade_store_u32(p + AT_VERSION, JADE_SEAL_VERSION);
    jade_store_u32(p + AT_CRC, whole_crc(p, n));
}

jade_code jadei_unseal(struct jade_reader *r, const char magic[8], const char *what,
                       struct jade_err *err)
{
    const uint8_t *prefix = jade_get_bytes(r, JADE_SEAL_BYTES);
    if (prefix == NULL) {
        return jade_fail(err, JADE_E_CORRUPT, "%s has %zu bytes, too few", what, r->n);
    }
    if (memcmp(prefix, magic, 8) != 0) {
        return jade_fail(err, JADE_E_CORRUPT, "%s does not begin with %.8s", what, magic);
    }
    uint32_t stored = jade_load_u32(prefix + AT_CRC);
    uint32_t counted = whole_crc(r->p, r->n);
    if (stored != counted) {
        return jade_fail(err, JADE_E_CORRUPT, "%s has checksum %08x, its bytes give %08x", what,
                         stored, counted);
    }
    uint32_t version = jade_load_u32(prefix + AT_VERSION);
    if (version != JADE_SEAL_VERSION) {
        return jade_fail(err, JADE_E_VERSION, "%s has format version %u; this build reads %d", what,
                         version, JADE_SEAL_VERSION);
    }
    return JADE_OK;
}

jade_code jadei_get_reserved(struct jade_reader *r, size_t n, const char *what,
                             struct jade_err *err)
{
    size_t at = r->pos;
    const uint8_t *p = jade_get_bytes(r, n);
    for (size_t i = 0; p != NULL && i < n; i++) {
        if (p[i] != 0) {
            return jade_fail(err, JADE_E_CORRUPT, "%s: reserved byte %zu is 0x%02x, not 0", what,
                             at + i, p[i]);
        }
    }
    return jade_reader_status(r, what, err);
}
