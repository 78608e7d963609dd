/* The documents behind golden/v1/metaindex.bin: by a rule, so that their index has sets of every form, and columns with rests. */
#ifndef JADE_TEST_GOLDEN_METAINDEX_V1_H
#define JADE_TEST_GOLDEN_METAINDEX_V1_H

#include "base/buf.h"

enum { GOLDEN_METAINDEX_ROWS = 300, GOLDEN_METAINDEX_SEGMENT = 3 };

/* Text of row i; empty for a row without metadata. */
static inline void golden_metaindex_document(unsigned i, struct jade_buf *b)
{
    jade_buf_clear(b);
    if (i % 10 == 3) {
        return;
    }
    jade_buf_printf(b, "{\"k\":\"v%u\",\"n\":%u.%u,\"b\":%s", i % 7, i * 37 % 101, i % 2 * 5,
                    i % 3 == 0 ? "true" : "false");
    jade_buf_printf(b, ",\"d\":\"2024-%02u-%02uT00:00:00Z\",\"tags\":[\"t%u\",\"t%u\",%u]",
                    1 + i % 12, 1 + i % 28, i % 5, i, i % 4);
    if (i % 9 == 0) {
        jade_buf_append_str(b, ",\"x\":null,\"big\":");
        jade_buf_printf(b, "%llu", 9007199254740992ull + i);
    }
    if (i % 50 == 0) {
        jade_buf_printf(b, ",\"long\":\"%0*u\"", 257, i / 100);
    }
    jade_buf_printf(b, ",\"o\":{\"deep\":[{\"in\":%u}]}}", i / 2);
}

#endif
