/*
 * Event loops, workers, and the way of a request between them.
 */
#include "net/http_server.h"

#include <errno.h>
#include <event2/listener.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "net/http_private.h"

enum {
    WORKERS_DEFAULT = 16,
    QUEUE_DEFAULT = 1024,
    IDLE_DEFAULT_S = 60,
    BACKLOG = 1024,
    ACCEPT_PAUSE_US = 100000,
    BODY_SWALLOW =
        4, /* bodies up to this many times body_max are read and answered with our own 413; past it libevent answers */
};

/* ---- queues ---- */

static void push(struct jadei_job_queue *q, struct jadei_job *job)
{
    job->next = NULL;
    if (q->tail) {
        q->tail->next = job;
    } else {
        q->head = job;
    }
    q->tail = job;
    q->n++;
}

static struct jadei_job *pop(struct jadei_job_queue *q)
{
    struct jadei_job *job = q->head;
    if (job) {
        q->head = job->next;
        q->tail = q->head ? q->tail : NULL;
        q->n--;
    }
    return job;
}

static void wake(struct jadei_loop *loop)
{
    uint64_t one = 1;
    /* An eventfd write fails only when its counter is full: then the loop is awake anyway. */
    ssize_t n = write(loop->wake_fd, &one, sizeof one);
    (void)n;
}

/* ---- requests ---- */

static void on_request(struct evhttp_request *req, void *arg)
{
    struct jadei_loop *loop = arg;
    struct jade_http_server *s = loop->server;
    atomic_fetch_add(&s->requests, 1);
    const char *fault = jadei_framing_fault(req);
    if (fault) {
        jadei_refuse(loop, req, JADEI_BAD_FRAMING, fault);
        return;
    }
    struct jadei_job *job = jadei_job_new(loop, req);
    if (!job) {
        jadei_refuse(loop, req, JADEI_NO_MEMORY, NULL);
        return;
    }
    atomic_fetch_add(&s->bytes_in, job->request.body_len);
    jade_mutex_lock(&s->mutex);
    bool stopping = s->stopping;
    bool taken = !stopping && s->queue.n < s->opts.queue_max;
    if (taken) {
        jadei_watch_connection(job);
        s->in_flight++;
        push(&s->queue, job);
        jade_cond_signal(&s->work);
    }
    jade_mutex_unlock(&s->mutex);
    if (!taken) {
        jadei_job_free(job);
        jadei_refuse(loop, req, stopping ? JADEI_STOPPING : JADEI_BUSY, NULL);
    }
}

void jadei_job_done(struct jadei_job *job)
{
    struct jade_http_server *s = job->loop->server;
    jadei_job_free(job);
    jade_mutex_lock(&s->mutex);
    if (--s->in_flight == 0) {
        jade_cond_broadcast(&s->idle);
    }
    jade_mutex_unlock(&s->mutex);
}

/* ---- threads ---- */

static void *worker_main(void *arg)
{
    struct jade_http_server *s = arg;
    jade_mutex_lock(&s->mutex);
    for (;;) {
        struct jadei_job *job = pop(&s->queue);
        if (!job) {
            if (s->stopping) {
                break;
            }
            jade_cond_wait(&s->work, &s->mutex);
            continue;
        }
        jade_mutex_unlock(&s->mutex);
        s->opts.handler(s->opts.ctx, &job->request, &job->reply);
        struct jadei_loop *loop = job->loop;
        jade_mutex_lock(&loop->mutex);
        push(&loop->done, job);
        jade_mutex_unlock(&loop->mutex);
        wake(loop);
        jade_mutex_lock(&s->mutex);
    }
    jade_mutex_unlock(&s->mutex);
    return NULL;
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct jadei_loop *loop = arg;
    uint64_t n;
    (void)what;
    ssize_t got = read(fd, &n, sizeof n);
    (void)got; /* EAGAIN: another look found everything already */
    jade_mutex_lock(&loop->mutex);
    struct jadei_job *list = loop->done.head;
    loop->done = (struct jadei_job_queue){0};
    bool closing = loop->closing;
    jade_mutex_unlock(&loop->mutex);
    while (list) {
        struct jadei_job *next = list->next;
        jadei_send_reply(list);
        list = next;
    }
    if (closing) {
        event_base_loopexit(loop->base, NULL);
    }
}

static void *loop_main(void *arg)
{
    struct jadei_loop *loop = arg;
    if (event_base_dispatch(loop->base) < 0) {
        jade_log(JADE_LOG_ERROR, "net", "an event loop ended with an error");
    }
    return NULL;
}

/* ---- start ---- */

static jade_code listen_on(const struct addrinfo *a, bool shared, int *fd_out, struct jade_err *err)
{
    int one = 1;
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
    if (fd < 0) {
        return jade_fail_errno(err, JADE_E_NETWORK, errno, "a socket could not be made");
    }
    bool ok = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
              setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0 &&
              (!shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0) &&
              bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
    if (!ok) {
        int e = errno;
        close(fd);
        return jade_fail_errno(err, JADE_E_NETWORK, e, "%s",
                               e == EADDRINUSE ? "it is taken" : "cannot listen");
    }
    *fd_out = fd;
    return JADE_OK;
}

