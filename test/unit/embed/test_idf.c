#include "base/random.h"
#include "embed_test.h"
#include "format/codec.h"

enum { HEADER = 96, CRC = 4 };

static const struct jadei_idf head = {.corpus = "small", .n_documents = 1000, .unseen = 2500};
static const struct jadei_idf_entry entries[] = {
    {1, 7}, {2, 65535}, {0x1234567890ABCDEFu, 1}, {UINT64_MAX, 300}};
enum { N = sizeof entries / sizeof entries[0] };

static void encode(struct jade_buf *out)
{
    struct jade_err err;
    jade_buf_init(out, JADE_TAG_TEST);
    MUST(jadei_idf_encode(&head, entries, N, out, &err));
    assert_int_equal(out->len, HEADER + N * 10 + CRC);
}

/* Makes hash and checksum right again after a change, so that the checks behind them are reached. */
static void seal(uint8_t *p, size_t n)
{
    jade_hash128(p + 32, n - 32 - CRC, p + 16);
    jade_store_u32(p + n - CRC, jade_crc32c(0, p, n - CRC));
}

static jade_code decode(const uint8_t *p, size_t n)
{
    struct jadei_idf idf;
    struct jade_err err = {0};
    jade_code rc = jadei_idf_decode(p, n, &idf, &err);
    assert_true((rc == JADE_OK) == (err.message[0] == '\0'));
    assert_true(rc == JADE_OK || (idf.keys == NULL && idf.weights == NULL && idf.n == 0));
    jadei_idf_release(&idf);
    return rc;
}

static void model_file_round_trips(void **state)
{
    (void)state;
    struct jade_err err;
    struct jade_buf file;
    struct jadei_idf idf;
    char version[JADE_EMBED_NAME_SIZE];
    encode(&file);
    MUST(jadei_idf_decode(file.data, file.len, &idf, &err));
    assert_string_equal(idf.corpus, "small");
    assert_true(idf.n_documents == 1000);
    assert_int_equal(idf.unseen, 2500);
    assert_int_equal(idf.n, N);
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(jadei_idf_weight(&idf, entries[i].key), entries[i].weight);
    }
    assert_int_equal(jadei_idf_weight(&idf, 3), 2500);
    assert_int_equal(strlen(idf.hash), 32);
    jadei_idf_version(&idf, version);
    assert_memory_equal(version, "small-", 6);
    assert_memory_equal(version + 6, idf.hash, 8);
    assert_int_equal(strlen(version), 14);
    jadei_idf_release(&idf);
    jade_buf_release(&file);
}

/* The bytes of format 1 as docs/formats/model.md has them, for ever. */
static void file_of_format_1_is_read_and_written_byte_for_byte(void **state)
{
    (void)state;
    struct jade_buf file;
    encode(&file);
    /* clang-format off */
    static const uint8_t golden[] = {
        0x4a, 0x41, 0x44, 0x45, 0x49, 0x44, 0x46, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x78, 0xfa, 0x43, 0x6d, 0x02, 0x46, 0x14, 0x21, 0xd3, 0x7d, 0x4b, 0x0f, 0xc2, 0x5c, 0x8c, 0x1a,
        0x01, 0x00, 0x00, 0x00, 0x80, 0x01, 0x00, 0x00, 0xe8, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x04, 0x00, 0x00, 0x00, 0xc4, 0x09, 0x00, 0x00, 0x73, 0x6d, 0x61, 0x6c, 0x6c, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0xef, 0xcd, 0xab, 0x90, 0x78, 0x56, 0x34, 0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0x07, 0x00, 0xff, 0xff, 0x01, 0x00, 0x2c, 0x01, 0x72, 0x1f, 0x95, 0x50,
    };
    /* clang-format on */
    assert_int_equal(file.len, sizeof golden);
    assert_memory_equal(file.data, golden, sizeof golden);
    jade_buf_release(&file);
}

static void table_without_features_is_a_model(void **state)
{
    (void)state;
    struct jade_err err;
    struct jade_buf file;
    struct jadei_idf idf;
    jade_buf_init(&file, JADE_TAG_TEST);
    MUST(jadei_idf_encode(&head, NULL, 0, &file, &err));
    MUST(jadei_idf_decode(file.data, file.len, &idf, &err));
    assert_int_equal(jadei_idf_weight(&idf, 1), 2500);
    jadei_idf_release(&idf);
    jade_buf_release(&file);
}

static void damage_of_any_byte_is_found(void **state)
{
    (void)state;
    struct jade_buf file;
    encode(&file);
    for (size_t i = 0; i < file.len; i++) {
        for (unsigned mask = 1; mask < 256; mask++) {
            file.data[i] ^= (uint8_t)mask;
            assert_int_equal(decode(file.data, file.len), JADE_E_CORRUPT);
            file.data[i] ^= (uint8_t)mask;
        }
    }
    assert_int_equal(decode(file.data, file.len), JADE_OK);
    jade_buf_release(&file);
}

