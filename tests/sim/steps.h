/* tests/sim/steps.h - what the two ends of a simulation do, a little at a time.
 *
 * Purpose    One step after the other, until everything has arrived.
 * Shape      step(): an application, a writer, a link and a reader chosen by chance do something
 * Owner      as tests/sim/ends.h
 * Threads    one
 * Trust      none: test code only
 * Errors     a CHECK fails
 * Invariants I1  what check_end() says holds after each step.
 * Ordering   none
 * Source     transport/stream/pump.c
 */
#ifndef TESTS_SIM_STEPS_H
#define TESTS_SIM_STEPS_H

#include "tests/sim/ends.h"

/* ---- what arrives ---- */

static inline int on_record(struct end *end, struct side *side, struct record record,
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

static inline int on_frame(int who, struct side *side, const uint8_t *at, struct record record)
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
static inline void parse(int who, int index)
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

static inline void read_link(int who, int index)
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

static inline void choose(struct end *end, bool tick)
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

static inline void write_link(int who)
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

static inline void start_end(int who)
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

static inline void check_end(int who)
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
static inline bool is_done(void)
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

static inline void disturb(void)
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

static inline void step(void)
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

/* The same seed and settings: the same run. Then the caller sets who cuts, and when. */
static inline void start_run(uint64_t seed)
{
    harness.seed = seed;
    harness.has_seed = true;
    sim.seed = seed;
    sim.random = (struct harness_random){seed};
    sim.steps = 0;
    sim.calm = false;
    sim.plan_from = NONE;
    memset(sim.link, 0, sizeof(sim.link));
    if (pattern[1] == 0)
        for (size_t i = 0; i < sizeof(pattern); i++)
            pattern[i] = (uint8_t)(i * 7 + i / 256);
}

/* Without any more cuts: everything arrives, and both ends know it. */
static inline void run_to_the_end(void)
{
    uint64_t calm_since = sim.steps;

    sim.calm = true;
    while (!is_done()) {
        step();
        CHECK(sim.steps < calm_since + CALM_STEPS); /* no livelock */
    }
}

#endif
