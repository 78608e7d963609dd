/*
 * The one table of what can be asked, and how a request finds its row.
 */
#include <stdio.h>
#include <string.h>

#include "api/api_private.h"

#define V "/databases/{databaseId}/vectors"
#define X "/databases/{databaseId}/indexes"

/* clang-format off */
const struct jadei_route jadei_routes[] = {
    {JADE_HTTP_GET,    "/health",                                "",                  JADEI_OPEN,    JADEI_BODY_NONE, jadei_status_health},
    {JADE_HTTP_GET,    "/status",                                "",                  JADEI_READ,    JADEI_BODY_NONE, jadei_status_node},
    {JADE_HTTP_GET,    "/metrics",                               "",                  JADEI_METRICS, JADEI_BODY_NONE, jadei_metrics_get},
    {JADE_HTTP_POST,   "/databases",                             "",                  JADEI_ADMIN,   JADEI_BODY_MUST, jadei_databases_create},
    {JADE_HTTP_GET,    "/databases",                             "",                  JADEI_READ,    JADEI_BODY_NONE, jadei_databases_list},
    {JADE_HTTP_GET,    "/databases/{databaseId}",                "",                  JADEI_READ,    JADEI_BODY_NONE, jadei_databases_get},
    {JADE_HTTP_PUT,    "/databases/{databaseId}",                "",                  JADEI_ADMIN,   JADEI_BODY_MUST, jadei_databases_update},
    {JADE_HTTP_DELETE, "/databases/{databaseId}",                "",                  JADEI_ADMIN,   JADEI_BODY_NONE, jadei_databases_delete},
    {JADE_HTTP_GET,    "/databases/{databaseId}/status",         "",                  JADEI_READ,    JADEI_BODY_NONE, jadei_status_database},
    {JADE_HTTP_POST,   V,                                        "durability wait ",  JADEI_WRITE,   JADEI_BODY_MUST, jadei_vectors_create},
    {JADE_HTTP_POST,   V "/batch",                               "durability wait ",  JADEI_WRITE,   JADEI_BODY_MUST, jadei_vectors_batch},
    {JADE_HTTP_GET,    V "/{vectorId}",                          "includeValues includeMetadata ", JADEI_READ, JADEI_BODY_NONE, jadei_vectors_get},
    {JADE_HTTP_PUT,    V "/{vectorId}",                          "upsert durability wait ", JADEI_WRITE, JADEI_BODY_MUST, jadei_vectors_put},
    {JADE_HTTP_DELETE, V "/{vectorId}",                          "durability wait ",  JADEI_WRITE,   JADEI_BODY_NONE, jadei_vectors_delete},
    {JADE_HTTP_POST,   "/databases/{databaseId}/search",         "",                  JADEI_READ,    JADEI_BODY_MUST, jadei_search_post},
    {JADE_HTTP_POST,   "/databases/{databaseId}/search/advanced", "",                 JADEI_READ,    JADEI_BODY_MUST, jadei_search_post},
    {JADE_HTTP_POST,   X,                                        "",                  JADEI_ADMIN,   JADEI_BODY_MUST, jadei_indexes_create},
    {JADE_HTTP_GET,    X,                                        "",                  JADEI_READ,    JADEI_BODY_NONE, jadei_indexes_list},
    {JADE_HTTP_GET,    X "/{indexId}",                           "",                  JADEI_READ,    JADEI_BODY_NONE, jadei_indexes_get},
    {JADE_HTTP_PUT,    X "/{indexId}",                           "",                  JADEI_ADMIN,   JADEI_BODY_MUST, jadei_indexes_update},
    {JADE_HTTP_DELETE, X "/{indexId}",                           "",                  JADEI_ADMIN,   JADEI_BODY_NONE, jadei_indexes_delete},
    {JADE_HTTP_POST,   X "/{indexId}/rebuild",                   "",                  JADEI_ADMIN,   JADEI_BODY_MAY,  jadei_indexes_rebuild},
    {JADE_HTTP_GET,    "/operations",                            "",                  JADEI_READ,    JADEI_BODY_NONE, jadei_jobs_list},
    {JADE_HTTP_GET,    "/operations/{operationId}",              "",                  JADEI_READ,    JADEI_BODY_NONE, jadei_jobs_get},
    {JADE_HTTP_DELETE, "/operations/{operationId}",              "",                  JADEI_ADMIN,   JADEI_BODY_NONE, jadei_jobs_cancel},
    {JADE_HTTP_GET,    "/models",                                "",                  JADEI_READ,    JADEI_BODY_NONE, jadei_models_list},
    {JADE_HTTP_POST,   "/models",                                "",                  JADEI_ADMIN,   JADEI_BODY_MUST, jadei_models_create},
    {JADE_HTTP_POST,   "/embeddings",                            "",                  JADEI_READ,    JADEI_BODY_MUST, jadei_models_embed},
    {JADE_HTTP_POST,   "/keys",                                  "",                  JADEI_ADMIN,   JADEI_BODY_MUST, jadei_keys_create},
    {JADE_HTTP_GET,    "/keys",                                  "",                  JADEI_ADMIN,   JADEI_BODY_NONE, jadei_keys_list},
    {JADE_HTTP_DELETE, "/keys/{keyId}",                          "",                  JADEI_ADMIN,   JADEI_BODY_NONE, jadei_keys_delete},
};
/* clang-format on */
const size_t jadei_n_routes = sizeof jadei_routes / sizeof *jadei_routes;
_Static_assert(sizeof jadei_routes / sizeof *jadei_routes <= JADEI_ROUTES_MAX,
               "counters have room for every route");

