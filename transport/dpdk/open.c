#include <errno.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <xdp/xsk.h>

#include "transport/dpdk/device.h"
#include "transport/dpdk/eal.h"
#include "transport/dpdk/log.h"
#include "transport/dpdk/memory.h"
#include "transport/dpdk/port.h"
#include "transport/dpdk/sockets.h"
#include "transport/dpdk/stale.h"
#include "transport/dpdk/wire.h"
#include "transport/dpdk/wrap.h"

enum {
    MTU_MIN = 576,
    MTU_DEFAULT = 1500,
    PACKETS_MIN = 1024,
    PACKETS_MAX = 1 << 20,
};

struct plan { /* what open() has worked out before DPDK is asked */
    struct device *device;
    const struct device_options *options;
    struct dpdk_memory memory;
    uint16_t iface_mtu;
    struct dpdk_before before;
    char *reason;
};

static bool has(const struct device *device, uint32_t quirk)
{
    return (device->text.kind->quirks & quirk) != 0;
}

static bool is_kind(const struct device *device, const char *name)
{
    return strcmp(device->text.kind->name, name) == 0;
}

/* ---- numbers ---- */

static int plan_iface(struct plan *plan, const char *iface)
{
    int mtu = ewi_dpdk_iface_mtu(iface);

    if (mtu < 0)
        return ewi_dpdk_refuse(plan->reason, mtu, "%s: %s; `ip link` lists the interfaces here", iface,
                               strerror(-mtu));
    plan->iface_mtu = (uint16_t)mtu;
    if (is_kind(plan->device, "af_xdp") && mtu > plan->device->text.kind->mtu_max)
        return ewi_dpdk_refuse(plan->reason, -EINVAL, "%s has an MTU of %d, AF_XDP takes at most %u: ip "
                               "link set %s mtu 1500, or use af_packet", iface, mtu,
                               plan->device->text.kind->mtu_max, iface);
    return 0;
}

static int plan_mtu(struct plan *plan)
{
    const struct dpdk_kind *kind = plan->device->text.kind;
    uint16_t asked = plan->options->mtu;
    uint16_t mtu = asked != 0 ? asked : MTU_DEFAULT;

    if (has(plan->device, DPDK_ON_IFACE)) {
        if (asked > plan->iface_mtu)
            return ewi_dpdk_refuse(plan->reason, -EINVAL, "mtu %u: the interface has %u; ip link set %s "
                                   "mtu %u, or ask for less", asked, plan->iface_mtu,
                                   plan->device->facts.name, asked);
        if (asked == 0 && plan->iface_mtu < mtu)
            mtu = plan->iface_mtu;
    }
    if (mtu < MTU_MIN || mtu > kind->mtu_max)
        return ewi_dpdk_refuse(plan->reason, -EINVAL, "mtu %u: a %s device takes %d to %u", mtu,
                               kind->name, MTU_MIN, kind->mtu_max);
    plan->device->facts.mtu = mtu;
    return 0;
}

static int plan_packets(struct plan *plan)
{
    uint32_t packets = plan->options->packets;

    if (packets < PACKETS_MIN || packets > PACKETS_MAX)
        return ewi_dpdk_refuse(plan->reason, -EINVAL, "packets %u: may be %d to %d", packets,
                               PACKETS_MIN, PACKETS_MAX);
    return 0;
}

static int plan_all(struct plan *plan)
{
    struct device *device = plan->device;
    const char *iface = ewi_dpdk_text_value(&device->text, "iface");
    int code;

    snprintf(device->facts.name, sizeof(device->facts.name), "%.40s", iface != NULL ? iface : "");
    snprintf(device->facts.driver, sizeof(device->facts.driver), "%s", device->text.kind->driver);
    snprintf(device->facts.why, sizeof(device->facts.why), "%s", device->text.kind->why);
    if ((code = plan_packets(plan)) != 0 ||
        (has(device, DPDK_ON_IFACE) && (code = plan_iface(plan, iface)) != 0) ||
        (code = plan_mtu(plan)) != 0)
        return code;
    plan->memory = ewi_dpdk_memory_plan(&device->text, plan->options->packets, &device->facts);
    return 0;
}

/* ---- the driver ---- */

