/* transport/net/udp.h - UDP endpoints: datagrams in queues, datagrams into slots.
 *
 * Purpose    RFC 768 over both versions of IP with the same packets, tokens and slots as TCP.
 * Shape      see transport/net/net.h, "UDP"
 * Owner      the stack
 * Threads    one caller at a time
 * Trust      datagrams are hostile
 * Errors     negative errno, counters
 * Invariants I1  an endpoint's queue pins at most its limit of memory.
 * Ordering   single threaded
 * Source     RFC 768, 1122 section 4.1, 8085, 8200 section 8.1
 */
#ifndef EWI_TRANSPORT_NET_UDP_H
#define EWI_TRANSPORT_NET_UDP_H

#include "transport/net/arrived.h"
#include "transport/net/block.h"
#include "transport/net/ip.h"
#include "transport/net/pool.h"

struct net_udp_all {
    uint32_t todo;
};

struct net_udp_places {
    void *todo;
};

void ewi_net_udp_place(struct net_block *block, const struct net_config *config,
                       struct net_udp_places *places);
void ewi_net_udp_init(struct ewi_net *net, const struct net_udp_places *places);
void ewi_net_udp_input(struct ewi_net *net, struct net_arrived *arrived);
bool ewi_net_udp_icmp(struct ewi_net *net, const struct net_tuple *tuple,
                      const struct net_icmp_told *told);

#endif
