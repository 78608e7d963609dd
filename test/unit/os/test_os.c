/*
 * The contract of jade_os: the same cases on the real machine and on the simulated disk.
 */
#include "os_test.h"

#include "os/sim.h"

struct disk {
    struct jade_os *os;
    struct jade_sim *sim; /* NULL on the real machine */
    char root[JADE_PATH_MAX];
};

static const char *under(const struct disk *d, const char *name)
{
    static char paths[4][JADE_PATH_MAX]; /* a call may need two or three at once */
    static unsigned turn;
    char *p = paths[turn++ % 4];
    assert_int_equal(jade_path_join(p, d->root, name, NULL), JADE_OK);
    return p;
}

static int on_posix(void **state)
{
    struct disk *d = calloc(1, sizeof *d);
    assert_non_null(d);
    d->os = jade_os_posix();
    temp_folder(d->root);
    *state = d;
    return 0;
}

static int on_sim(void **state)
{
    struct disk *d = calloc(1, sizeof *d);
    struct jade_err err;
    assert_non_null(d);
    MUST(jade_sim_new(1, &d->sim, &err));
    d->os = jade_sim_os(d->sim);
    memcpy(d->root, "data", 5);
    MUST(jade_os_mkdir(d->os, d->root, &err));
    *state = d;
    return 0;
}

static int off(void **state)
{
    struct disk *d = *state;
    struct jade_err err;
    MUST(jade_os_remove_tree(d->os, d->root, &err));
    jade_sim_free(d->sim);
    free(d);
    assert_int_equal(jade_alloc_bytes_total(), 0);
    return 0;
}

static struct jade_file *create(const struct disk *d, const char *name)
{
    struct jade_file *f = NULL;
    struct jade_err err;
    MUST(jade_file_open(d->os, under(d, name), JADE_OPEN_CREATE, &f, &err));
    return f;
}

static void check_content(const struct disk *d, const char *name, const void *want, size_t n)
{
    uint8_t *data = NULL;
    size_t size = 0;
    struct jade_err err;
    MUST(jade_os_read_file(d->os, under(d, name), 1 << 20, &data, &size, &err));
    assert_int_equal(size, n);
    assert_memory_equal(data, want, n);
    jade_free(data);
}

/* ---- files ---- */

static void what_is_written_is_read_back(void **state)
{
    const struct disk *d = *state;
    struct jade_err err;
    uint8_t out[20000];
    uint8_t in[20000];
    struct jade_file *f = create(d, "f");
    for (size_t i = 0; i < sizeof out; i++) {
        out[i] = (uint8_t)(i * 7 + i / 256);
    }
    MUST(jade_file_write(f, 0, out, sizeof out, &err));
    MUST(jade_file_write(f, 16380, "crossing", 8, &err)); /* over a 4 KiB and a 16 KiB boundary */
    memcpy(out + 16380, "crossing", 8);
    MUST(jade_file_sync(f, &err));
    MUST(jade_file_read(f, 0, in, sizeof in, &err));
    assert_memory_equal(in, out, sizeof in);
    MUST(jade_file_read(f, 16379, in, 10, &err));
    assert_memory_equal(in, out + 16379, 10);
    jade_file_close(f);
    check_content(d, "f", out, sizeof out);
}

static void a_gap_and_an_allocated_tail_read_as_zeros(void **state)
{
    const struct disk *d = *state;
    struct jade_err err;
    static uint8_t want[50000];
    uint64_t size = 0;
    struct jade_file *f = create(d, "f");
    memset(want, 0, sizeof want);
    MUST(jade_file_write(f, 30000, "x", 1, &err));
    want[30000] = 'x';
    MUST(jade_file_allocate(f, 50000, &err));
    MUST(jade_file_allocate(f, 10, &err)); /* never shrinks */
    MUST(jade_file_size(f, &size, &err));
    assert_int_equal(size, 50000);
    jade_file_close(f);
    check_content(d, "f", want, sizeof want);
}

static void truncate_cuts_and_growing_again_gives_zeros(void **state)
{
    const struct disk *d = *state;
    struct jade_err err;
    uint8_t want[3000];
    struct jade_file *f = create(d, "f");
    memset(want, 0xEE, sizeof want);
    MUST(jade_file_write(f, 0, want, sizeof want, &err));
    MUST(jade_file_truncate(f, 700, &err));
    MUST(jade_file_truncate(f, 3000, &err));
    memset(want + 700, 0, sizeof want - 700);
    jade_file_close(f);
    check_content(d, "f", want, sizeof want);
}

