#include "transport/dpdk/device.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <linux/virtio_net.h>
#include <rte_eth_vhost.h>
#include <rte_ethdev.h>
#include <rte_log.h>
#include <rte_vhost.h>

#include "transport/dpdk/eal.h"
#include "transport/dpdk/memory.h"
#include "transport/dpdk/port.h"
#include "transport/dpdk/sockets.h"
#include "transport/dpdk/wire.h"
#include "transport/dpdk/wrap.h"

/* ---- receive ---- */

static void burst_enter(const struct device *device)
{
    if (device->text.kind->quirks & DPDK_UNMAPS)
        ewi_dpdk_memif_enter();
    else if (device->text.kind->quirks & DPDK_ON_IFACE)
        ewi_dpdk_burst_enter();
}

static void burst_leave(const struct device *device)
{
    if (device->text.kind->quirks & DPDK_UNMAPS)
        ewi_dpdk_memif_leave();
    else if (device->text.kind->quirks & DPDK_ON_IFACE)
        ewi_dpdk_burst_leave();
}

uint16_t ewi_dpdk_burst(struct device *device, struct rte_mbuf **packets, uint16_t count)
{
    uint16_t got, kept = 0;

    burst_enter(device);
    got = rte_eth_rx_burst(device->port, 0, packets, count);
    burst_leave(device);
    for (uint16_t i = 0; i < got; i++) {
        if (packets[i]->nb_segs == 1) {
            packets[kept++] = packets[i];
        } else {
            rte_pktmbuf_free(packets[i]);
            device->counts.rx_errors += 1;
        }
    }
    return kept;
}

static uint16_t judge(const struct device *device, uint64_t flags)
{
    switch (flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) {
    case RTE_MBUF_F_RX_L4_CKSUM_GOOD:
        return NET_RX_SUM_GOOD;
    case RTE_MBUF_F_RX_L4_CKSUM_NONE:
        return device->facts.caps & NET_PORT_RX_TRUST ? NET_RX_SUM_BLANK : 0;
    default: /* bad as well: the stack looks, and counts */
        return 0;
    }
}

static void describe(const struct device *device, struct rte_mbuf *mbuf, struct net_rx *out)
{
    *out = (struct net_rx){
        .data = rte_pktmbuf_mtod(mbuf, uint8_t *),
        .ref = mbuf,
        .bytes = mbuf->data_len,
        .room = rte_pktmbuf_tailroom(mbuf),
        .charge = mbuf->buf_len + (uint32_t)sizeof(struct rte_mbuf),
        .flags = device->text.kind->quirks & DPDK_SUMS ? judge(device, mbuf->ol_flags) : 0,
    };
}

static uint16_t take_stash(struct device *device, struct rte_mbuf **packets, uint16_t count)
{
    uint16_t left = (uint16_t)(device->stashed - device->stash_next);

    if (count > left)
        count = left;
    memcpy(packets, device->stash + device->stash_next, count * sizeof(packets[0]));
    device->stash_next = (uint16_t)(device->stash_next + count);
    return count;
}

static uint32_t receive(struct device *device, struct net_rx *packets, uint32_t count)
{
    struct rte_mbuf *mbufs[DEVICE_BURST];
    uint16_t got = count < DEVICE_BURST ? (uint16_t)count : DEVICE_BURST;

    if (device->stash_next < device->stashed)
        got = take_stash(device, mbufs, got);
    else
        got = ewi_dpdk_burst(device, mbufs, got);
    if (device->small_pool != NULL)
        got = ewi_dpdk_memory_sort(device, mbufs, got);
    for (uint16_t i = 0; i < got; i++) {
        rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void *));
        describe(device, mbufs[i], &packets[i]);
        device->counts.rx_bytes += mbufs[i]->data_len;
    }
    device->counts.rx_packets += got;
    return got;
}

static void give_back(struct device *device, void **refs, uint32_t count)
{
    if (device->small_pool != NULL)
        ewi_dpdk_memory_count(device, (struct rte_mbuf **)refs, count);
    rte_pktmbuf_free_bulk((struct rte_mbuf **)refs, count);
}

