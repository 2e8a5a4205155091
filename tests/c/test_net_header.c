/* tests/c/test_net_header.c - golden frames through all parsers and back; Ethernet to IPv4, UDP.
 *
 * With --dump prints the golden frames in hex, for the test that asks tshark about them.
 */
#include "tests/c/harness.h"
#include "tests/c/net_dissect.h"
#include "tests/c/net_golden.h"
#include "transport/net/order.h"

enum { FRAME_BYTES_MAX = 2048, L3 = NET_ETHER_BYTES };

#define GOLDEN_BYTES(name) golden_##name, sizeof(golden_##name)

static struct dissected golden_dissected(const uint8_t *bytes, size_t length)
{
    struct dissected d;

    CHECK_EQ(dissect(bytes, length, &d), NET_OK);
    return d;
}

/* A copy that ends where its memory ends. */
static uint8_t *exact(const uint8_t *bytes, size_t length)
{
    uint8_t *copy = malloc(length != 0 ? length : 1);

    CHECK(copy != NULL);
    memcpy(copy, bytes, length);
    return copy;
}

static void dump(void)
{
    for (int i = 0; i < GOLDEN_FRAMES; i++) {
        printf("%s ", golden_frames[i].name);
        for (size_t at = 0; at < golden_frames[i].length; at++)
            printf("%02x", golden_frames[i].bytes[at]);
        putchar('\n');
    }
}

/* ---- all golden frames ---- */

static void each_golden_frame_is_parsed(void)
{
    for (int i = 0; i < GOLDEN_FRAMES; i++) {
        struct dissected d;

        if (dissect(golden_frames[i].bytes, golden_frames[i].length, &d) != NET_OK)
            fprintf(stderr, "%s: %s\n", golden_frames[i].name, ewi_net_code_name(d.code));
        CHECK_EQ(d.code, NET_OK);
    }
}

static void each_plain_golden_frame_is_built_byte_for_byte(void)
{
    int plain = 0;

    for (int i = 0; i < GOLDEN_FRAMES; i++) {
        const struct golden *golden = &golden_frames[i];
        struct dissected d = golden_dissected(golden->bytes, golden->length);
        bool is_bsd = strcmp(golden->name, "tcp_syn_plain") == 0;
        uint8_t built[FRAME_BYTES_MAX];

        if (!d.is_plain)
            continue;
        plain += 1;
        CHECK_EQ(assemble(built, &d, is_bsd ? NET_TCP_ORDER_PLAIN : NET_TCP_ORDER_LINUX),
                 golden->length);
        CHECK(memcmp(built, golden->bytes, golden->length) == 0);
    }
    CHECK_EQ(plain, GOLDEN_FRAMES - 3); /* ip4_options, ip6_extensions, ip6_fragment */
}

static void what_is_built_is_parsed_the_same(void)
{
    for (int i = 0; i < GOLDEN_FRAMES; i++) {
        struct dissected d = golden_dissected(golden_frames[i].bytes, golden_frames[i].length);
        uint8_t built[FRAME_BYTES_MAX];
        struct dissected again;

        dissect(built, assemble(built, &d, NET_TCP_ORDER_LINUX), &again);
        CHECK(same(&d, &again));
    }
}

static void no_truncated_golden_frame_is_accepted(void)
{
    for (int i = 0; i < GOLDEN_FRAMES; i++) {
        for (size_t length = 0; length < golden_frames[i].length; length++) {
            uint8_t *copy = exact(golden_frames[i].bytes, length);
            struct dissected d;

            CHECK_EQ(dissect(copy, length, &d), NET_TOO_SHORT);
            free(copy);
        }
    }
}

/* As if IP had promised no more: the layers above must notice on their own. */
static void no_truncated_transport_header_is_accepted(void)
{
    for (int i = 0; i < GOLDEN_FRAMES; i++) {
        const struct golden *golden = &golden_frames[i];
        struct dissected d = golden_dissected(golden->bytes, golden->length), cut;
        bool is_ip6 = (d.found & FOUND_IP6) != 0;
        uint8_t protocol = is_ip6 ? d.chain.protocol : d.ip4.protocol;

        if ((d.found & (FOUND_TCP | FOUND_UDP | FOUND_ICMP)) == 0)
            continue;
        for (size_t length = 0; length < golden->length - d.l4_at; length++) {
            uint8_t *copy = exact(golden->bytes + d.l4_at, length);

            cut = d;
            CHECK(dissect_l4(copy, length, protocol, is_ip6, &cut) != NET_OK);
            free(copy);
        }
    }
}

