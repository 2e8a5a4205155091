/* transport/net/dupack.h - loss by counting duplicate ACKs, for peers without SACK.
 *
 * Purpose    NewReno: say when to retransmit fast, when to send one segment beyond cwnd, and when
 *            recovery is over. It only decides; windows belong to the congestion control.
 * Shape      one per connection that has no SACK. positions: transport/net/seq.h.
 *            recover: RFC 6582's variable, but one past the octet: SND.NXT when it was set.
 * Owner      a value in the connection
 * Threads    one caller at a time
 * Trust      the caller judged that the ACK is within [una, nxt], and is_duplicate by the five rules of
 *            RFC 5681 section 2 (data outstanding, no text, no SYN or FIN, ack == una, same window).
 * Errors     none
 * Invariants I1  recovery begins at most once per window: never for an ACK at or below recover.
 * Ordering   single threaded
 * Source     RFC 6582 section 3.2, RFC 5681 section 3.2, RFC 3042
 */
#ifndef EWI_TRANSPORT_NET_DUPACK_H
#define EWI_TRANSPORT_NET_DUPACK_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

enum { NET_DUPACK_THRESH = 3 };

struct net_dupack {
    uint64_t recover;
    uint32_t duplicates;
    bool in_recovery;
    bool had_partial; /* a partial ACK came in this recovery */
};
static_assert(sizeof(struct net_dupack) == 16, "in every connection without SACK");

enum net_dupack_verdict {
    NET_DUPACK_NOTHING,
    NET_DUPACK_LIMITED,       /* send one new segment beyond cwnd, do not raise cwnd: RFC 3042 */
    NET_DUPACK_ENTER,         /* the first segment is lost: retransmit, ssthresh, cwnd + 3 SMSS */
    NET_DUPACK_INFLATE,       /* a segment has left the network: cwnd + SMSS */
    NET_DUPACK_PARTIAL_FIRST, /* the next hole: retransmit, deflate cwnd, restart the RTO timer */
    NET_DUPACK_PARTIAL,       /* the same, but let the RTO timer run */
    NET_DUPACK_FULL           /* recovery is over */
};

/* iss: position of the SYN. */
void ewi_net_dupack_init(struct net_dupack *dupack, uint64_t iss);
/* una: before this ACK. */
enum net_dupack_verdict ewi_net_dupack_ack(struct net_dupack *dupack, uint64_t una, uint64_t nxt,
                                           uint64_t position, bool is_duplicate);
/* Retransmission timeout: RFC 6582 section 3.2 step 4. */
void ewi_net_dupack_timeout(struct net_dupack *dupack, uint64_t nxt);

#endif
