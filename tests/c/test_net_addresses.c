/* tests/c/test_net_addresses.c - transport/net/addresses.h against a walk, and its steps in time. */
#include <errno.h>

#include "tests/c/harness.h"
#include "transport/net/addresses.h"
#include "transport/net/net.h"

#define SEC UINT64_C(1000000000)

enum { ADDRESSES = 100 };

static _Alignas(NET_ALIGN) uint8_t memory[65536];
static struct net_addresses addresses;
static struct net_random drawn;

static void start(uint32_t count_max)
{
    static const uint8_t seed[32] = "addresses";

    CHECK(ewi_net_addresses_bytes(count_max) <= sizeof(memory));
    memset(memory, 0x5a, sizeof(memory));
    ewi_net_addresses_init(&addresses, memory, count_max);
    ewi_net_random_init(&drawn, seed);
}

static struct net_address four(uint16_t port, uint8_t c, uint8_t d, uint8_t bits)
{
    return (struct net_address){.ip = {10, 0, c, d}, .port = port, .family = 4, .bits = bits};
}

static struct net_address six(uint16_t port, uint8_t host)
{
    return (struct net_address){.ip = {0xfd, [15] = host}, .port = port, .family = 6, .bits = 64};
}

static int add(struct net_address address, bool is_sure, uint64_t now)
{
    return ewi_net_addresses_add(&addresses, &address, is_sure, &drawn, now);
}

/* ---- names ---- */

/* What the names of an address are, said once more and slowly. */
static bool has_name(const struct net_address *address, enum net_name_kind kind, uint8_t family,
                     const uint8_t ip[16])
{
    uint8_t name[16];

    memcpy(name, address->ip, 16);
    if (address->family != family)
        return false;
    if (kind == NET_NAME_BROADCAST) {
        if (family != 4 || address->bits > 30)
            return false;
        for (unsigned i = address->bits; i < 32; i++)
            name[i / 8] |= (uint8_t)(1 << (7 - i % 8));
    }
    if (kind == NET_NAME_GROUP) {
        static const uint8_t prefix[13] = {0xff, 2, [11] = 1, 0xff};

        if (family != 6)
            return false;
        memcpy(name, prefix, 13);
    }
    return memcmp(name, ip, 16) == 0;
}

static bool is_named(uint16_t port, uint8_t family, const uint8_t ip[16], enum net_name_kind kind)
{
    for (uint32_t i = 0; i < addresses.count; i++)
        if (addresses.address[i].port == port &&
            has_name(&addresses.address[i], kind, family, ip))
            return true;
    return false;
}

static void draw_ip(struct harness_random *random, uint8_t family, uint8_t out[16])
{
    memset(out, 0, 16);
    out[0] = family == 4 ? 10 : harness_below(random, 3) == 0 ? 0xff : 0xfd;
    if (family == 4) {
        out[3] = (uint8_t)harness_next(random);
        out[2] = (uint8_t)harness_below(random, 3);
        return;
    }
    if (out[0] == 0xff) {
        out[1] = 2;
        out[11] = 1;
        out[12] = 0xff;
    }
    out[15] = (uint8_t)harness_below(random, 64);
    out[13] = (uint8_t)harness_below(random, 2);
}

static void compare_names(struct harness_random *random)
{
    uint8_t family = harness_below(random, 2) == 0 ? 4 : 6, ip[16];
    uint16_t port = (uint16_t)harness_below(random, 3);
    const struct net_name *name;

    draw_ip(random, family, ip);
    name = ewi_net_addresses_name(&addresses, port, family, ip);
    if (name == NULL) {
        for (int kind = 0; kind < 3; kind++)
            CHECK(!is_named(port, family, ip, (enum net_name_kind)kind));
    } else {
        CHECK(is_named(port, family, ip, (enum net_name_kind)name->kind));
    }
    CHECK_EQ(ewi_net_addresses_find(&addresses, port, family, ip) != NET_NONE,
             name != NULL && name->kind == NET_NAME_OWN);
}

static void compare_with_a_walk(uint64_t seed)
{
    struct harness_random random = {seed};

    for (int round = 0; round < 40; round++) {
        start(ADDRESSES);
        for (int i = 0; i < 120; i++) {
            uint8_t family = harness_below(&random, 2) == 0 ? 4 : 6;
            bool is_full;
            struct net_address new = {
                .family = family,
                .port = (uint16_t)harness_below(&random, 3),
                .bits = (uint8_t)(family == 4 ? 24 + harness_below(&random, 9) : 64),
            };

            do
                draw_ip(&random, family, new.ip);
            while (new.ip[0] == 0xff);
            is_full = addresses.count == ADDRESSES;
            if (ewi_net_addresses_name(&addresses, new.port, family, new.ip) != NULL)
                CHECK_EQ(add(new, true, 0), -EEXIST);
            else
                CHECK_EQ(add(new, true, 0), is_full ? -ENOSPC : 0);
            for (int n = 0; n < 10; n++)
                compare_names(&random);
        }
    }
}

