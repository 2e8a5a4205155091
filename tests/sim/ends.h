/* tests/sim/ends.h - two session ends, their applications, and links that deliver late and are cut.
 *
 * Purpose    What the simulations of a session share; what happens to it in a run is in steps.h.
 * Shape      sim: two ends with an outbox ring and an inbox each, LINKS links of two pipes
 * Owner      static memory; start_run() of steps.h begins a run
 * Threads    one
 * Trust      none: test code only
 * Errors     a CHECK fails
 * Invariants I1  nothing but transport/session/session.c decides what counts.
 *            I2  one seed is one run.
 * Ordering   none
 * Source     transport/stream/pump.c, transport/channel/incoming.c: what is simulated here
 */
#ifndef TESTS_SIM_ENDS_H
#define TESTS_SIM_ENDS_H

#include "shm/ring.h"
#include "tests/c/harness.h"
#include "tests/sim/pipe.h"
#include "transport/session/session.h"

enum {
    OPENER = 0, ACCEPTOR = 1, NONE = -1,
    LINKS = 5,
    RING_BYTES_MAX = 65536,
    INBOX_BYTES = RECORD_BYTES_MAX,
    INBOX_RING_BYTES = INBOX_BYTES + RECORD_BYTES_MAX + 4096, /* as transport/stream/link.h */
    STAGING_BYTES = 16384,
    CONTROL_BYTES = WIRE_HELLO_BYTES + 128,
    RECORDS_MAX = 400,
    CALM_STEPS = 400 * 1000, /* without any cut: enough by far */
};

struct side { /* what one end knows of a link */
    bool open, greeted;
    uint64_t generation;
    uint64_t blind_until; /* a cut is not noticed before this step */
    uint8_t staging[STAGING_BYTES];
    uint32_t have;
};

struct link {
    struct pipe pipe[2]; /* by the end that writes */
    struct side side[2];
    bool cut;
};

struct end {
    struct session session;
    struct ring_writer writer;
    struct ring_reader out; /* of our own ring, for the current link */
    const uint8_t *run;
    uint32_t run_left;
    uint64_t run_position; /* where it begins */
    uint8_t control[CONTROL_BYTES];
    uint32_t control_from, control_to;
    struct ring_writer inbox;
    struct ring_reader received;
    int current, dialled; /* links, or NONE */
    bool doubt;           /* the acceptor may have gone to a link whose welcome was lost */
    uint64_t sent, got;   /* records */
    uint32_t laziness;    /* of its application: it receives one time in so many */
    uint8_t ring[RING_BYTES_MAX], inbox_ring[INBOX_RING_BYTES];
};

static struct {
    struct harness_random random;
    struct end end[2];
    struct link link[LINKS];
    uint64_t steps, records, seed;
    uint32_t cut_every, dial_every;
    bool calm;
    int plan_from;       /* the end whose bytes are counted, or NONE: no cut is planned */
    uint64_t plan_after; /* the first link is cut behind so many of them */
    uint64_t plan_blind[2]; /* ... and not noticed for so many steps, by end */
    uint64_t cuts, links_up, stale_frames, repeated; /* totals over all runs */
} sim;

static uint8_t pattern[RECORD_BYTES_MAX + 256];

/* harness_below without a division: most of a run is spent on numbers. */
static inline uint32_t below(uint32_t bound)
{
    return (uint32_t)((harness_next(&sim.random) >> 32) * bound >> 32);
}

static inline bool chance(uint32_t one_in)
{
    return below(one_in) == 0;
}

/* ---- records: their kind and length follow from direction and number ---- */

static inline uint8_t kind_of(uint64_t number)
{
    if (number >= sim.records - 2)
        return number == sim.records - 1 ? RECORD_CLOSE : RECORD_EOF;
    return number % 23 == 7 ? RECORD_ABORT : RECORD_DATA;
}

static inline uint32_t payload_of(const struct ring_writer *writer, int from, uint64_t number)
{
    struct harness_random random = {sim.seed * 2 + (uint64_t)from + number * 977};
    uint32_t most = writer->record_bytes_max - RECORD_HEADER_BYTES;
    uint32_t small = (uint32_t)harness_below(&random, 64);

    return harness_below(&random, 3) == 0 ? small : (uint32_t)harness_below(&random, most + 1);
}

