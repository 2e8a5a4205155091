/* tests/c/net_arp_base.h - ARP messages that arrive and depart.
 *
 * Purpose    One way to say "a request arrives" for the tests of transport/net/arp.c.
 * Shape      functions of the test program's one file
 * Owner      static memory of the test program
 * Threads    one
 * Trust      none: test code only
 * Errors     a CHECK fails
 * Invariants none
 * Ordering   none
 * Source     none
 */
#ifndef TESTS_C_NET_ARP_BASE_H
#define TESTS_C_NET_ARP_BASE_H

#include "tests/c/net_link_base.h"

static struct frame frame;

static inline enum net_way_code way4(struct ewi_net *net, uint8_t host)
{
    struct net_tuple tuple = tuple_to(ip4(10, 0, 0, host));
    struct net_way way;

    return ewi_net_way(net, &tuple, &way);
}

static inline void park(struct ewi_net *net, uint8_t host, uint32_t connection)
{
    struct net_tuple tuple = tuple_to(ip4(10, 0, 0, host));
    struct net_way way;

    CHECK_EQ(ewi_net_way(net, &tuple, &way), NET_WAY_PENDING);
    *ewi_net_way_parked(net, way.hop) = connection;
}

static inline uint32_t index4(struct ewi_net *net, uint8_t host)
{
    return ewi_net_neighbours_find(&net->link.neighbours, 0, 4, ip4(10, 0, 0, host).ip);
}

static const struct net_neighbour *entry(struct ewi_net *net, uint8_t host)
{
    CHECK(index4(net, host) != NET_NONE);
    return ewi_net_neighbour_at(&net->link.neighbours, index4(net, host));
}

static inline void arp_arrives(struct ewi_net *net, const uint8_t to[6], const struct net_arp *arp)
{
    uint8_t bytes[60] = {0};

    ewi_net_ether_header(bytes, to, arp->sender_mac, NET_ETHER_ARP);
    if (ewi_net_mac_is_group(arp->sender_mac) || ewi_net_is_zero(arp->sender_mac, 6) ||
        same_mac(arp->sender_mac, 1))
        bytes[6] = 2, bytes[11] = 0x77; /* Ethernet's source is honest, ARP lies */
    ewi_net_arp_build(bytes + 14, arp);
    arrive(net, bytes, sizeof(bytes));
    CHECK(ewi_net_link_check(net) == NULL);
}

static inline uint32_t host4(uint8_t host)
{
    return 0x0a000000u | host;
}

static inline struct net_arp arp(uint16_t operation, uint8_t mac, uint32_t sender, uint32_t target)
{
    return (struct net_arp){
        .operation = operation,
        .sender_mac = {2, 0, 0, 0, 0, mac},
        .sender = sender,
        .target = target,
    };
}

static inline void request_arrives(struct ewi_net *net, uint8_t mac, uint8_t sender, uint8_t target)
{
    struct net_arp request = arp(NET_ARP_REQUEST, mac, host4(sender), host4(target));

    arp_arrives(net, net_everybody, &request);
}

static inline void reply_arrives(struct ewi_net *net, uint8_t mac, uint8_t sender)
{
    struct net_arp reply = arp(NET_ARP_REPLY, mac, host4(sender), host4(1));
    struct net_port_config port = ether_port(1);

    memcpy(reply.target_mac, port.mac, 6);
    arp_arrives(net, port.mac, &reply);
}

static inline bool departs_request_for(struct ewi_net *net, uint8_t host)
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

static inline struct ewi_net *knows_nine(void)
{
    struct ewi_net *net = addressed(1);

    CHECK_EQ(way4(net, 9), NET_WAY_PENDING);
    CHECK(departs_request_for(net, 9));
    reply_arrives(net, 9, 9);
    CHECK_EQ(entry(net, 9)->state, NET_NEIGHBOUR_REACHABLE);
    return net;
}

#endif
