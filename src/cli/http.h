/*
 * One HTTP connection to the server, by libcurl, and its answers taken out of their envelope.
 *
 * Redirects are not followed (the key would go along); a proxy from the environment is not used for this machine's own addresses.
 * Ownership: a client belongs to its maker; a reply's values point into the client's parser and live until its next call.
 * Threads: a client belongs to one thread at a time. jade_http_global_init comes before the first one, in the main thread.
 */
#ifndef JADE_CLI_HTTP_H
#define JADE_CLI_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "format/json.h"

enum { JADE_CLIENT_REPLY_MAX = 256 * 1024 * 1024 };

struct jade_client;

struct jade_reply {
    int status;              /* HTTP; 0 when none came */
    uint64_t elapsed_us;     /* from sending to the last byte */
    uint64_t retry_after_ms; /* what the server asks for; 0 = nothing */
    bool has_data;
    struct jade_json data; /* of the envelope */
    bool has_meta;
    struct jade_json meta;
};

jade_code jade_http_global_init(struct jade_err *err);
void jade_http_global_release(void);

/** key "" = none. url without a slash at its end. Errors: JADE_E_NOMEM. */
jade_code jade_client_new(const char *url, const char *key, struct jade_client **out,
                          struct jade_err *err);
/** NULL is allowed. */
void jade_client_free(struct jade_client *c);
/**
 * One call. path begins with '/'; body_len 0 sends none. Errors: JADE_E_NETWORK (no connection, broke, or the answer is not of JadeVectorDB; reply->status
 * is 0 unless one came), or the server's own error with its code, field and text (reply->status >= 400).
 */
jade_code jade_client_call(struct jade_client *c, const char *method, const char *path,
                           const void *body, size_t body_len, struct jade_reply *reply,
                           struct jade_err *err);
/** The code of a name as the API writes it; JADE_E_INTERNAL when this program is too old to know it. */
jade_code jade_code_of_name(const char *name, size_t n);

#endif
