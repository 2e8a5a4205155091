/* tests/c/net_dissect.h - a whole frame through all parsers, and back through all builders.
 *
 * Shared by the tests of transport/net/header*.h and their fuzz target. dissect() stops at the first
 * layer that is not NET_OK; assemble() writes what dissect() found, without options of IPv4 and
 * extension headers of IPv6, which no builder makes; same() compares field by field.
 */
#ifndef TESTS_C_NET_DISSECT_H
#define TESTS_C_NET_DISSECT_H

#include <string.h>

#include "transport/net/header_ndp.h"
#include "transport/net/header_tcp.h"
#include "transport/net/sum.h"

enum dissect_found {
    FOUND_ETHER = 1,
    FOUND_ARP = 2,
    FOUND_IP4 = 4,
    FOUND_IP6 = 8,
    FOUND_TCP = 16,
    FOUND_UDP = 32,
    FOUND_ICMP = 64,
    FOUND_NDP = 128,
};

struct dissected {
    enum net_code code;
    unsigned found;  /* layers that were NET_OK */
    bool is_plain;   /* nothing that assemble() leaves out */
    size_t l3_at, l4_at, payload_at;
    struct net_ether ether;
    struct net_arp arp;
    struct net_ip4 ip4;
    struct net_ip6 ip6;
    struct net_ip6_chain chain;
    struct net_tcp tcp;
    struct net_udp udp;
    struct net_icmp icmp;
    struct net_ndp ndp;
    uint32_t addresses;
    const uint8_t *payload;
    size_t payload_bytes;
};

static inline enum net_code dissect_l4(const uint8_t *bytes, size_t length, uint8_t protocol,
                                       bool is_ip6, struct dissected *out)
{
    size_t header = 0;

    if (protocol == NET_TCP) {
        if ((out->code = ewi_net_tcp_parse(bytes, length, out->addresses, &out->tcp)) != NET_OK)
            return out->code;
        out->found |= FOUND_TCP;
        header = out->tcp.header_bytes;
    } else if (protocol == NET_UDP) {
        out->code = ewi_net_udp_parse(bytes, length, out->addresses, is_ip6, &out->udp);
        if (out->code != NET_OK)
            return out->code;
        out->found |= FOUND_UDP;
        header = NET_UDP_BYTES;
        length = header + out->udp.payload_bytes;
    } else if (protocol == (is_ip6 ? NET_ICMP6 : NET_ICMP4)) {
        out->code = is_ip6 ? ewi_net_icmp6_parse(bytes, length, out->addresses, &out->icmp)
                           : ewi_net_icmp4_parse(bytes, length, &out->icmp);
        if (out->code != NET_OK)
            return out->code;
        out->found |= FOUND_ICMP;
        header = NET_ICMP_BYTES;
        if (is_ip6 && ewi_net_ndp_parse(bytes, length, &out->ip6, &out->ndp) == NET_OK)
            out->found |= FOUND_NDP;
    }
    out->payload = bytes + header;
    out->payload_bytes = length - header;
    return NET_OK;
}

static inline enum net_code dissect_ip4(const uint8_t *bytes, size_t length, struct dissected *out)
{
    if ((out->code = ewi_net_ip4_parse(bytes, length, &out->ip4)) != NET_OK)
        return out->code;
    out->found |= FOUND_IP4;
    out->is_plain = out->ip4.header_bytes == NET_IP4_BYTES;
    out->addresses = ewi_net_sum_ip4(out->ip4.source, out->ip4.destination);
    out->payload = bytes + out->ip4.header_bytes;
    out->payload_bytes = out->ip4.payload_bytes;
    out->l4_at = out->ip4.header_bytes;
    if (out->ip4.fragment_at != 0 || out->ip4.more_fragments)
        return NET_OK;
    return dissect_l4(out->payload, out->payload_bytes, out->ip4.protocol, false, out);
}

static inline enum net_code dissect_ip6(const uint8_t *bytes, size_t length, struct dissected *out)
{
    if ((out->code = ewi_net_ip6_parse(bytes, length, &out->ip6)) != NET_OK ||
        (out->code = ewi_net_ip6_walk(bytes, length, &out->ip6, &out->chain)) != NET_OK)
        return out->code;
    out->found |= FOUND_IP6;
    out->is_plain = out->chain.extensions == 0;
    out->addresses = ewi_net_sum_ip6(out->ip6.source, out->ip6.destination);
    out->payload = bytes + out->chain.header_bytes;
    out->payload_bytes = out->chain.payload_bytes;
    out->l4_at = out->chain.header_bytes;
    if (out->chain.is_fragment)
        return NET_OK;
    return dissect_l4(out->payload, out->payload_bytes, out->chain.protocol, true, out);
}

