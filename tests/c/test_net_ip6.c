/* tests/c/test_net_ip6.c - the header of IPv6 and the chain of extension headers behind it. */
#include "tests/c/harness.h"
#include "tests/c/net_dissect.h"
#include "tests/c/net_golden.h"
#include "transport/net/order.h"

enum { RANDOM_RUNS = 20000, PACKET_BYTES_MAX = 2048, L3 = NET_ETHER_BYTES };

/* A packet under construction: each add_ names itself in the header before it. */
struct packet {
    uint8_t bytes[PACKET_BYTES_MAX];
    size_t length;
    size_t named_at;
};

static void begin(struct packet *packet)
{
    memset(packet, 0, sizeof(*packet));
    packet->bytes[0] = 0x60;
    packet->bytes[7] = 64;
    packet->bytes[8] = packet->bytes[24] = 0x20;
    packet->length = NET_IP6_BYTES;
    packet->named_at = 6;
}

/* Returns where the header is; its bytes are zero but for the length. */
static size_t add(struct packet *packet, uint8_t next, size_t bytes)
{
    size_t at = packet->length;

    CHECK(at + bytes <= PACKET_BYTES_MAX);
    packet->bytes[packet->named_at] = next;
    packet->length += bytes;
    packet->named_at = at;
    if (next != NET_IP6_FRAGMENT && ewi_net_ip6_is_extension(next))
        packet->bytes[at + 1] = (uint8_t)(bytes / 8 - 1);
    return at;
}

static void end(struct packet *packet, uint8_t protocol, size_t bytes)
{
    packet->bytes[packet->named_at] = protocol;
    packet->length += bytes;
    ewi_net_put_u16(packet->bytes + 4, (uint16_t)(packet->length - NET_IP6_BYTES));
}

static void put_fragment(struct packet *packet, size_t at, uint16_t offset, bool more)
{
    ewi_net_put_u16(packet->bytes + at + 2, (uint16_t)(offset | more));
    ewi_net_put_u32(packet->bytes + at + 4, 0xabcd);
}

/* From memory that ends where the packet ends. */
static enum net_code walk(const struct packet *packet, struct net_ip6_chain *chain)
{
    uint8_t *copy = malloc(packet->length);
    struct net_ip6 ip;
    enum net_code code;

    CHECK(copy != NULL);
    memcpy(copy, packet->bytes, packet->length);
    CHECK_EQ(ewi_net_ip6_parse(copy, packet->length, &ip), NET_OK);
    code = ewi_net_ip6_walk(copy, packet->length, &ip, chain);
    free(copy);
    return code;
}

static void check_told(const struct net_ip6_chain *chain, enum net_report report, int icmp_code,
                       size_t pointer)
{
    CHECK_EQ(chain->report, report);
    CHECK_EQ(chain->icmp_code, icmp_code);
    CHECK_EQ(chain->pointer, pointer);
}

/* ---- the fixed header ---- */

static void rfc_8200_section_3_fields(void)
{
    struct dissected d;

    CHECK_EQ(dissect(golden_tcp6_syn, sizeof(golden_tcp6_syn), &d), NET_OK);
    CHECK_EQ(d.ip6.traffic_class, 0xb8);
    CHECK_EQ(d.ip6.flow, 0x12345);
    CHECK_EQ(d.ip6.payload_bytes, 40);
    CHECK_EQ(d.ip6.next, NET_TCP);
    CHECK_EQ(d.ip6.hop_limit, 64);
    CHECK_EQ(d.ip6.source[15], 0x0a);
    CHECK_EQ(d.ip6.destination[15], 0x0b);
    CHECK_EQ(d.chain.header_bytes, 40);
    CHECK_EQ(d.chain.protocol, NET_TCP);
    CHECK_EQ(d.chain.named_at, 6);
    CHECK_EQ(d.tcp.mss, 1440);
}

