/* transport/kernel/interest.h - what epoll reports of a stream, and what that means.
 *
 * Purpose    Keep the epoll set in step with what is wanted of a stream, whichever threads want
 *            it, and turn its events into those of stack.h.
 * Shape      slot->interest: STACK_READABLE, STACK_WRITABLE, STACK_ACCEPT; STACK_CONNECTED until it
 *            was reported; INTEREST_EDGE; INTEREST_ASIDE. Level-triggered, but for nothing, CONNECTED and EDGE:
 *            ERR and HUP cannot be switched off in epoll, and they never end.
 * Owner      the caller has entered the slot, and owns the epoll set
 * Threads    set and apply from any; event from the driver. Nothing blocks.
 * Trust      none of the arguments come from outside
 * Errors     -errno of epoll_ctl
 * Invariants I1  after the last set has returned, epoll has what slot->interest says.
 * Ordering   K7 (set), K8 (apply, event): relaxed, only the value counts; see interest.c.
 * Source     epoll(7), "Level-triggered and edge-triggered"; Linux net/ipv4/tcp.c, tcp_poll
 */
#ifndef EWI_TRANSPORT_KERNEL_INTEREST_H
#define EWI_TRANSPORT_KERNEL_INTEREST_H

#include "transport/kernel/slots.h"

#define INTEREST_EDGE (1u << 31)
#define INTEREST_ASIDE STACK_ASIDE /* not in the epoll set: every event of the socket costs there */

/* As struct epoll_event has it. */
uint32_t ewi_interest_epoll(uint32_t interest);
int ewi_interest_set(int epoll_fd, ewi_stream stream, struct slot *slot, uint32_t add,
                     uint32_t drop);
/* Also re-arms an edge. */
int ewi_interest_apply(int epoll_fd, ewi_stream stream, struct slot *slot);
/* What epoll_wait got of a stream, as enum stack_event_bits; 0: nothing to report. */
uint32_t ewi_interest_event(int epoll_fd, ewi_stream stream, struct slot *slot, uint32_t got);

#endif
