/*
 * What only the real machine does: system calls that stop half-way, a full quota, other processes.
 */
#include "os_test.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/posix/posix_private.h"

static char root[JADE_PATH_MAX];

static const char *under(const char *name)
{
    static char path[JADE_PATH_MAX];
    assert_int_equal(jade_path_join(path, root, name, NULL), JADE_OK);
    return path;
}

static int setup(void **state)
{
    (void)state;
    temp_folder(root);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    struct jade_err err;
    jadei_sys = &jadei_sys_real;
    MUST(jade_os_remove_tree(jade_os_posix(), root, &err));
    assert_int_equal(jade_alloc_bytes_total(), 0);
    return 0;
}

static struct jade_file *create(const char *name)
{
    struct jade_file *f = NULL;
    struct jade_err err;
    MUST(jade_file_open(jade_os_posix(), under(name), JADE_OPEN_CREATE, &f, &err));
    return f;
}

/* ---- calls that stop half-way ---- */

static unsigned calls; /* of the functions below, to let some pass and some fail */

static ssize_t short_pread(int fd, void *buf, size_t n, off_t offset)
{
    if (++calls % 3 != 0) {
        errno = calls % 3 == 1 ? EINTR : EAGAIN;
        return -1;
    }
    return pread(fd, buf, n < 7 ? n : 7, offset);
}

static ssize_t short_pwrite(int fd, const void *buf, size_t n, off_t offset)
{
    switch (++calls % 4) {
    case 0:
        errno = EINTR;
        return -1;
    case 1:
        return 0;
    case 2:
        errno = EAGAIN;
        return -1;
    default:
        return pwrite(fd, buf, n < 11 ? n : 11, offset);
    }
}

static ssize_t short_getrandom(void *buf, size_t n, unsigned flags)
{
    if (++calls % 2 == 0) {
        errno = EINTR;
        return -1;
    }
    return jadei_sys_real.getrandom(buf, n < 3 ? n : 3, flags);
}

static int interrupted_fallocate(int fd, int mode, off_t offset, off_t len)
{
    if (++calls % 2 == 1) {
        errno = EINTR;
        return -1;
    }
    return jadei_sys_real.fallocate(fd, mode, offset, len);
}

static int interrupted_ftruncate(int fd, off_t size)
{
    if (++calls % 2 == 1) {
        errno = EINTR;
        return -1;
    }
    return ftruncate(fd, size);
}

static void short_and_interrupted_calls_are_carried_on(void **state)
{
    (void)state;
    struct jade_err err;
    uint8_t out[1000];
    uint8_t in[1000];
    uint8_t key[32] = {0};
    uint8_t none[32] = {0};
    uint64_t size = 0;
    struct jadei_sys sys = jadei_sys_real;
    sys.pread = short_pread;
    sys.pwrite = short_pwrite;
    sys.getrandom = short_getrandom;
    sys.fallocate = interrupted_fallocate;
    sys.ftruncate = interrupted_ftruncate;
    for (size_t i = 0; i < sizeof out; i++) {
        out[i] = (uint8_t)(i * 31);
    }
    struct jade_file *f = create("f");
    jadei_sys = &sys;
    MUST(jade_file_write(f, 0, out, sizeof out, &err));
    MUST(jade_file_read(f, 0, in, sizeof in, &err));
    assert_memory_equal(in, out, sizeof in);
    MUST(jade_file_allocate(f, 5000, &err));
    MUST(jade_file_truncate(f, 4000, &err));
    MUST(jade_file_size(f, &size, &err));
    assert_int_equal(size, 4000);
    MUST(jade_os_random(jade_os_posix(), key, sizeof key, &err));
    assert_memory_not_equal(key + 24, none, 8);
    jade_file_close(f);
}

static ssize_t stuck_pread(int fd, void *buf, size_t n, off_t offset)
{
    (void)fd, (void)buf, (void)n, (void)offset;
    calls++;
    errno = EINTR;
    return -1;
}

static ssize_t stuck_pwrite(int fd, const void *buf, size_t n, off_t offset)
{
    (void)fd, (void)buf, (void)n, (void)offset;
    calls++;
    return 0;
}

static void a_call_that_never_gets_on_is_an_error_not_a_hang(void **state)
{
    (void)state;
    struct jade_err err;
    char c = 0;
    struct jadei_sys sys = jadei_sys_real;
    sys.pread = stuck_pread;
    sys.pwrite = stuck_pwrite;
    struct jade_file *f = create("f");
    jadei_sys = &sys;
    calls = 0;
    EXPECT(JADE_E_IO, jade_file_read(f, 0, &c, 1, &err));
    assert_int_equal(err.os_errno, EINTR);
    EXPECT(JADE_E_IO, jade_file_write(f, 0, &c, 1, &err));
    assert_int_equal(calls, 2 * (JADEI_RETRIES_MAX + 1));
    jade_file_close(f);
}

