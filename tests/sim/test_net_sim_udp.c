/* Do datagrams arrive whole or not at all, whatever the wires do? */
#include "tests/sim/net_scene.h"

enum { DATAGRAMS = 200, LONGEST = 20000, ECHO_PORT = 7 };

static struct {
    ewi_stream client, server;
    uint64_t seed;
    uint64_t sent, echoed, answered, most;
    uint8_t data[LONGEST], have[LONGEST];
} udp;

/* number (8 bytes), then bytes of the pattern; the length is a function of the number */
static uint32_t make(uint64_t number)
{
    uint64_t drawn = pattern_word(udp.seed, number);
    uint32_t bytes = 8 + (uint32_t)(drawn % (drawn % 7 == 0 ? udp.most - 8 : 1400));

    memcpy(udp.data, &number, 8);
    pattern_fill(udp.data + 8, udp.seed + number, 0, bytes - 8);
    return bytes;
}

static void check(const struct net_datagram *datagram)
{
    uint64_t number;
    uint32_t bytes;

    SIM_CHECK(datagram->bytes >= 8, "too short");
    memcpy(&number, datagram->data, 8);
    SIM_CHECK(number < udp.sent, "a datagram that was never sent");
    bytes = make(number);
    SIM_CHECK(bytes == datagram->bytes && memcmp(udp.data, datagram->data, bytes) == 0,
              "datagram %" PRIu64 " is damaged", number);
}

static void on_event(struct node *node, const struct stack_event *event)
{
    struct net_datagram in, out;
    ewi_stream stream = node->index == CLIENT ? udp.client : udp.server;

    if ((event->bits & STACK_READABLE) == 0)
        return;
    while (ewi_net_udp_recv(node->net, stream, &in) == 0) {
        check(&in);
        if (node->index == SERVER) {
            out = (struct net_datagram){
                .remote = in.remote, .local = in.local, .data = in.data, .bytes = in.bytes};
            udp.echoed += 1;
            ewi_net_udp_send(node->net, stream, &out, sim.now); /* may find no slot */
        } else {
            udp.answered += 1;
        }
        ewi_net_udp_release(node->net, &in);
    }
}

static void send_next(int left)
{
    struct net_datagram out = {.data = udp.data, .bytes = make(udp.sent)};
    int code = ewi_net_udp_send(world.node[CLIENT].net, udp.client, &out, sim.now);

    SIM_CHECK(code == 0 || code == -EAGAIN, "%u bytes: %d", out.bytes, code);
    udp.sent += 1;
    node_poke(&world.node[CLIENT]);
    if (left > 0)
        call_at(sim.now + sim_below(2 * MS), send_next, left - 1);
}

static void play(struct wire_plan wire, uint64_t most)
{
    struct net_config config = usual_config();
    struct scene scene = {.there = wire, .back = wire};
    int family = chance(SIM_CHANCE / 2) ? 4 : 6;
    struct stack_addr local, remote;

    config.slot_bytes = LONGEST + 100;
    config.reassemblies_max = 16;
    scene.node[CLIENT].config = scene.node[SERVER].config = config;
    scene_begin(&scene);
    world.on_event = on_event;
    memset(&udp, 0, sizeof(udp));
    udp.seed = harness_next(&sim.random);
    udp.most = most;
    local = node_address(SERVER, family, ECHO_PORT);
    CHECK_EQ(ewi_net_udp_open(world.node[SERVER].net, &local, NULL, 1, sim.now, &udp.server), 0);
    remote = local;
    CHECK_EQ(ewi_net_udp_open(world.node[CLIENT].net, NULL, &remote, 2, sim.now, &udp.client), 0);
    CHECK_EQ(ewi_net_watch(world.node[SERVER].net, udp.server, STACK_READABLE), 0);
    CHECK_EQ(ewi_net_watch(world.node[CLIENT].net, udp.client, STACK_READABLE), 0);
    send_next(DATAGRAMS - 1);
    world_run(sim.now + 90 * SEC, NULL); /* reassembly is given up by then */
    CHECK_EQ(udp.sent, DATAGRAMS);
    CHECK_EQ(ewi_net_udp_close(world.node[CLIENT].net, udp.client), 0);
    CHECK_EQ(ewi_net_udp_close(world.node[SERVER].net, udp.server), 0);
    world.on_event = NULL;
    apps_settle();
    apps_end();
}

static void echoes_come_back_over_a_clean_wire(void)
{
    play((struct wire_plan){.rate = GBIT, .delay = 50 * US}, LONGEST);
    CHECK_EQ(udp.answered, DATAGRAMS);
}

static void datagrams_are_never_damaged(void)
{
    play((struct wire_plan){.rate = 100 * MBIT, .delay = MS, .loss = 3 * SIM_PERCENT,
                            .late = 10 * SIM_PERCENT, .late_by = 20 * MS},
         LONGEST);
    CHECK(udp.echoed > DATAGRAMS / 2 && udp.answered > DATAGRAMS / 3);
    /* whole ones only: flips in two fragments of one datagram can cancel in its checksum */
    play((struct wire_plan){.rate = 100 * MBIT, .delay = MS, .loss = 3 * SIM_PERCENT,
                            .corrupt = 10 * SIM_PERCENT},
         1400);
    CHECK(udp.echoed > DATAGRAMS / 2 && udp.answered > DATAGRAMS / 3);
    CHECK(udp.answered <= udp.echoed && udp.echoed <= DATAGRAMS);
}

static void doubled_fragments_do_no_harm(void)
{
    play((struct wire_plan){.rate = 100 * MBIT, .delay = MS, .twice = 20 * SIM_PERCENT,
                            .late = 30 * SIM_PERCENT, .late_by = 3 * MS},
         LONGEST);
    CHECK(udp.answered >= DATAGRAMS * 9 / 10);
}

int main(int argc, char **argv)
{
    HARNESS_FOR_EACH_SEED(argc, argv, seed) {
        RUN(echoes_come_back_over_a_clean_wire);
        RUN(datagrams_are_never_damaged);
        RUN(doubled_fragments_do_no_harm);
    }
    return 0;
}
