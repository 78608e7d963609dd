/*
 * What both forms of a metadata index share.
 */
#include "filter/metaindex_private.h"

void jade_metaindex_free(struct jade_metaindex *ix)
{
    if (ix == NULL) {
        return;
    }
    if (ix->file == NULL) {
        jadei_grow_release(ix);
    } else {
        jadei_map_release(ix);
    }
    jade_free(ix);
}

static uint64_t map_bytes(const struct jade_map *m)
{
    enum { SLOT_BYTES = 24 }; /* key, length, hash, value */
    return m->n_slots * SLOT_BYTES + m->keys.total;
}

uint64_t jade_metaindex_memory_bytes(const struct jade_metaindex *ix)
{
    uint64_t bytes = sizeof *ix + ix->bytes;
    if (ix->file == NULL) {
        bytes += map_bytes(&ix->path_ids);
        for (uint32_t i = 0; i < ix->n_paths; i++) {
            bytes += map_bytes(&ix->paths[i]->terms);
        }
    }
    return bytes;
}

uint32_t jade_metaindex_paths(const struct jade_metaindex *ix)
{
    return ix->n_paths;
}

uint32_t jade_metaindex_rows(const struct jade_metaindex *ix)
{
    return ix->n_rows;
}
