/* tests/c/test_net_way.c - ways of connections: ports, addresses, routes, static neighbours. */
#include "tests/c/net_link_base.h"

static const uint8_t mac_a[6] = {2, 0, 0, 0, 0, 0xa}, mac_b[6] = {2, 0, 0, 0, 0, 0xb};

static struct net_way way_to(struct ewi_net *net, struct stack_addr remote,
                             enum net_way_code expected)
{
    struct net_tuple tuple = tuple_to(remote);
    struct net_way way;

    CHECK_EQ(ewi_net_way(net, &tuple, &way), expected);
    return way;
}

static void fix(struct ewi_net *net, struct stack_addr address, const uint8_t mac[6])
{
    CHECK_EQ(ewi_net_neighbour_add(net, 0, &address, mac), 0);
}

static int route(struct ewi_net *net, struct stack_addr to, unsigned bits, int port,
                 struct stack_addr via)
{
    return ewi_net_route_add(net, &to, bits, port, via.family == 0 ? NULL : &via);
}

static const struct stack_addr on_link;

/* ---- ready ways ---- */

static void a_static_neighbour_is_ready_at_once(void)
{
    struct ewi_net *net = addressed(1);
    struct net_way way;

    fix(net, ip4(10, 0, 0, 9), mac_a);
    way = way_to(net, ip4(10, 0, 0, 9), NET_WAY_READY);
    CHECK_EQ(way.header_bytes, 14);
    CHECK(memcmp(way.header, mac_a, 6) == 0 && same_mac(way.header + 6, 1));
    CHECK_EQ(ewi_net_get_u16(way.header + 12), NET_ETHER_IP4);
    CHECK_EQ(way.mtu, 1500);
    CHECK_EQ(way.port, 0);
    CHECK(way.hop != NET_NONE);
    CHECK_EQ(ewi_net_link_deadline(net), NET_NEVER); /* nothing is asked */
    fix(net, ip6(0, 9), mac_b);
    way = way_to(net, ip6(0, 9), NET_WAY_READY);
    CHECK(memcmp(way.header, mac_b, 6) == 0);
    CHECK_EQ(ewi_net_get_u16(way.header + 12), NET_ETHER_IP6);
}

static void a_port_without_ethernet_needs_no_neighbour(void)
{
    struct net_config config = small_config();
    struct net_port_config port = {.mtu = 9000, .caps = NET_PORT_TX_SUM};
    struct ewi_net *net = start_station(1, &config);
    struct stack_addr neighbour = ip4(10, 0, 0, 2);
    struct net_way way;

    CHECK_EQ(ewi_net_port_add(net, &port), 0);
    CHECK_EQ(ewi_net_address_add(net, 0, &(struct stack_addr){.family = 4, .ip = {10, 0, 0, 1}}, 24, 0),
             0);
    CHECK_EQ(ewi_net_address_state(net, 0, &(struct stack_addr){.family = 4, .ip = {10, 0, 0, 1}}),
             NET_ADDRESS_GOOD); /* nobody could be asked */
    way = way_to(net, neighbour, NET_WAY_READY);
    CHECK_EQ(way.header_bytes, 0);
    CHECK_EQ(way.hop, NET_NONE);
    CHECK_EQ(way.mtu, 9000);
    CHECK_EQ(way.port_caps, NET_PORT_TX_SUM);
    CHECK_EQ(ewi_net_neighbour_add(net, 0, &neighbour, mac_a), -EINVAL);
}

