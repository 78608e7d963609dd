/*
 * One interface for everything the machine does for us: files, folders, clocks, randomness. Nobody above src/os makes a system call
 * for these. posix/ is the real one; sim/ is the test disk that can cut power at any point and fail any call.
 *
 * Invariants
 * 1. Reads and writes are complete or an error: short ones, EINTR and EAGAIN are looped here (P10).
 * 2. jade_os_publish is the only way to give a file its final name: write, sync, rename, sync of the folder (P2). There is no
 *    plain rename in this interface.
 * 3. A file whose sync failed is not believed again: its handle answers JADE_E_IO to every later write and sync (P1).
 * 4. Mappings are read-only; a mapped file is never truncated or written (P7).
 * 5. Deadlines use the monotonic clock; the wall clock is for display and stored times only (P11).
 *
 * Ownership: handles belong to the caller until closed. Paths are NUL-terminated UTF-8, relative or absolute, at most
 * JADE_PATH_MAX - 1 bytes. Threads: an os and its files may be used from several threads; read_at and write_at on one file may
 * run at the same time (on disjoint ranges). Errors: JADE_E_NOT_FOUND, JADE_E_ALREADY_EXISTS, JADE_E_CONFLICT (rmdir of a folder
 * that is not empty), JADE_E_NOSPACE (ENOSPC, EDQUOT, EFBIG), JADE_E_LOCKED, JADE_E_NOMEM, JADE_E_INVALID_ARGUMENT (a path too long
 * or empty), JADE_E_IO for all else, a folder where a file is expected (or the reverse) and missing permission included. The
 * message holds path and errno text. A program that may run under RLIMIT_FSIZE ignores SIGXFSZ, to get JADE_E_NOSPACE instead.
 */
#ifndef JADE_OS_OS_H
#define JADE_OS_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { JADE_PATH_MAX = 4096 };

enum jade_open_mode {
    JADE_OPEN_READ,   /* must exist */
    JADE_OPEN_WRITE,  /* must exist; read and write */
    JADE_OPEN_CREATE, /* must not exist; read and write */
};

struct jade_os;
struct jade_file;
struct jade_lock;

/** A read-only mapping of a whole file. */
struct jade_mapping {
    const uint8_t *data; /* NULL when the file is empty */
    size_t size;
    void *priv;
};

/**
 * Called for each entry of a folder (without . and ..), in no particular order; a non-OK code stops the listing and is returned. It may
 * call the os; whether entries made or removed meanwhile appear is unspecified.
 */
typedef jade_code (*jade_list_fn)(void *ctx, const char *name, bool is_dir, struct jade_err *err);

struct jade_os_ops {
    jade_code (*open)(struct jade_os *os, const char *path, enum jade_open_mode mode,
                      struct jade_file **out, struct jade_err *err);
    void (*close)(struct jade_file *f);
    jade_code (*read_at)(struct jade_file *f, uint64_t offset, void *buf, size_t n,
                         size_t *read_out, struct jade_err *err);
    jade_code (*write_at)(struct jade_file *f, uint64_t offset, const void *buf, size_t n,
                          struct jade_err *err);
    jade_code (*sync)(struct jade_file *f, struct jade_err *err);
    jade_code (*size)(struct jade_file *f, uint64_t *size_out, struct jade_err *err);
    jade_code (*allocate)(struct jade_file *f, uint64_t size, struct jade_err *err);
    jade_code (*truncate)(struct jade_file *f, uint64_t size, struct jade_err *err);
    jade_code (*map)(struct jade_os *os, const char *path, struct jade_mapping *out,
                     struct jade_err *err);
    void (*unmap)(struct jade_os *os, struct jade_mapping *m);
    jade_code (*rename)(struct jade_os *os, const char *from, const char *to, struct jade_err *err);
    jade_code (*link)(struct jade_os *os, const char *from, const char *to, struct jade_err *err);
    jade_code (*unlink)(struct jade_os *os, const char *path, struct jade_err *err);
    jade_code (*mkdir)(struct jade_os *os, const char *path, struct jade_err *err);
    jade_code (*rmdir)(struct jade_os *os, const char *path, struct jade_err *err);
    jade_code (*sync_dir)(struct jade_os *os, const char *path, struct jade_err *err);
    jade_code (*list)(struct jade_os *os, const char *path, jade_list_fn fn, void *ctx,
                      struct jade_err *err);
    jade_code (*exists)(struct jade_os *os, const char *path, bool *exists_out,
                        struct jade_err *err);
    jade_code (*lock)(struct jade_os *os, const char *path, struct jade_lock **out,
                      struct jade_err *err);
    void (*unlock)(struct jade_lock *l);
    jade_code (*space)(struct jade_os *os, const char *path, uint64_t *free_out,
                       uint64_t *total_out, struct jade_err *err);
    uint64_t (*mono_us)(struct jade_os *os);
    int64_t (*wall_us)(struct jade_os *os);
    jade_code (*random)(struct jade_os *os, void *buf, size_t n, struct jade_err *err);
};

/** Every implementation begins with this. */
struct jade_os {
    const struct jade_os_ops *ops;
};
struct jade_file {
    const struct jade_os_ops *ops;
};
struct jade_lock {
    const struct jade_os_ops *ops;
};

/** The real machine; one shared object, never freed. */
struct jade_os *jade_os_posix(void);

