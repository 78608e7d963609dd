/*
 * Which links a node keeps: algorithm 4 of the paper (the heuristic, with "keep pruned" up to a number of its own), and the back-link that
 * prunes a full list.
 *
 * Two things differ from the paper. Of several identical vectors one is taken and the rest passed over, so that a list leads out of
 * a heap of copies. And links of the backbone are taken before all others (hnsw.h, invariant 2).
 */
#include "base/assert.h"
#include "index/hnsw_private.h"

static bool before(struct jadei_hnsw_near a, struct jadei_hnsw_near b)
{
    return a.distance < b.distance ||
           (a.distance == b.distance && jadei_link_row(a.row) < jadei_link_row(b.row));
}

/* Shell sort (Ciura's gaps): lists are short or nearly sorted, and no recursion or callback is paid for. */
void jadei_hnsw_sort(struct jadei_hnsw_near *items, uint32_t n)
{
    static const uint32_t gaps[] = {701, 301, 132, 57, 23, 10, 4, 1};
    for (uint32_t g = 0; g < sizeof gaps / sizeof gaps[0]; g++) {
        uint32_t gap = gaps[g];
        for (uint32_t i = gap; i < n; i++) {
            struct jadei_hnsw_near moving = items[i];
            uint32_t j = i;
            for (; j >= gap && before(moving, items[j - gap]); j -= gap) {
                items[j] = items[j - gap];
            }
            items[j] = moving;
        }
    }
}

/*
 * Whether taken row t covers the candidate: it is nearer to t than to the node. At equality it is not, or a copy of the node among the
 * taken would cover everything; but where the node, t and the candidate are all equally far apart they are copies, and one is enough.
 */
static inline bool covers(struct jadei_hnsw_near t, float between, struct jadei_hnsw_near candidate)
{
    return between < candidate.distance ||
           (between == candidate.distance && t.distance == candidate.distance);
}

static bool covered(const struct jadei_hnsw *h, struct jadei_hnsw_near candidate,
                    const struct jadei_hnsw_near *taken, uint32_t n)
{
    const struct jade_rows *rows = &h->base.rows;
    struct jadei_measure m;
    uint32_t i = 0;
    jadei_measure_init_row(&m, rows, jadei_link_row(candidate.row));
    for (; i + 4 <= n; i += 4) {
        float sums[4];
        const float *four[4];
        for (uint32_t j = 0; j < 4; j++) {
            four[j] = jadei_row(rows, jadei_link_row(taken[i + j].row));
        }
        m.four(m.values, four, rows->dim_padded, sums);
        for (uint32_t j = 0; j < 4; j++) {
            if (covers(taken[i + j],
                       jadei_measure_finish(&m, sums[j], jadei_link_row(taken[i + j].row)),
                       candidate)) {
                return true;
            }
        }
    }
    for (; i < n; i++) {
        if (covers(taken[i], jadei_measure_row(&m, jadei_link_row(taken[i].row)), candidate)) {
            return true;
        }
    }
    return false;
}

uint32_t jadei_hnsw_select(const struct jadei_hnsw *h, const struct jadei_hnsw_near *candidates,
                           uint32_t n, uint32_t want, uint32_t fill, uint32_t *out)
{
    struct jadei_hnsw_near taken[JADEI_HNSW_WORDS_MAX];
    uint32_t passed[JADEI_HNSW_WORDS_MAX]; /* the nearest ones passed over */
    uint32_t n_taken = 0, n_passed = 0;
    JADE_ASSERT(want <= JADEI_HNSW_WORDS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        if (candidates[i].row & JADEI_HNSW_TIE) {
            JADE_ASSERT(n_taken < want);
            taken[n_taken++] = candidates[i];
        }
    }
    for (uint32_t i = 0; i < n && n_taken < want; i++) {
        if (candidates[i].row & JADEI_HNSW_TIE) {
            continue;
        }
        if (!covered(h, candidates[i], taken, n_taken)) {
            taken[n_taken++] = candidates[i];
        } else if (n_passed < JADEI_HNSW_WORDS_MAX) {
            passed[n_passed++] = candidates[i].row;
        }
    }
    for (uint32_t i = 0; i < n_taken; i++) {
        out[i] = taken[i].row;
    }
    for (uint32_t i = 0; i < n_passed && n_taken < fill; i++) {
        out[n_taken++] = passed[i];
    }
    return n_taken;
}

/* The full list and the new link, chosen anew. */
static void prune(struct jadei_hnsw *h, uint32_t row, uint32_t level, uint32_t to)
{
    uint32_t words = jadei_hnsw_words(h, level);
    const jadei_link *list = jadei_hnsw_list(h, row, level);
    struct jadei_hnsw_near candidates[JADEI_HNSW_WORDS_MAX + 1];
    uint32_t links[JADEI_HNSW_WORDS_MAX + 1], rows[JADEI_HNSW_WORDS_MAX + 1];
    float distances[JADEI_HNSW_WORDS_MAX + 1];
    struct jadei_measure m;
    for (uint32_t i = 0; i < words; i++) {
        links[i] = jadei_link_load(&list[i]);
        rows[i] = jadei_link_row(links[i]);
    }
    links[words] = to;
    rows[words] = jadei_link_row(to);
    jadei_measure_init_row(&m, &h->base.rows, row);
    jadei_measure_list(&m, rows, words + 1, distances);
    for (uint32_t i = 0; i <= words; i++) {
        candidates[i] = (struct jadei_hnsw_near){distances[i], links[i]};
    }
    jadei_hnsw_sort(candidates, words + 1);
    uint32_t out[JADEI_HNSW_WORDS_MAX], n_ties = 0;
    uint32_t n = jadei_hnsw_select(h, candidates, words + 1, words, h->base.params.m, out);
    for (uint32_t i = 0; i <= words; i++) {
        if (links[i] & JADEI_HNSW_TIE) {
            out[n_ties++] = links[i]; /* in the order they had: a tie never moves */
        }
    }
    for (uint32_t i = 0; i < words; i++) {
        jadei_link_store(&list[i], i < n ? out[i] : JADEI_HNSW_END);
    }
}

void jadei_hnsw_link(struct jadei_hnsw *h, uint32_t row, uint32_t level, uint32_t to)
{
    uint32_t words = jadei_hnsw_words(h, level), n_ties = 0;
    const jadei_link *list = jadei_hnsw_list(h, row, level);
    for (uint32_t i = 0; i < words; i++) {
        uint32_t link = jadei_link_load(&list[i]);
        if (link != JADEI_HNSW_END) {
            n_ties += link & JADEI_HNSW_TIE ? 1 : 0;
            continue;
        }
        if ((to & JADEI_HNSW_TIE) && n_ties < i) {
            jadei_link_store(&list[i], jadei_link_load(&list[n_ties]));
            jadei_link_store(&list[n_ties], to);
        } else {
            jadei_link_store(&list[i], to);
        }
        return;
    }
    prune(h, row, level, to);
}
