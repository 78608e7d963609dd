/*
 * include/jade/jade.h on top of src/shard: a folder of databases of one shard each.
 *
 * Folder: LOCK, <name>/config.json (published last: a folder without it never was a database), <name>/0/ the shard.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/assert.h"
#include "format/json.h"
#include "format/json_out.h"
#include "jade/jade.h"
#include "shard/shard.h"

struct jade_env {
    struct jade_os *os;
    struct jade_engine *engine;
    struct jade_lock *lock;
    char folder[JADE_PATH_MAX / 2];
};

struct jade_db {
    jade_env *env;
    struct jade_shard *shard;
};

struct jade_results {
    struct jade_arena arena;
    jade_result *items;
    size_t n;
};

enum { CONFIG_BYTES_MAX = 65536, CONFIG_DEPTH_MAX = 8, CONFIG_VERSION = 1 };

static const char *const metric_names[] = {"cosine", "euclidean", "dot"};

const char *jade_version(void)
{
    return JADE_VERSION;
}

/* ---- environment ---- */

jade_code jade_env_open(const char *folder, const jade_env_options *options, jade_env **env_out,
                        jade_error *err)
{
    jade_code rc = JADE_OK;
    char path[JADE_PATH_MAX];
    *env_out = NULL;
    jade_env *env = jade_calloc(JADE_TAG_OTHER, 1, sizeof *env);
    if (!env) {
        return jade_fail(err, JADE_E_NOMEM, "environment");
    }
    env->os = jade_os_posix();
    if (!folder ||
        snprintf(env->folder, sizeof env->folder, "%s", folder) >= (int)sizeof env->folder ||
        folder[0] == '\0') {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "folder",
                             "expected a path of 1..%zu bytes", sizeof env->folder - 1);
        goto out;
    }
    JADE_TRY(jade_os_mkdirs(env->os, folder, err));
    JADE_TRY(jade_path_join(path, folder, "LOCK", err));
    JADE_TRY(jade_os_lock(env->os, path, &env->lock, err));
    struct jade_engine_opts opts = {
        .os = env->os, .background_threads = options ? options->background_threads : 0};
    JADE_TRY(jade_engine_new(&opts, &env->engine, err));
    *env_out = env;
    return JADE_OK;
out:
    (void)jade_env_close(env, NULL);
    return rc;
}

jade_code jade_env_close(jade_env *env, jade_error *err)
{
    (void)err; /* nothing here can fail: every database was made durable by its own close */
    if (env) {
        jade_engine_free(env->engine);
        jade_os_unlock(env->lock);
        jade_free(env);
    }
    return JADE_OK;
}

static bool name_is_valid(const char *name)
{
    static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t n = name ? strlen(name) : 0;
    return n >= 1 && n <= JADE_DB_NAME_MAX && strchr(first, name[0]) != NULL &&
           strspn(name, all) == n;
}

static jade_code db_path(const jade_env *env, const char *name, const char *what,
                         char out[JADE_PATH_MAX], struct jade_err *err)
{
    if (!name_is_valid(name)) {
        return jade_fail_field(
            err, JADE_E_INVALID_ARGUMENT, "name",
            "expected 1..%u of A-Z a-z 0-9 _ . -, beginning with a letter or digit",
            JADE_DB_NAME_MAX);
    }
    int n = snprintf(out, JADE_PATH_MAX, "%s/%s%s%s", env->folder, name, what[0] ? "/" : "", what);
    return n > 0 && n < JADE_PATH_MAX
               ? JADE_OK
               : jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "name", "the path is too long");
}

struct list_ctx {
    jade_env *env;
    struct jade_buf names; /* of char[JADE_DB_NAME_MAX + 1] */
};

