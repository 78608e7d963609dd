/*
 * SIGBUS inside a guarded read becomes an error: the handler jumps back to the innermost guard of its thread.
 */
#include "os/guard.h"

#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "base/assert.h"

/*
 * ThreadSanitizer runs every handler with all signals blocked, whatever sigaction asked for, and leaves them so after a jump
 * (google/sanitizers issue 482 and its successors): under it alone the mask is saved and restored.
 */
#if defined(__SANITIZE_THREAD__)
enum { SAVE_MASK = 1 };
#else
enum { SAVE_MASK = 0 };
#endif

struct guard {
    sigjmp_buf back;
    struct guard *outer;
    void *volatile address; /* where the read faulted */
};

/* initial-exec: the handler may not allocate thread-local storage on first use. */
static _Thread_local struct guard *volatile innermost __attribute__((tls_model("initial-exec")));

/** A fault of an instruction of this thread; kill(2) and machine checks of others' memory are not. */
static bool is_own_fault(int code)
{
    return code == BUS_ADRERR || code == BUS_OBJERR || code == BUS_ADRALN || code == BUS_MCEERR_AR;
}

static void on_bus_error(int signum, siginfo_t *info, void *context)
{
    (void)context;
    struct guard *g = innermost;
    if (g != NULL && is_own_fault(info->si_code)) {
        g->address = info->si_addr;
        siglongjmp(g->back, 1);
    }
    /* Not ours: back to the default, which then kills the process at the faulting instruction with a true core dump. */
    struct sigaction def = {.sa_handler = SIG_DFL};
    (void)sigaction(signum, &def, NULL);
    if (!is_own_fault(info->si_code)) {
        (void)raise(signum);
    }
}

void jade_guard_install(void)
{
    /*
     * SA_NODEFER: the signal stays unblocked in the handler, so the jump need not restore the mask, which would cost each
     * guard two system calls (sigsetjmp with savemask). Not remembered as done: a library or test runner may have put its own
     * handler in between, and installing twice is harmless.
     */
    struct sigaction act = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_NODEFER};
    int rc = sigaction(SIGBUS, &act, NULL);
    JADE_ASSERT(rc == 0);
}

jade_code jade_guard_run(jade_code (*fn)(void *arg, struct jade_err *err), void *arg,
                         const char *what, struct jade_err *err)
{
    struct guard g;
    g.outer = innermost;
    g.address = NULL;
    if (sigsetjmp(g.back, SAVE_MASK) != 0) {
        innermost = g.outer;
        return jade_fail(err, JADE_E_IO, "%s: the disk failed a read of mapped memory at %p", what,
                         g.address);
    }
    innermost = &g;
    jade_code rc = fn(arg, err);
    innermost = g.outer;
    return rc;
}
