/* tests/c/test_net_ndp_hostile.c - what hostile, broken and foreign stations send. */
#include "tests/c/net_ndp_base.h"

static void an_advertisement_that_nobody_asked_for_makes_no_entry(void)
{
    struct ewi_net *net = addressed(1);

    na_arrives(net, ip6(0, 9), 9, NET_NA_SOLICITED | NET_NA_OVERRIDE);
    CHECK_EQ(index6(net, ip6(0, 9)), NET_NONE);
    CHECK_EQ(net->count.drop_neighbour_other, 1);
}

static void a_question_for_another_target_is_left_alone(void)
{
    struct ewi_net *net = addressed(1);

    ns_arrives(net, ip6(0, 9), ip6(0, 2), 9);
    CHECK(!depart(net, &frame));
    CHECK_EQ(index6(net, ip6(0, 9)), NET_NONE);
    CHECK_EQ(net->count.drop_neighbour_other, 1);
}

/* RFC 4861 section 7.1.1: who is behind a router cannot send 255 */
static void a_message_that_crossed_a_router_is_dropped(void)
{
    struct ewi_net *net = addressed(1);
    struct message m = solicitation(ip6(0, 9), ip6(0, 1), 9);

    m.hop_limit = 254;
    message_arrives(net, &m);
    CHECK_EQ(net->count.drop_neighbour, 1);
    CHECK(!depart(net, &frame));
}

/* CVE-2008-2476 */
static void a_sender_that_is_not_on_the_link_is_dropped(void)
{
    struct ewi_net *net = addressed(1);
    struct stack_addr gateway = ip6(0, 0xfe);

    CHECK_EQ(ewi_net_route_add(net, &nobody, 0, 0, &gateway), 0);
    ns_arrives(net, ip6(7, 7), ip6(0, 1), 9);
    CHECK_EQ(net->count.drop_neighbour, 1);
    CHECK(!depart(net, &frame));
    CHECK_EQ(net->link.neighbours.pool.used, 0);
}

static void a_sender_with_our_address_is_dropped(void)
{
    struct ewi_net *net = addressed(1);

    ns_arrives(net, ip6(0, 1), link6(1), 9);
    CHECK_EQ(net->count.drop_neighbour, 1);
    CHECK(!depart(net, &frame));
}

static void impossible_hardware_addresses_are_dropped(void)
{
    struct ewi_net *net = asking();
    struct message ns = solicitation(ip6(0, 9), ip6(0, 1), 9);
    struct message na = advertisement(ip6(0, 9), 9, NET_NA_SOLICITED);

    ns.ndp.source_link[0] = 3;
    message_arrives(net, &ns);
    memset(ns.ndp.source_link, 0, 6);
    message_arrives(net, &ns);
    put_mac(ns.ndp.source_link, 1); /* ours */
    message_arrives(net, &ns);
    na.ndp.target_link[0] = 0x33;
    message_arrives(net, &na);
    put_mac(na.ndp.target_link, 1);
    message_arrives(net, &na);
    CHECK_EQ(net->count.drop_neighbour, 5);
    CHECK_EQ(way6(net, ip6(0, 9)), NET_WAY_PENDING);
}

static void short_messages_are_dropped(void)
{
    struct ewi_net *net = addressed(1);
    struct message m = solicitation(ip6(0, 9), ip6(0, 1), 9);

    for (m.cut = 1; m.cut <= 24; m.cut++) {
        uint64_t before = net->count.drop_neighbour;

        if (m.cut == 8)
            continue; /* the whole option: a good message without it */
        message_arrives(net, &m);
        CHECK_EQ(net->count.drop_neighbour, before + 1);
    }
    CHECK(!depart(net, &frame));
}

/* RFC 6980 section 5 */
static void a_message_in_fragments_is_dropped(void)
{
    struct ewi_net *net = addressed(1);
    struct message m = solicitation(ip6(0, 9), ip6(0, 1), 9);
    uint8_t packet[40 + 8 + NET_NDP_BYTES_MAX];
    struct net_ip6 ip = {.hop_limit = 255, .next = NET_IP6_FRAGMENT};
    struct net_rx rx = {.data = packet};
    struct net_arrived arrived = {.rx = &rx, .packet = packet, .bytes = packet + 48};
    size_t bytes = ewi_net_ndp_build(packet + 48, &m.ndp,
                                     ewi_net_sum_ip6(m.source.ip, m.destination.ip));

    memcpy(ip.source, m.source.ip, 16);
    memcpy(ip.destination, m.destination.ip, 16);
    ip.payload_bytes = (uint16_t)(8 + bytes);
    ewi_net_ip6_build(packet, &ip);
    ewi_net_ip6_fragment_build(packet + 40, NET_ICMP6, 0, false, 7); /* all in one: RFC 6946 */
    arrived.length = (uint32_t)bytes;
    arrived.packet_bytes = (uint32_t)(48 + bytes);
    ewi_net_ndp_input(net, &arrived);
    CHECK_EQ(net->count.drop_neighbour, 1);
    ip.next = NET_ICMP6; /* put together: no packet of its own */
    ip.payload_bytes = (uint16_t)bytes;
    memmove(packet + 40, packet + 48, bytes);
    ewi_net_ip6_build(packet, &ip);
    arrived.bytes = packet + 40;
    arrived.packet_bytes = (uint32_t)(40 + bytes);
    arrived.rx = NULL;
    ewi_net_ndp_input(net, &arrived);
    CHECK_EQ(net->count.drop_neighbour, 2);
    arrived.rx = &rx;
    ewi_net_ndp_input(net, &arrived);
    CHECK_EQ(net->count.accepted, 1);
}