static void an_address_is_there_once_at_each_port(void)
{
    start(4);
    CHECK_EQ(add(four(0, 0, 1, 24), true, 0), 0);
    CHECK_EQ(add(four(0, 0, 1, 16), true, 0), -EEXIST);
    CHECK_EQ(add(four(1, 0, 1, 24), true, 0), 0);
    CHECK_EQ(ewi_net_addresses_find(&addresses, 0, 4, four(0, 0, 1, 0).ip), 0);
    CHECK_EQ(ewi_net_addresses_find(&addresses, 1, 4, four(0, 0, 1, 0).ip), 1);
    CHECK_EQ(ewi_net_addresses_find(&addresses, 2, 4, four(0, 0, 1, 0).ip), NET_NONE);
    CHECK(ewi_net_addresses_find_any(&addresses, 4, four(0, 0, 1, 0).ip) != NET_NONE);
    CHECK_EQ(ewi_net_addresses_find_any(&addresses, 4, four(0, 0, 255, 0).ip), NET_NONE);
    CHECK_EQ(ewi_net_addresses_find_any(&addresses, 6, four(0, 0, 1, 0).ip), NET_NONE);
}

static void a_full_table_refuses(void)
{
    start(2);
    CHECK_EQ(add(four(0, 0, 1, 24), true, 0), 0);
    CHECK_EQ(add(six(0, 1), true, 0), 0);
    CHECK_EQ(add(six(0, 2), true, 0), -ENOSPC);
    CHECK_EQ(ewi_net_addresses_bytes(0), 0);
    CHECK_EQ(ewi_net_addresses_bytes(NET_ADDRESSES_MAX + 1), 0);
    CHECK(ewi_net_addresses_bytes(NET_ADDRESSES_MAX) > 0);
}

/* 256 balls in 256 boxes fill 162 of them; the last byte of an IPv6 address is the top of a word. */
static void addresses_that_differ_in_any_byte_spread(void)
{
    for (int at = 0; at < 16; at++) {
        bool used[256] = {false};
        uint8_t ip[16] = {0xfd};
        int boxes = 0;

        for (int value = 0; value < 256; value++) {
            uint32_t box;

            ip[at] = (uint8_t)value;
            box = ewi_net_address_mix(ip, 6) & 255;
            boxes += !used[box];
            used[box] = true;
        }
        CHECK(boxes > 120);
    }
    CHECK(ewi_net_address_mix((const uint8_t[16]){1}, 1) !=
          ewi_net_address_mix((const uint8_t[16]){1}, 2));
}

/* ---- steps ---- */

static void a_sure_one_has_no_steps(void)
{
    start(2);
    CHECK_EQ(add(four(0, 0, 1, 24), true, 0), 0);
    CHECK_EQ(addresses.next, NET_NEVER);
    CHECK_EQ(addresses.address[0].state, NET_ADDRESS_GOOD);
    CHECK_EQ(ewi_net_addresses_due(&addresses, 0, UINT64_MAX - 1), NET_NONE);
}

static void delays_are_drawn_within_their_bounds(void)
{
    uint64_t least = UINT64_MAX, most = 0;

    for (int i = 0; i < 300; i++) {
        static uint64_t again;
        struct net_address address = four(0, 0, 1, 24);
        static const uint8_t seed[32] = "bounds";

        ewi_net_addresses_init(&addresses, memory, 1);
        if (i == 0)
            ewi_net_random_init(&drawn, seed);
        CHECK_EQ(ewi_net_addresses_add(&addresses, &address, false, &drawn, 100), 0);
        again = addresses.address[0].at - 100;
        CHECK(again <= SEC);
        least = again < least ? again : least;
        most = again > most ? again : most;
    }
    CHECK(least < SEC / 20 && most > SEC - SEC / 20);
}

