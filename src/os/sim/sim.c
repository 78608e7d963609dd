/*
 * The simulated disk as an object: making, copying and freeing it, its nodes, and the calls that are neither files nor names.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "os/sim/sim_private.h"

/* The clock of a fresh disk: not 0, so that 0 can mean "never" in the code under test. */
#define CLOCK_START_US ((uint64_t)1000000)
/* 2026-01-01 00:00:00 UTC: any fixed day will do. */
#define WALL_START_US ((int64_t)1767225600 * 1000000)
/* What an unbounded disk reports as its size. */
#define UNBOUNDED_BYTES ((uint64_t)1 << 40)

struct jade_sim *jadei_sim_enter(struct jade_os *os)
{
    struct jade_sim *s = (struct jade_sim *)os;
    jade_mutex_lock(&s->lock);
    return s;
}

void jadei_sim_leave(struct jade_sim *s)
{
    jade_mutex_unlock(&s->lock);
}

/* ---- nodes ---- */

struct jadei_node *jadei_node_new(bool is_dir)
{
    struct jadei_node *n = jade_calloc(JADE_TAG_TEST, 1, sizeof *n);
    if (n == NULL) {
        return NULL;
    }
    n->is_dir = is_dir;
    if (is_dir) {
        n->dir_live = jadei_dir_new();
        n->dir_durable = n->dir_live != NULL ? jadei_dir_ref(n->dir_live) : NULL;
    } else {
        n->live = jadei_image_new();
        n->durable = n->live != NULL ? jadei_image_ref(n->live) : NULL;
    }
    if (n->dir_live == NULL && n->live == NULL) {
        jade_free(n);
        return NULL;
    }
    return n;
}

void jadei_node_free(struct jadei_node *n)
{
    if (n == NULL) {
        return;
    }
    jadei_image_unref(n->live);
    jadei_image_unref(n->durable);
    jadei_effect_unref(n->newest);
    jadei_dir_unref(n->dir_live);
    jadei_dir_unref(n->dir_durable);
    jadei_dir_effect_unref(n->dir_newest);
    jade_free(n);
}

static bool grow_nodes(struct jade_sim *s)
{
    if (s->n_nodes < s->cap_nodes) {
        return true;
    }
    if (s->n_nodes >= JADEI_SIM_NODES_MAX) {
        return false;
    }
    uint32_t cap = s->cap_nodes * 2 + 16;
    struct jadei_node **grown =
        jade_realloc(JADE_TAG_TEST, s->nodes, cap * sizeof(struct jadei_node *));
    if (grown == NULL) {
        return false;
    }
    s->nodes = grown;
    s->cap_nodes = cap;
    return true;
}

uint32_t jadei_sim_add_node(struct jade_sim *s, struct jadei_node *n)
{
    if (s->used_nodes >= s->collect_at) {
        jadei_sim_collect(s);
        s->collect_at = s->used_nodes * 2 + 64;
    }
    uint32_t id = s->n_nodes;
    if (s->used_nodes < s->n_nodes) {
        for (id = 0; s->nodes[id] != NULL; id++) {
        }
    } else if (!grow_nodes(s)) {
        return JADEI_NO_NODE;
    } else {
        s->n_nodes++;
    }
    s->nodes[id] = n;
    s->used_nodes++;
    return id;
}

/** Marks what the entries of one folder image lead to; newly marked folders go onto the stack. */
static size_t mark(const struct jade_sim *s, uint32_t node, bool *marked, uint32_t *stack,
                   size_t depth)
{
    if (!marked[node]) {
        marked[node] = true;
        if (s->nodes[node]->is_dir) {
            stack[depth++] = node;
        }
    }
    return depth;
}

static size_t mark_dir(const struct jade_sim *s, const struct jadei_dir *d, bool *marked,
                       uint32_t *stack, size_t depth)
{
    for (size_t i = 0; i < d->n; i++) {
        depth = mark(s, d->entries[i].node, marked, stack, depth);
    }
    return depth;
}

static void mark_all(const struct jade_sim *s, bool *marked, uint32_t *stack)
{
    size_t depth = mark(s, JADEI_ROOT, marked, stack, 0);
    while (depth > 0) {
        const struct jadei_node *n = s->nodes[stack[--depth]];
        depth = mark_dir(s, n->dir_live, marked, stack, depth);
        depth = mark_dir(s, n->dir_durable, marked, stack, depth);
        const struct jadei_dir_effect *e = n->dir_newest;
        for (size_t i = 0; i < n->n_dir_effects; i++, e = e->older) {
            if (e->set != NULL) {
                depth = mark(s, e->node, marked, stack, depth);
            }
        }
    }
}

static void count_links(struct jade_sim *s)
{
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        if (s->nodes[i] != NULL) {
            s->nodes[i]->links = 0;
        }
    }
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        const struct jadei_node *n = s->nodes[i];
        for (size_t k = 0; n != NULL && n->is_dir && k < n->dir_live->n; k++) {
            s->nodes[n->dir_live->entries[k].node]->links++;
        }
    }
}

