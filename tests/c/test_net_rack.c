/* RFC 8985: is loss found by time, and a lost tail by a probe? Its examples, as scripts. */
#include "tests/c/net_runs_base.h"

#define RTT (100 * MS)

struct flow { /* a sender with RACK, driven as rack.h says */
    struct sender s;
    struct net_rack rack;
    uint64_t srtt_ns, again_ns;
    uint32_t lost_bytes;
    bool in_recovery;
    enum net_tlp_verdict verdict;
};

static void start(struct flow *f)
{
    memset(f, 0, sizeof(*f));
    sender_init(&f->s, SENDER_RUNS, SENDER_RUNS);
    ewi_net_rack_init(&f->rack);
}

static void detect(struct flow *f)
{
    uint64_t reo_wnd_ns =
        ewi_net_rack_reo_wnd(&f->rack, &f->s.runs, f->in_recovery, f->s.min_rtt_ns,
                             f->srtt_ns);

    f->again_ns = ewi_net_rack_detect(&f->rack, &f->s.pool, &f->s.runs, reo_wnd_ns, f->s.now_ns,
                                      &f->lost_bytes);
    sound(&f->s);
}

static void acked(struct flow *f, uint32_t position, const uint32_t blocks[8])
{
    uint64_t una = f->s.runs.una;
    bool is_bare = START + position == una && blocks[0] == blocks[1];

        CHECK_EQ(arrives(&f->s, position, blocks), EW_OK);
    if (f->s.acked.rtt_ns != 0) {
        ewi_net_rack_rtt(&f->rack);
        if (f->s.min_rtt_ns == 0 || f->s.acked.rtt_ns < f->s.min_rtt_ns)
            f->s.min_rtt_ns = f->s.acked.rtt_ns;
        f->srtt_ns = f->s.acked.rtt_ns;
    }
    ewi_net_rack_ack(&f->rack, &f->s.runs, &f->s.acked, f->s.now_ns);
    f->verdict = ewi_net_tlp_ack(&f->rack, START + position, &f->s.acked, is_bare);
    detect(f);
}

#define ACKED(f, position, ...) acked((f), (position), (const uint32_t[8]){__VA_ARGS__})

/* One exchange, so that SRTT and min_RTT are RTT: then segments begin at 1000. */
static void warm_up(struct flow *f)
{
    start(f);
    departs(&f->s, 1000);
    f->s.now_ns += RTT;
    ACKED(f, 1000, 0);
    CHECK(f->s.min_rtt_ns == RTT && f->rack.rtt_ns == RTT);
    CHECK(f->rack.end == START + 1000);
}

/* ---- section 3.4: the tail of a flight ---- */

/* Section 3.4, example 1: P1 to P3 leave, P1 and P2 are lost, the SACK of P3 and the reordering
 * window find them. */
static void rfc8985_3_4_the_middle_is_found_by_a_later_segment(void)
{
    struct flow f;

    warm_up(&f);
    for (int i = 0; i < 3; i++) {
        departs(&f.s, 1000);
        f.s.now_ns += MS;
    }
    f.s.now_ns += RTT - MS;
    ACKED(&f, 1000, 3000, 4000);
    CHECK_EQ(f.lost_bytes, 0); /* they may be reordered: min_RTT / 4 */
    CHECK(f.again_ns == f.s.now_ns + RTT / 4 - MS);
    f.s.now_ns = f.again_ns - 1; /* too early for the second; the first went 1 ms before it */
    detect(&f);
    CHECK_EQ(f.lost_bytes, 1000);
    f.s.now_ns += 1;
    detect(&f);
    CHECK_EQ(f.lost_bytes, 1000);
    SHOWS(&f.s, "lost 1000+2000, sacked 3000+1000");
    CHECK(f.again_ns == UINT64_MAX);
}

