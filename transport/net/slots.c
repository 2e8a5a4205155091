#include <string.h>

#include "transport/net/link_parts.h"

/* Of all slots: at most three quarters wait for neighbours, so that requests can be sent; at most an
 * eighth are answers to requests, so that a flood of those leaves room for everything else. */
static uint32_t waiting_max(const struct net_links *link)
{
    return link->slots.slots - link->slots.slots / 4;
}

static uint32_t answers_max(const struct net_links *link)
{
    return link->slots.slots / 8;
}

static uint8_t *packet_of(const struct ewi_net *net, uint32_t index)
{
    return net->link.slot_memory + (size_t)index * ewi_net_slot_stride(&net->config);
}

struct net_slot *ewi_net_slot(struct ewi_net *net, uint32_t index)
{
    return ewi_net_pool_at(&net->link.slots, index);
}

uint32_t ewi_net_slot_take(struct ewi_net *net)
{
    uint32_t index = ewi_net_pool_take(&net->link.slots);

    if (index == NET_NONE) {
        net->count.full_slots += 1;
        return NET_NONE;
    }
    *ewi_net_slot(net, index) = (struct net_slot){
        .packet = packet_of(net, index),
        .next = NET_NONE,
        .kind = NET_SLOT_PACKET,
    };
    return index;
}

void ewi_net_slot_give(struct ewi_net *net, uint32_t index)
{
    if (ewi_net_slot(net, index)->kind == NET_SLOT_ANSWER)
        net->link.answers -= 1;
    ewi_net_pool_give(&net->link.slots, index);
}

/* ---- leaving ---- */

void ewi_net_slot_leave(struct ewi_net *net, uint32_t index)
{
    struct net_slot_list *list = &net->link.leaving;

    ewi_net_slot(net, index)->next = NET_NONE;
    if (list->last == NET_NONE)
        list->first = index;
    else
        ewi_net_slot(net, list->last)->next = index;
    list->last = index;
    list->count += 1;
}

static uint32_t pop_leaving(struct ewi_net *net)
{
    struct net_slot_list *list = &net->link.leaving;
    uint32_t index = list->first;

    list->first = ewi_net_slot(net, index)->next;
    if (list->first == NET_NONE)
        list->last = NET_NONE;
    list->count -= 1;
    return index;
}

uint32_t ewi_net_message_take(struct ewi_net *net, uint16_t port, const uint8_t to[6], uint16_t type,
                              bool is_answer)
{
    struct net_links *link = &net->link;
    struct net_slot *slot;
    uint32_t index;

    if (is_answer && link->answers >= answers_max(link)) {
        net->count.neighbour_limited += 1;
        return NET_NONE;
    }
    index = ewi_net_slot_take(net);
    if (index == NET_NONE)
        return NET_NONE;
    slot = ewi_net_slot(net, index);
    slot->port = port;
    slot->kind = is_answer ? NET_SLOT_ANSWER : NET_SLOT_MESSAGE;
    link->answers += is_answer;
    slot->header_bytes = NET_ETHER_BYTES;
    ewi_net_ether_header(slot->header, to, link->port[port].mac, type);
    return index;
}

/* ---- waiting ---- */

static uint32_t pop_waiting(struct ewi_net *net, struct net_neighbour *neighbour)
{
    uint32_t index = neighbour->first;

    neighbour->first = ewi_net_slot(net, index)->next;
    if (neighbour->first == NET_NONE)
        neighbour->last = NET_NONE;
    neighbour->waiting -= 1;
    net->link.waiting -= 1;
    return index;
}

static void push_waiting(struct ewi_net *net, struct net_neighbour *neighbour, uint32_t index)
{
    if (neighbour->last == NET_NONE)
        neighbour->first = index;
    else
        ewi_net_slot(net, neighbour->last)->next = index;
    neighbour->last = index;
    neighbour->waiting += 1;
    net->link.waiting += 1;
}

/* RFC 4861 section 7.2.2: a queue of some packets, and the oldest goes when it overflows. When all
 * neighbours together have too many, a neighbour that has none waiting gets none. */
