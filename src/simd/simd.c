/*
 * Chooses the kernels: the best level the machine has, or the one that JADE_SIMD names.
 */
#include "simd/simd.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "simd/kernels.h"

/* The chosen table; NULL until jade_simd_init or the first jade_simd. Both find the same one unless JADE_SIMD is bad. */
static _Atomic(const struct jade_simd *) chosen;

static bool machine_has(enum jade_simd_level level)
{
#if JADEI_SIMD_X86
    /* The builtins ask cpuid, and xgetbv whether the operating system saves the wide registers. */
    __builtin_cpu_init();
    switch (level) {
    case JADE_SIMD_SCALAR:
        return true;
    case JADE_SIMD_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case JADE_SIMD_AVX512:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("fma");
    case JADE_SIMD_LEVEL_COUNT:
        break;
    }
    return false;
#else
    return level == JADE_SIMD_SCALAR;
#endif
}

const struct jade_simd *jade_simd_level(enum jade_simd_level level)
{
    static const struct jade_simd *const tables[JADE_SIMD_LEVEL_COUNT] = {
        [JADE_SIMD_SCALAR] = &jadei_simd_scalar,
#if JADEI_SIMD_X86
        [JADE_SIMD_AVX2] = &jadei_simd_avx2,
        [JADE_SIMD_AVX512] = &jadei_simd_avx512,
#endif
    };
    if ((unsigned)level >= JADE_SIMD_LEVEL_COUNT || !machine_has(level)) {
        return NULL;
    }
    return tables[level];
}

static const struct jade_simd *best(void)
{
    for (int level = JADE_SIMD_LEVEL_COUNT - 1; level > JADE_SIMD_SCALAR; level--) {
        const struct jade_simd *table = jade_simd_level((enum jade_simd_level)level);
        if (table) {
            return table;
        }
    }
    return &jadei_simd_scalar;
}

static jade_code choose(const char *word, const struct jade_simd **out, struct jade_err *err)
{
    static const char *const words[JADE_SIMD_LEVEL_COUNT] = {"scalar", "avx2", "avx512"};
    *out = NULL;
    if (!word || word[0] == '\0') {
        *out = best();
        return JADE_OK;
    }
    for (int level = 0; level < JADE_SIMD_LEVEL_COUNT; level++) {
        if (strcmp(word, words[level]) == 0) {
            *out = jade_simd_level((enum jade_simd_level)level);
            if (!*out) {
                return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "JADE_SIMD",
                                       "this machine lacks %s; the best it has is %s", word,
                                       best()->name);
            }
            return JADE_OK;
        }
    }
    return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "JADE_SIMD",
                           "'%.32s', expected scalar, avx2 or avx512", word);
}

jade_code jade_simd_init(struct jade_err *err)
{
    if (atomic_load_explicit(&chosen, memory_order_acquire)) {
        return JADE_OK;
    }
    const struct jade_simd *table = NULL;
    jade_code rc = choose(getenv("JADE_SIMD"), &table, err);
    if (rc == JADE_OK) {
        atomic_store_explicit(&chosen, table, memory_order_release);
    }
    return rc;
}

const struct jade_simd *jade_simd(void)
{
    const struct jade_simd *table = atomic_load_explicit(&chosen, memory_order_acquire);
    if (table) {
        return table;
    }
    /* A library caller that never called init: JADE_SIMD is honoured when it is good, else the best level serves. */
    if (choose(getenv("JADE_SIMD"), &table, NULL) != JADE_OK) {
        table = best();
    }
    atomic_store_explicit(&chosen, table, memory_order_release);
    return table;
}
