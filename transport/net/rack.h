/* transport/net/rack.h - loss by time: RACK, and the tail loss probe.
 *
 * Purpose    Say which segments are lost from when they were sent and what arrived, not from how
 *            many duplicates came; and when to probe, so that a lost tail needs no timeout.
 * Shape      one per connection beside its struct net_runs, which holds what RACK knows of segments.
 *            On each ACK:  ewi_net_runs_ack -> _rack_rtt (with a measurement) -> _rack_ack ->
 *                          _tlp_ack -> _rack_reo_wnd -> _rack_detect -> arm what it returns
 *            When the timer of _rack_detect is due: _rack_detect again.
 *            times: ns. One timer runs at a time: reordering, else probe, else RTO (section 8).
 * Owner      values in the connection
 * Threads    one caller at a time
 * Trust      acked comes from ewi_net_runs_ack, which judged it. Duplicates may be made up: they
 *            widen the window by which we wait, at most to SRTT.
 * Errors     none
 * Invariants I1  (xmit_ns, end) never goes back.
 *            I2  reo_wnd <= SRTT; 1 <= reo_wnd_mult <= 255.
 *            I3  at most one probe is under way: tlp_end != 0.
 * Ordering   single threaded
 * Source     RFC 8985 sections 5 to 8
 */
#ifndef EWI_TRANSPORT_NET_RACK_H
#define EWI_TRANSPORT_NET_RACK_H

#include "transport/net/runs.h"

enum {
    NET_RACK_DUP_THRESH = 3,    /* RFC 5681 section 3.2, RFC 8985 section 6.2 step 4 */
    NET_RACK_PERSIST = 16,      /* recoveries without duplicates, section 6.2 step 4 */
};
#define NET_TLP_PTO_FIRST_NS UINT64_C(1000000000) /* without SRTT: section 7.2 */
#define NET_TLP_WC_DELAYED_ACK_NS UINT64_C(200000000) /* what a peer may wait: section 7.2 */

struct net_rack {
    uint64_t tlp_end;      /* TLP.end_seq; 0: no probe is under way */
    uint64_t xmit_ns, end; /* RACK.segment: the one sent last of those delivered; end 0: none yet */
    uint64_t rtt_ns;       /* its round trip */
    uint64_t dsack_round;  /* SND.NXT when the window grew; 0: none */
    uint8_t reo_wnd_mult, reo_wnd_persist;
    bool reordering_seen;
    bool tlp_is_resent;    /* the probe was old data */
    bool tlp_has_rtt;      /* measured since the last probe, or the start: section 7.3 */
};
static_assert(sizeof(struct net_rack) == 48, "in every connection");

void ewi_net_rack_init(struct net_rack *rack);

/* ---- on an ACK ---- */

/* A round trip was measured. Step 1, the least of them, is in transport/net/rtt.h. */
void ewi_net_rack_rtt(struct net_rack *rack);
/* Steps 2, 3, and of 4 the part about duplicates. */
void ewi_net_rack_ack(struct net_rack *rack, const struct net_runs *runs,
                      const struct net_acked *acked, uint64_t now_ns);
/* Fast or RTO recovery has just ended, by an ACK without a duplicate: section 6.2 step 4. */
void ewi_net_rack_recovery_ended(struct net_rack *rack);
/* The rest of step 4: RACK.reo_wnd. min_rtt_ns, srtt_ns 0: not known yet. */
uint64_t ewi_net_rack_reo_wnd(const struct net_rack *rack, const struct net_runs *runs,
                              bool in_recovery, uint64_t min_rtt_ns, uint64_t srtt_ns);
/* Step 5: mark what is lost. Returns when to call again though nothing arrives, UINT64_MAX: never.
 * *lost_bytes: newly lost. */
uint64_t ewi_net_rack_detect(const struct net_rack *rack, struct net_run_pool *pool,
                             struct net_runs *runs, uint64_t reo_wnd_ns, uint64_t now_ns,
                             uint32_t *lost_bytes);
/* Section 6.3: the retransmission timer is due. The first segment is lost, and what is as old. If it
 * was sacked, the peer reneged (RFC 2018 section 8), and all that was sacked is lost. */
void ewi_net_rack_timeout(struct net_rack *rack, struct net_run_pool *pool, struct net_runs *runs,
                          uint64_t reo_wnd_ns, uint64_t now_ns);

/* ---- tail loss probe ---- */

enum net_tlp_probe {
    NET_TLP_NONE, /* not now: arm the RTO timer */
    NET_TLP_NEW,  /* send one segment of new data, whatever cwnd says */
    NET_TLP_LAST  /* send the last segment again: ewi_net_runs_last_segment */
};

enum net_tlp_verdict {
    NET_TLP_NOTHING,
    NET_TLP_OVER,    /* the probe arrived, and nothing was lost */
    NET_TLP_REPAIRED /* the probe repaired a loss: respond as to a fast recovery, section 7.4.2 */
};

/* Section 7.1: at the start, on RTO, and when fast recovery begins. */
void ewi_net_tlp_reset(struct net_rack *rack);
/* May a PTO be armed, after new data was sent or acknowledged? Section 7.2. */
bool ewi_net_tlp_may_arm(const struct net_runs *runs, bool in_recovery);
/* When the probe is due. srtt_ns 0: unknown. rto_at_ns: when the RTO timer would be, UINT64_MAX: not. */
uint64_t ewi_net_tlp_due(const struct net_run_pool *pool, const struct net_runs *runs,
                         uint64_t srtt_ns, uint64_t max_ack_delay_ns, uint64_t rto_at_ns,
                         uint64_t now_ns);
/* The PTO is due. has_new: there is unsent data that fits the peer's window. Section 7.3. */
enum net_tlp_probe ewi_net_tlp_choose(const struct net_rack *rack, const struct net_run_pool *pool,
                                      const struct net_runs *runs, bool has_new);
/* The probe was sent, and told to runs: arm the RTO timer, not the PTO. */
void ewi_net_tlp_sent(struct net_rack *rack, const struct net_runs *runs,
                      enum net_tlp_probe probe);
/* Whether a second copy of something unacknowledged is under way as a probe; when it left, and its size. */
bool ewi_net_tlp_copy(const struct net_rack *rack, const struct net_run_pool *pool,
                      const struct net_runs *runs, uint64_t *sent_ns, uint32_t *bytes);
/* Section 7.4.2. is_bare_duplicate: the ACK moves nothing and carries no SACK block. */
enum net_tlp_verdict ewi_net_tlp_ack(struct net_rack *rack, uint64_t position,
                                     const struct net_acked *acked, bool is_bare_duplicate);

#endif
