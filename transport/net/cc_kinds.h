/* transport/net/cc_kinds.h - what a kind of congestion control has to bring, and what it may use.
 *
 * Purpose    The table behind cc.h, and the two parts that are too long for cc.c: CUBIC, HyStart++.
 * Shape      one const table per kind; an entry may be NULL: nothing to do.
 * Owner      constants
 * Threads    pure functions
 * Trust      arguments were bounded by cc.c: acked <= cwnd, flight <= cwnd
 * Errors     none
 * Invariants none of its own: cc.c restores I1 of cc.h after each call
 * Ordering   single threaded
 * Source     see cc.h
 */
#ifndef EWI_TRANSPORT_NET_CC_KINDS_H
#define EWI_TRANSPORT_NET_CC_KINDS_H

#include "transport/net/cc.h"

struct net_cc_ops {
    const char *name;
    void (*init)(struct net_cc *cc, uint32_t una);
    /* Every ACK, before anything else. */
    void (*see)(struct net_cc *cc, const struct net_cc_ack *ack);
    /* Congestion avoidance: grow for `acked` bytes. */
    void (*avoid)(struct net_cc *cc, const struct net_cc_ack *ack, uint32_t acked);
    /* An ACK for which cwnd must not grow. */
    void (*hold)(struct net_cc *cc, const struct net_cc_ack *ack);
    /* Set ssthresh and cwnd. */
    void (*reduce)(struct net_cc *cc, enum net_cc_cause cause, uint32_t flight);
    /* ssthresh after the first timeout of a segment; cwnd is set by cc.c. */
    uint32_t (*rto_ssthresh)(struct net_cc *cc, uint32_t flight);
    void (*idle)(struct net_cc *cc, uint64_t idle, bool restart, uint64_t now);
};

extern const struct net_cc_ops ewi_net_cc_cubic;

/* An RTT sample and the rounds of slow start. True: slow start is over, ssthresh was set. */
bool ewi_net_hystart_on_ack(struct net_cc *cc, const struct net_cc_ack *ack);
void ewi_net_hystart_begin(struct net_cc *cc);
void ewi_net_hystart_end(struct net_cc *cc);

/* The integer below or at the cube root. For tests visible here. */
uint32_t ewi_net_cube_root(uint64_t high, uint64_t low); /* of high * 2^64 + low */
/* C (t - K)^3 + W_max in bytes, within 0 .. NET_CC_WINDOW_MAX * 2. t, k: 2^-20 s. */
uint32_t ewi_net_cubic_window(uint32_t t, uint32_t k, uint32_t w_max, uint32_t smss);
/* K in 2^-20 s for w_max >= cwnd. */
uint32_t ewi_net_cubic_k(uint32_t w_max, uint32_t cwnd, uint32_t smss);

#endif
