/*
 * How it is proven without fences (ThreadSanitizer knows none): the reader announces itself by an atomic exchange on its slot, the
 * reclaimer looks at the slot by an atomic add of 0. Both are read-modify-writes, so one of them comes first in the slot's order.
 * Reader first: the reclaimer sees its epoch and leaves everything it may hold. Reclaimer first: the reader's exchange synchronises
 * with it, so that the reader's later loads see that the object was unlinked before it was retired. The same holds for the number of
 * slots in use, by which the scan is bounded.
 */
#include "base/epoch.h"

#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/log.h"

/*
 * THREADS_MAX: threads with a slot of their own, in all domains; further ones share counted slots under a lock.
 * RESERVE_NODES: objects that can wait for readers while memory is short.
 */
enum { THREADS_MAX = 1024, SHARED_SLOTS = 2, RESERVE_NODES = 32 };

/* ---- The threads of the process: each has a number from its first pin until it ends. ---- */

static _Atomic bool thread_taken[THREADS_MAX];
static _Atomic unsigned n_threads_now;  /* numbers taken */
static _Atomic unsigned n_threads_ever; /* one more than the highest number ever taken */
static pthread_once_t thread_key_once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_key;
static bool thread_key_works;

static _Thread_local unsigned my_number_plus_one; /* 0 = none */
static _Thread_local unsigned my_pins;            /* in all domains */

static void give_number_back(void *number_plus_one)
{
    unsigned number = (unsigned)(uintptr_t)number_plus_one - 1;
    JADE_ASSERT(my_pins == 0); /* a thread ended inside a read-side section */
    my_number_plus_one = 0;
    atomic_store_explicit(&thread_taken[number], false, memory_order_release);
    atomic_fetch_sub_explicit(&n_threads_now, 1, memory_order_relaxed);
}

static void make_thread_key(void)
{
    thread_key_works = pthread_key_create(&thread_key, give_number_back) == 0;
}

/* The lowest free number, so that scans stay short; THREADS_MAX when there is none. */
static unsigned take_number(void)
{
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        bool taken = false;
        if (!atomic_load_explicit(&thread_taken[i], memory_order_relaxed) &&
            atomic_compare_exchange_strong_explicit(&thread_taken[i], &taken, true,
                                                    memory_order_acquire, memory_order_relaxed)) {
            return i;
        }
    }
    return THREADS_MAX;
}

/* Gives this thread a number if one is left and its return at the thread's end is sure. Once a thread, then never again. */
static bool join_threads(void)
{
    if (atomic_load_explicit(&n_threads_now, memory_order_relaxed) >= THREADS_MAX) {
        return false;
    }
    pthread_once(&thread_key_once, make_thread_key);
    unsigned number = thread_key_works ? take_number() : THREADS_MAX;
    if (number == THREADS_MAX) {
        return false;
    }
    if (pthread_setspecific(thread_key, (void *)(uintptr_t)(number + 1)) != 0) {
        atomic_store_explicit(&thread_taken[number], false, memory_order_release);
        return false;
    }
    atomic_fetch_add_explicit(&n_threads_now, 1, memory_order_relaxed);
    unsigned ever = atomic_load_explicit(&n_threads_ever, memory_order_acquire);
    while (ever <= number &&
           !atomic_compare_exchange_weak_explicit(&n_threads_ever, &ever, number + 1,
                                                  memory_order_acq_rel, memory_order_acquire)) {
    }
    my_number_plus_one = number + 1;
    return true;
}

/* ---- A domain ---- */

struct slot {
    alignas(64) _Atomic uint64_t epoch; /* 0 = not pinned, else the clock at the outermost pin */
    unsigned depth;                     /* nested pins; the slot's thread alone */
};

/* Pins of threads without a slot. New ones go to `current`, which moves on once the other is empty: each drains in the end. */
struct shared_slot {
    uint64_t epoch;
    uint64_t count;
};

struct node {
    struct node *next;
    void *object;
    void (*free_fn)(void *);
    uint64_t
        epoch; /* the clock when it was retired: readers pinned at this or earlier may hold it */
};

struct jade_epoch_domain {
    struct slot slots[THREADS_MAX];
    _Atomic uint64_t clock; /* from 1; each retire moves it on */

    pthread_mutex_t shared_lock;
    struct shared_slot shared[SHARED_SLOTS];
    unsigned shared_current;

    pthread_mutex_t lock; /* what follows; never held while free_fn runs */
    pthread_cond_t batch_done;
    struct node *head, *tail; /* retired, oldest first */
    uint64_t batch_epoch;     /* oldest object whose free_fn runs now; UINT64_MAX when none does */
    struct node *reserve;     /* unused ones of reserve_nodes */
    struct node reserve_nodes[RESERVE_NODES];
};

static void lock(pthread_mutex_t *mutex)
{
    int failed = pthread_mutex_lock(mutex);
    JADE_ASSERT(failed == 0);
}

static void unlock(pthread_mutex_t *mutex)
{
    int failed = pthread_mutex_unlock(mutex);
    JADE_ASSERT(failed == 0);
}

