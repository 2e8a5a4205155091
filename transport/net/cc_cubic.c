/* CUBIC: RFC 9438 in integers. Windows are bytes; time is 2^-20 s, so that the cube of a time is a
 * number of segments times 2^60, and dividing by that is a shift. */
#include "transport/net/cc_kinds.h"

enum { TIME = 20, PART = 24 };
#define TIME_MAX UINT32_C(0x7fffffff) /* 2048 s: C * t^3 is above any window by then */

__extension__ typedef unsigned __int128 u128;

/* ------------------------------------------------------------------ numbers */

static u128 cube(uint32_t x)
{
    return (u128)x * x * x;
}

uint32_t ewi_net_cube_root(uint64_t high, uint64_t low)
{
    u128 of = ((u128)high << 64) | low;
    uint32_t root = 0;

    for (uint32_t bit = UINT32_C(1) << 31; bit != 0; bit >>= 1)
        if (cube(root | bit) <= of)
            root |= bit;
    return root;
}

/* RFC 9438 4.2, figure 2: K = cbrt((W_max - cwnd_epoch) / C), C = 0.4 segments/s^3. */
uint32_t ewi_net_cubic_k(uint32_t w_max, uint32_t cwnd, uint32_t smss)
{
    u128 of = ((u128)(5 * (uint64_t)(w_max - cwnd)) << (3 * TIME)) / (2 * smss);

    return ewi_net_cube_root((uint64_t)(of >> 64), (uint64_t)of);
}

/* RFC 9438 4.2, figure 1: W_cubic(t) = C (t - K)^3 + W_max. */
uint32_t ewi_net_cubic_window(uint32_t t, uint32_t k, uint32_t w_max, uint32_t smss)
{
    uint32_t apart = t > k ? t - k : k - t;
    uint64_t grown = (uint64_t)ewi_min_u64(
        (uint64_t)((cube(apart) * 2 * smss) >> (3 * TIME)) / 5, NET_CC_WINDOW_MAX);

    if (t < k)
        return grown < w_max ? w_max - (uint32_t)grown : 0;
    return w_max + (uint32_t)grown;
}

/* ns to 2^-20 s */
static uint32_t time_of(uint64_t ns)
{
    const uint64_t most = ((uint64_t)TIME_MAX * 1000000000) >> TIME;

    return ns >= most ? TIME_MAX : (uint32_t)((ns << TIME) / 1000000000);
}

/* value / by in 2^-24; value < 2^60, by < 2^36 */
static uint64_t parts(uint64_t value, uint64_t by)
{
    return ((value / by) << PART) + ((value % by) << PART) / by;
}

/* ------------------------------------------------------------------ the two curves */

/* RFC 9438 4.2, 4.8, 4.10. After a loss there is a W_max to go to. After a timeout, and when HyStart++
 * ended slow start, there is none: the curve begins here, convex. */
static void begin_epoch(struct net_cc *cc, uint64_t now)
{
    struct net_cc_cubic *cubic = &cc->u.cubic;

    if (cubic->w_max == 0 && cubic->cwnd_prior == 0) /* 4.10: no loss so far */
        cubic->cwnd_prior = cc->cwnd;
    if (cubic->w_max <= cc->cwnd) {
        cubic->w_max = cc->cwnd;
        cubic->k = 0;
    } else {
        cubic->k = ewi_net_cubic_k(cubic->w_max, cc->cwnd, cc->smss);
    }
    cubic->epoch = now;
    cubic->w_est = (uint64_t)cc->cwnd << PART;
    cubic->part = 0;
    cc->epoch_begun = true;
}

/* RFC 9438 4.3, figure 4: alpha is 3 (1 - beta) / (1 + beta) = 9/17 until cwnd_prior is reached. */
static void estimate(struct net_cc *cc, uint32_t acked)
{
    struct net_cc_cubic *cubic = &cc->u.cubic;
    bool caught_up = cubic->w_est >> PART >= cubic->cwnd_prior;
    uint64_t value = (uint64_t)acked * cc->smss;
    const uint64_t most = (uint64_t)NET_CC_WINDOW_MAX << PART;

    cubic->w_est += caught_up ? parts(value, cc->cwnd) : parts(9 * value, 17 * (uint64_t)cc->cwnd);
    cubic->w_est = ewi_min_u64(cubic->w_est, most);
}

/* RFC 9438 4.4, 4.5: by (target - cwnd) / cwnd for each segment acknowledged, so that an ACK for two
 * counts twice. */
