/*
 * Configuration: which source wins, every setting in each of its ways, and what is refused with which words.
 *
 * The table of settings is not visible here on purpose: the tests walk what --help prints, so help and reader cannot differ.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/config.h"
#include "support/temp_folder.h"

enum { TEXT_MAX = 16384, SETTINGS_MIN = 16 };

static struct jade_config c;
static struct jade_err err;
static char folder[JADE_PATH_MAX];

/* ---- helpers ---- */

static jade_code load(const char *const *args)
{
    char *argv[16] = {(char *)(uintptr_t) "jadevectordb"};
    int n = 1;
    for (; args && args[n - 1]; n++) {
        argv[n] = (char *)(uintptr_t)args[n - 1];
    }
    memset(&err, 0, sizeof err);
    return jade_config_load(&c, n, argv, &err);
}

static void load_well(const char *const *args)
{
    if (load(args) != JADE_OK) {
        fail_msg("%s: %s", err.field, err.message);
    }
}

static const char *file_of(const char *text)
{
    static char path[JADE_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/config.yaml", folder);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fputs(text, f) >= 0, 1);
    assert_int_equal(fclose(f), 0);
    return path;
}

static jade_code load_text(const char *text)
{
    return load((const char *[]){"--config", file_of(text), NULL});
}

static void expect_refused(jade_code rc, jade_code code, const char *field, const char *words)
{
    assert_int_equal(rc, code);
    if (strcmp(err.field, field) != 0 || !strstr(err.message, words)) {
        fail_msg("got '%s': '%s'; expected '%s': '...%s...'", err.field, err.message, field, words);
    }
}

static void print_into(char text[TEXT_MAX])
{
    FILE *f = tmpfile();
    assert_non_null(f);
    jade_config_print(&c, f);
    rewind(f);
    size_t n = fread(text, 1, TEXT_MAX - 1, f);
    text[n] = '\0';
    fclose(f);
}

struct setting {
    char yaml[64], env[64], flag[64]; /* flag "" = none */
    char value[64];                   /* one that is allowed and not the default */
};

/* A value that differs from the default, by the default's kind. */
static void other_value(struct setting *s, const char *shown)
{
    const char *text = "/tmp/other";
    if (strcmp(s->yaml, "listen") == 0) {
        text = "127.0.0.1:9999";
    } else if (strcmp(s->yaml, "log.level") == 0) {
        text = "debug";
    } else if (strcmp(s->yaml, "storage.durability") == 0) {
        text = "async";
    } else if (strcmp(shown, "true") == 0) {
        text = "false";
    } else if (strcmp(shown, "false") == 0) {
        text = "true";
    } else if (shown[0] != '"') {
        snprintf(s->value, sizeof s->value, "%llu", strtoull(shown, NULL, 10) + 1);
        return;
    }
    snprintf(s->value, sizeof s->value, "%s", text);
}

static unsigned settings_of_help(struct setting *out, unsigned max)
{
    static char text[TEXT_MAX];
    unsigned n = 0;
    FILE *f = tmpfile();
    assert_non_null(f);
    jade_config_help(f);
    rewind(f);
    bool in = false;
    while (fgets(text, sizeof text, f)) {
        char shown[64];
        const char *value = strstr(text, "(default ");
        in = in || strcmp(text, "settings\n") == 0;
        if (!in || !value) {
            continue;
        }
        assert_true(n < max);
        memset(&out[n], 0, sizeof out[n]);
        assert_int_equal(sscanf(text, " %63s %63s %63s", out[n].yaml, out[n].env, out[n].flag), 3);
        if (strncmp(out[n].flag, "--", 2) != 0) {
            out[n].flag[0] = '\0';
        }
        assert_int_equal(sscanf(value, "(default %63[^)]", shown), 1);
        other_value(&out[n++], shown);
    }
    fclose(f);
    assert_true(n >= SETTINGS_MIN);
    return n;
}

/* Whether the printed configuration has this value at this path. */
static bool is_set(const struct setting *s)
{
    static char text[TEXT_MAX];
    char section[64] = "";
    print_into(text);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        char key[64], value[64] = "", path[160];
        if (line[0] != ' ' && line[strlen(line) - 1] == ':') {
            assert_int_equal(sscanf(line, "%63[^:]", section), 1);
            continue;
        }
        assert_true(sscanf(line, " %63[^:]: %63[^\n]", key, value) >= 1);
        snprintf(path, sizeof path, "%s%s%s", line[0] == ' ' ? section : "",
                 line[0] == ' ' ? "." : "", key);
        if (strcmp(path, s->yaml) == 0) {
            size_t quote = value[0] == '"';
            return strncmp(value + quote, s->value, strlen(s->value)) == 0 &&
                   strlen(value) == strlen(s->value) + 2 * quote;
        }
    }
    fail_msg("%s is not printed", s->yaml);
    return false;
}