void ewi_net_slot_wait(struct ewi_net *net, uint32_t index, uint32_t hop)
{
    struct net_neighbour *neighbour = ewi_net_neighbour_at(&net->link.neighbours, hop);
    bool is_full = neighbour->waiting == NET_NEIGHBOUR_QUEUE ||
                   net->link.waiting == waiting_max(&net->link);

    net->count.neighbour_queue_full += is_full;
    if (is_full && neighbour->waiting == 0) {
        ewi_net_slot_give(net, index);
        return;
    }
    if (is_full)
        ewi_net_slot_give(net, pop_waiting(net, neighbour));
    push_waiting(net, neighbour, index);
}

static void take_way(struct ewi_net *net, uint32_t index, const struct net_way *way)
{
    struct net_slot *slot = ewi_net_slot(net, index);

    slot->port = way->port;
    slot->header_bytes = way->header_bytes;
    memcpy(slot->header, way->header, way->header_bytes);
    ewi_net_slot_leave(net, index);
}

void ewi_net_slots_release(struct ewi_net *net, uint32_t hop)
{
    struct net_neighbour *neighbour = ewi_net_neighbour_at(&net->link.neighbours, hop);
    struct net_way way = {.port = neighbour->name.local_port, .header_bytes = NET_ETHER_BYTES};

    ewi_net_ether_header(way.header, neighbour->mac, net->link.port[way.port].mac,
                         neighbour->name.family == 4 ? NET_ETHER_IP4 : NET_ETHER_IP6);
    while (neighbour->waiting > 0)
        take_way(net, pop_waiting(net, neighbour), &way);
}

void ewi_net_slots_drop(struct ewi_net *net, uint32_t hop)
{
    struct net_neighbour *neighbour = ewi_net_neighbour_at(&net->link.neighbours, hop);

    net->count.neighbour_unreachable += neighbour->waiting;
    while (neighbour->waiting > 0)
        ewi_net_slot_give(net, pop_waiting(net, neighbour));
}

void ewi_net_slot_send(struct ewi_net *net, uint32_t index)
{
    struct net_slot *slot = ewi_net_slot(net, index);
    struct net_way way;

    EWI_ASSERT(slot->bytes <= net->config.slot_bytes);
    switch (ewi_net_way(net, &slot->tuple, &way)) {
    case NET_WAY_READY:
        take_way(net, index, &way);
        return;
    case NET_WAY_PENDING:
        ewi_net_slot_wait(net, index, way.hop);
        return;
    case NET_WAY_NONE:
        net->count.no_route += 1;
        ewi_net_slot_give(net, index);
        return;
    }
}

/* ---- output ---- */

/* The MTU may have become less since the packet was made. */
static bool fill(const struct ewi_net *net, struct net_frame *frame, const struct net_slot *slot)
{
    uint32_t bytes = slot->header_bytes + slot->bytes;

    if (bytes > frame->room_bytes || slot->bytes > net->link.port[slot->port].mtu)
        return false;
    memcpy(frame->room, slot->header, slot->header_bytes);
    memcpy(frame->room + slot->header_bytes, slot->packet, slot->bytes);
    frame->bytes = bytes;
    frame->port = slot->port;
    frame->tso_mss = 0;
    frame->link_bytes = slot->header_bytes;
    frame->network_bytes = slot->network_bytes;
    frame->transport_bytes = slot->transport_bytes;
    frame->finish_sum = slot->finish_sum;
    return true;
}

uint32_t ewi_net_link_output(struct ewi_net *net, struct net_frame *frames, uint32_t count)
{
    uint32_t filled = 0;

    while (filled < count && net->link.leaving.count > 0) {
        uint32_t index = pop_leaving(net);

        if (fill(net, &frames[filled], ewi_net_slot(net, index)))
            filled += 1;
        else
            net->count.frame_too_small += 1;
        ewi_net_slot_give(net, index);
    }
    return filled;
}
