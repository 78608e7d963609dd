#include "sweep.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/sim.h"

enum { RANDOM_STATES_DEFAULT = 9, PRINT_MAX = 10 };

/* One crash state: the cut and how the pending effects were drawn. */
struct state {
    bool kill; /* reached by a kill: point is the call */
    uint64_t seed, point;
    enum jade_sim_policy policy;
    uint64_t draw;
};

static const char *policy_name(enum jade_sim_policy policy)
{
    switch (policy) {
    case JADE_SIM_LOSE_ALL:
        return "lose all";
    case JADE_SIM_KEEP_ALL:
        return "keep all";
    case JADE_SIM_RANDOM:
        return "random";
    case JADE_SIM_LAST_ONLY:
        return "last only";
    }
    return "?";
}

static struct jade_os *os_for(const struct sweep_subject *subject, struct jade_sim *disk)
{
    struct jade_os *os = jade_sim_os(disk);
    os = subject->wrap == NULL ? os : subject->wrap(subject->ctx, os);
    if (os == NULL) {
        fprintf(stderr, "no memory\n");
        abort();
    }
    return os;
}

static void os_done(const struct sweep_subject *subject, struct jade_os *os)
{
    if (subject->wrap != NULL) {
        subject->unwrap(subject->ctx, os);
    }
}

/* Power goes a second time, somewhere in the recovery from the first cut. */
static void cut_recovery(const struct sweep_subject *subject, struct jade_sim *disk, uint64_t draw)
{
    struct jade_os *os = os_for(subject, disk);
    jade_sim_cut_at(disk, jade_sim_points(disk) + 1 + draw % 17);
    (void)subject->recover(subject->ctx, os, NULL);
    os_done(subject, os);
    jade_sim_reboot(disk, JADE_SIM_RANDOM, draw * 31 + 7);
}

static bool check_state(const struct sweep_subject *subject, const struct jade_sim *cut,
                        const struct state *st, struct sweep_result *result)
{
    struct jade_sim *disk = NULL;
    struct jade_err err = {0};
    if (jade_sim_clone(cut, st->draw + 1, &disk, &err) != JADE_OK) {
        fprintf(stderr, "clone of the disk: %s\n", err.message);
        return false;
    }
    jade_sim_reboot(disk, st->policy, st->draw);
    if (st->draw % 2 == 1) {
        cut_recovery(subject, disk, st->draw);
    }
    struct jade_os *os = os_for(subject, disk);
    memset(&err, 0, sizeof err);
    jade_code rc = subject->check(subject->ctx, os, &err);
    os_done(subject, os);
    result->states++;
    if (rc != JADE_OK && result->violations++ < PRINT_MAX) {
        fprintf(stderr,
                "violation in %s (--seed %" PRIu64 " --%s %" PRIu64 ", %s, draw %" PRIu64
                "): %s: %s\n",
                subject->name, st->seed, st->kill ? "call" : "point", st->point,
                policy_name(st->policy), st->draw, jade_code_name(rc), err.message);
    }
    jade_sim_free(disk);
    return true;
}

static bool check_states(const struct sweep_subject *subject, const struct sweep_opts *opts,
                         const struct jade_sim *cut, uint64_t seed, uint64_t point,
                         struct sweep_result *result)
{
    static const enum jade_sim_policy fixed[] = {JADE_SIM_LOSE_ALL, JADE_SIM_KEEP_ALL,
                                                 JADE_SIM_LAST_ONLY};
    const uint64_t n_fixed = sizeof fixed / sizeof fixed[0];
    for (uint64_t i = 0; i < n_fixed + opts->random_states; i++) {
        struct state st = {.seed = seed,
                           .point = point,
                           .policy = i < n_fixed ? fixed[i] : JADE_SIM_RANDOM,
                           /* even for the fixed ones: they are drawn without a second cut */
                           .draw = i < n_fixed ? 0 : seed * 1000003 + point * 101 + i};
        if (!check_state(subject, cut, &st, result)) {
            return false;
        }
    }
    return true;
}

