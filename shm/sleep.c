#include "shm/sleep.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NS_PER_S = 1000 * 1000 * 1000 };

uint64_t ewi_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

struct wait ewi_wait_from(int64_t timeout_ns, const void *sigmask)
{
    struct wait wait = {.deadline_ns = EWI_NEVER, .sigmask = sigmask};
    uint64_t now;

    if (timeout_ns == 0)
        wait.deadline_ns = 0;
    if (timeout_ns > 0) {
        now = ewi_now_ns();
        wait.deadline_ns = EWI_NEVER - now > (uint64_t)timeout_ns ? now + (uint64_t)timeout_ns
                                                                  : EWI_NEVER;
    }
    return wait;
}

uint64_t ewi_wait_left(struct wait wait, uint64_t now_ns)
{
    if (wait.deadline_ns == EWI_NEVER)
        return EWI_NEVER;
    return wait.deadline_ns > now_ns ? wait.deadline_ns - now_ns : 0;
}

/* Is a signal pending that the caller blocked for this wait? It unblocks it and runs the handler. */
static bool signal_pending(const sigset_t *sigmask)
{
    sigset_t pending;

    if (sigpending(&pending) != 0)
        return false;
    for (int number = 1; number < NSIG; number++)
        if (sigismember(&pending, number) == 1 && sigismember(sigmask, number) == 0)
            return true;
    return false;
}

int ewi_futex_wait(_Atomic uint32_t *word, uint32_t expected, struct wait wait)
{
    uint64_t now = ewi_now_ns();
    uint64_t left = ewi_wait_left(wait, now);
    bool sliced = wait.sigmask != NULL && left > SLEEP_SLICE_NS;
    struct timespec until;
    uint64_t until_ns;

    if (left == 0)
        return EW_ETIMEOUT;
    if (wait.sigmask != NULL && signal_pending(wait.sigmask))
        return EW_EINTR;
    if (left == EWI_NEVER && !sliced) {
        if (syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0) != 0 &&
            errno == EINTR)
            return EW_EINTR;
        return EW_OK;
    }
    until_ns = now + (sliced ? SLEEP_SLICE_NS : left);
    until.tv_sec = (time_t)(until_ns / NS_PER_S);
    until.tv_nsec = (long)(until_ns % NS_PER_S);
    if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected, &until, NULL,
                FUTEX_BITSET_MATCH_ANY) == 0 ||
        errno == EAGAIN)
        return EW_OK;
    if (errno == EINTR)
        return EW_EINTR;
    return sliced ? EW_OK : EW_ETIMEOUT;
}

void ewi_futex_wake(_Atomic uint32_t *word, int threads)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, threads, NULL, NULL, 0);
}
