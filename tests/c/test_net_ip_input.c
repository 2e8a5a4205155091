/* tests/c/test_net_ip_input.c - whose packet, which transport: IPv4 and IPv6 on their way up. */
#include "tests/c/net_golden.h"
#include "tests/c/net_ip_packets.h"

static const uint8_t text[24] = "twenty bytes and a few";

static struct made packet;

static void make4(uint32_t source, uint32_t destination, uint8_t protocol)
{
    struct net_tuple tuple = {.family = 4};

    ewi_net_put_u32(tuple.remote, source);
    ewi_net_put_u32(tuple.local, destination);
    make_packet(&packet, &tuple, protocol, text, sizeof(text));
}

static void make6(const uint8_t source[16], const uint8_t destination[16], uint8_t protocol)
{
    struct net_tuple tuple = {.family = 6};

    memcpy(tuple.remote, source, 16);
    memcpy(tuple.local, destination, 16);
    make_packet(&packet, &tuple, protocol, text, sizeof(text));
}

enum { PEER = 0x0a000002, OURS = 0x0a000001 };

/* ---- up ---- */

static void a_segment_goes_up_as_it_is_described(void)
{
    struct net_tuple want = base_tuple(4);

    base_begin();
    make4(PEER, OURS, NET_TCP);
    packet.bytes[1] = 0xb9; /* traffic class */
    mend_header4(packet.bytes);
    arrives_made(&packet, 4);
    want.local_port = want.remote_port = 0;
    CHECK_EQ(base.tcp_count, 1);
    CHECK(base.tcp.rx == &base_rx);
    CHECK(ewi_net_tuple_equals(&base.tcp.tuple, &want));
    CHECK_EQ(base.tcp.length, sizeof(text));
    CHECK(memcmp(base.tcp_bytes, text, sizeof(text)) == 0);
    CHECK_EQ(base.tcp.packet_bytes, 20 + sizeof(text));
    CHECK_EQ(base.tcp.addresses, ewi_net_sum_ip4(PEER, OURS));
    CHECK_EQ(base.tcp.traffic_class, 0xb9);
    CHECK_EQ(base.tcp.hop_limit, 64);
    CHECK_EQ(base.tcp.protocol, NET_TCP);
    CHECK(!base.tcp.is_multicast);
}

static void an_ip6_segment_goes_up_as_it_is_described(void)
{
    struct net_tuple want = base_tuple(6);

    base_begin();
    make6(peer6, ours6, NET_TCP);
    arrives_made(&packet, 6);
    want.local_port = want.remote_port = 0;
    CHECK_EQ(base.tcp_count, 1);
    CHECK(ewi_net_tuple_equals(&base.tcp.tuple, &want));
    CHECK_EQ(base.tcp.addresses, ewi_net_sum_ip6(peer6, ours6));
    CHECK_EQ(base.tcp.length, sizeof(text));
    CHECK_EQ(base.tcp.packet_bytes, 40 + sizeof(text));
}

static void padding_of_the_link_is_not_the_packets(void)
{
    base_begin();
    make4(PEER, OURS, NET_TCP);
    memset(packet.bytes + packet.length, 0xee, 10);
    packet.length += 10;
    arrives_made(&packet, 4);
    CHECK_EQ(base.tcp.length, sizeof(text));
    make6(peer6, ours6, NET_TCP);
    packet.length += 10;
    arrives_made(&packet, 6);
    CHECK_EQ(base.tcp.length, sizeof(text));
}

static void rfc_4007_link_local_addresses_have_the_links_scope(void)
{
    base_begin();
    make6(peer_link6, link6, NET_TCP);
    arrives_made(&packet, 6);
    CHECK_EQ(base.tcp.tuple.scope, BASE_PORT + 1);
    make6(peer_link6, ours6, NET_TCP);
    arrives_made(&packet, 6);
    CHECK_EQ(base.tcp.tuple.scope, BASE_PORT + 1);
    make6(peer6, group6, NET_TCP);
    arrives_made(&packet, 6);
    CHECK_EQ(base.tcp.tuple.scope, BASE_PORT + 1);
    make6(peer6, ours6, NET_TCP);
    arrives_made(&packet, 6);
    CHECK_EQ(base.tcp.tuple.scope, 0);
    CHECK_EQ(base.tcp_count, 4);
}

