#include "base/utf8.h"

#include <string.h>
#include <utf8proc.h>

size_t jade_utf8_decode(const void *p, size_t n, uint32_t *point_out)
{
    utf8proc_int32_t point = -1;
    /* A code point has at most 4 bytes; the clamp also keeps n positive in utf8proc's signed size. */
    utf8proc_ssize_t left = n < 4 ? (utf8proc_ssize_t)n : 4;
    utf8proc_ssize_t used = utf8proc_iterate(p, left, &point);
    if (used <= 0 || point < 0) {
        *point_out = 0;
        return 0;
    }
    *point_out = (uint32_t)point;
    return (size_t)used;
}

unsigned jade_utf8_width(uint32_t point)
{
    int width = utf8proc_charwidth((utf8proc_int32_t)point);
    return width > 0 ? (unsigned)width : 0;
}

/* Length of the ASCII run at the start, eight bytes at a time: ids and metadata are mostly ASCII. */
static size_t ascii_run(const uint8_t *p, size_t n)
{
    size_t i = 0;
    uint64_t word = 0;
    while (n - i >= sizeof word) {
        memcpy(&word, p + i, sizeof word);
        if ((word & 0x8080808080808080u) != 0) {
            break;
        }
        i += sizeof word;
    }
    while (i < n && p[i] < 0x80) {
        i++;
    }
    return i;
}

bool jade_utf8_valid(const void *p, size_t n)
{
    const uint8_t *bytes = p;
    size_t i = 0;
    while (i < n) {
        i += ascii_run(bytes + i, n - i);
        if (i == n) {
            break;
        }
        uint32_t point = 0;
        size_t used = jade_utf8_decode(bytes + i, n - i, &point);
        if (used == 0) {
            return false;
        }
        i += used;
    }
    return true;
}
