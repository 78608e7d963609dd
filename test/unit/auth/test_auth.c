/*
 * API keys over a real catalog: made, shown once, kept as hashes, verified, deleted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <string.h>

#include "auth/auth.h"
#include "os/thread.h"
#include "support/temp_folder.h"

static char folder[JADE_PATH_MAX];
static char path[JADE_PATH_MAX];
static struct jade_catalog *catalog;
static struct jade_auth *auth;

static void open_again(void)
{
    struct jade_err err = {0};
    jade_auth_close(auth);
    jade_catalog_close(catalog);
    auth = NULL;
    catalog = NULL;
    if (jade_catalog_open_sqlite(path, &catalog, NULL, &err) != JADE_OK ||
        jade_auth_open(catalog, jade_os_posix(), &auth, &err) != JADE_OK) {
        fail_msg("%s", err.message);
    }
}

static int setup(void **state)
{
    (void)state;
    temp_folder_make(folder);
    assert_int_equal(jade_path_join(path, folder, "catalog.db", NULL), JADE_OK);
    open_again();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    jade_auth_close(auth);
    jade_catalog_close(catalog);
    auth = NULL;
    catalog = NULL;
    temp_folder_remove(folder);
    return 0;
}

static jade_code verify(const char *text, struct jade_key *out)
{
    return jade_auth_verify(auth, text, strlen(text), out, NULL);
}

static struct jade_key create(const char *name, enum jade_scope scope, char *secret)
{
    struct jade_key key;
    struct jade_err err = {0};
    if (jade_auth_create(auth, name, scope, &key, secret, &err) != JADE_OK) {
        fail_msg("%s", err.message);
    }
    return key;
}

static void a_made_key_is_verified_also_after_reopening(void **state)
{
    (void)state;
    char secret[JADE_KEY_SECRET_SIZE];
    struct jade_key key = create("ingest", JADE_SCOPE_READ_WRITE, secret), got;
    assert_int_equal(strlen(secret), 48);
    assert_memory_equal(secret, "jade_", 5);
    assert_int_equal(
        strspn(secret + 5, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"), 43);
    assert_string_equal(key.last4, secret + 44);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(verify(secret, &got), JADE_OK);
        assert_string_equal(got.id, key.id);
        assert_string_equal(got.name, "ingest");
        assert_int_equal(got.scope, JADE_SCOPE_READ_WRITE);
        assert_int_equal(got.created_us, key.created_us);
        open_again();
    }
}

static void anything_but_the_whole_text_is_refused_alike(void **state)
{
    (void)state;
    char secret[JADE_KEY_SECRET_SIZE], other[JADE_KEY_SECRET_SIZE], text[400];
    struct jade_key got;
    create("a", JADE_SCOPE_ADMIN, secret);
    struct jade_err expected = {0};
    assert_int_equal(jade_auth_verify(auth, "x", 1, &got, &expected), JADE_E_UNAUTHORIZED);
    memset(text, 'j', sizeof text);
    for (size_t i = 0; i < strlen(secret); i++) {
        memcpy(other, secret, sizeof other);
        other[i] = other[i] == 'x' ? 'y' : 'x';
        struct jade_err err = {0};
        assert_int_equal(jade_auth_verify(auth, other, strlen(other), &got, &err),
                         JADE_E_UNAUTHORIZED);
        assert_string_equal(err.message, expected.message);
        assert_int_equal(jade_auth_verify(auth, secret, i, &got, NULL), JADE_E_UNAUTHORIZED);
    }
    assert_int_equal(jade_auth_verify(auth, text, sizeof text, &got, NULL), JADE_E_UNAUTHORIZED);
    assert_int_equal(jade_auth_verify(auth, secret, strlen(secret) + 1, &got, NULL),
                     JADE_E_UNAUTHORIZED);
    assert_int_equal(verify(secret, &got), JADE_OK);
}

/** Whether the bytes are anywhere in a file of the data folder. */
static jade_code seek(void *ctx, const char *name, bool is_dir, struct jade_err *err)
{
    const char *secret = ctx;
    char file[JADE_PATH_MAX];
    uint8_t *data;
    size_t n;
    assert_false(is_dir);
    assert_int_equal(jade_path_join(file, folder, name, err), JADE_OK);
    assert_int_equal(jade_os_read_file(jade_os_posix(), file, 1 << 26, &data, &n, err), JADE_OK);
    assert_null(memmem(data, n, secret, strlen(secret)));
    jade_free(data);
    return JADE_OK;
}

static void the_text_of_a_key_is_not_stored(void **state)
{
    (void)state;
    char secret[JADE_KEY_SECRET_SIZE];
    create("a", JADE_SCOPE_ADMIN, secret);
    assert_int_equal(jade_os_list(jade_os_posix(), folder, seek, secret, NULL), JADE_OK);
    assert_int_equal(jade_os_list(jade_os_posix(), folder, seek, secret + 20, NULL), JADE_OK);
}

