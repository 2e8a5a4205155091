/* tests/c/net_ip_base.h - IP, ICMP, reassembly and UDP between a link and a TCP that are stand-ins.
 *
 * Purpose    Packets go in at ewi_net_ip_input and come out as sent slots; what TCP, NDP and the
 *            link are asked is recorded, and what they answer is chosen.
 * Shape      one host: port 0, 10.0.0.1/24, 2001:db8::1, fe80::1; 10.0.0.9 and 2001:db8::9 are
 *            tentative; groups 224.0.0.1, ff02::1. peer4, peer6: somebody on the link.
 * Owner      one static stack in each test program
 * Threads    one
 * Trust      none: test code only
 * Errors     CHECK
 * Invariants I1  every slot that was taken was sent or given back: slots_out counts the rest.
 * Ordering   none
 * Source     none
 */
#ifndef TESTS_C_NET_IP_BASE_H
#define TESTS_C_NET_IP_BASE_H

#include "tests/c/harness.h"
#include "transport/net/order.h"
#include "transport/net/sum.h"
#include "transport/net/whole.h"

enum {
    BASE_SLOTS = 160,
    BASE_SLOT_BYTES = 65535,
    BASE_PACKET_BYTES = 70000,
    BASE_PORT = 0,
};
#define SECONDS UINT64_C(1000000000)

struct base_slot {
    struct net_slot slot;
    uint8_t memory[BASE_SLOT_BYTES];
    bool is_taken;
};

static struct {
    struct base_slot slot[BASE_SLOTS];
    uint32_t slots_max; /* of BASE_SLOTS: how many there are */
    uint32_t slots_out;
    uint32_t sent[1024], sent_count; /* slots, in order */
    struct {
        uint8_t bytes[BASE_SLOT_BYTES];
        uint32_t length;
        struct net_tuple tuple;
    } out[256]; /* what was in them */
    uint16_t mtu;
    enum net_way_code way;
    uint32_t caps;

    uint32_t tcp_count, ndp_count;
    struct net_arrived tcp, ndp; /* the last */
    uint8_t tcp_bytes[BASE_PACKET_BYTES];
    uint32_t told_count;
    struct net_icmp_told told;
    struct net_tuple told_tuple;
    bool believes;
} base;

static struct ewi_net base_net;
static struct ewi_net *const net = &base_net;

static const uint8_t ours4[16] = {10, 0, 0, 1}, peer4[16] = {10, 0, 0, 2};
static const uint8_t ours6[16] = {0x20, 1, 0xd, 0xb8, [15] = 1};
static const uint8_t peer6[16] = {0x20, 1, 0xd, 0xb8, [15] = 2};
static const uint8_t link6[16] = {0xfe, 0x80, [15] = 1}, peer_link6[16] = {0xfe, 0x80, [15] = 2};
static const uint8_t group6[16] = {0xff, 2, [15] = 1};

/* ---- the link's stand-in ---- */

static bool base_is4(const uint8_t address[16], uint32_t want)
{
    return ewi_net_get_u32(address) == want;
}

enum net_whose ewi_net_link_whose(const struct ewi_net *whole, uint16_t port, uint8_t family,
                                  const uint8_t address[16])
{
    static const uint8_t tentative6[16] = {0x20, 1, 0xd, 0xb8, [15] = 9};

    CHECK(whole == net && port == BASE_PORT && (family == 4 || family == 6));
    if (family == 4) {
        if (address[0] == 127) /* somebody gave it such an address: IP knows better */
            return NET_OURS;
        if (base_is4(address, 0x0a000001))
            return NET_OURS;
        if (base_is4(address, 0x0a000009))
            return NET_OURS_TENTATIVE;
        if (base_is4(address, 0x0a0000ff) || base_is4(address, 0xffffffff))
            return NET_BROADCAST;
        return base_is4(address, 0xe0000001) ? NET_MULTICAST : NET_NOT_OURS;
    }
    if (memcmp(address, ours6, 16) == 0 || memcmp(address, link6, 16) == 0)
        return NET_OURS;
    if (address[0] == 0 && (address[10] == 0xff || address[15] == 1)) /* as 127 */
        return NET_OURS;
    if (memcmp(address, tentative6, 16) == 0)
        return NET_OURS_TENTATIVE;
    return memcmp(address, group6, 16) == 0 ? NET_MULTICAST : NET_NOT_OURS;
}

bool ewi_net_link_is_local(const struct ewi_net *whole, uint8_t family, const uint8_t address[16])
{
    return ewi_net_link_whose(whole, BASE_PORT, family, address) == NET_OURS;
}

uint32_t ewi_net_port_caps(const struct ewi_net *whole, uint16_t port)
{
    CHECK(whole == net && port == BASE_PORT);
    return base.caps;
}

enum net_way_code ewi_net_way(struct ewi_net *whole, const struct net_tuple *tuple,
                              struct net_way *way)
{
    CHECK(whole == net && tuple->zero == 0);
    *way = (struct net_way){.port = BASE_PORT, .mtu = base.mtu, .hop = NET_NONE};
    return base.way;
}

bool ewi_net_way_source(struct ewi_net *whole, struct net_tuple *tuple)
{
    CHECK(whole == net);
    if (base.way == NET_WAY_NONE)
        return false;
    if (tuple->family == 4)
        memcpy(tuple->local, ours4, 16);
    else
        memcpy(tuple->local, tuple->remote[0] == 0xfe ? link6 : ours6, 16);
    tuple->scope = ewi_net_scope_of(BASE_PORT, tuple->family, tuple->remote);
    return true;
}