/* ---- files ---- */
jade_code jade_file_open(struct jade_os *os, const char *path, enum jade_open_mode mode,
                         struct jade_file **out, struct jade_err *err);
/** NULL is allowed. Closing does not sync. */
void jade_file_close(struct jade_file *f);
/** Exactly n bytes, or JADE_E_CORRUPT when the file ends before. */
jade_code jade_file_read(struct jade_file *f, uint64_t offset, void *buf, size_t n,
                         struct jade_err *err);
/** Up to n bytes: *read_out is smaller only at the end of the file. */
jade_code jade_file_read_some(struct jade_file *f, uint64_t offset, void *buf, size_t n,
                              size_t *read_out, struct jade_err *err);
/** All n bytes. After an error the content of the range is unknown; any error but JADE_E_NOSPACE poisons the handle (P1). */
jade_code jade_file_write(struct jade_file *f, uint64_t offset, const void *buf, size_t n,
                          struct jade_err *err);
/** Data and size are on stable storage afterwards (fdatasync). An error poisons the handle: it is never tried again (P1). */
jade_code jade_file_sync(struct jade_file *f, struct jade_err *err);
jade_code jade_file_size(struct jade_file *f, uint64_t *size_out, struct jade_err *err);
/** Reserves space so that later writes within `size` cannot meet ENOSPC; the file then reads as zeros up to size (P9). */
jade_code jade_file_allocate(struct jade_file *f, uint64_t size, struct jade_err *err);
jade_code jade_file_truncate(struct jade_file *f, uint64_t size, struct jade_err *err);

/* ---- whole files and folders ---- */
jade_code jade_os_map(struct jade_os *os, const char *path, struct jade_mapping *out,
                      struct jade_err *err);
void jade_os_unmap(struct jade_os *os, struct jade_mapping *m);
/**
 * Syncs the finished file `tmp` (open as f, not closed by this), renames it to `final` (replacing it) and syncs the folder of `final`.
 * After an error `final` is the old or the new file, whole, and which one a power cut would leave is not known.
 */
jade_code jade_os_publish(struct jade_os *os, struct jade_file *f, const char *tmp,
                          const char *final, struct jade_err *err);
/**
 * Writes n bytes to `<path>.tmp` and publishes it as path: either the old content or the new one survives, never a mixture.
 * One caller at a time for a path; a `<path>.tmp` that a crash left is replaced.
 */
jade_code jade_os_replace(struct jade_os *os, const char *path, const void *buf, size_t n,
                          struct jade_err *err);
/** Whole file into fresh memory (jade_free), refused with JADE_E_TOO_LARGE above max bytes. */
jade_code jade_os_read_file(struct jade_os *os, const char *path, size_t max, uint8_t **data_out,
                            size_t *size_out, struct jade_err *err);
jade_code jade_os_link(struct jade_os *os, const char *from, const char *to, struct jade_err *err);
jade_code jade_os_unlink(struct jade_os *os, const char *path, struct jade_err *err);
/** Existing folder: JADE_E_ALREADY_EXISTS. */
jade_code jade_os_mkdir(struct jade_os *os, const char *path, struct jade_err *err);
/**
 * Creates missing parents too; existing folders are fine. Each new entry is synced in its parent before the next is made, and so is
 * the deepest entry that existed, which a process killed in here may have left unsynced.
 */
jade_code jade_os_mkdirs(struct jade_os *os, const char *path, struct jade_err *err);
jade_code jade_os_rmdir(struct jade_os *os, const char *path, struct jade_err *err);
/**
 * Removes a folder with all it holds (depth-bounded, no recursion on the stack); a missing one is fine. Not synced: a power cut may
 * bring parts of it back, so the names must mean nothing any more before this is called.
 */
jade_code jade_os_remove_tree(struct jade_os *os, const char *path, struct jade_err *err);
jade_code jade_os_sync_dir(struct jade_os *os, const char *path, struct jade_err *err);
jade_code jade_os_list(struct jade_os *os, const char *path, jade_list_fn fn, void *ctx,
                       struct jade_err *err);
jade_code jade_os_exists(struct jade_os *os, const char *path, bool *exists_out,
                         struct jade_err *err);
/** Exclusive lock on a file (created when missing), held until unlock or the process ends; JADE_E_LOCKED when another has it. */
jade_code jade_os_lock(struct jade_os *os, const char *path, struct jade_lock **out,
                       struct jade_err *err);
void jade_os_unlock(struct jade_lock *l);
/** Bytes free to us and total of the file system that holds path. */
jade_code jade_os_space(struct jade_os *os, const char *path, uint64_t *free_out,
                        uint64_t *total_out, struct jade_err *err);
/** "dir/name" into out (JADE_PATH_MAX bytes; out may be dir itself); JADE_E_INVALID_ARGUMENT when too long. */
jade_code jade_path_join(char *out, const char *dir, const char *name, struct jade_err *err);

/* ---- clock, randomness ---- */
uint64_t jade_os_mono_us(struct jade_os *os);
/** Microseconds since 1970-01-01 UTC. */
int64_t jade_os_wall_us(struct jade_os *os);
/** Unpredictable bytes (sim: from its seed). */
jade_code jade_os_random(struct jade_os *os, void *buf, size_t n, struct jade_err *err);

#endif
