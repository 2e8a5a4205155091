/* Do two stacks move every byte once over wires that lose, repeat, delay and damage frames? */
#include "tests/sim/net_scene.h"

static struct outcome over(struct wire_plan wire, uint64_t there, uint64_t back)
{
    struct scene scene = {.there = wire,
                          .back = wire,
                          .app = {{.bytes = there}, {.bytes = back}},
                          .limit = 3 * 3600 * SEC};
    struct outcome out = scene_play(&scene);

    SCENE_CHECK(out.bytes == there + back);
    return out;
}

static void lost_frames_are_repaired_at_every_rate(void)
{
    static const uint32_t loss[] = {1000, 10000, 50000, 100000, 300000};

    for (size_t i = 0; i < sizeof(loss) / sizeof(loss[0]); i++) {
        struct wire_plan wire = {.rate = 100 * MBIT, .delay = 2 * MS, .loss = loss[i]};

        over(wire, loss[i] > 100000 ? 60000 : 300000, loss[i] > 100000 ? 30000 : 100000);
    }
}

static void lost_frames_are_repaired_at_every_round_trip(void)
{
    static const uint64_t rtt[] = {5 * US, 100 * US, 10 * MS, 200 * MS};

    for (size_t i = 0; i < sizeof(rtt) / sizeof(rtt[0]); i++) {
        struct wire_plan wire = {.rate = GBIT, .delay = rtt[i] / 2, .loss = 3 * SIM_PERCENT};

        over(wire, 200000, 50000);
    }
}

static void reordered_frames_cost_no_timeout(void)
{
    struct wire_plan wire = {.rate = 100 * MBIT, .delay = 5 * MS, .late = 5 * SIM_PERCENT,
                             .late_by = 2 * MS};
    struct outcome out = over(wire, 500000, 50000);

    SCENE_CHECK(out.timeouts == 0);
    SCENE_CHECK(out.resent < 500000 / 1448 / 5);
}

static void wildly_reordered_frames_arrive(void)
{
    struct wire_plan wire = {.rate = 100 * MBIT, .delay = MS, .late = 50 * SIM_PERCENT,
                             .late_by = 30 * MS};

    over(wire, 300000, 100000);
}

static void doubled_frames_count_once(void)
{
    struct wire_plan wire = {.rate = 100 * MBIT, .delay = 2 * MS, .twice = 20 * SIM_PERCENT,
                             .late_by = MS};
    struct outcome out = over(wire, 400000, 100000);

    SCENE_CHECK(out.timeouts == 0);
}

static void damaged_frames_are_never_good_data(void)
{
    struct wire_plan wire = {.rate = 100 * MBIT, .delay = 2 * MS, .corrupt = 5 * SIM_PERCENT};
    struct outcome out = over(wire, 300000, 100000);

    SCENE_CHECK(out.there.flipped > 0);
}

static void tiny_queue_is_found_and_used(void)
{
    struct wire_plan wire = {.rate = 20 * MBIT, .delay = 5 * MS, .queue = 12000};
    struct outcome out = over(wire, 1500000, 0);

    SCENE_CHECK(out.there.dropped > 0);
    SCENE_CHECK(out.timeouts == 0);
    SCENE_CHECK(out.ns < 1500000 * 8 * SEC / (20 * MBIT) * 5 / 2); /* at least 40 % of the rate */
}

static void everything_at_once(void)
{
    struct wire_plan wire = {.rate = 50 * MBIT, .delay = 5 * MS, .loss = 2 * SIM_PERCENT,
                             .late = 5 * SIM_PERCENT, .twice = 3 * SIM_PERCENT,
                             .corrupt = 2 * SIM_PERCENT, .late_by = 20 * MS, .queue = 60000};

    over(wire, 300000, 300000);
}

/* Tiny segments that come too early are copied behind others, in memory of the stack's own too. */
static void prepare_tiny(void)
{
    set_all(NET_OPTION_MSS, 250);
    set_all(NET_OPTION_RECV_BYTES, 65536);
}

