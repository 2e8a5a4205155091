/* tests/c/test_net_udp.c - UDP datagrams in: whose, kept where, within which limits. */
#include "tests/c/net_golden.h"
#include "tests/c/net_ip_base.h"

#include <errno.h>

static struct made packet;

static struct stack_addr address(const uint8_t *ip, uint8_t family, uint16_t port)
{
    struct stack_addr addr = {.family = family, .port = port};

    if (ip != NULL)
        memcpy(addr.ip, ip, family == 4 ? 4 : 16);
    return addr;
}

static ewi_stream open_bound(const uint8_t *ip, uint8_t family, uint16_t port, uint64_t user)
{
    struct stack_addr local = address(ip, family, port);
    ewi_stream stream = 0;

    CHECK_EQ(ewi_net_udp_open(net, &local, NULL, user, 0, &stream), 0);
    CHECK(stream != 0 && (uint32_t)stream >> 30 == 2);
    return stream;
}

static ewi_stream open_connected(const uint8_t *ip, uint8_t family, uint16_t local_port,
                                 uint16_t port, uint64_t user)
{
    struct stack_addr local = address(NULL, family, local_port), remote = address(ip, family, port);
    ewi_stream stream = 0;

    CHECK_EQ(ewi_net_udp_open(net, &local, &remote, user, 0, &stream), 0);
    return stream;
}

/* A datagram of numbered bytes from the peer's `from` to our `to`. */
static void datagram(uint8_t family, uint16_t from, uint16_t to, uint32_t bytes)
{
    struct net_tuple tuple = base_tuple(family);

    tuple.remote_port = from;
    tuple.local_port = to;
    make_udp(&packet, &tuple, bytes);
    arrives_made(&packet, family);
}

static void expect_next(ewi_stream stream, uint32_t bytes)
{
    struct net_datagram got;

    CHECK_EQ(ewi_net_udp_recv(net, stream, &got), 0);
    CHECK_EQ(got.bytes, bytes);
    for (uint32_t i = 0; i < bytes; i++)
        CHECK_EQ(got.data[i], (uint8_t)(i * 7 + i / 256));
    ewi_net_udp_release(net, &got);
    base_check();
}

static void expect_none(ewi_stream stream)
{
    struct net_datagram got;

    CHECK_EQ(ewi_net_udp_recv(net, stream, &got), -EAGAIN);
}

/* ---- delivery ---- */

static void a_datagram_tells_who_sent_it(void)
{
    ewi_stream stream;
    struct net_datagram got;

    base_begin();
    stream = open_bound(NULL, 4, 53, 5);
    datagram(4, 4000, 53, 100);
    CHECK_EQ(net->count.accepted, 1);
    CHECK_EQ(ewi_net_udp_recv(net, stream, &got), 0);
    CHECK_EQ(got.bytes, 100);
    CHECK_EQ(got.remote.family, 4);
    CHECK_EQ(got.remote.port, 4000);
    CHECK(memcmp(got.remote.ip, peer4, 16) == 0);
    CHECK_EQ(got.local.port, 53);
    CHECK(memcmp(got.local.ip, ours4, 16) == 0);
    CHECK_EQ(got.hop_limit, 64);
    CHECK_EQ(got.traffic_class, 0);
    CHECK(memcmp(got.data, packet.bytes + 28, 100) == 0);
    expect_none(stream);
    ewi_net_udp_release(net, &got);
}

static void an_ip6_datagram_tells_who_sent_it(void)
{
    struct net_tuple tuple = base_tuple(6);
    ewi_stream stream;
    struct net_datagram got;

    base_begin();
    stream = open_bound(NULL, 6, 53, 5);
    memcpy(tuple.local, link6, 16);
    memcpy(tuple.remote, peer_link6, 16);
    tuple.local_port = 53;
    make_udp(&packet, &tuple, 33);
    packet.bytes[0] = 0x6b;
    packet.bytes[1] = 0x80; /* traffic class 0xb8 */
    packet.bytes[7] = 3;
    arrives_made(&packet, 6);
    CHECK_EQ(ewi_net_udp_recv(net, stream, &got), 0);
    CHECK_EQ(got.bytes, 33);
    CHECK_EQ(got.traffic_class, 0xb8);
    CHECK_EQ(got.hop_limit, 3);
    CHECK(memcmp(got.remote.ip, peer_link6, 16) == 0);
    CHECK(memcmp(got.local.ip, link6, 16) == 0);
    CHECK_EQ(got.remote.scope, BASE_PORT + 1);
    ewi_net_udp_release(net, &got);
}

