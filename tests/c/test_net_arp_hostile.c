/* tests/c/test_net_arp_hostile.c - what hostile and broken stations send. */
#include "tests/c/net_arp_base.h"

/* ---- hostile messages ---- */

static void an_answer_that_nobody_asked_for_makes_no_entry(void)
{
    struct ewi_net *net = addressed(1);

    reply_arrives(net, 9, 9);
    CHECK_EQ(index4(net, 9), NET_NONE);
    CHECK_EQ(net->count.drop_neighbour_other, 1);
}

static void an_announcement_makes_no_entry_but_changes_one(void)
{
    struct ewi_net *net = knows_nine();
    struct net_tuple tuple = tuple_to(ip4(10, 0, 0, 9));
    struct net_way way;

    request_arrives(net, 8, 8, 8);
    CHECK_EQ(index4(net, 8), NET_NONE);
    request_arrives(net, 0x99, 9, 9); /* nine has a new card */
    CHECK_EQ(ewi_net_way(net, &tuple, &way), NET_WAY_READY);
    CHECK(same_mac(way.header, 0x99));
    CHECK_EQ(entry(net, 9)->state, NET_NEIGHBOUR_DELAY); /* and will be asked for it */
}

static void an_answer_keeps_nobody_reachable_whom_we_did_not_ask(void)
{
    struct ewi_net *net = knows_nine();

    pass(net, 46 * SEC);
    reply_arrives(net, 9, 9);
    CHECK_EQ(way4(net, 9), NET_WAY_READY);
    CHECK_EQ(entry(net, 9)->state, NET_NEIGHBOUR_DELAY);
    reply_arrives(net, 9, 9);
    CHECK_EQ(entry(net, 9)->state, NET_NEIGHBOUR_DELAY);
}

static void no_message_changes_a_static_entry(void)
{
    struct ewi_net *net = addressed(1);
    struct stack_addr address = ip4(10, 0, 0, 9);
    struct net_tuple tuple = tuple_to(address);
    struct net_way way;

    CHECK_EQ(ewi_net_neighbour_add(net, 0, &address, (const uint8_t[6]){2, 0, 0, 0, 0, 9}), 0);
    request_arrives(net, 0x99, 9, 1);
    reply_arrives(net, 0x99, 9);
    CHECK_EQ(ewi_net_way(net, &tuple, &way), NET_WAY_READY);
    CHECK(same_mac(way.header, 9));
}

static void implausible_messages_are_dropped(void)
{
    struct ewi_net *net = addressed(1);
    struct net_arp group = arp(NET_ARP_REQUEST, 9, host4(9), host4(1));
    struct net_arp nobody = group, ours = group, multicast = group, loopback = group;
    struct net_arp broadcast = group, reply = arp(NET_ARP_REPLY, 9, 0, host4(1));

    group.sender_mac[0] = 3;
    memset(nobody.sender_mac, 0, 6);
    ours.sender_mac[5] = 1;
    multicast.sender = 0xe0000001;
    loopback.sender = 0x7f000001;
    broadcast.sender = host4(255);
    arp_arrives(net, net_everybody, &group);
    arp_arrives(net, net_everybody, &nobody);
    arp_arrives(net, net_everybody, &ours);
    arp_arrives(net, net_everybody, &multicast);
    arp_arrives(net, net_everybody, &loopback);
    arp_arrives(net, net_everybody, &broadcast);
    arp_arrives(net, net_everybody, &reply);
    CHECK_EQ(net->count.drop_neighbour, 7);
    CHECK(!depart(net, &frame));
    CHECK_EQ(net->link.neighbours.pool.used, 0);
}

static void short_and_strange_messages_are_dropped(void)
{
    struct ewi_net *net = addressed(1);
    struct net_arp good = arp(NET_ARP_REQUEST, 9, host4(9), host4(1));
    uint8_t bytes[42];

    ewi_net_ether_header(bytes, net_everybody, good.sender_mac, NET_ETHER_ARP);
    ewi_net_arp_build(bytes + 14, &good);
    for (uint32_t length = 14; length < 42; length++)
        arrive(net, bytes, length);
    CHECK_EQ(net->count.drop_neighbour, 28);
    for (uint32_t at = 14; at < 22; at++) { /* kinds, lengths, operation */
        bytes[at] ^= 4;
        arrive(net, bytes, 42);
        bytes[at] ^= 4;
    }
    CHECK_EQ(net->count.drop_neighbour, 36);
    CHECK(!depart(net, &frame));
    arrive(net, bytes, 42);
    CHECK(depart(net, &frame));
}

static void a_stranger_is_answered_but_not_remembered(void)
{
    struct ewi_net *net = addressed(1);
    struct net_arp request = arp(NET_ARP_REQUEST, 9, 0xc0a80001, host4(1));

    arp_arrives(net, net_everybody, &request); /* 192.168.0.1 is not on this link */
    CHECK(depart(net, &frame));
    CHECK_EQ(arp_of(&frame).target, 0xc0a80001);
    CHECK_EQ(net->link.neighbours.pool.used, 0);
}

