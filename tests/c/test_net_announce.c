/* tests/c/test_net_announce.c - our addresses are told to those who may know another hardware address for them:
 * RFC 5227 section 2.3 (ARP), RFC 4861 section 7.2.6 (NDP). */
#include "tests/c/net_ndp_base.h"

static void takes(struct ewi_net *net, struct stack_addr address, unsigned bits, uint32_t flags)
{
    CHECK_EQ(ewi_net_address_add(net, 0, &address, bits, flags), 0);
}

static void is_announcement4(void)
{
    const uint32_t own = 0x0a000001;

    CHECK(memcmp(frame.bytes, net_everybody, 6) == 0);
    CHECK_EQ(arp_of(&frame).operation, NET_ARP_REQUEST);
    CHECK_EQ(arp_of(&frame).sender, own);
    CHECK_EQ(arp_of(&frame).target, own);
    CHECK(same_mac(arp_of(&frame).sender_mac, 1));
}

static void is_announcement6(void)
{
    struct net_ip6 ip;
    struct net_ndp ndp = ndp_of(&frame, &ip);

    CHECK_EQ(ndp.type, NET_NDP_NA);
    CHECK_EQ(ndp.flags, NET_NA_OVERRIDE); /* nobody asked for it */
    CHECK(same_ip(ndp.target, ip6(0, 1)) && same_ip(ip.source, ip6(0, 1)));
    CHECK(same_ip(ip.destination, all_nodes) && frame.bytes[0] == 0x33 && frame.bytes[5] == 1);
    CHECK((ndp.has & NET_NDP_HAS_TARGET_LINK) != 0 && same_mac(ndp.target_link, 1));
    CHECK_EQ(ip.hop_limit, 255);
}

static void is_quiet(struct ewi_net *net)
{
    CHECK(!depart(net, &frame));
    CHECK_EQ(ewi_net_link_deadline(net), NET_NEVER);
}

/* ---- an address that is not looked for ---- */

static void a_sure_address_is_announced_twice(void)
{
    struct ewi_net *net = station(1);

    takes(net, ip4(10, 0, 0, 1), 24, NET_ADDRESS_SURE);
    CHECK_EQ(next_frame(net, &frame), 0);
    is_announcement4();
    CHECK_EQ(next_frame(net, &frame), 2 * SEC);
    is_announcement4();
    is_quiet(net);
    CHECK_EQ(net->count.address_announced, 2);
}

static void so_is_one_of_ipv6(void)
{
    struct ewi_net *net = station(1);

    takes(net, ip6(0, 1), 64, NET_ADDRESS_SURE);
    CHECK_EQ(next_frame(net, &frame), 0);
    is_announcement6();
    CHECK_EQ(next_frame(net, &frame), 2 * SEC);
    is_announcement6();
    is_quiet(net);
    CHECK_EQ(net->count.address_announced, 2);
}

static void a_port_without_ethernet_has_nobody_to_tell(void)
{
    struct net_config config = small_config();
    struct net_port_config port = {.mtu = 1500};
    struct ewi_net *net = start_station(1, &config);

    CHECK_EQ(ewi_net_port_add(net, &port), 0);
    takes(net, ip4(10, 0, 0, 1), 24, NET_ADDRESS_SURE);
    is_quiet(net);
    CHECK_EQ(ewi_net_port_is_back(net, 0), 0);
    is_quiet(net);
}

