/* Do two stacks move bytes over wires that lose nothing? */
#include "tests/sim/net_scene.h"

#define LAN {.rate = GBIT, .delay = 20 * US}

static void bulk_one_way_by_ipv4(void)
{
    struct scene scene = {.there = LAN, .back = LAN, .family = 4, .app = {{.bytes = 1000000}}};
    struct outcome out = scene_play(&scene);

    SCENE_CHECK(out.bytes == 1000000);
    SCENE_CHECK(out.timeouts + out.resent + out.resets == 0);
    SCENE_CHECK(out.ns < 30 * MS); /* 8 ms at the rate of the wire */
}

static void bulk_one_way_by_ipv6(void)
{
    struct scene scene = {.there = LAN, .back = LAN, .family = 6, .app = {{0}, {.bytes = 1000000}}};
    struct outcome out = scene_play(&scene);

    SCENE_CHECK(out.bytes == 1000000);
    SCENE_CHECK(out.timeouts + out.resent + out.resets == 0);
    SCENE_CHECK(out.ns < 30 * MS);
}

static void bulk_both_ways(void)
{
    struct scene scene = {
        .there = LAN, .back = LAN, .app = {{.bytes = 500000}, {.bytes = 700000, .hold = 8}}};
    struct outcome out = scene_play(&scene);

    SCENE_CHECK(out.bytes == 1200000);
    SCENE_CHECK(out.timeouts + out.resent + out.resets == 0);
}

static void every_device_moves_the_same_bytes(void)
{
    static const uint32_t device[] = {
        0, SIM_NO_REFERENCES, SIM_SOME_REFERENCES, SIM_TX_SUM, SIM_TX_TSO, SIM_RX_GOOD, SIM_TRUST,
        SIM_BARE_IP, SIM_TIGHT, SIM_BARE_IP | SIM_TX_TSO | SIM_TIGHT | SIM_RX_GOOD,
        SIM_TRUST | SIM_TX_TSO | SIM_NO_REFERENCES, SIM_ASK};

    for (size_t i = 0; i < sizeof(device) / sizeof(device[0]); i++) {
        struct scene scene = {.there = LAN,
                              .back = LAN,
                              .node = {{.device = device[i]}, {.device = device[i]}},
                              .plain = true,
                              .app = {{.bytes = 80000}, {.bytes = 80000, .hold = 4}}};

        SCENE_CHECK(scene_play(&scene).bytes == 160000);
    }
}

static void mixed_devices_understand_each_other(void)
{
    struct scene scene = {.there = LAN,
                          .back = LAN,
                          .pairs = 3,
                          .app = {{.bytes = 60000, .hold = 3}, {.bytes = 60000}}};

    SCENE_CHECK(scene_play(&scene).bytes == 360000);
}

static void round_trips_from_5_us_to_200_ms(void)
{
    static const uint64_t rtt[] = {5 * US, 50 * US, MS, 10 * MS, 200 * MS};

    for (size_t i = 0; i < sizeof(rtt) / sizeof(rtt[0]); i++) {
        struct wire_plan wire = {.rate = GBIT, .delay = rtt[i] / 2};
        struct scene scene = {.there = wire, .back = wire, .app = {{.bytes = 200000}}};
        struct outcome out = scene_play(&scene);

        SCENE_CHECK(out.bytes == 200000);
        SCENE_CHECK(out.timeouts + out.resets == 0);
        SCENE_CHECK(out.ns < 20 * rtt[i] + 50 * MS);
    }
}

static void empty_streams_open_and_close(void)
{
    struct scene scene = {.there = LAN, .back = LAN, .pairs = 5};
    struct outcome out = scene_play(&scene);

    SCENE_CHECK(out.bytes + out.timeouts + out.resets == 0);
}

static void single_bytes_arrive(void)
{
    struct scene scene = {.there = LAN,
                          .back = LAN,
                          .pairs = 2,
                          .app = {{.bytes = 1}, {.bytes = 300, .span = 1, .write_every = 50 * US}}};

    SCENE_CHECK(scene_play(&scene).bytes == 602);
}

static void questions_and_answers_do_not_wait_for_timers(void)
{
    struct scene scene = {.there = LAN,
                          .back = LAN,
                          .app = {{.bytes = 64 * 500, .ask = 64, .answer = 64}}};
    struct outcome out = scene_play(&scene);

    SCENE_CHECK(out.bytes == 2 * 64 * 500);
    SCENE_CHECK(out.timeouts + out.resent == 0);
    SCENE_CHECK(out.ns < 500 * 60 * US); /* 42 us each; one delayed ACK is 40 ms */
}

static void no_delay(void)
{
    set_all(NET_OPTION_NODELAY, 1);
}

/* Without NODELAY the small rest of an answer may wait for the ACK of an odd full segment. */
static void long_answers_do_not_wait_for_delayed_acks(void)
{
    struct scene scene = {.there = LAN,
                          .back = LAN,
                          .app = {{.bytes = 100 * 50, .ask = 100, .answer = 10000}},
                          .prepare = no_delay};
    struct outcome out = scene_play(&scene);

    SCENE_CHECK(out.bytes == 50 * 10100);
    SCENE_CHECK(out.ns < 50 * 2 * MS);
}

