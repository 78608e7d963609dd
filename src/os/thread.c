/*
 * Thin names over pthreads. A lock call that fails means misuse (a lock not initialised, taken twice, given back by another
 * thread), so it asserts; only starting a thread can fail for want of resources.
 */
#include "os/thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"

#define MUST(call) JADE_ASSERT((call) == 0)

void jade_mutex_init(struct jade_mutex *m)
{
    MUST(pthread_mutex_init(&m->m, NULL));
}

void jade_mutex_release(struct jade_mutex *m)
{
    MUST(pthread_mutex_destroy(&m->m));
}

void jade_mutex_lock(struct jade_mutex *m)
{
    MUST(pthread_mutex_lock(&m->m));
}

bool jade_mutex_try(struct jade_mutex *m)
{
    int rc = pthread_mutex_trylock(&m->m);
    JADE_ASSERT(rc == 0 || rc == EBUSY);
    return rc == 0;
}

void jade_mutex_unlock(struct jade_mutex *m)
{
    MUST(pthread_mutex_unlock(&m->m));
}

void jade_cond_init(struct jade_cond *c)
{
    pthread_condattr_t attr;
    MUST(pthread_condattr_init(&attr));
    MUST(pthread_condattr_setclock(
        &attr, CLOCK_MONOTONIC)); /* a clock that NTP moves must not stretch a wait (P11) */
    MUST(pthread_cond_init(&c->c, &attr));
    MUST(pthread_condattr_destroy(&attr));
}

void jade_cond_release(struct jade_cond *c)
{
    MUST(pthread_cond_destroy(&c->c));
}

void jade_cond_wait(struct jade_cond *c, struct jade_mutex *m)
{
    MUST(pthread_cond_wait(&c->c, &m->m));
}

bool jade_cond_wait_for(struct jade_cond *c, struct jade_mutex *m, uint64_t timeout_us)
{
    /* Longer than a year is for ever: keeps the sum below far from overflow. */
    const uint64_t MAX_S = 366u * 24u * 3600u;
    uint64_t s = timeout_us / 1000000u;
    struct timespec until;
    MUST(clock_gettime(CLOCK_MONOTONIC, &until));
    until.tv_sec += (time_t)(s < MAX_S ? s : MAX_S);
    until.tv_nsec += (long)(timeout_us % 1000000u) * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec += 1;
    }
    int rc = pthread_cond_timedwait(&c->c, &m->m, &until);
    JADE_ASSERT(rc == 0 || rc == ETIMEDOUT);
    return rc == 0;
}

void jade_cond_signal(struct jade_cond *c)
{
    MUST(pthread_cond_signal(&c->c));
}

void jade_cond_broadcast(struct jade_cond *c)
{
    MUST(pthread_cond_broadcast(&c->c));
}

void jade_rwlock_init(struct jade_rwlock *l)
{
    pthread_rwlockattr_t attr;
    MUST(pthread_rwlockattr_init(&attr));
    /* The default of glibc lets a stream of readers starve a writer for ever. */
    MUST(pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP));
    MUST(pthread_rwlock_init(&l->l, &attr));
    MUST(pthread_rwlockattr_destroy(&attr));
}

void jade_rwlock_release(struct jade_rwlock *l)
{
    MUST(pthread_rwlock_destroy(&l->l));
}

void jade_rwlock_read(struct jade_rwlock *l)
{
    MUST(pthread_rwlock_rdlock(&l->l));
}

void jade_rwlock_read_end(struct jade_rwlock *l)
{
    MUST(pthread_rwlock_unlock(&l->l));
}

void jade_rwlock_write(struct jade_rwlock *l)
{
    MUST(pthread_rwlock_wrlock(&l->l));
}

void jade_rwlock_write_end(struct jade_rwlock *l)
{
    MUST(pthread_rwlock_unlock(&l->l));
}

/* ---- threads ---- */

enum { NAME_SIZE = 16 }; /* pthread_setname_np(3): 15 bytes and a NUL */

struct start {
    void *(*fn)(void *);
    void *arg;
    int nice;
    char name[NAME_SIZE];
};

static void *thread_main(void *p)
{
    struct start s = *(struct start *)p;
    jade_free(p);
    (void)pthread_setname_np(pthread_self(),
                             s.name); /* a name is a comfort: without it the thread works as well */
    if (s.nice > 0) {
        /* On Linux a thread has its own nice value, addressed by its thread id (setpriority(2), NOTES). */
        (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), s.nice);
    }
    return s.fn(s.arg);
}

/**
 * All signals but those that a thread raises by its own instruction: when one of these is blocked the kernel kills the
 * process instead of running the handler, and guard.c could not turn SIGBUS into an error.
 */
static void blocked_signals(sigset_t *set)
{
    static const int OWN[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
    MUST(sigfillset(set));
    for (size_t i = 0; i < sizeof OWN / sizeof OWN[0]; i++) {
        MUST(sigdelset(set, OWN[i]));
    }
}

jade_code jade_thread_start(struct jade_thread *t, const char *name, int nice, void *(*fn)(void *),
                            void *arg, struct jade_err *err)
{
    t->started = false;
    struct start *s = jade_alloc(JADE_TAG_OTHER, sizeof *s);
    if (s == NULL) {
        return jade_fail(err, JADE_E_NOMEM, "starting thread %s", name);
    }
    *s = (struct start){.fn = fn, .arg = arg, .nice = nice};
    memcpy(s->name, name, strnlen(name, NAME_SIZE - 1));
    sigset_t block;
    sigset_t old;
    blocked_signals(&block);
    MUST(pthread_sigmask(SIG_BLOCK, &block, &old)); /* inherited by the new thread */
    int errnum = pthread_create(&t->t, NULL, thread_main, s);
    MUST(pthread_sigmask(SIG_SETMASK, &old, NULL));
    if (errnum != 0) {
        jade_free(s);
        return jade_fail_errno(err, JADE_E_UNAVAILABLE, errnum, "starting thread %s", name);
    }
    t->started = true;
    return JADE_OK;
}

void jade_thread_join(struct jade_thread *t)
{
    if (t->started) {
        MUST(pthread_join(t->t, NULL));
        t->started = false;
    }
}
