/*
 * The simulated disk keeps its model (sim.h): what may survive a cut does at times, what may not never does.
 */
#include "os_test.h"

#include <time.h>

#include "base/random.h"
#include "os/sim.h"

enum { SECTOR = 512, SEEDS = 400 };

static struct jade_sim *new_sim(uint64_t seed)
{
    struct jade_sim *s = NULL;
    struct jade_err err;
    MUST(jade_sim_new(seed, &s, &err));
    return s;
}

static struct jade_file *open_file(struct jade_sim *s, const char *path, enum jade_open_mode mode)
{
    struct jade_file *f = NULL;
    struct jade_err err;
    MUST(jade_file_open(jade_sim_os(s), path, mode, &f, &err));
    return f;
}

/** A file with n bytes of `fill`, stable together with its name. */
static struct jade_file *stable_file(struct jade_sim *s, const char *path, int fill, size_t n)
{
    struct jade_err err;
    uint8_t *p = malloc(n + 1);
    assert_non_null(p);
    memset(p, fill, n);
    struct jade_file *f = open_file(s, path, JADE_OPEN_CREATE);
    MUST(jade_file_write(f, 0, p, n, &err));
    MUST(jade_file_sync(f, &err));
    MUST(jade_os_sync_dir(jade_sim_os(s), ".", &err));
    free(p);
    return f;
}

static bool exists(struct jade_sim *s, const char *path)
{
    bool there = false;
    struct jade_err err;
    MUST(jade_os_exists(jade_sim_os(s), path, &there, &err));
    return there;
}

/** Clone of s after a reboot. */
static struct jade_sim *crash(const struct jade_sim *s, enum jade_sim_policy policy, uint64_t seed)
{
    struct jade_sim *c = NULL;
    struct jade_err err;
    MUST(jade_sim_clone(s, seed, &c, &err));
    jade_sim_reboot(c, policy, seed);
    return c;
}

static size_t content(struct jade_sim *s, const char *path, uint8_t **data_out)
{
    size_t size = 0;
    struct jade_err err;
    MUST(jade_os_read_file(jade_sim_os(s), path, 64 << 20, data_out, &size, &err));
    return size;
}

static void check_content(struct jade_sim *s, const char *path, const void *want, size_t n)
{
    uint8_t *data = NULL;
    assert_int_equal(content(s, path, &data), n);
    assert_memory_equal(data, want, n);
    jade_free(data);
}

/* ---- the oracle: a file as a list of versions of each sector ---- */

enum { O_SECTORS = 24, O_BYTES = O_SECTORS * SECTOR, O_VERSIONS = 40 };

struct oracle {
    uint8_t now[O_BYTES];
    size_t size;
    size_t sizes[O_VERSIONS]; /* sizes since the last sync; [0] is the durable one */
    unsigned n_sizes;
    uint8_t version[O_SECTORS][O_VERSIONS]
                   [SECTOR]; /* contents since the last sync; [0] is the durable one */
    unsigned n_versions[O_SECTORS];
};

static void oracle_sync(struct oracle *o)
{
    o->sizes[0] = o->size;
    o->n_sizes = 1;
    for (unsigned s = 0; s < O_SECTORS; s++) {
        memcpy(o->version[s][0], o->now + s * SECTOR, SECTOR);
        o->n_versions[s] = 1;
    }
}

static void oracle_write(struct oracle *o, size_t offset, const uint8_t *p, size_t n)
{
    memcpy(o->now + offset, p, n);
    if (offset + n > o->size) {
        o->size = offset + n;
        o->sizes[o->n_sizes++] = o->size;
    }
    for (size_t s = offset / SECTOR; s <= (offset + n - 1) / SECTOR; s++) {
        memcpy(o->version[s][o->n_versions[s]++], o->now + s * SECTOR, SECTOR);
    }
}

/** Whether n bytes are a version of sector s; *torn_out: a prefix of one version and the rest of the version before. */
static bool sector_allowed(const struct oracle *o, unsigned s, const uint8_t *p, size_t n,
                           bool *torn_out)
{
    *torn_out = false;
    for (unsigned v = 0; v < o->n_versions[s]; v++) {
        if (memcmp(o->version[s][v], p, n) == 0) {
            return true;
        }
    }
    for (unsigned v = 1; v < o->n_versions[s]; v++) {
        size_t k = 0;
        while (k < n && o->version[s][v][k] == p[k]) {
            k++;
        }
        if (memcmp(o->version[s][v - 1] + k, p + k, n - k) == 0) {
            *torn_out = true;
            return true;
        }
    }
    return false;
}

/** Whether a cut may leave this size; *part_out: it is on the way to one, at the end of some sector. */
static bool size_allowed(const struct oracle *o, size_t size, bool *part_out)
{
    *part_out = false;
    for (unsigned i = 0; i < o->n_sizes; i++) {
        if (o->sizes[i] == size) {
            return true;
        }
    }
    *part_out = true;
    return size % SECTOR == 0 && size > o->sizes[0] && size < o->size;
}

