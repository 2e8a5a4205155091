/* transport/net/link.h - ports, addresses, routes, neighbours: frames in, and the way out.
 *
 * Purpose    Everything between a device and IP: Ethernet, ARP, NDP, who is on which link, and by
 *            which port and hardware address a packet leaves. Addresses and routes are configured:
 *            router advertisements and redirects are counted and change nothing, groups are not
 *            reported (no MLD, no IGMP): the device has to let all-nodes and solicited-node groups pass.
 * Shape      way      where packets of one connection go: port, MTU, hardware address
 *            slot     a whole IP packet (or ARP message) on its way out that has no connection
 * Owner      the stack
 * Threads    one caller at a time
 * Trust      frames are hostile; configuration is ours
 * Errors     enum net_way_code; NET_NONE: no slot, counted
 * Invariants I1  at most NET_NEIGHBOUR_QUEUE slots wait for one neighbour and three quarters of all for
 *                neighbours; an eighth are answers on their way out. So there is one for a request.
 *            I2  TCP is told about its way by input, tick and configuration, never inside a call of its.
 *            I3  a message makes an entry only if it asks for an address of ours, within the limit of
 *                neighbour.h for guests.
 * Ordering   single threaded
 * Source     RFC 826, 1122 section 2.3.2, 4861, 4862, 5227
 */
#ifndef EWI_TRANSPORT_NET_LINK_H
#define EWI_TRANSPORT_NET_LINK_H

#include "transport/net/addresses.h"
#include "transport/net/arrived.h"
#include "transport/net/block.h"
#include "transport/net/header_ndp.h"
#include "transport/net/neighbour.h"
#include "transport/net/pool.h"
#include "transport/net/route.h"

struct net_config;
struct net_frame;

enum {
    NET_PORTS_MAX = 64,
    NET_SLOTS_MIN = 16,       /* some for each of: waiting for a neighbour, answers, everything else */
    NET_NEIGHBOUR_QUEUE = 64, /* slots that wait for one neighbour: 64 KiB in fragments of 1280 */
    NET_HOPS_REMEMBERED = 256,
};

struct net_link_port {
    uint32_t caps, tso_max;
    uint16_t mtu;
    uint8_t mac[6];
};

struct net_hop { /* where a packet to `remote` went last time; 32 bytes */
    uint8_t remote[16];
    uint64_t neighbour; /* handle, 0: nothing is remembered */
    uint16_t scope;
    uint8_t family;
};

struct net_slot_list {
    uint32_t first, last, count;
};

struct net_links {
    struct net_link_port *port;
    uint32_t ports;
    struct net_addresses addresses;
    struct net_routes routes;
    struct net_neighbours neighbours;
    struct net_hop *hop;
    struct net_pool slots;
    uint8_t *slot_memory;
    struct net_slot_list leaving;
    uint32_t waiting, answers; /* slots that wait for neighbours; ARP and NDP answers that leave */
};

struct net_links_places {
    void *ports, *addresses, *routes, *neighbours, *hops, *slots, *slot_memory;
};

void ewi_net_link_place(struct net_block *block, const struct net_config *config,
                        struct net_links_places *places);
void ewi_net_link_init(struct ewi_net *net, const struct net_links_places *places);
/* A packet from the shell: judges the link header, calls ewi_net_ip_input. */
void ewi_net_link_input(struct ewi_net *net, struct net_rx *rx);
void ewi_net_link_tick(struct ewi_net *net);
uint64_t ewi_net_link_deadline(const struct ewi_net *net); /* 0: a slot can leave now */
/* Slots that may leave, oldest first. One that is longer than its frame or its port's MTU is dropped,
 * and the next one takes the frame. */
uint32_t ewi_net_link_output(struct ewi_net *net, struct net_frame *frames, uint32_t count);

/* NULL, or the first invariant that does not hold. */
const char *ewi_net_link_check(struct ewi_net *net);

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
 * only stores it. When it becomes ready, is given up or was pushed out of the full cache, link empties
 * the head and calls ewi_net_tcp_way_changed(), never from inside a call of TCP's. As long as the list
 * is not empty `hop` stays valid. */
uint32_t *ewi_net_way_parked(struct ewi_net *net, uint32_t hop);
/* TCP had an answer from behind this hop: it is reachable (RFC 4861 section 7.3.1). */
void ewi_net_way_confirm(struct ewi_net *net, const struct net_tuple *tuple);
/* Our address for talking to tuple->remote; fills tuple->local (and scope). False: none. */
bool ewi_net_way_source(struct ewi_net *net, struct net_tuple *tuple);

enum net_whose { NET_NOT_OURS, NET_OURS, NET_OURS_TENTATIVE, NET_MULTICAST, NET_BROADCAST };
/* address as in struct net_tuple. */
enum net_whose ewi_net_link_whose(const struct ewi_net *net, uint16_t port, uint8_t family,
                                  const uint8_t address[16]);
/* Any port's, and not known to be somebody else's: may a stream be bound to it? */
bool ewi_net_link_is_local(const struct ewi_net *net, uint8_t family, const uint8_t address[16]);
uint32_t ewi_net_port_caps(const struct ewi_net *net, uint16_t port); /* enum net_port_caps */

/* Scope of a tuple: of IPv6 link-local addresses the number of the port and 1, else 0. Addresses are
 * link-local by RFC 4291 sections 2.5.6 and 2.7 (groups of scope 2). */
static inline bool ewi_net_is_link_local(uint8_t family, const uint8_t address[16])
{
    if (family != 6)
        return false;
    return (address[0] == 0xfe && (address[1] & 0xc0) == 0x80) ||
           (address[0] == 0xff && (address[1] & 0x0f) == 2);
}

static inline uint16_t ewi_net_scope_of(uint16_t port, uint8_t family, const uint8_t address[16])
{
    return ewi_net_is_link_local(family, address) ? (uint16_t)(port + 1) : 0;
}

/* ---- slots ---- */

struct net_slot {
    struct net_tuple tuple; /* addresses decide the way */
    uint8_t *packet;        /* an IP packet from its first byte; slot_bytes of room */
    uint32_t bytes;
    uint32_t next;
    uint16_t port;          /* link's own, as the next two */
    uint8_t kind, header_bytes;
    uint8_t header[14];
    bool finish_sum;
    uint8_t network_bytes, transport_bytes;
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
