/*
 * What the four files of the write path share: shard_check.c, shard_commit.c, shard_write.c, shard_replay.c.
 */
#ifndef JADE_SHARD_WRITE_PRIVATE_H
#define JADE_SHARD_WRITE_PRIVATE_H

#include "shard/shard_private.h"

/* ---- shard_check.c ---- */

/** Puts "vectors[i]" before the field of an error; returns rc. */
jade_code jadei_field_error(struct jade_err *err, uint32_t i, jade_code rc);
jade_code jadei_check_id(const char *id, uint32_t len, struct jade_err *err);
/** Every row of a batch but for repeated ids. */
jade_code jadei_check_rows(struct jade_shard *s, const struct jade_row *rows, uint32_t n,
                           struct jade_err *err);
/** JADE_E_DUPLICATE_ID when an id stands twice; hashes: n of them. */
jade_code jadei_check_unique(const struct jade_row *rows, const uint64_t *hashes, uint32_t n,
                             struct jade_err *err);
/** Adds a hash to an open-addressing set with room (n_slots a power of two, 0 = free); true when it was there. */
bool jadei_hash_set_add(uint64_t *slots, uint32_t n_slots, uint64_t hash);

/* ---- shard_commit.c ---- */

struct jadei_places_arg {
    const struct jadei_view *view;
    struct jadei_request *r;
};

/** jade_guard_run form: fills request->places with the live versions in the view. */
jade_code jadei_find_places(void *arg, struct jade_err *err);
/** Makes room for the tombstones of request->places and verifies what apply will read. */
jade_code jadei_reserve_tombs(struct jadei_request *r, struct jade_err *err);
/** The growing segment, made when there is none (commit lock held). */
jade_code jadei_ensure_growing(struct jade_shard *s, struct jadei_segment **out,
                               struct jade_err *err);
/** Carries out a logged, reserved request and moves the visible LSN (commit lock held). */
void jadei_apply(struct jade_shard *s, struct jadei_request *r);
/** Queues a request and returns when its group is done. */
jade_code jadei_submit(struct jade_shard *s, struct jadei_request *r, struct jade_err *err);
jade_code jadei_request_init(struct jade_shard *s, struct jadei_request *r,
                             enum jade_record_type type, uint32_t n,
                             const struct jade_write_opts *opts, struct jade_err *err);
void jadei_request_release(struct jadei_request *r);

#endif
