#include "tests/sim/net_scene.h"

void set_all(enum net_option option, uint64_t value)
{
    for (int i = 0; i < world.nodes; i++)
        CHECK_EQ(ewi_net_set(world.node[i].net, 0, option, value), 0);
}

void set_of(int node, enum net_option option, uint64_t value)
{
    CHECK_EQ(ewi_net_set(world.node[node].net, 0, option, value), 0);
}

uint32_t any_device(void)
{
    static const uint32_t references[] = {0, SIM_NO_REFERENCES, SIM_SOME_REFERENCES};
    static const uint32_t offloads[] = {0, SIM_TX_SUM, SIM_TX_SUM | SIM_TX_TSO};
    uint32_t device = references[sim_below(3)] | offloads[sim_below(3)];

    device |= chance(SIM_CHANCE / 2) ? SIM_RX_GOOD : 0;
    device |= chance(SIM_CHANCE / 4) ? SIM_TIGHT : 0;
    device |= chance(SIM_CHANCE / 4) ? SIM_BARE_IP : 0;
    return device;
}

uint64_t scene_seed(void)
{
    uint64_t hash = harness.seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

    for (const char *c = harness.claim; *c != '\0'; c++)
        hash = (hash ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
    return hash;
}

int scene_family(const struct scene *scene)
{
    bool has_six = (scene->node[0].mtu == 0 || scene->node[0].mtu >= 1280) &&
                   (scene->node[1].mtu == 0 || scene->node[1].mtu >= 1280);

    if (scene->family != 0)
        return scene->family;
    return has_six && chance(SIM_CHANCE / 2) ? 6 : 4;
}

void scene_begin(const struct scene *scene)
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

static uint64_t latest(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static struct outcome scene_outcome(uint64_t began)
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

struct outcome last_outcome;

void outcome_show(const struct outcome *out)
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

struct outcome scene_play(const struct scene *scene)
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
