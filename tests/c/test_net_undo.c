/* Was it lost, or late: Eifel, DSACK and F-RTO sign by sign, with peers that lie. */
#include "tests/c/harness.h"
#include "transport/net/undo.h"

enum { MSS = 1000, UNA = 5000, NXT = 15000 };

static struct net_cc window_of(uint32_t cwnd)
{
    struct net_cc cc;

    ewi_net_cc_init(&cc, NET_CC_CUBIC, MSS, 0, false, false);
    cc.cwnd = cc.ssthresh = cwnd;
    return cc;
}

/* A loss of the first segment of ten, sent again with timestamp 100. */
static struct net_undo armed_at(struct net_cc *cc, uint32_t base)
{
    struct net_undo undo = {0};

    ewi_net_undo_arm(&undo, cc, base + UNA, base + NXT, false);
    ewi_net_cc_on_congestion(cc, NET_CC_LOSS, 10 * MSS);
    ewi_net_undo_on_retransmit(&undo, MSS, true, 100);
    return undo;
}

static struct net_undo armed(void)
{
    struct net_cc cc = window_of(10 * MSS);

    return armed_at(&cc, 0);
}

/* ------------------------------------------------------------------ Eifel */

static void rfc3522_an_echo_from_before_the_retransmission_is_spurious(void)
{
    struct net_undo undo = armed();

    CHECK(ewi_net_undo_on_ack(&undo, UNA + MSS, true, 99));
}

static void rfc3522_the_same_tick_and_later_prove_nothing(void)
{
    struct net_undo same = armed(), later = armed();

    CHECK(!ewi_net_undo_on_ack(&same, UNA + MSS, true, 100));
    CHECK(!ewi_net_undo_on_ack(&later, UNA + MSS, true, 101));
}

static void rfc3522_only_the_first_acceptable_ack_decides(void)
{
    struct net_undo undo = armed();

    CHECK(!ewi_net_undo_on_ack(&undo, UNA, true, 99)); /* does not advance: wait */
    CHECK(!ewi_net_undo_on_ack(&undo, UNA + MSS, true, 100));
    CHECK(!ewi_net_undo_on_ack(&undo, UNA + 2 * MSS, true, 99));
}

static void rfc3522_the_first_retransmission_counts(void)
{
    struct net_undo undo = armed();

    ewi_net_undo_on_retransmit(&undo, MSS, true, 200);
    CHECK(!ewi_net_undo_on_ack(&undo, UNA + MSS, true, 150));
}

static void rfc3522_the_timestamp_clock_wraps(void)
{
    struct net_cc cc = window_of(10 * MSS);
    struct net_undo undo = {0};

    ewi_net_undo_arm(&undo, &cc, UINT32_MAX, 10, false);
    ewi_net_undo_on_retransmit(&undo, MSS, true, 3);
    CHECK(ewi_net_undo_on_ack(&undo, 5, true, UINT32_MAX - 2));
}

static void without_timestamps_an_ack_proves_nothing(void)
{
    struct net_undo undo = armed(), never = {0};
    struct net_cc cc = window_of(10 * MSS);

    CHECK(!ewi_net_undo_on_ack(&undo, UNA + MSS, false, 0));
    ewi_net_undo_arm(&never, &cc, UNA, NXT, false);
    ewi_net_undo_on_retransmit(&never, MSS, false, 100);
    CHECK(!ewi_net_undo_on_ack(&never, UNA + MSS, true, 99));
}

static void nothing_sent_again_is_nothing_spurious(void)
{
    struct net_cc cc = window_of(10 * MSS);
    struct net_undo undo = {0};

    ewi_net_undo_arm(&undo, &cc, UNA, NXT, false);
    CHECK(!ewi_net_undo_on_ack(&undo, UNA + MSS, true, 0));
    CHECK(!ewi_net_undo_on_dsack(&undo, UNA, UNA));
    CHECK(!ewi_net_undo_on_dsack(&undo, UNA, UNA + MSS));
}

