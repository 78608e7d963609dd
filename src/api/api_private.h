/*
 * Inside of src/api: one request as handlers see it, and what they share.
 *
 * A handler decodes c->body, calls the node, and either returns an error (err names the field) or writes its answer between
 * jadei_reply_begin and its return; api.c closes the envelope. What it allocates comes from c->arena. An error after
 * jadei_reply_begin throws away what was written.
 * Threads: a call belongs to one worker; struct jade_api is shared, its pool under a mutex, its counters relaxed atomics.
 */
#ifndef JADE_API_API_PRIVATE_H
#define JADE_API_API_PRIVATE_H

#include <stdatomic.h>
#include <stdint.h>

#include "api/api.h"
#include "base/arena.h"
#include "format/json.h"
#include "format/json_out.h"
#include "os/thread.h"

enum {
    JADEI_PATH_PARAMS_MAX = 2,
    JADEI_ROUTES_MAX = 64,
    JADEI_WARNINGS_MAX = 16,
    JADEI_PARSERS_WARM = 4,      /* idle parsers that keep the memory of their last document */
    JADEI_PARSERS_IDLE_MAX = 32, /* idle parsers in all; more are freed */
    JADEI_REQUEST_ID_SIZE = 40,
    JADEI_VERSION_SIZE = 32,
    JADEI_EMBED_TEXTS_MAX =
        4096, /* of one POST /embeddings: its answer is 20 MB of JSON at 384 dimensions */
    JADEI_PARAM_SIZE = 64,             /* a query parameter's value with its NUL */
    JADEI_METRIC_DATABASES_MAX = 1000, /* databases that /metrics shows one by one */
    JADEI_LATENCY_BUCKETS = 12,
};

struct jadei_call;
typedef jade_code (*jadei_handler)(struct jadei_call *c, struct jade_err *err);

enum jadei_access {                /* what a caller must show */
                    JADEI_OPEN,    /* nothing */
                    JADEI_METRICS, /* read-only, unless the API runs without keys */
                    JADEI_READ,
                    JADEI_WRITE,
                    JADEI_ADMIN
};
enum jadei_body { JADEI_BODY_NONE, JADEI_BODY_MAY, JADEI_BODY_MUST };

struct jadei_route {
    enum jade_http_method method;
    const char *path;   /* below /api/v1; segments in braces are parameters */
    const char *params; /* query parameters it takes, each followed by a space */
    enum jadei_access access;
    enum jadei_body body;
    jadei_handler handler;
};
extern const struct jadei_route jadei_routes[];
extern const size_t jadei_n_routes;

struct jadei_text { /* decoded segment of a path */
    char p[JADE_ID_BYTES_MAX + 1];
    size_t n;
};

struct jadei_route_counters { /* index 0..5: status / 100 */
    _Atomic uint64_t by_class[6];
    _Atomic uint64_t took_us_sum;
    _Atomic uint64_t took[JADEI_LATENCY_BUCKETS + 1]; /* the last one: slower than all bounds */
};
extern const uint32_t jadei_latency_bounds_us[JADEI_LATENCY_BUCKETS];

struct jade_api {
    struct jade_node *node;
    bool require_auth;
    char version[JADEI_VERSION_SIZE];
    size_t body_max;
    char run[9]; /* tells the request ids of one start from those of another */
    _Atomic uint64_t n_calls;
    _Atomic uint64_t n_unrouted; /* no such path or method, no key */
    _Atomic(struct jade_http_server *) server;
    struct jadei_route_counters counters[JADEI_ROUTES_MAX];
    struct jade_mutex mutex; /* idle, n_idle */
    struct jade_json_parser *idle[JADEI_PARSERS_IDLE_MAX];
    unsigned n_idle;
};

