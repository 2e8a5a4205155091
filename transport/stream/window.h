/* transport/stream/window.h - when is the memory of a stream smaller than its round trip needs?
 *
 * Purpose    A stream carries at most its window in a round trip: what the peer's inbox takes, and
 *            what our ring keeps until the peer has it. Tell when one of the two is what limits.
 * Shape      receiving: PINGs that go out with ACKs measure the round trip. A short one, and this link
 *            is never asked again. After WINDOW_ANSWERS long ones: WINDOW_TRIPS round trips after a
 *            PING, with another ACK, more than half of the inbox has arrived in each of them, and the
 *            application has taken what lay there at the beginning: twice the inbox would be used.
 *            sending: the ring is full, all of it was given to the stack, the peer's inbox is larger
 *            by a quarter, and the limit allows as much more; and the same again when the peer's
 *            application has taken what was sent the first time: twice the ring would be used.
 *            Positions in bytes, times in nanoseconds of one monotonic clock.
 * Owner      the link; plain memory, all zero at its beginning
 * Threads    one caller at a time (the link's drive lock)
 * Trust      a peer that lies about its positions or answers late makes us grow up to the cap, no further
 * Errors     none
 * Invariants I1  at most one PING is out, and at most one for each half of the inbox that arrives.
 *            I2  a link with a round trip below WINDOW_TRIP_NS_MIN never asks for more.
 * Ordering   single threaded
 * Source     Fisk, Feng: Dynamic Right-Sizing in TCP (2001); docs/adr/0014-growth.md
 */
#ifndef EWI_TRANSPORT_STREAM_WINDOW_H
#define EWI_TRANSPORT_STREAM_WINDOW_H

#include "shm/base.h"

enum {
    WINDOW_TRIP_NS_MIN = 500 * 1000, /* docs/adr/0014-growth.md */
    WINDOW_ANSWERS = 4, /* the first ones may have met a cold start */
    WINDOW_TRIPS = 3,   /* what a peer sends at once may come before or behind the edge of one */
};

struct window_receiving {
    uint64_t token;      /* of the PING that is out, 0: none */
    uint64_t tokens;     /* given so far */
    uint32_t answers;    /* PONGs */
    uint64_t trip_ns;    /* the shortest time from PING to PONG */
    bool measuring;      /* what arrives, since the PING */
    uint64_t began_ns;   /* when the PING went out ... */
    uint64_t taken;      /* ... and what had arrived by then */
    uint64_t not_before; /* position that has to arrive before the next one */
};

struct window_received {
    uint64_t inbox_bytes;
    uint64_t taken, consumed;
};

/* An ACK goes out. Is it time for a PING? */
bool ewi_window_is_due(const struct window_receiving *window, const struct window_received *now);
/* It goes out now: its token. */
uint64_t ewi_window_ask(struct window_receiving *window, const struct window_received *now,
                        uint64_t now_ns);
/* A PONG came. */
void ewi_window_answered(struct window_receiving *window, uint64_t token, uint64_t now_ns);
/* An ACK goes out while it is measuring. True: the inbox limits. */
bool ewi_window_judge(struct window_receiving *window, const struct window_received *now,
                      uint64_t now_ns);

struct window_sending {
    uint64_t mark; /* sent, when the ring limited before; the peer's application takes it meanwhile */
    bool marked;
};

struct window_sent {
    uint64_t ring_bytes;
    uint64_t sent, released; /* released .. sent lies in the ring and was given to the stack: all of it */
    uint64_t peer_consumed, limit; /* as the last ACK said: the difference is the peer's inbox */
};

/* A sender found no room, and nothing is left to be given to the stack. True: the ring limits. */
bool ewi_window_full(struct window_sending *window, const struct window_sent *now);

/* The size after this one; 0: the cap is reached. */
uint64_t ewi_window_next(uint64_t bytes, uint64_t bytes_max);

#endif
