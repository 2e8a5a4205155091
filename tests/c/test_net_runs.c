/* Do the runs in flight say what was sent, acknowledged, sacked and lost? Traces of the RFCs. */
#include "tests/c/net_runs_base.h"

static struct sender begin(void)
{
    struct sender s;

    sender_init(&s, SENDER_RUNS, SENDER_RUNS);
    return s;
}

/* A struct sender holds a pointer into itself: set it after a copy. */
#define BEGIN(name)                                                                                \
    struct sender name = begin();                                                                  \
    name.pool.run = name.memory

/* ---- sending ---- */

static void a_burst_is_one_run(void)
{
    BEGIN(s);
    departs(&s, 1000);
    departs(&s, 3000);
    departs(&s, 400);
    SHOWS(&s, "sent 0+4400");
    CHECK_EQ(s.pool.run[s.runs.head].segments, 5);
    CHECK_EQ(ewi_net_runs_in_flight(&s.runs), 4400);
    departs(&s, 1000); /* behind a short segment boundaries would be lost */
    SHOWS(&s, "sent 0+4400, sent 4400+1000");
}

static void other_times_and_states_are_other_runs(void)
{
    BEGIN(s);
    departs(&s, 1000);
    s.now_ns += 1;
    departs(&s, 1000);
    CHECK_EQ(ewi_net_runs_sent(&s.pool, &s.runs,
                               &(struct net_sent){.now_ns = s.now_ns,
                                                  .bytes = 1000,
                                                  .segment_bytes = 1000,
                                                  .flags = NET_RUN_APP_LIMITED}),
             EW_OK);
    SHOWS(&s, "sent 0+1000, sent 1000+1000, sent 2000+1000");
}

static void an_ack_frees_whole_and_parts_of_runs(void)
{
    BEGIN(s);
    departs(&s, 3000);
    ARRIVES(&s, 1500, 0);
    SHOWS(&s, "sent 1500+1500");
    CHECK_EQ(s.acked.acked_bytes, 1500);
    CHECK_EQ(s.acked.delivered_bytes, 1500);
    ARRIVES(&s, 3000, 0);
    SHOWS(&s, "");
    CHECK_EQ(s.pool.free, SENDER_RUNS);
    CHECK_EQ(s.runs.delivered, 3000);
}

static void an_ack_of_unsent_data_changes_nothing(void)
{
    BEGIN(s);
    departs(&s, 3000);
    CHECK_EQ(arrives(&s, 3001, NULL), EW_EPROTO);
    SHOWS(&s, "sent 0+3000");
    CHECK_EQ(s.acked.acked_bytes, 0);
}

static void an_old_ack_moves_nothing(void)
{
    BEGIN(s);
    departs(&s, 3000);
    ARRIVES(&s, 2000, 0);
    ARRIVES(&s, 1000, 0);
    CHECK_EQ(s.acked.acked_bytes, 0);
    SHOWS(&s, "sent 2000+1000");
}

static void fini_gives_all_runs_back(void)
{
    BEGIN(s);
    departs(&s, 5000);
    ARRIVES(&s, 0, 1000, 2000, 3000, 4000);
    ewi_net_runs_fini(&s.pool, &s.runs);
    CHECK_EQ(s.pool.free, SENDER_RUNS);
    sound(&s);
}

/* ---- RFC 2018 section 7: eight segments of 500 bytes, the left edge is 5000 ---- */

static void rfc2018_7_case_1_the_first_four_arrive(void)
{
    BEGIN(s);
    s.mss = 500;
    departs(&s, 4000);
    ARRIVES(&s, 2000, 0);
    SHOWS(&s, "sent 2000+2000");
}

static void rfc2018_7_case_2_the_first_is_dropped(void)
{
    BEGIN(s);
    s.mss = 500;
    departs(&s, 4000);
    for (uint32_t right = 1000; right <= 4000; right += 500) {
        ARRIVES(&s, 0, 500, right);
        CHECK_EQ(s.acked.sacked_bytes, 500);
        CHECK_EQ(s.runs.sacked_segments, right / 500 - 1);
    }
    SHOWS(&s, "sent 0+500, sacked 500+3500");
    CHECK_EQ(ewi_net_runs_in_flight(&s.runs), 500);
}

