/*
 * A fixed set of threads over one linked queue.
 */
#include "os/pool.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "os/thread.h"

struct task {
    struct task *next;
    jade_task_fn fn;
    void *arg;
};

struct jade_pool {
    struct jade_mutex lock; /* guards what follows */
    struct jade_cond not_empty;
    struct task *head, *tail; /* oldest first; NULL when empty */
    bool stopping;
    unsigned n_threads; /* fixed after jade_pool_new */
    struct jade_thread threads[];
};

static struct task *take_locked(struct jade_pool *p)
{
    struct task *t = p->head;
    if (t != NULL) {
        p->head = t->next;
        p->tail = p->head == NULL ? NULL : p->tail;
    }
    return t;
}

static void run(struct task *t)
{
    jade_task_fn fn = t->fn;
    void *arg = t->arg;
    jade_free(t); /* before the task, which may end the pool's owner */
    fn(arg);
}

static void *worker(void *arg)
{
    struct jade_pool *p = arg;
    for (;;) {
        jade_mutex_lock(&p->lock);
        while (p->head == NULL && !p->stopping) {
            jade_cond_wait(&p->not_empty, &p->lock);
        }
        struct task *t = p->stopping ? NULL : take_locked(p);
        jade_mutex_unlock(&p->lock);
        if (t == NULL) {
            return NULL;
        }
        run(t);
    }
}

jade_code jade_pool_new(unsigned n_threads, int nice, struct jade_pool **out, struct jade_err *err)
{
    *out = NULL;
    struct jade_pool *p =
        jade_calloc(JADE_TAG_OTHER, 1, sizeof *p + (size_t)n_threads * sizeof p->threads[0]);
    if (p == NULL) {
        return jade_fail(err, JADE_E_NOMEM, "making a pool of %u threads", n_threads);
    }
    jade_mutex_init(&p->lock);
    jade_cond_init(&p->not_empty);
    for (unsigned i = 0; i < n_threads; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "jade-work-%u", i % 1000);
        jade_code rc = jade_thread_start(&p->threads[i], name, nice, worker, p, err);
        if (rc != JADE_OK) {
            jade_pool_free(p);
            return rc;
        }
        p->n_threads = i + 1; /* those that jade_pool_free has to wait for */
    }
    *out = p;
    return JADE_OK;
}

void jade_pool_free(struct jade_pool *p)
{
    if (p == NULL) {
        return;
    }
    jade_mutex_lock(&p->lock);
    p->stopping = true;
    jade_cond_broadcast(&p->not_empty);
    jade_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->n_threads; i++) {
        jade_thread_join(&p->threads[i]);
    }
    for (struct task *t = take_locked(p); t != NULL; t = take_locked(p)) {
        jade_free(t);
    }
    jade_cond_release(&p->not_empty);
    jade_mutex_release(&p->lock);
    jade_free(p);
}

jade_code jade_pool_submit(struct jade_pool *p, jade_task_fn fn, void *arg, struct jade_err *err)
{
    JADE_ASSERT(fn != NULL);
    struct task *t = jade_alloc(JADE_TAG_OTHER, sizeof *t);
    if (t == NULL) {
        return jade_fail(err, JADE_E_NOMEM, "queueing a background task");
    }
    *t = (struct task){.fn = fn, .arg = arg};
    jade_mutex_lock(&p->lock);
    bool refused = p->stopping;
    if (!refused) {
        if (p->tail != NULL) {
            p->tail->next = t;
        } else {
            p->head = t;
        }
        p->tail = t;
        jade_cond_signal(&p->not_empty);
    }
    jade_mutex_unlock(&p->lock);
    if (refused) {
        jade_free(t);
        return jade_fail(err, JADE_E_UNAVAILABLE, "the worker pool is stopping");
    }
    return JADE_OK;
}

bool jade_pool_run_one(struct jade_pool *p)
{
    jade_mutex_lock(&p->lock);
    struct task *t = p->stopping ? NULL : take_locked(p);
    jade_mutex_unlock(&p->lock);
    if (t == NULL) {
        return false;
    }
    run(t);
    return true;
}

unsigned jade_pool_threads(const struct jade_pool *p)
{
    return p->n_threads;
}
