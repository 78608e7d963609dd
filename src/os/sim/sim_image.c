/*
 * Contents of simulated files: tables of shared extents, copied when first written.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "os/sim/sim_private.h"

static void extent_unref(struct jadei_extent *x)
{
    if (x != NULL && atomic_fetch_sub(&x->refs, 1) == 1) {
        jade_free(x);
    }
}

struct jadei_image *jadei_image_new(void)
{
    struct jadei_image *m = jade_calloc(JADE_TAG_TEST, 1, sizeof *m);
    if (m != NULL) {
        atomic_init(&m->refs, 1);
    }
    return m;
}

struct jadei_image *jadei_image_ref(struct jadei_image *m)
{
    atomic_fetch_add(&m->refs, 1);
    return m;
}

void jadei_image_unref(struct jadei_image *m)
{
    if (m == NULL || atomic_fetch_sub(&m->refs, 1) != 1) {
        return;
    }
    for (size_t i = 0; i < m->n; i++) {
        extent_unref(m->extents[i]);
    }
    jade_free(m->extents);
    jade_free(m);
}

/** An image of our own with the same content and a table of at least n extents. */
static struct jadei_image *copy_image(const struct jadei_image *m, size_t n)
{
    struct jadei_image *c = jadei_image_new();
    if (c == NULL) {
        return NULL;
    }
    size_t want = n > m->n ? n : m->n;
    if (want > 0) {
        c->extents = jade_calloc(JADE_TAG_TEST, want, sizeof(struct jadei_extent *));
        if (c->extents == NULL) {
            jade_free(c);
            return NULL;
        }
    }
    for (size_t i = 0; i < m->n; i++) {
        c->extents[i] = m->extents[i];
        if (c->extents[i] != NULL) {
            atomic_fetch_add(&c->extents[i]->refs, 1);
        }
    }
    c->n = want;
    c->size = m->size;
    return c;
}

static bool own_table(struct jadei_image **m, size_t n)
{
    struct jadei_image *old = *m;
    if (atomic_load(&old->refs) == 1 && old->n >= n) {
        return true;
    }
    if (atomic_load(&old->refs) == 1) {
        size_t want = n > old->n * 2 ? n : old->n * 2;
        struct jadei_extent **grown =
            jade_realloc(JADE_TAG_TEST, old->extents, want * sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        memset(grown + old->n, 0, (want - old->n) * sizeof(struct jadei_extent *));
        old->extents = grown;
        old->n = want;
        return true;
    }
    struct jadei_image *c = copy_image(old, n);
    if (c == NULL) {
        return false;
    }
    jadei_image_unref(old);
    *m = c;
    return true;
}

static bool own_extent(struct jadei_extent **x)
{
    struct jadei_extent *old = *x;
    if (old != NULL && atomic_load(&old->refs) == 1) {
        return true;
    }
    struct jadei_extent *c = jade_alloc(JADE_TAG_TEST, sizeof *c);
    if (c == NULL) {
        return false;
    }
    atomic_init(&c->refs, 1);
    if (old != NULL) {
        memcpy(c->bytes, old->bytes, JADEI_EXTENT);
    } else {
        memset(c->bytes, 0, JADEI_EXTENT);
    }
    extent_unref(old);
    *x = c;
    return true;
}

bool jadei_image_prepare(struct jadei_image **m, uint64_t offset, uint64_t n)
{
    if (n == 0) {
        return own_table(m, 0);
    }
    size_t first = (size_t)(offset / JADEI_EXTENT);
    size_t last = (size_t)((offset + n - 1) / JADEI_EXTENT);
    if (!own_table(m, last + 1)) {
        return false;
    }
    for (size_t i = first; i <= last; i++) {
        if (!own_extent(&(*m)->extents[i])) {
            return false;
        }
    }
    return true;
}

void jadei_image_put(struct jadei_image *m, uint64_t offset, const uint8_t *p, size_t n)
{
    while (n > 0) {
        size_t at = (size_t)(offset % JADEI_EXTENT);
        size_t len = JADEI_EXTENT - at < n ? JADEI_EXTENT - at : n;
        struct jadei_extent *x = m->extents[offset / JADEI_EXTENT];
        JADE_ASSERT(x != NULL && atomic_load(&x->refs) == 1);
        memcpy(x->bytes + at, p, len);
        offset += len;
        p += len;
        n -= len;
    }
}

bool jadei_image_resize(struct jadei_image **m, uint64_t size)
{
    size_t first = (size_t)(size / JADEI_EXTENT);
    size_t at = (size_t)(size % JADEI_EXTENT);
    if (!own_table(m, 0)) {
        return false;
    }
    struct jadei_image *img = *m;
    if (at > 0 && first < img->n && img->extents[first] != NULL) {
        if (!own_extent(&img->extents[first])) {
            return false;
        }
        memset(img->extents[first]->bytes + at, 0, JADEI_EXTENT - at);
        first++;
    } else if (at > 0) {
        first++;
    }
    for (size_t i = first; i < img->n; i++) {
        extent_unref(img->extents[i]);
        img->extents[i] = NULL;
    }
    img->size = size;
    return true;
}

void jadei_image_get(const struct jadei_image *m, uint64_t offset, uint8_t *p, size_t n)
{
    while (n > 0) {
        size_t at = (size_t)(offset % JADEI_EXTENT);
        size_t len = JADEI_EXTENT - at < n ? JADEI_EXTENT - at : n;
        size_t i = (size_t)(offset / JADEI_EXTENT);
        const struct jadei_extent *x = i < m->n ? m->extents[i] : NULL;
        if (x != NULL) {
            memcpy(p, x->bytes + at, len);
        } else {
            memset(p, 0, len);
        }
        offset += len;
        p += len;
        n -= len;
    }
}

/* ---- pending effects ---- */

struct jadei_effect *jadei_effect_new(uint64_t offset, const uint8_t *p, size_t n)
{
    struct jadei_effect *e = jade_alloc(JADE_TAG_TEST, sizeof *e + n);
    if (e != NULL) {
        *e = (struct jadei_effect){.offset = offset, .n = n};
        atomic_init(&e->refs, 1);
        if (n > 0) {
            memcpy(e->data, p, n);
        }
    }
    return e;
}

void jadei_effect_unref(struct jadei_effect *e)
{
    /* A loop, not recursion: a list may hold every write since the last sync. */
    while (e != NULL && atomic_fetch_sub(&e->refs, 1) == 1) {
        struct jadei_effect *older = e->older;
        jade_free(e);
        e = older;
    }
}
