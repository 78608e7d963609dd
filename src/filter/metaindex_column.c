/*
 * Columns of numbers and times of a growing index, and the sink that turns many rows into a bitmap.
 *
 * Entries are appended; each full chunk of JADEI_CHUNK is sorted once, so that a range costs two
 * binary searches a chunk and a scan of the unsorted rest. Nothing moves between chunks: an add
 * never waits for more than one small sort.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "filter/metaindex_private.h"

enum { SINK_DIRECT_MAX = 2048, SINK_BLOCK = 1024 };

struct jadei_number jadei_number_of_time(int64_t time_us)
{
    return (struct jadei_number){.key = (uint64_t)time_us ^ ((uint64_t)1 << 63)};
}

static struct jadei_number number_of(const struct jadei_entry *e)
{
    return (struct jadei_number){.key = e->key, .rest = e->rest};
}

static int compare_entries(const void *a, const void *b)
{
    const struct jadei_entry *x = a;
    const struct jadei_entry *y = b;
    int c = jadei_number_compare(number_of(x), number_of(y));
    return c != 0 ? c : (x->row > y->row) - (x->row < y->row);
}

void jadei_entries_sort(struct jadei_entry *entries, size_t n)
{
    if (n > 1) {
        qsort(entries, n, sizeof *entries, compare_entries);
    }
}

jade_code jadei_column_add(struct jadei_column *c, struct jadei_entry e, uint64_t *bytes,
                           struct jade_err *err)
{
    if (c->n == c->cap) {
        size_t cap = c->cap == 0 ? 16 : c->cap + c->cap / 2;
        struct jadei_entry *grown =
            jade_realloc(JADE_TAG_METADATA, c->entries, cap * sizeof *grown);
        if (grown == NULL) {
            return jade_fail(err, JADE_E_NOMEM, "no memory for a column of %zu numbers", cap);
        }
        *bytes += (cap - c->cap) * sizeof *grown;
        c->entries = grown;
        c->cap = cap;
    }
    c->entries[c->n++] = e;
    c->n_rows = e.row + 1;
    if (c->n % JADEI_CHUNK == 0) {
        jadei_entries_sort(c->entries + c->n - JADEI_CHUNK, JADEI_CHUNK);
    }
    return JADE_OK;
}

void jadei_column_release(struct jadei_column *c)
{
    jade_free(c->entries);
    *c = (struct jadei_column){0};
}

/* First entry of the sorted run that is >= number, or with `after` > number. */
static size_t bound(const struct jadei_entry *run, size_t n, struct jadei_number number, bool after)
{
    size_t from = 0;
    while (n > 0) {
        size_t half = n / 2;
        int c = jadei_number_compare(number_of(&run[from + half]), number);
        if (c < 0 || (after && c == 0)) {
            from += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return from;
}

static void run_range(const struct jadei_entry *run, size_t n, const struct jadei_interval *in,
                      size_t *from_out, size_t *to_out)
{
    *from_out = in->low.set ? bound(run, n, in->low.number, in->low.open) : 0;
    *to_out = in->high.set ? bound(run, n, in->high.number, !in->high.open) : n;
    *to_out = *to_out < *from_out ? *from_out : *to_out; /* the ends may cross */
}

static bool inside(const struct jadei_interval *in, struct jadei_number number)
{
    int low = in->low.set ? jadei_number_compare(number, in->low.number) : 1;
    int high = in->high.set ? jadei_number_compare(number, in->high.number) : -1;
    return (low > 0 || (low == 0 && !in->low.open)) && (high < 0 || (high == 0 && !in->high.open));
}

static uint64_t count_sorted(const struct jadei_column *c, const struct jadei_interval *in)
{
    uint64_t n = 0;
    for (size_t at = 0; at + JADEI_CHUNK <= c->n; at += JADEI_CHUNK) {
        size_t from = 0;
        size_t to = 0;
        run_range(c->entries + at, JADEI_CHUNK, in, &from, &to);
        n += to - from;
    }
    return n;
}

jade_code jadei_column_select(const struct jadei_column *c, const struct jadei_interval *in,
                              roaring_bitmap_t *into, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_sink sink;
    size_t at = 0;
    uint64_t n_expected = count_sorted(c, in) + c->n % JADEI_CHUNK;
    JADE_TRY(jadei_sink_init(&sink, n_expected, c->n_rows, into, err));
    for (; at + JADEI_CHUNK <= c->n; at += JADEI_CHUNK) {
        size_t from = 0;
        size_t to = 0;
        run_range(c->entries + at, JADEI_CHUNK, in, &from, &to);
        for (size_t i = from; i < to; i++) {
            jadei_sink_add(&sink, c->entries[at + i].row);
        }
    }
    for (; at < c->n; at++) {
        if (inside(in, number_of(&c->entries[at]))) {
            jadei_sink_add(&sink, c->entries[at].row);
        }
    }
    jadei_sink_finish(&sink);
out:
    return rc;
}

jade_code jadei_sink_init(struct jadei_sink *s, uint64_t n_expected, uint32_t n_rows,
                          roaring_bitmap_t *into, struct jade_err *err)
{
    *s = (struct jadei_sink){.into = into};
    if (n_expected <= SINK_DIRECT_MAX || n_expected < n_rows / 1024) {
        return JADE_OK;
    }
    s->n_words = (size_t)n_rows / 64 + 1;
    s->words = jade_calloc(JADE_TAG_SEARCH, s->n_words, sizeof *s->words);
    if (s->words == NULL) {
        return jade_fail(err, JADE_E_NOMEM, "no memory to collect %llu rows",
                         (unsigned long long)n_expected);
    }
    return JADE_OK;
}

void jadei_sink_add(struct jadei_sink *s, uint32_t row)
{
    if (s->words == NULL) {
        roaring_bitmap_add(s->into, row);
        return;
    }
    JADE_ASSERT(row / 64 < s->n_words);
    s->words[row / 64] |= (uint64_t)1 << (row % 64);
}

void jadei_sink_finish(struct jadei_sink *s)
{
    uint32_t block[SINK_BLOCK];
    size_t n = 0;
    for (size_t w = 0; s->words != NULL && w < s->n_words; w++) {
        uint64_t word = s->words[w];
        for (; word != 0; word &= word - 1) {
            block[n++] = (uint32_t)(w * 64 + (size_t)__builtin_ctzll(word));
            if (n == SINK_BLOCK) {
                roaring_bitmap_add_many(s->into, n, block);
                n = 0;
            }
        }
    }
    if (n > 0) {
        roaring_bitmap_add_many(s->into, n, block);
    }
    jade_free(s->words);
    *s = (struct jadei_sink){0};
}
