/* tests/c/test_net_way.c - ways of connections: ports, addresses, routes, static neighbours. */
#include "tests/c/net_way_base.h"

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
    struct net_port_config port = {.mtu = 9000, .caps = NET_PORT_TX_SUM, .tso_max = 65000};
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
    CHECK_EQ(way.tso_max, 65000);
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

static void the_next_hop_is_remembered_by_address_family_and_scope(void)
{
    struct ewi_net *net = addressed(1);
    struct stack_addr same = {.family = 6, .ip = {10, 0, 0, 9}}, local = link6(9);

    fix(net, ip4(10, 0, 0, 9), mac_a);
    fix(net, link6(9), mac_b);
    way_to(net, ip4(10, 0, 0, 9), NET_WAY_READY);
    way_to(net, same, NET_WAY_NONE); /* the same bytes */
    local.scope = 1;
    way_to(net, local, NET_WAY_READY);
    local.scope = 2;
    way_to(net, local, NET_WAY_NONE);
    net->link.routes.count = net->link.routes.first6 = 0; /* so nothing else can know */
    CHECK(memcmp(way_to(net, ip4(10, 0, 0, 9), NET_WAY_READY).header, mac_a, 6) == 0);
    way_to(net, ip4(10, 0, 0, 8), NET_WAY_NONE);
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

/* RFC 3021 */
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

int main(void)
{
    RUN(a_static_neighbour_is_ready_at_once);
    RUN(a_port_without_ethernet_needs_no_neighbour);
    RUN(a_gateway_takes_what_is_behind_it);
    RUN(a_later_longer_route_is_taken_though_another_was_remembered);
    RUN(the_next_hop_is_remembered_by_address_family_and_scope);
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
    return 0;
}