/* The peer waits 40 ms with its ACK, and there is nothing that it could come with. Until a round trip
 * was measured so, a probe may leave, or the least timeout of 20 ms comes first: then it is seen to
 * be needless. */
static void seldom_writes_are_hardly_sent_again(void)
{
    for (int i = 0; i < 2; i++) {
        struct scene scene = {.there = LAN,
                              .back = LAN,
                              .app = {{.bytes = i == 0 ? 30 : 60000,
                                       .span = i == 0 ? 1 : 2000,
                                       .write_every = 100 * MS}}};
        struct outcome out = scene_play(&scene);

        SCENE_CHECK(out.timeouts <= out.undone);
        SCENE_CHECK(out.resent <= 8);
    }
}

static void half_closed_streams_carry_the_other_direction(void)
{
    struct scene scene = {
        .there = LAN,
        .back = LAN,
        .app = {{.bytes = 100},
                {.bytes = 200000, .write_from = 300 * MS, .late_close = true, .lingers = true}}};
    struct outcome out = scene_play(&scene);

    SCENE_CHECK(out.bytes == 200100);
    SCENE_CHECK(out.timeouts + out.resets == 0);
}

static void both_open_at_once(void)
{
    struct scene scene = {.there = {.delay = 5 * MS}, .back = {.delay = 5 * MS}};
    struct app_plan plan = {.bytes = 50000};
    struct app *a, *b;
    int family;

    scene_begin(&scene);
    family = scene_family(&scene);
    a = app_new(CLIENT, true, &plan);
    b = app_new(SERVER, true, &plan);
    a->peer = b;
    b->peer = a;
    a->local = b->remote = node_address(CLIENT, family, 7000);
    b->local = a->remote = node_address(SERVER, family, 7001);
    app_connect(a, &a->local);
    node_poke(&world.node[CLIENT]);
    world_run(sim.now + sim_below(4 * MS), NULL);
    app_connect(b, &b->local);
    node_poke(&world.node[SERVER]);
    apps_run(60 * SEC);
    CHECK_EQ(a->got, 50000);
    CHECK_EQ(b->got, 50000);
    CHECK_EQ(watch.resets, 0);
    apps_settle();
    apps_end();
}

static void nobody_listens_is_refused_at_once(void)
{
    struct scene scene = {.there = LAN, .back = LAN};
    struct app_plan plan = {.may_fail = true};
    struct app *app;
    uint64_t began;

    scene_begin(&scene);
    began = sim.now;
    app = pair_open(CLIENT, SERVER, scene_family(&scene), 9, &plan, NULL);
    apps_run(SEC);
    CHECK_EQ(app->error, ECONNREFUSED);
    CHECK(app->closed_at - began < 10 * MS);
    apps_settle();
    apps_end();
}

static void slow_device_takes_frames_as_it_can(void)
{
    struct scene scene = {.there = {.delay = MS},
                          .back = {.delay = MS},
                          .node = {{.rate_up = 20 * MBIT, .device_queue = 4000},
                                   {.rate_up = 20 * MBIT, .device_queue = 20000}},
                          .plain = true, /* TSO would queue far more than device_queue */
                          .pairs = 2,
                          .app = {{.bytes = 200000}, {.bytes = 100000}}};
    struct outcome out = scene_play(&scene);

    SCENE_CHECK(out.bytes == 600000);
    SCENE_CHECK(out.timeouts + out.resent == 0);
    SCENE_CHECK(out.ns < SEC / 2); /* 160 ms of wire */
}

static void host_that_sleeps_between_polls_keeps_up(void)
{
    struct scene scene = {.there = LAN,
                          .back = LAN,
                          .node = {{.poll = MS}, {.poll = 3 * MS}},
                          .app = {{.bytes = 1000000}, {.bytes = 100000}}};
    struct outcome out = scene_play(&scene);

    SCENE_CHECK(out.bytes == 1100000);
    SCENE_CHECK(out.timeouts + out.resent == 0);
}

int main(int argc, char **argv)
{
    HARNESS_FOR_EACH_SEED(argc, argv, seed) {
        RUN(bulk_one_way_by_ipv4);
        RUN(bulk_one_way_by_ipv6);
        RUN(bulk_both_ways);
        RUN(every_device_moves_the_same_bytes);
        RUN(mixed_devices_understand_each_other);
        RUN(round_trips_from_5_us_to_200_ms);
        RUN(empty_streams_open_and_close);
        RUN(single_bytes_arrive);
        RUN(questions_and_answers_do_not_wait_for_timers);
        RUN(long_answers_do_not_wait_for_delayed_acks);
        RUN(seldom_writes_are_hardly_sent_again);
        RUN(half_closed_streams_carry_the_other_direction);
        RUN(both_open_at_once);
        RUN(nobody_listens_is_refused_at_once);
        RUN(slow_device_takes_frames_as_it_can);
        RUN(host_that_sleeps_between_polls_keeps_up);
    }
    return 0;
}
