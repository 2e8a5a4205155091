/* transport/net/header.h - Ethernet, ARP, IPv4, IPv6 and UDP: bytes to structs and back.
 *
 * Purpose    The only place that knows how the headers below TCP lie in memory, and the only one
 *            that judges them. ICMP, NDP and TCP have headers of their own beside this one.
 * Shape      parse(bytes, length, ..., out): `length` is what there is, headers say what they want.
 *            build(out, ...): writes exactly its header and returns how long it is; the caller has
 *            room for the most it can be. Numbers are in host order; IPv6 and MAC addresses stay
 *            bytes. Sizes and offsets are in bytes, fragment offsets too.
 *            A layer's payload is bytes + header_bytes, payload_bytes long; what lies behind that
 *            is padding.
 * Owner      values; nothing points into the packet
 * Threads    any
 * Trust      every byte is hostile; a parser never reads at or beyond `length`. What build() gets
 *            is ours, and asserted.
 * Errors     enum net_code; out is undefined unless NET_OK, but for struct net_ip6_chain, which
 *            then says what ICMPv6 tells the sender.
 * Invariants I1  parse(build(x)) == x for every x that a parser can return, options aside.
 *            I2  NET_OK means header_bytes + payload_bytes <= length.
 * Ordering   none
 * Source     IEEE 802.3, 802.1Q; RFC 768, 791, 826, 894, 1122 section 3.2, 8200
 */
#ifndef EWI_TRANSPORT_NET_HEADER_H
#define EWI_TRANSPORT_NET_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum net_code { /* an index of counters */
    NET_OK,
    NET_TOO_SHORT,    /* the bytes end before the header, or what the header promises */
    NET_BAD_VERSION,  /* of IP */
    NET_BAD_LENGTH,   /* a length field contradicts itself or its header */
    NET_BAD_CHECKSUM,
    NET_BAD_OPTION,   /* its length is illegal, or it demands that the packet is dropped */
    NET_BAD_CHAIN,    /* IPv6 extension headers: order, count, size; a chain cut by a fragment */
    NET_BAD_FIELD,    /* a value that its RFC forbids */
    NET_UNKNOWN,      /* well-formed, but nothing that we speak */
    NET_CODES
};

const char *ewi_net_code_name(enum net_code code);

enum {
    NET_ETHER_BYTES = 14,
    NET_ETHER_BYTES_MAX = 18,
    NET_ARP_BYTES = 28,
    NET_IP4_BYTES = 20,
    NET_IP6_BYTES = 40,
    NET_IP6_FRAGMENT_BYTES = 8,
    NET_UDP_BYTES = 8,
};

enum net_protocol {
    NET_IP6_HOP_BY_HOP = 0,
    NET_ICMP4 = 1,
    NET_TCP = 6,
    NET_UDP = 17,
    NET_IP6_ROUTING = 43,
    NET_IP6_FRAGMENT = 44,
    NET_ICMP6 = 58,
    NET_IP6_NONE = 59,
    NET_IP6_DESTINATION = 60,
};

/* ---- Ethernet II, with at most one 802.1Q tag ---- */

enum net_ether_type {
    NET_ETHER_IP4 = 0x0800,
    NET_ETHER_ARP = 0x0806,
    NET_ETHER_TAG = 0x8100,
    NET_ETHER_IP6 = 0x86dd,
    NET_ETHER_TAG_OUTER = 0x88a8,
};

struct net_ether {
    uint8_t destination[6], source[6];
    uint16_t type;      /* behind the tag */
    uint16_t tag;       /* priority 3 bits, drop eligible 1, VLAN 12 */
    bool is_tagged;
    uint8_t header_bytes;
};

enum net_code ewi_net_ether_parse(const uint8_t *bytes, size_t length, struct net_ether *out);
/* Without a tag, as everything is that we send. */
size_t ewi_net_ether_header(uint8_t out[NET_ETHER_BYTES], const uint8_t to[6],
                            const uint8_t from[6], uint16_t type);
size_t ewi_net_ether_build(uint8_t out[NET_ETHER_BYTES_MAX], const struct net_ether *ether);

/* ---- ARP for IPv4 over Ethernet: RFC 826 ---- */

enum net_arp_operation { NET_ARP_REQUEST = 1, NET_ARP_REPLY = 2 };

struct net_arp {
    uint16_t operation;
    uint8_t sender_mac[6], target_mac[6];
    uint32_t sender, target;
};

enum net_code ewi_net_arp_parse(const uint8_t *bytes, size_t length, struct net_arp *out);
size_t ewi_net_arp_build(uint8_t out[NET_ARP_BYTES], const struct net_arp *arp);

/* ---- IPv4: RFC 791 ---- */