/* Runs the script with power cut before `point`; *more_out: whether the script got that far. */
static bool sweep_point(const struct sweep_subject *subject, const struct sweep_opts *opts,
                        uint64_t seed, uint64_t point, struct sweep_result *result, bool *more_out)
{
    struct jade_sim *disk = NULL;
    struct jade_err err = {0};
    bool ok = true;
    if (jade_sim_new(seed, &disk, &err) != JADE_OK) {
        fprintf(stderr, "new disk: %s\n", err.message);
        return false;
    }
    jade_sim_cut_at(disk, point);
    subject->reset(subject->ctx);
    struct jade_os *os = os_for(subject, disk);
    jade_code rc = subject->run(subject->ctx, os, seed, &err);
    os_done(subject, os);
    *more_out = jade_sim_is_cut(disk);
    if (rc != JADE_OK && !*more_out) {
        fprintf(stderr, "%s: the script of seed %" PRIu64 " fails by itself: %s: %s\n",
                subject->name, seed, jade_code_name(rc), err.message);
        ok = false;
    }
    if (ok) {
        result->points += *more_out ? 1 : 0;
        ok = check_states(subject, opts, disk, seed, point, result);
    }
    jade_sim_free(disk);
    return ok;
}

/* Checks what a loss of the page cache leaves after the next process had opened the disk. */
static bool check_after_kill(const struct sweep_subject *subject, const struct jade_sim *opened,
                             uint64_t seed, uint64_t call, struct sweep_result *result)
{
    static const enum jade_sim_policy policies[] = {JADE_SIM_LOSE_ALL, JADE_SIM_LAST_ONLY,
                                                    JADE_SIM_RANDOM};
    for (uint64_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        struct state st = {.kill = true,
                           .seed = seed,
                           .point = call,
                           .policy = policies[i],
                           .draw = 2 * (seed * 1000003 + call)};
        if (!check_state(subject, opened, &st, result)) {
            return false;
        }
    }
    return true;
}

/*
 * The process dies before the `call`-th call of the os, or that call fails for good (a failed sync leaves its pages clean); the
 * page cache lives. The next process opens the disk, which must work, and only then power goes.
 */
static bool sweep_kill(const struct sweep_subject *subject, uint64_t seed, uint64_t call,
                       struct sweep_result *result, bool *more_out)
{
    struct jade_sim *disk = NULL;
    struct jade_err err = {0};
    if (jade_sim_new(seed, &disk, &err) != JADE_OK) {
        fprintf(stderr, "new disk: %s\n", err.message);
        return false;
    }
    subject->reset(subject->ctx);
    struct jade_os *os = os_for(subject, disk);
    jade_sim_fail_at(disk, JADE_SIM_ANY, call, JADE_E_IO, true);
    (void)subject->run(subject->ctx, os, seed, NULL);
    *more_out = jade_sim_calls(disk, JADE_SIM_ANY) >= call;
    jade_sim_fail_at(disk, JADE_SIM_ANY, 0, JADE_OK, false);
    jade_code rc = subject->recover(subject->ctx, os, &err);
    os_done(subject, os);
    bool ok = true;
    if (rc != JADE_OK) {
        result->states++;
        if (result->violations++ < PRINT_MAX) {
            fprintf(stderr,
                    "violation in %s (--seed %" PRIu64 " --call %" PRIu64
                    "): opening after a kill: %s: %s\n",
                    subject->name, seed, call, jade_code_name(rc), err.message);
        }
    } else {
        result->points += *more_out ? 1 : 0;
        ok = check_after_kill(subject, disk, seed, call, result);
    }
    jade_sim_free(disk);
    return ok;
}

static bool enough(const struct sweep_opts *opts, const struct sweep_result *result)
{
    return opts->violations_max > 0 && result->violations >= opts->violations_max;
}

