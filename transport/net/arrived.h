/* transport/net/arrived.h - a packet on its way up, behind its IP header.
 *
 * Purpose    What TCP, UDP and ICMP get from the network layer.
 * Shape      bytes, length: the transport header and what follows, without padding of the link.
 *            tuple: addresses, family and scope; ports are 0, the transport fills them in.
 *            addresses: what ewi_net_tcp_parse and the others take: the sum of both addresses, or
 *            NET_SUM_BY_DEVICE.
 * Owner      values; bytes lie in the packet of rx, or (rx NULL: reassembled) in memory that is valid
 *            during the call only
 * Threads    one caller at a time
 * Trust      the IP header was judged and the packet is for us; `bytes` is hostile
 * Errors     none
 * Invariants I1  the receiver counts it: in accepted, or in exactly one drop_ counter.
 * Ordering   single threaded
 * Source     transport/net/whole.h
 */
#ifndef EWI_TRANSPORT_NET_ARRIVED_H
#define EWI_TRANSPORT_NET_ARRIVED_H

#include "transport/net/tuple.h"

struct ewi_net;
struct net_rx;

struct net_arrived {
    struct net_rx *rx;
    uint8_t *bytes;
    uint32_t length;
    uint32_t addresses;
    const uint8_t *packet; /* its IP header, for quotes */
    uint32_t packet_bytes;
    struct net_tuple tuple;
    uint16_t port;
    uint8_t protocol, traffic_class, hop_limit;
    bool is_multicast; /* to a group or broadcast, of IP or the link: no RST, no ICMP error */
};

#endif
