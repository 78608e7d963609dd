/*
 * Save and map. A saved graph is used in place: its sections are the arrays of memory, in row order, little-endian.
 *
 * The upper lists are renumbered in row order, so that the bytes depend on the graph alone and not on the order of the adds.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "index/hnsw_private.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "index files are mapped in place and little-endian"
#endif
_Static_assert(sizeof(jadei_link) == 4 && sizeof(_Atomic uint8_t) == 1,
               "sections are arrays of plain width");

static uint64_t align_up(uint64_t at)
{
    return (at + JADEI_INDEX_ALIGN - 1) & ~(uint64_t)(JADEI_INDEX_ALIGN - 1);
}

static uint32_t upper_lists_of(const struct jadei_hnsw *h, uint32_t row)
{
    uint8_t level_plus_1 = atomic_load_explicit(&h->levels[row], memory_order_acquire);
    JADE_ASSERT(level_plus_1 >= 1);
    return level_plus_1 - 1u;
}

/* Sizes and places of the sections; used for writing and to check what is read. */
static void lay_out(struct jadei_index_header *head)
{
    head->at_links0 = JADEI_INDEX_HEADER_BYTES;
    head->at_upper_start =
        align_up(head->at_links0 + (uint64_t)head->n_rows * head->words0 * sizeof(jadei_link));
    head->at_levels = align_up(head->at_upper_start + (uint64_t)head->n_rows * sizeof(jadei_link));
    head->at_upper = align_up(head->at_levels + head->n_rows);
}

static uint64_t payload_size(const struct jadei_index_header *head)
{
    return head->at_upper + head->n_upper * head->words_upper * sizeof(jadei_link);
}

static jade_code write_upper_starts(const struct jadei_hnsw *h, uint32_t n_rows,
                                    struct jade_blockfile_writer *w, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    uint32_t chunk[1024], n = 0, next = 0;
    for (uint32_t row = 0; row < n_rows; row++) {
        chunk[n++] = next;
        next += upper_lists_of(h, row);
        if (n == sizeof chunk / sizeof chunk[0] || row + 1 == n_rows) {
            JADE_TRY(jade_blockfile_append(w, chunk, n * sizeof chunk[0], err));
            n = 0;
        }
    }
out:
    return rc;
}

static jade_code write_sections(const struct jadei_hnsw *h, const struct jadei_index_header *head,
                                struct jade_blockfile_writer *w, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    size_t upper_bytes = h->words_upper * sizeof(jadei_link);
    JADE_TRY(jade_blockfile_append(w, (const void *)h->links0,
                                   (size_t)head->n_rows * h->words0 * sizeof(jadei_link), err));
    JADE_TRY(jade_blockfile_align(w, JADEI_INDEX_ALIGN, err));
    JADE_TRY(write_upper_starts(h, head->n_rows, w, err));
    JADE_TRY(jade_blockfile_align(w, JADEI_INDEX_ALIGN, err));
    JADE_TRY(jade_blockfile_append(w, (const void *)h->levels, head->n_rows, err));
    JADE_TRY(jade_blockfile_align(w, JADEI_INDEX_ALIGN, err));
    for (uint32_t row = 0; row < head->n_rows; row++) {
        uint32_t lists = upper_lists_of(h, row);
        if (lists > 0) {
            JADE_TRY(jade_blockfile_append(w, (const void *)jadei_hnsw_list(h, row, 1),
                                           lists * upper_bytes, err));
        }
    }
out:
    return rc;
}

