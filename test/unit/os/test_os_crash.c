/*
 * publish, replace and mkdirs when calls fail, memory runs short or power goes: swept over every call and every I/O point until a
 * run passes. What must hold is the same each time: a reader finds the old content or the new one, never a mixture.
 */
#include "os_test.h"

#include "os/sim.h"

enum { SEEDS = 50, SWEEP_MAX = 200 };

static uint8_t old_text[3000];
static uint8_t new_text[5000];

static int fill_texts(void **state)
{
    (void)state;
    memset(old_text, 'o', sizeof old_text);
    for (size_t i = 0; i < sizeof new_text; i++) {
        new_text[i] = (uint8_t)('A' + i / 512);
    }
    return 0;
}

/** A disk with data/f holding the old text, all of it stable. */
static struct jade_sim *disk_with_old(uint64_t seed)
{
    struct jade_sim *s = NULL;
    struct jade_err err;
    MUST(jade_sim_new(seed, &s, &err));
    struct jade_os *os = jade_sim_os(s);
    MUST(jade_os_mkdirs(os, "data", &err));
    MUST(jade_os_replace(os, "data/f", old_text, sizeof old_text, &err));
    return s;
}

/** 0 when data/f is the old text, 1 when it is the new one; fails the test otherwise. */
static int which(struct jade_os *os)
{
    uint8_t *data = NULL;
    size_t size = 0;
    struct jade_err err;
    MUST(jade_os_read_file(os, "data/f", 1 << 20, &data, &size, &err));
    int is_new = size == sizeof new_text && memcmp(data, new_text, size) == 0;
    int is_old = size == sizeof old_text && memcmp(data, old_text, size) == 0;
    jade_free(data);
    assert_int_equal(is_new + is_old, 1);
    return is_new;
}

static void replace_with_any_failing_call_leaves_old_or_new(void **state)
{
    (void)state;
    struct jade_err err;
    const jade_code codes[] = {JADE_E_IO, JADE_E_NOSPACE};
    for (size_t c = 0; c < 2; c++) {
        uint64_t n = 1;
        for (bool passed = false; !passed; n++) {
            assert_true(n < SWEEP_MAX);
            struct jade_sim *s = disk_with_old(n);
            struct jade_os *os = jade_sim_os(s);
            jade_sim_fail_at(s, JADE_SIM_ANY, n, codes[c], false);
            jade_code rc = jade_os_replace(os, "data/f", new_text, sizeof new_text, &err);
            passed = jade_sim_calls(s, JADE_SIM_ANY) < n;
            assert_int_equal(rc, passed ? JADE_OK : codes[c]);
            jade_sim_fail_at(s, JADE_SIM_ANY, 0, JADE_OK, false);
            int now = which(os);
            assert_true(rc != JADE_OK || now == 1);
            assert_int_equal(jade_sim_handles(s), 0);
            /* Trying again after the fault is gone works, whatever the failed one left. */
            MUST(jade_os_replace(os, "data/f", new_text, sizeof new_text, &err));
            assert_int_equal(which(os), 1);
            jade_sim_free(s);
        }
        assert_true(n > 5); /* open, write, sync, rename, sync of the folder were all hit */
    }
}

static void replace_without_memory_leaves_old_or_new(void **state)
{
    (void)state;
    struct jade_err err;
    uint64_t n = 1;
    for (bool passed = false; !passed; n++) {
        assert_true(n < SWEEP_MAX);
        struct jade_sim *s = disk_with_old(n);
        jade_alloc_fail_at(n);
        jade_code rc = jade_os_replace(jade_sim_os(s), "data/f", new_text, sizeof new_text, &err);
        passed = jade_alloc_count() < n;
        jade_alloc_fail_at(0);
        assert_true(rc == (passed ? JADE_OK : JADE_E_NOMEM) || (!passed && rc == JADE_OK));
        assert_true(which(jade_sim_os(s)) == 1 || rc != JADE_OK);
        jade_sim_free(s);
    }
    assert_int_equal(jade_alloc_bytes_total(), 0);
}

