/* Frames both ways between two processes, for each kind of wire that needs no kernel interface. */
#include "tests/dpdk/dpdk_base.h"

enum { FRAMES = 400 };

static char folder[32];

static void serve(const char *text)
{
    struct device *device = dpdk_open(text);

    dpdk_until_up(device);
    dpdk_echo(device, FRAMES - 1);
    usleep(100000); /* for the peer to take the last one out of our memory */
    dpdk_ops->close(device);
}

static void ask(const char *text)
{
    uint32_t rx_before, tx_before, rx_after, tx_after;
    struct device *device;
    struct device_counts counts;

    device = dpdk_open(text);
    dpdk_until_up(device);
    ewi_dpdk_buffers(device, &rx_before, &tx_before);
    dpdk_converse(device, FRAMES, 1514);
    ewi_dpdk_buffers(device, &rx_after, &tx_after);
    dpdk_ops->counts(device, &counts);
    printf("(rx %u -> %u, tx %u -> %u of %llu) ", rx_before, rx_after, tx_before, tx_after,
           (unsigned long long)counts.tx_packets);
    CHECK(counts.tx_packets >= FRAMES && counts.tx_dropped == 0);
    CHECK(counts.rx_packets >= FRAMES);
    CHECK(rx_after <= rx_before + 1 && tx_after <= 256 + 64);
    dpdk_ops->close(device);
}

static void converse(const char *server, const char *client, const char *socket)
{
    dpdk_both(folder, socket, (struct dpdk_end){server, serve}, (struct dpdk_end){client, ask});
}

static void memif_carries_frames_both_ways(void)
{
    converse("memif:socket=%s,role=server,id=3", "memif:socket=%s,role=client,id=3", "m");
}

static void virtio_user_and_vhost_carry_frames_both_ways(void)
{
    converse("vhost:path=%s", "virtio_user:path=%s", "v");
}

static void virtio_user_may_be_the_server(void)
{
    converse("virtio_user:path=%s,server=1", "vhost:path=%s,client=1", "s");
}

int main(void)
{
    setenv("EASTWEST_DPDK_PAGES", "small", 1);
    snprintf(folder, sizeof(folder), "%s", dpdk_folder());
    RUN(memif_carries_frames_both_ways);
    RUN(virtio_user_and_vhost_carry_frames_both_ways);
    RUN(virtio_user_may_be_the_server);
    rmdir(folder);
    return 0;
}
