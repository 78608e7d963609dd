/*
 * Shared by the tests of src/os: cmocka with what it needs, calls that must succeed, a temporary folder.
 */
#ifndef JADE_TEST_OS_H
#define JADE_TEST_OS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "os/os.h"

/** The call must answer `want`; shows code and message otherwise. `err` must be in scope. */
#define EXPECT(want, call)                                                              \
    do {                                                                                \
        memset(&err, 0, sizeof err);                                                    \
        jade_code got_ = (call);                                                        \
        if (got_ != (want)) {                                                           \
            print_error("%s: got %s (%s)\n", #call, jade_code_name(got_), err.message); \
        }                                                                               \
        assert_int_equal(got_, (want));                                                 \
    } while (0)
#define MUST(call) EXPECT(JADE_OK, call)

/** A fresh folder on the machine's disk; the path goes to out. */
static inline void temp_folder(char out[JADE_PATH_MAX])
{
    const char *base = getenv("TMPDIR");
    int n = snprintf(out, JADE_PATH_MAX, "%s/jade-os-XXXXXX", base != NULL ? base : "/tmp");
    assert_in_range(n, 1, JADE_PATH_MAX - 1);
    assert_non_null(mkdtemp(out));
}

#endif
