/* When runs run out: are states merged towards caution, and is no byte forgotten? runs.h, I5. */
#include "tests/c/net_runs_base.h"

static void of_a_shared_run_only_the_end_is_a_sample(void)
{
    struct sender s;

    sender_init(&s, 16, 4);
    s.mss = 100;
    for (int i = 0; i < 6; i++) {
        s.now_ns += MS;
        departs(&s, 100);
    }
    SHOWS(&s, "sent 0+100, sent 100+100, sent 200+100, sent 300+300");
    ARRIVES(&s, 200, 0);
    ARRIVES(&s, 200, 500, 600); /* cut: the right part has the time, the left one has none */
    CHECK(s.acked.newest_end == START + 600);
    SHOWS(&s, "sent 200+100, sent 300+200, sacked 500+100");
    ARRIVES(&s, 300, 0);
    ARRIVES(&s, 500, 500, 600);
    CHECK(s.acked.newest_end == 0 && s.acked.rtt_ns == 0);
}

static void at_the_cap_new_data_shares_the_last_run(void)
{
    struct sender s;

    sender_init(&s, 16, 4);
    for (int i = 0; i < 10; i++) {
        s.now_ns += MS;
        departs(&s, 100);
    }
    SHOWS(&s, "sent 0+100, sent 100+100, sent 200+100, sent 300+700");
    CHECK_EQ(s.pool.mixed, 6);
    CHECK(s.pool.run[s.runs.tail].tx_ns == s.now_ns); /* the last one's: never lost too early */
    s.now_ns += MS;
    ARRIVES(&s, 900, 0); /* of the shared run only a part: no sample of it */
    CHECK(s.acked.rtt_ns == 8 * MS);
    ARRIVES(&s, 1000, 0); /* its last segment: a true one */
    CHECK(s.acked.rtt_ns == MS);
}

static void without_a_run_a_send_is_refused(void)
{
    struct sender s;

    sender_init(&s, 4, 4);
    for (int i = 0; i < 3; i++) {
        s.now_ns += MS;
        departs(&s, 1000);
    }
    SHOWS(&s, "sent 0+1000, sent 1000+1000, sent 2000+1000"); /* and one is in reserve */
    ARRIVES(&s, 0, 2000, 3000);
    CHECK_EQ(try_send(&s, 1000), EW_EAGAIN);
    CHECK_EQ(s.pool.refused, 1);
    CHECK(s.runs.nxt == START + 3000);
    ARRIVES(&s, 1000, 0);
    CHECK_EQ(try_send(&s, 1000), EW_OK);
}

static void the_reserve_is_for_connections_without_a_run(void)
{
    struct sender s;
    struct net_runs other;

    sender_init(&s, 4, 4);
    ewi_net_runs_init(&other, START);
    for (int i = 0; i < 6; i++) {
        s.now_ns += MS;
        departs(&s, 1000);
    }
    CHECK_EQ(s.runs.runs, 3);
    CHECK_EQ(ewi_net_runs_sent(&s.pool, &other,
                               &(struct net_sent){
                                   .now_ns = s.now_ns, .bytes = 9, .segment_bytes = 9}),
             EW_OK);
    CHECK_EQ(s.pool.free, 0);
}

static void without_a_run_a_sack_is_forgotten_not_invented(void)
{
    struct sender s;

    sender_init(&s, 4, 4);
    departs(&s, 9000);
    ARRIVES(&s, 0, 1000, 2000); /* three runs: as many as there are */
    ARRIVES(&s, 0, 4000, 5000, 1000, 2000);
    SHOWS(&s, "sent 0+1000, sacked 1000+1000, sent 2000+7000");
    CHECK(s.pool.missed > 0);
    ARRIVES(&s, 0, 1000, 3000); /* a neighbour grows without one */
    SHOWS(&s, "sent 0+1000, sacked 1000+2000, sent 3000+6000");
    ARRIVES(&s, 0, 2500, 9000);
    SHOWS(&s, "sent 0+1000, sacked 1000+8000");
}

static void without_a_run_a_retransmission_counts_for_its_run(void)
{
    uint64_t from;
    uint32_t bytes;
    struct sender s;

    sender_init(&s, 4, 4);
    departs(&s, 9000);
    ARRIVES(&s, 0, 1000, 2000);
    ewi_net_runs_lose_all(&s.pool, &s.runs);
    s.now_ns += MS;
    departs_again(&s, 0, 1000);
    departs_again(&s, 2000, 1000);
    SHOWS(&s, "again 0+1000, sacked 1000+1000, again 2000+7000");
    CHECK(!ewi_net_runs_next_lost(&s.pool, &s.runs, &from, &bytes));
    ARRIVES(&s, 3000, 0);
    CHECK(s.acked.newest_end == START + 1000); /* no sample of a time that may be wrong */
    ewi_net_runs_lose_first(&s.pool, &s.runs); /* RTO: what was not sent is not forgotten */
    CHECK(ewi_net_runs_next_lost(&s.pool, &s.runs, &from, &bytes));
    CHECK(from == START + 3000);
}

static void without_a_run_a_probe_counts_for_its_run(void)
{
    struct sender s;

    sender_init(&s, 4, 4);
    for (int i = 0; i < 3; i++) {
        s.now_ns += MS;
        departs(&s, 2000);
    }
    departs_again(&s, 5000, 1000);
    SHOWS(&s, "sent 0+2000, sent 2000+2000, again 4000+2000");
    ARRIVES(&s, 6000, 0);
    CHECK(s.acked.newest_end == START + 4000); /* when 4000 to 5000 was sent is forgotten */
}

int main(void)
{
    RUN(of_a_shared_run_only_the_end_is_a_sample);
    RUN(at_the_cap_new_data_shares_the_last_run);
    RUN(without_a_run_a_send_is_refused);
    RUN(the_reserve_is_for_connections_without_a_run);
    RUN(without_a_run_a_sack_is_forgotten_not_invented);
    RUN(without_a_run_a_retransmission_counts_for_its_run);
    RUN(without_a_run_a_probe_counts_for_its_run);
    return 0;
}
