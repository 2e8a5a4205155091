/* transport/net/header_icmp.h - ICMP for both versions of IP, and the packet that an error quotes.
 *
 * Purpose    Echo, errors, and to which connection an error belongs.
 * Shape      type, code, checksum, 4 bytes that depend on the type, payload. NDP's messages are
 *            ICMPv6 too: transport/net/header_ndp.h parses them after this.
 * Owner      values; nothing points into the packet
 * Threads    any
 * Trust      every byte is hostile; a quote can be invented by anybody who knows the addresses, so
 *            the connection must check the sequence number: RFC 5927 section 4
 * Errors     NET_TOO_SHORT, NET_BAD_CHECKSUM; a quote also NET_BAD_VERSION, NET_BAD_LENGTH,
 *            NET_BAD_CHAIN. Unknown types and codes are parsed; RFC 1122 section 3.2.2 drops them.
 * Invariants I1  parse(build(x)) == x.
 * Ordering   none
 * Source     RFC 792, 1122 section 3.2.2, 1191 section 4, 4443
 */
#ifndef EWI_TRANSPORT_NET_HEADER_ICMP_H
#define EWI_TRANSPORT_NET_HEADER_ICMP_H

#include "transport/net/header.h"

enum { NET_ICMP_BYTES = 8 };

enum net_icmp4_type {
    NET_ICMP4_ECHO_REPLY = 0,
    NET_ICMP4_UNREACHABLE = 3,
    NET_ICMP4_SOURCE_QUENCH = 4, /* RFC 6633: ignored */
    NET_ICMP4_REDIRECT = 5,
    NET_ICMP4_ECHO = 8,
    NET_ICMP4_TIME_EXCEEDED = 11,
    NET_ICMP4_PARAMETER = 12,
};

enum net_icmp4_code { /* of unreachable */
    NET_ICMP4_NET_UNREACHABLE = 0,
    NET_ICMP4_HOST_UNREACHABLE = 1,
    NET_ICMP4_PROTOCOL_UNREACHABLE = 2,
    NET_ICMP4_PORT_UNREACHABLE = 3,
    NET_ICMP4_FRAGMENTATION_NEEDED = 4,
};

enum net_icmp6_type {
    NET_ICMP6_UNREACHABLE = 1,
    NET_ICMP6_TOO_BIG = 2,
    NET_ICMP6_TIME_EXCEEDED = 3,
    NET_ICMP6_PARAMETER = 4,
    NET_ICMP6_INFORMATION = 128, /* the first that is no error */
    NET_ICMP6_ECHO = 128,
    NET_ICMP6_ECHO_REPLY = 129,
};

struct net_icmp {
    uint8_t type, code;
    uint32_t rest; /* bytes 4 to 7; echo: identifier, sequence number; an error: as below */
};

static inline bool ewi_net_icmp4_is_error(uint8_t type)
{
    return type == NET_ICMP4_UNREACHABLE || type == NET_ICMP4_SOURCE_QUENCH ||
           type == NET_ICMP4_REDIRECT || type == NET_ICMP4_TIME_EXCEEDED ||
           type == NET_ICMP4_PARAMETER;
}

static inline bool ewi_net_icmp6_is_error(uint8_t type)
{
    return type < NET_ICMP6_INFORMATION;
}

/* Of fragmentation needed, 0: the router is older than RFC 1191. */
static inline uint16_t ewi_net_icmp4_mtu(uint32_t rest)
{
    return (uint16_t)rest;
}

enum net_code ewi_net_icmp4_parse(const uint8_t *bytes, size_t length, struct net_icmp *out);
size_t ewi_net_icmp4_build(uint8_t out[NET_ICMP_BYTES], const struct net_icmp *icmp,
                           uint32_t payload);

/* addresses: ewi_net_sum_ip6, or in parse() NET_SUM_BY_DEVICE. rest is the MTU of "too big", the
 * pointer of "parameter problem". */
enum net_code ewi_net_icmp6_parse(const uint8_t *bytes, size_t length, uint32_t addresses,
                                  struct net_icmp *out);
size_t ewi_net_icmp6_build(uint8_t out[NET_ICMP_BYTES], const struct net_icmp *icmp,
                           uint32_t addresses, uint32_t payload, size_t payload_bytes);

/* What is left of the packet that an error is about: ours, if the error is honest. */
struct net_quote {
    bool is_ip6;
    uint8_t source[16], destination[16]; /* IPv4 in the first four, zeros behind */
    uint8_t protocol;
    bool has_ports; /* TCP or UDP, and no fragment behind the first */
    uint16_t source_port, destination_port;
    uint32_t sequence; /* of TCP */
};

/* bytes: behind the 8 of an error. It may end anywhere behind 8 bytes of the transport header (RFC
 * 792); its checksums may be those of another hop and are not looked at. */
enum net_code ewi_net_quote4_parse(const uint8_t *bytes, size_t length, struct net_quote *out);
enum net_code ewi_net_quote6_parse(const uint8_t *bytes, size_t length, struct net_quote *out);

#endif
