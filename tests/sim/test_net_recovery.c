/* Do runs, RACK-TLP and the reorder queue together repair what a bad link does, each byte once? */
#include "tests/c/harness.h"
#include "transport/net/rack.h"
#include "transport/net/reorder.h"

#define MS UINT64_C(1000000)
#define START (2 * NET_SEQ_FIRST - 3000)
#define RTO_NS (300 * MS)

enum { MSS = 100, BYTES = 30000, WINDOW = 4000, WIRE = 512, RECORDS = 512, RUNS = 256 };

struct packet {
    uint64_t at_ns; /* arrives; 0: slot is free */
    bool is_ack;
    uint64_t position;
    uint32_t bytes, sacks_count;
    struct net_sack sacks[NET_SACKS_MAX];
};

struct link { /* per cent */
    uint32_t loss, late, twice;
};

enum timer { TIMER_NONE, TIMER_REORDER, TIMER_PROBE, TIMER_RTO };

struct world {
    uint64_t now_ns;
    struct link link;
    struct harness_random *random;
    struct packet wire[WIRE];
    /* sender */
    struct net_run_pool pool;
    struct net_run run[RUNS + 1];
    struct net_runs runs;
    struct net_rack rack;
    uint64_t srtt_ns, min_rtt_ns, timer_ns, rto_ns, recovery_end, rto_back;
    enum timer timer;
    bool in_recovery;
    uint32_t sent_segments, resent_segments, timeouts, probes;
    /* receiver */
    struct net_reorder_pool reorder_pool;
    union net_reorder_record record[RECORDS + 1];
    struct net_reorder queue;
    uint32_t buffers;
    uint64_t delivered;
};

static struct world w;

static void put(const struct packet *packet)
{
    uint32_t copies = 1 + (harness_below(w.random, 100) < w.link.twice);

    if (harness_below(w.random, 100) < w.link.loss)
        return;
    for (uint32_t i = 0; i < WIRE && copies > 0; i++) {
        if (w.wire[i].at_ns != 0)
            continue;
        w.wire[i] = *packet;
        w.wire[i].at_ns = w.now_ns + 10 * MS;
        if (harness_below(w.random, 100) < w.link.late)
            w.wire[i].at_ns += harness_below(w.random, 20 * MS);
        copies -= 1;
    }
}

/* ---- the receiver ---- */

static void took(const struct net_taken *taken)
{
    CHECK(taken->from == START + w.delivered); /* each byte once, in order */
    w.delivered += taken->bytes;
}

static void data_arrives(const struct packet *packet)
{
    struct packet reply = {.is_ack = true};
    struct net_taken taken;
    struct net_arrival arrival = {.from = packet->position,
                                  .bytes = packet->bytes,
                                  .window_end = w.queue.next + WINDOW,
                                  .buffer = ++w.buffers,
                                  .charge = 2048,
                                  .charge_max = 2048 * WINDOW / MSS};

    if (ewi_net_reorder_arrive(&w.reorder_pool, &w.queue, &arrival, &taken) ==
        NET_REORDER_IN_ORDER) {
        took(&taken);
        while (ewi_net_reorder_take(&w.reorder_pool, &w.queue, &taken))
            took(&taken);
    }
    CHECK_EQ(ewi_net_reorder_check(&w.reorder_pool, &w.queue), 0);
    reply.position = w.queue.next;
    reply.sacks_count = ewi_net_reorder_sacks(&w.reorder_pool, &w.queue, reply.sacks, 3);
    put(&reply);
}

/* ---- the sender ---- */

static uint64_t reo_wnd(void)
{
    return ewi_net_rack_reo_wnd(&w.rack, &w.runs, w.in_recovery, w.min_rtt_ns, w.srtt_ns);
}

static void arm(enum timer timer, uint64_t at_ns)
{
    w.timer = timer;
    w.timer_ns = at_ns;
}

static void arm_probe_or_rto(void)
{
    if (w.runs.head == 0) {
        arm(TIMER_NONE, UINT64_MAX);
        return;
    }
    arm(TIMER_RTO, w.rto_ns);
    if (ewi_net_tlp_may_arm(&w.runs, w.in_recovery) && w.rack.tlp_end == 0)
        arm(TIMER_PROBE, ewi_net_tlp_due(&w.pool, &w.runs, w.srtt_ns, 0, w.rto_ns, w.now_ns));
}

static void transmit(uint64_t from, uint32_t bytes)
{
    w.sent_segments += 1;
    put(&(struct packet){.position = from, .bytes = bytes});
}

static bool send_lost(void)
{
    struct net_sent sent = {.now_ns = w.now_ns, .segment_bytes = MSS, .flags = NET_RUN_RECOVERY};
    uint64_t from;

    if (!ewi_net_runs_next_lost(&w.pool, &w.runs, &from, &sent.bytes))
        return false;
    sent.bytes = sent.bytes < MSS ? sent.bytes : MSS;
    ewi_net_runs_resent(&w.pool, &w.runs, from, &sent);
    w.resent_segments += 1;
    transmit(from, sent.bytes);
    return true;
}

