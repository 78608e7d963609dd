/*
 * WAL record headers, UPSERT and DELETE payloads. The first byte chooses. Invariants: nothing is read outside; what is taken is written
 * again with the same bytes (there is one encoding of a content).
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "format/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same_bytes(const struct jade_buf *again, const uint8_t *p, size_t n)
{
    JADE_ASSERT(again->len == n && memcmp(again->data, p, n) == 0);
}

static void upsert(const uint8_t *p, size_t n, struct jade_buf *again)
{
    struct jade_record_reader rr;
    struct jade_row row;
    bool more = true;
    if (jade_record_upsert_open(&rr, p, n, NULL) != JADE_OK) {
        return;
    }
    jade_record_upsert_begin(again, rr.n_rows);
    while (jade_record_upsert_next(&rr, &row, &more, NULL) == JADE_OK) {
        if (!more) {
            same_bytes(again, p, n);
            return;
        }
        jade_record_upsert_row(again, &row);
    }
}

static void delete (const uint8_t *p, size_t n, struct jade_buf *again)
{
    struct jade_delete_reader dr;
    const char *id;
    uint32_t id_len;
    bool more = true;
    if (jade_record_delete_open(&dr, p, n, NULL) != JADE_OK) {
        return;
    }
    jade_record_delete_begin(again, dr.n_ids, dr.time_us);
    while (jade_record_delete_next(&dr, &id, &id_len, &more, NULL) == JADE_OK) {
        if (!more) {
            same_bytes(again, p, n);
            return;
        }
        jade_record_delete_id(again, id, id_len);
    }
}

static void header(const uint8_t *p, size_t n)
{
    struct jade_wal_header h;
    uint8_t again[JADE_WAL_HEADER_BYTES];
    if (n < JADE_WAL_HEADER_BYTES || !jade_wal_header_decode(p, &h)) {
        return;
    }
    if (h.size > n - JADE_WAL_HEADER_BYTES) {
        return; /* the log reader looks at the size before the checksum, too */
    }
    const uint8_t *payload = p + JADE_WAL_HEADER_BYTES;
    bool valid = jade_wal_header_valid(p, payload);
    jade_wal_header_encode(&h, payload, again);
    JADE_ASSERT(memcmp(again, p, 60) == 0); /* all but the checksum */
    JADE_ASSERT(valid == (memcmp(again, p, sizeof again) == 0));
    JADE_ASSERT(jade_wal_header_valid(again, payload));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    /* A block of its own, of the exact size: the sanitizer sees a read outside; and aligned as payloads are. */
    size_t n = size - 1;
    uint8_t *p = jade_alloc_aligned(JADE_TAG_TEST, n, 16);
    struct jade_buf again;
    JADE_ASSERT(p != NULL);
    memcpy(p, data + 1, n);
    jade_buf_init(&again, JADE_TAG_TEST);
    switch (data[0] % 3) {
    case 0:
        upsert(p, n, &again);
        break;
    case 1:
        delete (p, n, &again);
        break;
    default:
        header(p, n);
        break;
    }
    jade_buf_release(&again);
    jade_free(p);
    return 0;
}