static void golden_options_and_extensions_are_skipped(void)
{
    const uint8_t *ip4 = golden_ip4_options + NET_ETHER_BYTES;
    const uint8_t *ip6 = golden_ip6_extensions + NET_ETHER_BYTES;
    static uint8_t copy[256];

    base_begin();
    memcpy(copy, ip4, sizeof(golden_ip4_options) - NET_ETHER_BYTES);
    ewi_net_put_u32(copy + 12, PEER);
    ewi_net_put_u32(copy + 16, OURS);
    mend_header4(copy);
    arrives(copy, sizeof(golden_ip4_options) - NET_ETHER_BYTES, 4);
    memcpy(copy, ip6, sizeof(golden_ip6_extensions) - NET_ETHER_BYTES);
    memcpy(copy + 8, peer6, 16);
    memcpy(copy + 24, ours6, 16);
    arrives(copy, sizeof(golden_ip6_extensions) - NET_ETHER_BYTES, 6);
    CHECK_EQ(net->count.drop_ip_options + net->count.drop_ip_header, 0);
}

/* ---- checksums that somebody else judged ---- */

static uint32_t addresses_given(uint16_t flags, uint32_t caps)
{
    base_begin();
    base.caps = caps;
    make4(PEER, OURS, NET_TCP);
    arrives_with(packet.bytes, packet.length, 4, false, flags);
    CHECK_EQ(base.tcp_count, 1);
    return base.tcp.addresses;
}

static void a_device_that_judged_the_sum_is_believed(void)
{
    CHECK_EQ(addresses_given(NET_RX_SUM_GOOD, 0), NET_SUM_BY_DEVICE);
    CHECK_EQ(addresses_given(0, NET_PORT_RX_TRUST), ewi_net_sum_ip4(PEER, OURS));
}

static void a_blank_sum_is_believed_from_trusted_ports_only(void)
{
    CHECK_EQ(addresses_given(NET_RX_SUM_BLANK, 0), ewi_net_sum_ip4(PEER, OURS));
    CHECK_EQ(addresses_given(NET_RX_SUM_BLANK, NET_PORT_RX_TRUST), NET_SUM_BY_DEVICE);
    CHECK_EQ(addresses_given(NET_RX_SUM_BLANK, ~(uint32_t)NET_PORT_RX_TRUST),
             ewi_net_sum_ip4(PEER, OURS));
}

/* ---- drops, each with its counter ---- */

static void expect_drop(uint64_t *counter, uint8_t family)
{
    uint64_t before = *counter, drops = base_drops();

    arrives_made(&packet, family);
    CHECK_EQ(*counter, before + 1);
    CHECK_EQ(base_drops(), drops + 1);
    CHECK_EQ(base.tcp_count, 0);
}

static void rfc_1122_section_3_2_1_3_impossible_sources_are_dropped(void)
{
    static const uint32_t sources[] = {
        0,          /* this host */
        0x00000001, /* this network */
        0x7f000001, /* loopback */
        0xe0000001, /* a group */
        0xf0000001, /* reserved */
        0xffffffff, /* everybody */
        0x0a0000ff, /* everybody on this network */
        OURS,       /* LAND */
        0x0a000009, /* what we may become */
    };

    base_begin();
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        make4(sources[i], OURS, NET_TCP);
        expect_drop(&net->count.drop_ip_address, 4);
    }
    CHECK_EQ(base.sent_count, 0);
}

