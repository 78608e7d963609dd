/*
 * Whole paths of folders: making all of them (mkdirs) and removing a tree. Both are loops over one path buffer; neither
 * recurses, so a deep or damaged tree cannot exhaust the stack.
 */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "os/os.h"

/* Entries taken from one listing of remove_tree: bounds its memory, not the size of the folder. */
enum { REMOVE_BATCH = 1024 };
/* Folders below each other in remove_tree; ours are five deep, the bound only keeps damage from looping. */
enum { REMOVE_DEPTH_MAX = 64 };

static jade_code stop_at_first(void *ctx, const char *name, bool is_dir, struct jade_err *err)
{
    (void)ctx, (void)name, (void)is_dir, (void)err;
    return JADE_E_CANCELLED;
}

/** JADE_OK when path is a folder that can be listed. */
static jade_code check_folder(struct jade_os *os, const char *path, struct jade_err *err)
{
    jade_code rc = os->ops->list(os, path, stop_at_first, NULL, err);
    return rc == JADE_E_CANCELLED ? JADE_OK : rc;
}

/** The folder above the component that begins at `start`: what is before its slash, "/" or ".". */
static void folder_above(const char *path, size_t start, char out[JADE_PATH_MAX])
{
    size_t n = start;
    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    if (n == 0) {
        out[n++] = '.';
    } else {
        memcpy(out, path, n);
    }
    out[n] = '\0';
}

/**
 * A folder that exists may have been made by a process that died before it could sync the name; whatever is built below it
 * now would vanish with it in a power cut. Since mkdirs syncs each name before it makes the next one, only the deepest
 * existing folder can be in that state. A parent that we may not even open was not made by us.
 */
static jade_code sync_existing(struct jade_os *os, const char *above, struct jade_err *err)
{
    struct jade_err local = {0};
    jade_code rc = os->ops->sync_dir(os, above, &local);
    if (rc != JADE_OK && local.os_errno == EACCES) {
        return JADE_OK;
    }
    if (rc != JADE_OK && err != NULL) {
        *err = local;
    }
    return rc;
}

jade_code jade_os_mkdirs(struct jade_os *os, const char *path, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char part[JADE_PATH_MAX];
    char above[JADE_PATH_MAX];
    char last_existing_above[JADE_PATH_MAX] = "";
    size_t len = strnlen(path, JADE_PATH_MAX);
    if (len == 0 || len == JADE_PATH_MAX) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "path",
                               "a path of %zu bytes; expected 1 to %d", len, JADE_PATH_MAX - 1);
    }
    bool made = false;
    for (size_t start = 0, end = 0; start < len; start = end) {
        start += strspn(path + start, "/");
        end = start + strcspn(path + start, "/");
        if (start == end) {
            break;
        }
        memcpy(part, path, end);
        part[end] = '\0';
        folder_above(path, start, above);
        struct jade_err local = {0};
        rc = os->ops->mkdir(os, part, &local);
        if (rc == JADE_E_ALREADY_EXISTS) {
            memcpy(last_existing_above, above, sizeof above);
            rc = JADE_OK;
            continue;
        }
        if (rc != JADE_OK) {
            bool there =
                false; /* a parent that only others may write answers EACCES or EROFS before EEXIST */
            if (os->ops->exists(os, part, &there, NULL) == JADE_OK && there) {
                last_existing_above[0] = '\0';
                rc = JADE_OK;
                continue;
            }
            if (err != NULL) {
                *err = local;
            }
            goto out;
        }
        if (!made && last_existing_above[0] != '\0') {
            JADE_TRY(sync_existing(os, last_existing_above, err));
        }
        made = true;
        JADE_TRY(os->ops->sync_dir(os, above, err));
    }
    if (!made) {
        JADE_TRY(check_folder(os, path, err));
        if (last_existing_above[0] != '\0') {
            JADE_TRY(sync_existing(os, last_existing_above, err));
        }
    }
out:
    return rc;
}

/* ---- remove_tree ---- */

/** One batch of a listing: "<d or f><name>\0" after each other. */
struct batch {
    struct jade_buf names;
    size_t count;
};

static jade_code take_entry(void *ctx, const char *name, bool is_dir, struct jade_err *err)
{
    (void)err;
    struct batch *b = ctx;
    jade_buf_append_byte(&b->names, is_dir ? 'd' : 'f');
    jade_buf_append(&b->names, name, strlen(name) + 1);
    return ++b->count < REMOVE_BATCH ? JADE_OK : JADE_E_CANCELLED;
}

/** Removes the files of one batch; *child_out is the first folder in it, or NULL. */
static jade_code remove_files(struct jade_os *os, const char *folder, const struct batch *b,
                              const char **child_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char path[JADE_PATH_MAX];
    *child_out = NULL;
    for (size_t at = 0; at < b->names.len; at += strlen((const char *)b->names.data + at) + 1) {
        const char *entry = (const char *)b->names.data + at;
        if (entry[0] == 'd') {
            *child_out = *child_out == NULL ? entry + 1 : *child_out;
            continue;
        }
        JADE_TRY(jade_path_join(path, folder, entry + 1, err));
        rc = os->ops->unlink(os, path, err);
        rc = rc == JADE_E_NOT_FOUND ? JADE_OK : rc;
        JADE_TRY(rc);
    }
out:
    return rc;
}

jade_code jade_os_remove_tree(struct jade_os *os, const char *path, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char cur[JADE_PATH_MAX];
    struct batch b = {.count = 0};
    unsigned depth = 0;
    jade_buf_init(&b.names, JADE_TAG_OTHER);
    bool there = false;
    JADE_TRY(jade_os_exists(os, path, &there, err));
    if (!there) {
        goto out;
    }
    JADE_TRY(jade_path_join(cur, path, "", err));
    for (;;) {
        const char *child = NULL;
        jade_buf_clear(&b.names);
        b.count = 0;
        rc = os->ops->list(os, cur, take_entry, &b, err);
        rc = rc == JADE_E_CANCELLED ? JADE_OK : rc;
        JADE_TRY(rc);
        JADE_TRY(jade_buf_status(&b.names, err));
        JADE_TRY(remove_files(os, cur, &b, &child, err));
        if (child != NULL) {
            if (++depth > REMOVE_DEPTH_MAX) {
                rc =
                    jade_fail(err, JADE_E_IO, "%s: folders deeper than %d", path, REMOVE_DEPTH_MAX);
                goto out;
            }
            JADE_TRY(jade_path_join(cur, cur, child, err));
        } else if (b.count < REMOVE_BATCH) {
            JADE_TRY(os->ops->rmdir(os, cur, err));
            if (depth == 0) {
                break;
            }
            depth--;
            *strrchr(cur, '/') = '\0';
        }
    }
out:
    jade_buf_release(&b.names);
    return rc;
}
