/* tests/c/test_net_ndp.c - Neighbor Discovery on a wire of stations, and what hostile ones send. */
#include "tests/c/net_link_base.h"

static struct frame frame;
static const struct stack_addr nobody = {.family = 6};
static const struct stack_addr all_nodes = {.family = 6, .ip = {0xff, 2, [15] = 1}};

static struct stack_addr group_of(struct stack_addr address)
{
    struct stack_addr group = {.family = 6, .ip = {0xff, 2, [11] = 1, 0xff}};

    memcpy(group.ip + 13, address.ip + 13, 3);
    return group;
}

static enum net_way_code way6(struct ewi_net *net, struct stack_addr remote)
{
    struct net_tuple tuple = tuple_to(remote);
    struct net_way way;

    return ewi_net_way(net, &tuple, &way);
}

static uint32_t index6(struct ewi_net *net, struct stack_addr address)
{
    return ewi_net_neighbours_find(&net->link.neighbours, 0, 6, address.ip);
}

static const struct net_neighbour *entry(struct ewi_net *net, struct stack_addr address)
{
    CHECK(index6(net, address) != NET_NONE);
    return ewi_net_neighbour_at(&net->link.neighbours, index6(net, address));
}

/* ---- messages that arrive ---- */

struct message {
    struct stack_addr source, destination;
    struct net_ndp ndp;
    uint8_t hop_limit;
    uint32_t cut; /* bytes taken off the end of the message */
};

static void put_mac(uint8_t out[6], uint8_t station_number)
{
    struct net_port_config port = ether_port(station_number);

    memcpy(out, port.mac, 6);
}

static struct message solicitation(struct stack_addr source, struct stack_addr target, uint8_t mac)
{
    struct message m = {
        .source = source,
        .destination = group_of(target),
        .ndp = {.type = NET_NDP_NS},
        .hop_limit = 255,
    };

    memcpy(m.ndp.target, target.ip, 16);
    if (mac != 0) {
        m.ndp.has = NET_NDP_HAS_SOURCE_LINK;
        put_mac(m.ndp.source_link, mac);
    }
    return m;
}

static struct message advertisement(struct stack_addr target, uint8_t mac, uint8_t flags)
{
    struct message m = {
        .source = target,
        .destination = (flags & NET_NA_SOLICITED) != 0 ? ip6(0, 1) : all_nodes,
        .ndp = {.type = NET_NDP_NA, .flags = flags},
        .hop_limit = 255,
    };

    memcpy(m.ndp.target, target.ip, 16);
    if (mac != 0) {
        m.ndp.has = NET_NDP_HAS_TARGET_LINK;
        put_mac(m.ndp.target_link, mac);
    }
    return m;
}

static void message_arrives(struct ewi_net *net, const struct message *m)
{
    struct net_ip6 ip = {.hop_limit = m->hop_limit, .next = NET_ICMP6};
    uint8_t bytes[14 + NET_IP6_BYTES + NET_NDP_BYTES_MAX], to[6], from[6] = {2, 0, 0, 0, 0, 0x77};
    size_t length;

    ewi_net_group_mac(to, 6, m->destination.ip);
    ewi_net_ether_header(bytes, to, from, NET_ETHER_IP6);
    length = ewi_net_ndp_build(bytes + 54, &m->ndp,
                               ewi_net_sum_ip6(m->source.ip, m->destination.ip)) - m->cut;
    ip.payload_bytes = (uint16_t)length;
    memcpy(ip.source, m->source.ip, 16);
    memcpy(ip.destination, m->destination.ip, 16);
    ewi_net_ip6_build(bytes + 14, &ip);
    arrive(net, bytes, (uint32_t)(54 + length));
    CHECK(ewi_net_neighbours_check(&net->link.neighbours) == NULL);
}

static void ns_arrives(struct ewi_net *net, struct stack_addr source, struct stack_addr target,
                       uint8_t mac)
{
    struct message m = solicitation(source, target, mac);

    message_arrives(net, &m);
}

