/*
 * Crash states: which of the pending effects are on the disk after a power cut. sim.h has the model; the order of deciding here is
 * 1. a tendency for each file (all, nothing, only the newest, or by coin), so that few files and many are both covered;
 * 2. which size changes survived: a prefix in order, as journals commit them, the last one perhaps in part;
 * 3. which sectors survived, newest first: a sector that was written later is on the disk with what was in it before;
 * 4. one torn sector at most on the whole disk.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "os/sim/sim_private.h"

enum tendency { KEEP, LOSE, NEWEST, COIN };

/** How the effects of one file are decided. */
struct draw {
    struct jade_random *random;
    enum tendency tendency;
    size_t
        n_coin; /* sectors of only the oldest n_coin effects are in doubt; those of newer ones survive */
    size_t n_size_coin;     /* the same for size changes */
    uint64_t odds_of_eight; /* COIN: a sector survives with odds/8 */
    bool tear;
};

/** Work space of one file: its effects oldest first, and what becomes of them. */
struct fate {
    struct jadei_effect **effects;
    size_t n;
    uint64_t *size; /* per effect: size it sets; UINT64_MAX when its size change is lost */
    uint64_t *
        dead_from; /* per effect: bytes from here on are lost with a truncate before it that is lost */
    uint8_t *alive;      /* per effect and sector */
    size_t *first_alive; /* where the sectors of an effect begin in alive */
    uint8_t *taken;      /* per sector of the file: a newer write of it survived */
    size_t torn_effect;  /* index, or n when none */
    uint64_t torn_sector;
};
#define LOST UINT64_MAX

static uint64_t first_sector(const struct jadei_effect *e)
{
    return e->offset / JADEI_SECTOR;
}

static uint64_t n_sectors(const struct jadei_effect *e)
{
    return e->n == 0 ? 0 : (e->offset + e->n - 1) / JADEI_SECTOR - first_sector(e) + 1;
}

static void fate_release(struct fate *f)
{
    jade_free(f->effects);
    jade_free(f->size);
    jade_free(f->dead_from);
    jade_free(f->alive);
    jade_free(f->first_alive);
    jade_free(f->taken);
}

static bool fate_init(struct fate *f, const struct jadei_node *node)
{
    *f = (struct fate){.n = node->n_effects, .torn_effect = node->n_effects};
    f->effects = jade_alloc(JADE_TAG_TEST, f->n * sizeof(struct jadei_effect *));
    f->size = jade_alloc(JADE_TAG_TEST, f->n * sizeof *f->size);
    f->dead_from = jade_alloc(JADE_TAG_TEST, f->n * sizeof *f->dead_from);
    f->first_alive = jade_alloc(JADE_TAG_TEST, f->n * sizeof *f->first_alive);
    if (f->effects == NULL || f->size == NULL || f->dead_from == NULL || f->first_alive == NULL) {
        return false;
    }
    struct jadei_effect *e = node->newest;
    for (size_t i = f->n; i-- > 0; e = e->older) {
        f->effects[i] = e;
    }
    size_t pieces = 0;
    uint64_t end = 0;
    for (size_t i = 0; i < f->n; i++) {
        f->first_alive[i] = pieces;
        pieces += n_sectors(f->effects[i]);
        uint64_t e_end = first_sector(f->effects[i]) + n_sectors(f->effects[i]);
        end = e_end > end ? e_end : end;
    }
    f->alive = jade_calloc(JADE_TAG_TEST, pieces + 1, 1);
    f->taken = jade_calloc(JADE_TAG_TEST, end + 1, 1);
    return f->alive != NULL && f->taken != NULL;
}

/* ---- deciding ---- */

static bool changes_size(const struct jadei_effect *e)
{
    return e->old_size != e->new_size;
}

/** The size that a growing write leaves when only a part of it was recorded: some sector boundary on the way. */
static uint64_t part_of_growth(const struct draw *d, const struct jadei_effect *e)
{
    uint64_t lo = e->old_size / JADEI_SECTOR + 1;
    uint64_t hi = (e->new_size - 1) / JADEI_SECTOR;
    if (e->n == 0 || hi < lo) {
        return e->new_size;
    }
    return (lo + jade_random_below(d->random, hi - lo + 1)) * JADEI_SECTOR;
}

