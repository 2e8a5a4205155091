/* tests/c/test_net_internet.c - two whole stacks on one wire: UDP, echo, fragments, ICMP, all layers real. */
#include "tests/c/harness.h"
#include "transport/net/order.h"
#include "transport/net/sum.h"
#include "transport/net/whole.h"

#include <errno.h>

enum { FRAME_BYTES = 2048, BATCH = 16, HOSTS = 2 };
#define MS UINT64_C(1000000)

static struct host {
    struct ewi_net *stack;
    void *memory;
} host[HOSTS];

static uint64_t now;
static uint32_t frames_seen;
static uint8_t last_frame[FRAME_BYTES];
static uint32_t last_bytes;

static struct stack_addr address(uint8_t family, uint8_t number, uint16_t port)
{
    struct stack_addr addr = {.family = family, .port = port};

    if (family == 4) {
        addr.ip[0] = 10;
        addr.ip[3] = number;
    } else {
        addr.ip[0] = 0xfd;
        addr.ip[15] = number;
    }
    return addr;
}

static void start_host(int which, uint32_t caps, uint16_t mtu)
{
    struct net_port_config port = {.mac = {2, 0, 0, 0, 0, (uint8_t)(which + 1)}, .mtu = mtu,
                                   .caps = caps};
    struct stack_addr four = address(4, (uint8_t)(which + 1), 0);
    struct stack_addr six = address(6, (uint8_t)(which + 1), 0);
    uint8_t seed[32] = {(uint8_t)which};
    struct net_config config;
    size_t bytes;

    ewi_net_config_for(&config, 16);
    config.slot_bytes = 65535;
    bytes = ewi_net_bytes(&config);
    CHECK(bytes != 0);
    free(host[which].memory);
    host[which].memory = aligned_alloc(NET_BLOCK_ALIGN_MAX, (bytes + 4095) / 4096 * 4096);
    CHECK(host[which].memory != NULL);
    host[which].stack = ewi_net_init(host[which].memory, &config, seed, now);
    CHECK(host[which].stack != NULL);
    CHECK_EQ(ewi_net_port_add(host[which].stack, &port), 0);
    CHECK_EQ(ewi_net_address_add(host[which].stack, 0, &four, 24, NET_ADDRESS_SURE), 0);
    CHECK_EQ(ewi_net_address_add(host[which].stack, 0, &six, 64, NET_ADDRESS_SURE), 0);
}

/* A frame in memory of its own, without a reference: what is kept is copied. */
static void give(int which, const uint8_t *bytes, uint32_t length)
{
    uint8_t *exact = malloc(length);
    struct net_rx rx = {.data = exact, .bytes = length, .charge = length};

    CHECK(exact != NULL);
    memcpy(exact, bytes, length);
    ewi_net_input(host[which].stack, now, &rx, 1);
    free(exact);
}

static uint32_t carry_from(int from)
{
    static uint8_t room[BATCH][FRAME_BYTES];
    struct net_frame frames[BATCH] = {{0}};
    uint32_t count;

    for (int i = 0; i < BATCH; i++) {
        frames[i].room = room[i];
        frames[i].room_bytes = FRAME_BYTES;
    }
    count = ewi_net_output(host[from].stack, now, frames, BATCH);
    for (uint32_t i = 0; i < count; i++) {
        frames_seen += 1;
        last_bytes = frames[i].bytes;
        memcpy(last_frame, frames[i].room, frames[i].bytes);
        give(1 - from, frames[i].room, frames[i].bytes);
    }
    return count;
}

/* Until nothing moves any more, and then for some time. */
static void run(uint64_t ns)
{
    uint64_t end = now + ns;

    for (;;) {
        while (carry_from(0) + carry_from(1) != 0)
            ;
        if (now >= end)
            break;
        now += MS;
        for (int i = 0; i < HOSTS; i++)
            ewi_net_tick(host[i].stack, now);
    }
    for (int i = 0; i < HOSTS; i++)
        CHECK(ewi_net_check(host[i].stack) == NULL);
}

static void start_with(uint32_t caps, uint16_t mtu)
{
    now = 1000 * MS;
    for (int i = 0; i < HOSTS; i++)
        start_host(i, caps, mtu);
    run(3000 * MS); /* they announce themselves */
    frames_seen = 0;
}

static void start(void)
{
    start_with(NET_PORT_ETHERNET, 1500);
}

static ewi_stream open_udp(int which, const struct stack_addr *local, const struct stack_addr *remote)
{
    ewi_stream stream;

    CHECK_EQ(ewi_net_udp_open(host[which].stack, local, remote, 7, now, &stream), 0);
    return stream;
}