/* Section 3.4, example 2: the probe of a lost tail makes the SACK that finds the others. */
static void rfc8985_3_4_a_probe_finds_a_lost_tail(void)
{
    uint64_t from, due_ns;
    uint32_t bytes;
    struct flow f;

    warm_up(&f);
    departs(&f.s, 3000);
    CHECK(ewi_net_tlp_may_arm(&f.s.runs, false));
    due_ns = ewi_net_tlp_due(&f.s.pool, &f.s.runs, f.srtt_ns, 0, UINT64_MAX, f.s.now_ns);
    CHECK(due_ns == f.s.now_ns + 2 * RTT);
    f.s.now_ns = due_ns;
    CHECK_EQ(ewi_net_tlp_choose(&f.rack, &f.s.pool, &f.s.runs, false), NET_TLP_LAST);
    CHECK(ewi_net_runs_last_segment(&f.s.pool, &f.s.runs, &from, &bytes));
    CHECK(from == START + 3000 && bytes == 1000);
    departs_again(&f.s, 3000, 1000);
    ewi_net_tlp_sent(&f.rack, &f.s.runs, NET_TLP_LAST);
    f.s.now_ns += RTT;
    ACKED(&f, 1000, 3000, 4000);
    CHECK_EQ(f.lost_bytes, 2000); /* sent two round trips before the probe: no need to wait */
    SHOWS(&f.s, "lost 1000+2000, sacked 3000+1000");
    CHECK_EQ(f.verdict, NET_TLP_NOTHING);
}

/* Section 3.2: a retransmission that is lost is found by what was sent after it. */
static void rfc8985_3_2_a_lost_retransmission_is_found(void)
{
    struct flow f;

    warm_up(&f);
    departs(&f.s, 4000);
    f.s.now_ns += RTT;
    ACKED(&f, 1000, 2000, 5000); /* three segments: DupThresh, no waiting */
    CHECK_EQ(f.lost_bytes, 1000);
    f.in_recovery = true;
    departs_again(&f.s, 1000, 1000);
    f.s.now_ns += MS;
    departs(&f.s, 1000);
    f.s.now_ns += RTT;
    ACKED(&f, 1000, 2000, 6000);
    CHECK_EQ(f.lost_bytes, 1000);
    SHOWS(&f.s, "lost 1000+1000, sacked 2000+4000");
}

/* ---- section 6.2 ---- */

static void rfc8985_6_2_step_2_a_spurious_retransmission_is_no_sample(void)
{
    struct flow f;
    uint64_t xmit_ns;

    warm_up(&f);
    departs(&f.s, 2000);
    xmit_ns = f.rack.xmit_ns;
    f.s.now_ns += RTT;
    departs_again(&f.s, 1000, 1000);
    f.s.now_ns += RTT / 2; /* sooner than any round trip: the original */
    ACKED(&f, 1000, 1000, 1500);
    ACKED(&f, 2000, 0);
    CHECK(f.rack.xmit_ns == xmit_ns);
    CHECK(f.rack.end == START + 1000);
}

static void rfc8985_6_2_step_2_an_echo_from_before_is_no_sample(void)
{
    struct flow f;
    uint64_t xmit_ns;

    warm_up(&f);
    departs(&f.s, 3000);
    xmit_ns = f.rack.xmit_ns;
    f.s.now_ns += RTT;
    departs_again(&f.s, 1000, 2000);
    f.s.sent_by_ns = f.s.now_ns - 1;
    f.s.now_ns += RTT;
    ACKED(&f, 2000, 0);
    CHECK(f.rack.xmit_ns == xmit_ns);
    f.s.sent_by_ns = f.s.now_ns;
    ACKED(&f, 3000, 0);
    CHECK(f.rack.xmit_ns == f.s.now_ns - RTT && f.rack.rtt_ns == RTT);
}

static void rfc8985_6_2_step_2_the_segment_never_goes_back(void)
{
    struct flow f;

    warm_up(&f);
    departs(&f.s, 1000);
    f.s.now_ns += MS;
    departs(&f.s, 1000);
    f.s.now_ns += RTT;
    ACKED(&f, 1000, 2000, 3000);
    CHECK(f.rack.end == START + 3000);
    ACKED(&f, 3000, 0); /* the older one, late */
    CHECK(f.rack.end == START + 3000);
    CHECK(f.rack.xmit_ns == f.s.now_ns - RTT);
}

static void rfc8985_6_2_step_3_reordering_is_seen(void)
{
    struct flow f;

    warm_up(&f);
    departs(&f.s, 3000);
    f.s.now_ns += RTT;
    ACKED(&f, 1000, 3000, 4000);
    CHECK(!f.rack.reordering_seen);
    ACKED(&f, 1000, 2000, 4000); /* sent once, below fack */
    CHECK(f.rack.reordering_seen);
    departs(&f.s, 1000);
    ACKED(&f, 4000, 0);
    ACKED(&f, 5000, 0); /* and stays so */
    CHECK(f.rack.reordering_seen);
}