static uint16_t port_of(int fd)
{
    union {
        struct sockaddr_storage any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a = {.any = {.ss_family = AF_UNSPEC}};
    socklen_t n = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &n) != 0) {
        return 0;
    }
    return ntohs(a.any.ss_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
}

static void set_port(struct addrinfo *a, uint16_t port)
{
    if (a->ai_family == AF_INET6) {
        ((struct sockaddr_in6 *)(void *)a->ai_addr)->sin6_port = htons(port);
    } else {
        ((struct sockaddr_in *)(void *)a->ai_addr)->sin_port = htons(port);
    }
}

/*
 * With SO_REUSEPORT a second server of the same user would bind too, and each would get half of the requests: a socket without it is
 * tried first. A name may have several addresses ("localhost": ::1 and 127.0.0.1): the first that can be bound is taken.
 */
static jade_code claim_port(struct jade_http_server *s, struct addrinfo *list,
                            struct addrinfo **out, struct jade_err *err)
{
    jade_code rc = JADE_E_NETWORK;
    for (struct addrinfo *a = list; a; a = a->ai_next) {
        int fd = -1;
        rc = listen_on(a, false, &fd, a == list ? err : NULL);
        if (rc == JADE_OK) {
            s->port = port_of(fd);
            close(fd);
            set_port(a, s->port);
            *out = a;
            return JADE_OK;
        }
    }
    return jade_err_wrap(err, rc, "port %u on %s", s->opts.port, s->opts.host);
}

/* What a client can cause is for debugging only: it must not fill the log. */
static void on_libevent_log(int severity, const char *text)
{
    if (severity != EVENT_LOG_DEBUG) {
        jade_log(severity == EVENT_LOG_ERR ? JADE_LOG_ERROR : JADE_LOG_DEBUG, "net", "libevent",
                 JADE_LOG_STR("text", text));
    }
}

static void set_libevent_log(void)
{
    event_set_log_callback(on_libevent_log);
}

static void accept_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    evconnlistener_enable(arg);
}

/* No file descriptor is left, as a rule: the socket stays readable, and without a pause the loop would do nothing but fail. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    const struct timeval pause = {.tv_usec = ACCEPT_PAUSE_US};
    (void)arg;
    jade_log(JADE_LOG_WARN, "net", "a connection could not be accepted",
             JADE_LOG_STR("reason", strerror(errno)));
    evconnlistener_disable(listener);
    if (event_base_once(evconnlistener_get_base(listener), -1, EV_TIMEOUT, accept_again, listener,
                        &pause) != 0) {
        evconnlistener_enable(listener);
    }
}

static jade_code loop_init(struct jadei_loop *loop, const struct addrinfo *a, struct jade_err *err)
{
    const struct jade_http_server_opts *o = &loop->server->opts;
    int fd = -1;
    loop->base = event_base_new();
    loop->http = loop->base ? evhttp_new(loop->base) : NULL;
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->wake = loop->base && loop->wake_fd >= 0
                     ? event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop)
                     : NULL;
    if (!loop->http || !loop->wake || event_add(loop->wake, NULL) != 0) {
        return jade_fail(err, JADE_E_NOMEM, "an event loop could not be made");
    }
    evhttp_set_max_headers_size(loop->http, JADE_HTTP_HEADERS_MAX);
    evhttp_set_max_body_size(loop->http, (ev_ssize_t)(o->body_max * BODY_SWALLOW));
    evhttp_set_timeout(loop->http, (int)o->idle_timeout_s);
    /* Unknown methods too: the handler answers 405 in our own words. A reply to CONNECT could not have a body. */
    evhttp_set_allowed_methods(loop->http, UINT16_MAX & ~EVHTTP_REQ_CONNECT);
    evhttp_set_gencb(loop->http, on_request, loop);
    jade_code rc = listen_on(a, true, &fd, err);
    if (rc != JADE_OK) {
        return jade_err_wrap(err, rc, "port %u on %s", loop->server->port, o->host);
    }
    loop->bound = evhttp_accept_socket_with_handle(loop->http, fd);
    if (!loop->bound) {
        close(fd);
        return jade_fail(err, JADE_E_NOMEM, "a listening socket could not be added");
    }
    evconnlistener_set_error_cb(evhttp_bound_socket_get_listener(loop->bound), on_accept_error);
    return jade_thread_start(&loop->thread, "jade-http", 0, loop_main, loop, err);
}

static jade_code start_threads(struct jade_http_server *s, const struct addrinfo *a,
                               struct jade_err *err)
{
    jade_code rc = JADE_OK;
    for (unsigned i = 0; i < s->opts.workers; i++) {
        JADE_TRY(jade_thread_start(&s->workers[i], "jade-worker", 0, worker_main, s, err));
        s->n_workers++;
    }
    for (unsigned i = 0; i < s->opts.loops; i++) {
        s->loops[i].server = s;
        s->loops[i].wake_fd = -1;
        jade_mutex_init(&s->loops[i].mutex);
        s->n_loops++;
        JADE_TRY(loop_init(&s->loops[i], a, err));
    }
out:
    return rc;
}

