/*
 * SQLite's allocations go through jade_alloc under JADE_TAG_CATALOG, so that status shows them and tests can fail each of them.
 * SQLite asks for the size of a block later: it stands in front of the block.
 */
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "catalog/sqlite/sqlite_private.h"

enum { HEAD = 16 }; /* keeps the alignment of jade_alloc */

static void *memory_malloc(int size)
{
    if (size <= 0) {
        return NULL;
    }
    uint8_t *p = jade_alloc(JADE_TAG_CATALOG, (size_t)size + HEAD);
    if (!p) {
        return NULL;
    }
    *(int *)(void *)p = size;
    return p + HEAD;
}

static void memory_free(void *p)
{
    if (p) {
        jade_free((uint8_t *)p - HEAD);
    }
}

static void *memory_realloc(void *p, int size)
{
    uint8_t *q = jade_realloc(JADE_TAG_CATALOG, (uint8_t *)p - HEAD, (size_t)size + HEAD);
    if (!q) {
        return NULL;
    }
    *(int *)(void *)q = size;
    return q + HEAD;
}

static int memory_size(void *p)
{
    return p ? *(int *)(void *)((uint8_t *)p - HEAD) : 0;
}

static int memory_roundup(int size)
{
    return (size + 7) & ~7;
}

static int memory_init(void *unused)
{
    (void)unused;
    return SQLITE_OK;
}

static void memory_shutdown(void *unused)
{
    (void)unused;
}

static int start_result;

static void start(void)
{
    static const sqlite3_mem_methods methods = {
        .xMalloc = memory_malloc,
        .xFree = memory_free,
        .xRealloc = memory_realloc,
        .xSize = memory_size,
        .xRoundup = memory_roundup,
        .xInit = memory_init,
        .xShutdown = memory_shutdown,
    };
    /* Refused only when someone in this process started SQLite before; it then keeps the C library's heap. */
    (void)sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
    /* The lookaside would hide small allocations from the tests that fail them; this is no hot path. */
    (void)sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0);
    start_result = sqlite3_initialize();
}

jade_code jadei_sqlite_start(struct jade_err *err)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static int started;
    pthread_mutex_lock(&mutex);
    if (!started) {
        start(); /* tried again by the next caller when memory was short */
        started = start_result == SQLITE_OK;
    }
    pthread_mutex_unlock(&mutex);
    if (start_result != SQLITE_OK) {
        return jade_fail(err, jadei_sqlite_code(start_result), "SQLite did not start: %s",
                         sqlite3_errstr(start_result));
    }
    return JADE_OK;
}

jade_code jadei_sqlite_code(int result)
{
    if (result == SQLITE_IOERR_NOMEM) {
        return JADE_E_NOMEM;
    }
    switch (result & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return JADE_OK;
    case SQLITE_NOMEM:
        return JADE_E_NOMEM;
    case SQLITE_FULL:
        return JADE_E_NOSPACE;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return JADE_E_CORRUPT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return JADE_E_LOCKED;
    case SQLITE_TOOBIG:
        return JADE_E_TOO_LARGE;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return JADE_E_IO;
    default:
        return JADE_E_INTERNAL;
    }
}