static bool send_new(void)
{
    struct net_sent sent = {.now_ns = w.now_ns, .bytes = MSS, .segment_bytes = MSS};
    uint64_t from = w.runs.nxt;

    if (from + MSS > START + BYTES || from + MSS > w.runs.una + WINDOW ||
        ewi_net_runs_sent(&w.pool, &w.runs, &sent) != EW_OK)
        return false;
    transmit(from, MSS);
    return true;
}

static void send_all(void)
{
    while (ewi_net_runs_in_flight(&w.runs) < WINDOW / 2 && (send_lost() || send_new()))
        CHECK_EQ(ewi_net_runs_check(&w.pool, &w.runs), 0);
}

static void lost_some(uint32_t lost_bytes)
{
    if (lost_bytes == 0 || w.in_recovery)
        return;
    w.in_recovery = true;
    w.recovery_end = w.runs.nxt;
    ewi_net_tlp_reset(&w.rack);
}

static void detect(void)
{
    uint32_t lost_bytes;
    uint64_t again_ns = ewi_net_rack_detect(&w.rack, &w.pool, &w.runs, reo_wnd(), w.now_ns,
                                            &lost_bytes);

    lost_some(lost_bytes);
    arm_probe_or_rto();
    if (again_ns < w.timer_ns)
        arm(TIMER_REORDER, again_ns);
}

static void ack_arrives(const struct packet *packet)
{
    struct net_ack ack = {.position = packet->position,
                          .now_ns = w.now_ns,
                          .min_rtt_ns = w.min_rtt_ns,
                          .sent_by_ns = UINT64_MAX,
                          .sacks = packet->sacks,
                          .sacks_count = packet->sacks_count};
    bool is_bare = ack.position == w.runs.una && ack.sacks_count == 0;
    struct net_acked acked;

    CHECK_EQ(ewi_net_runs_ack(&w.pool, &w.runs, &ack, &acked), EW_OK);
    CHECK_EQ(ewi_net_runs_check(&w.pool, &w.runs), 0);
    CHECK_EQ(acked.sacks_bad, 0); /* our own receiver says nothing that our sender refuses */
    CHECK(w.runs.una <= START + w.delivered);
    if (acked.acked_bytes > 0)
        w.rto_ns = w.now_ns + RTO_NS;
    if (acked.rtt_ns != 0) {
        ewi_net_rack_rtt(&w.rack);
        w.min_rtt_ns = w.min_rtt_ns == 0 ? acked.rtt_ns : ewi_min_u64(w.min_rtt_ns, acked.rtt_ns);
        w.srtt_ns = w.srtt_ns == 0 ? acked.rtt_ns : (7 * w.srtt_ns + acked.rtt_ns) / 8;
    }
    ewi_net_rack_ack(&w.rack, &w.runs, &acked, w.now_ns);
    if (w.in_recovery && w.runs.una >= w.recovery_end) {
        w.in_recovery = false;
        ewi_net_rack_recovery_ended(&w.rack);
    }
    ewi_net_tlp_ack(&w.rack, ack.position, &acked, is_bare);
    detect();
}

static void send_probe(void)
{
    struct net_sent sent = {.now_ns = w.now_ns, .segment_bytes = MSS};
    uint64_t from;
    enum net_tlp_probe probe =
        ewi_net_tlp_choose(&w.rack, &w.pool, &w.runs, w.runs.nxt + MSS <= START + BYTES);

    if (probe == NET_TLP_NEW && !send_new())
        probe = NET_TLP_LAST;
    if (probe == NET_TLP_LAST) {
        CHECK(ewi_net_runs_last_segment(&w.pool, &w.runs, &from, &sent.bytes));
        ewi_net_runs_resent(&w.pool, &w.runs, from, &sent);
        transmit(from, sent.bytes);
    }
    if (probe != NET_TLP_NONE) {
        ewi_net_tlp_sent(&w.rack, &w.runs, probe);
        w.probes += 1;
        w.rto_ns = w.now_ns + RTO_NS;
    }
    arm(TIMER_RTO, w.rto_ns);
}

static void timer_fires(void)
{
    switch (w.timer) {
    case TIMER_REORDER:
        detect();
        break;
    case TIMER_PROBE:
        send_probe();
        break;
    default:
        w.timeouts += 1;
        ewi_net_rack_timeout(&w.rack, &w.pool, &w.runs, reo_wnd(), w.now_ns);
        CHECK_EQ(ewi_net_runs_check(&w.pool, &w.runs), 0);
        w.in_recovery = true;
        w.recovery_end = w.runs.nxt;
        w.rto_ns = w.now_ns + RTO_NS;
        arm(TIMER_RTO, w.rto_ns);
    }
}