static jade_code note_name(void *arg, const char *name, bool is_dir, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct list_ctx *c = arg;
    char path[JADE_PATH_MAX];
    char fixed[JADE_DB_NAME_MAX + 1] = {0};
    bool there = false;
    if (!is_dir || !name_is_valid(name)) {
        return JADE_OK;
    }
    JADE_TRY(db_path(c->env, name, "config.json", path, err));
    JADE_TRY(jade_os_exists(c->env->os, path, &there, err));
    if (there) {
        memcpy(fixed, name, strlen(name));
        jade_buf_append(&c->names, fixed, sizeof fixed);
    }
out:
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

jade_code jade_env_list(jade_env *env, int (*fn)(void *ctx, const char *name), void *ctx,
                        jade_error *err)
{
    jade_code rc = JADE_OK;
    struct list_ctx c = {.env = env};
    enum { STRIDE = JADE_DB_NAME_MAX + 1 };
    jade_buf_init(&c.names, JADE_TAG_OTHER);
    JADE_TRY(jade_os_list(env->os, env->folder, note_name, &c, err));
    JADE_TRY(jade_buf_status(&c.names, err));
    if (c.names.len > 0) {
        qsort(c.names.data, c.names.len / STRIDE, STRIDE, by_name);
    }
    for (size_t at = 0; at < c.names.len; at += STRIDE) {
        if (fn(ctx, (const char *)c.names.data + at) != 0) {
            break;
        }
    }
out:
    jade_buf_release(&c.names);
    return rc;
}

/* ---- configuration ---- */

jade_db_config jade_db_config_default(uint32_t dimension)
{
    struct jade_index_params p = jade_index_params_default();
    return (jade_db_config){.dimension = dimension,
                            .metric = metric_names[JADE_METRIC_COSINE],
                            .index = jade_index_kind_name(p.kind),
                            .m = p.m,
                            .ef_construction = p.ef_construction,
                            .ef_search = p.ef_search,
                            .durability = jade_durability_name(JADE_DURABILITY_SYNC)};
}

static jade_code parse_metric(const char *word, enum jade_metric *out, struct jade_err *err)
{
    for (unsigned i = 0; i < 3; i++) {
        if (strcasecmp(word, metric_names[i]) == 0) {
            *out = (enum jade_metric)i;
            return JADE_OK;
        }
    }
    return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "metric",
                           "'%.40s'; expected cosine, euclidean or dot", word);
}

static jade_code to_shard(const jade_db_config *c, struct jade_shard_config *out,
                          struct jade_err *err)
{
    jade_code rc = JADE_OK;
    enum jade_metric metric = JADE_METRIC_COSINE;
    if (c->metric) {
        JADE_TRY(parse_metric(c->metric, &metric, err));
    }
    *out = jade_shard_config_default(c->dimension, metric);
    if (c->index) {
        JADE_TRY(jade_index_kind_parse(c->index, strlen(c->index), &out->index.kind, err));
    }
    out->index.m = c->m ? c->m : out->index.m;
    out->index.ef_construction =
        c->ef_construction ? c->ef_construction : out->index.ef_construction;
    out->index.ef_search = c->ef_search ? c->ef_search : out->index.ef_search;
    if (c->durability) {
        JADE_TRY(
            jade_durability_parse(c->durability, strlen(c->durability), &out->durability, err));
    }
    rc = jade_shard_config_check(out, err);
out:
    return rc;
}

static jade_db_config from_shard(const struct jade_shard_config *c)
{
    return (jade_db_config){.dimension = c->dim,
                            .metric = metric_names[c->metric],
                            .index = jade_index_kind_name(c->index.kind),
                            .m = c->index.m,
                            .ef_construction = c->index.ef_construction,
                            .ef_search = c->index.ef_search,
                            .durability = jade_durability_name(c->durability)};
}

