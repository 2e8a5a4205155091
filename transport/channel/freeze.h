/* transport/channel/freeze.h - bring a channel to rest, so that its link can be replaced.
 *
 * Purpose    A move needs every lock of a channel, and threads that wait hold them without end. They
 *            lend theirs while a move wants it, and take it back when it is done.
 * Shape      one move at a time (wanted); three locks: send, recv, drain. A lock is at rest when it
 *            was taken, or when its holder has lent it.
 * Owner      the channel
 * Threads    claim, try, await, thaw: the mover, an application's thread or the reactor's (which
 *            only tries). lend, reclaim: the holder of that lock. pass: whoever is about to take one.
 * Trust      none of it is shared with a peer
 * Errors     EW_EAGAIN (another move is on its way; not at rest yet), EW_ETIMEOUT, EW_EINTR
 * Invariants I1  between try's EW_OK and thaw no other thread is inside a call of the channel that
 *                uses its link, except those that take facts_lock for that.
 *            I2  a lender is back only when the mover has let go.
 * Ordering   Z1 release-store of lent  pairs with  Z2 acquire CAS by the mover; Z3 release-store of
 *            lent by thaw  pairs with  Z4 acquire CAS by reclaim. Z5 acquire CAS of wanted by claim
 *            pairs with  Z6 release-store by thaw: one mover after another. To the others `wanted` is
 *            a hint (Z7): who misses it is nudged again within a millisecond.
 * Source     docs/adr/0012-moving.md
 */
#ifndef EWI_TRANSPORT_CHANNEL_FREEZE_H
#define EWI_TRANSPORT_CHANNEL_FREEZE_H

#include "shm/lock.h"

enum freeze_wanted {
    FREEZE_NOBODY = 0,
    FREEZE_CLAIMED = 1, /* somebody is on the way to a move; everybody else goes on */
    FREEZE_WANTED = 2,  /* the mover wants the locks */
};

enum freeze_lock { FREEZE_SEND = 0, FREEZE_RECV = 1, FREEZE_DRAIN = 2, FREEZE_LOCKS = 3 };

struct channel_freeze {
    _Atomic uint32_t wanted;             /* enum freeze_wanted */
    _Atomic uint32_t lent[FREEZE_LOCKS]; /* enum freeze_lent */
    _Atomic uint32_t knocks;             /* raised when a lock was lent */
    bool taken[FREEZE_LOCKS], borrowed[FREEZE_LOCKS]; /* by the mover */
};

static inline bool ewi_freeze_is_wanted(const struct channel_freeze *freeze)
{
    return __builtin_expect(atomic_load_explicit(&freeze->wanted, memory_order_relaxed) ==
                                FREEZE_WANTED, 0); /* Z7 */
}

/* Nobody else moves it now; the channel goes on. EW_EAGAIN: another one moves. */
int ewi_freeze_claim(ew_channel *channel);
/* The same, until the deadline; EW_EAGAIN only without one. Growth (transport/stream/grow.h) gives way. */
int ewi_freeze_claim_by(ew_channel *channel, struct wait wait);
/* From now on everybody lends. One look: EW_OK when the channel is at rest. */
int ewi_freeze_try(ew_channel *channel);
/* The same, until the deadline. */
int ewi_freeze_await(ew_channel *channel, struct wait wait);
/* Everybody goes on. Then ewi_channel_note: what a receiver found meanwhile may not be so any more. */
void ewi_freeze_thaw(ew_channel *channel);

/* The caller holds this lock, and waits here for as long as somebody wants it. */
int ewi_freeze_lend(ew_channel *channel, enum freeze_lock which, struct wait wait);
/* The same in two steps, for a thread that is elsewhere meanwhile. */
void ewi_freeze_offer(ew_channel *channel, enum freeze_lock which);
void ewi_freeze_reclaim(ew_channel *channel, enum freeze_lock which);
/* ... without waiting; false: a mover has it. */
bool ewi_freeze_try_reclaim(ew_channel *channel, enum freeze_lock which);
/* The caller holds none of the locks and steps aside while a move is on. */
int ewi_freeze_pass(ew_channel *channel, struct wait wait);

#endif
