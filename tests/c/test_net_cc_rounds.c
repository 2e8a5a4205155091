/* What congestion control learns round by round: HyStart++ (RFC 9406) and DCTCP (RFC 8257) by script. */
#include "tests/c/harness.h"
#include "tests/c/net_cc_base.h"

#define ONE (1u << 20) /* DCTCP's alpha */

/* ------------------------------------------------------------------ HyStart++ by script */

struct script {
    struct net_cc cc;
    uint32_t una;
};

static struct script slow_starting(enum net_cc_kind kind, uint32_t isn)
{
    struct script script = {.una = isn};

    ewi_net_cc_init(&script.cc, kind, MSS, isn, false, true);
    return script;
}

/* One round: so many ACKs of one byte each with this round trip; the last one ends it. */
static void round_of(struct script *script, int samples, uint64_t rtt)
{
    uint32_t end = script->una + (uint32_t)samples;

    script->cc.u.rounds.end = end; /* what an ACK at the end of the last round would have said */
    for (int i = 0; i < samples; i++) {
        struct net_cc_ack ack = ack_of(1);

        ack.rtt = rtt;
        ack.una = ++script->una;
        ack.nxt = end;
        ewi_net_cc_on_ack(&script->cc, &ack);
    }
}

static void rfc9406_4_2_rounds_end_when_their_last_byte_is_acked(void)
{
    struct net_cc cc;
    struct net_cc_ack ack = {.acked = 1, .rtt = 50 * MS, .una = UINT32_MAX - 5, .nxt = 10};

    ewi_net_cc_init(&cc, NET_CC_NEWRENO, MSS, ack.una, false, true);
    ewi_net_cc_on_ack(&cc, &ack);
    CHECK_EQ(cc.u.rounds.end, 10);
    ack.nxt = 20;
    ack.una = 9; /* the sequence has wrapped */
    ewi_net_cc_on_ack(&cc, &ack);
    CHECK_EQ(cc.u.rounds.end, 10);
    CHECK_EQ(cc.samples, 2);
    ack.una = 10;
    ewi_net_cc_on_ack(&cc, &ack);
    CHECK_EQ(cc.u.rounds.end, 20);
    CHECK_EQ(cc.samples, 0);
    CHECK_EQ(cc.u.rounds.last_min, 50 * MS);
    CHECK_EQ(cc.u.rounds.now_min, UINT32_MAX);
}

/* last / 8 = 6.25 ms for 50 ms. */
static void rfc9406_4_2_eight_samples_with_more_delay_begin_css(void)
{
    struct script script = slow_starting(NET_CC_CUBIC, 0);

    round_of(&script, 10, 50 * MS);
    round_of(&script, 7, 57 * MS);
    CHECK_EQ(script.cc.hystart, NET_HYSTART_SLOW_START); /* seven samples do not count */
    round_of(&script, 10, 50 * MS);
    round_of(&script, 10, 56249999);
    CHECK_EQ(script.cc.hystart, NET_HYSTART_SLOW_START);
    round_of(&script, 10, 50 * MS);
    round_of(&script, 10, 56250000);
    CHECK_EQ(script.cc.hystart, NET_HYSTART_CSS);
    CHECK_EQ(script.cc.u.rounds.baseline, 56250000);
}

static void threshold_is(uint64_t last, uint64_t threshold)
{
    struct script below = slow_starting(NET_CC_NEWRENO, 0);
    struct script at = slow_starting(NET_CC_NEWRENO, 0);

    round_of(&below, 8, last);
    round_of(&below, 8, last + threshold - 1);
    CHECK_EQ(below.cc.hystart, NET_HYSTART_SLOW_START);
    round_of(&at, 8, last);
    round_of(&at, 8, last + threshold);
    CHECK_EQ(at.cc.hystart, NET_HYSTART_CSS);
}

static void rfc9406_4_3_the_threshold_is_an_eighth_within_4_and_16_ms(void)
{
    threshold_is(1 * MS, 4 * MS);
    threshold_is(32 * MS, 4 * MS);
    threshold_is(80 * MS, 10 * MS);
    threshold_is(128 * MS, 16 * MS);
    threshold_is(800 * MS, 16 * MS);
}

