/* The link layer's part of look.h. */
#include <assert.h>

#include "transport/net/link_parts.h"
#include "transport/net/look_parts.h"

static enum net_neighbour_state state_now(const struct ewi_net *net,
                                          const struct net_neighbour *neighbour)
{
    bool is_late = neighbour->state == NET_NEIGHBOUR_REACHABLE &&
                   neighbour->list != NET_LIST_STATIC && net->now >= neighbour->until;

    return is_late ? NET_NEIGHBOUR_STALE : (enum net_neighbour_state)neighbour->state;
}

bool ewi_net_look_neighbour(struct ewi_net *net, uint32_t *at, struct net_look_neighbour *out)
{
    uint32_t slot = ewi_net_look_slot(&net->link.neighbours.pool, at);
    const struct net_neighbour *neighbour;
    const struct net_tuple *name;

    if (slot == NET_NONE)
        return false;
    neighbour = ewi_net_neighbour_at(&net->link.neighbours, slot);
    if (ewi_net_neighbour_is_dead(neighbour))
        return false;
    name = &neighbour->name;
    *out = (struct net_look_neighbour){
        .at = ewi_net_look_named(name->family, name->remote, 0,
                    ewi_net_scope_of(name->local_port, name->family, name->remote)),
        .port = name->local_port,
        .state = state_now(net, neighbour),
        .is_static = neighbour->list == NET_LIST_STATIC,
        .is_known = ewi_net_neighbour_is_known(neighbour),
        .asked = neighbour->asked,
        .waiting = neighbour->waiting};
    memcpy(out->mac, neighbour->mac, sizeof(out->mac));
    return true;
}

const char *ewi_net_look_neighbour_state(const struct net_look_neighbour *neighbour)
{
    static const char *const names[] = {
        [NET_NEIGHBOUR_INCOMPLETE] = "incomplete", [NET_NEIGHBOUR_REACHABLE] = "reachable",
        [NET_NEIGHBOUR_STALE] = "stale",           [NET_NEIGHBOUR_DELAY] = "delay",
        [NET_NEIGHBOUR_PROBE] = "probe",           [NET_NEIGHBOUR_FAILED] = "failed"};
    static_assert(sizeof(names) / sizeof(names[0]) == NET_NEIGHBOUR_STATES, "each has a name");

    return neighbour->is_static ? "static" : names[neighbour->state];
}

bool ewi_net_look_route(struct ewi_net *net, uint32_t *at, struct net_look_route *out)
{
    uint32_t row = ewi_net_look_row(at, net->link.routes.count);
    const struct net_route *route;

    if (row == NET_NONE)
        return false;
    route = &net->link.routes.route[row];
    *out = (struct net_look_route){.prefix = route->bits, .port = route->port};
    out->to.family = route->family;
    memcpy(out->to.ip, route->to, sizeof(out->to.ip));
    if (route->has_via)
        out->via = ewi_net_look_named(route->family, route->via, 0,
                         ewi_net_scope_of(route->port, route->family, route->via));
    return true;
}

bool ewi_net_look_address(struct ewi_net *net, uint32_t *at, struct net_look_address *out)
{
    uint32_t row = ewi_net_look_row(at, net->link.addresses.count);
    const struct net_address *address;

    if (row == NET_NONE)
        return false;
    address = &net->link.addresses.address[row];
    *out = (struct net_look_address){
        .at = ewi_net_look_named(address->family, address->ip, 0,
                    ewi_net_scope_of(address->port, address->family, address->ip)),
        .prefix = address->bits,
        .port = address->port,
        .state = (enum net_address_state)address->state,
        .has_other = !ewi_net_is_zero(address->other, sizeof(address->other))};
    memcpy(out->other, address->other, sizeof(out->other));
    return true;
}

bool ewi_net_look_port(struct ewi_net *net, uint32_t *at, struct net_look_port *out)
{
    uint32_t row = ewi_net_look_row(at, net->link.ports);
    const struct net_link_port *port;

    if (row == NET_NONE)
        return false;
    port = &net->link.port[row];
    *out = (struct net_look_port){
        .config = {.mtu = port->mtu, .caps = port->caps, .tso_max = port->tso_max},
        .port = (uint16_t)row};
    memcpy(out->config.mac, port->mac, sizeof(out->config.mac));
    return true;
}

/* ---- limits ---- */

/* Its pool has room for the dead, too. */
static struct net_look_limit of_neighbours(const struct net_neighbours *neighbours)
{
    return (struct net_look_limit){
        .name = "neighbours",
        .text = "stations on the link that are known or looked for",
        .used = neighbours->pool.used - neighbours->list[NET_LIST_DEAD].count,
        .max = neighbours->count_max,
        .refused = UINT64_MAX};
}

bool ewi_net_link_limit(const struct ewi_net *net, uint32_t i, struct net_look_limit *out)
{
    const struct net_links *link = &net->link;
    const struct net_look_limit rows[] = {
        of_neighbours(&link->neighbours),
        ewi_net_look_count("addresses", "addresses of ours", link->addresses.count,
                           link->addresses.count_max),
        ewi_net_look_count("routes", "routes", link->routes.count, link->routes.count_max),
        ewi_net_look_pool("slots", "packets without a connection on their way out", &link->slots)};

    return ewi_net_look_limit_at(rows, sizeof(rows) / sizeof(rows[0]), i, out);
}