static void rfc2018_7_case_3_every_second_is_dropped(void)
{
    BEGIN(s);
    s.mss = 500;
    departs(&s, 4000);
    ARRIVES(&s, 500, 0);
    ARRIVES(&s, 500, 1000, 1500);
    ARRIVES(&s, 500, 2000, 2500, 1000, 1500);
    ARRIVES(&s, 500, 3000, 3500, 2000, 2500, 1000, 1500);
    SHOWS(&s, "sent 500+500, sacked 1000+500, sent 1500+500, sacked 2000+500, sent 2500+500, "
              "sacked 3000+500, sent 3500+500");
    /* the fourth arrives out of order */
    ARRIVES(&s, 500, 1000, 2500, 3000, 3500);
    CHECK(s.acked.reordered);
    SHOWS(&s, "sent 500+500, sacked 1000+1500, sent 2500+500, sacked 3000+500, sent 3500+500");
    /* the second arrives at last */
    ARRIVES(&s, 2500, 3000, 3500);
    CHECK_EQ(s.acked.acked_bytes, 2000);
    CHECK_EQ(s.acked.delivered_bytes, 500);
    SHOWS(&s, "sent 2500+500, sacked 3000+500, sent 3500+500");
}

static void blocks_in_any_order_and_overlapping(void)
{
    BEGIN(s);
    departs(&s, 9000);
    ARRIVES(&s, 0, 7000, 8000, 1000, 3000, 2000, 4000, 2000, 3000);
    SHOWS(&s, "sent 0+1000, sacked 1000+3000, sent 4000+3000, sacked 7000+1000, sent 8000+1000");
    CHECK_EQ(s.acked.sacked_bytes, 4000);
    CHECK_EQ(s.acked.delivered_bytes, 4000);
    ARRIVES(&s, 0, 1000, 8000);
    SHOWS(&s, "sent 0+1000, sacked 1000+7000, sent 8000+1000");
    CHECK_EQ(s.acked.sacked_bytes, 3000);
}

static void hostile_blocks_are_counted_and_ignored(void)
{
    BEGIN(s);
    departs(&s, 6000);
    ARRIVES(&s, 1000, 0);
    ARRIVES(&s, 1000, 3000, 2000); /* reversed */
    CHECK_EQ(s.acked.sacks_bad, 1);
    ARRIVES(&s, 1000, 5000, 6001); /* beyond SND.NXT */
    CHECK_EQ(s.acked.sacks_bad, 1);
    ARRIVES(&s, 1000, 500, 2000); /* across SEG.ACK */
    CHECK_EQ(s.acked.sacks_bad, 1);
    ARRIVES(&s, 1000, 2000, 3000, 0, 500); /* below, and not the first: no DSACK */
    CHECK_EQ(s.acked.sacks_bad, 1);
    CHECK_EQ(s.acked.dsack_end, 0);
    ARRIVES(&s, 1000, 0x90000000u, 0x90000500u, 0x70000000u, 0x70000500u);
    CHECK_EQ(s.acked.sacks_bad, 2);
    SHOWS(&s, "sent 1000+1000, sacked 2000+1000, sent 3000+3000");
    ARRIVES(&s, 500, 800, 1500, 3500, 4000); /* overtaken by a later ACK: cut off at una */
    CHECK_EQ(s.acked.sacks_bad, 0);
    CHECK(s.acked.reneged); /* 1000 is said to be here and not: RFC 2018 section 8 */
}

static void a_sacked_byte_is_delivered_once(void)
{
    BEGIN(s);
    departs(&s, 4000);
    ARRIVES(&s, 0, 1000, 3000);
    ARRIVES(&s, 0, 1000, 3000);
    CHECK_EQ(s.acked.delivered_bytes, 0);
    ARRIVES(&s, 4000, 0);
    CHECK_EQ(s.acked.delivered_bytes, 2000);
    CHECK_EQ(s.runs.delivered, 4000);
}

/* gvisor#14092: sacked, then acknowledged packets leaked into what is outstanding. */
static void sacked_then_acknowledged_leaves_nothing(void)
{
    BEGIN(s);
    departs(&s, 5000);
    ARRIVES(&s, 0, 3000, 4000);
    ARRIVES(&s, 0, 1000, 2000, 3000, 4000);
    ARRIVES(&s, 3500, 0);
    CHECK_EQ(s.runs.sacked_bytes, 500);
    CHECK_EQ(ewi_net_runs_in_flight(&s.runs), 1000);
    ARRIVES(&s, 5000, 0);
    CHECK_EQ(s.runs.sacked_bytes, 0);
    CHECK_EQ(s.runs.sacked_segments, 0);
    CHECK_EQ(ewi_net_runs_in_flight(&s.runs), 0);
}

