/* tests/c/test_net_arp.c - ARP on a wire of two or three stations, and what hostile ones send. */
#include "tests/c/net_link_base.h"

static struct frame frame;

static enum net_way_code way4(struct ewi_net *net, uint8_t host)
{
    struct net_tuple tuple = tuple_to(ip4(10, 0, 0, host));
    struct net_way way;

    return ewi_net_way(net, &tuple, &way);
}

static void park(struct ewi_net *net, uint8_t host, uint32_t connection)
{
    struct net_tuple tuple = tuple_to(ip4(10, 0, 0, host));
    struct net_way way;

    CHECK_EQ(ewi_net_way(net, &tuple, &way), NET_WAY_PENDING);
    *ewi_net_way_parked(net, way.hop) = connection;
}

static uint32_t index4(struct ewi_net *net, uint8_t host)
{
    return ewi_net_neighbours_find(&net->link.neighbours, 0, 4, ip4(10, 0, 0, host).ip);
}

static const struct net_neighbour *entry(struct ewi_net *net, uint8_t host)
{
    CHECK(index4(net, host) != NET_NONE);
    return ewi_net_neighbour_at(&net->link.neighbours, index4(net, host));
}

static void arp_arrives(struct ewi_net *net, const uint8_t to[6], const struct net_arp *arp)
{
    uint8_t bytes[60] = {0};

    ewi_net_ether_header(bytes, to, arp->sender_mac, NET_ETHER_ARP);
    if (ewi_net_mac_is_group(arp->sender_mac) || ewi_net_is_zero(arp->sender_mac, 6) ||
        same_mac(arp->sender_mac, 1))
        bytes[6] = 2, bytes[11] = 0x77; /* Ethernet's source is honest, ARP lies */
    ewi_net_arp_build(bytes + 14, arp);
    arrive(net, bytes, sizeof(bytes));
    CHECK(ewi_net_neighbours_check(&net->link.neighbours) == NULL);
}

static uint32_t host4(uint8_t host)
{
    return 0x0a000000u | host;
}

static struct net_arp arp(uint16_t operation, uint8_t mac, uint32_t sender, uint32_t target)
{
    return (struct net_arp){
        .operation = operation,
        .sender_mac = {2, 0, 0, 0, 0, mac},
        .sender = sender,
        .target = target,
    };
}

static void request_arrives(struct ewi_net *net, uint8_t mac, uint8_t sender, uint8_t target)
{
    struct net_arp request = arp(NET_ARP_REQUEST, mac, host4(sender), host4(target));

    arp_arrives(net, net_everybody, &request);
}

static void reply_arrives(struct ewi_net *net, uint8_t mac, uint8_t sender)
{
    struct net_arp reply = arp(NET_ARP_REPLY, mac, host4(sender), host4(1));
    struct net_port_config port = ether_port(1);

    memcpy(reply.target_mac, port.mac, 6);
    arp_arrives(net, port.mac, &reply);
}

static bool departs_request_for(struct ewi_net *net, uint8_t host)
{
    if (!depart(net, &frame))
        return false;
    CHECK(memcmp(frame.bytes, net_everybody, 6) == 0);
    CHECK_EQ(arp_of(&frame).operation, NET_ARP_REQUEST);
    CHECK_EQ(arp_of(&frame).sender, host4(1));
    CHECK_EQ(arp_of(&frame).target, host4(host));
    CHECK(same_mac(arp_of(&frame).sender_mac, 1));
    return true;
}

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

static struct ewi_net *knows_nine(void)
{
    struct ewi_net *net = addressed(1);

    CHECK_EQ(way4(net, 9), NET_WAY_PENDING);
    CHECK(departs_request_for(net, 9));
    reply_arrives(net, 9, 9);
    CHECK_EQ(entry(net, 9)->state, NET_NEIGHBOUR_REACHABLE);
    return net;
}

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
    CHECK(net->count.neighbour_limited > 0);               /* and not every one was answered */
    CHECK(net->link.answers <= 16);
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
        CHECK(ewi_net_neighbours_check(&net->link.neighbours) == NULL);
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
    CHECK(ewi_net_neighbours_check(&net->link.neighbours) == NULL);
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
    CHECK(ewi_net_neighbours_check(&net->link.neighbours) == NULL);
    pass(net, 10 * SEC);
    CHECK_EQ(s->changes, host - 20);
    for (uint32_t i = 0; i < s->changes; i++) {
        CHECK(!told[s->change[i].parked]);
        told[s->change[i].parked] = true;
    }
}

/* ---- duplicates: RFC 5227 ---- */

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

/* The next frame, when its time has come. */
static uint64_t next_message(struct ewi_net *net)
{
    uint64_t start = net->now;

    while (!depart(net, &frame)) {
        uint64_t at = ewi_net_link_deadline(net);

        CHECK(at != NET_NEVER);
        net->now = at > net->now ? at : net->now;
        ewi_net_link_tick(net);
    }
    return net->now - start;
}

static void an_address_is_probed_three_times_and_announced_twice(void)
{
    struct ewi_net *net = tentative();
    uint64_t at;

    for (int i = 0; i < 3; i++) {
        at = next_message(net);
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
        CHECK_EQ(next_message(net), 2 * SEC);
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
}

static void a_probe_for_an_address_in_use_is_answered(void)
{
    struct ewi_net *a = addressed(1), *b;
    struct stack_addr address = ip4(10, 0, 0, 1);

    b = station(2);
    CHECK_EQ(ewi_net_address_add(b, 0, &address, 24, 0), 0);
    next_message(b);
    arrive(a, frame.bytes, frame.out.bytes);
    CHECK(depart(a, &frame));
    CHECK_EQ(arp_of(&frame).operation, NET_ARP_REPLY);
    CHECK_EQ(a->link.neighbours.pool.used, 0); /* he has no address to be known by */
    arrive(b, frame.bytes, frame.out.bytes);
    CHECK_EQ(ewi_net_address_state(b, 0, &address), NET_ADDRESS_TWICE);
    CHECK_EQ(state_of(a), NET_ADDRESS_GOOD);
}

/* RFC 5227 section 2.4 (b) */
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
        next_message(net);
    CHECK_EQ(state_of(net), NET_ADDRESS_TENTATIVE);
    next_message(net);
    CHECK_EQ(state_of(net), NET_ADDRESS_GOOD);
}

int main(void)
{
    RUN(two_stations_find_each_other_with_one_request);
    RUN(the_answer_says_what_rfc_826_asks_for);
    RUN(a_request_for_somebody_else_is_left_alone);
    RUN(all_fragments_of_a_datagram_wait_and_leave_in_order);
    RUN(the_oldest_goes_when_too_many_wait);
    RUN(those_who_wait_leave_slots_for_requests_and_for_others);
    RUN(a_parked_connection_is_told_when_the_answer_is_there);
    RUN(a_request_of_the_one_who_is_sought_is_an_answer_too);
    RUN(a_static_entry_lets_those_go_who_wait);
    RUN(three_requests_a_second_apart_then_there_is_no_way_for_a_second);
    RUN(one_who_comes_late_is_heard);
    RUN(a_request_without_a_slot_is_sent_when_there_is_one);
    RUN(an_idle_neighbour_wakes_nobody);
    RUN(one_in_use_is_asked_himself_and_stays);
    RUN(one_who_is_gone_is_forgotten_and_everybody_is_asked);
    RUN(news_from_tcp_spares_the_question);
    RUN(news_from_tcp_about_one_without_an_address_changes_nothing);
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
    RUN(a_probe_without_a_slot_is_sent_later);
    return 0;
}
