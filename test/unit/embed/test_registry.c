#include "embed_test.h"

static struct jade_sim *new_sim(void)
{
    struct jade_err err;
    struct jade_sim *sim = NULL;
    MUST(jade_sim_new(3, &sim, &err));
    return sim;
}

static struct jade_embed *open_registry(struct jade_sim *sim)
{
    struct jade_err err;
    struct jade_embed *e = NULL;
    MUST(jade_embed_open(jade_sim_os(sim), FOLDER, &e, &err));
    return e;
}

static const struct jade_embed_model *get(struct jade_embed *e, const char *version)
{
    struct jade_err err;
    const struct jade_embed_model *m = NULL;
    MUST(jade_embed_get(e, JADE_EMBED_HASH_384, version, &m, &err));
    return m;
}

static void registry_without_files_has_the_uniform_version(void **state)
{
    (void)state;
    struct jade_err err;
    struct jade_embed *e = NULL;
    MUST(jade_embed_open(jade_os_posix(), NULL, &e, &err));
    const struct jade_embed_model *m = get(e, NULL);
    assert_string_equal(jade_embed_model_name(m), "jade-hash-384");
    assert_string_equal(jade_embed_model_version(m), "u1");
    assert_string_equal(jade_embed_model_hash(m), "");
    assert_int_equal(jade_embed_model_dimension(m), 384);
    assert_ptr_equal(m, get(e, "u1"));
    jade_embed_close(e);
    jade_embed_close(NULL);
}

static void unknown_name_and_version_are_not_found_by_field(void **state)
{
    (void)state;
    static const char *const versions[] = {
        "wordnet-00000000",
        "",
        "../../etc/passwd",
        "u2",
        "DEFAULT",
        "-x",
        "a-very-long-version-name-that-no-buffer-would-ever-hold-in-full"};
    struct jade_err err;
    struct jade_sim *sim = new_sim();
    struct jade_embed *e = open_registry(sim);
    const struct jade_embed_model *m = NULL;
    EXPECT(JADE_E_NOT_FOUND, jade_embed_get(e, "BERT", NULL, &m, &err));
    assert_string_equal(err.field, "model");
    for (unsigned i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        EXPECT(JADE_E_NOT_FOUND, jade_embed_get(e, JADE_EMBED_HASH_384, versions[i], &m, &err));
        assert_string_equal(err.field, "version");
        assert_null(m);
    }
    jade_embed_close(e);
    jade_sim_free(sim);
}

static void trained_version_is_the_default_from_then_on(void **state)
{
    (void)state;
    struct jade_err err;
    float before[DIM], after[DIM];
    char version[JADE_EMBED_NAME_SIZE];
    struct jade_sim *sim = new_sim();
    struct jade_embed *e = open_registry(sim);
    const struct jade_embed_model *m = NULL;
    struct jade_str s = str(corpus[0]);
    MUST(train(e, "test", 8, &m, &err));
    assert_ptr_equal(m, get(e, NULL));
    assert_int_equal(strlen(jade_embed_model_hash(m)), 32);
    (void)snprintf(version, sizeof version, "%s", jade_embed_model_version(m));
    MUST(jade_embed_texts(m, &s, 1, before, &err));
    jade_embed_close(e);

    e = open_registry(sim);
    assert_string_equal(jade_embed_model_version(get(e, NULL)), version);
    MUST(jade_embed_texts(get(e, version), &s, 1, after, &err));
    assert_memory_equal(before, after, sizeof before);
    assert_string_equal(jade_embed_model_version(get(e, "u1")),
                        "u1"); /* still there for who has its vectors */
    jade_embed_close(e);
    jade_sim_free(sim);
}

static void older_version_stays_what_it_was(void **state)
{
    (void)state;
    struct jade_err err;
    float before[DIM], after[DIM];
    char version[JADE_EMBED_NAME_SIZE];
    struct jade_sim *sim = new_sim();
    struct jade_embed *e = open_registry(sim);
    const struct jade_embed_model *m = NULL, *newer = NULL;
    struct jade_str s = str(corpus[0]);
    MUST(train(e, "test", 8, &m, &err));
    (void)snprintf(version, sizeof version, "%s", jade_embed_model_version(m));
    MUST(jade_embed_texts(m, &s, 1, before, &err));
    MUST(train(e, "other", 9, &newer, &err));
    jade_embed_close(e);
    e = open_registry(sim);
    assert_memory_equal(jade_embed_model_version(get(e, NULL)), "other-", 6);
    MUST(jade_embed_texts(get(e, version), &s, 1, after, &err));
    assert_memory_equal(before, after, sizeof before);
    jade_embed_close(e);
    jade_sim_free(sim);
}

struct listing {
    size_t n;
    struct jade_embed_info infos[8];
    size_t stop_at;
};