/* The reason for all of it: he would send to a station that is dead until he had asked it in vain. */
static void a_neighbour_learns_that_the_address_is_at_another_station(void)
{
    struct ewi_net *knows = station(2), *after = station(1);
    const struct net_neighbour *entry4, *entry6;

    takes(knows, ip4(10, 0, 0, 2), 24, NET_ADDRESS_SURE);
    takes(knows, ip6(0, 2), 64, NET_ADDRESS_SURE);
    pass(knows, 10 * SEC);
    CHECK_EQ(way6(knows, ip4(10, 0, 0, 1)), NET_WAY_PENDING);
    CHECK_EQ(way6(knows, ip6(0, 1)), NET_WAY_PENDING);
    takes(after, ip4(10, 0, 0, 1), 24, NET_ADDRESS_SURE);
    takes(after, ip6(0, 1), 64, NET_ADDRESS_SURE);
    exchange(after, knows);
    entry4 = ewi_net_neighbour_at(
        &knows->link.neighbours,
        ewi_net_neighbours_find(&knows->link.neighbours, 0, 4, ip4(10, 0, 0, 1).ip));
    entry6 = entry(knows, ip6(0, 1));
    CHECK(same_mac(entry4->mac, 1) && same_mac(entry6->mac, 1));
    CHECK_EQ(ewi_net_port_set_mac(after, 0, (const uint8_t[6]){2, 0, 0, 0, 0, 0x33}), 0);
    CHECK_EQ(ewi_net_port_is_back(after, 0), 0);
    pass(after, 2 * SEC - 1);
    for (int i = 0; i < 2; i++) {
        next_frame(after, &frame);
        arrive(knows, frame.bytes, frame.out.bytes);
    }
    CHECK_EQ(entry4->mac[5], 0x33);
    CHECK_EQ(entry6->mac[5], 0x33);
    CHECK_EQ(knows->count.address_conflicts, 0);
}

/* catches: packets to a station of the wire that the device before was on */
static void another_device_has_its_address_and_knows_no_neighbours(void)
{
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 0x33}, group[6] = {1}, none[6] = {0};
    struct ewi_net *net = station(1), *other = station(2);
    struct net_neighbours *neighbours = &net->link.neighbours;
    const struct stack_addr learnt = ip4(10, 0, 0, 2), given = ip4(10, 0, 0, 3);

    takes(other, learnt, 24, NET_ADDRESS_SURE);
    takes(net, ip4(10, 0, 0, 1), 24, NET_ADDRESS_SURE);
    CHECK_EQ(ewi_net_neighbour_add(net, 0, &given, (const uint8_t[6]){2, 0, 0, 0, 0, 3}), 0);
    CHECK_EQ(way6(net, learnt), NET_WAY_PENDING);
    exchange(other, net);
    CHECK(ewi_net_neighbours_find(neighbours, 0, 4, learnt.ip) != NET_NONE);
    CHECK_EQ(ewi_net_port_set_mac(net, 0, group), -EINVAL);
    CHECK_EQ(ewi_net_port_set_mac(net, 0, none), -EINVAL);
    CHECK_EQ(ewi_net_port_set_mac(net, 1, mac), -EINVAL);
    CHECK(ewi_net_neighbours_find(neighbours, 0, 4, learnt.ip) != NET_NONE);
    CHECK_EQ(ewi_net_port_set_mac(net, 0, mac), 0);
    CHECK_EQ(ewi_net_neighbours_find(neighbours, 0, 4, learnt.ip), NET_NONE);
    CHECK(ewi_net_neighbours_find(neighbours, 0, 4, given.ip) != NET_NONE);
    CHECK(memcmp(net->link.port[0].mac, mac, 6) == 0);
    CHECK_EQ(way6(net, learnt), NET_WAY_PENDING); /* it is asked for again */
    CHECK(ewi_net_neighbours_check(neighbours) == NULL);
}

/* ---- one that was looked for ---- */

/* RFC 4862 section 5.4 tells nobody: a question from nobody changes no entry. */
static void one_of_ipv6_is_announced_when_it_was_found_free(void)
{
    struct ewi_net *net = station(1);
    struct net_ip6 ip;

    takes(net, ip6(0, 1), 64, NET_ADDRESS_QUICK);
    next_frame(net, &frame);
    CHECK_EQ(ndp_of(&frame, &ip).type, NET_NDP_NS);
    CHECK_EQ(next_frame(net, &frame), SEC / 16);
    is_announcement6();
    CHECK_EQ(next_frame(net, &frame), 2 * SEC); /* section 7.2.6: a second at least, in a hurry, too */
    is_announcement6();
    is_quiet(net);
}

/* ---- the link comes back ---- */