static void a_gateway_takes_what_is_behind_it(void)
{
    struct ewi_net *net = addressed(1);

    fix(net, ip4(10, 0, 0, 254), mac_a);
    fix(net, ip4(10, 0, 0, 253), mac_b);
    CHECK_EQ(route(net, ip4(0, 0, 0, 0), 0, 0, ip4(10, 0, 0, 254)), 0);
    CHECK_EQ(route(net, ip4(192, 168, 0, 0), 16, 0, ip4(10, 0, 0, 253)), 0);
    CHECK(memcmp(way_to(net, ip4(8, 8, 8, 8), NET_WAY_READY).header, mac_a, 6) == 0);
    CHECK(memcmp(way_to(net, ip4(192, 168, 3, 4), NET_WAY_READY).header, mac_b, 6) == 0);
    fix(net, link6(0xfe), mac_b);
    CHECK_EQ(route(net, ip6(0, 0), 0, 0, link6(0xfe)), -EINVAL); /* bits behind the prefix */
    CHECK_EQ(route(net, (struct stack_addr){.family = 6}, 0, 0, link6(0xfe)), 0);
    CHECK(memcmp(way_to(net, ip6(7, 7), NET_WAY_READY).header, mac_b, 6) == 0);
}

static void a_later_longer_route_is_taken_though_another_was_remembered(void)
{
    struct ewi_net *net = addressed(1);

    fix(net, ip4(10, 0, 0, 254), mac_a);
    fix(net, ip4(10, 0, 0, 253), mac_b);
    CHECK_EQ(route(net, ip4(0, 0, 0, 0), 0, 0, ip4(10, 0, 0, 254)), 0);
    CHECK(memcmp(way_to(net, ip4(8, 8, 8, 8), NET_WAY_READY).header, mac_a, 6) == 0);
    CHECK_EQ(route(net, ip4(8, 0, 0, 0), 8, 0, ip4(10, 0, 0, 253)), 0);
    CHECK(memcmp(way_to(net, ip4(8, 8, 8, 8), NET_WAY_READY).header, mac_b, 6) == 0);
    CHECK_EQ(ewi_net_address_add(net, 0, &(struct stack_addr){.family = 4, .ip = {8, 8, 8, 1}}, 24,
                                 NET_ADDRESS_SURE),
             0);
    way_to(net, ip4(8, 8, 8, 8), NET_WAY_PENDING); /* on the link now */
}

static void no_route_is_no_way(void)
{
    struct ewi_net *net = addressed(1);

    way_to(net, ip4(8, 8, 8, 8), NET_WAY_NONE);
    way_to(net, ip6(7, 7), NET_WAY_NONE);
    CHECK_EQ(send_to(net, ip4(8, 8, 8, 8), 100), 0);
    CHECK_EQ(net->count.no_route, 1);
    CHECK_EQ(net->link.slots.used, 0);
    way_to(net, ip4(0, 0, 0, 0), NET_WAY_NONE);
    way_to(net, ip4(127, 0, 0, 1), NET_WAY_NONE);
    way_to(net, (struct stack_addr){.family = 6}, NET_WAY_NONE);
    way_to(net, (struct stack_addr){.family = 6, .ip = {[15] = 1}}, NET_WAY_NONE);
}

static void our_own_address_is_no_way(void)
{
    struct ewi_net *net = addressed(1);

    way_to(net, ip4(10, 0, 0, 1), NET_WAY_NONE);
    way_to(net, ip6(0, 1), NET_WAY_NONE);
    CHECK_EQ(ewi_net_link_deadline(net), NET_NEVER);
}

static void without_an_address_nobody_is_asked(void)
{
    struct ewi_net *net = station(1);

    CHECK_EQ(route(net, ip4(10, 0, 0, 0), 24, 0, on_link), 0);
    way_to(net, ip4(10, 0, 0, 2), NET_WAY_NONE);
    CHECK_EQ(net->link.neighbours.pool.used, 0);
}

static void groups_and_broadcasts_have_addresses_of_their_own(void)
{
    static const uint8_t group4[6] = {1, 0, 0x5e, 0x01, 2, 3}, group6[6] = {0x33, 0x33, 0, 0, 0, 0xfb};
    struct ewi_net *net = addressed(1);
    struct net_tuple tuple = tuple_to(ip4(255, 255, 255, 255));
    struct net_way way;

    CHECK_EQ(route(net, ip4(224, 0, 0, 0), 4, 0, on_link), 0);
    CHECK(memcmp(way_to(net, ip4(239, 129, 2, 3), NET_WAY_READY).header, group4, 6) == 0);
    CHECK(memcmp(way_to(net, ip4(10, 0, 0, 255), NET_WAY_READY).header, net_everybody, 6) == 0);
    CHECK(memcmp(way_to(net, (struct stack_addr){.family = 6, .ip = {0xff, 2, [15] = 0xfb}},
                        NET_WAY_READY).header, group6, 6) == 0);
    CHECK_EQ(ewi_net_way(net, &tuple, &way), NET_WAY_NONE); /* by which port? */
    memcpy(tuple.local, ip4(10, 0, 0, 1).ip, 16);
    CHECK_EQ(ewi_net_way(net, &tuple, &way), NET_WAY_READY);
    CHECK(memcmp(way.header, net_everybody, 6) == 0);
}

