/*
 * Files of the real machine: reads and writes that are whole or an error, and handles that stop after a failed one.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "os/posix/posix_private.h"

/* Zeros written at a time where the file system cannot reserve space. */
enum { ZEROS_BYTES = 65536 };

static struct jadei_posix_file *self(struct jade_file *f)
{
    return (struct jadei_posix_file *)f;
}

/* ---- open and close ---- */

static int open_flags(enum jade_open_mode mode)
{
    JADE_ASSERT(mode == JADE_OPEN_READ || mode == JADE_OPEN_WRITE || mode == JADE_OPEN_CREATE);
    switch (mode) {
    case JADE_OPEN_WRITE:
        return O_RDWR | O_CLOEXEC;
    case JADE_OPEN_CREATE:
        return O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC;
    case JADE_OPEN_READ:
        break;
    }
    return O_RDONLY | O_CLOEXEC;
}

/** open(2) on a folder succeeds for reading; refuse it here rather than with a puzzling EISDIR at the first read. */
static int check_regular(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return errno;
    }
    if (S_ISREG(st.st_mode)) {
        return 0;
    }
    return S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
}

/** A descriptor of a regular file, or -errno. */
static int open_regular(const char *path, enum jade_open_mode mode)
{
    int fd = -1;
    int tries = 0;
    do {
        fd = open(path, open_flags(mode),
                  0600); /* records and keys live in these files: for the owner only */
    } while (fd < 0 && errno == EINTR && ++tries <= JADEI_RETRIES_MAX);
    if (fd < 0) {
        return -errno;
    }
    int errnum = check_regular(fd);
    if (errnum != 0) {
        (void)close(fd);
        return -errnum;
    }
    return fd;
}

jade_code jadei_posix_open(struct jade_os *os, const char *path, enum jade_open_mode mode,
                           struct jade_file **out, struct jade_err *err)
{
    size_t len = strlen(path) + 1;
    struct jadei_posix_file *f = jade_alloc(JADE_TAG_OTHER, sizeof *f + len);
    if (f == NULL) {
        return jade_fail(err, JADE_E_NOMEM, "opening %s", path);
    }
    f->base.ops = os->ops;
    atomic_init(&f->poisoned, false);
    memcpy(f->path, path, len);
    f->fd = open_regular(path, mode);
    if (f->fd < 0) {
        jade_code rc =
            jadei_posix_fail(err, -f->fd, mode == JADE_OPEN_CREATE ? "creating" : "opening", path);
        jade_free(f);
        return rc;
    }
    *out = &f->base;
    return JADE_OK;
}

void jadei_posix_close(struct jade_file *base)
{
    /* An error of close(2) is of no use: whoever needed the bytes has synced them, and the descriptor is gone either way. */
    (void)close(self(base)->fd);
    jade_free(base);
}

/* ---- read and write ---- */

/** off_t is signed: offsets past it are refused here rather than wrapped. */
static jade_code check_range(const struct jadei_posix_file *f, uint64_t offset, size_t n,
                             struct jade_err *err)
{
    if (offset > (uint64_t)INT64_MAX || n > (uint64_t)INT64_MAX - offset) {
        return jade_fail(err, JADE_E_INVALID_ARGUMENT,
                         "%s: range of %zu bytes at %llu is out of bounds", f->path, n,
                         (unsigned long long)offset);
    }
    return JADE_OK;
}

static jade_code check_poison(struct jadei_posix_file *f, struct jade_err *err)
{
    if (atomic_load(&f->poisoned)) {
        return jade_fail(err, JADE_E_IO, "%s: not written, an earlier write or sync of it failed",
                         f->path);
    }
    return JADE_OK;
}

static bool is_transient(int errnum)
{
    return errnum == EINTR || errnum == EAGAIN;
}

jade_code jadei_posix_read_at(struct jade_file *base, uint64_t offset, void *buf, size_t n,
                              size_t *read_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_posix_file *f = self(base);
    size_t done = 0;
    int tries = 0;
    JADE_TRY(check_range(f, offset, n, err));
    while (done < n) {
        ssize_t got =
            jadei_sys->pread(f->fd, (uint8_t *)buf + done, n - done, (off_t)(offset + done));
        if (got > 0) {
            done += (size_t)got;
            tries = 0;
        } else if (got == 0) {
            break; /* end of the file */
        } else if (!is_transient(errno) || ++tries > JADEI_RETRIES_MAX) {
            rc = jadei_posix_fail(err, errno, "reading", f->path);
            goto out;
        }
    }
out:
    *read_out = rc == JADE_OK ? done : 0;
    return rc;
}

/** Writes it all; 0 or an errno. */
static int write_all(int fd, uint64_t offset, const uint8_t *p, size_t n)
{
    int tries = 0;
    while (n > 0) {
        ssize_t put = jadei_sys->pwrite(fd, p, n, (off_t)offset);
        if (put > 0) {
            p += put;
            n -= (size_t)put;
            offset += (uint64_t)put;
            tries = 0;
        } else if ((put < 0 && !is_transient(errno)) || ++tries > JADEI_RETRIES_MAX) {
            return put < 0 ? errno : EIO;
        }
    }
    return 0;
}

