/* SUPER: two slots, the newest valid one counts, one torn write loses nothing. */
#include "store/super.h"
#include "store_test.h"

static struct jade_superblock open_get(struct jade_os *os)
{
    struct jade_super *s = NULL;
    must(jade_super_open(os, "SUPER", &s, &e));
    struct jade_superblock b = *jade_super_get(s);
    jade_super_close(s);
    return b;
}

static void super_create_makes_a_new_identity(void **state)
{
    (void)state;
    struct jade_sim *s = disk_new();
    struct jade_os *os = jade_sim_os(s);
    static const struct jade_uuid none;
    must(jade_super_create(os, "SUPER", &e));
    struct jade_superblock a = open_get(os);
    assert_memory_not_equal(a.copy.b, none.b, 16);
    assert_memory_not_equal(a.lineage.b, none.b, 16);
    assert_memory_not_equal(a.copy.b, a.lineage.b, 16);
    assert_int_equal(a.copy.b[6] >> 4, 4);
    assert_int_equal(a.copy.b[8] >> 6, 2);
    assert_int_equal(a.durable.v, 0);
    assert_int_equal(a.clean, 1);
    must_fail(JADE_E_ALREADY_EXISTS, jade_super_create(os, "SUPER", &e));
    struct jade_superblock b = open_get(os);
    assert_memory_equal(a.copy.b, b.copy.b, 16);
    must(jade_super_create(os, "OTHER", &e));
    jade_sim_free(s);
}

static void super_update_survives_reopening(void **state)
{
    (void)state;
    struct jade_sim *s = disk_new();
    struct jade_os *os = jade_sim_os(s);
    must(jade_super_create(os, "SUPER", &e));
    uint64_t sequence = open_get(os).sequence;
    for (uint64_t i = 1; i <= 9; i++) {
        struct jade_super *sup = NULL;
        must(jade_super_open(os, "SUPER", &sup, &e));
        struct jade_superblock next = *jade_super_get(sup);
        next.durable.v = 100 * i;
        next.boot_count++;
        next.adopted_epoch.v = i;
        next.clean = i % 2;
        next.sequence = 999; /* set by update, not by the caller */
        must(jade_super_update(sup, &next, &e));
        assert_int_equal(jade_super_get(sup)->sequence, sequence + i);
        jade_super_close(sup);
        jade_sim_reboot(s, JADE_SIM_LOSE_ALL, i);
        struct jade_superblock b = open_get(os);
        assert_int_equal(b.sequence, sequence + i);
        assert_int_equal(b.durable.v, 100 * i);
        assert_int_equal(b.boot_count, i);
        assert_int_equal(b.adopted_epoch.v, i);
        assert_int_equal(b.clean, i % 2);
    }
    jade_super_close(NULL);
    jade_sim_free(s);
}

static jade_code update(struct jade_os *os, uint64_t durable, struct jade_err *err)
{
    struct jade_super *sup = NULL;
    jade_code rc = jade_super_open(os, "SUPER", &sup, err);
    if (rc == JADE_OK) {
        struct jade_superblock next = *jade_super_get(sup);
        next.durable.v = durable;
        rc = jade_super_update(sup, &next, err);
    }
    jade_super_close(sup);
    return rc;
}

static void super_power_cut_at_each_point_leaves_old_or_new(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct jade_sim *s = disk_new();
        must(jade_super_create(jade_sim_os(s), "SUPER", &e));
        must(update(jade_sim_os(s), 10, &e));
        jade_sim_cut_at(s, jade_sim_points(s) + n);
        jade_code rc = update(jade_sim_os(s), 20, &e);
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct jade_sim *after = disk_clone(s);
            jade_sim_reboot(after, seed < 4 ? (enum jade_sim_policy)seed : JADE_SIM_RANDOM, seed);
            uint64_t durable = open_get(jade_sim_os(after)).durable.v;
            assert_true(durable == 20 || (rc != JADE_OK && durable == 10));
            must(update(jade_sim_os(after), 30, &e));
            assert_int_equal(open_get(jade_sim_os(after)).durable.v, 30);
            jade_sim_free(after);
        }
        jade_sim_free(s);
        if (rc == JADE_OK) {
            assert_true(n > 2);
            break;
        }
    }
}

static void super_power_cut_during_create_leaves_all_or_nothing(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct jade_sim *s = disk_new();
        jade_sim_cut_at(s, n);
        jade_code rc = jade_super_create(jade_sim_os(s), "SUPER", &e);
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct jade_sim *after = disk_clone(s);
            jade_sim_reboot(after, seed < 4 ? (enum jade_sim_policy)seed : JADE_SIM_RANDOM, seed);
            if (there(jade_sim_os(after), "SUPER")) {
                (void)open_get(jade_sim_os(after));
            } else {
                assert_int_not_equal(rc, JADE_OK);
                must(jade_super_create(jade_sim_os(after), "SUPER", &e));
            }
            jade_sim_free(after);
        }
        jade_sim_free(s);
        if (rc == JADE_OK) {
            break;
        }
    }
}

