#include "tests/sim/net_world.h"

const uint8_t router_mac[6] = {2, 0, 0, 0, 0, 254};

struct stack_addr address4(unsigned number, uint16_t port)
{
    return (struct stack_addr){.family = 4, .port = port, .ip = {10, 0, 0, (uint8_t)number}};
}

struct stack_addr address6(unsigned number, uint16_t port)
{
    struct stack_addr address = {.family = 6, .port = port, .ip = {0xfd}};

    address.ip[15] = (uint8_t)number;
    return address;
}

/* ---- nodes ---- */

static uint32_t caps_of(uint32_t device)
{
    uint32_t caps = (device & SIM_BARE_IP) != 0 ? 0 : NET_PORT_ETHERNET;

    if ((device & SIM_TRUST) != 0)
        caps |= NET_PORT_RX_TRUST | NET_PORT_TX_SUM;
    if ((device & (SIM_TX_SUM | SIM_TX_TSO)) != 0)
        caps |= NET_PORT_TX_SUM;
    if ((device & SIM_TX_TSO) != 0)
        caps |= NET_PORT_TX_TSO;
    return caps;
}

struct net_config usual_config(void)
{
    struct net_config config;

    ewi_net_config_for(&config, 32);
    config.ports_max = 1;
    config.reassemblies_max = 2;
    return config;
}

static void node_start(struct node *node)
{
    struct net_port_config port = {.mtu = node->plan.mtu, .caps = caps_of(node->plan.device)};
    uint8_t seed[32];
    size_t bytes = ewi_net_bytes(&node->plan.config);

    CHECK(bytes > 0);
    node->memory = aligned_alloc(NET_ALIGN, (bytes + NET_ALIGN - 1) / NET_ALIGN * NET_ALIGN);
    CHECK(node->memory != NULL);
    memset(node->memory, 0, bytes);
    for (int i = 0; i < 32; i++)
        seed[i] = (uint8_t)harness_next(&sim.random);
    node->net = ewi_net_init(node->memory, &node->plan.config, seed, sim.now);
    CHECK(node->net != NULL);
    memcpy(port.mac, node->mac, 6);
    if ((node->plan.device & SIM_TX_TSO) != 0)
        port.tso_max = 60000;
    node->port = ewi_net_port_add(node->net, &port);
    CHECK(node->port >= 0);
    CHECK_EQ(ewi_net_address_add(node->net, node->port, &node->ip4, 24, NET_ADDRESS_SURE), 0);
    if (node->plan.mtu >= 1280)
        CHECK_EQ(ewi_net_address_add(node->net, node->port, &node->ip6, 64, NET_ADDRESS_SURE), 0);
    node->room_bytes = (port.tso_max != 0 ? 65535 : node->plan.mtu) + SIM_ROOM_EXTRA;
    for (int i = 0; i < SIM_FRAMES; i++)
        CHECK((node->rooms[i] = malloc(node->room_bytes)) != NULL);
}

int node_add(const struct node_plan *plan, const struct wire_plan *down)
{
    struct node *node = &world.node[world.nodes];

    CHECK(world.nodes < SIM_NODES_MAX);
    memset(node, 0, sizeof(*node));
    node->index = world.nodes++;
    if (plan != NULL)
        node->plan = *plan;
    if (node->plan.mtu == 0)
        node->plan.mtu = 1500;
    if (node->plan.config.conns_max == 0)
        node->plan.config = usual_config();
    node->up.plan.rate = node->plan.rate_up;
    if (down != NULL)
        node->down.plan = *down;
    node->wake_at = node->deadline = SIM_NEVER;
    memcpy(node->mac, (uint8_t[]){2, 0, 0, 0, 0, (uint8_t)(node->index + 1)}, 6);
    node->ip4 = address4((unsigned)node->index + 1, 0);
    node->ip6 = address6((unsigned)node->index + 1, 0);
    node_start(node);
    return node->index;
}

static void node_meet(struct node *node, const struct stack_addr *address, const uint8_t mac[6])
{
    if (address->family == 4 || node->plan.mtu >= 1280)
        CHECK_EQ(ewi_net_neighbour_add(node->net, node->port, address, mac), 0);
}

