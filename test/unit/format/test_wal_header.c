#include "format_test.h"

#include "base/hash.h"
#include "format/record.h"

static const char payload[] = "a payload of some bytes";
enum { PAYLOAD = sizeof payload - 1 };

static struct jade_wal_header sample(void)
{
    return (struct jade_wal_header){
        .size = PAYLOAD,
        .lsn = {77},
        .epoch = {3},
        .generation = 5,
        .durable = {76},
        .request = {{1, 2, 3}},
        .type = JADE_RECORD_UPSERT,
        .prev_crc = 0xA5A5A5A5,
    };
}

static void wal_header_round_trip(void **state)
{
    (void)state;
    uint8_t raw[JADE_WAL_HEADER_BYTES];
    struct jade_wal_header h = sample();
    struct jade_wal_header got;
    jade_wal_header_encode(&h, payload, raw);
    assert_true(jade_wal_header_decode(raw, &got));
    assert_true(jade_wal_header_valid(raw, payload));
    assert_int_equal(got.size, h.size);
    assert_true(got.lsn.v == h.lsn.v && got.epoch.v == h.epoch.v && got.durable.v == h.durable.v);
    assert_true(got.generation == h.generation);
    assert_memory_equal(got.request.b, h.request.b, 16);
    assert_int_equal(got.type, h.type);
    assert_int_equal(got.prev_crc, h.prev_crc);
    assert_int_equal(got.crc, h.crc);
    /* What the document says: over the first 60 bytes, then the payload. */
    assert_int_equal(h.crc, jade_crc32c(jade_crc32c(0, raw, 60), payload, PAYLOAD));
}

static void wal_header_every_damaged_bit_is_found(void **state)
{
    (void)state;
    uint8_t raw[JADE_WAL_HEADER_BYTES];
    struct jade_wal_header h = sample();
    struct jade_wal_header got;
    jade_wal_header_encode(&h, payload, raw);
    for (size_t at = 0; at < sizeof raw; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            raw[at] = (uint8_t)(raw[at] ^ 1u << bit);
            if (jade_wal_header_decode(raw, &got)) {
                /* A size that grew must not send the check past the bytes there are. */
                bool fits = got.size <= PAYLOAD;
                assert_false(fits && jade_wal_header_valid(raw, payload));
            }
            raw[at] = (uint8_t)(raw[at] ^ 1u << bit);
        }
    }
    for (size_t at = 0; at < PAYLOAD; at++) {
        char damaged[sizeof payload];
        memcpy(damaged, payload, sizeof payload);
        damaged[at] ^= 0x10;
        assert_false(jade_wal_header_valid(raw, damaged));
    }
}

static void wal_header_of_zeros_or_old_space_is_none(void **state)
{
    (void)state;
    uint8_t raw[JADE_WAL_HEADER_BYTES] = {0};
    struct jade_wal_header got;
    assert_false(jade_wal_header_decode(raw, &got));
    memset(raw, 0xFF, sizeof raw);
    assert_false(jade_wal_header_decode(raw, &got));
    assert_false(
        jade_wal_header_valid(raw, payload)); /* size past the limit: the payload is not touched */
}

static void wal_header_refuses_what_cannot_be(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t value;
        const char *why;
    } cases[] = {
        {0, 'X', "magic"},
        {2, 2, "version"},
        {3, 4, "type"},
        {7, 5, "size"},
        {8, 76, "lsn not above durable"},
    };
    uint8_t raw[JADE_WAL_HEADER_BYTES];
    struct jade_wal_header h = sample();
    struct jade_wal_header got;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        jade_wal_header_encode(&h, payload, raw);
        raw[cases[i].at] = cases[i].value;
        if (jade_wal_header_decode(raw, &got)) {
            fail_msg("taken in spite of its %s", cases[i].why);
        }
    }
}

static void wal_record_bytes_are_padded_to_eight(void **state)
{
    (void)state;
    assert_int_equal(jade_wal_record_bytes(0), 64);
    assert_int_equal(jade_wal_record_bytes(1), 72);
    assert_int_equal(jade_wal_record_bytes(8), 72);
    assert_int_equal(jade_wal_record_bytes(9), 80);
    assert_int_equal(jade_wal_record_bytes(JADE_WAL_RECORD_MAX), 64 + JADE_WAL_RECORD_MAX);
}

static void wal_header_of_an_empty_payload(void **state)
{
    (void)state;
    uint8_t raw[JADE_WAL_HEADER_BYTES];
    struct jade_wal_header got;
    struct jade_wal_header h = {.lsn = {1}, .generation = 1, .type = JADE_RECORD_EPOCH_START};
    jade_wal_header_encode(&h, NULL, raw);
    assert_true(jade_wal_header_decode(raw, &got));
    assert_true(jade_wal_header_valid(raw, NULL));
    assert_int_equal(got.size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wal_header_round_trip),
        cmocka_unit_test(wal_header_every_damaged_bit_is_found),
        cmocka_unit_test(wal_header_of_zeros_or_old_space_is_none),
        cmocka_unit_test(wal_header_refuses_what_cannot_be),
        cmocka_unit_test(wal_record_bytes_are_padded_to_eight),
        cmocka_unit_test(wal_header_of_an_empty_payload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
