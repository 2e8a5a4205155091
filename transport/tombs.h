/* transport/tombs.h - channels that have ended here, and how far they got.
 *
 * Purpose    Who took CLOSE and is gone still answers a RESUME: the end that closes waits to hear that
 *            everything arrived, and the ACK that said so may have been lost with its link.
 * Shape      channel id -> secret, taken; the newest TOMBS_MAX of the grace time
 * Owner      the context
 * Threads    under the reactor's lock
 * Trust      a RESUME is judged by its MAC, as that of a channel that lives
 * Errors     none: without memory the peer is told that the channel is not known
 * Invariants I1  bounded in number and in time.
 * Ordering   the lock
 * Source     design, section 5 (Session)
 */
#ifndef EWI_TRANSPORT_TOMBS_H
#define EWI_TRANSPORT_TOMBS_H

#include "shm/base.h"

enum { TOMBS_MAX = 1024 };

struct tomb {
    uint8_t channel[16], secret[16];
    uint64_t taken;
    uint64_t until_ns;
};

struct tombs {
    struct tomb *places; /* TOMBS_MAX of them, a ring; NULL: none yet */
    uint32_t count, next;
};

void ewi_tombs_add(struct tombs *tombs, const struct tomb *tomb);
/* NULL: not here, or its time is over. */
const struct tomb *ewi_tombs_find(const struct tombs *tombs, const uint8_t channel[16],
                                  uint64_t now_ns);
void ewi_tombs_free(struct tombs *tombs);

#endif
