/*
 * What every implementation of jade_os shares: checks of the arguments, and the operations that are made of others (publish,
 * replace, read_file; mkdirs and remove_tree are in os_tree.c). Because they are written once over the table, the simulated disk tests the same
 * code that runs in production.
 */
#include "os/os.h"

#include <string.h>

#include "base/alloc.h"

static jade_code check_path(const char *path, struct jade_err *err)
{
    size_t n = strnlen(path, JADE_PATH_MAX);
    if (n == 0) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "path",
                               "an empty path; expected a name");
    }
    if (n == JADE_PATH_MAX) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "path",
                               "a path of %d bytes or more; expected at most %d", JADE_PATH_MAX,
                               JADE_PATH_MAX - 1);
    }
    return JADE_OK;
}

/* ---- files ---- */

jade_code jade_file_open(struct jade_os *os, const char *path, enum jade_open_mode mode,
                         struct jade_file **out, struct jade_err *err)
{
    *out = NULL;
    jade_code rc = check_path(path, err);
    return rc != JADE_OK ? rc : os->ops->open(os, path, mode, out, err);
}

void jade_file_close(struct jade_file *f)
{
    if (f != NULL) {
        f->ops->close(f);
    }
}

jade_code jade_file_read(struct jade_file *f, uint64_t offset, void *buf, size_t n,
                         struct jade_err *err)
{
    size_t got = 0;
    jade_code rc = f->ops->read_at(f, offset, buf, n, &got, err);
    if (rc == JADE_OK && got < n) {
        rc = jade_fail(err, JADE_E_CORRUPT,
                       "file ends %zu bytes into the %zu expected at offset %llu", got, n,
                       (unsigned long long)offset);
    }
    return rc;
}

jade_code jade_file_read_some(struct jade_file *f, uint64_t offset, void *buf, size_t n,
                              size_t *read_out, struct jade_err *err)
{
    *read_out = 0;
    return f->ops->read_at(f, offset, buf, n, read_out, err);
}

jade_code jade_file_write(struct jade_file *f, uint64_t offset, const void *buf, size_t n,
                          struct jade_err *err)
{
    return n == 0 ? JADE_OK : f->ops->write_at(f, offset, buf, n, err);
}

jade_code jade_file_sync(struct jade_file *f, struct jade_err *err)
{
    return f->ops->sync(f, err);
}

jade_code jade_file_size(struct jade_file *f, uint64_t *size_out, struct jade_err *err)
{
    *size_out = 0;
    return f->ops->size(f, size_out, err);
}

jade_code jade_file_allocate(struct jade_file *f, uint64_t size, struct jade_err *err)
{
    return f->ops->allocate(f, size, err);
}

jade_code jade_file_truncate(struct jade_file *f, uint64_t size, struct jade_err *err)
{
    return f->ops->truncate(f, size, err);
}

/* ---- whole files ---- */

jade_code jade_os_map(struct jade_os *os, const char *path, struct jade_mapping *out,
                      struct jade_err *err)
{
    memset(out, 0, sizeof *out);
    jade_code rc = check_path(path, err);
    return rc != JADE_OK ? rc : os->ops->map(os, path, out, err);
}

void jade_os_unmap(struct jade_os *os, struct jade_mapping *m)
{
    if (m->data != NULL) {
        os->ops->unmap(os, m);
    }
    memset(m, 0, sizeof *m);
}

/** The folder that holds path, as a path: "a/b/" and "a/b" give "a", "b" gives ".", "/b" gives "/". */
static void parent_of(const char *path, char out[JADE_PATH_MAX])
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    while (n > 0 && path[n - 1] != '/') {
        n--;
    }
    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    if (n == 0) {
        memcpy(out, ".", 2);
        return;
    }
    memcpy(out, path, n);
    out[n] = '\0';
}

jade_code jade_os_publish(struct jade_os *os, struct jade_file *f, const char *tmp,
                          const char *final, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char folder[JADE_PATH_MAX];
    JADE_TRY(check_path(tmp, err));
    JADE_TRY(check_path(final, err));
    parent_of(final, folder);
    /* The content must be stable before the name points to it, or a power cut shows an empty file under a good name. */
    JADE_TRY(f->ops->sync(f, err));
    JADE_TRY(os->ops->rename(os, tmp, final, err));
    JADE_TRY(os->ops->sync_dir(os, folder, err));
out:
    return rc;
}

/** Creates path anew; what a crash left under that name before is removed first. */
static jade_code create_fresh(struct jade_os *os, const char *path, struct jade_file **out,
                              struct jade_err *err)
{
    struct jade_err first = {0};
    jade_code rc = os->ops->open(os, path, JADE_OPEN_CREATE, out, &first);
    if (rc == JADE_E_ALREADY_EXISTS) {
        JADE_TRY(os->ops->unlink(os, path, err));
        JADE_TRY(os->ops->open(os, path, JADE_OPEN_CREATE, out, err));
    } else if (rc != JADE_OK && err != NULL) {
        *err = first;
    }
out:
    return rc;
}

jade_code jade_os_replace(struct jade_os *os, const char *path, const void *buf, size_t n,
                          struct jade_err *err)
{
    static const char SUFFIX[] = ".tmp";
    jade_code rc = JADE_OK;
    struct jade_file *f = NULL;
    char tmp[JADE_PATH_MAX];
    size_t len = strnlen(path, JADE_PATH_MAX);
    if (len == 0 || len + sizeof SUFFIX > JADE_PATH_MAX) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "path",
                               "a path of %zu bytes; expected 1 to %zu", len,
                               (size_t)JADE_PATH_MAX - sizeof SUFFIX);
    }
    memcpy(tmp, path, len);
    memcpy(tmp + len, SUFFIX, sizeof SUFFIX);
    JADE_TRY(create_fresh(os, tmp, &f, err));
    JADE_TRY(jade_file_write(f, 0, buf, n, err));
    JADE_TRY(jade_os_publish(os, f, tmp, path, err));
