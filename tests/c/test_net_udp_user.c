/* tests/c/test_net_udp_user.c - what the user asks of UDP: names, ports, sending, events. */
#include "tests/c/net_ip_packets.h"
#include "transport/net/ports.h"

#include <errno.h>

static struct stack_addr address(const uint8_t *ip, uint8_t family, uint16_t port)
{
    struct stack_addr addr = {.family = family, .port = port};

    if (ip != NULL)
        memcpy(addr.ip, ip, family == 4 ? 4 : 16);
    return addr;
}

static int open_with(const struct stack_addr *local, const struct stack_addr *remote,
                     ewi_stream *stream)
{
    int code;

    *stream = 0;
    code = ewi_net_udp_open(net, local, remote, 5, net->now, stream);
    CHECK_EQ(code == 0, *stream != 0);
    base_check();
    return code;
}

static int open_at(const uint8_t *ip, uint8_t family, uint16_t port)
{
    struct stack_addr local = address(ip, family, port);
    ewi_stream stream;

    return open_with(&local, NULL, &stream);
}

static int open_to(const uint8_t *ip, uint8_t family, uint16_t local_port, uint16_t port)
{
    struct stack_addr local = address(NULL, family, local_port), remote = address(ip, family, port);
    ewi_stream stream;

    return open_with(&local, &remote, &stream);
}

/* ---- open ---- */

static void two_of_one_name_are_refused(void)
{
    base_begin();
    CHECK_EQ(open_at(NULL, 4, 53), 0);
    CHECK_EQ(open_at(NULL, 4, 53), -EADDRINUSE);
    CHECK_EQ(open_at(ours4, 4, 53), 0);
    CHECK_EQ(open_at(ours4, 4, 53), -EADDRINUSE);
    CHECK_EQ(open_at(NULL, 6, 53), 0);
    CHECK_EQ(open_to(peer4, 4, 53, 4000), 0);
    CHECK_EQ(open_to(peer4, 4, 53, 4000), -EADDRINUSE);
    CHECK_EQ(open_to(peer4, 4, 53, 4001), 0);
    CHECK_EQ(net->udp.endpoints.used, 5);
}

static void addresses_that_are_not_ours_are_refused(void)
{
    struct stack_addr local = address(peer4, 4, 53), remote = address(peer4, 4, 1);
    ewi_stream stream;

    base_begin();
    CHECK_EQ(open_at(peer4, 4, 53), -EADDRNOTAVAIL);
    CHECK_EQ(open_at(peer6, 6, 53), -EADDRNOTAVAIL);
    CHECK_EQ(open_with(&local, &remote, &stream), -EADDRNOTAVAIL);
    CHECK_EQ(net->udp.endpoints.used, 0);
}

static void what_makes_no_sense_is_refused(void)
{
    struct stack_addr local = address(NULL, 6, 53), remote = address(peer4, 4, 1), odd;
    ewi_stream stream;

    base_begin();
    CHECK_EQ(open_at(NULL, 5, 53), -EINVAL);
    CHECK_EQ(open_with(&local, &remote, &stream), -EINVAL); /* families */
    CHECK_EQ(open_to(peer4, 4, 0, 0), -EINVAL);
    CHECK_EQ(open_to(NULL, 4, 0, 80), -EINVAL);
    odd = address(peer4, 0, 80);
    CHECK_EQ(open_with(NULL, &odd, &stream), -EINVAL);
    odd = address(ours4, 0, 80); /* an address of no family */
    CHECK_EQ(open_with(&odd, NULL, &stream), -EINVAL);
    CHECK_EQ(net->udp.endpoints.used, 0);
}

static void without_a_way_there_is_no_peer(void)
{
    base_begin();
    base.way = NET_WAY_NONE;
    CHECK_EQ(open_to(peer4, 4, 0, 80), -EHOSTUNREACH);
    CHECK_EQ(net->udp.endpoints.used, 0);
}

static void there_are_no_more_than_were_asked_for(void)
{
    ewi_stream stream;

    base_begin();
    for (uint16_t i = 0; i < 8; i++)
        CHECK_EQ(open_at(NULL, 4, (uint16_t)(1 + i)), 0);
    CHECK_EQ(open_with(NULL, NULL, &stream), -ENOBUFS);
}

