/* tests/c/test_net_neighbour.c - transport/net/neighbour.h: rules one by one, and a slow model. */
#include "tests/c/harness.h"
#include "transport/net/neighbour.h"

#define SEC UINT64_C(1000000000)

enum { MODELS = 64, NAMES = 48 };

static _Alignas(NET_ALIGN) uint8_t memory[65536];
static struct net_neighbours cache;
static struct net_random drawn;
static uint64_t now;

static void start(uint32_t count_max, uint64_t seed_number)
{
    uint8_t seed[32] = {0};

    memcpy(seed, &seed_number, sizeof(seed_number));
    now = 3 * SEC;
    memset(memory, 0x5a, sizeof(memory));
    CHECK(ewi_net_neighbours_bytes(count_max) <= sizeof(memory));
    ewi_net_random_init(&drawn, seed);
    ewi_net_neighbours_init(&cache, memory, count_max, seed, &drawn, now);
}

static struct net_tuple name_of(uint32_t number)
{
    struct net_tuple name = {
        .local_port = (uint16_t)(number % 2),
        .family = number % 4 < 2 ? 4 : 6,
        .remote = {10, [3] = (uint8_t)(number / 4)},
    };

    return name;
}

static const uint8_t *mac_of(uint32_t number)
{
    static uint8_t mac[6] = {2};

    mac[5] = (uint8_t)number;
    return mac;
}

static uint32_t find(uint32_t number)
{
    struct net_tuple name = name_of(number);

    return ewi_net_neighbours_find(&cache, name.local_port, name.family, name.remote);
}

static struct net_neighbour *at(uint32_t number)
{
    uint32_t index = find(number);

    CHECK(index != NET_NONE);
    return ewi_net_neighbour_at(&cache, index);
}

/* As link.c does it: room first. NET_NONE: refused. */
static uint32_t make(uint32_t number, enum net_neighbour_list list)
{
    struct net_tuple name = name_of(number);
    uint32_t victim;

    if (!ewi_net_neighbours_victim(&cache, list, &victim))
        return NET_NONE;
    if (victim != NET_NONE)
        ewi_net_neighbours_retire(&cache, victim);
    return ewi_net_neighbours_make(&cache, list, &name,
                                   list == NET_LIST_UNKNOWN ? NULL : mac_of(number), now);
}

static bool hear(uint32_t number, uint32_t mac, bool is_answer, bool overrides)
{
    struct net_heard heard = {
        .mac = mac == 0 ? NULL : mac_of(mac),
        .is_answer = is_answer,
        .overrides = overrides,
    };

    return ewi_net_neighbour_hear(&cache, find(number), &heard, now);
}

static void is_sound(void)
{
    const char *fault = ewi_net_neighbours_check(&cache);

    if (fault != NULL)
        fprintf(stderr, "    %s\n", fault);
    CHECK(fault == NULL);
}

/* Steps of everything that is due. */
static void pass(uint64_t ns)
{
    uint32_t index;

    now += ns;
    while (ewi_net_neighbours_next(&cache) <= now)
        if (ewi_net_neighbours_due(&cache, now, &index, 1) == 1 &&
            ewi_net_neighbour_step(&cache, index, now) == NET_DO_FORGET)
            ewi_net_neighbours_retire(&cache, index);
}

static uint32_t make_sure(uint32_t number)
{
    CHECK(make(number, NET_LIST_UNKNOWN) != NET_NONE);
    CHECK(hear(number, 1, true, true));
    return find(number);
}

/* ---- rules ---- */

static void sizes_out_of_range_are_refused(void)
{
    CHECK_EQ(ewi_net_neighbours_bytes(0), 0);
    CHECK_EQ(ewi_net_neighbours_bytes(NET_NEIGHBOURS_MAX + 1), 0);
    CHECK(ewi_net_neighbours_bytes(1) > 0 && ewi_net_neighbours_bytes(NET_NEIGHBOURS_MAX) > 0);
}

static void the_port_and_the_family_are_parts_of_the_name(void)
{
    start(8, 1);
    make(0, NET_LIST_STATIC); /* 10.0.0.0 at port 0 */
    CHECK(find(0) != NET_NONE);
    CHECK_EQ(find(1), NET_NONE);
    CHECK_EQ(find(2), NET_NONE);
}

