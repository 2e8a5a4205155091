/* tests/c/test_net_neighbour_model.c - transport/net/neighbour.h against a slow model. */
#include "tests/c/net_neighbour_base.h"

enum { MODELS = 64 };

/* ---- a model: the same rules, with a list that is searched and deadlines that are compared ---- */

struct model {
    bool exists, is_dead;
    uint32_t number, index;
    uint8_t mac, state, list, asked;
    uint64_t deadline, until, moved, order;
    uint32_t parked;
};

static struct model models[MODELS];
static uint64_t orders;
static uint32_t places;

static struct model *model_of(uint32_t number)
{
    for (int i = 0; i < MODELS; i++)
        if (models[i].exists && !models[i].is_dead && models[i].number == number)
            return &models[i];
    return NULL;
}

static uint32_t count_of(int list, bool is_dead)
{
    uint32_t count = 0;

    for (int i = 0; i < MODELS; i++)
        count += models[i].exists && models[i].is_dead == is_dead &&
                 (list < 0 || models[i].list == list);
    return count;
}

static struct model *oldest(int list)
{
    struct model *best = NULL;

    for (int i = 0; i < MODELS; i++)
        if (models[i].exists && !models[i].is_dead && models[i].list == list &&
            (best == NULL || models[i].order < best->order))
            best = &models[i];
    return best;
}

static struct model *oldest_unknown(void)
{
    struct model *first = oldest(NET_LIST_UNKNOWN), *found = NULL;

    for (int i = 0; i < MODELS; i++) {
        struct model *model = &models[i];
        uint32_t older = 0;

        if (!model->exists || model->is_dead || model->list != NET_LIST_UNKNOWN)
            continue;
        for (int n = 0; n < MODELS; n++)
            older += models[n].exists && !models[n].is_dead &&
                     models[n].list == NET_LIST_UNKNOWN && models[n].order < model->order;
        if (older < 16 && model->parked == NET_NONE &&
            (found == NULL || model->order < found->order))
            found = model;
    }
    return found != NULL ? found : first;
}

static struct model *either(struct model *a, struct model *b)
{
    return a != NULL ? a : b;
}

static bool model_is_full(void)
{
    return count_of(-1, false) == places;
}

static struct model *model_victim(int list, bool *refused)
{
    struct model *victim = NULL;
    uint32_t half = places < 2 ? 1 : places / 2;

    if (list == NET_LIST_UNKNOWN && count_of(NET_LIST_UNKNOWN, false) >= half)
        victim = oldest_unknown();
    else if (list == NET_LIST_UNKNOWN && model_is_full())
        victim = either(oldest(NET_LIST_GUESTS),
                        either(oldest(NET_LIST_SURE), oldest_unknown()));
    else if (list == NET_LIST_GUESTS &&
             (model_is_full() || count_of(NET_LIST_GUESTS, false) >= places / 4))
        victim = oldest(NET_LIST_GUESTS);
    else if (list == NET_LIST_STATIC && model_is_full())
        victim = either(oldest(NET_LIST_GUESTS),
                        either(oldest_unknown(), oldest(NET_LIST_SURE)));
    *refused = victim == NULL
                   ? model_is_full() || (list == NET_LIST_GUESTS && places / 4 == 0)
                   : victim->parked != NET_NONE &&
                         count_of(-1, true) > places / 4;
    return victim;
}

static void model_retire(struct model *model)
{
    model->is_dead = true;
    model->exists = model->parked != NET_NONE;
}

static struct model *model_make(uint32_t number, int list, uint32_t index)
{
    for (int i = 0; i < MODELS; i++) {
        if (models[i].exists)
            continue;
        models[i] = (struct model){
            .exists = true,
            .number = number,
            .index = index,
            .list = (uint8_t)list,
            .mac = list == NET_LIST_UNKNOWN ? 0 : (uint8_t)number,
            .state = list == NET_LIST_UNKNOWN  ? NET_NEIGHBOUR_INCOMPLETE
                     : list == NET_LIST_GUESTS ? NET_NEIGHBOUR_STALE
                                               : NET_NEIGHBOUR_REACHABLE,
            .asked = list == NET_LIST_UNKNOWN,
            .deadline = list == NET_LIST_UNKNOWN ? now + SEC : NET_NEVER,
            .moved = now,
            .order = orders++,
            .parked = NET_NONE,
        };
        return &models[i];
    }
    CHECK(false);
    return NULL;
}