static void na_arrives(struct ewi_net *net, struct stack_addr target, uint8_t mac, uint8_t flags)
{
    struct message m = advertisement(target, mac, flags);

    message_arrives(net, &m);
}

/* ---- messages that depart ---- */

static struct net_ndp departs(struct ewi_net *net, struct net_ip6 *ip)
{
    CHECK(depart(net, &frame));
    CHECK_EQ(frame.out.network_bytes, NET_IP6_BYTES);
    CHECK(same_mac(frame.bytes + 6, 1));
    struct net_ndp ndp = ndp_of(&frame, ip);
    CHECK_EQ(ip->hop_limit, 255); /* RFC 4861 section 4.3 */
    return ndp;
}

static void departs_question_for(struct ewi_net *net, struct stack_addr target,
                                 struct stack_addr source)
{
    struct stack_addr group = group_of(target);
    struct net_ip6 ip;
    struct net_ndp ndp = departs(net, &ip);
    uint8_t mac[6];

    CHECK_EQ(ndp.type, NET_NDP_NS);
    CHECK(same_ip(ndp.target, target) && same_ip(ip.source, source));
    CHECK(same_ip(ip.destination, group));
    ewi_net_group_mac(mac, 6, group.ip);
    CHECK(memcmp(frame.bytes, mac, 6) == 0 && mac[0] == 0x33 && mac[2] == 0xff);
    CHECK_EQ(ndp.has, NET_NDP_HAS_SOURCE_LINK);
    CHECK(same_mac(ndp.source_link, 1));
}

/* ---- two stations ---- */

static void two_stations_find_each_other_with_one_question(void)
{
    struct ewi_net *a = addressed(1), *b = addressed(2);

    send_to(a, ip6(0, 2), 100);
    exchange(a, b);
    CHECK_EQ(station_of(b)->packets, 1);
    CHECK_EQ(entry(a, ip6(0, 2))->state, NET_NEIGHBOUR_REACHABLE);
    CHECK_EQ(entry(b, ip6(0, 1))->state, NET_NEIGHBOUR_STALE); /* learned from the question */
    CHECK_EQ(way6(b, ip6(0, 1)), NET_WAY_READY);
}

static void two_stations_find_each_other_by_link_local_addresses(void)
{
    struct ewi_net *a = addressed(1), *b = addressed(2);
    struct stack_addr remote = link6(2);

    remote.scope = 1;
    send_to(a, remote, 100);
    exchange(a, b);
    CHECK_EQ(station_of(b)->packets, 1);
    CHECK_EQ(way6(a, remote), NET_WAY_READY);
    CHECK(index6(b, link6(1)) != NET_NONE); /* asked from the link-local address */
}

/* RFC 4861 section 7.2.2 */
static void the_question_goes_to_the_group_of_the_target(void)
{
    struct ewi_net *net = addressed(1);

    CHECK_EQ(way6(net, ip6(0, 9)), NET_WAY_PENDING);
    departs_question_for(net, ip6(0, 9), ip6(0, 1));
    CHECK_EQ(way6(net, link6(9)), NET_WAY_PENDING);
    departs_question_for(net, link6(9), link6(1));
}

static void a_link_local_gateway_is_asked_for_without_a_link_local_address(void)
{
    struct ewi_net *net = station(1);
    struct stack_addr gateway = link6(0xfe);

    give_address(net, 0, ip6(0, 1), 64);
    CHECK_EQ(ewi_net_route_add(net, &nobody, 0, 0, &gateway), 0);
    CHECK_EQ(way6(net, ip6(7, 7)), NET_WAY_PENDING);
    departs_question_for(net, gateway, ip6(0, 1));
    na_arrives(net, gateway, 9, NET_NA_SOLICITED | NET_NA_OVERRIDE | NET_NA_ROUTER);
    CHECK_EQ(way6(net, ip6(7, 7)), NET_WAY_READY);
}

