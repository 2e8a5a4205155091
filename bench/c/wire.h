/* bench/c/wire.h - two stacks of transport/net in one process, and the wire between them.
 *
 * Purpose    What a stack costs by itself: no device, no system call, no second process. A frame of
 *            one end is the packet of the other in the same buffer; nobody copies on the way.
 * Shape      client (10.0.0.0/8 addresses) <-> server (10.255.0.1), Ethernet, static neighbours,
 *            checksums in software. Time is virtual: a step of the shell takes WIRE_STEP_NS.
 * Owner      buffers are the wire's; a stack that keeps one gives it back by reclaim
 * Threads    one
 * Trust      none: measures only our own stacks
 * Errors     DUO_CHECK ends the program
 * Invariants I1  free, room and kept buffers are all there are.
 * Ordering   none
 * Source     transport/net/net.h
 */
#ifndef BENCH_C_WIRE_H
#define BENCH_C_WIRE_H

#include "bench/c/duo.h"
#include "transport/net/net.h"

enum {
    WIRE_BATCH = 64,
    WIRE_BUFFERS = 8192,
    WIRE_STEP_NS = 1000,
    WIRE_LINK_BYTES = 18,
    WIRE_PORT = 80,
    WIRE_STREAMS_MAX = 64, /* that are used at one time; more may be idle */
    WIRE_TRIES = 1 << 16,  /* steps within which something must happen */
};

enum wire_side { WIRE_CLIENT, WIRE_SERVER };

struct wire_options {
    uint32_t conns;     /* of each stack */
    uint32_t addresses; /* of the client */
    uint16_t mtu;
    uint64_t time_wait_ns; /* 0: as it is */
};

struct wire {
    struct ewi_net *net[2];
    struct net_config config;
    void *memory[2];
    size_t memory_bytes;
    uint64_t now;
    ewi_stream listener;
    uint32_t buffer_bytes;
    uint8_t *buffers;
    void *free[WIRE_BUFFERS];
    uint32_t free_count;
    struct net_frame frame[WIRE_BATCH];
    struct net_rx packet[WIRE_BATCH];
    uint64_t frames;
};

static inline struct stack_addr wire_address(enum wire_side side, uint32_t which, uint16_t port)
{
    struct stack_addr addr = {.family = 4, .port = port, .ip = {10, 255, 0, 1}};

    if (side == WIRE_CLIENT) {
        addr.ip[1] = 0;
        addr.ip[2] = (uint8_t)(which >> 8);
        addr.ip[3] = (uint8_t)(which + 1);
    }
    return addr;
}

/* Zero pages that are touched when they are used. */
static inline void *wire_memory(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    DUO_CHECK(bytes != 0 && memory != MAP_FAILED);
    return memory;
}

static inline void wire_config(struct net_config *config, const struct wire_options *options)
{
    ewi_net_config_for(config, options->conns);
    config->addresses_max = options->addresses + 1;
    config->routes_max = options->addresses + 4;
    config->neighbours_max = options->addresses + 2;
    if (options->time_wait_ns != 0)
        config->time_waits_max = 1 << 16;
    if (config->packets_max < WIRE_BUFFERS)
        config->packets_max = WIRE_BUFFERS;
}

static inline void wire_open_end(struct wire *wire, const struct wire_options *options,
                                 enum wire_side side)
{
    struct net_port_config port = {
        .mac = {2, 0, 0, 0, 0, (uint8_t)(1 + side)}, .mtu = options->mtu, .caps = NET_PORT_ETHERNET};
    const uint8_t other[6] = {2, 0, 0, 0, 0, (uint8_t)(2 - side)};
    uint8_t seed[32] = {(uint8_t)(7 + side)};
    uint32_t own = side == WIRE_CLIENT ? options->addresses : 1;
    uint32_t others = side == WIRE_CLIENT ? 1 : options->addresses;
    struct ewi_net *net;

    wire->memory[side] = wire_memory(wire->memory_bytes);
    net = ewi_net_init(wire->memory[side], &wire->config, seed, wire->now);
    DUO_CHECK(net != NULL && ewi_net_port_add(net, &port) == 0);
    for (uint32_t i = 0; i < own; i++) {
        struct stack_addr addr = wire_address(side, i, 0);

        DUO_CHECK(ewi_net_address_add(net, 0, &addr, 8, NET_ADDRESS_SURE) == 0);
    }
    for (uint32_t i = 0; i < others; i++) {
        struct stack_addr addr = wire_address(side == WIRE_CLIENT ? WIRE_SERVER : WIRE_CLIENT, i, 0);

        DUO_CHECK(ewi_net_neighbour_add(net, 0, &addr, other) == 0);
    }
    if (options->time_wait_ns != 0)
        DUO_CHECK(ewi_net_set(net, 0, NET_OPTION_TIME_WAIT_NS, options->time_wait_ns) == 0);
    DUO_CHECK(ewi_net_set(net, 0, NET_OPTION_NODELAY, 1) == 0);
    wire->net[side] = net;
}