static void datagrams_come_in_the_order_of_arrival(void)
{
    ewi_stream stream;

    base_begin();
    stream = open_bound(NULL, 4, 53, 5);
    for (uint32_t bytes = 0; bytes < 20; bytes++)
        datagram(4, 4000, 53, bytes);
    for (uint32_t bytes = 0; bytes < 20; bytes++)
        expect_next(stream, bytes);
    expect_none(stream);
}

static void the_most_specific_endpoint_gets_it(void)
{
    ewi_stream all, any, one, peer;

    base_begin();
    all = open_bound(NULL, 0, 53, 1);
    any = open_bound(NULL, 4, 53, 2);
    one = open_bound(ours4, 4, 53, 3);
    peer = open_connected(peer4, 4, 53, 4000, 4);
    datagram(4, 4000, 53, 4);
    datagram(4, 4001, 53, 3);
    expect_next(peer, 4);
    expect_next(one, 3);
    CHECK_EQ(ewi_net_udp_close(net, one), 0);
    datagram(4, 4001, 53, 2);
    expect_next(any, 2);
    CHECK_EQ(ewi_net_udp_close(net, any), 0);
    datagram(4, 4001, 53, 1);
    expect_next(all, 1);
    datagram(6, 4000, 53, 6);
    expect_next(all, 6);
    expect_none(peer);
}

static void a_group_reaches_who_listens_on_every_address(void)
{
    struct net_tuple tuple = base_tuple(4);
    ewi_stream any, one;

    base_begin();
    any = open_bound(NULL, 4, 53, 1);
    one = open_bound(ours4, 4, 53, 2);
    ewi_net_put_u32(tuple.local, 0xe0000001);
    tuple.local_port = 53;
    make_udp(&packet, &tuple, 5);
    arrives_made(&packet, 4);
    expect_next(any, 5);
    expect_none(one);
}

/* ---- refused ---- */

static void rfc_1122_section_4_1_3_1_a_port_that_nobody_has_is_told(void)
{
    base_begin();
    open_connected(peer4, 4, 53, 4000, 1);
    datagram(4, 4000, 99, 10);
    datagram(4, 4001, 53, 10); /* not its peer */
    datagram(6, 4000, 53, 10);
    CHECK_EQ(net->count.drop_udp_port, 3);
    CHECK_EQ(base.sent_count, 3);
    CHECK_EQ(sent_at(1, 4).icmp.code, NET_ICMP4_PORT_UNREACHABLE);
    CHECK_EQ(sent_at(2, 6).icmp.code, 4);
}

static void rfc_768_a_wrong_checksum_is_dropped(void)
{
    struct net_tuple tuple = base_tuple(4);

    base_begin();
    open_bound(NULL, 4, 80, 1);
    make_udp(&packet, &tuple, 10);
    packet.bytes[30] ^= 4;
    arrives_made(&packet, 4);
    CHECK_EQ(net->count.drop_udp_checksum, 1);
    arrives_with(packet.bytes, packet.length, 4, false, NET_RX_SUM_GOOD); /* the device knows better */
    CHECK_EQ(net->count.accepted, 1);
    CHECK_EQ(base.sent_count, 0);
}

static void rfc_768_ip4_may_leave_the_checksum_out(void)
{
    struct net_tuple tuple = base_tuple(4);
    ewi_stream stream;

    base_begin();
    stream = open_bound(NULL, 4, 80, 1);
    make_udp(&packet, &tuple, 10);
    packet.bytes[26] = packet.bytes[27] = 0;
    arrives_made(&packet, 4);
    expect_next(stream, 10);
}

static void rfc_8200_section_8_1_ip6_may_not(void)
{
    struct net_tuple tuple = base_tuple(6);

    base_begin();
    base.caps = NET_PORT_RX_TRUST;
    open_bound(NULL, 6, 80, 1);
    make_udp(&packet, &tuple, 10);
    packet.bytes[46] = packet.bytes[47] = 0;
    arrives_made(&packet, 6);
    CHECK_EQ(net->count.drop_udp_checksum, 1);
    arrives_with(packet.bytes, packet.length, 6, false, NET_RX_SUM_GOOD);
    CHECK_EQ(net->count.drop_udp_checksum, 2);
}