/* ---- RFC 2883 section 4 ---- */

static void rfc2883_4_1_1_a_lost_ack_makes_a_duplicate(void)
{
    BEGIN(s);
    s.mss = 500;
    departs(&s, 2000); /* 3000-4999 in the RFC; here 0-1999 */
    ARRIVES(&s, 1000, 0, 500);
    CHECK(s.acked.dsack_from == START && s.acked.dsack_end == START + 500);
    CHECK_EQ(s.acked.sacks_bad, 0);
    CHECK_EQ(s.acked.sacked_bytes, 0);
}

static void rfc2883_4_1_2_a_duplicate_and_a_hole(void)
{
    BEGIN(s);
    s.mss = 500;
    departs(&s, 3000);
    ARRIVES(&s, 1000, 500, 1000, 1500, 2000);
    CHECK(s.acked.dsack_from == START + 500 && s.acked.dsack_end == START + 1000);
    SHOWS(&s, "sent 1000+500, sacked 1500+500, sent 2000+1000");
}

static void rfc2883_4_1_3_a_duplicate_of_data_out_of_order(void)
{
    BEGIN(s);
    s.mss = 500;
    departs(&s, 3000);
    ARRIVES(&s, 1000, 1500, 2000, 1500, 2500); /* inside the second block */
    CHECK(s.acked.dsack_from == START + 1500 && s.acked.dsack_end == START + 2000);
    SHOWS(&s, "sent 1000+500, sacked 1500+1000, sent 2500+500");
    ARRIVES(&s, 1000, 1500, 2500, 2700, 2800); /* not inside: no duplicate */
    CHECK_EQ(s.acked.dsack_end, 0);
}

static void a_dsack_from_nowhere_is_none(void)
{
    BEGIN(s);
    departs(&s, 3000);
    ARRIVES(&s, 1000, 0u - NET_WINDOW_BYTES_MAX - 1, 0u - NET_WINDOW_BYTES_MAX + 500);
    CHECK_EQ(s.acked.dsack_end, 0);
    ARRIVES(&s, 1000, 500, 400);
    CHECK_EQ(s.acked.dsack_end, 0);
    ARRIVES(&s, 1000, 500, 1500); /* across SEG.ACK */
    CHECK_EQ(s.acked.dsack_end, 0);
    ARRIVES(&s, 1000, 500, 1500, 500, 2000); /* across SEG.ACK, and so is the second */
    CHECK_EQ(s.acked.dsack_end, 0);
    ARRIVES(&s, 1000, 2000, 2500, 2000, 3500); /* inside a block that lies */
    CHECK_EQ(s.acked.dsack_end, 0);
}

/* ---- loss ---- */

static void what_is_lost_is_sent_again_from_the_left(void)
{
    uint64_t from;
    uint32_t bytes;
    BEGIN(s);

    departs(&s, 6000);
    CHECK(!ewi_net_runs_next_lost(&s.pool, &s.runs, &from, &bytes));
    ARRIVES(&s, 0, 2000, 3000);
    ewi_net_runs_lose_all(&s.pool, &s.runs);
    SHOWS(&s, "lost 0+2000, sacked 2000+1000, lost 3000+3000");
    CHECK_EQ(ewi_net_runs_in_flight(&s.runs), 0);
    s.now_ns += MS;
    CHECK(ewi_net_runs_next_lost(&s.pool, &s.runs, &from, &bytes));
    CHECK(from == START && bytes == 2000);
    departs_again(&s, 0, 1000);
    departs_again(&s, 1000, 1000); /* the same burst */
    SHOWS(&s, "again 0+2000, sacked 2000+1000, lost 3000+3000");
    CHECK(ewi_net_runs_next_lost(&s.pool, &s.runs, &from, &bytes));
    CHECK(from == START + 3000 && bytes == 3000);
    departs_again(&s, 3000, 1000);
    SHOWS(&s, "again 0+2000, sacked 2000+1000, again 3000+1000, lost 4000+2000");
    CHECK_EQ(s.runs.resent_bytes, 3000);
    ewi_net_runs_lose_first(&s.pool, &s.runs); /* and once more: the first segment only */
    sound(&s);
    SHOWS(&s, "lost 0+1000, again 1000+1000, sacked 2000+1000, again 3000+1000, lost 4000+2000");
    CHECK(ewi_net_runs_next_lost(&s.pool, &s.runs, &from, &bytes));
    CHECK(from == START && bytes == 1000);
}