/* RFC 4861 section 6.3.2 */
static void the_time_of_being_reachable_is_half_to_one_and_a_half_of_thirty_seconds(void)
{
    uint64_t least = UINT64_MAX, most = 0;

    start(8, 2);
    make_sure(0);
    for (int i = 0; i < 200; i++) {
        uint64_t ns;

        at(0)->until = now;
        ewi_net_neighbour_use(&cache, find(0), now);
        pass(5 * SEC + 2048);
        CHECK_EQ(at(0)->state, NET_NEIGHBOUR_PROBE);
        hear(0, 1, true, true);
        ns = at(0)->until - now;
        CHECK(ns >= 15 * SEC && ns <= 45 * SEC);
        least = ns < least ? ns : least;
        most = ns > most ? ns : most;
    }
    CHECK(least < 17 * SEC && most > 43 * SEC);
}

static void reachable_ends_when_it_is_used_after_its_time(void)
{
    start(8, 3);
    make_sure(0);
    now = at(0)->until - 1;
    CHECK_EQ(ewi_net_neighbour_use(&cache, find(0), now), NET_DO_NOTHING);
    CHECK_EQ(at(0)->state, NET_NEIGHBOUR_REACHABLE);
    now += 1;
    CHECK_EQ(ewi_net_neighbour_use(&cache, find(0), now), NET_DO_NOTHING);
    CHECK_EQ(at(0)->state, NET_NEIGHBOUR_DELAY);
}

static void the_least_recently_used_one_goes_first(void)
{
    start(4, 4);
    for (uint32_t i = 0; i < 4; i++) {
        make_sure(i);
        now += SEC;
    }
    ewi_net_neighbour_use(&cache, find(0), now); /* so 1 is the oldest */
    make(10, NET_LIST_UNKNOWN);
    CHECK_EQ(find(1), NET_NONE);
    CHECK(find(0) != NET_NONE && find(2) != NET_NONE && find(3) != NET_NONE);
    make(11, NET_LIST_UNKNOWN);
    CHECK_EQ(find(2), NET_NONE);
    make(12, NET_LIST_UNKNOWN); /* half of the table: unknown ones push out each other */
    CHECK_EQ(find(10), NET_NONE);
    CHECK(find(0) != NET_NONE && find(3) != NET_NONE);
    is_sound();
}

static void guests_go_before_all_others_and_become_sure_when_used(void)
{
    start(8, 5);
    CHECK(make(0, NET_LIST_GUESTS) != NET_NONE);
    CHECK(make(1, NET_LIST_GUESTS) != NET_NONE);
    for (uint32_t i = 2; i < 8; i++)
        make_sure(i);
    ewi_net_neighbour_use(&cache, find(0), now);
    CHECK_EQ(at(0)->list, NET_LIST_SURE);
    CHECK_EQ(at(0)->state, NET_NEIGHBOUR_DELAY);
    make(10, NET_LIST_UNKNOWN);
    CHECK_EQ(find(1), NET_NONE);
    CHECK_EQ(make(11, NET_LIST_GUESTS), NET_NONE); /* full, and no guest to go */
    is_sound();
}

static void a_small_table_has_no_guests(void)
{
    start(3, 6);
    CHECK_EQ(make(0, NET_LIST_GUESTS), NET_NONE);
    start(4, 6);
    CHECK(make(0, NET_LIST_GUESTS) != NET_NONE);
    CHECK(make(1, NET_LIST_GUESTS) != NET_NONE);
    CHECK_EQ(find(0), NET_NONE);
}

static void a_table_of_one_has_a_place_for_the_next_one(void)
{
    start(1, 7);
    CHECK(make(0, NET_LIST_UNKNOWN) != NET_NONE);
    CHECK(make(1, NET_LIST_UNKNOWN) != NET_NONE);
    CHECK_EQ(find(0), NET_NONE);
    hear(1, 1, true, true);
    CHECK(make(2, NET_LIST_UNKNOWN) != NET_NONE);
    CHECK(make(3, NET_LIST_STATIC) != NET_NONE);
    CHECK_EQ(make(4, NET_LIST_UNKNOWN), NET_NONE);
    CHECK_EQ(make(5, NET_LIST_STATIC), NET_NONE);
    CHECK(find(3) != NET_NONE);
    is_sound();
}

