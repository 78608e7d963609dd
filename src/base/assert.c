#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void jade_assert_failed(const char *cond, const char *file, int line)
{
    /* stdio of the C library only: the log module asserts too, and may be what broke. */
    fprintf(stderr, "assertion failed: %s at %s:%d\n", cond, file, line);
    abort();
}