static void what_was_lost_may_still_arrive(void)
{
    BEGIN(s);
    departs(&s, 3000);
    ewi_net_runs_lose_all(&s.pool, &s.runs);
    ARRIVES(&s, 1000, 2000, 3000);
    SHOWS(&s, "lost 1000+1000, sacked 2000+1000");
    CHECK_EQ(s.acked.delivered_bytes, 2000);
    CHECK_EQ(s.runs.lost_bytes, 1000);
}

/* RFC 2018 section 8: the receiver may discard what it reported, so nothing sacked is acknowledged. */
static void rfc2018_8_a_renege_makes_all_sacked_data_lost(void)
{
    BEGIN(s);
    departs(&s, 5000);
    ARRIVES(&s, 0, 1000, 2000, 3000, 4000);
    CHECK(!s.acked.reneged);
    ARRIVES(&s, 1000, 0);
    CHECK(s.acked.reneged);
    ewi_net_runs_forget_sacks(&s.pool, &s.runs);
    sound(&s);
    SHOWS(&s, "lost 1000+1000, sent 2000+1000, lost 3000+1000, sent 4000+1000");
    CHECK_EQ(s.runs.sacked_segments, 0);
}

static void the_last_segment_is_the_short_one(void)
{
    uint64_t from;
    uint32_t bytes;
    BEGIN(s);

    CHECK(!ewi_net_runs_last_segment(&s.pool, &s.runs, &from, &bytes));
    departs(&s, 300);
    CHECK(ewi_net_runs_is_one_segment(&s.pool, &s.runs));
    s.now_ns += 1;
    departs(&s, 2300);
    CHECK(!ewi_net_runs_is_one_segment(&s.pool, &s.runs));
    CHECK(ewi_net_runs_last_segment(&s.pool, &s.runs, &from, &bytes));
    CHECK(from == START + 2300 && bytes == 300);
    departs_again(&s, 2300, 300);
    SHOWS(&s, "sent 0+300, sent 300+2000, again 2300+300");
    ARRIVES(&s, 0, 2300, 2600);
    CHECK(!ewi_net_runs_last_segment(&s.pool, &s.runs, &from, &bytes));
}

/* ---- samples ---- */

static void rfc6298_3_a_retransmission_gives_no_round_trip(void)
{
    BEGIN(s);
    departs(&s, 2000);
    s.now_ns += 5 * MS;
    departs_again(&s, 0, 1000);
    s.now_ns += MS;
    ARRIVES(&s, 1000, 0);
    CHECK(s.acked.rtt_ns == 0);
    ARRIVES(&s, 2000, 0);
    CHECK(s.acked.rtt_ns == 6 * MS);
}

static void the_round_trip_is_that_of_the_newest(void)
{
    BEGIN(s);
    departs(&s, 1000);
    s.now_ns += 3 * MS;
    departs(&s, 1000);
    s.now_ns += 2 * MS;
    ARRIVES(&s, 2000, 0);
    CHECK(s.acked.rtt_ns == 2 * MS);
    CHECK(s.acked.newest_end == START + 2000);
    CHECK(s.acked.newest_tx_ns == s.now_ns - 2 * MS);
}

static void delivered_at_the_time_of_sending_is_remembered(void)
{
    BEGIN(s);
    departs(&s, 2000);
    s.now_ns += MS;
    ARRIVES(&s, 1000, 0);
    departs(&s, 1000);
    s.now_ns += MS;
    ARRIVES(&s, 3000, 0);
    CHECK_EQ(s.acked.newest_delivered, 1000);
    CHECK_EQ(s.runs.delivered, 3000);
}