static void destinations_that_are_not_ours_are_dropped(void)
{
    static const uint32_t others[] = {0x0a000003, 0x7f000001, 0, 0xe0000002, 0x0a000009};

    base_begin();
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        make4(PEER, others[i], NET_TCP);
        expect_drop(&net->count.drop_ip_address, 4);
    }
    make6(peer6, peer6, NET_TCP);
    expect_drop(&net->count.drop_ip_address, 6);
}

static void rfc_4291_impossible_addresses_are_dropped(void)
{
    static const uint8_t unspecified[16], loopback[16] = {[15] = 1};
    static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff, 10, 0, 0, 2};
    static const uint8_t group[16] = {0xff, 0x0e, [15] = 1};
    const uint8_t *sources[] = {unspecified, loopback, mapped, group, ours6, link6};

    base_begin();
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        make6(sources[i], ours6, NET_TCP);
        expect_drop(&net->count.drop_ip_address, 6);
    }
    make6(peer6, loopback, NET_TCP);
    expect_drop(&net->count.drop_ip_address, 6);
    make6(peer6, mapped, NET_TCP);
    expect_drop(&net->count.drop_ip_address, 6);
}

static void rfc_1122_section_3_3_6_a_packet_for_one_in_a_frame_for_all_is_dropped(void)
{
    base_begin();
    make4(PEER, OURS, NET_TCP);
    arrives_with(packet.bytes, packet.length, 4, true, 0);
    CHECK_EQ(net->count.drop_ip_address, 1);
    make4(PEER, 0xe0000001, NET_TCP);
    arrives_with(packet.bytes, packet.length, 4, true, 0);
    CHECK_EQ(base.tcp_count, 1);
    CHECK(base.tcp.is_multicast);
    make6(peer6, ours6, NET_TCP); /* TCP hears that it must not answer */
    arrives_with(packet.bytes, packet.length, 6, true, 0);
    CHECK_EQ(base.tcp_count, 2);
    CHECK(base.tcp.is_multicast);
}

static void groups_and_broadcasts_are_marked(void)
{
    base_begin();
    make4(PEER, 0x0a0000ff, NET_TCP);
    arrives_made(&packet, 4);
    CHECK(base.tcp.is_multicast);
    make6(peer6, group6, NET_TCP);
    arrives_made(&packet, 6);
    CHECK(base.tcp.is_multicast);
    CHECK_EQ(base.tcp_count, 2);
}

static void bad_ip4_headers_have_their_counters(void)
{
    base_begin();
    make4(PEER, OURS, NET_TCP);
    packet.bytes[8] ^= 1;
    expect_drop(&net->count.drop_ip_checksum, 4);
    make4(PEER, OURS, NET_TCP);
    packet.length -= 1;
    expect_drop(&net->count.drop_ip_length, 4);
    packet.length = 19;
    expect_drop(&net->count.drop_ip_length, 4);
    make4(PEER, OURS, NET_TCP);
    packet.bytes[0] = 0x44;
    expect_drop(&net->count.drop_ip_header, 4);
    make4(PEER, OURS, NET_TCP);
    packet.bytes[0] = 0x65;
    expect_drop(&net->count.drop_ip_header, 4);
}

static void make_options(uint8_t type, uint8_t option_bytes)
{
    make4(PEER, OURS, NET_TCP); /* the first four bytes of what follows become options */
    packet.bytes[0] = 0x46;
    packet.bytes[20] = type;
    packet.bytes[21] = option_bytes;
    packet.bytes[22] = packet.bytes[23] = 0;
    mend_header4(packet.bytes);
}

static void rfc_7126_section_4_3_source_routes_are_dropped(void)
{
    base_begin();
    make_options(131, 4);
    expect_drop(&net->count.drop_ip_options, 4);
    make_options(137, 4);
    expect_drop(&net->count.drop_ip_options, 4);
    make_options(7, 40); /* beyond the header */
    expect_drop(&net->count.drop_ip_options, 4);
    make_options(148, 4); /* router alert is none of our business */
    arrives_made(&packet, 4);
    CHECK_EQ(base.tcp_count, 1);
}