static void put_reserve_node(struct jade_epoch_domain *d, struct node *n)
{
    n->next = d->reserve;
    d->reserve = n;
}

jade_code jade_epoch_new(struct jade_epoch_domain **out, struct jade_err *err)
{
    *out = NULL;
    int failed = 0;
    struct jade_epoch_domain *d =
        jade_alloc_aligned(JADE_TAG_OTHER, sizeof *d, alignof(struct slot));
    if (d == NULL) {
        return jade_fail(err, JADE_E_NOMEM, "no memory for an epoch domain of %zu bytes",
                         sizeof *d);
    }
    memset(d, 0, sizeof *d);
    atomic_init(&d->clock, 1);
    d->batch_epoch = UINT64_MAX;
    for (unsigned i = 0; i < RESERVE_NODES; i++) {
        put_reserve_node(d, &d->reserve_nodes[i]);
    }
    if ((failed = pthread_mutex_init(&d->shared_lock, NULL)) != 0) {
        goto err_after_alloc;
    }
    if ((failed = pthread_mutex_init(&d->lock, NULL)) != 0) {
        goto err_after_shared_lock;
    }
    if ((failed = pthread_cond_init(&d->batch_done, NULL)) != 0) {
        goto err_after_lock;
    }
    *out = d;
    return JADE_OK;

err_after_lock:
    pthread_mutex_destroy(&d->lock);
err_after_shared_lock:
    pthread_mutex_destroy(&d->shared_lock);
err_after_alloc:
    jade_free(d);
    return jade_fail_errno(err, JADE_E_NOMEM, failed, "making the locks of an epoch domain");
}

/* ---- Readers ---- */

static unsigned pin_shared(struct jade_epoch_domain *d)
{
    lock(&d->shared_lock);
    uint64_t now = atomic_load_explicit(&d->clock, memory_order_acquire);
    unsigned other = 1 - d->shared_current;
    if (d->shared[d->shared_current].count > 0 && d->shared[other].count == 0) {
        d->shared_current = other;
    }
    struct shared_slot *s = &d->shared[d->shared_current];
    if (s->count == 0) {
        s->epoch = now;
    }
    s->count++;
    unsigned token = THREADS_MAX + d->shared_current;
    unlock(&d->shared_lock);
    return token;
}

static void unpin_shared(struct jade_epoch_domain *d, unsigned which)
{
    lock(&d->shared_lock);
    JADE_ASSERT(which < SHARED_SLOTS && d->shared[which].count > 0);
    d->shared[which].count--;
    unlock(&d->shared_lock);
}

unsigned jade_epoch_pin(struct jade_epoch_domain *d)
{
    my_pins++;
    /* Joining waits for the outermost pin: a thread is on one of the two ways at a time. */
    if (my_number_plus_one == 0 && (my_pins > 1 || !join_threads())) {
        return pin_shared(d);
    }
    unsigned number = my_number_plus_one - 1;
    struct slot *s = &d->slots[number];
    if (s->depth++ == 0) {
        /* The clock may move on before the exchange: an older epoch only keeps more alive. */
        uint64_t now = atomic_load_explicit(&d->clock, memory_order_acquire);
        atomic_exchange_explicit(&s->epoch, now, memory_order_acq_rel);
    }
    return number;
}

void jade_epoch_unpin(struct jade_epoch_domain *d, unsigned token)
{
    JADE_ASSERT(my_pins > 0);
    my_pins--;
    if (token >= THREADS_MAX) {
        unpin_shared(d, token - THREADS_MAX);
        return;
    }
    JADE_ASSERT(token + 1 == my_number_plus_one); /* another thread's token */
    struct slot *s = &d->slots[token];
    JADE_ASSERT(s->depth > 0);
    if (--s->depth == 0) {
        atomic_store_explicit(&s->epoch, 0, memory_order_release);
    }
}

/* ---- Writers ---- */

/* The epoch of the oldest reader, UINT64_MAX when there is none. What was retired before it can be freed. */
static uint64_t oldest_reader(struct jade_epoch_domain *d)
{
    uint64_t oldest = UINT64_MAX;
    unsigned n = atomic_fetch_add_explicit(&n_threads_ever, 0, memory_order_acq_rel);
    for (unsigned i = 0; i < n; i++) {
        uint64_t epoch = atomic_fetch_add_explicit(&d->slots[i].epoch, 0, memory_order_acq_rel);
        if (epoch != 0 && epoch < oldest) {
            oldest = epoch;
        }
    }
    lock(&d->shared_lock);
    for (unsigned i = 0; i < SHARED_SLOTS; i++) {
        if (d->shared[i].count > 0 && d->shared[i].epoch < oldest) {
            oldest = d->shared[i].epoch;
        }
    }
    unlock(&d->shared_lock);
    return oldest;
}

