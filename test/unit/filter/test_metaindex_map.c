/* Saved indexes: failures while saving and opening are errors; a damaged file is refused or answers
 * something, and never crashes. */
#include "format/codec.h"
#include "metaindex_test.h"

static void failed_allocations_in_save_and_map_leak_nothing(void **state)
{
    (void)state;
    struct jade_random r;
    struct corpus c;
    jade_random_init(&r, 6);
    corpus_init(&c);
    corpus_fill(&c, &r, 200, false);
    corpus_save(&c);
    bool passed = false;
    for (uint64_t n = 1; !passed; n++) {
        struct jade_err e = {0};
        uint32_t crc = 0;
        char path[32];
        int64_t before = jade_alloc_bytes(JADE_TAG_METADATA);
        snprintf(path, sizeof path, "try%llu", (unsigned long long)n);
        jade_alloc_fail_at(n);
        jade_code rc = corpus_try_save(&c, path, &crc, &e);
        passed = jade_alloc_count() < n;
        jade_alloc_fail_at(0);
        assert_int_equal(rc, passed ? JADE_OK : JADE_E_NOMEM);
        assert_int_equal(jade_alloc_bytes(JADE_TAG_METADATA), before);
    }
    passed = false;
    for (uint64_t n = 1; !passed; n++) {
        struct jade_err e = {0};
        struct jade_metaindex *ix = NULL;
        jade_alloc_fail_at(n);
        jade_code rc = jade_metaindex_map(c.file, c.n_rows, &ix, &e);
        passed = jade_alloc_count() < n;
        jade_alloc_fail_at(0);
        assert_int_equal(rc, passed ? JADE_OK : JADE_E_NOMEM);
        assert_true((ix != NULL) == passed);
        jade_metaindex_free(ix);
    }
    corpus_release(&c);
}

static void an_empty_index_is_saved_and_mapped(void **state)
{
    (void)state;
    struct corpus c;
    struct jade_filter *f = parse_filter("{\"a\":{\"$ne\":1}}");
    roaring_bitmap_t *rows = NULL;
    corpus_init(&c);
    corpus_save(&c);
    must(jade_metaindex_eval(c.mapped, f, 3, NULL, NULL, &rows, &err));
    assert_int_equal(roaring_bitmap_get_cardinality(rows), 3);
    roaring_bitmap_free(rows);
    jade_filter_free(f);
    corpus_release(&c);
}

static void a_mapped_index_of_few_paths_takes_little_memory(void **state)
{
    (void)state;
    struct jade_random r;
    struct corpus c;
    jade_random_init(&r, 9);
    corpus_init(&c);
    corpus_fill(&c, &r, 4000, false);
    corpus_save(&c);
    print_message("4000 rows: growing %llu, mapped %llu, file %llu bytes\n",
                  (unsigned long long)jade_metaindex_memory_bytes(c.growing),
                  (unsigned long long)jade_metaindex_memory_bytes(c.mapped),
                  (unsigned long long)jade_blockfile_size(c.file));
    assert_true(jade_metaindex_memory_bytes(c.mapped) < 16384);
    corpus_release(&c);
}

/* Writes payload bytes as a block file with right checksums and maps it; NULL when it is refused.
 */
static struct jade_metaindex *map_bytes(struct corpus *c, const uint8_t *p, size_t n,
                                        struct jade_blockfile **file_out)
{
    struct jade_blockfile_writer *w = NULL;
    struct jade_metaindex *ix = NULL;
    struct jade_err e = {0};
    uint32_t crc = 0;
    uint64_t size = 0;
    struct jade_os *os = jade_sim_os(c->disk);
    must(jade_blockfile_writer_new(os, "damaged", JADE_BF_METAINDEX, SEGMENT, &w, &err));
    must(jade_blockfile_append(w, p, n, &err));
    must(jade_blockfile_finish(w, &crc, &size, &err));
    must(jade_blockfile_open(os, "damaged", JADE_BF_METAINDEX, SEGMENT, crc, file_out, &err));
    jade_code rc = jade_metaindex_map(*file_out, c->n_rows, &ix, &e);
    if (rc != JADE_OK && rc != JADE_E_CORRUPT && rc != JADE_E_VERSION) {
        fail_msg("map of damaged bytes: %s", jade_code_name(rc));
    }
    return ix;
}

/* Changes a few bytes, most of them where the structure is. */
static void damage(struct jade_random *r, uint8_t *p, size_t n)
{
    unsigned n_changes = 1 + (unsigned)jade_random_below(r, 3);
    for (unsigned i = 0; i < n_changes; i++) {
        size_t at = jade_random_below(r, 3) == 0
                        ? jade_random_below(r, n)
                        : n - 1 - jade_random_below(r, n < 4000 ? n : 4000);
        switch (jade_random_below(r, 3)) {
        case 0:
            p[at] ^= (uint8_t)(1u << jade_random_below(r, 8));
            break;
        case 1:
            p[at] = (uint8_t)jade_random_u64(r);
            break;
        default: /* a whole number at once: huge, zero, or just past the end */
            at = at / 8 * 8;
            if (at + 8 <= n) {
                static const uint64_t values[] = {0, 1, UINT64_MAX, (uint64_t)1 << 32,
                                                  (uint64_t)1 << 63};
                jade_store_u64(p + at, jade_random_below(r, 2) == 0
                                           ? n - jade_random_below(r, 32)
                                           : values[jade_random_below(r, 5)]);
            }
        }
    }
}

