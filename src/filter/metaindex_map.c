/*
 * The mapped form: directory in memory, everything else read from the file when a filter asks for
 * it. Nothing decoded is kept: a bitmap of a million rows is read, checked and decoded in well
 * under a millisecond, and a cache would need a bound and a lock.
 */
#include <string.h>

#include "base/assert.h"
#include "filter/metaindex_private.h"
#include "format/codec.h"

/* ---- opening ---- */

static struct jadei_ref get_ref(struct jade_reader *r)
{
    struct jadei_ref ref = {0};
    ref.at = jade_get_u64(r);
    ref.n = jade_get_u32(r);
    r->bad = jade_get_u32(r) != 0 || r->bad;
    return ref;
}

/* A table of n items of `item` bytes at `at` lies in the payload. */
static bool fits(const struct jade_metaindex *ix, uint64_t at, uint64_t n, uint64_t item)
{
    uint64_t size = jade_blockfile_size(ix->file);
    return at <= size && n <= (size - at) / item;
}

static bool get_column(const struct jade_metaindex *ix, struct jade_reader *r,
                       struct jadei_saved_column *out)
{
    out->at = jade_get_u64(r);
    out->n = jade_get_u64(r);
    uint64_t has_rest = jade_get_u64(r);
    out->has_rest = has_rest == 1;
    return has_rest <= 1 && fits(ix, out->at, out->n, out->has_rest ? 14 : 12);
}

/* One entry; its name is the next name_len bytes of names. */
static jade_code get_path(const struct jade_metaindex *ix, struct jade_reader *r, uint64_t names_at,
                          struct jade_reader *names, struct jadei_saved_path *out,
                          struct jade_err *err)
{
    uint64_t name_at = jade_get_u64(r);
    out->name_len = jade_get_u32(r);
    uint32_t several = jade_get_u32(r);
    out->several = several == 1;
    out->terms_at = jade_get_u64(r);
    out->n_terms = jade_get_u64(r);
    bool sound =
        name_at == names_at + names->pos && fits(ix, out->terms_at, out->n_terms, JADEI_TERM_BYTES);
    sound = get_column(ix, r, &out->numbers) && sound;
    sound = get_column(ix, r, &out->times) && sound;
    out->exists = get_ref(r);
    out->null = get_ref(r);
    out->yes = get_ref(r);
    out->no = get_ref(r);
    out->name = (const char *)jade_get_bytes(names, out->name_len);
    if (!sound || out->name == NULL) {
        return jadei_saved_corrupt(ix, "the directory names places outside of the file", err);
    }
    return jade_reader_status(r, "metadata index directory", err);
}

static jade_code read_directory(struct jade_metaindex *ix, uint64_t at, uint64_t names_at,
                                uint64_t names_size, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    size_t size = (size_t)ix->n_paths * JADEI_DIR_ENTRY_BYTES;
    uint8_t *raw = jade_alloc(JADE_TAG_METADATA, size);
    ix->names = jade_alloc(JADE_TAG_METADATA, (size_t)names_size);
    ix->saved = jade_calloc(JADE_TAG_METADATA, (size_t)ix->n_paths + 1, sizeof *ix->saved);
    if (raw == NULL || ix->names == NULL || ix->saved == NULL) {
        rc = jade_fail(err, JADE_E_NOMEM, "no memory for the directory of %u metadata paths",
                       ix->n_paths);
        goto out;
    }
    JADE_TRY(jadei_saved_copy(ix, at, size, raw, err));
    JADE_TRY(jadei_saved_copy(ix, names_at, names_size, ix->names, err));
    struct jade_reader r = jade_reader_of(raw, size);
    struct jade_reader names = jade_reader_of(ix->names, (size_t)names_size);
    for (uint32_t i = 0; i < ix->n_paths; i++) {
        struct jadei_saved_path *p = &ix->saved[i];
        JADE_TRY(get_path(ix, &r, names_at, &names, p, err));
        if (i > 0 && jadei_text_compare(p[-1].name, p[-1].name_len, p->name, p->name_len) >= 0) {
            rc = jadei_saved_corrupt(ix, "the directory is out of order", err);
            goto out;
        }
    }
    ix->bytes = names_size + (ix->n_paths + 1) * sizeof *ix->saved;
out:
    jade_free(raw);
    return rc;
}

