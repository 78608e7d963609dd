/*
 * Folder of a sealed segment: segments/<number>/ with block files and SEGMENT (the descriptor), written last. A segment counts only
 * when a manifest names it; anything else found there is a leftover of an unfinished seal and is removed at open.
 *
 * Writing: begin -> (jade_segment_writer_file -> append ... -> jade_segment_writer_file_done)* -> finish (descriptor, folder synced).
 * Reading: open (descriptor verified against desc_crc) -> file(kind) -> close.
 * Threads: a writer belongs to one thread at a time; an open segment may be read from many.
 */
#ifndef JADE_STORE_SEGMENT_DIR_H
#define JADE_STORE_SEGMENT_DIR_H

#include "format/manifest.h"
#include "os/os.h"
#include "store/blockfile.h"

struct jade_segment_writer;
struct jade_segment_dir;

/** Creates shard_dir/segments/<number> (a leftover of that name is removed first). */
jade_code jade_segment_writer_begin(struct jade_os *os, const char *shard_dir, uint64_t number,
                                    struct jade_segment_writer **out, struct jade_err *err);
/** Opens the next file; only one at a time. name as in the descriptor, e.g. "vectors.0". */
jade_code jade_segment_writer_file(struct jade_segment_writer *w, const char *name, uint32_t kind,
                                   struct jade_blockfile_writer **out, struct jade_err *err);
/** Finishes the open file and notes it in the descriptor. */
jade_code jade_segment_writer_file_done(struct jade_segment_writer *w, struct jade_err *err);
/** Writes SEGMENT with desc's row counts (files are filled in here), syncs the folder and its parent; *desc_crc_out goes into the manifest. Frees w in every case. */
jade_code jade_segment_writer_finish(struct jade_segment_writer *w, struct jade_segment_desc *desc,
                                     uint32_t *desc_crc_out, struct jade_err *err);
/** Removes what was written, frees w. NULL allowed. */
void jade_segment_writer_abort(struct jade_segment_writer *w);

jade_code jade_segment_dir_open(struct jade_os *os, const char *shard_dir,
                                const struct jade_manifest_segment *ms,
                                struct jade_segment_dir **out, struct jade_err *err);
void jade_segment_dir_close(struct jade_segment_dir *s);
const struct jade_segment_desc *jade_segment_dir_desc(const struct jade_segment_dir *s);
/** Block file of that kind (opened at jade_segment_dir_open), NULL when the segment has none. */
struct jade_blockfile *jade_segment_dir_file(const struct jade_segment_dir *s, uint32_t kind);
/** Verifies every block of every file. */
jade_code jade_segment_dir_verify_all(struct jade_segment_dir *s, struct jade_err *err);
/** Removes the folder of a segment no manifest names any more. */
jade_code jade_segment_dir_remove(struct jade_os *os, const char *shard_dir, uint64_t number,
                                  struct jade_err *err);
/** Removes every folder under segments/ that `m` does not name, and unnamed tombstone files in those it does. */
jade_code jade_segment_dir_sweep(struct jade_os *os, const char *shard_dir,
                                 const struct jade_manifest *m, struct jade_err *err);

/** Tombstones of a sealed segment as one block file tombs-<lsn>: pairs (row, LSN), ascending by row. */
struct jade_tomb {
    uint32_t row;
    struct jade_lsn lsn;
};
jade_code jade_tombs_write(struct jade_os *os, const char *shard_dir, uint64_t segment,
                           struct jade_lsn lsn, const struct jade_tomb *tombs, uint32_t n,
                           uint32_t *crc_out, struct jade_err *err);
/** *tombs_out is jade_free'd by the caller. */
jade_code jade_tombs_read(struct jade_os *os, const char *shard_dir,
                          const struct jade_manifest_segment *ms, struct jade_tomb **tombs_out,
                          uint32_t *n_out, struct jade_err *err);

#endif