static void a_deleted_key_fails_at_once_and_after_reopening(void **state)
{
    (void)state;
    char admin[JADE_KEY_SECRET_SIZE], secret[JADE_KEY_SECRET_SIZE];
    struct jade_key got, keep = create("admin", JADE_SCOPE_ADMIN, admin);
    struct jade_key gone = create("gone", JADE_SCOPE_READ_ONLY, secret);
    struct jade_err err = {0};
    assert_int_equal(jade_auth_delete(auth, gone.id, NULL), JADE_OK);
    assert_int_equal(jade_auth_delete(auth, gone.id, &err), JADE_E_NOT_FOUND);
    assert_string_equal(err.field, "id");
    for (int round = 0; round < 2; round++) {
        assert_int_equal(verify(secret, &got), JADE_E_UNAUTHORIZED);
        assert_int_equal(verify(admin, &got), JADE_OK);
        open_again();
    }
    assert_int_equal(jade_auth_delete(auth, keep.id, NULL), JADE_E_CONFLICT);
    assert_int_equal(verify(admin, &got), JADE_OK);
}

static void the_list_is_ordered_by_age_and_holds_no_secret(void **state)
{
    (void)state;
    char secret[3][JADE_KEY_SECRET_SIZE];
    create("one", JADE_SCOPE_ADMIN, secret[0]);
    create("two", JADE_SCOPE_READ_ONLY, secret[1]);
    create("three", JADE_SCOPE_READ_WRITE, secret[2]);
    static const char *const names[] = {"one", "two", "three"};
    for (int round = 0; round < 2; round++) {
        struct jade_key *keys;
        size_t n;
        assert_int_equal(jade_auth_list(auth, &keys, &n, NULL), JADE_OK);
        assert_int_equal(n, 3);
        for (int i = 0; i < 3; i++) {
            assert_string_equal(keys[i].name, names[i]);
            assert_string_equal(keys[i].last4, secret[i] + 44);
        }
        jade_free(keys);
        open_again();
    }
}

static void bad_names_and_scopes_are_refused_by_name(void **state)
{
    (void)state;
    char secret[JADE_KEY_SECRET_SIZE], name[JADE_KEY_NAME_MAX + 2];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    const char *const bad[] = {"", "a\nb", "\xff", "del\x7f", name};
    struct jade_key key;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct jade_err err = {0};
        assert_int_equal(jade_auth_create(auth, bad[i], JADE_SCOPE_ADMIN, &key, secret, &err),
                         JADE_E_INVALID_ARGUMENT);
        assert_string_equal(err.field, "name");
        assert_string_equal(secret, "");
    }
    enum jade_scope scope;
    struct jade_err err = {0};
    assert_int_equal(jade_scope_parse("READ-only", 9, &scope, NULL), JADE_OK);
    assert_int_equal(scope, JADE_SCOPE_READ_ONLY);
    assert_int_equal(jade_scope_parse("adminx", 6, &scope, &err), JADE_E_INVALID_ARGUMENT);
    assert_string_equal(err.field, "scope");
    assert_int_equal(jade_scope_parse("", 0, &scope, NULL), JADE_E_INVALID_ARGUMENT);
    assert_int_equal(jade_auth_create(auth, "n", (enum jade_scope)4, &key, secret, NULL),
                     JADE_E_INVALID_ARGUMENT);
}

static void scopes_include_the_ones_below(void **state)
{
    (void)state;
    for (int have = 1; have <= 3; have++) {
        for (int need = 1; need <= 3; need++) {
            struct jade_key key = {.name = "k", .scope = (enum jade_scope)have};
            struct jade_err err = {0};
            jade_code rc = jade_auth_require(&key, (enum jade_scope)need, &err);
            assert_int_equal(rc, have >= need ? JADE_OK : JADE_E_FORBIDDEN);
            if (rc != JADE_OK) {
                assert_non_null(strstr(err.message, jade_scope_name((enum jade_scope)need)));
                assert_non_null(strstr(err.message, jade_scope_name((enum jade_scope)have)));
            }
        }
    }
}

