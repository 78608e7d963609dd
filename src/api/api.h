/*
 * REST API v1 (API-001..029): decodes a request, asks its scope, calls the node, encodes the answer.
 *
 * Invariants
 * 1. Every answer, refusals included, is the envelope {status, message, data, timestamp, meta} or, with status >= 400, {status, message, error, data: null, timestamp, meta};
 *    only GET /metrics is text.
 * 2. Nothing is ignored: a field, a query parameter or a part of a database object that this build does not know or cannot honour is refused by name, and
 *    nothing is changed.
 * 3. Keys are neither logged nor answered, but for the one answer that creates one.
 *
 * Ownership: jade_api borrows node and server; both outlive it. A request owns nothing after jade_api_handle returns.
 * Threads: jade_api_handle from any number of threads; it blocks (disk, group commit): worker threads only.
 *
 * Calling sequence:
 *     jade_api_new(&(struct jade_api_opts){.node = node, .require_auth = true, .version = "0.1.0"}, &api, err);
 *     server_opts.handler = jade_api_handle;  server_opts.ctx = api;
 *     jade_http_server_start(&server_opts, &server, err);  jade_api_set_server(api, server);
 *     ...  jade_api_set_server(api, NULL);  jade_http_server_stop(server, ms);  jade_api_free(api);
 */
#ifndef JADE_API_API_H
#define JADE_API_API_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "net/http_server.h"
#include "node/node.h"

struct jade_api_opts {
    struct jade_node *node; /* borrowed */
    bool require_auth;      /* false: every caller is admin and /metrics is open */
    const char *version;    /* of the program, copied; NULL = "unknown" */
    size_t body_max;        /* that the server enforces, told in 413; 0 = JADE_HTTP_BODY_MAX */
};

struct jade_api;

/** Errors: JADE_E_INVALID_ARGUMENT (no node), JADE_E_NOMEM. */
jade_code jade_api_new(const struct jade_api_opts *opts, struct jade_api **out,
                       struct jade_err *err);
/** No request may be running. NULL is allowed. */
void jade_api_free(struct jade_api *api);
/** The server whose counters /metrics shows; NULL before it is stopped. */
void jade_api_set_server(struct jade_api *api, struct jade_http_server *server);
/** The jade_http_handler; `api` is a struct jade_api. Always fills the reply. */
void jade_api_handle(void *api, const struct jade_http_request *req, struct jade_http_reply *reply);

#endif
