/* Round-trip timing against numbers worked out by hand, and against slow models: the formulas of
 * RFC 6298 and RFC 7323 appendix G in long double, and a list of all samples of five minutes. */
#include "tests/c/harness.h"
#include "transport/net/rtt.h"

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

static struct net_rtt fresh(void)
{
    struct net_rtt rtt;

    ewi_net_rtt_init(&rtt);
    return rtt;
}

static struct net_rtt sampled(uint64_t sample)
{
    struct net_rtt rtt = fresh();

    ewi_net_rtt_sample(&rtt, sample, 1, 0);
    return rtt;
}

static uint64_t rto(const struct net_rtt *rtt)
{
    return ewi_net_rtt_rto(rtt, &ewi_net_rtt_fabric);
}

/* ------------------------------------------------------------------ by hand */

static void rfc6298_2_1_before_a_sample_the_timeout_is_a_second(void)
{
    struct net_rtt rtt = fresh();

    CHECK_EQ(rto(&rtt), 1 * S);
    CHECK_EQ(ewi_net_rtt_smoothed(&rtt), 0);
    CHECK(ewi_net_rtt_least(&rtt) == UINT64_MAX);
}

static void rfc6298_2_2_the_first_sample_sets_all(void)
{
    struct net_rtt rtt = sampled(100 * MS);

    CHECK_EQ(ewi_net_rtt_smoothed(&rtt), 100 * MS);
    CHECK_EQ(ewi_net_rtt_variation(&rtt), 50 * MS);
    CHECK_EQ(rto(&rtt), 300 * MS);
}

/* RTTVAR = 3/4 50 + 1/4 |100 - 180| = 57.5; SRTT = 7/8 100 + 1/8 180 = 110; RTO = 110 + 230. */
static void rfc6298_2_3_the_second_sample_by_hand(void)
{
    struct net_rtt rtt = sampled(100 * MS);

    ewi_net_rtt_sample(&rtt, 180 * MS, 1, 0);
    CHECK_EQ(ewi_net_rtt_smoothed(&rtt), 110 * MS);
    CHECK_EQ(ewi_net_rtt_variation(&rtt), 57500 * US);
    CHECK_EQ(rto(&rtt), 340 * MS);
}

/* Downwards: RTTVAR = 3/4 50 + 1/4 80 = 57.5; SRTT = 7/8 100 + 1/8 20 = 90. */
static void rfc6298_2_3_a_shorter_sample_by_hand(void)
{
    struct net_rtt rtt = sampled(100 * MS);

    ewi_net_rtt_sample(&rtt, 20 * MS, 1, 0);
    CHECK_EQ(ewi_net_rtt_smoothed(&rtt), 90 * MS);
    CHECK_EQ(ewi_net_rtt_variation(&rtt), 57500 * US);
}

/* Four samples per round trip: gains 1/32 and 1/16. RTTVAR = 50 + (80 - 50)/16, SRTT = 100 + 80/32. */
static void rfc7323_g_the_gain_is_shared_by_the_samples_of_a_round_trip(void)
{
    struct net_rtt rtt = sampled(100 * MS);

    ewi_net_rtt_sample(&rtt, 180 * MS, 4, 0);
    CHECK_EQ(ewi_net_rtt_smoothed(&rtt), 102500 * US);
    CHECK_EQ(ewi_net_rtt_variation(&rtt), 51875 * US);
}

static void rfc7323_g_expected_samples_is_half_the_segments_rounded_up(void)
{
    CHECK_EQ(ewi_net_rtt_expected(0, 1448), 1);
    CHECK_EQ(ewi_net_rtt_expected(1448, 1448), 1);
    CHECK_EQ(ewi_net_rtt_expected(2 * 1448, 1448), 1);
    CHECK_EQ(ewi_net_rtt_expected(2 * 1448 + 1, 1448), 2);
    CHECK_EQ(ewi_net_rtt_expected(1u << 30, 1), 1 << 29);
    CHECK_EQ(ewi_net_rtt_expected(UINT32_MAX, 0), UINT32_C(1) << 31);
}

static void rfc6298_2_4_the_floor_is_the_connections(void)
{
    struct net_rtt rtt = fresh();

    for (int i = 0; i < 200; i++)
        ewi_net_rtt_sample(&rtt, 50 * US, 1, 0);
    CHECK_EQ(ewi_net_rtt_rto(&rtt, &ewi_net_rtt_fabric), 20 * MS + 50 * US);
    CHECK_EQ(ewi_net_rtt_rto(&rtt, &ewi_net_rtt_spin), 5 * MS + 50 * US);
    CHECK_EQ(ewi_net_rtt_rto(&rtt, &ewi_net_rtt_rfc), 1 * S + 50 * US);
}