struct net_ip4 {
    uint32_t source, destination;
    uint16_t payload_bytes;
    uint16_t id;
    uint16_t fragment_at; /* of the payload in the whole one */
    bool more_fragments, dont_fragment;
    bool has_source_route; /* RFC 7126 section 4.3: drop it */
    uint8_t traffic_class; /* DSCP 6 bits, ECN 2 */
    uint8_t hop_limit, protocol;
    uint8_t header_bytes;  /* options are judged and skipped; build() writes none */
};

enum net_code ewi_net_ip4_parse(const uint8_t *bytes, size_t length, struct net_ip4 *out);
size_t ewi_net_ip4_build(uint8_t out[NET_IP4_BYTES], const struct net_ip4 *ip);
/* The first fragment's header, options and all, becomes that of the whole one. marks: what is added to
 * its traffic class. */
void ewi_net_ip4_make_whole(uint8_t *header, size_t header_bytes, size_t payload_bytes,
                            uint8_t marks);

/* ---- IPv6: RFC 8200 ---- */

struct net_ip6 {
    uint8_t source[16], destination[16];
    uint32_t flow; /* 20 bits */
    uint16_t payload_bytes;
    uint8_t traffic_class, hop_limit;
    uint8_t next;  /* what follows: an extension header or a protocol */
};

enum net_code ewi_net_ip6_parse(const uint8_t *bytes, size_t length, struct net_ip6 *out);
size_t ewi_net_ip6_build(uint8_t out[NET_IP6_BYTES], const struct net_ip6 *ip);

enum { /* RFC 8504 section 5.3 lets a host choose; RFC 8883 has codes to say so */
    NET_IP6_EXTENSIONS_MAX = 8,
    NET_IP6_EXTENSION_BYTES_MAX = 512,
    NET_IP6_OPTIONS_MAX = 8, /* in one header, padding aside */
};

enum net_report { /* of a packet that is dropped: RFC 8200 section 4.2 */
    NET_REPORT_NOT,
    NET_REPORT_UNICAST, /* ICMPv6, unless the destination was multicast */
    NET_REPORT_ALWAYS,
};

struct net_ip6_chain {
    uint16_t header_bytes;  /* of IPv6 and all extension headers; in a fragment: up to its payload */
    uint16_t payload_bytes;
    uint8_t protocol;       /* behind them; in a fragment, of what is fragmented */
    uint8_t extensions;
    bool is_fragment;       /* with other fragments to wait for: RFC 6946 */
    bool more_fragments;
    bool has_fragment_header;
    uint16_t fragment_at;       /* of the payload in the whole one */
    uint16_t fragment_header;   /* where that header is; the unfragmentable part is before it */
    uint16_t fragment_named_at; /* where the field is that names the fragment header */
    uint16_t named_at;          /* where the field is that names `protocol` */
    uint32_t id;

    uint8_t report;    /* enum net_report; these three count only if the chain is not NET_OK */
    uint8_t icmp_code; /* of Parameter Problem: RFC 4443 section 3.4, RFC 7112 section 5 */
    uint16_t pointer;
};

bool ewi_net_ip6_is_extension(uint8_t next);
/* The bytes of the extension header `next` that lies at `at`, 0: `end` comes before its end. */
size_t ewi_net_ip6_extension_bytes(const uint8_t *bytes, size_t at, size_t end, uint8_t next);

/* Walk the chain of a whole packet, of which `ip` was parsed. Protocols that are no extension header
 * that we know end it; whether they are known is the caller's business. */
enum net_code ewi_net_ip6_walk(const uint8_t *bytes, size_t length, const struct net_ip6 *ip,
                               struct net_ip6_chain *out);
size_t ewi_net_ip6_fragment_build(uint8_t out[NET_IP6_FRAGMENT_BYTES], uint8_t next,
                                  uint16_t fragment_at, bool more_fragments, uint32_t id);
/* The first fragment's headers become those of the whole one, which begins 8 bytes later: the fragment
 * header goes, and who named it names what it named (RFC 8200 section 4.5). Of `first` count protocol and
 * the two that begin with fragment_. payload_bytes: behind the chain. */
uint8_t *ewi_net_ip6_make_whole(uint8_t *header, const struct net_ip6_chain *first,
                                size_t payload_bytes, uint8_t marks);

/* ---- UDP: RFC 768 ---- */

struct net_udp {
    uint16_t source_port, destination_port;
    uint16_t payload_bytes;
    bool has_checksum; /* IPv4 only: RFC 768, RFC 8200 section 8.1 */
};

/* addresses: ewi_net_sum_ip4 or _ip6, or NET_SUM_BY_DEVICE: the checksum is not looked at. */
enum net_code ewi_net_udp_parse(const uint8_t *bytes, size_t length, uint32_t addresses, bool is_ip6,
                                struct net_udp *out);
/* payload: its partial sum, or NET_SUM_BY_DEVICE. Without has_checksum it does not count. */
size_t ewi_net_udp_build(uint8_t out[NET_UDP_BYTES], const struct net_udp *udp, uint32_t addresses,
                         uint32_t payload);

#endif
