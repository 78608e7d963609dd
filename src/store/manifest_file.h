/*
 * The manifest of a shard folder: MANIFEST-<n> written new and published, then CURRENT replaced to name it. What CURRENT names is the truth;
 * when it is damaged the shard is JADE_E_CORRUPT, never opened with an older one (that would lose data silently).
 */
#ifndef JADE_STORE_MANIFEST_FILE_H
#define JADE_STORE_MANIFEST_FILE_H

#include "format/manifest.h"
#include "os/os.h"

/** Reads CURRENT and its manifest; what is returned is durable (the folder is synced). JADE_E_NOT_FOUND when there is no CURRENT (the shard was never finished). */
jade_code jade_manifest_load(struct jade_os *os, const char *shard_dir, struct jade_manifest *out,
                             struct jade_err *err);
/** Publishes m as manifest number m->number (which must be above the current one), then CURRENT; older manifests are removed afterwards (best effort).
 * Errors: JADE_E_NOSPACE, JADE_E_NOMEM, JADE_E_INVALID_ARGUMENT: the old one counts. Others: the old or the new one, so trim and remove nothing, load again. */
jade_code jade_manifest_publish(struct jade_os *os, const char *shard_dir,
                                const struct jade_manifest *m, struct jade_err *err);

#endif
