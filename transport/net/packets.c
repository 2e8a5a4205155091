#include "transport/net/packets.h"

#include <string.h>

#include "transport/net/whole.h"

/* ---- memory ---- */

static uint32_t copies_of(const struct net_config *config)
{
    return config->copies_max > 0 ? config->copies_max : 1; /* a pool has at least one */
}

static void *place_pool(struct net_block *block, uint32_t slots, uint32_t object_bytes)
{
    size_t offset =
        ewi_net_block_add(block, ewi_net_pool_bytes(slots, object_bytes), NET_ALIGN);

    return ewi_net_block_at(block, offset);
}

void ewi_net_packets_place(struct net_block *block, const struct net_config *config,
                           struct net_packets_places *places)
{
    places->packets = place_pool(block, config->packets_max, sizeof(struct net_packet));
    places->copies = place_pool(block, copies_of(config), NET_COPY_BYTES);
}

void ewi_net_packets_init(struct ewi_net *net, const struct net_packets_places *places)
{
    struct net_packets *all = &net->packets;
    const struct net_config *config = &net->config;

    *all = (struct net_packets){
        .charge_max = config->rx_bytes_max, .done_first = NET_NONE, .done_last = NET_NONE};
    ewi_net_pool_init(&all->packets, places->packets, config->packets_max,
                      sizeof(struct net_packet));
    ewi_net_pool_init(&all->copies, places->copies, copies_of(config), NET_COPY_BYTES);
}

/* ---- keeping ---- */

struct net_packet *ewi_net_packet(struct ewi_net *net, uint32_t index)
{
    return ewi_net_pool_at(&net->packets.packets, index);
}

static bool has_reference(const struct net_arrived *arrived)
{
    return arrived->rx != NULL && arrived->rx->ref != NULL;
}

uint32_t ewi_net_packet_charge(const struct net_arrived *arrived, uint32_t bytes)
{
    if (has_reference(arrived))
        return arrived->rx->charge;
    return (bytes + NET_COPY_BYTES - 1) / NET_COPY_BYTES * NET_COPY_BYTES;
}

static void keep_reference(struct net_packet *packet, struct net_rx *rx, uint8_t *at,
                           uint32_t bytes)
{
    uint8_t *end = rx->data + rx->bytes + rx->room;

    EWI_ASSERT((rx->flags & NET_RX_KEPT) == 0); /* I2 */
    EWI_ASSERT(at >= rx->data && at + bytes <= rx->data + rx->bytes);
    rx->flags |= NET_RX_KEPT;
    packet->data = at;
    packet->ref = rx->ref;
    packet->room = (uint32_t)(end - at) - bytes;
}

static bool keep_copy(struct net_packets *all, struct net_packet *packet, const uint8_t *at,
                      uint32_t bytes)
{
    EWI_ASSERT(bytes <= NET_COPY_BYTES);
    packet->copy = ewi_net_pool_take(&all->copies);
    if (packet->copy == NET_NONE)
        return false;
    packet->data = ewi_net_pool_at(&all->copies, packet->copy);
    packet->room = NET_COPY_BYTES - bytes;
    memcpy(packet->data, at, bytes);
    return true;
}

static bool fill(struct net_packets *all, struct net_packet *packet,
                 const struct net_arrived *arrived, uint8_t *at, uint32_t bytes)
{
    *packet = (struct net_packet){
        .bytes = bytes,
        .charge = ewi_net_packet_charge(arrived, bytes),
        .next = NET_NONE,
        .copy = NET_NONE,
        .users = 1,
    };
    if (packet->charge > all->charge_max - all->charged)
        return false;
    if (!has_reference(arrived))
        return keep_copy(all, packet, at, bytes);
    keep_reference(packet, arrived->rx, at, bytes);
    return true;
}

uint32_t ewi_net_packet_keep(struct ewi_net *net, const struct net_arrived *arrived, uint8_t *at,
                             uint32_t bytes)
{
    struct net_packets *all = &net->packets;
    uint32_t index = ewi_net_pool_take(&all->packets);

    if (index == NET_NONE || !fill(all, ewi_net_packet(net, index), arrived, at, bytes)) {
        if (index != NET_NONE)
            ewi_net_pool_give(&all->packets, index);
        net->count.full_packets += 1;
        return NET_NONE;
    }
    all->charged += ewi_net_packet(net, index)->charge;
    return index;
}

/* ---- giving back ---- */

static void append_done(struct ewi_net *net, uint32_t index)
{
    struct net_packets *all = &net->packets;

    ewi_net_packet(net, index)->next = NET_NONE;
    if (all->done_last == NET_NONE)
        all->done_first = index;
    else
        ewi_net_packet(net, all->done_last)->next = index;
    all->done_last = index;
}

void ewi_net_packet_give(struct ewi_net *net, uint32_t index)
{
    struct net_packets *all = &net->packets;
    struct net_packet *packet = ewi_net_packet(net, index);

    EWI_ASSERT(ewi_net_pool_is_taken(&all->packets, index) && packet->users > 0);
    packet->users -= 1;
    if (packet->users > 0)
        return;
    all->charged -= packet->charge;
    if (packet->ref != NULL) { /* the record stays until its reference has left */
        append_done(net, index);
        return;
    }
    ewi_net_pool_give(&all->copies, packet->copy);
    ewi_net_pool_give(&all->packets, index);
}

uint32_t ewi_net_reclaim(struct ewi_net *net, void **refs, uint32_t room)
{
    struct net_packets *all = &net->packets;
    uint32_t count = 0;

    while (count < room && all->done_first != NET_NONE) {
        uint32_t index = all->done_first;

        refs[count++] = ewi_net_packet(net, index)->ref;
        all->done_first = ewi_net_packet(net, index)->next;
        ewi_net_pool_give(&all->packets, index);
    }
    if (all->done_first == NET_NONE)
        all->done_last = NET_NONE;
    return count;
}

const char *ewi_net_packets_check(struct ewi_net *net)
{
    return net->packets.charged > net->packets.charge_max ? "packets: more is pinned than allowed" : NULL;
}
