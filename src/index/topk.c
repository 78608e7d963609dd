/*
 * The k nearest so far: a binary max-heap on (distance, row), so that the one to drop lies at the root.
 */
#include <math.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "index/index.h"

static bool farther(struct jade_candidate a, struct jade_candidate b)
{
    return a.distance > b.distance || (a.distance == b.distance && a.row > b.row);
}

static void sift_up(struct jade_candidate *items, uint32_t at)
{
    struct jade_candidate moving = items[at];
    while (at > 0) {
        uint32_t parent = (at - 1) / 2;
        if (!farther(moving, items[parent])) {
            break;
        }
        items[at] = items[parent];
        at = parent;
    }
    items[at] = moving;
}

static void sift_down(struct jade_candidate *items, uint32_t n, uint32_t at)
{
    struct jade_candidate moving = items[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= n) {
            break;
        }
        if (child + 1 < n && farther(items[child + 1], items[child])) {
            child++;
        }
        if (!farther(items[child], moving)) {
            break;
        }
        items[at] = items[child];
        at = child;
    }
    items[at] = moving;
}

jade_code jade_topk_init(struct jade_topk *t, uint32_t k, float max_distance, struct jade_err *err)
{
    JADE_ASSERT(k >= 1);
    *t = (struct jade_topk){.k = k, .max_distance = isnan(max_distance) ? INFINITY : max_distance};
    t->items = jade_alloc(JADE_TAG_SEARCH, k * sizeof *t->items);
    if (!t->items) {
        return jade_fail(err, JADE_E_NOMEM, "room for the %u nearest", k);
    }
    return JADE_OK;
}

void jade_topk_release(struct jade_topk *t)
{
    jade_free(t->items);
    t->items = NULL;
    t->n = 0;
}

void jade_topk_push(struct jade_topk *t, float distance, uint32_t row)
{
    struct jade_candidate c = {.distance = distance, .row = row};
    if (!(distance <= t->max_distance)) { /* NaN too */
        return;
    }
    if (t->n < t->k) {
        t->items[t->n] = c;
        sift_up(t->items, t->n++);
    } else if (farther(t->items[0], c)) {
        t->items[0] = c;
        sift_down(t->items, t->n, 0);
    }
}

void jade_topk_sort(struct jade_topk *t)
{
    for (uint32_t left = t->n; left > 1; left--) {
        struct jade_candidate last = t->items[left - 1];
        t->items[left - 1] = t->items[0];
        t->items[0] = last;
        sift_down(t->items, left - 1, 0);
    }
}

float jade_topk_bound(const struct jade_topk *t)
{
    return t->n < t->k ? t->max_distance : t->items[0].distance;
}
