#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/random.h"

enum { N_BLOCKS = 3000 };
static const uint64_t seed = 20240611;

static size_t block_size(struct jade_random *r)
{
    /* Mostly small, some larger than a chunk. */
    return jade_random_below(r, 50) == 0 ? jade_random_below(r, 3 << 20)
                                         : jade_random_below(r, 300);
}

static void arena_blocks_are_aligned_and_do_not_overlap(void **state)
{
    (void)state;
    static uint8_t *blocks[N_BLOCKS];
    static size_t sizes[N_BLOCKS];
    struct jade_random r;
    struct jade_arena a;
    size_t sum = 0;
    jade_random_init(&r, seed);
    jade_arena_init(&a, JADE_TAG_TEST);
    for (int i = 0; i < N_BLOCKS; i++) {
        sizes[i] = block_size(&r);
        blocks[i] = jade_arena_alloc(&a, sizes[i]);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 16, 0);
        memset(blocks[i], i & 0xFF, sizes[i]);
        sum += sizes[i];
    }
    for (int i = 0; i < N_BLOCKS; i++) {
        for (size_t at = 0; at < sizes[i]; at += 1 + sizes[i] / 64) {
            assert_int_equal(blocks[i][at], i & 0xFF);
        }
    }
    assert_in_range(a.total, sum, sum + 16 * N_BLOCKS);
    jade_arena_release(&a);
    assert_int_equal(jade_alloc_bytes(JADE_TAG_TEST), 0);
    assert_null(a.head);
}

static void arena_small_blocks_take_few_chunks(void **state)
{
    (void)state;
    struct jade_arena a;
    jade_arena_init(&a, JADE_TAG_TEST);
    jade_alloc_fail_at(0);
    for (int i = 0; i < 100000; i++) {
        assert_non_null(jade_arena_alloc(&a, 32));
    }
    /* 3.2 MB: 4, 8, ... 512 KiB are eight chunks of 1020 KiB, then three of 1 MiB. */
    assert_int_equal(jade_alloc_count(), 11);
    /* A large block between small ones leaves the newest chunk's room in use. */
    char *first = jade_arena_alloc(&a, 16);
    assert_non_null(jade_arena_alloc(&a, 5 << 20));
    assert_ptr_equal(jade_arena_alloc(&a, 16), first + 16);
    jade_arena_release(&a);
}

static void arena_empty_blocks_are_distinct(void **state)
{
    (void)state;
    struct jade_arena a;
    jade_arena_init(&a, JADE_TAG_TEST);
    void *p = jade_arena_alloc(&a, 0);
    assert_non_null(p);
    assert_ptr_not_equal(p, jade_arena_alloc(&a, 0));
    jade_arena_release(&a);
}

static void arena_refuses_overflow(void **state)
{
    (void)state;
    struct jade_arena a;
    jade_arena_init(&a, JADE_TAG_TEST);
    assert_null(jade_arena_alloc(&a, SIZE_MAX));
    assert_null(jade_arena_alloc(&a, SIZE_MAX - 40));
    assert_null(jade_arena_calloc(&a, SIZE_MAX / 4, 8));
    assert_null(jade_arena_strndup(&a, "x", SIZE_MAX));
    assert_non_null(jade_arena_alloc(&a, 1));
    jade_arena_release(&a);
}

static bool use_arena(struct jade_arena *a)
{
    bool whole = true;
    for (int i = 0; i < 200 && whole; i++) {
        char *s = jade_arena_strndup(a, "some text", 4);
        uint32_t *n = jade_arena_calloc(a, 25, sizeof *n);
        void *large = i == 100 ? jade_arena_alloc(a, 100000) : s;
        whole = s != NULL && n != NULL && large != NULL;
        if (whole) {
            assert_string_equal(s, "some");
            for (int k = 0; k < 25; k++) {
                assert_int_equal(n[k], 0);
            }
            memset(n, 0xFF, 25 * sizeof *n);
        }
    }
    return whole;
}

static void arena_survives_each_failed_allocation(void **state)
{
    (void)state;
    uint64_t n = 0;
    for (bool clean = false; !clean;) {
        struct jade_arena a;
        jade_arena_init(&a, JADE_TAG_TEST);
        jade_alloc_fail_at(++n);
        clean = use_arena(&a);
        jade_alloc_fail_at(0);
        assert_true(use_arena(&a)); /* still usable */
        jade_arena_release(&a);
        assert_int_equal(jade_alloc_bytes(JADE_TAG_TEST), 0);
    }
    assert_true(n > 3);
}

int main(void)
{
    printf("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_blocks_are_aligned_and_do_not_overlap),
        cmocka_unit_test(arena_small_blocks_take_few_chunks),
        cmocka_unit_test(arena_empty_blocks_are_distinct),
        cmocka_unit_test(arena_refuses_overflow),
        cmocka_unit_test(arena_survives_each_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
