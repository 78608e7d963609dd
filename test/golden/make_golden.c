/*
 * Writes the golden files of the current format version into a folder: `make_golden test/golden/v1`. Run once when a version is
 * born; a file that exists is never overwritten.
 */
#include <stdio.h>

#include "golden/golden_v1.h"

static const char *folder;
static int failures;

static void keep(const char *name, const void *p, size_t n)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wbx");
    if (f == NULL || fwrite(p, 1, n, f) != n) {
        perror(path);
        failures++;
    }
    if (f != NULL && fclose(f) != 0) {
        perror(path);
        failures++;
    }
}

static void keep_buf(const char *name, struct jade_buf *b)
{
    if (b->failed) {
        fprintf(stderr, "%s: out of memory\n", name);
        failures++;
    } else {
        keep(name, b->data, b->len);
    }
    jade_buf_clear(b);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_golden FOLDER\n");
        return 2;
    }
    folder = argv[1];
    uint8_t slot[JADE_SUPER_SLOT_BYTES];
    uint8_t current[JADE_CURRENT_BYTES];
    jade_superblock_encode(&golden_superblock, slot);
    keep("superblock.bin", slot, sizeof slot);
    jade_current_encode(&golden_current, current);
    keep("current.bin", current, sizeof current);

    struct jade_buf b;
    struct jade_buf payload;
    jade_buf_init(&b, JADE_TAG_TEST);
    jade_buf_init(&payload, JADE_TAG_TEST);
    struct jade_manifest m = golden_manifest();
    struct jade_manifest empty = golden_manifest_empty();
    failures += jade_manifest_encode(&m, &b, NULL) != JADE_OK;
    keep_buf("manifest.bin", &b);
    failures += jade_manifest_encode(&empty, &b, NULL) != JADE_OK;
    keep_buf("manifest-empty.bin", &b);
    failures += jade_segment_desc_encode(&golden_segment, &b, NULL) != JADE_OK;
    keep_buf("segment.bin", &b);

    golden_upsert_payload(&payload);
    golden_wal_record(&b, &golden_upsert_header, &payload);
    keep_buf("wal-upsert.bin", &b);
    jade_buf_clear(&payload);
    golden_delete_payload(&payload);
    golden_wal_record(&b, &golden_delete_header, &payload);
    keep_buf("wal-delete.bin", &b);
    golden_named_fields_payload(&b);
    keep_buf("upsert-named-fields.bin", &b);
    jade_buf_release(&payload);
    jade_buf_release(&b);
    return failures == 0 ? 0 : 1;
}