jade_code jade_http_server_start(const struct jade_http_server_opts *opts,
                                 struct jade_http_server **out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct addrinfo *a = NULL;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, set_libevent_log); /* fails only for an invalid argument */
    *out = NULL;
    struct jade_http_server *s = jade_calloc(JADE_TAG_NET, 1, sizeof *s);
    if (!s) {
        return jade_fail(err, JADE_E_NOMEM, "http server");
    }
    s->opts = *opts;
    s->opts.loops = opts->loops ? opts->loops : 1;
    s->opts.workers = opts->workers ? opts->workers : WORKERS_DEFAULT;
    s->opts.queue_max = opts->queue_max ? opts->queue_max : QUEUE_DEFAULT;
    s->opts.body_max = opts->body_max ? opts->body_max : JADE_HTTP_BODY_MAX;
    s->opts.idle_timeout_s = opts->idle_timeout_s ? opts->idle_timeout_s : IDLE_DEFAULT_S;
    jade_mutex_init(&s->mutex);
    jade_cond_init(&s->work);
    jade_cond_init(&s->idle);
    s->loops = jade_calloc(JADE_TAG_NET, s->opts.loops, sizeof *s->loops);
    s->workers = jade_calloc(JADE_TAG_NET, s->opts.workers, sizeof *s->workers);
    if (!s->loops || !s->workers) {
        rc = jade_fail(err, JADE_E_NOMEM, "http server");
        goto out;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    char port[8];
    snprintf(port, sizeof port, "%u", opts->port);
    int e = getaddrinfo(opts->host, port, &hints, &a);
    if (e != 0) {
        rc = jade_fail(err, JADE_E_NETWORK, "address '%s': %s", opts->host, gai_strerror(e));
        goto out;
    }
    struct addrinfo *bound = NULL;
    JADE_TRY(claim_port(s, a, &bound, err));
    JADE_TRY(start_threads(s, bound, err));
    freeaddrinfo(a);
    *out = s;
    return JADE_OK;
out:
    if (a) {
        freeaddrinfo(a);
    }
    jade_http_server_stop(s, 0);
    return rc;
}

uint16_t jade_http_server_port(const struct jade_http_server *s)
{
    return s->port;
}

/* ---- stop ---- */

static void wait_idle(struct jade_http_server *s, unsigned timeout_ms)
{
    /* Each wait is bounded; the number of waits by the time they add up to. */
    unsigned waited = 0;
    jade_mutex_lock(&s->mutex);
    s->stopping = true;
    jade_cond_broadcast(&s->work);
    while (s->in_flight > 0 && waited < timeout_ms) {
        (void)jade_cond_wait_for(&s->idle, &s->mutex, 10000);
        waited += 10;
    }
    jade_mutex_unlock(&s->mutex);
}

static void loop_release(struct jadei_loop *loop)
{
    for (struct jadei_job *job; (job = pop(&loop->done));) {
        jadei_unwatch_connection(job); /* only when the loop ended by an error */
        jadei_job_free(job);
    }
    if (loop->wake) {
        event_free(loop->wake);
    }
    if (loop->http) {
        evhttp_free(loop->http); /* closes its sockets and connections */
    }
    if (loop->base) {
        event_base_free(loop->base);
    }
    if (loop->wake_fd >= 0) {
        close(loop->wake_fd);
    }
    jade_mutex_release(&loop->mutex);
}

void jade_http_server_stop(struct jade_http_server *s, unsigned timeout_ms)
{
    if (!s) {
        return;
    }
    wait_idle(s, timeout_ms);
    for (unsigned i = 0; i < s->n_workers; i++) {
        jade_thread_join(
            &s->workers[i]); /* a handler that still runs is waited for: its reply needs the loop */
    }
    for (unsigned i = 0; i < s->n_loops; i++) {
        struct jadei_loop *loop = &s->loops[i];
        jade_mutex_lock(&loop->mutex);
        loop->closing = true;
        jade_mutex_unlock(&loop->mutex);
        if (loop->thread.started) {
            wake(loop);
            jade_thread_join(&loop->thread);
        }
    }
    for (unsigned i = 0; i < s->n_loops; i++) {
        loop_release(&s->loops[i]);
    }
    jade_cond_release(&s->idle);
    jade_cond_release(&s->work);
    jade_mutex_release(&s->mutex);
    jade_free(s->workers);
    jade_free(s->loops);
    jade_free(s);
}

void jade_http_server_counters(const struct jade_http_server *s, struct jade_http_counters *out)
{
    *out = (struct jade_http_counters){.requests = atomic_load(&s->requests),
                                       .refused = atomic_load(&s->refused),
                                       .bytes_in = atomic_load(&s->bytes_in),
                                       .bytes_out = atomic_load(&s->bytes_out)};
}