static void bad_ip6_headers_have_their_counters(void)
{
    base_begin();
    make6(peer6, ours6, NET_TCP);
    packet.length -= 1;
    expect_drop(&net->count.drop_ip_length, 6);
    packet.length = 39;
    expect_drop(&net->count.drop_ip_length, 6);
    make6(peer6, ours6, NET_TCP);
    packet.bytes[0] = 0x45;
    expect_drop(&net->count.drop_ip_header, 6);
    CHECK_EQ(base.sent_count, 0);
}

/* ---- protocols that nobody speaks ---- */

static void rfc_1122_section_3_2_2_1_unknown_protocols_are_reported(void)
{
    struct sent sent;

    base_begin();
    make4(PEER, OURS, 99);
    expect_drop(&net->count.drop_ip_protocol, 4);
    CHECK_EQ(base.sent_count, 1);
    sent = sent_at(0, 4);
    CHECK_EQ(sent.icmp.type, NET_ICMP4_UNREACHABLE);
    CHECK_EQ(sent.icmp.code, NET_ICMP4_PROTOCOL_UNREACHABLE);
    CHECK_EQ(sent.payload_bytes, packet.length);
    CHECK(memcmp(sent.payload, packet.bytes, packet.length) == 0);
}

static void rfc_8200_section_4_unknown_next_headers_are_reported(void)
{
    struct sent sent;

    base_begin();
    make6(peer6, ours6, 99);
    expect_drop(&net->count.drop_ip_protocol, 6);
    sent = sent_at(0, 6);
    CHECK_EQ(sent.icmp.type, NET_ICMP6_PARAMETER);
    CHECK_EQ(sent.icmp.code, 1);
    CHECK_EQ(sent.icmp.rest, 6); /* where it is named */
    make6(peer6, ours6, NET_IP6_NONE); /* RFC 8200 section 4.7 */
    expect_drop(&net->count.drop_ip_protocol, 6);
    make6(peer6, ours6, NET_ICMP4); /* the other version's */
    expect_drop(&net->count.drop_ip_protocol, 6);
    make4(PEER, OURS, NET_ICMP6);
    expect_drop(&net->count.drop_ip_protocol, 4);
    CHECK_EQ(base.sent_count, 3);
}

/* Hop-by-hop options that hold one option of this type. */
static void make_option6(const uint8_t destination[16], uint8_t type)
{
    uint8_t payload[8] = {NET_TCP, 0, type, 4, 0, 0, 0, 0};
    struct net_tuple tuple = {.family = 6};

    memcpy(tuple.remote, peer6, 16);
    memcpy(tuple.local, destination, 16);
    make_packet(&packet, &tuple, NET_IP6_HOP_BY_HOP, payload, sizeof(payload));
}

static void rfc_8200_section_4_2_unknown_options_do_what_they_say(void)
{
    base_begin();
    make_option6(ours6, 0x1e); /* skip */
    arrives_made(&packet, 6);
    CHECK_EQ(base.tcp_count, 1);
    base.tcp_count = 0;
    make_option6(ours6, 0x5e); /* drop */
    expect_drop(&net->count.drop_ip_options, 6);
    CHECK_EQ(base.sent_count, 0);
    make_option6(ours6, 0xde); /* tell, unless it went to a group */
    expect_drop(&net->count.drop_ip_options, 6);
    CHECK_EQ(base.sent_count, 1);
    CHECK_EQ(sent_at(0, 6).icmp.code, 2);
    CHECK_EQ(sent_at(0, 6).icmp.rest, 42);
    make_option6(group6, 0xde);
    expect_drop(&net->count.drop_ip_options, 6);
    CHECK_EQ(base.sent_count, 1);
    make_option6(group6, 0x9e); /* tell in any case */
    expect_drop(&net->count.drop_ip_options, 6);
    CHECK_EQ(base.sent_count, 2);
    CHECK(memcmp(base.out[1].tuple.local, ours6, 16) == 0); /* never from a group */
}

