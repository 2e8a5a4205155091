#include "transport/net/header.h"

#include <string.h>

#include "shm/base.h"
#include "transport/net/order.h"

/* ---- the fixed header ---- */

enum { AT_PAYLOAD_LENGTH = 4, AT_NEXT = 6 };

enum net_code ewi_net_ip6_parse(const uint8_t *bytes, size_t length, struct net_ip6 *out)
{
    uint32_t first;

    if (length < NET_IP6_BYTES)
        return NET_TOO_SHORT;
    first = ewi_net_get_u32(bytes);
    if (first >> 28 != 6)
        return NET_BAD_VERSION;
    out->traffic_class = (uint8_t)(first >> 20);
    out->flow = first & 0xfffff;
    out->payload_bytes = ewi_net_get_u16(bytes + 4);
    out->next = bytes[6];
    out->hop_limit = bytes[7];
    memcpy(out->source, bytes + 8, 16);
    memcpy(out->destination, bytes + 24, 16);
    if (out->payload_bytes > length - NET_IP6_BYTES)
        return NET_TOO_SHORT;
    return NET_OK;
}

size_t ewi_net_ip6_build(uint8_t out[NET_IP6_BYTES], const struct net_ip6 *ip)
{
    EWI_ASSERT(ip->flow <= 0xfffff);
    ewi_net_put_u32(out, UINT32_C(6) << 28 | (uint32_t)ip->traffic_class << 20 | ip->flow);
    ewi_net_put_u16(out + 4, ip->payload_bytes);
    out[6] = ip->next;
    out[7] = ip->hop_limit;
    memcpy(out + 8, ip->source, 16);
    memcpy(out + 24, ip->destination, 16);
    return NET_IP6_BYTES;
}

size_t ewi_net_ip6_fragment_build(uint8_t out[NET_IP6_FRAGMENT_BYTES], uint8_t next,
                                  uint16_t fragment_at, bool more_fragments, uint32_t id)
{
    EWI_ASSERT(fragment_at % 8 == 0);
    out[0] = next;
    out[1] = 0;
    ewi_net_put_u16(out + 2, (uint16_t)(fragment_at | more_fragments));
    ewi_net_put_u32(out + 4, id);
    return NET_IP6_FRAGMENT_BYTES;
}

uint8_t *ewi_net_ip6_make_whole(uint8_t *header, const struct net_ip6_chain *first,
                                size_t payload_bytes, uint8_t marks)
{
    size_t behind = first->fragment_header - NET_IP6_BYTES + payload_bytes;

    memmove(header + NET_IP6_FRAGMENT_BYTES, header, first->fragment_header);
    header += NET_IP6_FRAGMENT_BYTES;
    header[first->fragment_named_at] = first->protocol;
    ewi_net_put_u16(header + AT_PAYLOAD_LENGTH, (uint16_t)behind);
    ewi_net_put_u32(header, ewi_net_get_u32(header) | (uint32_t)marks << 20);
    return header;
}

/* ---- the chain: RFC 8200 section 4 ---- */

enum {
    UNIT = 8,
    OPTION_PAD1 = 0,
    OPTION_PADN = 1,
    CODE_FIELD = 0, /* of Parameter Problem: RFC 4443 section 3.4 */
    CODE_NEXT = 1,
    CODE_OPTION = 2,
    CODE_FIRST_FRAGMENT = 3, /* RFC 7112 section 5 */
    CODE_CHAIN_TOO_LONG = 7, /* and the next two: RFC 8883 */
    CODE_TOO_MANY_HEADERS = 8,
    CODE_TOO_MANY_OPTIONS = 9,
};

static enum net_code tell(struct net_ip6_chain *out, enum net_code code, uint8_t icmp_code,
                          size_t pointer)
{
    out->report = NET_REPORT_UNICAST;
    out->icmp_code = icmp_code;
    out->pointer = (uint16_t)pointer;
    return code;
}

/* An option that we do not know: its two highest bits say what to do. RFC 8200 section 4.2. */
static enum net_code judge_option(uint8_t type, size_t at, struct net_ip6_chain *out)
{
    switch (type >> 6) {
    case 0:
        return NET_OK;
    case 1:
        return NET_BAD_OPTION;
    case 2:
        tell(out, NET_BAD_OPTION, CODE_OPTION, at);
        out->report = NET_REPORT_ALWAYS; /* RFC 4443 section 2.4 (e.3) */
        return NET_BAD_OPTION;
    default:
        return tell(out, NET_BAD_OPTION, CODE_OPTION, at);
    }
}

/* Hop-by-hop or destination options, from at to end. */
static enum net_code judge_options(const uint8_t *bytes, size_t at, size_t end,
                                   struct net_ip6_chain *out)
{
    int options = 0;

    while (at < end) {
        size_t option = at++;
        enum net_code code;

        if (bytes[option] == OPTION_PAD1)
            continue;
        if (at == end || bytes[at] > end - at - 1)
            return tell(out, NET_BAD_OPTION, CODE_FIELD, option);
        at += 1 + (size_t)bytes[at];
        if (bytes[option] == OPTION_PADN)
            continue;
        if (++options > NET_IP6_OPTIONS_MAX)
            return tell(out, NET_BAD_CHAIN, CODE_TOO_MANY_OPTIONS, option);
        if ((code = judge_option(bytes[option], option, out)) != NET_OK)
            return code;
    }
    return NET_OK;
}

/* We know no type of routing, hence may only be where its way ends: RFC 8200 section 4.4, RFC 5095. */
static enum net_code judge_routing(const uint8_t *bytes, size_t at, struct net_ip6_chain *out)
{
    if (bytes[at + 3] != 0)
        return tell(out, NET_BAD_FIELD, CODE_FIELD, at + 2);
    return NET_OK;
}

