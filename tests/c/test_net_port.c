/* tests/c/test_net_port.c - configuration: what is refused, and what it leaves behind. */
#include "tests/c/net_way_base.h"

static int add(struct ewi_net *net, int port, struct stack_addr address, unsigned bits)
{
    return ewi_net_address_add(net, port, &address, bits, NET_ADDRESS_SURE);
}

static void impossible_ports_are_refused(void)
{
    struct net_config config = small_config();
    struct ewi_net *net = start_station(1, &config);
    struct net_port_config port = ether_port(1);

    port.mtu = 575;
    CHECK_EQ(ewi_net_port_add(net, &port), -EINVAL);
    port = ether_port(1);
    port.caps |= NET_PORT_TX_TSO;
    CHECK_EQ(ewi_net_port_add(net, &port), -EINVAL);
    port = ether_port(1);
    port.mac[0] = 1;
    CHECK_EQ(ewi_net_port_add(net, &port), -EINVAL);
    memset(port.mac, 0, 6);
    CHECK_EQ(ewi_net_port_add(net, &port), -EINVAL);
    port = ether_port(1);
    CHECK_EQ(ewi_net_port_add(net, &port), 0);
    CHECK_EQ(ewi_net_port_add(net, &port), 1);
    CHECK_EQ(ewi_net_port_add(net, &port), -ENOSPC);
}

static void impossible_addresses_are_refused(void)
{
    struct ewi_net *net = station(1);

    CHECK_EQ(add(net, 1, ip4(10, 0, 0, 1), 24), -EINVAL);
    CHECK_EQ(add(net, -1, ip4(10, 0, 0, 1), 24), -EINVAL);
    CHECK_EQ(add(net, 0, ip4(10, 0, 0, 1), 33), -EINVAL);
    CHECK_EQ(add(net, 0, ip4(224, 0, 0, 1), 24), -EINVAL);
    CHECK_EQ(add(net, 0, ip4(0, 0, 0, 0), 24), -EINVAL);
    CHECK_EQ(add(net, 0, ip4(10, 0, 0, 255), 24), -EINVAL);
    CHECK_EQ(add(net, 0, ip4(127, 0, 0, 1), 8), -EINVAL);
    CHECK_EQ(add(net, 0, (struct stack_addr){.family = 5}, 8), -EINVAL);
    CHECK_EQ(add(net, 0, ip6(0, 1), 129), -EINVAL);
    CHECK_EQ(add(net, 0, (struct stack_addr){.family = 6, .ip = {[15] = 1}}, 64), -EINVAL);
    CHECK_EQ(add(net, 0, ip4(10, 0, 0, 1), 24), 0);
    CHECK_EQ(add(net, 0, ip4(10, 0, 0, 1), 16), -EEXIST);
    CHECK_EQ(add(net, 0, ip4(10, 0, 0, 255), 16), -EEXIST); /* it is a broadcast already */
    CHECK_EQ(net->link.routes.count, 1); /* and no route is left of those */
    CHECK_EQ(ewi_net_port_set_mtu(net, 0, 1279), 0);
    CHECK_EQ(add(net, 0, ip6(0, 1), 64), -EINVAL);
}

static void what_is_behind_the_four_bytes_of_ipv4_does_not_count(void)
{
    struct ewi_net *net = station(1);
    struct stack_addr dirty = ip4(10, 0, 0, 1);

    dirty.ip[9] = 7;
    CHECK_EQ(add(net, 0, dirty, 24), 0);
    CHECK_EQ(whose(net, 0, ip4(10, 0, 0, 1)), NET_OURS);
    CHECK_EQ(ewi_net_address_state(net, 0, &dirty), NET_ADDRESS_GOOD);
}

static void two_addresses_of_one_network_share_its_route_and_broadcast(void)
{
    struct ewi_net *net = station(1);

    for (uint8_t i = 1; i <= 8; i++)
        CHECK_EQ(add(net, 0, ip4(10, 0, 0, i), 24), 0);
    CHECK_EQ(net->link.routes.count, 1);
    CHECK_EQ(net->link.addresses.names, 9);
    CHECK_EQ(add(net, 0, ip4(10, 0, 1, 1), 24), -ENOSPC);
    CHECK_EQ(net->link.routes.count, 1);
}

