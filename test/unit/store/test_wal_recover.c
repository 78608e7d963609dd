/*
 * Recovery of the log: a torn tail is cut, damage is refused with every byte kept, and the two are never mixed up
 * (reliability P4, P5; T5).
 */
#include <stdlib.h>

#include "base/hash.h"
#include "format/codec.h"
#include "wal_test.h"

/* ---- helpers ---- */

static uint64_t offset_of(uint64_t first, uint64_t lsn)
{
    uint64_t at = 4096;
    for (uint64_t i = first; i < lsn; i++) {
        at += record_bytes(i);
    }
    return at;
}

/* All files of wal/ as one checksum: to see that nothing was changed. */
struct sum {
    struct jade_os *os;
    uint64_t value;
};

static jade_code sum_file(void *ctx, const char *name, bool is_dir, struct jade_err *err)
{
    struct sum *sum = ctx;
    char path[64];
    size_t n;
    (void)err;
    (void)is_dir;
    (void)snprintf(path, sizeof path, "wal/%s", name);
    uint8_t *p = slurp(sum->os, path, &n);
    /* added up: a listing has no order */
    sum->value += jade_hash64(p, n, jade_hash64(name, strlen(name), 0));
    jade_free(p);
    return JADE_OK;
}

static uint64_t fingerprint(struct jade_os *os)
{
    struct sum sum = {.os = os, .value = entries(os, "wal")};
    must(jade_os_list(os, "wal", sum_file, &sum, &e));
    return sum.value;
}

static void check_corrupt(const struct jade_wal_opts *opts, const char *place)
{
    struct jade_wal *w = NULL;
    uint64_t before = fingerprint(opts->os);
    must_fail(JADE_E_CORRUPT, try_open(opts, &w, NULL, &e));
    assert_null(w);
    if (strstr(e.message, place) == NULL) {
        fail_msg("'%s' does not name '%s'", e.message, place);
    }
    assert_int_equal(fingerprint(opts->os), before);
}

/* Opens a log whose records up to `last` must be there and no more; goes on with it and opens it again. */
static void check_cut(const struct jade_wal_opts *opts, uint64_t last)
{
    struct jade_wal *w = wal_opened(opts);
    assert_int_equal(jade_wal_last(w).v, last);
    append_synced(w, 2);
    must(jade_wal_close(w, &e));
    w = wal_opened(opts);
    assert_int_equal(jade_wal_last(w).v, last + 2);
    must(jade_wal_close(w, &e));
}

/* A log of n records in 1.wal, each synced alone when `marks`, else all at once at the end; file large enough for all. */
static struct jade_sim *one_file(unsigned n, bool marks)
{
    struct jade_sim *s = wal_disk();
    struct jade_wal_opts opts = opts_of(jade_sim_os(s));
    opts.file_bytes = 32768;
    struct jade_wal *w = wal_opened(&opts);
    if (marks) {
        append_synced(w, n);
    } else {
        append(w, n);
    }
    must(jade_wal_close(w, &e));
    jade_sim_reboot(s, JADE_SIM_KEEP_ALL, 1);
    return s;
}

/* ---- tails ---- */

static void wal_torn_tail_at_each_byte_is_cut(void **state)
{
    (void)state;
    uint64_t start = offset_of(1, 4), end = offset_of(1, 5);
    uint8_t payload[PAYLOAD_MAX];
    uint64_t last_byte = start + 64 + payload_of(4, payload);
    for (uint64_t at = start; at < last_byte; at++) {
        for (unsigned fill = 0; fill < 2; fill++) {
            struct jade_sim *s = one_file(4, true);
            struct jade_wal_opts opts = opts_of(jade_sim_os(s));
            uint8_t rest[512];
            opts.durable_mark = JADE_LSN(3);
            assert_true(end - at <= sizeof rest);
            memset(rest, fill == 0 ? 0 : 0xa5, sizeof rest);
            size_t n;
            uint8_t *raw = slurp(jade_sim_os(s), "wal/1.wal", &n);
            bool changes = memcmp(raw + at, rest, last_byte - at) != 0;
            jade_free(raw);
            poke(jade_sim_os(s), "wal/1.wal", at, rest, end - at);
            check_cut(&opts, changes ? 3 : 4);
            jade_sim_free(s);
        }
    }
}

