/* shm/waitroom.h - several threads of one process wait for the same descriptors.
 *
 * Purpose    Two threads polling one socket steal each other's wake-ups. Here one polls, the others
 *            sleep on a futex; every event is passed on to all, and who leaves hands over.
 * Shape      events: u32 that counts what has happened. poller: 1 while a thread polls.
 * Owner      the channel; zero-initialised is empty
 * Threads    any of one process
 * Trust      none of it is shared with a peer
 * Errors     EW_OK (something happened: look again), EW_ETIMEOUT, EW_EINTR
 * Invariants I1  a thread that read `events`, looked, and found nothing sleeps only while `events`
 *                has not changed.
 *            I2  while a thread sleeps on the futex, another one polls or `events` has changed:
 *                the poller raises `events` before it gives the role back, and again after.
 *            I3  a tell does not interrupt the thread that polls: only a descriptor does.
 * Ordering   V1 release-add to events  pairs with  V2 acquire-load of it.
 *            V3 acquire exchange of the poller role  pairs with  its release store: one poller after the
 *            other. Who polls then looks under a lock (drive) or behind S1, which order the two.
 * Source     tests/model/waitroom.pml; design, section 4 (204 of 300 rounds lost without it)
 */
#ifndef EWI_SHM_WAITROOM_H
#define EWI_SHM_WAITROOM_H

#include <poll.h>
#include <stdatomic.h>

#include "shm/sleep.h"

struct waitroom {
    _Atomic uint32_t events;
    _Atomic uint32_t poller;
    _Atomic uint32_t sleepers; /* on the futex */
};

static inline uint32_t ewi_waitroom_events(struct waitroom *room)
{
    return atomic_load_explicit(&room->events, memory_order_acquire); /* V2, pairs with V1 */
}

/* Something happened: everybody looks again. */
void ewi_waitroom_tell(struct waitroom *room);

/* What the thread that polls does; context is the link's. */
struct waitroom_poller {
    void *context;
    /* A last look while we are known to poll: true, there is something, do not sleep. It may change
     * which events of the descriptors are asked for. May be NULL. */
    bool (*look)(void *context, struct pollfd *fds);
    /* After each poll, before the others look: what it saw is dealt with. A wait whose time is up has seen
     * nothing, and is told, too: whoever was asked to wake us hears that we are awake. */
    void (*seen)(void *context, const struct pollfd *fds, nfds_t count);
};

/* Does a thread poll now (or is about to)? Then it, and nobody else, reads from the descriptors. */
static inline bool ewi_waitroom_has_poller(struct waitroom *room)
{
    return atomic_load_explicit(&room->poller, memory_order_seq_cst) != 0; /* V3 */
}

/* Sleep until a descriptor is ready, somebody tells, or the wait is over. `seen_events` was read
 * before the caller's last look. */
int ewi_waitroom_sleep(struct waitroom *room, uint32_t seen_events, struct pollfd *fds,
                       nfds_t count, struct wait wait, const struct waitroom_poller *poller);

#endif