static void padding_behind_the_packet_is_ignored(void)
{
    for (int i = 0; i < GOLDEN_FRAMES; i++) {
        struct dissected d = golden_dissected(golden_frames[i].bytes, golden_frames[i].length);
        uint8_t padded[FRAME_BYTES_MAX];
        struct dissected again;

        memset(padded, 0xee, sizeof(padded));
        memcpy(padded, golden_frames[i].bytes, golden_frames[i].length);
        CHECK_EQ(dissect(padded, golden_frames[i].length + 46, &again), NET_OK);
        CHECK(same(&d, &again));
    }
}

/* One bit anywhere behind Ethernet's header: a checksum or a judgement notices, but for what none
 * covers: ARP, the header of IPv6, fragments, a datagram without a checksum. */
static void a_flipped_bit_under_a_checksum_is_noticed(void)
{
    for (int i = 0; i < GOLDEN_FRAMES; i++) {
        const struct golden *golden = &golden_frames[i];
        struct dissected d = golden_dissected(golden->bytes, golden->length), flipped;
        bool is_covered = (d.found & (FOUND_TCP | FOUND_ICMP)) != 0 ||
                          ((d.found & FOUND_UDP) != 0 && d.udp.has_checksum);

        for (size_t bit = L3 * 8; is_covered && bit < golden->length * 8; bit++) {
            uint8_t *copy = exact(golden->bytes, golden->length);

            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
            if ((d.found & FOUND_IP4) != 0 || bit / 8 >= d.l4_at)
                CHECK(dissect(copy, golden->length, &flipped) != NET_OK);
            else
                dissect(copy, golden->length, &flipped);
            free(copy);
        }
    }
}

static void each_code_has_a_name(void)
{
    for (unsigned code = 0; code < NET_CODES; code++)
        CHECK(strlen(ewi_net_code_name((enum net_code)code)) >= 2);
    CHECK(strcmp(ewi_net_code_name(NET_CODES), "?") == 0);
}

/* ---- Ethernet ---- */

static void a_tag_is_read_and_the_type_behind_it(void)
{
    struct dissected d = golden_dissected(GOLDEN_BYTES(arp_reply_tagged));

    CHECK(d.ether.is_tagged);
    CHECK_EQ(d.ether.tag, 0x602a);
    CHECK_EQ(d.ether.type, NET_ETHER_ARP);
    CHECK_EQ(d.ether.header_bytes, 18);
    CHECK_EQ(d.ether.destination[5], 0x0a);
    CHECK_EQ(d.ether.source[5], 0x0b);
}

static enum net_code parse_with_type(uint16_t type, uint16_t inner)
{
    uint8_t frame[NET_ETHER_BYTES_MAX] = {0};
    struct net_ether ether;

    ewi_net_put_u16(frame + 12, type);
    ewi_net_put_u16(frame + 16, inner);
    return ewi_net_ether_parse(frame, sizeof(frame), &ether);
}

static void ieee_802_3_lengths_and_second_tags_are_unknown(void)
{
    CHECK_EQ(parse_with_type(0x05ff, 0), NET_UNKNOWN);
    CHECK_EQ(parse_with_type(0x0600, 0), NET_OK);
    CHECK_EQ(parse_with_type(NET_ETHER_TAG_OUTER, 0x0800), NET_UNKNOWN);
    CHECK_EQ(parse_with_type(NET_ETHER_TAG, NET_ETHER_TAG), NET_UNKNOWN);
    CHECK_EQ(parse_with_type(NET_ETHER_TAG, 0x002e), NET_UNKNOWN);
    CHECK_EQ(parse_with_type(NET_ETHER_TAG, 0x86dd), NET_OK);
}

/* ---- ARP ---- */

static void rfc_826_fields(void)
{
    struct dissected d = golden_dissected(GOLDEN_BYTES(arp_request));

    CHECK_EQ(d.arp.operation, NET_ARP_REQUEST);
    CHECK_EQ(d.arp.sender, 0xc0000201);
    CHECK_EQ(d.arp.target, 0xc0000202);
    CHECK_EQ(d.arp.sender_mac[5], 0x0a);
    CHECK_EQ(d.arp.target_mac[5], 0);
}