static void read_file_without_memory_gives_nothing(void **state)
{
    (void)state;
    struct jade_err err;
    struct jade_sim *s = disk_with_old(1);
    uint64_t n = 1;
    for (bool passed = false; !passed; n++) {
        uint8_t *data = NULL;
        size_t size = 0;
        assert_true(n < SWEEP_MAX);
        jade_alloc_fail_at(n);
        jade_code rc = jade_os_read_file(jade_sim_os(s), "data/f", 1 << 20, &data, &size, &err);
        passed = jade_alloc_count() < n;
        jade_alloc_fail_at(0);
        assert_int_equal(rc, passed ? JADE_OK : JADE_E_NOMEM);
        assert_true((data != NULL) == passed);
        jade_free(data);
        assert_int_equal(jade_sim_handles(s), 0);
    }
    jade_sim_free(s);
}

/** All crash states of one cut: each policy, SEEDS seeds of the random one. Counts which text was found. */
static unsigned check_states(const struct jade_sim *s, bool acknowledged, unsigned found[2])
{
    struct jade_err err;
    unsigned n = 0;
    for (uint64_t seed = 0; seed < SEEDS + 3; seed++) {
        struct jade_sim *c = NULL;
        enum jade_sim_policy policy = seed == 0   ? JADE_SIM_LOSE_ALL
                                      : seed == 1 ? JADE_SIM_KEEP_ALL
                                      : seed == 2 ? JADE_SIM_LAST_ONLY
                                                  : JADE_SIM_RANDOM;
        MUST(jade_sim_clone(s, seed, &c, &err));
        jade_sim_reboot(c, policy, seed);
        int now = which(jade_sim_os(c));
        found[now]++;
        assert_true(now == 1 || !acknowledged);
        jade_sim_free(c);
        n++;
    }
    return n;
}

static void replace_with_power_cut_anywhere_leaves_old_or_new(void **state)
{
    (void)state;
    struct jade_err err;
    unsigned found[2] = {0, 0};
    unsigned states = 0;
    uint64_t cut = 1;
    for (bool passed = false; !passed; cut++) {
        struct jade_sim *s = disk_with_old(cut);
        uint64_t before = jade_sim_points(s);
        assert_true(cut < SWEEP_MAX);
        jade_sim_cut_at(s, before + cut);
        jade_code rc = jade_os_replace(jade_sim_os(s), "data/f", new_text, sizeof new_text, &err);
        passed = !jade_sim_is_cut(s);
        assert_int_equal(rc, passed ? JADE_OK : JADE_E_IO);
        assert_int_equal(jade_sim_handles(s), 0);
        states += check_states(s, rc == JADE_OK, found);
        jade_sim_free(s);
    }
    print_message("seeds 0..%d: %u crash states, %u old, %u new\n", SEEDS + 2, states, found[0],
                  found[1]);
    assert_true(cut > 5);
    assert_true(found[0] > 0 && found[1] > 0);
}

/** The same with a replace that forgets the sync: the sweep must catch it, or it proves nothing. */
static void a_replace_without_sync_is_caught_by_the_sweep(void **state)
{
    (void)state;
    struct jade_err err;
    struct jade_sim *s = disk_with_old(1);
    struct jade_os *os = jade_sim_os(s);
    struct jade_file *f = NULL;
    unsigned mixtures = 0;
    MUST(jade_file_open(os, "data/f.tmp", JADE_OPEN_CREATE, &f, &err));
    MUST(jade_file_write(f, 0, new_text, sizeof new_text, &err));
    MUST(os->ops->rename(os, "data/f.tmp", "data/f", &err));
    MUST(jade_os_sync_dir(os, "data", &err));
    jade_file_close(f);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct jade_sim *c = NULL;
        uint8_t *data = NULL;
        size_t size = 0;
        MUST(jade_sim_clone(s, seed, &c, &err));
        jade_sim_reboot(c, JADE_SIM_RANDOM, seed);
        MUST(jade_os_read_file(jade_sim_os(c), "data/f", 1 << 20, &data, &size, &err));
        mixtures += size != sizeof new_text || memcmp(data, new_text, size) != 0 ? 1 : 0;
        jade_free(data);
        jade_sim_free(c);
    }
    jade_sim_free(s);
    assert_true(mixtures > SEEDS / 4);
}

