/* tests/c/test_net_fragments.c - datagrams in pieces on their way through IP. */
#include "tests/c/net_golden.h"
#include "tests/c/net_ip_packets.h"

static struct made whole, part;

enum { EXTENSION_BYTES = 8 };

/* Fragment of `whole` (an IPv4 packet without options): payload from `at` on. */
static void cut4(uint16_t id, uint32_t at, uint32_t bytes, bool more)
{
    memcpy(part.bytes, whole.bytes, 20);
    memcpy(part.bytes + 20, whole.bytes + 20 + at, bytes);
    ewi_net_put_u16(part.bytes + 2, (uint16_t)(20 + bytes));
    ewi_net_put_u16(part.bytes + 4, id);
    ewi_net_put_u16(part.bytes + 6, (uint16_t)(at / 8 | (more ? 0x2000 : 0)));
    mend_header4(part.bytes);
    part.length = 20 + bytes;
}

/* Of an IPv6 packet; its first `before` bytes stay in front of the fragment header. */
static void cut6(uint32_t before, uint8_t next, uint32_t id, uint32_t at, uint32_t bytes, bool more)
{
    uint32_t named_at = before == 40 ? 6 : 40;

    memcpy(part.bytes, whole.bytes, before);
    part.bytes[named_at] = NET_IP6_FRAGMENT;
    ewi_net_ip6_fragment_build(part.bytes + before, next, (uint16_t)at, more, id);
    memcpy(part.bytes + before + 8, whole.bytes + before + at, bytes);
    part.length = before + 8 + bytes;
    ewi_net_put_u16(part.bytes + 4, (uint16_t)(part.length - 40));
}

static void make_tcp(uint8_t family, uint32_t payload_bytes)
{
    static uint8_t payload[BASE_PACKET_BYTES];
    struct net_tuple tuple = base_tuple(family);

    for (uint32_t i = 0; i < payload_bytes; i++)
        payload[i] = (uint8_t)(i * 13 + i / 256);
    make_packet(&whole, &tuple, NET_TCP, payload, payload_bytes);
}

/* ---- together ---- */

static void rfc_791_fragments_go_up_as_one(void)
{
    struct net_tuple want = base_tuple(4);

    base_begin();
    make_tcp(4, 100);
    cut4(7, 40, 60, false);
    arrives_made(&part, 4);
    CHECK_EQ(net->count.accepted, 1);
    CHECK_EQ(base.tcp_count, 0);
    CHECK_EQ(ewi_net_ip_deadline(net), net->now + NET_REASSEMBLY_NS);
    cut4(7, 0, 40, true);
    arrives_made(&part, 4);
    CHECK_EQ(base.tcp_count, 1);
    CHECK_EQ(net->count.accepted, 2);
    want.local_port = want.remote_port = 0;
    CHECK(ewi_net_tuple_equals(&base.tcp.tuple, &want));
    CHECK(base.tcp.rx == NULL);
    CHECK_EQ(base.tcp.length, 100);
    CHECK_EQ(base.tcp.packet_bytes, 120);
    CHECK(memcmp(base.tcp_bytes, whole.bytes + 20, 100) == 0);
    CHECK_EQ(base.tcp.addresses, ewi_net_sum_ip4(0x0a000001, 0x0a000002));
    CHECK_EQ(ewi_net_ip_deadline(net), NET_NEVER);
    CHECK_EQ(net->count.fragments_late, 0);
}

static void rfc_8200_section_4_5_fragments_go_up_as_one(void)
{
    base_begin();
    make_tcp(6, 100);
    cut6(40, NET_TCP, 7, 40, 60, false);
    arrives_made(&part, 6);
    cut6(40, NET_TCP, 7, 0, 40, true);
    arrives_made(&part, 6);
    CHECK_EQ(base.tcp_count, 1);
    CHECK(base.tcp.rx == NULL);
    CHECK_EQ(base.tcp.length, 100);
    CHECK_EQ(base.tcp.packet_bytes, 140);
    CHECK(memcmp(base.tcp_bytes, whole.bytes + 40, 100) == 0);
    CHECK_EQ(base.tcp.tuple.zero, 0);
    CHECK_EQ(base.tcp.tuple.local_port, 0);
    CHECK_EQ(base.tcp.addresses, ewi_net_sum_ip6(ours6, peer6));
}