static void node_routes(struct node *node)
{
    struct stack_addr router4 = address4(SIM_ROUTER_NUMBER, 0), any4 = {.family = 4};
    struct stack_addr router6 = address6(SIM_ROUTER_NUMBER, 0), any6 = {.family = 6};
    bool is_bare = (node->plan.device & SIM_BARE_IP) != 0;

    CHECK_EQ(ewi_net_route_add(node->net, &any4, 0, node->port, is_bare ? NULL : &router4), 0);
    if (node->plan.mtu >= 1280)
        CHECK_EQ(ewi_net_route_add(node->net, &any6, 0, node->port, is_bare ? NULL : &router6), 0);
    if (is_bare)
        return;
    node_meet(node, &router4, router_mac);
    node_meet(node, &router6, router_mac);
}

void world_join(void)
{
    for (int i = 0; i < world.nodes; i++) {
        struct node *node = &world.node[i];

        node_routes(node);
        for (int j = 0; j < world.nodes; j++) {
            struct node *other = &world.node[j];
            bool is_bare = (other->plan.device & SIM_BARE_IP) != 0;

            if (i == j || (node->plan.device & SIM_BARE_IP) != 0 ||
                ((node->plan.device & SIM_ASK) != 0 && !is_bare))
                continue;
            node_meet(node, &other->ip4, other->mac);
            node_meet(node, &other->ip6, other->mac);
        }
    }
}

/* ---- the switch ---- */

void sim_down(struct node *node, struct frame *frame)
{
    wire_send(&node->down, 2 * node->index + 1, frame,
              (struct happening){.kind = AT_NODE, .who = node->index});
}

void sim_up(struct node *node, struct frame *frame)
{
    wire_send(&node->up, 2 * node->index, frame,
              (struct happening){.kind = AT_SWITCH, .who = node->index});
}

static struct node *node_at(const uint8_t *ip)
{
    for (int i = 0; i < world.nodes; i++) {
        struct node *node = &world.node[i];

        if (ip[0] >> 4 == 4 ? memcmp(ip + 16, node->ip4.ip, 4) == 0
                            : memcmp(ip + 24, node->ip6.ip, 16) == 0)
            return node;
    }
    return NULL;
}

static struct frame *too_big4(const struct frame *frame, uint32_t mtu)
{
    const uint8_t *ip = frame->data + NET_ETHER_BYTES;
    uint32_t quote = (uint32_t)sim_between(28, 128);
    struct frame *out = frame_new(NULL, NET_ETHER_BYTES + NET_IP4_BYTES + NET_ICMP_BYTES + quote);
    uint8_t *to = out->data + NET_ETHER_BYTES;
    struct net_icmp icmp = {.type = NET_ICMP4_UNREACHABLE,
                            .code = NET_ICMP4_FRAGMENTATION_NEEDED,
                            .rest = mtu};
    struct net_ip4 header = {.source = 10u << 24 | SIM_ROUTER_NUMBER,
                             .destination = (uint32_t)get16(ip + 12) << 16 | get16(ip + 14),
                             .payload_bytes = (uint16_t)(NET_ICMP_BYTES + quote),
                             .hop_limit = 64,
                             .protocol = NET_ICMP4};

    memcpy(to + NET_IP4_BYTES + NET_ICMP_BYTES, ip, quote);
    ewi_net_ip4_build(to, &header);
    ewi_net_icmp4_build(to + NET_IP4_BYTES, &icmp, ewi_net_sum(ip, quote));
    put16(out->data + 12, NET_ETHER_IP4);
    return out;
}

static struct frame *too_big6(const struct frame *frame, uint32_t mtu)
{
    const uint8_t *ip = frame->data + NET_ETHER_BYTES;
    uint32_t quote = 1280 - NET_IP6_BYTES - NET_ICMP_BYTES;
    struct frame *out = frame_new(NULL, NET_ETHER_BYTES + 1280);
    uint8_t *to = out->data + NET_ETHER_BYTES;
    struct net_icmp icmp = {.type = NET_ICMP6_TOO_BIG, .rest = mtu};
    struct net_ip6 header = {
        .payload_bytes = (uint16_t)(NET_ICMP_BYTES + quote), .hop_limit = 64, .next = NET_ICMP6};
    struct stack_addr router = address6(SIM_ROUTER_NUMBER, 0);

