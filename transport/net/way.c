#include <string.h>

#include "transport/net/link_parts.h"

/* ---- kinds of addresses ---- */

static bool is_group(uint8_t family, const uint8_t address[16])
{
    return family == 4 ? (address[0] & 0xf0) == 0xe0 : address[0] == 0xff;
}

static bool is_all_ones(uint8_t family, const uint8_t address[16])
{
    return family == 4 && memcmp(address, net_everybody, 4) == 0;
}

static bool is_loopback(uint8_t family, const uint8_t address[16])
{
    static const uint8_t one[16] = {[15] = 1};

    return family == 4 ? address[0] == 127 : memcmp(address, one, 16) == 0;
}

/* RFC 1122 section 3.2.1.3; RFC 6890 for 0/8; RFC 4291 section 2.5 */
bool ewi_net_is_station(uint8_t family, const uint8_t address[16])
{
    if (is_group(family, address) || is_loopback(family, address))
        return false;
    if (family == 4)
        return address[0] != 0 && !is_all_ones(family, address);
    return !ewi_net_is_zero(address, 16);
}

static bool is_broadcast(const struct ewi_net *net, uint16_t port, uint8_t family,
                         const uint8_t address[16])
{
    const struct net_name *name;

    if (family != 4)
        return false;
    if (is_all_ones(family, address))
        return true;
    name = ewi_net_addresses_name(&net->link.addresses, port, family, address);
    return name != NULL && name->kind == NET_NAME_BROADCAST;
}

bool ewi_net_is_on_link(const struct ewi_net *net, uint16_t port, uint8_t family,
                        const uint8_t address[16])
{
    if (!ewi_net_is_station(family, address) || is_broadcast(net, port, family, address))
        return false;
    return ewi_net_is_link_local(family, address) ||
           ewi_net_routes_on_link(&net->link.routes, family, address, port);
}

/* ---- whose ---- */

/* RFC 4291 section 2.7.1, RFC 1112 section 4 */
static bool is_all_nodes(uint8_t family, const uint8_t address[16])
{
    static const uint8_t all_hosts4[16] = {224, 0, 0, 1};
    static const uint8_t all_nodes6[16] = {0xff, 2, [15] = 1};
    static const uint8_t all_nodes6_here[16] = {0xff, 1, [15] = 1};

    if (family == 4)
        return memcmp(address, all_hosts4, 16) == 0;
    return memcmp(address, all_nodes6, 16) == 0 || memcmp(address, all_nodes6_here, 16) == 0;
}

static enum net_whose whose_own(const struct net_address *address)
{
    if (address->state == NET_ADDRESS_GOOD)
        return NET_OURS;
    return address->state == NET_ADDRESS_TENTATIVE ? NET_OURS_TENTATIVE : NET_NOT_OURS;
}

/* An address belongs to its port: RFC 1122 section 3.3.4.2, the strong model. */
enum net_whose ewi_net_link_whose(const struct ewi_net *net, uint16_t port, uint8_t family,
                                  const uint8_t address[16])
{
    const struct net_addresses *addresses = &net->link.addresses;
    const struct net_name *name = ewi_net_addresses_name(addresses, port, family, address);

    if (name != NULL && name->kind == NET_NAME_OWN)
        return whose_own(&addresses->address[name->address]);
    if (name != NULL)
        return name->kind == NET_NAME_GROUP ? NET_MULTICAST : NET_BROADCAST;
    if (is_all_ones(family, address))
        return NET_BROADCAST;
    return is_all_nodes(family, address) ? NET_MULTICAST : NET_NOT_OURS;
}

bool ewi_net_link_is_local(const struct ewi_net *net, uint8_t family, const uint8_t address[16])
{
    const struct net_addresses *addresses = &net->link.addresses;
    uint32_t index = ewi_net_addresses_find_any(addresses, family, address);

    return index != NET_NONE && addresses->address[index].state != NET_ADDRESS_TWICE;
}

/* ---- our address for a remote one ---- */

static unsigned rank(const struct net_address *address, const uint8_t remote[16])
{
    bool same_scope = ewi_net_is_link_local(address->family, address->ip) ==
                      ewi_net_is_link_local(address->family, remote);

    return 1 + ewi_net_bits_in_common(address->family, address->ip, remote) +
           (same_scope ? 256 : 0);
}

/* RFC 6724 section 5, rules 2 (scope) and 8 (longest match); the first that was added of equals. */
const uint8_t *ewi_net_source_at(const struct ewi_net *net, uint16_t port, uint8_t family,
                                 const uint8_t remote[16])
{
    const struct net_addresses *addresses = &net->link.addresses;
    const uint8_t *best = NULL;
    unsigned best_rank = 0;

    for (uint32_t i = 0; i < addresses->count; i++) {
        const struct net_address *address = &addresses->address[i];
        unsigned its_rank;

        if (address->port != port || address->family != family || address->state != NET_ADDRESS_GOOD)
            continue;
        its_rank = rank(address, remote);
        if (its_rank > best_rank)
            best = address->ip;
        best_rank = its_rank > best_rank ? its_rank : best_rank;
    }
    return best;
}

