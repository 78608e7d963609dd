/*
 * Block file, the reading half: the file is mapped, header, footer and table are verified at opening, and each block at its
 * first use. Reads of the mapping run under a guard, so that a bad disk is an error and not a dead process (P7).
 */
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"
#include "format/codec.h"
#include "os/guard.h"
#include "store/blockfile.h"
#include "store/blockfile_private.h"

struct jade_blockfile {
    struct jade_os *os;
    struct jade_mapping map;
    char *path;
    struct jadei_bf_ident ident;
    uint32_t crc_wanted; /* 0 = any */
    uint64_t payload;
    uint64_t n_blocks;
    const uint8_t *table;
    _Atomic uint64_t *verified; /* bit a block: its checksum was right */
    _Atomic uint64_t *bad;      /* bit a block: its checksum was wrong once, so it stays refused */
};

static jade_code check_header(const struct jade_blockfile *f, struct jade_err *err)
{
    const uint8_t *h = f->map.data;
    if (memcmp(h, JADEI_BF_MAGIC, JADEI_BF_MAGIC_BYTES) != 0) {
        return jade_fail(err, JADE_E_CORRUPT, "%s: offset 0: not a block file", f->path);
    }
    uint32_t crc = jade_crc32c(0, h, JADEI_BF_HEADER_CRC_AT);
    if (crc != jade_load_u32(h + JADEI_BF_HEADER_CRC_AT)) {
        return jade_fail(err, JADE_E_CORRUPT, "%s: offset 0: header checksum is %08x, stored %08x",
                         f->path, crc, jade_load_u32(h + JADEI_BF_HEADER_CRC_AT));
    }
    if (jade_load_u32(h + 8) != JADEI_BF_VERSION) {
        return jade_fail(err, JADE_E_VERSION, "%s: block file version %u, this build reads %d",
                         f->path, jade_load_u32(h + 8), JADEI_BF_VERSION);
    }
    if (jade_load_u32(h + 12) != f->ident.kind || jade_load_u64(h + 16) != f->ident.segment) {
        return jade_fail(err, JADE_E_CORRUPT,
                         "%s: header is of kind %08x, segment %llu; expected %08x, %llu", f->path,
                         jade_load_u32(h + 12), (unsigned long long)jade_load_u64(h + 16),
                         f->ident.kind, (unsigned long long)f->ident.segment);
    }
    if (jade_load_u32(h + 24) != JADE_BLOCK_BYTES) {
        return jade_fail(err, JADE_E_CORRUPT, "%s: blocks of %u bytes, expected %u", f->path,
                         jade_load_u32(h + 24), JADE_BLOCK_BYTES);
    }
    return JADE_OK;
}

static jade_code check_footer(const struct jade_blockfile *f, struct jadei_bf_footer *out,
                              struct jade_err *err)
{
    uint64_t at = f->map.size - JADEI_BF_FOOTER_BYTES;
    const uint8_t *p = f->map.data + at;
    uint32_t stored = jade_load_u32(p + JADEI_BF_FOOTER_CRC_AT);
    uint32_t crc = jade_crc32c(0, p, JADEI_BF_FOOTER_CRC_AT);
    if (memcmp(p, JADEI_BF_END_MAGIC, JADEI_BF_MAGIC_BYTES) != 0 || crc != stored) {
        return jade_fail(err, JADE_E_CORRUPT,
                         "%s: offset %llu: no valid footer (checksum %08x, stored %08x)", f->path,
                         (unsigned long long)at, crc, stored);
    }
    if (f->crc_wanted != 0 && stored != f->crc_wanted) {
        return jade_fail(err, JADE_E_CORRUPT,
                         "%s: offset %llu: footer checksum %08x, the descriptor says %08x", f->path,
                         (unsigned long long)at, stored, f->crc_wanted);
    }
    out->ident =
        (struct jadei_bf_ident){.kind = jade_load_u32(p + 8), .segment = jade_load_u64(p + 16)};
    out->payload = jade_load_u64(p + 24);
    out->table_crc = jade_load_u32(p + 32);
    out->n_blocks = jade_load_u32(p + 36);
    if (out->ident.kind != f->ident.kind || out->ident.segment != f->ident.segment) {
        return jade_fail(err, JADE_E_CORRUPT, "%s: footer is of kind %08x, segment %llu", f->path,
                         out->ident.kind, (unsigned long long)out->ident.segment);
    }
    /* payload <= size first, so that the sums below cannot overflow */
    if (out->payload > f->map.size || jadei_bf_file_size(out->payload) != f->map.size ||
        jadei_bf_blocks(out->payload) != out->n_blocks) {
        return jade_fail(err, JADE_E_CORRUPT,
                         "%s: footer says %llu payload bytes in %u blocks, the file has %zu bytes",
                         f->path, (unsigned long long)out->payload, out->n_blocks, f->map.size);
    }
    return JADE_OK;
}

