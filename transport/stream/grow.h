/* transport/stream/grow.h - give a stream a larger ring and a larger inbox, in place.
 *
 * Purpose    A channel over a long way needs more memory than one on this host: what is on its way
 *            stays in the ring, and has to fit the inbox. Each end grows its own; the peer only
 *            hears of a higher limit.
 * Shape      asked by who drives the link (window.h), done by the reactor: new memory is made, the
 *            channel brought to rest (transport/channel/freeze.h), the records copied to the same
 *            positions, the link pointed there, the old memory given back. One side at a time; each
 *            step doubles, up to the context's stream_bytes_max; never back.
 * Owner      the channel; struct stream_growth is part of it
 * Threads    ping, pong and look: with the link's drive lock. stop, knock, claim: any, without it.
 * Trust      see window.h; the cap, the context's budget and the pause bound what a peer can cause
 * Errors     none: what cannot grow stays as it is. A refusal is followed by a pause.
 * Invariants I1  a record has the same position in both memories, and the half of one that has
 *                arrived, or was sent, is continued there.
 *            I2  memory that a stack still reads is not given back: a stack with STACK_TX_REF keeps
 *                its ring as it is.
 *            I3  a move has precedence: a growth on its way steps back and tries again.
 *            I4  a channel rests for the copy of what lies in it; it is asked to for GROW_NS at most.
 * Ordering   as freeze.h; asked and what else lies in it: the reactor's lock
 * Source     docs/adr/0014-growth.md
 */
#ifndef EWI_TRANSPORT_STREAM_GROW_H
#define EWI_TRANSPORT_STREAM_GROW_H

#include <stdatomic.h>

#include "shm/region.h"

enum {
    GROW_NS = 50 * 1000 * 1000,
    GROW_PAUSE_NS = 1000 * 1000 * 1000, /* after a refusal */
};

enum grow_side { GROW_OUTBOX = 0, GROW_INBOX = 1, GROW_SIDES = 2 };

struct source;

struct stream_growth {
    _Atomic bool no_room;   /* a sender found none: a hint for the next look */
    struct source *source;  /* this and all below: under the reactor's lock */
    bool stopped, claimed;
    bool asked[GROW_SIDES];
    enum grow_side side;    /* that `region` is for */
    struct region region;   /* made, and not in use yet; base NULL: none */
    uint64_t until_ns;      /* the channel has come to rest by then, or the attempt is over */
    uint64_t pause_ns;      /* until then nothing is asked for */
    uint64_t count[GROW_SIDES]; /* how often each grew; under facts_lock, too */
};

/* With no lock, or with the drive lock: this side is too small. */
void ewi_grow_ask(ew_channel *channel, enum grow_side side);
/* An ACK is being made: the token of a PING that goes with it, 0: none. */
uint64_t ewi_grow_ping(ew_channel *channel);
void ewi_grow_pong(ew_channel *channel, uint64_t token);
/* After a drive: did a sender wait for room because the ring is too small? */
void ewi_grow_look(ew_channel *channel);
/* A lock of the channel was lent: look at once. */
void ewi_grow_knock(ew_channel *channel);
/* ewi_freeze_claim for a move (I3). */
int ewi_grow_claim(ew_channel *channel);
/* The channel ends. */
void ewi_grow_stop(ew_channel *channel);

#endif
