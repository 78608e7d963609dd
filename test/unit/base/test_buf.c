#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

static void buf_appends_in_order(void **state)
{
    (void)state;
    struct jade_buf b;
    jade_buf_init(&b, JADE_TAG_TEST);
    jade_buf_append(&b, NULL, 0);
    jade_buf_append_str(&b, "one ");
    jade_buf_append_byte(&b, '2');
    jade_buf_printf(&b, " %s %d", "three", 4);
    memcpy(jade_buf_extend(&b, 5), " five", 5);
    assert_int_equal(b.len, 18);
    assert_memory_equal(b.data, "one 2 three 4 five", b.len);
    assert_int_equal(jade_buf_status(&b, NULL), JADE_OK);
    jade_buf_release(&b);
    assert_int_equal(jade_alloc_bytes(JADE_TAG_TEST), 0);
}

static void buf_grows_through_many_sizes(void **state)
{
    (void)state;
    struct jade_buf b;
    jade_buf_init(&b, JADE_TAG_TEST);
    for (uint32_t i = 0; i < 100000; i++) {
        jade_buf_append(&b, &i, sizeof i);
    }
    assert_int_equal(b.len, 400000);
    assert_true(b.cap <= 2 * b.len);
    for (uint32_t i = 0; i < 100000; i++) {
        uint32_t x = 0;
        memcpy(&x, b.data + i * sizeof x, sizeof x);
        assert_int_equal(x, i);
    }
    const uint8_t *before = b.data;
    jade_buf_clear(&b);
    assert_int_equal(b.len, 0);
    jade_buf_append(&b, "x", 1);
    assert_ptr_equal(b.data, before);
    jade_buf_release(&b);
}

static void buf_printf_fits_at_every_fill(void **state)
{
    (void)state;
    for (size_t fill = 0; fill < 300; fill++) {
        struct jade_buf b;
        jade_buf_init(&b, JADE_TAG_TEST);
        for (size_t i = 0; i < fill; i++) {
            jade_buf_append_byte(&b, '.');
        }
        jade_buf_printf(&b, "%0100d|%s", 7, "end");
        assert_int_equal(b.len, fill + 104);
        assert_memory_equal(b.data + b.len - 6, "07|end", 6);
        jade_buf_release(&b);
    }
}

static void buf_refuses_a_size_past_the_address_space(void **state)
{
    (void)state;
    struct jade_buf b;
    struct jade_err err = {0};
    jade_buf_init(&b, JADE_TAG_TEST);
    jade_buf_append_str(&b, "abc");
    assert_false(jade_buf_reserve(&b, SIZE_MAX - 1));
    assert_null(jade_buf_extend(&b, 1)); /* stays failed */
    assert_int_equal(jade_buf_status(&b, &err), JADE_E_NOMEM);
    assert_int_equal(err.code, JADE_E_NOMEM);
    jade_buf_clear(&b);
    assert_int_equal(jade_buf_status(&b, &err), JADE_OK);
    jade_buf_release(&b);
}

static void buf_take_hands_the_bytes_over(void **state)
{
    (void)state;
    struct jade_buf b;
    size_t n = 99;
    jade_buf_init(&b, JADE_TAG_TEST);
    assert_null(jade_buf_take(&b, &n));
    assert_int_equal(n, 0);
    jade_buf_append_str(&b, "mine");
    uint8_t *bytes = jade_buf_take(&b, &n);
    assert_int_equal(n, 4);
    assert_memory_equal(bytes, "mine", 4);
    assert_null(b.data);
    jade_buf_append_str(&b, "next");
    assert_int_equal(b.len, 4);
    jade_free(bytes);
    jade_buf_release(&b);
    assert_int_equal(jade_alloc_bytes(JADE_TAG_TEST), 0);
}

static void write_all_kinds(struct jade_buf *b)
{
    for (int i = 0; i < 200; i++) {
        jade_buf_append_str(b, "text ");
        jade_buf_printf(b, "%d", i);
        jade_buf_append_byte(b, ';');
        uint8_t *at = jade_buf_extend(b, 3);
        if (at != NULL) {
            memset(at, '-', 3);
        }
    }
}

/* The n-th allocation fails, n = 1, 2, ... until a run passes clean: never a half text that claims to be whole, no leak. */
static void buf_failed_growth_is_seen_at_the_end(void **state)
{
    (void)state;
    struct jade_buf whole;
    jade_buf_init(&whole, JADE_TAG_TEST);
    write_all_kinds(&whole);
    uint64_t n = 0;
    for (bool clean = false; !clean;) {
        struct jade_buf b;
        size_t len = 0;
        jade_buf_init(&b, JADE_TAG_TEST);
        jade_alloc_fail_at(++n);
        write_all_kinds(&b);
        jade_alloc_fail_at(0);
        clean = jade_buf_status(&b, NULL) == JADE_OK;
        assert_true(b.len <= whole.len);
        assert_memory_equal(b.data == NULL ? whole.data : b.data, whole.data, b.len);
        uint8_t *bytes = jade_buf_take(&b, &len);
        assert_int_equal(bytes != NULL, clean);
        assert_int_equal(len, clean ? whole.len : 0);
        jade_free(bytes);
        jade_buf_release(&b);
    }
    assert_true(n > 5); /* the sweep met growths */
    jade_buf_release(&whole);
    assert_int_equal(jade_alloc_bytes(JADE_TAG_TEST), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buf_appends_in_order),
        cmocka_unit_test(buf_grows_through_many_sizes),
        cmocka_unit_test(buf_printf_fits_at_every_fill),
        cmocka_unit_test(buf_refuses_a_size_past_the_address_space),
        cmocka_unit_test(buf_take_hands_the_bytes_over),
        cmocka_unit_test(buf_failed_growth_is_seen_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
