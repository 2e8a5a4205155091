/* tests/c/net_way_base.h - ways, routes and static neighbours in few words.
 *
 * Purpose    Shared by the tests of transport/net/way.c, port.c and slots.c.
 * Shape      functions of the test program's one file
 * Owner      static memory of the test program
 * Threads    one
 * Trust      none: test code only
 * Errors     a CHECK fails
 * Invariants none
 * Ordering   none
 * Source     none
 */
#ifndef TESTS_C_NET_WAY_BASE_H
#define TESTS_C_NET_WAY_BASE_H

#include "tests/c/net_link_base.h"

static const uint8_t mac_a[6] = {2, 0, 0, 0, 0, 0xa}, mac_b[6] = {2, 0, 0, 0, 0, 0xb};

static inline struct net_way way_to(struct ewi_net *net, struct stack_addr remote,
                             enum net_way_code expected)
{
    struct net_tuple tuple = tuple_to(remote);
    struct net_way way;

    CHECK_EQ(ewi_net_way(net, &tuple, &way), expected);
    return way;
}

static inline void fix(struct ewi_net *net, struct stack_addr address, const uint8_t mac[6])
{
    CHECK_EQ(ewi_net_neighbour_add(net, 0, &address, mac), 0);
}

static inline int route(struct ewi_net *net, struct stack_addr to, unsigned bits, int port,
                 struct stack_addr via)
{
    return ewi_net_route_add(net, &to, bits, port, via.family == 0 ? NULL : &via);
}

static const struct stack_addr on_link;

static inline enum net_whose whose(const struct ewi_net *net, uint16_t port, struct stack_addr address)
{
    return ewi_net_link_whose(net, port, address.family, address.ip);
}

#endif
