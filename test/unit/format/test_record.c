#include "format_test.h"

#include "format/record.h"

/* Payloads lie at 8-byte boundaries, as in a log. */
union payload {
    uint64_t align;
    uint8_t b[2048];
};

static const float values[6] = {1.0f, -2.0f, 3.5f, 0.0f, 1e-20f, 7e20f};

static struct jade_row row_of(const char *id, uint32_t dim, const char *metadata)
{
    return (struct jade_row){
        .id = id,
        .id_len = (uint32_t)strlen(id),
        .values = values,
        .dim = dim,
        .metadata = metadata,
        .metadata_len = metadata == NULL ? 0 : (uint32_t)strlen(metadata),
        .time_us = 1759924800123456,
    };
}

/* Three rows with every kind of padding. */
static size_t sample_upsert(union payload *out)
{
    struct jade_row rows[3] = {row_of("first", 3, NULL), row_of("\xC3\xA9", 6, "{\"k\":1}"),
                               row_of("12345678", 4, "{}")};
    struct jade_buf b;
    jade_buf_init(&b, JADE_TAG_TEST);
    jade_record_upsert_begin(&b, 3);
    for (int i = 0; i < 3; i++) {
        jade_record_upsert_row(&b, &rows[i]);
    }
    assert_int_equal(jade_buf_status(&b, NULL), JADE_OK);
    assert_true(b.len <= sizeof out->b);
    memcpy(out->b, b.data, b.len);
    size_t n = b.len;
    jade_buf_release(&b);
    return n;
}

/* Reads to the end; the rows that were accepted are written again into `again` when it is given. */
static jade_code read_upsert(const void *p, size_t n, struct jade_buf *again)
{
    struct jade_record_reader rr;
    struct jade_row row;
    bool more = false;
    jade_code rc = jade_record_upsert_open(&rr, p, n, NULL);
    if (rc == JADE_OK && again != NULL) {
        jade_record_upsert_begin(again, rr.n_rows);
    }
    while (rc == JADE_OK) {
        rc = jade_record_upsert_next(&rr, &row, &more, NULL);
        if (rc != JADE_OK || !more) {
            break;
        }
        if (again != NULL) {
            jade_record_upsert_row(again, &row);
        }
    }
    return rc;
}

static void upsert_round_trip_borrows_from_payload(void **state)
{
    (void)state;
    union payload p;
    size_t n = sample_upsert(&p);
    struct jade_record_reader rr;
    struct jade_row row;
    bool more = false;
    assert_int_equal(jade_record_upsert_open(&rr, p.b, n, NULL), JADE_OK);
    assert_int_equal(rr.n_rows, 3);
    assert_int_equal(jade_record_upsert_next(&rr, &row, &more, NULL), JADE_OK);
    assert_true(more);
    assert_memory_equal(row.id, "first", 5);
    assert_null(row.metadata);
    assert_int_equal(row.dim, 3);
    assert_memory_equal(row.values, values, 3 * sizeof(float));
    assert_true(row.time_us == 1759924800123456);
    assert_true((const uint8_t *)row.values > p.b && (const uint8_t *)row.values < p.b + n);
    assert_int_equal(jade_record_upsert_next(&rr, &row, &more, NULL), JADE_OK);
    assert_int_equal(row.id_len, 2);
    assert_int_equal(row.metadata_len, 7);
    assert_memory_equal(row.metadata, "{\"k\":1}", 7);
    assert_int_equal(jade_record_upsert_next(&rr, &row, &more, NULL), JADE_OK);
    assert_memory_equal(row.id, "12345678", 8);
    assert_int_equal(jade_record_upsert_next(&rr, &row, &more, NULL), JADE_OK);
    assert_false(more);
}

