#include "lossy_os.h"

#include <string.h>

#include "base/alloc.h"

struct lossy_os {
    struct jade_os base; /* first: a struct jade_os * is one of these */
    struct jade_os *inner;
    struct lossy_opts opts;
};
struct lossy_file {
    struct jade_file base;
    struct jade_file *inner;
    bool drop;
};

static struct jade_os *in(struct jade_os *os)
{
    return ((struct lossy_os *)os)->inner;
}

static struct jade_file *in_file(struct jade_file *f)
{
    return ((struct lossy_file *)f)->inner;
}

static jade_code lossy_open(struct jade_os *os, const char *path, enum jade_open_mode mode,
                            struct jade_file **out, struct jade_err *err)
{
    struct lossy_os *lossy = (struct lossy_os *)os;
    struct lossy_file *f = jade_calloc(JADE_TAG_TEST, 1, sizeof *f);
    if (f == NULL) {
        return jade_fail(err, JADE_E_NOMEM, "%s", path);
    }
    f->base.ops = os->ops;
    f->drop = lossy->opts.file_part != NULL && strstr(path, lossy->opts.file_part) != NULL;
    jade_code rc = jade_file_open(lossy->inner, path, mode, &f->inner, err);
    if (rc != JADE_OK) {
        jade_free(f);
        return rc;
    }
    *out = &f->base;
    return JADE_OK;
}

static void lossy_close(struct jade_file *f)
{
    jade_file_close(in_file(f));
    jade_free(f);
}

static jade_code lossy_read(struct jade_file *f, uint64_t offset, void *buf, size_t n,
                            size_t *read_out, struct jade_err *err)
{
    return jade_file_read_some(in_file(f), offset, buf, n, read_out, err);
}

static jade_code lossy_write(struct jade_file *f, uint64_t offset, const void *buf, size_t n,
                             struct jade_err *err)
{
    return jade_file_write(in_file(f), offset, buf, n, err);
}

static jade_code lossy_sync(struct jade_file *f, struct jade_err *err)
{
    return ((struct lossy_file *)f)->drop ? JADE_OK : jade_file_sync(in_file(f), err);
}

static jade_code lossy_size(struct jade_file *f, uint64_t *size_out, struct jade_err *err)
{
    return jade_file_size(in_file(f), size_out, err);
}

static jade_code lossy_allocate(struct jade_file *f, uint64_t size, struct jade_err *err)
{
    return jade_file_allocate(in_file(f), size, err);
}

static jade_code lossy_truncate(struct jade_file *f, uint64_t size, struct jade_err *err)
{
    return jade_file_truncate(in_file(f), size, err);
}

static jade_code lossy_map(struct jade_os *os, const char *path, struct jade_mapping *out,
                           struct jade_err *err)
{
    return jade_os_map(in(os), path, out, err);
}

static void lossy_unmap(struct jade_os *os, struct jade_mapping *m)
{
    jade_os_unmap(in(os), m);
}

static jade_code lossy_rename(struct jade_os *os, const char *from, const char *to,
                              struct jade_err *err)
{
    return in(os)->ops->rename(in(os), from, to, err);
}

static jade_code lossy_link(struct jade_os *os, const char *from, const char *to,
                            struct jade_err *err)
{
    return jade_os_link(in(os), from, to, err);
}

static jade_code lossy_unlink(struct jade_os *os, const char *path, struct jade_err *err)
{
    return jade_os_unlink(in(os), path, err);
}

static jade_code lossy_mkdir(struct jade_os *os, const char *path, struct jade_err *err)
{
    return jade_os_mkdir(in(os), path, err);
}

static jade_code lossy_rmdir(struct jade_os *os, const char *path, struct jade_err *err)
{
    return jade_os_rmdir(in(os), path, err);
}

static jade_code lossy_sync_dir(struct jade_os *os, const char *path, struct jade_err *err)
{
    return ((struct lossy_os *)os)->opts.folders ? JADE_OK : jade_os_sync_dir(in(os), path, err);
}

static jade_code lossy_list(struct jade_os *os, const char *path, jade_list_fn fn, void *ctx,
                            struct jade_err *err)
{
    return jade_os_list(in(os), path, fn, ctx, err);
}

static jade_code lossy_exists(struct jade_os *os, const char *path, bool *exists_out,
                              struct jade_err *err)
{
    return jade_os_exists(in(os), path, exists_out, err);
}

static jade_code lossy_lock(struct jade_os *os, const char *path, struct jade_lock **out,
                            struct jade_err *err)
{
    return jade_os_lock(in(os), path, out, err);
}

static void lossy_unlock(struct jade_lock *l)
{
    jade_os_unlock(l); /* never called: a lock is one of inner's, with inner's table */
}

static jade_code lossy_space(struct jade_os *os, const char *path, uint64_t *free_out,
                             uint64_t *total_out, struct jade_err *err)
{
    return jade_os_space(in(os), path, free_out, total_out, err);
}

static uint64_t lossy_mono_us(struct jade_os *os)
{
    return jade_os_mono_us(in(os));
}

static int64_t lossy_wall_us(struct jade_os *os)
{
    return jade_os_wall_us(in(os));
}

static jade_code lossy_random(struct jade_os *os, void *buf, size_t n, struct jade_err *err)
{
    return jade_os_random(in(os), buf, n, err);
}

static const struct jade_os_ops OPS = {
    .open = lossy_open,
    .close = lossy_close,
    .read_at = lossy_read,
    .write_at = lossy_write,
    .sync = lossy_sync,
    .size = lossy_size,
    .allocate = lossy_allocate,
    .truncate = lossy_truncate,
    .map = lossy_map,
    .unmap = lossy_unmap,
    .rename = lossy_rename,
    .link = lossy_link,
    .unlink = lossy_unlink,
    .mkdir = lossy_mkdir,
    .rmdir = lossy_rmdir,
    .sync_dir = lossy_sync_dir,
    .list = lossy_list,
    .exists = lossy_exists,
    .lock = lossy_lock,
    .unlock = lossy_unlock,
    .space = lossy_space,
    .mono_us = lossy_mono_us,
    .wall_us = lossy_wall_us,
    .random = lossy_random,
};

struct jade_os *lossy_os_new(struct jade_os *inner, const struct lossy_opts *opts)
{
    struct lossy_os *os = jade_calloc(JADE_TAG_TEST, 1, sizeof *os);
    if (os == NULL) {
        return NULL;
    }
    os->base.ops = &OPS;
    os->inner = inner;
    os->opts = *opts;
    return &os->base;
}

void lossy_os_free(struct jade_os *os)
{
    jade_free(os);
}
