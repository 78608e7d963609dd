/*
 * Folders of databases, and what crashes leave of them.
 *
 * A folder carries the file UNLISTED while its catalog row is being made or removed:
 *     create   mkdir, mark, shard, row, unmark
 *     delete   mark, row removed, folder removed (the mark last)
 * So at start: row and mark = the creation was complete, or the deletion had not happened: unmark. Mark without row = sweep. Neither =
 * not ours to judge (a lost or foreign catalog): leave it alone and tell.
 */
#include <string.h>

#include "node/node_private.h"

#define MARK "UNLISTED"

/** "<data>/<id>", and with a name "<data>/<id>/<name>". */
static jade_code folder_path(struct jade_node *n, const char *id, const char *name,
                             char out[JADE_PATH_MAX], struct jade_err *err)
{
    jade_code rc = jade_path_join(out, n->data, id, err);
    return rc == JADE_OK && name ? jade_path_join(out, out, name, err) : rc;
}

jade_code jadei_folder_shard(struct jade_node *n, const char *id, char out[JADE_PATH_MAX],
                             struct jade_err *err)
{
    return folder_path(n, id, "0", out, err);
}

jade_code jadei_folder_make(struct jade_node *n, const char *id, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char path[JADE_PATH_MAX];
    JADE_TRY(folder_path(n, id, NULL, path, err));
    JADE_TRY(jade_os_mkdir(n->os, path, err));
    JADE_TRY(jade_os_sync_dir(n->os, n->data, err));
    JADE_TRY(jadei_folder_mark(n, id, err));
out:
    return rc;
}

jade_code jadei_folder_mark(struct jade_node *n, const char *id, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char path[JADE_PATH_MAX];
    struct jade_file *f = NULL;
    bool there = false;
    JADE_TRY(folder_path(n, id, MARK, path, err));
    JADE_TRY(jade_os_exists(n->os, path, &there, err)); /* of an unmarking that failed */
    if (!there) {
        JADE_TRY(jade_file_open(n->os, path, JADE_OPEN_CREATE, &f, err));
    }
    JADE_TRY(folder_path(n, id, NULL, path, err));
    JADE_TRY(jade_os_sync_dir(n->os, path, err));
out:
    jade_file_close(f);
    return rc;
}

jade_code jadei_folder_unmark(struct jade_node *n, const char *id, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char path[JADE_PATH_MAX];
    JADE_TRY(folder_path(n, id, MARK, path, err));
    JADE_TRY(jade_os_unlink(n->os, path, err));
    JADE_TRY(folder_path(n, id, NULL, path, err));
    JADE_TRY(jade_os_sync_dir(n->os, path, err));
out:
    return rc;
}

jade_code jadei_folder_remove(struct jade_node *n, const char *id, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    char path[JADE_PATH_MAX];
    JADE_TRY(jadei_folder_shard(n, id, path, err));
    JADE_TRY(jade_os_remove_tree(n->os, path, err));
    JADE_TRY(folder_path(n, id, NULL, path, err));
    JADE_TRY(jade_os_sync_dir(n->os, path, err)); /* the shard is gone for good before its mark */
    JADE_TRY(jade_os_remove_tree(n->os, path, err));
    JADE_TRY(jade_os_sync_dir(n->os, n->data, err));
out:
    return rc;
}

/* ---- at start ---- */

/** Ids of the database folders, 30 bytes each (with NUL). */
struct found {
    struct jade_buf ids;
};
enum { ID_BYTES = 3 + JADEI_UNIQUE_CHARS + 1 };

static jade_code note_folder(void *ctx, const char *name, bool is_dir, struct jade_err *err)
{
    struct found *f = ctx;
    if (is_dir && jadei_is_database_id(name, strlen(name))) {
        jade_buf_append(&f->ids, name, ID_BYTES);
    }
    return jade_buf_status(&f->ids, err);
}

static jade_code is_marked(struct jade_node *n, const char *id, bool *out, struct jade_err *err)
{
    char path[JADE_PATH_MAX];
    jade_code rc = folder_path(n, id, MARK, path, err);
    return rc == JADE_OK ? jade_os_exists(n->os, path, out, err) : rc;
}

/** Removes an empty folder: one that a creation left before it could mark it. */
static jade_code remove_if_empty(struct jade_node *n, const char *id, bool *removed_out,
                                 struct jade_err *err)
{
    char path[JADE_PATH_MAX];
    jade_code rc = folder_path(n, id, NULL, path, err);
    *removed_out = false;
    if (rc != JADE_OK) {
        return rc;
    }
    rc = jade_os_rmdir(n->os, path, err);
    *removed_out = rc == JADE_OK;
    return rc == JADE_E_CONFLICT ? JADE_OK : rc;
}

jade_code jadei_folders_expect_none(struct jade_node *n, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct found f;
    jade_buf_init(&f.ids, JADE_TAG_CATALOG);
    JADE_TRY(jade_os_list(n->os, n->data, note_folder, &f, err));
    for (size_t at = 0; at < f.ids.len; at += ID_BYTES) {
        const char *id = (const char *)f.ids.data + at;
        bool marked = false, removed = false;
        JADE_TRY(is_marked(n, id, &marked, err));
        if (!marked) {
            JADE_TRY(remove_if_empty(n, id, &removed, err));
        }
        if (!marked && !removed) {
            rc = jade_fail(err, JADE_E_CORRUPT,
                           "catalog.db is missing, but %s is there: bring catalog.db back, or move "
                           "the folders of the databases away",
                           id);
            goto out;
        }
    }
out:
    jade_buf_release(&f.ids);
    return rc;
}

static jade_code sweep_one(struct jade_node *n, const char *id, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    bool marked = false, removed = false;
    struct jade_database *db = jadei_list_find(n, id, ID_BYTES - 1);
    JADE_TRY(is_marked(n, id, &marked, err));
    if (db) {
        if (marked) {
            JADE_TRY(jadei_folder_unmark(n, id, err));
        }
    } else if (marked) {
        jade_log(JADE_LOG_INFO, JADEI_ROOM, "removing what an unfinished creation or deletion left",
                 JADE_LOG_STR("database", id));
        JADE_TRY(jadei_folder_remove(n, id, err));
    } else {
        JADE_TRY(remove_if_empty(n, id, &removed, err));
        if (!removed) {
            n->n_orphans++;
            jade_log(JADE_LOG_ERROR, JADEI_ROOM,
                     "a database folder is not in the catalog; it is left alone",
                     JADE_LOG_STR("database", id));
        }
    }
out:
    jade_database_unref(db);
    return rc;
}

jade_code jadei_folders_sweep(struct jade_node *n, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct found f;
    jade_buf_init(&f.ids, JADE_TAG_CATALOG);
    JADE_TRY(jade_os_list(n->os, n->data, note_folder, &f, err));
    for (size_t at = 0; at < f.ids.len; at += ID_BYTES) {
        const char *id = (const char *)f.ids.data + at;
        struct jade_err own = {0};
        jade_code one = sweep_one(n, id, &own);
        if (one == JADE_E_NOMEM) {
            rc = jade_fail(err, JADE_E_NOMEM, "sweeping %s: %s", id, own.message);
            goto out;
        }
        if (one != JADE_OK) { /* it stays for the next start; the databases can serve without */
            jade_log_err(JADE_LOG_ERROR, JADEI_ROOM, "sweeping a database folder", &own);
        }
    }
out:
    jade_buf_release(&f.ids);
    return rc;
}
