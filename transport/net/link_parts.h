/* transport/net/link_parts.h - what the files of the link layer share with each other only.
 *
 * Purpose    link.c is the outside, and these are the calls between the files behind it.
 * Shape      link.c     memory, input, timers          port.c   configuration (net.h)
 *            way.c      routes, neighbours, whose      slots.c  packets on their way out
 *            resolve.c  the cache and those who wait   arp.c, ndp.c  messages
 * Owner      the stack
 * Threads    one caller at a time
 * Trust      judged by arp.c and ndp.c before anything here is called
 * Errors     see each
 * Invariants none
 * Ordering   single threaded
 * Source     transport/net/link.h
 */
#ifndef EWI_TRANSPORT_NET_LINK_PARTS_H
#define EWI_TRANSPORT_NET_LINK_PARTS_H

#include "transport/net/whole.h"

enum net_slot_kind { NET_SLOT_PACKET, NET_SLOT_MESSAGE, NET_SLOT_ANSWER };

static const uint8_t net_everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static inline bool ewi_net_mac_is_group(const uint8_t mac[6])
{
    return (mac[0] & 1) != 0;
}

static inline bool ewi_net_is_zero(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

static inline bool ewi_net_is_ethernet(const struct ewi_net *net, uint16_t port)
{
    return (net->link.port[port].caps & NET_PORT_ETHERNET) != 0;
}

static inline size_t ewi_net_slot_stride(const struct net_config *config)
{
    return (size_t)ewi_align_up(config->slot_bytes, NET_ALIGN);
}

/* ---- way.c ---- */

/* Could a single other station have it? No group, broadcast, unspecified or loopback address. */
bool ewi_net_is_station(uint8_t family, const uint8_t address[16]);
/* Is the station by its address on the link of this port? */
bool ewi_net_is_on_link(const struct ewi_net *net, uint16_t port, uint8_t family,
                        const uint8_t address[16]);
/* Our GOOD address at this port that a packet to `remote` should come from; NULL: none. */
const uint8_t *ewi_net_source_at(const struct ewi_net *net, uint16_t port, uint8_t family,
                                 const uint8_t remote[16]);
/* RFC 1112 section 6.4, RFC 2464 section 7. */
void ewi_net_group_mac(uint8_t out[6], uint8_t family, const uint8_t group[16]);
void ewi_net_forget_hops(struct ewi_net *net);

/* ---- resolve.c ---- */

/* Those of a port that are known and not configured; who is being asked for, is asked for still. */
void ewi_net_forget_neighbours(struct ewi_net *net, uint16_t port);

/* The neighbour's entry, made and asked for if need be. NET_NONE: there is no room. */
uint32_t ewi_net_resolve(struct ewi_net *net, uint16_t port, uint8_t family,
                         const uint8_t address[16]);
/* A packet is about to go there. */
void ewi_net_use(struct ewi_net *net, uint32_t index);
/* Configuration: 0 or -ENOSPC. */
int ewi_net_fix_neighbour(struct ewi_net *net, uint16_t port, uint8_t family,
                          const uint8_t address[16], const uint8_t mac[6]);
/* A message of it says this; is_guest: make an entry if there is none and room for guests. False: there
 * is no entry. */
bool ewi_net_heard(struct ewi_net *net, uint16_t port, uint8_t family, const uint8_t address[16],
                   const struct net_heard *heard, bool is_guest);
/* Connections whose neighbour was pushed out of the cache. */
void ewi_net_tell_dead(struct ewi_net *net);
/* What waits can leave: its hardware address is known. */
void ewi_net_let_go(struct ewi_net *net, uint32_t index);
void ewi_net_neighbours_tick(struct ewi_net *net);

/* ---- slots.c ---- */

/* A slot for a message of the link itself, with its Ethernet header; NET_NONE: counted, or (an answer)
 * there are enough of them on their way. */
uint32_t ewi_net_message_take(struct ewi_net *net, uint16_t port, const uint8_t to[6], uint16_t type,
                              bool is_answer);
void ewi_net_slot_leave(struct ewi_net *net, uint32_t index);
void ewi_net_slot_wait(struct ewi_net *net, uint32_t index, uint32_t hop);
/* All slots that wait for it leave, or are dropped. */
void ewi_net_slots_release(struct ewi_net *net, uint32_t hop);
void ewi_net_slots_drop(struct ewi_net *net, uint32_t hop);

/* ---- arp.c, ndp.c: false: there was no slot ---- */

void ewi_net_arp_input(struct ewi_net *net, uint16_t port, const uint8_t *bytes, size_t length);
/* mac NULL: everybody is asked. */
bool ewi_net_arp_ask(struct ewi_net *net, uint16_t port, const uint8_t address[16],
                     const uint8_t *mac);
bool ewi_net_arp_say(struct ewi_net *net, const struct net_address *address,
                     enum net_address_message message);
bool ewi_net_ndp_ask(struct ewi_net *net, uint16_t port, const uint8_t address[16],
                     const uint8_t *mac);
bool ewi_net_ndp_say(struct ewi_net *net, const struct net_address *address,
                     enum net_address_message message);

#endif
