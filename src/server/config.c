/*
 * The table of settings and its four readers: defaults, file, environment, flags.
 */
#include "server/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/log.h"
#include "shard/shard.h"

enum kind { TEXT, NUMBER, FLAG };

struct setting {
    const char *yaml, *env, *flag; /* flag NULL: only in file and environment */
    enum kind kind;
    size_t offset, size;
    const char *text; /* default of TEXT */
    uint64_t number;  /* default of NUMBER and FLAG */
    uint64_t min, max;
    const char *help;
};

#define AT(member) offsetof(struct jade_config, member), sizeof(((struct jade_config *)0)->member)

static const struct setting settings[] = {
    {"data", "JADE_DATA", "--data", TEXT, AT(data), "data", 0, 0, 0,
     "folder that holds everything; made when missing"},
    {"listen", "JADE_LISTEN", "--listen", TEXT, AT(listen), "127.0.0.1:7433", 0, 0, 0,
     "HOST:PORT of the REST API"},
    {"insecure", "JADE_INSECURE", "--insecure", FLAG, AT(insecure), NULL, 0, 0, 1,
     "allow plain HTTP on addresses beyond this machine"},
    {"auth.required", "JADE_AUTH_REQUIRED", NULL, FLAG, AT(auth_required), NULL, 1, 0, 1,
     "every request needs an API key"},
    {"http.workers", "JADE_HTTP_WORKERS", "--workers", NUMBER, AT(workers), NULL, 16, 1, 1024,
     "threads that work on requests"},
    {"http.loops", "JADE_HTTP_LOOPS", NULL, NUMBER, AT(loops), NULL, 2, 1, 64,
     "event loop threads"},
    {"http.queue", "JADE_HTTP_QUEUE", NULL, NUMBER, AT(queue), NULL, 1024, 1, 1000000,
     "requests that may wait; more are answered 503"},
    {"http.maxBodyBytes", "JADE_MAX_BODY_BYTES", NULL, NUMBER, AT(max_body_bytes), NULL,
     JADE_HTTP_BODY_MAX, 1024, 1ull << 30, "largest request body"},
    {"log.level", "JADE_LOG_LEVEL", "--log-level", TEXT, AT(log_level), "info", 0, 0, 0,
     "debug, info, warn, error or off"},
    {"storage.durability", "JADE_DURABILITY", "--durability", TEXT, AT(durability), "sync", 0, 0, 0,
     "sync, periodic or async: of databases that do not say"},
    {"storage.syncIntervalMs", "JADE_SYNC_INTERVAL_MS", NULL, NUMBER, AT(sync_interval_ms), NULL,
     1000, 1, 3600000, "periodic, async: longest time until a write is on stable storage"},
    {"storage.sealMiB", "JADE_SEAL_MIB", NULL, NUMBER, AT(seal_mib), NULL, 128, 1, 4096,
     "log size at which new rows become a segment file"},
    {"storage.tailSoftMiB", "JADE_TAIL_SOFT_MIB", NULL, NUMBER, AT(tail_soft_mib), NULL, 64, 1,
     1 << 20, "vectors not yet in an index from which on writers are slowed"},
    {"storage.tailHardMiB", "JADE_TAIL_HARD_MIB", NULL, NUMBER, AT(tail_hard_mib), NULL, 256, 2,
     1 << 20, "where writers go at the speed of the index"},
    {"storage.idleCloseSeconds", "JADE_IDLE_CLOSE_SECONDS", NULL, NUMBER, AT(idle_close_s), NULL,
     300, 1, 86400, "a database that nobody uses is closed after this time"},
    {"engine.backgroundThreads", "JADE_BACKGROUND_THREADS", NULL, NUMBER, AT(background_threads),
     NULL, 0, 0, 1024, "threads that build indexes; 0 = one a processor"},
};
enum { N_SETTINGS = sizeof settings / sizeof *settings, FILE_DEPTH_MAX = 4 };

