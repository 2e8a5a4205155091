/* tests/c/test_net_icmp.c - ICMP for both versions, quotes, and Neighbor Discovery. */
#include "tests/c/harness.h"
#include "tests/c/net_dissect.h"
#include "tests/c/net_golden.h"
#include "transport/net/order.h"

enum { RANDOM_RUNS = 20000, MESSAGE_BYTES_MAX = 256 };

static struct dissected golden_dissected(const uint8_t *bytes, size_t length)
{
    struct dissected d;

    CHECK_EQ(dissect(bytes, length, &d), NET_OK);
    CHECK(d.found & FOUND_ICMP);
    return d;
}

#define DISSECTED(frame) golden_dissected(golden_##frame, sizeof(golden_##frame))

/* ---- ICMP ---- */

static void rfc_792_echo(void)
{
    struct dissected d = DISSECTED(icmp4_echo);

    CHECK_EQ(d.icmp.type, NET_ICMP4_ECHO);
    CHECK_EQ(d.icmp.code, 0);
    CHECK_EQ(d.icmp.rest, 0x770001); /* identifier, sequence number */
    CHECK_EQ(d.payload_bytes, 5);
    CHECK(!ewi_net_icmp4_is_error(d.icmp.type));
}

static void rfc_4443_section_4_2_echo_reply(void)
{
    struct dissected d = DISSECTED(icmp6_echo_reply);

    CHECK_EQ(d.icmp.type, NET_ICMP6_ECHO_REPLY);
    CHECK_EQ(d.icmp.rest & 0xffff, 2);
    CHECK(!ewi_net_icmp6_is_error(d.icmp.type));
    CHECK_EQ(d.found & FOUND_NDP, 0);
}

static void rfc_792_checksum_covers_all(void)
{
    struct dissected d = DISSECTED(icmp4_echo);
    uint8_t copy[13];
    struct net_icmp icmp;

    memcpy(copy, golden_icmp4_echo + d.l4_at, sizeof(copy));
    CHECK_EQ(ewi_net_icmp4_parse(copy, sizeof(copy), &icmp), NET_OK);
    copy[12] ^= 1;
    CHECK_EQ(ewi_net_icmp4_parse(copy, sizeof(copy), &icmp), NET_BAD_CHECKSUM);
    CHECK_EQ(ewi_net_icmp4_parse(copy, 7, &icmp), NET_TOO_SHORT);
}

static void rfc_4443_section_2_3_checksum_has_a_pseudo_header(void)
{
    struct dissected d = DISSECTED(icmp6_echo_reply);
    const uint8_t *bytes = golden_icmp6_echo_reply + d.l4_at;
    struct net_icmp icmp;

    CHECK_EQ(ewi_net_icmp6_parse(bytes, 12, d.addresses, &icmp), NET_OK);
    CHECK_EQ(ewi_net_icmp6_parse(bytes, 12, d.addresses ^ 1, &icmp), NET_BAD_CHECKSUM);
    CHECK_EQ(ewi_net_icmp6_parse(bytes, 12, 0, &icmp), NET_BAD_CHECKSUM);
    CHECK_EQ(ewi_net_icmp6_parse(bytes, 12, NET_SUM_BY_DEVICE, &icmp), NET_OK);
    CHECK_EQ(ewi_net_icmp6_parse(bytes, 7, NET_SUM_BY_DEVICE, &icmp), NET_TOO_SHORT);
}

static void errors_and_the_rest_are_told_apart(void) /* RFC 1122 section 3.2.2, RFC 4443 section 2.1 */
{
    CHECK(ewi_net_icmp4_is_error(3) && ewi_net_icmp4_is_error(4) && ewi_net_icmp4_is_error(5));
    CHECK(ewi_net_icmp4_is_error(11) && ewi_net_icmp4_is_error(12));
    CHECK(!ewi_net_icmp4_is_error(0) && !ewi_net_icmp4_is_error(8) && !ewi_net_icmp4_is_error(13));
    CHECK(ewi_net_icmp6_is_error(0) && ewi_net_icmp6_is_error(127));
    CHECK(!ewi_net_icmp6_is_error(128) && !ewi_net_icmp6_is_error(135));
}

