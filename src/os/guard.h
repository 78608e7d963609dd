/*
 * Reads from mapped files can die with SIGBUS (I/O error, file cut by another process). jade_guard_run runs a pure read and
 * turns that into JADE_E_IO instead of a dead server (P7).
 *
 * The function must hold no lock and own nothing that would be lost by a jump: it reads mapped memory and writes only to memory
 * that its caller releases. Guards nest on a thread. jade_guard_install at start (idempotent, thread-safe; again
 * after anything that sets its own handler, as cmocka does before each test); a SIGBUS outside
 * a guard keeps its default effect.
 */
#ifndef JADE_OS_GUARD_H
#define JADE_OS_GUARD_H

#include "base/err.h"

void jade_guard_install(void);
/** Runs fn(arg); returns its code, or JADE_E_IO naming `what` when the read faulted. */
jade_code jade_guard_run(jade_code (*fn)(void *arg, struct jade_err *err), void *arg,
                         const char *what, struct jade_err *err);

#endif
