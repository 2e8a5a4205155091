/* tests/fuzz/net_peer.h - the other end of a stack that is fuzzed: what it saw, and what it can say.
 *
 * Purpose    Segments that are nearly right get behind the first checks. So the peer follows each
 *            connection from the frames that the stack sends, and builds packets beside what would
 *            be right: sequence and acknowledgment numbers at the edges, options, pieces, quotes.
 * Shape      PEER_FLOWS connections, each with an end of ours of its own: port PEER_PORT + i, family
 *            by the parity of i. Payloads are a function of where a byte is: user_byte() of what the
 *            stack's user sends, peer_byte() of what we do, so that each byte can be judged alone.
 * Owner      file-scope variables of the one program that includes it
 * Threads    one
 * Trust      the stack is judged: a frame that is not well-formed ends the run
 * Errors     peer_check() aborts, which the fuzzer reports
 * Invariants I1  a flow is wild when its bytes cannot be judged any more: two connections of one
 *                name, or bytes that are no function of their place.
 * Ordering   none
 * Source     RFC 9293 section 3.3
 */
#ifndef TESTS_FUZZ_NET_PEER_H
#define TESTS_FUZZ_NET_PEER_H

#include <stdlib.h>

#include "tests/c/net_dissect.h"
#include "transport/net/net.h"
#include "transport/net/order.h"
#include "transport/net/seq.h"

enum {
    PEER_FLOWS = 8,
    PEER_PORT = 5000,
    PEER_LISTEN_PORT = 80,
    PEER_OPENED = 4,
    PEER_QUOTES = 8,
    PEER_QUOTE_BYTES = 160,
    PEER_PACKET_BYTES_MAX = 4096,
    PEER_MAC_BYTES = 6,
};

struct peer_flow {
    uint16_t local_port; /* the stack's */
    bool is_wild, has_syn, knows_start;
    bool is_unscaled;    /* a SYN had no window scale, or a cookie lost it with our timestamps */
    bool has_times;      /* our SYN */
    bool has_edge;
    uint32_t edge;       /* how far it lets us send */
    uint32_t iss, next;  /* the stack's first and next sequence number */
    uint32_t want;       /* what it acknowledged */
    uint32_t window, scale;
    uint32_t time;       /* its TSval */
    uint32_t acked;      /* what we acknowledged */
    uint32_t sent;       /* most that we ever sent behind our_iss; all, when something lay far away */
    uint32_t our_iss, start; /* start: our first byte, as the stack believes */
    uint32_t frames;
    struct {
        uint32_t iss, bytes;
    } opened[PEER_OPENED]; /* our SYNs */
    uint32_t opened_count;
};

static struct {
    struct peer_flow flow[PEER_FLOWS];
    bool is_wild;    /* anything may have arrived */
    bool is_odd;     /* flows of even number are IPv6 */
    uint32_t clock;  /* our TSval: milliseconds */
    uint8_t quote[PEER_QUOTES][PEER_QUOTE_BYTES]; /* what the stack sent, from its IP header */
    uint16_t quote_bytes[PEER_QUOTES];
    uint32_t quotes;
} peer;

static const uint8_t stack_mac[] = {2, 0, 0, 0, 0, 1}, peer_mac[] = {2, 0, 0, 0, 0, 2};

static inline void peer_check(bool condition)
{
    if (!condition)
        abort();
}

static inline uint8_t user_byte(uint64_t at)
{
    return (uint8_t)((uint32_t)at * 0x9e3779b1u >> 24);
}

static inline uint8_t peer_byte(uint32_t sequence)
{
    return (uint8_t)(sequence * 0x85ebca6bu >> 23);
}

static inline bool peer_is_ip6(uint32_t flow)
{
    return (flow & 1) != (peer.is_odd ? 1u : 0u);
}