/* A path of 30 ms that never varies: the timeout leaves room for a late ACK all the same. */
static void rfc6298_2_3_a_steady_path_keeps_a_floor_of_slack(void)
{
    struct net_rtt rtt = fresh();

    for (int i = 0; i < 1000; i++)
        ewi_net_rtt_sample(&rtt, 30 * MS, 1, 0);
    CHECK_EQ(rto(&rtt), 50 * MS);
}

static void rfc6298_2_3_the_granularity_is_the_least_slack(void)
{
    struct net_rtt_limits coarse = {10 * MS, 1 * MS, 60 * S, 1 * S, 3 * S};
    struct net_rtt rtt = fresh();

    for (int i = 0; i < 1000; i++)
        ewi_net_rtt_sample(&rtt, 30 * MS, 1, 0);
    CHECK_EQ(ewi_net_rtt_rto(&rtt, &coarse), 40 * MS);
}

static void rfc6298_5_5_each_timeout_doubles_up_to_the_ceiling(void)
{
    struct net_rtt rtt = sampled(100 * MS);
    uint64_t want = 300 * MS;

    for (int i = 0; i < 100; i++) {
        CHECK_EQ(rto(&rtt), want);
        ewi_net_rtt_on_timeout(&rtt);
        want = ewi_min_u64(2 * want, 60 * S);
    }
    CHECK_EQ(rto(&rtt), 60 * S);
}

/* 2^33 ns * 2^32 would be 0. */
static void rfc6298_5_5_doubling_does_not_overflow(void)
{
    struct net_rtt rtt = fresh();

    for (int i = 0; i < 1000; i++)
        ewi_net_rtt_sample(&rtt, (UINT64_C(1) << 33) - 20 * MS, 1, 0);
    CHECK_EQ(rto(&rtt), INT64_C(1) << 33);
    for (int i = 0; i < 32; i++)
        ewi_net_rtt_on_timeout(&rtt);
    CHECK_EQ(rto(&rtt), 60 * S);
}

static void rfc6298_2_5_a_ceiling_of_two_minutes_is_possible(void)
{
    struct net_rtt_limits patient = ewi_net_rtt_fabric;
    struct net_rtt rtt = sampled(100 * MS);

    patient.ceiling = 120 * S;
    for (int i = 0; i < 40; i++)
        ewi_net_rtt_on_timeout(&rtt);
    CHECK_EQ(ewi_net_rtt_rto(&rtt, &patient), 120 * S);
}

static void rfc6298_3_the_back_off_stays_until_a_sample_comes(void)
{
    struct net_rtt rtt = sampled(100 * MS);

    ewi_net_rtt_on_timeout(&rtt);
    ewi_net_rtt_on_timeout(&rtt);
    CHECK_EQ(rto(&rtt), 1200 * MS);
    ewi_net_rtt_sample(&rtt, 100 * MS, 1, 0);
    CHECK_EQ(rto(&rtt), 100 * MS + 4 * 37500 * US);
}

static void rfc6298_5_7_a_lost_syn_makes_it_three_seconds(void)
{
    struct net_rtt rtt = fresh();

    ewi_net_rtt_on_timeout(&rtt);
    ewi_net_rtt_on_syn_lost(&rtt);
    CHECK_EQ(rto(&rtt), 3 * S);
    ewi_net_rtt_sample(&rtt, 100 * MS, 1, 0);
    CHECK_EQ(rto(&rtt), 300 * MS);
    ewi_net_rtt_on_timeout(&rtt);
    ewi_net_rtt_on_syn_lost(&rtt); /* there was a sample: it counts, and so does the back-off */
    CHECK_EQ(rto(&rtt), 600 * MS);
}

/* gvisor#6113: a flow stops when the round trip is below the clock's tick. */
static void a_round_trip_of_nanoseconds_does_not_vanish(void)
{
    struct net_rtt rtt = fresh();

    for (int i = 0; i < 100000; i++)
        ewi_net_rtt_sample(&rtt, i % 2 == 0 ? 900 : 1100, 100, 0);
    CHECK(ewi_net_rtt_smoothed(&rtt) >= 990 && ewi_net_rtt_smoothed(&rtt) <= 1010);
    CHECK(ewi_net_rtt_variation(&rtt) >= 90 && ewi_net_rtt_variation(&rtt) <= 110);
    ewi_net_rtt_sample(&rtt, 0, 1, 0);
    CHECK_EQ(ewi_net_rtt_least(&rtt), 1);
    for (int i = 0; i < 1000; i++)
        ewi_net_rtt_sample(&rtt, 0, 1, 0);
    CHECK(ewi_net_rtt_smoothed(&rtt) >= 1);
    CHECK(rto(&rtt) >= 20 * MS);
}

