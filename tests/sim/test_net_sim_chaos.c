/* Hosts, wires, options and users drawn by chance: does every byte still arrive once? */
#include "tests/sim/net_scene.h"
#include "transport/net/cc.h"

enum { PAIRS_MAX = 8, WIRES_CHANGE_NS = 40000000 };

static uint64_t drawn(const uint64_t *from, size_t count)
{
    return from[sim_below(count)];
}

#define DRAWN(...)                                                                                 \
    drawn((const uint64_t[]){__VA_ARGS__},                                                         \
          sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static struct wire_plan any_wire(void)
{
    struct wire_plan plan = {.delay = DRAWN(3 * US, 100 * US, 2 * MS, 20 * MS, 100 * MS)};

    plan.rate = DRAWN(0, MBIT, 10 * MBIT, 100 * MBIT, GBIT, 10 * GBIT);
    plan.queue = (uint32_t)DRAWN(0, 5000, 20000, 100000, 1000000);
    if (plan.queue != 0 && chance(SIM_CHANCE / 3))
        plan.mark = plan.queue / 4;
    if (chance(SIM_CHANCE / 2))
        plan.loss = (uint32_t)sim_below(DRAWN(1000, 10000, 50000, 150000));
    if (chance(SIM_CHANCE / 2))
        plan.late = (uint32_t)sim_below(DRAWN(1000, 50000, 300000));
    if (chance(SIM_CHANCE / 3))
        plan.twice = (uint32_t)sim_below(DRAWN(1000, 50000, 200000));
    if (chance(SIM_CHANCE / 3))
        plan.corrupt = (uint32_t)sim_below(DRAWN(1000, 50000));
    plan.late_by = sim_below(DRAWN(100 * US, 5 * MS, 50 * MS));
    return plan;
}

static void any_options(int node)
{
    set_of(node, NET_OPTION_SACK, !chance(SIM_CHANCE / 4));
    set_of(node, NET_OPTION_TIMESTAMPS, !chance(SIM_CHANCE / 4));
    set_of(node, NET_OPTION_SCALE, !chance(SIM_CHANCE / 5));
    set_of(node, NET_OPTION_ECN, sim_below(3));
    set_of(node, NET_OPTION_CONGESTION, sim_below(NET_CC_KINDS));
    set_of(node, NET_OPTION_NODELAY, sim_below(2));
    set_of(node, NET_OPTION_CORK, chance(SIM_CHANCE / 5));
    set_of(node, NET_OPTION_QUICK_ACK, chance(SIM_CHANCE / 4));
    set_of(node, NET_OPTION_TIMEOUTS, sim_below(3));
    set_of(node, NET_OPTION_HYSTART, sim_below(2));
    set_of(node, NET_OPTION_SYN_ORDER, sim_below(2));
    set_of(node, NET_OPTION_SYN_COOKIES, sim_below(3));
    set_of(node, NET_OPTION_DELAY_ACK_NS, DRAWN(MS, 40 * MS, 200 * MS));
    set_of(node, NET_OPTION_RECV_BYTES, DRAWN(8192, 32768, 200000, 1 << 20));
    set_of(node, NET_OPTION_SEND_BYTES, DRAWN(4096, 32768, 200000, 4 << 20));
    set_of(node, NET_OPTION_MSS, DRAWN(0, 0, 0, 300, 1000));
    /* always: a peer that gave up may have said so in a segment that was lost */
    set_of(node, NET_OPTION_KEEPALIVE_NS, DRAWN(50 * MS, SEC, 100 * SEC));
}

static struct app_plan any_app(void)
{
    struct app_plan plan = {.bytes = sim_below(DRAWN(2, 2000, 50000, 150000)),
                            .ring = (uint32_t)DRAWN(1000, 16384, 65536, 300000),
                            .span = (uint32_t)DRAWN(100, 3000, 20000, 65536)};

    if (plan.bytes / plan.span > 500)
        plan.span = 1000;
    plan.hold = chance(SIM_CHANCE / 2) ? (uint32_t)sim_between(1, 20) : 0;
    plan.hold_ns = sim_below(DRAWN(1, MS, 50 * MS));
    plan.late_close = chance(SIM_CHANCE / 4);
    plan.lingers = chance(SIM_CHANCE / 4);
    if (chance(SIM_CHANCE / 4)) {
        plan.read = (uint32_t)DRAWN(500, 5000, 50000);
        plan.read_every = sim_below(DRAWN(MS, 20 * MS));
    }
    if (chance(SIM_CHANCE / 6))
        plan.read_from = sim_below(2 * SEC);
    if (chance(SIM_CHANCE / 4))
        plan.write_every = sim_below(2 * MS);
    return plan;
}

static void any_pair(int family)
{
    struct app_plan a = any_app(), b = any_app();
    int client = (int)sim_below((uint64_t)world.nodes);
    int server = (int)sim_below((uint64_t)world.nodes - 1);

    server += server >= client;
    if (a.late_close && b.late_close)
        b.late_close = false; /* each would wait for the other */
    if (chance(SIM_CHANCE / 10))
        (chance(SIM_CHANCE / 2) ? &a : &b)->abort_at = 1 + sim_below(30000);
    if (chance(SIM_CHANCE / 5)) {
        a.ask = 1 + (uint32_t)sim_below(500);
        a.answer = 1 + (uint32_t)sim_below(5000);
        a.bytes = a.ask * sim_between(1, 20);
        a.ring = a.ring < a.ask ? 16384 : a.ring;
    }
    a.may_fail = b.may_fail = true; /* by the network; what arrives is checked all the same */
    pair_open(client, server, family, (uint16_t)(SERVER_PORT + family), &a, &b);
}

/* ---- disturbances ---- */

static void disturb(int unused)
{
    struct wire *wire = &world.node[sim_below((uint64_t)world.nodes)].down;
    uint64_t delay = wire->plan.delay;

    (void)unused;
    switch (sim_below(5)) {
    case 0:
        wire->dark_from = sim.now;
        wire->dark_to = sim.now + sim_below(DRAWN(10 * MS, 300 * MS, 2 * SEC));
        break;
    case 1:
        wire->plan.mtu = (uint32_t)DRAWN(0, 1280, 1300, 1400, 1499);
        wire->plan.silent = chance(SIM_CHANCE / 3);
        break;
    case 2:
        wire->plan = any_wire();
        break;
    case 3:
        wire->plan.delay = delay / 2 + sim_below(delay + 1);
        break;
    case 4:
        wire->plan.loss = wire->plan.late = wire->plan.twice = wire->plan.corrupt = 0;
        break;
    }
    if (apps.left > 0)
        call_at(sim.now + sim_below(WIRES_CHANGE_NS), disturb, 0);
}

static void chaos_nodes(void)
{
    int count = (int)sim_between(2, 4);

    for (int i = 0; i < count; i++) {
        struct node_plan plan = {.device = any_device(),
                                 .mtu = (uint16_t)DRAWN(1280, 1500, 1500, 9000),
                                 .poll = chance(SIM_CHANCE / 3) ? DRAWN(50 * US, MS) : 0};
        struct wire_plan wire = any_wire();

        if (chance(SIM_CHANCE / 3))
            plan.device |= SIM_ASK;
        if (chance(SIM_CHANCE / 4)) {
            plan.rate_up = 100 * MBIT;
            plan.device_queue = DRAWN(3000, 30000);
        }
        node_add(&plan, &wire);
    }
    world_join();
    for (int i = 0; i < count; i++) {
        any_options(i);
        app_listen(i, 4, SERVER_PORT + 4, 1 + (uint32_t)sim_below(20));
        app_listen(i, 6, SERVER_PORT + 6, 1 + (uint32_t)sim_below(20));
    }
}

static void chaos_moves_every_byte_once(void)
{
    int pairs;

    apps_begin(scene_seed());
    chaos_nodes();
    set_all(NET_OPTION_TIME_WAIT_NS, SEC);
    pairs = (int)sim_between(1, PAIRS_MAX);
    for (int i = 0; i < pairs; i++) {
        any_pair(chance(SIM_CHANCE / 2) ? 4 : 6);
        world_run(sim.now + sim_below(20 * MS), NULL);
    }
    if (chance(SIM_CHANCE / 2))
        disturb(0);
    apps_run(100 * 3600 * SEC); /* timeouts of a minute, when the dark was long and ACKs get lost */
    apps_settle();
    apps_end();
}

int main(int argc, char **argv)
{
    HARNESS_FOR_EACH_SEED(argc, argv, seed) {
        for (int i = 0; i < 25; i++) {
            harness.seed = seed + (uint64_t)i * UINT64_C(1000000007);
            RUN(chaos_moves_every_byte_once);
        }
        harness.seed = seed;
    }
    return 0;
}
