/*
 * How many processors we may use, from made-up control groups and from this machine.
 */
#include "os_test.h"

#include <sched.h>

#include "os/os_private.h"
#include "os/thread.h"

static char root[JADE_PATH_MAX];

static const char *under(const char *name)
{
    static char path[JADE_PATH_MAX];
    assert_int_equal(jade_path_join(path, root, name, NULL), JADE_OK);
    return path;
}

static int setup(void **state)
{
    (void)state;
    temp_folder(root);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    struct jade_err err;
    MUST(jade_os_remove_tree(jade_os_posix(), root, &err));
    return 0;
}

static void put(const char *folder, const char *name, const char *text)
{
    struct jade_err err;
    char path[JADE_PATH_MAX];
    MUST(jade_os_mkdirs(jade_os_posix(), under(folder), &err));
    assert_int_equal(jade_path_join(path, under(folder), name, NULL), JADE_OK);
    MUST(jade_os_replace(jade_os_posix(), path, text, strlen(text), &err));
}

static unsigned cpus(void)
{
    char membership[JADE_PATH_MAX];
    memcpy(membership, under("membership"), JADE_PATH_MAX);
    return jadei_cgroup_cpus(membership, root);
}

static void a_v2_quota_is_rounded_up(void **state)
{
    (void)state;
    put("", "membership", "0::/\n");
    assert_int_equal(cpus(), 0);
    put("", "cpu.max", "max 100000\n");
    assert_int_equal(cpus(), 0);
    put("", "cpu.max", "200000 100000\n");
    assert_int_equal(cpus(), 2);
    put("", "cpu.max", "150000 100000\n");
    assert_int_equal(cpus(), 2);
    put("", "cpu.max", "10000 100000\n");
    assert_int_equal(cpus(), 1);
    put("", "cpu.max", "nonsense\n");
    assert_int_equal(cpus(), 0);
}

static void the_tightest_group_above_counts(void **state)
{
    (void)state;
    put("", "membership", "0::/a/b/c\n");
    put("a/b/c", "cpu.max", "800000 100000\n");
    put("a/b", "cpu.max", "max 100000\n");
    put("a", "cpu.max", "300000 100000\n");
    assert_int_equal(cpus(), 3);
    put("a/b/c", "cpu.max", "100000 100000\n");
    assert_int_equal(cpus(), 1);
}

static void v1_quotas_count_too(void **state)
{
    (void)state;
    put("", "membership", "5:cpuset:/x\n4:cpu,cpuacct:/docker/1\n0::/\n");
    put("cpu/docker/1", "cpu.cfs_quota_us", "-1\n");
    put("cpu/docker/1", "cpu.cfs_period_us", "100000\n");
    assert_int_equal(cpus(), 0);
    put("cpu/docker/1", "cpu.cfs_quota_us", "400000\n");
    assert_int_equal(cpus(), 4);
}

static void no_groups_no_bound(void **state)
{
    (void)state;
    assert_int_equal(cpus(), 0);
    put("", "membership", "no colons here\n");
    assert_int_equal(cpus(), 0);
}

static void the_count_follows_the_affinity(void **state)
{
    (void)state;
    cpu_set_t old;
    cpu_set_t one;
    unsigned all = jade_cpu_count();
    assert_in_range(all, 1, 65536);
    assert_int_equal(sched_getaffinity(0, sizeof old, &old), 0);
    CPU_ZERO(&one);
    for (unsigned i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++) {
        if (CPU_ISSET(i, &old)) {
            CPU_SET(i, &one);
        }
    }
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    unsigned pinned = jade_cpu_count();
    assert_int_equal(sched_setaffinity(0, sizeof old, &old), 0);
    assert_int_equal(pinned, 1);
    assert_int_equal(jade_cpu_count(), all);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_v2_quota_is_rounded_up),
        CASE(the_tightest_group_above_counts),
        CASE(v1_quotas_count_too),
        CASE(no_groups_no_bound),
        CASE(the_count_follows_the_affinity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
