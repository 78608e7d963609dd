/*
 * A log of known records: record n has a size and bytes that follow from n, so that a replay can be checked without a copy.
 */
#ifndef JADE_TEST_WAL_TEST_H
#define JADE_TEST_WAL_TEST_H

#include "store/wal.h"
#include "store_test.h"

enum { FILE_BYTES = 8192, PAYLOAD_MAX = 320 };

static const struct jade_uuid SHARD = {.b = {1, 2, 3}};

static inline size_t payload_of(uint64_t lsn, uint8_t out[PAYLOAD_MAX])
{
    size_t n = 8 + (size_t)(lsn * 37 % 300);
    for (size_t i = 0; i < n; i++) {
        out[i] = (uint8_t)(1 + (lsn * 7 + i * 3) % 255); /* never 0: each lost sector shows */
    }
    return n;
}

/* Checks what is replayed: gapless from `next`, each record as it was made. */
struct replay {
    uint64_t next;
    bool bad;
};

static inline jade_code replay_check(void *ctx, const struct jade_wal_header *h,
                                     const uint8_t *payload, struct jade_err *err)
{
    struct replay *r = ctx;
    uint8_t wanted[PAYLOAD_MAX];
    size_t n = payload_of(h->lsn.v, wanted);
    (void)err;
    if (h->lsn.v != r->next || h->size != n || memcmp(payload, wanted, n) != 0 ||
        h->type != JADE_RECORD_UPSERT || h->epoch.v != 3 || (uintptr_t)payload % 4 != 0) {
        r->bad = true;
    }
    r->next++;
    return JADE_OK;
}

static inline struct jade_wal_opts opts_of(struct jade_os *os)
{
    return (struct jade_wal_opts){.os = os, .dir = "wal", .shard = SHARD, .file_bytes = FILE_BYTES};
}

/* Opens and replays; *last_out = newest LSN found. Never CORRUPT by a wrong record: that is a failure of the test. */
static inline jade_code try_open(const struct jade_wal_opts *opts, struct jade_wal **out,
                                 struct jade_wal_recovery *rec, struct jade_err *err)
{
    struct replay r = {.next = opts->after.v + 1};
    jade_code rc = jade_wal_open(opts, replay_check, &r, out, rec, err);
    assert_false(r.bad);
    if (rc == JADE_OK) {
        assert_int_equal(jade_wal_last(*out).v, r.next - 1);
        assert_int_equal(jade_wal_durable(*out).v, r.next - 1);
    }
    return rc;
}

static inline struct jade_wal *wal_opened(const struct jade_wal_opts *opts)
{
    struct jade_wal *w = NULL;
    must(try_open(opts, &w, NULL, &e));
    return w;
}

static inline jade_code try_append(struct jade_wal *w, struct jade_err *err)
{
    uint8_t payload[PAYLOAD_MAX];
    struct jade_lsn lsn;
    uint64_t next = jade_wal_last(w).v + 1;
    size_t n = payload_of(next, payload);
    jade_code rc = jade_wal_append(w, JADE_RECORD_UPSERT, (struct jade_epoch){3},
                                   (struct jade_uuid){{0}}, payload, n, &lsn, err);
    assert_int_equal(lsn.v, rc == JADE_OK ? next : 0);
    assert_int_equal(jade_wal_last(w).v, rc == JADE_OK ? next : next - 1);
    return rc;
}

static inline void append(struct jade_wal *w, unsigned n)
{
    while (n-- > 0) {
        must(try_append(w, &e));
    }
}

/* Appends n records, each synced for itself, so that each carries the mark of the one before. */
static inline void append_synced(struct jade_wal *w, unsigned n)
{
    while (n-- > 0) {
        append(w, 1);
        must(jade_wal_sync(w, &e));
    }
}

static inline size_t record_bytes(uint64_t lsn)
{
    uint8_t payload[PAYLOAD_MAX];
    return jade_wal_record_bytes((uint32_t)payload_of(lsn, payload));
}

/* A disk with an empty folder wal. */
static inline struct jade_sim *wal_disk(void)
{
    struct jade_sim *s = disk_new();
    must(jade_os_mkdirs(jade_sim_os(s), "wal", &e));
    return s;
}

#endif
