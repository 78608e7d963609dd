/*
 * Inside of posix/: the handle types, the mapping of errno to codes, and the table of system calls that can fail half-way.
 *
 * The table exists for tests alone: they put functions in it that return short counts, EINTR or EIO, which a healthy file
 * system never does. It is read without a lock and must not change while other threads use the os.
 */
#ifndef JADE_OS_POSIX_PRIVATE_H
#define JADE_OS_POSIX_PRIVATE_H

#include <stdatomic.h>
#include <sys/types.h>

#include "os/os.h"

struct jadei_sys {
    ssize_t (*pread)(int fd, void *buf, size_t n, off_t offset);
    ssize_t (*pwrite)(int fd, const void *buf, size_t n, off_t offset);
    int (*fdatasync)(int fd);
    int (*fsync)(int fd);
    int (*fallocate)(int fd, int mode, off_t offset, off_t len);
    int (*ftruncate)(int fd, off_t size);
    ssize_t (*getrandom)(void *buf, size_t n, unsigned flags);
};
/** The calls in use; points to jadei_sys_real unless a test replaced it. */
extern const struct jadei_sys *jadei_sys;
extern const struct jadei_sys jadei_sys_real;

/* EINTR, EAGAIN or no progress this often in a row is an error, so that a broken file system cannot hang us (P10). */
enum { JADEI_RETRIES_MAX = 10000 };

struct jadei_posix_file {
    struct jade_file base;
    int fd;
    atomic_bool
        poisoned; /* P1: a write or sync failed; nothing more is written through this handle */
    char path[];  /* for messages */
};

/** The code for an errno; see os.h for the list. */
jade_code jadei_posix_code(int errnum);
/** Raises jadei_posix_code(errnum) as "<what> <path>: <errno text>". */
jade_code jadei_posix_fail(struct jade_err *err, int errnum, const char *what, const char *path);

jade_code jadei_posix_open(struct jade_os *os, const char *path, enum jade_open_mode mode,
                           struct jade_file **out, struct jade_err *err);
void jadei_posix_close(struct jade_file *f);
jade_code jadei_posix_read_at(struct jade_file *f, uint64_t offset, void *buf, size_t n,
                              size_t *read_out, struct jade_err *err);
jade_code jadei_posix_write_at(struct jade_file *f, uint64_t offset, const void *buf, size_t n,
                               struct jade_err *err);
jade_code jadei_posix_sync(struct jade_file *f, struct jade_err *err);
jade_code jadei_posix_size(struct jade_file *f, uint64_t *size_out, struct jade_err *err);
jade_code jadei_posix_allocate(struct jade_file *f, uint64_t size, struct jade_err *err);
jade_code jadei_posix_truncate(struct jade_file *f, uint64_t size, struct jade_err *err);
jade_code jadei_posix_map(struct jade_os *os, const char *path, struct jade_mapping *out,
                          struct jade_err *err);
void jadei_posix_unmap(struct jade_os *os, struct jade_mapping *m);

jade_code jadei_posix_rename(struct jade_os *os, const char *from, const char *to,
                             struct jade_err *err);
jade_code jadei_posix_link(struct jade_os *os, const char *from, const char *to,
                           struct jade_err *err);
jade_code jadei_posix_unlink(struct jade_os *os, const char *path, struct jade_err *err);
jade_code jadei_posix_mkdir(struct jade_os *os, const char *path, struct jade_err *err);
jade_code jadei_posix_rmdir(struct jade_os *os, const char *path, struct jade_err *err);
jade_code jadei_posix_sync_dir(struct jade_os *os, const char *path, struct jade_err *err);
jade_code jadei_posix_list(struct jade_os *os, const char *path, jade_list_fn fn, void *ctx,
                           struct jade_err *err);
jade_code jadei_posix_exists(struct jade_os *os, const char *path, bool *exists_out,
                             struct jade_err *err);

#endif
