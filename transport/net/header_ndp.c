#include "transport/net/header_ndp.h"

#include <string.h>

#include "shm/base.h"
#include "transport/net/order.h"
#include "transport/net/sum.h"

enum { /* RFC 4861 section 4.6; lengths in bytes */
    OPTION_UNIT = 8,
    OPTION_SOURCE_LINK = 1,
    OPTION_TARGET_LINK = 2,
    OPTION_PREFIX = 3,
    OPTION_MTU = 5,
    LINK_BYTES = 8, /* Ethernet: RFC 2464 section 6 */
    PREFIX_BYTES = 32,
    MTU_BYTES = 8,
    PREFIX_ON_LINK = 0x80,
    PREFIX_AUTONOMOUS = 0x40,
    PREFIX_BITS_MAX = 128,
    NA_FLAGS = NET_NA_ROUTER | NET_NA_SOLICITED | NET_NA_OVERRIDE,
    RA_FLAGS = NET_RA_MANAGED | NET_RA_OTHER,
};

/* ---- addresses: RFC 4291 sections 2.4, 2.7.1 ---- */

static bool is_unspecified(const uint8_t ip[16])
{
    static const uint8_t zero[16];

    return memcmp(ip, zero, 16) == 0;
}

static bool is_multicast(const uint8_t ip[16])
{
    return ip[0] == 0xff;
}

static bool is_link_local(const uint8_t ip[16])
{
    return ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80;
}

static bool is_solicited_node(const uint8_t ip[16])
{
    static const uint8_t prefix[13] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};

    return memcmp(ip, prefix, sizeof(prefix)) == 0;
}

/* ---- options ---- */

static bool may_have_source_link(uint8_t type)
{
    return type == NET_NDP_RS || type == NET_NDP_RA || type == NET_NDP_NS;
}

static bool may_have_target_link(uint8_t type)
{
    return type == NET_NDP_NA || type == NET_NDP_REDIRECT;
}

static enum net_code take_link(const uint8_t *at, size_t bytes, enum net_ndp_has what,
                               uint8_t link[6], struct net_ndp *out)
{
    if (bytes != LINK_BYTES)
        return NET_BAD_OPTION;
    memcpy(link, at + 2, 6);
    out->has |= (uint8_t)what;
    return NET_OK;
}

/* RFC 4861 section 4.6.4 */
static enum net_code take_mtu(const uint8_t *at, size_t bytes, struct net_ndp *out)
{
    if (bytes != MTU_BYTES)
        return NET_BAD_OPTION;
    out->mtu = ewi_net_get_u32(at + 4);
    out->has |= NET_NDP_HAS_MTU;
    return NET_OK;
}

/* RFC 4861 section 4.6.2 */
static enum net_code take_prefix(const uint8_t *at, size_t bytes, struct net_ndp *out)
{
    struct net_ndp_prefix *prefix;

    if (bytes != PREFIX_BYTES || at[2] > PREFIX_BITS_MAX)
        return NET_BAD_OPTION;
    if (out->prefixes == NET_NDP_PREFIXES_MAX)
        return NET_OK;
    prefix = &out->prefix[out->prefixes++];
    prefix->bits = at[2];
    prefix->on_link = (at[3] & PREFIX_ON_LINK) != 0;
    prefix->autonomous = (at[3] & PREFIX_AUTONOMOUS) != 0;
    prefix->valid_s = ewi_net_get_u32(at + 4);
    prefix->preferred_s = ewi_net_get_u32(at + 8);
    memcpy(prefix->prefix, at + 16, 16);
    return NET_OK;
}

/* Options that are unknown, or not for this type, are ignored: RFC 4861 sections 4.6, 6.1.1. */
static enum net_code take_option(const uint8_t *at, size_t bytes, struct net_ndp *out)
{
    if (at[0] == OPTION_SOURCE_LINK && may_have_source_link(out->type))
        return take_link(at, bytes, NET_NDP_HAS_SOURCE_LINK, out->source_link, out);
    if (at[0] == OPTION_TARGET_LINK && may_have_target_link(out->type))
        return take_link(at, bytes, NET_NDP_HAS_TARGET_LINK, out->target_link, out);
    if (at[0] == OPTION_MTU && out->type == NET_NDP_RA)
        return take_mtu(at, bytes, out);
    if (at[0] == OPTION_PREFIX && out->type == NET_NDP_RA)
        return take_prefix(at, bytes, out);
    return NET_OK;
}