static void reading_past_the_end_is_short_or_corrupt(void **state)
{
    const struct disk *d = *state;
    struct jade_err err;
    char buf[8];
    size_t got = 9;
    struct jade_file *f = create(d, "f");
    MUST(jade_file_write(f, 0, "hello", 5, &err));
    MUST(jade_file_read_some(f, 3, buf, sizeof buf, &got, &err));
    assert_int_equal(got, 2);
    assert_memory_equal(buf, "lo", 2);
    MUST(jade_file_read_some(f, 100, buf, sizeof buf, &got, &err));
    assert_int_equal(got, 0);
    EXPECT(JADE_E_CORRUPT, jade_file_read(f, 3, buf, 3, &err));
    assert_non_null(strstr(err.message, "2 bytes into the 3"));
    jade_file_close(f);
}

static void open_modes_are_kept(void **state)
{
    const struct disk *d = *state;
    struct jade_err err;
    struct jade_file *f = NULL;
    char c = 0;
    EXPECT(JADE_E_NOT_FOUND, jade_file_open(d->os, under(d, "f"), JADE_OPEN_READ, &f, &err));
    assert_null(f);
    assert_non_null(strstr(err.message, "/f"));
    EXPECT(JADE_E_NOT_FOUND, jade_file_open(d->os, under(d, "f"), JADE_OPEN_WRITE, &f, &err));
    jade_file_close(create(d, "f"));
    EXPECT(JADE_E_ALREADY_EXISTS, jade_file_open(d->os, under(d, "f"), JADE_OPEN_CREATE, &f, &err));
    EXPECT(JADE_E_NOT_FOUND, jade_file_open(d->os, under(d, "no/f"), JADE_OPEN_CREATE, &f, &err));
    EXPECT(JADE_E_IO, jade_file_open(d->os, under(d, "f/g"), JADE_OPEN_CREATE, &f, &err));
    EXPECT(JADE_E_IO, jade_file_open(d->os, d->root, JADE_OPEN_READ, &f, &err));
    MUST(jade_file_open(d->os, under(d, "f"), JADE_OPEN_READ, &f, &err));
    EXPECT(JADE_E_IO, jade_file_write(f, 0, "x", 1, &err));
    jade_file_close(f);
    MUST(jade_file_open(d->os, under(d, "f"), JADE_OPEN_WRITE, &f, &err));
    MUST(jade_file_write(f, 0, "x", 1, &err));
    MUST(jade_file_read(f, 0, &c, 1, &err));
    assert_int_equal(c, 'x');
    jade_file_close(f);
    jade_file_close(NULL);
}