static void rfc_6056_section_3_3_1_chosen_ports_are_random_and_free(void)
{
    struct stack_addr local, remote = address(peer4, 4, 53), peer;
    uint16_t first = 0, port = 0;
    bool in_order = true;
    ewi_stream stream;

    base_begin();
    for (int i = 0; i < 8; i++) {
        CHECK_EQ(open_with(NULL, i % 2 == 0 ? &remote : NULL, &stream), 0);
        CHECK_EQ(ewi_net_udp_addresses(net, stream, &local, &peer), 0);
        CHECK(local.port >= NET_PORTS_LOW);
        in_order = in_order && (i == 0 || local.port == port + 1);
        port = local.port;
        first = i == 0 ? port : first;
    }
    CHECK(!in_order);
    base_begin();
    net->seed[0] = 99;
    ewi_net_random_init(&net->random, net->seed);
    CHECK_EQ(open_with(NULL, &remote, &stream), 0);
    CHECK_EQ(ewi_net_udp_addresses(net, stream, &local, &peer), 0);
    CHECK(local.port != first);
}

static void the_last_free_port_is_found(void)
{
    enum { ALL = NET_PORTS_HIGH - NET_PORTS_LOW + 1 };
    struct net_config config = base_config();
    struct stack_addr local, remote;
    ewi_stream stream = 0;

    config.udp_max = ALL + 8;
    base_start(&config);
    for (uint32_t i = 0; i < ALL; i++) {
        local = address(NULL, 4, (uint16_t)(NET_PORTS_LOW + i));
        if (i != 12345)
            CHECK_EQ(ewi_net_udp_open(net, &local, NULL, 0, 0, &stream), 0);
    }
    CHECK_EQ(ewi_net_udp_open(net, NULL, NULL, 0, 0, &stream), 0);
    CHECK_EQ(ewi_net_udp_addresses(net, stream, &local, &remote), 0);
    CHECK_EQ(local.port, NET_PORTS_LOW + 12345);
    CHECK_EQ(local.family, 0);
    CHECK_EQ(ewi_net_udp_open(net, NULL, NULL, 0, 0, &stream), -EADDRINUSE);
    CHECK_EQ(net->count.full_ports, 1);
    CHECK_EQ(ewi_net_udp_close(net, stream), 0); /* and is free again */
    CHECK_EQ(ewi_net_udp_open(net, NULL, NULL, 0, 0, &stream), 0);
    base_check();
}

static void an_endpoint_knows_its_addresses(void)
{
    struct stack_addr local, remote, want = address(peer_link6, 6, 53);
    ewi_stream stream;

    base_begin();
    want.scope = BASE_PORT + 1;
    CHECK_EQ(open_with(NULL, &want, &stream), 0);
    CHECK_EQ(ewi_net_udp_addresses(net, stream, &local, &remote), 0);
    CHECK_EQ(remote.family, 6);
    CHECK_EQ(remote.port, 53);
    CHECK_EQ(remote.scope, BASE_PORT + 1);
    CHECK(memcmp(remote.ip, peer_link6, 16) == 0);
    CHECK_EQ(local.family, 6);
    CHECK_EQ(local.scope, BASE_PORT + 1);
    CHECK(memcmp(local.ip, link6, 16) == 0);
    CHECK(local.port >= NET_PORTS_LOW);
    want = address(ours4, 4, 77);
    CHECK_EQ(open_with(&want, NULL, &stream), 0);
    CHECK_EQ(ewi_net_udp_addresses(net, stream, &local, &remote), 0);
    CHECK_EQ(local.port, 77);
    CHECK(memcmp(local.ip, ours4, 16) == 0);
    CHECK_EQ(remote.family, 0);
}

/* ---- handles ---- */