static void cut_or_longer_file_is_refused(void **state)
{
    (void)state;
    struct jade_buf file;
    encode(&file);
    for (size_t n = 0; n < file.len; n++) {
        /* A copy of just that size: a read past its end would be seen. */
        uint8_t *cut = jade_alloc(JADE_TAG_TEST, n);
        assert_non_null(cut);
        memcpy(cut, file.data, n);
        assert_int_equal(decode(cut, n), JADE_E_CORRUPT);
        if (n >= HEADER + CRC) {
            seal(cut, n);
            assert_int_equal(decode(cut, n), JADE_E_CORRUPT);
        }
        jade_free(cut);
    }
    jade_buf_append_byte(&file, 0);
    seal(file.data, file.len);
    assert_int_equal(decode(file.data, file.len), JADE_E_CORRUPT);
    jade_buf_release(&file);
}

static void newer_format_is_called_newer(void **state)
{
    (void)state;
    struct jade_buf file;
    encode(&file);
    jade_store_u32(file.data + 8, 2); /* format */
    seal(file.data, file.len);
    assert_int_equal(decode(file.data, file.len), JADE_E_VERSION);
    jade_store_u32(file.data + 8, 1);
    jade_store_u32(file.data + 32, 2); /* algorithm */
    seal(file.data, file.len);
    assert_int_equal(decode(file.data, file.len), JADE_E_VERSION);
    jade_store_u32(file.data + 32, 1);
    jade_store_u32(file.data + 36, 768); /* dimension */
    seal(file.data, file.len);
    assert_int_equal(decode(file.data, file.len), JADE_E_VERSION);
    jade_buf_release(&file);
}

static void field_out_of_range_is_refused_behind_a_right_checksum(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t bytes;
        uint64_t value;
    } cases[] = {
        {8, 4, 0},              /* format 0 */
        {12, 4, 1},             /* reserved */
        {40, 8, 0},             /* no documents */
        {48, 4, 3},             /* fewer features than bytes */
        {48, 4, 0xFFFFFFFF},    /* far more */
        {52, 2, 0},             /* unseen weighs nothing */
        {54, 2, 1},             /* reserved */
        {56, 1, 0},             /* corpus without name */
        {56, 1, 'S'},           /* a capital */
        {70, 1, 'x'},           /* bytes after the name */
        {88, 8, 1},             /* reserved */
        {HEADER, 8, 0},         /* key 0 */
        {HEADER, 8, 2},         /* a key twice */
        {HEADER, 8, 3},         /* keys out of order */
        {HEADER + N * 8, 2, 0}, /* weight 0 */
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct jade_buf file;
        encode(&file);
        for (unsigned b = 0; b < cases[i].bytes; b++) {
            file.data[cases[i].at + b] = (uint8_t)(cases[i].value >> (8 * b));
        }
        seal(file.data, file.len);
        assert_int_equal(decode(file.data, file.len), JADE_E_CORRUPT);
        jade_buf_release(&file);
    }
}

static void random_changes_behind_a_right_checksum_are_survived(void **state)
{
    (void)state;
    enum { SEED = 42, ROUNDS = 20000 };
    struct jade_random r;
    unsigned accepted = 0;
    print_message("seed %d\n", SEED);
    jade_random_init(&r, SEED);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct jade_buf file;
        encode(&file);
        unsigned changes = 1 + (unsigned)jade_random_below(&r, 4);
        for (unsigned i = 0; i < changes; i++) {
            file.data[jade_random_below(&r, file.len - CRC)] = (uint8_t)jade_random_u64(&r);
        }
        seal(file.data, file.len);
        accepted += decode(file.data, file.len) == JADE_OK;
        jade_buf_release(&file);
    }
    assert_in_range(accepted, 1, ROUNDS - 1); /* changed weights are a model of their own */
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    struct jade_buf file, again;
    int64_t before = jade_alloc_bytes_total();
    encode(&file);
    for (uint64_t at = 1; at <= 2; at++) {
        jade_alloc_fail_at(at);
        assert_int_equal(decode(file.data, file.len), JADE_E_NOMEM);
        jade_alloc_fail_at(0);
    }
    jade_buf_init(&again, JADE_TAG_TEST);
    jade_alloc_fail_at(1);
    assert_int_equal(jadei_idf_encode(&head, entries, N, &again, NULL), JADE_E_NOMEM);
    jade_alloc_fail_at(0);
    jade_buf_release(&again);
    jade_buf_release(&file);
    assert_true(jade_alloc_bytes_total() == before);
}

static void corpus_names_are_lower_case_words(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "wordnet", "my-corpus-2", "abcdefghijklmnopqrstuvwx"};
    static const char *const bad[] = {
        "", "2x", "-a", "A", "a b", "a/b", "a.b", "abcdefghijklmnopqrstuvwxy", "\xC3\xA9"};
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(jadei_corpus_name_ok(good[i]));
    }
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(jadei_corpus_name_ok(bad[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model_file_round_trips),
        cmocka_unit_test(file_of_format_1_is_read_and_written_byte_for_byte),
        cmocka_unit_test(table_without_features_is_a_model),
        cmocka_unit_test(damage_of_any_byte_is_found),
        cmocka_unit_test(cut_or_longer_file_is_refused),
        cmocka_unit_test(newer_format_is_called_newer),
        cmocka_unit_test(field_out_of_range_is_refused_behind_a_right_checksum),
        cmocka_unit_test(random_changes_behind_a_right_checksum_are_survived),
        cmocka_unit_test(every_failed_allocation_is_reported),
        cmocka_unit_test(corpus_names_are_lower_case_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