static void lengths_that_lie_are_dropped(void)
{
    struct net_tuple tuple = base_tuple(4);

    base_begin();
    open_bound(NULL, 4, 80, 1);
    make_udp(&packet, &tuple, 10);
    packet.bytes[25] = 19; /* one more than there is */
    arrives_made(&packet, 4);
    packet.bytes[25] = 7;
    arrives_made(&packet, 4);
    make_packet(&packet, &tuple, NET_UDP, packet.bytes, 7);
    arrives_made(&packet, 4);
    CHECK_EQ(net->count.drop_udp_header, 3);
}

static void what_lies_behind_the_length_is_no_payload(void)
{
    struct net_tuple tuple = base_tuple(4);
    ewi_stream stream;

    base_begin();
    stream = open_bound(NULL, 4, 80, 1);
    make_udp(&packet, &tuple, 10);
    packet.bytes[25] = 8 + 6; /* IP says 10; and no sum, so this is good */
    packet.bytes[26] = packet.bytes[27] = 0;
    arrives_made(&packet, 4);
    expect_next(stream, 6);
}

/* ---- memory ---- */

static uint8_t *arrives_kept(uint32_t charge)
{
    uint8_t *memory = malloc(packet.length + 100);

    CHECK(memory != NULL);
    memcpy(memory, packet.bytes, packet.length);
    base_rx = (struct net_rx){.data = memory,
                              .ref = memory,
                              .bytes = packet.length,
                              .room = 100,
                              .charge = charge};
    net->count.rx_packets += 1;
    ewi_net_ip_input(net, &base_rx, memory, packet.length, 4, false);
    base_check();
    return memory;
}

static void a_packet_with_a_reference_stays_where_it_is(void)
{
    struct net_tuple tuple = base_tuple(4);
    struct net_datagram got;
    ewi_stream stream;
    uint8_t *memory;
    void *refs[4];

    base_begin();
    stream = open_bound(NULL, 4, 80, 1);
    make_udp(&packet, &tuple, 1400);
    memory = arrives_kept(2176);
    CHECK(base_rx.flags & NET_RX_KEPT);
    CHECK_EQ(ewi_net_udp_recv(net, stream, &got), 0);
    CHECK(got.data == memory + 28);
    CHECK_EQ(net->packets.charged, 2176);
    CHECK_EQ(ewi_net_reclaim(net, refs, 4), 0);
    ewi_net_udp_release(net, &got);
    CHECK_EQ(ewi_net_reclaim(net, refs, 4), 1);
    CHECK(refs[0] == memory);
    CHECK_EQ(net->packets.charged, 0);
    free(memory);
}

static void what_is_not_taken_stays_the_shells(void)
{
    struct net_tuple tuple = base_tuple(4);
    void *refs[4];

    base_begin();
    make_udp(&packet, &tuple, 1400);
    free(arrives_kept(2176)); /* nobody has the port */
    CHECK_EQ(base_rx.flags & NET_RX_KEPT, 0);
    CHECK_EQ(ewi_net_reclaim(net, refs, 4), 0);
}

static void an_endpoint_pins_at_most_its_limit(void)
{
    struct net_tuple tuple = base_tuple(4);
    uint8_t *memory[8];
    struct net_datagram got[2];
    ewi_stream stream;
    void *refs[8];
    uint32_t i;

    base_begin();
    net->packets.charge_max = UINT64_C(1) << 32;
    stream = open_bound(NULL, 4, 80, 1);
    make_udp(&packet, &tuple, 10);
    for (i = 0; i < 4; i++)
        memory[i] = arrives_kept(NET_UDP_QUEUE_BYTES / 4);
    free(arrives_kept(1));
    CHECK_EQ(net->count.drop_udp_memory, 1);
    CHECK_EQ(ewi_net_udp_at(net, ewi_net_udp_find(net, stream))->dropped, 1);
    CHECK_EQ(ewi_net_udp_recv(net, stream, &got[0]), 0);
    free(arrives_kept(1)); /* what the user has counts, until release */
    CHECK_EQ(net->count.drop_udp_memory, 2);
    ewi_net_udp_release(net, &got[0]);
    memory[4] = arrives_kept(NET_UDP_QUEUE_BYTES / 4);
    CHECK_EQ(net->count.accepted, 5);
    free(arrives_kept(UINT32_MAX));
    CHECK_EQ(net->count.drop_udp_memory, 3);
    CHECK_EQ(ewi_net_udp_close(net, stream), 0);
    CHECK_EQ(ewi_net_reclaim(net, refs, 8), 5);
    CHECK_EQ(net->packets.charged, 0);
    for (i = 0; i < 5; i++)
        free(memory[i]);
}

