/* tests/c/test_net_ip_output.c - headers, slots, fragments: IPv4 and IPv6 on their way out. */
#include "tests/c/net_ip_packets.h"

#include <errno.h>

static struct net_ip_out udp_out(void)
{
    return (struct net_ip_out){.protocol = NET_UDP, .traffic_class = 0xb8, .hop_limit = 33};
}

static const uint8_t *numbers(void)
{
    static uint8_t numbered[65536];

    if (numbered[1] == 0)
        for (uint32_t i = 0; i < sizeof(numbered); i++)
            numbered[i] = (uint8_t)(i * 7 + i / 256);
    return numbered;
}

/* Sends payload_bytes of numbered payload from ours to the peer. */
static int send_payload(uint8_t family, uint8_t protocol, uint32_t payload_bytes, bool may_cut)
{
    struct net_tuple tuple = base_tuple(family);
    struct net_ip_out how = udp_out();
    uint32_t slot = ewi_net_slot_take(net);
    uint8_t *payload = ewi_net_slot(net, slot)->packet + ewi_net_ip_header_bytes(family);

    how.protocol = protocol;
    memcpy(payload, numbers(), payload_bytes);
    return ewi_net_ip_send(net, slot, &tuple, &how, payload_bytes, may_cut);
}

/* ---- headers ---- */

static void any_ip4_header_is_the_one_that_header_c_builds(struct harness_random *random)
{
    for (int i = 0; i < 5000; i++) {
        uint32_t payload_bytes = (uint32_t)harness_below(random, 65516);
        struct net_tuple tuple = {.family = 4};
        struct net_ip_out how = {.protocol = (uint8_t)harness_next(random),
                                 .traffic_class = (uint8_t)harness_next(random),
                                 .hop_limit = (uint8_t)harness_next(random)};
        struct net_ip4 want = {.payload_bytes = (uint16_t)payload_bytes,
                               .dont_fragment = true,
                               .traffic_class = how.traffic_class,
                               .hop_limit = how.hop_limit,
                               .protocol = how.protocol};
        uint8_t have[20], built[20];

        want.source = (uint32_t)harness_next(random) >> harness_below(random, 32);
        want.destination = (uint32_t)harness_next(random) | (harness_below(random, 2) ? 0 : 0xffff0000u);
        ewi_net_put_u32(tuple.local, want.source);
        ewi_net_put_u32(tuple.remote, want.destination);
        CHECK_EQ(ewi_net_ip_header(have, &tuple, &how, payload_bytes), 20);
        ewi_net_ip4_build(built, &want);
        CHECK(memcmp(have, built, 20) == 0);
        CHECK(ewi_net_sum_is_good(ewi_net_sum(built, 20))); /* it was made of the fields */
        CHECK_EQ(ewi_net_ip_addresses(&tuple), ewi_net_sum_ip4(want.source, want.destination));
    }
}

static void any_ip6_header_is_the_one_that_header_c_builds(struct harness_random *random)
{
    for (int i = 0; i < 5000; i++) {
        uint32_t payload_bytes = (uint32_t)harness_below(random, 65536);
        struct net_tuple tuple = {.family = 6};
        struct net_ip_out how = {.protocol = (uint8_t)harness_next(random),
                                 .traffic_class = (uint8_t)harness_next(random),
                                 .hop_limit = (uint8_t)harness_next(random),
                                 .flow = (uint32_t)harness_below(random, 1 << 20)};
        struct net_ip6 want = {.payload_bytes = (uint16_t)payload_bytes,
                               .traffic_class = how.traffic_class,
                               .hop_limit = how.hop_limit,
                               .flow = how.flow,
                               .next = how.protocol};
        uint8_t have[40], built[40];

        for (int b = 0; b < 16; b++) {
            want.source[b] = tuple.local[b] = (uint8_t)harness_next(random);
            want.destination[b] = tuple.remote[b] = (uint8_t)harness_next(random);
        }
        CHECK_EQ(ewi_net_ip_header(have, &tuple, &how, payload_bytes), 40);
        ewi_net_ip6_build(built, &want);
        CHECK(memcmp(have, built, 40) == 0);
        CHECK_EQ(ewi_net_ip_addresses(&tuple), ewi_net_sum_ip6(tuple.local, tuple.remote));
    }
}

