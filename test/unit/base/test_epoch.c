#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/epoch.h"
#include "base/log.h"

enum { LIVE = 0x11FE, DEAD = 0xDEAD };

/* An object whose words must agree as long as a reader may look at it. Plain members: a sanitizer sees a free that comes too early. */
struct object {
    unsigned state;
    unsigned number[4];
    _Atomic int *freed; /* counted up when it is freed */
};

static struct object *new_object(unsigned number, _Atomic int *freed)
{
    struct object *o = jade_alloc(JADE_TAG_TEST, sizeof *o);
    assert_non_null(o);
    *o = (struct object){.state = LIVE, .number = {number, number, number, number}, .freed = freed};
    return o;
}

static void free_object(void *p)
{
    struct object *o = p;
    atomic_fetch_add(o->freed, 1);
    memset(o->number, 0xEE, sizeof o->number);
    o->state = DEAD;
    jade_free(o);
}

static struct jade_epoch_domain *new_domain(void)
{
    struct jade_epoch_domain *d = NULL;
    assert_int_equal(jade_epoch_new(&d, NULL), JADE_OK);
    return d;
}

static void epoch_frees_at_once_without_readers(void **state)
{
    (void)state;
    _Atomic int freed = 0;
    struct jade_epoch_domain *d = new_domain();
    assert_true(jade_epoch_reclaim(d));
    jade_epoch_retire(d, new_object(1, &freed), free_object);
    assert_int_equal(freed, 1);
    jade_epoch_unpin(d, jade_epoch_pin(d));
    jade_epoch_retire(d, new_object(2, &freed), free_object);
    assert_int_equal(freed, 2);
    assert_true(jade_epoch_reclaim(d));
    jade_epoch_drain(d);
    jade_epoch_free(d);
    assert_int_equal(jade_alloc_bytes(JADE_TAG_TEST), 0);
}

static void epoch_pins_nest_and_hold_until_the_outermost_ends(void **state)
{
    (void)state;
    _Atomic int freed = 0;
    struct jade_epoch_domain *d = new_domain();
    unsigned outer = jade_epoch_pin(d);
    struct object *o = new_object(1, &freed);
    jade_epoch_retire(d, o, free_object);
    unsigned inner = jade_epoch_pin(d);
    jade_epoch_unpin(d, inner);
    assert_false(jade_epoch_reclaim(d));
    assert_int_equal(freed, 0);
    assert_int_equal(o->state, LIVE);
    jade_epoch_unpin(d, outer);
    assert_int_equal(freed, 0); /* never by a reader */
    assert_true(jade_epoch_reclaim(d));
    assert_int_equal(freed, 1);
    jade_epoch_free(d);
}

static void epoch_later_reader_does_not_hold_earlier_object(void **state)
{
    (void)state;
    _Atomic int freed = 0;
    struct jade_epoch_domain *d = new_domain();
    unsigned token = jade_epoch_pin(d);
    jade_epoch_retire(d, new_object(1, &freed), free_object);
    jade_epoch_unpin(d, token);
    token = jade_epoch_pin(d);
    jade_epoch_retire(d, new_object(2, &freed),
                      free_object); /* frees 1, which this pin cannot see */
    assert_int_equal(freed, 1);
    jade_epoch_unpin(d, token);
    jade_epoch_drain(d);
    assert_int_equal(freed, 2);
    jade_epoch_free(d);
}

static void epoch_domains_are_apart(void **state)
{
    (void)state;
    _Atomic int freed = 0;
    struct jade_epoch_domain *a = new_domain();
    struct jade_epoch_domain *b = new_domain();
    unsigned token = jade_epoch_pin(a);
    jade_epoch_retire(b, new_object(1, &freed), free_object);
    assert_int_equal(freed, 1);
    jade_epoch_drain(b); /* not inside a pin of b */
    jade_epoch_unpin(a, token);
    jade_epoch_free(a);
    jade_epoch_free(b);
    jade_epoch_free(NULL);
}

static void epoch_free_frees_what_is_left(void **state)
{
    (void)state;
    _Atomic int freed = 0;
    struct jade_epoch_domain *d = new_domain();
    unsigned token = jade_epoch_pin(d);
    for (unsigned i = 0; i < 100; i++) {
        jade_epoch_retire(d, new_object(i, &freed), free_object);
    }
    jade_epoch_unpin(d, token);
    assert_int_equal(freed, 0);
    jade_epoch_free(d);
    assert_int_equal(freed, 100);
    assert_int_equal(jade_alloc_bytes(JADE_TAG_TEST), 0);
}

struct chain {
    struct jade_epoch_domain *d;
    int left;
    _Atomic int *freed;
};