/* Three probes and two announcements, the waits between 4 and 7 s and another two, by sixteen. */
static void one_in_a_hurry_has_the_same_steps_faster(void)
{
    struct net_address address = four(0, 0, 1, 24);
    uint64_t now = 0, good = 0;
    int steps = 0;

    start(1);
    address.hurry = 16;
    CHECK_EQ(add(address, false, 0), 0);
    for (; addresses.address[0].at != NET_NEVER; steps++) {
        now = addresses.address[0].at;
        ewi_net_address_step(&addresses, 0, &drawn, now);
        if (good == 0 && addresses.address[0].state == NET_ADDRESS_GOOD)
            good = now;
    }
    CHECK_EQ(steps, 5);
    CHECK(good >= 4 * SEC / 16 && good <= 7 * SEC / 16);
    CHECK(now == good + 2 * SEC / 16);
}

static void next_is_the_earliest_step_of_all(void)
{
    struct harness_random random = {7};
    uint64_t now = 0;

    start(ADDRESSES);
    for (int i = 0; i < 2000; i++) {
        uint32_t index = 0;
        uint64_t earliest = NET_NEVER;

        if (i % 20 == 0)
            add(harness_below(&random, 2) == 0 ? four(0, 0, (uint8_t)(i / 20), 24)
                                               : six(0, (uint8_t)(i / 20)),
                false, now);
        now += harness_below(&random, SEC / 8);
        while ((index = ewi_net_addresses_due(&addresses, index, now)) != NET_NONE) {
            CHECK(addresses.address[index].at <= now);
            ewi_net_address_step(&addresses, index, &drawn, now);
            if (harness_below(&random, 4) == 0)
                ewi_net_address_again(&addresses, index, now);
            index++;
        }
        ewi_net_addresses_due(&addresses, 0, now);
        for (uint32_t n = 0; n < addresses.count; n++)
            earliest = addresses.address[n].at < earliest ? addresses.address[n].at : earliest;
        CHECK_EQ(addresses.next, earliest);
        CHECK(earliest > now);
    }
    for (uint32_t n = 0; n < addresses.count; n++)
        if (addresses.address[n].at == NET_NEVER)
            CHECK_EQ(addresses.address[n].state, NET_ADDRESS_GOOD);
}

/* I2: a step that was not sent is no step */
static void a_message_that_was_not_sent_does_not_count(void)
{
    int probes = 0, steps = 0;
    uint64_t now;

    start(1);
    CHECK_EQ(add(four(0, 0, 1, 24), false, 0), 0);
    while (addresses.address[0].state == NET_ADDRESS_TENTATIVE) {
        now = addresses.address[0].at;
        if (ewi_net_address_step(&addresses, 0, &drawn, now) == NET_SAY_PROBE) {
            if (++steps % 3 == 0)
                probes++;
            else
                ewi_net_address_again(&addresses, 0, now);
            CHECK(steps % 3 == 0 || addresses.address[0].at == now + 10000000);
        }
    }
    CHECK_EQ(probes, 3);
}

static void a_conflict_ends_only_what_is_tentative(void)
{
    start(3);
    CHECK_EQ(add(four(0, 0, 1, 24), false, 0), 0);
    CHECK_EQ(add(four(0, 0, 2, 24), true, 0), 0);
    CHECK_EQ(add(six(0, 2), true, 0), 0);
    CHECK(!ewi_net_address_conflict(&addresses, 0, 5));
    CHECK_EQ(addresses.address[0].state, NET_ADDRESS_TWICE);
    CHECK_EQ(addresses.address[0].at, NET_NEVER);
    CHECK(!ewi_net_address_conflict(&addresses, 0, 6));
    CHECK(ewi_net_address_conflict(&addresses, 1, 5));
    CHECK(!ewi_net_address_conflict(&addresses, 1, 5 + 10 * SEC - 1));
    CHECK(ewi_net_address_conflict(&addresses, 1, 5 + 10 * SEC));
    CHECK_EQ(addresses.address[1].state, NET_ADDRESS_GOOD);
    CHECK(!ewi_net_address_conflict(&addresses, 2, 5)); /* NDP has no defence */
    CHECK_EQ(addresses.address[2].state, NET_ADDRESS_GOOD);
}

int main(int argc, char **argv)
{
    RUN(an_address_is_there_once_at_each_port);
    RUN(a_full_table_refuses);
    RUN(addresses_that_differ_in_any_byte_spread);
    RUN(a_sure_one_has_no_steps);
    RUN(delays_are_drawn_within_their_bounds);
    RUN(one_in_a_hurry_has_the_same_steps_faster);
    RUN(next_is_the_earliest_step_of_all);
    RUN(a_message_that_was_not_sent_does_not_count);
    RUN(a_conflict_ends_only_what_is_tentative);
    HARNESS_FOR_EACH_SEED(argc, argv, seed) {
        compare_with_a_walk(seed);
    }
    return 0;
}
