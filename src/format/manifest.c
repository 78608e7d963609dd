#include "format/manifest.h"

#include <string.h>

#include "base/assert.h"
#include "format/seal_private.h"

static const char SUPER_MAGIC[8] = "JADESUP1";
static const char CURRENT_MAGIC[8] = "JADECUR1";
static const char MANIFEST_MAGIC[8] = "JADEMAN1";

static void get_uuid(struct jade_reader *r, struct jade_uuid *out)
{
    const uint8_t *p = jade_get_bytes(r, sizeof out->b);
    if (p != NULL) {
        memcpy(out->b, p, sizeof out->b);
    }
}

/* ---- superblock slot ---- */

void jade_superblock_encode(const struct jade_superblock *s, uint8_t out[JADE_SUPER_SLOT_BYTES])
{
    JADE_ASSERT(s->clean <= 1);
    memset(out, 0, JADE_SUPER_SLOT_BYTES);
    uint8_t *p = out + JADE_SEAL_BYTES;
    jade_store_u64(p, s->sequence);
    memcpy(p + 8, s->copy.b, 16);
    memcpy(p + 24, s->lineage.b, 16);
    jade_store_u64(p + 40, s->boot_count);
    jade_store_u64(p + 48, s->adopted_epoch.v);
    jade_store_u64(p + 56, s->durable.v);
    jade_store_u32(p + 64, s->clean);
    jadei_seal(out, JADE_SUPER_SLOT_BYTES, SUPER_MAGIC);
}

jade_code jade_superblock_decode(const uint8_t in[JADE_SUPER_SLOT_BYTES], struct jade_superblock *s,
                                 struct jade_err *err)
{
    static const char what[] = "superblock slot";
    jade_code rc = JADE_OK;
    struct jade_reader r = jade_reader_of(in, JADE_SUPER_SLOT_BYTES);
    struct jade_superblock got = {0};
    JADE_TRY(jadei_unseal(&r, SUPER_MAGIC, what, err));
    got.sequence = jade_get_u64(&r);
    get_uuid(&r, &got.copy);
    get_uuid(&r, &got.lineage);
    got.boot_count = jade_get_u64(&r);
    got.adopted_epoch.v = jade_get_u64(&r);
    got.durable.v = jade_get_u64(&r);
    got.clean = jade_get_u32(&r);
    JADE_TRY(jadei_get_reserved(&r, jade_reader_left(&r), what, err));
    if (got.clean > 1) {
        rc = jade_fail(err, JADE_E_CORRUPT, "%s: clean is %u, expected 0 or 1", what, got.clean);
        goto out;
    }
    *s = got;
out:
    return rc;
}

/* ---- CURRENT ---- */

void jade_current_encode(const struct jade_current *c, uint8_t out[JADE_CURRENT_BYTES])
{
    memset(out, 0, JADE_CURRENT_BYTES);
    jade_store_u64(out + JADE_SEAL_BYTES, c->manifest);
    jade_store_u32(out + JADE_SEAL_BYTES + 8, c->manifest_crc);
    jadei_seal(out, JADE_CURRENT_BYTES, CURRENT_MAGIC);
}

jade_code jade_current_decode(const uint8_t *in, size_t n, struct jade_current *c,
                              struct jade_err *err)
{
    static const char what[] = "CURRENT";
    jade_code rc = JADE_OK;
    struct jade_reader r = jade_reader_of(in, n);
    struct jade_current got = {0};
    if (n != JADE_CURRENT_BYTES) {
        return jade_fail(err, JADE_E_CORRUPT, "%s has %zu bytes, expected %d", what, n,
                         JADE_CURRENT_BYTES);
    }
    JADE_TRY(jadei_unseal(&r, CURRENT_MAGIC, what, err));
    got.manifest = jade_get_u64(&r);
    got.manifest_crc = jade_get_u32(&r);
    JADE_TRY(jadei_get_reserved(&r, jade_reader_left(&r), what, err));
    *c = got;
out:
    return rc;
}

/* ---- manifest ---- */

enum { MANIFEST_HEAD_BYTES = 64, MANIFEST_SEGMENT_BYTES = 32 };

void jade_manifest_release(struct jade_manifest *m)
{
    jade_free(m->segments);
    *m = (struct jade_manifest){0};
}

