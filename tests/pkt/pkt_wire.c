#include <string.h>

#include "tests/pkt/pkt_wire.h"

enum { ICMP4 = 1, TCP = 6, ICMP6 = 58, DONT_FRAGMENT = 0x4000 };

/* RFC 1071, the slow way. */
static uint32_t sum_more(uint32_t sum, const uint8_t *bytes, uint32_t length)
{
    for (uint32_t i = 0; i + 1 < length; i += 2)
        sum += pkt_get16(bytes + i);
    if ((length & 1) != 0)
        sum += (uint32_t)bytes[length - 1] << 8;
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

static uint32_t pseudo_sum(int family, const uint8_t *source, const uint8_t *destination,
                           uint32_t protocol, uint32_t length)
{
    uint32_t address_bytes = family == 4 ? 4 : 16;
    uint32_t sum = sum_more(protocol + length, source, address_bytes);

    return sum_more(sum, destination, address_bytes);
}

static uint32_t build_ip(uint8_t *out, int family, const uint8_t *source,
                         const uint8_t *destination, uint8_t protocol, uint32_t length, uint8_t hop_limit, uint8_t class)
{
    if (family == 4) {
        memset(out, 0, 20);
        out[0] = 0x45;
        out[1] = class;
        pkt_put16(out + 2, 20 + length);
        pkt_put16(out + 6, DONT_FRAGMENT);
        out[8] = hop_limit;
        out[9] = protocol;
        memcpy(out + 12, source, 4);
        memcpy(out + 16, destination, 4);
        pkt_put16(out + 10, ~sum_more(0, out, 20));
        return 20;
    }
    memset(out, 0, 8);
    out[0] = (uint8_t)(0x60 | class >> 4);
    out[1] = (uint8_t)(class << 4);
    pkt_put16(out + 4, length);
    out[6] = protocol;
    out[7] = hop_limit;
    memcpy(out + 8, source, 16);
    memcpy(out + 24, destination, 16);
    return 40;
}

uint32_t pkt_build(uint8_t *out, const struct pkt_packet *packet)
{
    uint32_t header = 20 + packet->option_bytes;
    uint32_t length = header + packet->payload_bytes;
    uint32_t ip = build_ip(out, packet->family, packet->source, packet->destination, TCP, length,
                           packet->hop_limit, packet->traffic_class);
    uint8_t *tcp = out + ip;
    uint32_t sum, words;

    pkt_put16(tcp, packet->source_port);
    pkt_put16(tcp + 2, packet->destination_port);
    pkt_put32(tcp + 4, packet->sequence);
    pkt_put32(tcp + 8, packet->acknowledgment);
    words = packet->data_offset != 0 ? (uint32_t)packet->data_offset : header / 4;
    tcp[12] = (uint8_t)(words << 4);
    tcp[13] = packet->flags;
    pkt_put16(tcp + 14, packet->window);
    pkt_put16(tcp + 16, 0);
    pkt_put16(tcp + 18, packet->urgent);
    if (packet->option_bytes > 0)
        memcpy(tcp + 20, packet->options, packet->option_bytes);
    if (packet->payload_bytes > 0)
        memcpy(tcp + header, packet->payload, packet->payload_bytes);
    sum = pseudo_sum(packet->family, packet->source, packet->destination, TCP, length);
    sum = ~sum_more(sum, tcp, length) & 0xffff;
    pkt_put16(tcp + 16, packet->bad_sum ? sum ^ 0x0101 : sum);
    return ip + length;
}

/* ------------------------------------------------------------------ judging */

static const char *parse_ip4(const uint8_t *bytes, uint32_t length, struct pkt_packet *out,
                             uint32_t *header)
{
    if (length < 20 || bytes[0] != 0x45)
        return "the IPv4 header is not 20 bytes";
    if (pkt_get16(bytes + 2) != length)
        return "the IPv4 total length is not that of the frame";
    if (sum_more(0, bytes, 20) != 0xffff)
        return "the IPv4 header checksum is wrong";
    if ((pkt_get16(bytes + 6) & 0x3fff) != 0)
        return "a fragment of IPv4";
    if (pkt_get16(bytes + 6) != DONT_FRAGMENT)
        return "TCP without DF: RFC 1191 section 3";
    if (bytes[9] != TCP)
        return "not TCP";
    out->family = 4;
    out->traffic_class = bytes[1];
    out->hop_limit = bytes[8];
    memcpy(out->source, bytes + 12, 4);
    memcpy(out->destination, bytes + 16, 4);
    *header = 20;
    return NULL;
}

static const char *parse_ip6(const uint8_t *bytes, uint32_t length, struct pkt_packet *out,
                             uint32_t *header)
{
    if (length < 40)
        return "the IPv6 header is not whole";
    if (pkt_get16(bytes + 4) + 40 != length)
        return "the IPv6 payload length is not that of the frame";
    if (bytes[6] != TCP)
        return "not TCP";
    out->family = 6;
    out->traffic_class = (uint8_t)(bytes[0] << 4 | bytes[1] >> 4);
    out->hop_limit = bytes[7];
    memcpy(out->source, bytes + 8, 16);
    memcpy(out->destination, bytes + 24, 16);
    *header = 40;
    return NULL;
}

static const char *parse_tcp(const uint8_t *tcp, uint32_t length, struct pkt_packet *out)
{
    uint32_t header = length < 20 ? 0 : (uint32_t)(tcp[12] >> 4) * 4, sum;

    if (header < 20 || header > length)
        return "the TCP header is not whole";
    if ((tcp[12] & 0x0f) != 0)
        return "reserved bits of TCP are not zero: RFC 9293 section 3.1";
    sum = pseudo_sum(out->family, out->source, out->destination, TCP, length);
    if (sum_more(sum, tcp, length) != 0xffff)
        return "the TCP checksum is wrong";
    out->source_port = (uint16_t)pkt_get16(tcp);
    out->destination_port = (uint16_t)pkt_get16(tcp + 2);
    out->sequence = pkt_get32(tcp + 4);
    out->acknowledgment = pkt_get32(tcp + 8);
    out->flags = tcp[13];
    out->window = (uint16_t)pkt_get16(tcp + 14);
    out->urgent = (uint16_t)pkt_get16(tcp + 18);
    out->options = tcp + 20;
    out->option_bytes = header - 20;
    out->payload = tcp + header;
    out->payload_bytes = length - header;
    return NULL;
}

const char *pkt_parse(const uint8_t *bytes, uint32_t length, struct pkt_packet *out)
{
    uint32_t header;
    const char *wrong;

    memset(out, 0, sizeof(*out));
    if (length == 0)
        return "an empty frame";
    if (bytes[0] >> 4 == 4)
        wrong = parse_ip4(bytes, length, out, &header);
    else if (bytes[0] >> 4 == 6)
        wrong = parse_ip6(bytes, length, out, &header);
    else
        wrong = "neither IPv4 nor IPv6";
    return wrong != NULL ? wrong : parse_tcp(bytes + header, length - header, out);
}

/* ------------------------------------------------------------------ ICMP */

static void icmp_type(int family, enum pkt_icmp what, uint8_t *type, uint8_t *code)
{
    static const uint8_t four[][2] = {
        [PKT_ICMP_NET] = {3, 0},         [PKT_ICMP_HOST] = {3, 1},    [PKT_ICMP_PORT] = {3, 3},
        [PKT_ICMP_PROTOCOL] = {3, 2},    [PKT_ICMP_PROHIBITED] = {3, 13},
        [PKT_ICMP_TOO_BIG] = {3, 4},     [PKT_ICMP_TIME] = {11, 0},
        [PKT_ICMP_PARAMETER] = {12, 0},  [PKT_ICMP_QUENCH] = {4, 0},
    };
    static const uint8_t six[][2] = {
        [PKT_ICMP_NET] = {1, 0},         [PKT_ICMP_HOST] = {1, 3},    [PKT_ICMP_PORT] = {1, 4},
        [PKT_ICMP_PROTOCOL] = {4, 1},    [PKT_ICMP_PROHIBITED] = {1, 1},
        [PKT_ICMP_TOO_BIG] = {2, 0},     [PKT_ICMP_TIME] = {3, 0},
        [PKT_ICMP_PARAMETER] = {4, 0},   [PKT_ICMP_QUENCH] = {100, 0},
    };
    const uint8_t(*table)[2] = family == 4 ? four : six;

    *type = table[what][0];
    *code = table[what][1];
}

uint32_t pkt_build_icmp(uint8_t *out, int family, const uint8_t from[16], enum pkt_icmp what,
                        uint32_t mtu, const uint8_t *quoted, uint32_t quote_bytes)
{
    uint32_t address_at = family == 4 ? 12 : 8, length = 8 + quote_bytes;
    const uint8_t *to = quoted + address_at; /* the source of what is quoted */
    uint8_t protocol = family == 4 ? ICMP4 : ICMP6;
    uint32_t ip = build_ip(out, family, from, to, protocol, length, 60, 0);
    uint8_t *icmp = out + ip;
    uint32_t sum = family == 4 ? 0 : pseudo_sum(6, from, to, ICMP6, length);

    memset(icmp, 0, 8);
    icmp_type(family, what, &icmp[0], &icmp[1]);
    if (what == PKT_ICMP_TOO_BIG)
        pkt_put32(icmp + 4, mtu);
    if (what == PKT_ICMP_PARAMETER && family == 6)
        pkt_put32(icmp + 4, 40);
    memcpy(icmp + 8, quoted, quote_bytes);
    pkt_put16(icmp + 2, ~sum_more(sum, icmp, length));
    return ip + length;
}