/* ---- whole packets ---- */

static void what_fits_leaves_whole(void)
{
    struct net_ip4 ip;

    base_begin();
    CHECK_EQ(send_payload(4, NET_UDP, 1480, true), 0);
    CHECK_EQ(send_payload(6, NET_UDP, 1460, true), 0);
    CHECK_EQ(base.sent_count, 2);
    CHECK_EQ(base.out[0].length, 1500);
    CHECK_EQ(base.out[1].length, 1500);
    CHECK_EQ(sent_at(0, 4).protocol, NET_UDP);
    CHECK_EQ(sent_at(0, 4).hop_limit, 33);
    CHECK_EQ(sent_at(0, 4).traffic_class, 0xb8);
    CHECK_EQ(sent_at(1, 6).protocol, NET_UDP);
    CHECK_EQ(ewi_net_ip4_parse(base.out[0].bytes, 1500, &ip), NET_OK);
    CHECK(ip.dont_fragment && ip.id == 0); /* RFC 6864 section 4.1 */
    CHECK_EQ(base.slots_out, 0);
}

static void icmp_may_be_cut_by_routers(void) /* nobody would learn of a narrow path */
{
    struct net_ip4 first, second;

    base_begin();
    CHECK_EQ(send_payload(4, NET_ICMP4, 100, true), 0);
    CHECK_EQ(send_payload(4, NET_ICMP4, 100, true), 0);
    CHECK_EQ(ewi_net_ip4_parse(base.out[0].bytes, 120, &first), NET_OK);
    CHECK_EQ(ewi_net_ip4_parse(base.out[1].bytes, 120, &second), NET_OK);
    CHECK(!first.dont_fragment && !second.dont_fragment);
    CHECK_EQ(second.id, (uint16_t)(first.id + 1)); /* RFC 6864 section 4.2 */
}

static void what_may_not_be_cut_is_refused(void)
{
    base_begin();
    CHECK_EQ(send_payload(4, NET_TCP, 1481, false), -EMSGSIZE);
    CHECK_EQ(send_payload(6, NET_TCP, 1461, false), -EMSGSIZE);
    CHECK_EQ(base.sent_count, 0);
    CHECK_EQ(base.slots_out, 0);
}

static void without_a_way_nothing_is_sent(void)
{
    base_begin();
    base.way = NET_WAY_NONE;
    CHECK_EQ(send_payload(4, NET_UDP, 10, true), -EHOSTUNREACH);
    CHECK_EQ(net->count.no_route, 1);
    CHECK_EQ(base.slots_out, 0);
    base.way = NET_WAY_PENDING; /* the link holds it */
    CHECK_EQ(send_payload(4, NET_UDP, 10, true), 0);
    CHECK_EQ(base.sent_count, 1);
}

/* ---- fragments ---- */

/* Put sent 4-fragments together in the slowest way. */
static uint32_t join4(uint8_t *out, uint16_t *id)
{
    uint32_t end = 0;

    for (uint32_t i = 0; i < base.sent_count; i++) {
        struct net_ip4 ip;

        CHECK_EQ(ewi_net_ip4_parse(base.out[i].bytes, base.out[i].length, &ip), NET_OK);
        CHECK(!ip.dont_fragment);
        CHECK_EQ(ip.more_fragments, i + 1 < base.sent_count);
        CHECK_EQ(ip.fragment_at, end);
        CHECK_EQ(ip.protocol, NET_UDP);
        CHECK_EQ(ip.traffic_class, 0xb8);
        CHECK(i == 0 || ip.id == *id);
        *id = ip.id;
        memcpy(out + end, base.out[i].bytes + 20, ip.payload_bytes);
        end += ip.payload_bytes;
    }
    return end;
}