static enum net_code take_options(const uint8_t *at, size_t bytes, struct net_ndp *out)
{
    while (bytes > 0) {
        size_t option_bytes;
        enum net_code code;

        if (bytes < OPTION_UNIT)
            return NET_BAD_OPTION;
        option_bytes = (size_t)at[1] * OPTION_UNIT;
        if (option_bytes == 0 || option_bytes > bytes)
            return NET_BAD_OPTION;
        if ((code = take_option(at, option_bytes, out)) != NET_OK)
            return code;
        at += option_bytes;
        bytes -= option_bytes;
    }
    return NET_OK;
}

/* ---- messages ---- */

/* Up to where the options begin; 0: no NDP. */
static size_t fixed_bytes(uint8_t type)
{
    switch (type) {
    case NET_NDP_RS:
        return 8;
    case NET_NDP_RA:
        return 16;
    case NET_NDP_NS:
    case NET_NDP_NA:
        return 24;
    case NET_NDP_REDIRECT:
        return 40;
    default:
        return 0;
    }
}

static void take_fixed(const uint8_t *bytes, struct net_ndp *out)
{
    switch (out->type) {
    case NET_NDP_RA:
        out->hop_limit = bytes[4];
        out->flags = bytes[5] & RA_FLAGS;
        out->router_s = ewi_net_get_u16(bytes + 6);
        out->reachable_ms = ewi_net_get_u32(bytes + 8);
        out->retransmit_ms = ewi_net_get_u32(bytes + 12);
        break;
    case NET_NDP_NA:
        out->flags = bytes[4] & NA_FLAGS;
        memcpy(out->target, bytes + 8, 16);
        break;
    case NET_NDP_NS:
        memcpy(out->target, bytes + 8, 16);
        break;
    case NET_NDP_REDIRECT:
        memcpy(out->target, bytes + 8, 16);
        memcpy(out->destination, bytes + 24, 16);
        break;
    default: /* RS */
        break;
    }
}

/* RFC 4861 section 6.1.1 */
static bool is_sound_rs(const struct net_ip6 *ip, const struct net_ndp *ndp)
{
    return !is_unspecified(ip->source) || (ndp->has & NET_NDP_HAS_SOURCE_LINK) == 0;
}

/* RFC 4861 section 7.1.1 */
static bool is_sound_ns(const struct net_ip6 *ip, const struct net_ndp *ndp)
{
    if (is_multicast(ndp->target))
        return false;
    if (!is_unspecified(ip->source))
        return true;
    return is_solicited_node(ip->destination) && (ndp->has & NET_NDP_HAS_SOURCE_LINK) == 0;
}

/* RFC 4861 section 7.1.2 */
static bool is_sound_na(const struct net_ip6 *ip, const struct net_ndp *ndp)
{
    if (is_multicast(ndp->target))
        return false;
    return !is_multicast(ip->destination) || (ndp->flags & NET_NA_SOLICITED) == 0;
}

/* RFC 4861 section 8.1 */
static bool is_sound_redirect(const struct net_ip6 *ip, const struct net_ndp *ndp)
{
    if (!is_link_local(ip->source) || is_multicast(ndp->destination))
        return false;
    return is_link_local(ndp->target) || memcmp(ndp->target, ndp->destination, 16) == 0;
}

static bool is_sound(const struct net_ip6 *ip, const struct net_ndp *ndp)
{
    switch (ndp->type) {
    case NET_NDP_RS:
        return is_sound_rs(ip, ndp);
    case NET_NDP_RA:
        return is_link_local(ip->source); /* RFC 4861 section 6.1.2 */
    case NET_NDP_NS:
        return is_sound_ns(ip, ndp);
    case NET_NDP_NA:
        return is_sound_na(ip, ndp);
    default:
        return is_sound_redirect(ip, ndp);
    }
}

enum net_code ewi_net_ndp_parse(const uint8_t *bytes, size_t length, const struct net_ip6 *ip,
                                struct net_ndp *out)
{
    size_t fixed;
    enum net_code code;

