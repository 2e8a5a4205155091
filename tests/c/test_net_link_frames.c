/* tests/c/test_net_link_frames.c - slots that become frames, and frames that arrive. */
#include "tests/c/net_way_base.h"

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

static void every_field_of_a_frame_is_written(void)
{
    struct ewi_net *net = addressed(1);
    struct net_port_config second = ether_port(0x11);
    struct stack_addr remote = ip4(10, 0, 1, 9);
    uint8_t room[200];
    struct net_frame out;

    CHECK_EQ(ewi_net_port_add(net, &second), 1);
    give_address(net, 1, ip4(10, 0, 1, 1), 24);
    CHECK_EQ(ewi_net_neighbour_add(net, 1, &remote, mac_b), 0);
    memset(&out, 0xee, sizeof(out)); /* from the last time */
    out.room = room;
    out.room_bytes = sizeof(room);
    send_to(net, remote, 100);
    CHECK_EQ(ewi_net_link_output(net, &out, 1), 1);
    CHECK_EQ(out.port, 1);
    CHECK_EQ(out.tso_mss, 0);
    CHECK_EQ(out.transport_bytes, 0);
    CHECK(!out.finish_sum);
    CHECK(same_mac(room + 6, 0x11));
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

static void a_slot_that_is_longer_than_the_new_mtu_does_not_leave(void)
{
    struct ewi_net *net = addressed(1);
    struct frame frame;

    fix(net, ip4(10, 0, 0, 9), mac_a);
    send_to(net, ip4(10, 0, 0, 9), 1281);
    send_to(net, ip4(10, 0, 0, 9), 1280);
    CHECK_EQ(ewi_net_port_set_mtu(net, 0, 1280), 0);
    CHECK(depart(net, &frame));
    CHECK_EQ(frame.out.bytes, 1294);
    CHECK(!depart(net, &frame));
    CHECK_EQ(net->count.frame_too_small, 1);
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
    CHECK(!station_of(net)->packet_to_all);
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
    RUN(a_slot_becomes_a_frame);
    RUN(every_field_of_a_frame_is_written);
    RUN(slots_leave_in_order_and_only_as_many_as_there_are_frames);
    RUN(a_slot_that_does_not_fit_is_counted_and_the_next_one_takes_the_frame);
    RUN(a_slot_that_is_longer_than_the_new_mtu_does_not_leave);
    RUN(slots_run_out_and_come_back);
    RUN(frames_go_to_ip_by_their_type);
    RUN(a_priority_tag_is_skipped_and_a_vlan_is_not_ours);
    RUN(hostile_frames_are_dropped_with_a_reason);
    RUN(a_port_without_ethernet_takes_bare_packets);
    return 0;
}