/* Runs under the guard: touches the mapping, allocates nothing. */
static jade_code check_ends(void *arg, struct jade_err *err)
{
    struct jade_blockfile *f = arg;
    jade_code rc = check_header(f, err);
    if (rc != JADE_OK) {
        return rc;
    }
    struct jadei_bf_footer footer = {0};
    rc = check_footer(f, &footer, err);
    if (rc != JADE_OK) {
        return rc;
    }
    uint64_t table_at = JADEI_BF_HEADER_BYTES + jadei_bf_padded(footer.payload);
    uint32_t crc = jade_crc32c(0, f->map.data + table_at, 4 * (size_t)footer.n_blocks);
    if (crc != footer.table_crc) {
        return jade_fail(err, JADE_E_CORRUPT,
                         "%s: offset %llu: checksum table is %08x, the footer says %08x", f->path,
                         (unsigned long long)table_at, crc, footer.table_crc);
    }
    f->payload = footer.payload;
    f->n_blocks = footer.n_blocks;
    f->table = f->map.data + table_at;
    return JADE_OK;
}

void jade_blockfile_close(struct jade_blockfile *f)
{
    if (f == NULL) {
        return;
    }
    jade_os_unmap(f->os, &f->map);
    jade_free((void *)f->verified);
    jade_free((void *)f->bad);
    jade_free(f->path);
    jade_free(f);
}

static jade_code alloc_bits(struct jade_blockfile *f, struct jade_err *err)
{
    size_t words = (size_t)(f->n_blocks + 63) / 64 + 1; /* never an empty array */
    f->verified = jade_calloc(JADE_TAG_SEGMENT, words, sizeof *f->verified);
    f->bad = jade_calloc(JADE_TAG_SEGMENT, words, sizeof *f->bad);
    if (f->verified == NULL || f->bad == NULL) {
        return jade_fail(err, JADE_E_NOMEM, "%s: block bits", f->path);
    }
    return JADE_OK;
}

jade_code jade_blockfile_open(struct jade_os *os, const char *path, uint32_t kind, uint64_t segment,
                              uint32_t crc, struct jade_blockfile **out, struct jade_err *err)
{
    *out = NULL;
    jade_code rc = JADE_OK;
    struct jade_blockfile *f = jade_calloc(JADE_TAG_SEGMENT, 1, sizeof *f);
    if (f == NULL) {
        return jade_fail(err, JADE_E_NOMEM, "opening %s", path);
    }
    f->os = os;
    f->ident = (struct jadei_bf_ident){.kind = kind, .segment = segment};
    f->crc_wanted = crc;
    f->path = jade_strndup(JADE_TAG_SEGMENT, path, strlen(path));
    if (f->path == NULL) {
        rc = jade_fail(err, JADE_E_NOMEM, "opening %s", path);
        goto out;
    }
    JADE_TRY(jade_os_map(os, path, &f->map, err));
    if (f->map.size < JADEI_BF_HEADER_BYTES + JADEI_BF_FOOTER_BYTES) {
        rc = jade_fail(err, JADE_E_CORRUPT, "%s: %zu bytes, a block file has at least %d", path,
                       f->map.size, JADEI_BF_HEADER_BYTES + JADEI_BF_FOOTER_BYTES);
        goto out;
    }
    JADE_ASSERT((uintptr_t)f->map.data % JADEI_BF_ALIGN == 0);
    JADE_TRY(jade_guard_run(check_ends, f, path, err));
    JADE_TRY(alloc_bits(f, err));
    *out = f;
    return JADE_OK;
out:
    jade_blockfile_close(f);
    return rc;
}