static void upsert_rows_and_values_are_aligned(void **state)
{
    (void)state;
    struct jade_random r = seeded();
    char text[64];
    memset(text, 'x', sizeof text);
    for (int round = 0; round < 500; round++) {
        union payload p;
        struct jade_buf b;
        jade_buf_init(&b, JADE_TAG_TEST);
        jade_record_upsert_begin(&b, 3);
        for (int i = 0; i < 3; i++) {
            struct jade_row row = row_of("", (uint32_t)jade_random_below(&r, 6) + 1, NULL);
            row.id = text;
            row.id_len = (uint32_t)jade_random_below(&r, 40) + 1;
            row.metadata_len = (uint32_t)jade_random_below(&r, 40);
            row.metadata = row.metadata_len == 0 ? NULL : text;
            size_t before = b.len;
            jade_record_upsert_row(&b, &row);
            assert_int_equal(b.len - before, jade_record_upsert_row_bytes(&row));
        }
        memcpy(p.b, b.data, b.len);
        struct jade_record_reader rr;
        struct jade_row row;
        bool more = true;
        assert_int_equal(jade_record_upsert_open(&rr, p.b, b.len, NULL), JADE_OK);
        while (more) {
            assert_int_equal(rr.r.pos % 8, 0);
            assert_int_equal(jade_record_upsert_next(&rr, &row, &more, NULL), JADE_OK);
            assert_int_equal((uintptr_t)row.values % sizeof(float), 0);
        }
        jade_buf_release(&b);
    }
}

static void upsert_takes_the_largest_row(void **state)
{
    (void)state;
    size_t dim = JADE_DIM_MAX;
    float *many = jade_calloc(JADE_TAG_TEST, dim, sizeof *many);
    char *id = jade_calloc(JADE_TAG_TEST, 1, JADE_ID_BYTES_MAX);
    char *metadata = jade_calloc(JADE_TAG_TEST, 1, JADE_METADATA_BYTES_MAX);
    assert_true(many != NULL && id != NULL && metadata != NULL);
    memset(id, 'i', JADE_ID_BYTES_MAX);
    struct jade_row row = {.id = id,
                           .id_len = JADE_ID_BYTES_MAX,
                           .values = many,
                           .dim = JADE_DIM_MAX,
                           .metadata = metadata,
                           .metadata_len = JADE_METADATA_BYTES_MAX};
    struct jade_buf b;
    struct jade_buf again;
    jade_buf_init(&b, JADE_TAG_TEST);
    jade_buf_init(&again, JADE_TAG_TEST);
    jade_record_upsert_begin(&b, 1);
    jade_record_upsert_row(&b, &row);
    assert_int_equal(read_upsert(b.data, b.len, &again), JADE_OK);
    assert_int_equal(again.len, b.len);
    assert_memory_equal(again.data, b.data, b.len);
    jade_buf_release(&b);
    jade_buf_release(&again);
    jade_free(many);
    jade_free(id);
    jade_free(metadata);
}

static void upsert_every_truncation_is_refused(void **state)
{
    (void)state;
    union payload p;
    size_t n = sample_upsert(&p);
    for (size_t cut = 0; cut < n; cut++) {
        assert_int_equal(read_upsert(p.b, cut, NULL), JADE_E_CORRUPT);
    }
    memset(p.b + n, 0, 8);
    assert_int_equal(read_upsert(p.b, n, NULL), JADE_OK);
    for (size_t more = 1; more <= 8; more++) { /* bytes after the end are no part of it either */
        assert_int_equal(read_upsert(p.b, n + more, NULL), JADE_E_CORRUPT);
    }
}

/*
 * The payload has no checksum of its own (the record header has): a changed byte is refused, or it changed content and then reads as
 * exactly what it says, so that what was read and written again gives the same bytes.
 */
