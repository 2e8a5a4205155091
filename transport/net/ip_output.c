#include <errno.h>
#include <string.h>

#include "transport/net/order.h"
#include "transport/net/sum.h"
#include "transport/net/whole.h"

enum { FRAGMENTS_MAX = 128 };

uint32_t ewi_net_ip_addresses(const struct net_tuple *tuple)
{
    static_assert(offsetof(struct net_tuple, remote) == 16, "both addresses in one go");
    if (tuple->family == 4)
        return ewi_net_sum_ip4(ewi_net_get_u32(tuple->local), ewi_net_get_u32(tuple->remote));
    return ewi_net_sum(tuple->local, 32);
}

/* ---- headers ---- */

/* In front of so much; the rest (whole, unmarked) is the caller's. */
static struct net_ip4 header4(const struct net_tuple *tuple, const struct net_ip_out *how,
                              uint32_t payload_bytes)
{
    EWI_ASSERT(payload_bytes <= UINT16_MAX - NET_IP4_BYTES);
    return (struct net_ip4){.source = ewi_net_get_u32(tuple->local),
                            .destination = ewi_net_get_u32(tuple->remote),
                            .payload_bytes = (uint16_t)payload_bytes,
                            .traffic_class = how->traffic_class,
                            .hop_limit = how->hop_limit,
                            .protocol = how->protocol};
}

static void put_header6(uint8_t *out, const struct net_tuple *tuple, const struct net_ip_out *how,
                        uint32_t payload_bytes, uint8_t next)
{
    struct net_ip6 ip = {.flow = how->flow & 0xfffff,
                         .payload_bytes = (uint16_t)payload_bytes,
                         .traffic_class = how->traffic_class,
                         .hop_limit = how->hop_limit,
                         .next = next};

    EWI_ASSERT(payload_bytes <= UINT16_MAX);
    memcpy(ip.source, tuple->local, 16);
    memcpy(ip.destination, tuple->remote, 16);
    ewi_net_ip6_build(out, &ip);
}

uint32_t ewi_net_ip_header(uint8_t *out, const struct net_tuple *tuple, const struct net_ip_out *how,
                           uint32_t payload_bytes)
{
    if (tuple->family == 4) { /* RFC 6864 section 4.1: an atomic datagram's id says nothing */
        struct net_ip4 ip = header4(tuple, how, payload_bytes);

        ip.dont_fragment = true;
        return (uint32_t)ewi_net_ip4_build(out, &ip);
    }
    put_header6(out, tuple, how, payload_bytes, how->protocol);
    return NET_IP6_BYTES;
}

/* ---- slots ---- */

static int refuse(struct ewi_net *net, uint32_t slot, int error)
{
    ewi_net_slot_give(net, slot);
    return error;
}

/* A whole packet. TCP and UDP hear of a path that is too narrow; nobody hears of an ICMP message that
 * was too long, so routers may cut that. */
static int send_whole(struct ewi_net *net, uint32_t index, const struct net_tuple *tuple,
                      const struct net_ip_out *how, uint32_t payload_bytes)
{
    struct net_slot *slot = ewi_net_slot(net, index);

    slot->tuple = *tuple;
    slot->network_bytes = (uint8_t)ewi_net_ip_header_bytes(tuple->family);
    slot->bytes = slot->network_bytes + payload_bytes;
    if (tuple->family == 4 && how->protocol == NET_ICMP4) {
        struct net_ip4 ip = header4(tuple, how, payload_bytes);

        ip.id = (uint16_t)ewi_net_ids_next(&net->ip.ids, tuple, how->protocol);
        ewi_net_ip4_build(slot->packet, &ip);
    } else {
        ewi_net_ip_header(slot->packet, tuple, how, payload_bytes);
    }
    ewi_net_slot_send(net, index);
    return 0;
}

/* ---- fragments: RFC 791 section 3.2, RFC 8200 section 4.5 ---- */

