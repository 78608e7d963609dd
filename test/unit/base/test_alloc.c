#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"

static void alloc_blocks_are_aligned_and_counted_by_tag(void **state)
{
    (void)state;
    int64_t total = jade_alloc_bytes_total();
    int64_t other = jade_alloc_bytes(JADE_TAG_OTHER);
    void *p[5];
    const size_t sizes[5] = {0, 1, 15, 4096, 1 << 20};
    int64_t sum = 0;
    for (int i = 0; i < 5; i++) {
        p[i] = jade_alloc(JADE_TAG_TEST, sizes[i]);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t)p[i] % 16, 0);
        memset(p[i], 0xA5, sizes[i]);
        sum += (int64_t)sizes[i];
    }
    assert_int_equal(jade_alloc_bytes(JADE_TAG_TEST), sum);
    assert_int_equal(jade_alloc_bytes_total(), total + sum);
    assert_int_equal(jade_alloc_bytes(JADE_TAG_OTHER), other);
    for (int i = 0; i < 5; i++) {
        jade_free(p[i]);
    }
    assert_int_equal(jade_alloc_bytes(JADE_TAG_TEST), 0);
    jade_free(NULL);
}

static void alloc_aligned_meets_every_alignment(void **state)
{
    (void)state;
    for (size_t align = 16; align <= 4096; align *= 2) {
        void *p[8];
        for (size_t i = 0; i < 8; i++) {
            size_t size = 1 + i * 37;
            p[i] = jade_alloc_aligned(JADE_TAG_TEST, size, align);
            assert_non_null(p[i]);
            assert_int_equal((uintptr_t)p[i] % align, 0);
            memset(p[i], 0x5A, size);
        }
        for (size_t i = 0; i < 8; i++) {
            jade_free(p[i]);
        }
    }
    assert_int_equal(jade_alloc_bytes(JADE_TAG_TEST), 0);
}

static void calloc_is_zeroed_and_refuses_overflow(void **state)
{
    (void)state;
    uint8_t *p = jade_calloc(JADE_TAG_TEST, 100, 7);
    assert_non_null(p);
    for (int i = 0; i < 700; i++) {
        assert_int_equal(p[i], 0);
    }
    jade_free(p);
    assert_null(jade_calloc(JADE_TAG_TEST, SIZE_MAX / 2, 3));
    assert_null(jade_calloc(JADE_TAG_TEST, SIZE_MAX, 1));
    assert_null(jade_alloc(JADE_TAG_TEST, SIZE_MAX));
    assert_null(jade_alloc(JADE_TAG_TEST, SIZE_MAX - 8));
    assert_null(jade_alloc_aligned(JADE_TAG_TEST, SIZE_MAX - 8, 64));
    assert_null(jade_strndup(JADE_TAG_TEST, "x", SIZE_MAX));
    assert_int_equal(jade_alloc_bytes(JADE_TAG_TEST), 0);
}

static void realloc_keeps_bytes_and_moves_the_tag(void **state)
{
    (void)state;
    int64_t wal = jade_alloc_bytes(JADE_TAG_WAL);
    char *p = jade_realloc(JADE_TAG_TEST, NULL, 10);
    assert_non_null(p);
    memcpy(p, "123456789", 10);
    p = jade_realloc(JADE_TAG_TEST, p, 100000);
    assert_non_null(p);
    assert_string_equal(p, "123456789");
    assert_int_equal(jade_alloc_bytes(JADE_TAG_TEST), 100000);
    p = jade_realloc(JADE_TAG_WAL, p, 10);
    assert_string_equal(p, "123456789");
    assert_int_equal(jade_alloc_bytes(JADE_TAG_TEST), 0);
    assert_int_equal(jade_alloc_bytes(JADE_TAG_WAL), wal + 10);
    assert_null(jade_realloc(JADE_TAG_WAL, p, SIZE_MAX));
    assert_string_equal(p, "123456789");
    jade_free(p);
    assert_int_equal(jade_alloc_bytes(JADE_TAG_WAL), wal);
}

