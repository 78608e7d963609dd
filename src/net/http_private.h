/*
 * Inside of src/net: one request on its way through loop, worker and back.
 */
#ifndef JADE_NET_HTTP_PRIVATE_H
#define JADE_NET_HTTP_PRIVATE_H

#include <event2/event.h>
#include <event2/http.h>
#include <stdatomic.h>

#include "net/http_server.h"
#include "os/thread.h"

enum { JADEI_BODY_SLACK = 64 /* readable bytes after a body: simdjson reads past the end */ };

struct jadei_loop;

/** Made by a loop, worked by a worker, sent and freed by the loop. */
struct jadei_job {
    struct jadei_job *next;
    struct jadei_loop *loop;
    struct evhttp_request *req; /* loop thread only; NULL once the connection is gone */
    bool writing;               /* loop thread only: the reply is with libevent */
    struct jade_http_request request;
    struct jade_http_reply reply;
    char *uri;     /* path and query, split in place */
    uint8_t *body; /* with slack */
    struct jade_buf
        headers; /* name NUL value NUL ...: a worker must not look at what belongs to the loop */
    char peer[64];
};

struct jadei_job_queue {
    struct jadei_job *head, *tail;
    unsigned n;
};

struct jadei_loop {
    struct jade_http_server *server;
    struct event_base *base;
    struct evhttp *http;
    struct evhttp_bound_socket *bound;
    struct jade_mutex mutex; /* done, closing */
    struct jadei_job_queue done;
    int wake_fd; /* eventfd: something is in done, or closing was set */
    struct event *wake;
    bool closing;
    struct jade_thread thread;
};

struct jade_http_server {
    struct jade_http_server_opts opts;
    uint16_t port;
    unsigned n_loops, n_workers;
    struct jadei_loop *loops;
    struct jade_thread *workers;
    struct jade_mutex mutex; /* queue, stopping */
    struct jade_cond work, idle;
    struct jadei_job_queue queue;
    bool stopping;
    unsigned in_flight; /* jobs taken and not yet written (or dropped) */
    _Atomic uint64_t requests, refused, bytes_in, bytes_out;
};

enum jadei_refusal { JADEI_BUSY, JADEI_STOPPING, JADEI_NO_MEMORY, JADEI_BAD_FRAMING };

/* All of these belong to the loop's thread (or to stop, once that thread has ended). */

/** Copies a request; NULL when memory is short. */
struct jadei_job *jadei_job_new(struct jadei_loop *loop, struct evhttp_request *req);
void jadei_job_free(struct jadei_job *job);
/**
 * What is wrong with the length of the body as the headers tell it, or NULL. Where two readers could disagree on where a request ends,
 * a proxy in front could be made to take a part of one for another request (RFC 9112, 11.2): it is refused and the connection closed.
 */
const char *jadei_framing_fault(struct evhttp_request *req);
/** Answers at once, without a worker. detail (nullable, no quotes or backslashes) replaces the message. */
void jadei_refuse(struct jadei_loop *loop, struct evhttp_request *req, enum jadei_refusal why,
                  const char *detail);
/** From here on the job hears of the end of its connection, and nothing is read from it. */
void jadei_watch_connection(struct jadei_job *job);
void jadei_unwatch_connection(struct jadei_job *job);
/** Begins to write the reply; ends in jadei_job_done. */
void jadei_send_reply(struct jadei_job *job);
/** Frees the job and counts it as no longer in flight. */
void jadei_job_done(struct jadei_job *job);

#endif