static void wal_flip_in_the_unsynced_tail_is_cut(void **state)
{
    (void)state;
    uint8_t payload[PAYLOAD_MAX];
    /* records 1..3 durable; 4, 5, 6 written in one group that was never acknowledged */
    for (uint64_t lsn = 4; lsn <= 6; lsn++) {
        uint64_t start = offset_of(1, lsn), n = 64 + payload_of(lsn, payload);
        for (uint64_t i = 0; i < n; i++) {
            struct jade_sim *s = wal_disk();
            struct jade_wal_opts opts = opts_of(jade_sim_os(s));
            struct jade_wal *w = wal_opened(&opts);
            append_synced(w, 3);
            append(w, 3);
            must(jade_wal_close(w, &e));
            flip(jade_sim_os(s), "wal/1.wal", start + i, (uint8_t)(1u << (i % 8)));
            opts.durable_mark = JADE_LSN(3);
            check_cut(&opts, lsn - 1); /* later records of the group are whole, and dropped */
            jade_sim_free(s);
        }
    }
}

static void wal_tail_that_was_cut_never_comes_back(void **state)
{
    (void)state;
    struct jade_sim *s = one_file(6, false);
    struct jade_wal_opts opts = opts_of(jade_sim_os(s));
    struct jade_wal_recovery rec;
    struct jade_wal *w = NULL;
    size_t n;
    uint8_t *whole = slurp(jade_sim_os(s), "wal/1.wal", &n);
    flip(jade_sim_os(s), "wal/1.wal", offset_of(1, 4), 1);
    must(try_open(&opts, &w, &rec, &e));
    assert_int_equal(jade_wal_last(w).v, 3);
    assert_int_equal(rec.tail_bytes_cut, offset_of(1, 7) - offset_of(1, 4) -
                                             (offset_of(1, 7) - offset_of(1, 6) - 64 - 8 - 6 * 37));
    assert_int_equal(rec.files, 2);
    must(jade_wal_close(w, &e));
    /* even with the lost record made whole again, 4 to 6 of generation 1 are no part of the log */
    poke(jade_sim_os(s), "wal/1.wal", 0, whole, n);
    check_cut(&opts, 3);
    jade_free(whole);
    jade_sim_free(s);
}

static void wal_later_record_survived_while_an_earlier_was_lost_is_a_tail(void **state)
{
    (void)state;
    unsigned cut = 0, kept = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct jade_sim *s = wal_disk();
        struct jade_wal_opts opts = opts_of(jade_sim_os(s));
        opts.file_bytes = 32768;
        struct jade_wal *w = wal_opened(&opts);
        append_synced(w, 5);
        append(w, 30);
        must(jade_wal_flush(w, &e));
        jade_sim_reboot(s, JADE_SIM_RANDOM, seed);
        (void)jade_wal_close(w, NULL); /* its handle died */
        struct jade_wal_recovery rec;
        opts.durable_mark = JADE_LSN(5);
        must(try_open(&opts, &w, &rec, &e));
        uint64_t last = jade_wal_last(w).v;
        assert_in_range(last, 5, 35);
        cut += rec.tail_bytes_cut > 0;
        kept += last > 5;
        must(jade_wal_close(w, &e));
        check_cut(&opts, last);
        jade_sim_free(s);
    }
    assert_true(cut > 50 && kept > 50); /* both kinds were seen */
}

