/* transport/machine.h - what this machine lets us do: CPUs, quota, the price of a wake-up.
 *
 * Purpose    Decide how long a spin may last before a sleep is cheaper.
 * Shape      nanoseconds and counts
 * Owner      none
 * Threads    any; measuring starts a thread for about a millisecond
 * Trust      /proc and /sys are the kernel's
 * Errors     none: what cannot be known counts as not there
 * Invariants none
 * Ordering   none
 * Source     transport/quota.h, sched_setaffinity(2)
 */
#ifndef EWI_TRANSPORT_MACHINE_H
#define EWI_TRANSPORT_MACHINE_H

#include "shm/base.h"

/* CPUs that this process may use at the same time, by affinity and by cgroup quota, rounded down;
 * at least 1. */
uint32_t ewi_machine_cpus(void);
/* What waking a sleeping thread costs here, from the wake to its running: median of a few. */
uint64_t ewi_machine_wake_ns(void);

#endif