/* host 1: the stack; 2, 3: on the link, 3 without a static neighbour; 4: behind a router. */
static inline struct stack_addr peer_host(uint32_t host, bool is_ip6, uint16_t port)
{
    struct stack_addr addr = {.family = is_ip6 ? 6 : 4, .port = port};

    if (is_ip6) {
        addr.ip[0] = 0xfd;
        addr.ip[1] = host == 4 ? 9 : 0;
        addr.ip[15] = (uint8_t)host;
    } else {
        addr.ip[0] = 10;
        addr.ip[1] = host == 4 ? 9 : 0;
        addr.ip[3] = (uint8_t)host;
    }
    return addr;
}

static inline struct stack_addr peer_end(uint32_t flow)
{
    static const uint8_t hosts[PEER_FLOWS] = {2, 2, 2, 2, 3, 3, 4, 4};

    return peer_host(hosts[flow], peer_is_ip6(flow), (uint16_t)(PEER_PORT + flow));
}

static inline struct stack_addr peer_target(uint32_t flow)
{
    return peer_host(1, peer_is_ip6(flow), peer.flow[flow].local_port);
}

static inline void peer_begin(bool is_odd)
{
    memset(&peer, 0, sizeof(peer));
    peer.is_odd = is_odd;
    peer.clock = 1000;
    for (uint32_t i = 0; i < PEER_FLOWS; i++) {
        peer.flow[i].local_port = PEER_LISTEN_PORT;
        peer.flow[i].our_iss = i == 1 ? 0xfffffc00u : 1000 * (i + 1); /* one wraps early */
    }
}

/* ---- packets of ours: each returns the bytes that it wrote ---- */

static inline uint32_t peer_addresses(const struct stack_addr *from, const struct stack_addr *to)
{
    return from->family == 6 ? ewi_net_sum_ip6(from->ip, to->ip)
                             : ewi_net_sum_ip4(ewi_net_get_u32(from->ip), ewi_net_get_u32(to->ip));
}

/* The IP header in front of `bytes` bytes that lie behind it already. */
static inline uint32_t peer_header_bytes(const struct stack_addr *from)
{
    return from->family == 6 ? NET_IP6_BYTES : NET_IP4_BYTES;
}

static inline uint32_t peer_ip(uint8_t *out, const struct stack_addr *from,
                               const struct stack_addr *to, uint8_t protocol, uint8_t traffic_class,
                               uint32_t bytes)
{
    struct net_ip4 four = {.source = ewi_net_get_u32(from->ip),
                           .destination = ewi_net_get_u32(to->ip),
                           .payload_bytes = (uint16_t)bytes,
                           .dont_fragment = true,
                           .traffic_class = traffic_class,
                           .hop_limit = 64,
                           .protocol = protocol};
    struct net_ip6 six = {.payload_bytes = (uint16_t)bytes,
                          .traffic_class = traffic_class,
                          .hop_limit = protocol == NET_ICMP6 ? 255 : 64,
                          .next = protocol};

    if (from->family != 6)
        return (uint32_t)ewi_net_ip4_build(out, &four) + bytes;
    memcpy(six.source, from->ip, 16);
    memcpy(six.destination, to->ip, 16);
    return (uint32_t)ewi_net_ip6_build(out, &six) + bytes;
}

struct peer_segment {
    uint32_t flow;
    struct net_tcp tcp; /* ports are filled in */
    uint32_t payload_bytes;
    uint8_t traffic_class;
    bool is_garbage; /* the payload is no function of its place */
    bool plain_order;
};

