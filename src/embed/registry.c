/*
 * The registry: which versions there are, on disk and loaded. One mutex covers the list and the files; it is held while a model
 * is read (milliseconds, once a version) and while one is adopted. Models are never unloaded before the registry closes: their number is
 * bounded, and databases point at them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "embed/embed_private.h"
#include "os/thread.h"

#define UNIFORM_VERSION "u1"
#define DEFAULT_FILE    "DEFAULT"
#define MODEL_SUFFIX    ".model"

/* Header, entries and checksum of the largest model, rounded up. */
enum { MODEL_FILE_BYTES_MAX = JADE_EMBED_MODEL_FEATURES_MAX * 10 + 4096 };

struct jade_embed {
    struct jade_os *os;
    struct jade_mutex lock;
    char folder[JADE_PATH_MAX]; /* of jade-hash-384; "" = none */
    struct jade_embed_model uniform;
    struct jade_embed_model *loaded;
    const struct jade_embed_model *chosen; /* the default version */
};

struct version_list {
    size_t n;
    char names[JADE_EMBED_VERSIONS_MAX][JADE_EMBED_NAME_SIZE];
};

/* What may stand in a path: a version comes from requests and from files. */
static bool version_ok(const char *version)
{
    size_t n = strnlen(version, JADE_EMBED_NAME_SIZE);
    if (n == 0 || n == JADE_EMBED_NAME_SIZE) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        char c = version[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c == '-' && i > 0))) {
            return false;
        }
    }
    return true;
}

static jade_code model_path(const struct jade_embed *e, const char *version, char *out,
                            struct jade_err *err)
{
    char name[JADE_EMBED_NAME_SIZE + sizeof MODEL_SUFFIX];
    (void)snprintf(name, sizeof name, "%s" MODEL_SUFFIX, version);
    return jade_path_join(out, e->folder, name, err);
}

static struct jade_embed_model *find_loaded(struct jade_embed *e, const char *version)
{
    struct jade_embed_model *m = e->loaded;
    while (m != NULL && strcmp(m->version, version) != 0) {
        m = m->next;
    }
    return m;
}

/* A file of ours; one that is larger than we ever write is damage, not an input that is too large. */
static jade_code read_bounded(struct jade_embed *e, const char *path, size_t max,
                              uint8_t **bytes_out, size_t *n_out, struct jade_err *err)
{
    jade_code rc = jade_os_read_file(e->os, path, max, bytes_out, n_out, err);
    if (rc == JADE_E_TOO_LARGE) {
        rc = jade_fail(err, JADE_E_CORRUPT, "%s is larger than any file of its kind (%zu bytes)",
                       path, max);
    }
    return rc;
}

/* Reads and checks a version's file. JADE_E_NOT_FOUND when there is none. */
static jade_code load(struct jade_embed *e, const char *version,
                      const struct jade_embed_model **out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char path[JADE_PATH_MAX];
    uint8_t *bytes = NULL;
    size_t n = 0;
    struct jade_embed_model *m = NULL;
    JADE_TRY(model_path(e, version, path, err));
    JADE_TRY(read_bounded(e, path, MODEL_FILE_BYTES_MAX, &bytes, &n, err));
    m = jade_calloc(JADE_TAG_MODEL, 1, sizeof *m);
    if (m == NULL) {
        rc = jade_fail(err, JADE_E_NOMEM, "no memory for an embedding model");
        goto out;
    }
    rc = jadei_idf_decode(bytes, n, &m->idf, err);
    if (rc != JADE_OK) {
        rc = jade_err_wrap(err, rc, "%s", path);
        goto out;
    }
    jadei_idf_version(&m->idf, m->version);
    if (strcmp(m->version, version) != 0) {
        rc = jade_fail(err, JADE_E_CORRUPT, "%s holds version %s", path, m->version);
        jadei_idf_release(&m->idf);
        goto out;
    }
    m->next = e->loaded;
    e->loaded = m;
    *out = m;
    m = NULL;
out:
    jade_free(m);
    jade_free(bytes);
    return rc;
}

static jade_code find_or_load(struct jade_embed *e, const char *version,
                              const struct jade_embed_model **out, struct jade_err *err)
{
    if (strcmp(version, UNIFORM_VERSION) == 0) {
        *out = &e->uniform;
        return JADE_OK;
    }
    *out = find_loaded(e, version);
    if (*out != NULL) {
        return JADE_OK;
    }
    jade_code rc = JADE_E_NOT_FOUND;
    if (version_ok(version) && e->folder[0] != '\0') {
        rc = load(e, version, out, err);
    }
    if (rc == JADE_E_NOT_FOUND) {
        rc = jade_fail_field(err, rc, "version",
                             "model " JADE_EMBED_HASH_384 " has no version \"%.64s\"", version);
    }
    return rc;
}