static void wal_power_cut_during_the_cut_is_safe_again_and_again(void **state)
{
    (void)state;
    unsigned states = 0;
    struct jade_sim *torn = one_file(6, false);
    flip(jade_sim_os(torn), "wal/1.wal", offset_of(1, 5) + 70, 1);
    for (uint64_t n = 1;; n++) {
        struct jade_sim *s = disk_clone(torn);
        struct jade_wal_opts opts = opts_of(jade_sim_os(s));
        opts.durable_mark = JADE_LSN(4);
        struct jade_wal *w = NULL;
        jade_sim_cut_at(s, jade_sim_points(s) + n);
        jade_code rc = try_open(&opts, &w, NULL, &e);
        bool was_cut = jade_sim_is_cut(s);
        if (rc == JADE_OK) {
            assert_int_equal(jade_wal_last(w).v, 4);
        }
        (void)jade_wal_close(w, NULL);
        for (uint64_t seed = 0; seed < 12; seed++) {
            struct jade_sim *after = disk_clone(s);
            struct jade_wal_opts again = opts_of(jade_sim_os(after));
            again.durable_mark = JADE_LSN(4);
            jade_sim_reboot(after, seed < 4 ? (enum jade_sim_policy)seed : JADE_SIM_RANDOM, seed);
            /* cut power in the second recovery as well */
            jade_sim_cut_at(after, jade_sim_points(after) + 1 + seed % 7);
            (void)try_open(&again, &w, NULL, &e);
            (void)jade_wal_close(w, NULL);
            jade_sim_reboot(after, JADE_SIM_RANDOM, seed + n);
            check_cut(&again, 4);
            jade_sim_free(after);
            states++;
        }
        jade_sim_free(s);
        if (!was_cut) {
            assert_int_equal(rc, JADE_OK);
            break;
        }
    }
    assert_true(states > 60);
    jade_sim_free(torn);
}

static void wal_empty_newest_file_is_a_tail(void **state)
{
    (void)state;
    static const uint8_t garbage[200] = {1, 2, 3};
    for (unsigned kind = 0; kind < 4; kind++) {
        struct jade_sim *s = one_file(4, true);
        struct jade_os *os = jade_sim_os(s);
        struct jade_wal_opts opts = opts_of(os);
        struct jade_file *f = NULL;
        opts.durable_mark = JADE_LSN(4);
        must(jade_file_open(os, "wal/2.wal", JADE_OPEN_CREATE, &f, &e));
        if (kind >= 1) {
            must(jade_file_allocate(f, FILE_BYTES, &e)); /* all zero */
        }
        if (kind == 2) {
            must(jade_file_write(f, 0, garbage, sizeof garbage, &e)); /* header torn */
        }
        if (kind == 3) {
            must(jade_file_truncate(f, 100, &e));
        }
        must(jade_file_sync(f, &e));
        jade_file_close(f);
        must(jade_os_sync_dir(os, "wal", &e));
        check_cut(&opts, 4);
        assert_false(there(os, "wal/2.wal"));
        jade_sim_free(s);
    }
}

static void wal_first_file_torn_is_begun_anew(void **state)
{
    (void)state;
    struct jade_sim *s = wal_disk();
    struct jade_wal_opts opts = opts_of(jade_sim_os(s));
    struct jade_file *f = NULL;
    must(jade_file_open(jade_sim_os(s), "wal/1.wal", JADE_OPEN_CREATE, &f, &e));
    must(jade_file_allocate(f, FILE_BYTES, &e));
    jade_file_close(f);
    check_cut(&opts, 0);
    jade_sim_free(s);
}

static void wal_recycled_records_of_another_generation_are_not_read(void **state)
{
    (void)state;
    struct jade_sim *s = one_file(6, true);
    struct jade_os *os = jade_sim_os(s);
    struct jade_wal_opts opts = opts_of(os);
    size_t n;
    uint8_t *raw = slurp(os, "wal/1.wal", &n);
    struct jade_wal *w = wal_opened(&opts);
    uint64_t g;
    must(jade_wal_roll(w, &g, &e));
    append_synced(w, 1);
    must(jade_wal_close(w, &e));
    /* the space behind record 7 in 2.wal shows the records of 1.wal, checksums and all; their marks prove nothing here */
    poke(os, "wal/2.wal", offset_of(7, 8), raw + 4096, 2048);
    opts.durable_mark = JADE_LSN(7);
    check_cut(&opts, 7);
    jade_free(raw);
    jade_sim_free(s);
}

