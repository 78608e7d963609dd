/*
 * Arrays of NumPy's .npy files (format versions 1 to 3): header and element types, no I/O.
 *
 * Taken: two dimensions, C order, float32 and float64, either byte order. Everything else is refused by name.
 * Source: NumPy Enhancement Proposal 1.
 */
#ifndef JADE_CLI_NPY_H
#define JADE_CLI_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
    JADE_NPY_PREFIX = 12,           /* bytes that tell how long the header is */
    JADE_NPY_HEADER_MAX = 64 * 1024 /* longest header that is read */
};

struct jade_npy {
    uint64_t n_rows;
    uint64_t n_columns;
    unsigned item_bytes; /* 4 or 8 */
    bool big_endian;
};

bool jade_npy_is(const void *p, size_t n);
/** Bytes before the first element, from the first JADE_NPY_PREFIX bytes. Errors: JADE_E_CORRUPT, JADE_E_VERSION, JADE_E_TOO_LARGE. */
jade_code jade_npy_header_size(const void *p, size_t n, size_t *size_out, struct jade_err *err);
/** Reads the header, whole. Errors: JADE_E_CORRUPT, JADE_E_INVALID_ARGUMENT (an array we do not take). */
jade_code jade_npy_header(const void *p, size_t n, struct jade_npy *out, struct jade_err *err);
/** One row to float32. Errors: JADE_E_INVALID_ARGUMENT with the column (not finite as float32). */
jade_code jade_npy_row(const struct jade_npy *npy, const void *row, float *out,
                       struct jade_err *err);

#endif
