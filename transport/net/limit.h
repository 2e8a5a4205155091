/* transport/net/limit.h - at most so many per second, in eight bytes.
 *
 * Purpose    What a stranger can make us send (ICMP, RST, challenge ACKs) is limited in total and for
 *            each destination, so that nobody uses us against others or learns from our silence.
 * Shape      busy_until: the time at which everything that was taken is paid, `each` ns for one.
 *            What lies ahead of now is the debt; at most `burst` of them may be owed at once.
 * Owner      the caller; all zero is ready
 * Threads    one caller at a time
 * Trust      times and sizes are our own
 * Errors     false: not now; nothing changed
 * Invariants I1  in any time T at most burst + T / each are taken.
 * Ordering   single threaded
 * Source     ITU-T I.371 annex A (generic cell rate algorithm); RFC 4443 section 2.4 (f)
 */
#ifndef EWI_TRANSPORT_NET_LIMIT_H
#define EWI_TRANSPORT_NET_LIMIT_H

#include "shm/base.h"

struct net_limit {
    uint64_t busy_until;
};

/* burst >= 1. cost: how many this one counts for, so that a sum of hidden costs hides the rate. */
static inline bool ewi_net_limit_take(struct net_limit *limit, uint64_t now, uint64_t each,
                                      uint32_t burst, uint32_t cost)
{
    uint64_t from = ewi_max_u64(limit->busy_until, now);

    if (from - now > (burst - 1) * each)
        return false;
    limit->busy_until = from + cost * each;
    return true;
}

#endif