/* Sound in itself, but of another place: the wrong chain, file, number. */
static void wal_sound_record_that_does_not_belong_is_not_read(void **state)
{
    (void)state;
    for (unsigned wrong = 0; wrong < 4; wrong++) {
        struct jade_sim *s = one_file(3, true);
        struct jade_wal_opts opts = opts_of(jade_sim_os(s));
        uint8_t raw[64 + PAYLOAD_MAX], last[64];
        size_t n;
        uint8_t *file = slurp(jade_sim_os(s), "wal/1.wal", &n);
        memcpy(last, file + offset_of(1, 3), sizeof last);
        jade_free(file);
        struct jade_wal_header h = {.lsn = {wrong == 1 ? 5 : 4},
                                    .epoch = {3},
                                    .generation = wrong == 2 ? 2 : 1,
                                    .durable = {3},
                                    .type = JADE_RECORD_UPSERT,
                                    .prev_crc = jade_load_u32(last + 60) ^ (wrong == 3)};
        h.size = (uint32_t)payload_of(4, raw + 64);
        jade_wal_header_encode(&h, raw + 64, raw);
        poke(jade_sim_os(s), "wal/1.wal", offset_of(1, 4), raw, 64 + h.size);
        opts.durable_mark = JADE_LSN(3);
        check_cut(&opts, wrong == 0 ? 4 : 3);
        jade_sim_free(s);
    }
}

/* ---- damage ---- */

static void wal_flip_in_any_durable_record_is_refused(void **state)
{
    (void)state;
    uint8_t payload[PAYLOAD_MAX];
    static const uint64_t lsns[] = {1, 5, 8, 9};
    for (unsigned i = 0; i < 4; i++) {
        uint64_t start = offset_of(1, lsns[i]), n = 64 + payload_of(lsns[i], payload);
        for (uint64_t b = 0; b < n; b++) {
            struct jade_sim *s = one_file(9, true);
            struct jade_wal_opts opts = opts_of(jade_sim_os(s));
            char place[64];
            (void)snprintf(place, sizeof place, "wal file 1: offset %llu",
                           (unsigned long long)start);
            flip(jade_sim_os(s), "wal/1.wal", start + b, (uint8_t)(1u << (b % 8)));
            if (lsns[i] < 9) {
                check_corrupt(&opts,
                              place); /* the marks in later records tell, without the superblock */
            }
            opts.durable_mark = JADE_LSN(9);
            check_corrupt(&opts, place);
            opts.durable_mark = JADE_LSN_NONE;
            opts.after = JADE_LSN(9);
            check_corrupt(&opts, place); /* the checkpoint tells */
            jade_sim_free(s);
        }
    }
}

static void wal_flip_in_an_older_file_is_refused_without_any_mark(void **state)
{
    (void)state;
    struct jade_sim *s = wal_disk();
    struct jade_wal_opts opts = opts_of(jade_sim_os(s));
    struct jade_wal *w = wal_opened(&opts);
    append(w, 5);
    uint64_t g;
    must(jade_wal_roll(w, &g, &e));
    must(jade_wal_close(w, &e));
    /* the last record of 1.wal: no record follows it, but the header of 2.wal says that it was durable */
    flip(jade_sim_os(s), "wal/1.wal", offset_of(1, 5) + 65, 4);
    check_corrupt(&opts, "wal file 1: offset");
    jade_sim_free(s);
}

static void wal_lost_end_below_the_durable_mark_is_refused(void **state)
{
    (void)state;
    struct jade_sim *s = one_file(5, true);
    struct jade_wal_opts opts = opts_of(jade_sim_os(s));
    opts.durable_mark = JADE_LSN(6);
    check_corrupt(&opts, "wal file 1: offset");
    opts.durable_mark = JADE_LSN(5);
    check_cut(&opts, 5);
    jade_sim_free(s);
}

/* Three files, two records each. */
static struct jade_sim *three_files(void)
{
    struct jade_sim *s = wal_disk();
    struct jade_wal_opts opts = opts_of(jade_sim_os(s));
    struct jade_wal *w = wal_opened(&opts);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t g;
        must(jade_wal_roll(w, &g, &e));
        append_synced(w, 2);
    }
    must(jade_wal_close(w, &e));
    return s;
}

