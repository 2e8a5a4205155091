/* tests/c/test_net_arp.c - ARP on a wire: found, waited for, still there, gone. */
#include "tests/c/net_arp_base.h"

/* ---- two stations ---- */

/* RFC 826, and F-Stack issue 111: the first request is answered. */
static void two_stations_find_each_other_with_one_request(void)
{
    struct ewi_net *a = addressed(1), *b = addressed(2);

    send_to(a, ip4(10, 0, 0, 2), 100);
    exchange(a, b);
    CHECK_EQ(station_of(b)->packets, 1);
    CHECK_EQ(station_of(b)->packet_bytes, 100);
    CHECK_EQ(way4(a, 2), NET_WAY_READY);
    CHECK_EQ(way4(b, 1), NET_WAY_READY); /* b learned it from the request */
    CHECK_EQ(entry(a, 2)->state, NET_NEIGHBOUR_REACHABLE);
    CHECK(!depart(a, &frame) && !depart(b, &frame));
}

static void the_answer_says_what_rfc_826_asks_for(void)
{
    struct ewi_net *net = addressed(1);
    struct net_arp reply;

    request_arrives(net, 9, 9, 1);
    CHECK(depart(net, &frame));
    reply = arp_of(&frame);
    CHECK(same_mac(frame.bytes, 9) && same_mac(frame.bytes + 6, 1));
    CHECK_EQ(reply.operation, NET_ARP_REPLY);
    CHECK(same_mac(reply.sender_mac, 1) && same_mac(reply.target_mac, 9));
    CHECK_EQ(reply.sender, host4(1));
    CHECK_EQ(reply.target, host4(9));
    CHECK_EQ(net->count.accepted, 1);
}

static void an_answer_leaves_by_the_port_of_the_request(void)
{
    struct ewi_net *net = addressed(1);
    struct net_arp request = arp(NET_ARP_REQUEST, 9, 0x0a000109, 0x0a000101);
    struct net_port_config second = ether_port(0x11);
    uint8_t bytes[42];

    CHECK_EQ(ewi_net_port_add(net, &second), 1);
    give_address(net, 1, ip4(10, 0, 1, 1), 24);
    ewi_net_ether_header(bytes, net_everybody, request.sender_mac, NET_ETHER_ARP);
    ewi_net_arp_build(bytes + 14, &request);
    arrive_at(net, 0, bytes, 42);
    CHECK(!depart(net, &frame)); /* that address is not here */
    arrive_at(net, 1, bytes, 42);
    CHECK(depart(net, &frame));
    CHECK_EQ(frame.out.port, 1);
    CHECK(same_mac(frame.bytes + 6, 0x11) && same_mac(arp_of(&frame).sender_mac, 0x11));
    CHECK(ewi_net_neighbours_find(&net->link.neighbours, 1, 4, ip4(10, 0, 1, 9).ip) != NET_NONE);
}

static void a_request_for_somebody_else_is_left_alone(void)
{
    struct ewi_net *net = addressed(1);

    request_arrives(net, 9, 9, 2);
    CHECK(!depart(net, &frame));
    CHECK_EQ(index4(net, 9), NET_NONE); /* RFC 826: no entry for those who do not talk to us */
    CHECK_EQ(net->count.drop_neighbour_other, 1);
}

/* ---- what waits ---- */

/* FNET issue 18: all fragments of a datagram leave, not only the last. */
static void all_fragments_of_a_datagram_wait_and_leave_in_order(void)
{
    struct ewi_net *net = addressed(1);

    for (uint32_t i = 0; i < NET_NEIGHBOUR_QUEUE; i++)
        send_to(net, ip4(10, 0, 0, 9), 1000 + i);
    CHECK(departs_request_for(net, 9));
    CHECK(!depart(net, &frame));
    reply_arrives(net, 9, 9);
    for (uint32_t i = 0; i < NET_NEIGHBOUR_QUEUE; i++) {
        CHECK(depart(net, &frame));
        CHECK(same_mac(frame.bytes, 9));
        CHECK_EQ(frame.out.bytes, 1014 + i);
    }
    CHECK(!depart(net, &frame));
    CHECK_EQ(net->count.neighbour_queue_full, 0);
    CHECK_EQ(net->link.slots.used, 0);
}

