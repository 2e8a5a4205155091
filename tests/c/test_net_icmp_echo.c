/* tests/c/test_net_icmp_echo.c - echoes answered, and what nobody asked for. */
#include "tests/c/net_golden.h"
#include "tests/c/net_ip_packets.h"
#include "transport/net/icmp.h"

static struct made packet;

/* ---- echo ---- */

static void echo(uint8_t family, uint32_t payload_bytes)
{
    static uint8_t payload[BASE_PACKET_BYTES];
    struct net_tuple tuple = base_tuple(family);

    for (uint32_t i = 0; i < payload_bytes; i++)
        payload[i] = (uint8_t)(i * 31 + i / 250);
    make_icmp(&packet, &tuple, family == 4 ? NET_ICMP4_ECHO : NET_ICMP6_ECHO, 0, 0x12345678,
              payload, payload_bytes);
}

static void rfc_1122_section_3_2_2_6_echoes_are_answered(void)
{
    struct sent sent;

    base_begin();
    echo(4, 56);
    packet.bytes[1] = 0x4b; /* class 0x48, ECN 3 */
    mend_header4(packet.bytes);
    arrives_made(&packet, 4);
    CHECK_EQ(net->count.accepted, 1);
    CHECK_EQ(base.sent_count, 1);
    sent = sent_at(0, 4);
    CHECK_EQ(sent.icmp.type, NET_ICMP4_ECHO_REPLY);
    CHECK_EQ(sent.icmp.code, 0);
    CHECK_EQ(sent.icmp.rest, 0x12345678);
    CHECK_EQ(sent.hop_limit, 64);
    CHECK_EQ(sent.traffic_class, 0x48);
    CHECK_EQ(sent.payload_bytes, 56);
    CHECK(memcmp(sent.payload, packet.bytes + 28, 56) == 0);
    CHECK_EQ(ewi_net_get_u32(base.out[0].bytes + 12), 0x0a000001);
    CHECK_EQ(ewi_net_get_u32(base.out[0].bytes + 16), 0x0a000002);
}

static void rfc_4443_section_4_2_echoes_are_answered(void)
{
    struct sent sent;

    base_begin();
    echo(6, 57);
    arrives_made(&packet, 6);
    CHECK_EQ(net->count.accepted, 1);
    sent = sent_at(0, 6);
    CHECK_EQ(sent.icmp.type, NET_ICMP6_ECHO_REPLY);
    CHECK_EQ(sent.icmp.rest, 0x12345678);
    CHECK_EQ(sent.payload_bytes, 57);
    CHECK(memcmp(sent.payload, packet.bytes + 48, 57) == 0);
}

static void echoes_without_payload_are_answered(void)
{
    base_begin();
    echo(4, 0);
    arrives_made(&packet, 4);
    echo(6, 0);
    arrives_made(&packet, 6);
    CHECK_EQ(sent_at(0, 4).payload_bytes, 0);
    CHECK_EQ(sent_at(1, 6).payload_bytes, 0);
}

static void golden_echo_is_answered(void)
{
    static uint8_t copy[sizeof(golden_icmp4_echo) - NET_ETHER_BYTES];

    base_begin();
    memcpy(copy, golden_icmp4_echo + NET_ETHER_BYTES, sizeof(copy));
    ewi_net_put_u32(copy + 12, 0x0a000002);
    ewi_net_put_u32(copy + 16, 0x0a000001);
    mend_header4(copy);
    arrives(copy, sizeof(copy), 4);
    CHECK_EQ(sent_at(0, 4).icmp.type, NET_ICMP4_ECHO_REPLY);
    CHECK_EQ(sent_at(0, 4).icmp.rest >> 16, 0x77);
}

static void rfc_1122_section_3_2_2_6_an_echo_to_everybody_is_not_answered(void) /* smurf */
{
    static const uint32_t groups[] = {0x0a0000ff, 0xffffffff, 0xe0000001};

    base_begin();
    for (size_t i = 0; i < 3; i++) {
        echo(4, 8);
        ewi_net_put_u32(packet.bytes + 16, groups[i]);
        mend_header4(packet.bytes);
        arrives_made(&packet, 4);
        CHECK_EQ(net->count.drop_icmp, i + 1);
    }
    CHECK_EQ(base.sent_count, 0);
}