static void a_changed_mtu_is_in_the_next_way(void)
{
    struct ewi_net *net = addressed(1);

    fix(net, ip4(10, 0, 0, 9), mac_a);
    CHECK_EQ(way_to(net, ip4(10, 0, 0, 9), NET_WAY_READY).mtu, 1500);
    CHECK_EQ(ewi_net_port_set_mtu(net, 0, 9000), 0);
    CHECK_EQ(way_to(net, ip4(10, 0, 0, 9), NET_WAY_READY).mtu, 9000);
    CHECK_EQ(ewi_net_port_set_mtu(net, 0, 1279), -EINVAL); /* it has IPv6 addresses */
    CHECK_EQ(ewi_net_port_set_mtu(net, 1, 1500), -EINVAL);
    CHECK_EQ(ewi_net_port_set_mtu(net, -1, 1500), -EINVAL);
}

/* ---- two ports ---- */

static struct ewi_net *two_ports(void)
{
    struct ewi_net *net = station(1);
    struct net_port_config second = ether_port(0x11);

    CHECK_EQ(ewi_net_port_add(net, &second), 1);
    give_address(net, 0, ip4(10, 0, 0, 1), 24);
    give_address(net, 1, ip4(10, 0, 0, 101), 24);
    give_address(net, 0, link6(1), 64);
    give_address(net, 1, link6(1), 64);
    return net;
}

static void of_two_equal_routes_that_of_the_local_address_is_taken(void)
{
    struct ewi_net *net = two_ports();
    struct net_tuple tuple = tuple_to(ip4(10, 0, 0, 9));
    struct net_way way;

    CHECK_EQ(ewi_net_way(net, &tuple, &way), NET_WAY_PENDING);
    CHECK_EQ(way.port, 0);
    memcpy(tuple.local, ip4(10, 0, 0, 101).ip, 16);
    CHECK_EQ(ewi_net_way(net, &tuple, &way), NET_WAY_PENDING);
    CHECK_EQ(way.port, 1);
    memcpy(tuple.local, ip4(10, 0, 0, 1).ip, 16);
    CHECK_EQ(ewi_net_way(net, &tuple, &way), NET_WAY_PENDING);
    CHECK_EQ(way.port, 0);
}

/* RFC 4007 section 6 */
static void the_scope_names_the_link(void)
{
    struct ewi_net *net = two_ports();
    struct stack_addr remote = link6(9);

    way_to(net, remote, NET_WAY_NONE);
    remote.scope = 1;
    CHECK_EQ(way_to(net, remote, NET_WAY_PENDING).port, 0);
    remote.scope = 2;
    CHECK_EQ(way_to(net, remote, NET_WAY_PENDING).port, 1);
    remote.scope = 3;
    way_to(net, remote, NET_WAY_NONE);
    CHECK_EQ(ewi_net_scope_of(1, 6, remote.ip), 2);
    CHECK_EQ(ewi_net_scope_of(1, 6, ip6(0, 1).ip), 0);
    CHECK_EQ(ewi_net_scope_of(1, 4, remote.ip), 0);
}

static void a_link_local_neighbour_is_found_without_a_scope_where_there_is_one_link(void)
{
    struct ewi_net *net = addressed(1);

    CHECK_EQ(way_to(net, link6(9), NET_WAY_PENDING).port, 0);
}

/* ---- whose ---- */

