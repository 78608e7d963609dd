/*
 * Search: for each segment a plan, candidates, then one merge.
 *
 * Plans by the exact number of rows n_match that the filter allows (roaring bitmap of the metadata index):
 *   scan          no graph (flat, or a small segment), or `exact`
 *   graph         no filter: walk the graph, scan the tail that is not in it yet
 *   filter_scan   few matches: computing all their distances is cheaper than a walk that must see n / n_match times more nodes
 *   filter_graph  many matches: walk with the effort widened by n / n_match, so that the beam holds enough allowed rows
 * A walk that came back with fewer than k rows while more match is repeated as a scan: never fewer than k answers while k match.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "shard/shard_private.h"

enum {
    EXPAND_COST =
        24 /* distances a walk computes per unit of effort at M = 16: measured on MNIST-784 and clustered sets */
};

const char *jade_plan_name(enum jade_plan p)
{
    static const char *const names[] = {"scan", "graph", "filter_scan", "filter_graph"};
    return (unsigned)p < 4 ? names[p] : "unknown";
}

struct found {
    float distance;
    uint32_t seg; /* in the view */
    uint32_t row;
};

struct search_ctx {
    const struct jade_search *q;
    const struct jadei_read *read;
    struct jade_query_vector vector;
    float max_distance;
    struct found *found; /* k per segment at most */
    uint32_t n_found;
    struct jade_search_info *info;
    uint32_t plan_rows; /* rows of the largest segment so far, whose plan is told */
    /* of the segment in work */
    struct jadei_segment *seg;
    struct jade_topk top;
    uint32_t *list; /* matching rows, ascending */
    uint64_t n_list;
    uint64_t *bits;
};

static jade_code row_metadata(void *ctx, uint32_t row, const char **json_out, size_t *n_out,
                              struct jade_err *err)
{
    return jadei_segment_metadata(ctx, row, json_out, n_out, err);
}

static jade_code eval_filter(struct jadei_segment *seg, const struct jade_filter *f,
                             uint32_t n_rows, roaring_bitmap_t **out, struct jade_err *err)
{
    if (seg->sealed) {
        return jade_metaindex_eval(seg->metaindex, f, n_rows, row_metadata, seg, out, err);
    }
    jade_rwlock_read(&seg->meta_lock);
    jade_code rc = jade_metaindex_eval(seg->metaindex, f, n_rows, row_metadata, seg, out, err);
    jade_rwlock_read_end(&seg->meta_lock);
    return rc;
}

static jade_code matches(struct search_ctx *c, uint32_t n_rows, struct jade_err *err)
{
    roaring_bitmap_t *bitmap = NULL;
    jade_code rc = eval_filter(c->seg, c->q->filter, n_rows, &bitmap, err);
    if (rc != JADE_OK) {
        return rc;
    }
    c->n_list = roaring_bitmap_get_cardinality(bitmap);
    c->list = jade_alloc(JADE_TAG_SEARCH, (c->n_list + 1) * sizeof *c->list);
    if (c->list) {
        roaring_bitmap_to_uint32_array(bitmap, c->list);
    } else {
        rc = jade_fail(err, JADE_E_NOMEM, "%llu matching rows", (unsigned long long)c->n_list);
    }
    roaring_bitmap_free(bitmap);
    return rc;
}

static jade_code make_bits(struct search_ctx *c, uint32_t n_rows, struct jade_err *err)
{
    c->bits = jade_calloc(JADE_TAG_SEARCH, (n_rows + 63) / 64 + 1, sizeof *c->bits);
    if (!c->bits) {
        return jade_fail(err, JADE_E_NOMEM, "a filter of %u rows", n_rows);
    }
    for (uint64_t i = 0; i < c->n_list; i++) {
        c->bits[c->list[i] >> 6] |= 1ull << (c->list[i] & 63);
    }
    return JADE_OK;
}

static enum jade_plan choose(const struct search_ctx *c, uint32_t n_indexed, uint32_t n_rows,
                             uint32_t ef)
{
    bool filtered = c->q->filter != NULL;
    bool graph = c->seg->index && c->seg->index->params.kind == JADE_INDEX_HNSW && n_indexed > 0 &&
                 !c->q->exact;
    if (!graph) {
        return filtered ? JADE_PLAN_FILTER_SCAN : JADE_PLAN_SCAN;
    }
    if (!filtered) {
        return JADE_PLAN_GRAPH;
    }
    if (c->n_list == 0) {
        return JADE_PLAN_FILTER_SCAN;
    }
    double widened = (double)ef * (double)n_rows / (double)c->n_list;
    return widened * EXPAND_COST < (double)c->n_list ? JADE_PLAN_FILTER_GRAPH
                                                     : JADE_PLAN_FILTER_SCAN;
}