/* ---- mkdirs ---- */

static void mkdirs_done_survives_every_power_cut(void **state)
{
    (void)state;
    struct jade_err err;
    bool there = false;
    struct jade_sim *s = NULL;
    MUST(jade_sim_new(1, &s, &err));
    MUST(jade_os_mkdirs(jade_sim_os(s), "a/b/c", &err));
    jade_sim_reboot(s, JADE_SIM_LOSE_ALL, 1);
    MUST(jade_os_exists(jade_sim_os(s), "a/b/c", &there, &err));
    assert_true(there);
    jade_sim_free(s);
}

/** A process killed inside mkdirs leaves a folder that is seen but not stable; the next mkdirs must not build on it unsynced. */
static void mkdirs_after_a_kill_inside_mkdirs_is_durable(void **state)
{
    (void)state;
    struct jade_err err;
    uint64_t cut = 1;
    for (bool passed = false; !passed; cut++) {
        bool there = false;
        struct jade_sim *s = NULL;
        assert_true(cut < SWEEP_MAX);
        MUST(jade_sim_new(cut, &s, &err));
        jade_sim_cut_at(s, cut);
        (void)jade_os_mkdirs(jade_sim_os(s), "a/b/c", &err);
        passed = !jade_sim_is_cut(s);
        jade_sim_kill(s);
        MUST(jade_os_mkdirs(jade_sim_os(s), "a/b/c/d", &err));
        jade_sim_reboot(s, JADE_SIM_LOSE_ALL, cut);
        MUST(jade_os_exists(jade_sim_os(s), "a/b/c/d", &there, &err));
        assert_true(there);
        jade_sim_free(s);
    }
}

static void remove_tree_passes_on_every_failure(void **state)
{
    (void)state;
    struct jade_err err;
    uint64_t n = 1;
    for (bool passed = false; !passed; n++) {
        assert_true(n < SWEEP_MAX);
        struct jade_sim *s = disk_with_old(n);
        struct jade_os *os = jade_sim_os(s);
        MUST(jade_os_mkdirs(os, "data/a/b", &err));
        MUST(jade_os_replace(os, "data/a/b/x", "x", 1, &err));
        jade_sim_fail_at(s, JADE_SIM_ANY, n, JADE_E_IO, false);
        jade_code rc = jade_os_remove_tree(os, "data", &err);
        passed = jade_sim_calls(s, JADE_SIM_ANY) < n;
        assert_int_equal(rc, passed ? JADE_OK : JADE_E_IO);
        jade_sim_fail_at(s, JADE_SIM_ANY, 0, JADE_OK, false);
        MUST(jade_os_remove_tree(os, "data", &err));
        jade_sim_free(s);
    }
    assert_true(n > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replace_with_any_failing_call_leaves_old_or_new),
        cmocka_unit_test(replace_without_memory_leaves_old_or_new),
        cmocka_unit_test(read_file_without_memory_gives_nothing),
        cmocka_unit_test(replace_with_power_cut_anywhere_leaves_old_or_new),
        cmocka_unit_test(a_replace_without_sync_is_caught_by_the_sweep),
        cmocka_unit_test(mkdirs_done_survives_every_power_cut),
        cmocka_unit_test(mkdirs_after_a_kill_inside_mkdirs_is_durable),
        cmocka_unit_test(remove_tree_passes_on_every_failure),
    };
    return cmocka_run_group_tests(tests, fill_texts, NULL);
}