struct cut {
    const struct net_tuple *tuple;
    const struct net_ip_out *how;
    const uint8_t *payload;
    uint32_t payload_bytes, header_bytes;
    uint32_t each; /* payload of all but the last: a multiple of 8 */
    uint32_t id;
};

static void put_fragment(struct net_slot *slot, const struct cut *cut, uint32_t at)
{
    uint32_t left = cut->payload_bytes - at;
    uint32_t bytes = left < cut->each ? left : cut->each;
    bool more = bytes < left;

    slot->tuple = *cut->tuple;
    slot->bytes = cut->header_bytes + bytes;
    slot->network_bytes = (uint8_t)cut->header_bytes;
    slot->transport_bytes = 0;
    slot->finish_sum = false;
    memcpy(slot->packet + cut->header_bytes, cut->payload + at, bytes);
    if (cut->tuple->family == 4) {
        struct net_ip4 ip = header4(cut->tuple, cut->how, bytes);

        ip.id = (uint16_t)cut->id;
        ip.fragment_at = (uint16_t)at;
        ip.more_fragments = more;
        ewi_net_ip4_build(slot->packet, &ip);
        return;
    }
    put_header6(slot->packet, cut->tuple, cut->how, NET_IP6_FRAGMENT_BYTES + bytes,
                NET_IP6_FRAGMENT);
    ewi_net_ip6_fragment_build(slot->packet + NET_IP6_BYTES, cut->how->protocol, (uint16_t)at, more,
                               cut->id);
}

/* All slots first: half a datagram is of no use to anybody. */
static bool take_slots(struct ewi_net *net, uint32_t *slots, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        slots[i] = ewi_net_slot_take(net);
        if (slots[i] != NET_NONE)
            continue;
        while (i > 0)
            ewi_net_slot_give(net, slots[--i]);
        return false;
    }
    return true;
}

static int send_cut(struct ewi_net *net, uint32_t index, struct cut *cut, uint16_t mtu)
{
    uint32_t slots[FRAGMENTS_MAX], count;

    cut->header_bytes = ewi_net_ip_header_bytes(cut->tuple->family);
    cut->payload = ewi_net_slot(net, index)->packet + cut->header_bytes;
    if (cut->tuple->family == 6)
        cut->header_bytes += NET_IP6_FRAGMENT_BYTES;
    cut->each = (mtu - cut->header_bytes) / 8 * 8;
    count = (cut->payload_bytes + cut->each - 1) / cut->each;
    if (count > FRAGMENTS_MAX)
        return refuse(net, index, -EMSGSIZE);
    if (!take_slots(net, slots, count))
        return refuse(net, index, -EAGAIN);
    cut->id = ewi_net_ids_next(&net->ip.ids, cut->tuple, cut->how->protocol);
    for (uint32_t i = 0; i < count; i++) {
        put_fragment(ewi_net_slot(net, slots[i]), cut, i * cut->each);
        ewi_net_slot_send(net, slots[i]);
    }
    ewi_net_slot_give(net, index);
    return 0;
}

int ewi_net_ip_send(struct ewi_net *net, uint32_t slot, const struct net_tuple *tuple,
                    const struct net_ip_out *how, uint32_t payload_bytes, bool may_cut)
{
    struct cut cut = {.tuple = tuple, .how = how, .payload_bytes = payload_bytes};
    uint32_t bytes = ewi_net_ip_header_bytes(tuple->family) + payload_bytes;
    struct net_way way;
    uint16_t mtu;

    EWI_ASSERT(bytes <= net->config.slot_bytes);
    if (ewi_net_way(net, tuple, &way) == NET_WAY_NONE) {
        net->count.no_route += 1;
        return refuse(net, slot, -EHOSTUNREACH);
    }
    mtu = ewi_net_path_mtu(net, tuple, way.mtu);
    if (bytes <= mtu)
        return send_whole(net, slot, tuple, how, payload_bytes);
    return may_cut ? send_cut(net, slot, &cut, mtu) : refuse(net, slot, -EMSGSIZE);
}
