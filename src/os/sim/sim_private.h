/*
 * Inside of sim/: how a disk is kept so that copying it costs next to nothing.
 *
 * Everything that can be large is shared between a disk and its clones and copied when first written: images of files are
 * tables of 16 KiB extents, names are counted strings, and pending effects are lists that only grow at their new end. So a
 * clone counts references, a sync of a file is "durable = live", and a reboot copies only the extents that pending effects touch.
 *
 * Invariants
 * 1. Bytes of an image past its size are zero, in extents that exist.
 * 2. A folder's durable image plus all its pending effects is its live image. The same holds for a file unless `diverged`:
 *    after a failed sync the page cache may show bytes that no later sync writes (P1).
 * 3. Reference counts are atomic: clones may be used by other threads; a shared object is never changed.
 */
#ifndef JADE_OS_SIM_PRIVATE_H
#define JADE_OS_SIM_PRIVATE_H

#include <stdatomic.h>

#include "base/random.h"
#include "os/sim.h"
#include "os/thread.h"

enum {
    JADEI_SECTOR = 512,   /* what a disk writes whole or not at all (but for one torn one) */
    JADEI_EXTENT = 16384, /* copied at the first write after a sync or clone */
    JADEI_NAME_MAX = 255, /* as ext4 and XFS */
    JADEI_ROOT = 0,       /* node number of the root folder */
    JADEI_SIM_NODES_MAX = 1 << 20,
};
#define JADEI_NO_NODE UINT32_MAX

/* ---- content of files ---- */

struct jadei_extent {
    atomic_uint refs;
    uint8_t bytes[JADEI_EXTENT];
};
struct jadei_image {
    atomic_uint refs;
    uint64_t size;                 /* of the file */
    size_t n;                      /* extents in the table; NULL = zeros */
    struct jadei_extent **extents; /* one block with the table's room; NULL when n is 0 */
};

struct jadei_image *jadei_image_new(void); /* empty; NULL when memory is short */
struct jadei_image *jadei_image_ref(struct jadei_image *m);
void jadei_image_unref(struct jadei_image *m); /* NULL is allowed */
/** Makes *m and its extents in the range ours alone, so that jadei_image_put cannot fail; false when memory is short. */
bool jadei_image_prepare(struct jadei_image **m, uint64_t offset, uint64_t n);
/** Writes into a prepared range; does not change the size. */
void jadei_image_put(struct jadei_image *m, uint64_t offset, const uint8_t *p, size_t n);
/** Zeroes everything from `size` on (invariant 1) and sets the size; false when memory is short, then nothing changed. */
bool jadei_image_resize(struct jadei_image **m, uint64_t size);
/** Copies a range out; bytes past the table are zero. */
void jadei_image_get(const struct jadei_image *m, uint64_t offset, uint8_t *p, size_t n);

/** One unsynced change of a file; immutable, shared by clones. */
struct jadei_effect {
    atomic_uint refs;
    struct jadei_effect *older;
    uint64_t offset, n;          /* bytes written; n = 0 for truncate and allocate */
    uint64_t old_size, new_size; /* equal when the size did not change */
    uint8_t data[];
};

struct jadei_effect *jadei_effect_new(uint64_t offset, const uint8_t *p, size_t n);
void jadei_effect_unref(struct jadei_effect *e); /* NULL is allowed */

/* ---- folders ---- */

struct jadei_name {
    atomic_uint refs;
    char text[];
};
struct jadei_entry {
    struct jadei_name *name;
    uint32_t node;
};
struct jadei_dir {
    atomic_uint refs;
    size_t n, cap;
    struct jadei_entry *entries;
};

/** One unsynced change of a folder: `del` goes, then `set` points to node. Either may be NULL; both = rename within it. */
struct jadei_dir_effect {
    atomic_uint refs;
    struct jadei_dir_effect *older;
    struct jadei_name *del, *set;
    uint32_t node;
    uint32_t peer;  /* cross != 0: the folder with the other half of this rename */
    uint64_t cross; /* number shared by both halves of a rename between folders, or 0 */
};

struct jadei_name *jadei_name_new(const char *text);
void jadei_name_unref(struct jadei_name *n); /* NULL is allowed */
struct jadei_dir *jadei_dir_new(void);
struct jadei_dir *jadei_dir_ref(struct jadei_dir *d);
void jadei_dir_unref(struct jadei_dir *d); /* NULL is allowed */
uint32_t jadei_dir_find(const struct jadei_dir *d, const char *name);
/** Makes *d ours alone with room for one entry more; false when memory is short. */
bool jadei_dir_prepare(struct jadei_dir **d);
/** Carries out del and set of e on a prepared folder. */
void jadei_dir_apply(struct jadei_dir *d, const struct jadei_dir_effect *e);
struct jadei_dir_effect *jadei_dir_effect_new(const char *del, const char *set, uint32_t node);
void jadei_dir_effect_unref(struct jadei_dir_effect *e); /* NULL is allowed */

/* ---- the disk ---- */

struct jadei_node {
    bool is_dir;
    bool locked;    /* by jade_os_lock */
    bool diverged;  /* file: live is not durable + effects (invariant 2) */
    uint32_t links; /* names in live folders */
    uint32_t open;  /* handles */
    /* file */
    struct jadei_image *live, *durable;
    struct jadei_effect *newest;
    size_t n_effects;
    size_t
        n_failed; /* that many of the oldest effects were covered by a failed sync: no later sync can save them */
    /* folder */
    struct jadei_dir *dir_live, *dir_durable;
    struct jadei_dir_effect *dir_newest;
    size_t
        n_dir_effects; /* only the newest n of the list are pending; what is older is already durable */
};

