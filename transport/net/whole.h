/* transport/net/whole.h - struct ewi_net, and how its layers call each other.
 *
 * Purpose    The parts of the stack side by side in one struct, and the few calls that go up and down
 *            between them; a layer's own header says the rest.
 * Shape      net.c      start, input, tick, output, events: order of the layers
 *            link.h     ports, addresses, routes, neighbours, slots: frames in and out
 *            ip.h       IPv4 and IPv6, ICMP, path MTUs, reassembly
 *            udp.h      UDP endpoints
 *            packets.h  packets that are kept, for TCP and UDP
 *            tcp.h      everything about connections
 *            Each layer has  _place (its memory; runs once for the size, once for the addresses),
 *            _init, and where it has timers _tick and _deadline.
 * Owner      one struct at the start of the stack's memory; it holds pointers into that memory
 * Threads    one caller at a time
 * Trust      struct net_arrived: the header was judged, what `bytes` points to is hostile
 * Errors     none of its own
 * Invariants I1  calls go down (tcp, udp -> ip -> link) or up as an ..._input; a layer never reads
 *                another one's struct (checked: net_layers in tests/python/tidy.py).
 * Ordering   single threaded
 * Source     transport/net/net.h
 */
#ifndef EWI_TRANSPORT_NET_WHOLE_H
#define EWI_TRANSPORT_NET_WHOLE_H

#include "transport/net/ip.h"
#include "transport/net/link.h"
#include "transport/net/net.h"
#include "transport/net/packets.h"
#include "transport/net/random.h"
#include "transport/net/tcp.h"
#include "transport/net/udp.h"

struct ewi_net {
    uint64_t now; /* the last one given; never falls */
    uint8_t seed[32];
    struct net_config config;
    struct net_counters count;
    struct net_random random;
    struct net_links link;
    struct net_internet ip;
    struct net_packets packets;
    struct net_tcp_all tcp;
    struct net_udp_all udp;
};

#endif