static void upsert_every_damaged_byte_is_refused_or_reads_as_it_says(void **state)
{
    (void)state;
    union payload good;
    size_t n = sample_upsert(&good);
    struct jade_buf again;
    jade_buf_init(&again, JADE_TAG_TEST);
    size_t refused = 0;
    for (size_t at = 0; at < n; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            union payload p = good;
            p.b[at] = (uint8_t)(p.b[at] ^ 1u << bit);
            jade_buf_clear(&again);
            jade_code rc = read_upsert(p.b, n, &again);
            if (rc == JADE_OK) {
                assert_int_equal(again.len, n);
                assert_memory_equal(again.data, p.b, n);
            } else {
                assert_true(rc == JADE_E_CORRUPT || rc == JADE_E_VERSION);
                refused++;
            }
        }
    }
    /* At the least the 8 bytes of the head, and 20 of each row and field head, are all structure. */
    assert_true(refused >= 8 * (8 + 3 * 20));
    jade_buf_release(&again);
}

/* One byte of a good payload changed to what the table says. */
static void upsert_bad_heads_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t value;
        jade_code code;
        const char *why;
    } cases[] = {
        {0, 0, JADE_E_CORRUPT, "version 0"},
        {0, 2, JADE_E_VERSION, "newer version"},
        {2, 1, JADE_E_VERSION, "flag of a newer version"},
        {4, 0, JADE_E_CORRUPT, "no rows"},
        {7, 0xFF, JADE_E_CORRUPT, "more rows than bytes"},
        {8, 56 + 4, JADE_E_CORRUPT, "row size not a multiple of 8"},
        {8, 56 - 8, JADE_E_CORRUPT, "row smaller than its content"},
        {8, 56 + 8, JADE_E_CORRUPT, "row larger than its content"},
        {11, 0x10, JADE_E_CORRUPT, "row larger than the payload"},
        {12, 0, JADE_E_CORRUPT, "empty id"},
        {13, 0xFF, JADE_E_CORRUPT, "id longer than allowed"},
        {14, 0, JADE_E_CORRUPT, "no fields"},
        {14, 2, JADE_E_VERSION, "two fields"},
        {14, 17, JADE_E_CORRUPT, "more fields than allowed"},
        {15, 1, JADE_E_VERSION, "row flag"},
        {27, 0xFF, JADE_E_CORRUPT, "metadata longer than allowed"},
        {28, 1, JADE_E_VERSION, "reserved word"},
        {32, 4, JADE_E_VERSION, "named field"},
        {32, 65, JADE_E_CORRUPT, "field name longer than allowed"},
        {33, JADE_FIELD_SPARSE, JADE_E_VERSION, "sparse field"},
        {33, JADE_FIELD_MULTI, JADE_E_VERSION, "multi-vector field"},
        {34, JADE_ELEM_F16, JADE_E_VERSION, "float16 elements"},
        {35, 1, JADE_E_VERSION, "reserved byte of the field"},
        {36, 0, JADE_E_CORRUPT, "dimension 0"},
        {39, 1, JADE_E_CORRUPT, "dimension above the limit"},
        {57, 0x80, JADE_E_CORRUPT, "bytes in the padding"},
        {52, 0xFF, JADE_E_CORRUPT, "id that is not UTF-8"},
    };
    union payload good;
    size_t n = sample_upsert(&good);
    assert_int_equal(good.b[8], 56);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        union payload p = good;
        p.b[cases[i].at] = cases[i].value;
        jade_code rc = read_upsert(p.b, n, NULL);
        if (rc != cases[i].code) {
            fail_msg("%s: got %s, expected %s", cases[i].why, jade_code_name(rc),
                     jade_code_name(cases[i].code));
        }
    }
}

static size_t sample_delete(uint8_t out[64])
{
    struct jade_buf b;
    jade_buf_init(&b, JADE_TAG_TEST);
    jade_record_delete_begin(&b, 3, -5);
    jade_record_delete_id(&b, "one", 3);
    jade_record_delete_id(&b, "\xE5\x90\x91", 3);
    jade_record_delete_id(&b, "x", 1);
    assert_int_equal(b.len, 16 + 5 + 5 + 3);
    memcpy(out, b.data, b.len);
    size_t n = b.len;
    jade_buf_release(&b);
    return n;
}

