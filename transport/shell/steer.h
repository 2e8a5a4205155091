/* transport/shell/steer.h - one device, several stacks: each packet goes to the stack that has its flow.
 *
 * Purpose    One core cannot fill a device, and no virtual device has RSS (receive side scaling). So each
 *            core has a stack of its own, a shard, and packets are sorted in software.
 * Shape      A steer has the device and 2 .. STEER_SHARDS_MAX ends; each end is a struct device:
 *              receive   whoever comes first takes a burst from the device, keeps its own packets and puts
 *                        the others into their shard's queue
 *              transmit  under the device's lock
 *            TCP and UDP go by a hash of addresses and ports, the same for both directions; requests for
 *            an address, echo requests and fragments to the lead, the first end that is open; what may
 *            concern everybody (answers, probes and announcements of an address, ICMP errors) to all, as
 *            copies.
 * Owner      The ends; the last that is closed closes the device.
 * Threads    one caller at a time for each end; ends beside each other
 * Trust      packets are hostile: what cannot be read goes to the lead, which drops and counts it
 * Errors     a full queue drops, counted in rx_missed, as do the packets of an end that is closed.
 *            TCP in fragments, or behind extension headers of IPv6, comes to the lead and is reset by it
 *            unless its flow is there: such a path fails at once, and a channel takes the next.
 * Invariants I1  a packet is one shard's, and goes back once; copies are the end's own.
 *            I2  both directions of a flow have the same shard: ewi_steer_shard; one shard gets the
 *                packets of a flow in the device's order.
 *            I3  an end whose stack sleeps is woken for what another end put into its queue; the device
 *                is armed as long as one end sleeps, whatever those do that are awake.
 * Ordering   locks: the device's, each queue's (the inner one); life, which outlives both
 * Source     design, section 6 (shared nothing); Toeplitz hashing is not needed: no device takes part
 */
#ifndef EWI_TRANSPORT_SHELL_STEER_H
#define EWI_TRANSPORT_SHELL_STEER_H

#include "transport/shell/device.h"

enum { STEER_SHARDS_MAX = 8, STEER_QUEUE = 1024, STEER_COPIES = 64, STEER_COPY_BYTES = 2048 };

/* Opens `ops` with options, once, and gives its ends. */
int ewi_steer_open(const struct device_ops *ops, const struct device_options *options,
                   uint32_t shards, struct device **ends);
extern const struct device_ops ewi_steer_device; /* of the ends; no open */

/* Of a flow, seen from either side. */
uint32_t ewi_steer_shard(const struct stack_addr *local, const struct stack_addr *remote,
                         uint32_t shards);

#endif