struct jadei_call {
    struct jade_api *api;
    const struct jade_http_request *req;
    struct jade_http_reply *reply;
    const struct jadei_route *route; /* NULL: none */
    struct jadei_text path[JADEI_PATH_PARAMS_MAX];
    struct jade_key key; /* scope 0: no key came */
    struct jade_arena arena;
    struct jade_json_parser *parser; /* of body */
    struct jade_json body;
    bool has_body;
    struct jade_json_parser
        *config_parser;       /* of the database's stored config, when a handler reads it */
    struct jade_buf scratch;  /* bytes that grow while a body is read */
    struct jade_database *db; /* set by jadei_call_database, returned by api.c */
    struct jade_json_out out; /* writes reply->body */
    bool began;
    bool plain; /* the body is no envelope (/metrics) */
    uint64_t start_us;
    char request_id[JADEI_REQUEST_ID_SIZE];
    const char *warnings[JADEI_WARNINGS_MAX];
    unsigned n_warnings;
    struct jade_err err;
};

/* ---- api.c ---- */

jade_code jadei_parser_take(struct jade_api *api, struct jade_json_parser **out,
                            struct jade_err *err);
void jadei_parser_give(struct jade_api *api, struct jade_json_parser *p);
/** Finds the database of the path, once; c->db. */
jade_code jadei_call_database(struct jadei_call *c, struct jade_err *err);

/* ---- routes.c ---- */

/**
 * The route of a request; fills c->path. allow_out: methods that the path has, for the Allow header, "" when it does not exist.
 * Errors: JADE_E_NOT_FOUND, JADE_E_METHOD_NOT_ALLOWED, JADE_E_INVALID_ARGUMENT (a segment that cannot be decoded).
 */
jade_code jadei_route_find(struct jadei_call *c, const struct jadei_route **out, char *allow_out,
                           size_t allow_size, struct jade_err *err);
const char *jadei_method_name(enum jade_http_method m);
/** Refuses query parameters that the route does not take. */
jade_code jadei_route_check_params(const struct jadei_call *c, struct jade_err *err);

/* ---- auth.c ---- */

jade_code jadei_call_authorize(struct jadei_call *c, enum jadei_access need, struct jade_err *err);

/* ---- reply.c ---- */