static void rfc9406_4_2_css_grows_by_a_quarter(void)
{
    struct script script = slow_starting(NET_CC_CUBIC, 0);
    struct net_cc_ack ack = ack_of(3);
    uint32_t cwnd;

    round_of(&script, 8, 50 * MS);
    round_of(&script, 8, 70 * MS);
    CHECK_EQ(script.cc.hystart, NET_HYSTART_CSS);
    cwnd = script.cc.cwnd;
    ack.una = script.una;
    script.cc.counted = 0;
    script.cc.u.rounds.end = script.una + 1000;
    for (int i = 0; i < 400; i++)
        ewi_net_cc_on_ack(&script.cc, &ack);
    CHECK_EQ(script.cc.cwnd, cwnd + 300); /* nothing of 400 * 3 / 4 is lost by rounding */
    ack.acked = 8 * MSS;
    ewi_net_cc_on_ack(&script.cc, &ack);
    CHECK_EQ(script.cc.cwnd, cwnd + 300 + 8 * MSS / 4);
}

static void rfc9406_4_3_unpaced_slow_start_takes_a_batch_per_ack(void)
{
    struct script script = slow_starting(NET_CC_NEWRENO, 0);

    acks(&script.cc, 9 * MSS);
    CHECK_EQ(script.cc.cwnd, 19 * MSS);
    script.cc.cwnd = 100 * MSS;
    acks(&script.cc, 70 * MSS);
    CHECK_EQ(script.cc.cwnd, 164 * MSS);
}

/* The round in which CSS begins is the first of five. */
static void rfc9406_4_2_five_rounds_of_css_end_slow_start(void)
{
    struct script script = slow_starting(NET_CC_CUBIC, UINT32_MAX - 3000);

    round_of(&script, 8, 50 * MS);
    for (int round = 1; round <= 4; round++) {
        round_of(&script, 8, 70 * MS);
        CHECK_EQ(script.cc.hystart, NET_HYSTART_CSS);
        CHECK_EQ(script.cc.css_rounds, round);
    }
    round_of(&script, 8, 70 * MS);
    CHECK_EQ(script.cc.hystart, NET_HYSTART_OFF);
    CHECK_EQ(script.cc.ssthresh, script.cc.cwnd);
}

static void rfc9406_4_2_less_delay_in_css_resumes_slow_start(void)
{
    struct script script = slow_starting(NET_CC_CUBIC, 0);

    round_of(&script, 8, 50 * MS);
    round_of(&script, 8, 70 * MS);
    round_of(&script, 7, 60 * MS); /* seven samples do not count */
    CHECK_EQ(script.cc.hystart, NET_HYSTART_CSS);
    round_of(&script, 8, 70 * MS); /* not below the baseline */
    CHECK_EQ(script.cc.hystart, NET_HYSTART_CSS);
    round_of(&script, 8, 69 * MS);
    CHECK_EQ(script.cc.hystart, NET_HYSTART_SLOW_START);
    CHECK_EQ(script.cc.u.rounds.baseline, UINT32_MAX);
    round_of(&script, 8, 90 * MS); /* and five rounds are counted afresh */
    CHECK_EQ(script.cc.hystart, NET_HYSTART_CSS);
    CHECK_EQ(script.cc.css_rounds, 1);
}

static void rfc9406_4_2_a_round_of_many_samples_is_judged_to_its_end(void)
{
    struct script script = slow_starting(NET_CC_CUBIC, 0);
    struct net_cc_ack ack = ack_of(1);

    round_of(&script, 8, 50 * MS);
    round_of(&script, 8, 70 * MS);
    script.cc.u.rounds.end = script.una + 1000;
    ack.una = script.una;
    ack.rtt = 70 * MS;
    for (int i = 0; i < 256; i++)
        ewi_net_cc_on_ack(&script.cc, &ack);
    CHECK_EQ(script.cc.hystart, NET_HYSTART_CSS);
    ack.rtt = 60 * MS;
    ewi_net_cc_on_ack(&script.cc, &ack);
    CHECK_EQ(script.cc.hystart, NET_HYSTART_SLOW_START);
}

static void rfc9406_4_2_acks_without_a_sample_do_not_count(void)
{
    struct script script = slow_starting(NET_CC_CUBIC, 0);

    round_of(&script, 8, 50 * MS);
    round_of(&script, 300, 0);
    CHECK_EQ(script.cc.u.rounds.last_min, UINT32_MAX);
    round_of(&script, 300, 90 * MS); /* nothing to compare with */
    CHECK_EQ(script.cc.hystart, NET_HYSTART_SLOW_START);
}

