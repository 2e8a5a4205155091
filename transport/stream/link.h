/* transport/stream/link.h - a link over a byte stream of any stack.
 *
 * Purpose    Send the records of our ring as they lie, store what arrives in an inbox, and keep the
 *            session's promises (transport/session/session.h) on both sides.
 * Shape      out: a second reader of our own ring; the run it took last is being sent.
 *            control: frames without a position, sent between runs.
 *            staging: bytes as they came; records move from there into the inbox, the rest of a
 *            long record is received straight into it, or into the buffer of a receiver: sink.h.
 * Owner      the channel; memory is one private region (inbox and staging)
 * Threads    whoever holds `drive_lock` drives both directions. Applications try the lock; who finds
 *            it taken leaves a bell, which the holder answers before it goes. While a thread polls
 *            the stream, it alone reads from it.
 * Trust      every header, position and length is judged before use; overrun is an error
 * Errors     through link_state
 * Invariants I1  the reader never stops for lack of room: the inbox holds all that limit allows.
 *            I2  control frames are only sent between records.
 * Ordering   D1 acq_rel or-ing into bells, before the lock is tried,  pairs with  D2 acquire exchange
 *            under the lock, and release or-ing of nothing after it was given back: either the one
 *            who rang gets the lock, or the one who had it sees the bell (tests/model/drive.pml).
 * Source     design, section 5 (stream link); docs/adr/0009-stream-link.md
 */
#ifndef EWI_TRANSPORT_STREAM_LINK_H
#define EWI_TRANSPORT_STREAM_LINK_H

#include <stdalign.h>

#include "shm/lock.h"
#include "shm/region.h"
#include "shm/ring.h"
#include "transport/session/session.h"
#include "transport/context_stack.h"
#include "transport/stream/burst.h"
#include "transport/stream/sink.h"
#include "transport/stream/user.h"
#include "transport/stream/window.h"

enum {
    STREAM_STAGING_BYTES = 64 * 1024,
    STREAM_RUN_BYTES_MAX = RECORD_BYTES_MAX, /* ACK and PING pass after this many bytes */
    STREAM_CONTROL_BYTES = 4 * WIRE_CONTROL_BYTES_MAX,
    STREAM_LONG_BYTES = 8 * 1024, /* a record from which on another long one is expected */
    STREAM_INBOX_SLACK_BYTES = RECORD_BYTES_MAX + 4096, /* a PAD, the reserve, the next header */
};

enum stream_cover { /* who sees to the stream when the application does not */
    COVER_NONE = 0,    /* nobody: an application thread polls it */
    COVER_TICK = 1,    /* the application; the reactor's tick looks whether it still does */
    COVER_REACTOR = 2, /* the reactor watches it */
};

struct stream_counts { /* bytes that came; what the stack put into the sink was copied once */
    uint64_t staged; /* received into the staging */
    uint64_t stored; /* payload that passed the inbox */
    uint64_t sunk;   /* payload received into the sink */
};

struct stream_link {
    ew_channel *channel;
    struct stream_link *cover_next; /* in the list of COVER_TICK, under the reactor's lock */
    bool cover_listed, cover_gone;
    _Atomic uint32_t cover;  /* enum stream_cover */
    _Atomic uint32_t driven; /* counts drives by applications */
    uint32_t driven_seen;    /* by the tick */
    uint32_t watched;        /* what the stack reports to the reactor */
    struct stream_burst burst;
    struct stream_user *user; /* who the stack's events are for */

    struct context_stack *on;
    const struct stack_ops *ops; /* its */
    struct ewi_stack *stack;
    ewi_stream stream;
    int fd; /* to sleep on; with stream_arm: see stack.h */
    struct region memory;

    struct lock drive_lock;
    _Atomic uint32_t bells; /* somebody wants a drive */
    _Atomic uint32_t ack_wanted; /* ... and that the peer learns how far we are */
    _Atomic bool blocked;        /* the stack took less than we had; a hint outside the lock */
    _Atomic bool lost;           /* the stream has ended, the channel waits for another link */
    _Atomic bool drain_wanted;   /* say DRAIN */
    bool clean;                  /* CLOSE was delivered */

    struct ring_reader out; /* and all below: drive_lock */
    const uint8_t *run;
    uint32_t run_left;
    uint64_t run_position; /* of the run's first record */
    uint8_t control[STREAM_CONTROL_BYTES];
    uint32_t control_from, control_to;
    bool ack_now;   /* the peer asked */
    bool discarding;
    uint64_t pong;  /* token to answer, 0: none */
    uint8_t *staging; /* STREAM_STAGING_BYTES */
    uint32_t staged_from, staged_to;
    uint32_t staged_wanted; /* not to receive more of the staging than this, 0: no limit */
    uint32_t pad;           /* bytes to drop before the next header */
    bool streak, more;      /* the last record was long; had MORE */
    bool enough;            /* pump.h I4 */
    uint8_t *record_rest;   /* where the rest of a long record's payload goes, NULL: none is coming */
    uint32_t record_left;   /* payload bytes */
    struct record record;
    bool sunk;              /* it goes to the sink, as: */
    struct fragment fragment;
    struct stream_sink sink;
    struct stream_counts counts;

    struct window_receiving receiving; /* is the inbox, or the ring, too small? */
    struct window_sending sending;

    uint64_t repeats_since_ns; /* what was sent has no answer (silence.c); 0: it has */
    int wake_fd; /* readable: the poller looks again; once this end is closing, for good */
};

struct channel_link;

struct stream_link_parts {
    struct context_stack *on;
    ewi_stream stream;
    struct stream_user *user;
    const uint8_t *early;   /* bytes that came behind the hello */
    uint32_t early_bytes;
};

/* On failure the stream is the caller's. Nothing of the channel changes before adopt, which cannot
 * fail; the session knows the link's generation by then. peer_limit: from its hello. */
int ewi_stream_link_prepare(ew_channel *channel, struct channel_link *of,
                            const struct stream_link_parts *parts);
void ewi_stream_link_adopt(ew_channel *channel, struct channel_link *of, uint64_t peer_limit);
/* Adopt, of a new channel. */
void ewi_stream_link_open(ew_channel *channel, uint64_t peer_limit);
/* It was prepared and is not adopted: the stream is the caller's again. */
void ewi_stream_link_abandon(struct channel_link *of);
/* The reactor's turn: drive a link whose application is away. False: somebody polls it. */
bool ewi_stream_link_cover(ew_channel *channel);
/* Somebody had the drive lock, or has left something to be said: go on. */
void ewi_stream_link_poke(ew_channel *channel);
/* More is to be written than the stack took. */
bool ewi_stream_link_is_blocked(ew_channel *channel);
uint64_t ewi_stream_link_memory_bytes(uint64_t inbox_bytes);

#endif
