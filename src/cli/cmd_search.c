/*
 * jade-db search
 */
#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "format/json_out.h"

static const struct jade_option options[] = {
    {"vector", 'v', "\"[...]\"", "find what is near these numbers"},
    {"text", 't', "TEXT", "or near this text, embedded by the database's model"},
    {"id", 0, "ID", "or near this stored vector"},
    {"top-k", 'k', "N", "how many (default 10)"},
    {"filter", 'f', "JSON", "only vectors whose metadata match, e.g. '{\"pos\": \"noun\"}'"},
    {"threshold", 0, "SCORE", "only results of at least this score"},
    {"ef", 0, "N", "candidates to look at: more finds more and takes longer"},
    {"exact", 0, NULL, "compare with every vector instead of using the index"},
    {"columns", 'c', "LIST", "columns of the table: id, score, distance, and names of metadata"},
    {"no-metadata", 0, NULL, "leave the metadata out"},
    {"values", 0, NULL, "with the numbers of each result"},
    {NULL, 0, NULL, NULL},
};

static jade_code add_question(struct jade_json_out *o, const struct jade_args *a,
                              struct jade_err *err)
{
    const char *vector = jade_args_get(a, "vector"), *text = jade_args_get(a, "text");
    const char *id = jade_args_get(a, "id");
    if ((vector != NULL) + (text != NULL) + (id != NULL) != 1) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "--vector",
                               "give one of --vector, --text and --id");
    }
    if (text) {
        jade_out_key_str(o, "text", text);
    } else if (id) {
        jade_out_key_str(o, "id", id);
    } else {
        jade_out_key(o, "queryVector");
        return jade_cli_option_json("--vector", vector, JADE_JSON_ARRAY, o, err);
    }
    return JADE_OK;
}

static jade_code write_body(const struct jade_args *a, struct jade_buf *body, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_json_out o;
    uint64_t k = JADE_TOPK_DEFAULT, ef = 0;
    double threshold = 0;
    bool has_threshold;
    jade_json_out_init(&o, body);
    jade_out_object(&o);
    JADE_TRY(add_question(&o, a, err));
    JADE_TRY(jade_args_u64(a, "top-k", 1, JADE_TOPK_MAX, &k, err));
    JADE_TRY(jade_args_u64(a, "ef", 1, JADE_EF_MAX, &ef, err));
    JADE_TRY(jade_args_f64(a, "threshold", &threshold, &has_threshold, err));
    jade_out_key_u64(&o, "topK", k);
    if (ef > 0) {
        jade_out_key_u64(&o, "efSearch", ef);
    }
    if (has_threshold) {
        jade_out_key_f64(&o, "threshold", threshold);
    }
    if (jade_args_flag(a, "exact")) {
        jade_out_key_bool(&o, "exact", true);
    }
    jade_out_key_bool(&o, "includeMetadata", !jade_args_flag(a, "no-metadata"));
    jade_out_key_bool(&o, "includeValues", jade_args_flag(a, "values"));
    if (jade_args_flag(a, "filter")) {
        jade_out_key(&o, "filter");
        JADE_TRY(jade_cli_option_json("--filter", jade_args_get(a, "filter"), JADE_JSON_OBJECT, &o,
                                      err));
    }
    jade_out_object_end(&o);
    JADE_TRY(jade_buf_status(body, err));
out:
    return rc;
}

/* ---- the table ---- */

struct columns {
    char text[512]; /* names, each NUL-terminated */
    const char *title[JADE_TABLE_COLUMNS_MAX];
    const char *name[JADE_TABLE_COLUMNS_MAX];
    unsigned n;
};

static jade_code take_columns(const char *list, struct columns *c, struct jade_err *err)
{
    c->n = 0;
    if (strlen(list) >= sizeof c->text) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "--columns", "too long");
    }
    snprintf(c->text, sizeof c->text, "%s", list);
    for (char *at = c->text; at;) {
        char *comma = strchr(at, ',');
        if (comma) {
            *comma = '\0';
        }
        if (at[0] == '\0' || c->n == JADE_TABLE_COLUMNS_MAX) {
            return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "--columns",
                                   "expected 1 to %d names separated by commas",
                                   JADE_TABLE_COLUMNS_MAX);
        }
        bool is_number = strcmp(at, "score") == 0 || strcmp(at, "distance") == 0;
        c->name[c->n] = at;
        c->title[c->n++] = !is_number ? at : at[0] == 's' ? ">score" : ">distance";
        at = comma ? comma + 1 : NULL;
    }
    return JADE_OK;
}

static void append_number(struct jade_json hit, const char *key, struct jade_buf *out)
{
    struct jade_json v;
    if (jade_json_get(hit, key, &v) && jade_json_is_number(v)) {
        jade_buf_printf(out, "%.4f", jade_json_double(v));
    }
}

