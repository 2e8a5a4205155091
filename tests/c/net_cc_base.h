/* tests/c/net_cc_base.h - congestion control by hand, for its tests.
 *
 * Purpose    Windows with segments of 1000 bytes, and ACKs for them.
 * Shape      made, avoiding: a struct net_cc; ack_of, acks: what happens to it
 * Owner      values
 * Threads    one
 * Trust      none: test code only
 * Errors     none
 * Invariants none
 * Ordering   none
 * Source     none
 */
#ifndef TESTS_C_NET_CC_BASE_H
#define TESTS_C_NET_CC_BASE_H

#include "transport/net/cc_kinds.h"

enum { MSS = 1000 };
#define MS UINT64_C(1000000)

static inline struct net_cc made(enum net_cc_kind kind)
{
    struct net_cc cc;

    ewi_net_cc_init(&cc, kind, MSS, 0, false, false);
    return cc;
}

/* In congestion avoidance with this window. */
static inline struct net_cc avoiding(enum net_cc_kind kind, uint32_t cwnd)
{
    struct net_cc cc = made(kind);

    cc.cwnd = cc.ssthresh = cwnd;
    return cc;
}

static inline struct net_cc_ack ack_of(uint32_t acked)
{
    return (struct net_cc_ack){.acked = acked, .cwnd_limited = true};
}

static inline void acks(struct net_cc *cc, uint32_t acked)
{
    struct net_cc_ack ack = ack_of(acked);

    ewi_net_cc_on_ack(cc, &ack);
}

#endif
