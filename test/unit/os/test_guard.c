/*
 * SIGBUS in a guarded read is an error; outside a guard it kills, as without us.
 */
#include "os_test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/guard.h"
#include "os/thread.h"

enum { PAGE = 4096, PAGES = 4 };

/** A mapping of a file that was cut to one page afterwards: its other pages cannot be read. */
static const volatile uint8_t *cut_mapping(void)
{
    char path[JADE_PATH_MAX];
    const char *base = getenv("TMPDIR");
    (void)snprintf(path, sizeof path, "%s/jade-guard-XXXXXX", base != NULL ? base : "/tmp");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(ftruncate(fd, PAGES * PAGE), 0);
    void *p = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(p, MAP_FAILED);
    assert_int_equal(ftruncate(fd, PAGE), 0);
    assert_int_equal(close(fd), 0);
    return p;
}

static void drop(const volatile uint8_t *p)
{
    assert_int_equal(munmap((void *)(uintptr_t)p, PAGES * PAGE), 0);
}

struct read_one {
    const volatile uint8_t *at;
    unsigned sum;
};

static jade_code read_one(void *arg, struct jade_err *err)
{
    (void)err;
    struct read_one *r = arg;
    r->sum += *r->at + 1u;
    return JADE_OK;
}

static jade_code refuse(void *arg, struct jade_err *err)
{
    (void)arg;
    return jade_fail(err, JADE_E_CORRUPT, "own error");
}

static void a_read_past_the_cut_is_an_io_error(void **state)
{
    (void)state;
    struct jade_err err;
    jade_guard_install();
    jade_guard_install();
    const volatile uint8_t *p = cut_mapping();
    for (int round = 0; round < 1000;
         round++) { /* again and again: no mask or stack is left behind */
        struct read_one good = {.at = p};
        struct read_one bad = {.at = p + 2 * PAGE};
        MUST(jade_guard_run(read_one, &good, "segment 7", &err));
        assert_int_equal(good.sum, 1);
        EXPECT(JADE_E_IO, jade_guard_run(read_one, &bad, "segment 7", &err));
        assert_non_null(strstr(err.message, "segment 7"));
        assert_int_equal(jade_guard_run(read_one, &bad, "segment 7", NULL), JADE_E_IO);
    }
    EXPECT(JADE_E_CORRUPT, jade_guard_run(refuse, NULL, "segment 7", &err));
    assert_string_equal(err.message, "own error");
    drop(p);
}

struct nested {
    const volatile uint8_t *p;
    jade_code inner;
};

static jade_code nest(void *arg, struct jade_err *err)
{
    struct nested *n = arg;
    struct read_one bad = {.at = n->p + PAGE};
    n->inner = jade_guard_run(read_one, &bad, "inner", NULL);
    return read_one(&bad, err); /* faults again: the outer guard is in force */
}

static void guards_nest(void **state)
{
    (void)state;
    struct jade_err err;
    jade_guard_install();
    struct nested n = {.p = cut_mapping()};
    EXPECT(JADE_E_IO, jade_guard_run(nest, &n, "outer", &err));
    assert_int_equal(n.inner, JADE_E_IO);
    assert_non_null(strstr(err.message, "outer"));
    drop(n.p);
}

static void *faulting_thread(void *arg)
{
    struct read_one bad = {.at = arg};
    for (int i = 0; i < 200; i++) {
        if (jade_guard_run(read_one, &bad, "thread", NULL) != JADE_E_IO) {
            return NULL;
        }
    }
    return arg;
}

struct result {
    void *arg;
    void *out;
};

static void *run_and_note(void *arg)
{
    struct result *r = arg;
    r->out = faulting_thread(r->arg);
    return NULL;
}

/** Threads of jade_thread_start block signals; those of their own faults they must not, or the kernel kills the process. */
static void guards_of_threads_are_their_own(void **state)
{
    (void)state;
    struct jade_err err;
    struct jade_thread t[4];
    struct result r[4];
    jade_guard_install();
    const volatile uint8_t *p = cut_mapping();
    for (int i = 0; i < 4; i++) {
        r[i] = (struct result){.arg = (void *)(uintptr_t)(p + PAGE)};
        MUST(jade_thread_start(&t[i], "guard", 0, run_and_note, &r[i], &err));
    }
    for (int i = 0; i < 4; i++) {
        jade_thread_join(&t[i]);
        assert_ptr_equal(r[i].out, r[i].arg);
    }
    drop(p);
}

/** Signal that ends a child which runs fn(arg); 0 when it ended by itself. */
static int signal_of_child(void (*fn)(const volatile uint8_t *), const volatile uint8_t *arg)
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        fn(arg);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void read_unguarded(const volatile uint8_t *p)
{
    struct read_one bad = {.at = p + PAGE};
    (void)read_one(&bad, NULL);
}

static jade_code kill_self(void *arg, struct jade_err *err)
{
    (void)arg, (void)err;
    (void)kill(getpid(), SIGBUS);
    return JADE_OK;
}

static void sent_from_outside(const volatile uint8_t *p)
{
    (void)p;
    (void)jade_guard_run(kill_self, NULL, "a guard", NULL);
}

static void outside_a_guard_the_process_dies_of_sigbus(void **state)
{
    (void)state;
    jade_guard_install();
    const volatile uint8_t *p = cut_mapping();
    assert_int_equal(signal_of_child(read_unguarded, p), SIGBUS);
    assert_int_equal(signal_of_child(sent_from_outside, p),
                     SIGBUS); /* nobody's read: even inside a guard */
    drop(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_past_the_cut_is_an_io_error),
        cmocka_unit_test(guards_nest),
        cmocka_unit_test(guards_of_threads_are_their_own),
        cmocka_unit_test(outside_a_guard_the_process_dies_of_sigbus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
