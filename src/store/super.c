/*
 * SUPER: which copy this is and up to where its log was durable. The file is made whole in one publish; after that only one slot
 * of the two is written at a time, so that a torn write leaves the other (P3).
 */
#include "store/super.h"

#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"

enum { SLOTS = 2, FILE_BYTES = SLOTS * JADE_SUPER_SLOT_SPACING };

struct jade_super {
    struct jade_file *file;
    char *path;
    struct jade_superblock now;
    bool poisoned; /* a write or sync failed: what the disk holds is unknown (P1) */
};

static uint64_t slot_offset(uint64_t sequence)
{
    return (sequence % SLOTS) * JADE_SUPER_SLOT_SPACING;
}

static jade_code new_uuid(struct jade_os *os, struct jade_uuid *out, struct jade_err *err)
{
    jade_code rc = jade_os_random(os, out->b, sizeof out->b, err);
    /* RFC 9562, version 4, variant 10: also makes sure that it is never all zero ("none") */
    out->b[6] = (uint8_t)((out->b[6] & 0x0f) | 0x40);
    out->b[8] = (uint8_t)((out->b[8] & 0x3f) | 0x80);
    return rc;
}

jade_code jade_super_create(struct jade_os *os, const char *path, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    bool exists = false;
    uint8_t *image = NULL;
    struct jade_superblock s = {.clean = 1};
    JADE_TRY(jade_os_exists(os, path, &exists, err));
    if (exists) {
        return jade_fail(err, JADE_E_ALREADY_EXISTS, "%s: this folder holds a copy already", path);
    }
    image = jade_calloc(JADE_TAG_OTHER, 1, FILE_BYTES);
    if (image == NULL) {
        return jade_fail(err, JADE_E_NOMEM, "%s", path);
    }
    JADE_TRY(new_uuid(os, &s.copy, err));
    JADE_TRY(new_uuid(os, &s.lineage, err));
    /* Both slots are valid from the start: damage of one is then always told from a file that was never finished. */
    for (s.sequence = 0; s.sequence < SLOTS; s.sequence++) {
        jade_superblock_encode(&s, image + slot_offset(s.sequence));
    }
    JADE_TRY(jade_os_replace(os, path, image, FILE_BYTES, err));
out:
    jade_free(image);
    return rc;
}

/* Reads slot i; *valid_out tells whether it counts. A slot of a newer format is an error: the other one may be long outdated. */
static jade_code read_slot(struct jade_super *s, uint64_t i, struct jade_superblock *out,
                           bool *valid_out, struct jade_err *err)
{
    uint8_t raw[JADE_SUPER_SLOT_BYTES];
    size_t n = 0;
    *valid_out = false;
    jade_code rc = jade_file_read_some(s->file, slot_offset(i), raw, sizeof raw, &n, err);
    if (rc != JADE_OK || n < sizeof raw) {
        return rc;
    }
    struct jade_err why = {0};
    rc = jade_superblock_decode(raw, out, &why);
    if (rc == JADE_E_VERSION) {
        if (err != NULL) {
            *err = why;
        }
        return jade_err_wrap(err, rc, "%s", s->path);
    }
    *valid_out = rc == JADE_OK && out->sequence % SLOTS == i;
    return JADE_OK;
}

static jade_code read_newest(struct jade_super *s, struct jade_err *err)
{
    bool any = false;
    for (uint64_t i = 0; i < SLOTS; i++) {
        struct jade_superblock slot;
        bool valid = false;
        jade_code rc = read_slot(s, i, &slot, &valid, err);
        if (rc != JADE_OK) {
            return rc;
        }
        if (valid && (!any || slot.sequence > s->now.sequence)) {
            s->now = slot;
            any = true;
        }
    }
    if (!any) {
        return jade_fail(err, JADE_E_CORRUPT, "%s: neither slot (offset 0, offset %d) is valid",
                         s->path, JADE_SUPER_SLOT_SPACING);
    }
    return JADE_OK;
}

/*
 * The slot that counts may be in the page cache only, after a kill or a failed sync (P1). The next update overwrites the other
 * one, so this one has to be on the disk first: the same bytes once more, then a sync that has something to do.
 */
static jade_code make_durable(struct jade_super *s, struct jade_err *err)
{
    uint8_t raw[JADE_SUPER_SLOT_BYTES];
    jade_superblock_encode(&s->now, raw);
    jade_code rc = jade_file_write(s->file, slot_offset(s->now.sequence), raw, sizeof raw, err);
    return rc != JADE_OK ? rc : jade_file_sync(s->file, err);
}

jade_code jade_super_open(struct jade_os *os, const char *path, struct jade_super **out,
                          struct jade_err *err)
{
    *out = NULL;
    jade_code rc = JADE_OK;
    struct jade_super *s = jade_calloc(JADE_TAG_OTHER, 1, sizeof *s);
    if (s == NULL) {
        return jade_fail(err, JADE_E_NOMEM, "opening %s", path);
    }
    s->path = jade_strndup(JADE_TAG_OTHER, path, strlen(path));
    if (s->path == NULL) {
        rc = jade_fail(err, JADE_E_NOMEM, "opening %s", path);
        goto out;
    }
    JADE_TRY(jade_file_open(os, path, JADE_OPEN_WRITE, &s->file, err));
    JADE_TRY(read_newest(s, err));
    JADE_TRY(make_durable(s, err));
    *out = s;
    return JADE_OK;
out:
    jade_super_close(s);
    return rc;
}

void jade_super_close(struct jade_super *s)
{
    if (s == NULL) {
        return;
    }
    jade_file_close(s->file);
    jade_free(s->path);
    jade_free(s);
}

const struct jade_superblock *jade_super_get(const struct jade_super *s)
{
    return &s->now;
}

jade_code jade_super_update(struct jade_super *s, const struct jade_superblock *next,
                            struct jade_err *err)
{
    JADE_ASSERT(next->adopted_epoch.v >= s->now.adopted_epoch.v);
    if (s->poisoned) {
        return jade_fail(err, JADE_E_POISONED, "%s: an earlier write failed", s->path);
    }
    struct jade_superblock slot = *next;
    uint8_t raw[JADE_SUPER_SLOT_BYTES];
    slot.sequence = s->now.sequence + 1;
    jade_superblock_encode(&slot, raw);
    jade_code rc = jade_file_write(s->file, slot_offset(slot.sequence), raw, sizeof raw, err);
    if (rc == JADE_OK) {
        rc = jade_file_sync(s->file, err);
    }
    if (rc != JADE_OK) {
        s->poisoned = true;
        return rc;
    }
    s->now = slot;
    return JADE_OK;
}
