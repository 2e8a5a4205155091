#ifndef EWI_TRANSPORT_NET_TCP_H
#define EWI_TRANSPORT_NET_TCP_H

#include "transport/net/arrived.h"
#include "transport/net/block.h"
#include "transport/net/ip.h"

struct net_frame;

struct net_tcp_all {
    uint32_t todo;
};

struct net_tcp_places {
    void *todo;
};

void ewi_net_tcp_place(struct net_block *block, const struct net_config *config,
                       struct net_tcp_places *places);
void ewi_net_tcp_init(struct ewi_net *net, const struct net_tcp_places *places);
void ewi_net_tcp_input(struct ewi_net *net, struct net_arrived *arrived);
void ewi_net_tcp_tick(struct ewi_net *net);
uint64_t ewi_net_tcp_deadline(const struct ewi_net *net);
uint32_t ewi_net_tcp_output(struct ewi_net *net, struct net_frame *frames, uint32_t count);
/* The neighbour that these connections (a list, as ewi_net_way_parked holds it) waited for answers, or
 * was given up. */
void ewi_net_tcp_way_changed(struct ewi_net *net, uint32_t parked, bool is_ready);
/* An ICMP error quotes a segment of ours. False: not believed. */
bool ewi_net_tcp_icmp(struct ewi_net *net, const struct net_tuple *tuple,
                      const struct net_icmp_told *told);
/* Some port's or path's MTU changed: look at it before the next segment. */

#endif
