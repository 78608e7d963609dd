/*
 * Load for A4: vectors in atomic batches over REST on kept connections, and searches beside them on a connection of their own. One JSON
 * object on standard output. bench/ingest.py starts the server, runs this and reports.
 *
 * Data: 1,000 clusters, centres of spread 1, points of spread 0.5 around them, `dim` dimensions, six decimals; a function of seed and number of
 * the vector alone, so that every run sends the same. Ids are "v" and the number.
 *
 * Threads: one a connection, one for the searches; each owns its socket and buffers. Shared are the number of the next batch and
 * the acknowledgements of each second (atomics).
 */
#include <errno.h>
#include <math.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    CLUSTERS = 1000,
    SECONDS_MAX = 7200,
    CONNECTIONS_MAX = 64,
    SEARCHES_MAX = 1 << 20,
    ANSWER_MAX = 8 << 20
};

static struct {
    const char *host, *port, *key, *database, *durability;
    uint64_t vectors, first, seed;
    unsigned dim, batch, connections, search_every_ms;
} o = {.host = "127.0.0.1",
       .port = "7433",
       .key = "",
       .database = "",
       .durability = "sync",
       .vectors = 300000,
       .seed = 128,
       .dim = 128,
       .batch = 500,
       .connections = 2,
       .search_every_ms = 20};

static float *centres; /* [CLUSTERS, dim] */
static double began;
static _Atomic uint64_t next_vector;
static _Atomic uint64_t acknowledged[SECONDS_MAX]; /* vectors, by second since the start */
static atomic_bool writers_done;
static pthread_mutex_t gap_mutex = PTHREAD_MUTEX_INITIALIZER;
static double last_ack, longest_gap; /* over all connections */

struct searched {
    double at, took;
};
static struct searched *searches; /* of the search thread, read after its end */
static size_t n_searches;

struct writer {
    pthread_t thread;
    double *took; /* of each batch */
    size_t n, cap;
};

static _Noreturn void die(const char *what, const char *more)
{
    fprintf(stderr, "ingest_client: %s%s%s\n", what, more[0] ? ": " : "", more);
    exit(1);
}

static void *need(void *p)
{
    if (!p) {
        die("out of memory", "");
    }
    return p;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- data ---- */

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Near enough to a normal deviate: four uniform ones (Irwin-Hall), variance 1. */
static float normal(uint64_t *state)
{
    uint64_t r = mix(state);
    uint32_t sum = (uint32_t)(r & 65535) + (uint32_t)(r >> 16 & 65535) +
                   (uint32_t)(r >> 32 & 65535) + (uint32_t)(r >> 48);
    return ((float)sum / 65536.0f - 2.0f) * 1.7320508f;
}

static void make_centres(void)
{
    uint64_t state = o.seed;
    centres = need(malloc((size_t)CLUSTERS * o.dim * sizeof *centres));
    for (size_t i = 0; i < (size_t)CLUSTERS * o.dim; i++) {
        centres[i] = normal(&state);
    }
}

/* Six decimals of |f| < 1000. */
static char *put_number(char *p, float f)
{
    int64_t micro = (int64_t)lrintf(f * 1e6f);
    char digits[16];
    if (micro < 0) {
        *p++ = '-';
        micro = -micro;
    }
    int64_t whole = micro / 1000000;
    int n = 0;
    do {
        digits[n++] = (char)('0' + whole % 10);
        whole /= 10;
    } while (whole > 0);
    while (n > 0) {
        *p++ = digits[--n];
    }
    *p++ = '.';
    int64_t rest = micro % 1000000;
    for (int64_t unit = 100000; unit > 0; unit /= 10) {
        *p++ = (char)('0' + rest / unit % 10);
    }
    return p;
}

/* "[v, v, ...]" of vector number i. */
static char *put_vector(char *p, uint64_t i)
{
    uint64_t state = o.seed * 0x100000001b3u + i * 2654435761u;
    const float *centre = centres + mix(&state) % CLUSTERS * o.dim;
    *p++ = '[';
    for (unsigned d = 0; d < o.dim; d++) {
        p = put_number(p, centre[d] + 0.5f * normal(&state));
        *p++ = d + 1 < o.dim ? ',' : ']';
    }
    return p;
}

/* ---- HTTP/1.1 ---- */

struct connection {
    int fd;
    char *answer; /* head and body of the last one */
};

static void connect_to(struct connection *c)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int one = 1;
    if (getaddrinfo(o.host, o.port, &hints, &list) != 0) {
        die("cannot resolve", o.host);
    }
    c->fd = socket(list->ai_family, list->ai_socktype, list->ai_protocol);
    if (c->fd < 0 || connect(c->fd, list->ai_addr, list->ai_addrlen) != 0) {
        die("cannot connect", strerror(errno));
    }
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    freeaddrinfo(list);
    c->answer = need(malloc(ANSWER_MAX));
}

