/* tests/sim/net_apps.h - applications that know each byte they write and read.
 *
 * Purpose    Use streams as users do, in all the ways there are, and notice at once when a byte is
 *            lost, repeated, out of order, read after it was released or made up.
 * Shape      app    one end of a connection: writes plan.bytes bytes, says FIN, reads until FIN,
 *                   finishes. Its peer is another app.
 *            ring   the memory that spans point to: bytes are made when they are sent, and
 *                   overwritten as soon as `released` passes them
 *            Byte p of a direction is byte p of the pattern of its seed.
 * Owner      apps are malloc'ed; apps_clear() frees them
 * Threads    one
 * Trust      the stacks are under test
 * Errors     SIM_CHECK fails
 * Invariants I1  an app only acts when an event or its own clock wakes it: a lost event stops it.
 *            I2  behind finish() nothing but CLOSED comes, once; tokens outlive it.
 * Ordering   none
 * Source     transport/net/net.h, transport/stack.h
 */
#ifndef TESTS_SIM_NET_APPS_H
#define TESTS_SIM_NET_APPS_H

#include <errno.h>

#include "tests/sim/net_loop.h"

enum { APPS_MAX = 4096, APP_SCRATCH = 1 << 16, APP_HELD = 32, APP_SPANS = 8 };

#define USER_LISTENER (UINT64_C(1) << 40)
#define USER_ACCEPTED (UINT64_C(1) << 41)
#define USER_CLIENT   (UINT64_C(1) << 42)

struct app_plan {
    uint64_t bytes;      /* that it writes */
    uint32_t ring;       /* 0: 64 KiB */
    uint32_t span;       /* the longest send; 0: 16 KiB */
    uint32_t read;       /* the most that it reads at once; 0: all */
    uint64_t read_every; /* time between reads */
    uint64_t read_from;  /* reads nothing before, counted from its opening */
    uint64_t write_from, write_every;
    uint32_t hold;       /* reads by tokens and keeps up to so many; 0: recv_into */
    uint64_t hold_ns;
    uint32_t ask, answer; /* the client's next `ask` bytes leave behind `answer` of the server */
    uint64_t abort_at;   /* resets when it has read or written so much; 0: never */
    bool may_fail;
    bool lingers;        /* finishes only when all it wrote is released */
    bool late_close;     /* says FIN only behind the peer's */
};

enum app_state { APP_WAITS, APP_OPENS, APP_OPEN, APP_FINISHED, APP_CLOSED };

struct app_held {
    struct net_token token;
    uint64_t at; /* its place in the stream */
};

struct app {
    int index, node;
    bool is_client;
    struct app *peer;
    struct app_plan plan;
    enum app_state state;
    ewi_stream stream;
    uint64_t user;
    struct stack_addr local, remote;
    int error;
    /* writes */
    uint64_t seed, accepted, released;
    uint8_t *ring;
    bool shut, aborted;
    /* reads */
    uint64_t got, read_at, write_at;
    bool fin;
    uint64_t wake_at; /* the clock that is set */
    struct app_held held[APP_HELD];
    uint32_t held_count;
    uint64_t opened_at, fin_at, closed_at;
    struct net_tcp_info last; /* before it finished */
};

static struct {
    struct app *all[APPS_MAX];
    int count, left; /* left: not CLOSED yet */
    int accepted[APPS_MAX]; /* by number of accept: app, or -1 */
    int accepts;
    struct {
        int node;
        ewi_stream stream;
    } listener[SIM_NODES_MAX * 4];
    int listeners;
    uint64_t strangers; /* accepted, but nobody knows them */
    uint64_t failures;
    uint8_t *scratch;
    void (*on_closed)(struct app *app);
} apps;

static inline struct ewi_net *net_of(const struct app *app)
{
    return world.node[app->node].net;
}

static inline void app_about(const struct app *app, const char *what)
{
    struct net_tcp_info i;

    memset(&i, 0, sizeof(i));
    fprintf(stderr,
            "\n    at %" PRIu64 " ns: app %d on node %d, %s, state %d: %s\n    wrote %" PRIu64
            " of %" PRIu64 ", released %" PRIu64 ", got %" PRIu64 " of %" PRIu64
            ", shut %d, fin %d, held %u, error %d\n",
            sim.now, app->index, app->node, app->is_client ? "client" : "server", app->state, what,
            app->accepted, app->plan.bytes, app->released, app->got, app->peer->accepted, app->shut,
            app->fin, app->held_count, app->error);
    if (app->state == APP_OPEN && ewi_net_tcp_info(net_of(app), app->stream, &i) == 0)
        fprintf(stderr,
                "    %s recovery %d ready %x cwnd %u ssthresh %u send window %u in flight %u "
                "lost %u sacked %u unsent %u readable %u rto %" PRIu64 " srtt %" PRIu64
                " resent %" PRIu64 " timeouts %" PRIu64 " backoff %u probes %u\n",
                ewi_net_tcp_state_name(i.state), (int)i.recovery,
                ewi_net_ready(net_of(app), app->stream), i.cwnd, i.ssthresh, i.send_window,
                i.in_flight, i.lost, i.sacked, i.unsent, i.readable, i.rto, i.srtt,
                i.segments_resent, i.timeouts, i.backoff, i.probes);
}

