/*
 * The simulated disk behaves like the real machine: the same random calls on both give the same codes, sizes and bytes.
 */
#include "os_test.h"

#include "base/random.h"
#include "os/sim.h"

enum { SEEDS = 40, STEPS = 400, NAMES = 9, OPEN_MAX = 4 };

/* Files and folders share these names, so that each kind of clash comes up. */
static const char *const NAME[NAMES] = {"a", "b", "c", "d", "d/a", "d/b", "e/a", "d/e", "a/b"};

struct side {
    struct jade_os *os;
    char root[JADE_PATH_MAX];
    struct jade_file *file[OPEN_MAX];
};

static const char *under(const struct side *s, const char *name)
{
    static char path[4][JADE_PATH_MAX];
    static unsigned turn;
    char *p = path[turn++ % 4];
    assert_int_equal(jade_path_join(p, s->root, name, NULL), JADE_OK);
    return p;
}

struct call {
    unsigned kind, a, b, file;
    uint64_t offset;
    size_t n;
    uint8_t byte;
};

struct answer {
    jade_code code;
    uint64_t number;
    uint8_t data[3000];
};

static jade_code count_one(void *ctx, const char *name, bool is_dir, struct jade_err *err)
{
    (void)name, (void)err;
    *(uint64_t *)ctx += is_dir ? 1000 : 1;
    return JADE_OK;
}

/** Calls on an open file. */
static jade_code on_file(struct jade_file *f, const struct call *c, struct answer *out)
{
    static uint8_t buf[3000];
    size_t got = 0;
    jade_code rc = JADE_OK;
    switch (c->kind) {
    case 0:
    case 1:
        memset(buf, c->byte, c->n);
        return jade_file_write(f, c->offset, buf, c->n, NULL);
    case 2:
        rc = jade_file_read_some(f, c->offset, out->data, c->n, &got, NULL);
        out->number = got;
        return rc;
    case 3:
        return jade_file_truncate(f, c->offset, NULL);
    case 4:
        return jade_file_allocate(f, c->offset, NULL);
    case 5:
        return jade_file_sync(f, NULL);
    default:
        return jade_file_size(f, &out->number, NULL);
    }
}

static jade_code on_names(struct side *s, const struct call *c, struct answer *out)
{
    bool there = false;
    jade_code rc = JADE_OK;
    switch (c->kind) {
    case 7:
        return jade_os_link(s->os, under(s, NAME[c->a]), under(s, NAME[c->b]), NULL);
    case 8:
        return jade_os_unlink(s->os, under(s, NAME[c->a]), NULL);
    case 9:
        return jade_os_mkdir(s->os, under(s, NAME[c->a]), NULL);
    case 10:
        return jade_os_rmdir(s->os, under(s, NAME[c->a]), NULL);
    case 11:
        return jade_os_list(s->os, under(s, NAME[c->a]), count_one, &out->number, NULL);
    case 12:
        rc = jade_os_exists(s->os, under(s, NAME[c->a]), &there, NULL);
        out->number = there;
        return rc;
    case 13:
        return jade_os_sync_dir(s->os, under(s, NAME[c->a]), NULL);
    case 14:
        return jade_os_replace(s->os, under(s, NAME[c->a]), &c->byte, 1, NULL);
    default:
        jade_file_close(s->file[c->file]);
        s->file[c->file] = NULL;
        return jade_file_open(s->os, under(s, NAME[c->a]), (enum jade_open_mode)(c->b % 3),
                              &s->file[c->file], NULL);
    }
}

static void carry_out(struct side *s, const struct call *c, struct answer *out)
{
    memset(out, 0, sizeof *out);
    if (c->kind < 7) {
        out->code = s->file[c->file] != NULL ? on_file(s->file[c->file], c, out) : JADE_OK;
    } else {
        out->code = on_names(s, c, out);
    }
}

static struct call random_call(struct jade_random *r)
{
    return (struct call){
        .kind = (unsigned)jade_random_below(r, 19), /* 15 and above: open */
        .a = (unsigned)jade_random_below(r, NAMES),
        .b = (unsigned)jade_random_below(r, NAMES),
        .file = (unsigned)jade_random_below(r, OPEN_MAX),
        .offset = jade_random_below(r, 40000),
        .n = 1 + (size_t)jade_random_below(r, 2999),
        .byte = (uint8_t)jade_random_below(r, 256),
    };
}

static unsigned run_both(uint64_t seed)
{
    struct jade_err err;
    struct jade_random r;
    struct jade_sim *sim = NULL;
    struct side real = {.os = jade_os_posix()};
    struct side fake = {.root = "root"};
    static struct answer x;
    static struct answer y;
    unsigned ok = 0;
    jade_random_init(&r, seed);
    temp_folder(real.root);
    MUST(jade_sim_new(seed, &sim, &err));
    fake.os = jade_sim_os(sim);
    MUST(jade_os_mkdir(fake.os, fake.root, &err));
    for (unsigned step = 0; step < STEPS; step++) {
        struct call c = random_call(&r);
        carry_out(&real, &c, &x);
        carry_out(&fake, &c, &y);
        if (x.code != y.code || x.number != y.number ||
            memcmp(x.data, y.data, sizeof x.data) != 0) {
            fail_msg("seed %llu step %u: kind %u %s %s: real %s %llu, simulated %s %llu",
                     (unsigned long long)seed, step, c.kind, NAME[c.a], NAME[c.b],
                     jade_code_name(x.code), (unsigned long long)x.number, jade_code_name(y.code),
                     (unsigned long long)y.number);
        }
        ok += x.code == JADE_OK ? 1 : 0;
    }
    for (unsigned i = 0; i < OPEN_MAX; i++) {
        jade_file_close(real.file[i]);
        jade_file_close(fake.file[i]);
    }
    MUST(jade_os_remove_tree(real.os, real.root, &err));
    jade_sim_free(sim);
    return ok;
}

static void the_same_calls_give_the_same_answers(void **state)
{
    (void)state;
    unsigned ok = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        ok += run_both(seed);
    }
    print_message("seeds 1..%d: %d calls on both, %u of them successful\n", SEEDS, SEEDS * STEPS,
                  ok);
    assert_true(ok > SEEDS * STEPS / 3); /* not all refused */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_calls_give_the_same_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