static void rfc_4443_section_4_2_an_echo_to_a_group_is_answered_from_our_own_address(void)
{
    struct net_tuple tuple = base_tuple(6);

    base_begin();
    memcpy(tuple.local, group6, 16);
    memcpy(tuple.remote, peer_link6, 16);
    make_icmp(&packet, &tuple, NET_ICMP6_ECHO, 0, 1, NULL, 0);
    arrives_made(&packet, 6);
    CHECK_EQ(base.sent_count, 1);
    CHECK(memcmp(base.out[0].tuple.local, link6, 16) == 0);
    CHECK_EQ(base.out[0].tuple.scope, BASE_PORT + 1);
    CHECK_EQ(sent_at(0, 6).icmp.type, NET_ICMP6_ECHO_REPLY);
}

static void echoes_are_limited(void)
{
    base_begin();
    for (int i = 0; i < NET_ICMP_ECHOES_BURST; i++) {
        echo(4, 8);
        base.sent_count = 0;
        arrives_made(&packet, 4);
        CHECK_EQ(base.sent_count, 1);
    }
    base.sent_count = 0;
    arrives_made(&packet, 4);
    CHECK_EQ(base.sent_count, 0);
    CHECK_EQ(net->count.icmp_limited, 1);
    net->now += SECONDS / NET_ICMP_ECHOES;
    arrives_made(&packet, 4);
    arrives_made(&packet, 4);
    CHECK_EQ(base.sent_count, 1);
}

static void without_a_slot_or_a_way_nothing_is_sent(void)
{
    base_begin();
    base.slots_max = 0;
    echo(4, 8);
    arrives_made(&packet, 4);
    base.slots_max = BASE_SLOTS;
    base.way = NET_WAY_NONE;
    arrives_made(&packet, 4);
    CHECK_EQ(net->count.no_route, 1);
    CHECK_EQ(net->count.accepted, 2);
    CHECK_EQ(base.sent_count, 0);
}

static void nobody_asked_for_these(void)
{
    static const uint8_t types4[] = {NET_ICMP4_ECHO_REPLY, 9, 10, 13, 14, 15, 17, 40, 255};
    static const uint8_t types6[] = {NET_ICMP6_ECHO_REPLY, 130, 131, 132, 138, 143, 200, 255, 0, 100};
    struct net_tuple four = base_tuple(4), six = base_tuple(6);
    uint8_t payload[20] = {0};

    base_begin();
    for (size_t i = 0; i < sizeof(types4); i++) {
        make_icmp(&packet, &four, types4[i], 0, 0, payload, sizeof(payload));
        arrives_made(&packet, 4);
        CHECK_EQ(net->count.drop_icmp, i + 1);
    }
    for (size_t i = 0; i < sizeof(types6); i++) {
        make_icmp(&packet, &six, types6[i], 0, 0, payload, sizeof(payload));
        arrives_made(&packet, 6);
        CHECK_EQ(net->count.drop_icmp, sizeof(types4) + i + 1);
    }
    CHECK_EQ(base.sent_count, 0);
}

static void a_wrong_checksum_is_no_message(void)
{
    base_begin();
    echo(4, 8);
    packet.bytes[30] ^= 1;
    arrives_made(&packet, 4);
    echo(6, 8);
    packet.bytes[50] ^= 1;
    arrives_made(&packet, 6);
    packet.length = 0;
    make_packet(&packet, &(struct net_tuple){.family = 4, .local = {10, 0, 0, 1}, .remote = {10, 0, 0, 2}},
                NET_ICMP4, packet.bytes, 7);
    arrives_made(&packet, 4);
    CHECK_EQ(net->count.drop_icmp, 3);
    CHECK_EQ(base.sent_count, 0);
}

int main(void)
{
    RUN(rfc_1122_section_3_2_2_6_echoes_are_answered);
    RUN(rfc_4443_section_4_2_echoes_are_answered);
    RUN(echoes_without_payload_are_answered);
    RUN(golden_echo_is_answered);
    RUN(rfc_1122_section_3_2_2_6_an_echo_to_everybody_is_not_answered);
    RUN(rfc_4443_section_4_2_an_echo_to_a_group_is_answered_from_our_own_address);
    RUN(echoes_are_limited);
    RUN(without_a_slot_or_a_way_nothing_is_sent);
    RUN(nobody_asked_for_these);
    RUN(a_wrong_checksum_is_no_message);
    return 0;
}
