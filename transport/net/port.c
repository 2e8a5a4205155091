#include <errno.h>
#include <string.h>

#include "transport/net/link_parts.h"

enum { MTU_MIN4 = 576, MTU_MIN6 = 1280 }; /* net.h; RFC 8200 section 5 */
enum { HURRY = 16 };
#define APART_NS UINT64_C(1000000) /* the announcements of several addresses: RFC 4861 section 7.2.6 */

static bool is_port(const struct ewi_net *net, int port)
{
    return port >= 0 && (uint32_t)port < net->link.ports;
}

static bool has_ip6(const struct ewi_net *net, int port)
{
    const struct net_addresses *addresses = &net->link.addresses;

    for (uint32_t i = 0; i < addresses->count; i++)
        if (addresses->address[i].port == port && addresses->address[i].family == 6)
            return true;
    return false;
}

static bool is_station(const uint8_t mac[6])
{
    return !ewi_net_mac_is_group(mac) && !ewi_net_is_zero(mac, 6);
}

int ewi_net_port_add(struct ewi_net *net, const struct net_port_config *port)
{
    struct net_links *link = &net->link;
    uint32_t caps = port->caps;

    if (port->mtu < MTU_MIN4 || ((caps & NET_PORT_TX_TSO) != 0 && (caps & NET_PORT_TX_SUM) == 0))
        return -EINVAL;
    if ((caps & NET_PORT_ETHERNET) != 0 && !is_station(port->mac))
        return -EINVAL;
    if (link->ports == net->config.ports_max)
        return -ENOSPC;
    link->port[link->ports] = (struct net_link_port){
        .caps = caps,
        .tso_max = port->tso_max,
        .mtu = port->mtu,
    };
    memcpy(link->port[link->ports].mac, port->mac, 6);
    return (int)link->ports++;
}

int ewi_net_port_set_mac(struct ewi_net *net, int port, const uint8_t mac[6])
{
    if (!is_port(net, port) || (net->link.port[port].caps & NET_PORT_ETHERNET) == 0 || !is_station(mac))
        return -EINVAL;
    memcpy(net->link.port[port].mac, mac, 6);
    ewi_net_forget_neighbours(net, (uint16_t)port);
    return 0;
}

int ewi_net_port_set_mtu(struct ewi_net *net, int port, uint16_t mtu)
{
    if (!is_port(net, port) || mtu < MTU_MIN4 || (mtu < MTU_MIN6 && has_ip6(net, port)))
        return -EINVAL;
    net->link.port[port].mtu = mtu;
    return 0;
}

uint32_t ewi_net_port_caps(const struct ewi_net *net, uint16_t port)
{
    EWI_ASSERT(port < net->link.ports);
    return net->link.port[port].caps;
}

static bool is_family(const struct stack_addr *address)
{
    return address->family == 4 || address->family == 6;
}

/* As in struct net_tuple: of IPv4 only the first four bytes count. */
static void take_ip(uint8_t out[16], const struct stack_addr *address)
{
    memset(out, 0, 16);
    memcpy(out, address->ip, address->family == 4 ? 4 : 16);
}

static void network_of(uint8_t out[16], const uint8_t ip[16], unsigned bits)
{
    memcpy(out, ip, 16);
    for (unsigned i = bits; i < 128; i++)
        out[i / 8] &= (uint8_t)~(0x80 >> i % 8);
}

/* A link-local network needs no route, a network of one address has nobody else in it. */
static int add_network(struct ewi_net *net, const struct net_address *address)
{
    uint8_t network[16];
    int code;

    if (address->bits == (address->family == 4 ? 32 : 128) ||
        ewi_net_is_link_local(address->family, address->ip))
        return 0;
    network_of(network, address->ip, address->bits);
    code = ewi_net_routes_add(&net->link.routes, address->family, network, address->bits,
                              address->port, NULL);
    return code == -EEXIST ? 0 : code;
}

static bool is_there(const struct ewi_net *net, const struct net_address *address)
{
    return ewi_net_addresses_name(&net->link.addresses, address->port, address->family,
                                  address->ip) != NULL;
}

/* RFC 1122 section 3.2.1.3: all ones behind the prefix is everybody. */
static bool is_everybody(const struct net_address *address)
{
    if (address->family != 4 || address->bits > 30)
        return false;
    for (unsigned i = address->bits; i < 32; i++)
        if ((address->ip[i / 8] & 0x80 >> i % 8) == 0)
            return false;
    return true;
}

