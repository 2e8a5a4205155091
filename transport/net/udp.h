/* transport/net/udp.h - UDP endpoints: datagrams in queues, datagrams into slots.
 *
 * Purpose    RFC 768 over both versions of IP with the same packets, tokens and slots as TCP.
 * Shape      endpoint   bound: an address (or any) and a port, from anybody; connected: to one peer too.
 *                       A datagram goes to the most specific one. No two have the same name.
 *            handle     slot with its highest two bits binary 10, generation in the high half
 *            queue      packets by index, or (bit 31) slots of reassembly for what is in no other
 *                       memory of ours in one piece. A note (who sent it) is written over the headers
 *                       in front of the payload, so a datagram costs no memory but its packet.
 *            Sends are copied into slots; what is too long for the path leaves in fragments.
 * Owner      the stack; what recv gave is the user's until release, and counts against the limit
 * Threads    one caller at a time
 * Trust      datagrams are hostile. An ICMP error is believed if it quotes our port and, on a connected
 *            endpoint, its peer; there is no sequence number to check.
 * Errors     negative errno, counters. error() tells an ICMP error once, and the endpoint goes on.
 * Invariants I1  an endpoint's datagrams pin at most NET_UDP_QUEUE_BYTES of memory.
 *            I2  a chosen port is no other endpoint's.
 * Ordering   single threaded
 * Source     RFC 768, 1122 section 4.1, 8085, 8200 section 8.1; RFC 6056 section 3.3.1
 */
#ifndef EWI_TRANSPORT_NET_UDP_H
#define EWI_TRANSPORT_NET_UDP_H

#include "transport/net/arrived.h"
#include "transport/net/block.h"
#include "transport/net/events.h"
#include "transport/net/ip.h"
#include "transport/net/listeners.h"
#include "transport/net/pool.h"
#include "transport/stack.h"

enum { NET_UDP_QUEUE_BYTES = 1 << 20 };

struct net_udp_endpoint {
    struct net_tuple tuple;   /* connected: its name; else zero */
    struct net_listen listen; /* bound: its name, and of both the local address and port */
    struct net_tuple sent_to; /* of the last datagram, with its ports */
    uint64_t user;
    uint64_t dropped;      /* datagrams, for want of memory */
    uint32_t first, last;  /* queue */
    uint32_t charged;      /* queued, or given to the user */
    uint32_t watch;        /* enum stack_event_bits */
    int error;             /* 0 or a negative errno: told by ICMP */
    bool is_connected;
};

struct net_udp_all {
    struct net_pool endpoints;
    struct net_table connected;
    struct net_listeners bound;
    struct net_events events;
    uint32_t *users; /* of each port from NET_PORTS_LOW on: endpoints that have it */
    uint32_t users_all; /* their sum */
    uint8_t key[16];
};

struct net_udp_places {
    void *endpoints, *connected, *bound, *events, *users;
};

void ewi_net_udp_place(struct net_block *block, const struct net_config *config,
                       struct net_udp_places *places);
void ewi_net_udp_init(struct ewi_net *net, const struct net_udp_places *places);
void ewi_net_udp_input(struct ewi_net *net, struct net_arrived *arrived);
bool ewi_net_udp_icmp(struct ewi_net *net, const struct net_tuple *tuple,
                      const struct net_icmp_told *told);

/* ---- handles ---- */

enum { NET_UDP_KIND_SHIFT = 30, NET_UDP_KIND = 2 };

static inline bool ewi_net_udp_is_handle(ewi_stream stream)
{
    return (uint32_t)stream >> NET_UDP_KIND_SHIFT == NET_UDP_KIND;
}

/* NET_NONE: stale, or never was one. */
uint32_t ewi_net_udp_find(const struct ewi_net *net, ewi_stream stream);
struct net_udp_endpoint *ewi_net_udp_at(const struct ewi_net *net, uint32_t index);
ewi_stream ewi_net_udp_handle(const struct ewi_net *net, uint32_t index);

/* ---- what net.h's calls do when the handle is an endpoint's ---- */

int ewi_net_udp_watch(struct ewi_net *net, ewi_stream stream, uint32_t bits);
uint32_t ewi_net_udp_ready(struct ewi_net *net, ewi_stream stream);
/* Tells it once. */
int ewi_net_udp_error(struct ewi_net *net, ewi_stream stream);
int ewi_net_udp_addresses(struct ewi_net *net, ewi_stream stream, struct stack_addr *local,
                          struct stack_addr *remote);
uint32_t ewi_net_udp_events(struct ewi_net *net, struct stack_event *events, uint32_t count);
/* As ewi_net_check; every port's users too, which takes its time. */
const char *ewi_net_udp_check(struct ewi_net *net);
const char *ewi_net_udp_check_ports(const struct ewi_net *net);

/* ---- between udp.c and udp_user.c: a datagram that is kept ---- */

struct net_packet;
struct net_datagram;

struct net_packet *ewi_net_udp_packet(struct ewi_net *net, uint32_t id);
void ewi_net_udp_give(struct ewi_net *net, uint32_t id); /* its memory; the endpoint's charge falls */
/* data, bytes, addresses; not the local port. */
void ewi_net_udp_describe(struct ewi_net *net, uint32_t id, struct net_datagram *out);

#endif
