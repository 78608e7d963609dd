/*
 * Background workers.
 */
#include "os_test.h"

#include <sched.h>
#include <stdatomic.h>

#include "os/pool.h"
#include "os/thread.h"

enum { TASKS = 5000 };

struct counter {
    struct jade_mutex lock;
    struct jade_cond changed;
    unsigned done;
    unsigned times[TASKS];
};

struct job {
    struct counter *c;
    unsigned i;
};

static void count_job(void *arg)
{
    struct job *j = arg;
    jade_mutex_lock(&j->c->lock);
    j->c->times[j->i]++;
    j->c->done++;
    jade_cond_signal(&j->c->changed);
    jade_mutex_unlock(&j->c->lock);
}

static void every_task_runs_once(void **state)
{
    (void)state;
    struct jade_err err;
    static struct counter c;
    static struct job jobs[TASKS];
    for (unsigned threads = 1; threads <= 4; threads += 3) {
        struct jade_pool *p = NULL;
        memset(&c, 0, sizeof c);
        jade_mutex_init(&c.lock);
        jade_cond_init(&c.changed);
        MUST(jade_pool_new(threads, 10, &p, &err));
        assert_int_equal(jade_pool_threads(p), threads);
        for (unsigned i = 0; i < TASKS; i++) {
            jobs[i] = (struct job){.c = &c, .i = i};
            MUST(jade_pool_submit(p, count_job, &jobs[i], &err));
            if (i % 16 == 0) {
                (void)jade_pool_run_one(p); /* helping is allowed */
            }
        }
        jade_mutex_lock(&c.lock);
        while (c.done < TASKS) {
            jade_cond_wait(&c.changed, &c.lock);
        }
        jade_mutex_unlock(&c.lock);
        jade_pool_free(p);
        for (unsigned i = 0; i < TASKS; i++) {
            assert_int_equal(c.times[i], 1);
        }
        jade_cond_release(&c.changed);
        jade_mutex_release(&c.lock);
    }
    assert_int_equal(jade_alloc_bytes_total(), 0);
}

static char order[8];
static void note_a(void *arg)
{
    (void)arg;
    order[strlen(order)] = 'a';
}
static void note_b(void *arg)
{
    (void)arg;
    order[strlen(order)] = 'b';
}

static void without_threads_tasks_run_in_order_when_asked(void **state)
{
    (void)state;
    struct jade_err err;
    struct jade_pool *p = NULL;
    memset(order, 0, sizeof order);
    MUST(jade_pool_new(0, 0, &p, &err));
    assert_false(jade_pool_run_one(p));
    MUST(jade_pool_submit(p, note_a, NULL, &err));
    MUST(jade_pool_submit(p, note_b, NULL, &err));
    MUST(jade_pool_submit(p, note_a, NULL, &err));
    assert_string_equal(order, "");
    assert_true(jade_pool_run_one(p));
    assert_string_equal(order, "a");
    assert_true(jade_pool_run_one(p));
    assert_true(jade_pool_run_one(p));
    assert_false(jade_pool_run_one(p));
    assert_string_equal(order, "aba");
    MUST(jade_pool_submit(p, note_b, NULL, &err));
    jade_pool_free(p); /* what is still queued is dropped, not run */
    assert_string_equal(order, "aba");
    jade_pool_free(NULL);
    assert_int_equal(jade_alloc_bytes_total(), 0);
}

/* ---- stopping ---- */

struct slow {
    atomic_bool started, release, ended, queued_ran;
    struct jade_pool *pool;
};

static void wait_for_release(void *arg)
{
    struct slow *s = arg;
    s->started = true;
    while (!s->release) {
        sched_yield();
    }
    s->ended = true;
}

static void mark_ran(void *arg)
{
    struct slow *s = arg;
    s->queued_ran = true;
}

static void *free_pool(void *arg)
{
    struct slow *s = arg;
    jade_pool_free(s->pool);
    return NULL;
}

static void free_waits_for_the_running_task(void **state)
{
    (void)state;
    struct jade_err err;
    struct slow s = {.pool = NULL};
    struct jade_thread t;
    MUST(jade_pool_new(1, 0, &s.pool, &err));
    MUST(jade_pool_submit(s.pool, wait_for_release, &s, &err));
    while (!s.started) {
        sched_yield();
    }
    MUST(jade_pool_submit(s.pool, mark_ran, &s, &err));
    MUST(jade_thread_start(&t, "freeing", 0, free_pool, &s, &err));
    /* While it frees, new tasks are refused sooner or later and nothing crashes; the pool lives until we release the task. */
    while (jade_pool_submit(s.pool, mark_ran, &s, NULL) == JADE_OK) {
        sched_yield();
    }
    EXPECT(JADE_E_UNAVAILABLE, jade_pool_submit(s.pool, wait_for_release, &s, &err));
    assert_false(jade_pool_run_one(s.pool));
    assert_false(s.ended);
    s.release = true;
    jade_thread_join(&t);
    assert_true(s.ended);
    assert_false(s.queued_ran);
    assert_int_equal(jade_alloc_bytes_total(), 0);
}

static void no_memory_is_an_error_that_leaves_nothing(void **state)
{
    (void)state;
    struct jade_err err;
    struct jade_pool *p = NULL;
    unsigned n = 1;
    for (bool passed = false; !passed; n++) {
        assert_true(n < 20);
        jade_alloc_fail_at(n);
        jade_code rc = jade_pool_new(3, 0, &p, &err);
        passed = jade_alloc_count() < n;
        jade_alloc_fail_at(0);
        assert_int_equal(rc, passed ? JADE_OK : JADE_E_NOMEM);
        assert_true((p != NULL) == passed);
    }
    assert_true(n > 4); /* the pool and each of its threads */
    jade_pool_free(p);
    MUST(jade_pool_new(0, 0, &p, &err));
    jade_alloc_fail_at(1);
    assert_int_equal(jade_pool_submit(p, note_a, NULL, &err), JADE_E_NOMEM);
    jade_alloc_fail_at(0);
    assert_false(jade_pool_run_one(p));
    jade_pool_free(p);
    assert_int_equal(jade_alloc_bytes_total(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_runs_once),
        cmocka_unit_test(without_threads_tasks_run_in_order_when_asked),
        cmocka_unit_test(free_waits_for_the_running_task),
        cmocka_unit_test(no_memory_is_an_error_that_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
