/* tests/c/net_ip_packets.h - packets in and out of the stack of net_ip_base.h.
 *
 * Purpose    Make packets by hand, let them arrive, and judge what was sent as a receiver would.
 * Shape      make_...() fills a struct made; arrives...() gives it to IP and checks that the counters add
 *            up; sent_at(i) is the packet that was sent as number i.
 * Owner      static memory of the test program
 * Threads    one
 * Trust      none: test code only
 * Errors     CHECK
 * Invariants none
 * Ordering   none
 * Source     none
 */
#ifndef TESTS_C_NET_IP_PACKETS_H
#define TESTS_C_NET_IP_PACKETS_H

#include "tests/c/net_ip_base.h"

/* ---- packets in ---- */

static struct net_rx base_rx;

/* A copy of its very size, so that ASan sees one byte too far; gone afterwards. */
static inline void arrives_with(const uint8_t *bytes, size_t length, uint8_t family, bool to_all,
                                uint16_t flags)
{
    uint8_t *exact = malloc(length != 0 ? length : 1);

    CHECK(exact != NULL);
    if (length != 0)
        memcpy(exact, bytes, length);
    base_rx = (struct net_rx){.data = exact, .bytes = (uint32_t)length, .charge = 2048, .flags = flags};
    net->count.rx_packets += 1;
    ewi_net_ip_input(net, &base_rx, exact, (uint32_t)length, family, to_all);
    CHECK_EQ(base_rx.flags & NET_RX_KEPT, 0); /* without a reference it is never kept */
    free(exact);
    base_check();
}

static inline void arrives(const uint8_t *bytes, size_t length, uint8_t family)
{
    arrives_with(bytes, length, family, false, 0);
}

/* ---- packets made by hand ---- */

struct made {
    uint8_t bytes[BASE_PACKET_BYTES];
    uint32_t length;
};

static inline struct net_tuple base_tuple(uint8_t family) /* as the host sees it */
{
    struct net_tuple tuple = {.family = family, .local_port = 80, .remote_port = 4000};

    memcpy(tuple.local, family == 4 ? ours4 : ours6, 16);
    memcpy(tuple.remote, family == 4 ? peer4 : peer6, 16);
    return tuple;
}

/* The header of a packet from tuple->remote to tuple->local. */
static inline uint32_t make_header(uint8_t *out, const struct net_tuple *tuple, uint8_t protocol,
                                   uint32_t payload_bytes)
{
    struct net_ip6 ip6 = {
        .payload_bytes = (uint16_t)payload_bytes, .hop_limit = 64, .next = protocol};
    struct net_ip4 ip4 = {.source = ewi_net_get_u32(tuple->remote),
                          .destination = ewi_net_get_u32(tuple->local),
                          .payload_bytes = (uint16_t)payload_bytes,
                          .hop_limit = 64,
                          .protocol = protocol};

    if (tuple->family == 4)
        return (uint32_t)ewi_net_ip4_build(out, &ip4);
    memcpy(ip6.source, tuple->remote, 16);
    memcpy(ip6.destination, tuple->local, 16);
    return (uint32_t)ewi_net_ip6_build(out, &ip6);
}

static inline void make_packet(struct made *made, const struct net_tuple *tuple, uint8_t protocol,
                               const uint8_t *payload, uint32_t payload_bytes)
{
    uint32_t header = make_header(made->bytes, tuple, protocol, payload_bytes);

    if (payload_bytes != 0)
        memcpy(made->bytes + header, payload, payload_bytes);
    made->length = header + payload_bytes;
}

/* Numbered payload bytes. */
static inline void make_udp(struct made *made, const struct net_tuple *tuple, uint32_t payload_bytes)
{
    uint32_t header = make_header(made->bytes, tuple, NET_UDP, NET_UDP_BYTES + payload_bytes);
    struct net_udp udp = {.source_port = tuple->remote_port,
                          .destination_port = tuple->local_port,
                          .payload_bytes = (uint16_t)payload_bytes,
                          .has_checksum = true};
    uint8_t *payload = made->bytes + header + NET_UDP_BYTES;

    for (uint32_t i = 0; i < payload_bytes; i++)
        payload[i] = (uint8_t)(i * 7 + i / 256);
    ewi_net_udp_build(made->bytes + header, &udp, ewi_net_ip_addresses(tuple),
                      ewi_net_sum(payload, payload_bytes));
    made->length = header + NET_UDP_BYTES + payload_bytes;
}

