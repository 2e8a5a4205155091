#include "transport/dpdk/port.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_eth_vhost.h>
#include <rte_vhost.h>

enum { GUEST_TRANSMITS = 1 }; /* the virtqueue that vhost receives from */

static int find_source(struct device *device)
{
    switch (device->text.kind->sleep) {
    case DPDK_SLEEP_QUEUE:
        return rte_eth_dev_rx_intr_ctl_q_get_fd(device->port, 0);
    case DPDK_SLEEP_SOCKET:
        return device->socket;
    default:
        return -1;
    }
}

int ewi_dpdk_sleep_prepare(struct device *device)
{
    struct dpdk_sleeper *sleeper = &device->sleeper;

    if (device->text.kind->sleep == DPDK_SLEEP_NEVER)
        return 0;
    sleeper->epoll = epoll_create1(EPOLL_CLOEXEC);
    sleeper->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return sleeper->epoll < 0 || sleeper->news < 0 ? -errno : 0;
}

void ewi_dpdk_sleep_open(struct device *device)
{
    enum dpdk_sleep how = device->text.kind->sleep;

    device->sleeper.source = find_source(device);
    device->facts.can_sleep = how == DPDK_SLEEP_KICK || device->sleeper.source >= 0;
    if (!device->facts.can_sleep && how != DPDK_SLEEP_NEVER)
        snprintf(device->facts.why, sizeof(device->facts.why), "%s",
                 how == DPDK_SLEEP_SOCKET
                     ? "cannot sleep: the driver's socket was not found among our descriptors"
                     : "cannot sleep: the driver has no interrupt for its queue");
}

void ewi_dpdk_sleep_close(struct device *device)
{
    if (device->sleeper.epoll >= 0)
        close(device->sleeper.epoll);
    if (device->sleeper.news >= 0)
        close(device->sleeper.news);
    device->sleeper = (struct dpdk_sleeper){.epoll = -1, .news = -1, .source = -1};
}

int ewi_dpdk_sleep_fd(struct device *device)
{
    return device->facts.can_sleep ? device->sleeper.epoll : -ENOTSUP;
}

/* What the guest kicks; another one after each connection. */
static int kick_of(const struct device *device, int *vid)
{
    struct rte_vhost_vring vring;

    *vid = rte_eth_vhost_get_vid_from_port_id(device->port);
    if (*vid < 0 || rte_vhost_get_vhost_vring(*vid, GUEST_TRANSMITS, &vring) != 0)
        return -1;
    return vring.kickfd;
}

/* An eventfd; of vhost it is the peer's, who can make a plain read of it wait. */
static void drain(int fd)
{
    uint64_t count;
    struct iovec into = {.iov_base = &count, .iov_len = sizeof(count)};
    int flags;

    if (preadv2(fd, &into, 1, -1, RWF_NOWAIT) >= 0 || errno != EOPNOTSUPP)
        return;
    flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && (flags & O_NONBLOCK) && read(fd, &count, sizeof(count)) < 0)
        return;
}

static void set_notice(struct device *device, bool on)
{
    int vid;

    switch (device->text.kind->sleep) {
    case DPDK_SLEEP_QUEUE: /* net_tap has no switch, its descriptor tells the truth anyway */
        if (on)
            (void)rte_eth_dev_rx_intr_enable(device->port, 0);
        else
            (void)rte_eth_dev_rx_intr_disable(device->port, 0);
        break;
    case DPDK_SLEEP_KICK:
        if (kick_of(device, &vid) >= 0)
            (void)rte_vhost_enable_guest_notification(vid, GUEST_TRANSMITS, on);
        break;
    default:
        break;
    }
}

static void watch(struct device *device, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};

    if (fd >= 0)
        epoll_ctl(device->sleeper.epoll, EPOLL_CTL_ADD, fd, &event);
}

static bool is_eventfd(const struct device *device)
{
    return device->text.kind->sleep == DPDK_SLEEP_KICK ||
           strcmp(device->text.kind->name, "virtio_user") == 0;
}

int ewi_dpdk_sleep_arm(struct device *device)
{
    struct dpdk_sleeper *sleeper = &device->sleeper;
    socklen_t bytes = sizeof(int);
    int vid, error;

    if (!device->facts.can_sleep)
        return -ENOTSUP;
    if (device->stash_next < device->stashed)
        return 1;
    if (sleeper->is_armed)
        ewi_dpdk_sleep_disarm(device);
    if (device->text.kind->sleep == DPDK_SLEEP_KICK)
        sleeper->source = kick_of(device, &vid);
    if (device->text.kind->sleep == DPDK_SLEEP_SOCKET) /* an interface that went down stays readable */
        (void)getsockopt(sleeper->source, SOL_SOCKET, SO_ERROR, &error, &bytes);
    if (is_eventfd(device) && sleeper->source >= 0)
        drain(sleeper->source);
    set_notice(device, true);
    watch(device, sleeper->source);
    watch(device, sleeper->news);
    sleeper->is_armed = true;
    device->stash_next = 0;
    device->stashed = ewi_dpdk_burst(device, device->stash, DPDK_STASH); /* look again */
    if (device->stashed == 0)
        return 0;
    ewi_dpdk_sleep_disarm(device);
    return 1;
}

void ewi_dpdk_sleep_disarm(struct device *device)
{
    struct dpdk_sleeper *sleeper = &device->sleeper;

    if (!sleeper->is_armed)
        return;
    sleeper->is_armed = false;
    set_notice(device, false);
    if (sleeper->source >= 0)
        epoll_ctl(sleeper->epoll, EPOLL_CTL_DEL, sleeper->source, NULL);
    epoll_ctl(sleeper->epoll, EPOLL_CTL_DEL, sleeper->news, NULL);
    drain(sleeper->news);
    if (is_eventfd(device) && sleeper->source >= 0)
        drain(sleeper->source);
}