static uint32_t join6(uint8_t *out, uint32_t *id)
{
    uint32_t end = 0;

    for (uint32_t i = 0; i < base.sent_count; i++) {
        struct net_ip6_chain chain;
        struct net_ip6 ip;

        CHECK_EQ(ewi_net_ip6_parse(base.out[i].bytes, base.out[i].length, &ip), NET_OK);
        CHECK_EQ(ewi_net_ip6_walk(base.out[i].bytes, base.out[i].length, &ip, &chain), NET_OK);
        CHECK_EQ(chain.more_fragments, i + 1 < base.sent_count);
        CHECK_EQ(chain.fragment_at, end);
        CHECK_EQ(chain.protocol, NET_UDP);
        CHECK(i == 0 || chain.id == *id);
        *id = chain.id;
        memcpy(out + end, base.out[i].bytes + chain.header_bytes, chain.payload_bytes);
        end += chain.payload_bytes;
    }
    return end;
}

static void expect_numbered(const uint8_t *bytes, uint32_t length)
{
    CHECK(memcmp(bytes, numbers(), length) == 0);
}

static void rfc_791_section_3_2_long_packets_are_cut(struct harness_random *random)
{
    static uint8_t joined[70000];
    uint16_t id = 0;

    for (int i = 0; i < 100; i++) {
        uint32_t bytes = (uint32_t)harness_between(random, 1, 65515);

        base_begin();
        base.mtu = (uint16_t)harness_between(random, 576, 9000);
        CHECK_EQ(send_payload(4, NET_UDP, bytes, true), 0);
        CHECK_EQ(base.slots_out, 0);
        if (bytes + 20 <= base.mtu) {
            CHECK_EQ(base.sent_count, 1);
            continue;
        }
        CHECK_EQ(base.sent_count, (bytes + (base.mtu - 20u) / 8 * 8 - 1) / ((base.mtu - 20u) / 8 * 8));
        CHECK_EQ(join4(joined, &id), bytes);
        expect_numbered(joined, bytes);
    }
}

static void rfc_8200_section_4_5_long_packets_are_cut(struct harness_random *random)
{
    static uint8_t joined[70000];
    uint32_t id = 0;

    for (int i = 0; i < 100; i++) {
        uint32_t bytes = (uint32_t)harness_between(random, 1, 65535 - 40);

        base_begin();
        base.mtu = (uint16_t)harness_between(random, 1280, 9000);
        CHECK_EQ(send_payload(6, NET_UDP, bytes, true), 0);
        CHECK_EQ(base.slots_out, 0);
        if (bytes + 40 <= base.mtu)
            continue;
        CHECK_EQ(join6(joined, &id), bytes);
        expect_numbered(joined, bytes);
    }
}

static void rfc_7739_ids_of_one_destination_differ(void)
{
    static uint8_t joined[70000];
    uint16_t first = 0, second = 0;
    uint32_t third = 0, fourth = 0;

    base_begin();
    CHECK_EQ(send_payload(4, NET_UDP, 3000, true), 0);
    join4(joined, &first);
    base.sent_count = 0;
    CHECK_EQ(send_payload(4, NET_UDP, 3000, true), 0);
    join4(joined, &second);
    CHECK(first != second);
    base.sent_count = 0;
    CHECK_EQ(send_payload(6, NET_UDP, 3000, true), 0);
    join6(joined, &third);
    base.sent_count = 0;
    CHECK_EQ(send_payload(6, NET_UDP, 3000, true), 0);
    join6(joined, &fourth);
    CHECK(third != fourth && third > 0xffff);
}

static void half_a_datagram_is_not_sent(void)
{
    base_begin();
    base.slots_max = 7; /* one for the whole, six for the fragments */
    CHECK_EQ(send_payload(4, NET_UDP, 6 * 1480, true), 0);
    CHECK_EQ(base.sent_count, 6);
    base.sent_count = 0;
    CHECK_EQ(send_payload(4, NET_UDP, 6 * 1480 + 1, true), -EAGAIN);
    CHECK_EQ(base.sent_count, 0);
    CHECK_EQ(base.slots_out, 0);
}

