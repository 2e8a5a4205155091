/* tests/sim/net_twins.h - two ends, each of them twice, and the wire between them.
 *
 * Purpose    Show that two ways of doing the same thing in transport/net do the same: twins have one
 *            seed and get the same calls and packets, and only a switch is different.
 * Shape      twin 0 is real: its frames go on the wire. Twin 1 must have made the same ones.
 *            compare(): answers, counters, deadlines, events, connections byte by byte
 * Owner      `world` of the test program
 * Threads    one
 * Trust      the stacks are under test
 * Errors     CHECK fails
 * Invariants I1  what a stack holds of buffers is in `buffers`.
 * Ordering   none
 * Source     transport/net/net.h
 */
#ifndef TESTS_SIM_NET_TWINS_H
#define TESTS_SIM_NET_TWINS_H

#include "tests/c/harness.h"
#include "transport/net/tcp_parts.h"

#define US UINT64_C(1000)
#define MS (1000 * US)

enum { ENDS = 2, TWINS = 2, ROOM = 9216, FRAMES = 8, FLYING = 512, STREAMS = 3, STEPS = 4000 };
enum { PORT = 80, EVENTS = 16, TOKENS = 4, SPAN = 1 << 16 };

struct flying {
    uint64_t at;
    int to;
    uint32_t bytes;
    uint8_t frame[ROOM];
};

struct buffer { /* of the driver */
    struct buffer *prev, *next;
    uint8_t bytes[ROOM];
};

struct end {
    struct ewi_net *net[TWINS];
    void *memory[TWINS];
    ewi_stream stream[STREAMS];
    bool is_finished[STREAMS];
    struct net_token token[TWINS][STREAMS][TOKENS];
    uint32_t tokens[STREAMS];
};

static struct {
    struct harness_random random;
    struct end end[ENDS];
    struct flying flying[FLYING];
    uint32_t flyings;
    uint64_t now;
    uint32_t loss, twice, marks, late; /* of 1000 */
    uint32_t busy, lazy;               /* users do something; and do not read */
    uint64_t delay;
    uint16_t mtu;
    bool few_runs;
    bool copies; /* packets without a reference */
    ewi_stream listener;
    bool is_spoilt;
    struct buffer *buffers; /* that stacks hold */
} world;

static uint8_t text[SPAN];

static inline bool chance(uint32_t of_thousand)
{
    return harness_below(&world.random, 1000) < of_thousand;
}

/* ---- the same? ---- */

static inline void compare_events(struct ewi_net *net[TWINS])
{
    struct stack_event events[TWINS][EVENTS];
    uint32_t count[TWINS];

    memset(events, 0, sizeof(events));
    do {
        for (int i = 0; i < TWINS; i++)
            count[i] = ewi_net_events(net[i], events[i], EVENTS);
        CHECK_EQ(count[0], count[1]);
        for (uint32_t i = 0; i < count[0]; i++) {
            CHECK_EQ(events[0][i].user, events[1][i].user);
            CHECK_EQ(events[0][i].stream, events[1][i].stream);
            CHECK_EQ(events[0][i].bits, events[1][i].bits);
        }
    } while (count[0] == EVENTS);
}

static inline void compare(const struct end *end)
{
    struct ewi_net *a = end->net[0], *b = end->net[1];

    if (world.is_spoilt)
        return;
    CHECK_EQ(ewi_net_deadline(a), ewi_net_deadline(b));
    CHECK(memcmp(&a->count, &b->count, sizeof(a->count)) == 0);
    CHECK_EQ(a->tcp.conns.used, b->tcp.conns.used);
    CHECK_EQ(a->tcp.runs.free, b->tcp.runs.free);
    CHECK_EQ(a->tcp.spans.free, b->tcp.spans.free);
    CHECK_EQ(a->packets.charged, b->packets.charged);
    for (uint32_t i = 0; i < a->tcp.conns.fresh; i++) {
        if (!ewi_net_pool_is_taken(&a->tcp.conns, i))
            continue;
        CHECK(ewi_net_pool_is_taken(&b->tcp.conns, i));
        CHECK_EQ(ewi_net_events_of(&a->tcp.events, i), ewi_net_events_of(&b->tcp.events, i));
        CHECK(memcmp(ewi_net_conn(a, i), ewi_net_conn(b, i), sizeof(struct net_conn)) == 0);
    }
}

/* ---- buffers ---- */

static inline struct buffer *take_buffer(void)
{
    struct buffer *buffer = malloc(sizeof(*buffer));

    CHECK(buffer != NULL);
    buffer->prev = NULL;
    buffer->next = world.buffers;
    if (buffer->next != NULL)
        buffer->next->prev = buffer;
    world.buffers = buffer;
    return buffer;
}

