/* transport/stream/pump.h - move records between a stream and the rings of its link.
 *
 * Purpose    The inner loop of a stream link: what is sent when, and what arriving bytes mean.
 * Shape      out: control frames, then a run of whole records below the peer's limit, again.
 *            in: staging -> control frames to the session, records to the inbox. The rest of a long
 *            record is received where it goes, inbox or sink, together with the header behind it: in
 *            a streak of long records nothing of their payload passes the staging.
 * Owner      none of its own; works on struct stream_link
 * Threads    with the link's drive lock
 * Trust      see transport/stream/link.h
 * Errors     a violation breaks the channel; the end of the stream takes the link down
 * Invariants I1  bounded: at most PUMP_ROUNDS calls of the stack in, and behind each of them out.
 *            I2  what this link has still to send stays in the ring, even if the peer says that it
 *                has it: a link may begin before that, and the peer drops what it has.
 *            I3  whole records never stay in the staging: no event would tell of them.
 *            I4  reading stops for this drive when a receiver has got what it waits for, or the first
 *                fragment of a message: it comes back with the buffer for what follows.
 * Ordering   see transport/stream/link.h
 * Source     docs/adr/0009-stream-link.md
 */
#ifndef EWI_TRANSPORT_STREAM_PUMP_H
#define EWI_TRANSPORT_STREAM_PUMP_H

#include "shm/record.h"

enum { PUMP_ROUNDS = 16 };

void ewi_pump_out(ew_channel *channel);
/* Tell the writer which of its ring it may use again. True: more than before. */
bool ewi_pump_release(ew_channel *channel);
/* What the session knows of the peer's positions, for those who wait for them. */
void ewi_pump_tell_positions(ew_channel *channel);
/* FINAL, if the stack takes it now: this end is gone, and how far it got. Without it the peer takes the
 * end of the stream for a loss. */
void ewi_pump_last_word(ew_channel *channel);
/* True: records, positions or the end arrived. */
bool ewi_pump_in(ew_channel *channel);
/* Where the payload of this record goes in the inbox. */
uint8_t *ewi_pump_reserve(ew_channel *channel, struct record record);

#endif