static void rfc8985_6_2_step_3_a_filled_hole_is_no_reordering(void)
{
    struct flow f;

    warm_up(&f);
    departs(&f.s, 3000);
    f.s.now_ns += RTT;
    ACKED(&f, 1000, 2000, 3000, 3000, 4000); /* blocks of one ACK in any order: none either */
    CHECK(!f.rack.reordering_seen);
    f.s.now_ns += RTT;
    departs_again(&f.s, 1000, 1000);
    f.s.now_ns += RTT;
    ACKED(&f, 4000, 0);
    CHECK(!f.rack.reordering_seen);
}

static void rfc8985_6_2_step_4_without_reordering_recovery_does_not_wait(void)
{
    struct flow f;

    warm_up(&f);
    departs(&f.s, 5000);
    CHECK(ewi_net_rack_reo_wnd(&f.rack, &f.s.runs, false, f.s.min_rtt_ns, f.srtt_ns) == RTT / 4);
    CHECK(ewi_net_rack_reo_wnd(&f.rack, &f.s.runs, true, f.s.min_rtt_ns, f.srtt_ns) == 0);
    ARRIVES(&f.s, 1000, 3000, 5000); /* two sacked */
    CHECK(ewi_net_rack_reo_wnd(&f.rack, &f.s.runs, false, f.s.min_rtt_ns, f.srtt_ns) == RTT / 4);
    ARRIVES(&f.s, 1000, 3000, 6000); /* three: DupThresh */
    CHECK(ewi_net_rack_reo_wnd(&f.rack, &f.s.runs, false, f.s.min_rtt_ns, f.srtt_ns) == 0);
    f.rack.reordering_seen = true;
    CHECK(ewi_net_rack_reo_wnd(&f.rack, &f.s.runs, true, f.s.min_rtt_ns, f.srtt_ns) == RTT / 4);
}

static void rfc8985_6_2_step_4_duplicates_widen_once_a_round(void)
{
    struct flow f;

    warm_up(&f);
    departs(&f.s, 4000);
    ACKED(&f, 1000, 0, 500);
    CHECK_EQ(f.rack.reo_wnd_mult, 2);
    ACKED(&f, 1000, 500, 1000); /* the same round */
    CHECK_EQ(f.rack.reo_wnd_mult, 2);
    f.s.now_ns += RTT;
    ACKED(&f, 5000, 0); /* SND.UNA has reached what SND.NXT was */
    departs(&f.s, 1000);
    ACKED(&f, 5000, 0, 500);
    CHECK_EQ(f.rack.reo_wnd_mult, 3);
    CHECK(ewi_net_rack_reo_wnd(&f.rack, &f.s.runs, false, f.s.min_rtt_ns, RTT) == 3 * RTT / 4);
    f.rack.reo_wnd_mult = 200;
    CHECK(ewi_net_rack_reo_wnd(&f.rack, &f.s.runs, false, f.s.min_rtt_ns, RTT) == RTT); /* never above SRTT */
}

static void rfc8985_6_2_step_4_sixteen_clean_recoveries_reset_the_window(void)
{
    struct flow f;

    warm_up(&f);
    departs(&f.s, 1000);
    ACKED(&f, 1000, 0, 500);
    CHECK_EQ(f.rack.reo_wnd_mult, 2);
    CHECK_EQ(f.rack.reo_wnd_persist, NET_RACK_PERSIST);
    for (int i = 0; i < NET_RACK_PERSIST - 1; i++)
        ewi_net_rack_recovery_ended(&f.rack);
    CHECK_EQ(f.rack.reo_wnd_mult, 2);
    ewi_net_rack_recovery_ended(&f.rack);
    CHECK_EQ(f.rack.reo_wnd_mult, 1);
    ewi_net_rack_recovery_ended(&f.rack);
    CHECK_EQ(f.rack.reo_wnd_mult, 1);
    CHECK_EQ(f.rack.reo_wnd_persist, 0);
}

