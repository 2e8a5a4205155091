#include "transport/net/cc_kinds.h"

enum { ALPHA_ONE = 1 << 20, ALPHA_SHIFT = 4, L = 64, CSS_GROWTH_DIVISOR = 4 };

/* ------------------------------------------------------------------ NewReno */

/* RFC 3465 2.1: one segment for each window of bytes acknowledged. */
static void reno_avoid(struct net_cc *cc, const struct net_cc_ack *ack, uint32_t acked)
{
    (void)ack;
    cc->counted += acked;
    if (cc->counted >= cc->cwnd) {
        cc->counted -= cc->cwnd;
        cc->cwnd += cc->smss;
    }
}

/* RFC 5681 3.1, equation 4; RFC 6582 3.2 step 2; RFC 3168 6.1.2 */
static void reno_reduce(struct net_cc *cc, enum net_cc_cause cause, uint32_t flight)
{
    (void)cause;
    cc->ssthresh = (uint32_t)ewi_max_u64(flight / 2, 2u * cc->smss);
    cc->cwnd = cc->ssthresh;
}

static uint32_t reno_rto(struct net_cc *cc, uint32_t flight)
{
    (void)cc;
    return flight / 2;
}

static const struct net_cc_ops newreno = {
    .name = "newreno",
    .avoid = reno_avoid,
    .reduce = reno_reduce,
    .rto_ssthresh = reno_rto,
};

/* ------------------------------------------------------------------ DCTCP */

/* RFC 8257 3.3: alpha is 1 until something is known. */
static void dctcp_init(struct net_cc *cc, uint32_t una)
{
    cc->u.dctcp = (struct net_cc_dctcp){.window_end = una, .alpha = ALPHA_ONE};
}

/* RFC 8257 3.3 step 6, g = 1/16. What the shift cannot take away any more goes at once, else alpha
 * would never be 0 again. */
static uint32_t dctcp_alpha(uint32_t alpha, uint64_t marked, uint64_t acked)
{
    uint32_t fading = alpha >> ALPHA_SHIFT;
    uint64_t fraction = acked == 0 ? 0 : marked * ALPHA_ONE / acked;

    alpha -= fading != 0 ? fading : alpha;
    return alpha + (uint32_t)(fraction >> ALPHA_SHIFT);
}

/* RFC 8257 3.3 steps 1 to 8: what SACK reports does not count. */
static void dctcp_see(struct net_cc *cc, const struct net_cc_ack *ack)
{
    struct net_cc_dctcp *dctcp = &cc->u.dctcp;
    uint32_t acked = (uint32_t)ewi_min_u64(ack->acked, UINT32_MAX - dctcp->acked);

    dctcp->acked += acked;
    if (ack->ece)
        dctcp->marked += acked;
    if ((int32_t)(ack->una - dctcp->window_end) <= 0)
        return;
    dctcp->alpha = dctcp_alpha(dctcp->alpha, dctcp->marked, dctcp->acked);
    dctcp->window_end = ack->nxt;
    dctcp->acked = dctcp->marked = 0;
}

/* RFC 8257 3.3 step 9 for marks, 3.5: loss is answered as by any other TCP. */
static void dctcp_reduce(struct net_cc *cc, enum net_cc_cause cause, uint32_t flight)
{
    uint64_t cut;

    if (cause == NET_CC_LOSS) {
        reno_reduce(cc, cause, flight);
        return;
    }
    cut = ((uint64_t)cc->cwnd * cc->u.dctcp.alpha / ALPHA_ONE) / 2;
    cc->cwnd = (uint32_t)ewi_max_u64(cc->cwnd - cut, ewi_min_u64(cc->cwnd, 2u * cc->smss));
    cc->ssthresh = cc->cwnd;
}

static const struct net_cc_ops dctcp = {
    .name = "dctcp",
    .init = dctcp_init,
    .see = dctcp_see,
    .avoid = reno_avoid,
    .reduce = dctcp_reduce,
    .rto_ssthresh = reno_rto,
};