const uint8_t *jade_blockfile_data(const struct jade_blockfile *f)
{
    return f->map.data + JADEI_BF_HEADER_BYTES;
}

uint64_t jade_blockfile_size(const struct jade_blockfile *f)
{
    return f->payload;
}

const char *jade_blockfile_path(const struct jade_blockfile *f)
{
    return f->path;
}

const _Atomic uint64_t *jade_blockfile_verified(const struct jade_blockfile *f)
{
    return f->verified;
}

static bool bit_get(_Atomic uint64_t *words, uint64_t b)
{
    /* acquire: who sees the bit may read the block that was read before it was set */
    return (atomic_load_explicit(&words[b >> 6], memory_order_acquire) >> (b & 63)) & 1;
}

static void bit_set(_Atomic uint64_t *words, uint64_t b)
{
    atomic_fetch_or_explicit(&words[b >> 6], (uint64_t)1 << (b & 63), memory_order_acq_rel);
}

struct block_range {
    struct jade_blockfile *f;
    uint64_t first, end;
    bool again; /* read verified blocks too: a scrub looks for what went bad since */
};

/* Runs under the guard. */
static jade_code verify_blocks(void *arg, struct jade_err *err)
{
    const struct block_range *range = arg;
    struct jade_blockfile *f = range->f;
    for (uint64_t b = range->first; b < range->end; b++) {
        if (!range->again && bit_get(f->verified, b)) {
            continue;
        }
        const uint8_t *block = jade_blockfile_data(f) + b * JADE_BLOCK_BYTES;
        uint32_t crc = jade_crc32c(0, block, (size_t)jadei_bf_block_bytes(f->payload, b));
        uint32_t stored = jade_load_u32(f->table + 4 * b);
        if (crc != stored || bit_get(f->bad, b)) {
            bit_set(f->bad, b);
            return jade_fail(err, JADE_E_CORRUPT,
                             "%s: offset %llu: block checksum is %08x, stored %08x", f->path,
                             (unsigned long long)(JADEI_BF_HEADER_BYTES + b * JADE_BLOCK_BYTES),
                             crc, stored);
        }
        bit_set(f->verified, b);
    }
    return JADE_OK;
}

jade_code jade_blockfile_verify(struct jade_blockfile *f, uint64_t offset, uint64_t n,
                                struct jade_err *err)
{
    if (offset > f->payload || n > f->payload - offset) {
        return jade_fail(err, JADE_E_CORRUPT,
                         "%s: bytes %llu + %llu are asked for, the payload has %llu", f->path,
                         (unsigned long long)offset, (unsigned long long)n,
                         (unsigned long long)f->payload);
    }
    if (n == 0) {
        return JADE_OK;
    }
    struct block_range range = {
        .f = f, .first = offset / JADE_BLOCK_BYTES, .end = (offset + n - 1) / JADE_BLOCK_BYTES + 1};
    return jade_guard_run(verify_blocks, &range, f->path, err);
}

jade_code jade_blockfile_verify_all(struct jade_blockfile *f, struct jade_err *err)
{
    struct block_range range = {.f = f, .end = f->n_blocks, .again = true};
    return jade_guard_run(verify_blocks, &range, f->path, err);
}

jade_code jade_blockfile_check(struct jade_blockfile *f, uint64_t offset, uint64_t n,
                               struct jade_err *err)
{
    if (n > 0 && offset < f->payload && n <= f->payload - offset) {
        uint64_t b = offset / JADE_BLOCK_BYTES;
        uint64_t end = (offset + n - 1) / JADE_BLOCK_BYTES + 1;
        while (b < end && bit_get(f->verified, b)) {
            b++;
        }
        if (b == end) {
            return JADE_OK;
        }
    }
    return jade_blockfile_verify(f, offset, n, err);
}
