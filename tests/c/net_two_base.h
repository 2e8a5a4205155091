/* tests/c/net_two_base.h - a stack on a wire of its own, which the test carries frames along.
 *
 * Purpose    What tests share that drive whole stacks by hand, and need no simulator.
 * Shape      two_make(i)   a stack without an address; port 0 has MAC 2:0:0:0:0:i
 *            two_take(net) frames that leave it
 * Owner      the test frees the memory of a stack; frames are in static memory until the next two_take
 * Threads    one
 * Trust      none: test code only
 * Errors     a CHECK fails
 * Invariants none
 * Ordering   none
 * Source     none
 */
#ifndef TESTS_C_NET_TWO_BASE_H
#define TESTS_C_NET_TWO_BASE_H

#include <errno.h>

#include "tests/c/harness.h"
#include "transport/net/net.h"

#define MS UINT64_C(1000000)
#define S  (1000 * MS)

enum { FRAMES = 16, ROOM = 2048, NODES = 2 };

static inline struct ewi_net *two_make(uint8_t number, uint32_t conns, uint64_t now, void **memory)
{
    struct net_port_config port = {
        .mac = {2, 0, 0, 0, 0, number}, .mtu = 1500, .caps = NET_PORT_ETHERNET};
    uint8_t seed[32] = {number};
    struct net_config config;
    struct ewi_net *net;

    ewi_net_config_for(&config, conns);
    *memory = aligned_alloc(4096, ewi_align_up(ewi_net_bytes(&config), 4096));
    CHECK(*memory != NULL);
    net = ewi_net_init(*memory, &config, seed, now);
    CHECK(net != NULL);
    CHECK_EQ(ewi_net_port_add(net, &port), 0);
    return net;
}

static inline uint32_t two_take(struct ewi_net *net, uint64_t now, struct net_frame frames[FRAMES])
{
    static uint8_t rooms[FRAMES][ROOM];

    for (int i = 0; i < FRAMES; i++)
        frames[i] = (struct net_frame){.room = rooms[i], .room_bytes = ROOM};
    return ewi_net_output(net, now, frames, FRAMES);
}

#endif
