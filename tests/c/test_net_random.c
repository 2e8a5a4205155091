/* tests/c/test_net_random.c - transport/net/random.h: repeatable inside, unpredictable outside. */
#include "tests/c/harness.h"
#include "transport/net/random.h"
#include "transport/siphash.h"

static const uint8_t seed_a[32] = "the first seed of thirty-two byt";
static const uint8_t seed_b[32] = "the first seed of thirty-two byu"; /* differs in the last bit */

static struct net_random random_of(const uint8_t seed[32])
{
    struct net_random random;

    ewi_net_random_init(&random, seed);
    return random;
}

static const struct net_tuple tuple = {.local = {10, 0, 0, 1}, .remote = {10, 0, 0, 2},
                                       .local_port = 1000, .remote_port = 80, .family = 4};

static void the_same_seed_gives_the_same_numbers(void)
{
    struct net_random a = random_of(seed_a), again = random_of(seed_a), b = random_of(seed_b);

    for (int i = 0; i < 100; i++) {
        uint64_t number = ewi_net_random_next(&a);

        CHECK(number == ewi_net_random_next(&again));
        CHECK(number != ewi_net_random_next(&b));
    }
}

/* Written down once: a run of last year can be repeated. */
static void the_numbers_do_not_change_from_version_to_version(void)
{
    static const uint8_t zeros[32] = {0};
    struct net_random random = random_of(zeros);
    uint64_t first = ewi_net_random_next(&random);

    CHECK(first == UINT64_C(0x5590e82f82bda60b));
}

