/* tests/c/test_net_udp.c - UDP datagrams in: whose, and which are none. */
#include "tests/c/net_golden.h"
#include "tests/c/net_udp_base.h"

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

static void a_bound_endpoint_learns_the_path_of_its_last_datagram_only(void)
{
    static const uint8_t text[8];
    struct net_datagram datagram = {.data = text, .bytes = sizeof(text)};
    struct stack_event event;
    ewi_stream stream;

    base_begin();
    stream = open_bound(NULL, 4, 53, 1);
    CHECK(tell(4, 53, 4000, NET_NEWS_HARD, ECONNREFUSED));
    CHECK(!tell(4, 53, 4000, NET_NEWS_TOO_BIG, EMSGSIZE)); /* a port that is open is no proof */
    datagram.remote = (struct stack_addr){.family = 4, .port = 4000};
    memcpy(datagram.remote.ip, peer4, 4);
    CHECK_EQ(ewi_net_udp_send(net, stream, &datagram, 0), 0);
    CHECK(tell(4, 53, 4000, NET_NEWS_TOO_BIG, EMSGSIZE));
    CHECK(!tell(4, 53, 4001, NET_NEWS_TOO_BIG, EMSGSIZE));
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

int main(void)
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
    RUN(golden_datagrams_arrive);
    RUN(rfc_1122_section_4_1_3_3_a_connected_endpoint_hears_of_errors);
    RUN(errors_about_others_are_not_believed);
    RUN(a_bound_endpoint_learns_the_path_of_its_last_datagram_only);
    RUN(a_path_that_is_too_narrow_is_no_error);
    return 0;
}