static void a_liar_cannot_overflow_the_window(void)
{
    struct flow f;

    warm_up(&f);
    for (uint32_t i = 1; i < 600; i++) {
        departs(&f.s, 1000);
        ACKED(&f, 1000 * i, 1000 * i - 500, 1000 * i);
        ACKED(&f, 1000 * (i + 1), 0);
    }
    CHECK_EQ(f.rack.reo_wnd_mult, UINT8_MAX);
}

static void rfc8985_6_2_step_5_equal_times_are_ordered_by_sequence(void)
{
    struct flow f;

    warm_up(&f);
    departs(&f.s, 5000); /* one time */
    f.in_recovery = true; /* no window */
    f.s.now_ns += RTT;
    ACKED(&f, 1000, 3000, 4000);
    SHOWS(&f.s, "lost 1000+2000, sacked 3000+1000, sent 4000+2000");
}

static void rfc8985_6_2_step_5_nothing_is_lost_before_a_delivery(void)
{
    struct flow f;

    start(&f);
    departs(&f.s, 3000);
    f.s.now_ns += 100 * RTT;
    detect(&f);
    CHECK_EQ(f.lost_bytes, 0);
    CHECK(f.again_ns == UINT64_MAX);
}

static void rfc8985_6_2_step_5_what_was_sent_later_is_not_lost(void)
{
    struct flow f;

    warm_up(&f);
    departs(&f.s, 2000);
    f.s.now_ns += RTT;
    departs(&f.s, 2000);
    ACKED(&f, 1000, 2000, 3000);
    f.s.now_ns += 50 * RTT;
    detect(&f);
    SHOWS(&f.s, "lost 1000+1000, sacked 2000+1000, sent 3000+2000");
}

/* gvisor#6113: with a round trip of a microsecond nothing may stop. */
static void microsecond_round_trips_work(void)
{
    struct flow f;

    start(&f);
    departs(&f.s, 1000);
    f.s.now_ns += 1000;
    ACKED(&f, 1000, 0);
    departs(&f.s, 2000);
    f.s.now_ns += 1000;
    ACKED(&f, 1000, 2000, 3000);
    CHECK(f.again_ns == f.s.now_ns + 250);
    f.s.now_ns += 250;
    detect(&f);
    CHECK_EQ(f.lost_bytes, 1000);
}

/* ---- section 6.3 ---- */

static void rfc8985_6_3_a_timeout_marks_the_first_and_the_old(void)
{
    struct flow f;

    warm_up(&f);
    departs(&f.s, 2000);
    f.s.now_ns += 3 * RTT;
    departs(&f.s, 2000);
    f.s.now_ns += RTT / 2;
    ewi_net_rack_timeout(&f.rack, &f.s.pool, &f.s.runs, 0, f.s.now_ns);
    sound(&f.s);
    SHOWS(&f.s, "lost 1000+2000, sent 3000+2000");
}

static void rfc8985_6_3_a_young_first_segment_is_lost_too(void)
{
    struct flow f;

    warm_up(&f);
    departs(&f.s, 3000);
    f.rack.tlp_end = f.s.runs.nxt;
    ewi_net_rack_timeout(&f.rack, &f.s.pool, &f.s.runs, 0, f.s.now_ns);
    SHOWS(&f.s, "lost 1000+1000, sent 2000+2000");
    CHECK(f.rack.tlp_end == 0); /* section 7.1 */
}

static void rfc2018_8_a_timeout_on_a_sacked_segment_forgets_all_sacks(void)
{
    struct flow f;

    warm_up(&f);
    departs(&f.s, 3000);
    ARRIVES(&f.s, 1000, 2000, 3000);
    ARRIVES(&f.s, 2000, 0);
    ewi_net_rack_timeout(&f.rack, &f.s.pool, &f.s.runs, 0, f.s.now_ns + 9 * RTT);
    SHOWS(&f.s, "lost 2000+1000, lost 3000+1000");
}

/* ---- section 7 ---- */

static void rfc8985_7_2_one_segment_waits_for_a_delayed_ack(void)
{
    struct flow f;

    warm_up(&f);
    departs(&f.s, 1000);
    CHECK(ewi_net_tlp_due(&f.s.pool, &f.s.runs, RTT, 25 * MS, UINT64_MAX, 0) == 2 * RTT + 25 * MS);
    departs(&f.s, 1000);
    CHECK(ewi_net_tlp_due(&f.s.pool, &f.s.runs, RTT, 25 * MS, UINT64_MAX, 0) == 2 * RTT);
}

