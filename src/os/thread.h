/*
 * Threads, locks and waiting: thin names over pthreads, so that a failure is handled once and waits use the monotonic clock.
 * Creating a lock cannot fail here (default attributes on Linux do not allocate); misuse asserts.
 */
#ifndef JADE_OS_THREAD_H
#define JADE_OS_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct jade_mutex {
    pthread_mutex_t m;
};
struct jade_cond {
    pthread_cond_t c;
};
/** Many readers or one writer; a waiting writer goes first, so that a stream of readers cannot starve it. Not recursive. */
struct jade_rwlock {
    pthread_rwlock_t l;
};
struct jade_thread {
    pthread_t t;
    bool started;
};

void jade_mutex_init(struct jade_mutex *m);
void jade_mutex_release(struct jade_mutex *m);
void jade_mutex_lock(struct jade_mutex *m);
/** Takes it only when it is free; false when somebody, this thread included, has it. */
bool jade_mutex_try(struct jade_mutex *m);
void jade_mutex_unlock(struct jade_mutex *m);
void jade_cond_init(struct jade_cond *c);
void jade_cond_release(struct jade_cond *c);
void jade_cond_wait(struct jade_cond *c, struct jade_mutex *m);
/** Waits until signalled or `timeout_us` passed on the monotonic clock; false on time-out. */
bool jade_cond_wait_for(struct jade_cond *c, struct jade_mutex *m, uint64_t timeout_us);
void jade_cond_signal(struct jade_cond *c);
void jade_cond_broadcast(struct jade_cond *c);
void jade_rwlock_init(struct jade_rwlock *l);
void jade_rwlock_release(struct jade_rwlock *l);
void jade_rwlock_read(struct jade_rwlock *l);
void jade_rwlock_read_end(struct jade_rwlock *l);
void jade_rwlock_write(struct jade_rwlock *l);
void jade_rwlock_write_end(struct jade_rwlock *l);

/**
 * Starts fn(arg) with all signals blocked but those of its own faults (SIGBUS, SIGSEGV, ...: guard.h); name (<= 15 bytes, longer ones
 * are cut) shows in top; nice > 0 lowers the priority of background work.
 * Errors: JADE_E_NOMEM, JADE_E_UNAVAILABLE (no thread could be made).
 */
jade_code jade_thread_start(struct jade_thread *t, const char *name, int nice, void *(*fn)(void *),
                            void *arg, struct jade_err *err);
/** Waits for its end; no effect when it was never started. */
void jade_thread_join(struct jade_thread *t);
/** Processors this process may use (affinity and cgroup quota considered), at least 1. */
unsigned jade_cpu_count(void);

#endif