static void write_arguments(const struct plan *plan, char *out)
{
    const struct device *device = plan->device;
    const struct dpdk_text *text = &device->text;
    const char *path = ewi_dpdk_text_value(text, "path"), *id = ewi_dpdk_text_value(text, "id");
    const char *queue = ewi_dpdk_text_value(text, "queue");
    unsigned room = (unsigned)(plan->memory.rx_room - RTE_PKTMBUF_HEADROOM);
    int tso = ewi_dpdk_text_flag(text, "tso");

    if (is_kind(device, "memif"))
        snprintf(out, DPDK_DEVARGS_BYTES, "id=%s,role=%s,bsize=%u,rsize=10,socket-abstract=no,socket=%s",
                 id != NULL ? id : "0", ewi_dpdk_text_value(text, "role"), room,
                 ewi_dpdk_text_value(text, "socket"));
    else if (is_kind(device, "virtio_user"))
        snprintf(out, DPDK_DEVARGS_BYTES, "queues=1,queue_size=%u,packed_vq=1,mrg_rxbuf=0,server=%d,"
                 "path=%s", plan->memory.rx_ring, ewi_dpdk_text_flag(text, "server"), path);
    else if (is_kind(device, "vhost"))
        snprintf(out, DPDK_DEVARGS_BYTES, "queues=1,client=%d,tso=%d,linear-buffer=1,ext-buffer=%d,"
                 "legacy-ol-flags=0,iface=%s", ewi_dpdk_text_flag(text, "client"), tso, tso, path);
    else if (is_kind(device, "af_packet"))
        snprintf(out, DPDK_DEVARGS_BYTES, "iface=%s,qpairs=1,blocksz=65536,framesz=%u,framecnt=%u",
                 device->facts.name, room, text->kind->rx_ring);
    else if (is_kind(device, "af_xdp"))
        snprintf(out, DPDK_DEVARGS_BYTES, "iface=%s,start_queue=%s,queue_count=1,busy_budget=0",
                 device->facts.name, queue != NULL ? queue : "0");
    else
        snprintf(out, DPDK_DEVARGS_BYTES, "iface=%s", device->facts.name);
}

/* The socket this end makes, or NULL. */
static const char *served(const struct device *device, int *type)
{
    bool is_memif = is_kind(device, "memif");

    *type = is_memif ? SOCK_SEQPACKET : SOCK_STREAM;
    if (!has(device, DPDK_REMOTE) || ewi_dpdk_is_client(&device->text))
        return NULL;
    return ewi_dpdk_text_value(&device->text, is_memif ? "socket" : "path");
}

static int refuse_driver(const struct plan *plan, int code, const char *step)
{
    char tail[DEVICE_REASON_BYTES / 2];

    ewi_dpdk_log_tail(tail, sizeof(tail));
    return ewi_dpdk_refuse(plan->reason, code, "%s: %s: %s%s%s", plan->device->text.kind->form, step,
                           rte_strerror(-code), tail[0] != '\0' ? "; " : "", tail);
}

/* The commonest mistake, of which the drivers say "operation not permitted". */
static int refuse_client(const struct plan *plan, int code)
{
    const struct dpdk_text *text = &plan->device->text;
    const char *path = ewi_dpdk_text_value(text, is_kind(plan->device, "memif") ? "socket" : "path");

    return ewi_dpdk_refuse(plan->reason, code, access(path, F_OK) == 0
                               ? "%s: nobody answers at %s: is its server running, and no other client there?"
                               : "%s: there is no socket %s: start its server first",
                           text->kind->name, path);
}

static int find_port(struct plan *plan, const char *name)
{
    if (rte_eth_dev_get_port_by_name(name, &plan->device->port) != 0)
        return ewi_dpdk_refuse(plan->reason, -ENODEV, "%s: the driver made no port", name);
    plan->device->has_port = true;
    return 0;
}

static int probe_pci(struct plan *plan)
{
    const char *address = plan->device->text.value[0];
    int code = rte_dev_probe(address);

    if (code != 0)
        return ewi_dpdk_refuse(plan->reason, code, "pci:%s: %s; it has to be bound to vfio-pci "
                               "(dpdk-devbind.py --status shows it) and to have a driver of this build",
                               address, rte_strerror(-code));
    snprintf(plan->device->facts.name, sizeof(plan->device->facts.name), "%.40s", address);
    return find_port(plan, address);
}

