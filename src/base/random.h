/*
 * Seeded pseudo-random numbers (xoshiro256**, Blackman and Vigna 2018, seeded by splitmix64): for levels of the graph, tests,
 * simulation. Not for secrets. Threads: one at a time a generator.
 */
#ifndef JADE_BASE_RANDOM_H
#define JADE_BASE_RANDOM_H

#include <stdint.h>

struct jade_random {
    uint64_t s[4];
};

void jade_random_init(struct jade_random *r, uint64_t seed);
uint64_t jade_random_u64(struct jade_random *r);
/** Uniform in [0, bound), without modulo bias; bound > 0. */
uint64_t jade_random_below(struct jade_random *r, uint64_t bound);
/** Uniform in [0, 1) with 53 bits. */
double jade_random_unit(struct jade_random *r);
/** Standard normal (polar method). */
double jade_random_normal(struct jade_random *r);

#endif
