/* tests/c/net_ndp_base.h - Neighbor Discovery messages that arrive and depart.
 *
 * Purpose    One way to say "a solicitation arrives" for the tests of transport/net/ndp.c.
 * Shape      functions of the test program's one file
 * Owner      static memory of the test program
 * Threads    one
 * Trust      none: test code only
 * Errors     a CHECK fails
 * Invariants none
 * Ordering   none
 * Source     none
 */
#ifndef TESTS_C_NET_NDP_BASE_H
#define TESTS_C_NET_NDP_BASE_H

#include "tests/c/net_link_base.h"

static struct frame frame;
static const struct stack_addr nobody = {.family = 6};
static const struct stack_addr all_nodes = {.family = 6, .ip = {0xff, 2, [15] = 1}};

static inline struct stack_addr group_of(struct stack_addr address)
{
    struct stack_addr group = {.family = 6, .ip = {0xff, 2, [11] = 1, 0xff}};

    memcpy(group.ip + 13, address.ip + 13, 3);
    return group;
}

static inline enum net_way_code way6(struct ewi_net *net, struct stack_addr remote)
{
    struct net_tuple tuple = tuple_to(remote);
    struct net_way way;

    return ewi_net_way(net, &tuple, &way);
}

static inline uint32_t index6(struct ewi_net *net, struct stack_addr address)
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

static inline void put_mac(uint8_t out[6], uint8_t station_number)
{
    struct net_port_config port = ether_port(station_number);

    memcpy(out, port.mac, 6);
}

static inline struct message solicitation(struct stack_addr source, struct stack_addr target, uint8_t mac)
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

static inline struct message advertisement(struct stack_addr target, uint8_t mac, uint8_t flags)
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

static inline void message_arrives_at(struct ewi_net *net, uint16_t port, const struct message *m)
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
    arrive_at(net, port, bytes, (uint32_t)(54 + length));
    CHECK(ewi_net_link_check(net) == NULL);
}

static inline void message_arrives(struct ewi_net *net, const struct message *m)
{
    message_arrives_at(net, 0, m);
}

static inline void ns_arrives(struct ewi_net *net, struct stack_addr source, struct stack_addr target,
                       uint8_t mac)
{
    struct message m = solicitation(source, target, mac);

    message_arrives(net, &m);
}

static inline void na_arrives(struct ewi_net *net, struct stack_addr target, uint8_t mac, uint8_t flags)
{
    struct message m = advertisement(target, mac, flags);

    message_arrives(net, &m);
}

/* ---- messages that depart ---- */

static inline struct net_ndp departs(struct ewi_net *net, struct net_ip6 *ip)
{
    CHECK(depart(net, &frame));
    CHECK_EQ(frame.out.network_bytes, NET_IP6_BYTES);
    CHECK(same_mac(frame.bytes + 6, 1));
    struct net_ndp ndp = ndp_of(&frame, ip);
    CHECK_EQ(ip->hop_limit, 255); /* RFC 4861 section 4.3 */
    return ndp;
}

static inline void departs_question_for(struct ewi_net *net, struct stack_addr target,
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

static inline struct ewi_net *asking(void)
{
    struct ewi_net *net = addressed(1);

    CHECK_EQ(way6(net, ip6(0, 9)), NET_WAY_PENDING);
    discard(net);
    return net;
}

static inline struct ewi_net *knows_nine(void)
{
    struct ewi_net *net = asking();

    na_arrives(net, ip6(0, 9), 9, NET_NA_SOLICITED | NET_NA_OVERRIDE);
    CHECK_EQ(entry(net, ip6(0, 9))->state, NET_NEIGHBOUR_REACHABLE);
    return net;
}

static inline void nine_is(struct ewi_net *net, enum net_neighbour_state state, uint8_t mac)
{
    CHECK_EQ(entry(net, ip6(0, 9))->state, state);
    CHECK(same_mac(entry(net, ip6(0, 9))->mac, mac));
}

#endif
