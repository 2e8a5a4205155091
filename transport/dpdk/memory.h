/* transport/dpdk/memory.h - the buffers of a port: how many, how long, and which packet lies in which.
 *
 * Purpose    One place knows what a device needs of DPDK's memory.
 * Shape      rx     what arrives; tx: frames that are armed, or in the driver's ring
 *            small  of a device with tso=1, whose rx buffers hold 64 KiB: what arrives and is short is
 *                   copied there, so that it does not pin a long one. The stack has LARGE_KEPT long ones at
 *                   most, so that the ring can always be filled again; what is more is copied to the heap.
 * Owner      the device; memory_free() wants all buffers back. What the stack keeps is limited by
 *            net_config.rx_bytes_max, on the heap too.
 * Threads    as transport/dpdk/port.h
 * Trust      none of the numbers come from outside
 * Errors     make: -ENOMEM with a sentence, in `reason`. sort: a packet without memory is lost and counted
 * Invariants I1  a pool has buffers for everything that can hold one at a time.
 * Ordering   single threaded
 * Source     virtio 1.2, section 5.1.6 (segmentation offload)
 */
#ifndef EWI_TRANSPORT_DPDK_MEMORY_H
#define EWI_TRANSPORT_DPDK_MEMORY_H

#include "transport/dpdk/port.h"

enum { DPDK_LINK_BYTES = 18 /* Ethernet with a VLAN tag */ };

struct dpdk_memory {
    uint32_t rx_buffers, tx_buffers, small_buffers; /* small 0: none */
    uint16_t rx_room, tx_room;                      /* with DPDK's headroom */
    uint16_t rx_ring, tx_ring;
};

/* facts: the MTU is known; the lengths of frames and the charge of packets are filled in. */
struct dpdk_memory ewi_dpdk_memory_plan(const struct dpdk_text *text, uint32_t packets,
                                        struct device_facts *facts);
uint64_t ewi_dpdk_memory_bytes(const struct dpdk_memory *memory);
int ewi_dpdk_memory_make(struct device *device, const struct dpdk_memory *memory, char *reason);
void ewi_dpdk_memory_free(struct device *device);

/* Of a device with small buffers. What was received; how many are left, at the front. */
uint16_t ewi_dpdk_memory_sort(struct device *device, struct rte_mbuf **packets, uint16_t count);
/* What the stack gives back. */
void ewi_dpdk_memory_count(struct device *device, struct rte_mbuf *const *packets, uint32_t count);

#endif