static inline uint32_t peer_tcp(uint8_t *out, struct peer_segment *segment)
{
    struct peer_flow *flow = &peer.flow[segment->flow];
    struct stack_addr from = peer_end(segment->flow), to = peer_target(segment->flow);
    struct net_tcp *tcp = &segment->tcp;
    uint8_t *bytes = out + peer_header_bytes(&from), *payload;
    uint32_t first = tcp->sequence + ((tcp->flags & NET_TCP_SYN) != 0 ? 1 : 0);
    uint32_t end = first + segment->payload_bytes + ((tcp->flags & NET_TCP_FIN) != 0 ? 1 : 0);
    uint32_t header;

    tcp->source_port = from.port;
    tcp->destination_port = to.port;
    header = (uint32_t)ewi_net_tcp_header_bytes(tcp);
    payload = bytes + header;
    for (uint32_t i = 0; i < segment->payload_bytes; i++)
        payload[i] = (uint8_t)(peer_byte(first + i) ^ (segment->is_garbage ? 0xff : 0));
    ewi_net_tcp_build(bytes, tcp, segment->plain_order ? NET_TCP_ORDER_PLAIN : NET_TCP_ORDER_LINUX,
                      peer_addresses(&from, &to), ewi_net_sum(payload, segment->payload_bytes),
                      segment->payload_bytes);
    flow->is_wild |= segment->is_garbage;
    if (end - flow->our_iss > flow->sent)
        flow->sent = end - flow->our_iss > 1u << 30 ? UINT32_MAX : end - flow->our_iss;
    if ((tcp->flags & NET_TCP_SYN) != 0) {
        flow->opened[flow->opened_count % PEER_OPENED].iss = tcp->sequence;
        flow->opened[flow->opened_count % PEER_OPENED].bytes = segment->payload_bytes;
        flow->opened_count += 1;
        flow->is_unscaled |= (tcp->has & NET_TCP_HAS_SCALE) == 0;
        flow->has_times = (tcp->has & NET_TCP_HAS_TIMES) != 0;
    }
    flow->is_unscaled |= flow->has_times != ((tcp->has & NET_TCP_HAS_TIMES) != 0);
    if ((tcp->flags & NET_TCP_ACK) != 0 && ewi_net_seq_before(flow->acked, tcp->acknowledgment) &&
        !ewi_net_seq_before(flow->next, tcp->acknowledgment))
        flow->acked = tcp->acknowledgment;
    return peer_ip(out, &from, &to, NET_TCP, segment->traffic_class,
                   header + segment->payload_bytes);
}

static inline uint32_t peer_udp(uint8_t *out, uint32_t flow, uint16_t port, uint32_t payload_bytes)
{
    struct stack_addr from = peer_end(flow), to = peer_host(1, peer_is_ip6(flow), port);
    uint8_t *bytes = out + peer_header_bytes(&from);
    struct net_udp udp = {.source_port = from.port,
                          .destination_port = port,
                          .payload_bytes = (uint16_t)payload_bytes,
                          .has_checksum = true};

    for (uint32_t i = 0; i < payload_bytes; i++)
        bytes[NET_UDP_BYTES + i] = user_byte(i);
    ewi_net_udp_build(bytes, &udp, peer_addresses(&from, &to),
                      ewi_net_sum(bytes + NET_UDP_BYTES, payload_bytes));
    return peer_ip(out, &from, &to, NET_UDP, 0, NET_UDP_BYTES + payload_bytes);
}

/* An ICMP message from a router or the peer, in front of what was put behind its 8 bytes. */
static inline uint32_t peer_icmp(uint8_t *out, uint32_t host, bool is_ip6, const struct net_icmp *icmp,
                                 uint32_t payload_bytes)
{
    struct stack_addr from = peer_host(host, is_ip6, 0), to = peer_host(1, is_ip6, 0);
    uint8_t *bytes = out + peer_header_bytes(&from);
    uint32_t sum = ewi_net_sum(bytes + NET_ICMP_BYTES, payload_bytes);

    if (is_ip6)
        ewi_net_icmp6_build(bytes, icmp, peer_addresses(&from, &to), sum, payload_bytes);
    else
        ewi_net_icmp4_build(bytes, icmp, sum);
    return peer_ip(out, &from, &to, is_ip6 ? NET_ICMP6 : NET_ICMP4, 0,
                   NET_ICMP_BYTES + payload_bytes);
}