static jade_code on_info(void *ctx, const struct jade_embed_info *info, struct jade_err *err)
{
    struct listing *l = ctx;
    l->infos[l->n++] = *info;
    return l->n == l->stop_at ? jade_fail(err, JADE_E_CANCELLED, "enough") : JADE_OK;
}

static void list_tells_every_version_once_default_first(void **state)
{
    (void)state;
    struct jade_err err;
    struct jade_sim *sim = new_sim();
    struct jade_embed *e = open_registry(sim);
    const struct jade_embed_model *m = NULL;
    struct listing l = {0};
    MUST(jade_embed_list(e, on_info, &l, &err));
    assert_int_equal(l.n, 1);
    assert_string_equal(l.infos[0].version, "u1");
    assert_true(l.infos[0].is_default && !l.infos[0].trained);
    assert_int_equal(l.infos[0].dimension, 384);
    assert_int_equal(l.infos[0].text_bytes_max, JADE_EMBED_TEXT_BYTES_MAX);
    assert_non_null(strstr(l.infos[0].description, "not contextual"));
    MUST(train(e, "test", 8, &m, &err));
    MUST(train(e, "other", 8, &m, &err));
    MUST(jade_os_replace(jade_sim_os(sim), MODEL_FOLDER "/Stranger.model", "x", 1, &err));
    MUST(jade_os_replace(jade_sim_os(sim), MODEL_FOLDER "/.model", "x", 1, &err));
    l.n = 0;
    MUST(jade_embed_list(e, on_info, &l, &err));
    assert_int_equal(l.n, 3);
    assert_memory_equal(l.infos[0].version, "other-", 6);
    assert_true(l.infos[0].is_default && l.infos[0].trained);
    assert_string_equal(l.infos[1].version, "u1");
    assert_memory_equal(l.infos[2].version, "test-", 5);
    assert_false(l.infos[1].is_default || l.infos[2].is_default);
    for (l.stop_at = 1; l.stop_at <= 3; l.stop_at++) {
        l.n = 0;
        EXPECT(JADE_E_CANCELLED, jade_embed_list(e, on_info, &l, &err));
        assert_int_equal(l.n, l.stop_at);
    }
    jade_embed_close(e);
    jade_sim_free(sim);
}

static void damaged_model_is_never_replaced_by_another(void **state)
{
    (void)state;
    struct jade_err err;
    char path[JADE_PATH_MAX];
    struct jade_sim *sim = new_sim();
    struct jade_embed *e = open_registry(sim);
    const struct jade_embed_model *m = NULL;
    MUST(train(e, "test", 8, &m, &err));
    (void)snprintf(path, sizeof path, MODEL_FOLDER "/%s.model", jade_embed_model_version(m));
    jade_embed_close(e);
    MUST(jade_sim_damage(sim, path, 100, 1, &err));
    EXPECT(JADE_E_CORRUPT, jade_embed_open(jade_sim_os(sim), FOLDER, &e, &err));
    assert_non_null(strstr(err.message, path));
    assert_null(e);
    /* Gone altogether is damage too, since DEFAULT names it. */
    MUST(jade_os_unlink(jade_sim_os(sim), path, &err));
    EXPECT(JADE_E_CORRUPT, jade_embed_open(jade_sim_os(sim), FOLDER, &e, &err));
    jade_sim_free(sim);
}

static void file_under_another_name_is_refused(void **state)
{
    (void)state;
    struct jade_err err;
    char path[JADE_PATH_MAX];
    struct jade_sim *sim = new_sim();
    struct jade_embed *e = open_registry(sim);
    const struct jade_embed_model *m = NULL;
    MUST(train(e, "test", 8, &m, &err));
    (void)snprintf(path, sizeof path, MODEL_FOLDER "/%s.model", jade_embed_model_version(m));
    MUST(jade_os_link(jade_sim_os(sim), path, MODEL_FOLDER "/test-00000000.model", &err));
    EXPECT(JADE_E_CORRUPT, jade_embed_get(e, JADE_EMBED_HASH_384, "test-00000000", &m, &err));
    jade_embed_close(e);
    jade_sim_free(sim);
}

static void default_that_is_no_version_name_is_damage(void **state)
{
    (void)state;
    static const char *const contents[] = {"",
                                           "\n",
                                           "u1",
                                           "U1\n",
                                           "../x\n",
                                           "u1\n\n",
                                           "missing-00000000\n",
                                           "this-name-is-exactly-as-long-as-no-version-can-be"};
    struct jade_err err;
    struct jade_sim *sim = new_sim();
    struct jade_os *os = jade_sim_os(sim);
    MUST(jade_os_mkdirs(os, MODEL_FOLDER, &err));
    for (unsigned i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        struct jade_embed *e = NULL;
        MUST(jade_os_replace(os, MODEL_FOLDER "/DEFAULT", contents[i], strlen(contents[i]), &err));
        EXPECT(JADE_E_CORRUPT, jade_embed_open(os, FOLDER, &e, &err));
        assert_null(e);
    }
    MUST(jade_os_replace(os, MODEL_FOLDER "/DEFAULT", "u1\n", 3, &err));
    jade_embed_close(open_registry(sim));
    jade_sim_free(sim);
}

