/* Congestion control event by event: numbers by hand for NewReno, idle, undo, and bounds under random
 * events for all kinds. HyStart++ and DCTCP: test_net_cc_rounds.c; CUBIC: test_net_cc_cubic.c. */
#include "tests/c/harness.h"
#include "tests/c/net_cc_base.h"

/* ------------------------------------------------------------------ start */

static void rfc6928_2_the_initial_window_is_ten_segments_or_14600_bytes(void)
{
    CHECK_EQ(ewi_net_cc_initial_window(1460), 14600);
    CHECK_EQ(ewi_net_cc_initial_window(1448), 14480);
    CHECK_EQ(ewi_net_cc_initial_window(536), 5360);
    CHECK_EQ(ewi_net_cc_initial_window(2000), 14600);
    CHECK_EQ(ewi_net_cc_initial_window(8948), 17896);
    CHECK_EQ(ewi_net_cc_initial_window(1), 10);
    CHECK_EQ(ewi_net_cc_initial_window(0), 10);
    CHECK_EQ(ewi_net_cc_initial_window(UINT32_MAX), 131070);
}

static void rfc5681_3_1_a_lost_syn_leaves_one_segment(void)
{
    struct net_cc cc;

    ewi_net_cc_init(&cc, NET_CC_CUBIC, MSS, 0, true, true);
    CHECK_EQ(cc.cwnd, MSS);
    CHECK_EQ(cc.ssthresh, NET_CC_WINDOW_MAX);
}

static void each_kind_has_its_name(void)
{
    CHECK(strcmp(ewi_net_cc_name(NET_CC_NEWRENO), "newreno") == 0);
    CHECK(strcmp(ewi_net_cc_name(NET_CC_CUBIC), "cubic") == 0);
    CHECK(strcmp(ewi_net_cc_name(NET_CC_DCTCP), "dctcp") == 0);
}

/* ------------------------------------------------------------------ NewReno */

static void rfc3465_2_2_slow_start_grows_by_bytes_up_to_a_batch(void)
{
    struct net_cc cc = made(NET_CC_NEWRENO);

    acks(&cc, 300);
    CHECK_EQ(cc.cwnd, 10300);
    acks(&cc, 2 * MSS);
    CHECK_EQ(cc.cwnd, 12300);
    acks(&cc, 5 * MSS);
    CHECK_EQ(cc.cwnd, 17300);
    cc.cwnd = 100 * MSS;
    acks(&cc, 70 * MSS);
    CHECK_EQ(cc.cwnd, 164 * MSS);
}

static void rfc5681_3_1_slow_start_ends_at_ssthresh(void)
{
    struct net_cc cc = made(NET_CC_NEWRENO);

    cc.ssthresh = 10700;
    acks(&cc, 2 * MSS);
    CHECK_EQ(cc.cwnd, 10700);
    acks(&cc, MSS);
    CHECK_EQ(cc.cwnd, 10700); /* from now on a segment per window */
}

static void rfc3465_2_1_avoidance_grows_a_segment_per_window_of_bytes(void)
{
    struct net_cc cc = avoiding(NET_CC_NEWRENO, 10 * MSS);

    for (int i = 0; i < 19; i++)
        acks(&cc, 500);
    CHECK_EQ(cc.cwnd, 10 * MSS);
    acks(&cc, 500);
    CHECK_EQ(cc.cwnd, 11 * MSS);
    acks(&cc, 11 * MSS);
    CHECK_EQ(cc.cwnd, 12 * MSS);
    acks(&cc, 10 * MSS);
    acks(&cc, 10 * MSS); /* eight are left over */
    CHECK_EQ(cc.cwnd, 13 * MSS);
    acks(&cc, 5 * MSS);
    CHECK_EQ(cc.cwnd, 14 * MSS);
}

static void rfc5681_3_1_an_ack_for_more_than_the_window_counts_as_one_window(void)
{
    struct net_cc cc = avoiding(NET_CC_NEWRENO, 10 * MSS);

    acks(&cc, UINT32_MAX);
    CHECK_EQ(cc.cwnd, 11 * MSS);
    CHECK_EQ(cc.counted, 0);
}

static void rfc5681_3_1_eq_4_loss_halves_what_was_in_flight(void)
{
    struct net_cc cc = avoiding(NET_CC_NEWRENO, 40 * MSS);

    ewi_net_cc_on_congestion(&cc, NET_CC_LOSS, 30 * MSS); /* not cwnd */
    CHECK_EQ(cc.ssthresh, 15 * MSS);
    CHECK_EQ(cc.cwnd, 15 * MSS);
    ewi_net_cc_on_recovery_exit(&cc);
    CHECK_EQ(cc.cwnd, 15 * MSS);
}