static void a_link_that_comes_back_announces_all_addresses_of_its_port(void)
{
    struct ewi_net *net = station(1);
    struct net_port_config second = ether_port(9);
    struct stack_addr elsewhere = ip4(10, 0, 9, 1);

    takes(net, ip4(10, 0, 0, 1), 24, NET_ADDRESS_SURE);
    takes(net, ip6(0, 1), 64, NET_ADDRESS_SURE);
    CHECK_EQ(ewi_net_port_add(net, &second), 1);
    CHECK_EQ(ewi_net_address_add(net, 1, &elsewhere, 24, NET_ADDRESS_SURE), 0);
    pass(net, 100 * SEC);
    CHECK_EQ(net->count.address_announced, 6);
    CHECK_EQ(ewi_net_port_is_back(net, 0), 0);
    CHECK_EQ(next_frame(net, &frame), 0);
    is_announcement4();
    CHECK_EQ(next_frame(net, &frame), MS); /* section 7.2.6: not all at once */
    is_announcement6();
    next_frame(net, &frame);
    is_announcement4();
    next_frame(net, &frame);
    is_announcement6();
    is_quiet(net);
    CHECK_EQ(ewi_net_port_is_back(net, 2), -EINVAL);
    CHECK_EQ(ewi_net_port_is_back(net, -1), -EINVAL);
}

static void a_link_that_flutters_announces_once_in_two_seconds(void)
{
    struct ewi_net *net = station(1);

    takes(net, ip4(10, 0, 0, 1), 24, NET_ADDRESS_SURE);
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(ewi_net_port_is_back(net, 0), 0);
        pass(net, 99 * MS);
    }
    CHECK_EQ(net->count.address_announced, 5);
    pass(net, 100 * SEC);
    CHECK_EQ(net->count.address_announced, 7);
}

static void an_address_that_is_not_ours_yet_or_no_more_is_not_announced(void)
{
    struct ewi_net *net = station(1);

    takes(net, ip6(0, 1), 64, 0);
    CHECK_EQ(ewi_net_port_is_back(net, 0), 0);
    next_frame(net, &frame);
    na_arrives(net, ip6(0, 1), 9, NET_NA_OVERRIDE);
    CHECK_EQ(ewi_net_port_is_back(net, 0), 0);
    pass(net, 100 * SEC);
    is_quiet(net);
    CHECK_EQ(net->count.address_announced, 0);
}

/* ---- no slot ---- */

static void an_announcement_without_a_slot_is_sent_later(void)
{
    struct ewi_net *net = station(1);
    uint32_t slot[128];

    for (uint32_t i = 0; i < 128; i++)
        slot[i] = ewi_net_slot_take(net);
    takes(net, ip4(10, 0, 0, 1), 24, NET_ADDRESS_SURE);
    takes(net, ip6(0, 1), 64, NET_ADDRESS_SURE);
    pass(net, SEC);
    CHECK_EQ(net->count.address_announced, 0);
    for (uint32_t i = 0; i < 128; i++)
        ewi_net_slot_give(net, slot[i]);
    pass(net, 10 * MS);
    CHECK_EQ(net->count.address_announced, 2);
    pass(net, 10 * SEC);
    CHECK_EQ(net->count.address_announced, 4);
}

static void a_flood_of_questions_does_not_hold_it_back(void)
{
    struct ewi_net *net = station(1);

    takes(net, ip6(0, 1), 64, NET_ADDRESS_SURE);
    for (uint8_t i = 0; i < 40; i++)
        ns_arrives(net, ip6(0, 9), ip6(0, 1), 9);
    CHECK(net->count.neighbour_limited > 0);
    net->now += 1;
    ewi_net_link_tick(net);
    CHECK_EQ(net->count.address_announced, 1);
}

int main(void)
{
    RUN(a_sure_address_is_announced_twice);
    RUN(so_is_one_of_ipv6);
    RUN(a_port_without_ethernet_has_nobody_to_tell);
    RUN(a_neighbour_learns_that_the_address_is_at_another_station);
    RUN(another_device_has_its_address_and_knows_no_neighbours);
    RUN(one_of_ipv6_is_announced_when_it_was_found_free);
    RUN(a_link_that_comes_back_announces_all_addresses_of_its_port);
    RUN(a_link_that_flutters_announces_once_in_two_seconds);
    RUN(an_address_that_is_not_ours_yet_or_no_more_is_not_announced);
    RUN(an_announcement_without_a_slot_is_sent_later);
    RUN(a_flood_of_questions_does_not_hold_it_back);
    return 0;
}
