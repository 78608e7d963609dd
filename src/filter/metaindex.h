/*
 * Metadata index of one segment: for each dotted path, roaring bitmaps of rows by keyword or
 * boolean value, and sorted columns for numbers and dates; rows by presence and null. It answers a
 * filter with the exact bitmap of matching rows.
 *
 * Two forms behind one type: growing (add rows in ascending order; eval may run at the same time
 * under the owner's read lock, add under its write lock) and mapped (read-only, from a block file
 * of a sealed segment, decoded lazily by path). What an index cannot decide exactly (over-long
 * strings, more paths than JADE_METAINDEX_PATHS_MAX) comes back as "maybe" and is checked against
 * the row by the row callback, so the answer is always exact.
 * Threads: mapped: any number of readers; growing: readers and the one writer excluded by the
 * owner's lock.
 */
#ifndef JADE_FILTER_METAINDEX_H
#define JADE_FILTER_METAINDEX_H

#include <roaring/roaring.h>

#include "filter/filter.h"
#include "store/blockfile.h"

struct jade_metaindex;

/** Empty growing index. */
jade_code jade_metaindex_new(struct jade_metaindex **out, struct jade_err *err);
/** Indexes a row's metadata (NULL-typed value for none). Rows come in ascending order, each once.
 * After an error (memory) the row counts as "maybe" everywhere: nothing is lost. */
jade_code jade_metaindex_add(struct jade_metaindex *ix, uint32_t row, struct jade_json metadata,
                             struct jade_err *err);
/** Notes a row whose metadata could not be read (memory was short): it is matched by its text.
 * Cannot fail. */
void jade_metaindex_add_unknown(struct jade_metaindex *ix, uint32_t row);
/** Writes the index as the payload of a block file. */
jade_code jade_metaindex_save(struct jade_metaindex *ix, struct jade_blockfile_writer *w,
                              struct jade_err *err);
/** Opens a saved one; `file` is borrowed. */
jade_code jade_metaindex_map(struct jade_blockfile *file, uint32_t n_rows,
                             struct jade_metaindex **out, struct jade_err *err);
void jade_metaindex_free(struct jade_metaindex *ix);
uint64_t jade_metaindex_memory_bytes(const struct jade_metaindex *ix);
/** Number of indexed paths, and rows. */
uint32_t jade_metaindex_paths(const struct jade_metaindex *ix);
uint32_t jade_metaindex_rows(const struct jade_metaindex *ix);

/** Text of a row's metadata (not copied; n = 0 for none); used only to decide "maybe" rows. */
typedef jade_code (*jade_metaindex_row_fn)(void *ctx, uint32_t row, const char **json_out,
                                           size_t *n_out, struct jade_err *err);

/** The exact set of rows [0, n_rows) that match, as a new bitmap (roaring_bitmap_free). Deleted
 * rows are not considered here. */
jade_code jade_metaindex_eval(struct jade_metaindex *ix, const struct jade_filter *f,
                              uint32_t n_rows, jade_metaindex_row_fn row_fn, void *ctx,
                              roaring_bitmap_t **out, struct jade_err *err);

#endif