/* A piece of an IP packet: `bytes` bytes from `at` on of what is behind its header. */
static inline uint32_t peer_piece(uint8_t *out, const uint8_t *packet, uint32_t packet_bytes,
                                  uint32_t at, uint32_t bytes, bool more, uint16_t id)
{
    struct dissected whole = {0};
    bool is_ip6 = packet[0] >> 4 == 6;
    uint32_t head = is_ip6 ? NET_IP6_BYTES : NET_IP4_BYTES, in_front = head;

    if (packet_bytes <= head || at >= packet_bytes - head)
        return 0;
    bytes = bytes < packet_bytes - head - at ? bytes : packet_bytes - head - at;
    if (!is_ip6) {
        if (ewi_net_ip4_parse(packet, packet_bytes, &whole.ip4) != NET_OK)
            return 0;
        whole.ip4.payload_bytes = (uint16_t)bytes;
        whole.ip4.fragment_at = (uint16_t)(at & ~7u);
        whole.ip4.more_fragments = more;
        whole.ip4.dont_fragment = false;
        whole.ip4.id = id;
        ewi_net_ip4_build(out, &whole.ip4);
    } else {
        if (ewi_net_ip6_parse(packet, packet_bytes, &whole.ip6) != NET_OK)
            return 0;
        in_front += (uint32_t)ewi_net_ip6_fragment_build(out + head, whole.ip6.next,
                                                         (uint16_t)(at & ~7u), more, id);
        whole.ip6.next = NET_IP6_FRAGMENT;
        whole.ip6.payload_bytes = (uint16_t)(bytes + NET_IP6_FRAGMENT_BYTES);
        ewi_net_ip6_build(out, &whole.ip6);
    }
    memcpy(out + in_front, packet + head + at, bytes);
    return in_front + bytes;
}

/* ---- frames of the stack ---- */
static inline void peer_keep_quote(const uint8_t *packet, uint32_t bytes)
{
    uint32_t slot = peer.quotes++ % PEER_QUOTES;

    bytes = bytes < PEER_QUOTE_BYTES ? bytes : PEER_QUOTE_BYTES;
    memcpy(peer.quote[slot], packet, bytes);
    peer.quote_bytes[slot] = (uint16_t)bytes;
}

/* Which of our SYNs was it that the stack took? */
static inline void peer_find_start(struct peer_flow *flow, uint32_t acknowledged)
{
    uint32_t known = flow->opened_count < PEER_OPENED ? flow->opened_count : PEER_OPENED;

    for (uint32_t i = 0; i < known && !flow->knows_start; i++) {
        flow->start = flow->opened[i].iss + 1;
        flow->knows_start = acknowledged - flow->start <= flow->opened[i].bytes;
    }
    flow->is_wild |= !flow->knows_start;
}

static inline void peer_sees_payload(const struct peer_flow *flow, const struct dissected *of)
{
    uint32_t at = of->tcp.sequence - flow->iss - 1;

    if (flow->is_wild || peer.is_wild || (of->tcp.flags & NET_TCP_SYN) != 0)
        return;
    for (uint32_t i = 0; i < of->payload_bytes; i++)
        peer_check(of->payload[i] == user_byte(at + i));
}

/* What was offered is not taken back: RFC 9293 section 3.8.6, RFC 7323 section 2.4. */
static inline void peer_sees_edge(struct peer_flow *flow)
{
    uint32_t edge = flow->want + flow->window;

    if (flow->is_wild || peer.is_wild || flow->is_unscaled)
        return;
    peer_check(!flow->has_edge || !ewi_net_seq_before(edge, flow->edge));
    flow->has_edge = true;
    flow->edge = edge;
}