/* ---- quotes ---- */

static void rfc_1191_section_4_mtu_and_quote(void)
{
    struct dissected d = DISSECTED(icmp4_too_big);
    static const uint8_t source[16] = {192, 0, 2, 2};
    struct net_quote quote;

    CHECK_EQ(d.icmp.code, NET_ICMP4_FRAGMENTATION_NEEDED);
    CHECK_EQ(ewi_net_icmp4_mtu(d.icmp.rest), 1400);
    CHECK(ewi_net_icmp4_is_error(d.icmp.type));
    CHECK_EQ(ewi_net_quote4_parse(d.payload, d.payload_bytes, &quote), NET_OK);
    CHECK(!quote.is_ip6 && quote.has_ports);
    CHECK(memcmp(quote.source, source, 16) == 0);
    CHECK_EQ(quote.destination[3], 1);
    CHECK_EQ(quote.protocol, NET_TCP);
    CHECK_EQ(quote.source_port, 443);
    CHECK_EQ(quote.destination_port, 40000);
    CHECK_EQ(quote.sequence, 0x50607081);
}

static void rfc_4443_section_3_2_mtu_and_quote(void)
{
    struct dissected d = DISSECTED(icmp6_too_big);
    struct net_quote quote;

    CHECK_EQ(d.icmp.rest, 1280);
    CHECK(ewi_net_icmp6_is_error(d.icmp.type));
    CHECK_EQ(ewi_net_quote6_parse(d.payload, d.payload_bytes, &quote), NET_OK);
    CHECK(quote.is_ip6 && quote.has_ports);
    CHECK_EQ(quote.source[15], 0x0b);
    CHECK_EQ(quote.destination[15], 0x0a);
    CHECK_EQ(quote.source_port, 443);
    CHECK_EQ(quote.sequence, 0x50607081);
}

static void rfc_792_a_quote_needs_eight_bytes_of_transport(void)
{
    struct dissected four = DISSECTED(icmp4_too_big), six = DISSECTED(icmp6_too_big);
    struct net_quote quote;

    for (size_t length = 0; length <= 48; length++) {
        uint8_t *copy = malloc(length != 0 ? length : 1);

        CHECK(copy != NULL);
        memcpy(copy, four.payload, length < 28 ? length : 28);
        CHECK_EQ(ewi_net_quote4_parse(copy, length < 28 ? length : 28, &quote),
                 length < 28 ? NET_TOO_SHORT : NET_OK);
        memcpy(copy, six.payload, length);
        CHECK_EQ(ewi_net_quote6_parse(copy, length, &quote), length < 48 ? NET_TOO_SHORT : NET_OK);
        free(copy);
    }
}

static void a_quoted_header_is_judged(void)
{
    uint8_t quote4[60] = {0x45, [9] = NET_UDP, [21] = 7, [25] = 8}, quote6[48] = {0x45};
    struct net_quote quote;

    CHECK_EQ(ewi_net_quote4_parse(quote4, 28, &quote), NET_OK);
    CHECK_EQ(quote.source_port, 7);
    CHECK_EQ(quote.sequence, 0); /* of TCP alone */
    quote4[0] = 0x44;
    CHECK_EQ(ewi_net_quote4_parse(quote4, 28, &quote), NET_BAD_LENGTH);
    quote4[0] = 0x4f;
    CHECK_EQ(ewi_net_quote4_parse(quote4, 28, &quote), NET_TOO_SHORT);
    quote4[0] = 0x65;
    CHECK_EQ(ewi_net_quote4_parse(quote4, 28, &quote), NET_BAD_VERSION);
    CHECK_EQ(ewi_net_quote6_parse(quote6, 48, &quote), NET_BAD_VERSION);
}