static jade_code store_config(jade_env *env, const char *path, const struct jade_shard_config *c,
                              struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_buf buf;
    struct jade_json_out o;
    jade_db_config p = from_shard(c);
    jade_buf_init(&buf, JADE_TAG_OTHER);
    jade_json_out_init(&o, &buf);
    jade_out_object(&o);
    jade_out_key_u64(&o, "version", CONFIG_VERSION);
    jade_out_key_u64(&o, "dimension", p.dimension);
    jade_out_key_str(&o, "metric", p.metric);
    jade_out_key_str(&o, "index", p.index);
    jade_out_key_u64(&o, "M", p.m);
    jade_out_key_u64(&o, "efConstruction", p.ef_construction);
    jade_out_key_u64(&o, "efSearch", p.ef_search);
    jade_out_key_str(&o, "durability", p.durability);
    jade_out_object_end(&o);
    JADE_TRY(jade_buf_status(&buf, err));
    JADE_TRY(jade_os_replace(env->os, path, buf.data, buf.len, err));
out:
    jade_buf_release(&buf);
    return rc;
}

static uint32_t get_u32(struct jade_json doc, const char *key)
{
    struct jade_json v;
    return jade_json_get(doc, key, &v) && jade_json_type(v) == JADE_JSON_INT &&
                   jade_json_int(v) >= 0 && jade_json_int(v) <= UINT32_MAX
               ? (uint32_t)jade_json_int(v)
               : 0;
}

static const char *get_str(struct jade_json doc, const char *key)
{
    struct jade_json v;
    return jade_json_get(doc, key, &v) && jade_json_type(v) == JADE_JSON_STRING
               ? jade_json_string(v).p
               : "";
}

static jade_code read_config(struct jade_json doc, struct jade_shard_config *out,
                             struct jade_err *err)
{
    uint32_t version = jade_json_type(doc) == JADE_JSON_OBJECT ? get_u32(doc, "version") : 0;
    if (version > CONFIG_VERSION) {
        return jade_fail(err, JADE_E_VERSION, "version %u; this build knows %d", version,
                         CONFIG_VERSION);
    }
    if (version == 0) {
        return jade_fail(err, JADE_E_CORRUPT, "no configuration");
    }
    jade_db_config c = {.dimension = get_u32(doc, "dimension"),
                        .metric = get_str(doc, "metric"),
                        .index = get_str(doc, "index"),
                        .m = get_u32(doc, "M"),
                        .ef_construction = get_u32(doc, "efConstruction"),
                        .ef_search = get_u32(doc, "efSearch"),
                        .durability = get_str(doc, "durability")};
    /* A default in the place of what is missing might not be what the database was made with. */
    if (!c.m || !c.ef_construction || !c.ef_search) {
        return jade_fail(err, JADE_E_CORRUPT, "a part of the configuration is missing");
    }
    struct jade_err why = {0};
    return to_shard(&c, out, &why) == JADE_OK
               ? JADE_OK
               : jade_fail(err, JADE_E_CORRUPT, "%s: %s", why.field, why.message);
}

static jade_code load_config(jade_env *env, const char *path, struct jade_shard_config *out,
                             struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_json_parser *parser = NULL;
    struct jade_json doc;
    uint8_t *text = NULL;
    size_t n = 0;
    JADE_TRY(jade_os_read_file(env->os, path, CONFIG_BYTES_MAX, &text, &n, err));
    JADE_TRY(jade_json_parser_new(CONFIG_BYTES_MAX, CONFIG_DEPTH_MAX, &parser, err));
    rc = jade_json_parse(parser, text, n, &doc, err);
    if (rc == JADE_E_INVALID_JSON) { /* nobody sent it: our own file is damaged */
        rc = jade_fail(err, JADE_E_CORRUPT, "%s: not JSON", path);
    }
    JADE_TRY(rc);
    rc = read_config(doc, out, err);
    if (rc != JADE_OK) {
        (void)jade_err_wrap(err, rc, "%s", path);
    }
out:
    jade_json_parser_free(parser);
    jade_free(text);
    return rc;
}

/* ---- databases ---- */