/* 1 GiB in flight, half a million samples per round trip: the estimate still moves. */
static void a_huge_window_of_tiny_samples_still_moves_the_estimate(void)
{
    struct net_rtt rtt = sampled(10 * US);
    uint32_t expected = ewi_net_rtt_expected(1u << 30, 1448);

    for (uint32_t i = 0; i < 100 * expected; i++)
        ewi_net_rtt_sample(&rtt, 20 * US, expected, 0);
    CHECK(ewi_net_rtt_smoothed(&rtt) > 19 * US);
}

static void a_sample_of_ages_is_cut(void)
{
    struct net_rtt rtt = sampled(UINT64_MAX);

    CHECK_EQ(ewi_net_rtt_smoothed(&rtt), NET_RTT_SAMPLE_MAX);
    CHECK_EQ(rto(&rtt), 60 * S);
    CHECK_EQ(ewi_net_rtt_least(&rtt), UINT32_MAX - 1);
}

/* ------------------------------------------------------------------ where samples come from */

static void rfc7323_4_1_an_echo_gives_a_sample(void)
{
    uint64_t sample;

    CHECK(ewi_net_rtt_of_timestamp(1000, 958, MS, &sample));
    CHECK_EQ(sample, 42 * MS);
    CHECK(ewi_net_rtt_of_timestamp(5, UINT32_MAX - 4, US, &sample)); /* the clock wrapped */
    CHECK_EQ(sample, 10 * US);
}

static void rfc7323_4_1_an_echo_of_the_same_tick_is_one_tick(void)
{
    uint64_t sample;

    CHECK(ewi_net_rtt_of_timestamp(1000, 1000, MS, &sample));
    CHECK_EQ(sample, MS);
}

static void a_hostile_echo_gives_no_sample(void)
{
    uint64_t sample = 7;

    CHECK(!ewi_net_rtt_of_timestamp(1000, 1001, MS, &sample));
    CHECK(!ewi_net_rtt_of_timestamp(1000, 1001, 10, &sample)); /* 43 s if it were from the past */
    CHECK(!ewi_net_rtt_of_timestamp(0, UINT32_C(1) << 31, MS, &sample));
    CHECK(!ewi_net_rtt_of_timestamp(INT32_MAX, 0, MS, &sample)); /* 24 days ago */
    CHECK(!ewi_net_rtt_of_timestamp(240001, 0, MS, &sample));
    CHECK(!ewi_net_rtt_of_timestamp(1, 0, 0, &sample));
    CHECK(!ewi_net_rtt_of_timestamp(1, 0, UINT64_MAX, &sample));
    CHECK_EQ(sample, 7);
    CHECK(ewi_net_rtt_of_timestamp(240000, 0, MS, &sample));
}

static void rfc4015_3_a_spurious_timeout_lengthens_the_next(void)
{
    struct net_rtt rtt = sampled(10 * MS);

    ewi_net_rtt_on_timeout(&rtt);
    ewi_net_rtt_on_spurious(&rtt, 200 * MS);
    CHECK_EQ(ewi_net_rtt_smoothed(&rtt), 200 * MS);
    CHECK_EQ(rto(&rtt), 600 * MS);
    ewi_net_rtt_on_spurious(&rtt, 1 * MS); /* never shorter */
    CHECK_EQ(rto(&rtt), 600 * MS);
}

/* ------------------------------------------------------------------ the least */

static void rfc8985_6_2_the_least_follows_at_once_downwards(void)
{
    struct net_rtt rtt = sampled(100 * US);

    ewi_net_rtt_sample(&rtt, 60 * US, 1, S);
    ewi_net_rtt_sample(&rtt, 80 * US, 1, 2 * S);
    CHECK_EQ(ewi_net_rtt_least(&rtt), 60 * US);
}

static void rfc8985_6_2_the_least_is_forgotten_after_five_minutes(void)
{
    struct net_rtt rtt = sampled(100 * US);

    for (uint64_t t = 1; t <= 299; t++)
        ewi_net_rtt_sample(&rtt, 300 * US, 1, t * S);
    CHECK_EQ(ewi_net_rtt_least(&rtt), 100 * US);
    ewi_net_rtt_sample(&rtt, 300 * US, 1, 302 * S);
    CHECK_EQ(ewi_net_rtt_least(&rtt), 300 * US);
}