static void a_quoted_later_fragment_has_no_ports(void)
{
    uint8_t quote4[28] = {0x45, [7] = 1, [9] = NET_UDP};
    uint8_t quote6[56] = {0x60, [6] = NET_IP6_FRAGMENT, [40] = NET_TCP, [43] = 8};
    struct net_quote quote;

    CHECK_EQ(ewi_net_quote4_parse(quote4, 20, &quote), NET_OK);
    CHECK(!quote.has_ports);
    CHECK_EQ(quote.protocol, NET_UDP);
    CHECK_EQ(ewi_net_quote6_parse(quote6, 48, &quote), NET_OK);
    CHECK(!quote.has_ports);
    CHECK_EQ(quote.protocol, NET_TCP);
    quote6[43] = 1; /* the first one has */
    quote6[49] = 9;
    CHECK_EQ(ewi_net_quote6_parse(quote6, 56, &quote), NET_OK);
    CHECK_EQ(quote.source_port, 9);
}

static void a_quoted_chain_has_a_limit(void)
{
    uint8_t bytes[40 + 9 * 8 + 8] = {0x60, [6] = NET_IP6_DESTINATION};
    struct net_quote quote;

    for (size_t i = 0; i < 9; i++)
        bytes[40 + 8 * i] = i < 7 ? NET_IP6_DESTINATION : NET_UDP;
    CHECK_EQ(ewi_net_quote6_parse(bytes, sizeof(bytes), &quote), NET_OK);
    bytes[40 + 8 * 7] = NET_IP6_DESTINATION;
    CHECK_EQ(ewi_net_quote6_parse(bytes, sizeof(bytes), &quote), NET_BAD_CHAIN);
}

/* ---- Neighbor Discovery: golden messages ---- */

static void rfc_4861_section_4_1_rs(void)
{
    struct dissected d = DISSECTED(ndp_rs);

    CHECK(d.found & FOUND_NDP);
    CHECK_EQ(d.ndp.type, NET_NDP_RS);
    CHECK_EQ(d.ndp.has, NET_NDP_HAS_SOURCE_LINK);
    CHECK_EQ(d.ndp.source_link[5], 0x0a);
}

static void rfc_4861_section_4_2_ra(void)
{
    struct dissected d = DISSECTED(ndp_ra);

    CHECK(d.found & FOUND_NDP);
    CHECK_EQ(d.ndp.hop_limit, 64);
    CHECK_EQ(d.ndp.flags, NET_RA_OTHER);
    CHECK_EQ(d.ndp.router_s, 1800);
    CHECK_EQ(d.ndp.reachable_ms, 30000);
    CHECK_EQ(d.ndp.retransmit_ms, 1000);
    CHECK_EQ(d.ndp.mtu, 1500);
    CHECK_EQ(d.ndp.has, NET_NDP_HAS_SOURCE_LINK | NET_NDP_HAS_MTU);
    CHECK_EQ(d.ndp.prefixes, 1);
    CHECK_EQ(d.ndp.prefix[0].bits, 64);
    CHECK(d.ndp.prefix[0].on_link && d.ndp.prefix[0].autonomous);
    CHECK_EQ(d.ndp.prefix[0].valid_s, 86400);
    CHECK_EQ(d.ndp.prefix[0].preferred_s, 14400);
    CHECK_EQ(d.ndp.prefix[0].prefix[3], 0xb8);
}

static void rfc_4861_section_4_3_ns(void)
{
    struct dissected d = DISSECTED(ndp_ns), probe = DISSECTED(ndp_ns_probe);

    CHECK(d.found & probe.found & FOUND_NDP);
    CHECK_EQ(d.ndp.target[15], 0x0b);
    CHECK_EQ(d.ndp.has, NET_NDP_HAS_SOURCE_LINK);
    CHECK_EQ(probe.ndp.has, 0); /* RFC 4862 section 5.4.2 */
    CHECK_EQ(probe.ndp.target[15], 0x0b);
}