static void a_stale_handle_finds_nobody(void)
{
    struct stack_addr local, remote;
    struct net_datagram datagram = {0};
    ewi_stream stream;

    base_begin();
    CHECK_EQ(open_with(NULL, NULL, &stream), 0);
    CHECK(ewi_net_udp_is_handle(stream));
    CHECK(!ewi_net_udp_is_handle(stream & ~(UINT64_C(3) << 30)));
    CHECK(!ewi_net_udp_is_handle(stream | 1u << 30));
    CHECK(!ewi_net_udp_is_handle(0));
    CHECK_EQ(ewi_net_udp_find(net, stream & ~(UINT64_C(1) << 31)), NET_NONE);
    CHECK_EQ(ewi_net_udp_find(net, 0x80000007u), NET_NONE);
    CHECK_EQ(ewi_net_udp_close(net, stream), 0);
    CHECK_EQ(ewi_net_udp_close(net, stream), -ESTALE);
    CHECK_EQ(ewi_net_udp_send(net, stream, &datagram, 0), -ESTALE);
    CHECK_EQ(ewi_net_udp_recv(net, stream, &datagram), -ESTALE);
    CHECK_EQ(ewi_net_udp_watch(net, stream, 0), -ESTALE);
    CHECK_EQ(ewi_net_udp_error(net, stream), -ESTALE);
    CHECK_EQ(ewi_net_udp_ready(net, stream), STACK_FAILED);
    CHECK_EQ(ewi_net_udp_addresses(net, stream, &local, &remote), -ESTALE);
}

/* ---- send ---- */

static uint8_t data[70000];

static ewi_stream any_endpoint(void)
{
    ewi_stream stream;

    for (uint32_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 5 + i / 256);
    CHECK_EQ(open_with(NULL, NULL, &stream), 0);
    return stream;
}

static struct net_datagram to(const uint8_t *ip, uint8_t family, uint32_t bytes)
{
    return (struct net_datagram){
        .remote = address(ip, family, 4000), .data = data, .bytes = bytes};
}

static int send_once(ewi_stream stream, const struct net_datagram *datagram)
{
    int code = ewi_net_udp_send(net, stream, datagram, net->now);

    base_check();
    return code;
}

/* The last packet sent is this datagram: judged as its receiver would. */
static void expect_sent(uint8_t family, uint32_t bytes)
{
    uint32_t last = base.sent_count - 1;
    struct sent sent = sent_at(last, family);
    struct net_udp udp;

    CHECK_EQ(sent.protocol, NET_UDP);
    CHECK_EQ(ewi_net_udp_parse(sent.payload, sent.payload_bytes,
                               ewi_net_ip_addresses(&base.out[last].tuple), family == 6, &udp),
             NET_OK);
    CHECK(udp.has_checksum);
    CHECK_EQ(udp.destination_port, 4000);
    CHECK_EQ(udp.payload_bytes, bytes);
    CHECK(memcmp(sent.payload + 8, data, bytes) == 0);
}

static void datagrams_leave_as_they_should(void)
{
    struct net_datagram four, six;
    ewi_stream stream;

    base_begin();
    stream = any_endpoint();
    four = to(peer4, 4, 1001);
    four.traffic_class = 0xb8;
    four.hop_limit = 7;
    six = to(peer6, 6, 0);
    CHECK_EQ(send_once(stream, &four), 0);
    expect_sent(4, 1001);
    CHECK_EQ(sent_at(0, 4).traffic_class, 0xb8);
    CHECK_EQ(sent_at(0, 4).hop_limit, 7);
    CHECK_EQ(send_once(stream, &six), 0);
    expect_sent(6, 0);
    CHECK_EQ(sent_at(1, 6).hop_limit, 64);
    CHECK_EQ(base.out[1].tuple.local_port, base.out[0].tuple.local_port);
    CHECK_EQ(base.out[0].tuple.remote_port, 4000);
}

static void rfc_768_a_sum_of_zero_is_sent_as_all_ones(void)
{
    struct net_datagram datagram = to(peer4, 4, 2);
    struct stack_addr local = address(ours4, 4, 5);
    uint8_t two[2] = {0, 0};
    ewi_stream stream;
    uint16_t sum;

    base_begin();
    CHECK_EQ(open_with(&local, NULL, &stream), 0);
    datagram.data = two;
    CHECK_EQ(send_once(stream, &datagram), 0);
    sum = ewi_net_get_u16(base.out[0].bytes + 26);
    ewi_net_put_u16(two, sum); /* now everything adds up to what is sent as 0 */
    CHECK_EQ(send_once(stream, &datagram), 0);
    CHECK_EQ(ewi_net_get_u16(base.out[1].bytes + 26), 0xffff);
}