/* Taken by the peer, and not needed by a link that began further back. */
static inline void free_ring(struct end *end)
{
    uint64_t needed = end->current == NONE ? UINT64_MAX : end->run_position;

    CHECK_EQ(ewi_ring_free(&end->writer,
                           ewi_max_u64(end->writer.freed,
                                       ewi_min_u64(end->session.peer_taken, needed))),
             EW_OK);
}

static inline void app_sends(int who)
{
    struct end *end = &sim.end[who];
    uint32_t bytes;
    uint8_t *payload;

    if (end->sent == sim.records)
        return;
    free_ring(end);
    bytes = payload_of(&end->writer, who, end->sent);
    if (kind_of(end->sent) != RECORD_DATA) {
        if (ewi_ring_commit_control(&end->writer, (enum record_kind)kind_of(end->sent)) == EW_OK)
            end->sent++;
        return;
    }
    payload = ewi_ring_reserve(&end->writer, bytes);
    if (payload == NULL)
        return;
    memcpy(payload, pattern + end->sent % 256, bytes);
    ewi_ring_commit(&end->writer, bytes, end->sent % 2 ? RECORD_MORE : 0);
    end->sent++;
}

/* Exactly once, in order, as it was sent. */
static inline void app_receives(int who)
{
    struct end *end = &sim.end[who];
    struct record record = {0};
    const uint8_t *payload = NULL;
    uint32_t bytes;

    if (ewi_ring_peek(&end->received, &record, &payload) == EW_EAGAIN)
        return;
    CHECK(end->got < sim.records);
    CHECK_EQ(record.kind, kind_of(end->got));
    if (record.kind == RECORD_DATA) {
        bytes = payload_of(&sim.end[!who].writer, !who, end->got);
        CHECK_EQ(record.bytes, RECORD_HEADER_BYTES + bytes);
        CHECK(memcmp(payload, pattern + end->got % 256, bytes) == 0);
    }
    ewi_ring_consume(&end->received, record);
    end->got++;
}

/* ---- links ---- */

static inline uint32_t put_and_cut(struct link *link, int from, const void *bytes, uint32_t length)
{
    struct pipe *pipe = &link->pipe[from];
    uint64_t most = ewi_min_u64(length, sim.plan_after - pipe->put);
    uint32_t done = pipe_put(pipe, bytes, (uint32_t)most);

    if (pipe->put < sim.plan_after)
        return done;
    sim.plan_from = NONE;
    link->cut = true;
    for (int end = 0; end < 2; end++)
        link->side[end].blind_until = sim.steps + sim.plan_blind[end];
    return length;
}

static inline uint32_t put(struct link *link, int from, const void *bytes, uint32_t length)
{
    if (link->cut) /* nobody has noticed yet: taken, and lost */
        return length;
    if (from == sim.plan_from)
        return put_and_cut(link, from, bytes, length);
    return pipe_put(&link->pipe[from], bytes, length);
}

static inline void deliver(struct pipe *pipe)
{
    uint64_t under_way = pipe->put - pipe->arrived;

    pipe->arrived += chance(3) ? under_way : below((uint32_t)under_way + 1);
}

/* Some of what is under way still arrives; both ends find out when they find out. */
static inline void cut(struct link *link)
{
    link->cut = true;
    for (int from = 0; from < 2; from++) {
        struct pipe *pipe = &link->pipe[from];

        pipe->put = pipe->arrived + harness_below(&sim.random, pipe->put - pipe->arrived + 1);
        link->side[from].blind_until =
            sim.steps + (chance(3) ? 0 : harness_below(&sim.random, 300));
    }
    sim.cuts++;
}

/* ---- a link comes up ---- */

static inline struct hello greeting(struct end *end, uint64_t generation)
{
    struct wire_ack ack = ewi_session_greeting(&end->session, end->received.position);

    return (struct hello){.version = WIRE_VERSION,
                          .version_min = WIRE_VERSION,
                          .intent = WIRE_RESUME,
                          .generation = generation,
                          .taken = ack.taken,
                          .limit = ack.limit};
}

static inline void forget_output(struct end *end)
{
    end->run_left = 0; /* what is half sent stays half sent */
    end->control_from = end->control_to = 0;
}

