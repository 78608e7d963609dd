/*
 * Small helpers that the files of this folder share.
 */
#ifndef JADE_STORE_STORE_PRIVATE_H
#define JADE_STORE_STORE_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { JADEI_DECIMAL_MAX = 20 }; /* digits of UINT64_MAX */

/**
 * Reads a file name's number: decimal digits without leading zeros, then exactly `suffix`. False for anything else, so that a
 * foreign file is never taken for one of ours.
 */
static inline bool jadei_parse_decimal(const char *s, const char *suffix, uint64_t *out)
{
    uint64_t v = 0;
    size_t n = 0;
    for (; s[n] >= '0' && s[n] <= '9'; n++) {
        uint64_t digit = (uint64_t)(s[n] - '0');
        if (v > (UINT64_MAX - digit) / 10) {
            return false;
        }
        v = v * 10 + digit;
    }
    *out = v;
    return n > 0 && (n == 1 || s[0] != '0') && strcmp(s + n, suffix) == 0;
}

#endif