static void op_make(struct harness_random *random, uint32_t number)
{
    static const enum net_neighbour_list kinds[] = {NET_LIST_UNKNOWN, NET_LIST_UNKNOWN,
                                                    NET_LIST_GUESTS, NET_LIST_GUESTS,
                                                    NET_LIST_STATIC};
    enum net_neighbour_list list =
        kinds[harness_below(random, harness_below(random, 20) == 0 ? 5 : 4)];
    bool refused;
    struct model *victim = model_victim(list, &refused);
    uint32_t index;

    if (model_of(number) != NULL)
        return;
    index = make(number, list);
    CHECK_EQ(index == NET_NONE, refused);
    if (refused)
        return;
    if (victim != NULL)
        model_retire(victim);
    model_make(number, list, index);
}

static void model_touch(struct model *model)
{
    if (model->list == NET_LIST_GUESTS || now - model->moved >= SEC) {
        model->list = model->list == NET_LIST_GUESTS ? NET_LIST_SURE : model->list;
        model->moved = now;
        model->order = orders++;
    }
}

static void op_use(struct model *model)
{
    enum net_neighbour_action have = ewi_net_neighbour_use(&cache, model->index, now);
    enum net_neighbour_action want = NET_DO_NOTHING;

    if (model->list != NET_LIST_STATIC) {
        model_touch(model);
        if (model->state == NET_NEIGHBOUR_STALE ||
            (model->state == NET_NEIGHBOUR_REACHABLE && now >= model->until)) {
            model->state = NET_NEIGHBOUR_DELAY;
            model->deadline = now + 5 * SEC;
        }
        if (model->state == NET_NEIGHBOUR_FAILED && now >= model->until) {
            model->state = NET_NEIGHBOUR_INCOMPLETE;
            model->asked = 1;
            model->deadline = now + SEC;
            want = NET_DO_ASK_ALL;
        }
    }
    CHECK_EQ(have, want);
}

static void model_reachable(struct model *model)
{
    model->state = NET_NEIGHBOUR_REACHABLE;
    model->deadline = NET_NEVER;
    model->until = ewi_net_neighbour_at(&cache, model->index)->until; /* random: checked apart */
    CHECK(model->until >= now + 15 * SEC && model->until <= now + 45 * SEC);
}

/* Those who were parked have been told. */
static void unpark(struct model *model)
{
    model->parked = NET_NONE;
    ewi_net_neighbour_at(&cache, model->index)->parked = NET_NONE;
}

static void op_hear(struct harness_random *random, struct model *model)
{
    uint8_t mac = harness_below(random, 4) == 0 ? 0 : (uint8_t)harness_between(random, 1, 3);
    bool is_answer = harness_below(random, 2) == 0, overrides = harness_below(random, 2) == 0;
    bool is_known = model->mac != 0, is_probed = model->state == NET_NEIGHBOUR_PROBE;
    bool was_asked = model->state == NET_NEIGHBOUR_INCOMPLETE;
    bool can_go = hear(model->number, mac, is_answer, overrides);

    if (model->list == NET_LIST_STATIC || (!is_known && mac == 0)) {
        CHECK(!can_go);
        return;
    }
    CHECK_EQ(can_go, !is_known);
    if (!is_known) {
        unpark(model);
        model->mac = mac;
        model->list = NET_LIST_SURE;
        model->moved = now;
        model->order = orders++;
        model->state = NET_NEIGHBOUR_STALE;
        model->deadline = NET_NEVER;
        if (is_answer && was_asked)
            model_reachable(model);
        return;
    }
    if (mac != 0 && mac != model->mac && !overrides) {
        if (model->state == NET_NEIGHBOUR_REACHABLE)
            model->state = NET_NEIGHBOUR_STALE;
        return;
    }
    if (is_answer && is_probed) {
        model_reachable(model);
    } else if (mac != 0 && mac != model->mac) {
        model->state = NET_NEIGHBOUR_STALE;
        model->deadline = NET_NEVER;
    }
    model->mac = mac != 0 ? mac : model->mac;
}

static void op_confirm(struct model *model)
{
    ewi_net_neighbour_confirm(&cache, model->index, now);
    if (model->list == NET_LIST_SURE)
        model_reachable(model);
}

static void op_fix(struct model *model)
{
    ewi_net_neighbour_fix(&cache, model->index, mac_of(9));
    unpark(model);
    model->list = NET_LIST_STATIC;
    model->mac = 9;
    model->state = NET_NEIGHBOUR_REACHABLE;
    model->deadline = NET_NEVER;
}

static void op_park(struct model *model, uint32_t number)
{
    if (model->state != NET_NEIGHBOUR_INCOMPLETE)
        return;
    model->parked = number;
    ewi_net_neighbour_at(&cache, model->index)->parked = number;
}