/* ---- poison ---- */

static int sync_errno;

static int failing_sync(int fd)
{
    (void)fd;
    calls++;
    errno = sync_errno;
    return -1;
}

static ssize_t failing_pwrite(int fd, const void *buf, size_t n, off_t offset)
{
    (void)fd, (void)buf, (void)n, (void)offset;
    errno = sync_errno;
    return -1;
}

static void a_failed_sync_is_never_tried_again(void **state)
{
    (void)state;
    struct jade_err err;
    const int errnums[] = {EIO, ENOSPC, EINTR};
    const jade_code codes[] = {JADE_E_IO, JADE_E_NOSPACE, JADE_E_IO};
    char c = 0;
    struct jadei_sys sys = jadei_sys_real;
    sys.fdatasync = failing_sync;
    for (size_t i = 0; i < 3; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "f%zu", i);
        struct jade_file *f = create(name);
        MUST(jade_file_write(f, 0, "x", 1, &err));
        jadei_sys = &sys;
        sync_errno = errnums[i];
        calls = 0;
        EXPECT(codes[i], jade_file_sync(f, &err));
        assert_int_equal(err.os_errno, errnums[i]);
        assert_non_null(strstr(err.message, name));
        jadei_sys = &jadei_sys_real;
        EXPECT(JADE_E_IO, jade_file_sync(f, &err));
        EXPECT(JADE_E_IO, jade_file_write(f, 0, "y", 1, &err));
        EXPECT(JADE_E_IO, jade_file_allocate(f, 100, &err));
        EXPECT(JADE_E_IO, jade_file_truncate(f, 0, &err));
        assert_int_equal(calls, 1);
        MUST(jade_file_read(f, 0, &c, 1, &err));
        assert_int_equal(c, 'x');
        jade_file_close(f);
    }
}

static void a_failed_write_poisons_but_a_full_disk_does_not(void **state)
{
    (void)state;
    struct jade_err err;
    struct jadei_sys sys = jadei_sys_real;
    sys.pwrite = failing_pwrite;
    struct jade_file *f = create("f");
    jadei_sys = &sys;
    sync_errno = ENOSPC;
    EXPECT(JADE_E_NOSPACE, jade_file_write(f, 0, "x", 1, &err));
    jadei_sys = &jadei_sys_real;
    MUST(jade_file_write(f, 0, "x", 1, &err));
    MUST(jade_file_sync(f, &err));
    jadei_sys = &sys;
    sync_errno = EIO;
    EXPECT(JADE_E_IO, jade_file_write(f, 0, "y", 1, &err));
    jadei_sys = &jadei_sys_real;
    EXPECT(JADE_E_IO, jade_file_sync(f, &err));
    jade_file_close(f);
}

static void publish_stops_at_a_failed_sync_and_reports_one_of_the_folder(void **state)
{
    (void)state;
    struct jade_err err;
    bool there = true;
    struct jade_os *os = jade_os_posix();
    struct jadei_sys sys = jadei_sys_real;
    sync_errno = EIO;
    sys.fdatasync = failing_sync;
    jadei_sys = &sys;
    EXPECT(JADE_E_IO, jade_os_replace(os, under("f"), "new", 3, &err));
    MUST(jade_os_exists(os, under("f"), &there, &err));
    assert_false(there);
    MUST(jade_os_exists(os, under("f.tmp"), &there, &err));
    assert_false(there);
    sys.fdatasync = fdatasync;
    sys.fsync = failing_sync;
    EXPECT(JADE_E_IO, jade_os_replace(os, under("f"), "new", 3, &err));
    assert_non_null(strstr(err.message, "syncing folder"));
}

/* ---- limits of the machine ---- */

