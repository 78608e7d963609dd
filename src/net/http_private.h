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
    unsigned in_flight; /* jobs made and not yet sent */
    _Atomic uint64_t requests, refused, bytes_in, bytes_out;
};

#endif