static void versions_and_lengths_are_judged(void)
{
    uint8_t header[48] = {0x60};
    struct net_ip6 ip;

    CHECK_EQ(ewi_net_ip6_parse(header, 39, &ip), NET_TOO_SHORT);
    header[5] = 9;
    CHECK_EQ(ewi_net_ip6_parse(header, 48, &ip), NET_TOO_SHORT);
    header[5] = 8;
    CHECK_EQ(ewi_net_ip6_parse(header, 48, &ip), NET_OK);
    header[0] = 0x45;
    CHECK_EQ(ewi_net_ip6_parse(header, 48, &ip), NET_BAD_VERSION);
}

/* ---- the chain ---- */

static void rfc_8200_section_4_golden_chain(void)
{
    struct dissected d;

    CHECK_EQ(dissect(golden_ip6_extensions, sizeof(golden_ip6_extensions), &d), NET_OK);
    CHECK_EQ(d.chain.extensions, 4);
    CHECK_EQ(d.chain.header_bytes, 40 + 8 + 16 + 24 + 8);
    CHECK_EQ(d.chain.payload_bytes, 11);
    CHECK_EQ(d.chain.protocol, NET_UDP);
    CHECK_EQ(d.chain.named_at, 40 + 48);
    CHECK_EQ(d.udp.destination_port, 53);
}

static void rfc_6946_a_fragment_of_one_is_whole(void)
{
    struct dissected d;

    CHECK_EQ(dissect(golden_ip6_extensions, sizeof(golden_ip6_extensions), &d), NET_OK);
    CHECK(d.chain.has_fragment_header && !d.chain.is_fragment);
    CHECK_EQ(d.chain.id, 0xdeadbeef);
}

static void rfc_8200_section_4_5_first_fragment(void)
{
    struct dissected d;

    CHECK_EQ(dissect(golden_ip6_fragment, sizeof(golden_ip6_fragment), &d), NET_OK);
    CHECK(d.chain.is_fragment && d.chain.more_fragments && d.chain.has_fragment_header);
    CHECK_EQ(d.chain.fragment_at, 0);
    CHECK_EQ(d.chain.id, 0xcafef00d);
    CHECK_EQ(d.chain.header_bytes, 48);
    CHECK_EQ(d.chain.payload_bytes, 24);
    CHECK_EQ(d.chain.fragment_header, 40);
    CHECK_EQ(d.chain.fragment_named_at, 6);
    CHECK_EQ(d.chain.protocol, NET_UDP);
}

static void rfc_8200_section_4_5_later_fragments_hold_no_headers(void)
{
    struct net_ip6_chain chain;
    struct packet packet;
    size_t at;

    begin(&packet);
    add(&packet, NET_IP6_HOP_BY_HOP, 8);
    at = add(&packet, NET_IP6_FRAGMENT, 8);
    put_fragment(&packet, at, 1232, false);
    end(&packet, NET_IP6_DESTINATION, 3); /* of the whole one, not of what is here */
    CHECK_EQ(walk(&packet, &chain), NET_OK);
    CHECK(chain.is_fragment && !chain.more_fragments);
    CHECK_EQ(chain.fragment_at, 1232);
    CHECK_EQ(chain.protocol, NET_IP6_DESTINATION);
    CHECK_EQ(chain.fragment_named_at, 40);
    CHECK_EQ(chain.fragment_header, 48);
    CHECK_EQ(chain.payload_bytes, 3);
}

static void rfc_8200_section_4_5_fragments_are_judged(void)
{
    struct net_ip6_chain chain;
    struct packet packet;
    size_t at;

    begin(&packet);
    at = add(&packet, NET_IP6_FRAGMENT, 8);
    put_fragment(&packet, at, 8, true);
    end(&packet, NET_UDP, 9);
    CHECK_EQ(walk(&packet, &chain), NET_BAD_LENGTH);
    check_told(&chain, NET_REPORT_UNICAST, 0, 4);
    put_fragment(&packet, at, 65528, false); /* 65528 + 9 > 65535 */
    CHECK_EQ(walk(&packet, &chain), NET_BAD_LENGTH);
    check_told(&chain, NET_REPORT_UNICAST, 0, at + 2);
    packet.length -= 2;
    end(&packet, NET_UDP, 0);
    CHECK_EQ(walk(&packet, &chain), NET_OK);
    packet.length -= 7;
    end(&packet, NET_UDP, 0);
    put_fragment(&packet, at, 8, true); /* more of nothing */
    CHECK_EQ(walk(&packet, &chain), NET_BAD_LENGTH);
}

