/* transport/stream/sink.h - the buffer of a thread that waits for a message: payload goes straight there.
 *
 * Purpose    One copy on the way in: from the stack into the caller's buffer, past staging and inbox.
 * Shape      open   by a receiver that found the inbox empty and is about to wait, in the middle of a
 *                   message or before one; a record that is on its way into the inbox is taken over.
 *            wants  the pump asks for each DATA record while it is open: one that goes on with the
 *                   message, or begins one of SINK_BYTES_MIN or more that fits.
 *            passed a record is complete: all positions move past it, and it was never stored.
 *            over   the message is complete, or a record went into the inbox: so do all later ones.
 *            close  by the receiver: what whole records brought is in channel->partial; the part of
 *                   an unfinished one moves to the inbox, and its rest goes there.
 * Owner      the receiver lends the buffer; the struct lies in the link
 * Threads    all with the drive lock. Whoever drives, another application thread and the reactor
 *            included, writes into the buffer, between open and close and at no other time; the
 *            receiver holds the receive lock for all of it and is inside ewi_channel_wait, which
 *            closes before it lends that lock (freeze.h).
 * Trust      a record is judged by fragment.h before a byte of it is received; what is not as it
 *            should be goes into the inbox, where the receiver finds it and says so.
 * Errors     none
 * Invariants I1  while it is open and not over, the inbox is empty, and reader and writer are at the
 *                same offset of it.
 *            I2  `taken` passes only whole records: a link that dies in the middle of one has
 *                brought nothing of it, whatever lies in the buffer.
 * Ordering   the drive lock; channel->sink_full is a hint for the receiver, who then takes the lock
 * Source     docs/adr/0009-stream-link.md, "One copy"
 */
#ifndef EWI_TRANSPORT_STREAM_SINK_H
#define EWI_TRANSPORT_STREAM_SINK_H

#include "transport/channel/fragment.h"

enum { SINK_BYTES_MIN = 16 * 1024 }; /* a shorter message is cheaper to copy than to announce */

struct stream_sink {
    uint8_t *into; /* NULL: none is open */
    uint64_t room;
    struct channel_partial message; /* its whole records; .bytes is not used */
    uint64_t passed;                /* record bytes since open */
    bool over;
};

/* room: at least the rest of the message, if one was begun. */
void ewi_sink_open(ew_channel *channel, uint8_t *into, uint64_t room);
void ewi_sink_close(ew_channel *channel);
/* have: how much of the payload is here; less than it takes to judge it: no. */
bool ewi_sink_wants(const ew_channel *channel, struct record record, const uint8_t *payload,
                    uint32_t have, struct fragment *out);
/* Where the payload of the record goes that comes now. */
uint8_t *ewi_sink_at(const ew_channel *channel);
/* It is there, and the session has taken it. */
void ewi_sink_passed(ew_channel *channel, struct record record, const struct fragment *fragment);

#endif