/* ---- transmit ---- */

/* The buffer that arm() lent: mbuf, headroom and room lie in a row. */
static struct rte_mbuf *buffer_of(const struct net_frame *frame)
{
    return (struct rte_mbuf *)(void *)(frame->room - RTE_PKTMBUF_HEADROOM - sizeof(struct rte_mbuf));
}

static uint32_t arm(struct device *device, struct net_frame *frames, uint32_t count)
{
    uint32_t armed = 0;

    for (; armed < count; armed++) {
        struct rte_mbuf *mbuf;

        if (frames[armed].room != NULL)
            continue;
        mbuf = rte_pktmbuf_alloc(device->tx_pool);
        if (mbuf == NULL)
            break;
        frames[armed].room = rte_pktmbuf_mtod(mbuf, uint8_t *);
        frames[armed].room_bytes = device->facts.frame_bytes;
    }
    return armed;
}

/* What the device has left to do; the pseudo-header's sum lies in the packet. */
static void ask_offloads(struct rte_mbuf *mbuf, const struct net_frame *frame)
{
    const uint8_t *ip = frame->room + frame->link_bytes;
    bool is_four = ip[0] >> 4 == 4;
    uint8_t protocol = is_four ? ip[9] : ip[6];

    mbuf->tx_offload = rte_mbuf_tx_offload(frame->link_bytes, frame->network_bytes,
                                           frame->transport_bytes, frame->tso_mss, 0, 0, 0);
    mbuf->ol_flags = is_four ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;
    if (frame->tso_mss != 0) {
        mbuf->ol_flags |= RTE_MBUF_F_TX_TCP_SEG | (is_four ? RTE_MBUF_F_TX_IP_CKSUM : 0);
        protocol = 6;
    }
    mbuf->ol_flags |= protocol == 17 ? RTE_MBUF_F_TX_UDP_CKSUM : RTE_MBUF_F_TX_TCP_CKSUM;
}

static uint16_t fill(struct rte_mbuf **mbufs, struct net_frame *frames, uint16_t count, bool *asks)
{
    for (uint16_t i = 0; i < count; i++) {
        struct rte_mbuf *mbuf = buffer_of(&frames[i]);

        mbuf->data_len = (uint16_t)frames[i].bytes;
        mbuf->pkt_len = frames[i].bytes;
        mbuf->ol_flags = 0; /* the room may have held another frame that was not taken */
        if (frames[i].finish_sum || frames[i].tso_mss != 0) {
            ask_offloads(mbuf, &frames[i]);
            *asks = true;
        }
        mbufs[i] = mbuf;
    }
    return count;
}

static uint16_t transmit_burst(struct device *device, struct net_frame *frames, uint16_t count)
{
    struct rte_mbuf *mbufs[DEVICE_BURST];
    bool asks = false;
    uint16_t ready = fill(mbufs, frames, count, &asks), sent;

    burst_enter(device);
    if (asks)
        ready = rte_eth_tx_prepare(device->port, 0, mbufs, count);
    sent = rte_eth_tx_burst(device->port, 0, mbufs, ready);
    burst_leave(device);
    device->counts.tx_packets += sent;
    for (uint16_t i = 0; i < sent; i++) {
        device->counts.tx_bytes += frames[i].bytes;
        frames[i].room = NULL;
    }
    if (sent < ready || ready == count)
        return sent;
    rte_pktmbuf_free(mbufs[ready]); /* the driver will never take this one */
    frames[ready].room = NULL;
    device->counts.tx_dropped += 1;
    return (uint16_t)(sent + 1);
}

static uint32_t transmit(struct device *device, struct net_frame *frames, uint32_t count)
{
    uint32_t sent = 0;

    while (sent < count) {
        uint16_t now = count - sent < DEVICE_BURST ? (uint16_t)(count - sent) : DEVICE_BURST;
        uint16_t taken = transmit_burst(device, frames + sent, now);

        sent += taken;
        if (taken < now)
            break;
    }
    return sent;
}

