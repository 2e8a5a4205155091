/* tests/sim/test_session.c - do two session ends lose, repeat or reorder a record, whatever happens
 * to their links?
 *
 * One seed is one run: two ends with an outbox ring and an inbox each, an application on both sides
 * that sends numbered records and receives at its own speed, and links that are two byte pipes.
 * Links deliver late and in pieces, are cut anywhere (inside a record too) and unnoticed for a
 * while, and are replaced while bytes, ACKs, hellos and welcomes of the old ones are still under
 * way. Nothing but transport/session/session.c decides what counts. After a while nothing is cut any
 * more: then everything has to arrive, and both ends have to know it.
 *
 * --seed N: that run only. --runs N: so many, from a fresh seed on. */
#include "shm/ring.h"
#include "tests/c/harness.h"
#include "tests/sim/pipe.h"
#include "transport/session/session.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { RUNS = 100 };
#else
enum { RUNS = 3000 };
#endif

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
    uint64_t cuts, links_up, stale_frames, repeated; /* totals over all runs */
} sim;

static uint8_t pattern[RECORD_BYTES_MAX + 256];

/* harness_below without a division: most of a run is spent on numbers. */
static uint32_t below(uint32_t bound)
{
    return (uint32_t)((harness_next(&sim.random) >> 32) * bound >> 32);
}

static bool chance(uint32_t one_in)
{
    return below(one_in) == 0;
}

/* ---- records: their kind and length follow from direction and number ---- */

static uint8_t kind_of(uint64_t number)
{
    if (number >= sim.records - 2)
        return number == sim.records - 1 ? RECORD_CLOSE : RECORD_EOF;
    return number % 23 == 7 ? RECORD_ABORT : RECORD_DATA;
}

static uint32_t payload_of(const struct ring_writer *writer, int from, uint64_t number)
{
    struct harness_random random = {sim.seed * 2 + (uint64_t)from + number * 977};
    uint32_t most = writer->record_bytes_max - RECORD_HEADER_BYTES;
    uint32_t small = (uint32_t)harness_below(&random, 64);

    return harness_below(&random, 3) == 0 ? small : (uint32_t)harness_below(&random, most + 1);
}

/* Taken by the peer, and not needed by a link that began further back. */
static void free_ring(struct end *end)
{
    uint64_t needed = end->current == NONE ? UINT64_MAX : end->run_position;

    CHECK_EQ(ewi_ring_free(&end->writer,
                           ewi_max_u64(end->writer.freed,
                                       ewi_min_u64(end->session.peer_taken, needed))),
             EW_OK);
}

static void app_sends(int who)
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
static void app_receives(int who)
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

static uint32_t put(struct link *link, int from, const void *bytes, uint32_t length)
{
    if (link->cut) /* nobody has noticed yet: taken, and lost */
        return length;
    return pipe_put(&link->pipe[from], bytes, length);
}

static void deliver(struct pipe *pipe)
{
    uint64_t under_way = pipe->put - pipe->arrived;

    pipe->arrived += chance(3) ? under_way : below((uint32_t)under_way + 1);
}

/* Some of what is under way still arrives; both ends find out when they find out. */
static void cut(struct link *link)
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

static struct hello greeting(struct end *end, uint64_t generation)
{
    struct wire_ack ack = ewi_session_greeting(&end->session, end->received.position);

    return (struct hello){.version = WIRE_VERSION,
                          .version_min = WIRE_VERSION,
                          .intent = WIRE_RESUME,
                          .generation = generation,
                          .taken = ack.taken,
                          .limit = ack.limit};
}

static void forget_output(struct end *end)
{
    end->run_left = 0; /* what is half sent stays half sent */
    end->control_from = end->control_to = 0;
}

static void attach(int who, int index, uint64_t limit)
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

static void leave(int who, int index)
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

static int unused_link(void)
{
    for (int i = 0; i < LINKS; i++)
        if (!sim.link[i].side[0].open && !sim.link[i].side[1].open)
            return i;
    return NONE;
}

static void dial(void)
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

static int on_hello(int index, const struct hello *hello)
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

static int on_welcome(int index, const struct hello *welcome)
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

static bool greet(int who, int index)
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

/* ---- what arrives ---- */

static int on_record(struct end *end, struct side *side, struct record record,
                     const uint8_t *payload)
{
    bool may_store = ewi_session_may_store(&end->session, record);
    bool take = false;
    int code = ewi_session_on_record(&end->session, side->generation, record, &take);
    if (code != EW_OK)
        return code;
    if (record.kind == RECORD_DATA)
        CHECK_EQ(take, may_store);
    sim.repeated += !take;
    if (take && ewi_ring_append(&end->inbox, record, payload) != EW_OK) {
        CHECK_EQ(ewi_ring_free(&end->inbox, end->received.position), EW_OK);
        CHECK_EQ(ewi_ring_append(&end->inbox, record, payload), EW_OK);
    }
    return EW_OK;
}