static enum net_whose whose(const struct ewi_net *net, uint16_t port, struct stack_addr address)
{
    return ewi_net_link_whose(net, port, address.family, address.ip);
}

static void whose_knows_every_kind(void)
{
    struct ewi_net *net = addressed(1);

    CHECK_EQ(whose(net, 0, ip4(10, 0, 0, 1)), NET_OURS);
    CHECK_EQ(whose(net, 0, ip4(10, 0, 0, 2)), NET_NOT_OURS);
    CHECK_EQ(whose(net, 0, ip4(10, 0, 0, 255)), NET_BROADCAST);
    CHECK_EQ(whose(net, 0, ip4(10, 0, 1, 255)), NET_NOT_OURS);
    CHECK_EQ(whose(net, 0, ip4(255, 255, 255, 255)), NET_BROADCAST);
    CHECK_EQ(whose(net, 0, ip4(224, 0, 0, 1)), NET_MULTICAST);
    CHECK_EQ(whose(net, 0, ip4(224, 0, 0, 2)), NET_NOT_OURS);
    CHECK_EQ(whose(net, 0, ip4(0, 0, 0, 0)), NET_NOT_OURS);
    CHECK_EQ(whose(net, 0, ip6(0, 1)), NET_OURS);
    CHECK_EQ(whose(net, 0, link6(1)), NET_OURS);
    CHECK_EQ(whose(net, 0, ip6(0, 2)), NET_NOT_OURS);
    CHECK_EQ(whose(net, 0, (struct stack_addr){.family = 6, .ip = {0xff, 2, [15] = 1}}), NET_MULTICAST);
    CHECK_EQ(whose(net, 0, (struct stack_addr){.family = 6, .ip = {0xff, 2, [11] = 1, 0xff, 0, 0, 1}}),
             NET_MULTICAST);
    CHECK_EQ(whose(net, 0, (struct stack_addr){.family = 6, .ip = {0xff, 2, [11] = 1, 0xff, 0, 0, 2}}),
             NET_NOT_OURS);
    CHECK_EQ(whose(net, 0, (struct stack_addr){.family = 6, .ip = {10, 0, 0, 1}}), NET_NOT_OURS);
}

/* RFC 1122 section 3.3.4.2 */
static void an_address_belongs_to_its_port(void)
{
    struct ewi_net *net = two_ports();

    CHECK_EQ(whose(net, 1, ip4(10, 0, 0, 101)), NET_OURS);
    CHECK_EQ(whose(net, 0, ip4(10, 0, 0, 101)), NET_NOT_OURS);
    CHECK_EQ(whose(net, 0, link6(1)), NET_OURS);
    CHECK_EQ(whose(net, 1, link6(1)), NET_OURS);
    CHECK(ewi_net_link_is_local(net, 4, ip4(10, 0, 0, 101).ip));
    CHECK(ewi_net_link_is_local(net, 4, ip4(10, 0, 0, 1).ip));
    CHECK(!ewi_net_link_is_local(net, 4, ip4(10, 0, 0, 2).ip));
    CHECK(!ewi_net_link_is_local(net, 4, ip4(10, 0, 0, 255).ip));
}

/* RFC 3021 section 2.2 */
static void a_point_to_point_network_has_no_broadcast(void)
{
    struct ewi_net *net = station(1);

    give_address(net, 0, ip4(10, 0, 0, 0), 31);
    CHECK_EQ(whose(net, 0, ip4(10, 0, 0, 1)), NET_NOT_OURS);
    way_to(net, ip4(10, 0, 0, 1), NET_WAY_PENDING);
}

/* ---- our address ---- */

static void source_is(struct ewi_net *net, struct stack_addr remote, struct stack_addr expected,
                      uint16_t scope)
{
    struct net_tuple tuple = tuple_to(remote);

    CHECK(ewi_net_way_source(net, &tuple));
    CHECK(memcmp(tuple.local, expected.ip, 16) == 0);
    CHECK_EQ(tuple.scope, scope);
}

static bool has_source(struct ewi_net *net, struct stack_addr remote)
{
    struct net_tuple tuple = tuple_to(remote);

    return ewi_net_way_source(net, &tuple);
}