/* ------------------------------------------------------------------ DSACK */

static void rfc3708_2_every_retransmission_a_duplicate_is_spurious(void)
{
    struct net_undo undo = armed();

    ewi_net_undo_on_retransmit(&undo, MSS, true, 101);
    CHECK(!ewi_net_undo_on_dsack(&undo, UNA, UNA + MSS));
    CHECK(ewi_net_undo_on_dsack(&undo, UNA + 3 * MSS, UNA + 4 * MSS));
}

static void rfc3708_2_one_that_was_really_lost_is_enough(void)
{
    struct net_undo undo = armed();

    for (int i = 1; i < 10; i++)
        ewi_net_undo_on_retransmit(&undo, MSS, true, 101);
    for (uint32_t i = 0; i < 9; i++)
        CHECK(!ewi_net_undo_on_dsack(&undo, UNA + i * MSS, UNA + (i + 1) * MSS));
}

static void rfc3708_2_the_same_duplicate_twice_counts_once(void)
{
    struct net_undo undo = armed();

    ewi_net_undo_on_retransmit(&undo, MSS, true, 101);
    for (int i = 0; i < 10; i++)
        CHECK(!ewi_net_undo_on_dsack(&undo, UNA, UNA + MSS));
    CHECK(!ewi_net_undo_on_dsack(&undo, UNA + MSS - 1, UNA + 2 * MSS - 1));
    CHECK_EQ(undo.dsacked, MSS);
}

static void rfc3708_2_what_was_sent_again_twice_never_decides(void)
{
    struct net_undo undo = armed();

    ewi_net_undo_on_retransmit(&undo, MSS, true, 101);
    CHECK(!ewi_net_undo_on_dsack(&undo, UNA, UNA + MSS));
    CHECK(!ewi_net_undo_on_dsack(&undo, UNA, UNA + MSS));
}

/* VPP 2026, "harden dsack seq validation" */
static void a_hostile_dsack_is_ignored(void)
{
    struct net_undo undo = armed(), before = undo;

    CHECK(!ewi_net_undo_on_dsack(&undo, UNA - MSS, UNA));          /* before the reduction */
    CHECK(!ewi_net_undo_on_dsack(&undo, UNA - 1, UNA + MSS - 1));
    CHECK(!ewi_net_undo_on_dsack(&undo, NXT, NXT + MSS));          /* never sent then */
    CHECK(!ewi_net_undo_on_dsack(&undo, NXT - 1, NXT + 1));
    CHECK(!ewi_net_undo_on_dsack(&undo, UNA + MSS, UNA));          /* backwards */
    CHECK(!ewi_net_undo_on_dsack(&undo, UNA, UNA));                /* empty */
    CHECK(!ewi_net_undo_on_dsack(&undo, UNA, NXT));                /* more than was sent again */
    CHECK(!ewi_net_undo_on_dsack(&undo, UNA, UNA + (1u << 31)));
    CHECK(memcmp(&undo, &before, sizeof(undo)) == 0);
    CHECK(ewi_net_undo_on_dsack(&undo, UNA, UNA + MSS));
    CHECK(!ewi_net_undo_on_dsack(&undo, UNA + MSS, UNA + MSS)); /* said once */
}

static void a_dsack_across_the_end_of_the_sequence_numbers_counts(void)
{
    struct net_cc cc = window_of(10 * MSS);
    struct net_undo undo = armed_at(&cc, UINT32_MAX - UNA - 500);

    CHECK(ewi_net_undo_on_dsack(&undo, UINT32_MAX - 500, MSS - 501));
}

/* ------------------------------------------------------------------ back */

static void rfc4015_3_apply_restores_once(void)
{
    struct net_cc cc = window_of(10 * MSS), saved = cc;
    struct net_undo undo = armed_at(&cc, 0);

    CHECK_EQ(cc.cwnd, 7 * MSS);
    CHECK(ewi_net_undo_apply(&undo, &cc));
    CHECK(memcmp(&cc, &saved, sizeof(cc)) == 0);
    ewi_net_cc_on_congestion(&cc, NET_CC_LOSS, 10 * MSS);
    CHECK(!ewi_net_undo_apply(&undo, &cc)); /* I1 */
    CHECK_EQ(cc.cwnd, 7 * MSS);
}