static int probe_virtual(struct plan *plan)
{
    struct device *device = plan->device;
    char arguments[DPDK_DEVARGS_BYTES];
    int type, code, lock = -1;
    const char *path = served(device, &type);

    write_arguments(plan, arguments);
    if (path != NULL && (lock = ewi_dpdk_stale_socket(path, type, plan->reason)) < 0)
        return lock;
    ewi_dpdk_open_enter();
    code = rte_eal_hotplug_add("vdev", device->vdev, arguments);
    ewi_dpdk_open_leave();
    if (code != 0 && path != NULL)
        unlink(path); /* ours: somebody else's was refused above */
    ewi_dpdk_stale_unlock(lock);
    if (code == 0)
        return find_port(plan, device->vdev);
    device->vdev[0] = '\0';
    if (ewi_dpdk_accept_timed_out())
        return ewi_dpdk_refuse(plan->reason, -ETIMEDOUT, "%s: no vhost client came within %d ms; start it "
                               "first (vhost:path=PATH,client=1 tries each second)", path,
                               DPDK_ACCEPT_MS);
    if (has(device, DPDK_JOINS_ONCE) && ewi_dpdk_is_client(&device->text))
        return refuse_client(plan, code);
    return refuse_driver(plan, code, "the driver refuses");
}

static int probe(struct plan *plan)
{
    struct device *device = plan->device;
    int code;

    if (is_kind(device, "ring")) {
        snprintf(device->facts.name, sizeof(device->facts.name), "%s",
                 ewi_dpdk_text_value(&device->text, "name"));
        return ewi_dpdk_wire_open(device, plan->memory.rx_buffers, plan->memory.rx_room,
                                  plan->reason);
    }
    ewi_dpdk_let_pages_go(); /* these are what they were held for */
    if ((code = ewi_dpdk_memory_make(device, &plan->memory, plan->reason)) != 0)
        return code;
    return is_kind(device, "pci") ? probe_pci(plan) : probe_virtual(plan);
}

/* ---- the port ---- */

static int link_changed(uint16_t port, enum rte_eth_event_type type, void *context, void *result)
{
    struct device *device = context;
    uint64_t one = 1;

    (void)port;
    (void)type;
    (void)result;
    atomic_store_explicit(&device->link_news, true, memory_order_relaxed); /* a hint */
    if (device->sleeper.news >= 0 && write(device->sleeper.news, &one, sizeof(one)) < 0)
        return 0; /* full: it is readable */
    return 0;
}

static void choose_offloads(struct device *device, const struct rte_eth_dev_info *info,
                            struct rte_eth_conf *conf)
{
    const uint64_t tx = RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
    const uint64_t rx = RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;

    device->facts.caps = NET_PORT_ETHERNET;
    if (has(device, DPDK_SUMS) && (info->tx_offload_capa & tx) == tx) {
        conf->txmode.offloads = tx;
        device->facts.caps |= NET_PORT_TX_SUM;
    }
    if (has(device, DPDK_SUMS))
        conf->rxmode.offloads = info->rx_offload_capa & rx;
    if (has(device, DPDK_TRUST))
        device->facts.caps |= NET_PORT_RX_TRUST;
}

/* net_vhost does not say what it can; whether its peer can as well, it knows when that is there: carrier(). */
static int choose_segmentation(struct plan *plan, const struct rte_eth_dev_info *info,
                               struct rte_eth_conf *conf)
{
    struct device *device = plan->device;

    if (device->facts.tso_max == 0)
        return 0;
    if (is_kind(device, "virtio_user")) {
        if ((info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_TCP_TSO) == 0 ||
            (info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_TCP_LRO) == 0)
            return ewi_dpdk_refuse(plan->reason, -ENOTSUP, "tso=1: the other end of %s cuts no segments: "
                                   "give it tso=1 as well, or take it out here",
                                   ewi_dpdk_text_value(&device->text, "path"));
        conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_TCP_TSO;
        conf->rxmode.offloads |= RTE_ETH_RX_OFFLOAD_TCP_LRO;
    }
    device->facts.caps |= NET_PORT_TX_TSO;
    snprintf(device->facts.why, sizeof(device->facts.why), "checksums are not computed on this wire");
    return 0;
}

static uint32_t least(uint32_t one, uint32_t other)
{
    return one < other ? one : other;
}