/* RFC 6724 section 5, rules 2 and 8 */
static void the_source_has_the_scope_and_the_longest_prefix(void)
{
    struct ewi_net *net = addressed(1);

    give_address(net, 0, ip4(10, 0, 1, 1), 24);
    give_address(net, 0, ip6(8, 1), 64);
    CHECK_EQ(route(net, ip4(0, 0, 0, 0), 0, 0, ip4(10, 0, 0, 254)), 0);
    source_is(net, ip4(10, 0, 0, 7), ip4(10, 0, 0, 1), 0);
    source_is(net, ip4(10, 0, 1, 7), ip4(10, 0, 1, 1), 0);
    source_is(net, ip4(99, 0, 0, 1), ip4(10, 0, 0, 1), 0); /* equal: the first */
    source_is(net, ip6(0, 7), ip6(0, 1), 0);
    source_is(net, ip6(8, 7), ip6(8, 1), 0);
    source_is(net, link6(7), link6(1), 1);
    CHECK(!has_source(net, ip6(9, 7))); /* no route */
}

static void a_link_local_address_is_no_source_for_a_global_one(void)
{
    struct ewi_net *net = station(1);

    give_address(net, 0, link6(1), 64);
    CHECK_EQ(route(net, (struct stack_addr){.family = 6}, 0, 0, link6(0xfe)), 0);
    CHECK(!has_source(net, ip6(0, 7)));
    CHECK(has_source(net, link6(7)));
}

static void the_source_is_of_the_port_of_the_route(void)
{
    struct ewi_net *net = station(1);
    struct net_port_config second = ether_port(0x11);

    CHECK_EQ(ewi_net_port_add(net, &second), 1);
    give_address(net, 0, ip4(10, 0, 0, 1), 24);
    CHECK_EQ(route(net, ip4(10, 0, 1, 0), 24, 1, on_link), 0);
    CHECK(!has_source(net, ip4(10, 0, 1, 7)));
    give_address(net, 1, ip4(192, 168, 0, 1), 24);
    source_is(net, ip4(10, 0, 1, 7), ip4(192, 168, 0, 1), 0);
}

/* ---- configuration ---- */

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
}

/* ---- frames ---- */

static void a_slot_becomes_a_frame(void)
{
    struct ewi_net *net = addressed(1);
    struct frame frame;
    uint32_t index;

    fix(net, ip4(10, 0, 0, 9), mac_a);
    CHECK(!depart(net, &frame));
    index = send_to(net, ip4(10, 0, 0, 9), 100);
    ewi_net_slot(net, index)->finish_sum = true;
    ewi_net_slot(net, index)->transport_bytes = 8;
    CHECK_EQ(ewi_net_link_deadline(net), 0);
    CHECK(depart(net, &frame));
    CHECK_EQ(frame.out.bytes, 114);
    CHECK_EQ(frame.out.link_bytes, 14);
    CHECK_EQ(frame.out.network_bytes, 20);
    CHECK_EQ(frame.out.transport_bytes, 8);
    CHECK_EQ(frame.out.tso_mss, 0);
    CHECK_EQ(frame.out.port, 0);
    CHECK(frame.out.finish_sum);
    CHECK(memcmp(frame.bytes, mac_a, 6) == 0 && frame.bytes[14] == 'x' && frame.bytes[113] == 'x');
    CHECK_EQ(net->link.slots.used, 0);
    CHECK_EQ(ewi_net_link_deadline(net), NET_NEVER);
}

static void slots_leave_in_order_and_only_as_many_as_there_are_frames(void)
{
    struct ewi_net *net = addressed(1);
    struct frame frame;

    fix(net, ip4(10, 0, 0, 9), mac_a);
    for (uint32_t i = 0; i < 5; i++)
        send_to(net, ip4(10, 0, 0, 9), 100 + i);
    CHECK_EQ(ewi_net_link_output(net, &frame.out, 0), 0);
    for (uint32_t i = 0; i < 5; i++) {
        CHECK(depart(net, &frame));
        CHECK_EQ(frame.out.bytes, 114 + i);
    }
    CHECK(!depart(net, &frame));
}

