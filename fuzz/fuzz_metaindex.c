/*
 * Saved metadata indexes: the input is the payload of a block file, which gets right checksums, so
 * that the checks behind them are reached. Invariants: it is refused as corrupt or of another
 * version, or every filter is answered, with rows of the segment only, or refused as corrupt.
 */
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "filter/filter.h"
#include "filter/metaindex.h"
#include "os/sim.h"
#include "store/blockfile.h"

enum { N_ROWS = 70000, SEGMENT = 1 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const FILTERS[] = {
    "{\"s\":\"red\"}",
    "{\"s\":{\"$gte\":\"2024-01-01\"}}",
    "{\"s\":{\"$lt\":\"x\"}}",
    "{\"n\":{\"$gt\":3}}",
    "{\"n\":{\"$in\":[1,9007199254740993]}}",
    "{\"$nor\":[{\"b\":true},{\"b\":false},{\"b\":null}]}",
    "{\"other\":{\"$exists\":false}}",
};

static jade_code no_metadata(void *ctx, uint32_t row, const char **json_out, size_t *n_out,
                             struct jade_err *err)
{
    (void)ctx;
    (void)err;
    JADE_ASSERT(row < N_ROWS);
    *json_out = "";
    *n_out = 0;
    return JADE_OK;
}

static void ask(struct jade_metaindex *ix, const char *text)
{
    struct jade_filter *f = NULL;
    roaring_bitmap_t *rows = NULL;
    JADE_ASSERT(jade_filter_parse_text(text, strlen(text), "filter", &f, NULL) == JADE_OK);
    jade_code rc = jade_metaindex_eval(ix, f, N_ROWS, no_metadata, NULL, &rows, NULL);
    JADE_ASSERT(rc == JADE_OK || rc == JADE_E_CORRUPT);
    if (rc == JADE_OK) {
        JADE_ASSERT(roaring_bitmap_is_empty(rows) || roaring_bitmap_maximum(rows) < N_ROWS);
        roaring_bitmap_free(rows);
    }
    jade_filter_free(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jade_sim *disk = NULL;
    struct jade_blockfile_writer *w = NULL;
    struct jade_blockfile *file = NULL;
    struct jade_metaindex *ix = NULL;
    uint32_t crc = 0;
    uint64_t file_size = 0;
    JADE_ASSERT(jade_sim_new(1, &disk, NULL) == JADE_OK);
    struct jade_os *os = jade_sim_os(disk);
    JADE_ASSERT(jade_blockfile_writer_new(os, "f", JADE_BF_METAINDEX, SEGMENT, &w, NULL) ==
                JADE_OK);
    JADE_ASSERT(jade_blockfile_append(w, data, size, NULL) == JADE_OK);
    JADE_ASSERT(jade_blockfile_finish(w, &crc, &file_size, NULL) == JADE_OK);
    JADE_ASSERT(jade_blockfile_open(os, "f", JADE_BF_METAINDEX, SEGMENT, crc, &file, NULL) ==
                JADE_OK);
    jade_code rc = jade_metaindex_map(file, N_ROWS, &ix, NULL);
    JADE_ASSERT(rc == JADE_OK || rc == JADE_E_CORRUPT || rc == JADE_E_VERSION);
    for (size_t i = 0; ix != NULL && i < sizeof FILTERS / sizeof FILTERS[0]; i++) {
        ask(ix, FILTERS[i]);
    }
    jade_metaindex_free(ix);
    jade_blockfile_close(file);
    jade_sim_free(disk);
    return 0;
}
