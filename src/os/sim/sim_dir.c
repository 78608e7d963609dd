/*
 * Simulated folders: shared lists of entries, and the way from a path to a node. Folders of tests are small: search is linear.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "os/sim/sim_private.h"

/* ---- names ---- */

struct jadei_name *jadei_name_new(const char *text)
{
    size_t n = strlen(text) + 1;
    struct jadei_name *name = jade_alloc(JADE_TAG_TEST, sizeof *name + n);
    if (name != NULL) {
        atomic_init(&name->refs, 1);
        memcpy(name->text, text, n);
    }
    return name;
}

static struct jadei_name *name_ref(struct jadei_name *n)
{
    atomic_fetch_add(&n->refs, 1);
    return n;
}

void jadei_name_unref(struct jadei_name *n)
{
    if (n != NULL && atomic_fetch_sub(&n->refs, 1) == 1) {
        jade_free(n);
    }
}

/* ---- entries ---- */

struct jadei_dir *jadei_dir_new(void)
{
    struct jadei_dir *d = jade_calloc(JADE_TAG_TEST, 1, sizeof *d);
    if (d != NULL) {
        atomic_init(&d->refs, 1);
    }
    return d;
}

struct jadei_dir *jadei_dir_ref(struct jadei_dir *d)
{
    atomic_fetch_add(&d->refs, 1);
    return d;
}

void jadei_dir_unref(struct jadei_dir *d)
{
    if (d == NULL || atomic_fetch_sub(&d->refs, 1) != 1) {
        return;
    }
    for (size_t i = 0; i < d->n; i++) {
        jadei_name_unref(d->entries[i].name);
    }
    jade_free(d->entries);
    jade_free(d);
}

static struct jadei_entry *find_entry(const struct jadei_dir *d, const char *name)
{
    for (size_t i = 0; i < d->n; i++) {
        if (strcmp(d->entries[i].name->text, name) == 0) {
            return &d->entries[i];
        }
    }
    return NULL;
}

uint32_t jadei_dir_find(const struct jadei_dir *d, const char *name)
{
    const struct jadei_entry *e = find_entry(d, name);
    return e != NULL ? e->node : JADEI_NO_NODE;
}

bool jadei_dir_prepare(struct jadei_dir **d)
{
    struct jadei_dir *old = *d;
    if (atomic_load(&old->refs) == 1 && old->n < old->cap) {
        return true;
    }
    struct jadei_dir *c = jadei_dir_new();
    if (c == NULL) {
        return false;
    }
    c->cap = old->n * 2 + 4;
    c->entries = jade_alloc(JADE_TAG_TEST, c->cap * sizeof *c->entries);
    if (c->entries == NULL) {
        jade_free(c);
        return false;
    }
    for (size_t i = 0; i < old->n; i++) {
        c->entries[i] = old->entries[i];
        (void)name_ref(c->entries[i].name);
    }
    c->n = old->n;
    jadei_dir_unref(old);
    *d = c;
    return true;
}

void jadei_dir_apply(struct jadei_dir *d, const struct jadei_dir_effect *e)
{
    struct jadei_entry *gone = e->del != NULL ? find_entry(d, e->del->text) : NULL;
    if (gone != NULL) {
        jadei_name_unref(gone->name);
        *gone = d->entries[--d->n];
    }
    if (e->set == NULL) {
        return;
    }
    struct jadei_entry *at = find_entry(d, e->set->text);
    if (at == NULL) {
        JADE_ASSERT(d->n < d->cap);
        at = &d->entries[d->n++];
        at->name = name_ref(e->set);
    }
    at->node = e->node;
}

struct jadei_dir_effect *jadei_dir_effect_new(const char *del, const char *set, uint32_t node)
{
    struct jadei_dir_effect *e = jade_calloc(JADE_TAG_TEST, 1, sizeof *e);
    if (e == NULL) {
        return NULL;
    }
    atomic_init(&e->refs, 1);
    e->node = node;
    e->del = del != NULL ? jadei_name_new(del) : NULL;
    e->set = set != NULL ? jadei_name_new(set) : NULL;
    if ((del != NULL && e->del == NULL) || (set != NULL && e->set == NULL)) {
        jadei_dir_effect_unref(e);
        return NULL;
    }
    return e;
}

void jadei_dir_effect_unref(struct jadei_dir_effect *e)
{
    while (e != NULL && atomic_fetch_sub(&e->refs, 1) == 1) {
        struct jadei_dir_effect *older = e->older;
        jadei_name_unref(e->del);
        jadei_name_unref(e->set);
        jade_free(e);
        e = older;
    }
}

/* ---- paths ---- */

/** Copies the component at *path to name and moves on; false at the end of the path. */
static bool next_component(const char **path, char name[JADEI_NAME_MAX + 1], bool *bad_out)
{
    const char *p = *path;
    size_t n = 0;
    do {
        p += n;
        p += strspn(p, "/");
        n = strcspn(p, "/");
    } while (n == 1 && p[0] == '.');
    *bad_out = n > JADEI_NAME_MAX || (n == 2 && memcmp(p, "..", 2) == 0);
    if (n == 0 || *bad_out) {
        return false;
    }
    memcpy(name, p, n);
    name[n] = '\0';
    *path = p + n;
    return true;
}

jade_code jadei_sim_find(const struct jade_sim *s, const char *path, struct jadei_place *out,
                         struct jade_err *err)
{
    const char *rest = path;
    bool bad = false;
    *out = (struct jadei_place){.parent = JADEI_NO_NODE, .node = JADEI_ROOT};
    while (next_component(&rest, out->name, &bad)) {
        if (out->node == JADEI_NO_NODE) {
            return jadei_sim_fail(err, JADE_E_NOT_FOUND, "no folder for", path);
        }
        if (!s->nodes[out->node]->is_dir) {
            return jadei_sim_fail(err, JADE_E_IO, "a file is in the way of", path);
        }
        out->parent = out->node;
        out->node = jadei_dir_find(s->nodes[out->node]->dir_live, out->name);
    }
    if (bad) {
        return jadei_sim_fail(err, JADE_E_INVALID_ARGUMENT, "a name too long, or '..', in", path);
    }
    return JADE_OK;
}

jade_code jadei_sim_find_kind(const struct jade_sim *s, const char *path, bool is_dir,
                              struct jadei_place *out, struct jade_err *err)
{
    jade_code rc = jadei_sim_find(s, path, out, err);
    if (rc != JADE_OK) {
        return rc;
    }
    if (out->node == JADEI_NO_NODE) {
        return jadei_sim_fail(err, JADE_E_NOT_FOUND, is_dir ? "no such folder" : "no such file",
                              path);
    }
    if (s->nodes[out->node]->is_dir != is_dir) {
        return jadei_sim_fail(err, JADE_E_IO, is_dir ? "not a folder" : "not a regular file", path);
    }
    return JADE_OK;
}
