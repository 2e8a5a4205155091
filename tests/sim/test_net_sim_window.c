/* Do slow readers, small memories and packets that no longer fit stop nothing for ever? */
#include "tests/sim/net_scene.h"

#define WIRE {.rate = 100 * MBIT, .delay = MS}

static void zero_window_opens_again(void)
{
    struct scene scene = {.there = WIRE,
                          .back = WIRE,
                          .app = {{.bytes = 3000000}, {.read_from = 3 * SEC, .hold = 5}}};
    struct outcome out = scene_play(&scene);

    SCENE_CHECK(out.bytes == 3000000);
    SCENE_CHECK(out.ns > 3 * SEC && out.ns < 4 * SEC);
    SCENE_CHECK(out.timeouts == 0); /* probes are none */
}

/* The window update is lost too: only the probe finds out. */
static uint64_t window_dark_at;

static void lose_back(int unused)
{
    (void)unused;
    world.node[CLIENT].down.dark_from = sim.now;
    world.node[CLIENT].down.dark_to = sim.now + 500 * MS;
}

static void lose_the_update(void)
{
    call_at(sim.now + window_dark_at, lose_back, 0);
}

static void lost_window_update_is_probed_for(void)
{
    struct scene scene = {.there = WIRE,
                          .back = WIRE,
                          .app = {{.bytes = 2500000}, {.read_from = 2 * SEC}},
                          .prepare = lose_the_update};

    window_dark_at = 2 * SEC - 100 * MS;
    SCENE_CHECK(scene_play(&scene).bytes == 2500000);
}

static void zero_window_over_a_bad_wire(void)
{
    struct wire_plan bad = {.rate = 100 * MBIT, .delay = MS, .loss = 10 * SIM_PERCENT,
                            .late = 5 * SIM_PERCENT, .late_by = 5 * MS};
    struct scene scene = {.there = bad,
                          .back = bad,
                          .app = {{.bytes = 1500000}, {.read_from = SEC, .read = 200000,
                                                       .read_every = 100 * MS}}};

    SCENE_CHECK(scene_play(&scene).bytes == 1500000);
}

static void small_receive(void)
{
    set_of(SERVER, NET_OPTION_RECV_BYTES, 16 * 1024);
}

static void slow_reader_sets_the_pace(void)
{
    struct scene scene = {.there = WIRE,
                          .back = WIRE,
                          .app = {{.bytes = 100000}, {.read = 1000, .read_every = 5 * MS}},
                          .prepare = small_receive};
    struct outcome out = scene_play(&scene);

    SCENE_CHECK(out.bytes == 100000);
    SCENE_CHECK(out.ns > 300 * MS && out.ns < 3 * SEC);
    SCENE_CHECK(out.segments < 1000); /* no silly windows: RFC 9293 section 3.8.6.2 */
}

static void tokens_that_are_kept_close_the_window_until_released(void)
{
    struct scene scene = {.there = WIRE,
                          .back = WIRE,
                          .app = {{.bytes = 300000}, {.hold = 31, .hold_ns = 20 * MS}},
                          .prepare = small_receive};

    SCENE_CHECK(scene_play(&scene).bytes == 300000);
}

static void small_send(void)
{
    set_of(CLIENT, NET_OPTION_SEND_BYTES, 5000);
}

static void small_send_limit_moves_everything(void)
{
    struct scene scene = {.there = WIRE,
                          .back = WIRE,
                          .app = {{.bytes = 200000, .span = 3000}},
                          .prepare = small_send};

    SCENE_CHECK(scene_play(&scene).bytes == 200000);
}

static void tiny_writes_share_segments(void)
{
    struct scene scene = {
        .there = WIRE, .back = WIRE, .app = {{.bytes = 30000, .span = 7, .write_every = 20 * US}}};
    struct outcome out = scene_play(&scene);

    SCENE_CHECK(out.bytes == 30000);
    SCENE_CHECK(out.segments < 1500); /* Nagle: one small segment for each round trip */
}

/* ---- a path that gets narrow ---- */

static uint32_t narrow_mtu;
static bool narrow_is_silent;

static void narrow(int unused)
{
    (void)unused;
    world.node[SERVER].down.plan.mtu = narrow_mtu;
    world.node[SERVER].down.plan.silent = narrow_is_silent;
}

static void narrow_soon(void)
{
    call_at(sim.now + sim_between(0, 60) * MS, narrow, 0);
}

static struct outcome through(uint32_t mtu, bool is_silent, int family)
{
    struct wire_plan wire = {.rate = 50 * MBIT, .delay = 5 * MS};
    struct scene scene = {.there = wire,
                          .back = wire,
                          .family = family,
                          .app = {{.bytes = 500000}, {.bytes = 100000}},
                          .prepare = narrow_soon};
    struct outcome out;

    narrow_mtu = mtu;
    narrow_is_silent = is_silent;
    out = scene_play(&scene);
    SCENE_CHECK(out.bytes == 600000);
    return out;
}

static void narrow_path_with_icmp_is_followed(void)
{
    for (int i = 0; i < 4; i++) {
        struct outcome out = through(i < 2 ? 1400 : 1280, false, i % 2 == 0 ? 4 : 6);

        SCENE_CHECK(out.ns < 2 * SEC);
        SCENE_CHECK(out.there.too_long < 200); /* it is learnt from the first */
    }
    through(576, false, 4);
}

static void black_hole_is_found(void)
{
    for (int i = 0; i < 2; i++) {
        struct outcome out = through(1300, true, i % 2 == 0 ? 4 : 6);

        SCENE_CHECK(out.there.too_long > 0);
        SCENE_CHECK(out.ns < 60 * SEC);
    }
}

static void jumbo_frames_meet_an_ordinary_host(void)
{
    struct scene scene = {.there = WIRE,
                          .back = WIRE,
                          .node = {{.mtu = 9000}, {.mtu = 1500}},
                          .app = {{.bytes = 300000}, {.bytes = 300000}}};

    SCENE_CHECK(scene_play(&scene).bytes == 600000);
    scene.node[SERVER].mtu = 9000;
    SCENE_CHECK(scene_play(&scene).bytes == 600000);
    scene.node[CLIENT].mtu = 576;
    SCENE_CHECK(scene_play(&scene).bytes == 600000);
}

int main(int argc, char **argv)
{
    HARNESS_FOR_EACH_SEED(argc, argv, seed) {
        RUN(zero_window_opens_again);
        RUN(lost_window_update_is_probed_for);
        RUN(zero_window_over_a_bad_wire);
        RUN(slow_reader_sets_the_pace);
        RUN(tokens_that_are_kept_close_the_window_until_released);
        RUN(small_send_limit_moves_everything);
        RUN(tiny_writes_share_segments);
        RUN(narrow_path_with_icmp_is_followed);
        RUN(black_hole_is_found);
        RUN(jumbo_frames_meet_an_ordinary_host);
    }
    return 0;
}