/* RFC 5681 3.2 step 1: what limited transmit sent does not make the next window larger. */
static void rfc5681_3_2_flight_beyond_the_window_does_not_count(void)
{
    struct net_cc cc = avoiding(NET_CC_NEWRENO, 10 * MSS);

    ewi_net_cc_on_congestion(&cc, NET_CC_LOSS, 12 * MSS);
    CHECK_EQ(cc.ssthresh, 5 * MSS);
}

static void rfc5681_3_1_two_segments_is_the_least_threshold(void)
{
    for (int kind = 0; kind < NET_CC_KINDS; kind++) {
        struct net_cc cc = avoiding((enum net_cc_kind)kind, 2 * MSS);

        ewi_net_cc_on_congestion(&cc, NET_CC_LOSS, 0);
        CHECK_EQ(cc.ssthresh, 2 * MSS);
        CHECK_EQ(cc.cwnd, 2 * MSS);
    }
}

static void rfc3168_6_1_2_newreno_answers_a_mark_like_a_loss(void)
{
    struct net_cc cc = avoiding(NET_CC_NEWRENO, 40 * MSS);

    ewi_net_cc_on_congestion(&cc, NET_CC_ECE, 40 * MSS);
    CHECK_EQ(cc.cwnd, 20 * MSS);
}

static void rfc5681_3_1_after_a_timeout_the_window_is_one_segment(void)
{
    struct net_cc cc = avoiding(NET_CC_NEWRENO, 40 * MSS);

    ewi_net_cc_on_rto(&cc, 30 * MSS, false);
    CHECK_EQ(cc.cwnd, MSS);
    CHECK_EQ(cc.ssthresh, 15 * MSS);
    ewi_net_cc_on_rto(&cc, MSS, true); /* the same segment again: ssthresh is held */
    CHECK_EQ(cc.ssthresh, 15 * MSS);
    ewi_net_cc_on_recovery_exit(&cc); /* no jump to ssthresh */
    CHECK_EQ(cc.cwnd, MSS);
}

static void rfc3465_2_3_after_a_timeout_an_ack_is_worth_one_segment(void)
{
    struct net_cc cc = avoiding(NET_CC_NEWRENO, 40 * MSS);

    ewi_net_cc_on_rto(&cc, 8 * MSS, false);
    acks(&cc, MSS);
    acks(&cc, 2 * MSS);
    CHECK_EQ(cc.cwnd, 3 * MSS);
    acks(&cc, 2 * MSS);
    CHECK_EQ(cc.cwnd, 4 * MSS); /* = ssthresh */
    ewi_net_cc_on_rto(&cc, 4 * MSS, false);
    CHECK_EQ(cc.ssthresh, 2 * MSS);
}

static void rfc3465_2_3_a_later_loss_ends_the_caution_after_a_timeout(void)
{
    struct net_cc cc = avoiding(NET_CC_NEWRENO, 40 * MSS);

    ewi_net_cc_on_rto(&cc, 40 * MSS, false);
    ewi_net_cc_on_congestion(&cc, NET_CC_LOSS, MSS);
    cc.ssthresh = 20 * MSS;
    acks(&cc, 2 * MSS);
    CHECK_EQ(cc.cwnd, 4 * MSS);
}

static void rfc7661_4_4_what_is_not_limited_by_cwnd_does_not_grow_it(void)
{
    for (int kind = 0; kind < NET_CC_KINDS; kind++) {
        struct net_cc cc = made((enum net_cc_kind)kind);
        struct net_cc slow = avoiding((enum net_cc_kind)kind, 10 * MSS);
        struct net_cc_ack ack = ack_of(MSS);

        ack.cwnd_limited = false;
        for (int i = 0; i < 1000; i++) {
            ack.now += MS;
            ewi_net_cc_on_ack(&cc, &ack);
            ewi_net_cc_on_ack(&slow, &ack);
        }
        CHECK_EQ(cc.cwnd, 10 * MSS);
        CHECK_EQ(slow.cwnd, 10 * MSS);
    }
}