static int configure(struct plan *plan)
{
    struct device *device = plan->device;
    struct rte_eth_dev_info info;
    struct rte_eth_conf conf;
    const unsigned node = (unsigned)SOCKET_ID_ANY;
    uint16_t rx = plan->memory.rx_ring, tx = plan->memory.tx_ring;
    int code;

    memset(&conf, 0, sizeof(conf));
    if ((code = rte_eth_dev_info_get(device->port, &info)) != 0)
        return refuse_driver(plan, code, "no information");
    choose_offloads(device, &info, &conf);
    if ((code = choose_segmentation(plan, &info, &conf)) != 0)
        return code;
    conf.rxmode.mtu = device->facts.mtu;
    if (!is_kind(device, "pci")) /* others say 1500 and mean what their buffers hold */
        conf.rxmode.mtu = least(device->facts.mtu, least(info.max_mtu, info.max_rx_pktlen - DPDK_LINK_BYTES));
    conf.intr_conf.rxq = device->text.kind->sleep == DPDK_SLEEP_QUEUE;
    conf.intr_conf.lsc = info.dev_flags != NULL && (*info.dev_flags & RTE_ETH_DEV_INTR_LSC) != 0;
    if ((code = rte_eth_dev_configure(device->port, 1, 1, &conf)) != 0)
        return refuse_driver(plan, code, "cannot be configured");
    if ((code = rte_eth_dev_adjust_nb_rx_tx_desc(device->port, &rx, &tx)) != 0 ||
        (code = rte_eth_rx_queue_setup(device->port, 0, rx, node, NULL, device->rx_pool)) != 0 ||
        (code = rte_eth_tx_queue_setup(device->port, 0, tx, node, NULL)) != 0)
        return refuse_driver(plan, code, "has no queues");
    rte_eth_dev_callback_register(device->port, RTE_ETH_EVENT_INTR_LSC, link_changed, device);
    return 0;
}

static int set_mac(struct plan *plan)
{
    struct device *device = plan->device;
    struct rte_ether_addr address;
    int code = 0;

    if (plan->options->mac_given)
        memcpy(device->facts.mac, plan->options->mac, sizeof(device->facts.mac));
    if (has(device, DPDK_OWN_MAC)) {
        if (!plan->options->mac_given && getrandom(device->facts.mac, 6, 0) != 6)
            return ewi_dpdk_refuse(plan->reason, -EIO, "no random numbers for an address");
        if (!plan->options->mac_given)
            device->facts.mac[0] = (uint8_t)((device->facts.mac[0] & 0xfc) | 2); /* local, of one station */
        return 0;
    }
    if ((code = rte_eth_macaddr_get(device->port, &address)) != 0)
        return refuse_driver(plan, code, "has no address");
    if (plan->options->mac_given && memcmp(address.addr_bytes, plan->options->mac, 6) != 0) {
        memcpy(address.addr_bytes, plan->options->mac, 6);
        if ((code = rte_eth_dev_default_mac_addr_set(device->port, &address)) != 0)
            return refuse_driver(plan, code, "does not take another hardware address");
    }
    memcpy(device->facts.mac, address.addr_bytes, 6);
    return 0;
}

static int start(struct plan *plan)
{
    struct device *device = plan->device;
    int code;

    if (is_kind(device, "tap") && (code = rte_eth_dev_set_mtu(device->port, device->facts.mtu)) != 0)
        return refuse_driver(plan, code, "does not take the MTU");
    if ((code = rte_eth_dev_start(device->port)) != 0)
        return is_kind(device, "memif") && ewi_dpdk_is_client(&device->text)
                   ? refuse_client(plan, code)
                   : refuse_driver(plan, code, "does not start");
    device->is_started = true;
    if (is_kind(device, "pci"))
        (void)rte_eth_allmulticast_enable(device->port);
    return 0;
}

