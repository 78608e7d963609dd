/*
 * How many processors we may use: the affinity mask, then the quota of the control groups. A server that starts one thread a
 * processor of the host inside a container of two would spend its quota on switching.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/os.h"
#include "os/os_private.h"
#include "os/thread.h"

/* Processors a mask is tried for; Linux is built for at most 8192. */
enum { MASK_CPUS_MAX = 65536 };

static unsigned affinity_cpus(void)
{
    for (int n = 1024; n <= MASK_CPUS_MAX; n *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)n);
        if (set == NULL) {
            break;
        }
        size_t size = CPU_ALLOC_SIZE((size_t)n);
        int rc = sched_getaffinity(0, size, set);
        int errnum = errno;
        int count = rc == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (rc == 0) {
            return (unsigned)count;
        }
        if (errnum != EINVAL) { /* EINVAL: the mask of this machine is longer */
            break;
        }
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (unsigned)online : 1;
}

/** First line of a small file without its newline; false when it cannot be read. */
static bool first_line(const char *path, char *line, int size)
{
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return false;
    }
    bool ok = fgets(line, size, f) != NULL;
    (void)fclose(f);
    if (ok) {
        line[strcspn(line, "\n")] = '\0';
    }
    return ok;
}

static unsigned quota_cpus(int64_t quota_us, int64_t period_us)
{
    if (quota_us <= 0 || period_us <= 0) {
        return 0; /* "max" or -1: no bound */
    }
    return (unsigned)((quota_us + period_us - 1) / period_us);
}

/** cpu.max of one v2 group: "max 100000" or "200000 100000". */
static unsigned group_v2(const char *folder)
{
    char path[JADE_PATH_MAX];
    char line[128];
    if (jade_path_join(path, folder, "cpu.max", NULL) != JADE_OK ||
        !first_line(path, line, sizeof line)) {
        return 0;
    }
    char *end = NULL;
    int64_t quota = strtoll(line, &end, 10);
    return end == line ? 0 : quota_cpus(quota, strtoll(end, NULL, 10));
}

static unsigned group_v1(const char *folder)
{
    char path[JADE_PATH_MAX];
    char quota[64];
    char period[64];
    if (jade_path_join(path, folder, "cpu.cfs_quota_us", NULL) != JADE_OK ||
        !first_line(path, quota, sizeof quota) ||
        jade_path_join(path, folder, "cpu.cfs_period_us", NULL) != JADE_OK ||
        !first_line(path, period, sizeof period)) {
        return 0;
    }
    return quota_cpus(strtoll(quota, NULL, 10), strtoll(period, NULL, 10));
}

static unsigned tighter(unsigned a, unsigned b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/** The tightest bound of a group and all groups above it; `group` is cut on the way. */
static unsigned walk_up(const char *root, char *group, unsigned (*one)(const char *folder))
{
    char folder[JADE_PATH_MAX];
    unsigned best = 0;
    for (;;) {
        size_t skip = strspn(group, "/");
        if (jade_path_join(folder, root, group + skip, NULL) == JADE_OK) {
            best = tighter(best, one(folder));
        }
        char *slash = strrchr(group, '/');
        if (slash == NULL || group[skip] == '\0') {
            return best;
        }
        *slash = '\0';
    }
}

/** Whether a v1 controller list such as "cpu,cpuacct" holds "cpu". */
static bool has_cpu(const char *list, size_t n)
{
    for (size_t at = 0; at < n;) {
        size_t len = strcspn(list + at, ",:");
        if (len == 3 && memcmp(list + at, "cpu", 3) == 0) {
            return true;
        }
        at += len + 1;
    }
    return false;
}

unsigned jadei_cgroup_cpus(const char *membership, const char *root)
{
    char line[JADE_PATH_MAX];
    char v1_root[JADE_PATH_MAX];
    unsigned best = 0;
    FILE *f = fopen(membership, "re");
    if (f == NULL) {
        return 0;
    }
    while (fgets(line, sizeof line, f) !=
           NULL) { /* "id:controllers:group"; v2 has id 0 and no controllers */
        line[strcspn(line, "\n")] = '\0';
        char *list = strchr(line, ':');
        char *group = list != NULL ? strchr(list + 1, ':') : NULL;
        if (group == NULL) {
            continue;
        }
        list++;
        size_t list_len = (size_t)(group - list);
        group++;
        if (list_len == 0) {
            best = tighter(best, walk_up(root, group, group_v2));
        } else if (has_cpu(list, list_len) &&
                   jade_path_join(v1_root, root, "cpu", NULL) == JADE_OK) {
            best = tighter(best, walk_up(v1_root, group, group_v1));
        }
    }
    (void)fclose(f);
    return best;
}

unsigned jade_cpu_count(void)
{
    unsigned n = tighter(affinity_cpus(), jadei_cgroup_cpus("/proc/self/cgroup", "/sys/fs/cgroup"));
    return n > 0 ? n : 1;
}