static jade_code open_shard(jade_env *env, const char *name, const struct jade_shard_config *config,
                            jade_db **db_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char path[JADE_PATH_MAX];
    jade_db *db = jade_calloc(JADE_TAG_OTHER, 1, sizeof *db);
    if (!db) {
        return jade_fail(err, JADE_E_NOMEM, "database");
    }
    db->env = env;
    JADE_TRY(db_path(env, name, "0", path, err));
    JADE_TRY(jade_shard_open(env->engine, path, config, &db->shard, NULL, err));
    *db_out = db;
    return JADE_OK;
out:
    jade_free(db);
    return rc;
}

/* Below, fields have the names of the REST API; a C program knows its struct's members. */
static jade_code in_our_names(jade_code rc, struct jade_err *err)
{
    static const char *const table[][2] = {{"vectorDimension", "dimension"},
                                           {"type", "index"},
                                           {"M", "m"},
                                           {"efConstruction", "ef_construction"},
                                           {"efSearch", "ef_search"},
                                           {"queryVector", "vector"},
                                           {"topK", "top_k"}};
    for (size_t i = 0; rc != JADE_OK && err && i < sizeof table / sizeof *table; i++) {
        size_t n = strlen(table[i][0]);
        if (strncmp(err->field, table[i][0], n) == 0 && strchr("[", err->field[n])) {
            char rest[JADE_ERR_FIELD_SIZE];
            snprintf(rest, sizeof rest, "%s", err->field + n);
            snprintf(err->field, sizeof err->field, "%s%.40s", table[i][1], rest);
            break;
        }
    }
    return rc;
}

jade_code jade_db_create(jade_env *env, const char *name, const jade_db_config *config,
                         jade_db **db_out, jade_error *err)
{
    jade_code rc = JADE_OK;
    char path[JADE_PATH_MAX];
    struct jade_shard_config c = {0};
    bool there = false;
    *db_out = NULL;
    JADE_TRY(in_our_names(to_shard(config, &c, err), err));
    JADE_TRY(db_path(env, name, "config.json", path, err));
    JADE_TRY(jade_os_exists(env->os, path, &there, err));
    if (there) {
        return jade_fail_field(err, JADE_E_ALREADY_EXISTS, "name", "a database '%s' exists", name);
    }
    char folder[JADE_PATH_MAX];
    JADE_TRY(db_path(env, name, "", folder, err));
    JADE_TRY(jade_os_remove_tree(env->os, folder, err)); /* of an unfinished creation or drop */
    JADE_TRY(db_path(env, name, "0", folder, err));
    JADE_TRY(jade_shard_create(env->engine, folder, &c, err));
    JADE_TRY(store_config(env, path, &c, err));
    JADE_TRY(open_shard(env, name, &c, db_out, err));
out:
    return rc;
}

jade_code jade_db_open(jade_env *env, const char *name, jade_db **db_out, jade_error *err)
{
    jade_code rc = JADE_OK;
    char path[JADE_PATH_MAX];
    struct jade_shard_config c = {0};
    *db_out = NULL;
    JADE_TRY(db_path(env, name, "config.json", path, err));
    rc = load_config(env, path, &c, err);
    if (rc == JADE_E_NOT_FOUND) {
        return jade_fail_field(err, JADE_E_NOT_FOUND, "name", "no database '%s'", name);
    }
    JADE_TRY(rc);
    JADE_TRY(open_shard(env, name, &c, db_out, err));
out:
    return rc;
}

jade_code jade_db_close(jade_db *db, jade_error *err)
{
    if (!db) {
        return JADE_OK;
    }
    jade_code rc = jade_shard_close(db->shard, err);
    jade_free(db);
    return rc;
}

