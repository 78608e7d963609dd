/*
 * Inside of the metadata index: row sets, number columns, paths, and what a form of the index can
 * be asked.
 *
 * A path owns: the rows where it is there, where it is null, true, false; a dictionary of strings
 * ("terms") to rows; a column of numbers; and a column of the strings that are dates, as times.
 * A term's key is one tag byte and the string:
 *     'D'  a string that is also a date
 *     'L'  the 64-bit hash of a string over JADE_METAINDEX_STRING_MAX
 *     'S'  another string
 * so that the sorted dictionary of a file holds them in three runs.
 */
#ifndef JADE_FILTER_METAINDEX_PRIVATE_H
#define JADE_FILTER_METAINDEX_PRIVATE_H

#include "base/map.h"
#include "filter/filter_private.h"
#include "filter/metaindex.h"

enum {
    JADEI_ROWS_SMALL_MAX =
        16, /* up to here a plain list: 64 bytes, a roaring bitmap begins at about 100 */
    JADEI_CHUNK = 4096, /* entries of a growing column that are sorted together */
    JADEI_TERM_KEY_MAX = 1 + (int)JADE_METAINDEX_STRING_MAX,
};

#define JADEI_TAG_DATE  'D'
#define JADEI_TAG_LONG  'L'
#define JADEI_TAG_PLAIN 'S'

/* ---- rows: an ascending set of row numbers (metaindex_rows.c) ---- */
struct jadei_rows {
    uint32_t n;
    uint32_t last; /* greatest row; the only one when n is 1 */
    union {
        uint32_t *small;         /* n in 2..JADEI_ROWS_SMALL_MAX; room for the next power of two */
        struct jadei_bits *bits; /* above */
    } as;
};
/** Adds a row that is at least the last one; the same again changes nothing. `bytes` counts the
 * memory taken. */
jade_code jadei_rows_add(struct jadei_rows *r, uint32_t row, uint64_t *bytes, struct jade_err *err);
void jadei_rows_release(struct jadei_rows *r);
struct jadei_sink;
void jadei_rows_into(const struct jadei_rows *r, struct jadei_sink *sink);
void jadei_rows_or(const struct jadei_rows *r, roaring_bitmap_t *into);

/** Where a saved set is: the row itself when n is 1, else the offset of u32 rows, or of u32 size
 * and portable roaring bytes. */
struct jadei_ref {
    uint64_t at;
    uint32_t n;
};
/** Appends the saved form to b, whose first byte has offset `base` in the file. */
jade_code jadei_rows_save(const struct jadei_rows *r, struct jade_buf *b, uint64_t base,
                          struct jadei_ref *ref_out, struct jade_err *err);
/** Whether n bytes are one well-formed portable bitmap of `count` rows below n_rows. */
bool jadei_bitmap_valid(const uint8_t *p, size_t n, uint64_t count, uint32_t n_rows);

/* ---- columns (metaindex_column.c) ---- */
struct jadei_entry {
    uint64_t key; /* number, or time with its sign bit flipped */
    uint32_t row;
    int32_t rest;
};
struct jadei_column {
    struct jadei_entry *entries;
    size_t n, cap;
    uint32_t n_rows; /* greatest row + 1 */
};
/** Rows come in ascending order; a row may come several times. */
jade_code jadei_column_add(struct jadei_column *c, struct jadei_entry e, uint64_t *bytes,
                           struct jade_err *err);
void jadei_column_release(struct jadei_column *c);
/** Sorts by number, then row. */
void jadei_entries_sort(struct jadei_entry *entries, size_t n);
/** One end of an interval of numbers or of strings. */
struct jadei_end {
    bool set;  /* false: no limit on this side */
    bool open; /* the value itself is out */
    struct jadei_number number;
    const uint8_t *text;
    size_t text_len;
};
struct jadei_interval {
    struct jadei_end low, high;
};
/** Adds the rows of entries in the interval. */
jade_code jadei_column_select(const struct jadei_column *c, const struct jadei_interval *in,
                              roaring_bitmap_t *into, struct jade_err *err);
struct jadei_number jadei_number_of_time(int64_t time_us);

/** Collects rows in any order, repeats allowed; cheaper than adding them to a bitmap one by one
 * when they are many. */
struct jadei_sink {
    uint64_t *words; /* NULL: rows go straight into the bitmap */
    size_t n_words;
    roaring_bitmap_t *into;
};
/** n_expected rows are to come, all below n_rows. */
jade_code jadei_sink_init(struct jadei_sink *s, uint64_t n_expected, uint32_t n_rows,
                          roaring_bitmap_t *into, struct jade_err *err);
void jadei_sink_add(struct jadei_sink *s, uint32_t row);
/** Moves everything into the bitmap and releases. */
void jadei_sink_finish(struct jadei_sink *s);

/* ---- what a form answers ---- */
enum jadei_select_kind {
    JADEI_SELECT_EXISTS,
    JADEI_SELECT_NULL,
    JADEI_SELECT_TRUE,
    JADEI_SELECT_FALSE,
    JADEI_SELECT_TERM,    /* key */
    JADEI_SELECT_TERMS,   /* keys of `tag` whose string is in the interval */
    JADEI_SELECT_NUMBERS, /* in the interval */
    JADEI_SELECT_TIMES,
};
struct jadei_select {
    enum jadei_select_kind kind;
    const uint8_t *key;
    size_t key_len;
    char tag;
    struct jadei_interval in;
};
/** Makes the key of a string in key[JADEI_TERM_KEY_MAX]; returns its length. is_time as
 * jadei_time_of says. */
