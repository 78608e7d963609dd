#include "format_test.h"

#include "base/hash.h"
#include "format/manifest.h"

static const struct jade_segment_desc sample = {
    .number = 8,
    .n_rows = 1000,
    .dim = 128,
    .metric = 1,
    .lsn_min = {5},
    .lsn_max = {50},
    .n_files = 2,
    .files = {{.name = "vectors.0", .kind = 1, .crc = 2, .size = 3},
              {.name = "ids", .kind = 4, .crc = 5, .size = 6}},
};

static void encode(struct jade_buf *out)
{
    jade_buf_init(out, JADE_TAG_TEST);
    assert_int_equal(jade_segment_desc_encode(&sample, out, NULL), JADE_OK);
}

static void reseal(uint8_t *p, size_t n)
{
    memset(p + 12, 0, 4);
    jade_store_u32(p + 12, jade_crc32c(0, p, n));
}

static void segment_desc_every_damaged_bit_and_truncation_is_corrupt(void **state)
{
    (void)state;
    static struct jade_segment_desc got;
    struct jade_buf b;
    encode(&b);
    for (size_t at = 0; at < b.len; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            b.data[at] = (uint8_t)(b.data[at] ^ 1u << bit);
            assert_int_equal(jade_segment_desc_decode(b.data, b.len, &got, NULL), JADE_E_CORRUPT);
            assert_int_equal(got.n_files, 0);
            b.data[at] = (uint8_t)(b.data[at] ^ 1u << bit);
        }
        assert_int_equal(jade_segment_desc_decode(b.data, at, &got, NULL), JADE_E_CORRUPT);
    }
    assert_int_equal(jade_segment_desc_decode(b.data, b.len, &got, NULL), JADE_OK);
    assert_string_equal(got.files[1].name, "ids");
    jade_buf_release(&b);
}

/* A word of a good descriptor changed, with the right checksum over it. */
static void segment_desc_wrong_content_is_refused(void **state)
{
    (void)state;
    static struct jade_segment_desc got;
    static const struct {
        size_t at;
        uint32_t value;
        jade_code code;
        const char *why;
    } cases[] = {
        {8, 2, JADE_E_VERSION, "newer version"},
        {24, 51, JADE_E_CORRUPT, "lsn_min above lsn_max"},
        {40, (1u << 30) + 1, JADE_E_CORRUPT, "rows above the limit"},
        {44, 0, JADE_E_CORRUPT, "dimension 0"},
        {44, JADE_DIM_MAX + 1, JADE_E_CORRUPT, "dimension above the limit"},
        {48, 3, JADE_E_CORRUPT, "metric"},
        {52, 0, JADE_E_CORRUPT, "no files"},
        {52, 1, JADE_E_CORRUPT, "fewer files than bytes"},
        {52, 3, JADE_E_CORRUPT, "more files than bytes"},
        {52, 0xFFFFFFFF, JADE_E_CORRUPT, "more files than the limit"},
        {56, 1, JADE_E_CORRUPT, "reserved"},
        {80, 0, JADE_E_CORRUPT, "empty name"},
        {80, 0x002F2E2E, JADE_E_CORRUPT, "name with a path"},
        {108, 1, JADE_E_CORRUPT, "bytes after the name"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct jade_buf b;
        encode(&b);
        jade_store_u32(b.data + cases[i].at, cases[i].value);
        reseal(b.data, b.len);
        jade_code rc = jade_segment_desc_decode(b.data, b.len, &got, NULL);
        if (rc != cases[i].code) {
            fail_msg("%s: got %s", cases[i].why, jade_code_name(rc));
        }
        jade_buf_release(&b);
    }
}

static void segment_desc_encoder_refuses_what_could_not_be_read(void **state)
{
    (void)state;
    static struct jade_segment_desc d;
    struct jade_buf b;
    jade_buf_init(&b, JADE_TAG_TEST);
    const char *names[] = {"", ".hidden", "a/b", "UPPER", "a b", "ids"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        d = sample;
        (void)snprintf(d.files[0].name, sizeof d.files[0].name, "%s", names[i]); /* last: twice */
        assert_int_equal(jade_segment_desc_encode(&d, &b, NULL), JADE_E_INTERNAL);
    }
    d = sample;
    memset(d.files[0].name, 'a', sizeof d.files[0].name); /* no NUL */
    assert_int_equal(jade_segment_desc_encode(&d, &b, NULL), JADE_E_INTERNAL);
    d = sample;
    d.n_files = JADE_SEGMENT_FILES_MAX + 1;
    assert_int_equal(jade_segment_desc_encode(&d, &b, NULL), JADE_E_INTERNAL);
    assert_int_equal(b.len, 0);
    jade_buf_release(&b);
}

static void segment_desc_bytes_after_a_short_name_do_not_leak(void **state)
{
    (void)state;
    static struct jade_segment_desc d;
    struct jade_buf a;
    struct jade_buf b;
    encode(&a);
    jade_buf_init(&b, JADE_TAG_TEST);
    d = sample;
    memset(d.files[1].name + 4, 'z', 20); /* left from a longer name */
    assert_int_equal(jade_segment_desc_encode(&d, &b, NULL), JADE_OK);
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, a.len);
    jade_buf_release(&a);
    jade_buf_release(&b);
}

static void segment_desc_tells_when_memory_is_short(void **state)
{
    (void)state;
    struct jade_buf b;
    jade_buf_init(&b, JADE_TAG_TEST);
    jade_alloc_fail_at(1);
    assert_int_equal(jade_segment_desc_encode(&sample, &b, NULL), JADE_E_NOMEM);
    jade_alloc_fail_at(0);
    jade_buf_release(&b);
    assert_int_equal(jade_alloc_bytes_total(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segment_desc_every_damaged_bit_and_truncation_is_corrupt),
        cmocka_unit_test(segment_desc_wrong_content_is_refused),
        cmocka_unit_test(segment_desc_encoder_refuses_what_could_not_be_read),
        cmocka_unit_test(segment_desc_bytes_after_a_short_name_do_not_leak),
        cmocka_unit_test(segment_desc_tells_when_memory_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
