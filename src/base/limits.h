/*
 * Every bound of the product, named once with its reason. A loop, queue or buffer that depends on outside data stops at one of these.
 */
#ifndef JADE_BASE_LIMITS_H
#define JADE_BASE_LIMITS_H

/* Records (issue: dimension 1..16384, id 1..512 bytes, metadata 64 KiB by default). */
#define JADE_DIM_MAX                16384u
#define JADE_ID_BYTES_MAX           512u
#define JADE_METADATA_BYTES_DEFAULT (64u * 1024u)
#define JADE_METADATA_BYTES_MAX     (1024u * 1024u)
#define JADE_METADATA_DEPTH_MAX     32u /* nesting of objects and arrays in metadata */
#define JADE_FIELDS_MAX             16u /* named vector fields a record may carry (format room; one today) */
#define JADE_FIELD_NAME_MAX         64u
#define JADE_DB_NAME_MAX            128u
#define JADE_BATCH_ROWS_MAX         100000u

/* Write-ahead log. */
#define JADE_WAL_RECORD_MAX     (64u * 1024u * 1024u) /* payload; a larger batch is refused with 413 */
#define JADE_WAL_FILE_BYTES     (64ull * 1024ull * 1024ull) /* preallocated size of one WAL file */
#define JADE_WAL_GROUP_BYTES    (8u * 1024u * 1024u)        /* a commit group stops growing here */
#define JADE_WAL_GROUP_REQUESTS 1024u

/* Segments. */
#define JADE_BLOCK_BYTES      65536u     /* one checksum covers this many payload bytes */
#define JADE_SEGMENT_ROWS_MAX (1u << 30) /* row numbers fit 30 bits, u32 has room for marks */
#define JADE_SEGMENTS_MAX     4096u      /* in one manifest */

/* Search. */
#define JADE_TOPK_MAX            10000u
#define JADE_TOPK_DEFAULT        10u
#define JADE_EF_MAX              100000u
#define JADE_M_MIN               2u
#define JADE_M_MAX               128u
#define JADE_EF_CONSTRUCTION_MAX 10000u

/* Filters (api.md: depth 16, 1000 terms, 64 KB). */
#define JADE_FILTER_DEPTH_MAX 16u
#define JADE_FILTER_TERMS_MAX 1000u
#define JADE_FILTER_BYTES_MAX 65536u
#define JADE_METAINDEX_PATHS_MAX \
    1024u /* indexed metadata paths a segment; rows beyond are matched one by one */
#define JADE_METAINDEX_STRING_MAX \
    256u /* longer strings are indexed by their hash and checked in the row */

/* HTTP. */
#define JADE_HTTP_BODY_MAX    (64u * 1024u * 1024u)
#define JADE_HTTP_HEADERS_MAX (32u * 1024u)

/* Embedding models. */
#define JADE_EMBED_TEXT_BYTES_MAX \
    (64u * 1024u) /* one text; longer ones are refused, not cut in silence */
#define JADE_EMBED_WORD_POINTS_MAX    64u        /* a longer word goes on as the next word */
#define JADE_EMBED_MODEL_FEATURES_MAX (1u << 18) /* weights a model file holds: 2.6 MB */
#define JADE_EMBED_TRAIN_FEATURES_MAX \
    (3u << 20) /* features counted while training: 48 MiB; past it rare ones are dropped */
#define JADE_EMBED_VERSIONS_MAX 64u /* trained versions of one model in a data folder */

/* Snapshots. */
#define JADE_PIN_MAX        1024u
#define JADE_PIN_AGE_US_MAX (15ull * 60 * 1000000) /* api.md: a cursor is valid for 15 minutes */
#define JADE_PIN_BYTES_MAX \
    (4ull * 1024 * 1024 * 1024) /* dead rows kept for pins; past it the oldest pin is given up */

#endif
