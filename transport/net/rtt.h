/* transport/net/rtt.h - how long a round trip takes, and how long to wait before sending again.
 *
 * Purpose    One estimator per connection: smoothed time and variation, the retransmission timeout
 *            with its back-off, and the least round trip of the last five minutes for RACK.
 * Shape      times are u64 nanoseconds; inside, srtt and rttvar are 2^-16 ns, so that neither a
 *            round trip of 1 us nor a gain of 1/8 shared by 10^5 samples rounds to nothing.
 *            sample: 1 ns .. NET_RTT_SAMPLE_MAX.  backoff: 0 .. 32 doublings.
 *            least[3]: best, second, third of three parts of the window; us of age are 2^20 ns.
 * Owner      the connection; plain memory, may be copied
 * Threads    pure functions
 * Trust      an echoed timestamp is the peer's word: one from the future or too old is refused.
 * Errors     false: there is no sample
 * Invariants I1  floor <= ewi_net_rtt_rto() <= ceiling, whatever was sampled.
 *            I2  the caller gives no sample of a segment that was sent twice (Karn).
 *            I3  the back-off goes only with a new sample, or when the peer says (RFC 2883) that it
 *                got what was sent again, so that the way there and back is known to work.
 *            I4  least is never below all samples of the last five minutes, and never above one of
 *                the last two and a half.
 * Ordering   single threaded
 * Source     RFC 6298; RFC 7323 4.1, 4.3 and appendix G; RFC 8985 6.2 step 1 (min_RTT); the filter:
 *            Nichols, "Windowed min/max", as three estimates
 */
#ifndef EWI_TRANSPORT_NET_RTT_H
#define EWI_TRANSPORT_NET_RTT_H

#include <assert.h>

#include "shm/base.h"

#define NET_RTT_SAMPLE_MAX UINT64_C(240000000000) /* the longest life of a segment, RFC 9293: 2 MSL */
#define NET_RTT_WINDOW     UINT64_C(300000000000) /* of the least round trip */

/* Shared by many connections. All in ns; 0 < granularity, floor <= ceiling. */
struct net_rtt_limits {
    uint64_t granularity; /* of the clock that times the segments */
    uint64_t floor;
    uint64_t ceiling;
    uint64_t initial;     /* before the first sample */
    uint64_t after_syn;   /* before the first sample, when a SYN had to be sent again */
};
/* The other end may sleep (20 ms), both ends spin (5 ms), and as RFC 6298 2.4 has it (1 s). */
extern const struct net_rtt_limits ewi_net_rtt_fabric, ewi_net_rtt_spin, ewi_net_rtt_rfc;

struct net_rtt_least {
    uint32_t rtt; /* ns, at most 2^32 - 1 */
    uint32_t at;  /* 2^20 ns; wraps after 52 days */
};

struct net_rtt {
    uint64_t srtt;   /* 2^-16 ns, 0: no sample yet */
    uint64_t rttvar; /* 2^-16 ns */
    struct net_rtt_least least[3];
    uint8_t backoff;
    bool syn_lost;
};
static_assert(sizeof(struct net_rtt) == 48, "one per connection");

void ewi_net_rtt_init(struct net_rtt *rtt);

/* ---- where a sample comes from ---- */

/* A segment that acknowledges new data echoed `tsecr`; our clock for timestamps says `ticks` and
 * ticks every tick_ns. Good for retransmitted segments too. */
bool ewi_net_rtt_of_timestamp(uint32_t ticks, uint32_t tsecr, uint64_t tick_ns, uint64_t *sample);
/* Samples that one round trip will give: the last argument of ewi_net_rtt_sample(). One sample per
 * segment with flight bytes in the network; 1 where only one segment per round trip is timed. */
uint32_t ewi_net_rtt_expected(uint32_t flight, uint32_t smss);

/* ---- what it does ---- */

/* Ends the back-off. expected: 1 or more. */
void ewi_net_rtt_sample(struct net_rtt *rtt, uint64_t sample, uint32_t expected, uint64_t now);
void ewi_net_rtt_on_timeout(struct net_rtt *rtt);
/* The peer reported a duplicate of what the timeout sent again. */
void ewi_net_rtt_on_duplicate(struct net_rtt *rtt);
/* The handshake is done, but a SYN of ours had to be sent again. */
void ewi_net_rtt_on_syn_lost(struct net_rtt *rtt);
/* The last timeout came too early; sample: what the path really took. */
void ewi_net_rtt_on_spurious(struct net_rtt *rtt, uint64_t sample);

/* ---- what it says, in ns ---- */

uint64_t ewi_net_rtt_rto(const struct net_rtt *rtt, const struct net_rtt_limits *limits);
uint64_t ewi_net_rtt_smoothed(const struct net_rtt *rtt);  /* 0: no sample yet */
uint64_t ewi_net_rtt_variation(const struct net_rtt *rtt);
/* Of the last five minutes before the last sample; UINT64_MAX: no sample yet. */
uint64_t ewi_net_rtt_least(const struct net_rtt *rtt);

#endif
