#include "transport/net/rtt.h"

enum { FRACTION = 16, AGE = 20, BACKOFF_MAX = 32 };

#define MS UINT64_C(1000000)
#define S  (1000 * MS)

/* RFC 6298 2.1, 2.4, 2.5: one second to begin with, the ceiling at least 60 s. The floor of a
 * second is for old clocks; ours is what a sleeping peer was measured to need. */
const struct net_rtt_limits ewi_net_rtt_fabric = {1000, 20 * MS, 60 * S, 1 * S, 3 * S};
const struct net_rtt_limits ewi_net_rtt_spin = {1000, 5 * MS, 60 * S, 1 * S, 3 * S};
const struct net_rtt_limits ewi_net_rtt_rfc = {1 * MS, 1 * S, 60 * S, 1 * S, 3 * S};

void ewi_net_rtt_init(struct net_rtt *rtt)
{
    *rtt = (struct net_rtt){.least = {{UINT32_MAX, 0}, {UINT32_MAX, 0}, {UINT32_MAX, 0}}};
}

/* ------------------------------------------------------------------ samples */

static bool usable(uint64_t time, uint64_t *sample)
{
    if (time > NET_RTT_SAMPLE_MAX)
        return false;
    *sample = ewi_max_u64(time, 1);
    return true;
}

/* RFC 7323 4.1, 4.3. Both ends of the interval are cut to a tick: less than one counts as one. */
bool ewi_net_rtt_of_timestamp(uint32_t ticks, uint32_t tsecr, uint64_t tick_ns, uint64_t *sample)
{
    uint32_t passed = ticks - tsecr;

    if (passed > INT32_MAX) /* from the future */
        return false;
    if (tick_ns == 0 || ewi_max_u64(passed, 1) > NET_RTT_SAMPLE_MAX / tick_ns)
        return false;
    return usable(ewi_max_u64(passed, 1) * tick_ns, sample);
}

/* RFC 7323 appendix G: ceiling(FlightSize / (SMSS * 2)). */
uint32_t ewi_net_rtt_expected(uint32_t flight, uint32_t smss)
{
    uint64_t two = 2 * ewi_max_u64(smss, 1);

    if (flight <= two) /* a division less, for nearly every request */
        return 1;
    return (uint32_t)ewi_max_u64((flight + two - 1) / two, 1);
}

/* ------------------------------------------------------------------ the least of five minutes */

static void least_fill(struct net_rtt *rtt, struct net_rtt_least now)
{
    rtt->least[0] = rtt->least[1] = rtt->least[2] = now;
}

/* least[i] is the least since least[i - 1] was taken. When the first leaves the window the second
 * takes its place; a second is taken afresh after a quarter of the window, a third after half of it. */
static void least_update(struct net_rtt *rtt, uint64_t sample, uint64_t time)
{
    const uint32_t window = (uint32_t)(NET_RTT_WINDOW >> AGE);
    struct net_rtt_least now = {(uint32_t)ewi_min_u64(sample, UINT32_MAX - 1),
                                (uint32_t)(time >> AGE)};
    struct net_rtt_least *least = rtt->least;

    if (now.rtt <= least[0].rtt || now.at - least[2].at > window) { /* better, or all too old */
        least_fill(rtt, now);
        return;
    }
    if (now.rtt <= least[1].rtt)
        least[1] = least[2] = now;
    else if (now.rtt <= least[2].rtt)
        least[2] = now;

    if (now.at - least[0].at > window) {
        least[0] = least[1];
        least[1] = least[2];
        least[2] = now;
        if (now.at - least[0].at > window) {
            least[0] = least[1];
            least[1] = now;
        }
        return;
    }
    if (least[1].at == least[0].at && now.at - least[0].at > window / 4) {
        if (least[2].at == least[1].at)
            least[2] = now;
        least[1] = least[2]; /* which is newer, and not more than now; it may be old as well: */
    }
    if (now.at - least[2].at > window / 2) { /* or all three could leave the window at once: I4 */
        least[1] = least[2];
        least[2] = now;
    }
}

uint64_t ewi_net_rtt_least(const struct net_rtt *rtt)
{
    return rtt->least[0].rtt == UINT32_MAX ? UINT64_MAX : rtt->least[0].rtt;
}

