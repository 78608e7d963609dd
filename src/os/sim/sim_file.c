/*
 * Files of the simulated disk. A write goes to the live image, which all handles see, and into the file's list of pending
 * effects; a sync turns the live image into the durable one and drops the list.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "os/sim/sim_private.h"

/* Mappings are as aligned as those of mmap, so that vector kernels behave the same on both. */
enum { MAP_ALIGN = 4096 };
/* A file that fits no memory is a bug of the test, not a case. */
#define FILE_BYTES_MAX ((uint64_t)1 << 40)

static struct jadei_sim_file *self(struct jade_file *f)
{
    return (struct jadei_sim_file *)f;
}

/* ---- open and close ---- */

jade_code jadei_sim_open(struct jade_os *os, const char *path, enum jade_open_mode mode,
                         struct jade_file **out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_place at;
    size_t len = strlen(path) + 1;
    struct jade_sim *s = jadei_sim_enter(os);
    struct jadei_sim_file *f = jade_calloc(JADE_TAG_TEST, 1, sizeof *f + len);
    if (f == NULL) {
        rc = jadei_sim_fail(err, JADE_E_NOMEM, "opening", path);
        goto out;
    }
    JADE_TRY(jadei_sim_step(s, JADE_SIM_OPEN, mode == JADE_OPEN_CREATE, path, err));
    if (mode == JADE_OPEN_CREATE) {
        JADE_TRY(jadei_sim_find(s, path, &at, err));
        if (at.node != JADEI_NO_NODE) {
            rc = jadei_sim_fail(err, JADE_E_ALREADY_EXISTS, "creating", path);
            goto out;
        }
        JADE_TRY(jadei_sim_create(s, &at, false, &at.node, err));
    } else {
        JADE_TRY(jadei_sim_find_kind(s, path, false, &at, err));
    }
    f->base.ops = &jadei_sim_ops;
    f->sim = s;
    f->generation = s->generation;
    f->node = at.node;
    f->writable = mode != JADE_OPEN_READ;
    memcpy(f->path, path, len);
    s->nodes[at.node]->open++;
    s->handles++;
    *out = &f->base;
    f = NULL;
out:
    jade_free(f);
    jadei_sim_leave(s);
    return rc;
}

void jadei_sim_close(struct jade_file *base)
{
    struct jadei_sim_file *f = self(base);
    struct jade_sim *s = jadei_sim_enter(&f->sim->base);
    if (f->generation == s->generation) {
        s->nodes[f->node]->open--;
    }
    s->handles--;
    jadei_sim_leave(s);
    jade_free(f);
}

/* ---- read and write ---- */

/** Locks the disk of a handle; JADE_E_IO when its process died in a reboot. */
static jade_code enter_file(struct jade_file *base, struct jade_sim **s_out,
                            struct jadei_node **node_out, struct jade_err *err)
{
    struct jadei_sim_file *f = self(base);
    struct jade_sim *s = jadei_sim_enter(&f->sim->base);
    *s_out = s;
    *node_out = NULL;
    if (f->generation != s->generation) {
        return jadei_sim_fail(err, JADE_E_IO, "a handle from before the reboot:", f->path);
    }
    *node_out = s->nodes[f->node];
    return JADE_OK;
}

/** As enter_file, for calls that change the file: also counts the call. */
static jade_code enter_change(struct jade_file *base, enum jade_sim_op op, struct jade_sim **s_out,
                              struct jadei_node **node_out, struct jade_err *err)
{
    struct jadei_sim_file *f = self(base);
    jade_code rc = JADE_OK;
    JADE_TRY(enter_file(base, s_out, node_out, err));
    JADE_TRY(jadei_sim_step(*s_out, op, true, f->path, err));
    if (f->poisoned || (!f->writable && op != JADE_SIM_SYNC)) {
        rc = jadei_sim_fail(err, JADE_E_IO,
                            f->poisoned ? "poisoned handle of" : "open for reading only:", f->path);
    }
out:
    return rc;
}