/* Cuts what no reader can see off the front of the list. Under the lock. */
static struct node *take_batch(struct jade_epoch_domain *d)
{
    uint64_t oldest = oldest_reader(d);
    struct node *batch = d->head;
    struct node **end = &d->head;
    struct node *last = NULL;
    while (*end != NULL && (*end)->epoch < oldest) {
        last = *end;
        end = &last->next;
    }
    if (last == NULL) {
        return NULL;
    }
    d->batch_epoch = batch->epoch;
    d->head = last->next;
    if (d->head == NULL) {
        d->tail = NULL;
    }
    last->next = NULL;
    return batch;
}

static bool is_reserve_node(const struct jade_epoch_domain *d, const struct node *n)
{
    return n >= d->reserve_nodes && n < d->reserve_nodes + RESERVE_NODES;
}

/* Runs the batch's free functions, which may retire more. Called without the lock. */
static void free_batch(struct jade_epoch_domain *d, struct node *batch)
{
    while (batch != NULL) {
        struct node *next = batch->next;
        batch->free_fn(batch->object);
        if (is_reserve_node(d, batch)) {
            lock(&d->lock);
            put_reserve_node(d, batch);
            unlock(&d->lock);
        } else {
            jade_free(batch);
        }
        batch = next;
    }
}

bool jade_epoch_reclaim(struct jade_epoch_domain *d)
{
    lock(&d->lock);
    /* One batch at a time; also keeps a free function that retires from recursing. */
    bool busy = d->batch_epoch != UINT64_MAX;
    struct node *batch = busy || d->head == NULL ? NULL : take_batch(d);
    if (batch != NULL) {
        unlock(&d->lock);
        free_batch(d, batch);
        lock(&d->lock);
        d->batch_epoch = UINT64_MAX;
        pthread_cond_broadcast(&d->batch_done);
    }
    bool nothing_left = !busy && d->head == NULL;
    unlock(&d->lock);
    return nothing_left;
}

/* A node for the list, from the heap or the reserve. Under the lock; NULL when both are empty. */
static struct node *new_node(struct jade_epoch_domain *d)
{
    struct node *n = jade_alloc(JADE_TAG_OTHER, sizeof *n);
    if (n == NULL && d->reserve != NULL) {
        n = d->reserve;
        d->reserve = n->next;
    }
    return n;
}

/* Whether this thread may be pinned in d: without a slot its pins are known over all domains only. */
static bool inside_pin(const struct jade_epoch_domain *d)
{
    return my_number_plus_one != 0 ? d->slots[my_number_plus_one - 1].depth > 0 : my_pins > 0;
}

/* No node was left: frees the object here, after the readers that may hold it. */
static void free_after_readers(struct jade_epoch_domain *d, uint64_t epoch, void *object,
                               void (*free_fn)(void *))
{
    if (inside_pin(d)) {
        /* Waiting for ourselves would never end, and freeing would break our own pin: the object is given up. */
        jade_log(JADE_LOG_ERROR, "base",
                 "memory is short and a retired object was given up inside a pin",
                 JADE_LOG_U64("reserve", RESERVE_NODES));
        return;
    }
    while (oldest_reader(d) <= epoch) {
        sched_yield();
    }
    free_fn(object);
}

void jade_epoch_retire(struct jade_epoch_domain *d, void *object, void (*free_fn)(void *))
{
    lock(&d->lock);
    struct node *n = new_node(d);
    /* Under the lock, so that the list is in the order of the clock. */
    uint64_t epoch = atomic_fetch_add_explicit(&d->clock, 1, memory_order_acq_rel);
    if (n != NULL) {
        *n = (struct node){.object = object, .free_fn = free_fn, .epoch = epoch};
        if (d->tail == NULL) {
            d->head = n;
        } else {
            d->tail->next = n;
        }
        d->tail = n;
    }
    unlock(&d->lock);
    if (n == NULL) {
        free_after_readers(d, epoch, object, free_fn);
    }
    jade_epoch_reclaim(d);
}

void jade_epoch_drain(struct jade_epoch_domain *d)
{
    JADE_ASSERT(my_number_plus_one == 0 || !inside_pin(d));
    lock(&d->lock);
    uint64_t before = atomic_load_explicit(&d->clock, memory_order_acquire);
    for (;;) {
        if (d->batch_epoch != UINT64_MAX) {
            if (d->batch_epoch >= before) {
                break; /* what it frees is newer, and the list is newer still */
            }
            pthread_cond_wait(&d->batch_done, &d->lock);
            continue;
        }
        if (d->head == NULL || d->head->epoch >= before) {
            break;
        }
        unlock(&d->lock);
        jade_epoch_reclaim(d);
        sched_yield(); /* readers do not signal: their sections are short */
        lock(&d->lock);
    }
    unlock(&d->lock);
}

void jade_epoch_free(struct jade_epoch_domain *d)
{
    if (d == NULL) {
        return;
    }
    JADE_ASSERT(oldest_reader(d) == UINT64_MAX);
    while (!jade_epoch_reclaim(d)) { /* a free function may have retired more */
    }
    pthread_cond_destroy(&d->batch_done);
    pthread_mutex_destroy(&d->lock);
    pthread_mutex_destroy(&d->shared_lock);
    jade_free(d);
}