/* The second best, seen after a third of the window, is what is left. */
static void rfc8985_6_2_the_second_least_takes_over(void)
{
    struct net_rtt rtt = sampled(100 * US);

    for (uint64_t t = 1; t <= 302; t++)
        ewi_net_rtt_sample(&rtt, t == 100 ? 200 * US : 300 * US, 1, t * S);
    CHECK_EQ(ewi_net_rtt_least(&rtt), 200 * US);
}

static void after_a_long_silence_the_least_is_the_new_sample(void)
{
    struct net_rtt rtt = sampled(100 * US);

    ewi_net_rtt_sample(&rtt, 900 * US, 1, 86400 * S);
    CHECK_EQ(ewi_net_rtt_least(&rtt), 900 * US);
}

static void when_the_clock_jumps_back_the_least_starts_again(void)
{
    struct net_rtt rtt = fresh();

    ewi_net_rtt_sample(&rtt, 100 * US, 1, 86400 * S);
    ewi_net_rtt_sample(&rtt, 900 * US, 1, 1 * S);
    CHECK_EQ(ewi_net_rtt_least(&rtt), 900 * US);
}

/* ------------------------------------------------------------------ against models */

struct model {
    long double srtt, rttvar;
    bool any;
};

static long double absolute(long double x) /* without libm */
{
    return x < 0 ? -x : x;
}

static void model_sample(struct model *model, long double r, long double expected)
{
    if (!model->any) {
        *model = (struct model){r, r / 2, true};
        return;
    }
    model->rttvar = (1 - 0.25L / expected) * model->rttvar +
                    0.25L / expected * absolute(model->srtt - r);
    model->srtt = (1 - 0.125L / expected) * model->srtt + 0.125L / expected * r;
}

static uint64_t any_sample(struct harness_random *random)
{
    return harness_next(random) >> harness_between(random, 26, 63); /* 0 .. 2^38 ns, all sizes */
}

/* Within 2^-16 ns for each sample that was rounded, and a little for the model's own rounding. */
static void smoothing_agrees_with_the_formula(uint64_t seed)
{
    struct harness_random random = {seed};
    struct net_rtt rtt = fresh();
    struct model model = {0};

    for (int i = 0; i < 20000; i++) {
        uint64_t sample = ewi_max_u64(ewi_min_u64(any_sample(&random), NET_RTT_SAMPLE_MAX), 1);
        uint32_t expected = (uint32_t)harness_between(&random, 1, i % 100 == 0 ? 1000000 : 50);

        ewi_net_rtt_sample(&rtt, sample, expected, 0);
        model_sample(&model, (long double)sample, expected);
        CHECK(absolute((long double)rtt.srtt / 65536 - model.srtt) < 100);
        CHECK(absolute((long double)rtt.rttvar / 65536 - model.rttvar) < 100);
    }
}

static void the_timeout_is_always_within_its_limits(uint64_t seed)
{
    struct harness_random random = {seed};
    struct net_rtt rtt = fresh();

    for (int i = 0; i < 100000; i++) {
        uint64_t before = rto(&rtt), after;

        switch (harness_below(&random, 5)) {
        case 0:
            ewi_net_rtt_on_timeout(&rtt);
            CHECK(rto(&rtt) >= before); /* I3 */
            break;
        case 1:
            ewi_net_rtt_on_spurious(&rtt, harness_next(&random));
            break;
        default:
            ewi_net_rtt_sample(&rtt, any_sample(&random), (uint32_t)harness_next(&random),
                               harness_next(&random)); /* the clock jumps about */
        }
        after = rto(&rtt);
        CHECK(after >= 20 * MS && after <= 60 * S); /* I1 */
        CHECK(after >= ewi_min_u64(ewi_net_rtt_smoothed(&rtt), 60 * S));
    }
}

enum { SAMPLES = 4000 };
static struct {
    uint64_t at, rtt;
} all[SAMPLES];

static uint64_t least_since(int last, uint64_t window)
{
    uint64_t least = UINT64_MAX;

    for (int i = 0; i <= last; i++)
        if (all[last].at - all[i].at <= window)
            least = ewi_min_u64(least, all[i].rtt);
    return least;
}