static void a_file_size_limit_is_no_space(void **state)
{
    (void)state;
    struct jade_err err;
    struct rlimit old;
    uint8_t buf[8192] = {1};
    struct jade_file *f = create("f");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    struct rlimit low = {.rlim_cur = 5000, .rlim_max = old.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    jade_code rc = jade_file_write(f, 0, buf, sizeof buf,
                                   &err); /* the kernel writes 5000 bytes, then refuses */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    (void)signal(SIGXFSZ, handler);
    assert_int_equal(rc, JADE_E_NOSPACE);
    assert_int_equal(err.os_errno, EFBIG);
    MUST(jade_file_write(f, 0, buf, sizeof buf, &err));
    jade_file_close(f);
}

static int unsupported_fallocate(int fd, int mode, off_t offset, off_t len)
{
    (void)fd, (void)mode, (void)offset, (void)len;
    errno = EOPNOTSUPP;
    return -1;
}

static ssize_t full_after_two(int fd, const void *buf, size_t n, off_t offset)
{
    if (++calls > 2) {
        errno = ENOSPC;
        return -1;
    }
    return pwrite(fd, buf, n, offset);
}

static void allocate_writes_zeros_where_it_must_and_takes_them_back(void **state)
{
    (void)state;
    struct jade_err err;
    struct stat st;
    uint64_t size = 0;
    struct jadei_sys sys = jadei_sys_real;
    sys.fallocate = unsupported_fallocate;
    struct jade_file *f = create("f");
    MUST(jade_file_write(f, 0, "head", 4, &err));
    jadei_sys = &sys;
    MUST(jade_file_allocate(f, 300000, &err));
    MUST(jade_file_sync(f, &err));
    assert_int_equal(stat(under("f"), &st), 0);
    assert_int_equal(st.st_size, 300000);
    assert_true(st.st_blocks * 512 >= 299000); /* truly reserved, not a hole */
    char head[5];
    MUST(jade_file_read(f, 0, head, 5, &err));
    assert_memory_equal(head, "head\0", 5);
    sys.pwrite = full_after_two;
    calls = 0;
    EXPECT(JADE_E_NOSPACE, jade_file_allocate(f, 1000000, &err));
    MUST(jade_file_size(f, &size, &err));
    assert_int_equal(size, 300000);
    jade_file_close(f);
}

static void new_files_and_folders_are_for_the_owner_only(void **state)
{
    (void)state;
    struct jade_err err;
    struct stat st;
    jade_file_close(create("f"));
    MUST(jade_os_mkdir(jade_os_posix(), under("d"), &err));
    assert_int_equal(stat(under("f"), &st), 0);
    assert_int_equal(st.st_mode & 077, 0);
    assert_int_equal(stat(under("d"), &st), 0);
    assert_int_equal(st.st_mode & 077, 0);
}

/* ---- other processes ---- */

/** Exit status of a child that runs fn. */
static int in_child(int (*fn)(void))
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(fn());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int try_lock(void)
{
    struct jade_lock *l = NULL;
    return jade_os_lock(jade_os_posix(), under("LOCK"), &l, NULL) == JADE_E_LOCKED ? 1 : 0;
}

static void a_lock_holds_against_another_process_and_ends_with_it(void **state)
{
    (void)state;
    struct jade_err err;
    struct jade_lock *l = NULL;
    MUST(jade_os_lock(jade_os_posix(), under("LOCK"), &l, &err));
    assert_int_equal(in_child(try_lock), 1);
    jade_os_unlock(l);
    assert_int_equal(in_child(try_lock), 0); /* took it and died with it */
    MUST(jade_os_lock(jade_os_posix(), under("LOCK"), &l, &err));
    jade_os_unlock(l);
}

static void errnos_become_the_codes_of_the_header(void **state)
{
    (void)state;
    assert_int_equal(jadei_posix_code(ENOENT), JADE_E_NOT_FOUND);
    assert_int_equal(jadei_posix_code(EEXIST), JADE_E_ALREADY_EXISTS);
    assert_int_equal(jadei_posix_code(ENOTEMPTY), JADE_E_CONFLICT);
    assert_int_equal(jadei_posix_code(ENOSPC), JADE_E_NOSPACE);
    assert_int_equal(jadei_posix_code(EDQUOT), JADE_E_NOSPACE);
    assert_int_equal(jadei_posix_code(ENOMEM), JADE_E_NOMEM);
    assert_int_equal(jadei_posix_code(ENAMETOOLONG), JADE_E_INVALID_ARGUMENT);
    assert_int_equal(jadei_posix_code(EIO), JADE_E_IO);
    assert_int_equal(jadei_posix_code(EACCES), JADE_E_IO);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(short_and_interrupted_calls_are_carried_on),
        CASE(a_call_that_never_gets_on_is_an_error_not_a_hang),
        CASE(a_failed_sync_is_never_tried_again),
        CASE(a_failed_write_poisons_but_a_full_disk_does_not),
        CASE(publish_stops_at_a_failed_sync_and_reports_one_of_the_folder),
        CASE(a_file_size_limit_is_no_space),
        CASE(allocate_writes_zeros_where_it_must_and_takes_them_back),
        CASE(new_files_and_folders_are_for_the_owner_only),
        CASE(a_lock_holds_against_another_process_and_ends_with_it),
        CASE(errnos_become_the_codes_of_the_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
