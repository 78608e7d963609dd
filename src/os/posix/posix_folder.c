/*
 * Names and folders of the real machine.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/posix/posix_private.h"

jade_code jadei_posix_rename(struct jade_os *os, const char *from, const char *to,
                             struct jade_err *err)
{
    (void)os;
    if (rename(from, to) != 0) {
        return jade_fail_errno(err, jadei_posix_code(errno), errno, "renaming %s to %s", from, to);
    }
    return JADE_OK;
}

jade_code jadei_posix_link(struct jade_os *os, const char *from, const char *to,
                           struct jade_err *err)
{
    (void)os;
    if (link(from, to) != 0) {
        return jade_fail_errno(err, jadei_posix_code(errno), errno, "linking %s to %s", from, to);
    }
    return JADE_OK;
}

jade_code jadei_posix_unlink(struct jade_os *os, const char *path, struct jade_err *err)
{
    (void)os;
    return unlink(path) == 0 ? JADE_OK : jadei_posix_fail(err, errno, "removing", path);
}

jade_code jadei_posix_mkdir(struct jade_os *os, const char *path, struct jade_err *err)
{
    (void)os;
    return mkdir(path, 0700) == 0 ? JADE_OK : jadei_posix_fail(err, errno, "making folder", path);
}

jade_code jadei_posix_rmdir(struct jade_os *os, const char *path, struct jade_err *err)
{
    (void)os;
    return rmdir(path) == 0 ? JADE_OK : jadei_posix_fail(err, errno, "removing folder", path);
}

/* Not retried after a failure either, for the reason given at jadei_posix_sync. */
jade_code jadei_posix_sync_dir(struct jade_os *os, const char *path, struct jade_err *err)
{
    (void)os;
    int errnum = 0;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return jadei_posix_fail(err, errno, "opening folder", path);
    }
    if (jadei_sys->fsync(fd) != 0) {
        errnum = errno;
    }
    (void)close(fd);
    return errnum == 0 ? JADE_OK : jadei_posix_fail(err, errnum, "syncing folder", path);
}

/** Some file systems leave d_type unknown: then stat says it. A name that vanished meanwhile counts as a file. */
static bool entry_is_dir(DIR *d, const struct dirent *e)
{
    struct stat st;
    if (e->d_type != DT_UNKNOWN) {
        return e->d_type == DT_DIR;
    }
    return fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

jade_code jadei_posix_list(struct jade_os *os, const char *path, jade_list_fn fn, void *ctx,
                           struct jade_err *err)
{
    (void)os;
    jade_code rc = JADE_OK;
    DIR *d = opendir(path);
    if (d == NULL) {
        return jadei_posix_fail(err, errno, "listing", path);
    }
    while (rc == JADE_OK) {
        errno = 0;
        const struct dirent *e = readdir(d);
        if (e == NULL) {
            rc = errno == 0 ? JADE_OK : jadei_posix_fail(err, errno, "listing", path);
            break;
        }
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            rc = fn(ctx, e->d_name, entry_is_dir(d, e), err);
        }
    }
    (void)closedir(d);
    return rc;
}

jade_code jadei_posix_exists(struct jade_os *os, const char *path, bool *exists_out,
                             struct jade_err *err)
{
    (void)os;
    struct stat st;
    if (lstat(path, &st) == 0) {
        *exists_out = true;
        return JADE_OK;
    }
    return errno == ENOENT || errno == ENOTDIR ? JADE_OK
                                               : jadei_posix_fail(err, errno, "looking for", path);
}