static inline enum net_code dissect(const uint8_t *bytes, size_t length, struct dissected *out)
{
    memset(out, 0, sizeof(*out));
    if ((out->code = ewi_net_ether_parse(bytes, length, &out->ether)) != NET_OK)
        return out->code;
    out->found = FOUND_ETHER;
    out->l3_at = out->ether.header_bytes;
    bytes += out->l3_at;
    length -= out->l3_at;
    out->code = NET_UNKNOWN;
    if (out->ether.type == NET_ETHER_ARP) {
        if ((out->code = ewi_net_arp_parse(bytes, length, &out->arp)) == NET_OK)
            out->found |= FOUND_ARP;
        out->is_plain = true;
    } else if (out->ether.type == NET_ETHER_IP4) {
        dissect_ip4(bytes, length, out);
    } else if (out->ether.type == NET_ETHER_IP6) {
        dissect_ip6(bytes, length, out);
    }
    out->l4_at += out->l3_at;
    return out->code;
}

/* ---- and back ---- */

static inline size_t assemble_l4(uint8_t *to, const struct dissected *of, enum net_tcp_order order)
{
    uint32_t sum = ewi_net_sum(of->payload, of->payload_bytes);
    size_t at = 0;

    if ((of->found & FOUND_NDP) != 0)
        return ewi_net_ndp_build(to, &of->ndp, of->addresses);
    if ((of->found & FOUND_TCP) != 0)
        at = ewi_net_tcp_build(to, &of->tcp, order, of->addresses, sum, of->payload_bytes);
    else if ((of->found & FOUND_UDP) != 0)
        at = ewi_net_udp_build(to, &of->udp, of->addresses, sum);
    else if ((of->found & FOUND_ICMP) != 0 && (of->found & FOUND_IP6) != 0)
        at = ewi_net_icmp6_build(to, &of->icmp, of->addresses, sum, of->payload_bytes);
    else if ((of->found & FOUND_ICMP) != 0)
        at = ewi_net_icmp4_build(to, &of->icmp, sum);
    memcpy(to + at, of->payload, of->payload_bytes);
    return at + of->payload_bytes;
}

/* `to` has room for as much as was dissected and 200 bytes more. */
static inline size_t assemble(uint8_t *to, const struct dissected *of, enum net_tcp_order order)
{
    size_t l3 = ewi_net_ether_build(to, &of->ether), l4;

    if ((of->found & FOUND_ARP) != 0)
        return l3 + ewi_net_arp_build(to + l3, &of->arp);
    if ((of->found & FOUND_IP4) != 0) {
        struct net_ip4 ip = of->ip4;

        l4 = assemble_l4(to + l3 + NET_IP4_BYTES, of, order);
        ip.payload_bytes = (uint16_t)l4;
        return l3 + ewi_net_ip4_build(to + l3, &ip) + l4;
    }
    if ((of->found & FOUND_IP6) != 0) {
        struct net_ip6 ip = of->ip6;
        size_t fragment = 0;
        uint8_t *behind = to + l3 + NET_IP6_BYTES;

        ip.next = of->chain.protocol;
        if (of->chain.is_fragment) {
            ip.next = NET_IP6_FRAGMENT;
            fragment = ewi_net_ip6_fragment_build(behind, of->chain.protocol,
                                                  of->chain.fragment_at, of->chain.more_fragments,
                                                  of->chain.id);
        }
        l4 = fragment + assemble_l4(behind + fragment, of, order);
        ip.payload_bytes = (uint16_t)l4;
        return l3 + ewi_net_ip6_build(to + l3, &ip) + l4;
    }
    return l3;
}

/* ---- equal, field by field: padding of structs does not count ---- */

#define SAME(field) (a->field == b->field)
#define SAME_BYTES(field) (memcmp(a->field, b->field, sizeof(a->field)) == 0)

static inline bool same_ether(const struct net_ether *a, const struct net_ether *b)
{
    return SAME_BYTES(destination) && SAME_BYTES(source) && SAME(type) && SAME(tag) &&
           SAME(is_tagged) && SAME(header_bytes);
}

