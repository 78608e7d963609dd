/*
 * GET /metrics in the text format of Prometheus, version 0.0.4. Names and labels are ours or checked names of databases, so that
 * nothing needs escaping.
 */
#include <inttypes.h>
#include <string.h>

#include "api/api_private.h"
#include "base/alloc.h"

static void head(struct jade_buf *b, const char *name, const char *type, const char *help)
{
    jade_buf_printf(b, "# HELP jade_%s %s\n# TYPE jade_%s %s\n", name, help, name, type);
}

static void one(struct jade_buf *b, const char *name, const char *type, const char *help,
                double value)
{
    head(b, name, type, help);
    jade_buf_printf(b, "jade_%s %.17g\n", name, value);
}

static void write_node(struct jade_buf *b, const struct jade_node_status *s)
{
    const struct {
        const char *name, *type, *help;
        double value;
    } rows[] = {
        {"uptime_seconds", "gauge", "Time since the node opened.", (double)s->uptime_us / 1e6},
        {"databases", "gauge", "Databases.", s->n_databases},
        {"databases_open", "gauge", "Databases that are open.", s->n_open},
        {"databases_damaged", "gauge", "Databases that could not be opened.", s->n_damaged},
        {"orphan_folders", "gauge", "Folders without a catalog row.", s->n_orphans},
        {"operations_queued", "gauge", "Operations that wait.", s->n_jobs_queued},
        {"operations_running", "gauge", "Operations that run.", s->n_jobs_running},
        {"vectors", "gauge", "Vectors of the databases opened so far.", (double)s->n_vectors},
        {"tail_rows", "gauge", "Rows that are not in a graph yet.", (double)s->n_tail_rows},
        {"wal_bytes", "gauge", "Log to replay after a crash.", (double)s->wal_bytes},
        {"disk_bytes", "gauge", "Bytes of the databases on disk.", (double)s->disk_bytes},
        {"disk_free_bytes", "gauge", "Free bytes of the data folder's disk.",
         (double)s->disk_free_bytes},
        {"searches_total", "counter", "Searches.", (double)s->n_searches},
        {"writes_total", "counter", "Writes.", (double)s->n_writes},
        {"texts_embedded_total", "counter", "Texts embedded.", (double)s->n_texts_embedded},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        one(b, rows[i].name, rows[i].type, rows[i].help, rows[i].value);
    }
    head(b, "memory_bytes", "gauge", "Bytes of heap by purpose.");
    for (unsigned i = 0; i < JADE_TAG_COUNT; i++) {
        jade_buf_printf(b, "jade_memory_bytes{purpose=\"%s\"} %" PRId64 "\n",
                        jade_tag_name((enum jade_tag)i), jade_alloc_bytes((enum jade_tag)i));
    }
}

static void write_server(struct jade_buf *b, struct jade_http_server *server)
{
    struct jade_http_counters n;
    if (!server) {
        return;
    }
    jade_http_server_counters(server, &n);
    one(b, "http_connections_requests_total", "counter", "Requests that arrived.",
        (double)n.requests);
    one(b, "http_refused_total", "counter", "Requests refused with 503, the queue being full.",
        (double)n.refused);
    one(b, "http_received_bytes_total", "counter", "Bytes received.", (double)n.bytes_in);
    one(b, "http_sent_bytes_total", "counter", "Bytes sent.", (double)n.bytes_out);
}

static uint64_t load(const _Atomic uint64_t *p)
{
    return atomic_load_explicit(p, memory_order_relaxed);
}

static void write_requests(struct jade_buf *b, struct jade_api *api)
{
    head(b, "http_requests_total", "counter", "Requests by route and class of status.");
    for (size_t r = 0; r < jadei_n_routes; r++) {
        for (unsigned class = 1; class < 6; class ++) {
            uint64_t n = load(&api->counters[r].by_class[class]);
            if (n > 0) {
                jade_buf_printf(b,
                                "jade_http_requests_total{method=\"%s\",route=\"%s\","
                                "status=\"%uxx\"} %" PRIu64 "\n",
                                jadei_method_name(jadei_routes[r].method), jadei_routes[r].path,
                                class, n);
            }
        }
    }
    one(b, "http_unrouted_total", "counter", "Requests to no route.",
        (double)load(&api->n_unrouted));
}

