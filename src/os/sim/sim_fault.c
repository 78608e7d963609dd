/*
 * What goes wrong on the simulated disk: power cuts at I/O points, calls that fail, flipped bits.
 */
#include <errno.h>

#include "base/assert.h"
#include "os/sim/sim_private.h"

static const char *const OP_NAMES[JADE_SIM_OP_COUNT] = {
    [JADE_SIM_ANY] = "call",          [JADE_SIM_OPEN] = "open",
    [JADE_SIM_READ] = "read",         [JADE_SIM_WRITE] = "write",
    [JADE_SIM_SYNC] = "sync",         [JADE_SIM_ALLOCATE] = "allocate",
    [JADE_SIM_TRUNCATE] = "truncate", [JADE_SIM_MAP] = "map",
    [JADE_SIM_RENAME] = "rename",     [JADE_SIM_LINK] = "link",
    [JADE_SIM_UNLINK] = "unlink",     [JADE_SIM_MKDIR] = "mkdir",
    [JADE_SIM_RMDIR] = "rmdir",       [JADE_SIM_SYNC_DIR] = "sync of folder",
    [JADE_SIM_LIST] = "list",
};

static int errno_of(jade_code code)
{
    switch (code) {
    case JADE_E_NOT_FOUND:
        return ENOENT;
    case JADE_E_ALREADY_EXISTS:
        return EEXIST;
    case JADE_E_CONFLICT:
        return ENOTEMPTY;
    case JADE_E_NOSPACE:
        return ENOSPC;
    case JADE_E_NOMEM:
        return ENOMEM;
    case JADE_E_LOCKED:
        return EAGAIN;
    case JADE_E_INVALID_ARGUMENT:
        return EINVAL;
    default:
        return EIO;
    }
}

jade_code jadei_sim_fail(struct jade_err *err, jade_code code, const char *what, const char *path)
{
    return jade_fail_errno(err, code, errno_of(code), "%s %s", what, path);
}

/** Counts one call; true when it is the one to fail. */
static bool counts_and_fails(struct jadei_fault *f)
{
    f->calls++;
    return f->at != 0 && (f->calls == f->at || (f->forever && f->calls > f->at));
}

jade_code jadei_sim_step(struct jade_sim *s, enum jade_sim_op op, bool is_point, const char *path,
                         struct jade_err *err)
{
    s->clock_us++;
    if (is_point && !s->cut && s->cut_at != 0 && s->points + 1 >= s->cut_at) {
        s->cut = true;
    }
    if (s->cut) {
        return jade_fail_errno(err, JADE_E_IO, EIO, "the power is off: %s of %s", OP_NAMES[op],
                               path);
    }
    s->points += is_point ? 1 : 0;
    bool this_kind = counts_and_fails(&s->faults[op]);
    bool any_kind = counts_and_fails(&s->faults[JADE_SIM_ANY]);
    if (!this_kind && !any_kind) {
        return JADE_OK;
    }
    jade_code code = s->faults[this_kind ? op : JADE_SIM_ANY].code;
    return jade_fail_errno(err, code, errno_of(code), "injected fault: %s of %s", OP_NAMES[op],
                           path);
}

/* ---- set by tests ---- */

uint64_t jade_sim_points(const struct jade_sim *s)
{
    return s->points;
}

void jade_sim_cut_at(struct jade_sim *s, uint64_t n)
{
    jade_mutex_lock(&s->lock);
    s->cut_at = n;
    jade_mutex_unlock(&s->lock);
}

bool jade_sim_is_cut(const struct jade_sim *s)
{
    return s->cut;
}

void jade_sim_fail_at(struct jade_sim *s, enum jade_sim_op op, uint64_t n, jade_code code,
                      bool forever)
{
    JADE_ASSERT(op < JADE_SIM_OP_COUNT);
    JADE_ASSERT(n == 0 || code != JADE_OK);
    jade_mutex_lock(&s->lock);
    s->faults[op] = (struct jadei_fault){.at = n, .code = code, .forever = forever};
    jade_mutex_unlock(&s->lock);
}

uint64_t jade_sim_calls(const struct jade_sim *s, enum jade_sim_op op)
{
    JADE_ASSERT(op < JADE_SIM_OP_COUNT);
    return s->faults[op].calls;
}

void jade_sim_set_capacity(struct jade_sim *s, uint64_t bytes)
{
    jade_mutex_lock(&s->lock);
    s->capacity = bytes;
    jade_mutex_unlock(&s->lock);
}

void jade_sim_advance(struct jade_sim *s, uint64_t us)
{
    jade_mutex_lock(&s->lock);
    s->clock_us += us;
    jade_mutex_unlock(&s->lock);
}

uint32_t jade_sim_handles(const struct jade_sim *s)
{
    return s->handles;
}

static jade_code flip(struct jadei_image **m, uint64_t offset, uint8_t mask, const char *path,
                      struct jade_err *err)
{
    uint8_t b = 0;
    if (offset >= (*m)->size) {
        return JADE_OK;
    }
    if (!jadei_image_prepare(m, offset, 1)) {
        return jadei_sim_fail(err, JADE_E_NOMEM, "damaging", path);
    }
    jadei_image_get(*m, offset, &b, 1);
    b ^= mask;
    jadei_image_put(*m, offset, &b, 1);
    return JADE_OK;
}

jade_code jade_sim_damage(struct jade_sim *s, const char *path, uint64_t offset, uint8_t mask,
                          struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_place at;
    jade_mutex_lock(&s->lock);
    JADE_TRY(jadei_sim_find_kind(s, path, false, &at, err));
    struct jadei_node *n = s->nodes[at.node];
    if (offset >= n->live->size) {
        rc = jadei_sim_fail(err, JADE_E_INVALID_ARGUMENT, "damage past the end of", path);
        goto out;
    }
    if (n->live == n->durable) {
        /* One image: change it once, and keep it one, or every later sync would look like a difference. */
        JADE_TRY(flip(&n->live, offset, mask, path, err));
        jadei_image_unref(n->durable);
        n->durable = jadei_image_ref(n->live);
        goto out;
    }
    JADE_TRY(flip(&n->live, offset, mask, path, err));
    JADE_TRY(flip(&n->durable, offset, mask, path, err));
out:
    jade_mutex_unlock(&s->lock);
    return rc;
}
