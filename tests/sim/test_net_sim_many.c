/* Do many connections share a host, a wire and a small memory? */
#include "tests/sim/net_scene.h"
#include "transport/net/cc.h"

#define WIRE {.rate = GBIT, .delay = 100 * US}

static struct net_config room_for(uint32_t conns)
{
    struct net_config config;

    ewi_net_config_for(&config, conns);
    config.ports_max = 1;
    config.reassemblies_max = 2;
    return config;
}

static void hundred_connections_at_once(void)
{
    struct node_plan node = {.config = room_for(128)};
    struct wire_plan lossy = {.rate = 200 * MBIT, .delay = MS, .queue = 200000,
                              .loss = SIM_PERCENT};
    struct scene scene = {.there = lossy,
                          .back = lossy,
                          .node = {node, node},
                          .pairs = 100,
                          .stagger = 300 * US,
                          .app = {{.bytes = 12000}, {.bytes = 8000, .hold = 3}}};

    SCENE_CHECK(scene_play(&scene).bytes == 100 * 20000);
}

/* ---- churn ---- */

enum { CHURN_AT_ONCE = 15, CHURN_ALL = 300 };

static int churn_family, churn_opened;

static void churn_open(int unused)
{
    struct app_plan client = {.bytes = sim_below(3000), .late_close = chance(SIM_CHANCE / 3)};
    struct app_plan server = {.bytes = sim_below(3000), .late_close = !client.late_close &&
                                                                     chance(SIM_CHANCE / 3)};

    (void)unused;
    if (churn_opened == CHURN_ALL)
        return;
    churn_opened += 1;
    if (chance(SIM_CHANCE / 10))
        (chance(SIM_CHANCE / 2) ? &client : &server)->abort_at = 1 + sim_below(2000);
    pair_open(CLIENT, SERVER, churn_family, SERVER_PORT, &client, &server);
}

static void churn_next(struct app *app)
{
    if (app->is_client)
        call_at(sim.now + sim_below(MS), churn_open, 0);
}

static void connections_come_and_go(void)
{
    struct node_plan node = {.config = room_for(64)};
    struct scene scene = {.there = WIRE, .back = WIRE, .node = {node, node}};

    scene_begin(&scene);
    churn_family = scene_family(&scene);
    churn_opened = 0;
    apps.on_closed = churn_next;
    app_listen(SERVER, churn_family, SERVER_PORT, 32);
    for (int i = 0; i < CHURN_AT_ONCE; i++)
        churn_open(0);
    while (churn_opened < CHURN_ALL || apps.left > 0) {
        apps_run(60 * SEC);
        CHECK(world_step(SIM_NEVER)); /* the next one is still on the clock */
    }
    CHECK_EQ(apps.count, 2 * CHURN_ALL);
    apps_settle();
    apps_end();
}

/* ---- two flows, one bottleneck ---- */

static void share_a_bottleneck(enum net_cc_kind kind, int family)
{
    struct wire_plan narrow = {.rate = 10 * MBIT, .delay = 5 * MS, .queue = 25000};
    struct wire_plan back = {.delay = 5 * MS};
    struct app_plan plan = {.bytes = UINT64_C(1) << 40, .ring = 1 << 18};
    struct app *flow[2];
    uint64_t before[2], share[2];

    apps_begin(scene_seed());
    for (int i = 0; i < 3; i++)
        node_add(&(struct node_plan){.device = any_device()}, i == 2 ? &narrow : &back);
    world_join();
    world.check_every = 16;
    set_all(NET_OPTION_CONGESTION, kind);
    app_listen(2, family, SERVER_PORT, 8);
    flow[0] = pair_open(0, 2, family, SERVER_PORT, &plan, NULL)->peer;
    world_run(sim.now + SEC, NULL);
    flow[1] = pair_open(1, 2, family, SERVER_PORT, &plan, NULL)->peer;
    world_run(sim.now + 10 * SEC, NULL);
    before[0] = flow[0]->got;
    before[1] = flow[1]->got;
    world_run(sim.now + 20 * SEC, NULL);
    for (int i = 0; i < 2; i++)
        share[i] = flow[i]->got - before[i];
    if (share[0] * 10 < share[1] * 8 || share[1] * 10 < share[0] * 8)
        fprintf(stderr, "    kind %d: %" PRIu64 " and %" PRIu64 " bytes\n", (int)kind, share[0],
                share[1]);
    CHECK(share[0] * 10 >= share[1] * 8 && share[1] * 10 >= share[0] * 8);
    CHECK(share[0] + share[1] > 20 * (10 * MBIT / 8) * 85 / 100); /* and it is used */
    apps_end();
}

static void two_newreno_flows_share_equally(void)
{
    share_a_bottleneck(NET_CC_NEWRENO, 4);
}

static void two_cubic_flows_share_equally(void)
{
    share_a_bottleneck(NET_CC_CUBIC, 6);
}

/* ---- a SYN flood ---- */

static uint64_t flood_left;