static void what_was_dropped_is_not_applied_and_sees_no_signs(void)
{
    struct net_cc cc = window_of(10 * MSS);
    struct net_undo undo = armed_at(&cc, 0);

    ewi_net_undo_drop(&undo);
    CHECK(!ewi_net_undo_on_ack(&undo, UNA + MSS, true, 99));
    CHECK(!ewi_net_undo_on_dsack(&undo, UNA, UNA + MSS));
    CHECK(!ewi_net_undo_apply(&undo, &cc));
    CHECK_EQ(cc.cwnd, 7 * MSS);
}

static void a_second_timeout_of_a_segment_keeps_the_window_from_before_the_first(void)
{
    struct net_cc cc = window_of(10 * MSS), saved = cc;
    struct net_undo undo = {0};

    for (int i = 0; i < 3; i++) {
        ewi_net_undo_arm(&undo, &cc, UNA, NXT, i > 0);
        ewi_net_cc_on_rto(&cc, 10 * MSS, i > 0);
        ewi_net_undo_on_retransmit(&undo, MSS, true, 100 + (uint32_t)i * 50);
    }
    CHECK_EQ(cc.cwnd, MSS);
    CHECK(!ewi_net_undo_on_ack(&undo, UNA + MSS, true, 100)); /* the first retransmission arrived */
    CHECK(ewi_net_undo_apply(&undo, &cc));
    CHECK(memcmp(&cc, &saved, sizeof(cc)) == 0);
}

static void a_timeout_in_recovery_goes_back_to_recovery_only(void)
{
    struct net_cc cc = window_of(10 * MSS);
    struct net_undo undo = armed_at(&cc, 0);

    ewi_net_undo_arm(&undo, &cc, UNA, NXT, false);
    ewi_net_cc_on_rto(&cc, 7 * MSS, false);
    CHECK(ewi_net_undo_apply(&undo, &cc));
    CHECK_EQ(cc.cwnd, 7 * MSS);
}

static void rfc4015_3_what_leaves_after_an_undo_is_an_initial_window_at_most(void)
{
    CHECK_EQ(ewi_net_undo_burst(5 * MSS, 2 * MSS, MSS), 7 * MSS);
    CHECK_EQ(ewi_net_undo_burst(5 * MSS, 50 * MSS, MSS), 15 * MSS);
    CHECK_EQ(ewi_net_undo_burst(UINT32_MAX, UINT32_MAX, MSS), NET_CC_WINDOW_MAX);
}

/* Random signs: each byte counts once, whatever order they come in. */
static void no_byte_is_counted_twice(uint64_t seed)
{
    struct harness_random random = {seed};

    for (int run = 0; run < 2000; run++) {
        struct net_cc cc = window_of(10 * MSS);
        uint32_t base = (uint32_t)harness_next(&random);
        struct net_undo undo = armed_at(&cc, base);
        bool seen[12 * MSS] = {false};
        uint32_t counted = 0, extra = (uint32_t)harness_below(&random, 3);

        ewi_net_undo_on_retransmit(&undo, extra * MSS, false, 0);
        for (int i = 0; i < 20; i++) {
            uint32_t start = (uint32_t)harness_below(&random, 12) * MSS;
            uint32_t end = start + (uint32_t)harness_below(&random, 3) * MSS, was = undo.dsacked;

            ewi_net_undo_on_dsack(&undo, base + UNA - MSS + start, base + UNA - MSS + end);
            CHECK(undo.dsacked == was || undo.dsacked == was + end - start);
            for (uint32_t at = start; undo.dsacked != was && at < end; at++) {
                CHECK(at >= MSS && at < 11 * MSS && !seen[at]);
                seen[at] = true;
            }
            counted += undo.dsacked - was;
        }
        CHECK_EQ(undo.dsacked, counted);
        CHECK(undo.dsacked <= (1 + extra) * MSS); /* I2 */
    }
}