static void rfc_826_other_hardware_and_operations_are_unknown(void)
{
    for (size_t at = 0; at < 8; at++) {
        uint8_t copy[sizeof(golden_arp_request)];
        struct net_arp arp;

        memcpy(copy, golden_arp_request, sizeof(copy));
        copy[L3 + at] ^= 0x10;
        CHECK_EQ(ewi_net_arp_parse(copy + L3, NET_ARP_BYTES, &arp), NET_UNKNOWN);
    }
}

/* ---- IPv4 ---- */

static void rfc_791_fields(void)
{
    struct dissected d = golden_dissected(GOLDEN_BYTES(tcp_sack));

    CHECK_EQ(d.ip4.source, 0xc0000201);
    CHECK_EQ(d.ip4.destination, 0xc0000202);
    CHECK_EQ(d.ip4.payload_bytes, 60 + 5);
    CHECK_EQ(d.ip4.id, 0x1234);
    CHECK_EQ(d.ip4.traffic_class, 2);
    CHECK_EQ(d.ip4.hop_limit, 64);
    CHECK_EQ(d.ip4.protocol, NET_TCP);
    CHECK(d.ip4.dont_fragment && !d.ip4.more_fragments && !d.ip4.has_source_route);
    CHECK_EQ(d.ip4.fragment_at, 0);
}

static void rfc_791_fragment(void)
{
    struct dissected d = golden_dissected(GOLDEN_BYTES(ip4_fragment));

    CHECK_EQ(d.ip4.fragment_at, 1480);
    CHECK(d.ip4.more_fragments && !d.ip4.dont_fragment);
    CHECK_EQ(d.payload_bytes, 16);
    CHECK_EQ(d.found, FOUND_ETHER | FOUND_IP4);
}

/* Change a byte of a header of IPv4 with options, put its checksum right, parse. */
static enum net_code parse_ip4_with(size_t at, uint8_t value, size_t length, struct net_ip4 *out)
{
    uint8_t copy[sizeof(golden_ip4_options) - L3];
    size_t header;

    memcpy(copy, golden_ip4_options + L3, sizeof(copy));
    copy[at] = value;
    header = (size_t)(copy[0] & 15) * 4;
    ewi_net_put_u16(copy + 10, 0);
    ewi_net_put_u16(copy + 10,
                    ewi_net_sum_finish(ewi_net_sum(copy, header < 60 ? header : sizeof(copy))));
    return ewi_net_ip4_parse(copy, length != 0 ? length : sizeof(copy), out);
}

static void rfc_791_versions_and_lengths_are_judged(void)
{
    struct net_ip4 ip;

    CHECK_EQ(parse_ip4_with(0, 0x68, 0, &ip), NET_BAD_VERSION);
    CHECK_EQ(parse_ip4_with(0, 0x44, 0, &ip), NET_BAD_LENGTH);  /* 16 bytes */
    CHECK_EQ(parse_ip4_with(0, 0x4f, 0, &ip), NET_BAD_LENGTH);  /* 60, more than in all */
    CHECK_EQ(parse_ip4_with(3, 31, 0, &ip), NET_BAD_LENGTH);    /* in all less than the header */
    CHECK_EQ(parse_ip4_with(3, 32, 0, &ip), NET_OK);
    CHECK_EQ(ip.payload_bytes, 0);
    CHECK_EQ(parse_ip4_with(3, 45, 0, &ip), NET_TOO_SHORT); /* 44 are there */
    CHECK_EQ(parse_ip4_with(9, 6, 43, &ip), NET_TOO_SHORT);
}

static void rfc_1122_section_3_2_1_2_checksum(void)
{
    uint8_t copy[sizeof(golden_udp4)];
    struct net_ip4 ip;

    memcpy(copy, golden_udp4, sizeof(copy));
    copy[L3 + 8] -= 1; /* a router that forgot */
    CHECK_EQ(ewi_net_ip4_parse(copy + L3, sizeof(copy) - L3, &ip), NET_BAD_CHECKSUM);
}