jade_code jade_db_drop(jade_env *env, const char *name, jade_error *err)
{
    jade_code rc = JADE_OK;
    char path[JADE_PATH_MAX];
    struct jade_lock *lock = NULL;
    bool there = false;
    JADE_TRY(db_path(env, name, "config.json", path, err));
    JADE_TRY(jade_os_exists(env->os, path, &there, err));
    if (!there) {
        return jade_fail_field(err, JADE_E_NOT_FOUND, "name", "no database '%s'", name);
    }
    char folder[JADE_PATH_MAX];
    JADE_TRY(db_path(env, name, "0/LOCK", folder, err));
    JADE_TRY(jade_os_lock(env->os, folder, &lock, err)); /* JADE_E_LOCKED: it is open */
    JADE_TRY(jade_os_unlink(env->os, path, err));
    JADE_TRY(db_path(env, name, "", folder, err));
    JADE_TRY(
        jade_os_sync_dir(env->os, folder, err)); /* from here on it is gone, also after a crash */
    JADE_TRY(jade_os_remove_tree(env->os, folder, err));
out:
    if (lock) {
        jade_os_unlock(lock);
    }
    return rc;
}

jade_db_config jade_db_config_of(const jade_db *db)
{
    return from_shard(jade_shard_config(db->shard));
}

/* ---- writes ---- */

static jade_code make_id(jade_env *env, char out[JADE_GENERATED_ID_SIZE], struct jade_err *err)
{
    /* Time first, so that ids of one time lie together: UUID version 7, RFC 9562 section 5.7. */
    uint8_t b[16];
    jade_code rc = jade_os_random(env->os, b, sizeof b, err);
    if (rc != JADE_OK) {
        return rc;
    }
    uint64_t ms = (uint64_t)jade_os_wall_us(env->os) / 1000;
    for (int i = 0; i < 6; i++) {
        b[i] = (uint8_t)(ms >> (40 - 8 * i));
    }
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x70);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    memcpy(out, "vec_", 4);
    for (int i = 0; i < 16; i++) {
        snprintf(out + 4 + 2 * i, 3, "%02x", b[i]);
    }
    return JADE_OK;
}

static jade_code to_opts(const jade_write_options *o, struct jade_write_opts *out,
                         struct jade_err *err)
{
    *out =
        (struct jade_write_opts){.mode = JADE_WRITE_UPSERT, .durability = JADE_DURABILITY_DEFAULT};
    if (!o) {
        return JADE_OK;
    }
    if (o->insert_only && o->update_only) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "insert_only",
                               "insert_only and update_only exclude each other");
    }
    out->mode = o->insert_only   ? JADE_WRITE_INSERT
                : o->update_only ? JADE_WRITE_UPDATE
                                 : JADE_WRITE_UPSERT;
    return o->durability
               ? jade_durability_parse(o->durability, strlen(o->durability), &out->durability, err)
               : JADE_OK;
}

jade_code jade_db_upsert(jade_db *db, const jade_record *records, size_t n,
                         const jade_write_options *options, jade_written *written, jade_error *err)
{
    jade_code rc = JADE_OK;
    struct jade_row *rows = NULL;
    struct jade_row_result *results = NULL;
    char(*ids)[JADE_GENERATED_ID_SIZE] = NULL;
    struct jade_write_opts opts;
    struct jade_write_result result;
    uint32_t dim = jade_shard_config(db->shard)->dim;
    JADE_TRY(to_opts(options, &opts, err));
    if (n < 1 || n > JADE_BATCH_ROWS_MAX) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "n", "%zu records; expected 1..%u", n,
                               JADE_BATCH_ROWS_MAX);
    }
    rows = jade_calloc(JADE_TAG_REQUEST, n, sizeof *rows);
    results = jade_calloc(JADE_TAG_REQUEST, n, sizeof *results);
    ids = jade_calloc(JADE_TAG_REQUEST, n, sizeof *ids);
    if (!rows || !results || !ids) {
        rc = jade_fail(err, JADE_E_NOMEM, "a batch of %zu records", n);
        goto out;
    }
    for (size_t i = 0; i < n; i++) {
        if (!records[i].values) {
            rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "values", "record %zu has none", i);
            goto out;
        }
        if (!records[i].id) {
            JADE_TRY(make_id(db->env, ids[i], err));
        }
        const char *id = records[i].id ? records[i].id : ids[i];
        size_t id_len = strlen(id);
        size_t meta_len = records[i].metadata ? strlen(records[i].metadata) : 0;
        rows[i] = (struct jade_row){.id = id,
                                    .id_len = id_len > UINT32_MAX ? UINT32_MAX : (uint32_t)id_len,
                                    .values = records[i].values,
                                    .dim = dim,
                                    .metadata = records[i].metadata,
                                    .metadata_len =
                                        meta_len > UINT32_MAX ? UINT32_MAX : (uint32_t)meta_len};
    }
    JADE_TRY(jade_shard_upsert(db->shard, rows, (uint32_t)n, &opts, &result, results, err));
    for (size_t i = 0; written && i < n; i++) {
        written[i] = (jade_written){.version = results[i].version, .created = results[i].created};
        memcpy(written[i].id, ids[i], sizeof ids[i]);
    }