/* RFC 4861 section 7.2.2, RFC 1122 section 2.3.2.2 */
static void the_oldest_goes_when_too_many_wait(void)
{
    struct ewi_net *net = addressed(1);

    for (uint32_t i = 0; i < NET_NEIGHBOUR_QUEUE + 2; i++)
        send_to(net, ip4(10, 0, 0, 9), 100 + i);
    CHECK_EQ(net->count.neighbour_queue_full, 2);
    CHECK(departs_request_for(net, 9));
    reply_arrives(net, 9, 9);
    CHECK(depart(net, &frame));
    CHECK_EQ(frame.out.bytes, 116);
}

static void those_who_wait_leave_slots_for_requests_and_for_others(void)
{
    struct ewi_net *net = addressed(1);
    uint32_t sent = 0;

    for (uint8_t host = 10; host < 13; host++)
        for (uint32_t i = 0; i < 64; i++, sent++)
            send_to(net, ip4(10, 0, 0, host), 100);
    CHECK_EQ(net->link.waiting, 96); /* three quarters of 128 */
    CHECK_EQ(net->count.neighbour_queue_full, sent - 96);
    CHECK(departs_request_for(net, 10) && departs_request_for(net, 11) &&
          departs_request_for(net, 12)); /* though nothing of the third may wait */
    CHECK_EQ(entry(net, 12)->waiting, 0);
    reply_arrives(net, 11, 11);
    for (uint32_t i = 0; i < 32; i++)
        CHECK(depart(net, &frame));
    CHECK_EQ(net->link.waiting, 64);
}

static void a_parked_connection_is_told_when_the_answer_is_there(void)
{
    struct ewi_net *net = addressed(1);

    park(net, 9, 77);
    CHECK_EQ(station_of(net)->changes, 0);
    reply_arrives(net, 9, 9);
    CHECK_EQ(station_of(net)->changes, 1);
    CHECK_EQ(station_of(net)->change[0].parked, 77);
    CHECK(station_of(net)->change[0].is_ready);
    CHECK_EQ(way4(net, 9), NET_WAY_READY);
    reply_arrives(net, 9, 9);
    CHECK_EQ(station_of(net)->changes, 1); /* once */
}

static void a_request_of_the_one_who_is_sought_is_an_answer_too(void)
{
    struct ewi_net *net = addressed(1);

    park(net, 9, 77);
    request_arrives(net, 9, 9, 3); /* not even for us */
    CHECK_EQ(way4(net, 9), NET_WAY_READY);
    CHECK(station_of(net)->change[0].is_ready);
    CHECK_EQ(entry(net, 9)->state, NET_NEIGHBOUR_DELAY); /* nobody knows whether he hears us */
}

static void a_static_entry_lets_those_go_who_wait(void)
{
    struct ewi_net *net = addressed(1);
    struct stack_addr address = ip4(10, 0, 0, 9);

    park(net, 9, 77);
    send_to(net, address, 100);
    CHECK(departs_request_for(net, 9));
    CHECK_EQ(ewi_net_neighbour_add(net, 0, &address, (const uint8_t[6]){2, 0, 0, 0, 0, 9}), 0);
    CHECK(depart(net, &frame));
    CHECK(same_mac(frame.bytes, 9));
    CHECK(station_of(net)->change[0].is_ready);
    pass(net, 100 * SEC);
    CHECK_EQ(way4(net, 9), NET_WAY_READY);
}

/* ---- nobody answers ---- */

/* RFC 1122 section 2.3.2.1: at most one request a second */
static void three_requests_a_second_apart_then_there_is_no_way_for_a_second(void)
{
    struct ewi_net *net = addressed(1);

    park(net, 9, 77);
    send_to(net, ip4(10, 0, 0, 9), 100);
    for (int i = 0; i < 3; i++) {
        CHECK(departs_request_for(net, 9));
        net->now += SEC - 1;
        ewi_net_link_tick(net);
        CHECK(!depart(net, &frame));
        CHECK_EQ(way4(net, 9), NET_WAY_PENDING);
        CHECK_EQ(station_of(net)->changes, 0);
        CHECK_EQ(entry(net, 9)->waiting, 1);
        CHECK(ewi_net_link_deadline(net) <= net->now + 1025); /* a tick of the wheel */
        net->now += 1025;
        ewi_net_link_tick(net);
    }
    CHECK(!depart(net, &frame));
    CHECK_EQ(way4(net, 9), NET_WAY_NONE);
    CHECK_EQ(station_of(net)->changes, 1);
    CHECK(station_of(net)->change[0].parked == 77 && !station_of(net)->change[0].is_ready);
    CHECK_EQ(net->count.neighbour_unreachable, 1);
    CHECK_EQ(net->link.slots.used, 0);
    CHECK_EQ(ewi_net_link_deadline(net), NET_NEVER);
    net->now += SEC;
    CHECK_EQ(way4(net, 9), NET_WAY_PENDING);
    CHECK(departs_request_for(net, 9));
}