static int clean(void **state)
{
    (void)state;
    struct setting all[64];
    unsigned n = settings_of_help(all, 64);
    for (unsigned i = 0; i < n; i++) {
        unsetenv(all[i].env);
    }
    unsetenv("JADE_CONFIG");
    return 0;
}

static int make_folder(void **state)
{
    (void)state;
    temp_folder_make(folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    temp_folder_remove(folder);
    return 0;
}

/* ---- order of strength ---- */

static void flag_beats_environment_beats_file_beats_default(void **state)
{
    (void)state;
    load_well(NULL);
    assert_int_equal(c.workers, 16);
    assert_string_equal(c.listen, "127.0.0.1:7433");
    assert_true(c.auth_required);
    const char *path = file_of("http:\n  workers: 17\n  loops: 3\n");
    load_well((const char *[]){"--config", path, NULL});
    assert_int_equal(c.workers, 17);
    setenv("JADE_HTTP_WORKERS", "18", 1);
    load_well((const char *[]){"--config", path, NULL});
    assert_int_equal(c.workers, 18);
    load_well((const char *[]){"--workers", "19", "--config", path, NULL});
    assert_int_equal(c.workers, 19);
    assert_int_equal(c.loops, 3); /* what only the file says stays */
    unsetenv("JADE_HTTP_WORKERS");
    setenv("JADE_CONFIG", path, 1);
    load_well(NULL);
    assert_int_equal(c.workers, 17);
    char other[JADE_PATH_MAX + 32];
    snprintf(other, sizeof other, "--config=%s/none.yaml", folder); /* the flag beats JADE_CONFIG */
    assert_int_equal(load((const char *[]){other, NULL}), JADE_E_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "none.yaml"));
}

static void every_setting_can_be_set_in_each_way(void **state)
{
    struct setting all[64];
    unsigned n = settings_of_help(all, 64);
    (void)state;
    for (unsigned i = 0; i < n; i++) {
        struct setting *s = &all[i];
        char text[256], flag[160];
        const char *dot = strchr(s->yaml, '.');
        load_well(NULL);
        assert_false(is_set(s));
        snprintf(text, sizeof text, "%.*s%s%s: %s\n", dot ? (int)(dot - s->yaml) : 0, s->yaml,
                 dot ? ":\n  " : "", dot ? dot + 1 : s->yaml, s->value);
        assert_int_equal(load_text(text), JADE_OK);
        assert_true(is_set(s));
        setenv(s->env, s->value, 1);
        load_well(NULL);
        unsetenv(s->env);
        assert_true(is_set(s));
        if (s->flag[0]) {
            bool alone = strcmp(s->value, "true") == 0; /* a switch needs no value */
            load_well((const char *[]){s->flag, alone ? NULL : s->value, NULL});
            assert_true(is_set(s));
            snprintf(flag, sizeof flag, "%s=%s", s->flag, s->value);
            load_well((const char *[]){flag, NULL});
            assert_true(is_set(s));
        }
    }
}