/* ---- look ---- */

static const struct device_facts *facts(const struct device *device)
{
    return &device->facts;
}

/* What a vhost with tso=1 sends, its driver can only take with tso=1 of its own. */
static bool peer_segments(struct device *device)
{
    const uint64_t both = UINT64_C(1) << VIRTIO_NET_F_GUEST_TSO4 | UINT64_C(1) << VIRTIO_NET_F_GUEST_TSO6;
    uint64_t features;
    int vid;

    if (device->facts.tso_max == 0 || strcmp(device->text.kind->name, "vhost") != 0)
        return true;
    vid = rte_eth_vhost_get_vid_from_port_id(device->port);
    if (vid < 0 || rte_vhost_get_negotiated_features(vid, &features) != 0)
        return false;
    if ((features & both) == both)
        return true;
    if (device->refused != vid + 1)
        RTE_LOG(ERR, USER1, "%s has tso=1, and the driver at its other end takes no large segments: give it "
                "tso=1 as well, or take it out here\n", ewi_dpdk_text_value(&device->text, "path"));
    device->refused = vid + 1;
    return false;
}

static bool carrier(struct device *device)
{
    struct timespec coarse;
    struct rte_eth_link link;
    uint64_t now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &coarse); /* 5 ns; a look may be a system call */
    now = (uint64_t)coarse.tv_sec * 1000000000 + (uint64_t)coarse.tv_nsec;
    if (now - device->carrier_at < DPDK_CARRIER_NS &&
        !atomic_load_explicit(&device->link_news, memory_order_relaxed)) /* a hint */
        return device->carrier;
    atomic_store_explicit(&device->link_news, false, memory_order_relaxed); /* before we look */
    device->carrier_at = now;
    if (device->wire != NULL)
        device->carrier = ewi_dpdk_wire_is_whole(device);
    else if (device->text.kind->quirks & DPDK_ON_IFACE)
        device->carrier = ewi_dpdk_iface_is_up(device->membership, device->facts.name,
                                               device->iface);
    else
        device->carrier = rte_eth_link_get_nowait(device->port, &link) == 0 &&
                          link.link_status == RTE_ETH_LINK_UP && peer_segments(device);
    return device->carrier;
}

/* An interface that was made again has another number; a client of memif or virtio_user joins once. */
static bool is_lost(struct device *device)
{
    const struct dpdk_kind *kind = device->text.kind;

    if (kind->quirks & DPDK_JOINS_ONCE)
        return ewi_dpdk_is_client(&device->text) && !carrier(device);
    if (device->iface != 0)
        return ewi_dpdk_iface_index(device->membership, device->facts.name) != device->iface;
    return strcmp(kind->name, "pci") == 0 && rte_eth_dev_is_removed(device->port) == 1;
}

static void counts(struct device *device, struct device_counts *out)
{
    struct rte_eth_stats stats;

    *out = device->counts;
    if (rte_eth_stats_get(device->port, &stats) != 0)
        return;
    out->rx_missed += stats.imissed;
    out->rx_errors += stats.ierrors;
    out->rx_no_buffer += stats.rx_nombuf;
}

/* Everything of DPDK belongs to the parent; what is closed here is what a peer, or the kernel, would
 * take for a sign of life. */
static void forked(struct device *device)
{
    ewi_dpdk_sockets_close(&device->text, device->facts.name, device->socket);
    ewi_dpdk_sleep_close(device);
    if (device->membership >= 0)
        close(device->membership);
}

const struct device_ops ewi_dpdk_device = {
    .name = "dpdk",
    .open = ewi_dpdk_open,
    .close = ewi_dpdk_close,
    .facts = facts,
    .receive = receive,
    .give_back = give_back,
    .arm = arm,
    .transmit = transmit,
    .sleep_fd = ewi_dpdk_sleep_fd,
    .sleep_arm = ewi_dpdk_sleep_arm,
    .sleep_disarm = ewi_dpdk_sleep_disarm,
    .carrier = carrier,
    .counts = counts,
    .forked = forked,
    .is_lost = is_lost,
};
