/* tests/c/test_net_arp_duplicate.c - is our address free? RFC 5227. */
#include "tests/c/net_arp_base.h"

static struct ewi_net *tentative(void)
{
    struct ewi_net *net = station(1);
    struct stack_addr address = ip4(10, 0, 0, 1);

    CHECK_EQ(ewi_net_address_add(net, 0, &address, 24, 0), 0);
    return net;
}

static enum net_address_state state_of(struct ewi_net *net)
{
    struct stack_addr address = ip4(10, 0, 0, 1);

    return ewi_net_address_state(net, 0, &address);
}

static void an_address_is_probed_three_times_and_announced_twice(void)
{
    struct ewi_net *net = tentative();
    uint64_t at;

    for (int i = 0; i < 3; i++) {
        at = next_frame(net, &frame);
        CHECK(i == 0 ? at <= SEC : at >= SEC && at <= 2 * SEC);
        CHECK(memcmp(frame.bytes, net_everybody, 6) == 0);
        CHECK_EQ(arp_of(&frame).operation, NET_ARP_REQUEST);
        CHECK_EQ(arp_of(&frame).sender, 0);
        CHECK_EQ(arp_of(&frame).target, host4(1));
        CHECK(ewi_net_is_zero(arp_of(&frame).target_mac, 6));
        CHECK_EQ(state_of(net), NET_ADDRESS_TENTATIVE);
        CHECK_EQ(ewi_net_link_whose(net, 0, 4, ip4(10, 0, 0, 1).ip), NET_OURS_TENTATIVE);
    }
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(next_frame(net, &frame), 2 * SEC);
        CHECK_EQ(state_of(net), NET_ADDRESS_GOOD);
        CHECK_EQ(arp_of(&frame).sender, host4(1));
        CHECK_EQ(arp_of(&frame).target, host4(1));
    }
    CHECK_EQ(ewi_net_link_deadline(net), NET_NEVER);
    CHECK_EQ(ewi_net_link_whose(net, 0, 4, ip4(10, 0, 0, 1).ip), NET_OURS);
}

static void a_sure_address_is_not_looked_for(void)
{
    struct ewi_net *net = addressed(1);

    CHECK_EQ(ewi_net_link_deadline(net), NET_NEVER);
    CHECK_EQ(state_of(net), NET_ADDRESS_GOOD);
}

static void a_tentative_address_answers_nobody_and_asks_nobody(void)
{
    struct ewi_net *net = tentative();

    request_arrives(net, 9, 9, 1);
    CHECK(!depart(net, &frame));
    CHECK_EQ(net->count.drop_neighbour_other, 1);
    CHECK_EQ(way4(net, 9), NET_WAY_NONE);
    CHECK_EQ(index4(net, 9), NET_NONE);
    CHECK_EQ(state_of(net), NET_ADDRESS_TENTATIVE);
}

static void is_twice_for_good(struct ewi_net *net)
{
    CHECK_EQ(state_of(net), NET_ADDRESS_TWICE);
    CHECK_EQ(net->count.address_conflicts, 1);
    CHECK_EQ(net->count.accepted, 1);
    CHECK_EQ(ewi_net_link_whose(net, 0, 4, ip4(10, 0, 0, 1).ip), NET_NOT_OURS);
    CHECK(!ewi_net_link_is_local(net, 4, ip4(10, 0, 0, 1).ip));
    discard(net);
    pass(net, 100 * SEC);
    CHECK_EQ(state_of(net), NET_ADDRESS_TWICE);
    CHECK_EQ(ewi_net_link_deadline(net), NET_NEVER);
}

/* RFC 5227 section 2.1.1: any ARP packet from somebody with that sender's address */
static void an_answer_to_a_probe_shows_a_duplicate(void)
{
    struct ewi_net *net = tentative();

    reply_arrives(net, 9, 1);
    is_twice_for_good(net);
}

static void a_request_from_that_address_shows_a_duplicate(void)
{
    struct ewi_net *net = tentative();

    request_arrives(net, 9, 1, 200);
    is_twice_for_good(net);
}

static void two_who_probe_at_the_same_time_both_lose(void)
{
    struct ewi_net *net = tentative();
    struct net_arp probe = arp(NET_ARP_REQUEST, 9, 0, host4(1));

    arp_arrives(net, net_everybody, &probe);
    is_twice_for_good(net);
}

static void a_probe_for_another_address_is_no_conflict(void)
{
    struct ewi_net *net = tentative();
    struct net_arp probe = arp(NET_ARP_REQUEST, 9, 0, host4(2));

    arp_arrives(net, net_everybody, &probe);
    CHECK_EQ(state_of(net), NET_ADDRESS_TENTATIVE);
    CHECK_EQ(net->count.drop_neighbour_other, 1);
}