int ewi_net_address_add(struct ewi_net *net, int port, const struct stack_addr *address,
                        unsigned prefix, uint32_t flags)
{
    struct net_addresses *addresses = &net->link.addresses;
    struct net_address new = {.port = (uint16_t)port,
                              .bits = (uint8_t)prefix,
                              .hurry = flags & NET_ADDRESS_QUICK ? HURRY : 0};
    bool is_sure = (flags & NET_ADDRESS_SURE) != 0, is_ethernet;
    int code;

    if (!is_port(net, port) || !is_family(address) || (flags & ~(uint32_t)(NET_ADDRESS_SURE | NET_ADDRESS_QUICK)) != 0 ||
        prefix > (address->family == 4 ? 32u : 128u))
        return -EINVAL;
    new.family = address->family;
    take_ip(new.ip, address);
    if (!ewi_net_is_station(new.family, new.ip) || is_everybody(&new) ||
        (new.family == 6 && net->link.port[port].mtu < MTU_MIN6))
        return -EINVAL;
    if (is_there(net, &new))
        return -EEXIST;
    if (addresses->count == addresses->count_max)
        return -ENOSPC;
    code = add_network(net, &new);
    if (code != 0)
        return code;
    ewi_net_forget_hops(net);
    is_ethernet = ewi_net_is_ethernet(net, new.port);
    code = ewi_net_addresses_add(addresses, &new, is_sure || !is_ethernet, &net->random, net->now);
    if (code == 0 && is_sure && is_ethernet)
        ewi_net_address_announce(addresses, addresses->count - 1, net->now);
    return code;
}

int ewi_net_port_is_back(struct ewi_net *net, int port)
{
    struct net_addresses *addresses = &net->link.addresses;
    uint64_t at = net->now;

    if (!is_port(net, port))
        return -EINVAL;
    if (!ewi_net_is_ethernet(net, (uint16_t)port))
        return 0;
    for (uint32_t i = 0; i < addresses->count; i++)
        if (addresses->address[i].port == port) {
            ewi_net_address_announce(addresses, i, at);
            at += APART_NS;
        }
    return 0;
}

enum net_address_state ewi_net_address_state(const struct ewi_net *net, int port,
                                             const struct stack_addr *address)
{
    const struct net_addresses *addresses = &net->link.addresses;
    uint8_t ip[16];
    uint32_t index;

    if (!is_port(net, port) || !is_family(address))
        return NET_ADDRESS_NONE;
    take_ip(ip, address);
    index = ewi_net_addresses_find(addresses, (uint16_t)port, address->family, ip);
    return index == NET_NONE ? NET_ADDRESS_NONE
                             : (enum net_address_state)addresses->address[index].state;
}

static bool is_good_gateway(const struct ewi_net *net, uint16_t port, uint8_t family,
                            const struct stack_addr *via, uint8_t out[16])
{
    if (via->family != family)
        return false;
    take_ip(out, via);
    return ewi_net_is_on_link(net, port, family, out);
}

int ewi_net_route_add(struct ewi_net *net, const struct stack_addr *to, unsigned prefix, int port,
                      const struct stack_addr *via)
{
    uint8_t network[16], gateway[16];
    int code;

    if (!is_port(net, port) || !is_family(to))
        return -EINVAL;
    if (via != NULL && !is_good_gateway(net, (uint16_t)port, to->family, via, gateway))
        return -EINVAL;
    take_ip(network, to);
    code = ewi_net_routes_add(&net->link.routes, to->family, network, prefix, (uint16_t)port,
                              via != NULL ? gateway : NULL);
    if (code == 0)
        ewi_net_forget_hops(net);
    return code;
}

int ewi_net_neighbour_add(struct ewi_net *net, int port, const struct stack_addr *address,
                          const uint8_t mac[6])
{
    uint8_t ip[16];

    if (!is_port(net, port) || !is_family(address) || !ewi_net_is_ethernet(net, (uint16_t)port) ||
        ewi_net_mac_is_group(mac))
        return -EINVAL;
    take_ip(ip, address);
    if (!ewi_net_is_station(address->family, ip))
        return -EINVAL;
    return ewi_net_fix_neighbour(net, (uint16_t)port, address->family, ip, mac);
}