static void send_all(struct connection *c, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            die("send", strerror(errno));
        }
        if (sent > 0) {
            p += sent;
            n -= (size_t)sent;
        }
    }
}

/* Reads an answer with Content-Length; dies unless its status is 2xx. */
static void receive(struct connection *c)
{
    size_t have = 0, whole = 0;
    while (whole == 0 || have < whole) {
        ssize_t got = recv(c->fd, c->answer + have, ANSWER_MAX - 1 - have, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            die("the server closed the connection", got < 0 ? strerror(errno) : "");
        }
        have += (size_t)got;
        c->answer[have] = '\0';
        char *end = whole == 0 ? strstr(c->answer, "\r\n\r\n") : NULL;
        if (end) {
            const char *length = strcasestr(c->answer, "\r\nContent-Length:");
            if (!length || length > end) {
                die("no Content-Length", c->answer);
            }
            whole = (size_t)(end + 4 - c->answer) + strtoul(length + 17, NULL, 10);
            if (whole >= ANSWER_MAX) {
                die("the answer is too long", "");
            }
        }
    }
    if (strncmp(c->answer, "HTTP/1.1 2", 10) != 0) {
        die("refused", c->answer);
    }
}

static int put_head(char *head, size_t size, const char *path, size_t body)
{
    int n = snprintf(
        head, size,
        "POST /api/v1/databases/%s%s HTTP/1.1\r\nHost: %s:%s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
        "Content-Length: %zu\r\n\r\n",
        o.database, path, o.host, o.port, o.key, body);
    if (n <= 0 || (size_t)n >= size) {
        die("names are too long", "");
    }
    return n;
}

/* Sends body, which has `head_room` free bytes before it, in one piece. */
enum { HEAD_ROOM = 2048 };
static void post(struct connection *c, const char *path, char *body, size_t n)
{
    char head[HEAD_ROOM];
    size_t h = (size_t)put_head(head, sizeof head, path, n);
    memcpy(body - h, head, h);
    send_all(c, body - h, h + n);
    receive(c);
}

/* ---- writers ---- */

static void note_ack(double at, uint64_t n)
{
    size_t second = (size_t)(at - began);
    atomic_fetch_add(&acknowledged[second < SECONDS_MAX ? second : SECONDS_MAX - 1], n);
    pthread_mutex_lock(&gap_mutex);
    if (at - last_ack > longest_gap) {
        longest_gap = at - last_ack;
    }
    last_ack = at > last_ack ? at : last_ack;
    pthread_mutex_unlock(&gap_mutex);
}

static size_t put_batch(char *body, uint64_t from, uint64_t to)
{
    char *p = body + sprintf(body, "{\"vectors\":[");
    for (uint64_t i = from; i < to; i++) {
        p += sprintf(p, "%s{\"id\":\"v%llu\",\"values\":", i > from ? "," : "",
                     (unsigned long long)i);
        p = put_vector(p, i);
        *p++ = '}';
    }
    p += sprintf(p, "]}");
    return (size_t)(p - body);
}

