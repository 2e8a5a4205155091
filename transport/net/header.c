#include "transport/net/header.h"

#include <string.h>

#include "shm/base.h"
#include "transport/net/order.h"
#include "transport/net/sum.h"

const char *ewi_net_code_name(enum net_code code)
{
    static const char *const names[NET_CODES] = {
        [NET_OK] = "ok",
        [NET_TOO_SHORT] = "too_short",
        [NET_BAD_VERSION] = "bad_version",
        [NET_BAD_LENGTH] = "bad_length",
        [NET_BAD_CHECKSUM] = "bad_checksum",
        [NET_BAD_OPTION] = "bad_option",
        [NET_BAD_CHAIN] = "bad_chain",
        [NET_BAD_FIELD] = "bad_field",
        [NET_UNKNOWN] = "unknown",
    };

    return code < NET_CODES ? names[code] : "?";
}

/* ---- Ethernet ---- */

enum { ETHER_TYPE_MIN = 0x600 }; /* IEEE 802.3 section 3.2.6: below, it is a length */

enum net_code ewi_net_ether_parse(const uint8_t *bytes, size_t length, struct net_ether *out)
{
    if (length < NET_ETHER_BYTES)
        return NET_TOO_SHORT;
    memcpy(out->destination, bytes, 6);
    memcpy(out->source, bytes + 6, 6);
    out->type = ewi_net_get_u16(bytes + 12);
    out->tag = 0;
    out->is_tagged = out->type == NET_ETHER_TAG;
    out->header_bytes = NET_ETHER_BYTES;
    if (out->is_tagged) {
        if (length < NET_ETHER_BYTES_MAX)
            return NET_TOO_SHORT;
        out->tag = ewi_net_get_u16(bytes + 14);
        out->type = ewi_net_get_u16(bytes + 16);
        out->header_bytes = NET_ETHER_BYTES_MAX;
    }
    if (out->type < ETHER_TYPE_MIN || out->type == NET_ETHER_TAG ||
        out->type == NET_ETHER_TAG_OUTER)
        return NET_UNKNOWN;
    return NET_OK;
}

size_t ewi_net_ether_header(uint8_t out[NET_ETHER_BYTES], const uint8_t to[6],
                            const uint8_t from[6], uint16_t type)
{
    memcpy(out, to, 6);
    memcpy(out + 6, from, 6);
    ewi_net_put_u16(out + 12, type);
    return NET_ETHER_BYTES;
}

size_t ewi_net_ether_build(uint8_t out[NET_ETHER_BYTES_MAX], const struct net_ether *ether)
{
    uint16_t type = ether->is_tagged ? NET_ETHER_TAG : ether->type;

    ewi_net_ether_header(out, ether->destination, ether->source, type);
    if (!ether->is_tagged)
        return NET_ETHER_BYTES;
    ewi_net_put_u16(out + 14, ether->tag);
    ewi_net_put_u16(out + 16, ether->type);
    return NET_ETHER_BYTES_MAX;
}

/* ---- ARP ---- */

static const uint8_t arp_kind[6] = {0, 1, 8, 0, 6, 4}; /* Ethernet, IPv4, lengths of both */

enum net_code ewi_net_arp_parse(const uint8_t *bytes, size_t length, struct net_arp *out)
{
    if (length < NET_ARP_BYTES)
        return NET_TOO_SHORT;
    if (memcmp(bytes, arp_kind, sizeof(arp_kind)) != 0)
        return NET_UNKNOWN;
    out->operation = ewi_net_get_u16(bytes + 6);
    memcpy(out->sender_mac, bytes + 8, 6);
    out->sender = ewi_net_get_u32(bytes + 14);
    memcpy(out->target_mac, bytes + 18, 6);
    out->target = ewi_net_get_u32(bytes + 24);
    if (out->operation != NET_ARP_REQUEST && out->operation != NET_ARP_REPLY)
        return NET_UNKNOWN;
    return NET_OK;
}

size_t ewi_net_arp_build(uint8_t out[NET_ARP_BYTES], const struct net_arp *arp)
{
    memcpy(out, arp_kind, sizeof(arp_kind));
    ewi_net_put_u16(out + 6, arp->operation);
    memcpy(out + 8, arp->sender_mac, 6);
    ewi_net_put_u32(out + 14, arp->sender);
    memcpy(out + 18, arp->target_mac, 6);
    ewi_net_put_u32(out + 24, arp->target);
    return NET_ARP_BYTES;
}