/* The version that DEFAULT names; "u1" when there is no such file. */
static jade_code read_default(struct jade_embed *e, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char path[JADE_PATH_MAX];
    char version[JADE_EMBED_NAME_SIZE] = "";
    uint8_t *bytes = NULL;
    size_t n = 0;
    bool exists = false;
    JADE_TRY(jade_path_join(path, e->folder, DEFAULT_FILE, err));
    JADE_TRY(jade_os_exists(e->os, path, &exists, err));
    if (!exists) {
        goto out;
    }
    JADE_TRY(read_bounded(e, path, JADE_EMBED_NAME_SIZE, &bytes, &n, err));
    if (n > 1 && n <= JADE_EMBED_NAME_SIZE && bytes[n - 1] == '\n') {
        memcpy(version, bytes, n - 1);
    }
    if (!version_ok(version) || strlen(version) != n - 1) {
        rc = jade_fail(err, JADE_E_CORRUPT, "%s does not hold the name of a model version", path);
        goto out;
    }
    rc = find_or_load(e, version, &e->chosen, err);
    if (rc != JADE_OK) {
        /* A model that is named but not there is damage here, not a wrong request. */
        rc = rc == JADE_E_NOT_FOUND
                 ? jade_fail(err, JADE_E_CORRUPT, "%s names version %s, which is not there", path,
                             version)
                 : rc;
    }
out:
    jade_free(bytes);
    return rc;
}

jade_code jade_embed_open(struct jade_os *os, const char *models_folder, struct jade_embed **out,
                          struct jade_err *err)
{
    jade_code rc = JADE_OK;
    *out = NULL;
    struct jade_embed *e = jade_calloc(JADE_TAG_MODEL, 1, sizeof *e);
    if (e == NULL) {
        return jade_fail(err, JADE_E_NOMEM, "no memory for the embedding models");
    }
    e->os = os;
    jade_mutex_init(&e->lock);
    (void)snprintf(e->uniform.version, sizeof e->uniform.version, "%s", UNIFORM_VERSION);
    e->uniform.idf.unseen = JADEI_WEIGHT_ONE;
    e->chosen = &e->uniform;
    if (models_folder != NULL) {
        JADE_TRY(jade_path_join(e->folder, models_folder, JADE_EMBED_HASH_384, err));
        JADE_TRY(read_default(e, err));
    }
    *out = e;
    e = NULL;
out:
    jade_embed_close(e);
    return rc;
}

void jade_embed_close(struct jade_embed *e)
{
    if (e == NULL) {
        return;
    }
    while (e->loaded != NULL) {
        struct jade_embed_model *m = e->loaded;
        e->loaded = m->next;
        jadei_idf_release(&m->idf);
        jade_free(m);
    }
    jade_mutex_release(&e->lock);
    jade_free(e);
}