/* The rules that writer and reader share; code is what a breach is for the one who asks. */
static jade_code check_manifest(const struct jade_manifest *m, jade_code code, struct jade_err *err)
{
    if (m->n_segments > JADE_SEGMENTS_MAX) {
        return jade_fail(err, code, "manifest names %u segments, at most %u", m->n_segments,
                         JADE_SEGMENTS_MAX);
    }
    for (uint32_t i = 0; i < m->n_segments; i++) {
        const struct jade_manifest_segment *s = &m->segments[i];
        if (s->number >= m->next_segment) {
            return jade_fail(err, code, "manifest names segment %llu, the next one would be %llu",
                             (unsigned long long)s->number, (unsigned long long)m->next_segment);
        }
        if (s->n_rows > JADE_SEGMENT_ROWS_MAX || s->n_dead > s->n_rows) {
            return jade_fail(err, code, "manifest gives segment %llu %u rows, %u of them dead",
                             (unsigned long long)s->number, s->n_rows, s->n_dead);
        }
        if (s->tombs_lsn.v == 0 && (s->tombs_crc != 0 || s->n_dead != 0)) {
            return jade_fail(err, code,
                             "manifest gives segment %llu %u dead rows but no tombstones",
                             (unsigned long long)s->number, s->n_dead);
        }
        for (uint32_t j = 0; j < i; j++) { /* at most 4096 of them: 8 M compares */
            if (m->segments[j].number == s->number) {
                return jade_fail(err, code, "manifest names segment %llu twice",
                                 (unsigned long long)s->number);
            }
        }
    }
    return JADE_OK;
}

jade_code jade_manifest_encode(const struct jade_manifest *m, struct jade_buf *out,
                               struct jade_err *err)
{
    jade_code rc = check_manifest(m, JADE_E_INTERNAL, err);
    if (rc != JADE_OK) {
        return rc;
    }
    size_t n = MANIFEST_HEAD_BYTES + (size_t)m->n_segments * MANIFEST_SEGMENT_BYTES;
    uint8_t *p = jade_buf_extend(out, n);
    if (p == NULL) {
        return jade_buf_status(out, err);
    }
    memset(p, 0, n);
    uint8_t *at = p + JADE_SEAL_BYTES;
    jade_store_u64(at, m->number);
    jade_store_u64(at + 8, m->checkpoint.v);
    jade_store_u64(at + 16, m->checkpoint_epoch.v);
    jade_store_u64(at + 24, m->next_segment);
    jade_store_u64(at + 32, m->wal_generation_min);
    jade_store_u32(at + 40, m->n_segments);
    at = p + MANIFEST_HEAD_BYTES;
    for (uint32_t i = 0; i < m->n_segments; i++, at += MANIFEST_SEGMENT_BYTES) {
        const struct jade_manifest_segment *s = &m->segments[i];
        jade_store_u64(at, s->number);
        jade_store_u64(at + 8, s->tombs_lsn.v);
        jade_store_u32(at + 16, s->n_rows);
        jade_store_u32(at + 20, s->desc_crc);
        jade_store_u32(at + 24, s->tombs_crc);
        jade_store_u32(at + 28, s->n_dead);
    }
    jadei_seal(p, n, MANIFEST_MAGIC);
    return JADE_OK;
}

static jade_code read_manifest_segments(struct jade_reader *r, struct jade_manifest *m,
                                        struct jade_err *err)
{
    size_t left = jade_reader_left(r);
    if (m->n_segments > JADE_SEGMENTS_MAX ||
        left != (size_t)m->n_segments * MANIFEST_SEGMENT_BYTES) {
        return jade_fail(err, JADE_E_CORRUPT, "manifest says %u segments in %zu bytes",
                         m->n_segments, left);
    }
    if (m->n_segments == 0) {
        return JADE_OK;
    }
    m->segments = jade_calloc(JADE_TAG_SEGMENT, m->n_segments, sizeof *m->segments);
    if (m->segments == NULL) {
        return jade_fail(err, JADE_E_NOMEM, "no memory for %u segments of a manifest",
                         m->n_segments);
    }
    for (uint32_t i = 0; i < m->n_segments; i++) {
        struct jade_manifest_segment *s = &m->segments[i];
        s->number = jade_get_u64(r);
        s->tombs_lsn.v = jade_get_u64(r);
        s->n_rows = jade_get_u32(r);
        s->desc_crc = jade_get_u32(r);
        s->tombs_crc = jade_get_u32(r);
        s->n_dead = jade_get_u32(r);
    }
    return jade_reader_status(r, "manifest", err);
}

jade_code jade_manifest_decode(const void *p, size_t n, struct jade_manifest *m,
                               struct jade_err *err)
{
    static const char what[] = "manifest";
    jade_code rc = JADE_OK;
    struct jade_reader r = jade_reader_of(p, n);
    struct jade_manifest got = {0};
    *m = got;
    JADE_TRY(jadei_unseal(&r, MANIFEST_MAGIC, what, err));
    got.number = jade_get_u64(&r);
    got.checkpoint.v = jade_get_u64(&r);
    got.checkpoint_epoch.v = jade_get_u64(&r);
    got.next_segment = jade_get_u64(&r);
    got.wal_generation_min = jade_get_u64(&r);
    got.n_segments = jade_get_u32(&r);
    JADE_TRY(jadei_get_reserved(&r, 4, what, err));
    JADE_TRY(read_manifest_segments(&r, &got, err));
    JADE_TRY(check_manifest(&got, JADE_E_CORRUPT, err));
    *m = got;
out:
    if (rc != JADE_OK) {
        jade_manifest_release(&got);
    }
    return rc;
}
