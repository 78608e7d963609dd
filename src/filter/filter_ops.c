/*
 * Operator names, those of later versions among them, and the nearest one to a misspelled name.
 */
#include <string.h>

#include "base/assert.h"
#include "filter/filter_private.h"

struct name_row {
    const char *text;
    enum jadei_name name;
};

static const struct name_row NAMES[] = {
    {"$eq", JADEI_NAME_EQ},
    {"$ne", JADEI_NAME_NE},
    {"$gt", JADEI_NAME_GT},
    {"$gte", JADEI_NAME_GTE},
    {"$lt", JADEI_NAME_LT},
    {"$lte", JADEI_NAME_LTE},
    {"$in", JADEI_NAME_IN},
    {"$nin", JADEI_NAME_NIN},
    {"$exists", JADEI_NAME_EXISTS},
    {"$and", JADEI_NAME_AND},
    {"$or", JADEI_NAME_OR},
    {"$nor", JADEI_NAME_NOR},
    {"$not", JADEI_NAME_NOT},
    {"$all", JADEI_NAME_LATER},
    {"$size", JADEI_NAME_LATER},
    {"$contains", JADEI_NAME_LATER},
    {"$startsWith", JADEI_NAME_LATER},
    {"$regex", JADEI_NAME_LATER},
    {"$elemMatch", JADEI_NAME_LATER},
    {"$between", JADEI_NAME_LATER},
    {"$geoRadius", JADEI_NAME_LATER},
    {"$geoBox", JADEI_NAME_LATER},
    {"$geoPolygon", JADEI_NAME_LATER},
    {"$text", JADEI_NAME_LATER},
    {"$isNull", JADEI_NAME_LATER},
    {"$ids", JADEI_NAME_LATER},
};
enum { N_NAMES = sizeof NAMES / sizeof NAMES[0], NAME_LEN_MAX = 32 };

enum jadei_name jadei_name_of(struct jade_str name)
{
    for (size_t i = 0; i < N_NAMES; i++) {
        if (strlen(NAMES[i].text) == name.n && memcmp(NAMES[i].text, name.p, name.n) == 0) {
            return NAMES[i].name;
        }
    }
    return JADEI_NAME_UNKNOWN;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/*
 * Edit distance where neighbours swapped count once (Damerau 1964, in the restricted form), letters
 * without case; three rows of the table are enough.
 */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned rows[3][NAME_LEN_MAX + 1];
    JADE_ASSERT(b_len <= NAME_LEN_MAX);
    for (size_t j = 0; j <= b_len; j++) {
        rows[0][j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            char x = lower(a[i - 1]);
            char y = lower(b[j - 1]);
            row[j] = least(above[j - 1] + (x != y), least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && x == lower(b[j - 2]) && y == lower(a[i - 2])) {
                row[j] = least(row[j], rows[(i + 1) % 3][j - 2] + 1);
            }
        }
    }
    return rows[a_len % 3][b_len];
}

const char *jadei_name_nearest(struct jade_str name)
{
    size_t len = name.n < NAME_LEN_MAX ? name.n : NAME_LEN_MAX;
    const char *best = NAMES[0].text;
    unsigned best_distance = NAME_LEN_MAX + 1;
    for (size_t i = 0; i < N_NAMES; i++) {
        unsigned d = distance(name.p, len, NAMES[i].text, strlen(NAMES[i].text));
        /* Of equally near names one that works today. */
        d = d * 2 + (NAMES[i].name == JADEI_NAME_LATER);
        if (d < best_distance) {
            best_distance = d;
            best = NAMES[i].text;
        }
    }
    return best;
}
