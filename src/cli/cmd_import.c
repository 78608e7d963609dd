/*
 * jade-db import
 */
#include <inttypes.h>
#include <string.h>

#include "base/limits.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/lanes.h"
#include "cli/progress.h"
#include "cli/source.h"
#include "cli/verify.h"
#include "format/json_out.h"
#include "os/os.h"

enum { BAD_SHOWN_MAX = 100 };

static const struct jade_option options[] = {
    {"file", 'f', "FILE", "JSON lines or an .npy array; - is standard input (required)"},
    {"ids", 0, "FILE", "ids of an .npy array, one a line (default: row numbers from 0)"},
    {"create", 0, NULL,
     "create the database if it does not exist; the first row tells its dimension"},
    JADE_OPTIONS_INDEX,
    {"description", 0, "TEXT", "with --create: what the database holds"},
    {"batch", 0, "N", "rows a request (default 1000)"},
    {"connections", 0, "N", "requests at the same time (default 4)"},
    {"no-verify", 0, NULL, "do not read a sample of the rows back at the end"},
    {"quiet", 'q', NULL, "no progress"},
    {NULL, 0, NULL, NULL},
};

struct import {
    struct jade_cli *cli;
    const struct jade_args *args;
    const char *db;
    struct jade_source source;
    struct jade_progress progress;
    struct jade_verify verify;
    char metric[16]; /* of the database */
    struct jade_buf path;
    uint64_t connections, batch;
    double seconds; /* of sending */
};

static void report_bad(void *ctx, uint64_t number, const struct jade_err *why)
{
    struct import *m = ctx;
    uint64_t before = atomic_fetch_add(&m->progress.n_bad, 1);
    jade_verify_drop(&m->verify, number);
    if (before < BAD_SHOWN_MAX) {
        jade_progress_say(&m->progress, "%s %" PRIu64 ": %s: %s%s%s",
                          m->source.is_npy ? "row" : "line", number, jade_code_name(why->code),
                          why->field, why->field[0] ? ": " : "", why->message);
    } else if (before == BAD_SHOWN_MAX) {
        jade_progress_say(&m->progress, "more bad rows are counted, not shown");
    }
}

/* ---- the database ---- */

/* Its dimension, 0 when there is no such database; its metric. */
static jade_code find_database(struct import *m, uint32_t *dimension, struct jade_err *err)
{
    struct jade_reply reply;
    struct jade_json v;
    *dimension = 0;
    jade_code rc = jade_cli_database_path(&m->path, m->db, "", err);
    if (rc == JADE_OK) {
        rc = jade_cli_call(m->cli, "GET", (const char *)m->path.data, NULL, 0, &reply, err);
    }
    if (rc != JADE_OK) {
        return rc;
    }
    if (jade_json_type(reply.data) != JADE_JSON_OBJECT ||
        !jade_json_get(reply.data, "vectorDimension", &v) || jade_json_type(v) != JADE_JSON_INT ||
        jade_json_int(v) < 1 || jade_json_int(v) > JADE_DIM_MAX) {
        return jade_fail(err, JADE_E_NETWORK, "the server does not tell the dimension of %s",
                         m->db);
    }
    *dimension = (uint32_t)jade_json_int(v);
    if (jade_json_get(reply.data, "metric", &v) && jade_json_type(v) == JADE_JSON_STRING) {
        snprintf(m->metric, sizeof m->metric, "%.15s", jade_json_string(v).p);
    }
    return JADE_OK;
}

static jade_code create_database(struct import *m, const struct jade_row *first,
                                 struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_buf body;
    struct jade_reply reply;
    jade_buf_init(&body, JADE_TAG_OTHER);
    if (first->dimension == 0 && !jade_args_flag(m->args, "model")) {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "--model",
                             "is required with --create when the rows are texts");
        goto out;
    }
    JADE_TRY(jade_database_body(m->args, m->db, first->dimension, &body, err));
    JADE_TRY(jade_cli_call(m->cli, "POST", "/api/v1/databases", (const char *)body.data, body.len,
                           &reply, err));
    JADE_TRY(find_database(m, &m->source.dimension, err));