/* ---- the next hop ---- */

struct next_hop {
    const uint8_t *address;
    uint16_t port;
    bool is_tied; /* the local address counts too: not to be remembered by the remote one alone */
};

/* RFC 4007 section 6: without a scope it is clear only if there is one link. */
static bool hop_of_scope(const struct ewi_net *net, const struct net_tuple *tuple,
                         struct next_hop *next)
{
    uint32_t scope = tuple->scope == 0 && net->link.ports == 1 ? 1 : tuple->scope;

    if (scope == 0 || scope > net->link.ports)
        return false;
    *next = (struct next_hop){.address = tuple->remote, .port = (uint16_t)(scope - 1)};
    return true;
}

static uint16_t port_of_local(const struct ewi_net *net, const struct net_tuple *tuple)
{
    const struct net_addresses *addresses = &net->link.addresses;
    uint32_t index = ewi_net_addresses_find_any(addresses, tuple->family, tuple->local);

    return index != NET_NONE ? addresses->address[index].port : UINT16_MAX;
}

/* 255.255.255.255 and groups without a route leave by the port of the local address. */
static bool hop_of_local(const struct ewi_net *net, const struct net_tuple *tuple,
                         struct next_hop *next)
{
    *next = (struct next_hop){.address = tuple->remote, .port = port_of_local(net, tuple)};
    return next->port != UINT16_MAX;
}

static bool hop_of_route(const struct ewi_net *net, const struct net_tuple *tuple,
                         struct next_hop *next)
{
    const struct net_routes *routes = &net->link.routes;
    const struct net_route *route = ewi_net_routes_find(routes, tuple->family, tuple->remote);

    if (route == NULL)
        return false;
    if (route->is_tied)
        route = ewi_net_routes_find_by(routes, tuple->family, tuple->remote,
                                       port_of_local(net, tuple));
    *next = (struct next_hop){
        .address = route->has_via ? route->via : tuple->remote,
        .port = route->port,
        .is_tied = route->is_tied,
    };
    return true;
}

static bool find_next_hop(const struct ewi_net *net, const struct net_tuple *tuple,
                          struct next_hop *next)
{
    if (ewi_net_is_link_local(tuple->family, tuple->remote))
        return hop_of_scope(net, tuple, next);
    if (ewi_net_is_station(tuple->family, tuple->remote))
        return hop_of_route(net, tuple, next);
    if (is_group(tuple->family, tuple->remote))
        return hop_of_route(net, tuple, next) || hop_of_local(net, tuple, next);
    return is_all_ones(tuple->family, tuple->remote) && hop_of_local(net, tuple, next);
}

bool ewi_net_way_source(struct ewi_net *net, struct net_tuple *tuple)
{
    uint8_t family = tuple->family;
    struct next_hop next;
    const uint8_t *source;

    if (!find_next_hop(net, tuple, &next))
        return false;
    source = ewi_net_source_at(net, next.port, family, tuple->remote);
    if (source == NULL || ewi_net_is_link_local(family, source) !=
                              ewi_net_is_link_local(family, tuple->remote))
        return false;
    memcpy(tuple->local, source, 16);
    tuple->scope = ewi_net_scope_of(next.port, family, tuple->remote);
    return true;
}

/* ---- what is remembered ---- */

static struct net_hop *hop_place(const struct ewi_net *net, const struct net_tuple *tuple)
{
    uint32_t mixed = ewi_net_address_mix(tuple->remote, tuple->scope);

    return &net->link.hop[mixed & (NET_HOPS_REMEMBERED - 1)];
}

static uint32_t remembered(const struct ewi_net *net, const struct net_tuple *tuple)
{
    const struct net_neighbours *neighbours = &net->link.neighbours;
    const struct net_hop *hop = hop_place(net, tuple);
    uint32_t index;

    if (hop->neighbour == 0 || hop->family != tuple->family || hop->scope != tuple->scope ||
        memcmp(hop->remote, tuple->remote, 16) != 0)
        return NET_NONE;
    index = ewi_net_pool_find(&neighbours->pool, hop->neighbour);
    if (index == NET_NONE || ewi_net_neighbour_is_dead(ewi_net_neighbour_at(neighbours, index)))
        return NET_NONE;
    return index;
}