uint32_t ewi_net_slot_take(struct ewi_net *whole)
{
    CHECK(whole == net);
    for (uint32_t i = 0; i < base.slots_max; i++) {
        if (base.slot[i].is_taken)
            continue;
        base.slot[i].is_taken = true;
        base.slot[i].slot = (struct net_slot){.packet = base.slot[i].memory};
        memset(base.slot[i].memory, 0xa5, 64);
        base.slots_out += 1;
        return i;
    }
    return NET_NONE;
}

struct net_slot *ewi_net_slot(struct ewi_net *whole, uint32_t index)
{
    CHECK(whole == net && index < BASE_SLOTS && base.slot[index].is_taken);
    return &base.slot[index].slot;
}

void ewi_net_slot_give(struct ewi_net *whole, uint32_t index)
{
    CHECK(whole == net && index < BASE_SLOTS && base.slot[index].is_taken);
    base.slot[index].is_taken = false;
    base.slots_out -= 1;
}

void ewi_net_slot_send(struct ewi_net *whole, uint32_t index)
{
    const struct net_slot *slot = ewi_net_slot(whole, index);
    uint32_t place = base.sent_count++;

    CHECK(place < 256 && slot->bytes <= BASE_SLOT_BYTES && slot->bytes <= base.mtu);
    CHECK(!slot->finish_sum);
    CHECK_EQ(slot->network_bytes >= 20, true);
    base.out[place].length = slot->bytes;
    base.out[place].tuple = slot->tuple;
    memcpy(base.out[place].bytes, slot->packet, slot->bytes);
    ewi_net_slot_give(whole, index);
}

void ewi_net_ndp_input(struct ewi_net *whole, const struct net_arrived *arrived)
{
    CHECK(whole == net);
    base.ndp_count += 1;
    base.ndp = *arrived;
    net->count.accepted += 1;
}

/* ---- TCP's stand-in ---- */

void ewi_net_tcp_input(struct ewi_net *whole, struct net_arrived *arrived)
{
    CHECK(whole == net && arrived->length <= sizeof(base.tcp_bytes));
    base.tcp_count += 1;
    base.tcp = *arrived;
    memcpy(base.tcp_bytes, arrived->bytes, arrived->length);
    net->count.accepted += 1;
}

bool ewi_net_tcp_icmp(struct ewi_net *whole, const struct net_tuple *tuple,
                      const struct net_icmp_told *told)
{
    CHECK(whole == net);
    base.told_count += 1;
    base.told = *told;
    base.told_tuple = *tuple;
    return base.believes;
}

/* ---- the stack ---- */

static void *base_block;

static inline void base_layers(struct net_block *block, const struct net_config *config,
                               struct net_packets_places *packets, struct net_internet_places *ip,
                               struct net_udp_places *udp)
{
    ewi_net_packets_place(block, config, packets);
    ewi_net_ip_place(block, config, ip);
    ewi_net_udp_place(block, config, udp);
}

static inline struct net_config base_config(void)
{
    return (struct net_config){
        .packets_max = 64,
        .copies_max = 32,
        .udp_max = 8,
        .paths_max = 4,
        .slots_max = BASE_SLOTS,
        .slot_bytes = BASE_SLOT_BYTES,
        .reassemblies_max = 8,
        .rx_bytes_max = 1 << 20,
    };
}

static inline void base_start(const struct net_config *config)
{
    struct net_packets_places packets;
    struct net_internet_places ip;
    struct net_udp_places udp;
    struct net_block block;
    size_t bytes;

    free(base_block);
    memset(&base.slots_max, 0, sizeof(base) - offsetof(__typeof__(base), slots_max));
    for (uint32_t i = 0; i < BASE_SLOTS; i++)
        base.slot[i].is_taken = false;
    base.slots_max = BASE_SLOTS;
    base.mtu = 1500;
    base.believes = true;
    memset(net, 0, sizeof(*net));
    net->config = *config;
    for (uint8_t i = 0; i < 32; i++)
        net->seed[i] = i;
    net->now = 1000 * SECONDS;
    ewi_net_random_init(&net->random, net->seed);
    ewi_net_block_layout(&block);
    base_layers(&block, config, &packets, &ip, &udp);
    bytes = ewi_net_block_bytes(&block);
    CHECK(bytes != 0);
    base_block = aligned_alloc(NET_BLOCK_ALIGN_MAX, (bytes + 4095) / 4096 * 4096);
    CHECK(base_block != NULL);
    ewi_net_block_fill(&block, base_block, bytes);
    base_layers(&block, config, &packets, &ip, &udp);
    CHECK_EQ(ewi_net_block_bytes(&block), bytes);
    ewi_net_packets_init(net, &packets);
    ewi_net_ip_init(net, &ip);
    ewi_net_udp_init(net, &udp);
}

static inline void base_begin(void)
{
    struct net_config config = base_config();

    base_start(&config);
}

static inline uint64_t base_drops(void)
{
    uint64_t drops = 0;

    for (uint32_t i = 0; i < NET_COUNTERS_COUNT; i++)
        if (strncmp(ewi_net_counters_name(i)->name, "drop_", 5) == 0)
            drops += ewi_net_counters_value(&net->count, i);
    return drops;
}

static inline void base_check(void)
{
    const char *wrong = ewi_net_ip_check(net);

    if (wrong == NULL)
        wrong = ewi_net_udp_check(net);
    if (wrong == NULL)
        wrong = ewi_net_udp_check_ports(net);
    if (wrong != NULL)
        fprintf(stderr, "    %s\n", wrong);
    CHECK(wrong == NULL);
    CHECK_EQ(base.slots_out, 0);
    CHECK_EQ(net->count.rx_packets, net->count.accepted + base_drops()); /* counters.h, I1 */
}

#endif