out:
    jade_buf_release(&body);
    return rc;
}

/* ---- the rows ---- */

/* Next good row; the bad ones before it are told. */
static jade_code next_good(struct import *m, struct jade_row *row, struct jade_err *err)
{
    for (;;) {
        jade_code rc = jade_source_next(&m->source, row, err);
        if (rc != JADE_OK || row->kind != JADE_ROW_BAD) {
            return rc;
        }
        report_bad(m, row->number, &row->why);
    }
}

/* Only a row that was handed over is expected to be there. */
static jade_code send_row(struct import *m, struct jade_lanes *lanes, const struct jade_row *row,
                          struct jade_err *err)
{
    const float *values = row->dimension > 0 ? m->source.values : NULL;
    bool is_distinct = row->id_len == 0 || (m->source.is_npy && !m->source.ids.file);
    jade_code rc = jade_verify_put(&m->verify, row, values, is_distinct, err);
    return rc == JADE_OK ? jade_lanes_put(lanes, row, err) : rc;
}

static jade_code send_all(struct import *m, struct jade_row *row, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_lanes *lanes = NULL;
    bool refused = false;
    JADE_TRY(jade_cli_database_path(&m->path, m->db, "/vectors/batch", err));
    struct jade_lanes_opts opts = {.url = m->cli->url,
                                   .key = m->cli->key,
                                   .path = (const char *)m->path.data,
                                   .n = (unsigned)m->connections,
                                   .batch_rows = (unsigned)m->batch,
                                   .progress = &m->progress,
                                   .bad = report_bad,
                                   .ctx = m};
    JADE_TRY(jade_lanes_new(&opts, &lanes, err));
    while (rc == JADE_OK && row->kind == JADE_ROW_GOOD) {
        rc = send_row(m, lanes, row, err);
        rc = rc == JADE_OK ? next_good(m, row, err) : rc;
    }
    /* Also after an error of reading: what was read before it is stored. */
    struct jade_err later = {0};
    jade_code sent = jade_lanes_finish(lanes, &refused, rc == JADE_OK ? err : &later);
    rc = rc == JADE_OK ? sent : rc;
    m->cli->refused = refused;
out:
    jade_lanes_free(lanes);
    return rc;
}

static jade_code find_or_create(struct import *m, struct jade_row *first, struct jade_err *err)
{
    bool create = jade_args_flag(m->args, "create");
    jade_code rc = find_database(m, &m->source.dimension, err);
    bool missing = rc == JADE_E_NOT_FOUND && create;
    if (rc != JADE_OK && !missing) {
        return rc;
    }
    rc = next_good(m, first, err);
    if (rc == JADE_OK && missing && first->kind == JADE_ROW_GOOD) {
        rc = create_database(m, first, err);
    } else if (rc == JADE_OK && missing) {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "--create",
                             "there is no good row to take the dimension from");
    }
    return rc;
}

/* ---- the outcome ---- */

static void tell(struct import *m, jade_code rc)
{
    FILE *out = m->cli->out;
    uint64_t n = atomic_load(&m->progress.n_done), bad = atomic_load(&m->progress.n_bad);
    double seconds = m->seconds, rate = seconds > 0 ? (double)n / seconds : 0;
    struct jade_buf text;
    jade_buf_init(&text, JADE_TAG_OTHER);
    if (m->cli->output == JADE_OUTPUT_JSON) {
        jade_buf_printf(&text,
                        "{\"imported\":%" PRIu64 ",\"bad\":%" PRIu64
                        ",\"verified\":%u,\"seconds\":%.3f,\"complete\":%s}",
                        n, bad, m->verify.n_checked, seconds, rc == JADE_OK ? "true" : "false");
    } else if (m->cli->output == JADE_OUTPUT_YAML) {
        jade_buf_printf(&text,
                        "imported: %" PRIu64 "\nbad: %" PRIu64
                        "\nverified: %u\nseconds: %.3f\ncomplete: %s",
                        n, bad, m->verify.n_checked, seconds, rc == JADE_OK ? "true" : "false");
    } else {
        jade_buf_append_str(&text, rc == JADE_OK ? "imported " : "stopped; stored were ");
        jade_grouped(n, &text);
        jade_buf_printf(&text, " rows into %.128s in %.1f s (", m->db, seconds);
        jade_grouped((uint64_t)rate, &text);
        jade_buf_append_str(&text, " rows/s)");
        if (bad > 0) {
            jade_buf_append_str(&text, ", left out ");
            jade_grouped(bad, &text);
            jade_buf_append_str(&text, " bad ones");
        }
        if (m->verify.n_checked > 0) {
            jade_buf_printf(&text, "; %u read back and found", m->verify.n_checked);
        }
    }
    if (jade_buf_status(&text, NULL) == JADE_OK) {
        fprintf(out, "%.*s\n", (int)text.len, (const char *)text.data);
    }
    jade_buf_release(&text);
}