/* A list of short texts reads better without its brackets. */
static void append_metadata(struct jade_json metadata, const char *path, struct jade_buf *out)
{
    struct jade_json v = metadata, element;
    struct jade_json_iter it = {0};
    if (strncmp(path, "metadata.", 9) == 0) {
        path += 9;
    }
    if (jade_json_type(metadata) != JADE_JSON_OBJECT || !jade_json_get(metadata, path, &v) ||
        jade_json_type(v) != JADE_JSON_ARRAY) {
        jade_cli_member_text(metadata, path, out);
        return;
    }
    for (bool more = false; jade_json_array_next(v, &it, &element); more = true) {
        jade_buf_append_str(out, more ? ", " : "");
        if (jade_json_type(element) == JADE_JSON_STRING) {
            jade_buf_append(out, jade_json_string(element).p, jade_json_string(element).n);
        } else {
            jade_json_write(element, out);
        }
    }
}

static void add_hit(struct jade_table *t, const struct columns *c, struct jade_json hit,
                    struct jade_buf *text)
{
    struct jade_json metadata;
    for (unsigned i = 0; i < c->n; i++) {
        const char *name = c->name[i];
        jade_buf_clear(text);
        if (strcmp(name, "score") == 0 || strcmp(name, "distance") == 0) {
            append_number(hit, name, text);
        } else if (strcmp(name, "id") == 0 || strcmp(name, "metadata") == 0 ||
                   strcmp(name, "values") == 0 || strcmp(name, "version") == 0) {
            jade_cli_member_text(hit, name, text);
        } else if (jade_json_get(hit, "metadata", &metadata)) {
            append_metadata(metadata, name, text);
        }
        jade_table_cell(t, (const char *)text->data, text->len);
    }
}

static void print_summary(struct jade_cli *cli, const struct jade_reply *reply, size_t n)
{
    struct jade_json took;
    fprintf(cli->out, "%zu result%s", n, n == 1 ? "" : "s");
    if (reply->has_meta && jade_json_get(reply->meta, "tookMs", &took) &&
        jade_json_is_number(took)) {
        fprintf(cli->out, ", server %.2f ms", jade_json_double(took));
    }
    fprintf(cli->out, ", with the way there and back %.2f ms\n", (double)reply->elapsed_us / 1e3);
}

static jade_code print_hits(struct jade_cli *cli, const struct jade_args *a,
                            const struct jade_reply *reply, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_table t;
    struct jade_buf text;
    struct columns c;
    struct jade_json results, hit;
    struct jade_json_iter it = {0};
    size_t n = 0;
    const char *list = jade_args_get(a, "columns");
    if (jade_json_type(reply->data) != JADE_JSON_OBJECT ||
        !jade_json_get(reply->data, "results", &results) ||
        jade_json_type(results) != JADE_JSON_ARRAY) {
        return jade_fail(err, JADE_E_NETWORK, "the answer holds no list of results");
    }
    if (!list) {
        list = jade_args_flag(a, "values")        ? "id,score,distance,values,metadata"
               : jade_args_flag(a, "no-metadata") ? "id,score,distance"
                                                  : "id,score,distance,metadata";
    }
    rc = take_columns(list, &c, err);
    if (rc != JADE_OK) {
        return rc;
    }
    jade_table_init(&t, c.title, c.n);
    jade_buf_init(&text, JADE_TAG_OTHER);
    for (; jade_json_array_next(results, &it, &hit); n++) {
        add_hit(&t, &c, hit, &text);
    }
    JADE_TRY(jade_table_print(&t, cli->out, "nothing found", err));
    print_summary(cli, reply, n);
out:
    jade_buf_release(&text);
    jade_table_release(&t);
    return rc;
}

static jade_code search(struct jade_cli *cli, const struct jade_args *a, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_buf path, body;
    struct jade_reply reply;
    struct columns c;
    jade_buf_init(&path, JADE_TAG_OTHER);
    jade_buf_init(&body, JADE_TAG_OTHER);
    if (jade_args_flag(a, "columns")) { /* before anything is sent */
        JADE_TRY(take_columns(jade_args_get(a, "columns"), &c, err));
    }
    JADE_TRY(jade_cli_database_path(&path, a->operand[0], "/search", err));
    JADE_TRY(write_body(a, &body, err));
    JADE_TRY(jade_cli_call(cli, "POST", (const char *)path.data, (const char *)body.data, body.len,
                           &reply, err));
    if (!jade_cli_print(cli, reply.data)) {
        JADE_TRY(print_hits(cli, a, &reply, err));
    }
out:
    jade_buf_release(&path);
    jade_buf_release(&body);
    return rc;
}

const struct jade_command jade_commands_search[] = {
    {"search", "DB", 1, 1, "Finds the nearest vectors.", options,
     "The filter language is that of the API: $eq $ne $gt $gte $lt $lte $in $nin $exists $and $or $not.\n\n"
     "examples\n"
     "  jade-db search products --vector \"[0.1, 0.2, 0.3]\" --top-k 5\n"
     "  jade-db search wordnet --text \"a small domestic animal\" --filter '{\"pos\": \"noun\"}'\n"
     "  jade-db search wordnet --id n-02084071 --columns score,words,definition\n"
     "  jade-db -o json search products --vector \"[0.1, 0.2, 0.3]\" | jq -r '.results[].id'\n",
     search},
    {NULL, NULL, 0, 0, NULL, NULL, NULL, NULL},
};