jade_code jadei_sim_read_at(struct jade_file *base, uint64_t offset, void *buf, size_t n,
                            size_t *read_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_sim *s = NULL;
    struct jadei_node *node = NULL;
    *read_out = 0;
    JADE_TRY(enter_file(base, &s, &node, err));
    JADE_ASSERT(node != NULL);
    JADE_TRY(jadei_sim_step(s, JADE_SIM_READ, false, self(base)->path, err));
    uint64_t left = offset < node->live->size ? node->live->size - offset : 0;
    size_t len = left < n ? (size_t)left : n;
    jadei_image_get(node->live, offset, buf, len);
    *read_out = len;
out:
    jadei_sim_leave(s);
    return rc;
}

static void add_effect(struct jadei_node *node, struct jadei_effect *e, uint64_t new_size)
{
    e->old_size = node->live->size;
    e->new_size = new_size;
    e->older = node->newest;
    node->newest = e;
    node->n_effects++;
}

/** Writes to the live image and records it; all or nothing. */
static jade_code put(struct jadei_node *node, uint64_t offset, const void *buf, size_t n,
                     const char *path, struct jade_err *err)
{
    if (n == 0) {
        return JADE_OK;
    }
    struct jadei_effect *e = jadei_effect_new(offset, buf, n);
    if (e == NULL || !jadei_image_prepare(&node->live, offset, n)) {
        jadei_effect_unref(e);
        return jadei_sim_fail(err, JADE_E_NOMEM, "writing", path);
    }
    uint64_t end = offset + n;
    add_effect(node, e, end > node->live->size ? end : node->live->size);
    jadei_image_put(node->live, offset, buf, n);
    node->live->size = e->new_size;
    return JADE_OK;
}

/** Bytes of a write of n at offset that the disk has room for. */
static size_t room_for(const struct jade_sim *s, const struct jadei_node *node, uint64_t offset,
                       size_t n)
{
    uint64_t end = offset + n;
    if (s->capacity == 0 || end <= node->live->size) {
        return n;
    }
    uint64_t used = jadei_sim_used(s);
    uint64_t free_bytes = s->capacity > used ? s->capacity - used : 0;
    uint64_t reach = node->live->size + free_bytes;
    if (reach >= end) {
        return n;
    }
    return reach > offset ? (size_t)(reach - offset) : 0;
}

jade_code jadei_sim_write_at(struct jade_file *base, uint64_t offset, const void *buf, size_t n,
                             struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_sim_file *f = self(base);
    struct jade_sim *s = NULL;
    struct jadei_node *node = NULL;
    if (offset > FILE_BYTES_MAX || n > FILE_BYTES_MAX - offset) {
        return jadei_sim_fail(err, JADE_E_INVALID_ARGUMENT, "a range out of bounds:", f->path);
    }
    rc = enter_change(base, JADE_SIM_WRITE, &s, &node, err);
    bool doubtful = rc != JADE_OK && node != NULL && !s->cut && !f->poisoned && f->writable;
    if (doubtful) {
        /* A failed write may have written a part of its range: leave some of it, whole sectors from the front. */
        uint64_t sectors = jade_random_below(&s->random, n / JADEI_SECTOR + 1);
        (void)put(node, offset, buf, (size_t)sectors * JADEI_SECTOR, f->path, NULL);
    }
    if (rc == JADE_OK) {
        JADE_ASSERT(node != NULL);
        size_t fits = room_for(s, node, offset, n);
        rc = put(node, offset, buf, fits, f->path, err);
        if (rc == JADE_OK && fits < n) {
            rc = jadei_sim_fail(err, JADE_E_NOSPACE, "writing", f->path);
        }
        doubtful = rc != JADE_OK;
    }
    f->poisoned = f->poisoned || (doubtful && rc != JADE_E_NOSPACE);
    jadei_sim_leave(s);
    return rc;
}

jade_code jadei_sim_sync(struct jade_file *base, struct jade_err *err)
{
    struct jadei_sim_file *f = self(base);
    struct jade_sim *s = NULL;
    struct jadei_node *node = NULL;
    jade_code rc = enter_change(base, JADE_SIM_SYNC, &s, &node, err);
    if (rc == JADE_OK) {
        rc = jadei_sim_persist_file(s, node, f->path, err);
    }
    if (rc != JADE_OK && node != NULL && !s->cut && !f->poisoned) {
        /* fsyncgate: the pages are clean now, so that no later sync writes them, on whatever handle (P1). */
        f->poisoned = true;
        node->n_failed = node->n_effects;
    }
    jadei_sim_leave(s);
    return rc;
}