static void rfc8985_7_2_the_probe_is_not_later_than_the_timeout(void)
{
    struct flow f;

    warm_up(&f);
    departs(&f.s, 2000);
    CHECK(ewi_net_tlp_due(&f.s.pool, &f.s.runs, RTT, 0, 150 * MS, 0) == 150 * MS);
    CHECK(ewi_net_tlp_due(&f.s.pool, &f.s.runs, RTT, 0, 5, 10) == 10); /* overdue: now */
}

static void rfc8985_7_2_without_srtt_a_second(void)
{
    struct flow f;

    start(&f);
    departs(&f.s, 1000);
    CHECK(ewi_net_tlp_due(&f.s.pool, &f.s.runs, 0, 25 * MS, UINT64_MAX, 7) ==
          NET_TLP_PTO_FIRST_NS + 7);
}

static void rfc8985_7_2_no_probe_in_recovery_or_with_sacks(void)
{
    struct flow f;

    warm_up(&f);
    CHECK(!ewi_net_tlp_may_arm(&f.s.runs, false)); /* nothing outstanding */
    departs(&f.s, 3000);
    CHECK(ewi_net_tlp_may_arm(&f.s.runs, false));
    CHECK(!ewi_net_tlp_may_arm(&f.s.runs, true));
    ARRIVES(&f.s, 1000, 2000, 3000);
    CHECK(!ewi_net_tlp_may_arm(&f.s.runs, false));
}

static void rfc8985_7_3_new_data_is_the_better_probe(void)
{
    struct flow f;

    warm_up(&f);
    departs(&f.s, 1000);
    CHECK_EQ(ewi_net_tlp_choose(&f.rack, &f.s.pool, &f.s.runs, true), NET_TLP_NEW);
    CHECK_EQ(ewi_net_tlp_choose(&f.rack, &f.s.pool, &f.s.runs, false), NET_TLP_LAST);
}

static void rfc8985_7_3_one_probe_at_a_time_and_one_per_measurement(void)
{
    struct flow f;

    start(&f);
    departs(&f.s, 1000);
    CHECK_EQ(ewi_net_tlp_choose(&f.rack, &f.s.pool, &f.s.runs, true), NET_TLP_NONE);
    f.s.now_ns += RTT;
    ACKED(&f, 1000, 0);
    departs(&f.s, 1000);
    CHECK_EQ(ewi_net_tlp_choose(&f.rack, &f.s.pool, &f.s.runs, true), NET_TLP_NEW);
    f.s.now_ns += RTT;
    departs(&f.s, 1000);
    ewi_net_tlp_sent(&f.rack, &f.s.runs, NET_TLP_NEW);
    CHECK_EQ(ewi_net_tlp_choose(&f.rack, &f.s.pool, &f.s.runs, true), NET_TLP_NONE);
    ewi_net_rack_rtt(&f.rack); /* of something else: the probe is still out */
    CHECK_EQ(ewi_net_tlp_choose(&f.rack, &f.s.pool, &f.s.runs, true), NET_TLP_NONE);
    f.rack.tlp_has_rtt = false;
    ewi_net_tlp_reset(&f.rack);
    CHECK_EQ(ewi_net_tlp_choose(&f.rack, &f.s.pool, &f.s.runs, true), NET_TLP_NONE);
    f.s.now_ns += RTT;
    ACKED(&f, 2000, 0);
    CHECK_EQ(ewi_net_tlp_choose(&f.rack, &f.s.pool, &f.s.runs, true), NET_TLP_NEW);
}

/* A segment left at 1000, and its probe. */
static void probe(struct flow *f)
{
    warm_up(f);
    departs(&f->s, 1000);
    f->s.now_ns += 2 * RTT;
    departs_again(&f->s, 1000, 1000);
    ewi_net_tlp_sent(&f->rack, &f->s.runs, NET_TLP_LAST);
    f->s.now_ns += RTT;
}

static void rfc8985_7_4_2_a_probe_of_new_data_needs_no_judgement(void)
{
    struct flow f;

    warm_up(&f);
    departs(&f.s, 1000);
    f.s.now_ns += 2 * RTT;
    departs(&f.s, 1000);
    ewi_net_tlp_sent(&f.rack, &f.s.runs, NET_TLP_NEW);
    ACKED(&f, 2000, 0);
    CHECK_EQ(f.verdict, NET_TLP_NOTHING);
    ACKED(&f, 3000, 0);
    CHECK_EQ(f.verdict, NET_TLP_OVER);
}

