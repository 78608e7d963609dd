/*
 * The simulated disk (reliability.md T3): a jade_os in memory that knows, for every file and folder, what has reached stable
 * storage and what has not, so that a test can ask "what could be on the disk if power went now?".
 *
 * Model
 * - A file has a durable image (what its last sync made stable) and a list of pending effects since: writes, split into
 *   512-byte sectors, and size changes (allocate, truncate). A sector write survives a cut or not, independently of all others
 *   (reordering), and at most one of the surviving pending sectors may be torn (a prefix of its bytes new, the rest old).
 * - Folder entries (create, rename, link, unlink, mkdir, rmdir) are pending effects of their folder until sync_dir; they survive a cut as
 *   a prefix in order, or not (a rename is one effect: old or new name, never none or both). fsync of a new file does not persist
 *   its name.
 * - Every call of the interface that changes or syncs is numbered from 1: an "I/O point". A cut can be set before or after point n: from
 *   then on every call fails with JADE_E_IO, until the test "reboots" into one crash state.
 * - Faults: the n-th call of a kind (or of any kind) fails with a code, once or for ever; short reads are not modelled (the real
 *   posix/ loops them, and has its own tests).
 * - The clock advances only by jade_sim_advance and by 1 µs a call. Randomness comes from the seed.
 *
 * Threads: one lock around everything; meant for single-threaded scripts.
 */
#ifndef JADE_OS_SIM_H
#define JADE_OS_SIM_H

#include "os/os.h"

struct jade_sim;

enum jade_sim_op {
    JADE_SIM_ANY,
    JADE_SIM_OPEN,
    JADE_SIM_READ,
    JADE_SIM_WRITE,
    JADE_SIM_SYNC,
    JADE_SIM_ALLOCATE,
    JADE_SIM_TRUNCATE,
    JADE_SIM_MAP,
    JADE_SIM_RENAME,
    JADE_SIM_LINK,
    JADE_SIM_UNLINK,
    JADE_SIM_MKDIR,
    JADE_SIM_RMDIR,
    JADE_SIM_SYNC_DIR,
    JADE_SIM_LIST,
    JADE_SIM_OP_COUNT
};

/** An empty disk. */
jade_code jade_sim_new(uint64_t seed, struct jade_sim **out, struct jade_err *err);
void jade_sim_free(struct jade_sim *s);
/** The os to hand to the code under test. */
struct jade_os *jade_sim_os(struct jade_sim *s);
/** Deep copy with pending effects and no open handles; the copy has a fresh seed. */
jade_code jade_sim_clone(const struct jade_sim *s, uint64_t seed, struct jade_sim **out,
                         struct jade_err *err);

/** Number of I/O points passed so far. */
uint64_t jade_sim_points(const struct jade_sim *s);
/** Power goes before I/O point n is carried out (n counts from 1 over the sim's life; 0 = never). */
void jade_sim_cut_at(struct jade_sim *s, uint64_t n);
bool jade_sim_is_cut(const struct jade_sim *s);

/** How pending effects are drawn at a reboot. */
enum jade_sim_policy {
    JADE_SIM_LOSE_ALL, /* nothing unsynced survived */
    JADE_SIM_KEEP_ALL, /* everything written survived (kill -9) */
    JADE_SIM_RANDOM, /* each sector by coin, folder effects by random prefix, one torn sector at times */
    JADE_SIM_LAST_ONLY, /* only the newest pending effect of each file survived (reordering at its worst) */
};
/** Turns this disk into one crash state: pending effects are resolved by policy and `seed`, becoming durable; all handles die (their calls fail); faults and cut are cleared. */
void jade_sim_reboot(struct jade_sim *s, enum jade_sim_policy policy, uint64_t seed);

/** The n-th call (from now, 1 = next) of this kind fails with `code` and errno; `forever` = all later ones too. n = 0 clears. */
void jade_sim_fail_at(struct jade_sim *s, enum jade_sim_op op, uint64_t n, jade_code code,
                      bool forever);
/** Calls of this kind since the last jade_sim_fail_at for it. */
uint64_t jade_sim_calls(const struct jade_sim *s, enum jade_sim_op op);
/** Bytes the disk may hold; beyond it allocate and growing writes fail with JADE_E_NOSPACE. 0 = no bound. */
void jade_sim_set_capacity(struct jade_sim *s, uint64_t bytes);
void jade_sim_advance(struct jade_sim *s, uint64_t us);
/** Flips bits in a stored file's durable image: xor `mask` into the byte at offset. Errors: JADE_E_NOT_FOUND. */
jade_code jade_sim_damage(struct jade_sim *s, const char *path, uint64_t offset, uint8_t mask,
                          struct jade_err *err);

#endif