static void plain_flags_are_seen(void **state)
{
    (void)state;
    load_well((const char *[]){"--check-config", NULL});
    assert_true(c.check_only && !c.show_help && !c.show_version);
    load_well((const char *[]){"--insecure", "--help", NULL});
    assert_true(c.show_help && c.insecure);
    load_well((const char *[]){"-h", NULL});
    assert_true(c.show_help);
    load_well((const char *[]){"--version", NULL});
    assert_true(c.show_version);
    load_well((const char *[]){"--insecure=false", NULL});
    assert_false(c.insecure);
    /* help is given whatever else is wrong with the values' combination */
    load_well((const char *[]){"--listen", "0.0.0.0:1", "--help", NULL});
}

/* ---- what is refused ---- */

static void unknown_flags_and_missing_values_are_named(void **state)
{
    (void)state;
    expect_refused(load((const char *[]){"--nonsense", NULL}), JADE_E_INVALID_ARGUMENT,
                   "--nonsense", "unknown flag '--nonsense'");
    expect_refused(load((const char *[]){"data", NULL}), JADE_E_INVALID_ARGUMENT, "data",
                   "unknown flag");
    expect_refused(load((const char *[]){"--data", NULL}), JADE_E_INVALID_ARGUMENT, "--data",
                   "needs a value");
    expect_refused(load((const char *[]){"--config", NULL}), JADE_E_INVALID_ARGUMENT, "--config",
                   "needs a value");
    expect_refused(load((const char *[]){"--data=", NULL}), JADE_E_INVALID_ARGUMENT, "data",
                   "--data: expected 1..1023 characters");
    expect_refused(load((const char *[]){"--help=x", NULL}), JADE_E_INVALID_ARGUMENT, "--help=x",
                   "unknown flag");
}