/* RFC 4861 section 7.2.4 */
static void the_answer_is_solicited_and_overrides(void)
{
    struct ewi_net *net = addressed(1);
    struct net_ip6 ip;
    struct net_ndp ndp;

    ns_arrives(net, ip6(0, 9), ip6(0, 1), 9);
    ndp = departs(net, &ip);
    CHECK_EQ(ndp.type, NET_NDP_NA);
    CHECK_EQ(ndp.flags, NET_NA_SOLICITED | NET_NA_OVERRIDE);
    CHECK(same_ip(ndp.target, ip6(0, 1)) && same_ip(ip.source, ip6(0, 1)));
    CHECK(same_ip(ip.destination, ip6(0, 9)));
    CHECK_EQ(ndp.has, NET_NDP_HAS_TARGET_LINK);
    CHECK(same_mac(ndp.target_link, 1) && same_mac(frame.bytes, 9));
    CHECK_EQ(entry(net, ip6(0, 9))->state, NET_NEIGHBOUR_STALE);
    CHECK_EQ(entry(net, ip6(0, 9))->list, NET_LIST_GUESTS);
}

static void a_question_without_a_hardware_address_is_answered_by_the_cache(void)
{
    struct ewi_net *net = addressed(1);
    struct net_ip6 ip;

    ns_arrives(net, ip6(0, 9), ip6(0, 1), 0);
    departs_question_for(net, ip6(0, 9), ip6(0, 1)); /* first, who is he? */
    CHECK(!depart(net, &frame));
    na_arrives(net, ip6(0, 9), 9, NET_NA_SOLICITED);
    CHECK_EQ(departs(net, &ip).type, NET_NDP_NA);
    CHECK(same_mac(frame.bytes, 9));
}

/* ---- RFC 4861 section 7.2.5, case by case ---- */

static struct ewi_net *asking(void)
{
    struct ewi_net *net = addressed(1);

    CHECK_EQ(way6(net, ip6(0, 9)), NET_WAY_PENDING);
    discard(net);
    return net;
}

static struct ewi_net *knows_nine(void)
{
    struct ewi_net *net = asking();

    na_arrives(net, ip6(0, 9), 9, NET_NA_SOLICITED | NET_NA_OVERRIDE);
    CHECK_EQ(entry(net, ip6(0, 9))->state, NET_NEIGHBOUR_REACHABLE);
    return net;
}

static void nine_is(struct ewi_net *net, enum net_neighbour_state state, uint8_t mac)
{
    CHECK_EQ(entry(net, ip6(0, 9))->state, state);
    CHECK(same_mac(entry(net, ip6(0, 9))->mac, mac));
}

static void an_incomplete_one_needs_a_hardware_address(void)
{
    struct ewi_net *net = asking();

    na_arrives(net, ip6(0, 9), 0, NET_NA_SOLICITED | NET_NA_OVERRIDE);
    CHECK_EQ(way6(net, ip6(0, 9)), NET_WAY_PENDING);
}

static void an_incomplete_one_is_reachable_by_a_solicited_answer(void)
{
    struct ewi_net *net = asking();

    na_arrives(net, ip6(0, 9), 9, NET_NA_SOLICITED); /* even without override */
    nine_is(net, NET_NEIGHBOUR_REACHABLE, 9);
}

static void an_incomplete_one_is_stale_by_an_unsolicited_one(void)
{
    struct ewi_net *net = asking();

    na_arrives(net, ip6(0, 9), 9, NET_NA_OVERRIDE);
    nine_is(net, NET_NEIGHBOUR_STALE, 9);
}