static void rfc_4861_section_4_4_na(void)
{
    struct dissected d = DISSECTED(ndp_na);

    CHECK(d.found & FOUND_NDP);
    CHECK_EQ(d.ndp.flags, NET_NA_SOLICITED | NET_NA_OVERRIDE);
    CHECK_EQ(d.ndp.has, NET_NDP_HAS_TARGET_LINK);
    CHECK_EQ(d.ndp.target_link[5], 0x0b);
}

static void rfc_4861_section_4_5_redirect(void)
{
    struct dissected d = DISSECTED(ndp_redirect);

    CHECK(d.found & FOUND_NDP);
    CHECK_EQ(d.ndp.target[0], 0xfe);
    CHECK_EQ(d.ndp.target[15], 0x0b);
    CHECK_EQ(d.ndp.destination[15], 1);
    CHECK_EQ(d.ndp.has, NET_NDP_HAS_TARGET_LINK);
}

/* ---- Neighbor Discovery: judged ---- */

struct message { /* a golden one, to be spoilt */
    struct net_ip6 ip;
    uint8_t bytes[MESSAGE_BYTES_MAX];
    size_t length;
};

static struct message message_of(const struct dissected *d)
{
    struct message message = {.ip = d->ip6, .length = d->ip6.payload_bytes};

    memcpy(message.bytes, d->payload - NET_ICMP_BYTES, message.length);
    return message;
}

static enum net_code parse(const struct message *message)
{
    uint8_t *copy = malloc(message->length != 0 ? message->length : 1);
    struct net_ndp ndp;
    enum net_code code;

    CHECK(copy != NULL);
    memcpy(copy, message->bytes, message->length);
    code = ewi_net_ndp_parse(copy, message->length, &message->ip, &ndp);
    free(copy);
    return code;
}

static void check_hop_limit_code_and_length(const struct dissected *d, size_t fixed)
{
    struct message message = message_of(d);
    size_t length = message.length;

    CHECK_EQ(parse(&message), NET_OK);
    message.ip.hop_limit = 254;
    CHECK_EQ(parse(&message), NET_BAD_FIELD);
    message.ip.hop_limit = 255;
    message.bytes[1] = 1;
    CHECK_EQ(parse(&message), NET_BAD_FIELD);
    message.bytes[1] = 0;
    for (message.length = 0; message.length < length; message.length++) {
        enum net_code code = parse(&message);

        if (message.length < fixed)
            CHECK_EQ(code, NET_TOO_SHORT);
        else if ((message.length - fixed) % 8 != 0)
            CHECK_EQ(code, NET_BAD_OPTION);
    }
}

static void rfc_4861_hop_limit_255_code_0_and_lengths(void) /* 6.1.1, 6.1.2, 7.1.1, 7.1.2, 8.1 */
{
    struct dissected rs = DISSECTED(ndp_rs), ra = DISSECTED(ndp_ra), ns = DISSECTED(ndp_ns),
                     na = DISSECTED(ndp_na), redirect = DISSECTED(ndp_redirect);

    check_hop_limit_code_and_length(&rs, 8);
    check_hop_limit_code_and_length(&ra, 16);
    check_hop_limit_code_and_length(&ns, 24);
    check_hop_limit_code_and_length(&na, 24);
    check_hop_limit_code_and_length(&redirect, 40);
}