/* ------------------------------------------------------------------ smoothing */

/* from + (to - from) / parts, where the difference may be negative. */
static uint64_t toward(uint64_t from, uint64_t to, uint64_t parts)
{
    return to >= from ? from + (to - from) / parts : from - (from - to) / parts;
}

static uint64_t apart(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* RFC 6298 2.2, 2.3 with the gains of RFC 7323 appendix G: 1/8 and 1/4 per round trip. */
void ewi_net_rtt_sample(struct net_rtt *rtt, uint64_t sample, uint32_t expected, uint64_t now)
{
    uint64_t bounded = ewi_max_u64(ewi_min_u64(sample, NET_RTT_SAMPLE_MAX), 1);
    uint64_t r = bounded << FRACTION;

    if (rtt->srtt == 0) {
        rtt->srtt = r;
        rtt->rttvar = r / 2;
    } else {
        uint64_t share = ewi_max_u64(expected, 1);

        if (share == 1) { /* shifts */
            rtt->rttvar = toward(rtt->rttvar, apart(rtt->srtt, r), 4);
            rtt->srtt = toward(rtt->srtt, r, 8);
        } else {
            rtt->rttvar = toward(rtt->rttvar, apart(rtt->srtt, r), 4 * share);
            rtt->srtt = toward(rtt->srtt, r, 8 * share);
        }
    }
    rtt->backoff = 0; /* RFC 6298 5.7 and 3: only now */
    rtt->syn_lost = false;
    least_update(rtt, bounded, now);
}

/* RFC 6298 5.5 */
void ewi_net_rtt_on_timeout(struct net_rtt *rtt)
{
    if (rtt->backoff < BACKOFF_MAX)
        rtt->backoff += 1;
}

void ewi_net_rtt_on_duplicate(struct net_rtt *rtt)
{
    rtt->backoff = 0;
}

/* RFC 6298 5.7: three seconds when data begins to flow, as there is no sample yet. */
void ewi_net_rtt_on_syn_lost(struct net_rtt *rtt)
{
    if (rtt->srtt != 0)
        return;
    rtt->backoff = 0;
    rtt->syn_lost = true;
}

/* RFC 4015 3, last step: the timer was too short for this path. */
void ewi_net_rtt_on_spurious(struct net_rtt *rtt, uint64_t sample)
{
    uint64_t r = ewi_max_u64(ewi_min_u64(sample, NET_RTT_SAMPLE_MAX), 1) << FRACTION;

    rtt->srtt = ewi_max_u64(rtt->srtt, r);
    rtt->rttvar = ewi_max_u64(rtt->rttvar, r / 2);
    rtt->backoff = 0;
}

/* ------------------------------------------------------------------ what it says */

/* RFC 6298 2.2: SRTT + max(G, 4 RTTVAR). The floor is put below the variation as well as below the
 * sum: when a path of 30 ms stands still, a delayed ACK would otherwise meet a timeout of 30 ms. */
static uint64_t unbacked(const struct net_rtt *rtt, const struct net_rtt_limits *limits)
{
    uint64_t slack = ewi_max_u64(limits->granularity, limits->floor);

    if (rtt->srtt == 0)
        return rtt->syn_lost ? limits->after_syn : limits->initial;
    return (rtt->srtt >> FRACTION) + ewi_max_u64(slack, (4 * rtt->rttvar) >> FRACTION);
}

/* RFC 6298 2.4, 2.5, 5.5 */
uint64_t ewi_net_rtt_rto(const struct net_rtt *rtt, const struct net_rtt_limits *limits)
{
    uint64_t rto = ewi_max_u64(unbacked(rtt, limits), limits->floor);

    if (rto > limits->ceiling >> rtt->backoff)
        return limits->ceiling;
    return rto << rtt->backoff;
}

uint64_t ewi_net_rtt_smoothed(const struct net_rtt *rtt)
{
    return rtt->srtt == 0 ? 0 : ewi_max_u64(rtt->srtt >> FRACTION, 1);
}

uint64_t ewi_net_rtt_variation(const struct net_rtt *rtt)
{
    return rtt->rttvar >> FRACTION;
}
