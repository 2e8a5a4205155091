/* tests/c/test_net_listeners.c - transport/net/listeners.h: most specific first. */
#include "tests/c/harness.h"
#include "transport/net/listeners.h"

enum { LISTENERS = 64 };

struct listener { /* the key is not at the start */
    uint64_t before;
    struct net_listen listen;
};

static struct listener listener[LISTENERS];
static _Alignas(NET_ALIGN) uint8_t memory[1024];
static struct net_listeners listeners;

static const struct net_listen one = {.address = {10, 0, 0, 1}, .port = 80, .family = 4};
static const struct net_listen any4 = {.port = 80, .family = 4};
static const struct net_listen any = {.port = 80};
static const struct net_listen any6 = {.port = 80, .family = 6};
static const struct net_listen local6 = {
    .address = {0xfe, 0x80, [15] = 1}, .port = 80, .family = 6};

static void start(void)
{
    struct net_rows rows = {(uint8_t *)&listener[0].listen, sizeof(listener[0])};

    CHECK(ewi_net_listeners_bytes(LISTENERS) <= sizeof(memory));
    memset(memory, 0, sizeof(memory));
    ewi_net_listeners_init(&listeners, memory, LISTENERS, rows);
}

static int add(uint32_t index, struct net_listen listen)
{
    listener[index].listen = listen;
    return ewi_net_listeners_add(&listeners, index);
}

static uint32_t find(struct net_listen local)
{
    return ewi_net_listeners_find(&listeners, &local);
}

static void sizes_out_of_range_are_refused(void)
{
    CHECK_EQ(ewi_net_listeners_bytes(0), 0);
    CHECK_EQ(ewi_net_listeners_bytes(NET_ROWS_MAX + 1), 0);
    CHECK_EQ(ewi_net_listeners_bytes(1), 8 * 4);
    CHECK_EQ(ewi_net_listeners_bytes(9), 16 * 4);
    CHECK_EQ(ewi_net_listeners_bytes(NET_ROWS_MAX), (size_t)NET_ROWS_MAX * 4);
}

static void the_most_specific_one_is_found(void)
{
    start();
    CHECK(find(one) == NET_NONE);
    CHECK_EQ(add(1, any), EW_OK);
    CHECK(find(one) == 1);
    CHECK_EQ(add(2, any4), EW_OK);
    CHECK(find(one) == 2);
    CHECK_EQ(add(3, one), EW_OK);
    CHECK(find(one) == 3);
    CHECK(ewi_net_listeners_remove(&listeners, 2));
    CHECK(find(one) == 3);
    CHECK(ewi_net_listeners_remove(&listeners, 3));
    CHECK(find(one) == 1);
    CHECK(ewi_net_listeners_remove(&listeners, 1));
    CHECK(find(one) == NET_NONE);
    CHECK_EQ(listeners.used, 0);
}

static void another_address_port_or_family_is_another_listener(void)
{
    struct net_listen other = one;

    start();
    CHECK_EQ(add(1, one), EW_OK);
    other.address[3] = 2;
    CHECK(find(other) == NET_NONE);
    other = one;
    other.port = 81;
    CHECK(find(other) == NET_NONE);
    other = one;
    other.family = 6; /* the same bytes */
    CHECK(find(other) == NET_NONE);
}

static void any_of_one_family_does_not_take_the_other(void)
{
    start();
    CHECK_EQ(add(1, any4), EW_OK);
    CHECK(find(local6) == NET_NONE);
    CHECK_EQ(add(2, any6), EW_OK);
    CHECK(find(local6) == 2);
    CHECK(find(one) == 1);
}

/* RFC 4007: one link-local address may be on two links. */
static void a_listener_on_one_link_comes_before_one_on_every_link(void)
{
    struct net_listen link1 = local6, link2 = local6;

    link1.scope = 1;
    link2.scope = 2;
    start();
    CHECK_EQ(add(1, link1), EW_OK);
    CHECK(find(link1) == 1);
    CHECK(find(link2) == NET_NONE);
    CHECK_EQ(add(2, local6), EW_OK);
    CHECK(find(link1) == 1);
    CHECK(find(link2) == 2);
    CHECK_EQ(add(3, any6), EW_OK);
    CHECK(find(link2) == 2);
}

static void the_same_twice_is_refused(void)
{
    start();
    CHECK_EQ(add(1, one), EW_OK);
    CHECK_EQ(add(2, one), EW_EINUSE);
    CHECK_EQ(add(3, any4), EW_OK); /* goes together */
    CHECK_EQ(add(4, any4), EW_EINUSE);
    CHECK_EQ(listeners.used, 2);
    CHECK(!ewi_net_listeners_remove(&listeners, 2));
}