/** How many of the size changes in doubt survive, counted from the oldest. */
static size_t surviving_sizes(const struct fate *f, const struct draw *d)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n_size_coin; i++) {
        n += changes_size(f->effects[i]) ? 1 : 0;
    }
    switch (d->tendency) {
    case KEEP:
        return n;
    case COIN:
        return (size_t)jade_random_below(d->random, n + 1);
    case LOSE:
    case NEWEST:
        break;
    }
    return 0;
}

static void decide_sizes(struct fate *f, const struct draw *d)
{
    size_t left = surviving_sizes(f, d);
    uint64_t dead_from = LOST;
    for (size_t i = 0; i < f->n; i++) {
        const struct jadei_effect *e = f->effects[i];
        f->dead_from[i] = dead_from;
        bool newest = d->tendency == NEWEST && i + 1 == f->n && dead_from == LOST;
        f->size[i] = LOST;
        if (!changes_size(e)) {
            continue;
        }
        if (i >= d->n_size_coin || newest) {
            f->size[i] = e->new_size;
        } else if (left > 0) {
            bool in_part =
                --left == 0 && d->tendency == COIN && jade_random_below(d->random, 2) == 0;
            f->size[i] = in_part && e->new_size > e->old_size ? part_of_growth(d, e) : e->new_size;
        } else if (e->new_size < dead_from && e->new_size < e->old_size) {
            dead_from = e->new_size;
        }
    }
}

static bool survives(const struct draw *d, const struct fate *f, size_t i)
{
    if (i >= d->n_coin) {
        return true;
    }
    switch (d->tendency) {
    case KEEP:
        return true;
    case LOSE:
        return false;
    case NEWEST:
        return i + 1 == f->n;
    case COIN:
        break;
    }
    return jade_random_below(d->random, 8) < d->odds_of_eight;
}

static void decide_sectors(struct fate *f, const struct draw *d)
{
    uint64_t candidates = 0;
    for (size_t i = f->n; i-- > 0;) {
        const struct jadei_effect *e = f->effects[i];
        for (uint64_t k = 0; k < n_sectors(e); k++) {
            uint64_t sector = first_sector(e) + k;
            uint64_t begin = k == 0 ? e->offset : sector * JADEI_SECTOR;
            if (begin >= f->dead_from[i]) {
                continue; /* this place of the file exists only if the lost truncate had come through */
            }
            bool on_disk_by_newer = f->taken[sector] != 0;
            if (!on_disk_by_newer && !survives(d, f, i)) {
                continue;
            }
            f->alive[f->first_alive[i] + k] = 1;
            f->taken[sector] = 1;
            /* Any sector in doubt whose newest surviving write this is may be the torn one, each equally likely. */
            if (d->tear && i < d->n_coin && !on_disk_by_newer &&
                jade_random_below(d->random, ++candidates) == 0) {
                f->torn_effect = i;
                f->torn_sector = k;
            }
        }
    }
}

/* ---- carrying out ---- */

/** Bytes [*begin, *end) of effect i that lie in its k-th sector and are on the disk. */
static void piece(const struct fate *f, const struct draw *d, size_t i, uint64_t k, uint64_t *begin,
                  uint64_t *end)
{
    const struct jadei_effect *e = f->effects[i];
    uint64_t sector = first_sector(e) + k;
    *begin = k == 0 ? e->offset : sector * JADEI_SECTOR;
    *end = e->offset + e->n < (sector + 1) * JADEI_SECTOR ? e->offset + e->n
                                                          : (sector + 1) * JADEI_SECTOR;
    *end = *end < f->dead_from[i] ? *end : f->dead_from[i];
    if (i == f->torn_effect && k == f->torn_sector && *end > *begin + 1) {
        *end = *begin + 1 + jade_random_below(d->random, *end - *begin - 1);
    }
}