static void the_first_start_makes_one_admin_key_and_later_starts_none(void **state)
{
    (void)state;
    char secret[JADE_KEY_SECRET_SIZE], again[JADE_KEY_SECRET_SIZE];
    enum jade_bootstrap outcome;
    struct jade_key key;
    assert_int_equal(jade_auth_bootstrap(auth, NULL, &outcome, secret, NULL), JADE_OK);
    assert_int_equal(outcome, JADE_BOOTSTRAP_CREATED);
    assert_int_equal(verify(secret, &key), JADE_OK);
    assert_int_equal(key.scope, JADE_SCOPE_ADMIN);
    open_again();
    assert_int_equal(jade_auth_bootstrap(auth, NULL, &outcome, again, NULL), JADE_OK);
    assert_int_equal(outcome, JADE_BOOTSTRAP_PRESENT);
    assert_string_equal(again, "");
    assert_int_equal(jade_auth_bootstrap(auth, "another-key-0123456789", &outcome, again, NULL),
                     JADE_OK);
    assert_int_equal(outcome, JADE_BOOTSTRAP_IGNORED);
    assert_int_equal(verify("another-key-0123456789", &key), JADE_E_UNAUTHORIZED);
}

static void a_given_admin_key_is_the_first_one(void **state)
{
    (void)state;
    static const char given[] = "sixteen-or-more!";
    char secret[JADE_KEY_SECRET_SIZE];
    enum jade_bootstrap outcome;
    struct jade_key key;
    assert_int_equal(jade_auth_bootstrap(auth, given, &outcome, secret, NULL), JADE_OK);
    assert_int_equal(outcome, JADE_BOOTSTRAP_GIVEN);
    assert_string_equal(secret, "");
    open_again();
    assert_int_equal(verify(given, &key), JADE_OK);
    assert_int_equal(key.scope, JADE_SCOPE_ADMIN);
    assert_int_equal(jade_auth_bootstrap(auth, given, &outcome, secret, NULL), JADE_OK);
    assert_int_equal(outcome, JADE_BOOTSTRAP_PRESENT);
}

static void a_given_key_that_is_too_weak_is_refused_and_nothing_is_made(void **state)
{
    (void)state;
    char secret[JADE_KEY_SECRET_SIZE], longer[JADE_KEY_TEXT_MAX + 2];
    memset(longer, 'k', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    const char *const bad[] = {"",
                               "fifteen-letters",
                               "sixteen letters and spaces",
                               "tab\tis-no-good-either",
                               "umlaut-\xc3\xa4-in-the-key",
                               longer};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        enum jade_bootstrap outcome;
        struct jade_err err = {0};
        assert_int_equal(jade_auth_bootstrap(auth, bad[i], &outcome, secret, &err),
                         JADE_E_INVALID_ARGUMENT);
        assert_string_equal(err.field, "JADE_ADMIN_KEY");
        if (strlen(bad[i]) > 0) {
            assert_null(strstr(err.message, bad[i]));
        }
    }
    struct jade_key *keys;
    size_t n;
    assert_int_equal(jade_auth_list(auth, &keys, &n, NULL), JADE_OK);
    assert_int_equal(n, 0);
    jade_free(keys);
}