size_t jadei_term_key(const char *s, size_t n, bool is_time, uint8_t *key);

/* ---- growing form (metaindex_grow.c) ---- */
struct jadei_path {
    char *name;
    uint32_t name_len;
    struct jadei_rows exists, null, yes, no;
    struct jade_map terms; /* key -> index into term_rows */
    struct jadei_rows *term_rows;
    uint32_t n_terms, terms_cap;
    uint32_t n_dates, n_longs, n_plains; /* terms by tag */
    uint32_t value_row;                  /* last row + 1 that gave a value */
    bool several;                        /* a row has more than one value here */
    struct jadei_column numbers, times;
};
jade_code jadei_grow_select(const struct jade_metaindex *ix, uint32_t path,
                            const struct jadei_select *s, roaring_bitmap_t *into,
                            struct jade_err *err);
/** Frees what the growing form holds. */
void jadei_grow_release(struct jade_metaindex *ix);

/* ---- mapped form (metaindex_map.c, metaindex_saved.c; written by metaindex_save.c) ----
 * docs/formats/metaindex.md has every byte. Payload: sets, keys, tables and columns of each path,
 * then all names, then the directory by name, then a tail of 64 bytes:
 *      0 u32 magic         4 u32 version          8 u32 rows              12 u32 paths
 *     16 u32 unknown_from 20 u32 unknown_to      24 u64 directory         32 ref overflow
 *     48 u64 names        56 u64 bytes of the names
 * Directory entry:
 *      0 u64 name_at       8 u32 name_len        12 u32 1: a row has several values
 *     16 u64 terms_at     24 u64 n_terms         32 column numbers        56 column times
 *     80 ref exists       96 ref null           112 ref true             128 ref false
 * ref: u64 at, u32 n, u32 0. Column: u64 at, u64 n, u64 1 when it has rests.
 * Term: u64 key_at, u32 key_len, u32 n, u64 at.
 */
enum {
    JADEI_DIR_ENTRY_BYTES = 144,
    JADEI_TAIL_BYTES = 64,
    JADEI_TERM_BYTES = 24,
    JADEI_REF_BYTES = 16,
    JADEI_COLUMN_BYTES = 24,
};
#define JADEI_MIX_MAGIC   0x3058494Du /* "MIX0" */
#define JADEI_MIX_VERSION 1u

/** A saved column: keys u64[n], rows u32[n], then, when has_rest, rests i16[n]; sorted by number,
 * then row. */
struct jadei_saved_column {
    uint64_t at, n;
    bool has_rest;
};
struct jadei_saved_path {
    const char *name; /* in jade_metaindex.names */
    uint32_t name_len;
    bool several; /* a row has more than one value here */
    uint64_t terms_at, n_terms;
    struct jadei_saved_column numbers, times;
    struct jadei_ref exists, null, yes, no;
};
jade_code jadei_map_select(const struct jade_metaindex *ix, uint32_t path,
                           const struct jadei_select *s, roaring_bitmap_t *into,
                           struct jade_err *err);
bool jadei_map_find(const struct jade_metaindex *ix, const char *name, size_t len,
                    uint32_t *index_out);
/** Frees what the mapped form holds (not the file). */
void jadei_map_release(struct jade_metaindex *ix);
/** Copies payload bytes out: bounds, checksums and a failing disk are errors. The only way this
 * folder reads a mapping. */
jade_code jadei_saved_copy(const struct jade_metaindex *ix, uint64_t at, uint64_t n, void *to,
                           struct jade_err *err);
/** Adds a saved set, to a sink or to a bitmap. */
jade_code jadei_saved_into(const struct jade_metaindex *ix, struct jadei_ref ref,
                           struct jadei_sink *sink, struct jade_err *err);
jade_code jadei_saved_or(const struct jade_metaindex *ix, struct jadei_ref ref,
                         roaring_bitmap_t *into, struct jade_err *err);
jade_code jadei_saved_column_select(const struct jade_metaindex *ix,
                                    const struct jadei_saved_column *c,
                                    const struct jadei_interval *in, roaring_bitmap_t *into,
                                    struct jade_err *err);
/** JADE_E_CORRUPT naming the file. */
jade_code jadei_saved_corrupt(const struct jade_metaindex *ix, const char *what,
                              struct jade_err *err);

struct jade_metaindex {
    uint32_t n_rows; /* greatest row + 1 */
    uint32_t n_paths;
    uint64_t bytes; /* row sets, columns, tables */
    /* Rows [unknown_from, unknown_to) may be indexed in part: an error came in between. No
     * allocation is needed to note one. */
    uint32_t unknown_from, unknown_to;

    /* growing */
    struct jade_map path_ids;
    struct jadei_path **paths;
    uint32_t paths_cap;
    struct jadei_rows overflow; /* rows with a path that is not in the table */

    /* mapped */
    struct jade_blockfile *file; /* NULL: growing */
    struct jadei_saved_path *saved;
    char *names;
    struct jadei_ref saved_overflow;
};

#endif
