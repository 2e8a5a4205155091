/* tests/c/test_net_tuple.c - transport/net/tuple.h: the hash is SipHash-1-3 of the name. */
#include "tests/c/harness.h"
#include "transport/net/tuple.h"
#include "transport/siphash.h"

static uint64_t rotated(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static void rounds(uint64_t v[4], int count)
{
    for (int i = 0; i < count; i++) {
        v[0] += v[1], v[1] = rotated(v[1], 13) ^ v[0], v[0] = rotated(v[0], 32);
        v[2] += v[3], v[3] = rotated(v[3], 16) ^ v[2];
        v[0] += v[3], v[3] = rotated(v[3], 21) ^ v[0];
        v[2] += v[1], v[1] = rotated(v[1], 17) ^ v[2], v[2] = rotated(v[2], 32);
    }
}

/* SipHash with any number of rounds, one byte at a time, after the paper. */
static uint64_t slow_siphash(int c, int d, const uint8_t key[16], const uint8_t *data, size_t bytes)
{
    uint64_t k[2] = {0, 0}, word = 0, v[4];

    for (int i = 0; i < 16; i++)
        k[i / 8] |= (uint64_t)key[i] << (8 * (i % 8));
    v[0] = k[0] ^ UINT64_C(0x736f6d6570736575);
    v[1] = k[1] ^ UINT64_C(0x646f72616e646f6d);
    v[2] = k[0] ^ UINT64_C(0x6c7967656e657261);
    v[3] = k[1] ^ UINT64_C(0x7465646279746573);
    for (size_t i = 0; i <= bytes / 8 * 8 + 7; i++) {
        uint64_t byte = i < bytes ? data[i] : i % 8 == 7 ? bytes & 0xff : 0;

        word |= byte << (8 * (i % 8));
        if (i % 8 == 7) {
            v[3] ^= word;
            rounds(v, c);
            v[0] ^= word;
            word = 0;
        }
    }
    v[2] ^= 0xff;
    rounds(v, d);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* The slow one is right: 2-4 against our own, 1-3 against the authors' numbers. */
static void the_slow_hash_gives_the_reference_numbers(void)
{
    uint8_t key[16], zeros[16] = {0}, input[64];

    for (int i = 0; i < 64; i++)
        input[i] = (uint8_t)i;
    memcpy(key, input, sizeof(key));
    for (size_t bytes = 0; bytes <= sizeof(input); bytes++)
        CHECK(slow_siphash(2, 4, key, input, bytes) == ewi_siphash(key, input, bytes));
    CHECK(slow_siphash(1, 3, key, input, 0) == UINT64_C(0xabac0158050fc4dc));
    CHECK(slow_siphash(1, 3, zeros, input, 0) == UINT64_C(0xd1fba762150c532c));
    CHECK(slow_siphash(1, 3, zeros, input, 1) == UINT64_C(0x68a914128e01e473));
}

static struct net_tuple some_tuple(struct harness_random *random, uint8_t family)
{
    struct net_tuple tuple = {.family = family};
    int bytes = family == 4 ? 4 : 16;

    for (int i = 0; i < bytes; i++) {
        tuple.local[i] = (uint8_t)harness_next(random);
        tuple.remote[i] = (uint8_t)harness_next(random);
    }
    tuple.local_port = (uint16_t)harness_next(random);
    tuple.remote_port = (uint16_t)harness_next(random);
    tuple.scope = family == 4 ? 0 : (uint16_t)harness_next(random);
    return tuple;
}

static void the_hash_is_that_of_the_name_in_bytes(uint64_t seed)
{
    struct harness_random random = {seed};

    for (int i = 0; i < 200; i++) {
        struct net_tuple tuple = some_tuple(&random, i % 2 == 0 ? 4 : 6);
        size_t bytes = i % 2 == 0 ? 4 : 16;
        uint8_t key[16], name[40];

        for (int k = 0; k < 16; k++)
            key[k] = (uint8_t)harness_next(&random);
        memcpy(name, (uint8_t *)&tuple + 32, 8);
        memcpy(name + 8, tuple.local, bytes);
        memcpy(name + 8 + bytes, tuple.remote, bytes);
        CHECK(ewi_net_tuple_hash(key, &tuple) == slow_siphash(1, 3, key, name, 8 + 2 * bytes));
    }
}

/* catches: a field left out of the hash */
static void every_bit_of_the_name_and_the_key_matters(uint64_t seed)
{
    struct harness_random random = {seed};
    struct net_tuple tuple = some_tuple(&random, 6), other;
    uint8_t key[16] = {1, 2, 3};
    uint64_t hash = ewi_net_tuple_hash(key, &tuple);

    for (size_t bit = 0; bit < 8 * offsetof(struct net_tuple, family); bit++) {
        other = tuple;
        ((uint8_t *)&other)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK(ewi_net_tuple_hash(key, &other) != hash);
        CHECK(!ewi_net_tuple_equals(&tuple, &other));
    }
    for (int bit = 0; bit < 128; bit++) {
        key[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK(ewi_net_tuple_hash(key, &tuple) != hash);
        key[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    CHECK(ewi_net_tuple_hash(key, &tuple) == hash);
}

/* I2. catches: an IPv6 packet with the bytes of an IPv4 connection that reaches it */
static void ipv4_never_equals_ipv6(void)
{
    struct net_tuple four = {.local = {10, 0, 0, 1}, .remote = {10, 0, 0, 2}, .family = 4};
    struct net_tuple six = four;
    uint8_t key[16] = {0};

    six.family = 6;
    CHECK(!ewi_net_tuple_equals(&four, &six));
    CHECK(ewi_net_tuple_hash(key, &four) != ewi_net_tuple_hash(key, &six));
}

static void both_directions_of_one_pair_differ(void)
{
    struct net_tuple there = {.local = {10, 0, 0, 1}, .remote = {10, 0, 0, 2}, .local_port = 1,
                              .remote_port = 2, .family = 4};
    struct net_tuple back = {.local = {10, 0, 0, 2}, .remote = {10, 0, 0, 1}, .local_port = 2,
                             .remote_port = 1, .family = 4};
    uint8_t key[16] = {7};

    CHECK(ewi_net_tuple_hash(key, &there) != ewi_net_tuple_hash(key, &back));
}

int main(int argc, char **argv)
{
    RUN(the_slow_hash_gives_the_reference_numbers);
    RUN(ipv4_never_equals_ipv6);
    RUN(both_directions_of_one_pair_differ);
    HARNESS_FOR_EACH_SEED(argc, argv, seed) {
        the_hash_is_that_of_the_name_in_bytes(seed);
        every_bit_of_the_name_and_the_key_matters(seed);
    }
    return 0;
}