static inline void give_buffer(struct buffer *buffer)
{
    if (buffer->prev != NULL)
        buffer->prev->next = buffer->next;
    else
        world.buffers = buffer->next;
    if (buffer->next != NULL)
        buffer->next->prev = buffer->prev;
    free(buffer);
}

/* ---- the wire ---- */

static inline void fly(int to, const uint8_t *frame, uint32_t bytes)
{
    struct flying *flying = &world.flying[world.flyings];

    if (world.flyings == FLYING)
        return;
    world.flyings += 1;
    flying->at = world.now + world.delay;
    if (chance(world.late))
        flying->at += harness_below(&world.random, 3 * world.delay);
    flying->to = to;
    flying->bytes = bytes;
    memcpy(flying->frame, frame, bytes);
    if ((frame[15] & 3) == 2 && chance(world.marks)) { /* RFC 3168 section 5: CE; the sum as in RFC 1624 */
        uint32_t sum = (uint32_t)(frame[24] << 8 | frame[25]);

        flying->frame[15] |= 3;
        sum = sum == 0 ? 0xfffe : sum - 1;
        flying->frame[24] = (uint8_t)(sum >> 8);
        flying->frame[25] = (uint8_t)sum;
    }
}

static inline void leave(int from)
{
    static uint8_t rooms[TWINS][FRAMES][ROOM];
    struct net_frame frames[TWINS][FRAMES];
    uint32_t count[TWINS], room = 1 + (uint32_t)harness_below(&world.random, FRAMES);
    struct end *end = &world.end[from];

    do {
        for (int i = 0; i < TWINS; i++) {
            for (int k = 0; k < FRAMES; k++)
                frames[i][k] = (struct net_frame){.room = rooms[i][k], .room_bytes = ROOM};
            count[i] = ewi_net_output(end->net[i], world.now, frames[i], room);
        }
        CHECK_EQ(count[0], count[1]);
        for (uint32_t k = 0; k < count[0]; k++) {
            CHECK_EQ(frames[0][k].bytes, frames[1][k].bytes);
            CHECK(memcmp(rooms[0][k], rooms[1][k], frames[0][k].bytes) == 0);
            if (chance(world.loss))
                continue;
            fly(!from, rooms[0][k], frames[0][k].bytes);
            if (chance(world.twice))
                fly(!from, rooms[0][k], frames[0][k].bytes);
        }
        compare(end);
    } while (count[0] == room);
}

static inline void give_back(struct end *end)
{
    void *refs[FRAMES];
    uint32_t count[TWINS];

    do {
        for (int i = 0; i < TWINS; i++) {
            count[i] = ewi_net_reclaim(end->net[i], refs, FRAMES);
            for (uint32_t k = 0; k < count[i]; k++)
                give_buffer(refs[k]);
        }
        CHECK_EQ(count[0], count[1]);
    } while (count[0] == FRAMES);
}

/* A segment of long ago, as RFC 7323 section 5.2 fears it. True: the sum is not to be looked at. */
static inline bool make_old(uint8_t *frame, uint32_t bytes)
{
    enum { TIMES_AT = 14 + 20 + 20 };
    static const uint8_t times[4] = {1, 1, 8, 10};

    if (bytes < TIMES_AT + 12 || memcmp(frame + TIMES_AT, times, sizeof(times)) != 0)
        return false;
    frame[TIMES_AT + 5] ^= 0x40; /* of TSval: half an hour or so */
    return true;
}

static inline void arrive(struct flying *flying)
{
    struct end *end = &world.end[flying->to];
    bool is_old = chance(world.late / 4) && make_old(flying->frame, flying->bytes);
    struct net_rx rx[TWINS];

    for (int i = 0; i < TWINS; i++) {
        struct buffer *buffer = take_buffer();

        memcpy(buffer->bytes, flying->frame, flying->bytes);
        rx[i] = (struct net_rx){.data = buffer->bytes,
                                .ref = world.copies ? NULL : buffer,
                                .bytes = flying->bytes,
                                .room = ROOM - flying->bytes,
                                .flags = is_old ? NET_RX_SUM_GOOD : 0,
                                .charge = ROOM};
        ewi_net_input(end->net[i], world.now, &rx[i], 1);
        if ((rx[i].flags & NET_RX_KEPT) == 0)
            give_buffer(buffer);
    }
    CHECK_EQ(rx[0].flags, rx[1].flags);
    compare(end);
}

static inline void arrive_all(void)
{
    for (uint32_t i = 0; i < world.flyings;) {
        if (world.flying[i].at > world.now) {
            i += 1;
            continue;
        }
        arrive(&world.flying[i]);
        world.flyings -= 1;
        memmove(&world.flying[i], &world.flying[i + 1],
                (world.flyings - i) * sizeof(world.flying[0]));
    }
}

#endif
