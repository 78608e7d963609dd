/*
 * One request from first look to answer, and the parsers that requests share.
 */
#include "api/api.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api/api_private.h"
#include "base/alloc.h"
#include "base/assert.h"
#include "base/log.h"

const uint32_t jadei_latency_bounds_us[JADEI_LATENCY_BUCKETS] = {
    100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 500000, 2500000};

/* ---- life ---- */

jade_code jade_api_new(const struct jade_api_opts *opts, struct jade_api **out,
                       struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char unique[27];
    *out = NULL;
    if (!opts->node) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "node", "missing");
    }
    struct jade_api *api = jade_calloc(JADE_TAG_OTHER, 1, sizeof *api);
    if (!api) {
        return jade_fail(err, JADE_E_NOMEM, "out of memory for the API");
    }
    JADE_TRY(jade_node_unique(opts->node, unique, err));
    api->node = opts->node;
    api->require_auth = opts->require_auth;
    api->body_max = opts->body_max ? opts->body_max : JADE_HTTP_BODY_MAX;
    snprintf(api->version, sizeof api->version, "%s", opts->version ? opts->version : "unknown");
    snprintf(api->run, sizeof api->run, "%.8s", unique + 18); /* the random end */
    jade_mutex_init(&api->mutex);
    *out = api;
    api = NULL;
out:
    jade_free(api);
    return rc;
}

void jade_api_free(struct jade_api *api)
{
    if (!api) {
        return;
    }
    for (unsigned i = 0; i < api->n_idle; i++) {
        jade_json_parser_free(api->idle[i]);
    }
    jade_mutex_release(&api->mutex);
    jade_free(api);
}

void jade_api_set_server(struct jade_api *api, struct jade_http_server *server)
{
    atomic_store(&api->server, server);
}

/* ---- parsers ---- */

jade_code jadei_parser_take(struct jade_api *api, struct jade_json_parser **out,
                            struct jade_err *err)
{
    *out = NULL;
    jade_mutex_lock(&api->mutex);
    if (api->n_idle > 0) {
        *out = api->idle[--api->n_idle];
    }
    jade_mutex_unlock(&api->mutex);
    return *out ? JADE_OK : jade_json_parser_new(api->body_max, JADE_JSON_DEPTH_MAX, out, err);
}

void jadei_parser_give(struct jade_api *api, struct jade_json_parser *p)
{
    if (!p) {
        return;
    }
    jade_mutex_lock(&api->mutex);
    bool warm = api->n_idle < JADEI_PARSERS_WARM;
    bool kept = api->n_idle < JADEI_PARSERS_IDLE_MAX;
    if (kept) {
        if (!warm) { /* beyond the few that work all the time: no memory waits in it */
            jade_json_parser_trim(p);
        }
        api->idle[api->n_idle++] = p;
    }
    jade_mutex_unlock(&api->mutex);
    if (!kept) {
        jade_json_parser_free(p);
    }
}

jade_code jadei_call_database(struct jadei_call *c, struct jade_err *err)
{
    return c->db ? JADE_OK : jade_node_find(c->api->node, c->path[0].p, c->path[0].n, &c->db, err);
}

/* ---- one request ---- */

/* Headers that change what a request means in the API's conventions and that this build cannot honour. */
static jade_code check_headers(const struct jadei_call *c, struct jade_err *err)
{
    static const char *const later[] = {"Idempotency-Key", "X-Transaction-Id",
                                        "X-Consistency-Token", "If-None-Match"};
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        if (jade_http_header(c->req, later[i])) {
            return jade_fail_field(err, JADE_E_NOT_SUPPORTED_YET, later[i],
                                   "this build does not honour the header; send the request "
                                   "without it");
        }
    }
    if (c->route->handler != jadei_databases_update && jade_http_header(c->req, "If-Match")) {
        return jade_fail_field(err, JADE_E_NOT_SUPPORTED_YET, "If-Match",
                               "this build compares versions of databases only");
    }
    return JADE_OK;
}

static jade_code check_content_type(const struct jadei_call *c, struct jade_err *err)
{
    static const char json[] = "application/json";
    const char *type = jade_http_header(c->req, "Content-Type");
    const char *encoding = jade_http_header(c->req, "Content-Encoding");
    char after = type && strlen(type) >= sizeof json - 1 ? type[sizeof json - 1] : 'x';
    if (type && (strncasecmp(type, json, sizeof json - 1) != 0 ||
                 (after != '\0' && after != ';' && after != ' '))) {
        return jade_fail_field(err, JADE_E_UNSUPPORTED_MEDIA, "Content-Type",
                               "\"%.64s\", expected application/json", type);
    }
    if (encoding && strcasecmp(encoding, "identity") != 0) {
        return jade_fail_field(err, JADE_E_UNSUPPORTED_MEDIA, "Content-Encoding",
                               "\"%.64s\", expected identity (no compression)", encoding);
    }
    return JADE_OK;
}

/* Body as the route wants it, parsed. */
static jade_code take_body(struct jadei_call *c, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const struct jade_http_request *req = c->req;
    if (req->body_too_large || req->body_len > c->api->body_max) {
        return jade_fail_field(err, JADE_E_TOO_LARGE, "body", "more than %zu bytes",
                               c->api->body_max);
    }
    if (c->route->body == JADEI_BODY_NONE && req->body_len > 0) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "body",
                               "%zu bytes, expected none with this call", req->body_len);
    }
    if (req->body_len == 0) {
        return c->route->body != JADEI_BODY_MUST
                   ? JADE_OK
                   : jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "body",
                                     "empty, expected a JSON object");
    }
    JADE_TRY(check_content_type(c, err));
    JADE_TRY(jadei_parser_take(c->api, &c->parser, err));
    rc = jade_json_parse(c->parser, req->body, req->body_len, &c->body, err);
    if (rc == JADE_OK) {
        rc = jadei_read_type(c->body, JADE_JSON_OBJECT, "", err);
    }
    if (rc != JADE_OK) {
        jade_err_prefix_field(err, "body");
        goto out;
    }
    c->has_body = true;