    if (length < NET_ICMP_BYTES)
        return NET_TOO_SHORT;
    memset(out, 0, sizeof(*out));
    out->type = bytes[0];
    fixed = fixed_bytes(out->type);
    if (fixed == 0)
        return NET_UNKNOWN;
    if (length < fixed)
        return NET_TOO_SHORT;
    if (ip->hop_limit != NET_NDP_HOP_LIMIT || bytes[1] != 0)
        return NET_BAD_FIELD;
    take_fixed(bytes, out);
    if ((code = take_options(bytes + fixed, length - fixed, out)) != NET_OK)
        return code;
    return is_sound(ip, out) ? NET_OK : NET_BAD_FIELD;
}

/* ---- build ---- */

static void put_fixed(uint8_t *out, const struct net_ndp *ndp)
{
    out[0] = ndp->type;
    switch (ndp->type) {
    case NET_NDP_RA:
        out[4] = ndp->hop_limit;
        out[5] = ndp->flags & RA_FLAGS;
        ewi_net_put_u16(out + 6, ndp->router_s);
        ewi_net_put_u32(out + 8, ndp->reachable_ms);
        ewi_net_put_u32(out + 12, ndp->retransmit_ms);
        break;
    case NET_NDP_NA:
        out[4] = ndp->flags & NA_FLAGS;
        memcpy(out + 8, ndp->target, 16);
        break;
    case NET_NDP_NS:
        memcpy(out + 8, ndp->target, 16);
        break;
    case NET_NDP_REDIRECT:
        memcpy(out + 8, ndp->target, 16);
        memcpy(out + 24, ndp->destination, 16);
        break;
    default: /* RS */
        break;
    }
}

static uint8_t *put_option(uint8_t *at, uint8_t type, size_t bytes)
{
    at[0] = type;
    at[1] = (uint8_t)(bytes / OPTION_UNIT);
    return at + bytes;
}

static uint8_t *put_prefix(uint8_t *at, const struct net_ndp_prefix *prefix)
{
    at[2] = prefix->bits;
    at[3] = (uint8_t)((prefix->on_link ? PREFIX_ON_LINK : 0) |
                      (prefix->autonomous ? PREFIX_AUTONOMOUS : 0));
    ewi_net_put_u32(at + 4, prefix->valid_s);
    ewi_net_put_u32(at + 8, prefix->preferred_s);
    memcpy(at + 16, prefix->prefix, 16);
    return put_option(at, OPTION_PREFIX, PREFIX_BYTES);
}

static uint8_t *put_options(uint8_t *at, const struct net_ndp *ndp)
{
    if ((ndp->has & NET_NDP_HAS_SOURCE_LINK) != 0 && may_have_source_link(ndp->type)) {
        memcpy(at + 2, ndp->source_link, 6);
        at = put_option(at, OPTION_SOURCE_LINK, LINK_BYTES);
    }
    if ((ndp->has & NET_NDP_HAS_TARGET_LINK) != 0 && may_have_target_link(ndp->type)) {
        memcpy(at + 2, ndp->target_link, 6);
        at = put_option(at, OPTION_TARGET_LINK, LINK_BYTES);
    }
    if (ndp->type != NET_NDP_RA)
        return at;
    if ((ndp->has & NET_NDP_HAS_MTU) != 0) {
        ewi_net_put_u32(at + 4, ndp->mtu);
        at = put_option(at, OPTION_MTU, MTU_BYTES);
    }
    for (size_t i = 0; i < ndp->prefixes; i++)
        at = put_prefix(at, &ndp->prefix[i]);
    return at;
}

size_t ewi_net_ndp_build(uint8_t out[NET_NDP_BYTES_MAX], const struct net_ndp *ndp,
                         uint32_t addresses)
{
    size_t fixed = fixed_bytes(ndp->type), bytes;
    uint32_t sum;

    EWI_ASSERT(fixed != 0 && ndp->prefixes <= NET_NDP_PREFIXES_MAX);
    memset(out, 0, NET_NDP_BYTES_MAX);
    put_fixed(out, ndp);
    bytes = (size_t)(put_options(out + fixed, ndp) - out);
    sum = ewi_net_sum_pseudo(addresses, NET_ICMP6, (uint32_t)bytes);
    ewi_net_put_u16(out + 2, ewi_net_sum_finish(ewi_net_sum_add(sum, ewi_net_sum(out, bytes))));
    return bytes;
}
