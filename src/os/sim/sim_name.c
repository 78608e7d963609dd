/*
 * Calls of the simulated disk that change or read names. Each change is one pending effect of its folder (a rename between
 * folders: one half in each), and everything that can fail happens before the first of them is recorded.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "os/sim/sim_private.h"

static jade_code no_memory(struct jade_err *err, const char *path)
{
    return jadei_sim_fail(err, JADE_E_NOMEM, "no memory for", path);
}

/** Takes the effect: pending from now on, and seen by everybody. The folder must be prepared. */
static void record(struct jade_sim *s, uint32_t folder, struct jadei_dir_effect *e)
{
    struct jadei_node *n = s->nodes[folder];
    jadei_dir_apply(n->dir_live, e);
    e->older = n->dir_newest;
    n->dir_newest = e;
    n->n_dir_effects++;
}

/** Records `del` and `set` in one folder. */
static jade_code change(struct jade_sim *s, uint32_t folder, const char *del, const char *set,
                        uint32_t node, const char *path, struct jade_err *err)
{
    struct jadei_dir_effect *e = jadei_dir_effect_new(del, set, node);
    if (e == NULL || !jadei_dir_prepare(&s->nodes[folder]->dir_live)) {
        jadei_dir_effect_unref(e);
        return no_memory(err, path);
    }
    record(s, folder, e);
    return JADE_OK;
}

jade_code jadei_sim_create(struct jade_sim *s, const struct jadei_place *at, bool is_dir,
                           uint32_t *node_out, struct jade_err *err)
{
    struct jadei_node *n = jadei_node_new(is_dir);
    if (n == NULL) {
        return no_memory(err, at->name);
    }
    uint32_t id = jadei_sim_add_node(s, n);
    if (id == JADEI_NO_NODE) {
        jadei_node_free(n);
        return no_memory(err, at->name);
    }
    n->links = 1;
    *node_out = id;
    jade_code rc = change(s, at->parent, NULL, at->name, id, at->name, err);
    if (rc != JADE_OK) {
        s->nodes[id] = NULL;
        s->used_nodes--;
        jadei_node_free(n);
    }
    return rc;
}

/* ---- rename and link ---- */

static jade_code rename_across(struct jade_sim *s, const struct jadei_place *from,
                               const struct jadei_place *to, const char *path, struct jade_err *err)
{
    struct jadei_dir_effect *out = jadei_dir_effect_new(from->name, NULL, from->node);
    struct jadei_dir_effect *in = jadei_dir_effect_new(NULL, to->name, from->node);
    if (out == NULL || in == NULL || !jadei_dir_prepare(&s->nodes[from->parent]->dir_live) ||
        !jadei_dir_prepare(&s->nodes[to->parent]->dir_live)) {
        jadei_dir_effect_unref(out);
        jadei_dir_effect_unref(in);
        return no_memory(err, path);
    }
    out->cross = in->cross = ++s->last_cross;
    out->peer = to->parent;
    in->peer = from->parent;
    record(s, from->parent, out);
    record(s, to->parent, in);
    return JADE_OK;
}

jade_code jadei_sim_rename(struct jade_os *os, const char *from, const char *to,
                           struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_place a;
    struct jadei_place b;
    struct jade_sim *s = jadei_sim_enter(os);
    JADE_TRY(jadei_sim_step(s, JADE_SIM_RENAME, true, from, err));
    JADE_TRY(jadei_sim_find_kind(s, from, false, &a, err));
    JADE_TRY(jadei_sim_find(s, to, &b, err));
    if (b.node != JADEI_NO_NODE && s->nodes[b.node]->is_dir) {
        rc = jadei_sim_fail(err, JADE_E_IO, "a folder has the name", to);
        goto out;
    }
    if (a.node == b.node) {
        goto out; /* rename(2): two names of one file, nothing happens */
    }
    if (a.parent == b.parent) {
        JADE_TRY(change(s, a.parent, a.name, b.name, a.node, from, err));
    } else {
        JADE_TRY(rename_across(s, &a, &b, from, err));
    }
    if (b.node != JADEI_NO_NODE) {
        s->nodes[b.node]->links--;
    }
out:
    jadei_sim_leave(s);
    return rc;
}

jade_code jadei_sim_link(struct jade_os *os, const char *from, const char *to, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    jade_code from_rc = JADE_OK;
    struct jadei_place a;
    struct jadei_place b;
    struct jade_sim *s = jadei_sim_enter(os);
    JADE_TRY(jadei_sim_step(s, JADE_SIM_LINK, true, from, err));
    rc = jadei_sim_find_kind(s, from, false, &a, err);
    if (rc != JADE_OK && (rc != JADE_E_IO || !s->nodes[a.node]->is_dir)) {
        goto out;
    }
    from_rc = rc; /* link(2) looks at the new name before it minds that the old one is a folder */
    JADE_TRY(jadei_sim_find(s, to, &b, err));
    if (b.node != JADEI_NO_NODE) {
        rc = jadei_sim_fail(err, JADE_E_ALREADY_EXISTS, "linking to", to);
        goto out;
    }
    JADE_TRY(from_rc);
    JADE_TRY(change(s, b.parent, NULL, b.name, a.node, to, err));
    s->nodes[a.node]->links++;
out:
    jadei_sim_leave(s);
    return rc;
}