void jade_config_default(struct jade_config *c)
{
    memset(c, 0, sizeof *c);
    for (size_t i = 0; i < N_SETTINGS; i++) {
        char *at = (char *)c + settings[i].offset;
        if (settings[i].kind == TEXT) {
            snprintf(at, settings[i].size, "%s", settings[i].text);
        } else if (settings[i].kind == NUMBER) {
            memcpy(at, &settings[i].number, sizeof(uint64_t));
        } else {
            *(bool *)(void *)at = settings[i].number != 0;
        }
    }
}

/* ---- one value ---- */

static jade_code parse_flag(const char *text, bool *out)
{
    static const char *const yes[] = {"true", "yes", "on", "1"};
    static const char *const no[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < 4; i++) {
        if (strcasecmp(text, yes[i]) == 0) {
            *out = true;
            return JADE_OK;
        }
        if (strcasecmp(text, no[i]) == 0) {
            *out = false;
            return JADE_OK;
        }
    }
    return JADE_E_INVALID_ARGUMENT;
}

/* Settings that take one word of a few. */
static const struct {
    const char *yaml;
    const char *words[5];
} choices[] = {
    {"log.level", {"debug", "info", "warn", "error", "off"}},
    {"storage.durability", {"sync", "periodic", "async"}},
};

static jade_code check_choice(const struct setting *s, const char *text, const char *where,
                              struct jade_err *err)
{
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        if (strcmp(choices[i].yaml, s->yaml) != 0) {
            continue;
        }
        for (size_t w = 0; w < 5 && choices[i].words[w]; w++) {
            if (strcasecmp(choices[i].words[w], text) == 0) {
                return JADE_OK;
            }
        }
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, s->yaml, "%s: '%.40s'; expected %s",
                               where, text, s->help);
    }
    return JADE_OK;
}

static jade_code set(struct jade_config *c, const struct setting *s, const char *text,
                     const char *where, struct jade_err *err)
{
    char *at = (char *)c + s->offset;
    if (s->kind == TEXT) {
        if (text[0] == '\0' || strlen(text) >= s->size) {
            return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, s->yaml,
                                   "%s: expected 1..%zu characters", where, s->size - 1);
        }
        snprintf(at, s->size, "%s", text);
        return check_choice(s, text, where, err);
    }
    if (s->kind == FLAG) {
        return parse_flag(text, (bool *)(void *)at) == JADE_OK
                   ? JADE_OK
                   : jade_fail_field(err, JADE_E_INVALID_ARGUMENT, s->yaml,
                                     "%s: '%.40s'; expected true or false", where, text);
    }
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || v < s->min || v > s->max) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, s->yaml,
                               "%s: '%.40s'; expected a whole number %llu..%llu", where, text,
                               (unsigned long long)s->min, (unsigned long long)s->max);
    }
    uint64_t value = v;
    memcpy(at, &value, sizeof value);
    return JADE_OK;
}

/* ---- file ---- */

static const struct setting *find_yaml(const char *path)
{
    for (size_t i = 0; i < N_SETTINGS; i++) {
        if (strcmp(settings[i].yaml, path) == 0) {
            return &settings[i];
        }
    }
    return NULL;
}

struct file_reader {
    struct jade_config *c;
    const char *file;
    char path[256];              /* keys so far, dotted */
    size_t ends[FILE_DEPTH_MAX]; /* length of path at each open mapping */
    unsigned depth;
    bool has_key, has_document;
    bool seen[N_SETTINGS];
};

static jade_code scalar(struct file_reader *r, const yaml_event_t *e, struct jade_err *err)
{
    const char *text = (const char *)e->data.scalar.value;
    size_t line = e->start_mark.line + 1;
    size_t base = r->depth > 0 ? r->ends[r->depth - 1] : 0;
    if (r->depth == 0) {
        return jade_fail(err, JADE_E_INVALID_ARGUMENT, "%s:%zu: expected settings as 'name: value'",
                         r->file, line);
    }
    if (!r->has_key) {
        int n = snprintf(r->path + base, sizeof r->path - base, "%s%s", base ? "." : "", text);
        if (n < 0 || (size_t)n >= sizeof r->path - base) {
            return jade_fail(err, JADE_E_INVALID_ARGUMENT, "%s:%zu: the name is too long", r->file,
                             line);
        }
        r->has_key = true;
        return JADE_OK;
    }
    r->has_key = false;
    const struct setting *s = find_yaml(r->path);
    if (!s) {
        return jade_fail_field(err, JADE_E_UNKNOWN_FIELD, r->path,
                               "%s:%zu: there is no such setting (see --help)", r->file, line);
    }
    bool *seen = &r->seen[s - settings];
    if (*seen) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, s->yaml, "%s:%zu: is there twice",
                               r->file, line);
    }
    *seen = true;
    char where[JADE_CONFIG_TEXT_MAX + 32];
    snprintf(where, sizeof where, "%.900s:%zu", r->file, line);
    return set(r->c, s, text, where, err);
}