static void write_latency(struct jade_buf *b, struct jade_api *api)
{
    head(b, "http_request_seconds", "histogram", "Time in the handler by route.");
    for (size_t r = 0; r < jadei_n_routes; r++) {
        const char *method = jadei_method_name(jadei_routes[r].method);
        const char *path = jadei_routes[r].path;
        uint64_t sum = 0;
        uint64_t n_all = 0;
        for (unsigned i = 0; i <= JADEI_LATENCY_BUCKETS; i++) {
            n_all += load(&api->counters[r].took[i]);
        }
        for (unsigned i = 0; n_all > 0 && i < JADEI_LATENCY_BUCKETS; i++) {
            sum += load(&api->counters[r].took[i]);
            jade_buf_printf(b,
                            "jade_http_request_seconds_bucket{method=\"%s\",route=\"%s\","
                            "le=\"%g\"} %" PRIu64 "\n",
                            method, path, (double)jadei_latency_bounds_us[i] / 1e6,
                            sum < n_all ? sum : n_all);
        }
        if (n_all > 0) {
            jade_buf_printf(b,
                            "jade_http_request_seconds_bucket{method=\"%s\",route=\"%s\","
                            "le=\"+Inf\"} %" PRIu64 "\n"
                            "jade_http_request_seconds_sum{method=\"%s\",route=\"%s\"} %g\n"
                            "jade_http_request_seconds_count{method=\"%s\",route=\"%s\"} %" PRIu64
                            "\n",
                            method, path, n_all, method, path,
                            (double)load(&api->counters[r].took_us_sum) / 1e6, method, path, n_all);
        }
    }
}

/* One family of per-database values; Prometheus wants the samples of a family together. */
static void write_family(struct jade_buf *b, const char *name, const char *help,
                         struct jade_database **list, size_t n,
                         uint64_t (*value)(const struct jade_database_stats *))
{
    head(b, name, "gauge", help);
    for (size_t i = 0; i < n; i++) {
        struct jade_database_stats stats;
        if (jade_database_stats(list[i], false, &stats, NULL) == JADE_OK && stats.known) {
            jade_buf_printf(b, "jade_%s{database=\"%s\"} %" PRIu64 "\n", name,
                            jade_database_id(list[i]), value(&stats));
        }
    }
}

static uint64_t vectors_of(const struct jade_database_stats *s)
{
    return s->shard.n_live;
}

static uint64_t tail_of(const struct jade_database_stats *s)
{
    return s->shard.tail_rows;
}

static uint64_t stopped_of(const struct jade_database_stats *s)
{
    return s->shard.poisoned;
}

static jade_code write_databases(struct jade_buf *b, struct jade_node *node, struct jade_err *err)
{
    struct jade_database **list = NULL;
    size_t n = 0;
    jade_code rc = jade_node_list(node, &list, &n, err);
    if (rc != JADE_OK) {
        return rc;
    }
    size_t shown = n < JADEI_METRIC_DATABASES_MAX ? n : JADEI_METRIC_DATABASES_MAX;
    write_family(b, "database_vectors", "Vectors.", list, shown, vectors_of);
    write_family(b, "database_tail_rows", "Rows that are not in a graph yet.", list, shown,
                 tail_of);
    write_family(b, "database_writes_stopped", "1 after a failed sync, until restart.", list, shown,
                 stopped_of);
    for (size_t i = 0; i < n; i++) {
        jade_database_unref(list[i]);
    }
    jade_free(list);
    return JADE_OK;
}

jade_code jadei_metrics_get(struct jadei_call *c, struct jade_err *err)
{
    struct jade_buf *b = &c->reply->body;
    struct jade_node_status s;
    jade_node_status(c->api->node, &s);
    c->plain = true;
    c->reply->status = 200;
    c->reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
    head(b, "build_info", "gauge", "Version of the program.");
    jade_buf_printf(b, "jade_build_info{version=\"%s\"} 1\n", c->api->version);
    write_node(b, &s);
    write_server(b, atomic_load(&c->api->server));
    write_requests(b, c->api);
    write_latency(b, c->api);
    return write_databases(b, c->api->node, err);
}