out:
    jade_free(ids);
    jade_free(results);
    jade_free(rows);
    return rc;
}

jade_code jade_db_delete(jade_db *db, const char *const *ids, size_t n, size_t *deleted_out,
                         jade_error *err)
{
    struct jade_write_result result;
    if (deleted_out) {
        *deleted_out = 0;
    }
    if (n < 1 || n > JADE_BATCH_ROWS_MAX) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "n", "%zu ids; expected 1..%u", n,
                               JADE_BATCH_ROWS_MAX);
    }
    uint32_t *lens = jade_alloc(JADE_TAG_REQUEST, n * sizeof *lens);
    if (!lens) {
        return jade_fail(err, JADE_E_NOMEM, "a delete of %zu ids", n);
    }
    for (size_t i = 0; i < n; i++) {
        if (!ids[i]) {
            jade_free(lens);
            return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "ids", "id %zu is NULL", i);
        }
        size_t len = strlen(ids[i]);
        lens[i] = len > UINT32_MAX ? UINT32_MAX : (uint32_t)len;
    }
    jade_code rc = jade_shard_delete(db->shard, ids, lens, (uint32_t)n, NULL, &result, err);
    jade_free(lens);
    if (rc == JADE_OK && deleted_out) {
        *deleted_out = result.n_deleted;
    }
    return rc;
}

/* ---- reads ---- */

static unsigned to_with(unsigned include)
{
    return (include & JADE_INCLUDE_VALUES ? JADE_WITH_VALUES : 0u) |
           (include & JADE_INCLUDE_METADATA ? JADE_WITH_METADATA : 0u);
}

static jade_code parse_filter(const char *text, struct jade_filter **out, struct jade_err *err)
{
    *out = NULL;
    return text ? jade_filter_parse_text(text, strlen(text), "filter", out, err) : JADE_OK;
}

static jade_code results_new(jade_results **out, struct jade_err *err)
{
    jade_results *r = jade_calloc(JADE_TAG_SEARCH, 1, sizeof *r);
    if (!r) {
        return jade_fail(err, JADE_E_NOMEM, "results");
    }
    jade_arena_init(&r->arena, JADE_TAG_SEARCH);
    *out = r;
    return JADE_OK;
}

static jade_code results_room(jade_results *r, size_t n, struct jade_err *err)
{
    r->items = jade_arena_calloc(&r->arena, n ? n : 1, sizeof *r->items);
    return r->items ? JADE_OK : jade_fail(err, JADE_E_NOMEM, "%zu results", n);
}

static jade_result to_result(const struct jade_record *rec)
{
    return (jade_result){.id = rec->id,
                         .values = rec->values,
                         .metadata = rec->metadata,
                         .version = rec->version,
                         .created_us = rec->created_us,
                         .updated_us = rec->updated_us};
}