static jade_code scan_all(struct search_ctx *c, uint32_t first, uint32_t last,
                          const struct jade_row_filter *f, struct jade_err *err)
{
    struct jade_search_stats *st = &c->info->stats;
    if (!c->list) {
        return jade_scan_rows(&c->seg->rows, &c->vector, first, last, f, &c->top, st, err);
    }
    uint64_t from = 0;
    uint64_t to = c->n_list;
    while (from < to) { /* first matching row >= first */
        uint64_t mid = from + (to - from) / 2;
        if (c->list[mid] < first) {
            from = mid + 1;
        } else {
            to = mid;
        }
    }
    return jade_scan_list(&c->seg->rows, &c->vector, c->list + from, c->n_list - from, f, &c->top,
                          st, err);
}

static jade_code walk(struct search_ctx *c, uint32_t n_indexed, uint32_t n_rows, uint32_t ef,
                      struct jade_row_filter f, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_row_filter in_graph = f;
    in_graph.n_rows =
        n_indexed; /* rows being added right now belong to the tail: none is found twice */
    if (c->list) {
        JADE_TRY(make_bits(c, n_rows, err));
        in_graph.bits = c->bits;
        in_graph.n_bits = n_rows;
        double widened = (double)ef * (double)n_rows / (double)c->n_list;
        ef = widened < (double)JADE_EF_MAX ? (uint32_t)widened : JADE_EF_MAX;
    }
    /* The threshold waits: too few answers must mean that the walk met too few rows, not that those were too far. */
    c->top.max_distance = INFINITY;
    struct jade_search_opts opts = {.ef = ef, .filter = &in_graph};
    JADE_TRY(jade_index_search(c->seg->index, &c->vector, &opts, &c->top, &c->info->stats, err));
    uint64_t possible = c->list ? c->n_list : n_rows;
    uint64_t want = c->q->k < possible ? c->q->k : possible;
    c->top.max_distance = c->max_distance;
    if (c->top.n < want) {
        c->top.n =
            0; /* too few around the query are alive or allowed: the exact way finds them all */
        return scan_all(c, 0, n_rows, &f, err);
    }
    if (n_indexed < n_rows) {
        c->info->tail_rows += n_rows - n_indexed;
        rc = scan_all(c, n_indexed, n_rows, &f, err);
    }
out:
    return rc;
}

static jade_code search_segment(void *arg, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct search_ctx *c = arg;
    struct jadei_segment *seg = c->seg;
    uint32_t n_indexed = atomic_load_explicit(&seg->n_indexed, memory_order_acquire);
    uint32_t n_rows = atomic_load_explicit(&seg->n_rows, memory_order_acquire);
    if (n_rows == 0) {
        return JADE_OK;
    }
    if (c->q->filter) {
        JADE_TRY(matches(c, n_rows, err));
    }
    struct jade_row_filter f = {.n_rows = n_rows, .lsn = c->read->lsn.v};
    f.tomb_lsn = atomic_load_explicit(&seg->tomb, memory_order_acquire);
    if (!seg->sealed || seg->lsn_max.v > c->read->lsn.v) {
        JADE_TRY(jadei_segment_check_lsns(seg, err));
        f.row_lsn = seg->lsn;
    }
    uint32_t ef = c->q->ef ? c->q->ef : (seg->index ? seg->index->params.ef_search : 1);
    ef = ef < c->q->k ? c->q->k : ef;
    enum jade_plan plan = choose(c, n_indexed, n_rows, ef);
    if (n_rows >= c->plan_rows) {
        c->plan_rows = n_rows;
        c->info->plan = plan;
    }
    c->info->filter_matches += c->list ? c->n_list : n_rows;
    if (plan == JADE_PLAN_GRAPH || plan == JADE_PLAN_FILTER_GRAPH) {
        rc = walk(c, n_indexed, n_rows, ef, f, err);
    } else {
        rc = scan_all(c, 0, n_rows, &f, err);
    }
out:
    return rc;
}