static void damage_with_right_checksums_never_crashes(void **state)
{
    (void)state;
    struct jade_random r;
    struct corpus c;
    struct jade_buf text;
    unsigned refused = 0;
    unsigned corrupt = 0;
    unsigned answered = 0;
    jade_random_init(&r, 99);
    print_message("seed 99\n");
    corpus_init(&c);
    corpus_fill(&c, &r, 400, false);
    corpus_save(&c);
    size_t n = (size_t)jade_blockfile_size(c.file);
    uint8_t *p = jade_alloc(JADE_TAG_TEST, n);
    assert_non_null(p);
    jade_buf_init(&text, JADE_TAG_TEST);
    for (unsigned i = 0; i < 1500; i++) {
        struct jade_blockfile *file = NULL;
        size_t len = jade_random_below(&r, 40) == 0 ? jade_random_below(&r, n) : n;
        memcpy(p, jade_blockfile_data(c.file), n);
        damage(&r, p, n);
        struct jade_metaindex *ix = map_bytes(&c, p + n - len, len, &file);
        refused += ix == NULL;
        for (unsigned k = 0; ix != NULL && k < 12; k++) {
            struct jade_filter *f = NULL;
            roaring_bitmap_t *rows = NULL;
            struct jade_err e = {0};
            random_filter(&r, &text, false);
            must(jade_filter_parse_text((char *)text.data, text.len, "filter", &f, &err));
            jade_code rc = jade_metaindex_eval(ix, f, c.n_rows, corpus_row, &c, &rows, &e);
            if (rc == JADE_OK) {
                answered++;
                assert_true(roaring_bitmap_is_empty(rows) ||
                            roaring_bitmap_maximum(rows) < c.n_rows);
                roaring_bitmap_free(rows);
            } else {
                corrupt++;
                assert_int_equal(rc, JADE_E_CORRUPT);
                assert_null(rows);
            }
            jade_filter_free(f);
        }
        jade_metaindex_free(ix);
        jade_blockfile_close(file);
        must(jade_os_unlink(jade_sim_os(c.disk), "damaged", &err));
    }
    print_message("%u refused at opening, %u answers refused, %u given\n", refused, corrupt,
                  answered);
    assert_true(refused > 100 && corrupt > 30 && answered > 100);
    jade_buf_release(&text);
    jade_free(p);
    corpus_release(&c);
}

/* Bytes changed on the disk, under the checksums: every damaged block that an answer needs is an
 * error. */
static void damage_on_the_disk_is_an_error_and_never_a_wrong_answer(void **state)
{
    (void)state;
    struct jade_random r;
    struct corpus c;
    struct jade_filter *f = parse_filter("{\"n\":{\"$gte\":2}}");
    roaring_bitmap_t *expected = NULL;
    unsigned refused = 0;
    jade_random_init(&r, 17);
    corpus_init(&c);
    corpus_fill(&c, &r, 2000, false);
    corpus_save(&c);
    struct jade_os *os = jade_sim_os(c.disk);
    must(jade_metaindex_eval(c.mapped, f, c.n_rows, NULL, NULL, &expected, &err));
    uint8_t *whole = NULL;
    size_t size = 0;
    must(jade_os_read_file(os, "index", (size_t)1 << 26, &whole, &size, &err));
    for (unsigned i = 0; i < 300; i++) {
        struct jade_blockfile *file = NULL;
        struct jade_metaindex *ix = NULL;
        roaring_bitmap_t *rows = NULL;
        struct jade_err e = {0};
        size_t at = jade_random_below(&r, size);
        whole[at] ^= 0x10;
        must(jade_os_replace(os, "flipped", whole, size, &err));
        whole[at] ^= 0x10;
        jade_code rc = jade_blockfile_open(os, "flipped", JADE_BF_METAINDEX, SEGMENT, 0, &file, &e);
        if (rc == JADE_OK) {
            rc = jade_metaindex_map(file, c.n_rows, &ix, &e);
        }
        if (rc == JADE_OK) {
            rc = jade_metaindex_eval(ix, f, c.n_rows, NULL, NULL, &rows, &e);
        }
        if (rc == JADE_OK) {
            assert_true(roaring_bitmap_equals(rows, expected));
            roaring_bitmap_free(rows);
        } else {
            assert_int_equal(rc, JADE_E_CORRUPT);
            refused++;
        }
        jade_metaindex_free(ix);
        jade_blockfile_close(file);
    }
    print_message("%u of 300 flips met, none answered wrongly\n", refused);
    assert_true(refused > 20);
    roaring_bitmap_free(expected);
    jade_free(whole);
    jade_filter_free(f);
    corpus_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failed_allocations_in_save_and_map_leak_nothing),
        cmocka_unit_test(an_empty_index_is_saved_and_mapped),
        cmocka_unit_test(a_mapped_index_of_few_paths_takes_little_memory),
        cmocka_unit_test(damage_with_right_checksums_never_crashes),
        cmocka_unit_test(damage_on_the_disk_is_an_error_and_never_a_wrong_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