struct tally {
    unsigned states, torn, reordered, part_grown;
};

static void check_state(struct jade_sim *c, const struct oracle *o, struct tally *t)
{
    uint8_t *data = NULL;
    size_t size = content(c, "f", &data);
    unsigned n_torn = 0;
    bool older_lost = false;
    bool part = false;
    assert_true(size_allowed(o, size, &part));
    t->part_grown += part ? 1 : 0;
    bool reordered = false;
    for (unsigned s = 0; s * SECTOR < size; s++) {
        size_t n = size - s * SECTOR < SECTOR ? size - s * SECTOR : SECTOR;
        bool torn = false;
        assert_true(sector_allowed(o, s, data + s * SECTOR, n, &torn));
        n_torn += torn ? 1 : 0;
        bool changed = memcmp(o->version[s][0], data + s * SECTOR, n) != 0;
        bool pending = o->n_versions[s] > 1;
        reordered = reordered || (changed && older_lost);
        older_lost = older_lost || (pending && !changed);
    }
    assert_true(n_torn <= 1);
    t->states++;
    t->torn += n_torn;
    t->reordered += reordered ? 1 : 0;
    jade_free(data);
}

/** One random script of writes and syncs, its crash states checked against the oracle after every few steps. */
static void run_script(uint64_t seed, struct tally *t)
{
    struct jade_err err;
    struct jade_random r;
    struct oracle *o = calloc(1, sizeof *o);
    assert_non_null(o);
    jade_random_init(&r, seed);
    struct jade_sim *s = new_sim(seed);
    struct jade_file *f = stable_file(s, "f", 0, 0);
    oracle_sync(o);
    for (unsigned step = 0; step < 30; step++) {
        uint8_t buf[3000];
        size_t n = 1 + (size_t)jade_random_below(&r, step % 4 == 0 ? sizeof buf : 300);
        size_t offset = (size_t)jade_random_below(&r, O_BYTES - n);
        offset = step % 3 == 0 && o->size + n <= O_BYTES ? o->size : offset;
        for (size_t i = 0; i < n; i++) {
            buf[i] = (uint8_t)(1 + jade_random_below(&r, 255));
        }
        MUST(jade_file_write(f, offset, buf, n, &err));
        oracle_write(o, offset, buf, n);
        for (uint64_t k = 0; k < 6; k++) {
            struct jade_sim *c = crash(s, JADE_SIM_RANDOM, seed * 1000 + step * 10 + k);
            check_state(c, o, t);
            jade_sim_free(c);
        }
        struct jade_sim *keep = crash(s, JADE_SIM_KEEP_ALL, 0);
        check_content(keep, "f", o->now, o->size);
        jade_sim_free(keep);
        struct jade_sim *lose = crash(s, JADE_SIM_LOSE_ALL, 0);
        uint8_t *data = NULL;
        assert_int_equal(content(lose, "f", &data), o->sizes[0]);
        for (size_t i = 0; i < o->sizes[0]; i++) {
            assert_int_equal(data[i], o->version[i / SECTOR][0][i % SECTOR]);
        }
        jade_free(data);
        jade_sim_free(lose);
        if (jade_random_below(&r, 8) == 0) {
            MUST(jade_file_sync(f, &err));
            oracle_sync(o);
        }
    }
    jade_file_close(f);
    jade_sim_free(s);
    free(o);
}

static void crash_states_are_those_of_the_model(void **state)
{
    (void)state;
    struct tally t = {0};
    for (uint64_t seed = 1; seed <= 60; seed++) {
        run_script(seed, &t);
    }
    print_message("seeds 1..60: %u states, %u torn, %u reordered, %u with a part of the growth\n",
                  t.states, t.torn, t.reordered, t.part_grown);
    /* The sweep must meet each kind of damage, or those who rely on it prove nothing. */
    assert_true(t.states > 10000 && t.torn > 500 && t.reordered > 500 && t.part_grown > 200);
}

/* ---- sizes ---- */

static void what_follows_a_lost_truncate_is_lost_with_it(void **state)
{
    (void)state;
    struct jade_err err;
    unsigned seen_old = 0;
    unsigned seen_new = 0;
    struct jade_sim *s = new_sim(1);
    struct jade_file *f = stable_file(s, "f", 'o', 2000);
    MUST(jade_file_truncate(f, 0, &err));
    MUST(jade_file_write(f, 0, "new", 3, &err));
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct jade_sim *c = crash(s, JADE_SIM_RANDOM, seed);
        uint8_t *data = NULL;
        size_t size = content(c, "f", &data);
        for (size_t i = 0; i < size;
             i++) { /* the old file whole, or of the new one what survived: never a mixture */
            assert_true(size == 2000 ? data[i] == 'o'
                                     : size <= 3 && (data[i] == 0 || data[i] == "new"[i]));
        }
        seen_old += size == 2000 ? 1 : 0;
        seen_new += size == 3 && memcmp(data, "new", 3) == 0 ? 1 : 0;
        jade_free(data);
        jade_sim_free(c);
    }
    assert_true(seen_old > 0 && seen_new > 0);
    jade_file_close(f);
    jade_sim_free(s);
}