static jade_code search_view(struct search_ctx *c, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    for (uint32_t i = 0; i < c->read->view->n && rc == JADE_OK; i++) {
        c->seg = c->read->view->segs[i];
        c->top.n = 0;
        rc = jade_guard_run(search_segment, c, "a segment", err);
        jade_free(c->list);
        jade_free(c->bits);
        c->list = NULL;
        c->bits = NULL;
        for (uint32_t j = 0; j < c->top.n && rc == JADE_OK; j++) {
            c->found[c->n_found++] = (struct found){
                .seg = i, .distance = c->top.items[j].distance, .row = c->top.items[j].row};
        }
    }
    return rc;
}

static int by_distance(const void *a, const void *b)
{
    const struct found *x = a;
    const struct found *y = b;
    if (x->distance != y->distance) {
        return x->distance < y->distance ? -1 : 1;
    }
    if (x->seg != y->seg) {
        return x->seg < y->seg ? -1 : 1;
    }
    return x->row < y->row ? -1 : x->row > y->row;
}

static void score(enum jade_metric metric, float distance, double *score_out, double *distance_out)
{
    double d = (double)distance;
    switch (metric) {
    case JADE_METRIC_EUCLIDEAN:
        *distance_out = sqrt(d > 0 ? d : 0);
        *score_out = 1.0 / (1.0 + *distance_out);
        break;
    case JADE_METRIC_DOT:
        *distance_out = d;
        *score_out = d == 0 ? 0 : -d;
        break;
    case JADE_METRIC_COSINE:
    default:
        /* Rounding may leave [0, 2] by an ulp or two; a cosine above 1 would surprise. */
        *distance_out = d < 0 ? 0 : d > 2 ? 2 : d;
        *score_out = 1.0 - *distance_out;
    }
}

/* The largest internal distance whose score can reach the threshold, a little generous: the score itself decides at the end. */
static float threshold_distance(enum jade_metric metric, double threshold)
{
    double d;
    switch (metric) {
    case JADE_METRIC_EUCLIDEAN:
        if (threshold <= 0) {
            return INFINITY;
        }
        d = 1.0 / threshold - 1.0;
        if (d < 0) {
            return -1.0f;
        }
        d = d * d;
        break;
    case JADE_METRIC_DOT:
        d = -threshold;
        break;
    case JADE_METRIC_COSINE:
    default:
        d = 1.0 - threshold;
    }
    return (float)(d + fabs(d) * 1e-5 + 1e-6);
}

static jade_code take_hits(struct search_ctx *c, struct jade_arena *arena,
                           struct jade_hit **hits_out, uint32_t *n_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    qsort(c->found, c->n_found, sizeof *c->found, by_distance);
    uint32_t n = c->n_found < c->q->k ? c->n_found : c->q->k;
    struct jade_hit *hits = jade_arena_calloc(arena, n ? n : 1, sizeof *hits);
    if (!hits) {
        return jade_fail(err, JADE_E_NOMEM, "%u hits", n);
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct jade_hit *h = &hits[kept];
        score(c->vector.metric, c->found[i].distance, &h->score, &h->distance);
        if (c->q->has_threshold && h->score < c->q->threshold) {
            continue;
        }
        JADE_TRY(jadei_segment_record(c->read->view->segs[c->found[i].seg], c->found[i].row,
                                      c->q->with, arena, &h->record, err));
        kept++;
    }
    *hits_out = hits;
    *n_out = kept;
out:
    return rc;
}

struct take_arg {
    struct search_ctx *c;
    struct jade_arena *arena;
    struct jade_hit **hits_out;
    uint32_t *n_out;
};

static jade_code take_guarded(void *arg, struct jade_err *err)
{
    struct take_arg *a = arg;
    return take_hits(a->c, a->arena, a->hits_out, a->n_out, err);
}

static jade_code check_query(const struct jade_shard *s, const struct jade_search *q,
                             struct jade_err *err)
{
    if (q->k < 1 || q->k > JADE_TOPK_MAX) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "topK", "%u; expected 1..%u", q->k,
                               JADE_TOPK_MAX);
    }
    if (q->ef > JADE_EF_MAX) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "efSearch", "%u; expected 1..%u",
                               q->ef, JADE_EF_MAX);
    }
    if (q->dim != s->config.dim) {
        return jade_fail_field(err, JADE_E_DIMENSION_MISMATCH, "queryVector",
                               "expected %u numbers, got %u", s->config.dim, q->dim);
    }
    if (q->has_threshold && !isfinite(q->threshold)) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "threshold", "not a finite number");
    }
    double sum = 0;
    for (uint32_t i = 0; i < q->dim; i++) {
        if (!isfinite(q->vector[i])) {
            return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "queryVector",
                                   "element %u is not a finite float32", i);
        }
        sum += (double)q->vector[i] * (double)q->vector[i];
    }
    if (s->config.metric == JADE_METRIC_COSINE && !(sum > 0)) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "queryVector",
                               "all zeros has no direction; the metric cosine needs one");
    }
    return JADE_OK;
}

