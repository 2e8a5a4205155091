/* transport/net/link.h - ports, addresses, routes, neighbours: frames in, and the way out.
 *
 * Purpose    Everything between a device and IP: Ethernet, ARP, NDP, who is on which link, and by
 *            which port and hardware address a packet leaves.
 * Shape      way      where packets of one connection go: port, MTU, hardware address
 *            slot     a whole IP packet (or ARP message) on its way out that has no connection
 * Owner      the stack
 * Threads    one caller at a time
 * Trust      frames are hostile; configuration is ours
 * Errors     enum net_way_code; NET_NONE: no slot, counted
 * Invariants I1  a neighbour holds a bounded number of slots, and of none any memory grows.
 * Ordering   single threaded
 * Source     RFC 826, 1122 section 2.3.2, 4861, 4862, 5227
 */
#ifndef EWI_TRANSPORT_NET_LINK_H
#define EWI_TRANSPORT_NET_LINK_H

#include "transport/net/arrived.h"
#include "transport/net/block.h"
#include "transport/net/header_ndp.h"
#include "transport/net/pool.h"

struct net_config;
struct net_frame;

struct net_links {
    uint32_t todo;
};

struct net_links_places {
    void *todo;
};

void ewi_net_link_place(struct net_block *block, const struct net_config *config,
                        struct net_links_places *places);
void ewi_net_link_init(struct ewi_net *net, const struct net_links_places *places);
/* A packet from the shell: judges the link header, calls ewi_net_ip_input. */
void ewi_net_link_input(struct ewi_net *net, struct net_rx *rx);
void ewi_net_link_tick(struct ewi_net *net);
uint64_t ewi_net_link_deadline(const struct ewi_net *net); /* 0: a slot can leave now */
/* Slots that may leave, oldest first. */
uint32_t ewi_net_link_output(struct ewi_net *net, struct net_frame *frames, uint32_t count);

/* ---- the way of a connection; IP and TCP use it ---- */

enum net_way_code {
    NET_WAY_READY,
    NET_WAY_PENDING, /* the address is being resolved; park on `hop` to be told */
    NET_WAY_NONE     /* no route, or the neighbour does not answer */
};

struct net_way {
    uint16_t port;
    uint16_t mtu;       /* of the port; the path's may be less */
    uint32_t port_caps; /* enum net_port_caps */
    uint32_t tso_max;
    uint32_t hop;       /* the neighbour; NET_NONE on a port without Ethernet */
    uint8_t header_bytes; /* of the link: 0 or 14 */
    uint8_t header[14];   /* ready to be copied in front of IP; READY only */
};

/* For packets from tuple->local to tuple->remote; starts to resolve the address if need be. Cheap:
 * called once for each burst of a connection. */
enum net_way_code ewi_net_way(struct ewi_net *net, const struct net_tuple *tuple,
                              struct net_way *way);
/* The head of the list of connections that wait for this neighbour (NET_NONE: none); TCP's own, link
 * only stores it. When it becomes ready or is given up link calls ewi_net_tcp_way_changed(). */
uint32_t *ewi_net_way_parked(struct ewi_net *net, uint32_t hop);
/* TCP had an answer from behind this hop: it is reachable (RFC 4861 section 7.3.1). */
void ewi_net_way_confirm(struct ewi_net *net, const struct net_tuple *tuple);
/* Our address for talking to tuple->remote; fills tuple->local (and scope). False: none. */
bool ewi_net_way_source(struct ewi_net *net, struct net_tuple *tuple);

enum net_whose { NET_NOT_OURS, NET_OURS, NET_OURS_TENTATIVE, NET_MULTICAST, NET_BROADCAST };
/* address as in struct net_tuple. */
enum net_whose ewi_net_link_whose(const struct ewi_net *net, uint16_t port, uint8_t family,
                                  const uint8_t address[16]);
/* Any port's: may a stream be bound to it? */
bool ewi_net_link_is_local(const struct ewi_net *net, uint8_t family, const uint8_t address[16]);
uint32_t ewi_net_port_caps(const struct ewi_net *net, uint16_t port); /* enum net_port_caps */

/* ---- slots ---- */

struct net_slot {
    struct net_tuple tuple; /* addresses decide the way */
    uint8_t *packet;        /* an IP packet from its first byte; slot_bytes of room */
    uint32_t bytes;
    uint32_t next;
    uint16_t port;          /* for those of the link itself */
    bool finish_sum;
    uint8_t network_bytes, transport_bytes;
    uint8_t kind;           /* link's own */
};

/* NET_NONE: all in use. */
uint32_t ewi_net_slot_take(struct ewi_net *net);
struct net_slot *ewi_net_slot(struct ewi_net *net, uint32_t index);
/* It has its tuple, packet and bytes: it leaves when its neighbour is known. */
void ewi_net_slot_send(struct ewi_net *net, uint32_t index);
void ewi_net_slot_give(struct ewi_net *net, uint32_t index); /* it is not sent after all */

/* ---- NDP, from ICMPv6 ---- */

void ewi_net_ndp_input(struct ewi_net *net, const struct net_arrived *arrived);

#endif
