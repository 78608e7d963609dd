/*
 * The catalog: small things that must never be lost (databases, API keys), as keys and values with compare-and-swap.
 *
 * What is behind is a vtable: sqlite/ for a standalone server. Every implementation passes test/unit/catalog/contract.h.
 *
 * Invariants
 * 1. A change that returned JADE_OK survives a power cut. One that returned JADE_E_CONFLICT, JADE_E_INVALID_ARGUMENT, JADE_E_TOO_LARGE,
 *    JADE_E_NOMEM, JADE_E_NOSPACE changed nothing. After JADE_E_IO it is unknown, and writes stop (JADE_E_POISONED) until the catalog is
 *    opened again.
 * 2. Every change has a revision, larger than all before it, also across restarts and deletions. An item carries that of its last change.
 * 3. A list is one moment: no change happens between its items.
 * 4. Damage found while reading is JADE_E_CORRUPT, never a wrong value: each item has a checksum of its own.
 *
 * Ownership: the caller owns the catalog until jade_catalog_close. Threads: all functions but close from any thread.
 *
 * Calling sequence, for a change that must not overwrite another's:
 *     jade_catalog_get(c, key, &value, &revision, err);         // JADE_E_NOT_FOUND: revision stays 0
 *     jade_catalog_cas(c, key, revision, new, n, &revision, err); // JADE_E_CONFLICT: read again
 */
#ifndef JADE_CATALOG_CATALOG_H
#define JADE_CATALOG_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum {
    JADE_CATALOG_KEY_MAX = 512,       /* bytes of a key; 1 at least, no NUL inside */
    JADE_CATALOG_VALUE_MAX = 1 << 20, /* bytes of a value; etcd takes 1.5 MiB a request */
};
/** Revision that no item has: "must not exist" in jade_catalog_cas. */
#define JADE_REVISION_NONE UINT64_C(0)
/** For jade_catalog_delete: whatever its revision. */
#define JADE_REVISION_ANY UINT64_MAX

struct jade_catalog;

/** One item of a list; valid during the callback only. */
struct jade_catalog_item {
    const char *key; /* NUL-terminated */
    const void *value;
    size_t value_len;
    uint64_t revision;
};
/** Must not call the catalog. A non-OK code stops the list and is returned. */
typedef jade_code (*jade_catalog_fn)(void *ctx, const struct jade_catalog_item *item,
                                     struct jade_err *err);

struct jade_catalog_ops {
    const char *name; /* "sqlite" */
    jade_code (*get)(struct jade_catalog *c, const char *key, struct jade_buf *value_out,
                     uint64_t *revision_out, struct jade_err *err);
    jade_code (*list)(struct jade_catalog *c, const char *prefix, jade_catalog_fn fn, void *ctx,
                      struct jade_err *err);
    jade_code (*put)(struct jade_catalog *c, const char *key, uint64_t expected, const void *value,
                     size_t n, uint64_t *revision_out,
                     struct jade_err *err); /* expected JADE_REVISION_ANY = unconditional */
    jade_code (*delete_)(struct jade_catalog *c, const char *key, uint64_t expected,
                         struct jade_err *err);
    void (*close)(struct jade_catalog *c);
};
/** Every implementation begins with this. */
struct jade_catalog {
    const struct jade_catalog_ops *ops;
};

/** Value of a key, appended to value_out (NULL: only the revision is wanted). Errors: JADE_E_NOT_FOUND (*revision_out = 0), JADE_E_CORRUPT, JADE_E_IO, JADE_E_NOMEM. */
jade_code jade_catalog_get(struct jade_catalog *c, const char *key, struct jade_buf *value_out,
                           uint64_t *revision_out, struct jade_err *err);
/** Calls fn for each item whose key begins with prefix ("" = all), in the order of the keys' bytes. */
jade_code jade_catalog_list(struct jade_catalog *c, const char *prefix, jade_catalog_fn fn,
                            void *ctx, struct jade_err *err);
/** Stores a value, whatever was there. revision_out (nullable): of this change. */
jade_code jade_catalog_put(struct jade_catalog *c, const char *key, const void *value, size_t n,
                           uint64_t *revision_out, struct jade_err *err);
/** Stores a value if the key's revision is `expected` (JADE_REVISION_NONE: if the key does not exist); else JADE_E_CONFLICT. */
jade_code jade_catalog_cas(struct jade_catalog *c, const char *key, uint64_t expected,
                           const void *value, size_t n, uint64_t *revision_out,
                           struct jade_err *err);
/** Removes a key if its revision is `expected` (JADE_REVISION_ANY: in any case). Errors: JADE_E_NOT_FOUND, JADE_E_CONFLICT. */
jade_code jade_catalog_delete(struct jade_catalog *c, const char *key, uint64_t expected,
                              struct jade_err *err);
/** NULL is allowed. No call may be running. */
void jade_catalog_close(struct jade_catalog *c);

/**
 * The catalog of a standalone server: one SQLite file at `path`, made when missing (*created_out, nullable, tells), in WAL mode with
 * synchronous=FULL. The caller holds the lock of the data folder: one process at a time.
 * Errors: JADE_E_CORRUPT, JADE_E_VERSION (written by a newer build), JADE_E_LOCKED, JADE_E_IO, JADE_E_NOSPACE, JADE_E_NOMEM.
 */
jade_code jade_catalog_open_sqlite(const char *path, struct jade_catalog **out, bool *created_out,
                                   struct jade_err *err);

#endif