static void op_bury(void)
{
    uint32_t index = ewi_net_neighbours_dead(&cache);

    CHECK_EQ(index == NET_NONE, count_of(-1, true) == 0);
    if (index == NET_NONE)
        return;
    for (int i = 0; i < MODELS; i++) {
        if (models[i].exists && models[i].is_dead && models[i].index == index) {
            CHECK_EQ(ewi_net_neighbour_at(&cache, index)->parked, models[i].parked);
            ewi_net_neighbour_at(&cache, index)->parked = NET_NONE;
            models[i].exists = false;
            ewi_net_neighbours_bury(&cache, index);
            return;
        }
    }
    CHECK(false);
}

static enum net_neighbour_action model_step(struct model *model)
{
    if (model->state == NET_NEIGHBOUR_DELAY) {
        model->state = NET_NEIGHBOUR_PROBE;
        model->asked = 0;
    }
    if (model->asked == 3 && model->state == NET_NEIGHBOUR_PROBE)
        return NET_DO_FORGET;
    if (model->asked == 3) {
        model->state = NET_NEIGHBOUR_FAILED;
        model->deadline = NET_NEVER;
        model->until = now + SEC;
        return NET_DO_GIVE_UP;
    }
    model->asked += 1;
    model->deadline = now + SEC;
    return model->state == NET_NEIGHBOUR_PROBE ? NET_DO_ASK_IT : NET_DO_ASK_ALL;
}

static void op_due(struct harness_random *random)
{
    uint32_t index;

    while (ewi_net_neighbours_next(&cache) <= now) {
        struct model *model = NULL;
        enum net_neighbour_action want;

        if (ewi_net_neighbours_due(&cache, now, &index, 1) == 0)
            continue;
        for (int i = 0; i < MODELS; i++)
            if (models[i].exists && !models[i].is_dead && models[i].index == index)
                model = &models[i];
        CHECK(model != NULL && model->deadline <= now);
        want = model_step(model);
        CHECK_EQ(ewi_net_neighbour_step(&cache, index, now), want);
        if (want == NET_DO_FORGET) {
            ewi_net_neighbours_retire(&cache, index);
            model_retire(model);
        } else if (want == NET_DO_GIVE_UP) {
            unpark(model);
        } else if (harness_below(random, 8) == 0) {
            ewi_net_neighbour_again(&cache, index, now);
            model->asked -= 1;
            model->deadline = now + SEC / 100;
        }
    }
}

static void compare(void)
{
    is_sound();
    for (uint32_t number = 0; number < NAMES; number++) {
        const struct model *model = model_of(number);
        const struct net_neighbour *have;

        CHECK_EQ(find(number), model == NULL ? NET_NONE : model->index);
        if (model == NULL)
            continue;
        have = at(number);
        CHECK_EQ(have->state, model->state);
        CHECK_EQ(have->list, model->list);
        CHECK(model->mac == 0 || have->mac[5] == model->mac);
        CHECK(model->deadline == NET_NEVER || model->deadline + 1024 > now);
    }
    CHECK_EQ(cache.list[NET_LIST_DEAD].count, count_of(-1, true));
}

static void do_one(struct harness_random *random)
{
    uint32_t number = (uint32_t)harness_between(random, 1, NAMES - 1);
    struct model *model = model_of(number);
    uint64_t what = harness_below(random, 100);

    if (what < 30)
        op_make(random, number);
    else if (what < 45)
        op_due((now += harness_below(random, SEC), random));
    else if (what < 47)
        op_due((now += harness_below(random, 40 * SEC), random));
    else if (what < 52)
        op_bury();
    else if (model == NULL)
        return;
    else if (what < 75)
        op_use(model);
    else if (what < 90)
        op_hear(random, model);
    else if (what < 94)
        op_confirm(model);
    else if (what < 99)
        op_park(model, number);
    else if (harness_below(random, 8) == 0)
        op_fix(model);
}

static void compare_with_the_model(uint64_t seed)
{
    struct harness_random random = {seed};
    uint64_t seen[NET_NEIGHBOUR_STATES] = {0};

    for (int round = 0; round < 30; round++) {
        places = (uint32_t)harness_between(&random, 1, 40);
        memset(models, 0, sizeof(models));
        start(places, seed + (uint64_t)round);
        for (int i = 0; i < 600; i++) {
            do_one(&random);
            compare();
            for (int n = 0; n < MODELS; n++)
                if (models[n].exists && !models[n].is_dead)
                    seen[models[n].state] += 1;
        }
    }
    for (int i = 0; i < NET_NEIGHBOUR_STATES; i++)
        CHECK(seen[i] > 100);
}

int main(int argc, char **argv)
{
    HARNESS_FOR_EACH_SEED(argc, argv, seed) {
        compare_with_the_model(seed);
    }
    return 0;
}
