/*
 * Threads, locks and waiting.
 */
#include "os_test.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/thread.h"

enum { THREADS = 4, ROUNDS = 20000 };

static uint64_t now_us(void)
{
    return jade_os_mono_us(jade_os_posix());
}

/* ---- starting ---- */

struct seen {
    char name[16];
    int nice;
    sigset_t blocked;
};

static void *look(void *arg)
{
    struct seen *s = arg;
    (void)pthread_getname_np(pthread_self(), s->name, sizeof s->name);
    s->nice = getpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid));
    (void)pthread_sigmask(SIG_BLOCK, NULL, &s->blocked);
    return NULL;
}

static void a_thread_has_name_niceness_and_blocked_signals(void **state)
{
    (void)state;
    struct jade_err err;
    struct jade_thread t;
    struct seen s;
    sigset_t before;
    sigset_t after;
    int own = getpriority(PRIO_PROCESS, 0);
    (void)pthread_sigmask(SIG_BLOCK, NULL, &before);
    MUST(jade_thread_start(&t, "a-name-that-is-too-long", 19, look, &s, &err));
    jade_thread_join(&t);
    jade_thread_join(&t); /* no effect */
    assert_string_equal(s.name, "a-name-that-is-");
    assert_int_equal(s.nice, 19);
    assert_int_equal(getpriority(PRIO_PROCESS, 0), own);
    assert_true(sigismember(&s.blocked, SIGTERM) && sigismember(&s.blocked, SIGINT) &&
                sigismember(&s.blocked, SIGPIPE));
    assert_false(sigismember(&s.blocked, SIGBUS) || sigismember(&s.blocked, SIGSEGV));
    (void)pthread_sigmask(SIG_BLOCK, NULL, &after);
    assert_int_equal(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
    jade_alloc_fail_at(1);
    assert_int_equal(jade_thread_start(&t, "x", 0, look, &s, &err), JADE_E_NOMEM);
    jade_alloc_fail_at(0);
    jade_thread_join(&t);
    assert_int_equal(jade_alloc_bytes_total(), 0);
}

/* ---- mutex and condition ---- */

struct ping {
    struct jade_mutex lock;
    struct jade_cond changed;
    unsigned n; /* even: the test's turn */
    unsigned sum;
};

static void *pong(void *arg)
{
    struct ping *p = arg;
    jade_mutex_lock(&p->lock);
    for (unsigned i = 0; i < 1000; i++) {
        while (p->n % 2 == 0) {
            jade_cond_wait(&p->changed, &p->lock);
        }
        p->n++;
        jade_cond_broadcast(&p->changed);
    }
    jade_mutex_unlock(&p->lock);
    return NULL;
}

static void a_condition_wakes_its_waiter(void **state)
{
    (void)state;
    struct jade_err err;
    struct ping p = {.n = 0};
    struct jade_thread t;
    jade_mutex_init(&p.lock);
    jade_cond_init(&p.changed);
    MUST(jade_thread_start(&t, "pong", 0, pong, &p, &err));
    jade_mutex_lock(&p.lock);
    for (unsigned i = 0; i < 1000; i++) {
        p.n++;
        jade_cond_signal(&p.changed);
        while (p.n % 2 == 1) {
            jade_cond_wait(&p.changed, &p.lock);
        }
    }
    jade_mutex_unlock(&p.lock);
    jade_thread_join(&t);
    assert_int_equal(p.n, 2000);
    jade_cond_release(&p.changed);
    jade_mutex_release(&p.lock);
}

static void a_wait_ends_at_its_time_and_not_before(void **state)
{
    (void)state;
    struct jade_mutex m;
    struct jade_cond c;
    jade_mutex_init(&m);
    jade_cond_init(&c);
    jade_mutex_lock(&m);
    uint64_t start = now_us();
    bool woken = true;
    for (int i = 0; woken && i < 100; i++) { /* a wake-up without a reason is allowed */
        woken = jade_cond_wait_for(&c, &m, 30000);
    }
    assert_false(woken);
    assert_true(now_us() - start >= 30000);
    for (int i = 0; i < 100 && jade_cond_wait_for(&c, &m, 0); i++) {
    }
    jade_mutex_unlock(&m);
    jade_cond_release(&c);
    jade_mutex_release(&m);
}

static void *signal_once(void *arg)
{
    struct ping *p = arg;
    jade_mutex_lock(&p->lock);
    p->n = 1;
    jade_cond_signal(&p->changed);
    jade_mutex_unlock(&p->lock);
    return NULL;
}

static void a_wait_for_ever_still_wakes(void **state)
{
    (void)state;
    struct jade_err err;
    struct ping p = {.n = 0};
    struct jade_thread t;
    jade_mutex_init(&p.lock);
    jade_cond_init(&p.changed);
    jade_mutex_lock(&p.lock);
    MUST(jade_thread_start(&t, "once", 0, signal_once, &p, &err));
    while (p.n == 0) {
        assert_true(jade_cond_wait_for(&p.changed, &p.lock,
                                       UINT64_MAX)); /* must not overflow into the past */
    }
    jade_mutex_unlock(&p.lock);
    jade_thread_join(&t);
    jade_cond_release(&p.changed);
    jade_mutex_release(&p.lock);
}

/* ---- rwlock ---- */

struct guarded {
    struct jade_rwlock lock;
    uint64_t a, b; /* always equal outside a writer */
    atomic_uint wrong;
    atomic_bool stop;
    atomic_uint readers;
};

static void *write_pairs(void *arg)
{
    struct guarded *g = arg;
    for (int i = 0; i < ROUNDS; i++) {
        jade_rwlock_write(&g->lock);
        g->a++;
        g->b++;
        jade_rwlock_write_end(&g->lock);
    }
    return NULL;
}

static void *read_pairs(void *arg)
{
    struct guarded *g = arg;
    for (int i = 0; i < ROUNDS; i++) {
        jade_rwlock_read(&g->lock);
        if (g->a != g->b) {
            g->wrong++;
        }
        jade_rwlock_read_end(&g->lock);
    }
    return NULL;
}

static void a_writer_is_alone(void **state)
{
    (void)state;
    struct jade_err err;
    struct guarded g = {.a = 0};
    struct jade_thread t[THREADS];
    jade_rwlock_init(&g.lock);
    for (int i = 0; i < THREADS; i++) {
        MUST(jade_thread_start(&t[i], "rw", 0, i % 2 == 0 ? write_pairs : read_pairs, &g, &err));
    }
    for (int i = 0; i < THREADS; i++) {
        jade_thread_join(&t[i]);
    }
    assert_int_equal(g.a, ROUNDS * THREADS / 2);
    assert_int_equal(g.b, g.a);
    assert_int_equal(g.wrong, 0);
    jade_rwlock_release(&g.lock);
}

/** Readers that overlap all the time: one takes the lock before the other gives it back. */
static void *read_on(void *arg)
{
    struct guarded *g = arg;
    while (!g->stop) {
        jade_rwlock_read(&g->lock);
        g->readers++;
        for (int i = 0; i < 200; i++) {
            sched_yield();
        }
        jade_rwlock_read_end(&g->lock);
    }
    return NULL;
}

static void a_stream_of_readers_does_not_starve_a_writer(void **state)
{
    (void)state;
    struct jade_err err;
    struct guarded g = {.a = 0};
    struct jade_thread t[THREADS];
    jade_rwlock_init(&g.lock);
    for (int i = 0; i < THREADS; i++) {
        MUST(jade_thread_start(&t[i], "reader", 0, read_on, &g, &err));
    }
    while (g.readers < 2 * THREADS) {
        sched_yield();
    }
    for (
        int i = 0; i < 20;
        i++) { /* ends only because a waiting writer goes first; a time-out of the runner catches the rest */
        jade_rwlock_write(&g.lock);
        g.a++;
        jade_rwlock_write_end(&g.lock);
    }
    g.stop = true;
    for (int i = 0; i < THREADS; i++) {
        jade_thread_join(&t[i]);
    }
    assert_int_equal(g.a, 20);
    jade_rwlock_release(&g.lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_has_name_niceness_and_blocked_signals),
        cmocka_unit_test(a_condition_wakes_its_waiter),
        cmocka_unit_test(a_wait_ends_at_its_time_and_not_before),
        cmocka_unit_test(a_wait_for_ever_still_wakes),
        cmocka_unit_test(a_writer_is_alone),
        cmocka_unit_test(a_stream_of_readers_does_not_starve_a_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
