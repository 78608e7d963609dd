/* What the filter tests share: checked calls, parsing of literals, and a random source of documents
 * and filters. */
#ifndef JADE_TEST_FILTER_TEST_H
#define JADE_TEST_FILTER_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/random.h"
#include "filter/filter.h"
#include "filter/metaindex.h"
#include "os/sim.h"
#include "store/blockfile.h"

static struct jade_err err;

/* Prints the error of a call that should have succeeded. */
#define must(call)                                                                              \
    do {                                                                                        \
        if ((call) != JADE_OK) {                                                                \
            fail_msg("%s: %s %s: %s", #call, jade_code_name(err.code), err.field, err.message); \
        }                                                                                       \
    } while (0)

static inline struct jade_json_parser *new_parser(void)
{
    struct jade_json_parser *p = NULL;
    must(jade_json_parser_new(JADE_METADATA_BYTES_MAX, JADE_METADATA_DEPTH_MAX, &p, &err));
    return p;
}

static inline struct jade_filter *parse_filter(const char *json)
{
    struct jade_filter *f = NULL;
    must(jade_filter_parse_text(json, strlen(json), "filter", &f, &err));
    return f;
}

/* ---- random documents and filters, as JSON text ---- */

static const char *const WORDS[] = {
    "\"red\"",        "\"green\"",     "\"Gr\xc3\xbcn\"", "\"\xe6\x97\xa5\xe6\x9c\xac\"",
    "\"\"",           "\"a\\u0000b\"", "\"redder\"",      "\"2020\"",
    "\"2020-13-45\"", "\"\\\"q\\\"\""};
static const char *const DATES[] = {"\"2024-02-29\"",
                                    "\"2024-02-29T00:00:00Z\"",
                                    "\"2024-02-29T01:00:00+01:00\"",
                                    "\"1969-12-31T23:59:59.5Z\"",
                                    "\"2031-07-01T12:00:00-07:00\"",
                                    "\"2024-03-01\""};
static const char *const NUMBERS[] = {"0",
                                      "-0.0",
                                      "1",
                                      "1.0",
                                      "-1",
                                      "2.5",
                                      "1e300",
                                      "-1e300",
                                      "5e-324",
                                      "9007199254740992",
                                      "9007199254740993",
                                      "9007199254740992.0",
                                      "-9007199254740993",
                                      "9223372036854775807",
                                      "9223372036854775808",
                                      "9223372036854774784",
                                      "-9223372036854775808",
                                      "18446744073709551615",
                                      "18446744073709551614",
                                      "18446744073709551616.0",
                                      "7",
                                      "8"};
static const char *const PATHS[] = {"s",       "n",           "d",         "b",   "x",
                                    "a",       "o",           "o.s",       "o.n", "o.deep.n",
                                    "items",   "items.price", "items.tag", "a.s", "o.a",
                                    "missing", "items.in.n",  "",          ".",   "o."};
#define PICK(r, table) ((table)[jade_random_below((r), sizeof(table) / sizeof((table)[0]))])

static inline void random_string(struct jade_random *r, struct jade_buf *b)
{
    switch (jade_random_below(r, 12)) {
    case 0: { /* over JADE_METAINDEX_STRING_MAX, or just not */
        size_t n = JADE_METAINDEX_STRING_MAX - 1 + (size_t)jade_random_below(r, 4);
        char c = "ab"[jade_random_below(r, 2)];
        jade_buf_append_byte(b, '"');
        for (size_t i = 0; i < n; i++) {
            jade_buf_append_byte(b, (uint8_t)c);
        }
        jade_buf_append_byte(b, '"');
        break;
    }
    case 1:
    case 2:
    case 3:
        jade_buf_append_str(b, PICK(r, DATES));
        break;
    case 4:
        jade_buf_printf(b, "\"w%u\"", (unsigned)jade_random_below(r, 40));
        break;
    default:
        jade_buf_append_str(b, PICK(r, WORDS));
    }
}

static inline void random_number(struct jade_random *r, struct jade_buf *b)
{
    switch (jade_random_below(r, 4)) {
    case 0:
        jade_buf_append_str(b, PICK(r, NUMBERS));
        break;
    case 1:
        jade_buf_printf(b, "%.3f", jade_random_unit(r) * 10 - 2);
        break;
    default:
        jade_buf_printf(b, "%d", (int)jade_random_below(r, 30) - 5);
    }
}

static inline void random_scalar(struct jade_random *r, struct jade_buf *b)
{
    switch (jade_random_below(r, 8)) {
    case 0:
        jade_buf_append_str(b, "null");
        break;
    case 1:
        jade_buf_append_str(b, jade_random_below(r, 2) == 0 ? "true" : "false");
        break;
    case 2:
    case 3:
    case 4:
        random_number(r, b);
        break;
    default:
        random_string(r, b);
    }
}

static inline void random_array(struct jade_random *r, struct jade_buf *b)
{
    unsigned n = (unsigned)jade_random_below(r, 4);
    jade_buf_append_byte(b, '[');
    for (unsigned i = 0; i < n; i++) {
        jade_buf_append_str(b, i > 0 ? "," : "");
        switch (jade_random_below(r, 8)) {
        case 0:
            jade_buf_append_str(b, "[1,\"red\",{\"s\":7}]"); /* not looked into */
            break;
        case 1:
            jade_buf_append_str(b, "{\"s\":");
            random_scalar(r, b);
            jade_buf_append_byte(b, '}');
            break;
        default:
            random_scalar(r, b);
        }
    }
    jade_buf_append_byte(b, ']');
}

static inline void random_value(struct jade_random *r, struct jade_buf *b)
{
    switch (jade_random_below(r, 10)) {
    case 0:
    case 1:
        random_array(r, b);
        break;
    case 2:
        jade_buf_append_str(b, "{\"s\":");
        random_scalar(r, b);
        jade_buf_append_byte(b, '}');
        break;
    default:
        random_scalar(r, b);
    }
}

static inline void random_member(struct jade_buf *b, const char *key, bool *first)
{
    jade_buf_printf(b, "%s\"%s\":", *first ? "" : ",", key);
    *first = false;
}

static inline void random_items(struct jade_random *r, struct jade_buf *b)
{
    unsigned n = (unsigned)jade_random_below(r, 3);
    jade_buf_append_byte(b, '[');
    for (unsigned i = 0; i < n; i++) {
        jade_buf_append_str(b, i > 0 ? ",{\"price\":" : "{\"price\":");
        random_number(r, b);
        jade_buf_append_str(b, ",\"tag\":");
        random_value(r, b);
        jade_buf_append_str(b, ",\"in\":[{\"n\":");
        random_number(r, b);
        jade_buf_append_str(b, "}]}");
    }
    jade_buf_append_byte(b, ']');
}

/* An object with some of the fields of PATHS; many_keys adds names without end, to overflow the
 * path table. */
static inline void random_document(struct jade_random *r, struct jade_buf *b, bool many_keys)
{
    static const char *const plain[] = {"s", "n", "d", "b", "x", "a", "o.s", "", "o."};
    bool first = true;
    jade_buf_clear(b);
    jade_buf_append_byte(b, '{');
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        if (jade_random_below(r, i < 6 ? 2 : 8) == 0) {
            random_member(b, plain[i], &first);
            random_value(r, b);
        }
    }
    if (jade_random_below(r, 2) == 0) {
        random_member(b, "o", &first);
        jade_buf_append_str(b, "{\"s\":");
        random_value(r, b);
        jade_buf_append_str(b, ",\"a\":");
        random_array(r, b);
        jade_buf_append_str(b, ",\"deep\":{\"n\":");
        random_value(r, b);
        jade_buf_append_str(b, "}}");
    }
    if (jade_random_below(r, 3) == 0) {
        random_member(b, "items", &first);
        random_items(r, b);
    }
    for (unsigned i = 0; many_keys && i < 40; i++) {
        jade_buf_printf(b, "%s\"k%u_%u\":", first ? "" : ",", i,
                        (unsigned)jade_random_below(r, 60));
        first = false;
        random_scalar(r, b);
    }
    jade_buf_append_byte(b, '}');
}

