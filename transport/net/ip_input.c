#include <string.h>

#include "transport/net/icmp.h"
#include "transport/net/order.h"
#include "transport/net/sum.h"
#include "transport/net/whole.h"

/* ---- whose ---- */

/* RFC 1122 section 3.2.1.3: what is never a source on a wire. */
static bool is_source4(uint32_t address)
{
    uint32_t first = address >> 24;

    return first != 0 && first != 127 && first < 224;
}

static bool is_mapped6(const uint8_t address[16])
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

    return memcmp(address, prefix, sizeof(prefix)) == 0;
}

static bool is_loopback6(const uint8_t address[16])
{
    static const uint8_t loopback[16] = {[15] = 1};

    return memcmp(address, loopback, 16) == 0;
}

/* RFC 4291 sections 2.5.3 and 2.7; an IPv4-mapped address never travels (RFC 4942 section 2.2). */
static bool is_source6(const uint8_t address[16])
{
    return address[0] != 0xff && !is_loopback6(address) && !is_mapped6(address);
}

static bool is_unspecified(const uint8_t address[16])
{
    static const uint8_t zeros[16];

    return memcmp(address, zeros, 16) == 0;
}

/* Sets is_multicast. RFC 1122 section 3.3.6: a frame for everybody with a packet for one is a trick. */
static bool is_for_us(const struct ewi_net *net, struct net_arrived *arrived)
{
    const struct net_tuple *tuple = &arrived->tuple;

    switch (ewi_net_link_whose(net, arrived->port, tuple->family, tuple->local)) {
    case NET_OURS:
        return !arrived->is_multicast || tuple->family == 6;
    case NET_MULTICAST:
    case NET_BROADCAST:
        arrived->is_multicast = true;
        return true;
    case NET_NOT_OURS:
    case NET_OURS_TENTATIVE: /* RFC 4862 section 5.4; what finds a duplicate comes to a group */
        break;
    }
    return false;
}

/* ---- up ---- */

static bool is_ndp(const struct net_arrived *arrived)
{
    return arrived->protocol == NET_ICMP6 && arrived->length > 0 &&
           ewi_net_icmp6_is_ndp(arrived->bytes[0]);
}

/* is_cut: it came in fragments, were it one only. named_at: of the protocol, for IPv6. */
static void deliver(struct ewi_net *net, struct net_arrived *arrived, uint32_t named_at)
{
    bool is_ip6 = arrived->tuple.family == 6;

    if (arrived->protocol == NET_TCP) {
        ewi_net_tcp_input(net, arrived);
    } else if (arrived->protocol == NET_UDP) {
        ewi_net_udp_input(net, arrived);
    } else if (arrived->protocol == NET_ICMP4 && !is_ip6) {
        ewi_net_icmp4_input(net, arrived);
    } else if (arrived->protocol == NET_ICMP6 && is_ip6) {
        ewi_net_icmp6_input(net, arrived);
    } else {
        net->count.drop_ip_protocol += 1;
        if (!is_ip6 || arrived->protocol != NET_IP6_NONE)
            ewi_net_icmp_report(net, arrived, NET_ICMP_WHY_PROTOCOL, 0, named_at);
    }
}

/* Has somebody we trust judged the sum of the transport? ICMP's is always ours to judge. */
static bool is_judged(const struct ewi_net *net, const struct net_arrived *arrived)
{
    const struct net_rx *rx = arrived->rx;

    if (rx == NULL || arrived->protocol == NET_ICMP6)
        return false;
    if ((rx->flags & NET_RX_SUM_GOOD) != 0)
        return true;
    return (rx->flags & NET_RX_SUM_BLANK) != 0 &&
           (ewi_net_port_caps(net, rx->port) & NET_PORT_RX_TRUST) != 0;
}

/* ---- pieces ---- */

static void take_ip4(struct ewi_net *net, struct net_arrived *arrived, uint8_t *bytes,
                     uint32_t length);
static void take_ip6(struct ewi_net *net, struct net_arrived *arrived, uint8_t *bytes,
                     uint32_t length);

/* A datagram is whole: as if it had come so. */
static void take_whole(struct ewi_net *net, uint32_t slot)
{
    struct net_reassemblies *all = &net->ip.reassemblies;
    const struct net_reassembly *whole = ewi_net_reassembly_at(all, slot);
    struct net_arrived arrived = {.port = whole->port, .is_multicast = whole->is_multicast};
    bool is_ip6 = whole->name.family == 6;
    uint32_t length;
    uint8_t *bytes = ewi_net_reassembly_packet(all, slot, &length);

    arrived.packet = bytes;
    if (is_ip6)
        take_ip6(net, &arrived, bytes, length);
    else
        take_ip4(net, &arrived, bytes, length);
    if (whole->state == NET_REASSEMBLY_WHOLE) /* nobody holds it */
        ewi_net_reassembly_give(all, slot);
}