static void a_sample_of_a_retransmission_is_of_its_own_time(void)
{
    BEGIN(s);
    departs(&s, 3000);
    s.now_ns += MS;
    ARRIVES(&s, 1000, 0);
    departs_again(&s, 1000, 1000);
    s.now_ns += MS;
    ARRIVES(&s, 2000, 0);
    CHECK(s.acked.newest_tx_ns == s.now_ns - MS);
    CHECK_EQ(s.acked.newest_delivered, 1000);
    CHECK_EQ(s.acked.newest_flags, NET_RUN_RESENT | NET_RUN_RECOVERY);
}

static void retransmissions_of_two_times_stay_apart(void)
{
    BEGIN(s);
    departs(&s, 5000);
    ewi_net_runs_lose_all(&s.pool, &s.runs);
    departs_again(&s, 0, 1000);
    s.now_ns += MS;
    departs_again(&s, 1000, 1000);
    SHOWS(&s, "again 0+1000, again 1000+1000, lost 2000+3000");
    departs_again(&s, 2000, 500); /* a short one closes the burst */
    departs_again(&s, 2500, 2500);
    SHOWS(&s, "again 0+1000, again 1000+1500, again 2500+2500");
    s.now_ns += MS;
    departs_again(&s, 1000, 1500); /* not one with the first, which was sent at another time */
    SHOWS(&s, "again 0+1000, again 1000+1500, again 2500+2500");
}

static void lost_runs_of_two_times_are_one_without_a_sample(void)
{
    BEGIN(s);
    departs(&s, 1000);
    s.now_ns += MS;
    departs(&s, 1000);
    ewi_net_runs_lose_all(&s.pool, &s.runs);
    SHOWS(&s, "lost 0+2000");
    CHECK(s.pool.run[s.runs.head].tx_ns == s.now_ns);
    ARRIVES(&s, 2000, 0);
    CHECK(s.acked.newest_end == 0 && s.acked.rtt_ns == 0);
    CHECK_EQ(s.acked.delivered_bytes, 2000);
}

static void what_was_reneged_gives_no_sample(void)
{
    BEGIN(s);
    departs(&s, 3000);
    ARRIVES(&s, 0, 1000, 2000);
    ewi_net_runs_forget_sacks(&s.pool, &s.runs);
    s.now_ns += MS;
    ARRIVES(&s, 0, 1000, 2000);
    CHECK(s.acked.newest_end == 0);
}

static void one_byte_in_order_is_not_reordered(void)
{
    BEGIN(s);
    departs(&s, 3000);
    ARRIVES(&s, 1000, 0);
    ARRIVES(&s, 1001, 0);
    CHECK(!s.acked.reordered);
}

int main(void)
{
    RUN(a_burst_is_one_run);
    RUN(other_times_and_states_are_other_runs);
    RUN(an_ack_frees_whole_and_parts_of_runs);
    RUN(an_ack_of_unsent_data_changes_nothing);
    RUN(an_old_ack_moves_nothing);
    RUN(fini_gives_all_runs_back);
    RUN(rfc2018_7_case_1_the_first_four_arrive);
    RUN(rfc2018_7_case_2_the_first_is_dropped);
    RUN(rfc2018_7_case_3_every_second_is_dropped);
    RUN(blocks_in_any_order_and_overlapping);
    RUN(hostile_blocks_are_counted_and_ignored);
    RUN(a_sacked_byte_is_delivered_once);
    RUN(sacked_then_acknowledged_leaves_nothing);
    RUN(rfc2883_4_1_1_a_lost_ack_makes_a_duplicate);
    RUN(rfc2883_4_1_2_a_duplicate_and_a_hole);
    RUN(rfc2883_4_1_3_a_duplicate_of_data_out_of_order);
    RUN(a_dsack_from_nowhere_is_none);
    RUN(what_is_lost_is_sent_again_from_the_left);
    RUN(what_was_lost_may_still_arrive);
    RUN(rfc2018_8_a_renege_makes_all_sacked_data_lost);
    RUN(the_last_segment_is_the_short_one);
    RUN(rfc6298_3_a_retransmission_gives_no_round_trip);
    RUN(the_round_trip_is_that_of_the_newest);
    RUN(delivered_at_the_time_of_sending_is_remembered);
    RUN(a_sample_of_a_retransmission_is_of_its_own_time);
    RUN(retransmissions_of_two_times_stay_apart);
    RUN(lost_runs_of_two_times_are_one_without_a_sample);
    RUN(what_was_reneged_gives_no_sample);
    RUN(one_byte_in_order_is_not_reordered);
    return 0;
}
