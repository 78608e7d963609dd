/*
 * Inside of the filter folder: the parsed tree, exact values, and the walk over metadata that
 * indexing uses.
 *
 * The tree is one array in pre-order. A node's subtree is [i, nodes[i].end): its first child is
 * node i + 1, the next child begins where the former ends. Evaluation runs over the array with a
 * small stack of open nodes, never by recursion.
 * Invariants
 * 1. AND and OR have at least two children, NOT has one, leaves none. An object without members is
 *    the leaf ALL.
 * 2. At most JADEI_NODE_DEPTH_MAX nodes are open at once.
 * 3. Offsets point into `bytes`.
 */
#ifndef JADE_FILTER_FILTER_PRIVATE_H
#define JADE_FILTER_FILTER_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "filter/filter.h"

enum {
    /* A filter level opens at most three nodes: its list, the object in it, a field's own
       conditions; then the leaf's NOT. */
    JADEI_NODE_DEPTH_MAX = 3 * (int)JADE_FILTER_DEPTH_MAX + 4,
    /* Containers open at once in a walk over metadata; deeper ones are refused at the door and not
       looked into here. */
    JADEI_WALK_DEPTH_MAX = (int)JADE_METADATA_DEPTH_MAX + 2,
    /* Longer dotted paths are not indexed; their rows are matched one by one. */
    JADEI_PATH_MAX = 1024,
    /* No date of RFC 3339 that says anything is longer. */
    JADEI_TIME_TEXT_MAX = 64,
};

/**
 * A number that compares exactly across int64, uint64 and double: `key` orders the nearest double,
 * `rest` is what the number exceeds that double by (0 for doubles, within +-1024 for integers).
 * Equal numbers of different types are equal in both.
 */
struct jadei_number {
    uint64_t key;
    int32_t rest;
};

enum jadei_op {
    JADEI_AND,
    JADEI_OR,
    JADEI_NOT, /* up to here: nodes with children */
    JADEI_ALL, /* every row */
    JADEI_ANY, /* equal to one of the values */
    JADEI_GT,
    JADEI_GTE,
    JADEI_LT,
    JADEI_LTE,
    JADEI_EXISTS, /* $exists: false is NOT of this */
};

struct jadei_node {
    enum jadei_op op;
    uint32_t end;  /* index after the subtree */
    uint32_t path; /* leaves: offset of the dotted path in bytes */
    uint32_t path_len;
    uint32_t value; /* leaves: first value */
    uint32_t n_values;
};

struct jadei_value {
    enum jade_json_type type; /* null, boolean, one of the numbers, string */
    bool is_time;             /* string: it is also a date or time */
    union {
        bool boolean;
        int64_t i;
        uint64_t u;
        double d;
    } as;                       /* as written, for jade_filter_write */
    struct jadei_number number; /* numbers */
    uint32_t text, text_len;    /* string: in bytes */
    int64_t time_us;
};

struct jade_filter {
    struct jadei_node *nodes;
    struct jadei_value *values;
    uint8_t *bytes; /* paths and strings */
    uint32_t n_nodes, n_values, n_bytes;
};

/* ---- filter_value.c ---- */
struct jadei_number jadei_number_of_double(double d);
struct jadei_number jadei_number_of_int(int64_t i);
struct jadei_number jadei_number_of_uint(uint64_t u);
/** Of a JSON number. */
struct jadei_number jadei_number_of(struct jade_json v);
/** < 0, 0, > 0. */
int jadei_number_compare(struct jadei_number a, struct jadei_number b);
/** By bytes, a shorter prefix first. */
int jadei_text_compare(const void *a, size_t a_len, const void *b, size_t b_len);
/** Whether op (GT, GTE, LT, LTE) holds for a comparison result. */
bool jadei_order_holds(enum jadei_op op, int compared);
/** The one place that decides whether a string counts as a date. */
bool jadei_time_of(const char *s, size_t n, int64_t *time_us_out);

/* ---- filter_ops.c ---- */
enum jadei_name {
    JADEI_NAME_UNKNOWN,
    JADEI_NAME_EQ,
    JADEI_NAME_NE,
    JADEI_NAME_GT,
    JADEI_NAME_GTE,
    JADEI_NAME_LT,
    JADEI_NAME_LTE,
    JADEI_NAME_IN,
    JADEI_NAME_NIN,
    JADEI_NAME_EXISTS,
    JADEI_NAME_AND,
    JADEI_NAME_OR,
    JADEI_NAME_NOR,
    JADEI_NAME_NOT,
    JADEI_NAME_LATER, /* known, and not in this version */
};
enum jadei_name jadei_name_of(struct jade_str name);
/** The operator spelled most like `name`. */
const char *jadei_name_nearest(struct jade_str name);

#endif
