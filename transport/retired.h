/* transport/retired.h - what is left of a link that was replaced: open until the peer closes it.
 *
 * Purpose    Only the end that dialled closes a replaced link, after it has heard the welcome on the
 *            new one. If the other end closed it first, the dialler could take that for a loss. And a
 *            dialler that cannot go over, although the peer perhaps has, leaves it the socket until it
 *            has dialled again: a hang-up would be death.
 * Shape      a descriptor or a stream, and a deadline
 * Owner      the reactor; each has a share of its context
 * Threads    any; never blocks
 * Trust      what still arrives is thrown away, a bounded amount at a time
 * Errors     none: without memory it is closed at once
 * Invariants I1  gone after RETIRED_NS at the latest (`retired_ns` of the context).
 *            I2  a channel has RETIRED_MAX at most: a peer that resumes again and again, and closes
 *                nothing, takes no more descriptors. The oldest goes first.
 * Ordering   the reactor's lock
 * Source     design, section 5 (Session)
 */
#ifndef EWI_TRANSPORT_RETIRED_H
#define EWI_TRANSPORT_RETIRED_H

#include "transport/context.h"
#include "transport/stream/user.h"

/* A dialler that got no answer is on it still: for MOVE_ANSWER_NS, and until it has dialled again. */
#define RETIRED_NS (UINT64_C(60) * 1000 * 1000 * 1000)

enum { RETIRED_MAX = 4 };

void ewi_retire_socket(ew_channel *channel, int fd);
/* The channel ends; what is retired stays for its time. */
void ewi_retired_leave(ew_channel *channel);
void ewi_retire_stream(ew_channel *channel, struct context_stack *on, ewi_stream stream,
                       struct stream_user *user);

#endif
