/*
 * Inside src/catalog/sqlite: SQLite on our tagged heap, and its result codes as ours.
 */
#ifndef JADE_CATALOG_SQLITE_PRIVATE_H
#define JADE_CATALOG_SQLITE_PRIVATE_H

#include <sqlite3.h>

#include "base/err.h"

/** Gives SQLite our heap and starts it, once a process. */
jade_code jadei_sqlite_start(struct jade_err *err);
/** Our code for a result of SQLite. */
jade_code jadei_sqlite_code(int result);

#endif