static void last_only_shows_the_newest_write_over_a_hole(void **state)
{
    (void)state;
    struct jade_err err;
    uint8_t block[SECTOR];
    uint8_t want[3 * SECTOR];
    struct jade_sim *s = new_sim(1);
    struct jade_file *f = stable_file(s, "f", 'o', SECTOR);
    memset(block, 'n', sizeof block);
    MUST(jade_file_write(f, SECTOR, block, SECTOR, &err));
    MUST(jade_file_write(f, 2 * SECTOR, block, SECTOR, &err));
    memset(want, 'o', SECTOR);
    memset(want + SECTOR, 0, SECTOR);
    memset(want + 2 * SECTOR, 'n', SECTOR);
    struct jade_sim *c = crash(s, JADE_SIM_LAST_ONLY, 1);
    check_content(c, "f", want, sizeof want);
    jade_sim_free(c);
    jade_file_close(f);
    jade_sim_free(s);
}

static void an_allocated_synced_range_survives_with_its_size(void **state)
{
    (void)state;
    struct jade_err err;
    uint64_t size = 0;
    struct jade_sim *s = new_sim(1);
    struct jade_file *f = stable_file(s, "f", 0, 0);
    MUST(jade_file_allocate(f, 64 << 20, &err));
    MUST(jade_file_sync(f, &err));
    MUST(jade_file_write(f, 5000, "record", 6, &err));
    struct jade_sim *c = crash(s, JADE_SIM_LOSE_ALL, 1);
    struct jade_file *g = open_file(c, "f", JADE_OPEN_READ);
    char buf[6];
    MUST(jade_file_size(g, &size, &err));
    assert_int_equal(size, 64 << 20);
    MUST(jade_file_read(g, 5000, buf, 6, &err));
    assert_memory_equal(buf, "\0\0\0\0\0\0", 6);
    jade_file_close(g);
    jade_sim_free(c);
    jade_file_close(f);
    jade_sim_free(s);
}

/* ---- names ---- */

static void names_survive_as_a_prefix_in_order(void **state)
{
    (void)state;
    unsigned seen[6] = {0};
    struct jade_sim *s = new_sim(1);
    for (char c = '0'; c < '5'; c++) {
        char name[2] = {c, '\0'};
        jade_file_close(open_file(s, name, JADE_OPEN_CREATE));
    }
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct jade_sim *c = crash(s, JADE_SIM_RANDOM, seed);
        unsigned n = 0;
        for (unsigned i = 0; i < 5; i++) {
            char name[2] = {(char)('0' + i), '\0'};
            bool there = exists(c, name);
            assert_true(!there || n == i); /* no name without those before it */
            n += there ? 1 : 0;
        }
        seen[n]++;
        jade_sim_free(c);
    }
    for (unsigned n = 0; n <= 5; n++) {
        assert_true(seen[n] > 0);
    }
    jade_sim_free(s);
}

static void sync_of_a_file_does_not_persist_its_name(void **state)
{
    (void)state;
    struct jade_err err;
    struct jade_sim *s = new_sim(1);
    struct jade_file *f = open_file(s, "f", JADE_OPEN_CREATE);
    MUST(jade_file_write(f, 0, "x", 1, &err));
    MUST(jade_file_sync(f, &err));
    struct jade_sim *c = crash(s, JADE_SIM_LOSE_ALL, 1);
    assert_false(exists(c, "f"));
    jade_sim_free(c);
    MUST(jade_os_sync_dir(jade_sim_os(s), ".", &err));
    c = crash(s, JADE_SIM_LOSE_ALL, 1);
    check_content(c, "f", "x", 1);
    jade_sim_free(c);
    jade_file_close(f);
    jade_sim_free(s);
}