static bool apply_write(const struct fate *f, const struct draw *d, size_t i,
                        struct jadei_image **img)
{
    const struct jadei_effect *e = f->effects[i];
    uint64_t n = n_sectors(e);
    for (uint64_t k = 0; k < n;) {
        if (f->alive[f->first_alive[i] + k] == 0) {
            k++;
            continue;
        }
        uint64_t begin = 0;
        uint64_t end = 0;
        piece(f, d, i, k++, &begin, &end);
        for (; k < n && f->alive[f->first_alive[i] + k] != 0 && end % JADEI_SECTOR == 0 &&
               end > begin;
             k++) {
            uint64_t next = 0;
            piece(f, d, i, k, &next, &end); /* whole sectors after each other go in one copy */
        }
        if (end > begin) {
            if (!jadei_image_prepare(img, begin, end - begin)) {
                return false;
            }
            jadei_image_put(*img, begin, e->data + (begin - e->offset), (size_t)(end - begin));
        }
    }
    return true;
}

/** The durable image with what survived put on top; NULL when memory is short. */
static struct jadei_image *resolve(const struct jadei_node *node, const struct draw *d)
{
    struct fate f;
    struct jadei_image *img = jadei_image_ref(node->durable);
    uint64_t size = img->size;
    bool ok = fate_init(&f, node);
    if (ok) {
        decide_sizes(&f, d);
        decide_sectors(&f, d);
    }
    for (size_t i = 0; ok && i < f.n; i++) {
        ok = apply_write(&f, d, i, &img);
        if (f.size[i] == LOST) {
            continue;
        }
        bool shrinks = f.effects[i]->new_size < f.effects[i]->old_size;
        size = shrinks || f.size[i] > size ? f.size[i] : size;
        ok = ok && (!shrinks || jadei_image_resize(&img, size));
    }
    ok = ok && jadei_image_resize(&img, size);
    fate_release(&f);
    if (!ok) {
        jadei_image_unref(img);
        return NULL;
    }
    return img;
}

static void drop_effects(struct jadei_node *n)
{
    jadei_effect_unref(n->newest);
    n->newest = NULL;
    n->n_effects = 0;
    n->n_failed = 0;
}

jade_code jadei_sim_persist_file(struct jade_sim *s, struct jadei_node *n, const char *path,
                                 struct jade_err *err)
{
    struct jadei_image *img = NULL;
    if (n->n_effects == 0) {
        return JADE_OK;
    }
    n->diverged = n->diverged || n->n_failed > 0;
    if (n->diverged) {
        /* Sectors under a failed sync are there or not. Sizes are all there: they go through the journal, not the page cache. */
        struct draw d = {
            .random = &s->random, .tendency = COIN, .n_coin = n->n_failed, .odds_of_eight = 4};
        img = resolve(n, &d);
        if (img == NULL) {
            return jadei_sim_fail(err, JADE_E_NOMEM, "syncing", path);
        }
    } else {
        img = jadei_image_ref(n->live);
    }
    jadei_image_unref(n->durable);
    n->durable = img;
    drop_effects(n);
    return JADE_OK;
}

/* ---- folders ---- */

/** The k-th oldest pending effect of a folder. */
static const struct jadei_dir_effect *dir_effect(const struct jadei_node *n, size_t k)
{
    const struct jadei_dir_effect *e = n->dir_newest;
    for (size_t i = n->n_dir_effects; i-- > k + 1;) {
        e = e->older;
    }
    return e;
}

/** Place of the other half of a rename among the pending effects of `n`; n_dir_effects when it is not there. */
static size_t find_cross(const struct jadei_node *n, uint64_t cross)
{
    const struct jadei_dir_effect *e = n->dir_newest;
    for (size_t i = n->n_dir_effects; i-- > 0; e = e->older) {
        if (e->cross == cross) {
            return i;
        }
    }
    return n->n_dir_effects;
}

/** The folder that holds the other half of e, when that half is pending; its place in *k_out. */
static struct jadei_node *peer_of(const struct jade_sim *s, const struct jadei_dir_effect *e,
                                  size_t *k_out)
{
    struct jadei_node *p = e->cross != 0 && e->peer < s->n_nodes ? s->nodes[e->peer] : NULL;
    if (p == NULL || !p->is_dir) {
        return NULL;
    }
    *k_out = find_cross(p, e->cross);
    return *k_out < p->n_dir_effects ? p : NULL;
}