void jadei_sim_collect(struct jade_sim *s)
{
    bool *marked = jade_calloc(JADE_TAG_TEST, s->n_nodes + 1, sizeof *marked);
    uint32_t *stack = jade_alloc(JADE_TAG_TEST, (s->n_nodes + 1) * sizeof *stack);
    if (marked != NULL && stack != NULL) {
        mark_all(s, marked, stack);
        for (uint32_t i = 0; i < s->n_nodes; i++) {
            if (s->nodes[i] != NULL && !marked[i] && s->nodes[i]->open == 0) {
                jadei_node_free(s->nodes[i]);
                s->nodes[i] = NULL;
                s->used_nodes--;
            }
        }
        count_links(s);
    }
    jade_free(stack);
    jade_free(marked);
}

uint64_t jadei_sim_used(const struct jade_sim *s)
{
    uint64_t used = 0;
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        const struct jadei_node *n = s->nodes[i];
        if (n != NULL && !n->is_dir && (n->links > 0 || n->open > 0)) {
            used += n->live->size;
        }
    }
    return used;
}

/* ---- making, copying ---- */

static struct jade_sim *new_disk(uint64_t seed)
{
    struct jade_sim *s = jade_calloc(JADE_TAG_TEST, 1, sizeof *s);
    if (s != NULL) {
        s->base.ops = &jadei_sim_ops;
        s->clock_us = CLOCK_START_US;
        s->collect_at = 64;
        jade_random_init(&s->random, seed);
        jade_mutex_init(&s->lock);
    }
    return s;
}

jade_code jade_sim_new(uint64_t seed, struct jade_sim **out, struct jade_err *err)
{
    *out = NULL;
    struct jade_sim *s = new_disk(seed);
    struct jadei_node *root = s != NULL ? jadei_node_new(true) : NULL;
    if (root == NULL || jadei_sim_add_node(s, root) == JADEI_NO_NODE) {
        jadei_node_free(root);
        jade_sim_free(s);
        return jade_fail(err, JADE_E_NOMEM, "making a simulated disk");
    }
    *out = s;
    return JADE_OK;
}

void jade_sim_free(struct jade_sim *s)
{
    if (s == NULL) {
        return;
    }
    JADE_ASSERT(s->handles ==
                0); /* the code under test must close what it opened, power cut or not */
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        jadei_node_free(s->nodes[i]);
    }
    jade_free(s->nodes);
    jade_mutex_release(&s->lock);
    jade_free(s);
}

struct jade_os *jade_sim_os(struct jade_sim *s)
{
    return &s->base;
}

static struct jadei_node *copy_node(const struct jadei_node *n)
{
    struct jadei_node *c = jade_alloc(JADE_TAG_TEST, sizeof *c);
    if (c == NULL) {
        return NULL;
    }
    *c = *n;
    c->open = 0;
    c->locked = false;
    if (n->is_dir) {
        (void)jadei_dir_ref(c->dir_live);
        (void)jadei_dir_ref(c->dir_durable);
        if (c->dir_newest != NULL) {
            atomic_fetch_add(&c->dir_newest->refs, 1);
        }
    } else {
        (void)jadei_image_ref(c->live);
        (void)jadei_image_ref(c->durable);
        if (c->newest != NULL) {
            atomic_fetch_add(&c->newest->refs, 1);
        }
    }
    return c;
}

static bool copy_nodes(struct jade_sim *to, const struct jade_sim *from)
{
    to->nodes = jade_calloc(JADE_TAG_TEST, from->n_nodes, sizeof(struct jadei_node *));
    if (to->nodes == NULL) {
        return false;
    }
    to->n_nodes = to->cap_nodes = from->n_nodes;
    for (uint32_t i = 0; i < from->n_nodes; i++) {
        if (from->nodes[i] == NULL) {
            continue;
        }
        to->nodes[i] = copy_node(from->nodes[i]);
        if (to->nodes[i] == NULL) {
            return false;
        }
        to->used_nodes++;
    }
    return true;
}

jade_code jade_sim_clone(const struct jade_sim *from, uint64_t seed, struct jade_sim **out,
                         struct jade_err *err)
{
    *out = NULL;
    struct jade_mutex *lock =
        (struct jade_mutex *)(uintptr_t)&from->lock; /* taken, though nothing else changes */
    struct jade_sim *s = new_disk(seed);
    jade_mutex_lock(lock);
    bool ok = s != NULL && copy_nodes(s, from);
    if (ok) {
        s->collect_at = from->collect_at;
        s->points = from->points;
        s->clock_us = from->clock_us;
        s->capacity = from->capacity;
        s->last_cross = from->last_cross;
    }
    jade_mutex_unlock(lock);
    if (!ok) {
        jade_sim_free(s);
        return jade_fail(err, JADE_E_NOMEM, "copying a simulated disk");
    }
    *out = s;
    return JADE_OK;
}

