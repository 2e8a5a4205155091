/* Ethernet frames on two devices of ours: what a switch costs without TCP. */
#include "bench/switch/load.h"
#include "transport/dpdk/device.h"

enum { FRAME_MIN = 60, FRAME_MAX = 1514, PACKETS = 2048, HEAD = 14 };

static const uint8_t type[2] = {0x88, 0xb5}; /* IEEE: for local experiments */

static struct port {
    struct device *device;
    uint8_t head[HEAD]; /* of what it sends */
    struct net_frame frame[LOAD_BATCH];
    struct net_rx packet[LOAD_BATCH];
} ports[2];

static const struct device_ops *const ops = &ewi_dpdk_device;

static void open_port(struct port *port, const char *text)
{
    char reason[DEVICE_REASON_BYTES] = "";
    const struct device_options options = {.text = text, .packets = PACKETS, .reason = reason};

    if (ops->open(&options, &port->device) != 0) {
        fprintf(stderr, "switch_load: %s: %s\n", text, reason);
        _exit(1);
    }
}

static void until_up(const struct port *port)
{
    const uint64_t end = duo_ns() + DUO_SPIN_S * UINT64_C(1000000000);

    while (!ops->carrier(port->device)) {
        DUO_CHECK(duo_ns() < end);
        usleep(1000);
    }
}

static void open_both(const struct load_options *options)
{
    for (int end = 1; end >= 0; end--)
        open_port(&ports[end], options->device[end]);
    for (int end = 0; end < 2; end++) {
        until_up(&ports[end]);
        memcpy(ports[end].head, ops->facts(ports[!end].device)->mac, 6);
        memcpy(ports[end].head + 6, ops->facts(ports[end].device)->mac, 6);
        memcpy(ports[end].head + 12, type, sizeof(type));
    }
}

static uint32_t put(int end, const uint8_t *message, uint32_t bytes, uint32_t count)
{
    struct port *port = &ports[end];
    const uint32_t armed = ops->arm(port->device, port->frame, ewi_min_u32(count, LOAD_BATCH));
    const uint32_t length = ewi_max_u32(bytes, FRAME_MIN);

    for (uint32_t i = 0; i < armed; i++) {
        memcpy(port->frame[i].room, port->head, HEAD);
        memcpy(port->frame[i].room + HEAD, message, length - HEAD);
        port->frame[i].bytes = length;
    }
    return ops->transmit(port->device, port->frame, armed);
}

static bool is_ours(const struct net_rx *packet, const uint8_t *message, uint32_t bytes)
{
    return packet->bytes >= ewi_max_u32(bytes, FRAME_MIN) &&
           memcmp(packet->data + 12, type, sizeof(type)) == 0 &&
           memcmp(packet->data + HEAD, message, LOAD_STAMP_BYTES) == 0;
}

static uint32_t take(int end, const uint8_t *message, uint32_t bytes, uint32_t count,
                     int64_t wait_ns)
{
    struct port *port = &ports[end];
    void *refs[LOAD_BATCH];
    uint32_t came, good = 0;

    (void)wait_ns;
    came = ops->receive(port->device, port->packet, ewi_min_u32(count, LOAD_BATCH));
    for (uint32_t i = 0; i < came; i++) {
        good += is_ours(&port->packet[i], message, bytes);
        refs[i] = port->packet[i].ref;
    }
    ops->give_back(port->device, refs, came);
    return good;
}

static void close_both(void)
{
    for (int end = 0; end < 2; end++)
        ops->close(ports[end].device);
}

const struct load_kind load_frames = {
    .name = "frames",
    .bytes_max = FRAME_MAX,
    .window = 128,
    .may_lose = true,
    .open = open_both,
    .put = put,
    .take = take,
    .close = close_both,
};