const char *jadei_method_name(enum jade_http_method m)
{
    static const char *const names[] = {"GET",   "POST", "PUT",     "DELETE",
                                        "PATCH", "HEAD", "OPTIONS", "other"};
    return (size_t)m < sizeof names / sizeof *names ? names[m] : "other";
}

static size_t segment_len(const char *s)
{
    return strcspn(s, "/");
}

/* Whether a path fits a pattern. A literal row stands before one with a parameter in its place: POST …/vectors/batch is the batch. */
static bool fits(const char *pattern, const char *path)
{
    while (*pattern != '\0' && *path != '\0') {
        pattern++; /* both stand at a slash */
        path++;
        size_t a = segment_len(pattern);
        size_t b = segment_len(path);
        if (b == 0 || (pattern[0] != '{' && (a != b || memcmp(pattern, path, a) != 0))) {
            return false;
        }
        pattern += a;
        path += b;
    }
    return *pattern == '\0' && *path == '\0';
}

/* Path below /api/v1; /health and /metrics also stand at the root, where probes and scrapers look for them. NULL: none of ours. */
static const char *below_base(const char *path)
{
    static const char base[] = "/api/v1";
    if (strncmp(path, base, sizeof base - 1) == 0 && path[sizeof base - 1] == '/') {
        return path + sizeof base - 1;
    }
    return strcmp(path, "/health") == 0 || strcmp(path, "/metrics") == 0 ? path : NULL;
}

/* Decodes the segments that stand for parameters. */
static jade_code take_params(struct jadei_call *c, const char *pattern, const char *path,
                             struct jade_err *err)
{
    unsigned n = 0;
    while (*pattern != '\0') {
        pattern++;
        path++;
        size_t a = segment_len(pattern);
        size_t b = segment_len(path);
        if (pattern[0] == '{') {
            struct jadei_text *t = &c->path[n++];
            if (!jade_http_decode(path, b, t->p, sizeof t->p, &t->n)) {
                char name[32];
                snprintf(name, sizeof name, "%.*s", (int)(a - 2), pattern + 1);
                return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, name,
                                       "longer than %u bytes, or not percent-encoded correctly",
                                       JADE_ID_BYTES_MAX);
            }
        }
        pattern += a;
        path += b;
    }
    return JADE_OK;
}

static void add_allowed(char *allow, size_t size, enum jade_http_method m)
{
    size_t n = strlen(allow);
    snprintf(allow + n, size - n, "%s%s", n ? ", " : "", jadei_method_name(m));
}

jade_code jadei_route_find(struct jadei_call *c, const struct jadei_route **out, char *allow_out,
                           size_t allow_size, struct jade_err *err)
{
    const char *path = below_base(c->req->path);
    const struct jadei_route *found = NULL;
    enum jade_http_method method = c->req->method;
    method = method == JADE_HTTP_HEAD ? JADE_HTTP_GET : method; /* the server leaves the body out */
    *out = NULL;
    allow_out[0] = '\0';
    for (size_t i = 0; path && i < jadei_n_routes; i++) {
        const struct jadei_route *r = &jadei_routes[i];
        if (!fits(r->path, path)) {
            continue;
        }
        add_allowed(allow_out, allow_size, r->method);
        if (r->method == method && !found) { /* literal rows stand before others */
            found = r;
        }
    }
    if (found) {
        *out = found;
        return take_params(c, found->path, path, err);
    }
    if (allow_out[0] != '\0') {
        return jade_fail_field(err, JADE_E_METHOD_NOT_ALLOWED, "method", "%s; expected %s",
                               jadei_method_name(c->req->method), allow_out);
    }
    return jade_fail_field(err, JADE_E_NOT_FOUND, "path", "no such path; the API is below /api/v1");
}

static bool takes(const char *params, const char *name, size_t n)
{
    for (const char *p = params; *p != '\0';) {
        size_t word = strcspn(p, " ");
        if (word == n && memcmp(p, name, n) == 0) {
            return true;
        }
        p += word + 1;
    }
    return false;
}

static bool seen_before(const char *query, const char *at, size_t n)
{
    for (const char *p = query; p < at; p += strcspn(p, "&") + 1) {
        if (strcspn(p, "=&") == n && memcmp(p, at, n) == 0) {
            return true;
        }
    }
    return false;
}

jade_code jadei_route_check_params(const struct jadei_call *c, struct jade_err *err)
{
    const char *query = c->req->query;
    for (const char *p = query; *p != '\0';) {
        size_t whole = strcspn(p, "&");
        size_t n = strcspn(p, "=&");
        char name[JADEI_PARAM_SIZE];
        snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), p);
        if (whole > 0 && !takes(c->route->params, p, n)) {
            return jade_fail_field(err, JADE_E_UNKNOWN_FIELD, name,
                                   "unknown query parameter; this call takes %s",
                                   c->route->params[0] ? c->route->params : "none");
        }
        if (whole > 0 && seen_before(query, p, n)) {
            return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, name, "given twice");
        }
        p += whole + (p[whole] == '&');
    }
    return JADE_OK;
}