static void during_recovery_acks_do_not_grow_the_window(void)
{
    for (int kind = 0; kind < NET_CC_KINDS; kind++) {
        struct net_cc cc = avoiding((enum net_cc_kind)kind, 10 * MSS);
        struct net_cc_ack ack = ack_of(MSS);

        ack.in_recovery = true;
        for (int i = 0; i < 1000; i++)
            ewi_net_cc_on_ack(&cc, &ack);
        CHECK_EQ(cc.cwnd, 10 * MSS);
    }
}

static void a_duplicate_ack_does_not_grow_the_window(void)
{
    struct net_cc cc = made(NET_CC_NEWRENO);

    acks(&cc, 0);
    CHECK_EQ(cc.cwnd, 10 * MSS);
}

/* ------------------------------------------------------------------ idle */

static void rfc5681_4_1_after_an_idle_timeout_sending_restarts_from_the_initial_window(void)
{
    for (int kind = 0; kind < NET_CC_KINDS; kind++) {
        struct net_cc cc = avoiding((enum net_cc_kind)kind, 100 * MSS);

        ewi_net_cc_on_idle(&cc, 20 * MS, 20 * MS, 0);
        CHECK_EQ(cc.cwnd, 100 * MSS);
        ewi_net_cc_on_idle(&cc, 20 * MS + 1, 20 * MS, 0);
        CHECK_EQ(cc.cwnd, 10 * MSS);
        CHECK_EQ(cc.ssthresh, 100 * MSS);
    }
}

static void rfc7661_4_4_1_three_quarters_of_the_window_are_remembered(void)
{
    struct net_cc cc = avoiding(NET_CC_NEWRENO, 100 * MSS);

    cc.ssthresh = 20 * MSS;
    ewi_net_cc_on_idle(&cc, 21 * MS, 20 * MS, 0);
    CHECK_EQ(cc.ssthresh, 75 * MSS);
}

static void rfc5681_4_1_idle_never_makes_a_window_larger(void)
{
    struct net_cc cc = avoiding(NET_CC_NEWRENO, 3 * MSS);

    ewi_net_cc_on_idle(&cc, UINT64_MAX, 20 * MS, UINT64_MAX);
    CHECK_EQ(cc.cwnd, 3 * MSS);
    CHECK_EQ(cc.ssthresh, 3 * MSS);
}

/* ------------------------------------------------------------------ undo, MSS */

static void rfc9438_4_9_undo_restores_exactly(void)
{
    for (int kind = 0; kind < NET_CC_KINDS; kind++) {
        struct net_cc cc = avoiding((enum net_cc_kind)kind, 50 * MSS), saved;
        struct net_cc_ack ack = ack_of(10 * MSS);

        for (int i = 0; i < 20; i++) {
            ack.now += 100 * MS;
            ewi_net_cc_on_ack(&cc, &ack);
        }
        saved = cc;
        ewi_net_cc_on_congestion(&cc, NET_CC_LOSS, 50 * MSS);
        CHECK(cc.cwnd < saved.cwnd);
        CHECK(ewi_net_cc_undo(&cc, &saved));
        CHECK(memcmp(&cc, &saved, sizeof(cc)) == 0);
        ewi_net_cc_on_rto(&cc, 50 * MSS, false);
        CHECK(ewi_net_cc_undo(&cc, &saved));
        CHECK(memcmp(&cc, &saved, sizeof(cc)) == 0);
        ewi_net_cc_on_recovery_exit(&cc); /* and the end of recovery leaves it */
        CHECK_EQ(cc.cwnd, saved.cwnd);
    }
}

static void undo_never_takes_what_was_earned_meanwhile(void)
{
    struct net_cc cc = avoiding(NET_CC_NEWRENO, 10 * MSS), saved = cc;

    cc.cwnd = 30 * MSS;
    cc.ssthresh = 20 * MSS;
    CHECK(ewi_net_cc_undo(&cc, &saved));
    CHECK_EQ(cc.cwnd, 30 * MSS);
    CHECK_EQ(cc.ssthresh, 20 * MSS);
}

static void undo_refuses_the_state_of_another_kind(void)
{
    struct net_cc cc = made(NET_CC_CUBIC), saved = avoiding(NET_CC_DCTCP, 99 * MSS);

    CHECK(!ewi_net_cc_undo(&cc, &saved));
    CHECK_EQ(cc.cwnd, 10 * MSS);
}

