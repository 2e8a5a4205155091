/* Do streams without SACK, timestamps or scale, with marks, Nagle or cork, move everything too? */
#include "tests/sim/net_scene.h"
#include "transport/net/cc.h"

#define LOSSY                                                                                      \
    {.rate = 50 * MBIT, .delay = 4 * MS, .loss = 2 * SIM_PERCENT, .late = 2 * SIM_PERCENT,         \
     .late_by = MS}

static enum net_option option_of[2];
static uint64_t value_of[2];

/* What the scenario says, on one end, on the other, or on both. */
static void prepare(void)
{
    for (int i = 0; i < 2; i++)
        for (int node = 0; node < 2; node++)
            if (chance(SIM_CHANCE * 2 / 3))
                set_of(node, option_of[i], value_of[i]);
}

static struct outcome with(enum net_option a, uint64_t value, enum net_option b, uint64_t other)
{
    struct scene scene = {.there = LOSSY,
                          .back = LOSSY,
                          .app = {{.bytes = 150000}, {.bytes = 60000}},
                          .prepare = prepare};
    struct outcome out;

    option_of[0] = a;
    value_of[0] = value;
    option_of[1] = b;
    value_of[1] = other;
    out = scene_play(&scene);
    SCENE_CHECK(out.bytes == 210000);
    return out;
}

static void streams_without_sack(void)
{
    with(NET_OPTION_SACK, 0, NET_OPTION_CONGESTION, NET_CC_NEWRENO);
    with(NET_OPTION_SACK, 0, NET_OPTION_TIMESTAMPS, 0);
}

static void streams_without_timestamps_or_scale(void)
{
    with(NET_OPTION_TIMESTAMPS, 0, NET_OPTION_SCALE, 0);
    with(NET_OPTION_SCALE, 0, NET_OPTION_RECV_BYTES, 4 << 20);
}

static void streams_with_other_timeouts(void)
{
    with(NET_OPTION_TIMEOUTS, NET_TIMEOUTS_SPIN, NET_OPTION_QUICK_ACK, 1);
    with(NET_OPTION_TIMEOUTS, NET_TIMEOUTS_RFC, NET_OPTION_HYSTART, 0);
}

static void streams_with_cork_or_without_nagle(void)
{
    with(NET_OPTION_CORK, 1, NET_OPTION_MSS, 700);
    with(NET_OPTION_NODELAY, 1, NET_OPTION_SYN_ORDER, NET_TCP_ORDER_PLAIN);
}

static void cookies_carry_what_was_agreed(void)
{
    with(NET_OPTION_SYN_COOKIES, 2, NET_OPTION_ECN, 1);
    with(NET_OPTION_SYN_COOKIES, 2, NET_OPTION_TIMESTAMPS, 0);
}

/* ---- marks: RFC 3168, RFC 8257 ---- */

static uint64_t marked_kind;

static void prepare_marks(void)
{
    set_all(NET_OPTION_ECN, 1);
    set_all(NET_OPTION_CONGESTION, marked_kind);
    set_all(NET_OPTION_RECV_BYTES, 8 << 20);
}

static struct outcome marked(enum net_cc_kind kind, uint32_t mark)
{
    struct wire_plan there = {.rate = 100 * MBIT, .delay = 2 * MS, .queue = 400000, .mark = mark};
    struct scene scene = {.there = there,
                          .back = {.rate = 100 * MBIT, .delay = 2 * MS},
                          .app = {{.bytes = 6000000, .ring = 4 << 20, .span = 65536}},
                          .prepare = prepare_marks};
    struct outcome out;

    marked_kind = kind;
    out = scene_play(&scene);
    SCENE_CHECK(out.bytes == 6000000);
    SCENE_CHECK(out.there.marked > 0);
    SCENE_CHECK(out.there.dropped == 0 && out.resent == 0 && out.timeouts == 0);
    return out;
}

static void marks_stop_a_queue_before_it_drops(void)
{
    struct outcome out = marked(NET_CC_CUBIC, 60000);

    SCENE_CHECK(out.ns < 6000000 * 8 * SEC / (100 * MBIT) * 3 / 2);
}

static void dctcp_keeps_the_queue_short(void)
{
    struct outcome out = marked(NET_CC_DCTCP, 30000);

    SCENE_CHECK(out.ns < 6000000 * 8 * SEC / (100 * MBIT) * 3 / 2);
    SCENE_CHECK(out.there.marked > 10);
}

static void marks_without_ecn_are_not_given(void)
{
    struct wire_plan there = {.rate = 50 * MBIT, .delay = MS, .queue = 200000, .mark = 10000};
    struct scene scene = {.there = there, .back = {.delay = MS}, .app = {{.bytes = 500000}}};
    struct outcome out = scene_play(&scene);

    SCENE_CHECK(out.bytes == 500000 && out.there.marked == 0);
}

int main(int argc, char **argv)
{
    HARNESS_FOR_EACH_SEED(argc, argv, seed) {
        RUN(streams_without_sack);
        RUN(streams_without_timestamps_or_scale);
        RUN(streams_with_other_timeouts);
        RUN(streams_with_cork_or_without_nagle);
        RUN(cookies_carry_what_was_agreed);
        RUN(marks_stop_a_queue_before_it_drops);
        RUN(dctcp_keeps_the_queue_short);
        RUN(marks_without_ecn_are_not_given);
    }
    return 0;
}
