/*
 * Replies: what is said without a worker, what a worker said, and the end of both.
 *
 * A job is in flight until its reply is written or its connection is gone: only so can a stop wait for the last byte. Every way out ends
 * in jadei_job_done exactly once: on_written (all bytes are with the system), on_closed while writing, or jadei_send_reply when the
 * connection went away before.
 */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdio.h>

#include "net/http_private.h"

static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *text;
    } table[] = {{200, "OK"},
                 {201, "Created"},
                 {202, "Accepted"},
                 {204, "No Content"},
                 {207, "Multi-Status"},
                 {400, "Bad Request"},
                 {401, "Unauthorized"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {409, "Conflict"},
                 {410, "Gone"},
                 {412, "Precondition Failed"},
                 {413, "Content Too Large"},
                 {415, "Unsupported Media Type"},
                 {422, "Unprocessable Content"},
                 {429, "Too Many Requests"},
                 {500, "Internal Server Error"},
                 {501, "Not Implemented"},
                 {502, "Bad Gateway"},
                 {503, "Service Unavailable"},
                 {504, "Gateway Timeout"},
                 {507, "Insufficient Storage"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].status == status) {
            return table[i].text;
        }
    }
    return "Unknown";
}

static void free_body(const void *data, size_t n, void *extra)
{
    (void)data;
    (void)n;
    jade_free(extra);
}

/*
 * libevent goes on reading while a reply is written: a client that sends and never reads would fill the memory, and the time-out of
 * reading would cut a long reply. The next request enables reading again.
 */
static void send_and_stop_reading(struct evhttp_request *req, int status, struct evbuffer *out)
{
    struct evhttp_connection *connection = evhttp_request_get_connection(req);
    evhttp_send_reply(req, status, reason_of(status), out);
    bufferevent_disable(evhttp_connection_get_bufferevent(connection), EV_READ);
}

void jadei_refuse(struct jadei_loop *loop, struct evhttp_request *req, enum jadei_refusal why,
                  const char *detail)
{
    static const struct {
        int status;
        const char *code, *category, *message, *retry;
    } table[] = {
        {503, "BUSY", "transient", "too many requests are waiting; try again later",
         "true,\"retryAfterMs\":1000"},
        {503, "UNAVAILABLE", "transient", "the server is stopping", "true,\"retryAfterMs\":1000"},
        {503, "OUT_OF_MEMORY", "system", "no memory for the request", "true,\"retryAfterMs\":null"},
        {400, "INVALID_ARGUMENT", "permanent", "", "false,\"retryAfterMs\":null"},
    };
    struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
    struct evbuffer *out = evbuffer_new();
    atomic_fetch_add(&loop->server->refused, 1);
    if (out) {
        evbuffer_add_printf(out,
                            "{\"status\":\"error\",\"message\":\"%s\",\"error\":{\"code\":\"%s\","
                            "\"category\":\"%s\",\"details\":[],\"retryable\":%s,"
                            "\"docs\":\"/docs/errors#%s\"},\"data\":null}",
                            detail ? detail : table[why].message, table[why].code,
                            table[why].category, table[why].retry, table[why].code);
    }
    evhttp_add_header(headers, "Content-Type", "application/json");
    if (why == JADEI_BUSY || why == JADEI_STOPPING) {
        evhttp_add_header(headers, "Retry-After", "1");
    }
    if (why != JADEI_BUSY) {
        evhttp_add_header(headers, "Connection", "close");
    }
    if (evhttp_request_get_command(req) == EVHTTP_REQ_HEAD && out) {
        evbuffer_drain(out, evbuffer_get_length(out));
    }
    send_and_stop_reading(req, table[why].status, out);
    if (out) {
        evbuffer_free(out);
    }
}

static void on_closed(struct evhttp_connection *connection, void *arg)
{
    struct jadei_job *job = arg;
    (void)connection;
    if (job->writing) {
        jadei_job_done(job); /* the request goes with its connection */
        return;
    }
    /*
     * After an error libevent takes the request off its connection and leaves it to us; when it frees the connection for another
     * reason, the request goes with it. Which of both: whether the request still knows its connection.
     */
    if (!evhttp_request_get_connection(job->req)) {
        evhttp_request_free(job->req);
    }
    job->req = NULL; /* the reply is dropped when it comes */
}

void jadei_watch_connection(struct jadei_job *job)
{
    struct evhttp_connection *connection = evhttp_request_get_connection(job->req);
    evhttp_connection_set_closecb(connection, on_closed, job);
    /*
     * Nothing is read while the request is worked on. libevent 2.1.12 sees to that itself; earlier ones end the process when bytes
     * come ("illegal connection state") and close the connection of a handler that takes longer than the time-out of reading.
     */
    bufferevent_disable(evhttp_connection_get_bufferevent(connection), EV_READ);
}

void jadei_unwatch_connection(struct jadei_job *job)
{
    if (job->req) {
        evhttp_connection_set_closecb(evhttp_request_get_connection(job->req), NULL, NULL);
    }
}

static void on_written(struct evhttp_request *req, void *arg)
{
    evhttp_connection_set_closecb(evhttp_request_get_connection(req), NULL, NULL);
    jadei_job_done(arg);
}

/* The body as libevent wants it; NULL when memory is short. Takes the reply's bytes. */
static struct evbuffer *body_of(struct jadei_job *job, size_t *n_out)
{
    struct jade_http_reply *r = &job->reply;
    struct evbuffer *out = r->body.failed ? NULL : evbuffer_new();
    *n_out = 0;
    if (!out) {
        return NULL;
    }
    uint8_t *body = jade_buf_take(&r->body, n_out);
    if (*n_out == 0 || r->status == 204 || job->request.method == JADE_HTTP_HEAD) {
        jade_free(body);
    } else if (evbuffer_add_reference(out, body, *n_out, free_body, body) != 0) {
        jade_free(body);
        evbuffer_free(out);
        return NULL;
    }
    return out;
}

static void add_headers(struct jadei_job *job, size_t body_len)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(job->req);
    const struct jade_http_reply *r = &job->reply;
    if (r->status != 204) {
        /* libevent counts the body it is given, which a HEAD has not, and does not count for HTTP/1.0 */
        char length[32];
        snprintf(length, sizeof length, "%zu", body_len);
        evhttp_add_header(headers, "Content-Length", length);
        evhttp_add_header(headers, "Content-Type", r->content_type);
    }
    for (unsigned i = 0; i < r->n_headers; i++) {
        evhttp_add_header(headers, r->headers[i].name, r->headers[i].value);
    }
}

void jadei_send_reply(struct jadei_job *job)
{
    size_t n;
    if (!job->req) {
        jadei_job_done(job);
        return;
    }
    job->writing = true;
    evhttp_request_set_on_complete_cb(job->req, on_written, job);
    struct evbuffer *out = body_of(job, &n);
    if (!out) {
        jadei_refuse(job->loop, job->req, JADEI_NO_MEMORY, NULL);
        return;
    }
    add_headers(job, n);
    atomic_fetch_add(&job->loop->server->bytes_out, evbuffer_get_length(out));
    send_and_stop_reading(job->req, job->reply.status, out);
    evbuffer_free(out);
}