static void remember(struct ewi_net *net, const struct net_tuple *tuple, uint32_t index)
{
    struct net_hop *hop = hop_place(net, tuple);

    memcpy(hop->remote, tuple->remote, 16);
    hop->neighbour = ewi_net_pool_handle(&net->link.neighbours.pool, index);
    hop->scope = tuple->scope;
    hop->family = tuple->family;
}

void ewi_net_forget_hops(struct ewi_net *net)
{
    memset(net->link.hop, 0, NET_HOPS_REMEMBERED * sizeof(struct net_hop));
}

/* ---- the way ---- */

void ewi_net_group_mac(uint8_t out[6], uint8_t family, const uint8_t group[16])
{
    static const uint8_t prefix4[3] = {1, 0, 0x5e};

    memset(out, 0x33, 2);
    memcpy(out + 2, group + 12, 4);
    if (family == 4) {
        memcpy(out, prefix4, 3);
        out[3] = group[1] & 0x7f;
        out[4] = group[2];
        out[5] = group[3];
    }
}

static void way_header(const struct ewi_net *net, struct net_way *way, uint8_t family,
                       const uint8_t mac[6])
{
    way->header_bytes = NET_ETHER_BYTES;
    ewi_net_ether_header(way->header, mac, net->link.port[way->port].mac,
                         family == 4 ? NET_ETHER_IP4 : NET_ETHER_IP6);
}

static void way_by_port(const struct ewi_net *net, struct net_way *way, uint16_t port)
{
    const struct net_link_port *by = &net->link.port[port];

    way->port = port;
    way->mtu = by->mtu;
    way->port_caps = by->caps;
    way->tso_max = by->tso_max;
    way->hop = NET_NONE;
    way->header_bytes = 0;
}

static enum net_way_code way_by_neighbour(struct ewi_net *net, uint32_t index,
                                          const struct net_tuple *tuple, struct net_way *way)
{
    const struct net_neighbour *neighbour = ewi_net_neighbour_at(&net->link.neighbours, index);

    way_by_port(net, way, neighbour->name.local_port);
    way->hop = index;
    if (!ewi_net_neighbour_is_fresh(neighbour, net->now))
        ewi_net_use(net, index);
    if (ewi_net_neighbour_is_known(neighbour)) {
        way_header(net, way, tuple->family, neighbour->mac);
        return NET_WAY_READY;
    }
    return neighbour->state == NET_NEIGHBOUR_INCOMPLETE ? NET_WAY_PENDING : NET_WAY_NONE;
}

static bool way_to_many(const struct ewi_net *net, const struct net_tuple *tuple,
                        const struct next_hop *next, struct net_way *way)
{
    uint8_t mac[6];

    if (is_group(tuple->family, tuple->remote))
        ewi_net_group_mac(mac, tuple->family, tuple->remote);
    else if (is_broadcast(net, next->port, tuple->family, tuple->remote))
        memcpy(mac, net_everybody, 6);
    else
        return false;
    way_header(net, way, tuple->family, mac);
    return true;
}

static enum net_way_code search(struct ewi_net *net, const struct net_tuple *tuple,
                                struct net_way *way)
{
    struct next_hop next;
    uint32_t index;

    if (!find_next_hop(net, tuple, &next))
        return NET_WAY_NONE;
    way_by_port(net, way, next.port);
    if (!ewi_net_is_ethernet(net, next.port) || way_to_many(net, tuple, &next, way))
        return NET_WAY_READY;
    index = ewi_net_resolve(net, next.port, tuple->family, next.address);
    if (index == NET_NONE)
        return NET_WAY_NONE;
    if (!next.is_tied)
        remember(net, tuple, index);
    return way_by_neighbour(net, index, tuple, way);
}

enum net_way_code ewi_net_way(struct ewi_net *net, const struct net_tuple *tuple,
                              struct net_way *way)
{
    uint32_t index = remembered(net, tuple);

    if (index != NET_NONE)
        return way_by_neighbour(net, index, tuple, way);
    return search(net, tuple, way);
}

uint32_t *ewi_net_way_parked(struct ewi_net *net, uint32_t hop)
{
    return &ewi_net_neighbour_at(&net->link.neighbours, hop)->parked;
}

static uint32_t neighbour_towards(const struct ewi_net *net, const struct net_tuple *tuple)
{
    uint32_t index = remembered(net, tuple);
    struct next_hop next;

    if (index != NET_NONE)
        return index;
    if (!find_next_hop(net, tuple, &next) || !ewi_net_is_ethernet(net, next.port))
        return NET_NONE;
    return ewi_net_neighbours_find(&net->link.neighbours, next.port, tuple->family, next.address);
}

void ewi_net_way_confirm(struct ewi_net *net, const struct net_tuple *tuple)
{
    uint32_t index = neighbour_towards(net, tuple);

    if (index != NET_NONE)
        ewi_net_neighbour_confirm(&net->link.neighbours, index, net->now);
}