static void tiny_segments_out_of_order_share_buffers(void)
{
    static const uint32_t devices[] = {SIM_NO_REFERENCES, 0, SIM_SOME_REFERENCES};
    struct wire_plan wire = {.rate = 50 * MBIT, .delay = 2 * MS, .loss = 3 * SIM_PERCENT,
                             .late = 20 * SIM_PERCENT, .late_by = 2 * MS};

    for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
        struct scene scene = {.there = wire,
                              .back = wire,
                              .node = {{.device = devices[i]}, {.device = devices[i]}},
                              .plain = true,
                              .app = {{.bytes = 60000, .read = 2000, .read_every = 2 * MS},
                                      {.bytes = 60000, .hold = 10, .hold_ns = 5 * MS}},
                              .prepare = prepare_tiny};

        SCENE_CHECK(scene_play(&scene).bytes == 120000);
    }
}

static void one_direction_only_is_bad(void)
{
    struct wire_plan bad = {.rate = 100 * MBIT, .delay = 5 * MS, .loss = 20 * SIM_PERCENT};
    struct scene scene = {.there = bad, .back = {.delay = 5 * MS}, .app = {{.bytes = 150000}}};

    SCENE_CHECK(scene_play(&scene).bytes == 150000);
    scene = (struct scene){.back = bad, .there = {.delay = 5 * MS}, .app = {{.bytes = 600000}}};
    SCENE_CHECK(scene_play(&scene).bytes == 600000);
}

/* ---- what RACK and TLP have to repair without a timeout: RFC 8985 ---- */

static uint64_t drop_from, drop_to, data_seen; /* numbers of data segments towards the server */

static bool drop_data(int wire, const struct frame *frame)
{
    struct watch_segment segment = {0};

    if (wire != 2 * SERVER + 1 || !frame_is_ip(frame) || frame->corrupt)
        return false;
    if (!watch_parse(frame->data + NET_ETHER_BYTES, frame->bytes - NET_ETHER_BYTES, frame->blank,
                     &segment) ||
        (segment.payload_bytes == 0 && (segment.tcp.flags & NET_TCP_FIN) == 0))
        return false;
    data_seen += 1;
    return data_seen > drop_from && data_seen <= drop_to;
}

static void judge_data(void)
{
    sim.judge = drop_data;
    data_seen = 0;
}

static struct outcome without(uint64_t from, uint64_t to, uint64_t bytes)
{
    struct wire_plan wire = {.rate = 100 * MBIT, .delay = 5 * MS};
    struct scene scene = {
        .there = wire, .back = wire, .app = {{.bytes = bytes}}, .prepare = judge_data};
    struct outcome out;

    drop_from = from;
    drop_to = to;
    out = scene_play(&scene);
    SCENE_CHECK(out.bytes == bytes);
    return out;
}

static void single_loss_anywhere_costs_no_timeout(void)
{
    for (uint64_t i = 0; i < 30; i += 1 + sim_below(3)) {
        struct outcome out = without(i, i + 1, 30 * 1400);

        SCENE_CHECK(out.timeouts == 0);
        SCENE_CHECK(out.resent <= 3);
        SCENE_CHECK(out.ns < 200 * MS); /* five round trips, a probe, and the ACK for it */
    }
}

static void bursts_of_losses_cost_no_timeout(void)
{
    for (uint64_t burst = 2; burst <= 20; burst += 3)
        CHECK_EQ(without(20, 20 + burst, 200 * 1400).timeouts, 0);
}

/* The last segments of a flight: nothing behind them tells, a probe has to. */
static void tail_losses_cost_no_timeout(void)
{
    for (uint64_t lost = 1; lost <= 5; lost++) {
        uint64_t segments;
        struct outcome out = without(0, 0, 10 * 1400);

        CHECK_EQ(out.resent, 0);
        segments = data_seen; /* FIN is one of them, or in the last */
        out = without(segments - lost, segments, 10 * 1400);
        SCENE_CHECK(out.there.lost == lost);
        SCENE_CHECK(out.timeouts == 0);
        SCENE_CHECK(out.ns < 200 * MS);
    }
}