static void wal_damaged_header_is_refused(void **state)
{
    (void)state;
    for (unsigned file = 1; file <= 3; file++) {
        for (uint64_t at = 0; at < 4096; at += at < 64 || at >= 4088 ? 1 : 127) {
            struct jade_sim *s = three_files();
            struct jade_wal_opts opts = opts_of(jade_sim_os(s));
            char path[32], place[32];
            (void)snprintf(path, sizeof path, "wal/%u.wal", file);
            (void)snprintf(place, sizeof place, "wal file %u: offset 0", file);
            flip(jade_sim_os(s), path, at, 0x20);
            check_corrupt(&opts, place);
            jade_sim_free(s);
        }
    }
}

static void wal_missing_files_are_refused(void **state)
{
    (void)state;
    struct jade_sim *s = three_files();
    struct jade_os *os = jade_sim_os(s);
    struct jade_wal_opts opts = opts_of(os);
    must(jade_os_unlink(os, "wal/2.wal", &e));
    check_corrupt(&opts, "wal file 2 is missing");
    must(jade_os_unlink(os, "wal/1.wal", &e));
    check_corrupt(&opts, "wal file 3 begins at record 5");
    opts.after = JADE_LSN(3);
    check_corrupt(&opts, "wal file 3 begins at record 5");
    opts.after = JADE_LSN(4);
    opts.generation_min = 2; /* 2.wal held nothing above the checkpoint */
    check_cut(&opts, 6);
    must(jade_os_unlink(os, "wal/3.wal", &e));
    check_corrupt(&opts, "no wal file");
    opts.generation_min = 0;
    opts.durable_mark = JADE_LSN(5);
    check_corrupt(&opts, "no wal file");
    jade_sim_free(s);
}

static void wal_foreign_files_are_refused(void **state)
{
    (void)state;
    struct jade_sim *s = three_files();
    struct jade_wal_opts opts = opts_of(jade_sim_os(s));
    opts.shard.b[15] ^= 1;
    check_corrupt(&opts, "another shard");
    opts.shard.b[15] ^= 1;
    size_t n;
    uint8_t *raw = slurp(jade_sim_os(s), "wal/2.wal", &n);
    poke(jade_sim_os(s), "wal/3.wal", 0, raw, n);
    check_corrupt(&opts, "wal file 3: offset 32");
    jade_free(raw);
    jade_sim_free(s);
}

static void wal_newer_format_is_refused_as_such(void **state)
{
    (void)state;
    struct jade_sim *s = one_file(1, true);
    struct jade_wal_opts opts = opts_of(jade_sim_os(s));
    size_t n;
    uint8_t *raw = slurp(jade_sim_os(s), "wal/1.wal", &n);
    struct jade_wal *w = NULL;
    jade_store_u32(raw + 8, 2);
    jade_store_u32(raw + 4092, jade_crc32c(0, raw, 4092));
    poke(jade_sim_os(s), "wal/1.wal", 0, raw, n);
    must_fail(JADE_E_VERSION, try_open(&opts, &w, NULL, &e));
    jade_free(raw);
    jade_sim_free(s);
}

/* Stored bytes that imitate records with marks make the search stop at its bound, on the safe side. */
static void wal_search_behind_the_end_is_bounded(void **state)
{
    (void)state;
    struct jade_sim *s = one_file(2, true);
    struct jade_os *os = jade_sim_os(s);
    struct jade_wal_opts opts = opts_of(os);
    struct jade_wal_header h = {
        .size = 20000, .lsn = {9}, .generation = 1, .durable = {8}, .type = JADE_RECORD_UPSERT};
    uint8_t raw[64];
    static uint8_t payload[20000];
    jade_wal_header_encode(&h, payload, raw);
    raw[60] ^= 1;
    for (uint64_t at = 6000; at < 12000; at += 64) {
        poke(os, "wal/1.wal", at, raw, sizeof raw);
    }
    opts.durable_mark = JADE_LSN(2);
    check_corrupt(&opts, "too many possible records");
    jade_sim_free(s);
}

