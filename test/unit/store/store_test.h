/*
 * What the tests of src/store share: a simulated disk, calls that must succeed, raw access to files, and the three sweeps of
 * style 3.8 (n-th call fails, n-th allocation fails, power goes at point n).
 */
#ifndef JADE_TEST_STORE_TEST_H
#define JADE_TEST_STORE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/random.h"
#include "os/os.h"
#include "os/sim.h"

/* Where the calls of a test put their error: `must(f(x, &e))`. */
static struct jade_err e;

/* Runs a call that must succeed. */
#define must(call)                                                             \
    do {                                                                       \
        memset(&e, 0, sizeof e);                                               \
        jade_code must_rc = (call);                                            \
        if (must_rc != JADE_OK) {                                              \
            fail_msg("%s: %s: %s", #call, jade_code_name(must_rc), e.message); \
        }                                                                      \
    } while (0)

/* Runs a call that must fail with `wanted`. */
#define must_fail(wanted, call)                                                 \
    do {                                                                        \
        memset(&e, 0, sizeof e);                                                \
        jade_code must_rc = (call);                                             \
        if (must_rc != (wanted)) {                                              \
            fail_msg("%s: %s, expected %s: %s", #call, jade_code_name(must_rc), \
                     jade_code_name(wanted), e.message);                        \
        }                                                                       \
        assert_int_equal(e.code, wanted);                                       \
    } while (0)

static inline struct jade_sim *disk_new(void)
{
    struct jade_sim *s = NULL;
    must(jade_sim_new(7, &s, &e));
    return s;
}

static inline struct jade_sim *disk_clone(const struct jade_sim *s)
{
    struct jade_sim *copy = NULL;
    must(jade_sim_clone(s, 11, &copy, &e));
    return copy;
}

/* Bytes of a whole file; the caller frees. */
static inline uint8_t *slurp(struct jade_os *os, const char *path, size_t *n_out)
{
    uint8_t *p = NULL;
    must(jade_os_read_file(os, path, (size_t)1 << 30, &p, n_out, &e));
    return p;
}

static inline void poke(struct jade_os *os, const char *path, uint64_t offset, const void *p,
                        size_t n)
{
    struct jade_file *f = NULL;
    must(jade_file_open(os, path, JADE_OPEN_WRITE, &f, &e));
    must(jade_file_write(f, offset, p, n, &e));
    must(jade_file_sync(f, &e));
    jade_file_close(f);
}

static inline void flip(struct jade_os *os, const char *path, uint64_t offset, uint8_t mask)
{
    struct jade_file *f = NULL;
    uint8_t b = 0;
    must(jade_file_open(os, path, JADE_OPEN_WRITE, &f, &e));
    must(jade_file_read(f, offset, &b, 1, &e));
    b ^= mask;
    must(jade_file_write(f, offset, &b, 1, &e));
    must(jade_file_sync(f, &e));
    jade_file_close(f);
}

static inline bool there(struct jade_os *os, const char *path)
{
    bool exists = false;
    must(jade_os_exists(os, path, &exists, &e));
    return exists;
}

static inline jade_code count_entry(void *ctx, const char *name, bool is_dir, struct jade_err *err)
{
    (void)name;
    (void)is_dir;
    (void)err;
    ++*(unsigned *)ctx;
    return JADE_OK;
}

static inline unsigned entries(struct jade_os *os, const char *path)
{
    unsigned n = 0;
    must(jade_os_list(os, path, count_entry, &n, &e));
    return n;
}

#endif