/* ---- locks, space, clocks, randomness ---- */

struct sim_lock {
    struct jade_lock base;
    struct jade_sim *sim;
    uint64_t generation;
    uint32_t node;
};

static jade_code sim_lock(struct jade_os *os, const char *path, struct jade_lock **out,
                          struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_place at;
    struct jade_sim *s = jadei_sim_enter(os);
    struct sim_lock *l = jade_calloc(JADE_TAG_TEST, 1, sizeof *l);
    if (l == NULL) {
        rc = jadei_sim_fail(err, JADE_E_NOMEM, "locking", path);
        goto out;
    }
    JADE_TRY(jadei_sim_step(s, JADE_SIM_OPEN, true, path, err));
    JADE_TRY(jadei_sim_find(s, path, &at, err));
    if (at.node == JADEI_NO_NODE) {
        JADE_TRY(jadei_sim_create(s, &at, false, &at.node, err));
    }
    struct jadei_node *n = s->nodes[at.node];
    if (n->is_dir || n->locked) {
        rc = jadei_sim_fail(err, n->is_dir ? JADE_E_IO : JADE_E_LOCKED, "locking", path);
        goto out;
    }
    *l = (struct sim_lock){
        .base.ops = &jadei_sim_ops, .sim = s, .generation = s->generation, .node = at.node};
    n->locked = true;
    n->open++;
    s->handles++;
    *out = &l->base;
    l = NULL;
out:
    jade_free(l);
    jadei_sim_leave(s);
    return rc;
}

static void sim_unlock(struct jade_lock *base)
{
    struct sim_lock *l = (struct sim_lock *)base;
    struct jade_sim *s = jadei_sim_enter(&l->sim->base);
    if (l->generation == s->generation) {
        s->nodes[l->node]->locked = false;
        s->nodes[l->node]->open--;
    }
    s->handles--;
    jadei_sim_leave(s);
    jade_free(l);
}

static jade_code sim_space(struct jade_os *os, const char *path, uint64_t *free_out,
                           uint64_t *total_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_place at;
    struct jade_sim *s = jadei_sim_enter(os);
    JADE_TRY(jadei_sim_step(s, JADE_SIM_LIST, false, path, err));
    JADE_TRY(jadei_sim_find(s, path, &at, err));
    if (at.node == JADEI_NO_NODE) {
        rc = jadei_sim_fail(err, JADE_E_NOT_FOUND, "asking for the space of", path);
        goto out;
    }
    uint64_t used = jadei_sim_used(s);
    *total_out = s->capacity != 0 ? s->capacity : UNBOUNDED_BYTES;
    *free_out = *total_out > used ? *total_out - used : 0;
out:
    jadei_sim_leave(s);
    return rc;
}

static uint64_t sim_mono_us(struct jade_os *os)
{
    struct jade_sim *s = jadei_sim_enter(os);
    uint64_t now = s->clock_us++;
    jadei_sim_leave(s);
    return now;
}

static int64_t sim_wall_us(struct jade_os *os)
{
    return WALL_START_US + (int64_t)sim_mono_us(os);
}

static jade_code sim_random(struct jade_os *os, void *buf, size_t n, struct jade_err *err)
{
    (void)err; /* after a power cut too: it is no part of the disk */
    uint8_t *p = buf;
    struct jade_sim *s = jadei_sim_enter(os);
    while (n > 0) {
        uint64_t r = jade_random_u64(&s->random);
        size_t len = n < sizeof r ? n : sizeof r;
        memcpy(p, &r, len);
        p += len;
        n -= len;
    }
    jadei_sim_leave(s);
    return JADE_OK;
}

const struct jade_os_ops jadei_sim_ops = {
    .open = jadei_sim_open,
    .close = jadei_sim_close,
    .read_at = jadei_sim_read_at,
    .write_at = jadei_sim_write_at,
    .sync = jadei_sim_sync,
    .size = jadei_sim_size,
    .allocate = jadei_sim_allocate,
    .truncate = jadei_sim_truncate,
    .map = jadei_sim_map,
    .unmap = jadei_sim_unmap,
    .rename = jadei_sim_rename,
    .link = jadei_sim_link,
    .unlink = jadei_sim_unlink,
    .mkdir = jadei_sim_mkdir,
    .rmdir = jadei_sim_rmdir,
    .sync_dir = jadei_sim_sync_dir,
    .list = jadei_sim_list,
    .exists = jadei_sim_exists,
    .lock = sim_lock,
    .unlock = sim_unlock,
    .space = sim_space,
    .mono_us = sim_mono_us,
    .wall_us = sim_wall_us,
    .random = sim_random,
};