static void undo_keeps_the_segment_size_of_now(void)
{
    struct net_cc cc = avoiding(NET_CC_NEWRENO, 10 * MSS), saved = cc;

    ewi_net_cc_set_smss(&cc, 9000);
    CHECK_EQ(cc.cwnd, 10 * MSS);
    CHECK_EQ(cc.ssthresh, 18000);
    CHECK(ewi_net_cc_undo(&cc, &saved));
    CHECK_EQ(cc.smss, 9000);
    CHECK_EQ(cc.ssthresh, 18000);
}

static void a_segment_size_out_of_range_is_moved_into_it(void)
{
    struct net_cc cc;

    ewi_net_cc_init(&cc, NET_CC_NEWRENO, 0, 0, false, false);
    CHECK_EQ(cc.smss, 1);
    ewi_net_cc_set_smss(&cc, UINT32_MAX);
    CHECK_EQ(cc.smss, UINT16_MAX);
    CHECK_EQ(cc.cwnd, UINT16_MAX);
}

/* ------------------------------------------------------------------ whatever happens */

static void in_bounds(const struct net_cc *cc) /* I1 */
{
    CHECK(cc->smss >= 1);
    CHECK(cc->cwnd >= cc->smss && cc->cwnd <= NET_CC_WINDOW_MAX);
    CHECK(cc->ssthresh >= 2u * cc->smss && cc->ssthresh <= NET_CC_WINDOW_MAX);
}

static struct net_cc_ack any_ack(struct harness_random *random, uint64_t *now)
{
    uint64_t jump = harness_next(random) >> harness_between(random, 0, 63);
    uint64_t bits = harness_next(random);

    *now = harness_below(random, 50) == 0 ? *now - jump : *now + (jump >> 20);
    return (struct net_cc_ack){
        .now = *now,
        .rtt = (bits & 1) ? harness_next(random) >> harness_between(random, 0, 63) : 0,
        .srtt = harness_next(random) >> harness_between(random, 0, 63),
        .acked = (uint32_t)(harness_next(random) >> harness_between(random, 32, 63)),
        .una = (uint32_t)harness_next(random),
        .nxt = (uint32_t)harness_next(random),
        .cwnd_limited = (bits & 14) != 0,
        .in_recovery = (bits & 0x70) == 0,
        .ece = (bits & 0x100) != 0,
    };
}

static void check_ack(struct net_cc *cc, struct harness_random *random, uint64_t *now)
{
    struct net_cc_ack ack = any_ack(random, now);
    struct net_cc before = *cc;

    ewi_net_cc_on_ack(cc, &ack);
    CHECK(cc->cwnd >= before.cwnd); /* I2 */
    CHECK((uint64_t)cc->cwnd <= before.cwnd + ewi_max_u64(ack.acked, before.smss) ||
          cc->kind == NET_CC_CUBIC);
    CHECK(cc->cwnd <= 3 * (uint64_t)before.cwnd);
    if (!ack.cwnd_limited || ack.in_recovery || ack.acked == 0)
        CHECK_EQ(cc->cwnd, before.cwnd);
    CHECK(cc->ssthresh >= before.ssthresh ||
          (before.hystart == NET_HYSTART_CSS && cc->ssthresh >= before.cwnd)); /* I3 */
}

static void any_event(struct net_cc *cc, struct net_cc *saved, struct harness_random *random,
                      uint64_t *now)
{
    uint32_t flight = (uint32_t)(harness_next(random) >> harness_between(random, 32, 63));
    struct net_cc before = *cc;

    switch (harness_below(random, 40)) {
    case 0:
        *saved = *cc;
        ewi_net_cc_on_congestion(cc, NET_CC_LOSS, flight);
        CHECK(cc->cwnd <= ewi_max_u64(before.cwnd, 2u * cc->smss));
        break;
    case 1:
        ewi_net_cc_on_congestion(cc, NET_CC_ECE, flight);
        CHECK(cc->cwnd <= ewi_max_u64(before.cwnd, 2u * cc->smss));
        break;
    case 2:
        ewi_net_cc_on_rto(cc, flight, harness_below(random, 2) == 0);
        CHECK_EQ(cc->cwnd, cc->smss);
        break;
    case 3:
        ewi_net_cc_on_idle(cc, harness_next(random) >> 20, 20 * MS, *now);
        CHECK(cc->cwnd <= before.cwnd);
        break;
    case 4:
        if (ewi_net_cc_undo(cc, saved))
            CHECK(cc->cwnd >= saved->cwnd && cc->cwnd >= before.cwnd); /* I4 */
        break;
    case 5:
        ewi_net_cc_on_recovery_exit(cc);
        CHECK(cc->cwnd >= before.cwnd);
        break;
    case 6:
        if (harness_below(random, 20) == 0)
            ewi_net_cc_set_smss(cc, (uint32_t)harness_below(random, 70000));
        break;
    default:
        check_ack(cc, random, now);
    }
    in_bounds(cc);
}

