#include "shm/lock.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LOOK_AGAIN_NS = 1000 * 1000 };

/* Every running thread of this process passes a full fence. False: the kernel or a seccomp filter
 * does not offer it. */
static bool fence_all_threads(void)
{
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0)
        return true;
    return errno == EPERM && /* this process has not registered yet */
           syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 &&
           syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

/* Without the fence a wake-up may be missed: then sleep by small pieces. */
static int sleep_once(struct lock *lock, struct wait wait, bool fenced)
{
    struct wait piece = wait;
    int code;

    if (!fenced)
        piece.deadline_ns = ewi_min_u64(wait.deadline_ns, ewi_now_ns() + LOOK_AGAIN_NS);
    code = ewi_futex_wait(&lock->state, 1, piece);
    if (code == EW_ETIMEOUT && ewi_wait_left(wait, ewi_now_ns()) > 0)
        return EW_OK;
    return code;
}

int ewi_lock_take_slow(struct lock *lock, struct wait wait)
{
    bool fenced;
    int code = EW_OK;

    if (wait.deadline_ns == 0)
        return EW_EAGAIN;
    atomic_fetch_add_explicit(&lock->waiters, 1, memory_order_relaxed); /* L3: the fence follows */
    fenced = fence_all_threads();
    while (!ewi_lock_try(lock)) {
        code = sleep_once(lock, wait, fenced);
        if (code != EW_OK)
            break; /* without another try: then it would be held and refused at once */
    }
    atomic_fetch_sub_explicit(&lock->waiters, 1, memory_order_relaxed); /* L3: late is harmless */
    return code;
}