/* Every I/O point of one script, then every call; or the one that was asked for. */
static bool sweep_seed(const struct sweep_subject *subject, const struct sweep_opts *opts,
                       uint64_t seed, struct sweep_result *result)
{
    bool more = opts->only_call == 0;
    for (uint64_t point = opts->only_point > 0 ? opts->only_point : 1; more; point++) {
        if (!sweep_point(subject, opts, seed, point, result, &more)) {
            return false;
        }
        more = more && opts->only_point == 0 && !enough(opts, result);
    }
    more = opts->only_point == 0 && !enough(opts, result);
    for (uint64_t call = opts->only_call > 0 ? opts->only_call : 1; more; call++) {
        if (!sweep_kill(subject, seed, call, result, &more)) {
            return false;
        }
        more = more && opts->only_call == 0 && !enough(opts, result);
    }
    return true;
}

bool sweep_run(const struct sweep_subject *subject, const struct sweep_opts *opts,
               struct sweep_result *result)
{
    *result = (struct sweep_result){0};
    for (uint64_t i = 0; i < opts->n_seeds && !enough(opts, result); i++) {
        if (!sweep_seed(subject, opts, opts->first_seed + i, result)) {
            return false;
        }
    }
    return true;
}

static bool parse_number(const char *text, uint64_t *out)
{
    char *end = NULL;
    *out = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0';
}

bool sweep_parse(int argc, char **argv, struct sweep_opts *opts, bool *canary_out)
{
    *opts =
        (struct sweep_opts){.first_seed = 1, .n_seeds = 1, .random_states = RANDOM_STATES_DEFAULT};
    *canary_out = false;
    struct {
        const char *name;
        uint64_t *value;
    } known[] = {{"--seed", &opts->first_seed},
                 {"--seeds", &opts->n_seeds},
                 {"--states", &opts->random_states},
                 {"--point", &opts->only_point},
                 {"--call", &opts->only_call}};
    for (int i = 1; i < argc; i++) {
        bool taken = strcmp(argv[i], "--canary") == 0;
        *canary_out = *canary_out || taken;
        for (size_t k = 0; !taken && k < sizeof known / sizeof known[0]; k++) {
            if (strcmp(argv[i], known[k].name) == 0 && i + 1 < argc) {
                taken = parse_number(argv[++i], known[k].value);
            }
        }
        if (!taken) {
            fprintf(
                stderr,
                "%s: expected --seed N, --seeds N, --states N, --point N, --call N, --canary; got %s\n",
                argv[0], argv[i]);
            return false;
        }
    }
    return true;
}

void sweep_print(const struct sweep_subject *subject, const struct sweep_opts *opts,
                 const struct sweep_result *result)
{
    printf("%s: seeds %" PRIu64 "..%" PRIu64 ", cuts: %" PRIu64 "\n", subject->name,
           opts->first_seed, opts->first_seed + opts->n_seeds - 1, result->points);
    printf("crash points: %" PRIu64 ", violations: %" PRIu64 "\n", result->states,
           result->violations);
}

/* Each lie must be noticed, or the sweep proves nothing. */
static int run_canaries(const struct sweep_subject *subject, const struct sweep_canary *canaries,
                        size_t n, const struct lossy_opts **lossy_slot, struct sweep_opts opts)
{
    int missed = 0;
    opts.violations_max = 2;
    for (size_t i = 0; i < n; i++) {
        struct sweep_result result;
        *lossy_slot = &canaries[i].lossy;
        if (!sweep_run(subject, &opts, &result)) {
            return 2;
        }
        printf("canary: %s: %s\n", canaries[i].what, result.violations > 0 ? "caught" : "MISSED");
        missed += result.violations == 0;
    }
    return missed == 0 ? 0 : 1;
}

int sweep_main(const struct sweep_subject *subject, const struct sweep_canary *canaries,
               size_t n_canaries, const struct lossy_opts **lossy_slot, int argc, char **argv)
{
    struct sweep_opts opts;
    struct sweep_result result;
    bool canary;
    if (!sweep_parse(argc, argv, &opts, &canary)) {
        return 2;
    }
    if (canary) {
        return run_canaries(subject, canaries, n_canaries, lossy_slot, opts);
    }
    if (!sweep_run(subject, &opts, &result)) {
        return 2;
    }
    sweep_print(subject, &opts, &result);
    return result.violations == 0 && result.states > 0 ? 0 : 1;
}