jade_code jadei_hnsw_save(struct jade_index *ix, struct jade_blockfile_writer *w,
                          struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_hnsw *h = (struct jadei_hnsw *)ix;
    uint64_t entry = atomic_load_explicit(&h->entry, memory_order_acquire);
    struct jadei_index_header head = {
        .n_rows = atomic_load_explicit(&h->n_rows, memory_order_acquire),
        .dim = ix->rows.dim,
        .metric = (uint32_t)ix->rows.metric,
        .params = ix->params,
        .entry_row = (uint32_t)entry,
        .entry_level = (uint32_t)(entry >> 32),
        .words0 = h->words0,
        .words_upper = h->words_upper,
    };
    JADE_ASSERT(!h->file && jade_blockfile_offset(w) == 0);
    if (atomic_load_explicit(&h->n_added, memory_order_acquire) != head.n_rows) {
        return jade_fail(err, JADE_E_INTERNAL, "saving an index of %u rows with %u added",
                         head.n_rows, atomic_load_explicit(&h->n_added, memory_order_relaxed));
    }
    for (uint32_t row = 0; row < head.n_rows; row++) {
        head.n_upper += upper_lists_of(h, row);
    }
    lay_out(&head);
    JADE_TRY(jadei_index_header_write(&head, w, err));
    JADE_TRY(write_sections(h, &head, w, err));
    JADE_ASSERT(jade_blockfile_offset(w) == payload_size(&head));
out:
    return rc;
}

/* The places follow from the counts, so a header that disagrees with itself or with the file's size is refused here. */
static jade_code check_header(const struct jadei_index_header *head, struct jade_blockfile *file,
                              struct jade_err *err)
{
    struct jadei_index_header expected = *head;
    const char *path = jade_blockfile_path(file);
    bool empty = head->n_rows == 0;
    if (head->n_rows > JADE_SEGMENT_ROWS_MAX || head->words0 != 2 * head->params.m ||
        head->words_upper != head->params.m ||
        head->n_upper > (uint64_t)head->n_rows * JADEI_HNSW_LEVEL_MAX) {
        return jade_fail(
            err, JADE_E_CORRUPT, "%s: graph of %u rows, lists of %u and %u words, %llu upper lists",
            path, head->n_rows, head->words0, head->words_upper, (unsigned long long)head->n_upper);
    }
    lay_out(&expected);
    if (head->at_links0 != expected.at_links0 || head->at_upper_start != expected.at_upper_start ||
        head->at_levels != expected.at_levels || head->at_upper != expected.at_upper ||
        payload_size(head) != jade_blockfile_size(file)) {
        return jade_fail(err, JADE_E_CORRUPT, "%s: sections of the graph do not fit its %llu bytes",
                         path, (unsigned long long)jade_blockfile_size(file));
    }
    if (!empty && (head->entry_row >= head->n_rows || head->entry_level > JADEI_HNSW_LEVEL_MAX)) {
        return jade_fail(err, JADE_E_CORRUPT, "%s: entry row %u of %u on level %u", path,
                         head->entry_row, head->n_rows, head->entry_level);
    }
    return JADE_OK;
}

jade_code jadei_hnsw_map(const struct jadei_index_header *head, struct jade_blockfile *file,
                         const struct jade_rows *rows, struct jade_index **out,
                         struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_hnsw *h = NULL;
    const uint8_t *data = jade_blockfile_data(file);
    *out = NULL;
    JADE_TRY(check_header(head, file, err));
    JADE_TRY(jadei_hnsw_alloc(&head->params, rows, head->n_rows, &h, err));
    h->file = file;
    h->verified = jade_blockfile_verified(file);
    h->header = *head;
    h->links0 = (const jadei_link *)(const void *)(data + head->at_links0);
    h->upper_start = (const jadei_link *)(const void *)(data + head->at_upper_start);
    h->levels = (const _Atomic uint8_t *)(data + head->at_levels);
    h->upper = (const jadei_link *)(const void *)(data + head->at_upper);
    atomic_init(&h->n_rows, head->n_rows);
    atomic_init(&h->n_added, head->n_rows);
    if (head->n_rows > 0) {
        atomic_init(&h->entry, jadei_entry_of(head->entry_level, head->entry_row));
    }
    *out = &h->base;
out:
    return rc;
}