static void take_piece(struct ewi_net *net, const struct net_fragment *piece)
{
    uint32_t slot;

    switch (ewi_net_reassembly_add(&net->ip.reassemblies, piece, net->now, &slot)) {
    case NET_FRAGMENT_HELD:
        net->count.accepted += 1;
        break;
    case NET_FRAGMENT_WHOLE:
        take_whole(net, slot);
        break;
    case NET_FRAGMENT_BAD:
        net->count.drop_fragment += 1;
        break;
    case NET_FRAGMENT_FULL:
        net->count.drop_fragment_memory += 1;
        break;
    }
    net->count.fragments_late = net->ip.reassemblies.late;
}

/* The name of the datagram that a fragment is of. IPv4: RFC 791 section 3.2 has the protocol in it,
 * RFC 8200 section 4.5 has not. */
static void name_piece(struct net_fragment *piece, const struct net_arrived *arrived, uint32_t id)
{
    piece->name = arrived->tuple;
    piece->name.local_port = (uint16_t)(id >> 16);
    piece->name.remote_port = (uint16_t)id;
    piece->name.zero = arrived->tuple.family == 4 ? arrived->protocol : 0;
    piece->traffic_class = arrived->traffic_class;
    piece->protocol = arrived->protocol;
    piece->port = arrived->port;
    piece->is_multicast = arrived->is_multicast;
}

/* ---- IPv4 ---- */

static void count_bad4(struct net_counters *count, enum net_code code)
{
    if (code == NET_TOO_SHORT)
        count->drop_ip_length += 1;
    else if (code == NET_BAD_CHECKSUM)
        count->drop_ip_checksum += 1;
    else if (code == NET_BAD_OPTION)
        count->drop_ip_options += 1;
    else
        count->drop_ip_header += 1;
}

static bool is_plausible4(const struct ewi_net *net, struct net_arrived *arrived,
                          const struct net_ip4 *ip)
{
    struct net_tuple *tuple = &arrived->tuple;

    tuple->family = 4;
    ewi_net_put_u32(tuple->local, ip->destination);
    ewi_net_put_u32(tuple->remote, ip->source);
    return is_source4(ip->source) && ip->destination >> 24 != 127 && is_for_us(net, arrived) &&
           ewi_net_link_whose(net, arrived->port, 4, tuple->remote) == NET_NOT_OURS;
}

static void take_piece4(struct ewi_net *net, const struct net_arrived *arrived,
                        const struct net_ip4 *ip)
{
    struct net_fragment piece = {
        .header = arrived->packet,
        .payload = arrived->packet + ip->header_bytes,
        .header_bytes = ip->header_bytes,
        .at = ip->fragment_at,
        .bytes = ip->payload_bytes,
        .more = ip->more_fragments,
    };

    name_piece(&piece, arrived, ip->id);
    take_piece(net, &piece);
}

static void take_ip4(struct ewi_net *net, struct net_arrived *arrived, uint8_t *bytes,
                     uint32_t length)
{
    struct net_ip4 ip;
    enum net_code code = ewi_net_ip4_parse(bytes, length, &ip);

    if (code != NET_OK) {
        count_bad4(&net->count, code);
        return;
    }
    if (ip.has_source_route) { /* RFC 7126 section 4.3 */
        net->count.drop_ip_options += 1;
        return;
    }
    if (!is_plausible4(net, arrived, &ip)) {
        net->count.drop_ip_address += 1;
        return;
    }
    arrived->bytes = bytes + ip.header_bytes;
    arrived->length = ip.payload_bytes;
    arrived->packet_bytes = (uint32_t)ip.header_bytes + ip.payload_bytes;
    arrived->protocol = ip.protocol;
    arrived->traffic_class = ip.traffic_class;
    arrived->hop_limit = ip.hop_limit;
    if (ip.more_fragments || ip.fragment_at != 0) {
        take_piece4(net, arrived, &ip);
        return;
    }
    arrived->addresses =
        is_judged(net, arrived) ? NET_SUM_BY_DEVICE : ewi_net_sum_ip4(ip.source, ip.destination);
    deliver(net, arrived, 0);
}

/* ---- IPv6 ---- */

static void count_bad6(struct net_counters *count, enum net_code code)
{
    if (code == NET_TOO_SHORT)
        count->drop_ip_length += 1;
    else if (code == NET_BAD_VERSION)
        count->drop_ip_header += 1;
    else if (code == NET_BAD_LENGTH)
        count->drop_fragment += 1;
    else
        count->drop_ip_options += 1;
}