static void a_rename_leaves_exactly_one_name(void **state)
{
    (void)state;
    struct jade_err err;
    unsigned moved = 0;
    struct jade_sim *s = new_sim(1);
    struct jade_os *os = jade_sim_os(s);
    MUST(jade_os_mkdirs(os, "a", &err));
    MUST(jade_os_mkdirs(os, "b", &err));
    MUST(jade_os_replace(os, "a/f", "x", 1, &err));
    jade_file_close(open_file(s, "a/before", JADE_OPEN_CREATE));
    MUST(os->ops->rename(os, "a/f", "b/g", &err));
    jade_file_close(open_file(s, "b/after", JADE_OPEN_CREATE));
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct jade_sim *c = crash(s, JADE_SIM_RANDOM, seed);
        bool new_there = exists(c, "b/g");
        assert_int_equal(exists(c, "a/f") + new_there, 1);
        assert_true(!new_there || exists(c, "a/before"));
        assert_true(new_there || !exists(c, "b/after"));
        check_content(c, new_there ? "b/g" : "a/f", "x", 1);
        moved += new_there ? 1 : 0;
        jade_sim_free(c);
    }
    assert_true(moved > 0 && moved < SEEDS);
    /* Syncing one folder takes the other half along, with what came before it there. */
    MUST(jade_os_sync_dir(os, "b", &err));
    struct jade_sim *c = crash(s, JADE_SIM_LOSE_ALL, 1);
    assert_true(exists(c, "b/g") && exists(c, "b/after") && exists(c, "a/before") &&
                !exists(c, "a/f"));
    jade_sim_free(c);
    jade_sim_free(s);
}

static void an_unsynced_unlink_may_come_back_with_its_content(void **state)
{
    (void)state;
    struct jade_err err;
    struct jade_sim *s = new_sim(1);
    struct jade_os *os = jade_sim_os(s);
    MUST(jade_os_mkdirs(os, "d", &err));
    MUST(jade_os_replace(os, "f", "back", 4, &err));
    MUST(jade_os_unlink(os, "f", &err));
    for (int i = 0; i < 300;
         i++) { /* syncs d, not the root; so many new files that nodes are collected meanwhile */
        MUST(jade_os_replace(os, "d/other", "x", 1, &err));
    }
    assert_false(exists(s, "f"));
    struct jade_sim *c = crash(s, JADE_SIM_LOSE_ALL, 1);
    check_content(c, "f", "back", 4);
    jade_sim_free(c);
    MUST(jade_os_sync_dir(os, ".", &err));
    c = crash(s, JADE_SIM_LOSE_ALL, 1);
    assert_false(exists(c, "f"));
    jade_sim_free(c);
    jade_sim_free(s);
}

static void a_folder_takes_what_is_below_with_it(void **state)
{
    (void)state;
    struct jade_err err;
    struct jade_sim *s = new_sim(1);
    struct jade_os *os = jade_sim_os(s);
    MUST(jade_os_mkdir(os, "d", &err));
    MUST(jade_os_replace(os, "d/f", "x", 1, &err)); /* synced, in a folder whose name is not */
    struct jade_sim *c = crash(s, JADE_SIM_LOSE_ALL, 1);
    assert_false(exists(c, "d"));
    jade_sim_free(c);
    MUST(jade_os_sync_dir(os, ".", &err));
    MUST(jade_os_unlink(os, "d/f", &err));
    MUST(jade_os_rmdir(os, "d", &err));
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        c = crash(s, JADE_SIM_RANDOM, seed);
        if (exists(c, "d/f")) {
            check_content(c, "d/f", "x", 1);
        }
        jade_sim_free(c);
    }
    MUST(jade_os_sync_dir(os, ".", &err));
    c = crash(s, JADE_SIM_LOSE_ALL, 1);
    assert_false(exists(c, "d"));
    jade_sim_free(c);
    jade_sim_free(s);
}

/* ---- faults ---- */

static void a_failed_sync_poisons_and_is_not_saved_by_another_handle(void **state)
{
    (void)state;
    struct jade_err err;
    unsigned lost = 0;
    unsigned kept = 0;
    struct jade_sim *s = new_sim(1);
    struct jade_file *f = stable_file(s, "f", 'o', 2 * SECTOR);
    MUST(jade_file_write(f, 0, "first", 5, &err));
    jade_sim_fail_at(s, JADE_SIM_SYNC, 1, JADE_E_IO, false);
    EXPECT(JADE_E_IO, jade_file_sync(f, &err));
    assert_int_equal(err.os_errno, 5);
    EXPECT(JADE_E_IO, jade_file_sync(f, &err)); /* the fault is gone; the handle stays poisoned */
    EXPECT(JADE_E_IO, jade_file_write(f, 0, "x", 1, &err));
    EXPECT(JADE_E_IO, jade_file_truncate(f, 0, &err));
    struct jade_file *g = open_file(s, "f", JADE_OPEN_WRITE);
    MUST(jade_file_write(g, SECTOR, "second", 6, &err));
    char buf[5];
    MUST(jade_file_read(g, 0, buf, 5, &err));
    assert_memory_equal(buf, "first", 5); /* the page cache lies */
    for (uint64_t seed = 0; seed < 64; seed++) {
        struct jade_sim *c = NULL;
        uint8_t *data = NULL;
        MUST(jade_sim_clone(s, seed, &c, &err));
        struct jade_file *h = open_file(c, "f", JADE_OPEN_WRITE);
        MUST(jade_file_sync(h, &err));
        jade_file_close(h);
        jade_sim_reboot(c, JADE_SIM_LOSE_ALL, seed);
        assert_int_equal(content(c, "f", &data), 2 * SECTOR);
        assert_memory_equal(data + SECTOR, "second",
                            6); /* written after the failure and synced: there */
        lost += memcmp(data, "ooooo", 5) == 0 ? 1 : 0;
        kept += memcmp(data, "first", 5) == 0 ? 1 : 0;
        jade_free(data);
        jade_sim_free(c);
    }
    assert_int_equal(lost + kept, 64);
    assert_true(lost > 0 && kept > 0);
    jade_file_close(f);
    jade_file_close(g);
    jade_sim_free(s);
}