static inline void random_path(struct jade_random *r, struct jade_buf *b, bool many_keys)
{
    if (many_keys && jade_random_below(r, 2) == 0) {
        jade_buf_printf(b, "\"k%u_%u\":", (unsigned)jade_random_below(r, 40),
                        (unsigned)jade_random_below(r, 60));
        return;
    }
    jade_buf_printf(b, "\"%s%s\":", jade_random_below(r, 5) == 0 ? "metadata." : "",
                    PICK(r, PATHS));
}

static inline void random_list(struct jade_random *r, struct jade_buf *b)
{
    unsigned n = (unsigned)jade_random_below(r, 4);
    jade_buf_append_byte(b, '[');
    for (unsigned i = 0; i < n; i++) {
        jade_buf_append_str(b, i > 0 ? "," : "");
        random_scalar(r, b);
    }
    jade_buf_append_byte(b, ']');
}

static inline void random_condition(struct jade_random *r, struct jade_buf *b)
{
    static const char *const order[] = {"$gt", "$gte", "$lt", "$lte"};
    switch (jade_random_below(r, 8)) {
    case 0:
        jade_buf_append_str(b, jade_random_below(r, 2) == 0 ? "\"$exists\":true"
                                                            : "\"$exists\":false");
        break;
    case 1:
    case 2:
        jade_buf_append_str(b, jade_random_below(r, 2) == 0 ? "\"$in\":" : "\"$nin\":");
        random_list(r, b);
        break;
    case 3:
    case 4:
        jade_buf_append_str(b, jade_random_below(r, 2) == 0 ? "\"$eq\":" : "\"$ne\":");
        random_scalar(r, b);
        break;
    case 5: { /* both ends */
        bool numbers = jade_random_below(r, 2) == 0;
        for (unsigned i = 0; i < 2; i++) {
            unsigned open = (unsigned)jade_random_below(r, 2);
            jade_buf_printf(b, "%s\"%s\":", i > 0 ? "," : "", order[i * 2 + open]);
            if (numbers == (jade_random_below(r, 10) != 0)) {
                random_number(r, b);
            } else {
                random_string(r, b);
            }
        }
        break;
    }
    default:
        jade_buf_printf(b, "\"%s\":", PICK(r, order));
        if (jade_random_below(r, 2) == 0) {
            random_number(r, b);
        } else {
            random_string(r, b);
        }
    }
}

