/* CUBIC against RFC 9438 in long double, computed afresh from the formulas at each step, and how flows
 * share a bottleneck in a small model of one: all flows see the same queue, round by round. */
#include "tests/c/harness.h"
#include "transport/net/cc_kinds.h"

enum { MSS = 1000 };
#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

typedef long double real;

static real absolute(real x)
{
    return x < 0 ? -x : x;
}

static real cube_root(real of) /* by halving, without libm */
{
    real low = 0, high = 1e10L;

    for (int i = 0; i < 200; i++) {
        real middle = (low + high) / 2;

        if (middle * middle * middle <= of)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static struct net_cc avoiding(enum net_cc_kind kind, uint32_t smss, uint32_t cwnd)
{
    struct net_cc cc;

    ewi_net_cc_init(&cc, kind, smss, 0, false, false);
    cc.cwnd = cc.ssthresh = cwnd;
    return cc;
}

/* ------------------------------------------------------------------ numbers */

static void the_cube_root_is_the_integer_below(uint64_t seed)
{
    struct harness_random random = {seed};

    for (int i = 0; i < 3000; i++) {
        uint64_t root = harness_next(&random) >> harness_between(&random, 43, 63); /* < 2^21 */
        uint64_t cube = root * root * root;

        CHECK_EQ(ewi_net_cube_root(0, cube), root);
        CHECK_EQ(ewi_net_cube_root(0, cube + harness_below(&random, 3 * root * root + 3 * root + 1)),
                 root);
        if (root > 0)
            CHECK_EQ(ewi_net_cube_root(0, cube - 1), root - 1);
    }
}

static void the_cube_root_of_large_numbers_by_hand(void)
{
    CHECK_EQ(ewi_net_cube_root(0, 0), 0);
    CHECK_EQ(ewi_net_cube_root(0, UINT64_MAX), 2642245);
    CHECK_EQ(ewi_net_cube_root(UINT64_C(1) << 26, 0), 1 << 30); /* 2^90 */
    CHECK_EQ(ewi_net_cube_root((UINT64_C(1) << 26) - 1, UINT64_MAX), (1 << 30) - 1);
    CHECK_EQ(ewi_net_cube_root(UINT64_MAX, UINT64_MAX), UINT32_MAX); /* stops */
}

/* (100 - 70) / 0.4 = 75 and its root 4.2172 s; (60 - 20) / 0.4 = 100: 4.6416 s. */
static void rfc9438_4_2_figure_2_k_by_hand(void)
{
    CHECK_EQ(ewi_net_cubic_k(100 * MSS, 70 * MSS, MSS), 4422016); /* 75^(1/3) * 2^20 */
    CHECK_EQ(ewi_net_cubic_k(60 * MSS, 20 * MSS, MSS), 4867058);  /* 100^(1/3) * 2^20 */
    CHECK_EQ(ewi_net_cubic_k(20 * MSS, 20 * MSS, MSS), 0);
}

/* 0.4 * 2^3 = 3.2 segments, 0.4 * 10^3 = 400. */
static void rfc9438_4_2_figure_1_the_curve_by_hand(void)
{
    const uint32_t second = 1 << 20;

    CHECK_EQ(ewi_net_cubic_window(5 * second, 3 * second, 100 * MSS, MSS), 103200);
    CHECK_EQ(ewi_net_cubic_window(1 * second, 3 * second, 100 * MSS, MSS), 96800);
    CHECK_EQ(ewi_net_cubic_window(3 * second, 3 * second, 100 * MSS, MSS), 100000);
    CHECK_EQ(ewi_net_cubic_window(13 * second, 3 * second, 100 * MSS, MSS), 500000);
    CHECK_EQ(ewi_net_cubic_window(0, 10 * second, 100 * MSS, MSS), 0);
    CHECK_EQ(ewi_net_cubic_window(UINT32_MAX, 0, NET_CC_WINDOW_MAX, UINT16_MAX),
             2 * (int64_t)NET_CC_WINDOW_MAX);
}

static void the_curve_agrees_with_the_formula(uint64_t seed)
{
    struct harness_random random = {seed};

    for (int i = 0; i < 3000; i++) {
        uint32_t smss = (uint32_t)harness_between(&random, 1, i % 2 == 0 ? 65535 : 1500);
        uint32_t w_max = (uint32_t)harness_between(&random, smss, NET_CC_WINDOW_MAX);
        uint32_t cwnd = (uint32_t)harness_between(&random, smss, w_max);
        uint32_t t = (uint32_t)(harness_next(&random) >> harness_between(&random, 33, 50));
        uint32_t k = ewi_net_cubic_k(w_max, cwnd, smss);
        real k_want = cube_root((real)(w_max - cwnd) / smss / 0.4L) * 1048576;
        real apart = ((real)t - (real)k) / 1048576;
        real want = 0.4L * apart * apart * apart * smss + w_max;

        CHECK(absolute((real)k - k_want) <= 1.001L);
        want = want < 0 ? 0 : want;
        want = want > (real)w_max + NET_CC_WINDOW_MAX ? (real)w_max + NET_CC_WINDOW_MAX : want;
        CHECK(absolute((real)ewi_net_cubic_window(t, k, w_max, smss) - want) <= 1.001L);
    }
}

/* ------------------------------------------------------------------ reductions by hand */

static void rfc9438_4_6_loss_leaves_seven_tenths_of_the_flight(void)
{
    struct net_cc cc = avoiding(NET_CC_CUBIC, MSS, 100 * MSS);

    ewi_net_cc_on_congestion(&cc, NET_CC_LOSS, 90 * MSS);
    CHECK_EQ(cc.cwnd, 63 * MSS);
    CHECK_EQ(cc.ssthresh, 63 * MSS);
    CHECK_EQ(cc.u.cubic.w_max, 100 * MSS);
    CHECK_EQ(cc.u.cubic.cwnd_prior, 100 * MSS);
}

static void rfc9438_4_6_a_mark_may_leave_one_segment_a_loss_two(void)
{
    struct net_cc loss = avoiding(NET_CC_CUBIC, MSS, 2 * MSS), mark = loss;

    ewi_net_cc_on_congestion(&loss, NET_CC_LOSS, 2 * MSS);
    CHECK_EQ(loss.cwnd, 2 * MSS);
    ewi_net_cc_on_congestion(&mark, NET_CC_ECE, MSS);
    CHECK_EQ(mark.cwnd, MSS);
    CHECK_EQ(mark.ssthresh, 2 * MSS);
}

static void rfc9438_4_7_fast_convergence_gives_way_when_shrinking(void)
{
    struct net_cc cc = avoiding(NET_CC_CUBIC, MSS, 100 * MSS);

    ewi_net_cc_on_congestion(&cc, NET_CC_LOSS, 100 * MSS);
    ewi_net_cc_on_congestion(&cc, NET_CC_LOSS, 70 * MSS); /* 70 < 100: W_max = 70 * 0.85 */
    CHECK_EQ(cc.u.cubic.w_max, 59500);
    CHECK_EQ(cc.u.cubic.cwnd_prior, 70 * MSS);
    CHECK_EQ(cc.cwnd, 49 * MSS);
}

static void rfc9438_4_8_after_a_timeout_the_curve_begins_at_its_foot(void)
{
    struct net_cc cc = avoiding(NET_CC_CUBIC, MSS, 100 * MSS);
    struct net_cc_ack ack = {.acked = MSS, .cwnd_limited = true, .now = S, .srtt = 100 * MS};

    ewi_net_cc_on_congestion(&cc, NET_CC_LOSS, 100 * MSS);
    ewi_net_cc_on_rto(&cc, 10 * MSS, false);
    CHECK_EQ(cc.cwnd, MSS);
    CHECK_EQ(cc.ssthresh, 7 * MSS);
    while (cc.cwnd < cc.ssthresh)
        ewi_net_cc_on_ack(&cc, &ack);
    ewi_net_cc_on_ack(&cc, &ack);
    CHECK_EQ(cc.u.cubic.k, 0);
    CHECK_EQ(cc.u.cubic.w_max, 7 * MSS);
    CHECK_EQ(cc.u.cubic.cwnd_prior, 70 * MSS);
    CHECK_EQ(cc.u.cubic.epoch, S);
}

static void rfc9438_4_10_without_a_loss_the_curve_begins_at_its_foot(void)
{
    struct net_cc cc = avoiding(NET_CC_CUBIC, MSS, 80 * MSS);
    struct net_cc_ack ack = {.acked = MSS, .cwnd_limited = true, .now = S};

    ewi_net_cc_on_ack(&cc, &ack);
    CHECK_EQ(cc.u.cubic.k, 0);
    CHECK_EQ(cc.u.cubic.w_max, 80 * MSS);
    CHECK_EQ(cc.u.cubic.cwnd_prior, 80 * MSS);
}

/* On the plateau, a segment below W_max, half a byte per ACK: one window of ACKs covers 1 - 1/e. */
static void rfc9438_4_4_steps_of_less_than_a_byte_add_up(void)
{
    struct net_cc cc = avoiding(NET_CC_CUBIC, MSS, 1000 * MSS);
    struct net_cc_ack ack = {.acked = 1, .cwnd_limited = true, .now = S};

    ewi_net_cc_on_congestion(&cc, NET_CC_LOSS, 1000 * MSS);
    ewi_net_cc_on_ack(&cc, &ack);
    ack.now += ((uint64_t)cc.u.cubic.k * S) >> 20; /* W_cubic = W_max */
    ack.acked = MSS / 2;
    cc.cwnd = 999 * MSS;
    for (int i = 0; i < 2 * 999; i++)
        ewi_net_cc_on_ack(&cc, &ack);
    CHECK(cc.cwnd >= 999 * MSS + 625 && cc.cwnd <= 999 * MSS + 640);
}

static void rfc9438_4_2_a_window_above_the_curve_waits_for_it(void)
{
    struct net_cc cc = avoiding(NET_CC_CUBIC, MSS, 1000 * MSS);
    struct net_cc_ack ack = {.acked = MSS, .cwnd_limited = true, .now = S};

    ewi_net_cc_on_congestion(&cc, NET_CC_LOSS, 1000 * MSS);
    ewi_net_cc_on_ack(&cc, &ack);
    cc.cwnd = 900 * MSS;
    ack.now += 100 * MS;
    ewi_net_cc_on_ack(&cc, &ack);
    CHECK_EQ(cc.cwnd, 900 * MSS);
}

/* A window acknowledged segment by segment in one round trip. */
static void window_of_acks(struct net_cc *cc, uint64_t *now, uint64_t rtt, bool limited)
{
    uint32_t left = cc->cwnd, segments = (left + cc->smss - 1) / cc->smss;

    for (uint32_t i = 0; i < segments; i++) {
        struct net_cc_ack ack = {.srtt = rtt, .cwnd_limited = limited};

        *now += rtt / segments;
        ack.now = *now;
        ack.acked = left < cc->smss ? left : cc->smss;
        left -= ack.acked;
        ewi_net_cc_on_ack(cc, &ack);
    }
}

/* On the curve, five round trips after a loss. */
static struct net_cc growing(uint64_t *now)
{
    struct net_cc cc = avoiding(NET_CC_CUBIC, MSS, 100 * MSS);

    ewi_net_cc_on_congestion(&cc, NET_CC_LOSS, 100 * MSS);
    for (int i = 0; i < 5; i++)
        window_of_acks(&cc, now, 100 * MS, true);
    return cc;
}

/* Each by its own clock. */
static void grow_alike(struct net_cc *busy, uint64_t now, struct net_cc *pausing, uint64_t later)
{
    for (int i = 0; i < 20; i++) {
        window_of_acks(busy, &now, 100 * MS, true);
        window_of_acks(pausing, &later, 100 * MS, true);
    }
    CHECK_EQ(pausing->cwnd, busy->cwnd);
}

/* RFC 9438 5.8: a minute without need for the window, and the curve goes on where it stood. */
static void rfc9438_5_8_time_that_is_not_limited_by_cwnd_does_not_count(void)
{
    uint64_t now = S, later;
    struct net_cc busy = growing(&now), pausing = busy;

    later = now;
    for (int i = 0; i < 600; i++)
        window_of_acks(&pausing, &later, 100 * MS, false);
    CHECK_EQ(pausing.cwnd, busy.cwnd);
    grow_alike(&busy, now, &pausing, later);
}

static void rfc9438_5_8_a_short_idle_time_does_not_count_either(void)
{
    uint64_t now = S, later;
    struct net_cc busy = growing(&now), pausing = busy;

    later = now + 60 * S;
    ewi_net_cc_on_idle(&pausing, 60 * S, 61 * S, later);
    grow_alike(&busy, now, &pausing, later);
}

static void rfc5681_4_1_after_a_restart_the_curve_begins_anew(void)
{
    struct net_cc cc = avoiding(NET_CC_CUBIC, MSS, 100 * MSS);
    struct net_cc_ack ack = {.acked = MSS, .cwnd_limited = true};
    uint64_t now = S;

    window_of_acks(&cc, &now, 100 * MS, true);
    now += 60 * S;
    ewi_net_cc_on_idle(&cc, 60 * S, S, now);
    ack.now = now;
    while (cc.cwnd < cc.ssthresh)
        ewi_net_cc_on_ack(&cc, &ack);
    ack.now = now + S;
    ewi_net_cc_on_ack(&cc, &ack);
    CHECK_EQ(cc.u.cubic.epoch, now + S);
    CHECK(cc.u.cubic.w_est >> 24 <= cc.cwnd);
}

static void a_jump_of_the_clock_grows_by_half_a_window_at_most(void)
{
    struct net_cc cc = avoiding(NET_CC_CUBIC, MSS, 100 * MSS);
    uint64_t now = S;

    window_of_acks(&cc, &now, MS, true);
    now += UINT64_C(1) << 44; /* five hours; times 2^20 it is 0 */
    for (int i = 0; i < 5; i++) {
        uint32_t before = cc.cwnd;

        window_of_acks(&cc, &now, MS, true);
        CHECK(cc.cwnd > before + before / 3 && cc.cwnd <= before + before / 2 + MSS);
    }
    now = 0; /* and back: not lower, and no more than Reno */
    for (int i = 0; i < 5; i++) {
        uint32_t before = cc.cwnd;

        window_of_acks(&cc, &now, MS, true);
        CHECK(cc.cwnd >= before && cc.cwnd <= before + 2 * MSS);
    }
}

/* ------------------------------------------------------------------ the window over time */

struct model {
    real cwnd, w_max, w_est, k, prior; /* segments, seconds */
};

/* RFC 9438 4.2 to 4.5 for one segment acknowledged at t. */
static void model_ack(struct model *model, real t, real rtt)
{
    real alpha = model->w_est >= model->prior ? 1 : 3 * (1 - 0.7L) / (1 + 0.7L);
    real now = t - model->k, then = t + rtt - model->k, target;

    model->w_est += alpha / model->cwnd;
    if (0.4L * now * now * now + model->w_max < model->w_est) {
        model->cwnd = model->w_est > model->cwnd ? model->w_est : model->cwnd;
        return;
    }
    target = 0.4L * then * then * then + model->w_max;
    target = target < model->cwnd ? model->cwnd : target;
    target = target > 1.5L * model->cwnd ? 1.5L * model->cwnd : target;
    model->cwnd += (target - model->cwnd) / model->cwnd;
}

/* After a loss at `segments`, so many seconds of ACKs; the largest relative difference. */
static real follow(uint32_t smss, uint32_t segments, uint64_t rtt, uint64_t span)
{
    struct net_cc cc = avoiding(NET_CC_CUBIC, smss, segments * smss);
    struct model model = {.w_max = segments, .prior = segments};
    uint64_t now = 10 * S, epoch = 0, end = now + span;
    real worst = 0;

    ewi_net_cc_on_congestion(&cc, NET_CC_LOSS, segments * smss);
    model.cwnd = model.w_est = (real)cc.cwnd / smss;
    model.k = cube_root((segments - model.cwnd) / 0.4L);
    while (now < end) {
        struct net_cc_ack ack = {.srtt = rtt, .acked = smss, .cwnd_limited = true};
        real differs;

        now += rtt * smss / cc.cwnd;
        epoch = epoch == 0 ? now : epoch;
        ack.now = now;
        ewi_net_cc_on_ack(&cc, &ack);
        model_ack(&model, (real)(now - epoch) / 1e9L, (real)rtt / 1e9L);
        differs = absolute((real)cc.cwnd / smss - model.cwnd) / model.cwnd;
        worst = differs > worst ? differs : worst;
    }
    CHECK(cc.cwnd > segments * smss); /* K has passed */
    return worst;
}

static void rfc9438_4_the_window_follows_the_formulas_over_time(void)
{
    CHECK(follow(1448, 10, 100 * MS, 60 * S) < 0.001L);    /* Reno-friendly throughout */
    CHECK(follow(1448, 100, 100 * MS, 20 * S) < 0.001L);   /* concave, convex */
    CHECK(follow(1448, 1000, 100 * MS, 30 * S) < 0.001L);
    CHECK(follow(8948, 1000, 20 * MS, 11 * S) < 0.001L);
    CHECK(follow(100, 40, 1 * MS, 5 * S) < 0.01L);         /* bytes are coarse here */
    CHECK(follow(1448, 100, 50000, 100 * MS) < 0.001L);       /* a round trip of 50 us: all Reno */
}

/* RFC 9438 4.3: at a small bandwidth-delay product CUBIC grows as fast as 9/17 per round trip. */
static void rfc9438_4_3_the_reno_friendly_region_grows_by_nine_seventeenths(void)
{
    struct net_cc cc = avoiding(NET_CC_CUBIC, MSS, 40 * MSS);
    uint64_t now = S;
    uint32_t begin;

    ewi_net_cc_on_congestion(&cc, NET_CC_LOSS, 40 * MSS); /* 28: reaches 40 after 22 round trips */
    begin = cc.cwnd;
    for (int i = 0; i < 17; i++)
        window_of_acks(&cc, &now, 100000, true);
    CHECK(cc.cwnd >= begin + 8800 && cc.cwnd <= begin + 9100);
    for (int i = 0; i < 7; i++)
        window_of_acks(&cc, &now, 100000, true);
    begin = cc.cwnd;
    CHECK(begin >= 40 * MSS);
    for (int i = 0; i < 10; i++) /* where it was before: a segment per round trip */
        window_of_acks(&cc, &now, 100000, true);
    CHECK(cc.cwnd >= begin + 9800 && cc.cwnd <= begin + 10100);
}

/* ------------------------------------------------------------------ sharing a bottleneck */

struct path {
    uint64_t rtt;     /* ns, without queue */
    uint32_t bdp;     /* bytes */
    uint32_t buffer;  /* bytes */
    uint32_t mark_at; /* bytes of queue, 0: never */
    int rounds;
};

struct flow {
    struct net_cc cc;
    uint32_t una;
    uint64_t bytes; /* carried in the second half */
};

/* One round trip of one flow: its window acknowledged, two segments at a time. */
static void flow_round(struct flow *flow, uint64_t start, uint64_t rtt, bool marked)
{
    uint32_t left = flow->cc.cwnd, at = 0, nxt = flow->una + left, window = left;

    while (left > 0) {
        uint32_t acked = (uint32_t)ewi_min_u64(left, 2 * MSS);
        struct net_cc_ack ack = {.rtt = rtt, .srtt = rtt, .acked = acked, .ece = marked,
                                 .cwnd_limited = true};

        left -= acked;
        at += acked;
        flow->una += acked;
        ack.una = flow->una;
        ack.nxt = nxt + at;
        ack.now = start + rtt * at / window;
        ewi_net_cc_on_ack(&flow->cc, &ack);
    }
}

/* Who loses when the queue runs over: by chance, in proportion to what is in it. */
static void share(const struct path *path, struct flow *flows, int count, uint64_t seed)
{
    struct harness_random random = {seed};
    uint64_t now = S;

    for (int round = 0; round < path->rounds; round++) {
        uint64_t sum = 0, queue, rtt;

        for (int i = 0; i < count; i++)
            sum += flows[i].cc.cwnd;
        queue = sum > path->bdp ? sum - path->bdp : 0;
        rtt = path->rtt + path->rtt * ewi_min_u64(queue, path->buffer) / path->bdp;
        for (int i = 0; i < count; i++) {
            struct flow *flow = &flows[i];
            bool lost = queue > path->buffer && harness_below(&random, 2 * sum) < 3u * flow->cc.cwnd;
            bool marked = path->mark_at != 0 && queue > path->mark_at;

            if (round >= path->rounds / 2)
                flow->bytes += (uint64_t)flow->cc.cwnd * MSS / (sum > path->bdp ? sum : path->bdp);
            flow_round(flow, now, rtt, marked);
            if (lost)
                ewi_net_cc_on_congestion(&flow->cc, NET_CC_LOSS, flow->cc.cwnd);
            else if (marked)
                ewi_net_cc_on_congestion(&flow->cc, NET_CC_ECE, flow->cc.cwnd);
        }
        now += rtt;
    }
}

/* Jain's index of two flows of which one has all and the other begins anew. */
static real jain(enum net_cc_kind kind, const struct path *path, uint64_t seed)
{
    struct flow flows[2] = {{.cc = avoiding(kind, MSS, path->bdp)},
                            {.cc = avoiding(kind, MSS, 10 * MSS)}};
    real sum, squares;

    flows[1].cc.ssthresh = NET_CC_WINDOW_MAX;
    share(path, flows, 2, seed);
    sum = (real)flows[0].bytes + (real)flows[1].bytes;
    squares = (real)flows[0].bytes * (real)flows[0].bytes +
              (real)flows[1].bytes * (real)flows[1].bytes;
    printf("%s, %u segments: Jain's index %.4Lf\n", ewi_net_cc_name(kind), path->bdp / MSS,
           sum * sum / (2 * squares));
    return sum * sum / (2 * squares);
}

static const struct path short_path = {1 * MS, 40 * MSS, 40 * MSS, 0, 1500};
static const struct path long_path = {50 * MS, 150 * MSS, 75 * MSS, 0, 2000};
static const struct path marking = {100000, 200 * MSS, 400 * MSS, 30 * MSS, 600};

static void two_newreno_flows_share(uint64_t seed)
{
    CHECK(jain(NET_CC_NEWRENO, &short_path, seed) >= 0.95L);
    CHECK(jain(NET_CC_NEWRENO, &long_path, seed) >= 0.95L);
}

static void two_cubic_flows_share(uint64_t seed)
{
    CHECK(jain(NET_CC_CUBIC, &short_path, seed) >= 0.95L);
    CHECK(jain(NET_CC_CUBIC, &long_path, seed) >= 0.95L);
}

static void two_dctcp_flows_share(uint64_t seed)
{
    CHECK(jain(NET_CC_DCTCP, &marking, seed) >= 0.95L);
    CHECK(jain(NET_CC_DCTCP, &short_path, seed) >= 0.95L); /* no marks: as NewReno */
}

static uint64_t alone(enum net_cc_kind kind, const struct path *path, uint64_t seed)
{
    struct flow flow = {.cc = avoiding(kind, MSS, path->bdp)};

    share(path, &flow, 1, seed);
    printf("%s alone, %u segments, %u of buffer: %.1f %% of the link\n", ewi_net_cc_name(kind),
           path->bdp / MSS, path->buffer / MSS,
           100.0 * (double)flow.bytes / (path->rounds / 2 * (double)MSS));
    return flow.bytes;
}

/* RFC 9438 4.3: where Reno does well, CUBIC does no worse; where the window is large, better. */
static void rfc9438_4_3_cubic_carries_no_less_than_newreno(uint64_t seed)
{
    struct path shallow = {1 * MS, 20 * MSS, 2 * MSS, 0, 4000};
    struct path wide = {100 * MS, 600 * MSS, 20 * MSS, 0, 1000};

    CHECK(alone(NET_CC_CUBIC, &shallow, seed) >= alone(NET_CC_NEWRENO, &shallow, seed));
    CHECK(alone(NET_CC_CUBIC, &short_path, seed) >= alone(NET_CC_NEWRENO, &short_path, seed));
    CHECK(alone(NET_CC_CUBIC, &wide, seed) >= alone(NET_CC_NEWRENO, &wide, seed) * 11 / 10);
}

/* ... and beside it: a fair share at a small bandwidth-delay product, both ways. */
static void rfc9438_4_3_cubic_beside_newreno_gets_its_share(uint64_t seed)
{
    struct flow flows[2] = {{.cc = avoiding(NET_CC_CUBIC, MSS, 20 * MSS)},
                            {.cc = avoiding(NET_CC_NEWRENO, MSS, 20 * MSS)}};

    share(&short_path, flows, 2, seed);
    printf("cubic beside newreno: %.3f times its share\n",
           (double)flows[0].bytes / (double)flows[1].bytes);
    CHECK(flows[0].bytes * 100 >= flows[1].bytes * 90);
    CHECK(flows[0].bytes * 100 <= flows[1].bytes * 160);
}

/* The queue of DCTCP stays near the mark, NewReno's fills the buffer. */
static void rfc8257_dctcp_keeps_the_link_full(uint64_t seed)
{
    CHECK(alone(NET_CC_DCTCP, &marking, seed) >= (uint64_t)marking.rounds / 2 * MSS * 98 / 100);
}

int main(int argc, char **argv)
{
    RUN(the_cube_root_of_large_numbers_by_hand);
    RUN(rfc9438_4_2_figure_2_k_by_hand);
    RUN(rfc9438_4_2_figure_1_the_curve_by_hand);
    RUN(rfc9438_4_6_loss_leaves_seven_tenths_of_the_flight);
    RUN(rfc9438_4_6_a_mark_may_leave_one_segment_a_loss_two);
    RUN(rfc9438_4_7_fast_convergence_gives_way_when_shrinking);
    RUN(rfc9438_4_8_after_a_timeout_the_curve_begins_at_its_foot);
    RUN(rfc9438_4_10_without_a_loss_the_curve_begins_at_its_foot);
    RUN(rfc9438_4_4_steps_of_less_than_a_byte_add_up);
    RUN(rfc9438_4_2_a_window_above_the_curve_waits_for_it);
    RUN(rfc9438_5_8_time_that_is_not_limited_by_cwnd_does_not_count);
    RUN(rfc9438_5_8_a_short_idle_time_does_not_count_either);
    RUN(rfc5681_4_1_after_a_restart_the_curve_begins_anew);
    RUN(a_jump_of_the_clock_grows_by_half_a_window_at_most);
    RUN(rfc9438_4_the_window_follows_the_formulas_over_time);
    RUN(rfc9438_4_3_the_reno_friendly_region_grows_by_nine_seventeenths);
    HARNESS_FOR_EACH_SEED(argc, argv, seed) {
        the_cube_root_is_the_integer_below(seed);
        the_curve_agrees_with_the_formula(seed);
        two_newreno_flows_share(seed);
        two_cubic_flows_share(seed);
        two_dctcp_flows_share(seed);
        rfc9438_4_3_cubic_carries_no_less_than_newreno(seed);
        rfc9438_4_3_cubic_beside_newreno_gets_its_share(seed);
        rfc8257_dctcp_keeps_the_link_full(seed);
    }
    return 0;
}
