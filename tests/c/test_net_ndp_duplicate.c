/* tests/c/test_net_ndp_duplicate.c - is our address free? RFC 4862 section 5.4. */
#include "tests/c/net_ndp_base.h"

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
    CHECK_EQ(state_of(net), NET_ADDRESS_GOOD); /* and announced: test_net_announce.c */
}

static void is_twice_for_good(struct ewi_net *net)
{
    CHECK_EQ(state_of(net), NET_ADDRESS_TWICE);
    CHECK_EQ(net->count.address_conflicts, 1);
    CHECK_EQ(net->count.accepted, 1);
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

static void a_question_from_nobody_for_another_address_is_no_conflict(void)
{
    struct ewi_net *net = tentative();

    ns_arrives(net, nobody, ip6(0, 2), 0);
    CHECK_EQ(state_of(net), NET_ADDRESS_TENTATIVE);
    CHECK_EQ(net->count.drop_neighbour_other, 1);
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
    RUN(an_address_is_asked_for_once_and_used_a_second_later);
    RUN(an_advertisement_of_a_tentative_address_shows_a_duplicate);
    RUN(a_question_from_nobody_for_a_tentative_address_shows_a_duplicate);
    RUN(a_question_from_nobody_for_another_address_is_no_conflict);
    RUN(a_question_from_somebody_for_a_tentative_address_is_ignored);
    RUN(who_looks_for_our_address_is_told_that_it_is_ours);
    RUN(two_who_look_at_the_same_time_both_lose);
    RUN(a_conflict_about_an_address_in_use_is_counted);
    return 0;
}
