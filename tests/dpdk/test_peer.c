/* What a peer over memory says about sums, and what its death does. */
#include "tests/dpdk/dpdk_base.h"

enum { DEATHS = 2, FRAME = 14 + 20 + 8 + 100 };

static char folder[32], path[64];

/* ---- sums ---- */

/* UDP in IPv4 whose sum is left to the device: the pseudo-header's lies in it. */
static void write_udp(uint8_t *at)
{
    static const uint8_t head[42] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,    0,    0,  0,    0,    1,    8,    0,
        0x45, 0,    0,    128,  0,    1,    0,    0,    64, 17,   0,    0,    10,   0,
        0,    1,    10,   0,    0,    2,    0,    9,    0,  9,    0,    108,  0x14, 0x80};

    memcpy(at, head, sizeof(head));
    memset(at + sizeof(head), 0x55, FRAME - sizeof(head));
}

static void send_udp(struct device *device)
{
    struct net_frame frame = {.room = NULL};

    CHECK_EQ(dpdk_ops->arm(device, &frame, 1), 1);
    write_udp(frame.room);
    frame.bytes = FRAME;
    frame.link_bytes = 14;
    frame.network_bytes = 20;
    frame.transport_bytes = 8;
    frame.finish_sum = true;
    while (dpdk_ops->transmit(device, &frame, 1) == 0)
        usleep(100);
}

static void hear_udp(struct device *device)
{
    uint8_t wanted[FRAME];
    struct net_rx packet;
    uint64_t end = dpdk_now() + DPDK_SOON_NS;

    for (;;) {
        CHECK(dpdk_now() < end);
        if (dpdk_ops->receive(device, &packet, 1) == 0)
            continue;
        if (packet.bytes == FRAME && packet.data[12] == 8)
            break;
        dpdk_ops->give_back(device, &packet.ref, 1);
    }
    CHECK_EQ(packet.flags, NET_RX_SUM_BLANK);
    write_udp(wanted);
    CHECK(memcmp(packet.data, wanted, 14 + 20 + 6) == 0); /* up to the sum */
    CHECK(memcmp(packet.data + 42, wanted + 42, FRAME - 42) == 0);
    dpdk_ops->give_back(device, &packet.ref, 1);
}

static void swap_udp(const char *text)
{
    const uint32_t caps = NET_PORT_TX_SUM | NET_PORT_RX_TRUST;
    struct device *device = dpdk_open(text);
    uint64_t until;

    CHECK_EQ(dpdk_ops->facts(device)->caps & caps, caps);
    dpdk_until_up(device);
    until = dpdk_now() + 500000000; /* the other end is up as well, and then some */
    while (dpdk_now() < until) {
        send_udp(device);
        usleep(50000);
    }
    hear_udp(device);
    usleep(700000);
    dpdk_ops->close(device);
}

static void sums_are_left_blank_between_virtio_user_and_vhost(void)
{
    char one[128], other[128];
    pid_t first, second;

    snprintf(one, sizeof(one), "vhost:path=%s", path);
    snprintf(other, sizeof(other), "virtio_user:path=%s", path);
    first = dpdk_child(swap_udp, one);
    dpdk_until_listens(path);
    second = dpdk_child(swap_udp, other);
    dpdk_ends_well(second);
    dpdk_ends_well(first);
    unlink(path);
}

/* ---- death ---- */

static void chatter(const char *text)
{
    struct device *device = dpdk_open(text);
    struct net_frame frame = {.room = NULL};

    for (;;) {
        uint32_t bytes;

        if (dpdk_ops->arm(device, &frame, 1) == 1) {
            frame.bytes = dpdk_write(frame.room, 1, 1000);
            (void)dpdk_ops->transmit(device, &frame, 1);
        }
        (void)dpdk_take(device, &bytes);
    }
}

/* Bursts go on while the peer dies: nothing is read that is no longer mapped. */
static void outlive(const char *text)
{
    char client[128];
    struct device *device = dpdk_open(text);
    struct net_frame frame = {.room = NULL};
    uint32_t bytes;

    snprintf(client, sizeof(client), strncmp(text, "memif", 5) == 0
                                         ? "memif:socket=%s,role=client"
                                         : "virtio_user:path=%s", path);
    for (int death = 0; death < DEATHS; death++) {
        uint64_t end = dpdk_now() + DPDK_SOON_NS, killed = 0;
        pid_t peer = fork();

        if (peer == 0)
            execl("/proc/self/exe", "test_peer", "--chatter", client, NULL);
        CHECK(peer > 0);
        for (uint32_t heard = 0; killed == 0 || dpdk_ops->carrier(device);) {
            if (dpdk_ops->arm(device, &frame, 1) == 1) {
                frame.bytes = dpdk_write(frame.room, 2, 1000);
                (void)dpdk_ops->transmit(device, &frame, 1);
            }
            heard += dpdk_take(device, &bytes) >= 0;
            CHECK(dpdk_now() < end);
            if (heard < 1000 || killed != 0)
                continue;
            dpdk_kill(peer);
            killed = dpdk_now();
        }
    }
    dpdk_ops->close(device);
}

static void a_dead_memif_peer_is_a_lost_carrier(void)
{
    char text[128];

    snprintf(text, sizeof(text), "memif:socket=%s,role=server", path);
    dpdk_ends_well(dpdk_child(outlive, text));
}

static void a_dead_virtio_user_is_a_lost_carrier(void)
{
    char text[128];

    snprintf(text, sizeof(text), "vhost:path=%s", path);
    dpdk_ends_well(dpdk_child(outlive, text));
}

int main(int argc, char **argv)
{
    setenv("EASTWEST_DPDK_PAGES", "small", 1);
    if (argc == 3 && strcmp(argv[1], "--chatter") == 0)
        chatter(argv[2]);
    snprintf(folder, sizeof(folder), "%s", dpdk_folder());
    snprintf(path, sizeof(path), "%s/s", folder);
    RUN(sums_are_left_blank_between_virtio_user_and_vhost);
    RUN(a_dead_memif_peer_is_a_lost_carrier);
    RUN(a_dead_virtio_user_is_a_lost_carrier);
    unlink(path);
    rmdir(folder);
    return 0;
}
