/*
 * The simulated disk (reliability.md T3): a jade_os in memory that knows, for every file and folder, what has reached stable
 * storage and what has not, so that a test can ask "what could be on the disk if power went now?". It allows at a cut what ext4,
 * XFS and POSIX allow at worst, and nothing that no disk does.
 *
 * Model
 * - A file has a durable image (what its last sync made stable) and a list of pending effects since: writes, split into
 *   512-byte sectors, and size changes (by growing writes, allocate, truncate). A sector write survives a cut or not, independently
 *   of all others (reordering), and at most one of the surviving pending sectors of the disk is torn (a prefix of its bytes new, the
 *   rest old). A sector that was written again carries what was in it before: a later write survives only with the earlier ones
 *   of the same sector.
 * - Size changes of a file survive as a prefix in order (a journal commits them so); the last growing write may have grown the
 *   file only to a sector boundary on its way. A sector past the surviving size is gone; a lost one inside it reads as it was before,
 *   or as zeros (no stale blocks: ext4 data=ordered, XFS). What was written where a lost truncate had cut is lost with it.
 * - Folder entries (create, rename, link, unlink, mkdir, rmdir) are pending effects of their folder until sync_dir; they survive a cut as
 *   a prefix in order, or not (a rename is one effect: old or new name, never none or both; also between folders, where syncing
 *   either folder syncs both halves and what came before them). Folders are independent of each other and of the files: fsync of a new
 *   file does not persist its name; a surviving name (also of a link) shows whatever of the content survived, at worst an empty
 *   file; under a folder whose own entry is lost everything is lost, synced or not. A surviving rmdir takes what was below.
 * - A failed sync makes nothing durable and never will: its sectors survive by chance, a later sync on any handle does not save
 *   them, while reads go on showing them (the page cache lies, P1). A failed write may have written some sectors from the front.
 *   Handles are poisoned as in os.h. Other calls that fail change nothing; after a failed sync_dir the entries are still pending.
 * - Every call of the interface that changes or syncs (lock too, it may create its file) is numbered from 1, whether it succeeds or
 *   not: an "I/O point". A cut can be set before point n (after point n = before n + 1): from then on every call on the disk fails
 *   with JADE_E_IO, until the test "reboots" into one crash state.
 * - Faults: the n-th call of a kind (or of any kind) fails with a code, once or for ever; short reads are not modelled (the real
 *   posix/ loops them, and has its own tests). lock counts as OPEN, size as READ, exists and space as LIST.
 * - The clock advances only by jade_sim_advance and by 1 µs a call. Randomness comes from the seed. Listings come in random order.
 * - No symbolic links, no "..", no rename of folders. A mapping is a copy of the file as it was, valid until unmapped, even
 *   after the disk is freed.
 *
 * Cost: contents are shared and copied when written, in extents of 16 KiB: a clone costs some references a file, a reboot copies what
 * the pending effects touch.
 *
 * Calling sequence of a sweep: run the script once for its number of points N; for n = 1..N + 1 run it on a fresh disk with cut_at(n)
 * (or clone a running one), then for each policy and seed: clone, reboot, open the code under test on the clone, check.
 *
 * Threads: one lock around everything; meant for single-threaded scripts. Clones may be used by different threads. Memory: a reboot
 * asserts that memory suffices; other calls answer JADE_E_NOMEM.
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
/** All files and locks must be closed, whatever happened to the disk (asserted). NULL is allowed. */
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
    JADE_SIM_KEEP_ALL, /* everything written survived */
    JADE_SIM_RANDOM, /* each file by a tendency (all, none, newest only, each sector by coin), folders by prefix, a torn sector at times */
    JADE_SIM_LAST_ONLY, /* only the newest pending effect of each file, but all names: reordering at its worst */
};
/**
 * Turns this disk into one crash state: pending effects are resolved by policy and `seed`, and what survived is durable; all handles
 * die (their calls fail with JADE_E_IO, closing them is still due); faults and cut are cleared.
 */
void jade_sim_reboot(struct jade_sim *s, enum jade_sim_policy policy, uint64_t seed);

/** Kill -9: handles die, locks go, faults and cut are cleared, but the page cache stays: what was pending is seen, and still pending. */
void jade_sim_kill(struct jade_sim *s);

/** The n-th call (from now, 1 = next) of this kind fails with `code` and errno; `forever` = all later ones too. n = 0 clears. */
void jade_sim_fail_at(struct jade_sim *s, enum jade_sim_op op, uint64_t n, jade_code code,
                      bool forever);
/** Calls of this kind since the last jade_sim_fail_at for it. */
uint64_t jade_sim_calls(const struct jade_sim *s, enum jade_sim_op op);
/** Bytes the disk may hold; beyond it allocate and growing writes fail with JADE_E_NOSPACE. 0 = no bound. */
void jade_sim_set_capacity(struct jade_sim *s, uint64_t bytes);
void jade_sim_advance(struct jade_sim *s, uint64_t us);
/** Files and locks that are open (those from before a reboot included, until closed): to find leaks. */
uint32_t jade_sim_handles(const struct jade_sim *s);
/**
 * Flips bits in a stored file: xor `mask` into the byte at offset, as readers see it too (the page cache was dropped). Not in mappings
 * made before, nor in writes that are still pending. Errors: JADE_E_NOT_FOUND, JADE_E_INVALID_ARGUMENT (past the end).
 */
jade_code jade_sim_damage(struct jade_sim *s, const char *path, uint64_t offset, uint8_t mask,
                          struct jade_err *err);

#endif