/* Addresses and routes are configured. */
static void routers_are_counted_and_change_nothing(void)
{
    struct ewi_net *net = knows_nine();
    struct message ra = {
        .source = link6(9),
        .destination = all_nodes,
        .hop_limit = 255,
        .ndp = {.type = NET_NDP_RA, .router_s = 1800, .mtu = 1280, .has = NET_NDP_HAS_MTU},
    };
    struct message redirect = {
        .source = link6(9),
        .destination = ip6(0, 1),
        .hop_limit = 255,
        .ndp = {.type = NET_NDP_REDIRECT},
    };
    struct message rs = {.source = link6(9), .destination = all_nodes, .hop_limit = 255,
                         .ndp = {.type = NET_NDP_RS}};

    memcpy(redirect.ndp.target, link6(8).ip, 16);
    memcpy(redirect.ndp.destination, ip6(0, 9).ip, 16);
    message_arrives(net, &ra);
    message_arrives(net, &redirect);
    message_arrives(net, &rs);
    CHECK_EQ(net->count.neighbour_ignored, 2);
    CHECK_EQ(net->count.drop_neighbour_other, 3);
    CHECK_EQ(net->link.port[0].mtu, 1500);
    nine_is(net, NET_NEIGHBOUR_REACHABLE, 9);
    CHECK_EQ(way6(net, ip6(7, 7)), NET_WAY_NONE);
    CHECK(!depart(net, &frame));
}

static void a_port_without_ethernet_has_no_neighbours(void)
{
    struct net_config config = small_config();
    struct net_port_config port = {.mtu = 1500};
    struct ewi_net *net = start_station(1, &config);
    struct message m = solicitation(ip6(0, 9), ip6(0, 1), 9);
    uint8_t packet[40 + NET_NDP_BYTES_MAX];
    struct net_ip6 ip = {.hop_limit = 255, .next = NET_ICMP6};

    CHECK_EQ(ewi_net_port_add(net, &port), 0);
    give_address(net, 0, ip6(0, 1), 64);
    memcpy(ip.source, m.source.ip, 16);
    memcpy(ip.destination, m.destination.ip, 16);
    ip.payload_bytes = (uint16_t)ewi_net_ndp_build(
        packet + 40, &m.ndp, ewi_net_sum_ip6(m.source.ip, m.destination.ip));
    ewi_net_ip6_build(packet, &ip);
    arrive(net, packet, 40u + ip.payload_bytes);
    CHECK_EQ(net->count.drop_neighbour_other, 1);
    CHECK(!depart(net, &frame));
}

static void a_flood_of_questions_is_answered_within_limits(void)
{
    struct ewi_net *net = knows_nine();

    for (uint32_t i = 0; i < 500; i++) {
        struct stack_addr sender = ip6(0, (uint8_t)(20 + i % 200));

        sender.ip[14] = (uint8_t)(1 + i / 200);
        ns_arrives(net, sender, ip6(0, 1), i % 3 == 0 ? 0 : 8); /* some without an address */
    }
    CHECK_EQ(net->link.answers, 16);
    CHECK(net->count.neighbour_limited > 0);
    CHECK_EQ(way6(net, ip6(0, 9)), NET_WAY_READY);
    CHECK_EQ(entry(net, ip6(0, 9))->list, NET_LIST_SURE);
    discard(net);
    pass(net, 20 * SEC);
    CHECK_EQ(net->link.slots.used, 0);
    CHECK_EQ(net->link.waiting, 0);
}

int main(void)
{
    RUN(an_advertisement_that_nobody_asked_for_makes_no_entry);
    RUN(a_question_for_another_target_is_left_alone);
    RUN(a_message_that_crossed_a_router_is_dropped);
    RUN(a_sender_that_is_not_on_the_link_is_dropped);
    RUN(a_sender_with_our_address_is_dropped);
    RUN(impossible_hardware_addresses_are_dropped);
    RUN(short_messages_are_dropped);
    RUN(a_message_in_fragments_is_dropped);
    RUN(routers_are_counted_and_change_nothing);
    RUN(a_port_without_ethernet_has_no_neighbours);
    RUN(a_flood_of_questions_is_answered_within_limits);
    return 0;
}
