/* tests/c/test_net_route.c - transport/net/route.h against a walk over all routes. */
#include <errno.h>

#include "tests/c/harness.h"
#include "transport/net/route.h"

enum { ROUTES = 64 };

static struct net_route memory[ROUTES];
static struct net_routes routes;

struct plain { /* as it was added */
    uint8_t to[16], via[16];
    uint16_t port;
    uint8_t family;
    unsigned bits;
    bool has_via;
};

static struct plain plain[ROUTES];
static uint32_t plains;

static void start(void)
{
    ewi_net_routes_init(&routes, memory, ROUTES);
    plains = 0;
}

static int add(uint8_t family, const uint8_t to[16], unsigned bits, uint16_t port, const uint8_t *via)
{
    int code = ewi_net_routes_add(&routes, family, to, bits, port, via);

    if (code == 0) {
        struct plain *new = &plain[plains++];

        *new = (struct plain){.port = port, .family = family, .bits = bits, .has_via = via != NULL};
        memcpy(new->to, to, 16);
        if (via != NULL)
            memcpy(new->via, via, 16);
    }
    return code;
}

static bool plain_covers(const struct plain *route, uint8_t family, const uint8_t address[16])
{
    if (route->family != family)
        return false;
    for (unsigned i = 0; i < route->bits; i++)
        if (((route->to[i / 8] ^ address[i / 8]) >> (7 - i % 8) & 1) != 0)
            return false;
    return true;
}

/* port < 0: any. Among the longest the first by this port, else the first. */
static const struct plain *plain_find(uint8_t family, const uint8_t address[16], int port)
{
    const struct plain *best = NULL;

    for (uint32_t i = 0; i < plains; i++) {
        const struct plain *route = &plain[i];

        if (!plain_covers(route, family, address))
            continue;
        if (best == NULL || route->bits > best->bits ||
            (route->bits == best->bits && route->port == port && best->port != port))
            best = route;
    }
    return best;
}

static bool plain_on_link(uint8_t family, const uint8_t address[16], uint16_t port)
{
    for (uint32_t i = 0; i < plains; i++)
        if (plain[i].port == port && !plain[i].has_via && plain_covers(&plain[i], family, address))
            return true;
    return false;
}

static void check_same(const struct net_route *have, const struct plain *want)
{
    CHECK((have == NULL) == (want == NULL));
    if (have == NULL)
        return;
    CHECK_EQ(have->port, want->port);
    CHECK_EQ(have->bits, want->bits);
    CHECK_EQ(have->has_via, want->has_via);
    CHECK(memcmp(have->to, want->to, 16) == 0);
    CHECK(!have->has_via || memcmp(have->via, want->via, 16) == 0);
}

static const uint8_t ten[16] = {10}, ten_one[16] = {10, 1}, ten_one_two[16] = {10, 1, 2};
static const uint8_t zero[16];

static void the_longest_prefix_wins_in_any_order(void)
{
    static const uint8_t address[16] = {10, 1, 2, 3}, other[16] = {10, 1, 3, 3}, far[16] = {9};

    start();
    CHECK_EQ(add(4, ten_one, 16, 1, NULL), 0);
    CHECK_EQ(add(4, ten_one_two, 24, 2, NULL), 0);
    CHECK_EQ(add(4, ten, 8, 3, NULL), 0);
    CHECK_EQ(add(4, zero, 0, 4, ten), 0);
    CHECK_EQ(ewi_net_routes_find(&routes, 4, address)->port, 2);
    CHECK_EQ(ewi_net_routes_find(&routes, 4, other)->port, 1);
    CHECK_EQ(ewi_net_routes_find(&routes, 4, far)->port, 4);
    CHECK(ewi_net_routes_find(&routes, 6, far) == NULL);
}

static void the_families_do_not_mix(void)
{
    start();
    CHECK_EQ(add(6, zero, 0, 1, NULL), 0);
    CHECK(ewi_net_routes_find(&routes, 4, ten) == NULL);
    CHECK_EQ(add(4, zero, 0, 2, NULL), 0);
    CHECK_EQ(ewi_net_routes_find(&routes, 4, ten)->port, 2);
    CHECK_EQ(ewi_net_routes_find(&routes, 6, ten)->port, 1);
}

static void of_equal_prefixes_the_first_or_that_of_the_port(void)
{
    start();
    CHECK_EQ(add(4, ten_one, 16, 1, NULL), 0);
    CHECK_EQ(add(4, ten, 16, 7, NULL), 0); /* another prefix of that length between them */
    CHECK_EQ(add(4, ten_one, 16, 2, NULL), 0);
    CHECK_EQ(ewi_net_routes_find(&routes, 4, ten_one)->port, 1);
    CHECK(ewi_net_routes_find(&routes, 4, ten_one)->is_tied);
    CHECK(!ewi_net_routes_find(&routes, 4, ten)->is_tied);
    CHECK_EQ(ewi_net_routes_find_by(&routes, 4, ten_one, 2)->port, 2);
    CHECK_EQ(ewi_net_routes_find_by(&routes, 4, ten_one, 7)->port, 1);
}