static int on_frame(int who, struct side *side, const uint8_t *at, struct record record)
{
    struct end *end = &sim.end[who];
    struct wire_ack ack;

    switch (record.kind) {
    case RECORD_START:
        return ewi_session_on_start(&end->session, side->generation,
                                    ewi_wire_get_u64(at + RECORD_HEADER_BYTES));
    case RECORD_ACK:
        ack = ewi_wire_get_ack(at + RECORD_HEADER_BYTES);
        return ewi_session_on_ack(&end->session, side->generation, &ack);
    default:
        return on_record(end, side, record, at + RECORD_HEADER_BYTES);
    }
}

/* The current link's frames are all good, those of older ones all ignored. */
static void parse(int who, int index)
{
    struct side *side = &sim.link[index].side[who];
    uint32_t at = 0;

    if (!side->greeted && !greet(who, index))
        return;
    while (side->have - at >= RECORD_HEADER_BYTES) {
        struct record record = ewi_record_decode(ewi_wire_get_header(side->staging + at));
        bool is_current = index == sim.end[who].current;
        int code;

        if (side->have - at < ewi_record_span(record.bytes))
            break;
        code = on_frame(who, side, side->staging + at, record);
        CHECK_EQ(code, is_current ? EW_OK : EW_EAGAIN);
        sim.stale_frames += !is_current;
        at += ewi_record_span(record.bytes);
    }
    side->have -= at;
    memmove(side->staging, side->staging + at, side->have);
}

static void read_link(int who, int index)
{
    struct link *link = &sim.link[index];
    struct pipe *pipe = &link->pipe[!who];
    struct side *side = &link->side[who];

    if (!side->open)
        return;
    side->have += pipe_get(pipe, side->staging + side->have, STAGING_BYTES - side->have);
    parse(who, index);
    if (link->cut && pipe->got == pipe->put && sim.steps >= side->blind_until)
        leave(who, index);
    else if (!link->side[!who].open && pipe->got == pipe->put) /* a hang-up */
        leave(who, index);
}

/* ---- what leaves: as transport/stream/pump.c does it ---- */

static void choose(struct end *end, bool tick)
{
    int64_t run;
    uint64_t consumed = end->received.position;

    if (end->run_left > 0)
        return;
    end->run_position = end->out.position;
    run = ewi_ring_take_run(&end->out, end->session.limit, RECORD_BYTES_MAX, &end->run);
    CHECK(run >= 0);
    end->run_left = (uint32_t)run;
    if (end->control_from < end->control_to)
        return;
    end->control_from = end->control_to = 0;
    if (ewi_session_ack_urgent(&end->session, consumed) ||
        ((tick || run > 0) && ewi_session_ack_differs(&end->session, consumed))) {
        struct wire_ack ack = ewi_session_make_ack(&end->session, consumed);

        end->control_to = ewi_wire_put_ack(end->control, &ack);
    }
}

static void write_link(int who)
{
    struct end *end = &sim.end[who];
    struct link *link;
    uint32_t done;

    if (end->current == NONE)
        return;
    link = &sim.link[end->current];
    choose(end, chance(4));
    done = put(link, who, end->control + end->control_from, end->control_to - end->control_from);
    end->control_from += done;
    if (end->control_from < end->control_to)
        return;
    done = put(link, who, end->run, end->run_left);
    end->run += done;
    end->run_left -= done;
    ewi_session_on_sent(&end->session, end->out.position - end->run_left);
}

/* ---- one run ---- */

static void start_end(int who)
{
    struct end *end = &sim.end[who];
    uint32_t ring_bytes = RING_BYTES_MIN << harness_below(&sim.random, 4);
    static const uint8_t zeros[16];

    ewi_session_init(&end->session, who == OPENER, zeros, zeros, INBOX_BYTES);
    memset(end->ring, 0, RECORD_HEADER_BYTES);
    memset(end->inbox_ring, 0, RECORD_HEADER_BYTES);
    ewi_ring_writer_init(&end->writer, end->ring, ring_bytes, 0);
    ewi_ring_writer_init(&end->inbox, end->inbox_ring, INBOX_RING_BYTES, 0);
    ewi_ring_reader_init(&end->received, end->inbox_ring, INBOX_RING_BYTES, 0, 0);
    end->inbox.record_bytes_max = end->received.record_bytes_max = RECORD_BYTES_MAX;
    end->current = end->dialled = NONE;
    end->doubt = false;
    end->sent = end->got = 0;
    end->laziness = (uint32_t)(chance(3) ? harness_between(&sim.random, 10, 60)
                                         : harness_between(&sim.random, 1, 4));
    forget_output(end);
}