/* Each byte of a whole log flipped: refused, or harmless, never a record that was not written. */
static void wal_flip_of_any_byte_is_refused_or_harmless(void **state)
{
    (void)state;
    struct jade_sim *whole = three_files();
    unsigned refused = 0, harmless = 0;
    for (unsigned file = 1; file <= 4; file++) {
        char path[32];
        (void)snprintf(path, sizeof path, "wal/%u.wal", file);
        if (!there(jade_sim_os(whole), path)) {
            continue;
        }
        for (uint64_t at = 0; at < FILE_BYTES;
             at += at < 48 || (at >= 4088 && at < 5200) ? 1 : 61) {
            struct jade_sim *s = disk_clone(whole);
            struct jade_wal_opts opts = opts_of(jade_sim_os(s));
            struct jade_wal *w = NULL;
            opts.durable_mark = JADE_LSN(6);
            flip(jade_sim_os(s), path, at, 0x80);
            jade_code rc = try_open(&opts, &w, NULL, &e);
            assert_true(rc == JADE_OK || rc == JADE_E_CORRUPT);
            if (rc == JADE_OK) {
                assert_int_equal(jade_wal_last(w).v, 6);
                harmless++;
            } else {
                refused++;
            }
            must(jade_wal_close(w, &e));
            jade_sim_free(s);
        }
    }
    assert_true(refused > 500 && harmless > 100);
    jade_sim_free(whole);
}

/* ---- looking only ---- */

static void wal_read_only_changes_nothing(void **state)
{
    (void)state;
    struct jade_sim *s = one_file(6, false);
    struct jade_wal_opts opts = opts_of(jade_sim_os(s));
    struct jade_wal_recovery rec;
    struct jade_wal *w = NULL;

    uint64_t g;
    flip(jade_sim_os(s), "wal/1.wal", offset_of(1, 5), 1);
    uint64_t before = fingerprint(jade_sim_os(s)), points = jade_sim_points(s);
    opts.read_only = true;
    must(try_open(&opts, &w, &rec, &e));
    assert_int_equal(jade_wal_last(w).v, 4);
    assert_true(rec.tail_bytes_cut > 100);
    must_fail(JADE_E_INVALID_ARGUMENT, try_append(w, &e));
    must_fail(JADE_E_INVALID_ARGUMENT, jade_wal_sync(w, &e));
    must_fail(JADE_E_INVALID_ARGUMENT, jade_wal_roll(w, &g, &e));
    must(jade_wal_close(w, &e));
    assert_int_equal(jade_sim_points(s), points);
    assert_int_equal(fingerprint(jade_sim_os(s)), before);
    jade_sim_free(s);
}

/* A copy that is killed (nothing synced is lost) keeps even what was only handed to the os. */
static void wal_flushed_records_survive_a_kill_and_then_a_power_cut(void **state)
{
    (void)state;
    struct jade_sim *s = wal_disk();
    struct jade_wal_opts opts = opts_of(jade_sim_os(s));
    struct jade_wal *w = wal_opened(&opts);
    append(w, 60);
    must(jade_wal_flush(w, &e));
    /* the process dies; another one opens the log while the page cache still holds the records */
    struct jade_wal *second = wal_opened(&opts);
    assert_int_equal(jade_wal_last(second).v, 60);
    /* what it took over must now survive the loss of the page cache */
    jade_sim_reboot(s, JADE_SIM_LOSE_ALL, 1);
    (void)jade_wal_close(w, NULL);
    (void)jade_wal_close(second, NULL);
    opts.durable_mark = JADE_LSN(60);
    check_cut(&opts, 60);
    jade_sim_free(s);
}

/*
 * A sync fails, the process ends, a new one starts: the lost records are still in the page cache, and count as clean there
 * (P1). What is replayed from it has to be on the disk all the same.
 */
