/* tests/sim/net_world.h - stacks, a switch between them, and the loop that moves the time.
 *
 * Purpose    Run stacks against each other in virtual time and look at them after every event.
 * Shape      node -> wire up -> switch -> wire down -> node; a star. The wires of a node are set
 *            apart, so a bottleneck is the wire down of whoever receives.
 *            The switch is a router too where a path is narrow: it answers with ICMP.
 *            10.0.0.N and fd00::N, N from 1; the router 254 is the way to everywhere else, and
 *            swallows what goes there.
 * Owner      world_begin .. world_end: everything is made and freed between them
 * Threads    one
 * Trust      the stacks are under test
 * Errors     SIM_CHECK fails
 * Invariants I1  after every event: ewi_net_check, counters add up (every check_every-th).
 *            I2  time stands still for a bounded number of events.
 *            I3  at the end no buffer is kept.
 * Ordering   none
 * Source     transport/net/net.h; RFC 1191 section 4, RFC 4443 section 3.2 (too big)
 */
#ifndef TESTS_SIM_NET_WORLD_H
#define TESTS_SIM_NET_WORLD_H

#include "tests/sim/net_device.h"
#include "transport/net/header_icmp.h"

enum { SIM_STILL_MAX = 400000, SIM_ROUTER_NUMBER = 254 };

extern const uint8_t router_mac[6];

struct stack_addr address4(unsigned number, uint16_t port);
struct stack_addr address6(unsigned number, uint16_t port);

/* ---- nodes ---- */

struct net_config usual_config(void);
int node_add(const struct node_plan *plan, const struct wire_plan *down);
/* All nodes are there: they learn the way to each other. */
void world_join(void);

/* ---- the switch ---- */

void sim_down(struct node *node, struct frame *frame);
void switch_take(struct frame *frame);

/* ---- looking ---- */

void node_show(const struct node *node);
void node_check(struct node *node);

#endif