/* ------------------------------------------------------------------ F-RTO */

/* Ten segments in flight, the first sent again. */
static struct net_frto timed_out(void)
{
    struct net_frto frto;

    ewi_net_frto_begin(&frto, NXT, UNA + MSS, true);
    return frto;
}

static enum net_frto_verdict advance(struct net_frto *frto, uint32_t una)
{
    struct net_frto_ack ack = {.una = una, .advanced = true, .can_send_new = true};

    return ewi_net_frto_on_ack(frto, &ack);
}

static enum net_frto_verdict duplicate(struct net_frto *frto)
{
    struct net_frto_ack ack = {.una = UNA, .duplicate = true, .can_send_new = true};

    return ewi_net_frto_on_ack(frto, &ack);
}

static void rfc5682_2_1_two_acks_that_advance_are_spurious(void)
{
    struct net_frto frto = timed_out();

    CHECK_EQ(advance(&frto, UNA + MSS), NET_FRTO_SEND_NEW);
    CHECK_EQ(advance(&frto, UNA + 2 * MSS), NET_FRTO_SPURIOUS);
    CHECK_EQ(advance(&frto, UNA + 3 * MSS), NET_FRTO_NONE); /* said once */
}

static void rfc5682_2_1_step_2a_a_duplicate_first_means_lost(void)
{
    struct net_frto frto = timed_out();

    CHECK_EQ(duplicate(&frto), NET_FRTO_LOST);
    CHECK_EQ(advance(&frto, UNA + MSS), NET_FRTO_NONE);
}

static void rfc5682_2_1_step_2a_an_ack_for_everything_decides_nothing(void)
{
    struct net_frto all = timed_out(), part = timed_out();

    CHECK_EQ(advance(&all, NXT), NET_FRTO_LOST);
    CHECK_EQ(advance(&part, UNA + MSS - 1), NET_FRTO_LOST); /* less than what was sent again */
}

static void rfc5682_2_1_step_2b_without_new_data_it_is_as_usual(void)
{
    struct net_frto frto = timed_out();
    struct net_frto_ack ack = {.una = UNA + MSS, .advanced = true};

    CHECK_EQ(ewi_net_frto_on_ack(&frto, &ack), NET_FRTO_LOST);
}

static void rfc5682_2_1_step_3a_a_duplicate_second_means_lost(void)
{
    struct net_frto frto = timed_out();

    CHECK_EQ(advance(&frto, UNA + MSS), NET_FRTO_SEND_NEW);
    CHECK_EQ(duplicate(&frto), NET_FRTO_LOST_LATE);
    CHECK_EQ(duplicate(&frto), NET_FRTO_NONE);
}

static void rfc5682_2_1_a_window_update_decides_nothing(void)
{
    struct net_frto frto = timed_out();
    struct net_frto_ack update = {.una = UNA, .can_send_new = true};

    CHECK_EQ(ewi_net_frto_on_ack(&frto, &update), NET_FRTO_NONE);
    CHECK_EQ(advance(&frto, UNA + MSS), NET_FRTO_SEND_NEW);
    CHECK_EQ(ewi_net_frto_on_ack(&frto, &update), NET_FRTO_NONE);
    CHECK_EQ(advance(&frto, UNA + 2 * MSS), NET_FRTO_SPURIOUS);
}

static void rfc5682_3_1_with_sack_only_an_original_proves_it(void)
{
    struct net_frto frto = timed_out();
    struct net_frto_ack ack = {.una = UNA + 2 * MSS, .advanced = true, .sack = true};

    CHECK_EQ(advance(&frto, UNA + MSS), NET_FRTO_SEND_NEW);
    CHECK_EQ(ewi_net_frto_on_ack(&frto, &ack), NET_FRTO_NONE); /* it was received before */
    ack.advanced = false;
    ack.duplicate = true;
    ack.original = true; /* selectively */
    ack.above = true;
    CHECK_EQ(ewi_net_frto_on_ack(&frto, &ack), NET_FRTO_SPURIOUS);
}