/* ------------------------------------------------------------------ what all have in common */

static const struct net_cc_ops *const table[NET_CC_KINDS] = {
    [NET_CC_NEWRENO] = &newreno,
    [NET_CC_CUBIC] = &ewi_net_cc_cubic,
    [NET_CC_DCTCP] = &dctcp,
};

static const struct net_cc_ops *ops_of(const struct net_cc *cc)
{
    EWI_ASSERT(cc->kind < NET_CC_KINDS);
    return table[cc->kind];
}

static uint32_t between(uint32_t low, uint32_t value, uint32_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* I1 */
static void bound(struct net_cc *cc)
{
    cc->cwnd = between(cc->smss, cc->cwnd, NET_CC_WINDOW_MAX);
    cc->ssthresh = between(2u * cc->smss, cc->ssthresh, NET_CC_WINDOW_MAX);
}

const char *ewi_net_cc_name(enum net_cc_kind kind)
{
    EWI_ASSERT(kind < NET_CC_KINDS);
    return table[kind]->name;
}

/* RFC 6928 2 */
uint32_t ewi_net_cc_initial_window(uint32_t smss)
{
    uint64_t mss = between(1, smss, UINT16_MAX);

    return (uint32_t)ewi_min_u64(10 * mss, ewi_max_u64(2 * mss, 14600));
}

/* RFC 5681 3.1: ssthresh arbitrarily high; one segment when the handshake already lost one. */
void ewi_net_cc_init(struct net_cc *cc, enum net_cc_kind kind, uint32_t smss, uint32_t una,
                     bool syn_lost, bool hystart)
{
    EWI_ASSERT(kind < NET_CC_KINDS);
    *cc = (struct net_cc){.kind = (uint8_t)kind, .ssthresh = NET_CC_WINDOW_MAX};
    cc->smss = (uint16_t)between(1, smss, UINT16_MAX);
    cc->cwnd = syn_lost ? cc->smss : ewi_net_cc_initial_window(cc->smss);
    if (hystart && kind != NET_CC_DCTCP)
        ewi_net_hystart_begin(cc);
    if (table[kind]->init != NULL)
        table[kind]->init(cc, una);
}

/* RFC 3465 2.2, 2.3: at most L segments for one ACK, one after a timeout; RFC 9406 4.3: a quarter of it in
 * CSS. L is what a receiver that works in batches acknowledges at once (ours, and Linux behind GRO, which
 * counts all of it): with 2 or 8 the window would grow by that much a round trip and not double. */
static uint32_t slow_start_growth(struct net_cc *cc, uint32_t acked)
{
    uint32_t segments = cc->after_rto ? 1 : L;
    uint32_t grow = (uint32_t)ewi_min_u64(acked, (uint64_t)segments * cc->smss);

    if (cc->hystart != NET_HYSTART_CSS)
        return grow;
    cc->counted += grow;
    grow = cc->counted / CSS_GROWTH_DIVISOR;
    cc->counted %= CSS_GROWTH_DIVISOR;
    return grow;
}

/* RFC 5681 3.1, up to ssthresh. */
static void slow_start(struct net_cc *cc, uint32_t acked)
{
    uint32_t grow = slow_start_growth(cc, acked);

    cc->cwnd += (uint32_t)ewi_min_u64(grow, cc->ssthresh - cc->cwnd);
    if (cc->cwnd < cc->ssthresh)
        return;
    cc->counted = 0;
    cc->after_rto = false;
    ewi_net_hystart_end(cc);
}

void ewi_net_cc_on_ack(struct net_cc *cc, const struct net_cc_ack *ack)
{
    const struct net_cc_ops *ops = ops_of(cc);
    uint32_t acked = (uint32_t)ewi_min_u64(ack->acked, cc->cwnd);

    if (ops->see != NULL)
        ops->see(cc, ack);
    if (cc->hystart != NET_HYSTART_OFF && ewi_net_hystart_on_ack(cc, ack))
        cc->counted = 0;
    if (acked == 0 || !ack->cwnd_limited || ack->in_recovery) { /* RFC 7661 4.4, RFC 9438 5.8 */
        if (ops->hold != NULL && cc->hystart == NET_HYSTART_OFF)
            ops->hold(cc, ack);
        return;
    }
    if (cc->cwnd < cc->ssthresh)
        slow_start(cc, acked);
    else
        ops->avoid(cc, ack, acked);
    bound(cc);
}

/* RFC 9406 4.2: loss and marks end HyStart++, which serves the first slow start only. */
static void leave_slow_start(struct net_cc *cc)
{
    ewi_net_hystart_end(cc);
    cc->after_rto = false;
    cc->counted = 0;
}

/* RFC 5681 3.1: FlightSize, not cwnd. Above cwnd it holds what limited transmit added (RFC 5681 3.2
 * step 1 leaves that out), or what was sent before a timeout. */
static uint32_t flight_of(const struct net_cc *cc, uint32_t flight)
{
    return (uint32_t)ewi_min_u64(flight, cc->cwnd);
}

void ewi_net_cc_on_congestion(struct net_cc *cc, enum net_cc_cause cause, uint32_t flight)
{
    leave_slow_start(cc);
    ops_of(cc)->reduce(cc, cause, flight_of(cc, flight));
    bound(cc);
}

/* RFC 9937 6, RFC 6582 3.2 step 3 */
void ewi_net_cc_on_recovery_exit(struct net_cc *cc)
{
    if (!cc->after_rto)
        cc->cwnd = (uint32_t)ewi_max_u64(cc->cwnd, cc->ssthresh);
}

/* RFC 5681 3.1: the loss window is one segment. ssthresh is set once per segment, whatever number of
 * timeouts it takes. */
void ewi_net_cc_on_rto(struct net_cc *cc, uint32_t flight, bool repeated)
{
    leave_slow_start(cc);
    if (!repeated)
        cc->ssthresh = ops_of(cc)->rto_ssthresh(cc, flight_of(cc, flight));
    cc->cwnd = cc->smss;
    cc->after_rto = true;
    cc->epoch_begun = false;
    bound(cc);
}

/* RFC 5681 4.1: the restart window is the initial window. RFC 7661 4.4.3: three quarters of what was
 * known to fit are reached in slow start again. */
void ewi_net_cc_on_idle(struct net_cc *cc, uint64_t idle, uint64_t rto, uint64_t now)
{
    const struct net_cc_ops *ops = ops_of(cc);
    uint32_t restart_window = ewi_net_cc_initial_window(cc->smss);
    bool restart = idle > rto && cc->cwnd > restart_window;

    if (restart) {
        cc->ssthresh = (uint32_t)ewi_max_u64(cc->ssthresh, cc->cwnd - cc->cwnd / 4);
        cc->cwnd = restart_window;
        cc->counted = 0;
    }
    if (ops->idle != NULL && cc->hystart == NET_HYSTART_OFF)
        ops->idle(cc, idle, restart, now);
    bound(cc);
}

/* RFC 9438 4.9; RFC 4015 3: ssthresh and cwnd as before, unless more was earned meanwhile. */
bool ewi_net_cc_undo(struct net_cc *cc, const struct net_cc *saved)
{
    struct net_cc back = *saved;

    if (saved->kind != cc->kind)
        return false;
    back.smss = cc->smss;
    back.cwnd = (uint32_t)ewi_max_u64(cc->cwnd, saved->cwnd);
    back.ssthresh = (uint32_t)ewi_max_u64(cc->ssthresh, saved->ssthresh);
    *cc = back;
    bound(cc);
    return true;
}

void ewi_net_cc_set_smss(struct net_cc *cc, uint32_t smss)
{
    cc->smss = (uint16_t)between(1, smss, UINT16_MAX);
    bound(cc);
}