static void nothing_is_told_to_our_own_address(void)
{
    base_begin();
    make_option6(ours6, 0xde);
    memcpy(packet.bytes + 8, ours6, 16);
    expect_drop(&net->count.drop_ip_options, 6);
    memset(packet.bytes + 8, 0, 16);
    expect_drop(&net->count.drop_ip_options, 6);
    CHECK_EQ(base.sent_count, 0);
}

/* ---- NDP ---- */

static void make_ndp(const uint8_t source[16], const uint8_t destination[16], uint8_t type)
{
    struct net_tuple tuple = {.family = 6};
    uint8_t payload[16] = {0};

    memcpy(tuple.remote, source, 16);
    memcpy(tuple.local, destination, 16);
    make_icmp(&packet, &tuple, type, 0, 0, payload, sizeof(payload));
}

static void rfc_4862_section_5_4_only_ndp_may_come_from_nowhere_or_from_us(void)
{
    static const uint8_t unspecified[16];

    base_begin();
    make_ndp(unspecified, group6, NET_NDP_NS);
    arrives_made(&packet, 6);
    make_ndp(ours6, group6, NET_NDP_NA);
    arrives_made(&packet, 6);
    CHECK_EQ(base.ndp_count, 2);
    make_ndp(unspecified, group6, NET_ICMP6_ECHO);
    expect_drop(&net->count.drop_ip_address, 6);
    make_ndp(ours6, group6, NET_ICMP6_ECHO);
    expect_drop(&net->count.drop_ip_address, 6);
    CHECK_EQ(base.sent_count, 0);
}

static void ndp_gets_messages_whose_checksum_is_right(void)
{
    base_begin();
    make_ndp(peer6, ours6, NET_NDP_RS);
    packet.bytes[47] ^= 1;
    expect_drop(&net->count.drop_icmp, 6);
    CHECK_EQ(base.ndp_count, 0);
    for (uint8_t type = NET_NDP_RS; type <= NET_NDP_REDIRECT; type++) {
        make_ndp(peer6, ours6, type);
        arrives_made(&packet, 6);
    }
    CHECK_EQ(base.ndp_count, 5);
    CHECK_EQ(base.ndp.length, NET_ICMP_BYTES + 16);
}

static void icmp6_is_never_taken_on_the_devices_word(void)
{
    base_begin();
    base.caps = NET_PORT_RX_TRUST;
    make_ndp(peer6, ours6, NET_NDP_NS);
    packet.bytes[47] ^= 1;
    arrives_with(packet.bytes, packet.length, 6, false, NET_RX_SUM_GOOD | NET_RX_SUM_BLANK);
    CHECK_EQ(net->count.drop_icmp, 1);
}

static void rfc_6980_section_5_ndp_in_fragments_is_dropped(void)
{
    struct net_tuple tuple = base_tuple(6);
    uint8_t payload[8 + 24];

    base_begin();
    make_ndp(peer6, ours6, NET_NDP_NS);
    ewi_net_ip6_fragment_build(payload, NET_ICMP6, 0, false, 7); /* atomic: RFC 6946 */
    memcpy(payload + 8, packet.bytes + 40, 24);
    make_packet(&packet, &tuple, NET_IP6_FRAGMENT, payload, sizeof(payload));
    expect_drop(&net->count.drop_icmp, 6);
    CHECK_EQ(base.ndp_count, 0);
    payload[8] = NET_ICMP6_ECHO; /* anything else may come so; here with a wrong sum */
    make_packet(&packet, &tuple, NET_IP6_FRAGMENT, payload, sizeof(payload));
    expect_drop(&net->count.drop_icmp, 6);
}