static void a_damaged_row_stops_the_opening(void **state)
{
    (void)state;
    static const struct {
        const char *row;
        jade_code code;
    } cases[] = {
        {"{\"formatVersion\":1}", JADE_E_CORRUPT},
        {"no json", JADE_E_CORRUPT},
        {"[1]", JADE_E_CORRUPT},
        {"{\"formatVersion\":2}", JADE_E_VERSION},
        {"{\"formatVersion\":1,\"id\":\"key_x\",\"name\":\"n\",\"scope\":\"king\",\"last4\":\"abcd\","
         "\"createdUs\":1,\"sha256\":\"00\"}",
         JADE_E_CORRUPT},
        {"{\"formatVersion\":1,\"id\":\"key_other\",\"name\":\"n\",\"scope\":\"admin\",\"last4\":"
         "\"abcd\",\"createdUs\":1,\"sha256\":"
         "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}",
         JADE_E_CORRUPT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct jade_auth *a = (void *)1;
        assert_int_equal(
            jade_catalog_put(catalog, "key/key_x", cases[i].row, strlen(cases[i].row), NULL, NULL),
            JADE_OK);
        assert_int_equal(jade_auth_open(catalog, jade_os_posix(), &a, NULL), cases[i].code);
        assert_null(a);
    }
}

static void the_number_of_keys_is_bounded(void **state)
{
    (void)state;
    char secret[JADE_KEY_SECRET_SIZE];
    struct jade_key key;
    enum jade_bootstrap outcome;
    assert_int_equal(jade_auth_bootstrap(auth, NULL, &outcome, secret, NULL), JADE_OK);
    for (int i = 1; i < JADE_KEYS_MAX; i++) {
        create("many", JADE_SCOPE_READ_ONLY, secret);
    }
    struct jade_err err = {0};
    char none[JADE_KEY_SECRET_SIZE];
    assert_int_equal(jade_auth_create(auth, "one more", JADE_SCOPE_READ_ONLY, &key, none, &err),
                     JADE_E_TOO_LARGE);
    assert_string_equal(none, "");
    open_again();
    uint64_t begun = jade_os_mono_us(jade_os_posix());
    for (int i = 0; i < 100; i++) {
        assert_int_equal(verify(secret, &key), JADE_OK);
    }
    print_message("verify among %d keys: %.1f us\n", JADE_KEYS_MAX,
                  (double)(jade_os_mono_us(jade_os_posix()) - begun) / 100);
}

/** Every allocation of opening, making, listing and deleting fails in turn: nothing is half done. */
static void a_failed_allocation_makes_no_key(void **state)
{
    (void)state;
    char admin[JADE_KEY_SECRET_SIZE], secret[JADE_KEY_SECRET_SIZE];
    create("admin", JADE_SCOPE_ADMIN, admin);
    unsigned failed = 0;
    for (uint64_t at = 1;; at++) {
        struct jade_auth *a = NULL;
        struct jade_key key, *keys = NULL;
        size_t n, expected = 1;
        jade_alloc_fail_at(at);
        jade_code rc = jade_auth_open(catalog, jade_os_posix(), &a, NULL);
        if (rc == JADE_OK &&
            (rc = jade_auth_create(a, "k", JADE_SCOPE_READ_ONLY, &key, secret, NULL)) == JADE_OK) {
            expected = 2;
            rc = jade_auth_delete(a, key.id, NULL);
            expected -= rc == JADE_OK;
        }
        bool over = jade_alloc_count() < at;
        jade_alloc_fail_at(0);
        failed += rc != JADE_OK;
        if (rc != JADE_OK) {
            assert_int_equal(rc, JADE_E_NOMEM);
        }
        jade_auth_close(a);
        open_again(); /* what the catalog holds is what the calls said */
        assert_int_equal(jade_auth_list(auth, &keys, &n, NULL), JADE_OK);
        assert_int_equal(n, expected);
        if (n == 2) {
            assert_int_equal(jade_auth_delete(auth, keys[1].id, NULL), JADE_OK);
        }
        jade_free(keys);
        struct jade_key got;
        assert_int_equal(verify(admin, &got), JADE_OK);
        if (over) {
            break;
        }
    }
    assert_true(failed > 10);
}

enum { READERS = 3, CHANGES = 40 };
static atomic_bool stop;
static atomic_uint wrong;
static char steady[JADE_KEY_SECRET_SIZE];

static void *verify_all_the_time(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        struct jade_key key;
        if (verify(steady, &key) != JADE_OK || key.scope != JADE_SCOPE_ADMIN) {
            atomic_fetch_add(&wrong, 1);
        }
    }
    return NULL;
}

static void verifying_goes_on_while_keys_come_and_go(void **state)
{
    (void)state;
    struct jade_thread threads[READERS] = {{.started = false}};
    create("steady", JADE_SCOPE_ADMIN, steady);
    atomic_store(&stop, false);
    atomic_store(&wrong, 0);
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(
            jade_thread_start(&threads[i], "verify", 0, verify_all_the_time, NULL, NULL), JADE_OK);
    }
    char ids[CHANGES][JADE_KEY_ID_SIZE], secret[JADE_KEY_SECRET_SIZE];
    for (int i = 0; i < CHANGES; i++) {
        struct jade_key got, key = create("fleeting", JADE_SCOPE_READ_ONLY, secret);
        memcpy(ids[i], key.id, sizeof ids[i]);
        assert_int_equal(verify(secret, &got), JADE_OK);
        if (i % 2) {
            assert_int_equal(jade_auth_delete(auth, ids[i], NULL), JADE_OK);
            assert_int_equal(verify(secret, &got), JADE_E_UNAUTHORIZED);
        }
    }
    atomic_store(&stop, true);
    for (int i = 0; i < READERS; i++) {
        jade_thread_join(&threads[i]);
    }
    assert_int_equal(atomic_load(&wrong), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_made_key_is_verified_also_after_reopening),
        TEST(anything_but_the_whole_text_is_refused_alike),
        TEST(the_text_of_a_key_is_not_stored),
        TEST(a_deleted_key_fails_at_once_and_after_reopening),
        TEST(the_list_is_ordered_by_age_and_holds_no_secret),
        TEST(bad_names_and_scopes_are_refused_by_name),
        TEST(scopes_include_the_ones_below),
        TEST(the_first_start_makes_one_admin_key_and_later_starts_none),
        TEST(a_given_admin_key_is_the_first_one),
        TEST(a_given_key_that_is_too_weak_is_refused_and_nothing_is_made),
        TEST(a_damaged_row_stops_the_opening),
        TEST(the_number_of_keys_is_bounded),
        TEST(a_failed_allocation_makes_no_key),
        TEST(verifying_goes_on_while_keys_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
