/*
 * Shared by the files of src/os and their tests.
 */
#ifndef JADE_OS_PRIVATE_H
#define JADE_OS_PRIVATE_H

/**
 * Processors that the control groups of a process allow, rounded up; 0 when they set no bound.
 * membership: a file like /proc/self/cgroup; root: where the groups are mounted (/sys/fs/cgroup).
 * Source: Linux admin-guide/cgroup-v2 (cpu.max) and scheduler/sched-bwc (cpu.cfs_quota_us).
 */
unsigned jadei_cgroup_cpus(const char *membership, const char *root);

#endif