    memcpy(header.source, router.ip, 16);
    memcpy(header.destination, ip + 8, 16);
    memcpy(to + NET_IP6_BYTES + NET_ICMP_BYTES, ip, quote);
    ewi_net_ip6_build(to, &header);
    ewi_net_icmp6_build(to + NET_IP6_BYTES, &icmp,
                        ewi_net_sum_ip6(header.source, header.destination), ewi_net_sum(ip, quote),
                        quote);
    put16(out->data + 12, NET_ETHER_IP6);
    return out;
}

/* True: it does not fit. The frame stays the caller's. */
static bool is_too_long(struct node *to, const struct frame *frame)
{
    struct node *from = &world.node[frame->from];
    struct wire *wire = &to->down;
    struct frame *answer;

    if (from->up.plan.mtu != 0 && (wire->plan.mtu == 0 || from->up.plan.mtu < wire->plan.mtu))
        wire = &from->up;
    if (!frame_is_ip(frame) || wire->plan.mtu == 0 ||
        frame->bytes - NET_ETHER_BYTES <= wire->plan.mtu)
        return false;
    wire->too_long += 1;
    if (wire->plan.silent || frame->corrupt)
        return true;
    answer = frame_type(frame) == NET_ETHER_IP4 ? too_big4(frame, wire->plan.mtu)
                                                : too_big6(frame, wire->plan.mtu);
    answer->from = SIM_ROUTER;
    memcpy(answer->data, from->mac, 6);
    memcpy(answer->data + 6, router_mac, 6);
    sim_down(from, answer);
    return true;
}

void switch_take(struct frame *frame)
{
    const uint8_t *ip = frame->data + NET_ETHER_BYTES;
    struct node *bare = NULL;

    if ((world.node[frame->from].plan.device & SIM_BARE_IP) != 0) {
        bare = node_at(ip);
        if (bare != NULL)
            memcpy(frame->data, bare->mac, 6);
    }
    for (int i = 0; i < world.nodes; i++) {
        struct node *node = &world.node[i];
        bool is_all = (frame->data[0] & 1) != 0;

        if (i == frame->from || (!is_all && memcmp(frame->data, node->mac, 6) != 0))
            continue;
        if (!is_too_long(node, frame))
            sim_down(node, frame_copy(frame));
    }
    free(frame);
}

/* ---- looking ---- */

static bool counter_is_drop(uint32_t i)
{
    static int8_t known[NET_COUNTERS_COUNT];

    if (known[i] == 0)
        known[i] = strncmp(ewi_net_counters_name(i)->name, "drop_", 5) == 0 ? 1 : -1;
    return known[i] > 0;
}

static uint64_t node_drops(const struct node *node)
{
    const struct net_counters *counters = ewi_net_counters(node->net);
    uint64_t sum = 0;

    for (uint32_t i = 0; i < NET_COUNTERS_COUNT; i++)
        if (counter_is_drop(i))
            sum += ewi_net_counters_value(counters, i);
    return sum;
}

void node_show(const struct node *node)
{
    const struct net_counters *counters = ewi_net_counters(node->net);

    fprintf(stderr, "    node %d:", node->index);
    for (uint32_t i = 0; i < NET_COUNTERS_COUNT; i++)
        if (ewi_net_counters_value(counters, i) != 0)
            fprintf(stderr, " %s %" PRIu64, ewi_net_counters_name(i)->name,
                    ewi_net_counters_value(counters, i));
    fprintf(stderr, "\n");
}

void node_check(struct node *node)
{
    const struct net_counters *counters = ewi_net_counters(node->net);
    const char *wrong = ewi_net_check(node->net);

    SIM_CHECK(wrong == NULL, "node %d: %s\n", node->index, wrong);
    if (counters->rx_packets != counters->accepted + node_drops(node))
        node_show(node);
    SIM_CHECK(counters->rx_packets == counters->accepted + node_drops(node), "node %d",
              node->index);
}
