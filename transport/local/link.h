/* transport/local/link.h - a link through shared memory, with a Unix socket as bell and lifeline.
 *
 * Purpose    Let two processes of one host read each other's outbox, wake each other, and notice
 *            each other's death.
 * Shape      our outbox (channel->outbox), the peer's (theirs, read-only), one SOCK_SEQPACKET
 *            socket: one-byte packets are kicks, longer ones messages of the link.
 * Owner      the channel; `end` closes the socket and unmaps
 * Threads    see transport/link.h
 * Trust      everything in the peer's outbox and socket is hostile
 * Errors     through link_state
 * Invariants I1  the socket's hang-up, or the end of the peer's process while a forked child keeps
 *                the socket open, takes the link down.
 *            I2  the ring is read to its end after the hang-up: what was committed is delivered.
 * Ordering   bell: S1/S2 (shm/bell.h). After a hang-up the kernel's socket lock orders the peer's
 *            last stores before our look.
 * Source     unix(7), pidfd_open(2), socket(7) SO_PEERPIDFD; design, section 5
 */
#ifndef EWI_TRANSPORT_LOCAL_LINK_H
#define EWI_TRANSPORT_LOCAL_LINK_H

#include "shm/bell.h"
#include "shm/outbox.h"
#include "shm/region.h"
#include "transport/reactor.h"

struct peer_process;

struct local_link {
    ew_channel *channel;
    struct bell bell;
    const struct outbox_shared *theirs;
    struct region peers_region;
    struct peer_process *process; /* NULL: no pidfd to be had */
    struct source *source;        /* hang-up, watched by the reactor */
    uint64_t start;               /* of the peer's records in its ring ... */
    uint32_t offset;              /* ... and where that one lies */
    bool hung_up;                 /* under the reactor's lock */
    _Atomic bool quiet;           /* our reading half was shut: the end of it is not the peer's */
    uint32_t pid, uid;
};

#endif
