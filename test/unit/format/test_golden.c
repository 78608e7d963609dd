/* Files of every format version, kept for ever: each must be read with every value right, and written with the same bytes. */
#include "format_test.h"

#include "golden/golden_v1.h"

enum { FILE_MAX = 4096 };

/* 8-byte aligned, as payloads are in a mapped log. */
static union {
    uint64_t align;
    uint8_t b[FILE_MAX];
} file;

static size_t load(const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/golden/v1/%s", JADE_TEST_DIR, name);
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        fail_msg("%s cannot be opened", path);
        return 0;
    }
    size_t n = fread(file.b, 1, sizeof file.b, f);
    assert_int_equal(fclose(f), 0);
    assert_true(n > 0 && n < sizeof file.b);
    return n;
}

static void golden_superblock_v1(void **state)
{
    (void)state;
    const struct jade_superblock *want = &golden_superblock;
    struct jade_superblock s;
    assert_int_equal(load("superblock.bin"), JADE_SUPER_SLOT_BYTES);
    assert_int_equal(jade_superblock_decode(file.b, &s, NULL), JADE_OK);
    assert_true(s.sequence == want->sequence);
    assert_memory_equal(s.copy.b, want->copy.b, 16);
    assert_memory_equal(s.lineage.b, want->lineage.b, 16);
    assert_true(s.boot_count == want->boot_count);
    assert_true(s.adopted_epoch.v == want->adopted_epoch.v);
    assert_true(s.durable.v == want->durable.v);
    assert_int_equal(s.clean, want->clean);
    uint8_t again[JADE_SUPER_SLOT_BYTES];
    jade_superblock_encode(want, again);
    assert_memory_equal(again, file.b, sizeof again);
}

static void golden_current_v1(void **state)
{
    (void)state;
    struct jade_current c;
    size_t n = load("current.bin");
    assert_int_equal(jade_current_decode(file.b, n, &c, NULL), JADE_OK);
    assert_true(c.manifest == golden_current.manifest);
    assert_int_equal(c.manifest_crc, golden_current.manifest_crc);
    uint8_t again[JADE_CURRENT_BYTES];
    jade_current_encode(&golden_current, again);
    assert_int_equal(n, sizeof again);
    assert_memory_equal(again, file.b, sizeof again);
}

static void check_manifest(const char *name, const struct jade_manifest *want)
{
    struct jade_manifest m;
    size_t n = load(name);
    assert_int_equal(jade_manifest_decode(file.b, n, &m, NULL), JADE_OK);
    assert_true(m.number == want->number);
    assert_true(m.checkpoint.v == want->checkpoint.v);
    assert_true(m.checkpoint_epoch.v == want->checkpoint_epoch.v);
    assert_true(m.next_segment == want->next_segment);
    assert_true(m.wal_generation_min == want->wal_generation_min);
    assert_int_equal(m.n_segments, want->n_segments);
    for (uint32_t i = 0; i < m.n_segments; i++) {
        assert_true(m.segments[i].number == want->segments[i].number);
        assert_int_equal(m.segments[i].n_rows, want->segments[i].n_rows);
        assert_int_equal(m.segments[i].desc_crc, want->segments[i].desc_crc);
        assert_true(m.segments[i].tombs_lsn.v == want->segments[i].tombs_lsn.v);
        assert_int_equal(m.segments[i].tombs_crc, want->segments[i].tombs_crc);
        assert_int_equal(m.segments[i].n_dead, want->segments[i].n_dead);
    }
    jade_manifest_release(&m);
    struct jade_buf again;
    jade_buf_init(&again, JADE_TAG_TEST);
    assert_int_equal(jade_manifest_encode(want, &again, NULL), JADE_OK);
    assert_int_equal(again.len, n);
    assert_memory_equal(again.data, file.b, n);
    jade_buf_release(&again);
}

static void golden_manifest_v1(void **state)
{
    (void)state;
    struct jade_manifest full = golden_manifest();
    struct jade_manifest empty = golden_manifest_empty();
    check_manifest("manifest.bin", &full);
    check_manifest("manifest-empty.bin", &empty);
}

static void golden_segment_v1(void **state)
{
    (void)state;
    static struct jade_segment_desc d;
    const struct jade_segment_desc *want = &golden_segment;
    size_t n = load("segment.bin");
    assert_int_equal(jade_segment_desc_decode(file.b, n, &d, NULL), JADE_OK);
    assert_true(d.number == want->number);
    assert_int_equal(d.n_rows, want->n_rows);
    assert_int_equal(d.dim, want->dim);
    assert_int_equal(d.metric, want->metric);
    assert_true(d.lsn_min.v == want->lsn_min.v);
    assert_true(d.lsn_max.v == want->lsn_max.v);
    assert_int_equal(d.n_files, want->n_files);
    for (uint32_t i = 0; i < d.n_files; i++) {
        assert_string_equal(d.files[i].name, want->files[i].name);
        assert_int_equal(d.files[i].kind, want->files[i].kind);
        assert_int_equal(d.files[i].crc, want->files[i].crc);
        assert_true(d.files[i].size == want->files[i].size);
    }
    struct jade_buf again;
    jade_buf_init(&again, JADE_TAG_TEST);
    assert_int_equal(jade_segment_desc_encode(want, &again, NULL), JADE_OK);
    assert_int_equal(again.len, n);
    assert_memory_equal(again.data, file.b, n);
    jade_buf_release(&again);
}

