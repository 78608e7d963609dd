/*
 * A fresh folder on the real disk for one test, and its removal. Include after cmocka.h.
 */
#ifndef JADE_TEST_TEMP_FOLDER_H
#define JADE_TEST_TEMP_FOLDER_H

#include <stdio.h>
#include <stdlib.h>

#include "os/os.h"

/** Makes a folder below TMPDIR (or /tmp); out holds JADE_PATH_MAX bytes. */
static inline void temp_folder_make(char *out)
{
    const char *base = getenv("TMPDIR");
    int n = snprintf(out, JADE_PATH_MAX, "%s/jade-test-XXXXXX", base && base[0] ? base : "/tmp");
    assert_in_range(n, 1, JADE_PATH_MAX - 1);
    assert_non_null(mkdtemp(out));
}

static inline void temp_folder_remove(const char *path)
{
    struct jade_err err = {0};
    if (jade_os_remove_tree(jade_os_posix(), path, &err) != JADE_OK) {
        fail_msg("%s", err.message);
    }
}

#endif