static void rfc_4861_section_4_6_an_option_of_length_zero_is_bad(void)
{
    struct dissected d = DISSECTED(ndp_ns);
    struct message message = message_of(&d);

    message.bytes[25] = 0;
    CHECK_EQ(parse(&message), NET_BAD_OPTION);
    message.bytes[25] = 2;
    CHECK_EQ(parse(&message), NET_BAD_OPTION); /* beyond the message */
    message.length += 8;
    CHECK_EQ(parse(&message), NET_BAD_OPTION); /* no address of Ethernet */
    message.bytes[24] = 14;
    CHECK_EQ(parse(&message), NET_OK); /* a nonce, RFC 3971: skipped */
    message.bytes[25] = 0;
    CHECK_EQ(parse(&message), NET_BAD_OPTION);
}

static void options_of_another_message_are_ignored(void)
{
    struct dissected d = DISSECTED(ndp_na);
    struct message message = message_of(&d);

    message.bytes[24] = 1; /* source link-layer address */
    message.length += 8;
    message.bytes[32] = 5;
    message.bytes[33] = 1;
    CHECK_EQ(parse(&message), NET_OK);
    message.bytes[24] = 3; /* too short for a prefix, but not looked at */
    CHECK_EQ(parse(&message), NET_OK);
}

static void options_of_a_wrong_length_are_bad(void)
{
    struct dissected d = DISSECTED(ndp_ra);
    struct message message = message_of(&d);

    message.bytes[34] = 129; /* bits of the prefix */
    CHECK_EQ(parse(&message), NET_BAD_OPTION);
    message.bytes[34] = 128;
    CHECK_EQ(parse(&message), NET_OK);
    message.bytes[33] = 3; /* then 8 bytes of the prefix look like an option */
    CHECK_EQ(parse(&message), NET_BAD_OPTION);
    message = message_of(&d);
    message.bytes[25] = 5; /* an address of 40 bytes */
    CHECK_EQ(parse(&message), NET_BAD_OPTION);
    message = message_of(&d);
    message.bytes[24] = 3; /* a prefix of 8 bytes, the last of the message */
    message.length = 24 + 8 - 8;
    CHECK_EQ(parse(&message), NET_OK);
    memcpy(message.bytes + 16, message.bytes + 24, 8);
    CHECK_EQ(parse(&message), NET_BAD_OPTION);
}

static void rfc_4861_section_6_1_routers_speak_from_link_local(void)
{
    struct dissected ra = DISSECTED(ndp_ra), redirect = DISSECTED(ndp_redirect);
    struct message message = message_of(&ra);

    message.ip.source[0] = 0x20;
    CHECK_EQ(parse(&message), NET_BAD_FIELD);
    message = message_of(&redirect);
    message.ip.source[1] = 0xc0; /* fec0::/10 */
    CHECK_EQ(parse(&message), NET_BAD_FIELD);
}

static void rfc_4861_without_a_source_address_none_of_the_link(void) /* 6.1.1, 7.1.1 */
{
    struct dissected rs = DISSECTED(ndp_rs), ns = DISSECTED(ndp_ns);
    struct message message = message_of(&rs);

    memset(message.ip.source, 0, 16);
    CHECK_EQ(parse(&message), NET_BAD_FIELD);
    message.length = 8;
    CHECK_EQ(parse(&message), NET_OK);
    message = message_of(&ns);
    memset(message.ip.source, 0, 16);
    CHECK_EQ(parse(&message), NET_BAD_FIELD);
    message.length = 24;
    CHECK_EQ(parse(&message), NET_OK);
    message.ip.destination[12] = 0; /* no solicited-node address */
    CHECK_EQ(parse(&message), NET_BAD_FIELD);
}

static void rfc_4861_section_7_1_targets_are_no_multicast(void)
{
    struct dissected ns = DISSECTED(ndp_ns), na = DISSECTED(ndp_na);
    struct message message = message_of(&ns);

    message.bytes[8] = 0xff;
    CHECK_EQ(parse(&message), NET_BAD_FIELD);
    message = message_of(&na);
    message.bytes[8] = 0xff;
    CHECK_EQ(parse(&message), NET_BAD_FIELD);
}

