/*
 * The factory: names and parameters of the kinds, new and map, and the calls through the vtable.
 */
#include "index/index.h"

#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/limits.h"
#include "index/index_private.h"

enum { M_DEFAULT = 16, EF_CONSTRUCTION_DEFAULT = 200, EF_SEARCH_DEFAULT = 64 };
static const uint64_t SEED_DEFAULT = 0x6a616465; /* "jade" */

struct kind_word {
    const char *word;
    enum jade_index_kind kind;
    bool built;
};
/* Kinds that the format of the API knows but this build does not have are told apart from misspelt ones. */
static const struct kind_word KINDS[] = {
    {"hnsw", JADE_INDEX_HNSW, true},
    {"flat", JADE_INDEX_FLAT, true},
    {"ivf", 0, false},
    {"lsh", 0, false},
    {"qgraph", 0, false},
    {"disk", 0, false},
};
enum { N_KINDS = sizeof KINDS / sizeof KINDS[0] };

struct jade_index_params jade_index_params_default(void)
{
    return (struct jade_index_params){
        .kind = JADE_INDEX_HNSW,
        .m = M_DEFAULT,
        .ef_construction = EF_CONSTRUCTION_DEFAULT,
        .ef_search = EF_SEARCH_DEFAULT,
        .seed = SEED_DEFAULT,
    };
}

jade_code jade_index_kind_parse(const char *word, size_t n, enum jade_index_kind *kind_out,
                                struct jade_err *err)
{
    *kind_out = JADE_INDEX_HNSW;
    for (size_t i = 0; i < N_KINDS; i++) {
        if (strlen(KINDS[i].word) != n || strncasecmp(KINDS[i].word, word, n) != 0) {
            continue;
        }
        if (!KINDS[i].built) {
            return jade_fail_field(err, JADE_E_NOT_SUPPORTED_YET, "type",
                                   "index type %s; this build has hnsw and flat", KINDS[i].word);
        }
        *kind_out = KINDS[i].kind;
        return JADE_OK;
    }
    return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "type",
                           "index type '%.*s', expected hnsw or flat", (int)(n < 64 ? n : 64),
                           word);
}

const char *jade_index_kind_name(enum jade_index_kind kind)
{
    return kind == JADE_INDEX_FLAT ? "flat" : "hnsw";
}

static jade_code check_range(const char *field, uint32_t value, uint32_t low, uint32_t high,
                             struct jade_err *err)
{
    if (value < low || value > high) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, field, "%u, expected %u to %u", value,
                               low, high);
    }
    return JADE_OK;
}

jade_code jade_index_params_check(const struct jade_index_params *p, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    if (p->kind != JADE_INDEX_FLAT && p->kind != JADE_INDEX_HNSW) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "type",
                               "index kind %u, expected 0 or 1", (unsigned)p->kind);
    }
    JADE_TRY(check_range("M", p->m, JADE_M_MIN, JADE_M_MAX, err));
    JADE_TRY(check_range("efConstruction", p->ef_construction, 1, JADE_EF_CONSTRUCTION_MAX, err));
    JADE_TRY(check_range("efSearch", p->ef_search, 1, JADE_EF_MAX, err));
out:
    return rc;
}

jade_code jade_index_new(const struct jade_index_params *params, const struct jade_rows *rows,
                         uint32_t max_rows, struct jade_index **out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    *out = NULL;
    JADE_ASSERT(rows->stride % JADE_SIMD_ALIGN == 0 &&
                rows->stride >= rows->dim_padded * sizeof(float));
    JADE_ASSERT(rows->dim_padded == jade_simd_padded(rows->dim));
    JADE_IMPLIES(rows->metric == JADE_METRIC_COSINE, rows->inv_norm != NULL);
    JADE_TRY(jade_index_params_check(params, err));
    if (max_rows == 0 || max_rows > JADE_SEGMENT_ROWS_MAX) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "max_rows", "%u, expected 1 to %u",
                               max_rows, JADE_SEGMENT_ROWS_MAX);
    }
    if (params->kind == JADE_INDEX_FLAT) {
        rc = jadei_flat_new(params, rows, out, err);
    } else {
        rc = jadei_hnsw_new(params, rows, max_rows, out, err);
    }
out:
    return rc;
}

jade_code jade_index_map(struct jade_blockfile *file, const struct jade_rows *rows, uint32_t n_rows,
                         struct jade_index **out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_index_header h;
    *out = NULL;
    JADE_TRY(jadei_index_header_read(file, rows, n_rows, &h, err));
    if (h.params.kind == JADE_INDEX_FLAT) {
        rc = jadei_flat_map(&h, rows, out, err);
    } else {
        rc = jadei_hnsw_map(&h, file, rows, out, err);
    }
out:
    return rc;
}

jade_code jade_index_add(struct jade_index *ix, uint32_t row, struct jade_err *err)
{
    return ix->ops->add(ix, row, err);
}

jade_code jade_index_search(struct jade_index *ix, const struct jade_query_vector *q,
                            const struct jade_search_opts *opts, struct jade_topk *top,
                            struct jade_search_stats *stats, struct jade_err *err)
{
    JADE_ASSERT(opts->filter != NULL);
    return ix->ops->search(ix, q, opts, top, stats, err);
}

jade_code jade_index_save(struct jade_index *ix, struct jade_blockfile_writer *w,
                          struct jade_err *err)
{
    return ix->ops->save(ix, w, err);
}

jade_code jade_index_verify(struct jade_index *ix, struct jade_err *err)
{
    return ix->ops->verify(ix, err);
}

uint64_t jade_index_memory_bytes(const struct jade_index *ix)
{
    return ix->ops->memory_bytes(ix);
}

void jade_index_free(struct jade_index *ix)
{
    if (ix) {
        ix->ops->free(ix);
    }
}