static void rfc8985_7_4_2_case_1_a_dsack_shows_both_arrived(void)
{
    struct flow f;

    probe(&f);
    ACKED(&f, 2000, 0);
    CHECK_EQ(f.verdict, NET_TLP_NOTHING);
    ACKED(&f, 2000, 1000, 2000);
    CHECK_EQ(f.verdict, NET_TLP_OVER);
    CHECK(f.rack.tlp_end == 0);
}

static void rfc8985_7_4_2_case_2_a_bare_duplicate_shows_both_arrived(void)
{
    struct flow f;

    probe(&f);
    ACKED(&f, 2000, 0);
    ACKED(&f, 2000, 0);
    CHECK_EQ(f.verdict, NET_TLP_OVER);
}

static void rfc8985_7_4_2_case_3_the_probe_repaired_a_loss(void)
{
    struct flow f;

    probe(&f);
    ACKED(&f, 2000, 0);
    departs(&f.s, 1000);
    f.s.now_ns += RTT;
    ACKED(&f, 3000, 0);
    CHECK_EQ(f.verdict, NET_TLP_REPAIRED);
    CHECK(f.rack.tlp_end == 0);
}

static void rfc8985_7_4_2_a_duplicate_of_something_else_decides_nothing(void)
{
    struct flow f;

    probe(&f);
    ACKED(&f, 2000, 0, 1000);
    CHECK_EQ(f.verdict, NET_TLP_NOTHING);
    CHECK(f.rack.tlp_end != 0);
}

int main(void)
{
    RUN(rfc8985_3_4_the_middle_is_found_by_a_later_segment);
    RUN(rfc8985_3_4_a_probe_finds_a_lost_tail);
    RUN(rfc8985_3_2_a_lost_retransmission_is_found);
    RUN(rfc8985_6_2_step_2_a_spurious_retransmission_is_no_sample);
    RUN(rfc8985_6_2_step_2_an_echo_from_before_is_no_sample);
    RUN(rfc8985_6_2_step_2_the_segment_never_goes_back);
    RUN(rfc8985_6_2_step_3_reordering_is_seen);
    RUN(rfc8985_6_2_step_3_a_filled_hole_is_no_reordering);
    RUN(rfc8985_6_2_step_4_without_reordering_recovery_does_not_wait);
    RUN(rfc8985_6_2_step_4_duplicates_widen_once_a_round);
    RUN(rfc8985_6_2_step_4_sixteen_clean_recoveries_reset_the_window);
    RUN(a_liar_cannot_overflow_the_window);
    RUN(rfc8985_6_2_step_5_equal_times_are_ordered_by_sequence);
    RUN(rfc8985_6_2_step_5_nothing_is_lost_before_a_delivery);
    RUN(rfc8985_6_2_step_5_what_was_sent_later_is_not_lost);
    RUN(microsecond_round_trips_work);
    RUN(rfc8985_6_3_a_timeout_marks_the_first_and_the_old);
    RUN(rfc8985_6_3_a_young_first_segment_is_lost_too);
    RUN(rfc2018_8_a_timeout_on_a_sacked_segment_forgets_all_sacks);
    RUN(rfc8985_7_2_one_segment_waits_for_a_delayed_ack);
    RUN(rfc8985_7_2_the_probe_is_not_later_than_the_timeout);
    RUN(rfc8985_7_2_without_srtt_a_second);
    RUN(rfc8985_7_2_no_probe_in_recovery_or_with_sacks);
    RUN(rfc8985_7_3_new_data_is_the_better_probe);
    RUN(rfc8985_7_3_one_probe_at_a_time_and_one_per_measurement);
    RUN(rfc8985_7_4_2_a_probe_of_new_data_needs_no_judgement);
    RUN(rfc8985_7_4_2_case_1_a_dsack_shows_both_arrived);
    RUN(rfc8985_7_4_2_case_2_a_bare_duplicate_shows_both_arrived);
    RUN(rfc8985_7_4_2_case_3_the_probe_repaired_a_loss);
    RUN(rfc8985_7_4_2_a_duplicate_of_something_else_decides_nothing);
    return 0;
}