/* ---- remove and make ---- */

jade_code jadei_sim_unlink(struct jade_os *os, const char *path, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_place at;
    struct jade_sim *s = jadei_sim_enter(os);
    JADE_TRY(jadei_sim_step(s, JADE_SIM_UNLINK, true, path, err));
    JADE_TRY(jadei_sim_find_kind(s, path, false, &at, err));
    JADE_TRY(change(s, at.parent, at.name, NULL, at.node, path, err));
    s->nodes[at.node]->links--;
out:
    jadei_sim_leave(s);
    return rc;
}

jade_code jadei_sim_mkdir(struct jade_os *os, const char *path, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_place at;
    uint32_t node = JADEI_NO_NODE;
    struct jade_sim *s = jadei_sim_enter(os);
    JADE_TRY(jadei_sim_step(s, JADE_SIM_MKDIR, true, path, err));
    JADE_TRY(jadei_sim_find(s, path, &at, err));
    if (at.node != JADEI_NO_NODE) {
        rc = jadei_sim_fail(err, JADE_E_ALREADY_EXISTS, "making folder", path);
        goto out;
    }
    JADE_TRY(jadei_sim_create(s, &at, true, &node, err));
out:
    jadei_sim_leave(s);
    return rc;
}

jade_code jadei_sim_rmdir(struct jade_os *os, const char *path, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_place at;
    struct jade_sim *s = jadei_sim_enter(os);
    JADE_TRY(jadei_sim_step(s, JADE_SIM_RMDIR, true, path, err));
    JADE_TRY(jadei_sim_find_kind(s, path, true, &at, err));
    if (at.node == JADEI_ROOT) {
        rc = jadei_sim_fail(err, JADE_E_IO, "the root cannot be removed:", path);
        goto out;
    }
    if (s->nodes[at.node]->dir_live->n > 0) {
        rc = jadei_sim_fail(err, JADE_E_CONFLICT, "removing folder", path);
        goto out;
    }
    JADE_TRY(change(s, at.parent, at.name, NULL, at.node, path, err));
    s->nodes[at.node]->links--;
out:
    jadei_sim_leave(s);
    return rc;
}

/* ---- look ---- */

/** "<d or f><name>\0" for each entry, in an order of chance: no caller may rely on one. */
static jade_code names_of(struct jade_sim *s, const struct jadei_dir *d, struct jade_buf *out,
                          struct jade_err *err)
{
    size_t *order = jade_calloc(JADE_TAG_TEST, d->n + 1, sizeof *order);
    if (order == NULL) {
        return no_memory(err, "a listing");
    }
    for (size_t i = 0; i < d->n; i++) {
        size_t j = (size_t)jade_random_below(&s->random, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    for (size_t i = 0; i < d->n; i++) {
        const struct jadei_entry *e = &d->entries[order[i]];
        jade_buf_append_byte(out, s->nodes[e->node]->is_dir ? 'd' : 'f');
        jade_buf_append(out, e->name->text, strlen(e->name->text) + 1);
    }
    jade_free(order);
    return jade_buf_status(out, err);
}

jade_code jadei_sim_list(struct jade_os *os, const char *path, jade_list_fn fn, void *ctx,
                         struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_place at;
    struct jade_buf names;
    jade_buf_init(&names, JADE_TAG_TEST);
    struct jade_sim *s = jadei_sim_enter(os);
    rc = jadei_sim_step(s, JADE_SIM_LIST, false, path, err);
    if (rc == JADE_OK) {
        rc = jadei_sim_find_kind(s, path, true, &at, err);
    }
    if (rc == JADE_OK) {
        rc = names_of(s, s->nodes[at.node]->dir_live, &names, err);
    }
    jadei_sim_leave(s); /* before the callbacks, which may call us */
    for (size_t i = 0; rc == JADE_OK && i < names.len;) {
        const char *entry = (const char *)names.data + i;
        i += strlen(entry) + 1;
        rc = fn(ctx, entry + 1, entry[0] == 'd', err);
    }
    jade_buf_release(&names);
    return rc;
}

jade_code jadei_sim_exists(struct jade_os *os, const char *path, bool *exists_out,
                           struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_place at;
    struct jade_sim *s = jadei_sim_enter(os);
    JADE_TRY(jadei_sim_step(s, JADE_SIM_LIST, false, path, err));
    rc = jadei_sim_find(s, path, &at, NULL);
    *exists_out = rc == JADE_OK && at.node != JADEI_NO_NODE;
    if (rc == JADE_E_NOT_FOUND || rc == JADE_E_IO) {
        rc = JADE_OK; /* a part of the way is missing or is a file */
    } else if (rc != JADE_OK) {
        rc = jadei_sim_fail(err, rc, "looking for", path);
    }
out:
    jadei_sim_leave(s);
    return rc;
}

jade_code jadei_sim_sync_dir(struct jade_os *os, const char *path, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_place at;
    struct jade_sim *s = jadei_sim_enter(os);
    JADE_TRY(jadei_sim_step(s, JADE_SIM_SYNC_DIR, true, path, err));
    JADE_TRY(jadei_sim_find_kind(s, path, true, &at, err));
    JADE_TRY(jadei_sim_persist_dir(s, at.node, path, err));
out:
    jadei_sim_leave(s);
    return rc;
}