static void a_slot_that_does_not_fit_is_counted_and_the_next_one_takes_the_frame(void)
{
    struct ewi_net *net = addressed(1);
    uint8_t room[114];
    struct net_frame frames[2] = {{.room = room, .room_bytes = sizeof(room)}};

    fix(net, ip4(10, 0, 0, 9), mac_a);
    send_to(net, ip4(10, 0, 0, 9), 101);
    send_to(net, ip4(10, 0, 0, 9), 100);
    CHECK_EQ(ewi_net_link_output(net, frames, 2), 1);
    CHECK_EQ(frames[0].bytes, 114);
    CHECK_EQ(net->count.frame_too_small, 1);
    CHECK_EQ(net->link.slots.used, 0);
}

static void slots_run_out_and_come_back(void)
{
    struct ewi_net *net = addressed(1);
    uint32_t slot[128];

    for (uint32_t i = 0; i < 128; i++) {
        slot[i] = ewi_net_slot_take(net);
        CHECK(slot[i] != NET_NONE);
        memset(ewi_net_slot(net, slot[i])->packet, (int)i, 1500);
    }
    CHECK_EQ(ewi_net_slot_take(net), NET_NONE);
    CHECK_EQ(net->count.full_slots, 1);
    for (uint32_t i = 0; i < 128; i++) {
        const uint8_t *packet = ewi_net_slot(net, slot[i])->packet;

        CHECK(packet[0] == i && packet[1499] == i); /* they do not overlap */
        ewi_net_slot_give(net, slot[i]);
    }
    CHECK(ewi_net_slot_take(net) != NET_NONE);
}

/* ---- frames in ---- */

static void ether(uint8_t frame[64], const uint8_t to[6], const uint8_t from[6], uint16_t type)
{
    memset(frame, 0, 64);
    ewi_net_ether_header(frame, to, from, type);
}

static void frames_go_to_ip_by_their_type(void)
{
    struct ewi_net *net = addressed(1);
    struct station *s = station_of(net);
    struct net_port_config port = ether_port(1);
    uint8_t frame[64];

    ether(frame, port.mac, mac_a, NET_ETHER_IP4);
    arrive(net, frame, 60);
    CHECK_EQ(s->packets, 1);
    CHECK_EQ(s->packet_bytes, 46);
    CHECK_EQ(s->packet_family, 4);
    CHECK(!s->packet_to_all);
    ether(frame, net_everybody, mac_a, NET_ETHER_IP6);
    arrive(net, frame, 60);
    CHECK_EQ(s->packet_family, 6);
    CHECK(s->packet_to_all);
}

static void a_priority_tag_is_skipped_and_a_vlan_is_not_ours(void)
{
    struct ewi_net *net = addressed(1);
    struct net_port_config port = ether_port(1);
    uint8_t frame[64];

    ether(frame, port.mac, mac_a, NET_ETHER_TAG);
    ewi_net_put_u16(frame + 14, 0xa000);
    ewi_net_put_u16(frame + 16, NET_ETHER_IP4);
    arrive(net, frame, 64);
    CHECK_EQ(station_of(net)->packets, 1);
    CHECK_EQ(station_of(net)->packet_bytes, 46);
    ewi_net_put_u16(frame + 14, 0xa001);
    arrive(net, frame, 64);
    CHECK_EQ(net->count.drop_link_type, 1);
}