static void rfc5682_3_1_with_sack_new_data_first_means_lost(void)
{
    struct net_frto frto = timed_out();
    struct net_frto_ack ack = {.una = UNA + MSS, .duplicate = true, .sack = true, .above = true};

    CHECK_EQ(advance(&frto, UNA + MSS), NET_FRTO_SEND_NEW);
    CHECK_EQ(ewi_net_frto_on_ack(&frto, &ack), NET_FRTO_LOST_LATE);
}

static void rfc5682_2_1_step_1_not_for_the_same_segment_again(void)
{
    struct net_frto frto;

    ewi_net_frto_begin(&frto, NXT, UNA + MSS, false);
    CHECK_EQ(advance(&frto, UNA + MSS), NET_FRTO_NONE);
    CHECK_EQ(duplicate(&frto), NET_FRTO_NONE);
}

static void rfc5682_sequence_numbers_wrap(void)
{
    struct net_frto frto;

    ewi_net_frto_begin(&frto, 9000, UINT32_MAX - 500, true);
    CHECK_EQ(advance(&frto, 100), NET_FRTO_SEND_NEW);
    ewi_net_frto_begin(&frto, 9000, UINT32_MAX - 500, true);
    CHECK_EQ(advance(&frto, 9000), NET_FRTO_LOST);
}

int main(int argc, char **argv)
{
    RUN(rfc3522_an_echo_from_before_the_retransmission_is_spurious);
    RUN(rfc3522_the_same_tick_and_later_prove_nothing);
    RUN(rfc3522_only_the_first_acceptable_ack_decides);
    RUN(rfc3522_the_first_retransmission_counts);
    RUN(rfc3522_the_timestamp_clock_wraps);
    RUN(without_timestamps_an_ack_proves_nothing);
    RUN(nothing_sent_again_is_nothing_spurious);
    RUN(rfc3708_2_every_retransmission_a_duplicate_is_spurious);
    RUN(rfc3708_2_one_that_was_really_lost_is_enough);
    RUN(rfc3708_2_the_same_duplicate_twice_counts_once);
    RUN(rfc3708_2_what_was_sent_again_twice_never_decides);
    RUN(a_hostile_dsack_is_ignored);
    RUN(a_dsack_across_the_end_of_the_sequence_numbers_counts);
    RUN(rfc4015_3_apply_restores_once);
    RUN(what_was_dropped_is_not_applied_and_sees_no_signs);
    RUN(a_second_timeout_of_a_segment_keeps_the_window_from_before_the_first);
    RUN(a_timeout_in_recovery_goes_back_to_recovery_only);
    RUN(rfc4015_3_what_leaves_after_an_undo_is_an_initial_window_at_most);
    RUN(rfc5682_2_1_two_acks_that_advance_are_spurious);
    RUN(rfc5682_2_1_step_2a_a_duplicate_first_means_lost);
    RUN(rfc5682_2_1_step_2a_an_ack_for_everything_decides_nothing);
    RUN(rfc5682_2_1_step_2b_without_new_data_it_is_as_usual);
    RUN(rfc5682_2_1_step_3a_a_duplicate_second_means_lost);
    RUN(rfc5682_2_1_a_window_update_decides_nothing);
    RUN(rfc5682_3_1_with_sack_only_an_original_proves_it);
    RUN(rfc5682_3_1_with_sack_new_data_first_means_lost);
    RUN(rfc5682_2_1_step_1_not_for_the_same_segment_again);
    RUN(rfc5682_sequence_numbers_wrap);
    HARNESS_FOR_EACH_SEED(argc, argv, seed) {
        no_byte_is_counted_twice(seed);
    }
    return 0;
}