jade_code jadei_posix_write_at(struct jade_file *base, uint64_t offset, const void *buf, size_t n,
                               struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_posix_file *f = self(base);
    JADE_TRY(check_poison(f, err));
    JADE_TRY(check_range(f, offset, n, err));
    int errnum = write_all(f->fd, offset, buf, n);
    if (errnum != 0) {
        rc = jadei_posix_fail(err, errnum, "writing", f->path);
        /*
         * A full disk is reported before anything was accepted and nothing is in doubt; nor is it for a handle that was
         * opened for reading. Any other failure poisons.
         */
        if (rc != JADE_E_NOSPACE && errnum != EBADF) {
            atomic_store(&f->poisoned, true);
        }
    }
out:
    return rc;
}

/*
 * Never retried, not even after EINTR: the kernel reports a write-back error once, and a call that was interrupted after it
 * had collected that error would let the second call succeed over lost pages (P1; Rebello et al., ATC 2020).
 */
jade_code jadei_posix_sync(struct jade_file *base, struct jade_err *err)
{
    struct jadei_posix_file *f = self(base);
    jade_code rc = check_poison(f, err);
    if (rc == JADE_OK && jadei_sys->fdatasync(f->fd) != 0) {
        atomic_store(&f->poisoned, true);
        rc = jadei_posix_fail(err, errno, "syncing", f->path);
    }
    return rc;
}

/* ---- size ---- */

jade_code jadei_posix_size(struct jade_file *base, uint64_t *size_out, struct jade_err *err)
{
    struct jadei_posix_file *f = self(base);
    struct stat st;
    if (fstat(f->fd, &st) != 0) {
        return jadei_posix_fail(err, errno, "asking for the size of", f->path);
    }
    *size_out = (uint64_t)st.st_size;
    return JADE_OK;
}

static int truncate_to(int fd, uint64_t size)
{
    int tries = 0;
    while (jadei_sys->ftruncate(fd, (off_t)size) != 0) {
        if (!is_transient(errno) || ++tries > JADEI_RETRIES_MAX) {
            return errno;
        }
    }
    return 0;
}

/**
 * For file systems without fallocate: writes zeros from the end on, and takes them back when they do not all fit. Holes
 * before the end stay holes; filling them would race with writers of the same range.
 */
static int allocate_by_zeros(int fd, uint64_t size)
{
    static const uint8_t zeros[ZEROS_BYTES];
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return errno;
    }
    uint64_t old = (uint64_t)st.st_size;
    for (uint64_t at = old; at < size;) {
        size_t n = size - at < ZEROS_BYTES ? (size_t)(size - at) : ZEROS_BYTES;
        int errnum = write_all(fd, at, zeros, n);
        if (errnum != 0) {
            (void)truncate_to(fd, old);
            return errnum;
        }
        at += n;
    }
    return 0;
}

static int allocate_to(int fd, uint64_t size)
{
    int tries = 0;
    while (jadei_sys->fallocate(fd, 0, 0, (off_t)size) != 0) {
        if (errno == EOPNOTSUPP || errno == ENOSYS) {
            return allocate_by_zeros(fd, size);
        }
        if (!is_transient(errno) || ++tries > JADEI_RETRIES_MAX) {
            return errno;
        }
    }
    return 0;
}

jade_code jadei_posix_allocate(struct jade_file *base, uint64_t size, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_posix_file *f = self(base);
    JADE_TRY(check_poison(f, err));
    JADE_TRY(check_range(f, size, 0, err));
    int errnum = size == 0 ? 0 : allocate_to(f->fd, size);
    if (errnum != 0) {
        rc = jadei_posix_fail(err, errnum, "reserving space for", f->path);
    }
out:
    return rc;
}

jade_code jadei_posix_truncate(struct jade_file *base, uint64_t size, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_posix_file *f = self(base);
    JADE_TRY(check_poison(f, err));
    JADE_TRY(check_range(f, size, 0, err));
    int errnum = truncate_to(f->fd, size);
    if (errnum != 0) {
        rc = jadei_posix_fail(err, errnum, "truncating", f->path);
    }
out:
    return rc;
}

/* ---- mappings ---- */

jade_code jadei_posix_map(struct jade_os *os, const char *path, struct jade_mapping *out,
                          struct jade_err *err)
{
    (void)os;
    struct stat st;
    int errnum = 0;
    int fd = open_regular(path, JADE_OPEN_READ);
    if (fd < 0) {
        return jadei_posix_fail(err, -fd, "mapping", path);
    }
    if (fstat(fd, &st) != 0) {
        errnum = errno;
    } else if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED) {
            errnum = errno;
        } else {
            out->data = p;
            out->size = (size_t)st.st_size;
        }
    }
    (void)close(fd); /* the mapping keeps the file; an open database holds no descriptor for it */
    return errnum == 0 ? JADE_OK : jadei_posix_fail(err, errnum, "mapping", path);
}

void jadei_posix_unmap(struct jade_os *os, struct jade_mapping *m)
{
    (void)os;
    int rc = munmap((void *)(uintptr_t)m->data, m->size);
    JADE_ASSERT(rc == 0);
}
