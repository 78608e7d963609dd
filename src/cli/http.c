#include "cli/http.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "cli/cli.h"
#include "os/os.h"

enum {
    CONNECT_MS = 5000,
    CALL_S = 600, /* a search or a batch behind a long recovery; Ctrl-C is always there */
};

struct jade_client {
    CURL *curl;
    struct curl_slist *headers;
    struct jade_json_parser *parser;
    struct jade_buf body; /* of the answer */
    bool too_large;
    char url[JADE_CLI_URL_SIZE];
    char text[CURL_ERROR_SIZE];
};

jade_code jade_http_global_init(struct jade_err *err)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return jade_fail(err, JADE_E_INTERNAL, "libcurl does not start");
    }
    return JADE_OK;
}

void jade_http_global_release(void)
{
    curl_global_cleanup();
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    struct jade_client *c = ctx;
    if (c->body.len + size * n > JADE_CLIENT_REPLY_MAX) {
        c->too_large = true;
        return 0; /* ends the transfer */
    }
    jade_buf_append(&c->body, data, size * n);
    return c->body.failed ? 0 : size * n;
}

/* Whether a URL names this machine: no proxy stands in between, whatever the environment says. */
static bool is_own_machine(const char *url)
{
    static const char *const hosts[] = {"://127.", "://localhost", "://[::1]"};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        if (strstr(url, hosts[i])) {
            return true;
        }
    }
    return false;
}

static bool add_header(struct jade_client *c, const char *line)
{
    struct curl_slist *more = curl_slist_append(c->headers, line);
    if (more) {
        c->headers = more;
    }
    return more != NULL;
}

static jade_code set_up(struct jade_client *c, const char *key, struct jade_err *err)
{
    char line[JADE_CLI_KEY_SIZE + 32];
    snprintf(line, sizeof line, "Authorization: Bearer %s", key);
    bool ok = add_header(c, "Content-Type: application/json") && add_header(c, "Expect:") &&
              (key[0] == '\0' || add_header(c, line));
    explicit_bzero(line, sizeof line);
    c->curl = curl_easy_init();
    if (!ok || !c->curl) {
        return jade_fail(err, JADE_E_NOMEM, "an HTTP connection");
    }
    CURLcode rc = CURLE_OK;
    const struct {
        CURLoption option;
        long value;
    } longs[] = {{CURLOPT_NOSIGNAL, 1},     {CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS},
                 {CURLOPT_TIMEOUT, CALL_S}, {CURLOPT_FOLLOWLOCATION, 0},
                 {CURLOPT_PATH_AS_IS, 1}, /* ".." is a valid id */
                 {CURLOPT_TCP_KEEPALIVE, 1}};
    for (size_t i = 0; i < sizeof longs / sizeof longs[0] && rc == CURLE_OK; i++) {
        rc = curl_easy_setopt(c->curl, longs[i].option, longs[i].value);
    }
    const struct {
        CURLoption option;
        const char *value;
    } texts[] = {{CURLOPT_PROTOCOLS_STR, "http,https"},
                 {CURLOPT_USERAGENT, "jade-db/" JADE_VERSION},
                 {CURLOPT_ERRORBUFFER, c->text},
                 {CURLOPT_PROXY, is_own_machine(c->url) ? "" : NULL}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0] && rc == CURLE_OK; i++) {
        if (texts[i].value) {
            rc = curl_easy_setopt(c->curl, texts[i].option, texts[i].value);
        }
    }
    if (rc == CURLE_OK) {
        rc = curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, c->headers);
    }
    if (rc == CURLE_OK) {
        rc = curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_body);
    }
    if (rc == CURLE_OK) {
        rc = curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
    }
    return rc == CURLE_OK ? JADE_OK
                          : jade_fail(err, JADE_E_INTERNAL, "libcurl: %s", curl_easy_strerror(rc));
}

jade_code jade_client_new(const char *url, const char *key, struct jade_client **out,
                          struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_client *c = jade_calloc(JADE_TAG_NET, 1, sizeof *c);
    *out = NULL;
    if (!c) {
        return jade_fail(err, JADE_E_NOMEM, "an HTTP connection");
    }
    jade_buf_init(&c->body, JADE_TAG_NET);
    snprintf(c->url, sizeof c->url, "%s", url);
    JADE_TRY(jade_json_parser_new(JADE_CLIENT_REPLY_MAX, JADE_CLI_JSON_DEPTH, &c->parser, err));
    JADE_TRY(set_up(c, key, err));
    *out = c;
    c = NULL;
out:
    jade_client_free(c);
    return rc;
}

void jade_client_free(struct jade_client *c)
{
    if (!c) {
        return;
    }
    curl_easy_cleanup(c->curl);
    curl_slist_free_all(c->headers);
    jade_json_parser_free(c->parser);
    jade_buf_release(&c->body);
    jade_free(c);
}

/* ---- one call ---- */