/* RFC 8200 section 4.5. A fragment of one is a whole packet: RFC 6946. */
static enum net_code take_fragment(const uint8_t *bytes, size_t at, size_t end,
                                   struct net_ip6_chain *out)
{
    uint16_t field = ewi_net_get_u16(bytes + at + 2);
    size_t payload = end - at - UNIT;

    if (out->has_fragment_header) /* nested: nobody makes these but to hide something */
        return tell(out, NET_BAD_CHAIN, CODE_NEXT, out->named_at);
    out->has_fragment_header = true;
    out->more_fragments = (field & 1) != 0;
    out->fragment_at = field & 0xfff8;
    out->is_fragment = out->more_fragments || out->fragment_at != 0;
    out->fragment_header = (uint16_t)at;
    out->fragment_named_at = out->named_at;
    out->id = ewi_net_get_u32(bytes + at + 4);
    if (out->more_fragments && (payload == 0 || payload % UNIT != 0))
        return tell(out, NET_BAD_LENGTH, CODE_FIELD, AT_PAYLOAD_LENGTH);
    if (at - NET_IP6_BYTES + out->fragment_at + payload > UINT16_MAX)
        return tell(out, NET_BAD_LENGTH, CODE_FIELD, at + 2);
    return NET_OK;
}

bool ewi_net_ip6_is_extension(uint8_t next)
{
    return next == NET_IP6_HOP_BY_HOP || next == NET_IP6_ROUTING || next == NET_IP6_FRAGMENT ||
           next == NET_IP6_DESTINATION;
}

size_t ewi_net_ip6_extension_bytes(const uint8_t *bytes, size_t at, size_t end, uint8_t next)
{
    size_t size = UNIT;

    if (end - at < UNIT)
        return 0;
    if (next != NET_IP6_FRAGMENT)
        size += (size_t)bytes[at + 1] * UNIT;
    return size <= end - at ? size : 0;
}

static enum net_code judge_extension(const uint8_t *bytes, size_t at, size_t size, size_t end,
                                     struct net_ip6_chain *out)
{
    if (out->protocol == NET_IP6_ROUTING)
        return judge_routing(bytes, at, out);
    if (out->protocol == NET_IP6_FRAGMENT)
        return take_fragment(bytes, at, end, out);
    return judge_options(bytes, at + 2, at + size, out);
}

/* Go over one header. */
static enum net_code step(const uint8_t *bytes, size_t end, struct net_ip6_chain *out)
{
    size_t at = out->header_bytes, size;
    enum net_code code;

    if (out->protocol == NET_IP6_HOP_BY_HOP && at != NET_IP6_BYTES) /* RFC 8200 section 4.1 */
        return tell(out, NET_BAD_CHAIN, CODE_NEXT, out->named_at);
    if (out->extensions == NET_IP6_EXTENSIONS_MAX)
        return tell(out, NET_BAD_CHAIN, CODE_TOO_MANY_HEADERS, at);
    size = ewi_net_ip6_extension_bytes(bytes, at, end, out->protocol);
    if (size == 0)
        return NET_TOO_SHORT;
    if (at + size > NET_IP6_BYTES + NET_IP6_EXTENSION_BYTES_MAX)
        return tell(out, NET_BAD_CHAIN, CODE_CHAIN_TOO_LONG,
                    NET_IP6_BYTES + NET_IP6_EXTENSION_BYTES_MAX);
    if ((code = judge_extension(bytes, at, size, end, out)) != NET_OK)
        return code;
    out->extensions += 1;
    out->protocol = bytes[at];
    out->named_at = (uint16_t)at;
    out->header_bytes = (uint16_t)(at + size);
    out->payload_bytes = (uint16_t)(end - at - size);
    return NET_OK;
}

static size_t upper_bytes_min(uint8_t protocol)
{
    if (protocol == NET_TCP)
        return 20;
    return protocol == NET_UDP || protocol == NET_ICMP6 ? 8 : 0;
}

/* A first fragment holds all headers: RFC 7112 section 5. `out` is behind the fragment header. */
static enum net_code judge_first_fragment(const uint8_t *bytes, size_t end,
                                          struct net_ip6_chain *out)
{
    struct net_ip6_chain rest = *out;
    enum net_code code = NET_OK;

    while (code == NET_OK && ewi_net_ip6_is_extension(rest.protocol))
        code = step(bytes, end, &rest);
    if (code == NET_TOO_SHORT || (code == NET_OK && rest.payload_bytes <
                                                        upper_bytes_min(rest.protocol)))
        return tell(out, NET_BAD_CHAIN, CODE_FIRST_FRAGMENT, 0);
    if (code != NET_OK)
        *out = rest;
    return code;
}

enum net_code ewi_net_ip6_walk(const uint8_t *bytes, size_t length, const struct net_ip6 *ip,
                               struct net_ip6_chain *out)
{
    size_t end = NET_IP6_BYTES + (size_t)ip->payload_bytes;
    enum net_code code;

    *out = (struct net_ip6_chain){.header_bytes = NET_IP6_BYTES,
                                  .payload_bytes = ip->payload_bytes,
                                  .protocol = ip->next,
                                  .named_at = AT_NEXT};
    if (end > length)
        return NET_TOO_SHORT;
    while (ewi_net_ip6_is_extension(out->protocol)) {
        if ((code = step(bytes, end, out)) != NET_OK)
            return code;
        if (out->is_fragment)
            return out->fragment_at == 0 ? judge_first_fragment(bytes, end, out) : NET_OK;
    }
    return NET_OK;
}