static void *write_batches(void *arg)
{
    struct writer *w = arg;
    struct connection c;
    char path[64];
    char *room = need(malloc(HEAD_ROOM + 64 + (size_t)o.batch * (o.dim * 14u + 64)));
    snprintf(path, sizeof path, "/vectors/batch?durability=%s", o.durability);
    connect_to(&c);
    for (;;) {
        uint64_t from = atomic_fetch_add(&next_vector, o.batch);
        uint64_t end = o.first + o.vectors;
        if (from >= end) {
            break;
        }
        uint64_t to = from + o.batch < end ? from + o.batch : end;
        size_t n = put_batch(room + HEAD_ROOM, from, to);
        double sent = now();
        post(&c, path, room + HEAD_ROOM, n);
        double at = now();
        note_ack(at, to - from);
        if (w->n == w->cap) {
            w->cap = w->cap ? w->cap * 2 : 1024;
            w->took = need(realloc(w->took, w->cap * sizeof *w->took));
        }
        w->took[w->n++] = at - sent;
    }
    close(c.fd);
    free(c.answer);
    free(room);
    return NULL;
}

/* ---- searches ---- */

/* One search each search_every_ms, near vectors that are acknowledged or will be; until the writers are done. */
static void *search_beside(void *arg)
{
    (void)arg;
    struct connection c;
    char *room = need(malloc(HEAD_ROOM + 64 + o.dim * 14u));
    uint64_t state = ~o.seed;
    connect_to(&c);
    while (!atomic_load(&writers_done) && n_searches < SEARCHES_MAX) {
        char *p = room + HEAD_ROOM + sprintf(room + HEAD_ROOM, "{\"topK\":10,\"queryVector\":");
        p = put_vector(p, o.first + mix(&state) % o.vectors);
        *p++ = '}';
        double sent = now();
        post(&c, "/search", room + HEAD_ROOM, (size_t)(p - room - HEAD_ROOM));
        double took = now() - sent;
        searches[n_searches++] = (struct searched){.at = sent - began, .took = took};
        double rest = o.search_every_ms / 1000.0 - took;
        if (rest > 0) {
            struct timespec t = {.tv_sec = (time_t)rest,
                                 .tv_nsec = (long)((rest - floor(rest)) * 1e9)};
            nanosleep(&t, NULL); /* a steady rate of searches is what is measured */
        }
    }
    close(c.fd);
    free(c.answer);
    free(room);
    return NULL;
}

/* ---- report ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const double *sorted, size_t n, double q)
{
    return n ? sorted[(size_t)(q * (double)(n - 1) + 0.5)] : 0.0;
}

static void print_quantiles(const char *name, double *v, size_t n)
{
    qsort(v, n, sizeof *v, ascending);
    printf("\"%s\":{\"n\":%zu,\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f}", name, n,
           quantile(v, n, 0.5) * 1e3, quantile(v, n, 0.99) * 1e3, n ? v[n - 1] * 1e3 : 0.0);
}

static void print_batches(const struct writer *w, unsigned n)
{
    size_t total = 0;
    for (unsigned i = 0; i < n; i++) {
        total += w[i].n;
    }
    double *all = need(malloc((total + 1) * sizeof *all));
    size_t at = 0;
    for (unsigned i = 0; i < n; i++) {
        for (size_t k = 0; k < w[i].n; k++) {
            all[at++] = w[i].took[k];
        }
    }
    print_quantiles("batchMs", all, total);
    free(all);
}

/* [second, vectors acknowledged in it, searches, p50 ms, p99 ms, max ms] for each second. */
static void print_seconds(double took)
{
    double *v = need(malloc((n_searches + 1) * sizeof *v));
    size_t at = 0;
    printf(",\"seconds\":[");
    for (size_t s = 0; s < SECONDS_MAX && (double)s < took; s++) {
        size_t n = 0;
        while (at < n_searches && searches[at].at < (double)(s + 1)) {
            v[n++] = searches[at++].took;
        }
        qsort(v, n, sizeof *v, ascending);
        printf("%s[%zu,%llu,%zu,%.3f,%.3f,%.3f]", s ? "," : "", s,
               (unsigned long long)atomic_load(&acknowledged[s]), n, quantile(v, n, 0.5) * 1e3,
               quantile(v, n, 0.99) * 1e3, n ? v[n - 1] * 1e3 : 0.0);
    }
    printf("]");
    free(v);
}