/* I4, with a tick of the filter's clock (2^20 ns) to either side */
static void the_least_is_between_the_least_of_the_window_and_of_half(uint64_t seed)
{
    struct harness_random random = {seed};
    struct net_rtt rtt = fresh();
    uint64_t now = 0;

    for (int i = 0; i < SAMPLES; i++) {
        uint64_t gap = harness_below(&random, 50) == 0 ? 200 * S : 5 * S;

        now += harness_below(&random, gap);
        all[i].at = now;
        all[i].rtt = harness_between(&random, 10 * US, 20 * US + (uint64_t)i * US);
        ewi_net_rtt_sample(&rtt, all[i].rtt, 1, now);
        CHECK(ewi_net_rtt_least(&rtt) >= least_since(i, NET_RTT_WINDOW + 3 * MS));
        CHECK(ewi_net_rtt_least(&rtt) <= least_since(i, NET_RTT_WINDOW / 2 - 3 * MS));
    }
}

/* catches: a second least that is old taken for the newest, and what was less than it forgotten */
static void a_third_least_becomes_the_second(void)
{
    the_least_is_between_the_least_of_the_window_and_of_half(305409453);
}

/* catches: a second least that becomes as old as the third, and no newer one is kept behind them */
static void an_old_second_is_followed_by_a_new_third(void)
{
    the_least_is_between_the_least_of_the_window_and_of_half(3115744145);
}

/* catches: three that leave the window at once, with what came after them forgotten */
static void the_three_do_not_leave_at_once(void)
{
    static const struct {
        uint64_t at, rtt;
    } samples[] = {{0, 14}, {77, 722}, {99, 53}, {252, 1000}, {266, 74}, {350, 1400}, {358, 81},
                   {401, 1300}, {410, 127}, {565, 765}, {714, 1800}};
    struct net_rtt rtt = fresh();

    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        ewi_net_rtt_sample(&rtt, samples[i].rtt * US, 1, samples[i].at * S);
    CHECK_EQ(ewi_net_rtt_least(&rtt), 765 * US); /* of 149 seconds ago */
}

int main(int argc, char **argv)
{
    RUN(a_third_least_becomes_the_second);
    RUN(an_old_second_is_followed_by_a_new_third);
    RUN(the_three_do_not_leave_at_once);
    RUN(rfc6298_2_1_before_a_sample_the_timeout_is_a_second);
    RUN(rfc6298_2_2_the_first_sample_sets_all);
    RUN(rfc6298_2_3_the_second_sample_by_hand);
    RUN(rfc6298_2_3_a_shorter_sample_by_hand);
    RUN(rfc7323_g_the_gain_is_shared_by_the_samples_of_a_round_trip);
    RUN(rfc7323_g_expected_samples_is_half_the_segments_rounded_up);
    RUN(rfc6298_2_4_the_floor_is_the_connections);
    RUN(rfc6298_2_3_a_steady_path_keeps_a_floor_of_slack);
    RUN(rfc6298_2_3_the_granularity_is_the_least_slack);
    RUN(rfc6298_5_5_each_timeout_doubles_up_to_the_ceiling);
    RUN(rfc6298_5_5_doubling_does_not_overflow);
    RUN(rfc6298_2_5_a_ceiling_of_two_minutes_is_possible);
    RUN(rfc6298_3_the_back_off_stays_until_a_sample_comes);
    RUN(rfc6298_5_7_a_lost_syn_makes_it_three_seconds);
    RUN(a_round_trip_of_nanoseconds_does_not_vanish);
    RUN(a_huge_window_of_tiny_samples_still_moves_the_estimate);
    RUN(a_sample_of_ages_is_cut);
    RUN(rfc7323_4_1_an_echo_gives_a_sample);
    RUN(rfc7323_4_1_an_echo_of_the_same_tick_is_one_tick);
    RUN(a_hostile_echo_gives_no_sample);
    RUN(rfc4015_3_a_spurious_timeout_lengthens_the_next);
    RUN(rfc8985_6_2_the_least_follows_at_once_downwards);
    RUN(rfc8985_6_2_the_least_is_forgotten_after_five_minutes);
    RUN(rfc8985_6_2_the_second_least_takes_over);
    RUN(after_a_long_silence_the_least_is_the_new_sample);
    RUN(when_the_clock_jumps_back_the_least_starts_again);
    HARNESS_FOR_EACH_SEED(argc, argv, seed) {
        smoothing_agrees_with_the_formula(seed);
        the_timeout_is_always_within_its_limits(seed);
        the_least_is_between_the_least_of_the_window_and_of_half(seed);
    }
    return 0;
}