static void number_of_versions_is_bounded(void **state)
{
    (void)state;
    struct jade_err err;
    struct jade_sim *sim = new_sim();
    struct jade_embed *e = open_registry(sim);
    const struct jade_embed_model *m = NULL;
    char name[JADE_EMBED_CORPUS_CHARS + 1];
    for (unsigned i = 0; i < JADE_EMBED_VERSIONS_MAX; i++) {
        (void)snprintf(name, sizeof name, "c%u", i);
        MUST(train(e, name, 1, &m, &err));
    }
    EXPECT(JADE_E_TOO_LARGE, train(e, "more", 1, &m, &err));
    assert_null(m);
    MUST(train(e, "c0", 1, &m, &err)); /* known already: chosen again */
    assert_ptr_equal(m, get(e, NULL));
    jade_embed_close(e);
    jade_sim_free(sim);
}

/* After a failed call at each place, nothing has changed: the version before is the default, now and after reopening. */
static void failed_call_leaves_the_default_as_it_was(void **state)
{
    (void)state;
    jade_code rc = JADE_E_IO;
    uint64_t at = 0;
    while (rc != JADE_OK) {
        struct jade_err err;
        struct jade_sim *sim = new_sim();
        struct jade_embed *e = open_registry(sim);
        const struct jade_embed_model *m = NULL;
        MUST(train(e, "first", 1, &m, &err));
        at++;
        jade_sim_fail_at(sim, JADE_SIM_ANY, at, JADE_E_IO, true);
        rc = train(e, "second", 1, &m, &err);
        jade_sim_fail_at(sim, JADE_SIM_ANY, 0, JADE_E_IO, false);
        assert_true(rc == JADE_OK || rc == JADE_E_IO);
        assert_memory_equal(jade_embed_model_version(get(e, NULL)),
                            rc == JADE_OK ? "second" : "first", 5);
        if (rc != JADE_OK) {
            MUST(train(e, "second", 1, &m, &err)); /* and it can be tried again */
        }
        jade_embed_close(e);
        assert_int_equal(jade_sim_handles(sim), 0);
        jade_sim_free(sim);
    }
    assert_true(at > 8);
}

/* Power goes before each I/O point: what is found afterwards is the old default or the new one, whole. */
static void power_cut_leaves_the_old_default_or_the_new(void **state)
{
    (void)state;
    static const enum jade_sim_policy policies[] = {JADE_SIM_LOSE_ALL, JADE_SIM_KEEP_ALL,
                                                    JADE_SIM_RANDOM, JADE_SIM_LAST_ONLY};
    unsigned states = 0, was_new = 0;
    for (unsigned p = 0; p < sizeof policies / sizeof policies[0]; p++) {
        bool done = false;
        for (uint64_t at = 1; !done; at++) {
            struct jade_err err;
            struct jade_sim *sim = new_sim();
            struct jade_embed *e = open_registry(sim);
            const struct jade_embed_model *m = NULL;
            jade_sim_cut_at(sim, at);
            done = train(e, "test", 1, &m, &err) == JADE_OK && !jade_sim_is_cut(sim);
            jade_embed_close(e);
            jade_sim_reboot(sim, policies[p], at);
            e = open_registry(sim);
            const char *version = jade_embed_model_version(get(e, NULL));
            assert_true(strcmp(version, "u1") == 0 || strncmp(version, "test-", 5) == 0);
            assert_true(!done || strcmp(version, "u1") != 0); /* acknowledged is there */
            was_new += strcmp(version, "u1") != 0;
            MUST(train(e, "test", 1, &m, &err)); /* leftovers do not hinder the next try */
            jade_embed_close(e);
            jade_sim_free(sim);
            states++;
        }
    }
    print_message("%u crash states, in %u the new version\n", states, was_new);
    assert_in_range(was_new, 4, states - 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registry_without_files_has_the_uniform_version),
        cmocka_unit_test(unknown_name_and_version_are_not_found_by_field),
        cmocka_unit_test(trained_version_is_the_default_from_then_on),
        cmocka_unit_test(older_version_stays_what_it_was),
        cmocka_unit_test(list_tells_every_version_once_default_first),
        cmocka_unit_test(damaged_model_is_never_replaced_by_another),
        cmocka_unit_test(file_under_another_name_is_refused),
        cmocka_unit_test(default_that_is_no_version_name_is_damage),
        cmocka_unit_test(number_of_versions_is_bounded),
        cmocka_unit_test(failed_call_leaves_the_default_as_it_was),
        cmocka_unit_test(power_cut_leaves_the_old_default_or_the_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