static void approach(struct net_cc *cc, uint32_t target, uint32_t acked)
{
    struct net_cc_cubic *cubic = &cc->u.cubic;
    uint64_t step = cubic->part + parts((uint64_t)(target - cc->cwnd) * acked, cc->cwnd);

    cc->cwnd += (uint32_t)(step >> PART);
    cubic->part = (uint32_t)(step & ((1u << PART) - 1));
}

/* RFC 9438 4.2: the window one round trip from now, within cwnd .. 1.5 cwnd. */
static uint32_t target_at(const struct net_cc *cc, uint32_t t, uint64_t srtt)
{
    uint32_t then = (uint32_t)ewi_min_u64((uint64_t)t + time_of(srtt), TIME_MAX);
    uint64_t window = ewi_net_cubic_window(then, cc->u.cubic.k, cc->u.cubic.w_max, cc->smss);

    window = ewi_min_u64(window, (uint64_t)cc->cwnd + cc->cwnd / 2);
    return (uint32_t)ewi_max_u64(window, cc->cwnd);
}

static void cubic_avoid(struct net_cc *cc, const struct net_cc_ack *ack, uint32_t acked)
{
    struct net_cc_cubic *cubic = &cc->u.cubic;
    uint32_t t, reno;

    if (!cc->epoch_begun)
        begin_epoch(cc, ack->now);
    cubic->last = ewi_max_u64(cubic->last, ack->now);
    t = time_of(ack->now > cubic->epoch ? ack->now - cubic->epoch : 0);
    estimate(cc, acked);
    reno = (uint32_t)(cubic->w_est >> PART);
    if (ewi_net_cubic_window(t, cubic->k, cubic->w_max, cc->smss) < reno) {
        if (reno > cc->cwnd) { /* RFC 9438 4.3: the Reno-friendly region */
            cc->cwnd = reno;
            cubic->part = 0;
        }
        return;
    }
    approach(cc, target_at(cc, t, ack->srtt), acked);
}

/* RFC 9438 5.8: time in which cwnd was not what held the sender back does not count. */
static void skip(struct net_cc *cc, uint64_t span, uint64_t now)
{
    struct net_cc_cubic *cubic = &cc->u.cubic;

    if (cc->epoch_begun && span <= now - ewi_min_u64(cubic->epoch, now))
        cubic->epoch += span;
    else
        cubic->epoch = now;
    cubic->last = ewi_max_u64(cubic->last, now);
}

static void cubic_hold(struct net_cc *cc, const struct net_cc_ack *ack)
{
    uint64_t last = cc->u.cubic.last;

    if (ack->now > last)
        skip(cc, ack->now - last, ack->now);
}

static void cubic_idle(struct net_cc *cc, uint64_t idle, bool restart, uint64_t now)
{
    uint64_t last = cc->u.cubic.last;

    if (restart)
        cc->epoch_begun = false; /* slow start comes first, then a curve from there */
    else if (now > last)
        skip(cc, ewi_min_u64(idle, now - last), now);
}

/* ------------------------------------------------------------------ reductions */

static uint32_t beta(uint32_t window)
{
    return (uint32_t)((uint64_t)window * 7 / 10);
}

/* RFC 9438 4.6; 4.7: who has less than last time leaves room for a newcomer (fast convergence). */
static void cubic_reduce(struct net_cc *cc, enum net_cc_cause cause, uint32_t flight)
{
    struct net_cc_cubic *cubic = &cc->u.cubic;
    uint32_t least = cause == NET_CC_LOSS ? 2u * cc->smss : cc->smss;

    cubic->w_max = cc->cwnd < cubic->w_max ? (uint32_t)((uint64_t)cc->cwnd * 17 / 20) : cc->cwnd;
    cubic->cwnd_prior = cc->cwnd;
    cubic->part = 0;
    cc->ssthresh = beta(flight);
    cc->cwnd = (uint32_t)ewi_max_u64(cc->ssthresh, least);
    cc->epoch_begun = false;
}

/* RFC 9438 4.8 */
static uint32_t cubic_rto(struct net_cc *cc, uint32_t flight)
{
    cc->u.cubic.w_max = 0;
    cc->u.cubic.cwnd_prior = cc->cwnd;
    cc->u.cubic.part = 0;
    cc->epoch_begun = false;
    return beta(flight);
}

const struct net_cc_ops ewi_net_cc_cubic = {
    .name = "cubic",
    .avoid = cubic_avoid,
    .hold = cubic_hold,
    .reduce = cubic_reduce,
    .rto_ssthresh = cubic_rto,
    .idle = cubic_idle,
};
