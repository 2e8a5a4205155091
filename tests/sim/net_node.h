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

static struct {
    struct node node[SIM_NODES_MAX];
    int nodes;
    uint32_t check_every; /* of ewi_net_check: 1 after every event */
    void (*on_event)(struct node *node, const struct stack_event *event);
} world;

static void sim_up(struct node *node, struct frame *frame); /* net_world.h */

/* ---- buffers ---- */

static inline struct buffer *buffer_free(struct node *node)
{
    for (uint32_t i = 0; i < node->buffers_room; i++) {
        struct buffer *buffer = &node->buffers[node->search++ % node->buffers_room];

        if (!buffer->kept && buffer->data == NULL)
            return buffer;
    }
    node->search = node->buffers_room;
    node->buffers_room = node->buffers_room * 2 + 64;
    node->buffers = realloc(node->buffers, node->buffers_room * sizeof(*node->buffers));
    CHECK(node->buffers != NULL);
    memset(node->buffers + node->search, 0,
           (node->buffers_room - node->search) * sizeof(*node->buffers));
    return &node->buffers[node->search++];
}

static inline void *buffer_name(const struct node *node, const struct buffer *buffer)
{
    uintptr_t index = (uintptr_t)(buffer - node->buffers) + 1;

    return (void *)(index | (uintptr_t)buffer->life << 32); /* not an address, on purpose */
}

static inline void node_reclaim(struct node *node)
{
    void *refs[7];
    uint32_t count;

    do {
        count = ewi_net_reclaim(node->net, refs, 7);
        CHECK(count <= 7);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t index = (uint32_t)(uintptr_t)refs[i] - 1;
            struct buffer *buffer = &node->buffers[index];

            SIM_CHECK(index < node->buffers_room, "a reference that never was");
            SIM_CHECK(buffer->kept && buffer->life == (uint32_t)((uintptr_t)refs[i] >> 32),
                      "a reference that came back before");
            free(buffer->data);
            buffer->data = NULL;
            buffer->kept = false;
            buffer->life += 1;
            node->kept -= 1;
        }
    } while (count == 7);
}

/* ---- in ---- */

/* A device that judges checksums: is the transport's right? */
static inline bool sum_is_good(const uint8_t *ip, uint32_t bytes)
{
    uint32_t addresses, header, payload;
    struct watch_name name;
    struct net_tcp tcp;
    uint8_t ecn;

    return watch_ip(ip, bytes, &name, &addresses, &header, &payload, &ecn) == NET_OK &&
           ewi_net_tcp_parse(ip + header, payload, addresses, &tcp) == NET_OK;
}

static inline uint16_t rx_flags(const struct node *node, const struct frame *frame)
{
    const uint8_t *ip = frame->data + NET_ETHER_BYTES;
    uint32_t bytes = frame->bytes - NET_ETHER_BYTES;

    if (frame->blank)
        return NET_RX_SUM_BLANK;
    if ((node->plan.device & SIM_RX_GOOD) != 0 && frame_is_ip(frame) && bytes >= 20 &&
        sum_is_good(ip, bytes))
        return NET_RX_SUM_GOOD;
    return 0;
}

static inline void rx_make(struct node *node, const struct frame *frame, struct net_rx *rx,
                           struct buffer *holder)
{
    uint32_t skip = (node->plan.device & SIM_BARE_IP) != 0 ? NET_ETHER_BYTES : 0;
    uint32_t room = (node->plan.device & SIM_TIGHT) != 0 ? 0 : (uint32_t)sim_below(256);
    uint32_t bytes = frame->bytes - skip;
    bool has_reference = (node->plan.device & SIM_NO_REFERENCES) == 0 &&
                         ((node->plan.device & SIM_SOME_REFERENCES) == 0 || chance(SIM_CHANCE / 2));

    holder->data = malloc(bytes + room);
    CHECK(holder->data != NULL);
    memcpy(holder->data, frame->data + skip, bytes);
    *rx = (struct net_rx){.data = holder->data,
                          .ref = has_reference ? buffer_name(node, holder) : NULL,
                          .bytes = bytes,
                          .room = room,
                          .charge = (node->plan.device & SIM_TIGHT) != 0 ? bytes : 2048,
                          .port = (uint16_t)node->port,
                          .flags = rx_flags(node, frame)};
    if (rx->charge < bytes + room)
        rx->charge = bytes + room;
}

static inline void node_put(struct node *node, struct frame *frame)
{
    if (node->inbox_count == node->inbox_room) {
        node->inbox_room = node->inbox_room * 2 + SIM_BATCH;
        node->inbox = realloc(node->inbox, node->inbox_room * sizeof(struct frame *));
        CHECK(node->inbox != NULL);
    }
    node->inbox[node->inbox_count++] = frame;
}

/* The stack will see a packet that somebody sent: at most bits were flipped that nobody looks at. */
static inline bool is_given(const struct node *node, const struct frame *frame)
{
    if (!frame->corrupt)
        return frame_is_ip(frame);
    if ((node->plan.device & SIM_BARE_IP) == 0 && !frame_is_ip(frame))
        return false;
    return frame->bytes >= NET_ETHER_BYTES + NET_IP4_BYTES &&
           sum_is_good(frame->data + NET_ETHER_BYTES, frame->bytes - NET_ETHER_BYTES);
}

static inline void node_input_some(struct node *node, struct frame **frames, uint32_t count)
{
    struct net_rx rx[SIM_BATCH];
    struct buffer *holder; /* the row of them may move: numbers stay */
    uint32_t index[SIM_BATCH];

    for (uint32_t i = 0; i < count; i++) {
        struct frame *frame = frames[i];

        holder = buffer_free(node);
        index[i] = (uint32_t)(holder - node->buffers);
        rx_make(node, frame, &rx[i], holder);
        if (is_given(node, frame))
            watch_given(frame->data + NET_ETHER_BYTES, frame->bytes - NET_ETHER_BYTES,
                        frame->blank);
        free(frame);
    }
    ewi_net_input(node->net, sim.now, rx, count);
    for (uint32_t i = 0; i < count; i++) {
        holder = &node->buffers[index[i]];
        if ((rx[i].flags & NET_RX_KEPT) != 0) {
            SIM_CHECK(rx[i].ref != NULL, "kept without a reference");
            holder->kept = true;
            node->kept += 1;
            continue;
        }
        memset(holder->data, 0xdd, rx[i].bytes + rx[i].room);
        free(holder->data);
        holder->data = NULL;
        holder->life += 1;
    }
    if (node->kept > node->kept_most)
        node->kept_most = node->kept;
}

static inline void node_input(struct node *node)
{
    uint32_t done = 0, count = node->inbox_count;

    while (done < count) {
        uint32_t some = 1 + (uint32_t)sim_below(SIM_BATCH);

        some = some < count - done ? some : count - done;
        node_input_some(node, node->inbox + done, some);
        done += some;
    }
    node->inbox_count = 0;
}

#endif