static uint8_t data[65536];

static void expect_datagram(int which, ewi_stream stream, uint32_t bytes, struct stack_addr *from)
{
    struct net_datagram got;

    CHECK_EQ(ewi_net_udp_recv(host[which].stack, stream, &got), 0);
    CHECK_EQ(got.bytes, bytes);
    CHECK(memcmp(got.data, data, bytes) == 0);
    *from = got.remote;
    ewi_net_udp_release(host[which].stack, &got);
}

/* Ask, answer, both of this length. */
static void exchange(uint8_t family, uint32_t bytes)
{
    struct stack_addr local = address(family, 2, 53), remote = local, from;
    struct net_datagram datagram = {.data = data, .bytes = bytes};
    ewi_stream server, client;

    memset(local.ip, 0, 16);
    server = open_udp(1, &local, NULL);
    client = open_udp(0, NULL, &remote);
    CHECK_EQ(ewi_net_udp_send(host[0].stack, client, &datagram, now), 0);
    run(20 * MS);
    expect_datagram(1, server, bytes, &from);
    datagram.remote = from;
    CHECK_EQ(ewi_net_udp_send(host[1].stack, server, &datagram, now), 0);
    run(20 * MS);
    expect_datagram(0, client, bytes, &from);
    CHECK_EQ(from.port, 53);
    CHECK_EQ(ewi_net_udp_close(host[0].stack, client), 0);
    CHECK_EQ(ewi_net_udp_close(host[1].stack, server), 0);
}

static void datagrams_of_every_size_cross_the_wire(void)
{
    static const uint32_t sizes[] = {0, 1, 1400, 1452, 1453, 1472, 1473, 8000, 65487};

    for (uint32_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 11 + i / 256);
    for (uint32_t bare = 0; bare < 2; bare++) {
        start_with(bare ? 0 : NET_PORT_ETHERNET, 1500);
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            exchange(4, sizes[i]);
            exchange(6, sizes[i]);
        }
        for (int i = 0; i < HOSTS; i++) {
            const struct net_counters *count = ewi_net_counters(host[i].stack);

            CHECK_EQ(count->drop_fragment + count->drop_udp_checksum + count->drop_ip_address, 0);
            CHECK_EQ(count->fragments_late, 0);
        }
    }
}

static void butok_fnet_18_fragments_wait_together_for_the_neighbour(void)
{
    start(); /* no ARP yet: the first datagram is in pieces */
    exchange(4, 30000);
    start();
    exchange(6, 30000);
}

static void a_closed_port_refuses_a_connected_endpoint(void)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct stack_addr remote = address(family, 2, 99);
        struct net_datagram datagram = {.data = data, .bytes = 10};
        struct stack_event event;
        ewi_stream client;

        start();
        client = open_udp(0, NULL, &remote);
        CHECK_EQ(ewi_net_udp_send(host[0].stack, client, &datagram, now), 0);
        run(20 * MS);
        CHECK_EQ(ewi_net_counters(host[1].stack)->drop_udp_port, 1);
        CHECK_EQ(ewi_net_events(host[0].stack, &event, 1), 1);
        CHECK(event.stream == client);
        CHECK_EQ(event.bits, STACK_FAILED);
        CHECK_EQ(event.user, 7);
        CHECK_EQ(ewi_net_ready(host[0].stack, client) & STACK_FAILED, STACK_FAILED);
        CHECK_EQ(ewi_net_error(host[0].stack, client), -ECONNREFUSED);
    }
}

/* A router in the middle says that what just left was too long. */
static void router_says(uint8_t family, uint16_t mtu)
{
    uint8_t frame[14 + 40 + 8 + 64] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
    uint32_t header = ewi_net_ip_header_bytes(family), quoted = header + 8, sum;
    struct net_icmp icmp = {.rest = mtu};
    struct net_tuple tuple = {.family = family}; /* as the router sees it */
    struct net_ip_out how = {.protocol = family == 4 ? NET_ICMP4 : NET_ICMP6, .hop_limit = 64};
    struct stack_addr router = address(family, 200, 0), victim = address(family, 1, 0);

    memcpy(tuple.local, router.ip, 16);
    memcpy(tuple.remote, victim.ip, 16);
    ewi_net_put_u16(frame + 12, family == 4 ? NET_ETHER_IP4 : NET_ETHER_IP6);
    ewi_net_ip_header(frame + 14, &tuple, &how, NET_ICMP_BYTES + quoted);
    memcpy(frame + 14 + header + 8, last_frame + 14, quoted);
    sum = ewi_net_sum(last_frame + 14, quoted);
    icmp.type = family == 4 ? NET_ICMP4_UNREACHABLE : NET_ICMP6_TOO_BIG;
    icmp.code = family == 4 ? NET_ICMP4_FRAGMENTATION_NEEDED : 0;
    if (family == 4)
        ewi_net_icmp4_build(frame + 14 + header, &icmp, sum);
    else
        ewi_net_icmp6_build(frame + 14 + header, &icmp, ewi_net_ip_addresses(&tuple), sum, quoted);
    give(0, frame, 14 + header + NET_ICMP_BYTES + quoted);
}

