/* transport/channel/kept.h - the peer's ring, after the channel has left it for a stream.
 *
 * Purpose    A peer that dies right after it has gone over to a stream has told nothing there yet; what
 *            it had committed still lies in its ring, which we have mapped. It is read to its end then.
 * Shape      the mapping, and where in it the first record lies that we have not taken
 * Owner      the channel, from the move until a record was taken elsewhere, the next move to shared
 *            memory, or its end
 * Threads    keep: who has frozen the channel. look, resort: with the receive lock. drop: either.
 * Trust      as the ring of a local link
 * Errors     none: without memory nothing is kept
 * Invariants I1  it is read only when no link will ever come, and only from the position that the
 *                channel has: the peer uses space again that we said we took, so from no other.
 * Ordering   the locks; LINK_UP's end (C1/C2) comes before resort
 * Source     docs/adr/0012-moving.md
 */
#ifndef EWI_TRANSPORT_CHANNEL_KEPT_H
#define EWI_TRANSPORT_CHANNEL_KEPT_H

#include "transport/channel/channel.h"

/* The old link is a local one: its mapping is ours from now on. reader: the first record not taken. */
void ewi_kept_keep(ew_channel *channel, struct channel_link *old, const struct ring_reader *reader);
/* Is it of use no more? Then it goes. */
void ewi_kept_look(ew_channel *channel);
/* There is no link any more, and nothing unread: go on in the peer's ring. False: there is none. */
bool ewi_kept_resort(ew_channel *channel);
void ewi_kept_drop(ew_channel *channel);

#endif