/* ---- size ---- */

jade_code jadei_sim_size(struct jade_file *base, uint64_t *size_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_sim *s = NULL;
    struct jadei_node *node = NULL;
    JADE_TRY(enter_file(base, &s, &node, err));
    JADE_ASSERT(node != NULL);
    JADE_TRY(jadei_sim_step(s, JADE_SIM_READ, false, self(base)->path, err));
    *size_out = node->live->size;
out:
    jadei_sim_leave(s);
    return rc;
}

static jade_code set_size(struct jadei_node *node, uint64_t size, const char *path,
                          struct jade_err *err)
{
    struct jadei_effect *e = jadei_effect_new(0, NULL, 0);
    uint64_t old = node->live->size;
    if (e == NULL || !jadei_image_resize(&node->live, size)) {
        jadei_effect_unref(e);
        return jadei_sim_fail(err, JADE_E_NOMEM, "changing the size of", path);
    }
    add_effect(node, e, size);
    e->old_size = old;
    return JADE_OK;
}

jade_code jadei_sim_allocate(struct jade_file *base, uint64_t size, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_sim *s = NULL;
    struct jadei_node *node = NULL;
    const char *path = self(base)->path;
    JADE_TRY(enter_change(base, JADE_SIM_ALLOCATE, &s, &node, err));
    JADE_ASSERT(node != NULL);
    if (size <= node->live->size) {
        goto out; /* capacity counts sizes: what is inside has its room */
    }
    if (size > FILE_BYTES_MAX ||
        room_for(s, node, node->live->size, (size_t)(size - node->live->size)) <
            size - node->live->size) {
        rc = jadei_sim_fail(err, JADE_E_NOSPACE, "reserving space for", path);
        goto out;
    }
    JADE_TRY(set_size(node, size, path, err));
out:
    jadei_sim_leave(s);
    return rc;
}

jade_code jadei_sim_truncate(struct jade_file *base, uint64_t size, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_sim *s = NULL;
    struct jadei_node *node = NULL;
    const char *path = self(base)->path;
    JADE_TRY(enter_change(base, JADE_SIM_TRUNCATE, &s, &node, err));
    JADE_ASSERT(node != NULL);
    if (size > FILE_BYTES_MAX) {
        rc = jadei_sim_fail(err, JADE_E_NOSPACE, "truncating", path);
        goto out;
    }
    if (size != node->live->size) {
        JADE_TRY(set_size(node, size, path, err));
    }
out:
    jadei_sim_leave(s);
    return rc;
}

/* ---- mappings ---- */

/** A copy: it stays as it was when the disk is written, damaged, rebooted or freed, until it is unmapped. */
jade_code jadei_sim_map(struct jade_os *os, const char *path, struct jade_mapping *out,
                        struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_place at;
    struct jade_sim *s = jadei_sim_enter(os);
    JADE_TRY(jadei_sim_step(s, JADE_SIM_MAP, false, path, err));
    JADE_TRY(jadei_sim_find_kind(s, path, false, &at, err));
    const struct jadei_image *m = s->nodes[at.node]->live;
    if (m->size == 0) {
        goto out;
    }
    uint8_t *copy = jade_alloc_aligned(JADE_TAG_TEST, (size_t)m->size, MAP_ALIGN);
    if (copy == NULL) {
        rc = jadei_sim_fail(err, JADE_E_NOMEM, "mapping", path);
        goto out;
    }
    jadei_image_get(m, 0, copy, (size_t)m->size);
    out->data = copy;
    out->size = (size_t)m->size;
    out->priv = copy;
out:
    jadei_sim_leave(s);
    return rc;
}

void jadei_sim_unmap(struct jade_os *os, struct jade_mapping *m)
{
    (void)os; /* which may be gone already */
    jade_free(m->priv);
}
