/*
 * The real machine: the table, errors, locks, space, clocks, randomness. Files are in posix_file.c, names in posix_folder.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "os/posix/posix_private.h"

const struct jadei_sys jadei_sys_real = {
    .pread = pread,
    .pwrite = pwrite,
    .fdatasync = fdatasync,
    .fsync = fsync,
    .fallocate = fallocate,
    .ftruncate = ftruncate,
    .getrandom = getrandom,
};
const struct jadei_sys *jadei_sys = &jadei_sys_real;

/* ---- errors ---- */

jade_code jadei_posix_code(int errnum)
{
    switch (errnum) {
    case ENOENT:
        return JADE_E_NOT_FOUND;
    case EEXIST:
        return JADE_E_ALREADY_EXISTS;
    case ENOTEMPTY:
        return JADE_E_CONFLICT;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: /* RLIMIT_FSIZE or the file system's own bound: no room for this file */
        return JADE_E_NOSPACE;
    case ENOMEM:
        return JADE_E_NOMEM;
    case ENAMETOOLONG:
        return JADE_E_INVALID_ARGUMENT;
    default:
        return JADE_E_IO;
    }
}

jade_code jadei_posix_fail(struct jade_err *err, int errnum, const char *what, const char *path)
{
    return jade_fail_errno(err, jadei_posix_code(errnum), errnum, "%s %s", what, path);
}

/* ---- lock ---- */

struct posix_lock {
    struct jade_lock base;
    int fd;
};

/*
 * An open-file-description lock (fcntl(2), F_OFD_SETLK): unlike a classic record lock it also conflicts with a second open in
 * this process and is not dropped when some other descriptor of the file is closed. The file is never removed: a removed
 * lock file would let two processes hold "the" lock on two inodes.
 */
static jade_code posix_lock(struct jade_os *os, const char *path, struct jade_lock **out,
                            struct jade_err *err)
{
    jade_code rc = JADE_OK;
    (void)os;
    struct posix_lock *l = jade_calloc(JADE_TAG_OTHER, 1, sizeof *l);
    if (l == NULL) {
        return jade_fail(err, JADE_E_NOMEM, "locking %s", path);
    }
    l->base.ops = jade_os_posix()->ops;
    l->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (l->fd < 0) {
        rc = jadei_posix_fail(err, errno, "opening lock file", path);
        goto out;
    }
    struct flock want = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(l->fd, F_OFD_SETLK, &want) != 0) {
        rc = errno == EAGAIN || errno == EACCES
                 ? jade_fail(err, JADE_E_LOCKED, "%s is locked by another process or handle", path)
                 : jadei_posix_fail(err, errno, "locking", path);
        goto out;
    }
    *out = &l->base;
    return JADE_OK;
out:
    if (l->fd >= 0) {
        (void)close(l->fd);
    }
    jade_free(l);
    return rc;
}

static void posix_unlock(struct jade_lock *base)
{
    struct posix_lock *l = (struct posix_lock *)base;
    (void)close(l->fd); /* the last descriptor takes the lock with it */
    jade_free(l);
}

/* ---- space, clocks, randomness ---- */

static jade_code posix_space(struct jade_os *os, const char *path, uint64_t *free_out,
                             uint64_t *total_out, struct jade_err *err)
{
    (void)os;
    struct statvfs st;
    int tries = 0;
    while (statvfs(path, &st) != 0) {
        if (errno != EINTR || ++tries > JADEI_RETRIES_MAX) {
            return jadei_posix_fail(err, errno, "asking for the space of", path);
        }
    }
    *free_out = (uint64_t)st.f_bavail * st.f_frsize;
    *total_out = (uint64_t)st.f_blocks * st.f_frsize;
    return JADE_OK;
}

static uint64_t posix_mono_us(struct jade_os *os)
{
    (void)os;
    struct timespec t;
    int rc = clock_gettime(CLOCK_MONOTONIC, &t);
    JADE_ASSERT(rc == 0);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static int64_t posix_wall_us(struct jade_os *os)
{
    (void)os;
    struct timespec t;
    int rc = clock_gettime(CLOCK_REALTIME, &t);
    JADE_ASSERT(rc == 0);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static jade_code posix_random(struct jade_os *os, void *buf, size_t n, struct jade_err *err)
{
    (void)os;
    uint8_t *p = buf;
    int tries = 0;
    while (n > 0) {
        ssize_t got = jadei_sys->getrandom(p, n, 0);
        if (got > 0) {
            p += got;
            n -= (size_t)got;
            tries = 0;
        } else if ((got < 0 && errno != EINTR && errno != EAGAIN) || ++tries > JADEI_RETRIES_MAX) {
            return jadei_posix_fail(err, errno, "reading", "random bytes");
        }
    }
    return JADE_OK;
}

/* ---- the table ---- */

static const struct jade_os_ops posix_ops = {
    .open = jadei_posix_open,
    .close = jadei_posix_close,
    .read_at = jadei_posix_read_at,
    .write_at = jadei_posix_write_at,
    .sync = jadei_posix_sync,
    .size = jadei_posix_size,
    .allocate = jadei_posix_allocate,
    .truncate = jadei_posix_truncate,
    .map = jadei_posix_map,
    .unmap = jadei_posix_unmap,
    .rename = jadei_posix_rename,
    .link = jadei_posix_link,
    .unlink = jadei_posix_unlink,
    .mkdir = jadei_posix_mkdir,
    .rmdir = jadei_posix_rmdir,
    .sync_dir = jadei_posix_sync_dir,
    .list = jadei_posix_list,
    .exists = jadei_posix_exists,
    .lock = posix_lock,
    .unlock = posix_unlock,
    .space = posix_space,
    .mono_us = posix_mono_us,
    .wall_us = posix_wall_us,
    .random = posix_random,
};

struct jade_os *jade_os_posix(void)
{
    static struct jade_os os = {.ops = &posix_ops};
    return &os;
}