static void rfc_791_section_3_2_the_protocol_is_part_of_the_name(void)
{
    base_begin();
    make_tcp(4, 100);
    cut4(7, 0, 40, true);
    arrives_made(&part, 4);
    part.bytes[9] = 99;
    mend_header4(part.bytes);
    part.bytes[30] ^= 1; /* would contradict */
    arrives_made(&part, 4);
    cut4(7, 40, 60, false);
    arrives_made(&part, 4);
    CHECK_EQ(base.tcp_count, 1);
    CHECK_EQ(net->count.drop_fragment, 0);
}

static void rfc_8200_section_4_5_only_the_first_fragments_next_header_counts(void)
{
    base_begin();
    make_tcp(6, 100);
    cut6(40, NET_UDP, 7, 40, 60, false);
    arrives_made(&part, 6);
    cut6(40, NET_TCP, 7, 0, 40, true);
    arrives_made(&part, 6);
    CHECK_EQ(base.tcp_count, 1);
}

/* Destination options in front of the fragment header, and others behind it. */
static void extension_headers_on_both_sides(void)
{
    struct net_tuple tuple = base_tuple(6);
    uint8_t payload[2 * EXTENSION_BYTES + 64] = {NET_IP6_DESTINATION, 0, 1, 4};

    base_begin();
    payload[EXTENSION_BYTES] = NET_TCP;
    payload[EXTENSION_BYTES + 2] = 1; /* PadN */
    payload[EXTENSION_BYTES + 3] = 4;
    memset(payload + 2 * EXTENSION_BYTES, 0x77, 64);
    make_packet(&whole, &tuple, NET_IP6_DESTINATION, payload, sizeof(payload));
    cut6(48, NET_IP6_DESTINATION, 9, 40, 32, false);
    arrives_made(&part, 6);
    cut6(48, NET_IP6_DESTINATION, 9, 0, 40, true);
    arrives_made(&part, 6);
    CHECK_EQ(base.tcp_count, 1);
    CHECK_EQ(base.tcp.length, 64);
    CHECK_EQ(base.tcp.protocol, NET_TCP);
    CHECK_EQ(base.tcp.packet_bytes, 40 + sizeof(payload));
    for (uint32_t i = 0; i < 64; i++)
        CHECK_EQ(base.tcp_bytes[i], 0x77);
}

static void the_sum_of_what_was_cut_is_always_judged(void)
{
    base_begin();
    base.caps = NET_PORT_RX_TRUST;
    make_tcp(4, 100);
    cut4(7, 40, 60, false);
    arrives_with(part.bytes, part.length, 4, false, NET_RX_SUM_BLANK | NET_RX_SUM_GOOD);
    cut4(7, 0, 40, true);
    arrives_with(part.bytes, part.length, 4, false, NET_RX_SUM_BLANK | NET_RX_SUM_GOOD);
    CHECK_EQ(base.tcp_count, 1);
    CHECK(base.tcp.addresses != NET_SUM_BY_DEVICE);
}

static void golden_fragments_are_held(void)
{
    static uint8_t copy[512];
    uint32_t bytes4 = sizeof(golden_ip4_fragment) - NET_ETHER_BYTES;
    uint32_t bytes6 = sizeof(golden_ip6_fragment) - NET_ETHER_BYTES;

    base_begin();
    memcpy(copy, golden_ip4_fragment + NET_ETHER_BYTES, bytes4);
    ewi_net_put_u32(copy + 12, 0x0a000002);
    ewi_net_put_u32(copy + 16, 0x0a000001);
    mend_header4(copy);
    arrives(copy, bytes4, 4);
    memcpy(copy, golden_ip6_fragment + NET_ETHER_BYTES, bytes6);
    memcpy(copy + 8, peer6, 16);
    memcpy(copy + 24, ours6, 16);
    arrives(copy, bytes6, 6);
    CHECK_EQ(net->count.accepted, 2);
    CHECK_EQ(net->ip.reassemblies.pool.used, 2);
}