static void every_kind_of_call_can_be_made_to_fail(void **state)
{
    (void)state;
    struct jade_err err;
    struct jade_sim *s = new_sim(1);
    struct jade_os *os = jade_sim_os(s);
    struct jade_file *f = stable_file(s, "f", 'o', 100);
    struct jade_file *g = NULL;
    struct jade_mapping m;
    char c = 0;
#define FAILS(op, call)                                    \
    do {                                                   \
        jade_sim_fail_at(s, op, 1, JADE_E_NOSPACE, false); \
        EXPECT(JADE_E_NOSPACE, call);                      \
        assert_int_equal(err.os_errno, 28);                \
        assert_int_equal(jade_sim_calls(s, op), 1);        \
    } while (0)
    FAILS(JADE_SIM_OPEN, jade_file_open(os, "f", JADE_OPEN_READ, &g, &err));
    FAILS(JADE_SIM_READ, jade_file_read(f, 0, &c, 1, &err));
    FAILS(JADE_SIM_WRITE, jade_file_write(f, 0, "x", 1, &err));
    FAILS(JADE_SIM_ALLOCATE, jade_file_allocate(f, 1000, &err));
    FAILS(JADE_SIM_TRUNCATE, jade_file_truncate(f, 10, &err));
    FAILS(JADE_SIM_MAP, jade_os_map(os, "f", &m, &err));
    FAILS(JADE_SIM_RENAME, os->ops->rename(os, "f", "g", &err));
    FAILS(JADE_SIM_LINK, jade_os_link(os, "f", "g", &err));
    FAILS(JADE_SIM_UNLINK, jade_os_unlink(os, "f", &err));
    FAILS(JADE_SIM_MKDIR, jade_os_mkdir(os, "d", &err));
    FAILS(JADE_SIM_RMDIR, jade_os_rmdir(os, "d", &err));
    FAILS(JADE_SIM_SYNC_DIR, jade_os_sync_dir(os, ".", &err));
    FAILS(JADE_SIM_LIST, jade_os_list(os, ".", NULL, NULL, &err));
    FAILS(JADE_SIM_ANY, jade_os_mkdir(os, "d", &err));
    FAILS(JADE_SIM_SYNC, jade_file_sync(f, &err));
#undef FAILS
    jade_sim_fail_at(s, JADE_SIM_MKDIR, 2, JADE_E_IO, true);
    MUST(jade_os_mkdir(os, "d1", &err));
    EXPECT(JADE_E_IO, jade_os_mkdir(os, "d2", &err));
    EXPECT(JADE_E_IO, jade_os_mkdir(os, "d3", &err));
    jade_sim_fail_at(s, JADE_SIM_MKDIR, 0, JADE_OK, false);
    MUST(jade_os_mkdir(os, "d4", &err));
    jade_file_close(f);
    jade_sim_free(s);
}

static void a_full_disk_refuses_growth_and_keeps_its_promise(void **state)
{
    (void)state;
    struct jade_err err;
    static uint8_t big[4096];
    uint64_t free_bytes = 0;
    uint64_t total = 0;
    struct jade_sim *s = new_sim(1);
    jade_sim_set_capacity(s, 10000);
    struct jade_file *f = open_file(s, "f", JADE_OPEN_CREATE);
    MUST(jade_file_allocate(f, 8192, &err));
    MUST(jade_os_space(jade_sim_os(s), ".", &free_bytes, &total, &err));
    assert_int_equal(total, 10000);
    assert_int_equal(free_bytes, 10000 - 8192);
    struct jade_file *g = open_file(s, "g", JADE_OPEN_CREATE);
    EXPECT(JADE_E_NOSPACE, jade_file_write(g, 0, big, sizeof big, &err));
    EXPECT(JADE_E_NOSPACE, jade_file_allocate(f, 8193 + 10000, &err));
    MUST(jade_file_write(f, 4096, big, sizeof big, &err)); /* inside what was reserved (P9) */
    jade_file_close(g);
    MUST(jade_os_unlink(jade_sim_os(s), "g", &err));
    MUST(jade_file_write(f, 8192, big, 1000,
                         &err));  /* not poisoned, and the room of g is free again */
    for (int i = 0; i < 5; i++) { /* what a rename replaced takes no room any more */
        MUST(jade_os_replace(jade_sim_os(s), "h", big, 300, &err));
    }
    jade_file_close(f);
    jade_sim_free(s);
}

