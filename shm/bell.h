/* shm/bell.h - wake the other process, at most once for each time it goes to sleep.
 *
 * Purpose    A sender knows from one word in the peer's outbox whether a system call is needed.
 * Shape      sleep word, u32 in the sleeper's outbox: bit 0 wants data, bit 1 wants space,
 *            bits 2..31 epoch, raised by every announcement. The bell is the link's own
 *            SOCK_SEQPACKET socket: a kick is one byte; longer packets are the link's messages.
 * Owner      the link owns the socket and both outboxes; struct bell is a private view
 * Threads    sleepers: any threads of this process (the word is changed by compare-exchange);
 *            kickers: any. Nothing here blocks.
 * Trust      the peer's word can only make us kick too often (bounded by its epochs: one system
 *            call for each of our calls) or never (its own loss). The number of kicks in our
 *            socket is bounded by the socket's buffer.
 * Errors     none that matter: a kick that finds the buffer full has one pending already, and a
 *            broken socket is seen by who waits on it.
 * Invariants I1  sleeper: announce, full fence, look again, sleep. Kicker: commit or publish, full
 *                fence, load the word. One of the two sees the other: no lost wake-up.
 *            I2  at most one kick for an epoch.
 * Ordering   S1 seq_cst fence in announce  pairs with  S2 seq_cst fence in is_wanted.
 *            S3 relaxed accesses of the word are ordered by those fences alone.
 * Source     tests/model/bell.pml; docs/adr/0006-bell.md
 */
#ifndef EWI_SHM_BELL_H
#define EWI_SHM_BELL_H

#include <stdatomic.h>

#include "shm/base.h"

enum bell_wants { BELL_DATA = 1, BELL_SPACE = 2, BELL_BITS = 3, BELL_EPOCH = 4 };

struct bell {
    _Atomic uint32_t *mine;        /* in my outbox */
    const _Atomic uint32_t *peers; /* in the peer's */
    _Atomic uint32_t kicked;       /* the peer's word that was answered last; 0: none */
    _Atomic uint64_t kicks;        /* system calls made */
    int fd;
};

/* From now on the peer kicks for these. The caller looks again before it sleeps. */
void ewi_bell_announce(struct bell *bell, uint32_t wants);
void ewi_bell_retract(struct bell *bell, uint32_t wants);

/* After a commit (BELL_DATA) or after publishing taken (BELL_SPACE): is a kick due? */
static inline bool ewi_bell_is_wanted(const struct bell *bell, uint32_t wants)
{
    atomic_thread_fence(memory_order_seq_cst); /* S2, pairs with S1 */
    return (atomic_load_explicit(bell->peers, memory_order_relaxed) & wants) != 0; /* S3 */
}

/* Kick unless this epoch was answered already. */
void ewi_bell_kick(struct bell *bell);

#endif