static void a_flood_of_requests_pushes_out_nobody_whom_we_talk_to(void)
{
    struct ewi_net *net = addressed(1);

    for (uint8_t host = 10; host < 17; host++) { /* seven of eight places */
        CHECK_EQ(way4(net, host), NET_WAY_PENDING);
        reply_arrives(net, host, host);
    }
    for (uint8_t host = 20; host < 250; host++)
        request_arrives(net, host, host, 1);
    for (uint8_t host = 10; host < 17; host++)
        CHECK_EQ(entry(net, host)->list, NET_LIST_SURE);
    CHECK_EQ(net->link.neighbours.list[NET_LIST_GUESTS].count, 1);
    CHECK_EQ(entry(net, 249)->state, NET_NEIGHBOUR_STALE); /* guests push out guests */
    CHECK_EQ(net->link.answers, 16); /* an eighth of the slots */
    CHECK_EQ(net->count.neighbour_limited, 230 - 16);
    discard(net);
    CHECK_EQ(net->link.answers, 0);
    CHECK_EQ(net->link.slots.used, 0);
}

static void what_we_are_made_to_send_pushes_out_nobody_in_use(void)
{
    struct ewi_net *net = addressed(1);

    for (uint8_t host = 10; host < 14; host++) { /* half of the places */
        CHECK_EQ(way4(net, host), NET_WAY_PENDING);
        reply_arrives(net, host, host);
    }
    for (uint8_t host = 20; host < 250; host++) {
        send_to(net, ip4(10, 0, 0, host), 100); /* answers to pings with forged sources, say */
        discard(net);
        CHECK(ewi_net_link_check(net) == NULL);
    }
    for (uint8_t host = 10; host < 14; host++)
        CHECK_EQ(way4(net, host), NET_WAY_READY);
    CHECK_EQ(net->link.neighbours.list[NET_LIST_UNKNOWN].count, 4);
    CHECK_EQ(net->count.neighbour_unreachable, 226);
    CHECK_EQ(net->link.waiting, 4);
    CHECK_EQ(way4(net, 250), NET_WAY_PENDING); /* and a new one is still looked for */
    discard(net);
    reply_arrives(net, 250, 250);
    CHECK_EQ(way4(net, 250), NET_WAY_READY);
}

static void connections_of_one_who_is_pushed_out_are_told_by_the_next_tick(void)
{
    struct ewi_net *net = addressed(1);
    struct station *s = station_of(net);
    uint32_t hop;

    for (uint8_t host = 20; host < 24; host++)
        park(net, host, host);
    hop = index4(net, 20);
    park(net, 24, 24);
    CHECK_EQ(s->changes, 0); /* never inside a call of TCP's */
    CHECK_EQ(index4(net, 20), NET_NONE);
    CHECK_EQ(*ewi_net_way_parked(net, hop), 20); /* the list can still be changed */
    *ewi_net_way_parked(net, hop) = 1020;
    discard(net);
    CHECK_EQ(ewi_net_link_deadline(net), net->now);
    ewi_net_link_tick(net);
    CHECK_EQ(s->changes, 1);
    CHECK_EQ(s->change[0].parked, 1020);
    CHECK(!s->change[0].is_ready);
    CHECK(ewi_net_link_check(net) == NULL);
}

static void without_a_tick_those_who_are_parked_are_not_lost(void)
{
    struct ewi_net *net = addressed(1);
    struct station *s = station_of(net);
    bool told[256] = {false};
    uint8_t host = 20;

    for (; host < 250 && way4(net, host) == NET_WAY_PENDING; host++)
        park(net, host, host);
    CHECK(host > 25 && host < 40); /* then there is no room for more dead */
    CHECK(ewi_net_link_check(net) == NULL);
    pass(net, 10 * SEC);
    CHECK_EQ(s->changes, host - 20);
    for (uint32_t i = 0; i < s->changes; i++) {
        CHECK(!told[s->change[i].parked]);
        told[s->change[i].parked] = true;
    }
}

int main(void)
{
    RUN(an_answer_that_nobody_asked_for_makes_no_entry);
    RUN(an_announcement_makes_no_entry_but_changes_one);
    RUN(an_answer_keeps_nobody_reachable_whom_we_did_not_ask);
    RUN(no_message_changes_a_static_entry);
    RUN(implausible_messages_are_dropped);
    RUN(short_and_strange_messages_are_dropped);
    RUN(a_stranger_is_answered_but_not_remembered);
    RUN(a_flood_of_requests_pushes_out_nobody_whom_we_talk_to);
    RUN(what_we_are_made_to_send_pushes_out_nobody_in_use);
    RUN(connections_of_one_who_is_pushed_out_are_told_by_the_next_tick);
    RUN(without_a_tick_those_who_are_parked_are_not_lost);
    return 0;
}