static void a_queue_that_was_dropped_is_a_queue_again(void)
{
    struct ewi_net *net = addressed(1);

    send_to(net, ip4(10, 0, 0, 9), 100);
    send_to(net, ip4(10, 0, 0, 9), 101);
    pass(net, 5 * SEC);
    CHECK_EQ(net->count.neighbour_unreachable, 2);
    send_to(net, ip4(10, 0, 0, 9), 102);
    send_to(net, ip4(10, 0, 0, 9), 103);
    CHECK(departs_request_for(net, 9));
    reply_arrives(net, 9, 9);
    CHECK(depart(net, &frame));
    CHECK_EQ(frame.out.bytes, 116);
    CHECK(depart(net, &frame));
    CHECK_EQ(frame.out.bytes, 117);
    CHECK(!depart(net, &frame));
}

static void one_who_comes_late_is_heard(void)
{
    struct ewi_net *net = addressed(1);

    park(net, 9, 77);
    pass(net, 3500 * MS);
    CHECK_EQ(way4(net, 9), NET_WAY_NONE);
    request_arrives(net, 9, 9, 9); /* his announcement: RFC 5227 section 2.3 */
    CHECK_EQ(way4(net, 9), NET_WAY_READY);
}

static void a_request_without_a_slot_is_sent_when_there_is_one(void)
{
    struct ewi_net *net = addressed(1);
    uint32_t slot[128];

    for (uint32_t i = 0; i < 128; i++)
        slot[i] = ewi_net_slot_take(net);
    CHECK_EQ(way4(net, 9), NET_WAY_PENDING);
    CHECK(!depart(net, &frame));
    pass(net, 20 * SEC); /* asking in vain does not count as an attempt */
    CHECK_EQ(way4(net, 9), NET_WAY_PENDING);
    for (uint32_t i = 0; i < 128; i++)
        ewi_net_slot_give(net, slot[i]);
    net->now += 11 * MS;
    ewi_net_link_tick(net);
    CHECK(departs_request_for(net, 9));
}

/* ---- still there? RFC 1122 section 2.3.2.1 (2), RFC 4861 section 7.3 ---- */

static void an_idle_neighbour_wakes_nobody(void)
{
    struct ewi_net *net = knows_nine();

    CHECK_EQ(ewi_net_link_deadline(net), NET_NEVER);
    pass(net, 1000 * SEC);
    CHECK_EQ(entry(net, 9)->state, NET_NEIGHBOUR_REACHABLE); /* looked at when it is used */
    CHECK_EQ(way4(net, 9), NET_WAY_READY);
    CHECK_EQ(entry(net, 9)->state, NET_NEIGHBOUR_DELAY);
    CHECK(ewi_net_link_deadline(net) <= net->now + 5 * SEC + 1024);
}

static void one_in_use_is_asked_himself_and_stays(void)
{
    struct ewi_net *net = knows_nine();

    pass(net, 46 * SEC); /* beyond 1.5 times 30 s */
    CHECK_EQ(way4(net, 9), NET_WAY_READY);
    net->now += 5 * SEC + 1024;
    ewi_net_link_tick(net);
    CHECK(depart(net, &frame));
    CHECK(same_mac(frame.bytes, 9)); /* unicast */
    CHECK_EQ(arp_of(&frame).target, host4(9));
    CHECK_EQ(way4(net, 9), NET_WAY_READY); /* meanwhile */
    reply_arrives(net, 9, 9);
    CHECK_EQ(entry(net, 9)->state, NET_NEIGHBOUR_REACHABLE);
    CHECK_EQ(ewi_net_link_deadline(net), NET_NEVER);
}

