#include "transport/net/header_icmp.h"

#include <string.h>

#include "transport/net/order.h"
#include "transport/net/sum.h"

static void take_icmp(const uint8_t *bytes, struct net_icmp *out)
{
    out->type = bytes[0];
    out->code = bytes[1];
    out->rest = ewi_net_get_u32(bytes + 4);
}

static size_t put_icmp(uint8_t *out, const struct net_icmp *icmp, uint32_t sum)
{
    out[0] = icmp->type;
    out[1] = icmp->code;
    ewi_net_put_u16(out + 2, 0);
    ewi_net_put_u32(out + 4, icmp->rest);
    sum = ewi_net_sum_add(sum, ewi_net_sum(out, NET_ICMP_BYTES));
    ewi_net_put_u16(out + 2, ewi_net_sum_finish(sum));
    return NET_ICMP_BYTES;
}

enum net_code ewi_net_icmp4_parse(const uint8_t *bytes, size_t length, struct net_icmp *out)
{
    if (length < NET_ICMP_BYTES)
        return NET_TOO_SHORT;
    if (!ewi_net_sum_is_good(ewi_net_sum(bytes, length))) /* RFC 792: the whole message */
        return NET_BAD_CHECKSUM;
    take_icmp(bytes, out);
    return NET_OK;
}

size_t ewi_net_icmp4_build(uint8_t out[NET_ICMP_BYTES], const struct net_icmp *icmp,
                           uint32_t payload)
{
    return put_icmp(out, icmp, payload);
}

enum net_code ewi_net_icmp6_parse(const uint8_t *bytes, size_t length, uint32_t addresses,
                                  struct net_icmp *out)
{
    uint32_t sum;

    if (length < NET_ICMP_BYTES)
        return NET_TOO_SHORT;
    if (addresses != NET_SUM_BY_DEVICE) { /* RFC 4443 section 2.3 */
        sum = ewi_net_sum_pseudo(addresses, NET_ICMP6, (uint32_t)length);
        if (!ewi_net_sum_is_good(ewi_net_sum_add(sum, ewi_net_sum(bytes, length))))
            return NET_BAD_CHECKSUM;
    }
    take_icmp(bytes, out);
    return NET_OK;
}

size_t ewi_net_icmp6_build(uint8_t out[NET_ICMP_BYTES], const struct net_icmp *icmp,
                           uint32_t addresses, uint32_t payload, size_t payload_bytes)
{
    uint32_t icmp_bytes = (uint32_t)(NET_ICMP_BYTES + payload_bytes);

    return put_icmp(out, icmp,
                    ewi_net_sum_add(ewi_net_sum_pseudo(addresses, NET_ICMP6, icmp_bytes), payload));
}

/* ---- quotes ---- */

enum { QUOTED_BYTES = 8 }; /* of the transport header: RFC 792; enough for ports and a sequence */

static enum net_code take_quoted(const uint8_t *bytes, size_t length, struct net_quote *out)
{
    out->has_ports = out->protocol == NET_TCP || out->protocol == NET_UDP;
    if (!out->has_ports)
        return NET_OK;
    if (length < QUOTED_BYTES)
        return NET_TOO_SHORT;
    out->source_port = ewi_net_get_u16(bytes);
    out->destination_port = ewi_net_get_u16(bytes + 2);
    if (out->protocol == NET_TCP)
        out->sequence = ewi_net_get_u32(bytes + 4);
    return NET_OK;
}

enum net_code ewi_net_quote4_parse(const uint8_t *bytes, size_t length, struct net_quote *out)
{
    size_t header_bytes;

    *out = (struct net_quote){0};
    if (length < NET_IP4_BYTES)
        return NET_TOO_SHORT;
    if (bytes[0] >> 4 != 4)
        return NET_BAD_VERSION;
    header_bytes = (size_t)(bytes[0] & 15) * 4;
    if (header_bytes < NET_IP4_BYTES)
        return NET_BAD_LENGTH;
    if (header_bytes > length)
        return NET_TOO_SHORT;
    memcpy(out->source, bytes + 12, 4);
    memcpy(out->destination, bytes + 16, 4);
    out->protocol = bytes[9];
    if ((ewi_net_get_u16(bytes + 6) & 0x1fff) != 0) /* no transport header here */
        return NET_OK;
    return take_quoted(bytes + header_bytes, length - header_bytes, out);
}

static bool is_later_fragment(const uint8_t *header)
{
    return (ewi_net_get_u16(header + 2) & 0xfff8) != 0;
}

enum net_code ewi_net_quote6_parse(const uint8_t *bytes, size_t length, struct net_quote *out)
{
    size_t at = NET_IP6_BYTES;

    *out = (struct net_quote){.is_ip6 = true};
    if (length < NET_IP6_BYTES)
        return NET_TOO_SHORT;
    if (bytes[0] >> 4 != 6)
        return NET_BAD_VERSION;
    memcpy(out->source, bytes + 8, 16);
    memcpy(out->destination, bytes + 24, 16);
    out->protocol = bytes[6];
    for (int i = 0; ewi_net_ip6_is_extension(out->protocol); i++) {
        size_t size = ewi_net_ip6_extension_bytes(bytes, at, length, out->protocol);
        bool is_last;

        if (i == NET_IP6_EXTENSIONS_MAX)
            return NET_BAD_CHAIN;
        if (size == 0)
            return NET_TOO_SHORT;
        is_last = out->protocol == NET_IP6_FRAGMENT && is_later_fragment(bytes + at);
        out->protocol = bytes[at];
        if (is_last)
            return NET_OK;
        at += size;
    }
    return take_quoted(bytes + at, length - at, out);
}
