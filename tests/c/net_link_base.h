/* tests/c/net_link_base.h - link layers by themselves: stations on a wire, with stand-ins above them.
 *
 * Purpose    Drive transport/net/link.h without IP and TCP: what would go up is written down.
 * Shape      station(i)      a stack of which only the link layer is there; port 0 has MAC 2:0:0:0:0:i
 *            depart(s)       the next frame that leaves s; arrive(s, bytes, length): one that comes
 *            exchange(a, b)  frames go to and fro until none is left
 * Owner      static memory of the test program, which has one source file
 * Threads    one
 * Trust      none: test code only
 * Errors     a CHECK fails
 * Invariants I1  each frame that departs fits its fields; each that arrives is counted once.
 * Ordering   none
 * Source     none
 */
#ifndef TESTS_C_NET_LINK_BASE_H
#define TESTS_C_NET_LINK_BASE_H

#include <errno.h>

#include "tests/c/harness.h"
#include "transport/net/link_parts.h"
#include "transport/net/order.h"
#include "transport/net/sum.h"

#define MS  UINT64_C(1000000)
#define SEC (1000 * MS)

enum { STATIONS = 3, BLOCK_BYTES = 1 << 20, CHANGES = 4096, FRAME_BYTES = 2048 };

struct change { /* ewi_net_tcp_way_changed was called */
    uint32_t parked;
    bool is_ready;
};

struct station {
    struct ewi_net net;
    uint32_t changes;
    struct change change[CHANGES];
    uint32_t packets; /* that reached IP */
    uint8_t packet[FRAME_BYTES]; /* the last one */
    uint32_t packet_bytes;
    uint8_t packet_family;
    bool packet_to_all;
    uint64_t seen; /* packets given to input */
};

static _Alignas(4096) uint8_t block_memory[STATIONS][BLOCK_BYTES];
static struct station stations[STATIONS];

struct frame {
    uint8_t bytes[FRAME_BYTES];
    struct net_frame out;
};

/* ---- what is above ---- */

static inline struct station *station_of(struct ewi_net *net)
{
    return (struct station *)(void *)((uint8_t *)net - offsetof(struct station, net));
}

static inline void up_to_ndp(struct ewi_net *net, struct net_rx *rx, uint8_t *bytes,
                             uint32_t length, bool to_all)
{
    struct net_arrived arrived = {
        .rx = rx,
        .bytes = bytes + NET_IP6_BYTES,
        .length = length - NET_IP6_BYTES,
        .packet = bytes,
        .packet_bytes = length,
        .port = rx->port,
        .protocol = NET_ICMP6,
        .is_multicast = to_all,
    };
    struct net_ip6 ip;

    if (ewi_net_ip6_parse(bytes, length, &ip) != NET_OK) {
        net->count.drop_ip_header += 1;
        return;
    }
    arrived.length = ip.payload_bytes;
    ewi_net_ndp_input(net, &arrived);
}

static inline bool is_ndp(const uint8_t *bytes, uint32_t length, uint8_t family)
{
    return family == 6 && length >= NET_IP6_BYTES + 8 && bytes[6] == NET_ICMP6 &&
           bytes[NET_IP6_BYTES] >= NET_NDP_RS && bytes[NET_IP6_BYTES] <= NET_NDP_REDIRECT;
}

void ewi_net_ip_input(struct ewi_net *net, struct net_rx *rx, uint8_t *bytes, uint32_t length,
                      uint8_t family, bool to_all)
{
    struct station *s = station_of(net);

    CHECK(bytes >= rx->data && bytes + length <= rx->data + rx->bytes);
    if (is_ndp(bytes, length, family)) {
        up_to_ndp(net, rx, bytes, length, to_all);
        return;
    }
    s->packets += 1;
    s->packet_bytes = length;
    s->packet_family = family;
    s->packet_to_all = to_all;
    memcpy(s->packet, bytes, length);
    net->count.accepted += 1;
}

void ewi_net_tcp_way_changed(struct ewi_net *net, uint32_t parked, bool is_ready)
{
    struct station *s = station_of(net);

    CHECK(s->changes < CHANGES);
    s->change[s->changes++] = (struct change){parked, is_ready};
}

/* ---- a station ---- */

static inline struct net_config small_config(void)
{
    return (struct net_config){
        .ports_max = 2,
        .addresses_max = 8,
        .routes_max = 8,
        .neighbours_max = 8,
        .slots_max = 128,
        .slot_bytes = 1500,
    };
}

