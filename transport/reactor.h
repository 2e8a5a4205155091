/* transport/reactor.h - the one thread of the library: everything that no application call drives.
 *
 * Purpose    Accept, hello, liveness, deadlines, and stream links whose application is away, so
 *            that a process which computes for a minute neither loses a channel nor stalls a peer.
 * Shape      one epoll set; a source is a descriptor, a stack's stream, a deadline, or all three.
 * Owner      process-wide, counted: acquire starts the thread, the last release ends it.
 * Threads    add, remove and change from any thread. Callbacks run on the reactor's thread under
 *            its mutex; they do bounded work, never block, and may add, change and remove.
 * Trust      descriptors may be readable for any reason; callbacks judge
 * Errors     EW_EMEMORY, -errno
 * Invariants I1  after remove has returned the callback of a source neither runs nor will run.
 *            I2  idle is free: without work or deadline the thread sleeps without a time limit.
 * Ordering   the reactor's mutex; add does not take it, so A1 release increment of `added` before the
 *            kernel is told of a source  pairs with  A2 acquire load before the events are looked at.
 * Source     epoll(7); design, section 5 (Who drives)
 */
#ifndef EWI_TRANSPORT_REACTOR_H
#define EWI_TRANSPORT_REACTOR_H

#include "shm/sleep.h"

struct reactor;
struct source;

/* events: EPOLL* of the descriptor; 0: the deadline has passed. */
typedef void source_fn(void *object, uint32_t events, uint64_t now_ns);

int ewi_reactor_acquire(struct reactor **out);
void ewi_reactor_release(struct reactor *reactor);

/* fd < 0: a deadline only. The source starts without a deadline. */
int ewi_reactor_add(struct reactor *reactor, int fd, uint32_t events, source_fn *fn, void *object,
                    struct source **out);
/* The source is gone on return (from its own callback: right after it). NULL is fine. */
void ewi_reactor_remove(struct reactor *reactor, struct source *source);
/* Other events for the descriptor. */
void ewi_reactor_change(struct reactor *reactor, struct source *source, uint32_t events);
/* EWI_NEVER: none. False: there is no memory for it. */
bool ewi_reactor_set_deadline(struct reactor *reactor, struct source *source, uint64_t at_ns);

/* For sections that must not run beside a callback. May be nested, and called from callbacks. */
void ewi_reactor_lock(struct reactor *reactor);
bool ewi_reactor_try_lock(struct reactor *reactor);
void ewi_reactor_unlock(struct reactor *reactor);

/* Around fork, by transport/process.c: the choice of the process's reactor is at rest. */
void ewi_reactor_before_fork(void);
void ewi_reactor_after_fork(void);

#endif