static void rfc_4861_section_7_1_2_solicited_to_many_is_a_lie(void)
{
    struct dissected d = DISSECTED(ndp_na);
    struct message message = message_of(&d);

    message.ip.destination[0] = 0xff;
    CHECK_EQ(parse(&message), NET_BAD_FIELD);
    message.bytes[4] = NET_NA_OVERRIDE;
    CHECK_EQ(parse(&message), NET_OK);
}

static void rfc_4861_section_8_1_redirects(void)
{
    struct dissected d = DISSECTED(ndp_redirect);
    struct message message = message_of(&d);

    message.bytes[8] = 0x20; /* the target: no router, nor the destination */
    CHECK_EQ(parse(&message), NET_BAD_FIELD);
    memcpy(message.bytes + 8, message.bytes + 24, 16); /* the destination is a neighbour */
    CHECK_EQ(parse(&message), NET_OK);
    message.bytes[8] = message.bytes[24] = 0xff;
    CHECK_EQ(parse(&message), NET_BAD_FIELD);
}

static void other_types_are_unknown(void)
{
    struct dissected d = DISSECTED(ndp_ns);
    struct message message = message_of(&d);

    message.bytes[0] = 132;
    CHECK_EQ(parse(&message), NET_UNKNOWN);
    message.bytes[0] = 138;
    CHECK_EQ(parse(&message), NET_UNKNOWN);
}

static void more_prefixes_than_we_keep_are_skipped(void)
{
    struct net_ndp ndp = {.type = NET_NDP_RA, .prefixes = NET_NDP_PREFIXES_MAX}, out;
    struct net_ip6 ip = {.hop_limit = 255, .source = {0xfe, 0x80}};
    uint8_t bytes[NET_NDP_BYTES_MAX + 32];
    size_t length = ewi_net_ndp_build(bytes, &ndp, 0);

    memcpy(bytes + length, bytes + length - 32, 32);
    CHECK_EQ(ewi_net_ndp_parse(bytes, length + 32, &ip, &out), NET_OK);
    CHECK_EQ(out.prefixes, NET_NDP_PREFIXES_MAX);
}

/* ---- random messages: build, parse, compare ---- */

static void fill(struct harness_random *random, void *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        ((uint8_t *)bytes)[i] = (uint8_t)harness_next(random);
}

static void random_ra(struct harness_random *random, struct net_ndp *ndp)
{
    ndp->flags = (uint8_t)(harness_below(random, 4) << 6);
    ndp->hop_limit = (uint8_t)harness_next(random);
    ndp->router_s = (uint16_t)harness_next(random);
    ndp->reachable_ms = (uint32_t)harness_next(random);
    ndp->retransmit_ms = (uint32_t)harness_next(random);
    if (harness_below(random, 2) != 0) {
        ndp->has |= NET_NDP_HAS_MTU;
        ndp->mtu = (uint32_t)harness_next(random);
    }
    ndp->prefixes = (uint8_t)harness_below(random, NET_NDP_PREFIXES_MAX + 1);
    for (int i = 0; i < ndp->prefixes; i++) {
        struct net_ndp_prefix *prefix = &ndp->prefix[i];

        fill(random, prefix->prefix, 16);
        prefix->valid_s = (uint32_t)harness_next(random);
        prefix->preferred_s = (uint32_t)harness_next(random);
        prefix->bits = (uint8_t)harness_below(random, 129);
        prefix->on_link = harness_below(random, 2) != 0;
        prefix->autonomous = harness_below(random, 2) != 0;
    }
}