static void super_one_bad_slot_is_survived_two_are_refused(void **state)
{
    (void)state;
    for (uint64_t at = 0; at < JADE_SUPER_SLOT_BYTES; at++) {
        struct jade_sim *s = disk_new();
        struct jade_os *os = jade_sim_os(s);
        struct jade_super *sup = NULL;
        must(jade_super_create(os, "SUPER", &e));
        must(update(os, 10, &e));
        must(update(os, 20, &e));
        uint64_t newest = open_get(os).sequence % 2 * JADE_SUPER_SLOT_SPACING;
        flip(os, "SUPER", newest + at, 1);
        assert_int_equal(open_get(os).durable.v, 10);
        flip(os, "SUPER", newest + at, 1);
        uint64_t older = JADE_SUPER_SLOT_SPACING - newest;
        flip(os, "SUPER", older + at, 1);
        assert_int_equal(open_get(os).durable.v, 20);
        flip(os, "SUPER", newest + at, 1);
        must_fail(JADE_E_CORRUPT, jade_super_open(os, "SUPER", &sup, &e));
        assert_null(sup);
        jade_sim_free(s);
    }
}

static void super_missing_or_short_file(void **state)
{
    (void)state;
    struct jade_sim *s = disk_new();
    struct jade_os *os = jade_sim_os(s);
    struct jade_super *sup = NULL;
    struct jade_file *f = NULL;
    must_fail(JADE_E_NOT_FOUND, jade_super_open(os, "SUPER", &sup, &e));
    must(jade_super_create(os, "SUPER", &e));
    must(jade_file_open(os, "SUPER", JADE_OPEN_WRITE, &f, &e));
    must(jade_file_truncate(f, 4096, &e));
    assert_int_equal(open_get(os).sequence, 0);
    must(jade_file_truncate(f, 100, &e));
    must_fail(JADE_E_CORRUPT, jade_super_open(os, "SUPER", &sup, &e));
    jade_file_close(f);
    jade_sim_free(s);
}

static void super_failed_sync_poisons(void **state)
{
    (void)state;
    for (unsigned op = JADE_SIM_WRITE; op <= JADE_SIM_SYNC; op++) {
        struct jade_sim *s = disk_new();
        struct jade_super *sup = NULL;
        must(jade_super_create(jade_sim_os(s), "SUPER", &e));
        must(jade_super_open(jade_sim_os(s), "SUPER", &sup, &e));
        struct jade_superblock next = *jade_super_get(sup);
        next.durable.v = 5;
        jade_sim_fail_at(s, (enum jade_sim_op)op, 1, JADE_E_IO, false);
        must_fail(JADE_E_IO, jade_super_update(sup, &next, &e));
        must_fail(JADE_E_POISONED, jade_super_update(sup, &next, &e));
        assert_int_equal(jade_super_get(sup)->durable.v, 0);
        jade_super_close(sup);
        jade_sim_free(s);
    }
}

/* fsync failed, the process ended: the slot that the next one reads is in the page cache only, and counts as clean there. */
static void super_slot_that_was_read_is_durable(void **state)
{
    (void)state;
    struct jade_sim *s = disk_new();
    struct jade_os *os = jade_sim_os(s);
    must(jade_super_create(os, "SUPER", &e));
    must(update(os, 10, &e));
    jade_sim_fail_at(s, JADE_SIM_SYNC, 2, JADE_E_IO,
                     false); /* opening syncs once, the update is next */
    must_fail(JADE_E_IO, update(os, 20, &e));
    assert_int_equal(open_get(os).durable.v, 20);
    jade_sim_reboot(s, JADE_SIM_LOSE_ALL, 1);
    assert_int_equal(open_get(os).durable.v, 20);
    jade_sim_free(s);
}

static jade_code create_and_update(struct jade_os *os, struct jade_err *err)
{
    jade_code rc = jade_super_create(os, "SUPER", err);
    return rc != JADE_OK ? rc : update(os, 10, err);
}

static void super_each_failing_call_and_allocation_is_clean(void **state)
{
    (void)state;
    for (unsigned memory = 0; memory < 2; memory++) {
        for (uint64_t n = 1;; n++) {
            struct jade_sim *s = disk_new();
            if (memory) {
                jade_alloc_fail_at(n);
            } else {
                jade_sim_fail_at(s, JADE_SIM_ANY, n, JADE_E_IO, false);
            }
            jade_code rc = create_and_update(jade_sim_os(s), &e);
            bool reached = memory ? jade_alloc_count() >= n : jade_sim_calls(s, JADE_SIM_ANY) >= n;
            jade_alloc_fail_at(0);
            assert_true(rc == JADE_OK || rc == JADE_E_IO || rc == JADE_E_NOMEM);
            jade_sim_reboot(s, JADE_SIM_KEEP_ALL, n);
            if (there(jade_sim_os(s), "SUPER")) {
                uint64_t durable = open_get(jade_sim_os(s)).durable.v;
                assert_true(durable == 10 || (rc != JADE_OK && durable == 0));
            } else {
                assert_int_not_equal(rc, JADE_OK);
            }
            jade_sim_free(s);
            if (!reached) {
                assert_int_equal(rc, JADE_OK);
                assert_true(n > 5);
                break;
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(super_create_makes_a_new_identity),
        cmocka_unit_test(super_update_survives_reopening),
        cmocka_unit_test(super_power_cut_at_each_point_leaves_old_or_new),
        cmocka_unit_test(super_power_cut_during_create_leaves_all_or_nothing),
        cmocka_unit_test(super_one_bad_slot_is_survived_two_are_refused),
        cmocka_unit_test(super_missing_or_short_file),
        cmocka_unit_test(super_failed_sync_poisons),
        cmocka_unit_test(super_slot_that_was_read_is_durable),
        cmocka_unit_test(super_each_failing_call_and_allocation_is_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