#define APP_CHECK(app, condition, what)                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            app_about(app, what);                                                                  \
            harness_fail(__FILE__, __LINE__, #condition);                                          \
        }                                                                                          \
    } while (0)

/* May its calls fail now, though it was not told yet? */
static inline bool may_fail(const struct app *app)
{
    return app->plan.may_fail || app->error != 0 || app->peer->aborted;
}

/* ---- clock ---- */

static void app_wake(int index);

static inline void app_wake_at(struct app *app, uint64_t at)
{
    if (app->wake_at > sim.now && app->wake_at <= at)
        return;
    app->wake_at = at;
    call_at(at, app_wake, app->index);
}

/* ---- writing ---- */

static inline uint64_t at_most(uint64_t value, uint64_t most)
{
    return value < most ? value : most;
}

/* How far it may write: a question waits for its answer. */
static inline uint64_t write_limit(const struct app *app)
{
    const struct app_plan *client = app->is_client ? &app->plan : &app->peer->plan;

    if (client->ask == 0)
        return app->plan.bytes;
    if (app->is_client)
        return at_most(app->plan.bytes, (app->got / client->answer + 1) * client->ask);
    return at_most(app->plan.bytes, app->got / client->ask * client->answer);
}

/* Apply to the pieces of the ring that hold [from, to). */
static inline void ring_make(struct app *app, uint64_t from, uint64_t to, bool scribble)
{
    while (from < to) {
        uint64_t at = from % app->plan.ring;
        uint64_t some = at_most(to - from, app->plan.ring - at);

        if (scribble)
            memset(app->ring + at, 0xee, some);
        else
            pattern_fill(app->ring + at, app->seed, from, some);
        from += some;
    }
}

static inline void ring_check(const struct app *app, uint64_t from, uint64_t to)
{
    while (from < to) {
        uint64_t at = from % app->plan.ring;
        uint64_t some = at_most(to - from, app->plan.ring - at);

        APP_CHECK(app, pattern_wrong(app->ring + at, app->seed, from, some) == some,
                  "somebody wrote to memory that was given to send");
        from += some;
    }
}

static inline uint32_t ring_spans(const struct app *app, uint64_t from, uint64_t bytes,
                                  struct stack_span spans[APP_SPANS])
{
    uint32_t count = 0;
    uint64_t to = from + bytes;

    while (from < to && count < APP_SPANS) {
        uint64_t at = from % app->plan.ring;
        uint64_t some = at_most(to - from, app->plan.ring - at);

        if (chance(SIM_CHANCE / 2))
            some = 1 + sim_below(some);
        spans[count++] = (struct stack_span){app->ring + at, some};
        from += some;
    }
    return count;
}

static inline void app_released(struct app *app)
{
    uint64_t released = app->released;
    int code = ewi_net_released(net_of(app), app->stream, &released);

    APP_CHECK(app, code == 0 || may_fail(app), "released");
    APP_CHECK(app, released >= app->released && released <= app->accepted, "released is absurd");
    ring_check(app, app->released, released);
    ring_make(app, app->released, released, true);
    app->released = released;
}

/* False: nothing more goes now. */
static inline bool app_send(struct app *app)
{
    struct stack_span spans[APP_SPANS];
    uint64_t room = app->plan.ring - (app->accepted - app->released);
    uint64_t bytes = at_most(write_limit(app) - app->accepted, room);
    uint32_t count;
    int64_t sent;

    bytes = bytes == 0 ? 0 : 1 + sim_below(at_most(bytes, app->plan.span));
    if (bytes == 0)
        return false;
    ring_make(app, app->accepted, app->accepted + bytes, false);
    count = ring_spans(app, app->accepted, bytes, spans);
    sent = ewi_net_send(net_of(app), app->stream, spans, count);
    if (sent < 0)
        APP_CHECK(app, sent == -EAGAIN || may_fail(app), "send fails");
    if (sent < 0)
        sent = 0;
    APP_CHECK(app, (uint64_t)sent <= bytes, "send took more than there was");
    ring_make(app, app->accepted + (uint64_t)sent, app->accepted + bytes, true);
    app->accepted += (uint64_t)sent;
    return sent > 0;
}