/* An unfragmentable part of all the extensions that are taken: the buffer's header room suffices. */
static void the_longest_header_has_room(void)
{
    static uint8_t payload[512 + 64];
    struct net_tuple tuple = base_tuple(6);
    const uint32_t options = 496; /* with the fragment header 504 of 512 */

    base_begin();
    memset(payload, 0, sizeof(payload));
    payload[0] = NET_TCP;
    payload[1] = (uint8_t)(options / 8 - 1);
    payload[2] = 1;
    payload[3] = 255 - 4;
    payload[2 + 253] = 1;
    payload[2 + 254] = (uint8_t)(options - 2 - 253 - 2);
    make_packet(&whole, &tuple, NET_IP6_DESTINATION, payload, options + 64);
    cut6(40 + options, NET_TCP, 5, 24, 40, false);
    arrives_made(&part, 6);
    cut6(40 + options, NET_TCP, 5, 0, 24, true);
    arrives_made(&part, 6);
    CHECK_EQ(base.tcp_count, 1);
    CHECK_EQ(base.tcp.length, 64);
}

/* ---- refused ---- */

static void rfc_7112_section_5_a_first_fragment_holds_all_headers(void)
{
    base_begin();
    make_tcp(6, 100);
    cut6(40, NET_TCP, 7, 0, 16, true);
    arrives_made(&part, 6);
    CHECK_EQ(net->count.drop_ip_options, 1);
    CHECK_EQ(net->ip.reassemblies.pool.used, 0);
    CHECK_EQ(base.sent_count, 1);
    CHECK_EQ(sent_at(0, 6).icmp.type, NET_ICMP6_PARAMETER);
    CHECK_EQ(sent_at(0, 6).icmp.code, 3);
}

static void rfc_1858_section_3_tiny_first_fragments_are_dropped(void)
{
    base_begin();
    make_tcp(4, 100);
    cut4(7, 0, 16, true);
    arrives_made(&part, 4);
    CHECK_EQ(net->count.drop_fragment, 1);
    CHECK_EQ(net->ip.reassemblies.pool.used, 0);
}

static void rfc_8200_section_4_5_a_length_that_is_no_multiple_is_told(void)
{
    base_begin();
    make_tcp(6, 100);
    cut6(40, NET_TCP, 7, 0, 44, true);
    arrives_made(&part, 6);
    CHECK_EQ(net->count.drop_fragment, 1);
    CHECK_EQ(sent_at(0, 6).icmp.type, NET_ICMP6_PARAMETER);
    CHECK_EQ(sent_at(0, 6).icmp.code, 0);
    CHECK_EQ(sent_at(0, 6).icmp.rest, 4);
}

static void fragments_beyond_65535_are_dropped(void)
{
    base_begin();
    make_tcp(4, 100);
    cut4(7, 0, 40, false);
    ewi_net_put_u16(part.bytes + 6, 0x1fff);
    mend_header4(part.bytes);
    arrives_made(&part, 4);
    CHECK_EQ(net->count.drop_ip_header, 1);
    make_tcp(6, 100);
    cut6(40, NET_TCP, 7, 0, 40, false);
    ewi_net_put_u16(part.bytes + 42, 0xfff8);
    arrives_made(&part, 6);
    CHECK_EQ(net->count.drop_fragment, 1);
    CHECK_EQ(net->ip.reassemblies.pool.used, 0);
}

static void rfc_5722_section_4_an_overlap_is_dropped_silently(void)
{
    base_begin();
    make_tcp(6, 100);
    cut6(40, NET_TCP, 7, 0, 48, true);
    arrives_made(&part, 6);
    cut6(40, NET_TCP, 7, 40, 60, false);
    arrives_made(&part, 6);
    cut6(40, NET_TCP, 7, 48, 52, false);
    arrives_made(&part, 6);
    CHECK_EQ(net->count.drop_fragment, 2);
    CHECK_EQ(net->count.accepted, 1);
    CHECK_EQ(net->count.fragments_late, 1);
    net->now += NET_REASSEMBLY_NS;
    ewi_net_ip_tick(net);
    CHECK_EQ(base.sent_count, 0);
    CHECK_EQ(base.tcp_count, 0);
    CHECK_EQ(net->ip.reassemblies.pool.used, 0);
}

static void nobody_sends_fragments_from_nowhere(void)
{
    base_begin();
    make_tcp(6, 100);
    cut6(40, NET_TCP, 7, 0, 48, true);
    memset(part.bytes + 8, 0, 16);
    arrives_made(&part, 6);
    CHECK_EQ(net->count.drop_ip_address, 1);
    CHECK_EQ(net->ip.reassemblies.pool.used, 0);
}