static jade_code open_mapping(struct file_reader *r, const yaml_event_t *e, struct jade_err *err)
{
    if (r->depth == FILE_DEPTH_MAX || (r->depth > 0 && !r->has_key)) {
        return jade_fail(err, JADE_E_INVALID_ARGUMENT, "%s:%zu: unexpected nesting", r->file,
                         e->start_mark.line + 1);
    }
    r->ends[r->depth++] = r->has_key ? strlen(r->path) : 0;
    r->has_key = false;
    return JADE_OK;
}

static jade_code on_event(struct file_reader *r, const yaml_event_t *e, struct jade_err *err)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return scalar(r, e, err);
    case YAML_MAPPING_START_EVENT:
        return open_mapping(r, e, err);
    case YAML_MAPPING_END_EVENT:
        r->depth--;
        r->has_key = false;
        return JADE_OK;
    case YAML_DOCUMENT_START_EVENT:
        if (r->has_document) {
            return jade_fail(err, JADE_E_INVALID_ARGUMENT, "%s:%zu: a second document", r->file,
                             e->start_mark.line + 1);
        }
        r->has_document = true;
        return JADE_OK;
    case YAML_SEQUENCE_START_EVENT:
    case YAML_ALIAS_EVENT:
        return jade_fail(err, JADE_E_INVALID_ARGUMENT, "%s:%zu: lists and aliases have no use here",
                         r->file, e->start_mark.line + 1);
    default:
        return JADE_OK;
    }
}

static jade_code read_file(struct jade_config *c, const char *path, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    yaml_parser_t parser;
    struct file_reader r = {.c = c, .file = path};
    FILE *f = fopen(path, "rb");
    if (!f) {
        return jade_fail_errno(err, JADE_E_INVALID_ARGUMENT, errno, "configuration file %s", path);
    }
    if (!yaml_parser_initialize(&parser)) {
        fclose(f);
        return jade_fail(err, JADE_E_NOMEM, "configuration file %s", path);
    }
    yaml_parser_set_input_file(&parser, f);
    for (bool end = false; !end && rc == JADE_OK;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            rc = jade_fail(err, JADE_E_INVALID_ARGUMENT, "%s:%zu: %s", path,
                           parser.problem_mark.line + 1,
                           parser.problem ? parser.problem : "not YAML");
            break;
        }
        end = event.type == YAML_STREAM_END_EVENT;
        rc = on_event(&r, &event, err);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    fclose(f);
    return rc;
}

/* ---- environment, flags ---- */

static jade_code read_environment(struct jade_config *c, struct jade_err *err)
{
    for (size_t i = 0; i < N_SETTINGS; i++) {
        const char *text = getenv(settings[i].env);
        if (text) {
            jade_code rc = set(c, &settings[i], text, settings[i].env, err);
            if (rc != JADE_OK) {
                return rc;
            }
        }
    }
    return JADE_OK;
}

static const struct setting *find_flag(const char *word, size_t n)
{
    for (size_t i = 0; i < N_SETTINGS; i++) {
        if (settings[i].flag && strlen(settings[i].flag) == n &&
            strncmp(settings[i].flag, word, n) == 0) {
            return &settings[i];
        }
    }
    return NULL;
}

/* Flags that are no settings; true when it was one. */
static bool plain_flag(struct jade_config *c, const char *word)
{
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        c->show_help = true;
    } else if (strcmp(word, "--version") == 0) {
        c->show_version = true;
    } else if (strcmp(word, "--check-config") == 0) {
        c->check_only = true;
    } else {
        return false;
    }
    return true;
}