static void another_address_without_override_only_makes_a_reachable_one_stale(void)
{
    struct ewi_net *net = knows_nine();

    na_arrives(net, ip6(0, 9), 8, NET_NA_SOLICITED);
    nine_is(net, NET_NEIGHBOUR_STALE, 9);
    na_arrives(net, ip6(0, 9), 8, NET_NA_SOLICITED);
    nine_is(net, NET_NEIGHBOUR_STALE, 9);
    CHECK_EQ(way6(net, ip6(0, 9)), NET_WAY_READY);
    nine_is(net, NET_NEIGHBOUR_DELAY, 9);
    na_arrives(net, ip6(0, 9), 8, 0);
    nine_is(net, NET_NEIGHBOUR_DELAY, 9);
}

static void another_address_with_override_is_taken_and_stale(void)
{
    struct ewi_net *net = knows_nine();

    na_arrives(net, ip6(0, 9), 8, NET_NA_OVERRIDE);
    nine_is(net, NET_NEIGHBOUR_STALE, 8);
}

static void the_same_address_unsolicited_changes_nothing(void)
{
    struct ewi_net *net = knows_nine();

    na_arrives(net, ip6(0, 9), 9, NET_NA_OVERRIDE);
    nine_is(net, NET_NEIGHBOUR_REACHABLE, 9);
}

static struct ewi_net *probing_nine(void)
{
    struct ewi_net *net = knows_nine();
    struct net_ip6 ip;

    pass(net, 46 * SEC);
    CHECK_EQ(way6(net, ip6(0, 9)), NET_WAY_READY);
    net->now += 5 * SEC + 1024;
    ewi_net_link_tick(net);
    nine_is(net, NET_NEIGHBOUR_PROBE, 9);
    CHECK_EQ(departs(net, &ip).type, NET_NDP_NS);
    CHECK(same_mac(frame.bytes, 9) && same_ip(ip.destination, ip6(0, 9))); /* unicast */
    return net;
}

static void a_probed_one_is_reachable_again_by_an_answer(void)
{
    struct ewi_net *net = probing_nine();

    na_arrives(net, ip6(0, 9), 0, NET_NA_SOLICITED); /* which need not repeat the address */
    nine_is(net, NET_NEIGHBOUR_REACHABLE, 9);
    CHECK_EQ(ewi_net_link_deadline(net), NET_NEVER);
}

static void a_probed_one_with_a_new_address_is_reachable_there(void)
{
    struct ewi_net *net = probing_nine();

    na_arrives(net, ip6(0, 9), 8, NET_NA_SOLICITED | NET_NA_OVERRIDE);
    nine_is(net, NET_NEIGHBOUR_REACHABLE, 8);
}

static void a_probed_one_is_not_helped_by_unsolicited_news(void)
{
    struct ewi_net *net = probing_nine();

    na_arrives(net, ip6(0, 9), 9, NET_NA_OVERRIDE);
    nine_is(net, NET_NEIGHBOUR_PROBE, 9);
    pass(net, 3100 * MS);
    CHECK_EQ(index6(net, ip6(0, 9)), NET_NONE);
}

/* RFC 4861 section 7.2.3 */
static void a_question_updates_the_entry_of_its_sender(void)
{
    struct ewi_net *net = knows_nine();

    ns_arrives(net, ip6(0, 9), ip6(0, 1), 9);
    nine_is(net, NET_NEIGHBOUR_REACHABLE, 9); /* the same: no change */
    ns_arrives(net, ip6(0, 9), ip6(0, 1), 8);
    nine_is(net, NET_NEIGHBOUR_STALE, 8);
}

/* ---- hostile and foreign messages ---- */

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
    CHECK(net->link.answers <= 16 && net->count.neighbour_limited > 0);
    CHECK_EQ(way6(net, ip6(0, 9)), NET_WAY_READY);
    CHECK_EQ(entry(net, ip6(0, 9))->list, NET_LIST_SURE);
    discard(net);
    pass(net, 20 * SEC);
    CHECK_EQ(net->link.slots.used, 0);
    CHECK_EQ(net->link.waiting, 0);
}

/* ---- duplicates: RFC 4862 section 5.4 ---- */

