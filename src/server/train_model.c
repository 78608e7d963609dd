#include "server/train_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "format/json.h"
#include "node/node.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, LINE_MAX_BYTES = 8 << 20, CLOSE_US = 2500000 };

struct options {
    const char *data, *from, *corpus;
};

static const char usage[] =
    "usage: jadevectordb train-model --data DIR --from FILE.jsonl [--corpus NAME]\n\n"
    "Makes a version of the embedding model jade-hash-384 from the \"text\" of every line of FILE, as the\n"
    "default of the data folder DIR. The server must not be running there. NAME: up to 24 of a-z, 0-9, '-'\n"
    "(default \"corpus\").\n";

static bool read_options(int argc, char **argv, struct options *o)
{
    *o = (struct options){.corpus = "corpus"};
    for (int i = 1; i < argc; i += 2) {
        const char **slot = strcmp(argv[i], "--data") == 0     ? &o->data
                            : strcmp(argv[i], "--from") == 0   ? &o->from
                            : strcmp(argv[i], "--corpus") == 0 ? &o->corpus
                                                               : NULL;
        if (!slot || i + 1 == argc) {
            return false;
        }
        *slot = argv[i + 1];
    }
    return o->data && o->from;
}

/* Adds the text of one line; blank lines are skipped. */
static jade_code add_line(struct jade_embed_trainer *t, struct jade_json_parser *parser,
                          const char *line, size_t n, uint64_t *count, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_json root, text;
    if (n == 0) {
        return JADE_OK;
    }
    JADE_TRY(jade_json_parse(parser, line, n, &root, err));
    if (jade_json_type(root) != JADE_JSON_OBJECT || !jade_json_get(root, "text", &text) ||
        jade_json_type(text) != JADE_JSON_STRING) {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "text", "missing; expected a string");
        goto out;
    }
    JADE_TRY(jade_embed_trainer_add(t, jade_json_string(text), err));
    ++*count;
out:
    return rc;
}

static jade_code add_file(struct jade_embed_trainer *t, const char *path, uint64_t *count,
                          struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_mapping file;
    struct jade_json_parser *parser = NULL;
    uint64_t number = 0;
    JADE_TRY(jade_os_map(jade_os_posix(), path, &file, err));
    rc = jade_json_parser_new(LINE_MAX_BYTES, 64, &parser, err);
    for (size_t at = 0; rc == JADE_OK && at < file.size;) {
        const uint8_t *end = memchr(file.data + at, '\n', file.size - at);
        size_t n = end ? (size_t)(end - (file.data + at)) : file.size - at;
        number++;
        rc = add_line(t, parser, (const char *)file.data + at, n, count, err);
        at += n + 1;
    }
    if (rc != JADE_OK && number > 0) {
        (void)jade_err_wrap(err, rc, "%s, line %" PRIu64, path, number);
    }
    jade_json_parser_free(parser);
    jade_os_unmap(jade_os_posix(), &file);
out:
    return rc;
}

static jade_code train(const struct options *o, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_node *node = NULL;
    struct jade_embed_trainer *t = NULL;
    const struct jade_embed_model *model;
    uint64_t count = 0;
    struct jade_node_opts opts = jade_node_opts_default();
    opts.os = jade_os_posix();
    opts.data = o->data;
    opts.manual = true;                          /* nothing runs beside us */
    JADE_TRY(jade_node_open(&opts, &node, err)); /* locks the folder: no server has it open */
    JADE_TRY(jade_embed_trainer_new(&t, err));
    JADE_TRY(add_file(t, o->from, &count, err));
    JADE_TRY(jade_embed_trainer_finish(t, jade_node_embed_registry(node), o->corpus, &model, err));
    printf("trained %s %s on %" PRIu64 " texts\n", jade_embed_model_name(model),
           jade_embed_model_version(model), count);
out:
    jade_embed_trainer_free(t);
    jade_code closed = jade_node_close(node, CLOSE_US, rc == JADE_OK ? err : NULL);
    return rc == JADE_OK ? closed : rc;
}

int jade_train_model(int argc, char **argv)
{
    struct options o;
    struct jade_err err = {0};
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (!read_options(argc, argv, &o)) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    if (train(&o, &err) != JADE_OK) {
        fprintf(stderr, "jadevectordb: %s%s%s\n", err.field, err.field[0] ? ": " : "", err.message);
        return EXIT_FAILED;
    }
    return 0;
}