static void strndup_copies_exactly_n_bytes(void **state)
{
    (void)state;
    char *p = jade_strndup(JADE_TAG_TEST, "ab\0cd", 4);
    assert_memory_equal(p, "ab\0c\0", 5);
    jade_free(p);
    p = jade_strndup(JADE_TAG_TEST, NULL, 0);
    assert_string_equal(p, "");
    jade_free(p);
}

static void account_adds_foreign_memory(void **state)
{
    (void)state;
    int64_t total = jade_alloc_bytes_total();
    jade_alloc_account(JADE_TAG_GRAPH, 1 << 30);
    assert_int_equal(jade_alloc_bytes(JADE_TAG_GRAPH), 1 << 30);
    assert_int_equal(jade_alloc_bytes_total(), total + (1 << 30));
    jade_alloc_account(JADE_TAG_GRAPH, -(1 << 30));
    assert_int_equal(jade_alloc_bytes(JADE_TAG_GRAPH), 0);
}

static void fail_at_fails_the_nth_allocation_once(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 4; n++) {
        char *keep = jade_alloc(JADE_TAG_TEST, 4);
        memcpy(keep, "abc", 4);
        jade_alloc_fail_at(n);
        void *a = jade_alloc(JADE_TAG_TEST, 8);
        void *b = jade_calloc(JADE_TAG_TEST, 2, 8);
        void *c = jade_alloc_aligned(JADE_TAG_TEST, 8, 64);
        char *d = jade_realloc(JADE_TAG_TEST, keep, 8);
        void *e = jade_alloc(JADE_TAG_TEST, 8);
        assert_int_equal(a == NULL, n == 1);
        assert_int_equal(b == NULL, n == 2);
        assert_int_equal(c == NULL, n == 3);
        assert_int_equal(d == NULL, n == 4);
        assert_non_null(e);
        assert_string_equal(d == NULL ? keep : d, "abc");
        assert_int_equal(jade_alloc_count(), 5);
        jade_alloc_fail_at(0);
        jade_free(a);
        jade_free(b);
        jade_free(c);
        jade_free(d == NULL ? keep : d);
        jade_free(e);
    }
    assert_int_equal(jade_alloc_bytes(JADE_TAG_TEST), 0);
}

static void *churn(void *arg)
{
    (void)arg;
    void *held[16] = {0};
    for (size_t i = 0; i < 20000; i++) {
        jade_free(held[i % 16]);
        held[i % 16] = jade_alloc(JADE_TAG_TEST, i % 512);
    }
    for (size_t i = 0; i < 16; i++) {
        jade_free(held[i]);
    }
    return NULL;
}

static void counters_are_exact_over_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    jade_alloc_fail_at(0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, churn, NULL), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(jade_alloc_bytes(JADE_TAG_TEST), 0);
    assert_int_equal(jade_alloc_count(), 80000);
}

static void every_tag_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < JADE_TAG_COUNT; i++) {
        assert_true(strlen(jade_tag_name((enum jade_tag)i)) > 0);
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(jade_tag_name((enum jade_tag)i),
                                    jade_tag_name((enum jade_tag)j));
        }
    }
    assert_string_equal(jade_tag_name(JADE_TAG_WAL), "wal");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alloc_blocks_are_aligned_and_counted_by_tag),
        cmocka_unit_test(alloc_aligned_meets_every_alignment),
        cmocka_unit_test(calloc_is_zeroed_and_refuses_overflow),
        cmocka_unit_test(realloc_keeps_bytes_and_moves_the_tag),
        cmocka_unit_test(strndup_copies_exactly_n_bytes),
        cmocka_unit_test(account_adds_foreign_memory),
        cmocka_unit_test(fail_at_fails_the_nth_allocation_once),
        cmocka_unit_test(counters_are_exact_over_threads),
        cmocka_unit_test(every_tag_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