static void rfc_7112_section_5_first_fragments_hold_all_headers(void)
{
    static const uint8_t protocols[] = {NET_TCP, NET_UDP, NET_ICMP6};

    for (size_t i = 0; i < sizeof(protocols); i++) {
        struct net_ip6_chain chain;
        struct packet packet;

        begin(&packet);
        put_fragment(&packet, add(&packet, NET_IP6_FRAGMENT, 8), 0, true);
        add(&packet, NET_IP6_DESTINATION, 8);
        end(&packet, protocols[i], 0);
        CHECK_EQ(walk(&packet, &chain), NET_BAD_CHAIN);
        check_told(&chain, NET_REPORT_UNICAST, 3, 0);
        end(&packet, protocols[i], protocols[i] == NET_TCP ? 24 : 8);
        CHECK_EQ(walk(&packet, &chain), NET_OK);
        CHECK_EQ(chain.protocol, NET_IP6_DESTINATION); /* what is fragmented begins there */
        CHECK_EQ(chain.header_bytes, 48);
        packet.bytes[49] = 9; /* the options end in another fragment */
        CHECK_EQ(walk(&packet, &chain), NET_BAD_CHAIN);
        check_told(&chain, NET_REPORT_UNICAST, 3, 0);
    }
}

static void a_fragment_in_a_fragment_is_refused(void)
{
    for (int more = 0; more < 2; more++) {
        struct net_ip6_chain chain;
        struct packet packet;

        begin(&packet);
        put_fragment(&packet, add(&packet, NET_IP6_FRAGMENT, 8), 0, more != 0);
        put_fragment(&packet, add(&packet, NET_IP6_FRAGMENT, 8), 0, true);
        end(&packet, NET_UDP, 16);
        CHECK_EQ(walk(&packet, &chain), NET_BAD_CHAIN);
        check_told(&chain, NET_REPORT_UNICAST, 1, 40);
    }
}

static void rfc_8200_section_4_1_hop_by_hop_is_first(void)
{
    struct net_ip6_chain chain;
    struct packet packet;

    begin(&packet);
    add(&packet, NET_IP6_DESTINATION, 16);
    add(&packet, NET_IP6_HOP_BY_HOP, 8);
    end(&packet, NET_UDP, 8);
    CHECK_EQ(walk(&packet, &chain), NET_BAD_CHAIN);
    check_told(&chain, NET_REPORT_UNICAST, 1, 40);
}

static void rfc_8200_section_4_4_routing_ends_here_or_is_refused(void)
{
    struct net_ip6_chain chain;
    struct packet packet;
    size_t at;

    begin(&packet);
    at = add(&packet, NET_IP6_ROUTING, 24);
    end(&packet, NET_UDP, 8);
    packet.bytes[at + 2] = 0; /* RFC 5095: type 0 is as unknown as any other */
    CHECK_EQ(walk(&packet, &chain), NET_OK);
    packet.bytes[at + 3] = 1;
    CHECK_EQ(walk(&packet, &chain), NET_BAD_FIELD);
    check_told(&chain, NET_REPORT_UNICAST, 0, at + 2);
}

static void rfc_8200_section_4_7_no_next_header_ends_the_chain(void)
{
    struct net_ip6_chain chain;
    struct packet packet;

    begin(&packet);
    end(&packet, NET_IP6_NONE, 5);
    CHECK_EQ(walk(&packet, &chain), NET_OK);
    CHECK_EQ(chain.protocol, NET_IP6_NONE);
    CHECK_EQ(chain.payload_bytes, 5);
}

static void a_chain_beyond_the_packet_is_too_short(void)
{
    static const uint8_t headers[] = {NET_IP6_HOP_BY_HOP, NET_IP6_ROUTING, NET_IP6_FRAGMENT,
                                      NET_IP6_DESTINATION};

    for (size_t i = 0; i < sizeof(headers); i++) {
        for (size_t bytes = 0; bytes < 8; bytes++) {
            struct net_ip6_chain chain;
            struct packet packet;

            begin(&packet);
            end(&packet, headers[i], bytes);
            CHECK_EQ(walk(&packet, &chain), NET_TOO_SHORT);
            CHECK_EQ(chain.report, NET_REPORT_NOT);
        }
    }
}

