/*
 * jadevectordb: the server. Configuration, wiring, life cycle.
 *
 * Exit codes: 0 stopped in order, 1 could not start or did not stop in order, 2 wrong usage or configuration.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/api.h"
#include "base/log.h"
#include "net/http_server.h"
#include "node/node.h"
#include "server/config.h"
#include "server/train_model.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, DRAIN_MS = 2000, CLOSE_US = 2500000 };

struct server {
    struct jade_config config;
    struct jade_node *node;
    struct jade_api *api;
    struct jade_http_server *http;
};

static int complain(const char *what, const struct jade_err *err)
{
    fprintf(stderr, "jadevectordb: %s%s%s%s%s\n", what, what[0] ? ": " : "", err->field,
            err->field[0] ? ": " : "", err->message);
    return EXIT_FAILED;
}

/* Signals are taken by sigwait in the main thread only: no handler runs in the middle of anything. */
static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    pthread_sigmask(SIG_BLOCK, set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void raise_file_limit(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &l) != 0) {
            jade_log(JADE_LOG_WARN, "server", "the limit of open files stays",
                     JADE_LOG_U64("files", l.rlim_cur));
        }
    }
}

static jade_code open_node(struct server *s, struct jade_err *err)
{
    const struct jade_config *c = &s->config;
    struct jade_node_opts opts = jade_node_opts_default();
    opts.os = jade_os_posix();
    opts.data = c->data;
    opts.background_threads = (unsigned)c->background_threads;
    opts.idle_close_us = c->idle_close_s * 1000000;
    (void)jade_durability_parse(c->durability, strlen(c->durability), &opts.shard.durability,
                                NULL); /* checked by the configuration */
    opts.shard.sync_interval_ms = (uint32_t)c->sync_interval_ms;
    opts.shard.seal_bytes = c->seal_mib << 20;
    opts.shard.tail_soft_bytes = c->tail_soft_mib << 20;
    opts.shard.tail_hard_bytes = c->tail_hard_mib << 20;
    return jade_node_open(&opts, &s->node, err);
}

static jade_code first_key(struct server *s, struct jade_err *err)
{
    enum jade_bootstrap outcome;
    char secret[JADE_KEY_SECRET_SIZE];
    jade_code rc = jade_auth_bootstrap(jade_node_auth(s->node), getenv("JADE_ADMIN_KEY"), &outcome,
                                       secret, err);
    if (rc != JADE_OK) {
        return rc;
    }
    if (outcome == JADE_BOOTSTRAP_CREATED) {
        printf("\n  admin key (shown this once, keep it): %s\n\n", secret);
        explicit_bzero(secret, sizeof secret);
    } else if (outcome == JADE_BOOTSTRAP_IGNORED) {
        fprintf(
            stderr,
            "jadevectordb: JADE_ADMIN_KEY has no effect: this data folder has its keys already, and that is none of them\n");
    }
    return JADE_OK;
}

static jade_code start_http(struct server *s, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char host[256];
    uint16_t port;
    const struct jade_config *c = &s->config;
    struct jade_api_opts api = {.node = s->node,
                                .require_auth = c->auth_required,
                                .version = JADE_VERSION,
                                .body_max = (size_t)c->max_body_bytes};
    JADE_TRY(jade_config_split_listen(c->listen, host, sizeof host, &port, err));
    JADE_TRY(jade_api_new(&api, &s->api, err));
    struct jade_http_server_opts http = {.host = host,
                                         .port = port,
                                         .loops = (unsigned)c->loops,
                                         .workers = (unsigned)c->workers,
                                         .queue_max = (unsigned)c->queue,
                                         .body_max = (size_t)c->max_body_bytes,
                                         .handler = jade_api_handle,
                                         .ctx = s->api};
    JADE_TRY(jade_http_server_start(&http, &s->http, err));
    jade_api_set_server(s->api, s->http);
    printf("JadeVectorDB %s listening on http://%s%s%s:%u  (data in %s)\n", JADE_VERSION,
           strchr(host, ':') ? "[" : "", host, strchr(host, ':') ? "]" : "",
           jade_http_server_port(s->http), c->data);
    fflush(stdout);
out:
    return rc;
}

static int stop(struct server *s)
{
    struct jade_err err = {0};
    if (s->node) {
        jade_node_stop(s->node);
    }
    jade_http_server_stop(s->http, DRAIN_MS);
    jade_api_free(s->api);
    jade_code rc = jade_node_close(s->node, CLOSE_US, &err);
    return rc == JADE_OK ? 0 : complain("stopping", &err);
}

static int run(struct server *s)
{
    struct jade_err err = {0};
    sigset_t signals;
    int number = 0;
    block_signals(&signals);
    raise_file_limit();
    if (open_node(s, &err) != JADE_OK || first_key(s, &err) != JADE_OK ||
        start_http(s, &err) != JADE_OK) {
        int code = complain("", &err);
        (void)stop(s);
        return code;
    }
    while (sigwait(&signals, &number) != 0) {
    }
    jade_log(JADE_LOG_INFO, "server", "stopping",
             JADE_LOG_STR("signal", number == SIGINT ? "SIGINT" : "SIGTERM"));
    int code = stop(s);
    if (code == 0) {
        printf("stopped\n");
    }
    return code;
}

int main(int argc, char **argv)
{
    static struct server s;
    struct jade_err err = {0};
    enum jade_log_level level = JADE_LOG_INFO;
    if (argc > 1 && strcmp(argv[1], "train-model") == 0) {
        return jade_train_model(argc - 1, argv + 1);
    }
    if (jade_config_load(&s.config, argc, argv, &err) != JADE_OK) {
        (void)complain("", &err);
        return EXIT_USAGE;
    }
    if (s.config.show_help) {
        jade_config_help(stdout);
        return 0;
    }
    if (s.config.show_version) {
        printf("jadevectordb %s\n", JADE_VERSION);
        return 0;
    }
    if (s.config.check_only) {
        jade_config_print(&s.config, stdout);
        return 0;
    }
    (void)jade_log_level_parse(s.config.log_level, &level);
    jade_log_set_level(level);
    return run(&s);
}