static struct ewi_net *tentative(void)
{
    struct ewi_net *net = station(1);
    struct stack_addr address = ip6(0, 1);

    CHECK_EQ(ewi_net_address_add(net, 0, &address, 64, 0), 0);
    return net;
}

static enum net_address_state state_of(struct ewi_net *net)
{
    struct stack_addr address = ip6(0, 1);

    return ewi_net_address_state(net, 0, &address);
}

static void an_address_is_asked_for_once_and_used_a_second_later(void)
{
    struct ewi_net *net = tentative();
    uint64_t start = net->now, at = ewi_net_link_deadline(net);
    struct net_ip6 ip;
    struct net_ndp ndp;

    CHECK(at >= start && at <= start + SEC);
    net->now = at;
    ewi_net_link_tick(net);
    ndp = departs(net, &ip);
    CHECK_EQ(ndp.type, NET_NDP_NS);
    CHECK_EQ(ndp.has, 0);
    CHECK(same_ip(ip.source, nobody) && same_ip(ip.destination, group_of(ip6(0, 1))));
    CHECK_EQ(ewi_net_link_whose(net, 0, 6, ip6(0, 1).ip), NET_OURS_TENTATIVE);
    CHECK_EQ(ewi_net_link_whose(net, 0, 6, group_of(ip6(0, 1)).ip), NET_MULTICAST);
    net->now += SEC - 1;
    ewi_net_link_tick(net);
    CHECK_EQ(state_of(net), NET_ADDRESS_TENTATIVE);
    net->now += 1;
    ewi_net_link_tick(net);
    CHECK_EQ(state_of(net), NET_ADDRESS_GOOD);
    CHECK(!depart(net, &frame));
    CHECK_EQ(ewi_net_link_deadline(net), NET_NEVER);
}

static void is_twice_for_good(struct ewi_net *net)
{
    CHECK_EQ(state_of(net), NET_ADDRESS_TWICE);
    CHECK_EQ(net->count.address_conflicts, 1);
    pass(net, 100 * SEC);
    CHECK_EQ(state_of(net), NET_ADDRESS_TWICE);
    CHECK_EQ(ewi_net_link_whose(net, 0, 6, ip6(0, 1).ip), NET_NOT_OURS);
}

/* RFC 4862 section 5.4.4 */
static void an_advertisement_of_a_tentative_address_shows_a_duplicate(void)
{
    struct ewi_net *net = tentative();

    na_arrives(net, ip6(0, 1), 9, NET_NA_OVERRIDE);
    is_twice_for_good(net);
}

/* RFC 4862 section 5.4.3 */
static void a_question_from_nobody_for_a_tentative_address_shows_a_duplicate(void)
{
    struct ewi_net *net = tentative();

    ns_arrives(net, nobody, ip6(0, 1), 0);
    is_twice_for_good(net);
}

static void a_question_from_somebody_for_a_tentative_address_is_ignored(void)
{
    struct ewi_net *net = tentative();

    ns_arrives(net, link6(9), ip6(0, 1), 9);
    CHECK_EQ(state_of(net), NET_ADDRESS_TENTATIVE);
    CHECK_EQ(net->count.drop_neighbour_other, 1);
    CHECK_EQ(net->link.neighbours.pool.used, 0);
    CHECK(!depart(net, &frame));
}

