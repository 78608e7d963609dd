/*
 * Paths of the segments folder, shared by the writer, the reader and the tombstones.
 */
#ifndef JADE_STORE_SEGMENT_DIR_PRIVATE_H
#define JADE_STORE_SEGMENT_DIR_PRIVATE_H

#include <stdint.h>

#include "os/os.h"

#define JADEI_SEGMENT_DESC_NAME "SEGMENT"
#define JADEI_TOMBS_PREFIX      "tombs-"

/** shard_dir/segments */
jade_code jadei_segments_path(char out[JADE_PATH_MAX], const char *shard_dir, struct jade_err *err);
/** shard_dir/segments/<number> */
jade_code jadei_segment_path(char out[JADE_PATH_MAX], const char *shard_dir, uint64_t number,
                             struct jade_err *err);
/** shard_dir/segments/<number>/tombs-<lsn> */
jade_code jadei_tombs_path(char out[JADE_PATH_MAX], const char *shard_dir, uint64_t number,
                           uint64_t lsn, struct jade_err *err);

#endif
