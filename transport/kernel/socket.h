/* transport/kernel/socket.h - one kernel TCP socket in a slot: what it is told and what it tells.
 *
 * Purpose    Make sockets, move bytes, and find out how a stream stands, so that every thread gets
 *            the same answer about how it ended.
 * Shape      functions on a descriptor, or on a slot that the caller has entered
 * Owner      the slot owns the descriptor; make functions give a new one, close-on-exec,
 *            non-blocking.
 * Threads    any that is inside the slot; one sends and one receives at a time. Nothing blocks.
 * Trust      bytes and addresses that arrive are only passed on.
 * Errors     -errno. -EAGAIN: nothing now.
 * Invariants I1  the first error of a slot stays its error. The kernel tells an error to one caller
 *                only, and the next one sees an end of stream or EPIPE: an end is believed only
 *                when no other thread is inside that may have been told (may_believe).
 * Ordering   K1 .. K4 are in slots.h.
 *            K5 release store (send)  pairs with  K6 acquire load (released, in kernel.c).
 *            The error is just a number; what may_believe says about it is K3 and K4.
 * Source     tcp(7), socket(7) SO_ERROR; Linux net/ipv4/tcp.c, tcp_recvmsg_locked, sk_stream_error
 */
#ifndef EWI_TRANSPORT_KERNEL_SOCKET_H
#define EWI_TRANSPORT_KERNEL_SOCKET_H

#include "transport/kernel/slots.h"

int ewi_socket_listen(const struct stack_addr *local, uint32_t backlog, int *out);
int ewi_socket_connect(const struct stack_addr *local, const struct stack_addr *remote, int *out);
/* What every socket of ours has set; for accepted ones. */
int ewi_socket_set_options(int fd);
/* The kernel asks an idle peer after so long, and gives it up after as long again; 0: never. */
void ewi_socket_keep_alive(int fd, uint64_t silence_ns);

int ewi_socket_local(int fd, struct stack_addr *out);
int ewi_socket_remote(int fd, struct stack_addr *out);

static inline int ewi_socket_fd(struct slot *slot)
{
    return atomic_load_explicit(&slot->fd, memory_order_relaxed); /* K1 carries it */
}

/* The slot's error, 0: none. */
int ewi_socket_error(struct slot *slot);
/* Give it one. Returns the one that stays. */
int ewi_socket_fail(struct slot *slot, int error);
/* Ask the socket as well. */
int ewi_socket_fetch_error(struct slot *slot);
/* The error is known, or no other thread can know one: "no error" is the truth. */
bool ewi_socket_may_believe(struct slot *slot);
/* A connecting socket became writable or hung up. 1: connected; 0: ask again; else why not. */
int ewi_socket_settle(struct slot *slot);
/* enum stack_event_bits */
uint32_t ewi_socket_levels(struct slot *slot);

enum stack_silence ewi_socket_silence(struct slot *slot, uint64_t *since_ns);

int64_t ewi_socket_send(struct slot *slot, const struct stack_span *spans, uint32_t count);
int64_t ewi_socket_receive(struct slot *slot, const struct stack_room *rooms, uint32_t count);

#endif