static void a_failed_write_may_be_there_in_part_and_poisons(void **state)
{
    (void)state;
    struct jade_err err;
    static uint8_t block[8 * SECTOR];
    unsigned found[9] = {0};
    memset(block, 'n', sizeof block);
    for (uint64_t seed = 0; seed < 100; seed++) {
        uint8_t *data = NULL;
        struct jade_sim *s = new_sim(seed);
        struct jade_file *f = stable_file(s, "f", 'o', sizeof block);
        jade_sim_fail_at(s, JADE_SIM_WRITE, 1, seed % 2 == 0 ? JADE_E_IO : JADE_E_NOSPACE, false);
        EXPECT(seed % 2 == 0 ? JADE_E_IO : JADE_E_NOSPACE,
               jade_file_write(f, 0, block, sizeof block, &err));
        size_t n = 0;
        assert_int_equal(content(s, "f", &data), sizeof block);
        while (n < sizeof block && data[n] == 'n') {
            n++;
        }
        for (size_t i = n; i < sizeof block; i++) {
            assert_int_equal(data[i], 'o');
        }
        assert_int_equal(n % SECTOR, 0);
        found[n / SECTOR]++;
        jade_free(data);
        EXPECT(seed % 2 == 0 ? JADE_E_IO : JADE_OK, jade_file_write(f, 0, "x", 1, &err));
        EXPECT(seed % 2 == 0 ? JADE_E_IO : JADE_OK, jade_file_sync(f, &err));
        jade_file_close(f);
        jade_sim_free(s);
    }
    for (int i = 0; i <= 8; i++) {
        assert_true(found[i] > 0);
    }
}

static void after_a_cut_nothing_works_until_the_reboot(void **state)
{
    (void)state;
    struct jade_err err;
    bool there = false;
    struct jade_sim *s = new_sim(1);
    struct jade_os *os = jade_sim_os(s);
    struct jade_lock *l = NULL;
    struct jade_file *f = stable_file(s, "f", 'o', 10);
    MUST(jade_os_lock(os, "LOCK", &l, &err));
    uint64_t before = jade_sim_points(s);
    jade_sim_cut_at(s, before + 2);
    MUST(jade_file_write(f, 0, "a", 1, &err));
    assert_false(jade_sim_is_cut(s));
    EXPECT(JADE_E_IO, jade_file_write(f, 1, "b", 1, &err));
    assert_true(jade_sim_is_cut(s));
    assert_int_equal(jade_sim_points(s), before + 1);
    EXPECT(JADE_E_IO, jade_os_exists(os, "f", &there, &err));
    EXPECT(JADE_E_IO, jade_file_read(f, 0, &there, 1, &err));
    jade_sim_reboot(s, JADE_SIM_KEEP_ALL, 1);
    EXPECT(JADE_E_IO, jade_file_write(f, 0, "c", 1, &err)); /* a handle of before */
    assert_int_equal(jade_sim_handles(s), 2);
    jade_file_close(f);
    jade_os_unlock(l);
    assert_int_equal(jade_sim_handles(s), 0);
    check_content(s, "f", "aooooooooo", 10);
    MUST(jade_os_lock(os, "LOCK", &l, &err));
    jade_os_unlock(l);
    jade_sim_free(s);
}

static void damage_shows_to_readers_and_survives_a_reboot(void **state)
{
    (void)state;
    struct jade_err err;
    struct jade_mapping m;
    struct jade_sim *s = new_sim(1);
    struct jade_file *f = stable_file(s, "f", 'a', 3);
    MUST(jade_os_map(jade_sim_os(s), "f", &m, &err));
    MUST(jade_sim_damage(s, "f", 1, 3, &err));
    check_content(s, "f", "aba", 3);
    assert_memory_equal(m.data, "aaa", 3);
    EXPECT(JADE_E_NOT_FOUND, jade_sim_damage(s, "g", 1, 3, &err));
    EXPECT(JADE_E_INVALID_ARGUMENT, jade_sim_damage(s, "f", 3, 3, &err));
    jade_file_close(f);
    jade_sim_reboot(s, JADE_SIM_LOSE_ALL, 1);
    check_content(s, "f", "aba", 3);
    jade_sim_free(s);
    assert_memory_equal(m.data, "aaa", 3); /* outlives even the disk */
    s = new_sim(2);
    jade_os_unmap(jade_sim_os(s), &m);
    jade_sim_free(s);
    assert_int_equal(jade_alloc_bytes(JADE_TAG_TEST), 0);
}

