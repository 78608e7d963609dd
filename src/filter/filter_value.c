/*
 * Values: numbers that compare exactly across types, strings by bytes, dates as times.
 */
#include <string.h>

#include "base/assert.h"
#include "filter/filter_private.h"
#include "format/json_out.h"

#define SIGN_BIT ((uint64_t)1 << 63)
#define TWO_64   18446744073709551616.0

/* IEEE bits reordered so that unsigned comparison orders the doubles. */
static uint64_t order_bits(double d)
{
    uint64_t bits = 0;
    d = d == 0.0 ? 0.0 : d; /* -0 equals 0 */
    memcpy(&bits, &d, sizeof bits);
    return (bits & SIGN_BIT) != 0 ? ~bits : bits | SIGN_BIT;
}

struct jadei_number jadei_number_of_double(double d)
{
    return (struct jadei_number){.key = order_bits(d), .rest = 0};
}

/*
 * Conversion to double rounds monotonically, so the nearest double decides the order, and among
 * integers with the same nearest double the difference to it does. The difference is taken modulo
 * 2^64: it is at most 1024 either way.
 */
struct jadei_number jadei_number_of_uint(uint64_t u)
{
    double nearest = (double)u;
    uint64_t back = nearest >= TWO_64 ? 0 : (uint64_t)nearest;
    return (struct jadei_number){.key = order_bits(nearest), .rest = (int32_t)(int64_t)(u - back)};
}

struct jadei_number jadei_number_of_int(int64_t i)
{
    if (i >= 0) {
        return jadei_number_of_uint((uint64_t)i);
    }
    struct jadei_number n = jadei_number_of_uint(0 - (uint64_t)i);
    return (struct jadei_number){.key = ~n.key, .rest = -n.rest};
}

struct jadei_number jadei_number_of(struct jade_json v)
{
    switch (jade_json_type(v)) {
    case JADE_JSON_INT:
        return jadei_number_of_int(jade_json_int(v));
    case JADE_JSON_UINT:
        return jadei_number_of_uint(jade_json_uint(v));
    default:
        return jadei_number_of_double(jade_json_double(v));
    }
}

int jadei_number_compare(struct jadei_number a, struct jadei_number b)
{
    if (a.key != b.key) {
        return a.key < b.key ? -1 : 1;
    }
    return (a.rest > b.rest) - (a.rest < b.rest);
}

int jadei_text_compare(const void *a, size_t a_len, const void *b, size_t b_len)
{
    size_t common = a_len < b_len ? a_len : b_len;
    int c = common == 0 ? 0 : memcmp(a, b, common);
    return c != 0 ? c : (a_len > b_len) - (a_len < b_len);
}

bool jadei_order_holds(enum jadei_op op, int compared)
{
    switch (op) {
    case JADEI_GT:
        return compared > 0;
    case JADEI_GTE:
        return compared >= 0;
    case JADEI_LT:
        return compared < 0;
    default:
        JADE_ASSERT(op == JADEI_LTE);
        return compared <= 0;
    }
}

bool jadei_time_of(const char *s, size_t n, int64_t *time_us_out)
{
    *time_us_out = 0;
    /* Most strings are no dates: a date begins with a digit and has at least ten characters. */
    if (n < 10 || n > JADEI_TIME_TEXT_MAX || s[0] < '0' || s[0] > '9') {
        return false;
    }
    return jade_time_parse(s, n, time_us_out);
}