static void rfc_6946_atomic_fragments_are_whole_packets(void)
{
    struct net_tuple tuple = base_tuple(6);
    uint8_t payload[8 + sizeof(text)];

    base_begin();
    ewi_net_ip6_fragment_build(payload, NET_TCP, 0, false, 7);
    memcpy(payload + 8, text, sizeof(text));
    make_packet(&packet, &tuple, NET_IP6_FRAGMENT, payload, sizeof(payload));
    arrives_made(&packet, 6);
    CHECK_EQ(base.tcp_count, 1);
    CHECK_EQ(base.tcp.length, sizeof(text));
    CHECK(ewi_net_reassembly_deadline(&net->ip.reassemblies) == NET_NEVER);
}

/* ---- anything ---- */

/* Good packets with a few bytes changed, cut or grown; the counters add up, and nobody reads too far. */
static void any_bytes_are_counted_once(struct harness_random *random)
{
    base_begin();
    for (int i = 0; i < 4000; i++) {
        uint8_t family = harness_below(random, 2) != 0 ? 6 : 4;
        struct net_tuple tuple = base_tuple(family);
        uint32_t changes = (uint32_t)harness_below(random, 4);

        if (harness_below(random, 2) != 0)
            make_udp(&packet, &tuple, (uint32_t)harness_below(random, 100));
        else
            make_icmp(&packet, &tuple, (uint8_t)harness_next(random), 0, 0, text, 20);
        for (uint32_t c = 0; c < changes; c++)
            packet.bytes[harness_below(random, packet.length)] = (uint8_t)harness_next(random);
        if (family == 4 && harness_below(random, 4) != 0 && (packet.bytes[0] & 15) * 4u <= packet.length)
            mend_header4(packet.bytes);
        if (harness_below(random, 4) == 0)
            packet.length = (uint32_t)harness_below(random, packet.length + 1);
        base.sent_count = 0;
        net->now += 1000000;
        arrives_made(&packet, family);
    }
    CHECK_EQ(net->count.rx_packets, 4000);
}

int main(int argc, char **argv)
{
    RUN(a_segment_goes_up_as_it_is_described);
    RUN(an_ip6_segment_goes_up_as_it_is_described);
    RUN(padding_of_the_link_is_not_the_packets);
    RUN(rfc_4007_link_local_addresses_have_the_links_scope);
    RUN(golden_options_and_extensions_are_skipped);
    RUN(a_device_that_judged_the_sum_is_believed);
    RUN(a_blank_sum_is_believed_from_trusted_ports_only);
    RUN(rfc_1122_section_3_2_1_3_impossible_sources_are_dropped);
    RUN(destinations_that_are_not_ours_are_dropped);
    RUN(rfc_4291_impossible_addresses_are_dropped);
    RUN(rfc_1122_section_3_3_6_a_packet_for_one_in_a_frame_for_all_is_dropped);
    RUN(groups_and_broadcasts_are_marked);
    RUN(bad_ip4_headers_have_their_counters);
    RUN(rfc_7126_section_4_3_source_routes_are_dropped);
    RUN(bad_ip6_headers_have_their_counters);
    RUN(rfc_1122_section_3_2_2_1_unknown_protocols_are_reported);
    RUN(rfc_8200_section_4_unknown_next_headers_are_reported);
    RUN(rfc_8200_section_4_2_unknown_options_do_what_they_say);
    RUN(nothing_is_told_to_our_own_address);
    RUN(rfc_4862_section_5_4_only_ndp_may_come_from_nowhere_or_from_us);
    RUN(ndp_gets_messages_whose_checksum_is_right);
    RUN(icmp6_is_never_taken_on_the_devices_word);
    RUN(rfc_6980_section_5_ndp_in_fragments_is_dropped);
    RUN(rfc_6946_atomic_fragments_are_whole_packets);
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
    {
        struct harness_random random = {seed};

        any_bytes_are_counted_once(&random);
    }
    return 0;
}