static void rfc_6980_section_5_ndp_in_fragments_is_dropped(void)
{
    struct net_tuple tuple = base_tuple(6);
    uint8_t payload[56] = {0};

    base_begin();
    make_icmp(&whole, &tuple, NET_NDP_NS, 0, 0, payload, sizeof(payload));
    cut6(40, NET_ICMP6, 7, 32, 32, false);
    arrives_made(&part, 6);
    cut6(40, NET_ICMP6, 7, 0, 32, true);
    arrives_made(&part, 6);
    CHECK_EQ(base.ndp_count, 0);
    CHECK_EQ(net->count.drop_icmp, 1);
}

/* ---- late ---- */

static void rfc_1122_section_3_3_2_the_sender_of_a_first_fragment_is_told(void)
{
    struct sent sent;

    base_begin();
    make_tcp(4, 1000);
    cut4(7, 0, 800, true);
    arrives_made(&part, 4);
    net->now += NET_REASSEMBLY_NS - 1;
    ewi_net_ip_tick(net);
    CHECK_EQ(base.sent_count, 0);
    net->now += 1;
    CHECK_EQ(ewi_net_ip_deadline(net), net->now);
    ewi_net_ip_tick(net);
    CHECK_EQ(net->count.fragments_late, 1);
    CHECK_EQ(base.sent_count, 1);
    sent = sent_at(0, 4);
    CHECK_EQ(sent.icmp.type, NET_ICMP4_TIME_EXCEEDED);
    CHECK_EQ(sent.icmp.code, 1);
    CHECK(memcmp(sent.payload, part.bytes, sent.payload_bytes) == 0);
    CHECK_EQ(sent.payload_bytes, 548);
    CHECK_EQ(ewi_net_ip_deadline(net), NET_NEVER);
    base_check();
}

static void rfc_8200_section_4_5_the_sender_of_a_first_fragment_is_told(void)
{
    struct sent sent;

    base_begin();
    make_tcp(6, 100);
    cut6(40, NET_TCP, 7, 0, 80, true);
    arrives_made(&part, 6);
    net->now += NET_REASSEMBLY_NS;
    ewi_net_ip_tick(net);
    sent = sent_at(0, 6);
    CHECK_EQ(sent.icmp.type, NET_ICMP6_TIME_EXCEEDED);
    CHECK_EQ(sent.icmp.code, 1);
    CHECK_EQ(sent.payload_bytes, part.length);
    CHECK(memcmp(sent.payload, part.bytes, part.length) == 0); /* with its fragment header */
    CHECK_EQ(base.out[0].tuple.local_port, 0);
    CHECK_EQ(base.out[0].tuple.remote_port, 0);
}

static void without_the_first_fragment_nobody_is_told(void)
{
    base_begin();
    make_tcp(4, 1000);
    cut4(7, 800, 200, false);
    arrives_made(&part, 4);
    net->now += NET_REASSEMBLY_NS;
    ewi_net_ip_tick(net);
    CHECK_EQ(base.sent_count, 0);
    CHECK_EQ(net->count.fragments_late, 1);
}

static void nobody_is_told_about_groups_or_errors(void)
{
    struct net_tuple tuple = base_tuple(4);
    uint8_t payload[64] = {0};

    base_begin();
    make_tcp(4, 100);
    ewi_net_put_u32(whole.bytes + 16, 0xe0000001);
    cut4(7, 0, 80, true);
    arrives_made(&part, 4);
    make_icmp(&whole, &tuple, NET_ICMP4_UNREACHABLE, 3, 0, payload, sizeof(payload));
    cut4(8, 0, 64, true);
    arrives_made(&part, 4);
    net->now += NET_REASSEMBLY_NS;
    ewi_net_ip_tick(net);
    CHECK_EQ(base.sent_count, 0);
    CHECK_EQ(net->count.fragments_late, 2);
}

static void one_source_cannot_hold_everything(void)
{
    base_begin();
    make_tcp(4, 100);
    for (uint16_t id = 0; id < 200; id++) {
        cut4(id, 0, 40, true);
        arrives_made(&part, 4);
    }
    CHECK_EQ(net->ip.reassemblies.pool.used, 2); /* a quarter of eight */
    CHECK_EQ(net->count.fragments_late, 198);
}

