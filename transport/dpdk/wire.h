/* transport/dpdk/wire.h - two ends of a ring in the memory of one process, found by name.
 *
 * Purpose    "ring:name=NAME" opened twice is a wire: what one end transmits is what the other receives,
 *            the same buffer.
 * Shape      a DPDK ring each way. Each end's pool is its transmit pool: the other end frees into it.
 * Owner      the wire, both rings and pools live until both ends are closed
 * Threads    open and close under EAL's lock; the ends may be driven by two threads
 * Trust      both ends are this process
 * Errors     -EBUSY: both ends are open, or one was closed and the other not yet
 * Invariants I1  a buffer's pool outlives every end that may hold it.
 * Ordering   DPDK's rings
 * Source     rte_eth_ring.h
 */
#ifndef EWI_TRANSPORT_DPDK_WIRE_H
#define EWI_TRANSPORT_DPDK_WIRE_H

#include "transport/dpdk/port.h"

/* Sets device's wire, vdev's port and its pools; the pool has `buffers` of so much room. */
int ewi_dpdk_wire_open(struct device *device, uint32_t buffers, uint16_t room, char *reason);
/* Behind the port's close. */
void ewi_dpdk_wire_close(struct device *device);
bool ewi_dpdk_wire_is_whole(const struct device *device);

#endif