/* ---- IPv4 ---- */

enum {
    IP4_DONT_FRAGMENT = 0x4000,
    IP4_MORE_FRAGMENTS = 0x2000,
    IP4_FRAGMENT_MASK = 0x1fff,
    IP4_OPTION_END = 0,
    IP4_OPTION_NOP = 1,
    IP4_OPTION_LOOSE_ROUTE = 131,
    IP4_OPTION_STRICT_ROUTE = 137,
};

/* RFC 791 section 3.1, "Options"; RFC 1122 section 3.2.1.8: unknown ones are ignored. */
static enum net_code judge_ip4_options(const uint8_t *at, size_t bytes, bool *has_source_route)
{
    while (bytes > 0 && at[0] != IP4_OPTION_END) {
        size_t option_bytes = 1;

        if (at[0] != IP4_OPTION_NOP) {
            if (bytes < 2 || at[1] < 2 || at[1] > bytes)
                return NET_BAD_OPTION;
            option_bytes = at[1];
            if (at[0] == IP4_OPTION_LOOSE_ROUTE || at[0] == IP4_OPTION_STRICT_ROUTE)
                *has_source_route = true;
        }
        at += option_bytes;
        bytes -= option_bytes;
    }
    return NET_OK;
}

/* RFC 791 section 3.2, "Fragmentation": all but the last are multiples of 8, none ends beyond 65535
 * (the whole one's header counts: "ping of death"). */
static bool is_sound_fragment(const struct net_ip4 *ip)
{
    if (ip->more_fragments && (ip->payload_bytes == 0 || ip->payload_bytes % 8 != 0))
        return false;
    return (uint32_t)ip->header_bytes + ip->fragment_at + ip->payload_bytes <= UINT16_MAX;
}

/* Almost every header has no options: five words, no loop. */
static uint32_t sum_ip4(const uint8_t *bytes, size_t header_bytes)
{
    uint64_t sum = 0;

    if (header_bytes != NET_IP4_BYTES)
        return ewi_net_sum(bytes, header_bytes);
    for (size_t at = 0; at < NET_IP4_BYTES; at += 4)
        sum += ewi_net_get_u32(bytes + at);
    return ewi_net_sum_fold(sum);
}

enum net_code ewi_net_ip4_parse(const uint8_t *bytes, size_t length, struct net_ip4 *out)
{
    uint16_t total, fragment;

    if (length < NET_IP4_BYTES)
        return NET_TOO_SHORT;
    if (bytes[0] >> 4 != 4)
        return NET_BAD_VERSION;
    out->header_bytes = (uint8_t)((bytes[0] & 15) * 4);
    total = ewi_net_get_u16(bytes + 2);
    if (out->header_bytes < NET_IP4_BYTES || total < out->header_bytes)
        return NET_BAD_LENGTH;
    if (total > length)
        return NET_TOO_SHORT;
    if (!ewi_net_sum_is_good(sum_ip4(bytes, out->header_bytes))) /* RFC 1122 section 3.2.1.2 */
        return NET_BAD_CHECKSUM;
    fragment = ewi_net_get_u16(bytes + 6);
    out->traffic_class = bytes[1];
    out->payload_bytes = (uint16_t)(total - out->header_bytes);
    out->id = ewi_net_get_u16(bytes + 4);
    out->dont_fragment = (fragment & IP4_DONT_FRAGMENT) != 0;
    out->more_fragments = (fragment & IP4_MORE_FRAGMENTS) != 0;
    out->fragment_at = (uint16_t)((fragment & IP4_FRAGMENT_MASK) * 8);
    out->hop_limit = bytes[8];
    out->protocol = bytes[9];
    out->source = ewi_net_get_u32(bytes + 12);
    out->destination = ewi_net_get_u32(bytes + 16);
    out->has_source_route = false;
    if (!is_sound_fragment(out))
        return NET_BAD_LENGTH;
    return judge_ip4_options(bytes + NET_IP4_BYTES, (size_t)out->header_bytes - NET_IP4_BYTES,
                             &out->has_source_route);
}