static void bounds_hold_whatever_happens(uint64_t seed)
{
    struct harness_random random = {seed};

    for (int run = 0; run < 300; run++) {
        uint32_t smss = (uint32_t)(harness_next(&random) >> harness_between(&random, 47, 63));
        enum net_cc_kind kind = (enum net_cc_kind)(run % NET_CC_KINDS);
        struct net_cc cc, saved;
        uint64_t now = harness_next(&random) >> harness_between(&random, 0, 63);

        ewi_net_cc_init(&cc, kind, smss, (uint32_t)harness_next(&random), false, run % 2 == 0);
        saved = cc;
        for (int i = 0; i < 1000; i++)
            any_event(&cc, &saved, &random, &now);
    }
}

/* The largest window there is: reached, and left alone. */
static void growth_stops_at_the_largest_window(void)
{
    for (int kind = 0; kind < NET_CC_KINDS; kind++) {
        struct net_cc cc = avoiding((enum net_cc_kind)kind, NET_CC_WINDOW_MAX - 5);
        struct net_cc_ack ack = ack_of(UINT32_MAX);

        for (int i = 0; i < 1000; i++) {
            ack.now += 1000 * MS;
            ewi_net_cc_on_ack(&cc, &ack);
            in_bounds(&cc);
        }
        CHECK_EQ(cc.cwnd, NET_CC_WINDOW_MAX);
        if (kind == NET_CC_CUBIC)
            CHECK(cc.u.cubic.w_est >> 24 <= NET_CC_WINDOW_MAX);
        ewi_net_cc_on_congestion(&cc, NET_CC_LOSS, UINT32_MAX);
        CHECK_EQ(cc.cwnd, kind == NET_CC_CUBIC ? NET_CC_WINDOW_MAX / 10 * 7 + 2
                                               : NET_CC_WINDOW_MAX / 2);
    }
}

static void run_newreno(void)
{
    RUN(rfc6928_2_the_initial_window_is_ten_segments_or_14600_bytes);
    RUN(rfc5681_3_1_a_lost_syn_leaves_one_segment);
    RUN(each_kind_has_its_name);
    RUN(rfc3465_2_2_slow_start_grows_by_bytes_up_to_a_batch);
    RUN(rfc5681_3_1_slow_start_ends_at_ssthresh);
    RUN(rfc3465_2_1_avoidance_grows_a_segment_per_window_of_bytes);
    RUN(rfc5681_3_1_an_ack_for_more_than_the_window_counts_as_one_window);
    RUN(rfc5681_3_1_eq_4_loss_halves_what_was_in_flight);
    RUN(rfc5681_3_2_flight_beyond_the_window_does_not_count);
    RUN(rfc5681_3_1_two_segments_is_the_least_threshold);
    RUN(rfc3168_6_1_2_newreno_answers_a_mark_like_a_loss);
    RUN(rfc5681_3_1_after_a_timeout_the_window_is_one_segment);
    RUN(rfc3465_2_3_after_a_timeout_an_ack_is_worth_one_segment);
    RUN(rfc3465_2_3_a_later_loss_ends_the_caution_after_a_timeout);
    RUN(rfc7661_4_4_what_is_not_limited_by_cwnd_does_not_grow_it);
    RUN(during_recovery_acks_do_not_grow_the_window);
    RUN(a_duplicate_ack_does_not_grow_the_window);
    RUN(rfc5681_4_1_after_an_idle_timeout_sending_restarts_from_the_initial_window);
    RUN(rfc7661_4_4_1_three_quarters_of_the_window_are_remembered);
    RUN(rfc5681_4_1_idle_never_makes_a_window_larger);
}

int main(int argc, char **argv)
{
    run_newreno();
    RUN(rfc9438_4_9_undo_restores_exactly);
    RUN(undo_never_takes_what_was_earned_meanwhile);
    RUN(undo_refuses_the_state_of_another_kind);
    RUN(undo_keeps_the_segment_size_of_now);
    RUN(a_segment_size_out_of_range_is_moved_into_it);
    RUN(growth_stops_at_the_largest_window);
    HARNESS_FOR_EACH_SEED(argc, argv, seed) {
        bounds_hold_whatever_happens(seed);
    }
    return 0;
}
