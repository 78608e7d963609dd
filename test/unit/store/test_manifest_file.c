/* The manifest: what CURRENT names counts; a publish that was cut anywhere leaves the old state or the new one. */
#include <stdlib.h>

#include "store/manifest_file.h"
#include "store_test.h"

static jade_code publish(struct jade_os *os, const char *dir, uint64_t number, struct jade_err *err)
{
    struct jade_manifest_segment segments[3] = {
        {.number = number, .n_rows = 10, .desc_crc = 1},
        {.number = number + 1, .n_rows = 20, .tombs_lsn = {7}, .tombs_crc = 2, .n_dead = 3},
        {.number = number + 2},
    };
    struct jade_manifest m = {
        .number = number,
        .checkpoint = JADE_LSN(number * 100),
        .checkpoint_epoch = {4},
        .next_segment = number + 3,
        .wal_generation_min = number + 50,
        .n_segments = 3,
        .segments = segments,
    };
    return jade_manifest_publish(os, dir, &m, err);
}

static uint64_t load(struct jade_os *os, const char *dir)
{
    struct jade_manifest m;
    must(jade_manifest_load(os, dir, &m, &e));
    assert_int_equal(m.checkpoint.v, m.number * 100);
    assert_int_equal(m.wal_generation_min, m.number + 50);
    assert_int_equal(m.n_segments, 3);
    assert_int_equal(m.segments[1].number, m.number + 1);
    assert_int_equal(m.segments[1].n_dead, 3);
    uint64_t number = m.number;
    jade_manifest_release(&m);
    return number;
}

static struct jade_sim *shard_disk(void)
{
    struct jade_sim *s = disk_new();
    must(jade_os_mkdirs(jade_sim_os(s), "shard", &e));
    return s;
}

static void check_publish(struct jade_os *os, const char *dir)
{
    struct jade_manifest m;
    must_fail(JADE_E_NOT_FOUND, jade_manifest_load(os, dir, &m, &e));
    for (uint64_t number = 1; number < 20; number += 3) {
        must(publish(os, dir, number, &e));
        assert_int_equal(load(os, dir), number);
        assert_int_equal(entries(os, dir), 2); /* CURRENT and one manifest: older ones are gone */
    }
}

static void manifest_publish_then_load(void **state)
{
    (void)state;
    struct jade_sim *s = shard_disk();
    check_publish(jade_sim_os(s), "shard");
    jade_sim_reboot(s, JADE_SIM_LOSE_ALL, 1);
    assert_int_equal(load(jade_sim_os(s), "shard"), 19);
    jade_sim_free(s);
}

static void manifest_publish_then_load_on_the_real_disk(void **state)
{
    (void)state;
    char dir[] = "/tmp/jade-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    check_publish(jade_os_posix(), dir);
    must(jade_os_remove_tree(jade_os_posix(), dir, &e));
}

static void manifest_number_must_grow(void **state)
{
    (void)state;
    struct jade_sim *s = shard_disk();
    must(publish(jade_sim_os(s), "shard", 5, &e));
    must_fail(JADE_E_INVALID_ARGUMENT, publish(jade_sim_os(s), "shard", 5, &e));
    must_fail(JADE_E_INVALID_ARGUMENT, publish(jade_sim_os(s), "shard", 4, &e));
    assert_string_equal(e.field, "number");
    assert_int_equal(load(jade_sim_os(s), "shard"), 5);
    jade_sim_free(s);
}

static void manifest_power_cut_at_each_point_leaves_old_or_new(void **state)
{
    (void)state;
    unsigned old = 0, new = 0;
    for (uint64_t n = 1;; n++) {
        struct jade_sim *s = shard_disk();
        must(publish(jade_sim_os(s), "shard", 1, &e));
        jade_sim_cut_at(s, jade_sim_points(s) + n);
        jade_code rc = publish(jade_sim_os(s), "shard", 2, &e);
        bool was_cut = jade_sim_is_cut(s);
        for (uint64_t seed = 0; seed < 24; seed++) {
            struct jade_sim *after = disk_clone(s);
            jade_sim_reboot(after, seed < 4 ? (enum jade_sim_policy)seed : JADE_SIM_RANDOM, seed);
            uint64_t number = load(jade_sim_os(after), "shard");
            assert_true(number == 2 || (number == 1 && rc != JADE_OK));
            old += number == 1;
            new += number == 2;
            must(publish(jade_sim_os(after), "shard", 3, &e));
            assert_int_equal(load(jade_sim_os(after), "shard"), 3);
            assert_int_equal(entries(jade_sim_os(after), "shard"), 2);
            jade_sim_free(after);
        }
        jade_sim_free(s);
        if (!was_cut) {
            assert_int_equal(rc, JADE_OK);
            break;
        }
    }
    assert_true(old > 20 && new > 20);
}