static jade_code set_file(struct jade_config *c, const char *where, const char *path,
                          struct jade_err *err)
{
    if (path[0] == '\0' || strlen(path) >= sizeof c->file) {
        return jade_fail_field(
            err, JADE_E_INVALID_ARGUMENT, where, "%s; expected 1..%zu characters",
            path[0] ? "the path is too long" : "the path is empty", sizeof c->file - 1);
    }
    snprintf(c->file, sizeof c->file, "%s", path);
    return JADE_OK;
}

/* Goes over the flags: only --config when `first`, everything else when not. */
static jade_code read_flags(struct jade_config *c, int argc, char **argv, bool first,
                            struct jade_err *err)
{
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        const char *eq = strchr(word, '=');
        size_t n = eq ? (size_t)(eq - word) : strlen(word);
        bool is_config = n == 8 && strncmp(word, "--config", 8) == 0;
        const struct setting *s = is_config ? NULL : find_flag(word, n);
        if (!is_config && !s) {
            if (!plain_flag(c, word)) {
                return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, word,
                                       "unknown flag '%.60s' (see --help)", word);
            }
            continue;
        }
        const char *value = eq ? eq + 1 : NULL;
        if (!value && s && s->kind == FLAG) {
            value = "true";
        }
        if (!value && i + 1 < argc) {
            value = argv[++i];
        }
        if (!value) {
            return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, word, "the flag %s needs a value",
                                   word);
        }
        if (is_config && first) {
            jade_code rc = set_file(c, "--config", value, err);
            if (rc != JADE_OK) {
                return rc;
            }
        } else if (s && !first) {
            jade_code rc = set(c, s, value, s->flag, err);
            if (rc != JADE_OK) {
                return rc;
            }
        }
    }
    return JADE_OK;
}

/* ---- checks ---- */

jade_code jade_config_split_listen(const char *listen, char *host, size_t size, uint16_t *port_out,
                                   struct jade_err *err)
{
    const char *colon = strrchr(listen, ':');
    char *end;
    errno = 0;
    unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;
    size_t n = colon ? (size_t)(colon - listen) : 0;
    const char *from = listen;
    bool bracketed = n >= 2 && listen[0] == '[' && listen[n - 1] == ']';
    if (bracketed) {
        from++;
        n -= 2;
    }
    /* Outside of brackets a second colon leaves open where an IPv6 address ends. */
    bool clear = bracketed || (!memchr(listen, ':', n) && listen[0] != '[');
    if (!colon || colon[1] < '0' || colon[1] > '9' || *end != '\0' || errno != 0 || port > 65535 ||
        n == 0 || n >= size || !clear) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "listen",
                               "'%.80s'; expected HOST:PORT, e.g. 127.0.0.1:7433 or [::1]:7433",
                               listen);
    }
    memcpy(host, from, n);
    host[n] = '\0';
    *port_out = (uint16_t)port;
    return JADE_OK;
}

bool jade_config_is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1) {
        return (ntohl(v4.s_addr) >> 24) == 127;
    }
    if (inet_pton(AF_INET6, host, &v6) == 1) {
        return IN6_IS_ADDR_LOOPBACK(&v6);
    }
    return strcasecmp(host, "localhost") == 0;
}

static jade_code check(const struct jade_config *c, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char host[256];
    uint16_t port;
    enum jade_log_level level;
    enum jade_durability durability;
    JADE_TRY(jade_config_split_listen(c->listen, host, sizeof host, &port, err));
    if (!jade_config_is_loopback(host) && !c->insecure) {
        return jade_fail_field(
            err, JADE_E_INVALID_ARGUMENT, "listen",
            "%s is reachable from other machines and there is no TLS yet: keys and data would go in clear; "
            "listen on 127.0.0.1, or say --insecure",
            c->listen);
    }
    if (!c->auth_required && !jade_config_is_loopback(host)) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "auth.required",
                               "may be false only on a loopback address");
    }
    if (!jade_log_level_parse(c->log_level, &level)) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "log.level",
                               "'%s'; expected debug, info, warn, error or off", c->log_level);
    }
    JADE_TRY(jade_durability_parse(c->durability, strlen(c->durability), &durability, err));
    if (c->tail_soft_mib >= c->tail_hard_mib) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "storage.tailSoftMiB",
                               "%llu; must be below storage.tailHardMiB, %llu",
                               (unsigned long long)c->tail_soft_mib,
                               (unsigned long long)c->tail_hard_mib);
    }