static inline void wire_open(struct wire *wire, const struct wire_options *options)
{
    struct stack_addr local = wire_address(WIRE_SERVER, 0, WIRE_PORT);

    memset(wire, 0, sizeof(*wire));
    wire->now = 1000000000;
    wire_config(&wire->config, options);
    wire->memory_bytes = ewi_net_bytes(&wire->config);
    wire_open_end(wire, options, WIRE_CLIENT);
    wire_open_end(wire, options, WIRE_SERVER);
    wire->buffer_bytes = (uint32_t)ewi_align_up(options->mtu + WIRE_LINK_BYTES, 2048);
    wire->buffers = wire_memory((size_t)WIRE_BUFFERS * wire->buffer_bytes);
    for (uint32_t i = WIRE_BUFFERS; i-- > 0;)
        wire->free[wire->free_count++] = wire->buffers + (size_t)i * wire->buffer_bytes;
    DUO_CHECK(ewi_net_listen(wire->net[WIRE_SERVER], &local, 4096, 0, &wire->listener) == 0);
}

static inline void wire_close(struct wire *wire)
{
    munmap(wire->memory[WIRE_CLIENT], wire->memory_bytes);
    munmap(wire->memory[WIRE_SERVER], wire->memory_bytes);
    munmap(wire->buffers, (size_t)WIRE_BUFFERS * wire->buffer_bytes);
}

static inline void wire_reclaim(struct wire *wire, enum wire_side side)
{
    uint32_t count;

    do {
        void **room = wire->free + wire->free_count;
        uint32_t at_most = WIRE_BUFFERS - wire->free_count;

        at_most = at_most < WIRE_BATCH ? at_most : WIRE_BATCH;
        count = at_most == 0 ? 0 : ewi_net_reclaim(wire->net[side], room, at_most);
        wire->free_count += count;
    } while (count == WIRE_BATCH);
}

/* At most a batch of frames of one end become packets of the other; returns how many. */
static inline uint32_t wire_move(struct wire *wire, enum wire_side from)
{
    enum wire_side to = from == WIRE_CLIENT ? WIRE_SERVER : WIRE_CLIENT;
    uint32_t rooms = wire->free_count < WIRE_BATCH ? wire->free_count : WIRE_BATCH;
    void **room = wire->free + wire->free_count - rooms;
    uint32_t count, unused = 0;

    for (uint32_t i = 0; i < rooms; i++) {
        wire->frame[i].room = room[rooms - 1 - i]; /* the warmest first */
        wire->frame[i].room_bytes = wire->buffer_bytes;
    }
    count = ewi_net_output(wire->net[from], wire->now, wire->frame, rooms);
    for (uint32_t i = 0; i < count; i++)
        wire->packet[i] = (struct net_rx){.data = wire->frame[i].room,
                                          .ref = wire->frame[i].room,
                                          .bytes = wire->frame[i].bytes,
                                          .room = wire->buffer_bytes - wire->frame[i].bytes,
                                          .charge = wire->buffer_bytes};
    wire->free_count -= count;
    if (count == 0)
        return 0;
    ewi_net_input(wire->net[to], wire->now, wire->packet, count);
    for (uint32_t i = count; i-- > 0;)
        if ((wire->packet[i].flags & NET_RX_KEPT) == 0)
            wire->free[wire->free_count + unused++] = wire->packet[i].ref;
    wire->free_count += unused;
    wire_reclaim(wire, to);
    wire->frames += count;
    return count;
}

/* One step of both shells: everything that can leave goes across. */
static inline uint32_t wire_step(struct wire *wire)
{
    uint32_t moved = 0, count;

    wire->now += WIRE_STEP_NS;
    for (enum wire_side side = WIRE_CLIENT; side <= WIRE_SERVER; side++) {
        ewi_net_tick(wire->net[side], wire->now);
        do
            moved += count = wire_move(wire, side);
        while (count == WIRE_BATCH);
    }
    return moved;
}

/* Until nothing moves any more, delayed acknowledgments included. */
static inline void wire_settle(struct wire *wire)
{
    for (uint32_t quiet = 0, tries = 0; quiet < 3; tries++) {
        DUO_CHECK(tries < WIRE_TRIES);
        quiet = wire_step(wire) == 0 ? quiet + 1 : 0;
        if (quiet != 0)
            wire->now += 50000000;
    }
}

static inline void wire_forget_events(struct wire *wire)
{
    struct stack_event events[WIRE_BATCH];

    for (enum wire_side side = WIRE_CLIENT; side <= WIRE_SERVER; side++)
        while (ewi_net_events(wire->net[side], events, WIRE_BATCH) == WIRE_BATCH)
            continue;
}

/* So many connections from consecutive ports; both ends in order. user: the index plus 1. */
static inline void wire_connect(struct wire *wire, ewi_stream *clients, ewi_stream *servers,
                                uint32_t first, uint32_t count, uint32_t ports_of_address)
{
    struct stack_addr remote = wire_address(WIRE_SERVER, 0, WIRE_PORT);
    uint32_t accepted = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t which = first + i;
        struct stack_addr local =
            wire_address(WIRE_CLIENT, which / ports_of_address,
                         (uint16_t)(1024 + which % ports_of_address));

        DUO_CHECK(ewi_net_connect(wire->net[WIRE_CLIENT], &local, &remote, which + 1, wire->now,
                                  &clients[i]) == 0);
    }
    for (uint32_t tries = 0; accepted < count; tries++) {
        DUO_CHECK(tries < WIRE_TRIES);
        wire_step(wire);
        while (accepted < count && ewi_net_accept(wire->net[WIRE_SERVER], wire->listener,
                                                  first + accepted + 1, &servers[accepted]) == 0)
            accepted += 1;
    }
    wire_step(wire);
    wire_forget_events(wire);
}

#endif
