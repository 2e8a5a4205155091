/* transport/net/header_ndp.h - the five messages of Neighbor Discovery and their options.
 *
 * Purpose    One judgement of everything that RFC 4861 demands of a message before it is believed.
 * Shape      struct net_ndp holds the fields of all five; which count depends on the type:
 *              RS        source_link
 *              RA        flags, hop_limit, router_s, reachable_ms, retransmit_ms, source_link, mtu,
 *                        prefix
 *              NS        target, source_link
 *              NA        target, flags, target_link
 *              redirect  target, destination, target_link
 *            The others are 0. Link-layer addresses are Ethernet's.
 * Owner      values; nothing points into the packet
 * Threads    any
 * Trust      every byte is hostile, and so is every node on the link: hop limit 255 only says that
 *            it is on the link
 * Errors     NET_TOO_SHORT, NET_BAD_OPTION (a length of 0, beyond the message, or not the kind's),
 *            NET_BAD_FIELD (hop limit, code, addresses), NET_UNKNOWN (no NDP)
 * Invariants I1  parse(build(x)) == x for every x that parse() returns.
 * Ordering   none
 * Source     RFC 4861 sections 4, 6.1, 7.1, 8.1; RFC 2464 section 6
 */
#ifndef EWI_TRANSPORT_NET_HEADER_NDP_H
#define EWI_TRANSPORT_NET_HEADER_NDP_H

#include "transport/net/header_icmp.h"

enum net_ndp_type {
    NET_NDP_RS = 133,
    NET_NDP_RA = 134,
    NET_NDP_NS = 135,
    NET_NDP_NA = 136,
    NET_NDP_REDIRECT = 137,
};

enum {
    NET_NDP_HOP_LIMIT = 255,
    NET_NDP_PREFIXES_MAX = 4, /* more are skipped */
    NET_NDP_BYTES_MAX = 16 + 8 + 8 + NET_NDP_PREFIXES_MAX * 32,
};

enum net_ndp_flags {
    NET_NA_ROUTER = 0x80,
    NET_NA_SOLICITED = 0x40,
    NET_NA_OVERRIDE = 0x20,
    NET_RA_MANAGED = 0x80,
    NET_RA_OTHER = 0x40,
};

enum net_ndp_has { NET_NDP_HAS_SOURCE_LINK = 1, NET_NDP_HAS_TARGET_LINK = 2, NET_NDP_HAS_MTU = 4 };

struct net_ndp_prefix {
    uint8_t prefix[16];
    uint32_t valid_s, preferred_s; /* UINT32_MAX: forever */
    uint8_t bits;
    bool on_link, autonomous;
};

struct net_ndp {
    uint8_t type, flags, hop_limit, has;
    uint8_t target[16], destination[16];
    uint16_t router_s;
    uint32_t reachable_ms, retransmit_ms;
    uint8_t source_link[6], target_link[6];
    uint32_t mtu;
    uint8_t prefixes;
    struct net_ndp_prefix prefix[NET_NDP_PREFIXES_MAX];
};

/* bytes: the ICMPv6 message, whose checksum ewi_net_icmp6_parse has judged; ip: its header. */
enum net_code ewi_net_ndp_parse(const uint8_t *bytes, size_t length, const struct net_ip6 *ip,
                                struct net_ndp *out);
/* The whole ICMPv6 message with its checksum. addresses: ewi_net_sum_ip6. */
size_t ewi_net_ndp_build(uint8_t out[NET_NDP_BYTES_MAX], const struct net_ndp *ndp,
                         uint32_t addresses);

#endif
