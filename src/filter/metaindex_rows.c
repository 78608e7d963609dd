/*
 * Row sets: one row inline, a few in a list, many in a roaring bitmap; their saved form; and the
 * check of saved bitmaps.
 */
#include <string.h>

#include "base/assert.h"
#include "filter/metaindex_private.h"
#include "format/codec.h"

/* Roaring allocates by itself: what it takes is measured at each doubling and accounted under our
 * tag. */
struct jadei_bits {
    roaring_bitmap_t *set;
    uint64_t accounted;
};

static bool is_power_of_two(uint32_t n)
{
    return (n & (n - 1)) == 0;
}

static void account(struct jadei_bits *b, uint64_t now, uint64_t *bytes)
{
    jade_alloc_account(JADE_TAG_METADATA, (int64_t)(now - b->accounted));
    *bytes += now - b->accounted;
    b->accounted = now;
}

static uint64_t measure(const roaring_bitmap_t *set)
{
    enum { FIXED = 96 }; /* the struct, and malloc's own words */
    return FIXED + roaring_bitmap_portable_size_in_bytes(set);
}

static jade_code to_bits(struct jadei_rows *r, uint64_t *bytes, struct jade_err *err)
{
    struct jadei_bits *b = jade_alloc(JADE_TAG_METADATA, sizeof *b);
    roaring_bitmap_t *set = b == NULL ? NULL : roaring_bitmap_of_ptr(r->n, r->as.small);
    if (set == NULL) {
        jade_free(b);
        return jade_fail(err, JADE_E_NOMEM, "no memory for a row bitmap");
    }
    *b = (struct jadei_bits){.set = set};
    *bytes += sizeof *b;
    *bytes -= JADEI_ROWS_SMALL_MAX * sizeof(uint32_t);
    account(b, measure(set), bytes);
    jade_free(r->as.small);
    r->as.bits = b;
    return JADE_OK;
}

jade_code jadei_rows_add(struct jadei_rows *r, uint32_t row, uint64_t *bytes, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    if (r->n > 0 && r->last == row) {
        return JADE_OK;
    }
    JADE_ASSERT(r->n == 0 || row > r->last);
    if (r->n >= 1 && r->n < JADEI_ROWS_SMALL_MAX) {
        if (is_power_of_two(r->n)) {
            size_t grown = (size_t)r->n * 2 * sizeof(uint32_t);
            uint32_t *old = r->n == 1 ? NULL : r->as.small;
            uint32_t *small = jade_realloc(JADE_TAG_METADATA, old, grown);
            if (small == NULL) {
                return jade_fail(err, JADE_E_NOMEM, "no memory for a row list");
            }
            *bytes += r->n == 1 ? grown : grown / 2;
            small[0] = r->n == 1 ? r->last : small[0];
            r->as.small = small;
        }
        r->as.small[r->n] = row;
    } else if (r->n >= JADEI_ROWS_SMALL_MAX) {
        if (r->n == JADEI_ROWS_SMALL_MAX) {
            JADE_TRY(to_bits(r, bytes, err));
        }
        roaring_bitmap_add(r->as.bits->set, row);
        if (is_power_of_two(r->n)) {
            account(r->as.bits, measure(r->as.bits->set), bytes);
        }
    }
    r->n++;
    r->last = row;
out:
    return rc;
}

void jadei_rows_release(struct jadei_rows *r)
{
    if (r->n > JADEI_ROWS_SMALL_MAX) {
        jade_alloc_account(JADE_TAG_METADATA, -(int64_t)r->as.bits->accounted);
        roaring_bitmap_free(r->as.bits->set);
        jade_free(r->as.bits);
    } else if (r->n > 1) {
        jade_free(r->as.small);
    }
    *r = (struct jadei_rows){0};
}

void jadei_rows_into(const struct jadei_rows *r, struct jadei_sink *sink)
{
    if (r->n == 1) {
        jadei_sink_add(sink, r->last);
    } else if (r->n > JADEI_ROWS_SMALL_MAX) {
        roaring_bitmap_or_inplace(sink->into, r->as.bits->set);
    } else {
        for (uint32_t i = 0; i < r->n; i++) {
            jadei_sink_add(sink, r->as.small[i]);
        }
    }
}

void jadei_rows_or(const struct jadei_rows *r, roaring_bitmap_t *into)
{
    struct jadei_sink direct = {.into = into};
    jadei_rows_into(r, &direct);
}

static jade_code save_bits(const roaring_bitmap_t *set, struct jade_buf *b, struct jade_err *err)
{
    roaring_bitmap_t *packed = roaring_bitmap_copy(set);
    if (packed == NULL) {
        return jade_fail(err, JADE_E_NOMEM, "no memory to save a row bitmap");
    }
    roaring_bitmap_run_optimize(packed);
    size_t size = roaring_bitmap_portable_size_in_bytes(packed);
    JADE_ASSERT(size <= UINT32_MAX);
    jade_put_u32(b, (uint32_t)size);
    char *at = jade_buf_extend(b, size);
    if (at != NULL) {
        size_t written = roaring_bitmap_portable_serialize(packed, at);
        JADE_ASSERT(written == size);
    }
    roaring_bitmap_free(packed);
    return jade_buf_status(b, err);
}