static inline bool same_arp(const struct net_arp *a, const struct net_arp *b)
{
    return SAME(operation) && SAME_BYTES(sender_mac) && SAME_BYTES(target_mac) && SAME(sender) &&
           SAME(target);
}

static inline bool same_ip4(const struct net_ip4 *a, const struct net_ip4 *b)
{
    return SAME(source) && SAME(destination) && SAME(id) && SAME(fragment_at) &&
           SAME(more_fragments) && SAME(dont_fragment) && SAME(traffic_class) && SAME(hop_limit) &&
           SAME(protocol);
}

static inline bool same_ip6(const struct net_ip6 *a, const struct net_ip6 *b)
{
    return SAME_BYTES(source) && SAME_BYTES(destination) && SAME(flow) && SAME(traffic_class) &&
           SAME(hop_limit);
}

/* What a packet without its other extension headers still has. */
static inline bool same_chain(const struct net_ip6_chain *a, const struct net_ip6_chain *b)
{
    if (!SAME(protocol) || !SAME(is_fragment))
        return false;
    return !a->is_fragment || (SAME(more_fragments) && SAME(fragment_at) && SAME(id));
}

static inline bool same_udp(const struct net_udp *a, const struct net_udp *b)
{
    return SAME(source_port) && SAME(destination_port) && SAME(payload_bytes) && SAME(has_checksum);
}

static inline bool same_icmp(const struct net_icmp *a, const struct net_icmp *b)
{
    return SAME(type) && SAME(code) && SAME(rest);
}

static inline bool same_tcp(const struct net_tcp *a, const struct net_tcp *b)
{
    if (!SAME(source_port) || !SAME(destination_port) || !SAME(sequence) || !SAME(acknowledgment) ||
        !SAME(window) || !SAME(urgent) || !SAME(flags) || !SAME(has) || !SAME(time) ||
        !SAME(time_echo) || !SAME(mss) || !SAME(scale) || !SAME(sacks))
        return false;
    for (int i = 0; i < a->sacks; i++)
        if (!SAME(sack[i].left) || !SAME(sack[i].right))
            return false;
    return true;
}

static inline bool same_prefix(const struct net_ndp_prefix *a, const struct net_ndp_prefix *b)
{
    return SAME_BYTES(prefix) && SAME(valid_s) && SAME(preferred_s) && SAME(bits) &&
           SAME(on_link) && SAME(autonomous);
}

static inline bool same_ndp(const struct net_ndp *a, const struct net_ndp *b)
{
    if (!SAME(type) || !SAME(flags) || !SAME(hop_limit) || !SAME(has) || !SAME_BYTES(target) ||
        !SAME_BYTES(destination) || !SAME(router_s) || !SAME(reachable_ms) ||
        !SAME(retransmit_ms) || !SAME_BYTES(source_link) || !SAME_BYTES(target_link) ||
        !SAME(mtu) || !SAME(prefixes))
        return false;
    for (int i = 0; i < a->prefixes; i++)
        if (!same_prefix(&a->prefix[i], &b->prefix[i]))
            return false;
    return true;
}

/* NDP is built whole: reserved fields and options that we do not know do not count. */
static inline bool same_message(const struct dissected *a, const struct dissected *b)
{
    if ((a->found & FOUND_NDP) != 0)
        return same_ndp(&a->ndp, &b->ndp);
    return same_icmp(&a->icmp, &b->icmp);
}

static inline bool same_payload(const struct dissected *a, const struct dissected *b)
{
    if ((a->found & (FOUND_NDP | FOUND_ARP)) != 0)
        return true;
    return SAME(payload_bytes) && memcmp(a->payload, b->payload, a->payload_bytes) == 0;
}

/* Layers that were not found are all zero in both. */
static inline bool same(const struct dissected *a, const struct dissected *b)
{
    return SAME(code) && SAME(found) && same_ether(&a->ether, &b->ether) &&
           same_arp(&a->arp, &b->arp) && same_ip4(&a->ip4, &b->ip4) && same_ip6(&a->ip6, &b->ip6) &&
           same_chain(&a->chain, &b->chain) && same_tcp(&a->tcp, &b->tcp) &&
           same_udp(&a->udp, &b->udp) && same_message(a, b) && same_payload(a, b);
}

#endif