static void impossible_and_double_routes_are_refused(void)
{
    uint8_t bit[16] = {10, 1, 2, 1};

    start();
    CHECK_EQ(add(4, ten, 33, 0, NULL), -EINVAL);
    CHECK_EQ(add(6, ten, 129, 0, NULL), -EINVAL);
    CHECK_EQ(add(4, bit, 31, 0, NULL), -EINVAL);
    CHECK_EQ(add(4, bit, 32, 0, NULL), 0);
    CHECK_EQ(add(4, bit, 32, 0, ten), -EEXIST);
    CHECK_EQ(add(6, bit, 128, 0, ten), 0);
    CHECK_EQ(ewi_net_routes_bytes(0), 0);
    CHECK_EQ(ewi_net_routes_bytes(NET_ROUTES_MAX + 1), 0);
    CHECK(ewi_net_routes_bytes(ROUTES) == sizeof(memory));
}

static void a_full_table_refuses_and_stays(void)
{
    uint8_t to[16] = {10};

    start();
    for (uint8_t i = 0; i < ROUTES; i++) {
        to[1] = i;
        CHECK_EQ(add(4, to, 16, 0, NULL), 0);
    }
    to[1] = ROUTES;
    CHECK_EQ(add(4, to, 16, 0, NULL), -ENOSPC);
    for (uint8_t i = 0; i < ROUTES; i++) {
        to[1] = i;
        CHECK(memcmp(ewi_net_routes_find(&routes, 4, to)->to, to, 16) == 0);
    }
}

static void bits_in_common_are_counted_up_to_the_length_of_the_family(void)
{
    uint8_t a[16] = {10, 1, 2, 3}, b[16] = {10, 1, 2, 3};

    CHECK_EQ(ewi_net_bits_in_common(4, a, b), 32);
    CHECK_EQ(ewi_net_bits_in_common(6, a, b), 128);
    for (unsigned i = 0; i < 128; i++) {
        b[i / 8] ^= (uint8_t)(0x80 >> i % 8);
        CHECK_EQ(ewi_net_bits_in_common(6, a, b), i);
        CHECK_EQ(ewi_net_bits_in_common(4, a, b), i < 32 ? i : 32);
        b[i / 8] ^= (uint8_t)(0x80 >> i % 8);
    }
}

/* Few different bits, so that prefixes nest, repeat and tie. */
static void draw(struct harness_random *random, uint8_t family, uint8_t out[16])
{
    memset(out, 0, 16);
    for (int i = 0; i < (family == 4 ? 4 : 16); i++)
        out[i] = harness_below(random, 3) == 0 ? (uint8_t)harness_next(random) : 0x55;
}

static void clear_behind(uint8_t address[16], unsigned bits)
{
    for (unsigned i = bits; i < 128; i++)
        address[i / 8] &= (uint8_t)~(0x80 >> i % 8);
}

static void add_one(struct harness_random *random)
{
    uint8_t family = harness_below(random, 2) == 0 ? 4 : 6, to[16], via[16];
    unsigned bits = (unsigned)harness_below(random, family == 4 ? 33 : 129);

    draw(random, family, to);
    draw(random, family, via);
    clear_behind(to, bits);
    add(family, to, bits, (uint16_t)harness_below(random, 3),
        harness_below(random, 2) == 0 ? via : NULL);
}

static void look_up_one(struct harness_random *random)
{
    uint8_t family = harness_below(random, 2) == 0 ? 4 : 6, address[16];
    uint16_t port = (uint16_t)harness_below(random, 4);

    draw(random, family, address);
    check_same(ewi_net_routes_find(&routes, family, address), plain_find(family, address, -1));
    check_same(ewi_net_routes_find_by(&routes, family, address, port),
               plain_find(family, address, port));
    CHECK_EQ(ewi_net_routes_on_link(&routes, family, address, port),
             plain_on_link(family, address, port));
}

static void compare_with_a_walk(uint64_t seed)
{
    struct harness_random random = {seed};

    for (int round = 0; round < 200; round++) {
        start();
        for (int i = 0; i < 70; i++) {
            add_one(&random);
            for (int n = 0; n < 5; n++)
                look_up_one(&random);
        }
    }
}

int main(int argc, char **argv)
{
    RUN(the_longest_prefix_wins_in_any_order);
    RUN(the_families_do_not_mix);
    RUN(of_equal_prefixes_the_first_or_that_of_the_port);
    RUN(impossible_and_double_routes_are_refused);
    RUN(a_full_table_refuses_and_stays);
    RUN(bits_in_common_are_counted_up_to_the_length_of_the_family);
    HARNESS_FOR_EACH_SEED(argc, argv, seed) {
        compare_with_a_walk(seed);
    }
    return 0;
}
