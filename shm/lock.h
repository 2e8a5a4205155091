/* shm/lock.h - a lock whose wait has a deadline and can be interrupted by a signal.
 *
 * Purpose    Keep one direction of a channel to one thread at a time; a pthread mutex cannot be
 *            left on Ctrl-C.
 * Shape      state: 0 free, 1 held. waiters: threads that may sleep.
 * Owner      the struct it lies in; zero-initialised is free
 * Threads    any of one process; not recursive
 * Trust      none of it is shared with a peer
 * Errors     EW_EAGAIN (deadline 0), EW_ETIMEOUT, EW_EINTR; then the lock is not held
 * Invariants I1  whoever changes 0 to 1 holds it until it stores 0.
 *            I2  giving back costs a plain store and a load: a waiter pays for the order of those
 *                two with membarrier(2), which a holder never sees (measured: 20 ns less for a
 *                round trip of four calls).
 * Ordering   L1 acquire on taking  pairs with  L2 release on giving back. L3: the waiter counts
 *            itself, then makes every running thread of the process pass a full fence; a holder
 *            that loads waiters later sees it, and one that loaded before has stored 0 (L4).
 * Source     membarrier(2); docs/adr/0010-asymmetric-lock.md
 */
#ifndef EWI_SHM_LOCK_H
#define EWI_SHM_LOCK_H

#include "shm/sleep.h"

struct lock {
    _Atomic uint32_t state;
    _Atomic uint32_t waiters;
};

int ewi_lock_take_slow(struct lock *lock, struct wait wait);

static inline bool ewi_lock_try(struct lock *lock)
{
    uint32_t free_state = 0;
    return atomic_compare_exchange_strong_explicit(&lock->state, &free_state, 1,
                                                   memory_order_acquire, /* L1, pairs with L2 */
                                                   memory_order_relaxed); /* L1, nothing taken */
}

static inline int ewi_lock_take(struct lock *lock, struct wait wait)
{
    if (__builtin_expect(ewi_lock_try(lock), 1))
        return EW_OK;
    return ewi_lock_take_slow(lock, wait);
}

/* Without a limit and whatever signals come: for short sections only. */
static inline void ewi_lock_enter(struct lock *lock)
{
    while (ewi_lock_take(lock, (struct wait){.deadline_ns = EWI_NEVER}) != EW_OK)
        ;
}

static inline void ewi_lock_give(struct lock *lock)
{
    atomic_store_explicit(&lock->state, 0, memory_order_release); /* L2, pairs with L1 */
    atomic_signal_fence(memory_order_seq_cst);                    /* L4: the compiler; see L3 */
    if (__builtin_expect(atomic_load_explicit(&lock->waiters, memory_order_relaxed) != 0, 0)) /* L4 */
        ewi_futex_wake(&lock->state, 1);
}

#endif
