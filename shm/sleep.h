/* shm/sleep.h - wait inside one process: a futex, with deadline and signals.
 *
 * Purpose    One place that talks to futex(2) and reads the clock for waits.
 * Shape      struct wait: until when, and which signals may interrupt. Nanoseconds of
 *            CLOCK_MONOTONIC.
 * Owner      values
 * Threads    any
 * Trust      none of the arguments come from outside
 * Errors     EW_OK (woken or the word had changed: look again), EW_ETIMEOUT, EW_EINTR.
 * Invariants I1  a waiter with a sigmask returns at least every SLEEP_SLICE_NS, because a futex
 *                cannot change the signal mask atomically as ppoll(2) can.
 * Ordering   the kernel's compare orders the futex word; callers name their own pairs.
 * Source     futex(2), ppoll(2)
 */
#ifndef EWI_SHM_SLEEP_H
#define EWI_SHM_SLEEP_H

#include <signal.h>
#include <stdatomic.h>

#include "shm/base.h"

enum { SLEEP_SLICE_NS = 50 * 1000 * 1000 };

#define EWI_NEVER UINT64_MAX

struct wait {
    uint64_t deadline_ns;    /* EWI_NEVER: no limit; 0: do not wait */
    const sigset_t *sigmask; /* NULL: signals do not matter to this thread */
};

uint64_t ewi_now_ns(void);
/* From the API's timeout: < 0 never, 0 do not wait. */
struct wait ewi_wait_from(int64_t timeout_ns, const void *sigmask);
/* Nanoseconds left, 0 when over. */
uint64_t ewi_wait_left(struct wait wait, uint64_t now_ns);

int ewi_futex_wait(_Atomic uint32_t *word, uint32_t expected, struct wait wait);
void ewi_futex_wake(_Atomic uint32_t *word, int threads);

#endif