static void impossible_routes_are_refused(void)
{
    struct ewi_net *net = addressed(1);

    CHECK_EQ(route(net, ip4(8, 0, 0, 0), 8, 1, on_link), -EINVAL);
    CHECK_EQ(route(net, ip4(8, 0, 0, 1), 8, 0, on_link), -EINVAL);
    CHECK_EQ(route(net, ip4(8, 0, 0, 0), 33, 0, on_link), -EINVAL);
    CHECK_EQ(route(net, ip4(8, 0, 0, 0), 8, 0, ip4(9, 9, 9, 9)), -EINVAL); /* not on the link */
    CHECK_EQ(route(net, ip4(8, 0, 0, 0), 8, 0, ip4(10, 0, 0, 255)), -EINVAL);
    CHECK_EQ(route(net, ip4(8, 0, 0, 0), 8, 0, ip6(0, 2)), -EINVAL);
    CHECK_EQ(route(net, ip4(8, 0, 0, 0), 8, 0, ip4(10, 0, 0, 2)), 0);
    CHECK_EQ(route(net, ip4(8, 0, 0, 0), 8, 0, ip4(10, 0, 0, 3)), -EEXIST);
}

static void impossible_neighbours_are_refused(void)
{
    struct ewi_net *net = addressed(1);
    struct stack_addr group = ip4(224, 0, 0, 1), good = ip4(10, 0, 0, 2);

    CHECK_EQ(ewi_net_neighbour_add(net, 0, &group, mac_a), -EINVAL);
    CHECK_EQ(ewi_net_neighbour_add(net, 1, &good, mac_a), -EINVAL);
    CHECK_EQ(ewi_net_neighbour_add(net, 0, &good, net_everybody), -EINVAL);
    for (uint8_t i = 10; i < 18; i++)
        fix(net, ip4(10, 0, 0, i), mac_a);
    CHECK_EQ(ewi_net_neighbour_add(net, 0, &good, mac_a), -ENOSPC); /* all eight are static */
    fix(net, ip4(10, 0, 0, 10), mac_b);                            /* but may be changed */
    CHECK(memcmp(way_to(net, ip4(10, 0, 0, 10), NET_WAY_READY).header, mac_b, 6) == 0);
    way_to(net, ip4(10, 0, 0, 99), NET_WAY_NONE); /* there is no room to ask */
}

static void sizes_out_of_range_are_refused(void)
{
    struct net_config config = small_config();
    struct net_links_places places;
    struct net_block block;
    uint32_t *field[] = {&config.ports_max,     &config.addresses_max, &config.routes_max,
                         &config.neighbours_max, &config.slots_max,     &config.slot_bytes};
    uint32_t most[] = {NET_PORTS_MAX,      NET_ADDRESSES_MAX, NET_ROUTES_MAX,
                       NET_NEIGHBOURS_MAX, NET_ROWS_MAX,      65535};

    for (size_t i = 0; i < 6; i++) {
        uint32_t good = *field[i];

        for (int way = 0; way < 3; way++) {
            *field[i] = way == 0 ? 0 : most[i] + (uint32_t)way - 1;
            ewi_net_block_layout(&block);
            ewi_net_link_place(&block, &config, &places);
            CHECK((ewi_net_block_bytes(&block) != 0) == (way == 1));
        }
        *field[i] = good;
    }
    config.slots_max = NET_SLOTS_MIN;
    config.slot_bytes = 1280;
    ewi_net_block_layout(&block);
    ewi_net_link_place(&block, &config, &places);
    CHECK(ewi_net_block_bytes(&block) != 0);
}

int main(void)
{
    RUN(impossible_ports_are_refused);
    RUN(impossible_addresses_are_refused);
    RUN(what_is_behind_the_four_bytes_of_ipv4_does_not_count);
    RUN(two_addresses_of_one_network_share_its_route_and_broadcast);
    RUN(impossible_routes_are_refused);
    RUN(impossible_neighbours_are_refused);
    RUN(sizes_out_of_range_are_refused);
    return 0;
}