static void rfc_1122_section_3_2_1_8_options(void)
{
    struct net_ip4 ip;

    CHECK_EQ(parse_ip4_with(20, 1, 0, &ip), NET_OK);
    CHECK_EQ(ip.header_bytes, 32);
    CHECK(!ip.has_source_route);
    CHECK_EQ(parse_ip4_with(21, 131, 0, &ip), NET_OK); /* 8.c */
    CHECK(ip.has_source_route);
    CHECK_EQ(parse_ip4_with(21, 137, 0, &ip), NET_OK);
    CHECK(ip.has_source_route);
    CHECK_EQ(parse_ip4_with(20, 0, 0, &ip), NET_OK);   /* the end: what follows is not looked at */
    CHECK_EQ(parse_ip4_with(22, 0, 0, &ip), NET_BAD_OPTION);
    CHECK_EQ(parse_ip4_with(22, 1, 0, &ip), NET_BAD_OPTION);
    CHECK_EQ(parse_ip4_with(22, 11, 0, &ip), NET_OK);  /* up to the header's end */
    CHECK_EQ(parse_ip4_with(22, 12, 0, &ip), NET_BAD_OPTION);
    CHECK_EQ(parse_ip4_with(29, 2, 0, &ip), NET_OK);
    CHECK_EQ(parse_ip4_with(22, 10, 0, &ip), NET_OK);  /* the last byte is 0: the end */
    CHECK_EQ(parse_ip4_with(31, 7, 0, &ip), NET_OK);   /* data of router alert */
}

static void an_option_without_room_for_its_length_is_bad(void)
{
    uint8_t header[24] = {0x46, 0, 0, 24, [8] = 64, 17, [20] = 1, 1, 1, 7};
    struct net_ip4 ip;

    ewi_net_put_u16(header + 10, ewi_net_sum_finish(ewi_net_sum(header, sizeof(header))));
    CHECK_EQ(ewi_net_ip4_parse(header, sizeof(header), &ip), NET_BAD_OPTION);
}

static void an_option_beyond_a_header_that_ends_the_packet_is_bad(void)
{
    uint8_t header[24] = {0x46, 0, 0, 24, [8] = 64, 17, [20] = 7, 5, 4, 0};
    uint8_t *copy;
    struct net_ip4 ip;

    ewi_net_put_u16(header + 10, ewi_net_sum_finish(ewi_net_sum(header, sizeof(header))));
    copy = exact(header, sizeof(header));
    CHECK_EQ(ewi_net_ip4_parse(copy, sizeof(header), &ip), NET_BAD_OPTION);
    free(copy);
}

static enum net_code parse_fragment(uint16_t fragment, uint16_t payload_bytes)
{
    static uint8_t packet[UINT16_MAX];
    struct net_ip4 ip = {.payload_bytes = payload_bytes, .hop_limit = 1, .protocol = NET_UDP};

    ewi_net_ip4_build(packet, &ip);
    ewi_net_put_u16(packet + 6, fragment);
    ewi_net_put_u16(packet + 10, 0);
    ewi_net_put_u16(packet + 10, ewi_net_sum_finish(ewi_net_sum(packet, NET_IP4_BYTES)));
    return ewi_net_ip4_parse(packet, sizeof(packet), &ip);
}

static void rfc_791_section_3_2_fragments_are_judged(void)
{
    CHECK_EQ(parse_fragment(0x2000 | 3, 8), NET_OK);
    CHECK_EQ(parse_fragment(0x2000 | 3, 9), NET_BAD_LENGTH);
    CHECK_EQ(parse_fragment(0x2000 | 3, 0), NET_BAD_LENGTH);
    CHECK_EQ(parse_fragment(3, 9), NET_OK);                   /* the last one */
    CHECK_EQ(parse_fragment(8189, 3), NET_OK);                /* 20 + 65512 + 3 == 65535 */
    CHECK_EQ(parse_fragment(8189, 4), NET_BAD_LENGTH);        /* the ping of death */
    CHECK_EQ(parse_fragment(0x8000, 9), NET_OK);              /* the reserved bit is ignored */
}

/* ---- UDP ---- */

static void rfc_768_fields(void)
{
    struct dissected d = golden_dissected(GOLDEN_BYTES(udp4));

    CHECK_EQ(d.udp.source_port, 5000);
    CHECK_EQ(d.udp.destination_port, 53);
    CHECK_EQ(d.udp.payload_bytes, 3);
    CHECK(d.udp.has_checksum);
    CHECK(memcmp(d.payload, "abc", 3) == 0);
}

