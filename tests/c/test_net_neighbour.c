/* tests/c/test_net_neighbour.c - transport/net/neighbour.h, rule by rule. */
#include "tests/c/net_neighbour_base.h"

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

static void the_dead_are_a_quarter_and_one(void)
{
    start(16, 11);
    for (uint32_t i = 0; make(i, NET_LIST_UNKNOWN) != NET_NONE; i++)
        at(i)->parked = i;
    CHECK_EQ(cache.list[NET_LIST_UNKNOWN].count, 8);
    CHECK_EQ(cache.list[NET_LIST_DEAD].count, 5);
    is_sound();
}

static void those_with_parked_connections_stay_longer(void)
{
    start(8, 14);
    for (uint32_t i = 0; i < 4; i++)
        make(i, NET_LIST_UNKNOWN);
    at(0)->parked = at(1)->parked = at(3)->parked = 7;
    make(4, NET_LIST_UNKNOWN);
    CHECK_EQ(find(2), NET_NONE);
    make(5, NET_LIST_UNKNOWN);
    CHECK_EQ(find(4), NET_NONE);
    CHECK(find(0) != NET_NONE && find(1) != NET_NONE && find(3) != NET_NONE);
    at(5)->parked = 7;
    make(6, NET_LIST_UNKNOWN);
    CHECK_EQ(find(0), NET_NONE);
    is_sound();
}

static void only_the_oldest_few_are_looked_at_for_a_victim(void)
{
    start(40, 15);
    for (uint32_t i = 0; i < 20; i++)
        make(i, NET_LIST_UNKNOWN);
    for (uint32_t i = 0; i < 16; i++)
        at(i)->parked = 7;
    make(20, NET_LIST_UNKNOWN);
    CHECK_EQ(find(0), NET_NONE); /* though 16 has none */
    make(21, NET_LIST_UNKNOWN);
    CHECK_EQ(find(16), NET_NONE);
}

/* Nobody may be able to aim at a place of the table. */
static void the_key_comes_from_the_seed(void)
{
    uint8_t first[16];

    start(4, 12);
    memcpy(first, cache.key, 16);
    start(4, 13);
    CHECK(memcmp(first, cache.key, 16) != 0);
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

int main(void)
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
    RUN(the_dead_are_a_quarter_and_one);
    RUN(those_with_parked_connections_stay_longer);
    RUN(only_the_oldest_few_are_looked_at_for_a_victim);
    RUN(the_key_comes_from_the_seed);
    RUN(nobody_dies_when_there_is_no_place_for_the_dead);
    return 0;
}
