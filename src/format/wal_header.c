#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "format/record.h"

/* docs/formats/wal.md has this layout as a table. */
enum {
    WAL_MAGIC = 0x524A, /* "JR" */
    WAL_RECORD_VERSION = 1,
    AT_MAGIC = 0,
    AT_VERSION = 2,
    AT_TYPE = 3,
    AT_SIZE = 4,
    AT_LSN = 8,
    AT_EPOCH = 16,
    AT_GENERATION = 24,
    AT_DURABLE = 32,
    AT_REQUEST = 40,
    AT_PREV_CRC = 56,
    AT_CRC = 60,
};
static_assert(AT_CRC + 4 == JADE_WAL_HEADER_BYTES, "the checksum is the last word of the header");

static uint32_t record_crc(const uint8_t *header, const void *payload, size_t n)
{
    return jade_crc32c(jade_crc32c(0, header, AT_CRC), payload, n);
}

void jade_wal_header_encode(struct jade_wal_header *h, const void *payload,
                            uint8_t out[JADE_WAL_HEADER_BYTES])
{
    JADE_ASSERT(h->size <= JADE_WAL_RECORD_MAX);
    JADE_ASSERT(h->type <= JADE_RECORD_EPOCH_START);
    JADE_ASSERT(h->lsn.v > h->durable.v); /* a record cannot be durable before it is written */
    jade_store_u16(out + AT_MAGIC, WAL_MAGIC);
    out[AT_VERSION] = WAL_RECORD_VERSION;
    out[AT_TYPE] = (uint8_t)h->type;
    jade_store_u32(out + AT_SIZE, h->size);
    jade_store_u64(out + AT_LSN, h->lsn.v);
    jade_store_u64(out + AT_EPOCH, h->epoch.v);
    jade_store_u64(out + AT_GENERATION, h->generation);
    jade_store_u64(out + AT_DURABLE, h->durable.v);
    memcpy(out + AT_REQUEST, h->request.b, sizeof h->request.b);
    jade_store_u32(out + AT_PREV_CRC, h->prev_crc);
    h->crc = record_crc(out, payload, h->size);
    jade_store_u32(out + AT_CRC, h->crc);
}

bool jade_wal_header_decode(const uint8_t in[JADE_WAL_HEADER_BYTES], struct jade_wal_header *h)
{
    if (jade_load_u16(in + AT_MAGIC) != WAL_MAGIC || in[AT_VERSION] != WAL_RECORD_VERSION) {
        return false;
    }
    *h = (struct jade_wal_header){
        .size = jade_load_u32(in + AT_SIZE),
        .lsn = {jade_load_u64(in + AT_LSN)},
        .epoch = {jade_load_u64(in + AT_EPOCH)},
        .generation = jade_load_u64(in + AT_GENERATION),
        .durable = {jade_load_u64(in + AT_DURABLE)},
        .type = in[AT_TYPE],
        .prev_crc = jade_load_u32(in + AT_PREV_CRC),
        .crc = jade_load_u32(in + AT_CRC),
    };
    memcpy(h->request.b, in + AT_REQUEST, sizeof h->request.b);
    return h->size <= JADE_WAL_RECORD_MAX && h->type <= JADE_RECORD_EPOCH_START &&
           h->lsn.v > h->durable.v;
}

bool jade_wal_header_valid(const uint8_t in[JADE_WAL_HEADER_BYTES], const void *payload)
{
    uint32_t size = jade_load_u32(in + AT_SIZE);
    return size <= JADE_WAL_RECORD_MAX &&
           jade_load_u32(in + AT_CRC) == record_crc(in, payload, size);
}

size_t jade_wal_record_bytes(uint32_t payload_size)
{
    size_t n = (size_t)JADE_WAL_HEADER_BYTES + payload_size;
    return (n + JADE_WAL_ALIGN - 1) & ~(size_t)(JADE_WAL_ALIGN - 1);
}