static void rfc_768_no_checksum_is_fine_over_ip4_alone(void)
{
    struct dissected d = golden_dissected(GOLDEN_BYTES(udp4_unsummed));
    const uint8_t *udp = golden_udp4_unsummed + d.l4_at;
    struct net_udp out;

    CHECK(!d.udp.has_checksum);
    CHECK_EQ(ewi_net_udp_parse(udp, 12, d.addresses, true, &out), NET_BAD_CHECKSUM);
    CHECK_EQ(ewi_net_udp_parse(udp, 12, NET_SUM_BY_DEVICE, true, &out), NET_BAD_CHECKSUM);
}

static void rfc_768_all_ones_is_a_checksum(void)
{
    struct dissected d = golden_dissected(GOLDEN_BYTES(udp4_all_ones));

    CHECK_EQ(ewi_net_get_u16(golden_udp4_all_ones + d.l4_at + 6), 0xffff);
    CHECK(d.udp.has_checksum);
}

static void rfc_768_lengths_are_judged(void)
{
    struct dissected d = golden_dissected(GOLDEN_BYTES(udp4_unsummed));
    uint8_t copy[12];
    struct net_udp out;

    memcpy(copy, golden_udp4_unsummed + d.l4_at, sizeof(copy));
    copy[5] = 7;
    CHECK_EQ(ewi_net_udp_parse(copy, sizeof(copy), 0, false, &out), NET_BAD_LENGTH);
    copy[5] = 13;
    CHECK_EQ(ewi_net_udp_parse(copy, sizeof(copy), 0, false, &out), NET_TOO_SHORT);
    copy[5] = 8; /* the rest is not ours */
    CHECK_EQ(ewi_net_udp_parse(copy, sizeof(copy), 0, false, &out), NET_OK);
    CHECK_EQ(out.payload_bytes, 0);
}

static void a_device_gets_the_sum_of_the_pseudo_header(void)
{
    struct dissected d = golden_dissected(GOLDEN_BYTES(udp4));
    uint8_t built[NET_UDP_BYTES + 3];
    struct net_udp out;

    ewi_net_udp_build(built, &d.udp, d.addresses, NET_SUM_BY_DEVICE);
    memcpy(built + NET_UDP_BYTES, d.payload, 3);
    CHECK_EQ(ewi_net_get_u16(built + 6), ewi_net_sum_pseudo(d.addresses, NET_UDP, 11));
    CHECK_EQ(ewi_net_udp_parse(built, 11, d.addresses, false, &out), NET_BAD_CHECKSUM);
    CHECK_EQ(ewi_net_udp_parse(built, 11, NET_SUM_BY_DEVICE, false, &out), NET_OK);
    ewi_net_put_u16(built + 6, ewi_net_sum_finish(ewi_net_sum(built, 11))); /* what devices do */
    CHECK_EQ(ewi_net_udp_parse(built, 11, d.addresses, false, &out), NET_OK);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--dump") == 0) {
        dump();
        return 0;
    }
    RUN(each_golden_frame_is_parsed);
    RUN(each_plain_golden_frame_is_built_byte_for_byte);
    RUN(what_is_built_is_parsed_the_same);
    RUN(no_truncated_golden_frame_is_accepted);
    RUN(no_truncated_transport_header_is_accepted);
    RUN(padding_behind_the_packet_is_ignored);
    RUN(a_flipped_bit_under_a_checksum_is_noticed);
    RUN(each_code_has_a_name);
    RUN(a_tag_is_read_and_the_type_behind_it);
    RUN(ieee_802_3_lengths_and_second_tags_are_unknown);
    RUN(rfc_826_fields);
    RUN(rfc_826_other_hardware_and_operations_are_unknown);
    RUN(rfc_791_fields);
    RUN(rfc_791_fragment);
    RUN(rfc_791_versions_and_lengths_are_judged);
    RUN(rfc_1122_section_3_2_1_2_checksum);
    RUN(rfc_1122_section_3_2_1_8_options);
    RUN(an_option_without_room_for_its_length_is_bad);
    RUN(an_option_beyond_a_header_that_ends_the_packet_is_bad);
    RUN(rfc_791_section_3_2_fragments_are_judged);
    RUN(rfc_768_fields);
    RUN(rfc_768_no_checksum_is_fine_over_ip4_alone);
    RUN(rfc_768_all_ones_is_a_checksum);
    RUN(rfc_768_lengths_are_judged);
    RUN(a_device_gets_the_sum_of_the_pseudo_header);
    return 0;
}