static void faults_of_the_file_have_their_line(void **state)
{
    static const struct {
        const char *text;
        jade_code code;
        const char *field, *words;
    } table[] = {
        {"data: d\nhttp:\n  wrokers: 4\n", JADE_E_UNKNOWN_FIELD, "http.wrokers",
         "config.yaml:3: there is no such setting"},
        {"nothing: 1\n", JADE_E_UNKNOWN_FIELD, "nothing", "config.yaml:1:"},
        {"http: 4\n", JADE_E_UNKNOWN_FIELD, "http", "config.yaml:1:"},
        {"http:\n  workers: many\n", JADE_E_INVALID_ARGUMENT, "http.workers",
         "config.yaml:2: 'many'; expected a whole number 1..1024"},
        {"\n\nhttp:\n  workers: 0\n", JADE_E_INVALID_ARGUMENT, "http.workers",
         "config.yaml:4: '0'"},
        {"http:\n  workers: 1025\n", JADE_E_INVALID_ARGUMENT, "http.workers", "'1025'"},
        {"http:\n  workers: -1\n", JADE_E_INVALID_ARGUMENT, "http.workers", "'-1'"},
        {"http:\n  workers: 4.5\n", JADE_E_INVALID_ARGUMENT, "http.workers", "'4.5'"},
        {"http:\n  workers: 0x10\n", JADE_E_INVALID_ARGUMENT, "http.workers", "'0x10'"},
        {"http:\n  workers: 99999999999999999999\n", JADE_E_INVALID_ARGUMENT, "http.workers",
         "'99999999999999999999'"},
        {"http:\n  workers:\n", JADE_E_INVALID_ARGUMENT, "http.workers", "''"},
        {"auth:\n  required: maybe\n", JADE_E_INVALID_ARGUMENT, "auth.required",
         "'maybe'; expected true or false"},
        {"data: ''\n", JADE_E_INVALID_ARGUMENT, "data", "expected 1..1023 characters"},
        {"log:\n  level: loud\n", JADE_E_INVALID_ARGUMENT, "log.level",
         "'loud'; expected debug, info, warn, error or off"},
        {"storage:\n  durability: never\n", JADE_E_INVALID_ARGUMENT, "storage.durability", "never"},
        {"data:\n  data: d\n", JADE_E_UNKNOWN_FIELD, "data.data", "config.yaml:2:"},
        {"a:\n  b:\n    c:\n      d:\n        e: 1\n", JADE_E_INVALID_ARGUMENT, "",
         "config.yaml:5: unexpected nesting"},
        {"http: [1, 2]\n", JADE_E_INVALID_ARGUMENT, "", "config.yaml:1: lists and aliases"},
        {"data: &x d\nlisten: *x\n", JADE_E_INVALID_ARGUMENT, "",
         "config.yaml:2: lists and aliases"},
        {"just words\n", JADE_E_INVALID_ARGUMENT, "", "config.yaml:1: expected settings"},
        {"- data\n", JADE_E_INVALID_ARGUMENT, "", "config.yaml:1: lists"},
        {"data: d\n bad: : :\n", JADE_E_INVALID_ARGUMENT, "", "config.yaml:2:"},
        {"data: \"open\n", JADE_E_INVALID_ARGUMENT, "", "config.yaml:"},
        {"? {a: b}\n: c\n", JADE_E_INVALID_ARGUMENT, "", "config.yaml:1: unexpected nesting"},
        {"http:\n  workers: 4\n  workers: 5\n", JADE_E_INVALID_ARGUMENT, "http.workers",
         "config.yaml:3: is there twice"},
        {"data: a\n---\ndata: b\n", JADE_E_INVALID_ARGUMENT, "",
         "config.yaml:2: a second document"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        jade_code rc = load_text(table[i].text);
        if (rc != table[i].code) {
            fail_msg("%s: %s", table[i].text, jade_code_name(rc));
        }
        expect_refused(rc, table[i].code, table[i].field, table[i].words);
    }
}

static void harmless_files_are_taken(void **state)
{
    static const char *const texts[] = {"",
                                        "# nothing\n",
                                        "---\ndata: d\n",
                                        "{data: d, http: {workers: 4}}\n",
                                        "http: {}\n",
                                        "data: \"with space\"\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (load_text(texts[i]) != JADE_OK) {
            fail_msg("%s: %s", texts[i], err.message);
        }
    }
    assert_string_equal(c.data, "with space");
}

static void faults_name_the_variable_or_flag(void **state)
{
    (void)state;
    setenv("JADE_SEAL_MIB", "lots", 1);
    expect_refused(load(NULL), JADE_E_INVALID_ARGUMENT, "storage.sealMiB", "JADE_SEAL_MIB: 'lots'");
    unsetenv("JADE_SEAL_MIB");
    expect_refused(load((const char *[]){"--workers", "5000", NULL}), JADE_E_INVALID_ARGUMENT,
                   "http.workers", "--workers: '5000'");
    setenv("JADE_TAIL_SOFT_MIB", "512", 1);
    setenv("JADE_TAIL_HARD_MIB", "512", 1);
    expect_refused(load(NULL), JADE_E_INVALID_ARGUMENT, "storage.tailSoftMiB",
                   "512; must be below storage.tailHardMiB, 512");
    unsetenv("JADE_TAIL_SOFT_MIB");
    unsetenv("JADE_TAIL_HARD_MIB");
    static char longer[JADE_CONFIG_TEXT_MAX + 1];
    memset(longer, 'x', JADE_CONFIG_TEXT_MAX);
    setenv("JADE_CONFIG", longer, 1);
    expect_refused(load(NULL), JADE_E_INVALID_ARGUMENT, "JADE_CONFIG", "too long");
    unsetenv("JADE_CONFIG");
    expect_refused(load((const char *[]){"--config", longer, NULL}), JADE_E_INVALID_ARGUMENT,
                   "--config", "too long");
    expect_refused(load((const char *[]){"--data", longer, NULL}), JADE_E_INVALID_ARGUMENT, "data",
                   "1..1023");
}