static jade_code read_tail(struct jade_metaindex *ix, uint32_t n_rows, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    uint8_t raw[JADEI_TAIL_BYTES];
    uint64_t size = jade_blockfile_size(ix->file);
    if (size < sizeof raw) {
        return jadei_saved_corrupt(ix, "too short", err);
    }
    JADE_TRY(jadei_saved_copy(ix, size - sizeof raw, sizeof raw, raw, err));
    struct jade_reader r = jade_reader_of(raw, sizeof raw);
    uint32_t magic = jade_get_u32(&r);
    uint32_t version = jade_get_u32(&r);
    if (magic != JADEI_MIX_MAGIC || version != JADEI_MIX_VERSION) {
        rc = magic != JADEI_MIX_MAGIC
                 ? jadei_saved_corrupt(ix, "no tail", err)
                 : jade_fail(err, JADE_E_VERSION,
                             "%s: metadata index version %u, this build reads %u",
                             jade_blockfile_path(ix->file), version, JADEI_MIX_VERSION);
        goto out;
    }
    ix->n_rows = jade_get_u32(&r);
    uint32_t n_paths = jade_get_u32(&r);
    ix->unknown_from = jade_get_u32(&r);
    ix->unknown_to = jade_get_u32(&r);
    uint64_t directory_at = jade_get_u64(&r);
    ix->saved_overflow = get_ref(&r);
    uint64_t names_at = jade_get_u64(&r);
    uint64_t names_size = jade_get_u64(&r);
    if (r.bad || ix->n_rows > n_rows || n_paths > JADE_METAINDEX_PATHS_MAX ||
        ix->unknown_from > ix->unknown_to || ix->unknown_to > ix->n_rows ||
        !fits(ix, names_at, names_size, 1) || names_size > (uint64_t)n_paths * JADEI_PATH_MAX ||
        !fits(ix, directory_at, n_paths, JADEI_DIR_ENTRY_BYTES)) {
        rc = jadei_saved_corrupt(ix, "the tail does not fit file and segment", err);
        goto out;
    }
    ix->n_paths = n_paths;
    rc = read_directory(ix, directory_at, names_at, names_size, err);
out:
    return rc;
}

jade_code jade_metaindex_map(struct jade_blockfile *file, uint32_t n_rows,
                             struct jade_metaindex **out, struct jade_err *err)
{
    *out = NULL;
    struct jade_metaindex *ix = jade_calloc(JADE_TAG_METADATA, 1, sizeof *ix);
    if (ix == NULL) {
        return jade_fail(err, JADE_E_NOMEM, "no memory for a metadata index");
    }
    ix->file = file;
    jade_code rc = read_tail(ix, n_rows, err);
    if (rc != JADE_OK) {
        jade_metaindex_free(ix);
        return rc;
    }
    *out = ix;
    return JADE_OK;
}

void jadei_map_release(struct jade_metaindex *ix)
{
    jade_free(ix->saved);
    jade_free(ix->names);
}

bool jadei_map_find(const struct jade_metaindex *ix, const char *name, size_t len,
                    uint32_t *index_out)
{
    uint32_t from = 0;
    uint32_t n = ix->n_paths;
    while (n > 0) {
        uint32_t half = n / 2;
        const struct jadei_saved_path *p = &ix->saved[from + half];
        int c = jadei_text_compare(p->name, p->name_len, name, len);
        if (c == 0) {
            *index_out = from + half;
            return true;
        }
        from = c < 0 ? from + half + 1 : from;
        n = c < 0 ? n - half - 1 : half;
    }
    *index_out = 0;
    return false;
}

/* ---- terms ---- */

/* What a search in the dictionary looks for: tag and string. */
struct target {
    uint8_t tag;
    const uint8_t *text;
    size_t len;
};

struct term {
    uint64_t key_at;
    uint32_t key_len;
    struct jadei_ref ref;
};

static struct term load_term(const uint8_t *p)
{
    return (struct term){.key_at = jade_load_u64(p),
                         .key_len = jade_load_u32(p + 8),
                         .ref = {.at = jade_load_u64(p + 16), .n = jade_load_u32(p + 12)}};
}

static jade_code compare_term(const struct jade_metaindex *ix, const struct jadei_saved_path *p,
                              uint64_t i, const struct target *t, int *compared_out,
                              struct jade_err *err)
{
    jade_code rc = JADE_OK;
    uint8_t raw[JADEI_TERM_BYTES];
    uint8_t key[JADEI_TERM_KEY_MAX];
    *compared_out = 0;
    JADE_TRY(jadei_saved_copy(ix, p->terms_at + i * JADEI_TERM_BYTES, sizeof raw, raw, err));
    struct term term = load_term(raw);
    if (term.key_len == 0 || term.key_len > sizeof key) {
        rc = jadei_saved_corrupt(ix, "a key has an impossible length", err);
        goto out;
    }
    JADE_TRY(jadei_saved_copy(ix, term.key_at, term.key_len, key, err));
    *compared_out = key[0] != t->tag
                        ? (key[0] > t->tag) - (key[0] < t->tag)
                        : jadei_text_compare(key + 1, term.key_len - 1, t->text, t->len);
out:
    return rc;
}