static inline void attach(int who, int index, uint64_t limit)
{
    struct end *end = &sim.end[who];
    uint64_t start = ewi_session_attach(&end->session, end->writer.freed, limit);

    CHECK(start >= end->writer.freed && start <= sim.end[!who].session.taken);
    if (chance(3))
        start = end->writer.freed; /* earlier is allowed: the peer drops what it has */
    end->current = index;
    end->dialled = NONE;
    end->run_position = start;
    ewi_ring_reader_init(&end->out, end->writer.bytes, end->writer.ring_bytes,
                         ewi_ring_offset_of(&end->writer, start), start);
    end->control_to += ewi_wire_put_u64(end->control + end->control_to, RECORD_START, start);
    sim.links_up++;
}

static inline void leave(int who, int index)
{
    struct end *end = &sim.end[who];
    struct side *side = &sim.link[index].side[who];

    side->open = false;
    if (side->generation != 0)
        ewi_session_detach(&end->session, side->generation);
    if (end->current == index)
        end->current = NONE;
    if (end->dialled == index)
        end->dialled = NONE;
}

static inline int unused_link(void)
{
    for (int i = 0; i < LINKS; i++)
        if (!sim.link[i].side[0].open && !sim.link[i].side[1].open)
            return i;
    return NONE;
}

static inline void dial(void)
{
    struct end *end = &sim.end[OPENER];
    int index = unused_link();
    uint8_t bytes[WIRE_HELLO_BYTES];
    struct link *link;
    struct hello hello;
    if (index == NONE)
        return; /* later, when a side has left one */
    link = &sim.link[index];
    link->cut = false;
    for (int i = 0; i < 2; i++) {
        pipe_open(&link->pipe[i],
                  (uint32_t)harness_between(&sim.random, WIRE_HELLO_BYTES, PIPE_BYTES));
        link->side[i].open = true;
        link->side[i].greeted = false;
        link->side[i].generation = 0;
        link->side[i].have = 0;
    }
    if (end->current != NONE && chance(2)) /* else make before break */
        leave(OPENER, end->current);
    end->dialled = index;
    end->doubt = true;
    link->side[OPENER].generation = ewi_session_dial(&end->session);
    hello = greeting(end, link->side[OPENER].generation);
    ewi_wire_put_hello(bytes, RECORD_HELLO, &hello);
    CHECK_EQ(put(link, OPENER, bytes, WIRE_HELLO_BYTES), WIRE_HELLO_BYTES);
}

static inline int on_hello(int index, const struct hello *hello)
{
    struct end *end = &sim.end[ACCEPTOR];
    uint64_t before = end->session.generation;
    int code = ewi_session_accept(&end->session, hello->generation, hello->taken,
                                  end->writer.position);
    struct hello welcome;

    CHECK_EQ(code, hello->generation > before ? EW_OK : EW_EAGAIN);
    if (code != EW_OK)
        return code;
    sim.link[index].side[ACCEPTOR].generation = hello->generation;
    forget_output(end);
    welcome = greeting(end, hello->generation);
    end->control_to = ewi_wire_put_hello(end->control, RECORD_WELCOME, &welcome);
    attach(ACCEPTOR, index, hello->limit);
    return EW_OK;
}

static inline int on_welcome(int index, const struct hello *welcome)
{
    struct end *end = &sim.end[OPENER];
    int code = ewi_session_welcomed(&end->session, welcome->generation, welcome->taken,
                                    end->writer.position);

    CHECK_EQ(code, index == end->dialled ? EW_OK : EW_EAGAIN);
    if (code != EW_OK)
        return code;
    if (end->current != NONE) /* make before break */
        leave(OPENER, end->current);
    forget_output(end);
    end->doubt = false;
    attach(OPENER, index, welcome->limit);
    return code;
}

static inline bool greet(int who, int index)
{
    struct side *side = &sim.link[index].side[who];
    struct hello hello;

    if (side->have < WIRE_HELLO_BYTES)
        return false;
    CHECK_EQ(ewi_wire_get_hello(side->staging, WIRE_HELLO_BYTES,
                                who == OPENER ? RECORD_WELCOME : RECORD_HELLO, &hello, NULL),
             EW_OK);
    side->greeted = true;
    side->have -= WIRE_HELLO_BYTES;
    memmove(side->staging, side->staging + WIRE_HELLO_BYTES, side->have);
    if ((who == OPENER ? on_welcome(index, &hello) : on_hello(index, &hello)) == EW_OK)
        return true;
    leave(who, index); /* refused, or nobody waits for it any more */
    return false;
}

#endif
