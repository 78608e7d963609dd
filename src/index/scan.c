/*
 * Exact scans: rows are gathered in groups after the filter and computed four at once.
 *
 * A group is small enough for the stack and large enough that its prefetch runs ahead. With a bitmap, words without a bit are
 * stepped over 64 rows at a time, so a sparse filter costs by its matches.
 */
#include "index/measure.h"
#include "os/guard.h"

enum { GROUP = 64 };

struct scan {
    struct jadei_measure measure;
    struct jade_topk *top;
    struct jade_search_stats *stats; /* NULL allowed */
    const struct jade_row_filter *filter;
    uint32_t first, last; /* of a range */
    const uint32_t *rows; /* of a list */
    uint64_t n_rows;
    uint32_t n; /* rows gathered */
    uint32_t list[GROUP];
    float distances[GROUP];
};

static jade_code flush(struct scan *s, struct jade_err *err)
{
    for (uint32_t i = 0; s->measure.verified && i < s->n; i++) {
        if (!jadei_measure_ready(&s->measure, s->list[i])) {
            jade_code rc = jadei_measure_verify(&s->measure, s->list[i], err);
            if (rc != JADE_OK) {
                return rc;
            }
        }
    }
    jadei_measure_list(&s->measure, s->list, s->n, s->distances);
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->distances[i] <= jade_topk_bound(s->top)) {
            jade_topk_push(s->top, s->distances[i], s->list[i]);
        }
    }
    if (s->stats) {
        s->stats->distances += s->n;
    }
    s->n = 0;
    return JADE_OK;
}

static jade_code take(struct scan *s, uint32_t row, struct jade_err *err)
{
    s->list[s->n++] = row;
    return s->n == GROUP ? flush(s, err) : JADE_OK;
}

/* First row at or after `row` that the bitmap has; `last` when there is none before it. */
static uint32_t next_bit(const struct jade_row_filter *f, uint32_t row, uint32_t last)
{
    while (row < last && row < f->n_bits) {
        uint64_t word = f->bits[row >> 6] >> (row & 63);
        if (word) {
            uint32_t found = row + (uint32_t)__builtin_ctzll(word);
            return found < last ? found : last;
        }
        row = (row | 63) + 1;
    }
    return last;
}

static jade_code scan_range(void *arg, struct jade_err *err)
{
    struct scan *s = arg;
    jade_code rc = JADE_OK;
    for (uint32_t row = s->first; row < s->last; row++) {
        if (s->filter->bits) {
            row = next_bit(s->filter, row, s->last);
            if (row == s->last) {
                break;
            }
        }
        if (jade_row_allowed(s->filter, row)) {
            JADE_TRY(take(s, row, err));
        }
    }
    rc = flush(s, err);
out:
    return rc;
}

static jade_code scan_listed(void *arg, struct jade_err *err)
{
    struct scan *s = arg;
    jade_code rc = JADE_OK;
    for (uint64_t i = 0; i < s->n_rows; i++) {
        if (jade_row_allowed(s->filter, s->rows[i])) {
            JADE_TRY(take(s, s->rows[i], err));
        }
    }
    rc = flush(s, err);
out:
    return rc;
}

/* Mapped rows are read under a guard: a bad disk is an error of this scan. */
static jade_code run(struct scan *s, jade_code (*fn)(void *arg, struct jade_err *err),
                     struct jade_err *err)
{
    const struct jade_rows *rows = s->measure.rows;
    return rows->file ? jade_guard_run(fn, s, jade_blockfile_path(rows->file), err) : fn(s, err);
}

jade_code jade_scan_rows(const struct jade_rows *rows, const struct jade_query_vector *q,
                         uint32_t first, uint32_t last, const struct jade_row_filter *filter,
                         struct jade_topk *top, struct jade_search_stats *stats,
                         struct jade_err *err)
{
    struct scan s = {.top = top, .stats = stats, .filter = filter, .first = first};
    s.last = last < filter->n_rows ? last : filter->n_rows;
    jadei_measure_init_query(&s.measure, rows, q);
    return run(&s, scan_range, err);
}

jade_code jade_scan_list(const struct jade_rows *rows, const struct jade_query_vector *q,
                         const uint32_t *list, uint64_t n, const struct jade_row_filter *filter,
                         struct jade_topk *top, struct jade_search_stats *stats,
                         struct jade_err *err)
{
    struct scan s = {.top = top, .stats = stats, .filter = filter, .rows = list, .n_rows = n};
    jadei_measure_init_query(&s.measure, rows, q);
    return run(&s, scan_listed, err);
}