struct jadei_fault {
    uint64_t at; /* 0 = none */
    uint64_t calls;
    jade_code code;
    bool forever;
};

struct jade_sim {
    struct jade_os base;
    struct jade_mutex lock;
    struct jade_random random;
    struct jadei_node **nodes; /* by number; NULL = free */
    uint32_t n_nodes, cap_nodes;
    uint32_t used_nodes, collect_at; /* nodes in use; collect garbage at this many */
    uint64_t points, cut_at;
    bool cut;
    uint64_t clock_us;
    uint64_t capacity;
    uint64_t generation; /* of the running "process": handles of an older one are dead */
    uint64_t last_cross;
    uint32_t handles; /* open files and locks of any generation */
    struct jadei_fault faults[JADE_SIM_OP_COUNT];
};

struct jadei_sim_file {
    struct jade_file base;
    struct jade_sim *sim;
    uint64_t generation;
    uint32_t node;
    bool writable;
    bool poisoned;
    char path[];
};

extern const struct jade_os_ops jadei_sim_ops;

/** Locks the disk. */
struct jade_sim *jadei_sim_enter(struct jade_os *os);
void jadei_sim_leave(struct jade_sim *s);
/** One call of kind `op` on `path`: moves the clock, counts, cuts power, injects a fault. is_point: it changes or syncs. */
jade_code jadei_sim_step(struct jade_sim *s, enum jade_sim_op op, bool is_point, const char *path,
                         struct jade_err *err);
/** Raises `code` with the errno that posix/ would have had. */
jade_code jadei_sim_fail(struct jade_err *err, jade_code code, const char *what, const char *path);

struct jadei_node *jadei_node_new(bool is_dir);
void jadei_node_free(struct jadei_node *n);
/** Puts a node into the table; JADEI_NO_NODE when memory is short. */
uint32_t jadei_sim_add_node(struct jade_sim *s, struct jadei_node *n);
/** Frees the nodes that no name, durable or pending, and no handle leads to; counts links anew. Skipped when memory is short. */
void jadei_sim_collect(struct jade_sim *s);
uint64_t jadei_sim_used(const struct jade_sim *s);

/** Where a path leads: node is JADEI_NO_NODE when its last name is missing; parent is JADEI_NO_NODE for the root. */
struct jadei_place {
    uint32_t parent, node;
    char name[JADEI_NAME_MAX + 1];
};
jade_code jadei_sim_find(const struct jade_sim *s, const char *path, struct jadei_place *out,
                         struct jade_err *err);
/** As jadei_sim_find, but a missing one is JADE_E_NOT_FOUND and the wrong kind JADE_E_IO. */
jade_code jadei_sim_find_kind(const struct jade_sim *s, const char *path, bool is_dir,
                              struct jadei_place *out, struct jade_err *err);
/** Makes an empty file or folder under a name that is free. */
jade_code jadei_sim_create(struct jade_sim *s, const struct jadei_place *at, bool is_dir,
                           uint32_t *node_out, struct jade_err *err);

jade_code jadei_sim_rename(struct jade_os *os, const char *from, const char *to,
                           struct jade_err *err);
jade_code jadei_sim_link(struct jade_os *os, const char *from, const char *to,
                         struct jade_err *err);
jade_code jadei_sim_unlink(struct jade_os *os, const char *path, struct jade_err *err);
jade_code jadei_sim_mkdir(struct jade_os *os, const char *path, struct jade_err *err);
jade_code jadei_sim_rmdir(struct jade_os *os, const char *path, struct jade_err *err);
jade_code jadei_sim_list(struct jade_os *os, const char *path, jade_list_fn fn, void *ctx,
                         struct jade_err *err);
jade_code jadei_sim_exists(struct jade_os *os, const char *path, bool *exists_out,
                           struct jade_err *err);

jade_code jadei_sim_open(struct jade_os *os, const char *path, enum jade_open_mode mode,
                         struct jade_file **out, struct jade_err *err);
void jadei_sim_close(struct jade_file *f);
jade_code jadei_sim_read_at(struct jade_file *f, uint64_t offset, void *buf, size_t n,
                            size_t *read_out, struct jade_err *err);
jade_code jadei_sim_write_at(struct jade_file *f, uint64_t offset, const void *buf, size_t n,
                             struct jade_err *err);
jade_code jadei_sim_sync(struct jade_file *f, struct jade_err *err);
jade_code jadei_sim_size(struct jade_file *f, uint64_t *size_out, struct jade_err *err);
jade_code jadei_sim_allocate(struct jade_file *f, uint64_t size, struct jade_err *err);
jade_code jadei_sim_truncate(struct jade_file *f, uint64_t size, struct jade_err *err);
jade_code jadei_sim_map(struct jade_os *os, const char *path, struct jade_mapping *out,
                        struct jade_err *err);
void jadei_sim_unmap(struct jade_os *os, struct jade_mapping *m);

/* ---- crash states (sim_crash.c) ---- */

/** Makes all pending effects of a file durable as a successful sync does. */
jade_code jadei_sim_persist_file(struct jade_sim *s, struct jadei_node *n, const char *path,
                                 struct jade_err *err);
/** Makes a folder's pending effects durable, with what renames to and from other folders bring along. */
jade_code jadei_sim_persist_dir(struct jade_sim *s, uint32_t node, const char *path,
                                struct jade_err *err);
jade_code jadei_sim_sync_dir(struct jade_os *os, const char *path, struct jade_err *err);

#endif