/* The sum is made of the fields while they are in registers. */
size_t ewi_net_ip4_build(uint8_t out[NET_IP4_BYTES], const struct net_ip4 *ip)
{
    uint32_t total = NET_IP4_BYTES + (uint32_t)ip->payload_bytes;
    uint32_t first = (UINT32_C(0x4500) | ip->traffic_class) << 16 | total;
    uint32_t second = (uint32_t)ip->id << 16 | (uint32_t)ip->fragment_at / 8;
    uint32_t third = ((uint32_t)ip->hop_limit << 8 | ip->protocol) << 16;
    uint64_t sum;

    EWI_ASSERT(ip->payload_bytes <= UINT16_MAX - NET_IP4_BYTES && ip->fragment_at % 8 == 0);
    if (ip->dont_fragment)
        second |= IP4_DONT_FRAGMENT;
    if (ip->more_fragments)
        second |= IP4_MORE_FRAGMENTS;
    sum = (uint64_t)first + second + third + ip->source + ip->destination;
    third |= ewi_net_sum_finish(ewi_net_sum_fold(sum));
    ewi_net_put_u32(out, first);
    ewi_net_put_u32(out + 4, second);
    ewi_net_put_u32(out + 8, third);
    ewi_net_put_u32(out + 12, ip->source);
    ewi_net_put_u32(out + 16, ip->destination);
    return NET_IP4_BYTES;
}

void ewi_net_ip4_make_whole(uint8_t *header, size_t header_bytes, size_t payload_bytes,
                            uint8_t marks)
{
    header[1] |= marks;
    ewi_net_put_u16(header + 2, (uint16_t)(header_bytes + payload_bytes));
    ewi_net_put_u16(header + 6, 0);
    ewi_net_put_u16(header + 10, 0);
    ewi_net_put_u16(header + 10, ewi_net_sum_finish(ewi_net_sum(header, header_bytes)));
}

/* ---- UDP ---- */

enum net_code ewi_net_udp_parse(const uint8_t *bytes, size_t length, uint32_t addresses, bool is_ip6,
                                struct net_udp *out)
{
    uint16_t udp_bytes;

    if (length < NET_UDP_BYTES)
        return NET_TOO_SHORT;
    udp_bytes = ewi_net_get_u16(bytes + 4);
    if (udp_bytes < NET_UDP_BYTES)
        return NET_BAD_LENGTH;
    if (udp_bytes > length)
        return NET_TOO_SHORT;
    out->source_port = ewi_net_get_u16(bytes);
    out->destination_port = ewi_net_get_u16(bytes + 2);
    out->payload_bytes = (uint16_t)(udp_bytes - NET_UDP_BYTES);
    out->has_checksum = ewi_net_get_u16(bytes + 6) != 0;
    if (!out->has_checksum)
        return is_ip6 ? NET_BAD_CHECKSUM : NET_OK; /* RFC 8200 section 8.1 */
    if (addresses == NET_SUM_BY_DEVICE)
        return NET_OK;
    addresses = ewi_net_sum_pseudo(addresses, NET_UDP, udp_bytes);
    if (!ewi_net_sum_is_good(ewi_net_sum_add(addresses, ewi_net_sum(bytes, udp_bytes))))
        return NET_BAD_CHECKSUM;
    return NET_OK;
}

size_t ewi_net_udp_build(uint8_t out[NET_UDP_BYTES], const struct net_udp *udp, uint32_t addresses,
                         uint32_t payload)
{
    uint16_t udp_bytes = (uint16_t)(NET_UDP_BYTES + udp->payload_bytes);
    uint32_t pseudo = ewi_net_sum_pseudo(addresses, NET_UDP, udp_bytes);

    EWI_ASSERT(udp->payload_bytes <= UINT16_MAX - NET_UDP_BYTES);
    ewi_net_put_u16(out, udp->source_port);
    ewi_net_put_u16(out + 2, udp->destination_port);
    ewi_net_put_u16(out + 4, udp_bytes);
    ewi_net_put_u16(out + 6, 0);
    if (!udp->has_checksum)
        return NET_UDP_BYTES;
    if (payload == NET_SUM_BY_DEVICE) {
        ewi_net_put_u16(out + 6, (uint16_t)pseudo);
        return NET_UDP_BYTES;
    }
    pseudo = ewi_net_sum_add(pseudo, ewi_net_sum_add(payload, ewi_net_sum(out, NET_UDP_BYTES)));
    ewi_net_put_u16(out + 6, ewi_net_sum_finish_udp(pseudo));
    return NET_UDP_BYTES;
}
