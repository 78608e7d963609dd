#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/map.h"
#include "base/random.h"

static const uint64_t seed = 4711;

/* The model: key number k is present with value model[k].value. */
enum { N_KEYS = 3000, N_STEPS = 100000 };
static struct {
    bool present;
    uint64_t value;
} model[N_KEYS];

/* Keys of many lengths, the empty one and ones with NUL bytes among them. */
static size_t make_key(uint32_t k, char *key)
{
    if (k == 0) {
        return 0;
    }
    size_t n = 3 + k % 37;
    memset(key, k % 3 == 0 ? '\0' : 'k', n);
    memcpy(key + n - 3, &k, 3);
    return n;
}

static void expect_model(const struct jade_map *m)
{
    size_t count = 0;
    for (uint32_t k = 0; k < N_KEYS; k++) {
        char key[64];
        uint64_t value = 0;
        size_t n = make_key(k, key);
        assert_int_equal(jade_map_get(m, key, n, &value), model[k].present);
        assert_int_equal(value, model[k].present ? model[k].value : 0);
        count += model[k].present;
    }
    assert_int_equal(m->count, count);
    size_t pos = 0;
    size_t walked = 0;
    const char *key = NULL;
    size_t n = 0;
    uint64_t value = 0;
    while (jade_map_next(m, &pos, &key, &n, &value)) {
        uint32_t k = 0;
        char expected[64];
        if (n > 0) {
            memcpy(&k, key + n - 3, 3);
        }
        assert_true(k < N_KEYS && model[k].present);
        assert_int_equal(n, make_key(k, expected));
        assert_memory_equal(key, expected, n);
        assert_int_equal(key[n], '\0');
        assert_int_equal(value, model[k].value);
        walked++;
    }
    assert_int_equal(walked, count); /* with the counts equal, no key came twice */
}

static void map_behaves_like_the_model_over_random_steps(void **state)
{
    (void)state;
    struct jade_random r;
    struct jade_map m;
    jade_random_init(&r, seed);
    jade_map_init(&m, JADE_TAG_TEST);
    memset(model, 0, sizeof model);
    for (uint32_t step = 0; step < N_STEPS; step++) {
        char key[64];
        uint32_t k = (uint32_t)jade_random_below(&r, N_KEYS);
        size_t n = make_key(k, key);
        /* Phases of growth and of emptying, so that runs of slots form and close. */
        uint64_t puts_of_ten = (step / 10000) % 2 == 0 ? 7 : 2;
        if (jade_random_below(&r, 10) < puts_of_ten) {
            bool had = false;
            uint64_t value = jade_random_u64(&r);
            assert_int_equal(jade_map_put(&m, key, n, value, &had, NULL), JADE_OK);
            assert_int_equal(had, model[k].present);
            model[k].present = true;
            model[k].value = value;
        } else {
            assert_int_equal(jade_map_remove(&m, key, n), model[k].present);
            model[k].present = false;
        }
        if (step % 5000 == 0) {
            expect_model(&m);
        }
    }
    expect_model(&m);
    assert_true(m.count * 4 <= m.n_slots * 3);
    jade_map_release(&m);
    assert_int_equal(jade_alloc_bytes(JADE_TAG_TEST), 0);
}

static void map_empty_answers_without_memory(void **state)
{
    (void)state;
    struct jade_map m;
    uint64_t value = 5;
    size_t pos = 0;
    const char *key = "x";
    size_t n = 1;
    jade_map_init(&m, JADE_TAG_TEST);
    assert_false(jade_map_get(&m, "a", 1, &value));
    assert_int_equal(value, 0);
    assert_false(jade_map_remove(&m, "a", 1));
    assert_false(jade_map_next(&m, &pos, &key, &n, &value));
    assert_null(key);
    jade_map_release(&m);
}

static void map_keys_are_copied(void **state)
{
    (void)state;
    struct jade_map m;
    char key[] = "mutable";
    uint64_t value = 0;
    jade_map_init(&m, JADE_TAG_TEST);
    assert_int_equal(jade_map_put(&m, key, 7, 1, NULL, NULL), JADE_OK);
    key[0] = 'X';
    assert_false(jade_map_get(&m, key, 7, &value));
    assert_true(jade_map_get(&m, "mutable", 7, &value));
    assert_int_equal(value, 1);
    jade_map_release(&m);
}

static void map_last_key_can_go_and_come_back(void **state)
{
    (void)state;
    struct jade_map m;
    uint64_t value = 0;
    jade_map_init(&m, JADE_TAG_TEST);
    for (uint64_t i = 0; i < 100; i++) {
        assert_int_equal(jade_map_put(&m, "only", 4, i, NULL, NULL), JADE_OK);
        assert_true(jade_map_get(&m, "only", 4, &value));
        assert_int_equal(value, i);
        assert_true(jade_map_remove(&m, "only", 4));
        assert_false(jade_map_remove(&m, "only", 4));
    }
    assert_int_equal(m.n_slots, 16);
    jade_map_release(&m);
}

/* A put that fails changes nothing; the n-th allocation fails for n = 1, 2, ... until a run passes clean. */
static void map_failed_put_changes_nothing(void **state)
{
    (void)state;
    enum { N = 500 };
    uint64_t n = 0;
    for (bool clean = false; !clean;) {
        struct jade_map m;
        struct jade_err err = {0};
        clean = true;
        jade_map_init(&m, JADE_TAG_TEST);
        jade_alloc_fail_at(++n);
        for (uint32_t i = 0; i < N; i++) {
            if (jade_map_put(&m, &i, sizeof i, i, NULL, &err) != JADE_OK) {
                uint64_t value = 0;
                clean = false;
                assert_int_equal(err.code, JADE_E_NOMEM);
                assert_int_equal(m.count, i);
                assert_false(jade_map_get(&m, &i, sizeof i, &value));
                assert_int_equal(jade_map_put(&m, &i, sizeof i, i, NULL, &err), JADE_OK);
            }
        }
        jade_alloc_fail_at(0);
        for (uint32_t i = 0; i < N; i++) {
            uint64_t value = 0;
            assert_true(jade_map_get(&m, &i, sizeof i, &value));
            assert_int_equal(value, i);
        }
        jade_map_release(&m);
        assert_int_equal(jade_alloc_bytes(JADE_TAG_TEST), 0);
    }
    assert_true(n > 8); /* growths of the table and of the arena were met */
}

static void map_refuses_a_key_past_its_length_field(void **state)
{
    (void)state;
    struct jade_map m;
    struct jade_err err = {0};
    bool had = true;
    jade_map_init(&m, JADE_TAG_TEST);
    assert_int_equal(jade_map_put(&m, "x", (size_t)UINT32_MAX, 1, &had, &err), JADE_E_TOO_LARGE);
    assert_false(had);
    assert_int_equal(m.count, 0);
    jade_map_release(&m);
}

int main(void)
{
    printf("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(map_behaves_like_the_model_over_random_steps),
        cmocka_unit_test(map_empty_answers_without_memory),
        cmocka_unit_test(map_keys_are_copied),
        cmocka_unit_test(map_last_key_can_go_and_come_back),
        cmocka_unit_test(map_failed_put_changes_nothing),
        cmocka_unit_test(map_refuses_a_key_past_its_length_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
