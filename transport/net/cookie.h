/* transport/net/cookie.h - SYN cookies: what a SYN said, kept in the numbers of the answer.
 *
 * Purpose    Answer a SYN without keeping anything, so that a flood of them costs no memory, and
 *            believe the ACK that brings the numbers back.
 * Shape      cookie = our initial sequence number: 2 bits time, 3 bits MSS, 27 bits of a keyed hash of
 *            the tuple, the peer's ISN, the time and the MSS. Time goes in steps of 64 s.
 *            With timestamps the low 6 bits of TSval say what else the SYN offered: 4 bits window scale
 *            (15: none), SACK permitted, ECN. Without them these options are lost, as they must be.
 * Owner      values
 * Threads    pure functions
 * Trust      the ACK is hostile. Of all 2^32 numbers 3 times 8 are taken, so a guess succeeds once in
 *            2^27.4; believe cookies only while a listener sends them. The bits of the timestamp are not
 *            authenticated: the peer can lie about its own options only.
 * Errors     false: not a cookie of ours, for another tuple, or older than two steps
 * Invariants I1  judge(make(x)) is true with the largest MSS of the table that is not above x's, for
 *                128 .. 192 s.
 *            I2  time_make never runs ahead of `ticks`, nor behind by more than 63, and for the same
 *                options it never falls when ticks does not.
 * Ordering   none
 * Source     RFC 4987 section 3.6 and appendix A; RFC 7323 sections 2.3, 3.2
 */
#ifndef EWI_TRANSPORT_NET_COOKIE_H
#define EWI_TRANSPORT_NET_COOKIE_H

#include "transport/net/tuple.h"

#define NET_COOKIE_STEP_NS UINT64_C(64000000000)

enum {
    NET_COOKIE_AGE_MAX = 2,   /* steps */
    NET_COOKIE_MSS_MIN = 64,  /* a SYN that offers less gets this one: the caller treats it so anyway */
    NET_COOKIE_TIME_BITS = 6, /* of the timestamp */
};

/* The ISN of the SYN-ACK. key: NET_KEY_COOKIES; mss: of the SYN, or the default of its family. */
uint32_t ewi_net_cookie_make(const uint8_t key[16], const struct net_tuple *tuple, uint32_t peer_isn,
                             uint16_t mss, uint64_t now);
/* Of an ACK to a listener: peer_isn = SEG.SEQ - 1, cookie = SEG.ACK - 1. */
bool ewi_net_cookie_judge(const uint8_t key[16], const struct net_tuple *tuple, uint32_t peer_isn,
                          uint32_t cookie, uint64_t now, uint16_t *mss);

struct net_cookie_options { /* what was offered by the SYN and is granted by the answer */
    bool has_scale;
    uint8_t scale; /* of the peer, 0 .. 14 */
    bool sack, ecn;
};

/* TSval of the SYN-ACK. ticks: what it would be otherwise, the connection's offset added; every later
 * TSval of the connection is made from later ticks, so the peer never sees its clock run back. A round
 * trip that is timed by its echo comes out up to 63 ticks too long: do not take that sample. */
uint32_t ewi_net_cookie_time_make(uint32_t ticks, const struct net_cookie_options *options);
/* From the TSecr of the ACK. An ACK without timestamps: no options at all. */
void ewi_net_cookie_time_read(uint32_t tsecr, struct net_cookie_options *out);

#endif