/* First term that is >= target, or with `after` > target. */
static jade_code term_bound(const struct jade_metaindex *ix, const struct jadei_saved_path *p,
                            struct target t, bool after, uint64_t *at_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    uint64_t n = p->n_terms;
    *at_out = 0;
    while (n > 0) {
        uint64_t half = n / 2;
        int compared = 0;
        JADE_TRY(compare_term(ix, p, *at_out + half, &t, &compared, err));
        if (compared < 0 || (after && compared == 0)) {
            *at_out += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
out:
    return rc;
}

static jade_code select_range(const struct jade_metaindex *ix, const struct jadei_saved_path *p,
                              uint64_t from, uint64_t to, roaring_bitmap_t *into,
                              struct jade_err *err)
{
    enum { BLOCK = 128 };
    jade_code rc = JADE_OK;
    uint8_t raw[BLOCK * JADEI_TERM_BYTES];
    struct jadei_sink sink = {0};
    if (from >= to) {
        return JADE_OK;
    }
    JADE_TRY(jadei_sink_init(&sink, to - from, ix->n_rows, into, err));
    for (uint64_t i = from; i < to; i += BLOCK) {
        uint64_t some = to - i < BLOCK ? to - i : BLOCK;
        JADE_TRY(jadei_saved_copy(ix, p->terms_at + i * JADEI_TERM_BYTES, some * JADEI_TERM_BYTES,
                                  raw, err));
        for (uint64_t k = 0; k < some; k++) {
            struct jadei_ref ref = load_term(raw + k * JADEI_TERM_BYTES).ref;
            JADE_TRY(jadei_saved_into(ix, ref, &sink, err));
        }
    }
out:
    jadei_sink_finish(&sink);
    return rc;
}

static jade_code select_terms(const struct jade_metaindex *ix, const struct jadei_saved_path *p,
                              const struct jadei_select *s, roaring_bitmap_t *into,
                              struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const struct jadei_end *low = &s->in.low;
    const struct jadei_end *high = &s->in.high;
    struct target first = {.tag = (uint8_t)s->tag};
    struct target last = {.tag = (uint8_t)(s->tag + 1)};
    uint64_t from = 0;
    uint64_t to = 0;
    if (low->set) {
        first.text = low->text;
        first.len = low->text_len;
    }
    if (high->set) {
        last = (struct target){.tag = (uint8_t)s->tag, .text = high->text, .len = high->text_len};
    }
    JADE_TRY(term_bound(ix, p, first, low->set && low->open, &from, err));
    JADE_TRY(term_bound(ix, p, last, high->set && !high->open, &to, err));
    rc = select_range(ix, p, from, to, into, err);
out:
    return rc;
}

static jade_code select_term(const struct jade_metaindex *ix, const struct jadei_saved_path *p,
                             const struct jadei_select *s, roaring_bitmap_t *into,
                             struct jade_err *err)
{
    jade_code rc = JADE_OK;
    JADE_ASSERT(s->key_len > 0);
    struct target t = {.tag = s->key[0], .text = s->key + 1, .len = s->key_len - 1};
    uint64_t at = 0;
    int compared = 1;
    JADE_TRY(term_bound(ix, p, t, false, &at, err));
    if (at < p->n_terms) {
        JADE_TRY(compare_term(ix, p, at, &t, &compared, err));
    }
    if (compared == 0) {
        rc = select_range(ix, p, at, at + 1, into, err);
    }
out:
    return rc;
}

jade_code jadei_map_select(const struct jade_metaindex *ix, uint32_t path,
                           const struct jadei_select *s, roaring_bitmap_t *into,
                           struct jade_err *err)
{
    const struct jadei_saved_path *p = &ix->saved[path];
    switch (s->kind) {
    case JADEI_SELECT_EXISTS:
        return jadei_saved_or(ix, p->exists, into, err);
    case JADEI_SELECT_NULL:
        return jadei_saved_or(ix, p->null, into, err);
    case JADEI_SELECT_TRUE:
        return jadei_saved_or(ix, p->yes, into, err);
    case JADEI_SELECT_FALSE:
        return jadei_saved_or(ix, p->no, into, err);
    case JADEI_SELECT_TERM:
        return select_term(ix, p, s, into, err);
    case JADEI_SELECT_TERMS:
        return select_terms(ix, p, s, into, err);
    case JADEI_SELECT_NUMBERS:
        return jadei_saved_column_select(ix, &p->numbers, &s->in, into, err);
    case JADEI_SELECT_TIMES:
        return jadei_saved_column_select(ix, &p->times, &s->in, into, err);
    }
    return JADE_OK;
}
