/*
 * What the tests of src/node share: a data folder on the real disk, a node over it, small databases in it.
 */
#ifndef JADE_TEST_NODE_TEST_H
#define JADE_TEST_NODE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "node/node.h"
#include "support/temp_folder.h"

static char folder[JADE_PATH_MAX];
static struct jade_node *node;
static struct jade_err err; /* of the last call */
static struct jade_node_opts node_opts;

/** Calls something that must succeed; on failure its message is the test's. */
#define OK(call)                                                                \
    do {                                                                        \
        err = (struct jade_err){.code = JADE_OK};                               \
        jade_code ok_rc = (call);                                               \
        if (ok_rc != JADE_OK) {                                                 \
            fail_msg("%s: %s (%s)", #call, err.message, jade_code_name(ok_rc)); \
        }                                                                       \
    } while (0)

/** Calls something that must fail with this code and field. */
#define REFUSED(call, expected, expected_field)                                             \
    do {                                                                                    \
        err = (struct jade_err){.code = JADE_OK};                                           \
        jade_code refused_rc = (call);                                                      \
        if (refused_rc != (expected) || strcmp(err.field, (expected_field)) != 0) {         \
            fail_msg("%s: %s in \"%s\" (%s)", #call, jade_code_name(refused_rc), err.field, \
                     err.message);                                                          \
        }                                                                                   \
    } while (0)

static inline void node_start(void)
{
    OK(jade_node_open(&node_opts, &node, &err));
}

static inline void node_end(void)
{
    OK(jade_node_close(node, 10 * 1000000, &err));
    node = NULL;
}

static inline void node_restart(void)
{
    node_end();
    node_start();
}

/** A fresh folder; node_opts is set, the node is not open yet. */
static inline int setup_folder(void **state)
{
    (void)state;
    jade_log_set_level(JADE_LOG_OFF);
    temp_folder_make(folder);
    node_opts = jade_node_opts_default();
    node_opts.os = jade_os_posix();
    node_opts.data = folder;
    node_opts.background_threads = 1;
    return 0;
}

static inline int setup_node(void **state)
{
    setup_folder(state);
    node_start();
    return 0;
}

static inline int teardown_node(void **state)
{
    (void)state;
    if (node) {
        node_end();
    }
    temp_folder_remove(folder);
    return 0;
}

static inline struct jade_database_spec spec_of(const char *name, uint32_t dimension)
{
    struct jade_database_spec spec = jade_database_spec_default();
    spec.name = name;
    spec.dimension = dimension;
    spec.metric = JADE_METRIC_EUCLIDEAN;
    return spec;
}

static inline struct jade_database *create(const char *name, uint32_t dimension)
{
    struct jade_database_spec spec = spec_of(name, dimension);
    struct jade_database *db = NULL;
    OK(jade_node_create(node, &spec, &db, &err));
    return db;
}

static inline struct jade_database *find(const char *name)
{
    struct jade_database *db = NULL;
    OK(jade_node_find(node, name, strlen(name), &db, &err));
    return db;
}

/** Stores one vector (id, first value; the others are 0). */
static inline void put_one(struct jade_database *db, const char *id, float first)
{
    float values[64] = {first};
    struct jade_put put = {.id = id,
                           .id_len = (uint32_t)strlen(id),
                           .values = values,
                           .dim = jade_database_dimension(db)};
    struct jade_put_opts opts = {.durability = JADE_DURABILITY_DEFAULT};
    struct jade_put_result *results;
    struct jade_write_result written;
    struct jade_arena arena;
    assert_true(put.dim <= 64);
    jade_arena_init(&arena, JADE_TAG_TEST);
    OK(jade_database_put(db, &put, 1, &opts, &arena, &results, &written, &err));
    assert_int_equal(results[0].id_len, put.id_len);
    assert_memory_equal(results[0].id, id, put.id_len);
    jade_arena_release(&arena);
}

/** First value of a stored vector. */
static inline float get_one(struct jade_database *db, const char *id)
{
    struct jade_record record;
    struct jade_arena arena;
    jade_arena_init(&arena, JADE_TAG_TEST);
    OK(jade_database_get(db, id, (uint32_t)strlen(id), JADE_WITH_VALUES, &arena, &record, &err));
    float first = record.values[0];
    jade_arena_release(&arena);
    return first;
}

static inline uint64_t count_all(struct jade_database *db)
{
    uint64_t n = 0;
    OK(jade_database_count(db, NULL, &n, &err));
    return n;
}

static inline struct jade_database_info info_of(struct jade_database *db, struct jade_arena *arena)
{
    struct jade_database_info info;
    OK(jade_database_info(db, arena, &info, &err));
    return info;
}

static inline jade_code count_database_folder(void *ctx, const char *name, bool is_dir,
                                              struct jade_err *unused)
{
    (void)unused;
    *(unsigned *)ctx += is_dir && strncmp(name, "db_", 3) == 0;
    return JADE_OK;
}

static inline unsigned database_folders(void)
{
    unsigned n = 0;
    OK(jade_os_list(jade_os_posix(), folder, count_database_folder, &n, &err));
    return n;
}

#define NODE_TEST(f)   cmocka_unit_test_setup_teardown(f, setup_node, teardown_node)
#define FOLDER_TEST(f) cmocka_unit_test_setup_teardown(f, setup_folder, teardown_node)

#endif