/* ---- the world ---- */

static uint32_t next_packet(void)
{
    uint32_t first = WIRE;

    for (uint32_t i = 0; i < WIRE; i++)
        if (w.wire[i].at_ns != 0 && (first == WIRE || w.wire[i].at_ns < w.wire[first].at_ns))
            first = i;
    return first;
}

static void step(void)
{
    uint32_t index = next_packet();
    struct packet packet;

    if (index == WIRE || w.timer_ns < w.wire[index].at_ns) {
        CHECK(w.timer != TIMER_NONE); /* else nothing would ever happen again */
        w.now_ns = ewi_max_u64(w.now_ns, w.timer_ns);
        timer_fires();
    } else {
        packet = w.wire[index];
        w.wire[index].at_ns = 0;
        w.now_ns = packet.at_ns;
        if (packet.is_ack)
            ack_arrives(&packet);
        else
            data_arrives(&packet);
    }
    send_all();
    if (w.timer == TIMER_NONE)
        arm_probe_or_rto();
}

static void transfer(struct harness_random *random, struct link link, uint32_t runs_all,
                     uint32_t runs_each, uint32_t records)
{
    memset(&w, 0, sizeof(w));
    w.random = random;
    w.link = link;
    w.now_ns = MS;
    w.rto_ns = w.now_ns + RTO_NS;
    ewi_net_run_pool_init(&w.pool, w.run, runs_all, runs_each);
    ewi_net_runs_init(&w.runs, START);
    ewi_net_rack_init(&w.rack);
    ewi_net_reorder_pool_init(&w.reorder_pool, w.record, records, 32);
    ewi_net_reorder_init(&w.queue, START);
    send_all();
    arm_probe_or_rto();
    while (w.runs.una < START + BYTES) {
        step();
        CHECK(w.now_ns < 2000 * 1000 * MS); /* it must not stop */
    }
    CHECK_EQ(w.delivered, BYTES);
    CHECK_EQ(w.pool.free, runs_all);
    CHECK_EQ(w.reorder_pool.free, records);
    CHECK(w.runs.delivered >= BYTES);
}

static struct harness_random random_now;

static void a_good_link_needs_no_retransmission(void)
{
    transfer(&random_now, (struct link){0}, RUNS, 64, RECORDS);
    CHECK_EQ(w.sent_segments, BYTES / MSS);
    CHECK_EQ(w.timeouts, 0);
    CHECK_EQ(w.probes, 0);
}

static void duplication_alone_needs_no_retransmission(void)
{
    transfer(&random_now, (struct link){.twice = 20}, RUNS, 64, RECORDS);
    CHECK_EQ(w.resent_segments, 0);
    CHECK_EQ(w.timeouts, 0);
}

static void one_per_cent_of_loss_needs_no_timeout(void)
{
    uint32_t timeouts = 0;

    for (int i = 0; i < 10; i++) {
        transfer(&random_now, (struct link){.loss = 1}, RUNS, 64, RECORDS);
        timeouts += w.timeouts;
        CHECK(w.resent_segments < 3 * BYTES / MSS / 20);
    }
    CHECK(timeouts <= 2); /* a probe may be lost too: about 1 in 10,000 */
}

static void reordering_teaches_the_window(void)
{
    transfer(&random_now, (struct link){.late = 20}, RUNS, 64, RECORDS);
    CHECK_EQ(w.timeouts, 0);
    CHECK(w.rack.reordering_seen || w.rack.reo_wnd_mult > 1); /* by fack, or by duplicates */
}

static void ten_per_cent_of_everything_is_survived(void)
{
    transfer(&random_now, (struct link){10, 10, 10}, RUNS, 64, RECORDS);
}

static void half_of_all_packets_lost_is_survived(void)
{
    transfer(&random_now, (struct link){50, 10, 10}, RUNS, 64, RECORDS);
}

/* I5 and I4 of the two headers: scarce memory costs time, never bytes. */
static void four_runs_and_four_records_are_survived(void)
{
    transfer(&random_now, (struct link){10, 10, 10}, 4, 4, 4);
}

static void one_run_and_no_record_are_survived(void)
{
    transfer(&random_now, (struct link){10, 10, 10}, 1, 4, 0);
}

int main(int argc, char **argv)
{
    HARNESS_FOR_EACH_SEED(argc, argv, seed) {
        random_now.state = seed;
        RUN(a_good_link_needs_no_retransmission);
        RUN(duplication_alone_needs_no_retransmission);
        RUN(one_per_cent_of_loss_needs_no_timeout);
        RUN(reordering_teaches_the_window);
        RUN(ten_per_cent_of_everything_is_survived);
        RUN(half_of_all_packets_lost_is_survived);
        RUN(four_runs_and_four_records_are_survived);
        RUN(one_run_and_no_record_are_survived);
    }
    return 0;
}