out:
    return rc;
}

static jade_code run(struct jadei_call *c, char *allow, size_t allow_size, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_err lost = {0};
    /* Who has no key learns nothing about the paths but that a key is needed. */
    jade_code found = jadei_route_find(c, &c->route, allow, allow_size, &lost);
    JADE_TRY(jadei_call_authorize(c, c->route ? c->route->access : JADEI_READ, err));
    if (found != JADE_OK) {
        *err = lost;
        rc = found;
        goto out;
    }
    JADE_TRY(jadei_route_check_params(c, err));
    JADE_TRY(check_headers(c, err));
    JADE_TRY(take_body(c, err));
    JADE_TRY(c->route->handler(c, err));
    JADE_ASSERT(c->began || c->plain);
    if (!c->plain) {
        jadei_reply_end(c);
    }
    JADE_TRY(jade_buf_status(&c->reply->body, err));
out:
    return rc;
}

static void count(struct jadei_call *c, uint64_t took_us)
{
    if (!c->route) {
        atomic_fetch_add_explicit(&c->api->n_unrouted, 1, memory_order_relaxed);
        return;
    }
    struct jadei_route_counters *n = &c->api->counters[c->route - jadei_routes];
    unsigned bucket = 0;
    while (bucket < JADEI_LATENCY_BUCKETS && took_us > jadei_latency_bounds_us[bucket]) {
        bucket++;
    }
    atomic_fetch_add_explicit(&n->by_class[c->reply->status / 100 % 6], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&n->took_us_sum, took_us, memory_order_relaxed);
    atomic_fetch_add_explicit(&n->took[bucket], 1, memory_order_relaxed);
}

/* Every failure is told once, here (EHR-003): what, of which kind, and where it was raised. */
static void log_failure(const struct jadei_call *c, uint64_t took_us)
{
    const struct jade_err *e = &c->err;
    char origin[96];
    snprintf(origin, sizeof origin, "%s:%d", e->file ? e->file : "unknown", e->line);
    jade_log(c->reply->status >= 500 ? JADE_LOG_ERROR : JADE_LOG_DEBUG, "api", "request failed",
             JADE_LOG_STR("method", jadei_method_name(c->req->method)),
             JADE_LOG_STR("path", c->req->path), JADE_LOG_I64("status", c->reply->status),
             JADE_LOG_STR("code", jade_code_name(e->code)),
             JADE_LOG_STR("category", jade_code_category(e->code)), JADE_LOG_STR("field", e->field),
             JADE_LOG_STR("error", e->message), JADE_LOG_STR("origin", origin),
             JADE_LOG_I64("errno", e->os_errno), JADE_LOG_U64("tookUs", took_us),
             JADE_LOG_STR("requestId", c->request_id), JADE_LOG_STR("key", c->key.id),
             JADE_LOG_STR("peer", c->req->peer ? c->req->peer : ""));
}

/* Paths hold ids, never keys; queries are left out all the same. */
static void log_call(const struct jadei_call *c, uint64_t took_us)
{
    if (c->err.code != JADE_OK && c->reply->status >= 400) {
        log_failure(c, took_us);
        return;
    }
    jade_log(
        JADE_LOG_DEBUG, "api", "request", JADE_LOG_STR("method", jadei_method_name(c->req->method)),
        JADE_LOG_STR("path", c->req->path), JADE_LOG_I64("status", c->reply->status),
        JADE_LOG_U64("tookUs", took_us), JADE_LOG_STR("requestId", c->request_id),
        JADE_LOG_STR("key", c->key.id), JADE_LOG_STR("peer", c->req->peer ? c->req->peer : ""));
}

void jade_api_handle(void *ctx, const struct jade_http_request *req, struct jade_http_reply *reply)
{
    struct jade_api *api = ctx;
    struct jade_os *os = jade_node_os(api->node);
    struct jadei_call c = {.api = api, .req = req, .reply = reply};
    char allow[64];
    c.start_us = jade_os_mono_us(os);
    uint64_t n = atomic_fetch_add_explicit(&api->n_calls, 1, memory_order_relaxed) + 1;
    snprintf(c.request_id, sizeof c.request_id, "req_%s-%" PRIu64, api->run, n);
    jade_arena_init(&c.arena, JADE_TAG_REQUEST);
    jade_buf_init(&c.scratch, JADE_TAG_REQUEST);
    jadei_reply_headers(&c);
    jade_code rc = run(&c, allow, sizeof allow, &c.err);
    if (rc == JADE_E_METHOD_NOT_ALLOWED) {
        jade_http_reply_header(reply, "Allow", allow);
    }
    if (rc != JADE_OK) {
        if (c.err.code !=
            rc) { /* somebody kept the details to himself; the code is told all the same */
            (void)jade_fail(&c.err, rc, "%s", jade_code_text(rc));
        }
        jadei_reply_error(&c, &c.err);
    }
    uint64_t took_us = jade_os_mono_us(os) - c.start_us;
    count(&c, took_us);
    log_call(&c, took_us);
    jade_database_unref(c.db);
    jadei_parser_give(api, c.parser);
    jadei_parser_give(api, c.config_parser);
    jade_buf_release(&c.scratch);
    jade_arena_release(&c.arena);
}