static void all_memory_together_is_limited(void)
{
    struct net_config config = base_config();

    config.rx_bytes_max = 3 * NET_COPY_BYTES;
    base_start(&config);
    open_bound(NULL, 4, 53, 1);
    for (int i = 0; i < 5; i++)
        datagram(4, 4000, 53, 10);
    CHECK_EQ(net->count.accepted, 3);
    CHECK_EQ(net->count.drop_udp_memory, 2);
}

static void a_released_one_after_close_is_forgotten(void)
{
    struct net_datagram got;
    ewi_stream stream, again;

    base_begin();
    stream = open_bound(NULL, 4, 53, 1);
    datagram(4, 4000, 53, 10);
    datagram(4, 4000, 53, 11);
    CHECK_EQ(ewi_net_udp_recv(net, stream, &got), 0);
    CHECK_EQ(ewi_net_udp_close(net, stream), 0);
    again = open_bound(NULL, 4, 53, 2);
    CHECK((uint32_t)again == (uint32_t)stream && again != stream);
    CHECK_EQ(got.data[9], 63);
    ewi_net_udp_release(net, &got);
    CHECK_EQ(ewi_net_udp_at(net, ewi_net_udp_find(net, again))->charged, 0);
    CHECK_EQ(net->packets.charged, 0);
    base_check();
}

/* ---- long ones ---- */

static void arrives_cut(uint32_t bytes, uint16_t id)
{
    static struct made whole;
    struct net_tuple tuple = base_tuple(4);

    make_udp(&whole, &tuple, bytes);
    bytes += NET_UDP_BYTES;
    for (uint32_t at = 0; at < bytes; at += 1480) {
        uint32_t some = bytes - at < 1480 ? bytes - at : 1480;

        memcpy(packet.bytes, whole.bytes, 20);
        memcpy(packet.bytes + 20, whole.bytes + 20 + at, some);
        ewi_net_put_u16(packet.bytes + 2, (uint16_t)(20 + some));
        ewi_net_put_u16(packet.bytes + 4, id);
        ewi_net_put_u16(packet.bytes + 6,
                        (uint16_t)(at / 8 | (at + some < bytes ? 0x2000 : 0)));
        mend_header4(packet.bytes);
        packet.length = 20 + some;
        arrives_made(&packet, 4);
    }
}

static void long_datagrams_are_read_in_one_piece(void)
{
    static const uint32_t sizes[] = {1500, 2024, 2025, 9000, 65507};
    ewi_stream stream;

    base_begin();
    stream = open_bound(NULL, 4, 80, 1);
    for (uint16_t i = 0; i < 5; i++) {
        arrives_cut(sizes[i], i);
        CHECK_EQ(net->ip.reassemblies.held, sizes[i] + 16 > NET_COPY_BYTES);
        expect_next(stream, sizes[i]);
        CHECK_EQ(net->ip.reassemblies.held, 0);
        CHECK_EQ(net->ip.reassemblies.pool.used, 0);
    }
}

static void long_datagrams_hold_at_most_half_of_reassembly(void)
{
    struct net_datagram got;
    ewi_stream stream;

    base_begin();
    stream = open_bound(NULL, 4, 80, 1);
    for (uint16_t i = 0; i < 6; i++)
        arrives_cut(9000, i);
    CHECK_EQ(net->ip.reassemblies.held, 4);
    CHECK_EQ(net->count.drop_udp_memory, 2);
    arrives_cut(1600, 10); /* short ones go on */
    for (int i = 0; i < 4; i++)
        expect_next(stream, 9000);
    CHECK_EQ(ewi_net_udp_recv(net, stream, &got), 0);
    CHECK_EQ(got.bytes, 1600);
    CHECK_EQ(ewi_net_udp_close(net, stream), 0);
    ewi_net_udp_release(net, &got);
    CHECK_EQ(net->ip.reassemblies.held, 0);
    base_check();
}

static void a_long_packet_without_a_reference_is_copied_in_one_piece(void)
{
    struct net_tuple tuple = base_tuple(6);
    ewi_stream stream;

    base_begin();
    stream = open_bound(NULL, 6, 80, 1);
    make_udp(&packet, &tuple, 8000);
    arrives_made(&packet, 6);
    make_udp(&packet, &tuple, 10);
    arrives_made(&packet, 6);
    CHECK_EQ(net->ip.reassemblies.held, 1);
    expect_next(stream, 8000);
    expect_next(stream, 10);
}

