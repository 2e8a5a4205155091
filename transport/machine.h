/* transport/machine.h - which CPUs there are for us, and what a wake-up costs.
 *
 * Purpose    Decide how long a spin may last before a sleep is cheaper.
 * Shape      nanoseconds and counts
 * Owner      none
 * Threads    any; measuring starts a thread for about a millisecond
 * Trust      the kernel
 * Errors     none: what cannot be known counts as not there
 * Invariants none
 * Ordering   none
 * Source     sched_setaffinity(2)
 */
#ifndef EWI_TRANSPORT_MACHINE_H
#define EWI_TRANSPORT_MACHINE_H

#include "shm/base.h"

/* CPUs that the calling thread may use, at least 1. */
uint32_t ewi_machine_cpus(void);
/* May the calling thread run beside a thread of process `pid` (0: any thread like ourselves)? By
 * affinity, that of its main thread. */
bool ewi_machine_runs_beside(int32_t pid);
/* What waking a sleeping thread on another CPU costs here, from the wake to its running: the upper
 * quartile of a few. With one CPU that cannot be measured: a guess. */
uint64_t ewi_machine_wake_ns(void);

#endif