static void rfc9406_4_2_loss_marks_and_timeouts_end_it_for_good(void)
{
    struct script loss = slow_starting(NET_CC_CUBIC, 0), ece = loss, rto = loss;

    ewi_net_cc_on_congestion(&loss.cc, NET_CC_LOSS, 10 * MSS);
    ewi_net_cc_on_congestion(&ece.cc, NET_CC_ECE, 10 * MSS);
    ewi_net_cc_on_rto(&rto.cc, 10 * MSS, false);
    CHECK_EQ(loss.cc.hystart, NET_HYSTART_OFF);
    CHECK_EQ(ece.cc.hystart, NET_HYSTART_OFF);
    CHECK_EQ(rto.cc.hystart, NET_HYSTART_OFF);
    round_of(&rto, 8, 50 * MS);
    round_of(&rto, 8, 90 * MS);
    CHECK_EQ(rto.cc.hystart, NET_HYSTART_OFF);
}

static void a_round_trip_of_microseconds_never_leaves_slow_start_by_jitter(void)
{
    struct script script = slow_starting(NET_CC_CUBIC, 0);

    for (int i = 0; i < 100; i++)
        round_of(&script, 8, 50000 + (uint64_t)(i % 2) * 1000000);
    CHECK_EQ(script.cc.hystart, NET_HYSTART_SLOW_START);
}

static void undo_into_slow_start_goes_on_with_hystart(void)
{
    struct script script = slow_starting(NET_CC_CUBIC, 0);
    struct net_cc saved = script.cc;

    ewi_net_cc_on_rto(&script.cc, 10 * MSS, false);
    CHECK(ewi_net_cc_undo(&script.cc, &saved));
    CHECK_EQ(script.cc.hystart, NET_HYSTART_SLOW_START);
    CHECK_EQ(script.cc.ssthresh, NET_CC_WINDOW_MAX);
}

/* ------------------------------------------------------------------ DCTCP */

/* One window of so many bytes, of which the last ones are marked. */
static void dctcp_window(struct net_cc *cc, uint32_t acked, uint32_t marked, uint32_t *una)
{
    struct net_cc_ack ack = {.una = *una, .acked = acked - marked};

    cc->u.dctcp.window_end = *una + acked;
    ewi_net_cc_on_ack(cc, &ack);
    *una += acked + 1;
    ack = (struct net_cc_ack){.una = *una, .nxt = *una, .acked = marked, .ece = true};
    ewi_net_cc_on_ack(cc, &ack);
}

static void rfc8257_3_3_alpha_begins_at_one_and_follows_the_marks(void)
{
    struct net_cc cc = avoiding(NET_CC_DCTCP, 100 * MSS);
    uint32_t una = 1;

    CHECK_EQ(cc.u.dctcp.alpha, ONE);
    dctcp_window(&cc, 100 * MSS, 0, &una);
    CHECK_EQ(cc.u.dctcp.alpha, ONE / 16 * 15);
    dctcp_window(&cc, 100 * MSS, 50 * MSS, &una); /* 15/16 * 15/16 + 1/16 * 1/2 */
    CHECK_EQ(cc.u.dctcp.alpha, ONE / 256 * 225 + ONE / 32);
}

static void rfc8257_3_3_alpha_stays_one_while_everything_is_marked(void)
{
    struct net_cc cc = avoiding(NET_CC_DCTCP, 100 * MSS);
    uint32_t una = UINT32_MAX - 5000;

    for (int i = 0; i < 100; i++)
        dctcp_window(&cc, 1000, 1000, &una);
    CHECK_EQ(cc.u.dctcp.alpha, ONE);
}

static void rfc8257_4_1_alpha_reaches_zero(void)
{
    struct net_cc cc = avoiding(NET_CC_DCTCP, 100 * MSS);
    uint32_t una = 1;

    for (int i = 0; i < 300; i++)
        dctcp_window(&cc, 1000, 0, &una);
    CHECK_EQ(cc.u.dctcp.alpha, 0);
}