static void hostile_frames_are_dropped_with_a_reason(void)
{
    struct ewi_net *net = addressed(1);
    struct net_port_config port = ether_port(1);
    uint8_t frame[64], group[6] = {3, 0, 0, 0, 0, 1};

    ether(frame, port.mac, mac_a, NET_ETHER_IP4);
    for (uint32_t length = 0; length < 14; length++)
        arrive(net, frame, length);
    CHECK_EQ(net->count.drop_link_short, 14);
    ether(frame, mac_b, mac_a, NET_ETHER_IP4);
    arrive(net, frame, 60);
    CHECK_EQ(net->count.drop_link_address, 1);
    ether(frame, port.mac, group, NET_ETHER_IP4);
    arrive(net, frame, 60);
    ether(frame, port.mac, net_everybody, NET_ETHER_IP4);
    arrive(net, frame, 60);
    ether(frame, net_everybody, port.mac, NET_ETHER_IP4); /* our own: a loop */
    arrive(net, frame, 60);
    CHECK_EQ(net->count.drop_link_address, 4);
    ether(frame, port.mac, mac_a, 0x88cc);
    arrive(net, frame, 60);
    ether(frame, port.mac, mac_a, 46); /* IEEE 802.3 length */
    arrive(net, frame, 60);
    CHECK_EQ(net->count.drop_link_type, 2);
    CHECK_EQ(station_of(net)->packets, 0);
}

static void a_port_without_ethernet_takes_bare_packets(void)
{
    struct net_config config = small_config();
    struct net_port_config port = {.mtu = 1500};
    struct ewi_net *net = start_station(1, &config);
    uint8_t packet[20] = {0x45};
    struct frame frame;

    CHECK_EQ(ewi_net_port_add(net, &port), 0);
    arrive(net, packet, 20);
    CHECK_EQ(station_of(net)->packet_family, 4);
    CHECK_EQ(station_of(net)->packet_bytes, 20);
    packet[0] = 0x60;
    arrive(net, packet, 20);
    CHECK_EQ(station_of(net)->packet_family, 6);
    packet[0] = 0x55;
    arrive(net, packet, 20);
    CHECK_EQ(net->count.drop_link_type, 1);
    arrive(net, packet, 0);
    CHECK_EQ(net->count.drop_link_short, 1);
    give_address(net, 0, ip4(10, 0, 0, 1), 24);
    send_to(net, ip4(10, 0, 0, 9), 100);
    CHECK(depart(net, &frame));
    CHECK_EQ(frame.out.bytes, 100);
    CHECK_EQ(frame.out.link_bytes, 0);
}

int main(void)
{
    RUN(a_static_neighbour_is_ready_at_once);
    RUN(a_port_without_ethernet_needs_no_neighbour);
    RUN(a_gateway_takes_what_is_behind_it);
    RUN(a_later_longer_route_is_taken_though_another_was_remembered);
    RUN(no_route_is_no_way);
    RUN(our_own_address_is_no_way);
    RUN(without_an_address_nobody_is_asked);
    RUN(groups_and_broadcasts_have_addresses_of_their_own);
    RUN(a_changed_mtu_is_in_the_next_way);
    RUN(of_two_equal_routes_that_of_the_local_address_is_taken);
    RUN(the_scope_names_the_link);
    RUN(a_link_local_neighbour_is_found_without_a_scope_where_there_is_one_link);
    RUN(whose_knows_every_kind);
    RUN(an_address_belongs_to_its_port);
    RUN(a_point_to_point_network_has_no_broadcast);
    RUN(the_source_has_the_scope_and_the_longest_prefix);
    RUN(a_link_local_address_is_no_source_for_a_global_one);
    RUN(the_source_is_of_the_port_of_the_route);
    RUN(impossible_ports_are_refused);
    RUN(impossible_addresses_are_refused);
    RUN(what_is_behind_the_four_bytes_of_ipv4_does_not_count);
    RUN(two_addresses_of_one_network_share_its_route_and_broadcast);
    RUN(impossible_routes_are_refused);
    RUN(impossible_neighbours_are_refused);
    RUN(sizes_out_of_range_are_refused);
    RUN(a_slot_becomes_a_frame);
    RUN(slots_leave_in_order_and_only_as_many_as_there_are_frames);
    RUN(a_slot_that_does_not_fit_is_counted_and_the_next_one_takes_the_frame);
    RUN(slots_run_out_and_come_back);
    RUN(frames_go_to_ip_by_their_type);
    RUN(a_priority_tag_is_skipped_and_a_vlan_is_not_ours);
    RUN(hostile_frames_are_dropped_with_a_reason);
    RUN(a_port_without_ethernet_takes_bare_packets);
    return 0;
}
