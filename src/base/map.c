#include "base/map.h"

#include <string.h>

#include "base/assert.h"
#include "base/hash.h"

/*
 * A slot is empty when its key is NULL. The stored 32 hash bits give the slot's home place again when slots move, and settle most
 * unequal keys without reading them.
 */
struct jade_map_slot {
    const char *key; /* in the map's arena, NUL-terminated */
    uint32_t len;
    uint32_t hash;
    uint64_t value;
};

enum { SLOTS_MIN = 16 };
#define SLOTS_MAX ((size_t)1 << 32) /* a home place comes from 32 hash bits */

void jade_map_init(struct jade_map *m, enum jade_tag tag)
{
    *m = (struct jade_map){.tag = tag};
    jade_arena_init(&m->keys, tag);
}

void jade_map_release(struct jade_map *m)
{
    jade_free(m->slots);
    jade_arena_release(&m->keys);
    jade_map_init(m, m->tag);
}

static uint32_t hash_key(const void *key, size_t key_len)
{
    return (uint32_t)(jade_hash64(key, key_len, 0) >> 32);
}

/* The slot that holds the key, or the empty one where it would go. At least a quarter of the slots is empty: it ends. */
static size_t find_slot(const struct jade_map *m, const void *key, size_t key_len, uint32_t hash)
{
    size_t mask = m->n_slots - 1;
    size_t i = hash & mask;
    while (m->slots[i].key != NULL) {
        const struct jade_map_slot *s = &m->slots[i];
        if (s->hash == hash && s->len == key_len &&
            (key_len == 0 || memcmp(s->key, key, key_len) == 0)) {
            break;
        }
        i = (i + 1) & mask;
    }
    return i;
}

/* Moves all slots into a table of the double size; on failure nothing changed. */
static jade_code grow(struct jade_map *m, struct jade_err *err)
{
    size_t n_slots = m->n_slots == 0 ? SLOTS_MIN : m->n_slots * 2;
    struct jade_map_slot *slots =
        n_slots > SLOTS_MAX ? NULL : jade_calloc(m->tag, n_slots, sizeof *slots);
    if (slots == NULL) {
        return jade_fail(err, JADE_E_NOMEM, "no memory for a map of %zu slots (%s)", n_slots,
                         jade_tag_name(m->tag));
    }
    for (size_t i = 0; i < m->n_slots; i++) {
        const struct jade_map_slot *s = &m->slots[i];
        if (s->key == NULL) {
            continue;
        }
        size_t to = s->hash & (n_slots - 1);
        while (slots[to].key != NULL) {
            to = (to + 1) & (n_slots - 1);
        }
        slots[to] = *s;
    }
    jade_free(m->slots);
    m->slots = slots;
    m->n_slots = n_slots;
    return JADE_OK;
}

jade_code jade_map_put(struct jade_map *m, const void *key, size_t key_len, uint64_t value,
                       bool *had_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    bool had = false;
    if (key_len >= UINT32_MAX) {
        rc = jade_fail(err, JADE_E_TOO_LARGE, "a map key of %zu bytes, at most %u", key_len,
                       UINT32_MAX - 1);
        goto out;
    }
    uint32_t hash = hash_key(key, key_len);
    if (m->n_slots > 0) {
        size_t i = find_slot(m, key, key_len, hash);
        if (m->slots[i].key != NULL) {
            m->slots[i].value = value;
            had = true;
            goto out;
        }
    }
    if (m->count + 1 > m->n_slots / 4 * 3) {
        JADE_TRY(grow(m, err));
    }
    const char *copy = jade_arena_strndup(&m->keys, key, key_len);
    if (copy == NULL) {
        rc = jade_fail(err, JADE_E_NOMEM, "no memory for a map key of %zu bytes (%s)", key_len,
                       jade_tag_name(m->tag));
        goto out;
    }
    m->slots[find_slot(m, key, key_len, hash)] =
        (struct jade_map_slot){.key = copy, .len = (uint32_t)key_len, .hash = hash, .value = value};
    m->count++;
out:
    if (had_out != NULL) {
        *had_out = had;
    }
    return rc;
}

bool jade_map_get(const struct jade_map *m, const void *key, size_t key_len, uint64_t *value_out)
{
    *value_out = 0;
    if (m->count == 0) {
        return false;
    }
    const struct jade_map_slot *s = &m->slots[find_slot(m, key, key_len, hash_key(key, key_len))];
    if (s->key == NULL) {
        return false;
    }
    *value_out = s->value;
    return true;
}

/*
 * Empties slot `hole` and closes the gap (Knuth, The Art of Computer Programming vol. 3, section 6.4, algorithm R): a later slot of
 * the run moves into the hole unless its home place lies cyclically in (hole, i], where a search would not pass the hole.
 */
static void close_gap(struct jade_map *m, size_t hole)
{
    size_t mask = m->n_slots - 1;
    size_t i = hole;
    for (;;) {
        i = (i + 1) & mask;
        if (m->slots[i].key == NULL) {
            break;
        }
        size_t home = m->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (struct jade_map_slot){.key = NULL};
}

bool jade_map_remove(struct jade_map *m, const void *key, size_t key_len)
{
    if (m->count == 0) {
        return false;
    }
    size_t i = find_slot(m, key, key_len, hash_key(key, key_len));
    if (m->slots[i].key == NULL) {
        return false;
    }
    close_gap(m, i);
    m->count--;
    return true;
}

bool jade_map_next(const struct jade_map *m, size_t *pos, const char **key_out, size_t *key_len_out,
                   uint64_t *value_out)
{
    while (*pos < m->n_slots) {
        const struct jade_map_slot *s = &m->slots[(*pos)++];
        if (s->key != NULL) {
            *key_out = s->key;
            *key_len_out = s->len;
            *value_out = s->value;
            return true;
        }
    }
    *key_out = NULL;
    *key_len_out = 0;
    *value_out = 0;
    return false;
}
