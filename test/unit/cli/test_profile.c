/*
 * Profiles: kept whole, for their owner alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/stat.h>

#include "cli/profile.h"
#include "support/temp_folder.h"

static char folder[JADE_PATH_MAX];
static char path[JADE_PATH_MAX];

static int setup(void **state)
{
    (void)state;
    temp_folder_make(folder);
    assert_int_equal(jade_path_join(path, folder, "sub/jade-db/profiles.json", NULL), JADE_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    temp_folder_remove(folder);
    return 0;
}

static void save_two(void)
{
    struct jade_profiles p;
    assert_int_equal(jade_profiles_load(&p, path, NULL), JADE_OK);
    assert_int_equal(p.n, 0);
    assert_int_equal(jade_profiles_set(&p, "local", "http://127.0.0.1:7433//", "jade_k", NULL),
                     JADE_OK);
    assert_int_equal(jade_profiles_set(&p, "far", "https://db.example/base", NULL, NULL), JADE_OK);
    snprintf(p.current, sizeof p.current, "far");
    assert_int_equal(jade_profiles_save(&p, NULL), JADE_OK);
    jade_profiles_release(&p);
}

static void profile_what_is_saved_is_loaded(void **state)
{
    (void)state;
    struct jade_profiles p;
    save_two();
    assert_int_equal(jade_profiles_load(&p, path, NULL), JADE_OK);
    assert_int_equal(p.n, 2);
    assert_string_equal(p.current, "far");
    assert_string_equal(jade_profiles_find(&p, "local")->url, "http://127.0.0.1:7433");
    assert_string_equal(jade_profiles_find(&p, "local")->key, "jade_k");
    assert_string_equal(jade_profiles_find(&p, "far")->key, "");
    assert_null(jade_profiles_find(&p, "other"));
    jade_profiles_release(&p);
}

static void profile_file_is_for_its_owner_alone(void **state)
{
    (void)state;
    struct stat st;
    mode_t before = umask(0);
    save_two();
    umask(before);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void profile_file_that_others_can_read_is_refused(void **state)
{
    (void)state;
    static const mode_t modes[] = {0640, 0604, 0620, 0601};
    save_two();
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        struct jade_profiles p;
        struct jade_err err = {0};
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_int_equal(jade_profiles_load(&p, path, &err), JADE_E_FORBIDDEN);
        assert_non_null(strstr(err.message, "chmod 600"));
        assert_int_equal(p.n, 0);
        jade_profiles_release(&p);
    }
}

static void profile_damaged_file_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{}",
        "{\"profiles\": []}",
        "{\"profiles\": {\"a\": {}}}",
        "{\"profiles\": {\"a\": {\"url\": \"ftp://x\"}}}",
        "{\"profiles\": {\"a\": {\"url\": \"http://x\", \"key\": \"two words\"}}}",
    };
    save_two();
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct jade_profiles p;
        struct jade_err err = {0};
        mode_t before = umask(077);
        assert_int_equal(jade_os_replace(jade_os_posix(), path, texts[i], strlen(texts[i]), NULL),
                         JADE_OK);
        umask(before);
        assert_int_equal(jade_profiles_load(&p, path, &err), JADE_E_CORRUPT);
        assert_non_null(strstr(err.message, "profiles.json"));
        jade_profiles_release(&p);
    }
}

static void profile_names_urls_and_keys_are_checked(void **state)
{
    (void)state;
    struct jade_profiles p;
    static const char *const urls[] = {"",           "x",          "ftp://h",
                                       "http://",    "http:///",   "http://a b",
                                       "http://h?q", "http://h#f", "http://u@h"};
    assert_int_equal(jade_profiles_load(&p, path, NULL), JADE_OK);
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        assert_int_equal(jade_profiles_set(&p, "a", urls[i], NULL, NULL), JADE_E_INVALID_ARGUMENT);
    }
    assert_int_equal(jade_profiles_set(&p, "a b", NULL, NULL, NULL), JADE_E_INVALID_ARGUMENT);
    assert_int_equal(jade_profiles_set(&p, "", NULL, NULL, NULL), JADE_E_INVALID_ARGUMENT);
    assert_int_equal(jade_profiles_set(&p, "a", NULL, "x\r\ny", NULL), JADE_E_INVALID_ARGUMENT);
    assert_int_equal(p.n, 0);
    for (unsigned i = 0; i < JADE_PROFILES_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%u", i);
        assert_int_equal(jade_profiles_set(&p, name, NULL, NULL, NULL), JADE_OK);
    }
    assert_int_equal(jade_profiles_set(&p, "more", NULL, NULL, NULL), JADE_E_TOO_LARGE);
    assert_int_equal(jade_profiles_set(&p, "p0", "https://h", NULL, NULL), JADE_OK);
    jade_profiles_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(profile_what_is_saved_is_loaded, setup, teardown),
        cmocka_unit_test_setup_teardown(profile_file_is_for_its_owner_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(profile_file_that_others_can_read_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(profile_damaged_file_is_refused_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(profile_names_urls_and_keys_are_checked, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
