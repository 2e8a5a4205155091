/* transport/quota.h - how much CPU time the control groups of this process allow.
 *
 * Purpose    With less than two CPUs by quota a spin takes the time that the peer needs.
 * Shape      version 2 is one tree, version 1 has one for `cpu`; both may be there at once. A
 *            limit of any group above counts. fabric/eastwest/cli/_cgroup.py says it with fractions.
 * Owner      nothing is kept
 * Threads    any; reads some small files
 * Trust      /proc and /sys are the kernel's; in a container the path may be of a tree that cannot
 *            be seen: then its visible root is looked at
 * Errors     none: what cannot be read is no limit
 * Invariants none
 * Ordering   none
 * Source     cgroups(7); Documentation/admin-guide/cgroup-v2.rst (cpu.max);
 *            Documentation/scheduler/sched-bwc.rst (cpu.cfs_quota_us)
 */
#ifndef EWI_TRANSPORT_QUOTA_H
#define EWI_TRANSPORT_QUOTA_H

#include "shm/base.h"

#define QUOTA_ROOT "/sys/fs/cgroup"
#define QUOTA_MEMBERSHIP "/proc/self/cgroup"

/* The tightest quota / period in whole CPUs, rounded down but at least 1; 0: no limit.
 * root: where the trees are mounted. membership: a file in the form of /proc/PID/cgroup. */
uint32_t ewi_quota_cpus(const char *root, const char *membership);

#endif
