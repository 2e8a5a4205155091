#include "tests/sim/net_device.h"

/* ---- out: what the device does ---- */

/* Headers of a frame that the device has to finish, judged against what the stack says. */
static uint8_t *tcp_of(const struct net_frame *frame)
{
    return frame->room + frame->link_bytes + frame->network_bytes;
}

static uint32_t headers_of(const struct net_frame *frame)
{
    return (uint32_t)frame->link_bytes + frame->network_bytes + frame->transport_bytes;
}

static uint32_t pseudo_of(const uint8_t *ip, uint32_t transport_bytes)
{
    uint32_t addresses = ip[0] >> 4 == 4 ? ewi_net_sum(ip + 12, 8) : ewi_net_sum(ip + 8, 32);
    uint8_t protocol = ip[0] >> 4 == 4 ? ip[9] : ip[6];

    return ewi_net_sum_pseudo(addresses, protocol, transport_bytes);
}

static uint32_t sum_at(const uint8_t *ip)
{
    return (ip[0] >> 4 == 4 ? ip[9] : ip[6]) == NET_UDP ? 6 : 16;
}

static void device_finish(uint8_t *ip, uint8_t *transport, uint32_t bytes)
{
    uint32_t at = sum_at(ip);

    SIM_CHECK(get16(transport + at) == (uint16_t)pseudo_of(ip, bytes),
              "the checksum field does not hold the pseudo-header's sum");
    put16(transport + at, at == 6 ? ewi_net_sum_finish_udp(ewi_net_sum(transport, bytes))
                                  : ewi_net_sum_finish(ewi_net_sum(transport, bytes)));
}

static struct frame *frame_of(const struct node *node, const uint8_t *data, uint32_t bytes)
{
    struct frame *frame;

    if ((node->plan.device & SIM_BARE_IP) == 0)
        return frame_new(data, bytes);
    frame = frame_new(NULL, bytes + NET_ETHER_BYTES);
    memset(frame->data, 0xff, 6); /* the switch finds the station */
    memcpy(frame->data + 6, node->mac, 6);
    put16(frame->data + 12, data[0] >> 4 == 4 ? NET_ETHER_IP4 : NET_ETHER_IP6);
    memcpy(frame->data + NET_ETHER_BYTES, data, bytes);
    return frame;
}

static void device_send(struct node *node, const uint8_t *data, uint32_t bytes, bool blank)
{
    struct frame *frame = frame_of(node, data, bytes);

    SIM_CHECK(frame->bytes - NET_ETHER_BYTES <= node->plan.mtu, "%u bytes are above the MTU",
              frame->bytes - NET_ETHER_BYTES);
    frame->from = node->index;
    frame->blank = blank;
    if (frame_is_ip(frame))
        watch_sent(frame->data + NET_ETHER_BYTES, frame->bytes - NET_ETHER_BYTES, blank);
    sim_up(node, frame);
}

/* One segment of a TSO frame: headers copied, then made its own. */
static void device_segment(struct node *node, const struct net_frame *frame, uint32_t at,
                           uint32_t bytes, bool is_last)
{
    uint32_t headers = headers_of(frame);
    uint8_t *data = malloc(headers + bytes), *ip = data + frame->link_bytes;
    uint8_t *tcp = ip + frame->network_bytes;
    uint32_t transport = frame->transport_bytes + bytes, sequence;

    CHECK(data != NULL);
    memcpy(data, frame->room, headers);
    memcpy(data + headers, frame->room + headers + at, bytes);
    if (ip[0] >> 4 == 4) {
        put16(ip + 2, (uint16_t)(frame->network_bytes + transport));
        put16(ip + 10, 0);
        put16(ip + 10, ewi_net_sum_finish(ewi_net_sum(ip, frame->network_bytes)));
    } else {
        put16(ip + 4, (uint16_t)(frame->network_bytes - NET_IP6_BYTES + transport));
    }
    sequence = ((uint32_t)get16(tcp + 4) << 16 | get16(tcp + 6)) + at;
    put16(tcp + 4, (uint16_t)(sequence >> 16));
    put16(tcp + 6, (uint16_t)sequence);
    if (!is_last)
        tcp[13] &= (uint8_t)~(NET_TCP_FIN | NET_TCP_PSH);
    if (at > 0)
        tcp[13] &= (uint8_t)~NET_TCP_CWR; /* the first only */
    put16(tcp + 16, (uint16_t)pseudo_of(ip, transport));
    device_finish(ip, tcp, transport);
    device_send(node, data, headers + bytes, false);
    free(data);
}

static void device_cut(struct node *node, const struct net_frame *frame)
{
    uint32_t headers = headers_of(frame);
    uint32_t payload = frame->bytes - headers;

    SIM_CHECK((node->plan.device & SIM_TX_TSO) != 0 && frame->finish_sum, "TSO was not offered");
    SIM_CHECK(frame->transport_bytes == (tcp_of(frame)[12] >> 4) * 4, "transport_bytes");
    SIM_CHECK(payload <= 65535, "TSO payload");
    node->tso_frames += 1;
    for (uint32_t at = 0; at < payload; at += frame->tso_mss) {
        uint32_t left = payload - at;

        device_segment(node, frame, at, left < frame->tso_mss ? left : frame->tso_mss,
                       left <= frame->tso_mss);
    }
}

static void device_take(struct node *node, const struct net_frame *frame)
{
    bool blank = false;

    CHECK(frame->bytes > 0 && frame->bytes <= frame->room_bytes);
    CHECK_EQ(frame->port, node->port);
    node->frames_sent += 1;
    if (frame->tso_mss != 0) {
        device_cut(node, frame);
        return;
    }
    if (frame->finish_sum) {
        uint32_t headers = frame->link_bytes + frame->network_bytes;

        SIM_CHECK((node->plan.device & (SIM_TX_SUM | SIM_TX_TSO | SIM_TRUST)) != 0,
                  "checksums were not offered");
        blank = (node->plan.device & SIM_TRUST) != 0;
        if (!blank)
            device_finish(frame->room + frame->link_bytes, tcp_of(frame), frame->bytes - headers);
    }
    device_send(node, frame->room, frame->bytes, blank);
}

/* Does the device take another frame? */
static bool device_is_full(const struct node *node)
{
    return node->plan.device_queue != 0 && wire_queued(&node->up) >= node->plan.device_queue;
}

bool node_output(struct node *node)
{
    struct net_frame frames[SIM_FRAMES];
    bool gave = false;
    uint32_t count, asked;

    do {
        node->is_blocked = device_is_full(node);
        if (node->is_blocked)
            return gave;
        asked = node->plan.device_queue != 0 ? 1 + (uint32_t)sim_below(4)
                                             : 1 + (uint32_t)sim_below(SIM_FRAMES);
        memset(frames, 0xee, sizeof(frames));
        for (uint32_t i = 0; i < asked; i++)
            frames[i] = (struct net_frame){.room = node->rooms[i], .room_bytes = node->room_bytes};
        count = ewi_net_output(node->net, sim.now, frames, asked);
        CHECK(count <= asked);
        for (uint32_t i = 0; i < count; i++)
            device_take(node, &frames[i]);
        gave |= count > 0;
    } while (count == asked);
    return gave;
}