static void a_connected_endpoint_has_one_peer(void)
{
    struct net_datagram datagram = {.data = data, .bytes = 10};
    struct stack_addr remote = address(peer4, 4, 4000);
    ewi_stream stream;

    base_begin();
    any_endpoint();
    CHECK_EQ(open_with(NULL, &remote, &stream), 0);
    CHECK_EQ(send_once(stream, &datagram), 0);
    expect_sent(4, 10);
    datagram.remote = remote;
    CHECK_EQ(send_once(stream, &datagram), 0);
    datagram.remote.port = 4001;
    CHECK_EQ(send_once(stream, &datagram), -EISCONN);
    datagram.remote = address(ours4, 4, 4000);
    CHECK_EQ(send_once(stream, &datagram), -EISCONN);
    CHECK_EQ(base.sent_count, 2);
}

static void the_source_may_be_chosen(void)
{
    struct net_datagram datagram = to(peer6, 6, 10);
    struct stack_addr local = address(ours6, 6, 53);
    ewi_stream any, bound;

    base_begin();
    any = any_endpoint();
    CHECK_EQ(open_with(&local, NULL, &bound), 0);
    datagram.local = address(link6, 6, 0);
    CHECK_EQ(send_once(any, &datagram), 0);
    CHECK(memcmp(base.out[0].tuple.local, link6, 16) == 0);
    CHECK_EQ(send_once(bound, &datagram), -EINVAL); /* it has another */
    datagram.local = address(ours6, 6, 0);
    CHECK_EQ(send_once(bound, &datagram), 0);
    CHECK(memcmp(base.out[1].tuple.local, ours6, 16) == 0);
    datagram.local = address(peer6, 6, 0);
    CHECK_EQ(send_once(any, &datagram), -EADDRNOTAVAIL);
    datagram.local = address(NULL, 6, 0);
    CHECK_EQ(send_once(bound, &datagram), 0);
    CHECK_EQ(base.sent_count, 3);
}

static void without_a_remote_nothing_is_sent(void)
{
    struct net_datagram datagram = {.data = data, .bytes = 10};
    struct stack_addr local = address(NULL, 4, 53);
    ewi_stream stream, four;

    base_begin();
    stream = any_endpoint();
    CHECK_EQ(open_with(&local, NULL, &four), 0);
    CHECK_EQ(send_once(stream, &datagram), -EINVAL);
    datagram = to(NULL, 4, 10);
    CHECK_EQ(send_once(stream, &datagram), -EINVAL);
    datagram = to(peer4, 4, 10);
    datagram.remote.port = 0;
    CHECK_EQ(send_once(stream, &datagram), -EINVAL);
    datagram = to(peer6, 6, 10);
    CHECK_EQ(send_once(four, &datagram), -EINVAL);
    CHECK_EQ(base.sent_count, 0);
}

static void what_is_too_long_is_refused(void)
{
    struct net_config config = base_config();
    struct net_datagram datagram;
    ewi_stream stream;

    base_begin();
    stream = any_endpoint();
    datagram = to(peer4, 4, 65508);
    CHECK_EQ(send_once(stream, &datagram), -EMSGSIZE);
    datagram.bytes = 65507;
    CHECK_EQ(send_once(stream, &datagram), 0);
    CHECK_EQ(base.sent_count, 45);
    datagram = to(peer6, 6, 65535 - 48); /* a slot holds no more */
    CHECK_EQ(send_once(stream, &datagram), 0);
    datagram.bytes += 1;
    CHECK_EQ(send_once(stream, &datagram), -EMSGSIZE);
    config.slot_bytes = 1280;
    base_start(&config);
    stream = any_endpoint();
    datagram = to(peer4, 4, 1252);
    CHECK_EQ(send_once(stream, &datagram), 0);
    datagram.bytes = 1253;
    CHECK_EQ(send_once(stream, &datagram), -EMSGSIZE);
    datagram.bytes = UINT32_MAX;
    CHECK_EQ(send_once(stream, &datagram), -EMSGSIZE);
}

