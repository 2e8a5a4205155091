#include "tests/sim/net_users.h"

/* ---- the end ---- */

static void app_finish(struct app *app, bool reset)
{
    struct stack_span span = {"x", 1};
    int code;

    if (app->state == APP_OPEN)
        APP_CHECK(app, ewi_net_tcp_info(net_of(app), app->stream, &app->last) == 0 || may_fail(app),
                  "tcp_info");
    code = ewi_net_finish(net_of(app), app->stream, reset, sim.now);
    APP_CHECK(app, code == 0, "finish fails");
    app->state = APP_FINISHED;
    app->aborted = reset;
    APP_CHECK(app, ewi_net_send(net_of(app), app->stream, &span, 1) == -ESTALE,
              "a finished handle is not stale");
}

static void app_fail(struct app *app)
{
    int error = ewi_net_error(net_of(app), app->stream);

    app->error = error < 0 ? -error : error;
    APP_CHECK(app, app->error != 0, "FAILED without an error");
    APP_CHECK(app, app->plan.may_fail || app->peer->aborted, "the stream failed");
    apps.failures += 1;
    if (app->state == APP_OPEN)
        app_read(app); /* what had arrived comes first */
    app_finish(app, chance(SIM_CHANCE / 2));
}

static void app_end(struct app *app)
{
    bool is_over = app->shut && app->fin;

    if (app->plan.abort_at != 0 && app->got + app->accepted >= app->plan.abort_at)
        app_finish(app, true);
    else if (is_over && (!app->plan.lingers || app->released == app->accepted))
        app_finish(app, false);
}

static void app_act(struct app *app)
{
    if (app->state != APP_OPEN)
        return;
    app_read(app);
    app_write(app);
    if (app->plan.late_close)
        app_read(app);
    app_end(app);
}

static void app_closed(struct app *app)
{
    APP_CHECK(app, app->state == APP_FINISHED, "CLOSED, but nobody finished it");
    ring_check(app, app->released, app->accepted);
    free(app->ring);
    app->ring = NULL;
    app->state = APP_CLOSED;
    app->closed_at = sim.now;
    apps.left -= 1;
    if (app->peer->state == APP_WAITS && app->is_client)
        apps.left -= 1; /* it may never be accepted */
    if (apps.on_closed != NULL)
        apps.on_closed(app);
}

void app_wake(int index)
{
    struct app *app = apps.all[index];

    if (sim.now < app->wake_at)
        return; /* another one is set */
    app->wake_at = 0;
    while (app->held_count > 0)
        app_release(app, (uint32_t)sim_below(app->held_count));
    app_act(app);
    node_poke(&world.node[app->node]);
}

/* ---- the beginning ---- */

static void app_opened(struct app *app)
{
    app->state = APP_OPEN;
    app->opened_at = sim.now;
    app->read_at = app->plan.read_from == 0 ? 0 : sim.now + app->plan.read_from;
    app->write_at = app->plan.write_from == 0 ? 0 : sim.now + app->plan.write_from;
    app->ring = malloc(app->plan.ring);
    CHECK(app->ring != NULL);
    memset(app->ring, 0xee, app->plan.ring);
    CHECK_EQ(ewi_net_watch(net_of(app), app->stream, STACK_READABLE | STACK_WRITABLE), 0);
}

/* Tell the watcher what this end may send. */
static void app_name(struct app *app)
{
    struct watch_name name = {.port = {app->local.port, app->remote.port},
                              .family = app->local.family};
    struct watch_flow *flow;
    int from;

    memcpy(name.ip[0], app->local.ip, 16);
    memcpy(name.ip[1], app->remote.ip, 16);
    flow = watch_flow(name, &from);
    flow->source[from] = (struct watch_source){app->seed, &app->accepted};
}

struct app *app_new(int node, bool is_client, const struct app_plan *plan)
{
    struct app *app = calloc(1, sizeof(*app));