static inline void peer_sees_tcp(const struct dissected *of)
{
    const struct net_tcp *tcp = &of->tcp;
    uint32_t end = tcp->sequence + (uint32_t)of->payload_bytes + ((tcp->flags & NET_TCP_SYN) != 0) +
                   ((tcp->flags & NET_TCP_FIN) != 0);
    struct peer_flow *flow = &peer.flow[(uint16_t)(tcp->destination_port - PEER_PORT) % PEER_FLOWS];
    bool is_syn = (tcp->flags & NET_TCP_SYN) != 0;

    if ((tcp->flags & NET_TCP_RST) != 0 || tcp->destination_port < PEER_PORT ||
        tcp->destination_port >= PEER_PORT + PEER_FLOWS)
        return;
    if (is_syn && (!flow->has_syn || flow->iss != tcp->sequence ||
                   flow->local_port != tcp->source_port)) {
        flow->is_wild |= flow->has_syn;
        flow->has_syn = true;
        flow->local_port = tcp->source_port;
        flow->iss = flow->acked = tcp->sequence;
        flow->next = end;
        flow->knows_start = flow->has_edge = false;
        flow->is_unscaled |= (tcp->has & NET_TCP_HAS_SCALE) == 0;
        flow->scale = (tcp->has & NET_TCP_HAS_SCALE) != 0 ? tcp->scale : 0;
    }
    if (!flow->has_syn || flow->local_port != tcp->source_port)
        return;
    flow->frames += 1;
    if (ewi_net_seq_before(flow->next, end))
        flow->next = end;
    if ((tcp->has & NET_TCP_HAS_TIMES) != 0)
        flow->time = tcp->time;
    peer_sees_payload(flow, of);
    if ((tcp->flags & NET_TCP_ACK) == 0)
        return;
    if (!flow->knows_start)
        peer_find_start(flow, tcp->acknowledgment);
    if (!flow->is_wild && !peer.is_wild) /* nothing is acknowledged that was never sent */
        peer_check(tcp->acknowledgment - flow->our_iss <= flow->sent);
    flow->want = tcp->acknowledgment;
    flow->window = is_syn ? tcp->window : (uint32_t)tcp->window << flow->scale;
    if (is_syn) /* which cannot say more than 65535; or the same one anew, at the same instant */
        flow->has_edge = false;
    else
        peer_sees_edge(flow);
}

/* What the device of a port with TX_SUM does; `at`: of the transport header. */
static inline void peer_finish_sum(uint8_t *packet, uint32_t bytes, uint32_t at, uint8_t protocol)
{
    uint32_t field = at + (protocol == NET_TCP ? 16 : 6);

    peer_check((protocol == NET_TCP || protocol == NET_UDP) && bytes >= field + 2);
    ewi_net_put_u16(packet + field, ewi_net_sum_finish_udp(ewi_net_sum(packet + at, bytes - at)));
}

/* A frame of the stack, from its IP header; it is changed if its checksum was left to the device. */
static inline void peer_sees(uint8_t *packet, uint32_t bytes, bool finish_sum)
{
    struct dissected of = {0};
    bool is_ip6 = packet[0] >> 4 == 6;
    uint32_t head = is_ip6 ? NET_IP6_BYTES : NET_IP4_BYTES;

    peer_check(bytes >= head);
    peer_keep_quote(packet, bytes);
    if (finish_sum)
        peer_finish_sum(packet, bytes, head, packet[is_ip6 ? 6 : 9]);
    if (is_ip6)
        dissect_ip6(packet, bytes, &of);
    else
        dissect_ip4(packet, bytes, &of);
    peer_check(of.code == NET_OK);
    peer_check((is_ip6 ? NET_IP6_BYTES + (uint32_t)of.ip6.payload_bytes
                       : of.ip4.header_bytes + (uint32_t)of.ip4.payload_bytes) == bytes);
    if ((of.found & FOUND_TCP) != 0)
        peer_sees_tcp(&of);
}

#endif