static void rfc_1191_and_8201_a_router_narrows_the_path(void)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct stack_addr local = address(family, 2, 53), remote = local, from;
        struct net_datagram datagram = {.data = data, .bytes = 1400};
        ewi_stream server, client;
        uint32_t frames;

        start();
        server = open_udp(1, &local, NULL);
        client = open_udp(0, NULL, &remote);
        CHECK_EQ(ewi_net_udp_send(host[0].stack, client, &datagram, now), 0);
        run(20 * MS);
        expect_datagram(1, server, 1400, &from);
        frames = frames_seen;
        CHECK_EQ(ewi_net_udp_send(host[0].stack, client, &datagram, now), 0);
        run(2 * MS);
        CHECK_EQ(frames_seen, frames + 1);
        router_says(family, 1300);
        CHECK_EQ(ewi_net_counters(host[0].stack)->drop_icmp, 0);
        CHECK_EQ(ewi_net_udp_send(host[0].stack, client, &datagram, now), 0);
        run(2 * MS);
        CHECK_EQ(frames_seen, frames + 3);
        expect_datagram(1, server, 1400, &from);
        expect_datagram(1, server, 1400, &from);
    }
}

static void echoes_come_back_in_pieces(void)
{
    uint8_t request[14 + 20 + 8 + 1400] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0};
    struct net_icmp icmp = {.type = NET_ICMP4_ECHO, .rest = 5};
    struct net_ip4 ip = {.source = 0x0a000002, .destination = 0x0a000001, .id = 9,
                         .hop_limit = 64, .protocol = NET_ICMP4};
    static uint8_t message[8 + 4000];
    uint32_t frames;

    start();
    for (uint32_t i = 8; i < sizeof(message); i++)
        message[i] = (uint8_t)i;
    ewi_net_icmp4_build(message, &icmp, ewi_net_sum(message + 8, sizeof(message) - 8));
    frames = frames_seen;
    for (uint32_t at = 0; at < sizeof(message); at += 1400) {
        uint32_t left = (uint32_t)sizeof(message) - at, bytes = left < 1400 ? left : 1400;

        ip.payload_bytes = (uint16_t)bytes;
        ip.fragment_at = (uint16_t)at;
        ip.more_fragments = bytes < left;
        ewi_net_ip4_build(request + 14, &ip);
        memcpy(request + 34, message + at, bytes);
        give(0, request, 34 + bytes);
    }
    run(20 * MS);
    CHECK_EQ(frames_seen - frames, 3 + 2); /* and ARP */
    CHECK_EQ(ewi_net_counters(host[1].stack)->drop_icmp, 1); /* it had asked for nothing */
    CHECK_EQ(ewi_net_counters(host[1].stack)->drop_fragment, 0);
}

static void late_fragments_are_told_through_all_layers(void)
{
    uint8_t frame[14 + 20 + 64] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0};
    struct net_ip4 ip = {.source = 0x0a000002, .destination = 0x0a000001, .payload_bytes = 64,
                         .more_fragments = true, .hop_limit = 64, .protocol = NET_UDP};

    start();
    ewi_net_ip4_build(frame + 14, &ip);
    give(0, frame, sizeof(frame));
    CHECK(ewi_net_deadline(host[0].stack) <= now + NET_REASSEMBLY_NS);
    now += NET_REASSEMBLY_NS;
    ewi_net_tick(host[0].stack, now);
    run(20 * MS);
    CHECK_EQ(ewi_net_counters(host[0].stack)->fragments_late, 1);
    CHECK_EQ(ewi_net_counters(host[1].stack)->drop_icmp, 1); /* nobody there had sent it */
}

int main(void)
{
    RUN(datagrams_of_every_size_cross_the_wire);
    RUN(butok_fnet_18_fragments_wait_together_for_the_neighbour);
    RUN(a_closed_port_refuses_a_connected_endpoint);
    RUN(rfc_1191_and_8201_a_router_narrows_the_path);
    RUN(echoes_come_back_in_pieces);
    RUN(late_fragments_are_told_through_all_layers);
    for (int i = 0; i < HOSTS; i++)
        free(host[i].memory);
    return 0;
}
