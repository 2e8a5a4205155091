#include "shm/lock.h"

int ewi_lock_take_slow(struct lock *lock, struct wait wait)
{
    if (wait.deadline_ns == 0)
        return EW_EAGAIN;
    while (atomic_exchange_explicit(&lock->state, 2, memory_order_acquire) != 0) { /* L1, with L2 */
        int code = ewi_futex_wait(&lock->state, 2, wait);

        if (code != EW_OK)
            return code; /* state stays 2: the holder wakes somebody for nothing, harmless */
    }
    return EW_OK;
}
