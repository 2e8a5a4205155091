/* transport/dpdk/device.h - DPDK's ports as devices of the shell.
 *
 * Purpose    memif, virtio_user, vhost, AF_PACKET, AF_XDP, TAP, a ring in memory and network cards, all
 *            through one table. The text forms are in docs/reference/network.md.
 * Shape      one queue each way; one linear buffer for each frame
 * Owner      as transport/shell/device.h
 * Threads    as transport/shell/device.h; open and close from any thread
 * Trust      a memif peer must be trusted: the driver believes the offsets of its descriptors
 * Errors     as transport/shell/device.h. A device whose facts say can_sleep = false answers -ENOTSUP.
 * Invariants I1  buffers balance: after close() nothing of the device is left.
 * Ordering   as transport/shell/device.h
 * Source     design, section 6
 */
#ifndef EWI_TRANSPORT_DPDK_DEVICE_H
#define EWI_TRANSPORT_DPDK_DEVICE_H

#include "transport/shell/device.h"

extern const struct device_ops ewi_dpdk_device;

/* DPDK's log, besides EASTWEST_DPDK_LOG; NULL ends it. Called from DPDK's threads too. */
void ewi_dpdk_log_to(void (*write)(void *context, const char *text, size_t bytes), void *context);
/* Buffers that are not in their pools: at rest, what the receive ring holds. For tests. */
void ewi_dpdk_buffers(const struct device *device, uint32_t *rx_used, uint32_t *tx_used);

#endif
