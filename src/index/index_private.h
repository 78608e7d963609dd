/*
 * Inside index: what the kinds share, and the first bytes of a saved index.
 *
 * Payload of an index file (block file of kind IDX0), little-endian, sections aligned to 64 bytes:
 *   0   u32 version   4   u32 kind            8   u32 n_rows      12  u32 dim
 *   16  u32 metric    20  u32 m               24  u32 ef_construction  28  u32 ef_search
 *   32  u64 seed      40  u32 entry row (all ones: none)          44  u32 level of the entry row
 *   48  u32 words of a level-0 list           52  u32 words of an upper list
 *   56  u64 upper lists   64  u64 at level-0 lists   72  u64 at upper starts   80  u64 at levels
 *   88  u64 at upper lists   96  zero to 128
 * A flat index is the header alone, with zeros from 40 on.
 */
#ifndef JADE_INDEX_INDEX_PRIVATE_H
#define JADE_INDEX_INDEX_PRIVATE_H

#include "index/index.h"

enum { JADEI_INDEX_VERSION = 1, JADEI_INDEX_HEADER_BYTES = 128, JADEI_INDEX_ALIGN = 64 };

struct jadei_index_header {
    uint32_t version;
    uint32_t n_rows, dim, metric;
    struct jade_index_params params;
    uint32_t entry_row, entry_level;
    uint32_t words0, words_upper;
    uint64_t n_upper;
    uint64_t at_links0, at_upper_start, at_levels, at_upper;
};

/** Appends the encoded header. */
jade_code jadei_index_header_write(const struct jadei_index_header *h,
                                   struct jade_blockfile_writer *w, struct jade_err *err);
/** Verifies the header's block, decodes, and checks it against the segment. Errors: JADE_E_CORRUPT, JADE_E_VERSION. */
jade_code jadei_index_header_read(struct jade_blockfile *file, const struct jade_rows *rows,
                                  uint32_t n_rows, struct jadei_index_header *out,
                                  struct jade_err *err);

jade_code jadei_flat_new(const struct jade_index_params *params, const struct jade_rows *rows,
                         struct jade_index **out, struct jade_err *err);
jade_code jadei_flat_map(const struct jadei_index_header *h, const struct jade_rows *rows,
                         struct jade_index **out, struct jade_err *err);
jade_code jadei_hnsw_new(const struct jade_index_params *params, const struct jade_rows *rows,
                         uint32_t max_rows, struct jade_index **out, struct jade_err *err);
jade_code jadei_hnsw_map(const struct jadei_index_header *h, struct jade_blockfile *file,
                         const struct jade_rows *rows, struct jade_index **out,
                         struct jade_err *err);

#endif