static void report(const struct writer *w, double took)
{
    printf(
        "{\"vectors\":%llu,\"dim\":%u,\"batch\":%u,\"connections\":%u,\"durability\":\"%s\",\"seconds_total\":%.3f,"
        "\"vectorsPerSecond\":%.1f,\"longestPauseMs\":%.3f,",
        (unsigned long long)o.vectors, o.dim, o.batch, o.connections, o.durability, took,
        (double)o.vectors / took, longest_gap * 1e3);
    print_batches(w, o.connections);
    double *all = need(malloc((n_searches + 1) * sizeof *all));
    for (size_t i = 0; i < n_searches; i++) {
        all[i] = searches[i].took;
    }
    printf(",");
    print_quantiles("searchMs", all, n_searches);
    free(all);
    print_seconds(took);
    printf("}\n");
}

/* ---- options ---- */

static void take_number(const char *name, const char *text, uint64_t min, uint64_t max,
                        uint64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *out < min || *out > max) {
        die("wrong value of", name);
    }
}

static void take_option(const char *name, const char *v)
{
    const struct {
        const char *name;
        const char **at;
    } texts[] = {{"--host", &o.host},
                 {"--port", &o.port},
                 {"--key", &o.key},
                 {"--database", &o.database},
                 {"--durability", &o.durability}};
    struct {
        const char *name;
        uint64_t min, max;
        unsigned *at;
        uint64_t *wide;
    } numbers[] = {{"--vectors", 1, UINT32_MAX, NULL, &o.vectors},
                   {"--first", 0, UINT32_MAX, NULL, &o.first},
                   {"--seed", 0, UINT32_MAX, NULL, &o.seed},
                   {"--dim", 1, 16384, &o.dim, NULL},
                   {"--batch", 1, 100000, &o.batch, NULL},
                   {"--connections", 1, CONNECTIONS_MAX, &o.connections, NULL},
                   {"--search-every-ms", 0, 60000, &o.search_every_ms, NULL}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (strcmp(name, texts[i].name) == 0) {
            *texts[i].at = v;
            return;
        }
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (strcmp(name, numbers[i].name) == 0) {
            uint64_t n;
            take_number(name, v, numbers[i].min, numbers[i].max, &n);
            if (numbers[i].wide) {
                *numbers[i].wide = n;
            } else {
                *numbers[i].at = (unsigned)n;
            }
            return;
        }
    }
    die("unknown option", name);
}

int main(int argc, char **argv)
{
    struct writer writers[CONNECTIONS_MAX] = {{.n = 0}};
    pthread_t searcher;
    for (int i = 1; i + 1 < argc; i += 2) {
        take_option(argv[i], argv[i + 1]);
    }
    if (argc % 2 == 0 || o.database[0] == '\0') {
        die("usage: ingest_client --database ID [--host H] [--port P] [--key K] [--vectors N] [--first N] [--dim N] [--batch N]",
            "[--connections N] [--durability WORD] [--search-every-ms N (0: none)] [--seed N]");
    }
    make_centres();
    searches = need(malloc(SEARCHES_MAX * sizeof *searches));
    atomic_store(&next_vector, o.first);
    began = last_ack = now();
    for (unsigned i = 0; i < o.connections; i++) {
        if (pthread_create(&writers[i].thread, NULL, write_batches, &writers[i]) != 0) {
            die("thread", strerror(errno));
        }
    }
    if (o.search_every_ms && pthread_create(&searcher, NULL, search_beside, NULL) != 0) {
        die("thread", strerror(errno));
    }
    for (unsigned i = 0; i < o.connections; i++) {
        pthread_join(writers[i].thread, NULL);
    }
    double took = last_ack - began;
    atomic_store(&writers_done, true);
    if (o.search_every_ms) {
        pthread_join(searcher, NULL);
    }
    report(writers, took);
    for (unsigned i = 0; i < o.connections; i++) {
        free(writers[i].took);
    }
    free(searches);
    free(centres);
    return 0;
}
