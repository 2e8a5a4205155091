/* tests/sim/net_device.h - what a network device does with the frames of a stack.
 *
 * Purpose    Offloads by hand: finish checksums, cut TSO frames; and hand everything that leaves to
 *            the watcher first.
 * Shape      node_output: some frames at a time, until there are no more or the device is full
 * Owner      as tests/sim/net_node.h
 * Threads    one
 * Trust      the stack is under test
 * Errors     SIM_CHECK fails
 * Invariants I1  what leaves has complete checksums, unless the wire is trusted, and fits the MTU.
 * Ordering   none
 * Source     transport/net/net.h (struct net_frame)
 */
#ifndef TESTS_SIM_NET_DEVICE_H
#define TESTS_SIM_NET_DEVICE_H

#include "tests/sim/net_node.h"

/* ---- out: what the device does ---- */

/* True: it gave something. */
bool node_output(struct node *node);

#endif