out:
    return rc;
}

jade_code jade_config_load(struct jade_config *c, int argc, char **argv, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    jade_config_default(c);
    JADE_TRY(read_flags(c, argc, argv, true, err));
    const char *file = getenv("JADE_CONFIG");
    if (c->file[0] == '\0' && file) {
        JADE_TRY(set_file(c, "JADE_CONFIG", file, err));
    }
    if (c->file[0] != '\0') {
        JADE_TRY(read_file(c, c->file, err));
    }
    JADE_TRY(read_environment(c, err));
    JADE_TRY(read_flags(c, argc, argv, false, err));
    if (!c->show_help && !c->show_version) {
        JADE_TRY(check(c, err));
    }
out:
    return rc;
}

/* ---- printing ---- */

enum { SHOWN_MAX = 4 * JADE_CONFIG_TEXT_MAX + 4 };

/* A double-quoted YAML scalar: quotes, backslashes and control characters escaped. */
static void quoted(const char *text, char *out, size_t size)
{
    size_t n = 0;
    JADE_ASSERT(size >= 4 * strlen(text) + 3);
    out[n++] = '"';
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\') {
            out[n++] = '\\';
            out[n++] = (char)byte;
        } else if (byte < 0x20 || byte == 0x7f) {
            n += (size_t)snprintf(out + n, size - n, "\\x%02x", byte);
        } else {
            out[n++] = (char)byte;
        }
    }
    out[n++] = '"';
    out[n] = '\0';
}

static void value_text(const struct jade_config *c, const struct setting *s, char *out, size_t size)
{
    const char *at = (const char *)c + s->offset;
    if (s->kind == TEXT) {
        quoted(at, out, size);
    } else if (s->kind == FLAG) {
        snprintf(out, size, "%s", *(const bool *)(const void *)at ? "true" : "false");
    } else {
        uint64_t v;
        memcpy(&v, at, sizeof v);
        snprintf(out, size, "%llu", (unsigned long long)v);
    }
}

void jade_config_help(FILE *out)
{
    struct jade_config c;
    jade_config_default(&c);
    fprintf(
        out,
        "usage: jadevectordb [--config FILE] [SETTING]...\n"
        "       jadevectordb train-model --help\n\n"
        "The server of JadeVectorDB. Defaults are overridden by the file, the file by the environment, that by flags.\n\n"
        "  --config FILE    YAML file with settings (JADE_CONFIG)\n"
        "  --check-config   check all settings, print them, exit\n"
        "  --version        print the version\n"
        "  --help           this text\n\n"
        "JADE_ADMIN_KEY in the environment sets the first admin key; else the first start makes one and prints it.\n\nsettings\n");
    for (size_t i = 0; i < N_SETTINGS; i++) {
        char value[SHOWN_MAX];
        value_text(&c, &settings[i], value, sizeof value);
        fprintf(out, "  %-26s %-24s %-14s %s (default %s)\n", settings[i].yaml, settings[i].env,
                settings[i].flag ? settings[i].flag : "", settings[i].help, value);
    }
}

void jade_config_print(const struct jade_config *c, FILE *out)
{
    char section[64] = "";
    for (size_t i = 0; i < N_SETTINGS; i++) {
        char value[SHOWN_MAX];
        const char *dot = strchr(settings[i].yaml, '.');
        size_t n = dot ? (size_t)(dot - settings[i].yaml) : 0;
        value_text(c, &settings[i], value, sizeof value);
        if (dot && (strlen(section) != n || strncmp(section, settings[i].yaml, n) != 0)) {
            snprintf(section, sizeof section, "%.*s", (int)n, settings[i].yaml);
            fprintf(out, "%s:\n", section);
        }
        fprintf(out, "%s%s: %s\n", dot ? "  " : "", dot ? dot + 1 : settings[i].yaml, value);
    }
}