static void rfc_8504_section_5_3_limits(void)
{
    struct net_ip6_chain chain;
    struct packet packet;

    begin(&packet);
    for (int i = 0; i < NET_IP6_EXTENSIONS_MAX; i++)
        add(&packet, NET_IP6_DESTINATION, 64);
    end(&packet, NET_UDP, 8);
    CHECK_EQ(walk(&packet, &chain), NET_OK); /* 8 headers, 512 bytes */
    begin(&packet);
    for (int i = 0; i < NET_IP6_EXTENSIONS_MAX + 1; i++)
        add(&packet, NET_IP6_DESTINATION, 8);
    end(&packet, NET_UDP, 8);
    CHECK_EQ(walk(&packet, &chain), NET_BAD_CHAIN);
    check_told(&chain, NET_REPORT_UNICAST, 8, 40 + 64);
    begin(&packet);
    add(&packet, NET_IP6_DESTINATION, 256);
    add(&packet, NET_IP6_DESTINATION, 264);
    end(&packet, NET_UDP, 8);
    CHECK_EQ(walk(&packet, &chain), NET_BAD_CHAIN);
    check_told(&chain, NET_REPORT_UNICAST, 7, 40 + 512);
}

/* ---- options ---- */

static enum net_code walk_option(uint8_t type, struct net_ip6_chain *chain)
{
    struct packet packet;
    size_t at;

    begin(&packet);
    at = add(&packet, NET_IP6_DESTINATION, 8);
    packet.bytes[at + 3] = type; /* behind one Pad1 */
    packet.bytes[at + 4] = 3;
    end(&packet, NET_UDP, 8);
    return walk(&packet, chain);
}

static void rfc_8200_section_4_2_actions_of_unknown_options(void)
{
    struct net_ip6_chain chain;

    CHECK_EQ(walk_option(0x3e, &chain), NET_OK);
    CHECK_EQ(walk_option(0x7e, &chain), NET_BAD_OPTION);
    CHECK_EQ(chain.report, NET_REPORT_NOT);
    CHECK_EQ(walk_option(0xbe, &chain), NET_BAD_OPTION);
    check_told(&chain, NET_REPORT_ALWAYS, 2, 43);
    CHECK_EQ(walk_option(0xfe, &chain), NET_BAD_OPTION);
    check_told(&chain, NET_REPORT_UNICAST, 2, 43);
    CHECK_EQ(walk_option(0xc2, &chain), NET_BAD_OPTION); /* jumbograms, RFC 2675: not spoken */
}

static void options_end_with_their_header(void)
{
    struct net_ip6_chain chain;
    struct packet packet;
    size_t at;

    begin(&packet);
    at = add(&packet, NET_IP6_HOP_BY_HOP, 8);
    end(&packet, NET_UDP, 8);
    packet.bytes[at + 2] = 1; /* PadN of 4: exactly */
    packet.bytes[at + 3] = 4;
    CHECK_EQ(walk(&packet, &chain), NET_OK);
    packet.bytes[at + 3] = 5; /* one beyond */
    CHECK_EQ(walk(&packet, &chain), NET_BAD_OPTION);
    check_told(&chain, NET_REPORT_UNICAST, 0, at + 2);
    packet.bytes[at + 2] = packet.bytes[at + 3] = 0;
    packet.bytes[at + 7] = 5; /* no room for its length */
    CHECK_EQ(walk(&packet, &chain), NET_BAD_OPTION);
    check_told(&chain, NET_REPORT_UNICAST, 0, at + 7);
}