static void lost_retransmission_costs_no_timeout(void)
{
    struct wire_plan wire = {.rate = 100 * MBIT, .delay = 5 * MS, .loss = SIM_PERCENT};

    for (int i = 0; i < 3; i++) {
        struct scene scene = {.there = wire,
                              .back = {.rate = 100 * MBIT, .delay = 5 * MS},
                              .app = {{.bytes = 1500000}}};
        struct outcome out = scene_play(&scene);

        SCENE_CHECK(out.bytes == 1500000);
        SCENE_CHECK(out.timeouts <= 1); /* tail and its probe */
        harness.seed += 1000;
    }
    harness.seed -= 3000;
}

/* ---- blackouts ---- */

static uint64_t dark_ns;
static int dark_wires;

static void darken(int unused)
{
    (void)unused;
    if ((dark_wires & 1) != 0) {
        world.node[SERVER].down.dark_from = sim.now;
        world.node[SERVER].down.dark_to = sim.now + dark_ns;
    }
    if ((dark_wires & 2) != 0) {
        world.node[CLIENT].down.dark_from = sim.now;
        world.node[CLIENT].down.dark_to = sim.now + dark_ns;
    }
}

static void dark_soon(void)
{
    call_at(sim.now + sim_between(1, 40) * MS, darken, 0);
}

static void blackouts_are_survived(void)
{
    static const uint64_t dark[] = {3 * MS, 15 * MS, 100 * MS, 2 * SEC, 20 * SEC};
    struct wire_plan wire = {.rate = 100 * MBIT, .delay = 5 * MS};

    for (size_t i = 0; i < sizeof(dark) / sizeof(dark[0]); i++) {
        struct scene scene = {.there = wire,
                              .back = wire,
                              .app = {{.bytes = 500000}, {.bytes = 200000}},
                              .prepare = dark_soon};
        struct outcome out;

        dark_ns = dark[i];
        dark_wires = 1 + (int)((harness.seed + i) % 3);
        out = scene_play(&scene);
        SCENE_CHECK(out.bytes == 700000);
        SCENE_CHECK(out.ns < 3 * dark[i] + 2 * SEC); /* the timeout was doubled once too often */
    }
}

static void dark_when_open(void)
{
    call_at(sim.now + 30 * MS, darken, 0);
}

static void silence_for_ever_ends_the_stream(void)
{
    struct wire_plan wire = {.rate = 100 * MBIT, .delay = 5 * MS};
    struct scene scene = {.there = wire,
                          .back = wire,
                          .app = {{.bytes = 9000000, .may_fail = true},
                                  {.bytes = 9000000, .may_fail = true}},
                          .prepare = dark_when_open,
                          .limit = 3 * 3600 * SEC};

    dark_ns = 10 * 3600 * SEC;
    dark_wires = 3;
    SCENE_CHECK(scene_play(&scene).failures == 2);
}

int main(int argc, char **argv)
{
    HARNESS_FOR_EACH_SEED(argc, argv, seed) {
        RUN(lost_frames_are_repaired_at_every_rate);
        RUN(lost_frames_are_repaired_at_every_round_trip);
        RUN(reordered_frames_cost_no_timeout);
        RUN(wildly_reordered_frames_arrive);
        RUN(doubled_frames_count_once);
        RUN(damaged_frames_are_never_good_data);
        RUN(tiny_queue_is_found_and_used);
        RUN(everything_at_once);
        RUN(tiny_segments_out_of_order_share_buffers);
        RUN(one_direction_only_is_bad);
        RUN(single_loss_anywhere_costs_no_timeout);
        RUN(bursts_of_losses_cost_no_timeout);
        RUN(tail_losses_cost_no_timeout);
        RUN(lost_retransmission_costs_no_timeout);
        RUN(blackouts_are_survived);
        RUN(silence_for_ever_ends_the_stream);
    }
    return 0;
}