/* ---- addresses ---- */

static void listen_address_is_split(void **state)
{
    static const struct {
        const char *text, *host; /* host NULL: refused */
        uint16_t port;
    } table[] = {{"127.0.0.1:7433", "127.0.0.1", 7433},
                 {"localhost:0", "localhost", 0},
                 {"[::1]:65535", "::1", 65535},
                 {"[fe80::1]:80", "fe80::1", 80},
                 {"0.0.0.0:1", "0.0.0.0", 1},
                 {"127.0.0.1:65536", NULL, 0},
                 {"127.0.0.1", NULL, 0},
                 {"127.0.0.1:", NULL, 0},
                 {":7433", NULL, 0},
                 {"[]:7433", NULL, 0},
                 {"::1:7433", NULL, 0}, /* which colon begins the port? */
                 {"[::1]", NULL, 0},
                 {"[::1:80", NULL, 0},
                 {"host:-1", NULL, 0},
                 {"host:+1", NULL, 0},
                 {"host:8x", NULL, 0},
                 {"host: 80", NULL, 0},
                 {"host:99999999999999999999", NULL, 0},
                 {"", NULL, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char host[32];
        uint16_t port = 1;
        memset(&err, 0, sizeof err);
        jade_code rc = jade_config_split_listen(table[i].text, host, sizeof host, &port, &err);
        if ((rc == JADE_OK) != (table[i].host != NULL)) {
            fail_msg("%s: %s", table[i].text, jade_code_name(rc));
        }
        if (rc == JADE_OK) {
            assert_string_equal(host, table[i].host);
            assert_int_equal(port, table[i].port);
        } else {
            expect_refused(rc, JADE_E_INVALID_ARGUMENT, "listen", "expected HOST:PORT");
        }
    }
    char small[4];
    uint16_t port;
    assert_int_equal(jade_config_split_listen("host:1", small, sizeof small, &port, NULL),
                     JADE_E_INVALID_ARGUMENT);
}

static void loopback_is_this_machine_only(void **state)
{
    static const char *const yes[] = {"127.0.0.1", "127.255.0.9", "::1", "localhost", "LocalHost"};
    static const char *const no[] = {"0.0.0.0",         "::",      "10.0.0.1",
                                     "128.0.0.1",       "fe80::1", "localhost.example.com",
                                     "::ffff:10.0.0.1", "",        "127.1x"};
    (void)state;
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        assert_true(jade_config_is_loopback(yes[i]));
    }
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        assert_false(jade_config_is_loopback(no[i]));
    }
}

static void other_machines_need_a_word(void **state)
{
    static const char *const open[] = {"0.0.0.0:7433", "[::]:7433", "10.1.2.3:7433",
                                       "db.example:7433"};
    (void)state;
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        expect_refused(load((const char *[]){"--listen", open[i], NULL}), JADE_E_INVALID_ARGUMENT,
                       "listen", "--insecure");
        load_well((const char *[]){"--listen", open[i], "--insecure", NULL});
        setenv("JADE_AUTH_REQUIRED", "false", 1);
        expect_refused(load((const char *[]){"--listen", open[i], "--insecure", NULL}),
                       JADE_E_INVALID_ARGUMENT, "auth.required", "only on a loopback address");
        load_well(NULL);
        assert_false(c.auth_required);
        unsetenv("JADE_AUTH_REQUIRED");
    }
    expect_refused(load((const char *[]){"--listen", "nonsense", NULL}), JADE_E_INVALID_ARGUMENT,
                   "listen", "'nonsense'");
}

/* ---- printing ---- */

