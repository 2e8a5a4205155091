/* tests/sim/net_node.h - a stack in its own memory, and the device under it.
 *
 * Purpose    What a real shell does with one stack: packets in with references that are counted,
 *            frames out, the device's offloads done by hand, wake-ups at the deadline.
 * Shape      node   stack, device, wire up (to the switch), wire down (from it)
 *            buffer a packet in memory that was given to input: the reference is its number and
 *                   life, so that a stale one is found whatever the stack does with it
 *            plan   how the device behaves; see enum sim_device
 * Owner      one row of nodes; blocks are malloc'ed so that the sanitizer watches their edges
 * Threads    one
 * Trust      the stack is under test
 * Errors     SIM_CHECK fails
 * Invariants I1  a buffer that was kept comes back exactly once, unless a token holds it.
 *            I2  what was not kept is overwritten at once.
 *            I3  behind tick and output nothing is due any more.
 * Ordering   none
 * Source     transport/net/net.h
 */
#ifndef TESTS_SIM_NET_NODE_H
#define TESTS_SIM_NET_NODE_H

#include "tests/sim/net_watch.h"
#include "transport/net/net.h"

enum {
    SIM_FRAMES = 32,
    SIM_BATCH = 32,
    SIM_LATE_TICKS = 256, /* rounds of tick and output without time: more is a livelock */
    SIM_ROOM_EXTRA = 18,
};

enum sim_device { /* flags */
    SIM_NO_REFERENCES = 1, /* packets are valid during input only */
    SIM_SOME_REFERENCES = 2, /* as above, for half of them */
    SIM_TX_SUM = 4,
    SIM_TX_TSO = 8,
    SIM_RX_GOOD = 16,  /* the device judges checksums */
    SIM_TRUST = 32,    /* and no checksum is computed at all */
    SIM_BARE_IP = 64,  /* no Ethernet */
    SIM_TIGHT = 128,   /* no room behind packets, least charge */
    SIM_ASK = 256,     /* no static neighbours: ARP, NDP */
};

struct node_plan {
    uint32_t device;
    uint16_t mtu;         /* 0: 1500 */
    uint64_t poll;        /* wakes up only at multiples of it; 0: at once */
    uint64_t device_queue; /* bytes queued on the wire up before it takes no more; 0: any */
    struct net_config config; /* conns_max 0: the usual */
    uint64_t rate_up;
};

struct buffer {
    uint8_t *data;
    uint32_t life;
    bool kept;
};

struct node {
    int index;
    struct ewi_net *net;
    void *memory;
    struct node_plan plan;
    struct wire up, down;
    uint8_t mac[6];
    struct stack_addr ip4, ip6;
    int port;
    /* buffers that the stack has */
    struct buffer *buffers;
    uint32_t buffers_room, kept, kept_most, search;
    /* frames that have arrived and wait for the next poll */
    struct frame **inbox;
    uint32_t inbox_count, inbox_room;
    uint64_t wake_at; /* because of what is in the inbox, or because the device was full */
    uint64_t deadline;
    bool is_blocked;
    uint64_t runs;
    uint8_t *rooms[SIM_FRAMES];
    uint32_t room_bytes;
    uint64_t frames_sent, tso_frames;
};

extern struct world {
    struct node node[SIM_NODES_MAX];
    int nodes;
    uint32_t check_every; /* of ewi_net_check: 1 after every event */
    void (*on_event)(struct node *node, const struct stack_event *event);
} world;

void sim_up(struct node *node, struct frame *frame); /* net_world.c */

/* ---- buffers ---- */

void node_reclaim(struct node *node);

/* ---- in ---- */

void node_put(struct node *node, struct frame *frame);
void node_input(struct node *node);

#endif
