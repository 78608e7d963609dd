#include "cli/profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "format/json.h"
#include "format/json_out.h"

enum { FILE_BYTES_MAX = 1 << 20 };

jade_code jade_profiles_path(char out[JADE_PATH_MAX], struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const char *config = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    if (config && config[0] == '/') { /* a relative one is to be ignored (XDG base directories) */
        JADE_TRY(jade_path_join(out, config, "jade-db/profiles.json", err));
    } else if (home && home[0] != '\0') {
        JADE_TRY(jade_path_join(out, home, ".config/jade-db/profiles.json", err));
    } else {
        rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "HOME",
                             "neither XDG_CONFIG_HOME nor HOME is set: no place for profiles");
    }
out:
    return rc;
}

jade_code jade_url_normal(const char *url, char *out, size_t size, struct jade_err *err)
{
    size_t n = strlen(url);
    size_t scheme = strncasecmp(url, "http://", 7) == 0    ? 7
                    : strncasecmp(url, "https://", 8) == 0 ? 8
                                                           : 0;
    while (n > scheme && url[n - 1] == '/') {
        n--;
    }
    if (scheme == 0 || n == scheme || n >= size || strcspn(url, " \t\r\n?#@") < n) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "url",
                               "'%.80s'; expected http://HOST:PORT or https://HOST:PORT", url);
    }
    memcpy(out, url, n);
    out[n] = '\0';
    return JADE_OK;
}

struct jade_profile *jade_profiles_find(const struct jade_profiles *p, const char *name)
{
    for (unsigned i = 0; i < p->n; i++) {
        if (strcmp(p->list[i].name, name) == 0) {
            return &p->list[i];
        }
    }
    return NULL;
}

static bool is_name(const char *s)
{
    size_t n = strlen(s);
    return n > 0 && n < JADE_PROFILE_NAME_SIZE &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == n;
}

/* It becomes a header line: printable ASCII without blanks. */
static bool is_key(const char *s)
{
    for (const char *c = s; *c; c++) {
        if (*c <= 0x20 || *c >= 0x7F) {
            return false;
        }
    }
    return strlen(s) < JADE_PROFILE_KEY_SIZE;
}

jade_code jade_profiles_set(struct jade_profiles *p, const char *name, const char *url,
                            const char *key, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_profile *old = jade_profiles_find(p, name);
    struct jade_profile fresh = {.name = ""};
    if (!is_name(name)) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "profile",
                               "'%.60s'; expected letters, digits, '-', '_' and '.'", name);
    }
    if (key && !is_key(key)) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "key",
                               "expected up to %d printable characters without blanks",
                               JADE_PROFILE_KEY_SIZE - 1);
    }
    if (!old && p->n == JADE_PROFILES_MAX) {
        return jade_fail_field(err, JADE_E_TOO_LARGE, "profile", "there are %d already",
                               JADE_PROFILES_MAX);
    }
    if (old) {
        fresh = *old;
    }
    snprintf(fresh.name, sizeof fresh.name, "%s", name);
    if (url || !old) {
        JADE_TRY(
            jade_url_normal(url ? url : "http://127.0.0.1:7433", fresh.url, sizeof fresh.url, err));
    }
    if (key) {
        snprintf(fresh.key, sizeof fresh.key, "%s", key);
    }
    if (!old) {
        old = &p->list[p->n++];
    }
    *old = fresh;
out:
    explicit_bzero(&fresh, sizeof fresh);
    return rc;
}

/* ---- the file ---- */

static const char *text_of(struct jade_json object, const char *key)
{
    struct jade_json v;
    return jade_json_type(object) == JADE_JSON_OBJECT && jade_json_get(object, key, &v) &&
                   jade_json_type(v) == JADE_JSON_STRING
               ? jade_json_string(v).p
               : NULL;
}

static jade_code take_all(struct jade_profiles *p, struct jade_json root, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_json profiles, one;
    struct jade_json_iter it = {0};
    struct jade_str name;
    const char *current = text_of(root, "current");
    if (jade_json_type(root) != JADE_JSON_OBJECT || !jade_json_get(root, "profiles", &profiles) ||
        jade_json_type(profiles) != JADE_JSON_OBJECT) {
        return jade_fail(err, JADE_E_CORRUPT, "no list of profiles in it");
    }
    while (jade_json_object_next(profiles, &it, &name, &one)) {
        const char *url = text_of(one, "url");
        if (!url) {
            return jade_fail_field(err, JADE_E_CORRUPT, name.p, "this profile has no url");
        }
        JADE_TRY(jade_profiles_set(p, name.p, url, text_of(one, "key"), err));
    }
    if (current && jade_profiles_find(p, current)) {
        snprintf(p->current, sizeof p->current, "%s", current);
    }
out:
    return rc;
}

