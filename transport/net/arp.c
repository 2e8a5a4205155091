#include <string.h>

#include "transport/net/link_parts.h"
#include "transport/net/order.h"

/* RFC 826, with what RFC 1122 section 2.3.2 and RFC 5227 ask for. An entry is made only where we send
 * or are asked; what others say about themselves changes entries that are there. */

static void address_of(uint8_t out[16], uint32_t ip)
{
    memset(out, 0, 16);
    ewi_net_put_u32(out, ip);
}

/* ---- out ---- */

static bool send_arp(struct ewi_net *net, uint16_t port, const uint8_t to[6],
                     const struct net_arp *arp, bool is_answer)
{
    uint32_t index = ewi_net_message_take(net, port, to, NET_ETHER_ARP, is_answer);
    struct net_slot *slot;

    if (index == NET_NONE)
        return false;
    slot = ewi_net_slot(net, index);
    slot->bytes = (uint32_t)ewi_net_arp_build(slot->packet, arp);
    ewi_net_slot_leave(net, index);
    return true;
}

static struct net_arp arp_from(const struct ewi_net *net, uint16_t port, uint16_t operation)
{
    struct net_arp arp = {.operation = operation};

    memcpy(arp.sender_mac, net->link.port[port].mac, 6);
    return arp;
}

/* RFC 1122 section 2.3.2.1 (2): one who is known is asked himself before he is forgotten. */
bool ewi_net_arp_ask(struct ewi_net *net, uint16_t port, const uint8_t address[16],
                     const uint8_t *mac)
{
    struct net_arp arp = arp_from(net, port, NET_ARP_REQUEST);
    const uint8_t *source = ewi_net_source_at(net, port, 4, address);

    EWI_ASSERT(source != NULL); /* resolve.c asks for one first; a good address stays good */
    arp.sender = ewi_net_get_u32(source);
    arp.target = ewi_net_get_u32(address);
    return send_arp(net, port, mac != NULL ? mac : net_everybody, &arp, false);
}

/* RFC 5227 section 1.1: a probe has no sender's address, an announcement has it twice. */
bool ewi_net_arp_say(struct ewi_net *net, const struct net_address *address,
                     enum net_address_message message)
{
    struct net_arp arp = arp_from(net, address->port, NET_ARP_REQUEST);
    bool said;

    arp.target = ewi_net_get_u32(address->ip);
    if (message == NET_SAY_ANNOUNCE)
        arp.sender = arp.target;
    said = send_arp(net, address->port, net_everybody, &arp, false);
    net->count.address_announced += said && message == NET_SAY_ANNOUNCE;
    return said;
}

static void answer(struct ewi_net *net, uint16_t port, const struct net_arp *request)
{
    struct net_arp arp = arp_from(net, port, NET_ARP_REPLY);

    arp.sender = request->target;
    arp.target = request->sender;
    memcpy(arp.target_mac, request->sender_mac, 6);
    send_arp(net, port, request->sender_mac, &arp, true);
}

/* ---- in ---- */

static bool is_plausible(const struct ewi_net *net, uint16_t port, const struct net_arp *arp,
                         const uint8_t sender[16])
{
    if (ewi_net_mac_is_group(arp->sender_mac) || ewi_net_is_zero(arp->sender_mac, 6) ||
        memcmp(arp->sender_mac, net->link.port[port].mac, 6) == 0)
        return false;
    if (arp->sender == 0)
        return arp->operation == NET_ARP_REQUEST; /* a probe */
    return ewi_net_is_station(4, sender) &&
           ewi_net_link_whose(net, port, 4, sender) != NET_BROADCAST;
}

static struct net_address *own(struct ewi_net *net, uint16_t port, uint32_t ip)
{
    struct net_addresses *addresses = &net->link.addresses;
    uint8_t address[16];
    uint32_t index;

    address_of(address, ip);
    index = ewi_net_addresses_find(addresses, port, 4, address);
    if (index == NET_NONE || addresses->address[index].state == NET_ADDRESS_TWICE)
        return NULL;
    return &addresses->address[index];
}

/* RFC 5227 sections 2.1.1 (while we look) and 2.4 (afterwards). */
static void conflict(struct ewi_net *net, struct net_address *address, const uint8_t mac[6])
{
    struct net_addresses *addresses = &net->link.addresses;

    net->count.address_conflicts += 1;
    memcpy(address->other, mac, sizeof(address->other));
    if (ewi_net_address_conflict(addresses, (uint32_t)(address - addresses->address), net->now))
        ewi_net_arp_say(net, address, NET_SAY_ANNOUNCE);
}

/* RFC 5227 section 2.1.1: two who probe for the same address both lose it. */
static bool take_probe(struct ewi_net *net, uint16_t port, const struct net_arp *arp,
                       struct net_address *target)
{
    if (target == NULL)
        return false;
    if (target->state == NET_ADDRESS_TENTATIVE)
        conflict(net, target, arp->sender_mac);
    else
        answer(net, port, arp);
    return true;
}

static bool take_message(struct ewi_net *net, uint16_t port, const struct net_arp *arp,
                         const uint8_t sender[16])
{
    const struct net_address *target = own(net, port, arp->target);
    bool is_for_us = target != NULL && target->state == NET_ADDRESS_GOOD;
    bool is_request = arp->operation == NET_ARP_REQUEST;
    struct net_heard heard = {
        .mac = arp->sender_mac,
        .is_answer = is_for_us && !is_request,
        .overrides = true,
    };
    bool is_known = ewi_net_heard(net, port, 4, sender, &heard,
                                  is_for_us && is_request &&
                                      ewi_net_is_on_link(net, port, 4, sender));

    if (is_for_us && is_request)
        answer(net, port, arp);
    return is_known || (is_for_us && is_request);
}

static bool take(struct ewi_net *net, uint16_t port, const struct net_arp *arp,
                 const uint8_t sender[16])
{
    struct net_address *address;

    if (arp->sender == 0)
        return take_probe(net, port, arp, own(net, port, arp->target));
    address = own(net, port, arp->sender);
    if (address == NULL)
        return take_message(net, port, arp, sender);
    conflict(net, address, arp->sender_mac);
    return true;
}

void ewi_net_arp_input(struct ewi_net *net, uint16_t port, const uint8_t *bytes, size_t length)
{
    struct net_arp arp;
    uint8_t sender[16];

    if (ewi_net_arp_parse(bytes, length, &arp) != NET_OK) {
        net->count.drop_neighbour += 1;
        return;
    }
    address_of(sender, arp.sender);
    if (!is_plausible(net, port, &arp, sender))
        net->count.drop_neighbour += 1;
    else if (take(net, port, &arp, sender))
        net->count.accepted += 1;
    else
        net->count.drop_neighbour_other += 1;
}