static jade_code set_request(struct jade_client *c, const char *method, const char *path,
                             const void *body, size_t n, struct jade_err *err)
{
    struct jade_buf url;
    jade_buf_init(&url, JADE_TAG_NET);
    jade_buf_append_str(&url, c->url);
    jade_buf_append_str(&url, path);
    jade_buf_append_byte(&url, 0);
    jade_code rc = jade_buf_status(&url, err);
    CURLcode set = CURLE_OK;
    if (rc == JADE_OK) {
        set = curl_easy_setopt(c->curl, CURLOPT_URL, (const char *)url.data); /* copied */
    }
    if (set == CURLE_OK) {
        /* The body stays ours: it lives longer than the call. */
        bool has_body = n > 0;
        set = curl_easy_setopt(c->curl, has_body ? CURLOPT_POST : CURLOPT_HTTPGET, 1L);
        if (set == CURLE_OK && has_body) {
            set = curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)n);
        }
        if (set == CURLE_OK && has_body) {
            set = curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body);
        }
    }
    if (set == CURLE_OK) {
        set = curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, method);
    }
    jade_buf_release(&url);
    if (rc == JADE_OK && set != CURLE_OK) {
        rc = jade_fail(err, JADE_E_INTERNAL, "libcurl: %s", curl_easy_strerror(set));
    }
    return rc;
}

jade_code jade_code_of_name(const char *name, size_t n)
{
    static const struct {
        const char *name;
        jade_code code;
    } codes[] = {
#define ROW(symbol, number, text, http, category, retryable, meaning) {text, symbol},
        JADE_CODES(ROW)
#undef ROW
    };
    for (size_t i = 1; i < sizeof codes / sizeof codes[0]; i++) { /* OK is no error */
        if (strlen(codes[i].name) == n && memcmp(codes[i].name, name, n) == 0) {
            return codes[i].code;
        }
    }
    return JADE_E_INTERNAL;
}

static struct jade_str string_of(struct jade_json object, const char *key)
{
    struct jade_json v;
    if (jade_json_type(object) == JADE_JSON_OBJECT && jade_json_get(object, key, &v) &&
        jade_json_type(v) == JADE_JSON_STRING) {
        return jade_json_string(v);
    }
    return (struct jade_str){"", 0};
}

/* The error part of an envelope, into err. */
static jade_code refusal(struct jade_json root, struct jade_reply *reply, struct jade_err *err)
{
    struct jade_json error, details, first, wait;
    struct jade_json_iter it = {0};
    struct jade_str message = string_of(root, "message");
    if (!jade_json_get(root, "error", &error) || jade_json_type(error) != JADE_JSON_OBJECT) {
        return jade_fail(err, JADE_E_INTERNAL, "HTTP %d: %.*s", reply->status, (int)message.n,
                         message.p);
    }
    struct jade_str name = string_of(error, "code"), field = {"", 0}, reason = {"", 0};
    if (jade_json_get(error, "details", &details) && jade_json_type(details) == JADE_JSON_ARRAY &&
        jade_json_array_next(details, &it, &first)) {
        field = string_of(first, "field");
        reason = string_of(first, "reason");
    }
    if (jade_json_get(error, "retryAfterMs", &wait) && jade_json_type(wait) == JADE_JSON_INT &&
        jade_json_int(wait) > 0) {
        reply->retry_after_ms = jade_json_uint(wait);
    }
    if (reason.n > 0) {
        message = reason;
    }
    return jade_fail_field(err, jade_code_of_name(name.p, name.n), field.p, "%.*s", (int)message.n,
                           message.p);
}

static jade_code take_reply(struct jade_client *c, struct jade_reply *reply, struct jade_err *err)
{
    struct jade_json root;
    jade_code rc = jade_json_parse(c->parser, c->body.data, c->body.len, &root, NULL);
    if (rc == JADE_E_NOMEM) {
        return jade_fail(err, rc, "the answer of %zu bytes", c->body.len);
    }
    if (rc != JADE_OK || jade_json_type(root) != JADE_JSON_OBJECT) {
        return jade_fail(err, JADE_E_NETWORK, "HTTP %d from %s is no answer of JadeVectorDB",
                         reply->status, c->url);
    }
    reply->has_data = jade_json_get(root, "data", &reply->data);
    reply->has_meta = jade_json_get(root, "meta", &reply->meta) &&
                      jade_json_type(reply->meta) == JADE_JSON_OBJECT;
    return reply->status >= 400 ? refusal(root, reply, err) : JADE_OK;
}

jade_code jade_client_call(struct jade_client *c, const char *method, const char *path,
                           const void *body, size_t body_len, struct jade_reply *reply,
                           struct jade_err *err)
{
    jade_code rc = JADE_OK;
    long status = 0;
    memset(reply, 0, sizeof *reply);
    jade_buf_clear(&c->body);
    c->too_large = false;
    c->text[0] = '\0';
    JADE_TRY(set_request(c, method, path, body, body_len, err));
    uint64_t began = jade_os_mono_us(jade_os_posix());
    CURLcode done = curl_easy_perform(c->curl);
    reply->elapsed_us = jade_os_mono_us(jade_os_posix()) - began;
    if (c->too_large) {
        rc = jade_fail(err, JADE_E_TOO_LARGE, "the answer is larger than %d bytes",
                       JADE_CLIENT_REPLY_MAX);
        goto out;
    }
    JADE_TRY(jade_buf_status(&c->body, err));
    if (done != CURLE_OK) {
        rc = jade_fail(err, JADE_E_NETWORK, "%s: %s", c->url,
                       c->text[0] ? c->text : curl_easy_strerror(done));
        goto out;
    }
    (void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    reply->status = (int)status;
    if (c->body.len == 0 && status < 400) {
        goto out; /* 204 */
    }
    JADE_TRY(take_reply(c, reply, err));
out:
    return rc;
}