static inline struct ewi_net *start_station(uint32_t i, const struct net_config *config)
{
    struct ewi_net *net = &stations[i].net;
    struct net_links_places places;
    struct net_block block;

    CHECK(i < STATIONS);
    memset(&stations[i], 0, sizeof(stations[i]));
    memset(block_memory[i], 0xa5, BLOCK_BYTES); /* init must not rely on zeros */
    net->config = *config;
    net->now = 5 * SEC;
    net->seed[0] = (uint8_t)(i + 1);
    ewi_net_random_init(&net->random, net->seed);
    ewi_net_block_fill(&block, block_memory[i], BLOCK_BYTES);
    ewi_net_link_place(&block, config, &places);
    CHECK(ewi_net_block_bytes(&block) != 0);
    ewi_net_link_init(net, &places);
    return net;
}

static inline struct net_port_config ether_port(uint32_t i)
{
    return (struct net_port_config){
        .mac = {2, 0, 0, 0, 0, (uint8_t)i},
        .mtu = 1500,
        .caps = NET_PORT_ETHERNET,
    };
}

static inline struct ewi_net *station(uint32_t i)
{
    struct net_config config = small_config();
    struct net_port_config port = ether_port(i);
    struct ewi_net *net = start_station(i, &config);

    CHECK_EQ(ewi_net_port_add(net, &port), 0);
    return net;
}

/* ---- addresses ---- */

static inline struct stack_addr ip4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    return (struct stack_addr){.family = 4, .ip = {a, b, c, d}};
}

/* fd00:NET::HOST */
static inline struct stack_addr ip6(uint8_t net, uint8_t host)
{
    return (struct stack_addr){.family = 6, .ip = {0xfd, 0, 0, net, [15] = host}};
}

static inline struct stack_addr link6(uint8_t host)
{
    return (struct stack_addr){.family = 6, .ip = {0xfe, 0x80, [15] = host}};
}

/* Without its announcements: test_net_announce.c. */
static inline void give_address(struct ewi_net *net, int port, struct stack_addr address,
                                unsigned bits)
{
    struct net_addresses *addresses = &net->link.addresses;

    CHECK_EQ(ewi_net_address_add(net, port, &address, bits, NET_ADDRESS_SURE), 0);
    addresses->address[addresses->count - 1].at = NET_NEVER;
    ewi_net_addresses_due(addresses, 0, net->now);
}

/* Station i with 10.0.0.i/24, fd00::i/64 and fe80::i/64. */
static inline struct ewi_net *addressed(uint32_t i)
{
    struct ewi_net *net = station(i);

    give_address(net, 0, ip4(10, 0, 0, (uint8_t)i), 24);
    give_address(net, 0, ip6(0, (uint8_t)i), 64);
    give_address(net, 0, link6((uint8_t)i), 64);
    return net;
}

static inline struct net_tuple tuple_to(struct stack_addr remote)
{
    struct net_tuple tuple = {.family = remote.family, .scope = (uint16_t)remote.scope};

    memcpy(tuple.remote, remote.ip, 16);
    return tuple;
}

/* ---- frames ---- */

static inline bool depart(struct ewi_net *net, struct frame *frame)
{
    frame->out = (struct net_frame){.room = frame->bytes, .room_bytes = FRAME_BYTES};
    if (ewi_net_link_output(net, &frame->out, 1) == 0)
        return false;
    CHECK(frame->out.bytes <= FRAME_BYTES);
    CHECK(frame->out.link_bytes + frame->out.network_bytes <= frame->out.bytes);
    return true;
}

static inline uint64_t drops(const struct net_counters *count)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < NET_COUNTERS_COUNT; i++)
        if (strncmp(ewi_net_counters_name(i)->name, "drop_", 5) == 0)
            sum += ewi_net_counters_value(count, i);
    return sum;
}

/* The packet lies at the very end of its memory, so that a sanitizer sees a read beyond it. */
static inline void arrive_at(struct ewi_net *net, uint16_t port, const void *bytes, uint32_t length)
{
    uint8_t *memory = malloc(length == 0 ? 1 : length);
    struct net_rx rx = {.data = memory, .bytes = length, .port = port};
    struct station *s = station_of(net);

    CHECK(memory != NULL);
    memcpy(memory, bytes, length);
    s->seen += 1;
    ewi_net_link_input(net, &rx);
    free(memory);
    CHECK_EQ(drops(&net->count) + net->count.accepted, s->seen); /* counters.h I1 */
}