static void flood_one(int unused)
{
    uint8_t data[NET_ETHER_BYTES + NET_IP4_BYTES + NET_TCP_BYTES_MAX] = {0};
    struct node *server = &world.node[SERVER];
    struct net_tcp tcp = {.source_port = (uint16_t)sim_between(1, 65535),
                          .destination_port = SERVER_PORT,
                          .sequence = (uint32_t)harness_next(&sim.random),
                          .window = 1024,
                          .flags = NET_TCP_SYN,
                          .has = NET_TCP_HAS_MSS,
                          .mss = 1460};
    size_t header = ewi_net_tcp_header_bytes(&tcp);
    struct net_ip4 ip = {.source = 192u << 24 | 168u << 16 | (uint32_t)sim_between(1, 65000),
                         .destination = 10u << 24 | (SERVER + 1),
                         .payload_bytes = (uint16_t)header,
                         .hop_limit = 60,
                         .protocol = NET_TCP};
    struct frame *frame;

    (void)unused;
    memcpy(data, server->mac, 6);
    memcpy(data + 6, router_mac, 6);
    put16(data + 12, NET_ETHER_IP4);
    ewi_net_ip4_build(data + NET_ETHER_BYTES, &ip);
    ewi_net_tcp_build(data + NET_ETHER_BYTES + NET_IP4_BYTES, &tcp, NET_TCP_ORDER_LINUX,
                      ewi_net_sum_ip4(ip.source, ip.destination), 0, 0);
    frame = frame_new(data, (uint32_t)(NET_ETHER_BYTES + NET_IP4_BYTES + header));
    frame->from = SIM_ROUTER;
    watch_sent(data + NET_ETHER_BYTES, frame->bytes - NET_ETHER_BYTES, false);
    sim_down(server, frame);
    if (--flood_left > 0)
        call_at(sim.now + sim_below(100 * US), flood_one, 0);
}

static void syn_flood_disturbs_nobody(void)
{
    struct app_plan plan = {.bytes = 1000000, .write_every = MS};
    struct scene scene = {.there = WIRE, .back = WIRE};
    struct app *late;

    scene_begin(&scene);
    app_listen(SERVER, 4, SERVER_PORT, 16);
    pair_open(CLIENT, SERVER, 4, SERVER_PORT, &plan, &plan);
    world_run(sim.now + 5 * MS, NULL);
    flood_left = 4000;
    flood_one(0);
    world_run(sim.now + 100 * MS, NULL);
    CHECK(flood_left > 0);
    late = pair_open(CLIENT, SERVER, 4, SERVER_PORT, &(struct app_plan){.bytes = 1000},
                     &(struct app_plan){.bytes = 1000});
    apps_run(60 * SEC);
    world_run(sim.now + 10 * SEC, NULL);
    CHECK_EQ(flood_left, 0);
    for (int i = 0; i < apps.count; i++)
        CHECK_EQ(apps.all[i]->last.timeouts, 0);
    CHECK_EQ(late->got, 1000);
    CHECK(late->opened_at != 0);
    apps_settle();
    apps_end();
}

/* ---- small memories ---- */

struct scarce {
    const char *name;
    size_t at;
    uint32_t few;
};

#define SCARCE(member, few) {#member, offsetof(struct net_config, member), few}

static const struct scarce scarce[] = {
    SCARCE(conns_max, 3),    SCARCE(half_open_max, 1), SCARCE(time_waits_max, 1),
    SCARCE(packets_max, 6),  SCARCE(runs_max, 6),      SCARCE(spans_max, 6),
    SCARCE(troubles_max, 1), SCARCE(copies_max, 3),    SCARCE(slots_max, 2),
    SCARCE(paths_max, 1),    SCARCE(neighbours_max, 4)};

static bool make_scarce(struct net_config *config, const struct scarce *what)
{
    uint32_t few = what->few;

    do {
        memcpy((uint8_t *)config + what->at, &few, sizeof(few));
        few *= 2;
    } while (ewi_net_bytes(config) == 0 && few < 64);
    return ewi_net_bytes(config) != 0;
}

static void every_scarce_memory_is_survived(void)
{
    struct wire_plan bad = {.rate = 50 * MBIT, .delay = 2 * MS, .loss = 2 * SIM_PERCENT,
                            .late = 5 * SIM_PERCENT, .late_by = 5 * MS, .queue = 50000};

    for (size_t i = 0; i < sizeof(scarce) / sizeof(scarce[0]); i++) {
        struct scene scene = {.there = bad,
                              .back = bad,
                              .pairs = 5,
                              .app = {{.bytes = 25000, .may_fail = true},
                                      {.bytes = 25000, .may_fail = true, .hold = 2}}};

        scene.node[SERVER].config = room_for(16);
        CHECK(make_scarce(&scene.node[SERVER].config, &scarce[i]));
        scene.limit = 1200 * SEC;
        printf("%s, ", scarce[i].name);
        fflush(stdout);
        scene_play(&scene);
    }
}

static void little_receive_memory_for_all_is_survived(void)
{
    struct wire_plan bad = {.rate = 50 * MBIT, .delay = 2 * MS, .loss = 2 * SIM_PERCENT,
                            .late = 5 * SIM_PERCENT, .late_by = 5 * MS};
    struct scene scene = {.there = bad,
                          .back = bad,
                          .pairs = 6,
                          .app = {{.bytes = 40000}, {.bytes = 10000, .hold = 4, .hold_ns = MS}},
                          .limit = 1200 * SEC};

    scene.node[SERVER].config = room_for(16);
    scene.node[SERVER].config.rx_bytes_max = 40 * 1024;
    SCENE_CHECK(scene_play(&scene).bytes == 6 * 50000);
}

int main(int argc, char **argv)
{
    HARNESS_FOR_EACH_SEED(argc, argv, seed) {
        RUN(hundred_connections_at_once);
        RUN(connections_come_and_go);
        RUN(two_newreno_flows_share_equally);
        RUN(two_cubic_flows_share_equally);
        RUN(syn_flood_disturbs_nobody);
        RUN(every_scarce_memory_is_survived);
        RUN(little_receive_memory_for_all_is_survived);
    }
    return 0;
}