static void without_slots_or_a_way_nothing_is_sent(void)
{
    struct net_datagram datagram = to(peer4, 4, 10);
    struct stack_addr remote = address(peer4, 4, 4000);
    ewi_stream stream, connected;

    base_begin();
    stream = any_endpoint();
    CHECK_EQ(open_with(NULL, &remote, &connected), 0);
    base.slots_max = 0;
    CHECK_EQ(send_once(stream, &datagram), -EAGAIN);
    base.slots_max = 1;
    datagram.bytes = 3000; /* one is not enough for the pieces */
    CHECK_EQ(send_once(stream, &datagram), -EAGAIN);
    base.way = NET_WAY_NONE;
    CHECK_EQ(send_once(stream, &datagram), -EHOSTUNREACH);
    CHECK_EQ(send_once(connected, &datagram), -EHOSTUNREACH);
    CHECK_EQ(base.sent_count, 0);
}

static void rfc_1191_a_narrow_path_cuts_the_next_one(void)
{
    struct net_datagram datagram = to(peer4, 4, 1400);
    struct net_tuple tuple = base_tuple(4);
    ewi_stream stream;

    base_begin();
    stream = any_endpoint();
    CHECK_EQ(send_once(stream, &datagram), 0);
    CHECK_EQ(base.sent_count, 1);
    CHECK(ewi_net_path_learn(net, &tuple, 1000));
    CHECK_EQ(send_once(stream, &datagram), 0);
    CHECK_EQ(base.sent_count, 3);
}

/* ---- events ---- */

static struct made packet;

static void arrives_for(uint16_t port)
{
    struct net_tuple tuple = base_tuple(4);

    tuple.local_port = port;
    make_udp(&packet, &tuple, 3);
    arrives_made(&packet, 4);
}

static void read_one(ewi_stream stream)
{
    struct net_datagram got;

    CHECK_EQ(ewi_net_udp_recv(net, stream, &got), 0);
    ewi_net_udp_release(net, &got);
}

static void what_arrives_is_told_once(void)
{
    struct stack_addr local = address(NULL, 4, 53);
    struct stack_event events[4];
    ewi_stream stream;

    base_begin();
    CHECK_EQ(open_with(&local, NULL, &stream), 0);
    CHECK_EQ(ewi_net_udp_ready(net, stream), STACK_WRITABLE);
    arrives_for(53);
    arrives_for(53);
    CHECK_EQ(ewi_net_udp_events(net, events, 4), 1);
    CHECK_EQ(events[0].bits, STACK_READABLE);
    CHECK_EQ(events[0].user, 5);
    CHECK(events[0].stream == stream);
    CHECK_EQ(ewi_net_udp_events(net, events, 4), 0);
    CHECK_EQ(ewi_net_udp_ready(net, stream), STACK_WRITABLE | STACK_READABLE);
    arrives_for(53);
    CHECK_EQ(ewi_net_udp_events(net, events, 4), 1);
    for (int i = 0; i < 3; i++)
        read_one(stream);
    CHECK_EQ(ewi_net_udp_ready(net, stream), STACK_WRITABLE);
    arrives_for(53);
    read_one(stream); /* nothing is left to tell */
    CHECK_EQ(ewi_net_udp_events(net, events, 4), 0);
}

static void events_come_in_turn_and_no_more_than_asked_for(void)
{
    struct stack_event events[4];
    struct stack_addr local;
    ewi_stream stream[3];

    base_begin();
    for (uint16_t i = 0; i < 3; i++) {
        local = address(NULL, 4, (uint16_t)(50 + i));
        CHECK_EQ(open_with(&local, NULL, &stream[i]), 0);
    }
    arrives_for(52);
    arrives_for(50);
    arrives_for(51);
    CHECK_EQ(ewi_net_udp_events(net, events, 2), 2);
    CHECK(events[0].stream == stream[2] && events[1].stream == stream[0]);
    CHECK_EQ(ewi_net_udp_events(net, events, 0), 0);
    CHECK_EQ(ewi_net_udp_close(net, stream[1]), 0);
    CHECK_EQ(ewi_net_udp_events(net, events, 2), 0); /* closed: nothing more */
}

