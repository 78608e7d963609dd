#include "base/random.h"

#include <math.h>

#include "base/assert.h"

static uint64_t rotate_left(uint64_t x, unsigned k)
{
    return (x << k) | (x >> (64 - k));
}

/* Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators": spreads one seed over the state. */
static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

void jade_random_init(struct jade_random *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        r->s[i] = splitmix(&seed);
    }
}

/* Blackman and Vigna 2018, "Scrambled linear pseudorandom number generators": xoshiro256**. */
uint64_t jade_random_u64(struct jade_random *r)
{
    uint64_t *s = r->s;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

/* Lemire 2019, "Fast random integer generation in an interval", algorithm 5: one multiplication, rarely a division. */
uint64_t jade_random_below(struct jade_random *r, uint64_t bound)
{
    JADE_ASSERT(bound > 0);
    unsigned __int128 product = (unsigned __int128)jade_random_u64(r) * bound;
    if ((uint64_t)product < bound) {
        uint64_t uneven = (0 - bound) % bound;
        while ((uint64_t)product < uneven) {
            product = (unsigned __int128)jade_random_u64(r) * bound;
        }
    }
    return (uint64_t)(product >> 64);
}

double jade_random_unit(struct jade_random *r)
{
    return (double)(jade_random_u64(r) >> 11) * 0x1.0p-53;
}

/* Marsaglia and Bray 1964, polar method. The second value is dropped, so that the state is the four words alone. */
double jade_random_normal(struct jade_random *r)
{
    double u = 0;
    double square = 0;
    do {
        u = 2 * jade_random_unit(r) - 1;
        double v = 2 * jade_random_unit(r) - 1;
        square = u * u + v * v;
    } while (square >= 1 || square == 0);
    return u * sqrt(-2 * log(square) / square);
}