out:
    jade_file_close(f);
    if (rc != JADE_OK && f != NULL) {
        /* Best effort: the next replace removes a leftover as well. After a failed sync of the folder tmp no longer exists. */
        (void)os->ops->unlink(os, tmp, NULL);
    }
    return rc;
}

jade_code jade_os_read_file(struct jade_os *os, const char *path, size_t max, uint8_t **data_out,
                            size_t *size_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_file *f = NULL;
    uint8_t *data = NULL;
    uint64_t size = 0;
    *data_out = NULL;
    *size_out = 0;
    JADE_TRY(jade_file_open(os, path, JADE_OPEN_READ, &f, err));
    JADE_TRY(jade_file_size(f, &size, err));
    if (size > max) {
        rc = jade_fail(err, JADE_E_TOO_LARGE, "%s: %llu bytes; expected at most %zu", path,
                       (unsigned long long)size, max);
        goto out;
    }
    data = jade_alloc(JADE_TAG_OTHER, (size_t)size);
    if (data == NULL) {
        rc = jade_fail(err, JADE_E_NOMEM, "%s: no memory for its %llu bytes", path,
                       (unsigned long long)size);
        goto out;
    }
    JADE_TRY(jade_file_read(f, 0, data, (size_t)size, err));
    *data_out = data;
    *size_out = (size_t)size;
    data = NULL;
out:
    jade_free(data);
    jade_file_close(f);
    return rc;
}

/* ---- names ---- */

jade_code jade_os_link(struct jade_os *os, const char *from, const char *to, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    JADE_TRY(check_path(from, err));
    JADE_TRY(check_path(to, err));
    JADE_TRY(os->ops->link(os, from, to, err));
out:
    return rc;
}

jade_code jade_os_unlink(struct jade_os *os, const char *path, struct jade_err *err)
{
    jade_code rc = check_path(path, err);
    return rc != JADE_OK ? rc : os->ops->unlink(os, path, err);
}

jade_code jade_os_mkdir(struct jade_os *os, const char *path, struct jade_err *err)
{
    jade_code rc = check_path(path, err);
    return rc != JADE_OK ? rc : os->ops->mkdir(os, path, err);
}

jade_code jade_os_rmdir(struct jade_os *os, const char *path, struct jade_err *err)
{
    jade_code rc = check_path(path, err);
    return rc != JADE_OK ? rc : os->ops->rmdir(os, path, err);
}

jade_code jade_os_sync_dir(struct jade_os *os, const char *path, struct jade_err *err)
{
    jade_code rc = check_path(path, err);
    return rc != JADE_OK ? rc : os->ops->sync_dir(os, path, err);
}

jade_code jade_os_list(struct jade_os *os, const char *path, jade_list_fn fn, void *ctx,
                       struct jade_err *err)
{
    jade_code rc = check_path(path, err);
    return rc != JADE_OK ? rc : os->ops->list(os, path, fn, ctx, err);
}

jade_code jade_os_exists(struct jade_os *os, const char *path, bool *exists_out,
                         struct jade_err *err)
{
    *exists_out = false;
    jade_code rc = check_path(path, err);
    return rc != JADE_OK ? rc : os->ops->exists(os, path, exists_out, err);
}

jade_code jade_os_lock(struct jade_os *os, const char *path, struct jade_lock **out,
                       struct jade_err *err)
{
    *out = NULL;
    jade_code rc = check_path(path, err);
    return rc != JADE_OK ? rc : os->ops->lock(os, path, out, err);
}

void jade_os_unlock(struct jade_lock *l)
{
    if (l != NULL) {
        l->ops->unlock(l);
    }
}

jade_code jade_os_space(struct jade_os *os, const char *path, uint64_t *free_out,
                        uint64_t *total_out, struct jade_err *err)
{
    *free_out = 0;
    *total_out = 0;
    jade_code rc = check_path(path, err);
    return rc != JADE_OK ? rc : os->ops->space(os, path, free_out, total_out, err);
}

jade_code jade_path_join(char *out, const char *dir, const char *name, struct jade_err *err)
{
    size_t a = strnlen(dir, JADE_PATH_MAX);
    size_t b = strnlen(name, JADE_PATH_MAX);
    size_t slash = a > 0 && dir[a - 1] != '/' ? 1 : 0;
    if (a + slash + b >= JADE_PATH_MAX) {
        out[0] = '\0';
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "path",
                               "folder of %zu and name of %zu bytes; expected at most %d together",
                               a, b, JADE_PATH_MAX - 2);
    }
    memmove(out, dir, a); /* dir may be out itself: a path grows in place */
    if (slash != 0) {
        out[a] = '/';
    }
    memcpy(out + a + slash, name, b);
    out[a + slash + b] = '\0';
    return JADE_OK;
}

uint64_t jade_os_mono_us(struct jade_os *os)
{
    return os->ops->mono_us(os);
}

int64_t jade_os_wall_us(struct jade_os *os)
{
    return os->ops->wall_us(os);
}

jade_code jade_os_random(struct jade_os *os, void *buf, size_t n, struct jade_err *err)
{
    return os->ops->random(os, buf, n, err);
}