static void a_probe_for_an_address_in_use_is_answered(void)
{
    struct ewi_net *a = addressed(1), *b;
    struct stack_addr address = ip4(10, 0, 0, 1);

    b = station(2);
    CHECK_EQ(ewi_net_address_add(b, 0, &address, 24, 0), 0);
    next_frame(b, &frame);
    arrive(a, frame.bytes, frame.out.bytes);
    CHECK(depart(a, &frame));
    CHECK_EQ(arp_of(&frame).operation, NET_ARP_REPLY);
    CHECK_EQ(a->link.neighbours.pool.used, 0); /* he has no address to be known by */
    arrive(b, frame.bytes, frame.out.bytes);
    CHECK_EQ(ewi_net_address_state(b, 0, &address), NET_ADDRESS_TWICE);
    CHECK_EQ(state_of(a), NET_ADDRESS_GOOD);
}

/* RFC 5227 section 2.4 (c) */
static void an_address_in_use_is_defended_once_in_ten_seconds(void)
{
    struct ewi_net *net = addressed(1);

    request_arrives(net, 9, 1, 1);
    CHECK_EQ(net->count.address_conflicts, 1);
    CHECK_EQ(state_of(net), NET_ADDRESS_GOOD);
    CHECK(depart(net, &frame));
    CHECK_EQ(arp_of(&frame).sender, host4(1));
    CHECK_EQ(arp_of(&frame).target, host4(1));
    net->now += 10 * SEC - 1;
    request_arrives(net, 9, 1, 1);
    CHECK_EQ(net->count.address_conflicts, 2);
    CHECK(!depart(net, &frame));
    net->now += 1;
    request_arrives(net, 9, 1, 1);
    CHECK(depart(net, &frame));
    CHECK_EQ(index4(net, 1), NET_NONE); /* it is never a neighbour's */
}

static void who_has_our_lost_address_is_a_neighbour_like_others(void)
{
    struct ewi_net *net = tentative();

    give_address(net, 0, ip4(10, 0, 0, 7), 24);
    reply_arrives(net, 9, 1);
    CHECK_EQ(state_of(net), NET_ADDRESS_TWICE);
    CHECK_EQ(way4(net, 1), NET_WAY_PENDING);
    request_arrives(net, 9, 1, 7);
    CHECK_EQ(way4(net, 1), NET_WAY_READY);
    CHECK_EQ(net->count.address_conflicts, 1);
}

static void a_flood_of_requests_does_not_hold_back_our_probe(void)
{
    struct ewi_net *net = addressed(1);
    struct stack_addr address = ip4(10, 0, 0, 7);
    uint32_t answers = 0;

    CHECK_EQ(ewi_net_address_add(net, 0, &address, 24, 0), 0);
    for (int i = 0; i < 40; i++)
        request_arrives(net, 9, 9, 1);
    net->now = ewi_net_link_deadline(net) == 0 ? net->now + SEC : net->now;
    ewi_net_link_tick(net);
    for (; depart(net, &frame) && arp_of(&frame).operation == NET_ARP_REPLY; answers++)
        ;
    CHECK_EQ(answers, 16);
    CHECK_EQ(arp_of(&frame).target, host4(7));
    CHECK_EQ(net->link.answers, 0);
}

static void a_probe_without_a_slot_is_sent_later(void)
{
    struct ewi_net *net = tentative();
    uint32_t slot[128];

    for (uint32_t i = 0; i < 128; i++)
        slot[i] = ewi_net_slot_take(net);
    pass(net, 20 * SEC);
    CHECK_EQ(state_of(net), NET_ADDRESS_TENTATIVE);
    for (uint32_t i = 0; i < 128; i++)
        ewi_net_slot_give(net, slot[i]);
    for (int i = 0; i < 3; i++)
        next_frame(net, &frame);
    CHECK_EQ(state_of(net), NET_ADDRESS_TENTATIVE);
    next_frame(net, &frame);
    CHECK_EQ(state_of(net), NET_ADDRESS_GOOD);
}

int main(void)
{
    RUN(an_address_is_probed_three_times_and_announced_twice);
    RUN(a_sure_address_is_not_looked_for);
    RUN(a_tentative_address_answers_nobody_and_asks_nobody);
    RUN(an_answer_to_a_probe_shows_a_duplicate);
    RUN(a_request_from_that_address_shows_a_duplicate);
    RUN(two_who_probe_at_the_same_time_both_lose);
    RUN(a_probe_for_another_address_is_no_conflict);
    RUN(a_probe_for_an_address_in_use_is_answered);
    RUN(an_address_in_use_is_defended_once_in_ten_seconds);
    RUN(who_has_our_lost_address_is_a_neighbour_like_others);
    RUN(a_flood_of_requests_does_not_hold_back_our_probe);
    RUN(a_probe_without_a_slot_is_sent_later);
    return 0;
}