static inline void arrive(struct ewi_net *net, const void *bytes, uint32_t length)
{
    arrive_at(net, 0, bytes, length);
}

static inline void exchange(struct ewi_net *a, struct ewi_net *b)
{
    struct frame frame;
    bool moved = true;

    for (int turns = 0; moved; turns++) {
        CHECK(turns < 1000);
        moved = false;
        if (depart(a, &frame)) {
            arrive(b, frame.bytes, frame.out.bytes);
            moved = true;
        }
        if (depart(b, &frame)) {
            arrive(a, frame.bytes, frame.out.bytes);
            moved = true;
        }
    }
}

static inline void discard(struct ewi_net *net)
{
    struct frame frame;

    while (depart(net, &frame))
        ;
}

/* The next frame that leaves, when its time has come; how long it took. */
static inline uint64_t next_frame(struct ewi_net *net, struct frame *frame)
{
    uint64_t start = net->now;

    while (!depart(net, frame)) {
        uint64_t at = ewi_net_link_deadline(net);

        CHECK(at != NET_NEVER);
        net->now = at > net->now ? at : net->now;
        ewi_net_link_tick(net);
    }
    return net->now - start;
}

/* Time passes; everything that is due is done, at its own time. */
static inline void pass(struct ewi_net *net, uint64_t ns)
{
    uint64_t end = net->now + ns;

    for (int ticks = 0;; ticks++) {
        uint64_t at = ewi_net_link_deadline(net);

        CHECK(ticks < 100000);
        if (at == 0) {
            discard(net);
            continue;
        }
        if (at > end)
            break;
        net->now = at > net->now ? at : net->now;
        ewi_net_link_tick(net);
    }
    net->now = end;
    ewi_net_link_tick(net);
}

/* ---- what is in a frame ---- */

static inline struct net_ether ether_of(const struct frame *frame)
{
    struct net_ether ether;

    CHECK_EQ(ewi_net_ether_parse(frame->bytes, frame->out.bytes, &ether), NET_OK);
    return ether;
}

static inline struct net_arp arp_of(const struct frame *frame)
{
    struct net_arp arp;

    CHECK_EQ(ether_of(frame).type, NET_ETHER_ARP);
    CHECK_EQ(frame->out.bytes, NET_ETHER_BYTES + NET_ARP_BYTES);
    CHECK_EQ(ewi_net_arp_parse(frame->bytes + NET_ETHER_BYTES, NET_ARP_BYTES, &arp), NET_OK);
    return arp;
}

static inline struct net_ndp ndp_of(const struct frame *frame, struct net_ip6 *ip)
{
    const uint8_t *packet = frame->bytes + NET_ETHER_BYTES;
    uint32_t bytes = frame->out.bytes - NET_ETHER_BYTES;
    struct net_icmp icmp;
    struct net_ndp ndp;

    CHECK_EQ(ether_of(frame).type, NET_ETHER_IP6);
    CHECK_EQ(ewi_net_ip6_parse(packet, bytes, ip), NET_OK);
    CHECK_EQ(ip->next, NET_ICMP6);
    CHECK_EQ(ip->payload_bytes, bytes - NET_IP6_BYTES);
    CHECK_EQ(ewi_net_icmp6_parse(packet + NET_IP6_BYTES, ip->payload_bytes,
                                 ewi_net_sum_ip6(ip->source, ip->destination), &icmp),
             NET_OK);
    CHECK_EQ(ewi_net_ndp_parse(packet + NET_IP6_BYTES, ip->payload_bytes, ip, &ndp), NET_OK);
    return ndp;
}

/* A slot with `bytes` bytes of 'x' to this address, sent. NET_NONE: there was none. */
static inline uint32_t send_to(struct ewi_net *net, struct stack_addr remote, uint32_t bytes)
{
    uint32_t index = ewi_net_slot_take(net);
    struct net_slot *slot;

    if (index == NET_NONE)
        return NET_NONE;
    slot = ewi_net_slot(net, index);
    slot->tuple = tuple_to(remote);
    slot->bytes = bytes;
    slot->network_bytes = 20;
    memset(slot->packet, 'x', bytes);
    ewi_net_slot_send(net, index);
    return index;
}

static inline bool same_ip(const uint8_t *ip, struct stack_addr address)
{
    return memcmp(ip, address.ip, address.family == 4 ? 4 : 16) == 0;
}

static inline bool same_mac(const uint8_t mac[6], uint32_t station_number)
{
    struct net_port_config port = ether_port(station_number);

    return memcmp(mac, port.mac, 6) == 0;
}

#endif