static void rfc_8504_section_5_3_no_more_than_eight_options(void)
{
    struct net_ip6_chain chain;
    struct packet packet;
    size_t at;

    begin(&packet);
    at = add(&packet, NET_IP6_DESTINATION, 24);
    for (size_t i = 0; i < NET_IP6_OPTIONS_MAX; i++)
        packet.bytes[at + 2 + 2 * i] = 0x1e; /* no data */
    end(&packet, NET_UDP, 8);
    CHECK_EQ(walk(&packet, &chain), NET_OK);
    packet.bytes[at + 18] = 0x1e;
    CHECK_EQ(walk(&packet, &chain), NET_BAD_CHAIN);
    check_told(&chain, NET_REPORT_UNICAST, 9, at + 18);
}

/* ---- random chains: what was put in comes out, and no bytes can hurt ---- */

static void check_random_chain(struct harness_random *random)
{
    static const uint8_t middle[] = {NET_IP6_DESTINATION, NET_IP6_ROUTING, NET_IP6_FRAGMENT};
    size_t headers = harness_below(random, 6), payload = harness_below(random, 40);
    uint8_t protocol = harness_below(random, 2) != 0 ? NET_UDP : NET_IP6_NONE;
    struct net_ip6_chain chain;
    struct packet packet;
    size_t bytes = NET_IP6_BYTES;
    bool has_fragment = false;

    begin(&packet);
    for (size_t i = 0; i < headers; i++) {
        uint8_t next = middle[harness_below(random, has_fragment ? 2 : 3)];
        size_t size = next == NET_IP6_FRAGMENT ? 8 : harness_between(random, 1, 8) * 8;

        if (i == 0 && harness_below(random, 2) != 0) {
            next = NET_IP6_HOP_BY_HOP;
            size = harness_between(random, 1, 8) * 8;
        }
        has_fragment |= next == NET_IP6_FRAGMENT; /* all of one */
        add(&packet, next, size);
        bytes += size;
    }
    end(&packet, protocol, payload);
    CHECK_EQ(walk(&packet, &chain), NET_OK);
    CHECK_EQ(chain.header_bytes, bytes);
    CHECK_EQ(chain.payload_bytes, payload);
    CHECK_EQ(chain.protocol, protocol);
    CHECK_EQ(chain.extensions, headers);
    CHECK_EQ(chain.named_at, packet.named_at);
    CHECK_EQ(chain.has_fragment_header, has_fragment);
    CHECK(!chain.is_fragment);

    for (int i = 0; i < 4; i++) /* now damage it; ASan is the judge */
        packet.bytes[6 + harness_below(random, packet.length - 6)] = (uint8_t)harness_next(random);
    ewi_net_put_u16(packet.bytes + 4, (uint16_t)(packet.length - NET_IP6_BYTES));
    if (walk(&packet, &chain) == NET_OK) {
        CHECK_EQ(chain.header_bytes + chain.payload_bytes, packet.length);
        CHECK(chain.extensions <= NET_IP6_EXTENSIONS_MAX);
    } else {
        CHECK(chain.pointer <= packet.length);
    }
}

int main(int argc, char **argv)
{
    RUN(rfc_8200_section_3_fields);
    RUN(versions_and_lengths_are_judged);
    RUN(rfc_8200_section_4_golden_chain);
    RUN(rfc_6946_a_fragment_of_one_is_whole);
    RUN(rfc_8200_section_4_5_first_fragment);
    RUN(rfc_8200_section_4_5_later_fragments_hold_no_headers);
    RUN(rfc_8200_section_4_5_fragments_are_judged);
    RUN(rfc_7112_section_5_first_fragments_hold_all_headers);
    RUN(a_fragment_in_a_fragment_is_refused);
    RUN(rfc_8200_section_4_1_hop_by_hop_is_first);
    RUN(rfc_8200_section_4_4_routing_ends_here_or_is_refused);
    RUN(rfc_8200_section_4_7_no_next_header_ends_the_chain);
    RUN(a_chain_beyond_the_packet_is_too_short);
    RUN(rfc_8504_section_5_3_limits);
    RUN(rfc_8200_section_4_2_actions_of_unknown_options);
    RUN(options_end_with_their_header);
    RUN(rfc_8504_section_5_3_no_more_than_eight_options);
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
    {
        struct harness_random random = {seed};

        for (int i = 0; i < RANDOM_RUNS; i++)
            check_random_chain(&random);
    }
    return 0;
}
