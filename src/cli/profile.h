/*
 * Profiles: named servers with their keys, in $XDG_CONFIG_HOME/jade-db/profiles.json (else ~/.config), mode 0600.
 *
 * { "current": "local", "profiles": { "local": { "url": "http://127.0.0.1:7433", "key": "jade_..." } } }
 *
 * Invariants: 1. the file is replaced whole, synced, and nobody but its owner can read it; one that others can read is refused.
 * 2. A key goes only to the URL that its profile names.
 * Ownership: the struct owns its texts. Threads: one.
 */
#ifndef JADE_CLI_PROFILE_H
#define JADE_CLI_PROFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "os/os.h"

enum {
    JADE_PROFILES_MAX = 64,
    JADE_PROFILE_NAME_SIZE = 64,
    JADE_PROFILE_URL_SIZE = 1024,
    JADE_PROFILE_KEY_SIZE = 512,
};

struct jade_profile {
    char name[JADE_PROFILE_NAME_SIZE]; /* letters, digits, '-', '_', '.' */
    char url[JADE_PROFILE_URL_SIZE];
    char key[JADE_PROFILE_KEY_SIZE]; /* "" = none */
};
struct jade_profiles {
    char path[JADE_PATH_MAX];
    char current[JADE_PROFILE_NAME_SIZE]; /* "" = none */
    unsigned n;
    struct jade_profile *list; /* JADE_PROFILES_MAX of them */
};

/** Path of the file from the environment. Errors: JADE_E_INVALID_ARGUMENT (neither XDG_CONFIG_HOME nor HOME is set). */
jade_code jade_profiles_path(char out[JADE_PATH_MAX], struct jade_err *err);
/** Reads the file; a missing one is an empty list. Errors: JADE_E_FORBIDDEN (others can read it), JADE_E_CORRUPT, JADE_E_IO, JADE_E_NOMEM. */
jade_code jade_profiles_load(struct jade_profiles *p, const char *path, struct jade_err *err);
void jade_profiles_release(struct jade_profiles *p);
jade_code jade_profiles_save(const struct jade_profiles *p, struct jade_err *err);
/** NULL when there is none of that name. */
struct jade_profile *jade_profiles_find(const struct jade_profiles *p, const char *name);
/** Adds or changes one; url or key NULL: as it is. Errors: JADE_E_INVALID_ARGUMENT, JADE_E_TOO_LARGE (JADE_PROFILES_MAX). */
jade_code jade_profiles_set(struct jade_profiles *p, const char *name, const char *url,
                            const char *key, struct jade_err *err);
/** http:// or https:// with a host, without a slash at its end, into out. Errors: JADE_E_INVALID_ARGUMENT, field "url". */
jade_code jade_url_normal(const char *url, char *out, size_t size, struct jade_err *err);

#endif