jade_code jade_db_search(jade_db *db, const jade_query *query, jade_results **results_out,
                         jade_error *err)
{
    jade_code rc = JADE_OK;
    jade_results *r = NULL;
    struct jade_filter *filter = NULL;
    struct jade_hit *hits;
    uint32_t n;
    *results_out = NULL;
    if (!query->vector) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "vector",
                               "expected an array of numbers, got NULL");
    }
    JADE_TRY(parse_filter(query->filter, &filter, err));
    JADE_TRY(results_new(&r, err));
    struct jade_search q = {.vector = query->vector,
                            .dim = jade_shard_config(db->shard)->dim,
                            .k = query->top_k,
                            .ef = query->ef_search,
                            .exact = query->exact != 0,
                            .has_threshold = query->has_threshold != 0,
                            .threshold = query->threshold,
                            .filter = filter,
                            .with = to_with(query->include)};
    JADE_TRY(in_our_names(jade_shard_search(db->shard, &q, &r->arena, &hits, &n, NULL, err), err));
    JADE_TRY(results_room(r, n, err));
    for (uint32_t i = 0; i < n; i++) {
        r->items[i] = to_result(&hits[i].record);
        r->items[i].score = hits[i].score;
        r->items[i].distance = hits[i].distance;
    }
    r->n = n;
    *results_out = r;
    r = NULL;
out:
    jade_results_free(r);
    jade_filter_free(filter);
    return rc;
}

jade_code jade_db_get(jade_db *db, const char *id, unsigned include, jade_results **results_out,
                      jade_error *err)
{
    jade_code rc = JADE_OK;
    jade_results *r = NULL;
    struct jade_record rec;
    *results_out = NULL;
    if (!id) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "id", "expected an id, got NULL");
    }
    JADE_TRY(results_new(&r, err));
    JADE_TRY(jade_shard_get(db->shard, id, (uint32_t)strlen(id), to_with(include), JADE_LSN_NONE,
                            &r->arena, &rec, err));
    JADE_TRY(results_room(r, 1, err));
    r->items[0] = to_result(&rec);
    r->n = 1;
    *results_out = r;
    r = NULL;
out:
    jade_results_free(r);
    return rc;
}

jade_code jade_db_count(jade_db *db, const char *filter, uint64_t *count_out, jade_error *err)
{
    jade_code rc = JADE_OK;
    struct jade_filter *f = NULL;
    *count_out = 0;
    JADE_TRY(parse_filter(filter, &f, err));
    JADE_TRY(jade_shard_count(db->shard, f, JADE_LSN_NONE, count_out, err));
out:
    jade_filter_free(f);
    return rc;
}

size_t jade_results_count(const jade_results *results)
{
    return results->n;
}

const jade_result *jade_results_at(const jade_results *results, size_t i)
{
    JADE_ASSERT(i < results->n);
    return &results->items[i];
}

void jade_results_free(jade_results *results)
{
    if (results) {
        jade_arena_release(&results->arena);
        jade_free(results);
    }
}

/* ---- maintenance ---- */

void jade_db_get_stats(jade_db *db, jade_db_stats *stats_out)
{
    struct jade_shard_stats s;
    jade_shard_stats(db->shard, &s);
    *stats_out = (jade_db_stats){.records = s.n_live,
                                 .deleted_rows = s.n_dead,
                                 .segments = s.n_segments,
                                 .unindexed_rows = s.tail_rows,
                                 .wal_bytes = s.wal_bytes,
                                 .disk_bytes = s.disk_bytes,
                                 .memory_bytes = s.memory_bytes};
}

jade_code jade_db_wait_indexed(jade_db *db, uint64_t timeout_us, jade_error *err)
{
    return jade_shard_wait_indexed(db->shard, timeout_us, err);
}

jade_code jade_db_checkpoint(jade_db *db, jade_error *err)
{
    return jade_shard_checkpoint(db->shard, err);
}

jade_code jade_db_compact(jade_db *db, jade_error *err)
{
    return jade_shard_rebuild(db->shard, NULL, NULL, NULL, err);
}