static jade_code on_entry(void *ctx, const char *name, bool is_dir, struct jade_err *err)
{
    struct version_list *list = ctx;
    size_t n = strlen(name);
    size_t suffix = strlen(MODEL_SUFFIX);
    if (is_dir || n <= suffix || n - suffix >= JADE_EMBED_NAME_SIZE ||
        strcmp(name + n - suffix, MODEL_SUFFIX) != 0) {
        return JADE_OK;
    }
    if (list->n == JADE_EMBED_VERSIONS_MAX) {
        return jade_fail(err, JADE_E_TOO_LARGE, "more than %u versions of " JADE_EMBED_HASH_384,
                         JADE_EMBED_VERSIONS_MAX);
    }
    char *to = list->names[list->n];
    memcpy(to, name, n - suffix);
    to[n - suffix] = '\0';
    list->n += version_ok(to); /* a stranger's file is not a version */
    return JADE_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Versions on disk, sorted; none when there is no folder yet. */
static jade_code versions_on_disk(struct jade_embed *e, struct version_list *list,
                                  struct jade_err *err)
{
    bool exists = false;
    list->n = 0;
    if (e->folder[0] == '\0') {
        return JADE_OK;
    }
    jade_code rc = jade_os_exists(e->os, e->folder, &exists, err);
    if (rc == JADE_OK && exists) {
        rc = jade_os_list(e->os, e->folder, on_entry, list, err);
    }
    qsort(list->names, list->n, sizeof list->names[0], by_name);
    return rc;
}

static jade_code tell(jade_embed_list_fn fn, void *ctx, const char *version, bool is_default,
                      struct jade_err *err)
{
    bool trained = strcmp(version, UNIFORM_VERSION) != 0;
    struct jade_embed_info info = {
        .name = JADE_EMBED_HASH_384,
        .description =
            trained
                ? "Lexical, not contextual: compares spelling by hashed word and character n-grams, with weights from a corpus"
                : "Lexical, not contextual: compares spelling by hashed word and character n-grams, all weighing the same",
        .dimension = JADE_EMBED_HASH_384_DIM,
        .text_bytes_max = JADE_EMBED_TEXT_BYTES_MAX,
        .trained = trained,
        .is_default = is_default,
    };
    (void)snprintf(info.version, sizeof info.version, "%s", version);
    return fn(ctx, &info, err);
}

jade_code jade_embed_list(struct jade_embed *e, jade_embed_list_fn fn, void *ctx,
                          struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct version_list list;
    jade_mutex_lock(&e->lock);
    const struct jade_embed_model *chosen = e->chosen;
    rc = versions_on_disk(e, &list, err);
    jade_mutex_unlock(&e->lock);
    if (rc != JADE_OK) {
        goto out;
    }
    JADE_TRY(tell(fn, ctx, chosen->version, true, err));
    if (chosen != &e->uniform) {
        JADE_TRY(tell(fn, ctx, UNIFORM_VERSION, false, err));
    }
    for (size_t i = 0; i < list.n; i++) {
        if (strcmp(list.names[i], chosen->version) != 0) {
            JADE_TRY(tell(fn, ctx, list.names[i], false, err));
        }
    }
out:
    return rc;
}

jade_code jade_embed_get(struct jade_embed *e, const char *name, const char *version,
                         const struct jade_embed_model **out, struct jade_err *err)
{
    *out = NULL;
    if (strcmp(name, JADE_EMBED_HASH_384) != 0) {
        return jade_fail_field(err, JADE_E_NOT_FOUND, "model",
                               "no model \"%.64s\"; there is " JADE_EMBED_HASH_384, name);
    }
    jade_code rc = JADE_OK;
    jade_mutex_lock(&e->lock);
    if (version == NULL) {
        *out = e->chosen;
    } else {
        rc = find_or_load(e, version, out, err);
    }
    jade_mutex_unlock(&e->lock);
    return rc;
}

/* Writes the file unless it is there: a stored version is never touched again. */
static jade_code store(struct jade_embed *e, const char *version, const void *bytes, size_t n,
                       struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char path[JADE_PATH_MAX];
    struct version_list list;
    bool exists = false;
    JADE_TRY(model_path(e, version, path, err));
    JADE_TRY(jade_os_mkdirs(e->os, e->folder, err));
    JADE_TRY(jade_os_exists(e->os, path, &exists, err));
    if (exists) {
        goto out;
    }
    JADE_TRY(versions_on_disk(e, &list, err));
    if (list.n == JADE_EMBED_VERSIONS_MAX) {
        rc = jade_fail(err, JADE_E_TOO_LARGE,
                       "%u versions of " JADE_EMBED_HASH_384
                       " are stored; remove one that no database names",
                       JADE_EMBED_VERSIONS_MAX);
        goto out;
    }
    JADE_TRY(jade_os_replace(e->os, path, bytes, n, err));
out:
    return rc;
}

static jade_code adopt_locked(struct jade_embed *e, const char *version, const void *bytes,
                              size_t n, const struct jade_embed_model **out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const struct jade_embed_model *m = NULL;
    char path[JADE_PATH_MAX];
    char line[JADE_EMBED_NAME_SIZE + 1];
    JADE_TRY(store(e, version, bytes, n, err));
    JADE_TRY(find_or_load(e, version, &m, err));
    JADE_TRY(jade_path_join(path, e->folder, DEFAULT_FILE, err));
    int length = snprintf(line, sizeof line, "%s\n", version);
    JADE_TRY(jade_os_replace(e->os, path, line, (size_t)length, err));
    e->chosen = m;
    *out = m;
out:
    return rc;
}

jade_code jadei_registry_adopt(struct jade_embed *e, const void *bytes, size_t n,
                               const struct jade_embed_model **out, struct jade_err *err)
{
    if (e->folder[0] == '\0') {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "models_folder",
                               "this registry has no folder to keep a trained model in");
    }
    struct jadei_idf idf;
    char version[JADE_EMBED_NAME_SIZE];
    jade_code rc = jadei_idf_decode(bytes, n, &idf, err);
    if (rc != JADE_OK) {
        return rc;
    }
    jadei_idf_version(&idf, version);
    jadei_idf_release(&idf);
    jade_mutex_lock(&e->lock);
    rc = adopt_locked(e, version, bytes, n, out, err);
    jade_mutex_unlock(&e->lock);
    return rc;
}

const char *jade_embed_model_name(const struct jade_embed_model *m)
{
    (void)m; /* one model family today */
    return JADE_EMBED_HASH_384;
}

const char *jade_embed_model_version(const struct jade_embed_model *m)
{
    return m->version;
}

const char *jade_embed_model_hash(const struct jade_embed_model *m)
{
    return m->idf.hash;
}

uint32_t jade_embed_model_dimension(const struct jade_embed_model *m)
{
    (void)m;
    return JADE_EMBED_HASH_384_DIM;
}
