/*
 * Assertions for programmer errors; they stay on in release builds (style 3.5). Operating errors are never asserted.
 */
#ifndef JADE_BASE_ASSERT_H
#define JADE_BASE_ASSERT_H

#include <assert.h>

#define JADE_ASSERT(cond)  ((cond) ? (void)0 : jade_assert_failed(#cond, __FILE__, __LINE__))
#define JADE_IMPLIES(a, b) JADE_ASSERT(!(a) || (b))

/** Prints the condition with its place to standard error and aborts. */
void jade_assert_failed(const char *cond, const char *file, int line) __attribute__((noreturn));

#endif
