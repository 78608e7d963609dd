/*
 * What every implementation of the catalog must do (catalog.h). The including file includes cmocka.h first and defines
 *     contract_open()    a fresh, empty catalog
 *     contract_reopen(c) closes it and opens the same one again
 *     contract_drop(c)   closes it and removes what it left
 */
#ifndef JADE_TEST_CATALOG_CONTRACT_H
#define JADE_TEST_CATALOG_CONTRACT_H

#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "catalog/catalog.h"
#include "os/thread.h"

static struct jade_catalog *contract_open(void);
static struct jade_catalog *contract_reopen(struct jade_catalog *c);
static void contract_drop(struct jade_catalog *c);

static void expect_stored(struct jade_catalog *c, const char *key, const void *value, size_t n,
                          uint64_t revision)
{
    struct jade_buf buf;
    struct jade_err err = {0};
    uint64_t got = 1;
    jade_buf_init(&buf, JADE_TAG_TEST);
    if (jade_catalog_get(c, key, &buf, &got, &err) != JADE_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(buf.len, n);
    if (n > 0) {
        assert_memory_equal(buf.data, value, n);
    }
    assert_int_equal(got, revision);
    jade_buf_release(&buf);
}

static void put_text(struct jade_catalog *c, const char *key, const char *text, uint64_t *revision)
{
    struct jade_err err = {0};
    if (jade_catalog_put(c, key, text, strlen(text), revision, &err) != JADE_OK) {
        fail_msg("%s", err.message);
    }
}

static void a_value_is_read_back_also_after_reopening(void **state)
{
    (void)state;
    struct jade_catalog *c = contract_open();
    uint64_t first, second;
    put_text(c, "a", "one", &first);
    put_text(c, "empty", "", &second);
    assert_true(first > 0 && second > first);
    for (int round = 0; round < 2; round++) {
        expect_stored(c, "a", "one", 3, first);
        expect_stored(c, "empty", "", 0, second);
        assert_int_equal(jade_catalog_get(c, "b", NULL, &first, NULL), JADE_E_NOT_FOUND);
        assert_int_equal(first, JADE_REVISION_NONE);
        assert_int_equal(jade_catalog_get(c, "a", NULL, &first, NULL), JADE_OK);
        c = contract_reopen(c);
    }
    contract_drop(c);
}

static void any_bytes_and_a_mebibyte_fit_and_more_is_refused(void **state)
{
    (void)state;
    struct jade_catalog *c = contract_open();
    uint8_t *big = jade_alloc(JADE_TAG_TEST, JADE_CATALOG_VALUE_MAX + 1);
    assert_non_null(big);
    for (size_t i = 0; i <= JADE_CATALOG_VALUE_MAX; i++) {
        big[i] = (uint8_t)(i * 31 + (i >> 8));
    }
    uint64_t revision, after;
    struct jade_err err = {0};
    assert_int_equal(jade_catalog_put(c, "big", big, JADE_CATALOG_VALUE_MAX, &revision, &err),
                     JADE_OK);
    assert_int_equal(jade_catalog_put(c, "big", big, JADE_CATALOG_VALUE_MAX + 1, &after, &err),
                     JADE_E_TOO_LARGE);
    assert_int_equal(after, 0);
    c = contract_reopen(c);
    expect_stored(c, "big", big, JADE_CATALOG_VALUE_MAX, revision);
    jade_free(big);
    contract_drop(c);
}

static void keys_that_are_no_keys_are_refused(void **state)
{
    (void)state;
    struct jade_catalog *c = contract_open();
    char key[JADE_CATALOG_KEY_MAX + 2];
    memset(key, 'k', sizeof key);
    key[JADE_CATALOG_KEY_MAX + 1] = '\0';
    assert_int_equal(jade_catalog_put(c, "", "v", 1, NULL, NULL), JADE_E_INVALID_ARGUMENT);
    assert_int_equal(jade_catalog_put(c, key, "v", 1, NULL, NULL), JADE_E_INVALID_ARGUMENT);
    assert_int_equal(jade_catalog_get(c, key, NULL, NULL, NULL), JADE_E_INVALID_ARGUMENT);
    assert_int_equal(jade_catalog_delete(c, key, JADE_REVISION_ANY, NULL), JADE_E_INVALID_ARGUMENT);
    key[JADE_CATALOG_KEY_MAX] = '\0';
    uint64_t revision;
    assert_int_equal(jade_catalog_put(c, key, "v", 1, &revision, NULL), JADE_OK);
    expect_stored(c, key, "v", 1, revision);
    contract_drop(c);
}

static void compare_and_swap_lets_only_the_expected_revision_through(void **state)
{
    (void)state;
    struct jade_catalog *c = contract_open();
    uint64_t first, second, none;
    assert_int_equal(jade_catalog_cas(c, "k", 7, "x", 1, &none, NULL), JADE_E_CONFLICT);
    assert_int_equal(jade_catalog_cas(c, "k", JADE_REVISION_NONE, "1", 1, &first, NULL), JADE_OK);
    assert_int_equal(jade_catalog_cas(c, "k", JADE_REVISION_NONE, "x", 1, &none, NULL),
                     JADE_E_CONFLICT);
    assert_int_equal(none, 0);
    assert_int_equal(jade_catalog_cas(c, "k", first, "2", 1, &second, NULL), JADE_OK);
    assert_true(second > first);
    assert_int_equal(jade_catalog_cas(c, "k", first, "x", 1, &none, NULL), JADE_E_CONFLICT);
    expect_stored(c, "k", "2", 1, second);
    contract_drop(c);
}

static void a_delete_checks_the_revision_and_revisions_never_come_back(void **state)
{
    (void)state;
    struct jade_catalog *c = contract_open();
    uint64_t first, second, third;
    put_text(c, "k", "1", &first);
    put_text(c, "k", "2", &second);
    assert_int_equal(jade_catalog_delete(c, "k", first, NULL), JADE_E_CONFLICT);
    expect_stored(c, "k", "2", 1, second);
    assert_int_equal(jade_catalog_delete(c, "k", second, NULL), JADE_OK);
    assert_int_equal(jade_catalog_delete(c, "k", second, NULL), JADE_E_NOT_FOUND);
    assert_int_equal(jade_catalog_delete(c, "k", JADE_REVISION_ANY, NULL), JADE_E_NOT_FOUND);
    c = contract_reopen(c);
    assert_int_equal(jade_catalog_get(c, "k", NULL, NULL, NULL), JADE_E_NOT_FOUND);
    assert_int_equal(jade_catalog_cas(c, "k", JADE_REVISION_NONE, "3", 1, &third, NULL), JADE_OK);
    assert_true(third > second);
    assert_int_equal(jade_catalog_delete(c, "k", JADE_REVISION_ANY, NULL), JADE_OK);
    contract_drop(c);
}

static jade_code join_keys(void *ctx, const struct jade_catalog_item *item, struct jade_err *err)
{
    (void)err;
    assert_int_equal(strlen(item->key), item->value_len);
    assert_memory_equal(item->key, item->value, item->value_len);
    assert_true(item->revision > 0);
    jade_buf_append_str(ctx, item->key);
    jade_buf_append_byte(ctx, ' ');
    return JADE_OK;
}

static void expect_list(struct jade_catalog *c, const char *prefix, const char *expected)
{
    struct jade_buf keys;
    struct jade_err err = {0};
    jade_buf_init(&keys, JADE_TAG_TEST);
    if (jade_catalog_list(c, prefix, join_keys, &keys, &err) != JADE_OK) {
        fail_msg("%s", err.message);
    }
    jade_buf_append_byte(&keys, 0);
    assert_int_equal(jade_buf_status(&keys, NULL), JADE_OK);
    assert_string_equal((const char *)keys.data, expected);
    jade_buf_release(&keys);
}

static void a_list_has_the_keys_of_a_prefix_in_order(void **state)
{
    (void)state;
    struct jade_catalog *c = contract_open();
    static const char *const keys[] = {"b/2", "b/1",      "b0",   "a/1", "b/10",
                                       "b",   "\xff\xff", "\xff", "c/%_"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        put_text(c, keys[i], keys[i], NULL);
    }
    expect_list(c, "b/", "b/1 b/10 b/2 ");
    expect_list(c, "b", "b b/1 b/10 b/2 b0 ");
    expect_list(c, "c/%", "c/%_ ");
    expect_list(c, "\xff", "\xff \xff\xff ");
    expect_list(c, "nothing", "");
    expect_list(c, "", "a/1 b b/1 b/10 b/2 b0 c/%_ \xff \xff\xff ");
    contract_drop(c);
}

static jade_code stop_at_second(void *ctx, const struct jade_catalog_item *item,
                                struct jade_err *err)
{
    (void)item;
    return ++*(int *)ctx == 2 ? jade_fail(err, JADE_E_CANCELLED, "enough") : JADE_OK;
}

static void a_list_stops_when_its_callback_fails_and_the_catalog_goes_on(void **state)
{
    (void)state;
    struct jade_catalog *c = contract_open();
    for (char key[] = "a"; key[0] < 'e'; key[0]++) {
        put_text(c, key, key, NULL);
    }
    int n = 0;
    assert_int_equal(jade_catalog_list(c, "", stop_at_second, &n, NULL), JADE_E_CANCELLED);
    assert_int_equal(n, 2);
    expect_list(c, "", "a b c d ");
    put_text(c, "a", "a", NULL);
    contract_drop(c);
}

enum { CONTRACT_THREADS = 4, CONTRACT_STEPS = 25 };

struct contract_worker {
    struct jade_thread thread;
    struct jade_catalog *c;
    unsigned conflicts;
};

/** Adds 1 to the number under "n", by compare-and-swap, CONTRACT_STEPS times. */
static void *count_up(void *arg)
{
    struct contract_worker *w = arg;
    struct jade_buf buf;
    jade_buf_init(&buf, JADE_TAG_TEST);
    for (int done = 0; done < CONTRACT_STEPS;) {
        uint64_t revision, value;
        jade_buf_clear(&buf);
        if (jade_catalog_get(w->c, "n", &buf, &revision, NULL) != JADE_OK ||
            buf.len != sizeof value) {
            break;
        }
        memcpy(&value, buf.data, sizeof value);
        value++;
        jade_code rc = jade_catalog_cas(w->c, "n", revision, &value, sizeof value, NULL, NULL);
        done += rc == JADE_OK;
        w->conflicts += rc == JADE_E_CONFLICT;
        if (rc != JADE_OK && rc != JADE_E_CONFLICT) {
            break;
        }
    }
    jade_buf_release(&buf);
    return NULL;
}

static void concurrent_swaps_lose_no_update(void **state)
{
    (void)state;
    struct jade_catalog *c = contract_open();
    struct contract_worker workers[CONTRACT_THREADS] = {{.conflicts = 0}};
    uint64_t value = 0, revision;
    assert_int_equal(jade_catalog_put(c, "n", &value, sizeof value, NULL, NULL), JADE_OK);
    for (int i = 0; i < CONTRACT_THREADS; i++) {
        workers[i].c = c;
        assert_int_equal(
            jade_thread_start(&workers[i].thread, "contract", 0, count_up, &workers[i], NULL),
            JADE_OK);
    }
    for (int i = 0; i < CONTRACT_THREADS; i++) {
        jade_thread_join(&workers[i].thread);
    }
    value = CONTRACT_THREADS * CONTRACT_STEPS;
    assert_int_equal(jade_catalog_get(c, "n", NULL, &revision, NULL), JADE_OK);
    expect_stored(c, "n", &value, sizeof value, revision);
    contract_drop(c);
}

/** Random changes beside a model: key i holds model[i].text at model[i].revision. */
static void random_changes_agree_with_a_model(void **state)
{
    (void)state;
    enum { N = 12, STEPS = 400 };
    const uint64_t seed = 20261;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct jade_random random;
    jade_random_init(&random, seed);
    struct {
        uint64_t revision, value;
    } model[N] = {{0, 0}};
    uint64_t last = 0;
    struct jade_catalog *c = contract_open();
    for (int step = 0; step < STEPS; step++) {
        uint32_t i = (uint32_t)jade_random_below(&random, N);
        char key[16];
        snprintf(key, sizeof key, "key/%u", i);
        uint64_t value = jade_random_u64(&random), revision;
        bool right = jade_random_below(&random, 3) > 0;
        uint64_t expected = right ? model[i].revision : model[i].revision + 1;
        switch (jade_random_below(&random, 4)) {
        case 0:
        case 1:
            assert_int_equal(
                jade_catalog_cas(c, key, expected, &value, sizeof value, &revision, NULL),
                right ? JADE_OK : JADE_E_CONFLICT);
            if (right) {
                assert_true(revision > last);
                model[i].value = value;
                model[i].revision = last = revision;
            }
            break;
        case 2:
            assert_int_equal(
                jade_catalog_delete(c, key, right && expected ? expected : last + 1, NULL),
                model[i].revision == 0 ? JADE_E_NOT_FOUND
                : right                ? JADE_OK
                                       : JADE_E_CONFLICT);
            model[i].revision = right ? 0 : model[i].revision;
            break;
        default:
            if (jade_random_below(&random, 8) == 0) {
                c = contract_reopen(c);
            }
        }
        if (model[i].revision) {
            expect_stored(c, key, &model[i].value, sizeof model[i].value, model[i].revision);
        } else {
            assert_int_equal(jade_catalog_get(c, key, NULL, NULL, NULL), JADE_E_NOT_FOUND);
        }
    }
    contract_drop(c);
}

#define CATALOG_CONTRACT                                                                \
    cmocka_unit_test(a_value_is_read_back_also_after_reopening),                        \
        cmocka_unit_test(any_bytes_and_a_mebibyte_fit_and_more_is_refused),             \
        cmocka_unit_test(keys_that_are_no_keys_are_refused),                            \
        cmocka_unit_test(compare_and_swap_lets_only_the_expected_revision_through),     \
        cmocka_unit_test(a_delete_checks_the_revision_and_revisions_never_come_back),   \
        cmocka_unit_test(a_list_has_the_keys_of_a_prefix_in_order),                     \
        cmocka_unit_test(a_list_stops_when_its_callback_fails_and_the_catalog_goes_on), \
        cmocka_unit_test(concurrent_swaps_lose_no_update),                              \
        cmocka_unit_test(random_changes_agree_with_a_model)

#endif