static void manifest_first_publish_cut_leaves_nothing_or_it(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct jade_sim *s = shard_disk();
        jade_sim_cut_at(s, jade_sim_points(s) + n);
        jade_code rc = publish(jade_sim_os(s), "shard", 1, &e);
        bool was_cut = jade_sim_is_cut(s);
        jade_sim_reboot(s, JADE_SIM_RANDOM, n);
        struct jade_manifest m;
        jade_code load_rc = jade_manifest_load(jade_sim_os(s), "shard", &m, &e);
        assert_true(load_rc == JADE_OK || (load_rc == JADE_E_NOT_FOUND && rc != JADE_OK));
        jade_manifest_release(&m);
        jade_sim_free(s);
        if (!was_cut) {
            break;
        }
    }
}

/* Damage of what CURRENT names is refused: never an older manifest instead. */
static void manifest_flip_of_any_byte_is_refused(void **state)
{
    (void)state;
    static const char *const paths[] = {"shard/CURRENT", "shard/MANIFEST-2"};
    for (unsigned i = 0; i < 2; i++) {
        struct jade_sim *s = shard_disk();
        struct jade_os *os = jade_sim_os(s);
        size_t n;
        must(publish(os, "shard", 1, &e));
        uint8_t *old = slurp(os, "shard/MANIFEST-1", &n);
        must(publish(os, "shard", 2, &e));
        must(jade_os_replace(os, "shard/MANIFEST-1", old, n, &e)); /* an older one is at hand */
        jade_free(old);
        jade_free(slurp(os, paths[i], &n));
        for (size_t at = 0; at < n; at++) {
            struct jade_manifest m;
            flip(os, paths[i], at, (uint8_t)(1u << (at % 8)));
            must_fail(JADE_E_CORRUPT, jade_manifest_load(os, "shard", &m, &e));
            assert_null(m.segments);
            flip(os, paths[i], at, (uint8_t)(1u << (at % 8)));
        }
        assert_int_equal(load(os, "shard"), 2);
        jade_sim_free(s);
    }
}

static void manifest_missing_or_swapped_file_is_corrupt_not_absent(void **state)
{
    (void)state;
    struct jade_sim *s = shard_disk();
    struct jade_os *os = jade_sim_os(s);
    struct jade_manifest m;
    size_t n;
    must(publish(os, "shard", 1, &e));
    uint8_t *old = slurp(os, "shard/MANIFEST-1", &n);
    must(publish(os, "shard", 2, &e));
    must(jade_os_replace(os, "shard/MANIFEST-2", old, n, &e));
    must_fail(JADE_E_CORRUPT, jade_manifest_load(os, "shard", &m, &e));
    must(jade_os_unlink(os, "shard/MANIFEST-2", &e));
    must_fail(JADE_E_CORRUPT, jade_manifest_load(os, "shard", &m, &e));
    must(jade_os_replace(os, "shard/CURRENT", old, n, &e));
    must_fail(JADE_E_CORRUPT, jade_manifest_load(os, "shard", &m, &e));
    must(jade_os_replace(os, "shard/CURRENT", "", 0, &e));
    must_fail(JADE_E_CORRUPT, jade_manifest_load(os, "shard", &m, &e));
    jade_free(old);
    jade_sim_free(s);
}