static inline void app_write(struct app *app)
{
    app_released(app);
    if (sim.now < app->write_at) {
        app_wake_at(app, app->write_at);
        return;
    }
    while (app_send(app)) {
        if (app->plan.write_every == 0)
            continue;
        app->write_at = sim.now + app->plan.write_every;
        app_wake_at(app, app->write_at);
        break;
    }
    if (app->accepted == app->plan.bytes && !app->shut && (!app->plan.late_close || app->fin)) {
        int code = ewi_net_shutdown(net_of(app), app->stream);

        APP_CHECK(app, code == 0 || may_fail(app), "shutdown fails");
        app->shut = true;
    }
}

/* ---- reading ---- */

static inline void app_got(struct app *app, const uint8_t *bytes, uint64_t count)
{
    size_t wrong = pattern_wrong(bytes, app->peer->seed, app->got, count);

    if (wrong != count)
        fprintf(stderr, "    byte %" PRIu64 " of the stream is wrong\n", app->got + wrong);
    APP_CHECK(app, wrong == count, "not the bytes that were sent");
    app->got += count;
    APP_CHECK(app, app->got <= app->peer->accepted, "more than was sent");
}

static inline void app_fin(struct app *app)
{
    if (!app->fin)
        app->fin_at = sim.now;
    app->fin = true;
    APP_CHECK(app, app->got == app->peer->plan.bytes && app->peer->shut, "FIN comes too early");
}

static inline int64_t app_recv_into(struct app *app, uint64_t most)
{
    struct stack_room rooms[3];
    uint32_t count = 1 + (uint32_t)sim_below(3);
    uint8_t *at;
    uint64_t sum = 0, left;
    int64_t got;

    for (uint32_t i = 0; i < count; i++) {
        rooms[i].bytes = 1 + sim_below(at_most(most, APP_SCRATCH / 3));
        sum += rooms[i].bytes;
    }
    at = apps.scratch + APP_SCRATCH - sum; /* ends where the memory ends */
    for (uint32_t i = 0; i < count; i++) {
        rooms[i].base = at;
        at += rooms[i].bytes;
    }
    got = ewi_net_recv_into(net_of(app), app->stream, rooms, count);
    APP_CHECK(app, got <= (int64_t)sum, "more than there is room for");
    left = got > 0 ? (uint64_t)got : 0;
    for (uint32_t i = 0; i < count && left > 0; i++) {
        uint64_t some = at_most(left, rooms[i].bytes);

        app_got(app, rooms[i].base, some);
        left -= some;
    }
    return got;
}

static inline void app_release(struct app *app, uint32_t i)
{
    struct app_held *held = &app->held[i];

    APP_CHECK(app,
              pattern_wrong(held->token.data, app->peer->seed, held->at, held->token.bytes) ==
                  held->token.bytes,
              "the bytes of a token changed");
    ewi_net_release(net_of(app), &held->token, 1);
    app->held[i] = app->held[--app->held_count];
}

static inline int64_t app_recv_tokens(struct app *app)
{
    struct net_token tokens[4];
    uint32_t room = APP_HELD - app->held_count;
    int64_t sum = 0;
    int count;

    if (room == 0)
        return -EAGAIN;
    count = ewi_net_recv(net_of(app), app->stream, tokens,
                         1 + (uint32_t)sim_below(room < 4 ? room : 4));
    for (int i = 0; i < count; i++) {
        app->held[app->held_count++] = (struct app_held){tokens[i], app->got};
        APP_CHECK(app, tokens[i].bytes > 0, "an empty token");
        app_got(app, tokens[i].data, tokens[i].bytes);
        sum += tokens[i].bytes;
    }
    while (app->held_count > app->plan.hold)
        app_release(app, (uint32_t)sim_below(app->held_count));
    if (app->held_count > 0)
        app_wake_at(app, sim.now + 1 + app->plan.hold_ns);
    return count > 0 ? sum : count;
}

static inline void app_read(struct app *app)
{
    uint64_t budget = app->plan.read != 0 ? app->plan.read : UINT64_MAX;

    if (app->fin)
        return;
    if (sim.now < app->read_at) {
        app_wake_at(app, app->read_at);
        return;
    }
    while (budget > 0) {
        int64_t got = app->plan.hold != 0 ? app_recv_tokens(app) : app_recv_into(app, budget);

        if (got == 0)
            app_fin(app);
        if (got < 0)
            APP_CHECK(app, got == -EAGAIN || may_fail(app), "recv fails");
        if (got <= 0)
            return;
        budget -= at_most(budget, (uint64_t)got);
    }
    if (app->plan.read_every != 0) {
        app->read_at = sim.now + app->plan.read_every;
        app_wake_at(app, app->read_at);
    } else {
        app_wake_at(app, sim.now + 1);
    }
}

#endif
