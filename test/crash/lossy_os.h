/*
 * An os that lies: it passes every call on to another one, but drops the syncs of some files or of folders and claims success.
 * The canaries of the crash sweep run over it, to prove that a missing sync is seen.
 */
#ifndef JADE_TEST_CRASH_LOSSY_OS_H
#define JADE_TEST_CRASH_LOSSY_OS_H

#include <stdbool.h>

#include "os/os.h"

struct lossy_opts {
    const char *file_part; /* syncs of files whose path contains this are dropped; NULL = none */
    bool folders;          /* syncs of folders are dropped */
};

/** Wraps inner (which must outlive it); NULL when memory is short. opts is copied, its strings are borrowed. */
struct jade_os *lossy_os_new(struct jade_os *inner, const struct lossy_opts *opts);
void lossy_os_free(struct jade_os *os);

#endif