static void wal_records_of_a_failed_sync_are_written_again(void **state)
{
    (void)state;
    for (uint64_t synced = 0; synced <= 40; synced += 8) {
        struct jade_sim *s = wal_disk();
        struct jade_wal_opts opts = opts_of(jade_sim_os(s));
        struct jade_wal *w = wal_opened(&opts);
        append_synced(w, (unsigned)synced);
        append(w, 3);
        jade_sim_fail_at(s, JADE_SIM_SYNC, 1, JADE_E_IO, false);
        must_fail(JADE_E_IO, jade_wal_sync(w, &e));
        must_fail(JADE_E_POISONED, jade_wal_close(w, &e));
        w = wal_opened(&opts);
        assert_int_equal(jade_wal_last(w).v, synced + 3);
        append_synced(w, 2);
        jade_sim_reboot(s, JADE_SIM_LOSE_ALL, 1);
        (void)jade_wal_close(w, NULL);
        opts.durable_mark = JADE_LSN(synced + 5);
        check_cut(&opts, synced + 5);
        jade_sim_free(s);
    }
}

/* Killed in the middle of a roll: the new file is seen by the next opening, but its name is in the page cache only. */
static void wal_file_of_an_unfinished_roll_is_made_durable_before_use(void **state)
{
    (void)state;
    for (unsigned op = JADE_SIM_SYNC; op <= JADE_SIM_SYNC_DIR;
         op += JADE_SIM_SYNC_DIR - JADE_SIM_SYNC) {
        struct jade_sim *s = wal_disk();
        struct jade_wal_opts opts = opts_of(jade_sim_os(s));
        struct jade_wal *w = wal_opened(&opts);
        uint64_t g;
        append_synced(w, 4);
        jade_sim_fail_at(s, (enum jade_sim_op)op, 1, JADE_E_IO, false);
        must_fail(JADE_E_IO, jade_wal_roll(w, &g, &e));
        must_fail(JADE_E_POISONED, jade_wal_close(w, &e));
        w = wal_opened(&opts);
        assert_int_equal(jade_wal_generation(w), 2);
        append_synced(w, 3);
        jade_sim_reboot(s, JADE_SIM_LOSE_ALL, 1);
        (void)jade_wal_close(w, NULL);
        opts.durable_mark = JADE_LSN(7);
        check_cut(&opts, 7);
        jade_sim_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wal_torn_tail_at_each_byte_is_cut),
        cmocka_unit_test(wal_flip_in_the_unsynced_tail_is_cut),
        cmocka_unit_test(wal_tail_that_was_cut_never_comes_back),
        cmocka_unit_test(wal_later_record_survived_while_an_earlier_was_lost_is_a_tail),
        cmocka_unit_test(wal_power_cut_during_the_cut_is_safe_again_and_again),
        cmocka_unit_test(wal_empty_newest_file_is_a_tail),
        cmocka_unit_test(wal_first_file_torn_is_begun_anew),
        cmocka_unit_test(wal_recycled_records_of_another_generation_are_not_read),
        cmocka_unit_test(wal_sound_record_that_does_not_belong_is_not_read),
        cmocka_unit_test(wal_flip_in_any_durable_record_is_refused),
        cmocka_unit_test(wal_flip_in_an_older_file_is_refused_without_any_mark),
        cmocka_unit_test(wal_lost_end_below_the_durable_mark_is_refused),
        cmocka_unit_test(wal_damaged_header_is_refused),
        cmocka_unit_test(wal_missing_files_are_refused),
        cmocka_unit_test(wal_foreign_files_are_refused),
        cmocka_unit_test(wal_newer_format_is_refused_as_such),
        cmocka_unit_test(wal_search_behind_the_end_is_bounded),
        cmocka_unit_test(wal_flip_of_any_byte_is_refused_or_harmless),
        cmocka_unit_test(wal_read_only_changes_nothing),
        cmocka_unit_test(wal_flushed_records_survive_a_kill_and_then_a_power_cut),
        cmocka_unit_test(wal_records_of_a_failed_sync_are_written_again),
        cmocka_unit_test(wal_file_of_an_unfinished_roll_is_made_durable_before_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
