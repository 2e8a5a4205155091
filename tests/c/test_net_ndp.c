/* tests/c/test_net_ndp.c - Neighbor Discovery on a wire of stations, and RFC 4861 section 7.2.5 case by case. */
#include "tests/c/net_ndp_base.h"

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

static void an_answer_leaves_by_the_port_of_the_question(void)
{
    struct ewi_net *net = addressed(1);
    struct net_port_config second = ether_port(0x11);
    struct message local = solicitation(link6(9), link6(1), 0);
    struct message global = solicitation(ip6(0, 9), ip6(0, 101), 0);

    CHECK_EQ(ewi_net_port_add(net, &second), 1);
    give_address(net, 1, ip6(0, 101), 64); /* the same network by both ports */
    give_address(net, 1, link6(1), 64);
    message_arrives_at(net, 1, &local);
    CHECK(depart(net, &frame));
    CHECK_EQ(frame.out.port, 1);
    message_arrives_at(net, 1, &global);
    CHECK(depart(net, &frame));
    CHECK_EQ(frame.out.port, 1);
    CHECK(same_mac(frame.bytes + 6, 0x11));
}

static void a_question_without_a_slot_is_sent_when_there_is_one(void)
{
    struct ewi_net *net = addressed(1);
    uint32_t slot[128];

    for (uint32_t i = 0; i < 128; i++)
        slot[i] = ewi_net_slot_take(net);
    CHECK_EQ(way6(net, ip6(0, 9)), NET_WAY_PENDING);
    pass(net, 20 * SEC);
    CHECK_EQ(way6(net, ip6(0, 9)), NET_WAY_PENDING);
    for (uint32_t i = 0; i < 128; i++)
        ewi_net_slot_give(net, slot[i]);
    net->now += 11 * MS;
    ewi_net_link_tick(net);
    departs_question_for(net, ip6(0, 9), ip6(0, 1));
}

/* ---- RFC 4861 section 7.2.5, case by case ---- */

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

int main(void)
{
    RUN(two_stations_find_each_other_with_one_question);
    RUN(two_stations_find_each_other_by_link_local_addresses);
    RUN(the_question_goes_to_the_group_of_the_target);
    RUN(a_link_local_gateway_is_asked_for_without_a_link_local_address);
    RUN(the_answer_is_solicited_and_overrides);
    RUN(a_question_without_a_hardware_address_is_answered_by_the_cache);
    RUN(an_answer_leaves_by_the_port_of_the_question);
    RUN(a_question_without_a_slot_is_sent_when_there_is_one);
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
    return 0;
}
