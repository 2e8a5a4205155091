#include "transport/net/link.h"

#include <string.h>

#include "transport/net/link_parts.h"

/* ---- memory ---- */

static size_t in_range(uint32_t count, uint32_t least, uint32_t most)
{
    return count >= least && count <= most ? count : 0; /* 0: the block refuses */
}

static void *piece(struct net_block *block, size_t bytes)
{
    return ewi_net_block_at(block, ewi_net_block_add(block, bytes, NET_ALIGN));
}

void ewi_net_link_place(struct net_block *block, const struct net_config *config,
                        struct net_links_places *places)
{
    size_t ports = in_range(config->ports_max, 1, NET_PORTS_MAX);
    size_t slots = in_range(config->slots_max, NET_SLOTS_MIN, NET_ROWS_MAX);
    size_t slot_bytes = in_range(config->slot_bytes, 1280, 65535);

    places->ports = piece(block, ports * sizeof(struct net_link_port));
    places->addresses = piece(block, ewi_net_addresses_bytes(config->addresses_max));
    places->routes = piece(block, ewi_net_routes_bytes(config->routes_max));
    places->neighbours = piece(block, ewi_net_neighbours_bytes(config->neighbours_max));
    places->hops = piece(block, NET_HOPS_REMEMBERED * sizeof(struct net_hop));
    places->slots = piece(block, ewi_net_pool_bytes((uint32_t)slots, sizeof(struct net_slot)));
    places->slot_memory = piece(block, slot_bytes == 0 ? 0 : slots * ewi_net_slot_stride(config));
}

void ewi_net_link_init(struct ewi_net *net, const struct net_links_places *places)
{
    const struct net_config *config = &net->config;
    struct net_links *link = &net->link;

    *link = (struct net_links){
        .port = places->ports,
        .hop = places->hops,
        .slot_memory = places->slot_memory,
        .leaving = {NET_NONE, NET_NONE, 0},
    };
    ewi_net_addresses_init(&link->addresses, places->addresses, config->addresses_max);
    ewi_net_routes_init(&link->routes, places->routes, config->routes_max);
    ewi_net_neighbours_init(&link->neighbours, places->neighbours, config->neighbours_max,
                            net->seed, &net->random, net->now);
    ewi_net_pool_init(&link->slots, places->slots, config->slots_max, sizeof(struct net_slot));
    ewi_net_forget_hops(net);
}

/* ---- input ---- */

static void input_bare(struct ewi_net *net, struct net_rx *rx)
{
    if (rx->bytes == 0) {
        net->count.drop_link_short += 1;
        return;
    }
    switch (rx->data[0] >> 4) {
    case 4:
    case 6:
        ewi_net_ip_input(net, rx, rx->data, rx->bytes, rx->data[0] >> 4, false);
        return;
    default:
        net->count.drop_link_type += 1;
    }
}

/* Sent by another station, to us or to a group; a frame of ours may come back from a loop. */
static bool is_for_us(const struct ewi_net *net, uint16_t port, const struct net_ether *ether)
{
    const uint8_t *mac = net->link.port[port].mac;

    if (ewi_net_mac_is_group(ether->source) || memcmp(ether->source, mac, 6) == 0)
        return false;
    return ewi_net_mac_is_group(ether->destination) || memcmp(ether->destination, mac, 6) == 0;
}

/* VLAN 0 only carries a priority: IEEE 802.1Q, "priority-tagged". */
static bool is_untagged(const struct net_ether *ether)
{
    return (ether->tag & 0xfff) == 0;
}

static void input_type(struct ewi_net *net, struct net_rx *rx, const struct net_ether *ether)
{
    uint8_t *bytes = rx->data + ether->header_bytes;
    uint32_t length = rx->bytes - ether->header_bytes;
    bool to_all = ewi_net_mac_is_group(ether->destination);

    switch (ether->type) {
    case NET_ETHER_IP4:
        ewi_net_ip_input(net, rx, bytes, length, 4, to_all);
        return;
    case NET_ETHER_IP6:
        ewi_net_ip_input(net, rx, bytes, length, 6, to_all);
        return;
    case NET_ETHER_ARP:
        ewi_net_arp_input(net, rx->port, bytes, length);
        return;
    default:
        net->count.drop_link_type += 1;
    }
}

static void input_ethernet(struct ewi_net *net, struct net_rx *rx)
{
    struct net_ether ether;
    enum net_code code = ewi_net_ether_parse(rx->data, rx->bytes, &ether);

    if (code == NET_TOO_SHORT)
        net->count.drop_link_short += 1;
    else if (code != NET_OK || !is_untagged(&ether))
        net->count.drop_link_type += 1;
    else if (!is_for_us(net, rx->port, &ether))
        net->count.drop_link_address += 1;
    else
        input_type(net, rx, &ether);
}

void ewi_net_link_input(struct ewi_net *net, struct net_rx *rx)
{
    EWI_ASSERT(rx->port < net->link.ports);
    if (ewi_net_is_ethernet(net, rx->port))
        input_ethernet(net, rx);
    else
        input_bare(net, rx);
}

/* ---- timers ---- */

static void do_address_step(struct ewi_net *net, uint32_t index)
{
    struct net_addresses *addresses = &net->link.addresses;
    const struct net_address *address = &addresses->address[index];
    enum net_address_message message =
        ewi_net_address_step(addresses, index, &net->random, net->now);
    bool said = address->family == 4 ? ewi_net_arp_say(net, address, message)
                                     : ewi_net_ndp_say(net, address, message);

    if (!said)
        ewi_net_address_again(addresses, index, net->now);
}

static void addresses_tick(struct ewi_net *net)
{
    struct net_addresses *addresses = &net->link.addresses;
    uint32_t index = 0;

    if (addresses->next > net->now)
        return;
    while ((index = ewi_net_addresses_due(addresses, index, net->now)) != NET_NONE)
        do_address_step(net, index++);
    ewi_net_addresses_due(addresses, 0, net->now); /* brings `next` up to date */
}

void ewi_net_link_tick(struct ewi_net *net)
{
    addresses_tick(net);
    ewi_net_neighbours_tick(net);
    ewi_net_tell_dead(net);
}

uint64_t ewi_net_link_deadline(const struct ewi_net *net)
{
    const struct net_links *link = &net->link;

    if (link->leaving.count > 0)
        return 0;
    if (ewi_net_neighbours_dead(&link->neighbours) != NET_NONE)
        return net->now;
    return ewi_min_u64(link->addresses.next, ewi_net_neighbours_next(&link->neighbours));
}
