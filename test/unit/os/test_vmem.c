/*
 * Arrays of fixed address.
 */
#include "os_test.h"

#include <sys/resource.h>

#include "os/thread.h"
#include "os/vmem.h"

#define MIB ((size_t)1 << 20)

static void growing_keeps_address_and_content(void **state)
{
    (void)state;
    struct jade_err err;
    struct jade_vmem v;
    MUST(jade_vmem_init(&v, JADE_TAG_VECTORS, 64 * MIB, &err));
    uint8_t *base = v.base;
    assert_int_equal((uintptr_t)base % (2 * MIB), 0);
    assert_int_equal(v.committed, 0);
    size_t written = 0;
    for (size_t want = 100; want <= 64 * MIB; want = want * 3 / 2) {
        MUST(jade_vmem_grow(&v, want, &err));
        assert_ptr_equal(v.base, base);
        assert_true(v.committed >= want && v.committed <= v.reserved);
        for (; written < want; written += 997) {
            assert_int_equal(base[written], 0); /* fresh memory is zero */
            base[written] = (uint8_t)(written % 251 + 1);
        }
    }
    for (size_t i = 0; i < written; i += 997) {
        assert_int_equal(base[i], i % 251 + 1);
    }
    jade_vmem_release(&v);
}

static void commits_in_pages_then_in_2_mb_and_is_accounted(void **state)
{
    (void)state;
    struct jade_err err;
    struct jade_vmem v;
    int64_t before = jade_alloc_bytes(JADE_TAG_GRAPH);
    MUST(jade_vmem_init(&v, JADE_TAG_GRAPH, 7 * MIB, &err));
    assert_int_equal(jade_alloc_bytes(JADE_TAG_GRAPH), before);
    const size_t want[] = {1, 4096, 4097, 100000, MIB + 1, 2 * MIB, 2 * MIB + 1, 5 * MIB};
    const size_t get[] = {4096, 4096, 8192, 131072, 2 * MIB, 2 * MIB, 4 * MIB, 6 * MIB};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        MUST(jade_vmem_grow(&v, want[i], &err));
        assert_int_equal(v.committed, get[i]);
        assert_int_equal(jade_alloc_bytes(JADE_TAG_GRAPH), before + (int64_t)get[i]);
        MUST(jade_vmem_grow(&v, 1, &err)); /* never shrinks */
        assert_int_equal(v.committed, get[i]);
    }
    MUST(jade_vmem_grow(&v, 7 * MIB, &err));
    v.base[7 * MIB - 1] = 1;
    jade_vmem_release(&v);
    assert_int_equal(jade_alloc_bytes(JADE_TAG_GRAPH), before);
    assert_null(v.base);
    jade_vmem_release(&v);
}

static void small_and_huge_reservations(void **state)
{
    (void)state;
    struct jade_err err;
    struct jade_vmem v;
    MUST(jade_vmem_init(&v, JADE_TAG_IDS, 5000, &err));
    assert_true(v.reserved >= 5000 && v.reserved < 2 * MIB);
    MUST(jade_vmem_grow(&v, 5000, &err));
    v.base[4999] = 1;
    jade_vmem_release(&v);
    MUST(
        jade_vmem_init(&v, JADE_TAG_IDS, 12288, &err)); /* less than the step that doubling takes */
    MUST(jade_vmem_grow(&v, 9000, &err));
    assert_int_equal(v.committed, 12288);
    jade_vmem_release(&v);
    MUST(jade_vmem_init(&v, JADE_TAG_IDS, (size_t)1 << 36,
                        &err)); /* addresses only: costs no memory */
    MUST(jade_vmem_grow(&v, 1, &err));
    v.base[0] = 1;
    jade_vmem_release(&v);
    EXPECT(JADE_E_NOMEM, jade_vmem_init(&v, JADE_TAG_IDS, SIZE_MAX, &err));
    assert_null(v.base);
}

static void growing_past_the_end_or_out_of_memory_changes_nothing(void **state)
{
    (void)state;
    struct jade_err err;
    struct jade_vmem v;
    MUST(jade_vmem_init(&v, JADE_TAG_IDS, 4 * MIB, &err));
    MUST(jade_vmem_grow(&v, 10, &err));
    size_t committed = v.committed;
    EXPECT(JADE_E_NOMEM, jade_vmem_grow(&v, v.reserved + 1, &err));
    assert_non_null(strstr(err.message, "may hold"));
    jade_vmem_fail_at(2);
    MUST(jade_vmem_grow(&v, committed, &err)); /* commits nothing: does not count */
    MUST(jade_vmem_grow(&v, committed + 1, &err));
    committed = v.committed;
    EXPECT(JADE_E_NOMEM, jade_vmem_grow(&v, committed + 1, &err));
    assert_int_equal(v.committed, committed);
    MUST(jade_vmem_grow(&v, committed + 1, &err)); /* once */
    jade_vmem_release(&v);
}

/* ---- a reader beside the writer ---- */

struct shared {
    struct jade_vmem v;
    _Atomic size_t n;
};
enum { NUMBERS = 3 << 20 };

static void *check_growing(void *arg)
{
    struct shared *s = arg;
    const uint32_t *p = (const uint32_t *)(const void *)s->v.base;
    size_t bad = 0;
    for (size_t n = 0; n < NUMBERS;) {
        n = s->n;
        for (size_t i = n > 1000 ? n - 1000 : 0; i < n; i++) {
            bad += p[i] != (uint32_t)i ? 1 : 0;
        }
    }
    return bad == 0 ? arg : NULL;
}

struct reader {
    struct shared *s;
    void *out;
};

static void *reader_main(void *arg)
{
    struct reader *r = arg;
    r->out = check_growing(r->s);
    return NULL;
}

static void readers_keep_their_pointers_while_it_grows(void **state)
{
    (void)state;
    struct jade_err err;
    struct shared s = {.n = 0};
    struct jade_thread t;
    struct reader r = {.s = &s};
    MUST(jade_vmem_init(&s.v, JADE_TAG_IDS, NUMBERS * sizeof(uint32_t), &err));
    MUST(jade_thread_start(&t, "reader", 0, reader_main, &r, &err));
    for (size_t i = 0; i < NUMBERS; i++) {
        if (i % 1024 == 0) {
            MUST(jade_vmem_grow(&s.v, (i + 1024) * sizeof(uint32_t), &err));
        }
        ((uint32_t *)(void *)s.v.base)[i] = (uint32_t)i;
        s.n = i + 1;
    }
    jade_thread_join(&t);
    assert_ptr_equal(r.out, &s);
    jade_vmem_release(&s.v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(growing_keeps_address_and_content),
        cmocka_unit_test(commits_in_pages_then_in_2_mb_and_is_accounted),
        cmocka_unit_test(small_and_huge_reservations),
        cmocka_unit_test(growing_past_the_end_or_out_of_memory_changes_nothing),
        cmocka_unit_test(readers_keep_their_pointers_while_it_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