static void a_bad_path_is_refused(void **state)
{
    const struct disk *d = *state;
    struct jade_err err;
    struct jade_file *f = NULL;
    static char longer[JADE_PATH_MAX + 8];
    char name[300];
    memset(longer, 'a', sizeof longer - 1);
    memset(name, 'b', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    EXPECT(JADE_E_INVALID_ARGUMENT, jade_file_open(d->os, "", JADE_OPEN_READ, &f, &err));
    assert_string_equal(err.field, "path");
    EXPECT(JADE_E_INVALID_ARGUMENT, jade_file_open(d->os, longer, JADE_OPEN_READ, &f, &err));
    EXPECT(JADE_E_INVALID_ARGUMENT, jade_os_replace(d->os, longer, "x", 1, &err));
    EXPECT(JADE_E_INVALID_ARGUMENT, jade_os_mkdirs(d->os, longer, &err));
    EXPECT(JADE_E_INVALID_ARGUMENT, jade_os_mkdir(d->os, under(d, name), &err));
}

static void path_join_joins_and_refuses(void **state)
{
    (void)state;
    struct jade_err err;
    static char out[JADE_PATH_MAX];
    static char longer[JADE_PATH_MAX];
    MUST(jade_path_join(out, "a", "b", &err));
    assert_string_equal(out, "a/b");
    MUST(jade_path_join(out, out, "c", &err));
    assert_string_equal(out, "a/b/c");
    MUST(jade_path_join(out, "/", "b", &err));
    assert_string_equal(out, "/b");
    memset(longer, 'a', JADE_PATH_MAX - 3);
    MUST(jade_path_join(out, longer, "b", &err));
    assert_int_equal(strlen(out), JADE_PATH_MAX - 1);
    EXPECT(JADE_E_INVALID_ARGUMENT, jade_path_join(out, longer, "bc", &err));
}

/* ---- names ---- */

struct seen {
    unsigned files, folders, stop_after;
};

static jade_code count_entry(void *ctx, const char *name, bool is_dir, struct jade_err *err)
{
    struct seen *s = ctx;
    assert_string_not_equal(name, ".");
    assert_string_not_equal(name, "..");
    s->files += is_dir ? 0 : 1;
    s->folders += is_dir ? 1 : 0;
    if (s->stop_after != 0 && s->files + s->folders == s->stop_after) {
        return jade_fail(err, JADE_E_CANCELLED, "enough");
    }
    return JADE_OK;
}

static void folders_are_made_listed_and_removed(void **state)
{
    const struct disk *d = *state;
    struct jade_err err;
    bool there = true;
    struct seen seen = {0};
    MUST(jade_os_mkdir(d->os, under(d, "a"), &err));
    EXPECT(JADE_E_ALREADY_EXISTS, jade_os_mkdir(d->os, under(d, "a"), &err));
    EXPECT(JADE_E_NOT_FOUND, jade_os_mkdir(d->os, under(d, "x/y"), &err));
    jade_file_close(create(d, "a/1"));
    jade_file_close(create(d, "a/2"));
    MUST(jade_os_mkdir(d->os, under(d, "a/b"), &err));
    MUST(jade_os_list(d->os, under(d, "a"), count_entry, &seen, &err));
    assert_int_equal(seen.files, 2);
    assert_int_equal(seen.folders, 1);
    seen = (struct seen){.stop_after = 2};
    EXPECT(JADE_E_CANCELLED, jade_os_list(d->os, under(d, "a"), count_entry, &seen, &err));
    assert_int_equal(seen.files + seen.folders, 2);
    EXPECT(JADE_E_NOT_FOUND, jade_os_list(d->os, under(d, "z"), count_entry, &seen, &err));
    EXPECT(JADE_E_IO, jade_os_list(d->os, under(d, "a/1"), count_entry, &seen, &err));
    EXPECT(JADE_E_CONFLICT, jade_os_rmdir(d->os, under(d, "a"), &err));
    EXPECT(JADE_E_IO, jade_os_rmdir(d->os, under(d, "a/1"), &err));
    EXPECT(JADE_E_IO, jade_os_unlink(d->os, under(d, "a/b"), &err));
    MUST(jade_os_rmdir(d->os, under(d, "a/b"), &err));
    EXPECT(JADE_E_NOT_FOUND, jade_os_rmdir(d->os, under(d, "a/b"), &err));
    MUST(jade_os_unlink(d->os, under(d, "a/1"), &err));
    EXPECT(JADE_E_NOT_FOUND, jade_os_unlink(d->os, under(d, "a/1"), &err));
    MUST(jade_os_exists(d->os, under(d, "a/1"), &there, &err));
    assert_false(there);
    MUST(jade_os_exists(d->os, under(d, "a/2"), &there, &err));
    assert_true(there);
    MUST(jade_os_exists(d->os, under(d, "a/2/3"), &there, &err));
    assert_false(there);
    MUST(jade_os_sync_dir(d->os, under(d, "a"), &err));
    EXPECT(JADE_E_NOT_FOUND, jade_os_sync_dir(d->os, under(d, "z"), &err));
    EXPECT(JADE_E_IO, jade_os_sync_dir(d->os, under(d, "a/2"), &err));
}

static void links_share_the_file(void **state)
{
    const struct disk *d = *state;
    struct jade_err err;
    struct jade_file *f = create(d, "f");
    MUST(jade_os_link(d->os, under(d, "f"), under(d, "g"), &err));
    EXPECT(JADE_E_ALREADY_EXISTS, jade_os_link(d->os, under(d, "f"), under(d, "g"), &err));
    EXPECT(JADE_E_NOT_FOUND, jade_os_link(d->os, under(d, "no"), under(d, "h"), &err));
    MUST(jade_file_write(f, 0, "shared", 6, &err));
    check_content(d, "g", "shared", 6);
    MUST(jade_os_unlink(d->os, under(d, "f"), &err));
    MUST(jade_file_write(f, 0, "SH", 2, &err)); /* an open file outlives its name */
    jade_file_close(f);
    check_content(d, "g", "SHared", 6);
}

static void publish_replaces_the_old_file(void **state)
{
    const struct disk *d = *state;
    struct jade_err err;
    bool there = true;
    MUST(jade_os_mkdir(d->os, under(d, "sub"), &err));
    for (int round = 0; round < 2; round++) {
        const char *text = round == 0 ? "one" : "two";
        struct jade_file *f = create(d, "f.new");
        MUST(jade_file_write(f, 0, text, 3, &err));
        MUST(jade_os_publish(d->os, f, under(d, "f.new"), under(d, "sub/f"), &err));
        jade_file_close(f);
        check_content(d, "sub/f", text, 3);
        MUST(jade_os_exists(d->os, under(d, "f.new"), &there, &err));
        assert_false(there);
    }
}

static void replace_ignores_what_a_crash_left(void **state)
{
    const struct disk *d = *state;
    struct jade_err err;
    bool there = true;
    struct jade_file *f = create(d, "f.tmp");
    MUST(jade_file_write(f, 0, "half a file of before", 21, &err));
    jade_file_close(f);
    MUST(jade_os_replace(d->os, under(d, "f"), "new", 3, &err));
    check_content(d, "f", "new", 3);
    MUST(jade_os_exists(d->os, under(d, "f.tmp"), &there, &err));
    assert_false(there);
    MUST(jade_os_replace(d->os, under(d, "f"), "", 0, &err));
    check_content(d, "f", "", 0);
    EXPECT(JADE_E_NOT_FOUND, jade_os_replace(d->os, under(d, "no/f"), "x", 1, &err));
}

static void read_file_refuses_more_than_asked(void **state)
{
    const struct disk *d = *state;
    struct jade_err err;
    uint8_t *data = NULL;
    size_t size = 0;
    MUST(jade_os_replace(d->os, under(d, "f"), "12345", 5, &err));
    EXPECT(JADE_E_TOO_LARGE, jade_os_read_file(d->os, under(d, "f"), 4, &data, &size, &err));
    assert_null(data);
    assert_non_null(strstr(err.message, "5 bytes; expected at most 4"));
    EXPECT(JADE_E_NOT_FOUND, jade_os_read_file(d->os, under(d, "g"), 4, &data, &size, &err));
}

static void mkdirs_makes_parents_and_keeps_existing(void **state)
{
    const struct disk *d = *state;
    struct jade_err err;
    bool there = false;
    MUST(jade_os_mkdirs(d->os, under(d, "a//b/c/"), &err));
    MUST(jade_os_exists(d->os, under(d, "a/b/c"), &there, &err));
    assert_true(there);
    jade_file_close(create(d, "a/b/f"));
    MUST(jade_os_mkdirs(d->os, under(d, "a/b"), &err));
    check_content(d, "a/b/f", "", 0);
    EXPECT(JADE_E_IO, jade_os_mkdirs(d->os, under(d, "a/b/f"), &err));
    EXPECT(JADE_E_IO, jade_os_mkdirs(d->os, under(d, "a/b/f/g"), &err));
}

static void remove_tree_removes_all_and_only_it(void **state)
{
    const struct disk *d = *state;
    struct jade_err err;
    bool there = true;
    char name[64];
    MUST(jade_os_mkdirs(d->os, under(d, "t/a/b/c/d/e"), &err));
    MUST(jade_os_mkdirs(d->os, under(d, "t/x/y"), &err));
    jade_file_close(create(d, "keep"));
    for (int i = 0; i < 1100; i++) { /* more than one batch of a listing */
        (void)snprintf(name, sizeof name, "t/%s/%d", i % 3 == 0 ? "a/b" : "x/y", i);
        jade_file_close(create(d, name));
    }
    MUST(jade_os_remove_tree(d->os, under(d, "t"), &err));
    MUST(jade_os_exists(d->os, under(d, "t"), &there, &err));
    assert_false(there);
    check_content(d, "keep", "", 0);
    MUST(jade_os_remove_tree(d->os, under(d, "t"), &err));
}

/* ---- mapping, lock, space, clocks ---- */

static void a_mapping_shows_the_file_and_outlives_its_name(void **state)
{
    const struct disk *d = *state;
    struct jade_err err;
    struct jade_mapping m;
    static uint8_t want[40000];
    memset(want, 0x5A, sizeof want);
    MUST(jade_os_replace(d->os, under(d, "f"), want, sizeof want, &err));
    MUST(jade_os_map(d->os, under(d, "f"), &m, &err));
    MUST(jade_os_unlink(d->os, under(d, "f"), &err));
    assert_int_equal(m.size, sizeof want);
    assert_int_equal((uintptr_t)m.data % 4096, 0);
    assert_memory_equal(m.data, want, sizeof want);
    jade_os_unmap(d->os, &m);
    assert_null(m.data);
    MUST(jade_os_replace(d->os, under(d, "empty"), "", 0, &err));
    MUST(jade_os_map(d->os, under(d, "empty"), &m, &err));
    assert_null(m.data);
    assert_int_equal(m.size, 0);
    jade_os_unmap(d->os, &m);
    EXPECT(JADE_E_NOT_FOUND, jade_os_map(d->os, under(d, "no"), &m, &err));
    EXPECT(JADE_E_IO, jade_os_map(d->os, d->root, &m, &err));
}

static void a_lock_excludes_a_second_one_until_given_back(void **state)
{
    const struct disk *d = *state;
    struct jade_err err;
    struct jade_lock *l = NULL;
    struct jade_lock *second = NULL;
    MUST(jade_os_lock(d->os, under(d, "LOCK"), &l, &err));
    EXPECT(JADE_E_LOCKED, jade_os_lock(d->os, under(d, "LOCK"), &second, &err));
    assert_null(second);
    struct jade_file *f = NULL; /* closing another descriptor of the file must not drop the lock */
    MUST(jade_file_open(d->os, under(d, "LOCK"), JADE_OPEN_READ, &f, &err));
    jade_file_close(f);
    EXPECT(JADE_E_LOCKED, jade_os_lock(d->os, under(d, "LOCK"), &second, &err));
    jade_os_unlock(l);
    MUST(jade_os_lock(d->os, under(d, "LOCK"), &l, &err));
    jade_os_unlock(l);
    jade_os_unlock(NULL);
    EXPECT(JADE_E_NOT_FOUND, jade_os_lock(d->os, under(d, "no/LOCK"), &l, &err));
}

static void space_clocks_and_randomness_answer(void **state)
{
    const struct disk *d = *state;
    struct jade_err err;
    uint64_t free_bytes = 0;
    uint64_t total = 0;
    uint8_t a[37];
    uint8_t b[37];
    MUST(jade_os_space(d->os, d->root, &free_bytes, &total, &err));
    assert_true(total > 0 && free_bytes <= total);
    EXPECT(JADE_E_NOT_FOUND, jade_os_space(d->os, under(d, "no"), &free_bytes, &total, &err));
    uint64_t t0 = jade_os_mono_us(d->os);
    assert_true(jade_os_mono_us(d->os) >= t0);
    assert_true(jade_os_wall_us(d->os) > (int64_t)1700000000 * 1000000);
    MUST(jade_os_random(d->os, a, sizeof a, &err));
    MUST(jade_os_random(d->os, b, sizeof b, &err));
    assert_memory_not_equal(a, b, sizeof a);
}

#define ON_BOTH(f)                          \
    {"posix: " #f, f, on_posix, off, NULL}, \
    {                                       \
        "sim: " #f, f, on_sim, off, NULL    \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(what_is_written_is_read_back),
        ON_BOTH(a_gap_and_an_allocated_tail_read_as_zeros),
        ON_BOTH(truncate_cuts_and_growing_again_gives_zeros),
        ON_BOTH(reading_past_the_end_is_short_or_corrupt),
        ON_BOTH(open_modes_are_kept),
        ON_BOTH(a_bad_path_is_refused),
        ON_BOTH(path_join_joins_and_refuses),
        ON_BOTH(folders_are_made_listed_and_removed),
        ON_BOTH(links_share_the_file),
        ON_BOTH(publish_replaces_the_old_file),
        ON_BOTH(replace_ignores_what_a_crash_left),
        ON_BOTH(read_file_refuses_more_than_asked),
        ON_BOTH(mkdirs_makes_parents_and_keeps_existing),
        ON_BOTH(remove_tree_removes_all_and_only_it),
        ON_BOTH(a_mapping_shows_the_file_and_outlives_its_name),
        ON_BOTH(a_lock_excludes_a_second_one_until_given_back),
        ON_BOTH(space_clocks_and_randomness_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
