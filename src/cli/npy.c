#include "cli/npy.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "format/codec.h"

static const uint8_t magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

bool jade_npy_is(const void *p, size_t n)
{
    return n >= sizeof magic && memcmp(p, magic, sizeof magic) == 0;
}

jade_code jade_npy_header_size(const void *p, size_t n, size_t *size_out, struct jade_err *err)
{
    const uint8_t *b = p;
    *size_out = 0;
    if (n < JADE_NPY_PREFIX || !jade_npy_is(p, n)) {
        return jade_fail(err, JADE_E_CORRUPT, "no .npy file");
    }
    if (b[6] < 1 || b[6] > 3) {
        return jade_fail(err, JADE_E_VERSION, ".npy format version %u; known are 1 to 3", b[6]);
    }
    size_t size = b[6] == 1 ? 10u + jade_load_u16(b + 8) : 12u + (size_t)jade_load_u32(b + 8);
    if (size > JADE_NPY_HEADER_MAX) {
        return jade_fail(err, JADE_E_TOO_LARGE, "an .npy header of %zu bytes, at most %d", size,
                         JADE_NPY_HEADER_MAX);
    }
    *size_out = size;
    return JADE_OK;
}

/* ---- the header: a Python dict of three known keys ---- */

struct text {
    const char *p, *end;
};

static void skip_blanks(struct text *t)
{
    while (t->p < t->end && isspace((unsigned char)*t->p)) {
        t->p++;
    }
}

static bool take_char(struct text *t, char c)
{
    skip_blanks(t);
    if (t->p < t->end && *t->p == c) {
        t->p++;
        return true;
    }
    return false;
}

static bool take_quoted(struct text *t, char *out, size_t size)
{
    skip_blanks(t);
    if (t->p == t->end || (*t->p != '\'' && *t->p != '"')) {
        return false;
    }
    char quote = *t->p++;
    size_t n = 0;
    while (t->p < t->end && *t->p != quote && n + 1 < size) {
        out[n++] = *t->p++;
    }
    out[n] = '\0';
    return t->p < t->end && *t->p++ == quote;
}

static bool take_word(struct text *t, const char *word)
{
    size_t n = strlen(word);
    skip_blanks(t);
    if ((size_t)(t->end - t->p) < n || memcmp(t->p, word, n) != 0) {
        return false;
    }
    t->p += n;
    return true;
}

static bool take_number(struct text *t, uint64_t *out)
{
    skip_blanks(t);
    const char *from = t->p;
    uint64_t v = 0;
    while (t->p < t->end && isdigit((unsigned char)*t->p)) {
        if (v > UINT64_MAX / 100) {
            return false;
        }
        v = v * 10 + (uint64_t)(*t->p++ - '0');
    }
    *out = v;
    return t->p > from;
}

struct header {
    char descr[32];
    bool fortran, has_order;
    uint64_t shape[4];
    unsigned n_shape;
    bool has_shape;
};

static bool take_shape(struct text *t, struct header *h)
{
    h->has_shape = true;
    h->n_shape = 0;
    if (!take_char(t, '(')) {
        return false;
    }
    while (!take_char(t, ')')) {
        if (h->n_shape == 4 || !take_number(t, &h->shape[h->n_shape++])) {
            return false;
        }
        (void)take_char(t, ',');
    }
    return true;
}

static bool take_member(struct text *t, struct header *h)
{
    char key[32];
    if (!take_quoted(t, key, sizeof key) || !take_char(t, ':')) {
        return false;
    }
    if (strcmp(key, "descr") == 0) {
        return take_quoted(t, h->descr, sizeof h->descr);
    }
    if (strcmp(key, "fortran_order") == 0) {
        h->has_order = true;
        h->fortran = take_word(t, "True");
        return h->fortran || take_word(t, "False");
    }
    return strcmp(key, "shape") == 0 && take_shape(t, h);
}

static bool parse(const char *p, size_t n, struct header *h)
{
    struct text t = {.p = p, .end = p + n};
    memset(h, 0, sizeof *h);
    if (!take_char(&t, '{')) {
        return false;
    }
    while (!take_char(&t, '}')) {
        if (!take_member(&t, h)) {
            return false;
        }
        (void)take_char(&t, ',');
    }
    return h->descr[0] != '\0' && h->has_order && h->has_shape;
}

jade_code jade_npy_header(const void *p, size_t n, struct jade_npy *out, struct jade_err *err)
{
    struct header h;
    size_t size;
    const char *bytes = p;
    memset(out, 0, sizeof *out);
    jade_code rc = jade_npy_header_size(p, n, &size, err);
    if (rc != JADE_OK) {
        return rc;
    }
    size_t prefix = bytes[6] == 1 ? 10 : 12;
    if (n < size || size < prefix || !parse(bytes + prefix, size - prefix, &h)) {
        return jade_fail(err, JADE_E_CORRUPT, "the .npy header is damaged");
    }
    bool is_f4 = strcmp(h.descr + 1, "f4") == 0, is_f8 = strcmp(h.descr + 1, "f8") == 0;
    if ((h.descr[0] != '<' && h.descr[0] != '>' && h.descr[0] != '=') || (!is_f4 && !is_f8)) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "descr",
                               "'%.20s'; expected float32 or float64 (array.astype(\"float32\"))",
                               h.descr);
    }
    if (h.fortran) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "fortran_order",
                               "True; expected rows one after the other (numpy.ascontiguousarray)");
    }
    if (h.n_shape != 2 || h.shape[1] < 1 || h.shape[1] > JADE_DIM_MAX) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "shape",
                               "%u dimensions, %llu columns; expected 2 and 1 to %u", h.n_shape,
                               (unsigned long long)(h.n_shape > 1 ? h.shape[1] : 0), JADE_DIM_MAX);
    }
    out->n_rows = h.shape[0];
    out->n_columns = h.shape[1];
    out->item_bytes = is_f4 ? 4 : 8;
    out->big_endian = h.descr[0] == '>';
    return JADE_OK;
}

static float load(const struct jade_npy *npy, const uint8_t *p)
{
    if (npy->item_bytes == 4) {
        uint32_t bits = jade_load_u32(p);
        float v;
        bits = npy->big_endian ? __builtin_bswap32(bits) : bits;
        memcpy(&v, &bits, sizeof v);
        return v;
    }
    uint64_t bits = jade_load_u64(p);
    double v;
    bits = npy->big_endian ? __builtin_bswap64(bits) : bits;
    memcpy(&v, &bits, sizeof v);
    return fabs(v) <= 3.4028234663852886e38 ? (float)v : NAN;
}

jade_code jade_npy_row(const struct jade_npy *npy, const void *row, float *out,
                       struct jade_err *err)
{
    const uint8_t *p = row;
    for (uint64_t i = 0; i < npy->n_columns; i++) {
        out[i] = load(npy, p + i * npy->item_bytes);
        if (!isfinite(out[i])) {
            return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "values",
                                   "column %llu is not finite as float32", (unsigned long long)i);
        }
    }
    return JADE_OK;
}
