/*
 * What the tests of this folder share: cmocka with what it needs, and the seed that each prints.
 */
#ifndef JADE_TEST_FORMAT_TEST_H
#define JADE_TEST_FORMAT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/random.h"

enum { FORMAT_TEST_SEED = 20261123 };

static inline struct jade_random seeded(void)
{
    struct jade_random r;
    printf("seed %d\n", FORMAT_TEST_SEED);
    jade_random_init(&r, FORMAT_TEST_SEED);
    return r;
}

#endif