static jade_code run(struct import *m, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_row row;
    JADE_TRY(
        jade_progress_start(&m->progress, m->cli->errors, jade_args_flag(m->args, "quiet"), err));
    atomic_store(&m->progress.bytes_all, m->source.in.size_bytes);
    rc = find_or_create(m, &row, err);
    bool began = rc == JADE_OK;
    rc = began ? send_all(m, &row, err) : rc;
    jade_progress_stop(&m->progress);
    m->seconds = (double)(jade_os_mono_us(jade_os_posix()) - m->progress.began_us) / 1e6;
    if (rc == JADE_OK && !jade_args_flag(m->args, "no-verify")) {
        rc = jade_verify_run(&m->verify, m->cli, m->db, m->metric, err);
        if (rc != JADE_OK) {
            (void)jade_err_wrap(err, rc,
                                "not as it was sent (nobody else may write meanwhile, or "
                                "--no-verify)");
        }
    }
    if (began) {
        tell(m, rc);
        m->cli->exit = atomic_load(&m->progress.n_bad) > 0 ? JADE_EXIT_PARTIAL : JADE_EXIT_OK;
    }
out:
    return rc;
}

static jade_code import(struct jade_cli *cli, const struct jade_args *a, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    static struct import m; /* large */
    m = (struct import){
        .cli = cli, .args = a, .db = a->operand[0], .connections = 4, .batch = 1000};
    const char *file = jade_args_get(a, "file");
    if (!file) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "--file", "is required");
    }
    jade_buf_init(&m.path, JADE_TAG_OTHER);
    jade_verify_init(&m.verify);
    JADE_TRY(jade_args_u64(a, "batch", 1, JADE_LANE_ROWS_MAX, &m.batch, err));
    JADE_TRY(jade_args_u64(a, "connections", 1, JADE_LANES_MAX, &m.connections, err));
    JADE_TRY(jade_source_open(&m.source, file, jade_args_get(a, "ids"), err));
    JADE_TRY(run(&m, err));
out:
    jade_source_close(&m.source);
    jade_buf_release(&m.path);
    jade_verify_release(&m.verify);
    return rc;
}

const struct jade_command jade_commands_import[] = {
    {"import", "DB", 1, 1, "Stores many vectors from a file.", options,
     "A JSON line is a vector as the API takes it: {\"id\": \"a\", \"values\": [0.1, 0.2], \"metadata\": {...}}, or with \"text\" instead of \"values\".\n"
     "An .npy file holds one array of two dimensions, float32 or float64.\n"
     "Rows that are bad are told with line number and reason and left out; the others are stored, and the exit code is then 3.\n"
     "A row whose id exists replaces what was there, so an import that broke off can be run again.\n"
     "At the end up to 20 rows are read back, compared with the file and searched for; exit code 1 when one is not as it was sent.\n\n"
     "examples\n"
     "  jade-db import products --file products.jsonl\n"
     "  jade-db import faces --file faces.npy --ids faces.txt --create --metric euclidean\n"
     "  zcat glosses.jsonl.gz | jade-db import glosses --file - --create --model jade-hash-384\n",
     import},
    {NULL, NULL, 0, 0, NULL, NULL, NULL, NULL},
};