/** Makes the oldest `keep` effects of a folder durable; the newer ones stay pending. */
static bool persist_prefix(struct jadei_node *n, size_t keep)
{
    if (keep == n->n_dir_effects) {
        jadei_dir_unref(n->dir_durable);
        n->dir_durable = jadei_dir_ref(n->dir_live);
        jadei_dir_effect_unref(n->dir_newest);
        n->dir_newest = NULL;
        n->n_dir_effects = 0;
        return true;
    }
    struct jadei_dir *d = jadei_dir_ref(n->dir_durable);
    for (size_t k = 0; k < keep; k++) {
        if (!jadei_dir_prepare(&d)) {
            jadei_dir_unref(d);
            return false;
        }
        jadei_dir_apply(d, dir_effect(n, k));
    }
    jadei_dir_unref(n->dir_durable);
    n->dir_durable = d;
    n->n_dir_effects -= keep; /* the list keeps its older nodes; they no longer count */
    return true;
}

/**
 * keep[i] = surviving effects of folder i. Both halves of a rename between folders are on the disk or neither is: `grow` adds
 * the missing half with all before it, otherwise the half that is there goes with all after it. Each round only moves the
 * counts one way, so it ends.
 */
static void settle_renames(const struct jade_sim *s, size_t *keep, bool grow)
{
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = 0; i < s->n_nodes; i++) {
            const struct jadei_node *n = s->nodes[i];
            const struct jadei_dir_effect *e = n != NULL && n->is_dir ? n->dir_newest : NULL;
            for (size_t k = e != NULL ? n->n_dir_effects : 0; k-- > 0; e = e->older) {
                size_t at = 0;
                if ((k < keep[i]) != grow || peer_of(s, e, &at) == NULL) {
                    continue;
                }
                if (grow && keep[e->peer] <= at) {
                    keep[e->peer] = at + 1;
                    changed = true;
                } else if (!grow && keep[e->peer] > at) {
                    keep[e->peer] = at;
                    changed = true;
                }
            }
        }
    }
}

static bool has_cross(const struct jadei_node *n)
{
    const struct jadei_dir_effect *e = n->dir_newest;
    for (size_t i = 0; i < n->n_dir_effects; i++, e = e->older) {
        if (e->cross != 0) {
            return true;
        }
    }
    return false;
}

jade_code jadei_sim_persist_dir(struct jade_sim *s, uint32_t node, const char *path,
                                struct jade_err *err)
{
    struct jadei_node *n = s->nodes[node];
    if (!has_cross(n)) {
        (void)persist_prefix(n, n->n_dir_effects); /* all of them: allocates nothing */
        return JADE_OK;
    }
    bool ok = true;
    size_t *keep = jade_calloc(JADE_TAG_TEST, s->n_nodes, sizeof *keep);
    if (keep == NULL) {
        return jadei_sim_fail(err, JADE_E_NOMEM, "syncing folder", path);
    }
    keep[node] = n->n_dir_effects;
    settle_renames(s, keep, true);
    for (uint32_t i = 0; ok && i < s->n_nodes; i++) {
        ok = keep[i] == 0 || persist_prefix(s->nodes[i], keep[i]);
    }
    jade_free(keep);
    return ok ? JADE_OK : jadei_sim_fail(err, JADE_E_NOMEM, "syncing folder", path);
}

/* ---- reboot ---- */

static enum tendency tendency_of(enum jade_sim_policy policy, struct jade_random *random)
{
    switch (policy) {
    case JADE_SIM_LOSE_ALL:
        return LOSE;
    case JADE_SIM_KEEP_ALL:
        return KEEP;
    case JADE_SIM_LAST_ONLY:
        return NEWEST;
    case JADE_SIM_RANDOM:
        break;
    }
    switch (jade_random_below(random, 8)) {
    case 0:
        return KEEP;
    case 1:
        return LOSE;
    case 2:
        return NEWEST;
    default:
        return COIN;
    }
}

