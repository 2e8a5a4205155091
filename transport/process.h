/* transport/process.h - what there is once in a process: the reactor, and what fork must know.
 *
 * Purpose    Make fork safe: in the child every context is marked and every descriptor of a link
 *            closed, so that the parent's death is seen by its peers, and no lock is left held.
 * Shape      a list of contexts, a list of descriptors, the reactor with its count of users
 * Owner      static, zero-initialised
 * Threads    any, under one mutex, which fork takes (pthread_atfork)
 * Trust      none
 * Errors     EW_EMEMORY
 * Invariants I1  in a child nothing but flags and close(2) happens (async-signal-safe).
 *            I2  a descriptor is on the list from before its first use until before its close.
 * Ordering   the mutex
 * Source     pthread_atfork(3); docs/adr/0008-two-globals.md
 */
#ifndef EWI_TRANSPORT_PROCESS_H
#define EWI_TRANSPORT_PROCESS_H

#include "shm/base.h"
#include "transport/reactor.h"

void ewi_process_add_context(ew_context *context);
void ewi_process_remove_context(ew_context *context);
/* The child of a fork closes it. */
int ewi_process_add_fd(int fd);
/* A new eventfd, non-blocking, on the list; or -errno, EW_EMEMORY. */
int ewi_process_eventfd(void);
/* Takes it off the list and closes it; < 0 is fine. */
void ewi_process_close_fd(int fd);

#endif
