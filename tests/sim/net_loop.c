#include "tests/sim/net_loop.h"

static uint64_t round_up(uint64_t at, uint64_t unit)
{
    return unit == 0 || at == SIM_NEVER ? at : (at + unit - 1) / unit * unit;
}

static bool node_events(struct node *node)
{
    struct stack_event events[5];
    uint32_t count, sum = 0;

    do {
        count = ewi_net_events(node->net, events, 5);
        CHECK(count <= 5);
        for (uint32_t i = 0; i < count; i++)
            if (world.on_event != NULL)
                world.on_event(node, &events[i]);
        sum += count;
        SIM_CHECK(sum < SIM_STILL_MAX, "events without end");
    } while (count == 5);
    return sum > 0;
}

/* Everything that a shell does at one time. */
static void node_run(struct node *node)
{
    uint32_t rounds = 0;
    bool busy;

    node->wake_at = SIM_NEVER;
    node_input(node);
    do {
        ewi_net_tick(node->net, sim.now);
        busy = node_events(node);
        node_output(node);
        node_reclaim(node);
        node->deadline = ewi_net_deadline(node->net);
        if (node->is_blocked) {
            uint64_t over = wire_queued(&node->up) - node->plan.device_queue;

            node->wake_at = sim.now + 1 + wire_time(&node->up, over);
            if (node->deadline <= sim.now)
                node->deadline = SIM_NEVER;
        }
        SIM_CHECK(++rounds < SIM_LATE_TICKS, "node %d: deadline %" PRIu64 " stays in the past",
                  node->index, node->deadline);
    } while (busy || node->deadline <= sim.now);
    if (++node->runs % world.check_every == 0)
        node_check(node);
}

static uint64_t node_next(const struct node *node)
{
    uint64_t due = round_up(node->deadline, node->plan.poll);

    return due < node->wake_at ? due : node->wake_at;
}

void happen(struct happening next)
{
    struct node *node;

    switch (next.kind) {
    case AT_SWITCH:
        switch_take(next.frame);
        return;
    case AT_NODE:
        node = &world.node[next.who];
        node_put(node, next.frame);
        node->wake_at = round_up(sim.now, node->plan.poll);
        return;
    case CALL:
        next.call(next.who);
        return;
    }
}

bool world_step(uint64_t until)
{
    uint64_t at = sim.happenings > 0 ? sim.heap[0].at : SIM_NEVER;
    struct node *first = NULL;

    for (int i = 0; i < world.nodes; i++) {
        uint64_t next = node_next(&world.node[i]);

        if (next < at || (next == at && next != SIM_NEVER && next <= sim.now)) {
            at = next;
            first = &world.node[i];
        }
    }
    if (at > until || at == SIM_NEVER)
        return false;
    sim.steps = at > sim.now ? 0 : sim.steps + 1;
    SIM_CHECK(sim.steps < SIM_STILL_MAX, "time stands still");
    if (at > sim.now)
        sim.now = at;
    if (first != NULL)
        node_run(first);
    else
        happen(take_next());
    return true;
}

bool world_run(uint64_t until, bool (*done)(void))
{
    while (done == NULL || !done()) {
        if (!world_step(until)) {
            if (until != SIM_NEVER && until > sim.now)
                sim.now = until;
            return done == NULL || done();
        }
    }
    return true;
}

void node_poke(struct node *node)
{
    node_run(node);
}

void world_begin(uint64_t seed)
{
    struct happening *heap = sim.heap;
    uint32_t room = sim.heap_room;

    memset(&sim, 0, sizeof(sim));
    memset(&world, 0, sizeof(world));
    watch_clear();
    sim.heap = heap;
    sim.heap_room = room;
    sim.random.state = seed;
    sim.now = sim_between(1, 1000) * SEC;
    world.check_every = 1;
}

static void node_end(struct node *node)
{
    node_check(node);
    for (uint32_t i = 0; i < node->inbox_count; i++)
        free(node->inbox[i]);
    for (uint32_t i = 0; i < node->buffers_room; i++)
        free(node->buffers[i].data);
    for (int i = 0; i < SIM_FRAMES; i++)
        free(node->rooms[i]);
    free(node->inbox);
    free(node->buffers);
    free(node->memory);
}

void world_end(void)
{
    while (sim.happenings > 0)
        free(take_next().frame);
    for (int i = 0; i < world.nodes; i++)
        node_end(&world.node[i]);
    world.nodes = 0;
    watch_clear();
    free(sim.heap);
    sim.heap = NULL;
    sim.heap_room = 0;
}