static size_t surviving_names(const struct jadei_node *n, enum jade_sim_policy policy,
                              struct jade_random *random)
{
    switch (policy) {
    case JADE_SIM_LOSE_ALL:
        return 0;
    case JADE_SIM_KEEP_ALL:
    case JADE_SIM_LAST_ONLY: /* names there, contents not: what a rename without sync risks */
        return n->n_dir_effects;
    case JADE_SIM_RANDOM:
        break;
    }
    switch (jade_random_below(random, 4)) {
    case 0:
        return 0;
    case 1:
        return n->n_dir_effects;
    default:
        return (size_t)jade_random_below(random, n->n_dir_effects + 1);
    }
}

static void reboot_folders(struct jade_sim *s, enum jade_sim_policy policy,
                           struct jade_random *random)
{
    size_t *keep = jade_calloc(JADE_TAG_TEST, s->n_nodes, sizeof *keep);
    JADE_ASSERT(keep != NULL);
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        if (s->nodes[i] != NULL && s->nodes[i]->n_dir_effects > 0) {
            keep[i] = surviving_names(s->nodes[i], policy, random);
        }
    }
    settle_renames(s, keep, false);
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        struct jadei_node *n = s->nodes[i];
        if (n == NULL || !n->is_dir) {
            continue;
        }
        bool ok = persist_prefix(n, keep[i]);
        JADE_ASSERT(ok);
        jadei_dir_effect_unref(n->dir_newest);
        n->dir_newest = NULL;
        n->n_dir_effects = 0;
        jadei_dir_unref(n->dir_live);
        n->dir_live = jadei_dir_ref(n->dir_durable);
    }
    jade_free(keep);
}

/** The file that may have the torn sector: one of those with pending effects, half of the time; else JADEI_NO_NODE. */
static uint32_t pick_torn(const struct jade_sim *s, struct jade_random *random)
{
    uint32_t picked = JADEI_NO_NODE;
    uint64_t n = 0;
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        if (s->nodes[i] != NULL && s->nodes[i]->n_effects > 0 &&
            jade_random_below(random, ++n) == 0) {
            picked = i;
        }
    }
    return jade_random_below(random, 2) == 0 ? picked : JADEI_NO_NODE;
}

static void reboot_file(struct jadei_node *n, const struct draw *d)
{
    if (n->n_effects > 0) {
        struct jadei_image *img = resolve(n, d);
        JADE_ASSERT(img != NULL);
        jadei_image_unref(n->durable);
        n->durable = img;
        drop_effects(n);
    }
    jadei_image_unref(n->live);
    n->live = jadei_image_ref(n->durable);
    n->diverged = false;
}

static void reboot_files(struct jade_sim *s, enum jade_sim_policy policy,
                         struct jade_random *random)
{
    static const uint64_t ODDS[] = {1, 4, 4, 7};
    uint32_t torn = policy == JADE_SIM_RANDOM ? pick_torn(s, random) : JADEI_NO_NODE;
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        struct jadei_node *n = s->nodes[i];
        if (n == NULL || n->is_dir) {
            continue;
        }
        struct draw d = {
            .random = random,
            .tendency = n->n_effects > 0 ? tendency_of(policy, random) : KEEP,
            .n_coin = n->n_effects,
            .n_size_coin = n->n_effects,
            .odds_of_eight = ODDS[jade_random_below(random, sizeof ODDS / sizeof ODDS[0])],
            .tear = i == torn,
        };
        reboot_file(n, &d);
    }
}

/** Every process of this machine is gone: their handles are dead, their locks free. */
static void end_processes(struct jade_sim *s)
{
    s->generation++;
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        if (s->nodes[i] != NULL) {
            s->nodes[i]->open = 0;
            s->nodes[i]->locked = false;
        }
    }
    memset(s->faults, 0, sizeof s->faults);
    s->cut = false;
    s->cut_at = 0;
}

void jade_sim_kill(struct jade_sim *s)
{
    jade_mutex_lock(&s->lock);
    end_processes(s);
    jade_mutex_unlock(&s->lock);
}

void jade_sim_reboot(struct jade_sim *s, enum jade_sim_policy policy, uint64_t seed)
{
    struct jade_random random;
    jade_random_init(&random, seed);
    jade_mutex_lock(&s->lock);
    end_processes(s);
    reboot_files(s, policy, &random);
    reboot_folders(s, policy, &random);
    jadei_sim_collect(s);
    jade_mutex_unlock(&s->lock);
}