jade_code jadei_rows_save(const struct jadei_rows *r, struct jade_buf *b, uint64_t base,
                          struct jadei_ref *ref_out, struct jade_err *err)
{
    *ref_out = (struct jadei_ref){.at = r->n == 1 ? r->last : 0, .n = r->n};
    if (r->n <= 1) {
        return JADE_OK;
    }
    ref_out->at = base + b->len;
    if (r->n > JADEI_ROWS_SMALL_MAX) {
        return save_bits(r->as.bits->set, b, err);
    }
    for (uint32_t i = 0; i < r->n; i++) {
        jade_put_u32(b, r->as.small[i]);
    }
    return jade_buf_status(b, err);
}

/* ---- check of portable bitmaps (RoaringFormatSpec) ---- */

enum {
    COOKIE_ARRAYS = 12346,
    COOKIE_RUNS = 12347,
    OFFSETS_FROM = 4,
    ARRAY_MAX = 4096,
    BITSET_BYTES = 8192
};

/* Largest low half in the container, or -1 when it is not `count` values in ascending order. */
static int64_t check_array(struct jade_reader *r, uint32_t count)
{
    const uint8_t *p = jade_get_bytes(r, (size_t)count * 2);
    int64_t last = -1;
    for (uint32_t i = 0; p != NULL && i < count; i++) {
        int64_t v = jade_load_u16(p + (size_t)i * 2);
        if (v <= last) {
            return -1;
        }
        last = v;
    }
    return last;
}

static int64_t check_bitset(struct jade_reader *r, uint32_t count)
{
    const uint8_t *p = jade_get_bytes(r, BITSET_BYTES);
    uint32_t found = 0;
    int64_t last = -1;
    for (int64_t i = 0; p != NULL && i < BITSET_BYTES / 8; i++) {
        uint64_t word = jade_load_u64(p + i * 8);
        found += (uint32_t)__builtin_popcountll(word);
        last = word == 0 ? last : i * 64 + 63 - __builtin_clzll(word);
    }
    return found == count ? last : -1;
}

static int64_t check_runs(struct jade_reader *r, uint32_t count)
{
    uint32_t n_runs = jade_get_u16(r);
    const uint8_t *p = jade_get_bytes(r, (size_t)n_runs * 4);
    int64_t last = -2; /* runs that touch would be one run */
    uint64_t found = 0;
    for (uint32_t i = 0; p != NULL && i < n_runs; i++) {
        int64_t start = jade_load_u16(p + (size_t)i * 4);
        int64_t more = jade_load_u16(p + (size_t)i * 4 + 2);
        if (start <= last + 1 || start + more > UINT16_MAX) {
            return -1;
        }
        last = start + more;
        found += (uint64_t)more + 1;
    }
    return found == count ? last : -1;
}

/* Number of containers, and where their run flags are (NULL: none). */
static uint32_t read_cookie(struct jade_reader *r, const uint8_t **runs_out)
{
    uint32_t cookie = jade_get_u32(r);
    *runs_out = NULL;
    if ((cookie & 0xFFFFu) == COOKIE_RUNS) {
        uint32_t n = (cookie >> 16) + 1;
        *runs_out = jade_get_bytes(r, (n + 7) / 8);
        return *runs_out == NULL ? 0 : n;
    }
    uint32_t n = jade_get_u32(r);
    return cookie == COOKIE_ARRAYS && n <= UINT16_MAX + 1u ? n : 0;
}

bool jadei_bitmap_valid(const uint8_t *p, size_t n, uint64_t count, uint32_t n_rows)
{
    struct jade_reader r = jade_reader_of(p, n);
    const uint8_t *runs = NULL;
    uint32_t n_containers = read_cookie(&r, &runs);
    const uint8_t *heads = n_containers == 0 ? NULL : jade_get_bytes(&r, (size_t)n_containers * 4);
    if (heads == NULL) {
        return false;
    }
    if (runs == NULL || n_containers >= OFFSETS_FROM) {
        jade_get_bytes(&r, (size_t)n_containers *
                               4); /* containers follow each other: offsets say nothing new */
    }
    int64_t last_key = -1;
    uint64_t found = 0;
    for (uint32_t i = 0; i < n_containers && !r.bad; i++) {
        int64_t key = jade_load_u16(heads + (size_t)i * 4);
        uint32_t card = jade_load_u16(heads + (size_t)i * 4 + 2) + 1u;
        bool is_run = runs != NULL && ((runs[i / 8] >> (i % 8)) & 1) != 0;
        int64_t last = is_run             ? check_runs(&r, card)
                       : card > ARRAY_MAX ? check_bitset(&r, card)
                                          : check_array(&r, card);
        if (key <= last_key || last < 0 || (uint64_t)key * 65536 + (uint64_t)last >= n_rows) {
            return false;
        }
        last_key = key;
        found += card;
    }
    return !r.bad && jade_reader_left(&r) == 0 && found == count;
}