static void random_ndp(struct harness_random *random, struct net_ndp *ndp)
{
    memset(ndp, 0, sizeof(*ndp));
    ndp->type = (uint8_t)harness_between(random, NET_NDP_RS, NET_NDP_REDIRECT);
    if (ndp->type >= NET_NDP_NS) {
        fill(random, ndp->target, 16);
        ndp->target[0] = 0xfe; /* a router, for a redirect */
        ndp->target[1] = 0x80;
    }
    if (ndp->type == NET_NDP_RA)
        random_ra(random, ndp);
    if (ndp->type == NET_NDP_NA)
        ndp->flags = (uint8_t)(harness_below(random, 8) << 5);
    if (ndp->type == NET_NDP_REDIRECT) {
        fill(random, ndp->destination, 16);
        ndp->destination[0] = 0x20;
    }
    if (harness_below(random, 2) != 0) {
        bool is_target = ndp->type == NET_NDP_NA || ndp->type == NET_NDP_REDIRECT;

        ndp->has |= is_target ? NET_NDP_HAS_TARGET_LINK : NET_NDP_HAS_SOURCE_LINK;
        fill(random, is_target ? ndp->target_link : ndp->source_link, 6);
    }
}

static void check_random_ndp(struct harness_random *random)
{
    static const struct net_ip6 ip = {
        .hop_limit = 255, .source = {0xfe, 0x80, [15] = 1}, .destination = {0xfe, 0x80, [15] = 2}};
    uint32_t addresses = ewi_net_sum_ip6(ip.source, ip.destination);
    uint8_t bytes[NET_NDP_BYTES_MAX];
    struct net_ndp ndp, again;
    struct net_icmp icmp;
    size_t length;

    random_ndp(random, &ndp);
    length = ewi_net_ndp_build(bytes, &ndp, addresses);
    CHECK_EQ(ewi_net_icmp6_parse(bytes, length, addresses, &icmp), NET_OK);
    CHECK_EQ(icmp.type, ndp.type);
    CHECK_EQ(ewi_net_ndp_parse(bytes, length, &ip, &again), NET_OK);
    CHECK(same_ndp(&ndp, &again)); /* I1 */
    for (int i = 0; i < 3; i++)
        bytes[harness_below(random, length)] = (uint8_t)harness_next(random);
    ewi_net_ndp_parse(bytes, harness_below(random, length + 1), &ip, &again); /* ASan judges */
}

int main(int argc, char **argv)
{
    RUN(rfc_792_echo);
    RUN(rfc_4443_section_4_2_echo_reply);
    RUN(rfc_792_checksum_covers_all);
    RUN(rfc_4443_section_2_3_checksum_has_a_pseudo_header);
    RUN(errors_and_the_rest_are_told_apart);
    RUN(rfc_1191_section_4_mtu_and_quote);
    RUN(rfc_4443_section_3_2_mtu_and_quote);
    RUN(rfc_792_a_quote_needs_eight_bytes_of_transport);
    RUN(a_quoted_header_is_judged);
    RUN(a_quoted_later_fragment_has_no_ports);
    RUN(a_quoted_chain_has_a_limit);
    RUN(rfc_4861_section_4_1_rs);
    RUN(rfc_4861_section_4_2_ra);
    RUN(rfc_4861_section_4_3_ns);
    RUN(rfc_4861_section_4_4_na);
    RUN(rfc_4861_section_4_5_redirect);
    RUN(rfc_4861_hop_limit_255_code_0_and_lengths);
    RUN(rfc_4861_section_4_6_an_option_of_length_zero_is_bad);
    RUN(options_of_another_message_are_ignored);
    RUN(options_of_a_wrong_length_are_bad);
    RUN(rfc_4861_section_6_1_routers_speak_from_link_local);
    RUN(rfc_4861_without_a_source_address_none_of_the_link);
    RUN(rfc_4861_section_7_1_targets_are_no_multicast);
    RUN(rfc_4861_section_7_1_2_solicited_to_many_is_a_lie);
    RUN(rfc_4861_section_8_1_redirects);
    RUN(other_types_are_unknown);
    RUN(more_prefixes_than_we_keep_are_skipped);
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
    {
        struct harness_random random = {seed};

        for (int i = 0; i < RANDOM_RUNS; i++)
            check_random_ndp(&random);
    }
    return 0;
}
