/* tests/sim/net_wire.h - virtual time, frames, and wires that do everything bad to them.
 *
 * Purpose    The part of the simulated network that knows no stack: what happens when, and what a
 *            wire does to a frame.
 * Shape      happening   an entry of the heap: at its time something arrives or wakes up
 *            frame       an Ethernet frame on its way, in memory of its own
 *            wire        one direction: blackout -> judge -> loss -> MTU -> queue (tail drop, CE
 *                        mark) -> bit flips -> rate -> delay (-> lateness, a second copy)
 *            Times ns, rates bits/s, sizes bytes, chances in 1e6.
 * Owner      one file-scope struct sim for each test program; frames are malloc'ed and freed by who
 *            takes them
 * Threads    one
 * Trust      none: test code only
 * Errors     a CHECK fails, which prints the seed; SIM_CHECK prints the virtual time too
 * Invariants I1  everything random comes from sim.random, so one seed replays the run.
 *            I2  a wire without lateness keeps the order.
 * Ordering   none
 * Source     RFC 3168 section 5 (ECT, CE); RFC 1624 (the IPv4 checksum after a mark)
 */
#ifndef TESTS_SIM_NET_WIRE_H
#define TESTS_SIM_NET_WIRE_H

#include "tests/c/harness.h"
#include "transport/net/header_tcp.h"
#include "transport/net/sum.h"

#define US  UINT64_C(1000)
#define MS  UINT64_C(1000000)
#define SEC UINT64_C(1000000000)
#define SIM_NEVER UINT64_MAX
#define GBIT UINT64_C(1000000000)
#define MBIT UINT64_C(1000000)

enum { SIM_NODES_MAX = 8, SIM_CHANCE = 1000000, SIM_PERCENT = SIM_CHANCE / 100 };

enum happening_kind { AT_SWITCH, AT_NODE, CALL };

struct frame {
    uint32_t bytes;
    int from;       /* node, or SIM_ROUTER */
    bool corrupt;   /* some bit was flipped */
    bool blank;     /* its transport checksum was never computed */
    uint8_t data[]; /* Ethernet */
};

enum { SIM_ROUTER = -1 };

struct happening {
    uint64_t at, order;
    enum happening_kind kind;
    int who;
    struct frame *frame;
    void (*call)(int argument);
};

struct wire_plan {
    uint64_t rate;  /* 0: no limit */
    uint64_t delay;
    uint32_t queue; /* tail drop; 0: no limit */
    uint32_t mark;  /* CE when so much is queued; 0: never */
    uint32_t loss, late, twice, corrupt; /* chances */
    uint64_t late_by;       /* the most that a late frame is late */
    uint32_t mtu;           /* of IP; 0: no limit */
    bool silent;            /* no ICMP about frames that are too long */
};

struct wire {
    struct wire_plan plan;
    uint64_t busy_until;
    uint64_t dark_from, dark_to; /* blackout */
    uint64_t frames, bytes, lost, dropped, marked, flipped, doubled, too_long;
    uint64_t queue_most;
};

struct sim {
    uint64_t now, order;
    struct harness_random random;
    struct happening *heap;
    uint32_t happenings, heap_room;
    /* may say that a frame is lost: the scenario's own idea. wire: 2 * node, + 1: towards it */
    bool (*judge)(int wire, const struct frame *frame);
    uint64_t steps;
};

extern struct sim sim;

#define SIM_CHECK(condition, ...)                                                                  \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "\n    at %" PRIu64 " ns: ", sim.now);                                 \
            fprintf(stderr, __VA_ARGS__);                                                          \
            harness_fail(__FILE__, __LINE__, #condition);                                          \
        }                                                                                          \
    } while (0)

bool chance(uint32_t of_a_million);
uint64_t sim_below(uint64_t bound);
uint64_t sim_between(uint64_t low, uint64_t high);

/* ---- bytes that say where they belong ---- */

uint64_t pattern_word(uint64_t seed, uint64_t index);
void pattern_fill(uint8_t *to, uint64_t seed, uint64_t at, size_t bytes);
/* The first byte that is wrong; `bytes`: none. */
size_t pattern_wrong(const uint8_t *have, uint64_t seed, uint64_t at, size_t bytes);

/* ---- the heap ---- */

void post(struct happening what);
struct happening take_next(void);
void call_at(uint64_t at, void (*call)(int), int argument);

/* ---- frames ---- */

struct frame *frame_new(const uint8_t *data, uint32_t bytes);
struct frame *frame_copy(const struct frame *frame);
uint16_t frame_type(const struct frame *frame);
bool frame_is_ip(const struct frame *frame);
uint16_t get16(const uint8_t *at);
void put16(uint8_t *at, uint16_t value);
/* Congestion experienced, if the packet may carry it. False: it may not. */
bool frame_mark(struct frame *frame);
/* Flip bits within one 16-bit word: what a ones' complement sum always finds, unless all of them
 * change. ARP has no checksum of its own and is left alone, as Ethernet's would find it. */
void frame_corrupt(struct frame *frame);

/* ---- wires ---- */

uint64_t wire_time(const struct wire *wire, uint64_t bytes);
uint64_t wire_queued(const struct wire *wire);
/* The frame is the wire's now. to: what happens at its other end. index: for the judge. */
void wire_send(struct wire *wire, int index, struct frame *frame, struct happening to);

#endif
