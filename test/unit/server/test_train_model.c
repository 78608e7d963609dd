/*
 * jadevectordb train-model: a trained model is the default of its data folder; a refusal leaves the folder as it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "node/node.h"
#include "server/train_model.h"
#include "support/temp_folder.h"

static char folder[JADE_PATH_MAX];
static char data[JADE_PATH_MAX];
static char corpus[JADE_PATH_MAX];

static int setup(void **state)
{
    (void)state;
    temp_folder_make(folder);
    assert_int_equal(jade_path_join(data, folder, "data", NULL), JADE_OK);
    assert_int_equal(jade_path_join(corpus, folder, "corpus.jsonl", NULL), JADE_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    temp_folder_remove(folder);
    return 0;
}

static int train(const char *text)
{
    char name[] = "train-model", a[] = "--data", b[] = "--from", c[] = "--corpus", d[] = "test";
    char *argv[] = {name, a, data, b, corpus, c, d, NULL};
    assert_int_equal(jade_os_replace(jade_os_posix(), corpus, text, strlen(text), NULL), JADE_OK);
    return jade_train_model(7, argv);
}

static struct jade_node *open_node(void)
{
    struct jade_node *node = NULL;
    struct jade_node_opts opts = jade_node_opts_default();
    opts.os = jade_os_posix();
    opts.data = data;
    opts.manual = true;
    assert_int_equal(jade_node_open(&opts, &node, NULL), JADE_OK);
    return node;
}

/* "u1" is the built-in version; a trained one is called after its corpus. */
static void expect_default(const char *version_begins)
{
    const struct jade_embed_model *m = NULL;
    struct jade_node *node = open_node();
    assert_int_equal(
        jade_embed_get(jade_node_embed_registry(node), JADE_EMBED_HASH_384, NULL, &m, NULL),
        JADE_OK);
    assert_memory_equal(jade_embed_model_version(m), version_begins, strlen(version_begins));
    assert_int_equal(jade_node_close(node, 1000000, NULL), JADE_OK);
}

static void train_model_makes_the_default_of_the_data_folder(void **state)
{
    (void)state;
    assert_int_equal(train("{\"id\":\"a\",\"text\":\"a cat\"}\n\n{\"text\":\"a dog\"}"), 0);
    expect_default("test-");
}

static void train_model_bad_line_changes_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "{\"text\":\"a\"}\n{\"text\":5}\n",
                                        "{\"text\":\"a\"}\n{\n", "[]\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(train(texts[i]), 1);
        expect_default("u1");
    }
}

static void train_model_folder_of_a_running_server_is_refused(void **state)
{
    (void)state;
    struct jade_node *node = open_node();
    assert_int_equal(train("{\"text\":\"a cat\"}\n"), 1);
    assert_int_equal(jade_node_close(node, 1000000, NULL), JADE_OK);
    expect_default("u1");
}

static void train_model_wrong_usage_is_told(void **state)
{
    (void)state;
    char name[] = "train-model", a[] = "--data", help[] = "--help", other[] = "--what";
    char *none[] = {name, NULL}, *half[] = {name, a, NULL}, *wrong[] = {name, other, a, NULL};
    char *asked[] = {name, help, NULL};
    assert_int_equal(jade_train_model(1, none), 2);
    assert_int_equal(jade_train_model(2, half), 2);
    assert_int_equal(jade_train_model(3, wrong), 2);
    assert_int_equal(jade_train_model(2, asked), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(train_model_makes_the_default_of_the_data_folder, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(train_model_bad_line_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(train_model_folder_of_a_running_server_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(train_model_wrong_usage_is_told, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
