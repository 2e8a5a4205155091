#include "tests/sim/net_apps.h"

struct apps apps;

struct ewi_net *net_of(const struct app *app)
{
    return world.node[app->node].net;
}

void app_about(const struct app *app, const char *what)
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

bool may_fail(const struct app *app)
{
    return app->plan.may_fail || app->error != 0 || app->peer->aborted;
}

/* ---- clock ---- */

static void app_wake_at(struct app *app, uint64_t at)
{
    if (app->wake_at > sim.now && app->wake_at <= at)
        return;
    app->wake_at = at;
    call_at(at, app_wake, app->index);
}

/* ---- writing ---- */

static uint64_t at_most(uint64_t value, uint64_t most)
{
    return value < most ? value : most;
}

/* How far it may write: a question waits for its answer. */
static uint64_t write_limit(const struct app *app)
{
    const struct app_plan *client = app->is_client ? &app->plan : &app->peer->plan;

    if (client->ask == 0)
        return app->plan.bytes;
    if (app->is_client)
        return at_most(app->plan.bytes, (app->got / client->answer + 1) * client->ask);
    return at_most(app->plan.bytes, app->got / client->ask * client->answer);
}

/* Apply to the pieces of the ring that hold [from, to). */
static void ring_make(struct app *app, uint64_t from, uint64_t to, bool scribble)
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

void ring_check(const struct app *app, uint64_t from, uint64_t to)
{
    while (from < to) {
        uint64_t at = from % app->plan.ring;
        uint64_t some = at_most(to - from, app->plan.ring - at);

        APP_CHECK(app, pattern_wrong(app->ring + at, app->seed, from, some) == some,
                  "somebody wrote to memory that was given to send");
        from += some;
    }
}

static uint32_t ring_spans(const struct app *app, uint64_t from, uint64_t bytes,
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

static void app_released(struct app *app)
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
static bool app_send(struct app *app)
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

void app_write(struct app *app)
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

static void app_got(struct app *app, const uint8_t *bytes, uint64_t count)
{
    size_t wrong = pattern_wrong(bytes, app->peer->seed, app->got, count);

    if (wrong != count)
        fprintf(stderr, "    byte %" PRIu64 " of the stream is wrong\n", app->got + wrong);
    APP_CHECK(app, wrong == count, "not the bytes that were sent");
    app->got += count;
    APP_CHECK(app, app->got <= app->peer->accepted, "more than was sent");
}

static void app_fin(struct app *app)
{
    if (!app->fin)
        app->fin_at = sim.now;
    app->fin = true;
    APP_CHECK(app, app->got == app->peer->plan.bytes && app->peer->shut, "FIN comes too early");
}

static int64_t app_recv_into(struct app *app, uint64_t most)
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

void app_release(struct app *app, uint32_t i)
{
    struct app_held *held = &app->held[i];

    APP_CHECK(app,
              pattern_wrong(held->token.data, app->peer->seed, held->at, held->token.bytes) ==
                  held->token.bytes,
              "the bytes of a token changed");
    ewi_net_release(net_of(app), &held->token, 1);
    app->held[i] = app->held[--app->held_count];
}

static int64_t app_recv_tokens(struct app *app)
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

void app_read(struct app *app)
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