static jade_code read_delete(const uint8_t *p, size_t n, struct jade_buf *again)
{
    struct jade_delete_reader dr;
    const char *id = NULL;
    uint32_t id_len = 0;
    bool more = false;
    jade_code rc = jade_record_delete_open(&dr, p, n, NULL);
    if (rc == JADE_OK) {
        jade_record_delete_begin(again, dr.n_ids, dr.time_us);
    }
    while (rc == JADE_OK) {
        rc = jade_record_delete_next(&dr, &id, &id_len, &more, NULL);
        if (rc != JADE_OK || !more) {
            break;
        }
        jade_record_delete_id(again, id, id_len);
    }
    return rc;
}

static void delete_round_trip_and_truncation(void **state)
{
    (void)state;
    uint8_t raw[64] = {0};
    size_t n = sample_delete(raw);
    struct jade_buf again;
    jade_buf_init(&again, JADE_TAG_TEST);
    assert_int_equal(read_delete(raw, n, &again), JADE_OK);
    assert_int_equal(again.len, n);
    assert_memory_equal(again.data, raw, n);
    for (size_t cut = 0; cut < n; cut++) {
        jade_buf_clear(&again);
        assert_int_equal(read_delete(raw, cut, &again), JADE_E_CORRUPT);
    }
    jade_buf_clear(&again);
    assert_int_equal(read_delete(raw, n + 1, &again), JADE_E_CORRUPT);
    jade_buf_release(&again);
}

static void delete_every_damaged_byte_is_refused_or_reads_as_it_says(void **state)
{
    (void)state;
    uint8_t good[64] = {0};
    size_t n = sample_delete(good);
    struct jade_buf again;
    jade_buf_init(&again, JADE_TAG_TEST);
    for (size_t at = 0; at < n; at++) {
        for (unsigned value = 0; value < 256; value++) {
            uint8_t raw[64];
            memcpy(raw, good, sizeof raw);
            raw[at] = (uint8_t)value;
            jade_buf_clear(&again);
            jade_code rc = read_delete(raw, n, &again);
            if (rc == JADE_OK) {
                assert_int_equal(again.len, n);
                assert_memory_equal(again.data, raw, n);
            } else {
                assert_true(rc == JADE_E_CORRUPT || rc == JADE_E_VERSION);
            }
        }
    }
    jade_buf_release(&again);
}

static void record_encoders_tell_when_memory_is_short(void **state)
{
    (void)state;
    struct jade_row row = row_of("some id", 6, "{\"a\":[1,2,3]}");
    jade_code rc = JADE_E_NOMEM;
    uint64_t n = 0;
    while (rc != JADE_OK) {
        struct jade_buf b;
        jade_buf_init(&b, JADE_TAG_TEST);
        jade_alloc_fail_at(++n);
        jade_record_upsert_begin(&b, 2);
        jade_record_upsert_row(&b, &row);
        jade_record_upsert_row(&b, &row);
        jade_record_delete_begin(&b, 1, 0);
        jade_record_delete_id(&b, "x", 1);
        jade_alloc_fail_at(0);
        rc = jade_buf_status(&b, NULL);
        jade_buf_release(&b);
        assert_int_equal(jade_alloc_bytes(JADE_TAG_TEST), 0);
        assert_true(n < 100);
    }
    assert_true(n > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(upsert_round_trip_borrows_from_payload),
        cmocka_unit_test(upsert_rows_and_values_are_aligned),
        cmocka_unit_test(upsert_takes_the_largest_row),
        cmocka_unit_test(upsert_every_truncation_is_refused),
        cmocka_unit_test(upsert_every_damaged_byte_is_refused_or_reads_as_it_says),
        cmocka_unit_test(upsert_bad_heads_are_told_apart),
        cmocka_unit_test(delete_round_trip_and_truncation),
        cmocka_unit_test(delete_every_damaged_byte_is_refused_or_reads_as_it_says),
        cmocka_unit_test(record_encoders_tell_when_memory_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
