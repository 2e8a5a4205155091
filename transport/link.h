/* transport/link.h - what carries a channel at the moment, as a table of functions.
 *
 * Purpose    Let the channel send, receive and wait in one way on every path.
 * Shape      two implementations: transport/local/ (shared memory) and transport/stream/ (a byte
 *            stream from a stack).
 * Owner      the channel owns its link; `release` frees what the link holds.
 * Threads    committed: under the channel's send lock. taken: under its receive lock. drive, seen,
 *            announce, retract, hang_up: any thread. release: nobody else
 *            is in the channel any more.
 * Trust      a link judges what arrives and reports by channel->link_state.
 * Errors     a link never fails a call: it goes down, and the channel finds out why.
 * Invariants I1  after link_state left LINK_UP no further record will arrive, and all that did are
 *                in the channel's ring.
 * Ordering   C1 release-store of link_state  pairs with  C2 acquire-load: the records before it
 *            are visible.
 * Source     docs/adr/0001-session-and-links.md
 */
#ifndef EWI_TRANSPORT_LINK_H
#define EWI_TRANSPORT_LINK_H

#include <poll.h>

#include "shm/base.h"
#include "shm/bell.h"

enum { LINK_FDS_MAX = 2 };

enum link_state {
    LINK_UP = 0,
    LINK_HUNG_UP = 1, /* the other side is gone */
    LINK_BROKEN = 2,  /* the other side broke the protocol: channel's end_text says how */
    LINK_SHUT = 3,    /* closed here */
};

struct channel_link;

struct link_ops {
    bool drives; /* what arrives has to be taken in by somebody; else it lies in memory by itself */
    /* Records were committed to our ring: see to it that the peer gets them. */
    void (*committed)(ew_channel *channel);
    /* The reader's position was published. NULL: nothing to do each time. */
    void (*published)(ew_channel *channel);
    /* ... an eighth of the ring further: tell the peer if it is due. */
    void (*taken)(ew_channel *channel);
    /* Before a call waits: nothing that the peer waits for may stay here. */
    void (*settle)(ew_channel *channel);
    /* Take in what has arrived, without waiting. */
    void (*drive)(ew_channel *channel);
    /* Under the receive lock, by who waits for messages: `into` has room for the next one, or for all
     * of the one that was begun; what comes may go straight there. NULL: there is no such way. */
    void (*open_sink)(ew_channel *channel, uint8_t *into, uint64_t room);
    /* ... no more. channel->partial and the reader have what did. */
    void (*close_sink)(ew_channel *channel);
    /* Sleeping: descriptors to poll, what to say before, what to do with what was seen. */
    nfds_t (*sleep_fds)(ew_channel *channel, struct pollfd fds[LINK_FDS_MAX]);
    void (*announce)(ew_channel *channel, uint32_t wants);
    void (*retract)(ew_channel *channel, uint32_t wants);
    bool (*look)(void *channel, struct pollfd *fds); /* of struct waitroom_poller; or NULL */
    void (*seen)(void *channel, const struct pollfd *fds, nfds_t count);
    /* The receiving side found nothing: make fileno() unreadable until something comes. */
    void (*rearm)(ew_channel *channel);
    /* For fileno(): the descriptor that the peer makes readable; armed from now on. */
    int (*watch_fd)(ew_channel *channel);
    /* How far the peer's process (held) and its application (consumed) are. */
    uint64_t (*peer_held)(ew_channel *channel);
    uint64_t (*peer_consumed)(ew_channel *channel);
    /* We are closing: threads that wait for messages or room wake up; from now on what arrives is
     * dropped, and the peer is still heard. */
    void (*closing)(ew_channel *channel);
    /* Wake every thread that sleeps on this link, which is down. */
    void (*wake)(ew_channel *channel);
    /* ... which goes on until another one takes its place: see transport/channel/freeze.h. */
    void (*nudge)(ew_channel *channel);
    /* Tell the peer that it is over; clean: CLOSE was delivered. Nothing is freed yet. */
    void (*hang_up)(ew_channel *channel, bool clean);
    /* Nobody uses the link any more. */
    void (*release)(ew_channel *channel, struct channel_link *link);
    /* As release, of a link that was replaced; the peer, who dialled, closes it first. */
    void (*retire)(ew_channel *channel, struct channel_link *link);
    /* The peer shall go elsewhere: a hint. */
    void (*drain)(ew_channel *channel);
    void (*describe)(ew_channel *channel, ew_channel_info *out);
};

extern const struct link_ops ewi_local_link;
extern const struct link_ops ewi_stream_link;

#endif