static void a_request_is_no_answer_to_our_question(void)
{
    struct ewi_net *net = knows_nine();

    pass(net, 46 * SEC);
    CHECK_EQ(way4(net, 9), NET_WAY_READY);
    pass(net, 5500 * MS);
    CHECK_EQ(entry(net, 9)->state, NET_NEIGHBOUR_PROBE);
    request_arrives(net, 9, 9, 1);
    CHECK_EQ(entry(net, 9)->state, NET_NEIGHBOUR_PROBE);
}

static void an_answer_to_somebody_else_is_none_to_us(void)
{
    struct ewi_net *net = addressed(1);
    struct net_arp reply = arp(NET_ARP_REPLY, 9, host4(9), host4(3));

    CHECK_EQ(way4(net, 9), NET_WAY_PENDING);
    arp_arrives(net, net_everybody, &reply);
    CHECK_EQ(entry(net, 9)->state, NET_NEIGHBOUR_STALE);
}

static void one_who_is_gone_is_forgotten_and_everybody_is_asked(void)
{
    struct ewi_net *net = knows_nine();

    pass(net, 46 * SEC);
    CHECK_EQ(way4(net, 9), NET_WAY_READY);
    pass(net, 7990 * MS);
    CHECK_EQ(way4(net, 9), NET_WAY_READY);
    pass(net, 100 * MS); /* 5 s and three probes */
    CHECK_EQ(index4(net, 9), NET_NONE);
    CHECK_EQ(way4(net, 9), NET_WAY_PENDING);
    CHECK(departs_request_for(net, 9));
}

/* RFC 4861 section 7.3.1 */
static void news_from_tcp_spares_the_question(void)
{
    struct ewi_net *net = knows_nine();
    struct net_tuple tuple = tuple_to(ip4(10, 0, 0, 9));

    for (int i = 0; i < 10; i++) {
        pass(net, 46 * SEC);
        CHECK_EQ(way4(net, 9), NET_WAY_READY);
        CHECK_EQ(entry(net, 9)->state, NET_NEIGHBOUR_DELAY);
        ewi_net_way_confirm(net, &tuple);
        CHECK_EQ(entry(net, 9)->state, NET_NEIGHBOUR_REACHABLE);
        CHECK_EQ(ewi_net_link_deadline(net), NET_NEVER);
    }
    ewi_net_way_confirm(net, &(struct net_tuple){.family = 4, .remote = {10, 0, 0, 8}}); /* unknown */
    ewi_net_way_confirm(net, &(struct net_tuple){.family = 4, .remote = {8, 8, 8, 8}});  /* no route */
}

static void news_from_tcp_about_one_without_an_address_changes_nothing(void)
{
    struct ewi_net *net = addressed(1);
    struct net_tuple tuple = tuple_to(ip4(10, 0, 0, 9));

    CHECK_EQ(way4(net, 9), NET_WAY_PENDING);
    ewi_net_way_confirm(net, &tuple);
    CHECK_EQ(entry(net, 9)->state, NET_NEIGHBOUR_INCOMPLETE);
}

int main(void)
{
    RUN(two_stations_find_each_other_with_one_request);
    RUN(the_answer_says_what_rfc_826_asks_for);
    RUN(an_answer_leaves_by_the_port_of_the_request);
    RUN(a_request_for_somebody_else_is_left_alone);
    RUN(all_fragments_of_a_datagram_wait_and_leave_in_order);
    RUN(the_oldest_goes_when_too_many_wait);
    RUN(those_who_wait_leave_slots_for_requests_and_for_others);
    RUN(a_parked_connection_is_told_when_the_answer_is_there);
    RUN(a_request_of_the_one_who_is_sought_is_an_answer_too);
    RUN(a_static_entry_lets_those_go_who_wait);
    RUN(three_requests_a_second_apart_then_there_is_no_way_for_a_second);
    RUN(a_queue_that_was_dropped_is_a_queue_again);
    RUN(one_who_comes_late_is_heard);
    RUN(a_request_without_a_slot_is_sent_when_there_is_one);
    RUN(an_idle_neighbour_wakes_nobody);
    RUN(one_in_use_is_asked_himself_and_stays);
    RUN(a_request_is_no_answer_to_our_question);
    RUN(an_answer_to_somebody_else_is_none_to_us);
    RUN(one_who_is_gone_is_forgotten_and_everybody_is_asked);
    RUN(news_from_tcp_spares_the_question);
    RUN(news_from_tcp_about_one_without_an_address_changes_nothing);
    return 0;
}