static void without_slots_fragments_are_counted(void)
{
    struct net_config config = base_config();

    config.reassemblies_max = 0;
    base_start(&config);
    make_tcp(4, 100);
    cut4(7, 0, 40, true);
    arrives_made(&part, 4);
    CHECK_EQ(net->count.drop_fragment_memory, 1);
}

/* ---- through both halves of ours ---- */

/* What ip_output cuts, ip_input puts together, in any order. */
static void what_we_cut_we_put_together(struct harness_random *random)
{
    static struct made copy[128];

    for (int run = 0; run < 60; run++) {
        uint8_t family = harness_below(random, 2) != 0 ? 6 : 4;
        uint32_t bytes = (uint32_t)harness_between(random, 1300, 60000), count;
        struct net_tuple tuple = base_tuple(family), back = tuple;
        struct net_ip_out how = {.protocol = NET_TCP, .hop_limit = 64, .traffic_class = 2};
        uint32_t slot, header = ewi_net_ip_header_bytes(family);

        base_begin();
        base.mtu = (uint16_t)harness_between(random, 1280, 1700);
        memcpy(back.local, tuple.remote, 16); /* as if the peer sent it */
        memcpy(back.remote, tuple.local, 16);
        slot = ewi_net_slot_take(net);
        for (uint32_t i = 0; i < bytes; i++)
            ewi_net_slot(net, slot)->packet[header + i] = (uint8_t)(i * 13 + i / 256);
        CHECK_EQ(ewi_net_ip_send(net, slot, &back, &how, bytes, true), 0);
        count = base.sent_count;
        for (uint32_t i = 0; i < count; i++) {
            copy[i].length = base.out[i].length;
            memcpy(copy[i].bytes, base.out[i].bytes, base.out[i].length);
        }
        for (uint32_t left = count; left > 0; left--) {
            uint32_t i = (uint32_t)harness_below(random, left);

            if (family == 4 && harness_below(random, 3) == 0 && base.sent_count > 1) {
                copy[i].bytes[1] |= 3; /* a router saw congestion */
                mend_header4(copy[i].bytes);
            }
            arrives_made(&copy[i], family);
            if (harness_below(random, 4) == 0 && left > 1)
                arrives_made(&copy[i], family);
            copy[i] = copy[left - 1];
        }
        CHECK_EQ(base.tcp_count, 1);
        CHECK_EQ(base.tcp.length, bytes);
        CHECK(base.tcp.traffic_class == 2 || (base.tcp.traffic_class == 3 && family == 4));
        for (uint32_t i = 0; i < bytes; i++)
            CHECK_EQ(base.tcp_bytes[i], (uint8_t)(i * 13 + i / 256));
    }
}

int main(int argc, char **argv)
{
    RUN(rfc_791_fragments_go_up_as_one);
    RUN(rfc_8200_section_4_5_fragments_go_up_as_one);
    RUN(rfc_791_section_3_2_the_protocol_is_part_of_the_name);
    RUN(rfc_8200_section_4_5_only_the_first_fragments_next_header_counts);
    RUN(extension_headers_on_both_sides);
    RUN(the_sum_of_what_was_cut_is_always_judged);
    RUN(golden_fragments_are_held);
    RUN(the_longest_header_has_room);
    RUN(rfc_7112_section_5_a_first_fragment_holds_all_headers);
    RUN(rfc_1858_section_3_tiny_first_fragments_are_dropped);
    RUN(rfc_8200_section_4_5_a_length_that_is_no_multiple_is_told);
    RUN(fragments_beyond_65535_are_dropped);
    RUN(rfc_5722_section_4_an_overlap_is_dropped_silently);
    RUN(nobody_sends_fragments_from_nowhere);
    RUN(rfc_6980_section_5_ndp_in_fragments_is_dropped);
    RUN(rfc_1122_section_3_3_2_the_sender_of_a_first_fragment_is_told);
    RUN(rfc_8200_section_4_5_the_sender_of_a_first_fragment_is_told);
    RUN(without_the_first_fragment_nobody_is_told);
    RUN(nobody_is_told_about_groups_or_errors);
    RUN(one_source_cannot_hold_everything);
    RUN(without_slots_fragments_are_counted);
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
    {
        struct harness_random random = {seed};

        what_we_cut_we_put_together(&random);
    }
    return 0;
}