static void printed_configuration_reads_back_the_same(void **state)
{
    static char first[TEXT_MAX], second[TEXT_MAX];
    static const char *const data[] = {
        "data", "a \"quoted\" \\ path: #1", "\xc3\xa4 umlaut", "tab\there", "true", "017", "~"};
    (void)state;
    for (size_t i = 0; i < sizeof data / sizeof *data; i++) {
        load_well((const char *[]){"--data", data[i], "--workers", "7", "--listen", "[::1]:1",
                                   "--durability", "periodic", NULL});
        print_into(first);
        if (load_text(first) != JADE_OK) {
            fail_msg("%s\n%s", err.message, first);
        }
        assert_string_equal(c.data, data[i]);
        assert_int_equal(c.workers, 7);
        print_into(second);
        assert_string_equal(first, second);
    }
}

static void files_of_the_repository_load(void **state)
{
    const char *config = JADE_TEST_DIR "/../config";
    unsigned n = 0;
    (void)state;
    DIR *d = opendir(config);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        if (strstr(e->d_name, ".yaml")) {
            char path[JADE_PATH_MAX];
            snprintf(path, sizeof path, "%s/%s", config, e->d_name);
            load_well((const char *[]){"--config", path, NULL});
            assert_true(c.auth_required);
            n++;
        }
    }
    closedir(d);
    assert_int_equal(n, 3);
}

/* "#  workers: 16 ..." without its '#'; prose stays a comment. */
static bool is_commented_setting(const char *line)
{
    size_t at = line[0] == '#' ? 1 + strspn(line + 1, " ") : 0;
    size_t n = strspn(line + at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    return at > 0 && n > 0 && line[at + n] == ':' && strchr(" \n", line[at + n + 1]) != NULL;
}

static void template_lists_every_setting_with_its_default(void **state)
{
    static char text[TEXT_MAX], defaults[TEXT_MAX], listed[TEXT_MAX];
    struct setting all[64];
    char line[512];
    size_t n = 0;
    (void)state;
    FILE *f = fopen(JADE_TEST_DIR "/../config/development.yaml", "rb");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        const char *kept = line + is_commented_setting(line);
        assert_true(n + strlen(kept) < sizeof text);
        n += (size_t)snprintf(text + n, sizeof text - n, "%s", kept);
    }
    fclose(f);
    load_well(NULL);
    print_into(defaults);
    load_well((const char *[]){"--config", file_of(text), NULL});
    print_into(listed);
    assert_string_equal(listed, defaults);
    unsigned n_settings = settings_of_help(all, 64);
    for (unsigned i = 0; i < n_settings; i++) {
        char key[80];
        const char *dot = strrchr(all[i].yaml, '.');
        snprintf(key, sizeof key, "%.63s: ", dot ? dot + 1 : all[i].yaml);
        if (!strstr(text, key)) {
            fail_msg("config/development.yaml does not tell of %s", all[i].yaml);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(flag_beats_environment_beats_file_beats_default, clean),
        cmocka_unit_test_setup(every_setting_can_be_set_in_each_way, clean),
        cmocka_unit_test_setup(plain_flags_are_seen, clean),
        cmocka_unit_test_setup(unknown_flags_and_missing_values_are_named, clean),
        cmocka_unit_test_setup(faults_of_the_file_have_their_line, clean),
        cmocka_unit_test_setup(harmless_files_are_taken, clean),
        cmocka_unit_test_setup(faults_name_the_variable_or_flag, clean),
        cmocka_unit_test_setup(listen_address_is_split, clean),
        cmocka_unit_test_setup(loopback_is_this_machine_only, clean),
        cmocka_unit_test_setup(other_machines_need_a_word, clean),
        cmocka_unit_test_setup(printed_configuration_reads_back_the_same, clean),
        cmocka_unit_test_setup(template_lists_every_setting_with_its_default, clean),
        cmocka_unit_test_setup(files_of_the_repository_load, clean),
    };
    return cmocka_run_group_tests_name("config", tests, make_folder, remove_folder);
}