/* I1. catches: half of the seed, or the purpose, left out */
static void keys_depend_on_purpose_and_on_every_bit_of_the_seed(void)
{
    uint8_t seed[32], key[16], other[16];

    memcpy(seed, seed_a, sizeof(seed));
    ewi_net_key(key, seed, NET_KEY_ISN);
    ewi_net_key(other, seed, NET_KEY_PORTS);
    CHECK(memcmp(key, other, 8) != 0 && memcmp(key + 8, other + 8, 8) != 0);
    CHECK(memcmp(key, key + 8, 8) != 0); /* the halves are not the same */
    for (int bit = 0; bit < 256; bit++) {
        seed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ewi_net_key(other, seed, NET_KEY_ISN);
        CHECK(memcmp(key, other, 8) != 0 && memcmp(key + 8, other + 8, 8) != 0);
        seed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void numbers_below_a_bound_are_below_it_and_all_there(void)
{
    static const uint64_t large[] = {UINT64_MAX, UINT64_MAX / 2 + 2, (UINT64_C(1) << 63) + 1};
    struct net_random random = random_of(seed_a);

    for (uint64_t bound = 1; bound <= 20; bound++) {
        uint32_t seen = 0;

        for (int i = 0; i < 2000; i++) {
            uint64_t number = ewi_net_random_below(&random, bound);

            CHECK(number < bound);
            seen |= 1u << number;
        }
        CHECK_EQ(seen, (1u << bound) - 1);
    }
    for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++)
        for (int k = 0; k < 1000; k++)
            CHECK(ewi_net_random_below(&random, large[i]) < large[i]);
}

/* catches: number * bound >> 64 without the rejection. With this bound a third of all numbers would
 * be twice as likely as the others: 3 * 2^62 values for 2^64 draws. */
static void no_number_is_likelier_than_another(void)
{
    struct net_random random = random_of(seed_a);
    const uint64_t bound = UINT64_C(3) << 62;
    int of_third[3] = {0, 0, 0};

    for (int i = 0; i < 30000; i++)
        of_third[ewi_net_random_below(&random, bound) % 3] += 1;
    for (int i = 0; i < 3; i++)
        CHECK(of_third[i] > 9500 && of_third[i] < 10500); /* six standard deviations */
}

static void jitter_stays_in_its_part_and_reaches_both_ends(void)
{
    struct net_random random = random_of(seed_a);
    bool low = false, high = false;

    for (int i = 0; i < 2000; i++) {
        uint64_t ns = ewi_net_random_jitter(&random, 80, 8);

        CHECK(ns >= 70 && ns <= 90);
        low = low || ns == 70;
        high = high || ns == 90;
    }
    CHECK(low && high);
}

static void jitter_of_boundary_times_stays_in_range(void)
{
    struct net_random random = random_of(seed_a);
    const uint64_t half = UINT64_C(1) << 63;
    bool low = false, high = false;

    for (int i = 0; i < 1000; i++) {
        uint64_t ns = ewi_net_random_jitter(&random, half, 1); /* 0 .. 2^64 */

        low = low || ns < half;
        high = high || ns > half;
        CHECK_EQ(ewi_net_random_jitter(&random, 0, 4), 0);
        CHECK(ewi_net_random_jitter(&random, 3, 4) == 3);
        CHECK(ewi_net_random_jitter(&random, UINT64_MAX, 8) >= UINT64_MAX - UINT64_MAX / 8);
        (void)ewi_net_random_jitter(&random, UINT64_MAX, 1); /* any, without overflow */
        CHECK(ewi_net_random_jitter(&random, 100, 1) <= 200);
    }
    CHECK(low && high);
}

/* RFC 6528 section 3: for one four-tuple the numbers follow the clock of 4 us. */
static void rfc_6528_isn_follows_the_clock(void)
{
    uint8_t key[16];
    uint32_t first;

    ewi_net_key(key, seed_a, NET_KEY_ISN);
    first = ewi_net_isn(key, &tuple, 0);
    CHECK(ewi_net_isn(key, &tuple, 3999) == first);
    CHECK(ewi_net_isn(key, &tuple, 4000) == first + 1);
    CHECK(ewi_net_isn(key, &tuple, UINT64_C(8000000000)) == first + 2000000);
    /* the clock goes round in 4.8 hours */
    CHECK(ewi_net_isn(key, &tuple, ((UINT64_C(1) << 32) + 5) * 4000) == first + 5);
}

/* RFC 6528 section 3: F depends on both addresses, both ports and the key. */
static void rfc_6528_isn_depends_on_the_whole_four_tuple_and_the_key(void)
{
    uint8_t key[16], other_key[16];
    struct net_tuple other = tuple;
    uint32_t first;

    ewi_net_key(key, seed_a, NET_KEY_ISN);
    ewi_net_key(other_key, seed_b, NET_KEY_ISN);
    first = ewi_net_isn(key, &tuple, 0);
    CHECK(ewi_net_isn(other_key, &tuple, 0) != first);
    for (size_t byte = 0; byte < sizeof(tuple); byte++) {
        ((uint8_t *)&other)[byte] ^= 1;
        CHECK(ewi_net_isn(key, &other, 0) != first);
        ((uint8_t *)&other)[byte] ^= 1;
    }
}

static struct net_ids ids_of(const uint8_t seed[32])
{
    struct net_random random = random_of(seed);
    struct net_ids ids;

    ewi_net_ids_init(&ids, seed, &random);
    return ids;
}

/* I2. RFC 6864 section 4.3: no identification comes twice while fragments may be on their way. */
static void rfc_6864_ids_of_one_destination_do_not_repeat(void)
{
    static bool seen[1 << 16];
    struct net_ids ids = ids_of(seed_a);

    for (int i = 0; i < 1 << 16; i++) {
        uint16_t id = (uint16_t)ewi_net_ids_next(&ids, &tuple, 17);

        CHECK(!seen[id]);
        seen[id] = true;
    }
}

/* RFC 7739 section 5.3: one destination's numbers tell nothing about another's. */
static void rfc_7739_ids_of_destinations_have_nothing_in_common(void)
{
    struct net_ids ids = ids_of(seed_a);
    struct net_tuple other = tuple;
    int near = 0;

    for (int i = 0; i < 250; i++) {
        uint32_t a = ewi_net_ids_next(&ids, &tuple, 17), b;

        other.remote[3] = (uint8_t)(i + 3);
        b = ewi_net_ids_next(&ids, &other, 17);
        near += a - b + 1000 < 2000;
    }
    CHECK_EQ(near, 0);
    CHECK(ewi_net_ids_next(&ids, &tuple, 6) - ewi_net_ids_next(&ids, &tuple, 17) + 1000 > 2000);
}

static void ports_do_not_change_the_ids_of_a_destination(void)
{
    struct net_ids ids = ids_of(seed_a);
    struct net_tuple other = tuple;
    uint32_t first = ewi_net_ids_next(&ids, &tuple, 17);

    other.local_port = 7;
    CHECK(ewi_net_ids_next(&ids, &other, 17) == first + 1);
}

static void ids_repeat_with_their_seed(void)
{
    struct net_ids a = ids_of(seed_a), again = ids_of(seed_a), b = ids_of(seed_b);
    uint32_t first = ewi_net_ids_next(&a, &tuple, 17);

    CHECK(ewi_net_ids_next(&again, &tuple, 17) == first);
    CHECK(ewi_net_ids_next(&b, &tuple, 17) != first);
}

int main(void)
{
    RUN(the_same_seed_gives_the_same_numbers);
    RUN(the_numbers_do_not_change_from_version_to_version);
    RUN(keys_depend_on_purpose_and_on_every_bit_of_the_seed);
    RUN(numbers_below_a_bound_are_below_it_and_all_there);
    RUN(no_number_is_likelier_than_another);
    RUN(jitter_stays_in_its_part_and_reaches_both_ends);
    RUN(jitter_of_boundary_times_stays_in_range);
    RUN(rfc_6528_isn_follows_the_clock);
    RUN(rfc_6528_isn_depends_on_the_whole_four_tuple_and_the_key);
    RUN(rfc_6864_ids_of_one_destination_do_not_repeat);
    RUN(rfc_7739_ids_of_destinations_have_nothing_in_common);
    RUN(ports_do_not_change_the_ids_of_a_destination);
    RUN(ids_repeat_with_their_seed);
    return 0;
}