static void keep_quiet(int socket) /* what the kernel sends here is not for us */
{
    int one = 1;

    (void)setsockopt(socket, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
}

static int join_iface(struct plan *plan)
{
    struct device *device = plan->device;

    device->socket = ewi_dpdk_sockets_find(&device->text, device->facts.name, &plan->before);
    if (is_kind(device, "af_packet") && device->socket >= 0)
        keep_quiet(device->socket);
    device->membership = ewi_dpdk_iface_join(device->facts.name);
    if (device->membership >= 0)
        return 0;
    return ewi_dpdk_refuse(plan->reason, device->membership, "%s: multicast: %s", device->facts.name,
                           strerror(-device->membership));
}

static int bring_up(struct plan *plan)
{
    struct device *device = plan->device;
    int code;

    ewi_dpdk_log_mark();
    snprintf(device->vdev, sizeof(device->vdev), "%s_ew%u", device->text.kind->driver,
             ewi_dpdk_next_number());
    if (has(device, DPDK_ON_IFACE))
        ewi_dpdk_sockets_before(&device->text, device->facts.name, &plan->before);
    if ((code = ewi_dpdk_sleep_prepare(device)) != 0)
        return ewi_dpdk_refuse(plan->reason, code, "no descriptor to sleep on: %s", strerror(-code));
    ewi_dpdk_umem_watch(NULL);
    if ((code = probe(plan)) == 0 && (code = configure(plan)) == 0 && (code = set_mac(plan)) == 0)
        code = start(plan);
    device->umem = ewi_dpdk_umem_left();
    if (code != 0)
        return code;
    if (has(device, DPDK_ON_IFACE) && (code = join_iface(plan)) != 0)
        return code;
    if (device->facts.name[0] == '\0')
        snprintf(device->facts.name, sizeof(device->facts.name), "%s", device->vdev);
    device->facts.remote_driver = has(device, DPDK_REMOTE);
    device->facts.any_mac = has(device, DPDK_OWN_MAC);
    if (ewi_dpdk_text_value(&device->text, "iface") != NULL)
        device->iface = ewi_dpdk_iface_index(device->membership, device->facts.name);
    ewi_dpdk_sleep_open(device);
    return 0;
}

static struct device *allocate(void)
{
    struct device *device = calloc(1, sizeof(*device));

    if (device == NULL)
        return NULL;
    device->socket = device->membership = -1;
    device->sleeper = (struct dpdk_sleeper){.epoll = -1, .news = -1, .source = -1};
    return device;
}

/* net_af_xdp keeps it: it counts the umem's users wrongly. */
static void close_umem(struct device *device)
{
    struct xsk_umem *left = ewi_dpdk_umem_left();

    if (left != NULL && left == device->umem)
        (void)xsk_umem__delete(left);
    device->umem = NULL;
}

static void take_down(struct device *device)
{
    bool stopped;

    ewi_dpdk_umem_watch(device->umem);
    ewi_dpdk_sleep_disarm(device);
    stopped = is_kind(device, "virtio_user") && ewi_dpdk_stop_thread();
    if (device->stash_next < device->stashed)
        rte_pktmbuf_free_bulk(device->stash + device->stash_next,
                              (unsigned)(device->stashed - device->stash_next));
    if (device->has_port) {
        rte_eth_dev_callback_unregister(device->port, RTE_ETH_EVENT_INTR_LSC, link_changed, device);
        if (device->is_started)
            (void)rte_eth_dev_stop(device->port);
        (void)rte_eth_dev_close(device->port);
    }
    if (is_kind(device, "pci") && device->has_port)
        (void)rte_eal_hotplug_remove("pci", device->text.value[0]);
    else if (device->vdev[0] != '\0')
        (void)rte_eal_hotplug_remove("vdev", device->vdev);
    ewi_dpdk_let_thread_go(stopped);
    close_umem(device);
    ewi_dpdk_sleep_close(device);
    if (device->membership >= 0)
        close(device->membership);
    if (device->wire != NULL) {
        ewi_dpdk_wire_close(device);
    } else {
        ewi_dpdk_memory_free(device);
    }
    free(device);
}

int ewi_dpdk_open(const struct device_options *options, struct device **out)
{
    struct plan plan = {.options = options, .reason = options->reason, .device = allocate()};
    struct dpdk_needs needs = {.pci = false};
    sigset_t before;
    int code;

    if (plan.device == NULL)
        return ewi_dpdk_refuse(options->reason, -ENOMEM, "no memory for a device");
    code = ewi_dpdk_text_read(options->text, &plan.device->text, options->reason);
    if (code == 0)
        code = plan_all(&plan);
    if (code == 0) {
        needs.pci = is_kind(plan.device, "pci");
        needs.bytes = ewi_dpdk_memory_bytes(&plan.memory);
        code = ewi_dpdk_enter(&needs, &before, options->reason);
    }
    if (code != 0) {
        free(plan.device);
        return code;
    }
    ewi_dpdk_log_catch();
    code = bring_up(&plan);
    if (code != 0)
        take_down(plan.device);
    ewi_dpdk_log_release();
    ewi_dpdk_leave(&before);
    if (code == 0)
        *out = plan.device;
    return code;
}

void ewi_dpdk_close(struct device *device)
{
    sigset_t before;

    if (!ewi_dpdk_is_ours())
        return; /* forked() has closed what a child has */
    ewi_dpdk_enter_again(&before);
    ewi_dpdk_log_catch();
    take_down(device);
    ewi_dpdk_log_release();
    ewi_dpdk_leave(&before);
}

void ewi_dpdk_buffers(const struct device *device, uint32_t *rx_used, uint32_t *tx_used)
{
    *rx_used = rte_mempool_in_use_count(device->rx_pool);
    *tx_used = rte_mempool_in_use_count(device->tx_pool);
}