    CHECK(app != NULL && apps.count < APPS_MAX);
    if (apps.scratch == NULL)
        CHECK((apps.scratch = malloc(APP_SCRATCH)) != NULL);
    app->index = apps.count;
    app->node = node;
    app->is_client = is_client;
    if (plan != NULL)
        app->plan = *plan;
    app->plan.ring = app->plan.ring != 0 ? app->plan.ring : 1 << 16;
    app->plan.span = app->plan.span != 0 ? app->plan.span : 1 << 14;
    app->plan.hold = app->plan.hold < APP_HELD ? app->plan.hold : APP_HELD - 1;
    app->seed = harness_next(&sim.random);
    apps.all[apps.count++] = app;
    apps.left += 1;
    return app;
}

struct stack_addr node_address(int node, int family, uint16_t port)
{
    return family == 4 ? address4((unsigned)node + 1, port) : address6((unsigned)node + 1, port);
}

void app_connect(struct app *app, const struct stack_addr *local)
{
    int code;

    app->user = USER_CLIENT | (uint64_t)app->index;
    code = ewi_net_connect(net_of(app), local, &app->remote, app->user, sim.now, &app->stream);
    APP_CHECK(app, code == 0, "connect fails");
    app->state = APP_OPENS;
    CHECK_EQ(ewi_net_addresses(net_of(app), app->stream, &app->local, &app->remote), 0);
    app_name(app);
}

struct app *pair_open(int client, int server, int family, uint16_t port,
                      const struct app_plan *plan, const struct app_plan *answer)
{
    struct app *a = app_new(client, true, plan), *b = app_new(server, false, answer);

    a->peer = b;
    b->peer = a;
    if (plan != NULL && plan->ask != 0) {
        a->plan.bytes = plan->bytes / plan->ask * plan->ask;
        b->plan.bytes = plan->bytes / plan->ask * plan->answer;
    }
    a->remote = node_address(server, family, port);
    app_connect(a, NULL);
    node_poke(&world.node[client]);
    return a;
}

ewi_stream app_listen(int node, int family, uint16_t port, uint32_t backlog)
{
    struct stack_addr local = node_address(node, family, port);
    ewi_stream out = 0;

    CHECK_EQ(ewi_net_listen(world.node[node].net, &local, backlog, USER_LISTENER, &out), 0);
    apps.listener[apps.listeners].node = node;
    apps.listener[apps.listeners++].stream = out;
    return out;
}

/* The server's half of whoever has this address. */
static struct app *app_of_client(int node, const struct stack_addr *remote)
{
    for (int i = apps.count - 1; i >= 0; i--) {
        struct app *app = apps.all[i], *client = app->peer;

        if (app->is_client || app->state != APP_WAITS || app->node != node)
            continue;
        if (client->local.port == remote->port && client->local.family == remote->family &&
            memcmp(client->local.ip, remote->ip, 16) == 0)
            return app;
    }
    return NULL;
}

static void app_accept_one(struct node *node, int number, ewi_stream stream)
{
    struct stack_addr local, remote;
    struct app *app;

    CHECK_EQ(ewi_net_addresses(node->net, stream, &local, &remote), 0);
    app = app_of_client(node->index, &remote);
    if (app == NULL) {
        apps.strangers += 1;
        apps.accepted[number] = -1;
        CHECK_EQ(ewi_net_finish(node->net, stream, true, sim.now), 0);
        return;
    }
    apps.accepted[number] = app->index;
    app->user = USER_ACCEPTED | (uint64_t)number;
    app->stream = stream;
    app->local = local;
    app->remote = remote;
    if (app->peer->state == APP_CLOSED)
        apps.left += 1; /* it was given up */
    app_name(app);
    app_opened(app);
    app_act(app);
}

static void app_accept(struct node *node, ewi_stream listener)
{
    for (;;) {
        ewi_stream stream = 0;
        int number = apps.accepts % APPS_MAX;
        int code = ewi_net_accept(node->net, listener, USER_ACCEPTED | (uint64_t)number, &stream);

        if (code == -EAGAIN)
            return;
        CHECK_EQ(code, 0);
        apps.accepts += 1;
        app_accept_one(node, number, stream);
    }
}

/* ---- events ---- */

static struct app *app_of(uint64_t user)
{
    int index = (int)(user & UINT32_MAX);