static void check_end(int who)
{
    const struct end *end = &sim.end[who];
    const struct session *session = &end->session;
    const struct end *peer = &sim.end[!who];

    CHECK(end->writer.freed <= session->peer_taken);
    CHECK(session->peer_taken <= session->sent && session->sent <= end->writer.position);
    CHECK(session->peer_taken <= peer->session.taken);
    CHECK(session->peer_consumed <= peer->received.position);
    CHECK(session->limit <= peer->received.position + INBOX_BYTES);
    CHECK(session->limit <= peer->session.limit_said);
    CHECK(session->taken - end->received.position <= INBOX_BYTES); /* I4 */
    CHECK(session->taken == end->inbox.position);                  /* I1 */
    CHECK(session->attached == (end->current != NONE)); /* what was left was detached */
}

/* Everything is there, and the sender knows that the other application has got it. */
static bool is_done(void)
{
    for (int who = 0; who < 2; who++) {
        const struct end *end = &sim.end[who];

        if (end->got < sim.records || end->sent < sim.records ||
            end->session.peer_taken < end->writer.position ||
            end->session.peer_consumed < end->writer.position)
            return false;
    }
    return true;
}

static void disturb(void)
{
    struct link *link = &sim.link[below(LINKS)];
    if (chance(sim.cut_every) && link->side[0].open && link->side[1].open && !link->cut) {
        cut(link);
        if (chance(4)) /* both ends fail at once */
            link->side[0].blind_until = link->side[1].blind_until = sim.steps;
    }
    if (chance(sim.dial_every)) /* a better path, they say */
        dial();
}

static void step(void)
{
    int who = (int)below(2);
    int index = sim.end[who].current != NONE && !chance(3) ? sim.end[who].current
                                                           : (int)below(LINKS);

    sim.steps++;
    app_sends(who);
    if (chance(sim.end[who].laziness))
        for (uint32_t burst = below(4) + 1; burst > 0; burst--)
            app_receives(who);
    write_link(who);
    deliver(&sim.link[index].pipe[below(2)]);
    read_link((int)below(2), index);
    if (!sim.calm)
        disturb();
    if ((sim.end[OPENER].current == NONE || sim.end[OPENER].doubt) &&
        sim.end[OPENER].dialled == NONE && chance(20))
        dial();
    check_end(OPENER);
    check_end(ACCEPTOR);
}

static void run_seed(uint64_t seed)
{
    uint64_t restless;

    harness.seed = seed;
    harness.has_seed = true;
    sim.seed = seed;
    sim.random = (struct harness_random){seed};
    sim.steps = 0;
    sim.calm = false;
    sim.records = harness_between(&sim.random, 30, RECORDS_MAX);
    sim.cut_every = (uint32_t)harness_between(&sim.random, 5, 300);
    sim.dial_every = (uint32_t)harness_between(&sim.random, 50, 3000);
    restless = harness_between(&sim.random, 300, 5000);
    memset(sim.link, 0, sizeof(sim.link));
    start_end(OPENER);
    start_end(ACCEPTOR);
    while (sim.steps < restless && !is_done())
        step();
    sim.calm = true;
    restless = sim.steps;
    while (!is_done()) {
        step();
        CHECK(sim.steps < restless + CALM_STEPS); /* no livelock */
    }
}

/* catches, each alone in session.c: START = sent (the naive way, with or without a receiver that
 * believes it); START that sets taken; START, record or ACK of an old link believed; repetitions
 * taken; accept or welcomed with any generation, or without detaching; dial that does not raise it, or
 * that detaches; a greeting that sets `said`;
 * detach of any link, or of none; `sent` without max; `started` not reset; limit from taken; limit of
 * a new link ignored; limit_said not kept; consumed not compared in ack_differs; `said` kept by attach
 * (the ACK of `consumed` was lost with its link: flush hangs); an ACK of which a part is not stored;
 * may_store for repetitions. The others are caught by tests/c/test_session.c. */
int main(int argc, char **argv)
{
    uint64_t fresh = harness_fresh_seed(), runs = harness_asked_number(argc, argv, "--runs"), seed;

    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)(i * 7 + i / 256);
    printf("records arrive once and in order, whatever happens to links");
    if (harness_asked_seed(argc, argv, &seed)) {
        run_seed(seed);
    } else {
        for (seed = 1; runs == 0 && seed <= RUNS; seed++)
            run_seed(seed);
        for (seed = fresh; seed < fresh + (runs != 0 ? runs : RUNS / 10); seed++)
            run_seed(seed);
    }
    printf(": ok\n%" PRIu64 " links up, %" PRIu64 " cuts, %" PRIu64 " stale frames, %" PRIu64
           " repeated records; fresh seeds from %" PRIu64 "\n",
           sim.links_up, sim.cuts, sim.stale_frames, sim.repeated, fresh);
    return 0;
}