static void closing_gives_everything_back(void)
{
    ewi_stream stream;

    base_begin();
    stream = open_bound(NULL, 4, 80, 1);
    arrives_cut(9000, 1);
    arrives_cut(1000, 2);
    arrives_cut(9000, 3);
    CHECK_EQ(ewi_net_udp_close(net, stream), 0);
    CHECK_EQ(net->ip.reassemblies.pool.used, 0);
    CHECK_EQ(net->packets.packets.used, 0);
    CHECK_EQ(net->udp.endpoints.used, 0);
    base_check();
}

static void golden_datagrams_arrive(void)
{
    static uint8_t copy[256];
    uint32_t bytes = sizeof(golden_udp4) - NET_ETHER_BYTES;
    ewi_stream stream;
    struct net_datagram got;

    base_begin();
    memcpy(copy, golden_udp4 + NET_ETHER_BYTES, bytes);
    ewi_net_put_u32(copy + 12, 0x0a000002);
    ewi_net_put_u32(copy + 16, 0x0a000001);
    copy[26] = copy[27] = 0;
    mend_header4(copy);
    stream = open_bound(NULL, 4, ewi_net_get_u16(copy + 22), 1);
    arrives(copy, bytes, 4);
    CHECK_EQ(ewi_net_udp_recv(net, stream, &got), 0);
    CHECK(memcmp(got.data, golden_udp4 + NET_ETHER_BYTES + 28, got.bytes) == 0);
    ewi_net_udp_release(net, &got);
}

/* ---- ICMP ---- */

static bool tell(uint8_t family, uint16_t local_port, uint16_t remote_port,
                 enum net_icmp_news news, int error)
{
    struct net_tuple tuple = base_tuple(family);
    struct net_icmp_told told = {.news = news, .error = error, .mtu = 1400};

    tuple.local_port = local_port;
    tuple.remote_port = remote_port;
    return ewi_net_udp_icmp(net, &tuple, &told);
}

static void rfc_1122_section_4_1_3_3_a_connected_endpoint_hears_of_errors(void)
{
    struct stack_event event;
    ewi_stream stream;

    base_begin();
    stream = open_connected(peer4, 4, 53, 4000, 77);
    CHECK(tell(4, 53, 4000, NET_NEWS_HARD, ECONNREFUSED));
    CHECK_EQ(ewi_net_udp_events(net, &event, 1), 1);
    CHECK_EQ(event.user, 77);
    CHECK(event.stream == stream);
    CHECK_EQ(event.bits, STACK_FAILED);
    CHECK_EQ(ewi_net_udp_ready(net, stream), STACK_WRITABLE | STACK_FAILED);
    CHECK_EQ(ewi_net_udp_error(net, stream), -ECONNREFUSED);
    CHECK_EQ(ewi_net_udp_error(net, stream), 0); /* once, and it goes on */
    CHECK_EQ(ewi_net_udp_ready(net, stream), STACK_WRITABLE);
    CHECK(tell(4, 53, 4000, NET_NEWS_SOFT, EHOSTUNREACH));
    CHECK_EQ(ewi_net_udp_error(net, stream), -EHOSTUNREACH);
    CHECK_EQ(ewi_net_udp_events(net, &event, 1), 0); /* it was looked at */
}

static void errors_about_others_are_not_believed(void)
{
    base_begin();
    open_connected(peer4, 4, 53, 4000, 77);
    CHECK(!tell(4, 54, 4000, NET_NEWS_HARD, ECONNREFUSED));
    CHECK(!tell(4, 53, 4001, NET_NEWS_HARD, ECONNREFUSED));
    CHECK(!tell(6, 53, 4000, NET_NEWS_TOO_BIG, EMSGSIZE));
}

static void a_bound_endpoint_learns_paths_only(void)
{
    struct stack_event event;
    ewi_stream stream;

    base_begin();
    stream = open_bound(NULL, 4, 53, 1);
    CHECK(tell(4, 53, 4000, NET_NEWS_HARD, ECONNREFUSED));
    CHECK(tell(4, 53, 4000, NET_NEWS_TOO_BIG, EMSGSIZE));
    CHECK_EQ(ewi_net_udp_error(net, stream), 0);
    CHECK_EQ(ewi_net_udp_events(net, &event, 1), 0);
    CHECK(!tell(4, 54, 4000, NET_NEWS_TOO_BIG, EMSGSIZE));
}