static void free_chain(void *p)
{
    struct chain *c = p;
    atomic_fetch_add(c->freed, 1);
    if (--c->left > 0) {
        jade_epoch_retire(c->d, c, free_chain);
    } else {
        jade_free(c);
    }
}

static void epoch_free_function_may_retire(void **state)
{
    (void)state;
    _Atomic int freed = 0;
    struct jade_epoch_domain *d = new_domain();
    struct chain *c = jade_alloc(JADE_TAG_TEST, sizeof *c);
    assert_non_null(c);
    *c = (struct chain){.d = d, .left = 10, .freed = &freed};
    jade_epoch_retire(d, c, free_chain);
    jade_epoch_free(d);
    assert_int_equal(freed, 10);
    assert_int_equal(jade_alloc_bytes(JADE_TAG_TEST), 0);
}

static void epoch_new_without_memory_says_so(void **state)
{
    (void)state;
    struct jade_epoch_domain *d = (void *)&d;
    struct jade_err err = {0};
    jade_alloc_fail_at(1);
    assert_int_equal(jade_epoch_new(&d, &err), JADE_E_NOMEM);
    jade_alloc_fail_at(0);
    assert_null(d);
    assert_int_equal(err.code, JADE_E_NOMEM);
}

/* ---- Short memory ---- */

enum { RESERVE = 32 }; /* as epoch.h says */

static void retire_without_memory(struct jade_epoch_domain *d, struct object *o,
                                  void (*free_fn)(void *))
{
    jade_alloc_fail_at(1);
    jade_epoch_retire(d, o, free_fn);
    jade_alloc_fail_at(0);
}

static void epoch_reserve_serves_when_memory_is_short(void **state)
{
    (void)state;
    _Atomic int freed = 0;
    struct jade_epoch_domain *d = new_domain();
    for (int round = 0; round < 3; round++) { /* the reserve refills */
        freed = 0;
        unsigned token = jade_epoch_pin(d);
        for (unsigned i = 0; i < RESERVE; i++) {
            retire_without_memory(d, new_object(i, &freed), free_object);
        }
        assert_int_equal(freed, 0);
        jade_epoch_unpin(d, token);
        jade_epoch_drain(d);
        assert_int_equal(freed, RESERVE);
    }
    jade_epoch_free(d);
}

static void epoch_spent_reserve_inside_a_pin_gives_the_object_up(void **state)
{
    (void)state;
    _Atomic int freed = 0;
    struct jade_epoch_domain *d = new_domain();
    struct object *lost = new_object(99, &freed);
    jade_log_set_level(JADE_LOG_OFF);
    unsigned token = jade_epoch_pin(d);
    for (unsigned i = 0; i < RESERVE; i++) {
        retire_without_memory(d, new_object(i, &freed), free_object);
    }
    retire_without_memory(d, lost, free_object);
    jade_epoch_unpin(d, token);
    jade_log_set_level(JADE_LOG_INFO);
    jade_epoch_drain(d);
    assert_int_equal(freed, RESERVE);
    assert_int_equal(lost->state, LIVE); /* given up, not broken: memory-safe */
    free_object(lost);
    jade_epoch_free(d);
}

struct holder {
    struct jade_epoch_domain *d;
    _Atomic bool pinned;
    _Atomic bool let_go;
    _Atomic bool unpinned;
};
static struct holder *watched;
static _Atomic int freed_after_unpin;

static void *hold_pin(void *arg)
{
    struct holder *h = arg;
    unsigned token = jade_epoch_pin(h->d);
    h->pinned = true;
    while (!h->let_go) {
        sched_yield();
    }
    /* Time for the waiting retire to go wrong, if it does. */
    for (int i = 0; i < 1000; i++) {
        sched_yield();
    }
    h->unpinned = true;
    jade_epoch_unpin(h->d, token);
    return NULL;
}

static void free_watched(void *p)
{
    freed_after_unpin += watched->unpinned;
    free_object(p);
}

static pthread_t start_holder(struct holder *h)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, hold_pin, h), 0);
    while (!h->pinned) {
        sched_yield();
    }
    return thread;
}