static void a_kill_keeps_what_is_pending_pending(void **state)
{
    (void)state;
    struct jade_err err;
    struct jade_sim *s = new_sim(1);
    struct jade_file *f = stable_file(s, "f", 'o', 1);
    MUST(jade_file_write(f, 0, "n", 1, &err));
    jade_sim_kill(s);
    EXPECT(JADE_E_IO, jade_file_sync(f, &err));
    jade_file_close(f);
    check_content(s, "f", "n", 1);
    jade_sim_reboot(s, JADE_SIM_LOSE_ALL, 1);
    check_content(s, "f", "o", 1);
    jade_sim_free(s);
}

/** Writes, renames and syncs of which any may find no memory; returns whether all went well. */
static bool script_without_memory(struct jade_sim *s)
{
    struct jade_os *os = jade_sim_os(s);
    struct jade_file *f = NULL;
    static uint8_t block[40000];
    bool ok = true;
    memset(block, 'b', sizeof block);
    ok = jade_os_mkdir(os, "d", NULL) == JADE_OK && ok;
    ok = jade_file_open(os, "d/f", JADE_OPEN_CREATE, &f, NULL) == JADE_OK && ok;
    if (f != NULL) {
        ok = jade_file_write(f, 100, block, sizeof block, NULL) == JADE_OK && ok;
        ok = jade_file_sync(f, NULL) == JADE_OK && ok;
        ok = jade_file_truncate(f, 20000, NULL) == JADE_OK && ok;
        ok = jade_file_write(f, 5, "over", 4, NULL) == JADE_OK && ok;
        ok = jade_file_allocate(f, 70000, NULL) == JADE_OK && ok;
        jade_file_close(f);
    }
    ok = jade_os_sync_dir(os, "d", NULL) == JADE_OK && ok;
    ok = os->ops->rename(os, "d/f", "g", NULL) == JADE_OK && ok;
    ok = jade_os_sync_dir(os, "d", NULL) == JADE_OK && ok;
    ok = jade_os_link(os, "g", "d/h", NULL) == JADE_OK && ok;
    return ok;
}

static jade_code note_name(void *ctx, const char *name, bool is_dir, struct jade_err *err)
{
    (void)err;
    char *all = ctx;
    all[(unsigned char)name[0]] = is_dir ? 'd' : 'f';
    return JADE_OK;
}

/** The same names with the same contents, at most one folder deep. */
static void check_same(struct jade_sim *a, struct jade_sim *b)
{
    static const char *const files[] = {"d/f", "d/h", "g"};
    struct jade_err err;
    char in_a[256] = {0};
    char in_b[256] = {0};
    MUST(jade_os_list(jade_sim_os(a), ".", note_name, in_a, &err));
    MUST(jade_os_list(jade_sim_os(b), ".", note_name, in_b, &err));
    assert_memory_equal(in_a, in_b, sizeof in_a);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(exists(a, files[i]), exists(b, files[i]));
        if (exists(a, files[i])) {
            uint8_t *data = NULL;
            size_t n = content(a, files[i], &data);
            check_content(b, files[i], data, n);
            jade_free(data);
        }
    }
}

static void without_memory_calls_fail_and_the_disk_stays_consistent(void **state)
{
    (void)state;
    uint64_t n = 1;
    for (bool passed = false; !passed; n++) {
        assert_true(n < 1000);
        struct jade_sim *s = new_sim(n);
        jade_alloc_fail_at(n);
        bool ok = script_without_memory(s);
        passed = jade_alloc_count() < n;
        jade_alloc_fail_at(0);
        assert_true(ok || !passed);
        assert_int_equal(jade_sim_handles(s), 0);
        struct jade_sim *c = crash(s, JADE_SIM_KEEP_ALL, n); /* what is seen is what was recorded */
        check_same(s, c);
        jade_sim_free(c);
        jade_sim_free(s);
    }
    assert_true(n > 20);
    assert_int_equal(jade_alloc_bytes_total(), 0);
}

static void making_and_copying_a_disk_without_memory_leaves_nothing(void **state)
{
    (void)state;
    struct jade_err err;
    struct jade_sim *s = NULL;
    struct jade_sim *c = NULL;
    uint64_t n = 1;
    for (bool passed = false; !passed; n++) {
        jade_alloc_fail_at(n);
        jade_code rc = jade_sim_new(1, &s, &err);
        passed = jade_alloc_count() < n;
        jade_alloc_fail_at(0);
        assert_int_equal(rc, passed ? JADE_OK : JADE_E_NOMEM);
        assert_true((s != NULL) == passed && n < 100);
    }
    assert_true(n > 3);
    assert_true(script_without_memory(s));
    n = 1;
    for (bool passed = false; !passed; n++) {
        jade_alloc_fail_at(n);
        jade_code rc = jade_sim_clone(s, 1, &c, &err);
        passed = jade_alloc_count() < n;
        jade_alloc_fail_at(0);
        assert_int_equal(rc, passed ? JADE_OK : JADE_E_NOMEM);
        assert_true((c != NULL) == passed && n < 100);
    }
    assert_true(n > 3);
    check_same(s, c);
    jade_sim_free(c);
    jade_sim_free(s);
    assert_int_equal(jade_alloc_bytes_total(), 0);
}