static void a_path_that_is_too_narrow_is_no_error(void)
{
    ewi_stream stream;

    base_begin();
    stream = open_connected(peer6, 6, 53, 4000, 77);
    CHECK(tell(6, 53, 4000, NET_NEWS_TOO_BIG, EMSGSIZE));
    CHECK_EQ(ewi_net_udp_error(net, stream), 0);
}

/* ---- anything ---- */

/* Endpoints come and go, datagrams of all kinds arrive, some are held: nothing is lost or kept. */
static void any_life_gives_everything_back(struct harness_random *random)
{
    ewi_stream stream[6] = {0};
    struct net_datagram held[6];
    uint32_t held_count = 0;

    base_begin();
    for (int i = 0; i < 3000; i++) {
        uint32_t which = (uint32_t)harness_below(random, 6);

        net->now += SECONDS / 10;
        base.sent_count = 0;
        switch (harness_below(random, 6)) {
        case 0:
            if (stream[which] != 0) {
                CHECK_EQ(ewi_net_udp_close(net, stream[which]), 0);
                stream[which] = 0;
            } else {
                stream[which] = open_bound(NULL, 0, (uint16_t)(100 + which), which);
            }
            break;
        case 1:
            datagram(harness_below(random, 2) ? 4 : 6, 9, (uint16_t)(100 + which),
                     (uint32_t)harness_below(random, 4000));
            break;
        case 2:
            arrives_cut((uint32_t)harness_below(random, 9000), (uint16_t)i);
            break;
        case 3:
        case 4:
            if (stream[which] != 0 && held_count < 6 &&
                ewi_net_udp_recv(net, stream[which], &held[held_count]) == 0)
                held_count++;
            break;
        default:
            if (held_count > 0)
                ewi_net_udp_release(net, &held[--held_count]);
        }
        ewi_net_ip_tick(net);
        base_check();
    }
    while (held_count > 0)
        ewi_net_udp_release(net, &held[--held_count]);
    for (int i = 0; i < 6; i++)
        if (stream[i] != 0)
            CHECK_EQ(ewi_net_udp_close(net, stream[i]), 0);
    net->now += 60 * SECONDS;
    ewi_net_ip_tick(net);
    CHECK_EQ(net->packets.packets.used, 0);
    CHECK_EQ(net->packets.copies.used, 0);
    CHECK_EQ(net->packets.charged, 0);
    CHECK_EQ(net->ip.reassemblies.pool.used, 0);
    base_check();
}

int main(int argc, char **argv)
{
    RUN(a_datagram_tells_who_sent_it);
    RUN(an_ip6_datagram_tells_who_sent_it);
    RUN(datagrams_come_in_the_order_of_arrival);
    RUN(the_most_specific_endpoint_gets_it);
    RUN(a_group_reaches_who_listens_on_every_address);
    RUN(rfc_1122_section_4_1_3_1_a_port_that_nobody_has_is_told);
    RUN(rfc_768_a_wrong_checksum_is_dropped);
    RUN(rfc_768_ip4_may_leave_the_checksum_out);
    RUN(rfc_8200_section_8_1_ip6_may_not);
    RUN(lengths_that_lie_are_dropped);
    RUN(what_lies_behind_the_length_is_no_payload);
    RUN(a_packet_with_a_reference_stays_where_it_is);
    RUN(what_is_not_taken_stays_the_shells);
    RUN(an_endpoint_pins_at_most_its_limit);
    RUN(all_memory_together_is_limited);
    RUN(a_released_one_after_close_is_forgotten);
    RUN(long_datagrams_are_read_in_one_piece);
    RUN(long_datagrams_hold_at_most_half_of_reassembly);
    RUN(a_long_packet_without_a_reference_is_copied_in_one_piece);
    RUN(closing_gives_everything_back);
    RUN(golden_datagrams_arrive);
    RUN(rfc_1122_section_4_1_3_3_a_connected_endpoint_hears_of_errors);
    RUN(errors_about_others_are_not_believed);
    RUN(a_bound_endpoint_learns_paths_only);
    RUN(a_path_that_is_too_narrow_is_no_error);
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
    {
        struct harness_random random = {seed};

        any_life_gives_everything_back(&random);
    }
    return 0;
}