static inline void make_icmp(struct made *made, const struct net_tuple *tuple, uint8_t type,
                             uint8_t code, uint32_t rest, const uint8_t *payload,
                             uint32_t payload_bytes)
{
    struct net_icmp icmp = {.type = type, .code = code, .rest = rest};
    bool is_ip6 = tuple->family == 6;
    uint32_t header = make_header(made->bytes, tuple, is_ip6 ? NET_ICMP6 : NET_ICMP4,
                                  NET_ICMP_BYTES + payload_bytes);
    uint32_t sum = ewi_net_sum(payload, payload_bytes);

    if (payload_bytes != 0)
        memcpy(made->bytes + header + NET_ICMP_BYTES, payload, payload_bytes);
    if (is_ip6)
        ewi_net_icmp6_build(made->bytes + header, &icmp, ewi_net_ip_addresses(tuple), sum,
                            payload_bytes);
    else
        ewi_net_icmp4_build(made->bytes + header, &icmp, sum);
    made->length = header + NET_ICMP_BYTES + payload_bytes;
}

static inline void arrives_made(const struct made *made, uint8_t family)
{
    arrives(made->bytes, made->length, family);
}

/* Put the checksum of an IPv4 header right after it was changed. */
static inline void mend_header4(uint8_t *bytes)
{
    ewi_net_put_u16(bytes + 10, 0);
    ewi_net_put_u16(bytes + 10,
                    ewi_net_sum_finish(ewi_net_sum(bytes, (size_t)(bytes[0] & 15) * 4)));
}

/* ---- packets out ---- */

struct sent {
    uint8_t protocol, hop_limit, traffic_class;
    struct net_icmp icmp;
    const uint8_t *payload; /* of ICMP, or of IP */
    uint32_t payload_bytes;
};

/* Sent packet i: judged as a receiver would, from ours to remote. */
static inline struct sent sent_at(uint32_t i, uint8_t family)
{
    const uint8_t *bytes = base.out[i].bytes;
    struct sent sent = {0};
    struct net_ip4 ip4;
    struct net_ip6 ip6;
    uint32_t header = ewi_net_ip_header_bytes(family), addresses;

    CHECK(i < base.sent_count);
    if (family == 4) {
        CHECK_EQ(ewi_net_ip4_parse(bytes, base.out[i].length, &ip4), NET_OK);
        CHECK_EQ(ip4.header_bytes + (uint32_t)ip4.payload_bytes, base.out[i].length);
        CHECK_EQ(ip4.source, ewi_net_get_u32(base.out[i].tuple.local));
        CHECK_EQ(ip4.destination, ewi_net_get_u32(base.out[i].tuple.remote));
        sent.protocol = ip4.protocol;
        sent.hop_limit = ip4.hop_limit;
        sent.traffic_class = ip4.traffic_class;
        addresses = 0;
    } else {
        CHECK_EQ(ewi_net_ip6_parse(bytes, base.out[i].length, &ip6), NET_OK);
        CHECK_EQ(NET_IP6_BYTES + (uint32_t)ip6.payload_bytes, base.out[i].length);
        CHECK(memcmp(ip6.source, base.out[i].tuple.local, 16) == 0);
        CHECK(memcmp(ip6.destination, base.out[i].tuple.remote, 16) == 0);
        sent.protocol = ip6.next;
        sent.hop_limit = ip6.hop_limit;
        sent.traffic_class = ip6.traffic_class;
        addresses = ewi_net_sum_ip6(ip6.source, ip6.destination);
    }
    sent.payload = bytes + header;
    sent.payload_bytes = base.out[i].length - header;
    if (sent.protocol != NET_ICMP4 && sent.protocol != NET_ICMP6)
        return sent;
    CHECK_EQ(family == 4 ? ewi_net_icmp4_parse(sent.payload, sent.payload_bytes, &sent.icmp)
                         : ewi_net_icmp6_parse(sent.payload, sent.payload_bytes, addresses, &sent.icmp),
             NET_OK);
    sent.payload += NET_ICMP_BYTES;
    sent.payload_bytes -= NET_ICMP_BYTES;
    return sent;
}

#endif
