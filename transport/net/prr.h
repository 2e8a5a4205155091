/* transport/net/prr.h - how much to send for each ACK while losses are repaired.
 *
 * Purpose    Bring the bytes in flight down to ssthresh by the end of recovery, neither at once nor
 *            by waiting half a round trip, and never send much more than was delivered.
 * Shape      recover_fs: bytes in flight when recovery began. delivered, out: bytes since then.
 *            window: what takes cwnd's place during recovery, bytes; 0 until the first ACK.
 * Owner      the connection, while in recovery; plain memory
 * Threads    pure functions
 * Trust      numbers may be any: they are bounded here
 * Errors     none
 * Invariants I1  while in flight > ssthresh: out <= delivered * ssthresh / recover_fs, rounded up,
 *                apart from the first retransmission.
 *            I2  below, window <= ssthresh, and it grows by at most what was delivered, or what was
 *                delivered before and not used, and one segment.
 *            I3  the first ACK allows at least one segment.
 * Ordering   single threaded
 * Source     RFC 9937 6 (it obsoletes RFC 6937): PRR-CRB, and PRR-SSRB where recovery goes well
 */
#ifndef EWI_TRANSPORT_NET_PRR_H
#define EWI_TRANSPORT_NET_PRR_H

#include <assert.h>

#include "shm/base.h"

struct net_prr {
    uint64_t delivered;
    uint64_t out;
    uint32_t recover_fs;
    uint32_t ssthresh;
    uint32_t smss;
    uint32_t window;
};
static_assert(sizeof(struct net_prr) == 32, "one per connection in recovery");

/* What was true when the ACK that begins recovery had been taken into the books. Bytes. */
struct net_prr_entry {
    uint32_t flight;       /* SND.NXT - SND.UNA */
    uint32_t sacked;       /* of flight */
    uint32_t newly_sacked; /* of sacked, by this ACK */
    uint32_t newly_acked;  /* that SND.UNA moved by this ACK */
    uint32_t ssthresh;     /* what congestion control has just chosen */
    uint32_t smss;
};

/* Then ewi_net_prr_on_ack() with the same ACK. */
void ewi_net_prr_enter(struct net_prr *prr, const struct net_prr_entry *entry);
/* delivered: newly acknowledged and newly selectively acknowledged bytes. in_flight: pipe, without what
 * is known to be lost. good: SND.UNA moved and nothing more was found lost. Returns window: send while
 * in flight is below it. */
uint32_t ewi_net_prr_on_ack(struct net_prr *prr, uint32_t delivered, uint32_t in_flight, bool good);
/* Anything that was sent, new or again. */
void ewi_net_prr_on_sent(struct net_prr *prr, uint32_t bytes);

#endif