/* RFC 4861 section 7.2.4: to everybody, and not solicited */
static void who_looks_for_our_address_is_told_that_it_is_ours(void)
{
    struct ewi_net *a = addressed(1), *b = station(2);
    struct stack_addr address = ip6(0, 1);
    struct net_ip6 ip;
    struct net_ndp ndp;

    CHECK_EQ(ewi_net_address_add(b, 0, &address, 64, 0), 0);
    b->now = ewi_net_link_deadline(b);
    ewi_net_link_tick(b);
    CHECK(depart(b, &frame));
    arrive(a, frame.bytes, frame.out.bytes);
    ndp = departs(a, &ip);
    CHECK_EQ(ndp.type, NET_NDP_NA);
    CHECK_EQ(ndp.flags, NET_NA_OVERRIDE);
    CHECK(same_ip(ip.destination, all_nodes) && frame.bytes[0] == 0x33 && frame.bytes[5] == 1);
    arrive(b, frame.bytes, frame.out.bytes);
    CHECK_EQ(ewi_net_address_state(b, 0, &address), NET_ADDRESS_TWICE);
    CHECK_EQ(state_of(a), NET_ADDRESS_GOOD);
    CHECK_EQ(a->count.address_conflicts, 0); /* to look for it is no conflict */
}

static void two_who_look_at_the_same_time_both_lose(void)
{
    struct ewi_net *a = tentative(), *b = station(2);
    struct stack_addr address = ip6(0, 1);
    struct frame other;

    CHECK_EQ(ewi_net_address_add(b, 0, &address, 64, 0), 0);
    a->now = ewi_net_link_deadline(a);
    b->now = ewi_net_link_deadline(b);
    ewi_net_link_tick(a);
    ewi_net_link_tick(b);
    CHECK(depart(a, &frame) && depart(b, &other));
    arrive(a, frame.bytes, frame.out.bytes); /* our own, from a loop: dropped */
    CHECK_EQ(state_of(a), NET_ADDRESS_TENTATIVE);
    CHECK_EQ(a->count.drop_link_address, 1);
    arrive(b, frame.bytes, frame.out.bytes);
    arrive(a, other.bytes, other.out.bytes);
    CHECK_EQ(state_of(a), NET_ADDRESS_TWICE);
    CHECK_EQ(ewi_net_address_state(b, 0, &address), NET_ADDRESS_TWICE);
}

static void a_conflict_about_an_address_in_use_is_counted(void)
{
    struct ewi_net *net = addressed(1);

    na_arrives(net, ip6(0, 1), 9, NET_NA_OVERRIDE);
    CHECK_EQ(net->count.address_conflicts, 1);
    CHECK_EQ(state_of(net), NET_ADDRESS_GOOD);
    CHECK_EQ(index6(net, ip6(0, 1)), NET_NONE);
    CHECK(!depart(net, &frame));
}

int main(void)
{
    RUN(two_stations_find_each_other_with_one_question);
    RUN(two_stations_find_each_other_by_link_local_addresses);
    RUN(the_question_goes_to_the_group_of_the_target);
    RUN(a_link_local_gateway_is_asked_for_without_a_link_local_address);
    RUN(the_answer_is_solicited_and_overrides);
    RUN(a_question_without_a_hardware_address_is_answered_by_the_cache);
    RUN(an_incomplete_one_needs_a_hardware_address);
    RUN(an_incomplete_one_is_reachable_by_a_solicited_answer);
    RUN(an_incomplete_one_is_stale_by_an_unsolicited_one);
    RUN(another_address_without_override_only_makes_a_reachable_one_stale);
    RUN(another_address_with_override_is_taken_and_stale);
    RUN(the_same_address_unsolicited_changes_nothing);
    RUN(a_probed_one_is_reachable_again_by_an_answer);
    RUN(a_probed_one_with_a_new_address_is_reachable_there);
    RUN(a_probed_one_is_not_helped_by_unsolicited_news);
    RUN(a_question_updates_the_entry_of_its_sender);
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
    RUN(an_address_is_asked_for_once_and_used_a_second_later);
    RUN(an_advertisement_of_a_tentative_address_shows_a_duplicate);
    RUN(a_question_from_nobody_for_a_tentative_address_shows_a_duplicate);
    RUN(a_question_from_somebody_for_a_tentative_address_is_ignored);
    RUN(who_looks_for_our_address_is_told_that_it_is_ours);
    RUN(two_who_look_at_the_same_time_both_lose);
    RUN(a_conflict_about_an_address_in_use_is_counted);
    return 0;
}
