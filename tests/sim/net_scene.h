/* tests/sim/net_scene.h - two hosts, two wires, some connections: what most scenarios are.
 *
 * Purpose    A scenario says what is special about it; everything else is usual or drawn.
 * Shape      scene   plans; zero is usual. node 0 connects to node 1.
 *            scene_play(&scene) -> struct outcome
 *            The device of each node is drawn from those that can do the same, unless `plain`.
 * Owner      as tests/sim/net_users.h
 * Threads    one
 * Trust      the stacks are under test
 * Errors     SIM_CHECK fails
 * Invariants I1  every scene ends with all streams closed and no buffer kept.
 * Ordering   none
 * Source     issue 4, item 6
 */
#ifndef TESTS_SIM_NET_SCENE_H
#define TESTS_SIM_NET_SCENE_H

#include "tests/sim/net_users.h"

enum { CLIENT = 0, SERVER = 1 };

struct scene {
    struct wire_plan there, back; /* to the server, to the client */
    struct node_plan node[2];
    struct app_plan app[2];
    int family; /* 0: drawn */
    int pairs;  /* 0: 1 */
    bool plain; /* the devices are as the plans say */
    uint64_t stagger; /* between the connects */
    void (*prepare)(void); /* nodes are there, nobody has connected */
    uint64_t limit; /* of virtual time; 0: 10 minutes */
};

struct outcome {
    uint64_t ns; /* from the first connect until the last byte was read */
    uint64_t timeouts, resent, undone, spurious; /* of both ends of all */
    uint64_t bytes; /* read */
    uint64_t failures;
    struct wire there, back;
    uint64_t segments, resets;
};

static inline void set_all(enum net_option option, uint64_t value)
{
    for (int i = 0; i < world.nodes; i++)
        CHECK_EQ(ewi_net_set(world.node[i].net, 0, option, value), 0);
}

static inline void set_of(int node, enum net_option option, uint64_t value)
{
    CHECK_EQ(ewi_net_set(world.node[node].net, 0, option, value), 0);
}

/* A device that is as good as any other. */
static inline uint32_t any_device(void)
{
    static const uint32_t references[] = {0, SIM_NO_REFERENCES, SIM_SOME_REFERENCES};
    static const uint32_t offloads[] = {0, SIM_TX_SUM, SIM_TX_SUM | SIM_TX_TSO};
    uint32_t device = references[sim_below(3)] | offloads[sim_below(3)];

    device |= chance(SIM_CHANCE / 2) ? SIM_RX_GOOD : 0;
    device |= chance(SIM_CHANCE / 4) ? SIM_TIGHT : 0;
    device |= chance(SIM_CHANCE / 4) ? SIM_BARE_IP : 0;
    return device;
}

static inline uint64_t scene_seed(void)
{
    uint64_t hash = harness.seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

    for (const char *c = harness.claim; *c != '\0'; c++)
        hash = (hash ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
    return hash;
}

static inline int scene_family(const struct scene *scene)
{
    bool has_six = (scene->node[0].mtu == 0 || scene->node[0].mtu >= 1280) &&
                   (scene->node[1].mtu == 0 || scene->node[1].mtu >= 1280);

    if (scene->family != 0)
        return scene->family;
    return has_six && chance(SIM_CHANCE / 2) ? 6 : 4;
}

static inline void scene_begin(const struct scene *scene)
{
    apps_begin(scene_seed());
    for (int i = 0; i < 2; i++) {
        struct node_plan plan = scene->node[i];

        if (!scene->plain)
            plan.device |= any_device();
        node_add(&plan, i == SERVER ? &scene->there : &scene->back);
    }
    world_join();
    set_all(NET_OPTION_TIME_WAIT_NS, 2 * SEC);
    if (scene->prepare != NULL)
        scene->prepare();
}

static inline uint64_t latest(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline struct outcome scene_outcome(uint64_t began)
{
    struct outcome out = {.there = world.node[SERVER].down,
                          .back = world.node[CLIENT].down,
                          .segments = watch.segments,
                          .failures = apps.failures,
                          .resets = watch.resets};

    for (int i = 0; i < apps.count; i++) {
        const struct app *app = apps.all[i];

        out.timeouts += app->last.timeouts;
        out.resent += app->last.segments_resent;
        out.undone += app->last.undone;
        out.spurious += app->last.spurious;
        out.bytes += app->got;
        out.ns = latest(out.ns, app->fin_at);
    }
    out.ns = out.ns > began ? out.ns - began : 0;
    return out;
}

static struct outcome last_outcome; /* of the last scene, for SCENE_CHECK */

static inline void outcome_show(const struct outcome *out)
{
    fprintf(stderr,
            "\n    %" PRIu64 " us, %" PRIu64 " bytes, timeouts %" PRIu64 " resent %" PRIu64
            " spurious %" PRIu64 " undone %" PRIu64 " segments %" PRIu64 " resets %" PRIu64
            " failures %" PRIu64 "; there lost %" PRIu64 " dropped %" PRIu64 " too long %" PRIu64
            " queue %" PRIu64 "\n",
            out->ns / US, out->bytes, out->timeouts, out->resent, out->spurious, out->undone,
            out->segments, out->resets, out->failures, out->there.lost, out->there.dropped,
            out->there.too_long, out->there.queue_most);
}

/* As CHECK; says what the last scene came to. */
#define SCENE_CHECK(condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            outcome_show(&last_outcome);                                                           \
            harness_fail(__FILE__, __LINE__, #condition);                                          \
        }                                                                                          \
    } while (0)

static inline struct outcome scene_play(const struct scene *scene)
{
    struct outcome out;
    uint64_t began;
    int family;

    scene_begin(scene);
    began = sim.now;
    family = scene_family(scene);
    app_listen(SERVER, family, SERVER_PORT, 128);
    for (int i = 0; i == 0 || i < scene->pairs; i++) {
        pair_open(CLIENT, SERVER, family, SERVER_PORT, &scene->app[CLIENT], &scene->app[SERVER]);
        if (scene->stagger != 0)
            world_run(sim.now + sim_below(scene->stagger), NULL);
    }
    apps_run(scene->limit != 0 ? scene->limit : 600 * SEC);
    out = last_outcome = scene_outcome(began);
    apps_settle();
    apps_end();
    return out;
}

#endif