/* Refuses a file that others can read: whoever may have read the key can use it. */
static jade_code check_mode(const char *path, bool *there, struct jade_err *err)
{
    struct stat st;
    *there = stat(path, &st) == 0;
    if (!*there) {
        return errno == ENOENT || errno == ENOTDIR
                   ? JADE_OK
                   : jade_fail_errno(err, JADE_E_IO, errno, "%s", path);
    }
    if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return jade_fail(
            err, JADE_E_FORBIDDEN,
            "%s can be read by others (mode %03o) and is not used: chmod 600 it, and replace the keys in it",
            path, (unsigned)(st.st_mode & 0777));
    }
    return JADE_OK;
}

jade_code jade_profiles_load(struct jade_profiles *p, const char *path, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_json_parser *parser = NULL;
    struct jade_json root;
    uint8_t *data = NULL;
    size_t size = 0;
    bool there;
    memset(p, 0, sizeof *p);
    if ((size_t)snprintf(p->path, sizeof p->path, "%s", path) >= sizeof p->path) {
        return jade_fail(err, JADE_E_INVALID_ARGUMENT, "the path of the profiles is too long");
    }
    p->list = jade_calloc(JADE_TAG_OTHER, JADE_PROFILES_MAX, sizeof *p->list);
    if (!p->list) {
        return jade_fail(err, JADE_E_NOMEM, "the list of profiles");
    }
    JADE_TRY(check_mode(path, &there, err));
    if (there) {
        JADE_TRY(jade_os_read_file(jade_os_posix(), path, FILE_BYTES_MAX, &data, &size, err));
        JADE_TRY(jade_json_parser_new(FILE_BYTES_MAX, 8, &parser, err));
        rc = jade_json_parse(parser, data, size, &root, err);
        rc = rc == JADE_OK ? take_all(p, root, err) : rc;
        if (rc != JADE_OK && rc != JADE_E_NOMEM) {
            rc = JADE_E_CORRUPT;
            if (err) {
                err->code = rc;
            }
            (void)jade_err_wrap(err, rc, "%s", path);
        }
    }
out:
    jade_json_parser_free(parser);
    if (data) {
        explicit_bzero(data, size);
    }
    jade_free(data);
    return rc;
}

void jade_profiles_release(struct jade_profiles *p)
{
    if (p->list) {
        explicit_bzero(p->list, JADE_PROFILES_MAX * sizeof *p->list);
    }
    jade_free(p->list);
    p->list = NULL;
    p->n = 0;
}

static void encode(const struct jade_profiles *p, struct jade_buf *out)
{
    struct jade_json_out o;
    jade_json_out_init(&o, out);
    jade_out_object(&o);
    jade_out_key_str(&o, "current", p->current);
    jade_out_key(&o, "profiles");
    jade_out_object(&o);
    for (unsigned i = 0; i < p->n; i++) {
        jade_out_key(&o, p->list[i].name);
        jade_out_object(&o);
        jade_out_key_str(&o, "url", p->list[i].url);
        jade_out_key_str(&o, "key", p->list[i].key);
        jade_out_object_end(&o);
    }
    jade_out_object_end(&o);
    jade_out_object_end(&o);
    jade_buf_append_byte(out, '\n');
}

jade_code jade_profiles_save(const struct jade_profiles *p, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_buf text;
    char folder[JADE_PATH_MAX];
    snprintf(folder, sizeof folder, "%s", p->path);
    char *slash = strrchr(folder, '/');
    mode_t before = umask(077); /* file and folder are the owner's from their first moment */
    jade_buf_init(&text, JADE_TAG_OTHER);
    if (slash && slash != folder) {
        *slash = '\0';
        JADE_TRY(jade_os_mkdirs(jade_os_posix(), folder, err));
    }
    encode(p, &text);
    JADE_TRY(jade_buf_status(&text, err));
    JADE_TRY(jade_os_replace(jade_os_posix(), p->path, text.data, text.len, err));
out:
    umask(before);
    if (text.data) {
        explicit_bzero(text.data, text.cap);
    }
    jade_buf_release(&text);
    return rc;
}