jade_code jade_shard_search(struct jade_shard *s, const struct jade_search *q,
                            struct jade_arena *arena, struct jade_hit **hits_out, uint32_t *n_out,
                            struct jade_search_info *info_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_read read = {0};
    struct jade_search_info info = {0};
    struct search_ctx c = {.q = q, .read = &read, .info = &info};
    bool reading = false;
    *hits_out = NULL;
    *n_out = 0;
    JADE_TRY(check_query(s, q, err));
    c.max_distance =
        q->has_threshold ? threshold_distance(s->config.metric, q->threshold) : INFINITY;
    JADE_TRY(jade_query_vector_init(&c.vector, q->vector, q->dim, s->config.metric, err));
    JADE_TRY(jade_topk_init(&c.top, q->k, c.max_distance, err));
    JADE_TRY(jadei_read_begin(s, q->at, &read, err));
    reading = true;
    info.lsn = read.lsn;
    info.n_segments = read.view->n;
    c.found = jade_alloc(JADE_TAG_SEARCH, ((size_t)read.view->n * q->k + 1) * sizeof *c.found);
    if (!c.found) {
        rc = jade_fail(err, JADE_E_NOMEM, "%u candidates", read.view->n * q->k);
        goto out;
    }
    JADE_TRY(search_view(&c, err));
    struct take_arg take = {.c = &c, .arena = arena, .hits_out = hits_out, .n_out = n_out};
    JADE_TRY(jade_guard_run(take_guarded, &take, "a segment", err));
    atomic_fetch_add(&s->n_searches, 1);
out:
    if (reading) {
        jadei_read_end(&read);
    }
    jade_free(c.found);
    jade_topk_release(&c.top);
    jade_query_vector_release(&c.vector);
    if (info_out) {
        *info_out = info;
    }
    return rc;
}

/* ---- count ---- */

struct count_arg {
    const struct jadei_read *read;
    const struct jade_filter *filter;
    uint64_t n;
    struct jadei_segment *seg;
    roaring_bitmap_t *bitmap;
};

static jade_code count_segment(void *arg, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct count_arg *a = arg;
    struct jadei_segment *seg = a->seg;
    uint32_t n_rows = atomic_load_explicit(&seg->n_rows, memory_order_acquire);
    struct jade_row_filter f = {.n_rows = n_rows, .lsn = a->read->lsn.v, .row_lsn = seg->lsn};
    f.tomb_lsn = atomic_load_explicit(&seg->tomb, memory_order_acquire);
    JADE_TRY(jadei_segment_check_lsns(seg, err));
    if (!a->filter || jade_filter_is_empty(a->filter)) {
        for (uint32_t r = 0; r < n_rows; r++) {
            a->n += jade_row_allowed(&f, r);
        }
        return JADE_OK;
    }
    JADE_TRY(eval_filter(seg, a->filter, n_rows, &a->bitmap, err));
    roaring_uint32_iterator_t it;
    for (roaring_init_iterator(a->bitmap, &it); it.has_value;
         roaring_advance_uint32_iterator(&it)) {
        a->n += jade_row_allowed(&f, it.current_value);
    }
out:
    return rc;
}

jade_code jade_shard_count(struct jade_shard *s, const struct jade_filter *filter,
                           struct jade_lsn at, uint64_t *n_out, struct jade_err *err)
{
    struct jadei_read read;
    *n_out = 0;
    jade_code rc = jadei_read_begin(s, at, &read, err);
    if (rc != JADE_OK) {
        return rc;
    }
    struct count_arg a = {.read = &read, .filter = filter};
    for (uint32_t i = 0; i < read.view->n && rc == JADE_OK; i++) {
        a.seg = read.view->segs[i];
        rc = jade_guard_run(count_segment, &a, "a segment", err);
        if (a.bitmap) {
            roaring_bitmap_free(a.bitmap);
            a.bitmap = NULL;
        }
    }
    jadei_read_end(&read);
    *n_out = a.n;
    return rc;
}