static bool is_plausible6(const struct ewi_net *net, struct net_arrived *arrived,
                          const struct net_ip6 *ip)
{
    struct net_tuple *tuple = &arrived->tuple;

    tuple->family = 6;
    memcpy(tuple->local, ip->destination, 16);
    memcpy(tuple->remote, ip->source, 16);
    tuple->scope = ewi_net_scope_of(arrived->port, 6, tuple->remote);
    if (tuple->scope == 0)
        tuple->scope = ewi_net_scope_of(arrived->port, 6, tuple->local);
    return is_source6(ip->source) && !is_loopback6(ip->destination) &&
           !is_mapped6(ip->destination) && is_for_us(net, arrived);
}

/* Only who looks for a duplicate sends from ::, and only who has found one from our own address:
 * RFC 4862 section 5.4. */
static bool is_known_sender6(const struct ewi_net *net, const struct net_arrived *arrived)
{
    const struct net_tuple *tuple = &arrived->tuple;

    return (!is_unspecified(tuple->remote) &&
            ewi_net_link_whose(net, arrived->port, 6, tuple->remote) == NET_NOT_OURS) ||
           is_ndp(arrived);
}

static void take_piece6(struct ewi_net *net, const struct net_arrived *arrived,
                        const struct net_ip6_chain *chain)
{
    struct net_fragment piece = {
        .header = arrived->packet,
        .payload = arrived->bytes,
        .header_bytes = chain->header_bytes,
        .at = chain->fragment_at,
        .bytes = chain->payload_bytes,
        .fragment_header = chain->fragment_header,
        .fragment_named_at = chain->fragment_named_at,
        .more = chain->more_fragments,
    };

    name_piece(&piece, arrived, chain->id);
    take_piece(net, &piece);
}

static void take_chain(struct ewi_net *net, struct net_arrived *arrived,
                       const struct net_ip6_chain *chain)
{
    bool is_cut = arrived->rx == NULL || chain->has_fragment_header;

    if (chain->is_fragment && !is_unspecified(arrived->tuple.remote)) {
        take_piece6(net, arrived, chain);
    } else if (chain->is_fragment || !is_known_sender6(net, arrived)) {
        net->count.drop_ip_address += 1;
    } else if (is_cut && is_ndp(arrived)) { /* RFC 6980 section 5 */
        net->count.drop_icmp += 1;
    } else {
        arrived->addresses = is_judged(net, arrived)
                                 ? NET_SUM_BY_DEVICE
                                 : ewi_net_ip_addresses(&arrived->tuple);
        deliver(net, arrived, chain->named_at);
    }
}

static void take_ip6(struct ewi_net *net, struct net_arrived *arrived, uint8_t *bytes,
                     uint32_t length)
{
    struct net_ip6_chain chain;
    struct net_ip6 ip;
    enum net_code code = ewi_net_ip6_parse(bytes, length, &ip);

    if (code != NET_OK) {
        count_bad6(&net->count, code);
        return;
    }
    if (!is_plausible6(net, arrived, &ip)) {
        net->count.drop_ip_address += 1;
        return;
    }
    code = ewi_net_ip6_walk(bytes, length, &ip, &chain);
    arrived->bytes = bytes + chain.header_bytes;
    arrived->length = chain.payload_bytes;
    arrived->packet_bytes = NET_IP6_BYTES + (uint32_t)ip.payload_bytes;
    arrived->protocol = chain.protocol;
    arrived->traffic_class = ip.traffic_class;
    arrived->hop_limit = ip.hop_limit;
    if (code != NET_OK) {
        count_bad6(&net->count, code);
        if (chain.report != NET_REPORT_NOT &&
            ewi_net_link_whose(net, arrived->port, 6, arrived->tuple.remote) == NET_NOT_OURS)
            ewi_net_icmp6_problem(net, arrived, chain.icmp_code, chain.pointer,
                                  chain.report == NET_REPORT_ALWAYS);
        return;
    }
    take_chain(net, arrived, &chain);
}

void ewi_net_ip_input(struct ewi_net *net, struct net_rx *rx, uint8_t *bytes, uint32_t length,
                      uint8_t family, bool to_all)
{
    struct net_arrived arrived = {
        .rx = rx,
        .packet = bytes,
        .port = rx->port,
        .is_multicast = to_all,
    };

    if (family == 4)
        take_ip4(net, &arrived, bytes, length);
    else
        take_ip6(net, &arrived, bytes, length);
}
