/* tests/sim/net_loop.h - the loop that moves the time, and the end of a world.
 *
 * Purpose    Next event, next deadline; nothing else decides when something happens.
 * Shape      world_begin(seed) .. nodes .. world_join .. world_run(until, done) .. world_end
 * Owner      as tests/sim/net_world.h
 * Threads    one
 * Trust      the stacks are under test
 * Errors     SIM_CHECK fails
 * Invariants I1  behind a node's run nothing of it is due, unless its device is full.
 *            I2  time stands still for a bounded number of events.
 * Ordering   none
 * Source     transport/net/net.h (how a shell repeats)
 */
#ifndef TESTS_SIM_NET_LOOP_H
#define TESTS_SIM_NET_LOOP_H

#include "tests/sim/net_world.h"

void happen(struct happening next);
/* The next thing, unless it is behind `until`. */
bool world_step(uint64_t until);
/* Until done() says so, nothing is left to happen, or `until`. True: done. */
bool world_run(uint64_t until, bool (*done)(void));
/* What a user did outside of events has to leave. */
void node_poke(struct node *node);
void world_begin(uint64_t seed);
void world_end(void);

#endif
