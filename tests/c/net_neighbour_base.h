/* tests/c/net_neighbour_base.h - a neighbour cache of its own, and names for it.
 *
 * Purpose    Shared by the tests of the rules and of the model of transport/net/neighbour.h.
 * Shape      functions of the test program's one file
 * Owner      static memory of the test program
 * Threads    one
 * Trust      none: test code only
 * Errors     a CHECK fails
 * Invariants none
 * Ordering   none
 * Source     none
 */
#ifndef TESTS_C_NET_NEIGHBOUR_BASE_H
#define TESTS_C_NET_NEIGHBOUR_BASE_H

#include "tests/c/harness.h"
#include "transport/net/neighbour.h"

#define SEC UINT64_C(1000000000)

enum { NAMES = 48 };

static _Alignas(NET_ALIGN) uint8_t memory[65536];
static struct net_neighbours cache;
static struct net_random drawn;
static uint64_t now;

static inline void start(uint32_t count_max, uint64_t seed_number)
{
    uint8_t seed[32] = {0};

    memcpy(seed, &seed_number, sizeof(seed_number));
    now = 3 * SEC;
    memset(memory, 0x5a, sizeof(memory));
    CHECK(ewi_net_neighbours_bytes(count_max) <= sizeof(memory));
    ewi_net_random_init(&drawn, seed);
    ewi_net_neighbours_init(&cache, memory, count_max, seed, &drawn, now);
}

static inline struct net_tuple name_of(uint32_t number)
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

static inline uint32_t find(uint32_t number)
{
    struct net_tuple name = name_of(number);

    return ewi_net_neighbours_find(&cache, name.local_port, name.family, name.remote);
}

static inline struct net_neighbour *at(uint32_t number)
{
    uint32_t index = find(number);

    CHECK(index != NET_NONE);
    return ewi_net_neighbour_at(&cache, index);
}

/* As link.c does it: room first. NET_NONE: refused. */
static inline uint32_t make(uint32_t number, enum net_neighbour_list list)
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

static inline bool hear(uint32_t number, uint32_t mac, bool is_answer, bool overrides)
{
    struct net_heard heard = {
        .mac = mac == 0 ? NULL : mac_of(mac),
        .is_answer = is_answer,
        .overrides = overrides,
    };

    return ewi_net_neighbour_hear(&cache, find(number), &heard, now);
}

static inline void is_sound(void)
{
    const char *fault = ewi_net_neighbours_check(&cache);

    if (fault != NULL)
        fprintf(stderr, "    %s\n", fault);
    CHECK(fault == NULL);
}

#endif
