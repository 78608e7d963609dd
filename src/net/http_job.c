/*
 * A job: everything a worker needs of one request, copied out of libevent by the loop thread, because a worker must not touch what
 * belongs to the loop.
 */
#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "net/http_private.h"

static enum jade_http_method method_of(enum evhttp_cmd_type cmd)
{
    switch (cmd) {
    case EVHTTP_REQ_GET:
        return JADE_HTTP_GET;
    case EVHTTP_REQ_POST:
        return JADE_HTTP_POST;
    case EVHTTP_REQ_PUT:
        return JADE_HTTP_PUT;
    case EVHTTP_REQ_DELETE:
        return JADE_HTTP_DELETE;
    case EVHTTP_REQ_PATCH:
        return JADE_HTTP_PATCH;
    case EVHTTP_REQ_HEAD:
        return JADE_HTTP_HEAD;
    case EVHTTP_REQ_OPTIONS:
        return JADE_HTTP_OPTIONS;
    default:
        return JADE_HTTP_OTHER;
    }
}

/* "http://host/path" is as good as "/path" (RFC 9112, 3.2.2); what stands before the path is of no use here. */
static const char *skip_authority(const char *uri)
{
    const char *mark = uri[0] == '/' ? NULL : strstr(uri, "://");
    return mark ? mark + 3 + strcspn(mark + 3, "/?#") : uri;
}

static bool take_uri(struct jadei_job *job, struct evhttp_request *req)
{
    const char *uri = skip_authority(evhttp_request_get_uri(req));
    job->uri = jade_strndup(JADE_TAG_NET, uri, strlen(uri));
    if (!job->uri) {
        return false;
    }
    job->uri[strcspn(job->uri, "#")] = '\0';
    char *query = strchr(job->uri, '?');
    if (query) {
        *query++ = '\0';
    }
    job->request.path = job->uri[0] ? job->uri : "/";
    job->request.query = query ? query : "";
    return true;
}

static bool take_body(struct jadei_job *job, struct evhttp_request *req)
{
    struct evbuffer *in = evhttp_request_get_input_buffer(req);
    size_t n = evbuffer_get_length(in);
    if (n > job->loop->server->opts.body_max) {
        job->request.body_too_large = true;
        evbuffer_drain(in, n);
        n = 0;
    }
    job->body = jade_alloc(JADE_TAG_NET, n + JADEI_BODY_SLACK);
    if (!job->body) {
        return false;
    }
    ssize_t got = n ? evbuffer_remove(in, job->body, n) : 0;
    memset(job->body + n, 0, JADEI_BODY_SLACK);
    job->request.body = job->body;
    job->request.body_len = n;
    return got == (ssize_t)n;
}

static bool take_headers(struct jadei_job *job, struct evhttp_request *req)
{
    const struct evkeyvalq *headers = evhttp_request_get_input_headers(req);
    for (const struct evkeyval *h = headers->tqh_first; h; h = h->next.tqe_next) {
        jade_buf_append(&job->headers, h->key, strlen(h->key) + 1);
        jade_buf_append(&job->headers, h->value, strlen(h->value) + 1);
    }
    return jade_buf_status(&job->headers, NULL) == JADE_OK;
}

struct jadei_job *jadei_job_new(struct jadei_loop *loop, struct evhttp_request *req)
{
    struct jadei_job *job = jade_calloc(JADE_TAG_NET, 1, sizeof *job);
    if (!job) {
        return NULL;
    }
    job->loop = loop;
    job->req = req;
    jade_buf_init(&job->reply.body, JADE_TAG_NET);
    jade_buf_init(&job->headers, JADE_TAG_NET);
    job->reply.status = 200;
    job->reply.content_type = "application/json";
    job->request.priv = job;
    job->request.method = method_of(evhttp_request_get_command(req));
    char *address = NULL;
    ev_uint16_t port = 0;
    evhttp_connection_get_peer(evhttp_request_get_connection(req), &address, &port);
    snprintf(job->peer, sizeof job->peer, "%s", address ? address : "");
    job->request.peer = job->peer;
    if (!take_uri(job, req) || !take_headers(job, req) || !take_body(job, req)) {
        jadei_job_free(job);
        return NULL;
    }
    return job;
}

void jadei_job_free(struct jadei_job *job)
{
    jade_buf_release(&job->reply.body);
    jade_buf_release(&job->headers);
    jade_free(job->uri);
    jade_free(job->body);
    jade_free(job);
}

/* Of which methods libevent reads a body; of the others it would take the body for the next request. */
static bool body_is_read(enum evhttp_cmd_type cmd)
{
    return (cmd & (EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
                   EVHTTP_REQ_PATCH | EVHTTP_REQ_OPTIONS)) != 0;
}

static unsigned count_headers(const struct evkeyvalq *headers, const char *name)
{
    unsigned n = 0;
    for (const struct evkeyval *h = headers->tqh_first; h; h = h->next.tqe_next) {
        n += strcasecmp(h->key, name) == 0;
    }
    return n;
}

const char *jadei_framing_fault(struct evhttp_request *req)
{
    for (const char *c = evhttp_request_get_uri(req); *c; c++) {
        if ((unsigned char)*c <= ' ' || *c == 0x7f) {
            return "the path has a space or control character; expected percent-encoding";
        }
    }
    const struct evkeyvalq *headers = evhttp_request_get_input_headers(req);
    unsigned lengths = count_headers(headers, "Content-Length");
    unsigned encodings = count_headers(headers, "Transfer-Encoding");
    const char *length = evhttp_find_header(headers, "Content-Length");
    const char *encoding = evhttp_find_header(headers, "Transfer-Encoding");
    if (lengths > 1 || encodings > 1 || (lengths && encodings)) {
        return "Content-Length and Transfer-Encoding: expected one of them, once";
    }
    if (encoding && strcasecmp(encoding, "chunked") != 0) {
        return "Transfer-Encoding: expected chunked";
    }
    if (!body_is_read(evhttp_request_get_command(req)) &&
        (encoding || (length && strcmp(length, "0") != 0))) {
        return "this method takes no body";
    }
    return NULL;
}
