/* transport/net/wheel.h - the nearest deadline of every connection, found in time.
 *
 * Purpose    Start, move and stop a million timers in constant time, and say when to look again.
 * Shape      A tick is 1024 ns. Nine levels of 64 buckets: a bucket of level l spans 64^l ticks,
 *            so the levels hold every deadline that a u64 can say. A timer lies in the level of
 *            the highest base-64 digit in which its tick and the cursor differ; when the cursor
 *            comes to a bucket, what is not due yet moves to a lower level.
 *            One entry (16 bytes, inside the connection) for the nearest of its deadlines.
 * Owner      the caller owns entries and wheel. An entry is cleared once, by timer_init, and must
 *            be removed before its memory becomes something else.
 * Threads    one caller at a time; nothing blocks or allocates
 * Trust      indices and times are our own. Time that goes backwards is taken as standing still.
 * Errors     none
 * Invariants I1  never early: a timer is reported by the first advance whose now is at or after its
 *                deadline rounded up to a tick (at most 1023 ns), unless that call was cut short.
 *            I2  a bucket that holds timers begins at or after the cursor, or is `moving`.
 *            I3  a timer lies in a bucket that begins at or before its due tick. Nothing else is
 *                kept up to date: a deadline that moves away is only written down (TCP moves its
 *                retransmission timer with every segment), and looked at when its bucket comes.
 *            I4  one advance looks at no more than NET_WHEEL_VISITS timers.
 * Ordering   single threaded
 * Source     Varghese, Lauck: "Hashed and hierarchical timing wheels" (1987), scheme 7
 */
#ifndef EWI_TRANSPORT_NET_WHEEL_H
#define EWI_TRANSPORT_NET_WHEEL_H

#include "transport/net/rows.h"

#define NET_NEVER UINT64_MAX /* no deadline */

/* Why 1 us: on the networks this is for, a round trip is 5..50 us, and the timers of RACK and TLP are
 * a fraction or a small multiple of it. Finer ticks cost nothing when a timer is armed, moved or
 * stopped; one that comes due (which TCP's seldom do) is looked at 4.1 times instead of 3.1 with
 * ticks of 131 us (counted: retransmission timers of 0.2 .. 1 s that were moved away once). */
enum {
    NET_TICK_BITS = 10,
    NET_WHEEL_LEVEL_BITS = 6,
    NET_WHEEL_LEVELS = 9,
    NET_WHEEL_SLOTS = 1 << NET_WHEEL_LEVEL_BITS,
    NET_WHEEL_BUCKETS = NET_WHEEL_LEVELS * NET_WHEEL_SLOTS,
    NET_WHEEL_VISITS = 256,
};

struct net_timer {
    uint64_t key;        /* due tick << 10 | bucket */
    uint32_t next, prev; /* in the bucket */
};
static_assert(sizeof(struct net_timer) == 16, "bytes of every connection");

struct net_wheel {
    struct net_rows timers;
    uint64_t cursor; /* tick: everything due before it was reported */
    uint32_t linked; /* timers in buckets, those that were stopped and not yet met included */
    uint32_t moving; /* bucket above level 0 that advance has begun to empty, or NET_NONE */
    uint32_t levels; /* bit: level has a bucket that holds timers */
    uint64_t filled[NET_WHEEL_LEVELS]; /* bit: bucket holds timers */
    uint32_t first[NET_WHEEL_BUCKETS], last[NET_WHEEL_BUCKETS];
};

/* timers: where the struct net_timer lies in object 0, and from one object to the next. */
void ewi_net_wheel_init(struct net_wheel *wheel, struct net_rows timers, uint64_t now_ns);
void ewi_net_timer_init(struct net_timer *timer);

/* Start or move. A deadline that has passed is due at the next advance; NET_NEVER stops it, and
 * leaves it in its bucket (so that starting it again costs one store). */
void ewi_net_wheel_arm(struct net_wheel *wheel, uint32_t index, uint64_t deadline_ns);
/* Stop it and take it out: before the memory of the object has another use. */
void ewi_net_wheel_remove(struct net_wheel *wheel, uint32_t index);
/* When it is due, rounded up to the tick; NET_NEVER: it is stopped, or was reported. */
uint64_t ewi_net_wheel_deadline(const struct net_wheel *wheel, uint32_t index);

/* Report at most `room` timers that are due, in the order of their ticks (those that were armed too
 * late, with the tick of that moment); each is stopped then. While next() <= now there may be more:
 * call again. */
uint32_t ewi_net_wheel_advance(struct net_wheel *wheel, uint64_t now_ns, uint32_t *due,
                               uint32_t room);
/* When to call advance; NET_NEVER: nothing is armed. At most the earliest deadline (rounded up to
 * its tick); may be earlier, and report nothing, at the edge of a bucket: at most nine times for a
 * timer, or once for a deadline that was moved away. */
uint64_t ewi_net_wheel_next(const struct net_wheel *wheel);

#endif