static void epoch_spent_reserve_waits_for_the_readers(void **state)
{
    (void)state;
    _Atomic int freed = 0;
    struct holder h = {.d = new_domain()};
    watched = &h;
    freed_after_unpin = 0;
    pthread_t thread = start_holder(&h);
    for (unsigned i = 0; i < RESERVE; i++) {
        retire_without_memory(h.d, new_object(i, &freed), free_object);
    }
    assert_int_equal(freed, 0);
    h.let_go = true;
    retire_without_memory(h.d, new_object(99, &freed), free_watched);
    assert_int_equal(freed_after_unpin, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    jade_epoch_drain(h.d);
    assert_int_equal(freed, RESERVE + 1);
    jade_epoch_free(h.d);
}

static void epoch_drain_waits_for_a_reader_of_another_thread(void **state)
{
    (void)state;
    _Atomic int freed = 0;
    struct holder h = {.d = new_domain()};
    watched = &h;
    freed_after_unpin = 0;
    pthread_t thread = start_holder(&h);
    jade_epoch_retire(h.d, new_object(1, &freed), free_watched);
    assert_int_equal(freed, 0);
    h.let_go = true;
    jade_epoch_drain(h.d);
    assert_int_equal(freed, 1);
    assert_int_equal(freed_after_unpin, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    jade_epoch_free(h.d);
}

/* ---- Threads that come and go ---- */

static void *pin_once(void *arg)
{
    struct jade_epoch_domain *d = arg;
    unsigned token = jade_epoch_pin(d);
    jade_epoch_unpin(d, token);
    return (void *)(uintptr_t)token;
}

static void epoch_ended_thread_gives_its_slot_back(void **state)
{
    (void)state;
    struct jade_epoch_domain *d = new_domain();
    for (int i = 0; i < 2000; i++) { /* more than there are slots */
        pthread_t thread;
        void *token = NULL;
        assert_int_equal(pthread_create(&thread, NULL, pin_once, d), 0);
        assert_int_equal(pthread_join(thread, &token), 0);
        assert_in_range((uintptr_t)token, 0, 1);
    }
    jade_epoch_free(d);
}

enum { CROWD = 1100, SLOTS = 1024 };

struct crowd {
    struct jade_epoch_domain *d;
    struct object *_Atomic shared;
    _Atomic int pinned;
    _Atomic int without_slot;
    bool let_go; /* under crowd_lock */
};
static pthread_mutex_t crowd_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t crowd_let_go = PTHREAD_COND_INITIALIZER;

static void *join_crowd(void *arg)
{
    struct crowd *c = arg;
    unsigned token = jade_epoch_pin(c->d);
    struct object *o = atomic_load_explicit(&c->shared, memory_order_acquire);
    unsigned inner = jade_epoch_pin(c->d);
    c->without_slot += token >= SLOTS;
    c->pinned++;
    pthread_mutex_lock(&crowd_lock);
    while (!c->let_go) {
        pthread_cond_wait(&crowd_let_go, &crowd_lock);
    }
    pthread_mutex_unlock(&crowd_lock);
    bool good = o->state == LIVE && o->number[0] == 1 && o->number[3] == 1;
    jade_epoch_unpin(c->d, inner);
    jade_epoch_unpin(c->d, token);
    return good ? NULL : arg;
}

static pthread_t crowd_threads[CROWD];

static void gather_crowd(struct crowd *c)
{
    pthread_attr_t small;
    assert_int_equal(pthread_attr_init(&small), 0);
    assert_int_equal(pthread_attr_setstacksize(&small, 256 * 1024), 0);
    for (int i = 0; i < CROWD; i++) {
        assert_int_equal(pthread_create(&crowd_threads[i], &small, join_crowd, c), 0);
        while (c->pinned <= i) {
            sched_yield();
        }
    }
    pthread_attr_destroy(&small);
    assert_true(c->without_slot >= CROWD - SLOTS);
}

static void dismiss_crowd(struct crowd *c)
{
    pthread_mutex_lock(&crowd_lock);
    c->let_go = true;
    pthread_cond_broadcast(&crowd_let_go);
    pthread_mutex_unlock(&crowd_lock);
    for (int i = 0; i < CROWD; i++) {
        void *bad = NULL;
        assert_int_equal(pthread_join(crowd_threads[i], &bad), 0);
        assert_null(bad);
    }
}

/* More readers at once than slots: those without one are waited for as well. */
static void epoch_readers_beyond_the_slots_are_safe(void **state)
{
    (void)state;
    _Atomic int freed = 0;
    struct crowd c = {.d = new_domain()};
    atomic_init(&c.shared, new_object(1, &freed));
    gather_crowd(&c);
    struct object *old =
        atomic_exchange_explicit(&c.shared, new_object(2, &freed), memory_order_acq_rel);
    jade_epoch_retire(c.d, old, free_object);
    assert_int_equal(freed, 0);
    dismiss_crowd(&c);
    jade_epoch_drain(c.d);
    assert_int_equal(freed, 1);
    jade_epoch_retire(c.d, c.shared, free_object);
    jade_epoch_free(c.d);
    assert_int_equal(jade_alloc_bytes(JADE_TAG_TEST), 0);
}

/* ---- Stress: readers look, writers swap and retire ---- */

enum { READERS = 4, WRITERS = 2, PLACES = 4, SWAPS = 5000 };

struct stress {
    struct jade_epoch_domain *d;
    struct object *_Atomic places[PLACES];
    _Atomic bool stop;
    _Atomic int freed;
    _Atomic int made;
    _Atomic unsigned reads;
    _Atomic int broken;
};

static void *read_for_ever(void *arg)
{
    struct stress *s = arg;
    for (unsigned i = 0; !s->stop; i++) {
        unsigned token = jade_epoch_pin(s->d);
        const struct object *o = atomic_load_explicit(&s->places[i % PLACES], memory_order_acquire);
        if (i % 64 == 0) {
            sched_yield(); /* let writers retire what we look at */
        }
        if (o->state != LIVE || o->number[0] != o->number[3]) {
            s->broken++;
        }
        jade_epoch_unpin(s->d, token);
        s->reads++;
    }
    return NULL;
}

static void *swap_and_retire(void *arg)
{
    struct stress *s = arg;
    for (unsigned i = 0; i < SWAPS; i++) {
        struct object *fresh = new_object(i, &s->freed);
        s->made++;
        struct object *old =
            atomic_exchange_explicit(&s->places[i % PLACES], fresh, memory_order_acq_rel);
        jade_epoch_retire(s->d, old, free_object);
        if (i % 1000 == 0) {
            jade_epoch_drain(s->d);
        }
        if (i % 100 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

static void run_stress(struct stress *s)
{
    pthread_t readers[READERS];
    pthread_t writers[WRITERS];
    for (unsigned i = 0; i < PLACES; i++) {
        atomic_init(&s->places[i], new_object(i, &s->freed));
        s->made++;
    }
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(pthread_create(&readers[i], NULL, read_for_ever, s), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_create(&writers[i], NULL, swap_and_retire, s), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_join(writers[i], NULL), 0);
    }
    s->stop = true;
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(readers[i], NULL), 0);
    }
}

static void stress_domain(void)
{
    struct stress s = {.d = new_domain()};
    run_stress(&s);
    assert_int_equal(s.broken, 0);
    assert_true(s.reads > 0);
    jade_epoch_drain(s.d);
    assert_int_equal(s.freed, s.made - PLACES); /* each retired object once, none left */
    for (unsigned i = 0; i < PLACES; i++) {
        jade_epoch_retire(s.d, s.places[i], free_object);
    }
    jade_epoch_free(s.d);
    assert_int_equal(s.freed, s.made);
}

static void epoch_readers_never_see_a_freed_object(void **state)
{
    (void)state;
    stress_domain();
    assert_int_equal(jade_alloc_bytes(JADE_TAG_TEST), 0);
}

/* The crowd sleeps on every slot while the stress runs: its readers share, and its drains still come to an end. */
static void epoch_readers_that_share_never_see_a_freed_object(void **state)
{
    (void)state;
    _Atomic int freed = 0;
    struct crowd c = {.d = new_domain()};
    atomic_init(&c.shared, new_object(1, &freed));
    gather_crowd(&c);
    stress_domain();
    dismiss_crowd(&c);
    jade_epoch_retire(c.d, c.shared, free_object);
    jade_epoch_free(c.d);
    assert_int_equal(freed, 1);
    assert_int_equal(jade_alloc_bytes(JADE_TAG_TEST), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(epoch_frees_at_once_without_readers),
        cmocka_unit_test(epoch_pins_nest_and_hold_until_the_outermost_ends),
        cmocka_unit_test(epoch_later_reader_does_not_hold_earlier_object),
        cmocka_unit_test(epoch_domains_are_apart),
        cmocka_unit_test(epoch_free_frees_what_is_left),
        cmocka_unit_test(epoch_free_function_may_retire),
        cmocka_unit_test(epoch_new_without_memory_says_so),
        cmocka_unit_test(epoch_reserve_serves_when_memory_is_short),
        cmocka_unit_test(epoch_spent_reserve_inside_a_pin_gives_the_object_up),
        cmocka_unit_test(epoch_spent_reserve_waits_for_the_readers),
        cmocka_unit_test(epoch_drain_waits_for_a_reader_of_another_thread),
        cmocka_unit_test(epoch_ended_thread_gives_its_slot_back),
        cmocka_unit_test(epoch_readers_beyond_the_slots_are_safe),
        cmocka_unit_test(epoch_readers_never_see_a_freed_object),
        cmocka_unit_test(epoch_readers_that_share_never_see_a_freed_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