static void what_nobody_could_ever_find_is_refused(void)
{
    struct net_listen bad = one;

    start();
    bad.port = 0;
    CHECK_EQ(add(1, bad), EW_EINVAL);
    bad = one;
    bad.family = 5;
    CHECK_EQ(add(1, bad), EW_EINVAL);
    bad = one;
    bad.address[4] = 1; /* behind the four bytes */
    CHECK_EQ(add(1, bad), EW_EINVAL);
    bad = one;
    bad.scope = 1;
    CHECK_EQ(add(1, bad), EW_EINVAL);
    bad = any;
    bad.address[0] = 1; /* an address without a family */
    CHECK_EQ(add(1, bad), EW_EINVAL);
    bad = any6;
    bad.scope = 1;
    CHECK_EQ(add(1, bad), EW_EINVAL);
    CHECK_EQ(listeners.used, 0);
}

static void removing_from_a_chain_leaves_the_others(void)
{
    struct net_rows rows = {(uint8_t *)&listener[0].listen, sizeof(listener[0])};

    start();
    ewi_net_listeners_init(&listeners, memory, 1, rows); /* few heads: chains */
    for (uint32_t i = 0; i < LISTENERS; i++) {
        struct net_listen listen = one;

        listen.port = (uint16_t)(i + 1);
        CHECK_EQ(add(i, listen), EW_OK);
    }
    for (uint32_t i = 0; i < LISTENERS; i += 3)
        CHECK(ewi_net_listeners_remove(&listeners, i));
    for (uint32_t i = 0; i < LISTENERS; i++) {
        CHECK(find(listener[i].listen) == (i % 3 == 0 ? NET_NONE : i));
        CHECK(ewi_net_listeners_remove(&listeners, i) == (i % 3 != 0));
    }
    CHECK_EQ(listeners.used, 0);
}

/* How well a listener matches, 0: not at all. */
static int score(const struct net_listen *listen, const struct net_listen *local)
{
    static const uint8_t zeros[16];
    bool is_any = memcmp(listen->address, zeros, 16) == 0;

    if (listen->port != local->port || (listen->family != 0 && listen->family != local->family))
        return 0;
    if (is_any)
        return listen->family == 0 ? 1 : 2;
    if (memcmp(listen->address, local->address, 16) != 0)
        return 0;
    if (listen->scope == 0)
        return 3;
    return listen->scope == local->scope ? 4 : 0;
}

static struct net_listen some_listen(struct harness_random *random)
{
    struct net_listen listen = {.port = (uint16_t)harness_between(random, 1, 3)};

    listen.family = (uint8_t)(2 * harness_between(random, 0, 3)); /* 2 is no family */
    listen.address[harness_below(random, 8) == 0 ? 15 : 0] = (uint8_t)harness_below(random, 3);
    listen.scope = (uint16_t)(harness_below(random, 3) == 0 ? harness_below(random, 3) : 0);
    return listen;
}

static void random_listeners_agree_with_a_score(uint64_t seed)
{
    struct harness_random random = {seed};
    bool is_in[LISTENERS] = {false};

    start();
    if (seed % 2 == 0)
        listeners.mask = 0; /* one chain: everybody meets */
    for (int step = 0; step < 5000; step++) {
        uint32_t i = (uint32_t)harness_below(&random, LISTENERS), best = NET_NONE;
        struct net_listen local = some_listen(&random);

        if (is_in[i])
            CHECK(ewi_net_listeners_remove(&listeners, i));
        is_in[i] = !is_in[i] && add(i, some_listen(&random)) == EW_OK;
        if (local.family != 4 && local.family != 6)
            continue;
        for (uint32_t k = 0; k < LISTENERS; k++)
            if (is_in[k] && score(&listener[k].listen, &local) >
                                (best == NET_NONE ? 0 : score(&listener[best].listen, &local)))
                best = k;
        CHECK(find(local) == best);
    }
}

int main(int argc, char **argv)
{
    RUN(sizes_out_of_range_are_refused);
    RUN(the_most_specific_one_is_found);
    RUN(another_address_port_or_family_is_another_listener);
    RUN(any_of_one_family_does_not_take_the_other);
    RUN(a_listener_on_one_link_comes_before_one_on_every_link);
    RUN(the_same_twice_is_refused);
    RUN(what_nobody_could_ever_find_is_refused);
    RUN(removing_from_a_chain_leaves_the_others);
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
        random_listeners_agree_with_a_score(seed);
    return 0;
}