static void a_known_path_is_obeyed(void)
{
    struct net_tuple tuple = base_tuple(4);

    base_begin();
    CHECK(ewi_net_path_learn(net, &tuple, 1000));
    CHECK_EQ(ewi_net_path_mtu(net, &tuple, 1500), 1000);
    CHECK_EQ(ewi_net_path_mtu(net, &tuple, 900), 900);
    CHECK_EQ(send_payload(4, NET_TCP, 981, false), -EMSGSIZE);
    CHECK_EQ(send_payload(4, NET_TCP, 980, false), 0);
    CHECK_EQ(send_payload(4, NET_UDP, 981, true), 0);
    CHECK_EQ(base.sent_count, 3);
    net->now += NET_PATH_NS;
    CHECK_EQ(ewi_net_path_mtu(net, &tuple, 1500), 1500);
}

static void a_path_is_never_wider_than_its_port(void)
{
    struct net_tuple tuple = base_tuple(4), six = base_tuple(6);

    base_begin();
    CHECK(!ewi_net_path_learn(net, &tuple, 1500));
    CHECK(!ewi_net_path_learn(net, &tuple, 9000));
    CHECK(ewi_net_path_learn(net, &tuple, 1499));
    CHECK(!ewi_net_path_learn(net, &tuple, 1499));
    base.mtu = 1280;
    CHECK(!ewi_net_path_learn(net, &six, 1000)); /* would be 1280, as it is */
    base.mtu = 1281;
    CHECK(ewi_net_path_learn(net, &six, 1280));
    base.way = NET_WAY_NONE;
    CHECK(!ewi_net_path_learn(net, &tuple, 1000));
}

static void an_mtu_of_576_carries_the_longest_datagram(void)
{
    base_begin();
    base.mtu = 576;
    CHECK_EQ(send_payload(4, NET_UDP, 65515, true), 0);
    CHECK_EQ(base.sent_count, (65515 + 551) / 552);
}

static void long_echoes_are_answered_in_fragments(void)
{
    static struct made packet;
    static uint8_t payload[9000];
    struct net_tuple tuple = base_tuple(4), six = base_tuple(6);

    base_begin();
    make_icmp(&packet, &tuple, NET_ICMP4_ECHO, 0, 1, payload, sizeof(payload));
    arrives_made(&packet, 4);
    CHECK_EQ(base.sent_count, 7);
    make_icmp(&packet, &six, NET_ICMP6_ECHO, 0, 1, payload, sizeof(payload));
    arrives_made(&packet, 6);
    CHECK_EQ(base.sent_count, 14);
}

static void rfc_1122_section_3_2_2_6_an_echo_too_long_for_us_is_answered_as_far_as_we_can(void)
{
    static struct made packet;
    static uint8_t payload[3000];
    struct net_config config = base_config();
    struct net_tuple tuple = base_tuple(4);

    config.slot_bytes = 1280;
    base_start(&config);
    make_icmp(&packet, &tuple, NET_ICMP4_ECHO, 0, 1, payload, sizeof(payload));
    arrives_made(&packet, 4);
    CHECK_EQ(base.sent_count, 1);
    CHECK_EQ(base.out[0].length, 1280);
    CHECK_EQ(sent_at(0, 4).icmp.type, NET_ICMP4_ECHO_REPLY);
}

int main(int argc, char **argv)
{
    RUN(what_fits_leaves_whole);
    RUN(icmp_may_be_cut_by_routers);
    RUN(what_may_not_be_cut_is_refused);
    RUN(without_a_way_nothing_is_sent);
    RUN(rfc_7739_ids_of_one_destination_differ);
    RUN(half_a_datagram_is_not_sent);
    RUN(a_known_path_is_obeyed);
    RUN(a_path_is_never_wider_than_its_port);
    RUN(an_mtu_of_576_carries_the_longest_datagram);
    RUN(long_echoes_are_answered_in_fragments);
    RUN(rfc_1122_section_3_2_2_6_an_echo_too_long_for_us_is_answered_as_far_as_we_can);
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
    {
        struct harness_random random = {seed};

        any_ip4_header_is_the_one_that_header_c_builds(&random);
        any_ip6_header_is_the_one_that_header_c_builds(&random);
        rfc_791_section_3_2_long_packets_are_cut(&random);
        rfc_8200_section_4_5_long_packets_are_cut(&random);
    }
    return 0;
}