    if ((user & USER_ACCEPTED) != 0)
        index = apps.accepted[index];
    return index < 0 ? NULL : apps.all[index];
}

static void apps_on_event(struct node *node, const struct stack_event *event)
{
    struct app *app;

    if (event->user == USER_LISTENER) {
        if ((event->bits & STACK_CLOSED) == 0)
            app_accept(node, event->stream);
        return;
    }
    app = app_of(event->user);
    if (app == NULL) { /* a stranger's end */
        SIM_CHECK(event->bits == STACK_CLOSED, "events %x of a finished stream", event->bits);
        return;
    }
    APP_CHECK(app, event->stream == app->stream && app->node == node->index, "another's event");
    if ((event->bits & STACK_CLOSED) != 0) {
        APP_CHECK(app, event->bits == STACK_CLOSED, "CLOSED with company");
        app_closed(app);
        return;
    }
    APP_CHECK(app, app->state == APP_OPEN || app->state == APP_OPENS, "an event behind the end");
    if ((event->bits & STACK_FAILED) != 0) {
        app_fail(app);
        return;
    }
    if ((event->bits & STACK_CONNECTED) != 0 && (event->user & USER_ACCEPTED) == 0) {
        APP_CHECK(app, app->state == APP_OPENS, "connected twice");
        app_opened(app);
    }
    app_act(app);
}

/* ---- all of them ---- */

static bool apps_are_closed(void)
{
    return apps.left == 0;
}

void apps_begin(uint64_t seed)
{
    memset(&apps, 0, sizeof(apps));
    world_begin(seed);
    world.on_event = apps_on_event;
}

void apps_run(uint64_t limit)
{
    if (world_run(sim.now + limit, apps_are_closed))
        return;
    for (int i = 0; i < apps.count; i++)
        if (apps.all[i]->state != APP_CLOSED &&
            (apps.all[i]->state != APP_WAITS || apps.all[i]->peer->state != APP_CLOSED))
            app_about(apps.all[i], "is not closed");
    for (int i = 0; i < world.nodes; i++)
        node_show(&world.node[i]);
    SIM_CHECK(false, "%d applications are not closed", apps.left);
}

static void node_is_empty(const struct node *node)
{
    const struct ewi_net *net = node->net;
    const struct net_tcp_all *tcp = &net->tcp;
    const struct {
        const char *name;
        uint64_t used;
    } left[] = {{"connections", tcp->conns.used},
                {"half-open connections", tcp->halves.used},
                {"listeners", tcp->listeners.used},
                {"troubles", tcp->troubles.used},
                {"TIME_WAITs", tcp->time_waits.pool.used},
                {"runs", tcp->runs.runs_all - tcp->runs.free},
                {"spans", tcp->spans.spans_all - tcp->spans.free},
                {"records of disorder", tcp->reorder.records_all - tcp->reorder.free},
                {"packets", net->packets.packets.used},
                {"copies", net->packets.copies.used},
                {"bytes charged", net->packets.charged},
                {"slots", net->link.slots.used},
                {"buffers", node->kept}};

    for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++)
        SIM_CHECK(left[i].used == 0, "node %d: %" PRIu64 " %s are left\n", node->index,
                  left[i].used, left[i].name);
}

void apps_settle(void)
{
    for (int i = 0; i < apps.listeners; i++) {
        struct ewi_net *net = world.node[apps.listener[i].node].net;

        CHECK_EQ(ewi_net_finish(net, apps.listener[i].stream, false, sim.now), 0);
    }
    for (int j = 0; j < world.nodes; j++)
        node_poke(&world.node[j]);
    world_run(sim.now + 300 * SEC, NULL);
    for (int j = 0; j < world.nodes; j++) {
        node_check(&world.node[j]);
        node_is_empty(&world.node[j]);
    }
}

void apps_end(void)
{
    for (int i = 0; i < apps.count; i++) {
        free(apps.all[i]->ring);
        free(apps.all[i]);
    }
    free(apps.scratch);
    world_end();
    memset(&apps, 0, sizeof(apps));
}