static void who_does_not_watch_hears_nothing(void)
{
    struct stack_addr remote = address(peer4, 4, 4000), local = address(NULL, 4, 53);
    struct net_icmp_told told = {.news = NET_NEWS_HARD, .error = ECONNREFUSED};
    struct net_tuple tuple = base_tuple(4);
    struct stack_event event;
    ewi_stream stream;

    base_begin();
    CHECK_EQ(open_with(&local, &remote, &stream), 0);
    CHECK_EQ(ewi_net_udp_watch(net, stream, 0), 0);
    arrives_for(53);
    CHECK_EQ(ewi_net_udp_events(net, &event, 1), 0);
    tuple.local_port = 53;
    CHECK(ewi_net_udp_icmp(net, &tuple, &told)); /* FAILED is told always */
    CHECK_EQ(ewi_net_udp_events(net, &event, 1), 1);
    CHECK_EQ(event.bits, STACK_FAILED);
    CHECK_EQ(ewi_net_udp_watch(net, stream, STACK_READABLE), 0); /* it has been there */
    CHECK_EQ(ewi_net_udp_events(net, &event, 1), 1);
    CHECK_EQ(event.bits, STACK_READABLE);
    CHECK_EQ(ewi_net_udp_watch(net, stream, STACK_ASIDE), 0);
    CHECK(ewi_net_udp_icmp(net, &tuple, &told));
    CHECK_EQ(ewi_net_udp_events(net, &event, 1), 0); /* but for ASIDE */
    CHECK_EQ(ewi_net_udp_error(net, stream), -ECONNREFUSED);
    arrives_for(53);
    CHECK_EQ(ewi_net_udp_watch(net, stream, STACK_READABLE), 0);
    CHECK_EQ(ewi_net_udp_watch(net, stream, 0), 0); /* taken back before it was told */
    CHECK_EQ(ewi_net_udp_events(net, &event, 1), 0);
}

static void time_goes_on_with_calls(void)
{
    struct net_datagram datagram = to(peer4, 4, 1);
    ewi_stream stream;
    uint64_t now;

    base_begin();
    now = net->now;
    CHECK_EQ(ewi_net_udp_open(net, NULL, NULL, 0, now + 5, &stream), 0);
    CHECK_EQ(net->now, now + 5);
    CHECK_EQ(ewi_net_udp_send(net, stream, &datagram, now + 9), 0);
    CHECK_EQ(ewi_net_udp_send(net, stream, &datagram, now), 0);
    CHECK_EQ(net->now, now + 9);
}

int main(void)
{
    RUN(two_of_one_name_are_refused);
    RUN(addresses_that_are_not_ours_are_refused);
    RUN(what_makes_no_sense_is_refused);
    RUN(without_a_way_there_is_no_peer);
    RUN(there_are_no_more_than_were_asked_for);
    RUN(rfc_6056_section_3_3_1_chosen_ports_are_random_and_free);
    RUN(the_last_free_port_is_found);
    RUN(an_endpoint_knows_its_addresses);
    RUN(a_stale_handle_finds_nobody);
    RUN(datagrams_leave_as_they_should);
    RUN(rfc_768_a_sum_of_zero_is_sent_as_all_ones);
    RUN(a_connected_endpoint_has_one_peer);
    RUN(the_source_may_be_chosen);
    RUN(without_a_remote_nothing_is_sent);
    RUN(what_is_too_long_is_refused);
    RUN(without_slots_or_a_way_nothing_is_sent);
    RUN(rfc_1191_a_narrow_path_cuts_the_next_one);
    RUN(what_arrives_is_told_once);
    RUN(events_come_in_turn_and_no_more_than_asked_for);
    RUN(who_does_not_watch_hears_nothing);
    RUN(time_goes_on_with_calls);
    return 0;
}