static void a_clone_is_independent_and_reboots_alike_for_a_seed(void **state)
{
    (void)state;
    struct jade_err err;
    static uint8_t block[40 * SECTOR];
    struct jade_sim *s = new_sim(1);
    struct jade_file *f = stable_file(s, "f", 'o', sizeof block);
    memset(block, 'n', sizeof block);
    MUST(jade_file_write(f, 0, block, sizeof block, &err));
    struct jade_sim *a = crash(s, JADE_SIM_RANDOM, 7);
    struct jade_sim *b = crash(s, JADE_SIM_RANDOM, 7);
    uint8_t *da = NULL;
    uint8_t *db = NULL;
    size_t na = content(a, "f", &da);
    assert_int_equal(na, content(b, "f", &db));
    assert_memory_equal(da, db, na);
    jade_free(da);
    jade_free(db);
    struct jade_file *g = open_file(a, "f", JADE_OPEN_WRITE);
    MUST(jade_file_write(g, 0, "changed", 7, &err));
    MUST(jade_file_truncate(g, 7, &err));
    jade_file_close(g);
    check_content(s, "f", block, sizeof block); /* the original saw nothing of it */
    jade_sim_free(a);
    jade_sim_free(b);
    jade_file_close(f);
    jade_sim_free(s);
    assert_int_equal(jade_alloc_bytes(JADE_TAG_TEST), 0);
}

static void the_clock_moves_only_by_calls_and_advance(void **state)
{
    (void)state;
    struct jade_sim *s = new_sim(1);
    struct jade_os *os = jade_sim_os(s);
    uint64_t t = jade_os_mono_us(os);
    assert_int_equal(jade_os_mono_us(os), t + 1);
    jade_sim_advance(s, 5000);
    assert_int_equal(jade_os_mono_us(os), t + 5002);
    int64_t wall = jade_os_wall_us(os);
    assert_int_equal(jade_os_wall_us(os), wall + 1);
    jade_sim_free(s);
}

/** Not a bound on the machine but on the method: a copy of every byte would take some 3 ms a state. */
static void a_crash_state_of_a_large_disk_is_cheap(void **state)
{
    (void)state;
    struct jade_err err;
    enum { STATES = 200 };
    struct timespec a;
    struct timespec b;
    struct jade_sim *s = new_sim(1);
    struct jade_file *f[20];
    for (int i = 0; i < 20; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "f%d", i);
        f[i] = stable_file(s, name, i, 1 << 20);
        MUST(jade_file_write(f[i], 1000, "pending", 7, &err));
    }
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    for (uint64_t seed = 0; seed < STATES; seed++) {
        jade_sim_free(crash(s, JADE_SIM_RANDOM, seed));
    }
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    double us =
        ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / 1e3 / STATES;
    print_message("20 files of 1 MiB: %.0f us a crash state\n", us);
    assert_true(us < 10000);
    for (int i = 0; i < 20; i++) {
        jade_file_close(f[i]);
    }
    jade_sim_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crash_states_are_those_of_the_model),
        cmocka_unit_test(what_follows_a_lost_truncate_is_lost_with_it),
        cmocka_unit_test(last_only_shows_the_newest_write_over_a_hole),
        cmocka_unit_test(an_allocated_synced_range_survives_with_its_size),
        cmocka_unit_test(names_survive_as_a_prefix_in_order),
        cmocka_unit_test(sync_of_a_file_does_not_persist_its_name),
        cmocka_unit_test(a_rename_leaves_exactly_one_name),
        cmocka_unit_test(an_unsynced_unlink_may_come_back_with_its_content),
        cmocka_unit_test(a_folder_takes_what_is_below_with_it),
        cmocka_unit_test(a_failed_sync_poisons_and_is_not_saved_by_another_handle),
        cmocka_unit_test(every_kind_of_call_can_be_made_to_fail),
        cmocka_unit_test(a_full_disk_refuses_growth_and_keeps_its_promise),
        cmocka_unit_test(a_failed_write_may_be_there_in_part_and_poisons),
        cmocka_unit_test(after_a_cut_nothing_works_until_the_reboot),
        cmocka_unit_test(damage_shows_to_readers_and_survives_a_reboot),
        cmocka_unit_test(a_kill_keeps_what_is_pending_pending),
        cmocka_unit_test(without_memory_calls_fail_and_the_disk_stays_consistent),
        cmocka_unit_test(making_and_copying_a_disk_without_memory_leaves_nothing),
        cmocka_unit_test(a_clone_is_independent_and_reboots_alike_for_a_seed),
        cmocka_unit_test(the_clock_moves_only_by_calls_and_advance),
        cmocka_unit_test(a_crash_state_of_a_large_disk_is_cheap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