static void manifest_each_failing_call_and_allocation_leaves_old_or_new(void **state)
{
    (void)state;
    for (unsigned memory = 0; memory < 2; memory++) {
        unsigned failed = 0;
        for (uint64_t n = 1;; n++) {
            struct jade_sim *s = shard_disk();
            struct jade_os *os = jade_sim_os(s);
            must(publish(os, "shard", 1, &e));
            if (memory) {
                jade_alloc_fail_at(n);
            } else {
                jade_sim_fail_at(s, JADE_SIM_ANY, n, JADE_E_IO, false);
            }
            jade_code rc = publish(os, "shard", 2, &e);
            struct jade_manifest m = {0};
            jade_code load_rc = rc == JADE_OK ? jade_manifest_load(os, "shard", &m, &e) : rc;
            jade_manifest_release(&m);
            bool reached = memory ? jade_alloc_count() >= n : jade_sim_calls(s, JADE_SIM_ANY) >= n;
            jade_alloc_fail_at(0);
            jade_sim_fail_at(s, JADE_SIM_ANY, 0, JADE_OK, false);
            uint64_t number = load(os, "shard");
            assert_true(number == 2 || (number == 1 && rc != JADE_OK));
            failed += load_rc != JADE_OK;
            jade_sim_free(s);
            if (!reached) {
                assert_int_equal(load_rc, JADE_OK);
                break;
            }
        }
        assert_true(failed > 5);
    }
}

/* STORAGE_FULL and OUT_OF_MEMORY promise that nothing changed; where that is not certain, another code comes. */
static void manifest_full_disk_leaves_the_old_one_for_certain(void **state)
{
    (void)state;
    unsigned full = 0, unknown = 0;
    for (uint64_t n = 1;; n++) {
        struct jade_sim *s = shard_disk();
        must(publish(jade_sim_os(s), "shard", 1, &e));
        jade_sim_fail_at(s, JADE_SIM_ANY, n, JADE_E_NOSPACE, false);
        jade_code rc = publish(jade_sim_os(s), "shard", 2, &e);
        bool reached = jade_sim_calls(s, JADE_SIM_ANY) >= n;
        jade_sim_fail_at(s, JADE_SIM_ANY, 0, JADE_OK, false);
        assert_true(rc == JADE_OK || rc == JADE_E_NOSPACE || rc == JADE_E_IO);
        full += rc == JADE_E_NOSPACE;
        unknown += rc == JADE_E_IO;
        uint64_t found = load(jade_sim_os(s), "shard");
        assert_true(found == 1 || rc != JADE_E_NOSPACE);
        jade_sim_reboot(s, JADE_SIM_LOSE_ALL, 1);
        assert_int_equal(load(jade_sim_os(s), "shard"), found);
        jade_sim_free(s);
        if (!reached) {
            break;
        }
    }
    assert_true(full > 5 && unknown == 1);
}

/* Killed between the rename of CURRENT and the sync of the folder: who loads the new state must be able to rely on it. */
static void manifest_that_was_loaded_is_durable(void **state)
{
    (void)state;
    struct jade_sim *s = shard_disk();
    must(publish(jade_sim_os(s), "shard", 1, &e));
    jade_sim_fail_at(s, JADE_SIM_SYNC_DIR, 2, JADE_E_IO, false); /* the second is CURRENT's */
    must_fail(JADE_E_IO, publish(jade_sim_os(s), "shard", 2, &e));
    assert_int_equal(load(jade_sim_os(s), "shard"), 2);
    jade_sim_reboot(s, JADE_SIM_LOSE_ALL, 1);
    assert_int_equal(load(jade_sim_os(s), "shard"), 2);
    jade_sim_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manifest_publish_then_load),
        cmocka_unit_test(manifest_publish_then_load_on_the_real_disk),
        cmocka_unit_test(manifest_number_must_grow),
        cmocka_unit_test(manifest_power_cut_at_each_point_leaves_old_or_new),
        cmocka_unit_test(manifest_first_publish_cut_leaves_nothing_or_it),
        cmocka_unit_test(manifest_flip_of_any_byte_is_refused),
        cmocka_unit_test(manifest_missing_or_swapped_file_is_corrupt_not_absent),
        cmocka_unit_test(manifest_full_disk_leaves_the_old_one_for_certain),
        cmocka_unit_test(manifest_that_was_loaded_is_durable),
        cmocka_unit_test(manifest_each_failing_call_and_allocation_leaves_old_or_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