static void static_ones_are_never_pushed_out(void)
{
    start(4, 8);
    for (uint32_t i = 0; i < 3; i++)
        make(i, NET_LIST_STATIC);
    for (uint32_t i = 10; i < 40; i++)
        CHECK(make(i, NET_LIST_UNKNOWN) != NET_NONE);
    for (uint32_t i = 0; i < 3; i++)
        CHECK(find(i) != NET_NONE);
    make(50, NET_LIST_STATIC);
    CHECK_EQ(make(51, NET_LIST_UNKNOWN), NET_NONE);
    pass(1000 * SEC);
    CHECK_EQ(ewi_net_neighbour_use(&cache, find(0), now), NET_DO_NOTHING);
    CHECK_EQ(at(0)->state, NET_NEIGHBOUR_REACHABLE);
    CHECK(!hear(0, 9, true, true));
    CHECK_EQ(at(0)->mac[5], 0);
    ewi_net_neighbour_confirm(&cache, find(0), now);
    is_sound();
}

static void the_dead_are_not_found_and_their_place_is_kept_until_they_are_buried(void)
{
    uint32_t hop;

    start(4, 9); /* two unknown, two dead at most */
    hop = make(0, NET_LIST_UNKNOWN);
    ewi_net_neighbour_at(&cache, hop)->parked = 7;
    make(1, NET_LIST_UNKNOWN);
    ewi_net_neighbour_at(&cache, find(1))->parked = 8;
    make(2, NET_LIST_UNKNOWN);
    CHECK_EQ(find(0), NET_NONE);
    CHECK_EQ(ewi_net_neighbours_dead(&cache), hop);
    CHECK_EQ(ewi_net_neighbour_at(&cache, hop)->parked, 7);
    is_sound();
    make(3, NET_LIST_STATIC);
    make(4, NET_LIST_STATIC); /* four are alive, one is dead */
    make(5, NET_LIST_UNKNOWN);
    CHECK_EQ(cache.list[NET_LIST_DEAD].count, 1 + (find(1) == NET_NONE));
    ewi_net_neighbour_at(&cache, hop)->parked = NET_NONE;
    ewi_net_neighbours_bury(&cache, hop);
    CHECK(ewi_net_neighbours_dead(&cache) != hop);
    is_sound();
}

static void nobody_dies_when_there_is_no_place_for_the_dead(void)
{
    uint32_t i;

    start(4, 10);
    for (i = 0; make(i, NET_LIST_UNKNOWN) != NET_NONE && i < NAMES; i++)
        at(i)->parked = i;
    CHECK_EQ(cache.list[NET_LIST_DEAD].count + cache.list[NET_LIST_UNKNOWN].count, i);
    CHECK(i < 8);
    is_sound();
    at(i - 2)->parked = NET_NONE; /* the oldest that is alive */
    CHECK(make(i, NET_LIST_UNKNOWN) != NET_NONE);
}

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
        victim = oldest(NET_LIST_UNKNOWN);
    else if (list == NET_LIST_UNKNOWN && model_is_full())
        victim = either(oldest(NET_LIST_GUESTS),
                        either(oldest(NET_LIST_SURE), oldest(NET_LIST_UNKNOWN)));
    else if (list == NET_LIST_GUESTS &&
             (model_is_full() || count_of(NET_LIST_GUESTS, false) >= places / 4))
        victim = oldest(NET_LIST_GUESTS);
    else if (list == NET_LIST_STATIC && model_is_full())
        victim = either(oldest(NET_LIST_GUESTS),
                        either(oldest(NET_LIST_UNKNOWN), oldest(NET_LIST_SURE)));
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
        places = (uint32_t)harness_between(&random, 1, 24);
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
    RUN(sizes_out_of_range_are_refused);
    RUN(the_port_and_the_family_are_parts_of_the_name);
    RUN(the_time_of_being_reachable_is_half_to_one_and_a_half_of_thirty_seconds);
    RUN(reachable_ends_when_it_is_used_after_its_time);
    RUN(the_least_recently_used_one_goes_first);
    RUN(guests_go_before_all_others_and_become_sure_when_used);
    RUN(a_small_table_has_no_guests);
    RUN(a_table_of_one_has_a_place_for_the_next_one);
    RUN(static_ones_are_never_pushed_out);
    RUN(the_dead_are_not_found_and_their_place_is_kept_until_they_are_buried);
    RUN(nobody_dies_when_there_is_no_place_for_the_dead);
    HARNESS_FOR_EACH_SEED(argc, argv, seed) {
        compare_with_the_model(seed);
    }
    return 0;
}