/* One member of a filter object without children. */
static inline void random_field(struct jade_random *r, struct jade_buf *b, bool many_keys)
{
    random_path(r, b, many_keys);
    switch (jade_random_below(r, 6)) {
    case 0:
        random_scalar(r, b);
        break;
    case 1:
        random_list(r, b);
        break;
    case 2:
        jade_buf_append_str(b, "{\"$not\":{");
        random_condition(r, b);
        jade_buf_append_str(b, "}}");
        break;
    default:
        jade_buf_append_byte(b, '{');
        random_condition(r, b);
        jade_buf_append_byte(b, '}');
    }
}

/* A filter of up to `depth` levels of logic. Recursion here is bounded by depth, a constant of the
 * test. */
static inline void random_filter_object(struct jade_random *r, struct jade_buf *b, unsigned depth,
                                        bool many_keys)
{
    static const char *const lists[] = {"\"$and\":[", "\"$or\":[", "\"$nor\":["};
    jade_buf_append_byte(b, '{');
    switch (depth == 0 ? 0 : jade_random_below(r, 5)) {
    case 0:
    case 1:
        if (jade_random_below(r, 20) != 0) {
            random_field(r, b, many_keys);
        }
        break;
    case 2:
        jade_buf_append_str(b, "\"$not\":");
        random_filter_object(r, b, depth - 1, many_keys);
        break;
    default: {
        unsigned n = 1 + (unsigned)jade_random_below(r, 3);
        jade_buf_append_str(b, PICK(r, lists));
        for (unsigned i = 0; i < n; i++) {
            jade_buf_append_str(b, i > 0 ? "," : "");
            random_filter_object(r, b, depth - 1, many_keys);
        }
        jade_buf_append_byte(b, ']');
    }
    }
    jade_buf_append_byte(b, '}');
}

static inline void random_filter(struct jade_random *r, struct jade_buf *b, bool many_keys)
{
    jade_buf_clear(b);
    random_filter_object(r, b, (unsigned)jade_random_below(r, 4), many_keys);
}

#endif