/* Loads a WAL record, checks its header, returns the payload. */
static const uint8_t *load_record(const char *name, const struct jade_wal_header *want,
                                  size_t *payload_size_out)
{
    struct jade_wal_header h;
    size_t n = load(name);
    assert_true(n > JADE_WAL_HEADER_BYTES);
    assert_true(jade_wal_header_decode(file.b, &h));
    assert_int_equal(n, jade_wal_record_bytes(h.size));
    assert_true(jade_wal_header_valid(file.b, file.b + JADE_WAL_HEADER_BYTES));
    assert_true(h.lsn.v == want->lsn.v);
    assert_true(h.epoch.v == want->epoch.v);
    assert_true(h.generation == want->generation);
    assert_true(h.durable.v == want->durable.v);
    assert_memory_equal(h.request.b, want->request.b, 16);
    assert_int_equal(h.type, want->type);
    assert_int_equal(h.prev_crc, want->prev_crc);
    *payload_size_out = h.size;
    return file.b + JADE_WAL_HEADER_BYTES;
}

static void check_same_bytes(const struct jade_wal_header *h, void (*payload_of)(struct jade_buf *))
{
    struct jade_buf payload;
    struct jade_buf again;
    jade_buf_init(&payload, JADE_TAG_TEST);
    jade_buf_init(&again, JADE_TAG_TEST);
    payload_of(&payload);
    golden_wal_record(&again, h, &payload);
    assert_int_equal(jade_buf_status(&again, NULL), JADE_OK);
    assert_memory_equal(again.data, file.b, again.len);
    jade_buf_release(&payload);
    jade_buf_release(&again);
}

static void golden_upsert_record_v1(void **state)
{
    (void)state;
    size_t n = 0;
    const uint8_t *payload = load_record("wal-upsert.bin", &golden_upsert_header, &n);
    struct jade_record_reader rr;
    struct jade_row row;
    bool more = false;
    assert_int_equal(jade_record_upsert_open(&rr, payload, n, NULL), JADE_OK);
    assert_int_equal(rr.n_rows, GOLDEN_ROWS);
    for (int i = 0; i < GOLDEN_ROWS; i++) {
        const struct jade_row *want = &golden_rows[i];
        assert_int_equal(jade_record_upsert_next(&rr, &row, &more, NULL), JADE_OK);
        assert_true(more);
        assert_int_equal(row.id_len, want->id_len);
        assert_memory_equal(row.id, want->id, want->id_len);
        assert_int_equal(row.dim, want->dim);
        assert_memory_equal(row.values, want->values, want->dim * sizeof(float));
        assert_int_equal(row.metadata_len, want->metadata_len);
        if (want->metadata == NULL) {
            assert_null(row.metadata);
        } else {
            assert_memory_equal(row.metadata, want->metadata, want->metadata_len);
        }
        assert_true(row.time_us == want->time_us);
    }
    assert_int_equal(jade_record_upsert_next(&rr, &row, &more, NULL), JADE_OK);
    assert_false(more);
    check_same_bytes(&golden_upsert_header, golden_upsert_payload);
}

static void golden_delete_record_v1(void **state)
{
    (void)state;
    size_t n = 0;
    const uint8_t *payload = load_record("wal-delete.bin", &golden_delete_header, &n);
    struct jade_delete_reader dr;
    const char *id = NULL;
    uint32_t id_len = 0;
    bool more = false;
    assert_int_equal(jade_record_delete_open(&dr, payload, n, NULL), JADE_OK);
    assert_int_equal(dr.n_ids, GOLDEN_IDS);
    assert_true(dr.time_us == golden_delete_time_us);
    for (int i = 0; i < GOLDEN_IDS; i++) {
        assert_int_equal(jade_record_delete_next(&dr, &id, &id_len, &more, NULL), JADE_OK);
        assert_true(more);
        assert_int_equal(id_len, strlen(golden_deleted[i]));
        assert_memory_equal(id, golden_deleted[i], id_len);
    }
    assert_int_equal(jade_record_delete_next(&dr, &id, &id_len, &more, NULL), JADE_OK);
    assert_false(more);
    check_same_bytes(&golden_delete_header, golden_delete_payload);
}

static void golden_named_fields_are_a_newer_format_not_damage(void **state)
{
    (void)state;
    size_t n = load("upsert-named-fields.bin");
    struct jade_record_reader rr;
    struct jade_row row;
    bool more = true;
    assert_int_equal(jade_record_upsert_open(&rr, file.b, n, NULL), JADE_OK);
    assert_int_equal(jade_record_upsert_next(&rr, &row, &more, NULL), JADE_E_VERSION);
    assert_false(more);
    struct jade_buf again;
    jade_buf_init(&again, JADE_TAG_TEST);
    golden_named_fields_payload(&again);
    assert_int_equal(again.len, n);
    assert_memory_equal(again.data, file.b, n);
    jade_buf_release(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_superblock_v1),
        cmocka_unit_test(golden_current_v1),
        cmocka_unit_test(golden_manifest_v1),
        cmocka_unit_test(golden_segment_v1),
        cmocka_unit_test(golden_upsert_record_v1),
        cmocka_unit_test(golden_delete_record_v1),
        cmocka_unit_test(golden_named_fields_are_a_newer_format_not_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