static void rfc8257_3_3_step_4_the_window_ends_beyond_its_last_byte(void)
{
    struct net_cc cc = avoiding(NET_CC_DCTCP, 100 * MSS);
    struct net_cc_ack ack = {.una = 100, .nxt = 5000, .acked = 100};

    ewi_net_cc_on_ack(&cc, &ack);
    CHECK_EQ(cc.u.dctcp.window_end, 5000);
    ack.una = 5000;
    ack.ece = true;
    ewi_net_cc_on_ack(&cc, &ack);
    CHECK_EQ(cc.u.dctcp.marked, 100);
    ack.una = 5001;
    ewi_net_cc_on_ack(&cc, &ack);
    CHECK_EQ(cc.u.dctcp.marked, 0);
}

static void rfc8257_3_3_step_9_a_mark_cuts_by_half_of_alpha(void)
{
    struct net_cc cc = avoiding(NET_CC_DCTCP, 100 * MSS);

    cc.u.dctcp.alpha = ONE / 10;
    ewi_net_cc_on_congestion(&cc, NET_CC_ECE, 100 * MSS);
    CHECK(cc.cwnd >= 95 * MSS && cc.cwnd <= 95 * MSS + 1);
    CHECK_EQ(cc.ssthresh, cc.cwnd);
    cc.u.dctcp.alpha = 0;
    ewi_net_cc_on_congestion(&cc, NET_CC_ECE, 100 * MSS);
    CHECK(cc.cwnd >= 95 * MSS);
    cc = avoiding(NET_CC_DCTCP, 100 * MSS);
    ewi_net_cc_on_congestion(&cc, NET_CC_ECE, 100 * MSS); /* alpha is 1 */
    CHECK_EQ(cc.cwnd, 50 * MSS);
}

static void rfc8257_3_5_loss_halves(void)
{
    struct net_cc cc = avoiding(NET_CC_DCTCP, 100 * MSS);

    cc.u.dctcp.alpha = 0;
    ewi_net_cc_on_congestion(&cc, NET_CC_LOSS, 80 * MSS);
    CHECK_EQ(cc.cwnd, 40 * MSS);
}

static void dctcp_counts_while_the_application_is_quiet(void)
{
    struct net_cc cc = avoiding(NET_CC_DCTCP, 100 * MSS);
    struct net_cc_ack ack = {.una = 1, .nxt = 2, .acked = UINT32_MAX, .ece = true};

    cc.u.dctcp.window_end = 10;
    ewi_net_cc_on_ack(&cc, &ack);
    ewi_net_cc_on_ack(&cc, &ack); /* no overflow */
    CHECK_EQ(cc.u.dctcp.acked, UINT32_MAX);
    CHECK_EQ(cc.u.dctcp.marked, UINT32_MAX);
    CHECK_EQ(cc.cwnd, 100 * MSS);
}

int main(void)
{
    RUN(rfc9406_4_2_rounds_end_when_their_last_byte_is_acked);
    RUN(rfc9406_4_2_eight_samples_with_more_delay_begin_css);
    RUN(rfc9406_4_3_the_threshold_is_an_eighth_within_4_and_16_ms);
    RUN(rfc9406_4_2_css_grows_by_a_quarter);
    RUN(rfc9406_4_3_unpaced_slow_start_takes_a_batch_per_ack);
    RUN(rfc9406_4_2_five_rounds_of_css_end_slow_start);
    RUN(rfc9406_4_2_less_delay_in_css_resumes_slow_start);
    RUN(rfc9406_4_2_a_round_of_many_samples_is_judged_to_its_end);
    RUN(rfc9406_4_2_acks_without_a_sample_do_not_count);
    RUN(rfc9406_4_2_loss_marks_and_timeouts_end_it_for_good);
    RUN(a_round_trip_of_microseconds_never_leaves_slow_start_by_jitter);
    RUN(undo_into_slow_start_goes_on_with_hystart);
    RUN(rfc8257_3_3_alpha_begins_at_one_and_follows_the_marks);
    RUN(rfc8257_3_3_alpha_stays_one_while_everything_is_marked);
    RUN(rfc8257_4_1_alpha_reaches_zero);
    RUN(rfc8257_3_3_step_4_the_window_ends_beyond_its_last_byte);
    RUN(rfc8257_3_3_step_9_a_mark_cuts_by_half_of_alpha);
    RUN(rfc8257_3_5_loss_halves);
    RUN(dctcp_counts_while_the_application_is_quiet);
    return 0;
}