/** Opens the envelope; the caller writes exactly one JSON value into c->out: the data. */
void jadei_reply_begin(struct jadei_call *c, int status, const char *message);
/** Closes the envelope. */
void jadei_reply_end(struct jadei_call *c);
void jadei_reply_error(struct jadei_call *c, const struct jade_err *err);
/** Says in meta.warnings what a caller might not expect. */
void jadei_reply_warn(struct jadei_call *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/** A parsed value after a key. */
void jadei_out_json(struct jade_json_out *o, struct jade_json v);
/** Location: /api/v1/ and the segments (NULL-terminated list), percent-encoded; left out when it would not fit a header. */
void jadei_reply_location(struct jadei_call *c, const char *const *segments);
/** Headers that every answer carries. */
void jadei_reply_headers(struct jadei_call *c);

/* ---- decode.c ---- */

/** A field that a body may have. A caller may also write its snake_case twin. */
struct jadei_field {
    const char *name;
    uint32_t n;
    const char *not_yet; /* not NULL: known but not honoured by this build, and why */
};
#define JADEI_FIELD(text)                     \
    {                                         \
        .name = (text), .n = sizeof(text) - 1 \
    }
#define JADEI_FIELD_YET(text, why)                              \
    {                                                           \
        .name = (text), .n = sizeof(text) - 1, .not_yet = (why) \
    }
#define JADEI_FIELDS_COUNT(list) (sizeof(list) / sizeof(*(list)))
struct jadei_value {
    bool given; /* present and not null */
    bool null;  /* present and null */
    struct jade_json v;
};

/**
 * Reads an object's members into values_out, in the order of `fields`. Errors: JADE_E_INVALID_ARGUMENT (no object, a field twice),
 * JADE_E_UNKNOWN_FIELD (naming it, with the nearest name), JADE_E_NOT_SUPPORTED_YET.
 */
jade_code jadei_read_fields(struct jade_json object, const struct jadei_field *fields, size_t n,
                            struct jadei_value *values_out, struct jade_err *err);
jade_code jadei_read_string(struct jade_json v, const char *field, struct jade_str *out,
                            struct jade_err *err);
/** A string without NUL inside. */
jade_code jadei_read_text(struct jade_json v, const char *field, const char **out,
                          struct jade_err *err);
jade_code jadei_read_bool(struct jade_json v, const char *field, bool *out, struct jade_err *err);
jade_code jadei_read_u32(struct jade_json v, const char *field, uint32_t min, uint32_t max,
                         uint32_t *out, struct jade_err *err);
jade_code jadei_read_u64(struct jade_json v, const char *field, uint64_t *out,
                         struct jade_err *err);
jade_code jadei_read_f64(struct jade_json v, const char *field, double *out, struct jade_err *err);
jade_code jadei_read_type(struct jade_json v, enum jade_json_type type, const char *field,
                          struct jade_err *err);
/** A vector id: a string, or an integer, which becomes its decimal text (in the arena). */
jade_code jadei_read_id(struct jade_json v, const char *field, struct jade_arena *arena,
                        const char **id_out, uint32_t *n_out, struct jade_err *err);
/** {"name", "version", "provider", "inputType"} or just the name; a model that this build does not have is JADE_E_NOT_SUPPORTED_YET. */
struct jadei_model {
    const char *name, *version; /* NULL: not said */
};
jade_code jadei_read_model(struct jadei_call *c, struct jade_json v, const char *field,
                           struct jadei_model *out, struct jade_err *err);
/** Nearest of the names to what came, or NULL when none is near. */
const char *jadei_nearest(const struct jadei_field *fields, size_t n, const char *word,
                          size_t word_len);
/** Query parameter "true" or "false"; *out stays when it is absent. */
jade_code jadei_param_bool(const struct jadei_call *c, const char *name, bool *out,
                           struct jade_err *err);
/** ?durability= and ?wait= of a write. */
jade_code jadei_param_durability(const struct jadei_call *c, enum jade_durability *out,
                                 struct jade_err *err);
/** If-Match: "7" as 7; 0 when absent. */
jade_code jadei_header_revision(const struct jadei_call *c, uint64_t *out, struct jade_err *err);

/* ---- shared by handlers ---- */

/** Example 3 of the specification: the one index of a database. */
void jadei_out_index(struct jade_json_out *o, const struct jade_database_info *info);
void jadei_out_index_parameters(struct jade_json_out *o, const struct jade_index_params *p);
const char *jadei_index_type_name(enum jade_index_kind kind);
enum { JADEI_INDEX_ID_SIZE = 32 };
void jadei_index_id(const char *database_id, char out[JADEI_INDEX_ID_SIZE]);
/** {"M", "efConstruction", "efSearch"} over what is in *p. */
jade_code jadei_read_index_parameters(struct jade_json v, struct jade_index_params *p,
                                      struct jade_err *err);
/** A type word; changing the kind resets the parameters to defaults. */
jade_code jadei_read_index_type(struct jade_json v, const char *field, struct jade_index_params *p,
                                struct jade_err *err);
/** A database named in a body must be the one of the path. */
jade_code jadei_check_database_id(struct jadei_call *c, struct jade_json v, struct jade_err *err);
void jadei_out_job(struct jade_json_out *o, const struct jade_job *job);
/** 202 with Location and the operation as data. */
jade_code jadei_reply_job(struct jadei_call *c, const char *job_id, const char *message,
                          struct jade_err *err);

/** Parts of a database object that have no column of their own are checked here and kept as JSON (database_config.c). */
enum jadei_config_part {
    JADEI_CONFIG_SHARDING,
    JADEI_CONFIG_REPLICATION,
    JADEI_CONFIG_MODELS,
    JADEI_CONFIG_SCHEMA,
    JADEI_CONFIG_RETENTION,
    JADEI_CONFIG_ACCESS,
    JADEI_CONFIG_PARTS
};
extern const char *const jadei_config_names[JADEI_CONFIG_PARTS];
/** Refuses what this build cannot honour; model_out is set when the part names one. */
jade_code jadei_config_check(struct jadei_call *c, enum jadei_config_part part, struct jade_json v,
                             struct jadei_model *model_out, struct jade_err *err);

/** Metadata schema of a database (schema.c): NULL when it has none. */
struct jadei_schema;
jade_code jadei_schema_check(struct jade_json v, struct jade_err *err);
jade_code jadei_schema_of(struct jadei_call *c, const struct jadei_schema **out,
                          struct jade_err *err);
/** metadata: given = false is an object without fields. Errors: JADE_E_UNPROCESSABLE, field "metadata.<name>". */
jade_code jadei_schema_accepts(const struct jadei_schema *schema, struct jadei_value metadata,
                               struct jade_err *err);

/** A decoded vector of a body (vector_body.c). */
struct jadei_vectors {
    struct jade_put *puts;
    uint32_t n;
    struct jadei_model model;
};
/** on_conflict_out (nullable): the member "onConflict" of a single vector. */
jade_code jadei_read_vector(struct jadei_call *c, struct jade_json v,
                            struct jadei_value *on_conflict_out, struct jadei_vectors *out,
                            struct jade_err *err);
jade_code jadei_read_vectors(struct jadei_call *c, struct jade_json list, struct jadei_vectors *out,
                             struct jade_err *err);
void jadei_out_vector(struct jade_json_out *o, const struct jade_record *r,
                      const struct jade_database_info *info);

/* ---- handlers, one file a noun ---- */

jade_code jadei_databases_create(struct jadei_call *c, struct jade_err *err);
jade_code jadei_databases_list(struct jadei_call *c, struct jade_err *err);
jade_code jadei_databases_get(struct jadei_call *c, struct jade_err *err);
jade_code jadei_databases_update(struct jadei_call *c, struct jade_err *err);
jade_code jadei_databases_delete(struct jadei_call *c, struct jade_err *err);
jade_code jadei_vectors_create(struct jadei_call *c, struct jade_err *err);
jade_code jadei_vectors_batch(struct jadei_call *c, struct jade_err *err);
jade_code jadei_vectors_get(struct jadei_call *c, struct jade_err *err);
jade_code jadei_vectors_put(struct jadei_call *c, struct jade_err *err);
jade_code jadei_vectors_delete(struct jadei_call *c, struct jade_err *err);
jade_code jadei_search_post(struct jadei_call *c, struct jade_err *err);
jade_code jadei_indexes_list(struct jadei_call *c, struct jade_err *err);
jade_code jadei_indexes_create(struct jadei_call *c, struct jade_err *err);
jade_code jadei_indexes_get(struct jadei_call *c, struct jade_err *err);
jade_code jadei_indexes_update(struct jadei_call *c, struct jade_err *err);
jade_code jadei_indexes_delete(struct jadei_call *c, struct jade_err *err);
jade_code jadei_indexes_rebuild(struct jadei_call *c, struct jade_err *err);
jade_code jadei_jobs_list(struct jadei_call *c, struct jade_err *err);
jade_code jadei_jobs_get(struct jadei_call *c, struct jade_err *err);
jade_code jadei_jobs_cancel(struct jadei_call *c, struct jade_err *err);
jade_code jadei_models_list(struct jadei_call *c, struct jade_err *err);
jade_code jadei_models_create(struct jadei_call *c, struct jade_err *err);
jade_code jadei_models_embed(struct jadei_call *c, struct jade_err *err);
jade_code jadei_status_health(struct jadei_call *c, struct jade_err *err);
jade_code jadei_status_node(struct jadei_call *c, struct jade_err *err);
jade_code jadei_status_database(struct jadei_call *c, struct jade_err *err);
jade_code jadei_metrics_get(struct jadei_call *c, struct jade_err *err);
jade_code jadei_keys_create(struct jadei_call *c, struct jade_err *err);
jade_code jadei_keys_list(struct jadei_call *c, struct jade_err *err);
jade_code jadei_keys_delete(struct jadei_call *c, struct jade_err *err);

#endif
